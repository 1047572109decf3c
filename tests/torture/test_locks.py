"""SQLite's locks belong to the process, and closing any descriptor of a file drops all of them.

So nothing here may open a database file by hand while it is in use: another process would
then take the ledger for closed, and remove the WAL that this one goes on writing to.
"""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING, Any

import clew

from .children import Child
from .ledgers import NAME, assert_sound, assert_whole, say, url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHARED_FIRST, SHARED_BYTES = 0x40000002, 510
"""Where SQLite locks a file that it has open."""
FILES = (NAME, NAME + "-search")


def _write(ledger: clew.Ledger, writer: str, number: int) -> None:
    ledger.session(frontend="f", user=writer).append(say(writer, number))
    ledger.index_now()


def _visit(report: Callable[[Any], None], where: str) -> None:
    """Use the ledger, and be for all it can see the last to close it."""
    with clew.open(where) as ledger:
        _write(ledger, "visitor", 0)


def _unlocked(report: Callable[[Any], None], directory: Path) -> None:
    """The database files on which no other process holds a lock. (Tried from a process of its
    own, which never opens them otherwise.)"""
    free = []
    for name in FILES:
        with (directory / name).open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, SHARED_BYTES, SHARED_FIRST)
                free.append(name)
            except BlockingIOError:
                pass
    report(free)


def test_a_second_handle_in_this_process_drops_no_lock(tmp_path: Path) -> None:
    first = clew.open(url(tmp_path))
    _write(first, "first", 0)
    with clew.open(url(tmp_path)) as second:
        _write(second, "second", 0)
        second.backup(tmp_path / "backup.db")
        second.stats()
        assert_sound(second)
        assert Child(_unlocked, tmp_path).finish() == [[]]
    assert Child(_unlocked, tmp_path).finish() == [[]]
    visitor = Child(_visit, url(tmp_path))
    visitor.finish()
    assert visitor.exitcode == 0
    _write(first, "first", 1)
    assert len(first.search("first").hits) == 2
    first.close()
    with clew.open(url(tmp_path)) as ledger:
        assert assert_whole(ledger.session(frontend="f", user="first")) == {"first": 2}
        assert len(ledger.search("first").hits) == 2
        assert_sound(ledger)


def test_control_opening_the_file_by_hand_drops_the_locks(tmp_path: Path) -> None:
    ledger = clew.open(url(tmp_path))
    _write(ledger, "first", 0)
    (tmp_path / NAME).read_bytes()
    assert Child(_unlocked, tmp_path).finish() == [[NAME]]
    ledger.close()
