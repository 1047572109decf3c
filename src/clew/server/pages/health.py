"""The ledger itself: how much there is, what takes the room, whether it is whole, who did what,
and what an erasure would remove.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.errors import Invalid
from clew.server.api import finding
from clew.server.pages import render
from clew.server.paging import cursor, place
from clew.window import parse_since

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.model import AuditRecord
    from clew.server.answer import Answer
    from clew.server.call import Call

LARGEST: Final = 20
RECORDS: Final = 100


class AuditQuery(msgspec.Struct, frozen=True):
    """Which records; empty means all."""

    session: str = ""
    project: str = ""
    action: str = ""
    since: str = ""
    cursor: str = ""


class EraseQuery(msgspec.Struct, frozen=True):
    """Whether branches go too."""

    with_branches: bool = False


async def shown(call: Call) -> Answer:
    """Counts and room. What is slow to tell is asked for behind the page."""
    return render.page(call, "health.html", stats=await call.ledger.stats())


async def sizes(call: Call) -> Answer:
    """The sessions that hold the most."""
    rows = await asyncio.to_thread(_sizes, call.ledger.sync)
    return render.page(call, "sizes.html", rows=rows)


async def verified(call: Call) -> Answer:
    """Derive everything again, and say what does not agree."""
    begun = time.monotonic()
    report = await call.ledger.verify()
    return render.page(call, "verified.html", report=report, ms=(time.monotonic() - begun) * 1000)


async def audit(call: Call) -> Answer:
    """The audit log, newest first."""
    query: AuditQuery = call.query
    problem = ""
    records: list[AuditRecord] = []
    projects = await call.ledger.projects()
    try:
        records = await asyncio.to_thread(_records, call.ledger.sync, query)
    except Invalid as error:
        problem = str(error)
    more = records[RECORDS - 1] if len(records) > RECORDS else None
    return render.page(
        call,
        "audit.html",
        status=422 if problem else 200,
        query=query,
        projects=projects,
        records=records[:RECORDS],
        problem=problem,
        next=_cursor(more) if more else None,
    )


async def erasing(call: Call) -> Answer:
    """What erasing a session would remove, and what it would not reach."""
    session = await call.session()
    query: EraseQuery = call.query
    plan = await call.ledger.erase(session.id, with_branches=query.with_branches, dry_run=True)
    info = await asyncio.to_thread(lambda: session.sync.info)
    return render.page(call, "erasing.html", plan=plan, info=info, query=query)


def _sizes(ledger: Ledger) -> list[dict[str, Any]]:
    names = ("id", "title", "project", "entries", "bytes")
    with ledger._database.read() as tx:
        rows = tx.all("session_largest", project=ledger._scope, limit=LARGEST)
    return [dict(zip(names, [*row[:3], *map(int, row[3:])], strict=True)) for row in rows]


def _records(ledger: Ledger, query: AuditQuery) -> list[AuditRecord]:
    last = place(query.cursor or None, tuple[int, str, str, int])
    now_ms = int(time.time() * 1000)
    return ledger.audit(
        session=query.session or None,
        project=query.project or None,
        action=query.action or None,
        since_ms=parse_since(query.since, now_ms) if query.since else None,
        limit=RECORDS + 1,
        after=None if last is None else finding.after(*last),
    )


def _cursor(record: AuditRecord) -> str:
    return cursor(record.time_ms, record.project, record.session or "", record.number)
