"""What flynn's rows say: events of a session, and turns that a host keeps in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.importers.facts import count, time_ms
from clew.model import JSON, Message, Text, ToolCall, ToolResult, Unknown, Usage
from clew.shapes import base

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = "flynn"
_ROLES = frozenset({"user", "assistant", "system"})


def event_of(row: Mapping[str, Any]) -> dict[str, JSON]:
    """The event that a row carries, read from its payload; empty when there is none."""
    payload = row.get("payload")
    event = payload.get("event") if isinstance(payload, dict) else None
    if isinstance(event, msgspec.Raw):
        event = msgspec.json.decode(event)
    return event if isinstance(event, dict) else {}


def usage_of(row: Mapping[str, Any]) -> Usage | None:
    """The tokens of one turn, as the row of its end tells them. Its input counts what the cache
    gave and took: subtracted here. The model is the one that the session's row named.
    """
    told = event_of(row).get("usage")
    if not isinstance(told, dict):
        return None
    cached, written = count(told, "cacheReadTokens"), count(told, "cacheWriteTokens")
    return Usage(
        key=f"flynn:{row.get('stream')}@{time_ms(row.get('time'))}/{row.get('seq')}",
        model=base.text_or_none(row.get("session_model")) or None,
        input=max(count(told, "inputTokens") - cached - written, 0),
        output=count(told, "outputTokens"),
        cache_read=cached,
        cache_write=written,
    )


def decode(row: JSON) -> Message:
    """What a row says as a message. Never fails: what cannot be placed is `Unknown`."""
    if not isinstance(row, dict):
        return Message("system", (Unknown("row", row),), meta=True)
    if "role" in row:
        role = row["role"] if row["role"] in _ROLES else "system"
        return Message(role, (Text(str(row.get("content") or "")),), format=FORMAT)
    event = event_of(row)
    said = base.text_or_none(event.get("text")) or ""
    call = base.text_or_none(event.get("toolUseID")) or ""
    tool = base.text_or_none(event.get("tool"))
    match row.get("type"):
        case "session.started" | "child.spawned":
            message = Message("user", (Text(said),))
        case "assistant.message" | "session.converged":
            message = Message("assistant", (Text(said),))
        case "tool.call":
            arguments = base.compact(event.get("input", {}))
            message = Message("assistant", (ToolCall(call, tool or "", arguments),))
        case "tool.result" | "child.completed":
            result = Text(base.text_or_none(event.get("result")) or "")
            failed = event.get("isError") is True
            message = Message("tool", (ToolResult(call, (result,), failed, tool),))
        case "turn.completed":
            usage = usage_of(row)
            message = Message("assistant", (), model=usage.model if usage else None, usage=usage)
        case _:
            message = Message("system", (Unknown("event", event),), meta=True)
    return msgspec.structs.replace(message, format=FORMAT)
