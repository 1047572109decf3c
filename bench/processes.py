"""Eight processes write one file at full durability, each waiting for its own appends.

Beside them the same with bare SQLite: `BEGIN IMMEDIATE` and SQLite's own busy timeout.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import apsw

import clew
from bench import corpus, ledgers
from bench.harness import Figure, Options, percentile

TITLE = "processes: 8 processes, one file, durability full"
PROCESSES = 8
EACH = 100
ROUNDS = 3
BUSY_MS = 30_000

Told = tuple[list[float], float, float, int]
"""What a process tells: its waits, when it began and ended, and how often it failed."""


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    path = options.scratch / "shared.db"
    with clew.open(f"sqlite:///{path}", search=False) as ledger:
        ledger.create()
    raw = options.scratch / "raw.db"
    ledgers.apsw_table(raw, "full").close()
    found: dict[str, list[list[Told]]] = {"clew": [], "raw": []}
    for number in range(ROUNDS):
        pairs = [("clew", appending, path), ("raw", inserting, raw)]
        for name, work, file in pairs if number % 2 else pairs[::-1]:
            found[name].append(together(work, file))
    yield from compared(found)


def compared(found: dict[str, list[list[Told]]]) -> Iterator[Figure]:
    """Both sides, round by round."""
    worst = {name: [max(waits_of(told)) for told in rounds] for name, rounds in found.items()}
    p99 = {
        name: [percentile(waits_of(told), 0.99) for told in rounds]
        for name, rounds in found.items()
    }
    rates = {name: [rate(told) for told in rounds] for name, rounds in found.items()}
    failed = {name: sum(t[3] for told in rounds for t in told) for name, rounds in found.items()}
    yield Figure(
        name="appends that failed (BUSY)",
        value=float(failed["clew"]),
        at_most=0.0,
        note=f"of {PROCESSES * EACH * ROUNDS:,}; raw: {failed['raw']}",
    )
    for what, times in (("worst wait", worst), ("p99 wait", p99)):
        yield Figure(
            name=what,
            value=median(times["clew"]) * 1e3,
            unit="ms",
            ratio=median(one / two for one, two in zip(times["clew"], times["raw"], strict=True)),
            wall=median(times["clew"]),
            note=f"raw: {median(times['raw']) * 1e3:.1f} ms; ratio to it",
        )
    yield Figure(
        name="worst wait / raw worst wait",
        value=median(one / two for one, two in zip(worst["clew"], worst["raw"], strict=True)),
        unit="x",
        at_most=1.0,
    )
    yield Figure(
        name="appends of all together",
        value=median(rates["clew"]),
        unit="/s",
        ratio=median(one / two for one, two in zip(rates["clew"], rates["raw"], strict=True)),
        note=f"raw: {median(rates['raw']):,.0f} /s; ratio to it",
    )


def waits_of(told: list[Told]) -> list[float]:
    """Everybody's waits."""
    return [wait for one in told for wait in one[0]]


def rate(told: list[Told]) -> float:
    """Appends per second from the first to begin to the last to end."""
    begun, ended = min(one[1] for one in told), max(one[2] for one in told)
    return len(waits_of(told)) / (ended - begun)


def together(work: Callable[..., None], path: Path) -> list[Told]:
    """Run `work` in eight new processes that begin at the same moment."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(PROCESSES), context.Queue()
    children = [
        context.Process(target=work, args=(str(path), number, barrier, queue))
        for number in range(PROCESSES)
    ]
    for child in children:
        child.start()
    told = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join()
    return told


def appending(path: str, number: int, barrier: Any, queue: Any) -> None:
    """A child: its own session of the shared ledger."""
    messages = list(corpus.messages(EACH, seed=number))
    with clew.open(f"sqlite:///{path}", search=False) as ledger:
        session = ledger.create()
        told = clocked(barrier, [partial(session.append, message) for message in messages])
    queue.put(told)


def inserting(path: str, number: int, barrier: Any, queue: Any) -> None:
    """A child: bare inserts into a shared table."""
    bodies = [repr(message).encode() for message in corpus.messages(EACH, seed=number)]
    connection = apsw.Connection(path)
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("synchronous", "full")

    def insert(body: bytes) -> None:
        connection.execute("begin immediate")
        connection.execute(
            "insert into message (session, seq, role, time_ms, body) "
            "select ?, coalesce(max(seq), 0) + 1, 'user', 0, ? from message where session = ?",
            (number, body, number),
        )
        connection.execute("commit")

    told = clocked(barrier, [partial(insert, body) for body in bodies])
    connection.close()
    queue.put(told)


def clocked(barrier: Any, works: list[Callable[[], object]]) -> Told:
    """Do them one after the other and note how long each took."""
    waits, failed = [], 0
    barrier.wait()
    begun = time.monotonic()
    for work in works:
        started = time.perf_counter()
        try:
            work()
        except (clew.ClewError, apsw.Error):
            failed += 1
        waits.append(time.perf_counter() - started)
    return waits, begun, time.monotonic(), failed
