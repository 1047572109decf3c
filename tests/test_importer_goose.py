"""Reading Goose's sessions: what is written anew, compactions, sub-agents, counts."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest

import clew
from clew.importers import goose
from clew.model import File, Image, Kind, Text, Thinking
from importer_kit import memory_ledger
from store_kit import StorePromises, made, run

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "goose"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "goose" / "synthetic"
BOTH = '{"userVisible": true, "agentVisible": true}'
SUMMARY = '{"userVisible": false, "agentVisible": true}'


class TestPromises(StorePromises):
    store = goose
    files = sorted(GOLDEN.glob("*.sql"))


def sessions(ledger: clew.Ledger) -> dict[str, clew.Session]:
    """The sessions by their id in Goose."""
    found = ledger.sessions(spawned=True, limit=100)
    names = {info.id: str(info.imported_from).removeprefix("goose:") for info in found}
    return {name.partition("@")[0]: ledger.get(id) for id, name in names.items()}


def said(session: clew.Session) -> list[str]:
    return [message.text for message in session.context()]


def kinds(session: clew.Session) -> list[Kind]:
    return [entry.kind for entry in session.entries()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made(GOLDEN / "sessions.sql", tmp_path)


@pytest.fixture
def empty(path: Path) -> Path:
    for table in ("messages", "sessions", "usage_ledger"):
        run(path, f"delete from {table}")
    run(
        path,
        "insert into sessions (id, working_dir, created_at, updated_at)"
        " values ('20260801_1', '/work', '2026-08-01 08:00:00', '2026-08-01 08:00:00')",
    )
    return path


def add(path: Path, id: str | None, role: str, words: str, at: int, meta: str = BOTH) -> None:
    run(
        path,
        "insert into messages (message_id, session_id, role, content_json, created_timestamp,"
        " metadata_json) values (?, '20260801_1', ?, ?, ?, ?)",
        *(id, role, json.dumps([{"type": "text", "text": words}]), 1_785_000_000 + at, meta),
    )


def write_anew(path: Path) -> None:
    """What `replace_conversation` does: all rows go, and come again under other numbers."""
    connection = apsw.Connection(str(path))
    columns = "message_id, session_id, role, content_json, created_timestamp, metadata_json"
    rows = list(connection.execute(f"select {columns} from messages order by id"))
    connection.execute("delete from messages")
    marks = ", ".join("?" * 6)
    connection.executemany(f"insert into messages ({columns}) values ({marks})", rows)
    connection.close()


def only(ledger: clew.Ledger, path: Path) -> clew.Session:
    report = ledger.import_from(path)
    assert report.notes == []
    (session,) = sessions(ledger).values()
    return session


def test_the_parts_of_a_message_and_the_pieces_of_one(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        user, answer, results = sessions(ledger)["20260714_1"].history()[:3]
        assert user.parts == (
            Text("Which trees need pruning? ☂"),
            Image("image/png", "iVBORw0KGgo="),
        )
        assert answer.parts[:3] == (
            Thinking("Look first", signature="c2ln"),
            Thinking(data="b3BhcXVl"),
            Text("I will look."),
        )
        assert [(call.id, call.name) for call in answer.tool_calls] == [
            ("call_1", "camera__shot"),
            ("call_2", "invalid"),
        ]
        first, second = results.tool_results
        assert (first.call_id, first.is_error) == ("call_1", True)
        assert (second.call_id, second.is_error) == ("call_2", True)
        assert first.parts == (
            Text("row 3"),
            Image("image/png", "iVBORw=="),
            Text("old wood"),
            File("tree://3.bin", "x/y", "AAE="),
        )


def test_a_compaction_leaves_the_summary_and_what_came_behind_it(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        session = sessions(ledger)["20260714_1"]
        summary, told, asked, answered = session.context()
        assert (summary.summary, summary.meta) == (True, True)
        assert (told.summary, told.meta) == (False, True)
        assert (asked.text, answered.text) == ("And the hedge?", "In autumn.")
        assert answered.time_ms == 1_784_019_609_000
        assert len(session.history()) == 9
        (checkpoint,) = session.checkpoints()
        assert checkpoint.reason == "auto-threshold"


def test_two_compactions_of_a_session_that_is_watched(empty: Path) -> None:
    with memory_ledger() as ledger:
        add(empty, "a", "user", "one", 1)
        add(empty, "b", "assistant", "two", 2)
        only(ledger, empty)
        for number in (1, 2):
            run(
                empty,
                "update messages set metadata_json = "
                """replace(metadata_json, '"agentVisible": true', '"agentVisible": false')""",
            )
            write_anew(empty)
            add(empty, f"s{number}", "user", f"summary {number}", 10 * number, SUMMARY)
            add(empty, f"c{number}", "user", f"go on {number}", 10 * number + 1)
            session = only(ledger, empty)
            assert said(session) == [f"summary {number}", f"go on {number}"]
        assert (kinds(session).count(Kind.COMPACTION), kinds(session).count(Kind.MESSAGE)) == (2, 6)
    with memory_ledger() as ledger:
        assert said(only(ledger, empty)) == ["summary 2", "go on 2"]


@pytest.mark.parametrize("named", [True, False])
def test_a_conversation_that_is_written_anew_adds_nothing(empty: Path, named: bool) -> None:
    with memory_ledger() as ledger:
        for at, words in enumerate(("one", "ok", "two", "ok")):
            add(empty, f"m{at}" if named else None, "user", words, at)
        before = kinds(only(ledger, empty))
        write_anew(empty)
        session = only(ledger, empty)
        assert kinds(session) == before
        assert said(session) == ["one", "ok", "two", "ok"]


def test_ids_that_a_migration_made_up_change_nothing(empty: Path) -> None:
    with memory_ledger() as ledger:
        for at, words in enumerate(("one", "two")):
            add(empty, None, "user", words, at)
        before = kinds(only(ledger, empty))
        run(empty, "update messages set message_id = 'msg_' || session_id || '_' || id")
        write_anew(empty)
        assert kinds(only(ledger, empty)) == before


def test_a_prompt_that_was_edited_goes_back_to_where_it_stood(empty: Path) -> None:
    with memory_ledger() as ledger:
        for at, words in enumerate(("one", "answer", "tow", "what?")):
            add(empty, f"m{at}", "user" if at % 2 == 0 else "assistant", words, at)
        only(ledger, empty)
        run(empty, "delete from messages where message_id in ('m2', 'm3')")
        add(empty, "m4", "user", "two", 9)
        assert said(only(ledger, empty)) == ["one", "answer", "two"]


def test_old_and_new_times_stand_in_one_order(empty: Path) -> None:
    with memory_ledger() as ledger:
        add(empty, "late", "user", "late", 20)
        add(empty, "soon", "user", "soon", 10)
        run(
            empty,
            "update messages set created_timestamp = created_timestamp * 1000"
            " where message_id = 'soon'",
        )
        assert said(only(ledger, empty)) == ["soon", "late"]


def test_a_sub_agent_was_spawned_by_its_parent(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        found = sessions(ledger)
        main, sub = found["20260714_1"].info, found["20260714_2"].info
        assert (main.spawned_by, sub.spawned_by) == (None, main.id)
        assert (main.title, sub.title) == ("Pruning the orchard", "Count the trees")
        assert (main.project, sub.project) == ("/home/maja/orchard",) * 2
        assert "20260714_3" not in found, "nothing was said in it"


def test_a_session_with_the_id_of_a_deleted_one_is_another(empty: Path) -> None:
    with memory_ledger() as ledger:
        add(empty, "a", "user", "one", 1)
        only(ledger, empty)
        run(empty, "delete from messages")
        run(empty, "update sessions set created_at = '2026-08-01 19:00:00'")
        add(empty, "b", "user", "other", 2)
        ledger.import_from(empty)
        assert len(ledger.sessions(limit=9)) == 2


def test_the_ledger_is_counted_call_by_call(path: Path) -> None:
    """The cache is in the input of the first call (the total says so), not of the second."""
    with memory_ledger() as ledger:
        ledger.import_from(path)
        rows = {row.key: row for row in ledger.usage(by="model")}
        main, sub = rows["branch-4"], rows["twig-1"]
        assert (main.calls, main.input, main.output) == (2, 100 + 40, 25)
        assert (main.cache_read, main.cache_write, main.cost) == (36, 12, 0.0125)
        assert (sub.calls, sub.input, sub.output, sub.cache_read) == (1, 20, 3, 10)
        assert sub.cost == 0.001


def test_what_was_counted_before_there_was_a_ledger_is_counted_once(empty: Path) -> None:
    """The program carries it forward into the ledger with the next call."""
    add(empty, "a", "user", "one", 1)
    query = "update sessions set accumulated_total_tokens = ?, accumulated_input_tokens = ?"
    run(empty, f"{query}, accumulated_output_tokens = 10, accumulated_cost = 0.5", 100, 90)
    ledger_row = (
        "insert into usage_ledger (session_id, created_timestamp, input_tokens, output_tokens,"
        " total_tokens, cost, cost_source) values ('20260801_1', 1785000000, ?, ?, ?, ?, ?)"
    )
    with memory_ledger() as watched, memory_ledger() as late:
        only(watched, empty)
        run(empty, ledger_row, 90, 10, 100, 0.5, "carried_forward")
        run(empty, ledger_row, 40, 5, 45, 0.2, "estimated")
        run(empty, f"{query}, accumulated_output_tokens = 15, accumulated_cost = 0.7", 145, 130)
        only(watched, empty)
        only(late, empty)
        for each in (watched, late):
            (row,) = each.usage(by="project")
            assert (row.calls, row.input, row.output) == (2, 130, 15)
            assert row.cost == pytest.approx(0.7)


def test_old_sessions_are_counted_as_a_whole(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "old.sql", tmp_path))
        (row,) = ledger.usage()
        assert (row.calls, row.input, row.output) == (2, 95, 22)
        session = sessions(ledger)["20251014_3"]
        assert session.info.title == "Old orchard"
        call, result = session.context()[1:3]
        assert call.tool_calls[0].id == result.tool_results[0].call_id
        assert result.tool_results[0].text == "seen"


def test_the_folder_is_where_the_variables_say(tmp_path: Path) -> None:
    assert goose.roots(tmp_path, {}) == []
    places = (".local/share/goose", "AppData/Roaming/Block/goose/data", "root/data", "xdg/goose")
    linux, windows, root, xdg = (tmp_path / place / "sessions" for place in places)
    for place in (linux, windows, root, xdg):
        place.mkdir(parents=True)
    assert goose.roots(tmp_path, {}) == [linux, windows]
    assert goose.roots(tmp_path, {"XDG_DATA_HOME": str(tmp_path / "xdg")}) == [xdg, windows]
    assert goose.roots(tmp_path, {"GOOSE_PATH_ROOT": str(tmp_path / "root")}) == [root]


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")
def test_the_shared_databases_read_whole() -> None:
    with memory_ledger() as ledger:
        report = ledger.import_from(FIXTURES)
        assert (report.sessions_new, report.notes) == (3, [])
        session = sessions(ledger)["20260714_1"]
        assert [message.role for message in session.context()] == [
            "assistant",
            "user",
            "assistant",
            "assistant",
        ]
        assert session.context()[2].summary
        rows = {row.key: row for row in ledger.usage(by="model")}
        main = rows["claude-sonnet-4-6"]
        assert (main.input, main.output, main.cache_read, main.cache_write) == (140, 25, 36, 12)
        assert main.cost == pytest.approx(0.0165)
