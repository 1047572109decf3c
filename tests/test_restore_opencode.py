"""Giving OpenCode sessions back: what `opencode export` would say, value by value."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import clew
from restore_kit import imported
from store_kit import made, run

pytestmark = pytest.mark.inside  # files are imported and written where the ledger is

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "opencode"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "opencode" / "generated"
real = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")


def given_back(ledger: clew.Ledger, native: str, root: Path) -> tuple[Any, dict[str, Any]]:
    """What was told of a restore, and each session's export by its id."""
    done = ledger.restore_file(imported(ledger, f"opencode:{native}"), "opencode", root=root)
    values = [json.loads(file.path.read_bytes()) for file in done.files]
    return done, {value["info"]["id"]: value for value in values}


@real
@pytest.mark.parametrize("name", ["opencode.db", "opencode_export.json"])
def test_a_session_comes_back_as_the_program_exported_it(
    ledger: clew.Ledger, tmp_path: Path, name: str
) -> None:
    truth = json.loads((FIXTURES / "opencode_export.json").read_bytes())
    ledger.import_from(FIXTURES / name)
    done, found = given_back(ledger, truth["info"]["id"], tmp_path)
    assert (done.exact, done.why, done.losses, done.missing, done.notes) == (True, None, (), (), ())
    told = found[truth["info"]["id"]]
    assert json.dumps(told) == json.dumps(truth), "values, and their order"


