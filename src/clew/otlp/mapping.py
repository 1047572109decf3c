"""What a span of OpenTelemetry means to a ledger.

`mapped` takes the spans of one request and gives for each what `clew.spans.SpanDraft` takes,
the conversation that it belongs to and the messages that it carries. A value that cannot be
read as its field (a token count that is no number) stays in the attributes, where everything
that no row of `semconv` names is kept as it came. What a span has beside its attributes
(events, links, scope, resource, schema) stands there under `clew.otlp`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

import msgspec

from clew.otlp import bodies, semconv
from clew.otlp.attributes import (
    Reading,
    as_attempt,
    as_cost,
    as_count,
    as_effect,
    as_flag,
    as_number,
    as_text,
    plain,
)
from clew.otlp.messages import Chat, structured
from clew.otlp.model import Event, OtlpSpan, Value

ENVELOPE = "clew.otlp"
"""The attribute under which stands what an OpenTelemetry span has beside its attributes."""

STATUS_ERROR = 2

NAME_CHARS_MAX = 1000
"""A longer name of a conversation is none."""


class Mapped(msgspec.Struct):
    """What is recorded of one span. `values` is what `SpanDraft` takes.

    `conversation` names the session in the sender's own terms, `None` when nothing in its
    trace does. `given` is what a model or agent was told, `said` its answer, as OpenAI chat
    messages. `continues` is true when it builds on an answer that the provider keeps.
    """

    id: str
    kind: str
    name: str
    values: dict[str, Any]
    trace: str
    conversation: str | None = None
    agent: str | None = None
    given: list[Chat] = []
    said: list[Chat] = []
    continues: bool = False


def mapped(spans: Sequence[OtlpSpan]) -> list[Mapped]:
    """What to record of the spans of one request, in their order. A span that does not say to
    which conversation it belongs goes where its nearest ancestor goes, or else its trace. A
    name that is too long is its own span's alone: that one is refused, and costs no other.
    """
    here = {span.id: span.resource for span in spans}
    told = [_mapped(span, here.get(span.parent or "") is span.resource) for span in spans]
    _spread(told)
    return told


def _spread(told: Sequence[Mapped]) -> None:
    by_id = {item.id: item for item in told}
    by_trace: dict[str, str] = {}
    for item in told:
        if _is_name(item.conversation):
            by_trace.setdefault(item.trace, item.conversation)
    if not by_trace:
        return
    for item in told:
        if item.conversation is None:
            item.conversation = _inherited(item, by_id) or by_trace.get(item.trace)


def _is_name(conversation: str | None) -> TypeGuard[str]:
    return conversation is not None and len(conversation) <= NAME_CHARS_MAX


def _inherited(item: Mapped, by_id: Mapping[str, Mapped]) -> str | None:
    seen = 0
    above: Mapped | None = item
    while above is not None and seen <= len(by_id):
        if _is_name(above.conversation):
            return above.conversation
        above = by_id.get(above.values.get("parent") or "")
        seen += 1
    return None


# --- one span ----------------------------------------------------------------------------


def _mapped(span: OtlpSpan, parent_here: bool) -> Mapped:
    reading = Reading(_attributes(span))
    kind = _kind(reading, span)
    values: dict[str, Any] = {}
    item = Mapped(span.id, kind, "", values, span.trace_id)
    item.conversation = _conversation(reading, span)
    item.agent = reading.peek("agent", as_text)
    _place(span, reading, item)
    item.name = _named(reading, kind, span)
    if kind == "model":
        _tokens(reading, values)
    _simple(reading, values)
    _status(reading, span, values)
    talk = bodies.read(reading, span, kind, values)
    item.given, item.said, item.continues = talk.given, talk.said, talk.continues
    attributes = reading.attributes
    if reading.used:
        attributes = {k: v for k, v in attributes.items() if k not in reading.used}
    kept = {name: plain(value) for name, value in attributes.items()}
    kept[ENVELOPE] = _envelope(span, item.name, parent_here, reading.read_events)
    values["attributes"] = kept
    return item


def _attributes(span: OtlpSpan) -> dict[str, Value]:
    """A span's own attributes and those that it tells by an event."""
    told = [event.attributes for event in span.events if event.name == semconv.DETAILS_EVENT]
    if not told:
        return span.attributes
    merged = dict(span.attributes)
    for attributes in told:
        for name, value in attributes.items():
            merged.setdefault(name, value)
    return merged


