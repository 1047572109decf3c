"""Cursors: where a page of a list ended, as text that callers hand back and do not read."""

from __future__ import annotations

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from clew import wire
from clew.server.problems import Refused
from clew.wire import cursor

__all__ = ["cursor", "page", "place"]

T = TypeVar("T")


def place(text: str | None, kind: type[T]) -> T | None:
    """The place that a cursor stands for, a tuple; `None` without one. Raises `Refused`."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return wire.decode(raw, kind)
    except (binascii.Error, msgspec.DecodeError, ValueError, UnicodeError):
        raise Refused(
            "invalid", "query: `query.cursor` is not one that this list gave: leave it out"
        ) from None


def page(items: list[T], limit: int, end: Any) -> wire.Page[T]:
    """The first `limit` of `items`, one more of which was read to see whether there is more;
    `end` gives the cursor's place behind the last item shown.
    """
    if len(items) <= limit:
        return wire.Page(items)
    shown = items[:limit]
    return wire.Page(shown, cursor(*end(shown[-1])))
