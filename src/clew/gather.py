"""Gather: bring foreign histories into the ledger, once, whole, and as they grow.

A file is read from where it was left, batch by batch (`clew.source`). One that shrank or was
rewritten is read anew as another generation; what is known already is not added again, and
nothing that came from it is ever removed. A file that holds many sessions is a store, and is
read by `clew.threads`.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew import importers
from clew.db import Tx
from clew.db.database import Row
from clew.errors import Damaged, Invalid, NotFound
from clew.importers import packed
from clew.importers.base import LeavesOut, Store
from clew.importers.sight import looking
from clew.intake import Intake, Piece, link_spawned
from clew.log import unpack
from clew.looking import Held, Mark, unjudged, walk, without_aliases
from clew.model import Kind
from clew.names import mended
from clew.source import (
    BATCH_BYTES,
    ERASED,
    UNSAID,
    Batch,
    Imported,
    Note,
    Taken,
    Work,
    count,
    cut,
    cut_frames,
    source_name,
    spared,
    store,
)
from clew.threads import take_store

if TYPE_CHECKING:
    from clew.importers.base import Importer, Reader
    from clew.ledger import Ledger
    from clew.session import Session

CHUNK_BYTES = 1024 * 1024
BY_FRAMES = b"\x01"
"""What the digest of a source begins with that is made from those of its frames."""
HELD_BYTES_MAX = 64 * 1024 * 1024
"""A file that says nothing for so long is taken as it is."""


class Progress(msgspec.Struct, frozen=True):
    """How far an import is: files and bytes done and in all, and the file in hand."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int
    path: str


def gather(
    ledger: Ledger,
    root: Path,
    *,
    importer: str | None,
    on_progress: Callable[[Progress], None] | None,
) -> Imported:
    """See `Ledger.import_from`."""
    report = Imported()
    works = _changed(ledger, root, importer, report)
    _tell_copies(ledger, root, works, report)
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


def take_file(ledger: Ledger, work: Work, report: Imported) -> list[Taken]:
    """Bring in what is new of a file. One bad file, or a session that takes no more, must not
    cost the others. What is wrong with the ledger itself is raised.
    """
    if isinstance(work.importer, Store):
        return take_store(ledger, work, report)
    taken = Taken(work.name, None, 0, new=False, settled=False)
    with spared(work, report):
        taken = _import_file(ledger, work, report)
    return [taken]


def _asked(root: Path, name: str | None) -> dict[str, Importer | Store]:
    """The importers to ask what is there."""
    if not root.exists():
        # Of an address that no importer reads, what stands before the host is not said again.
        shown = str(root).rpartition("@")[2] if ":/" in str(root) else root
        raise NotFound(f"{shown} does not exist: name a file or folder with histories")
    if not root.is_file() and not root.is_dir():
        raise Invalid(f"{root} is {packed.NO_FILE}: name a file or folder with histories")
    chosen = importers.IMPORTERS
    if name is None:
        return chosen
    if name not in chosen:
        raise Invalid(f"no importer {name!r}: there are {', '.join(sorted(chosen))}")
    return {name: chosen[name]}


def _changed(ledger: Ledger, root: Path, name: str | None, report: Imported) -> list[Work]:
    """The files that are new or have another size or time than when they were read. A store
    is always looked into: it knows by itself what changed.
    """
    chosen = _asked(root, name)
    held = Held(ledger, importers.IMPORTERS)
    alone = root.is_file()
    left: dict[str, str] = {}
    below = [] if alone else walk(root, left.setdefault)
    files = [(f, source_name(f), mark) for f, mark in below]
    works: list[Work] = []
    theirs: set[str] = set()
    with looking() as sight:
        for importer in chosen.values():
            sight.asks = importer.name
            known = None if alone else held.all_of(importer, files, theirs)
            if known is not None:
                report.files += len(known)
                report.unchanged += len(known)
                continue
            # Named by hand, a file needs no look to be taken for what it is said to be.
            named = alone and name is not None
            try:
                found = [root] if named else list(_below(importer, root, files, held, theirs))
            except OSError as error:
                left[str(error.filename or root)] = f"not looked at: {error.strerror or error}"
                continue
            works += _to_read(importer, without_aliases(found), held, report)
            theirs.update(map(str, found))
    left |= unjudged(sight, root, theirs, importers.IMPORTERS)
    if alone and left:
        raise Invalid(f"{root} is not imported: {next(iter(left.values()))}")
    report.notes += [Note(source_name(each), None, mended(why)) for each, why in left.items()]
    if not report.files and not left:
        raise NotFound(_nothing(root, chosen))
    return works


