"""Where in a text the rules find something. Linear in the text, whatever the text is.

One automaton made of all cores proposes places. At each, the rules that may begin with that
byte are tried, each on a window of bounded size, so a refused proposal costs a constant. What
goes beyond a window is consumed by what gets replaced, and the search goes on behind it: no
byte is read more often than a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clew.redaction import judge
from clew.redaction.judge import Strength
from clew.redaction.linear import Pattern, compiled, starts_word
from clew.redaction.pseudonyms import markers
from clew.redaction.rules import SECRET, TYPES, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOTHING = rb"[^\x00-\xff]"
SHORTEST_BYTES = 6
"""No rule finds anything in a shorter text."""


@dataclass(frozen=True, slots=True)
class Found:
    """A span of bytes to replace, the rule that says so and the placeholder's type."""

    start: int
    end: int
    rule: str
    type: str


@dataclass(frozen=True, slots=True)
class _Ready:
    rule: Rule
    pattern: Pattern
    grow: Pattern | None


class Finder:
    """The rules, compiled."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        ready = [
            _Ready(rule, compiled(rule.pattern), compiled(rule.grow) if rule.grow else None)
            for rule in rules
        ]
        cores = b"|".join(b"(?:" + one.rule.core + b")" for one in ready)
        self._gate = compiled(cores or _NOTHING)
        self._at: list[tuple[_Ready, ...]] = [
            tuple(one for one in ready if byte in one.rule.first) for byte in range(256)
        ]

    def suspicious(self, data: bytes) -> bool:
        """A cheap first look: False means that `find` returns nothing."""
        return self._gate.search(data) is not None

    def find(self, data: bytes) -> list[Found]:
        """Everything that the rules find, in order of place; finds may overlap."""
        out: list[Found] = []
        if len(data) < SHORTEST_BYTES:
            return out
        place = self._gate.search(data)
        while place is not None:
            start = place.start()
            resume = start + 1
            for ready in self._at[data[start]]:
                found = _try(ready, data, start)
                if found is not None:
                    out.append(found)
                    resume = max(resume, found.end)
            place = self._gate.search(data, resume)
        return out


def _try(ready: _Ready, data: bytes, start: int) -> Found | None:
    rule = ready.rule
    if rule.edge and not starts_word(data, start):
        return None
    limit = min(len(data), start + rule.window)
    match = ready.pattern.match(data, start, limit)
    if match is None:
        return None
    span = rule.check(data, match)
    if span is None or span[0] >= span[1]:
        return None
    end = span[1]
    if ready.grow is not None and end == limit < len(data):
        more = ready.grow.match(data, end)
        end = more.end() if more else end
    return Found(span[0], end, rule.name, rule.type)


def leaf(data: bytes, key: bytes) -> Found | None:
    """The whole value under a key that says it is a secret."""
    # The name of a placeholder says nothing about the value below it.
    for start, end in reversed(markers(key)):
        key = key[:start] + key[end:]
    strength = judge.strength(key)
    if strength is Strength.NONE or not judge.plausible_leaf(data, strength):
        return None
    return Found(0, len(data), "secret-key", SECRET)


def union(found: list[Found], data: bytes) -> list[Found]:
    """Overlapping finds become one that covers them all, widened to whole characters.

    Never "the later one wins": that leaks what only the earlier one covered.
    """
    out: list[Found] = []
    for one in sorted(found, key=lambda each: (each.start, -each.end)):
        start, end = _whole_characters(one.start, one.end, data)
        if out and start < out[-1].end:
            last = out[-1]
            first = min(last, one, key=lambda each: TYPES.index(each.type))
            out[-1] = Found(last.start, max(last.end, end), first.rule, first.type)
        else:
            out.append(Found(start, end, one.rule, one.type))
    return out


def _whole_characters(start: int, end: int, data: bytes) -> tuple[int, int]:
    while start > 0 and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return start, end
