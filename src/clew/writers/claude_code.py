"""Claude Code's transcripts, written: `projects/<slug>/<session>.jsonl`.

One block of an answer a line, results one a line, each hanging on the line before. A summary is
a `compact_boundary` with the summary behind it; the program reads nothing before the newest one.
The format is undocumented; this is what version 2.1.197 writes and takes up again.
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
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
)
from clew.shapes import anthropic
from clew.shapes.base import left_out
from clew.shapes.ids import tool_name
from clew.writers import lost
from clew.writers.base import (
    Conversation,
    Losses,
    Written,
    call_input,
    command,
    line,
    says_nothing,
    uuid4_of,
)
from clew.writers.summing import parted

name = "claude-code"

VERSION: Final = "2.1.197"
"""The program whose files these are like; it is written into every record."""
VARIABLE: Final = "CLAUDE_CONFIG_DIR"
SLUG_CHARS_MAX: Final = 200

_NO_SLUG = re.compile("[^a-zA-Z0-9]")


def home(home: Path, env: Mapping[str, str]) -> Path:
    """`$CLAUDE_CONFIG_DIR` (the first of a comma-separated list), else `~/.claude`, or the older
    `~/.config/claude` where there is only that.
    """
    told = env.get(VARIABLE, "").split(",")[0].strip()
    if told:
        return Path(told).expanduser()
    usual, older = home / ".claude", home / ".config" / "claude"
    return older if older.is_dir() and not usual.is_dir() else usual


def slug(cwd: str) -> str:
    """The name of a project's folder, as the program makes it: every UTF-16 unit but letters
    and digits is a dash, and a long one ends in a hash.
    """
    units = cwd.encode("utf-16-le", "surrogatepass")
    codes = [units[at] | units[at + 1] << 8 for at in range(0, len(units), 2)]
    dashed = _NO_SLUG.sub("-", "".join(map(chr, codes)))
    if len(dashed) <= SLUG_CHARS_MAX:
        return dashed
    hashed = 0
    for code in codes:
        hashed = (hashed * 31 + code) & 0xFFFFFFFF
    return f"{dashed[:SLUG_CHARS_MAX]}-{_base36(min(hashed, 2**32 - hashed))}"


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = digits[number % 36]
    while number := number // 36:
        text = digits[number % 36] + text
    return text


def write(conversation: Conversation, target: Path) -> Written:
    """See `Writer.write`. Raises `Invalid` for a conversation without a message."""
    del target  # everything is known without a look
    cwd = conversation.cwd or "/"
    session = uuid4_of(conversation, name)
    file = _File(conversation, session, cwd)
    compacted, summary, messages = parted(conversation)
    file.add_all(conversation.earlier)
    if compacted:
        file.compact(summary)
    file.add_all(messages)
    if not file.said:
        raise says_nothing(conversation)
    path = f"projects/{slug(cwd)}/{session}.jsonl"
    return Written(
        {path: b"".join(map(line, file.finished()))},
        session,
        command(cwd, "claude", "--resume", session),
        file.losses.listed(),
    )


class _File:
    """The records of one transcript, as they are made."""

    def __init__(self, conversation: Conversation, session: str, cwd: str) -> None:
        self.losses = Losses()
        self._conversation = conversation
        self._session = session
        self._cwd = cwd
        self._records: list[dict[str, JSON]] = []
        self._tip: str | None = None
        self._time_ms = conversation.created_ms
        self._asked: dict[str, str] = {}
        """The record in which each call was made."""
        self._begun = False
        """Whether anything but a system prompt was said."""

    @property
    def said(self) -> bool:
        """Whether there is anything to read in it."""
        return self._tip is not None

    def finished(self) -> list[dict[str, JSON]]:
        """All records, the title behind them."""
        title = self._conversation.title
        if title:
            self._records.append({"type": "ai-title", "aiTitle": title, "sessionId": self._session})
        return self._records

    def add_all(self, messages: Sequence[Message]) -> None:
        """Add the records of some messages."""
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
                self._user(list(self._content(message)), meta=message.meta)

    def compact(self, summary: Message | None) -> None:
        """A boundary: what stands before it is seen no more. Its summary comes behind it."""
        before, self._tip = self._tip, None
        told: dict[str, JSON] = {"content": "Conversation compacted", "level": "info"}
        told |= {"compactMetadata": {"trigger": "auto", "preTokens": 0}, "isMeta": False}
        if before is not None:
            told = {"logicalParentUuid": before, **told}
        self._record("system", {"subtype": "compact_boundary", **told})
        if summary is not None:
            self._time_ms = summary.time_ms or self._time_ms
            content: JSON = list(self._content(summary))
            self._begun = True
            self._record(
                "user",
                {
                    "message": {"role": "user", "content": _lean(content)},
                    "isVisibleInTranscriptOnly": True,
                    "isCompactSummary": True,
                },
            )

    def _record(self, kind: str, facts: dict[str, JSON]) -> str:
        uuid = uuid4_of(self._conversation, name, str(len(self._records)))
        self._records.append(
            {
                "parentUuid": self._tip,
                "isSidechain": False,
                "type": kind,
                **facts,
                "uuid": uuid,
                "timestamp": iso(self._time_ms) or "1970-01-01T00:00:00.000Z",
                "userType": "external",
                "entrypoint": "cli",
                "cwd": self._cwd,
                "sessionId": self._session,
                "version": VERSION,
                "gitBranch": "",
            }
        )
        self._tip = uuid
        return uuid

    def _system(self, message: Message) -> None:
        if not self._begun:
            self.losses.add(lost.SYSTEM, message.at)
        elif message.text.strip():
            self.losses.add(lost.MIDDLE, message.at)
            words = f"<system>\n{message.text}\n</system>"
            self._user([{"type": "text", "text": words}], meta=True)

    def _user(self, blocks: list[JSON], *, meta: bool) -> None:
        if blocks:
            facts: dict[str, JSON] = {"message": {"role": "user", "content": _lean(blocks)}}
            self._record("user", {**facts, "isMeta": True} if meta else facts)

    def _answer(self, message: Message) -> None:
        blocks = list(self._answer_blocks(message))
        ends = "tool_use" if message.tool_calls else "end_turn"
        # Readers take an equal block of the same message for a copy: then all stand in one record.
        repeats = any(block in blocks[:at] for at, block in enumerate(blocks))
        groups = [blocks] if repeats else [[block] for block in blocks]
        number = len(self._records)
        for index, group in enumerate(groups):
            said = {
                "id": f"msg_{uuid4_of(self._conversation, 'message', str(number))[:8]}{number:06}",
                "type": "message",
                "role": "assistant",
                "model": message.model or self._conversation.model or "unknown",
                "content": group,
                "stop_reason": ends if index == len(groups) - 1 else None,
                "stop_sequence": None,
            }
            uuid = self._record("assistant", {"message": said})
            for block in group:
                if block["type"] == "tool_use":
                    self._asked[block["id"]] = uuid

    def _answer_blocks(self, message: Message) -> Iterator[dict[str, JSON]]:
        signed = message.format == anthropic.NAME
        raw = anthropic.server_blocks(message) if signed else frozenset()
        for index, part in enumerate(message.parts):
            match part:
                case ToolCall():
                    yield self._call(part, message)
                case Thinking(text, signature=str(seal)) if signed:
                    yield {"type": "thinking", "thinking": text, "signature": seal}
                case Thinking(data=str(seal)) if signed:
                    yield {"type": "redacted_thinking", "data": seal}
                case Thinking():
                    self.losses.add(lost.REASONING, message.at)
                case Unknown() if index in raw:
                    yield part.raw
                case Image() | File():
                    self.losses.add(lost.MEDIA, message.at)
                    yield {"type": "text", "text": left_out(part)}
                case Text() | Unknown():
                    yield from self._words(part, message)

    def _call(self, call: ToolCall, message: Message) -> dict[str, JSON]:
        fit = tool_name(call.name, anthropic.NAME_CHARS_MAX)
        if fit != call.name:
            self.losses.add(lost.NAMES, message.at)
        value, whole = call_input(call.arguments)
        if not whole:
            self.losses.add(lost.INPUT, message.at)
        return {"type": "tool_use", "id": call.id, "name": fit, "input": value}

    def _results(self, message: Message) -> None:
        for part in message.tool_results:
            block: dict[str, JSON] = {"tool_use_id": part.call_id, "type": "tool_result"}
            block["content"] = _lean(list(self._result_blocks(part, message))) or ""
            if part.is_error:
                block["is_error"] = True
            facts: dict[str, JSON] = {"message": {"role": "user", "content": [block]}}
            asked = self._asked.get(part.call_id)
            if asked is not None:
                facts["sourceToolAssistantUUID"] = asked
            self._record("user", facts)

    def _result_blocks(self, result: ToolResult, message: Message) -> Iterator[dict[str, JSON]]:
        for part in result.parts:
            if isinstance(part, Image | File) and result.is_error:
                self.losses.add(lost.MEDIA, message.at)  # an error holds words only
                yield {"type": "text", "text": left_out(part)}
            elif isinstance(part, Image | File):
                yield self._medium(part, message)
            else:
                yield from self._words(part, message)

    def _content(self, message: Message) -> Iterator[dict[str, JSON]]:
        for part in message.parts:
            if isinstance(part, Image | File):
                yield self._medium(part, message)
            elif isinstance(part, Text | Unknown):
                yield from self._words(part, message)
            else:
                self.losses.add(lost.BLOCKS, message.at)

    def _words(self, part: Text | Unknown, message: Message) -> Iterator[dict[str, JSON]]:
        if isinstance(part, Unknown):
            self.losses.add(lost.BLOCKS, message.at)
        elif part.text.strip():
            yield {"type": "text", "text": part.text}
        else:
            self.losses.add(lost.EMPTY, message.at)

    def _medium(self, part: Image | File, message: Message) -> dict[str, JSON]:
        block: dict[str, JSON]
        if isinstance(part, Image):
            block = anthropic.image_block(part)
        else:
            block = anthropic.document_block(part)
        if block["type"] == "text":
            self.losses.add(lost.MEDIA, message.at)
        return block


def _lean(blocks: list[JSON]) -> JSON:
    """One text alone stands as a string, as the program writes it."""
    alone = len(blocks) == 1 and blocks[0]["type"] == "text"
    return blocks[0]["text"] if alone else blocks
