"""A session's settings."""

from __future__ import annotations

import asyncio

from clew import wire
from clew.aio import AsyncSession
from clew.errors import NotFound
from clew.server.call import Call


async def all_of(call: Call) -> wire.Settings:
    """All of them."""
    return wire.Settings(await (await call.session()).config())


async def get(call: Call) -> wire.Value:
    """One of them."""
    session, key = await call.session(), call.path["key"]
    values = await session.config()
    if key not in values:
        raise _unset(session, key)
    return wire.Value(value=values[key])


async def put(call: Call, body: wire.Value) -> wire.Settings:
    """Change one; gives all."""
    session = await call.session()
    await session.set_config(call.path["key"], body.value)
    return wire.Settings(await session.config())


async def delete(call: Call) -> wire.Settings:
    """Remove one; gives the rest."""
    session, key = await call.session(), call.path["key"]
    try:
        await asyncio.to_thread(session.sync.config.__delitem__, key)
    except KeyError:
        raise _unset(session, key) from None
    return wire.Settings(await session.config())


def _unset(session: AsyncSession, key: str) -> NotFound:
    return NotFound(f"session {session.id} has no setting {key!r}")
