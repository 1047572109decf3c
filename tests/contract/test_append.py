"""Append: bytes as they came, one atomic unit, conflicts that tell, keys that make retries safe."""

from __future__ import annotations

import json
from typing import Any

import pytest

import clew
from clew.log import BODY_BYTES_MAX, INLINE_BYTES_MAX

from .talk import bot, call, result, said, turns, user

SHAPES = {
    "anthropic": '{"role": "user",  "content": '
    '[{"type":"tool_result","tool_use_id":"t","content":"é\\u00e9"}]}',
    "openai-chat": '{"content":"x\\/y" , "role":"assistant"}',
    "openai-responses": '{"type":"function_call_output","call_id":"c","output":"1.0","z":1.50}',
    "gemini": '{"parts":[ {"text":"hello"} ],"role":"model"}',
}


@pytest.mark.parametrize("form", SHAPES)
def test_json_text_is_kept_byte_for_byte(ledger: clew.Ledger, form: str) -> None:
    session = ledger.create()
    entry = session.append(SHAPES[form])
    assert entry.format == form
    assert entry.body == SHAPES[form].encode()
    assert session.entry(1) == entry
    assert session.append(SHAPES[form].encode()).body == SHAPES[form].encode()


def test_a_dict_keeps_the_order_of_its_keys(ledger: clew.Ledger) -> None:
    message = {"zeta": 1, "role": "user", "alpha": None, "content": "ü 漢 \0 \N{PILE OF POO}"}
    entry = ledger.create().append(message)
    assert entry.body is not None
    assert list(json.loads(entry.body)) == list(message)
    assert json.loads(entry.body) == message
    assert b" " not in entry.body.replace(b"\xc3\xbc ", b"").split(b'"content"')[0]


