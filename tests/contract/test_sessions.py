"""Finding sessions: by id, by a prefix, by address, and page by page."""

from __future__ import annotations

from typing import Any

import pytest

import clew

from .talk import turns, user


def test_the_session_at_an_address_is_always_the_same(ledger: clew.Ledger) -> None:
    one = ledger.session(frontend="cli", user="42", agent="a")
    assert ledger.session(frontend="cli", user="42").id == one.id
    assert ledger.session(frontend="cli", user="4").id != one.id
    assert ledger.session(frontend="cli:4", user="2").id != one.id
    info = one.info
    assert (info.frontend, info.user, info.agent) == ("cli", "42", "a")


@pytest.mark.parametrize("text", ["", "a\0b", "\ud800"])
def test_an_address_that_no_database_can_hold_is_refused(ledger: clew.Ledger, text: str) -> None:
    with pytest.raises(clew.Invalid):
        ledger.session(frontend=text, user="1")
    with pytest.raises(clew.Invalid):
        ledger.session(frontend="1", user=text)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_title_that_no_database_can_hold_is_refused(ledger: clew.Ledger, text: str) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid):
        session.label(text)
    with pytest.raises(clew.Invalid):
        ledger.create(title=text)
    with pytest.raises(clew.Invalid):
        session.checkpoint(text)
    with pytest.raises(clew.Invalid):
        session.append(user("a"), idempotency_key=text)
    assert session.entries() == []


def test_a_session_is_found_by_a_prefix(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert ledger.get(session.id).id == session.id
    assert ledger.get(session.id[:12]).id == session.id
    for short in ("", "abc"):
        with pytest.raises(clew.Invalid, match="too short"):
            ledger.get(short)
    for unknown in ("f" * 32, "feed", "%%%%", session.id + "0", "\0" * 8, "\ud800" * 8):
        with pytest.raises(clew.NotFound):
            ledger.get(unknown)
    more = [ledger.create() for _ in range(3)]
    with pytest.raises(clew.Invalid, match="ambiguous"):
        ledger.get(more[0].id[:5])


def test_pages_follow_one_another(ledger: clew.Ledger) -> None:
    made = [ledger.create() for _ in range(7)]
    for session in made:
        session.append(user("x"), time_ms=1_700_000_000_000)  # all at the same moment
    made[2].append(user("y"), time_ms=1_800_000_000_000)
    whole = ledger.sessions()
    assert whole[0].id == made[2].id
    pages: list[clew.SessionInfo] = []
    last: clew.SessionInfo | None = None
    while page := ledger.sessions(limit=3, after=last):
        pages += page
        last = page[-1]
    assert pages == whole
    assert len({info.id for info in pages}) == 7


def test_filters(ledger: clew.Ledger) -> None:
    one = ledger.session(frontend="cli", user="1", agent="a")
    two = ledger.create(project="p", agent="b")
    three = ledger.create(spawned_by=f"{two.id}#call_1")
    one.append(user("x"), time_ms=1_000)
    two.append(user("x"), time_ms=2_000)
    ledger.archive(two.id)

    def found(**filters: Any) -> set[str]:
        return {info.id for info in ledger.sessions(**filters)}

    assert found() == {one.id, two.id}
    assert found(spawned=True) == {one.id, two.id, three.id}
    assert found(frontend="cli") == found(user="1") == found(agent="a") == {one.id}
    assert found(status="archived") == found(project="p") == {two.id}
    assert found(until_ms=1_001) == {one.id}
    assert ledger.get(three.id).info.spawned_by == f"{two.id}#call_1"


def test_an_archived_session_is_read_and_not_written(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    ledger.archive(session.id)
    assert session.info.status == clew.Status.ARCHIVED
    assert len(session.history()) == 2
    with pytest.raises(clew.Stale, match="archived"):
        session.append(user("x"))
    assert len(session.branch().history()) == 2
    ledger.archive(session.id, archived=False)
    session.append(user("x"))


def test_an_erased_session_is_not_archived_back_to_life(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    ledger.erase(session.id)
    for archived in (True, False):
        with pytest.raises(clew.ClewError, match="erased"):
            ledger.archive(session.id, archived)
    assert ledger.get(session.id).info.status == clew.Status.ERASED
