"""Spans, the agent's own state, and taking up again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from clew import model
from clew.model import JSON, Position
from clew.spans import SpanDraft
from clew.wire.base import MESSAGES_MAX, TREE_MAX, Cursor, Name, Place, Request
from clew.wire.entries import Entry
from clew.wire.lists import PageQuery

Count0 = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[float, Meta(ge=0)]
Text = Annotated[str, Meta(min_length=1)]


class SpanChanges(Request):
    """What is known about a span: an `outcome` ends it, `waiting` says that a person is asked.
    See `clew.Span` for the rest.
    """

    name: Text | UnsetType = UNSET
    outcome: model.Outcome | UnsetType = UNSET
    waiting: bool | UnsetType = UNSET
    input: JSON | UnsetType = UNSET
    output: JSON | UnsetType = UNSET
    attributes: dict[str, JSON] | UnsetType = UNSET
    chat: Text | UnsetType = UNSET
    message: Place | Position | UnsetType = UNSET
    call_id: Text | UnsetType = UNSET
    parent: Text | UnsetType = UNSET
    batch: Text | UnsetType = UNSET
    attempt: Count0 | UnsetType = UNSET
    effect: Literal["none", "idempotent", "external"] | UnsetType = UNSET
    started_us: Count0 | UnsetType = UNSET
    finished_us: Count0 | UnsetType = UNSET
    latency_ms: Milliseconds | UnsetType = UNSET
    error: str | UnsetType = UNSET
    error_type: Text | UnsetType = UNSET
    tokens_used: Count0 | UnsetType = UNSET
    cache_tokens: Count0 | UnsetType = UNSET
    reasoning_tokens: Count0 | UnsetType = UNSET
    provider: Text | UnsetType = UNSET
    model: Text | UnsetType = UNSET
    tier: Text | UnsetType = UNSET
    complexity: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    request_type: Text | UnsetType = UNSET
    fallback: bool | UnsetType = UNSET
    retries: Count0 | UnsetType = UNSET
    tokens_in: Count0 | UnsetType = UNSET
    tokens_out: Count0 | UnsetType = UNSET
    cache_read: Count0 | UnsetType = UNSET
    cache_write: Count0 | UnsetType = UNSET
    reasoning: Count0 | UnsetType = UNSET
    first_token_ms: Milliseconds | UnsetType = UNSET
    cost: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    status_code: Count0 | UnsetType = UNSET
    response_id: Text | UnsetType = UNSET

    def facts(self) -> dict[str, Any]:
        """What was said, by name."""
        told = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in told.items() if value is not UNSET}


class SpanStart(SpanChanges, kw_only=True):
    """A span that starts, or (with an `outcome`) one that is told whole. Under an `id` that is
    known it is the span that is there.
    """

    kind: Literal["turn", "tool", "model", "agent", "command", "other"]
    name: Text
    id: Annotated[str, Meta(max_length=200)] = ""
    turn: Count0 | UnsetType = UNSET

    def draft(self) -> SpanDraft:
        """The same on its way into the ledger."""
        told = self.facts()
        return SpanDraft(told.pop("kind"), told.pop("name"), id=told.pop("id"), values=told)


class SpanStarts(Request):
    """Spans, all recorded or none. `owner` is who runs them, if it signed on; what has none
    runs until somebody says that it ended.
    """

    spans: Annotated[list[SpanStart], Meta(min_length=1, max_length=MESSAGES_MAX)]
    owner: Name | None = None


class OwnerPut(Request):
    """A process that runs spans, as others can look for it: `host` with its PID namespace, the
    host's `boot`, the process and when it `started`. Said again it is a sign of life.
    """

    host: Annotated[str, Meta(max_length=1000)]
    boot: Annotated[str, Meta(max_length=200)]
    pid: Annotated[int, Meta(ge=0, le=2**31)]
    started: Annotated[str, Meta(max_length=200)]


class OwnerHeld(msgspec.Struct):
    """An owner that is known, and how often it has to be heard of."""

    id: str
    beat_seconds: float


class Span(model.Span, frozen=True, kw_only=True):
    """A span, with its outcome once it has ended; bodies only where one span was asked for."""

    ended: str | None = msgspec.field(default=None, name="outcome")


def span(record: model.Span) -> Span:
    """A span as it goes out."""
    told = {name: getattr(record, name) for name in record.__struct_fields__}
    return Span(**told, ended=record.outcome)


class Spans(msgspec.Struct):
    """The spans as they are stored, in the order in which they were sent."""

    spans: list[Span]


class TracesQuery(PageQuery):
    """Which spans. `outcome` may be `running` or `waiting` too."""

    kind: Name | None = None
    tool: Name | None = None
    outcome: Name | None = None
    turn: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    chat: Name | None = None
    call_id: Name | None = None


class TreeQuery(Request):
    """How much of the tree; `ids` are left out unless asked for: they do not compress.

    `derive`: where no span is recorded, give what the times of the messages tell (this needs
    `session:read` too), a window of the path at a time: the newest, that with the entry `at` in
    its middle, or that of a cursor.
    """

    limit: Annotated[int, Meta(ge=1, le=TREE_MAX)] = TREE_MAX
    cursor: Cursor | None = None
    ids: bool = False
    derive: bool = False
    at: Annotated[str, Meta(max_length=200, description="An entry: `12`, or `session:12`.")] = ""


class Derived(msgspec.Struct):
    """Which part of the path derived rows come from: from its entry number `first` (0 is the
    oldest) up to `last`, exclusive, of `total`.
    """

    first: int
    last: int
    total: int


class Tree(msgspec.Struct, omit_defaults=True):
    """The spans of a session as columns, in the order in which they began: one value a span.

    Columns named in `deltas` hold differences to the value before (the first: to 0). `parent` is
    how many rows above the parent stands (negative: below), 0 for none. Those named in
    `texts` hold places in its lists. A column in which nobody told anything is left
    out. A span is fetched by its id or by `@sequence`.

    `at` is the entry of its own that a span began behind. With `derived` the rows are no
    recorded spans: `sequence` is the place on the path, from 1, of the entry `at` of the session
    `of` (without it, this one), `part` the call's place in that entry's message, `child` the
    session that the call began; `previous` is the cursor of the window before.
    """

    session: str
    count: int
    columns: dict[str, list[Any]]
    texts: dict[str, list[str | None]]
    deltas: list[str]
    next: str | None = None
    previous: str | None = None
    derived: Derived | None = None


class SnapshotPut(Request):
    """The agent's own state; with `expected_version` (`null`: none yet) only over that one."""

    state: JSON
    expected_version: Annotated[int, Meta(ge=0)] | UnsetType | None = UNSET


class SnapshotHeld(msgspec.Struct):
    """The state in force; `null`: there is none."""

    snapshot: model.Snapshot | None


class Deleted(msgspec.Struct):
    """Whether there was anything."""

    deleted: bool


class Resumed(msgspec.Struct):
    """What was found when a session was taken up again, and the one entry that mends it."""

    interrupted: list[Span]
    calls: list[model.OpenCall]
    repair: Entry | None
    late: list[Span]
