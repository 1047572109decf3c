"""Text of a session as a quotation: whatever it says, it stays data."""

from __future__ import annotations

import re

from clew.clean import clean, one_line

_RUN = re.compile(r"`+")
_CUT = " […]"


def fenced(text: str, kind: str = "text") -> str:
    """A block that the text itself cannot end: its fence is longer than any run of
    backticks. Control characters are taken out.
    """
    text = clean(text)
    longest = max((len(run) for run in _RUN.findall(text)), default=0)
    fence = "`" * max(longest + 1, 3)
    end = "" if text.endswith("\n") else "\n"
    return f"{fence}{kind}\n{text}{end}{fence}"


def inline(text: str, limit: int) -> str:
    """One line of code, control characters and line ends taken out, cut to `limit` characters."""
    words = shortened(" ".join(one_line(text[: 8 * limit]).split()), limit)
    longest = max((len(run) for run in _RUN.findall(words)), default=0)
    fence = "`" * (longest + 1)
    edge = " " if words.startswith("`") or words.endswith("`") else ""
    return f"{fence}{edge}{words}{edge}{fence}" if words else "(nothing)"


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, with a mark where something was cut off."""
    return text if len(text) <= limit else text[: limit - len(_CUT)].rstrip() + _CUT
