"""Frames: what happens in a session, as those who follow it are told.

Each entry and each event of a session is one frame, in the one order of `clew.events`. A frame
says the same whenever it is read: live, or years later from the table. Big bodies stay behind;
their sizes are told, and the span or entry can be asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from clew import checkpoints, reading, spans, wire
from clew.db import Tx
from clew.events import Item
from clew.log import Head, Names, Place
from clew.model import Checkpoint, Compaction, Entry, Event, Kind, Move, Outcome, Snapshot

VERSION: Final = 1
"""The version of the frames' form; it changes when a field changes its meaning."""
BODY_BYTES_MAX: Final = 64 * 1024
"""Bodies above this are not sent along."""


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every frame has. `sequence` is the session's own order: go on with `after` it."""

    session: str
    sequence: int
    version: int = VERSION
    time_ms: int


class EntryFrame(Frame, frozen=True, kw_only=True, tag="entry"):
    """An entry was appended. `truncated`: its body was too big to be sent along."""

    entry: wire.Entry
    bytes: int
    truncated: bool = False


class CompactionFrame(Frame, frozen=True, kw_only=True, tag="compaction"):
    """A summary was put in the place of what came before."""

    seq: int
    compaction: Compaction


class SnapshotFrame(Frame, frozen=True, kw_only=True, tag="snapshot"):
    """The agent's state changed; `null`: it was deleted. `truncated`: ask for it."""

    seq: int
    snapshot: Snapshot | None
    bytes: int = 0
    truncated: bool = False


class CheckpointFrame(Frame, frozen=True, kw_only=True, tag="checkpoint"):
    """A checkpoint was made; `null` when it is not kept any more."""

    id: str
    checkpoint: Checkpoint | None


class HeadFrame(Frame, frozen=True, kw_only=True, tag="head"):
    """The head went elsewhere than forward: what a model sees is another history now."""

    move: Move | None


class SpanFrame(Frame, frozen=True, kw_only=True):
    """What is known of a span at this moment. `input` comes with the start and `output` with
    the finish, unless `truncated`.
    """

    span: wire.Span
    truncated: bool = False


class ToolStart(SpanFrame, frozen=True, kw_only=True, tag="tool_trace_start"):
    """A tool call began."""


class ToolFinish(SpanFrame, frozen=True, kw_only=True, tag="tool_trace_finish"):
    """A tool call ended, or was told of when it was over."""


class ModelStart(SpanFrame, frozen=True, kw_only=True, tag="model_call_start"):
    """A model call began."""


class ModelFinish(SpanFrame, frozen=True, kw_only=True, tag="model_call_finish"):
    """A model call ended."""


class SpanStart(SpanFrame, frozen=True, kw_only=True, tag="span_start"):
    """A turn, an agent's run, a command or something else began."""


class SpanFinish(SpanFrame, frozen=True, kw_only=True, tag="span_finish"):
    """A turn, an agent's run, a command or something else ended."""


class SpanUpdate(SpanFrame, frozen=True, kw_only=True, tag="span_update"):
    """Something was learnt about a span that goes on."""


class ErasedFrame(Frame, frozen=True, kw_only=True, tag="erased"):
    """What stood here was erased."""


AnyFrame = (
    EntryFrame
    | CompactionFrame
    | SnapshotFrame
    | CheckpointFrame
    | HeadFrame
    | ToolStart
    | ToolFinish
    | ModelStart
    | ModelFinish
    | SpanStart
    | SpanFinish
    | SpanUpdate
    | ErasedFrame
)
TRACES: Final = frozenset(
    {
        *("tool_trace_start", "tool_trace_finish", "model_call_start", "model_call_finish"),
        *("span_start", "span_finish", "span_update"),
    }
)
"""The types of frames that tell of spans."""
_STARTS: Final[dict[str, type[SpanFrame]]] = {"tool": ToolStart, "model": ModelStart}
_FINISHES: Final[dict[str, type[SpanFrame]]] = {"tool": ToolFinish, "model": ModelFinish}


