"""The table of pages: what a person can ask for, beside what programs can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from clew.access import Scope
from clew.server.pages import (
    assets,
    export,
    going,
    health,
    login,
    packing,
    search,
    session,
    sessions,
    timeline,
    trace,
    usage,
)
from clew.server.routes import OPEN, PAGE, Handler, Method, Route

if TYPE_CHECKING:
    from clew.server.answer import Answer
    from clew.server.call import Call

READ = Scope.SESSION_READ


class Next(msgspec.Struct, frozen=True):
    """Where to go on after coming in."""

    next: str = "/"


def _page(path: str, scope: str, handler: Handler, summary: str, query: Any = None) -> Route:
    return Route("GET", path, scope, handler, PAGE, summary, None, query)


def _do(method: Method, path: str, scope: str, handler: Handler, summary: str) -> Route:
    return Route(method, path, scope, handler, PAGE, summary)


def _file(name: str) -> Route:
    async def file(call: Call) -> Answer:
        return packing.packed(call, assets.answer(name))

    return Route("GET", assets.url(name), OPEN, file, PAGE, f"The page's {name}.")


# fmt: off
PAGES: tuple[Route, ...] = (
    _page("/", READ, sessions.listed, "The sessions.", sessions.Query),
    _page("/sessions/{session}", READ, session.shown, "One session.", session.Query),
    _page("/sessions/{session}/whole", READ, session.whole, "All of a long text in it.", session.WholeQuery),
    _page("/sessions/{session}/timeline", READ, timeline.shown, "Its timeline."),
    _page("/sessions/{session}/going", READ, going.asked, "What going back or aside from an entry would bring about.", going.FromQuery),
    _page("/sessions/{session}/diff", READ, going.diff, "Two of its places side by side.", going.DiffQuery),
    _page("/sessions/{session}/trace/detail", Scope.TRACE_READ, trace.shown, "What went into a span, and what came out.", trace.Query),
    _page("/palette", READ, sessions.palette, "Sessions by their titles.", sessions.Words),
    _page("/search", READ, search.shown, "Search over everything.", search.Query),
    _page("/usage", Scope.TRACE_READ, usage.shown, "Tokens, cost, tool time and failures.", usage.Query),
    _page("/export", Scope.EXPORT_RUN, export.shown, "Choose sessions and look at what redaction replaces.", export.Query),
    _page("/export/preview", Scope.EXPORT_RUN, export.preview, "What redaction would replace in them.", export.Query),
    _page("/ledger", Scope.TRACE_READ, health.shown, "The ledger: counts, room, verification."),
    _page("/ledger/sizes", Scope.TRACE_READ, health.sizes, "The largest sessions."),
    _do("POST", "/ledger/verify", Scope.ADMIN, health.verified, "Verify the ledger."),
    _page("/audit", Scope.AUDIT_READ, health.audit, "Who did what.", health.AuditQuery),
    _page("/sessions/{session}/erase", Scope.SESSION_DELETE, health.erasing, "What erasing it would remove.", health.EraseQuery),
    _page("/login", OPEN, login.form, "Where an access token is asked for.", Next),
    _do("POST", "/login", READ, login.enter, "Come in with an access token."),
    _do("POST", "/logout", OPEN, login.leave, "Forget the token."),
    *(_file(name) for name in assets.contents()),
)
# fmt: on
