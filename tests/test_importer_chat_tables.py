"""Chat applications' tables on PostgreSQL: calls, late results, snapshots, other names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner

import clew
from clew.cli import main
from clew.errors import Invalid, NotFound, Unavailable
from clew.importers.chat_tables import ChatTables, Names
from clew.model import Kind, ToolCall, ToolResult
from importer_kit import memory_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRACES = """create table {table} (
    id bigserial primary key, session_id text, {chat} uuid, turn_number int, tool_name text,
    tool_input json, tool_output text, started_at timestamptz, finished_at timestamptz,
    latency_ms int, tokens_used int, error text, outcome text
)"""
SNAPSHOTS = (
    "create table agent_snapshots (chat_id uuid primary key, state jsonb, updated_at timestamptz)"
)
CHAT = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"


@pytest.fixture
def app(postgres_database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def tables(app: psycopg.Connection[Any], postgres_database: str) -> str:
    app.execute(TRACES.format(table="tool_traces", chat="chat_id").encode())
    app.execute(SNAPSHOTS.encode())
    app.execute(b"create table accounts (token text)")
    app.execute(b"insert into accounts values ('SECRET-1')")
    return postgres_database


def trace(app: psycopg.Connection[Any], tool: str, **more: Any) -> None:
    row = {"chat_id": CHAT, "tool_name": tool, "started_at": "2026-05-01T10:00:00Z", **more}
    row["tool_input"] = json.dumps(row.get("tool_input", {"path": "pears.txt"}), indent=1)
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    query = f"insert into tool_traces ({names}) values ({places})"
    app.execute(query.encode(), list(row.values()))


def parts(ledger: clew.Ledger, chat: str = CHAT) -> list[str]:
    (info,) = [i for i in ledger.sessions(limit=10) if str(i.imported_from).endswith(chat)]
    told = []
    for message in ledger.get(info.id).history():
        for part in message.parts:
            if isinstance(part, ToolCall):
                told.append(f"{part.name}{part.arguments}")
            elif isinstance(part, ToolResult):
                told.append(f"{part.call_id}:{message.text or part.text}{'!' * part.is_error}")
    return told


@pytest.mark.inside
def test_a_chat_is_a_session_of_calls_and_results(
    ledger: clew.Ledger, app: psycopg.Connection[Any], tables: str
) -> None:
    trace(app, "read", tool_output="three", finished_at="2026-05-01T10:00:02Z")
    trace(app, "write", error="disk full", finished_at="2026-05-01T10:00:03Z", tokens_used=5)
    trace(app, "lost")
    trace(app, "read", chat_id=OTHER, tool_output="x", finished_at="2026-05-01T10:00:02Z")
    app.execute(b"insert into agent_snapshots values (%s, '{\"at\": 1}', now())", [CHAT])
    report = ledger.import_from(tables)
    assert (report.sessions_new, report.notes) == (2, [])
    asked = '{"path":"pears.txt"}'
    assert parts(ledger) == [
        f"read{asked}",
        "1:three",
        f"write{asked}",
        "2:disk full!",
        f"lost{asked}",
    ]
    again = ledger.import_from(tables)
    assert (again.added, again.unchanged) == (0, 1)
    bodies = [
        entry.body or b""
        for info in ledger.sessions(limit=10)
        for entry in ledger.get(info.id).entries()
    ]
    assert not any(b"SECRET" in body for body in bodies)
    assert sum(b"agent_snapshots" in body for body in bodies) == 1


def test_a_call_that_ends_behind_later_ones_gets_its_result(
    app: psycopg.Connection[Any], tables: str
) -> None:
    with memory_ledger() as ledger:
        trace(app, "slow")
        trace(app, "fast", tool_output="1", finished_at="2026-05-01T10:00:01Z")
        ledger.import_from(tables)
        app.execute(b"update tool_traces set tool_output = '2', finished_at = now() where id = 1")
        app.execute(b"update tool_traces set outcome = 'late' where id = 1")
        ledger.import_from(tables)
        assert [part for part in parts(ledger) if ":" in part[:2]] == ["2:1", "1:2"]
        (info,) = ledger.sessions(limit=10)
        view = ledger.get(info.id).view("anthropic")
        assert (view.repaired, view.orphans, view.duplicates) == ((), 0, 0)


def test_a_call_that_still_runs_waits(app: psycopg.Connection[Any], tables: str) -> None:
    with memory_ledger() as ledger:
        trace(app, "done", tool_output="1", finished_at="2026-05-01T10:00:01Z")
        app.execute(
            b"insert into tool_traces (chat_id, tool_name, started_at) values (%s, 'runs', now())",
            [CHAT],
        )
        ledger.import_from(tables)
        assert len(parts(ledger)) == 2
        app.execute(b"update tool_traces set tool_output = '2', finished_at = now() where id = 2")
        ledger.import_from(tables)
        assert parts(ledger)[2:] == ["runs{}", "2:2"]


def test_every_version_of_a_snapshot_that_was_seen_is_kept(
    app: psycopg.Connection[Any], tables: str
) -> None:
    with memory_ledger() as ledger:
        for number in range(3):
            app.execute(
                b"insert into agent_snapshots values (%s, %s, now()) "
                b"on conflict (chat_id) do update set state = excluded.state",
                [CHAT, json.dumps({"at": number})],
            )
            ledger.import_from(tables)
        (info,) = ledger.sessions(limit=10)
        kinds = [entry.kind for entry in ledger.get(info.id).entries()]
        assert kinds == [Kind.NOTICE] * 3


def test_other_names_are_told_on_the_command_line(
    app: psycopg.Connection[Any], postgres_database: str, tmp_path: Path
) -> None:
    app.execute(b"create schema app")
    app.execute(TRACES.format(table='app."Calls"', chat='"Thread"').encode())
    app.execute(
        b"insert into app.\"Calls\" (\"Thread\", tool_name, tool_output) values (%s, 'read', 'y')",
        [CHAT],
    )
    words = ["--db", str(tmp_path / "l.db"), "import", postgres_database]
    mapped = ["--map", "tool_traces=app.Calls", "--map", "tool_traces.chat_id=Thread"]
    done = CliRunner().invoke(main, [*words, *mapped])
    assert done.exit_code == 0, done.stderr
    assert "1 new session" in done.stdout
    wrong = CliRunner().invoke(main, [*words, *mapped[:2]])
    assert wrong.exit_code != 0
    assert "app.Calls has no column 'chat_id'" in wrong.stderr
    assert "Thread" in wrong.stderr
    none = CliRunner().invoke(main, words)
    assert "none of the tables tool_traces, agent_snapshots is there" in none.stderr
    gone = CliRunner().invoke(main, [*words, "--map", "tool_traces=nosuch.table"])
    assert "there is no table nosuch.table" in gone.stderr
    half = CliRunner().invoke(main, [*words, "--map", "tool_traces"])
    assert "write NAME=OWN" in half.stderr


def test_nothing_is_written_there_and_no_password_is_told(
    app: psycopg.Connection[Any], tables: str
) -> None:
    trace(app, "read", tool_output="1")
    with memory_ledger() as ledger:
        ledger.import_from(tables)
        (info,) = ledger.sessions(limit=10)
        (source,) = ledger.source_bytes(info.id)
        assert source.startswith("postgresql://")
        assert "@" not in source
    (count,) = app.execute(b"select count(*) from pg_stat_user_tables").fetchone() or (0,)
    assert count == 3


def test_wrong_names_and_addresses_are_refused() -> None:
    with memory_ledger() as ledger:
        with pytest.raises(Invalid, match="nothing is called 'traces' here"):
            ledger.import_from("postgresql://nowhere.invalid/x", tables={"traces": "x"})
        with pytest.raises(Unavailable, match="no PostgreSQL answers there"):
            ledger.import_from("postgresql://127.0.0.1:1/x?connect_timeout=1")
        with pytest.raises(Invalid, match="give its postgresql:// URL"):
            ledger.import_from("somewhere", tables={"tool_traces": "x"})


def test_a_hostile_name_stays_a_name() -> None:
    asked: list[str] = []

    def run(query: str, values: Any) -> list[tuple[Any, ...]]:
        asked.extend(map(str, values))
        return [(None,)]

    names = Names({"tool_traces": 'x"; drop table y; --'})
    with pytest.raises(NotFound), ChatTables(run, names).look(None):  # type: ignore[arg-type]
        pass
    assert asked[0] == '"x""; drop table y; --"'
