"""Reading Gemini CLI's and Qwen Code's histories: patches, documents, branches, damage, growth."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew import importers, rules, shapes
from clew.canonical import parse
from clew.importers import claude_code, gemini_cli, qwen
from clew.model import Kind, Record, ToolResult
from importer_kit import ImporterPromises

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clew.importers import Importer

HERE = Path(__file__).resolve().parent
GOLDEN = {"gemini-cli": HERE / "golden" / "gemini_cli", "qwen": HERE / "golden" / "qwen"}
AGENTS: dict[str, Importer] = {"gemini-cli": gemini_cli, "qwen": qwen}
FIXTURES = HERE.parent.parent / "shared" / "fixtures"
CASES = [(agent, path) for agent, m in AGENTS.items() for path in m.discover(GOLDEN[agent])]
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")
MEMORY = "sqlite:///:memory:"
SESSION = "5f0c1b1e-0000-4000-8000-{:012d}"

importers.register_decoders()


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with clew.open(MEMORY, search=False) as ledger:
        yield ledger
        report = ledger.verify()
        assert report.ok, report.problems


# --- histories to read ---------------------------------------------------------------------


def read(agent: str, path: Path, data: bytes | None = None) -> list[Record]:
    return AGENTS[agent].open(path).feed(path.read_bytes() if data is None else data, 0, last=True)


def read_bytes(data: bytes, agent: str = "gemini-cli", name: str = "x.jsonl") -> list[Record]:
    return read(agent, Path(name), data)


def decode(data: bytes, record: Record) -> clew.Message:
    return shapes.decode(record.format, parse(data[record.start : record.start + record.length]))


def lines(records: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def stamp(number: int) -> str:
    return f"2026-04-01T10:{number // 60:02d}:{number % 60:02d}.000Z"


def header(session: str = "s", **more: Any) -> dict[str, Any]:
    head = {"sessionId": session, "projectHash": "0" * 64, "startTime": stamp(0)}
    return {**head, "lastUpdated": stamp(0), "kind": "main", **more}


def said(id: str, words: str, kind: str = "user", number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": id, "timestamp": stamp(number), "type": kind, "content": words, **more}


def call(id: str, output: str | None, **more: Any) -> dict[str, Any]:
    response = {"id": id, "name": "ls", "response": {"output": output}}
    given = {} if output is None else {"result": [{"functionResponse": response}]}
    return {"id": id, "name": "ls", "args": {}, "status": "success", **given, **more}


def write(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines(records))
    return path


def document(path: Path, messages: Sequence[dict[str, Any]], number: int = 1) -> Path:
    value = {**header(), "lastUpdated": stamp(number), "messages": list(messages)}
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
    return path


def session_of(ledger: clew.Ledger, name: str) -> clew.Session:
    found = [i for i in ledger.sessions(spawned=True, limit=1000) if i.imported_from == name]
    assert len(found) == 1, f"{len(found)} sessions of {name}"
    return ledger.get(found[0].id)


def texts(messages: Sequence[clew.Message]) -> list[str]:
    return [message.text for message in messages]


# --- golden files --------------------------------------------------------------------------

WRECK = (lines([said("a", "x")])[:-1], lines([{"$set": {"messages": [said("b", "y")]}}]))


class AgentPromises(ImporterPromises):
    def expected(self, path: Path) -> Path:
        name = f"{self.importer.name}-{path.stem}.txt"
        return HERE / "golden" / "gemini_cli_expected" / name


class TestGeminiPromises(AgentPromises):
    importer = gemini_cli
    files = tuple(path for agent, path in CASES if agent == "gemini-cli")
    wreck = WRECK


class TestQwenPromises(AgentPromises):
    importer = qwen
    files = tuple(path for agent, path in CASES if agent == "qwen")
    wreck = WRECK


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("agent", AGENTS)
def test_the_golden_files_on_both_databases(ledger: clew.Ledger, agent: str) -> None:
    report = ledger.import_from(GOLDEN[agent], importer=agent)
    assert report.sessions_new == report.files == sum(1 for name, _ in CASES if name == agent)
    for info in ledger.sessions(spawned=True):
        assert info.project == "/home/ada/orchard"
        ((path, held),) = ledger.source_bytes(info.id).items()
        assert held == Path(path).read_bytes()
        for provider in PROVIDERS:
            assert rules.check(provider, ledger.get(info.id).view(provider).request) == [], path
    again = ledger.import_from(GOLDEN[agent])
    assert (again.unchanged, again.added) == (report.files, 0)
    assert ledger.verify().ok


# --- Gemini's patches ----------------------------------------------------------------------


class Fold:
    """What Gemini CLI itself would show: a second, independent reading of the patches."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, dict[str, int]] = {}

    def take(self, record: dict[str, Any]) -> None:
        if "$rewindTo" in record:
            ids = list(self.messages)
            index = ids.index(record["$rewindTo"]) if record["$rewindTo"] in ids else 0
            for id in ids[index:]:
                del self.messages[id]
        elif "messages" in (patch := record.get("$set", record)):
            self.messages = {}
            for message in patch["messages"]:
                self.take(message)
        elif "id" in record:
            self.messages[record["id"]] = record
            if record.get("tokens"):
                self.tokens[record["id"]] = record["tokens"]

    def words(self) -> list[str]:
        spoken = [m for m in self.messages.values() if m["type"] in ("user", "gemini", "model")]
        return [w for m in spoken if (w := self._plain(m.get("content", m.get("parts"))))]

    @staticmethod
    def _plain(content: Any) -> str:
        if isinstance(content, str):
            return content
        return "\n".join(p["text"] for p in content if "text" in p and not p.get("thought"))

    def used(self) -> tuple[int, int]:
        keys = ("input", "output", "thoughts", "tool")
        return sum(t.get(k, 0) for t in self.tokens.values() for k in keys), len(self.tokens)


