"""One message, one commit: against the bare insert of the same bytes, and far into a session."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import msgspec

import clew
from bench import corpus, ledgers
from bench.harness import Figure, Options, interleave

TITLE = "append: one message of 1.3 KB, durability normal"
OPS = 200
ROUNDS = 21
LONG = 100_000


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    yield from against_raw(options)
    yield from far_into_a_session(options)


def against_raw(options: Options) -> Iterator[Figure]:
    """The price of a ledger over a table."""
    rng = random.Random(3)
    batch = [corpus.message(rng, number) for number in range(OPS)]
    bodies = [msgspec.json.encode(message) for message in batch]
    stdlib = ledgers.stdlib_table(options.scratch / "stdlib.db")
    raw = ledgers.apsw_table(options.scratch / "apsw.db")
    plain = ledgers.open_ledger(options.scratch / "plain.db")
    indexed = ledgers.open_ledger(options.scratch / "indexed.db", search=True)
    session, followed = plain.create(), indexed.create()

    def drained() -> None:
        appender(followed, batch)()
        indexed.index_now()

    variants = {
        "stdlib": inserter(stdlib.execute, bodies),
        "apsw": inserter(raw.execute, bodies),
        "clew": appender(session, batch),
        "drained": drained,
    }
    series = interleave(variants, rounds=ROUNDS, ops=OPS)
    yield series.figure("raw insert + commit, sqlite3", "stdlib")
    yield series.figure("raw insert + commit, apsw", "apsw")
    yield series.figure("append, caller's path", "clew", "stdlib", at_most=60.0)
    for base in ("stdlib", "apsw"):
        yield Figure(
            name=f"append / raw insert ({base})",
            value=series.ratio("clew", base),
            unit="x",
            at_most=5.0,
        )
    cpu = series.median("drained", "process")
    yield Figure(
        name="append + its part of the index",
        value=cpu * 1e6,
        unit="us",
        at_most=120.0,
        ratio=series.ratio("drained", "stdlib", "process"),
        cpu=cpu,
        wall=series.median("drained", "wall"),
        note="CPU of all threads",
    )
    for thing in (stdlib, raw, plain, indexed):
        thing.close()


def inserter(execute: Callable[..., Any], bodies: list[bytes]) -> Callable[[], None]:
    """Inserts them all, one commit each, with ever new numbers."""
    numbers = iter(range(1, 1 << 40))

    def work() -> None:
        for body in bodies:
            execute(ledgers.INSERT, (next(numbers), body))

    return work


def appender(session: clew.Session, batch: list[dict[str, Any]]) -> Callable[[], None]:
    """Appends them all, one by one."""

    def work() -> None:
        for message in batch:
            session.append(message)

    return work


def far_into_a_session(options: Options) -> Iterator[Figure]:
    """The 100,001st message costs what the first ones cost."""
    rng = random.Random(4)
    batch = [corpus.message(rng, number) for number in range(OPS)]
    short = ledgers.open_ledger(options.scratch / "short.db")
    long = ledgers.open_ledger(options.scratch / "long.db")
    early, late = short.create(), long.create()
    ledgers.fill(late, LONG)
    works = {"early": appender(early, batch), "late": appender(late, batch)}
    series = interleave(works, rounds=ROUNDS, ops=OPS)
    yield Figure(
        name=f"append at {LONG:,} / at 0",
        value=series.ratio("late", "early"),
        unit="x",
        at_most=1.15,
        cpu=series.median("late"),
        wall=series.median("late", "wall"),
    )
    counts = {"0": counted(short, early, batch), f"{LONG:,}": counted(long, late, batch)}
    for what in ("statements", "VM steps", "pages read", "pages written"):
        at_0, at_long = (count[what] for count in counts.values())
        yield Figure(
            name=f"{what} per append at {LONG:,}",
            value=at_long,
            at_most=at_0 if what == "statements" else at_0 + max(2.0, at_0 * 0.15),
            ratio=at_long / max(at_0, 1e-9),
            note=f"at 0: {at_0:.1f}",
        )
    short.close()
    long.close()


def counted(
    ledger: clew.Ledger, session: clew.Session, batch: list[dict[str, Any]]
) -> dict[str, float]:
    """What SQLite itself counts for one append: no clock, so no noise."""
    connection: apsw.Connection = ledger._database._connection  # type: ignore[attr-defined]
    before: Counter[int] = Counter()
    steps: list[int] = []

    def seen(event: dict[str, Any]) -> None:
        # A prepared statement's counter goes on from one run to the next.
        total = event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]
        steps.append(total - before[event["id"]])
        before[event["id"]] = total

    connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, seen)
    work = appender(session, batch)
    work()
    steps.clear()
    read, written = pages(connection)
    work()
    read, written = pages(connection)[0] - read, pages(connection)[1] - written
    connection.trace_v2(0, None)
    return {
        "statements": len(steps) / OPS,
        "VM steps": sum(steps) / OPS,
        "pages read": read / OPS,
        "pages written": written / OPS,
    }


def pages(connection: apsw.Connection) -> tuple[int, int]:
    """How many pages a connection has looked at and written so far."""
    hit, miss, written = (
        connection.status(kind)[0]
        for kind in (
            apsw.SQLITE_DBSTATUS_CACHE_HIT,
            apsw.SQLITE_DBSTATUS_CACHE_MISS,
            apsw.SQLITE_DBSTATUS_CACHE_WRITE,
        )
    )
    return hit + miss, written
