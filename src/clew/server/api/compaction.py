"""Compaction in one step, with a summary at hand, or in two: a plan, then its commit."""

from __future__ import annotations

import asyncio

from msgspec import UnsetType

from clew import compaction, reading, wire
from clew.log import Names, Place, look_head
from clew.model import Checkpoint, Position
from clew.moves import ANY, Anywhere
from clew.server.call import Call
from clew.session import At, Session


async def plan(call: Call, body: wire.PlanRequest) -> wire.Planned:
    """What would be covered. Nothing changes."""
    session = await call.session()
    planned, _base, base = await asyncio.to_thread(
        _planned, session.sync, body.keep_from, body.keep_tokens, ANY
    )
    return wire.Planned(
        covered=planned.covered,
        kept=len(planned.kept),
        first_kept=planned.first_kept,
        tokens_before=planned.tokens_before,
        tokens_kept=planned.tokens_kept,
        base=base,
    )


async def commit(call: Call, body: wire.Compact) -> Checkpoint:
    """The summary takes its place; gives the checkpoint before it."""
    session = await call.session()
    at = ANY if isinstance(body.base, UnsetType) else body.base
    planned, base, _ = await asyncio.to_thread(
        _planned, session.sync, body.keep_from, body.keep_tokens, at
    )
    unit = session.sync._compact_unit(planned, base, body.summary, body.reason, body.model)
    return await session._later(session._queue()._write(unit))


def _planned(
    session: Session, keep_from: At, keep_tokens: int, at: At | Anywhere
) -> tuple[compaction.Plan, Place | None, Position | None]:
    """A plan for the session as it stands, or as it stood at `at`."""
    with session._read() as tx:
        if isinstance(at, Anywhere):
            base = look_head(tx, session._key).place
        else:
            base = session._resolve(tx, at)
        names = Names(tx)
        kept = names.position(session._resolve(tx, keep_from))
        messages = reading.context(tx, base)
        position = names.position(base)
    planned = compaction.plan(
        messages, keep_from=kept, keep_tokens=keep_tokens, count=session._count
    )
    return planned, base, position
