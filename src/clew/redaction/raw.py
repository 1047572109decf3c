r"""A first look at written JSON, as it stands, without decoding it.

What rules find in a string they find, escaped in one way or another, in the bytes of the line;
so the cores are searched there in a form that allows for escapes, and so are keys that say
something about their value. Each place is inside the string in question (or behind the key):
only those strings are decoded and looked at as they are.

Strings that hold `\uXXXX` for a letter are looked at whatever they are. The form of the cores is
in `clew.redaction.cores`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from clew.redaction import judge
from clew.redaction.cores import head, within_json
from clew.redaction.gate import HYPERSCAN, accepted, database
from clew.redaction.linear import WORD, compiled, starts_word
from clew.redaction.many import Many
from clew.redaction.walk import bracketed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from clew.redaction.rule import Rule

_GAP = rb"(?:[ \t\r\n]|\\+(?:[nrt]|u000[9aAdD]))*"
_LETTER = rb"\\u(?:00[2-6]|007[0-9a-eA-E]|00[89a-fA-F]|0[1-9a-fA-F]|[1-9a-fA-F])"
"""A character written by its number that JSON need not write so."""
_REST = compiled(rb"[^\"\\]{0,320}(\\{0,256}\")(" + _GAP + rb":)?")
"""From within a key or a name to its end: the quote, and the colon behind a key."""
_BEFORE_NAME = compiled(rb"\"(?:name|key|Name|Key|NAME|KEY)\\*\"" + _GAP + b":" + _GAP + rb"\\*$")
_BEFORE_BYTES = 64
_NAME_BYTES = 512
"""A longer key or name says nothing (`clew.redaction.find.KEY_BYTES_MAX`), placeholders aside."""
EVERYTHING = 1 << 60
"""The whole string matters."""
LITERAL_BYTES = 1024
AROUND_BYTES = 1024
"""No rule looks further back, and this far beyond its window."""
_CUT_TRIES_MAX = 64
_PIECE = re.compile(rb"[^\x00-\x1f\"\\/]+")
_PIECE_BYTES_MIN = 2
_QUOTE, _BACKSLASH = b'"\\'
_OPENERS = frozenset(b'{["\\ \t\r\n')

Span = tuple[int, int]


@dataclass(slots=True)
class Places:
    """Where to look: bytes inside of strings or numbers, each with how far behind it may matter;
    and the ends of words that make a key telling.
    """

    inside: dict[int, int] = field(default_factory=dict)
    words: list[int] = field(default_factory=list)


class RawGate:
    """The rules' cores and telling keys, for bytes of JSON, by Hyperscan."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        cores = [rule.core.removesuffix(rb"\b") for rule in rules]
        patterns = [within_json(core) for core in cores]
        more = [_LETTER, _telling()]
        self._windows = [*(rule.window for rule in rules), EVERYTHING]
        self._word = len(self._windows)
        try:
            self._scan = database([*patterns, *more], literal=False)
        except HYPERSCAN.HyperscanError:
            shorter = [
                pattern if accepted(pattern) else within_json(head(core)[0])
                for core, pattern in zip(cores, patterns, strict=True)
            ]
            self._scan = database([*shorter, *more], literal=False)

    def places(self, line: bytes) -> Places:
        """All places of a line."""
        found = Places()
        inside, words = found.inside, found.words.append
        windows, word = self._windows, self._word

        def on_match(number: int, start: int, end: int, flags: int, context: object) -> None:
            if number == word:
                words(end - 1)
            else:
                inside[end - 1] = max(windows[number], inside.get(end - 1, 0))

        self._scan(line, on_match)
        return found


@lru_cache(maxsize=4)
def raw_gate(rules: tuple[Rule, ...]) -> RawGate:
    """The gate of some rules. It is made once: that takes a second."""
    return RawGate(rules)


def _telling() -> bytes:
    """A word that makes a key telling, and the byte behind it."""
    words = b"|".join(_word(word) for word in sorted(judge.telling_words()))
    return b"(?i:" + words + b")[^a-z0-9]"


