"""Verbs that move a pointer: the same at message 100,000 as at 100, and against copying.

What other tools do for a checkpoint or a branch is to copy the transcript and read the copy:
64 MB of JSON lines stand for that.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

import clew
from bench import claude_files, ledgers
from bench.harness import Figure, Options, Sample, Series, interleave
from clew.model import Reason

TITLE = "pointers: checkpoint, branch, restore, undo, compaction; durability normal"
LENGTHS = (100, 100_000)
OPS = 20
ROUNDS = 15
KEPT = 50
TRANSCRIPT_BYTES = 64_000_000
GAIN = 5_000.0
SUMMARY = "They agreed on the plan; the first half is done."


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    series = {verb: Series(map(str, LENGTHS)) for verb in VERBS}
    stands = {count: Stand(options.scratch / f"{count}.db", count) for count in LENGTHS}
    for number in range(ROUNDS + 1):
        for verb in VERBS:
            for count, stand in stands.items():
                sample = stand.measure(verb)
                if number:
                    series[verb].samples[str(count)].append(sample)
    copied = copy_and_parse(options.scratch)
    short, long = map(str, LENGTHS)
    for verb, found in series.items():
        yield found.figure(f"{verb} at {LENGTHS[0]:,}", short, at_most=100.0)
        yield found.figure(
            f"{verb} at {LENGTHS[1]:,}", long, short, at_most=100.0, note="ratio: to 100"
        )
    cpu = copied.median("json")
    for verb, found in series.items():
        yield Figure(
            name=f"copy + parse 64 MB / {verb}",
            value=cpu / found.median(long),
            unit="x",
            at_least=GAIN,
            cpu=cpu,
            wall=copied.median("json", "wall"),
            note=f"parsed by msgspec: {copied.median('msgspec') / found.median(long):,.0f} x",
        )
    for stand in stands.values():
        stand.ledger.close()


class Stand:
    """A session of some length, compacted once, so that its context is short."""

    def __init__(self, path: Path, count: int) -> None:
        self.ledger = ledgers.open_ledger(path)
        self.session = self.ledger.create()
        ledgers.fill(self.session, count, size=300)
        entries = self.session.entries(after=count - KEPT, limit=1)
        self.session.compact(summary=SUMMARY, keep_from=entries[0])
        ledgers.fill(self.session, KEPT, size=300)

    def measure(self, verb: str) -> Sample:
        """Do a verb some times; only the verb itself is on the clock."""
        total = [0.0, 0.0, 0.0]
        for _ in range(OPS):
            work = VERBS[verb](self.session)
            clocks = (time.thread_time, time.process_time, time.perf_counter)
            before = [clock() for clock in clocks]
            work()
            for place, clock in enumerate(clocks):
                total[place] += clock() - before[place]
        return Sample(*(value / OPS for value in total))


def restoring(session: clew.Session) -> Callable[[], object]:
    """Back to a checkpoint some messages ago."""
    made = session.checkpoint("here")
    ledgers.fill(session, 2, size=300)
    return lambda: session.restore(made)


def undoing(session: clew.Session) -> Callable[[], object]:
    """Take a restore back."""
    restoring(session)()
    return session.undo


def committing(session: clew.Session) -> Callable[[], object]:
    """A compaction whose plan and summary are there: what other writers would wait for."""
    moves = session.moves(limit=1)
    if moves and moves[0].action == "compact":
        session.undo()
    ledgers.fill(session, KEPT, size=300)
    kept = session.tail(KEPT // 2)[0]
    planned, base = session._plan(kept, 0)
    unit = session._compact_unit(planned, base, SUMMARY, Reason.MANUAL, None)
    return lambda: session._write(unit)


VERBS: dict[str, Callable[[clew.Session], Callable[[], object]]] = {
    "checkpoint": lambda session: lambda: session.checkpoint("here"),
    "branch": lambda session: session.branch,
    "restore": restoring,
    "undo": undoing,
    "commit of a compaction": committing,
}


def copy_and_parse(scratch: Path) -> Series:
    """What a checkpoint costs where it is a copy of the transcript."""
    source, target = scratch / "transcript.jsonl", scratch / "copy.jsonl"
    with source.open("wb") as file:
        for record in claude_files.records(random.Random(5), "transcript"):
            file.write(msgspec.json.encode(record) + b"\n")
            if file.tell() >= TRANSCRIPT_BYTES:
                break

    def copying(decode: Callable[[bytes], object]) -> Callable[[], object]:
        def work() -> None:
            shutil.copyfile(source, target)
            with target.open("rb") as file:
                for line in file:
                    decode(line)

        return work

    return interleave(
        {"json": copying(json.loads), "msgspec": copying(msgspec.json.decode)}, rounds=3
    )
