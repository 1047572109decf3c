"""pi's records: what each says, in the ledger's words. OpenClaw writes the same.

One object a line: a header, then entries. From version 2 on every entry has an `id` and the
`parentId` of the one it follows, so a file holds a tree, and the last entry is where the
session stands. An id has eight hex digits and is unique in its file alone; with the entry's
time it is unique everywhere, and a copy in another file (a fork) keeps both. Version 1 has no
ids. Opening such a file writes it anew with ids, behind the time, which is how they are told
from those that an entry was born with: an entry of version 1 is known by its time and words,
before and after. Source: `session-manager.ts` and `messages.ts` of pi-coding-agent 0.74.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import msgspec

from clew.canonical import canonical, content_id
from clew.importers.facts import TITLE_CHARS_MAX, set_title, text, time_ms
from clew.importers.jsonl import RAW, JsonlReader, Piece, raw_record
from clew.importers.state import State, load, pack, unpack
from clew.model import (
    JSON,
    File,
    Image,
    Kind,
    Message,
    Origin,
    Part,
    Reason,
    Record,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)
from clew.shapes import anthropic
from clew.shapes.base import as_list, compact, text_or_none, unknown

FORMAT: Final = "pi"
STATE_VERSION: Final = 1
KEY_BYTES: Final = 8

RANK_ADDRESS, RANK_PROMPT, RANK_GIVEN, RANK_NAMED = 0, 1, 2, 4

ROOT: Final = ""
"""What an entry follows that begins anew, before the first one."""

_BOOKKEEPING: Final = frozenset(
    {"session", "model_change", "thinking_level_change", "custom", "label", "reset"}
)
_SPOKEN: Final = frozenset({"message", "custom_message", "branch_summary"})
TYPES: Final = _BOOKKEEPING | _SPOKEN | {"compaction", "session_info"}
"""Every record type known."""

_ROLES: Final = {
    "user": "user",
    "assistant": "assistant",
    "toolResult": "tool",
    "system": "system",
    "bashExecution": "context",
    "custom": "context",
    "hookMessage": "context",
    "branchSummary": "context",
    "compactionSummary": "context",
}
"""Whom a message is filed under; `context` is what stands in the user's place but was not typed."""

_COUNTS: Final = ("input", "output", "cacheRead", "cacheWrite", "totalTokens")

_NO_CALLS: Final = frozenset({"delivery-mirror", "gateway-injected"})
"""Models that OpenClaw names on answers that no model gave."""

_BRANCH_SUMMARY = "The conversation came back from a branch, of which this is the summary:\n\n"


class Cause(NamedTuple):
    """Why a compaction was made, told elsewhere than in the file."""

    reason: Reason
    tokens_after: int | None


class Told(msgspec.Struct):
    """What is known of a session from beside its file: a title that somebody gave, the
    address it is spoken under, its model, and the causes of its compactions, by the id of
    the compaction or of the entry before it.
    """

    title: str | None = None
    address: str | None = None
    model: str | None = None
    causes: dict[str, Cause] = {}


class _State(State):
    origin: Origin
    titled: bool
    header: str | None
    linear: bool
    count: int
    tip: str | None
    keys: bytes


def is_record(value: dict[str, JSON]) -> bool:
    """True for an object with pi's envelope."""
    kind = text(value, "type")
    if kind is None or time_ms(value.get("timestamp")) is None:
        return False
    if kind == "session":
        return text(value, "id") is not None and ("cwd" in value or "version" in value)
    return kind in TYPES or ("parentId" in value and text(value, "id") is not None)


def key_of(value: dict[str, JSON]) -> str | None:
    """By what an entry is known, here and in every copy; `None` for a header and for what
    has no time.
    """
    stamp = time_ms(value.get("timestamp"))
    if stamp is None or value.get("type") == "session":
        return None
    if not _is_linear(value):
        return f"{text(value, 'id')}@{stamp}"
    said = {key: value[key] for key in value if key not in _GIVEN_LATER}
    message = said.get("message")
    if isinstance(message, dict) and message.get("role") == "hookMessage":
        said["message"] = {**message, "role": "custom"}
    return f"{stamp}#{content_id(canonical(said))[:KEY_BYTES].hex()}"


_GIVEN_LATER = frozenset({"id", "parentId", "firstKeptEntryIndex", "firstKeptEntryId"})


def _is_linear(value: dict[str, JSON]) -> bool:
    """True for an entry of version 1: it has no id, or was given one when it was written anew."""
    first = next((key for key in value if key in ("id", "timestamp")), None)
    return first != "id" or text(value, "id") is None


