"""Many at once: threads on one ledger, two ledgers on one database, and no unit in between."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import apsw
import psycopg
import pytest

import clew
from clew.db.database import Job
from clew.drafts import message_draft
from clew.moves import ANY

from .talk import said, turns, user

if TYPE_CHECKING:
    from collections.abc import Callable

    from clew.db import Tx

KEPT = pytest.mark.parametrize("url", ["sqlite", "postgres", "remote"], indirect=True)


def _all(*verbs: Callable[[], Any]) -> list[BaseException]:
    """Run verbs at the same time; gives what they raised."""
    raised: list[BaseException] = []
    start = threading.Barrier(len(verbs))

    def run(verb: Callable[[], Any]) -> None:
        start.wait()
        try:
            verb()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_threads_share_one_ledger(ledger: clew.Ledger) -> None:
    shared = ledger.create()
    own = [ledger.create() for _ in range(4)]

    def write(session: clew.Session, name: str) -> None:
        for number in range(15):
            session.append(user(f"{name} {number}"))
            shared.extend([user(f"{name} {number} a"), user(f"{name} {number} b")])
            assert shared.tail(1)

    raised = _all(*(lambda s=s, n=n: write(s, str(n)) for n, s in enumerate(own)))
    assert raised == []
    for number, session in enumerate(own):
        assert said(session) == [f"{number} {n}" for n in range(15)]
    words = said(shared)
    assert len(words) == 120
    for first, second in zip(words[::2], words[1::2], strict=True):
        assert (first[:-2], first[-1], second[-1]) == (second[:-2], "a", "b"), "units interleaved"


def test_only_one_of_many_gets_past_an_expected_head(ledger: clew.Ledger) -> None:
    session = ledger.create()
    head = session.append(user("start"))
    raised = _all(*(lambda n=n: session.append(user(str(n)), expected_head=head) for n in range(8)))
    assert len(raised) == 7
    assert all(type(error) is clew.Conflict for error in raised)
    assert len(said(session)) == 2


def test_one_address_makes_one_session(ledger: clew.Ledger) -> None:
    found: list[str] = []
    raised = _all(
        *(lambda: found.append(ledger.session(frontend="f", user="u").id) for _ in range(6))
    )
    assert raised == []
    assert len(set(found)) == 1
    assert len(ledger.sessions()) == 1


def test_the_same_key_from_many_threads_stores_once(ledger: clew.Ledger) -> None:
    session = ledger.create()
    raised = _all(*(lambda: session.extend(turns(1), idempotency_key="k") for _ in range(6)))
    assert raised == []
    assert said(session) == ["ask 1", "say 1"]


@KEPT
def test_two_ledgers_on_one_database(url: str) -> None:
    with clew.open(url) as one, clew.open(url) as two:
        session = one.session(frontend="f", user="u")
        same = two.session(frontend="f", user="u")
        assert same.id == session.id

        def write(handle: clew.Session, name: str) -> None:
            for number in range(20):
                handle.extend([user(f"{name} {number}"), user(f"{name} {number} too")])

        assert _all(lambda: write(session, "a"), lambda: write(same, "b")) == []
        words = said(session)
        assert words == said(same)
        assert [w for w in words if w.startswith("a") and not w.endswith("too")] == [
            f"a {n}" for n in range(20)
        ]
        assert all(
            second == f"{first} too" for first, second in zip(words[::2], words[1::2], strict=True)
        )
        assert two.search("b 19 too", session=session.id).hits
        assert one.verify().ok


@KEPT
def test_two_ledgers_cross_their_transfers(url: str) -> None:
    with clew.open(url) as one, clew.open(url) as two:
        one.session(frontend="a", user="u").append(user("from a"))
        two.session(frontend="b", user="u").append(user("from b"))

        def swap(ledger: clew.Ledger, source: str, target: str) -> None:
            for _ in range(5):
                ledger.session(frontend=source, user="u").transfer_to(frontend=target, user="u")

        assert _all(lambda: swap(one, "a", "b"), lambda: swap(two, "b", "a")) == []
        assert one.verify().ok


@pytest.mark.inside
def test_one_units_failure_leaves_its_companions_alone(ledger: clew.Ledger) -> None:
    """Units that share a commit stand and fall each by itself."""
    sessions = [ledger.create() for _ in range(5)]
    bad = sessions[2]
    head = bad.append(user("first"))
    units = [
        session._append_unit(
            [message_draft(user("x"))],
            None if session is bad else ANY,
            None,
        )
        for session in sessions
    ]
    jobs = [Job(unit, session._key) for unit, session in zip(units, sessions, strict=True)]
    ledger._database._commit(jobs)  # type: ignore[attr-defined]
    assert [type(job.error) for job in jobs] == [
        clew.Conflict if session is bad else type(None) for session in sessions
    ]
    assert [len(said(session)) for session in sessions] == [1] * 5
    assert bad.head == head.position


@pytest.mark.inside
def test_no_error_of_a_driver_comes_out_of_a_shared_commit(ledger: clew.Ledger) -> None:
    sessions = [ledger.create() for _ in range(3)]

    def fail(_tx: Tx) -> None:
        if ledger._database.dialect == "sqlite":
            raise apsw.FullError("database or disk is full")
        raise psycopg.errors.DiskFull("No space left on device")

    jobs = [Job(_append(session), session._key) for session in sessions]
    jobs.insert(1, Job(fail, sessions[0]._key))
    writer = ledger._database._writer  # type: ignore[attr-defined]
    writer._queue.extend(jobs)
    with writer._lock:
        writer._drain()
    assert [type(job.error) for job in jobs] == [clew.Unavailable] * 4
    assert all(job.finished for job in jobs)
    assert [said(session) for session in sessions] == [[], [], []]


def _append(session: clew.Session) -> Callable[[Tx], Any]:
    return session._append_unit([message_draft(user("x"))], ANY, None)


@pytest.mark.inside
def test_a_listener_that_fails_does_not_cost_the_others_their_answer(
    ledger: clew.Ledger,
) -> None:
    session = ledger.create()
    answers: list[Any] = []
    got = threading.Event()

    def fail(_job: Job) -> None:
        raise RuntimeError("the event loop is closed")

    def note(job: Job) -> None:
        answers.append(job.error)
        got.set()

    for done in (fail, note):
        unit = session._append_unit([message_draft(user("x"))], ANY, None)
        ledger._database.submit(unit, session._key, done)
    assert got.wait(10)
    assert answers == [None]
    assert len(said(session)) == 2
