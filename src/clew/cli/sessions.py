"""`clew sessions`: what there is, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.errors import NOTHING_FOUND
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.model import SessionInfo


@click.command()
@setup
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@click.option("--frontend", metavar="NAME", help="Only those at this frontend.")
@click.option("--user", metavar="NAME", help="Only this user's.")
@click.option("--status", type=click.Choice(["open", "closed", "archived"]), help="Only these.")
@click.option("--since", metavar="WHEN", help="Changed since 7d, 12h or a date.")
@click.option("--until", metavar="WHEN", help="Changed before.")
@click.option("--subagents", is_flag=True, help="Sub-agents' sessions too.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def sessions(
    setup: Setup,
    agent: str | None,
    frontend: str | None,
    user: str | None,
    status: str | None,
    since: str | None,
    until: str | None,
    subagents: bool,
    limit: int,
) -> int:
    """List the sessions, newest first. Exit code 1 when there is none."""
    with setup.open() as ledger:
        found = ledger.sessions(
            agent=agent,
            frontend=frontend,
            user=user,
            status=status,
            since_ms=time_ms(since),
            until_ms=time_ms(until),
            spawned=subagents,
            limit=limit + 1,
        )
        hidden = not found and not subagents and bool(ledger.sessions(spawned=True, limit=1))
    more, found = len(found) > limit, found[:limit]
    if setup.json:
        output.documents(found)
    elif found:
        heads = ("id", "changed", "messages", "agent", "project", "title")
        output.table(heads, [_row(info) for info in found])
    if more:
        output.hint(f"there are more than {limit}: --limit shows them")
    if not found:
        output.say("no session found" + (": there are sub-agents', see --subagents" * hidden))
    return 0 if found else NOTHING_FOUND


def time_ms(text: str | None) -> int | None:
    """`7d`, a date or Unix time in milliseconds. Raises `Invalid`."""
    if text is None:
        return None
    from clew.canonical import now_ms
    from clew.window import parse_since

    return parse_since(text, now_ms())


def _row(info: SessionInfo) -> tuple[object, ...]:
    marks = [info.status.value] if info.status != "open" else []
    marks += ["pinned"] if info.pinned else []
    marks += ["branch"] if info.forked_from else []
    marks += ["sub-agent"] if info.spawned_by else []
    title = info.title or "(no title)"
    return (
        output.short(info.id),
        output.moment(info.updated_ms),
        info.messages,
        info.agent or "",
        info.project,
        f"[{', '.join(marks)}] {title}" if marks else title,
    )
