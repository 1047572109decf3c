"""A session's timeline: where its turns begin, where it was compacted, marked, branched and sent
back, how long nothing happened, and how full the context was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew import reading, stats
from clew.clean import one_line
from clew.errors import Invalid
from clew.log import Names, Place, Range, look_head, path
from clew.model import Position
from clew.server.pages import curve, render

if TYPE_CHECKING:
    from clew.db import Tx
    from clew.server.answer import Answer
    from clew.server.call import Call
    from clew.session import Session

MARKS_MAX: Final = 400
"""So many marks of a log are shown, the newest."""
OTHERS_MAX: Final = 200
IDLE_MS: Final = 5 * 60_000
"""A longer pause before a prompt is told."""
TITLE_CHARS: Final = 90


class Mark(msgspec.Struct):
    """One line of the timeline. `at` is the entry that it leads to, `None` where that is not on
    the path; `href` leads to another session.
    """

    kind: str
    title: str
    time_ms: int
    at: str | None
    place: int
    """How many entries of the path lie before it."""
    turn: int = 0
    idle_ms: int = 0
    href: str | None = None
    checkpoint: str | None = None


async def shown(call: Call) -> Answer:
    """The timeline, for htmx: it is asked for when the page stands."""
    session = (await call.session()).sync
    found = await asyncio.to_thread(_look, session)
    return render.page(call, "timeline.html", **found)


def _look(session: Session) -> dict[str, Any]:
    with session._read() as tx:
        place = look_head(tx, session._key).place
        pieces = path(tx, place)
        marks, more = _of_log(tx, session, pieces)
        marks += _branches(tx, session, pieces)
        series = tx.all("usage_series", session=session._key)
        used = stats.session_usage(tx, session._key, session._ledger.prices)
        marks += _others(tx, session, pieces)
    marks.sort(key=lambda mark: (mark.place, mark.kind != "turn"))
    _tell_pauses(marks)
    folds = [mark.at for mark in marks if mark.kind == "compaction" and mark.at]
    return {
        "info": session.info,
        "marks": marks,
        "more": more,
        "used": used,
        "curve": curve.of(series, [int(at.rpartition(":")[2]) for at in folds]),
    }


def _of_log(tx: Tx, session: Session, pieces: list[Range]) -> tuple[list[Mark], bool]:
    names = Names(tx)
    found: list[Mark] = []
    before = sum(piece.high - piece.low + 1 for piece in pieces)
    for piece in reversed(pieces):
        before -= piece.high - piece.low + 1
        rows = tx.all(
            "entry_landmarks",
            project=names.project(piece.session),
            session=piece.session,
            low=piece.low,
            high=piece.high,
            limit=MARKS_MAX + 1 - len(found),
        )
        for seq, kind, time_ms, turn in rows:
            prompt = kind == "message"
            title = _words(tx, Place(piece.session, seq)) if prompt else _TITLES[kind]
            at = str(Position(names.id(piece.session), seq))
            name = "turn" if prompt else kind
            found.append(Mark(name, title, time_ms, at, before + seq - piece.low, turn))
        if len(found) > MARKS_MAX:
            break
    return found[:MARKS_MAX], len(found) > MARKS_MAX


_TITLES: Final = {
    "compaction": "Compacted",
    "config": "Settings changed",
    "repair": "Mended after a crash",
    "snapshot": "State of the agent",
    "handoff": "Handed over",
}


def _words(tx: Tx, place: Place) -> str:
    try:
        text = reading.decode(reading.entry(tx, place)).text
    except Invalid:
        text = ""
    return one_line(text[: 8 * TITLE_CHARS], TITLE_CHARS) or "…"


def _branches(tx: Tx, session: Session, pieces: list[Range]) -> list[Mark]:
    rows = tx.all("session_branches", project=session._project, id=session.id)
    found = []
    for id, seq, title, created_ms, messages in rows[:OTHERS_MAX]:
        words = f"{title or 'Untitled'} ({messages:,} messages)"
        place = _offset(tx, pieces, Position(session.id, seq) if seq is not None else None)
        at = str(Position(session.id, seq)) if seq is not None and place is not None else None
        found.append(Mark("branch", words, created_ms, at, place or 0, href=f"/sessions/{id}"))
    return found


def _others(tx: Tx, session: Session, pieces: list[Range]) -> list[Mark]:
    """Checkpoints, and where the head went other than forward."""
    found = []
    for each in session.checkpoints(limit=OTHERS_MAX):
        place = _offset(tx, pieces, each.pre)
        title = each.label or "Checkpoint"
        at = str(each.pre) if each.pre is not None else None
        found.append(Mark("checkpoint", title, each.created_ms, at, place or 0, checkpoint=each.id))
    for move in session.moves(limit=OTHERS_MAX):
        place = _offset(tx, pieces, move.to)
        left = f", away from #{move.from_.seq}" if move.from_ is not None else ""
        at = str(move.from_) if move.from_ is not None else None
        found.append(Mark("move", f"{move.action}{left}", move.time_ms, at, place or 0))
    return found


def _offset(tx: Tx, pieces: list[Range], at: Position | None) -> int | None:
    """How many entries of the path lie before a place; `None` when it is not on it."""
    if at is None:
        return 0
    row = tx.one("session_by_id", id=at.session, project=None)
    before = 0
    for piece in pieces:
        if row is not None and piece.session == row[0] and piece.low <= at.seq <= piece.high:
            return before + at.seq - piece.low
        before += piece.high - piece.low + 1
    return None


def _tell_pauses(marks: list[Mark]) -> None:
    before: int | None = None
    for mark in marks:
        if mark.kind not in ("turn", "compaction"):
            continue
        if before is not None and mark.time_ms - before > IDLE_MS:
            mark.idle_ms = mark.time_ms - before
        before = mark.time_ms
