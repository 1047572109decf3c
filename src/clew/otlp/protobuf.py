"""OTLP traces in protobuf, read and written without the protobuf library.

Only the messages of the trace service and google.rpc.Status, as opentelemetry-proto 1.x and
googleapis define them. Fields that are not known are skipped, as proto3 asks; text that is no
UTF-8 is read with U+FFFD. Every length is held against the message that it stands in, so that
cut or invented bytes raise `Invalid` and nothing else.

Reading is written for speed: attributes in the layout that every encoder writes take a short
way, and the names of attributes, of which there are few, are decoded once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

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
    check,
)
from clew.otlp.protobuf_writing import encode_answer, encode_problem, encode_request

__all__ = [
    "CONTENT_TYPE",
    "decode_answer",
    "decode_problem",
    "decode_request",
    "encode_answer",
    "encode_problem",
    "encode_request",
]

CONTENT_TYPE = "application/x-protobuf"

_VARINT, _FIXED64, _LENGTH, _GROUP, _GROUP_END, _FIXED32 = range(6)
_WORD = (1 << 64) - 1
_SIGN = 1 << 63
_MORE = 0x80
_VARINT_BYTES_MAX = 10
_NAMES_MAX = 4096
_NAME_BYTES_MAX = 96

_double = struct.Struct("<d")
_fixed64 = struct.Struct("<Q")
_fixed32 = struct.Struct("<I")

_names: dict[bytes, str] = {}

Field = tuple[int, int, int]
"""`(tag, a, b)`: the bytes from a to b of a length-delimited field, else the number a."""


def decode_request(body: bytes) -> Request:
    """The spans of an ExportTraceServiceRequest. Raises `Invalid` when its frame is broken;
    a span that is bad by itself is counted in `refused`.
    """
    request = Request([])
    with _Guard():
        for tag, a, b in _fields(body, 0, len(body)):
            if tag == 0x0A:
                _resource_spans(body, a, b, request)
    return request


def decode_answer(body: bytes) -> Answer:
    """An ExportTraceServiceResponse. Raises `Invalid`."""
    answer = Answer()
    with _Guard():
        for tag, a, b in _fields(body, 0, len(body)):
            if tag == 0x0A:
                for inner, start, stop in _fields(body, a, b):
                    if inner == 0x08:
                        answer.rejected = _signed(start)
                    elif inner == 0x12:
                        answer.message = _text(body, start, stop)
    return answer


def decode_problem(body: bytes) -> Problem:
    """A google.rpc.Status; its details are skipped. Raises `Invalid`."""
    problem = Problem(0, "")
    with _Guard():
        for tag, a, b in _fields(body, 0, len(body)):
            if tag == 0x08:
                problem.code = _signed(a)
            elif tag == 0x12:
                problem.message = _text(body, a, b)
    return problem


class _Guard:
    """Turns what running over the end of the bytes raises into `Invalid`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is not None and issubclass(kind, IndexError | struct.error):
            raise Invalid("the protobuf message ends in the middle of a field") from None


# --- the wire ----------------------------------------------------------------------------


def _varint(buf: bytes, pos: int) -> tuple[int, int]:
    """A number of up to 64 bits, and where it ends."""
    value = shift = 0
    for at in range(pos, pos + _VARINT_BYTES_MAX):
        byte = buf[at]
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value & _WORD, at + 1
        shift += 7
    raise Invalid(f"a protobuf number at byte {pos} has more than {_VARINT_BYTES_MAX} bytes")


def _signed(word: int) -> int:
    return word - (1 << 64) if word & _SIGN else word


def _fields(buf: bytes, pos: int, end: int) -> Iterator[Field]:
    """The fields of the message from `pos` to `end`; groups, which nothing here has, are left
    out. Raises `Invalid` when they do not end where the message does.
    """
    while pos < end:
        tag = buf[pos]
        pos += 1
        if tag >= _MORE:
            tag, pos = _varint(buf, pos - 1)
        wire = tag & 7
        if wire == _LENGTH:
            size = buf[pos]
            pos += 1
            if size >= _MORE:
                size, pos = _varint(buf, pos - 1)
            start, pos = pos, pos + size
            if pos > end:
                break
            yield tag, start, pos
        elif wire == _VARINT:
            value, pos = _varint(buf, pos)
            yield tag, value, 0
        else:
            value, pos = _rare(buf, pos, end, tag, 0)
            yield tag, value, 0
        if tag < 8:
            raise Invalid(f"a protobuf field before byte {pos} has the number 0")
    if pos != end:
        raise Invalid(f"a protobuf field reaches to byte {pos}; its message ends at byte {end}")


