"""Reading OpenCode: rows, files, exports; forks, sub-agents, compactions, what comes late."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

import clew
from clew.importers import opencode
from clew.model import Kind
from clew.watching import Watcher
from importer_kit import memory_ledger
from store_kit import StorePromises, everything, made, run, statements

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "opencode"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "opencode"
real = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")


class TestPromises(StorePromises):
    store = opencode
    files = (*sorted(GOLDEN.glob("*.sql")), GOLDEN / "storage", GOLDEN / "opencode_export.json")


def session(ledger: clew.Ledger, native: str) -> clew.Session:
    every = ledger.sessions(spawned=True, limit=100)
    (found,) = [info for info in every if info.imported_from == f"opencode:{native}"]
    return ledger.get(found.id)


def said(ledger: clew.Ledger, native: str) -> list[str]:
    return [message.text for message in session(ledger, native).context()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with one session and nothing in it."""
    path = tmp_path / "opencode.db"
    for statement in statements(GOLDEN / "plain.sql"):
        if statement.startswith("create table"):
            run(path, statement)
    start(path, "ses_1")
    return path


def start(path: Path, id: str, made_ms: int = 1000, **facts: Any) -> None:
    row = {
        "id": id,
        "project_id": "p",
        "slug": "s",
        "directory": "/home/ada/pears",
        "title": "New session - 2025-12-11T05:48:20.000Z",
        "version": "1.18.33",
        "time_created": made_ms,
        "time_updated": made_ms,
    } | facts
    marks = ", ".join("?" * len(row))
    run(path, f"insert into session ({', '.join(row)}) values ({marks})", *row.values())


def say(
    path: Path,
    id: str,
    role: str,
    *parts: dict[str, Any],
    at: int = 0,
    now: bool = False,
    **more: Any,
) -> None:
    """Write a message; its time is the number in its id, or now."""
    told = at or int(id[1:])
    written = time.time_ns() // 1_000_000 if now else told
    info = {"role": role, "time": {"created": told}} | more
    if role == "assistant":
        info["time"].setdefault("completed", told)
        info = {"modelID": "m", "providerID": "p", "parentID": "u"} | info
    where = more.get("session", "ses_1")
    query = "insert or replace into message values (?, ?, ?, ?, ?)"
    run(path, query, id, where, told, written, json.dumps(info))
    for number, part in enumerate(parts):
        write(path, id, f"{id}p{number}", part, written, where)


def write(
    path: Path, message: str, id: str, part: dict[str, Any], at: int, where: str = "ses_1"
) -> None:
    query = "insert or replace into part values (?, ?, ?, ?, ?, ?)"
    run(path, query, id, message, where, at, at, json.dumps(part))


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def call(status: str, output: str = "", id: str = "c1") -> dict[str, Any]:
    state: dict[str, Any] = {"status": status, "input": {"n": 1}, "time": {"start": 1, "end": 2}}
    if status == "completed":
        state["output"] = output
    return {"type": "tool", "tool": "bash", "callID": id, "state": state}


def test_no_word_comes_from_a_table_with_secrets_nor_the_link_of_a_share(tmp_path: Path) -> None:
    path = made(GOLDEN / "plain.sql", tmp_path)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        for info in ledger.sessions(limit=10):
            for entry in ledger.get(info.id).entries():
                assert b"SECRET" not in (entry.body or b"")
            assert all(b"SECRET" not in raw for raw in ledger.source_bytes(info.id).values())


def test_an_answer_and_what_its_tools_gave_back(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "plain.sql", tmp_path))
        found = session(ledger, "ses_plain")
        assert found.info.title == "Ripe pears"
        assert found.info.project == "/home/ada/pears"
        context = found.context()
        assert [call.name for call in context[1].tool_calls] == ["bash", "read", "bash"]
        results = context[2].tool_results
        assert [result.text for result in results] == [
            "soft\n",
            "Image read successfully",
            "there are but 12 pears",
        ]
        assert [result.is_error for result in results] == [False, False, True]
        assert context[1].parts[0].signature == "c2lnbmVk"  # type: ignore[union-attr]
        assert found.view(provider="anthropic").request["messages"]
        (total,) = ledger.usage()
        assert (total.calls, total.input, total.output, total.reasoning) == (3, 137, 50, 12)
        assert (total.cache_read, total.cache_write) == (8100, 50)


