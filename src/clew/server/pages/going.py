"""Going back or aside from an entry: what that would change, what stays, and what cannot be
taken back. The verbs themselves are the API's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew import checkpoints, reading
from clew.errors import NotFound
from clew.log import Place, look_head, on_path
from clew.model import Position
from clew.server.pages import render
from clew.server.pages.session import parted

if TYPE_CHECKING:
    from clew.checkpoints import Diff
    from clew.db import Tx
    from clew.model import Entry
    from clew.server.answer import Answer
    from clew.server.call import Call
    from clew.session import Session

READ: Final = 1_000
"""So many entries are looked through for calls."""
SHOWN: Final = 200
"""Messages of a side of a diff that are shown."""


class FromQuery(msgspec.Struct, frozen=True):
    """The entry to go from."""

    at: str


class DiffQuery(msgspec.Struct, frozen=True):
    """Two places: entries, checkpoints, or sessions (where they stand)."""

    a: str
    b: str


async def asked(call: Call) -> Answer:
    """What can be done from an entry, with what it would bring about."""
    session = (await call.session()).sync
    found = await asyncio.to_thread(_consequences, session, call.query.at)
    return render.page(call, "going.html", **found)


async def diff(call: Call) -> Answer:
    """Two paths side by side, from where they part."""
    session = (await call.session()).sync
    query: DiffQuery = call.query
    found = await asyncio.to_thread(_diff, session, query)
    return render.page(call, "diff.html", query=query, info=session.info, diff=found, shown=SHOWN)


def _consequences(session: Session, at: str) -> dict[str, Any]:
    entry = session.entry(_position(session, at))
    head = session.head
    with session._read() as tx:
        there = checkpoints.resolve(tx, session._project, session._key, entry.position)
        place = look_head(tx, session._key).place
        before = reading.config(tx, there)
        now = reading.config(tx, place)
        left, entries = _left(tx, place, there)
    calls = Counter(
        part.name for message in reading.messages_of(entries) for part in message.tool_calls
    )
    return {
        "info": session.info,
        "at": str(entry.position),
        "seq": entry.seq,
        "is_head": entry.position == head,
        "left": left,
        "read": len(entries),
        "calls": calls.most_common(12),
        "settings": sorted(key for key in before | now if before.get(key) != now.get(key)),
    }


def _left(tx: Tx, place: Place | None, there: Place | None) -> tuple[int, list[Entry]]:
    """How many entries of the path lie behind a place, and the first of them; none where the
    place is not on the path.
    """
    if place is None or there is None or not on_path(tx, place, there):
        return 0, []
    _, start, total = reading.path_window(tx, place, there, None, 1)
    entries, _, _ = reading.path_window(tx, place, None, start + 1, READ)
    return total - start - 1, entries


def _position(session: Session, at: str) -> Position | int:
    owner, seq = parted(at)
    return Position(owner, seq) if owner else seq


def _diff(session: Session, query: DiffQuery) -> Diff:
    return session.diff(_named(session, query.a), _named(session, query.b))


def _named(session: Session, name: str) -> Any:
    """An entry, a checkpoint of this session, or another session's head."""
    if name.rpartition(":")[2].isdigit() and (":" in name or len(name) < 12):
        return _position(session, name)
    try:
        return session.get_checkpoint(name)
    except NotFound:
        return session._ledger.get(name).head
