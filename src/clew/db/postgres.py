"""The database for when one machine is outgrown: PostgreSQL through psycopg 3 and a pool.

Units lock the head row of the session they touch, so a session's own sequence has no gaps
and readers that go by it miss nothing. A batch that loses a serialisation race or a deadlock
is run again as a whole.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg import errors as pg
from psycopg_pool import ConnectionPool, PoolTimeout

from clew.db import migrate
from clew.db.database import (
    Job,
    Row,
    Settings,
    Tx,
    Unit,
    Writer,
    positional,
    pyformat,
    queries,
    raise_first,
    run_jobs,
)
from clew.db.notices import Notifier, Wake, listen
from clew.db.vacuum import write_anew
from clew.errors import ClewError, Invalid, NotFound, ReadOnly, Unavailable

T = TypeVar("T")

RETRIES_MAX = 20
CONNECT_SECONDS = 10
MIGRATION_LOCK = 0x636C6577
"""The key of the advisory lock under which the schema changes ("clew")."""

_SQL = {name: pyformat(sql) for name, sql in queries("postgres").items()}

_WITH_CONTENT = ("entry", "event", "span", "blob", "frame", "session", "checkpoint", "usage")
"""The tables of which an erase takes something."""


@cache
def _ordered(name: str) -> str:
    return positional(queries("postgres")[name])


class Transaction:
    """A `Tx` on one psycopg connection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def _cursor(self, name: str, values: dict[str, Any]) -> psycopg.Cursor:
        return self._connection.execute(_SQL[name], values)

    def one(self, name: str, /, **values: Any) -> Row | None:
        """See `Tx`."""
        return self._cursor(name, values).fetchone()

    def all(self, name: str, /, **values: Any) -> list[Row]:
        """See `Tx`."""
        return self._cursor(name, values).fetchall()

    def run(self, name: str, /, **values: Any) -> int:
        """See `Tx`."""
        return self._cursor(name, values).rowcount

    def many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """See `Tx`."""
        with self._connection.cursor() as cursor:
            cursor.executemany(_SQL[name], rows)

    def fill(self, name: str, rows: Sequence[Row]) -> None:
        """See `Tx`."""
        if len(rows) == 1:
            self._connection.execute(_ordered(name), rows[0])
            return
        with self._connection.cursor() as cursor:
            cursor.executemany(_ordered(name), rows)


