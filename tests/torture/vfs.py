"""An SQLite file system that records, counts, delays and fails.

It stands on the default one, so that shared memory, locks and several connections are real.
Each file is known by its base name. A sync is recorded and counted but not passed on: what
would survive a power cut is what `disk.power_cut` says, and the tests stay fast.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from .disk import Delete, Image, Log, Open, Sync, SyncNames, Truncate, Write, killed, power_cut

if TYPE_CHECKING:
    from collections.abc import Iterator

_names = itertools.count(1)
_JOURNALS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL


class Op(StrEnum):
    """An operation that can be counted or made to fail."""

    READ = "read"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    DELETE = "delete"


_EIO = {
    Op.READ: apsw.SQLITE_IOERR_READ,
    Op.WRITE: apsw.SQLITE_IOERR_WRITE,
    Op.TRUNCATE: apsw.SQLITE_IOERR_TRUNCATE,
    Op.SYNC: apsw.SQLITE_IOERR_FSYNC,
    Op.DELETE: apsw.SQLITE_IOERR_DELETE,
}


class Fault(StrEnum):
    """What goes wrong: an I/O error anywhere, no room for a write, a failed sync, or death."""

    EIO = "eio"
    FULL = "full"
    FSYNC = "fsync"
    KILL = "kill"

    @property
    def ops(self) -> frozenset[Op]:
        """The operations it can strike."""
        match self:
            case Fault.FULL:
                return frozenset({Op.WRITE})
            case Fault.FSYNC:
                return frozenset({Op.SYNC})
            case _:
                return frozenset(Op)

    def strike(self, op: Op) -> None:
        """Fail as the operating system would; `KILL` ends this process at once."""
        if self is Fault.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        code = apsw.SQLITE_FULL if self is Fault.FULL else _EIO[op]
        raise apsw.exception_for(code)


@dataclass
class _Trap:
    fault: Fault
    left: int
    files: frozenset[str]
    sprung: bool = False


class TortureVFS(apsw.VFS):
    """Registered with SQLite under `name`; `close()` takes it away again.

    `sync_seconds` is how long each sync takes. `recording=False` keeps no log (for
    benchmarks and child processes).
    """

    def __init__(self, *, sync_seconds: float = 0.0, recording: bool = True) -> None:
        self.name = f"torture{next(_names)}"
        self.log = Log()
        self.recording = recording
        self.sync_seconds = sync_seconds
        self.syncs: Counter[str] = Counter()
        self.ops: Counter[Op] = Counter()
        self._trap: _Trap | None = None
        self._lock = threading.Lock()
        self._known: set[str] = set()
        super().__init__(self.name, "")

    def __enter__(self) -> TortureVFS:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Unregister; connections that are still open keep working."""
        self.unregister()

    # --- faults ---------------------------------------------------------------------------

    def arm(self, fault: Fault, at: int, database: str) -> None:
        """Make an operation on the files of `database` (a name) fail: number `at`, from 1,
        counted over those that `fault` can strike.
        """
        files = frozenset(database + suffix for suffix in ("", "-wal", "-journal"))
        with self._lock:
            self._trap = _Trap(fault, at, files)

    def disarm(self) -> bool:
        """Take the fault away; true when it had struck."""
        with self._lock:
            trap, self._trap = self._trap, None
        return trap is not None and trap.sprung

    def step(self, op: Op, file: str | None) -> None:
        """Count one operation and let the armed fault strike when it is its turn."""
        with self._lock:
            self.ops[op] += 1
            trap = self._trap
            if trap is None or trap.sprung or op not in trap.fault.ops or file not in trap.files:
                return
            trap.left -= 1
            if trap.left > 0:
                return
            trap.sprung = True
        trap.fault.strike(op)

    # --- images ---------------------------------------------------------------------------

    def power_cut(self, seed: int, upto: int | None = None) -> Image:
        """See `disk.power_cut`."""
        return power_cut(self.log, seed, upto)

    def killed(self, upto: int | None = None) -> Image:
        """See `disk.killed`."""
        return killed(self.log, upto)

    # --- what SQLite calls ----------------------------------------------------------------

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> TortureFile:  # noqa: N802
        return TortureFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        file = Path(filename).name
        self.step(Op.DELETE, file)
        if not self.recording or file not in self._known:
            super().xDelete(filename, syncdir)
            return
        self.log.add(
            Delete(file, syncdir), lambda: super(TortureVFS, self).xDelete(filename, syncdir)
        )

    def opened(self, path: str) -> None:
        """Take note of a file before SQLite opens it."""
        name = Path(path).name
        with self._lock:
            if not self.recording or name in self._known:
                return
            self._known.add(name)
            before = None
            # Reading is safe only here: nothing in this process has the file open yet.
            with contextlib.suppress(FileNotFoundError):
                before = Path(path).read_bytes()
            self.log.add(Open(name, before))


class TortureFile(apsw.VFSFile):
    """One open file. Shared memory and locks are inherited."""

    def __init__(
        self, vfs: TortureVFS, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.vfs = vfs
        # A file without a name is a temporary one: no crash brings it back.
        self.file = None if path is None else Path(path).name
        if path is not None:
            vfs.opened(path)
        # SQLite's own file system syncs the directory with a journal's first sync.
        self._names_too = bool(flags[0] & _JOURNALS) and bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        super().__init__("", name, flags)

    @property
    def _recorded(self) -> str | None:
        return self.file if self.vfs.recording else None

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self.vfs.step(Op.READ, self.file)
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self.vfs.step(Op.WRITE, self.file)
        if self._recorded is None:
            super().xWrite(data, offset)
            return
        event = Write(self._recorded, offset, bytes(data))
        self.vfs.log.add(event, lambda: super(TortureFile, self).xWrite(data, offset))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self.vfs.step(Op.TRUNCATE, self.file)
        if self._recorded is None:
            super().xTruncate(newsize)
            return
        event = Truncate(self._recorded, newsize)
        self.vfs.log.add(event, lambda: super(TortureFile, self).xTruncate(newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        upto = self.vfs.log.mark()
        self.vfs.step(Op.SYNC, self.file)
        if self.vfs.sync_seconds:
            time.sleep(self.vfs.sync_seconds)
        if self.file is not None:
            self.vfs.syncs[self.file] += 1
        if self._recorded is not None:
            self.vfs.log.add(Sync(self._recorded, upto))
            if self._names_too:
                self.vfs.log.add(SyncNames(upto))
                self._names_too = False


def wal_syncs(vfs: TortureVFS, file: str) -> Iterator[int]:
    """Yields, each time it is asked, how many syncs of `file`'s WAL came since the last time."""
    seen = vfs.syncs[f"{file}-wal"]
    while True:
        now = vfs.syncs[f"{file}-wal"]
        yield now - seen
        seen = now
