"""Reading ATIF: steps, what was observed, sub-agents inside, copied context, tokens, growth."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew import importers, rules, shapes
from clew.errors import Invalid
from clew.importers import atif
from clew.model import File, Image, Kind, Text, Unknown
from importer_kit import memory_ledger
from store_kit import StorePromises, everything, taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "atif"
FIXTURES = HERE.parent.parent / "shared" / "fixtures"
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")


def step(source: str, message: Any, **more: Any) -> dict[str, Any]:
    return {"source": source, "message": message, **more}


def document(*steps: Any, **more: Any) -> dict[str, Any]:
    numbered = [{"step_id": n, **each} for n, each in enumerate(steps, 1)]
    agent = {"name": "a", "version": "1", "model_name": "m"}
    return {"schema_version": "ATIF-v1.8", "agent": agent, "steps": numbered, **more}


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value, indent=1))
    return path


def session_of(ledger: clew.Ledger, start: str) -> clew.Session:
    infos = ledger.sessions(spawned=True, limit=100)
    (found,) = [i for i in infos if str(i.imported_from).startswith(f"atif:{start}~")]
    return ledger.get(found.id)


def texts(messages: Sequence[clew.Message]) -> list[str]:
    return [message.text for message in messages if message.text]


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with memory_ledger() as ledger:
        yield ledger


class TestPromises(StorePromises):
    store = atif
    files = sorted(path for path in GOLDEN.glob("*.json") if "expected" not in path.name)


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_the_golden_files_on_both_databases(ledger: clew.Ledger) -> None:
    report = ledger.import_from(GOLDEN)
    assert (report.files, report.sessions_new) == (2, 4)
    for info in ledger.sessions(spawned=True):
        for provider in PROVIDERS:
            view = ledger.get(info.id).view(provider)
            assert rules.check(provider, view.request) == []
            assert (view.repaired, view.orphans) == ((), 0)
    assert (ledger.import_from(GOLDEN).unchanged, ledger.verify().ok) == (2, True)


def test_a_trajectory_reads_as_it_went(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    session = session_of(store, "run-1/t-main")
    assert session.info.title == "Which trees? 木"
    assert [(m.role, m.meta) for m in session.history()] == [
        *(("system", False), ("user", False), ("assistant", False), ("tool", False)),
        *(("user", True), ("user", True), ("user", True), ("assistant", False)),
    ]
    asked, answer, results, *_ = session.history()[1:]
    assert asked.parts == (
        Text("Which trees? 木"),
        Image("image/png", url="images/1.png"),
        File("a.wav", "audio/wav", url="a.wav"),
    )
    assert [call.arguments for call in answer.tool_calls] == ['{"path":"."}', '{"prompt":"count"}']
    assert [(r.call_id, r.text) for r in results.tool_results] == [
        ("c1", "quince\nmedlar"),
        ("c2", "two"),
    ]


def test_sub_agents_inside_are_sessions_that_their_call_began(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    main, sub = (session_of(store, name) for name in ("run-1/t-main", "run-1/t-sub"))
    assert sub.info.spawned_by == f"{main.id}#c2"
    assert texts(sub.history()) == ["count", "two"]
    assert session_of(store, "t-deep").info.spawned_by == sub.id


def test_tokens_are_those_of_the_steps_or_else_of_the_whole(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    found = {r.key: (r.input, r.cache_read, r.output, r.cost) for r in store.usage(by="model")}
    assert found == {
        "m-orchard-2": (110, 1000, 57, 0.0021),
        "m-orchard": (100, 1100, 9, 0.0),
        "m-old": (0, 0, 0, 0.5),
        "unknown": (30, 10, 3, 0.0),
    }, "a copied step counts where it was made; a sub-agent's total where its steps tell none"


def test_copied_context_is_marked(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    session = session_of(store, "run-2/loose")
    assert [(m.text, m.meta) for m in session.history()][:3] == [
        ("Earlier.", True),
        ("Answered.", True),
        ("Any figs?", False),
    ]
    assert session.info.title == "Any figs?"


def test_what_is_odd_is_kept_with_a_note(store: clew.Ledger) -> None:
    report = store.import_from(GOLDEN / "loose.json")
    assert [note.text for note in report.notes] == ["a step of no source that is known"] * 2
    unknown = [e for e in session_of(store, "run-2/loose").entries() if e.kind is Kind.UNKNOWN]
    assert [json.loads(e.body or b"")["step"] for e in unknown] == [
        {"source": "oracle", "message": "?"},
        "no step",
    ]


def test_a_document_that_is_written_anew_for_each_step_grows(
    store: clew.Ledger, tmp_path: Path
) -> None:
    steps = [step("user", "One."), step("agent", "Two."), step("user", "Three.")]
    path = tmp_path / "trajectory.json"
    for end in (1, 2, 3):
        report = store.import_from(write(path, document(*steps[:end], session_id="r")))
        assert report.added == (2 if end == 1 else 1)
    session = session_of(store, "r/trajectory")
    assert texts(session.history()) == ["One.", "Two.", "Three."]
    steps[2] = step("user", "Three!")
    store.import_from(write(path, document(*steps, session_id="r", notes="done")))
    assert texts(session.history()) == ["One.", "Two.", "Three!"]
    assert sum(e.kind is Kind.MESSAGE for e in session.entries()) == 4


def test_a_step_that_gets_its_results_later_takes_its_own_place(
    store: clew.Ledger, tmp_path: Path
) -> None:
    call = {"tool_call_id": "c", "function_name": "ls", "arguments": {}}
    asked = step("agent", "", tool_calls=[call], metrics={"prompt_tokens": 7})
    seen = {**asked, "observation": {"results": [{"source_call_id": "c", "content": "quince"}]}}
    path = tmp_path / "trajectory.json"
    for last in (asked, seen):
        store.import_from(write(path, document(step("user", "List."), last)))
    session = session_of(store, "trajectory")
    assert [m.role for m in session.history()] == ["user", "assistant", "tool"]
    (row,) = store.usage(by="model")
    assert (row.calls, row.input) == (1, 7)


def test_a_document_that_goes_on_in_another_is_another_session(
    store: clew.Ledger, tmp_path: Path
) -> None:
    first = step("system", "You tend trees.")
    for name, words in [("trajectory", "One."), ("trajectory.cont-1", "Two.")]:
        told = document(first, step("user", words), session_id="r")
        write(tmp_path / f"{name}.json", told)
    assert store.import_from(tmp_path).sessions_new == 2
    assert texts(session_of(store, "r/trajectory.cont-1").history())[1:] == ["Two."]


@pytest.mark.parametrize("cut", [40, 200, -2])
def test_half_a_document_is_read_when_it_is_whole(
    store: clew.Ledger, tmp_path: Path, cut: int
) -> None:
    path = write(tmp_path / "t.json", document(step("user", "One."), step("agent", "Two.")))
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    report = store.import_from(path, importer="atif")
    assert ["no whole JSON object" in note.text for note in report.notes] == [True]
    path.write_bytes(whole)
    assert store.import_from(path).sessions_new == 1


@pytest.mark.parametrize(
    ("place", "told"), [(b"orchard", "no whole JSON"), (b"One", "invalid UTF-8")]
)
def test_bytes_that_are_no_text_cost_their_step_or_are_told(
    store: clew.Ledger, tmp_path: Path, place: bytes, told: str
) -> None:
    steps = (step("user", "One."), step("agent", "Two."))
    path = write(tmp_path / "t.json", document(*steps, notes="orchard"))
    path.write_bytes(path.read_bytes().replace(place, b"\xff"))
    report = store.import_from(path)
    assert [told in note.text for note in report.notes] == [True]
    assert [texts(store.get(i.id).history()) for i in store.sessions()] == (
        [["Two."]] if place == b"One" else []
    )


def test_half_an_emoji_is_read(store: clew.Ledger, tmp_path: Path) -> None:
    write(tmp_path / "t.json", document(step("user", "fig \ud83c tree")))
    store.import_from(tmp_path)
    assert texts(session_of(store, "t").history()) == ["fig \ufffd tree"]


def test_sub_agents_nested_without_end_are_kept_unread(store: clew.Ledger, tmp_path: Path) -> None:
    told = document(step("user", "deepest"), trajectory_id="t0")
    for number in range(1, 12):
        inner = [told, 7]
        told = document(step("user", "x"), trajectory_id=f"t{number}", subagent_trajectories=inner)
    write(tmp_path / "t.json", told)
    report = store.import_from(tmp_path)
    assert report.sessions_new == 9
    rest = session_of(store, "t3")
    assert any(b"deepest" in (entry.body or b"") for entry in rest.entries())


def test_a_document_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.json", document(step("user", "x")))
    monkeypatch.setattr(atif, "DOCUMENT_BYTES_MAX", 50)
    with pytest.raises(Invalid, match="more than 50 bytes"), atif.look(path):
        pass


# --- which files -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "ours"),
    [
        (document(step("user", "x")), True),
        ({**document(), "schema_version": "1.4"}, True),
        ({**document(), "schema_version": "2.0"}, False),
        ({"schema_version": "1.4"}, False),
        ([], False),
    ],
)
def test_a_file_is_ours_when_it_begins_as_a_trajectory(
    tmp_path: Path, value: Any, ours: bool
) -> None:
    path = write(tmp_path / "x.json", value)
    assert atif.identify(path) is ours
    assert not atif.identify(path.rename(tmp_path / "x.txt"))
    assert not atif.identify(tmp_path / "none.json")


def test_nobody_elses_files_are_taken() -> None:
    assert atif.roots(Path.home(), os.environ) == []
    for path in TestPromises.files:
        found = [agent for agent, each in importers.IMPORTERS.items() if each.identify(path)]
        assert found == ["atif"]
    ours = HERE / "golden" / "projections" / "atif.json"  # what an export wrote is one, too
    assert [*atif.discover(HERE / "golden")] == [*TestPromises.files, ours]
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: what belongs to others cannot be looked at")
    assert {path.relative_to(FIXTURES).parts[0] for path in atif.discover(FIXTURES)} == {"atif"}


def test_the_shared_fixtures_are_read_whole(store: clew.Ledger) -> None:
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: their facts cannot be compared")
    report = store.import_from(FIXTURES / "atif")
    assert (report.files, report.sessions_new, report.notes) == (2, 3, [])
    for path in atif.discover(FIXTURES):
        told = json.loads(path.read_text())
        total = told["final_metrics"]
        name = f"{told['session_id']}/{told.get('trajectory_id', path.stem)}"
        session = session_of(store, name)
        used = [m.usage for m in session.history() if m.usage is not None]
        assert sum(u.input + u.cache_read for u in used) == total["total_prompt_tokens"]
        assert sum(u.output for u in used) == total["total_completion_tokens"]
        assert sum(u.cache_read for u in used) == total["total_cached_tokens"]
        spoken = [m for m in session.history() if m.role != "tool"]
        assert texts(spoken) == [each["message"] for each in told["steps"]]
        for provider in PROVIDERS:
            assert rules.check(provider, session.view(provider).request) == []


# --- what is odd -------------------------------------------------------------------------

KEYS = ["step_id", "source", "message", "tool_calls", "observation", "results", "content", "type"]
KEYS += ["source_call_id", "tool_call_id", "function_name", "arguments", "metrics", "extra"]
KEYS += ["text", "path", "subagent_trajectory_ref", "trajectory_id", "timestamp", "cost"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["agent", "user", "c", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=16,
)


@given(steps=st.lists(VALUES, max_size=3), inner=VALUES, facts=VALUES)
@settings(max_examples=300, deadline=None)
def test_no_document_stops_the_reader(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, inner: Any, facts: Any
) -> None:
    value = {"steps": steps, "agent": facts, "final_metrics": facts, "subagent_trajectories": inner}
    path = write(tmp_path_factory.mktemp("atif") / "t.json", value)
    for thread, items in everything(atif, path).items():
        found, _state = taken(atif, path, thread, items)
        assert len(found) == len(items)
    for form in atif.formats:
        for each in steps:
            message = shapes.decode(form, {"trajectory": "t", "number": 1, "step": each})
            assert message.role in ("system", "user", "assistant", "tool")


@pytest.mark.parametrize("value", [None, 1, "x", [], {}])
def test_what_is_no_step_reads_as_unknown(value: Any) -> None:
    assert isinstance(shapes.decode("atif", value).parts[0], Unknown)
