"""Parts put together: into one file, a table, or a folder with a file for each row.

Lines were looked at when they were written; what is no lines any more (a table, a page) is read
back as its readers will read it, and looked at again.
"""

from __future__ import annotations

import hashlib
import html
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from clew.errors import Invalid
from clew.exporting.folder import lines, private
from clew.exporting.unit import refuse

if TYPE_CHECKING:
    from clew.exporters.formats import Format
    from clew.redaction import Redactor

PIECE_BYTES: Final = 1 << 16
"""What stays in the processor's cache from reading to hashing: 1 MB takes twice as long."""


def pack(
    parts: Sequence[Path],
    aside: Path,
    shape: Format,
    kind: str,
    redactor: Redactor | None,
    rows: int,
) -> tuple[int, str]:
    """Write `aside` from the lines of `parts`; gives its size and SHA-256. Raises `Invalid` when
    a single file is asked for and there is not one row, `RedactionFailed` when the scan finds
    something.
    """
    if kind == "lines":
        return _concatenated(parts, aside)
    if kind == "table" and shape.table is not None:
        shape.table.write(lines(iter(parts)), aside)
        if redactor is not None:
            for number, value in enumerate(shape.table.values(aside), 1):
                refuse(redactor, value, f"in row {number}")
        return _measured(aside)
    if kind == "single":
        if rows != 1:
            raise Invalid(f"{rows} sessions are to go into one file: choose one, or name a folder")
        ((_, data),) = _files(parts, shape)
        _looked_at(redactor, data, aside.name)
        with private(aside) as stream:
            stream.write(data)
            os.fsync(stream.fileno())
        return _measured(aside)
    return _folder(parts, aside, shape, redactor)


def _concatenated(parts: Sequence[Path], aside: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with private(aside) as stream:
        for part in parts:
            with part.open("rb") as source:
                while piece := source.read(PIECE_BYTES):
                    stream.write(piece)
                    digest.update(piece)
                    size += len(piece)
        stream.flush()
        os.fsync(stream.fileno())
    return size, digest.hexdigest()


def _files(parts: Sequence[Path], shape: Format) -> Iterator[tuple[str, bytes]]:
    for data in lines(iter(parts)):
        if shape.file is not None:
            yield shape.file(msgspec.json.decode(data))


def _folder(
    parts: Sequence[Path], aside: Path, shape: Format, redactor: Redactor | None
) -> tuple[int, str]:
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    listed, size = hashlib.sha256(), 0
    taken: dict[str, int] = {}
    for wanted, data in _files(parts, shape):
        name = _free(wanted, taken)
        _looked_at(redactor, data, name)
        with private(aside / name) as stream:
            stream.write(data)
        listed.update(f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode())
        size += len(data)
    return size, listed.hexdigest()


def _free(wanted: str, taken: dict[str, int]) -> str:
    """Two rows of one session (its branches, its segments) may ask for one name."""
    key = wanted.casefold()
    taken[key] = taken.get(key, 0) + 1
    if taken[key] == 1:
        return wanted
    stem, dot, suffix = wanted.rpartition(".")
    return _free(f"{stem}-{taken[key]}{dot}{suffix}" if dot else f"{wanted}-{taken[key]}", taken)


def _looked_at(redactor: Redactor | None, data: bytes, name: str) -> None:
    if redactor is not None:
        text = data.decode("utf-8", "replace")
        refuse(redactor, {"as it is": text, "as it is read": html.unescape(text)}, f"in {name}")


def _measured(path: Path) -> tuple[int, str]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return path.stat().st_size, digest
