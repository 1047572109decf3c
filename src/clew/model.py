"""The nouns: records that pass between the layers. No behaviour beyond reading themselves.

An *entry* is the unit of the log and never changes. A *message* is what one or more entries
say, in one vocabulary whatever wire format they came in: a role and a tuple of parts.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec

from clew.canonical import parse

JSON = Any
"""A decoded JSON value."""


class Kind(StrEnum):
    """What an entry records."""

    MESSAGE = "message"
    COMPACTION = "compaction"
    CONFIG = "config"
    LABEL = "label"
    SNAPSHOT = "snapshot"
    REPAIR = "repair"
    HANDOFF = "handoff"
    NOTICE = "notice"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a compaction was made."""

    MANUAL = "manual"
    AUTO = "auto-threshold"
    OVERFLOW = "overflow-retry"
    TIMEOUT = "timeout-retry"


class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place in the log: one entry of one session. Written `session:seq`."""

    session: str
    seq: int

    def __str__(self) -> str:
        return f"{self.session}:{self.seq}"


# --- parts of a message ------------------------------------------------------------------


class Text(msgspec.Struct, frozen=True, tag="text", gc=False):
    """Words."""

    text: str


class Thinking(msgspec.Struct, frozen=True, tag="thinking", gc=False):
    """Reasoning. `signature` and `data` (encrypted) are opaque and provider-bound;
    `id` is a server-side item id (OpenAI Responses).
    """

    text: str = ""
    signature: str | None = None
    data: str | None = None
    id: str | None = None


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call", gc=False):
    """The model asks for a tool. `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str = "{}"


class Image(msgspec.Struct, frozen=True, tag="image", gc=False):
    """A picture: base64 `data` with its media type, or a `url`."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class File(msgspec.Struct, frozen=True, tag="file", gc=False):
    """A document: base64 `data`, a `url` or a provider's `file_id`."""

    name: str | None = None
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """A block of a type that Clew has no name for, kept as it is."""

    type: str = msgspec.field(name="of")  # `type` is the tag that tells the parts apart
    raw: JSON


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """What the tool gave back. `synthetic` marks a repair: no tool said this."""

    call_id: str
    parts: tuple[Text | Image | File | Unknown, ...] = ()
    is_error: bool = False
    name: str | None = None
    synthetic: bool = False

    @property
    def text(self) -> str:
        """The textual parts, joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


Part = Text | Thinking | ToolCall | ToolResult | Image | File | Unknown


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Tokens of one model call. `input` excludes what was read from or written to the cache;
    `output` includes `reasoning`. `key` is the provider's own id of the call: records that
    repeat it are one call, field by field the maximum. `cost` is in USD, `None` = unknown.
    """

    key: str | None = None
    model: str | None = None
    provider: str | None = None
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    cost: float | None = None


class Message(msgspec.Struct, frozen=True):
    """One turn's contribution in a neutral vocabulary.

    `role` is `system`, `user`, `assistant` or `tool` (developer counts as system).
    `id` is the provider's message id: entries that share it are pieces of one message.
    `at` are the positions of the entries it was read from, oldest first.
    `meta` marks text that no person typed (injected context); `summary` a compaction summary.
    `format` names the wire format it was read from: only there do its signatures hold.
    """

    role: str
    parts: tuple[Part, ...]
    id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    at: tuple[Position, ...] = ()
    time_ms: int = 0
    meta: bool = False
    summary: bool = False
    format: str | None = None

    @property
    def text(self) -> str:
        """The words of the message, without thinking and tools, joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls it makes, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """The results it carries, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolResult))


# --- the log -----------------------------------------------------------------------------


class Compaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """The facts of a compaction overlay. `first_kept` is the oldest entry that a model still
    sees as it was; everything older on the path is represented by `summary`. A foreign
    compaction may have no summary here: it then stands in the next message.
    """

    first_kept: Position
    reason: Reason = Reason.MANUAL
    summary: str | None = None
    tokens_before: int | None = None
    tokens_after: int | None = None
    model: str | None = None
    covered: int | None = None
    """How many messages the summary stands for."""


class Entry(msgspec.Struct, frozen=True, dict=True):
    """One immutable record of a session's log.

    `format` names the wire format of `body` (see `clew.shapes`). `body` is the JSON text as
    it came, byte for byte; `None` once erased. `meta` holds the few facts that the ledger
    itself needs, per kind.
    """

    session: str
    seq: int
    kind: Kind
    role: str | None
    time_ms: int
    format: str
    body: bytes | None
    meta: dict[str, JSON] = {}

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.session, self.seq)

    @property
    def erased(self) -> bool:
        """True when the body was erased; the chain still commits to it."""
        return self.body is None

    @cached_property
    def data(self) -> JSON:
        """The decoded body; `None` once erased."""
        return None if self.body is None else parse(self.body)


class Status(StrEnum):
    """What can be done with a session."""

    OPEN = "open"
    CLOSED = "closed"
    ARCHIVED = "archived"
    ERASED = "erased"


class SessionInfo(msgspec.Struct, frozen=True):
    """A session as it is listed. Times are Unix milliseconds."""

    id: str
    project: str
    title: str | None
    status: Status
    frontend: str | None
    user: str | None
    agent: str | None
    head: Position | None
    entries: int
    """How many entries this session itself holds; a branch shares those of its origin."""
    messages: int
    created_ms: int
    updated_ms: int
    forked_from: Position | None = None
    spawned_by: str | None = None
    """`session` or `session#call_id` of the session that started it as a sub-agent."""
    imported_from: str | None = None
    pinned: bool = False
    config: dict[str, JSON] = {}


