"""Figures as tables for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence

import apsw
import msgspec

from bench.harness import Figure

COLUMNS = ("figure", "goal", "measured", "ratio", "CPU", "wall", "")
VERDICTS = {True: "met", False: "MISSED", None: ""}


def number(value: float | None, unit: str = "") -> str:
    """Three digits are as many as a measurement has."""
    if value is None:
        return "-"
    text = f"{value:,.0f}" if value == 0 or abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def seconds(value: float | None) -> str:
    """A time in the unit that suits it."""
    if value is None:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return number(value / size, unit)
    return number(value * 1e6, "us")


def cells(figure: Figure) -> tuple[str, ...]:
    """One line of a table."""
    goal = ""
    if figure.at_most is not None:
        goal = f"<= {number(figure.at_most, figure.unit)}"
    elif figure.at_least is not None:
        goal = f">= {number(figure.at_least, figure.unit)}"
    ratio = "" if figure.ratio is None else number(figure.ratio, "x")
    last = " ".join(filter(None, (VERDICTS[figure.met], figure.note)))
    measured = number(figure.value, figure.unit) if figure.value is not None else "not measured"
    return (
        figure.name, goal, measured, ratio, seconds(figure.cpu), seconds(figure.wall), last
    )  # fmt: skip


def table(figures: Sequence[Figure]) -> str:
    """The lines of one bench."""
    rows = [COLUMNS, *(cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    widths[-1] = 0
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 0 < column < len(COLUMNS) - 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def summary(found: Mapping[str, Sequence[Figure]]) -> str:
    """How many goals each bench met, and which it missed."""
    lines = ["bench         goals   met  missed"]
    for name, figures in found.items():
        judged = [figure for figure in figures if figure.met is not None]
        missed = [figure for figure in judged if not figure.met]
        counts = f"{name:<12}{len(judged):>7}{len(judged) - len(missed):>6}{len(missed):>8}"
        lines.append(f"{counts}  {'; '.join(figure.name for figure in missed)}".rstrip())
    return "\n".join(lines)


def machine() -> dict[str, object]:
    """Where the figures come from."""
    return {
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def as_json(found: Mapping[str, Sequence[Figure]]) -> str:
    """Everything, machine-readable: times in seconds, `met` as it was judged."""
    benches = {
        name: [msgspec.structs.asdict(figure) | {"met": figure.met} for figure in figures]
        for name, figures in found.items()
    }
    text = msgspec.json.encode({"machine": machine(), "benches": benches})
    return msgspec.json.format(text, indent=2).decode()
