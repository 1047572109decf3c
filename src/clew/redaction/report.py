"""What was found, by rule. Counts only: a report never holds a value or a part of one."""

from __future__ import annotations

from collections import Counter

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """Something that a rule still finds. `path` says where in the value; `start` and `end`
    are offsets in the UTF-8 bytes of that string. Never the text itself.
    """

    rule: str
    path: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.rule} at {self.path or 'the top'}, bytes {self.start} to {self.end}"


class Report:
    """Counts per rule, added up over an export."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, rule: str, count: int = 1) -> None:
        """What a rule found."""
        self._counts[rule] += count

    def since(self, counts: dict[str, int]) -> Counter[str]:
        """What came in addition to `counts`."""
        return self._counts - Counter(counts)

    @property
    def total(self) -> int:
        """All replacements."""
        return self._counts.total()

    @property
    def counts(self) -> dict[str, int]:
        """Replacements per rule, sorted by name."""
        return dict(sorted(self._counts.items()))
