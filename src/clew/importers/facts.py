"""What many formats tell the same way: texts, times, titles and counts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clew.model import JSON, Record

TITLE_CHARS_MAX = 100
COUNT_MAX = 2**53

_SECRET = re.compile(
    r"api_?-?key|secret|passw|credential|authorization|(?:^|_|-)(?:token|auth|bearer)$",
    re.IGNORECASE,
)
"""Names of settings that hold a secret. `max_tokens` is none."""
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s]+@")


def text(value: dict[str, JSON], key: str) -> str | None:
    """The string under a key; `None` when there is none or it is empty."""
    found = value.get(key)
    return found if isinstance(found, str) and found else None


def time_ms(stamp: JSON) -> int | None:
    """An ISO time in Unix milliseconds; `None` when it is none."""
    if not isinstance(stamp, str):
        return None
    try:
        moment = datetime.fromisoformat(stamp)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


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


def without_credentials(value: JSON) -> JSON:
    """A program's settings, without what opens a door: values under names such as `api_key`, and
    what stands before the host of an address. Settings are not what was said: nobody looks here
    for a secret, and redaction of an export never sees them.
    """
    if isinstance(value, str):
        return _USERINFO.sub(r"\1[left out]@", value)
    if isinstance(value, list):
        return [without_credentials(each) for each in value]
    if isinstance(value, dict):
        return {
            key: "[left out]" if _SECRET.search(key) and each else without_credentials(each)
            for key, each in value.items()
        }
    return value
