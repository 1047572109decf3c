"""Transfer: the same conversation at another address, with nothing copied and nothing lost."""

from __future__ import annotations

from typing import Literal

import pytest

import clew

from .talk import said, turns, user


def test_a_shared_conversation_has_the_same_entries_and_times(ledger: clew.Ledger) -> None:
    source = ledger.session(frontend="cli", user="1")
    source.extend(turns(2))
    target = source.transfer_to(frontend="web", user="1")
    assert target.id != source.id
    assert target.history() == source.history()
    assert ledger.session(frontend="web", user="1").id == target.id
    target.append(user("there"))
    source.append(user("here"))
    assert said(target)[-1] == "there"
    assert said(source)[-1] == "here"


def test_what_the_target_held_stays_as_a_branch(ledger: clew.Ledger) -> None:
    source = ledger.session(frontend="cli", user="1")
    source.extend(turns(1))
    target = ledger.session(frontend="web", user="1")
    target.append(user("before"))
    source.transfer_to(frontend="web", user="1")
    assert said(target) == ["ask 1", "say 1"]
    (branch,) = [info for info in ledger.sessions() if info.frontend is None]
    assert said(ledger.get(branch.id)) == ["before"]
    assert branch.forked_from == clew.Position(target.id, 1)
    target.undo()
    assert said(target) == ["before"]


def test_a_transferred_session_comes_back_from_a_clear(ledger: clew.Ledger) -> None:
    source = ledger.session(frontend="cli", user="1")
    source.extend(turns(2))
    target = source.transfer_to(frontend="web", user="1")
    there = target.checkpoint()
    target.clear()
    target.append(user("x"))
    target.restore(there)
    assert len(said(target)) == 4


@pytest.mark.parametrize("whose", ["source", "target"])
@pytest.mark.parametrize("held", [True, False])
def test_whose_settings_hold(
    ledger: clew.Ledger, whose: Literal["source", "target"], held: bool
) -> None:
    source = ledger.session(frontend="cli", user="1")
    source.config["model"] = "source's"
    source.append(user("a"))
    if held:
        ledger.session(frontend="web", user="1").config["model"] = "target's"
    target = source.transfer_to(frontend="web", user="1", config=whose)
    wanted = {"model": f"{whose}'s"} if held or whose == "source" else {}
    assert dict(target.config) == wanted
    assert said(target) == ["a"]
    with pytest.raises(clew.Invalid, match="config="):
        source.transfer_to(frontend="x", user="1", config="both")  # type: ignore[arg-type]


def test_move_takes_the_address_along(ledger: clew.Ledger) -> None:
    source = ledger.session(frontend="cli", user="1")
    source.append(user("a"))
    target = ledger.session(frontend="web", user="1")
    target.append(user("b"))
    assert source.transfer_to(frontend="web", user="1", move=True).id == source.id
    assert ledger.session(frontend="web", user="1").id == source.id
    assert said(target) == ["b"]
    assert (target.info.frontend, target.info.user) == (None, None)
    assert ledger.session(frontend="cli", user="1").id not in {source.id, target.id}


def test_to_its_own_address_is_nothing(ledger: clew.Ledger) -> None:
    source = ledger.session(frontend="cli", user="1")
    before = len(ledger.audit())
    for move in (True, False):
        assert source.transfer_to(frontend="cli", user="1", move=move).id == source.id
    assert len(ledger.audit()) == before


def test_of_an_empty_session(ledger: clew.Ledger) -> None:
    target = ledger.session(frontend="cli", user="1").transfer_to(frontend="web", user="1")
    assert target.history() == []
    target.append(user("a"))


def test_to_a_leased_session_is_refused_whole(ledger: clew.Ledger) -> None:
    source = ledger.session(frontend="cli", user="1")
    source.append(user("a"))
    target = ledger.session(frontend="web", user="1")
    target.append(user("b"))
    with target.lease("somebody"), pytest.raises(clew.Leased):
        source.transfer_to(frontend="web", user="1")
    assert said(target) == ["b"]
    assert len(ledger.sessions()) == 2
