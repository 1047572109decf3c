"""The tools of a row as the functions that trainers and providers read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from clew.exporters.base import Row, Unfit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clew.exporters.projections.turns import Chat

NAME_CHARS: Final = 64
"""What OpenAI allows; Anthropic allows twice as many."""
_NAME = re.compile(r"[a-zA-Z0-9_-]+")


def functions(tools: Sequence[Row], *, described: bool = True) -> list[Row]:
    """`{name, description, parameters}` of each tool. Parameters have `type` and `properties`,
    because some trainers look for them without asking, and so do templates for a description: an
    empty one stands for none, unless `described` is off.
    """
    return [_function(tool["function"], described) for tool in tools]


def _function(told: Row, described: bool) -> Row:
    out: Row = {"name": told["name"]}
    if told.get("description") or described:
        out["description"] = told.get("description") or ""
    out["parameters"] = {"type": "object", "properties": {}, **(told.get("parameters") or {})}
    return out


def schemas(tools: Sequence[Row], *, described: bool = True) -> list[Row]:
    """The same, each as `{"type": "function", "function": …}`."""
    told = functions(tools, described=described)
    return [{"type": "function", "function": function} for function in told]


def check_names(chat: Chat, tools: Sequence[Row], longest: int) -> None:
    """Raises `Unfit` for a name of a function that a provider does not take."""
    called = (call.name for turn in chat.turns for call in turn.calls)
    for name in (*(tool["function"]["name"] for tool in tools), *called):
        if len(name) > longest or not _NAME.fullmatch(name):
            text = f"no function may be named {name!r}: letters, digits, _ and -, {longest} at most"
            raise Unfit("function name", text)


def united(first: Sequence[Row], second: Sequence[Row]) -> list[Row]:
    """The tools of two rows that become one, sorted by name. What both describe differently was
    seen by calls on either side: all its properties count, and those that both demand are demanded.
    """
    known = {tool["function"]["name"]: tool for tool in first}
    for tool in second:
        name = tool["function"]["name"]
        known[name] = _both(known[name], tool) if name in known else tool
    return [known[name] for name in sorted(known)]


def _both(one: Row, other: Row) -> Row:
    here, there = (each["function"].get("parameters") or {} for each in (one, other))
    if one == other or not (_is_plain(here) and _is_plain(there)):
        return one
    parameters = {**there, **here}
    parameters["properties"] = _properties(here.get("properties", {}), there.get("properties", {}))
    demanded = there.get("required", [])
    parameters["required"] = [name for name in here.get("required", []) if name in demanded]
    return {**one, "function": {**one["function"], "parameters": parameters}}


def _is_plain(parameters: Row) -> bool:
    """Whether the schema has the usual shape: it is somebody else's."""
    properties, required = parameters.get("properties", {}), parameters.get("required", [])
    return isinstance(properties, dict) and isinstance(required, list)


def _properties(here: Row, there: Row) -> Row:
    out = {**there, **here}
    for name in here.keys() & there.keys():
        if here[name] != there[name]:
            out[name] = {"anyOf": [here[name], there[name]]}
    return {name: out[name] for name in sorted(out)}
