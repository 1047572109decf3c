"""Goose's records: what a message and a count say, in the ledger's words."""

from __future__ import annotations

from typing import Final

from clew.importers.facts import count, text
from clew.model import (
    JSON,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)
from clew.shapes import base

FORMAT: Final = "goose"

UNPARSED: Final = "invalid"
"""The name of a call that Goose could not read; what is wrong with it is its argument."""
CONTINUES: Final = "Your context was compacted"
"""How the words behind a compaction's summary begin."""
ASIDE: Final = frozenset(
    {
        *("systemNotification", "toolConfirmationRequest", "actionRequired", "error"),
        *("summarizationRequested", "contextLengthExceeded"),
    }
)
"""Content that is between the program and the person, and no part of the conversation."""
CARRIED: Final = "carried_forward"
"""Rows of the ledger that say again what the session counted before there was a ledger."""
_ROLES: Final = frozenset({"user", "assistant"})
_MILLIS_ABOVE: Final = 10_000_000_000


def millis(stamp: JSON) -> int | None:
    """A message's time, told in seconds by older versions, as Unix milliseconds."""
    if type(stamp) is not int or not 0 <= stamp < 1_000 * _MILLIS_ABOVE:
        return None
    return stamp if stamp > _MILLIS_ABOVE else stamp * 1000


def shown(metadata: JSON, who: str) -> bool:
    """Whether `agentVisible` or `userVisible` holds; both do where nothing is told."""
    return not isinstance(metadata, dict) or metadata.get(who) is not False


def is_spoken(row: dict[str, JSON]) -> bool:
    """True for a row that is a message of the conversation, for the model or from it."""
    content = row.get("content_json")
    if text(row, "role") not in _ROLES or not isinstance(content, list):
        return False
    return not content or any(_kind(each) not in ASIDE for each in content)


def _kind(block: JSON) -> str | None:
    return text(block, "type") if isinstance(block, dict) else None


def decode(row: JSON) -> Message:
    """A row of `messages`. Never fails: what cannot be placed is `Unknown`."""
    if not isinstance(row, dict) or text(row, "role") not in _ROLES:
        return Message("system", (base.unknown(row, "record"),), meta=True)
    content = row.get("content_json")
    if not isinstance(content, list):
        return Message("system", (base.unknown(row, "message"),), meta=True)
    parts = tuple(map(_part, content))
    words = next((part.text for part in parts if isinstance(part, Text)), "")
    metadata = row.get("metadata_json")
    hidden = not shown(metadata, "userVisible")
    summed = hidden and shown(metadata, "agentVisible") and bool(words)
    assistant = row["role"] == "assistant"
    return Message(
        row["role"],
        parts,
        id=text(row, "message_id") if assistant else None,
        time_ms=millis(row.get("created_timestamp")) or 0,
        meta=hidden,
        summary=summed and not words.startswith(CONTINUES),
        format=FORMAT,
    )


def _part(block: JSON) -> Part:
    match block:
        case {"type": "text", "text": str(words)}:
            return Text(words)
        case {"type": "thinking", "thinking": str(words)}:
            return Thinking(words, text(block, "signature"))
        case {"type": "reasoning", "text": str(words)}:
            return Thinking(words)
        case {"type": "redactedThinking", "data": str(data)}:
            return Thinking(data=data)
        case {"type": "toolRequest" | "frontendToolRequest", "id": str(id), "toolCall": call}:
            return _call(id, call)
        case {"type": "toolResponse", "id": str(id), "toolResult": result}:
            return _result(id, result)
        case _:
            return _said(block)


def _call(id: str, call: JSON) -> ToolCall:
    match call:
        case {"value": {"name": str(name), **rest}} | {"name": str(name), **rest}:
            return ToolCall(id, name, base.compact(rest.get("arguments") or {}))
        case {"error": error}:
            return ToolCall(id, UNPARSED, base.compact({"error": error}))
        case _:
            return ToolCall(id, UNPARSED, base.compact({"call": call}))


def _result(id: str, result: JSON) -> ToolResult:
    value = result.get("value") if isinstance(result, dict) else None
    if value is None:
        error = result.get("error") if isinstance(result, dict) else result
        words = error if isinstance(error, str) else base.compact(error)
        return ToolResult(id, (Text(words),), is_error=True)
    content = value.get("content") if isinstance(value, dict) else value
    failed = isinstance(value, dict) and value.get("isError") is True
    return ToolResult(id, tuple(map(_said, base.as_list(content))), is_error=failed)


def _said(block: JSON) -> Text | Image | File | Unknown:
    """What a person or a tool said: MCP's content, with or without a `raw` around it."""
    match block:
        case {"type": "text", "text": str(words)}:
            return Text(words)
        case {"type": "image", "data": str(data)}:
            return Image(text(block, "mimeType") or text(block, "mime_type"), data)
        case {"type": "document" | "audio", "data": str(data)}:
            return File(text(block, "name"), text(block, "mimeType"), data)
        case {"type": "resource", "resource": {"text": str(words)}}:
            return Text(words)
        case {"type": "resource", "resource": {"blob": str(data)}}:
            told = block["resource"]
            return File(text(told, "uri"), text(told, "mimeType"), data)
        case _:
            return base.unknown(block)


def counted(row: dict[str, JSON], prefix: str = "") -> dict[str, int]:
    """What a row counts, with the cache apart from the input.

    Newer versions count the cache in the input of every provider, older ones did not for those
    that tell it apart (Anthropic). The total tells which it is.
    """
    names = ("input", "output", "cache_read", "cache_write")
    told = {name: count(row, f"{prefix}{name}_tokens") for name in names}
    cache = told["cache_read"] + told["cache_write"]
    apart = told["input"] + told["output"] + cache == count(row, f"{prefix}total_tokens")
    if cache <= told["input"] and not apart:
        told["input"] -= cache
    return told


def usage_of(key: str, row: dict[str, JSON], told: dict[str, int], cost: JSON) -> Usage | None:
    """Counts as the usage of one call; `None` when nothing is counted."""
    if not any(told.values()):
        return None
    known = isinstance(cost, int | float) and cost > 0
    return Usage(
        key=key,
        model=text(row, "model"),
        provider=text(row, "provider_name"),
        input=told["input"],
        output=told["output"],
        cache_read=told["cache_read"],
        cache_write=told["cache_write"],
        cost=float(cost) if known else None,
    )
