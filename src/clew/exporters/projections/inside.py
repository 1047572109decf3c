"""JSON that stands inside text, between tags that a reader looks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clew.exporters.base import Unfit, line

if TYPE_CHECKING:
    from clew.model import JSON

_MARKS = re.compile(r"<(?=/?(?:tool_call|tool_response|tools|think)>)")
_TAGS = re.compile(r"</?tool_call>|</think>")


def compact(value: JSON) -> str:
    r"""JSON text without spaces that holds none of the tags: their `<` is written `\u003c`."""
    return _MARKS.sub(r"\\u003c", line(value)[:-1].decode())


def without_tags(words: str, whose: str) -> str:
    """The same words. Raises `Unfit` when they hold a tag for which a reader would take its own."""
    found = _TAGS.search(words)
    if found is not None:
        raise Unfit("tags in text", f"{whose} holds {found[0]}, which stands for a call here")
    return words
