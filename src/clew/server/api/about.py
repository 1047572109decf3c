"""About the server itself: is it there, does its ledger answer, what can be asked."""

from __future__ import annotations

import asyncio
import logging

from clew import wire
from clew.errors import ClewError
from clew.server import logs
from clew.server.answer import Answer
from clew.server.call import Call

READY_SECONDS = 5.0
"""A ledger that takes longer to answer is not ready."""


async def health(call: Call) -> wire.Health:
    """The process runs and takes requests."""
    return wire.Health("ok")


async def ready(call: Call) -> wire.Health | Answer:
    """The database answers, and can be written unless the server is meant for reading."""
    database = call.server.ledger._database
    problem = ""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await asyncio.to_thread(call.server.ledger.projects)
    except (ClewError, TimeoutError) as error:
        logs.fact(logging.WARNING, "not ready", error=type(error).__name__)
        problem = "unavailable"
    if not problem and not database.writable and not database.settings.read_only:
        problem = "read-only"
    if call.server.stopping.is_set():
        problem = "stopping"
    if not problem:
        return wire.Health("ok")
    return Answer(wire.encode(wire.Health(problem)), status=503)


async def me(call: Call) -> wire.Me:
    """The token's name, in which everything is put on record."""
    token = call.token
    assert token is not None  # noqa: S101 - the route has a scope
    project = call.ledger.sync._project_name
    return wire.Me(token.name, sorted(token.scopes), project, token.expires_ms)


async def document(call: Call) -> Answer:
    """The OpenAPI document."""
    return Answer(call.server.document())
