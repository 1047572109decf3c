"""OTLP traces in JSON, read and written.

The mapping of proto3 to JSON with what OTLP changes in it: ids are hexadecimal (in any case)
and enumerations are numbers; 64-bit numbers come as strings or numbers, bytes in base64.
Members that are not known are ignored. A span that is bad by itself costs no neighbour, and a
value that is bad by itself costs no span: it is kept as it came and noted in `OtlpSpan.odd`.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from clew.canonical import parse
from clew.errors import Invalid
from clew.otlp.model import (
    DEPTH_MAX,
    ODD_CHARS_MAX,
    ODD_MAX,
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
    from collections.abc import Callable, Sequence

CONTENT_TYPE = "application/json"

_INT64 = 1 << 63
_WORD = 1 << 64
_DIGITS_MAX = 20
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_NAMES = {
    "kind": {f"SPAN_KIND_{name}": number for number, name in enumerate(_KINDS)},
    "code": {f"STATUS_CODE_{name}": number for number, name in enumerate(("UNSET", "OK", "ERROR"))},
}
"""Enumerations by the names that proto3 would write: OTLP wants numbers, some send these."""
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_OTHER_SIGNALS = {
    "resourceLogs": "these are logs: send them to /v1/logs",
    "resourceMetrics": "these are metrics: send them to /v1/metrics",
    "resourceProfiles": "these are profiles, which are not taken",
}

Object = dict[str, Any]
T = TypeVar("T")


class _Odd(Invalid):
    """A value that cannot be read as what it says it is."""


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
        odd: list[str] = []
        resource = Resource(_attributes(inner, 0, odd), _text(block, "schemaUrl"))
        for scope_spans in _objects(block, "scopeSpans"):
            _scope_spans(scope_spans, resource, odd, request)
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


def _enumerated(data: Object, name: str) -> int:
    value = data.get(name)
    known = _NAMES[name].get(value) if isinstance(value, str) else None
    return _natural(data, name) if known is None else known


def _or(default: T, read: Callable[[Object, str], T], data: Object, name: str, odd: list[str]) -> T:
    """A member that a span can do without: what cannot be read is noted."""
    try:
        return read(data, name)
    except Invalid as error:
        _note(odd, f"{error}: {msgspec.json.encode(_as_it_is(data[name], 0)).decode()}")
        return default


def _note(odd: list[str], text: str) -> None:
    if len(odd) < ODD_MAX:
        odd.append(text[:ODD_CHARS_MAX])


# --- values ------------------------------------------------------------------------------


def _attributes(
    data: Object, depth: int, odd: list[str], name: str = "attributes"
) -> dict[str, Value]:
    out: dict[str, Value] = {}
    for pair in _objects(data, name):
        key, known = _text(pair, "key"), len(odd)
        out[key] = _value(pair.get("value"), depth, odd)
        if len(odd) > known:
            odd[known:] = [f"{key}: {text}"[:ODD_CHARS_MAX] for text in odd[known:]]
    if len(out) > VALUES_MAX:
        raise Invalid(f"more than {VALUES_MAX} attributes")
    return out


def _value(data: Any, depth: int, odd: list[str]) -> Value:
    """An attribute's value; as it is where it is of no kind that is known, or not of its own."""
    if data is None or data == {}:
        return None
    if depth > DEPTH_MAX:
        raise _too_deep()
    if not isinstance(data, dict):
        _note(odd, 'the value of an attribute is no object like {"stringValue": …}')
        return _as_it_is(data, depth)
    told = {kind: value for kind, value in data.items() if value is not None}
    for kind, value in told.items():
        if kind in _READERS:
            try:
                return _READERS[kind](value, depth + 1, odd)
            except _Odd as error:
                _note(odd, str(error))
                return _as_it_is(data, depth)
    if not told:
        return None
    _note(odd, "no kind of value is called " + " or ".join(told))
    return _as_it_is(data, depth)


def _as_it_is(data: Any, depth: int) -> Value:
    """JSON as an attribute; a whole number beyond 64 bits as text."""
    if depth > DEPTH_MAX:
        raise _too_deep()
    if isinstance(data, dict):
        return {name: _as_it_is(item, depth + 1) for name, item in data.items()}
    if isinstance(data, list):
        return [_as_it_is(item, depth + 1) for item in data]
    if isinstance(data, int) and not -_INT64 <= data < _INT64:
        return str(data)
    return data


def _too_deep() -> Invalid:
    return Invalid(f"an attribute is nested deeper than {DEPTH_MAX} levels")


def _string(value: Any, _depth: int, _odd: list[str]) -> Value:
    if not isinstance(value, str):
        raise _Odd("a stringValue is no string")
    return value


