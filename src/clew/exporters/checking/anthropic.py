"""Anthropic's Messages: content blocks, calls as `tool_use`, results first in the next message.

Source: the Messages API and its errors: `messages`, `system`, `tools`; roles alternate and the
first is the user's; every `tool_use` is answered by a `tool_result` at the beginning of the next
message; ids match `^[a-zA-Z0-9_-]+$`; text blocks are not empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clew.exporters.checking.chat import is_trained
from clew.exporters.checking.rules import Findings, called
from clew.exporters.checking.tools import ANTHROPIC_NAME, Tools, anthropic_tool

if TYPE_CHECKING:
    from clew.exporters.base import Problem, Row
    from clew.model import JSON

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_BLOCKS = {
    "user": frozenset({"text", "tool_result", "image", "document"}),
    "assistant": frozenset({"text", "tool_use", "thinking"}),
}
_INSIDE = frozenset({"text", "image", "document"})


def check(row: Row) -> list[Problem]:
    """Why the API would refuse the conversation."""
    findings = Findings()
    messages = row.get("messages")
    if type(messages) is not list:
        rule = "type" if "messages" in row else "key-missing"
        findings.add(rule, "messages", "is not there as a list: write the conversation")
        return findings.all()
    tools = Tools(findings).read(row.get("tools"), anthropic_tool, name=ANTHROPIC_NAME)
    if "system" in row and type(row["system"]) is not str:
        _system(row["system"], findings)
    if not messages:
        findings.add("no-messages", "messages", "is empty: leave the row out")
    _Reader(tools, findings).read(messages)
    return findings.all()


def _system(system: JSON, findings: Findings) -> None:
    blocks = system if type(system) is list else [None]
    if not all(type(one) is dict and one.get("type") == "text" for one in blocks):
        findings.add("content", "system", f"is {called(system)}: write a string or text blocks")


class _Reader:
    def __init__(self, tools: Tools, findings: Findings) -> None:
        self._tools = tools
        self._findings = findings
        self._ids: set[str] = set()
        self._open: list[str] = []
        """Calls of the message before, in order."""
        self._calls = 0

    def read(self, messages: list[JSON]) -> None:
        before = ""
        answers = 0
        for index, message in enumerate(messages):
            at = f"messages/{index}"
            role = message.get("role") if type(message) is dict else None
            if type(message) is not dict or type(role) is not str or role not in _BLOCKS:
                text = "is no message of the user or the assistant"
                self._findings.add("role", f"{at}/role", text)
                continue
            if role == before or (not before and role != "user"):
                text = "roles alternate and begin with the user's: put neighbours together"
                self._findings.add("role-order", f"{at}/role", text)
            before = role
            answers += role == "assistant" and is_trained(message)
            self._message(message, role, at)
        if self._open and before == "assistant":
            self._open = []  # the calls of the last message are what is learned
        self._settle("messages")
        if not answers:
            text = "has no assistant message to learn from: leave the row out"
            self._findings.add("no-answer", "messages", text)
        if self._calls and not self._tools.given:
            text = f"there are {self._calls} calls and no tools: add the tools' schemas"
            self._findings.add("tools-missing", "tools", text)

    def _message(self, message: Row, role: str, at: str) -> None:
        content = message.get("content")
        waiting, self._open = self._open, []
        if type(content) is str:
            if not content.strip():
                self._findings.add("content-empty", f"{at}/content", "is empty: leave it out")
            content = []
        elif type(content) is not list or not content:
            text = f"is {'empty' if content == [] else called(content)}: write a string or blocks"
            self._findings.add("content", f"{at}/content", text)
            content = []
        answered: list[str] = []
        spoken = False
        trained = is_trained(message)
        for number, block in enumerate(content):
            where = f"{at}/content/{number}"
            kind = block.get("type") if type(block) is dict else None
            if type(kind) is not str or kind not in _BLOCKS[role]:
                text = f"is no block of the {role}'s ({', '.join(sorted(_BLOCKS[role]))})"
                self._findings.add("content", where, text)
                continue
            if kind == "tool_result":
                self._result(block, waiting, answered, spoken, where)
            elif kind == "tool_use":
                self._call(block, where, trained)
            elif kind == "text":
                self._text(block, where)
            spoken = spoken or kind != "tool_result"
        self._open, left = self._open, [id for id in waiting if id not in answered]
        self._missing(left, at)

    def _settle(self, at: str) -> None:
        self._missing(self._open, at)
        self._open = []

    def _missing(self, ids: list[str], at: str) -> None:
        for id in ids:
            text = f"has no result for call {id!r:.90} of the message before: add a tool_result"
            self._findings.add("result-missing", at, text)

    def _text(self, block: Row, where: str) -> None:
        if type(block.get("text")) is not str:
            self._findings.add("content", f"{where}/text", "is no string: write one")
        elif not block["text"].strip():
            self._findings.add("content-empty", f"{where}/text", "is empty: leave the block out")

    def _call(self, block: Row, where: str, trained: bool) -> None:
        self._calls += 1
        id, name, given = block.get("id"), block.get("name"), block.get("input")
        if type(id) is not str or not _ID.fullmatch(id):
            text = f"is no id that matches {_ID.pattern}: rename it, and its result's"
            self._findings.add("call-id", f"{where}/id", text)
            id = where
        elif id in self._ids:
            text = "is the id of another call of this row: give each call one of its own"
            self._findings.add("call-id-repeated", f"{where}/id", text)
        self._ids.add(id)
        self._open.append(id)
        if type(name) is not str or not ANTHROPIC_NAME.fullmatch(name):
            text = f"is no name that matches {ANTHROPIC_NAME.pattern}: rename tool and calls"
            self._findings.add("call-name", f"{where}/name", text)
            return
        known = self._tools.knows(name, f"{where}/name")
        if type(given) is not dict:
            text = f"is {called(given)}: write an object"
            self._findings.add("arguments-type", f"{where}/input", text)
        elif known and trained:
            self._tools.hold(name, given, f"{where}/input")

    def _result(
        self, block: Row, waiting: list[str], answered: list[str], spoken: bool, where: str
    ) -> None:
        id = block.get("tool_use_id")
        if id not in waiting:
            text = "answers no call of the message before: leave it out"
            self._findings.add("result-orphan", f"{where}/tool_use_id", text)
        elif id in answered:
            text = "answers a call that has its result already: keep one"
            self._findings.add("result-repeated", f"{where}/tool_use_id", text)
        else:
            answered.append(str(id))
        if spoken:
            text = "stands behind other blocks: results come first in their message"
            self._findings.add("result-order", where, text)
        content = block.get("content", "")
        if type(content) is str:
            return
        blocks = content if type(content) is list else [None]
        if not all(type(one) is dict and one.get("type") in _INSIDE for one in blocks):
            text = "is no string and no list of text, image and document blocks"
            self._findings.add("content", f"{where}/content", text)