def test_an_export_comes_back_with_the_same_values(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(GOLDEN / "opencode_export.json")
    done, found = given_back(ledger, "ses_files", tmp_path)
    assert done.exact
    assert found == {"ses_files": json.loads((GOLDEN / "opencode_export.json").read_bytes())}


def test_a_row_is_told_in_the_programs_words_and_a_sub_agent_comes_along(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    ledger.import_from(made(GOLDEN / "family.sql", tmp_path))
    done, found = given_back(ledger, "ses_orig", tmp_path / "new")
    assert done.exact
    assert set(found) == {"ses_orig", "ses_child"}
    assert found["ses_orig"]["info"] == {
        "id": "ses_orig",
        "slug": "quiet-pear",
        "projectID": "p1",
        "directory": "/home/ada/pears",
        "title": "Count pears",
        "version": "1.18.33",
        "cost": 0,
        "tokens": {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}},
        "time": {"created": 1765432100000, "updated": 1765432100500},
    }
    assert found["ses_child"]["info"]["parentID"] == "ses_orig"
    first = found["ses_orig"]["messages"][0]
    assert first["info"]["id"] == "msg_21"
    assert first["parts"] == [
        {
            "type": "text",
            "text": "Count the pears.",
            "id": "prt_0001",
            "sessionID": "ses_orig",
            "messageID": "msg_21",
        }
    ]
    child, parent = (next(f.path for f in done.files if id in f.path.name)
                     for id in ("ses_child", "ses_orig"))  # fmt: skip
    assert done.command == (
        f"cd /home/ada/pears && opencode import {child} && opencode import {parent}"
        " && opencode --session ses_orig"
    )
    assert "SECRET" not in json.dumps(found)


def test_the_sub_agent_alone_brings_its_parent(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(made(GOLDEN / "family.sql", tmp_path))
    done, found = given_back(ledger, "ses_child", tmp_path / "new")
    assert set(found) == {"ses_orig", "ses_child"}
    assert done.native == "ses_child"
    assert done.command.endswith("opencode --session ses_child")


def test_a_fork_is_whole_by_itself(ledger: clew.Ledger, tmp_path: Path) -> None:
    path = made(GOLDEN / "family.sql", tmp_path)
    ledger.import_from(path)
    done, found = given_back(ledger, "ses_fork2", tmp_path / "new")
    assert done.exact
    assert set(found) == {"ses_fork2"}
    ids = [message["info"]["id"] for message in found["ses_fork2"]["messages"]]
    assert ids == ["msg_41", "msg_42", "msg_43", "msg_48", "msg_49"]
    assert {m["info"]["sessionID"] for m in found["ses_fork2"]["messages"]} == {"ses_fork2"}


def test_what_was_taken_back_is_there_until_something_else_is_said(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    path = made(GOLDEN / "family.sql", tmp_path)
    ledger.import_from(path)
    done, found = given_back(ledger, "ses_back", tmp_path / "new")
    assert done.exact
    told = found["ses_back"]
    assert told["info"]["revert"] == {"messageID": "msg_53", "snapshot": "4c3e"}
    assert [m["info"]["id"] for m in told["messages"]] == ["msg_51", "msg_52", "msg_53", "msg_54"]
    # The program takes out what was taken back, and adds what is said instead.
    run(path, "delete from message where id in ('msg_53', 'msg_54')")
    info = '{"role":"user","time":{"created":1765432190000}}'
    run(path, "insert into message values ('msg_55','ses_back',1765432190000,1,?)", info)
    run(path, "insert into part values ('p_9','msg_55','ses_back',1,1,'{\"type\":\"text\"}')")
    run(path, "update session set revert = null, time_updated = 7 where id = 'ses_back'")
    run(path, "update event_sequence set seq = 30 where aggregate_id = 'ses_back'")
    ledger.import_from(path)
    _done, found = given_back(ledger, "ses_back", tmp_path / "later")
    told = found["ses_back"]
    assert "revert" not in told["info"]
    assert [m["info"]["id"] for m in told["messages"]] == ["msg_51", "msg_52", "msg_55"]


def test_counts_and_changed_messages_are_those_of_the_last_look(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    path = made(GOLDEN / "family.sql", tmp_path)
    ledger.import_from(path)
    before, _found = given_back(ledger, "ses_orig", tmp_path / "new")
    run(path, "update session set cost = 0.5, tokens_input = 33 where id = 'ses_orig'")
    run(path, "update part set data = json_set(data, '$.text', 'Count!') where id = 'prt_0001'")
    run(path, "update event_sequence set seq = 30 where aggregate_id = 'ses_orig'")
    ledger.import_from(path)
    done, found = given_back(ledger, "ses_orig", tmp_path / "new")
    assert done.exact
    assert found["ses_orig"]["info"]["cost"] == 0.5
    assert found["ses_orig"]["info"]["tokens"]["input"] == 33
    assert found["ses_orig"]["messages"][0]["parts"][0]["text"] == "Count!"
    assert {file.path for file in before.files} != {file.path for file in done.files}


def test_a_session_that_grew_here_is_written_anew(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(GOLDEN / "opencode_export.json")
    session = ledger.get(imported(ledger, "opencode:ses_files"))
    session.append({"role": "user", "content": "And figs?"})
    done = ledger.restore_file(session.id, "opencode", root=tmp_path)
    assert (done.exact, done.why) == (False, "1 entry was added here")
    assert done.native != "ses_files"


def test_old_files_without_what_the_program_asks_for_are_written_anew(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    ledger.import_from(GOLDEN / "storage")
    done = ledger.restore_file(imported(ledger, "opencode:ses_files"), "opencode", root=tmp_path)
    assert not done.exact
    assert done.why == "OpenCode would not take it back: the session's slug was not kept"


def test_old_files_that_hold_all_come_back_as_an_export_without_a_link(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    shutil.copytree(GOLDEN / "storage", tmp_path / "storage")
    file = tmp_path / "storage" / "session" / "p1" / "ses_files.json"
    info = json.loads(file.read_bytes()) | {"slug": "dry-pear"}
    file.write_text(json.dumps(info | {"share": {"url": "https://example.org/SECRET-link"}}))
    ledger.import_from(tmp_path / "storage")
    done, found = given_back(ledger, "ses_files", tmp_path / "new")
    assert done.exact
    told = json.loads((GOLDEN / "opencode_export.json").read_bytes())
    assert found == {"ses_files": {"info": info, "messages": told["messages"]}}
    kept = ledger.source_bytes(imported(ledger, "opencode:ses_files"))
    assert b"SECRET" not in b"".join(kept.values())


def test_a_damaged_message_makes_it_another_session(ledger: clew.Ledger, tmp_path: Path) -> None:
    path = made(GOLDEN / "family.sql", tmp_path)
    run(path, "update part set data = '{\"type\":' where id = 'prt_0003'")
    ledger.import_from(path)
    done = ledger.restore_file(
        imported(ledger, "opencode:ses_orig"), "opencode", root=tmp_path / "new"
    )
    assert done.why == "OpenCode would not take message msg_23 back: it is damaged"
    child, found = given_back(ledger, "ses_child", tmp_path / "child")
    assert set(found) == {"ses_child"}
    assert child.missing == (
        "session ses_orig: OpenCode would not take message msg_23 back: it is damaged",
    )


def test_two_stores_that_differ_are_named(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(GOLDEN / "opencode_export.json")
    value = json.loads((GOLDEN / "opencode_export.json").read_bytes())
    value["info"]["time"]["updated"] += 5
    value["messages"].pop()
    later = tmp_path / "opencode_later.json"
    later.write_text(json.dumps(value))
    ledger.import_from(later)
    done, found = given_back(ledger, "ses_files", tmp_path / "new")
    assert found == {"ses_files": value}
    assert done.notes == (
        "ses_files was read from 2 stores that differ: "
        "given back as opencode_later.json#ses_files has it",
    )


def test_what_was_given_back_comes_in_as_the_same_session(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    ledger.import_from(made(GOLDEN / "family.sql", tmp_path))
    before = len(ledger.sessions(spawned=True))
    first, found = given_back(ledger, "ses_orig", tmp_path / "new")
    ledger.import_from(tmp_path / "new")
    assert len(ledger.sessions(spawned=True)) == before
    again, same = given_back(ledger, "ses_orig", tmp_path / "new")
    assert (again.exact, same) == (True, found)
    assert {file.state for file in again.files} == {"there"}
    assert first.command == again.command
