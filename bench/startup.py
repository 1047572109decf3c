"""How long it takes until something happens: `import clew`, `clew --help`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.harness import Figure, Options, Sample, Series

TITLE = "startup: in a new process"
ROUNDS = 11
COMMANDS = {
    "python": "pass",
    "import": "import clew",
    "open": "import clew; clew.open('sqlite:///:memory:').close()",
    "help": "import sys; sys.argv = ['clew', '--help']; from clew.cli import main; main()",
}


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    # As installed: compiled once, whatever this shell says about bytecode.
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(options.scratch)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    works = [name for name in COMMANDS if spawn(name, env) is not None]
    series = Series(works)
    for number in range(ROUNDS):
        turn = number % len(works)
        for name in works[turn:] + works[:turn]:
            sample = spawn(name, env)
            assert sample is not None, f"{name} worked before and fails now"
            series.samples[name].append(sample)
    names = {
        "python": ("python -c pass", None),
        "import": ("import clew", 80.0),
        "open": ("import clew, open in memory, close", None),
        "help": ("clew --help", 150.0),
    }
    for name, (title, limit) in names.items():
        if name not in works:
            yield Figure(name=title, note="it does not run here")
            continue
        cpu = series.median(name, "process")
        yield Figure(
            name=title,
            value=cpu * 1e3,
            unit="ms",
            at_most=limit,
            ratio=series.ratio(name, "python", "process"),
            cpu=cpu,
            wall=series.median(name, "wall"),
            note="whole process" if name != "python" else "",
        )


def spawn(name: str, env: dict[str, str]) -> Sample | None:
    """One run; `None` when it failed."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", COMMANDS[name]],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return None if child.returncode else Sample(cpu, cpu, wall)
