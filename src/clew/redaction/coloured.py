r"""Assignments that a terminal's colours cut into pieces: `KEY\x1b[0m=\x1b[1;33mVALUE`.

Programs colour the name, the sign, each quote and the value, one by one (`jq`, `bat`, `httpie`,
`grep --color`). Around such a name the colours are taken out of a bounded stretch, what is left
is judged like any other assignment, and the place of its value is told in the text as it is.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache

from clew.redaction import shapes
from clew.redaction.linear import Match, Pattern, compiled

Span = tuple[int, int]

ESCAPE = rb"(?:\x1b|\\{1,4}(?:u001b|u001B|x1b|x1B|033|e)|\^\[)\["
"""How a sequence begins: the byte itself, as source and JSON write it, or as `cat -v` does."""
WINDOW_BYTES = 768
_BLOCK_BYTES = 512
_AROUND_BYTES = _BLOCK_BYTES + shapes.KEY_BYTES_MAX + WINDOW_BYTES
_SEQUENCE = compiled(rb"(?:" + ESCAPE + rb"[0-9;:]{0,32}[mK]|(?:\x1b|\\{1,4}u001b)\(B)")
_VALUE = compiled(rb"[^\s\x00\x1b\"'`\\<>(){}\[\],;&|]*")


def within(data: bytes, match: Match, assignment: bytes, named: bytes) -> Span | None:
    """The value behind the name that the match begins with; `assignment` and `named` are the
    patterns of the rules for text without colours.
    """
    # Names that are near to each other share one look.
    begin = max(0, match.start() - shapes.KEY_BYTES_MAX)
    begin -= begin % _BLOCK_BYTES
    plain, places = _without(data[begin : begin + _AROUND_BYTES])
    at = bisect_left(places, match.start() - begin)
    for pattern, check in ((assignment, shapes.assignment), (named, shapes.named_value)):
        found = _compiled(pattern).match(plain, at)
        span = check(plain, found) if found is not None else None
        if span is not None and span[0] < span[1]:
            end = span[1]
            if end == at + shapes.ASSIGNED_BYTES:
                more = _VALUE.match(plain, end)
                end = more.end() if more else end
            # What lies behind the rule's window is for the rule to go on with.
            stop = min(begin + places[end - 1] + 1, match.start() + WINDOW_BYTES)
            return begin + places[span[0]], stop
    return None


@lru_cache(maxsize=8)
def _compiled(pattern: bytes) -> Pattern:
    return compiled(pattern)


@lru_cache(maxsize=4)
def _without(data: bytes) -> tuple[bytes, list[int]]:
    """The bytes that are no colour, and where each of them was."""
    plain, places, last = bytearray(), list[int](), 0
    found = _SEQUENCE.search(data)
    while found is not None:
        plain += data[last : found.start()]
        places += range(last, found.start())
        last = found.end()
        found = _SEQUENCE.search(data, last)
    return bytes(plain + data[last:]), [*places, *range(last, len(data))]
