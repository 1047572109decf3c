"""Hermes' records: what a message and a counter say, in the ledger's words."""

from __future__ import annotations

from typing import Final

import msgspec

from clew.errors import Invalid
from clew.importers.facts import count, text
from clew.model import JSON, Message, Part, Text, Thinking, Usage
from clew.shapes import base, openai_chat

FORMAT: Final = "hermes"

SUMMARIES: Final = ("[CONTEXT COMPACTION", "[CONTEXT SUMMARY]")
"""How a compaction's summary begins."""
COUNTERS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_ROLES: Final = frozenset({"system", "user", "assistant", "tool"})


def is_spoken(row: dict[str, JSON]) -> bool:
    """True for a row that is a message; others hold what the program noted for itself."""
    return text(row, "role") in _ROLES


def millis(seconds: JSON) -> int | None:
    """A time in seconds as Unix milliseconds; `None` when it is none."""
    if isinstance(seconds, int | float) and 0 <= seconds < 1e11:
        return round(seconds * 1000)
    return None


def decode(row: JSON) -> Message:
    """A row of `messages`. Never fails: what cannot be placed is `Unknown`."""
    if not isinstance(row, dict) or not is_spoken(row):
        return Message("system", (base.unknown(row, "record"),), meta=True)
    content = row.get("content")
    chat = {
        "role": row["role"],
        "content": content if isinstance(content, str | list) else None,
        "tool_calls": row.get("tool_calls"),
        "tool_call_id": row.get("tool_call_id"),
        "name": row.get("tool_name"),
    }
    try:
        message = openai_chat.decode(chat)
    except Invalid:
        return Message("system", (base.unknown(row, "message"),), meta=True)
    parts: tuple[Part, ...] = message.parts
    if isinstance(content, dict):
        parts = (base.unknown(content, "content"), *parts)
    if message.role == "assistant":
        parts = (*_thoughts(row), *parts)
    words = next((part.text for part in parts if isinstance(part, Text)), "")
    summary = message.role != "tool" and (
        words.lstrip().startswith(SUMMARIES) or row.get("_compressed_summary") == 1
    )
    return msgspec.structs.replace(
        message,
        parts=parts,
        time_ms=millis(row.get("timestamp")) or 0,
        summary=summary,
        meta=summary,
    )


def _thoughts(row: dict[str, JSON]) -> list[Part]:
    """Reasoning, once: as the Responses API, OpenRouter or other servers tell it."""
    found: list[Part] = []
    for each in base.as_list(row.get("codex_reasoning_items")):
        if isinstance(each, dict):
            words = [text(one, "text") for one in base.as_list(each.get("summary")) if one]
            told = "\n".join(word for word in words if word)
            found.append(Thinking(told, data=text(each, "encrypted_content"), id=text(each, "id")))
    for each in base.as_list(row.get("reasoning_details")) if not found else ():
        if isinstance(each, dict):
            told = text(each, "text") or text(each, "summary") or ""
            found.append(Thinking(told, text(each, "signature"), text(each, "data")))
    told = text(row, "reasoning_content") or text(row, "reasoning") or ""
    if told and not any(isinstance(each, Thinking) and each.text for each in found):
        found.insert(0, Thinking(told))
    return found


def usage_of(key: str, row: dict[str, JSON], elsewhere: JSON = None) -> Usage | None:
    """What was counted, without what is counted `elsewhere`; `None` when that is nothing.

    Hermes counts what the cache gave apart from the input, and reasoning in the output.
    """
    left = [max(count(row, name) - count(elsewhere, name), 0) for name in COUNTERS]
    if not any(left):
        return None
    asked, answered, read, written, reasoning = left
    return Usage(
        key=key,
        model=text(row, "model"),
        provider=text(row, "billing_provider") or None,
        input=asked,
        output=answered,
        cache_read=read,
        cache_write=written,
        reasoning=reasoning,
        cost=_cost(row, elsewhere),
    )


def _cost(row: dict[str, JSON], elsewhere: JSON) -> float | None:
    """What Hermes was told or estimated in USD; `None` when it does not know."""
    other = elsewhere if isinstance(elsewhere, dict) else {}
    for name in ("actual_cost_usd", "estimated_cost_usd"):
        told, less = row.get(name), other.get(name)
        if isinstance(told, int | float) and told > 0:
            return max(told - (less if isinstance(less, int | float) else 0), 0.0)
    return 0.0 if row.get("cost_status") == "included" else None
