"""What keeps a terminal safe and a table straight."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.cli import output, units
from clew.errors import Invalid

TEXT = st.text(st.characters(codec=None), max_size=60)


@given(TEXT)
def test_clean_text_holds_no_control_character(text: str) -> None:
    cleaned = output.clean(text)
    assert all(c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160) for c in cleaned)
    assert output.clean(cleaned) == cleaned
    cleaned.encode()


@given(TEXT, st.integers(2, 20))
def test_one_line_is_one_line(text: str, limit: int) -> None:
    line = output.one_line(text, limit)
    assert len(line.splitlines()) <= 1
    assert len(line) <= limit


@given(st.text(st.characters(codec="utf-8")))
def test_json_keeps_the_value_and_holds_nothing_a_terminal_obeys(text: str) -> None:
    encoded = output.as_json({text: [text]})
    assert json.loads(encoded) == {text: [text]}
    assert output.clean(encoded) == encoded


def test_wide_characters_count_twice(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("a", "b"), [("雲のロゴ", "x"), ("logo", "y")])
    assert capsys.readouterr().out == "a         b\n雲のロゴ  x\nlogo      y\n"


def test_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("n", "name"), [(1000, "x"), (7, "y")])
    assert capsys.readouterr().out == "    n  name\n1,000  x\n    7  y\n"


@pytest.mark.parametrize(
    ("text", "days"), [("30d", 30.0), ("12h", 0.5), ("2w", 14.0), ("90m", 0.0625), ("1.5d", 1.5)]
)
def test_durations(text: str, days: float) -> None:
    assert units.days(text) == days


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1GB", 10**9),
        ("500 mb", 5 * 10**8),
        ("2GiB", 2**31),
        ("1k", 1000),
        ("7", 7),
        ("1.5MB", 1_500_000),
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert units.bytes_of(text) == count


@pytest.mark.parametrize("text", ["", "d", "3", "3 months", "-1d"])
def test_a_wrong_duration_is_told(text: str) -> None:
    with pytest.raises(Invalid, match="no duration"):
        units.days(text)


@pytest.mark.parametrize("text", ["", "GB", "-1", "3 boxes"])
def test_a_wrong_size_is_told(text: str) -> None:
    with pytest.raises(Invalid, match="no size"):
        units.bytes_of(text)


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "branch", "1 branch"),
        (2, "branch", "2 branches"),
        (0, "entry", "0 entries"),
        (3, "day", "3 days"),
        (2000, "session", "2,000 sessions"),
    ],
)
def test_plurals(count: int, noun: str, text: str) -> None:
    assert output.plural(count, noun) == text
