"""Qwen Code's records: what each says, in the ledger's words.

One object a line, with Claude Code's envelope (`uuid`, `parentUuid`, `sessionId`, `cwd`) around
Gemini's content. Two records with one `uuid` are pieces of one message. A record that follows
another than the newest message goes back to that one.
"""

from __future__ import annotations

from typing import Final, Self

import msgspec

from clew.canonical import canonical, content_id
from clew.errors import Invalid
from clew.importers.facts import TITLE_CHARS_MAX, set_title, text, time_ms
from clew.importers.jsonl import RAW, JsonlReader, Piece, raw_record
from clew.importers.state import State, load, pack, unpack
from clew.model import JSON, Kind, Message, Origin, Part, Reason, Record, Text, ToolResult, Usage
from clew.names import mended
from clew.shapes import gemini
from clew.shapes.base import as_list, unknown

FORMAT: Final = "qwen"
STATE_VERSION: Final = 1
NAME_BYTES: Final = 8
RANK_PROMPT, RANK_NAMED = 1, 3

TYPES: Final = frozenset({"user", "assistant", "tool_result", "system"})
"""Every record type known."""
_INJECTED: Final = frozenset(
    {
        "agent_bootstrap",
        "agent_retry",
        "background_task_completed",
        "cron",
        "goal_runtime",
        "notification",
    }
)
"""Subtypes of what stands in the user's place but was not typed."""
_NOT_TYPED: Final = frozenset({"goal_control", "goal_runtime", "system"})
"""The same, by where a record says that it comes from."""
_COMPRESSION: Final = "chat_compression"


class _State(State):
    origin: Origin
    identified: bool
    titled: bool
    tip: str | None
    head: str
    places: bytes


def is_record(value: dict[str, JSON]) -> bool:
    """True for an object with Qwen Code's envelope."""
    if not {"uuid", "parentUuid", "sessionId"} <= value.keys() or value.get("type") not in TYPES:
        return False
    if {"isSidechain", "userType"} & value.keys():
        return False  # Claude Code's
    message = value.get("message")
    if isinstance(message, dict):
        return isinstance(message.get("parts"), list)
    return value.get("type") == "system" and "systemPayload" in value


def key_of(value: dict[str, JSON]) -> str | None:
    """By what a record is known, here and in a copy that belongs to another session."""
    id = text(value, "uuid")
    if id is None:
        return None
    said = {key: each for key, each in value.items() if key != "sessionId"}
    return f"{id}~{content_id(canonical(said))[:NAME_BYTES].hex()}"


class QwenReader(JsonlReader):
    """Reads one file of Qwen Code. See `clew.importers.base.Reader`."""

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        self.origin = origin
        self._identified = False
        self._titled = False
        self._tip: str | None = None
        """The newest record's `uuid`."""
        self._head = ""
        """The name of the newest message."""
        self._places: dict[str, str] = {}
        """The name of the message at or before each record, by the record's `uuid`."""

    @classmethod
    def resume(cls, state: bytes) -> Self:
        """A reader that goes on where `state` stopped. Raises `Invalid` for a foreign one."""
        known = load(state, _State, STATE_VERSION, "Qwen Code")
        reader = cls(known.origin)
        reader._consumed = known.consumed
        reader._identified, reader._titled = known.identified, known.titled
        reader._tip, reader._head = known.tip, known.head
        reader._places = unpack(known.places, "Qwen Code")
        return reader

    def state(self) -> bytes:
        """See `Reader.state`. The place of every record is in it: any may be gone back to."""
        return msgspec.json.encode(
            _State(
                STATE_VERSION,
                self._consumed,
                self.origin,
                self._identified,
                self._titled,
                self._tip,
                self._head,
                pack(self._places),
            )
        )

    def is_record(self, value: dict[str, JSON]) -> bool:
        """See `JsonlReader.is_record`."""
        return is_record(value)

    def record(self, piece: Piece) -> Record:
        """What one piece of the file says."""
        self.origin.settled = True
        value = piece.value
        if value is None:
            return raw_record(piece)
        kind, role, note = _classify(value)
        record = Record(
            piece.start,
            len(piece.body),
            kind,
            FORMAT,
            role,
            time_ms(value.get("timestamp")),
            key_of(value),
            note=note,
            usage=_usage(value),
            says_all=True,
        )
        if piece.note is not None:
            record.kind, record.format, record.note = Kind.UNKNOWN, RAW, piece.note
            record.role = record.native_id = None
            return record
        self._learn(value)
        self._follow(record, value)
        self._add_facts(record, value)
        return record

    def _learn(self, value: dict[str, JSON]) -> None:
        origin = self.origin
        told = text(value, "sessionId")
        if told is not None and not self._identified and origin.kind == "main":
            self._identified = True
            origin.native_id = mended(told)
        origin.project = origin.project or text(value, "cwd")
        origin.version = text(value, "version") or origin.version
        origin.model = text(value, "model") or origin.model

    def _follow(self, record: Record, value: dict[str, JSON]) -> None:
        """Say what a message follows where that is not the newest one. A parent that is not
        there says nothing: order decides. So does one of a piece of the newest message.
        """
        id, parent = text(value, "uuid"), text(value, "parentUuid")
        place = self._places.get(parent, self._head) if parent and parent != id else self._head
        if record.kind in (Kind.MESSAGE, Kind.COMPACTION) and record.native_id is not None:
            if place != self._head and id != self._tip:
                record.after = place
            self._head = place = record.native_id
        if id is not None:
            self._tip = id
            self._places[id] = place

    def _add_facts(self, record: Record, value: dict[str, JSON]) -> None:
        payload = _payload(value)
        subtype = text(value, "subtype")
        if value.get("type") == "system" and subtype == "custom_title":
            set_title(record, text(payload, "customTitle"), RANK_NAMED)
        elif record.role == "user" and not self._titled:
            set_title(record, text(payload, "displayText") or decode(value).text, RANK_PROMPT)
            self._titled = record.title is not None
        if record.kind is Kind.COMPACTION:
            info = payload.get("info")
            told = info if isinstance(info, dict) else {}
            record.compaction = (
                Reason.MANUAL if text(payload, "trigger") == "manual" else Reason.AUTO
            )
            record.tokens_before = _count(told, "originalTokenCount") or None
            record.tokens_after = _count(told, "newTokenCount") or None


