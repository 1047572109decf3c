"""The three lines around a tool: they record everything, and never stand in its way."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import math
import subprocess
import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest

import clew
import clew.aio
from clew import owners
from clew.tracing import LOST
from contract.talk import behind, bot, call, user

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from clew.tracing import Call


def awaited(test: Callable[..., Any]) -> Callable[..., None]:
    """Run an asynchronous test."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@pytest.fixture
def trace() -> Iterator[clew.Session]:
    """A session in memory; its ledger is verified when the test is over."""
    with clew.open("sqlite:///:memory:", search=False) as ledger:
        yield ledger.create()
        if ledger._database.writable and not ledger._database._closed:  # type: ignore[attr-defined]
            report = ledger.verify()
            assert report.ok, report.problems


def tree(session: clew.Session) -> dict[str, str | None]:
    """Each span's name with that of its parent."""
    found = session.spans()
    known = {span.id: span.name for span in found}
    return {span.name: known.get(span.parent or "") for span in found}


def one(session: clew.Session) -> clew.Span:
    """The only span, with its bodies."""
    (span,) = session.spans()
    return session.span(span.id)


# --- the block ---------------------------------------------------------------------------


def test_a_turn_with_a_tool_and_a_model_call(ledger: clew.Ledger) -> None:
    session = ledger.create()
    with session.turn(user("read it"), chat="c") as turn:
        with turn.model("claude-sonnet-4-5", provider="anthropic", complexity=60) as model:
            model.first_token()
            model.usage(input=10, output=5, cache_read=3, cache_write=2, reasoning=1)
        with turn.tool("read", {"path": "a"}, call_id="t1", effect="none", batch="b") as call:
            assert session.span(call.id).status == "running"
            call.output = ["line"]
            call.set(tokens_used=7)
        with turn.agent("scout", {"task": "x"}) as scout, scout.command("make", ["all"]) as make:
            make.output = 0
    assert said_by(session) == ["read it"]
    assert tree(session) == {
        "turn": None,
        "claude-sonnet-4-5": "turn",
        "read": "turn",
        "scout": "turn",
        "make": "scout",
    }
    spans = {span.name: session.span(span.id) for span in session.spans()}
    assert {span.outcome for span in spans.values()} == {"ok"}
    assert {span.chat for span in spans.values()} == {"c"}
    assert {span.turn for span in spans.values()} == {1}
    assert [span.kind for span in session.spans()] == ["turn", "model", "tool", "agent", "command"]
    read, model_call = spans["read"], spans["claude-sonnet-4-5"]
    assert (read.input, read.output, read.call_id) == ({"path": "a"}, ["line"], "t1")
    assert (read.effect, read.batch, read.tokens_used) == ("none", "b", 7)
    assert read.latency_ms is not None
    assert read.finished_us is not None
    assert (model_call.tokens_in, model_call.cache_write, model_call.tier) == (10, 2, "COMPLEX")
    assert model_call.cost is not None
    assert model_call.first_token_ms is not None
    assert ledger.stats().spans_lost == 0


def said_by(session: clew.Session) -> list[str]:
    """The words of the history."""
    return [message.text for message in session.history()]


@awaited
async def test_under_await(url: str) -> None:
    async with await clew.aio.open(url) as ledger:
        session = await ledger.create()
        async with (
            session.turn(user("go")) as turn,
            turn.tool("read", {"path": "a"}) as call,
        ):
            assert (await session.span(call.id)).status == "running"
            call.output = "text"
        spans = await session.spans()
        assert [(span.name, span.outcome, span.turn) for span in spans] == [
            ("turn", "ok", 1),
            ("read", "ok", 1),
        ]
        assert (await session.span(call.id)).output == "text"
        assert (await ledger.verify()).ok


def test_what_the_block_changes_is_not_its_input(trace: clew.Session) -> None:
    told = {"path": "before"}
    with trace.turn() as turn, turn.tool("x", told):
        told["path"] = "after"
    assert trace.span(trace.spans()[1].id).input == {"path": "before"}


