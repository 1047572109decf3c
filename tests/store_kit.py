"""What every importer of a store promises, as tests that take one store and its golden files.

A golden file of a database is the SQL that makes it (`.sql`); one of a document or a folder is
itself. A test module gets all promises with one class:

    class TestPromises(StorePromises):
        store = openai_agents
        files = sorted(GOLDEN.glob("*.sql"))

Whatever stands in a table that the importer does not need is written `SECRET-…` in the SQL: no
such text may come in. Statements of the SQL are run one by one in the test of growth, so write a
row a statement, and a message's parts before or behind it as the agent does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

import clew
from clew import shapes
from clew.canonical import parse
from clew.errors import Invalid
from clew.importers.base import Item, Store
from clew.model import Kind, Record
from importer_kit import check_golden, memory_ledger, shown

SECRET = b"SECRET-"


def made(source: Path, folder: Path, *, name: str | None = None) -> Path:
    """A golden file as the store that it describes, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (name or source.name)
    if source.suffix == ".sql":
        target = target.with_suffix(".db")
        for statement in statements(source):
            run(target, statement)
    elif source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    return target


def statements(source: Path) -> list[str]:
    """The statements of an SQL file, one by one."""
    found, text = [], ""
    for line in source.read_text("utf-8").splitlines(keepends=True):
        text += line
        if text.rstrip().endswith(";") and apsw.complete(text):
            found.append(text)
            text = ""
    assert not text.strip(), f"{source.name} ends in half a statement"
    return found


def run(database: Path, statement: str, *values: Any) -> None:
    """Run one statement, as the agent that owns the database would."""
    connection = apsw.Connection(str(database))
    try:
        connection.execute(statement, values)
    finally:
        connection.close()


def taken(
    store: Store, path: Path, thread: str, items: Sequence[Item], state: bytes | None = None
) -> tuple[list[tuple[bytes, list[Record]]], bytes]:
    """What a reader makes of a thread's items, and its state behind that."""
    reader = store.open(path, thread, state)
    found = list(reader.take(items))
    return found, reader.state()


def everything(store: Store, path: Path) -> dict[str, list[Item]]:
    """All threads of a store, with their items."""
    with store.look(path) as inside:
        return {thread.name: list(inside.items(thread.name)) for thread in inside.threads()}


def golden(store: Store, path: Path) -> str:
    """What an importer reads in a store, thread by thread, as text to keep beside it."""
    threads = {}
    for thread, items in everything(store, path).items():
        reader = store.open(path, thread)
        rows = []
        for raw, records in reader.take(items):
            base = reader.consumed - len(raw)
            for record in records:
                at = record.start - base
                row = shown(record)
                if record.kind in (Kind.MESSAGE, Kind.COMPACTION) and record.format != "raw":
                    body = raw[at : at + record.length]
                    message = shown(shapes.decode(record.format, parse(body)))
                    row["message"] = {key: message[key] for key in message if key != "time_ms"}
                rows.append(row)
        threads[thread] = {"origin": shown(reader.origin), "records": rows}
    return json.dumps(threads, indent=1, ensure_ascii=False) + "\n"


def conversations(ledger: clew.Ledger) -> dict[str, Any]:
    """What two ledgers agree on which saw the same store, in whatever steps."""
    found = {}
    for info in ledger.sessions(spawned=True, limit=1000):
        session = ledger.get(info.id)
        context = [(m.role, msgspec.to_builtins(m.parts)) for m in session.context()]
        found[str(info.imported_from)] = (info.title, info.agent, info.project, context)
    # Who served a call may be told later than the call, and an estimate rests on it.
    usage = [msgspec.structs.replace(r, estimated=0.0, estimated_calls=0) for r in ledger.usage()]
    return {"sessions": found, "usage": usage}


