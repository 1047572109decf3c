"""OTLP on the wire: our protobuf and JSON against Google's protobuf and the OpenTelemetry SDK."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]
from google.rpc import status_pb2  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link as SdkLink
from opentelemetry.trace import SpanKind, Status, StatusCode

from clew.errors import Invalid
from clew.otlp import jsonform, model, protobuf, protobuf_writing
from clew.otlp.model import Answer, Event, Link, OtlpSpan, Problem, Resource, Scope

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def sdk_spans() -> tuple[ReadableSpan, ...]:
    """Spans as the SDK makes them: nested, failed, linked, with every type of attribute."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=SdkResource({"service.name": "agent", "answer": 42}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("lib", "1.2", "https://schema.example/1", {"scope.key": "v"})
    with tracer.start_as_current_span("outer", kind=SpanKind.CLIENT) as outer:
        outer.set_attributes(
            {"text": "é✓", "yes": True, "number": -7, "big": 2**63 - 1, "half": 0.5}
        )
        outer.set_attributes({"list": ["a", "b"], "long": "x" * 5000, "none": ""})
        outer.add_event("first", {"at": 1})
        with pytest.raises(ValueError, match="boom"), tracer.start_as_current_span("inner"):
            raise ValueError("boom")
    link = SdkLink(outer.get_span_context(), {"why": "follows"})
    with tracer.start_as_current_span("next", links=[link]) as later:
        later.set_status(Status(StatusCode.OK))
    return memory.get_finished_spans()


