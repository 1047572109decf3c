"""Leases: taken, held on to, released. The token that goes with one is sent in a header."""

from __future__ import annotations

import asyncio

from clew import wire
from clew.leases import Lease
from clew.server.api.sessions import where
from clew.server.call import Call, leased
from clew.server.problems import Refused


async def take(call: Call, body: wire.LeaseRequest) -> wire.LeaseHeld:
    """Take it, or hold on to it. Raises `Leased` while somebody else holds it."""
    session = await call.session()

    def run() -> Lease:
        if body.token is None:
            # Through a handle of its own: the one at hand is everybody's.
            plain = leased(session, 0).sync
            plain._lease = None
            return plain.lease(body.holder, seconds=body.seconds)
        held = Lease.held(session.sync, body.token, body.holder)
        held.renew(body.seconds)
        return held

    lease = await asyncio.to_thread(run)
    return wire.LeaseHeld(lease.holder, lease.token or 0)


async def release(call: Call) -> wire.Head:
    """Give back the lease of the header; nothing happens when it is not the caller's any more."""
    session = await call.session()
    held = session.sync._lease
    if held is None:
        raise Refused("invalid", "say in the header Clew-Lease which lease to release")
    await asyncio.to_thread(held.release)
    return await where(session)
