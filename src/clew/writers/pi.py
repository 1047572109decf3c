"""pi's sessions, written: `sessions/--<cwd>--/<time>_<session>.jsonl`, version 3.

A header, then entries in one line of descent. A compaction names the first entry that it kept:
here the first one behind what it hid. Source: `session-manager.ts`, `messages.ts` and
`docs/session-format.md` of pi-coding-agent 0.73 and 0.74.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
from clew.shapes import anthropic
from clew.shapes.base import left_out
from clew.shapes.ids import shorten
from clew.writers import lost
from clew.writers.base import (
    NAME_BYTES_MAX,
    Conversation,
    Losses,
    Written,
    call_input,
    command,
    digest,
    line,
    says_nothing,
    uuid7_of,
)
from clew.writers.summing import parted, words_of

name = "pi"

FORMAT_VERSION: Final = 3
VARIABLE: Final = "PI_CODING_AGENT_DIR"
INJECTED: Final = "clew"
"""The `customType` of text that no person typed."""
EPOCH: Final = "1970-01-01T00:00:00.000Z"

_APIS: Final = {
    "anthropic": "anthropic-messages",
    "openai": "openai-responses",
    "google": "google-generative-ai",
}
_NO_SLUG = re.compile(r"[/\\:]")
_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NO_USAGE: Final = {
    **dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "totalTokens"), 0),
    "cost": dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "total"), 0),
}


def home(home: Path, env: Mapping[str, str]) -> Path:
    """`$PI_CODING_AGENT_DIR`, else `~/.pi/agent`."""
    told = env.get(VARIABLE)
    return Path(told).expanduser() if told else home / ".pi" / "agent"


def slug(cwd: str) -> str:
    """The name of a folder's sessions, as pi makes it. What no name of a file may hold is a
    dash, and a long name is cut: pi would not find such a folder either way.
    """
    inner = _NO_SLUG.sub("-", cwd[1:] if cwd[:1] in ("/", "\\") else cwd)
    inner = _UNFIT.sub("-", inner)
    while len(f"--{inner}--".encode()) > NAME_BYTES_MAX:
        inner = shorten(inner, len(inner) * 9 // 10)
    return f"--{inner}--"


def file_name(time: str, session: str) -> str:
    """The name of a session's file. `time` is the header's, in ISO's form."""
    return f"{re.sub('[:.]', '-', time)}_{session}.jsonl"


def write(conversation: Conversation, target: Path) -> Written:
    """See `Writer.write`. Raises `Invalid` for a conversation without a message."""
    cwd = conversation.cwd or "/"
    session = uuid7_of(conversation, conversation.created_ms, name)
    file = _File(conversation)
    compacted, summary, messages = parted(conversation)
    if compacted:
        file.add_all(conversation.earlier)
        file.compact(summary, messages)
    else:
        file.add_all(messages)
    if not file.said:
        raise says_nothing(conversation)
    begun = iso(conversation.created_ms) or EPOCH
    header = {"type": "session", "version": FORMAT_VERSION, "id": session, "timestamp": begun}
    records = [{**header, "cwd": cwd}, *file.finished()]
    path = f"sessions/{slug(cwd)}/{file_name(begun, session)}"
    return Written(
        {path: b"".join(map(line, records))},
        session,
        command(cwd, "pi", "--session", str(target / path)),
        file.losses.listed(),
    )