def the_same(ours: OtlpSpan, theirs: ReadableSpan) -> None:
    context, parent, attributes = theirs.context, theirs.parent, theirs.attributes
    assert context is not None
    assert attributes is not None
    assert (ours.trace_id, ours.span_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert ours.parent_id == (f"{parent.span_id:016x}" if parent else "")
    assert (ours.name, ours.start_ns, ours.end_ns) == (
        theirs.name,
        theirs.start_time,
        theirs.end_time,
    )
    assert ours.kind == theirs.kind.value + 1
    assert ours.attributes == {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in attributes.items()
    }
    assert (ours.status_code, ours.status_message) == (
        theirs.status.status_code.value,
        theirs.status.description or "",
    )
    assert [(event.name, event.time_ns, event.attributes) for event in ours.events] == [
        (event.name, event.timestamp, dict(event.attributes or {})) for event in theirs.events
    ]
    assert [(link.trace_id, link.attributes) for link in ours.links] == [
        (f"{link.context.trace_id:032x}", dict(link.attributes or {})) for link in theirs.links
    ]
    assert ours.resource.attributes == dict(theirs.resource.attributes)
    scope = theirs.instrumentation_scope
    assert scope is not None
    assert (ours.scope.name, ours.scope.version, ours.scope.schema_url) == (
        scope.name,
        scope.version,
        scope.schema_url,
    )
    assert ours.scope.attributes == dict(scope.attributes or {})


def test_what_the_sdk_sends_is_read_as_it_was() -> None:
    theirs = sdk_spans()
    request = protobuf.decode_request(encode_spans(theirs).SerializeToString())
    by_id = {span.span_id: span for span in request.spans}
    assert len(by_id) == len(theirs) == 3
    assert request.refused.count == 0
    for span in theirs:
        assert span.context is not None
        the_same(by_id[f"{span.context.span_id:016x}"], span)


def test_an_empty_request_holds_no_spans() -> None:
    assert protobuf.decode_request(b"").spans == []
    assert jsonform.decode_request(b"{}").spans == []
    assert jsonform.decode_request(b'{"resourceSpans": []}').spans == []


# --- round trips ---------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        texts,
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.binary(max_size=12),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
attributes = st.dictionaries(texts, values, max_size=5)
small = st.integers(0, 2**32 - 1)
nanoseconds = st.integers(0, 2**64 - 1)
traces = st.binary(min_size=16, max_size=16).filter(any).map(bytes.hex)
ids = st.binary(min_size=8, max_size=8).filter(any).map(bytes.hex)
resources = st.builds(Resource, attributes, texts)
scopes = st.builds(Scope, texts, texts, attributes, texts)
otlp_spans = st.builds(
    OtlpSpan,
    trace_id=traces,
    span_id=ids,
    name=texts,
    parent_id=st.just("") | ids,
    kind=st.integers(0, 5),
    start_ns=st.integers(1, 2**64 - 1),
    end_ns=nanoseconds,
    attributes=attributes,
    events=st.lists(st.builds(Event, nanoseconds, texts, attributes, small), max_size=2),
    links=st.lists(st.builds(Link, traces, ids, texts, attributes, small, small), max_size=2),
    status_code=st.integers(0, 2),
    status_message=texts,
    trace_state=texts,
    flags=small,
    dropped_attributes=small,
    dropped_events=small,
    dropped_links=small,
)


@st.composite
def batches(draw: st.DrawFn) -> list[OtlpSpan]:
    made: list[OtlpSpan] = []
    for resource in draw(st.lists(resources, max_size=2)):
        for scope in draw(st.lists(scopes, max_size=2)):
            for span in draw(st.lists(otlp_spans, max_size=3)):
                span.resource, span.scope = resource, scope
                made.append(span)
    return made


@given(batches())
def test_protobuf_agrees_with_googles(spans: list[OtlpSpan]) -> None:
    ours = protobuf.encode_request(spans)
    theirs = ExportTraceServiceRequest.FromString(ours)
    assert sum(len(s.spans) for r in theirs.resource_spans for s in r.scope_spans) == len(spans)
    read = protobuf.decode_request(theirs.SerializeToString())
    assert (read.spans, read.refused.count) == (spans, 0)


@given(batches())
def test_json_gives_back_what_was_written(spans: list[OtlpSpan]) -> None:
    body = jsonform.encode_request(spans)
    read = jsonform.decode_request(body)
    assert (read.spans, read.refused.count) == (spans, 0)


def hex_to_base64(data: Any) -> Any:
    """OTLP's JSON with its ids as proto3's own JSON has them."""
    if isinstance(data, dict):
        return {
            name: bytes.fromhex(value)
            and __import__("base64").b64encode(bytes.fromhex(value)).decode()
            if name in ("traceId", "spanId", "parentSpanId")
            else hex_to_base64(value)
            for name, value in data.items()
        }
    return [hex_to_base64(item) for item in data] if isinstance(data, list) else data


@given(batches())
def test_json_agrees_with_googles(spans: list[OtlpSpan]) -> None:
    data = hex_to_base64(json.loads(jsonform.encode_request(spans)))
    theirs = json_format.ParseDict(data, ExportTraceServiceRequest())
    assert protobuf.decode_request(theirs.SerializeToString()).spans == spans


def test_numbers_that_are_none_pass_both_forms() -> None:
    span = OtlpSpan(TRACE, SPAN, start_ns=1, attributes={"n": math.nan, "i": -math.inf})
    for form in (protobuf, jsonform):
        (read,) = form.decode_request(form.encode_request([span])).spans
        assert math.isnan(read.attributes["n"])
        assert read.attributes["i"] == -math.inf


def test_a_number_beyond_64_bits_is_written_as_text() -> None:
    span = OtlpSpan(TRACE, SPAN, start_ns=1, attributes={"n": 2**64})
    for form in (protobuf, jsonform):
        (read,) = form.decode_request(form.encode_request([span])).spans
        assert read.attributes == {"n": str(2**64)}


def test_what_no_attribute_can_hold_is_refused() -> None:
    span = OtlpSpan(TRACE, SPAN, start_ns=1, attributes={"n": object()})
    for form in (protobuf, jsonform):
        with pytest.raises(Invalid, match="cannot hold a object"):
            form.encode_request([span])


@given(st.integers(0, 2**63 - 1), texts)
def test_answers_agree_with_googles(rejected: int, message: str) -> None:
    theirs = ExportTraceServiceResponse()
    theirs.partial_success.rejected_spans = rejected
    theirs.partial_success.error_message = message
    answer = Answer(rejected, message)
    assert protobuf.decode_answer(theirs.SerializeToString()) == answer
    if rejected or message:
        assert protobuf.encode_answer(answer) == theirs.SerializeToString()
    assert jsonform.decode_answer(jsonform.encode_answer(answer)) == answer
    assert json_format.Parse(
        jsonform.encode_answer(answer), ExportTraceServiceResponse()
    ).partial_success.rejected_spans == rejected  # fmt: skip


def test_nothing_to_complain_of_is_an_empty_answer() -> None:
    assert protobuf.encode_answer(Answer()) == b""
    assert jsonform.encode_answer(Answer()) == b"{}"


@given(st.integers(-(2**31), 2**31 - 1), texts)
def test_problems_agree_with_googles(code: int, message: str) -> None:
    theirs = status_pb2.Status(code=code, message=message)
    theirs.details.add(type_url="type.example/x", value=b"abc")
    assert protobuf.decode_problem(theirs.SerializeToString()) == Problem(code, message)
    ours = status_pb2.Status.FromString(protobuf.encode_problem(Problem(code, message)))
    assert (ours.code, ours.message) == (code, message)
    assert jsonform.decode_problem(jsonform.encode_problem(Problem(code, message))) == Problem(
        code, message
    )


# --- bad bytes ---------------------------------------------------------------------------


def tried(read: Any, body: bytes) -> Any:
    """What was read, or `None`: anything but `Invalid` fails the test."""
    try:
        return read(body)
    except Invalid:
        return None


def sample() -> bytes:
    inner = {"list": [1, {"deep": [None, b"x", 0.5]}], "text": "é" * 80, "yes": True}
    span = OtlpSpan(
        TRACE, SPAN, "name", "00f067aa0ba902b7", 3, 10, 20, inner, [Event(15, "e", {"a": 1}, 2)],
        [Link(TRACE, SPAN, "s", {"b": "c"}, 1, 1)], 2, "bad", trace_state="x=y", flags=1,
        dropped_attributes=300,
    )  # fmt: skip
    return protobuf.encode_request([span, span])


def test_cut_at_any_byte_is_invalid_or_shorter() -> None:
    whole = sample()
    for cut in range(len(whole)):
        read = tried(protobuf.decode_request, whole[:cut])
        assert read is None or read.spans == []


def test_any_byte_changed_is_invalid_or_another_request() -> None:
    whole = sample()
    for at in range(len(whole)):
        for other in (0x00, 0x7F, 0x80, 0xFF, whole[at] ^ 1):
            body = whole[:at] + bytes((other,)) + whole[at + 1 :]
            read = tried(protobuf.decode_request, body)
            assert read is None or all(len(span.id) == 48 for span in read.spans)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_invalid(body: bytes) -> None:
    for read in (protobuf.decode_request, protobuf.decode_answer, protobuf.decode_problem):
        tried(read, body)
    for read in (jsonform.decode_request, jsonform.decode_answer, jsonform.decode_problem):
        tried(read, body)


@settings(max_examples=300)
@given(st.data())
def test_what_google_reads_is_read(data: st.DataObject) -> None:
    """Fields in any order, twice, with others between them."""
    (span,) = data.draw(st.lists(otlp_spans, min_size=1, max_size=1))
    body = protobuf_writing._write_span(span)
    fields = list(protobuf._fields(body, 0, len(body)))
    assert fields
    extra = b"\xc2\x3e\x03abc" + b"\xc8\x3e\x01" + b"\xd5\x3e\x00\x00\x00\x00"
    wrapped = protobuf_writing._block(
        0x0A, protobuf_writing._block(0x12, protobuf_writing._block(0x12, extra + body))
    )
    theirs = ExportTraceServiceRequest.FromString(wrapped)
    assert theirs.resource_spans[0].scope_spans[0].spans[0].span_id.hex() == span.span_id
    assert protobuf.decode_request(wrapped).spans == [span]


def in_span(*fields: bytes) -> bytes:
    named = protobuf_writing._block(0x0A, bytes.fromhex(TRACE)) + protobuf_writing._block(
        0x12, bytes.fromhex(SPAN)
    )
    body = named + b"\x39" + b"\x01" * 8 + b"".join(fields)
    return protobuf_writing._block(
        0x0A, protobuf_writing._block(0x12, protobuf_writing._block(0x12, body))
    )


def test_groups_and_unknown_fields_are_skipped() -> None:
    group = b"\xa3\x06" + b"\x08\x01" + b"\x12\x02ab" + b"\x1b\x08\x05\x1c" + b"\xa4\x06"
    request = protobuf.decode_request(in_span(group, b"\x2a\x01x"))
    assert [span.name for span in request.spans] == ["x"]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (b"\x2a\x05ab", "reaches to byte"),
        (b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7fab", "reaches to byte"),
        (b"\x30" + b"\xff" * 10, "more than 10 bytes"),
        (b"\x02\x01a", "number 0"),
        (b"\x2e", "wire type 6"),
        (b"\xa4\x06", "wire type 4"),
        (b"\xa3\x06\x08\x01", "no end"),
        (b"\x4a\x04\x0a\x09ab", "reaches to byte"),
        (b"\x4a\x05\x12\x03\x0a\x07a", "reaches to byte"),
    ],
)
def test_a_bad_span_says_what_is_wrong_and_costs_no_neighbour(field: bytes, said: str) -> None:
    good = protobuf.encode_request([OtlpSpan(TRACE, SPAN, "good", start_ns=1)])
    request = protobuf.decode_request(in_span(field) + good)
    assert [span.name for span in request.spans] == ["good"]
    assert request.refused.count == 1
    assert said in request.refused.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trace_id": ""}, "trace_id has 0 bytes"),
        ({"trace_id": "0" * 32}, "all zeros"),
        ({"span_id": "ab"}, "span_id has 1 bytes"),
        ({"parent_id": "abcd"}, "parent_span_id has 2 bytes"),
        ({"start_ns": 0}, "neither start nor end"),
    ],
)
@pytest.mark.parametrize("form", [protobuf, jsonform])
def test_a_span_without_a_name_or_a_time_is_refused(
    form: Any, change: dict[str, Any], said: str
) -> None:
    good_one: dict[str, Any] = {"trace_id": TRACE, "span_id": SPAN, "start_ns": 1}
    bad = OtlpSpan(**good_one | change)
    good = OtlpSpan(TRACE, SPAN, start_ns=1)
    request = form.decode_request(form.encode_request([bad, good, bad]))
    assert request.spans == [good]
    assert (request.refused.count, len(request.refused.reasons)) == (2, 1)
    assert said in request.refused.message


