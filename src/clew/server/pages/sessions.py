"""The list of sessions: running ones on top, filters in the address."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from clew.model import SessionInfo, Status
from clew.server.pages import render

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.server.answer import Answer
    from clew.server.call import Call

PAGE = 50


class Query(msgspec.Struct, frozen=True):
    """What to list; empty means all."""

    project: str = ""
    agent: str = ""
    status: str = ""
    after: str = ""


async def listed(call: Call) -> Answer:
    """A page of the list; for htmx the rows alone."""
    found = await asyncio.to_thread(_look, call.ledger.sync, call.query)
    template = "session_rows.html" if call.query.after else "sessions.html"
    return render.page(call, template, query=call.query, statuses=list(Status), **found)


def _look(ledger: Ledger, query: Query) -> dict[str, Any]:
    after = ledger.get(query.after).info if query.after else None
    rows: list[SessionInfo] = ledger.sessions(
        project=query.project or None,
        agent=query.agent or None,
        status=query.status or None,
        limit=PAGE + 1,
        after=after,
    )
    more = len(rows) > PAGE
    return {"rows": rows[:PAGE], "more": more, "projects": ledger.projects()}
