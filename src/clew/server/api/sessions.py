"""Sessions: finding, making, naming, putting away."""

from __future__ import annotations

import asyncio

import msgspec

from clew import wire
from clew.aio import AsyncSession
from clew.erase import Erased
from clew.log import Names, look_head
from clew.model import SessionInfo
from clew.server.call import Call
from clew.server.paging import page, place


async def listed(call: Call) -> wire.Page[SessionInfo]:
    """Newest first. The cursor is the last session's time and id."""
    query: wire.SessionsQuery = call.query
    last = place(query.cursor, tuple[int, str])
    found = await call.ledger.sessions(
        project=query.project,
        status=query.status,
        agent=query.agent,
        frontend=query.frontend,
        user=query.user,
        since_ms=query.since_ms,
        until_ms=query.until_ms,
        spawned=query.spawned,
        limit=query.limit + 1,
        after=None if last is None else _after(*last),
    )
    return page(found, query.limit, lambda info: (info.updated_ms, info.id))


_NOBODY = SessionInfo(
    *("", "", None, "open", None, None, None, None, 0, 0, 0, 0),  # type: ignore[arg-type]
)


def _after(updated_ms: int, id: str) -> SessionInfo:
    return msgspec.structs.replace(_NOBODY, id=id, updated_ms=updated_ms)


async def create(call: Call, body: wire.Create) -> SessionInfo:
    """A session of its own."""
    made = await call.ledger.create(
        project=body.project,
        title=body.title,
        agent=body.agent,
        config=body.config,
        spawned_by=body.spawned_by,
    )
    return await made.info()


async def at_address(call: Call, body: wire.Address) -> SessionInfo:
    """Get or create."""
    found = await call.ledger.session(
        frontend=body.frontend, user=body.user, project=body.project, agent=body.agent
    )
    return await found.info()


async def get(call: Call) -> SessionInfo:
    """As it is listed, with its config."""
    return await (await call.session()).info()


async def head(call: Call) -> wire.Head:
    """Where it stands."""
    return await where(await call.session())


async def where(session: AsyncSession) -> wire.Head:
    """Both from one moment."""

    def look() -> wire.Head:
        plain = session.sync
        with plain._read() as tx:
            head = look_head(tx, plain._key)
            return wire.Head(Names(tx).position(head.place), head.sequence)

    return await asyncio.to_thread(look)


async def title(call: Call, body: wire.Title) -> wire.Entry:
    """A label is an entry."""
    return wire.entry(await (await call.session()).label(body.title))


async def archived(call: Call, body: wire.Flag) -> SessionInfo:
    """In or out of use."""
    session = await call.session()
    await call.ledger.archive(session.id, body.on)
    return await session.info()


async def pinned(call: Call, body: wire.Flag) -> SessionInfo:
    """Kept or not."""
    session = await call.session()
    await call.ledger.pin(session.id, body.on)
    return await session.info()


async def erase(call: Call) -> Erased:
    """Gone for good, or only said what would go."""
    query: wire.EraseQuery = call.query
    session = await call.session()
    done = await call.ledger.erase(
        session.id, with_branches=query.with_branches, dry_run=query.dry_run
    )
    # Where the copies of everything lie on the server's disk is not the caller's business.
    names = tuple(name.replace("\\", "/").rpartition("/")[2] for name in done.backups)
    return msgspec.structs.replace(done, backups=names)
