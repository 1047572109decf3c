"""Projects: a confined handle sees and makes nothing but its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew.retention import Rule

from .talk import said, turns, user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARED = pytest.mark.parametrize("url", ["sqlite", "postgres", "remote"], indirect=True)


@pytest.fixture
def theirs(url: str) -> Iterator[clew.Ledger]:
    with clew.open(url, project="theirs") as ledger:
        yield ledger


@pytest.fixture
def mine(url: str, theirs: clew.Ledger) -> Iterator[clew.Ledger]:
    with clew.open(url, project="mine") as ledger:
        yield ledger
        assert ledger.verify().ok


@SHARED
def test_another_projects_ids_are_not_found_anywhere(
    mine: clew.Ledger, theirs: clew.Ledger
) -> None:
    hidden = theirs.create(title="hidden")
    hidden.extend(turns(3))
    checkpoint = hidden.checkpoint()
    place = hidden.entry(3)
    own = mine.create()
    own.extend(turns(1))
    verbs: list[Callable[[], Any]] = [
        lambda: mine.get(hidden.id),
        lambda: mine.get(hidden.id[:31]) if own.id[:31] != hidden.id[:31] else mine.get(hidden.id),
        lambda: mine.erase(hidden.id),
        lambda: mine.pin(hidden.id),
        lambda: mine.archive(hidden.id),
        lambda: mine.audit(session=hidden.id),
        lambda: mine.source_bytes(hidden.id),
        lambda: mine.trajectory(hidden.id),
        lambda: mine.search("ask", session=hidden.id),
        lambda: own.entry(place.position),
        lambda: own.branch(place),
        lambda: own.branch(checkpoint),
        lambda: own.branch(str(place.position)),
        lambda: own.restore(checkpoint.id),
        lambda: own.get_checkpoint(checkpoint.id),
        lambda: own.diff(place, None),
        lambda: own.append(user("x"), expected_head=place),
        lambda: own.compact(summary="s", keep_from=place),
    ]
    for verb in verbs:
        with pytest.raises(clew.NotFound):
            verb()
    assert [info.id for info in mine.sessions()] == [own.id]
    assert mine.projects() == ["mine"]
    assert {record.project for record in mine.audit()} == {"mine"}
    assert {hit.session for hit in mine.search("ask").hits} == {own.id}
    assert said(hidden) == [m["content"] for m in turns(3)]


@SHARED
def test_a_confined_handle_refuses_other_projects_by_name(
    mine: clew.Ledger, theirs: clew.Ledger, tmp_path: Path
) -> None:
    theirs.create()
    verbs: list[Callable[[], Any]] = [
        lambda: mine.create(project="theirs"),
        lambda: mine.session(frontend="a", user="b", project="theirs"),
        lambda: mine.sessions(project="theirs"),
        lambda: mine.usage(project="theirs"),
        lambda: mine.audit(project="theirs"),
        lambda: mine.retain("theirs", Rule(max_age_days=0)),
        lambda: mine.backup(tmp_path / "all.db"),
    ]
    for verb in verbs:
        with pytest.raises(clew.Invalid, match="confined"):
            verb()
    assert not (tmp_path / "all.db").exists()


@SHARED
def test_figures_of_a_confined_handle_are_its_own(mine: clew.Ledger, theirs: clew.Ledger) -> None:
    session = theirs.create()
    session.extend(turns(3))
    session.checkpoint()
    assert (mine.stats().sessions, mine.stats().entries, mine.stats().checkpoints) == (0, 0, 0)
    report = mine.verify()
    assert (report.sessions, report.entries, report.roots) == (0, 0, {})
    mine.create().append(user("abc"))
    assert (mine.stats().sessions, mine.stats().entries) == (1, 1)
    assert theirs.stats().entries == 6


@SHARED
def test_the_same_address_in_two_projects_is_two_sessions(
    mine: clew.Ledger, theirs: clew.Ledger
) -> None:
    one = mine.session(frontend="cli", user="1")
    two = theirs.session(frontend="cli", user="1")
    assert one.id != two.id
    two.transfer_to(frontend="web", user="1")
    assert len(mine.sessions()) == 1


def test_an_unconfined_handle_makes_and_lists_projects(ledger: clew.Ledger) -> None:
    ledger.create(project="b")
    ledger.create(project="a")
    ledger.create()
    assert ledger.projects() == ["a", "b", "default"]
    assert len(ledger.sessions(project="a")) == 1
    with pytest.raises(clew.NotFound, match="no project 'c'"):
        ledger.sessions(project="c")
    for name in ("", "\0", "\ud800"):
        with pytest.raises(clew.Invalid):
            ledger.create(project=name)
