"""A foreign PostgreSQL database, read-only: for the tables that somebody names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg

from clew.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONNECT_SECONDS = 10
STATEMENT_MS = 300_000
LOCK_MS = 2_000
"""Reading waits for no lock longer than this."""


class ForeignPostgres:
    """A connection that cannot write. `name` is its address, without a password."""

    def __init__(self, connection: psycopg.Connection, url: str) -> None:
        self._connection = connection
        info = connection.info
        self.name = (
            f"postgresql://{info.host or urlsplit(url).hostname or ''}:{info.port}/{info.dbname}"
        )

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, with `%s` for each value. Every query is a transaction of its own,
        so nothing is held between two. Raises `Invalid` for what the database refuses.
        """
        try:
            return self._connection.execute(query.encode(), values or None).fetchall()
        except psycopg.OperationalError as error:
            raise Unavailable(f"{self.name}: {error}: try again later") from error
        except psycopg.Error as error:
            raise Invalid(f"{self.name}: {error}") from error


@contextmanager
def connected(url: str) -> Iterator[ForeignPostgres]:
    """A foreign database. Raises `Unavailable` when none answers, `Invalid` for a bad URL."""
    options = (
        "-c default_transaction_read_only=on "
        f"-c statement_timeout={STATEMENT_MS} -c lock_timeout={LOCK_MS}"
    )
    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=CONNECT_SECONDS, options=options
        )
    except psycopg.OperationalError as error:
        address = url.rsplit("@", 1)[-1]
        raise Unavailable(f"{address}: no PostgreSQL answers there ({error})") from error
    except psycopg.ProgrammingError as error:
        raise Invalid(f"{url.rsplit('@', 1)[-1]} is no PostgreSQL URL ({error})") from error
    with connection:
        yield ForeignPostgres(connection, url)
