"""OpenCode's sessions: a file that `opencode import` takes.

    clew/<session>.json     {"info": session, "messages": [{"info": message, "parts": [...]}]}

OpenCode keeps its sessions in a database of its own. Nobody else should write there, so a file is
put beside it, in the form that `opencode export` gives, and the command imports it first; the
folder in which it is imported becomes that of the session. A call and its result are one part. A
summary is a prompt with a `compaction` part and an answer marked `summary`: the model sees
nothing that stands before them.

Messages are sorted by their ids, which real ones make from the time: 48 bits of it, which begin
anew every 2.2 years. Ours count from zero, so that whatever is said later sorts behind.

Source: `packages/opencode/src/session/` of OpenCode; tried with 1.18.33.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from clew.exporters.base import iso
from clew.model import (
    JSON,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
)
from clew.shapes import base
from clew.shapes.ids import tool_name
from clew.writers import lost
from clew.writers.base import Conversation, Losses, Written, command, digest, line
from clew.writers.summing import parted, words_of

name = "opencode"

VERSION: Final = "1.18.33"
"""The version whose format it is."""
MODEL: Final = ("opencode", "unknown")
"""Provider and model where neither is known."""
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TAIL_CHARS: Final = 14


def home(home: Path, env: Mapping[str, str]) -> Path:
    """`opencode` below `$XDG_DATA_HOME`, else below `~/.local/share`."""
    told = env.get("XDG_DATA_HOME", "").strip()
    base_ = Path(told).expanduser() if told else home / ".local" / "share"
    return base_ / "opencode"


def write(conversation: Conversation, target: Path) -> Written:
    """See `Writer.write`. What is in the target makes no difference."""
    compacted, summary, messages = parted(conversation)
    file = _File(conversation)
    file.say_all(conversation.earlier)
    if compacted:
        file.begin_anew(summary)
    file.say_all(messages)
    info = {
        "id": file.session,
        "slug": f"clew-{file.session[-_TAIL_CHARS:].lower()}",
        "projectID": "global",
        "directory": conversation.cwd or "/",
        "path": "",
        "title": conversation.title or "Handed over by Clew",
        "version": VERSION,
        "time": {"created": file.begun, "updated": file.time},
    }
    path = f"clew/{file.session}.json"
    raw = line({"info": info, "messages": file.messages})
    words = _command(conversation.cwd, target / path, file.session)
    return Written({path: raw}, file.session, words, file.losses.listed())


def _command(cwd: str | None, file: Path, session: str) -> str:
    takes = command(cwd, "opencode", "import", str(file))
    return f"{takes} && {command(None, 'opencode', '--session', session)}"


class _File:
    """The messages of a file, as they are added."""

    def __init__(self, conversation: Conversation) -> None:
        self.messages: list[JSON] = []
        self.losses = Losses()
        self.session = f"ses_{_tail(conversation, 'session', 12 + _TAIL_CHARS)}"
        times = (*(m.time_ms for m in conversation.messages), conversation.created_ms)
        self.begun = self.time = next((time_ms for time_ms in times if iso(time_ms)), 1)
        self._conversation = conversation
        self._count = 0
        self._asked: str | None = None
        """The prompt that answers belong to."""
        self._model = (conversation.provider or MODEL[0], conversation.model or MODEL[1])

    def begin_anew(self, summary: Message | None) -> None:
        """A summary, before which a model sees nothing."""
        message = summary or Message("user", ())
        self._set_time(message)
        words = words_of(summary, self.losses)
        self._prompt(self._id("msg"), [{"type": "compaction", "auto": False}])
        spent = {"start": self.time, "end": self.time}
        parts: list[dict[str, JSON]] = [{"type": "text", "text": words, "time": spent}]
        self._reply(self._id("msg"), message, parts, mode="compaction")

    def say_all(self, messages: Sequence[Message]) -> None:
        """Some messages with their parts."""
        for at, message in enumerate(messages):
            self._say(message, messages[at + 1 :])

    def _say(self, message: Message, behind: Sequence[Message]) -> None:
        """A message with its parts. Results stand beside the calls that they answer."""
        self._set_time(message)
        if message.role == "assistant":
            self._answer(message, behind)
        elif message.role != "tool":
            self._ask(message)

    # --- prompts ---

    def _ask(self, message: Message) -> None:
        id = self._id("msg")
        parts = [found for part in message.parts if (found := self._said(part, message))]
        if message.role == "system":
            self.losses.add(lost.MIDDLE, message.at)
        if message.meta or message.role == "system":
            parts = [part | {"synthetic": True} if part["type"] == "text" else part
                     for part in parts]  # fmt: skip
        if parts:
            self._prompt(id, parts)

    def _prompt(self, id: str, parts: Sequence[dict[str, JSON]]) -> None:
        provider, model = self._model
        info = {
            "role": "user",
            "time": {"created": self.time},
            "agent": "build",
            "model": {"providerID": provider, "modelID": model},
        }
        self._asked = id
        self._add(id, info, parts)

    # --- answers ---

    def _answer(self, message: Message, behind: Sequence[Message]) -> None:
        results = _results(behind)
        parts: list[dict[str, JSON]] = [{"type": "step-start"}]
        for part in message.parts:
            if isinstance(part, ToolCall):
                parts.append(self._call(part, results.get(part.id), message))
            elif isinstance(part, Thinking):
                parts += self._thought(part, message)
            elif isinstance(part, Image | File):
                self.losses.add(lost.MEDIA, message.at)
                parts.append({"type": "text", "text": base.left_out(part)})
            elif (found := self._said(part, message)) is not None:
                parts.append(found)
        if len(parts) == 1:
            return
        finish = "tool-calls" if message.tool_calls else "stop"
        parts.append({"type": "step-finish", "reason": finish, "cost": 0, "tokens": _tokens()})
        if self._asked is None:
            self.losses.add(lost.BEGIN, message.at)
            self._prompt(self._id("msg"), [{"type": "text", "text": base.EARLIER}])
        self._reply(self._id("msg"), message, parts, mode="build", finish=finish)

    def _reply(
        self,
        id: str,
        message: Message,
        parts: Sequence[dict[str, JSON]],
        *,
        mode: str,
        finish: str = "stop",
    ) -> None:
        provider, model = self._model
        info: dict[str, JSON] = {
            "parentID": self._asked,
            "role": "assistant",
            "mode": mode,
            "agent": mode,
            "path": {"cwd": self._conversation.cwd or "/", "root": self._conversation.cwd or "/"},
            "cost": 0,
            "tokens": _tokens(),
            "modelID": message.model or model,
            "providerID": provider,
            "time": {"created": self.time, "completed": self.time},
            "finish": finish,
        }
        if mode == "compaction":
            info["summary"] = True
        self._add(id, info, parts)

    def _thought(self, part: Thinking, message: Message) -> list[dict[str, JSON]]:
        if part.signature or part.data:
            self.losses.add(lost.REASONING, message.at)
        if not part.text.strip():
            return []
        spent = {"start": self.time, "end": self.time}
        return [{"type": "reasoning", "text": part.text, "time": spent}]

    def _call(self, call: ToolCall, result: ToolResult | None, message: Message) -> dict[str, JSON]:
        words, media = self._given(result, message)
        spent = {"start": self.time, "end": self.time}
        state: dict[str, JSON] = {
            "status": "completed",
            "input": base.as_object(call.arguments),
            "output": words,
            "title": "",
            "metadata": {},
            "time": spent,
        }
        if result is not None and result.is_error:
            state = {
                "status": "error",
                "input": state["input"],
                "error": words or "It failed without words.",
                "time": spent,
            }
            if media:
                self.losses.add(lost.MEDIA, message.at)
        elif media:
            state["attachments"] = media
        fit = tool_name(call.name)
        if fit != call.name:
            self.losses.add(lost.NAMES, message.at)
        return {"type": "tool", "tool": fit, "callID": call.id, "state": state}

    def _given(
        self, result: ToolResult | None, message: Message
    ) -> tuple[str, list[dict[str, JSON]]]:
        """The words of a result, and what is no words."""
        found = [self._said(part, message) for part in (result.parts if result else ())]
        words = "\n".join(part["text"] for part in found if part and part["type"] == "text")
        return words, [part for part in found if part and part["type"] == "file"]

    # --- the pieces ---

    def _set_time(self, message: Message) -> None:
        if iso(message.time_ms):
            self.time = max(self.time, message.time_ms)

    def _said(self, part: Part, message: Message) -> dict[str, JSON] | None:
        match part:
            case Text(words):
                return {"type": "text", "text": words} if words else None
            case Image(data=str(data)) | File(data=str(data)) if data and part.media_type:
                url = base.data_url(part.media_type, data)
                name_ = part.name if isinstance(part, File) else None
                told = {"type": "file", "mime": part.media_type, "url": url}
                return told | {"filename": name_ or "attachment"}
            case ToolCall() | ToolResult() | Thinking():
                return None
        self.losses.add(lost.BLOCKS if isinstance(part, Unknown) else lost.MEDIA, message.at)
        return {"type": "text", "text": base.left_out(part)}

    def _add(self, id: str, info: dict[str, JSON], parts: Sequence[dict[str, JSON]]) -> None:
        for part in parts:
            part |= {"id": self._id("prt"), "sessionID": self.session, "messageID": id}
            state = part.get("state")
            for each in state.get("attachments", []) if isinstance(state, dict) else []:
                each |= {"id": self._id("prt"), "sessionID": self.session, "messageID": id}
        said = info | {"id": id, "sessionID": self.session}
        self.messages.append({"info": said, "parts": list(parts)})

    def _id(self, kind: str) -> str:
        """The next id: a place in the order, and a tail that no other session has."""
        self._count += 1
        tail = _tail(self._conversation, f"{kind}{self._count}", _TAIL_CHARS)
        return f"{kind}_{self._count:012x}{tail}"


def _tail(conversation: Conversation, what: str, chars: int) -> str:
    number, tail = int.from_bytes(digest(conversation, "opencode", what), "big"), ""
    for _ in range(chars):
        number, digit = divmod(number, len(_DIGITS))
        tail += _DIGITS[digit]
    return tail


def _tokens() -> JSON:
    """None: they were used elsewhere."""
    return {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}


def _results(behind: Sequence[Message]) -> dict[str, ToolResult]:
    """The results of the run that an answer belongs to, by the call's id."""
    for message in behind:
        if message.role == "tool":
            return {result.call_id: result for result in message.tool_results}
        if message.role != "assistant":
            break
    return {}
