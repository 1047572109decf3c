"""JSON that stands inside text, between tags that a reader looks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from clew.exporters.base import Row, Unfit, line

if TYPE_CHECKING:
    from clew.model import JSON

_MARKS = re.compile(r"<(?=/?(?:tool_call|tool_response|tools|think)>)")
_TAGS = re.compile(r"</?tool_call>|</think>")


DEPTH_MAX: Final = 500
"""What is nested deeper is not opened: a row around it could not be written."""
_AROUND: Final = 1000 - DEPTH_MAX
"""msgspec reads a thousand levels."""


def object_of(text: str) -> Row | None:
    """The object that a JSON text stands for; `None` when it is none."""
    try:
        value = msgspec.json.decode(text)
        if isinstance(value, dict) and text.count("{") + text.count("[") > DEPTH_MAX:
            msgspec.json.decode("[" * _AROUND + text + "]" * _AROUND)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def compact(value: JSON) -> str:
    r"""JSON text without spaces that holds none of the tags: their `<` is written `\u003c`."""
    return _MARKS.sub(r"\\u003c", line(value)[:-1].decode())


def without_tags(words: str, whose: str) -> str:
    """The same words. Raises `Unfit` when they hold a tag for which a reader would take its own."""
    found = _TAGS.search(words)
    if found is not None:
        raise Unfit("tags in text", f"{whose} holds {found[0]}, which stands for a call here")
    return words
