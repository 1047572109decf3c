"""The audit log: one record a verb, no content, and every change behind its back shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew.retention import Rule

from .talk import behind, turns, user

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "quicksilver"


def _tell(ledger: clew.Ledger) -> clew.Session:
    """A session with something of everything, and the same secret in all of it."""
    session = ledger.session(frontend="cli", user="1")
    session.extend([user(f"{SECRET} {n}") for n in range(6)], idempotency_key=SECRET)
    session.config["prompt"] = SECRET
    session.label(SECRET)
    made = session.checkpoint(SECRET)
    session.compact(summary=SECRET, keep_from=session.entry(4))
    session.restore(made)
    session.undo()
    session.branch(title=SECRET)
    session.clear()
    session.replace_history([user(SECRET)])
    session.reset(keep_config=False)
    session.transfer_to(frontend="web", user="1")
    return session


@pytest.mark.inside
def test_no_record_holds_content(ledger: clew.Ledger, tmp_path: Path) -> None:
    session = _tell(ledger)
    ledger.archive(session.id)
    ledger.archive(session.id, archived=False)
    ledger.backup(tmp_path / "copy.db")
    ledger.erase(session.id, with_branches=True)
    rows = behind(ledger, "select actor, action, facts from audit")
    assert len(rows) > 15
    assert SECRET not in str(rows)
    assert SECRET not in str(ledger.audit(limit=1000))


VERBS: dict[str, Callable[[clew.Ledger, clew.Session], Any]] = {
    "create": lambda ledger, _s: ledger.create(),
    "config": lambda _l, session: session.config.__setitem__("x", 1),
    "checkpoint": lambda _l, session: session.checkpoint("named"),
    "restore": lambda _l, session: session.restore("root"),
    "undo": lambda _l, session: session.undo(),
    "clear": lambda _l, session: session.clear(),
    "reset": lambda _l, session: session.reset(),
    "replace": lambda _l, session: session.replace_history([user("x")]),
    "archive": lambda ledger, session: ledger.archive(session.id),
    "pin": lambda ledger, session: ledger.pin(session.id),
    "erase": lambda ledger, session: ledger.erase(session.id),
    "retention": lambda ledger, _s: ledger.retain("default", Rule(max_age_days=1)),
}


@pytest.mark.parametrize("action", VERBS)
def test_each_verb_leaves_one_record(ledger: clew.Ledger, action: str) -> None:
    session = ledger.create()
    session.extend(turns(2))
    before = {record.chain for record in ledger.audit()}
    VERBS[action](ledger, session)
    added = [record for record in ledger.audit() if record.chain not in before]
    assert [record.action for record in added] == [action]
    assert added[0].project == "default"
    assert added[0].actor == ledger.actor
    if action == "clear":
        assert added[0].facts["messages_left"] == 4
    if action == "erase":
        assert added[0].facts["entries"] == 4


def test_verbs_that_concern_two_sessions_leave_a_record_in_both(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(3))
    branch = session.branch()
    assert [r.action for r in ledger.audit(session=session.id)] == ["branch", "create"]
    assert [r.action for r in ledger.audit(session=branch.id)] == ["create"]
    target = session.transfer_to(frontend="web", user="1")
    assert [r.action for r in ledger.audit(session=target.id)] == ["transfer", "create"]
    assert ledger.audit(session=session.id, action="transfer")[0].facts["to"] == target.id
    made = session.compact(summary="s", keep_from=session.entry(5))
    (newest,) = ledger.audit(session=session.id, action="compaction")
    assert newest.facts["covered"] == 4
    assert newest.facts["checkpoint"] == made.id, "one record tells of both"


@pytest.mark.inside
def test_the_log_is_filtered_and_limited(url: str) -> None:
    with clew.open(url, actor="robot") as ledger:
        for _ in range(5):
            ledger.create().checkpoint()
        assert {record.actor for record in ledger.audit()} == {"robot"}
        assert len(ledger.audit(action="create")) == 5
        assert len(ledger.audit(limit=3)) == 3
        assert ledger.audit(since_ms=ledger.audit()[0].time_ms + 1) == []


def test_an_append_is_its_own_record(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    session.label("y")
    assert [record.action for record in ledger.audit()] == ["create"]


def test_roots_move_with_every_record(ledger: clew.Ledger) -> None:
    session = ledger.create()
    before = ledger.verify().roots
    session.checkpoint()
    assert ledger.verify().roots.keys() == before.keys()
    assert ledger.verify().roots != before


# --- damage --------------------------------------------------------------------------------

DAMAGE: dict[str, tuple[list[str], str]] = {
    "an entry's words": (
        ["update entry set body = ? where seq = 3"],
        r"entry 3 was changed",
    ),
    "an entry's role": (["update entry set role = 'system' where seq = 3"], "entry 3 was changed"),
    "an entry's time": (["update entry set time_ms = 5 where seq = 3"], "entry 3 was changed"),
    "an entry's facts": (
        ["update entry set meta = '{}' where kind = 'compaction'"],
        "entry 9 was changed",
    ),
    "an entry is gone": (["delete from entry where seq = 3"], "entries 3 to 3 are missing"),
    "the last entry is gone": (
        ["delete from entry where seq = 9"],
        "the log ends at entry 8; its head says 9",
    ),
    "two entries swapped": (
        [
            "update entry set seq = 99 where seq = 3",
            "update entry set seq = 3 where seq = 4",
            "update entry set seq = 4 where seq = 99",
        ],
        "entry 3 was changed",
    ),
    "a line hangs elsewhere": (
        ["update line set parent_session = 1, parent_seq = 2 where start = 1"],
        "entry 1 was changed",
    ),
    "a line is gone": (["delete from line where start = 1"], "entry 1 was changed"),
    "the head is elsewhere": (["update head set at_seq = 5"], "its head"),
    "the head is at nothing": (["update head set at_seq = 500"], "entry 500, which is not there"),
    "the count of messages": (["update head set messages = 77"], "its head says 77"),
    "a record's words": (
        ["""update audit set facts = '{"seq":8}' where number = 2 and session > 0"""],
        r"audit record 2 \(checkpoint\) was changed",
    ),
    "a record's actor": (
        ["update audit set actor = 'nobody' where number = 3"],
        r"audit record 3 \(compaction\) was changed",
    ),
    "a record that is no JSON": (
        ["update audit set facts = 'x' where number = 3"],
        r"audit record 3 \(compaction\) was changed",
    ),
    "a record with a text for a number": (
        ["""update audit set facts = '{"seq":"x"}' where number = 3"""],
        r"audit record 3 \(compaction\) was changed",
    ),
    "a record is gone": (
        ["delete from audit where number = 2 and session > 0"],
        "audit records 2 to 2 are missing",
    ),
    "the last record is gone": (
        ["delete from audit where number = 4 and session > 0"],
        "the audit log ends at record 3; its session says 4",
    ),
    "two records swapped": (
        [
            "update audit set number = 99 where number = 2 and session > 0",
            "update audit set number = 2 where number = 3 and session > 0",
            "update audit set number = 3 where number = 99 and session > 0",
        ],
        r"audit record 2 \(compaction\) was changed",
    ),
    "a checkpoint points elsewhere": (
        ["update checkpoint set pre_seq = 1"],
        "is not as the audit log has it",
    ),
    "a checkpoint is gone": (
        ["delete from checkpoint where reason = 'manual'"],
        "checkpoint [0-9a-f]+ is missing",
    ),
    "a move goes elsewhere": (
        ["update move set to_seq = 1"],
        "move 1 is not as the audit log has it",
    ),
    "a move is gone": (["delete from move"], "0 moves are stored; its head says 1"),
    "an event is gone": (
        ["delete from event where kind = 'checkpoint' and number = 1"],
        "events 1 to 1 are missing",
    ),
    "the last event is gone": (
        ["delete from event where number = 5"],
        "the events end at 4; its head says 5",
    ),
    "an event's words": (
        ["update event set body = ? where kind = 'start'"],
        "event 4 was changed",
    ),
    "an event of another turn": (["update event set turn = 9 where number = 2"], "event 2 was"),
    "a span ran longer": (
        ["update span set latency_us = 99"],
        "is not as its events have it .latency_us",
    ),
    "a span is gone": (["delete from span"], "span [0-9a-f]+ is missing"),
    "a turn is another": (
        ["update entry set turn = 7 where seq = 5"],
        "entry 5 is filed under turn 7; it belongs to [0-9]",
    ),
    "a blob is gone": (["delete from blob"], "entry 2 was changed"),
    "a blob's bytes": (["update blob set body = ?"], "blob [0-9a-f]+ was changed"),
    "the head's row is gone": (["delete from head"], "its head is missing"),
}


@pytest.mark.damaged
@pytest.mark.parametrize("what", DAMAGE)
def test_a_change_behind_the_ledgers_back_is_named(ledger: clew.Ledger, what: str) -> None:
    session = ledger.create()
    session.append(user("first"))
    session.append(user("long " * 2000))
    session.extend(turns(3))
    session.checkpoint("one")
    session.compact(summary="s", keep_from=session.entry(5))
    session.restore(session.entry(7))
    span = session.start_span("tool", "ls")
    session.update_span(span.id, outcome="ok", latency_ms=5)
    assert ledger.verify().ok
    statements, named = DAMAGE[what]
    for statement in statements:
        behind(ledger, statement, [b'{"role":"user","content":"forged"}'] * statement.count("?"))
    report = ledger.verify()
    assert not report.ok
    assert any(_found(named, problem) for problem in report.problems), report.problems
    if "record" in what:
        assert not ledger.verify(audit_only=True).ok


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


@pytest.mark.damaged
def test_a_change_of_a_projects_chain_is_named(ledger: clew.Ledger) -> None:
    ledger.retain("default", Rule(max_age_days=1))
    ledger.retain("default", Rule(max_age_days=2))
    behind(ledger, "update audit set actor = 'nobody' where session = 0 and number = 1")
    (problem,) = ledger.verify().problems
    assert "project default: audit record 1 (retention) was changed" in problem
