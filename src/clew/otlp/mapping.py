"""What a span of OpenTelemetry means to a ledger.

`mapped` takes the spans of one request and gives for each what `clew.spans.SpanDraft` takes,
the conversation that it belongs to and the messages that it carries. A value that cannot be
read as its field (a token count that is no number) stays in the attributes, where everything
that no row of `semconv` names is kept as it came. What a span has beside its attributes
(events, links, scope, resource, schema) stands there under `clew.otlp`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from clew.names import mended
from clew.otlp import messages, semconv
from clew.otlp.messages import Chat, structured
from clew.otlp.model import Event, OtlpSpan, Value

ENVELOPE = "clew.otlp"
"""The attribute under which stands what an OpenTelemetry span has beside its attributes."""

COUNT_MAX = 2**53
STATUS_ERROR = 2

_PREFIXES = tuple(semconv.PREFIXES)
_FINISH_REASONS = semconv.written("finish_reasons")
_DETAILS = frozenset({semconv.DETAILS_EVENT})


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
    which conversation it belongs goes where its nearest ancestor goes, or else its trace.
    """
    here = {span.id: span.resource for span in spans}
    told = [_mapped(span, here.get(span.parent or "") is span.resource) for span in spans]
    _spread(told)
    return told


def _spread(told: Sequence[Mapped]) -> None:
    by_id = {item.id: item for item in told}
    by_trace: dict[str, str] = {}
    for item in told:
        if item.conversation is not None:
            by_trace.setdefault(item.trace, item.conversation)
    if not by_trace:
        return
    for item in told:
        if item.conversation is None:
            item.conversation = _inherited(item, by_id) or by_trace.get(item.trace)


def _inherited(item: Mapped, by_id: Mapping[str, Mapped]) -> str | None:
    seen = 0
    above: Mapped | None = item
    while above is not None and seen <= len(by_id):
        if above.conversation is not None:
            return above.conversation
        above = by_id.get(above.values.get("parent") or "")
        seen += 1
    return None


# --- one span ----------------------------------------------------------------------------


class _Reading:
    """The attributes of one span on the way to fields: what was found, and what was used."""

    __slots__ = ("attributes", "found", "indexed", "read_events", "used")

    def __init__(self, attributes: dict[str, Value]) -> None:
        self.attributes = attributes
        self.used: set[str] = set()
        self.read_events: frozenset[str] = _DETAILS
        self.indexed: list[str] = []
        self.found: dict[str, tuple[int, str]] = {}
        found, fields = self.found, semconv.FIELDS
        for name in attributes:
            hit = fields.get(name)
            if hit is None:
                if name.startswith(_PREFIXES):
                    self.indexed.append(name)
                continue
            field, rank = hit
            known = found.get(field)
            if known is None or rank < known[0]:
                found[field] = (rank, name)

    def take(self, field: str, convert: Callable[[Value], Any]) -> Any:
        """A field's value; `None` when it is not told or cannot be read."""
        hit = self.found.get(field)
        if hit is None:
            return None
        value = convert(self._raw(hit[1]))
        if value is not None:
            self.used.add(hit[1])
        return value

    def peek(self, field: str, convert: Callable[[Value], Any]) -> Any:
        """The same, but the attribute stays among the others."""
        hit = self.found.get(field)
        return None if hit is None else convert(self._raw(hit[1]))

    def _raw(self, name: str) -> Value:
        """A value as it was meant: MLflow writes every one as JSON, strings in quotes too."""
        value = self.attributes[name]
        if name.startswith("mlflow.") and isinstance(value, str) and value[:1] == '"':
            return value[1:-1]
        return value

    def name_of(self, field: str) -> str:
        """The attribute that tells the field."""
        hit = self.found.get(field)
        return hit[1] if hit else ""


