"""The schema only goes forward: a fresh one equals a migrated one, and each is written down."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import psycopg
import pytest

import clew
from clew.db import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parent / "golden"
FOLDER = resources.files("clew.db") / "sql" / "migrations"
DIALECTS = ("sqlite", "postgres")
_ORIGINAL = migrate.migrations


# --- the files -----------------------------------------------------------------------------


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    names = sorted(file.name for file in FOLDER.iterdir())
    assert names, "no migration found: the package is incomplete"
    for number, name in enumerate(names, 1):
        assert re.fullmatch(rf"{number:04d}_[a-z][a-z0-9_]*\.sql", name), name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_placeholder_is_filled_in(dialect: str) -> None:
    for number, name, script in migrate.migrations(dialect):
        plain = re.sub(r"--.*", "", script)
        assert "$" not in plain, f"{number} {name} has a placeholder that {dialect} does not know"


def test_a_migration_drops_nothing() -> None:
    for number, name, script in migrate.migrations("sqlite"):
        found = re.search(r"\b(drop table|delete from|truncate)\b", script, re.IGNORECASE)
        assert found is None, f"{number} {name}: facts are only added"


# --- the schema ----------------------------------------------------------------------------


def _sqlite_schema(connection: apsw.Connection) -> str:
    rows = connection.execute(
        "select sql from sqlite_master where sql is not null and name not like 'sqlite_%'"
        " order by type, name"
    )
    return (
        "\n".join(re.sub(r"\s+", " ", re.sub(r"--.*", "", sql)).strip() for (sql,) in rows) + "\n"
    )


def _postgres_schema(connection: psycopg.Connection[Any]) -> str:
    columns = connection.execute(
        "select table_name, column_name, data_type, is_nullable, column_default, is_identity"
        " from information_schema.columns where table_schema = current_schema()"
        " and table_name not like 'search%' order by table_name, column_name"
    ).fetchall()
    indexes = connection.execute(
        "select replace(indexdef, current_schema() || '.', '') from pg_indexes"
        " where schemaname = current_schema() and tablename not like 'search%' order by 1"
    ).fetchall()
    constraints = connection.execute(
        "select conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) from pg_constraint"
        " where connamespace = current_schema()::regnamespace and contype in ('f', 'c')"
        " and conrelid::regclass::text not like 'search%' order by 1"
    ).fetchall()
    rows = [*columns, *indexes, *constraints]
    return "\n".join(" ".join(str(cell) for cell in row) for row in rows) + "\n"


def _compare(text: str, dialect: str) -> None:
    golden = GOLDEN / f"schema.{dialect}.txt"
    if os.environ.get("CLEW_REGENERATE"):
        golden.write_text(text)
    assert text == golden.read_text(), (
        "the schema differs from the one that is written down: a released schema is changed by a "
        "new migration only; then run this test once with CLEW_REGENERATE=1"
    )


def test_a_fresh_sqlite_schema_is_the_one_written_down(tmp_path: Path) -> None:
    clew.open(tmp_path / "fresh.db", search=False).close()
    _compare(_sqlite_schema(apsw.Connection(str(tmp_path / "fresh.db"))), "sqlite")


def test_a_fresh_postgres_schema_is_the_one_written_down(postgres_database: str) -> None:
    clew.open(postgres_database, search=False).close()
    with psycopg.connect(postgres_database) as connection:
        _compare(_postgres_schema(connection), "postgres")


def _step_by_step(execute: Callable[[str], Any], dialect: str, upto: int) -> None:
    for number, _name, text in migrate.migrations(dialect)[:upto]:
        execute(text)
        execute(
            f"insert into meta (name, value) values ('schema', '{number}')"
            " on conflict (name) do update set value = excluded.value"
        )


@pytest.mark.parametrize("version", range(1, len(migrate.migrations("sqlite")) + 1))
def test_a_migrated_sqlite_schema_equals_a_fresh_one(tmp_path: Path, version: int) -> None:
    connection = apsw.Connection(str(tmp_path / "old.db"))
    _step_by_step(connection.execute, "sqlite", version)
    connection.close()
    with clew.open(tmp_path / "old.db", search=False) as ledger:
        ledger.create().append({"role": "user", "content": "x"})
        assert ledger.verify().ok
    _compare(_sqlite_schema(apsw.Connection(str(tmp_path / "old.db"))), "sqlite")


@pytest.mark.parametrize("version", range(1, len(migrate.migrations("postgres")) + 1))
def test_a_migrated_postgres_schema_equals_a_fresh_one(
    postgres_database: str, version: int
) -> None:
    with psycopg.connect(postgres_database) as connection:
        _step_by_step(lambda sql: connection.execute(sql.encode()), "postgres", version)
    with clew.open(postgres_database, search=False) as ledger:
        ledger.create().append({"role": "user", "content": "x"})
        assert ledger.verify().ok
    with psycopg.connect(postgres_database) as connection:
        _compare(_postgres_schema(connection), "postgres")


# --- versions ------------------------------------------------------------------------------


@pytest.mark.inside
def test_opening_writes_the_newest_version(ledger: clew.Ledger) -> None:
    with ledger._database.read() as tx:
        row = tx.one("meta_get", name="schema")
    newest = migrate.migrations("sqlite")[-1][0]
    assert newest == migrate.migrations("postgres")[-1][0]
    assert row is not None
    assert int(row[0]) == newest


@pytest.fixture
def one_more(monkeypatch: pytest.MonkeyPatch) -> int:
    """A migration that comes after all there are."""
    original = migrate.migrations

    def longer(dialect: str) -> list[tuple[int, str, str]]:
        found = original(dialect)
        return [*found, (found[-1][0] + 1, "tomorrow", "create table tomorrow (day text);")]

    newest = original("sqlite")[-1][0] + 1
    monkeypatch.setattr(migrate, "migrations", longer)
    return newest


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_an_older_ledger_is_migrated_when_written_and_only_read_otherwise(
    url: str, one_more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(migrate, "migrations", _ORIGINAL)
        with clew.open(url) as ledger:
            session = ledger.create()
            session.append({"role": "user", "content": "old"})
    with clew.open(url, read_only=True) as ledger:
        assert [m.text for m in ledger.get(session.id).history()] == ["old"]
        with pytest.raises(clew.ReadOnly, match="older"):
            ledger.get(session.id).clear()
    with clew.open(url) as ledger:
        ledger.get(session.id).append({"role": "user", "content": "new"})
        with ledger._database.read() as tx:
            assert tx.one("meta_get", name="schema") == (str(one_more),)
            assert ("tomorrow",) in tx.all("tables")
        assert ledger.verify().ok


def test_a_failing_migration_leaves_the_old_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    with clew.open(path, search=False) as ledger:
        session = ledger.create()
    original = _ORIGINAL("sqlite")
    broken = "create table half (x text); create table nonsense nonsense;"
    with monkeypatch.context() as patched:
        patched.setattr(
            migrate, "migrations", lambda _d: [*original, (original[-1][0] + 1, "bad", broken)]
        )
        with pytest.raises((clew.ClewError, apsw.Error)):
            clew.open(path)
    with clew.open(path, search=False) as ledger:
        assert ledger.get(session.id).info.entries == 0
    assert "half" not in _sqlite_schema(apsw.Connection(str(path)))
