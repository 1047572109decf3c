"""Stored text for the page: without what a terminal obeys, and cut where it is long."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from clew.clean import plain
from clew.model import JSON, Image

PREVIEW_CHARS: Final = 4_000
PREVIEW_LINES: Final = 40

PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")


class Shown(NamedTuple):
    """A text as it is shown; `left` counts the characters that are not."""

    text: str
    left: int


def preview(text: str) -> Shown:
    """The beginning of a text; all of it when it is not long."""
    whole = plain(text)
    cut = PREVIEW_CHARS
    for line, found in enumerate(re.finditer("\n", whole[:PREVIEW_CHARS]), 1):
        if line == PREVIEW_LINES:
            cut = found.start()
    return Shown(whole[:cut], max(len(whole) - cut, 0))


def pretty(value: JSON) -> str:
    """JSON with an indent."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def compact(value: JSON) -> str:
    """JSON on one line."""
    return plain(msgspec.json.encode(value).decode())


def picture(part: Image) -> str | None:
    """The address of a picture that the conversation holds, for formats that run nothing; `None`
    for any other: it is not fetched.
    """
    kind, data = part.media_type, part.data
    if kind in PICTURES and data and _BASE64.fullmatch(data):
        return f"data:{kind};base64,{data}"
    return None
