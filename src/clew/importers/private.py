"""Private copies of foreign databases: where reading the file itself would be in somebody's way.

- A database with a rollback journal: whoever reads it keeps its writer from committing. It is
  copied a step at a time, and between two steps nothing is held.
- A log without its index beside it (`-wal` without `-shm`: its program was killed): reading it in
  place would leave a file there.
- A journal that was never rolled back: only its own program may do so there.

A copy lies in a folder that only this user may read, and is gone when the last one closes it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import apsw

from clew.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

COPY_BYTES_MAX: Final = 1 << 30
"""A larger database is not copied."""
STEP_BYTES: Final = 1 << 20
"""So much is copied under one lock."""
REST_SECONDS: Final = 0.001
"""Between two steps: whoever waits for the lock gets it."""
STARTS_MAX: Final = 4
"""A copy that begins anew so often, since the file changes, is then made in one step."""
BESIDE: Final = ("-wal", "-journal")

_FLAGS: Final = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
_held: dict[str, tuple[Path, int]] = {}
"""The copies that are open: where each lies, and how often it was opened."""
_lock = threading.Lock()


@contextmanager
def copied(path: Path, *, whole: bool) -> Iterator[Path]:
    """A copy of a database, made from all its files (`whole`) or by SQLite's own means. Raises
    `apsw.Error` when it cannot be read, `OSError` when the copy cannot be written, `Invalid` when
    it changes all the time.
    """
    name = str(path.absolute())
    with _lock:
        folder, users = _held.get(name, (None, 0))
        if folder is None:
            folder = _made(path, whole=whole)
        _held[name] = (folder, users + 1)
    try:
        yield folder / "copy.db"
    finally:
        with _lock:
            _folder, users = _held.pop(name)
            if users > 1:
                _held[name] = (folder, users - 1)
            else:
                shutil.rmtree(folder, ignore_errors=True)


def has_room(path: Path) -> bool:
    """Whether a copy of a file may be made: it is not too large, and there is room for two."""
    size = _size(path) + sum(_size(_beside(path, each)) for each in BESIDE)
    return size <= COPY_BYTES_MAX and 2 * size < shutil.disk_usage(tempfile.gettempdir()).free


def _made(path: Path, *, whole: bool) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="clew-"))
    try:
        if whole:
            _from_files(path, folder / "copy.db")
        else:
            _in_steps(path, folder / "copy.db")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _in_steps(path: Path, target: Path) -> None:
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro"
    with ExitStack() as stack:
        source = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        stack.callback(source.close)
        source.set_busy_timeout(2_000)
        ours = apsw.Connection(str(target))
        stack.callback(ours.close)
        ours.pragma("journal_mode", "off")
        ours.pragma("synchronous", "off")
        pages = max(1, STEP_BYTES // int(source.pragma("page_size")))
        with ours.backup("main", source, "main") as backup:
            starts, before = 0, None
            while not backup.done:
                backup.step(-1 if starts >= STARTS_MAX else pages)
                starts += before is not None and backup.remaining >= before
                before = backup.remaining
                time.sleep(REST_SECONDS)


def _from_files(path: Path, target: Path) -> None:
    """Copy a database and what belongs to it, none of which changes meanwhile; then let SQLite
    take into the copy what stands beside it.
    """
    for _try in range(STARTS_MAX):
        before = _marks(path)
        _copy_locked(path, target)
        for each in BESIDE:
            _beside(target, each).unlink(missing_ok=True)
            if _beside(path, each).exists():
                shutil.copyfile(_beside(path, each), _beside(target, each))
        if _marks(path) == before:
            break
    else:
        raise Invalid(f"{path} changes all the time: import it again when its program rests")
    settled = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        settled.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        settled.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        settled.pragma("synchronous", "off")
        settled.pragma("journal_mode", "delete")
        settled.execute("select count(*) from sqlite_master").fetchall()
    finally:
        settled.close()


def _copy_locked(path: Path, target: Path) -> None:
    """Copy the main file as its readers read it, by SQLite's means: see `database._header`."""
    file = apsw.VFSFile("", str(path.absolute()), list(_FLAGS))
    try:
        file.xLock(apsw.SQLITE_LOCK_SHARED)
        left, at = file.xFileSize(), 0
        with target.open("wb") as ours:
            while left:
                chunk = file.xRead(min(STEP_BYTES, left), at)
                ours.write(chunk)
                at += len(chunk)
                left -= len(chunk)
        file.xUnlock(apsw.SQLITE_LOCK_NONE)
    finally:
        file.xClose()


def _marks(path: Path) -> list[tuple[int, int] | None]:
    """How a database and what belongs to it are now."""
    found: list[tuple[int, int] | None] = []
    for each in ("", *BESIDE, "-shm"):
        try:
            status = _beside(path, each).stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return found


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
