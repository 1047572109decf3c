"""Durability `full`: one fsync an append, and one for many where many write at once.

The fsyncs are counted, and made to take 4 ms, by a file system that stands on the real one:
so the ratio depends on the number of fsyncs and not on a disk and its cache. The real disk's
figures stand beside it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median

import clew.aio
from bench import corpus, ledgers
from bench.harness import Figure, Options, percentile
from torture.vfs import TortureVFS

TITLE = "durable: durability full"
SYNC_SECONDS = 0.004
WRITERS = 100
ALONE = 100
EACH = 20
ROUNDS = 3
STEADY = 300


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    yield syncs_per_append(options.scratch)
    with TortureVFS(sync_seconds=SYNC_SECONDS, recording=False) as vfs:
        url = f"sqlite:///{options.scratch}/slow.db?vfs={vfs.name}"
        yield from alone_and_together(url, "sync of 4 ms", at_least=20.0)
    yield from alone_and_together(f"sqlite:///{options.scratch}/real.db", "this disk")
    yield from one_writer(options.scratch)


def syncs_per_append(scratch: Path) -> Figure:
    """Counted in the steady state, WAL checkpoints left out: they run behind the appends."""
    with TortureVFS(recording=False) as vfs:
        url = f"sqlite:///{scratch}/counted.db?vfs={vfs.name}"
        with clew.open(url, search=False) as ledger:
            session = ledger.create()
            ledgers.fill(session, 10)
            counts = []
            for message in corpus.messages(STEADY, size=200):
                before = vfs.syncs["counted.db-wal"]
                session.append(message)
                counts.append(vfs.syncs["counted.db-wal"] - before)
    return Figure(
        name="fsyncs per append, steady state",
        value=sum(counts) / len(counts),
        at_most=1.0,
        at_least=1.0,
        note=f"most in one append: {max(counts)}",
    )


def alone_and_together(url: str, what: str, at_least: float | None = None) -> Iterator[Figure]:
    """Appends per second of one writer that waits for each, and of many that do."""
    alone, together, waits = asyncio.run(race(url))
    gain = median(many / one for one, many in zip(alone, together, strict=True))
    p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
    yield Figure(name=f"one writer, {what}", value=median(alone), unit="/s")
    yield Figure(
        name=f"{WRITERS} writers, {what}",
        value=median(together),
        unit="/s",
        note=f"waits: p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms",
    )
    yield Figure(name=f"{WRITERS} writers / one, {what}", value=gain, unit="x", at_least=at_least)


async def race(url: str) -> tuple[list[float], list[float], list[float]]:
    """One writer and many, round by round on the same ledger."""
    alone, together, waits = [], [], []
    messages = list(corpus.messages(ALONE, size=1250))
    async with await clew.aio.open(url, search=False) as ledger:
        sessions = [await ledger.create() for _ in range(WRITERS)]

        async def writer(session: clew.aio.AsyncSession, count: int) -> None:
            for number in range(count):
                started = time.perf_counter()
                await session.append(messages[number])
                waits.append(time.perf_counter() - started)

        for _ in range(ROUNDS):
            alone.append(ALONE / await timed(lambda: writer(sessions[0], ALONE)))
            waits.clear()
            everybody = lambda: asyncio.gather(*(writer(each, EACH) for each in sessions))  # noqa: E731
            together.append(WRITERS * EACH / await timed(everybody))
    return alone, together, waits


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds on the wall."""
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def one_writer(scratch: Path) -> Iterator[Figure]:
    """A single synchronous writer against writing and syncing the same bytes to a file."""
    messages = list(corpus.messages(30))
    bodies = [repr(message).encode() for message in messages]
    ratios, ours, floor = [], [], []
    with clew.open(f"sqlite:///{scratch}/single.db", search=False) as ledger:
        session = ledger.create()
        file = os.open(scratch / "plain.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for _ in range(9):
            synced = percentile([write_and_sync(file, body) for body in bodies], 0.5)
            appended = percentile([append(session, message) for message in messages], 0.5)
            floor.append(synced)
            ours.append(appended)
            ratios.append(appended / synced)
        os.close(file)
    yield Figure(
        name="append, one writer, this disk, p50",
        value=median(ours) * 1e6,
        unit="us",
        ratio=median(ratios),
        wall=median(ours),
        note=f"against write + fdatasync: {median(floor) * 1e6:.0f} us",
    )


def write_and_sync(file: int, body: bytes) -> float:
    """The least that durability costs."""
    started = time.perf_counter()
    os.write(file, body)
    os.fdatasync(file)
    return time.perf_counter() - started


def append(session: clew.Session, message: dict[str, object]) -> float:
    """One durable append."""
    started = time.perf_counter()
    session.append(message)
    return time.perf_counter() - started
