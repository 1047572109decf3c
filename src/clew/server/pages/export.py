"""Export: which sessions, and what redaction would replace in them, before anything is written.

The file itself comes from the API's own route, which redacts, scans and puts it on record.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import msgspec

from clew import exporting, previewing
from clew.access import Scope
from clew.clean import plain
from clew.errors import Invalid, NotFound, RedactionFailed
from clew.exporters.formats import FORMATS
from clew.exporters.outcome import OUTCOMES
from clew.exporting import asked
from clew.server.pages import render

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.model import SessionInfo
    from clew.server.answer import Answer
    from clew.server.call import Call

LISTED: Final = 100
"""So many of the selected sessions are listed, the newest."""
FILE: Final = "/api/v1/trajectories"
NATIVE: Final = "native"


class Query(msgspec.Struct, frozen=True):
    """Which sessions, as the command line asks for them; empty means all. `raw` leaves the
    redaction out.
    """

    since: str = ""
    until: str = ""
    project: str = ""
    agent: str = ""
    query: str = ""
    tier: list[str] = []
    outcome: list[str] = []
    model: list[str] = []
    session: list[str] = []
    format: str = NATIVE
    raw: bool = False


async def shown(call: Call) -> Answer:
    """The choice, and how much it comes to."""
    query: Query = call.query
    projects = await call.ledger.projects()
    problem, chosen = await _chosen(call)
    newest = sorted(chosen, key=lambda info: -info.updated_ms)
    return render.page(
        call,
        "export.html",
        status=422 if problem else 200,
        query=query,
        projects=projects,
        problem=problem,
        reads=_reads(call),
        raw_allowed=_may(call, Scope.EXPORT_RAW),
        count=len(chosen),
        rows=sum(exporting.speaks(info) for info in chosen),
        branches=any(info.forked_from for info in chosen),
        messages=sum(info.messages for info in chosen),
        listed=newest[:LISTED],
        file=f"{FILE}?{_same(query)}" if _same(query) else FILE,
        preview=f"/export/preview?{_same(query)}",
        judged=bool(query.tier or query.outcome or query.model),
        outcomes=OUTCOMES,
        tiers=exporting.TIERS,
        formats=[one for one in FORMATS.values() if one.lines],
        about=FORMATS[query.format].about if query.format in FORMATS else "",
    )


async def preview(call: Call) -> Answer:
    """What redaction replaces, for htmx: it is asked for when the page stands."""
    problem, chosen = await _chosen(call)
    found = None
    if not problem:
        try:
            found = await asyncio.to_thread(_look, call.ledger.sync, call.query)
        except (RedactionFailed, Invalid) as error:
            problem = f"The export of these sessions would be refused: {error}"
    return render.page(
        call,
        "export_preview.html",
        status=422 if problem and not chosen else 200,
        problem=problem,
        found=found,
        reads=_reads(call),
        limits=(previewing.SESSIONS_MAX, previewing.ENTRIES_MAX),
        plain=plain,
    )


async def _chosen(call: Call) -> tuple[str, list[SessionInfo]]:
    """Why nothing can be chosen so, or what is."""
    try:
        return "", list((await asyncio.to_thread(_select, call.ledger.sync, call.query)).values())
    except (Invalid, NotFound) as error:
        return str(error), []


def _select(ledger: Ledger, query: Query) -> dict[int, SessionInfo]:
    return exporting.chosen(ledger, asked.recipe(_asked(query)).selection)


def _asked(query: Query) -> asked.Asked:
    return asked.Asked(**_told(query))


def _told(query: Query) -> dict[str, Any]:
    told = msgspec.structs.asdict(query)
    for name in ("tier", "outcome", "model"):
        told[name] = [value for value in told[name] if value]  # a form sends what is not chosen
    return {name: None if value == "" else value for name, value in told.items()}


def _look(ledger: Ledger, query: Query) -> previewing.Preview:
    return previewing.preview(ledger, _select(ledger, query))


def _reads(call: Call) -> bool:
    """Whoever may not read sessions is told figures alone: a sample is not scanned a second time
    over everything, as a file is.
    """
    return _may(call, Scope.SESSION_READ)


def _may(call: Call, scope: str) -> bool:
    return call.token is not None and call.token.may(scope)


def _same(query: Query) -> str:
    """The same choice as a query."""
    fields: dict[str, Any] = {
        name: value for name, value in _told(query).items() if value and value != NATIVE
    }
    if query.raw:
        fields["raw"] = "true"
    return urlencode(fields, doseq=True)
