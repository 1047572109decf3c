"""OTLP: spans from an exporter until they are on disk, against the least that could be done.

512 spans of about 1.4 KB a request, protobuf, gzip, every one new. The floor is one thread that
unpacks, reads and inserts the same bytes with one commit a request and no server around it.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import httpx
import msgspec

from bench import corpus
from bench.harness import Figure, Options, interleave
from bench.serving import served
from clew.otlp import jsonform, mapping, protobuf
from clew.otlp.model import OtlpSpan, Resource, Scope
from clew.telemetry import Reports

TITLE = "otlp: durable spans, durability full"
BATCH = 512
REQUESTS = 40
CONNECTIONS = (1, 4)
ROUNDS = 11
CALLS = 100
T0_NS = 1_790_000_000_000_000_000
RESOURCE = Resource({"service.name": "agent", "service.version": "1.2", "host.name": "box"})
SCOPE = Scope("agent-lib", "1.0")


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    rng = random.Random(11)
    yield from by_step(batch(rng))
    yield from durable(options, rng)
    yield from conversation(options, rng)


# --- spans as an agent makes them ----------------------------------------------------------


def batch(rng: random.Random) -> list[OtlpSpan]:
    """Eight agents' runs of 64 spans each: model and tool calls below a root."""
    spans: list[OtlpSpan] = []
    for _ in range(BATCH // 64):
        trace, root = rng.randbytes(16).hex(), rng.randbytes(8).hex()
        conversation = rng.randbytes(8).hex()
        spans += [_call(rng, number, trace, root, conversation) for number in range(63)]
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "coder",
            "gen_ai.conversation.id": conversation,
        }
        spans.append(_span(rng, "invoke_agent coder", trace, root, "", attributes))
    return spans


def _call(rng: random.Random, number: int, trace: str, root: str, conversation: str) -> OtlpSpan:
    attributes: dict[str, Any] = {"gen_ai.conversation.id": conversation}
    if number % 2:
        name = "execute_tool read_file"
        attributes |= {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "read_file",
            "gen_ai.tool.call.id": f"call_{rng.randrange(2**40)}",
            "gen_ai.tool.call.arguments": json.dumps({"path": f"src/{rng.randrange(999)}.py"}),
            "gen_ai.tool.call.result": corpus.text(rng, 1000),
        }
    else:
        name = "chat model-a"
        attributes |= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "acme",
            "gen_ai.request.model": "model-a",
            "gen_ai.response.model": "model-a-2026",
            "gen_ai.response.id": f"resp_{rng.randrange(2**40)}",
            "gen_ai.response.finish_reasons": ["tool_call"],
            "gen_ai.response.time_to_first_chunk": rng.random(),
            "gen_ai.usage.input_tokens": rng.randrange(20_000, 40_000),
            "gen_ai.usage.output_tokens": rng.randrange(3_000),
            "gen_ai.usage.cache_read.input_tokens": rng.randrange(20_000),
            "app.note": corpus.text(rng, 800),
        }
    return _span(rng, name, trace, rng.randbytes(8).hex(), root, attributes)


def _span(
    rng: random.Random, name: str, trace: str, id: str, parent: str, attributes: dict[str, Any]
) -> OtlpSpan:
    start = T0_NS + rng.randrange(10**12)
    return OtlpSpan(
        trace, id, name, parent, 1, start, start + rng.randrange(10**9), attributes,
        scope=SCOPE, resource=RESOURCE,
    )  # fmt: skip


# --- CPU, step by step ---------------------------------------------------------------------


def by_step(spans: Sequence[OtlpSpan]) -> Iterator[Figure]:
    """What a span costs before it reaches the ledger."""
    raw, text = protobuf.encode_request(spans), jsonform.encode_request(spans)
    packed = gzip.compress(raw, 6)
    read = protobuf.decode_request(raw).spans
    told = mapping.mapped(read)
    works = {
        "gunzip": lambda: gzip.decompress(packed),
        "protobuf": lambda: protobuf.decode_request(raw),
        "json": lambda: jsonform.decode_request(text),
        "json.loads": lambda: json.loads(text),
        "map": lambda: mapping.mapped(read),
        "draft": lambda: [*map(Reports().of, told)],
    }
    series = interleave(works, rounds=ROUNDS, ops=len(spans))
    yield Figure(name="bytes a span, protobuf", value=len(raw) / len(spans), unit="B")
    yield series.figure("unpack a span", "gunzip", "json.loads")
    yield series.figure("read a span, protobuf", "protobuf", "json.loads", at_most=25.0)
    yield series.figure("read a span, JSON", "json", "json.loads")
    yield series.figure("say what it means", "map", "json.loads")
    yield series.figure("make its draft", "draft", "json.loads")