@pytest.mark.parametrize("size", [0, INLINE_BYTES_MAX - 60, INLINE_BYTES_MAX * 3, 2_000_000])
def test_a_body_of_any_size_comes_back(ledger: clew.Ledger, size: int) -> None:
    text = ("0123456789" * (size // 10 + 1))[:size]
    session = ledger.create()
    session.append(user(text))
    session.append(user(text))
    assert [message.text for message in session.history()] == [text, text]
    assert ledger.verify().blobs == (1 if size > INLINE_BYTES_MAX else 0)


WRONG: dict[str, Any] = {
    "no JSON": "{'role': 'user'}",
    "a list": [user("x")],
    "a number": "5",
    "no role": {"content": "x"},
    "an unknown role": {"role": "nobody", "content": "x"},
    "a whole completion": {"choices": []},
    "no content": {"role": "user"},
    "no call id": {"role": "tool", "content": "x"},
    "a set": {"role": "user", "content": "x", "extra": {1, object()}},
    "no number": {"role": "user", "content": "x", "score": float("nan")},
    "an infinity deep inside": {"role": "user", "content": "x", "a": [{"b": [float("inf")]}]},
    "invalid UTF-8": b'{"role":"user","content":"\xff"}',
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_refused_and_nothing_is_stored(ledger: clew.Ledger, what: str) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid):
        session.append(WRONG[what])
    with pytest.raises(clew.Invalid):
        session.extend([user("good"), WRONG[what]])
    assert session.head is None
    assert session.entries() == []


def test_a_format_can_be_named_and_a_wrong_name_is_refused(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert session.append(user("x"), format="anthropic").format == "anthropic"
    with pytest.raises(clew.Invalid, match="unknown message format"):
        session.append(user("x"), format="telegraph")


def test_an_entry_over_the_limit_is_refused(ledger: clew.Ledger) -> None:
    with pytest.raises(clew.Invalid, match="over the limit"):
        ledger.create().append(user("x" * BODY_BYTES_MAX))


def test_extend_is_all_or_nothing_and_numbers_without_gaps(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert [entry.seq for entry in session.extend(turns(3))] == [1, 2, 3, 4, 5, 6]
    assert session.append(user("more")).seq == 7
    assert session.extend([]) == []
    assert session.head == clew.Position(session.id, 7)
    assert session.info.entries == session.info.messages == 7


def test_roles_are_filed_by_who_speaks(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend([{"role": "system", "content": "s"}, user("u"), call("c"), result("c")])
    assert [e.role for e in session.entries()] == ["system", "user", "assistant", "tool"]


# --- expected_head -------------------------------------------------------------------------


def test_an_expected_head_that_holds_lets_the_append_through(ledger: clew.Ledger) -> None:
    session = ledger.create()
    first = session.append(user("a"), expected_head=None)
    second = session.append(user("b"), expected_head=first)
    third = session.append(user("c"), expected_head=second.position)
    session.append(user("d"), expected_head=str(third.position))
    session.append(user("e"), expected_head=session.checkpoint())
    session.append(user("f"), expected_head=session.history()[-1])
    assert said(session) == list("abcdef")


def test_a_conflict_tells_the_head_and_what_was_missed(ledger: clew.Ledger) -> None:
    session = ledger.create()
    mine = session.append(user("a"))
    other = ledger.get(session.id).extend([user("b"), user("c")])
    with pytest.raises(clew.Conflict) as caught:
        session.append(user("d"), expected_head=mine)
    assert caught.value.head == other[-1].position
    assert caught.value.missed == tuple(other)
    session.append(user("d"), expected_head=caught.value.head)
    assert said(session) == list("abcd")


def test_a_conflict_behind_a_rewind_gives_the_whole_path(ledger: clew.Ledger) -> None:
    session = ledger.create()
    first, second = session.extend([user("a"), user("b")])
    session.restore(first)
    with pytest.raises(clew.Conflict) as caught:
        session.append(user("c"), expected_head=second)
    assert caught.value.head == first.position
    assert caught.value.missed == (first,)
    with pytest.raises(clew.Conflict) as at_root:
        session.append(user("c"), expected_head=None)
    assert at_root.value.missed == (first,)


def test_an_expected_head_that_does_not_exist_is_not_found(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("a"))
    for nowhere in (f"{session.id}:9", f"{session.id}:{2**70}", clew.Position(session.id, -1)):
        with pytest.raises(clew.NotFound):
            session.append(user("b"), expected_head=nowhere)
    with pytest.raises((clew.NotFound, clew.Invalid)):
        session.append(user("b"), expected_head=f"{session.id}:²")
    assert said(session) == ["a"]


# --- idempotency ---------------------------------------------------------------------------


def test_the_same_key_and_bytes_give_the_first_entries(ledger: clew.Ledger) -> None:
    session = ledger.create()
    first = session.extend(turns(2), idempotency_key="k")
    session.append(user("between"))
    assert session.extend(turns(2), idempotency_key="k") == first
    assert session.extend(turns(2), idempotency_key="k", expected_head=None) == first
    assert len(said(session)) == 5
    assert ledger.create().append(user("x"), idempotency_key="k").seq == 1


def test_the_same_key_with_other_bytes_is_a_conflict(ledger: clew.Ledger) -> None:
    session = ledger.create()
    entry = session.append(user("a"), idempotency_key="k")
    for other in ([user("b")], [user("a"), user("a")], [bot("a")]):
        with pytest.raises(clew.Conflict, match="'k'") as caught:
            session.extend(other, idempotency_key="k")
        assert caught.value.missed == (entry,)
    assert said(session) == ["a"]


def test_a_refused_append_does_not_use_its_key_up(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("a"))
    with pytest.raises(clew.Conflict):
        session.append(user("b"), expected_head=None, idempotency_key="k")
    assert session.append(user("c"), idempotency_key="k").seq == 2


# --- reading -------------------------------------------------------------------------------


def test_tail_is_the_end_of_history(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert session.tail(3) == []
    session.extend([*turns(20), call("c"), result("c"), bot("end")])
    session.config["model"] = "m"
    history = session.history()
    for count in (1, 2, 3, 16, 17, 42, 43, 44, 1000, 2**70):
        assert session.tail(count) == history[-count:]


def test_tail_reaches_over_lines_and_sessions(ledger: clew.Ledger) -> None:
    origin = ledger.create()
    origin.extend(turns(20))
    branch = origin.branch(origin.entry(31))
    branch.extend(turns(3, 100))
    branch.restore(branch.entry(34))
    branch.append(user("end"))
    history = branch.history()
    assert len(history) == 35
    for count in (1, 3, 4, 5, 17, 35, 36):
        assert branch.tail(count) == history[-count:]


def test_entries_are_paged_by_number(ledger: clew.Ledger) -> None:
    session = ledger.create()
    whole = session.extend(turns(5))
    assert session.entries() == whole
    assert session.entries(after=3) == whole[3:]
    assert session.entries(after=3, limit=2) == whole[3:5]
    assert session.entries(after=10) == session.entries(limit=0) == []


def test_entries_of_a_branch_are_paged_from_its_first(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(5))
    branch = session.branch()
    own = branch.extend(turns(2, 9))
    assert branch.entries(limit=3) == own[:3]
    assert branch.entries(after=11, limit=2) == own[1:3]


def test_an_entry_of_another_session_is_read_by_position(ledger: clew.Ledger) -> None:
    one, two = ledger.create(), ledger.create()
    entry = one.append(user("a"))
    assert two.entry(entry.position) == entry
    for nowhere in (1, 0, -1, 2**70, clew.Position("0" * 32, 1)):
        with pytest.raises(clew.NotFound):
            two.entry(nowhere)


def test_a_message_tells_its_positions_and_time(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("a"), time_ms=1_700_000_000_000)
    (message,) = session.history()
    assert message.at == (clew.Position(session.id, 1),)
    assert message.time_ms == 1_700_000_000_000
    assert message.format == "openai-chat"
