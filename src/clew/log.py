"""The mechanics of a session's log, inside a unit: append, move the head, walk the path.

A session's own entries are numbered without gaps. They fall into *lines*: runs without a
jump. An append goes on the line that ends the log when the head stands there; otherwise it
begins a new line whose parent is the head. A branch is a session whose first line hangs off
another session's entry, so nothing is ever copied, and the path from the root to any entry
is a short list of ranges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
import zstandard

from clew import canonical
from clew.db import Tx
from clew.errors import Conflict, Damaged, Invalid, Leased, NotFound, Stale
from clew.model import JSON, Entry, Kind, Position, Usage
from clew.names import mended

INLINE_BYTES_MAX = 4096
"""Bodies above this go to the blob table, compressed, once."""
BODY_BYTES_MAX = 64 * 1024 * 1024
ZSTD_LEVEL = 3
TOKENS_MAX = 2**53
"""A call that claims more is counted with this: sums stay in what the databases hold."""


class Head(msgspec.Struct):
    """The row of `head` with its session: read first in every unit, under a lock."""

    key: int
    project: int
    id: str
    status: str
    at_session: int | None
    at_seq: int | None
    last_seq: int
    chain: bytes
    version: int
    messages: int
    moves: int
    undo_top: int | None
    audit_number: int
    audit_chain: bytes
    lease_holder: str | None
    lease_token: int
    lease_until_ms: int | None
    first_seq: int
    events: int = 0
    event_chain: bytes | None = None
    turn: int = 0
    """The turn of the newest entry of its own."""
    grown_ms: int | None = None
    """The time of the newest entry that was appended and not saved yet."""

    @property
    def appended(self) -> bool:
        """True when the session has entries of its own."""
        return self.last_seq >= self.first_seq

    @property
    def at_end(self) -> bool:
        """True when an append continues the log's last line."""
        return self.at_session == self.key and self.at_seq == self.last_seq

    @property
    def place(self) -> Place | None:
        """Where the head stands; `None` at the root."""
        return _place(self.at_session, self.at_seq)

    @property
    def sequence(self) -> int:
        """The newest place in the one order of entries and events."""
        return self.last_seq + self.events


class Place(msgspec.Struct, frozen=True):
    """A position by the session's internal key."""

    session: int
    seq: int


class Range(msgspec.Struct, frozen=True):
    """A piece of a path: `low..high` of one session, both included."""

    session: int
    low: int
    high: int


class Draft(msgspec.Struct, gc=False):
    """An entry on its way in: everything that is computed before the unit runs."""

    kind: Kind
    role: str | None
    time_ms: int
    format: str
    body: bytes
    meta: bytes | None = None
    usage: Usage | None = None
    nonce: bytes = b""
    digest: bytes = b""
    source: int | None = None
    start: int | None = None

    def __post_init__(self) -> None:
        if len(self.body) > BODY_BYTES_MAX:
            raise Invalid(
                f"an entry of {len(self.body):,} bytes is over the limit of {BODY_BYTES_MAX:,}: "
                "store the file elsewhere and append a reference to it"
            )
        self.nonce = canonical.nonce()
        self.digest = canonical.digest(self.nonce, self.body)

    def facts(self) -> dict[str, JSON]:
        """The entry's meta, decoded."""
        return msgspec.json.decode(self.meta) if self.meta else {}


def _place(session: int | None, seq: int | None) -> Place | None:
    return None if session is None or seq is None else Place(session, seq)


# --- the head ----------------------------------------------------------------------------


def lock_head(tx: Tx, session: int, *, lease: int | None = None) -> Head:
    """Read a session's head for writing.

    Raises `Stale` when the session was closed or erased meanwhile, `Leased` when somebody
    else holds a lease that has not expired (`lease` is the caller's own fencing token).
    """
    head = read_head(tx, session)
    if head.status != "open":
        raise Stale(f"session {head.id} is {head.status}: open another one, or unarchive it")
    if lease is not None and head.lease_token != lease:
        raise Leased(f"your lease on session {head.id} was taken over by {head.lease_holder!r}")
    if head.lease_until_ms is not None and head.lease_token != lease:
        _check_lease(head)
    return head


def read_head(tx: Tx, session: int) -> Head:
    """Lock a session's head for what neither its status nor a lease forbids."""
    row = tx.one("head_get", session=session)
    if row is None:
        raise NotFound(f"session key {session} is not in this ledger")
    return Head(*row)


def _check_lease(head: Head) -> None:
    left = (head.lease_until_ms or 0) - canonical.now_ms()
    if left > 0:
        raise Leased(
            f"session {head.id} is leased by {head.lease_holder!r} for {left / 1000:.1f} s more: "
            "wait, or ask its owner to release it"
        )


