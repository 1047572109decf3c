"""A window of a session's path as cards: what was said, thought, called and given back.

A call's result stands with the call, wherever it is in the window. What is no message, and what
nobody understood, is shown raw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from clew.canonical import parse
from clew.clean import one_line
from clew.model import (
    Entry,
    File,
    Image,
    Kind,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)
from clew.reading import SPOKEN, compaction_of, messages_of

LINE_CHARS = 140
TELLING = (
    "command",
    "cmd",
    "file_path",
    "path",
    "pattern",
    "query",
    "url",
    "description",
    "prompt",
    "name",
)
"""Arguments that say in one line what a call is about, the most telling first."""


class CallCard(msgspec.Struct):
    """A call, with its result if that is in the window. Times in Unix milliseconds."""

    call: ToolCall
    about: str
    arguments: Any
    at: str
    time_ms: int
    result: ToolResult | None = None
    result_at: str | None = None
    took_ms: int | None = None

    @property
    def state(self) -> str:
        """`ok`, `failed`, `lost` or `open`."""
        if self.result is None:
            return "open"
        if self.result.synthetic:
            return "lost"
        return "failed" if self.result.is_error else "ok"


class Card(msgspec.Struct):
    """One thing to show. `kind` is `user`, `assistant`, `tool`, `context`, `summary`,
    `compaction` or `notice`; `at` is the entry's place, by which it is linked.
    """

    kind: str
    at: str
    seq: int
    time_ms: int
    parts: list[tuple[str, Any]] = []
    model: str | None = None
    usage: Usage | None = None
    facts: dict[str, Any] = {}
    raw: str | None = None


def cards(entries: Sequence[Entry]) -> list[Card]:
    """The cards of a window, oldest first."""
    found: list[Card] = []
    for spoken, run in groupby(entries, key=_is_spoken):
        if spoken:
            found += [_of_message(message) for message in messages_of(list(run))]
        else:
            found += [_of_other(entry) for entry in run]
    _pair(found)
    return [card for card in found if card.parts or card.kind in ("compaction", "notice")]


def _is_spoken(entry: Entry) -> bool:
    return entry.kind is Kind.MESSAGE or entry.kind in SPOKEN


def _of_message(message: Message) -> Card:
    at = message.at[0]
    kind = message.role
    if message.summary:
        kind = "summary"
    elif message.meta or message.role == "system":
        kind = "context"
    parts = [_part(part, str(at), message.time_ms) for part in message.parts]
    return Card(kind, str(at), at.seq, message.time_ms, parts, message.model, message.usage)


def _part(part: Part, at: str, time_ms: int) -> tuple[str, Any]:
    """A part with the name of the way in which it is shown."""
    if isinstance(part, ToolCall):
        arguments = _arguments(part.arguments)
        return "call", CallCard(part, _about(arguments), arguments, at, time_ms)
    names = {
        Text: "text",
        Thinking: "thinking",
        Image: "image",
        File: "file",
        ToolResult: "result",
        Unknown: "unknown",
    }
    return names[type(part)], part


def _arguments(text: str) -> Any:
    try:
        return parse(text.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text


def _about(arguments: Any) -> str:
    """What a call is about, in one line."""
    if isinstance(arguments, dict):
        told = next((arguments[key] for key in TELLING if arguments.get(key)), None)
        told = next(iter(arguments.values()), "") if told is None else told
    else:
        told = arguments
    if isinstance(told, list):
        told = " ".join(map(str, told))
    return one_line(str(told) if isinstance(told, str | int | float) else "", LINE_CHARS)


def _of_other(entry: Entry) -> Card:
    card = Card("notice", str(entry.position), entry.seq, entry.time_ms)
    card.facts = {"kind": str(entry.kind), "format": entry.format, "note": entry.meta.get("note")}
    if entry.kind is Kind.COMPACTION:
        card.kind = "compaction"
        facts = compaction_of(entry)
        card.facts = msgspec.structs.asdict(facts) | {"summary": facts.summary}
    if entry.body is not None:
        card.raw = entry.body.decode("utf-8", "replace")
    return card


def _pair(found: Iterable[Card]) -> None:
    """Move each result to its call; one whose call is not here stays where it is."""
    waiting: dict[str, list[CallCard]] = {}
    for card in found:
        kept = []
        for name, part in card.parts:
            if name == "call":
                waiting.setdefault(part.call.id, []).append(part)
            calls = waiting.get(part.call_id) if name == "result" else None
            if not calls:
                kept.append((name, part))
                continue
            asked = calls.pop(0)
            asked.result, asked.result_at = part, card.at
            asked.took_ms = max(card.time_ms - asked.time_ms, 0) if card.time_ms else None
        card.parts = kept
