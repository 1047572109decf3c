"""Reading the OpenAI Agents SDK's sessions: items, branches, what was taken back, usage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import clew
from clew.importers import openai_agents
from clew.model import Kind
from importer_kit import memory_ledger
from store_kit import StorePromises, everything, made, run

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "openai_agents"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "openai-agents" / "generated"


class TestPromises(StorePromises):
    store = openai_agents
    files = sorted(GOLDEN.glob("*.sql"))


def said(ledger: clew.Ledger) -> list[str]:
    (info,) = ledger.sessions(limit=10)
    return [message.text for message in ledger.get(info.id).context()]


def user(text: str) -> str:
    return json.dumps({"role": "user", "content": text})


def add(path: Path, text: str) -> None:
    run(
        path,
        "insert into agent_messages (session_id, message_data, created_at) values (?, ?, ?)",
        "s",
        user(text),
        "2026-05-03 10:00:00",
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "agents.db"
    for statement in (GOLDEN / "plain.sql").read_text().split(";")[:2]:
        run(path, statement)
    run(path, "insert into agent_sessions values ('s', '2026-05-03', '2026-05-03')")
    return path


def test_a_popped_item_is_gone_from_the_conversation_and_stays_in_the_ledger(path: Path) -> None:
    with memory_ledger() as ledger:
        for text in ("one", "two", "thre"):
            add(path, text)
        ledger.import_from(path)
        run(path, "delete from agent_messages where id = 3")
        add(path, "three")
        ledger.import_from(path)
        assert said(ledger) == ["one", "two", "three"]
        (info,) = ledger.sessions(limit=10)
        kept = [e.body for e in ledger.get(info.id).entries() if e.kind is Kind.MESSAGE]
        assert sum(b"thre" in (body or b"") for body in kept) == 2


def test_a_cleared_session_begins_again(path: Path) -> None:
    with memory_ledger() as ledger:
        add(path, "one")
        ledger.import_from(path)
        run(path, "delete from agent_messages")
        ledger.import_from(path)
        add(path, "anew")
        ledger.import_from(path)
        assert said(ledger) == ["anew"]


def test_a_changed_last_item_takes_its_place_and_a_changed_earlier_one_is_kept_aside(
    path: Path,
) -> None:
    with memory_ledger() as ledger:
        add(path, "one")
        add(path, "two")
        ledger.import_from(path)
        run(path, "update agent_messages set message_data = ? where id = 2", user("TWO!"))
        ledger.import_from(path)
        assert said(ledger) == ["one", "TWO!"]
        run(path, "update agent_messages set message_data = ? where id = 1", user("ONE!"))
        ledger.import_from(path)
        add(path, "three")
        ledger.import_from(path)
        assert said(ledger) == ["one", "TWO!", "three"]
        (info,) = ledger.sessions(limit=10)
        bodies = [entry.body or b"" for entry in ledger.get(info.id).entries()]
        assert any(b"ONE!" in body for body in bodies)


def test_a_row_in_the_middle_that_goes_takes_nothing_else_along(path: Path) -> None:
    with memory_ledger() as ledger:
        for text in ("one", "two", "three", "four", "five"):
            add(path, text)
        ledger.import_from(path)
        run(path, "delete from agent_messages where id = 2")
        ledger.import_from(path)
        assert said(ledger) == ["one", "three", "four", "five"]
        add(path, "six")
        run(path, "delete from agent_messages where id = 4")
        ledger.import_from(path)
        assert said(ledger) == ["one", "three", "five", "six"]


def test_the_branches_share_what_came_before_them(tmp_path: Path) -> None:
    path = made(GOLDEN / "branches.sql", tmp_path)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        assert said(ledger) == ["Name a pear.", "Conference.", "An apple instead.", "Boskoop."]
        (total,) = ledger.usage()
        assert (total.input, total.cache_read, total.output, total.reasoning) == (20, 10, 4, 2)


def test_two_databases_with_the_same_session_name_are_two_sessions(tmp_path: Path) -> None:
    one = made(GOLDEN / "plain.sql", tmp_path / "a")
    other = made(GOLDEN / "plain.sql", tmp_path / "b")
    run(other, "update agent_sessions set created_at = '2026-06-01 00:00:00'")
    with memory_ledger() as ledger:
        ledger.import_from(one)
        ledger.import_from(other)
        assert len(ledger.sessions(limit=10)) == 2


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")
def test_the_files_of_the_real_sdk_read_whole() -> None:
    plain = everything(openai_agents, FIXTURES / "openai_agents.db")
    assert [len(items) for items in plain.values()] == [6, 2]
    with memory_ledger() as ledger:
        report = ledger.import_from(FIXTURES)
        assert (report.sessions_new, report.added, report.notes) == (3, 16, [])
        (advanced,) = [i for i in ledger.sessions(limit=9) if "adv-1" in str(i.imported_from)]
        texts = [m.text for m in ledger.get(advanced.id).context()]
        assert texts == ["question 0", "answer 0", "branched question", "branched answer"]


def test_what_tells_no_time_begins_when_the_first_told_thing_did(path: Path) -> None:
    with memory_ledger() as ledger:
        add(path, "one")
        run(path, "update agent_messages set created_at = 'soon'")
        add(path, "two")
        ledger.import_from(path)
        (info,) = ledger.sessions(limit=10)
        first, second = ledger.get(info.id).entries()
        assert first.time_ms == second.time_ms == info.created_ms == 1_777_802_400_000
