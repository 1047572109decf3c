"""Tool schemas inferred from the calls, for histories that do not hold the real ones.

A property is what was seen: its JSON types, and required when every call had it. That is a
description of the sample, not of the tool; rows say so (`tools_source: "inferred"`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clew.model import JSON, ToolCall

_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


def arguments(call: ToolCall) -> dict[str, JSON] | None:
    """The decoded arguments; `None` when they are no JSON object."""
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def inferred(calls: Iterable[ToolCall]) -> list[dict[str, JSON]]:
    """One function schema per tool name, sorted by name."""
    seen: dict[str, list[dict[str, JSON]]] = {}
    for call in calls:
        values = seen.setdefault(call.name, [])
        decoded = arguments(call)
        if decoded is not None:
            values.append(decoded)
    return [
        {"type": "function", "function": {"name": name, "parameters": _parameters(seen[name])}}
        for name in sorted(seen)
    ]


def _parameters(values: list[dict[str, JSON]]) -> dict[str, JSON]:
    types: dict[str, set[str]] = {}
    for value in values:
        for key, item in value.items():
            types.setdefault(key, set()).add(_type(item))
    properties = {key: {"type": _one_or_more(types[key])} for key in sorted(types)}
    required = [key for key in sorted(types) if all(key in value for value in values)]
    return {"type": "object", "properties": properties, "required": required}


def _type(value: JSON) -> str:
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "null")


def _one_or_more(types: set[str]) -> str | list[str]:
    if types >= {"integer", "number"}:
        types = types - {"integer"}
    return next(iter(types)) if len(types) == 1 else sorted(types)
