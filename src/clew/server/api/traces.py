"""What runs: spans one by one, in lists, and as a tree."""

from __future__ import annotations

import asyncio
import gzip
import hashlib

from clew import wire
from clew.access import Scope
from clew.log import Head, look_head
from clew.owners import LedgerDesk
from clew.server import tree
from clew.server.answer import Answer, Headers
from clew.server.call import Call
from clew.server.paging import cursor, page, place
from clew.session import Session

GZIP_LEVEL = 5


async def listed(call: Call) -> wire.Page[wire.Span]:
    """In the order in which they began. The cursor is the last one's sequence."""
    query: wire.TracesQuery = call.query
    last = place(query.cursor, tuple[int])
    found = await (await call.session()).spans(
        kind=query.kind,
        tool=query.tool,
        outcome=query.outcome,
        turn=query.turn,
        chat=query.chat,
        call_id=query.call_id,
        after=last[0] if last else 0,
        limit=query.limit + 1,
    )
    cut = page(found, query.limit, lambda span: (span.sequence,))
    return wire.Page(list(map(wire.span, cut.items)), cut.next)


async def record(call: Call, body: wire.SpanStarts) -> wire.Spans:
    """Whoever started one says when it ends, or is found to be gone if it signed on."""
    drafts = [start.draft() for start in body.spans]
    session, owner = (await call.session()).sync, None
    if body.owner is not None:
        owner = await asyncio.to_thread(LedgerDesk(session._ledger).key_of, body.owner)
    found = await session._ledger._arun(session._insert_unit(drafts, owner), session._key)
    return wire.Spans(list(map(wire.span, found)))


async def get(call: Call) -> wire.Span:
    """With its bodies, by id or `@sequence`."""
    session = await call.session()
    id = call.path["span"]
    if id.startswith("@"):
        id = await asyncio.to_thread(tree.id_at, session.sync, id[1:])
    return wire.span(await session.span(id))


async def update(call: Call, body: wire.SpanChanges) -> wire.Span:
    """What changed, or how it ended."""
    session = await call.session()
    return wire.span(await session.update_span(call.path["span"], **body.facts()))


async def as_tree(call: Call) -> Answer:
    """Columns. What has not changed since the caller's copy is not sent again."""
    query: wire.TreeQuery = call.query
    if query.derive:
        call.require(Scope.SESSION_READ)
    session = await call.session()
    after = place(query.cursor, tuple[int])
    packed = b"gzip" in call.headers.get(b"accept-encoding", b"")
    known = call.headers.get(b"if-none-match")
    start = after[0] if after else None
    return await asyncio.to_thread(_tree, session.sync, query, start, known, packed)


def _tree(
    session: Session, query: wire.TreeQuery, start: int | None, known: bytes | None, packed: bool
) -> Answer:
    with session._read() as tx:
        head = look_head(tx, session._key)
        if query.derive and not tree.records_any(tx, head):
            found = tree.derived_columns(tx, session, head, start, query.at, query.limit)
            body = wire.encode(found)
            tag = b'W/"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
            if _has(known, tag):
                return Answer(b"", status=304, headers=_headers(tag))
            return _answer(body, tag, packed)
        tag = _tag(head, query, start or 0)
        if _has(known, tag):
            return Answer(b"", status=304, headers=_headers(tag))
        found, last = tree.columns(tx, head, start or 0, query.limit, ids=query.ids)
    found.next = None if last is None else cursor(last)
    return _answer(wire.encode(found), tag, packed)


def _has(known: bytes | None, tag: bytes) -> bool:
    return known is not None and tag in [each.strip() for each in known.split(b",")]


def _headers(tag: bytes) -> Headers:
    return ((b"etag", tag), (b"vary", b"accept-encoding"), _CACHED)


def _answer(body: bytes, tag: bytes, packed: bool) -> Answer:
    if not packed:
        return Answer(body, headers=_headers(tag))
    small = gzip.compress(body, GZIP_LEVEL, mtime=0)
    return Answer(small, headers=(*_headers(tag), (b"content-encoding", b"gzip")))


_CACHED = (b"cache-control", b"private, no-cache")
"""Kept by whoever asked, and asked for again every time."""


def _tag(head: Head, query: wire.TreeQuery, after: int) -> bytes:
    """The end of the chain of events, from which every span follows."""
    chain = bytes(head.event_chain or b"").hex()[:32]
    return f'W/"{chain}-{after}-{query.limit}-{int(query.ids)}"'.encode()
