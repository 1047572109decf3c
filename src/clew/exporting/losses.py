"""What was left out, counted so that it adds up: every session that gave no row counts once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Losses:
    """Counts reasons of what gave no row, a family at a time. Sessions are told by their keys."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._told: list[tuple[str, tuple[int, ...]]] = []

    def add(self, reason: str, sessions: Iterable[int]) -> None:
        """Something of these sessions is left out."""
        self._told.append((reason, tuple(sessions)))

    def close(self, gave: Collection[int], all_: Iterable[int] = (), otherwise: str = "") -> None:
        """Count what was told since. A session that `gave` no row counts once, by the first reason
        (of `all_` also those of which none was told: `otherwise`); what only some of a session's
        rows lack counts beside, each time.
        """
        silent: set[int] = set()
        for reason, sessions in self._told:
            without = [one for one in dict.fromkeys(sessions) if one not in gave]
            new = [one for one in without if one not in silent]
            self.counts[reason] += len(new) if without else 1
            silent.update(new)
        rest = sum(1 for one in set(all_) if one not in gave and one not in silent)
        self.counts[otherwise] += rest
        self.counts = +self.counts
        self._told = []