def test_a_provider_s_answer_tells_tokens_and_model(trace: clew.Session) -> None:
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "hi"}],
        "usage": {"input_tokens": 12, "output_tokens": 3, "cache_read_input_tokens": 4},
    }

    class Answer:
        """What an SDK gives."""

        def model_dump(self, mode: str) -> Any:
            return answer

    for response in (answer, Answer()):
        with trace.turn() as turn, turn.model("asked") as call:
            call.read(response)
        span = trace.span(call.id)
        assert (span.tokens_in, span.tokens_out, span.cache_read) == (12, 3, 4)
        assert (span.response_id, span.model) == ("msg_1", "claude-sonnet-4-5")
    with trace.turn() as turn, turn.model("asked") as call:
        call.read("no answer")
    assert trace.span(call.id).tokens_in is None


# --- nesting -----------------------------------------------------------------------------


@awaited
async def test_tasks_nest_by_themselves(trace: clew.Session) -> None:
    async def work(turn: Any, name: str) -> None:
        async with turn.tool(name):
            await asyncio.sleep(0)
            async with turn.tool(f"{name} inner"):
                await asyncio.sleep(0)

    async with trace.turn() as turn:
        await asyncio.gather(*(work(turn, name) for name in "abc"))
    assert tree(trace) == {
        "turn": None,
        **dict.fromkeys("abc", "turn"),
        **{f"{name} inner": name for name in "abc"},
    }


@awaited
async def test_threads_nest_under_the_turn_that_they_are_given(trace: clew.Session) -> None:
    def work(turn: Any, name: str) -> None:
        with turn.tool(name):
            pass

    async with trace.turn() as turn:
        await asyncio.to_thread(work, turn, "to_thread")
        with_context = threading.Thread(target=copy_context().run, args=(work, turn, "copied"))
        alone = threading.Thread(target=work, args=(turn, "alone"))
        for thread in (with_context, alone):
            thread.start()
            thread.join()
    assert tree(trace) == {"turn": None, "to_thread": "turn", "copied": "turn", "alone": "turn"}


def test_a_sub_agent_in_a_session_of_its_own_hangs_under_its_caller(trace: clew.Session) -> None:
    other = trace._ledger.create(spawned_by=trace.id)
    with trace.turn() as turn, turn.tool("task") as task, other.turn() as inner:
        pass
    assert other.span(inner.id).parent == task.id


def test_after_the_block_nothing_hangs_under_it(trace: clew.Session) -> None:
    with trace.turn(name="one"):
        pass
    with pytest.raises(ValueError, match="x"), trace.turn(name="two"):
        raise ValueError("x")
    with trace.turn(name="three"):
        pass
    assert tree(trace) == {"one": None, "two": None, "three": None}


@awaited
async def test_a_generator_that_is_left_elsewhere_is_recorded(trace: clew.Session) -> None:
    async def stream(turn: Any) -> AsyncGenerator[int, None]:
        async with turn.tool("stream") as call:
            call.output = "some"
            yield 1
            yield 2

    turn = trace.turn()
    numbers = stream(turn)

    async def begin() -> None:
        await anext(numbers)

    await asyncio.create_task(begin())
    await numbers.aclose()  # in another task, with another context
    span = one(trace)
    assert (span.outcome, span.error_type, span.output) == ("cancelled", "GeneratorExit", "some")
    with turn.tool("next"):
        pass
    assert tree(trace) == {"stream": None, "next": None}


def test_a_coroutine_that_is_thrown_away_is_recorded(trace: clew.Session) -> None:
    async def work() -> None:
        async with trace.turn():
            await asyncio.Future()

    loop = asyncio.new_event_loop()
    task = loop.create_task(work())
    while not trace.spans():
        loop.run_until_complete(asyncio.sleep(0.001))
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()
    loop.call_soon = lambda *args, **kwargs: None  # type: ignore[assignment,method-assign]
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    assert one(trace).outcome == "cancelled"


# --- exceptions --------------------------------------------------------------------------


class ReadTimeout(Exception):
    """A timeout of a client that knows no TimeoutError."""


RAISED: list[tuple[BaseException, str]] = [
    (ValueError("bad words"), "error"),
    (TimeoutError("too slow"), "timeout"),
    (asyncio.CancelledError("stop"), "cancelled"),
    (KeyboardInterrupt("stop"), "cancelled"),
    (clew.Denied("not here"), "denied"),
    (subprocess.TimeoutExpired("make", 5), "timeout"),
    (ReadTimeout("httpx"), "timeout"),
    (SystemExit("3"), "error"),
    (PermissionError("no"), "error"),
]


