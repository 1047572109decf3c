"""A ledger of schema 1 (Clew 0.1) is brought up to date: every entry gets the turn that its path
says, and nothing else changes.

The old ledger is made of today's: the same rows in the tables and columns of schema 1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import apsw
import psycopg
import pytest

import clew
from clew.db import fill_turns, migrate
from clew.db.database import Tx
from contract.talk import behind, call, result, said, turns, user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SCRIPTS = {dialect: migrate.migrations(dialect)[0][2] for dialect in ("sqlite", "postgres")}
NUMBERED = {"project": "key", "session": "key", "entry": "id", "source": "key"}
"""The tables of schema 1 whose keys the database makes."""


def make(ledger: clew.Ledger) -> dict[str, list[str]]:
    """Sessions with everything that bends a path; gives what each says."""
    trunk = ledger.session(frontend="a", user="u")
    trunk.extend(turns(3))
    mark = trunk.checkpoint("three")
    trunk.extend([user("four"), call("c"), result("c")])
    trunk.restore(mark)
    trunk.append(user("another four"))
    trunk.config["model"] = "m"
    fork = trunk.branch(trunk.entry(4))
    fork.extend(turns(2, 3))
    inner = fork.branch()
    inner.append(user("deep"))
    bare = fork.branch(fork.entry(6))
    trunk.undo()
    trunk.undo()
    trunk.extend(turns(1, 9))
    trunk.compact(summary="s", keep_from=trunk.head)
    other = ledger.session(frontend="b", user="u")
    other.extend(turns(2, 20))
    taken = inner.transfer_to(frontend="b", user="u")
    taken.append(user("in another's place"))
    trunk.clear()
    trunk.extend([{"role": "system", "content": "s"}, user("anew")])
    empty = ledger.create(project="else")
    all_ = [trunk, fork, inner, bare, other, taken, empty]
    return {session.id: said(session) for session in all_}


def columns(script: str) -> dict[str, list[str]]:
    """The columns of each table in a migration."""
    found = {}
    for name, inside in re.findall(r"create table (\w+) \((.*?)\n\)", script, re.DOTALL):
        lines = [line.strip() for line in inside.splitlines() if line.strip()]
        found[name] = [
            line.split()[0] for line in lines if not line.startswith(("primary", "unique", "--"))
        ]
    return found


def put_back(new: apsw.Connection, insert: Callable[[str, Sequence[Any]], Any], mark: str) -> None:
    """Write the rows of a ledger of today into an empty one of schema 1."""
    for table, names in columns(SCRIPTS["sqlite"]).items():
        some = ", ".join(names)
        marks = ", ".join([mark] * len(names))
        for row in new.execute(f"select {some} from {table} order by 1"):
            insert(f"insert into {table} ({some}) values ({marks})", row)
    insert("update meta set value = '1' where name = 'schema'", ())


def old_sqlite(new: Path, old: Path) -> str:
    """The same ledger as 0.1 left it, in SQLite."""
    target = apsw.Connection(str(old))
    target.execute(SCRIPTS["sqlite"])
    with target:
        put_back(apsw.Connection(str(new)), target.execute, "?")
    target.close()
    return f"sqlite:///{old}"


def old_postgres(new: Path, url: str) -> str:
    """The same in PostgreSQL."""
    with psycopg.connect(url) as target:
        target.execute(SCRIPTS["postgres"].encode())
        put_back(
            apsw.Connection(str(new)),
            lambda statement, row: target.execute(statement.encode(), row),
            "%s",
        )
        for table, key in NUMBERED.items():
            target.execute(
                f"select setval(pg_get_serial_sequence('{table}', '{key}'),"
                f" coalesce((select max({key}) from {table}), 0) + 1)".encode()
            )
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, dict[str, list[str]]]:
    """The URL of an old ledger, the file of the new one that it was made of, and its words."""
    new = tmp_path / "new.db"
    with clew.open(new, search=False) as ledger:
        words = make(ledger)
    if request.param == "postgres":
        return old_postgres(new, request.getfixturevalue("postgres_database")), new, words
    return old_sqlite(new, tmp_path / "old.db"), new, words


PLACES = "select session, seq, turn from entry order by session, seq"
HEADS = "select session, turn from head order by session"


def test_every_entry_gets_the_turn_of_its_path(
    old: tuple[str, Path, dict[str, list[str]]],
) -> None:
    url, new, words = old
    with clew.open(new) as today:
        wanted = behind(today, PLACES), behind(today, HEADS)
    assert max(turn for _session, _seq, turn in wanted[0]) == 6
    with clew.open(url, search=False) as ledger:
        assert (behind(ledger, PLACES), behind(ledger, HEADS)) == wanted
        report = ledger.verify()
        assert report.ok, report.problems
        assert {id: said(ledger.get(id)) for id in words} == words
        for id in words:
            session = ledger.get(id)
            session.start_span("tool", "x", outcome="ok")
            session.append(user("and on"))
            session.snapshot({"step": 1})
            session.undo()
        assert ledger.verify().ok
    with clew.open(url) as ledger:  # the second time there is nothing to do
        assert ledger.verify().ok


def test_reading_an_old_ledger_says_how_to_mend_it(
    old: tuple[str, Path, dict[str, list[str]]],
) -> None:
    url, _new, _words = old
    with pytest.raises(clew.ReadOnly, match="schema 1 is older than 2: open it for writing once"):
        clew.open(url, read_only=True)
    clew.open(url, search=False).close()
    with clew.open(url, read_only=True) as ledger:
        assert ledger.sessions()


def test_an_old_ledger_without_anything_is_brought_up_to_date(tmp_path: Path) -> None:
    clew.open(tmp_path / "new.db", search=False).close()
    url = old_sqlite(tmp_path / "new.db", tmp_path / "old.db")
    with clew.open(url) as ledger:
        assert ledger.create().append(user("x")).seq == 1
        assert ledger.verify().ok


def test_a_crash_while_it_is_brought_up_to_date_leaves_it_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clew.open(tmp_path / "new.db", search=False) as ledger:
        words = make(ledger)
    url = old_sqlite(tmp_path / "new.db", tmp_path / "old.db")

    def dies(tx: Tx) -> None:
        fill_turns.fill_turns(tx)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(migrate, "FILL", {2: dies})
        with pytest.raises(KeyboardInterrupt):
            clew.open(url, search=False)
    with pytest.raises(clew.ReadOnly, match="schema 1"):
        clew.open(url, read_only=True)
    with clew.open(url, search=False) as ledger:
        assert {id: said(ledger.get(id)) for id in words} == words
        assert ledger.verify().ok


@pytest.mark.parametrize("parents", [{1: 4}, {1: 6}, {5: 5}, {1: 5, 5: 6}], ids=str)
def test_a_damaged_ledger_with_paths_in_a_circle_is_opened_all_the_same(
    tmp_path: Path, parents: dict[int, int]
) -> None:
    """It must not hang, and verify must say what is wrong."""
    with clew.open(tmp_path / "new.db", search=False) as ledger:
        session = ledger.create()
        session.extend(turns(2))
        session.restore(session.entry(2))
        session.append(user("two again"))
        session.restore(session.entry(5))
        session.restore(session.entry(1))
        session.append(user("one again"))
    url = old_sqlite(tmp_path / "new.db", tmp_path / "old.db")
    damaged = apsw.Connection(str(tmp_path / "old.db"))
    for start, seq in parents.items():
        statement = "update line set parent_session = session, parent_seq = ? where start = ?"
        damaged.execute(statement, (seq, start))
    damaged.close()
    with clew.open(url, search=False) as ledger:
        assert not ledger.verify().ok
