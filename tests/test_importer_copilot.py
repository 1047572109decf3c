"""Reading Copilot CLI's events: what is said, who says it, going back, compaction, tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew import importers, rules, shapes
from clew.importers import copilot_cli
from clew.importers.copilot_records import FORMAT
from clew.model import File, Image, Kind, Record, Text, Thinking, ToolResult, Unknown
from importer_kit import ImporterPromises, memory_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "copilot_cli"
FIXTURES = HERE.parent.parent / "shared" / "fixtures"
NEW, OLD = "7c000000-0000-4000-8000-000000000001", "7c000000-0000-4000-8000-000000000002"
INPUTS = [
    GOLDEN / "session-state" / NEW / "events.jsonl",
    GOLDEN / "session-state" / f"{OLD}.jsonl",
]
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")


def event(number: int, kind: str, /, **data: Any) -> dict[str, Any]:
    stamp = f"2026-05-06T07:{number // 60:02d}:{number % 60:02d}.000Z"
    before = f"e{number - 1}" if number else None
    return {"type": kind, "data": data, "id": f"e{number}", "timestamp": stamp, "parentId": before}


def lines(events: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(each) + b"\n" for each in events)


def start(session: str = "s", number: int = 0, **more: Any) -> dict[str, Any]:
    return event(number, "session.start", sessionId=session, context={"cwd": "/srv"}, **more)


def metrics(**by_model: tuple[int, int, int]) -> dict[str, Any]:
    names = ("inputTokens", "outputTokens", "cacheReadTokens")
    return {m: {"usage": dict(zip(names, told, strict=True))} for m, told in by_model.items()}


def write(path: Path, events: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines(events))
    return path


def session_of(ledger: clew.Ledger, name: str) -> clew.Session:
    (found,) = [i for i in ledger.sessions(spawned=True) if i.imported_from == name]
    return ledger.get(found.id)


def texts(messages: Sequence[clew.Message]) -> list[str]:
    return [message.text for message in messages if message.text]


def used(ledger: clew.Ledger) -> dict[str, tuple[int, int, int, int]]:
    rows = ledger.usage(by="model")
    return {row.key: (row.input, row.cache_read, row.cache_write, row.output) for row in rows}


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with memory_ledger() as ledger:
        yield ledger


class TestPromises(ImporterPromises):
    importer = copilot_cli
    files = INPUTS
    wreck = (
        lines([event(1, "user.message", content="hi")]),
        lines([event(2, "session.shutdown", modelMetrics=metrics(a=(1, 2, 0), b=(3, 4, 0)))]),
    )


# --- what is said ------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_the_golden_files_on_both_databases(ledger: clew.Ledger) -> None:
    report = ledger.import_from(GOLDEN)
    assert (report.files, report.sessions_new) == (2, 2)
    for info in ledger.sessions():
        assert (info.project, info.agent) == ("/home/ada/orchard", "copilot-cli")
        for provider in PROVIDERS:
            assert rules.check(provider, ledger.get(info.id).view(provider).request) == []
    assert (ledger.import_from(GOLDEN).unchanged, ledger.verify().ok) == (2, True)


def test_a_session_reads_as_it_went(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    session = session_of(store, f"copilot-cli:{NEW}")
    assert session.info.title == "The orchard in May"
    assert texts(session.history()) == [
        *("You tend trees.", "Which trees are here? 木\nrow 3", "I look."),
        *("A quince and \na medlar.", "Prune them.", "Pruned."),
        "<system_notification>the shell is done</system_notification>",
        *("What is left?", "What is left?", "Nothing."),
    ]
    asked, answer = session.history()[1:3]
    assert [type(part) for part in asked.parts] == [Text, File, Text, Image, Unknown]
    assert answer.parts[0] == Thinking("Two places.", signature="c2ln", data="ZW5j")
    calls = [(call.id, call.name, call.arguments) for call in answer.tool_calls]
    assert calls == [
        ("c1", "bash", '{"command":"ls"}'),
        ("c2", "apply_patch", '"*** Begin Patch"'),
        ("c3", "task", '{"prompt":"count"}'),
    ]
    results = [r for m in session.history() for r in m.tool_results]
    assert [(r.call_id, r.text, r.is_error, len(r.parts)) for r in results] == [
        ("c1", "quince\nmedlar", False, 2),
        ("c2", "no such tree", True, 1),
        ("c3", "Two.", False, 1),
    ]
    assert session.view("anthropic").repaired == ()


def test_what_a_sub_agent_says_stays_out_of_its_parents_view(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    session = session_of(store, f"copilot-cli:{NEW}")
    bodies = [entry for entry in session.entries() if b"Still two." in (entry.body or b"")]
    assert [entry.kind for entry in bodies] == [Kind.NOTICE]
    assert "Still two." not in str(session.view("openai-chat").request)
    assert used(store)["gpt-sapling"] == (200, 100, 0, 8)


def test_a_compaction_is_an_overlay_with_its_summary(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    session = session_of(store, f"copilot-cli:{NEW}")
    lead, *rest = session.context()
    assert (lead.summary, lead.text) == (True, "The trees were pruned.")
    assert [(m.text, m.meta) for m in rest] == [
        ("What is left?", True),
        ("What is left?", False),
        ("Nothing.", False),
    ]
    (point,) = session.checkpoints()
    assert (point.reason, point.tokens_before, point.tokens_after) == ("manual", 9000, 800)


def test_a_rewind_takes_the_prompt_and_what_followed_it_away(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    session = session_of(store, f"copilot-cli:{NEW}")
    assert "Water them." not in texts(session.history())
    assert any(b"Watered." in (entry.body or b"") for entry in session.entries())


def test_a_file_cut_back_to_a_prompt_and_grown_anew_reads_as_going_back(
    store: clew.Ledger, tmp_path: Path
) -> None:
    begun = [start(), event(1, "user.message", content="One."), event(2, "abort")]
    first = [event(3, "user.message", content="Two."), event(4, "abort", reason="a")]
    then = [event(5, "user.message", content="Three."), event(6, "abort", reason="b")]
    path = write(tmp_path / "s" / "events.jsonl", [*begun, *first])
    store.import_from(path)
    write(path, [*begun, *then])
    report = store.import_from(path)
    assert (report.added, report.known) == (2, 3)
    session = session_of(store, "copilot-cli:s")
    assert texts(session.history()) == ["One.", "Three."]
    assert [move.action for move in session.moves()] == ["rewind"]


def test_a_cleared_context_begins_at_the_root_and_an_old_file_reads(store: clew.Ledger) -> None:
    report = store.import_from(INPUTS[1])
    session = session_of(store, f"copilot-cli:{OLD}")
    assert texts(session.history()) == ["Begin again."]
    told = " ".join(note.text for note in report.notes)
    for words in ("torn record", "NUL", "UTF-8", "'orchard.harvested'", "says nothing", "tail"):
        assert words.replace("tail", "incomplete record") in told
    assert used(store)["gpt-old"] == (50, 30, 0, 11), "a compaction began them anew"


def test_the_name_beside_the_file_comes_before_the_prompt(tmp_path: Path) -> None:
    path = write(tmp_path / "s" / "events.jsonl", [start(), event(1, "user.message", content="x")])
    for words, title in [("name: 'Figs'\n", "Figs"), ("id: 1\nsummary: Pears\n", "Pears")]:
        (path.parent / "workspace.yaml").write_text(words)
        records = copilot_cli.open(path).feed(path.read_bytes(), 0, last=True)
        assert [record.title for record in records] == [None, title]
    (path.parent / "workspace.yaml").write_bytes(b"\xff\nname:\n")
    records = copilot_cli.open(path).feed(path.read_bytes(), 0, last=True)
    assert records[1].title == "x"


def test_equal_short_ids_in_two_sessions_are_two_events(store: clew.Ledger, tmp_path: Path) -> None:
    for name in ("a", "b"):
        said = event(1, "user.message", content=f"I am {name}.")
        write(tmp_path / f"{name}.jsonl", [start(name), said])
    report = store.import_from(tmp_path)
    assert (report.sessions_new, report.added) == (2, 3), "the start tells nothing of its own"
    assert texts(session_of(store, "copilot-cli:b").history()) == ["I am b."]


def test_a_fork_that_copied_its_beginning_hangs_on_the_original(
    store: clew.Ledger, tmp_path: Path
) -> None:
    shared = [event(1, "user.message", content="One."), event(2, "abort")]
    write(tmp_path / "a.jsonl", [start("a"), *shared, event(3, "user.message", content="A.")])
    write(tmp_path / "b.jsonl", [start("b"), *shared, event(3, "user.message", content="B.")])
    report = store.import_from(tmp_path)
    assert (report.sessions_new, report.known) == (2, 3)
    fork = session_of(store, "copilot-cli:b")
    assert fork.info.forked_from is not None
    assert texts(fork.history()) == ["One.", "B."]


def test_a_detached_session_names_who_spawned_it(store: clew.Ledger, tmp_path: Path) -> None:
    write(tmp_path / "p.jsonl", [start("p"), event(1, "user.message", content="One.")])
    child = start("c", 7, detachedFromSpawningParentSessionId="p")
    write(tmp_path / "c.jsonl", [child, event(8, "user.message", content="Two.")])
    store.import_from(tmp_path)
    spawned_by = session_of(store, "copilot-cli:c").info.spawned_by
    assert spawned_by == session_of(store, "copilot-cli:p").id


# --- tokens ------------------------------------------------------------------------------


def answer(number: int, output: int, model: str | None = "m", **more: Any) -> dict[str, Any]:
    told = {"messageId": f"m{number}", "content": "x", "outputTokens": output, "model": model}
    return event(number, "assistant.message", **(told | more))


def closed(number: int, **by_model: tuple[int, int, int]) -> dict[str, Any]:
    return event(number, "session.shutdown", modelMetrics=metrics(**by_model))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([answer(1, 5)], {"m": (0, 0, 0, 5)}, id="a crash leaves what answers told"),
        pytest.param([answer(1, 5), closed(2, m=(90, 7, 40))], {"m": (50, 40, 0, 7)}, id="closed"),
        pytest.param(
            [closed(1, m=(90, 7, 40)), answer(2, 3), closed(3, m=(190, 12, 80))],
            {"m": (110, 80, 0, 12)},
            id="totals go on when it is resumed",
        ),
        pytest.param(
            [closed(1, m=(90, 7, 40)), closed(2, m=(50, 2, 10))],
            {"m": (90, 50, 0, 9)},
            id="totals that fell were begun anew",
        ),
        pytest.param(
            [
                closed(1, m=(90, 7, 40)),
                event(2, "session.compaction_complete", success=True, summaryContent="s"),
                closed(3, m=(100, 8, 50)),
            ],
            {"m": (100, 90, 0, 15)},
            id="a compaction begins them anew",
        ),
        pytest.param(
            [
                closed(1, m=(90, 7, 40)),
                event(2, "session.compaction_complete", success=False),
                closed(3, m=(100, 8, 50)),
            ],
            {"m": (50, 50, 0, 8)},
            id="a failed one does not",
        ),
        pytest.param(
            [answer(1, 5, None), answer(2, 2), closed(3, m=(90, 10, 40), n=(7, 1, 0))],
            {"m": (50, 40, 0, 5), "n": (7, 0, 0, 1), "unknown": (0, 0, 0, 5)},
            id="answers without a model count too",
        ),
        pytest.param(
            [answer(1, 5, messageId="a"), answer(2, 6, messageId="a"), closed(3, m=(0, 6, 0))],
            {"m": (0, 0, 0, 6)},
            id="pieces of an answer repeat its count",
        ),
        pytest.param([closed(1, m=(1, 1, 0)), closed(2, m=(1, 1, 0))], {"m": (1, 0, 0, 1)}),
    ],
)
def test_tokens_are_counted_once(
    store: clew.Ledger, tmp_path: Path, events: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    path = tmp_path / "s.jsonl"
    for end in range(1, len(events) + 1):
        write(path, [start(), *events[:end]])
        store.import_from(path)
    assert used(store) == expected


# --- what is odd -------------------------------------------------------------------------

KEYS = ["type", "data", "id", "content", "toolRequests", "result", "modelMetrics", "usage"]
KEYS += ["attachments", "arguments", "toolCallId", "success", "m", "tokenDetails", "context"]
TYPES = ["user.message", "assistant.message", "tool.execution_complete", "session.shutdown"]
TYPES += ["session.compaction_complete", "session.snapshot_rewind", "session.start", "x.y", ""]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "file", "blob"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=14,
)


@given(kind=st.sampled_from(TYPES), data=VALUES)
@settings(max_examples=300, deadline=None)
def test_no_event_stops_the_reader(kind: str, data: Any) -> None:
    body = msgspec.json.encode({"type": kind, "data": data, "id": "e", "parentId": None})
    record: Record = copilot_cli.open(Path("x.jsonl")).feed(body, 0, last=True)[0]
    assert (record.start, record.length) == (0, len(body))
    message = shapes.decode(FORMAT, json.loads(body))
    assert message.role in ("system", "user", "assistant", "tool")


@pytest.mark.parametrize("value", [None, 1, "x", [], {}])
def test_what_is_no_event_reads_as_unknown(value: Any) -> None:
    assert isinstance(shapes.decode(FORMAT, value).parts[0], Unknown)


# --- where they are ----------------------------------------------------------------------


def test_roots_follow_the_environment(tmp_path: Path) -> None:
    assert copilot_cli.roots(tmp_path, {}) == []
    (tmp_path / ".copilot" / "session-state").mkdir(parents=True)
    found = [tmp_path / ".copilot" / "session-state"]
    assert copilot_cli.roots(tmp_path, {}) == found
    env = {"COPILOT_HOME": str(tmp_path / ".copilot")}
    assert copilot_cli.roots(Path("/none"), env) == found
    assert copilot_cli.roots(tmp_path, {"COPILOT_HOME": "/none"}) == []


def test_its_files_are_its_own() -> None:
    assert all(importers.identify(path) is copilot_cli for path in INPUTS)
    assert [*copilot_cli.discover(GOLDEN)] == INPUTS
    assert not copilot_cli.identify(INPUTS[0].with_name("workspace.yaml"))
    assert not copilot_cli.identify(GOLDEN / "none.jsonl")


def test_the_shared_fixtures_are_read_whole(store: clew.Ledger) -> None:
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: their facts cannot be compared")
    expected = json.loads((FIXTURES / "EXPECTED.json").read_text())
    assert not [name for name in expected if name.startswith("copilot-cli/")], "compare them"
    report = store.import_from(FIXTURES / "copilot-cli")
    assert (report.files, report.sessions_new, report.notes) == (4, 4, [])
    for info in store.sessions():
        session = store.get(info.id)
        ((path, held),) = store.source_bytes(info.id).items()
        assert held == Path(path).read_bytes()
        events = [json.loads(line) for line in held.splitlines()]
        tokens = sum(
            e["type"] == "assistant.message" and e["data"].get("outputTokens", 0) > 0
            for e in events
        )
        assert len(session.entries(limit=1000)) == len(events) + tokens
        results = sum(e["type"] == "tool.execution_complete" for e in events)
        inner = sum("parentToolCallId" in e["data"] for e in events if "tool" in e["type"])
        said = [r for m in session.history() for r in m.tool_results]
        assert len(said) == results - inner // 2
        assert all(isinstance(r, ToolResult) for r in said)
        for provider in PROVIDERS:
            assert rules.check(provider, session.view(provider).request) == []
    assert used(store) == {
        "gpt-4.1": (200, 800, 0, 50),
        "gpt-5-mini": (100, 5, 0, 15),
        "unknown": (0, 0, 0, 26),
    }
    assert store.import_from(FIXTURES / "copilot-cli").unchanged == 4


def test_no_other_fixture_is_taken_for_its_own() -> None:
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: what belongs to others cannot be looked at")
    found = {path.relative_to(FIXTURES).parts[0] for path in copilot_cli.discover(FIXTURES)}
    assert found == {"copilot-cli"}
    for agent, other in importers.IMPORTERS.items():
        if agent != "copilot-cli":
            assert [*other.discover(FIXTURES / "copilot-cli")] == [], agent
