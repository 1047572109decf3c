"""The few words of a text that show why it was found.

Made from the text as it was written, not from what the index holds. Most words stand there as
they were asked for, in upper or lower case, and are found by plain string search; only for one
that does not (accents, full-width letters, pieces of `fooBar`) the text is read word by word.
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from clew.search import words
from clew.search.query import Node, Words, matches, positives

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HITS_MAX = 50
"""Of one word, so many places are looked at."""
SLOW_CHARS = 50_000
"""So much of a text is read word by word."""
ELLIPSIS = "…"

Marks = tuple[tuple[int, int], ...]
Place = tuple[int, int, int]
"""Start, end, and number of the word of the query."""

_RUN = re.compile(r"[^\W_]+(?:[^\x00-\x7f]+[^\W_]+)*")
_CONTROL = dict.fromkeys((*range(32), 127, 8232, 8233), " ")


def snippet(text: str, query: Node, width: int = 160) -> tuple[str, Marks]:
    """The stretch of about `width` characters that holds most of what was asked for, and the
    `(start, end)` ranges in it that matched. Line breaks become spaces; `…` marks a cut. Where
    nothing of the query stands in the text, its beginning, without marks.
    """
    asked = positives(query)
    places = _places(text, asked)
    start, end = _stretch(text, _window(places, width), width)
    head = ELLIPSIS if start else ""
    tail = ELLIPSIS if end < len(text) else ""
    shift = len(head) - start
    marks = _merged((max(a, start) + shift, min(b, end) + shift) for a, b, _ in places)
    length = end + shift
    return (
        head + text[start:end].translate(_CONTROL) + tail,
        tuple(mark for mark in marks if len(head) <= mark[0] < mark[1] <= length),
    )


def pick(texts: Mapping[str, str], query: Node) -> str | None:
    """The kind whose text shows the most of the query: the one to make a snippet from.
    `None` when none of them holds any of it.
    """
    asked = positives(query)
    shown = {
        kind: len({place[2] for place in _places(text, asked)}) for kind, text in texts.items()
    }
    best = max(shown, key=lambda kind: shown[kind], default=None)
    return best if best is not None and shown[best] else None


# --- where the words stand -----------------------------------------------------------------


def _places(text: str, asked: tuple[Words, ...]) -> list[Place]:
    lowered = text.lower()
    found: list[Place] = []
    if len(lowered) == len(text):  # not so when İ is in it
        for number, word in enumerate(asked):
            found += _plain(lowered, word, number)
    missing = set(range(len(asked))) - {number for _, _, number in found}
    if missing:
        found += _slow(text[:SLOW_CHARS], {number: asked[number] for number in missing})
    found.sort()
    return found


def _plain(lowered: str, word: Words, number: int) -> Iterator[Place]:
    first, rest = _compiled(word)
    at = lowered.find(first)
    for _ in range(HITS_MAX):
        if at < 0:
            return
        after = at + len(first)
        # Only a whole word will do: neither end may stand inside another one.
        if not (at and _joined(lowered[at - 1], lowered[at])):
            match = rest.match(lowered, after)
            if match is not None and not (
                match.end() < len(lowered)
                and not word.prefix
                and _joined(lowered[match.end() - 1], lowered[match.end()])
            ):
                yield at, match.end(), number
        at = lowered.find(first, after)


@lru_cache(maxsize=256)
def _compiled(word: Words) -> tuple[str, re.Pattern[str]]:
    """The first token, and what has to follow it."""
    tokens = word.tokens
    pattern = ""
    for before, token in itertools.pairwise(tokens):
        apart = "+" if _joined(before[-1], token[0]) else "*"
        pattern += rf"[\W_]{apart}{re.escape(token)}"
    if word.prefix:
        pattern += r"[^\W_]*"
    return tokens[0], re.compile(pattern)


def _joined(left: str, right: str) -> bool:
    """True when two neighbouring characters belong to one word."""
    if not (left.isalnum() and right.isalnum()):
        return False
    return not words.single(left) and not words.single(right)


def _slow(text: str, asked: Mapping[int, Words]) -> Iterator[Place]:
    """Every word of the text is folded as the index folds it; first all at once, to see
    whether that can be worth it.
    """
    tokens = words.tokens(text)
    asked = {number: word for number, word in asked.items() if matches(word, tokens)}
    if not asked:
        return
    stream = [
        (token, run.start(), run.end())
        for run in _RUN.finditer(text)
        for token in _of_run(run[0])
        if token != words.GAP
    ]
    for number, word in asked.items():
        yield from _phrase(stream, word, number)


def _of_run(run: str) -> list[str]:
    if run.isascii() and len(run) <= words.WORD_CHARS:
        return [run.lower(), *words.pieces(run)]
    return words.tokens(run)


def _phrase(stream: list[tuple[str, int, int]], word: Words, number: int) -> Iterator[Place]:
    first, last = word.tokens[0], len(word.tokens) - 1
    for at in range(len(stream) - last):
        token = stream[at][0]
        if not (token == first or (not last and word.prefix and token.startswith(first))):
            continue
        found = [token for token, _, _ in stream[at : at + last + 1]]
        if matches(word, found):
            yield stream[at][1], stream[at + last][2], number


# --- the stretch to show -------------------------------------------------------------------


def _window(places: list[Place], width: int) -> tuple[int, int]:
    """Where the most different words stand within `width` characters; the first such place."""
    best, most, left = (0, 0), 0, 0
    inside: dict[int, int] = {}
    for start, end, number in places:
        inside[number] = inside.get(number, 0) + 1
        while end - places[left][0] > width and places[left][0] < start:
            gone = places[left][2]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            left += 1
        if len(inside) > most:
            most, best = len(inside), (places[left][0], end)
    return best


def _stretch(text: str, core: tuple[int, int], width: int) -> tuple[int, int]:
    """`core` with what stands around it, cut between words where that is near."""
    start, end = core
    room = max(width - (end - start), 0)
    start = max(start - room // 3, 0)
    end = min(start + width, len(text))
    start = max(min(start, end - width), 0)
    if start:
        space = _space(text, start, min(start + 20, core[0]))
        start = space + 1 if space >= 0 else start
    if end < len(text):
        back = max(end - 20, core[1])
        spaces = [at for at in range(back, end) if text[at].isspace()]
        end = spaces[-1] if spaces else end
    return start, end


def _space(text: str, start: int, end: int) -> int:
    return next((at for at in range(start, end) if text[at].isspace()), -1)


def _merged(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ranges that touch or overlap become one; empty ones go."""
    last: tuple[int, int] | None = None
    for start, end in ranges:
        if end <= start:
            continue
        if last is not None and start <= last[1]:
            last = (last[0], max(last[1], end))
            continue
        if last is not None:
            yield last
        last = (start, end)
    if last is not None:
        yield last
