"""TRL trains on our rows: a new one-layer model, a tokenizer made on the spot, two steps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from exported import WHY, read

trl = pytest.importorskip("trl", reason=WHY)
torch = pytest.importorskip("torch", reason=WHY)
transformers = pytest.importorskip("transformers", reason=WHY)
datasets = pytest.importorskip("datasets", reason=WHY)


def _model(tokenizer: Any) -> Any:
    torch.manual_seed(1)
    shape = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return transformers.LlamaForCausalLM(shape)


def _settings(kind: Any, folder: Path, **more: Any) -> Any:
    return kind(
        output_dir=str(folder),
        max_steps=2,
        per_device_train_batch_size=2,
        learning_rate=0.01,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        **more,
    )


def _rows(path: Path, folder: Path) -> Any:
    return datasets.load_dataset(
        "json", data_files=str(path), split="train", cache_dir=str(folder / "cache")
    )


def _losses(trainer: Any) -> list[float]:
    before = {name: one.detach().clone() for name, one in trainer.model.named_parameters()}
    trainer.train()
    moved = [n for n, one in trainer.model.named_parameters() if not one.equal(before[n])]
    assert moved, "nothing was learned"
    return [step["loss"] for step in trainer.state.log_history if "loss" in step]


def test_what_is_learned_are_the_words_of_the_assistant(exports: Path, tokenizer: Any) -> None:
    row = read(exports / "trl.jsonl")[0]
    made = tokenizer.apply_chat_template(
        row["messages"],
        tools=row["tools"],
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    learned = [
        id for id, mask in zip(made["input_ids"], made["assistant_masks"], strict=True) if mask
    ]
    text = tokenizer.decode(learned)
    for message in row["messages"]:
        told = message["content"].strip()
        if message["role"] == "assistant":
            assert told in text
        elif told:
            assert told not in text
    assert "ls -la" in text


@pytest.mark.parametrize("name", ["trl", "trl-turns"])
def test_supervised_training_runs(exports: Path, tmp_path: Path, tokenizer: Any, name: str) -> None:
    learned = {"assistant_only_loss": True} if name == "trl" else {"completion_only_loss": True}
    trainer = trl.SFTTrainer(
        model=_model(tokenizer),
        args=_settings(trl.SFTConfig, tmp_path, max_length=2048, **learned),
        train_dataset=_rows(exports / f"{name}.jsonl", tmp_path),
        processing_class=tokenizer,
    )
    losses = _losses(trainer)
    assert len(losses) == 2
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)


def test_preference_training_runs(exports: Path, tmp_path: Path, tokenizer: Any) -> None:
    trainer = trl.DPOTrainer(
        model=_model(tokenizer),
        ref_model=_model(tokenizer),
        args=_settings(trl.DPOConfig, tmp_path, max_length=2048),
        train_dataset=_rows(exports / "dpo.jsonl", tmp_path),
        processing_class=tokenizer,
    )
    assert all(math.isfinite(loss) for loss in _losses(trainer))


def test_training_on_good_and_bad_answers_runs(
    exports: Path, tmp_path: Path, tokenizer: Any
) -> None:
    trainer = trl.KTOTrainer(
        model=_model(tokenizer),
        ref_model=_model(tokenizer),
        args=_settings(trl.KTOConfig, tmp_path, max_length=2048),
        train_dataset=_rows(exports / "kto.jsonl", tmp_path),
        processing_class=tokenizer,
    )
    assert all(math.isfinite(loss) for loss in _losses(trainer))
