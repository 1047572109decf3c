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

from clew.redaction import judge
from clew.redaction.gate import Window, gate
from clew.redaction.judge import Strength
from clew.redaction.linear import Pattern, compiled, starts_word
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


@dataclass(frozen=True, slots=True)
class _Ready:
    rule: Rule
    pattern: Pattern
    grow: Pattern | None
    mild: bool


class Finder:
    """The rules, compiled. Share one: see `finder`.

    `mild` are rules whose finds stay as they are: what stands within one is searched all the same.
    """

    def __init__(
        self,
        rules: tuple[Rule, ...],
        mild: frozenset[str] = frozenset(),
        *,
        hyperscan: bool | None = None,
    ) -> None:
        ready = [
            _Ready(
                rule,
                compiled(rule.pattern),
                # The rest of a mild find would be read once for each place within it.
                compiled(rule.grow) if rule.grow and rule.name not in mild else None,
                rule.name in mild,
            )
            for rule in rules
        ]
        self.gate = gate(rules, hyperscan=hyperscan)
        self._at: list[tuple[_Ready, ...]] = [
            tuple(one for one in ready if byte in one.rule.first) for byte in range(256)
        ]

    def find(self, data: bytes, windows: list[Window] | None = None) -> list[Found]:
        """Everything that the rules find, in order of place; finds may overlap. `windows` is
        what the gate said of this text, where that is known already.
        """
        out: list[Found] = []
        if len(data) < SHORTEST_BYTES:
            return out
        search = self.gate.cores.search
        resume = 0
        for begin, end in self.gate.windows(data) if windows is None else windows:
            resume = max(resume, begin)
            while resume < end and (place := search(data, resume, end)) is not None:
                start = place.start()
                resume = start + 1
                for ready in self._at[data[start]]:
                    found = _try(ready, data, start)
                    if found is not None:
                        out.append(found)
                        if not ready.mild:
                            resume = max(resume, found.end)
        return out


@lru_cache(maxsize=8)
def finder(
    rules: tuple[Rule, ...],
    mild: frozenset[str] = frozenset(),
    hyperscan: bool | None = None,
) -> Finder:
    """The finder for some rules. It is made once: that takes a tenth of a second."""
    return Finder(rules, mild, hyperscan=hyperscan)


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
