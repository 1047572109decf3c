"""Where in a text the rules find something. Linear in the text, whatever the text is.

One automaton made of all cores proposes places (`clew.redaction.gate`). At each, the rules that
may begin with that byte are tried, each on a window of bounded size, so a refused proposal costs
a constant. What goes beyond a window is consumed by what gets replaced, and the search goes on
behind it: no byte is read more often than a constant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heapreplace

from clew.redaction import judge
from clew.redaction.gate import Window, gate
from clew.redaction.judge import Strength
from clew.redaction.linear import Match, Pattern, compiled, starts_word
from clew.redaction.pseudonyms import markers
from clew.redaction.rules import SECRET, TYPES, Rule

Rank = Callable[["Found"], int]
"""How strictly a find is treated."""

SHORTEST_BYTES = 6
"""No rule finds anything in a shorter text."""


@dataclass(frozen=True, slots=True)
class Found:
    """A span of bytes to replace, the rule that says so and the placeholder's type."""

    start: int
    end: int
    rule: str
    type: str


class _Ready:
    """A rule, compiled when it is needed first. `mild`: what it finds stays as it is."""

    __slots__ = ("_grow", "_pattern", "mild", "number", "rule")

    def __init__(self, number: int, rule: Rule, mild: bool) -> None:
        self.number, self.rule, self.mild = number, rule, mild
        self._pattern: Pattern | None = None
        self._grow: Pattern | None = None

    def match(self, data: bytes, start: int, limit: int) -> Match | None:
        """The rule's pattern at one place."""
        if self._pattern is None:
            self._pattern = compiled(self.rule.pattern)
        return self._pattern.match(data, start, limit)

    def grown(self, data: bytes, end: int) -> int:
        """How far a match goes on that reached the end of its window."""
        # The rest of a mild find would be read once for each place within it.
        if self.rule.grow is None or self.mild:
            return end
        if self._grow is None:
            self._grow = compiled(self.rule.grow)
        more = self._grow.match(data, end)
        return more.end() if more else end


class Finder:
    """The rules, ready to search. Share one: see `finder`.

    `mild` are rules whose finds stay as they are: what stands within one is searched all the same.
    """

    def __init__(
        self,
        rules: tuple[Rule, ...],
        mild: frozenset[str] = frozenset(),
        *,
        hyperscan: bool | None = None,
    ) -> None:
        self.gate = gate(rules, hyperscan=hyperscan)
        ready = [_Ready(number, rule, rule.name in mild) for number, rule in enumerate(rules)]
        self._at: list[dict[int, list[_Ready]]] = [
            _by_first([ready[number] for number in group]) for group in self.gate.groups
        ]

    def find(self, data: bytes, windows: list[Window] | None = None) -> list[Found]:
        """Everything that the rules find, in order of place; finds may overlap. `windows` is
        what the gate said of this text, where that is known already.
        """
        if len(data) < SHORTEST_BYTES:
            return []
        out: list[tuple[int, int, Found]] = []
        place = resume = behind = 0
        heap = self._places(data, self.gate.windows(data) if windows is None else windows)
        while heap:
            at, group, end = heap[0]
            if at > place:
                place, resume = at, behind
            if at >= resume:
                for ready in self._at[group].get(data[at], ()):
                    found = self._try(ready, data, at)
                    if found is not None:
                        out.append((at, ready.number, found))
                        if not ready.mild:
                            behind = max(behind, found.end)
            again = self.gate.pattern(group).search(data, max(at + 1, behind), end)
            if again is None:
                heappop(heap)
            else:
                heapreplace(heap, (again.start(), group, end))
        out.sort(key=_by_place)
        return [found for _, _, found in out]

    def _places(self, data: bytes, windows: list[Window]) -> list[tuple[int, int, int]]:
        """Where each window begins to be of interest."""
        heap = []
        for group, begin, end in windows:
            found = self.gate.pattern(group).search(data, begin, end)
            if found is not None:
                heap.append((found.start(), group, end))
        heapify(heap)
        return heap

    def _try(self, ready: _Ready, data: bytes, start: int) -> Found | None:
        rule = ready.rule
        if rule.edge and not starts_word(data, start):
            return None
        limit = min(len(data), start + rule.window)
        match = ready.match(data, start, limit)
        if match is None or self.gate.core(ready.number).match(data, start) is None:
            return None
        span = rule.check(data, match)
        if span is None or span[0] >= span[1]:
            return None
        end = span[1]
        if end == limit < len(data):
            end = ready.grown(data, end)
        return Found(span[0], end, rule.name, rule.type)


def _by_first(ready: list[_Ready]) -> dict[int, list[_Ready]]:
    out: dict[int, list[_Ready]] = {}
    for one in ready:
        for byte in set(one.rule.first):
            out.setdefault(byte, []).append(one)
    return out


def _by_place(one: tuple[int, int, Found]) -> tuple[int, int]:
    return one[0], one[1]


@lru_cache(maxsize=8)
def finder(
    rules: tuple[Rule, ...], mild: frozenset[str] = frozenset(), hyperscan: bool | None = None
) -> Finder:
    """The finder for some rules. It is made once: that takes a tenth of a second."""
    return Finder(rules, mild, hyperscan=hyperscan)


_NO_NAME = compiled(rb"[\"\\\x00-\x1f\x7f]")
"""A key with such a character is a sentence or a document, and no name of a value."""


@lru_cache(maxsize=8192)
def telling(key: bytes) -> Strength:
    """What a key says about the value below it; the name of a placeholder says nothing."""
    for start, end in reversed(markers(key)):
        key = key[:start] + key[end:]
    strength = judge.strength(key)
    if strength is Strength.NONE or _NO_NAME.search(key) is not None:
        return Strength.NONE
    return strength


def leaf(data: bytes, key: bytes) -> Found | None:
    """The whole value under a key that says it is a secret."""
    strength = telling(key)
    if strength is Strength.NONE or not judge.plausible_leaf(data, strength):
        return None
    return Found(0, len(data), "secret-key", SECRET)


def union(found: list[Found], data: bytes, rank: Rank | None = None) -> list[Found]:
    """Overlapping finds become one that covers them all, widened to whole characters.

    Never "the later one wins": that leaks what only the earlier one covered. The earlier of two
    types names the placeholder; the rule is that of this type, or the one that `rank` puts
    higher.
    """
    out: list[Found] = []
    for one in sorted(found, key=lambda each: (each.start, -each.end)):
        start, end = _whole_characters(one.start, one.end, data)
        if out and start < out[-1].end:
            last = out[-1]
            first = min(last, one, key=lambda each: TYPES.index(each.type))
            rule = first.rule
            if rank is not None and rank(last) != rank(one):
                rule = max(last, one, key=rank).rule
            out[-1] = Found(last.start, max(last.end, end), rule, first.type)
        else:
            out.append(Found(start, end, one.rule, one.type))
    return out


def _whole_characters(start: int, end: int, data: bytes) -> tuple[int, int]:
    while start > 0 and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return start, end