class _File:
    """The entries of one session, as they are made."""

    def __init__(self, conversation: Conversation) -> None:
        self.losses = Losses()
        self._conversation = conversation
        self._entries: list[dict[str, JSON]] = []
        self._ids: set[str] = set()
        self._tip: str | None = None
        self._time_ms = conversation.created_ms
        self._names: dict[str, str] = {}
        """The tool of each call."""
        self._begun = False
        """Whether anything but a system prompt was said."""

    @property
    def said(self) -> bool:
        """Whether there is anything to read in it."""
        return self._tip is not None

    def finished(self) -> list[dict[str, JSON]]:
        """All entries, the session's name behind them."""
        if self._conversation.title:
            self._entry("session_info", {"name": self._conversation.title})
        return self._entries

    def add_all(self, messages: Sequence[Message]) -> None:
        """Add the entries of some messages."""
        for message in messages:
            self._time_ms = message.time_ms or self._time_ms
            if message.usage is not None:
                self.losses.add(lost.USAGE, message.at)
            if message.role == "system":
                self._system(message)
                continue
            self._begun = True
            if message.role == "assistant":
                self._answer(message)
            elif message.role == "tool":
                self._results(message)
            else:
                self._user(message)

    def compact(self, summary: Message | None, kept: Sequence[Message]) -> None:
        """A compaction that keeps nothing of what stands before `kept`, and `kept`.

        It names the first entry that it kept, so it stands behind that one: as soon as all
        calls made since are answered. One that kept nothing names itself.
        """
        words = words_of(summary, self.losses)
        self._begun = True
        before, number, waiting = len(self._entries), 0, 0
        while number < len(kept) and (waiting or len(self._entries) == before):
            self.add_all(kept[number : number + 1])
            waiting += len(kept[number].tool_calls) - len(kept[number].tool_results)
            number += 1
        id = self._next_id()
        first = self._entries[before]["id"] if len(self._entries) > before else id
        facts = {"summary": words, "firstKeptEntryId": first, "tokensBefore": 0}
        self._entry("compaction", facts, id)
        self.add_all(kept[number:])

    def _next_id(self) -> str:
        """Eight hex digits that no other entry of this file has."""
        turn = 0
        while True:
            told = digest(self._conversation, name, str(len(self._entries)), str(turn))
            if (id := told[:4].hex()) not in self._ids:
                return id
            turn += 1

    def _entry(self, kind: str, facts: dict[str, JSON], id: str | None = None) -> None:
        id = id or self._next_id()
        self._ids.add(id)
        stamp = iso(self._time_ms) or EPOCH
        envelope = {"type": kind, "id": id, "parentId": self._tip, "timestamp": stamp}
        self._entries.append({**envelope, **facts})
        self._tip = id

    def _message(self, said: dict[str, JSON]) -> None:
        self._entry("message", {"message": {**said, "timestamp": self._time_ms}})

    def _system(self, message: Message) -> None:
        if not self._begun:
            self.losses.add(lost.SYSTEM, message.at)
        elif message.text.strip():
            self.losses.add(lost.MIDDLE, message.at)
            self._injected(f"<system>\n{message.text}\n</system>")

    def _injected(self, content: JSON) -> None:
        self._entry(
            "custom_message", {"customType": INJECTED, "content": content, "display": False}
        )

    def _user(self, message: Message) -> None:
        content = self._content(message.parts, message)
        if content and message.meta:
            self._injected(content)
        elif content:
            self._message({"role": "user", "content": content})

    def _answer(self, message: Message) -> None:
        content = list(self._answer_blocks(message))
        provider = _provider(message, self._conversation)
        if content:
            self._message(
                {
                    "role": "assistant",
                    "content": content,
                    "api": _APIS.get(provider, "openai-completions"),
                    "provider": provider,
                    "model": message.model or self._conversation.model or "unknown",
                    "usage": _NO_USAGE,
                    "stopReason": "toolUse" if message.tool_calls else "stop",
                }
            )

    def _answer_blocks(self, message: Message) -> Iterator[dict[str, JSON]]:
        for part in message.parts:
            if isinstance(part, ToolCall):
                self._names[part.id] = part.name
                value, whole = call_input(part.arguments)
                if not whole:
                    self.losses.add(lost.INPUT, message.at)
                yield {"type": "toolCall", "id": part.id, "name": part.name, "arguments": value}
            elif isinstance(part, Thinking):
                yield from self._thinking(part, message)
            elif isinstance(part, Image | File):
                self.losses.add(lost.MEDIA, message.at)
                yield {"type": "text", "text": left_out(part)}
            else:
                yield from self._words(part, message)

    def _thinking(self, part: Thinking, message: Message) -> Iterator[dict[str, JSON]]:
        signed = message.format == anthropic.NAME
        block: dict[str, JSON] = {"type": "thinking", "thinking": part.text}
        if signed and part.signature:
            yield {**block, "thinkingSignature": part.signature}
        elif signed and part.data:
            yield {**block, "thinkingSignature": part.data, "redacted": True}
        else:
            if part.signature or part.data:
                self.losses.add(lost.REASONING, message.at)
            if part.text.strip():
                yield block

    def _results(self, message: Message) -> None:
        for part in message.tool_results:
            self._message(
                {
                    "role": "toolResult",
                    "toolCallId": part.call_id,
                    "toolName": self._tool(part),
                    "content": self._content(part.parts, message),
                    "isError": part.is_error,
                }
            )

    def _tool(self, result: ToolResult) -> str:
        return self._names.get(result.call_id) or result.name or "unknown"

    def _content(self, parts: Sequence[Part], message: Message) -> list[dict[str, JSON]]:
        """Text and pictures, of which alone a prompt and a result consist."""
        blocks: list[dict[str, JSON]] = []
        for part in parts:
            if isinstance(part, Image) and part.data:
                kind = part.media_type or "image/png"
                blocks.append({"type": "image", "data": part.data, "mimeType": kind})
            elif isinstance(part, Image | File):
                self.losses.add(lost.MEDIA, message.at)
                blocks.append({"type": "text", "text": left_out(part)})
            else:
                blocks += self._words(part, message)
        return blocks

    def _words(self, part: Part, message: Message) -> Iterator[dict[str, JSON]]:
        if not isinstance(part, Text):
            unknown = isinstance(part, Unknown)
            self.losses.add(lost.BLOCKS if unknown else lost.REASONING, message.at)
        elif part.text.strip():
            yield {"type": "text", "text": part.text}
        else:
            self.losses.add(lost.EMPTY, message.at)


def _provider(message: Message, conversation: Conversation) -> str:
    """Whose model answered, by the names that pi has."""
    if message.format == anthropic.NAME:
        return "anthropic"  # whose signatures are told by that name
    told = message.usage.provider if message.usage is not None else None
    model = message.model or conversation.model or ""
    if told is None and model.startswith("claude"):
        return "anthropic"
    if told is None and model.startswith("gemini"):
        return "google"
    if told is None and re.match(r"gpt|o\d|codex", model):
        return "openai"
    return told or conversation.provider or "unknown"