def test_only_the_first_reasons_are_told() -> None:
    bad = [OtlpSpan("ab" * n, SPAN, start_ns=1) for n in range(1, 12)]
    refused = protobuf.decode_request(protobuf.encode_request(bad)).refused
    assert (refused.count, len(refused.reasons)) == (11, model.REASONS_MAX)


def nested(depth: int) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("form", [protobuf, jsonform])
def test_an_attribute_may_be_nested_so_deep_and_no_deeper(form: Any) -> None:
    for depth, taken in ((model.DEPTH_MAX - 1, 1), (model.DEPTH_MAX + 2, 0)):
        span = OtlpSpan(TRACE, SPAN, start_ns=1, attributes={"a": nested(depth)})
        request = form.decode_request(form.encode_request([span]))
        assert (len(request.spans), request.refused.count) == (taken, 1 - taken)
    assert "deeper than" in request.refused.message


def test_nesting_that_would_end_the_stack_is_refused() -> None:
    value = b""
    for _ in range(20_000):
        value = b"\x2a" + protobuf_writing._write_varint(len(value) + 1) + b"\x0a" + value
        value = value[: 1 << 16]
    tried(protobuf.decode_request, in_span(b"\x4a" + value))
    deep = b'{"resourceSpans":' + b"[" * 200_000
    assert tried(jsonform.decode_request, deep) is None
    whole = b'{"a":' * 5000 + b"1" + b"}" * 5000
    tried(jsonform.decode_request, whole)


