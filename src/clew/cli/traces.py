"""`clew trace`, `clew follow`, `clew resume`: what ran, what runs, and what a crash left open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from clew.cli import output
from clew.cli.errors import NOTHING_FOUND
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.model import OpenCall, Resumption, Span

BAR_COLUMNS = 28
NAME_COLUMNS = 30
LINE_CHARS = 100
MARKS = {"ok": "good", "running": "rule", "waiting": "rule", "cancelled": "dim"}
"""How an outcome is painted; anything else went wrong."""


@click.command()
@setup
@click.argument("session", metavar="SESSION")
@click.option("--tool", metavar="NAME", help="Calls of this tool only.")
@click.option("--kind", metavar="KIND", help="Only turn, tool, model, agent, command or other.")
@click.option("--outcome", metavar="NAME", help="Only those that ended so, or are `running`.")
@click.option("--turn", type=click.IntRange(0), metavar="N", help="Of this turn only.")
@click.option("--span", "id", metavar="ID", help="One span with its input and output.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
def trace(
    setup: Setup,
    session: str,
    tool: str | None,
    kind: str | None,
    outcome: str | None,
    turn: int | None,
    id: str | None,
    limit: int,
) -> int:
    """Show what ran in a session: turns, model and tool calls, with timing bars.

    Exit code 1 when nothing was recorded.
    """
    from clew.cli import find

    with setup.open() as ledger:
        owner = find.session(ledger, session)
        if id is not None:
            _show_one(setup, owner.span(id))
            return 0
        spans = owner.spans(tool=tool, kind=kind, outcome=outcome, turn=turn, limit=limit)
    if setup.json:
        output.documents(spans)
    else:
        for line in _drawn(spans):
            output.text(line)
        if len(spans) == limit:
            output.hint(f"the first {limit:,}: --limit shows more")
    if not spans:
        output.say("no span of this kind was recorded in this session")
        return NOTHING_FOUND
    return 0


def _show_one(setup: Setup, span: Span) -> None:
    if setup.json:
        output.document(span)
        return
    for name in span.__struct_fields__:
        value = getattr(span, name)
        if value not in (None, {}) and name not in ("input", "output"):
            shown = value if isinstance(value, str | int | float) else output.as_json(value)
            output.text(f"{name:<16} {output.one_line(str(shown))}")
    for name in ("input", "output"):
        value = getattr(span, name)
        if value is not None:
            output.text(output.paint(name, "head"))
            text = value if isinstance(value, str) else output.as_json(value)
            output.text(output.clean(text))


def _drawn(spans: Sequence[Span]) -> Iterator[str]:
    """One line a span, indented below its parent, with a bar on the time of its turn."""
    depths = _depths(spans)
    turns: dict[int, list[Span]] = {}
    for span in spans:
        turns.setdefault(span.turn, []).append(span)
    for number, found in turns.items():
        begin = min(span.started_us for span in found)
        end = max([span.finished_us or span.started_us for span in found])
        yield output.paint(f"turn {number}  {_duration((end - begin) / 1000)}", "head")
        # What comes over a wire is stored when it ends: children before their parents.
        for span in sorted(found, key=lambda each: (each.started_us, depths[each.id])):
            yield _line(span, depths[span.id], begin, max(end - begin, 1))


def _depths(spans: Sequence[Span]) -> dict[str, int]:
    parents = {span.id: span.parent for span in spans}
    depths: dict[str, int] = {}
    for span in spans:
        chain, at = 0, span.parent
        while at in parents and chain < 20:  # a circle of parents is drawn as a deep nest
            chain, at = chain + 1, parents[at]
        depths[span.id] = chain
    return depths


def _line(span: Span, depth: int, begin: int, whole: int) -> str:
    called = span.kind if span.name == span.kind else f"{span.kind} {span.name}"
    name = ("  " * depth + output.one_line(called))[:NAME_COLUMNS]
    took = "" if span.latency_ms is None else _duration(span.latency_ms)
    low = round((span.started_us - begin) / whole * BAR_COLUMNS)
    end = span.finished_us if span.finished_us is not None else begin + whole
    high = max(round((end - begin) / whole * BAR_COLUMNS), low + 1)
    low, high = min(low, BAR_COLUMNS - 1), min(high, BAR_COLUMNS)
    bar = " " * low + "━" * (high - low) + " " * (BAR_COLUMNS - high)
    style = MARKS.get(span.status, "bad")
    facts = output.one_line(" ".join(_facts(span)), LINE_CHARS)
    state = output.paint(f"{span.status:<9}", style)
    return f"  {name:<{NAME_COLUMNS}} {output.paint(bar, style)} {took:>8}  {state}  {facts}"


def _facts(span: Span) -> Iterator[str]:
    if span.tokens_in is not None or span.tokens_out is not None:
        yield f"{span.tokens_in or 0:,}→{span.tokens_out or 0:,} tokens"
    if span.cache_read:
        yield f"{span.cache_read:,} cached"
    if span.reasoning:
        yield f"{span.reasoning:,} reasoning"
    if span.cost is not None:
        yield f"${span.cost:.4f}"
    if span.tier:
        yield span.tier
    if span.late:
        yield f"late: {span.late}"
    if span.error:
        yield span.error


def _duration(ms: float) -> str:
    if ms < 1000:
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms / 60_000:.1f} min"


# --- live --------------------------------------------------------------------------------


@click.command()
@setup
@click.argument("session", metavar="[SESSION]", required=False)
@click.option("--after", type=click.IntRange(0), metavar="N", help="Behind this sequence (0: all).")
@click.option("--idle", type=float, metavar="SECONDS", help="End when nothing happened so long.")
def follow(setup: Setup, session: str | None, after: int | None, idle: float | None) -> None:
    """Show what happens as it happens, in one session or in all, until Ctrl-C.

    With --json each line is a frame; go on later with --after its `sequence`.
    """
    from clew.cli import find
    from clew.errors import Invalid

    if after is not None and session is None:
        raise Invalid("--after goes with a SESSION")
    with setup.open() as ledger:
        wanted = None
        if session is not None:
            owner = find.session(ledger, session)
            wanted = {owner.id: owner.sequence if after is None else after}
        for frame in ledger.follow(wanted, idle=idle):
            if setup.json:
                output.document(frame)
            else:
                output.text(_told(frame))


def _told(frame: Any) -> str:
    kind = str(frame.__struct_config__.tag)
    when = output.moment(frame.time_ms)
    where = f"{output.short(frame.session)}:{frame.sequence}"
    return f"{when}  {where}  {output.paint(f'{kind:<18}', 'call')} {_about(frame)}"


def _about(frame: Any) -> str:
    if hasattr(frame, "span"):
        span = frame.span
        took = "" if span.latency_ms is None else _duration(span.latency_ms)
        return output.one_line(f"{span.name} {span.status} {took} {span.error or ''}", LINE_CHARS)
    if hasattr(frame, "entry"):
        return output.one_line(f"{frame.entry.kind} {frame.entry.role or ''}", LINE_CHARS)
    if getattr(frame, "checkpoint", None) is not None:
        return output.one_line(frame.checkpoint.label or frame.checkpoint.reason, LINE_CHARS)
    if getattr(frame, "move", None) is not None:
        return output.one_line(f"{frame.move.action} to {frame.move.to or 'root'}", LINE_CHARS)
    return ""


# --- after a crash -----------------------------------------------------------------------


@click.command()
@setup
@click.argument("session", metavar="SESSION")
def resume(setup: Setup, session: str) -> None:
    """Take a session up again after a crash.

    Gives up what nobody runs any more, says what each open call needs, and answers the calls
    with one entry, so that a model can go on.
    """
    from clew.cli import find

    with setup.open(write=True) as ledger:
        found = find.session(ledger, session).resume()
    if setup.json:
        output.document(found)
        return
    for line in _resumed(found):
        output.text(line)


def _resumed(found: Resumption) -> Iterator[str]:
    for span in found.interrupted:
        what = f"turn {span.turn}" if span.kind == "turn" else f"{span.kind} {span.name}"
        yield output.one_line(f"interrupted: {what}")
    for call in found.calls:
        yield _call(call)
    for span in found.late:
        yield output.one_line(f"late: {span.name} ended as {span.late} after it was given up")
    if found.repair is not None:
        yield f"repaired by entry {found.repair.seq}"
    if not (found.interrupted or found.calls or found.late):
        yield "nothing was left open"


def _call(call: OpenCall) -> str:
    advice = output.paint(f"{call.advice:<9}", "rule")
    return f"{advice} {output.one_line(call.name)} ({output.one_line(call.call_id)})"
