"""What redaction put in the place of what it found, shown in its context.

It works on what `Redactor.redact` returned, so no replaced value can come out of it: what
surrounds a placeholder is the text as it would be written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from clew.redaction.pseudonyms import markers
from clew.redaction.walk import Walker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clew.model import JSON
    from clew.redaction.engine import Redactor

AROUND_BYTES = 90
"""So much text stands before and behind a placeholder; two that are nearer share it."""


class Piece(msgspec.Struct, frozen=True):
    """A run of a redacted text. `rule` found what stood where a placeholder is; none is text."""

    text: str
    rule: str = ""


class Replacement(msgspec.Struct, frozen=True):
    """Placeholders that stand together, in their context. `path` is where in the value the text
    stands (`/messages/3/content`), `cut` tells on which sides (before, behind) there is more.
    """

    path: str
    pieces: tuple[Piece, ...]
    cut: tuple[bool, bool]

    @property
    def count(self) -> int:
        """How many placeholders it shows."""
        return sum(bool(piece.rule) for piece in self.pieces)


def replacements(redactor: Redactor, redacted: JSON) -> list[Replacement]:
    """Every placeholder that `redactor` gave out in a value that it has redacted."""
    found: list[Replacement] = []

    def on_text(text: str, key: str, path: str) -> str:
        if "<" in text:
            found.extend(_in_text(redactor, text.encode("utf-8", "surrogatepass"), path))
        return text

    Walker(on_text, paths=True, documents=False).walk(redacted)
    return found


def _in_text(redactor: Redactor, data: bytes, path: str) -> Iterator[Replacement]:
    ours = [
        (start, end, rule)
        for start, end in markers(data)
        if (rule := redactor.rule_of(data[start:end])) is not None
    ]
    at = 0
    while at < len(ours):
        last = at
        while last + 1 < len(ours) and ours[last + 1][0] - ours[last][1] <= AROUND_BYTES:
            last += 1
        yield _together(data, ours[at : last + 1], path)
        at = last + 1


def _together(data: bytes, group: list[tuple[int, int, str]], path: str) -> Replacement:
    begin = max(group[0][0] - AROUND_BYTES, 0)
    end = min(group[-1][1] + AROUND_BYTES, len(data))
    pieces, at = list[Piece](), begin
    for start, stop, rule in group:
        if at < start:
            pieces.append(Piece(_text(data[at:start])))
        pieces.append(Piece(_text(data[start:stop]), rule))
        at = stop
    if at < end:
        pieces.append(Piece(_text(data[at:end])))
    return Replacement(path, tuple(pieces), (begin > 0, end < len(data)))


def _text(data: bytes) -> str:
    """Text that may have been cut within a character."""
    return data.decode("utf-8", "ignore")
