"""Tools of a row: their shape, their schemas, and whether arguments fit them.

Rows of one export repeat their tools, so what was made of a schema is kept, by its digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from clew.exporters.checking.rules import called, joined
from clew.exporters.checking.schema import BadSchema, Check, Steps, TooCostly, compiled

if TYPE_CHECKING:
    from clew.exporters.checking.rules import Findings
    from clew.model import JSON

KEPT_MAX = 256
KEPT_BYTES_MAX = 64 << 10
OPENAI_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""Names of functions as the OpenAI API takes them."""
ANTHROPIC_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")

Unwrap = Callable[["JSON"], "tuple[JSON, JSON] | None"]
"""Gives a tool's name and its schema (`None`: it has none); `None` when the shape is wrong."""

_kept: dict[bytes, Check | BadSchema] = {}


def openai_tool(tool: JSON) -> tuple[JSON, JSON] | None:
    """`{"type": "function", "function": {"name", "description", "parameters"}}`."""
    if type(tool) is not dict or tool.get("type") != "function":
        return None
    return flat_tool(tool.get("function"))


def flat_tool(tool: JSON) -> tuple[JSON, JSON] | None:
    """`{"name", "description", "parameters"}`."""
    if type(tool) is not dict or type(tool.get("description", "")) is not str:
        return None
    return tool.get("name"), tool.get("parameters")


def anthropic_tool(tool: JSON) -> tuple[JSON, JSON] | None:
    """`{"name", "description", "input_schema"}`; the schema is not optional there."""
    if type(tool) is not dict or type(tool.get("description", "")) is not str:
        return None
    return tool.get("name"), tool.get("input_schema", False)


class Tools:
    """The tools of one row, by name. `given` is false when the row has none. With `names_only`
    schemas are not looked into.
    """

    def __init__(self, findings: Findings, *, names_only: bool = False) -> None:
        self._findings = findings
        self._names_only = names_only
        self._checks: dict[str, Check | None] = {}
        self._steps = Steps()
        self.given = False

    def read(
        self,
        tools: JSON,
        unwrap: Unwrap = openai_tool,
        *,
        name: re.Pattern[str] | None = None,
        most: int | None = None,
        where: str = "tools",
    ) -> Tools:
        """Take the tools of a row, null or a list; says what is wrong with them."""
        if tools is None:
            return self
        if type(tools) is not list:
            text = f"is {called(tools)}: write a list of tools, or leave it out"
            self._findings.add("type", where, text)
            return self
        if most is not None and len(tools) > most:
            text = f"has {len(tools)} tools; the format takes {most}: keep those that are called"
            self._findings.add("tools-many", where, text)
        self.given = bool(tools)
        for index, tool in enumerate(tools):
            self._one(tool, unwrap, name, joined(where, index))
        return self

    def _one(self, tool: JSON, unwrap: Unwrap, form: re.Pattern[str] | None, where: str) -> None:
        found = unwrap(tool)
        if found is None:
            text = "is not a tool in the format's shape, with a name, a description and a schema"
            self._findings.add("tool", where, text)
            return
        name, schema = found
        if type(name) is not str or not name:
            self._findings.add("tool", where, f"its name is {called(name)}: write a name")
            return
        if form is not None and not form.fullmatch(name):
            text = f"the name {name!r:.90} does not match {form.pattern}: rename tool and calls"
            self._findings.add("call-name", where, text)
        if name in self._checks:
            text = f"a tool {name!r:.90} is there already: keep one"
            self._findings.add("tool-repeated", where, text)
        self._checks[name] = self._compiled(schema, where)

    def _compiled(self, schema: JSON, where: str) -> Check | None:
        if schema is None:
            return None
        if type(schema) is not dict:
            text = f"its schema is {called(schema)}: write a JSON Schema object"
            self._findings.add("tool-schema", where, text)
            return None
        if self._names_only:
            return None
        if schema.get("type", "object") != "object":
            text = "its schema is not that of an object: arguments are objects"
            self._findings.add("tool-schema", where, text)
            return None
        made = _made(schema)
        if isinstance(made, BadSchema):
            self._findings.add("tool-schema", where, f"its schema is none: {made}")
            return None
        return made

    def knows(self, name: str, where: str) -> bool:
        """Whether a tool of the name is there; if not, says so."""
        if name in self._checks:
            return True
        if self.given:
            text = f"calls {name!r:.90}, which is not among the tools: add its schema"
            self._findings.add("tool-unknown", where, text)
        return False

    def hold(self, name: str, arguments: JSON, where: str) -> None:
        """Hold the arguments of a call against the schema of its tool."""
        check = self._checks.get(name)
        if check is None:
            return
        try:
            found = check(arguments, self._steps)
        except TooCostly:
            self._findings.add("arguments-cost", where, "its schema takes too long to follow")
            self._checks[name] = None
            return
        if found is not None:
            text = f"{found.where or 'the object'} {found.text}: {name!r:.90} was called wrongly"
            self._findings.add("arguments-schema", where, f"{text}; do not train on this message")


def _made(schema: dict[str, JSON]) -> Check | BadSchema:
    try:
        data = msgspec.json.encode(schema)
    except (UnicodeEncodeError, RecursionError):
        return BadSchema("it holds half a character, or is nested too deep")
    key = hashlib.blake2b(data, digest_size=16).digest()
    found = _kept.get(key)
    if found is None:
        found = _made_anew(schema)
        if len(data) <= KEPT_BYTES_MAX:
            if len(_kept) >= KEPT_MAX:
                _kept.clear()
            _kept[key] = found
    return found


def _made_anew(schema: dict[str, JSON]) -> Check | BadSchema:
    try:
        return compiled(schema)
    except BadSchema as error:
        return BadSchema(str(error))
    except RecursionError:
        return BadSchema("it is nested too deep")
