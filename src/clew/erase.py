"""Erase: what a session said goes, the proof that it was said stays.

Each body goes with its nonce; the salted digest is kept in its place, so the chain verifies
and nothing can be guessed from it. Bodies that another session's path still runs over stay.
The order is: one transaction for the ledger, then the search index, then the files are
scrubbed; a crash in between leaves a mark, and the next use finishes the work.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import zstandard

from clew import audit, canonical
from clew.db import Tx
from clew.log import Bodies, Head, Place, Range, lock_head, path, save_head, unpack

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.session import Session

PENDING = "erase:"
TOMBSTONES = "tombstone_key"
"""The name of the secret under which the ledger marks what must not come back."""


class Erased(msgspec.Struct, frozen=True):
    """What was (or, in a dry run, would be) removed, and what is not reached."""

    sessions: tuple[str, ...]
    entries: int
    bytes: int
    kept_shared: int
    """Entries whose bodies stay because other sessions share them."""
    shared_with: tuple[str, ...]
    backups: tuple[str, ...]
    """Copies made by `backup` that still hold it."""
    dry_run: bool


class _Plan(msgspec.Struct):
    key: int
    project: int
    id: str
    kept: list[Range] = []
    shared_with: set[str] = set()
    entries: int = 0
    bytes: int = 0
    shared: int = 0


def erase(ledger: Ledger, session: str, *, with_branches: bool, dry_run: bool) -> Erased:
    """See `Ledger.erase`."""
    handle = ledger.get(session)
    with ledger._database.read() as tx:
        plans = _plans(tx, handle, with_branches)
        backups = tuple(name.removeprefix("backup:") for (name,) in tx.all("meta_backups"))
    report = Erased(
        sessions=tuple(plan.id for plan in plans),
        entries=sum(plan.entries for plan in plans),
        bytes=sum(plan.bytes for plan in plans),
        kept_shared=sum(plan.shared for plan in plans),
        shared_with=tuple(sorted(set().union(*(plan.shared_with for plan in plans)))),
        backups=backups,
        dry_run=dry_run,
    )
    if not dry_run:
        key = ledger._secret(TOMBSTONES)
        wanted = {plan.key for plan in plans}
        for plan in plans:
            ledger._run(partial(_erase, ledger, plan, wanted, key), plan.key)
        ledger.evict(report.sessions)
        finish(ledger)
    return report


def _plans(tx: Tx, handle: Session, with_branches: bool) -> list[_Plan]:
    wanted: dict[int, str] = {}
    waiting = [(handle._key, handle.id)]
    while waiting:
        key, id = waiting.pop()
        if key not in wanted:
            wanted[key] = id
            if with_branches:
                waiting += [(k, i) for k, i, _seq in _sharers(tx, key, set())]
    owned = wanted | _left_behind(tx, wanted)
    plans = [_plan(tx, key, handle._project, id, owned.keys()) for key, id in owned.items()]
    return [plan for plan in plans if plan.key in wanted or plan.entries]


def _left_behind(tx: Tx, keys: Iterable[int]) -> dict[int, str]:
    """Sessions that were erased before, and kept what these shared: it goes with its last owner."""
    found: dict[int, str] = {}
    waiting = list(keys)
    while waiting:
        for key, _seq in tx.all("places_elsewhere", session=waiting.pop()):
            row = tx.one("session_by_key", session=key)
            if row is not None and row[3] == "erased" and key not in found:
                found[key] = row[2]
                waiting.append(key)
    return found


def _plan(tx: Tx, key: int, project: int, id: str, wanted: Collection[int]) -> _Plan:
    """What goes of one session when all `wanted` ones are erased."""
    plan = _Plan(key, project, id)
    for sharer, name, seq in _sharers(tx, key, set()):
        if sharer not in wanted:
            plan.shared_with.add(name)
            pieces = path(tx, Place(key, seq))
            plan.kept += [piece for piece in pieces if piece.session == key]
    for _seq, size, kept in _bodies(tx, plan):
        plan.shared += kept
        plan.entries += not kept
        plan.bytes += 0 if kept else size
    return plan


def _sharers(tx: Tx, key: int, seen: set[int]) -> list[tuple[int, str, int]]:
    """Other sessions that stand, stood or hang on this one's entries: key, id and up to which.

    An erased session shares nothing for itself, but passes on what runs through it.
    """
    seen.add(key)
    found: list[tuple[int, str, int]] = []
    for other, id, seq, status in tx.all("session_sharers", session=key):
        if status != "erased":
            found.append((other, id, seq))
        elif other not in seen:
            for sharer, name, at in _sharers(tx, other, seen):
                pieces = path(tx, Place(other, at))
                found += [(sharer, name, p.high) for p in pieces if p.session == key]
    return [row for row in found if row[0] != key]


def _bodies(tx: Tx, plan: _Plan) -> Iterator[tuple[int, int, bool]]:
    """Every entry that still has a body: number, bytes, and whether it is shared."""
    for seq, size in tx.all("entry_sizes", project=plan.project, session=plan.key):
        yield seq, size, any(piece.low <= seq <= piece.high for piece in plan.kept)


def _erase(ledger: Ledger, plan: _Plan, wanted: Collection[int], key: bytes, tx: Tx) -> None:
    tx.run("session_status", session=plan.key, status="open")
    head = lock_head(tx, plan.key)
    # Once more, behind the lock: a branch may have been made since.
    plan = _plan(tx, plan.key, plan.project, plan.id, wanted)
    gone = [seq for seq, _size, kept in _bodies(tx, plan) if not kept]
    blobs = _blank_entries(tx, head, gone) | _blank_events(tx, head)
    for blob in blobs:
        if tx.one("blob_used", blob=blob) is None:
            tx.run("blob_drop", id=blob)
    _blank_sources(tx, plan, whole=not plan.kept)
    tx.run("record_forget", session=plan.key)
    tx.run("idempotency_forget", session=plan.key)
    tx.run("checkpoint_blank", session=plan.key)
    row = tx.one("session_info", session=plan.key)
    if row is not None and row[16] is not None:
        tx.run("tombstone_add", mark=mark_of(key, row[16]), erased_ms=canonical.now_ms())
    audit.record(
        tx, head, ledger.actor, "erase", entries=len(gone), bytes=plan.bytes, shared=plan.shared
    )
    save_head(tx, head)
    tx.run("session_blank", session=plan.key)
    tx.run("meta_set", name=f"{PENDING}{plan.id}", value=str(plan.key))


def _blank_entries(tx: Tx, head: Head, numbers: list[int]) -> set[bytes]:
    bodies, blobs = Bodies(tx), set()
    for seq in numbers:
        row = tx.one("entry_body", project=head.project, session=head.key, seq=seq)
        if row is None:
            continue
        body, blob, source, start, size, nonce = row
        text = bodies.get(body, blob, source, start, size) or b""
        if blob is not None:
            blobs.add(bytes(blob))
        tx.run(
            "entry_erase",
            project=head.project,
            session=head.key,
            seq=seq,
            digest=canonical.digest(bytes(nonce), text),
        )
    return blobs


def _blank_events(tx: Tx, head: Head) -> set[bytes]:
    """Spans belong to the session alone: no branch shares them."""
    bodies, blobs = Bodies(tx), set()
    for sequence, body, blob, size, nonce in tx.all("event_bodies", session=head.key):
        text = bodies.get(body, blob, None, 0, size) or b""
        if blob is not None:
            blobs.add(bytes(blob))
        digest = canonical.digest(bytes(nonce), text)
        tx.run("event_erase", session=head.key, sequence=sequence, digest=digest)
    tx.run("span_blank", session=head.key)
    return blobs


def _blank_sources(tx: Tx, plan: _Plan, *, whole: bool) -> None:
    """Raw bytes: all of them when nothing is shared, else all but what entries still use."""
    for row in tx.all("source_list", session=plan.key):
        source = row[0]
        kept = (
            []
            if whole
            else tx.all("source_used", project=plan.project, session=plan.key, source=source)
        )
        for start, size in tx.all("frame_spans", source=source):
            _blank_frame(tx, source, start, size, kept)
        tx.run("source_forget", source=source, empty=b"")


def _blank_frame(tx: Tx, source: int, start: int, size: int, kept: list[tuple[int, ...]]) -> None:
    inside = [(at, n) for at, n in kept if start <= at < start + size]
    raw = bytearray(b" " * size)
    if inside:
        row = tx.one("frame_check", source=source, start=start)
        old = unpack(1, size, row[1]) if row else bytes(size)
        for at, n in inside:
            raw[at - start : at - start + n] = old[at - start : at - start + n]
    tx.run(
        "frame_replace",
        source=source,
        start=start,
        body=zstandard.ZstdCompressor().compress(bytes(raw)),
        digest=canonical.content_id(bytes(raw)),
    )


def finish(ledger: Ledger) -> None:
    """Take erased entries out of the index and scrub the files; also after a crash."""
    with ledger._database.read() as tx:
        pending = tx.all("meta_erasures")
        entries = [
            id for _name, key in pending for (id,) in tx.all("entry_erased", session=int(key))
        ]
    if not pending:
        return
    ledger._search.forget(entries)
    if ledger._shared.live is not None:
        ledger._shared.live.forget([int(key) for _name, key in pending])
    for name, _key in pending:
        ledger._database.write(partial(_done, name))
    ledger._database.scrub()


def _done(name: str, tx: Tx) -> None:
    tx.run("meta_drop", name=name)


# --- tombstones --------------------------------------------------------------------------


def mark_of(key: bytes, imported_from: str) -> bytes:
    """The mark of an imported session: keyed, so that it tells nobody what was erased."""
    return hmac.digest(key, imported_from.encode(), "sha256")


def was_erased(tx: Tx, imported_from: str) -> bool:
    """True when a session of this origin was erased here."""
    row = tx.one("meta_get", name=TOMBSTONES)
    if row is None:
        return False
    mark = mark_of(bytes.fromhex(row[0]), imported_from)
    return tx.one("tombstone_get", mark=mark) is not None
