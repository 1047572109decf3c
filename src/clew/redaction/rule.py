"""What a rule is, and the types of placeholders. The tables are in `providers` and `rules`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clew.redaction import shapes
from clew.redaction.linear import Match

Span = tuple[int, int]
Check = Callable[[bytes, Match], Span | None]

SECRET = "SECRET"  # noqa: S105 - the name of a placeholder
EMAIL = "EMAIL"
USER = "USER"
IP = "IP"
PHONE = "PHONE"
HOST = "HOST"
MAC = "MAC"
NAME = "NAME"
TYPES = (SECRET, EMAIL, IP, MAC, PHONE, HOST, NAME, USER)
"""Placeholder types; of overlapping finds the earlier type in this list names the whole."""

WINDOW_BYTES = 512


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding. `first` are the bytes that a match can begin with."""

    name: str
    type: str
    first: bytes
    core: bytes
    pattern: bytes
    check: Check = shapes.whole
    edge: bool = True
    """A match must begin where a word may begin."""
    grow: bytes | None = None
    window: int = WINDOW_BYTES
