"""The list of sessions: running ones on top, filters in the address."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from clew import reading, stats
from clew.clean import one_line
from clew.errors import Invalid
from clew.log import look_head
from clew.model import SessionInfo, Status
from clew.names import one_of
from clew.server.pages import render
from clew.window import parse_since

if TYPE_CHECKING:
    from clew.db import Tx
    from clew.ledger import Ledger
    from clew.prices import Prices
    from clew.server.answer import Answer
    from clew.server.call import Call
    from clew.stats import UsageRow

PAGE: Final = 40
LAST_CHARS: Final = 160
PALETTE: Final = 8


class Query(msgspec.Struct, frozen=True):
    """What to list; empty means all. `skip` are shown already."""

    q: str = ""
    project: str = ""
    agent: str = ""
    status: str = ""
    model: str = ""
    since: str = ""
    failed: bool = False
    compacted: bool = False
    spawned: bool = False
    sort: Literal["changed", "created", "messages", "duration", "tokens"] = "changed"
    skip: int = 0


class Words(msgspec.Struct, frozen=True):
    """The beginning of what somebody looks for."""

    q: str = ""


class Row(msgspec.Struct, frozen=True):
    """A session in the list, with what its log adds up to."""

    info: SessionInfo
    runs: bool
    last: str
    turns: int
    calls: int
    failed: int
    branches: int
    checkpoints: int
    tokens_in: int
    tokens_out: int
    used: UsageRow | None


async def listed(call: Call) -> Answer:
    """A page of the list; for htmx the rows alone. A filter that cannot be is told beside it."""
    query: Query = call.query
    problem, rows = "", []
    projects = await call.ledger.projects()
    try:
        rows = await asyncio.to_thread(_look, call.ledger.sync, query)
    except Invalid as error:
        problem = str(error)
    return render.page(
        call,
        "session_rows.html" if query.skip else "sessions.html",
        status=422 if problem else 200,
        query=query,
        problem=problem,
        projects=projects,
        statuses=[status for status in Status if status is not Status.ERASED],
        rows=rows[:PAGE],
        more=_next(query) if len(rows) > PAGE else "",
    )


async def palette(call: Call) -> Answer:
    """Sessions for the command palette, by their titles."""
    query = Query(q=call.query.q, spawned=bool(call.query.q.strip()))
    rows = await asyncio.to_thread(_look, call.ledger.sync, query, PALETTE)
    return render.page(call, "palette.html", rows=rows, query=call.query)


def _look(ledger: Ledger, query: Query, limit: int = PAGE + 1) -> list[Row]:
    one_of(query.status or None, Status, "status")
    now_ms = int(time.time() * 1000)
    since_ms = parse_since(query.since, now_ms) if query.since else None
    project = ledger._known_project(query.project or None)
    with ledger._database.read() as tx:
        found = tx.all(
            "session_find",
            project=project,
            status=query.status or None,
            agent=query.agent or None,
            words=_like(query.q),
            since_ms=since_ms,
            spawned=int(query.spawned),
            model=query.model or None,
            failed=int(query.failed),
            compacted=int(query.compacted),
            limit=limit,
            sort=query.sort,
            skip=max(query.skip, 0),
        )
        return [_row(tx, id, bool(runs), ledger.prices) for id, runs in found]


def _row(tx: Tx, id: str, runs: bool, prices: Prices) -> Row:
    key = tx.one("session_by_id", id=id, project=None)
    assert key is not None  # noqa: S101 - it was just found
    facts = tx.one("session_card", session=key[0])
    assert facts is not None  # noqa: S101 - a session has a head
    tail = reading.tail(tx, look_head(tx, key[0]).place, 1)
    last = one_line(tail[-1].text[: 8 * LAST_CHARS], LAST_CHARS) if tail else ""
    used = stats.session_usage(tx, key[0], prices)
    names = ("turns", "calls", "failed", "branches", "checkpoints", "tokens_in", "tokens_out")
    counts = {name: int(fact) for name, fact in zip(names, facts, strict=False)}
    return Row(info=reading.info(tx, key[0]), runs=runs, last=last, used=used, **counts)


def _like(words: str) -> str | None:
    """A pattern for titles that hold these words."""
    text = words.strip().lower()
    return f"%{text.replace('%', '').replace('_', ' ')}%" if text else None


def _next(query: Query) -> str:
    """The rest of the list, as a query."""
    fields: dict[str, Any] = msgspec.structs.asdict(query) | {"skip": query.skip + PAGE}
    told = {name: str(value).lower() if value is True else value for name, value in fields.items()}
    return urlencode({name: value for name, value in told.items() if value})