def _mapped(span: OtlpSpan, parent_here: bool) -> Mapped:
    reading = _Reading(_attributes(span))
    kind = _kind(reading, span)
    values: dict[str, Any] = {}
    item = Mapped(span.id, kind, "", values, span.trace_id)
    item.conversation = _conversation(reading, span)
    item.agent = reading.peek("agent", _text)
    _place(span, reading, item)
    item.name = _named(reading, kind, span)
    if kind == "model":
        _tokens(reading, values)
    _simple(reading, values)
    _status(reading, span, values)
    _bodies(reading, span, item)
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


def _kind(reading: _Reading, span: OtlpSpan) -> str:
    operation = reading.peek("operation", _text)
    if operation is None:
        return _guessed(reading)
    kind = semconv.KINDS.get(operation.lower())
    if kind is None:
        return "other"
    if kind == "chain":
        return "other" if span.parent_id else "agent"
    return kind or operation.lower()


def _guessed(reading: _Reading) -> str:
    """The kind of a span that does not say what it does."""
    found = reading.found
    if "tool" in found or "call_id" in found:
        return "tool"
    if ("model" in found or "model_asked" in found) and (
        "output_tokens" in found or "messages_in" in found or reading.indexed
    ):
        return "model"
    return "other"


def _named(reading: _Reading, kind: str, span: OtlpSpan) -> str:
    name = None
    if kind == "tool":
        name = reading.take("tool", _text)
        if name is None and span.name.startswith("execute_tool "):
            name = _text(span.name.removeprefix("execute_tool "))
        name = name or reading.peek("workflow", _text)
    elif kind == "model":
        name = reading.peek("model_asked", _text) or reading.peek("model", _text)
    elif kind == "agent":
        name = reading.peek("agent", _text) or reading.peek("workflow", _text)
    return name or _text(span.name) or kind


def _conversation(reading: _Reading, span: OtlpSpan) -> str | None:
    name = reading.take("conversation", _text)
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
            (text for key in _RESOURCE_NAMES if (text := _text(outer.get(key))) is not None), None
        )
    return None


_RESOURCE_NAMES = (semconv.written("conversation"), "session.id")


def _in_metadata(value: Value) -> str | None:
    data = structured(value)
    if not isinstance(data, dict):
        return None
    names = (_text(data.get(name)) for name in semconv.METADATA_NAMES)
    return next((name for name in names if name is not None), None)


# --- place and time ----------------------------------------------------------------------


def _place(span: OtlpSpan, reading: _Reading, item: Mapped) -> None:
    values = item.values
    start, end = span.start_ns or span.end_ns, span.end_ns
    values["started_us"] = start // 1000
    parent = span.parent
    attribute, value, real_parent = semconv.PENDING
    if span.attributes.get(attribute) == value and parent:
        item.id, end = parent, 0
        above = _text(span.attributes.get(real_parent)) or ""
        parent = span.trace_id + above if len(above) == len(span.span_id) else None
    if parent:
        values["parent"] = parent
    if end:
        values["finished_us"] = max(start, end) // 1000
        values["latency_ms"] = max(0, end - start) / 1e6
    first = _first_token(reading, span, start)
    if first is not None:
        values["first_token_ms"] = first


def _first_token(reading: _Reading, span: OtlpSpan, start: int) -> float | None:
    name = reading.name_of("first_token")
    value = reading.take("first_token", _number) if name else None
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


def _text(value: Value) -> str | None:
    """A name: no empty one, and nothing that a database cannot hold."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        return None
    return value if value.isascii() and "\0" not in value else mended(value)


def _count(value: Value) -> int | None:
    """A whole number from 0 on, also where it came as a string or a float."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 17:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        return None
    return value


def _number(value: Value) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and 0 <= value < 1e9 else None


def _flag(value: Value) -> bool | None:
    return value if isinstance(value, bool) else None


def _cost(value: Value) -> float | None:
    data = structured(value)
    return _number(data.get("total_cost") if isinstance(data, dict) else data)


def _effect(value: Value) -> str | None:
    return value if value in ("none", "idempotent", "external") else None


def _attempt(value: Value) -> int | None:
    return _count(value) or None


