"""A span as OpenTelemetry knows it: what both decoders give and both encoders take.

Attribute values are `str`, `bool`, `int`, `float`, `bytes`, `None`, lists and dicts of these.
A request is read span by span: a bad one is a `Refusal` and costs none of its neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from clew.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

SPANS_MAX = 65_536
"""Spans of one request."""

VALUES_MAX = 100_000
"""Attributes of one span, and values in one list."""

DEPTH_MAX = 32
"""Levels of lists and dicts in one attribute."""

REASONS_MAX = 5
"""Refusals whose reason is told; all are counted."""

REASON_CHARS_MAX = 500

ODD_MAX = 32
"""Notes on values of one span that could not be read."""

ODD_CHARS_MAX = 300

TRACE_CHARS = 32
SPAN_CHARS = 16

Value = Any
"""The value of an attribute."""


class Scope(msgspec.Struct):
    """The library that made the spans."""

    name: str = ""
    version: str = ""
    attributes: dict[str, Value] = {}
    schema_url: str = ""


class Resource(msgspec.Struct):
    """The process that the spans come from."""

    attributes: dict[str, Value] = {}
    schema_url: str = ""


class Event(msgspec.Struct):
    """Something that happened during a span. Time in Unix nanoseconds."""

    time_ns: int
    name: str
    attributes: dict[str, Value] = {}
    dropped: int = 0


class Link(msgspec.Struct):
    """Another span that this one has to do with. Ids in lower-case hex."""

    trace_id: str
    span_id: str
    trace_state: str = ""
    attributes: dict[str, Value] = {}
    dropped: int = 0
    flags: int = 0


class OtlpSpan(msgspec.Struct):
    """One span. Ids in lower-case hex (32 and 16 characters; no parent: empty), times in Unix
    nanoseconds (0: not told; a span without an end still runs), `kind` and `status_code` as
    OpenTelemetry numbers them. `dropped_…` is what the sender says it left out; `odd` says
    which values could not be read as what they should be.
    """

    trace_id: str
    span_id: str
    name: str = ""
    parent_id: str = ""
    kind: int = 0
    start_ns: int = 0
    end_ns: int = 0
    attributes: dict[str, Value] = {}
    events: list[Event] = []
    links: list[Link] = []
    status_code: int = 0
    status_message: str = ""
    scope: Scope = msgspec.field(default_factory=Scope)
    resource: Resource = msgspec.field(default_factory=Resource)
    trace_state: str = ""
    flags: int = 0
    dropped_attributes: int = 0
    dropped_events: int = 0
    dropped_links: int = 0
    odd: list[str] = []

    @property
    def id(self) -> str:
        """The name of the span in a ledger: trace id and span id, 48 characters."""
        return self.trace_id + self.span_id

    @property
    def parent(self) -> str | None:
        """The name of the parent in a ledger."""
        return self.trace_id + self.parent_id if self.parent_id else None


class Refused(msgspec.Struct):
    """Spans that were refused for the same reason: how many, and which was the first."""

    span: str
    count: int = 0


class Refusals(msgspec.Struct):
    """How many spans could not be taken, and why (the first few reasons)."""

    count: int = 0
    reasons: dict[str, Refused] = {}

    def add(self, reason: str, span: str = "") -> None:
        """One more. `span` is its id as the sender wrote it, empty where it has none."""
        self.count += 1
        told = reason[:REASON_CHARS_MAX]
        if told in self.reasons or len(self.reasons) < REASONS_MAX:
            self.reasons.setdefault(told, Refused(span[:SPAN_CHARS])).count += 1

    @property
    def message(self) -> str:
        """What to tell the sender; empty when nothing was refused."""
        return "; ".join(_reason(reason, one) for reason, one in self.reasons.items())


def _reason(reason: str, refused: Refused) -> str:
    if not refused.span:
        return reason
    others = f" and {refused.count - 1:,} more" if refused.count > 1 else ""
    return f"span {refused.span}{others}: {reason}"


class Request(msgspec.Struct):
    """What was read from one export request."""

    spans: list[OtlpSpan] = []
    refused: Refusals = msgspec.field(default_factory=Refusals)


class Answer(msgspec.Struct):
    """What an exporter is told: spans that were refused and why (0 with a message: a warning)."""

    rejected: int = 0
    message: str = ""


class Problem(msgspec.Struct):
    """A google.rpc.Status: a canonical code and a text for people."""

    code: int
    message: str


def check(span: OtlpSpan) -> None:
    """Raises `Invalid` when a span cannot be named or placed in time."""
    _check_id("trace_id", span.trace_id, TRACE_CHARS)
    _check_id("span_id", span.span_id, SPAN_CHARS)
    if span.parent_id:
        _check_id("parent_span_id", span.parent_id, SPAN_CHARS)
    if not span.start_ns and not span.end_ns:
        raise Invalid("a span has neither start nor end: set start_time_unix_nano")


def _check_id(field: str, text: str, chars: int) -> None:
    if len(text) != chars:
        raise Invalid(f"{field} has {len(text) // 2} bytes: it must have {chars // 2}")
    if not text.strip("0"):
        raise Invalid(f"{field} is all zeros")


def blocks_of(
    spans: Sequence[OtlpSpan],
) -> list[tuple[Resource, list[tuple[Scope, list[OtlpSpan]]]]]:
    """Spans in the nesting of the wire. Those in a row that share the same resource object
    and scope object share a block, so that nothing changes its place.
    """
    blocks: list[tuple[Resource, list[tuple[Scope, list[OtlpSpan]]]]] = []
    for span in spans:
        if not blocks or blocks[-1][0] is not span.resource:
            blocks.append((span.resource, []))
        scopes = blocks[-1][1]
        if not scopes or scopes[-1][0] is not span.scope:
            scopes.append((span.scope, []))
        scopes[-1][1].append(span)
    return blocks
