"""Stored text made harmless for whoever reads it: a terminal, a person, a model.

It may hold escape sequences that move the cursor, change the title or type for the person, and
characters that reorder what is read or that nobody sees.
"""

from __future__ import annotations

import re
from typing import Any

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters, but tabs and line ends."""
MARKS = re.compile(
    "[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What reorders text, what is not seen, and halves of characters."""
_HIDDEN = re.compile(f"{CONTROL.pattern[:-1]}{MARKS.pattern[1:-1]}\u00ad\U000e0100-\U000e01ef]")
"""Both, and the ones that a model reads though no person sees them."""
_ANSI = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # colours and cursor movements
    "|\x1b\\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\\\)"  # titles and links
    "|\x1b[@-Z\\\\-_]"
)


def clean(text: str) -> str:
    """Text without control characters (but tabs and line ends), reordering marks made visible."""
    if text.isascii() and text.isprintable():
        return text
    return MARKS.sub(_visible, CONTROL.sub("", text))


def plain(text: str) -> str:
    """Text without terminal sequences; what reorders it, or hides, is made visible."""
    return clean(_ANSI.sub("", text) if "\x1b" in text else text)


def one_line(text: str, limit: int = 0) -> str:
    """The same on one line, cut to `limit` characters (0: as long as it is)."""
    joined = " ".join(clean(text).split())
    if limit and len(joined) > limit:
        return joined[: limit - 1] + "…"
    return joined


def shown(text: str) -> str:
    """Text with every hidden character written out (`⟨U+001B⟩`), control characters too."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(_visible, text)


def all_shown(value: Any) -> Any:
    """A JSON value in which every text, keys too, is `shown`."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {shown(str(key)): all_shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [all_shown(item) for item in value]
    return value


def _visible(match: re.Match[str]) -> str:
    return f"⟨U+{ord(match[0]):04X}⟩"
