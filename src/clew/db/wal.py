"""WAL checkpoints beside the append path."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from clew.db.sqlite import SQLite

WAL_PAGES = 1000
"""From here on the checkpointer is woken (4 MB)."""
WAL_PAGES_MAX = 16_000
"""From here on the writer checkpoints itself: the thread does not keep up."""


class Checkpointer:
    """Moves WAL pages into the file on a thread of its own, so that no append pays for it."""

    def __init__(self, database: SQLite) -> None:
        self._database = database
        self._wake = threading.Event()
        self._closing = False
        self._pages = 0
        self._thread: threading.Thread | None = None
        database._connection.set_wal_hook(self._hook)

    def _hook(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return 0

    def after_commit(self, connection: apsw.Connection) -> None:
        """Called by the writer behind every commit; costs a comparison."""
        if self._pages < WAL_PAGES:
            return
        if self._pages >= WAL_PAGES_MAX:
            self._checkpoint(connection)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="clew-wal", daemon=True)
            self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def _loop(self) -> None:
        try:
            connection = self._database._another(writer=True)
        except apsw.Error:
            self._thread = None  # the next commit tries again; the log itself is not concerned
            return
        while connection is not None and self._woken():
            if self._database._look(now=True):
                break  # nothing is written any more
            # First the bulk, beside the writer; then, while the writer waits for a moment, the
            # few pages that came meanwhile: only a WAL moved as a whole is begun anew.
            self._checkpoint(connection)
            with self._database._memory_lock:
                self._checkpoint(connection)
                self._pages = 0
                self._wake.clear()
        if connection is not None:
            connection.close()

    def _woken(self) -> bool:
        """Wait for work; false once there will be none. `close` sets `_closing` before it wakes,
        so a wake-up that the loop has cleared is not missed.
        """
        if not self._closing:
            self._wake.wait()
        return not self._closing

    def _checkpoint(self, connection: apsw.Connection) -> None:
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.BusyError, apsw.LockedError):
            return  # another process is at it: that one's work is as good
        except apsw.FullError:
            return  # everything is still in the WAL; room comes back
        except apsw.Error as error:
            self._database.stop(f"a WAL checkpoint failed ({error}): reopen and verify")

    def close(self) -> None:
        """Stop the thread."""
        self._closing = True
        self._wake.set()
        thread = self._thread
        if thread is not None:
            thread.join()
