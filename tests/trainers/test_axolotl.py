"""Axolotl's `chat_template` strategy takes our rows, and learns what they mark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from exported import WHY, read, template

strategies = pytest.importorskip("axolotl.prompt_strategies.chat_template", reason=WHY)


def _labels(tokenizer: Any, row: dict[str, Any], **more: Any) -> tuple[str, str]:
    """The whole text, and what of it is learned."""
    prompter = strategies.ChatTemplatePrompter(
        tokenizer, chat_template=template("qwen3_training"), max_length=4096, **more
    )
    strategy = strategies.ChatTemplateStrategy(
        prompter,
        tokenizer=tokenizer,
        train_on_inputs=False,
        sequence_len=4096,
        roles_to_train=["assistant"],
        train_on_eos="turn",
    )
    made = strategy.tokenize_prompt(row)
    learned = [id for id in made["labels"] if id != -100]
    return tokenizer.decode(made["input_ids"]), tokenizer.decode(learned)


def test_answers_and_calls_are_learned(exports: Path, tokenizer: Any) -> None:
    for row in read(exports / "trl.jsonl"):
        whole, learned = _labels(tokenizer, row)
        for message in row["messages"]:
            assert message["content"].strip() in whole
            if message["role"] == "assistant":
                assert message["content"].strip() in learned
                for call in message.get("tool_calls") or ():
                    assert call["function"]["name"] in learned
            elif message["role"] == "user":
                assert message["content"].strip() not in learned


def test_a_message_that_is_marked_is_not_learned(exports: Path, tokenizer: Any) -> None:
    row = read(exports / "trl.jsonl")[0]
    last = row["messages"][-1]
    _, learned = _labels(tokenizer, row, message_field_training="train")
    assert last["content"] in learned
    last["train"] = False
    _, learned = _labels(tokenizer, row, message_field_training="train")
    assert last["content"] not in learned