def look_head(tx: Tx, session: int) -> Head:
    """Read a session's head without locking it."""
    row = tx.one("head_look", session=session)
    if row is None:
        raise NotFound(f"session key {session} is not in this ledger")
    return Head(*row)


def new_head(key: int, project: int, id: str, place: Place | None) -> Head:
    """The head of a session that is being made and stands at `place` of another."""
    return Head(
        key=key,
        project=project,
        id=id,
        status="open",
        at_session=place.session if place else None,
        at_seq=place.seq if place else None,
        last_seq=place.seq if place else 0,
        chain=canonical.genesis("entries", id),
        version=0,
        messages=0,
        moves=0,
        undo_top=None,
        audit_number=0,
        audit_chain=canonical.genesis("audit", id),
        lease_holder=None,
        lease_token=0,
        lease_until_ms=None,
        first_seq=(place.seq if place else 0) + 1,
    )


def save_head(tx: Tx, head: Head, *, touch: bool = True) -> None:
    """Write back all that a unit changed. `touch` makes the session the newest."""
    changed = tx.run(
        "head_saved",
        session=head.key,
        at_session=head.at_session,
        at_seq=head.at_seq,
        last_seq=head.last_seq,
        chain=head.chain,
        messages=head.messages,
        moves=head.moves,
        undo_top=head.undo_top,
        audit_number=head.audit_number,
        audit_chain=head.audit_chain,
        events=head.events,
        event_chain=head.event_chain,
        turn=head.turn,
        updated_ms=canonical.now_ms() if touch else head.grown_ms,
        version=head.version,
    )
    if changed != 1:
        raise Damaged(f"session {head.id} changed under its lock: run `clew verify`")
    head.version += 1


# --- append ------------------------------------------------------------------------------


def append(tx: Tx, head: Head, drafts: Sequence[Draft], *, save: bool = True) -> range:
    """Add entries behind the head, move it to the last, and give their sequence numbers.

    Without `save` the caller does more with the head and writes it back with `save_head`.
    """
    parent, turn = "", head.turn
    if not head.at_end:
        parent, turn = _begin_line(tx, head), turn_at(tx, head.project, head.place)
    first = head.last_seq + 1
    chain, messages, rows = head.chain, head.messages, []
    message = Kind.MESSAGE
    for seq, draft in enumerate(drafts, first):
        meta = draft.meta.decode() if draft.meta else None
        header = entry_facts(
            head.id, seq, draft.kind, draft.role, draft.time_ms, draft.format, parent, meta
        )
        parent = ""
        chain = canonical.link(chain, header, draft.digest)
        if draft.kind == message:
            messages += 1
            turn += begins_turn(draft.kind, draft.role)
        rows.append(_entry_row(tx, head, seq, draft, meta, chain, turn))
    tx.fill("entry_add", rows)
    last = head.last_seq + len(drafts)
    head.at_session, head.at_seq, head.last_seq = head.key, last, last
    head.chain, head.messages, head.turn = chain, messages, turn
    head.grown_ms = drafts[-1].time_ms
    if save:
        _save_appended(tx, head)
    _keep_usage(tx, head, first, drafts)
    return range(first, last + 1)


def _save_appended(tx: Tx, head: Head) -> None:
    """`save_head` for the hot path: only what an append alone changes."""
    changed = tx.run(
        "head_appended",
        session=head.key,
        last_seq=head.last_seq,
        chain=head.chain,
        messages=head.messages,
        turn=head.turn,
        updated_ms=head.grown_ms,
        version=head.version,
    )
    if changed != 1:
        raise Damaged(f"session {head.id} changed under its lock: run `clew verify`")
    head.version += 1


def _begin_line(tx: Tx, head: Head) -> str:
    place = head.place
    tx.run(
        "line_add",
        session=head.key,
        start=head.last_seq + 1,
        parent_session=place.session if place else None,
        parent_seq=place.seq if place else None,
    )
    return parent_name(Names(tx, head), place)


def begins_turn(kind: str, role: str | None) -> bool:
    """True for a prompt. What an agent noted of a sub-agent's prompts is none, nor is a record
    that was not understood.
    """
    return role == "user" and kind == Kind.MESSAGE


def turn_at(tx: Tx, project: int, place: Place | None) -> int:
    """The turn that an entry belongs to: so many prompts lie on the path up to it."""
    if place is None:
        return 0
    row = tx.one("entry_turn", project=project, session=place.session, seq=place.seq)
    return int(row[0]) if row else 0


