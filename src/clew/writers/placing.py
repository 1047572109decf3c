"""Putting files where an agent looks for them: all of them or, on a conflict, none, and never
over one that is there.

A file is written beside its place under a name of its own and takes its name by a hard link,
which refuses to replace anything: two runs at once give one file, whole. What is there already
and begins with the same bytes is left as it is (the agent may have gone on in it).
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from clew.errors import Conflict, Invalid, Unavailable
from clew.writers.base import checked_path

FILE_MODE = 0o600
FOLDER_MODE = 0o700
CHUNK_BYTES = 1 << 20

NEW, THERE, LONGER = "new", "there", "longer"
"""What becomes of a file: it is written (or would be); it is there with the same bytes; it is
there, and goes on behind them."""


class Placed(msgspec.Struct, frozen=True):
    """A file, its size in bytes, and what became of it: `new`, `there` or `longer`."""

    path: Path
    bytes: int
    state: str


def put(
    root: Path,
    files: Mapping[str, bytes],
    *,
    giving_way: Collection[str] = (),
    dry_run: bool = False,
) -> tuple[Placed, ...]:
    """Write files below `root`, folders made as needed; paths as in `Written.files`. Those in
    `giving_way` are left out where anything stands in their place.

    All places are looked at before the first file is written. Raises `Conflict` when something
    else stands at one of them, `Invalid` for a path that leads out of `root`, and `Unavailable`
    for one that the system does not let us write (no space, no right to). With `dry_run` nothing
    is written.
    """
    places = {root / checked_path(name): raw for name, raw in files.items()}
    if len(places) != len(files):
        raise Invalid(f"two of the files have one name below {root}: nothing was written")
    yielding = {root / checked_path(name) for name in giving_way}
    states = {
        path: THERE if path in yielding and os.path.lexists(path) else _look(path, raw)
        for path, raw in places.items()
    }
    if not dry_run:
        for path, raw in places.items():
            if states[path] == NEW:
                states[path] = _write(path, raw)
    return tuple(Placed(path, len(raw), states[path]) for path, raw in places.items())


def _look(path: Path, raw: bytes) -> str:
    """What stands at a place. Raises `Conflict` for anything but these bytes."""
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise Conflict(
                f"{path} is a link to nothing: move it away, or name another folder"
            ) from None
        return NEW
    except NotADirectoryError as error:
        raise Invalid(f"{path} cannot be reached: {error.strerror}") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be reached: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise Conflict(f"{path} is there and is no file: move it away, or name another folder")
    same = _same_bytes(path, raw)
    if same < len(raw):
        held = "only the beginning of it" if same == status.st_size else "something else"
        raise Conflict(
            f"{path} is there and holds {held} ({same:,} of {len(raw):,} bytes are the same); "
            "nothing is overwritten: move it away, or name another folder"
        )
    return LONGER if status.st_size > len(raw) else THERE


def _same_bytes(path: Path, raw: bytes) -> int:
    """How many bytes a file and `raw` have in common at their beginning."""
    done = 0
    try:
        with path.open("rb") as file:
            while done < len(raw) and (chunk := file.read(CHUNK_BYTES)):
                if (part := raw[done : done + len(chunk)]) != chunk[: len(part)]:
                    return done + _in_common(part, chunk)
                done += len(part)
    except OSError as error:
        raise Conflict(f"{path} is there and cannot be read: {error.strerror}") from error
    return done


def _in_common(one: bytes, other: bytes) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _write(path: Path, raw: bytes) -> str:
    aside = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        _fill(aside, raw)
        try:
            os.link(aside, path)
        except FileExistsError:
            return _look(path, raw)  # somebody was faster
        except OSError:
            # A file system without hard links: the name is taken first, then filled.
            return _write_here(path, raw)
        finally:
            with suppress(FileNotFoundError):
                aside.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error
    return NEW


def _unwritten(path: Path, error: OSError) -> Invalid | Unavailable:
    """A file in the place of a folder is wrong input; all else is the system's to say."""
    told = f"{path} cannot be written: {error.strerror}"
    wrong = isinstance(error, NotADirectoryError | FileExistsError)
    return Invalid(told) if wrong else Unavailable(told)


def _write_here(path: Path, raw: bytes) -> str:
    try:
        _fill(path, raw)
    except FileExistsError:
        return _look(path, raw)
    _sync_folder(path.parent)
    return NEW


def _fill(path: Path, raw: bytes) -> None:
    """A new file with these bytes on disk, or none."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        path.unlink()
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
