"""Backups: one moment of the ledger in a new SQLite file, equal row by row, whatever it is from."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew.db.copy import TABLES, copy_to_sqlite
from clew.db.database import queries

from .talk import behind, said, turns, user

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.inside
"""A server writes its back-ups into a folder of its own; see `tests/test_remote.py`."""


def _fill(ledger: clew.Ledger) -> clew.Session:
    session = ledger.session(frontend="cli", user="1", project="p")
    session.extend([*turns(3), user("long " * 3000)], idempotency_key="k")
    session.append({"role": "assistant", "content": "x", "usage": {"input_tokens": 3}})
    session.config["model"] = "m"
    session.compact(summary="s", keep_from=session.entry(5))
    session.branch().append(user("aside"))
    session.clear()
    ledger.erase(ledger.create().id)
    return session


def _tables(ledger: clew.Ledger) -> list[str]:
    with ledger._database.read() as tx:
        mine = {name for (name,) in tx.all("tables")}
    return sorted(name for name in mine if not name.startswith("search"))


def _rows(ledger: clew.Ledger, table: str) -> list[list[Any]]:
    found = behind(ledger, f"select * from {table}")
    plain = [[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in found]
    return sorted(plain, key=repr)


def test_a_backup_opens_verifies_and_says_the_same(ledger: clew.Ledger, tmp_path: Path) -> None:
    session = _fill(ledger)
    path = ledger.backup(tmp_path / "new folder" / "copy.db")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["copy.db"]
    with clew.open(path) as copy:
        report = copy.verify()
        assert report.ok, report.problems
        assert report.roots == {**ledger.verify().roots}, (
            "the chains of the copy end where those of the original do"
        )
        again = copy.get(session.id)
        assert again.entries() == session.entries()
        assert again.checkpoints() == session.checkpoints()
        assert copy.sessions() == ledger.sessions()
        assert copy.search("aside").hits
        again.restore(again.checkpoints()[0])
        assert len(said(again)) == 8


def test_every_row_of_every_table_is_copied(ledger: clew.Ledger, tmp_path: Path) -> None:
    _fill(ledger)
    with ledger._database.read() as tx:
        copy_to_sqlite(tx, str(tmp_path / "copy.db"))
    with clew.open(tmp_path / "copy.db", read_only=True) as copy:
        assert _tables(copy) == _tables(ledger) == sorted(table.name for table in TABLES)
        for table in _tables(ledger):
            assert _rows(copy, table) == _rows(ledger, table), table


def test_a_copy_goes_page_by_page(
    ledger: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clew.db.copy.PAGE", 1)
    monkeypatch.setattr("clew.db.copy.PAGE_BODIES", 2)
    _fill(ledger)
    with ledger._database.read() as tx:
        copy_to_sqlite(tx, str(tmp_path / "copy.db"))
    with clew.open(tmp_path / "copy.db") as copy:
        assert copy.verify().ok
        assert _rows(copy, "entry") == _rows(ledger, "entry")


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_a_copy_knows_every_table(dialect: str) -> None:
    names = {table.name for table in TABLES}
    assert {f"copy_{name}" for name in names} <= queries(dialect).keys()


def test_a_backup_is_noted_and_named_by_erase(ledger: clew.Ledger, tmp_path: Path) -> None:
    session = _fill(ledger)
    path = ledger.backup(tmp_path / "copy.db")
    (record,) = ledger.audit(action="backup")
    assert record.facts["file"] == "copy.db"
    assert ledger.erase(session.id, dry_run=True).backups == (str(path),)


def test_a_backup_never_overwrites(ledger: clew.Ledger, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("precious")
    with pytest.raises(clew.Invalid, match="exists already"):
        ledger.backup(there)
    assert there.read_text() == "precious"


def test_a_failed_backup_leaves_nothing(
    ledger: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> None:
        (tmp_path / path).write_text("half")
        raise clew.Unavailable("the disk is full")

    monkeypatch.setattr(ledger._database, "backup", fail)
    with pytest.raises(clew.Unavailable):
        ledger.backup(tmp_path / "folder" / "copy.db")
    assert list((tmp_path / "folder").iterdir()) == []
    assert ledger.audit(action="backup") == []


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_a_read_only_ledger_can_be_backed_up(url: str, tmp_path: Path) -> None:
    with clew.open(url) as ledger:
        _fill(ledger)
    with clew.open(url, read_only=True) as ledger:
        path = ledger.backup(tmp_path / "copy.db")
    with clew.open(path) as copy:
        assert copy.verify().ok
