"""asyncio: many tasks share commits, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew import aio
from contract.talk import inner

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence


def user(text: str) -> dict[str, Any]:
    """Somebody asks."""
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, Any]:
    """The model answers."""
    return {"role": "assistant", "content": text}


def run(url: str, test: Callable[[aio.AsyncLedger], Coroutine[Any, Any, None]]) -> None:
    """Run a test against an open ledger, and verify it afterwards."""

    async def main() -> None:
        async with await aio.open(url) as ledger:
            await test(ledger)
            report = await ledger.verify()
            assert report.ok, report.problems

    asyncio.run(main())


class Commits:
    """Counts the commits of a ledger, and holds the writer back until it is let go."""

    def __init__(self, ledger: aio.AsyncLedger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.go_on = threading.Event()
        self.go_on.set()
        writer = inner(ledger.sync)._database._writer  # type: ignore[attr-defined]
        original = writer._commit

        def commit(jobs: list[Any]) -> None:
            self.go_on.wait(10)
            self.count += 1
            original(jobs)

        monkeypatch.setattr(writer, "_commit", commit)


async def _said(session: aio.AsyncSession) -> list[str]:
    return [message.text for message in await session.history()]


def test_every_verb_is_awaited(url: str) -> None:
    async def test(ledger: aio.AsyncLedger) -> None:
        session = await ledger.session(frontend="cli", user="1")
        first = await session.append(user("a"))
        assert await session.head() == first.position
        await session.extend([bot("b"), user("c"), bot("d")])
        made = await session.checkpoint("here")
        await session.set_config("model", "m")
        await session.restore(first)
        await session.undo()
        assert len(await session.history()) == 4
        assert [m.text for m in await session.tail(1)] == ["d"]
        assert (await session.view("anthropic", max_tokens=1000)).dropped == 0
        assert await session.checkpoints() == [made]
        branch = await session.branch(made, title="side")
        await branch.append(user("e"))
        assert (await _said(branch))[-1] == "e"
        assert await session.repair() is None
        await session.replace_history([user("anew")])
        await session.reset()
        await session.clear()
        assert await _said(session) == []
        assert (await ledger.get(session.id)).id == session.id
        assert len(await ledger.sessions()) == 2
        created = await ledger.create(title="t")
        assert (await created.append(user("zebra"))).seq == 1
        assert (await ledger.search("zebra")).hits
        session.close()
        with pytest.raises(clew.Stale):
            await session.append(user("x"))

    run(url, test)


@pytest.mark.inside
def test_many_tasks_share_commits(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(ledger: aio.AsyncLedger) -> None:
        sessions = [await ledger.create() for _ in range(20)]
        commits = Commits(ledger, monkeypatch)
        entries = await asyncio.gather(
            *(session.append(user(f"{n}")) for n in range(5) for session in sessions)
        )
        assert len(entries) == 100
        assert 0 < commits.count < 50
        for session in sessions:
            assert sorted(await _said(session)) == [str(n) for n in range(5)]

    run(url, test)


def test_one_tasks_conflict_does_not_fail_the_others(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(ledger: aio.AsyncLedger) -> None:
        sessions = [await ledger.create() for _ in range(6)]
        for session in sessions:
            await session.append(user("first"))
        commits = Commits(ledger, monkeypatch)
        commits.go_on.clear()
        tasks = [
            asyncio.create_task(
                session.append(user("second"), expected_head=None)
                if number == 3
                else session.append(user("second"))
            )
            for number, session in enumerate(sessions)
        ]
        await asyncio.sleep(0.05)
        commits.go_on.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [
            clew.Conflict if number == 3 else clew.Entry for number in range(6)
        ]
        assert commits.count < 6, "they did share a commit"
        for number, session in enumerate(sessions):
            assert await _said(session) == (["first"] if number == 3 else ["first", "second"])

    run(url, test)


def test_a_cancelled_task_has_a_known_outcome(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(ledger: aio.AsyncLedger) -> None:
        session = await ledger.create()
        commits = Commits(ledger, monkeypatch)
        commits.go_on.clear()
        task = asyncio.create_task(session.append(user("a"), idempotency_key="k"))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done(), "it waits until its write is stored or refused"
        commits.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await _said(session) == ["a"], "known as soon as the cancellation is"
        assert (await session.append(user("a"), idempotency_key="k")).seq == 1
        assert await _said(session) == ["a"]

    run(url, test)


def test_a_task_cancelled_with_a_failing_write_raises_nothing_else(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(ledger: aio.AsyncLedger) -> None:
        session = await ledger.create()
        await session.append(user("a"))
        commits = Commits(ledger, monkeypatch)
        commits.go_on.clear()
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: told.append(context)
        )
        task = asyncio.create_task(session.append(user("b"), expected_head=None))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0.02)
        commits.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await _said(session) == ["a"]
        assert told == []

    run(url, test)


def test_compact_with_an_async_summarizer(url: str) -> None:
    async def test(ledger: aio.AsyncLedger) -> None:
        session = await ledger.create()
        await session.extend([user("a"), bot("b"), user("c"), bot("d")])
        started = asyncio.Event()

        async def summarize(messages: Sequence[clew.Message]) -> str:
            started.set()
            await asyncio.sleep(0.02)
            return "short: " + " ".join(message.text for message in messages)

        task = asyncio.create_task(
            session.compact(
                summarize=summarize, keep_from=f"{session.id}:3", reason="overflow-retry"
            )
        )
        await started.wait()
        await session.append(user("meanwhile"))
        made = await task
        assert made.reason == clew.Reason.OVERFLOW
        context = await asyncio.to_thread(session.sync.context)
        assert [m.text for m in context] == ["short: a b", "c", "d", "meanwhile"]
        await session.compact(summary="shorter", keep_from=f"{session.id}:5")
        assert (await session.view("anthropic")).messages[0].text.startswith("shorter")

        async def fail(_messages: Sequence[clew.Message]) -> str:
            raise TimeoutError

        before = await session.head()
        with pytest.raises(TimeoutError):
            await session.compact(summarize=fail, keep_tokens=1)
        with pytest.raises(clew.Invalid, match="whim"):
            await session.compact(summary="x", keep_tokens=1, reason="whim")
        with pytest.raises(clew.Invalid, match="either"):
            await session.compact()
        assert await session.head() == before

    run(url, test)


def test_a_summarizer_may_be_a_plain_function(url: str) -> None:
    async def test(ledger: aio.AsyncLedger) -> None:
        session = await ledger.create()
        await session.extend([user("a"), bot("b"), user("c"), bot("d")])
        await session.compact(summarize=lambda _messages: "short", keep_from=f"{session.id}:3")
        assert (await session.view()).messages[0].text == "short"

    run(url, test)


@pytest.mark.parametrize("move", [True, False])
def test_a_transferred_session_has_all_verbs(url: str, move: bool) -> None:
    """A move once gave a handle whose other verbs returned coroutines where results belong."""

    async def test(ledger: aio.AsyncLedger) -> None:
        session = await ledger.session(frontend="cli", user="1")
        await session.append(user("a"))
        there = await session.transfer_to(frontend="web", user="1", move=move)
        assert (there.id == session.id) is move
        assert await _said(there) == ["a"]
        await there.append(user("b"))
        await there.set_config("x", 1)
        await there.clear()
        await there.undo()
        assert await _said(there) == ["a", "b"]

    run(url, test)


def test_a_leased_session_is_written_by_its_holder(url: str) -> None:
    async def test(ledger: aio.AsyncLedger) -> None:
        session = await ledger.create()
        other = await ledger.get(session.id)
        lease = await asyncio.to_thread(session.sync.lease, "me")
        await session.append(user("a"))
        with pytest.raises(clew.Leased):
            await other.append(user("b"))
        await asyncio.to_thread(lease.release)
        await other.append(user("b"))
        assert await _said(session) == ["a", "b"]

    run(url, test)


@pytest.mark.inside
def test_a_loop_that_ends_early_does_not_stop_the_writer(url: str) -> None:
    """What is queued when its event loop goes is stored; the ledger serves the next loop."""
    ledger = clew.open(url)
    try:
        session = aio.AsyncSession(ledger.create())
        go_on = threading.Event()
        writer = ledger._database._writer  # type: ignore[attr-defined]
        original = writer._commit

        def commit(jobs: list[Any]) -> None:
            go_on.wait(10)
            original(jobs)

        writer._commit = commit
        loop = asyncio.new_event_loop()
        task = loop.create_task(session.append(user("a")))
        loop.call_later(0.05, loop.stop)
        loop.run_forever()
        loop.close()
        go_on.set()
        assert asyncio.run(session.append(user("b"))).seq == 2
        assert not task.done()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        assert ledger.verify().ok
    finally:
        ledger.close()


def test_every_verb_has_its_twin() -> None:
    for awaited, plain in ((aio.AsyncLedger, clew.Ledger), (aio.AsyncSession, clew.Session)):
        verbs = {name for name in dir(plain) if not name.startswith("_")}
        figures = {"prices", "trace_failures", "sync", "head", "config"}
        assert verbs - set(dir(awaited)) <= figures
