"""What one look at many files could not judge, so that nothing that is there goes unseen.

An importer says of a file that it is its own or not. A database that is damaged, locked or denied
is neither: who asks all importers does so within `looking`, and is told of those files behind it.
Each database is opened once a look, however many importers ask about it.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Schema = dict[str, frozenset[str] | None]
"""What a database holds: each table's columns; `None` for a view or a virtual table."""

PATIENCE_MS: Final = 2_000
"""So long a look waits for locks, in all."""


class Sight:
    """What was seen in one look, by the files' names."""

    def __init__(self) -> None:
        self.asks = ""
        """The importer that asks just now."""
        self.patience_ms = PATIENCE_MS
        self.schemas: dict[str, Schema | None] = {}
        """Those that were opened; `None` for what could not be, or is no database."""
        self.unread: dict[str, str] = {}
        """Databases that could not be opened, and why."""
        self.doubtful: dict[str, dict[str, str]] = {}
        """What may be a history: for each importer that asked, why it is not taken for its own."""

    def doubt(self, name: str, cause: str) -> None:
        """Note why the importer that asks does not take this file."""
        self.doubtful.setdefault(name, {}).setdefault(self.asks, cause)

    def judge(self, name: str, needed: Mapping[str, Collection[str]], schema: Schema) -> bool:
        """Whether all needed tables are there with their columns. A database that has all their
        names and not what they stand for is doubtful.
        """
        if not all(table in schema for table in needed):
            return False
        for table, columns in needed.items():
            there = schema[table]
            if there is None:
                self.doubt(name, f"its {table!r} is no table but a view or a virtual one")
                return False
            missing = sorted(set(columns) - there)
            if missing:
                cause = f"its table {table!r} has no column {missing[0]!r}"
                self.doubt(name, f"{cause}: another version of its program may have written it")
                return False
        return True


_SIGHT: ContextVar[Sight | None] = ContextVar("sight", default=None)


@contextmanager
def looking() -> Iterator[Sight]:
    """One look: what importers are asked within it is noted in the `Sight` that it gives."""
    sight = Sight()
    token = _SIGHT.set(sight)
    try:
        yield sight
    finally:
        _SIGHT.reset(token)


def current() -> Sight:
    """The look that is on; one of its own for who asks outside of any."""
    return _SIGHT.get() or Sight()
