"""Text falls into the same words whatever script, case or Unicode form it comes in."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.search.words import GAP, WORD_CHARS, pieces, tokens, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("foo_bar src/clew/a.py", ["foo", "bar", "src", "clew", "a", "py"]),
        ("don't e-mail 3.14", ["don", "t", "e", "mail", "3", "14"]),
        ("Café ÉCOLE naïve", ["cafe", "ecole", "naive"]),
        ("Straße İstanbul ΣΊΣΥΦΟΣ", ["strasse", "istanbul", "σισυφοσ"]),
        ("Съешь Ёлку Й", ["съешь", "елку", "и"]),
        ("数据库 search", ["数", "据", "库", "search"]),
        ("用Python写", ["用", "python", "写"]),
        ("ガ か が", ["ガ", "か", "が"]),
        ("ｶﾞｷﾞ Ｆｕｌｌ１２", ["ガ", "ギ", "full12"]),
        ("한국어", ["한", "국", "어"]),
        ("สดี", ["ส", "ด", "ี"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("كِتَاب", ["كتاب"]),
        ("x² m³ ①", ["x", "2", "m", "3", "1"]),
        ("Foo™ a…b 5€", ["foo", "a", "b", "5"]),
        ("soft\u00adhyphen zero\u200dwidth a\u200bb", ["softhyphen", "zerowidth", "a", "b"]),
        ("ﬁle ǅ", ["file", "dz"]),
        ("a\0b\ud800c\uffff", ["a", "b", "c"]),
        ("🎉👍🏽", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected
    assert words(unicodedata.normalize("NFD", text)) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("fooBar", ["foo", "bar"]),
        ("HTTPServer", ["http", "server"]),
        ("getURLForID", ["get", "url", "for", "id"]),
        ("iOSApp", ["i", "os", "app"]),
        ("utf8Decode", ["utf8", "decode"]),
        ("HTTP2Server", ["http2", "server"]),
        (
            "getTheNameOfTheVeryFirstOldestUser",
            ["get", "the", "name", "of", "the", "very", "first", "oldest", "user"],
        ),
        ("Foo", []),
        ("foo", []),
        ("FOO", []),
        ("FOO42", []),
        ("1234", []),
        ("aGVsbG8gd29ybGQhIGhlbGxvIHdvcmxk", []),
    ],
)
def test_pieces(word: str, expected: list[str]) -> None:
    assert pieces(word) == expected


def test_identifiers_stay_whole_and_their_pieces_follow_behind_a_gap() -> None:
    assert tokens("call fooBar now, fooBar") == [
        "call",
        "foobar",
        "now",
        "foobar",
        GAP,
        "foo",
        "bar",
    ]
    assert tokens("用fooBar写 aB") == ["用", "foobar", "写", "ab", GAP, "foo", "bar", GAP, "a", "b"]
    assert tokens("plain Words ONLY 42") == ["plain", "words", "only", "42"]


def test_long_words_are_cut() -> None:
    assert words("x" * 1000) == ["x" * WORD_CHARS]
    assert words("é" * 1000) == ["e" * WORD_CHARS]


@given(st.text())
def test_words_are_made_of_words(text: str) -> None:
    found = words(text)
    assert words(" ".join(found)) == found
    assert not any(GAP in word or " " in word or not word for word in found)
    assert all(word.isascii() <= word.isalnum() for word in found)
    assert tokens(text)[: len(found)] == found


@given(st.text(), st.text())
def test_texts_apart_have_the_words_of_both(left: str, right: str) -> None:
    assert words(f"{left}\n{right}") == words(left) + words(right)


@given(st.text())
def test_the_form_of_the_text_does_not_matter(text: str) -> None:
    assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text))
