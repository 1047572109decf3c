"""Leases: one writer until it expires, and a fencing token that a late owner cannot get past."""

from __future__ import annotations

import time

import pytest

import clew

from .talk import said, user


def test_only_the_holder_writes(ledger: clew.Ledger) -> None:
    mine = ledger.create()
    other = ledger.get(mine.id)
    with mine.lease("me") as lease:
        mine.append(user("a"))
        with pytest.raises(clew.Leased, match="'me'"):
            other.append(user("b"))
        for verb in (other.clear, other.checkpoint, other.undo, lambda: other.restore("root")):
            with pytest.raises(clew.Leased):
                verb()
        with pytest.raises(clew.Leased):
            other.lease("you")
        assert said(other) == ["a"], "a lease does not forbid to read"
        assert other.branch().id != mine.id, "nor to branch"
        assert lease.token == 1
    other.append(user("b"))
    assert said(mine) == ["a", "b"]


def test_an_expired_lease_is_taken_over_and_its_owner_fenced_off(ledger: clew.Ledger) -> None:
    slow = ledger.create()
    quick = ledger.get(slow.id)
    old = slow.lease("slow", seconds=0.05)
    slow.append(user("a"))
    time.sleep(0.06)
    new = quick.lease("quick")
    assert old.token is not None
    assert new.token is not None
    assert new.token > old.token
    with pytest.raises(clew.Leased, match="taken over"):
        slow.append(user("late"))
    with pytest.raises(clew.Leased):
        old.renew()
    old.release()
    with pytest.raises(clew.Leased, match="quick"):
        slow.append(user("late"))
    quick.append(user("b"))
    new.release()
    slow.append(user("c"))
    assert said(slow) == ["a", "b", "c"]


def test_a_late_owner_is_fenced_off_after_the_takeover_ended(ledger: clew.Ledger) -> None:
    slow = ledger.create()
    slow.lease("slow", seconds=0.02)
    time.sleep(0.03)
    with ledger.get(slow.id).lease("quick"):
        pass
    with pytest.raises(clew.Leased, match="taken over"):
        slow.append(user("late"))


def test_renewing_holds_on(ledger: clew.Ledger) -> None:
    mine = ledger.create()
    lease = mine.lease("me", seconds=0.2)
    token = lease.token
    lease.renew(60)
    time.sleep(0.21)
    assert lease.token == token
    with pytest.raises(clew.Leased):
        ledger.get(mine.id).append(user("b"))
    mine.append(user("a"))
    lease.release()
    lease.release()
    ledger.get(mine.id).append(user("b"))


def test_an_expired_lease_does_not_bar_others(ledger: clew.Ledger) -> None:
    mine = ledger.create()
    mine.lease("me", seconds=0.01)
    time.sleep(0.02)
    ledger.get(mine.id).append(user("b"))
    assert said(mine) == ["b"]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_lease_lasts_for_some_time(ledger: clew.Ledger, seconds: float) -> None:
    with pytest.raises(clew.Invalid, match="seconds"):
        ledger.create().lease("me", seconds=seconds)


def test_a_closed_or_evicted_handle_is_stale(ledger: clew.Ledger) -> None:
    session = ledger.create()
    one, two = ledger.get(session.id), ledger.get(session.id)
    one.close()
    with pytest.raises(clew.Stale, match="closed"):
        one.append(user("a"))
    assert ledger.evict([session.id, "unknown"]) == 2
    for handle in (two, session):
        for verb in (handle.history, handle.checkpoint, lambda h=handle: h.lease("x")):
            with pytest.raises(clew.Stale, match="evicted"):
                verb()
        with pytest.raises(clew.Stale):
            handle.config["x"] = 1
        with pytest.raises(clew.Stale):
            handle.head
    ledger.get(session.id).append(user("a"))
