"""Search: hits by session, with the words marked, each a link into its place."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from markupsafe import Markup, escape

from clew.clean import plain
from clew.errors import Invalid
from clew.server.pages import render

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.model import Hit, Results
    from clew.server.answer import Answer
    from clew.server.call import Call

HITS: Final = 50
HITS_MAX: Final = 1_000
KINDS: Final = ("user", "assistant", "thinking", "tool_call", "tool_result", "system")


class Query(msgspec.Struct, frozen=True):
    """What to look for; empty means no limit."""

    q: str = ""
    kind: str = ""
    tool: str = ""
    project: str = ""
    session: str = ""
    since: str = ""
    order: Literal["rank", "newest"] = "rank"
    limit: int = HITS


async def shown(call: Call) -> Answer:
    """The form, and what was found. A query that cannot be read is told beside the form."""
    query: Query = call.query
    found, problem = None, ""
    projects = await call.ledger.projects()
    if query.q.strip():
        try:
            found = await asyncio.to_thread(_look, call.ledger.sync, query)
        except Invalid as error:
            problem = str(error)
    return render.page(
        call,
        "search.html",
        status=422 if problem else 200,
        query=query,
        kinds=KINDS,
        projects=projects,
        problem=problem,
        more=_more(query, found),
        found=found,
        groups=_groups(found),
    )


def _look(ledger: Ledger, query: Query) -> Results:
    return ledger.search(
        query.q,
        kind=query.kind or None,
        tool=query.tool or None,
        project=query.project or None,
        session=query.session or None,
        since=query.since or None,
        order=query.order,
        limit=min(max(query.limit, 1), HITS_MAX),
    )


def _more(query: Query, found: Results | None) -> int:
    """How many hits to ask for next; 0 when there are no more."""
    full = found is not None and len(found.hits) >= query.limit
    return min(query.limit * 2, HITS_MAX) if full and query.limit < HITS_MAX else 0


def _groups(found: Results | None) -> list[tuple[Hit, list[tuple[Hit, Markup]]]]:
    """Hits that follow one another in one session stand together."""
    hits = found.hits if found is not None else ()
    groups: list[tuple[Hit, list[tuple[Hit, Markup]]]] = []
    for _, run in groupby(hits, key=lambda hit: hit.session):
        group = [(hit, marked(hit.snippet, hit.marks)) for hit in run]
        groups.append((group[0][0], group))
    return groups


def marked(snippet: str, marks: Any) -> Markup:
    """A snippet with `<mark>` around what matched; everything else is escaped."""
    out, at = [], 0
    for start, end in marks:
        out.append(escape(plain(snippet[at:start])))
        out.append(Markup("<mark>{}</mark>").format(plain(snippet[start:end])))
        at = end
    out.append(escape(plain(snippet[at:])))
    return Markup("").join(out)