@pytest.mark.parametrize(("error", "outcome"), RAISED, ids=lambda value: type(value).__name__)
def test_what_is_raised_is_recorded_and_goes_on(
    ledger: clew.Ledger, error: BaseException, outcome: str
) -> None:
    session = ledger.create()

    def work() -> None:
        with session.turn() as turn, turn.tool("x") as call:
            call.output = "so far"
            raise error

    with pytest.raises(type(error)) as caught:
        work()
    assert caught.value is error
    for span in session.spans():
        assert (span.outcome, span.error, span.error_type) == (
            outcome,
            str(error),
            type(error).__name__,
        )
    assert session.span(session.spans(kind="tool")[0].id).output == "so far"


@pytest.mark.parametrize(("error", "outcome"), RAISED[:3], ids=lambda value: type(value).__name__)
@awaited
async def test_the_same_under_await(
    trace: clew.Session, error: BaseException, outcome: str
) -> None:
    with pytest.raises(type(error)) as caught:
        async with trace.turn():
            raise error
    assert caught.value is error
    assert one(trace).outcome == outcome


@awaited
async def test_a_cancelled_task_ends_its_spans_as_cancelled(trace: clew.Session) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with trace.turn() as turn, turn.tool("sleep"):
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [span.outcome for span in trace.spans()] == ["cancelled", "cancelled"]


@awaited
async def test_a_task_that_is_cancelled_while_a_start_is_stored_leaves_none_running(
    trace: clew.Session,
) -> None:
    ran = []

    async def work() -> None:
        async with trace.turn():
            ran.append(1)

    trace.start_span("other", "warm", outcome="ok")  # the owner's row is there
    trace._ledger._runs.key()
    task = asyncio.create_task(work())
    await asyncio.sleep(0)  # its start is queued
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == []
    assert [span.outcome for span in trace.spans(kind="turn")] == ["cancelled"]
    with trace.turn(name="after") as after:
        pass
    assert trace.span(after.id).parent is None


def test_a_timeout_of_asyncio_is_a_timeout_inside_the_block(trace: clew.Session) -> None:
    async def work() -> None:
        async with trace.turn():
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(work())
    assert one(trace).outcome == "timeout"


def test_the_block_may_say_how_it_ended(trace: clew.Session) -> None:
    with trace.turn(name="denied") as call:
        call.outcome = "denied"
    with trace.turn(name="failed") as call:
        call.error = "exit status 2"
    both = trace.turn(name="both")
    both.outcome, both.error = "timeout", "my words"
    with pytest.raises(ValueError, match="x"), both:
        raise ValueError("x")
    told = {span.name: (span.outcome, span.error) for span in trace.spans()}
    assert told == {
        "denied": ("denied", None),
        "failed": ("error", "exit status 2"),
        "both": ("timeout", "my words"),
    }