# --- the whole path ------------------------------------------------------------------------


def durable(options: Options, rng: random.Random) -> Iterator[Figure]:
    """Spans a second that are acknowledged, and so on disk."""
    db = options.scratch / "otlp.db"
    with served(db) as (process, client, _):
        send(client, [_packed(rng) for _ in range(4)], 1)
        for connections in CONNECTIONS:
            bodies = [_packed(rng) for _ in range(REQUESTS)]
            floor = raw_floor(options.scratch / f"floor{connections}.db", bodies)
            before = cpu_seconds(process.pid)
            took = send(client, bodies, connections)
            count = REQUESTS * BATCH
            cpu = (cpu_seconds(process.pid) - before) / count
            goal: dict[str, float] = {"at_least": 5000.0} if connections > 1 else {}
            yield msgspec.convert(
                {
                    "name": f"acknowledged spans, {connections} connection(s)",
                    "value": count / took,
                    "unit": "/s",
                    "ratio": (count / took) / floor,
                    "note": f"of the floor's {floor:,.0f}/s",
                    **goal,
                },
                Figure,
            )
            yield Figure(name="CPU of the server a span", value=cpu * 1e6, unit="us", cpu=cpu)

    sent = (4 + REQUESTS * len(CONNECTIONS)) * BATCH
    yield Figure(name="stored a span", value=db.stat().st_size / sent, unit="B")


def _packed(rng: random.Random) -> bytes:
    return gzip.compress(protobuf.encode_request(batch(rng)), 6)


def send(client: httpx.Client, bodies: Sequence[bytes], connections: int) -> float:
    """Seconds until the last body is acknowledged."""
    waiting = iter(bodies)
    lock = threading.Lock()
    headers = {
        "authorization": client.headers["authorization"],
        "content-type": protobuf.CONTENT_TYPE,
        "content-encoding": "gzip",
    }
    failed: list[str] = []

    def work() -> None:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            while True:
                with lock:
                    body = next(waiting, None)
                if body is None:
                    return
                reply = own.post("/v1/traces", content=body, headers=headers)
                if reply.status_code != 200 or reply.content:
                    failed.append(f"{reply.status_code} {reply.content!r}")

    threads = [threading.Thread(target=work) for _ in range(connections)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    assert not failed, failed[0]
    return took


def raw_floor(path: Path, bodies: Sequence[bytes]) -> float:
    """Spans a second of one thread that does the least: unpack, read, insert, commit."""
    connection = apsw.Connection(str(path))
    connection.execute("pragma journal_mode=wal; pragma synchronous=full")
    connection.execute("create table span (id text primary key, name text, start int, body blob)")
    started = time.perf_counter()
    count = 0
    for body in bodies:
        spans = protobuf.decode_request(gzip.decompress(body)).spans
        rows = [
            (span.id, span.name, span.start_ns, msgspec.json.encode(span.attributes))
            for span in spans
        ]
        with connection:
            connection.executemany("insert or ignore into span values (?, ?, ?, ?)", rows)
        count += len(rows)
    took = time.perf_counter() - started
    connection.close()
    return count / took


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- a conversation ------------------------------------------------------------------------


def conversation(options: Options, rng: random.Random) -> Iterator[Figure]:
    """A hundred model calls, each with all that was said before it."""
    history: list[dict[str, Any]] = []
    bodies, plain = [], 0
    trace = rng.randbytes(16).hex()
    for _ in range(CALLS):
        history.append({"role": "user", "content": corpus.text(rng, 2000)})
        said = {"role": "assistant", "content": corpus.text(rng, 800)}
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "model-a",
            "gen_ai.conversation.id": "long",
            "gen_ai.input.messages": json.dumps(history),
            "gen_ai.output.messages": json.dumps([said]),
        }
        history.append(said)
        span = _span(rng, "chat model-a", trace, rng.randbytes(8).hex(), "", attributes)
        raw = protobuf.encode_request([span])
        plain += len(raw)
        bodies.append(gzip.compress(raw, 6))
    db = options.scratch / "conversation.db"
    with served(db) as (process, client, _):
        before = cpu_seconds(process.pid)
        took = send(client, bodies, 1)
        cpu = (cpu_seconds(process.pid) - before) / CALLS
        yield Figure(name="a call with its history", value=took / CALLS * 1e3, unit="ms", cpu=cpu)
    yield Figure(
        name=f"sent / stored, {CALLS} such calls",
        value=plain / db.stat().st_size,
        unit="x",
        note=f"{plain / 1e6:.1f} MB sent",
    )
