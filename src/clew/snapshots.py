"""Snapshots: the agent's own state at a moment, as entries of the log.

A snapshot lies on the path like a config change: restore and branch bring the state of that
moment back, the chain covers it, erase removes it. What equals the newest one is not stored
again; big states are blobs and stored once each. Deleting adds an entry that says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from clew import canonical, reading
from clew.db import Tx
from clew.drafts import own_draft
from clew.errors import Conflict, Invalid
from clew.log import Draft, Head, Names, Place, append, before, last_of_kind, path
from clew.model import JSON, Entry, Kind, Snapshot


def draft_of(state: JSON) -> Draft:
    """An entry that holds a state. Raises `Invalid` for what is no JSON, or null."""
    if state is None:
        raise Invalid("the state is None, which says that there is none: use delete_snapshot()")
    return own_draft(Kind.SNAPSHOT, {"state": state})


def _canonical(body: bytes | None) -> bytes:
    """A state that does not depend on the order of its keys; empty once erased."""
    return b"" if body is None else canonical.canonical(canonical.parse(body)["state"])


def deletion() -> Draft:
    """An entry that says that there is no state from here on."""
    return own_draft(Kind.SNAPSHOT, {"state": None}, deleted=True)


def current(tx: Tx, place: Place | None) -> tuple[Place, Entry] | None:
    """The newest snapshot on the path to a place; `None` when there is none or it was deleted."""
    found = last_of_kind(tx, place, Kind.SNAPSHOT)
    if found is None or found[1].get("deleted"):
        return None
    return found[0], reading.entry(tx, found[0])


def load(tx: Tx, place: Place | None) -> Snapshot | None:
    """The state in force at a place."""
    found = current(tx, place)
    return None if found is None else snapshot_of(tx, *found)


def put(tx: Tx, head: Head, draft: Draft, expected: int | None, *, check: bool) -> Snapshot:
    """Make a state the current one; give the current one back when it is that already.

    Raises `Conflict` when `check` and the current version is not `expected`.
    """
    found = current(tx, head.place)
    version = found[1].seq if found else None
    if check and version != expected:
        raise Conflict(
            f"session {head.id} holds state version {version}, not {expected}: load it, merge "
            "and try again",
            head=Names(tx, head).position(head.place),
            missed=(found[1],) if found else (),
        )
    if found and _canonical(found[1].body) == _canonical(draft.body):
        return snapshot_of(tx, *found)
    numbers = append(tx, head, [draft])
    place = Place(head.key, numbers[0])
    return snapshot_of(tx, place, reading.entry(tx, place))


def drop(tx: Tx, head: Head) -> bool:
    """Delete the current state; False when there is none."""
    if current(tx, head.place) is None:
        return False
    append(tx, head, [deletion()])
    return True


def listed(tx: Tx, place: Place | None, limit: int) -> list[Snapshot]:
    """The states on the path to a place, newest first, deleted ones left out."""
    found: list[Snapshot] = []
    for at, entry in _entries(tx, place):
        if len(found) == limit:
            break
        if not entry.meta.get("deleted"):
            found.append(snapshot_of(tx, at, entry))
    return found


def _entries(tx: Tx, place: Place | None) -> Iterator[tuple[Place, Entry]]:
    for piece in reversed(path(tx, place)):
        rows = tx.all(
            "entry_of_kind",
            session=piece.session,
            kind=str(Kind.SNAPSHOT),
            low=piece.low,
            high=piece.high,
        )
        for (seq,) in rows:
            at = Place(piece.session, seq)
            yield at, reading.entry(tx, at)


def snapshot_of(tx: Tx, place: Place, entry: Entry) -> Snapshot:
    """A snapshot entry as a record."""
    behind = before(tx, place)
    return Snapshot(
        session=entry.session,
        version=entry.seq,
        state=None if entry.erased else entry.data["state"],
        bytes=0 if entry.body is None else len(entry.body),
        digest=canonical.content_id(_canonical(entry.body)).hex() if entry.body else "",
        created_ms=entry.time_ms,
        at=Names(tx).position(behind),
    )