def _payload(value: dict[str, JSON]) -> dict[str, JSON]:
    payload = value.get("systemPayload")
    return payload if isinstance(payload, dict) else {}


def _classify(value: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    kind, subtype = text(value, "type"), text(value, "subtype")
    if kind == "system":
        if subtype == _COMPRESSION and _payload(value).get("compressedHistory"):
            return Kind.COMPACTION, "system", None
        return Kind.NOTICE, None, None
    if kind not in TYPES:
        named = f"of type {kind[:TITLE_CHARS_MAX]!r}" if kind else "without a type"
        return Kind.UNKNOWN, None, f"a record {named}, which is not known"
    if not _said(value):
        return Kind.UNKNOWN, None, "a message that says nothing"
    if kind == "user":
        injected = subtype in _INJECTED or value.get("provenance") in _NOT_TYPED
        return Kind.MESSAGE, "context" if injected else "user", None
    return Kind.MESSAGE, "tool" if kind == "tool_result" else "assistant", None


def _count(raw: dict[str, JSON], key: str) -> int:
    found = raw.get(key)
    return found if type(found) is int and found > 0 else 0


def _usage(value: dict[str, JSON]) -> Usage | None:
    """What an answer's call used, by the record's `uuid`: pieces of an answer repeat it."""
    raw = value.get("usageMetadata")
    if not isinstance(raw, dict) or not raw:
        return None
    id = text(value, "uuid")
    cached, thoughts = _count(raw, "cachedContentTokenCount"), _count(raw, "thoughtsTokenCount")
    prompt, answer = _count(raw, "promptTokenCount"), _count(raw, "candidatesTokenCount")
    # Qwen Code talks to servers in OpenAI's notation, where thoughts are part of the answer.
    apart = _count(raw, "totalTokenCount") >= prompt + answer + thoughts
    return Usage(
        key=id and f"qwen:{id}",
        model=text(value, "model"),
        input=max(prompt - cached, 0) + _count(raw, "toolUsePromptTokenCount"),
        output=answer + thoughts if apart else max(answer, thoughts),
        cache_read=cached,
        reasoning=thoughts,
    )


# --- reading a stored record -------------------------------------------------------------


def decode(record: JSON) -> Message:
    """What a record says as a message. Never fails: what cannot be placed is `Unknown`."""
    if not isinstance(record, dict):
        return Message("system", (unknown(record),), meta=True)
    kind, role, _note = _classify(record)
    when = time_ms(record.get("timestamp")) or 0
    if kind is Kind.COMPACTION:
        history = as_list(_payload(record).get("compressedHistory"))
        words = (_text(_parts(each.get("parts"))) for each in history if isinstance(each, dict))
        return Message(
            "user", (Text("\n\n".join(filter(None, words))),), time_ms=when, summary=True
        )
    if kind is not Kind.MESSAGE:
        said = (unknown(record),)
        return Message("system", said, usage=_usage(record), time_ms=when, meta=True)
    return Message(
        "user" if role == "context" else role or "user",
        _said(record),
        id=text(record, "uuid") if role == "assistant" else None,
        model=text(record, "model"),
        usage=_usage(record),
        time_ms=when,
        meta=role == "context",
        format=gemini.NAME,
    )


def _said(value: dict[str, JSON]) -> tuple[Part, ...]:
    """The parts of a record's message. What a hook put behind a prompt stays: the model saw
    it.
    """
    message = value.get("message")
    parts = _parts(message.get("parts")) if isinstance(message, dict) else ()
    outcome = value.get("toolCallResult")
    if isinstance(outcome, dict) and text(outcome, "status") in ("error", "cancelled"):
        return tuple(
            msgspec.structs.replace(part, is_error=True) if isinstance(part, ToolResult) else part
            for part in parts
        )
    return parts


def _parts(raw: JSON) -> tuple[Part, ...]:
    try:
        return gemini.decode({"parts": as_list(raw)}).parts
    except Invalid:
        return (unknown(raw),)


def _text(parts: tuple[Part, ...]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, Text))
