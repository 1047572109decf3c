r"""Reading the cores of rules: how long a match may be, and what it looks like inside JSON.

Cores use a small part of the syntax of regular expressions: literals, `\s` and its like,
classes, groups without capture, `|`, and quantifiers. That part is read here, byte by byte.
"""

from __future__ import annotations

import re
from functools import lru_cache

from clew.redaction.linear import compiled

_ESCAPE = rb"\\+(?:[\"\\/bfnrt]|u00[01][0-9a-fA-F]|u007[fF])"
"""A character that JSON has to escape, at any depth of JSON inside JSON."""
_QUANTIFIERS = {b"?": 1, b"*": None, b"+": None}


def width(core: bytes) -> int | None:
    """The bytes of the longest match; `None` when there is no limit."""
    return _Reader(core).all()[0]


def looseness(core: bytes) -> int:
    """How much an automaton has to count: the sum of what bounded repetitions leave open."""
    return sum(int(most) - int(least) for least, most in re.findall(rb"\{(\d+),(\d+)\}", core))


def head(core: bytes) -> tuple[bytes, int | None, int | None]:
    """The first piece of a core, its width and that of what comes behind it."""
    reader = _Reader(core)
    first, _ = reader.piece()
    text = core[: reader.at]
    return text, first, width(core[reader.at :])


def within_json(core: bytes) -> bytes:
    r"""A pattern that matches in JSON wherever `core` matches in one of its strings, however
    deep documents are nested in strings; letters, digits and text beyond ASCII must stand there
    as they are, not as `\uXXXX`. It may match elsewhere as well.
    """
    return _Reader(core).all()[1]


class _Reader:
    """Recursive descent. Each method gives the width of what it read and its form in JSON."""

    def __init__(self, pattern: bytes) -> None:
        self._pattern = pattern
        self.at = 0

    def all(self) -> tuple[int | None, bytes]:
        """The whole pattern. Raises `ValueError` for syntax that cores do not use."""
        made = self._choice()
        if self.at != len(self._pattern):
            raise ValueError(f"unexpected ) at byte {self.at} of {self._pattern!r}")
        return made

    def _choice(self) -> tuple[int | None, bytes]:
        size, text = self._sequence()
        while self._taken(b"|"):
            other, more = self._sequence()
            size = None if size is None or other is None else max(size, other)
            text += b"|" + more
        return size, text

    def _sequence(self) -> tuple[int | None, bytes]:
        size: int | None = 0
        text = b""
        while self.at < len(self._pattern) and self._pattern[self.at] not in b"|)":
            one, more = self.piece()
            size = None if size is None or one is None else size + one
            text += more
        return size, text

    def piece(self) -> tuple[int | None, bytes]:
        """One atom or group with its quantifier."""
        one, text = self._group() if self._taken(b"(") else self._atom()
        most, quantifier = self._quantifier()
        if quantifier:
            one = None if one is None or most is None else one * most
        if _ESCAPE in text:
            # Counting escapes makes an automaton large, and nobody needs the upper limit.
            quantifier = _unlimited(quantifier)
        return one, text + quantifier

    def _group(self) -> tuple[int | None, bytes]:
        for head in (b"?:", b"?i:"):
            if self._taken(head):
                size, text = self._choice()
                if not self._taken(b")"):
                    break
                return size, b"(" + head + text + b")"
        raise ValueError(f"a group of {self._pattern!r} at byte {self.at} is no (?:…) or (?i:…)")

    def _atom(self) -> tuple[int, bytes]:
        begin = self.at
        first = self._pattern[begin : begin + 1]
        if first in b"^$.*+?{}":
            raise ValueError(f"{first!r} at byte {begin} of {self._pattern!r}")
        if first == b"[":
            end = begin + 2 if self._pattern[begin + 1 : begin + 2] == b"^" else begin + 1
            end += self._pattern[end : end + 1] == b"]"
            while self._pattern[end] not in b"]":
                end += 2 if self._pattern[end : end + 1] == b"\\" else 1
            self.at = end + 1
        elif first == b"\\":
            self.at += 4 if self._pattern[begin + 1 : begin + 2] == b"x" else 2
            if self._pattern[begin + 1 : begin + 2] in b"bBAzZ":
                raise ValueError(f"an assertion at byte {begin} of {self._pattern!r}")
        else:
            self.at += 1
        atom = self._pattern[begin : self.at]
        return 1, _atom_within_json(atom)

    def _quantifier(self) -> tuple[int | None, bytes]:
        begin = self.at
        sign = self._pattern[begin : begin + 1]
        most: int | None = 1
        if sign and sign in _QUANTIFIERS:
            most = _QUANTIFIERS[sign]
            self.at += 1
        elif sign == b"{":
            self.at = self._pattern.index(b"}", begin) + 1
            last = self._pattern[begin + 1 : self.at - 1].rpartition(b",")[2]
            most = int(last) if last else None
        if self.at > begin:
            self._taken(b"?")  # lazy: the same matches, tried in another order
        return most, self._pattern[begin : self.at]

    def _taken(self, text: bytes) -> bool:
        if not self._pattern.startswith(text, self.at):
            return False
        self.at += len(text)
        return True


def _unlimited(quantifier: bytes) -> bytes:
    found = re.fullmatch(rb"\{(\d+),\d+\}\??", quantifier)
    if found is None:
        return quantifier
    least = int(found[1])
    return b"*" if least == 0 else b"+" if least == 1 else b"{%d,}" % least


@lru_cache(maxsize=1024)
def _atom_within_json(atom: bytes) -> bytes:
    """What an atom looks like: as it is but never a quote, and escaped if JSON escapes it."""
    pattern = compiled(atom)
    matched = [byte for byte in range(256) if pattern.fullmatch(bytes([byte])) is not None]
    if not any(byte < _PRINTABLE or byte in b'"/\\\x7f' for byte in matched):
        return atom
    plain = [byte for byte in matched if byte >= _PRINTABLE and byte != ord('"')]
    return b"(?:" + (_class(plain) + b"|" if plain else b"") + _ESCAPE + b")"


_PRINTABLE = 0x20


def _class(members: list[int]) -> bytes:
    out, begin = b"", members[0]
    for one, after in zip(members, [*members[1:], -1], strict=True):
        if after != one + 1:
            out += b"\\x%02x-\\x%02x" % (begin, one)
            begin = after
    return b"[" + out + b"]"