@pytest.mark.parametrize("form", [protobuf, jsonform])
def test_there_are_limits(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "SPANS_MAX", 2)
    monkeypatch.setattr(form, "VALUES_MAX", 3)
    span = OtlpSpan(TRACE, SPAN, start_ns=1)
    assert len(form.decode_request(form.encode_request([span, span])).spans) == 2
    with pytest.raises(Invalid, match="more than 2 spans in one request: send them in smaller"):
        form.decode_request(form.encode_request([span] * 3))
    span.attributes = {str(number): number for number in range(4)}
    assert form.decode_request(form.encode_request([span])).refused.count == 1


def test_a_list_of_protobuf_values_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "VALUES_MAX", 3)
    for many in ([None] * 4, {str(n): n for n in range(4)}):
        span = OtlpSpan(TRACE, SPAN, start_ns=1, attributes={"a": many})
        refused = protobuf.decode_request(protobuf.encode_request([span])).refused
        assert "a list of more than 3 values" in refused.message


def test_text_that_is_no_utf8_is_read_with_a_mark() -> None:
    request = protobuf.decode_request(in_span(b"\x2a\x03a\xffb"))
    assert request.spans[0].name == "a�b"


def test_logs_are_told_from_spans() -> None:
    logs = logs_service_pb2.ExportLogsServiceRequest()
    record = logs.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano, record.severity_text = 5, "INFO"
    record.body.string_value = "hello"
    request = protobuf.decode_request(logs.SerializeToString())
    assert request.spans == []
    assert request.refused.message == "this is a log record and no span: send logs to /v1/logs"
    for name, where in (("resourceLogs", "/v1/logs"), ("resourceMetrics", "/v1/metrics")):
        with pytest.raises(Invalid, match=where):
            jsonform.decode_request(json.dumps({name: []}).encode())


