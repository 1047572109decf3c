"""What the page asks of the ledger, on both databases."""

from __future__ import annotations

import pytest

import clew
from clew import stats
from clew.server.pages import going, health, session, sessions, timeline

pytestmark = pytest.mark.inside


@pytest.fixture
def told(ledger: clew.Ledger) -> clew.Session:
    """A session with turns, a compaction, a checkpoint, a branch, a failed call, usage."""
    made = ledger.create(agent="gardener")
    usage = {"input_tokens": 90, "output_tokens": 9}
    answer = {"role": "assistant", "id": "m", "model": "claude-sonnet-4-5", "usage": usage}
    for number in range(3):
        made.append({"role": "user", "content": f"prompt {number}"})
        block = {"type": "text", "text": f"answer {number}"}
        made.append({**answer, "id": f"m{number}", "content": [block]})
    mark = made.checkpoint("here")
    with (
        pytest.raises(OSError, match="blunt"),
        made.turn({"role": "user", "content": "cut"}) as turn,
        turn.tool("saw", {}),
    ):
        raise OSError("blunt")
    made.compact(summary="all about pears", keep_tokens=0)
    made.branch(mark)
    made.label("The Orchard")
    return made


@pytest.mark.parametrize("sort", ["changed", "created", "messages", "duration", "tokens"])
def test_the_list_is_sorted_and_counted(ledger: clew.Ledger, told: clew.Session, sort: str) -> None:
    other = ledger.create(agent="other")
    other.append({"role": "user", "content": "x"})
    rows = sessions._look(ledger, sessions.Query(sort=sort))  # type: ignore[arg-type]
    assert {row.info.agent for row in rows} >= {"gardener", "other"}
    (row,) = sessions._look(ledger, sessions.Query(q="orchard", compacted=True, failed=True))
    assert (row.turns, row.calls, row.failed) == (4, 1, 1)
    assert (row.branches, row.tokens_in, row.tokens_out) == (1, 270, 27)
    assert sessions._look(ledger, sessions.Query(model="none", since="1d")) == []
    assert len(sessions._look(ledger, sessions.Query(model="claude-sonnet-4-5"))) == 1


def test_the_timeline_and_the_window_are_the_same_on_both(told: clew.Session) -> None:
    found = timeline._look(told)
    kinds = [mark.kind for mark in found["marks"]]
    assert kinds.count("turn") == 4
    assert {"checkpoint", "branch", "compaction"} <= set(kinds)
    assert found["curve"].calls == 3
    shown = session._look(told, session.Query())
    assert shown["total"] == shown["end"]
    assert [card.kind for card in shown["cards"]][:2] == ["user", "assistant"]


def test_what_going_back_would_leave(told: clew.Session) -> None:
    first = told.entries()[0]
    found = going._consequences(told, str(first.position))
    assert found["left"] == len(told.entries()) - 1
    assert not found["is_head"]


def test_figures_of_work_and_room(ledger: clew.Ledger, told: clew.Session) -> None:
    tools, tiers = stats.work(ledger)
    assert [(row.name, row.calls, row.failed) for row in tools] == [("saw", 1, 1)]
    assert tiers == []
    (largest, *_rest) = health._sizes(ledger)
    assert largest["id"] == told.id
    assert largest["bytes"] > 0
