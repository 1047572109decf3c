"""OTLP traces in JSON, read and written.

The mapping of proto3 to JSON with what OTLP changes in it: ids are hexadecimal (in any case)
and enumerations are numbers; 64-bit numbers come as strings or numbers, bytes in base64.
Members that are not known are ignored. A span that is bad by itself costs no neighbour.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import TYPE_CHECKING, Any

import msgspec

from clew.canonical import parse
from clew.errors import Invalid
from clew.otlp.model import (
    DEPTH_MAX,
    SPANS_MAX,
    VALUES_MAX,
    Answer,
    Event,
    Link,
    OtlpSpan,
    Problem,
    Request,
    Resource,
    Scope,
    Value,
    blocks_of,
    check,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTENT_TYPE = "application/json"

_INT64 = 1 << 63
_WORD = 1 << 64
_DIGITS_MAX = 20
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_OTHER_SIGNALS = {
    "resourceLogs": "these are logs: send them to /v1/logs",
    "resourceMetrics": "these are metrics: send them to /v1/metrics",
    "resourceProfiles": "these are profiles, which are not taken",
}

Object = dict[str, Any]


def decode_request(body: bytes) -> Request:
    """The spans of an ExportTraceServiceRequest. Raises `Invalid` when its frame is broken;
    a span that is bad by itself is counted in `refused`.
    """
    request = Request([])
    data = _parse(body)
    for name, advice in _OTHER_SIGNALS.items():
        if name in data:
            raise Invalid(advice)
    for block in _objects(data, "resourceSpans"):
        inner = _object(block, "resource")
        resource = Resource(_attributes(inner, 0), _text(block, "schemaUrl"))
        for scope_spans in _objects(block, "scopeSpans"):
            _scope_spans(scope_spans, resource, request)
    return request


def decode_answer(body: bytes) -> Answer:
    """An ExportTraceServiceResponse. Raises `Invalid`."""
    partial = _object(_parse(body), "partialSuccess")
    return Answer(_number(partial, "rejectedSpans"), _text(partial, "errorMessage"))


def decode_problem(body: bytes) -> Problem:
    """A google.rpc.Status; its details are skipped. Raises `Invalid`."""
    data = _parse(body)
    return Problem(_number(data, "code"), _text(data, "message"))


# --- members -----------------------------------------------------------------------------


def _parse(body: bytes) -> Object:
    try:
        data = parse(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the request is no JSON text: {error}") from None
    except RecursionError:
        raise Invalid("the request is nested too deeply") from None
    if not isinstance(data, dict):
        raise Invalid('the request is no JSON object: it should be {"resourceSpans": [...]}')
    return data


def _object(data: Object, name: str) -> Object:
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid(f"{name} is no object")
    return value


def _objects(data: Object, name: str) -> list[Object]:
    values = data.get(name)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise Invalid(f"{name} is no list of objects")
    return values


def _text(data: Object, name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"{name} is no string")
    return value


def _integer(value: Any, name: str) -> int:
    """A whole number, written as a number or as a string."""
    if isinstance(value, str) and len(value) <= _DIGITS_MAX and value.isascii():
        digits = value[1:] if value.startswith("-") else value
        if digits.isdigit():
            value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"{name} is no whole number")
    if not -_INT64 <= value < _WORD:
        raise Invalid(f"{name} does not fit into 64 bits")
    return value


def _number(data: Object, name: str) -> int:
    value = data.get(name)
    return 0 if value is None else _integer(value, name)


def _natural(data: Object, name: str) -> int:
    value = _number(data, name)
    if value < 0:
        raise Invalid(f"{name} is negative")
    return value


def _id(data: Object, name: str) -> str:
    text = _text(data, name).lower()
    try:
        bytes.fromhex(text)
    except ValueError:
        raise Invalid(f"{name} is not hexadecimal") from None
    return text


# --- values ------------------------------------------------------------------------------


def _attributes(data: Object, depth: int, name: str = "attributes") -> dict[str, Value]:
    out: dict[str, Value] = {}
    for pair in _objects(data, name):
        value = pair.get("value")
        if value is not None and not isinstance(value, dict):
            raise Invalid('the value of an attribute is no object like {"stringValue": …}')
        out[_text(pair, "key")] = _value(value, depth)
    if len(out) > VALUES_MAX:
        raise Invalid(f"more than {VALUES_MAX} attributes")
    return out


def _value(data: Object | None, depth: int) -> Value:
    if not data:
        return None
    if depth > DEPTH_MAX:
        raise Invalid(f"an attribute is nested deeper than {DEPTH_MAX} levels")
    for kind, value in data.items():
        if kind in _READERS and value is not None:
            return _READERS[kind](value, depth + 1)
    return None


def _string(value: Any, _depth: int) -> Value:
    if not isinstance(value, str):
        raise Invalid("a stringValue is no string")
    return value


def _bool(value: Any, _depth: int) -> Value:
    if not isinstance(value, bool):
        raise Invalid("a boolValue is neither true nor false")
    return value


def _int(value: Any, _depth: int) -> Value:
    number = _integer(value, "an intValue")
    if number >= _INT64:
        raise Invalid("an intValue does not fit into 64 bits")
    return number


def _float(value: Any, _depth: int) -> Value:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        try:
            return float(value)
        except ValueError:
            raise Invalid("a doubleValue is no number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid("a doubleValue is no number")
    try:
        return float(value)
    except OverflowError:
        raise Invalid("a doubleValue is too large") from None


def _bytes(value: Any, _depth: int) -> Value:
    try:
        if isinstance(value, str):
            plain = value.replace("-", "+").replace("_", "/")
            return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise Invalid("a bytesValue is no base64")


def _list(value: Any, depth: int) -> Value:
    if not isinstance(value, dict):
        raise Invalid("an arrayValue is no object with values")
    return [_value(item, depth) for item in _objects(value, "values")]


def _dict(value: Any, depth: int) -> Value:
    if not isinstance(value, dict):
        raise Invalid("a kvlistValue is no object with values")
    return _attributes(value, depth, "values")


_READERS = {
    "stringValue": _string,
    "boolValue": _bool,
    "intValue": _int,
    "doubleValue": _float,
    "arrayValue": _list,
    "kvlistValue": _dict,
    "bytesValue": _bytes,
}


# --- messages ----------------------------------------------------------------------------


def _scope_spans(data: Object, resource: Resource, request: Request) -> None:
    inner = _object(data, "scope")
    scope = Scope(
        _text(inner, "name"),
        _text(inner, "version"),
        _attributes(inner, 0),
        _text(data, "schemaUrl"),
    )
    spans = data.get("spans", [])
    if not isinstance(spans, list):
        raise Invalid("spans is no list")
    if len(spans) + len(request.spans) + request.refused.count > SPANS_MAX:
        raise Invalid(f"more than {SPANS_MAX} spans in one request: send them in smaller batches")
    for item in spans:
        try:
            span = _span(item, scope, resource)
            check(span)
        except Invalid as error:
            request.refused.add(str(error))
        else:
            request.spans.append(span)


def _span(data: Any, scope: Scope, resource: Resource) -> OtlpSpan:
    if not isinstance(data, dict):
        raise Invalid("a span is no object")
    status = _object(data, "status")
    return OtlpSpan(
        trace_id=_id(data, "traceId"),
        span_id=_id(data, "spanId"),
        name=_text(data, "name"),
        parent_id=_id(data, "parentSpanId"),
        kind=_natural(data, "kind"),
        start_ns=_natural(data, "startTimeUnixNano"),
        end_ns=_natural(data, "endTimeUnixNano"),
        attributes=_attributes(data, 0),
        events=[_event(item) for item in _objects(data, "events")],
        links=[_link(item) for item in _objects(data, "links")],
        status_code=_natural(status, "code"),
        status_message=_text(status, "message"),
        scope=scope,
        resource=resource,
        trace_state=_text(data, "traceState"),
        flags=_natural(data, "flags"),
        dropped_attributes=_natural(data, "droppedAttributesCount"),
        dropped_events=_natural(data, "droppedEventsCount"),
        dropped_links=_natural(data, "droppedLinksCount"),
    )


def _event(data: Object) -> Event:
    return Event(
        _natural(data, "timeUnixNano"),
        _text(data, "name"),
        _attributes(data, 0),
        _natural(data, "droppedAttributesCount"),
    )


def _link(data: Object) -> Link:
    return Link(
        _id(data, "traceId"),
        _id(data, "spanId"),
        _text(data, "traceState"),
        _attributes(data, 0),
        _natural(data, "droppedAttributesCount"),
        _natural(data, "flags"),
    )


# --- writing -----------------------------------------------------------------------------


def encode_request(spans: Sequence[OtlpSpan]) -> bytes:
    """An ExportTraceServiceRequest; 64-bit numbers as strings, as proto3 writes them."""
    blocks = []
    for resource, scopes in blocks_of(spans):
        block: Object = {
            "resource": {"attributes": _write_attributes(resource.attributes)},
            "scopeSpans": [_write_scope_spans(scope, run) for scope, run in scopes],
        }
        if resource.schema_url:
            block["schemaUrl"] = resource.schema_url
        blocks.append(block)
    return msgspec.json.encode({"resourceSpans": blocks})


def encode_answer(answer: Answer) -> bytes:
    """An ExportTraceServiceResponse: an empty object when all is well."""
    partial: Object = {}
    if answer.rejected:
        partial["rejectedSpans"] = str(answer.rejected)
    if answer.message:
        partial["errorMessage"] = answer.message
    return msgspec.json.encode({"partialSuccess": partial} if partial else {})


def encode_problem(problem: Problem) -> bytes:
    """A google.rpc.Status without details."""
    return msgspec.json.encode({"code": problem.code, "message": problem.message})


def _filled(data: Object) -> Object:
    """Without the members that have their default."""
    return {name: value for name, value in data.items() if value not in ("", 0, [], {})}


def _nanoseconds(time: int) -> str:
    return str(time) if time else ""


def _write_scope_spans(scope: Scope, spans: Sequence[OtlpSpan]) -> Object:
    head = _filled(
        {
            "name": scope.name,
            "version": scope.version,
            "attributes": _write_attributes(scope.attributes),
        }
    )
    out: Object = {"scope": head, "spans": [_write_span(span) for span in spans]}
    if scope.schema_url:
        out["schemaUrl"] = scope.schema_url
    return out


def _write_span(span: OtlpSpan) -> Object:
    return _filled(
        {
            "traceId": span.trace_id,
            "spanId": span.span_id,
            "traceState": span.trace_state,
            "parentSpanId": span.parent_id,
            "flags": span.flags,
            "name": span.name,
            "kind": span.kind,
            "startTimeUnixNano": _nanoseconds(span.start_ns),
            "endTimeUnixNano": _nanoseconds(span.end_ns),
            "attributes": _write_attributes(span.attributes),
            "droppedAttributesCount": span.dropped_attributes,
            "events": [_write_event(event) for event in span.events],
            "droppedEventsCount": span.dropped_events,
            "links": [_write_link(link) for link in span.links],
            "droppedLinksCount": span.dropped_links,
            "status": _filled({"message": span.status_message, "code": span.status_code}),
        }
    )


def _write_event(event: Event) -> Object:
    return _filled(
        {
            "timeUnixNano": _nanoseconds(event.time_ns),
            "name": event.name,
            "attributes": _write_attributes(event.attributes),
            "droppedAttributesCount": event.dropped,
        }
    )


def _write_link(link: Link) -> Object:
    return _filled(
        {
            "traceId": link.trace_id,
            "spanId": link.span_id,
            "traceState": link.trace_state,
            "attributes": _write_attributes(link.attributes),
            "droppedAttributesCount": link.dropped,
            "flags": link.flags,
        }
    )


def _write_attributes(attributes: dict[str, Value]) -> list[Object]:
    return [{"key": name, "value": _write_value(value)} for name, value in attributes.items()]


def _write_value(value: Value) -> Object:
    match value:
        case str():
            return {"stringValue": value}
        case bool():
            return {"boolValue": value}
        case int():
            fits = -_INT64 <= value < _INT64
            return {"intValue" if fits else "stringValue": str(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _not_finite(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list() | tuple():
            return {"arrayValue": {"values": [_write_value(item) for item in value]}}
        case dict():
            return {"kvlistValue": {"values": _write_attributes(value)}}
        case None:
            return {}
    raise Invalid(f"an attribute cannot hold a {type(value).__name__}")


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
