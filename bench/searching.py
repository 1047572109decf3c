"""Search over many messages: a published mix of queries, and what indexing costs the writer.

The ledger is built once and kept in the temporary folder, since building takes longer than
measuring; it is built anew when the code that decides its contents changes.
"""

from __future__ import annotations

import hashlib
import math
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Literal

import msgspec

import clew
from bench import corpus, ledgers
from bench.harness import Figure, Options, measure, percentile
from clew.drafts import message_draft
from clew.moves import ANY

TITLE = "searching: full text"
MESSAGES = 200_000
MESSAGES_FULL = 1_000_000
MESSAGES_POSTGRES = 20_000
SESSION_MESSAGES = 2_000
FILL_BATCH = 500
DAYS = 90
FIRST_MS = 1_780_000_000_000
SENTENCES = (
    "数据库事务在提交之前不会确认",
    "検索エンジンは索引を作る",
    "검색 색인은 뒤에서 따라간다",
)
NEEDLE_EVERY = 20_000
REPEATS = 12

PACE = 1_000
STREAM_SECONDS = 1.5
STREAM_ROUNDS = 8

Order = Literal["newest", "rank"]


class Query(msgspec.Struct, frozen=True):
    """One class of the mix: queries that are asked in turn."""

    name: str
    texts: tuple[str, ...]
    filters: dict[str, Any] = {}


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    count = options.messages or (MESSAGES_FULL if options.full else MESSAGES)
    folder, built = cached(count)
    if built:
        yield from built
    with ledgers.open_ledger(folder / "ledger.db", search=True) as ledger:
        yield from index_size(ledger, count)
        yield from asked(ledger, f"{count:,}")
    if options.postgres:
        count = min(count, MESSAGES_POSTGRES)
        with clew.open(options.postgres, durability="normal", search=True) as ledger:
            yield from build(ledger, count)
            yield from asked(ledger, f"PostgreSQL, {count:,}")
    yield from stream(options.scratch)


# --- the ledger ------------------------------------------------------------------------------


def cached(count: int) -> tuple[Path, list[Figure]]:
    """The folder with the ledger, and the figures of building it when that was done now."""
    folder = Path(tempfile.gettempdir()) / f"clew-bench-search-{count}"
    mark = folder / "built-by"
    if mark.exists() and mark.read_text() == fingerprint():
        return folder, []
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    with ledgers.open_ledger(folder / "ledger.db", search=True) as ledger:
        figures = list(build(ledger, count))
    mark.write_text(fingerprint())
    return folder, figures