def used(ledger: clew.Ledger) -> tuple[int, int]:
    rows = ledger.usage(by="model")
    tokens = sum(row.input + row.cache_read + row.cache_write + row.output for row in rows)
    return tokens, sum(row.calls for row in rows)


OPS = st.tuples(st.sampled_from(["say", "say", "again", "rewind", "set"]), st.integers(0, 9))


@given(ops=st.lists(OPS, max_size=25), step=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_any_log_of_patches_reads_as_gemini_would_show_it(
    tmp_path_factory: pytest.TempPathFactory, ops: list[tuple[str, int]], step: int
) -> None:
    fold, rows = Fold(), [header(), said("first", "begin")]
    fold.take(rows[-1])
    for number, (op, arg) in enumerate(ops):
        ids = list(fold.messages)
        words = f"words {number}"
        kind = "gemini" if number % 2 else "user"
        if op == "rewind":
            row: dict[str, Any] = {"$rewindTo": ids[arg] if arg < len(ids) else "none"}
        elif op == "set":
            row = {
                "$set": {
                    "messages": [*list(fold.messages.values())[:arg], said(f"n{number}", words)]
                }
            }
        else:
            id = ids[-1] if op == "again" and ids else f"id{number}"
            row = said(id, words, kind, number, tokens={"input": 5, "output": 1})
        rows.append(row)
        fold.take(row)
    path = tmp_path_factory.mktemp("log") / "session.jsonl"
    with clew.open(MEMORY, search=False) as ledger:
        for end in [*range(2, len(rows), step), len(rows)]:
            write(path, rows[:end])
            ledger.import_from(path)
        (info,) = ledger.sessions()
        assert texts(ledger.get(info.id).history()) == fold.words()
        assert ledger.verify().ok


def test_a_later_version_takes_the_place_of_the_newest_message(store: clew.Ledger) -> None:
    store.import_from(GOLDEN["gemini-cli"])
    session = session_of(store, f"gemini-cli:{SESSION.format(1)}")
    said = [text for text in texts(session.history()) if text]
    assert said[1:] == [
        *("Which trees are here?", "A quince and a medlar. 木 🌳", "Water them."),
        *("I look twice.", "And the figs?", "Two \nfigs."),
    ]
    bodies = [entry.body or b"" for entry in session.entries()]
    assert any(b"Cut them down." in body for body in bodies), "what was rewound is kept"
    assert session.info.title == "The trees of the orchard"


def test_a_call_has_its_result_where_only_the_answer_holds_it(store: clew.Ledger) -> None:
    store.import_from(GOLDEN["gemini-cli"])
    session = session_of(store, f"gemini-cli:{SESSION.format(1)}")
    view = session.view("anthropic")
    results = [r for m in view.messages for r in m.tool_results]
    assert [(r.call_id, r.is_error, r.text) for r in results[:3]] == [
        ("c1", False, "quince\nmedlar"),
        ("c2", False, "two figs"),
        ("c3", True, "no such tree"),
    ]
    assert view.repaired == ("c4",), "a cancelled call has no result"
    assert (view.duplicates, view.orphans) == (1, 0)


def test_a_compression_is_an_overlay_until_it_is_rewound(
    store: clew.Ledger, tmp_path: Path
) -> None:
    path = GOLDEN["gemini-cli"] / "tmp/orchard/chats/session-2026-03-02T10-00-5f0c1b1e.jsonl"
    file = tmp_path / path.name
    rows = path.read_bytes().splitlines(keepends=True)
    cut = next(n for n, row in enumerate(rows) if b"nowhere" in row)
    file.write_bytes(b"".join(rows[:cut]))
    store.import_from(file)
    session = session_of(store, f"gemini-cli:{SESSION.format(2)}")
    lead, *rest = session.context()
    assert lead.summary
    assert "The pear is pruned." in lead.text
    assert texts(rest)[1:] == ["What is left?", "Nothing."]
    assert texts(session.history())[-6:-3] == ["", "Now the plum.", "Pruned too."]
    assert len(session.checkpoints()) == 1
    file.write_bytes(path.read_bytes())
    store.import_from(file)
    assert texts(session.context()) == ["Once more.", "Yes."], "an unknown id takes all away"


def test_usage_counts_each_answer_once_without_the_cache(
    store: clew.Ledger, tmp_path: Path
) -> None:
    tokens = {"input": 100, "output": 5, "cached": 30, "thoughts": 2, "tool": 1, "total": 108}
    answer = said("a", "x", "gemini", 2, model="m", tokens=tokens)
    rows = [header(), said("u", "hi"), answer, {**answer, "toolCalls": [call("c", "y")]}]
    store.import_from(write(tmp_path / "session.jsonl", rows))
    (row,) = store.usage(by="model")
    assert (row.calls, row.input, row.cache_read, row.output, row.reasoning) == (1, 71, 30, 7, 2)


def test_equal_short_ids_in_two_sessions_are_two_answers(
    store: clew.Ledger, tmp_path: Path
) -> None:
    for number in (1, 2):
        answer = said("m2", "x", "gemini", number, tokens={"input": 1, "output": 1})
        write(tmp_path / f"{number}.jsonl", [header(f"s{number}"), said("m1", "hi"), answer])
    report = store.import_from(tmp_path)
    assert (report.sessions_new, report.known, used(store)) == (2, 0, (4, 2))


def test_a_sub_agent_names_its_parent(store: clew.Ledger) -> None:
    store.import_from(GOLDEN["gemini-cli"])
    agent = session_of(store, f"gemini-cli:{SESSION.format(3)}")
    assert agent.info.spawned_by == session_of(store, f"gemini-cli:{SESSION.format(1)}").id


# --- Gemini's documents --------------------------------------------------------------------


def test_a_document_that_is_written_anew_adds_what_is_new(
    store: clew.Ledger, tmp_path: Path
) -> None:
    path, shown = tmp_path / "session-a.json", []
    messages = [said("m1", "one"), said("m2", "two", "gemini", 2)]
    for number, change in enumerate([None, "three", "TWO", "four"]):
        if change == "TWO":
            messages[1]["toolCalls"] = [call("c", "done")]
        elif change:
            messages.append(said(f"m{number + 9}", change, number=number + 3))
        document(path, messages, number)
        report = store.import_from(path)
        session = session_of(store, "gemini-cli:s")
        shown.append([text for text in texts(session.history()) if text])
        assert store.source_bytes(session.id).popitem()[1] == path.read_bytes()
    assert shown == [
        ["one", "two"],
        ["one", "two", "three"],
        ["one", "two", "three"],
        ["one", "two", "three", "four"],
    ]
    assert report.added == 2, "the new message, and the document around it"
    assert session.view("gemini").repaired == ()


def test_a_document_turned_into_a_log_doubles_nothing(store: clew.Ledger, tmp_path: Path) -> None:
    answer = said("m2", "two", "gemini", 2, tokens={"input": 3}, toolCalls=[call("c", "done")])
    messages = [said("m1", "one"), answer]
    document(tmp_path / "session-a.json", messages)
    rows = [header(lastUpdated=stamp(1)), *messages, {"$set": {"sessionId": "s"}}]
    write(tmp_path / "session-a.jsonl", [*rows, said("m3", "three", number=9)])
    report = store.import_from(tmp_path)
    assert (report.files, report.sessions_new, report.known) == (2, 1, 3)
    session = session_of(store, "gemini-cli:s")
    assert texts(session.history()) == ["one", "two", "", "three"]
    assert used(store) == (3, 1)


def test_a_document_seen_while_it_is_written_loses_nothing(
    store: clew.Ledger, tmp_path: Path
) -> None:
    messages = [said("m1", "one"), said("m2", "two", "gemini", 2)]
    path = document(tmp_path / "session-a.json", messages)
    store.import_from(path)
    whole = document(path, [*messages, said("m3", "three", number=3)], 2).read_bytes()
    for size in (0, len(whole) // 2, len(whole)):
        path.write_bytes(whole[:size])
        store.import_from(path, importer="gemini-cli")
        said_then = texts(session_of(store, "gemini-cli:s").history())
        assert said_then == ["one", "two", "three"][: 3 if size == len(whole) else 2]


@pytest.mark.parametrize("cut", [1, 40, -2])
def test_half_a_document_waits_for_the_rest(cut: int, tmp_path: Path) -> None:
    data = document(tmp_path / "session-a.json", [said("m1", "one")]).read_bytes()
    reader = gemini_cli.open(tmp_path / "session-a.json")
    assert reader.feed(data[:cut], 0, last=True) == []
    assert reader.consumed == 0


def test_a_damaged_document_is_kept_as_it_is() -> None:
    data = b'{"sessionId":"s","messages":[{"id":"a","type":"user","content":"\xff"}]}'
    (record,) = read_bytes(data, name="x.json")
    assert (record.kind, record.format, record.length) == (Kind.UNKNOWN, "raw", len(data))
    assert "UTF-8" in (record.note or "")


# --- Qwen Code -----------------------------------------------------------------------------


def test_qwen_reads_branches_pieces_titles_and_compressions(store: clew.Ledger) -> None:
    store.import_from(GOLDEN["qwen"], importer="qwen")
    session = session_of(store, "qwen:6a000000-0000-4000-8000-000000000001")
    assert [text for text in texts(session.history()) if text] == [
        *("Which trees?", "A quince.", "Water it.", "The task is done.", "And now?"),
        *("Nothing.", "Alone."),
    ]
    assert session.info.title == "Trees"
    lead, *rest = session.context()
    assert (lead.summary, lead.text) == (True, "It was watered.\n\nGot it.")
    assert texts(rest) == ["And now?", "Nothing.", "Alone."]
    (point,) = session.checkpoints()
    assert (point.tokens_before, point.tokens_after) == (900, 90)
    thinking = session.history()[1]
    assert [type(part).__name__ for part in thinking.parts] == ["Thinking", "ToolCall"]
    rows = store.usage(by="model")
    assert sum(row.output for row in rows) == 10 + 14 + 10, "thoughts count once"
    failed = [r for m in session.history() for r in m.tool_results if r.is_error]
    assert [r.text for r in failed] == ["dry"]


def test_a_copy_in_another_session_is_not_added_again(store: clew.Ledger, tmp_path: Path) -> None:
    rows = [json.loads(row) for row in (GOLDEN["qwen"] / "main.jsonl").read_text().splitlines()]
    write(tmp_path / "a.jsonl", rows)
    copied = [{**row, "sessionId": "other"} for row in rows[:4]]
    own = {**rows[0], "uuid": "own", "parentUuid": "q3", "sessionId": "other"}
    own["message"] = {"role": "user", "parts": [{"text": "Elsewhere?"}]}
    write(tmp_path / "b.jsonl", [*copied, own])
    report = store.import_from(tmp_path)
    assert (report.sessions_new, report.known) == (2, 4)
    assert texts(session_of(store, "qwen:other").history()) == [
        "Which trees?",
        "",
        "",
        "Elsewhere?",
    ]


def test_a_qwen_sub_agent_is_a_session_of_its_own(store: clew.Ledger, tmp_path: Path) -> None:
    rows = [json.loads(row) for row in (GOLDEN["qwen"] / "main.jsonl").read_text().splitlines()]
    parent = rows[0]["sessionId"]
    write(tmp_path / "chats" / f"{parent}.jsonl", rows)
    launched = {**rows[0], "uuid": "own", "subtype": "agent_launch_prompt"}
    retried = {**rows[0], "uuid": "next", "parentUuid": "own", "provenance": "system"}
    write(tmp_path / "subagents" / parent / "agent-a1.jsonl", [launched, retried])
    assert store.import_from(tmp_path).sessions_new == 2
    agent = session_of(store, f"qwen:{parent}/agent-a1")
    assert agent.info.spawned_by == session_of(store, f"qwen:{parent}").id
    assert [message.meta for message in agent.history()] == [False, True]


# --- what is odd ---------------------------------------------------------------------------


KEYS = ["id", "type", "content", "parts", "text", "toolCalls", "result", "tokens", "input", "name"]
KEYS += ["thoughts", "timestamp", "$set", "messages", "$rewindTo", "functionCall", "history", "ts"]
KEYS += ["functionResponse", "response", "args", "message", "uuid", "parentUuid", "sessionId"]
KEYS += ["subtype", "systemPayload", "compressedHistory", "info", "usageMetadata", "projectHash"]
KEYS += ["directories", "summary", "role"]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "user", "gemini", "c"]),
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


