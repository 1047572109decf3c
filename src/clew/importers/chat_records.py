"""Messages as applications keep them in JSON Lines: in the shape of OpenAI or Anthropic.

Two layouts: each line is one message (`clew.importers.chat`), or each line is a whole
conversation (`clew.importers.chat_set`). The messages are those of OpenAI Chat and Responses and
of Anthropic, read by `clew.shapes`; beside them stand what an application adds, such as a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from clew import shapes
from clew.errors import Invalid
from clew.importers.facts import time_ms
from clew.model import JSON, Kind, Message
from clew.shapes.base import entry_role, unknown

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "chat"
SUFFIXES: Final = (".jsonl", ".ndjson")

TIMES: Final = ("timestamp", "created_at", "created", "time", "ts", "date")
_MESSAGE_KEYS: Final = frozenset(
    {
        *(
            "role",
            "content",
            "name",
            "weight",
            "train",
            "id",
            "type",
            "status",
            "model",
            "usage",
            *TIMES,
        ),
        *("tool_calls", "tool_call_id", "function_call", "refusal", "audio", "annotations"),
        *("reasoning_content", "reasoning", "reasoning_details", "prefix", "cache_control"),
        *("stop_reason", "stop_sequence", "stop_details", "container", "phase"),
    }
)
"""What a message of one of the providers has; others are an agent's own."""
_MS_FROM: Final = 10_000_000_000
"""A number above is milliseconds: in seconds it would be the year 2286."""


def is_text_of_lines(path: Path) -> bool:
    """Whether a file is named as JSON Lines are."""
    return path.suffix in SUFFIXES


def is_message(value: dict[str, JSON]) -> bool:
    """True for a message of OpenAI or Anthropic, with nothing of another program around it."""
    if "role" in value:
        return value.keys() <= _MESSAGE_KEYS and format_of(value) is not None
    return format_of(value) == "openai-responses"


def format_of(value: dict[str, JSON]) -> str | None:
    """The provider's format of a message; `None` when it is none of OpenAI's or Anthropic's."""
    try:
        found = shapes.sniff(value)
    except Invalid:
        return None
    return found if found in ("anthropic", "openai-chat", "openai-responses") else None


def told_at(value: dict[str, JSON]) -> int | None:
    """When something was said: an ISO time, or Unix seconds or milliseconds."""
    for key in TIMES:
        found = value.get(key)
        if isinstance(found, str) and (stamp := time_ms(found)) is not None:
            return stamp
        if isinstance(found, int | float) and 0 < found < 1e14 and found is not True:
            return round(found if found >= _MS_FROM else found * 1000)
    return None


def classify(value: JSON) -> tuple[Kind, str | None, str | None]:
    """Kind, role and note of a message."""
    try:
        message = _read(value)
    except Invalid as error:
        return Kind.UNKNOWN, None, f"no message: {error}"
    if not message.parts:
        return Kind.NOTICE, None, None
    return Kind.MESSAGE, entry_role(message), None


def decode(record: JSON) -> Message:
    """What a line says as a message. Never fails: what cannot be placed is `Unknown`."""
    try:
        message = _read(record)
    except Invalid:
        message = Message("system", (unknown(record),), meta=True)
    when = told_at(record) if isinstance(record, dict) else None
    return msgspec.structs.replace(message, time_ms=when or 0)


def _read(value: JSON) -> Message:
    found = shapes.sniff(value)
    if found == "clew":
        raise Invalid("Clew's own shape, which is not read here: append it instead")
    message = shapes.decode(found, value)
    # An item's id names the item: no two items are pieces of one message.
    return msgspec.structs.replace(message, id=None) if found == "openai-responses" else message