def fingerprint() -> str:
    """Of the code that decides what is in the ledger and its index."""
    package, here = Path(clew.__file__).parent, Path(__file__).parent
    files = [
        *sorted((package / "search").glob("*.py")),
        *sorted((package / "db").glob("*.py")),
        *sorted((package / "db" / "sql").rglob("*.sql")),
        here / "corpus.py",
        here / "searching.py",
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def build(ledger: clew.Ledger, count: int) -> Iterator[Figure]:
    """Fill a ledger with messages of 90 days and index them."""
    # The index would be built beside; both are timed apart, so it waits.
    ledger._searcher._closing = True  # type: ignore[union-attr]
    filled = measure(lambda: fill(ledger, count), count)
    ledger._searcher._closing = False  # type: ignore[union-attr]
    indexed = measure(ledger.index_now, count)
    for name, sample in (("append in batches of 500", filled), ("index, one message", indexed)):
        yield Figure(
            name=f"{name}, {count:,} in all",
            value=sample.process * 1e6,
            unit="us",
            cpu=sample.process,
            wall=sample.wall,
        )


def fill(ledger: clew.Ledger, count: int) -> None:
    """Sessions of 2,000 messages of 100 to 1,200 characters, each at its time."""
    rng = random.Random(11)
    session = ledger.create()
    spoken = iter(range(count))
    step = DAYS * 86_400_000 // count
    while numbers := list(islice(spoken, FILL_BATCH)):
        if numbers[0] % SESSION_MESSAGES == 0:
            session = ledger.create()
        drafts = [
            message_draft(message(rng, number), time_ms=FIRST_MS + number * step)
            for number in numbers
        ]
        session._write(session._append_unit(drafts, ANY, None))


def message(rng: random.Random, number: int) -> dict[str, Any]:
    """A chat message; now and then it says something that few others do."""
    size = int(math.exp(rng.uniform(math.log(100), math.log(1200))))
    role = "assistant" if number % 2 else "user"
    content = corpus.text(rng, size)
    if number % 50 == 7:
        content += f" {SENTENCES[number // 50 % len(SENTENCES)]}"
    if number % NEEDLE_EVERY == 13:
        content += f" needle{number // NEEDLE_EVERY} handleRequestTimeout"
    return {"role": role, "content": content}


# --- questions -------------------------------------------------------------------------------


def mix(ledger: clew.Ledger) -> list[Query]:
    """The published mix: twelve classes, each asked newest first and by rank."""
    vocabulary, words = corpus.vocabulary()[0], corpus.pool()
    sessions = ledger.sessions(limit=20)
    late = FIRST_MS + (DAYS - 3) * 86_400_000
    common = ("error", "function value", "test file")
    return [
        Query("rare word", ("needle0", "handleRequestTimeout", "needle0 handlerequesttimeout")),
        Query("medium word", tuple(vocabulary[rank] for rank in (3000, 5000, 9000))),
        Query("common word", ("error", "function", "test")),
        Query("two common words", ("error function", "file value", "return test")),
        Query("phrase", tuple(f'"{" ".join(words[at : at + 3])}"' for at in (500, 9000, 70000))),
        Query("common phrase", ('"the file"', '"the error"', '"test the"')),
        Query("prefix", tuple(f"{vocabulary[rank][:5]}*" for rank in (40, 400, 4000))),
        Query("OR and NOT", ("(error OR test) NOT return", "function NOT (file OR value)")),
        Query("in one session", common, {"session": sessions[len(sessions) // 2].id}),
        Query("one kind", common, {"kind": "assistant"}),
        Query("last three days", common, {"since": late}),
        Query("CJK", ("事务", "索引", "색인", '"提交之前"')),
    ]


def asked(ledger: clew.Ledger, where: str) -> Iterator[Figure]:
    """p50 and p95 of each class, hits with snippets included."""
    classes = mix(ledger)
    orders: tuple[tuple[Order, float], ...] = (("newest", 0.002), ("rank", 0.015))
    for order, limit in orders:
        every: list[float] = []
        every_cpu: list[float] = []
        for query in classes:
            cpu, wall, hits = ask(ledger, query, order)
            every_cpu += cpu
            every += wall
            p50, p95 = (percentile(wall, share) * 1e3 for share in (0.5, 0.95))
            yield Figure(
                name=f"{query.name}, {order}, {where}: p50 by CPU",
                value=percentile(cpu, 0.5) * 1e3,
                unit="ms",
                at_most=limit * 1e3 if ledger._database.dialect == "sqlite" else None,
                cpu=median(cpu),
                wall=median(wall),
                note=f"wall p50 {p50:.2f}, p95 {p95:.2f} ms; {hits:.0f} hits",
            )
        for share in (0.5, 0.95):
            yield Figure(
                name=f"whole mix, {order}, {where}: p{share * 100:.0f}",
                value=percentile(every, share) * 1e3,
                unit="ms",
                cpu=percentile(every_cpu, share),
                wall=percentile(every, share),
                note="by the wall",
            )


def ask(ledger: clew.Ledger, query: Query, order: Order) -> tuple[list[float], list[float], float]:
    """CPU and wall seconds of every answer but the first ones, and the mean number of hits."""
    cpu, wall, hits = [], [], 0
    for number in range(REPEATS + 1):
        for text in query.texts:
            found: list[clew.Results] = []
            search = partial(ledger.search, text, order=order, **query.filters)
            sample = measure(partial(keep, search, found))
            if number:
                cpu.append(sample.thread)
                wall.append(sample.wall)
                hits += len(found[0].hits)
    return cpu, wall, hits / len(cpu)


def keep(search: Callable[[], clew.Results], found: list[clew.Results]) -> None:
    """Search and keep the answer."""
    found.append(search())


def index_size(ledger: clew.Ledger, count: int) -> Iterator[Figure]:
    """How much room the index takes beside the ledger."""
    sizes = ledger._database.size()
    yield Figure(
        name=f"index, bytes a message, {count:,} in all",
        value=sizes["search"] / count,
        unit="B",
        ratio=sizes["search"] / sizes["database"],
        note="ratio: to the ledger's file",
    )


# --- beside a stream of appends --------------------------------------------------------------


def stream(scratch: Path) -> Iterator[Figure]:
    """Appends at 1,000 a second with the index following, and without."""
    plain = ledgers.open_ledger(scratch / "off.db")
    indexed = ledgers.open_ledger(scratch / "on.db", search=True)
    sessions = {"off": plain.create(), "on": indexed.create()}
    for session in sessions.values():
        ledgers.fill(session, 5_000, size=400)
    indexed.index_now()
    messages = list(corpus.messages(int(PACE * STREAM_SECONDS), seed=9, size=400))
    found: dict[str, list[list[float]]] = {"off": [], "on": []}
    for number in range(STREAM_ROUNDS):
        for name in ("off", "on") if number % 2 else ("on", "off"):
            found[name].append(waits(sessions[name], messages)[0])
    pairs = list(zip(found["on"], found["off"], strict=True))
    for share in (0.5, 0.99):
        on, off = (
            median(percentile(each, share) for each in found[name]) for name in ("on", "off")
        )
        yield Figure(
            name=f"append p{share * 100:.0f} at {PACE:,}/s, search on / off",
            value=median(percentile(one, share) / percentile(two, share) for one, two in pairs),
            unit="x",
            at_most=1.2 if share == 0.99 else None,
            wall=on,
            note=f"off: {off * 1e6:.0f} us",
        )
    lags = lag(indexed, sessions["on"], messages)
    for share in (0.5, 0.99):
        yield Figure(
            name=f"index lag at {PACE:,}/s, p{share * 100:.0f}",
            value=percentile(lags, share) * 1e3,
            unit="ms",
            at_most=50.0,
            wall=percentile(lags, share),
        )
    plain.close()
    indexed.close()


def waits(
    session: clew.Session, messages: list[dict[str, Any]]
) -> tuple[list[float], list[tuple[int, float]]]:
    """Seconds that each append of a paced stream took; and when which entry was there."""
    took, there = [], []
    start = time.perf_counter()
    for number, each in enumerate(messages):
        due = start + number / PACE
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        begun = time.perf_counter()
        entry = session.append(each)
        done = time.perf_counter()
        took.append(done - begun)
        there.append((entry.seq, done))
    return took, there


def lag(ledger: clew.Ledger, session: clew.Session, messages: list[dict[str, Any]]) -> list[float]:
    """Seconds from each append to the index covering it, as another reader sees it."""
    index = ledger._database.search_index()
    seen: list[tuple[int, float]] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.003):
            covered = index.marks().get(session._key, 0)
            if not seen or seen[-1][0] != covered:
                seen.append((covered, time.perf_counter()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    there = waits(session, messages)[1]
    deadline = time.perf_counter() + 10
    while (not seen or seen[-1][0] < there[-1][0]) and time.perf_counter() < deadline:
        time.sleep(0.01)
    stop.set()
    watcher.join()
    index.close()
    marks = iter(seen)
    covered, at = next(marks)
    found = []
    for seq, done in there:
        while covered < seq:
            covered, at = next(marks)
        found.append(max(at - done, 0.0))
    return found
