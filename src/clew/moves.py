"""Units that move a session's head: restore, undo, clear, replace, reset, transfer.

Moving never removes anything: what the head leaves stays in the log, searchable, and the
move itself is recorded so that `undo` takes it back. The newest move that undo would take
back is `head.undo_top`; each move remembers the one below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clew import audit, events
from clew.canonical import now_ms
from clew.db import Tx
from clew.drafts import own_draft
from clew.errors import Conflict, Invalid, NotFound
from clew.log import (
    Draft,
    Head,
    Names,
    Place,
    append,
    before,
    lock_head,
    on_path,
    path,
    ranges_back,
    save_head,
)
from clew.model import JSON, Kind, Move, Position


class Anywhere:
    """The default of what is expected: whatever is there."""


ANY: Final = Anywhere()
SEQ_MAX = 2**63 - 1
"""More than a database's integers hold."""


def place_of(tx: Tx, project: int, position: Position) -> Place:
    """A public position by internal key. Raises `NotFound` when no such entry exists."""
    row = tx.one("session_by_id", id=position.session, project=project)
    if row is None:
        raise NotFound(f"session {position.session} is not in this ledger (or another project)")
    place = Place(row[0], position.seq)
    there = 0 < place.seq <= SEQ_MAX and tx.one(
        "entry_exists", project=row[1], session=place.session, seq=place.seq
    )
    if not there:
        raise NotFound(f"there is no entry {position}")
    return place


def move_head(tx: Tx, head: Head, action: str, to: Place | None, *, undoable: bool = True) -> Move:
    """Set the head elsewhere and record it; the caller saves the head."""
    return record_move(tx, head, action, head.place, to, undoable=undoable)


def record_move(
    tx: Tx,
    head: Head,
    action: str,
    origin: Place | None,
    to: Place | None,
    *,
    undoable: bool = True,
) -> Move:
    """Record that the head went from `origin` to `to`, and put it there."""
    head.moves += 1
    now = now_ms()
    tx.run(
        "move_add",
        session=head.key,
        number=head.moves,
        action=action,
        from_session=origin.session if origin else None,
        from_seq=origin.seq if origin else None,
        to_session=to.session if to else None,
        to_seq=to.seq if to else None,
        below=head.undo_top,
        time_ms=now,
    )
    if undoable:
        head.undo_top = head.moves
    head.at_session = to.session if to else None
    head.at_seq = to.seq if to else None
    events.add(tx, head, [events.EventDraft("head", str(head.moves), b"{}")])
    names = Names(tx, head)
    return Move(head.moves, action, names.position(origin), names.position(to), now)


def restore(tx: Tx, head: Head, actor: str, target: Place | None, label: str) -> Move:
    """Put the head where it stood before."""
    if target is not None and not _reachable(tx, head, target):
        raise Invalid(
            f"{Names(tx).position(target)} never was on a path of session {head.id}: "
            "branch from it instead"
        )
    move = move_head(tx, head, "restore", target)
    audit.record(tx, head, actor, "restore", label_chars=len(label), **_from_to(move))
    save_head(tx, head)
    return move


def _reachable(tx: Tx, head: Head, target: Place) -> bool:
    """True when the session stood there once, or at something behind it."""
    if target.session == head.key or on_path(tx, head.place, target):
        return True
    # What lies in other sessions was reached by a fork, a transfer or an import.
    elsewhere = tx.all("places_elsewhere", session=head.key)
    return any(on_path(tx, Place(*row), target) for row in elsewhere)


def _from_to(move: Move) -> dict[str, JSON]:
    return {"from": str(move.from_ or "root"), "to": str(move.to or "root"), "move": move.number}


def undo(tx: Tx, head: Head, actor: str) -> Move:
    """Take back the last thing: a move, else a compaction or config entry at the head, else
    the last turn.
    """
    if head.undo_top is not None:
        row = tx.one("move_get", session=head.key, number=head.undo_top)
        if row is not None and (row[4], row[5]) == (head.at_session, head.at_seq):
            head.undo_top = row[6]
            origin = None if row[2] is None else Place(row[2], row[3])
            return _undone(tx, head, actor, origin, row[1])
    place = head.place
    if place is None:
        raise Invalid(f"session {head.id} has nothing to undo: it stands at its root")
    kind = tx.one("entry_kind", session=place.session, seq=place.seq)
    if kind is not None and kind[0] in {Kind.COMPACTION, Kind.CONFIG, Kind.LABEL}:
        return _undone(tx, head, actor, before(tx, place), kind[0])
    prompt = _last_prompt(tx, place)
    if prompt is None:
        raise Invalid(f"session {head.id} has nothing to undo: no turn lies before its head")
    return _undone(tx, head, actor, before(tx, prompt), "turn")


