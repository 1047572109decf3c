"""The clock jumps, stands still and goes back: every order stays as things happened."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

import clew
from clew import canonical

from .ledgers import assert_sound, assert_whole, say

if TYPE_CHECKING:
    from collections.abc import Callable

TEN_YEARS_MS = 10 * 365 * 86_400_000
STEPS: dict[str, Callable[[int], int]] = {
    "back": lambda n: -n * 3_600_000,
    "forward": lambda n: n * TEN_YEARS_MS // 20,
    "to and fro": lambda n: (-1) ** n * TEN_YEARS_MS // 10,
    "still": lambda n: 0,
}


@pytest.mark.parametrize("name", STEPS)
def test_no_order_follows_the_clock(url: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    began, ticks = canonical.now_ms(), itertools.count()
    monkeypatch.setattr(canonical, "now_ms", lambda: began + STEPS[name](next(ticks)))
    with clew.open(url) as ledger:
        session = ledger.session(frontend="f", user="u")
        for n in range(20):
            session.append(say("w", n))
            session.checkpoint(f"after {n}")
        assert assert_whole(session) == {"w": 20}
        labels = [checkpoint.label for checkpoint in session.checkpoints()]
        assert labels == [f"after {n}" for n in reversed(range(20))]
        session.restore(session.checkpoints()[12])
        session.restore(session.checkpoints()[15])
        assert [move.number for move in session.moves()] == [2, 1]
        session.undo()
        session.undo()
        assert assert_whole(session) == {"w": 20}
        numbers = [record.number for record in ledger.audit(session=session.id)]
        assert numbers == sorted(numbers, reverse=True)
        assert_sound(ledger)
