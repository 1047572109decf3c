"""Export: what it costs to turn sessions into training rows, against the usual way of doing it.

The usual way asks for each session's messages, twice for its telemetry, and goes with one regular
expression after the other over every text (Lynkr's and LangSmith's exporters do so). It redacts ten
kinds of secrets, and loses which result belongs to which call.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench import agents, ledgers
from bench.harness import Figure, Options

TITLE = "exporting: sessions as training rows"
FEW, SESSIONS, SESSIONS_FULL = 200, 1_200, 10_000
WHOLE = 10_000
"""Figures are told for so many sessions."""
MB = 1e6
USUAL = tuple(
    re.compile(pattern)
    for pattern in (
        r"sk-ant-[A-Za-z0-9_-]{20,}",
        r"sk-[A-Za-z0-9_-]{20,}",
        r"ghp_[A-Za-z0-9]{36}",
        r"AKIA[0-9A-Z]{16}",
        r"xox[baprs]-[A-Za-z0-9-]{10,}",
        r"(?i)bearer\s+[A-Za-z0-9._~+/-]{16,}",
        r"(?i)(?:password|passwd|secret|token|api_?key)\s*[:=]\s*['\"]?[^\s'\"]{8,}",
        r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}\.[A-Za-z]{2,}",
        r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b",
        r"/(?:home|Users)/[A-Za-z0-9._-]+",
        r"postgres(?:ql)?://[^\s:@]+:[^\s@]+@",
    )
)
_RUN = """
import sys, time, json
from pathlib import Path
import clew
from clew.exporting import ExportOptions, Recipe, Redaction
ledger = clew.open(sys.argv[1])
recipe = Recipe(redaction=Redaction() if sys.argv[2] == "redacted" else None)
options = ExportOptions(workers=int(sys.argv[3]))
cpu, wall = time.process_time(), time.perf_counter()
done = ledger.export(recipe, output=sys.argv[4], options=options)
took = time.process_time() - cpu, time.perf_counter() - wall
# The process's own peak: what getrusage tells may be that of the one that started it.
status = Path("/proc/self/status").read_text().splitlines()
rss = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
print(json.dumps([*took, rss, done.rows, done.bytes, done.sha256]))
"""


def run(options: Options) -> Iterator[Figure]:
    """The figures. Rules are compiled once whatever is exported, so without `--full` a few sessions
    and many are exported, and the line through both is followed.
    """
    counts = (SESSIONS_FULL,) if options.full else (FEW, SESSIONS)
    paths = [_filled(options.scratch, count) for count in counts]
    usual = _whole([usual_way(path, options.scratch / "usual.jsonl") for path in paths], counts)
    for name, most in (("raw", 3.0), ("redacted", 8.0)):
        done = [_export(options.scratch, path, name) for path in paths]
        assert [each[3] for each in done] == list(counts), "sessions are missing"
        cpu = _whole([each[0] for each in done], counts)
        wall = _whole([each[1] for each in done], counts)
        size = _whole([each[4] for each in done], counts)
        yield Figure(
            name=f"{name}, {WHOLE:,} sessions ({size / MB:.0f} MB out)",
            value=cpu,
            unit="CPU-s",
            at_most=most,
            cpu=cpu,
            wall=wall,
            note="" if options.full else f"from exports of {FEW} and {SESSIONS:,}",
        )
        yield Figure(
            name=f"{name}, most resident of {counts[-1]:,}",
            value=done[-1][2],
            unit="MB",
            at_most=64.0,
        )
        yield Figure(
            name=f"the usual way / {name}",
            value=usual / cpu,
            unit="x",
            at_least=5.0 if name == "redacted" else None,
        )
    yield workers(options.scratch, paths[-1])


def _filled(scratch: Path, count: int) -> Path:
    path = scratch / f"agents{count}.db"
    with ledgers.open_ledger(path) as ledger:
        agents.fill(ledger, count)
    return path


def _whole(values: list[float], counts: tuple[int, ...]) -> float:
    """What `WHOLE` sessions cost, by what one or two other numbers of them did."""
    if len(values) == 1:
        return values[0] * WHOLE / counts[0]
    slope = (values[1] - values[0]) / (counts[1] - counts[0])
    return values[0] + slope * (WHOLE - counts[0])


def workers(scratch: Path, path: Path) -> Figure:
    """What a second process gains, and that it writes the same."""
    one, two = (_export(scratch, path, "redacted", count) for count in (1, 2))
    assert one[-1] == two[-1], "two workers wrote other bytes than one"
    return Figure(name="wall of one worker / of two", value=one[1] / two[1], unit="x")


Result = tuple[float, float, float, int, int, str]


def _export(scratch: Path, path: Path, what: str, workers: int = 1) -> Result:
    """One export in a process of its own: CPU and wall in seconds, most resident MB, …"""
    out = scratch / f"{what}{workers}.{time.perf_counter_ns()}.jsonl"
    told = subprocess.run(
        [sys.executable, "-c", _RUN, str(path), what, str(workers), str(out)],
        capture_output=True,
        check=True,
        text=True,
    )
    out.unlink()
    cpu, wall, rss, rows, size, digest = json.loads(told.stdout)
    return cpu, wall, rss, rows, size, digest


def usual_way(path: Path, out: Path) -> float:
    """CPU seconds for the same sessions, done as exporters are usually written."""
    source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    began = time.process_time()
    with out.open("w", encoding="utf-8") as stream:
        for key, id in source.execute("select key, id from session order by key").fetchall():
            query = "select role, body from entry where session = ? order by seq"
            rows = source.execute(query, (key,)).fetchall()
            telemetry = [
                source.execute("select * from usage where session = ?", (key,)).fetchall()
                for _ in range(2)
            ]
            messages = [_clean(_decoded(body)) for _, body in rows]
            row = {"session_id": id, "messages": messages, "calls": len(telemetry[0])}
            stream.write(json.dumps(row) + "\n")
    took = time.process_time() - began
    source.close()
    out.unlink()
    return took


def _decoded(body: bytes | None) -> object:
    return None if body is None else msgspec.json.decode(body)


def _clean(value: object) -> object:
    if isinstance(value, str):
        for pattern in USUAL:
            value = pattern.sub("<REDACTED>", value)
        return value
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value
