"""The only place that knows a database dialect: `connect(url)` gives a `Database`.

Verbs above this package run *named queries* inside units; see `database.py`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from clew.db.database import Database, Settings, Tx
from clew.errors import Invalid

__all__ = ["Database", "Settings", "Tx", "connect"]


def connect(url: str, settings: Settings) -> Database:
    """Open the database that `url` names (`sqlite:///path`, `sqlite:///:memory:`,
    `postgresql://…`). Raises `Invalid` for another scheme, `Unavailable` when nobody answers.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        from clew.db.sqlite import SQLite

        return SQLite(url, settings)
    if scheme in {"postgresql", "postgres"}:
        try:
            from clew.db.postgres import Postgres
        except ImportError as error:
            raise Invalid(
                f"{url.split('@')[-1]}: PostgreSQL needs a driver ({error}): "
                "pip install 'clew[postgres]'"
            ) from error
        return Postgres(url, settings)
    raise Invalid(
        f"{url.split('@')[-1]!r} is no ledger URL: write sqlite:///path/to/file.db or postgresql://host/database"
    )
