"""A window of a session's path as cards: what was said, thought, called and given back.

A call's result stands with the call, wherever it is in the window. What is no message, and what
nobody understood, is shown raw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import parse
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
from clew.server.pages import changes
from clew.server.pages.text import pretty
from clew.words import about_call

if TYPE_CHECKING:
    from clew.db import Tx
    from clew.session import Session


class Child(msgspec.Struct, frozen=True):
    """A sub-agent's session, as its call shows it."""

    id: str
    title: str
    agent: str
    messages: int


class CallCard(msgspec.Struct):
    """A call, with its result if that is in the window. Times in Unix milliseconds; `number` and
    `result_number` tell which part of the message at `at` and `result_at` they are.
    """

    call: ToolCall
    about: str
    arguments: Any
    at: str
    number: int
    time_ms: int
    diff: list[tuple[str, str]] = []
    child: Child | None = None
    result: ToolResult | None = None
    result_at: str = ""
    result_number: int = 0
    took_ms: int | None = None

    @property
    def state(self) -> str:
        """`ok`, `failed`, `lost` or `open`."""
        if self.result is None:
            return "open"
        if self.result.synthetic:
            return "lost"
        return "failed" if self.result.is_error else "ok"


class Shown(msgspec.Struct, frozen=True):
    """A part of a message, with the name of the way in which it is shown, and its number."""

    name: str
    part: Any
    number: int


class Card(msgspec.Struct):
    """One thing to show. `kind` is `user`, `assistant`, `tool`, `context`, `summary`,
    `compaction`, `notices` or `notice`; `at` is the entry's place, by which it is linked.
    """

    kind: str
    at: str
    seq: int
    time_ms: int
    parts: list[Shown] = []
    model: str | None = None
    usage: Usage | None = None
    facts: dict[str, Any] = {}
    raw: str | None = None
    inner: list[Card] = []

    @property
    def says(self) -> str:
        """Another one when something joined the card: a result, a piece, a notice."""
        states = "".join(each.part.state[:2] if each.name == "call" else "." for each in self.parts)
        return f"{states}{len(self.inner) or ''}"


def cards(entries: Sequence[Entry], wanted: set[str], children: Mapping[str, Child]) -> list[Card]:
    """The cards of a window, oldest first. `entries` may reach further than what is `wanted`, so
    that calls find their results; a message is shown where its first entry is wanted.
    """
    found: list[Card] = []
    for spoken, run in groupby(entries, key=_is_spoken):
        if spoken:
            found += [_of_message(message, children) for message in messages_of(list(run))]
        else:
            found += [_of_other(entry) for entry in run]
    _pair(found)
    shown = [card for card in found if card.parts or card.kind in ("compaction", "notice")]
    return _folded([card for card in shown if card.at in wanted])


def children(tx: Tx, session: Session) -> dict[str, Child]:
    """The sessions that this one spawned, by the id of the call that did."""
    rows = tx.all(
        "session_children", project=session._project, id=session.id, calls=f"{session.id}#%"
    )
    return {
        spawned_by.partition("#")[2]: Child(id, title or "Untitled", agent or "sub-agent", messages)
        for id, spawned_by, title, agent, messages in rows
    }


def text_of(entries: Sequence[Entry], part: int, inner: int) -> str | None:
    """The text that is part number `part` of the first message; `None` when there is none."""
    messages = messages_of([entry for entry in entries if _is_spoken(entry)])
    parts = messages[0].parts if messages else ()
    if not 0 <= part < len(parts):
        return None
    found: Part = parts[part]
    if isinstance(found, ToolResult):
        if not 0 <= inner < len(found.parts):
            return None
        found = found.parts[inner]
    if isinstance(found, ToolCall):
        arguments = _arguments(found.arguments)
        return arguments if isinstance(arguments, str) else pretty(arguments)
    if isinstance(found, Text | Thinking):
        return found.text
    return pretty(found.raw) if isinstance(found, Unknown) else None


def _folded(found: Sequence[Card]) -> list[Card]:
    """Notices that follow one another are one card that opens."""
    out: list[Card] = []
    for notices, run in groupby(found, key=lambda card: card.kind == "notice"):
        group = list(run)
        if notices and len(group) > 1:
            first = group[0]
            out.append(Card("notices", first.at, first.seq, first.time_ms, inner=group))
        else:
            out += group
    return out


def _is_spoken(entry: Entry) -> bool:
    return entry.kind is Kind.MESSAGE or entry.kind in SPOKEN


def _of_message(message: Message, children: Mapping[str, Child]) -> Card:
    at = message.at[0]
    kind = message.role
    if message.summary:
        kind = "summary"
    elif message.meta or message.role == "system":
        kind = "context"
    parts = [
        _part(part, number, str(at), message.time_ms, children)
        for number, part in enumerate(message.parts)
    ]
    return Card(kind, str(at), at.seq, message.time_ms, parts, message.model, message.usage)


_NAMES: Final = {
    Text: "text",
    Thinking: "thinking",
    Image: "image",
    File: "file",
    ToolResult: "result",
    Unknown: "unknown",
}


def _part(part: Part, number: int, at: str, time_ms: int, children: Mapping[str, Child]) -> Shown:
    if not isinstance(part, ToolCall):
        return Shown(_NAMES[type(part)], part, number)
    arguments = _arguments(part.arguments)
    card = CallCard(
        part,
        about_call(arguments),
        arguments,
        at,
        number,
        time_ms,
        diff=changes.of(arguments),
        child=children.get(part.id),
    )
    return Shown("call", card, number)


def _arguments(text: str) -> Any:
    try:
        return parse(text.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text


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
        for shown in card.parts:
            if shown.name == "call":
                waiting.setdefault(shown.part.call.id, []).append(shown.part)
            calls = waiting.get(shown.part.call_id) if shown.name == "result" else None
            if not calls:
                kept.append(shown)
                continue
            asked = calls.pop(0)
            asked.result, asked.result_at = shown.part, card.at
            asked.result_number = shown.number
            asked.took_ms = max(card.time_ms - asked.time_ms, 0) if card.time_ms else None
        card.parts = kept
