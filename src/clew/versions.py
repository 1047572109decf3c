"""Versions: is a record that comes again the one that a session holds, or a later one?

The same bytes are the same record, and so are other bytes that say the same: an agent may write
its file anew in another notation. Anything else is a later version, which is kept beside the
first, once. What was erased, and a compaction, has no later version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from clew import canonical, shapes
from clew.errors import Invalid
from clew.log import Bodies, Draft, make_entry
from clew.model import Entry, Kind
from clew.reading import formats_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clew.db import Tx

SEQ_MAX = 2**62


class Versions:
    """The records that one session holds, for as long as one transaction lasts."""

    def __init__(self, tx: Tx, project: int, session: int) -> None:
        self._tx = tx
        self._project = project
        self._session = session
        self._bodies = Bodies(tx)
        self._ids: set[bytes] | None = None

    def holds(self, seq: int, draft: Draft) -> bool:
        """True when entry `seq`, or any other entry of the session, is this record already."""
        first = next(self._entries(seq, seq), None)
        if first is None or first.body is None or first.body == draft.body:
            return True
        if draft.kind is Kind.COMPACTION or _said(first) == _said(first, draft):
            return True
        if self._ids is None:
            # Rare, and one reading of the session: which later versions there are already.
            self._ids = {
                canonical.content_id(entry.body)
                for entry in self._entries(1, SEQ_MAX)
                if entry.body is not None
            }
        return canonical.content_id(draft.body) in self._ids

    def _entries(self, low: int, high: int) -> Iterator[Entry]:
        rows = self._tx.all(
            "entry_range", project=self._project, session=self._session, low=low, high=high
        )
        return (make_entry("", self._bodies, row) for row in rows)


def _said(entry: Entry, draft: Draft | None = None) -> Any:
    """What a body says, without its notation, time and usage."""
    kind, form, body = entry.kind, entry.format, entry.body
    if draft is not None:
        kind, form, body = draft.kind, draft.format, draft.body
    if body is None:
        return None
    formats_ready()
    try:
        if kind is not Kind.MESSAGE:
            return kind, canonical.parse(body)
        message = shapes.decode(form, canonical.parse(body))
    except (Invalid, msgspec.DecodeError, UnicodeDecodeError):
        return kind, body
    return kind, message.role, message.parts, message.meta, message.summary