def of(tx: Tx, head: Head, items: Iterable[Item]) -> list[AnyFrame]:
    """The frames of places in a session's order, one each."""
    return [
        _of_entry(tx, head, item.sequence, item.entry)
        if item.entry
        else _of_event(tx, head, item.event)
        for item in items
    ]


def _of_entry(tx: Tx, head: Head, sequence: int, entry: Entry) -> AnyFrame:
    where: dict[str, Any] = {
        "session": head.id,
        "sequence": sequence,
        "time_ms": entry.time_ms,
    }
    if entry.erased:
        return ErasedFrame(**where)
    if entry.kind is Kind.COMPACTION:
        return CompactionFrame(**where, seq=entry.seq, compaction=reading.compaction_of(entry))
    size = len(entry.body or b"")
    big = size > BODY_BYTES_MAX
    if entry.kind is Kind.SNAPSHOT:
        kept = None if big or entry.meta.get("deleted") else _snapshot(tx, head, entry)
        return SnapshotFrame(**where, seq=entry.seq, snapshot=kept, bytes=size, truncated=big)
    sent = wire.entry(entry, body=not big)
    return EntryFrame(**where, entry=sent, bytes=size, truncated=big)


def _snapshot(tx: Tx, head: Head, entry: Entry) -> Snapshot:
    from clew import snapshots

    return snapshots.snapshot_of(tx, Place(head.key, entry.seq), entry)


def _of_event(tx: Tx, head: Head, event: Event | None) -> AnyFrame:
    assert event is not None  # noqa: S101 - a place holds an entry or an event
    where: dict[str, Any] = {
        "session": head.id,
        "sequence": event.sequence,
        "time_ms": event.time_ms,
    }
    if event.kind == "checkpoint":
        return CheckpointFrame(**where, id=event.ref, checkpoint=_checkpoint(tx, head, event.ref))
    if event.kind == "head":
        return HeadFrame(**where, move=_move(tx, head, int(event.ref)))
    if event.body is None:
        return ErasedFrame(**where)
    return _of_span(tx, head, event, where)


def _checkpoint(tx: Tx, head: Head, id: str) -> Checkpoint | None:
    row = tx.one("checkpoint_get", session=head.key, id=id)
    return checkpoints.checkpoint_of(tx, Names(tx, head), row) if row else None


def _move(tx: Tx, head: Head, number: int) -> Move | None:
    row = tx.one("move_get", session=head.key, number=number)
    return reading.move_of(Names(tx, head), row) if row else None


def _of_span(tx: Tx, head: Head, event: Event, where: dict[str, Any]) -> AnyFrame:
    row = spans.find(tx, head, event.ref)
    big = len(event.body or b"") > BODY_BYTES_MAX
    said = spans.said_in(event)
    bodies = {} if big else said
    if event.kind == "start":
        first = spans.first_row(row["kind"], _columns(said), {name: row[name] for name in _PLACED})
        span = spans.span_of(head.id, first, bodies)
        kind = _STARTS.get(span.kind, SpanStart)
    else:
        span = spans.span_of(head.id, _then(row, said), bodies)
        kind = SpanUpdate if event.kind == "update" else _FINISHES.get(span.kind, SpanFinish)
    frame: AnyFrame = kind(**where, span=wire.span(span), truncated=big)  # type: ignore[assignment]
    return frame


_PLACED: Final = ("project", "session", "id", "turn", "ordinal", "sequence", "created_ms")


def _columns(said: spans.Values) -> spans.Values:
    return {name: value for name, value in said.items() if name != "kind"}


def _then(row: spans.Values, said: spans.Values) -> spans.Values:
    """A span's row as it was when it was given up, whatever came later."""
    if said.get("outcome") == Outcome.ABANDONED:
        return {**row, "status": str(Outcome.ABANDONED), "late": None}
    return row


