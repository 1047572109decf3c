"""Where in a text a rule may find something: automata made of the rules' cores.

Two engines give the same proposals, which are pairs of a place and a rule whose core matches
there. RE2 is always there; the cores are dealt out to a dozen automata, since those that count
how often a class was seen multiply each other's states when they share one. Hyperscan (the
optional package `hyperscan`) takes all of them at once and is several times as fast; it tells
only where matches end, so the stretches that it names are looked at once more by RE2, which says
where they begin.
"""

from __future__ import annotations

import importlib
import threading
from bisect import bisect_right
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from clew.redaction.cores import head, looseness, width
from clew.redaction.linear import Pattern, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from clew.redaction.rule import Rule

Window = tuple[int, int, int]
"""A stretch of bytes, from and to, behind the number of the group of cores that match in it."""

_GATE_MEMORY_BYTES = 4 << 20
GROUP_MAX = 120
"""Cores of fixed width in one automaton."""
LOOSE = 10
GROUP_LOOSENESS_MAX = 30
LOOSE_GROUP_LOOSENESS_MAX = 200
"""What an automaton may count. A little of it is counted at every byte of some texts; much of it
follows a rare word."""
HYPERSCAN_BYTES_MAX = 512
"""A longer core may be too much for Hyperscan."""


def _hyperscan() -> Any:
    try:
        return importlib.import_module("hyperscan")
    except ImportError:
        return None


HYPERSCAN: Any = _hyperscan()
"""The module, or `None` where it is not installed."""


class Gate(Protocol):
    """A first look at a text. `groups` are the numbers of the rules in each group."""

    groups: Sequence[Sequence[int]]

    def pattern(self, group: int) -> Pattern:
        """Any core of a group, by RE2: says within a window where matches begin."""

    def core(self, number: int) -> Pattern:
        """The core of a rule."""

    def windows(self, data: bytes) -> list[Window]:
        """Stretches that together hold every match of a core, each of one group."""

    def touched(self, data: bytes, starts: Sequence[int]) -> dict[int, list[Window]]:
        """The same for texts that stand one behind the other, each followed by one byte:
        by number of the text, with offsets into it. `starts` tells where each begins, and where
        one behind the last would.
        """


def gate(rules: Iterable[Rule], *, hyperscan: bool | None = None) -> Gate:
    """The gate of some rules; with Hyperscan where it is installed, unless told otherwise."""
    use = HYPERSCAN is not None if hyperscan is None else hyperscan
    # Where a word ends is for the pattern to say: an engine that sees a part cannot.
    return _made(tuple(rule.core.removesuffix(rb"\b") for rule in rules), use)


@lru_cache(maxsize=8)
def _made(cores: tuple[bytes, ...], hyperscan: bool) -> Gate:
    if hyperscan and cores:
        widths = [width(core) for core in cores]
        whole = [(core, size, 0) for core, size in zip(cores, widths, strict=True) if size]
        if len(whole) == len(cores):
            return HyperscanGate(whole)
    return PatternGate(cores)


def joined(cores: Iterable[bytes]) -> Pattern:
    """One pattern that matches what any of them does."""
    return compiled(b"|".join(b"(?:" + core + b")" for core in cores), _GATE_MEMORY_BYTES)


class PatternGate:
    """RE2 alone."""

    def __init__(self, cores: Sequence[bytes]) -> None:
        self.groups: Sequence[Sequence[int]] = list(grouped(cores))
        self._patterns = [joined(cores[one] for one in group) for group in self.groups]
        self.core = cache(lambda number: compiled(cores[number], _GATE_MEMORY_BYTES))

    def pattern(self, group: int) -> Pattern:
        """See `Gate`."""
        return self._patterns[group]

    def windows(self, data: bytes) -> list[Window]:
        """From the first match of each group to the end of the text."""
        return self.touched(data, (0, len(data) + 1)).get(0, [])

    def touched(self, data: bytes, starts: Sequence[int]) -> dict[int, list[Window]]:
        """See `Gate`."""
        out: dict[int, list[Window]] = {}
        for group, pattern in enumerate(self._patterns):
            found = pattern.search(data)
            while found is not None:
                at = found.start()
                number = bisect_right(starts, at) - 1
                begin, end = starts[number], starts[number + 1] - 1
                if at < end:
                    out.setdefault(number, []).append((group, at - begin, end - begin))
                found = pattern.search(data, end + 1) if end < len(data) else None
        return out


