"""SQLite files: what a URL names, what lies under a path, and what its errors mean."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import apsw
import msgspec

from clew.errors import ClewError, Damaged, Invalid, ReadOnly, Unavailable

NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "lustre", "glusterfs")
) | {"fuse.sshfs", "fuse.glusterfs"}

DAMAGE = (
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.FormatError,
    apsw.SQLError,
    UnicodeDecodeError,
    msgspec.DecodeError,
)
"""What only a file that was changed from outside brings about: every statement fits the schema,
all text is UTF-8, what is decoded was encoded here or looked at before it was stored."""

ODD = (TypeError, ValueError, OverflowError, LookupError, AttributeError)
"""What a value of a type that nobody stored there brings about, or a fault of ours."""
LOOK_SECONDS = 2.0
"""How long an error may be held up to find out which of the two it is."""


def parse_url(url: str) -> tuple[str, str | None]:
    """`sqlite:///relative.db`, `sqlite:////absolute.db` or `sqlite:///:memory:` as a path,
    and the VFS that `?vfs=` names.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or path == "/":
        raise Invalid(f"{url!r}: write sqlite:///relative.db or sqlite:////absolute/path.db")
    vfs = parse_qs(parts.query).get("vfs", [None])[0]
    return path[1:], vfs


def make_private(path: str | Path) -> None:
    """Make an empty file that nobody else can read (SQLite would make it readable).

    One that exists is not even opened: closing it would drop this process's locks on it.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`, or "" where the kernel does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    resolved = str(path.resolve())
    best, kind = -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) > best:
            best, kind = len(point), right.split()[0]
    return kind


def meaning(path: str, error: Exception, stop: Callable[[str], None] | None = None) -> ClewError:
    """What a driver raised as one of ours; `stop` is called when nothing more may be written."""
    if isinstance(error, DAMAGE):
        why = f"{path} is damaged or no ledger ({error}): writing stopped; run `clew verify`"
        if stop:
            stop(why)
        return Damaged(why)
    if isinstance(error, apsw.IOError):
        why = (
            f"{path}: the disk failed ({error}); the last write may or may not be stored: reopen "
            "the ledger and repeat it with the same idempotency key"
        )
        if stop:
            stop(why)
        return Unavailable(why)
    if isinstance(error, apsw.FullError):
        return Unavailable(f"{path}: the disk is full; nothing was written: free space")
    if isinstance(error, apsw.ReadOnlyError):
        return ReadOnly(f"{path} cannot be written ({error})")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return Unavailable(f"{path} is busy ({error}): try again")
    if isinstance(error, (apsw.CantOpenError, OSError)):
        return Unavailable(f"{path} cannot be opened ({error}): check its folder and rights")
    return ClewError(f"{path}: {error}")


def wrong_pages(connection: apsw.Connection) -> str:
    """What SQLite itself finds wrong in a file; "" when nothing in the time that it is given."""
    deadline = time.monotonic() + LOOK_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        told = connection.execute("pragma quick_check(1)").fetchall()
    except apsw.InterruptError:
        return ""
    except apsw.Error as error:
        return str(error)
    finally:
        connection.set_progress_handler(None)
    return "" if told == [("ok",)] else "; ".join(str(each[0]) for each in told)


@contextmanager
def moment(connection: apsw.Connection) -> Iterator[None]:
    """Let a connection see the database as it is now, whatever others write meanwhile."""
    connection.execute("begin")
    try:
        connection.execute("select count(*) from sqlite_master").fetchall()
        yield
    finally:
        connection.execute("rollback")


@contextmanager
def translated(path: str, stop: Callable[[str], None] | None = None) -> Iterator[None]:
    """The same around a block."""
    try:
        yield
    except (apsw.Error, PermissionError, *DAMAGE) as error:
        raise meaning(path, error, stop) from error