class PiReader(JsonlReader):
    """Reads one file of pi or OpenClaw. See `clew.importers.base.Reader`."""

    def __init__(self, origin: Origin, told: Told | None = None) -> None:
        super().__init__()
        self.origin = origin
        self._told = told or Told()
        origin.model = origin.model or self._told.model
        self._titled = False
        self._header: str | None = None
        """The id in the header."""
        self._linear = False
        """Whether the file is of version 1."""
        self._count = 0
        """How many records pi itself can read, the header included."""
        self._tip: str | None = None
        """The newest entry's key."""
        self._keys: dict[str, str] = {}
        """By what each entry is known, by its id; in version 1 by its number."""

    @classmethod
    def resume(cls, state: bytes, told: Told | None = None) -> Self:
        """A reader that goes on where `state` stopped. Raises `Invalid` for a foreign one."""
        known = load(state, _State, STATE_VERSION, "pi")
        reader = cls(known.origin, told)
        reader._consumed = known.consumed
        reader._titled, reader._header = known.titled, known.header
        reader._linear, reader._count = known.linear, known.count
        reader._tip, reader._keys = known.tip, unpack(known.keys, "pi")
        return reader

    def state(self) -> bytes:
        """See `Reader.state`. The ids of all entries are in it: any may be gone back to."""
        return msgspec.json.encode(
            _State(
                STATE_VERSION,
                self._consumed,
                self.origin,
                self._titled,
                self._header,
                self._linear,
                self._count,
                self._tip,
                pack(self._keys),
            )
        )

    def is_record(self, value: dict[str, JSON]) -> bool:
        """See `JsonlReader.is_record`."""
        return is_record(value)

    def record(self, piece: Piece) -> Record:
        """What one piece of the file says."""
        value = piece.value
        if value is None:
            return raw_record(piece)
        key = key_of(value)
        kind, role, note = _classify(value)
        record = Record(
            piece.start,
            len(piece.body),
            kind,
            FORMAT,
            role,
            _time(value),
            key,
            note=note,
            usage=_usage(value, key),
            says_all=key is not None and _is_linear(value),
        )
        if record.usage is not None and role is None:
            record.role = "system"  # what no message tells is counted too
        if value.get("type") == "session":
            self._begin(record, value)
        else:
            self._follow(record, value)
            self._add_facts(record, value)
        self._remember(value, key, readable=piece.note is None)
        if piece.note is not None:
            record.kind, record.format, record.note = Kind.UNKNOWN, RAW, piece.note
            record.compaction = None
        return record

    def _begin(self, record: Record, value: dict[str, JSON]) -> None:
        """A header. A file has one; a second one, glued on by another program, is a notice."""
        if self._header is not None:
            return
        self._header = text(value, "id")
        version = value.get("version")
        self._linear = type(version) is not int or version < 2
        origin = self.origin
        origin.version = str(version) if type(version) is int else "1"
        origin.project = origin.project or text(value, "cwd")
        origin.model = text(value, "modelId") or origin.model
        if self._told.title:
            set_title(record, self._told.title, RANK_GIVEN)
        elif self._told.address:
            set_title(record, self._told.address, RANK_ADDRESS)

    def _follow(self, record: Record, value: dict[str, JSON]) -> None:
        """Say what an entry follows where that is not the one before it. A parent that is not
        there, or is the entry itself or a later one, says nothing: order decides.
        """
        if self._tip is None or "parentId" not in value:
            return
        parent = value["parentId"]
        if parent is None:
            record.after = ROOT
            return
        key = self._keys.get(parent) if isinstance(parent, str) else None
        if key is not None:
            record.after = None if key == self._tip else key
        elif parent != self._header and record.note is None:
            record.note = "what it follows is not in the file before it: read in the file's order"

    def _remember(self, value: dict[str, JSON], key: str | None, *, readable: bool) -> None:
        if key is not None:
            identity = text(value, "id")
            if identity is not None:
                self._keys[identity] = key
            elif self._linear:
                self._keys[f"#{self._count}"] = key
            self._tip = key
        self._count += readable

    def _add_facts(self, record: Record, value: dict[str, JSON]) -> None:
        kind = value.get("type")
        if kind == "compaction":
            self._add_compaction(record, value)
        elif kind == "session_info":
            set_title(record, text(value, "name"), RANK_NAMED)
        elif kind == "label":
            record.bookmarked = self._keys.get(text(value, "targetId") or "")
            label = " ".join((text(value, "label") or "").split())[:TITLE_CHARS_MAX]
            record.bookmark = label if label and record.bookmarked else None
        elif kind == "model_change":
            self.origin.model = text(value, "modelId") or self.origin.model
        elif record.role == "assistant":
            self.origin.model = _model(value) or self.origin.model
        elif record.role == "user" and not self._titled:
            words = decode(value).text
            self._titled = bool(words.strip())
            set_title(record, words, RANK_PROMPT)

    def _add_compaction(self, record: Record, value: dict[str, JSON]) -> None:
        causes = self._told.causes
        found = [causes.get(text(value, key) or "") for key in ("id", "parentId")]
        cause = next((each for each in found if each is not None), Cause(Reason.AUTO, None))
        record.compaction = cause.reason
        record.tokens_after = cause.tokens_after
        record.tokens_before = _count(value, "tokensBefore") or None
        kept = value.get("firstKeptEntryId")
        if type(index := value.get("firstKeptEntryIndex")) is int:
            kept = f"#{index}"
        record.kept_from = self._keys.get(kept) if isinstance(kept, str) else None
        named = text(value, "firstKeptEntryId")
        # One that names itself kept nothing, and says so.
        lost = record.kept_from is None and named is not None and named != text(value, "id")
        if lost and record.note is None:
            record.note = "the first entry that it kept is not in the file before it: none is"


