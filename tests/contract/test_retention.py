"""Retention and `gc`: rules say what may go, and only an explicit `gc` takes it."""

from __future__ import annotations

import pytest

import clew
from clew.retention import DAY_MS, Rule

from .talk import turns, user

NOW = 1_800_000_000_000


def _session(ledger: clew.Ledger, days: float, *, chars: int = 10) -> clew.Session:
    session = ledger.create()
    session.append(user("x" * chars), time_ms=NOW - int(days * DAY_MS))
    return session


def test_without_a_rule_nothing_goes(ledger: clew.Ledger) -> None:
    _session(ledger, 5000)
    assert ledger.gc(dry_run=False, now_ms=NOW).sessions == ()
    assert len(ledger.sessions()) == 1


def test_old_sessions_go_and_the_dry_run_says_which(ledger: clew.Ledger) -> None:
    old, young, pinned = (_session(ledger, days) for days in (40, 5, 50))
    ledger.pin(pinned.id)
    _behind_times(ledger)
    ledger.retain("default", Rule(max_age_days=30))
    dry = ledger.gc(now_ms=NOW)
    assert dry.dry_run
    (going,) = dry.sessions
    assert (going.session, going.project, going.why) == (old.id, "default", "40 days old")
    assert len(ledger.sessions()) == 3
    assert ledger.gc(dry_run=False, now_ms=NOW).sessions == dry.sessions
    assert {info.id for info in ledger.sessions()} == {young.id, pinned.id}
    assert ledger.audit(action="gc")[0].facts["sessions"] == 1
    ledger.pin(pinned.id, False)
    _behind_times(ledger)
    assert [g.session for g in ledger.gc(now_ms=NOW).sessions] == [pinned.id]


def _behind_times(ledger: clew.Ledger) -> None:
    """Pinning is a change of today; put each session back to when it was last spoken in."""
    from .talk import behind

    behind(
        ledger,
        "update head set updated_ms = (select max(e.time_ms) from entry e"
        " where e.session = head.session)",
    )


def test_the_newest_that_fit_stay(ledger: clew.Ledger) -> None:
    made = [_session(ledger, days, chars=1000) for days in (4, 3, 2, 1)]
    ledger.retain("default", Rule(max_bytes=2_500))
    going = ledger.gc(dry_run=False, now_ms=NOW).sessions
    assert {g.session for g in going} == {made[0].id, made[1].id}
    assert all("budget" in g.why and g.bytes > 1000 for g in going)
    assert ledger.gc(now_ms=NOW).sessions == ()


def test_old_checkpoints_are_hidden_but_the_newest(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    made = [session.checkpoint(str(number)) for number in range(3)]
    pinned = ledger.create()
    pinned.checkpoint()
    pinned.checkpoint()
    ledger.pin(pinned.id)
    ledger.retain("default", Rule(checkpoint_days=1))
    later = made[-1].created_ms + 2 * DAY_MS
    assert ledger.gc(now_ms=later).checkpoints == 2
    assert len(session.checkpoints()) == 3
    assert ledger.gc(dry_run=False, now_ms=later).checkpoints == 2
    assert session.checkpoints() == [made[-1]]
    assert len(pinned.checkpoints()) == 2
    assert ledger.audit(action="gc")[0].facts["checkpoints"] == 2


def test_a_rule_holds_for_its_project_only(ledger: clew.Ledger) -> None:
    _session(ledger, 100)
    ledger.retain("other", Rule(max_age_days=1))
    assert ledger.gc(now_ms=NOW).sessions == ()


@pytest.mark.parametrize(
    "rule", [Rule(max_age_days=-1), Rule(max_bytes=-5), Rule(checkpoint_days=float("nan"))]
)
def test_a_rule_that_makes_no_sense_is_refused(ledger: clew.Ledger, rule: Rule) -> None:
    with pytest.raises(clew.Invalid, match="not negative"):
        ledger.retain("default", rule)


def test_what_gc_takes_leaves_branches_whole(ledger: clew.Ledger) -> None:
    old = _session(ledger, 40)
    branch = old.branch()
    branch.append(user("new"), time_ms=NOW)
    _behind_times(ledger)
    ledger.retain("default", Rule(max_age_days=30))
    assert [g.session for g in ledger.gc(dry_run=False, now_ms=NOW).sessions] == [old.id]
    assert [m.text for m in branch.history()] == ["x" * 10, "new"]