# --- JSON --------------------------------------------------------------------------------


def json_span(**more: Any) -> bytes:
    span = {"traceId": TRACE.upper(), "spanId": SPAN, "startTimeUnixNano": "5", **more}
    block = {"scopeSpans": [{"spans": [span], "later": 1}], "later": {}}
    return json.dumps({"resourceSpans": [block], "later": []}).encode()


def read_json(**more: Any) -> OtlpSpan:
    request = jsonform.decode_request(json_span(**more))
    assert request.refused.message == ""
    return request.spans[0]


def test_json_takes_ids_in_any_case_and_numbers_in_any_form() -> None:
    span = read_json(endTimeUnixNano=1544712661300000000, kind=3.0, unknown={"a": [1]})
    assert (span.trace_id, span.span_id) == (TRACE, SPAN)
    assert (span.start_ns, span.end_ns, span.kind) == (5, 1544712661300000000, 3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": "a"}, "a"),
        ({"boolValue": False}, False),
        ({"intValue": "-12"}, -12),
        ({"intValue": 12}, 12),
        ({"doubleValue": 1}, 1.0),
        ({"doubleValue": "2.5"}, 2.5),
        ({"bytesValue": "aGk="}, b"hi"),
        ({"bytesValue": "_-8"}, b"\xff\xef"),
        ({"arrayValue": {"values": [{"intValue": "1"}, {}]}}, [1, None]),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}, {"k": "v"}),
        ({"stringValue": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_json_values(value: Any, expected: Any) -> None:
    assert read_json(attributes=[{"key": "a", "value": value}]).attributes == {"a": expected}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"traceId": "xyz"}, "not hexadecimal"),
        ({"traceId": 5}, "traceId is no string"),
        ({"startTimeUnixNano": "-1"}, "negative"),
        ({"startTimeUnixNano": "1.5"}, "no whole number"),
        ({"startTimeUnixNano": "²"}, "no whole number"),
        ({"startTimeUnixNano": str(2**64)}, "64 bits"),
        ({"attributes": {}}, "attributes is no list"),
        ({"events": [1]}, "no list of objects"),
        ({"status": []}, "status is no object"),
    ],
)
def test_a_bad_span_in_json_is_refused_alone(more: dict[str, Any], said: str) -> None:
    body = json.loads(json_span(**more))
    body["resourceSpans"][0]["scopeSpans"][0]["spans"].insert(0, json.loads(json_span())
        ["resourceSpans"][0]["scopeSpans"][0]["spans"][0])  # fmt: skip
    request = jsonform.decode_request(json.dumps(body).encode())
    assert (len(request.spans), request.refused.count) == (1, 1)
    assert said in request.refused.message


@pytest.mark.parametrize(
    ("more", "field", "value", "said"),
    [
        ({"kind": "zz"}, "kind", 0, 'kind is no whole number: "zz"'),
        ({"kind": 1.5}, "kind", 0, "kind is no whole number: 1.5"),
        ({"kind": True}, "kind", 0, "kind is no whole number: true"),
        ({"kind": -1}, "kind", 0, "kind is negative: -1"),
        ({"name": 7}, "name", "", "name is no string: 7"),
        ({"status": {"code": []}}, "status_code", 0, "code is no whole number: []"),
        ({"flags": 2**70}, "flags", 0, 'flags does not fit into 64 bits: "1180591620717411303424"'),
        ({"events": [{"timeUnixNano": "x"}]}, "events", [Event(0, "")], "timeUnixNano is no whole"),
        ({"links": [{"traceId": "x"}]}, "links", [Link("", "")], "traceId is not hexadecimal"),
    ],
)
def test_what_a_span_can_do_without_is_noted(
    more: dict[str, Any], field: str, value: Any, said: str
) -> None:
    span = read_json(**more)
    assert getattr(span, field) == value
    assert [said in note for note in span.odd] == [True], span.odd


