"""Placeholders: the same value has the same one within an export, and none reveals a value.

`<EMAIL_3fa9c1d2>` is the type and the first eight hex digits of
HMAC-SHA256(key, type ‖ NUL ‖ normalised value). Without the key nothing can be guessed from
it; with another key the same data gives other placeholders, so two exports cannot be joined.
Text in the input that merely looks like one gets a second underscore, so that every
placeholder in an output is one.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING

from clew.errors import Invalid
from clew.redaction.linear import compiled
from clew.redaction.rules import EMAIL, IP, TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_BYTES_MIN = 16
DIGITS = 8
_MADE_MAX = 4096
_MADE_CHARACTERS_MAX = 200

MARKER = compiled(b"<(?:" + "|".join(TYPES).encode() + rb")_[0-9a-f]{8}>")
"""What a placeholder looks like."""


class Pseudonyms:
    """Gives out placeholders under one key and knows those that it gave out."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise Invalid(
                f"the key for placeholders has {len(key)} bytes; give at least {KEY_BYTES_MIN} "
                "random ones (os.urandom(32))"
            )
        self._key = key
        self._issued: set[bytes] = set()
        self._made: dict[tuple[str, str], bytes] = {}

    def placeholder(self, type_: str, value: str) -> bytes:
        """The placeholder of a value."""
        made = self._made.get((type_, value))
        if made is None:
            text = f"{type_}\0{_normalised(type_, value)}".encode("utf-8", "surrogatepass")
            mark = hmac.digest(self._key, text, hashlib.sha256).hex()[:DIGITS]
            made = f"<{type_}_{mark}>".encode()
            if len(self._made) >= _MADE_MAX:
                self._made.clear()
            if len(value) <= _MADE_CHARACTERS_MAX:
                self._made[type_, value] = made
            self._issued.add(made)
        return made

    @property
    def given(self) -> frozenset[bytes]:
        """All placeholders that stand for a value that was replaced."""
        return frozenset(self._issued)

    def learn(self, issued: Iterable[bytes]) -> None:
        """Take these, given out under the same key, for ours too."""
        self._issued.update(issued)

    def issued(self, marker: bytes) -> bool:
        """True when this placeholder stands for a value that was replaced."""
        return marker in self._issued


def _normalised(type_: str, value: str) -> str:
    if type_ == EMAIL:
        return value.lower().replace("%40", "@")
    if type_ == IP:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            return value
    return value


def markers(data: bytes) -> list[tuple[int, int]]:
    """The spans of everything that looks like a placeholder."""
    out: list[tuple[int, int]] = []
    if b"<" not in data or b">" not in data:
        return out
    match = MARKER.search(data)
    while match is not None:
        out.append((match.start(), match.end()))
        match = MARKER.search(data, match.end())
    return out


def escaped(marker: bytes) -> bytes:
    """A look-alike made different: `<EMAIL_…>` becomes `<EMAIL__…>`."""
    return marker.replace(b"_", b"__", 1)
