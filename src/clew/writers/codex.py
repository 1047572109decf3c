"""Codex's sessions: one rollout, a file of JSON lines that `codex resume` lists and takes up.

    sessions/YYYY/MM/DD/rollout-<time>-<thread>.jsonl

It is written in the form without `ordinal`, which every version reads. What the model is to see
are the `response_item` records; `event_msg` repeats the talk for the screen, and the list of
threads takes its preview from there. A summary becomes a `compacted` record, which replaces what
stands before it. No `turn_context` is written: which model, which sandbox and what needs asking
is for the new session's own settings to say, not for a file. No counts of tokens either: they
were used elsewhere, and readers of these files would add them up again.

Source: `codex-rs/protocol/src/protocol.rs` and `codex-rs/rollout` of Codex; tried with 0.169.0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from clew.exporters.base import iso
from clew.importers.codex_records import typed
from clew.model import JSON, File, Image, Message, Part, Text, Thinking, ToolCall, Unknown
from clew.shapes import base, openai_responses
from clew.shapes.ids import tool_name
from clew.writers import lost
from clew.writers.base import (
    Conversation,
    Losses,
    Written,
    command,
    line,
    uuid7_of,
)
from clew.writers.summing import parted, words_of

name = "codex"

VERSION: Final = "0.169.0"
"""The version whose format it is."""
PROVIDER: Final = "openai"
"""Codex's own default."""
CONFIG_BYTES_MAX: Final = 1 << 20


def home(home: Path, env: Mapping[str, str]) -> Path:
    """`$CODEX_HOME`, else `~/.codex`."""
    told = env.get("CODEX_HOME", "").strip()
    return Path(told).expanduser() if told else home / ".codex"


