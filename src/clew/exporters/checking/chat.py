"""A conversation as a list of messages with calls and results: what all chat formats share.

A *dialect* says where formats differ. Calls and results are held together here: each call is
answered once, right behind its message, before anything else is said.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from clew.exporters.checking.rules import called

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clew.exporters.checking.rules import Findings
    from clew.exporters.checking.tools import Tools
    from clew.model import JSON


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """Where chat formats differ."""

    roles: frozenset[str]
    text_arguments: bool
    """Arguments are the JSON text of an object; otherwise the object itself."""
    name: re.Pattern[str] | None = None
    """What a function's name must look like."""
    ordered: bool = True
    """Results stand in the order of their calls: chat templates match them by place."""
    named_results: bool = False
    """A result names its tool."""
    silent_calls: bool = False
    """An assistant message with calls may have no content, or null."""
    parts: dict[str, frozenset[str]] = {}
    """Which parts content may be made of, by role; a role that is not here takes a string."""
    keys: frozenset[str] | None = None
    """The keys of a message; `None`: others do no harm."""
    one_system: bool = True
    shown: bool = False
    """It is for people to look at: no tools are needed, and arguments may be any text."""


class Call(msgspec.Struct):
    """A call that waits for its result, or had it."""

    name: str
    where: str
    answered: bool = False


