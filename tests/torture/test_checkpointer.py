"""The thread that moves the WAL: closing while it works neither hangs nor loses anything."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import clew
import clew.db.wal

from .ledgers import assert_sound, assert_whole, say, url
from .scale import scaled

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FRAME_BYTES = 4096 + 24
ROUNDS = scaled(60, 1000)


def test_closing_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clew.db.wal, "WAL_PAGES", 1)
    for n in range(ROUNDS):
        ledger = clew.open(url(tmp_path), durability="normal", search=False)
        ledger.session(frontend="f", user="u").append(say("w", n, chars=2000))
        closing = threading.Thread(target=ledger.close, daemon=True)
        closing.start()
        closing.join(20.0)
        assert not closing.is_alive(), "close() hangs"
    with clew.open(url(tmp_path)) as ledger:
        assert assert_whole(ledger.session(frontend="f", user="u")) == {"w": ROUNDS}
        assert_sound(ledger)


def test_the_wal_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clew.db.wal, "WAL_PAGES", 50)
    monkeypatch.setattr(clew.db.wal, "WAL_PAGES_MAX", 400)
    with clew.open(url(tmp_path), durability="normal", search=False) as ledger:
        session = ledger.session(frontend="f", user="u")
        for n in range(1200):
            session.append(say("w", n, chars=3000))
        assert ledger.stats().disk["wal"] < 2000 * FRAME_BYTES
