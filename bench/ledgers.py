"""Ledgers and raw tables to measure on."""

from __future__ import annotations

import sqlite3
from itertools import islice
from pathlib import Path

import apsw

import clew
from bench import corpus

TABLE = """create table message (id integer primary key, session int, seq int, role text,
    time_ms int, body blob, unique (session, seq))"""
INSERT = "insert into message (session, seq, role, time_ms, body) values (1, ?, 'user', 0, ?)"
FILL_BATCH = 1000


def open_ledger(path: Path, **options: object) -> clew.Ledger:
    """A ledger in a file; durability `normal` and no search unless told otherwise."""
    chosen = {"durability": "normal", "search": False, **options}
    return clew.open(f"sqlite:///{path}", **chosen)  # type: ignore[arg-type]


def fill(session: clew.Session, count: int, *, seed: int = 1, size: int = 1250) -> None:
    """Add `count` messages in few transactions."""
    left = corpus.messages(count, seed=seed, size=size)
    while some := list(islice(left, FILL_BATCH)):
        session.extend(some)


def stdlib_table(path: Path) -> sqlite3.Connection:
    """The table that a program would make for itself, through Python's own driver."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=normal")
    connection.execute(TABLE)
    return connection


def apsw_table(path: Path, level: str = "normal") -> apsw.Connection:
    """The same through apsw."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", level)
    connection.execute(TABLE)
    return connection