class Talk:
    """Looks at messages, one after the other.

    `trainable` says after `end` how many assistant messages there are to learn from, `last` is
    the role of the last one.
    """

    def __init__(self, dialect: Dialect, tools: Tools, findings: Findings) -> None:
        self._dialect = dialect
        self._tools = tools
        self._findings = findings
        self._ids: set[str] = set()
        self._open: dict[str, Call] = {}
        """Calls of the newest message with calls, by id."""
        self._waiting: list[str] = []
        self._calls = 0
        self.trainable = 0
        self.last = ""

    def read(self, messages: JSON, where: str, *, begins: bool = True) -> None:
        """Look at a list of messages. `begins`: a system message may be the first."""
        if type(messages) is not list:
            text = f"is {called(messages)}: write a list of messages"
            self._findings.add("type", where, text)
            return
        if not messages:
            self._findings.add("no-messages", where, "is empty: leave the row out")
        for index, message in enumerate(messages):
            at = f"{where}/{index}"
            if type(message) is not dict:
                text = f"is {called(message)}: write a message object"
                self._findings.add("type", at, text)
                continue
            self._one(message, at, begins and index == 0)

    def _one(self, message: dict[str, JSON], at: str, first: bool) -> None:
        role = message.get("role")
        dialect = self._dialect
        if type(role) is not str or role not in dialect.roles:
            shown = repr(role)[:40] if type(role) is str else called(role)
            text = f"is {shown}: write one of {', '.join(sorted(dialect.roles))}"
            self._findings.add("role", f"{at}/role", text)
            role = "user"
        if dialect.keys is not None and not dialect.keys.issuperset(message):
            self._findings.only(message, dialect.keys, at)
        if role == "tool":
            self._result(message, at)
        else:
            self.settle()
            if role == "system" and dialect.one_system and not first:
                text = "is a system message behind others: fold it into the next user message"
                self._findings.add("system-first", at, text)
        if type(message.get("content")) is not str:
            self._content(message, role, at)
        if role == "assistant":
            if is_trained(message):
                self.trainable += 1
            if message.get("tool_calls") is not None:
                self.calls(message, at)
        elif "tool_calls" in message:
            text = "only assistant messages call tools: leave it out"
            self._findings.add("call", f"{at}/tool_calls", text)
        self.last = role

    # --- content ---------------------------------------------------------------------------

    def _content(self, message: dict[str, JSON], role: str, at: str) -> None:
        content = message.get("content")
        dialect = self._dialect
        silent = dialect.silent_calls and role == "assistant" and message.get("tool_calls")
        if content is None and silent:
            return
        known = dialect.parts.get(role)
        if known and type(content) is list:
            self._parts(content, known, f"{at}/content")
            return
        what = called(content) if "content" in message else "missing"
        text = f"is {what}: write a string, an empty one for no words"
        self._findings.add("content", f"{at}/content", text)

    def _parts(self, content: Sequence[JSON], known: frozenset[str], where: str) -> None:
        for index, part in enumerate(content):
            at = f"{where}/{index}"
            kind = part.get("type") if type(part) is dict else None
            if type(kind) is not str or kind not in known:
                text = f"is no part of a type that stands here ({', '.join(sorted(known))})"
                self._findings.add("content", at, text)
            elif kind == "text" and type(part.get("text")) is not str:
                self._findings.add("content", f"{at}/text", "is no string: write one")

    # --- calls -----------------------------------------------------------------------------

    def calls(self, message: dict[str, JSON], at: str) -> None:
        """The calls of an assistant message."""
        calls = message["tool_calls"]
        if type(calls) is not list or not calls:
            what = "empty" if calls == [] else called(calls)
            text = f"is {what}: write a list of calls, or leave it out"
            self._findings.add("call", f"{at}/tool_calls", text)
            return
        trained = is_trained(message)
        for index, call in enumerate(calls):
            self._call(call, f"{at}/tool_calls/{index}", trained)

    def _call(self, call: JSON, at: str, trained: bool) -> None:
        function = call.get("function") if type(call) is dict else None
        if type(function) is not dict or call.get("type", "function") != "function":
            text = "is no call in the format's shape: an id, a type and a function"
            self._findings.add("call", at, text)
            return
        id, name = call.get("id"), function.get("name")
        if type(id) is not str or not id:
            self._findings.add("call-id", f"{at}/id", "is no id: give each call one of its own")
            id = at
        elif id in self._ids:
            text = "is the id of another call of this row: give each call one of its own"
            self._findings.add("call-id-repeated", f"{at}/id", text)
        self._ids.add(id)
        if type(name) is not str or not name:
            self._findings.add("call", f"{at}/function/name", "is no name: name the tool")
            name = ""
        else:
            self._named(name, at)
        if id not in self._open:
            self._waiting.append(id)
        self._open[id] = Call(name, at)
        self._calls += 1
        self._arguments(function, name, f"{at}/function/arguments", trained)

    def _named(self, name: str, at: str) -> None:
        form = self._dialect.name
        where = f"{at}/function/name"
        if form is not None and not form.fullmatch(name):
            text = f"{name!r:.90} does not match {form.pattern}: rename tool and calls"
            self._findings.add("call-name", where, text)
        if not self._dialect.shown:
            self._tools.knows(name, where)

    def _arguments(self, function: dict[str, JSON], name: str, at: str, trained: bool) -> None:
        given = function.get("arguments")
        if not self._dialect.text_arguments:
            if type(given) is not dict:
                text = f"are {called(given)}: write an object, not its text"
                self._findings.add("arguments-type", at, text)
            elif trained:
                self._tools.hold(name, given, at)
        elif type(given) is not str:
            text = f"are {called(given)}: write the JSON text of an object"
            self._findings.add("arguments-type", at, text)
        elif trained and not self._dialect.shown:
            value = object_of(given)
            if value is None:
                text = "is not the JSON text of an object: leave the message out of training"
                self._findings.add("arguments-json", at, text)
            else:
                self._tools.hold(name, value, at)

    # --- results ---------------------------------------------------------------------------

    def _result(self, message: dict[str, JSON], at: str) -> None:
        id = message.get("tool_call_id")
        found = self._open.get(id) if type(id) is str else None
        where = f"{at}/tool_call_id"
        if found is None:
            what = "answers no call of the message before" if type(id) is str else "is no id"
            self._findings.add("result-orphan", where, f"{what}: leave the result out")
            return
        if found.answered:
            text = "answers a call that has its result already: keep one"
            self._findings.add("result-repeated", where, text)
            return
        found.answered = True
        if self._dialect.ordered and self._waiting[0] != id:
            text = "comes before the result of an earlier call: put results in the calls' order"
            self._findings.add("result-order", where, text)
        self._waiting.remove(str(id))
        if self._dialect.named_results and message.get("name") != found.name:
            text = f"is not the name of the tool that was called, {found.name!r:.90}"
            self._findings.add("result-name", f"{at}/name", text)

    def settle(self) -> None:
        """Something else is said: whatever still waits is told, and nothing is waited for."""
        for id in self._waiting:
            text = "has no result before the next message: add one, or cut the row before it"
            self._findings.add("result-missing", self._open[id].where, text)
        if self._open:
            self._open, self._waiting = {}, []

    def end(self, *, open_end: bool = False) -> None:
        """The messages are over. `open_end`: calls of the last one may be unanswered."""
        if open_end and self.last == "assistant":
            self._waiting = []
        self.settle()
        if self._calls and not self._tools.given and not self._dialect.shown:
            text = f"there are {self._calls} calls and no tools: add the tools' schemas"
            self._findings.add("tools-missing", "tools", text)


def is_trained(message: dict[str, JSON]) -> bool:
    """Whether a trainer learns from an assistant message, as far as the message says."""
    return message.get("train") is not False and message.get("weight") != 0


def object_of(text: str) -> dict[str, JSON] | None:
    """The object that a JSON text stands for; `None` when it is none."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return value if type(value) is dict else None


def needs_answer(talk: Talk, findings: Findings, where: str = "messages") -> None:
    """A row to learn from has an assistant message that is trained."""
    if not talk.trainable:
        text = "has no assistant message to learn from: leave the row out"
        findings.add("no-answer", where, text)
