"""A backup taken while others write is one moment of the ledger: nothing missing, no gap."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import clew

from .children import Child
from .ledgers import NAME, assert_sound, assert_whole, say, url
from .scale import scaled
from .vfs import Fault, TortureVFS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BACKUPS = scaled(3, 20)


def test_a_backup_during_writes_is_gapless(tmp_path: Path) -> None:
    ledger = clew.open(url(tmp_path), durability="normal")
    done = threading.Event()
    counts = {"a": 0, "b": 0}

    def write(writer: str) -> None:
        session = ledger.session(frontend="f", user=writer)
        while not done.is_set():
            session.append(say(writer, counts[writer], chars=1500))
            counts[writer] += 1

    threads = [threading.Thread(target=write, args=(writer,)) for writer in counts]
    for thread in threads:
        thread.start()
    try:
        for n in range(BACKUPS):
            acknowledged = dict(counts)
            copy = ledger.backup(tmp_path / f"backup{n}.db")
            _assert_holds(copy, acknowledged)
    finally:
        done.set()
        for thread in threads:
            thread.join()
        ledger.close()
    assert min(counts.values()) > BACKUPS, "nobody wrote meanwhile: nothing was tested"


def _assert_holds(copy: Path, acknowledged: dict[str, int]) -> None:
    with clew.open(copy) as ledger:
        assert_sound(ledger)
        for writer, count in acknowledged.items():
            session = ledger.session(frontend="f", user=writer)
            assert assert_whole(session).get(writer, 0) >= count
            session.append(say(writer, 0))


def _back_up_and_die(report: Callable[[Any], None], directory: Path, at: int) -> None:
    with TortureVFS(recording=False) as vfs:
        ledger = clew.open(url(directory, vfs))
        vfs.arm(Fault.KILL, at, NAME)
        ledger.backup(directory / "backup.db")
        report("finished")


def test_a_killed_backup_leaves_no_half_file(tmp_path: Path) -> None:
    with clew.open(url(tmp_path), durability="normal") as ledger:
        session = ledger.session(frontend="f", user="a")
        session.extend([say("a", n, chars=3500) for n in range(1000)])
    for at in (1, 5, 40, 200, 500, 800):
        child = Child(_back_up_and_die, tmp_path, at)
        assert child.finish() == []
        assert child.exitcode == -signal.SIGKILL
        assert not (tmp_path / "backup.db").exists(), f"killed at operation {at}"
    with clew.open(url(tmp_path)) as ledger:
        _assert_holds(ledger.backup(tmp_path / "backup.db"), {"a": 1000})