class Unspeakable(Exception):
    """Its words cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("half \ud800 and \0"), "half \\ud800 and \ufffd"),
        (FileNotFoundError(2, "gone", "a\udcff.txt"), "[Errno 2] gone: 'a\\udcff.txt'"),
        (Unspeakable(), "Unspeakable"),
        (ValueError(), "ValueError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_odd_words_of_an_exception(ledger: clew.Ledger, error: Exception, words: str) -> None:
    session = ledger.create()
    with pytest.raises(type(error)), session.turn():
        raise error
    assert one(session).error == words
    assert ledger.trace_failures == 0


# --- the decorator -----------------------------------------------------------------------


def test_a_function_is_traced(trace: clew.Session) -> None:
    def add(a: int, b: int = 2, *more: int, **named: int) -> int:
        """Adds."""
        return a + b

    traced = trace.traced(add, effect="idempotent")
    assert (traced(1), traced.__name__, traced.__doc__) == (3, "add", "Adds.")
    span = one(trace)
    assert (span.kind, span.name, span.effect) == ("tool", "add", "idempotent")
    assert (span.input, span.output) == ({"a": 1}, 3)
    with pytest.raises(TypeError, match="missing 1 required"):
        traced()  # type: ignore[call-arg]
    assert [span.outcome for span in trace.spans()] == ["ok", "error"]


@awaited
async def test_a_coroutine_function_is_traced(trace: clew.Session) -> None:
    async def fetch(url: str) -> str:
        await asyncio.sleep(0)
        return url.upper()

    named = trace.traced(fetch, name="get")
    async with trace.turn(chat="c"):
        assert await named("x") == "X"
    assert tree(trace) == {"turn": None, "get": "turn"}
    span = trace.span(trace.spans()[1].id)
    assert (span.input, span.output, span.chat) == ({"url": "x"}, "X", "c")


def test_a_decorator_takes_options(trace: clew.Session) -> None:
    @trace.traced(effect="external", name="send_mail")
    def send(to: str) -> str:
        return f"sent to {to}"

    assert send("you") == "sent to you"
    span = one(trace)
    assert (span.name, span.effect, span.input) == ("send_mail", "external", {"to": "you"})
    assert clew.aio.AsyncSession(trace).traced(effect="none")(len)("four") == 4
    assert trace.spans()[-1].effect == "none"


def test_methods_partials_and_built_in_functions_are_traced(trace: clew.Session) -> None:
    class Tools:
        @trace.traced
        def plain(self, a: int) -> int:
            return a

        @classmethod
        @trace.traced
        def of_class(cls, a: int) -> int:
            return a

        @staticmethod
        @trace.traced
        def static(a: int) -> int:
            return a

        @trace.traced
        async def later(self, a: int) -> int:
            return a

    tools = Tools()
    assert (tools.plain(1), tools.of_class(2), Tools.static(3)) == (1, 2, 3)
    assert asyncio.run(tools.later(4)) == 4
    assert trace.traced(tools.plain)(5) == 5
    assert trace.traced(functools.partial(pow, 2), name="square")(3) == 8
    assert trace.traced(max)(1, 2) == 2
    told = [(span.name, trace.span(span.id).input) for span in trace.spans()]
    assert told == [
        ("plain", {"a": 1}),
        ("of_class", {"a": 2}),
        ("static", {"a": 3}),
        ("later", {"a": 4}),
        ("plain", {"a": 5}),
        ("plain", {"a": 5}),
        ("square", {"exp": 3}),
        ("max", {"args": [1, 2]}),
    ]


# --- the ledger failing never fails the tool ---------------------------------------------


def read_only(session: clew.Session, path: str) -> None:
    """Nothing may be written."""
    session._ledger._database.stop("somebody pulled the plug")


def closed(session: clew.Session, path: str) -> None:
    """The whole ledger is closed."""
    session._ledger.close()


def handle_closed(session: clew.Session, path: str) -> None:
    """The handle is given up."""
    session.close()


def table_gone(session: clew.Session, path: str) -> None:
    """The database has gone mad."""
    behind(session._ledger, "drop table event")


BROKEN: list[Callable[[clew.Session, str], None]] = [read_only, closed, handle_closed, table_gone]


@pytest.mark.damaged
@pytest.mark.inside
@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("when", ["before", "inside"])
def test_a_failing_ledger_is_counted_logged_and_never_in_the_way(
    ledger: clew.Ledger, how: Any, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    session = ledger.create()
    turn = session.turn()
    if when == "before":
        how(session, "")
    with caplog.at_level(logging.WARNING, "clew.trace"):
        with turn.tool("zebraname", "zebrainput") as call:
            if when == "inside":
                how(session, "")
            call.output = "zebraoutput"
        with pytest.raises(ValueError, match="zebra"), turn.tool("x"):
            raise ValueError("zebraerror")
    assert ledger.trace_failures >= 3
    assert len(caplog.records) == ledger.trace_failures
    for record in caplog.records:
        assert session.id in record.getMessage()
        assert "zebra" not in record.getMessage()
        assert record.exc_info is None
    if how in (read_only, handle_closed):
        assert ledger.stats().spans_lost == ledger.trace_failures


@pytest.mark.parametrize("how", [read_only, closed, handle_closed])
@awaited
async def test_the_same_where_it_is_awaited(trace: clew.Session, how: Any) -> None:
    how(trace, "")
    turn = clew.tracing.Turn(trace, "turn", "turn", {})
    async with turn as entered, entered.tool("x") as call:
        call.output = 1
    with pytest.raises(KeyError):
        async with turn.tool("x"):
            raise KeyError("x")
    assert trace._ledger.trace_failures == 6


def test_a_ledger_that_is_open_for_reading_only_never_is_in_the_way(tmp_path: Any) -> None:
    with clew.open(tmp_path / "a.db") as ledger:
        id = ledger.create().id
    with clew.open(tmp_path / "a.db", read_only=True) as ledger:
        session = ledger.get(id)
        with session.turn() as turn, turn.tool("x"):
            pass
        assert ledger.stats().spans_lost == 4
        with pytest.raises(clew.ReadOnly), session.turn(user("a prompt is no trace")):
            raise AssertionError("the block must not run")


class Hostile:
    """An object that resists."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class HalfWords:
    """An object with half a character in its words."""

    def __repr__(self) -> str:
        return "half \ud83d"


