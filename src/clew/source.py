"""One source on its way into the ledger: what is read in one go becomes one transaction.

Its raw bytes go into compressed frames, so that they can be given back byte for byte; each record
becomes an entry whose body *is* a byte range of a frame. Frames, entries, tokens and the place to
go on at are stored together, so that a crash leaves the state before a batch or after it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import zstandard

from clew import canonical
from clew.db import Tx
from clew.errors import ClewError, Conflict, Invalid, NotFound, Stale
from clew.importers import packed
from clew.intake import LATER, Intake, Overtaken, Piece
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clew.importers.base import Importer, Reader, Store, ThreadReader
    from clew.ledger import Ledger
    from clew.model import Record

BATCH_BYTES = 4 * 1024 * 1024
"""So much of a source goes into one transaction."""
FRAME_BYTES = 256 * 1024
FRAME_LEVEL = 3
NOT_ALL_READ = -1
"""In place of a source's time while there is more to read."""

TORN = "bytes of an incomplete record"
UNSAID = "nothing is said in it yet: read when there is"
EMPTY = "it holds no records yet"
"""What is told of a source that its agent is still writing: the ends of notes."""


ERASED = "it was erased here and is not brought back"


class Note(msgspec.Struct, frozen=True):
    """Something odd in a source, and where: nothing is skipped without one."""

    path: str
    offset: int | None
    text: str


class Imported(msgspec.Struct):
    """What an import did. `bytes` counts what was read of the sources; `known` the records
    that the ledger held already.
    """

    files: int = 0
    unchanged: int = 0
    sessions_new: int = 0
    sessions_grown: int = 0
    records: int = 0
    added: int = 0
    known: int = 0
    bytes: int = 0
    notes: list[Note] = []


class Work(msgspec.Struct):
    """A file to read, or one thread of a store in it, and the mark it had when it was looked at:
    a file's size in bytes and its time, a thread's own two numbers.
    """

    importer: Importer | Store
    path: Path
    size: int
    mtime_ns: int
    thread: str | None = None
    place: str | None = None
    """The address of what is no file."""

    @property
    def name(self) -> str:
        """The name under which the ledger knows this source."""
        name = source_name(self.path) if self.place is None else self.place
        return name if self.thread is None else f"{name}#{mended(self.thread)}"


class Taken(msgspec.Struct, frozen=True):
    """What became of one source: `session` is its key, `None` when there is none yet. It is
    `settled` when the ledger has all of it, as it was when it was looked at.
    """

    name: str
    session: int | None
    added: int
    new: bool
    settled: bool


class Batch(msgspec.Struct):
    """What one transaction stores."""

    pieces: list[Piece] = []
    frames: list[tuple[int, bytes, bytes]] = []
    """Where each begins, its bytes, and their digest."""
    bytes: int = 0
    last: bool = False
    """True when the source ends here for now."""


def _first_told(batch: Batch) -> int:
    """When a thread began, for what stands before the first thing that tells a time: all of a
    thread is there at once.
    """
    told = (piece.record.time_ms for piece in batch.pieces if piece.record.time_ms is not None)
    return next(told, canonical.now_ms())


def source_name(path: str | Path) -> str:
    """The name under which the ledger knows a source."""
    # Ten times as fast as Path.resolve, and links stay as named. A source that its agent has
    # compressed stays the source that it was.
    return mended(packed.plain_name(os.path.abspath(path)))  # noqa: PTH100


@contextmanager
def spared(work: Work, report: Imported) -> Iterator[None]:
    """Whatever goes wrong with one source becomes a note. What is wrong with the ledger itself
    is raised.
    """
    try:
        yield
        return
    except Overtaken as error:
        report.unchanged += 1
        text = f"left alone: {error}"
    except (OSError, Invalid, Conflict, NotFound, Stale) as error:
        text = f"not read: {error}"
    except ClewError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile source brings about
        text = f"not read: {type(error).__name__}: {error}"
    report.notes.append(Note(work.name, None, mended(text)))


def count(work: Work, intake: Intake, report: Imported, *, settled: bool) -> Taken:
    """Add to the report what was stored of a source."""
    intake.reset()
    report.sessions_new += intake.created
    report.sessions_grown += bool(intake.added and not intake.created)
    report.added += intake.added
    report.known += intake.known
    name = work.name
    report.notes += [Note(name, at, text) for at, text in intake.notes if text != LATER]
    later = [at for at, text in intake.notes if text == LATER]
    if later:
        # A file that was rewritten throughout has as many of them as records.
        text = LATER if len(later) == 1 else f"{LATER}, and {len(later) - 1:,} records behind it"
        report.notes.append(Note(name, later[0], text))
    return Taken(name, intake.session, intake.added, intake.created, settled)


def cut(batch: Batch, start: int, frame: bytearray) -> int:
    """Make the bytes in hand a frame of the batch; gives where the next one begins."""
    raw = bytes(frame)
    frame.clear()
    batch.frames.append((start, raw, canonical.content_id(raw)))
    return start + len(raw)


def cut_frames(
    batch: Batch,
    records: Sequence[Record],
    frame: bytearray,
    raw: bytes,
    frame_start: int,
    *,
    last: bool,
) -> int:
    """Add raw bytes to the frame in hand and cut it where a record ends. A record never lies
    across two frames, since what is taken at once ends behind a record.
    """
    offset = 0
    base = frame_start + len(frame)
    for record in records:
        end = record.start + record.length - base
        if len(frame) + end - offset >= FRAME_BYTES:
            frame += raw[offset:end]
            offset = end
            frame_start = cut(batch, frame_start, frame)
    frame += raw[offset:]
    if last and frame:
        frame_start = cut(batch, frame_start, frame)
    return frame_start


def store(
    ledger: Ledger,
    work: Work,
    intake: Intake,
    reader: Reader | ThreadReader,
    read: tuple[Batch, bytes, bytes],
    report: Imported,
) -> None:
    """Store a batch, with the bytes of the tail behind it and the digest of all before that."""
    batch, tail, checked = read
    if not batch.frames and not tail and intake.source is None:
        report.notes.append(Note(work.name, None, EMPTY))
        return
    packer = zstandard.ZstdCompressor(level=FRAME_LEVEL)
    frames = [
        {
            "start": start,
            "bytes": len(raw),
            "digest": digest,
            "body": packer.compress(raw),
        }
        for start, raw, digest in batch.frames
    ]
    whole = batch.last
    note = f"ends in {len(tail)} {TORN}" if tail and whole else None
    progress = {
        "size": work.size,
        "read_to": reader.consumed,
        # An import that dies here must not take the source for read the next time.
        "mtime_ns": work.mtime_ns if whole else NOT_ALL_READ,
        "checked": checked,
        "tail": tail,
        "state": reader.state(),
        "note": note,
        "updated_ms": canonical.now_ms(),
    }
    fallback_ms = work.mtime_ns // 1_000_000 if work.thread is None else _first_told(batch)
    intake.prepare(batch.pieces, reader.origin, fallback_ms)

    def unit(tx: Tx) -> None:
        intake.take(tx, reader.origin)
        if frames:
            tx.many("frame_add", [{"source": intake.source, **frame} for frame in frames])
        tx.run("source_read", source=intake.source, **progress)

    ledger._run(unit, intake.session or 0)
    intake.stored(reader.consumed)
    report.bytes += batch.bytes
    report.records += len(batch.pieces)
    if intake.session and ledger._searcher is not None:
        ledger._searcher.wrote(intake.session)
    if note:
        report.notes.append(Note(work.name, reader.consumed, note))
