"""Access tokens: who may ask this server."""

from __future__ import annotations

import asyncio

from clew import access, wire
from clew.server.call import Call
from clew.server.paging import page, place


async def listed(call: Call) -> wire.Page[access.TokenInfo]:
    """Without their secrets. The cursor is the last one's id."""
    query: wire.PageQuery = call.query
    last = place(query.cursor, tuple[str])
    found = await asyncio.to_thread(access.listed, call.ledger.sync)
    ids = [token.id for token in found]
    start = ids.index(last[0]) + 1 if last and last[0] in ids else 0
    return page(found[start:], query.limit, lambda token: (token.id,))


async def create(call: Call, body: wire.TokenRequest) -> access.NewToken:
    """Its text is in this answer and nowhere else. Nobody gives what they have not got."""
    return await asyncio.to_thread(
        access.create,
        call.ledger.sync,
        body.name,
        body.scopes,
        project=body.project,
        expires=body.expires,
        granted_by=call.token,
    )


async def revoke(call: Call) -> access.TokenInfo:
    """It opens nothing any more."""
    return await asyncio.to_thread(access.revoke, call.ledger.sync, call.path["token"])
