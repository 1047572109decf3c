"""Reading: a whole history against bare rows, and a view that does not see what is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from bench import corpus, ledgers
from bench.harness import Figure, Options, Work, interleave

TITLE = "reading: history and view"
LENGTH = 10_000
BEFORE = (100, 100_000)
KEPT = 50


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    yield from whole_history(options)
    yield from after_compaction(options)


def whole_history(options: Options) -> Iterator[Figure]:
    """`history()` gives messages with parts; the floor is rows and plain JSON values."""
    raw = ledgers.apsw_table(options.scratch / "raw.db")
    with raw:
        bodies = (msgspec.json.encode(each) for each in corpus.messages(LENGTH))
        raw.executemany(ledgers.INSERT, enumerate(bodies, 1))
    ledger = ledgers.open_ledger(options.scratch / "history.db")
    session = ledger.create()
    ledgers.fill(session, LENGTH)
    decode = msgspec.json.decode

    def floor() -> None:
        rows = raw.execute(
            "select seq, role, time_ms, body from message where session = 1 order by seq"
        )
        found = [(seq, role, time_ms, decode(body)) for seq, role, time_ms, body in rows]
        assert len(found) == LENGTH

    def history() -> None:
        assert len(session.history()) == LENGTH

    series = interleave({"floor": floor, "history": history}, rounds=9, ops=LENGTH)
    yield series.figure("row + decode, one message", "floor")
    yield series.figure("history, one message", "history")
    yield Figure(
        name=f"history of {LENGTH:,} / rows + decode",
        value=series.ratio("history", "floor"),
        unit="x",
        at_most=2.0,
    )
    raw.close()
    ledger.close()


def after_compaction(options: Options) -> Iterator[Figure]:
    """The context that a model gets, with little and with much before the cut."""
    works: dict[str, Work] = {}
    opened = []
    for count in BEFORE:
        ledger = ledgers.open_ledger(options.scratch / f"view{count}.db")
        opened.append(ledger)
        session = ledger.create()
        ledgers.fill(session, count, size=300)
        session.compact(summary="So far, so good.", keep_from=session.entries(after=count - 1)[0])
        ledgers.fill(session, KEPT, seed=2)
        works[str(count)] = session.view
        works[f"tail {count}"] = partial(session.tail, KEPT)
    series = interleave(works, rounds=41)
    short, long = map(str, BEFORE)
    for what, prefix in ((f"view of {KEPT} kept", ""), (f"tail of {KEPT}", "tail ")):
        yield series.figure(f"{what}, {BEFORE[0]:,} before", prefix + short)
        yield series.figure(f"{what}, {BEFORE[1]:,} before", prefix + long)
        yield Figure(
            name=f"{what}: {BEFORE[1]:,} / {BEFORE[0]:,} before",
            value=series.ratio(prefix + long, prefix + short),
            unit="x",
            at_most=1.15,
        )
    for ledger in opened:
        ledger.close()
