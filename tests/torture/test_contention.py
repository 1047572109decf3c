"""Eight processes write to one ledger, each to a session of its own and all to a shared one.

Nothing is lost, doubled or interleaved, and nobody is told that the database is locked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import apsw

import clew

from .children import Child
from .ledgers import assert_sound, assert_whole, say, url
from .scale import scaled

if TYPE_CHECKING:
    from pathlib import Path


PROCESSES = 8
ROUNDS = scaled(20, 300)
BATCH = 3
WORST_WAIT_SECONDS_MAX = 10.0

Report = Callable[[Any], None]


def _write(report: Report, where: str, writer: str, start: float) -> None:
    """Append batches in turn to both sessions; reports how long the slowest took."""
    with clew.open(where) as ledger:
        sessions = [ledger.session(frontend="contention", user=user) for user in (writer, "shared")]
        time.sleep(max(0.0, start - time.time()))
        worst = 0.0
        for number in range(0, ROUNDS * BATCH, BATCH):
            for session in sessions:
                began = time.perf_counter()
                session.extend([say(writer, number + n) for n in range(BATCH)])
                worst = max(worst, time.perf_counter() - began)
        report(worst)


def _contend(where: str, record: Callable[[str, object], None]) -> None:
    clew.open(where).close()
    start = time.time() + 1.0
    writers = [f"w{n}" for n in range(PROCESSES)]
    children = [Child(_write, where, writer, start) for writer in writers]
    waits = [wait for child in children for wait in child.finish()]
    assert len(waits) == PROCESSES, "a writer failed: what it said is on stderr"
    record("worst_wait_ms", round(max(waits) * 1000))
    assert max(waits) < WORST_WAIT_SECONDS_MAX
    with clew.open(where) as ledger:
        for writer in writers:
            own = ledger.session(frontend="contention", user=writer)
            assert assert_whole(own) == {writer: ROUNDS * BATCH}
        shared = ledger.session(frontend="contention", user="shared")
        assert assert_whole(shared) == dict.fromkeys(writers, ROUNDS * BATCH)
        _assert_batches_whole(shared)
        assert_sound(ledger)


def _assert_batches_whole(session: clew.Session) -> None:
    history = session.history()
    for start in range(0, len(history), BATCH):
        batch = [message.text.split()[:2] for message in history[start : start + BATCH]]
        assert len({writer for writer, _ in batch}) == 1, f"interleaved at {start}: {batch}"
        numbers = [int(number) for _, number in batch]
        assert all(b == a + 1 for a, b in pairwise(numbers)), f"torn at {start}: {batch}"


def test_eight_processes_on_one_file(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _contend(url(tmp_path), record_property)


def test_eight_processes_on_postgresql(
    postgres_database: str, record_property: Callable[[str, object], None]
) -> None:
    _contend(postgres_database, record_property)


def _read_then_write(report: Report, path: str, start: float) -> None:
    connection = apsw.Connection(path)
    connection.set_busy_timeout(30_000)
    time.sleep(max(0.0, start - time.time()))
    failed = 0
    for _ in range(ROUNDS):
        try:
            connection.execute("begin deferred")
            counted = connection.execute("select count(*) from t").fetchall()
            connection.execute("insert into t values (?)", counted[0])
            connection.execute("commit")
        except apsw.BusyError:
            failed += 1
            connection.execute("rollback")
    report(failed)


def test_control_a_deferred_lock_fails_whatever_the_timeout(tmp_path: Path) -> None:
    path = str(tmp_path / "naive.db")
    connection = apsw.Connection(path)
    connection.pragma("journal_mode", "wal")
    connection.execute("create table t (n)")
    connection.close()
    start = time.time() + 1.0
    children = [Child(_read_then_write, path, start) for _ in range(PROCESSES)]
    assert sum(failed for child in children for failed in child.finish()) > 0