def _kind(reading: Reading, span: OtlpSpan) -> str:
    operation = reading.peek("operation", as_text)
    if operation is None:
        return _guessed(reading)
    kind = semconv.KINDS.get(operation.lower())
    if kind is None:
        return "other"
    if kind == "chain":
        return "other" if span.parent_id else "agent"
    return kind or operation.lower()


def _guessed(reading: Reading) -> str:
    """The kind of a span that does not say what it does."""
    found = reading.found
    if "tool" in found or "call_id" in found:
        return "tool"
    if ("model" in found or "model_asked" in found) and (
        "output_tokens" in found or "messages_in" in found or reading.indexed
    ):
        return "model"
    return "other"


def _named(reading: Reading, kind: str, span: OtlpSpan) -> str:
    name = None
    if kind == "tool":
        name = reading.take("tool", as_text)
        if name is None and span.name.startswith("execute_tool "):
            name = as_text(span.name.removeprefix("execute_tool "))
        name = name or reading.peek("workflow", as_text)
    elif kind == "model":
        name = reading.peek("model_asked", as_text) or reading.peek("model", as_text)
    elif kind == "agent":
        name = reading.peek("agent", as_text) or reading.peek("workflow", as_text)
    return name or as_text(span.name) or kind


def _conversation(reading: Reading, span: OtlpSpan) -> str | None:
    name = reading.take("conversation", as_text)
    if name is not None:
        return str(name)
    for holder in semconv.METADATA:
        if holder in reading.attributes:
            name = _in_metadata(reading.attributes[holder])
            if name is not None:
                return name
    outer = span.resource.attributes
    if outer:
        return next(
            (text for key in _RESOURCE_NAMES if (text := as_text(outer.get(key))) is not None), None
        )
    return None


_RESOURCE_NAMES = (semconv.written("conversation"), "session.id")


def _in_metadata(value: Value) -> str | None:
    data = structured(value)
    if not isinstance(data, dict):
        return None
    names = (as_text(data.get(name)) for name in semconv.METADATA_NAMES)
    return next((name for name in names if name is not None), None)


# --- place and time ----------------------------------------------------------------------


def _place(span: OtlpSpan, reading: Reading, item: Mapped) -> None:
    values = item.values
    start, end = span.start_ns or span.end_ns, span.end_ns
    values["started_us"] = start // 1000
    parent = span.parent
    attribute, value, real_parent = semconv.PENDING
    if span.attributes.get(attribute) == value and parent:
        item.id, end = parent, 0
        above = as_text(span.attributes.get(real_parent)) or ""
        parent = span.trace_id + above if len(above) == len(span.span_id) else None
    if parent:
        values["parent"] = parent
    if end:
        values["finished_us"] = max(start, end) // 1000
        values["latency_ms"] = max(0, end - start) / 1e6
    first = _first_token(reading, span, start)
    if first is not None:
        values["first_token_ms"] = first


def _first_token(reading: Reading, span: OtlpSpan, start: int) -> float | None:
    name = reading.name_of("first_token")
    value = reading.take("first_token", as_number) if name else None
    if value is not None:
        unit = semconv.UNITS.get(name)
        # Strands sends whole milliseconds under a name that others fill with seconds.
        seconds = unit == "s" or (unit != "ms" and isinstance(value, float))
        return float(value) * 1000 if seconds else float(value)
    for event in span.events:
        if event.name == semconv.STREAM_EVENT and event.time_ns >= start:
            return (event.time_ns - start) / 1e6
    return None


# --- numbers and words -------------------------------------------------------------------


_SIMPLE: tuple[tuple[str, str, Callable[[Value], Any]], ...] = (
    ("call_id", "call_id", as_text),
    ("provider", "provider", as_text),
    ("response_id", "response_id", as_text),
    ("cost", "cost", as_cost),
    ("error_type", "error_type", as_text),
    ("status_code", "status_code", as_count),
    ("attempt", "attempt", as_attempt),
    ("effect", "effect", as_effect),
    ("batch", "batch", as_text),
    ("chat", "chat", as_text),
    ("tier", "tier", as_text),
    ("complexity", "complexity", as_count),
    ("request_type", "request_type", as_text),
    ("fallback", "fallback", as_flag),
    ("retries", "retries", as_count),
    ("tokens_used", "tokens_used", as_count),
    ("cache_tokens", "cache_tokens", as_count),
    ("reasoning_tokens", "reasoning_tokens", as_count),
)


