"""Stores: files that hold many sessions, whose parts change in place (`clew.importers.base`).

Each session in one is a source of its own, named by the file and the session. What is new or has
changed is appended to its raw stream, so that the ledger keeps every version that it saw. A thread
whose mark did not change is not looked at; one that is gone stays in the ledger.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from clew.errors import Invalid
from clew.importers.base import Store
from clew.intake import Intake, Piece
from clew.source import (
    BATCH_BYTES,
    ERASED,
    Batch,
    Imported,
    Note,
    Taken,
    Work,
    count,
    cut,
    cut_frames,
    spared,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clew.importers.base import Item, ThreadReader
    from clew.ledger import Ledger


def take_store(ledger: Ledger, work: Work, report: Imported) -> list[Taken]:
    """Bring in what is new in a store, thread by thread. What is wrong with the store, or with
    one thread of it, becomes a note.
    """
    assert isinstance(work.importer, Store)  # noqa: S101 - the caller asked
    found: list[Taken] = []
    unread = True
    with spared(work, report), work.importer.look(work.path) as inside:
        seen = _seen(ledger, work)
        for thread in inside.threads():
            one = Work(work.importer, work.path, *thread.mark, thread.name, work.place)
            if seen.get(one.name) == thread.mark:
                continue
            taken = Taken(one.name, None, 0, new=False, settled=False)
            with spared(one, report):
                taken = _take(ledger, one, inside.items(thread.name), report)
            found.append(taken)
        unread = False
    if unread:
        found.append(Taken(work.name, None, 0, new=False, settled=False))
    elif not found:
        report.unchanged += 1
    return found


def _seen(ledger: Ledger, work: Work) -> dict[str, tuple[int, int]]:
    """The marks that the threads of this store had when they were read."""
    with ledger._database.read() as tx:
        rows = tx.all("source_seen", importer=work.importer.name)
    prefix = f"{work.name}#"
    return {row[0]: (row[1], row[2]) for row in rows if row[0].startswith(prefix)}


def _take(ledger: Ledger, work: Work, items: Iterable[Item], report: Imported) -> Taken:
    intake, reader, digest = _begin(ledger, work)
    settled = False
    try:
        if intake.refused(reader.origin):
            report.notes.append(Note(work.name, None, ERASED))
        else:
            for batch in _batches(reader, items):
                digest = _chained(digest, batch)
                if batch.pieces or batch.last:
                    store(ledger, work, intake, reader, (batch, b"", digest), report)
            settled = not reader.waits
    finally:
        # Batches that were stored count, whatever became of the one behind them.
        taken = count(work, intake, report, settled=settled)
    return taken


def _begin(ledger: Ledger, work: Work) -> tuple[Intake, ThreadReader, bytes]:
    """Go on where the thread was left; with nothing when it is new."""
    assert isinstance(work.importer, Store)  # noqa: S101 - the caller asked
    assert work.thread is not None  # noqa: S101 - a thread's work
    importer, name = work.importer, work.name
    with ledger._database.read() as tx:
        row = tx.one("source_get", importer=importer.name, path=name)
    generation, project = 0, None
    if row is not None:
        key, project, session, generation, _size, read_to, _mtime, checked, _t, state, _n = row
        try:
            reader = importer.open(work.path, work.thread, bytes(state))
        except Invalid:
            pass  # another version's state: read again, and only what is unknown is added
        else:
            intake = Intake(ledger, importer.name, name, key, session, project, read_to=read_to)
            return intake, reader, bytes(checked)
    reader = importer.open(work.path, work.thread, None)
    intake = Intake(ledger, importer.name, name, project=project, generation=generation + 1)
    return intake, reader, b""


def _chained(before: bytes, batch: Batch) -> bytes:
    """The digest of a stream that has grown by a batch."""
    if not batch.frames:
        return before
    return hashlib.sha256(before + b"".join(digest for *_, digest in batch.frames)).digest()


def _batches(reader: ThreadReader, items: Iterable[Item]) -> Iterator[Batch]:
    """What is new of a thread. The last batch is `last` when nothing of it waits."""
    batch, frame_start, frame = Batch(), reader.consumed, bytearray()
    for raw, records in reader.take(items):
        base = reader.consumed - len(raw)
        for record in records:
            at = record.start - base
            batch.pieces.append(Piece(record, raw[at : at + record.length]))
        batch.bytes += len(raw)
        full = batch.bytes >= BATCH_BYTES
        frame_start = cut_frames(batch, records, frame, raw, frame_start, last=full)
        if full:
            yield batch
            batch = Batch()
    if frame:
        cut(batch, frame_start, frame)
    batch.last = not reader.waits
    yield batch
