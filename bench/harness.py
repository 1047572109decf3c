"""Measuring and figures: interleaved rounds, three clocks, goals.

A *sample* is what one operation cost in one round: CPU of the calling thread, CPU of the whole
process (with the threads that work behind it) and wall time. Only samples of one round are ever
divided by each other.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Literal

import msgspec

Clock = Literal["thread", "process", "wall"]
Work = Callable[[], object]


class Options(msgspec.Struct, frozen=True):
    """What the command line says. `scratch` is an empty folder that goes afterwards."""

    scratch: Path
    full: bool = False
    messages: int = 0
    """How many messages the search bench holds; 0 for its own default."""
    postgres: str | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table. `value` is `None` where nothing could be measured; `note` says why.
    `ratio` and `cpu`/`wall` (seconds) stand beside it where the figure is a time."""

    name: str
    value: float | None = None
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    ratio: float | None = None
    cpu: float | None = None
    wall: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; `None` without a goal or a value."""
        if self.value is None or (self.at_most is None and self.at_least is None):
            return None
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)


class Sample(msgspec.Struct, frozen=True):
    """Seconds for one operation."""

    thread: float
    process: float
    wall: float

    def on(self, clock: Clock) -> float:
        """The seconds of one clock."""
        seconds: float = getattr(self, clock)
        return seconds


def measure(work: Work, ops: int = 1) -> Sample:
    """Run `work`, which does `ops` operations, once."""
    wall, process, thread = time.perf_counter(), time.process_time(), time.thread_time()
    work()
    thread, process = time.thread_time() - thread, time.process_time() - process
    return Sample(thread / ops, process / ops, (time.perf_counter() - wall) / ops)


class Series:
    """The samples of several variants, round by round."""

    def __init__(self, names: Iterable[str]) -> None:
        self.samples: dict[str, list[Sample]] = {name: [] for name in names}

    def median(self, name: str, clock: Clock = "thread") -> float:
        """The median of a variant's rounds."""
        return median(sample.on(clock) for sample in self.samples[name])

    def ratio(self, name: str, base: str, clock: Clock = "thread") -> float:
        """The median over the rounds of what `name` took in terms of `base`."""
        pairs = zip(self.samples[name], self.samples[base], strict=True)
        return median(one.on(clock) / max(other.on(clock), 1e-9) for one, other in pairs)

    def figure(
        self, name: str, variant: str, base: str | None = None, **rest: float | str
    ) -> Figure:
        """A figure in microseconds of the calling thread's CPU, wall and ratio beside it."""
        cpu = self.median(variant)
        return msgspec.convert(
            {
                "name": name,
                "value": cpu * 1e6,
                "unit": "us",
                "ratio": self.ratio(variant, base) if base else None,
                "cpu": cpu,
                "wall": self.median(variant, "wall"),
                **rest,
            },
            Figure,
        )


def interleave(
    variants: Mapping[str, Work], *, rounds: int, ops: int | Mapping[str, int] = 1
) -> Series:
    """Run every variant once a round, in an order that turns; a first round does not count."""
    names = list(variants)
    series = Series(names)
    for number in range(rounds + 1):
        gc.collect()
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            sample = measure(variants[name], ops if isinstance(ops, int) else ops[name])
            if number:
                series.samples[name].append(sample)
    return series


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` of all lie."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
