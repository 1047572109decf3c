"""Reading Copilot CLI's session store: what each call used, beside the events or without them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

import clew
from clew.importers import copilot_store
from clew.model import Unknown
from clew.watching import Watcher
from importer_kit import memory_ledger
from store_kit import StorePromises, made, run
from test_importer_copilot import answer, closed, event, lines, session_of, start, texts, used

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clew.importers.base import Store

GOLDEN = Path(__file__).resolve().parent / "golden" / "copilot_store"
SQL = GOLDEN / "session-store.sql"
FIRST, SECOND = "7d000000-0000-4000-8000-000000000001", "7d000000-0000-4000-8000-000000000002"


class Calls:
    """The store by the name that it is asked for: its sessions are those of `copilot-cli`."""

    name = "copilot-cli-calls"

    def __getattr__(self, name: str) -> Any:
        return getattr(copilot_store, name)


class TestPromises(StorePromises):
    store = cast("Store", Calls())
    files = (SQL,)
    name = "session-store.db"


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with memory_ledger() as ledger:
        yield ledger


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of Copilot CLI with its store."""
    made(SQL, tmp_path, name="session-store.db")
    return tmp_path


def write(home: Path, session: str, *events: dict[str, Any]) -> Path:
    path = home / "session-state" / session / "events.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines([start(session), *events]))
    return path


def prompt(number: int, words: str) -> dict[str, Any]:
    return event(number, "user.message", content=words)


def test_where_the_store_counts_the_events_do_not(store: clew.Ledger, home: Path) -> None:
    told = [prompt(1, "Which trees?"), answer(2, 40), closed(3, m=(1000, 40, 700))]
    write(home, FIRST, *told)
    write(home, "unknown-to-the-store", *told)
    report = store.import_from(home)
    assert (report.files, report.sessions_new) == (3, 3)
    assert used(store) == {
        "gpt-orchard": (200 + 90, 700, 100, 40 + 7),
        "gpt-sapling": (200, 100, 0, 8),
        "m": (300, 700, 0, 40),
    }
    session = session_of(store, f"copilot-cli:{FIRST}")
    assert texts(session.history()) == ["Which trees?", "x"]
    assert session.info.project == "/srv"
    assert len(store.source_bytes(session.id)) == 2
    assert (store.import_from(home).added, session.moves()) == (0, [])


def test_rows_without_events_are_a_session_that_says_nothing(
    store: clew.Ledger, home: Path
) -> None:
    store.import_from(home)
    session = session_of(store, f"copilot-cli:{FIRST}")
    assert (session.info.project, session.info.agent) == ("/home/ada/orchard", "copilot-cli")
    assert session.history() == []
    assert len(session.entries()) == 3, "the session's own row, and two calls"


def test_events_that_come_later_join_their_rows(store: clew.Ledger, home: Path) -> None:
    store.import_from(home)
    told = event(0, "session.start", sessionId=FIRST, context={"cwd": "/home/ada/orchard"})
    path = write(home, FIRST)
    path.write_bytes(lines([told, prompt(1, "Which trees?"), answer(2, 40)]))
    assert store.import_from(home).sessions_new == 0
    session = session_of(store, f"copilot-cli:{FIRST}")
    assert texts(session.history()) == ["Which trees?", "x"]
    assert "m" not in used(store)


def test_a_session_in_hand_is_left_until_it_rests(store: clew.Ledger, home: Path) -> None:
    path = write(home, FIRST, prompt(1, "One."), answer(2, 4))
    store.import_from(home)
    assert "gpt-sapling" not in used(store)
    path.write_bytes(path.read_bytes() + lines([prompt(3, "Two."), closed(4, m=(9, 9, 0))]))
    store.import_from(home)
    assert used(store)["gpt-sapling"] == (200, 100, 0, 8)
    more = [event(5, "session.resume", context={}), prompt(6, "Three.")]
    path.write_bytes(path.read_bytes() + lines(more))
    store.import_from(home)
    session = session_of(store, f"copilot-cli:{FIRST}")
    assert texts(session.history()) == ["One.", "x", "Two.", "Three."]
    assert session.moves() == []


def test_a_session_that_crashed_rests_when_it_is_old(store: clew.Ledger, home: Path) -> None:
    path = write(home, FIRST, prompt(1, "One."), answer(2, 4))
    long_ago = time.time() - 2 * copilot_store.REST_SECONDS
    os.utime(path, (long_ago, long_ago))
    store.import_from(home)
    assert used(store)["gpt-sapling"] == (200, 100, 0, 8)


def test_a_call_that_comes_later_is_added(store: clew.Ledger, home: Path) -> None:
    store.import_from(home)
    row = "insert into assistant_usage_events (session_id, model, output_tokens) values (?, ?, ?)"
    run(home / "session-store.db", row, SECOND, "gpt-orchard", 5)
    assert store.import_from(home).added == 1
    assert used(store)["gpt-orchard"] == (290, 700, 100, 52)


def test_a_store_of_an_earlier_version_counts_nothing(store: clew.Ledger, tmp_path: Path) -> None:
    run(tmp_path / "session-store.db", "create table sessions (id text)")
    write(tmp_path, "s", prompt(1, "One."), answer(2, 4))
    store.import_from(tmp_path)
    assert used(store) == {"m": (0, 0, 0, 4)}


def test_a_store_that_cannot_be_read_is_taken_to_count(store: clew.Ledger, tmp_path: Path) -> None:
    (tmp_path / "session-store.db").write_bytes(b"no database")
    write(tmp_path, "s", prompt(1, "One."), answer(2, 4))
    store.import_from(tmp_path)
    assert used(store) == {}


def test_only_a_file_of_that_name_is_the_store(tmp_path: Path) -> None:
    assert copilot_store.roots(tmp_path, {}) == []
    path = made(SQL, tmp_path / ".copilot", name="session-store.db")
    assert copilot_store.roots(tmp_path, {}) == [path]
    assert copilot_store.roots(Path("/none"), {"COPILOT_HOME": str(path.parent)}) == [path]
    assert copilot_store.identify(path)
    assert not copilot_store.identify(path.rename(path.with_name("other.db")))
    assert [*copilot_store.discover(tmp_path)] == []


@pytest.mark.parametrize("value", [None, 1, [], {}])
def test_a_row_says_nothing(value: Any) -> None:
    assert isinstance(copilot_store.decode(value).parts[0], Unknown)


def test_a_watcher_brings_in_both(store: clew.Ledger, home: Path) -> None:
    path = write(home, FIRST, prompt(1, "One."), answer(2, 4))
    watcher = Watcher(store, [home])
    watcher.round()
    assert "gpt-sapling" not in used(store)
    path.write_bytes(path.read_bytes() + lines([closed(3, m=(9, 9, 0))]))
    Watcher(store, [home]).round()
    assert used(store)["gpt-sapling"] == (200, 100, 0, 8)
    assert texts(session_of(store, f"copilot-cli:{FIRST}").history()) == ["One.", "x"]
