"""Functions for exports by several processes, in a module by a name; one to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import clew
from clew.exporting import Recipe, plan
from clew.exporting.job import ExportOptions


def judge(row: dict[str, Any]) -> str | None:
    """A verifier that prints, and starts a program that does."""
    print("judging", row["session_id"])
    subprocess.run([sys.executable, "-c", "print(input('?') or 1)"], check=False)
    return "success" if "ask 1" in str(row["messages"]) else None


def raises(row: dict[str, Any]) -> str | None:
    """A verifier with a fault."""
    raise FileNotFoundError(f"no sources of {len(row['messages'])} messages")


class OddError(Exception):
    """One that cannot be sent to another process."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what)
        self.why = why


def raises_oddly(row: dict[str, Any]) -> str | None:
    """A verifier with a fault of its own kind."""
    raise OddError("the jar is open", row["session_id"])


def makes_up(row: dict[str, Any]) -> str | None:
    """A verifier that gives what is no outcome."""
    return "fine"


def dies_once(row: dict[str, Any]) -> str | None:
    """Its process is killed the first time it is asked, wherever that is."""
    try:
        Path(os.environ["CLEW_TEST_DIED"]).open("x").close()
    except FileExistsError:
        return None
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def always_dies(row: dict[str, Any]) -> str | None:
    """Its process is killed each time."""
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def export_slowly(url: str, output: str, workers: int) -> None:
    """An export that says after its second step that it goes on, and then waits to be killed."""
    plan.UNIT_SESSIONS = 2  # type: ignore[misc]
    steps = 0

    def waits(_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            print("under way", flush=True)
            signal.pause()

    with clew.open(url) as ledger:
        ledger.export(
            Recipe(), output=output, options=ExportOptions(workers=workers), on_progress=waits
        )
