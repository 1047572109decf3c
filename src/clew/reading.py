"""What the ledger holds, as records: history, tail, context, config, lists. Pure reads.

*History* is every message on the path. *Context* is what a model still sees of it: from the
newest compaction's first kept entry on, led by that compaction's summary. Reading the context
or the tail touches only that range, however long the session is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import msgspec

from clew import canonical, shapes, view
from clew.db import Tx
from clew.errors import Conflict, Damaged, Invalid, NotFound
from clew.log import (
    Bodies,
    Draft,
    Head,
    Names,
    Place,
    Range,
    before,
    last_of_kind,
    make_entry,
    path,
    ranges_back,
    read_range,
)
from clew.model import (
    JSON,
    Compaction,
    Entry,
    Kind,
    Message,
    Move,
    Position,
    Reason,
    SessionInfo,
    Status,
    Text,
)

SPOKEN = frozenset({Kind.MESSAGE, Kind.REPAIR, Kind.HANDOFF})
"""Kinds that say something to a model."""

ROLES = frozenset({"system", "user", "assistant", "tool"})


@cache
def formats_ready() -> None:
    """Register the decoders of imported formats; they stand with their importers."""
    from clew import importers

    importers.register_decoders()


def decode(entry: Entry) -> Message:
    """What an entry says. An erased one says that it was erased."""
    formats_ready()
    if entry.body is None:
        parts = (Text("[erased]"),)
        role = entry.role if entry.role in ROLES else "user"
        return Message(role, parts, at=(entry.position,), time_ms=entry.time_ms)
    # Not `entry.data`, which would be kept as long as the entry is.
    message = shapes.decode(entry.format, canonical.parse(entry.body))
    id = entry.meta.get("message_id", message.id) if entry.meta else message.id
    return msgspec.structs.replace(message, id=id, at=(entry.position,), time_ms=entry.time_ms)


def messages_of(entries: Sequence[Entry]) -> list[Message]:
    """The messages that entries make up; pieces of one message are joined."""
    spoken = [
        decode(entry)
        for entry in entries
        # An enum is hashed in Python, and most entries are messages.
        if entry.kind is Kind.MESSAGE or entry.kind in SPOKEN
    ]
    return view.merge_pieces(spoken)


def entries_of(tx: Tx, pieces: Sequence[Range]) -> list[Entry]:
    """The entries of a path, oldest first."""
    names, bodies = Names(tx), Bodies(tx)
    found: list[Entry] = []
    for piece in pieces:
        found += read_range(tx, names, bodies, piece)
    return found


def history(tx: Tx, place: Place | None) -> list[Message]:
    """Every message on the path."""
    return messages_of(entries_of(tx, path(tx, place)))


PIECES_APART = 64
"""Pieces of one message that lie further apart than this may be told as two by a page."""


def history_page(
    tx: Tx, place: Place | None, after: Place | None, limit: int
) -> tuple[list[Message], bool]:
    """Up to `limit` messages of the path to `place`, those that begin behind `after`, and
    whether there are more. Reads little more than these. Raises `Invalid` when `after` is not
    on the path.
    """
    pieces = path(tx, place)
    total = sum(piece.high - piece.low + 1 for piece in pieces)
    start = 0 if after is None else _offset(pieces, after) + 1
    low, high = max(start - PIECES_APART, 0), start
    while True:
        high += limit + PIECES_APART
        entries = entries_of(tx, _between(pieces, low, high))
        number = {entry.position: low + n for n, entry in enumerate(entries)}
        # What begins so near to the end that a piece may be missing waits for the next page.
        sure = total if high >= total else high - PIECES_APART
        found = [
            message for message in messages_of(entries) if start <= number[message.at[0]] < sure
        ]
        if len(found) > limit or high >= total:
            return found[:limit], len(found) > limit


def path_page(tx: Tx, place: Place | None, after: Place | None, limit: int) -> list[Entry]:
    """Up to `limit` entries of the path to `place`, of all kinds, from behind `after` on.

    Raises `Invalid` when `after` is not on the path.
    """
    pieces = path(tx, place)
    start = 0 if after is None else _offset(pieces, after) + 1
    return entries_of(tx, _between(pieces, start, start + limit))


def path_window(
    tx: Tx, place: Place | None, around: Place | None, start: int | None, limit: int
) -> tuple[list[Entry], int, int]:
    """Up to `limit` entries of the path to `place`, of all kinds: from number `start` (0 is the
    oldest) on; else with the entry `around` near the middle; else the newest. Also the number of
    the first of them, and how many there are in all. Raises `Invalid` when `around` is not on the
    path.
    """
    pieces = path(tx, place)
    total = sum(piece.high - piece.low + 1 for piece in pieces)
    if start is None:
        middle = total if around is None else _offset(pieces, around) + limit // 2
        start = middle - limit if around is None else middle - limit + 1
        start = min(start, total - limit)
    start = max(start, 0)
    return entries_of(tx, _between(pieces, start, start + limit)), start, total


def _offset(pieces: Sequence[Range], place: Place) -> int:
    """How many entries of a path lie before a place on it."""
    before = 0
    for piece in pieces:
        if piece.session == place.session and piece.low <= place.seq <= piece.high:
            return before + place.seq - piece.low
        before += piece.high - piece.low + 1
    raise Invalid("the place where the page before ended is not on the path: begin again")


def _between(pieces: Sequence[Range], low: int, high: int) -> list[Range]:
    """The entries of a path from number `low` up to `high`, exclusive."""
    found = []
    for piece in pieces:
        size = piece.high - piece.low + 1
        first, last = max(low, 0), min(high, size)
        if first < last:
            found.append(Range(piece.session, piece.low + first, piece.low + last - 1))
        low, high = low - size, high - size
    return found


def tail(tx: Tx, place: Place | None, count: int) -> list[Message]:
    """The newest `count` messages (one at least), read from the end."""
    names, bodies = Names(tx), Bodies(tx)
    found: list[Entry] = []
    for entry_ in _backwards(tx, place, names, bodies, count):
        found.append(entry_)
        if len(found) > count and entry_.kind in SPOKEN:
            messages = messages_of(found[::-1])
            # One more than asked for: the oldest may be a piece of a message cut off.
            if len(messages) > count:
                return messages[-count:]
    return messages_of(found[::-1])[-count:]


def _backwards(
    tx: Tx, place: Place | None, names: Names, bodies: Bodies, page: int
) -> Iterator[Entry]:
    page = min(max(page + 1, 16), 1000)
    for piece in ranges_back(tx, place):
        high = piece.high
        while high >= piece.low:
            rows = tx.all(
                "entry_range_back",
                project=names.project(piece.session),
                session=piece.session,
                low=piece.low,
                high=high,
                limit=page,
            )
            for row in rows:
                yield make_entry(names.id(piece.session), bodies, row)
            if len(rows) < page:
                break
            high = rows[-1][0] - 1


def context(tx: Tx, place: Place | None) -> list[Message]:
    """What a model still sees: the newest summary, then what it does not cover."""
    found = last_of_kind(tx, place, Kind.COMPACTION)
    if found is None:
        return history(tx, place)
    at, meta = found
    first = _first_kept(tx, meta)
    start = first if first is not None else at
    pieces = path(tx, place, since=start)
    entries = entries_of(tx, pieces)
    messages = messages_of(entries)
    overlay = entry(tx, at)
    summary = summary_of(overlay)
    if summary is None:
        # A foreign summary stands in the next message; until that is there, nothing is hidden.
        return messages or context(tx, before(tx, at))
    lead = Message(
        role="user",
        parts=(Text(summary),),
        at=(overlay.position,),
        time_ms=overlay.time_ms,
        summary=True,
    )
    return [lead, *messages]


def _first_kept(tx: Tx, meta: dict[str, JSON]) -> Place | None:
    kept = meta.get("first_kept")
    if not kept:
        return None
    row = tx.one("session_by_id", id=kept[0], project=None)
    return Place(row[0], kept[1]) if row else None


def summary_of(overlay: Entry) -> str | None:
    """A compaction's own summary; `None` when it stands in the message behind it."""
    if overlay.body is None:
        return None
    if overlay.format != "clew":
        message = decode(overlay)
        return (message.text or None) if message.summary else None
    text: str | None = overlay.data.get("summary")
    return text


