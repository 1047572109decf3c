"""The power fails. At durability `full` what was acknowledged is on disk; always, what is on
disk is a whole ledger.

One run of a workload gives a log of what it wrote, synced and promised; each seed cuts that
log somewhere and decides what became of the writes that no sync covered.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import clew
import clew.db.wal

from .disk import Ack, power_cut
from .ledgers import NAME, assert_sound, assert_whole, reopen, say, url
from .scale import LONG, scaled
from .vfs import TortureVFS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clew.db.database import Durability

    from .disk import Log

CUTS = scaled(60, 1000)
SEARCH_EVERY = 4
CUTS_PER_RUN = scaled(20, 25)
APPENDS = 60
LEDGER_FILES = (NAME, f"{NAME}-wal")
Promise = tuple[str, str, int]
"""Session, writer, and how many of the writer's messages are in it by then."""


@pytest.fixture(autouse=True)
def _checkpoints_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clew.db.wal, "WAL_PAGES", 60)


def _record(directory: Path, seed: int, durability: Durability) -> Log:
    """Two threads append to sessions of their own and to a shared one."""
    directory.mkdir()
    with TortureVFS() as vfs:
        ledger = clew.open(url(directory, vfs), durability=durability)
        sessions = [ledger.create(title=name).id for name in ("one", "two", "both")]
        threads = [
            threading.Thread(target=_append, args=(ledger, vfs.log, sessions, writer, seed))
            for writer in (0, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ledger.close()
    return vfs.log


def _append(ledger: clew.Ledger, log: Log, sessions: list[str], writer: int, seed: int) -> None:
    rng = random.Random(f"{seed} {writer}")
    name = f"w{writer}"
    count = dict.fromkeys(sessions, 0)
    handles = {key: ledger.get(key) for key in sessions}
    for _ in range(APPENDS):
        key = rng.choice((sessions[writer], sessions[2]))
        size = rng.choice((1, 1, 3))
        chars = rng.choice((0, 200, 900, 6000))
        batch = [say(name, count[key] + n, chars=chars) for n in range(size)]
        handles[key].extend(batch)
        count[key] += size
        log.ack((key, name, count[key]))
        if rng.random() < 0.1:
            handles[key].checkpoint("here")


def _promises(log: Log, upto: int) -> Iterator[Promise]:
    newest: dict[tuple[str, str], int] = {}
    for event in log.events[:upto]:
        if isinstance(event, Ack) and isinstance(event.value, tuple):
            key, writer, count = event.value
            newest[key, writer] = count
    for (key, writer), count in newest.items():
        yield key, writer, count


def _lost(ledger: clew.Ledger, promises: Iterator[Promise]) -> int:
    """How many promised messages are gone. Fails unless what is there is whole and goes on."""
    assert_sound(ledger)
    lost = 0
    for key, writer, count in promises:
        try:
            session = ledger.get(key)
        except clew.NotFound:
            lost += count
            continue
        there = assert_whole(session).get(writer, 0)
        lost += max(0, count - there)
        session.append(say(writer, there))
        assert assert_whole(session)[writer] == there + 1
    return lost


def _cuts(tmp_path: Path, durability: Durability) -> Iterator[int]:
    """What each cut lost."""
    for run in range(CUTS // CUTS_PER_RUN):
        log = _record(tmp_path / f"live{run}", run, durability)
        first = next(n for n, event in enumerate(log.events) if isinstance(event, Ack))
        for seed in range(run * CUTS_PER_RUN, (run + 1) * CUTS_PER_RUN):
            upto = random.Random(seed).randint(first + 1, log.mark())
            yield _check(tmp_path / f"cut{seed}", log, seed, upto)


def _assert_found(ledger: clew.Ledger) -> None:
    """The index, which lost other writes than the log did, gives what the log holds."""
    held = Counter[str]()
    for info in ledger.sessions():
        held.update(assert_whole(ledger.get(info.id)))
    found = {writer: len(ledger.search(writer, limit=10_000).hits) for writer in held}
    assert found == held


def _check(directory: Path, log: Log, seed: int, upto: int) -> int:
    ledger = reopen(power_cut(log, seed, upto), directory)
    try:
        lost = _lost(ledger, _promises(log, upto))
        if seed % SEARCH_EVERY == 0:
            _assert_found(ledger)
        return lost
    except AssertionError as error:
        error.add_note(f"seed {seed}, event {upto}; the disk is in {directory}")
        raise
    finally:
        ledger.close()


def test_full_keeps_every_promise(tmp_path: Path) -> None:
    assert list(_cuts(tmp_path, "full")) == [0] * CUTS


def test_control_normal_breaks_promises_and_nothing_else(tmp_path: Path) -> None:
    cuts_that_lost = sum(lost > 0 for lost in _cuts(tmp_path, "normal"))
    assert cuts_that_lost > (0.3 * CUTS if LONG else 0)


def test_one_append_is_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clew.db.wal, "WAL_PAGES", 100_000)
    with TortureVFS(recording=False) as vfs:
        ledger = clew.open(url(tmp_path, vfs))
        session = ledger.create()
        session.append(say("w", 0))
        for n in range(1, 51):
            before = vfs.syncs.copy()
            session.append(say("w", n, chars=n * 100), idempotency_key=str(n))
            spent = vfs.syncs - before
            assert {file: spent[file] for file in LEDGER_FILES} == {NAME: 0, f"{NAME}-wal": 1}
        ledger.close()


def test_sync_makes_the_promise_good_at_normal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind a reader that holds the WAL checkpointer back."""
    monkeypatch.setattr(clew.db.wal, "WAL_PAGES", 100_000)
    live = tmp_path / "live"
    live.mkdir()
    with TortureVFS() as vfs:
        ledger = clew.open(url(live, vfs), durability="normal")
        session = ledger.session(frontend="f", user="u")
        for round_ in range(3):
            with ledger._database.read() as tx:
                tx.all("tables")  # from here on it sees this moment
                for n in range(10):
                    session.append(say("w", round_ * 10 + n))
                    if n % 5 == 4:
                        ledger.sync()
                        vfs.log.ack((session.id, "w", round_ * 10 + n + 1))
        ledger.close()
    first = next(n for n, event in enumerate(vfs.log.events) if isinstance(event, Ack))
    for seed in range(CUTS):
        upto = random.Random(seed).randint(first + 1, vfs.log.mark())
        assert _check(tmp_path / f"cut{seed}", vfs.log, seed, upto) == 0
