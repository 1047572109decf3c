"""Search, the audit log, and figures."""

from __future__ import annotations

from clew import wire
from clew.errors import Invalid
from clew.model import AuditRecord
from clew.server.call import Call
from clew.server.paging import cursor, page, place
from clew.stats import Stats

HITS_MAX = 10_000
"""So far a search can be paged through: narrow it rather."""


async def search(call: Call) -> wire.Found:
    """Hits in order. The cursor is how many were shown."""
    query: wire.SearchQuery = call.query
    last = place(query.cursor, tuple[int])
    skip = last[0] if last else 0
    if not 0 <= skip < HITS_MAX:
        raise Invalid(f"a search is paged through up to {HITS_MAX:,} hits: narrow it")
    found = await call.ledger.search(
        query.q,
        kind=query.kind or None,
        role=query.role,
        tool=query.tool,
        session=query.session,
        project=query.project,
        since=query.since,
        until=query.until,
        order=query.order,
        limit=skip + query.limit + 1,
        min_score=query.min_score,
    )
    shown = list(found.hits[skip : skip + query.limit])
    more = len(found.hits) > skip + query.limit
    return wire.Found(
        items=shown,
        index=found.index,
        behind=found.behind,
        unseen=found.unseen,
        next=cursor(skip + query.limit) if more else None,
    )


async def audit(call: Call) -> wire.Page[AuditRecord]:
    """Newest first."""
    query: wire.AuditQuery = call.query
    last = place(query.cursor, tuple[int, str, str, int])
    found = await call.ledger.audit(
        session=query.session,
        project=query.project,
        action=query.action,
        since_ms=query.since_ms,
        limit=query.limit + 1,
        after=None if last is None else after(*last),
    )
    return page(
        found,
        query.limit,
        lambda record: (record.time_ms, record.project, record.session or "", record.number),
    )


def after(time_ms: int, project: str, session: str, number: int) -> AuditRecord:
    """The record behind which a page begins, as far as its place goes."""
    return AuditRecord(project, session or None, number, time_ms, "", "", {}, "")


async def figures(call: Call) -> Stats:
    """Counts and bytes."""
    return await call.ledger.stats()


async def usage(call: Call) -> wire.UsageRows:
    """Tokens and cost."""
    query: wire.UsageQuery = call.query
    rows = await call.ledger.usage(
        by=query.by, since=query.since, until=query.until, project=query.project
    )
    return wire.UsageRows(rows)


async def projects(call: Call) -> wire.Projects:
    """What this token may name."""
    return wire.Projects(await call.ledger.projects())