@given(value=VALUES)
@settings(max_examples=200, deadline=None)
def test_an_odd_record_reads_as_unknown_and_never_fails(value: Any) -> None:
    for form in (*gemini_cli.formats, *qwen.formats):
        assert shapes.decode(form, value).role in ("system", "user", "assistant", "tool")


@given(value=VALUES)
@settings(max_examples=200, deadline=None)
def test_no_object_stops_the_reader(value: Any) -> None:
    data = msgspec.json.encode(
        {"id": "a", "type": "user"} | (value if isinstance(value, dict) else {})
    )
    for agent in AGENTS:
        for name in ("x.jsonl", "x.json"):
            records = read_bytes(data, agent, name)
            assert (records[0].start, records[0].length) == (0, len(data))


def test_results_keep_what_was_shown_and_what_failed() -> None:
    calls = [
        call("a", None, resultDisplay="only shown"),
        call("b", None, result="plain words"),
        call("c", "broken", status="error"),
        call("d", None, resultDisplay={"fileDiff": "x"}),
        call("f", None, result=[*call("e", "e's")["result"], *call("f", "f's")["result"]]),
    ]
    data = lines([said("m", "", "gemini", toolCalls=calls)])
    _answer, results = read_bytes(data)
    parts = decode(data, results).parts
    assert [(r.call_id, r.text, r.is_error) for r in parts if isinstance(r, ToolResult)] == [
        ("a", "only shown", False),
        ("b", "plain words", False),
        ("c", "broken", True),
        ("f", "f's", False),
    ]


