"""The way back: spans of a session as OpenTelemetry spans, in the newest names of the GenAI
conventions and `clew.*` for what these have no name for.

A span that came in by OTLP keeps its ids, its name and what it had beside its attributes. The
others get ids that follow from the session: a trace per turn, so that writing twice names the
same spans.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from clew.model import JSON, Span
from clew.otlp import semconv
from clew.otlp.mapping import ENVELOPE, STATUS_ERROR
from clew.otlp.model import SPAN_CHARS, TRACE_CHARS, Event, Link, OtlpSpan, Resource, Scope, Value

INTERNAL, CLIENT = 1, 3

_FOREIGN = re.compile(rf"[0-9a-f]{{{TRACE_CHARS + SPAN_CHARS}}}")
_FAILED = frozenset({"error", "timeout", "cancelled", "denied", "abandoned"})
_OPERATIONS = {"tool": "execute_tool", "model": "chat", "agent": "invoke_agent"}
_OWN = (
    *("attempt", "effect", "batch", "chat", "tier", "complexity", "request_type", "fallback"),
    *("retries", "tokens_used", "cache_tokens", "reasoning_tokens", "cost"),
)
"""Fields with a name of ours, under which they are read again."""
_SHOWN = ("turn", "ordinal", "sequence", "session", "id", "late")
"""What else is worth telling, under `clew.span.*`: it is not read again."""
_RESOURCE = {"service.name": "clew"}
_NUMBER_MAX = 2**63 - 1
_FLAGS_MAX = 2**32 - 1


def written(
    spans: Sequence[Span],
    *,
    conversation: str | None = None,
    version: str = "",
    service: Mapping[str, Value] | None = None,
) -> list[OtlpSpan]:
    """Spans with their bodies as OpenTelemetry spans, in their order. `conversation` is what
    the session is called outside, its id where it has no such name; `service` describes the
    process in place of `service.name=clew`.
    """
    shared = _Shared(Resource(dict(service or _RESOURCE)), Scope("clew", version))
    shared.scope.schema_url = semconv.SCHEMA_URL
    traces = _traces(spans)
    return [_written(span, traces, shared, conversation or span.session) for span in spans]


class _Shared:
    """Resources and scopes, one object for all that are equal."""

    def __init__(self, resource: Resource, scope: Scope) -> None:
        self.resource = resource
        self.scope = scope
        self._known: dict[bytes, Any] = {}

    def one(self, what: Resource | Scope) -> Any:
        key = type(what).__name__.encode() + msgspec.msgpack.encode(what)
        return self._known.setdefault(key, what)


# --- ids ---------------------------------------------------------------------------------


def _traces(spans: Sequence[Span]) -> dict[str, str]:
    """The trace of every span: its own where it came with one, else that of its topmost
    ancestor here, and where that has none either one made of session and turn.
    """
    by_id = {span.id: span for span in spans}
    traces: dict[str, str] = {}
    for span in spans:
        above, seen = span, {span.id}
        while not _foreign(above.id) and above.parent in by_id and above.parent not in seen:
            seen.add(above.parent)
            above = by_id[above.parent]
        own = above.id if _foreign(above.id) else above.parent or ""
        traces[span.id] = (
            own[:TRACE_CHARS]
            if _foreign(own)
            else _hex("trace", above.session, str(above.turn))[:TRACE_CHARS]
        )
    return traces


def _foreign(id: str) -> bool:
    return _FOREIGN.fullmatch(id) is not None


def _span_id(id: str) -> str:
    return id[TRACE_CHARS:] if _foreign(id) else _hex("span", id)[:SPAN_CHARS]


def _hex(*names: str) -> str:
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


# --- one span ----------------------------------------------------------------------------


def _written(span: Span, traces: dict[str, str], shared: _Shared, conversation: str) -> OtlpSpan:
    kept = dict(span.attributes)
    envelope = kept.pop(ENVELOPE, None)
    envelope = envelope if isinstance(envelope, dict) else {}
    attributes = {
        name: value for name, value in _attributes(span, conversation) if value is not None
    }
    for name, value in kept.items():
        attributes.setdefault(name, value)
    start, end = _numbers(envelope, "ns", 2)
    out = OtlpSpan(
        trace_id=traces[span.id],
        span_id=_span_id(span.id),
        parent_id=_span_id(span.parent) if span.parent else "",
        name=_name(span, envelope),
        kind=_number(envelope, "kind") or (CLIENT if span.kind == "model" else INTERNAL),
        start_ns=span.started_us * 1000 + start,
        end_ns=_end_ns(span, end),
        attributes=attributes,
        status_code=STATUS_ERROR if span.status in _FAILED else _number(envelope, "status"),
        status_message=span.error or "",
        trace_state=_text(envelope, "state"),
        events=_events(envelope),
        links=_links(envelope),
        scope=_scope(envelope, shared),
        resource=_resource(envelope, shared),
    )
    dropped = _numbers(envelope, "dropped", 3)
    out.dropped_attributes, out.dropped_events, out.dropped_links = dropped
    return out


def _end_ns(span: Span, rest: int) -> int:
    """The clock may have been set while a span of ours ran; its latency knows nothing of that.
    One that came from outside told its end.
    """
    if span.latency_ms is not None and not _foreign(span.id):
        return span.started_us * 1000 + round(span.latency_ms * 1e6)
    return span.finished_us * 1000 + rest if span.finished_us else 0


def _name(span: Span, envelope: Mapping[str, JSON]) -> str:
    if envelope:
        return _text(envelope, "name") or span.name
    operation = _OPERATIONS.get(span.kind)
    return f"{operation} {span.name}" if operation else span.name


def _attributes(span: Span, conversation: str) -> list[tuple[str, Value]]:
    named = semconv.written
    operation = span.attributes.get(_OPERATION) or _OPERATIONS.get(span.kind)
    return [
        (named("operation"), span.kind) if operation is None else (_OPERATION, operation),
        (named("conversation"), conversation),
        *(_OF_KIND.get(span.kind, _of_any)(span)),
        (named("error_type"), span.error_type),
        (named("status_code"), span.status_code),
        (named("outcome"), _own_outcome(span)),
        *((named(field), getattr(span, field)) for field in _OWN if _worth(span, field)),
        *((f"clew.span.{field}", getattr(span, field)) for field in _SHOWN),
    ]


_OPERATION = "gen_ai.operation.name"


def _own_outcome(span: Span) -> str | None:
    """An outcome that the status code and the type of the error do not tell."""
    reason = (span.error_type or "").lower()
    told = semconv.OUTCOMES.get(reason, "error") if span.status in _FAILED else "ok"
    return span.outcome if span.outcome != told else None


def _worth(span: Span, field: str) -> bool:
    return field != "attempt" or span.attempt != 1


def _of_tool(span: Span) -> list[tuple[str, Value]]:
    return [
        (semconv.written("tool"), span.name),
        (semconv.written("call_id"), span.call_id),
        (semconv.written("tool_input"), _json(span.input)),
        (semconv.written("tool_output"), _json(span.output)),
    ]


def _of_agent(span: Span) -> list[tuple[str, Value]]:
    return [(semconv.written("agent"), span.name), *_talk(span)]


def _of_any(span: Span) -> list[tuple[str, Value]]:
    return [
        (semconv.written("input"), _json(span.input)),
        (semconv.written("output"), _json(span.output)),
    ]


def _of_model(span: Span) -> list[tuple[str, Value]]:
    named = semconv.written
    cached = (span.cache_read or 0) + (span.cache_write or 0)
    first = span.first_token_ms
    asked = span.attributes.get(named("model_asked"))
    return [
        (named("provider"), span.provider),
        (named("model_asked"), asked or span.name),
        (named("model"), span.model),
        (named("response_id"), span.response_id),
        (named("first_token"), None if first is None else first / 1000),
        (named("input_tokens"), None if span.tokens_in is None else span.tokens_in + cached),
        (named("output_tokens"), span.tokens_out),
        (named("cache_read"), span.cache_read),
        (named("cache_write"), span.cache_write),
        (named("reasoning"), span.reasoning),
        *_talk(span),
    ]


_OF_KIND: dict[str, Callable[[Span], list[tuple[str, Value]]]] = {
    "tool": _of_tool,
    "model": _of_model,
    "agent": _of_agent,
}


# --- bodies ------------------------------------------------------------------------------


def _talk(span: Span) -> list[tuple[str, Value]]:
    """Input and output as messages of the conventions where they are such, else as they are."""
    out: list[tuple[str, Value]] = []
    for field, name, body in (
        ("input", "messages_in", span.input),
        ("output", "messages_out", span.output),
    ):
        told = _messages(body)
        if told is None:
            out.append((semconv.written(field), _json(body)))
        else:
            out.append((semconv.written(name), _json(told)))
    return out


def _messages(body: JSON) -> list[JSON] | None:
    chats = [body] if isinstance(body, dict) else body
    if not isinstance(chats, list) or not chats:
        return None
    if not all(isinstance(chat, dict) and isinstance(chat.get("role"), str) for chat in chats):
        return None
    return [_message(chat) for chat in chats]


def _message(chat: Mapping[str, JSON]) -> JSON:
    """A chat message in OpenAI's shape as one with parts; others go as their blocks are."""
    role, content = chat["role"], chat.get("content")
    parts: list[JSON] = []
    if isinstance(chat.get("reasoning_content"), str):
        parts.append({"type": "reasoning", "content": chat["reasoning_content"]})
    if role == "tool":
        parts.append(
            {"type": "tool_call_response", "id": chat.get("tool_call_id"), "response": content}
        )
    else:
        blocks = content if isinstance(content, list) else [content] if content else []
        parts.extend(map(_part, blocks))
        calls = chat.get("tool_calls")
        parts.extend(map(_call, calls if isinstance(calls, list) else []))
    message = {"role": role, "parts": parts}
    if isinstance(chat.get("name"), str):
        message["name"] = chat["name"]
    return message


