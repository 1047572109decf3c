"""The spans of a session as columns, for whoever draws all of them at once.

Ten thousand spans are one query of what is drawn, and columns of small differences, which pack
well. Bodies are fetched span by span. Where no span was recorded, rows that the messages' times
tell have the same columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clew import derived, wire
from clew.db import Tx
from clew.errors import Invalid, NotFound
from clew.log import Head, Place, look_head
from clew.model import Position, Usage
from clew.moves import place_of
from clew.server.paging import cursor
from clew.session import Session

DIGITS_MAX = 18
COLUMNS = (
    *("sequence", "id", "parent", "kind", "name", "status", "turn", "started_us", "latency_us"),
    *("batch", "model", "tokens_in", "tokens_out", "cache_read"),
    *("cache_write", "reasoning", "cost", "attempt", "late", "at"),
)
"""What the query `span_tree` gives, in this order."""
TEXTS = ("kind", "name", "status", "batch", "model", "late", "of", "child")
DELTAS = ("sequence", "turn", "started_us", "at")


def columns(
    tx: Tx, head: Head, after: int, limit: int, *, ids: bool
) -> tuple[wire.Tree, int | None]:
    """The tree, and the sequence behind which there is more (`None`: nothing is).

    A parent that is not among the rows counts as none.
    """
    rows = tx.all("span_tree", session=head.key, after=after, limit=limit + 1)
    if not rows:
        return _packed(head.id, 0, {}), None
    more = len(rows) > limit
    del rows[limit:]
    found: dict[str, Any] = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    last = found["sequence"][-1] if more else None
    found["parent"] = _distances(found["id"], found["parent"])
    if not ids:
        del found["id"]
    return _packed(head.id, len(rows), found), last


def _packed(session: str, count: int, found: dict[str, Any]) -> wire.Tree:
    told = {name: list(values) for name, values in found.items() if _told(values)}
    texts: dict[str, list[str | None]] = {}
    for name in TEXTS:
        if name in told:
            told[name], texts[name] = _by_place(told[name])
    deltas = [name for name in DELTAS if name in told]
    for name in deltas:
        told[name] = _differences(told[name])
    return wire.Tree(session, count, told, texts, deltas)


# --- where none was recorded ---------------------------------------------------------------


def records_any(tx: Tx, head: Head) -> bool:
    """True when the session has a recorded span."""
    return bool(tx.all("span_tree", session=head.key, after=0, limit=1))


def derived_columns(
    tx: Tx, session: Session, head: Head, start: int | None, at: str, limit: int
) -> wire.Tree:
    """A window of the path as rows of what took time: from entry number `start` on, else with
    the entry `at` in its middle, else the newest. Raises `Invalid`, `NotFound` for `at`.
    """
    children = tx.all(
        "session_children", project=session._project, id=session.id, calls=f"{session.id}#%"
    )
    limit = min(limit, derived.WINDOW)
    found = derived.window(
        tx,
        session._project,
        head.place,
        start=start,
        around=entry_at(tx, session, at) if at else None,
        limit=limit,
        priced=_priced(session),
        children={by.partition("#")[2]: id for id, by, *_ in children if "#" in by},
    )
    tree = _packed(session.id, len(found.rows), _values(found.rows, session.id))
    tree.derived = wire.Derived(found.first, found.last, found.total)
    if found.last < found.total:
        tree.next = cursor(found.last)
    if found.first:
        tree.previous = cursor(max(found.first - limit, 0))
    return tree


def _priced(session: Session) -> derived.Priced:
    prices = session._ledger.prices

    def priced(usage: Usage, at_ms: int) -> float | None:
        if usage.cost is not None:
            return usage.cost
        read, written = usage.cache_read, usage.cache_write
        used = (usage.provider, usage.model, usage.input, usage.output)
        return prices.cost(*used, cache_read=read, cache_write=written, at_ms=at_ms)

    return priced


def _values(rows: Sequence[derived.Row], session: str) -> dict[str, list[Any]]:
    if not rows:
        return {}
    told = [_value(number, row, session) for number, row in enumerate(rows)]
    return {name: [each[name] for each in told] for name in told[0]}


def _value(number: int, row: derived.Row, session: str) -> dict[str, Any]:
    usage = row.usage
    return {
        "sequence": row.number,
        "parent": 0 if row.parent is None else number - row.parent,
        **{name: getattr(row, name) for name in _SAME},
        "at": row.at.seq,
        "of": None if row.at.session == session else row.at.session,
        "tokens_in": usage and usage.input,
        "tokens_out": usage and usage.output,
        "cache_read": usage and usage.cache_read,
        "cache_write": usage and usage.cache_write,
        "reasoning": usage and usage.reasoning,
    }


_SAME = (
    *("kind", "name", "status", "turn", "started_us", "latency_us", "part", "batch", "model"),
    *("cost", "child"),
)


def entry_at(tx: Tx, session: Session, at: str) -> Place:
    """The place of an entry that is named by its number or as `session:number`. Raises `Invalid`
    for what is none, `NotFound` when it is not there.
    """
    owner, _, seq = at.rpartition(":")
    if not seq.isascii() or not seq.isdigit() or len(seq) > DIGITS_MAX:
        raise Invalid(f"{at!r} is no entry: give its number, or session:number")
    return place_of(tx, session._project, Position(owner or session.id, int(seq)))


def _told(values: Iterable[Any]) -> bool:
    return any(value is not None for value in values)


def _distances(ids: Sequence[str], parents: Sequence[str | None]) -> list[int]:
    row = {id: number for number, id in enumerate(ids)}
    return [
        0 if parent is None else number - row.get(parent, number)
        for number, parent in enumerate(parents)
    ]


def _by_place(values: Sequence[str | None]) -> tuple[list[Any], list[str | None]]:
    places: dict[str | None, int] = {}
    numbers = [places.setdefault(value, len(places)) for value in values]
    return numbers, list(places)


def _differences(values: Sequence[int]) -> list[int]:
    return [value - before for value, before in zip(values, [0, *values], strict=False)]


def id_at(session: Session, sequence: str) -> str:
    """The id of the span that began at a sequence. Raises `NotFound`."""
    with session._read() as tx:
        head = look_head(tx, session._key)
        plain = sequence.isascii() and sequence.isdigit() and len(sequence) <= DIGITS_MAX
        number = int(sequence) if plain else 0
        rows = tx.all("span_tree", session=head.key, after=number - 1, limit=1)
    if not rows or rows[0][0] != number:
        raise NotFound(f"session {session.id} has no span that began at sequence {sequence}")
    return str(rows[0][1])
