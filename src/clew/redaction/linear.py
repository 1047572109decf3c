"""The only door to regular expressions in this package: RE2, on bytes.

RE2 never backtracks, so one search is linear in what it reads. Patterns see bytes one by
one (Latin-1), which keeps offsets free of conversion and any input legal; spans are widened
to whole UTF-8 characters afterwards. RE2 has no look-behind: what stands before a match is
checked in plain Python by `starts_word`.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import re2  # type: ignore[import-untyped]

MEMORY_BYTES = 64 << 20
"""Upper bound of the program and state cache of one pattern, where nothing else is said."""


class Match(Protocol):
    """A match: byte offsets into the searched text."""

    def start(self, group: int = 0) -> int:
        """Where the group begins; -1 when it took no part."""

    def end(self, group: int = 0) -> int:
        """Where the group ends; -1 when it took no part."""

    def group(self, group: int = 0) -> bytes:
        """The bytes of the group."""


class Pattern(Protocol):
    """A compiled pattern."""

    groups: int

    def search(self, text: bytes, pos: int = 0, endpos: int | None = None) -> Match | None:
        """The first match at or after `pos`."""

    def match(self, text: bytes, pos: int = 0, endpos: int | None = None) -> Match | None:
        """A match that begins exactly at `pos`."""

    def fullmatch(self, text: bytes, pos: int = 0, endpos: int | None = None) -> Match | None:
        """A match that covers `pos` to `endpos`."""


def compiled(pattern: bytes, memory_bytes: int = MEMORY_BYTES) -> Pattern:
    """Compile `pattern` for bytes. `memory_bytes` limits its program and state cache."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = memory_bytes
    options.log_errors = False
    made = re2.compile(pattern, options)
    inner, anchors = getattr(made, "_regexp", None), getattr(re2, "_Anchor", None)
    if inner is None or anchors is None:
        return cast("Pattern", made)
    return _Direct(inner, anchors)


Spans = list[tuple[int, int]]


class _Found:
    """A match, of the spans of its groups."""

    __slots__ = ("_spans", "_text")

    def __init__(self, text: bytes, spans: Spans) -> None:
        self._text, self._spans = text, spans

    def start(self, group: int = 0) -> int:
        return self._spans[group][0]

    def end(self, group: int = 0) -> int:
        return self._spans[group][1]

    def group(self, group: int = 0) -> bytes:
        start, end = self._spans[group]
        return self._text[start:end]


class _Direct:
    """RE2 without the generators of its Python module, which take several times as long as a
    short match does.
    """

    __slots__ = ("_both", "_inner", "_start", "_unanchored", "groups")

    def __init__(self, inner: Any, anchors: Any) -> None:
        self._inner = inner.Match
        self._unanchored, self._start = anchors.UNANCHORED, anchors.ANCHOR_START
        self._both = anchors.ANCHOR_BOTH
        self.groups: int = inner.NumberOfCapturingGroups()

    def search(self, text: bytes, pos: int = 0, endpos: int | None = None) -> Match | None:
        return self._matched(self._unanchored, text, pos, endpos)

    def match(self, text: bytes, pos: int = 0, endpos: int | None = None) -> Match | None:
        return self._matched(self._start, text, pos, endpos)

    def fullmatch(self, text: bytes, pos: int = 0, endpos: int | None = None) -> Match | None:
        return self._matched(self._both, text, pos, endpos)

    def _matched(self, anchor: Any, text: bytes, pos: int, endpos: int | None) -> Match | None:
        size = len(text)
        if endpos is None or endpos > size:
            endpos = size
        if pos > endpos:
            return None
        spans: Spans = self._inner(anchor, text, pos, endpos)
        return _Found(text, spans) if spans[0][0] >= 0 else None


def run_start(run: Pattern, data: bytes, least: int, end: int) -> int:
    """Where a run begins that ends at `end`, not before `least`. `run` is a class with `*$`."""
    found = run.search(data[least:end])
    return end if found is None else least + found.start()


WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_COLOUR = compiled(
    rb"(?:(?:\x1b|\\u001[bB]|\\x1[bB]|\\033|\\e|\^\[)(?:\[[0-9;:]{0,32}[mKGHJ]|\(B)|\[[0-9;:]{1,32}m)$"
)
_COLOUR_ENDS = frozenset(b"mKGHJB")
_COLOUR_BYTES_MAX = 40


def starts_word(data: bytes, start: int) -> bool:
    r"""True when a word may begin at `start`.

    A letter before it does not count when it ends an escape (`\n`, `\u0022`, `%22`) or a
    terminal's colour (`ESC [ 0 m`, `ESC [ K`, also written out or without its first byte): text
    that was serialised once more is still searched.
    """
    if start == 0 or data[start - 1] not in WORD:
        return True
    if data[start - 1] in b"nrtbf" and data[start - 2 : start - 1] == b"\\":
        return True
    if data[max(0, start - 3) : start - 2] == b"%" and _HEX.issuperset(data[start - 2 : start]):
        return True
    if data[max(0, start - 6) : start - 4] == b"\\u" and _HEX.issuperset(data[start - 4 : start]):
        return True
    return data[start - 1] in _COLOUR_ENDS and _after_colour(data, start)


def _after_colour(data: bytes, start: int) -> bool:
    before = data[max(0, start - _COLOUR_BYTES_MAX) : start]
    return (b"[" in before or before.endswith(b"(B")) and _COLOUR.search(before) is not None
