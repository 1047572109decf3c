"""Figures: counted once, however often a record repeats a call."""

from __future__ import annotations

from typing import Any

import pytest

import clew

from .talk import turns, user

DAY = 86_400_000
MONDAY = 1_780_272_000_000


def _answer(id: str, model: str = "m-1", **usage: int) -> dict[str, Any]:
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "x"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 0, "output_tokens": 0, **usage},
    }


def test_a_repeated_call_counts_once_field_by_field_the_maximum(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(_answer("msg_1", input_tokens=10, output_tokens=2))
    session.append(_answer("msg_1", input_tokens=10, output_tokens=7))
    session.append(_answer("msg_1", input_tokens=4, output_tokens=5, cache_read_input_tokens=3))
    session.append(_answer("msg_2", input_tokens=1, output_tokens=1))
    branch = session.branch()
    branch.append(_answer("msg_1", input_tokens=10, output_tokens=7))
    (row,) = ledger.usage()
    assert (row.calls, row.input, row.output, row.cache_read) == (2, 11, 8, 3)
    assert (row.cost, row.cost_unknown) == (0.0, 2)


def test_usage_by_day_model_and_project(ledger: clew.Ledger) -> None:
    for number, (project, model) in enumerate([("a", "m-1"), ("a", "m-2"), ("b", "m-1")]):
        session = ledger.create(project=project)
        answer = _answer(f"msg_{number}", model, input_tokens=10**number)
        session.append(answer, time_ms=MONDAY + number * DAY + 5)
    assert {row.key: row.input for row in ledger.usage()} == {
        "2026-06-01": 1,
        "2026-06-02": 10,
        "2026-06-03": 100,
    }
    assert {row.key: row.input for row in ledger.usage(by="model")} == {"m-1": 101, "m-2": 10}
    assert {row.key: row.input for row in ledger.usage(by="project")} == {"a": 11, "b": 100}
    assert [row.input for row in ledger.usage(project="b")] == [100]
    assert [row.input for row in ledger.usage(since=MONDAY + DAY, until=MONDAY + 2 * DAY)] == [10]
    with pytest.raises(clew.Invalid, match="group by"):
        ledger.usage(by="hour")  # type: ignore[arg-type]


def test_stats_count_what_is_there(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(3))
    session.checkpoint()
    ledger.create(spawned_by=session.id).append(user("sub"))
    gone = ledger.create()
    gone.append(user("gone"))
    ledger.erase(gone.id)
    ledger.index_now()
    stats = ledger.stats()
    assert (stats.sessions, stats.subagents, stats.checkpoints) == (2, 1, 1)
    assert stats.entries == 8
    assert stats.body_bytes > 100
    assert sum(stats.disk.values()) > 10_000
    assert (stats.search, stats.search_behind) == ("current", 0)


@pytest.mark.inside
def test_search_that_is_off_says_so(url: str) -> None:
    with clew.open(url, search=False) as ledger:
        ledger.create().append(user("x"))
        assert ledger.stats().search == "disabled"
        assert ledger.search("x").index == "disabled"


def test_a_count_that_no_call_can_have_does_not_cost_the_message(ledger: clew.Ledger) -> None:
    usage = {"input_tokens": 10**30, "output_tokens": 3}
    message = {"role": "assistant", "id": "m1", "model": "m", "content": "hi", "usage": usage}
    ledger.create().append(message)
    (row,) = ledger.usage(by="model")
    assert (row.calls, row.output) == (1, 3)