def test_an_answer_is_awaited_while_it_is_written_and_taken_when_it_was_left_so(path: Path) -> None:
    with memory_ledger() as ledger:
        say(path, "m1", "user", words("Go."))
        say(path, "m2", "assistant", call("running"), now=True, time={"created": 2})
        ledger.import_from(path)
        assert said(ledger, "ses_1") == ["Go."]
        run(path, "update message set time_updated = 2 where id = 'm2'")
        run(path, "update part set time_updated = 2 where message_id = 'm2'")
        ledger.import_from(path)
        context = session(ledger, "ses_1").context()
        assert [each.id for each in context[-1].tool_calls] == ["c1"]


def test_a_result_takes_its_place_when_nothing_followed_the_call(path: Path) -> None:
    with memory_ledger() as ledger:
        say(path, "m1", "user", words("Go."))
        say(path, "m2", "assistant", call("running"), time={"created": 2})
        ledger.import_from(path)
        write(path, "m2", "m2p0", call("completed", "done"), 3)
        ledger.import_from(path)
        roles = [
            (m.role, [r.text for r in m.tool_results]) for m in session(ledger, "ses_1").context()
        ]
        assert roles == [("user", []), ("assistant", []), ("tool", ["done"])]


def test_a_result_that_comes_when_others_follow_joins_its_call_once(path: Path) -> None:
    with memory_ledger() as ledger:
        say(path, "m1", "user", words("Go."))
        say(path, "m2", "assistant", call("running"), time={"created": 2})
        say(path, "m3", "user", words("And?"))
        ledger.import_from(path)
        write(path, "m2", "m2p0", call("completed", "done"), 4)
        write(path, "m2", "m2p1", words("It is done."), 4)
        write(path, "m2", "m2p2", call("completed", "more", "c2"), 4)
        ledger.import_from(path)
        say(path, "m4", "assistant", words("Yes."))
        ledger.import_from(path)
        # Its tool output is cleared from the model's sight later: nothing moves, nothing is lost.
        cleared = call("completed", "done")
        cleared["state"]["time"]["compacted"] = 5
        write(path, "m2", "m2p0", cleared, 5)
        ledger.import_from(path)
        context = session(ledger, "ses_1").context()
        answers = [(r.call_id, r.text) for m in context for r in m.tool_results]
        assert sorted(answers) == [("c1", "done"), ("c2", "more")]
        assert [m.text for m in context if m.text] == ["Go.", "It is done.", "And?", "Yes."]
        request = session(ledger, "ses_1").view(provider="anthropic").request
        assert json.dumps(request).count("tool_use_id") == 2
        bodies = [entry.body or b"" for entry in session(ledger, "ses_1").entries()]
        assert any(b'"compacted": 5' in body for body in bodies)


def test_cleared_output_keeps_its_words_and_its_place(path: Path) -> None:
    with memory_ledger() as ledger:
        say(path, "m1", "user", words("Go."))
        say(path, "m2", "assistant", call("completed", "long"))
        say(path, "m3", "user", words("And?"))
        ledger.import_from(path)
        before = session(ledger, "ses_1").context()
        cleared = call("completed", "")
        cleared["state"]["time"]["compacted"] = 5
        write(path, "m2", "m2p0", cleared, 5)
        ledger.import_from(path)
        assert session(ledger, "ses_1").context() == before
        assert before[2].tool_results[0].text == "long"


def test_a_summary_stands_for_what_was_before_it_and_its_tail_stays(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "compacted.sql", tmp_path))
        found = session(ledger, "ses_long")
        assert said(ledger, "ses_long") == [
            "The mill was reached.",
            "And to the brook.",
            "",
            "",
            "Continue if you have next steps.",
            "On to the hill.",
        ]
        (kept,) = found.checkpoints()
        assert kept.reason == "auto-threshold"
        assert [m.text for m in found.history()][:2] == ["Walk to the mill.", "I am at the mill."]