def circle() -> Any:
    """A list that holds itself."""
    found: list[Any] = []
    found.append(found)
    return found


def deep() -> Any:
    """A list in a list in a list …"""
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


ODD: list[tuple[Any, Any]] = [
    (object, "<class 'object'>"),
    ({"a": {1, 2}}, {"a": [1, 2]}),
    (b"\xff", "/w=="),
    ("half \ud83d", "half \ufffd"),
    ({"a": ["\udc00"]}, {"a": ["\ufffd"]}),
    ("nul \0", "nul \0"),
    (math.nan, "NaN"),
    ({"a": [1.5, -math.inf, None]}, {"a": [1.5, "-Infinity", None]}),
    (2**80, 2**80),
    (10**5000, "<int>"),
    (Hostile(), "<Hostile>"),
    ({"a": Hostile()}, {"a": "<Hostile>"}),
    (HalfWords(), "half \ufffd"),
    ({(1, 2): 3}, {"(1, 2)": 3}),
    (circle(), "[[...]]"),
]


@pytest.mark.parametrize(("value", "kept"), ODD, ids=[str(n) for n in range(len(ODD))])
def test_a_value_without_json_is_kept_as_well_as_it_can(
    ledger: clew.Ledger, value: Any, kept: Any
) -> None:
    session = ledger.create()
    with session.turn() as turn, turn.tool("x", value) as call:
        call.output = value
    span = session.span(call.id)
    assert span.input == kept
    assert span.output == kept
    assert ledger.trace_failures == 0


def test_a_value_of_any_depth_does_no_harm(trace: clew.Session) -> None:
    value = deep()
    with trace.turn() as turn, turn.tool("x", value) as call:
        call.output = value
    assert trace.span(call.id).outcome == "ok"
    while value:  # taken apart by hand: its own end would be too deep for the interpreter
        value = value.pop()
    gc.collect()


def test_a_start_that_failed_is_told_whole_at_the_end(
    trace: clew.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*args: Any) -> Any:
        raise clew.Unavailable("busy")

    with monkeypatch.context() as patched:
        patched.setattr(type(trace), "_write", busy)
        call = trace.turn().tool("x", {"a": 1}, call_id="c")
        call.__enter__()
    call.output = 2
    call.__exit__(None, None, None)
    span = one(trace)
    assert (span.id, span.name, span.input, span.output) == (call.id, "x", {"a": 1}, 2)
    assert (span.outcome, span.call_id) == ("ok", "c")
    assert trace._ledger.trace_failures == 1


