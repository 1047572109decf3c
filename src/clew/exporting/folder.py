"""The folder beside the target in which an export is made: parts, and what each of them gave.

It is for its owner alone: until an export is done it holds the secrets that were found, so that
they can be replaced in every part. A part counts once its record stands beside it, so an export
that was broken off goes on behind the last record.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import msgspec

from clew.errors import Invalid

T = TypeVar("T")
PLAN: Final = "plan"
MARK: Final = "clew-export"
"""An empty file that tells an export's own folder."""
_MODE: Final = 0o700


class Folder:
    """One export's folder of parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle: int | None = None
        """What holds it, as long as any process has it open."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make it where it is not there, and keep others from it. Raises `Invalid` when another
        export is at work in it. At the end it is gone if it is empty.
        """
        try:
            self.path.mkdir(mode=_MODE, exist_ok=True)
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise Invalid(f"{self.path} cannot be made: {error.strerror}") from error
        try:
            self._lock(handle)
            self._claim(handle)
            self.handle = handle
            yield
        finally:
            self.handle = None
            with suppress(OSError):
                if [one.name for one in self.path.iterdir()] == [MARK]:
                    (self.path / MARK).unlink()
                self.path.rmdir()
            os.close(handle)

    def _claim(self, handle: int) -> None:
        """Raise `Invalid` for a folder that is somebody else's, or holds what no export left."""
        if os.fstat(handle).st_uid != os.geteuid():
            raise Invalid(f"{self.path} is another user's folder: choose another name to export to")
        there = os.listdir(handle)  # of this folder, whatever has its name by now
        if there and MARK not in there:
            raise Invalid(f"{self.path} holds files that no export left there: move them away")
        os.fchmod(handle, _MODE)
        with suppress(FileExistsError):
            os.close(os.open(MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=handle))

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Invalid(
                f"another export is writing there (it works in {self.path}): wait for it, or "
                "choose another name"
            ) from None

    def empty(self) -> None:
        """Take away all that is in it: first the plan, so that nothing goes on with the rest."""
        for one in sorted(self.path.iterdir(), key=lambda path: path.name != PLAN):
            if one.name == MARK:
                continue
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink()

    def part(self, number: int, split: str, stage: str) -> Path:
        """The file of a unit's rows: `stage` is `first` or `last`."""
        return self.path / f"{number:06d}.{split or '-'}.{stage}"

    def keep(self, name: str, value: Any) -> None:
        """Write a record, whole or not at all."""
        aside = self.path / f".{name}.{os.getpid()}"
        with private(aside) as stream:
            stream.write(msgspec.msgpack.encode(value))
        aside.replace(self.path / name)

    def kept(self, name: str, kind: type[T]) -> T | None:
        """A record; `None` where there is none (or one of another version of Clew)."""
        try:
            return msgspec.msgpack.decode((self.path / name).read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            return None


def private(path: Path) -> IO[bytes]:
    """A new file for its owner alone; one of a run that was broken off is replaced."""
    with suppress(FileNotFoundError):
        path.unlink()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(handle, "wb")


def synced(stream: IO[bytes]) -> None:
    """Have a file on disk, before a record says that it is there."""
    stream.flush()
    os.fsync(stream.fileno())


def same_file(source: Path, target: Path) -> None:
    """Give a file another name beside its own; where that cannot be, copy it."""
    with suppress(FileNotFoundError):
        target.unlink()
    try:
        os.link(source, target)
    except OSError:
        with source.open("rb") as old, private(target) as new:
            shutil.copyfileobj(old, new)


def lines(paths: Iterator[Path]) -> Iterator[bytes]:
    """The lines of some files, one after the other."""
    for path in paths:
        with path.open("rb") as stream:
            yield from stream