def _part(block: JSON) -> JSON:
    match block:
        case str():
            return {"type": "text", "content": block}
        case {"type": "text", "text": str(text)}:
            return {"type": "text", "content": text}
        case {"type": "image_url", "image_url": {"url": str(url)}} if not url.startswith("data:"):
            return {"type": "uri", "modality": "image", "uri": url}
        case _:
            return block


def _call(call: JSON) -> JSON:
    match call:
        case {"function": {"name": name, **rest}, **outer}:
            return {
                "type": "tool_call",
                "id": outer.get("id"),
                "name": name,
                "arguments": rest.get("arguments"),
            }
        case _:
            return call


def _json(body: JSON) -> Value:
    """A body as the text of an attribute."""
    if body is None or isinstance(body, str):
        return body
    return msgspec.json.encode(body).decode()


# --- what it came with -------------------------------------------------------------------


def _text(envelope: Mapping[str, JSON], name: str) -> str:
    value = envelope.get(name)
    return value if isinstance(value, str) else ""


def _number(data: Mapping[str, JSON], name: str) -> int:
    value = data.get(name)
    return value if type(value) is int and 0 <= value <= _NUMBER_MAX else 0


def _numbers(data: Mapping[str, JSON], name: str, count: int) -> list[int]:
    """So many small numbers; zeros where there are none."""
    told = data.get(name)
    known = told if isinstance(told, list) else []
    fit = [value if type(value) is int and 0 <= value <= _FLAGS_MAX else 0 for value in known]
    return (fit + [0] * count)[:count]


