"""What migration 0002 computes: the turn of every entry that was stored before it.

The turn of an entry is the number of prompts on its path, itself included. Lines are filled
parents first, each from the turn at which it hangs on.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import NamedTuple

from clew.db.database import Tx


class _Line(NamedTuple):
    project: int
    session: int
    low: int
    high: int
    parent: tuple[int, int] | None


def fill_turns(tx: Tx) -> None:
    """Number the turns of a whole ledger."""
    lines = _lines(tx)
    of_session: dict[int, list[_Line]] = {}
    for line in lines:
        of_session.setdefault(line.session, []).append(line)
    done: set[_Line] = set()
    for line in lines:
        waiting = [line]
        while waiting:
            top = waiting[-1]
            below = _line_at(of_session, top.parent)
            # Damage may have made a circle of them, which verify names; here it must end.
            if below is not None and below not in done and below not in waiting:
                waiting.append(below)
                continue
            waiting.pop()
            if top not in done:
                done.add(top)
                _fill(tx, top)
    for session, own in of_session.items():
        last = own[-1]
        tx.run("head_turn", session=session, turn=_turn(tx, last.project, (session, last.high)))


def _lines(tx: Tx) -> list[_Line]:
    found = []
    for key, project, _id in tx.all("session_keys", project=None):
        rows = tx.all("line_list", session=key)
        last = tx.one("head_end", session=key)
        if not rows or last is None:
            continue  # it holds nothing of its own yet
        ends = [*(row[0] - 1 for row in rows[1:]), last[0]]
        for (start, session, seq), high in zip(rows, ends, strict=True):
            parent = None if session is None else (session, seq)
            found.append(_Line(project, key, start, high, parent))
    return found


def _line_at(lines: dict[int, list[_Line]], place: tuple[int, int] | None) -> _Line | None:
    if place is None:
        return None
    session, seq = place
    own = lines.get(session, [])
    at = bisect_right(own, seq, key=lambda line: line.low) - 1
    return own[at] if at >= 0 and seq <= own[at].high else None


def _fill(tx: Tx, line: _Line) -> None:
    where = {"project": line.project, "session": line.session}
    turn = 0 if line.parent is None else _turn(tx, line.project, line.parent)
    rows = tx.all("entry_prompts", **where, low=line.low, high=line.high)
    starts = [line.low, *(seq for (seq,) in rows), line.high + 1]
    for number, (low, following) in enumerate(pairwise(starts), turn):
        if low < following:
            tx.run("entry_set_turn", **where, low=low, high=following - 1, turn=number)


def _turn(tx: Tx, project: int, place: tuple[int, int]) -> int:
    row = tx.one("entry_turn", project=project, session=place[0], seq=place[1])
    return int(row[0]) if row else 0
