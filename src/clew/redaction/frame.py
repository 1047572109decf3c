"""What a row is made of: the constants of its format, the names of its tools and their parameters.

A value that was found as a secret in one place is replaced wherever it stands. Whoever writes
`password=read_file_v2` would so rename a tool in all sessions, and `password=clew-traj/1` would
take the format from every row. What is named here is therefore replaced in a row only where a
rule finds it, and not because it was found before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clew.model import JSON

_CONSTANTS = frozenset(
    (
        "schema", "schema_version", "version", "role", "type", "kind", "status", "object",
        "outcome", "outcome_rule", "outcome_source", "tier", "tools_source", "branch", "split",
        "stop_reason", "finish_reason", "ruleset", "tool_name", "function_name", "toolName",
    )
)  # fmt: skip
"""Keys whose values come from the format, and those of names of tools."""
_TOOL = frozenset(
    (
        "arguments", "args", "input", "parameters", "input_schema", "inputSchema", "tool_call_id",
        "tool_use_id", "call_id",
    )
)  # fmt: skip
"""Keys that stand beside the name of a tool."""
_SCHEMAS = frozenset(("parameters", "input_schema", "inputSchema", "schema"))
_OPEN = frozenset(("arguments", "args", "input", "content", "text", "result", "output"))
"""Below these a row holds what models, tools and users said, unless it is a list of parts."""
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_.:/$-]{0,127}")
_CONSTANT = re.compile(
    r"[A-Za-z]{1,40}[0-9]{0,4}(?:[_.:/-]{1,2}(?:[A-Za-z]{1,40}[0-9]{0,4}|[0-9]{1,4})){0,9}"
)
"""Words and small numbers: what else stands there may be a secret."""


def made_of(row: JSON) -> frozenset[str]:
    """The constants, tools and parameters of a row in any of the formats."""
    return frozenset(one for one in _names(row) if _NAME.fullmatch(one) is not None)


def _names(row: JSON) -> Iterator[str]:
    stack: list[JSON] = [row]
    while stack:
        one = stack.pop()
        if isinstance(one, list):
            stack += one
            continue
        if not isinstance(one, dict):
            continue
        tool = one.get("role") == "tool" or not _TOOL.isdisjoint(one)
        for key, item in one.items():
            if isinstance(item, str):
                if (key in _CONSTANTS and _CONSTANT.fullmatch(item)) or (tool and key == "name"):
                    yield item
            elif key in _SCHEMAS and isinstance(item, dict):
                yield from _parameters(item)
            elif key not in _OPEN or isinstance(item, list):
                stack.append(item)


def _parameters(schema: JSON) -> Iterator[str]:
    """The names and the allowed values in a schema of JSON."""
    stack = [schema]
    while stack:
        one = stack.pop()
        if isinstance(one, list):
            stack += one
        elif isinstance(one, dict):
            properties = one.get("properties")
            if isinstance(properties, dict):
                yield from properties
            for key in ("enum", "type", "const"):
                allowed = one.get(key)
                yield from (
                    each
                    for each in (allowed if isinstance(allowed, list) else [allowed])
                    if isinstance(each, str)
                )
            stack += one.values()
