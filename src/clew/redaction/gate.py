"""Where in a text a rule may find something: one automaton made of all cores.

Two engines give the same places. RE2 is always there. Hyperscan (the optional package
`hyperscan`) is several times as fast on long text; it tells only where matches end, so the
stretches that it names are looked at once more by RE2, which says where they begin.
"""

from __future__ import annotations

import importlib
import threading
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from clew.redaction.cores import width
from clew.redaction.linear import Pattern, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clew.redaction.rules import Rule

Window = tuple[int, int]
"""A stretch of bytes, from and to."""

_NOTHING = rb"[^\x00-\xff]"
_GATE_MEMORY_BYTES = 16 << 20


def _hyperscan() -> Any:
    try:
        return importlib.import_module("hyperscan")
    except ImportError:
        return None


HYPERSCAN: Any = _hyperscan()
"""The module, or `None` where it is not installed."""


class Gate(Protocol):
    """A first look at a text."""

    cores: Pattern
    """Any core, by RE2: says within a window where matches begin."""

    def windows(self, data: bytes) -> list[Window]:
        """Stretches, in order and apart, that together hold every match of a core."""

    def touched(self, data: bytes, starts: Sequence[int]) -> dict[int, list[Window]]:
        """The same for texts that stand one behind the other, each followed by one byte:
        by number of the text, with offsets into it. `starts` tells where each begins, and where
        one behind the last would.
        """


def gate(rules: tuple[Rule, ...], *, hyperscan: bool | None = None) -> Gate:
    """The gate of some rules; with Hyperscan where it is installed, unless told otherwise."""
    use = HYPERSCAN is not None if hyperscan is None else hyperscan
    # Where a word ends is for the pattern to say: an engine that sees a part cannot.
    return _made(tuple(rule.core.removesuffix(rb"\b") for rule in rules), use)


@lru_cache(maxsize=8)
def _made(cores: tuple[bytes, ...], hyperscan: bool) -> Gate:
    widths = [width(core) for core in cores]
    if hyperscan and cores and None not in widths:
        return HyperscanGate(cores, [size for size in widths if size is not None])
    return PatternGate(cores)


class PatternGate:
    """RE2 alone."""

    def __init__(self, cores: Sequence[bytes]) -> None:
        self.cores = _pattern(cores)

    def windows(self, data: bytes) -> list[Window]:
        """From the first match to the end of the text."""
        found = self.cores.search(data)
        return [] if found is None else [(found.start(), len(data))]

    def touched(self, data: bytes, starts: Sequence[int]) -> dict[int, list[Window]]:
        """See `Gate`."""
        out: dict[int, list[Window]] = {}
        found = self.cores.search(data)
        while found is not None:
            at = found.start()
            number = bisect_right(starts, at) - 1
            begin, end = starts[number], starts[number + 1] - 1
            if at < end:
                out[number] = [(at - begin, end - begin)]
            found = self.cores.search(data, end + 1) if end < len(data) else None
        return out


class HyperscanGate:
    """Hyperscan, with the places told by RE2."""

    def __init__(self, cores: Sequence[bytes], widths: list[int]) -> None:
        self.cores = _pattern(cores)
        self._widths = widths
        self._scan = database(cores, literal=False)

    def windows(self, data: bytes) -> list[Window]:
        """See `Gate`."""
        widths = self._widths
        found: list[Window] = []

        def on_match(number: int, start: int, end: int, flags: int, context: object) -> None:
            found.append((end - widths[number], end))

        self._scan(data, on_match)
        return _merged(found) if found else found

    def touched(self, data: bytes, starts: Sequence[int]) -> dict[int, list[Window]]:
        """See `Gate`."""
        out: dict[int, list[Window]] = {}
        for begin, end in self.windows(data):
            number = bisect_right(starts, begin) - 1
            while number < len(starts) - 1 and starts[number] < end:
                first, last = starts[number], starts[number + 1] - 1
                here = max(begin, first) - first, min(end, last) - first
                if here[0] < here[1]:
                    out.setdefault(number, []).append(here)
                number += 1
        return out


def _pattern(cores: Sequence[bytes]) -> Pattern:
    pattern = b"|".join(b"(?:" + core + b")" for core in cores)
    return compiled(pattern or _NOTHING, _GATE_MEMORY_BYTES)


def _merged(found: list[Window]) -> list[Window]:
    found.sort()
    out: list[Window] = []
    begin, end = found[0]
    for first, last in found:
        if first <= end:
            end = max(end, last)
        else:
            out.append((max(begin, 0), end))
            begin, end = first, last
    out.append((max(begin, 0), end))
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
