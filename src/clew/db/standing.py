"""Whether the files of an open database still stand under their names.

A file that is deleted or replaced stays there for whoever has it open: writing to it succeeds,
and all of it is gone when the last one closes it. So who writes looks now and then.
"""

from __future__ import annotations

import os
from time import monotonic

LOOK_SECONDS = 0.5
"""So often is looked; between two looks a commit costs one comparison."""
JOURNALS = ("-wal", "-shm")
"""What belongs to the file while somebody writes to it; SQLite makes them when it needs them."""

_Identity = tuple[int, int]


class Standing:
    """The device and inode of each file, as they were when the database was opened.

    Safe to share among threads: looking twice does no harm.
    """

    def __init__(self, path: str) -> None:
        self.due = 0.0
        """The moment (of `time.monotonic`) from which on it is time to look."""
        self._names = [path]
        self._known: dict[str, _Identity] = {}
        self.look()

    def with_journals(self) -> None:
        """Look for the journals too from now on: this process holds them open."""
        real = os.path.realpath(self._names[0])  # a link's journals stand where it leads
        self._names += [real + suffix for suffix in JOURNALS]
        self.look()

    def look(self) -> str:
        """The name of a file that is no longer the one that was opened; "" when all are."""
        self.due = monotonic() + LOOK_SECONDS
        for name in self._names:
            try:
                found = _identity(name)
            except OSError:
                continue  # a folder that may not be looked into says nothing
            known = self._known.get(name)
            if known is None and found is not None:
                self._known[name] = found  # a journal is made when it is first needed
            elif known != found:
                return name
        return ""


def _identity(name: str) -> _Identity | None:
    """Which file stands under a name; `None` when none does."""
    try:
        found = os.stat(name)  # noqa: PTH116 - half the time of a Path's
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
