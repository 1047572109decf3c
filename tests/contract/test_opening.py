"""Opening: what is no ledger is left alone, what may not be written is not written."""

from __future__ import annotations

import os
import sqlite3
import stat
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import clew

from .talk import behind, file_of, said, turns, user

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEPT = pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
KEPT_OR_SERVED = pytest.mark.parametrize("url", ["sqlite", "postgres", "remote"], indirect=True)


@KEPT_OR_SERVED
def test_what_was_written_is_there_again(url: str) -> None:
    with clew.open(url) as ledger:
        session = ledger.session(frontend="cli", user="1")
        session.extend(turns(3))
    ledger.close()
    with clew.open(url) as ledger:
        assert said(ledger.session(frontend="cli", user="1")) == [m["content"] for m in turns(3)]


@KEPT_OR_SERVED
def test_a_read_only_ledger_reads_and_refuses_to_write(url: str) -> None:
    with clew.open(url) as ledger:
        session = ledger.session(frontend="cli", user="1")
        session.extend(turns(3))
        session.checkpoint("x")
        ledger.index_now()
    with clew.open(url, read_only=True) as ledger:
        session = ledger.session(frontend="cli", user="1")
        assert len(session.history()) == 6
        assert ledger.search("ask").hits
        assert ledger.verify().ok
        assert ledger.stats().entries == 6
        verbs: list[Callable[[], Any]] = [
            lambda: session.append(user("x")),
            lambda: session.undo(),
            lambda: session.config.update(a=1),
            lambda: session.lease("x"),
            lambda: ledger.create(),
            lambda: ledger.session(frontend="new", user="1"),
            lambda: ledger.erase(session.id),
            lambda: ledger.create(project="new"),
        ]
        for verb in verbs:
            with pytest.raises(clew.ReadOnly, match="read-only"):
                verb()
        assert len(session.history()) == 6


@KEPT
def test_a_read_only_open_makes_no_ledger(url: str) -> None:
    with pytest.raises(clew.NotFound, match="no ledger"):
        clew.open(url, read_only=True)
    path = file_of(url)
    assert path is None or not path.exists()


@KEPT
def test_a_newer_schema_is_read_and_not_written(url: str) -> None:
    with clew.open(url) as ledger:
        session = ledger.create()
        session.extend(turns(1))
        behind(ledger, "update meta set value = '99' where name = 'schema'")
    with clew.open(url) as ledger:
        assert len(ledger.get(session.id).history()) == 2
        with pytest.raises(clew.ReadOnly, match=r"schema 99.*upgrade Clew"):
            ledger.get(session.id).append(user("x"))
        assert behind(ledger, "select value from meta where name = 'schema'")[0][0] == "99"


def test_a_foreign_sqlite_file_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "addresses.db"
    with sqlite3.connect(path) as foreign:
        foreign.execute("create table person (name text)")
        foreign.execute("insert into person values ('Ada')")
    foreign.close()
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(clew.Damaged, match=r"person.*database of its own"):
            clew.open(path, read_only=read_only)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["addresses.db"]


def test_a_foreign_postgres_database_is_refused(postgres_database: str) -> None:
    import psycopg

    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("create table person (name text)")
    with pytest.raises(clew.Damaged, match="person"):
        clew.open(postgres_database)
    with psycopg.connect(postgres_database) as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'public'"
        ).fetchall()
    assert tables == [("person",)]


@pytest.mark.parametrize("content", [b"no database at all " * 100, b"\0" * 5000, b"x"])
def test_a_file_that_is_no_database_is_refused_and_not_touched(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    with pytest.raises(clew.Damaged):
        clew.open(path)
    assert path.read_bytes() == content


def test_wrong_urls(tmp_path: Path) -> None:
    for wrong in ("mysql://me:secret@host/db", "sqlite://host/x", "sqlite:///", "ftp://x/y"):
        with pytest.raises(clew.Invalid) as caught:
            clew.open(wrong)
        assert "secret" not in str(caught.value)
    with pytest.raises(clew.Invalid, match="folder"):
        clew.open(tmp_path)
    with pytest.raises(clew.Invalid, match="durability"):
        clew.open(tmp_path / "x.db", durability="half")  # type: ignore[arg-type]
    with pytest.raises(clew.Unavailable) as unanswered:
        clew.open("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(unanswered.value)


@pytest.mark.parametrize("name", ["a b.db", "a%41.db", "a#b.db", "a?b.db", "ä漢.db"])
def test_a_path_with_odd_characters_names_that_file(tmp_path: Path, name: str) -> None:
    ways: list[str | Path] = [tmp_path / name, str(tmp_path / name)]
    for number, path in enumerate(ways):
        with clew.open(path) as ledger:
            ledger.create()
            assert len(ledger.sessions()) == number + 1
    assert (tmp_path / name).exists()
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_the_default_is_what_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEW_DB", str(tmp_path / "named.db"))
    clew.open().close()
    assert (tmp_path / "named.db").exists()
    monkeypatch.delenv("CLEW_DB")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("sys.platform", "linux")
    clew.open().close()
    assert (tmp_path / "data" / "clew" / "clew.db").exists()


def test_a_closed_ledger_says_so(ledger: clew.Ledger, url: str) -> None:
    with clew.open(url) as other:
        session = other.create()
    for verb in (session.history, session.clear, other.sessions, other.create):
        with pytest.raises(clew.ClewError, match="closed"):
            verb()
    other.close()
    assert ledger.verify().ok


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@KEPT_OR_SERVED
def test_use_after_a_fork_is_refused(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("before"))
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a test's threads are its own
        child = os.fork()
    if child == 0:
        told = []
        for verb in (session.history, session.clear, ledger.create):
            try:
                verb()
                told.append("nothing")
            except BaseException as error:
                told.append(f"{type(error).__name__}: {error}")
        os.write(writing, "\n".join(told).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read().splitlines()
    os.waitpid(child, 0)
    assert len(told) == 3
    assert all(line.startswith("ClewError") and "fork" in line for line in told), told
    session.append(user("after"))
    assert said(session) == ["before", "after"]
