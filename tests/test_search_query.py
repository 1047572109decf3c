"""Queries are read as the grammar says, and wrong ones are told where and how to mend them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.search.query import DEPTH, All, Either, Node, Words, matches, parse, positives
from clew.search.words import tokens


def w(*found: str, prefix: bool = False) -> Words:
    return Words(found, prefix)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("word", w("word")),
        ("Two words", All((w("two"), w("words")))),
        ('"Side by side"', w("side", "by", "side")),
        ("“typographic quotes”", w("typographic", "quotes")),
        ("foo_bar", w("foo", "bar")),
        ("src/a.py", w("src", "a", "py")),
        ("数据库", w("数", "据", "库")),
        ("fooBar", w("foobar")),
        ("conf*", w("conf", prefix=True)),
        ("foo_conf*", w("foo", "conf", prefix=True)),
        ("数*", w("数", prefix=True)),
        ("a OR b", Either((w("a"), w("b")))),
        ("a b OR c", Either((All((w("a"), w("b"))), w("c")))),
        ("a (b OR c)", All((w("a"), Either((w("b"), w("c")))))),
        ("a AND b", All((w("a"), w("b")))),
        ("a NOT b", All((w("a"),), (w("b"),))),
        ("-b a", All((w("a"),), (w("b"),))),
        ('a -"b c" -(d OR e)', All((w("a"),), (w("b", "c"), Either((w("d"), w("e")))))),
        ("a - b", All((w("a"), w("b")))),
        ("--verbose", w("verbose")),
        ("a && b", All((w("a"), w("b")))),
        ('print("x")', All((w("print"), w("x")))),
        ('"" a', w("a")),
        ("or not and", All((w("or"), w("not"), w("and")))),
        ('"OR"', w("or")),
        ("((a))", w("a")),
    ],
)
def test_the_grammar(text: str, expected: Node) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "mend"),
    [
        ('a "b c', 3, "the quote is never closed: add"),
        ("a (b", 3, "`(` is never closed: add"),
        ("(", 1, "`(` is never closed: add"),
        ("a) b", 2, "closes nothing: remove it"),
        (")", 1, "closes nothing: remove it"),
        ("a ()", 4, "empty: write words"),
        ("a OR", 5, "OR needs a word on both sides"),
        ("OR a", 1, "OR needs a word on both sides"),
        ("a OR OR b", 6, "OR needs a word on both sides"),
        ("a AND", 3, "AND needs a word on both sides"),
        ("AND a", 1, "AND needs a word on both sides"),
        ("NOT a", 1, "only NOT: add a word"),
        ("a OR -b", 6, "only NOT: add a word"),
        ("a NOT", 3, "NOT needs a word after it"),
        ("a NOT NOT b", 3, "NOT needs a word after it"),
        ("a -!", 3, "no letter or digit"),
        ("*", 1, "only at the end of a word"),
        ("a*b", 2, "only at the end of a word"),
        ("a **kwargs", 3, "only at the end of a word"),
        ("foo.*", 5, "only at the end of a word"),
        ("a b*", 3, "at least 2 letters"),
        ("a !!! OR ...", 10, "no letter or digit"),
        ("(" * (DEPTH + 1) + "a" + ")" * (DEPTH + 1), DEPTH + 2, "nested deeper"),
    ],
)
def test_wrong_queries_name_the_column_and_how_to_mend_them(
    text: str, column: int, mend: str
) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert str(caught.value).startswith(f"Query, column {column}: ")
    assert mend in str(caught.value)


@pytest.mark.parametrize("text", ["", "   ", "\t\n"])
def test_an_empty_query_says_what_can_be_written(text: str) -> None:
    with pytest.raises(Invalid, match="empty: write words"):
        parse(text)


def test_a_query_that_is_too_long_says_by_how_much() -> None:
    with pytest.raises(Invalid, match=r"1,001 characters; at most 1,000"):
        parse("a" * 1001)


@given(st.text(max_size=1000) | st.text(alphabet='ab ()"-*ORNTAD', max_size=80))
def test_any_text_is_a_query_or_invalid(text: str) -> None:
    try:
        node = parse(text)
    except Invalid:
        return
    assert positives(node)
    assert all(word.tokens and all(word.tokens) for word in positives(node))


@given(st.text(min_size=1, max_size=60))
def test_what_is_quoted_is_found_in_itself(text: str) -> None:
    try:
        node = parse(
            '"' + text.replace('"', " ").translate(dict.fromkeys(map(ord, "“”„"), " ")) + '"'
        )
    except Invalid:
        assert not any(char.isalnum() for char in text)
        return
    assert matches(node, tokens(f"before {text} after"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("alpha", True),
        ("alp", False),
        ("alp*", True),
        ("pha*", False),
        ('"alpha beta"', True),
        ('"beta alpha"', False),
        ('"beta gamma"', False),
        ("alpha gamma", True),
        ("alpha -gamma", False),
        ("alpha -delta", True),
        ("delta OR gamma", True),
        ("(delta OR alpha) -(gamma delta)", True),
        ('"alpha be*"', True),
    ],
)
def test_matches(query: str, expected: bool) -> None:
    query = "alpha_be*" if query.endswith('be*"') else query
    assert matches(parse(query), ["alpha", "beta"], ["gamma"]) is expected


def test_positives_are_what_a_hit_holds_each_once() -> None:
    assert positives(parse('a (b OR "c d") a -e')) == (w("a"), w("b"), w("c", "d"))