def write(conversation: Conversation, target: Path) -> Written:
    """See `Writer.write`. The target's `config.toml` is asked for the provider in use: Codex
    lists only the sessions of that one.
    """
    compacted, summary, messages = parted(conversation)
    times = (*(message.time_ms for message in conversation.messages), conversation.created_ms)
    begun = next((time_ms for time_ms in times if iso(time_ms)), 1)
    thread = uuid7_of(conversation, begun, "codex", "thread")
    writer = _Rollout(conversation, thread, begun)
    writer.add("session_meta", _meta(conversation, thread, iso(begun), _provider(target)))
    if conversation.title:
        writer.name(conversation.title)
    for message in conversation.earlier:
        writer.say(message)
    if compacted:
        writer.begin_anew(summary)
    for message in messages:
        writer.say(message)
    writer.end_turn()
    stamp = datetime.fromtimestamp(begun // 1000, UTC)
    path = f"sessions/{stamp:%Y/%m/%d}/rollout-{stamp:%Y-%m-%dT%H-%M-%S}-{thread}.jsonl"
    files = {path: b"".join(map(line, writer.rows))}
    words = command(conversation.cwd, "codex", "resume", thread)
    return Written(files, thread, words, writer.losses.listed())


def _meta(
    conversation: Conversation, thread: str, stamp: str | None, provider: str
) -> dict[str, JSON]:
    return {
        "id": thread,
        "timestamp": stamp,
        "cwd": conversation.cwd or "/",
        "originator": "clew",
        "cli_version": VERSION,
        "source": "cli",
        "model_provider": provider,
    }


def _provider(target: Path) -> str:
    """The provider that Codex is set to; its default where nothing is said."""
    try:
        with (target / "config.toml").open("rb") as file:
            settings = tomllib.loads(file.read(CONFIG_BYTES_MAX).decode())
    except (OSError, ValueError):
        return PROVIDER
    told = settings.get("model_provider")
    return told if isinstance(told, str) and told else PROVIDER


class _Rollout:
    """The records of a file, as they are added."""

    def __init__(self, conversation: Conversation, thread: str, begun: int) -> None:
        self.rows: list[dict[str, JSON]] = []
        self.losses = Losses()
        self._conversation = conversation
        self._thread = thread
        self._time_ms = begun
        self._custom: set[str] = set()
        """Ids of calls whose input is free text: their results are of another type."""
        self._turn: str | None = None
        self._said: str | None = None

    def add(self, kind: str, payload: dict[str, JSON]) -> None:
        """One record, at the time of the message in hand."""
        row = {"timestamp": iso(self._time_ms), "type": kind, "payload": payload}
        self.rows.append(row)

    def name(self, title: str) -> None:
        """What the thread is called."""
        self._event("thread_name_updated", thread_id=self._thread, thread_name=title)
        self.losses.add(f"{lost.TITLE} in the list of threads: the first prompt stands there")

    def begin_anew(self, summary: Message | None) -> None:
        """A summary takes the place of all that the model saw so far; nothing, if there is none."""
        self.end_turn()
        if summary is None:
            self.add("compacted", {"message": "", "replacement_history": []})
            return
        self._set_time(summary)
        words = words_of(summary, self.losses)
        item = _message("user", [{"type": "input_text", "text": words}])
        self.add("compacted", {"message": words, "replacement_history": [item]})

    def say(self, message: Message) -> None:
        """All records of a message."""
        self._set_time(message)
        if message.role == "assistant":
            self._answer(message)
        elif message.role == "system":
            self._instruct(message)
        else:
            self._results(message)
            self._ask(message)

    def end_turn(self) -> None:
        """Nothing more comes in this turn."""
        if self._turn is not None:
            self._event("task_complete", turn_id=self._turn, last_agent_message=self._said)
        self._turn = self._said = None

    # --- one message ---

    def _instruct(self, message: Message) -> None:
        if message.text.strip():
            content = [{"type": "input_text", "text": message.text}]
            self.add("response_item", _message("developer", content))
        self._leave_out(message, (Text,))

    def _ask(self, message: Message) -> None:
        content = [block for part in message.parts if (block := self._block(part, message))]
        if not content:
            return
        item = _message("user", content)
        prompt = typed(item)
        injected = message.meta or prompt is None
        if not injected:
            self.end_turn()
            turn = uuid7_of(self._conversation, self._time_ms, "turn", str(len(self.rows)))
            self._turn = turn
            self._event("task_started", turn_id=turn, model_context_window=None)
        elif not message.meta or prompt is not None:
            self.losses.add(lost.INJECTED, message.at)
        self.add("response_item", item)
        if not injected:
            pictures = [b["image_url"] for b in content if b["type"] == "input_image"]
            self._event(
                "user_message",
                message=message.text,
                images=pictures,
                local_images=[],
                text_elements=[],
            )

    def _answer(self, message: Message) -> None:
        for part in message.parts:
            match part:
                case Text(words) if words.strip():
                    content = [{"type": "output_text", "text": words}]
                    self.add("response_item", _message("assistant", content))
                    self._event("agent_message", message=words)
                    self._said = words
                case ToolCall():
                    self._call(part, message)
                case Thinking():
                    self._think(part, message)
                case Image() | File() | Unknown():
                    self.losses.add(_kind(part), message.at)
                    content = [{"type": "output_text", "text": base.left_out(part)}]
                    self.add("response_item", _message("assistant", content))

    def _think(self, part: Thinking, message: Message) -> None:
        """Sealed reasoning goes back where it came from; words are shown, and sent to nobody."""
        own = message.format == openai_responses.NAME and self._conversation.agent == name
        if own and part.data:
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            item = {"type": "reasoning", "summary": summary, "encrypted_content": part.data}
            self.add("response_item", item)
        else:
            self.losses.add("reasoning: shown on the screen, not to the model", message.at)
        if part.text.strip():
            self._event("agent_reasoning", text=part.text)

    def _call(self, call: ToolCall, message: Message) -> None:
        item: dict[str, JSON]
        fit = tool_name(call.name)
        if fit != call.name:
            self.losses.add(lost.NAMES, message.at)
        text = base.free_text(call.arguments)
        head = {"name": fit, "call_id": call.id}
        if text is None:
            arguments = call.arguments if call.arguments.strip() else "{}"
            item = {"type": "function_call", **head, "arguments": arguments}
        else:
            self._custom.add(call.id)
            item = {"type": "custom_tool_call", "status": "completed", **head, "input": text}
        self.add("response_item", item)

    def _results(self, message: Message) -> None:
        for result in message.tool_results:
            custom = result.call_id in self._custom
            kind = "custom_tool_call_output" if custom else "function_call_output"
            blocks = [block for part in result.parts if (block := self._block(part, message))]
            plain = all(block["type"] == "input_text" for block in blocks)
            output: JSON = "\n".join(b["text"] for b in blocks) if plain else blocks
            self.add("response_item", {"type": kind, "call_id": result.call_id, "output": output})
            if result.is_error:
                self.losses.add("that a result is an error, but for its words", message.at)

    # --- the pieces ---

    def _block(self, part: Part, message: Message) -> dict[str, JSON] | None:
        match part:
            case Text(words):
                return {"type": "input_text", "text": words} if words else None
            case Image() if url := base.image_url(part):
                return {"type": "input_image", "image_url": url}
            case Image() | File() | Unknown():
                self.losses.add(_kind(part), message.at)
                return {"type": "input_text", "text": base.left_out(part)}
        return None

    def _set_time(self, message: Message) -> None:
        if iso(message.time_ms):
            self._time_ms = max(self._time_ms, message.time_ms)

    def _event(self, kind: str, **facts: JSON) -> None:
        self.add("event_msg", {"type": kind, **facts})

    def _leave_out(self, message: Message, kept: tuple[type, ...]) -> None:
        for part in message.parts:
            if not isinstance(part, kept):
                self.losses.add(_kind(part), message.at)


def _message(role: str, content: Iterable[JSON]) -> dict[str, JSON]:
    return {"type": "message", "role": role, "content": list(content)}


def _kind(part: Part) -> str:
    return lost.BLOCKS if isinstance(part, Unknown) else lost.MEDIA