def _nothing(root: Path, chosen: Iterable[str]) -> str:
    agents = ", ".join(sorted(chosen))
    if root.is_file():
        return (
            f"{root} is no history that Clew knows by its name and first bytes ({agents}): "
            "if it is one, say whose with --agent NAME"
        )
    return (
        f"{root} holds no history that Clew can read ({agents}): name the agent's folder, for "
        "example ~/.claude, or a file and with --agent NAME whose it is"
    )


def _below(
    importer: Importer | Store,
    root: Path,
    files: Iterable[tuple[str, str, Mark]],
    held: Held,
    theirs: Container[str],
) -> Iterable[Path]:
    """The histories of an importer. One whose files may lie anywhere is not asked of those that
    another one has, or the ledger from it: it would open every file there is.
    """
    if importer.name not in importers.ANYWHERE or root.is_file():
        return importer.discover(root)
    rest = (
        name
        for name, source, _mark in files
        if name not in theirs and not held.by_others(importer.name, source)
    )
    return [path for path in map(Path, sorted(rest)) if importer.identify(path)]


def _to_read(
    importer: Importer | Store, found: Iterable[Path], held: Held, report: Imported
) -> Iterator[Work]:
    store = isinstance(importer, Store)
    for path in found:
        try:
            status = path.stat()
        except OSError as error:
            report.files += 1
            report.notes.append(Note(source_name(path), None, f"not read: {error}"))
            continue
        if not store and not stat.S_ISREG(status.st_mode):
            continue  # told of by who walked there
        report.files += 1
        mark = (status.st_size, status.st_mtime_ns)
        if not store and held.mark(importer.name, source_name(path)) == mark:
            report.unchanged += 1
        else:
            yield Work(importer, path, *mark)


def _tell_copies(ledger: Ledger, root: Path, works: list[Work], report: Imported) -> None:
    """Tell once of each file that is left out because another one begins with all of it: when
    that one is read, and the copy was made since it was read the last time.
    """
    reads = {work.path for work in works}
    for importer in {work.importer.name: work.importer for work in works}.values():
        if not isinstance(importer, LeavesOut):
            continue
        with ledger._database.read() as tx:
            seen = {row[0]: row[2] for row in tx.all("source_seen", importer=importer.name)}
        for copy, original in importer.copies(root):
            before = seen.get(source_name(original), 0)
            if original in reads and _written(copy) > before:
                text = f"left alone: {mended(original.name)} begins with all of it"
                report.notes.append(Note(source_name(copy), None, text))