def _bool(value: Any, _depth: int, _odd: list[str]) -> Value:
    if not isinstance(value, bool):
        raise _Odd("a boolValue is neither true nor false")
    return value


def _int(value: Any, _depth: int, _odd: list[str]) -> Value:
    try:
        number = _integer(value, "an intValue")
    except Invalid as error:
        raise _Odd(str(error)) from None
    if number >= _INT64:
        raise _Odd("an intValue does not fit into 64 bits")
    return number


def _float(value: Any, _depth: int, _odd: list[str]) -> Value:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        try:
            return float(value)
        except ValueError:
            raise _Odd("a doubleValue is no number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Odd("a doubleValue is no number")
    try:
        return float(value)
    except OverflowError:
        raise _Odd("a doubleValue is too large") from None


def _bytes(value: Any, _depth: int, _odd: list[str]) -> Value:
    try:
        if isinstance(value, str):
            plain = value.replace("-", "+").replace("_", "/")
            return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise _Odd("a bytesValue is no base64")


def _list(value: Any, depth: int, odd: list[str]) -> Value:
    values = value.get("values", []) if isinstance(value, dict) else None
    if not isinstance(values, list):
        raise _Odd("an arrayValue is no object with values")
    return [_value(item, depth, odd) for item in values]


def _dict(value: Any, depth: int, odd: list[str]) -> Value:
    pairs = value.get("values", []) if isinstance(value, dict) else None
    if not isinstance(pairs, list) or not all(
        isinstance(pair, dict) and isinstance(pair.get("key", ""), str) for pair in pairs
    ):
        raise _Odd("a kvlistValue is no object with values")
    return _attributes(value, depth, odd, "values")


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


def _scope_spans(data: Object, resource: Resource, outer: list[str], request: Request) -> None:
    inner = _object(data, "scope")
    odd = [*outer]
    scope = Scope(
        _text(inner, "name"),
        _text(inner, "version"),
        _attributes(inner, 0, odd),
        _text(data, "schemaUrl"),
    )
    spans = data.get("spans", [])
    if not isinstance(spans, list):
        raise Invalid("spans is no list")
    if len(spans) + len(request.spans) + request.refused.count > SPANS_MAX:
        raise Invalid(f"more than {SPANS_MAX} spans in one request: send them in smaller batches")
    for item in spans:
        try:
            span = _span(item, scope, resource, [*odd])
            check(span)
        except Invalid as error:
            told = item.get("spanId") if isinstance(item, dict) else None
            request.refused.add(str(error), told if isinstance(told, str) else "")
        else:
            request.spans.append(span)


def _span(data: Any, scope: Scope, resource: Resource, odd: list[str]) -> OtlpSpan:
    if not isinstance(data, dict):
        raise Invalid("a span is no object")
    status = _object(data, "status")
    span = OtlpSpan(
        trace_id=_id(data, "traceId"),
        span_id=_id(data, "spanId"),
        name=_or("", _text, data, "name", odd),
        parent_id=_id(data, "parentSpanId"),
        kind=_or(0, _enumerated, data, "kind", odd),
        start_ns=_natural(data, "startTimeUnixNano"),
        end_ns=_natural(data, "endTimeUnixNano"),
        attributes=_attributes(data, 0, odd),
        events=[_event(item, odd) for item in _objects(data, "events")],
        links=[_link(item, odd) for item in _objects(data, "links")],
        status_code=_or(0, _enumerated, status, "code", odd),
        status_message=_or("", _text, status, "message", odd),
        scope=scope,
        resource=resource,
        trace_state=_or("", _text, data, "traceState", odd),
        flags=_or(0, _natural, data, "flags", odd),
        dropped_attributes=_or(0, _natural, data, "droppedAttributesCount", odd),
        dropped_events=_or(0, _natural, data, "droppedEventsCount", odd),
        dropped_links=_or(0, _natural, data, "droppedLinksCount", odd),
    )
    span.odd = odd
    return span


def _event(data: Object, odd: list[str]) -> Event:
    return Event(
        _or(0, _natural, data, "timeUnixNano", odd),
        _or("", _text, data, "name", odd),
        _attributes(data, 0, odd),
        _or(0, _natural, data, "droppedAttributesCount", odd),
    )


def _link(data: Object, odd: list[str]) -> Link:
    return Link(
        _or("", _id, data, "traceId", odd),
        _or("", _id, data, "spanId", odd),
        _or("", _text, data, "traceState", odd),
        _attributes(data, 0, odd),
        _or(0, _natural, data, "droppedAttributesCount", odd),
        _or(0, _natural, data, "flags", odd),
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
