"""Hearing of what other processes commit: SQLite's change counter, PostgreSQL's notifications.

Both only wake somebody up; what happened is read from the tables.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import apsw

from clew.errors import ClewError

if TYPE_CHECKING:
    from clew.db.sqlite import SQLite

Wake = Callable[[Iterable[int] | None], None]
POLL_SECONDS = 0.02


def watch_sqlite(database: SQLite, wake: Wake) -> Callable[[], None]:
    """Look at the change counter of the file, which costs a few microseconds."""
    closing = threading.Event()

    def loop() -> None:
        rows, version = _newest(database), -1
        with database.counter() as count:
            while not closing.wait(POLL_SECONDS):
                with contextlib.suppress(ClewError, apsw.Error):
                    now = count()
                    if now == version:
                        continue
                    rows, keys = _written(database, rows)
                    version = now
                    if keys:
                        wake(keys)

    thread = threading.Thread(target=loop, name="clew-watch", daemon=True)
    thread.start()

    def end() -> None:
        closing.set()
        thread.join()

    return end


def _newest(database: SQLite) -> tuple[int, int]:
    with database.read() as tx:
        row = tx.one("newest_rows")
    return (row[0], row[1]) if row else (0, 0)


def _written(database: SQLite, rows: tuple[int, int]) -> tuple[tuple[int, int], list[int]]:
    """Sessions with rows behind these. There is one writer at a time: ids commit in order."""
    with database.read() as tx:
        row = tx.one("newest_rows")
        keys = tx.all("sessions_with_rows_after", entry=rows[0], event=rows[1])
    return (row[0], row[1]) if row else rows, [key for (key,) in keys]
