"""Snapshots: the agent's own state lies on the path, like everything else of a session."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import pytest

import clew

from .talk import behind, file_of, said, turns, user

if TYPE_CHECKING:
    from collections.abc import Callable


def states(session: clew.Session) -> list[Any]:
    """The states on the path, newest first."""
    return [snapshot.state for snapshot in session.snapshots()]


def test_there_is_none_at_first(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert session.load_snapshot() is None
    assert session.snapshots() == []
    assert session.delete_snapshot() is False


def test_the_newest_is_in_force_and_the_older_ones_are_kept(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    first = session.snapshot({"step": 1, "todo": ["a", None, 1.5]})
    assert (first.session, first.version, first.state) == (session.id, 3, first.state)
    assert first.at == session.entry(2).position
    assert session.load_snapshot() == first
    session.extend(turns(1, 2))
    second = session.snapshot({"step": 2})
    assert second.version > first.version
    assert session.load_snapshot() == second
    assert session.snapshots() == [second, first]
    assert session.snapshots(limit=1) == [second]
    assert said(session) == ["ask 1", "say 1", "ask 2", "say 2"]  # a state is no message


def test_what_equals_the_current_one_is_not_stored_again(ledger: clew.Ledger) -> None:
    session = ledger.create()
    first = session.snapshot({"a": 1, "b": [1, 2]})
    assert session.snapshot({"b": [1, 2], "a": 1}) == first
    assert session.snapshot({"b": (1, 2), "a": 1}) == first
    assert session.info.entries == 1
    assert session.snapshot({"a": 1.0, "b": [1, 2]}) != first
    third = session.snapshot({"a": 1, "b": [1, 2]})
    assert (third.digest, third.state) == (first.digest, first.state)
    assert third.version == 3


def test_a_big_state_is_stored_once(ledger: clew.Ledger) -> None:
    session = ledger.create()
    big = {"text": "é" * 50_000}
    session.snapshot(big)
    session.snapshot("other")
    session.snapshot(big)
    assert behind(ledger, "select count(*) from blob") == [(1,)]
    assert states(session) == [big, "other", big]


def test_two_writers_do_not_overwrite_each_other(ledger: clew.Ledger) -> None:
    session = ledger.create()
    one, other = ledger.get(session.id), ledger.get(session.id)
    first = one.snapshot("by one", expected_version=None)
    with pytest.raises(clew.Conflict, match="holds state version 1, not None") as caught:
        other.snapshot("by other", expected_version=None)
    assert [entry.seq for entry in caught.value.missed] == [first.version]
    second = other.snapshot("by other", expected_version=first.version)
    with pytest.raises(clew.Conflict, match="not 1"):
        one.snapshot("by one again", expected_version=first.version)
    with pytest.raises(clew.Conflict):
        one.snapshot("by other", expected_version=first.version)  # equal, and not his
    assert session.load_snapshot() == second
    assert one.snapshot("anyhow").version == 3


def test_of_many_at_once_one_wins_each_version(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.snapshot({"count": 0})
    lost = []

    def add() -> None:
        handle = ledger.get(session.id)
        for _ in range(5):
            while True:
                now = handle.load_snapshot()
                assert now is not None
                try:
                    handle.snapshot({"count": now.state["count"] + 1}, expected_version=now.version)
                    break
                except clew.Conflict:
                    lost.append(1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states(session) == [{"count": number} for number in range(20, -1, -1)]


def test_deleting_leaves_the_older_ones_restorable(ledger: clew.Ledger) -> None:
    session = ledger.create()
    first = session.snapshot("old")
    mark = session.checkpoint()
    assert session.delete_snapshot() is True
    assert session.load_snapshot() is None
    assert session.delete_snapshot() is False
    assert session.snapshots() == [first]
    with pytest.raises(clew.Conflict, match="None"):
        session.snapshot("new", expected_version=first.version)
    session.snapshot("new", expected_version=None)
    assert states(session) == ["new", "old"]
    session.restore(mark)
    assert session.load_snapshot() == first


def test_restoring_a_checkpoint_brings_its_state_back(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    session.snapshot({"step": 1})
    mark = session.checkpoint("one")
    session.extend(turns(1, 2))
    session.snapshot({"step": 2})
    session.restore(mark)
    assert states(session) == [{"step": 1}]
    session.snapshot({"step": "1b"}, expected_version=3)
    assert states(session) == [{"step": "1b"}, {"step": 1}]
    session.restore("root")
    assert session.load_snapshot() is None
    session.undo()
    assert states(session) == [{"step": "1b"}, {"step": 1}]


def test_undoing_a_turn_takes_its_state_back(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    first = session.snapshot({"step": 1})
    session.extend(turns(1, 2))
    session.snapshot({"step": 2})
    session.undo()
    assert session.load_snapshot() == first
    assert said(session) == ["ask 1", "say 1"]


def test_a_branch_inherits_the_state_and_goes_its_own_way(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.snapshot("shared")
    session.append(user("x"))
    fork = session.branch()
    inherited = fork.load_snapshot()
    assert inherited is not None
    assert (inherited.session, inherited.version, inherited.state) == (session.id, 1, "shared")
    fork.snapshot("of the branch", expected_version=1)
    session.snapshot("of the trunk", expected_version=1)
    assert states(fork) == ["of the branch", "shared"]
    assert states(session) == ["of the trunk", "shared"]
    fork.delete_snapshot()
    assert session.load_snapshot() is not None
    early = session.branch(None)
    assert early.load_snapshot() is None


def test_clear_starts_without_a_state_and_a_transfer_takes_it_along(ledger: clew.Ledger) -> None:
    session = ledger.session(frontend="a", user="u")
    session.append(user("x"))
    session.snapshot("mine")
    taken = session.transfer_to(frontend="b", user="u")
    assert states(taken) == ["mine"]
    session.clear()
    assert session.load_snapshot() is None
    assert states(taken) == ["mine"]
    session.undo()
    assert states(session) == ["mine"]


def test_a_compaction_leaves_the_state(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    session.snapshot({"step": 2})
    session.extend(turns(2, 3))
    session.compact(summary="s", keep_from=session.entry(6))
    assert states(session) == [{"step": 2}]
    assert session.view().repaired == ()


@pytest.mark.parametrize(
    "state",
    [None, math.nan, {"a": [math.inf]}, {"a": object()}, "\ud800", {"a": "\udfff"}, 10**5000],
    ids=lambda state: str(type(state)),
)
def test_what_is_no_json_is_refused(ledger: clew.Ledger, state: Any) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid):
        session.snapshot(state)
    assert session.load_snapshot() is None


@pytest.mark.parametrize("state", [{}, [], "", 0, False, "nul \0", 2**70, {"": {"": []}}], ids=repr)
def test_odd_states_are_kept(ledger: clew.Ledger, state: Any) -> None:
    session = ledger.create()
    assert session.snapshot(state).state == state
    loaded = session.load_snapshot()
    assert loaded is not None
    assert (loaded.state, type(loaded.state)) == (state, type(state))
    assert session.snapshot(state) == loaded


@pytest.mark.parametrize("limit", [0, -1, 1.5, None])
def test_an_odd_limit_is_refused(ledger: clew.Ledger, limit: Any) -> None:
    with pytest.raises(clew.Invalid):
        ledger.create().snapshots(limit=limit)


REFUSED: list[Callable[[clew.Session], Any]] = [
    lambda session: session.snapshot("x"),
    lambda session: session.delete_snapshot(),
]


@pytest.mark.parametrize("verb", REFUSED)
def test_a_lease_and_an_archive_hold(
    ledger: clew.Ledger, verb: Callable[[clew.Session], Any]
) -> None:
    session = ledger.create()
    session.snapshot("before")
    other = ledger.get(session.id)
    with session.lease("me"):
        with pytest.raises(clew.Leased):
            verb(other)
        verb(session)
    ledger.archive(session.id)
    with pytest.raises(clew.Stale):
        verb(ledger.get(session.id))


def test_erase_takes_the_states_and_leaves_nothing_to_guess_from(
    ledger: clew.Ledger, url: str
) -> None:
    session = ledger.create()
    digests = [session.snapshot({"pin": "zebra", "n": n}).digest for n in range(3)]
    digests.append(session.snapshot("zebra" * 2000).digest)
    ledger.erase(session.id)
    again = ledger.get(session.id)
    assert [snapshot.state for snapshot in again.snapshots()] == [None] * 4
    assert {snapshot.digest for snapshot in again.snapshots()} == {""}
    rows = repr([behind(ledger, f"select * from {table}") for table in ("entry", "blob", "audit")])
    assert "zebra" not in rows
    for digest in digests:
        # A digest without salt would let anybody try which state it was.
        assert digest not in rows
        assert repr(bytes.fromhex(digest)) not in rows
    file = file_of(url)
    if file is not None:
        assert b"zebra" not in file.read_bytes()


def test_a_branch_keeps_the_state_that_it_shares(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.snapshot("shared")
    fork = session.branch()
    session.snapshot("own")
    ledger.erase(session.id)
    assert states(fork) == ["shared"]
    assert fork.snapshot("shared").version == 1
