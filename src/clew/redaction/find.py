"""Where in a text the rules find something. Linear in the text, whatever the text is.

The gate proposes places and rules (`clew.redaction.gate`). Each is tried on a window of bounded
size, so a proposal costs a constant. What a match is longer than its window is read once for
each rule, whatever number of matches end in it. A rule is not tried within what it found itself,
but within what another one found: it may reach further.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

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
    """A rule, compiled when it is needed first."""

    __slots__ = ("_grow", "_pattern", "number", "rule")

    def __init__(self, number: int, rule: Rule) -> None:
        self.number, self.rule = number, rule
        self._pattern: Pattern | None = None
        self._grow: Pattern | None = None

    def match(self, data: bytes, start: int, limit: int) -> Match | None:
        """The rule's pattern at one place."""
        if self._pattern is None:
            self._pattern = compiled(self.rule.pattern)
        return self._pattern.match(data, start, limit)

    def grown(self, data: bytes, end: int, runs: dict[int, tuple[int, int]]) -> int:
        """How far a match goes on that reached the end of its window. `runs` has where the last
        one of each rule did.
        """
        if self.rule.grow is None:
            return end
        begin, last = runs.get(self.number, (0, -1))
        if begin <= end <= last:
            return last
        if self._grow is None:
            self._grow = compiled(self.rule.grow)
        more = self._grow.match(data, end)
        runs[self.number] = end, more.end() if more else end
        return runs[self.number][1]


class Finder:
    """The rules, ready to search. Share one: see `finder`."""

    def __init__(self, rules: tuple[Rule, ...], *, hyperscan: bool | None = None) -> None:
        self.gate = gate(rules, hyperscan=hyperscan)
        ready = [_Ready(number, rule) for number, rule in enumerate(rules)]
        self._at: list[dict[int, list[_Ready]]] = [
            _by_first([ready[number] for number in group]) for group in self.gate.groups
        ]

    def find(self, data: bytes, windows: list[Window] | None = None) -> list[Found]:
        """Everything that the rules find, in order of place and rule; finds may overlap.
        `windows` is what the gate said of this text, where that is known already.
        """
        if len(data) < SHORTEST_BYTES:
            return []
        out: list[tuple[int, int, Found]] = []
        runs: dict[int, tuple[int, int]] = {}
        ends: dict[int, int] = {}
        for group, begin, end in self.gate.windows(data) if windows is None else windows:
            search, rules = self.gate.pattern(group).search, self._at[group]
            alone = len(self.gate.groups[group]) == 1
            place = search(data, begin, end)
            while place is not None:
                at = place.start()
                for ready in rules.get(data[at], ()):
                    if at < ends.get(ready.number, 0):
                        continue
                    if not alone and self.gate.core(ready.number).match(data, at) is None:
                        continue
                    found = self._try(ready, data, at, runs)
                    if found is not None:
                        out.append((at, ready.number, found))
                        ends[ready.number] = found.end
                place = search(data, at + 1, end)
        out.sort(key=_by_place)
        return [found for _, _, found in out]

    def _try(
        self, ready: _Ready, data: bytes, start: int, runs: dict[int, tuple[int, int]]
    ) -> Found | None:
        rule = ready.rule
        if rule.edge and not starts_word(data, start) and not _marked(rule.name, data, start):
            return None
        limit = min(len(data), start + rule.window)
        match = ready.match(data, start, limit)
        if match is None:
            return None
        span = rule.check(data, match)
        if span is None or span[0] >= span[1]:
            return None
        end = span[1]
        if end == limit < len(data):
            end = ready.grown(data, end, runs)
        return Found(span[0], end, rule.name, rule.type)


_SURE = frozenset(
    ("anthropic", "github", "github-fine", "gitlab", "openai-project", "slack", "stripe")
)
"""Rules whose marks stand in no other word: an underscore may stand before them."""


def _marked(rule: str, data: bytes, start: int) -> bool:
    """`tool_ghp_…`: does a mark begin behind an underscore that nothing else can be?"""
    return data[start - 1] == ord("_") and rule in _SURE


def _by_first(ready: list[_Ready]) -> dict[int, list[_Ready]]:
    out: dict[int, list[_Ready]] = {}
    for one in ready:
        for byte in set(one.rule.first):
            out.setdefault(byte, []).append(one)
    return out


def _by_place(one: tuple[int, int, Found]) -> tuple[int, int]:
    return one[0], one[1]


@lru_cache(maxsize=8)
def finder(rules: tuple[Rule, ...], hyperscan: bool | None = None) -> Finder:
    """The finder for some rules. It is made once: that takes a tenth of a second."""
    return Finder(rules, hyperscan=hyperscan)


KEY_BYTES_MAX = 256
_NO_NAME = compiled(rb"[\"\\\x00-\x1f\x7f]")
"""A key with such a character is a sentence or a document, and no name of a value."""


@lru_cache(maxsize=8192)
def telling(key: bytes) -> Strength:
    """What a key says about the value below it; the name of a placeholder says nothing."""
    if len(key) > KEY_BYTES_MAX:
        return Strength.NONE
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
