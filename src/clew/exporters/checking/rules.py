"""The rules by name, and what collects the problems of one row.

A rule's name is stable: drops are counted by it, and `docs/validation.md` has a line for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clew.exporters.base import Problem

if TYPE_CHECKING:
    from clew.model import JSON

Shape = Mapping[str, tuple[type, ...]]
"""Keys and the types that their values may have."""

PROBLEMS_MAX = 200
"""So many problems of one row are told."""

RULES: dict[str, str] = {
    # the file
    "encoding": "UTF-8 without a byte order mark",
    "json": "every line is JSON",
    "object": "every line is a JSON object",
    "line-end": "lines end in LF; U+2028, U+2029 and U+0085 are written as escapes",
    "blank-line": "there is no empty line",
    "line-length": "a line, or a file that is one document, fits into 256 MiB",
    "no-rows": "there is at least one row",
    "other-format": "the row is of the format that was named",
    # the row
    "key-missing": "every key that the format requires is there",
    "key-repeated": "no object has a key twice",
    "key-unknown": "there is no key that the format does not know",
    "type": "every value has the type that the format gives it",
    "value": "a value is one of those that the format knows",
    # the conversation
    "no-messages": "there is at least one message",
    "role": "a role is one that the format knows",
    "role-order": "roles follow one another as the format demands",
    "system-first": "a system message is the first message, and there is only one",
    "content": "content is a string, or parts where the format takes parts; never null",
    "content-empty": "text that the format wants filled is not empty",
    "no-answer": "there is an assistant message to learn from",
    "last-answer": "the last message is the assistant's",
    "weight": "`weight` is 0 or 1 and stands on assistant messages only",
    # calls and results
    "call": "a call has an id, a name and arguments, in the format's shape",
    "call-id": "a call's id has the form that the format takes",
    "call-id-repeated": "no two calls of a row have the same id",
    "call-name": "a function's name has the form that the format takes",
    "arguments-type": "arguments are an object, or its JSON text where the format wants text",
    "arguments-json": "text arguments of a call to learn from are the JSON text of an object",
    "arguments-schema": "the arguments of a call to learn from fit the schema of its tool",
    "arguments-cost": "holding a row's arguments against its schemas takes a bounded effort",
    "result-missing": "every call has a result, right behind the message with the call",
    "result-orphan": "every result answers a call of the message before",
    "result-repeated": "a call has one result",
    "result-order": "results stand in the order of their calls",
    "result-name": "a result names the tool that was called",
    "parallel": "no message calls twice when `parallel_tool_calls` is false",
    # tools
    "tools-missing": "a row with calls has tools",
    "tool": "a tool has a name and a schema, in the format's shape",
    "tool-repeated": "no two tools have the same name",
    "tool-schema": "a tool's schema is JSON Schema, of an object",
    "tool-unknown": "every tool that is called is among the tools",
    "tools-many": "there are no more tools than the format takes",
    # native rows
    "message-id": "messages are numbered m1, m2, … without a gap",
    "train": "`train` is true only for sampled messages that are fit to learn from",
    "lost-result": "after a lost result nothing in the segment is trained",
    "segments": "segments cover the messages, in order and without a gap",
    "time": "times are UTC with milliseconds, the end is not before the beginning, and what was "
    "said is between",
    "summary": "`tool_calls` lists the calls of the messages, in order, with their status",
    "totals": "totals agree with what they sum up",
    # preference pairs
    "pair": "the two sides of a pair differ, and both continue the prompt",
    # ATIF
    "steps": "steps are numbered 1, 2, … without a gap",
    "agent-only": "only agent steps have calls, metrics, reasoning and a model",
    "subagent": "a sub-agent's trajectory has an id of its own, and references lead to one",
    # ShareGPT
    "markup": "tags are closed, and what stands between them is JSON of the right shape",
}
"""Each rule's name, and what it demands."""


class Findings:
    """The problems of one row, in the order in which they were found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._more = 0

    def add(self, rule: str, where: str, text: str) -> None:
        """Take one down. `rule` is a name of `RULES`."""
        if rule not in RULES:
            raise KeyError(rule)
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(rule, where, text))
        else:
            self._more += 1

    def all(self) -> list[Problem]:
        """Them all; when there were too many, the last says of how many it is the last."""
        if self._more:
            rule, where, text = self.problems[-1]
            self.problems[-1] = Problem(rule, where, f"{text} (and {self._more:,} more problems)")
            self._more = 0
        return self.problems

    # --- shapes ----------------------------------------------------------------------------

    def needs(self, row: dict[str, JSON], keys: Shape, where: str) -> None:
        """Each key is there and of one of the types."""
        for key, types in keys.items():
            if key not in row:
                self.add("key-missing", joined(where, key), "is missing: write it")
            elif type(row[key]) not in types:
                self.add("type", joined(where, key), expected(types, row[key]))

    def allows(self, row: dict[str, JSON], keys: Shape, where: str) -> None:
        """Each key, if it is there, is of one of the types."""
        for key, types in keys.items():
            if key in row and type(row[key]) not in types:
                self.add("type", joined(where, key), expected(types, row[key]))

    def only(self, row: dict[str, JSON], keys: frozenset[str], where: str) -> None:
        """There is no other key."""
        for key in row:
            if key not in keys:
                known = ", ".join(sorted(keys))
                text = f"is not a key of the format: leave it out (known: {known})"
                self.add("key-unknown", joined(where, key), text)


def joined(where: str, key: str | int) -> str:
    """A path and what comes below it."""
    name = str(key)
    if len(name) > 80:
        name = f"{name[:80]}…"
    return f"{where}/{name}" if where else name


_NAMES: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def called(value: JSON) -> str:
    """What kind of value it is, in words: `a string`, `null`."""
    if value is True or value is False:
        return "true" if value else "false"
    return _NAMES.get(type(value), "something else")


def expected(types: tuple[type, ...], value: JSON) -> str:
    """`is null: write a string`."""
    wanted = [_NAMES[one] for one in types if not (one is float and int in types)]
    return f"is {called(value)}: write {' or '.join(wanted)}"