def _rare(buf: bytes, pos: int, end: int, tag: int, depth: int) -> tuple[int, int]:
    wire = tag & 7
    if wire == _FIXED64:
        return _fixed64.unpack_from(buf, pos)[0], pos + 8
    if wire == _FIXED32:
        return _fixed32.unpack_from(buf, pos)[0], pos + 4
    if wire != _GROUP or depth > DEPTH_MAX:
        raise Invalid(f"a protobuf field before byte {pos} has the wire type {wire}")
    while pos < end:
        inner, pos = _varint(buf, pos)
        if inner == tag + 1:
            return 0, pos
        if inner & 7 == _LENGTH:
            size, pos = _varint(buf, pos)
            pos += size
        elif inner & 7 == _VARINT:
            _, pos = _varint(buf, pos)
        else:
            _, pos = _rare(buf, pos, end, inner, depth + 1)
    raise Invalid("a protobuf group has no end")


def _text(buf: bytes, start: int, stop: int) -> str:
    raw = buf[start:stop]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode(errors="replace")


def _name(buf: bytes, start: int, stop: int) -> str:
    """The name of an attribute."""
    raw = buf[start:stop]
    known = _names.get(raw)
    if known is not None:
        return known
    name = _text(buf, start, stop)
    if len(raw) <= _NAME_BYTES_MAX and len(_names) < _NAMES_MAX:
        _names[raw] = name
    return name


# --- values ------------------------------------------------------------------------------


def _attribute(buf: bytes, start: int, stop: int, into: dict[str, Value], depth: int = 0) -> None:
    """Read one KeyValue into a dict."""
    if stop - start > 3 and buf[start] == 0x0A:
        size = buf[start + 1]
        at = start + 2 + size
        if size < _MORE and at + 1 < stop and buf[at] == 0x12:
            length = buf[at + 1]
            begin = at + 2
            if length >= _MORE:
                length, begin = _varint(buf, at + 1)
            if begin + length == stop:
                raw = buf[start + 2 : at]
                name = _names.get(raw)
                if name is None:
                    name = _name(buf, start + 2, at)
                into[name] = _value(buf, begin, stop, depth)
                return
    name, value = "", None
    for tag, a, b in _fields(buf, start, stop):
        if tag == 0x0A:
            name = _name(buf, a, b)
        elif tag == 0x12:
            value = _value(buf, a, b, depth)
    into[name] = value


def _value(buf: bytes, pos: int, end: int, depth: int) -> Value:
    """An AnyValue: the short way for the layout that every encoder writes."""
    if pos == end:
        return None
    tag = buf[pos]
    if tag == 0x0A:
        size = buf[pos + 1]
        start = pos + 2
        if size >= _MORE:
            size, start = _varint(buf, pos + 1)
        if start + size == end:
            return _text(buf, start, end)
    elif tag == 0x18 or tag == 0x10:
        number, stop = _varint(buf, pos + 1)
        if stop == end:
            return _signed(number) if tag == 0x18 else number != 0
    elif tag == 0x21 and pos + 9 == end:
        return _double.unpack_from(buf, pos + 1)[0]
    return _any_value(buf, pos, end, depth)


def _any_value(buf: bytes, pos: int, end: int, depth: int) -> Value:
    if depth > DEPTH_MAX:
        raise Invalid(f"an attribute is nested deeper than {DEPTH_MAX} levels")
    value: Value = None
    for tag, a, b in _fields(buf, pos, end):
        reader = _READERS.get(tag)
        if reader is not None:
            value = reader(buf, a, b, depth + 1)
    return value


def _list(buf: bytes, start: int, stop: int, depth: int) -> list[Value]:
    values: list[Value] = []
    for tag, a, b in _fields(buf, start, stop):
        if tag == 0x0A:
            values.append(_value(buf, a, b, depth))
            _bound(len(values))
    return values


def _dict(buf: bytes, start: int, stop: int, depth: int) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for tag, a, b in _fields(buf, start, stop):
        if tag == 0x0A:
            _attribute(buf, a, b, values, depth)
            _bound(len(values))
    return values


def _bound(count: int) -> None:
    if count > VALUES_MAX:
        raise Invalid(f"a list of more than {VALUES_MAX} values")


_READERS: dict[int, Callable[[bytes, int, int, int], Value]] = {
    0x0A: lambda buf, a, b, _: _text(buf, a, b),
    0x10: lambda _buf, a, _b, _: a != 0,
    0x18: lambda _buf, a, _b, _: _signed(a),
    0x21: lambda _buf, a, _b, _: _double.unpack(_fixed64.pack(a))[0],
    0x2A: _list,
    0x32: _dict,
    0x3A: lambda buf, a, b, _: buf[a:b],
}


# --- messages ----------------------------------------------------------------------------


def _resource_spans(buf: bytes, start: int, stop: int, request: Request) -> None:
    resource, scopes = Resource({}), []
    for tag, a, b in _fields(buf, start, stop):
        if tag == 0x0A:
            for inner, c, d in _fields(buf, a, b):
                if inner == 0x0A:
                    _attribute(buf, c, d, resource.attributes)
        elif tag == 0x12:
            scopes.append((a, b))
        elif tag == 0x1A:
            resource.schema_url = _text(buf, a, b)
    for a, b in scopes:
        _scope_spans(buf, a, b, resource, request)