def test_kinds_and_codes_by_their_names() -> None:
    span = read_json(kind="SPAN_KIND_CLIENT", status={"code": "STATUS_CODE_ERROR"})
    assert (span.kind, span.status_code, span.odd) == (3, 2, [])


@pytest.mark.parametrize(
    ("value", "kept", "said"),
    [
        ("b", "b", "no object like"),
        ({"stringValue": 1}, {"stringValue": 1}, "no string"),
        ({"intValue": "x"}, {"intValue": "x"}, "no whole number"),
        ({"intValue": 2**63}, {"intValue": str(2**63)}, "64 bits"),
        ({"boolValue": 1}, {"boolValue": 1}, "true nor false"),
        ({"doubleValue": "x"}, {"doubleValue": "x"}, "no number"),
        ({"bytesValue": "!"}, {"bytesValue": "!"}, "no base64"),
        ({"arrayValue": []}, {"arrayValue": []}, "no object"),
        ({"arrayValue": {"values": [{"zz": 1}, {"intValue": 2}]}}, [{"zz": 1}, 2], "called zz"),
        ({"kvlistValue": {"values": [1]}}, {"kvlistValue": {"values": [1]}}, "no object"),
        ({"zz": [1, None, {"a": 2.5}]}, {"zz": [1, None, {"a": 2.5}]}, "called zz"),
    ],
)
def test_a_value_that_cannot_be_read_is_kept_as_it_is(value: Any, kept: Any, said: str) -> None:
    pairs = [{"key": "a", "value": value}, {"key": "b", "value": {"intValue": 1}}]
    span = read_json(attributes=pairs)
    assert span.attributes == {"a": kept, "b": 1}
    assert len(span.odd) == 1
    assert span.odd[0].startswith("a: ")
    assert said in span.odd[0]


def test_notes_on_values_have_an_end() -> None:
    pairs = [{"key": "k" * 999, "value": {"zz": n}} for n in range(model.ODD_MAX + 5)]
    odd = read_json(attributes=pairs).odd
    assert {len(note) for note in odd} == {model.ODD_CHARS_MAX}
    assert len(odd) == model.ODD_MAX


def test_a_value_of_a_resource_that_cannot_be_read_costs_no_request() -> None:
    body = json.loads(json_span())
    body["resourceSpans"][0]["resource"] = {
        "attributes": [{"key": "r", "value": {"intValue": "x"}}]
    }
    (span,) = jsonform.decode_request(json.dumps(body).encode()).spans
    assert span.resource.attributes == {"r": {"intValue": "x"}}
    assert span.odd == ["r: an intValue is no whole number"]


@pytest.mark.parametrize("form", [protobuf, jsonform])
def test_a_refusal_names_its_span(form: Any) -> None:
    bad = [OtlpSpan("", f"{n:016x}", start_ns=1) for n in (1, 2)] + [OtlpSpan(TRACE, SPAN)]
    message = form.decode_request(form.encode_request(bad)).refused.message
    assert "span 0000000000000001 and 1 more: trace_id has 0 bytes" in message
    assert f"; span {SPAN}: a span has neither start nor end" in message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON text"),
        (b"[]", "no JSON object"),
        (b"\xff", "no JSON text"),
        (b'{"resourceSpans": {}}', "no list of objects"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]}', "spans is no list"),
        (b'{"resourceSpans": [{"resource": 1}]}', "resource is no object"),
    ],
)
def test_a_request_that_is_none_is_invalid(body: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        jsonform.decode_request(body)


def test_half_a_character_in_json_is_read_with_a_mark() -> None:
    body = json_span(name="x").replace(b'"x"', b'"\\ud83d"')
    assert jsonform.decode_request(body).spans[0].name == "�"
