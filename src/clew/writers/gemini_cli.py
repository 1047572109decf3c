"""Gemini CLI's sessions: one file of JSON lines below the folder of its project.

    tmp/<slug>/chats/session-<time>-<first eight of the id>.jsonl
    tmp/<slug>/.project_root      whose slug it is; written only where the project has none yet

The program lists a session when it begins with a header and somebody says something in it. An
answer holds its tool calls, and each call its result. A prompt that begins with `/` or `?`, and
what the program itself injects, is left out of what the model sees when a session is resumed:
words go before such a prompt, or it would be gone.

Source: `chatRecordingService.ts`, `sessionUtils.ts` and `projectRegistry.ts` of Gemini CLI; tried
with 0.61.0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from clew.exporters.base import iso
from clew.importers.gemini_records import typed
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
from clew.writers.base import (
    Conversation,
    Losses,
    Written,
    command,
    line,
    uuid4_of,
)
from clew.writers.summing import parted, words_of

name = "gemini-cli"

REGISTER_BYTES_MAX: Final = 4 << 20
OWNER_BYTES_MAX: Final = 16 << 10
_ROOTS: Final = ("tmp", "history")
_OWNER: Final = ".project_root"
_LEFT_OUT: Final = ("/", "?", "<session_context>", "<hook_context>")
_SAID: Final = "I said:\n"
"""What goes before a prompt that the program would leave out."""
SUMMARY: Final = "<state_snapshot>"
"""How the program's own summaries begin."""
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,200}")
_NO_SLUG = re.compile(r"[^a-z0-9]+")


def home(home: Path, env: Mapping[str, str]) -> Path:
    """`.gemini` below `$GEMINI_CLI_HOME`, else below the home folder."""
    told = env.get("GEMINI_CLI_HOME")
    return (Path(told).expanduser() if told else home) / ".gemini"


def write(conversation: Conversation, target: Path) -> Written:
    """See `Writer.write`. The target is asked which slug the project has."""
    compacted, summary, messages = parted(conversation)
    losses = Losses()
    session = uuid4_of(conversation, "gemini-cli", "session")
    begun = next(
        (m.time_ms for m in conversation.messages if iso(m.time_ms)), conversation.created_ms
    )
    stamp = iso(begun) or "1970-01-01T00:00:00.001Z"
    cwd = conversation.cwd or "/"
    rows = _Rows(conversation, losses, stamp)
    rows.say_all(conversation.earlier)
    if compacted:
        rows.begin_anew(summary)
    rows.say_all(messages)
    header: dict[str, JSON] = {
        "sessionId": session,
        "projectHash": hashlib.sha256(cwd.encode("utf-8", "surrogatepass")).hexdigest(),
        "startTime": stamp,
        "lastUpdated": rows.stamp,
        "kind": "main",
    }
    if conversation.title:
        header["summary"] = conversation.title
    slug, known = _slug(target, cwd)
    file = f"tmp/{slug}/chats/session-{stamp[:16].replace(':', '-')}-{session[:8]}.jsonl"
    files = {file: b"".join(map(line, [header, *rows.rows]))}
    if not known:
        files[f"tmp/{slug}/{_OWNER}"] = cwd.encode("utf-8", "surrogatepass")
    words = command(cwd, "gemini", "--resume", session)
    return Written(files, session, words, losses.listed())


# --- the project's folder ----------------------------------------------------------------


def _slug(target: Path, cwd: str) -> tuple[str, bool]:
    """The name of a project's folder, and whether the program knows it by that name: from the
    register, from the marks in the folders, or the next free one made of the project's name.
    """
    registered = _register(target)
    told = registered.get(cwd)
    if told and all(_owner(target / root / told) in (None, cwd) for root in _ROOTS):
        return told, True
    for folder in _folders(target):
        if _owner(folder) == cwd and _SLUG.fullmatch(folder.name):
            return folder.name, True
    stem = _NO_SLUG.sub("-", Path(cwd).name.lower()).strip("-")[:100] or "project"
    taken, number, slug = set(registered.values()), 0, stem
    while slug in taken or any((target / root / slug).exists() for root in _ROOTS):
        if (target / "tmp" / slug / _OWNER).is_file() and _owner(target / "tmp" / slug) == cwd:
            break
        number += 1
        slug = f"{stem}-{number}"
    return slug, False


def _register(target: Path) -> dict[str, str]:
    """The program's register: the slug of each project's folder, those that are safe names."""
    try:
        with (target / "projects.json").open("rb") as file:
            found = msgspec.json.decode(file.read(REGISTER_BYTES_MAX))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    projects = found.get("projects") if isinstance(found, dict) else None
    items = projects.items() if isinstance(projects, dict) else ()
    return {path: slug for path, slug in items if isinstance(slug, str) and _SLUG.fullmatch(slug)}


def _folders(target: Path) -> Iterator[Path]:
    for root in _ROOTS:
        try:
            yield from sorted(each for each in (target / root).iterdir() if each.is_dir())
        except OSError:
            continue