class Checkpoint(msgspec.Struct, frozen=True):
    """A named pointer to an entry. `pre` is where the session stood (what `branch` and
    `restore` go back to); `post` is the compaction it was made for, if any.
    """

    id: str
    session: str
    pre: Position | None
    label: str
    reason: str
    created_ms: int
    post: Position | None = None
    first_kept: Position | None = None
    summary: str | None = None
    tokens_before: int | None = None
    tokens_after: int | None = None


class Move(msgspec.Struct, frozen=True):
    """A head that went elsewhere than forward: recorded, and undone by `undo()`."""

    number: int
    action: str
    from_: Position | None = msgspec.field(name="from")
    to: Position | None
    time_ms: int


# --- what happens beside the log ---------------------------------------------------------


class Event(msgspec.Struct, frozen=True):
    """Something that happened in a session and is no entry. `sequence` places it in the one
    order of the session's entries and events; `ref` names what it is about: a span, a
    checkpoint or a move. `body` are its facts as JSON; `None` once erased.
    """

    session: str
    sequence: int
    number: int
    kind: str
    """`start`, `update`, `finish` or `span` (all at once) of a span; `checkpoint`; `head`."""
    ref: str
    turn: int
    time_ms: int
    body: bytes | None


class Outcome(StrEnum):
    """How a span ended."""

    OK = "ok"
    ERROR = "error"
    DENIED = "denied"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    ABANDONED = "abandoned"


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Something that took time: a turn, a tool call, a model call, an agent run, a command.

    Times are Unix microseconds, latencies milliseconds of a monotonic clock, `None` is
    unknown. `tokens_in` excludes what was read from or written to the cache; `tokens_out`
    includes `reasoning`; `cost` is in USD. `input`, `output` and `attributes` are there only
    where bodies were asked for; their sizes always are.
    """

    id: str
    session: str
    kind: str
    """`turn`, `tool`, `model`, `agent`, `command` or `other`."""
    name: str
    turn: int
    ordinal: int
    """Its place among the spans of its turn, from 1."""
    sequence: int
    """Where its start stands in the session's order of entries and events."""
    status: str
    """`running`, `waiting` (for a person), or the outcome."""
    started_us: int
    created_ms: int
    finished_us: int | None = None
    latency_ms: float | None = None
    late: str | None = None
    """The outcome of a finish that came after the span had been given up as abandoned."""
    chat: str | None = None
    message: Position | None = None
    call_id: str | None = None
    parent: str | None = None
    batch: str | None = None
    """What calls made at once have in common."""
    attempt: int = 1
    effect: str | None = None
    """`none`, `idempotent` or `external`: whether it may be run again."""
    error: str | None = None
    error_type: str | None = None
    input: JSON = None
    output: JSON = None
    attributes: dict[str, JSON] = {}
    input_bytes: int | None = None
    output_bytes: int | None = None
    tokens_used: int | None = None
    cache_tokens: int | None = None
    reasoning_tokens: int | None = None
    provider: str | None = None
    model: str | None = None
    tier: str | None = None
    complexity: int | None = None
    request_type: str | None = None
    fallback: bool | None = None
    retries: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    first_token_ms: float | None = None
    cost: float | None = None
    status_code: int | None = None
    response_id: str | None = None

    @property
    def outcome(self) -> str | None:
        """How it ended; `None` while it runs or waits."""
        return None if self.status in ("running", "waiting") else self.status


