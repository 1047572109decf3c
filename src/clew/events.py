"""What happens in a session beside its entries: spans that start and finish, checkpoints,
moved heads. Events are only added, numbered without gaps and hash-chained like entries.

Entries and events of a session share one order. The *sequence* of an event is the seq of the
newest entry at that time plus the event's own number; that of an entry is its seq plus the
number of events before it. So the order has no gaps and an append stores nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from clew import canonical
from clew.db import Tx
from clew.errors import Damaged, Invalid
from clew.log import (
    BODY_BYTES_MAX,
    INLINE_BYTES_MAX,
    Bodies,
    Head,
    make_entry,
    store_blob,
    turn_now,
)
from clew.model import Entry, Event


class EventDraft(msgspec.Struct):
    """An event on its way in. `ref` names what it is about, `body` are its facts as JSON."""

    kind: str
    ref: str
    body: bytes
    time_ms: int = 0
    nonce: bytes = b""
    digest: bytes = b""

    def __post_init__(self) -> None:
        if len(self.body) > BODY_BYTES_MAX:
            raise Invalid(
                f"an event of {len(self.body):,} bytes is over the limit of {BODY_BYTES_MAX:,}: "
                "store the file elsewhere and record a reference to it"
            )
        self.time_ms = self.time_ms or canonical.now_ms()
        self.nonce = canonical.nonce()
        self.digest = canonical.digest(self.nonce, self.body)


class Item(msgspec.Struct, frozen=True):
    """One place of the joint order: an entry or an event."""

    sequence: int
    entry: Entry | None = None
    event: Event | None = None


def add(tx: Tx, head: Head, drafts: Sequence[EventDraft]) -> range:
    """Add events and give their sequences. The caller saves the head."""
    first, turn = head.sequence + 1, turn_now(tx, head)
    chain = start_of(head)
    rows: list[dict[str, Any]] = []
    for number, draft in enumerate(drafts, head.events + 1):
        sequence = head.last_seq + number
        link = header(head.id, sequence, number, draft.kind, draft.ref, turn, draft.time_ms)
        chain = canonical.link(chain, link, draft.digest)
        big = len(draft.body) > INLINE_BYTES_MAX
        rows.append(
            {
                "session": head.key,
                "sequence": sequence,
                "number": number,
                "kind": draft.kind,
                "ref": draft.ref,
                "turn": turn,
                "time_ms": draft.time_ms,
                "body": None if big else draft.body,
                "blob": store_blob(tx, draft.body) if big else None,
                "bytes": len(draft.body),
                "nonce": draft.nonce,
                "chain": chain,
            }
        )
    if len(rows) == 1:
        tx.run("event_add", **rows[0])
    else:
        tx.many("event_add", rows)
    head.events += len(rows)
    head.event_chain = chain
    return range(first, first + len(rows))


def save(tx: Tx, head: Head, time_ms: int) -> None:
    """`save_head` for a unit that only added events."""
    changed = tx.run(
        "head_evented",
        session=head.key,
        events=head.events,
        event_chain=head.event_chain,
        time_ms=time_ms,
        version=head.version,
    )
    if changed != 1:
        raise Damaged(f"session {head.id} changed under its lock: run `clew verify`")
    head.version += 1


def start_of(head: Head) -> bytes:
    """The end of a session's chain of events; where it begins while there are none."""
    return bytes(head.event_chain) if head.event_chain else canonical.genesis("events", head.id)


def header(
    session: str, sequence: int, number: int, kind: str, ref: str, turn: int, time_ms: int
) -> bytes:
    """What the chain commits to beside the body."""
    return f"{session}\0{sequence}\0{number}\0{kind}\0{ref}\0{turn}\0{time_ms}".encode()


# --- reading -----------------------------------------------------------------------------


def check_reached(head: Head, after: int) -> None:
    """Raise `Invalid` for a sequence that a session has not reached."""
    if not 0 <= after <= head.sequence:
        raise Invalid(
            f"after={after}: session {head.id} stands at sequence {head.sequence}: "
            "begin again from 0"
        )


def since(tx: Tx, head: Head, after: int, limit: int) -> list[Item]:
    """Up to `limit` entries and events behind the sequence `after`, in order.

    Raises `Invalid` for a sequence that the session has not reached: its reader followed
    another ledger, or this one was put back to an older state.
    """
    check_reached(head, after)
    row = tx.one("event_at", session=head.key, sequence=after)
    number = row[1] if row else 0
    bodies = Bodies(tx)
    events = [
        event_of(head.id, bodies, found)
        for found in tx.all("event_since", session=head.key, after=after, limit=limit)
    ]
    entries = [
        make_entry(head.id, bodies, found)
        for found in tx.all(
            "entry_page",
            project=head.project,
            session=head.key,
            low=max(after - number + 1, head.first_seq),
            limit=limit,
        )
    ]
    return [item for item, _ in zip(_merged(entries, events, number), range(limit), strict=False)]


def _merged(entries: list[Entry], events: list[Event], number: int) -> Iterator[Item]:
    at = 0
    for entry in entries:
        while at < len(events) and events[at].sequence - events[at].number < entry.seq:
            yield Item(events[at].sequence, event=events[at])
            at += 1
        yield Item(entry.seq + number + at, entry=entry)
    for event in events[at:]:
        yield Item(event.sequence, event=event)


def event_of(session: str, bodies: Bodies, row: Sequence[Any]) -> Event:
    """A row of the event queries as a record."""
    sequence, number, kind, ref, turn, time_ms, body, blob, size = row
    text = bodies.get(body, blob, None, 0, size)
    return Event(session, sequence, number, kind, ref, turn, time_ms, text)