def compaction_of(overlay: Entry) -> Compaction:
    """The facts of a compaction entry."""
    meta = overlay.meta
    kept = meta.get("first_kept")
    return Compaction(
        first_kept=Position(*kept) if kept else overlay.position,
        reason=Reason(meta.get("reason", Reason.MANUAL)),
        summary=summary_of(overlay),
        tokens_before=meta.get("tokens_before"),
        tokens_after=meta.get("tokens_after"),
        model=meta.get("model"),
        covered=meta.get("covered"),
    )


def config(tx: Tx, place: Place | None) -> dict[str, JSON]:
    """The settings in force at a place: those of the newest change on its path."""
    found = last_of_kind(tx, place, Kind.CONFIG)
    if found is None:
        return {}
    change = entry(tx, found[0])
    return dict(change.data["config"]) if change.body is not None else {}


def entry(tx: Tx, place: Place) -> Entry:
    """One entry. Raises `NotFound`."""
    found = entries_of(tx, [Range(place.session, place.seq, place.seq)])
    if not found:
        raise NotFound(f"there is no entry {Names(tx).position(place)}")
    return found[0]


def own_log(tx: Tx, head: Head, after: int, limit: int | None) -> list[Entry]:
    """A session's own entries in the order of the log, whatever branch they lie on."""
    low = max(after + 1, head.first_seq)
    high = head.last_seq if limit is None else min(head.last_seq, low + limit - 1)
    return entries_of(tx, [Range(head.key, low, high)]) if low <= high else []