def _undone(tx: Tx, head: Head, actor: str, to: Place | None, what: str) -> Move:
    move = move_head(tx, head, "undo", to, undoable=False)
    audit.record(tx, head, actor, "undo", what=what, **_from_to(move))
    save_head(tx, head)
    return move


def _last_prompt(tx: Tx, place: Place) -> Place | None:
    names = Names(tx)
    for piece in ranges_back(tx, place):
        rows = tx.all(
            "entry_last_user",
            project=names.project(piece.session),
            session=piece.session,
            low=piece.low,
            high=piece.high,
            limit=1,
        )
        if rows:
            return Place(piece.session, rows[0][0])
    return None


def count_messages(tx: Tx, place: Place | None) -> int:
    """How many messages lie on the path to a place."""
    names = Names(tx)
    total = 0
    for piece in path(tx, place):
        row = tx.one(
            "entry_count",
            project=names.project(piece.session),
            session=piece.session,
            low=piece.low,
            high=piece.high,
        )
        total += row[0] if row else 0
    return total


def start_over(
    tx: Tx,
    head: Head,
    actor: str,
    action: str,
    drafts: Sequence[Draft],
    config: dict[str, JSON] | None = None,
) -> tuple[Move, range]:
    """Leave the history where it is and begin again at the root, with `drafts` and `config`."""
    origin = head.place
    dropped = count_messages(tx, origin)
    head.at_session = head.at_seq = None
    added = list(drafts)
    if config:
        added.insert(0, own_draft(Kind.CONFIG, {"config": config, "set": sorted(config)}))
    numbers = append(tx, head, added, save=False) if added else range(0)
    move = record_move(tx, head, action, origin, head.place)
    audit.record(
        tx, head, actor, action, messages_left=dropped, messages_new=len(drafts), **_from_to(move)
    )
    save_head(tx, head)
    return move, numbers[len(added) - len(drafts) :]


def set_config(tx: Tx, head: Head, actor: str, config: dict[str, JSON]) -> None:
    """Give a session its first settings, or all of them anew."""
    keys = sorted(config)
    append(tx, head, [own_draft(Kind.CONFIG, {"config": config, "set": keys})], save=False)
    audit.record(tx, head, actor, "config", set=keys)
    save_head(tx, head)


def check_expected(tx: Tx, head: Head, expected: Place | None) -> list[Place]:
    """Nothing when the head stands at `expected`; else what was appended since, oldest
    first, as places. An expected entry that is off the path gives what is on it now.
    """
    if head.place == expected:
        return []
    try:
        pieces = path(tx, head.place, since=expected)
    except Conflict:
        pieces = path(tx, head.place)
    missed = [Place(p.session, seq) for p in pieces for seq in range(p.low, p.high + 1)]
    return [place for place in missed if place != expected]


def adopt(tx: Tx, actor: str, source: Head, target: Head, config: dict[str, JSON] | None) -> Move:
    """Let `target` stand where `source` stands; `config` is what it keeps of its own."""
    origin = target.place
    target.at_session, target.at_seq = source.at_session, source.at_seq
    if config is not None:
        change = own_draft(Kind.CONFIG, {"config": config, "set": sorted(config)})
        append(tx, target, [change], save=False)
    move = record_move(tx, target, "transfer", origin, target.place)
    audit.record(tx, target, actor, "transfer", source=source.id, **_from_to(move))
    save_head(tx, target)
    return move


def lock_two(tx: Tx, first: int, second: int, lease: int | None) -> tuple[Head, Head]:
    """Lock two sessions in an order that every unit keeps, so that none waits for another."""
    low, high = sorted((first, second))
    heads = {key: lock_head(tx, key, lease=lease if key == first else None) for key in (low, high)}
    return heads[first], heads[second]
