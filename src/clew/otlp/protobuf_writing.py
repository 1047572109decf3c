"""OTLP traces in protobuf, written; `clew.otlp.protobuf` reads them.

Fields that have their default are left out, as proto3 has it, and the others come in the order
of their numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from clew.errors import Invalid
from clew.otlp.model import (
    Answer,
    Event,
    Link,
    OtlpSpan,
    Problem,
    Scope,
    Value,
    blocks_of,
)

_WORD = (1 << 64) - 1
_SIGN = 1 << 63
_MORE = 0x80

_double = struct.Struct("<d")
_fixed64 = struct.Struct("<Q")
_fixed32 = struct.Struct("<I")


def encode_request(spans: Sequence[OtlpSpan]) -> bytes:
    """An ExportTraceServiceRequest; spans in a row that share resource and scope share a block."""
    blocks = []
    for resource, scopes in blocks_of(spans):
        attributes = _key_values(0x0A, resource.attributes)
        parts = [_block(0x0A, attributes)] if attributes else []
        parts += [_block(0x12, _write_scope_spans(scope, run)) for scope, run in scopes]
        parts.append(_write_text(0x1A, resource.schema_url))
        blocks.append(_block(0x0A, b"".join(parts)))
    return b"".join(blocks)


def encode_answer(answer: Answer) -> bytes:
    """An ExportTraceServiceResponse: nothing at all when all is well."""
    inner = _write_number(0x08, answer.rejected) + _write_text(0x12, answer.message)
    return _block(0x0A, inner) if inner else b""


def encode_problem(problem: Problem) -> bytes:
    """A google.rpc.Status without details."""
    return _write_number(0x08, problem.code) + _write_text(0x12, problem.message)


def _write_varint(number: int) -> bytes:
    number &= _WORD
    if number < _MORE:
        return bytes((number,))
    out = bytearray()
    while number >= _MORE:
        out.append(number & 0x7F | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)


def _block(tag: int, body: bytes) -> bytes:
    return bytes((tag,)) + _write_varint(len(body)) + body


def _write_text(tag: int, text: str) -> bytes:
    return _block(tag, text.encode(errors="replace")) if text else b""


def _write_number(tag: int, number: int) -> bytes:
    return bytes((tag,)) + _write_varint(number) if number else b""


def _write_fixed64(tag: int, number: int) -> bytes:
    return bytes((tag,)) + _fixed64.pack(number) if number else b""


def _write_id(tag: int, text: str) -> bytes:
    return _block(tag, bytes.fromhex(text)) if text else b""


def _write_fixed32(tag: bytes, number: int) -> bytes:
    return tag + _fixed32.pack(number) if number else b""


def _key_values(tag: int, attributes: dict[str, Value]) -> bytes:
    return b"".join(
        _block(tag, _block(0x0A, name.encode(errors="replace")) + _block(0x12, _write_value(value)))
        for name, value in attributes.items()
    )


def _write_value(value: Value) -> bytes:
    match value:
        case str():
            return _block(0x0A, value.encode(errors="replace"))
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int():
            if not -_SIGN <= value < _SIGN:
                return _write_value(str(value))
            return b"\x18" + _write_varint(value)
        case float():
            return b"\x21" + _double.pack(value)
        case bytes():
            return _block(0x3A, value)
        case list() | tuple():
            return _block(0x2A, b"".join(_block(0x0A, _write_value(item)) for item in value))
        case dict():
            return _block(0x32, _key_values(0x0A, value))
        case None:
            return b""
    raise Invalid(f"an attribute cannot hold a {type(value).__name__}")


def _write_scope_spans(scope: Scope, spans: Sequence[OtlpSpan]) -> bytes:
    head = _write_text(0x0A, scope.name) + _write_text(0x12, scope.version)
    head += _key_values(0x1A, scope.attributes)
    parts = [_block(0x0A, head)] if head else []
    parts += [_block(0x12, _write_span(span)) for span in spans]
    parts.append(_write_text(0x1A, scope.schema_url))
    return b"".join(parts)


def _write_span(span: OtlpSpan) -> bytes:
    status = _write_text(0x12, span.status_message) + _write_number(0x18, span.status_code)
    return b"".join(
        (
            _write_id(0x0A, span.trace_id),
            _write_id(0x12, span.span_id),
            _write_text(0x1A, span.trace_state),
            _write_id(0x22, span.parent_id),
            _write_text(0x2A, span.name),
            _write_number(0x30, span.kind),
            _write_fixed64(0x39, span.start_ns),
            _write_fixed64(0x41, span.end_ns),
            _key_values(0x4A, span.attributes),
            _write_number(0x50, span.dropped_attributes),
            *(_block(0x5A, _write_event(event)) for event in span.events),
            _write_number(0x60, span.dropped_events),
            *(_block(0x6A, _write_link(link)) for link in span.links),
            _write_number(0x70, span.dropped_links),
            _block(0x7A, status) if status else b"",
            _write_fixed32(b"\x85\x01", span.flags),
        )
    )


def _write_event(event: Event) -> bytes:
    return b"".join(
        (
            _write_fixed64(0x09, event.time_ns),
            _write_text(0x12, event.name),
            _key_values(0x1A, event.attributes),
            _write_number(0x20, event.dropped),
        )
    )


def _write_link(link: Link) -> bytes:
    return b"".join(
        (
            _write_id(0x0A, link.trace_id),
            _write_id(0x12, link.span_id),
            _write_text(0x1A, link.trace_state),
            _key_values(0x22, link.attributes),
            _write_number(0x28, link.dropped),
            _write_fixed32(b"\x35", link.flags),
        )
    )
