"""`clew search`: words in everything that was said, thought, called and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.errors import NOTHING_FOUND
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.model import Hit, Results

KINDS = ("user", "assistant", "system", "thinking", "tool_call", "tool_result")
ROLES = ("user", "assistant", "tool", "system")


@click.command()
@setup
@click.argument("query", nargs=-1, required=True)
@click.option("--kind", multiple=True, type=click.Choice(KINDS), help="Only this kind of text.")
@click.option("--role", type=click.Choice(ROLES), help="Only what this role said.")
@click.option("--tool", metavar="NAME", help="Only calls of this tool, and results that name it.")
@click.option("--session", metavar="SESSION", help="Only in this session.")
@click.option("--since", metavar="WHEN", help="Since 7d, 12h or a date.")
@click.option("--until", metavar="WHEN", help="Before.")
@click.option("--newest/--rank", help="Newest first, or most relevant first (the default).")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--min-score", type=float, help="Only hits of this score or better.")
def search(
    setup: Setup,
    query: tuple[str, ...],
    kind: tuple[str, ...],
    role: str | None,
    tool: str | None,
    session: str | None,
    since: str | None,
    until: str | None,
    newest: bool,
    limit: int,
    min_score: float | None,
) -> int:
    """Search all sessions, on every branch, compacted or not.

    Words are all to be found; "a phrase", prefix*, OR, NOT and parentheses work; -word means
    NOT word, so quote what has a dash in front: '"compose up -d"'. Exit code 1 when nothing
    is found.
    """
    from clew.cli import find

    with setup.open(write=True) as ledger:
        results = ledger.search(
            " ".join(query),
            kind=kind or None,
            role=role,
            tool=tool,
            session=find.session(ledger, session).id if session else None,
            since=since,
            until=until,
            order="newest" if newest else "rank",
            limit=limit,
            min_score=min_score,
        )
    if setup.json:
        output.document(results)
    else:
        _show(results)
    _tell(results)
    return 0 if results.hits else NOTHING_FOUND


def _show(results: Results) -> None:
    groups: dict[str, list[Hit]] = {}
    for hit in results.hits:
        groups.setdefault(hit.session, []).append(hit)
    for number, (id, hits) in enumerate(groups.items()):
        if number:
            output.text()
        title = output.one_line(hits[0].title or "(no title)", 100)
        place = output.one_line(hits[0].project)
        output.text(f"{output.paint(title, 'head')}  {output.paint(place, 'dim')}")
        for hit in hits:
            tool = f" {output.one_line(hit.tool)}" if hit.tool else ""
            where = f"{output.short(id)}:{hit.seq}"
            what = f"{hit.kind}{tool}  {output.moment(hit.time_ms)}"
            output.text(f"  {output.paint(where, 'call')}  {output.paint(what, 'dim')}")
            output.text(f"    {_marked(hit)}")


def _marked(hit: Hit) -> str:
    """The snippet on one line, the words that matched highlighted."""
    pieces, at = [], 0
    for start, end in sorted(hit.marks):
        pieces.append(_flat(hit.snippet[at:start]))
        pieces.append(output.paint(_flat(hit.snippet[start:end]), "mark"))
        at = end
    pieces.append(_flat(hit.snippet[at:]))
    return "".join(pieces).strip()


def _flat(text: str) -> str:
    return output.clean(text).replace("\n", " ").replace("\t", " ")


def _tell(results: Results) -> None:
    """How far the answer could see, and where to go from here."""
    if results.index == "disabled":
        output.say("search is turned off for this ledger: clew reindex --on turns it on")
    elif results.index == "empty":
        output.say("the index is empty: nothing was recorded yet, or clew reindex builds it anew")
    elif results.index == "behind":
        output.say(
            f"the index is {output.plural(results.behind, 'entry')} behind; "
            f"{results.unseen:,} of them were not searched: clew reindex brings it up to date"
        )
    if not results.hits:
        output.say("nothing found")
    else:
        first = results.hits[0]
        output.hint(f"read on: clew show {output.short(first.session)}:{first.seq}")