_SIMPLE: tuple[tuple[str, str, Callable[[Value], Any]], ...] = (
    ("call_id", "call_id", _text),
    ("provider", "provider", _text),
    ("response_id", "response_id", _text),
    ("cost", "cost", _cost),
    ("error_type", "error_type", _text),
    ("status_code", "status_code", _count),
    ("attempt", "attempt", _attempt),
    ("effect", "effect", _effect),
    ("batch", "batch", _text),
    ("chat", "chat", _text),
    ("tier", "tier", _text),
    ("complexity", "complexity", _count),
    ("request_type", "request_type", _text),
    ("fallback", "fallback", _flag),
    ("retries", "retries", _count),
    ("tokens_used", "tokens_used", _count),
    ("cache_tokens", "cache_tokens", _count),
    ("reasoning_tokens", "reasoning_tokens", _count),
)


def _simple(reading: _Reading, values: dict[str, Any]) -> None:
    found = reading.found
    for field, column, convert in _SIMPLE:
        if field in found:
            value = reading.take(field, convert)
            if value is not None:
                values[column] = value
    model = reading.take("model", _text)
    asked = reading.peek("model_asked", _text)
    if model is None and asked is not None:
        model = reading.take("model_asked", _text)
    if model is not None:
        values["model"] = model


def _tokens(reading: _Reading, values: dict[str, Any]) -> None:
    """Tokens, with what went through the cache taken out of the input."""
    _usage_object(reading)
    input = reading.take("input_tokens", _count)
    for field, column in (("output_tokens", "tokens_out"), ("reasoning", "reasoning")):
        value = reading.take(field, _count)
        if value is not None:
            values[column] = value
    read, write = reading.take("cache_read", _count), reading.take("cache_write", _count)
    if read is not None:
        values["cache_read"] = read
    if write is not None:
        values["cache_write"] = write
    if input is not None:
        cached = (read or 0) + (write or 0)
        total = reading.peek("total_tokens", _count)
        apart = input < cached or total == input + (values.get("tokens_out") or 0) + cached
        values["tokens_in"] = input if apart else input - cached


_USAGE_NAMES = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
}


def _usage_object(reading: _Reading) -> None:
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


def _status(reading: _Reading, span: OtlpSpan, values: dict[str, Any]) -> None:
    if "finished_us" not in values:
        return
    thrown = next((event for event in span.events if event.name == "exception"), None)
    failed = span.status_code == STATUS_ERROR
    if failed and thrown is not None:
        kind = _text(thrown.attributes.get("exception.type"))
        if kind is not None:
            values.setdefault("error_type", kind)
    if failed:
        text = _text(span.status_message) or _message_of(thrown)
        if text is not None:
            values["error"] = text
    outcome = reading.take("outcome", _outcome)
    if outcome is None:
        reason = str(values.get("error_type") or "").lower()
        outcome = semconv.OUTCOMES.get(reason, "error") if failed else "ok"
    values["outcome"] = outcome


def _message_of(event: Event | None) -> str | None:
    return None if event is None else _text(event.attributes.get("exception.message"))


def _outcome(value: Value) -> str | None:
    known = ("ok", "error", "denied", "cancelled", "timeout", "abandoned")
    return value if value in known else None


# --- what went in and came out ------------------------------------------------------------


def _bodies(reading: _Reading, span: OtlpSpan, item: Mapped) -> None:
    values = item.values
    if item.kind == "tool":
        given = reading.take("tool_input", _body)
        said = reading.take("tool_output", _body)
        if given is None and said is None:
            given, said = _from_tool_messages(reading) or _from_tool_events(span.events)
    else:
        _talk(reading, span, item)
        given, said = item.given or None, item.said or None
    if given is None:
        given = reading.take("input", _body)
    if given is None:
        given = reading.take("messages_in", _body)
    if said is None:
        said = reading.take("output", _body)
    if said is None:
        said = reading.take("messages_out", _body)
    if given is not None:
        values["input"] = given
    if said is not None:
        values["output"] = said
    reasons = reading.take("finish_reasons", _reasons) or _reasons_told(reading, span)
    if reasons:
        reading.attributes = {**reading.attributes, _FINISH_REASONS: reasons}
        reading.used.discard(_FINISH_REASONS)


