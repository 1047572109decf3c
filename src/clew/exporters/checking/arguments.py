"""Calls that do not fit the schema that their tool was recorded with: not to be learned.

Models make such calls, and one of them is no reason to leave its session out. A recorded schema
that is none (no JSON Schema of an object) is left out likewise, and said so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from clew.exporters.checking.rules import Findings
from clew.exporters.checking.tools import Tools

if TYPE_CHECKING:
    from clew.exporters.base import Row
    from clew.model import JSON

RULE = "arguments-schema"
_RECORDED = frozenset({"recorded", "mixed"})


def held(row: Row) -> None:
    """Take what does not fit out of what a native row trains, in place."""
    if row["tools_source"] not in _RECORDED:
        return
    _sound(row)
    findings = Findings()
    tools = Tools(findings).read(row["tools"])
    for message in row["messages"]:
        if message["train"] and "tool_calls" in message:
            before = len(findings.problems)
            for call in message["tool_calls"]:
                _hold(tools, call["function"])
            if len(findings.problems) > before:
                message |= {"train": False, "train_rule": RULE}
                findings.problems.clear()


def _hold(tools: Tools, function: dict[str, JSON]) -> None:
    try:
        arguments = msgspec.json.decode(function["arguments"])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return  # another rule tells of it
    tools.hold(function["name"], arguments, "")


def _sound(row: Row) -> None:
    """Replace schemas that are none by one that asks for nothing."""
    for at, tool in enumerate(row["tools"]):
        findings = Findings()
        Tools(findings).read([tool])
        if findings.problems:
            function = {**tool["function"], "parameters": {"type": "object", "properties": {}}}
            row["tools"] = [*row["tools"]]
            row["tools"][at] = {**tool, "function": function}
            row["tools_source"] = "mixed"
            row["notes"] = {**row["notes"], "bad_schemas": row["notes"].get("bad_schemas", 0) + 1}
