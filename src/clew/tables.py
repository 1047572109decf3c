"""Tables of other programs' databases, brought in like files: see `clew.importers.chat_tables`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clew.errors import Invalid
from clew.importers.chat_tables import ChatTables, Names
from clew.source import Imported, Work
from clew.threads import take_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clew.ledger import Ledger

SCHEMES = ("postgresql://", "postgres://")


def gather_tables(ledger: Ledger, url: str, names: Mapping[str, str] | None) -> Imported:
    """See `Ledger.import_from`."""
    if not url.startswith(SCHEMES):
        raise Invalid(f"{url.rsplit('@', 1)[-1]} is no PostgreSQL URL: give postgresql://HOST/NAME")
    try:
        from clew.db import foreign_postgres
    except ImportError as error:
        raise Invalid(
            "PostgreSQL needs psycopg, which is not installed: pip install 'clew[postgres]'"
        ) from error
    report = Imported(files=1)
    named = Names(names)
    with foreign_postgres.connected(url) as database:
        store = ChatTables(database.rows, named)
        with store.look(Path()):
            pass  # what is wrong with the tables as a whole ends the import
        take_store(ledger, Work(store, Path(), 0, 0, place=database.name), report)
    return report
