"""Reading flynn's log: runs, delegated goals, payloads kept apart, and how a run ended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

import clew
from clew.importers import flynn
from clew.model import Kind, Usage
from importer_kit import memory_ledger
from store_kit import StorePromises, conversations, made, run

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "flynn"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "flynn" / "synthetic"


class TestPromises(StorePromises):
    store = flynn
    files = sorted(GOLDEN.glob("*.sql"))


def named(ledger: clew.Ledger, part: str) -> clew.Session:
    (info,) = [
        info
        for info in ledger.sessions(spawned=True, limit=20)
        if str(info.imported_from).endswith(part)
    ]
    return ledger.get(info.id)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[clew.Ledger]:
    path = made(GOLDEN / "runs.sql", tmp_path)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        yield ledger


def test_a_turn_is_one_message_with_its_calls_and_its_tokens(runs: clew.Ledger) -> None:
    session = named(runs, "01K0RUN0000000000000000001")
    assert session.info.title == "Plums in jars"
    asked, turn, measured, weighed, answer, *rest = session.context()
    assert (asked.role, asked.text) == ("user", "How many plums fit in a jar?")
    assert turn.text == "I will measure."
    assert [call.name for call in turn.tool_calls] == ["measure", "weigh"]
    assert json.loads(turn.tool_calls[0].arguments) == {"jar": "one litre", "fruit": "plum ☂"}
    assert turn.usage == Usage(
        key="flynn:01K0RUN0000000000000000001@1782637207000/9",
        model="claude-sonnet-4-6",
        input=100,
        output=30,
        cache_read=700,
        cache_write=100,
    )
    assert measured.tool_results[0].text == "11\n" * 40, "kept apart from its event"
    assert (weighed.tool_results[0].text, weighed.tool_results[0].is_error) == ("no scale", True)
    assert answer.text == "Eleven plums.", "said once, though the end of the run repeats it"
    assert rest == []


def test_the_tokens_of_a_turn_count_once_and_have_the_model_of_the_session(
    runs: clew.Ledger,
) -> None:
    found = {total.key: total for total in runs.usage(by="model")}
    total = found["claude-sonnet-4-6"]
    assert (total.input, total.output, total.cache_read, total.cache_write) == (1100, 35, 700, 100)


def test_how_a_run_ended_is_kept_beside_the_conversation(runs: clew.Ledger) -> None:
    (info,) = [i for i in runs.sessions(limit=9) if "sess-1@" in str(i.imported_from)]
    session = runs.get(info.id)
    assert [message.text for message in session.context()] == ["Peel a turnip."]
    last = list(session.entries())[-1]
    assert (last.kind, last.data["type"]) == (Kind.NOTICE, "session.stalled")
    assert last.data["payload"]["event"]["error"] == "budget exceeded"


def test_what_has_no_readable_payload_is_kept_with_the_reason(runs: clew.Ledger) -> None:
    entries = list(named(runs, "01K0RUN0000000000000000001").entries())
    unread = [entry.meta["note"] for entry in entries if entry.kind is Kind.UNKNOWN]
    assert unread == ["its payload is no event", flynn.MOVED]


def _sealed(path: Path, packed: Callable[[bytes], bytes]) -> None:
    warm = path.with_name(path.name + ".warm")
    run(warm, "create table warm_blobs (content_id text primary key, body blob, size integer)")
    with closing(sqlite3.connect(path)) as hot:
        moved = hot.execute("select content_id, body from blobs").fetchall()
    for content_id, body in moved:
        run(warm, "insert into warm_blobs values (?, ?, 0)", content_id, packed(body.encode()))
    run(path, "delete from blobs")


def test_the_payloads_of_a_sealed_run_are_read_where_they_were_moved(tmp_path: Path) -> None:
    path = made(GOLDEN / "runs.sql", tmp_path)
    _sealed(path, zstandard.compress)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        measured = named(ledger, "0001").context()[2]
        assert measured.tool_results[0].text == "11\n" * 40


@pytest.mark.parametrize("harm", [lambda body: body, lambda body: zstandard.compress(body + b"!")])
def test_a_payload_that_is_not_what_its_name_says_is_not_read(
    tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    path = made(GOLDEN / "runs.sql", tmp_path)
    _sealed(path, harm)
    with memory_ledger() as ledger:
        report = ledger.import_from(path)
        assert [note.text for note in report.notes].count(flynn.MOVED) == 2


def test_payloads_that_are_moved_away_later_stay_as_they_were_read(tmp_path: Path) -> None:
    path = made(GOLDEN / "runs.sql", tmp_path)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        run(path, "delete from blobs")
        run(path, "update events set time = replace(time, '000000Z', 'Z')")
        assert ledger.import_from(path).added == 0


def test_a_delegated_goal_is_a_session_of_its_own(tmp_path: Path) -> None:
    path = made(GOLDEN / "delegated.sql", tmp_path)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        parent = named(ledger, "0002")
        asked, turn, apples, pears, end = parent.context()
        assert asked.text == "Sort the apples and the pears."
        assert [call.id for call in turn.tool_calls] == ["s1", "s2"]
        assert [m.tool_results[0].call_id for m in (apples, pears)] == ["s1", "s2"]
        assert pears.tool_results[0].is_error
        assert end.text == "The apples are sorted; there are no pears."
        child = named(ledger, " goal-b")
        assert child.info.spawned_by == f"{parent.id}#s2"
        assert [m.role for m in child.context()] == ["user", "assistant", "tool"]
        assert child.context()[0].text == "Sort the pears."
        (total,) = ledger.usage()
        assert (total.input, total.output, total.cache_read) == (226, 21, 64)


def test_two_databases_that_count_their_sessions_have_two(tmp_path: Path) -> None:
    one = made(GOLDEN / "runs.sql", tmp_path / "a")
    other = made(GOLDEN / "runs.sql", tmp_path / "b")
    run(other, "update events set time = replace(time, '2026-06', '2026-07')")
    with memory_ledger() as ledger:
        ledger.import_from(one)
        ledger.import_from(other)
        counted = [i for i in ledger.sessions(limit=9) if "sess-1@" in str(i.imported_from)]
        assert len(counted) == 2


def test_the_folder_of_its_settings_is_found(tmp_path: Path) -> None:
    (tmp_path / ".config" / "flynn").mkdir(parents=True)
    (tmp_path / "elsewhere" / "flynn").mkdir(parents=True)
    assert flynn.roots(tmp_path, {}) == [tmp_path / ".config" / "flynn"]
    env = {"XDG_CONFIG_HOME": str(tmp_path / "elsewhere")}
    assert flynn.roots(tmp_path, env) == [tmp_path / "elsewhere" / "flynn"]


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")
def test_the_shared_file_reads_whole() -> None:
    with memory_ledger() as ledger:
        report = ledger.import_from(FIXTURES)
        assert (report.sessions_new, report.notes) == (1, [])
        (info,) = ledger.sessions(limit=9)
        assert info.title == "list files"
        messages = ledger.get(info.id).context()
        assert [m.role for m in messages] == ["user", "assistant", "tool", "assistant"]
        assert messages[1].tool_calls[0].name == "shell"
        assert messages[2].tool_results[0].text.startswith("a.py\nb.py\n")
        (total,) = ledger.usage()
        assert (total.input, total.cache_read, total.output) == (112, 700, 31)


@pytest.mark.inside
def test_every_database_holds_the_same(url: str, tmp_path: Path) -> None:
    for source in sorted(GOLDEN.glob("*.sql")):
        made(source, tmp_path / source.stem)
    with clew.open(url) as kept, memory_ledger() as known:
        kept.import_from(tmp_path, importer="flynn")
        known.import_from(tmp_path, importer="flynn")
        assert conversations(kept) == conversations(known)
        assert kept.verify().ok