def turn_now(tx: Tx, head: Head) -> int:
    """The turn in force where the head stands."""
    return head.turn if head.at_end else turn_at(tx, head.project, head.place)


def parent_name(names: Names, place: Place | None) -> str:
    """How the chain names what the first entry of a line follows."""
    return str(names.position(place)) if place else "root"


def entry_facts(
    session: str,
    seq: int,
    kind: str,
    role: str | None,
    time_ms: int,
    form: str,
    parent: str,
    meta: str | None,
) -> bytes:
    """What the chain commits to beside the body. `parent` only where a line begins."""
    return f"{session}\0{seq}\0{kind}\0{role}\0{time_ms}\0{form}\0{parent}\0{meta}".encode()


def _entry_row(
    tx: Tx, head: Head, seq: int, draft: Draft, meta: str | None, chain: bytes, turn: int
) -> tuple[Any, ...]:
    """The values of `entry_add`."""
    body: bytes | None = draft.body
    blob = None
    if draft.source is not None:
        body = None
    elif len(draft.body) > INLINE_BYTES_MAX:
        blob, body = store_blob(tx, draft.body), None
    return (
        head.project,
        head.key,
        seq,
        str(draft.kind),
        draft.role,
        draft.time_ms,
        draft.format,
        body,
        blob,
        draft.source,
        draft.start,
        len(draft.body),
        meta,
        draft.nonce,
        chain,
        turn,
    )


def _keep_usage(tx: Tx, head: Head, first: int, drafts: Sequence[Draft]) -> None:
    rows = [
        usage_row(head.project, head.key, head.id, seq, draft.time_ms, draft.usage)
        for seq, draft in enumerate(drafts, first)
        if draft.usage is not None
    ]
    if rows:
        tx.fill("usage_set", [tuple(row.values()) for row in rows])


def usage_row(
    project: int, session: int, session_id: str, seq: int, time_ms: int, usage: Usage
) -> dict[str, Any]:
    """A model call's tokens as the table `usage` holds them, in the order of `usage_set`."""
    call = usage.key or f"{session_id}:{seq}"
    return {
        "project": project,
        "call": canonical.content_id(call.encode())[:16],
        "session": session,
        "seq": seq,
        "time_ms": time_ms,
        "model": usage.model and mended(usage.model),
        "provider": usage.provider and mended(usage.provider),
        "input": min(usage.input, TOKENS_MAX),
        "output": min(usage.output, TOKENS_MAX),
        "cache_read": min(usage.cache_read, TOKENS_MAX),
        "cache_write": min(usage.cache_write, TOKENS_MAX),
        "reasoning": min(usage.reasoning, TOKENS_MAX),
        "cost": usage.cost,
    }


# --- bodies ------------------------------------------------------------------------------


def store_blob(tx: Tx, body: bytes) -> bytes:
    """Keep a big body once; gives its address."""
    address = canonical.content_id(body)
    packed = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)
    codec, stored = (1, packed) if len(packed) < len(body) else (0, body)
    tx.run("blob_add", id=address, codec=codec, bytes=len(body), body=stored)
    return address


def unpack(codec: int, size: int, stored: bytes) -> bytes:
    """The bytes of a blob or frame. Raises `Damaged` when they do not decompress."""
    if codec == 0:
        return bytes(stored)
    try:
        return zstandard.ZstdDecompressor().decompress(bytes(stored), max_output_size=size)
    except zstandard.ZstdError as error:
        raise Damaged(f"a stored body does not decompress ({error}): run `clew verify`") from error


class Bodies:
    """Fetches bodies for one read: frames are decompressed once and kept while it lasts."""

    FRAMES_KEPT = 8

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._frames: dict[tuple[int, int], bytes] = {}
        self._near: tuple[int, int, bytes] | None = None

    def get(
        self, body: bytes | None, blob: bytes | None, source: int | None, start: int, size: int
    ) -> bytes | None:
        """The JSON text of an entry, wherever it lives; `None` when erased."""
        if body is not None:
            return bytes(body)
        if blob is not None:
            row = self._tx.one("blob_get", id=blob)
            if row is None:
                raise Damaged(f"blob {bytes(blob).hex()} is missing: run `clew verify`")
            return unpack(*row)
        if source is not None:
            return self._slice(source, start, size)
        return None

    def _slice(self, source: int, start: int, size: int) -> bytes:
        near = self._near
        if near is None or near[0] != source or not near[1] <= start < near[1] + len(near[2]):
            row = self._tx.one("frame_of", source=source, start=start)
            if row is None:
                raise Damaged(f"source {source} has no frame for byte {start}: run `clew verify`")
            near = self._near = (source, row[0], unpack(1, row[1], row[2]))
        offset = start - near[1]
        return near[2][offset : offset + size]


