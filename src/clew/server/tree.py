"""The spans of a session as columns, for whoever draws all of them at once.

Ten thousand spans are one query of what is drawn, and columns of small differences, which pack
well. Bodies are fetched span by span.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clew import wire
from clew.db import Tx
from clew.errors import NotFound
from clew.log import Head, look_head
from clew.session import Session

DIGITS_MAX = 18
COLUMNS = (
    *("sequence", "id", "parent", "kind", "name", "status", "turn", "started_us", "latency_us"),
    *("batch", "model", "tokens_in", "tokens_out", "cache_read", "cost", "attempt", "late"),
)
"""What the query `span_tree` gives, in this order."""
TEXTS = ("kind", "name", "status", "batch", "model", "late")
DELTAS = ("sequence", "turn", "started_us")


def columns(
    tx: Tx, head: Head, after: int, limit: int, *, ids: bool
) -> tuple[wire.Tree, int | None]:
    """The tree, and the sequence behind which there is more (`None`: nothing is).

    A parent that is not among the rows counts as none.
    """
    rows = tx.all("span_tree", session=head.key, after=after, limit=limit + 1)
    if not rows:
        return wire.Tree(head.id, 0, {}, {}, list(DELTAS)), None
    more = len(rows) > limit
    del rows[limit:]
    found: dict[str, Any] = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    last = found["sequence"][-1] if more else None
    found["parent"] = _distances(found["id"], found["parent"])
    if not ids:
        del found["id"]
    told = {name: list(values) for name, values in found.items() if _told(values)}
    texts: dict[str, list[str | None]] = {}
    for name in TEXTS:
        if name in told:
            told[name], texts[name] = _by_place(told[name])
    for name in DELTAS:
        told[name] = _differences(told[name])
    return wire.Tree(head.id, len(rows), told, texts, list(DELTAS)), last


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
