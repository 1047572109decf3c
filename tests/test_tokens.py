"""The estimate of tokens: never negative, grows with the text, near what tokenisers count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew import tokens
from clew.model import (
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
)


@given(st.text(), st.text())
def test_more_text_never_takes_fewer_tokens(one: str, other: str) -> None:
    both = tokens.estimate(one + other)
    assert both >= max(tokens.estimate(one), tokens.estimate(other))
    assert (tokens.estimate(one) == 0) == (not one)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("The quick brown fox jumps over the lazy dog.", 8, 14),
        ("敏捷的棕色狐狸跳过了懒狗。", 9, 20),
        ("Быстрая коричневая лиса перепрыгивает через ленивую собаку.", 15, 32),
        ("def f(x: int) -> int:\n    return x * 2\n", 12, 24),
        ("3.14159265358979", 5, 14),
        ("🙂🙂🙂", 3, 9),
        ("\ud800", 1, 3),
    ],
)
def test_is_in_the_range_of_tokenisers(text: str, low: int, high: int) -> None:
    assert low <= tokens.estimate(text) <= high


def count(*parts: object) -> int:
    return tokens.count_message(Message("user", parts))  # type: ignore[arg-type]


def test_a_picture_costs_the_same_whatever_its_bytes() -> None:
    small, large = Image("image/png", "AAAA"), Image("image/png", "A" * 1_000_000)
    assert count(small) == count(large) == count() + tokens.IMAGE_TOKENS
    assert count(File("a.pdf", "application/pdf", "A" * 1_000_000)) == count() + tokens.FILE_TOKENS


def test_every_part_counts() -> None:
    words = "a few words here"
    plain = tokens.estimate(words)
    assert count() == tokens.MESSAGE_TOKENS
    assert count(Text(words)) == count() + plain
    assert count(Thinking(words)) == count() + plain
    assert count(Thinking(data="A" * 400)) == count() + 75
    assert count(ToolCall("c", "n", words)) > count(Text(words))
    assert count(ToolResult("c", (Text(words), Image()))) > count(Text(words), Image())
    assert count(Unknown("odd", {"text": words})) > count(Text(words))
    assert count(File("a.txt", "text/plain", "A" * 400)) == count() + 75