# --- what is said beside the frames -------------------------------------------------------


class Following(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="following"):
    """What is followed from here on, and from where. Where there are very many sessions they
    are told in pieces; `more` says that another follows.
    """

    version: int = VERSION
    sessions: dict[str, int]
    """By session: the sequence behind which its frames begin."""
    everything: bool = False
    """Sessions that are not named are followed too, from their beginning."""
    traces: bool = True
    """False: the token may not read traces, so frames of spans are left out."""
    snapshot: Snapshot | None = None
    """The newest state, where one session is asked for."""
    truncated: bool = False
    """True: there is a state, but it is too big to be sent along."""
    more: bool = False


class Behind(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="behind"):
    """This reader is slow: frames are read from the table from here on, none is left out."""

    session: str
    after: int
    sequence: int


class CaughtUp(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="caught_up"):
    """All that had happened in a session when it was asked for, or since `behind`, was told."""

    session: str
    sequence: int


class Problem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="problem"):
    """The last word before the server ends the stream."""

    code: int
    """Why the socket is closed."""
    problem: str
    """`urn:clew:problem:<name>`, as in an answer over HTTP."""
    detail: str


AnyTalk = Following | Behind | CaughtUp | Problem
TALK: Final = (Following, Behind, CaughtUp, Problem)
"""What a stream says that is no frame of a session."""
TALK_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in TALK)


# --- what a client says -------------------------------------------------------------------

Sequence = Annotated[int, Meta(ge=0, le=2**53 - 1)]
SESSIONS_MAX: Final = 10_000
"""Sessions that one message may name."""
Positions = Annotated[dict[wire.Name, Sequence], Meta(max_length=SESSIONS_MAX)]


class Which(wire.Request):
    """Sessions to follow: one; several, each behind the sequence that was seen (0: from the
    beginning); or all, where those that are not named are followed from their beginning.
    """

    session: wire.Name | None = None
    after: Sequence = 0
    """Goes with `session`."""
    sessions: Positions | None = None
    all: Positions | None = None


class Ask(wire.Request):
    """What a client says. `subscribe` adds to what is followed, or begins anew behind another
    sequence; `"all"` follows every session from now on. `unsubscribe` ends.
    """

    subscribe: Which | Literal["all"] | None = None
    unsubscribe: (
        Annotated[list[wire.Name], Meta(max_length=SESSIONS_MAX)] | Literal["all"] | None
    ) = None


class EventsQuery(wire.Request):
    """What is followed by server-sent events: these sessions, or all from now on."""

    session: Annotated[list[wire.Name], Meta(max_length=20)] = msgspec.field(default_factory=list)
    after: Annotated[list[Sequence], Meta(max_length=20)] = msgspec.field(default_factory=list)
    """One for each session, in their order; none: from the beginning."""
    idle: Annotated[float, Meta(ge=0, le=3600)] | None = None
    """End when nothing happened for so many seconds."""


# --- on the wire --------------------------------------------------------------------------

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(AnyFrame | AnyTalk).decode
decode_frame: Final = msgspec.json.Decoder(AnyFrame).decode
"""Raises `msgspec.ValidationError` for what is no frame of a session."""


def schema() -> dict[str, Any]:
    """The JSON Schema of all that the server says (`Frame`, `Talk`) and of what a client says
    (`Ask`).
    """
    kinds: dict[str, Any] = {"Frame": AnyFrame, "Talk": AnyTalk, "Ask": Ask}
    roots, parts = msgspec.json.schema_components(kinds.values(), ref_template="#/$defs/{name}")
    told = {name: root for name, root in zip(kinds, roots, strict=True) if name not in parts}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Clew live stream",
        "version": VERSION,
        "oneOf": [{"$ref": "#/$defs/Frame"}, {"$ref": "#/$defs/Talk"}],
        "$defs": {**told, **parts},
    }
