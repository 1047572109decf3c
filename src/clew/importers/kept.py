"""Files that belong to a session and are no history: their bytes are kept, nothing is read.

A tool's output that was too big for a record, or the few facts that stand beside a session: the
records that refer to such a file name its path, and under that path the ledger has its bytes
(`Ledger.source_bytes`). There are no records in it, so nothing of it is said twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec

from clew.errors import Invalid
from clew.importers.state import State, load
from clew.model import Origin

if TYPE_CHECKING:
    from clew.model import Record

STATE_VERSION: Final = 1


class _State(State):
    origin: Origin


class KeptReader:
    """Reads a file of which only the bytes count. See `clew.importers.base.Reader`."""

    def __init__(self, origin: Origin, consumed: int = 0) -> None:
        self.origin = origin
        self._consumed = consumed

    @classmethod
    def resume(cls, state: bytes) -> Self:
        """A reader that goes on where `state` stopped. Raises `Invalid` for a foreign one."""
        known = load(state, _State, STATE_VERSION, "kept file's")
        return cls(known.origin, known.consumed)

    @property
    def consumed(self) -> int:
        """See `Reader.consumed`: every byte is taken as it comes."""
        return self._consumed

    def feed(self, chunk: bytes, at: int, *, last: bool = False) -> list[Record]:
        """See `Reader.feed`. There are no records."""
        if at != self._consumed:
            raise Invalid(
                f"a chunk at byte {at} was given where {self._consumed} comes next: feed it"
            )
        self._consumed += len(chunk)
        return []

    def state(self) -> bytes:
        """See `Reader.state`."""
        return msgspec.json.encode(_State(STATE_VERSION, self._consumed, self.origin))
