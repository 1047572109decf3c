"""What every importer promises, as tests that take one importer and its golden files.

A test module gets all of them with one class:

    class TestPromises(ImporterPromises):
        importer = pi
        files = INPUTS

and, where its format has lines that can be broken, with `wreck = (line(1), line(2))`: what
hypothesis glues together with holes, quotes and torn ends.

The checks stand for themselves too, for whoever needs one alone: `read`, `read_in_pieces`,
`check_coverage`, `golden`, `everything`. None of them knows a format.
"""

from __future__ import annotations

import json
import os
import random
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew import importers, shapes
from clew.canonical import parse
from clew.errors import Invalid
from clew.model import Kind, Origin, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clew.importers import Importer

MEMORY = "sqlite:///:memory:"
BLANK = b"\n\t\r \xef\xbb\xbf"
"""What may stand between records: white space and byte order marks."""
WRITTEN = 1_700_000_000
"""When golden files were written, in Unix seconds."""
DEBRIS = (b"\n", b"\x00", b" ", b"{", b'"', b"\\", b"x", b"}")

importers.register_decoders()


class Reading(NamedTuple):
    """What a reader made of a file."""

    records: list[Record]
    origin: Origin
    consumed: int


@contextmanager
def memory_ledger() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified at the end."""
    with clew.open(MEMORY, search=False) as ledger:
        yield ledger
        report = ledger.verify()
        assert report.ok, report.problems


def read(importer: Importer, path: Path, data: bytes | None = None) -> Reading:
    """Read a file at once; with `data`, read that as if it stood at `path`."""
    reader = importer.open(path)
    records = reader.feed(path.read_bytes() if data is None else data, 0, last=True)
    return Reading(records, reader.origin, reader.consumed)


def read_in_pieces(
    importer: Importer, path: Path, cuts: Sequence[int], *, resume: bool, last: bool
) -> Reading:
    """Read a file as if it had grown to each cut in turn. With `resume` the reader is saved and
    opened again at each; with `last` the source is said to end there for now.
    """
    data = path.read_bytes()
    reader = importer.open(path)
    records: list[Record] = []
    at = 0
    for cut in [*cuts, len(data)]:
        if resume:
            reader = importer.open(path, reader.state())
            at = reader.consumed
        records += reader.feed(data[at:cut], at, last=last or cut == len(data))
        at = cut
    return Reading(records, reader.origin, reader.consumed)


def check_coverage(data: bytes, records: Sequence[Record], consumed: int) -> None:
    """Every byte that was read and is not blank lies in a record, and two records share bytes
    only where one lies within the other.
    """
    reached, spans = 0, sorted((each.start, -each.length) for each in records)
    open_until: list[int] = []
    for start, less in spans:
        end = start - less
        assert less < 0, f"an empty record at byte {start}"
        while open_until and open_until[-1] <= start:
            open_until.pop()
        assert not open_until or end <= open_until[-1], f"records cross at byte {start}"
        open_until.append(end)
        assert not data[reached:start].strip(BLANK), f"lost: {data[reached:start][:60]!r}"
        reached = max(reached, end)
    assert reached <= consumed <= len(data)
    assert not data[reached:consumed].strip(BLANK), f"lost: {data[reached:consumed][:60]!r}"


def everything(session: clew.Session) -> list[tuple[Any, ...]]:
    """What a session holds, whatever its id."""

    def plain(meta: dict[str, Any]) -> str:
        return json.dumps(meta, sort_keys=True).replace(session.id, "self")

    return [(e.kind, e.role, e.body, plain(e.meta), e.time_ms) for e in session.entries()]


def told(ledger: clew.Ledger, session: clew.Session) -> dict[str, Any]:
    """All that two ledgers which read the same file must agree on."""
    info = session.info
    return {
        "entries": everything(session),
        "history": [(m.role, m.parts) for m in session.history()],
        "context": [(m.role, m.parts) for m in session.context()],
        "moves": [move.action for move in session.moves()],
        "checkpoints": [(c.label, c.reason, c.summary) for c in session.checkpoints()],
        "info": (info.title, info.imported_from, info.agent, info.project),
        "usage": ledger.usage(),
    }


# --- golden files ------------------------------------------------------------------------


def shown(value: Any) -> Any:
    """A struct as JSON, without what is at its default; a part with its type's name."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(type(value))
        kept = {field.name: getattr(value, field.name) for field in fields}
        return {f.name: shown(kept[f.name]) for f in fields if kept[f.name] != _default(f)}
    if isinstance(value, tuple | list):
        return [
            {"part": type(each).__name__} | shown(each)
            if isinstance(each, msgspec.Struct)
            else shown(each)
            for each in value
        ]
    return value


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is msgspec.NODEFAULT:
        return field.default
    return field.default_factory()


