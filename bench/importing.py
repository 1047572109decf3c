"""Bringing in histories of Claude Code and Codex: how fast, and how big the ledger becomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import zstandard

from bench import claude_files, codex_files, ledgers
from bench.harness import Figure, Options, Series, measure

TITLE = "importing: histories of Claude Code and Codex"
FILES = 8
FILE_BYTES = 5_000_000
ROUNDS = 5
MB = 1e6
FRAME_BYTES = 256 * 1024
FIXTURES = Path(__file__).resolve().parent.parent.parent / "shared" / "fixtures"
AGENTS: dict[str, Callable[..., int]] = {
    "claude-code": claude_files.write,
    "codex": codex_files.write,
}


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    for agent in AGENTS:
        yield from fresh(options.scratch, agent)
    for agent in AGENTS:
        yield recorded(options.scratch, agent)


def fresh(scratch: Path, agent: str) -> Iterator[Figure]:
    """A first import, against parsing and compressing the same bytes."""
    root = scratch / agent
    size = AGENTS[agent](root, files=FILES, file_bytes=FILE_BYTES)
    series = Series(("import", "floor"))
    share, records = 0.0, 0
    for number in range(ROUNDS):
        path = scratch / f"{agent}{number}.db"
        with ledgers.open_ledger(path) as ledger:
            series.samples["import"].append(measure(partial(ledger.import_from, root)))
            records = ledger.stats().entries
            assert records, "nothing was imported"
        share = path.stat().st_size / size
        path.unlink()
        series.samples["floor"].append(measure(lambda: parse_and_pack(root)))
    cpu = series.median("import", "process")
    yield Figure(
        name=f"{agent}, {size / MB:.0f} MB, {records:,} records",
        value=size / MB / cpu,
        unit="MB/s",
        at_least=60.0,
        ratio=series.ratio("import", "floor", "process"),
        cpu=cpu,
        wall=series.median("import", "wall"),
        note="by CPU; ratio: to parsing and compressing alone",
    )
    yield Figure(
        name=f"{agent}, one record", value=cpu / records * 1e6, unit="us", cpu=cpu / records
    )
    yield Figure(name=f"{agent}, ledger / source, bytes", value=share, unit="x", at_most=0.4)


def parse_and_pack(root: Path) -> None:
    """What nobody can leave out who reads these files and keeps them compressed."""
    packer = zstandard.ZstdCompressor(level=3)
    for path in root.rglob("*.jsonl"):
        data = path.read_bytes()
        for line in data.splitlines():
            msgspec.json.decode(line)
        for start in range(0, len(data), FRAME_BYTES):
            packer.compress(data[start : start + FRAME_BYTES])


def recorded(scratch: Path, agent: str) -> Figure:
    """Recorded histories, where there are some: many small files, so no goal."""
    folder = FIXTURES / agent
    if not folder.is_dir():
        return Figure(name=f"{agent}, recorded", note="none on this machine")
    with ledgers.open_ledger(scratch / f"{agent}-recorded.db") as ledger:
        cpu, wall = time.process_time(), time.perf_counter()
        found = ledger.import_from(folder, importer=agent)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Figure(
        name=f"{agent}, {found.files} recorded files, {found.bytes / MB:.1f} MB",
        value=found.bytes / MB / cpu,
        unit="MB/s",
        cpu=cpu,
        wall=wall,
        note=f"{found.records:,} records, {len(found.notes)} notes",
    )
