"""A tool call is on disk before it runs, and its end before the block is left: through power
cuts and kills, what was acknowledged of a span is there."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import clew
import clew.db.wal

from .children import Child
from .disk import Ack, power_cut
from .ledgers import assert_sound, reopen, say, url
from .scale import LONG, scaled
from .vfs import TortureVFS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clew.db.database import Durability

    from .disk import Log

CUTS = scaled(24, 600)
CUTS_PER_RUN = 12
CALLS = 25
KILLS = scaled(8, 120)
LIFE_SECONDS_MAX = 0.06
OVER = "over"

Report = Callable[[Any], None]


@pytest.fixture(autouse=True)
def _checkpoints_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clew.db.wal, "WAL_PAGES", 60)


def _work(session: clew.Session, rng: random.Random, calls: int, acked: Report) -> None:
    """Tool calls one after the other, some in one another; each promise is told."""
    with session.turn(say("w", 0)) as turn:
        acked((session.id, turn.id, ""))
        for number in range(calls):
            body = "x" * rng.choice((0, 300, 6000))
            with turn.tool(f"t{number}", body) as call:
                acked((session.id, call.id, ""))
                if rng.random() < 0.3:
                    with turn.model("m") as model:
                        acked((session.id, model.id, ""))
                        model.usage(input=1, output=2)
                    acked((session.id, model.id, OVER))
                call.output = body
            acked((session.id, call.id, OVER))
    acked((session.id, turn.id, OVER))


def _record(directory: Path, seed: int, durability: Durability) -> Log:
    """Two threads trace in sessions of their own."""
    directory.mkdir()
    with TortureVFS() as vfs:
        ledger = clew.open(url(directory, vfs), durability=durability, search=False)
        threads = [
            threading.Thread(
                target=_work,
                args=(ledger.create(), random.Random(f"{seed} {n}"), CALLS, vfs.log.ack),
            )
            for n in (0, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.trace_failures == 0
        ledger.close()
    return vfs.log


def _lost(ledger: clew.Ledger, promises: list[tuple[str, str, str]]) -> int:
    """How many promised starts and ends are gone. Fails unless what is there is sound."""
    assert_sound(ledger)
    found: dict[str, str] = {}
    for info in ledger.sessions():
        found |= {span.id: span.status for span in ledger.get(info.id).spans()}
    return sum(
        id not in found or (over == OVER and found[id] != "ok") for _session, id, over in promises
    )


def _cuts(tmp_path: Path, durability: Durability) -> Iterator[int]:
    """What each cut lost."""
    for run in range(CUTS // CUTS_PER_RUN):
        log = _record(tmp_path / f"live{run}", run, durability)
        first = next(n for n, event in enumerate(log.events) if isinstance(event, Ack))
        for seed in range(run * CUTS_PER_RUN, (run + 1) * CUTS_PER_RUN):
            upto = random.Random(seed).randint(first + 1, log.mark())
            promises: list[Any] = [e.value for e in log.events[:upto] if isinstance(e, Ack)]
            with reopen(power_cut(log, seed, upto), tmp_path / f"cut{seed}") as ledger:
                yield _lost(ledger, promises)


def test_full_keeps_every_start_and_every_end(tmp_path: Path) -> None:
    assert list(_cuts(tmp_path, "full")) == [0] * CUTS


def test_control_normal_loses_some(tmp_path: Path) -> None:
    cuts_that_lost = sum(lost > 0 for lost in _cuts(tmp_path, "normal"))
    assert cuts_that_lost > (0.3 * CUTS if LONG else 0)


def _trace_forever(report: Report, where: str, seed: int) -> None:
    ledger = clew.open(where, search=False)
    _work(ledger.create(), random.Random(seed), 1_000_000, report)


def test_a_kill_loses_nothing_and_leaves_nothing_running(tmp_path: Path) -> None:
    where = url(tmp_path)
    clew.open(where, search=False).close()
    for seed in range(KILLS):
        child = Child(_trace_forever, where, seed)
        child.wait_for_report()
        time.sleep(random.Random(seed).uniform(0, LIFE_SECONDS_MAX))
        promises = child.kill()
        with clew.open(where, search=False) as ledger:
            assert _lost(ledger, promises) == 0
            session = ledger.get(promises[0][0])
            spans = {span.id: span for span in session.spans()}
            ended = {id for _session, id, over in promises if over == OVER}
            begun = {id for _session, id, over in promises} - ended
            # At most one write may be stored beyond the promises.
            assert len(spans.keys() - ended - begun) <= 1
            assert sum(spans[id].status == "ok" for id in begun) <= 1
            assert {spans[id].status for id in begun} <= {"ok", "abandoned"}
            assert spans[promises[0][1]].status == "abandoned"  # the turn
            assert [span.id for span in session.resume().interrupted] == [promises[0][1]]
