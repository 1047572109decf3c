"""Reading sets of conversations: JSON Lines of which each line holds a whole one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew import importers, rules
from clew.importers import chat_set, chat_set_records
from clew.model import Kind
from importer_kit import check_golden, memory_ledger
from store_kit import StorePromises, everything, golden, made, taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "chat_set"
TUNING = GOLDEN / "tuning.jsonl"
FIXTURES = HERE.parent.parent / "shared" / "fixtures"
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")


def line(*words: str, **more: Any) -> bytes:
    roles = ("user", "assistant")
    said = [{"role": roles[n % 2], "content": each} for n, each in enumerate(words)]
    return msgspec.json.encode({"messages": said, **more}) + b"\n"


def write(path: Path, rows: Sequence[Any]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


def told(ledger: clew.Ledger) -> list[list[str]]:
    sessions = [ledger.get(info.id) for info in ledger.sessions(limit=100)]
    return sorted([m.text for m in session.history()] for session in sessions)


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with memory_ledger() as ledger:
        yield ledger


class TestPromises(StorePromises):
    store = chat_set
    files = (TUNING,)

    def test_a_golden_file_reads_as_expected(self, source: Path, tmp_path: Path) -> None:
        """What is damaged stands under the folder, which is another each time."""
        path = made(source, tmp_path)
        found = golden(chat_set, path)
        (damaged,) = (name for name in everything(chat_set, path) if "damaged" in name)
        found = found.replace(damaged, "damaged lines of tuning.jsonl~folder")
        check_golden(found, source.with_suffix(".expected.json"))


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_the_golden_file_on_both_databases(ledger: clew.Ledger) -> None:
    report = ledger.import_from(GOLDEN)
    assert (report.files, report.sessions_new) == (1, 14)
    for info in ledger.sessions(limit=100):
        for provider in PROVIDERS:
            assert rules.check(provider, ledger.get(info.id).view(provider).request) == []
    assert (ledger.import_from(GOLDEN).unchanged, ledger.verify().ok) == (1, True)


def test_each_line_is_a_session(store: clew.Ledger) -> None:
    store.import_from(TUNING)
    assert told(store) == [
        [],
        ["Half an emoji \ufffd here"],
        ["Mulch?", "", "Yes."],
        ["Name the tree.", "yellow, hard fruit", "Quince."],
        ["Prune it.", "Pruned."],
        ["Prune?", "Later."],
        ["Which is best?", "The quince."],
        ["You tend\nfigs.", "ok", "ok", "ok"],
        ["You tend trees.", "Any figs?", "", ""],
        ["You tend trees.", "Graft?", "In spring."],
        ["You tend trees.", "Hi.", "Hello.", "rain"],
        ["You tend trees.", "Water it.", "", ""],
        ["You tend trees.", "Which trees? 木", "", "", "A quince."],
        ["system", "system"],
    ]
    found = {r.key: (r.calls, r.input, r.cache_read, r.output) for r in store.usage(by="model")}
    assert found == {"claude-orchard": (2, 35, 12, 12), "gpt-orchard": (1, 11, 0, 2)}


def test_a_line_is_given_back_byte_for_byte(store: clew.Ledger) -> None:
    store.import_from(TUNING)
    held = [next(iter(store.source_bytes(i.id).values())) for i in store.sessions(limit=100)]
    lines = [each for each in TUNING.read_bytes().split(b"\n") if each]
    whole = [each for each in held if not each.startswith(b'{"file":')]
    assert sorted({each + b"\n" for each in lines[:14]}) == sorted(whole)
    (rest,) = (each for each in held if each not in whole)
    assert rest.splitlines()[0] == b'{"file":"tuning.jsonl"}'
    kept = [json.loads(each)["line"] for each in rest.splitlines()[1:]]
    assert kept[:4] == [each.decode() for each in lines[14:18]]
    assert set(kept[4]) == {"$bytes"}


def test_a_line_that_is_no_conversation_costs_only_itself(store: clew.Ledger) -> None:
    report = store.import_from(TUNING)
    data = TUNING.read_bytes()
    told = [note.text.partition(" of the file: ") for note in report.notes]
    places = [int(place.rpartition(" ")[2]) for place, _of, _text in told]
    assert data[places[1] :].startswith(b"not json\n")
    assert [text.split(":")[0] for _place, _of, text in told] == [
        "no conversation that is known",
        "not JSON",
        "more than one JSON object",
        "no conversation that is known",
        "invalid UTF-8 at its byte 47",
        "JSON, but not an object",
    ]
    (rest,) = (i for i in store.sessions(limit=100) if "damaged" in str(i.imported_from))
    kinds = [entry.kind for entry in store.get(rest.id).entries()]
    assert (rest.title, kinds) == (
        "damaged lines of tuning.jsonl",
        [Kind.NOTICE] + 6 * [Kind.UNKNOWN],
    )


def test_a_line_in_two_files_or_twice_in_one_is_one_session(
    store: clew.Ledger, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(line("one") + line("two") + line("one"))
    (tmp_path / "b.jsonl").write_bytes(line("two") + line("three"))
    report = store.import_from(tmp_path)
    assert (report.sessions_new, told(store)) == (3, [["one"], ["three"], ["two"]])


def test_a_file_that_grows_adds_its_new_lines(store: clew.Ledger, tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    whole = line("one") + line("two", "too") + line("three")
    counts = []
    for cut in (len(line("one")), len(whole) - 20, len(whole)):
        path.write_bytes(whole[:cut])
        counts.append(store.import_from(path).sessions_new)
    assert (counts, told(store)) == ([1, 1, 1], [["one"], ["three"], ["two", "too"]])


@pytest.mark.parametrize(
    ("rows", "ours"),
    [
        ([{"messages": [{"role": "user", "content": "x"}]}], True),
        ([{"prompt": "x", "completion": "y"}], True),
        ([{"params": {"messages": [{"role": "user", "content": "x"}], "model": "m"}}], True),
        ([{"prompt": "x"}], False),
        ([{"input": "x", "output": "y"}], False),
        ([{"messages": [{"role": "user", "content": "x", "session_id": "s"}]}], False),
        ([{"messages": []}], False),
        ([{"messages": ["x"]}], False),
        ([{"role": "user", "content": "x"}], False),
        ([{"body": 1}], False),
        ([], False),
    ],
)
def test_a_file_is_ours_when_it_begins_with_conversations(
    tmp_path: Path, rows: list[Any], ours: bool
) -> None:
    path = write(tmp_path / "x.jsonl", rows)
    assert chat_set.identify(path) is ours
    assert not chat_set.identify(path.rename(tmp_path / "x.json"))


def test_nobody_elses_files_are_taken() -> None:
    assert chat_set.roots(Path.home(), os.environ) == []
    found = [agent for agent, each in importers.IMPORTERS.items() if each.identify(TUNING)]
    assert found == ["chat-set"]
    assert [*chat_set.discover(HERE / "golden")] == [TUNING]
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: what belongs to others cannot be looked at")
    assert [*chat_set.discover(FIXTURES)] == []


KEYS = ["messages", "role", "content", "from", "value", "prompt", "completion", "chosen", "body"]
KEYS += ["system", "input", "output", "instruction", "params", "type", "usage", "model", "text"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["user", "x", "", "\ud83d"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=14,
)


@given(value=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=6))
@settings(max_examples=400, deadline=None)
def test_any_line_is_kept_whole(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("set") / "x.jsonl"
    path.write_text(json.dumps(value) + "\n")
    ((thread, items),) = everything(chat_set, path).items()
    (raw, records), *_ = reversed(taken(chat_set, path, thread, items)[0])
    base = records[0].start
    assert records[0].length == len(raw) - 1
    for record in records[1:]:
        body = json.loads(raw[record.start - base : record.start - base + record.length])
        message = chat_set_records.DECODERS[record.format](body)
        assert message.role in ("system", "user", "assistant", "tool")


@pytest.mark.parametrize("form", chat_set_records.DECODERS)
@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [{"text": "x"}], {"from": 1}])
def test_nothing_fails_to_read(form: str, value: Any) -> None:
    assert chat_set_records.DECODERS[form](value).role in ("system", "user", "assistant")


def test_files_that_an_agents_importer_has_are_not_looked_into(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = tmp_path / "agents"
    shutil.copytree(HERE / "golden" / "qwen", agents)
    write(tmp_path / "set.jsonl", [{"prompt": "x", "completion": "y"}])
    asked: list[str] = []
    identify = chat_set.identify

    def watched(path: Path) -> bool:
        asked.append(path.name)
        return identify(path)

    monkeypatch.setattr(chat_set, "identify", watched)
    for _ in range(2):
        store.import_from(tmp_path)
        assert asked == ["set.jsonl"]
        asked.clear()
