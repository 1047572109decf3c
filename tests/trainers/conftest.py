"""Where the exports are that these tests read, and a tokenizer made of their words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from exported import WHY, template

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="session")
def exports() -> Path:
    """The folder that `make_exports.py` wrote."""
    given = os.environ.get("CLEW_EXPORTS")
    if not given:
        pytest.skip("it needs exports, which make trainers writes first")
    return Path(given)


@pytest.fixture(scope="session")
def tokenizer(exports: Path) -> Any:
    """A byte-level BPE of our own words, with the Qwen3 template that marks what is learned."""
    tokenizers = pytest.importorskip("tokenizers", reason=WHY)
    transformers = pytest.importorskip("transformers", reason=WHY)
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600, special_tokens=list(MARKS), initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator([(exports / "trl.jsonl").read_text()], trainer)
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, eos_token=MARKS[2], pad_token=MARKS[0]
    )
    made.chat_template = template("qwen3_training")
    return made
