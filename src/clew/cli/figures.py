"""`clew stats` and `clew usage`: how much there is, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from clew.cli import output
from clew.cli.errors import NOTHING_FOUND
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.stats import Stats, UsageRow


@click.command()
@setup
def stats(setup: Setup) -> None:
    """Say how much the ledger holds, and how much room it takes."""
    with setup.open() as ledger:
        found = ledger.stats()
    if setup.json:
        output.document(found)
        return
    behind = f" by {found.search_behind:,}" if found.search_behind else ""
    rows = [
        ("sessions", f"{found.sessions:,}, {found.subagents:,} of them sub-agents'"),
        ("entries", f"{found.entries:,}"),
        ("checkpoints", f"{found.checkpoints:,}"),
        ("spans", _spans(found)),
        ("handed in", output.size(found.body_bytes)),
        ("on disk", output.size(sum(found.disk.values()))),
        *((f"  {part}", output.size(count)) for part, count in found.disk.items()),
        ("search", f"{found.search}{behind}"),
    ]
    for name, value in rows:
        output.text(output.one_line(value) if not name else f"{name:<16}{output.one_line(value)}")


def _spans(found: Stats) -> str:
    lost = f", {found.spans_lost:,} could not be recorded" if found.spans_lost else ""
    return f"{found.spans:,}, {found.spans_running:,} running{lost}"


@click.command()
@setup
@click.option(
    "--by",
    type=click.Choice(["day", "model", "project"]),
    default="day",
    show_default=True,
    help="What to sum by; days are UTC.",
)
@click.option("--since", metavar="WHEN", help="Since 7d, 12h or a date.")
@click.option("--until", metavar="WHEN", help="Before.")
def usage(
    setup: Setup, by: Literal["day", "model", "project"], since: str | None, until: str | None
) -> int:
    """Sum tokens and cost, each model call once. Exit code 1 when none is known.

    ≈ is what list prices make of calls that told no cost.
    """
    with setup.open() as ledger:
        rows = ledger.usage(by=by, since=since, until=until)
    if setup.json:
        output.documents(rows)
    elif rows:
        heads = (by, "calls", "input", "output", "cache read", "cache write", "reasoning", "cost")
        output.table(
            heads,
            [
                (
                    row.key,
                    row.calls,
                    row.input,
                    row.output,
                    row.cache_read,
                    row.cache_write,
                    row.reasoning,
                    _cost(row),
                )
                for row in rows
            ],
        )
    if not rows:
        output.say("no model call is recorded there")
    return 0 if rows else NOTHING_FOUND


def _cost(row: UsageRow) -> str:
    """What is known, and with ≈ what list prices make of the rest."""
    told = [_dollars(row.cost)] if row.told_calls else []
    told += [f"≈{_dollars(row.estimated)}"] if row.estimated_calls else []
    return " + ".join(told) or "unknown"


def _dollars(cost: float) -> str:
    """To the cent, or as far as it takes to see anything."""
    digits = 2 if cost >= 1 or not cost else 4 if cost >= 0.001 else 6
    return f"${cost:.{digits}f}"
