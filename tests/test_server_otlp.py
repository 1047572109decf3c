"""The OTLP receiver: what exporters send becomes sessions, turns and spans, and stays."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

import clew
from asgi_caller import Reply, ask, bearer
from clew import spans, telemetry
from clew.access import Scope
from clew.errors import Invalid, Unavailable
from clew.otlp import jsonform, protobuf, protobuf_writing
from clew.otlp.model import OtlpSpan, Resource
from clew.server.app import build
from clew.server.otlp import inflated
from clew.server.problems import Refused
from clew.server.settings import ServerSettings
from server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from clew.server.security import Guard

pytestmark = pytest.mark.inside

TRACE = "0af7651916cd43dd8448eb211c80319c"
T0_NS = 1_790_000_000_000_000_000
MS = 1_000_000
FORMS = [protobuf, jsonform]


def span(id: int, attributes: dict[str, Any], *, parent: int = 0, **more: Any) -> OtlpSpan:
    start = T0_NS + more.pop("at", id) * MS
    facts: dict[str, Any] = {"start_ns": start, "end_ns": start + 5 * MS, "name": f"n{id}"} | more
    above = f"{parent:016x}" if parent else ""
    facts.setdefault("trace_id", TRACE)
    return OtlpSpan(span_id=f"{id:016x}", parent_id=above, attributes=attributes, **facts)


def say(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def chat(id: int, given: list[Any], said: str, **more: Any) -> OtlpSpan:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.conversation.id": more.pop("conversation", "c1"),
        "gen_ai.input.messages": json.dumps(given),
        "gen_ai.output.messages": json.dumps([say("assistant", said)]),
        **more.pop("attributes", {}),
    }
    return span(id, attributes, **more)


def serve(
    ledger: clew.Ledger, task: Callable[[Guard], Coroutine[Any, Any, None]], **settings: Any
) -> None:
    async def whole() -> None:
        guard = build(ledger, ServerSettings(**settings))
        try:
            await asyncio.wait_for(task(guard), 60)
        finally:
            guard.close()

    asyncio.run(whole())


def posted(
    ledger: clew.Ledger,
    *bodies: bytes,
    headers: dict[str, str] | None = None,
    path: str = "/v1/traces",
    scopes: tuple[str, ...] = (Scope.TRACE_WRITE,),
    project: str | None = None,
    **settings: Any,
) -> list[Reply]:
    """Send bodies to one server, one after the other."""
    token = ledger.create_token("otel", scopes, project=project).token
    given = {**bearer(token), "content-type": "application/x-protobuf", **(headers or {})}
    replies: list[Reply] = []

    async def tell(guard: Guard) -> None:
        replies.extend([await ask(guard, path, "POST", given, body) for body in bodies])

    serve(ledger, tell, **settings)
    return replies


def sent(ledger: clew.Ledger, *batches: list[OtlpSpan], **more: Any) -> None:
    """Send batches; every span must be taken."""
    for reply in posted(ledger, *map(protobuf.encode_request, batches), **more):
        assert (reply.status, reply.body) == (200, b""), reply


def at(ledger: clew.Ledger, conversation: str = "c1", frontend: str = "otlp") -> clew.Session:
    return ledger.session(frontend=frontend, user=conversation)


def words(session: clew.Session) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in session.history()]


# --- with the real SDK ---------------------------------------------------------------------


def test_the_exporter_of_the_sdk_is_served(ledger: clew.Ledger) -> None:
    with serving(ledger) as there:
        exporter = OTLPSpanExporter(
            endpoint=f"{there.url}/v1/traces",
            headers={"authorization": f"Bearer {there.token}"},
            compression=Compression.Gzip,
        )
        provider = TracerProvider(resource=SdkResource.create({"service.name": "agent"}))
        processor = BatchSpanProcessor(exporter)
        provider.add_span_processor(processor)
        tracer = provider.get_tracer("agent-lib", "1.0")
        ask_ = [{"role": "user", "parts": [{"type": "text", "content": "Read a.txt"}]}]
        with tracer.start_as_current_span("invoke_agent coder") as agent:
            agent.set_attributes(
                {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "coder"}
            )
            with tracer.start_as_current_span("chat m") as model:
                model.set_attributes(
                    {
                        "gen_ai.operation.name": "chat",
                        "gen_ai.request.model": "m",
                        "gen_ai.conversation.id": "c1",
                        "gen_ai.usage.input_tokens": 10,
                        "gen_ai.usage.output_tokens": 2,
                        "gen_ai.input.messages": json.dumps(ask_),
                        "gen_ai.output.messages": json.dumps([say("assistant", "Reading.")]),
                    }
                )
            with tracer.start_as_current_span("execute_tool read") as tool:
                tool.set_attributes(
                    {
                        "gen_ai.operation.name": "execute_tool",
                        "gen_ai.tool.name": "read",
                        "gen_ai.tool.call.arguments": '{"path": "a.txt"}',
                    }
                )
                tool.set_status(Status(StatusCode.ERROR, "no such file"))
        assert provider.force_flush(10_000)
        provider.shutdown()
    session = at(ledger)
    assert session.info.agent == "coder"
    assert words(session) == [("user", "Read a.txt"), ("assistant", "Reading.")]
    found = {found.kind: session.span(found.id) for found in session.spans()}
    assert set(found) == {"agent", "model", "tool"}
    assert (found["tool"].outcome, found["tool"].error) == ("error", "no such file")
    assert found["tool"].input == {"path": "a.txt"}
    assert found["tool"].parent == found["agent"].id
    assert (found["model"].tokens_in, found["model"].turn) == (10, 1)
    assert {one.turn for one in found.values()} == {1}
    resource = found["agent"].attributes["clew.otlp"]["resource"]
    assert resource["service.name"] == "agent"


# --- the protocol --------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("more", ["", "; charset=utf-8"])
def test_both_encodings_are_answered_in_kind(ledger: clew.Ledger, form: Any, more: str) -> None:
    body = form.encode_request([span(1, {"session.id": "c1"})])
    (reply,) = posted(ledger, body, headers={"content-type": form.CONTENT_TYPE + more})
    assert (reply.status, reply.headers["content-type"]) == (200, form.CONTENT_TYPE)
    assert form.decode_answer(reply.body).rejected == 0
    assert [found.name for found in at(ledger).spans()] == ["n1"]


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_request_is_well(ledger: clew.Ledger, form: Any) -> None:
    headers = {"content-type": form.CONTENT_TYPE}
    for reply in posted(ledger, b"", form.encode_request([]), headers=headers):
        assert reply.status == 200
    packed = {**headers, "content-encoding": "gzip"}
    assert posted(ledger, gzip.compress(b""), headers=packed)[0].status == 200
    assert ledger.sessions() == []


BODY = protobuf.encode_request([span(1, {"session.id": "c1"})])


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY[:30]) + gzip.compress(BODY[30:])),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY)[2:-4]),
        ("identity", BODY),
    ],
)
def test_packed_bodies(ledger: clew.Ledger, encoding: str, body: bytes) -> None:
    (reply,) = posted(ledger, body, headers={"content-encoding": encoding})
    assert reply.status == 200
    assert len(at(ledger).spans()) == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "said"),
    [
        (b"\x0a\x05abc", {}, 400, 3, ""),
        (gzip.compress(BODY)[:-9], {"content-encoding": "gzip"}, 400, 3, "ends in the middle"),
        (b"no gzip", {"content-encoding": "gzip"}, 400, 3, "cannot be unpacked"),
        (BODY, {"content-encoding": "br"}, 415, 3, "gzip or deflate"),
        (b"\0" * 5000, {}, 413, 3, "1,000 bytes"),
        (gzip.compress(b"\0" * 5000), {"content-encoding": "gzip"}, 413, 3, "1,000 bytes"),
    ],
)
def test_what_is_wrong_is_a_status_in_the_encoding_of_the_request(
    form: Any, body: bytes, headers: dict[str, str], status: int, code: int, said: str
) -> None:
    with clew.open("sqlite:///:memory:") as ledger:
        given = {"content-type": form.CONTENT_TYPE, **headers}
        (reply,) = posted(ledger, body, headers=given, otlp_bytes_max=1000)
        assert (reply.status, reply.headers["content-type"]) == (status, form.CONTENT_TYPE)
        problem = form.decode_problem(reply.body)
        assert problem.code == code
        assert said in problem.message
        assert ledger.sessions() == []


def test_a_media_type_that_is_none_of_the_two(ledger: clew.Ledger) -> None:
    (reply,) = posted(ledger, BODY, headers={"content-type": "text/plain"})
    assert reply.status == 415
    assert "application/x-protobuf" in jsonform.decode_problem(reply.body).message


def test_what_is_packed_small_is_not_unpacked_large() -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    with pytest.raises(Refused, match="at most 1,048,576 bytes"):
        inflated(bomb, b"gzip", 1 << 20)
    assert len(bomb) < 1 << 17


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize("form", FORMS)
def test_other_signals_are_taken_and_not_kept(ledger: clew.Ledger, path: str, form: Any) -> None:
    (reply,) = posted(ledger, b"anything", path=path, headers={"content-type": form.CONTENT_TYPE})
    assert (reply.status, reply.headers["content-type"]) == (200, form.CONTENT_TYPE)
    assert ledger.sessions() == []


def test_logs_sent_as_traces_are_told_where_they_belong(ledger: clew.Ledger) -> None:
    record = protobuf_writing._block(0x12, protobuf_writing._block(0x12, b"\x09" + b"\1" * 8))
    (reply,) = posted(ledger, protobuf_writing._block(0x0A, record))
    assert reply.status == 400
    assert "/v1/logs" in protobuf.decode_problem(reply.body).message


@pytest.mark.parametrize("form", FORMS)
def test_a_bad_span_costs_no_neighbour(ledger: clew.Ledger, form: Any) -> None:
    batch = [
        span(1, {"session.id": "c1"}),
        OtlpSpan("ab", "cd", start_ns=1),
        span(2, {"session.id": "x" * 2000}),
        span(3, {"session.id": "c1"}),
    ]
    headers = {"content-type": form.CONTENT_TYPE}
    (reply,) = posted(ledger, form.encode_request(batch), headers=headers)
    answer = form.decode_answer(reply.body)
    assert (reply.status, answer.rejected) == (200, 2)
    assert "trace_id has 1 bytes" in answer.message
    assert "conversation's name has 2,000 characters" in answer.message
    assert [found.name for found in at(ledger).spans()] == ["n1", "n3"]


def test_spans_beside_a_name_that_is_too_long_go_to_their_trace(ledger: clew.Ledger) -> None:
    batch = [span(1, {"session.id": "x" * 100_000}), span(2, {}, parent=1), span(3, {})]
    (reply,) = posted(ledger, protobuf.encode_request(batch))
    answer = protobuf.decode_answer(reply.body)
    assert answer.rejected == 1
    assert answer.message.startswith(f"span {1:016x}: the conversation's name has 100,000")
    assert [found.name for found in at(ledger, TRACE, "otlp-trace").spans()] == ["n2", "n3"]


def test_what_was_odd_stands_beside_the_span(ledger: clew.Ledger) -> None:
    body = json.loads(jsonform.encode_request([span(1, {"session.id": "c1", "n": 1})]))
    (one,) = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    one |= {"kind": "zz", "status": {"code": 1.5}}
    one["attributes"][1]["value"] = {"zz": 1}
    headers = {"content-type": "application/json"}
    (reply,) = posted(ledger, json.dumps(body).encode(), headers=headers)
    assert (reply.status, json.loads(reply.body)) == (200, {})
    (listed,) = at(ledger).spans()
    kept = at(ledger).span(listed.id).attributes
    assert kept["n"] == {"zz": 1}
    assert kept["clew.otlp"]["odd"] == [
        'kind is no whole number: "zz"',
        "n: no kind of value is called zz",
        "code is no whole number: 1.5",
    ]


def test_a_span_that_only_the_ledger_refuses_costs_no_neighbour(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = spans.insert

    def picky(tx: Any, head: Any, drafts: Any, owner: Any, priced: Any) -> Any:
        if any(draft.name == "n2" for draft in drafts):
            raise Invalid("not this one")
        return insert(tx, head, drafts, owner, priced)

    monkeypatch.setattr(spans, "insert", picky)
    batch = [span(number, {"session.id": "c1"}) for number in (1, 2, 3)]
    (reply,) = posted(ledger, protobuf.encode_request(batch))
    answer = protobuf.decode_answer(reply.body)
    assert (answer.rejected, answer.message) == (1, f"span {2:016x}: not this one")
    assert sorted(found.name for found in at(ledger).spans()) == ["n1", "n3"]


def test_a_database_that_is_away_says_when_to_come_back(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("busy")

    monkeypatch.setattr(spans, "insert", away)
    (reply,) = posted(ledger, BODY)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert protobuf.decode_problem(reply.body).code == 14


def test_it_takes_the_scope_trace_write(ledger: clew.Ledger) -> None:
    others = tuple(set(Scope) - {Scope.TRACE_WRITE})
    assert posted(ledger, BODY, scopes=others)[0].status == 403


# --- nothing twice, nothing lost -----------------------------------------------------------


def test_sending_again_changes_nothing(ledger: clew.Ledger) -> None:
    batch = [chat(1, [say("user", "hi")], "hello"), span(2, {"session.id": "c1"})]
    sent(ledger, batch)
    before = (at(ledger).spans(), words(at(ledger)), at(ledger).head)
    sent(ledger, batch, batch)
    assert (at(ledger).spans(), words(at(ledger)), at(ledger).head) == before


def test_a_span_twice_in_one_request_is_one_span(ledger: clew.Ledger) -> None:
    one = span(1, {"session.id": "c1"})
    sent(ledger, [one, one])
    assert len(at(ledger).spans()) == 1


def test_a_fuller_version_ends_a_span_that_ran(ledger: clew.Ledger) -> None:
    running = span(1, {"session.id": "c1"}, end_ns=0)
    whole = span(1, {"session.id": "c1", "more": 1}, status_code=2, status_message="bad")
    sent(ledger, [running])
    (found,) = at(ledger).spans()
    assert found.status == "running"
    sent(ledger, [whole])
    (found,) = at(ledger).spans()
    assert (found.status, found.error, found.latency_ms) == ("error", "bad", 5.0)
    assert at(ledger).span(found.id).attributes["more"] == 1


def test_a_span_ends_where_it_began(ledger: clew.Ledger) -> None:
    """The conversation is known only later: the span stays in the session of its trace."""
    sent(ledger, [span(1, {}, end_ns=0)])
    sent(ledger, [span(1, {"session.id": "c1"}), span(2, {"session.id": "c1"})])
    (began,) = at(ledger, TRACE, "otlp-trace").spans()
    assert (began.name, began.status) == ("n1", "ok")
    assert [found.name for found in at(ledger).spans()] == ["n2"]


def test_concurrent_requests_for_one_session(ledger: clew.Ledger) -> None:
    token = ledger.create_token("otel", [Scope.TRACE_WRITE]).token
    headers = {**bearer(token), "content-type": "application/x-protobuf"}
    bodies = [
        protobuf.encode_request([span(n, {"session.id": "c1"}) for n in range(low, low + 20)])
        for low in range(1, 400, 20)
    ]

    async def tell(guard: Guard) -> None:
        replies = await asyncio.gather(
            *(ask(guard, "/v1/traces", "POST", headers, body) for body in bodies)
        )
        assert {(reply.status, reply.body) for reply in replies} == {(200, b"")}

    serve(ledger, tell)
    assert sorted(int(found.name[1:]) for found in at(ledger).spans()) == list(range(1, 401))


# --- which session -------------------------------------------------------------------------


def test_a_trace_without_a_conversation_is_a_session(ledger: clew.Ledger) -> None:
    other = "1" * 32
    sent(ledger, [span(1, {}), span(2, {}, parent=1), span(3, {}, trace_id=other)])
    assert len(at(ledger, TRACE, "otlp-trace").spans()) == 2
    assert len(at(ledger, other, "otlp-trace").spans()) == 1


def test_later_spans_of_a_trace_go_where_the_first_went(ledger: clew.Ledger) -> None:
    sent(ledger, [span(2, {"session.id": "c1"}, parent=1)], [span(1, {})])
    assert [found.name for found in at(ledger).spans()] == ["n2", "n1"]
    sent(ledger, [span(9, {}, parent=2)])  # another server, that has to look
    assert [found.name for found in at(ledger).spans()] == ["n2", "n1", "n9"]


def test_a_conversation_that_is_a_session_of_ours_gets_spans_and_no_messages(
    ledger: clew.Ledger,
) -> None:
    session = ledger.create()
    session.append(say("user", "mine"))
    sent(ledger, [chat(1, [say("user", "theirs")], "no", conversation=session.id)])
    assert words(session) == [("user", "mine")]
    (found,) = session.spans()
    assert session.span(found.id).input == [say("user", "theirs")]


def test_a_token_of_one_project_writes_there(ledger: clew.Ledger) -> None:
    foreign = ledger.create(project="theirs")
    batch = [span(1, {"session.id": "c1"}), span(2, {"session.id": foreign.id})]
    sent(ledger, batch, project="ours")
    assert foreign.spans() == []
    assert {info.user for info in ledger.sessions(project="ours")} == {"c1", foreign.id}


def test_an_erased_session_takes_nothing_more(ledger: clew.Ledger) -> None:
    sent(ledger, [span(1, {"session.id": "c1"})])
    ledger.erase(at(ledger).id)
    (reply,) = posted(
        ledger,
        protobuf.encode_request([span(2, {"session.id": "c1"}), span(3, {"session.id": "d"})]),
    )
    answer = protobuf.decode_answer(reply.body)
    if answer.rejected:
        assert "erased" in answer.message
    assert [found.name for found in at(ledger, "d").spans()] == ["n3"]


def test_many_new_sessions_in_one_request_are_one_commit(ledger: clew.Ledger) -> None:
    audit = len(ledger.audit(limit=10_000))
    commits = []
    submit = ledger._run

    def counted(unit: Any, order: int) -> Any:
        commits.append(order)
        return submit(unit, order)

    batch = [span(n, {"session.id": f"c{n}"}) for n in range(1, 101)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clew.Ledger, "_run", lambda _self, unit, order: counted(unit, order))
        sent(ledger, batch)
    assert len(ledger.sessions(limit=1000)) == 100
    assert len(ledger.audit(limit=10_000)) >= audit + 100
    assert len([order for order in commits if order == 0]) <= 2, "the token's, and one for all"


def test_a_handle_that_was_evicted_is_found_again(ledger: clew.Ledger) -> None:
    token = ledger.create_token("otel", [Scope.TRACE_WRITE]).token
    headers = {**bearer(token), "content-type": "application/x-protobuf"}

    async def tell(guard: Guard) -> None:
        for number in (1, 2):
            body = protobuf.encode_request([span(number, {"session.id": "c1"})])
            reply = await ask(guard, "/v1/traces", "POST", headers, body)
            assert (reply.status, reply.body) == (200, b"")
            server = guard._app
            for handles in server._callers.values():  # type: ignore[attr-defined]
                handles.ledger.evict([at(ledger).id])

    serve(ledger, tell)
    assert len(at(ledger).spans()) == 2


# --- messages ------------------------------------------------------------------------------

SYSTEM = say("system", "Be brief.")


def test_messages_are_appended_as_far_as_they_are_new(ledger: clew.Ledger) -> None:
    first = [SYSTEM, say("user", "one")]
    second = [*first, say("assistant", "1"), say("user", "two")]
    third = [*second, say("assistant", "2"), say("user", "three")]
    sent(ledger, [chat(1, first, "1")], [chat(2, second, "2"), chat(3, third, "3")])
    session = at(ledger)
    assert words(session) == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "1"),
        ("user", "two"),
        ("assistant", "2"),
        ("user", "three"),
        ("assistant", "3"),
    ]
    found = session.spans()
    assert [one.turn for one in found] == [1, 2, 3]
    for one, text in zip(found, "123", strict=True):
        assert one.message is not None
        assert session.entry(one.message).data == say("assistant", text)


def test_the_input_of_a_call_is_kept_once(ledger: clew.Ledger) -> None:
    history: list[Any] = [SYSTEM]
    batches = []
    for number in range(1, 13):
        history.append(say("user", f"{number} " + "x" * 500))
        batches.append([chat(number, list(history), "y" * 500)])
        history.append(say("assistant", "y" * 500))
    sent(ledger, *batches)
    session = at(ledger)
    sizes = [found.input_bytes for found in session.spans()]
    assert all(size is not None and size < 200 for size in sizes)
    last = session.span(session.spans()[-1].id)
    assert last.input == [{"entries": f"{session.id}:1-24"}]
    assert telemetry.resolved(session, last.input) == history[:-1]
    later = chat(99, [SYSTEM, say("user", "other"), *history[1:3]], "z")
    sent(ledger, [later])
    diverged = session.span(session.spans()[-1].id).input
    assert diverged[1] == say("user", "other")
    assert telemetry.resolved(session, diverged) == [SYSTEM, say("user", "other"), *history[1:3]]


def test_what_names_entries_that_are_not_there_stays_as_it_is(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(say("user", "a"))
    for text in (f"{session.id}:1-2", f"{session.id}:2-1", "0" * 32 + ":1-1", "x", "1:1-1"):
        body = [{"entries": text}, "b"]
        assert telemetry.resolved(session, body) == body
    others: list[Any] = [[], "a", None, {"entries": f"{session.id}:1-1"}]
    for other in others:
        assert telemetry.resolved(session, other) == other
    assert telemetry.resolved(session, [{"entries": f"{session.id}:1-1"}]) == [say("user", "a")]


def test_another_conversation_in_the_same_session_stays_in_its_span(ledger: clew.Ledger) -> None:
    sub = [say("user", "Make a title")]
    sent(ledger, [chat(1, [say("user", "hi")], "hello")], [chat(2, sub, "Greeting")])
    session = at(ledger)
    assert words(session) == [("user", "hi"), ("assistant", "hello")]
    found = session.spans()[1]
    assert (found.message, session.span(found.id).input) == (None, sub)


def test_a_summarised_beginning_is_followed(ledger: clew.Ledger) -> None:
    long = [say("user", "a"), say("assistant", "b"), say("user", "c")]
    short = [say("user", "so far: a, b"), say("user", "c"), say("assistant", "d"), say("user", "e")]
    sent(ledger, [chat(1, long, "d")], [chat(2, short, "f")])
    assert [text for _, text in words(at(ledger))] == ["a", "b", "c", "d", "e", "f"]


def test_a_call_that_builds_on_an_answer_kept_by_the_provider(ledger: clew.Ledger) -> None:
    more = {"gen_ai.request.previous_response.id": "r1"}
    later = chat(2, [say("user", "b")], "2", attributes=more)
    sent(ledger, [chat(1, [say("user", "a")], "1")], [later])
    assert [text for _, text in words(at(ledger))] == ["a", "1", "b", "2"]


def test_an_agent_is_heard_only_where_its_calls_are_silent(ledger: clew.Ledger) -> None:
    def agent(id: int, text: str, said: str, **more: Any) -> OtlpSpan:
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "coder",
            "gen_ai.conversation.id": more.pop("conversation"),
            "gen_ai.input.messages": json.dumps([say("user", text)]),
            "gen_ai.output.messages": json.dumps([say("assistant", said)]),
        }
        return span(id, attributes, **more)

    sent(
        ledger,
        [
            chat(2, [say("user", "hi")], "hello", parent=1),
            agent(1, "hi", "hello", conversation="c1"),
            agent(3, "hi", "hello", conversation="silent"),
            agent(4, "sub", "agent", conversation="silent", parent=3),
            agent(5, "bye", "ciao", conversation="silent"),
        ],
    )
    assert words(at(ledger)) == [("user", "hi"), ("assistant", "hello")]
    assert [text for _, text in words(at(ledger, "silent"))] == ["hi", "hello", "bye", "ciao"]
    assert at(ledger).info.agent == "coder"


def test_spans_belong_to_the_turn_in_which_they_began(ledger: clew.Ledger) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.conversation.id": "c1"}
    second = [say("user", "one"), say("assistant", "1"), say("user", "two")]
    other = "2" * 32
    sent(
        ledger,
        [
            span(1, {"gen_ai.operation.name": "invoke_agent", "session.id": "c1"}, at=0),
            chat(2, second[:1], "1", at=10),
            span(3, tool, at=20),
            span(4, {"session.id": "c1"}, at=30, trace_id=other),
            chat(5, second, "2", at=40, trace_id=other),
            span(6, tool, at=50, trace_id=other),
        ],
    )
    turns = {int(found.id[32:], 16): found.turn for found in at(ledger).spans()}
    assert turns == {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2}


def test_a_lease_and_an_archive_keep_messages_out_and_spans_in(ledger: clew.Ledger) -> None:
    sent(ledger, [chat(1, [say("user", "a")], "b")])
    session = at(ledger)
    with session.lease("somebody"):
        sent(ledger, [chat(2, [say("user", "a"), say("assistant", "b"), say("user", "c")], "d")])
    assert len(words(session)) == 2
    assert len(session.spans()) == 2
    ledger.archive(session.id)
    sent(ledger, [chat(3, [say("user", "a"), say("assistant", "b"), say("user", "e")], "f")])
    assert len(session.spans()) == 3
    ledger.archive(session.id, False)
    sent(ledger, [chat(4, [say("user", "a"), say("assistant", "b"), say("user", "g")], "h")])
    assert [text for _, text in words(session)] == ["a", "b", "g", "h"]


def test_messages_that_others_append_are_seen(ledger: clew.Ledger) -> None:
    """What is kept of a history holds only as long as nobody else writes."""
    token = ledger.create_token("otel", [Scope.TRACE_WRITE]).token
    headers = {**bearer(token), "content-type": "application/x-protobuf"}

    async def tell(guard: Guard) -> None:
        for number, given in (
            (1, [say("user", "a")]),
            (2, [say("user", "a"), say("assistant", "b"), say("user", "own"), say("user", "c")]),
        ):
            body = protobuf.encode_request([chat(number, given, "b" if number == 1 else "d")])
            assert (await ask(guard, "/v1/traces", "POST", headers, body)).body == b""
            if number == 1:
                await asyncio.to_thread(at(ledger).append, say("user", "own"))

    serve(ledger, tell)
    assert [text for _, text in words(at(ledger))] == ["a", "b", "own", "c", "d"]


# --- on the way out ------------------------------------------------------------------------


def test_a_session_goes_out_as_it_came_in(ledger: clew.Ledger) -> None:
    resource = Resource({"service.name": "agent"})
    history = [SYSTEM, say("user", "one")]
    came = [
        span(1, {"gen_ai.operation.name": "invoke_agent", "my.own": [1, 2]}, resource=resource),
        chat(2, history, "1", parent=1),
        chat(3, [*history, say("assistant", "1"), say("user", "two")], "2", parent=1),
    ]
    sent(ledger, came)
    session = at(ledger)
    with serving(ledger) as there, there.client() as client:
        went: list[OtlpSpan] = []
        cursor = None
        for _ in range(3):
            query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
            reply = client.get(f"/api/v1/sessions/{session.id}/traces/otlp", params=query)
            assert reply.status_code == 200
            went += jsonform.decode_request(reply.content).spans
            cursor = reply.headers.get("clew-next")
        assert cursor is None
        headers = {"content-type": jsonform.CONTENT_TYPE}
        body = jsonform.encode_request(went)
        again = client.post("/v1/traces", content=body, headers=headers)
        assert again.json() == {}
    by_id = {found.id: found for found in went}
    assert set(by_id) == {found.id for found in came}
    for theirs in came:
        ours = by_id[theirs.id]
        assert (ours.parent, ours.start_ns, ours.end_ns) == (
            theirs.parent,
            theirs.start_ns,
            theirs.end_ns,
        )
        assert ours.attributes["gen_ai.conversation.id"] == "c1"
    assert by_id[came[0].id].attributes["my.own"] == [1, 2]
    assert by_id[came[0].id].resource == resource
    told = json.loads(by_id[came[2].id].attributes["gen_ai.input.messages"])
    assert [part["content"] for item in told for part in item["parts"]] == [
        "Be brief.", "one", "1", "two",
    ]  # fmt: skip
    assert len(session.spans()) == 3
