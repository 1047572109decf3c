"""Leaving no trace of removed rows in PostgreSQL's files: tables written anew.

A table that is written anew keeps rows that somebody's older view may still see, autovacuum's
own included. So whoever looks is waited for first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import psycopg
from psycopg import sql

WAIT_SECONDS = 10.0
POLL_SECONDS = 0.02
_OLDER = """
select exists (select 1 from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
        and age(backend_xmin) > age(%s::text::xid))
"""


def write_anew(connection: psycopg.Connection, tables: Sequence[str]) -> None:
    """Write tables anew, without the rows that were removed before. The connection is in no
    transaction. Readers that began earlier are waited for, but not for ever.
    """
    row = connection.execute("select pg_current_xact_id()::xid::text").fetchone()
    deadline = time.monotonic() + WAIT_SECONDS
    while row is not None and time.monotonic() < deadline:
        found = connection.execute(_OLDER, row).fetchone()
        if not found or not found[0]:
            break
        time.sleep(POLL_SECONDS)
    for table in tables:
        connection.execute(sql.SQL("vacuum full {}").format(sql.Identifier(table)))
