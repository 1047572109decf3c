"""Snippets show the words of the text itself, and mark what matched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.search.query import matches, parse
from clew.search.snippet import pick, snippet
from clew.search.words import tokens

LOREM = "The quick brown fox jumps over the lazy dog. " * 5


def marked(text: str, query: str, width: int = 80) -> list[str]:
    shown, marks = snippet(text, parse(query), width)
    return [shown[start:end] for start, end in marks]


@pytest.mark.parametrize(
    ("middle", "query", "expected"),
    [
        ("the Config_Parser reads", "config_parser", ["Config_Parser"]),
        ("the config parser reads", "config reads", ["config", "reads"]),
        ("see settings.toml", '"settings toml"', ["settings.toml"]),
        ("le café était fermé", "cafe FERME", ["café", "fermé"]),
        ("call getHTTPServer now", "http", ["getHTTPServer"]),
        ("call getHTTPServer now", '"http server"', ["getHTTPServer"]),
        ("call getHTTPServer now", "gethttp*", ["getHTTPServer"]),
        ("我们需要在数据库中搜索", "数据库", ["数据库"]),
        ("a Ｆｕｌｌ width", "full", ["Ｆｕｌｌ"]),
        ("İstanbul is large", "istanbul", ["İstanbul"]),
        ("e\u0301cole", "école", ["e\u0301cole"]),
        ("categories of cat", "cat", ["cat"]),
        ("categories of tea", "cat*", ["categories"]),
        ("zebra and unicorn", "zebra OR unicorn NOT fox", ["zebra", "unicorn"]),
    ],
)
def test_marks_what_matched(middle: str, query: str, expected: list[str]) -> None:
    assert marked(f"{LOREM}\n{middle}\n{LOREM}", query) == expected


def test_shows_the_place_where_most_of_the_query_stands() -> None:
    text = f"alpha {LOREM} beta {LOREM} alpha beta {LOREM}"
    shown, marks = snippet(text, parse("alpha beta"))
    assert "alpha beta" in shown
    assert len(marks) == 2


def test_cuts_between_words_and_says_where_it_cut() -> None:
    shown, _ = snippet(LOREM + "needle " + LOREM, parse("needle"), 60)
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert set(shown.strip("…").split()) <= {*LOREM.split(), "needle"}
    assert snippet("short text", parse("text")) == ("short text", ((6, 10),))
    assert snippet("line\none\ttwo", parse("one")) == ("line one two", ((5, 8),))


def test_a_text_without_the_words_shows_its_beginning() -> None:
    shown, marks = snippet(LOREM, parse("zebra"), 40)
    assert shown.startswith("The quick")
    assert marks == ()
    assert snippet("", parse("zebra")) == ("", ())


def test_a_match_longer_than_the_snippet_is_marked_as_far_as_shown() -> None:
    shown, marks = snippet("y" * 300 + " z", parse("y" * 300), 50)
    assert shown == "y" * 50 + "…"
    assert marks == ((0, 50),)


def test_picks_the_text_that_shows_most() -> None:
    texts = {"user": "alpha", "tool_result": "beta and alpha", "thinking": "gamma"}
    assert pick(texts, parse("alpha beta")) == "tool_result"
    assert pick(texts, parse("alpha")) == "user"
    assert pick(texts, parse("zebra")) is None
    assert pick({}, parse("zebra")) is None


ALPHABET = "ab cd\n._-éÉßİ数据fFoO\u0301ﬁ１²"
QUERIES = ["ab", "a OR b", '"a b"', "cd*", "数据", "e OR fi", "foo_o", "a -b", "ss OR i"]


@given(st.text(alphabet=ALPHABET, max_size=300), st.sampled_from(QUERIES), st.integers(10, 80))
def test_marks_are_ranges_of_the_snippet_and_what_matches_is_marked(
    text: str, query: str, width: int
) -> None:
    node = parse(query)
    shown, marks = snippet(text, node, width)
    assert len(shown) <= width + 2
    ends = [end for mark in marks for end in mark]
    assert ends == sorted(set(ends))
    assert all(0 <= end <= len(shown) for end in ends)
    body = shown.removeprefix("…").removesuffix("…")
    assert body in text.replace("\n", " ")
    if matches(node, tokens(text)):
        assert marks