# --- where they are ------------------------------------------------------------------------


def test_roots_follow_the_environment(tmp_path: Path) -> None:
    assert gemini_cli.roots(tmp_path, {}) == qwen.roots(tmp_path, {}) == []
    (tmp_path / ".gemini" / "tmp").mkdir(parents=True)
    (tmp_path / ".qwen" / "projects").mkdir(parents=True)
    assert gemini_cli.roots(tmp_path, {}) == [tmp_path / ".gemini" / "tmp"]
    assert gemini_cli.roots(Path("/x"), {"GEMINI_CLI_HOME": str(tmp_path)}) == [
        tmp_path / ".gemini" / "tmp"
    ]
    assert qwen.roots(tmp_path, {}) == [tmp_path / ".qwen" / "projects"]
    assert qwen.roots(tmp_path, {"QWEN_HOME": str(tmp_path / "none")}) == []
    runtime = {"QWEN_RUNTIME_DIR": str(tmp_path / ".qwen"), "QWEN_HOME": "/none"}
    assert qwen.roots(tmp_path, runtime) == [tmp_path / ".qwen" / "projects"]


def test_a_project_is_found_by_its_file_its_slug_its_hash_or_the_context(tmp_path: Path) -> None:
    home = tmp_path / ".gemini"
    hashed = hashlib.sha256(b"/srv/two").hexdigest()
    for folder in ("one", hashed, "three", "four"):
        write(home / "tmp" / folder / "chats" / "session-a.jsonl", [header(), said("u", "hi")])
    (home / "projects.json").write_text('{"projects": {"/srv/two": "x", "/srv/three": "three"}}')
    (home / "tmp" / "one" / ".project_root").write_text("/srv/one\n")
    found = [
        gemini_cli.open(home / "tmp" / folder / "chats" / "session-a.jsonl").origin.project
        for folder in ("one", hashed, "three", "four")
    ]
    assert found == ["/srv/one", "/srv/two", "/srv/three", None]
    words = "<session_context>\n- **Workspace Directories:**\n  - /srv/four\n</session_context>"
    reader = gemini_cli.open(Path("x.jsonl"))
    reader.feed(lines([header(), {"$set": {"messages": [said("c", words)]}}]), 0)
    assert reader.origin.project == "/srv/four"