def _scope_spans(buf: bytes, start: int, stop: int, resource: Resource, request: Request) -> None:
    scope, spans = Scope(attributes={}), []
    for tag, a, b in _fields(buf, start, stop):
        if tag == 0x12:
            spans.append((a, b))
        elif tag == 0x0A:
            _scope(buf, a, b, scope)
        elif tag == 0x1A:
            scope.schema_url = _text(buf, a, b)
    if len(spans) + len(request.spans) + request.refused.count > SPANS_MAX:
        raise Invalid(f"more than {SPANS_MAX} spans in one request: send them in smaller batches")
    for a, b in spans:
        try:
            span = _span(buf, a, b, scope, resource)
            check(span)
        except Invalid as error:
            request.refused.add(*_reason(buf, a, b, error))
        else:
            request.spans.append(span)


def _reason(buf: bytes, start: int, stop: int, error: Invalid) -> tuple[str, str]:
    """Why a span is refused, and its id as far as it can be read. Log records reach the trace
    service with the same outer numbers; their own first field is a time of fixed size, which no
    span has there.
    """
    if stop > start and buf[start] in (0x09, 0x59):
        return "this is a log record and no span: send logs to /v1/logs", ""
    with suppress(Invalid, IndexError, struct.error):
        for tag, a, b in _fields(buf, start, stop):
            if tag == 0x12:
                return str(error), buf[a:b].hex()
    return str(error), ""


def _scope(buf: bytes, start: int, stop: int, scope: Scope) -> None:
    for tag, a, b in _fields(buf, start, stop):
        if tag == 0x0A:
            scope.name = _text(buf, a, b)
        elif tag == 0x12:
            scope.version = _text(buf, a, b)
        elif tag == 0x1A:
            _attribute(buf, a, b, scope.attributes)


_NUMBERS = {
    0x30: "kind",
    0x39: "start_ns",
    0x41: "end_ns",
    0x50: "dropped_attributes",
    0x60: "dropped_events",
    0x70: "dropped_links",
    0x85: "flags",
}
_TEXTS = {0x2A: "name", 0x1A: "trace_state"}
_IDS = {0x0A: "trace_id", 0x12: "span_id", 0x22: "parent_id"}


def _span(buf: bytes, start: int, stop: int, scope: Scope, resource: Resource) -> OtlpSpan:
    attributes: dict[str, Value] = {}
    span = OtlpSpan("", "", attributes=attributes, scope=scope, resource=resource)
    try:
        for tag, a, b in _fields(buf, start, stop):
            if tag == 0x4A:
                _attribute(buf, a, b, attributes)
            elif tag in _IDS:
                setattr(span, _IDS[tag], buf[a:b].hex())
            elif tag in _NUMBERS:
                setattr(span, _NUMBERS[tag], a)
            elif tag in _TEXTS:
                setattr(span, _TEXTS[tag], _text(buf, a, b))
            elif tag in _PARTS:
                _PARTS[tag](buf, a, b, span)
    except (IndexError, struct.error):
        raise Invalid("the span ends in the middle of a field") from None
    if len(attributes) > VALUES_MAX:
        raise Invalid(f"a span of more than {VALUES_MAX} attributes")
    return span


def _status(buf: bytes, start: int, stop: int, span: OtlpSpan) -> None:
    for tag, a, b in _fields(buf, start, stop):
        if tag == 0x12:
            span.status_message = _text(buf, a, b)
        elif tag == 0x18:
            span.status_code = a


def _event(buf: bytes, start: int, stop: int, span: OtlpSpan) -> None:
    event = Event(0, "", {})
    for tag, a, b in _fields(buf, start, stop):
        if tag == 0x09:
            event.time_ns = a
        elif tag == 0x12:
            event.name = _text(buf, a, b)
        elif tag == 0x1A:
            _attribute(buf, a, b, event.attributes)
        elif tag == 0x20:
            event.dropped = a
    span.events.append(event)


def _link(buf: bytes, start: int, stop: int, span: OtlpSpan) -> None:
    link = Link("", "", attributes={})
    for tag, a, b in _fields(buf, start, stop):
        if tag == 0x0A:
            link.trace_id = buf[a:b].hex()
        elif tag == 0x12:
            link.span_id = buf[a:b].hex()
        elif tag == 0x1A:
            link.trace_state = _text(buf, a, b)
        elif tag == 0x22:
            _attribute(buf, a, b, link.attributes)
        elif tag == 0x28:
            link.dropped = a
        elif tag == 0x35:
            link.flags = a
    span.links.append(link)


_PARTS = {0x5A: _event, 0x6A: _link, 0x7A: _status}
