"""What goes over the wire comes out as it went in."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import clew
from clew import errors, model, wire
from clew.model import Kind, Position
from clew.server import problems

NAMES = st.text("abcdef0123456789", min_size=1, max_size=8)
WORDS = st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=10,
)
OBJECTS = st.dictionaries(WORDS, VALUES, max_size=4)


def _texts(value: Any, indent: int | None, escaped: bool, around: str) -> bytes:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    return f"{around}{text}{around}".encode("utf-8", "surrogatepass")


JSON_TEXTS = st.builds(
    _texts, OBJECTS, st.sampled_from([None, 1]), st.booleans(), st.sampled_from(["", " ", "\n"])
)
BODIES = st.none() | JSON_TEXTS | st.binary(max_size=30)

ENTRIES = st.builds(
    model.Entry,
    session=NAMES,
    seq=st.integers(1, 2**60),
    kind=st.sampled_from(Kind),
    role=st.none() | NAMES,
    time_ms=st.integers(0, 2**50),
    format=NAMES,
    body=BODIES,
    meta=OBJECTS,
)


@given(ENTRIES)
def test_an_entry_comes_back_byte_for_byte(entry: model.Entry) -> None:
    sent = wire.encode(wire.Page([wire.entry(entry)]))
    assert json.loads(sent)["items"][0]["seq"] == entry.seq
    (found,) = wire.decode(sent, wire.Page[wire.Entry]).items
    assert wire.from_entry(found) == entry


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b'{"a": [1,  2]}', True),
        (b'{"b":1,"a":1e999,"a":12345678901234567890}', True),
        (b"null", True),
        (b' {"a":1}', False),
        (b'{"a":1}\n', False),
        (b'"\\ud83d"', False),
        (b'"\xff"', False),
        (b"\xef\xbb\xbf{}", False),
        (b"{", False),
        (b"", False),
        (b"[" * 200 + b"]" * 200, True),
        (b"[" * 201 + b"]" * 201, False),
        (b"[" * 5000 + b"]" * 5000, False),
        (b"[" + b'"[[[", {"a\\"[": []},' * 300 + b"[]]", True),
    ],
)
def test_a_body_stands_in_the_answer_only_where_it_stays_itself(body: bytes, plain: bool) -> None:
    entry = model.Entry("s", 1, Kind.UNKNOWN, None, 0, "raw", body)
    sent = wire.entry(entry)
    assert (sent.body is not msgspec.UNSET) is plain
    assert (sent.body_base64 is not msgspec.UNSET) is not plain
    assert wire.from_entry(wire.decode(wire.encode(sent), wire.Entry)).body == body


def test_an_erased_entry_has_no_body() -> None:
    entry = model.Entry("s", 1, Kind.MESSAGE, "user", 0, "anthropic", None)
    assert b"body" not in wire.encode(wire.entry(entry))
    assert wire.from_entry(wire.entry(entry)).erased


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


@given(VALUES, st.integers(0, 5))
@example({"a": ["]}", {"[": '"'}]}, 2)
def test_depth_is_that_of_the_value(value: Any, limit: int) -> None:
    assert wire.deeper(json.dumps(value).encode(), limit) is (_depth(value) > limit)


MESSAGES = st.one_of(
    OBJECTS,
    JSON_TEXTS.map(lambda body: body.decode("utf-8", "surrogatepass")).filter(
        lambda text: text.isascii()
    ),
    JSON_TEXTS.filter(bytes.isascii),
)


@given(st.lists(MESSAGES, min_size=1, max_size=4), st.none() | NAMES)
def test_messages_arrive_as_the_ledger_would_keep_them(
    messages: list[Any], key: str | None
) -> None:
    sent = wire.append(messages, idempotency_key=key, expected_head=Position("s", 1))
    found = wire.decode(wire.encode(sent), wire.Append)
    kept = [
        message.encode()
        if isinstance(message, str)
        else message
        if isinstance(message, bytes)
        else json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode(
            "utf-8", "surrogatepass"
        )
        for message in messages
    ]
    assert found.bodies() == kept
    assert found.idempotency_key == key
    assert found.expected_head == Position("s", 1)


def test_messages_stand_in_one_of_two_lists() -> None:
    for wrong in (wire.Append(), wire.Append(messages=[msgspec.Raw(b"{}")], messages_base64=[b""])):
        with pytest.raises(clew.Invalid, match="messages_base64"):
            wrong.bodies()


def test_no_expectation_and_the_root_are_two_things() -> None:
    nothing = wire.append([{"role": "user"}])
    assert b"expected_head" not in wire.encode(nothing)
    root = wire.append([{"role": "user"}], expected_head=None)
    assert wire.decode(wire.encode(root), wire.Append).expected_head is None


KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ClewError) and kind is not clew.ClewError
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_arrives_as_itself(kind: type[clew.ClewError]) -> None:
    answer = problems.answer(kind("what, where, how to mend it"), "r1")
    assert answer.status >= 400
    problem = wire.decode(answer.body, wire.Problem)
    assert problem.status == answer.status
    assert problem.request == "r1"
    found = wire.error_of(problem)
    assert type(found) is kind
    assert str(found) == "what, where, how to mend it"


def test_a_conflict_brings_what_was_missed() -> None:
    missed = model.Entry("s", 2, Kind.MESSAGE, "user", 5, "anthropic", b'{"role": "user"}')
    error = clew.Conflict("later", head=Position("s", 2), missed=(missed,))
    found = wire.error_of(wire.decode(problems.answer(error, "").body, wire.Problem))
    assert isinstance(found, clew.Conflict)
    assert found.head == Position("s", 2)
    assert found.missed == (missed,)


def test_a_fault_tells_nothing_of_itself() -> None:
    answer = problems.answer(ValueError("a secret"), "r2")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert b"r2" in answer.body


def test_no_error_is_without_a_status() -> None:
    assert problems.unknown_names() == set()


SPANS = st.builds(
    model.Span,
    id=NAMES,
    session=NAMES,
    kind=NAMES,
    name=WORDS,
    turn=st.integers(0, 9),
    ordinal=st.integers(1, 9),
    sequence=st.integers(1, 9),
    status=st.sampled_from(["running", "waiting", "ok", "abandoned"]),
    started_us=st.integers(0, 2**52),
    created_ms=st.integers(0, 2**45),
    input=VALUES,
    attributes=OBJECTS,
    latency_ms=st.none() | st.floats(0, 1e6),
    message=st.none() | st.builds(Position, NAMES, st.integers(1, 9)),
)


@given(SPANS)
def test_a_span_goes_out_with_its_outcome(span: model.Span) -> None:
    sent = wire.encode(wire.span(span))
    assert json.loads(sent)["outcome"] == span.outcome
    assert wire.decode(sent, model.Span) == span


@given(st.dictionaries(st.sampled_from(["output", "attempt", "cost", "fallback"]), VALUES))
def test_what_was_not_said_of_a_span_is_not_said(told: dict[str, Any]) -> None:
    start = wire.SpanStart(kind="tool", name="bash", **told)
    assert start.facts() == {"kind": "tool", "name": "bash", "id": "", **told}
    plain = wire.SpanStart(kind="tool", name="bash", output=told)
    assert wire.decode(wire.encode(plain), wire.SpanStart).facts() == plain.facts()