def test_each_agent_knows_its_own_files() -> None:
    for agent, path in CASES:
        assert [m.identify(path) for m in AGENTS.values()] == [m == agent for m in AGENTS]
        assert not claude_code.identify(path)
    assert not gemini_cli.identify(GOLDEN["gemini-cli"] / "projects.json")
    assert not qwen.identify(HERE / "golden" / "claude_code" / "none.jsonl")


# --- shared fixtures -----------------------------------------------------------------------


def _fold_of(path: Path) -> Fold:
    fold = Fold()
    whole = path.read_text(encoding="utf-8")
    for text in [whole] if path.suffix == ".json" else whole.splitlines():
        record = json.loads(text)
        if "history" in record:
            rows = [{**m, "id": str(n), "type": m["role"]} for n, m in enumerate(record["history"])]
            record = {"messages": rows}
        fold.take(record)
    return fold


def test_the_shared_fixtures_of_gemini_read_as_an_independent_reader_reads_them(
    tmp_path: Path,
) -> None:
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: their facts cannot be compared")
    expected = json.loads((FIXTURES / "EXPECTED.json").read_text())
    assert not [n for n in expected if n.startswith(("gemini-cli/", "qwen/"))], "compare them"
    paths = list(gemini_cli.discover(FIXTURES / "gemini-cli"))
    assert len(paths) > 15
    for path in paths:
        with clew.open(MEMORY, search=False, project="all") as ledger:
            report = ledger.import_from(path)
            assert report.added == report.records > 0
            (info,) = ledger.sessions()
            assert ledger.source_bytes(info.id) == {str(path): path.read_bytes()}
            session = ledger.get(info.id)
            assert [w for w in texts(session.history()) if w] == _fold_of(path).words(), path
            assert used(ledger) == _fold_of(path).used()
            for provider in PROVIDERS:
                assert rules.check(provider, session.view(provider).request) == [], path
            assert ledger.import_from(path).unchanged == 1
            assert ledger.verify().ok


