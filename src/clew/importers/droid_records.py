"""Droid's records: what each says, in the ledger's words.

One object a line. Messages carry Anthropic's blocks whatever the model was; `parentId` names the
message before. A compaction stands at the head of the session that goes on with its summary.
Tokens are told only in `<session>.settings.json`: a running total, written anew each time.
"""

from __future__ import annotations

import re
from typing import Final, Self

import msgspec

from clew.errors import Invalid
from clew.importers.facts import count, set_title, text, time_ms
from clew.importers.jsonl import RAW, JsonlReader, Piece, raw_record
from clew.importers.state import State, load, pack, unpack
from clew.model import JSON, Kind, Message, Origin, Part, Reason, Record, Text, Unknown, Usage
from clew.shapes import anthropic
from clew.shapes.base import as_list, entry_role

FORMAT: Final = "droid"
STATE_VERSION: Final = 1
RANK_PROMPT, RANK_GIVEN = 1, 3
ROOT: Final = ""
SETTINGS: Final = frozenset({"tokenUsage", "providerLock", "assistantActiveTimeMs", "autonomyMode"})
"""Of a settings document one of these is always there."""

_BOOKKEEPING: Final = frozenset(
    {"session_start", "todo_state", "session_settings", "agent_turn_outcome"}
)
TYPES: Final = _BOOKKEEPING | {"message", "compaction_state"}
_WRAPPED = re.compile(r"\s*<[a-z][a-z_-]*>")


class _State(State):
    origin: Origin
    document: bool
    titled: bool
    tip: str
    keys: bytes


def is_record(value: dict[str, JSON]) -> bool:
    """True for a record of a session's file. A program's streamed output is not one."""
    kind = value.get("type")
    if kind == "session_start":
        return text(value, "id") is not None
    if kind == "message":
        return isinstance(value.get("message"), dict) and text(value, "id") is not None
    return isinstance(kind, str) and kind in TYPES and "timestamp" in value


def key_of(value: dict[str, JSON]) -> str | None:
    """By what a record is known, here and in a copy; `None` for what is told without an id."""
    id, stamp = text(value, "id"), time_ms(value.get("timestamp"))
    return None if id is None or stamp is None else f"{id}@{stamp}"


