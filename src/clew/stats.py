"""Figures about a ledger: how much there is, what it cost, who did what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from clew.canonical import now_ms
from clew.db import Tx
from clew.errors import ClewError, Invalid
from clew.model import AuditRecord
from clew.window import parse_since

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.prices import Prices


class Stats(msgspec.Struct, frozen=True):
    """Counts, and bytes on disk by part. `body_bytes` is what was handed in."""

    sessions: int
    subagents: int
    entries: int
    body_bytes: int
    checkpoints: int
    spans: int
    spans_running: int
    spans_lost: int
    """Starts and ends of spans that could not be recorded since this ledger was opened."""
    disk: dict[str, int]
    search: str
    """`current`, `behind` (with `search_behind` entries), `disabled` or why it failed."""
    search_behind: int = 0


class UsageRow(msgspec.Struct):
    """Tokens and cost of one day (UTC), model, project or session. `cost` sums what is known, in
    USD; `cost_unknown` counts the calls that told none. What list prices make of those is no
    bill: `estimated`, in USD, for `estimated_calls` of them; the model of the others has no price.
    """

    key: str
    calls: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cost: float = 0.0
    cost_unknown: int = 0
    estimated: float = 0.0
    estimated_calls: int = 0

    @property
    def told_calls(self) -> int:
        """Calls whose cost is known."""
        return self.calls - self.cost_unknown

    @property
    def unpriced(self) -> int:
        """Calls of which nobody knows what they cost."""
        return self.cost_unknown - self.estimated_calls


class ToolRow(msgspec.Struct, frozen=True, array_like=True):
    """How often a tool was called and failed, and how long its calls took, in microseconds."""

    name: str
    calls: int
    failed: int
    total_us: int
    longest_us: int


class TierRow(msgspec.Struct, frozen=True, array_like=True):
    """Model calls that one tier served: tokens, cost in USD, time in microseconds."""

    tier: str
    calls: int
    failed: int
    tokens_in: int
    tokens_out: int
    cost: float
    total_us: int


TOOLS_MAX = 200


def work(
    ledger: Ledger, *, since: str | None = None, project: str | None = None
) -> tuple[list[ToolRow], list[TierRow]]:
    """What recorded spans say about tools (the most time first) and about tiers. Raises `Invalid`
    for a `since` that is no time, `NotFound` for an unknown project.
    """
    since_us = None if since is None else parse_since(since, now_ms()) * 1000
    where = {"project": ledger._known_project(project), "since_us": since_us}
    with ledger._database.read() as tx:
        tools = tx.all("span_tools", limit=TOOLS_MAX, **where)
        tiers = tx.all("span_tiers", **where)
    # Sums come as another type of number from some databases.
    return (
        [msgspec.convert([row[0], *map(int, row[1:])], ToolRow) for row in tools],
        [
            msgspec.convert([*row[:1], *map(int, row[1:5]), float(row[5]), int(row[6])], TierRow)
            for row in tiers
        ],
    )


def stats(ledger: Ledger) -> Stats:
    """See `Ledger.stats`."""
    with ledger._database.read() as tx:
        scope = ledger._scope
        sessions, subagents = tx.one("count_sessions", project=scope) or (0, 0)
        entries, body_bytes = tx.one("entry_stats", project=scope) or (0, 0)
        (checkpoints,) = tx.one("count_checkpoints", project=scope) or (0,)
        traced, running = tx.one("span_stats", project=scope) or (0, 0)
    state, behind = _search_state(ledger)
    return Stats(
        sessions=sessions,
        subagents=int(subagents),
        entries=entries,
        body_bytes=int(body_bytes),
        checkpoints=checkpoints,
        spans=traced,
        spans_running=int(running),
        spans_lost=ledger.trace_failures,
        disk=ledger._database.size(),
        search=state,
        search_behind=behind,
    )


def _search_state(ledger: Ledger) -> tuple[str, int]:
    if not ledger._search.enabled:
        return "disabled", 0
    try:
        late = ledger._search.behind()
    except ClewError as error:
        return str(error), 0
    behind = sum(last - done for done, last in late.values())
    return ("behind" if behind else "current"), behind


_GROUPS: dict[str, Callable[[Any], str]] = {
    "day": lambda row: datetime.fromtimestamp(row[0] / 1000, UTC).date().isoformat(),
    "model": lambda row: row[1] or "unknown",
    "project": lambda row: row[3],
}


def checked_group(by: str) -> None:
    """Raise `Invalid` for a word that nothing is summed by."""
    if by not in _GROUPS:
        raise Invalid(f"by={by!r}: group by 'day', 'model' or 'project'")


def usage(
    ledger: Ledger,
    *,
    by: Literal["day", "model", "project"],
    since: str | int | None,
    until: str | int | None,
    project: str | None,
) -> list[UsageRow]:
    """See `Ledger.usage`."""
    checked_group(by)
    now = now_ms()
    with ledger._database.read() as tx:
        rows = tx.all(
            "usage_rows",
            project=ledger._known_project(project),
            since_ms=parse_since(str(since), now) if since is not None else None,
            until_ms=parse_since(str(until), now) if until is not None else None,
        )
        sums: dict[str, UsageRow] = {}
        for row in rows:
            key = _GROUPS[by](row)
            _add(sums.setdefault(key, UsageRow(key)), row, ledger.prices)
    return [sums[key] for key in sorted(sums)]


CALLS_MAX = 20_000


def session_usage(tx: Tx, session: int, prices: Prices) -> UsageRow | None:
    """What one session's own model calls used; `None` when there are more than can be added up
    while somebody waits.
    """
    rows = tx.all("usage_of_session", session=session, limit=CALLS_MAX + 1)
    if len(rows) > CALLS_MAX:
        return None
    total = UsageRow("session")
    for row in rows:
        _add(total, row, prices)
    return total


def _add(total: UsageRow, row: Any, prices: Prices) -> None:
    time_ms, model, provider, _, input, output, read, written, reasoning, cost = row
    total.calls += 1
    total.input += input
    total.output += output
    total.cache_read += read
    total.cache_write += written
    total.reasoning += reasoning
    if cost is not None:
        total.cost += cost
        return
    total.cost_unknown += 1
    cache = {"cache_read": read, "cache_write": written}
    estimate = prices.cost(provider, model, input, output, **cache, at_ms=time_ms)
    if estimate is not None:
        total.estimated += estimate
        total.estimated_calls += 1


def audit_records(
    tx: Tx,
    project: int | None,
    session: int | None,
    action: str | None,
    since_ms: int | None,
    limit: int,
    after: AuditRecord | None = None,
) -> list[AuditRecord]:
    """The audit log, newest first; what comes behind `after`."""
    before_project = before_session = None
    if after is not None:
        owner = tx.one("project_get", name=after.project)
        named = tx.one("session_by_id", id=after.session, project=None) if after.session else None
        before_project = owner[0] if owner else 0
        before_session = named[0] if named else 0
    rows = tx.all(
        "audit_list",
        project=project,
        session=session,
        action=action,
        since_ms=since_ms,
        before=after.number if after else None,
        before_ms=after.time_ms if after else None,
        before_project=before_project,
        before_session=before_session,
        limit=limit,
    )
    return [
        AuditRecord(name, id, number, time_ms, actor, what, msgspec.json.decode(facts), chain.hex())
        for name, id, number, time_ms, actor, what, facts, chain in rows
    ]
