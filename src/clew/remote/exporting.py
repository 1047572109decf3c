"""A server's export as a local file: whole or not at all.

The server ends its rows with a summary. A stream without one was cut off, and is refused.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from clew import wire
from clew.errors import Invalid, Unavailable
from clew.exporting import Exported, ExportOptions, Recipe
from clew.exporting import asked as words
from clew.exporting.targets import refuse_existing, take_name


def asked(recipe: Recipe, options: ExportOptions) -> dict[str, Any]:
    """An export as a query. Raises `Invalid` for what a server does not do for others."""
    if options != ExportOptions(overwrite=options.overwrite):
        raise Invalid(
            "a server gives one stream of lines, made by itself: splits, workers, branches and "
            "what goes on from another export are for clew export on the server's machine"
        )
    return {**msgspec.structs.asdict(words.asked(recipe)), "summary": True}


def save(
    pieces: Iterable[bytes], output: str | os.PathLike[str] | BinaryIO, *, overwrite: bool
) -> Exported:
    """Write an export to a path or a binary stream. Raises `Invalid` for a path that cannot be
    taken, `Unavailable` when the export breaks off: then there is no file.
    """
    if not isinstance(output, str | os.PathLike):
        return _into(output, pieces, None)
    target = Path(output)
    check(target, overwrite=overwrite)
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            done = _into(stream, pieces, target)
            os.fsync(stream.fileno())
        take_name(aside, target, overwrite=overwrite)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()
    return done


def check(target: Path, *, overwrite: bool) -> None:
    """Raise `Invalid` for a path that no file can be written to; make the folders above it."""
    if target.is_dir():
        raise Invalid(f"{target} is a folder; name a file in it, for example {target}/out.jsonl")
    if not overwrite:
        refuse_existing(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"the folder {target.parent} cannot be made: {error.strerror}") from error


def _into(stream: BinaryIO, pieces: Iterable[bytes], path: Path | None) -> Exported:
    digest, size, last = hashlib.sha256(), 0, b""
    for line in _lines(pieces):
        if last:
            stream.write(last)
            digest.update(last)
            size += len(last)
        last = line
    summary = _summary(last)
    stream.flush()
    if (size, digest.hexdigest()) != (summary.bytes, summary.sha256):
        raise Unavailable("the export came over otherwise than it was sent: ask again")
    return Exported(
        rows=summary.rows,
        bytes=size,
        sha256=summary.sha256,
        path=path,
        dropped=summary.dropped,
        redacted=summary.redacted,
        redactions=summary.redactions,
    )


def _summary(line: bytes) -> wire.ExportSummary:
    try:
        return wire.decode(line, wire.ExportEnd).exported
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unavailable("the export broke off before its end: ask again") from None


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, with their ends; a last one without an end as it is."""
    rest: list[bytes] = []
    for piece in pieces:
        start = 0
        while (end := piece.find(b"\n", start) + 1) > 0:
            rest.append(piece[start:end])
            yield b"".join(rest)
            rest.clear()
            start = end
        rest.append(piece[start:])
    if any(rest):
        yield b"".join(rest)
