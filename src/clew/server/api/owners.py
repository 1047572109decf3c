"""Who runs spans: processes that sign on, give signs of life, and sign off."""

from __future__ import annotations

import asyncio

from clew import wire
from clew.owners import BEAT_SECONDS, LedgerDesk, Process
from clew.server.call import Call


async def put(call: Call, body: wire.OwnerPut) -> wire.OwnerHeld:
    """Sign on under an id of one's own making, or say that one still is there."""
    id = call.path["owner"]
    process = Process(body.host, body.boot, body.pid, body.started)
    await asyncio.to_thread(LedgerDesk(call.ledger.sync).sign_on, id, process)
    return wire.OwnerHeld(id, BEAT_SECONDS)


async def delete(call: Call) -> wire.Deleted:
    """Sign off: what still runs is given up by the next sweep."""
    await asyncio.to_thread(LedgerDesk(call.ledger.sync).sign_off, call.path["owner"])
    return wire.Deleted(True)