class DroidReader(JsonlReader):
    """Reads a session's file of Droid, or its settings. See `clew.importers.base.Reader`."""

    def __init__(self, origin: Origin, *, document: bool = False) -> None:
        super().__init__(document=document)
        self.origin = origin
        self._titled = False
        self._tip = ROOT
        """The id of the newest message."""
        self._keys: dict[str, str] = {}
        """By what each message is known, by its id."""

    @classmethod
    def resume(cls, state: bytes) -> Self:
        """A reader that goes on where `state` stopped. Raises `Invalid` for a foreign one."""
        known = load(state, _State, STATE_VERSION, "Droid")
        reader = cls(known.origin, document=known.document)
        reader._consumed = known.consumed
        reader._titled, reader._tip = known.titled, known.tip
        reader._keys = unpack(known.keys, "Droid")
        return reader

    def state(self) -> bytes:
        """See `Reader.state`."""
        keys = pack(self._keys)
        return msgspec.json.encode(
            _State(
                STATE_VERSION,
                self._consumed,
                self.origin,
                self._document,
                self._titled,
                self._tip,
                keys,
            )
        )

    def is_record(self, value: dict[str, JSON]) -> bool:
        """See `JsonlReader.is_record`."""
        return self._document or is_record(value)

    def record(self, piece: Piece) -> Record:
        """What one piece of the file says."""
        value = piece.value
        if value is None:
            return raw_record(piece)
        record = Record(piece.start, len(piece.body), Kind.NOTICE, FORMAT, native_id=key_of(value))
        record.time_ms = time_ms(value.get("timestamp"))
        if piece.note is not None:
            record.kind, record.format, record.note = Kind.UNKNOWN, RAW, piece.note
            return record
        kind = value.get("type")
        if self._document:
            self._total(record, value)
        elif kind == "session_start":
            self._begin(record, value)
        elif kind == "message":
            self._say(record, value)
        elif kind == "compaction_state" and text(value, "summaryText"):
            record.kind, record.role, record.compaction = Kind.COMPACTION, "system", Reason.AUTO
            record.tokens_after = count(value, "summaryTokens") or None
        elif not isinstance(kind, str) or kind not in TYPES:
            named = f"of type {kind[:100]!r}" if isinstance(kind, str) else "without a type"
            record.kind, record.note = Kind.UNKNOWN, f"a record {named}, which is not known"
        return record

    def _begin(self, record: Record, value: dict[str, JSON]) -> None:
        self.origin.project = self.origin.project or text(value, "cwd")
        version = value.get("version")
        self.origin.version = str(version) if isinstance(version, str | int) else None
        title = text(value, "sessionTitle") or text(value, "title")
        self._titled = self._titled or title is not None
        set_title(record, title, RANK_GIVEN)

    def _say(self, record: Record, value: dict[str, JSON]) -> None:
        id, parent = text(value, "id"), text(value, "parentId")
        if parent is not None and parent != self._tip and parent in self._keys:
            record.after = self._keys[parent]
        if id is not None and record.native_id is not None:
            self._tip = id
            self._keys[id] = record.native_id
        if message_of(value).get("visibility") == "user_only":
            return  # the model never saw it
        message = decode(value)
        record.kind, record.role = Kind.MESSAGE, entry_role(message)
        if record.role == "user" and not self._titled:
            self._titled = True
            set_title(record, message.text, RANK_PROMPT)

    def _total(self, record: Record, value: dict[str, JSON]) -> None:
        """What a session used so far: one call for the ledger, of which the greatest counts."""
        used = value.get("tokenUsage")
        model = text(value, "model")
        self.origin.model = model or self.origin.model
        if isinstance(used, dict):
            record.usage = Usage(
                key=f"{self.origin.native_id}/total",
                model=model,
                provider=text(value, "apiProviderLock") or text(value, "providerLock"),
                input=count(used, "inputTokens"),
                output=count(used, "outputTokens"),
                cache_read=count(used, "cacheReadTokens"),
                cache_write=count(used, "cacheCreationTokens"),
                reasoning=count(used, "thinkingTokens"),
            )


def message_of(record: dict[str, JSON]) -> dict[str, JSON]:
    """What a record says, if it is a message; nothing otherwise."""
    found = record.get("message")
    return found if isinstance(found, dict) else {}


def decode(record: JSON) -> Message:
    """What a record says as a message. Never fails: what cannot be placed is `Unknown`.

    Sealed reasoning keeps its signature in the record: it may be another provider's.
    """
    if not isinstance(record, dict):
        return Message("system", (Unknown(type(record).__name__, record),), meta=True)
    message, summary = message_of(record), text(record, "summaryText")
    if record.get("type") == "compaction_state" and summary:
        said = Message("user", (Text(summary),), summary=True)
    elif isinstance(message.get("content"), str | list):
        said = _said(message)
    else:
        kind = text(record, "type") or "record"
        said = Message("system", (Unknown(kind, record),), meta=True)
    return msgspec.structs.replace(said, time_ms=time_ms(record.get("timestamp")) or 0)


def _said(message: dict[str, JSON]) -> Message:
    try:
        said = anthropic.decode({**message, "content": _unsigned(message["content"])})
    except Invalid:
        return Message("system", (Unknown("message", message),), meta=True)
    parts: tuple[Part, ...] = said.parts or (Unknown("message", message),)
    meta = said.role == "user" and all(type(p) is Text and _WRAPPED.match(p.text) for p in parts)
    return msgspec.structs.replace(said, parts=parts, id=None, usage=None, meta=meta, format=None)


def _unsigned(content: JSON) -> JSON:
    """Blocks without the signatures that other providers' reasoning is given there."""
    if isinstance(content, str):
        return content
    return [
        {key: each for key, each in block.items() if key != "signature"}
        if isinstance(block, dict) and block.get("signatureProvider") not in (None, "anthropic")
        else block
        for block in as_list(content)
    ]
