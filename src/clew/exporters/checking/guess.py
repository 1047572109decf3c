"""Which formats a row may be of: what a person may have meant who named another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clew.exporters.base import Row
    from clew.model import JSON

_BY_KEY = (
    ("preferred_output", "openai-preference"),
    ("chosen", "dpo"),
    ("label", "kto"),
    ("schema_version", "atif"),
)
_CHATS = frozenset({"trl", "openai", "anthropic"})


def candidates(row: Row) -> frozenset[str]:
    """The formats whose marks a row bears. Empty when it bears none."""
    if row.get("schema") == "clew-traj/1" or {"segments", "outcome", "messages"} <= row.keys():
        return frozenset({"native"})
    for key, name in _BY_KEY:
        if key in row:
            return frozenset({name})
    if row.get("type") == "session" or ("lines" in row and "name" in row):
        return frozenset({"sts"})
    if "conversations" in row:
        return _conversation(row)
    if "completion" in row:
        return frozenset({"trl"})
    if "messages" in row:
        return _chat(row)
    return frozenset()


def _conversation(row: Row) -> frozenset[str]:
    turns = row["conversations"] if type(row["conversations"]) is list else []
    who = {turn["from"] for turn in turns if type(turn) is dict and type(turn.get("from")) is str}
    if who & {"function_call", "observation"} or type(row.get("tools")) is str:
        return frozenset({"llama-factory"})
    if "tool" in who:
        return frozenset({"sharegpt"})
    return frozenset({"sharegpt", "llama-factory"})


def _chat(row: Row) -> frozenset[str]:
    found = _CHATS
    if "system" in row:
        found = found & {"anthropic"}
    if "parallel_tool_calls" in row:
        found = found & {"openai"}
    for tool in row["tools"] if type(row.get("tools")) is list else []:
        if type(tool) is dict:
            found &= {"anthropic"} if "input_schema" in tool else {"trl", "openai"}
    for message in row["messages"] if type(row["messages"]) is list else []:
        if type(message) is dict:
            found = found & _message(message)
    return frozenset(found)


def _message(message: Row) -> frozenset[str]:
    """What one message may be of."""
    content = message.get("content")
    kinds = {part["type"] for part in _objects(content) if type(part.get("type")) is str}
    if kinds & {"tool_use", "tool_result", "thinking"}:
        return frozenset({"anthropic"})
    if "weight" in message or "image_url" in kinds:
        return frozenset({"openai"})
    for call in _objects(message.get("tool_calls")):
        function = call.get("function")
        given = function.get("arguments") if type(function) is dict else None
        return frozenset({"openai"} if type(given) is str else {"trl"})
    if message.get("role") in ("tool", "system"):
        return frozenset({"trl", "openai"})
    return _CHATS


def _objects(value: JSON) -> list[Row]:
    return [one for one in value if type(one) is dict] if type(value) is list else []