def test_the_shared_fixtures_of_qwen_are_read_whole(store: clew.Ledger) -> None:
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: their facts cannot be compared")
    report = store.import_from(FIXTURES / "qwen")
    assert report.files == report.sessions_new == 6
    assert report.notes == []
    for info in store.sessions(limit=100):
        session = store.get(info.id)
        ((path, held),) = store.source_bytes(info.id).items()
        assert held == Path(path).read_bytes()
        objects = held.count(b'{"uuid"')
        assert len(session.entries()) == objects, path
        for provider in PROVIDERS:
            assert rules.check(provider, session.view(provider).request) == [], path
    branch = session_of(store, "qwen:019f0000-0000-7000-8000-000000000004")
    assert texts(branch.history()) == [
        *("Begin the active-chain fixture.", "Continue from the rewound branch."),
        "Active branch answer.",
    ]
    assert branch.info.title == "Active branch title"
    assert used(store) == (16, 1)
    again = store.import_from(FIXTURES / "qwen")
    assert (again.unchanged, again.added) == (6, 0)


def test_no_other_fixture_is_taken_for_gemini_or_qwen() -> None:
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: what belongs to others cannot be looked at")
    for agent, importer in AGENTS.items():
        found = {path.relative_to(FIXTURES).parts[0] for path in importer.discover(FIXTURES)}
        assert found == {agent}
        assert list(claude_code.discover(FIXTURES / agent)) == []
