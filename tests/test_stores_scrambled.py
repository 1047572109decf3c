"""Databases with anything in any of their cells: a bad value costs no more than its record."""

from __future__ import annotations

import random
from pathlib import Path

import apsw
import pytest

import clew
from clew.importers import goose, hermes, llm
from clew.importers.base import Store
from importer_kit import memory_ledger
from store_kit import conversations, made, run

GOLDEN = Path(__file__).resolve().parent / "golden"
CASES = [
    (store, source)
    for store in (goose, hermes, llm)
    for source in sorted((GOLDEN / store.name).glob("*.sql"))
]
ROUNDS = 40
NUL = {
    "goose": ("messages", "content_json"),
    "hermes": ("messages", "content"),
    "llm": ("responses", "prompt"),
    "new": ("parts", "text"),
}
"""Where words stand, by the agent or the file: PostgreSQL takes no NUL in a text."""
ODD = (
    None,
    0,
    -1,
    2**62,
    1.5,
    -1e300,
    "",
    "x",
    "null",
    "[]",
    "{}",
    "[null]",
    "[[1]]",
    '{"type": []}',
    '[{"type": 1, "text": {}}]',
    '{"_branched_from": 1, "_delegate_from": 2}',
    "\0json:{",
    '\0json:[1, {"type": "text"}]',
    "9" * 400,
    b"\xff\xfe",
    b"\xed\xa0\x80",
)


def scrambled(path: Path, chance: random.Random) -> str:
    """Put something odd into one cell; gives which and what."""
    connection = apsw.Connection(str(path))
    query = "select name from sqlite_master where type = 'table' and name not like 'sqlite%'"
    cells = [
        (table, column, row)
        for (table,) in list(connection.execute(query))
        for (column,) in list(connection.execute(f"select name from pragma_table_info('{table}')"))
        for (row,) in list(connection.execute(f"select rowid from {table}"))
    ]
    table, column, row = chance.choice(cells)
    value = chance.choice(ODD)
    as_text = isinstance(value, bytes) and chance.random() < 0.5
    put = "cast(? as text)" if as_text else "?"
    try:
        connection.execute(f'update {table} set "{column}" = {put} where rowid = ?', (value, row))
    except (apsw.ConstraintError, apsw.MismatchError):
        value = "(refused)"
    connection.close()
    return f"{table}.{column} of {row}: {value!r}"


every_file = pytest.mark.parametrize(
    ("store", "source"), CASES, ids=lambda value: getattr(value, "name", "")
)


@pytest.mark.inside
@every_file
def test_every_kind_of_ledger_takes_it_the_same(
    store: Store, source: Path, tmp_path: Path, ledger: clew.Ledger
) -> None:
    path = made(source, tmp_path)
    table, column = NUL.get(source.stem, NUL[store.name])
    run(path, f"update {table} set {column} = char(0) || 'json:{{' where rowid = 2")
    with memory_ledger() as other:
        for each in (ledger, other):
            report = each.import_from(path, importer=store.name)
            assert report.sessions_new > 0
        assert conversations(ledger) == conversations(other)


@every_file
def test_one_odd_value_costs_at_most_its_record(store: Store, source: Path, tmp_path: Path) -> None:
    path = made(source, tmp_path)
    whole = path.read_bytes()
    for seed in range(ROUNDS):
        path.write_bytes(whole)
        what = scrambled(path, random.Random(f"{source.name} {seed}"))
        with memory_ledger() as ledger:
            report = ledger.import_from(path, importer=store.name)
            assert [note for note in report.notes if note.text.startswith("not read")] == [], what
            for info in ledger.sessions(spawned=True, limit=100):
                ledger.get(info.id).context()
                ledger.get(info.id).history()
            again = ledger.import_from(path, importer=store.name)
            assert (again.added, again.sessions_new) == (0, 0), what
