"""Following: every entry and event is told once, in order, whoever wrote it and however often
the reader was cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from itertools import islice
from typing import Any

import pytest

import clew
import clew.aio
from clew import frames
from clew.live import KEPT_FRAMES, Follower, everything
from contract.talk import inner, turns, user


def _types(found: list[Any]) -> list[str]:
    return [str(frame.__struct_config__.tag) for frame in found]


def test_what_happened_is_told_in_the_order_in_which_it_happened(ledger: clew.Ledger) -> None:
    session = ledger.create()
    with session.turn(user("go")) as turn:
        with turn.model("m") as model:
            model.usage(input=1, output=2)
        with turn.tool("ls", {"path": "."}, call_id="c1") as call:
            call.output = "a.txt"
    session.extend(turns(3))
    session.snapshot({"step": 1})
    kept = session.checkpoint("here")
    session.compact(summary="short", keep_from=session.entry(4))
    session.restore(kept)
    found = list(ledger.follow({session.id: 0}, idle=0.3))
    assert _types(found) == [
        "entry",
        *("span_start", "model_call_start", "model_call_finish"),
        *("tool_trace_start", "tool_trace_finish", "span_finish"),
        *("entry",) * 6,
        *("snapshot", "checkpoint", "compaction", "checkpoint", "head"),
    ]
    assert [frame.sequence for frame in found] == list(range(1, len(found) + 1))
    assert {frame.session for frame in found} == {session.id}
    start, finish = found[4], found[5]
    assert isinstance(start, frames.ToolStart)
    assert start.span.status == "running"
    assert start.span.input == {"path": "."}
    assert isinstance(finish, frames.ToolFinish)
    assert finish.span.output == "a.txt"
    assert finish.span.outcome == "ok"


def test_a_reader_goes_on_behind_what_it_has(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(5))
    span = session.start_span("tool", "x")
    session.update_span(span.id, outcome="ok")
    everything = [frame.sequence for frame in ledger.follow({session.id: 0}, idle=0.2)]
    for after in range(len(everything) + 1):
        rest = [frame.sequence for frame in ledger.follow({session.id: after}, idle=0.1)]
        assert rest == everything[after:]


def test_a_sequence_that_was_not_reached_is_refused(ledger: clew.Ledger) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid, match="begin again"):
        next(ledger.follow({session.id: 99}))
    with pytest.raises(clew.NotFound):
        next(ledger.follow({"0" * 32: 0}))


def test_a_branch_begins_behind_its_fork(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    branch = session.branch(session.entry(2))
    branch.append(user("other"))
    (frame,) = ledger.follow({branch.id: 0}, idle=0.2)
    assert isinstance(frame, frames.EntryFrame)
    assert frame.entry.seq == frame.sequence == 3


def test_another_handle_is_heard(url: str) -> None:
    if ":memory:" in url:
        pytest.skip("what is in memory has one handle")
    with clew.open(url) as reader, clew.open(url) as writer:
        heard: list[str] = []
        done = threading.Event()

        def listen() -> None:
            for frame in reader.follow(idle=5):
                heard.append(f"{frame.session}:{frame.sequence}")
                if len(heard) == 40:
                    done.set()
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        while not inner(reader)._live()._followers:
            done.wait(0.01)
        first, second = writer.create(), writer.create()
        for _ in range(10):
            for session in (first, second):
                session.append(user("x"))
                session.checkpoint()
        assert done.wait(10), f"only {len(heard)} of 40 came"
        thread.join()
        expected = [f"{s.id}:{n}" for s in (first, second) for n in range(1, 21)]
        assert sorted(heard) == sorted(expected)


def test_readers_that_are_cut_off_miss_nothing_while_others_write(ledger: clew.Ledger) -> None:
    session = ledger.create()
    total = 200

    def write() -> None:
        for number in range(total // 4):
            session.append(user(str(number)))
            span = session.start_span("tool", "t")
            session.update_span(span.id, outcome="ok")
            session.checkpoint()

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    while len(seen) < total:
        stream = ledger.follow({session.id: seen[-1] if seen else 0}, idle=5)
        seen += [frame.sequence for frame in islice(stream, min(7, total - len(seen)))]
        stream.close()  # type: ignore[attr-defined]
    writer.join()
    assert seen == list(range(1, total + 1))


def _pulled(follower: Follower) -> list[Any]:
    found: list[Any] = []
    while follower.waiting:
        found += [frames.decode(told.data) for told in follower.pull()]
    return found


@pytest.mark.inside
def test_a_slow_reader_is_told_and_gets_everything(ledger: clew.Ledger) -> None:
    session = ledger.create()
    follower, _ = ledger._live().follow(ledger, {session.id: 0}, everything)
    ready = threading.Event()
    follower.start(ready.set)
    _pulled(follower)
    session.extend([user(str(n)) for n in range(KEPT_FRAMES + 100)])
    ledger._live()._tell({session._key})
    found: list[Any] = []
    while len(found) < KEPT_FRAMES + 102:
        assert ready.wait(10)
        ready.clear()
        found += _pulled(follower)
    follower.close()
    assert isinstance(found[0], frames.Behind)
    assert found[0].sequence == KEPT_FRAMES + 100
    assert isinstance(found[-1], frames.CaughtUp)
    told = [frame.sequence for frame in found[1:-1]]
    assert told == list(range(1, KEPT_FRAMES + 101))


def test_a_confined_handle_hears_its_project_only(ledger: clew.Ledger) -> None:
    ours = ledger.confined("ours")
    stream = ours.follow(idle=0.5)
    heard: list[str] = []
    thread = threading.Thread(target=lambda: heard.extend(f.session for f in stream))
    thread.start()
    while not inner(ledger)._live()._followers:
        pass
    ledger.create(project="theirs").append(user("secret"))
    mine = ours.create()
    mine.append(user("hello"))
    thread.join()
    assert set(heard) == {mine.id}


def test_erased_bodies_are_told_no_more(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("a secret word"))
    stream = ledger.follow({session.id: 0}, idle=1)
    next(stream)
    ledger.erase(session.id)
    found = list(ledger.follow({session.id: 0}, idle=0.2))
    assert _types(found) == ["erased"]
    stream.close()  # type: ignore[attr-defined]


def test_following_under_await(url: str) -> None:
    async def go() -> list[int]:
        async with await clew.aio.open(url) as ledger:
            session = await ledger.create()
            found: list[int] = []

            async def listen() -> None:
                async with contextlib.aclosing(ledger.follow({session.id: 0})) as stream:  # type: ignore[type-var]
                    async for frame in stream:
                        found.append(frame.sequence)
                        if len(found) == 30:
                            return

            task = asyncio.create_task(listen())
            for number in range(30):
                await session.append(user(str(number)))
            await asyncio.wait_for(task, 10)
            return found

    assert asyncio.run(go()) == list(range(1, 31))