def _owner(folder: Path) -> str | None:
    """The project that a folder is marked with."""
    try:
        with (folder / _OWNER).open("rb") as file:
            return file.read(OWNER_BYTES_MAX).decode().strip()
    except (OSError, UnicodeDecodeError):
        return None


# --- messages ----------------------------------------------------------------------------


class _Rows:
    """The messages of a file, as they are added."""

    def __init__(self, conversation: Conversation, losses: Losses, stamp: str) -> None:
        self.rows: list[dict[str, JSON]] = []
        self.stamp = stamp
        self._conversation = conversation
        self._losses = losses

    def begin_anew(self, summary: Message | None) -> None:
        """A summary, which takes the place of all messages so far."""
        if summary is not None:
            self.stamp = max(self.stamp, iso(summary.time_ms) or "")
        words = words_of(summary, self._losses)
        if not words.lstrip().startswith(SUMMARY):
            words = f"{SUMMARY}\n{words}\n</state_snapshot>"
        self.rows.append({"$set": {"messages": [self._row("user", content=[{"text": words}])]}})

    def say_all(self, messages: Sequence[Message]) -> None:
        """The records of some messages."""
        for at, message in enumerate(messages):
            self._say(message, messages[at + 1 :])

    def _say(self, message: Message, behind: Sequence[Message]) -> None:
        """The record of a message. Results stand in the answer that asked for them."""
        self.stamp = max(self.stamp, iso(message.time_ms) or "")
        if message.role == "assistant":
            self._answer(message, _results(behind))
        elif message.role != "tool":
            self._ask(message)

    def _add(self, kind: str, **facts: JSON) -> None:
        self.rows.append(self._row(kind, **facts))

    def _ask(self, message: Message) -> None:
        parts = [part for each in message.parts if (part := self._part(each, message))]
        if not parts:
            return
        words = message.text
        if message.role == "system":
            self._losses.add(lost.MIDDLE, message.at)
        if words.strip().startswith(_LEFT_OUT):
            self._losses.add(
                "prompts that the agent would skip: words stand before them", message.at
            )
            parts.insert(0, {"text": _SAID})
        if message.meta and typed({"type": "user", "content": parts}) is not None:
            self._losses.add(lost.INJECTED, message.at)
        self._add("user", content=parts)

    def _row(self, kind: str, **facts: JSON) -> dict[str, JSON]:
        id = uuid4_of(self._conversation, "message", str(len(self.rows)))
        return {"id": id, "timestamp": self.stamp, "type": kind, **facts}

    def _answer(self, message: Message, results: dict[str, ToolResult]) -> None:
        """A record has its words before its calls: what is said behind them is one more."""
        parts: list[JSON] = []
        calls: list[JSON] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                calls.append(self._call(part, results.get(part.id), message))
            elif isinstance(part, Thinking):
                self._losses.add(lost.REASONING, message.at)
            elif (found := self._part(part, message)) is not None:
                if calls:
                    self._said(message, parts, calls)
                    parts, calls = [], []
                parts.append(found)
        if parts or calls:
            self._said(message, parts, calls)

    def _said(self, message: Message, parts: list[JSON], calls: list[JSON]) -> None:
        facts: dict[str, JSON] = {"content": parts, "thoughts": []}
        if message.model:
            facts["model"] = message.model
        if calls:
            facts["toolCalls"] = calls
        self._add("gemini", **facts)

    def _call(self, call: ToolCall, result: ToolResult | None, message: Message) -> JSON:
        name = tool_name(call.name)
        if name != call.name:
            self._losses.add(lost.NAMES, message.at)
        failed = result is not None and result.is_error
        parts = result.parts if result is not None else ()
        words = "\n".join(part.text for part in parts if isinstance(part, Text))
        said = {"error" if failed else "output": words}
        response: dict[str, JSON] = {"id": call.id, "name": name, "response": said}
        given: list[JSON] = [{"functionResponse": response}]
        media = (self._part(part, message) for part in parts if not isinstance(part, Text))
        given += [part for part in media if part is not None]
        return {
            "id": call.id,
            "name": name,
            "args": base.as_object(call.arguments),
            "result": given,
            "status": "error" if failed else "success",
            "timestamp": self.stamp,
            "displayName": name,
            "description": "",
            "resultDisplay": words,
            "renderOutputAsMarkdown": False,
        }

    def _part(self, part: Part, message: Message) -> dict[str, JSON] | None:
        match part:
            case Text(words):
                return {"text": words} if words else None
            case Image(data=str(data)) | File(data=str(data)) if data and part.media_type:
                return {"inlineData": {"mimeType": part.media_type, "data": data}}
            case ToolCall() | ToolResult() | Thinking():
                return None
        self._losses.add(lost.BLOCKS if isinstance(part, Unknown) else lost.MEDIA, message.at)
        return {"text": base.left_out(part)}


def _results(behind: Sequence[Message]) -> dict[str, ToolResult]:
    """The results that follow an answer, by the call's id."""
    found: dict[str, ToolResult] = {}
    for message in behind:
        if message.role == "tool":
            found |= {result.call_id: result for result in message.tool_results}
            break
        if message.role != "assistant":
            break
    return found
