"""Checkpoints, branches and moves: pointers, and the verbs that add them."""

from __future__ import annotations

from clew import wire
from clew.checkpoints import Diff
from clew.model import Checkpoint, Move, SessionInfo
from clew.server.api.entries import expectation
from clew.server.call import Call
from clew.server.paging import page, place


async def checkpoints(call: Call) -> wire.Page[Checkpoint]:
    """Newest first. The cursor is the last one's id."""
    query: wire.PageQuery = call.query
    session = await call.session()
    last = place(query.cursor, tuple[str])
    found = await session.checkpoints(limit=query.limit + 1, after=last[0] if last else None)
    return page(found, query.limit, lambda made: (made.id,))


async def checkpoint(call: Call, body: wire.CheckpointRequest) -> Checkpoint:
    """One row."""
    return await (await call.session()).checkpoint(body.label)


async def get_checkpoint(call: Call) -> Checkpoint:
    """By id."""
    return await (await call.session()).get_checkpoint(call.path["checkpoint"])


async def diff(call: Call) -> Diff:
    """Between two places."""
    query: wire.DiffQuery = call.query
    return await (await call.session()).diff(query.a, query.b)


async def moves(call: Call) -> wire.Page[Move]:
    """Newest first. The cursor is the last one's number."""
    query: wire.PageQuery = call.query
    session = await call.session()
    last = place(query.cursor, tuple[int])
    found = await session.moves(limit=query.limit + 1, before=last[0] if last else None)
    return page(found, query.limit, lambda move: (move.number,))


async def branch(call: Call, body: wire.Branch) -> SessionInfo:
    """A session beside it."""
    made = await (await call.session()).branch(
        expectation(body.at), title=body.title, frontend=body.frontend, user=body.user
    )
    return await made.info()


async def restore(call: Call, body: wire.At) -> Move:
    """Back."""
    return await (await call.session()).restore(body.at)


async def undo(call: Call) -> Move:
    """One step back."""
    return await (await call.session()).undo()


async def clear(call: Call) -> Move:
    """To the root."""
    return await (await call.session()).clear()


async def reset(call: Call, body: wire.Reset) -> Move:
    """To the root, settings and all."""
    return await (await call.session()).reset(keep_config=body.keep_config)


async def replace(call: Call, body: wire.Replace) -> Move:
    """To the root, and on from there with other messages."""
    return await (await call.session()).replace_history(body.bodies())


async def transfer(call: Call, body: wire.Transfer) -> SessionInfo:
    """To another address."""
    there = await (await call.session()).transfer_to(
        frontend=body.frontend, user=body.user, move=body.move, config=body.config
    )
    return await there.info()
