"""Files of OpenTelemetry traces: what is recorded is what sending them would record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew import importers
from clew.errors import NotFound
from clew.otlp import files, jsonform, protobuf_writing
from clew.otlp.model import OtlpSpan, Resource
from test_server_otlp import at, chat, say, sent, span, words

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.inside

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "shared" / "fixtures"
PROCESS = Resource({"service.name": "agent"})


def batches() -> list[list[OtlpSpan]]:
    """Two requests of one conversation, and one of a trace that names none."""
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "ls"}
    asked, more = say("user", "Read a.txt"), say("user", "And b.txt?")
    told = [
        [chat(1, [asked], "It says hi."), span(2, tool, parent=1)],
        [chat(3, [asked, say("assistant", "It says hi."), more], "It says ho.")],
        [span(4, tool, trace_id="1" * 32)],
    ]
    for batch in told:
        for each in batch:
            each.resource = PROCESS
    return told


def as_lines(told: Sequence[list[OtlpSpan]]) -> bytes:
    return b"".join(jsonform.encode_request(batch) + b"\n" for batch in told)


def framed(told: Sequence[list[OtlpSpan]]) -> bytes:
    bodies = [protobuf_writing.encode_request(batch) for batch in told]
    return b"".join(len(body).to_bytes(4, "big") + body for body in bodies)


def everything(ledger: clew.Ledger) -> list[Any]:
    """All that a ledger holds, whatever its ids."""
    found = []
    for info in ledger.sessions(limit=100):
        session = ledger.get(info.id)
        spans = [
            (s.id, s.kind, s.name, s.turn, s.ordinal, s.status, s.started_us, s.tokens_in)
            for s in session.spans()
        ]
        found.append((info.frontend, info.user, info.agent, words(session), spans))
    return sorted(found, key=str)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("traces.jsonl", as_lines(batches())),
        ("traces.json", as_lines(batches())),
        ("no-end.jsonl", as_lines(batches()).rstrip()),
        ("list.json", b"[\n" + b",\n".join(as_lines(batches()).splitlines()) + b"\n]\n"),
        ("traces.pb", framed(batches())),
    ],
)
def test_a_file_records_what_sending_it_records(
    ledger: clew.Ledger, tmp_path: Path, name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with clew.open("sqlite:///:memory:") as other:
        sent(other, *batches())
        report = ledger.import_from(path)
        assert (report.files, report.sessions_new, report.records, report.added) == (1, 2, 4, 4)
        assert report.notes == []
        assert everything(ledger) == everything(other)
    assert words(at(ledger)) == [
        *(("user", "Read a.txt"), ("assistant", "It says hi.")),
        *(("user", "And b.txt?"), ("assistant", "It says ho.")),
    ]
    before = everything(ledger)
    again = ledger.import_from(path)
    assert (again.added, again.known, again.sessions_new, again.unchanged) == (0, 4, 0, 1)
    assert everything(ledger) == before


@pytest.mark.parametrize("indent", [None, 2])
def test_one_document_is_read(ledger: clew.Ledger, tmp_path: Path, indent: int | None) -> None:
    value = json.loads(jsonform.encode_request(batches()[0]))
    (tmp_path / "traces.json").write_text(json.dumps(value, indent=indent))
    assert ledger.import_from(tmp_path).added == 2


def test_one_request_in_protobuf_is_read(ledger: clew.Ledger, tmp_path: Path) -> None:
    (tmp_path / "dump.pb").write_bytes(protobuf_writing.encode_request(batches()[0]))
    assert ledger.import_from(tmp_path).added == 2


@pytest.mark.parametrize("form", [as_lines, framed])
def test_a_file_that_grows_adds_what_is_new(ledger: clew.Ledger, tmp_path: Path, form: Any) -> None:
    path = tmp_path / ("traces.jsonl" if form is as_lines else "traces.pb")
    whole = form(batches())
    counts = []
    for cut in (len(form(batches()[:1])) + 9, len(whole) - 5, len(whole)):
        path.write_bytes(whole[:cut])
        report = ledger.import_from(path)
        counts.append((report.added, report.sessions_new, report.sessions_grown))
        torn = [note.text for note in report.notes]
        assert all("incomplete" in text for text in torn)
        assert len(torn) == (cut < len(whole))
    assert counts == [(2, 1, 0), (1, 0, 1), (1, 1, 0)]
    assert len(words(at(ledger))) == 4


def test_a_bad_line_costs_only_itself(ledger: clew.Ledger, tmp_path: Path) -> None:
    good = as_lines(batches()).splitlines(keepends=True)
    bad = json.loads(good[1])
    bad["resourceSpans"][0]["scopeSpans"][0]["spans"].append({"traceId": "1", "name": "x"})
    long = chat(9, [say("user", "x")], "y", conversation="c" * 5000)
    lines = [
        good[0],
        b"not json\n",
        b'{"resourceLogs": []}\n',
        b'{"resourceSpans": 7}\n',
        b"\xff\xfe\n",
        b"\n",
        json.dumps(bad).encode() + b"\n",
        as_lines([[long]]),
        good[2],
    ]
    (tmp_path / "traces.jsonl").write_bytes(b"".join(lines))
    report = ledger.import_from(tmp_path)
    assert report.added == 4
    told = [(note.offset, note.text) for note in report.notes]
    ends = [sum(map(len, lines[:n])) for n in (1, 2, 3, 4, 6)]
    assert [at_ for at_, _text in told] == [*ends, None]
    for (_at, text), expected in zip(
        told,
        ("JSON", "only spans are read", "resourceSpans", "", "trace", "conversation's name"),
        strict=True,
    ):
        assert expected in text


def test_a_span_of_an_erased_session_is_refused_with_a_note(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(as_lines(batches()))
    ledger.import_from(path)
    gone = at(ledger).id
    ledger.erase(gone)
    report = ledger.import_from(path)
    assert report.added == 0
    assert ["is erased" in note.text for note in report.notes] == [True]
    assert "Read a.txt" not in str(everything(ledger))
    assert ledger.verify().ok


def test_histories_and_traces_come_in_together(ledger: clew.Ledger, tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_bytes(as_lines(batches()))
    (tmp_path / "chat.jsonl").write_bytes(b'{"role": "user", "content": "Hello."}\n')
    seen: list[str] = []
    report = ledger.import_from(tmp_path, on_progress=lambda at: seen.append(Path(at.path).name))
    assert (report.files, report.sessions_new) == (2, 3)
    assert seen[0] == "chat.jsonl"
    assert "traces.jsonl" in seen
    only = ledger.import_from(tmp_path, importer="otlp")
    assert (only.files, only.known) == (1, 4)
    named = tmp_path / "traces.txt"
    named.write_bytes(as_lines(batches()))
    assert ledger.import_from(named, importer="otlp").known == 4


def test_what_holds_no_traces_is_said(ledger: clew.Ledger, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / "x.pb").write_bytes(b"\x00\x00\x00\x01\xff")
    (tmp_path / "logs.jsonl").write_text('{"resourceLogs": []}\n')
    for importer in (None, "otlp"):
        with pytest.raises(NotFound, match="holds no"):
            ledger.import_from(tmp_path, importer=importer)
    with pytest.raises(NotFound):
        ledger.import_from(tmp_path / "none", importer="otlp")
    report = ledger.import_from(tmp_path / "x.json", importer="otlp")
    assert (report.added, report.notes) == (0, [])


def test_what_is_too_large_is_refused(
    ledger: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = json.loads(jsonform.encode_request(batches()[0]))
    path = tmp_path / "traces.json"
    path.write_text(json.dumps(value, indent=2))
    monkeypatch.setattr(files, "DOCUMENT_BYTES_MAX", 100)
    (note,) = ledger.import_from(path).notes
    assert "more than 100 bytes" in note.text


def test_nobody_elses_files_are_taken() -> None:
    assert [*files.discover(HERE / "golden")] == []
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: what belongs to others cannot be looked at")
    found = [*files.discover(FIXTURES)]
    assert {path.relative_to(FIXTURES).parts[0] for path in found} == {"copilot-vs"}
    assert [path for path in found if importers.identify(path)] == []


def test_the_shared_traces_are_read_whole(ledger: clew.Ledger) -> None:
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: there is nothing to read")
    report = ledger.import_from(FIXTURES / "copilot-vs")
    lines = [
        json.loads(line)
        for path in files.discover(FIXTURES)
        for line in path.read_text().splitlines()
    ]
    told = [
        (each["traceId"] + each["spanId"])
        for line in lines
        for block in line["resourceSpans"]
        for scope in block["scopeSpans"]
        for each in scope["spans"]
    ]
    assert (report.files, report.added, report.notes) == (4, len(set(told)), [])
    held = [s.id for i in ledger.sessions() for s in ledger.get(i.id).spans()]
    assert sorted(held) == sorted(set(told))
