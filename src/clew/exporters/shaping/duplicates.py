"""What is in an export twice: messages that branches have in common, sessions that repeat another.

Branches share their beginning in the ledger, so their messages are known by the entries they are
made of. Sessions are compared by what was said in them: a *signature* estimates how much of it
two sessions have in common. It is a MinHash of one permutation: of the hashes of all runs of four
words, the first behind each of 128 evenly spaced points. The share of equal places estimates the
share of runs that two sessions have in common (Jaccard), give or take three to five per cent. Of
a short session that would be a guess: its signature holds all its hashes as well, and two short
ones are compared by those.
"""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final

from clew.errors import Invalid
from clew.exporters.base import Row, Unfit
from clew.exporters.shaping.figures import Assembly
from clew.exporters.shaping.pieces import Piece, as_context

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

SHARED: Final = "shared-prefix"
PLACES: Final = 128
"""How many hashes a signature holds."""
SHORT: Final = 256
"""Up to so many runs of words a signature holds all hashes."""
_SIGNATURE = struct.Struct(f"<{PLACES}I")
_POINTS: Final = tuple(range(0, 1 << 32, (1 << 32) // PLACES))
_NOT_SAID: Final = frozenset({"meta", "kind", "context"})
"""Fields of messages that nobody said here: injected ones, summaries, repeated ones."""
_BUCKET_MAX = 100
"""How many sessions one is compared with because of one common band."""
_MISSED_MAX = 0.001
"""How likely a pair at the threshold may be overlooked."""
SAID_CHARS_MAX: Final = 4_000_000
"""So much of what was said in a session is compared; longer ones are known by their beginning."""
_STEP_CHARS = 1 << 16
_Key = tuple[object, object, int]
"""A role, an entry, and which of the messages of that role that are made of it."""
_SCRIPT_WITHOUT_SPACES = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_SPACE = re.compile(r"\s")
_UNSPACED = re.compile(f"[{_SCRIPT_WITHOUT_SPACES}]")
_WORDS = re.compile(rf"[{_SCRIPT_WITHOUT_SPACES}]|[^\s{_SCRIPT_WITHOUT_SPACES}]+")


# --- what branches have in common ----------------------------------------------------------


def trained_once(
    rows: Iterable[Row],
    on_unfit: Callable[[Unfit], None] | None = None,
    *,
    keep: bool = False,
) -> Iterator[Row]:
    """The rows of a family (sessions with a common root, in the order of the ledger), shaped or
    not, with each message trained in the first row only in which it is fit for that. What a row
    repeats is context in it, and counts in no figure.

    A row in which nothing is left to train goes to `on_unfit`, or is left out, unless such rows
    are to be kept.
    """
    seen: set[_Key] = set()
    trained: set[_Key] = set()
    for row in rows:
        keys = list(_keys(row["messages"]))
        messages = [
            _repeated(message) if _known(key, message, seen, trained) else message
            for key, message in zip(keys, row["messages"], strict=True)
        ]
        before, after = (any(m["train"] for m in some) for some in (row["messages"], messages))
        for key, message in zip(keys, messages, strict=True):
            seen.update(key)
            if message["train"]:
                trained.update(key)
        if before and not after and not keep:
            if on_unfit is not None:
                on_unfit(Unfit("shared prefix", "everything in it trains in an earlier row"))
        elif all(old is new for old, new in zip(row["messages"], messages, strict=True)):
            yield row
        else:
            yield Assembly(row).row(Piece(messages, {}, cut=True))


def _repeated(message: Row) -> Row:
    return message if message.get("context") else as_context(message, SHARED)


def _known(key: Sequence[_Key], message: Row, seen: set[_Key], trained: set[_Key]) -> bool:
    """Whether a message was there before: to be learned, any of its entries that was; otherwise all
    of them. A branch may end within an answer that was written down in several.
    """
    if message["train"]:
        return any(one in trained for one in key)
    return bool(key) and all(one in seen for one in key)


def _keys(messages: Sequence[Row]) -> Iterator[tuple[_Key, ...]]:
    """What each message is known by: its entries; and as several may be made of one entry (calls
    one by one, their results), for each which of them it is.
    """
    counts: Counter[tuple[object, object]] = Counter()
    for message in messages:
        places = [(message["role"], entry) for entry in message.get("at") or ()]
        counts.update(places)
        yield tuple((*place, counts[place]) for place in places)


# --- sessions that repeat another ----------------------------------------------------------


def signature(row: Row) -> bytes:
    """What is compared of a session: 512 bytes (up to 1,536 of a short one) made of the words of
    the user and the model and of the arguments of calls; empty when nothing was said. Injected
    messages, summaries, results and context do not count. Equal on every machine.
    """
    said = [text.lower() for text in _beginning(_said(row["messages"]))]
    unspaced = any(map(_UNSPACED.search, said))
    # Only hashes are kept, four bytes each: words take twenty times as much.
    found = array("I")
    spoken: list[bytes] = []
    for text in said:
        for start, end in _steps(text):
            words = text[start:end]
            split = _WORDS.findall(words) if unspaced else words.split()
            spoken = spoken[-3:] + [word.encode("utf-8", "surrogatepass") for word in split]
            runs = zip(spoken, spoken[1:], spoken[2:], spoken[3:], strict=False)
            found.extend(map(zlib.crc32, map(b" ".join, runs)))
    if not spoken:
        return b""
    hashes = sorted(found)
    if not hashes:
        hashes = [zlib.crc32(b" ".join(spoken))]
    first = (bisect_left(hashes, point) for point in _POINTS)
    # Behind the last comes the first.
    made = _SIGNATURE.pack(*(hashes[at] if at < len(hashes) else hashes[0] for at in first))
    if len(hashes) > SHORT:
        return made
    distinct = sorted(set(hashes))
    return made + struct.pack(f"<{len(distinct)}I", *distinct)


def _beginning(texts: Iterable[str]) -> Iterator[str]:
    """Texts, as far as they are looked at."""
    left = SAID_CHARS_MAX
    for text in texts:
        if left <= 0:
            return
        yield text[:left]
        left -= len(text)


def _steps(text: str) -> Iterator[tuple[int, int]]:
    """Where a text may be cut: between words, into pieces that take little room."""
    start = 0
    while start < len(text):
        space = _SPACE.search(text, start + _STEP_CHARS)
        end = space.start() if space else len(text)
        yield start, end
        start = end


def _said(messages: Iterable[Row]) -> Iterator[str]:
    for message in messages:
        if message["role"] not in ("user", "assistant") or not _NOT_SAID.isdisjoint(message):
            continue
        content = message["content"]
        if isinstance(content, str):
            yield content
        else:
            yield from (part["text"] for part in content if part["type"] == "text")
        for call in message.get("tool_calls") or ():
            yield call["function"]["name"]
            yield call["function"]["arguments"]


def near_duplicates(
    signatures: Sequence[bytes],
    threshold: float,
    families: Sequence[Hashable] | None = None,
) -> dict[int, int]:
    """Which sessions repeat an earlier one, and which: by their indexes, in the order given. The
    first stays; what repeats a repeated one is compared with the first as well.

    `threshold` is how much two must have in common, above 0 up to 1. Sessions of one of the
    `families` are not compared with each other. Raises `Invalid`.
    """
    if not 0 < threshold <= 1:
        raise Invalid(f"threshold={threshold!r}: give a number above 0, up to 1, such as 0.9")
    if families is not None and len(families) != len(signatures):
        raise Invalid(
            f"{len(families)} families for {len(signatures)} signatures: give one for each"
        )
    width = _rows_of_a_band(threshold) * 4
    buckets: dict[tuple[int, bytes], list[int]] = {}
    values: dict[int, _Values] = {}
    found: dict[int, int] = {}
    for index, made in enumerate(signatures):
        if not made:
            continue
        own = _Values(made)
        places = [
            buckets.setdefault((at, made[at : at + width]), [])
            for at in range(0, _SIGNATURE.size, width)
        ]
        others = sorted({other for place in places for other in place})
        if families is not None:
            others = [other for other in others if families[other] != families[index]]
        alike = [(own.alike(values[other]), -other) for other in others]
        best, negative = max(alike, default=(0.0, 0))
        if best >= threshold:
            found[index] = -negative
            continue
        values[index] = own
        for place in places:
            if len(place) < _BUCKET_MAX:
                place.append(index)
    return found


class _Values:
    """A signature, read."""

    def __init__(self, made: bytes) -> None:
        self.places = _SIGNATURE.unpack_from(made)
        self.all = frozenset(one for (one,) in struct.iter_unpack("<I", made[_SIGNATURE.size :]))

    def alike(self, other: _Values) -> float:
        """How much two sessions have in common, from 0 to 1."""
        if self.all and other.all:
            return len(self.all & other.all) / len(self.all | other.all)
        pairs = zip(self.places, other.places, strict=True)
        return sum(1 for one, another in pairs if one == another) / PLACES


def _rows_of_a_band(threshold: float) -> int:
    """How many places must be equal together for two to be compared: the most with which next to
    no pair at the threshold is overlooked.
    """
    for rows in (32, 16, 8, 4, 2):
        if (1 - threshold**rows) ** (PLACES // rows) <= _MISSED_MAX:
            return rows
    return 1