class Snapshot(msgspec.Struct, frozen=True):
    """An agent's own state at a moment, an entry of the session's log.

    `version` is the entry's number: give it as `expected_version` to replace no other state
    than this. `at` is the entry that it was taken behind.
    """

    session: str
    version: int
    state: JSON
    bytes: int
    digest: str
    created_ms: int
    at: Position | None = None


class OpenCall(msgspec.Struct, frozen=True):
    """A tool call without a result when a session is resumed.

    `advice`: `answered` (it ended; its output is in the repair), `re-run` (it changes nothing,
    or nothing more the second time), `ask` (it reaches outside: a person should look),
    `waiting` (for a person: left open), `unknown`.
    """

    call_id: str
    name: str
    advice: str
    span: Span | None = None


class Resumption(msgspec.Struct, frozen=True):
    """What was found when a session was taken up again, and the one entry that mends it."""

    interrupted: tuple[Span, ...]
    """Turns and agent runs that never ended."""
    calls: tuple[OpenCall, ...]
    repair: Entry | None
    late: tuple[Span, ...]
    """Calls whose results came after they had been given up."""


class AuditRecord(msgspec.Struct, frozen=True):
    """Who did what, when. Metadata only, never content; hash-chained per session."""

    project: str
    session: str | None
    number: int
    time_ms: int
    actor: str
    action: str
    facts: dict[str, JSON]
    chain: str


class Hit(msgspec.Struct, frozen=True):
    """A search result. `snippet` holds the words around the match; `marks` are the
    `(start, end)` character ranges in it that matched.
    """

    session: str
    seq: int
    project: str
    title: str | None
    kind: str
    """What matched: `user`, `assistant`, `system`, `thinking`, `tool_call` or `tool_result`."""
    tool: str | None
    time_ms: int
    snippet: str
    marks: tuple[tuple[int, int], ...]
    score: float


class Results(msgspec.Struct, frozen=True):
    """What a search found, and how far it could see."""

    hits: tuple[Hit, ...]
    index: str
    """`current`, `behind`, `empty` or `disabled`."""
    behind: int = 0
    """Entries that no index covers yet; they were searched one by one up to the limit."""
    unseen: int = 0
    """Entries beyond that limit, which this answer does not cover."""


# --- what importers yield ----------------------------------------------------------------


class Record(msgspec.Struct, gc=False):
    """One record of a foreign history, as an importer reads it.

    `start` and `length` are its byte range in the source; the bytes themselves are the body.
    `native_id` is the source's own stable id: a record that is already in the ledger under
    it is not added again. `says_all` is true where that id is made from all that the record
    says: other bytes under it are another notation and no later version. `after` names the
    native id of the record that it follows when that is not the one before it (a rewind); the
    empty text is the root, before all records. `kept_from` names the oldest record that a
    compaction left in the model's sight. `bookmark` is a label that the record puts on another
    one, `bookmarked`. `note` says why a record was not understood.
    """

    start: int
    length: int
    kind: Kind
    format: str
    role: str | None = None
    time_ms: int | None = None
    native_id: str | None = None
    after: str | None = None
    message_id: str | None = None
    usage: Usage | None = None
    title: str | None = None
    title_rank: int = 0
    """A later title replaces an earlier one of the same or a lower rank."""
    compaction: Reason | None = None
    tokens_before: int | None = None
    tokens_after: int | None = None
    note: str | None = None
    kept_from: str | None = None
    says_all: bool = False
    bookmark: str | None = None
    bookmarked: str | None = None


class Origin(msgspec.Struct):
    """What an importer knows about the session in a file, grown while it reads.

    `native_id` names the session in its agent's own terms; `parent` and `parent_call` the
    session and tool call that spawned it.
    """

    native_id: str
    agent: str
    project: str | None = None
    parent: str | None = None
    parent_call: str | None = None
    kind: str = "main"
    version: str | None = None
    model: str | None = None
    renamed: bool = False
    """True where the agent may have written an older file anew, with other names for the same
    records in the same order."""
    settled: bool = True
    """False as long as all that was read may be a copy of its parent's history: the session is
    not made before it is known where the copy ends."""
    remains: bool = False
    """True for what an agent keeps of a session whose own history may be gone: nothing of it is
    added to a session that its own history told, and that history takes its place."""