def _word(word: str) -> bytes:
    """A word of a key, or two with something between; letters beyond ASCII in either case."""
    return b'[^A-Za-z0-9"\\\\]*'.join(b"".join(map(_letter, part)) for part in word.split("_"))


def _letter(letter: str) -> bytes:
    cases = sorted({letter.lower(), letter.upper()})
    return letter.encode() if letter.isascii() else f"(?:{'|'.join(cases)})".encode()


_SPELLED = compiled(_LETTER)


def spelled(line: bytes) -> bool:
    """Is there a character written by its number that JSON need not write so?"""
    return _SPELLED.search(line) is not None


class RawLiterals:
    """Exact values, for bytes of JSON: of each form the part that is written as it is."""

    def __init__(self, forms: Iterable[tuple[bytes, bool]], *, hyperscan: bool | None) -> None:
        self.anywhere = False
        """Is there a form that JSON may write in a way that is not searched?"""
        self._words: dict[bytes, bool] = {}
        for form, word in forms:
            piece = max(_PIECE.findall(form), key=len, default=b"")
            if len(piece) < _PIECE_BYTES_MIN:
                self.anywhere = True
            else:
                self._words[piece] = self._words.get(piece, True) and word and piece == form
        self._many = Many(list(self._words), hyperscan=hyperscan)

    def places(self, line: bytes) -> Iterator[int]:
        """Where they begin; for names only where they may stand as words."""
        for start, end in self._many.find(line):
            if not self._words[line[start:end]] or _word_at(line, start, end):
                yield start


def _word_at(line: bytes, start: int, end: int) -> bool:
    return starts_word(line, start) and line[end] not in WORD


def string_at(line: bytes, place: int) -> Span | None:
    """The string that a byte is in, with its quotes; `None` when the byte is a quote around one.
    For a byte between strings what stands between two of them, with their quotes.
    """
    if line[place] == _QUOTE and not _is_escaped(line, place):
        return None
    begin = line.rfind(b'"', 0, place)
    while begin > 0 and _is_escaped(line, begin):
        begin = line.rfind(b'"', 0, begin)
    end = line.find(b'"', place)
    while end >= 0 and _is_escaped(line, end):
        end = line.find(b'"', end + 1)
    return (max(begin, 0), end + 1 if end >= 0 else len(line))


def telling_at(line: bytes, place: int) -> int | None:
    """Is the word before a byte in a key, or in the name of a pair of name and value? Gives the
    place of the quote that ends it.
    """
    rest = _REST.match(line, place)
    if rest is None:
        return None
    if rest.start(2) < 0:
        begin = line.rfind(b'"', max(0, place - _NAME_BYTES), place)
        before = line[max(0, begin - _BEFORE_BYTES) : max(0, begin)]
        if _BEFORE_NAME.search(before.rstrip(b"\\")) is None:
            return None
    return rest.end(1) - 1


_BETWEEN = compiled(rb"(?:[ \t\r\n,:{}\[\]0-9eE+.-]|true|false|null)*")
"""What stands between strings."""
_NUMBER = re.compile(rb"-?[0-9]+")
_VALUE = compiled(rb"[ \t\r\n]*:[ \t\r\n]*")