def grouped(cores: Sequence[bytes]) -> Iterator[list[int]]:
    """Which cores go into one automaton: see `LOOSE`."""
    weights = [looseness(core) for core in cores]
    fixed = [number for number, weight in enumerate(weights) if not weight]
    for begin in range(0, len(fixed), GROUP_MAX):
        yield fixed[begin : begin + GROUP_MAX]
    group, total = list[int](), 0
    for weight, number in sorted((w, n) for n, w in enumerate(weights) if w):
        limit = GROUP_LOOSENESS_MAX if weight < LOOSE else LOOSE_GROUP_LOOSENESS_MAX
        if group and total + weight > limit:
            yield group
            group, total = [], 0
        group.append(number)
        total += weight
    if group:
        yield group


Stretch = tuple[bytes, int, int]
"""A pattern, and how far before and behind its end a core may reach."""


class HyperscanGate:
    """Hyperscan, with the places told by RE2. Each rule is a group of its own."""

    def __init__(self, cores: Sequence[Stretch]) -> None:
        self.groups: Sequence[Sequence[int]] = [(number,) for number in range(len(cores))]
        self.core = cache(lambda number: compiled(cores[number][0], _GATE_MEMORY_BYTES))
        taken = cores
        try:
            self._scan = database([core for core, _, _ in cores], literal=False)
        except HYPERSCAN.HyperscanError:
            taken = [one if accepted(one[0]) else _beginning(one) for one in cores]
            self._scan = database([core for core, _, _ in taken], literal=False)
        self._around = [(before, after) for _, before, after in taken]

    def pattern(self, group: int) -> Pattern:
        """See `Gate`."""
        return self.core(group)

    def windows(self, data: bytes) -> list[Window]:
        """See `Gate`."""
        around = self._around
        found: list[Window] = []

        def on_match(number: int, start: int, end: int, flags: int, context: object) -> None:
            before, after = around[number]
            found.append((number, end - before, end + after))

        self._scan(data, on_match)
        return _merged(found, len(data)) if found else found

    def touched(self, data: bytes, starts: Sequence[int]) -> dict[int, list[Window]]:
        """See `Gate`."""
        out: dict[int, list[Window]] = {}
        for group, begin, end in self.windows(data):
            number = bisect_right(starts, begin) - 1
            while number < len(starts) - 1 and starts[number] < end:
                first, last = starts[number], starts[number + 1] - 1
                here = max(begin, first) - first, min(end, last) - first
                if here[0] < here[1]:
                    out.setdefault(number, []).append((group, *here))
                number += 1
        return out


def accepted(core: bytes) -> bool:
    """Does Hyperscan take it? Only long ones are tried."""
    if len(core) <= HYPERSCAN_BYTES_MAX:
        return True
    try:
        database([core], literal=False)
    except HYPERSCAN.HyperscanError:
        return False
    return True


def _beginning(stretch: Stretch) -> Stretch:
    """For a core that is too much for Hyperscan: its first piece, and RE2 looks at the rest."""
    core = stretch[0]
    text, first, rest = head(core)
    if first is None or rest is None:
        raise ValueError(f"Hyperscan does not take {core!r}")
    return text, first, rest


def _merged(found: list[Window], size: int) -> list[Window]:
    """Sorted by group and place, those that touch as one."""
    found.sort()
    out: list[Window] = []
    group, begin, end = found[0]
    for other, first, last in found:
        if other == group and first <= end:
            end = max(end, last)
        else:
            out.append((group, max(begin, 0), min(end, size)))
            group, begin, end = other, first, last
    out.append((group, max(begin, 0), min(end, size)))
    return out


def database(
    expressions: Sequence[bytes], *, literal: bool
) -> Callable[[bytes, Callable[[int, int, int, int, object], None]], None]:
    """Compile for Hyperscan; what comes back scans, from any thread, and calls with
    `(number of the expression, -, end, -, -)` for each end of each match.
    """
    made = HYPERSCAN.Database(mode=HYPERSCAN.HS_MODE_BLOCK)
    count = len(expressions)
    made.compile(
        expressions=list(expressions), ids=list(range(count)), flags=[0] * count, literal=literal
    )
    # Scratch space serves one scan at a time.
    local = threading.local()

    def scan(data: bytes, on_match: Callable[[int, int, int, int, object], None]) -> None:
        scratch = getattr(local, "scratch", None)
        if scratch is None:
            scratch = local.scratch = HYPERSCAN.Scratch(made)
        made.scan(data, match_event_handler=on_match, scratch=scratch)

    return scan
