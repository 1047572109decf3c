"""The search index is a file that may be lost or broken at any time: no write ever notices,
and it is built again from the log."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

import clew
from clew.db.search_sqlite import SQLiteIndex
from clew.search.index import Doc, Filters
from clew.search.query import parse

from .children import Child
from .ledgers import NAME, assert_sound, say, url
from .scale import scaled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

INDEX = NAME + "-search"


def _vanish(path: Path) -> None:
    path.unlink()


def _garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _noise_behind_the_head(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = random.Random(2).randbytes(len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [_vanish, _garbage, _cut, _empty, _noise_behind_the_head])
@pytest.mark.parametrize("while_open", [False, True])
def test_a_broken_index_never_stops_a_write_and_is_rebuilt(
    tmp_path: Path, harm: Callable[[Path], None], while_open: bool
) -> None:
    ledger = clew.open(url(tmp_path))
    session = ledger.session(frontend="f", user="u")
    for n in range(30):
        session.append(say("before", n, chars=300))
    ledger.index_now()
    if while_open:
        # By another process: closing the file in this one would drop SQLite's locks on it.
        child = Child(_do, harm, tmp_path / INDEX)
        child.finish()
        assert child.exitcode == 0
    else:
        ledger.close()
        _remove_wal(tmp_path)
        harm(tmp_path / INDEX)
        ledger = clew.open(url(tmp_path))
        session = ledger.session(frontend="f", user="u")
    for n in range(30):
        session.append(say("after", n))
    ledger.close()
    ledger = clew.open(url(tmp_path))
    ledger.reindex()
    for word in ("before", "after"):
        assert len(ledger.search(word, limit=100).hits) == 30
    assert_sound(ledger)
    ledger.close()


def _do(report: Callable[[Any], None], harm: Callable[[Path], None], path: Path) -> None:
    harm(path)


def _remove_wal(directory: Path) -> None:
    for suffix in ("-wal", "-shm"):
        (directory / (INDEX + suffix)).unlink(missing_ok=True)


def test_an_index_from_a_later_moment_is_noticed(tmp_path: Path) -> None:
    """A power cut at durability `normal`, or a ledger put back from a copy, leaves an index
    that covers entries which the ledger then gives to other messages."""
    with clew.open(url(tmp_path)) as ledger:
        session = ledger.session(frontend="f", user="u")
        session.extend([say("old", n) for n in range(20)])
        ledger.index_now()
    early = (tmp_path / NAME).read_bytes()
    with clew.open(url(tmp_path)) as ledger:
        session = ledger.session(frontend="f", user="u")
        session.extend([say("lost", n) for n in range(20)])
        ledger.index_now()
    (tmp_path / NAME).write_bytes(early)
    with clew.open(url(tmp_path)) as ledger:
        session = ledger.session(frontend="f", user="u")
        session.extend([say("fresh", n) for n in range(40)])
        found = {
            word: len(ledger.search(word, limit=100).hits) for word in ("old", "lost", "fresh")
        }
        assert found == {"old": 20, "lost": 0, "fresh": 40}


def test_a_search_sees_one_moment_while_the_same_is_indexed_again(tmp_path: Path) -> None:
    index = SQLiteIndex(str(tmp_path / INDEX))
    docs = [Doc(n, 1, 1, n, 1_000, (), {"user": f"the word {n}"}) for n in range(1, 300)]
    index.add(docs, {1: 299})
    done = threading.Event()

    def again() -> None:
        while not done.is_set():
            # In another order, so that the passages change their places within the second.
            index.add(random.sample(docs, len(docs)), {1: 299})

    thread = threading.Thread(target=again)
    thread.start()
    try:
        for _ in range(scaled(80, 500)):
            assert len(index.find(parse("word"), Filters(), order="rank", limit=1000)) == 299
    finally:
        done.set()
        thread.join()
        index.close()
