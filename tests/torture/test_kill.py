"""A writer is killed at any moment. What it acknowledged is there, the ledger verifies and
takes further writes, and the other writers never notice."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import clew

from .children import Child
from .ledgers import assert_sound, assert_whole, say, url
from .scale import scaled

if TYPE_CHECKING:
    from pathlib import Path

KILLS = scaled(15, 200)
LIFE_SECONDS_MAX = 0.06

Report = Callable[[Any], None]


def _write_forever(report: Report, where: str, writer: str) -> None:
    """Go on where the writer's session stands, and report each message that is stored."""
    ledger = clew.open(where)
    session = ledger.session(frontend="kill", user=writer)
    number = len(session.history())
    rng = random.Random(f"{writer} {number}")
    while True:
        session.append(say(writer, number, chars=rng.choice((0, 100, 3000, 9000))))
        report(number)
        number += 1


def _stored(where: str, writer: str) -> int:
    with clew.open(where) as ledger:
        return assert_whole(ledger.session(frontend="kill", user=writer)).get(writer, 0)


@pytest.mark.parametrize("writers", [1, 4])
def test_nothing_acknowledged_is_lost(tmp_path: Path, writers: int) -> None:
    where = url(tmp_path)
    clew.open(where).close()
    rng = random.Random(writers)
    children = {
        name: Child(_write_forever, where, name) for name in map("w{}".format, range(writers))
    }
    for _ in range(KILLS):
        name = rng.choice(sorted(children))
        children[name].wait_for_report()
        time.sleep(rng.uniform(0, LIFE_SECONDS_MAX))
        acknowledged = children[name].kill()[-1] + 1
        # At most the one that was under way may be there beyond the promises.
        assert acknowledged <= _stored(where, name) <= acknowledged + 1
        children[name] = Child(_write_forever, where, name)
    for name, child in children.items():
        child.wait_for_report()
        acknowledged = child.kill()[-1] + 1
        assert acknowledged <= _stored(where, name) <= acknowledged + 1
    with clew.open(where) as ledger:
        assert_sound(ledger)


def _append_lines_forever(report: Report, path: Path) -> None:
    """What many agents do: a line a record, written in two calls."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    number = 0
    while True:
        os.write(file, b'{"number": ')
        os.write(file, b"%d}\n" % number)
        report(number)
        number += 1


def test_control_lines_are_torn(tmp_path: Path) -> None:
    torn = 0
    for n in range(scaled(25, 60)):
        path = tmp_path / f"{n}.jsonl"
        child = Child(_append_lines_forever, path)
        child.wait_for_report()
        time.sleep(random.Random(n).uniform(0, 0.01))
        child.kill()
        torn += not path.read_bytes().endswith(b"}\n")
    assert torn > 0
