"""Many exact texts, searched at once, in a set that grows.

Three ways, each for what it is good at: a handful is searched one by one; Hyperscan takes any
number; without it RE2 takes some hundreds, and beyond that an index of four-byte pieces takes
over. All give every place of every text, and adding one at a time costs no more than its share
of a few compilations.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from clew.redaction.gate import HYPERSCAN, database
from clew.redaction.linear import WORD, compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Place = tuple[int, int]
"""Where a text begins and ends, in bytes."""

FEW_MAX = 4
YOUNG_MAX = 16
TIER_FACTOR = 8
TIERS_ALIKE_MAX = 6
PATTERN_MAX = 256
"""RE2 keeps up with so many texts; with thousands it becomes slower than one by one."""
PIECE_BYTES = 4
INDEXED_BYTES_MIN = 2 * PIECE_BYTES - 1
"""Such a text holds a whole piece, whatever its offset modulo four."""


class Searched(Protocol):
    """A set of texts, compiled."""

    texts: Sequence[bytes]

    def find(self, data: bytes, add: Callable[[int, int], None]) -> None:
        """Call `add(start, end)` for each place; of texts that begin together at least the
        longest.
        """


class Many:
    """A growing set of texts. `hyperscan` says which engine; by default what is there."""

    def __init__(self, texts: Sequence[bytes] = (), *, hyperscan: bool | None = None) -> None:
        self._hyperscan = HYPERSCAN is not None if hyperscan is None else hyperscan
        self._tiers: list[Searched] = []
        self._young: list[bytes] = []
        if len(texts) <= FEW_MAX:
            self._young = list(texts)
        else:
            self._tiers = [self._compiled(list(texts))]

    def copy(self) -> Many:
        """Another set with the same texts, that grows on its own."""
        other = Many(hyperscan=self._hyperscan)
        other._tiers, other._young = list(self._tiers), list(self._young)
        return other

    def add(self, text: bytes) -> None:
        """Search this text too. It must be new."""
        self._young.append(text)

    def _settle(self) -> None:
        """Compile what came since the last search, if it is much."""
        if len(self._young) <= YOUNG_MAX:
            return
        texts, self._young = self._young, []
        if self._hyperscan:
            # It takes longer to compile than to search, so some tiers of a size may stand together.
            while len(alike := self._last_up_to(TIER_FACTOR * len(texts))) >= TIERS_ALIKE_MAX:
                texts = [*(text for tier in alike for text in tier.texts), *texts]
                del self._tiers[-len(alike) :]
        else:
            # Tiers grow geometrically, so that each text is compiled a few times in all.
            while self._tiers and len(self._tiers[-1].texts) < TIER_FACTOR * len(texts):
                texts = [*self._tiers.pop().texts, *texts]
        self._tiers.append(self._compiled(texts))

    def _last_up_to(self, size: int) -> list[Searched]:
        """The last tiers that hold fewer texts."""
        count = 0
        while count < len(self._tiers) and len(self._tiers[-count - 1].texts) < size:
            count += 1
        return self._tiers[len(self._tiers) - count :]

    def find(self, data: bytes) -> list[Place]:
        """Where texts stand, by start; of several that begin at one place the longest."""
        self._settle()
        found: dict[int, int] = {}

        def add(start: int, end: int) -> None:
            if end > found.get(start, -1):
                found[start] = end

        for tier in self._tiers:
            tier.find(data, add)
        for text in self._young:
            start = data.find(text)
            while start >= 0:
                add(start, start + len(text))
                start = data.find(text, start + 1)
        return sorted(found.items())

    def _compiled(self, texts: list[bytes]) -> Searched:
        # Hyperscan's literals come to it as C strings.
        if self._hyperscan and not any(b"\0" in text for text in texts):
            return _Database(texts)
        return _Alternation(texts) if len(texts) <= PATTERN_MAX else _Pieces(texts)


class _Database:
    """Hyperscan."""

    def __init__(self, texts: list[bytes]) -> None:
        self.texts: Sequence[bytes] = texts
        self._lengths = [len(text) for text in texts]
        self._scan = database(texts, literal=True)

    def find(self, data: bytes, add: Callable[[int, int], None]) -> None:
        lengths = self._lengths

        def on_match(number: int, start: int, end: int, flags: int, context: object) -> None:
            add(end - lengths[number], end)

        self._scan(data, on_match)


class _Alternation:
    """RE2."""

    def __init__(self, texts: list[bytes]) -> None:
        self.texts: Sequence[bytes] = texts
        # The longest first: RE2 prefers the earlier alternative.
        ordered = sorted(texts, key=lambda text: (-len(text), text))
        self._pattern = compiled(b"|".join(_escaped(text) for text in ordered))

    def find(self, data: bytes, add: Callable[[int, int], None]) -> None:
        match = self._pattern.search(data)
        while match is not None:
            start = match.start()
            add(start, match.end())
            match = self._pattern.search(data, start + 1)


class _Pieces:
    """Every fourth place of the data is looked up among the pieces of all texts.

    A text of seven bytes or more holds one whole piece at such a place, whichever of its first
    or last four pieces it is. The last four are taken: the texts that many begin with are few.
    """

    def __init__(self, texts: list[bytes]) -> None:
        self.texts: Sequence[bytes] = texts
        self._whole = frozenset(text for text in texts if len(text) >= INDEXED_BYTES_MIN)
        short = [text for text in texts if len(text) < INDEXED_BYTES_MIN]
        self._short = _Alternation(short) if short else None
        pieces: dict[int, set[Place]] = {}
        for text in self._whole:
            least = len(text) - INDEXED_BYTES_MIN
            for offset in range(least, least + PIECE_BYTES):
                piece = int.from_bytes(text[offset : offset + PIECE_BYTES], sys.byteorder)
                pieces.setdefault(piece, set()).add((offset, len(text)))
        self._pieces = {piece: tuple(sorted(places)) for piece, places in pieces.items()}

    def find(self, data: bytes, add: Callable[[int, int], None]) -> None:
        if self._short is not None:
            self._short.find(data, add)
        for start, end in self._indexed(data):
            add(start, end)

    def _indexed(self, data: bytes) -> Iterator[Place]:
        pieces = self._pieces
        seen = memoryview(data)[: len(data) // PIECE_BYTES * PIECE_BYTES].cast("I").tolist()
        if pieces.keys().isdisjoint(seen):
            return
        for number, piece in enumerate(seen):
            if piece in pieces:
                for offset, length in pieces[piece]:
                    start = number * PIECE_BYTES - offset
                    if start >= 0 and data[start : start + length] in self._whole:
                        yield start, start + length


def _escaped(text: bytes) -> bytes:
    return b"".join(bytes([byte]) if byte in WORD else b"\\x%02x" % byte for byte in text)
