"""Reading Droid's histories: sessions, their settings, what is not one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clew import importers, rules, shapes
from clew.importers import droid
from clew.model import Thinking, Unknown
from importer_kit import ImporterPromises, memory_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    import clew

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "droid"
FIXTURES = HERE.parent.parent / "shared" / "fixtures"
INPUTS = tuple(droid.discover(GOLDEN))
FIRST, SECOND = "8534a502-0000-4000-8000-000000000001", "8534a502-0000-4000-8000-000000000002"
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")


def message(id: str, **more: Any) -> bytes:
    value = {"type": "message", "id": id, "timestamp": "2026-06-18T14:13:01.000Z"}
    return json.dumps({**value, "message": {"role": "user", "content": "x"}, **more}).encode()


class TestPromises(ImporterPromises):
    importer = droid
    files = INPUTS
    wreck = (message("a"), message("b", parentId="a"))

    def expected(self, path: Path) -> Path:
        return GOLDEN / f"{path.name}.expected.txt"

    def placed(self, path: Path, folder: Path) -> Path:
        shutil.copytree(GOLDEN, folder, dirs_exist_ok=True)
        return folder / path.relative_to(GOLDEN)


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    with memory_ledger() as ledger:
        yield ledger


def session_of(ledger: clew.Ledger, name: str) -> clew.Session:
    (found,) = [i for i in ledger.sessions() if i.imported_from == f"droid:{name}"]
    return ledger.get(found.id)


def test_a_session_reads_as_it_was_spoken(store: clew.Ledger) -> None:
    report = store.import_from(GOLDEN)
    assert [note.text for note in report.notes] == [
        "a record of type 'brand_new', which is not known"
    ]
    session = session_of(store, FIRST)
    info = session.info
    assert (info.title, info.project, info.agent) == ("Counting trees", "/srv/orchard", "droid")
    told = session.history()
    assert [m.text for m in told if m.text and m.role != "tool" and not m.meta] == [
        *("Count the trees 🌳", "Nothing there.", "Then plant some", "Planted.")
    ]
    (call,) = [call for m in told for call in m.tool_calls]
    (result,) = [result for m in told for result in m.tool_results]
    assert (call.id, result.call_id, result.is_error) == ("Execute_0", "Execute_0", True)
    thoughts = [part for m in told for part in m.parts if isinstance(part, Thinking)]
    assert [(part.text, part.signature) for part in thoughts] == [
        ("I should look.", None),
        ("Plant.", "sealed"),
    ]
    (move,) = session.moves()
    assert move.action == "rewind", "what was watered was taken back"
    for provider in PROVIDERS:
        assert rules.check(provider, session.view(provider).request) == []


def test_what_a_session_used_stands_beside_it(store: clew.Ledger, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path, dirs_exist_ok=True)
    store.import_from(tmp_path)
    path = next(tmp_path.rglob("*.settings.json"))
    told = json.loads(path.read_text())
    told["tokenUsage"]["outputTokens"] = 900
    path.write_text(json.dumps(told))
    store.import_from(tmp_path)
    (row,) = store.usage(by="model")
    assert (row.key, row.calls) == ("glm-x", 1)
    assert (row.input, row.output, row.cache_read) == (734, 900, 3518)
    assert len(store.source_bytes(session_of(store, FIRST).id)) == 2


def test_a_summary_leads_what_the_model_sees(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    context = session_of(store, SECOND).context()
    assert [m.text for m in context] == ["Trees were planted.", "And now?", "Wait for rain."]
    assert context[0].summary
    assert session_of(store, SECOND).info.title == "count again"


@pytest.mark.parametrize(
    "value", [None, 7, [], {}, {"type": "message"}, {"message": {"content": 1}}, {"type": []}]
)
def test_an_odd_record_reads_as_unknown(value: Any) -> None:
    assert all(isinstance(part, Unknown) for part in shapes.decode("droid", value).parts)
    droid.open(Path("x.jsonl")).feed(json.dumps(value).encode() + b"\n", 0, last=True)


def test_only_its_own_files_are_read(tmp_path: Path) -> None:
    streamed = {"type": "system", "subtype": "init", "sessionId": "s", "id": "sys1", "cwd": "/p"}
    for name, content in (
        ("streamed.jsonl", json.dumps(streamed)),
        ("messages.jsonl", message("a").decode()),
        ("empty.jsonl", ""),
        ("alone.settings.json", '{"tokenUsage": {}}'),
        ("odd.settings.json", "[1]"),
    ):
        (tmp_path / name).write_text(content)
    assert list(droid.discover(tmp_path)) == []
    (tmp_path / "odd.jsonl").write_text(json.dumps({"type": "session_start", "id": "odd"}))
    assert list(droid.discover(tmp_path)) == [tmp_path / "odd.jsonl"], "its settings say nothing"
    for path in INPUTS:
        assert importers.identify(path) is droid
    assert droid.roots(tmp_path, {}) == []
    (tmp_path / ".factory" / "sessions").mkdir(parents=True)
    assert droid.roots(tmp_path, {}) == [tmp_path / ".factory" / "sessions"]


def test_the_shared_fixtures_are_read_whole(store: clew.Ledger) -> None:
    if not FIXTURES.is_dir():
        pytest.skip("the shared fixtures are not here: recorded sessions cannot be read")
    report = store.import_from(FIXTURES / "droid", importer="droid")
    assert (report.files, report.sessions_new) == (4, 4)
    assert all("torn" not in note.text for note in report.notes)
    for info in store.sessions():
        for path, data in store.source_bytes(info.id).items():
            assert Path(path).read_bytes() == data
        calls = [c.id for m in store.get(info.id).history() for c in m.tool_calls]
        results = [r.call_id for m in store.get(info.id).history() for r in m.tool_results]
        assert set(results) <= set(calls)
        assert len(calls) - len(results) <= 1, "one recording ends with a call"
    others = [path for path in FIXTURES.rglob("*.jsonl") if "droid" not in path.parts]
    assert [path for path in others if droid.identify(path)] == []
