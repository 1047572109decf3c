"""One session: its head, and a window of its transcript that grows where it is scrolled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from clew import reading
from clew.errors import Invalid
from clew.log import look_head
from clew.server.pages import render, transcript

if TYPE_CHECKING:
    from clew.log import Place
    from clew.server.answer import Answer
    from clew.server.call import Call
    from clew.session import Session

WINDOW = 60
"""Entries that are read at once."""


class Query(msgspec.Struct, frozen=True):
    """What to show: the entry `at` (a number, or `session:seq`), or the window that begins with
    the path's entry number `start`. Without either, the end.
    """

    at: str = ""
    start: int | None = None


async def shown(call: Call) -> Answer:
    """The page; for htmx one more window of the transcript."""
    session = (await call.session()).sync
    found = await asyncio.to_thread(_look, session, call.query)
    if call.query.start is not None and render.is_part(call):
        return render.page(call, "entries.html", **found)
    return render.page(call, "session.html", at=call.query.at, **found)


def _look(session: Session, query: Query) -> dict[str, Any]:
    with session._read() as tx:
        place = look_head(tx, session._key).place
        around = _around(session, query.at, tx) if query.at else None
        entries, start, total = reading.path_window(tx, place, around, query.start, WINDOW)
    return {
        "info": session.info,
        "cards": transcript.cards(entries),
        "start": start,
        "end": start + len(entries),
        "total": total,
        "window": WINDOW,
        "chosen": str(entries[0].position) if not query.at and entries else query.at,
    }


def _around(session: Session, at: str, tx: Any) -> Place:
    owner, _, seq = at.rpartition(":")
    if not seq.isascii() or not seq.isdigit() or len(seq) > 18:
        raise Invalid(f"{at!r} is no entry: give its number, or session:number")
    row = tx.one("session_by_id", id=owner, project=None) if owner else (session._key,)
    if row is None:
        raise Invalid(f"no session {owner!r} on this session's path")
    from clew.log import Place

    return Place(row[0], int(seq))