class Lines:
    """Looks at lines. `finds` tells of a string under a key whether there is anything in it,
    `plain` of a text that is no document; `tells` of a key whether it says anything of its
    value.
    """

    def __init__(
        self,
        finds: Callable[[str, str], bool],
        plain: Callable[[str], bool],
        tells: Callable[[str], bool],
    ) -> None:
        self._finds = finds
        self._plain = plain
        self._tells = tells

    def suspects(self, line: bytes, places: Places) -> bool:
        """Is there anything at these places, or may there be?"""
        for word in places.words:
            end = telling_at(line, word)
            if end is None:
                continue
            if _is_escaped(line, end):
                places.inside[end] = EVERYTHING  # in a document in a string
            elif self._under(line, end):
                return True
        return self._found(line, places.inside)

    def _found(self, line: bytes, inside: dict[int, int]) -> bool:
        done, span = -1, None
        places = sorted(inside.items())
        for number, (place, window) in enumerate(places):
            if place + window < done or (done >= 0 and span and done >= span[1] - 1 > place):
                continue
            if span is None or place >= span[1] - 1:
                span = string_at(line, place)
            if span is None:
                continue
            end = _reach(places, number, span[1] - 1)
            cut = _cut(line, place, end, span)
            done = span[1] - 1 if cut is None else end
            if self._plain(cut) if cut is not None else self._within(line[slice(*span)]):
                return True
            if window == EVERYTHING and self._is_name(line, span):
                return True
        return False

    def _is_name(self, line: bytes, span: Span) -> bool:
        """Is this string, as far as it can be told, a key or name that makes a value secret?"""
        before = line[max(0, span[0] - _BEFORE_BYTES) : span[0]]
        named = _VALUE.match(line, span[1]) is not None or _BEFORE_NAME.search(before) is not None
        return named and self._under(line, span[1] - 1)

    def _within(self, token: bytes) -> bool:
        inner = token[1:-1] if token[:1] == token[-1:] == b'"' and len(token) > 1 else token
        between = _BETWEEN.fullmatch(inner) is not None
        if between and any(self._plain(one.decode()) for one in _NUMBER.findall(inner)):
            return True
        if inner is token:
            return not between
        text = _decoded(token)
        if text is None:
            return True
        return self._finds(text, "") if bracketed(text) else self._plain(text)

    def _under(self, line: bytes, end: int) -> bool:
        """A string that ends here may be a key; is what stands behind it a secret?"""
        span = string_at(line, end - 1)
        key = _decoded(line[slice(*span)]) if span else ""
        if key is None or not self._tells(key):
            return key is None
        colon = _VALUE.match(line, end + 1)
        if colon is None:
            return True  # the name in a pair
        first = line[colon.end() : colon.end() + 1]
        if first in (b"{", b"t", b"f", b"n"):
            return False
        if first != b'"':
            return True
        value = string_at(line, colon.end() + 1)
        if value is None:
            return False  # empty
        text = _decoded(line[slice(*value)])
        return text is None or self._finds(text, key)


def _reach(places: list[tuple[int, int]], number: int, limit: int) -> int:
    """How far to look from a place on, so that what is needed for the places near to it is seen,
    too; at most to `limit`.
    """
    place, window = places[number]
    end = place + window + AROUND_BYTES
    for number in range(number + 1, len(places)):  # noqa: B020 - onwards from there
        place, window = places[number]
        if place > min(end, limit) or window == EVERYTHING:
            break
        end = max(end, place + window + AROUND_BYTES)
    return min(end, limit)


def _cut(line: bytes, place: int, end: int, span: Span) -> str | None:
    """A part of a string, decoded; `None` for one that is short, may be a document, or has no good
    place to cut it.
    """
    if span[1] - span[0] <= 2 * AROUND_BYTES + LITERAL_BYTES or line[span[0] + 1] in _OPENERS:
        return None
    begin = max(span[0] + 1, place - AROUND_BYTES)
    begin = max(span[0] + 1, begin - 5 * line.count(b"\\", begin, place))
    end = min(span[1] - 1, end + 5 * line.count(b"\\", place, end))
    for begin in range(begin, begin + _CUT_TRIES_MAX):  # noqa: B020 - onwards from there
        if line[begin] & 0xC0 != 0x80 and b"\\" not in line[max(begin - 6, 0) : begin]:
            break
    for end in range(end, end + _CUT_TRIES_MAX):  # noqa: B020
        if end >= span[1] - 1:
            end = span[1] - 1  # noqa: PLW2901
            break
        if line[end] & 0xC0 != 0x80 and b"\\" not in line[end - 6 : end]:
            break
    return _decoded(b'"' + line[begin:end] + b'"')


def _decoded(token: bytes) -> str | None:
    try:
        return msgspec.json.decode(token, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_escaped(line: bytes, place: int) -> bool:
    at = place
    while at > 0 and line[at - 1] == _BACKSLASH:
        at -= 1
    return (place - at) % 2 == 1