def _written(path: Path) -> int:
    """When a file was written; 0 when it is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _import_file(ledger: Ledger, work: Work, report: Imported) -> Taken:
    settled = False
    with packed.opened(work.path) as file:
        intake, reader, hasher = _begin(ledger, work, file, report)
        file.seek(reader.consumed)
        try:
            held, waits = Batch(), False
            for read, tail in _batches(file, reader):
                for *_, digest in read.frames:
                    hasher.update(digest)
                waits = _held_back(intake, reader, held, read)
                if waits:
                    continue
                batch, held = held, Batch()
                if reader.origin.native_id and intake.refused(reader.origin):
                    report.notes.append(Note(work.name, None, ERASED))
                    break
                checked = BY_FRAMES + hasher.digest()
                store(ledger, work, intake, reader, (batch, tail, checked), report)
                settled = batch.last and intake.source is not None
            if waits:
                report.notes.append(Note(work.name, None, UNSAID))
        finally:
            # Batches that were stored count, whatever became of the one behind them.
            taken = count(work, intake, report, settled=settled)
    return taken


def _held_back(intake: Intake, reader: Reader, held: Batch, batch: Batch) -> bool:
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


def _begin(
    ledger: Ledger, work: Work, file: object, report: Imported
) -> tuple[Intake, Reader, hashlib._Hash]:
    """Go on where the file was left; from the start when it is new or was rewritten."""
    assert not isinstance(work.importer, Store)  # noqa: S101 - the caller asked
    name = work.name
    with ledger._database.read() as tx:
        row = tx.one("source_get", importer=work.importer.name, path=name)
        spans = tx.all("frame_spans", source=row[0]) if row is not None else []
    generation, project = 0, None
    if row is not None:
        key, project, session, generation, _size, read_to, _mtime, checked, _t, state, _n = row
        hasher = _read_before(file, spans, read_to, bytes(checked))
        if hasher is not None and state:
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
                    work.name,
                    None,
                    "it was rewritten since: read again from its start",
                )
            )
    reader = work.importer.open(work.path, None)
    intake = Intake(ledger, work.importer.name, name, project=project, generation=generation + 1)
    return intake, reader, hashlib.sha256()


def _read_before(
    file: object, spans: Iterable[Row], read_to: int, checked: bytes
) -> hashlib._Hash | None:
    """The digest so far of a file that begins with all that was read of it; `None` for another.

    It is made from the frames' own digests, which are made in any case. What an older version
    left is the digest of the bytes themselves: it is compared once, and not gone on with.
    """
    hasher, whole = hashlib.sha256(), hashlib.sha256()
    older = len(checked) == whole.digest_size
    at = 0
    for _start, size in spans:
        frame, at = hashlib.sha256(), at + size
        left = size
        while left:
            chunk = file.read(min(CHUNK_BYTES, left))  # type: ignore[attr-defined]
            if not chunk:
                return None
            frame.update(chunk)
            if older:
                whole.update(chunk)
            left -= len(chunk)
        hasher.update(frame.digest())
    found = whole.digest() if older else BY_FRAMES + hasher.digest()
    return hasher if found == checked and at == read_to else None


def _batches(file: object, reader: Reader) -> Iterator[tuple[Batch, bytes]]:
    """Read on to the end; gives batches with the tail that is not complete yet."""
    at, pending = reader.consumed, b""
    batch, frame_start, frame = Batch(), at, bytearray()
    while True:
        chunk: bytes = file.read(CHUNK_BYTES)  # type: ignore[attr-defined]
        last = not chunk
        before = reader.consumed
        records = reader.feed(chunk, at, last=last)
        at += len(chunk)
        window = pending + chunk
        taken = reader.consumed - before
        raw, pending = window[:taken], window[taken:]
        batch.bytes += taken
        for record in records:
            start = record.start - before
            batch.pieces.append(Piece(record, raw[start : start + record.length]))
        frame_start = cut_frames(batch, records, frame, raw, frame_start, last=last)
        if last or batch.bytes >= BATCH_BYTES:
            if not last and frame:
                frame_start = cut(batch, frame_start, frame)
            batch.last = last
            yield batch, pending
            batch = Batch()
        if last:
            return


def source_bytes(ledger: Ledger, session: Session) -> dict[str, bytes]:
    """See `Ledger.source_bytes`. Raises `NotFound` for a session that was not imported."""
    found: dict[str, bytes] = {}
    with ledger._database.read() as tx:
        for key, _importer, path, _generation, _size, _read, tail, _note, _s in tx.all(
            "source_list", session=session._key
        ):
            found[path] = b"".join([*frames(tx, key), bytes(tail)])
    if not found:
        raise NotFound(f"session {session.id} was not imported from a file")
    return found


def frames(tx: Tx, source: int) -> Iterator[bytes]:
    """What was read of a source for good, from its start. Raises `Damaged` for a gap."""
    expected = 0
    for start, size in tx.all("frame_spans", source=source):
        row = tx.one("frame_check", source=source, start=start)
        if row is None or start != expected:
            raise Damaged(f"source {source} has a gap at byte {expected}: run `clew verify`")
        expected += size
        yield unpack(1, size, row[1])
