"""Tables that are written anew hold nothing that was removed, whoever still looked."""

from __future__ import annotations

import threading

import psycopg

import clew
from contract.talk import user


def test_an_older_view_does_not_keep_what_was_erased(postgres_database: str) -> None:
    with clew.open(postgres_database, search=False) as ledger:
        session = ledger.create()
        session.append(user("zq9secret"))
        with psycopg.connect(postgres_database) as reader:
            reader.execute("set transaction isolation level repeatable read")
            reader.execute("select count(*) from entry")
            timer = threading.Timer(0.3, reader.rollback)
            timer.start()
            ledger.erase(session.id)
            timer.join()
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("checkpoint")
        row = connection.execute(
            "select pg_read_binary_file(pg_relation_filepath('entry'))"
        ).fetchone()
    assert row is not None
    assert b"zq9secret" not in bytes(row[0])
