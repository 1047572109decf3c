"""Renamed: a file that its agent wrote anew, with other names for the records that were there.

A new version of an agent may rewrite its old files in another notation: the conversation stays,
in its order and with its times, but no record is called as before. What was said is then known
by what it says, the oldest first; anything else that is not younger than the session's last
entry only tells again what the session holds.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from clew import canonical, shapes
from clew.errors import Invalid
from clew.log import Bodies, Place, Range, look_head, make_entry, path
from clew.model import Kind
from clew.reading import formats_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clew.db import Tx
    from clew.log import Draft
    from clew.model import Entry

PAGE = 200
_SAID = frozenset({Kind.MESSAGE, Kind.COMPACTION})


class Renamed:
    """What a session holds of a file that comes again under other names."""

    def __init__(self, tx: Tx, project: int, session: int) -> None:
        self._places: dict[bytes, list[Place]] = {}
        self._taken: Counter[bytes] = Counter()
        self._kept: Counter[bytes] = Counter()
        self._last: Place | None = None
        self._kept_last: Place | None = None
        self._until_ms = -1
        for piece in path(tx, look_head(tx, session).place):
            for entry in _entries(tx, project, piece):
                place = Place(piece.session, entry.seq)
                self._last = self._last or place
                self._until_ms = max(self._until_ms, entry.time_ms)
                if entry.kind in _SAID and entry.body is not None:
                    said = _said(entry.kind, entry.format, entry.body)
                    self._places.setdefault(said, []).append(place)
        self._kept_last = self._last

    def place(self, draft: Draft) -> Place | None:
        """Where the record stands that a renamed one is; for one that only tells of others,
        the last that was said before it, or the first entry. `None` for what is new.
        """
        if draft.time_ms > self._until_ms:
            return None
        if draft.kind not in _SAID:
            return self._last
        said = _said(draft.kind, draft.format, draft.body)
        places, taken = self._places.get(said, ()), self._taken[said]
        if taken == len(places):
            return None
        self._taken[said] += 1
        self._last = places[taken]
        return self._last

    def reset(self) -> None:
        """Forget what a unit took that was not committed."""
        self._taken, self._last = Counter(self._kept), self._kept_last

    def stored(self) -> None:
        """The unit was committed."""
        self._kept, self._kept_last = Counter(self._taken), self._last


def _entries(tx: Tx, project: int, piece: Range) -> Iterator[Entry]:
    """The entries of a range, page by page: none of their bodies is kept."""
    bodies = Bodies(tx)
    for low in range(piece.low, piece.high + 1, PAGE):
        rows = tx.all(
            "entry_range",
            project=project,
            session=piece.session,
            low=low,
            high=min(low + PAGE - 1, piece.high),
        )
        yield from (make_entry("", bodies, row) for row in rows)


def _said(kind: Kind, form: str, body: bytes) -> bytes:
    """What a body says, without its notation, time and usage."""
    formats_ready()
    told: Any
    try:
        message = shapes.decode(form, canonical.parse(body))
        told = (message.role, message.parts, message.summary)
    except (Invalid, msgspec.DecodeError, UnicodeDecodeError):
        told = body
    return canonical.content_id(f"{kind}\0{told!r}".encode("utf-8", "surrogatepass"))
