"""The agent's own state, and taking a session up again."""

from __future__ import annotations

from clew import wire
from clew.errors import Invalid
from clew.model import Snapshot
from clew.server.api.entries import expectation
from clew.server.call import Call
from clew.server.paging import cursor, place

SNAPSHOTS_MAX = 10_000
"""So far snapshots can be paged through."""


async def load(call: Call) -> wire.SnapshotHeld:
    """The one in force."""
    return wire.SnapshotHeld(await (await call.session()).load_snapshot())


async def put(call: Call, body: wire.SnapshotPut) -> Snapshot:
    """Make it the one in force."""
    session = await call.session()
    return await session.snapshot(body.state, expected_version=expectation(body.expected_version))


async def delete(call: Call) -> wire.Deleted:
    """None from here on; older ones stay restorable."""
    return wire.Deleted(await (await call.session()).delete_snapshot())


async def listed(call: Call) -> wire.Page[Snapshot]:
    """Newest first. The cursor is how many were shown."""
    query: wire.PageQuery = call.query
    last = place(query.cursor, tuple[int])
    skip = last[0] if last else 0
    if not 0 <= skip < SNAPSHOTS_MAX:
        raise Invalid(f"snapshots are paged through up to {SNAPSHOTS_MAX:,}")
    found = await (await call.session()).snapshots(limit=skip + query.limit + 1)
    end = skip + query.limit
    return wire.Page(found[skip:end], cursor(end) if len(found) > end else None)


async def resume(call: Call) -> wire.Resumed:
    """After a crash."""
    found = await (await call.session()).resume()
    return wire.Resumed(
        interrupted=list(map(wire.span, found.interrupted)),
        calls=list(found.calls),
        repair=None if found.repair is None else wire.entry(found.repair),
        late=list(map(wire.span, found.late)),
    )