def test_a_sub_agent_is_spawned_by_its_call_and_a_fork_is_a_branch(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        report = ledger.import_from(made(GOLDEN / "family.sql", tmp_path))
        assert report.notes == []
        parent = session(ledger, "ses_orig")
        assert session(ledger, "ses_child").info.spawned_by == f"{parent.id}#call_t"
        fork, again = session(ledger, "ses_fork"), session(ledger, "ses_fork2")
        assert said(ledger, "ses_fork") == [
            "Count the pears.",
            "",
            "",
            "Twelve.",
            "And plums?",
            "Seven.",
        ]
        assert said(ledger, "ses_fork2")[-2:] == ["And plums?", "Eight, I think."]
        assert fork.info.forked_from is not None
        assert fork.info.forked_from.session == parent.id
        assert again.info.forked_from is not None
        assert again.info.forked_from.session == fork.id
        assert [again.info.entries, again.info.messages] == [2, 1]
        (total,) = ledger.usage()
        assert (total.calls, total.input) == (8, 10 + 12 + 14 + 5 + 16 + 16 + 1 + 2)


def test_a_forks_calls_are_counted_once_when_its_original_was_deleted(tmp_path: Path) -> None:
    path = made(GOLDEN / "family.sql", tmp_path)
    with memory_ledger() as ledger:
        for table in ("message", "part"):
            run(path, f"delete from {table} where session_id like 'ses_fork%'")
        ledger.import_from(path)
        path.unlink()
        made(GOLDEN / "family.sql", tmp_path)
        for table in ("message", "part"):
            run(path, f"delete from {table} where session_id = 'ses_orig'")
        ledger.import_from(path)
        assert said(ledger, "ses_fork")[0] == "Count the pears."
        (total,) = ledger.usage()
        assert (total.calls, total.input) == (8, 76)


def test_a_fork_is_awaited_until_its_copies_are_there(path: Path) -> None:
    with memory_ledger() as ledger:
        say(path, "m1", "user", words("Go."))
        start(path, "ses_2", time.time_ns() // 1_000_000)
        ledger.import_from(path)
        say(path, "m9", "user", words("Go."), at=1, session="ses_2")
        ledger.import_from(path)
        assert len(ledger.sessions(limit=9)) == 1
        run(path, "update session set time_created = 2000 where id = 'ses_2'")
        ledger.import_from(path)
        assert session(ledger, "ses_2").info.forked_from is not None


def test_what_was_taken_back_is_out_of_sight_and_stays_in_the_ledger(tmp_path: Path) -> None:
    path = made(GOLDEN / "family.sql", tmp_path)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        assert said(ledger, "ses_back") == ["Water the trees.", "Watered."]
        # The next prompt deletes what was taken back.
        for table, key in (("part", "message_id"), ("message", "id")):
            run(path, f"delete from {table} where {key} in ('msg_53', 'msg_54')")
        run(path, "update session set revert = null where id = 'ses_back'")
        say(path, "m1765432190000", "user", words("Prune them."), session="ses_back")
        run(path, "update event_sequence set seq = 99 where aggregate_id = 'ses_back'")
        ledger.import_from(path)
        assert said(ledger, "ses_back") == ["Water the trees.", "Watered.", "Prune them."]
        bodies = [entry.body or b"" for entry in session(ledger, "ses_back").entries()]
        assert any(b"Cut them down." in body for body in bodies)


def test_the_programs_own_count_of_events_tells_that_something_changed(path: Path) -> None:
    with memory_ledger() as ledger:
        say(path, "m1", "user", words("Go."))
        run(path, "insert into event_sequence values ('ses_1', 3, null)")
        ledger.import_from(path)
        write(path, "m1", "m1p0", words("Went."), 1)
        assert ledger.import_from(path).unchanged == 1
        run(path, "update event_sequence set seq = 4")
        ledger.import_from(path)
        assert said(ledger, "ses_1") == ["Went."]


def test_a_session_that_was_taken_over_from_the_files_is_one(tmp_path: Path) -> None:
    """The program took the files over into the database, and the session went on there."""
    tree = tmp_path / "storage"
    shutil.copytree(GOLDEN / "storage", tree)
    path = tmp_path / "opencode.db"
    for statement in statements(GOLDEN / "plain.sql"):
        if statement.startswith("create table"):
            run(path, statement)
    start(path, "ses_files", 1765432100000, title="Dry the pears")
    for file in sorted((tree / "message" / "ses_files").iterdir()):
        info = json.loads(file.read_text("utf-8"))
        id = info.pop("id")
        at = info["time"]["created"]
        row = {key: info[key] for key in info if key != "sessionID"}
        query = "insert into message values (?, ?, ?, ?, ?)"
        run(path, query, id, "ses_files", at, at, json.dumps(row))
        for part in (tree / "part" / id).iterdir():
            value = json.loads(part.read_text("utf-8"))
            told = {k: value[k] for k in value if k not in ("id", "sessionID", "messageID")}
            write(path, id, part.stem, told, at, "ses_files")
    say(path, "m1765432190000", "user", words("Eat them."), session="ses_files")
    with memory_ledger() as ledger:
        report = ledger.import_from(tmp_path)
        assert report.notes == []
        assert said(ledger, "ses_files") == ["Dry the pears.", "", "", "Dried.", "Eat them."]
        (total,) = ledger.usage()
        assert (total.calls, total.input, total.output) == (2, 210, 29)
        again = ledger.import_from(GOLDEN / "opencode_export.json")
        assert (again.sessions_new, again.added) == (0, 1)  # what the export says of the session


def test_a_torn_file_is_awaited_and_then_kept_for_what_it_is(tmp_path: Path) -> None:
    tree = tmp_path / "storage"
    shutil.copytree(GOLDEN / "storage", tree)
    torn = tree / "message" / "ses_files" / "msg_64.json"
    torn.write_text('{"id": "msg_64", "role": "us', encoding="utf-8")
    with memory_ledger() as ledger:
        ledger.import_from(tree)
        assert said(ledger, "ses_files")[-1] == "Dried."
        os.utime(torn, (1, 1))
        report = ledger.import_from(tree)
        assert [note.text for note in report.notes] == ["a message that is no JSON object"]
        bodies = [entry.body or b"" for entry in session(ledger, "ses_files").entries()]
        assert b'"data":"{\\"id\\": \\"msg_64\\", \\"role\\": \\"us"' in bodies[-1]


def test_another_copy_of_the_database_says_nothing_twice(tmp_path: Path, path: Path) -> None:
    """A backup is older: what has changed since is kept out of the conversation."""
    say(path, "m1", "user", words("Go."))
    say(path, "m2", "assistant", call("running"), time={"created": 2})
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copyfile(path, backup / "opencode.db")
    write(path, "m2", "m2p0", call("completed", "done"), 3)
    say(path, "m3", "user", words("Thanks."))
    with memory_ledger() as ledger:
        ledger.import_from(path)
        before = session(ledger, "ses_1").context()
        ledger.import_from(backup / "opencode.db")
        assert session(ledger, "ses_1").context() == before


def test_roots_are_where_the_program_keeps_its_data(tmp_path: Path) -> None:
    home = tmp_path / "home"
    plain = home / ".local" / "share" / "opencode"
    other = tmp_path / "xdg" / "opencode"
    plain.mkdir(parents=True)
    other.mkdir(parents=True)
    (tmp_path / "mine.db").touch()
    assert opencode.roots(home, {}) == [plain]
    assert opencode.roots(home, {"XDG_DATA_HOME": str(tmp_path / "xdg")}) == [other]
    env = {"OPENCODE_DATA_DIR": str(other), "OPENCODE_DB": str(tmp_path / "mine.db")}
    assert opencode.roots(home, env) == [plain, other, tmp_path / "mine.db"]
    assert opencode.roots(home, {"OPENCODE_DB": str(plain / "x.db")}) == [plain]


def test_files_with_keys_beside_the_sessions_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text('{"info": {"id": "ses_ret"}}', encoding="utf-8")
    assert list(opencode.discover(tmp_path)) == []


def test_a_database_without_the_tables_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    run(path, "create table session (id)")
    with memory_ledger() as ledger:
        report = ledger.import_from(path, importer="opencode")
        assert [note.text for note in report.notes if "no table" in note.text]


@real
def test_the_database_of_the_real_program_agrees_with_its_own_sums() -> None:
    path = FIXTURES / "generated" / "opencode.db"
    connection = apsw.Connection(
        f"file:{path}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    sums = list(
        connection.execute(
            "select sum(tokens_input), sum(tokens_output), sum(tokens_cache_read) from session "
            "where title not like '%(fork #%'"
        )
    )
    connection.close()
    with memory_ledger() as ledger:
        report = ledger.import_from(path)
        assert (report.sessions_new, report.notes) == (4, [])
        (total,) = ledger.usage()
        assert [(total.input, total.output, total.cache_read)] == sums
        main = session(ledger, "ses_e065b73eeffebbTTMAHEAEoM3Z")
        fork = session(ledger, "ses_e065702e6ffedvQB051s6lGHh5")
        assert fork.info.forked_from is not None
        assert fork.info.forked_from.session == main.id
        assert fork.history() == main.history()[: len(fork.history())]
        child = session(ledger, "ses_e065b0292ffeKzLmmM2ZsCSQAf")
        assert child.info.spawned_by == f"{main.id}#call_6"
        assert session(ledger, "ses_e065ae667ffeIiDC9V9H7O2oPk").context() == []
        for provider in ("anthropic", "openai-chat", "gemini"):
            assert main.view(provider=provider).request


@real
def test_the_export_of_the_real_program_is_what_its_rows_say() -> None:
    rows = everything(opencode, FIXTURES / "generated" / "opencode.db")
    export = everything(opencode, FIXTURES / "generated" / "opencode_export.json")
    ((native, items),) = export.items()
    bodies = {item.key: item.body for item in rows[native] if not item.aside}
    assert {item.key: item.body for item in items if not item.aside} == bodies


@real
def test_the_files_of_earlier_versions_read_whole() -> None:
    with memory_ledger() as ledger:
        report = ledger.import_from(FIXTURES / "agent-sessions")
        assert (report.sessions_new, report.notes) == (3, [])
        kinds = [m.role for m in session(ledger, "s_stage0_large").context()]
        assert kinds == ["user", "assistant", "tool", "user", "assistant"]
        ledger.import_from(FIXTURES / "toktrack")
        used = [row for row in ledger.usage() if row.key.startswith("2025-02-04")]
        assert [(row.calls, row.input, row.output) for row in used] == [(2, 3000, 1450)]
        assert all(
            entry.kind is not Kind.UNKNOWN for entry in session(ledger, "ses_test").entries()
        )


def test_a_watcher_keeps_up_with_the_database_and_the_files(tmp_path: Path, path: Path) -> None:
    tree = tmp_path / "storage"
    shutil.copytree(GOLDEN / "storage", tree)
    say(path, "m1", "user", words("Go."))
    with memory_ledger() as ledger:
        watcher = Watcher(ledger, [tmp_path], ["opencode"])
        assert len(watcher.round().changes) == 3
        assert watcher.round().changes == []
        say(path, "m2", "assistant", words("Gone."))
        part = tree / "part" / "msg_63" / "prt_64.json"
        part.write_text(part.read_text("utf-8").replace("Dried.", "Dried!"), encoding="utf-8")
        watcher.round()
        assert said(ledger, "ses_1") == ["Go.", "Gone."]
        assert said(ledger, "ses_files")[-1] == "Dried!"
        again = Watcher(ledger, [tmp_path], ["opencode"])
        assert again.round().changes == []
        say(path, "m3", "user", words("And?"))
        again.round()
        assert said(ledger, "ses_1")[-1] == "And?"


def test_odd_types_and_numbers_cost_only_themselves(path: Path) -> None:
    say(path, "m1", "user", words("Go."), {"type": ["text"]}, {"type": {"a": 1}, "text": 5})
    tokens = {"input": 2**70, "output": 3, "cache": []}
    odd = call("completed") | {"state": [1], "callID": 7}
    say(
        path,
        "m2",
        "assistant",
        words("Gone."),
        odd,
        time={"created": 2**70},
        tokens=tokens,
        cost="x",
    )
    say(path, "m3", "assistant", words("On."), parentID=5, summary=[1], error=True, finish={})
    start(path, "ses_2", revert="[1]", parent_id="ses_1")
    with memory_ledger() as ledger:
        assert ledger.import_from(path).notes == []
        assert said(ledger, "ses_1") == ["Go.", "Gone.", "On."]
        assert session(ledger, "ses_1").view(provider="anthropic").request
        assert [(row.input, row.output) for row in ledger.usage()] == [(0, 3)]


def test_a_folder_in_the_place_of_a_file_costs_no_other(tmp_path: Path) -> None:
    tree = tmp_path / "storage"
    shutil.copytree(GOLDEN / "storage", tree)
    part = tree / "part" / "msg_63" / "prt_64.json"
    part.unlink()
    part.mkdir()
    with memory_ledger() as ledger:
        ledger.import_from(tree)
        assert said(ledger, "ses_files")[0] == "Dry the pears."