def _simple(reading: Reading, values: dict[str, Any]) -> None:
    found = reading.found
    for field, column, convert in _SIMPLE:
        if field in found:
            value = reading.take(field, convert)
            if value is not None:
                values[column] = value
    model = reading.take("model", as_text)
    asked = reading.peek("model_asked", as_text)
    if model is None and asked is not None:
        model = reading.take("model_asked", as_text)
    if model is not None:
        values["model"] = model


def _tokens(reading: Reading, values: dict[str, Any]) -> None:
    """Tokens, with what went through the cache taken out of the input."""
    _usage_object(reading)
    input = reading.take("input_tokens", as_count)
    for field, column in (("output_tokens", "tokens_out"), ("reasoning", "reasoning")):
        value = reading.take(field, as_count)
        if value is not None:
            values[column] = value
    read, write = reading.take("cache_read", as_count), reading.take("cache_write", as_count)
    if read is not None:
        values["cache_read"] = read
    if write is not None:
        values["cache_write"] = write
    if input is not None:
        cached = (read or 0) + (write or 0)
        total = reading.peek("total_tokens", as_count)
        apart = input < cached or total == input + (values.get("tokens_out") or 0) + cached
        values["tokens_in"] = input if apart else input - cached


_USAGE_NAMES = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
}


def _usage_object(reading: Reading) -> None:
    """MLflow tells all counts in one JSON object: read it as if they were attributes."""
    usage = structured(reading.peek("usage", lambda value: value))
    if not isinstance(usage, dict):
        return
    told = {f"usage.{name}": value for name, value in usage.items()}
    reading.attributes = {**reading.attributes, **told}
    reading.used.update(told)
    for field, name in _USAGE_NAMES.items():
        if name in usage and field not in reading.found:
            reading.found[field] = (len(semconv.TABLE), f"usage.{name}")


# --- how it went -------------------------------------------------------------------------


def _status(reading: Reading, span: OtlpSpan, values: dict[str, Any]) -> None:
    if "finished_us" not in values:
        return
    thrown = next((event for event in span.events if event.name == "exception"), None)
    failed = span.status_code == STATUS_ERROR
    if failed and thrown is not None:
        kind = as_text(thrown.attributes.get("exception.type"))
        if kind is not None:
            values.setdefault("error_type", kind)
    if failed:
        text = as_text(span.status_message) or _message_of(thrown)
        if text is not None:
            values["error"] = text
    outcome = reading.take("outcome", _outcome)
    if outcome is None:
        reason = str(values.get("error_type") or "").lower()
        outcome = semconv.OUTCOMES.get(reason, "error") if failed else "ok"
    values["outcome"] = outcome


def _message_of(event: Event | None) -> str | None:
    return None if event is None else as_text(event.attributes.get("exception.message"))


def _outcome(value: Value) -> str | None:
    known = ("ok", "error", "denied", "cancelled", "timeout", "abandoned")
    return value if value in known else None


# --- what is kept as it is ----------------------------------------------------------------


def _envelope(
    span: OtlpSpan, name: str, parent_here: bool, read_events: frozenset[str]
) -> dict[str, Any]:
    """What the span has beside its attributes, without what has its default. A resource is
    told once: by the spans whose parent is not in the same request. Of events that were read
    into fields only time and name are left.
    """
    scope, resource = span.scope, span.resource
    envelope: dict[str, Any] = {
        "semconv": semconv.VERSION,
        "name": "" if span.name == name else span.name,
        "kind": span.kind,
        "status": span.status_code,
        "state": span.trace_state,
        "schema": scope.schema_url or resource.schema_url,
        "scope": scope.name,
        "version": scope.version,
        "scope_attributes": plain(scope.attributes),
        "resource": {} if parent_here else plain(resource.attributes),
        "events": [_kept_event(event, read_events) for event in span.events],
        "links": [plain(msgspec.structs.asdict(link)) for link in span.links],
        "ns": [span.start_ns % 1000, span.end_ns % 1000],
        "odd": span.odd,
        "dropped": [span.dropped_attributes, span.dropped_events, span.dropped_links],
    }
    for name in ("ns", "dropped"):
        if not any(envelope[name]):
            del envelope[name]
    return {key: value for key, value in envelope.items() if value}


def _kept_event(event: Event, read_events: frozenset[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {"time_ns": event.time_ns, "name": event.name}
    if event.attributes and event.name not in read_events:
        kept["attributes"] = plain(event.attributes)
    if event.dropped:
        kept["dropped"] = event.dropped
    return kept