class Postgres:
    """A `Database` on a PostgreSQL server."""

    dialect = "postgres"

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.file: Path | None = None
        self.name = url.rsplit("@", 1)[-1] if "@" in url else urlsplit(url).path
        self.settings = settings
        self.writable = not settings.read_only
        self.why_read_only = "it was opened read-only" if settings.read_only else ""
        self._closed = False
        self._pid = os.getpid()
        self._pool = ConnectionPool(
            url,
            min_size=1,
            max_size=settings.pool_size,
            open=False,
            configure=self._configure,
            kwargs={"autocommit": True},
        )
        self._connect_first()
        self._migrate()
        self._writer = Writer(self._commit)
        self._notifier = Notifier(self._pool)

    def _connect_first(self) -> None:
        try:
            psycopg.connect(self.url, connect_timeout=CONNECT_SECONDS).close()
            self._pool.open(wait=True, timeout=CONNECT_SECONDS)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"{self.name}: no PostgreSQL answers there ({error})") from error
        except psycopg.ProgrammingError as error:
            raise Invalid(f"{self.name} is no PostgreSQL URL ({error})") from error

    def _configure(self, connection: psycopg.Connection) -> None:
        level = "on" if self.settings.durability == "full" else "off"
        connection.execute(f"set synchronous_commit = {level}")
        if self.settings.read_only:
            connection.execute("set default_transaction_read_only = on")

    def _migrate(self) -> None:
        with self._pool.connection() as connection, connection.transaction():
            if self.writable:
                connection.execute("select pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))

            def script(sql: str) -> None:
                connection.execute(sql)

            state = migrate.state(Transaction(connection), script, "postgres", write=self.writable)
        if state.newer:
            self.writable, self.why_read_only = False, state.newer

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """See `Database`."""
        self._check_use()
        with translated(self.name), self._transaction() as connection:
            connection.execute("set transaction isolation level repeatable read")
            yield Transaction(connection)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        with self._pool.connection() as connection, connection.transaction():
            yield connection

    def write(self, unit: Unit[T], order: int = 0) -> T:
        """See `Database`."""
        self._check_write()
        return self._writer.run(unit, order)

    def submit(self, unit: Unit[T], order: int, done: Callable[[Job], None]) -> None:
        """See `Database`."""
        self._check_write()
        self._writer.submit(Job(unit, order, done))

    def _commit(self, jobs: list[Job]) -> None:
        self._check_write()
        for attempt in range(RETRIES_MAX):
            try:
                with translated(self.name), self._transaction() as connection:
                    self._run(connection, jobs)
                self._notifier.wrote(job.order for job in jobs if job.order)
                return
            except (pg.SerializationFailure, pg.DeadlockDetected, pg.UniqueViolation) as error:
                # A unique key lost to a concurrent unit: run again, it now sees the winner.
                if attempt == RETRIES_MAX - 1:
                    raise Unavailable(f"{self.name}: too much contention ({error})") from error
                time.sleep(random.random() * 0.01 * (attempt + 1))  # noqa: S311 - jitter

    def _run(self, connection: psycopg.Connection, jobs: list[Job]) -> None:
        tx = Transaction(connection)
        if len(jobs) == 1:
            jobs[0].value, jobs[0].error = jobs[0].unit(tx), None
            return

        def savepoint(statement: str) -> None:
            connection.execute(statement)

        run_jobs(tx, jobs, savepoint)
        raise_first(jobs, psycopg.Error)

    def _check_use(self) -> None:
        if self._closed:
            raise ClewError(f"{self.name}: this ledger was closed: open it again")
        if os.getpid() != self._pid:
            raise ClewError(
                f"{self.name}: this ledger was opened before a fork; its connections belong to "
                "the parent: open it again in the child process"
            )

    def _check_write(self) -> None:
        self._check_use()
        if not self.writable:
            raise ReadOnly(f"{self.name} takes no writes: {self.why_read_only}")

    def stop(self, why: str) -> None:
        """See `Database`."""
        self.writable, self.why_read_only = False, why

    def sync(self) -> None:
        """See `Database`: a synchronous commit flushes the WAL of all before it."""
        with translated(self.name), self._pool.connection() as connection:
            connection.execute("set synchronous_commit = on")
            with connection.transaction():
                connection.execute("select pg_current_xact_id()")
            self._configure(connection)

    def backup(self, path: str) -> None:
        """See `Database`."""
        from clew.db.copy import copy_to_sqlite

        with self.read() as tx:
            copy_to_sqlite(tx, path)

    def changed_sessions(self, cursor: int) -> tuple[int, list[int]]:
        """See `Database`. Row ids commit out of order here, so every head is asked."""
        with self.read() as tx:
            return cursor, [key for key, _last, _first in tx.all("head_list")]

    def watch(self, wake: Wake) -> Callable[[], None]:
        """See `Database`."""
        return listen(self.url, wake)

    def health(self) -> list[str]:
        """See `Database`: PostgreSQL checks its pages itself where checksums are on."""
        return []

    def size(self) -> dict[str, int]:
        """See `Database`."""
        with self._pool.connection() as connection:
            row = connection.execute("select pg_database_size(current_database())").fetchone()
        return {"database": int(row[0]) if row else 0}

    def scrub(self) -> None:
        """See `Database`: dead rows stay in the pages until a vacuum rewrites them."""
        with translated(self.name), self._pool.connection() as connection:
            write_anew(connection, _WITH_CONTENT)

    def search_index(self) -> Any:
        """See `Database`."""
        from clew.db.search_postgres import PostgresIndex

        return PostgresIndex(self._pool.connection)

    def close(self) -> None:
        """See `Database`."""
        if not self._closed and os.getpid() == self._pid:
            self._writer.close()
            self._notifier.close()
            self._closed = True
            self._pool.close()


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Every psycopg error that is not to be retried, as one of ours."""
    try:
        yield
    except (pg.SerializationFailure, pg.DeadlockDetected, pg.UniqueViolation):
        raise
    except (pg.ReadOnlySqlTransaction, pg.InsufficientPrivilege) as error:
        raise ReadOnly(f"{name} cannot be written ({error})") from error
    except pg.UndefinedTable as error:
        raise NotFound(f"{name} holds no ledger ({error})") from error
    except (pg.DiskFull, pg.OutOfMemory) as error:
        raise Unavailable(f"{name}: {error}; nothing was written") from error
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise Unavailable(
            f"{name}: the connection was lost ({error}); a write may or may not be stored: "
            "repeat it with the same idempotency key"
        ) from error
    except psycopg.DataError as error:
        raise Invalid(f"{name} refuses a value: {error}") from error