def golden(importer: Importer, path: Path) -> str:
    """What an importer reads in a file, record by record, as text to keep beside it."""
    data = path.read_bytes()
    records, origin, consumed = read(importer, path)
    rows = []
    for record in records:
        row = shown(record)
        if record.kind in (Kind.MESSAGE, Kind.COMPACTION) and record.format != "raw":
            body = data[record.start : record.start + record.length]
            message = shown(shapes.decode(record.format, parse(body)))
            row["message"] = {key: message[key] for key in message if key != "time_ms"}
        rows.append(row)
    found = {"origin": shown(origin), "consumed": consumed, "records": rows}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def check_golden(text: str, expected: Path) -> None:
    """Compare with what is kept; `CLEW_REGENERATE=1` keeps the text anew."""
    if os.environ.get("CLEW_REGENERATE"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


# --- the promises ------------------------------------------------------------------------


class ImporterPromises:
    """The promises of `docs/importers.md`, for the golden files of one importer.

    `importer` and `files` are the importer and what it reads; `wreck` are lines to damage.
    Each file alone makes one session.
    """

    importer: Importer
    files: Sequence[Path]
    wreck: Sequence[bytes] = ()
    name: str = "x.jsonl"
    """A file name that the importer's `open` takes, for files that are not there."""

    def expected(self, path: Path) -> Path:
        """Where a file's golden text stands."""
        return path.with_suffix(".expected.json")

    def placed(self, path: Path, folder: Path) -> Path:
        """Where a copy of a golden file is put in an empty folder, with what it needs beside it."""
        return folder / path.name

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Every test with an argument `path` runs once for every file."""
        if "path" in metafunc.fixturenames:
            metafunc.parametrize("path", self.files, ids=lambda path: path.name[-40:])

    def test_a_golden_file_reads_as_expected(self, path: Path) -> None:
        check_golden(golden(self.importer, path), self.expected(path))

    def test_a_file_cut_at_every_byte_gives_the_same_records(self, path: Path) -> None:
        """What is whole at the cut is read, all of it is kept, and the rest follows it."""
        data, whole = path.read_bytes(), read(self.importer, path)
        check_coverage(data, whole.records, whole.consumed)
        for cut in range(len(data) + 1):
            reader = self.importer.open(path)
            first = reader.feed(data[:cut], 0, last=True)
            assert first == whole.records[: len(first)], cut
            assert reader.consumed <= cut
            check_coverage(data[:cut], first, reader.consumed)
            again = self.importer.open(path, reader.state())
            assert again.consumed == reader.consumed, cut
            rest = again.feed(data[again.consumed :], again.consumed, last=True)
            assert first + rest == whole.records, cut
            assert (again.origin, again.consumed) == (whole.origin, whole.consumed), cut

    def test_a_file_that_grows_in_any_steps_gives_the_same_records(self) -> None:
        @given(data=st.data(), resume=st.booleans(), last=st.booleans())
        @settings(max_examples=100, deadline=None)
        def check(data: st.DataObject, resume: bool, last: bool) -> None:
            path = data.draw(st.sampled_from(self.files))
            size = path.stat().st_size
            cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=12)))
            grown = read_in_pieces(self.importer, path, cuts, resume=resume, last=last)
            assert grown == read(self.importer, path)

        check()

    def test_any_wreckage_reads_the_same_in_two_steps_and_keeps_every_byte(self) -> None:
        pieces = [*self.wreck, *DEBRIS]
        path = Path(self.name)

        @given(pieces=st.lists(st.sampled_from(pieces), max_size=12), cut=st.integers(0, 400))
        @settings(max_examples=250, deadline=None)
        def check(pieces: list[bytes], cut: int) -> None:
            data = b"".join(pieces)
            whole = read(self.importer, path, data)
            check_coverage(data, whole.records, whole.consumed)
            grown = self.importer.open(path)
            first = grown.feed(data[:cut], 0, last=True)
            again = self.importer.open(path, grown.state())
            rest = again.feed(data[again.consumed :], again.consumed, last=True)
            assert first + rest == whole.records

        check()

    def test_a_gap_between_chunks_is_refused(self) -> None:
        reader = self.importer.open(Path(self.name))
        reader.feed(b'{"type":', 0)
        with pytest.raises(Invalid, match=r"byte 12 .* 8 comes next"):
            reader.feed(b"...", 12)

    @pytest.mark.parametrize("state", [b"", b"\xff", b"{}", b'{"version": 1}', b"[]"])
    def test_a_foreign_state_is_refused(self, state: bytes) -> None:
        with pytest.raises(Invalid, match="no state"):
            self.importer.open(Path(self.name), state)

    def test_the_state_of_another_version_is_refused(self) -> None:
        known = json.loads(self.importer.open(Path(self.name)).state())
        state = json.dumps({**known, "version": 99}).encode()
        with pytest.raises(Invalid, match="of version 99"):
            self.importer.open(Path(self.name), state)

    def test_a_file_is_given_back_byte_for_byte_and_adds_nothing_twice(
        self, path: Path, tmp_path: Path
    ) -> None:
        file, whole = self.placed(path, tmp_path), path.read_bytes()
        file.write_bytes(whole)
        with memory_ledger() as ledger:
            report = ledger.import_from(file, importer=self.importer.name)
            assert (report.sessions_new, report.added) == (1, report.records)
            (info,) = ledger.sessions(spawned=True)
            assert info.agent == self.importer.name
            assert ledger.source_bytes(info.id) == {str(file): whole}
            before = everything(ledger.get(info.id))
            assert ledger.import_from(file, importer=self.importer.name).unchanged == 1
            file.write_bytes(b"\n" + whole)
            again = ledger.import_from(file, importer=self.importer.name)
            assert (again.added, again.known) == (0, report.records), "read anew, nothing is new"
            assert everything(ledger.get(info.id)) == before

    @pytest.mark.parametrize("seed", range(3))
    def test_any_split_of_a_growing_file_gives_the_same_ledger(
        self, path: Path, tmp_path: Path, seed: int
    ) -> None:
        whole = path.read_bytes()
        file = self.placed(path, tmp_path)
        chance = random.Random(seed * 1000 + len(whole))
        cuts = sorted(chance.sample(range(1, len(whole)), min(6, len(whole) - 1)))
        ledgers = []
        for steps in ([len(whole)], [*cuts, len(whole)]):
            with memory_ledger() as ledger:
                for cut in steps:
                    file.write_bytes(whole[:cut])
                    os.utime(file, (WRITTEN, WRITTEN))  # what tells no time has its file's
                    ledger.import_from(file, importer=self.importer.name)
                (info,) = ledger.sessions(spawned=True)
                assert ledger.source_bytes(info.id) == {str(file): whole}
                ledgers.append(told(ledger, ledger.get(info.id)))
        assert ledgers[1] == ledgers[0], cuts
