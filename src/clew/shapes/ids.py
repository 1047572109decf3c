"""Tool call ids and tool names that a target accepts.

Providers do not agree on ids: some leave them empty, some repeat them over turns, some write
hundreds of characters. Here every call gets an id that is valid, short enough and unique in
the request, and the result that belongs to it the same one. The same history always gives
the same ids; ids that are fine stay as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict, deque
from typing import TYPE_CHECKING

import msgspec

from clew.model import Message, Part, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Sequence

_BAD_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_TAG_CHARS = 8


def unique_ids(messages: Sequence[Message], *, limit: int, fill: bool = True) -> list[Message]:
    """The messages with ids rewritten to `[a-zA-Z0-9_-]`, at most `limit` characters.

    A result takes the id of the oldest call of its name that has none yet, so calls and
    results must stand in pairs, as `clew.view.build` puts them. `fill=False` leaves empty
    ids empty.
    """
    giver = _Giver(limit, fill)
    return [_with_parts(message, [giver.part(part) for part in message.parts])
            for message in messages]  # fmt: skip


def tool_name(name: str, limit: int = 64) -> str:
    """A name of `[a-zA-Z0-9_-]`, at most `limit` characters, never empty."""
    return shorten(_BAD_IN_ID.sub("_", name), limit) or "unnamed_tool"


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters; what is cut off lives on in a short digest."""
    if len(text) <= limit:
        return text
    tag = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_TAG_CHARS]
    return f"{text[: limit - _TAG_CHARS - 1]}_{tag}"


class _Giver:
    def __init__(self, limit: int, fill: bool) -> None:
        self._limit = limit
        self._fill = fill
        self._used: set[str] = set()
        self._waiting: defaultdict[str, deque[str]] = defaultdict(deque)
        self._last: dict[str, str] = {}
        self._number = 0

    def part(self, part: Part) -> Part:
        if isinstance(part, ToolCall):
            new = self._new_id(part.id)
            self._waiting[part.id].append(new)
            self._last[part.id] = new
            return part if new == part.id else msgspec.structs.replace(part, id=new)
        if isinstance(part, ToolResult):
            waiting = self._waiting[part.call_id]
            new = waiting.popleft() if waiting else self._last.get(part.call_id, part.call_id)
            return part if new == part.call_id else msgspec.structs.replace(part, call_id=new)
        return part

    def _new_id(self, wanted: str) -> str:
        if not wanted and not self._fill:
            return ""
        self._number += 1
        stem = shorten(_BAD_IN_ID.sub("_", wanted), self._limit) or f"call_{self._number}"
        new, turn = stem, 1
        while new in self._used:
            turn += 1
            tail = f"-{turn}"
            new = stem[: self._limit - len(tail)] + tail
        self._used.add(new)
        return new


def _with_parts(message: Message, parts: list[Part]) -> Message:
    if all(new is old for new, old in zip(parts, message.parts, strict=True)):
        return message
    return msgspec.structs.replace(message, parts=tuple(parts))
