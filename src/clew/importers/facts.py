"""What many formats tell the same way: titles and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.importers.claude_records import TITLE_CHARS_MAX

if TYPE_CHECKING:
    from clew.model import JSON, Record

COUNT_MAX = 2**53


def set_title(record: Record, title: str | None, rank: int) -> None:
    """Let a record give its session a title, on one line and not too long; no words, no title."""
    words = " ".join((title or "")[: 8 * TITLE_CHARS_MAX].split())
    if words:
        long = len(words) > TITLE_CHARS_MAX
        record.title = words[: TITLE_CHARS_MAX - 1].rstrip() + "…" if long else words
        record.title_rank = rank


def count(value: JSON, *keys: str) -> int:
    """The first count above zero under the keys of an object; 0 when there is none, or one that
    nothing can have counted.
    """
    if isinstance(value, dict):
        for key in keys:
            found = value.get(key)
            if type(found) is int and 0 < found < COUNT_MAX:
                return found
    return 0