def _dict(data: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _dicts(data: Mapping[str, JSON], name: str) -> list[dict[str, JSON]]:
    value = data.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _scope(envelope: Mapping[str, JSON], shared: _Shared) -> Scope:
    if not _text(envelope, "scope"):
        return shared.scope
    scope = Scope(
        _text(envelope, "scope"),
        _text(envelope, "version"),
        _dict(envelope, "scope_attributes"),
        semconv.SCHEMA_URL,
    )
    found: Scope = shared.one(scope)
    return found


def _resource(envelope: Mapping[str, JSON], shared: _Shared) -> Resource:
    attributes = _dict(envelope, "resource")
    if not attributes:
        return shared.resource
    found: Resource = shared.one(Resource(attributes))
    return found


def _events(envelope: Mapping[str, JSON]) -> list[Event]:
    return [
        Event(
            _number(item, "time_ns"),
            _text(item, "name"),
            _dict(item, "attributes"),
            _number(item, "dropped"),
        )
        for item in _dicts(envelope, "events")
    ]


def _links(envelope: Mapping[str, JSON]) -> list[Link]:
    return [
        Link(
            _text(item, "trace_id"),
            _text(item, "span_id"),
            _text(item, "trace_state"),
            _dict(item, "attributes"),
            _number(item, "dropped"),
            min(_number(item, "flags"), _FLAGS_MAX),
        )
        for item in _dicts(envelope, "links")
        if _foreign(_text(item, "trace_id") + _text(item, "span_id"))
    ]
