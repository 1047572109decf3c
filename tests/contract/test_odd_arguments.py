"""Arguments that no database would take are refused with a word, and nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

import clew


@pytest.mark.parametrize("time_ms", ["2026-11-20T10:00:00Z", 1.5, True, 2**70, -1])
def test_a_time_that_is_none_is_refused(ledger: clew.Ledger, time_ms: Any) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid, match="milliseconds"):
        session.append({"role": "user", "content": "x"}, time_ms=time_ms)
    assert session.head is None


def test_half_a_character_is_kept_from_a_dict_as_from_text(ledger: clew.Ledger) -> None:
    session = ledger.create()
    text = '{"role":"user","content":"half \\ud83d"}'
    session.append(json.loads(text))
    session.append(text)
    assert [message.text for message in session.history()] == ["half \ufffd"] * 2


@pytest.mark.parametrize("limit", [0, -1, True, "5"])
def test_a_limit_that_asks_for_nothing_is_refused(ledger: clew.Ledger, limit: Any) -> None:
    session = ledger.create()
    for ask in (ledger.sessions, ledger.audit, session.checkpoints, session.moves):
        with pytest.raises(clew.Invalid, match="at least one"):
            ask(limit=limit)


def test_a_limit_may_be_as_high_as_one_likes(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert len(ledger.sessions(limit=2**70)) == 1
    assert session.checkpoints(limit=2**70) == []


@pytest.mark.parametrize("count", [0, -1, True, "5"])
def test_a_tail_of_nothing_is_refused(ledger: clew.Ledger, count: Any) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid, match="at least one"):
        session.tail(count)


@pytest.mark.parametrize("word", ["zz", "TOOL", "z" * 900])
def test_a_filter_that_nothing_can_match_names_what_there_is(
    ledger: clew.Ledger, word: str
) -> None:
    session = ledger.create()
    session.start_span("tool", "bash")
    with pytest.raises(clew.Invalid, match=r"kind=.*agent, command, model, other, tool, turn"):
        session.spans(kind=word)
    with pytest.raises(clew.Invalid, match=r"outcome=.*abandoned.*ok, running, timeout, waiting"):
        session.spans(outcome=word)
    with pytest.raises(clew.Invalid, match=r"status=.*archived, closed, erased, open"):
        ledger.sessions(status=word)


def test_every_filter_that_may_match_is_taken(ledger: clew.Ledger) -> None:
    session = ledger.create()
    for kind in ("turn", "tool", "model", "agent", "command", "other"):
        session.start_span(kind, "x", outcome="ok")
        assert len(session.spans(kind=kind)) == 1
    for outcome in (*clew.Outcome, "running", "waiting"):
        assert len(session.spans(outcome=outcome)) == (6 if outcome == "ok" else 0)
    for status in clew.Status:
        assert len(ledger.sessions(status=status)) == (1 if status == "open" else 0)