def info(tx: Tx, session: int, settings: dict[str, JSON] | None = None) -> SessionInfo:
    """A session as it is listed, config included; where its `settings` are known, they are not
    read again.
    """
    row = tx.one("session_info", session=session)
    if row is None:
        raise NotFound(f"session key {session} is not in this ledger")
    if settings is not None:
        return info_row(row, settings)
    head = tx.one("head_look", session=session)
    place = Place(head[4], head[5]) if head and head[4] is not None else None
    return info_row(row, config(tx, place))


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError as error:
        raise Damaged(f"a session has no known status ({text!r}): run `clew verify`") from error


def info_row(row: Sequence[Any], settings: dict[str, JSON] | None = None) -> SessionInfo:
    """A row of the session queries as a record."""
    return SessionInfo(
        id=row[0],
        project=row[1],
        title=row[2],
        status=_status(row[3]),
        frontend=row[4],
        user=row[5],
        agent=row[6],
        head=Position(row[7], row[8]) if row[7] is not None else None,
        entries=row[9],
        messages=row[10],
        created_ms=row[11],
        updated_ms=row[12],
        forked_from=Position(row[13], row[14]) if row[13] is not None else None,
        spawned_by=row[15],
        imported_from=row[16],
        pinned=bool(row[17]),
        config=settings or {},
    )


def move_list(tx: Tx, session: int, limit: int, before: int | None = None) -> list[Move]:
    """The moves of a session's head, newest first; those before number `before`."""
    names = Names(tx)
    rows = tx.all("move_list", session=session, before=before, limit=limit)
    return [move_of(names, row) for row in rows]


def move_of(names: Names, row: Sequence[Any]) -> Move:
    """A row of the move queries as a record."""
    number, action, a, b, c, d, _below, time_ms = row
    return Move(
        number,
        action,
        names.position(Place(a, b) if a is not None else None),
        names.position(Place(c, d) if c is not None else None),
        time_ms,
    )


# --- idempotency -------------------------------------------------------------------------


def bytes_digest(bodies: Iterable[bytes]) -> bytes:
    """What an idempotency key remembers of the messages that it stored."""
    return canonical.content_id(b"\0".join(bodies))


def known_append(tx: Tx, head: Head, key: str, drafts: Sequence[Draft]) -> list[Entry] | None:
    """What an earlier append under this key stored; `None` when it is the first.

    Raises `Conflict` when it stored other bytes.
    """
    row = tx.one("idempotency_get", session=head.key, key=key)
    if row is None:
        return None
    first, last, digest = row
    entries = entries_of(tx, [Range(head.key, first, last)])
    if bytes(digest) != bytes_digest(draft.body for draft in drafts):
        raise Conflict(
            f"idempotency key {key!r} was used in session {head.id} for other messages "
            f"(entries {first} to {last}): use a new key for new messages",
            head=Names(tx).position(head.place),
            missed=tuple(entries),
        )
    return entries


def remember_append(tx: Tx, head: Head, key: str, numbers: range, drafts: Sequence[Draft]) -> None:
    """Keep what a key stored, in the same unit."""
    tx.run(
        "idempotency_add",
        session=head.key,
        key=key,
        first_seq=numbers[0],
        last_seq=numbers[-1],
        digest=bytes_digest(draft.body for draft in drafts),
    )
