"""Reading chats in JSON Lines, in the shapes of OpenAI and Anthropic."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew import importers, rules, shapes
from clew.importers import chat
from clew.importers.chat_records import FORMAT
from clew.model import Kind, Unknown
from importer_kit import ImporterPromises, check_golden, golden, memory_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "chat"
FIXTURES = HERE.parent.parent / "shared" / "fixtures"
INPUTS = sorted(GOLDEN.glob("*.jsonl"))
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")


def lines(rows: Sequence[Any]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def user(words: str) -> dict[str, Any]:
    return {"role": "user", "content": words}


def answer(words: str) -> dict[str, Any]:
    return {"role": "assistant", "content": words}


def texts(session: clew.Session) -> list[str]:
    return [message.text for message in session.history()]


def only(ledger: clew.Ledger) -> clew.Session:
    (info,) = ledger.sessions()
    return ledger.get(info.id)


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with memory_ledger() as ledger:
        yield ledger


class TestPromises(ImporterPromises):
    importer = chat
    files = INPUTS
    wreck = (lines([user("hi")]), lines([{"type": "function_call", "call_id": "c", "name": "x"}]))

    def test_a_golden_file_reads_as_expected(self, path: Path) -> None:
        """A session is told from others by its folder, which is another on each machine."""
        found = golden(chat, path).replace(chat.open(path).origin.native_id, f"{path.stem}~folder")
        check_golden(found, path.with_suffix(".expected.json"))


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_the_golden_files_on_both_databases(ledger: clew.Ledger) -> None:
    report = ledger.import_from(GOLDEN)
    assert (report.files, report.sessions_new) == (4, 4)
    for info in ledger.sessions():
        for provider in PROVIDERS:
            assert rules.check(provider, ledger.get(info.id).view(provider).request) == []
    assert (ledger.import_from(GOLDEN).unchanged, ledger.verify().ok) == (4, True)


def test_calls_results_times_and_tokens_are_read(store: clew.Ledger) -> None:
    store.import_from(GOLDEN / "openai.jsonl")
    session = only(store)
    assert session.info.title == "Which trees are here? 木"
    assert texts(session) == [
        *("You tend trees.", "Which trees are here? 木", "", "", "A quince and a medlar."),
        *("ok", "ok"),
    ]
    assert session.view("anthropic").repaired == ()
    stamps = [m.time_ms for m in session.history()]
    assert (stamps[1], stamps[2], stamps[4]) == (1778050800000, 1778050801000, 1778050803500)
    (row,) = store.usage(by="model")
    assert (row.key, row.input, row.cache_read, row.output, row.reasoning) == (
        *("gpt-orchard", 40, 60, 20, 5),
    )


def test_anthropics_blocks_and_signatures_are_kept(store: clew.Ledger) -> None:
    store.import_from(GOLDEN / "anthropic.jsonl")
    session = only(store)
    sent = session.view("anthropic").request["messages"]
    assert [block["type"] for block in sent[1]["content"]] == ["thinking", "text", "tool_use"]
    assert sent[1]["content"][0]["signature"] == "c2ln"
    assert sent[2]["content"][0]["is_error"] is True
    (row,) = store.usage(by="model")
    assert (row.input, row.cache_read, row.cache_write, row.output) == (30, 12, 3, 9)


def test_items_of_responses_are_messages(store: clew.Ledger) -> None:
    store.import_from(GOLDEN / "responses.jsonl")
    session = only(store)
    assert [m.role for m in session.history()] == [
        *("system", "user", "assistant", "assistant", "tool", "assistant"),
    ]
    assert (session.view("openai-chat").repaired, session.view("openai-chat").orphans) == ((), 0)


def test_a_bad_line_costs_only_itself(store: clew.Ledger) -> None:
    report = store.import_from(GOLDEN / "damage.jsonl")
    assert texts(only(store))[8:] == ["Begin.", "Begun.", "glued", "as Gemini has it"]
    told = [note.text for note in report.notes]
    for words in (
        "not JSON",
        "torn",
        "not an object",
        "UTF-8",
        "'oracle'",
        "no 'role'",
        "is a int",
    ):
        assert any(words in note for note in told), words
    assert any("'tool_call_id'" in note for note in told)
    assert len(told) == report.records - 12 + 1, "each with a note, and one for the tail"


def test_a_file_that_was_written_anew_goes_on_from_what_did_not_change(
    store: clew.Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "chat.jsonl"
    for rows in (
        [user("ok"), answer("A"), user("ok"), answer("B")],
        [user("ok"), answer("C"), user("ok"), answer("B"), user("ok")],
    ):
        path.write_bytes(lines(rows))
        store.import_from(path)
        assert texts(only(store)) == [row["content"] for row in rows]
    path.write_bytes(lines([user("Other.")]))
    store.import_from(path)
    assert texts(only(store)) == ["Other."]
    assert sum(e.kind is Kind.MESSAGE for e in only(store).entries()) == 9, "all is kept"


def test_files_of_one_name_are_sessions_of_their_own(store: clew.Ledger, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "chat.jsonl").write_bytes(lines([user("Hello."), answer(folder)]))
    assert store.import_from(tmp_path).sessions_new == 2
    found = [texts(store.get(info.id)) for info in store.sessions()]
    assert sorted(found) == [["Hello.", "a"], ["Hello.", "b"]]


# --- which files -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "ours"),
    [
        ([user("x")], True),
        ([{"type": "function_call_output", "call_id": "c", "output": "x"}], True),
        ([{**user("x"), "timestamp": "2026-01-01"}], True),
        ([user("x"), {"note": 1}], False),
        ([{**user("x"), "uuid": "u"}], False),
        ([{"role": "user", "parts": [{"text": "x"}]}], False),
        ([{"messages": [user("x")]}], False),
        ([[user("x")]], False),
        ([], False),
    ],
)
def test_a_file_is_ours_when_it_begins_with_messages(
    tmp_path: Path, rows: list[Any], ours: bool
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(rows))
    assert chat.identify(path) is ours
    assert [*chat.discover(tmp_path)] == ([path] if ours else [])
    assert not chat.identify(path.rename(tmp_path / "x.txt"))


def test_a_first_line_with_a_long_prompt_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(lines([{"role": "system", "content": "x" * 100_000}, user("hi")]))
    assert chat.identify(path)


def test_another_layout_is_read_when_it_is_named(store: clew.Ledger, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(lines([{**user("x"), "mood": "good"}]))
    store.import_from(path, importer="chat")
    assert texts(only(store)) == ["x"]


def test_no_place_is_looked_at_by_itself() -> None:
    assert chat.roots(Path.home(), os.environ) == []


def test_nobody_elses_files_are_taken() -> None:
    others = [agent for agent in importers.IMPORTERS if agent != "chat"]
    for path in INPUTS:
        assert [agent for agent in others if importers.IMPORTERS[agent].identify(path)] == []
    assert {path.relative_to(HERE / "golden").parts[0] for path in chat.discover(HERE)} == {"chat"}
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: what belongs to others cannot be looked at")
    assert [*chat.discover(FIXTURES)] == []


# --- what is odd -------------------------------------------------------------------------

KEYS = ["role", "content", "type", "text", "tool_calls", "function", "name", "id", "call_id"]
KEYS += ["usage", "model", "timestamp", "created", "parts", "output", "clew", "stop_reason"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["user", "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=14,
)


@given(value=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_object_stops_the_reader(value: Any) -> None:
    body = json.dumps(value, allow_nan=False, default=str).encode() if _finite(value) else b"{}"
    (record,) = chat.open(Path("x.jsonl")).feed(body, 0, last=True)
    assert (record.start, record.length) == (0, len(body))
    message = shapes.decode(FORMAT, json.loads(body))
    assert message.role in ("system", "user", "assistant", "tool")


def _finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, {"clew": 1}])
def test_what_is_no_message_reads_as_unknown(value: Any) -> None:
    assert isinstance(shapes.decode(FORMAT, value).parts[0], Unknown)
