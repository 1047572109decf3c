"""One session: its head, and a window of its transcript that grows where it is scrolled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from clew import reading
from clew.clean import plain
from clew.errors import Invalid, NotFound
from clew.log import Place, look_head, on_path
from clew.server.pages import render, transcript

if TYPE_CHECKING:
    from clew.db import Tx
    from clew.model import Entry
    from clew.server.answer import Answer
    from clew.server.call import Call
    from clew.session import Session

WINDOW = 60
"""Entries of the path that are shown at once."""
MARGIN = 40
"""So many on either side are read too: a call and its result may be parted by a window's edge."""


class Query(msgspec.Struct, frozen=True):
    """What to show: the entry `at` (a number, or `session:seq`), or the window that begins with
    the path's entry number `start`, or the one that ends before its number `before`. Without any,
    the end.
    """

    at: str = ""
    start: int | None = None
    before: int | None = None
    to: str = ""
    """The path that ends there, in place of the session's own."""


class WholeQuery(msgspec.Struct, frozen=True):
    """A long text: part number `part` of the message that begins at the entry `at`, and within
    a result its part number `inner`.
    """

    at: str
    part: int
    inner: int = 0


async def shown(call: Call) -> Answer:
    """The page; for htmx one more window of the transcript."""
    session = (await call.session()).sync
    found = await asyncio.to_thread(_look, session, call.query)
    window = call.query.start is not None or call.query.before is not None
    if window and render.is_part(call):
        joins = "below" if call.query.before is None else "above"
        return render.page(call, "entries.html", at="", joins=joins, **found)
    return render.page(call, "session.html", at=call.query.at, joins="", **found)


async def whole(call: Call) -> Answer:
    """All of a text of which the transcript shows the beginning."""
    session = (await call.session()).sync
    found = await asyncio.to_thread(_whole, session, call.query)
    return render.page(call, "whole.html", text=plain(found))


def _look(session: Session, query: Query) -> dict[str, Any]:
    with session._read() as tx:
        place, around, left = _where(session, query, tx)
        start, size = _window(tx, place, around, query)
        low = max(start - MARGIN, 0)
        read, _, total = reading.path_window(tx, place, None, low, size + 2 * MARGIN)
        children = transcript.children(tx, session)
    window = read[start - low : start - low + size]
    return {
        "info": session.info,
        "sequence": session.sequence,
        "cards": transcript.cards(read, {str(entry.position) for entry in window}, children),
        "start": start,
        "end": start + len(window),
        "total": total,
        "to": query.to if query.to or not left else query.at,
    }


def _where(session: Session, query: Query, tx: Tx) -> tuple[Place | None, Place | None, bool]:
    """The end of the path that is shown, the entry to show, and whether that path is another than
    the session's: one that it left when it went back.
    """
    place = look_head(tx, session._key).place
    if query.to:
        return _place(session, query.to, tx), None, True
    if not query.at:
        return place, None, False
    around = _place(session, query.at, tx)
    if place is not None and on_path(tx, place, around):
        return place, around, False
    return around, around, True


def _window(tx: Tx, place: Place | None, around: Place | None, query: Query) -> tuple[int, int]:
    """The number of the window's first entry, and how many it holds."""
    if query.start is not None:
        return max(query.start, 0), WINDOW
    if query.before is not None:
        size = min(max(query.before, 0), WINDOW)
        return max(query.before, 0) - size, size
    return reading.path_window(tx, place, around, None, WINDOW)[1], WINDOW


def parted(at: str) -> tuple[str, int]:
    """The session (empty: the one that is looked at) and the number of an entry that an address
    names. Raises `Invalid` for what names none.
    """
    owner, _, seq = at.rpartition(":")
    if not seq.isascii() or not seq.isdigit() or len(seq) > 18:
        raise Invalid(f"{at!r} is no entry: give its number, or session:number")
    return owner, int(seq)


def _place(session: Session, at: str, tx: Tx) -> Place:
    """The place of an entry. Raises `Invalid` for what is none, `NotFound` when it is not there."""
    owner, seq = parted(at)
    # A token of one project sees that project's sessions only, on whatever path they stand.
    scope = session._ledger._scope
    row = tx.one("session_by_id", id=owner, project=scope) if owner else (session._key,)
    if row is None:
        raise Invalid(f"no session {owner!r} on this session's path")
    place = Place(row[0], seq)
    reading.entry(tx, place)
    return place


def _whole(session: Session, query: WholeQuery) -> str:
    with session._read() as tx:
        place, around, _ = _where(session, Query(at=query.at), tx)
        _, start, _ = reading.path_window(tx, place, around, None, 1)
        entries: list[Entry] = reading.path_window(tx, place, None, start, MARGIN)[0]
    found = transcript.text_of(entries, query.part, query.inner)
    if found is None:
        raise NotFound(f"entry {query.at} has no text {query.part}: open the session again")
    return found
