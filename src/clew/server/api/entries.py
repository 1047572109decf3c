"""What was said: the log, the path, and what a model sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import UnsetType

from clew import moves, reading, wire
from clew.errors import Invalid, NotFound
from clew.log import Names, look_head
from clew.model import Entry, Message, Position
from clew.moves import ANY
from clew.server.call import Call
from clew.server.paging import cursor, place
from clew.session import Session
from clew.view import View

PAGE_BYTES = 16 * 1024 * 1024
"""Bodies of one page: big ones make it end early."""
READ_AT_ONCE = 100


async def listed(call: Call) -> wire.Page[wire.Entry]:
    """The session's own log. The cursor is the last entry's number."""
    query: wire.EntriesQuery = call.query
    last = place(query.cursor, tuple[int])
    start = last[0] if last else query.after
    session = await call.session()
    return await asyncio.to_thread(_own_log, session.sync, start, query.limit)


def _own_log(session: Session, start: int, limit: int) -> wire.Page[wire.Entry]:
    with session._read() as tx:
        head = look_head(tx, session._key)

        def read(last: Entry | None, count: int) -> list[Entry]:
            return reading.own_log(tx, head, last.seq if last else start, count)

        found, more = _bounded(read, limit)
    return wire.Page(list(map(wire.entry, found)), cursor(found[-1].seq) if more else None)


def _bounded(
    read: Callable[[Entry | None, int], list[Entry]], limit: int
) -> tuple[list[Entry], bool]:
    """Up to `limit` entries that `read` gives from behind the last one on, no more than fit into
    a page unless it is a single one, and whether there are more.
    """
    found: list[Entry] = []
    size = 0
    while True:
        wanted = min(limit + 1 - len(found), READ_AT_ONCE)
        some = read(found[-1] if found else None, wanted)
        for entry in some:
            size += len(entry.body or b"")
            if len(found) == limit or (found and size > PAGE_BYTES):
                return found, True
            found.append(entry)
        if len(some) < wanted:
            return found, False


async def append(call: Call, body: wire.Append) -> wire.Appended:
    """Answered when it is committed."""
    bodies = body.bodies()
    key = _key(call, body)
    session = await call.session()
    expected = expectation(body.expected_head)
    if len(bodies) == 1:
        added = [
            await session.append(
                bodies[0],
                format=body.format,
                time_ms=body.time_ms,
                expected_head=expected,
                idempotency_key=key,
            )
        ]
    elif body.time_ms is not None:
        raise Invalid("time_ms is for a single message: append these one by one")
    else:
        added = await session.extend(
            bodies,
            format=body.format,
            expected_head=expected,
            idempotency_key=key,
        )
    return wire.Appended([wire.entry(entry, body=False) for entry in added], added[-1].position)


def _key(call: Call, body: wire.Append) -> str | None:
    """The idempotency key: of the body, or of the header `Idempotency-Key`."""
    header = call.headers.get(b"idempotency-key")
    if header is None:
        return body.idempotency_key
    key = header.decode("latin-1").strip()
    if not 0 < len(key) <= wire.NAME_CHARS_MAX:
        raise Invalid(
            f"Idempotency-Key: the key has {len(key):,} characters: give 1 to {wire.NAME_CHARS_MAX}"
        )
    if body.idempotency_key not in (None, key):
        raise Invalid("Idempotency-Key: the body's `idempotency_key` is another: give one")
    return key


def expectation(told: Any) -> Any:
    """`expected_head` and its like as the verbs take them."""
    return ANY if isinstance(told, UnsetType) else told


async def get(call: Call) -> wire.Entry:
    """One entry: `12` of this session, `session:12` of any."""
    session = await call.session()
    owner, colon, seq = call.path["at"].rpartition(":")
    if not seq.isascii() or not seq.isdigit() or len(seq) > 18:
        raise NotFound(f"there is no entry {call.path['at']!r}: write 12, or session:12")
    at = Position(owner, int(seq)) if colon else int(seq)
    return wire.entry(await session.entry(at))


async def history(call: Call) -> wire.Page[Message]:
    """Page by page along the path on which the session stood when the first was asked for."""
    query: wire.PageQuery = call.query
    session = await call.session()
    last = place(query.cursor, tuple[Position, Position])
    return await asyncio.to_thread(_history, session.sync, last, query.limit)


def _history(
    session: Session, last: tuple[Position, Position] | None, limit: int
) -> wire.Page[Message]:
    with session._read() as tx:
        here = look_head(tx, session._key).place
        after = None
        if last is not None:
            here, after = (moves.place_of(tx, session._project, at) for at in last)
        found, more = reading.history_page(tx, here, after, limit)
        head = Names(tx).position(here)
    return wire.Page(found, cursor(head, found[-1].at[0]) if more else None)


async def on_path(call: Call) -> wire.Page[wire.Entry]:
    """The same, for entries of all kinds."""
    query: wire.PageQuery = call.query
    session = await call.session()
    last = place(query.cursor, tuple[Position, Position])
    return await asyncio.to_thread(_on_path, session.sync, last, query.limit)


def _on_path(
    session: Session, last: tuple[Position, Position] | None, limit: int
) -> wire.Page[wire.Entry]:
    with session._read() as tx:
        here, start = look_head(tx, session._key).place, None
        if last is not None:
            here, start = (moves.place_of(tx, session._project, at) for at in last)

        def read(before: Entry | None, count: int) -> list[Entry]:
            after = moves.place_of(tx, session._project, before.position) if before else start
            return reading.path_page(tx, here, after, count)

        found, more = _bounded(read, limit)
        head = Names(tx).position(here)
    return wire.Page(
        list(map(wire.entry, found)), cursor(head, found[-1].position) if more else None
    )


async def tail(call: Call) -> wire.Messages:
    """The end of it."""
    query: wire.Tail = call.query
    return wire.Messages(await (await call.session()).tail(query.count))


async def context(call: Call) -> wire.Messages:
    """What a model still sees."""
    return wire.Messages(await (await call.session()).context())


async def view(call: Call) -> View:
    """The same, valid for a provider."""
    query: wire.ViewQuery = call.query
    return await (await call.session()).view(query.provider, max_tokens=query.max_tokens)


async def repair(call: Call) -> wire.Repaired:
    """One entry for all open calls."""
    added: Entry | None = await (await call.session()).repair()
    return wire.Repaired(None if added is None else wire.entry(added))