def _body(value: Value) -> Any:
    return structured(value) if isinstance(value, str) else plain(value)


def _reasons(value: Value) -> list[Value] | None:
    data = structured(value)
    return data if isinstance(data, list) else [data] if isinstance(data, str) else None


def _reasons_told(reading: _Reading, span: OtlpSpan) -> list[Value]:
    """Why an answer ended, where only its messages or events say so."""
    said = structured(reading.peek("messages_out", lambda value: value))
    items = said if isinstance(said, list) else []
    told = [item.get("finish_reason") for item in items if isinstance(item, dict)]
    told += [event.attributes.get("finish_reason") for event in span.events]
    return [reason for reason in told if isinstance(reason, str)]


def _from_tool_messages(reading: _Reading) -> tuple[Any, Any] | None:
    """Strands tells a tool's run as a message with the call and one with its result."""
    given = reading.take("messages_in", _called)
    said = reading.take("messages_out", _returned)
    return None if given is None and said is None else (given, said)


def _called(value: Value) -> Any:
    calls = [call for chat in messages.read(value) or [] for call in chat.get("tool_calls", [])]
    return structured(calls[0]["function"]["arguments"]) if len(calls) == 1 else None


def _returned(value: Value) -> Any:
    results = [chat for chat in messages.read(value) or [] if chat["role"] == "tool"]
    return structured(results[0]["content"]) if len(results) == 1 else None


def _from_tool_events(events: Sequence[Event]) -> tuple[Any, Any]:
    given = said = None
    for event in events:
        if event.name == "gen_ai.tool.message" and given is None:
            given = _body(event.attributes.get("content"))
        elif event.name == "gen_ai.choice":
            said = _body(event.attributes.get("message"))
    return given, said


def _talk(reading: _Reading, span: OtlpSpan, item: Mapped) -> None:
    """The messages of a model's or an agent's span; what cannot be read stays an attribute."""
    item.given = reading.take("messages_in", _questions) or _indexed(reading, "in")
    item.said = reading.take("messages_out", _answers) or _indexed(reading, "out")
    if not item.said:
        item.said = _told_answer(reading)
    if not item.given and not item.said and span.events:
        events = [Event(0, event.name, plain(event.attributes)) for event in span.events]
        told = messages.from_events(events)
        if told is not None:
            item.given, item.said = told
            reading.read_events |= messages.EVENTS
    if item.given:
        system = reading.take("instructions", lambda value: messages.instructions(plain(value)))
        if system and item.given[0]["role"] != "system":
            item.given = [*system, *item.given]
    item.continues = "gen_ai.request.previous_response.id" in span.attributes


def _questions(value: Value) -> list[Chat] | None:
    return messages.read(plain(value))


def _answers(value: Value) -> list[Chat] | None:
    return messages.read(plain(value), "assistant")


def _told_answer(reading: _Reading) -> list[Chat]:
    text = reading.peek("text_out", lambda value: value)
    calls = reading.peek("calls_out", lambda value: value)
    if text is None and calls is None:
        return []
    said = messages.answer(plain(text), plain(calls))
    if said:
        reading.used.update(filter(None, map(reading.name_of, ("text_out", "calls_out"))))
    return said or []


def _indexed(reading: _Reading, side: str) -> list[Chat]:
    if not reading.indexed:
        return []
    for prefix, prefix_side in semconv.PREFIXES.items():
        names = [name for name in reading.indexed if name.startswith(prefix)]
        if prefix_side == side and names:
            values = {name: plain(reading.attributes[name]) for name in names}
            told = messages.indexed(values, names, prefix)
            if told:
                reading.used.update(filter(messages.is_read, names))
                return told
    return []


# --- what is kept as it is ----------------------------------------------------------------


def plain(value: Value) -> Any:
    """A value as JSON can hold it: bytes in base64, numbers that are none as their names."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value]


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
