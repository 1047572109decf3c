"""Usage: tokens, cost, tool time and failures, as pictures with the figures behind them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from clew import stats
from clew.errors import Invalid
from clew.server.pages import bars, render

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.server.answer import Answer
    from clew.server.call import Call
    from clew.stats import UsageRow

SERIES = ("input", "cache_read", "cache_write", "output")
"""The tokens that a bar is made of, as it is stacked."""


SUMMED = ("calls", *SERIES, "reasoning", "cost", "cost_unknown", "estimated", "estimated_calls")


class Query(msgspec.Struct, frozen=True):
    """Since when, and of which project; empty means all."""

    since: str = "30d"
    project: str = ""


async def shown(call: Call) -> Answer:
    """The pictures. A time that is none is told beside the form."""
    query: Query = call.query
    projects = await call.ledger.projects()
    problem, found = "", _nothing()
    try:
        found = await asyncio.to_thread(_look, call.ledger.sync, query)
    except Invalid as error:
        problem = str(error)
    return render.page(
        call,
        "usage.html",
        status=422 if problem else 200,
        query=query,
        projects=projects,
        problem=problem,
        series=SERIES,
        **found,
    )


def _nothing() -> dict[str, Any]:
    none = {"days": [], "models": [], "tools": [], "tiers": [], "total": stats.UsageRow("")}
    return none | {"day_chart": None, "model_chart": None, "tool_chart": None}


def _look(ledger: Ledger, query: Query) -> dict[str, Any]:
    since, project = query.since or None, query.project or None
    days = ledger.usage(by="day", since=since, project=project)
    models = ledger.usage(by="model", since=since, project=project)
    models.sort(key=lambda row: -_tokens(row))
    tools, tiers = stats.work(ledger, since=since, project=project)
    return {
        "days": days,
        "models": models,
        "tools": tools,
        "tiers": tiers,
        "total": _sum(days),
        "day_chart": bars.columns([(row.key, _values(row)) for row in days]),
        "model_chart": bars.rows([(row.key, _values(row)) for row in models[:12]]),
        "tool_chart": bars.rows(
            [(row.name, (row.total_us - _failed_us(row), _failed_us(row))) for row in tools[:12]]
        ),
    }


def _values(row: UsageRow) -> tuple[int, ...]:
    return tuple(getattr(row, name) for name in SERIES)


def _tokens(row: UsageRow) -> int:
    return sum(_values(row))


def _failed_us(row: stats.ToolRow) -> int:
    return row.total_us * row.failed // row.calls if row.calls else 0


def _sum(days: list[UsageRow]) -> UsageRow:
    total = stats.UsageRow("all")
    for row in days:
        for name in SUMMED:
            setattr(total, name, getattr(total, name) + getattr(row, name))
    return total
