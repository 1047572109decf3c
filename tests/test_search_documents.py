"""What of a message is searched, and how long texts are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.model import File, Image, Message, Text, Thinking, ToolCall, ToolResult, Unknown
from clew.search.documents import (
    OVERLAP,
    PASSAGE_CHARS,
    PASSAGE_TOKENS,
    REPEATS,
    answers,
    document,
    passages,
    readable,
    readable_json,
    tools_of,
)
from clew.search.query import parse
from clew.search.words import GAP, tokens


def test_each_part_goes_under_its_kind() -> None:
    message = Message(
        "assistant",
        (
            Thinking("Let me think."),
            Text("I look."),
            ToolCall("1", "Read", '{"path": "a.py", "deep": {"n": [1, true, null]}}'),
            Text("Done."),
        ),
    )
    assert document(message) == {
        "thinking": "Let me think.",
        "assistant": "I look.\nDone.",
        "tool_call": "Read\npath: a.py\ndeep:\nn:\n1\ntrue\nnull",
    }
    assert tools_of(message) == ("Read",)


def test_results_stand_apart_from_what_the_user_says() -> None:
    result = ToolResult("1", (Text("line one"), Image(data="AAAA")), name="Bash")
    message = Message("user", (result, Text("and now?")))
    assert document(message) == {"tool_result": "line one", "user": "and now?"}
    assert tools_of(message) == ("Bash",)
    assert document(Message("tool", (Text("plain"),))) == {"tool_result": "plain"}
    assert document(Message("developer", (Text("rules"),))) == {"system": "rules"}


def test_json_is_told_without_its_escapes() -> None:
    message = Message(
        "tool", (ToolResult("1", (Text(r'{"output": "first\nsecond", "é": "\u6570"}'),)),)
    )
    assert document(message) == {"tool_result": "output: first\nsecond\né: 数"}
    assert readable_json(r'{"a": "{\"b\": \"c\\nd\"}"}') == "a: b: c\nd"
    assert readable_json("{not json") == "{not json"
    assert readable_json('{"half": "\\ud800"}')
    assert readable_json("[" * 100_000) == "[" * 100_000


def test_encoded_data_is_left_out_and_names_are_kept() -> None:
    message = Message(
        "user",
        (
            Image(url="data:image/png;base64,AAAA"),
            Image(url="https://example.org/cat.png"),
            File(name="plan.pdf", data="AAAA"),
            Unknown("odd", {"type": "odd", "note": "look here", "blob": "QUJD" * 2000}),
        ),
    )
    assert document(message)["user"] == (
        "https://example.org/cat.png\nplan.pdf\ntype: odd\nnote: look here\nblob: "
    )
    assert document(Message("user", (Image(data="AAAA"),))) == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(json_values)
def test_every_word_of_a_json_value_is_told(value: object) -> None:
    def words(item: object) -> set[str]:
        if isinstance(item, dict):
            return {word for pair in item.items() for each in pair for word in words(each)}
        if isinstance(item, list):
            return {word for each in item for word in words(each)}
        return set(tokens(item)) if isinstance(item, str) else set()

    assert words(value) <= set(tokens(readable(value)))


# --- passages ------------------------------------------------------------------------------


def test_an_ordinary_document_is_one_passage() -> None:
    assert passages({"user": "Hello there", "tool_call": "Read"}) == [
        {"user": ["hello", "there"], "tool_call": ["read"]}
    ]
    assert passages({"user": "", "thinking": "…"}) == []
    assert passages({}) == []


@pytest.mark.parametrize(
    "texts",
    [
        {"user": "x", "assistant": "y"},
        {"system": "x", "user": "y"},
        {"other": "x"},
    ],
)
def test_a_document_has_one_voice(texts: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="at most one of user, assistant, system"):
        passages(texts)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "fooBar", "数", "w" * 200]) | st.text(max_size=3),
            st.sampled_from([1, 1, 1, 200, 256, 700]),
        ),
        max_size=12,
    ),
    st.sampled_from(["", "a " * 300]),
)
def test_passages_keep_within_the_bounds_and_lose_nothing(
    runs: list[tuple[str, int]], thinking: str
) -> None:
    texts = {"thinking": thinking, "tool_result": " ".join((word + " ") * n for word, n in runs)}
    found = passages(texts)
    for passage in found:
        held = [token for kind in passage.values() for token in kind]
        assert len(held) <= PASSAGE_TOKENS
        assert sum(map(len, set(held))) <= PASSAGE_CHARS
        assert all(held.count(token) <= REPEATS for token in set(held) - {GAP})
        assert all(passage.values())
    for kind, text in texts.items():
        whole: list[str] = []
        parts = [passage[kind] for passage in found if kind in passage]
        for number, part in enumerate(parts):
            whole += part[OVERLAP if number else 0 :]
        assert whole == tokens(text)


def test_very_long_texts_are_cut_by_words_and_by_characters() -> None:
    many = {"tool_result": " ".join(f"w{i}" for i in range(30_000))}
    assert [len(p["tool_result"]) for p in passages(many)] == [12_000, 12_000, 6_032]
    wide = {"tool_result": " ".join(f"{i:0100}" for i in range(6_000))}
    assert len(passages(wide)) > 2


def test_answers_looks_passage_by_passage_within_the_kinds() -> None:
    far = "needle " + " ".join(f"w{i}" for i in range(13_000)) + " haystack"
    texts = {"user": "look for both", "tool_result": far}
    assert answers(parse("needle"), texts)
    assert answers(parse("haystack"), texts)
    assert not answers(parse("needle haystack"), texts)
    assert answers(parse("look needle"), texts)
    assert not answers(parse("needle"), texts, ("user",))
    assert answers(parse("look -needle"), texts, ("user",))
    assert not answers(parse("w5"), texts, ())