def _classify(value: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    """Kind, role and note of a record, by its type."""
    kind = value.get("type")
    if kind == "message":
        return _classify_message(value.get("message"))
    if kind == "custom_message" or (kind == "branch_summary" and text(value, "summary")):
        return Kind.MESSAGE, "context", None
    if kind == "compaction":
        return Kind.COMPACTION, "system", None
    if kind == "session_info":
        return Kind.LABEL, None, None
    if isinstance(kind, str) and kind in TYPES:
        return Kind.NOTICE, None, None
    if not isinstance(kind, str):
        return Kind.UNKNOWN, None, "a record without a type"
    return Kind.UNKNOWN, None, f"a record of type {kind[:TITLE_CHARS_MAX]!r}, which is not known"


def _classify_message(message: JSON) -> tuple[Kind, str | None, str | None]:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str):
        return Kind.UNKNOWN, None, "a message that does not say who speaks"
    if role not in _ROLES:
        return Kind.UNKNOWN, None, f"a message of {role[:TITLE_CHARS_MAX]!r}, who is not known"
    # What a person ran with `!!` is not for the model.
    hidden = role == "bashExecution" and message.get("excludeFromContext") is True
    return (Kind.NOTICE if hidden else Kind.MESSAGE), _ROLES[role], None


def _time(value: dict[str, JSON]) -> int | None:
    told = time_ms(value.get("timestamp"))
    message = value.get("message")
    if told is None and isinstance(message, dict):
        told = _count(message, "timestamp") or None
    return told


def _count(raw: dict[str, JSON], key: str) -> int:
    found = raw.get(key)
    return found if type(found) is int and found > 0 else 0


def _model(value: dict[str, JSON]) -> str | None:
    """The model that gave an answer; `None` where a program put it in."""
    message = value.get("message")
    model = text(message if isinstance(message, dict) else value, "model")
    return None if model in _NO_CALLS else model


def _usage(value: dict[str, JSON], key: str | None) -> Usage | None:
    """What an entry's own model call used: an answer's, or that of a summary or a tool. A copy
    of the entry has the same key. `input` excludes the cache. pi's format asks for counts in every
    answer: where all are zero, and the cost too, nothing was used or nobody knows what.
    """
    message = value.get("message")
    holder = message if isinstance(message, dict) else value
    raw = holder.get("usage")
    model = text(holder, "model")
    if not isinstance(raw, dict) or model in _NO_CALLS:
        return None
    cost = raw.get("cost")
    total = cost.get("total") if isinstance(cost, dict) else None
    if not total and not any(_count(raw, each) for each in _COUNTS):
        return None
    return Usage(
        key=key and f"pi:{key}",
        model=model,
        provider=text(holder, "provider"),
        input=_count(raw, "input"),
        output=_count(raw, "output"),
        cache_read=_count(raw, "cacheRead"),
        cache_write=_count(raw, "cacheWrite"),
        cost=float(total) if isinstance(total, int | float) and total >= 0 else None,
    )


# --- reading a stored record -------------------------------------------------------------


