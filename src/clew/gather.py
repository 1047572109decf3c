"""Gather: bring foreign histories into the ledger, once, whole, and as they grow.

A source is read from where it was left. Its raw bytes go into compressed frames, so that the
file can be given back byte for byte; each record becomes an entry whose body *is* a byte range
of a frame. One batch is one transaction: frames, entries, tokens and the place to go on at, so
that a crash leaves the state before a batch or after it. A source that shrank or was rewritten
is read anew as another generation; what is known already is not added again, and nothing that
came from it is ever removed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import zstandard

from clew import canonical, importers
from clew.db import Tx
from clew.errors import ClewError, Conflict, Damaged, Invalid, NotFound, Stale
from clew.importers import packed
from clew.intake import LATER, Intake, Overtaken, Piece, link_spawned
from clew.log import unpack
from clew.model import Kind
from clew.names import mended

if TYPE_CHECKING:
    from clew.importers.base import Importer, Reader
    from clew.ledger import Ledger
    from clew.session import Session

CHUNK_BYTES = 1024 * 1024
BATCH_BYTES = 4 * 1024 * 1024
"""So much of a source goes into one transaction."""
HELD_BYTES_MAX = 64 * 1024 * 1024
"""A file that says nothing for so long is taken as it is."""
FRAME_BYTES = 256 * 1024
FRAME_LEVEL = 3
NOT_ALL_READ = -1
"""In place of a source's time while there is more to read."""

TORN = "bytes of an incomplete record"
UNSAID = "nothing is said in it yet: read when there is"
EMPTY = "it holds no records yet"
"""What is told of a source that its agent is still writing: the ends of notes."""


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