def test_a_start_that_was_stored_and_seemed_to_fail_is_ended(
    trace: clew.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = type(trace)._write

    def unsure(self: clew.Session, unit: Any) -> Any:
        write(self, unit)
        raise clew.Unavailable("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(type(trace), "_write", unsure)
        call = trace.turn().tool("x")
        call.__enter__()
    call.__exit__(None, None, None)
    assert (one(trace).id, one(trace).outcome) == (call.id, "ok")


FACTS: list[Callable[[Call], None]] = [
    lambda call: call.set(nonsense=1),
    lambda call: call.set(tokens_used=-1),
    lambda call: call.set(input="x" * (70 << 20)),
    lambda call: setattr(call, "outcome", "splendid"),
    lambda call: setattr(call, "outcome", ["splendid"]),
]


@pytest.mark.parametrize("say", FACTS)
def test_facts_that_are_refused_do_not_keep_the_end_from_being_told(
    trace: clew.Session, say: Callable[[Call], None], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), trace.turn() as turn, turn.tool("x") as call:
        say(call)
    span = trace.span(call.id)
    assert span.outcome in ("ok", "error")
    assert span.latency_ms is not None
    assert trace._ledger.trace_failures == 1
    assert "splendid" not in caplog.text


def test_facts_of_a_start_that_are_refused_do_not_lose_the_call(trace: clew.Session) -> None:
    turn = trace.turn()
    with turn.tool("x", "i" * (70 << 20), call_id="c") as call:
        call.output = "o"
    span = one(trace)
    assert (span.name, span.outcome, span.call_id) == ("x", "ok", "c")
    with turn.tool("y", attempt=-1) as outer, turn.tool("z") as inner:
        pass
    assert [s.name for s in trace.spans()] == ["x", "y", "z"]
    assert trace.span(inner.id).parent == outer.id
    assert trace.span(span.id).attributes == {LOST: ["input"]}
    assert trace._ledger.trace_failures == 2


def test_a_fact_that_is_refused_costs_no_other(
    trace: clew.Session, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), trace.turn() as turn:
        with turn.tool("deploy", {"env": "prod"}, call_id="c", effect="externl") as call:  # type: ignore[arg-type]
            call.output = "shipped"
        with turn.model("m") as model:
            model.usage(input=1, output=-1)
            model.output = "precious"
    span = trace.span(call.id)
    assert (span.input, span.output, span.call_id) == ({"env": "prod"}, "shipped", "c")
    assert span.attributes == {LOST: ["effect"]}
    span = trace.span(model.id)
    assert (span.output, span.tokens_in, span.tokens_out) == ("precious", 1, None)
    assert span.attributes == {LOST: ["tokens_out"]}
    assert "effect" in caplog.text
    assert "externl" not in caplog.text


def test_what_a_tool_said_and_could_not_be_stored_is_not_made_up(trace: clew.Session) -> None:
    with trace.turn(user("q")) as turn:
        trace.append(call("a"))
        with turn.tool("query", call_id="a", effect="external") as tool:
            tool.output = "x" * (70 << 20)
    found = trace.resume()
    assert [(each.call_id, each.advice) for each in found.calls] == [("a", "ask")]
    assert found.repair is not None
    assert found.repair.data["parts"][0]["synthetic"]


def test_a_ledger_that_does_not_answer_is_waited_for_once(
    trace: clew.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def down(self: clew.Session, unit: Any) -> Any:
        asked.append(unit)
        time.sleep(0.01)
        raise clew.Unavailable("another process holds the lock")

    with monkeypatch.context() as patched:
        patched.setattr(type(trace), "_write", down)
        patched.setattr(owners, "SLOW_SECONDS", 0.0)
        with trace.turn() as turn:
            for name in "abc":
                with turn.tool(name) as tool:
                    tool.output = name
    assert len(asked) == 1
    assert trace._ledger.trace_failures == 8
    trace._ledger._runs._say()
    assert sorted(span.name for span in trace.spans()) == ["a", "b", "c", "turn"]
    assert {span.outcome for span in trace.spans()} == {"ok"}


def test_an_end_that_could_not_be_stored_is_stored_later(
    trace: clew.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(self: clew.Session, unit: Any) -> Any:
        raise clew.Unavailable("the disk is full")

    with monkeypatch.context() as patched, trace.turn().tool("deploy") as tool:
        tool.output = "shipped"
        patched.setattr(type(trace), "_write", down)
        tool.__exit__(None, None, None)
    trace._ledger._runs._say()
    span = trace.span(tool.id)
    assert (span.outcome, span.output) == ("ok", "shipped")


ANSWERS: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    (
        {
            "id": "c1",
            "object": "chat.completion",
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}],
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
        },
        (6, 5, 4, 0, 2, "c1", "gpt-4o"),
    ),
    (
        {
            "id": "r1",
            "object": "response",
            "model": "gpt-5",
            "output": [],
            "usage": {
                "input_tokens": 8,
                "input_tokens_details": {"cached_tokens": 3},
                "output_tokens": 7,
                "output_tokens_details": {"reasoning_tokens": 1},
            },
        },
        (5, 7, 3, 0, 1, "r1", "gpt-5"),
    ),
    (
        {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [{"type": "text", "text": "hi"}],
            "usage": {"input_tokens": 2, "output_tokens": 3, "cache_read_input_tokens": 9},
        },
        (2, 3, 9, 0, 0, "m1", "claude-x"),
    ),
    (
        {
            "responseId": "g1",
            "modelVersion": "gemini-x",
            "candidates": [],
            "usageMetadata": {
                "promptTokenCount": 9,
                "cachedContentTokenCount": 4,
                "candidatesTokenCount": 3,
                "thoughtsTokenCount": 2,
            },
        },
        (5, 5, 4, 0, 2, "g1", "gemini-x"),
    ),
]


@pytest.mark.parametrize(("answer", "told"), ANSWERS, ids=[str(n) for n in range(len(ANSWERS))])
def test_the_tokens_of_a_whole_answer(
    trace: clew.Session, answer: dict[str, Any], told: tuple[Any, ...]
) -> None:
    with trace.turn() as turn, turn.model("asked") as model:
        assert model.read(answer)
    span = trace.span(model.id)
    tokens = (span.tokens_in, span.tokens_out, span.cache_read, span.cache_write, span.reasoning)
    assert (*tokens, span.response_id, span.model) == told


@pytest.mark.parametrize("answer", [{}, {"error": "x"}, None, "text", object(), {"usage": 1}])
def test_an_answer_that_tells_no_tokens_is_no_error(trace: clew.Session, answer: Any) -> None:
    with trace.turn() as turn, turn.model("m") as model:
        assert not model.read(answer)
    assert (trace.span(model.id).outcome, trace.span(model.id).model) == ("ok", "m")


def test_turns_that_begin_at_once_have_numbers_of_their_own(trace: clew.Session) -> None:
    def go(number: int) -> None:
        with trace.turn(user(str(number)), chat=str(number)) as turn, turn.tool("t"):
            pass

    threads = [threading.Thread(target=go, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = trace.spans()
    numbers = {span.chat: span.turn for span in found if span.kind == "turn"}
    assert sorted(numbers.values()) == list(range(1, 13))
    assert {span.chat: span.turn for span in found if span.kind == "tool"} == numbers


def test_a_name_that_no_database_holds_does_not_lose_the_call(trace: clew.Session) -> None:
    with trace.turn().tool("na\x00me", {"a": 1}) as call:
        call.output = "said"
    span = trace.span(call.id)
    assert (span.name, span.input, span.output) == ("na\ufffdme", {"a": 1}, "said")


def test_what_yields_is_not_traced_as_if_it_had_run(trace: clew.Session) -> None:
    def stream() -> Any:
        yield 1

    async def astream() -> Any:
        yield 1

    for function in (stream, astream):
        with pytest.raises(clew.Invalid, match="yields"):
            trace.traced(function)


def test_an_interrupt_while_a_start_is_stored_leaves_none_running(
    trace: clew.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = type(trace)._write

    def interrupted(self: clew.Session, unit: Any) -> Any:
        monkeypatch.setattr(type(trace), "_write", write)
        write(self, unit)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(trace), "_write", interrupted)
    with pytest.raises(KeyboardInterrupt), trace.turn():
        raise AssertionError("the block must not run")
    assert one(trace).outcome == "cancelled"
    with trace.turn(name="after") as after:
        pass
    assert trace.span(after.id).parent is None


def test_a_prompt_that_cannot_be_appended_is_the_callers_to_know(ledger: clew.Ledger) -> None:
    session = ledger.create()
    with (
        ledger.get(session.id).lease("somebody"),
        pytest.raises(clew.Leased),
        session.turn(user("hello")),
    ):
        raise AssertionError("the block must not run")
    assert session.spans() == []
    with session.turn() as turn, turn.tool("x"):
        session.append(bot("no prompt"))
    assert len(session.spans()) == 2