def decode(record: JSON) -> Message:
    """What a record says as a message. Never fails: what cannot be placed is `Unknown`.

    A tool result's `details` (the result as the program sees it) stay in the record.
    """
    if not isinstance(record, dict):
        return Message("system", (Unknown(type(record).__name__, record),), meta=True)
    kind = text(record, "type")
    message = record.get("message")
    if kind == "message" and isinstance(message, dict):
        said = _said(message, record)
    elif kind == "custom_message":
        said = Message("user", _content(record.get("content")), meta=True)
    elif kind == "branch_summary" and text(record, "summary"):
        said = Message("user", (Text(_BRANCH_SUMMARY + record["summary"]),), meta=True)
    elif kind == "compaction" and text(record, "summary"):
        said = Message("user", (Text(record["summary"]),), summary=True)
    else:
        said = Message("system", (), meta=True)
    parts = said.parts or (Unknown(kind or "record", record),)
    usage = _usage(record, key_of(record))
    return msgspec.structs.replace(said, parts=parts, usage=usage, time_ms=_time(record) or 0)


def _said(message: dict[str, JSON], record: dict[str, JSON]) -> Message:
    content = message.get("content")
    match message.get("role"):
        case "user":
            return Message("user", _content(content))
        case "assistant":
            return _answer(message)
        case "toolResult":
            return Message("tool", (_result(message, record),))
        case "system":
            return Message("system", _content(content))
        case "bashExecution":
            return Message("user", (Text(_ran(message)),), meta=True)
        case "custom" | "hookMessage":
            return Message("user", _content(content), meta=True)
        case "branchSummary" if text(message, "summary"):
            return Message("user", (Text(_BRANCH_SUMMARY + message["summary"]),), meta=True)
        case "compactionSummary" if text(message, "summary"):
            return Message("user", (Text(message["summary"]),), summary=True)
        case _:
            return Message("system", (), meta=True)


def _content(content: JSON) -> tuple[Text | Image | File | Unknown, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple(map(_block, as_list(content)))


def _block(block: JSON) -> Text | Image | File | Unknown:
    match block:
        case {"type": "text", "text": str(words)}:
            return Text(words)
        case {"type": "image", "data": str(data)}:
            return Image(text_or_none(block.get("mimeType")), data)
        case _:
            return unknown(block)


def _answer(message: dict[str, JSON]) -> Message:
    """A model's answer. Its thinking goes back to a provider only where its signature is in
    that provider's own notation, which is so for Anthropic's.
    """
    content = message.get("content")
    api = message.get("api", message.get("provider"))
    signed = api in ("anthropic-messages", "anthropic")
    parts: list[Part] = []
    for block in [content] if isinstance(content, str) else as_list(content):
        match block:
            case str(words):
                parts.append(Text(words))
            case {"type": "thinking", "thinking": str(words)}:
                parts.append(_thinking(block, words, signed=signed))
            case {"type": "toolCall", "id": str(call), "name": str(name)}:
                arguments = block.get("arguments")
                parts.append(ToolCall(call, name, compact({} if arguments is None else arguments)))
            case _:
                parts.append(_block(block))
    form = anthropic.NAME if signed else None
    return Message("assistant", tuple(parts), model=text(message, "model"), format=form)


def _thinking(block: dict[str, JSON], words: str, *, signed: bool) -> Thinking:
    seal = text(block, "thinkingSignature") if signed else None
    if seal is not None and block.get("redacted") is True:
        return Thinking(data=seal)
    return Thinking(words, signature=seal)


def _result(message: dict[str, JSON], record: dict[str, JSON]) -> Part:
    call = message.get("toolCallId")
    if not isinstance(call, str):
        return Unknown("toolResult", record)
    parts = _content(message.get("content"))
    return ToolResult(call, parts, message.get("isError") is True, text(message, "toolName"))


def _ran(message: dict[str, JSON]) -> str:
    """A command that a person ran, and what came of it, as words for the model."""
    lines = [f"I ran this command: {message.get('command')}"]
    output = text(message, "output")
    lines.append(f"Its output:\n{output}" if output else "It gave no output.")
    code = message.get("exitCode")
    if message.get("cancelled") is True:
        lines.append("It was cancelled.")
    elif type(code) is int and code:
        lines.append(f"It exited with code {code}.")
    full = text(message, "fullOutputPath")
    if message.get("truncated") is True and full:
        lines.append(f"The output is cut; all of it was in {full}.")
    return "\n".join(lines)