class Progress(msgspec.Struct, frozen=True):
    """How far an import is: files and bytes done and in all, and the file in hand."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int
    path: str


class Work(msgspec.Struct):
    """A source to read, and the size and time it had when it was looked at."""

    importer: Importer
    path: Path
    size: int
    mtime_ns: int


class _Batch(msgspec.Struct):
    """What one transaction stores."""

    pieces: list[Piece] = []
    frames: list[tuple[int, bytes]] = []
    bytes: int = 0
    last: bool = False
    """True when the source ends here for now."""


def gather(
    ledger: Ledger,
    root: Path,
    *,
    importer: str | None,
    on_progress: Callable[[Progress], None] | None,
) -> Imported:
    """See `Ledger.import_from`."""
    report = Imported()
    works = _changed(ledger, _find(root, importer), report)
    total, done = sum(work.size for work in works), 0
    for number, work in enumerate(works):
        if on_progress:
            on_progress(Progress(number, len(works), done, total, mended(str(work.path))))
        take_file(ledger, work, report)
        done += work.size
    if report.sessions_new:
        ledger._run(link_spawned, 0)
    if on_progress:
        on_progress(Progress(len(works), len(works), total, total, ""))
    return report


def take_file(ledger: Ledger, work: Work, report: Imported) -> None:
    """One bad file, or a session that takes no more, must not cost the others. What is wrong
    with the ledger itself is raised.
    """
    try:
        _import_file(ledger, work, report)
        return
    except Overtaken as error:
        report.unchanged += 1
        text = f"left alone: {error}"
    except (OSError, Invalid, Conflict, NotFound, Stale) as error:
        text = f"not read: {error}"
    except ClewError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file brings about
        text = f"not read: {type(error).__name__}: {error}"
    report.notes.append(Note(source_name(work.path), None, mended(text)))


def _find(root: Path, name: str | None) -> Iterator[tuple[Importer, Path]]:
    if not root.exists():
        raise NotFound(f"{root} does not exist: name a file or folder with histories")
    chosen = importers.IMPORTERS
    if name is not None:
        if name not in chosen:
            raise Invalid(f"no importer {name!r}: there are {', '.join(sorted(chosen))}")
        chosen = {name: chosen[name]}
    found = False
    if name is not None and root.is_file():
        # Named by hand, a file needs no look to be taken for what it is said to be.
        yield chosen[name], root
        return
    for importer in chosen.values():
        for path in importer.discover(root):
            found = True
            yield importer, path
    if not found:
        raise NotFound(
            f"{root} holds no history that Clew can read ({', '.join(sorted(chosen))}): "
            "name the agent's folder, for example ~/.claude"
        )


def _changed(
    ledger: Ledger, found: Iterator[tuple[Importer, Path]], report: Imported
) -> list[Work]:
    """The sources that are new or have another size or time than when they were read."""
    seen: dict[str, dict[str, tuple[int, int]]] = {}
    works = []
    for importer, path in found:
        known = seen.get(importer.name)
        if known is None:
            with ledger._database.read() as tx:
                rows = tx.all("source_seen", importer=importer.name)
            known = seen[importer.name] = {row[0]: (row[1], row[2]) for row in rows}
        report.files += 1
        try:
            status = path.stat()
        except OSError as error:
            report.notes.append(Note(source_name(path), None, f"not read: {error}"))
            continue
        if known.get(source_name(path)) == (status.st_size, status.st_mtime_ns):
            report.unchanged += 1
        else:
            works.append(Work(importer, path, status.st_size, status.st_mtime_ns))
    return works


def source_name(path: Path) -> str:
    """The name under which the ledger knows a source."""
    # Ten times as fast as Path.resolve, and links stay as named. A source that its agent has
    # compressed stays the source that it was.
    return mended(packed.plain_name(os.path.abspath(path)))  # noqa: PTH100


def _import_file(ledger: Ledger, work: Work, report: Imported) -> None:
    with packed.opened(work.path) as file:
        intake, reader, hasher = _begin(ledger, work, file, report)
        file.seek(reader.consumed)
        try:
            held, waits = _Batch(), False
            for read, tail in _batches(file, reader, hasher):
                waits = _held_back(intake, reader, held, read)
                if waits:
                    continue
                batch, held = held, _Batch()
                if reader.origin.native_id and intake.refused(reader.origin):
                    note = "it was erased here and is not brought back"
                    report.notes.append(Note(source_name(work.path), None, note))
                    return
                _store(ledger, work, intake, reader, (batch, tail, hasher.digest()), report)
                report.bytes += batch.bytes
                report.records += len(batch.pieces)
            if waits:
                report.notes.append(Note(source_name(work.path), None, UNSAID))
        finally:
            # Batches that were stored count, whatever became of the one behind them.
            _count(work, intake, report)


def _held_back(intake: Intake, reader: Reader, held: _Batch, batch: _Batch) -> bool:
    """Add a batch to those that wait; true while all of them must. A session is not made
    before its project is known or something is said, and something of its own: read in pieces
    or at once, a file gives the same.
    """
    held.pieces += batch.pieces
    held.frames += batch.frames
    held.bytes += batch.bytes
    held.last = batch.last
    if intake.session is not None or held.bytes >= HELD_BYTES_MAX:
        return False
    if not reader.origin.settled:
        return True
    return (
        not intake.placed
        and reader.origin.project is None
        and all(piece.record.kind is not Kind.MESSAGE for piece in held.pieces)
    )


def _count(work: Work, intake: Intake, report: Imported) -> None:
    intake.reset()
    report.sessions_new += intake.created
    report.sessions_grown += bool(intake.added and not intake.created)
    report.added += intake.added
    report.known += intake.known
    name = source_name(work.path)
    report.notes += [Note(name, at, text) for at, text in intake.notes if text != LATER]
    later = [at for at, text in intake.notes if text == LATER]
    if later:
        # A file that was rewritten throughout has as many of them as records.
        text = LATER if len(later) == 1 else f"{LATER}, and {len(later) - 1:,} records behind it"
        report.notes.append(Note(name, later[0], text))


def _begin(
    ledger: Ledger, work: Work, file: object, report: Imported
) -> tuple[Intake, Reader, hashlib._Hash]:
    """Go on where the source was left; from the start when it is new or was rewritten."""
    name = source_name(work.path)
    with ledger._database.read() as tx:
        row = tx.one("source_get", importer=work.importer.name, path=name)
    hasher = hashlib.sha256()
    generation, project = 0, None
    if row is not None:
        key, project, session, generation, _size, read_to, _mtime, checked, _t, state, _n = row
        _hash_prefix(file, read_to, hasher)
        if hasher.digest() == bytes(checked) and state:
            try:
                reader = work.importer.open(work.path, bytes(state))
            except Invalid:
                pass  # another version's state: read again from the start
            else:
                return (
                    Intake(
                        ledger, work.importer.name, name, key, session, project, read_to=read_to
                    ),
                    reader,
                    hasher,
                )
        if bytes(checked):
            report.notes.append(
                Note(
                    source_name(work.path),
                    None,
                    "it was rewritten since: read again from its start",
                )
            )
        hasher = hashlib.sha256()
    reader = work.importer.open(work.path, None)
    intake = Intake(ledger, work.importer.name, name, project=project, generation=generation + 1)
    return intake, reader, hasher


def _hash_prefix(file: object, size: int, hasher: hashlib._Hash) -> None:
    left = size
    while left:
        chunk = file.read(min(CHUNK_BYTES, left))  # type: ignore[attr-defined]
        if not chunk:
            return
        hasher.update(chunk)
        left -= len(chunk)


def _batches(file: object, reader: Reader, hasher: hashlib._Hash) -> Iterator[tuple[_Batch, bytes]]:
    """Read on to the end; gives batches with the tail that is not complete yet."""
    at, pending = reader.consumed, b""
    batch, frame_start, frame = _Batch(), at, bytearray()
    while True:
        chunk: bytes = file.read(CHUNK_BYTES)  # type: ignore[attr-defined]
        last = not chunk
        before = reader.consumed
        records = reader.feed(chunk, at, last=last)
        at += len(chunk)
        window = pending + chunk
        taken = reader.consumed - before
        raw, pending = window[:taken], window[taken:]
        hasher.update(raw)
        batch.bytes += taken
        for record in records:
            start = record.start - before
            batch.pieces.append(Piece(record, raw[start : start + record.length]))
        frame_start = _cut_frames(batch, records, frame, raw, frame_start, last=last)
        if last or batch.bytes >= BATCH_BYTES:
            if not last and frame:
                batch.frames.append((frame_start, bytes(frame)))
                frame_start += len(frame)
                frame.clear()
            batch.last = last
            yield batch, pending
            batch = _Batch()
        if last:
            return


def _cut_frames(
    batch: _Batch,
    records: Sequence[object],
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
        end = record.start + record.length - base  # type: ignore[attr-defined]
        if len(frame) + end - offset >= FRAME_BYTES:
            frame += raw[offset:end]
            offset = end
            batch.frames.append((frame_start, bytes(frame)))
            frame_start += len(frame)
            frame.clear()
    frame += raw[offset:]
    if last and frame:
        batch.frames.append((frame_start, bytes(frame)))
        frame_start += len(frame)
        frame.clear()
    return frame_start


def _store(
    ledger: Ledger,
    work: Work,
    intake: Intake,
    reader: Reader,
    read: tuple[_Batch, bytes, bytes],
    report: Imported,
) -> None:
    batch, tail, checked = read
    if not batch.frames and not tail and intake.source is None:
        report.notes.append(Note(source_name(work.path), None, EMPTY))
        return
    packer = zstandard.ZstdCompressor(level=FRAME_LEVEL)
    frames = [
        {
            "start": start,
            "bytes": len(raw),
            "digest": canonical.content_id(raw),
            "body": packer.compress(raw),
        }
        for start, raw in batch.frames
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
    intake.prepare(batch.pieces, reader.origin, work.mtime_ns // 1_000_000)

    def unit(tx: Tx) -> None:
        intake.take(tx, reader.origin)
        if frames:
            tx.many("frame_add", [{"source": intake.source, **frame} for frame in frames])
        tx.run("source_read", source=intake.source, **progress)

    ledger._run(unit, intake.session or 0)
    intake.stored(reader.consumed)
    if intake.session and ledger._searcher is not None:
        ledger._searcher.wrote(intake.session)
    if note:
        report.notes.append(Note(source_name(work.path), reader.consumed, note))


def source_bytes(ledger: Ledger, session: Session) -> dict[str, bytes]:
    """See `Ledger.source_bytes`. Raises `NotFound` for a session that was not imported."""
    found: dict[str, bytes] = {}
    with ledger._database.read() as tx:
        for key, _importer, path, _generation, _size, _read, tail, _note, _s in tx.all(
            "source_list", session=session._key
        ):
            found[path] = b"".join([*_frames(tx, key), bytes(tail)])
    if not found:
        raise NotFound(f"session {session.id} was not imported from a file")
    return found


def _frames(tx: Tx, source: int) -> Iterator[bytes]:
    expected = 0
    for start, size in tx.all("frame_spans", source=source):
        row = tx.one("frame_check", source=source, start=start)
        if row is None or start != expected:
            raise Damaged(f"source {source} has a gap at byte {expected}: run `clew verify`")
        expected += size
        yield unpack(1, size, row[1])
