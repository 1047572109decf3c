"""What the spans of each vocabulary become, and what ours become on the way out.

`CLEW_REGENERATE=1 pytest tests/test_otlp_mapping.py` writes the golden files anew.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.model import Position, Span
from clew.otlp import align, jsonform, protobuf, semconv
from clew.otlp.mapping import ENVELOPE, Mapped, mapped
from clew.otlp.messages import Chat, indexed, read
from clew.otlp.model import Event, OtlpSpan, Resource, Scope
from clew.otlp.writing import written
from clew.shapes import openai_chat

GOLDEN = Path(__file__).parent / "golden" / "otlp"
TRACE = "0af7651916cd43dd8448eb211c80319c"
T0_NS = 1_790_000_000_000_000_000
MS = 1_000_000


def span(attributes: dict[str, Any], *, id: int = 1, parent: int = 0, **more: Any) -> OtlpSpan:
    facts: dict[str, Any] = {"start_ns": T0_NS, "end_ns": T0_NS + 5 * MS, "name": "it"} | more
    above = f"{parent:016x}" if parent else ""
    return OtlpSpan(TRACE, f"{id:016x}", parent_id=above, attributes=attributes, **facts)


def one(attributes: dict[str, Any], **more: Any) -> Mapped:
    (told,) = mapped([span(attributes, **more)])
    return told


# --- one trace per vocabulary --------------------------------------------------------------


def trace_of(path: Path) -> list[OtlpSpan]:
    resource, scope = Resource({"service.name": "app"}), Scope("lib", "1")
    return [
        span(
            item["attributes"],
            id=item["id"],
            parent=item.get("parent", 0),
            name=item["name"],
            kind=item["kind"],
            start_ns=T0_NS + item["start_ms"] * MS,
            end_ns=T0_NS + item["end_ms"] * MS if item["end_ms"] else 0,
            status_code=item.get("status", 0),
            status_message=item.get("message", ""),
            events=[
                Event(T0_NS + event["at_ms"] * MS, event["name"], event.get("attributes", {}))
                for event in item.get("events", [])
            ],
            resource=resource,
            scope=scope,
        )
        for item in json.loads(path.read_text())
    ]


VOCABULARIES = ("gen_ai", "gen_ai_old", "openinference", "clew")


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("form", [protobuf, jsonform])
def test_a_trace_of_each_vocabulary(name: str, form: Any) -> None:
    spans = form.decode_request(form.encode_request(trace_of(GOLDEN / f"{name}.json"))).spans
    told = [msgspec.to_builtins(item) for item in mapped(spans)]
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    golden = GOLDEN / f"{name}.mapped.json"
    if os.environ.get("CLEW_REGENERATE"):
        golden.write_text(text)
    assert json.loads(text) == json.loads(golden.read_text())


def test_the_same_conversation_in_each_vocabulary_reads_the_same() -> None:
    """Two spellings of one exchange align: the second adds nothing to the first."""
    told = mapped(trace_of(GOLDEN / "gen_ai.json"))
    first = [align.fingerprint_of(chat) for chat in align.spoken(told[0].given + told[0].said)]
    second = [align.fingerprint_of(chat) for chat in align.spoken(told[2].given + told[2].said)]
    assert align.fresh(first, second) == 2
    assert [chat["role"] for chat in (told[2].given + told[2].said)[2:]] == ["tool", "assistant"]


# --- every row of the table ----------------------------------------------------------------

NAMES = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
SAMPLES: dict[str, tuple[Any, Any]] = {
    "call_id": ("c1", "c1"),
    "provider": ("acme", "acme"),
    "model": ("m-1", "m-1"),
    "model_asked": ("m-1", "m-1"),
    "response_id": ("r1", "r1"),
    "error_type": ("Oops", "Oops"),
    "status_code": (503, 503),
    "cost": (0.5, 0.5),
    "attempt": (3, 3),
    "effect": ("external", "external"),
    "fallback": (True, True),
    "tool_input": ('{"a": 1}', {"a": 1}),
    "tool_output": ("done", "done"),
    "input": ('{"a": 1}', {"a": 1}),
    "output": ("done", "done"),
}
COLUMNS = {
    "output_tokens": "tokens_out",
    "input_tokens": "tokens_in",
    "model_asked": "model",
    "tool_input": "input",
    "tool_output": "output",
}
COUNTED = ("input_tokens", "output_tokens", "cache_read", "cache_write", "reasoning")
KIND_OF = {"tool_input": "tool", "tool_output": "tool", "call_id": "tool"}
ELSEWHERE = {
    *("operation", "conversation", "agent", "workflow", "tool", "messages_in", "messages_out"),
    *("text_out", "calls_out", "instructions", "finish_reasons", "first_token", "total_tokens"),
    *("usage", "outcome"),
}


@pytest.mark.parametrize("row", semconv.TABLE, ids=lambda row: row.attribute)
def test_every_name_gives_its_field(row: semconv.Row) -> None:
    if row.field in ELSEWHERE:
        return
    default = (7, 7) if row.field not in ("batch", "chat", "tier", "request_type") else ("x", "x")
    value, expected = SAMPLES.get(row.field, default)
    if row.attribute == "mlflow.llm.cost":
        value = '{"input_cost": 0.2, "total_cost": 0.5}'
    kind = KIND_OF.get(row.field, "other" if row.field in ("input", "output") else "model")
    told = one({"clew.kind": kind, row.attribute: value})
    assert told.values[COLUMNS.get(row.field, row.field)] == expected
    if row.field == "model_asked":
        return
    assert row.attribute not in told.values["attributes"], "a field is not told twice"


def rows(field: str) -> list[str]:
    return [row.attribute for row in semconv.TABLE if row.field == field]


@pytest.mark.parametrize("name", rows("conversation"))
def test_every_name_of_a_conversation(name: str) -> None:
    assert one({name: "conv-9"}).conversation == "conv-9"


@pytest.mark.parametrize("name", semconv.METADATA)
@pytest.mark.parametrize("key", semconv.METADATA_NAMES)
def test_a_conversation_named_in_metadata(name: str, key: str) -> None:
    assert one({name: json.dumps({key: "conv-9", "x": 1})}).conversation == "conv-9"


def test_a_conversation_named_by_the_resource() -> None:
    assert one({}, resource=Resource({"session.id": "conv-9"})).conversation == "conv-9"


def test_a_project_of_langsmith_is_no_conversation() -> None:
    assert one({"langsmith.trace.session_id": "project"}).conversation is None


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("gen_ai.operation.name", "chat", "model"),
        ("gen_ai.operation.name", "text_completion", "model"),
        ("gen_ai.operation.name", "generate_content", "model"),
        ("gen_ai.operation.name", "execute_tool", "tool"),
        ("gen_ai.operation.name", "invoke_agent", "agent"),
        ("gen_ai.operation.name", "invoke_workflow", "agent"),
        ("gen_ai.operation.name", "embeddings", "other"),
        ("gen_ai.operation.name", "plan", "other"),
        ("openinference.span.kind", "LLM", "model"),
        ("openinference.span.kind", "TOOL", "tool"),
        ("openinference.span.kind", "AGENT", "agent"),
        ("openinference.span.kind", "CHAIN", "agent"),
        ("openinference.span.kind", "GUARDRAIL", "other"),
        ("mlflow.spanType", '"CHAT_MODEL"', "model"),
        ("mlflow.spanType", "TOOL", "tool"),
        ("langsmith.span.kind", "llm", "model"),
        ("traceloop.span.kind", "workflow", "agent"),
        ("traceloop.span.kind", "task", "other"),
        ("llm.request.type", "completion", "model"),
        ("ai.operationId", "ai.streamText.doStream", "model"),
        ("ai.operationId", "ai.toolCall", "tool"),
        ("ai.operationId", "ai.generateText", "agent"),
        ("sentry.op", "gen_ai.execute_tool", "tool"),
        ("clew.kind", "command", "command"),
        ("clew.kind", "turn", "turn"),
        ("gen_ai.operation.name", "__proto__", "other"),
    ],
)
def test_every_name_of_an_operation(name: str, value: str, kind: str) -> None:
    assert one({name: value}).kind == kind


def test_every_row_of_operations_is_tried_above() -> None:
    marks = test_every_name_of_an_operation.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(rows("operation"))


def test_a_chain_below_another_span_is_glue() -> None:
    assert one({"openinference.span.kind": "CHAIN"}, parent=9).kind == "other"


def test_a_span_that_does_not_say_what_it_does_is_known_by_what_it_has() -> None:
    assert one({"gen_ai.tool.name": "ls"}).kind == "tool"
    assert one({"llm.model_name": "m", "llm.token_count.completion": 1}).kind == "model"
    assert one({"llm.model_name": "m"}).kind == "other"
    assert one({"http.request.method": "GET"}).kind == "other"


@pytest.mark.parametrize("name", rows("tool"))
def test_every_name_of_a_tool(name: str) -> None:
    assert one({"clew.kind": "tool", name: "ls"}).name == "ls"


def test_names_where_no_attribute_tells_one() -> None:
    assert one({"clew.kind": "tool"}, name="execute_tool ls").name == "ls"
    assert one({"clew.kind": "tool"}, name="").name == "tool"
    assert one({"clew.kind": "model", "llm.model_name": "m"}).name == "m"
    for name in (*rows("agent"), *rows("workflow")):
        assert one({"clew.kind": "agent", name: "boss"}).name == "boss"


@pytest.mark.parametrize("name", rows("messages_in"))
def test_every_name_of_messages_given(name: str) -> None:
    told = one({"clew.kind": "model", name: json.dumps(NAMES)})
    assert told.given == told.values["input"] == [{"role": "user", "content": "hi"}]
    assert name not in told.values["attributes"]


@pytest.mark.parametrize("name", rows("messages_out"))
def test_every_name_of_messages_said(name: str) -> None:
    told = one({"clew.kind": "model", name: '[{"content": "hello"}]'})
    assert told.said == told.values["output"] == [{"role": "assistant", "content": "hello"}]


@pytest.mark.parametrize(
    ("text", "calls"), list(zip(rows("text_out"), rows("calls_out"), strict=True))
)
def test_every_name_of_an_answer_in_pieces(text: str, calls: str) -> None:
    call = {"toolCallId": "c", "toolName": "ls", "args": {}}
    told = one({"clew.kind": "model", text: "so", calls: json.dumps([call])})
    function = {"name": "ls", "arguments": "{}"}
    expected = {"id": "c", "type": "function", "function": function}
    assert told.said == [{"role": "assistant", "content": "so", "tool_calls": [expected]}]


@pytest.mark.parametrize("name", rows("finish_reasons"))
def test_every_name_of_finish_reasons(name: str) -> None:
    for value in ("stop", ["stop"], '["stop"]'):
        kept = one({"clew.kind": "model", name: value}).values["attributes"]
        assert kept["gen_ai.response.finish_reasons"] == ["stop"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("gen_ai.response.time_to_first_chunk", 0.5, 500),
        ("gen_ai.response.time_to_first_chunk", 2, 2000),
        ("gen_ai.server.time_to_first_token", 45, 45),
        ("gen_ai.server.time_to_first_token", 0.045, 45),
        ("ai.response.msToFirstChunk", 12.5, 12.5),
    ],
)
def test_the_first_token_in_milliseconds(name: str, value: float, expected: float) -> None:
    assert one({"clew.kind": "model", name: value}).values["first_token_ms"] == expected


# --- tokens --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("input", "cached", "total", "expected"),
    [
        (1200, 1000, None, 200),  # the conventions: totals hold what was cached
        (100, 800, None, 100),  # fewer than were cached: a sender that leaves them out
        (900, 800, 1710, 900),  # the total says that they come on top
        (900, 800, 910, 100),
        (5, 0, None, 5),
    ],
)
def test_tokens_from_the_cache_are_taken_out(
    input: int, cached: int, total: int | None, expected: int
) -> None:
    attributes: dict[str, Any] = {
        "clew.kind": "model",
        "gen_ai.usage.input_tokens": input,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": cached,
    }
    if total is not None:
        attributes["gen_ai.usage.total_tokens"] = total
    values = one(attributes).values
    assert (values["tokens_in"], values["cache_read"], values["tokens_out"]) == (
        expected,
        cached,
        10,
    )


def test_mlflow_tells_its_tokens_in_one_object() -> None:
    usage = {
        "input_tokens": 30,
        "output_tokens": 4,
        "total_tokens": 34,
        "cache_read_input_tokens": 20,
    }
    for value in (usage, json.dumps(usage)):
        values = one({"mlflow.spanType": "LLM", "mlflow.chat.tokenUsage": value}).values
        told = (values["tokens_in"], values["tokens_out"], values["cache_read"])
        assert told == (10, 4, 20)
        assert values["attributes"]["mlflow.chat.tokenUsage"] == value


def test_tokens_of_an_agent_are_those_of_its_calls_and_not_counted_again() -> None:
    told = one({"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 9})
    assert "tokens_in" not in told.values
    assert told.values["attributes"]["gen_ai.usage.input_tokens"] == 9


@pytest.mark.parametrize("value", ["many", -1, 2**60, 1.5, True, [1], None])
def test_a_count_that_is_none_stays_where_it_was(value: Any) -> None:
    told = one({"clew.kind": "model", "gen_ai.usage.input_tokens": value})
    assert "tokens_in" not in told.values
    assert told.values["attributes"]["gen_ai.usage.input_tokens"] == value


def test_a_count_may_be_a_string_or_a_float() -> None:
    for value in ("12", 12.0):
        assert (
            one({"clew.kind": "model", "llm.token_count.prompt": value}).values["tokens_in"] == 12
        )


# --- how it went ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "outcome"),
    [
        (0, None, "ok"),
        (1, "Oops", "ok"),
        (2, None, "error"),
        (2, "ValueError", "error"),
        (2, "asyncio.TimeoutError", "timeout"),
        (2, "CancelledError", "cancelled"),
        (2, "PERMISSION_DENIED", "denied"),
        (7, None, "ok"),
    ],
)
def test_outcomes(code: int, kind: str | None, outcome: str) -> None:
    attributes = {"error.type": kind} if kind else {}
    assert one(attributes, status_code=code).values["outcome"] == outcome


def test_an_exception_tells_what_the_status_does_not() -> None:
    thrown = Event(T0_NS, "exception", {"exception.type": "KeyError", "exception.message": "'a'"})
    values = one({}, status_code=2, events=[thrown]).values
    assert (values["error"], values["error_type"]) == ("'a'", "KeyError")
    assert values["attributes"][ENVELOPE]["events"][0]["attributes"] == thrown.attributes
    handled = one({}, events=[thrown]).values
    assert (handled["outcome"], "error" in handled) == ("ok", False)


def test_a_span_without_an_end_still_runs() -> None:
    values = one({}, end_ns=0).values
    assert not {"outcome", "finished_us", "latency_ms"} & set(values)


def test_an_end_before_the_start_takes_no_time() -> None:
    values = one({}, end_ns=T0_NS - MS).values
    assert (values["latency_ms"], values["finished_us"]) == (0, values["started_us"])


def test_a_pending_span_of_logfire_is_the_start_of_its_parent() -> None:
    pending = {"logfire.span_type": "pending_span", "logfire.pending_parent_id": f"{7:016x}"}
    told = one(pending, id=2, parent=1)
    assert told.id == TRACE + f"{1:016x}"
    assert told.values["parent"] == TRACE + f"{7:016x}"
    assert "outcome" not in told.values


# --- which conversation ----------------------------------------------------------------------


def test_a_span_goes_where_its_nearest_ancestor_goes() -> None:
    told = mapped(
        [
            span({"session.id": "outer"}, id=1),
            span({}, id=2, parent=1),
            span({"session.id": "inner"}, id=3, parent=2),
            span({}, id=4, parent=3),
            span({}, id=5, parent=99),
        ]
    )
    assert [item.conversation for item in told] == ["outer", "outer", "inner", "inner", "outer"]


def test_parents_in_a_circle_come_to_an_end() -> None:
    told = mapped(
        [span({}, id=1, parent=2), span({}, id=2, parent=1), span({"session.id": "s"}, id=3)]
    )
    assert [item.conversation for item in told] == ["s", "s", "s"]


def test_a_trace_that_names_no_conversation_has_none() -> None:
    assert [item.conversation for item in mapped([span({}), span({}, id=2, parent=1)])] == [
        None,
        None,
    ]


def test_a_resource_is_told_once_per_request() -> None:
    resource = Resource({"service.name": "app"})
    told = mapped([span({}, resource=resource), span({}, id=2, parent=1, resource=resource)])
    assert told[0].values["attributes"][ENVELOPE]["resource"] == resource.attributes
    assert "resource" not in told[1].values["attributes"][ENVELOPE]


# --- messages ------------------------------------------------------------------------------


def call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Hi", [{"role": "user", "content": "Hi"}]),
        ('{"role": "user", "content": "Hi"}', [{"role": "user", "content": "Hi"}]),
        ('{"messages": [{"role": "human", "content": "Hi"}]}', [{"role": "user", "content": "Hi"}]),
        (
            '{"messages": [[{"lc": 1, "kwargs": {"type": "ai", "content": "Yo", "tool_calls": '
            '[{"name": "ls", "args": {}, "id": "c", "type": "tool_call"}]}}]]}',
            [{"role": "assistant", "content": "Yo", "tool_calls": [call("c", "ls", "{}")]}],
        ),
        (
            '{"generations": [[{"text": "Yo", "message": {"lc": 1, "kwargs": '
            '{"type": "ai", "content": "Yo"}}}]]}',
            [{"role": "assistant", "content": "Yo"}],
        ),
        (
            '{"choices": [{"index": 0, "message": {"role": "assistant", "content": null, '
            '"tool_calls": [{"id": "c", "type": "function", '
            '"function": {"name": "ls", "arguments": "{}"}}]}}]}',
            [{"role": "assistant", "content": None, "tool_calls": [call("c", "ls", "{}")]}],
        ),
        (
            [{"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c",
                 "content": [{"type": "text", "text": "a"}]},
                {"type": "text", "text": "and?"}]}],
            [{"role": "tool", "tool_call_id": "c", "content": "a"},
             {"role": "user", "content": "and?"}],
        ),
        (
            [{"role": "tool", "content": [
                {"type": "tool-result", "toolCallId": "c", "toolName": "ls", "output": {"n": 1}}]}],
            [{"role": "tool", "tool_call_id": "c", "content": '{"n":1}', "name": "ls"}],
        ),
        (
            [{"role": "tool", "id": "c", "content": "a"}],
            [{"role": "tool", "tool_call_id": "c", "content": "a"}],
        ),
        (
            [{"role": "user", "parts": [
                {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "QQ=="},
                {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
                {"type": "blob", "mime_type": "audio/wav", "content": "QQ=="},
                {"type": "file", "modality": "document", "file_id": "f1"},
                {"type": "compaction", "content": "so far"}]}],
            [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
                {"type": "file", "file": {"file_id": "f1"}},
                {"type": "compaction", "content": "so far"}]}],
        ),
        (
            [{"role": "assistant", "content": [
                {"text": "a"}, {"toolUse": {"toolUseId": "c", "name": "ls", "input": {"p": 1}}},
                {"reasoningContent": {"reasoningText": {"text": "hm"}}}]}],
            [{"role": "assistant", "reasoning_content": "hm", "content": "a",
              "tool_calls": [call("c", "ls", '{"p":1}')]}],
        ),
    ],
)  # fmt: skip
def test_messages_in_the_shapes_that_senders_use(value: Any, expected: list[Chat]) -> None:
    assert read(value) == expected


def test_what_an_indexed_message_says_beside_its_words_is_kept() -> None:
    kept = one(
        {
            "clew.kind": "model",
            "gen_ai.completion.0.content": "hello",
            "gen_ai.completion.0.finish_reason": "stop",
        }
    ).values
    assert kept["output"] == [{"role": "assistant", "content": "hello"}]
    assert kept["attributes"]["gen_ai.completion.0.finish_reason"] == "stop"
    assert "gen_ai.completion.0.content" not in kept["attributes"]


def test_finish_reasons_that_only_the_messages_tell() -> None:
    said = '[{"role": "assistant", "parts": [], "content": "x", "finish_reason": "stop"}, 1]'
    told = [
        one({"clew.kind": "model", "gen_ai.output.messages": said.replace(", 1]", "]")}),
        one(
            {"clew.kind": "model"},
            events=[Event(T0_NS, "gen_ai.choice", {"message": "x", "finish_reason": "stop"})],
        ),
    ]
    for item in told:
        assert item.values["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]


def test_messages_that_came_as_events_are_kept_once() -> None:
    told = one(
        {"clew.kind": "model"}, events=[Event(T0_NS, "gen_ai.user.message", {"content": "hi"})]
    )
    assert told.given == [{"role": "user", "content": "hi"}]
    (event,) = told.values["attributes"][ENVELOPE]["events"]
    assert event == {"time_ns": T0_NS, "name": "gen_ai.user.message"}


def test_a_tool_of_strands_tells_its_run_as_events_or_as_messages() -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add"}
    old = [
        Event(T0_NS, "gen_ai.tool.message", {"role": "tool", "content": '{"a": 2}', "id": "t"}),
        Event(T0_NS, "gen_ai.choice", {"message": '[{"text": "4"}]', "id": "t"}),
    ]
    run = {"type": "tool_call", "id": "t", "name": "add", "arguments": {"a": 2}}
    result = {"type": "tool_call_response", "id": "t", "response": [{"text": "4"}]}
    given, said = (json.dumps([{"role": "tool", "parts": [part]}]) for part in (run, result))
    new = [
        Event(T0_NS, semconv.DETAILS_EVENT, {"gen_ai.input.messages": given}),
        Event(T0_NS, semconv.DETAILS_EVENT, {"gen_ai.output.messages": said}),
    ]
    assert one(tool, events=old).values["input"] == {"a": 2}
    assert one(tool, events=old).values["output"] == [{"text": "4"}]
    assert one(tool, events=new).values["input"] == {"a": 2}
    assert one(tool, events=new).values["output"] == "4"


@pytest.mark.parametrize(
    "value",
    [
        "[]",
        '{"a": 1}',
        "[1]",
        '[{"role": "oracle", "content": "x"}]',
        '[{"role": "user", "content": [1]}]',
        '[{"role": "assistant", "tool_calls": {"a": 1}}]',
        '[{"role": "assistant", "tool_calls": [1]}]',
        '[{"role": "assistant", "tool_calls": [{"id": "x"}]}]',
        None,
        7,
    ],
)
def test_what_is_no_conversation_stays_an_attribute(value: Any) -> None:
    assert read(value) is None
    told = one({"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": value})
    assert told.given == []
    kept = told.values["attributes"].get("gen_ai.input.messages", told.values.get("input"))
    assert kept == (json.loads(value) if isinstance(value, str) else value)


def test_bytes_and_odd_numbers_in_messages_become_json() -> None:
    for value in (b"\xff", float("nan")):
        content = [{"type": "blob", "content": value}, {"type": "odd", "value": value}]
        for attributes in (
            {"gen_ai.output.messages": [{"role": "assistant", "content": content[1:]}]},
            {"gen_ai.completion.0.content": value},
            {"gen_ai.response.text": value},
            {"gen_ai.input.messages": "hi", "gen_ai.system_instructions": content[1:]},
        ):
            told = one({"clew.kind": "model", **attributes})
            text = msgspec.json.encode([told.values, told.given, told.said])
            assert "null" not in text.decode()


def test_every_message_that_comes_out_is_one_that_can_be_appended() -> None:
    for name in VOCABULARIES:
        for item in mapped(trace_of(GOLDEN / f"{name}.json")):
            for chat in item.given + item.said:
                message = openai_chat.decode(chat)
                assert message.parts
                assert message.role == chat["role"]


names = st.sampled_from(
    [
        *("role", "content", "message.role", "message.content", "tool_calls.0.id"),
        *("tool_calls.0.name", "tool_calls.x.name", "message.tool_calls.0.tool_call.id"),
        *("message.contents.0.message_content.type", "__proto__", "a.b.c.d.e.f.g.h.i.j", ""),
        *("message.contents", "message", "message.contents.1", "tool_calls.0"),
    ]
)
scalars = st.sampled_from(["user", "assistant", "tool", "text", "x", "[", "{}", 1, True, None])


@given(
    st.dictionaries(st.tuples(st.sampled_from(["0", "1", "999999", "-1", "²", ""]), names), scalars)
)
def test_indexed_attributes_are_read_or_left(pieces: dict[tuple[str, str], Any]) -> None:
    for prefix in semconv.PREFIXES:
        attributes = {f"{prefix}{number}.{name}": value for (number, name), value in pieces.items()}
        told = indexed(attributes, list(attributes), prefix)
        item = one({"clew.kind": "model", **attributes})
        kept = set(attributes) & set(item.values["attributes"])
        if not told:
            assert kept == set(attributes)
        assert bool(told) == bool(item.given or item.said)


# --- hostile spans -------------------------------------------------------------------------


def test_hostile_names_and_values_do_nothing() -> None:
    dots = "llm.input_messages." + "." * 10_000
    attributes: dict[str, Any] = {
        "__proto__": {"polluted": True},
        "constructor.prototype": "x",
        dots: "x",
        "gen_ai.prompt.0." + "a." * 10_000: "x",
        "gen_ai.tool.name": "r\0m",
        "gen_ai.usage.input_tokens": float("nan"),
        "raw": b"\0\xff",
        "gen_ai.input.messages": "[" * 5000,
        ENVELOPE: "mine",
        "": "empty",
    }
    began = time.process_time()
    told = one({"gen_ai.operation.name": "chat", **attributes})
    assert time.process_time() - began < 1
    kept = told.values["attributes"]
    assert kept[dots] == "x"
    assert kept["__proto__"] == {"polluted": True}
    assert kept["raw"] == {"base64": "AP8="}
    assert kept["gen_ai.usage.input_tokens"] == "nan"
    assert isinstance(kept[ENVELOPE], dict)
    assert json.loads(msgspec.json.encode(told.values))
    assert one({"clew.kind": "tool", "gen_ai.tool.name": "r\0m"}).name == "r�m"


@given(st.dictionaries(
    st.sampled_from([row.attribute for row in semconv.TABLE] + ["metadata"]),
    st.one_of(
        scalars, st.floats(), st.binary(max_size=3), st.lists(scalars, max_size=2),
        st.dictionaries(st.sampled_from(["role", "content", "messages"]), scalars, max_size=2),
        st.sampled_from(['[{"role": "user", "parts": [{"type": "tool_call"}]}]', '"', "null"]),
    ),
    max_size=8,
))  # fmt: skip
def test_any_values_under_any_names_become_something_that_can_be_stored(
    attributes: dict[str, Any],
) -> None:
    told = one(attributes, events=[Event(0, "gen_ai.choice", attributes)])
    assert told.name
    json.loads(msgspec.json.encode(told.values))


# --- the way back --------------------------------------------------------------------------

SHARED: dict[str, Any] = {"session": "s1", "turn": 1, "ordinal": 1, "sequence": 1, "created_ms": 0}


def ours(told: Mapped, **more: Any) -> Span:
    """The span that a ledger would make of it."""
    values = dict(told.values)
    values["status"] = values.pop("outcome", "running")
    return Span(id=told.id, kind=told.kind, name=told.name, **{**SHARED, **values, **more})


def facts(told: Mapped) -> dict[str, Any]:
    return {"kind": told.kind, "name": told.name, **told.values, "attributes": None}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_what_came_in_goes_out_as_the_same_span_in_the_newest_names(name: str) -> None:
    came = trace_of(GOLDEN / f"{name}.json")
    told = mapped(came)
    went = written([ours(item) for item in told], conversation=told[0].conversation)
    assert [item.id for item in went] == [item.id for item in came]
    assert [item.parent for item in went] == [item.parent for item in came]
    assert [(i.name, i.start_ns, i.kind) for i in went] == [
        (i.name, i.start_ns, i.kind) for i in came
    ]
    assert [item.status_code for item in went] == [item.status_code for item in came]
    assert [[event.name for event in i.events] for i in went] == [
        [event.name for event in i.events] for i in came
    ]
    for form in (protobuf, jsonform):
        again = mapped(form.decode_request(form.encode_request(went)).spans)
        assert [facts(item) for item in again] == [facts(item) for item in told]
        assert {item.conversation for item in again} == {told[0].conversation}


def test_a_span_of_ours_gets_ids_that_stay_the_same() -> None:
    turn = Span(id="t1", kind="turn", name="turn", status="ok", started_us=1, **SHARED)
    tool = Span(
        id="c1", kind="tool", name="ls", status="ok", started_us=2, parent="t1", call_id="x",
        latency_ms=1.5, message=Position("s1", 3), input={"a": 1}, output="b", **SHARED,
    )  # fmt: skip
    later = Span(
        id="t2", kind="turn", name="turn", status="running", started_us=9, **{**SHARED, "turn": 2}
    )
    first, second, third = written([turn, tool, later])
    assert (first.trace_id, second.parent_id) == (second.trace_id, first.span_id)
    assert third.trace_id != first.trace_id
    assert [first, second, third] == written([turn, tool, later])
    assert (second.name, second.end_ns - second.start_ns) == ("execute_tool ls", 1_500_000)
    assert second.attributes["gen_ai.tool.call.arguments"] == '{"a":1}'
    assert second.attributes["gen_ai.conversation.id"] == "s1"
    assert second.scope.schema_url == semconv.SCHEMA_URL
    assert third.end_ns == 0
    request = protobuf.decode_request(protobuf.encode_request([first, second, third]))
    assert request.refused.message == ""


def test_a_model_call_of_ours_in_the_newest_names() -> None:
    call_ = Span(
        id="m1", kind="model", name="gpt-5", status="timeout", started_us=1, tokens_in=20,
        cache_read=100, cache_write=3, tokens_out=7, reasoning=2, provider="openai",
        model="gpt-5-x", first_token_ms=250.0, cost=0.1, tier="SIMPLE", error="too slow",
        finished_us=1001,
        input=[{"role": "user", "content": "hi"}],
        output={"role": "assistant", "content": None, "tool_calls": [call("c", "ls", "{}")]},
        **SHARED,
    )  # fmt: skip
    (went,) = written([call_])
    told = went.attributes
    assert (went.name, went.kind, went.status_code, went.status_message) == (
        "chat gpt-5",
        3,
        2,
        "too slow",
    )
    assert told["gen_ai.usage.input_tokens"] == 123
    assert told["gen_ai.usage.cache_write.input_tokens"] == 3
    assert told["gen_ai.response.time_to_first_chunk"] == 0.25
    assert told["clew.outcome"] == "timeout"
    assert told["clew.cost"] == 0.1
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "hi"}]}
    ]
    (again,) = mapped([went])
    assert again.said == [call_.output]
    assert again.given == call_.input
    expected = {"tokens_in": 20, "cache_read": 100, "outcome": "timeout", "tier": "SIMPLE"}
    assert {name: again.values[name] for name in expected} == expected


def test_no_nanosecond_is_lost() -> None:
    came = span({}, start_ns=T0_NS + 123_456_789, end_ns=T0_NS + 987_654_321)
    (went,) = written([ours(*mapped([came]))])
    assert (went.start_ns, went.end_ns) == (came.start_ns, came.end_ns)


def test_an_envelope_that_somebody_invented_does_no_harm() -> None:
    envelope = {
        "name": 5, "kind": "x", "status": -1, "scope": [], "events": [{"time_ns": 2**80}, 3],
        "links": [{"trace_id": "zz", "span_id": "1"}], "dropped": ["a", -1], "resource": [1],
        "ns": "x",
    }  # fmt: skip
    made = Span(
        id="x", kind="other", name="n", status="ok", started_us=1,
        attributes={ENVELOPE: envelope, "big": 2**70}, **SHARED,
    )  # fmt: skip
    for form in (protobuf, jsonform):
        (read_,) = form.decode_request(form.encode_request(written([made]))).spans
        assert (read_.name, read_.links, read_.events[0].time_ns) == ("n", [], 0)
        assert read_.attributes["big"] == str(2**70)


# --- aligning ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "told", "begin"),
    [
        ("", "abc", 0),
        ("ab", "abcd", 2),  # the usual next call
        ("abcd", "abcd", 4),  # sent again
        ("abcd", "ab", 2),  # an older call comes late
        ("abcdef", "Sefg", 3),  # the sender summarised the beginning
        ("abcdef", "cdefgh", 4),  # a window slides
        ("abcd", "xyz", None),  # another conversation
        ("abcd", "abx", None),  # another answer to the same question
        ("aba", "abab", 3),
        ("abab", "abababc", 4),
    ],
)
def test_what_is_new_in_a_conversation(history: str, told: str, begin: int | None) -> None:
    assert align.fresh([h.encode() for h in history], [t.encode() for t in told]) == begin


def test_how_a_message_is_written_does_not_count() -> None:
    same = [
        {"role": "assistant", "content": "a", "tool_calls": [call("c", "ls", '{"x": 1, "y": 2}')]},
        {"role": "assistant", "content": [{"type": "text", "text": " a "}],
         "reasoning_content": "hm", "tool_calls": [call("c", "ls", '{"y":2,"x":1}')]},
    ]  # fmt: skip
    other = {"role": "assistant", "content": "a", "tool_calls": [call("c", "ls", '{"x": 2}')]}
    marks = [align.fingerprint_of(chat) for chat in [*same, other]]
    assert marks[0] == marks[1] != marks[2]
