"""Tool schemas: as the agent recorded them, else inferred from the calls.

Recorded ones come in the words of several providers and are put into one. Of an inferred one a
property is what was seen: its JSON types, and required when every call had it. That is a
description of the sample, not of the tool; rows say so (`tools_source: "inferred"`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clew.model import JSON, ToolCall

_TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}
_decode = msgspec.json.Decoder().decode


def given(call: ToolCall) -> dict[str, str] | None:
    """The JSON type of each argument; `None` when the arguments are no JSON object."""
    try:
        value = _decode(call.arguments or "{}")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return {name: _TYPES[type(item)] for name, item in value.items()}


def tools_of(
    calls: Iterable[tuple[str, dict[str, str] | None]], definitions: Iterable[JSON]
) -> tuple[list[dict[str, JSON]], str]:
    """The schemas of the tools at hand, sorted by name, and where they come from: `recorded`,
    `inferred`, `mixed` (some of either), `none` (no tools). `calls` are names
    with what was `given`. Of two definitions of one tool the later counts.
    """
    known = {each["function"]["name"]: each for each in recorded(definitions)}
    guessed = [one for one in inferred(calls) if one["function"]["name"] not in known]
    tools = sorted([*known.values(), *guessed], key=lambda one: str(one["function"]["name"]))
    if not tools:
        return tools, "none"
    if known and guessed:
        return tools, "mixed"
    return tools, "recorded" if known else "inferred"


_SCHEMAS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema")


def recorded(definitions: Iterable[JSON]) -> Iterator[dict[str, JSON]]:
    """Definitions as OpenAI (Chat and Responses), Anthropic, Gemini and MCP write them, as
    function schemas. What is no definition of a function (a provider's own tool) is left out.
    """
    for one in definitions:
        if not isinstance(one, dict):
            continue
        listed = one.get("functionDeclarations") or one.get("function_declarations")
        if isinstance(listed, list):
            yield from recorded(listed)
            continue
        inner = one.get("function")
        told = inner if isinstance(inner, dict) else one
        name, schema = told.get("name"), next((told[k] for k in _SCHEMAS if k in told), None)
        if not isinstance(name, str) or not name or not (schema is None or type(schema) is dict):
            continue
        if schema is None and told is one and not isinstance(one.get("description"), str):
            continue
        about: dict[str, JSON] = {"name": name}
        if isinstance(told.get("description"), str):
            about["description"] = told["description"]
        about["parameters"] = schema or {"type": "object", "properties": {}}
        yield {"type": "function", "function": about}


def inferred(calls: Iterable[tuple[str, dict[str, str] | None]]) -> list[dict[str, JSON]]:
    """One function schema per tool name, sorted by name. See `tools_of`."""
    seen: dict[str, list[dict[str, str]]] = {}
    for name, types in calls:
        known = seen.setdefault(name, [])
        if types is not None:
            known.append(types)
    return [
        {"type": "function", "function": {"name": name, "parameters": _parameters(seen[name])}}
        for name in sorted(seen)
    ]


def _parameters(calls: list[dict[str, str]]) -> dict[str, JSON]:
    types: dict[str, set[str]] = {}
    for one in calls:
        for key, kind in one.items():
            types.setdefault(key, set()).add(kind)
    properties = {key: {"type": _one_or_more(types[key])} for key in sorted(types)}
    required = [key for key in sorted(types) if all(key in one for one in calls)]
    return {"type": "object", "properties": properties, "required": required}


def _one_or_more(types: set[str]) -> str | list[str]:
    if types >= {"integer", "number"}:
        types = types - {"integer"}
    return next(iter(types)) if len(types) == 1 else sorted(types)