class StorePromises:
    """The promises of `docs/importers.md` for a store's golden files."""

    store: Store
    files: Sequence[Path]
    name: str | None = None
    """How a file is to be called so that it is found, where that counts; its suffix stays."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Every test with an argument `source` runs once for every file."""
        if "source" in metafunc.fixturenames:
            metafunc.parametrize("source", self.files, ids=lambda path: path.name)

    def test_a_golden_file_reads_as_expected(self, source: Path, tmp_path: Path) -> None:
        path = made(source, tmp_path, name=self.name)
        check_golden(golden(self.store, path), source.with_suffix(".expected.json"))

    def test_it_is_known_for_what_it_is(self, source: Path, tmp_path: Path) -> None:
        path = made(source, tmp_path / "in", name=self.name)
        assert self.store.identify(path)
        assert list(self.store.discover(tmp_path)) == [path]

    def test_what_is_appended_is_what_the_items_say(self, source: Path, tmp_path: Path) -> None:
        path = made(source, tmp_path, name=self.name)
        for thread, items in everything(self.store, path).items():
            reader = self.store.open(path, thread)
            at = 0
            for raw, records in reader.take(items):
                body = raw.removesuffix(b"\n")
                assert b"\n" not in body
                assert isinstance(json.loads(body), dict)
                assert all(at <= r.start <= r.start + r.length <= at + len(body) for r in records)
                assert any((r.start, r.length) == (at, len(body)) for r in records), "not kept"
                at += len(raw)
                assert reader.consumed == at

    def test_nothing_comes_in_from_a_table_that_is_not_needed(
        self, source: Path, tmp_path: Path
    ) -> None:
        path = made(source, tmp_path, name=self.name)
        for items in everything(self.store, path).values():
            assert all(SECRET not in item.body for item in items)

    def test_the_second_look_finds_nothing_new(self, source: Path, tmp_path: Path) -> None:
        path = made(source, tmp_path, name=self.name)
        for thread, items in everything(self.store, path).items():
            _first, state = taken(self.store, path, thread, items)
            assert taken(self.store, path, thread, items, state)[0] == []

    def test_a_reader_that_was_saved_at_any_item_goes_on_the_same(
        self, source: Path, tmp_path: Path
    ) -> None:
        path = made(source, tmp_path, name=self.name)
        for thread, items in everything(self.store, path).items():
            whole, _ = taken(self.store, path, thread, items)
            for cut in range(len(items)):
                first, state = taken(self.store, path, thread, items[:cut])
                rest, _ = taken(self.store, path, thread, items, state)
                assert first + rest == whole, cut

    def test_a_store_that_grows_statement_by_statement_says_the_same(
        self, source: Path, tmp_path: Path
    ) -> None:
        if source.suffix != ".sql":
            pytest.skip("a document does not grow by statements")
        path = (tmp_path / (self.name or "grows")).with_suffix(".db")
        with memory_ledger() as steps, memory_ledger() as once:
            for statement in statements(source):
                run(path, statement)
                if self.store.identify(path):
                    steps.import_from(path, importer=self.store.name)
            once.import_from(path, importer=self.store.name)
            assert conversations(steps) == conversations(once)

    def test_the_second_import_adds_nothing(self, source: Path, tmp_path: Path) -> None:
        path = made(source, tmp_path, name=self.name)
        with memory_ledger() as ledger:
            first = ledger.import_from(path, importer=self.store.name)
            assert first.added > 0
            again = ledger.import_from(path, importer=self.store.name)
            assert (again.added, again.records, again.sessions_new) == (0, 0, 0)

    def test_the_store_and_what_lies_beside_it_stay_as_they_are(
        self, source: Path, tmp_path: Path
    ) -> None:
        path = made(source, tmp_path, name=self.name)
        before = _all_bytes(tmp_path)
        with memory_ledger() as ledger:
            ledger.import_from(path, importer=self.store.name)
        assert _all_bytes(tmp_path) == before

    def test_a_live_writer_is_not_kept_waiting(self, source: Path, tmp_path: Path) -> None:
        if source.suffix != ".sql":
            pytest.skip("nobody holds a document open")
        path = made(source, tmp_path, name=self.name)
        for mode in ("delete", "wal"):
            run(path, f"pragma journal_mode = {mode}")
            with self.store.look(path) as inside:
                for thread in inside.threads():
                    for _item in inside.items(thread.name):
                        run(path, "create table if not exists busy (a)")
                        run(path, "insert into busy values (1)")

    def test_a_damaged_store_is_refused_or_read_as_far_as_it_goes(
        self, source: Path, tmp_path: Path
    ) -> None:
        if source.suffix != ".sql":
            pytest.skip("the tests of its own format damage a document")
        path = made(source, tmp_path, name=self.name)
        data = path.read_bytes()
        for size in range(0, len(data), 512):
            path.write_bytes(data[:size])
            self.store.identify(path)
            with memory_ledger() as ledger:
                report = ledger.import_from(path, importer=self.store.name)
                assert report.notes or report.added
        for start in range(0, len(data), 1024):
            path.write_bytes(data[:start] + b"\xff" * 64 + data[start + 64 :])
            self.store.identify(path)
            with memory_ledger() as ledger:
                ledger.import_from(path, importer=self.store.name)

    @pytest.mark.parametrize("state", [b"", b"\xff", b"{}", b'{"version": 1}', b"[]"])
    def test_a_foreign_state_is_refused(self, state: bytes) -> None:
        with pytest.raises(Invalid, match="no state"):
            self.store.open(Path("x.db"), "thread", state)


def _all_bytes(folder: Path) -> Iterator[tuple[str, bytes]] | list[tuple[str, bytes]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path), path.read_bytes()) for path in files]
