"""What gathering takes beside time for new records: memory, a look at what did not change, disk."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import clew
from bench import claude_files, ledgers
from bench.harness import Figure, Options, Work, measure
from bench.importing import AGENTS, FIXTURES, MB
from clew.watching import watch

TITLE = "gathering: memory, unchanged files, disk"
BIG_BYTES = 300_000_000
LESS_BYTES = 100_000_000
LINE_BYTES = 60_000_000
MANY_FILES = 10_000
SMALL_BYTES = 6_000
LOOKS = 5
MIB = 1 << 20

IMPORT = """
import sys
from pathlib import Path
import clew
with clew.open(f"sqlite:///{sys.argv[2]}", durability="normal", search=False) as ledger:
    assert ledger.import_from(sys.argv[1]).added
status = Path("/proc/self/status")
if status.exists():
    # The process's own peak: what getrusage tells may be that of the one that started it.
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    print(int(line.split()[1]) * 1024)
else:
    import resource
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    for agent in AGENTS:
        yield from memory(options.scratch, agent)
    yield long_line(options.scratch)
    yield from unchanged(options.scratch)
    yield disk(options.scratch)


def memory(scratch: Path, agent: str) -> Iterator[Figure]:
    """The most that a process holds which imports one big file, against one a third as big: the
    database's own cache (16 MiB) is full in both.
    """
    root = scratch / f"{agent}-big"
    AGENTS[agent](root, files=1, file_bytes=BIG_BYTES)
    big = peak(root, scratch / "big.db")
    (path,) = (each for each in root.rglob("*") if each.is_file())
    with path.open("r+b") as file:
        file.seek(LESS_BYTES)
        file.readline()
        file.truncate()
    less = peak(root, scratch / "less.db")
    path.unlink()
    size = f"{BIG_BYTES / MB:.0f} MB"
    yield Figure(
        name=f"{agent}, peak resident, one file of {size}",
        value=big / MIB,
        unit="MiB",
        note=f"of {LESS_BYTES / MB:.0f} MB: {less / MIB:.0f}",
    )
    yield Figure(name=f"{agent}, {size} / a third of it", value=big / less, unit="x", at_most=1.1)


def long_line(scratch: Path) -> Figure:
    """One record of many bytes has to be held whole: what is told is how often."""
    folder = scratch / "line"
    folder.mkdir()
    message = {"role": "user", "content": "x" * LINE_BYTES}
    record = {"type": "user", "sessionId": "s", "uuid": "u", "cwd": "/srv", "message": message}
    (folder / "s.jsonl").write_text(json.dumps(record) + "\n")
    held = peak(folder, scratch / "line.db")
    return Figure(
        name=f"peak resident, one line of {LINE_BYTES / MB:.0f} MB",
        value=held / MIB,
        unit="MiB",
        ratio=held / LINE_BYTES,
        note="ratio: to the line",
    )


def peak(root: Path, database: Path) -> int:
    """The resident bytes of a fresh process that imports a folder, at their most."""
    command = [sys.executable, "-c", IMPORT, str(root), str(database)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()
    return int(found.stdout)


def unchanged(scratch: Path) -> Iterator[Figure]:
    """Looking at many files that are all known, as a timer or a watcher does that begins."""
    root = scratch / "many"
    claude_files.write(root, files=MANY_FILES, file_bytes=SMALL_BYTES, seed=2)
    with ledgers.open_ledger(scratch / "many.db") as ledger:
        first = measure(partial(ledger.import_from, root))
        looks: dict[str, Work] = {
            "clew import": partial(ledger.import_from, root),
            "clew watch --once": partial(watch, ledger, [root], once=True),
        }
        found = {name: [measure(look) for _ in range(LOOKS)] for name, look in looks.items()}
        assert ledger.stats().sessions == MANY_FILES
    yield Figure(
        name=f"first pass, one of {MANY_FILES:,} files",
        value=first.process / MANY_FILES * 1e3,
        unit="ms",
        cpu=first.process / MANY_FILES,
        wall=first.wall / MANY_FILES,
    )
    for name, samples in found.items():
        middle = sorted(samples, key=lambda sample: sample.wall)[LOOKS // 2]
        yield Figure(
            name=f"{name}, {MANY_FILES:,} unchanged files",
            value=middle.wall,
            unit="s",
            at_most=2.0,
            cpu=middle.process,
            wall=middle.wall,
        )


def disk(scratch: Path) -> Figure:
    """All files of the ledger behind an import of recorded histories, with the index."""
    folder = FIXTURES / "claude-code"
    name = "ledger with its index / recorded Claude Code histories, bytes"
    if not folder.is_dir():
        return Figure(name=name, note="none on this machine")
    path = scratch / "recorded.db"
    with clew.open(f"sqlite:///{path}") as ledger:
        source = ledger.import_from(folder).bytes
        ledger.index_now()
    files = {each.name: each.stat().st_size for each in scratch.glob(f"{path.name}*")}
    told = ", ".join(f"{name} {size / MB:.1f} MB" for name, size in sorted(files.items()))
    return Figure(name=name, value=sum(files.values()) / source, unit="x", at_most=0.5, note=told)