# --- the path ----------------------------------------------------------------------------


def ranges_back(tx: Tx, place: Place | None) -> Iterator[Range]:
    """The path to a place as ranges, newest first. Damage that makes it a circle is noticed."""
    seen: set[tuple[int, int]] = set()
    while place is not None:
        row = tx.one("line_of", session=place.session, seq=place.seq)
        if row is None:
            raise Damaged(f"entry {place.seq} of session key {place.session} lies on no line")
        start, parent_session, parent_seq = row
        if (place.session, start) in seen:
            raise Damaged(f"the line from entry {start} of session key {place.session} is a circle")
        seen.add((place.session, start))
        yield Range(place.session, start, place.seq)
        place = _place(parent_session, parent_seq)


def path(tx: Tx, place: Place | None, *, since: Place | None = None) -> list[Range]:
    """The path to a place, oldest range first; only from `since` on when given."""
    found: list[Range] = []
    for piece in ranges_back(tx, place):
        if (
            since is not None
            and piece.session == since.session
            and piece.low <= since.seq <= piece.high
        ):
            found.append(Range(piece.session, since.seq, piece.high))
            return found[::-1]
        found.append(piece)
    if since is not None:
        raise Conflict(f"entry {since.seq} is not on this session's path any more")
    return found[::-1]


def on_path(tx: Tx, place: Place | None, target: Place | None) -> bool:
    """True when `target` lies on the path to `place`; the root always does."""
    return target is None or any(
        piece.session == target.session and piece.low <= target.seq <= piece.high
        for piece in ranges_back(tx, place)
    )


def before(tx: Tx, place: Place) -> Place | None:
    """What an entry follows; `None` when it is the first of its path."""
    row = tx.one("line_of", session=place.session, seq=place.seq)
    if row is None:
        raise Damaged(f"entry {place.seq} of session key {place.session} lies on no line")
    start, parent_session, parent_seq = row
    if place.seq > start:
        return Place(place.session, place.seq - 1)
    return _place(parent_session, parent_seq)


def last_of_kind(tx: Tx, place: Place | None, kind: Kind) -> tuple[Place, dict[str, JSON]] | None:
    """The newest overlay entry of a kind on the path, with its meta."""
    for piece in ranges_back(tx, place):
        row = tx.one(
            "entry_last_kind", session=piece.session, kind=str(kind), low=piece.low, high=piece.high
        )
        if row is not None:
            return Place(piece.session, row[0]), msgspec.json.decode(row[1] or b"{}")
    return None


class Names:
    """Public session ids by key, for one read. What `head` tells need not be asked for."""

    def __init__(self, tx: Tx, head: Head | None = None) -> None:
        self._tx = tx
        self._known = {head.key: (head.project, head.id)} if head else {}

    def _row(self, key: int) -> tuple[int, str]:
        known = self._known.get(key)
        if known is None:
            row = self._tx.one("session_by_key", session=key)
            if row is None:
                raise Damaged(f"session key {key} is missing: run `clew verify`")
            known = self._known[key] = (row[1], row[2])
        return known

    def id(self, key: int) -> str:
        """The session's public id."""
        return self._row(key)[1]

    def project(self, key: int) -> int:
        """The key of the session's project."""
        return self._row(key)[0]

    def position(self, place: Place | None) -> Position | None:
        """A place as it is shown."""
        return None if place is None else Position(self.id(place.session), place.seq)


def read_range(tx: Tx, names: Names, bodies: Bodies, piece: Range) -> list[Entry]:
    """The entries of a range, oldest first."""
    rows = tx.all(
        "entry_range",
        project=names.project(piece.session),
        session=piece.session,
        low=piece.low,
        high=piece.high,
    )
    session = names.id(piece.session)
    return [make_entry(session, bodies, row) for row in rows]


def make_entry(session: str, bodies: Bodies, row: Sequence[Any]) -> Entry:
    """A row of the entry queries as a record."""
    seq, kind, role, time_ms, form, body, blob, source, start, size, meta = row
    if type(body) is not bytes:
        body = bodies.get(body, blob, source, start, size)
    return Entry(
        session,
        seq,
        _kind(kind),
        role,
        time_ms,
        form,
        body,
        msgspec.json.decode(meta) if meta else {},
    )


@cache
def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError as error:
        raise Damaged(f"an entry is of no known kind ({text!r}): run `clew verify`") from error
