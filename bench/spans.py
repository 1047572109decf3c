"""Tracing: what `with turn.tool(...)` costs its caller, and what a durable start and end cost.

The caller's path is measured with the writes replaced by nothing, against the span of the
OpenTelemetry SDK (six attributes, batch processor, an exporter that does nothing) in the same
rounds. The writes themselves stand against bare inserts and updates of the same size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apsw
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import clew
from bench import ledgers
from bench.harness import Figure, Options, interleave
from clew.tracing import Turn

TITLE = "spans: a tool call with its start and its end"
OPS = 500
WRITES = 100
ROUNDS = 21
INPUT = {"path": "src/clew/tracing.py", "first": 1, "last": 80}
OUTPUT = "x" * 200
TABLE = """create table span (id text primary key, session int, name text, started int,
    ended int, outcome text, input blob, output blob)"""


class Nowhere(SpanExporter):
    """Takes spans and does nothing with them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    yield from callers_path()
    yield from durable(options)


def callers_path() -> Iterator[Figure]:
    """CPU of the calling thread beside the write."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=2_000_000))
    tracer = provider.get_tracer("bench")
    with clew.open("sqlite:///:memory:", search=False) as ledger:
        session = ledger.create()
        ledger._runs.key()
        turn = unwritten(session)

        def ours() -> None:
            for _ in range(OPS):
                with turn.tool("read_file", INPUT, call_id="call_1", effect="none") as call:
                    call.output = OUTPUT

        def theirs() -> None:
            for _ in range(OPS):
                with tracer.start_as_current_span("execute_tool read_file") as span:
                    span.set_attribute("gen_ai.operation.name", "execute_tool")
                    span.set_attribute("gen_ai.tool.name", "read_file")
                    span.set_attribute("gen_ai.tool.call.id", "call_1")
                    span.set_attribute("gen_ai.tool.type", "function")
                    span.set_attribute("gen_ai.tool.call.arguments", str(INPUT))
                    span.set_attribute("gen_ai.tool.call.result", OUTPUT)

        series = interleave({"ours": ours, "theirs": theirs}, rounds=ROUNDS, ops=OPS)
    provider.shutdown()
    yield series.figure("OpenTelemetry SDK, one span", "theirs")
    yield series.figure("with turn.tool(...), beside the write", "ours", "theirs", at_most=5.0)
    ratio = series.ratio("ours", "theirs")
    yield Figure(name="ours / theirs", value=ratio, unit="x", at_most=1.0)


def unwritten(session: clew.Session) -> Turn:
    """A turn whose calls do everything but write."""
    stored = session.start_span("tool", "read_file", outcome="ok")
    session._write = lambda unit: stored  # type: ignore[method-assign,assignment,return-value]
    return Turn(session, "turn", "turn", {})


def durable(options: Options) -> Iterator[Figure]:
    """Start and end, each its own commit, against an insert and an update, each its own."""
    for level in ("normal", "full"):
        raw = ledgers.apsw_table(options.scratch / f"raw-{level}.db", level)
        raw.execute(TABLE)
        path = options.scratch / f"spans-{level}.db"
        with ledgers.open_ledger(path, durability=level) as ledger:
            turn = Turn(ledger.create(), "turn", "turn", {})
            works = {"raw": inserter(raw), "clew": tracer(turn)}
            series = interleave(works, rounds=ROUNDS if level == "normal" else 5, ops=WRITES)
            assert ledger.trace_failures == 0
        raw.close()
        yield series.figure(f"raw insert + update, {level}", "raw")
        yield series.figure(f"start + end, {level}", "clew", "raw")


def inserter(connection: apsw.Connection) -> Callable[[], None]:
    """The least that a start and an end on disk cost."""
    numbers = iter(range(1 << 40))

    def work() -> None:
        for _ in range(WRITES):
            id = f"{next(numbers):032x}"
            connection.execute(
                "insert into span (id, session, name, started, input) values (?, 1, ?, 0, ?)",
                (id, "read_file", b"x" * 60),
            )
            connection.execute(
                "update span set ended = 1, outcome = 'ok', output = ? where id = ?",
                (OUTPUT.encode(), id),
            )

    return work


def tracer(turn: Any) -> Callable[[], None]:
    """The same as a tool call."""

    def work() -> None:
        for _ in range(WRITES):
            with turn.tool("read_file", INPUT, call_id="call_1", effect="none") as call:
                call.output = OUTPUT

    return work
