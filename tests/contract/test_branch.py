"""Branches share what is behind them and number on; nothing is copied."""

from __future__ import annotations

import pytest

import clew

from .talk import bot, said, turns, user


def test_a_branch_shares_history_and_goes_its_own_way(ledger: clew.Ledger) -> None:
    origin = ledger.create()
    origin.extend(turns(2))
    branch = origin.branch(origin.entry(2), title="what if")
    assert branch.head == clew.Position(origin.id, 2)
    assert branch.append(user("else")).position == clew.Position(branch.id, 3)
    assert said(branch) == ["ask 1", "say 1", "else"]
    assert said(origin) == ["ask 1", "say 1", "ask 2", "say 2"]
    info = branch.info
    assert (info.forked_from, info.title) == (clew.Position(origin.id, 2), "what if")
    assert (info.entries, info.messages) == (1, 1)


def test_a_branch_at_the_root_begins_empty(ledger: clew.Ledger) -> None:
    origin = ledger.create()
    origin.extend(turns(1))
    branch = origin.branch(None)
    assert branch.head is None
    assert branch.append(user("a")).seq == 1
    assert said(branch) == ["a"]


def test_branches_of_branches(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    lineage = [session]
    for depth in range(2, 30):
        session = session.branch()
        session.extend(turns(1, depth))
        lineage.append(session)
    assert said(session) == [m["content"] for m in turns(29)]
    assert said(lineage[4]) == [m["content"] for m in turns(5)]
    side = session.branch(lineage[10].entry(lineage[10].head.seq if lineage[10].head else 0))
    side.append(bot("aside"))
    assert side.info.forked_from == clew.Position(lineage[10].id, 22)
    assert said(side) == [*[m["content"] for m in turns(11)], "aside"]


def test_a_branch_from_each_kind_of_name(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    session.restore(session.entry(3))
    checkpoint = session.checkpoint()
    session.append(user("x"))
    places: list[clew.session.At] = [
        checkpoint,
        checkpoint.id,
        checkpoint.id[:20],
        session.entry(3),
        session.history()[2],
        clew.Position(session.id, 3),
        f"{session.id}:3",
        "3",
    ]
    for place in places:
        branch = session.branch(place)
        assert branch.head == clew.Position(session.id, 3), place
    with pytest.raises(clew.Invalid, match="names no place"):
        session.branch(3.5)  # type: ignore[arg-type]


def test_a_branch_stays_when_its_origin_moves(ledger: clew.Ledger) -> None:
    origin = ledger.create(config={"model": "m"})
    origin.extend(turns(2))
    branch = origin.branch()
    origin.clear()
    origin.config["model"] = "other"
    assert len(said(branch)) == 4
    assert branch.config["model"] == "m"
    branch.config["model"] = "third"
    assert origin.config["model"] == "other"


def test_a_branch_to_an_address(ledger: clew.Ledger) -> None:
    origin = ledger.session(frontend="cli", user="1")
    origin.append(user("a"))
    branch = origin.branch(frontend="web", user="1")
    assert ledger.session(frontend="web", user="1").id == branch.id
    with pytest.raises(clew.Invalid, match="has the address"):
        origin.branch(frontend="cli", user="1")
    with pytest.raises(clew.Invalid, match="both"):
        origin.branch(frontend="cli")
    assert len(ledger.sessions()) == 2


def test_compaction_before_the_fork_holds_in_the_branch(ledger: clew.Ledger) -> None:
    origin = ledger.create()
    origin.extend(turns(4))
    origin.compact(summary="in short", keep_from=origin.entry(7))
    branch = origin.branch()
    branch.append(user("on"))
    assert [m.text for m in branch.context()] == ["in short", "ask 4", "say 4", "on"]
    early = origin.branch(origin.entry(8))
    assert len(early.context()) == 8
