"""Bringing in Claude Code histories: how fast, how big, and a pass over what has not changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import zstandard

from bench import claude_files, ledgers
from bench.harness import Figure, Options, Series, measure

TITLE = "importing: Claude Code histories"
FILES = 8
FILE_BYTES = 5_000_000
ROUNDS = 3
SMALL_FILES = 1_000
SMALL_BYTES = 20_000
MB = 1e6
FRAME_BYTES = 256 * 1024
FIXTURES = Path(__file__).resolve().parent.parent.parent / "shared" / "fixtures" / "claude-code"


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    yield from fresh(options.scratch)
    yield from unchanged(options.scratch)
    yield from recorded(options.scratch)


def fresh(scratch: Path) -> Iterator[Figure]:
    """A first import, against parsing and compressing the same bytes."""
    root = scratch / "source"
    size = claude_files.write(root, files=FILES, file_bytes=FILE_BYTES)
    series = Series(("import", "floor"))
    shares, records = [], 0
    for number in range(ROUNDS):
        path = scratch / f"import{number}.db"
        with ledgers.open_ledger(path) as ledger:
            series.samples["import"].append(measure(partial(ledger.import_from, root)))
            records = ledger.stats().entries
            assert records, "nothing was imported"
            ledger._database.scrub()
            shares.append(ledger._database.size()["database"] / size)
        series.samples["floor"].append(measure(lambda: parse_and_pack(root)))
    cpu = series.median("import", "process")
    yield Figure(
        name=f"import of {size / MB:.0f} MB, {records:,} records",
        value=size / MB / cpu,
        unit="MB/s",
        at_least=40.0,
        ratio=series.ratio("import", "floor", "process"),
        cpu=cpu,
        wall=series.median("import", "wall"),
        note="by CPU; ratio: to parsing and compressing alone",
    )
    yield Figure(name="import, one record", value=cpu / records * 1e6, unit="us", cpu=cpu / records)
    yield Figure(name="ledger / source, bytes", value=shares[-1], unit="x", at_most=0.4)


def parse_and_pack(root: Path) -> None:
    """What nobody can leave out who reads these files and keeps them compressed."""
    packer = zstandard.ZstdCompressor(level=3)
    for path in root.rglob("*.jsonl"):
        data = path.read_bytes()
        for line in data.splitlines():
            msgspec.json.decode(line)
        for start in range(0, len(data), FRAME_BYTES):
            packer.compress(data[start : start + FRAME_BYTES])


def unchanged(scratch: Path) -> Iterator[Figure]:
    """Looking at many files that are all known: what a watcher does every so often."""
    root = scratch / "many"
    claude_files.write(root, files=SMALL_FILES, file_bytes=SMALL_BYTES, seed=2)
    with ledgers.open_ledger(scratch / "many.db") as ledger:
        first = measure(partial(ledger.import_from, root))
        again = [measure(partial(ledger.import_from, root)) for _ in range(5)]
    best = sorted(again, key=lambda sample: sample.wall)[len(again) // 2]
    yield Figure(
        name=f"first pass, one of {SMALL_FILES:,} files",
        value=first.process / SMALL_FILES * 1e3,
        unit="ms",
        cpu=first.process / SMALL_FILES,
        wall=first.wall / SMALL_FILES,
    )
    yield Figure(
        name=f"pass over {SMALL_FILES:,} unchanged files",
        value=best.wall,
        unit="s",
        at_most=1.0,
        cpu=best.process,
        wall=best.wall,
    )


def recorded(scratch: Path) -> Iterator[Figure]:
    """Recorded histories, where there are some: many small files, so no goal."""
    if not FIXTURES.is_dir():
        yield Figure(name="recorded histories", note="none on this machine")
        return
    with ledgers.open_ledger(scratch / "recorded.db") as ledger:
        started, wall = time.process_time(), time.perf_counter()
        found = ledger.import_from(FIXTURES)
        cpu, wall = time.process_time() - started, time.perf_counter() - wall
    yield Figure(
        name=f"{found.files} recorded files, {found.bytes / MB:.1f} MB",
        value=found.bytes / MB / cpu,
        unit="MB/s",
        cpu=cpu,
        wall=wall,
        note=f"{found.records:,} records, {len(found.notes)} notes",
    )
