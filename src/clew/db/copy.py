"""Copy a whole ledger into a fresh SQLite file, row by row, from whatever database it is in.

Keys and bytes stay what they are, so that every chain that verifies here verifies there. Each
table is read in pages by its primary key, inside the caller's one view of the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from clew.db.database import Row, Settings, Tx, queries
from clew.db.sqlite import SQLite

PAGE = 500
PAGE_BODIES = 32
"""Rows of a page where a row may hold megabytes."""
_BODIES = frozenset({"blob", "frame", "entry", "event"})
_PARAMETER = re.compile(r":([a-z_]+)")


class Table(NamedTuple):
    """How one table is read and written; `first` lies before every key."""

    name: str
    first: dict[str, int | str | bytes]
    read: Callable[[Tx, dict[str, Any]], list[Row]]
    write: Callable[[Tx, list[dict[str, Any]]], None]


TABLES = (
    Table(
        "meta",
        {"name": ""},
        lambda tx, at: tx.all("copy_meta", **at),
        lambda tx, rows: tx.many("paste_meta", rows),
    ),
    Table(
        "project",
        {"key": -1},
        lambda tx, at: tx.all("copy_project", **at),
        lambda tx, rows: tx.many("paste_project", rows),
    ),
    Table(
        "session",
        {"key": -1},
        lambda tx, at: tx.all("copy_session", **at),
        lambda tx, rows: tx.many("paste_session", rows),
    ),
    Table(
        "head",
        {"session": -1},
        lambda tx, at: tx.all("copy_head", **at),
        lambda tx, rows: tx.many("paste_head", rows),
    ),
    Table(
        "line",
        {"session": -1, "start": -1},
        lambda tx, at: tx.all("copy_line", **at),
        lambda tx, rows: tx.many("paste_line", rows),
    ),
    Table(
        "entry",
        {"id": -1},
        lambda tx, at: tx.all("copy_entry", **at),
        lambda tx, rows: tx.many("paste_entry", rows),
    ),
    Table(
        "event",
        {"id": -1},
        lambda tx, at: tx.all("copy_event", **at),
        lambda tx, rows: tx.many("paste_event", rows),
    ),
    Table(
        "span",
        {"key": -1},
        lambda tx, at: tx.all("copy_span", **at),
        lambda tx, rows: tx.many("paste_span", rows),
    ),
    Table(
        "owner",
        {"key": -1},
        lambda tx, at: tx.all("copy_owner", **at),
        lambda tx, rows: tx.many("paste_owner", rows),
    ),
    Table(
        "token",
        {"id": ""},
        lambda tx, at: tx.all("copy_token", **at),
        lambda tx, rows: tx.many("paste_token", rows),
    ),
    Table(
        "blob",
        {"id": b""},
        lambda tx, at: tx.all("copy_blob", **at),
        lambda tx, rows: tx.many("paste_blob", rows),
    ),
    Table(
        "checkpoint",
        {"id": ""},
        lambda tx, at: tx.all("copy_checkpoint", **at),
        lambda tx, rows: tx.many("paste_checkpoint", rows),
    ),
    Table(
        "move",
        {"session": -1, "number": -1},
        lambda tx, at: tx.all("copy_move", **at),
        lambda tx, rows: tx.many("paste_move", rows),
    ),
    Table(
        "idempotency",
        {"session": -1, "key": ""},
        lambda tx, at: tx.all("copy_idempotency", **at),
        lambda tx, rows: tx.many("paste_idempotency", rows),
    ),
    Table(
        "usage",
        {"project": -1, "call": b""},
        lambda tx, at: tx.all("copy_usage", **at),
        lambda tx, rows: tx.many("paste_usage", rows),
    ),
    Table(
        "source",
        {"key": -1},
        lambda tx, at: tx.all("copy_source", **at),
        lambda tx, rows: tx.many("paste_source", rows),
    ),
    Table(
        "frame",
        {"source": -1, "start": -1},
        lambda tx, at: tx.all("copy_frame", **at),
        lambda tx, rows: tx.many("paste_frame", rows),
    ),
    Table(
        "record",
        {"project": -1, "native": b""},
        lambda tx, at: tx.all("copy_record", **at),
        lambda tx, rows: tx.many("paste_record", rows),
    ),
    Table(
        "audit",
        {"project": -1, "session": -1, "number": -1},
        lambda tx, at: tx.all("copy_audit", **at),
        lambda tx, rows: tx.many("paste_audit", rows),
    ),
    Table(
        "tombstone",
        {"mark": b""},
        lambda tx, at: tx.all("copy_tombstone", **at),
        lambda tx, rows: tx.many("paste_tombstone", rows),
    ),
)
"""Every table of the schema, what is pointed to before what points there."""


def copy_to_sqlite(tx: Tx, path: str) -> None:
    """Write everything that `tx` sees into a new ledger file at `path`."""
    target = SQLite(f"sqlite:///{quote(str(Path(path).absolute()))}", Settings())

    def unit(into: Tx) -> None:
        for table in TABLES:
            for rows in _pages(tx, table):
                table.write(into, rows)

    try:
        target.write(unit)
        target.scrub()
    finally:
        target.close()


def _pages(tx: Tx, table: Table) -> Iterator[list[dict[str, Any]]]:
    columns = _PARAMETER.findall(queries("sqlite")[f"paste_{table.name}"])
    limit = PAGE_BODIES if table.name in _BODIES else PAGE
    last = table.first
    while True:
        at = {f"after_{key}": value for key, value in last.items()}
        found = table.read(tx, {**at, "limit": limit})
        if not found:
            return
        rows = [dict(zip(columns, row, strict=True)) for row in found]
        yield rows
        last = {key: rows[-1][key] for key in table.first}
