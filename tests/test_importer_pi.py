"""Reading pi's and OpenClaw's histories: trees, versions, damage, growth, forks, copies."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew import importers, rules, shapes
from clew.canonical import parse
from clew.importers import droid, openclaw, pi
from clew.importers.pi_records import decode
from clew.model import Image, Kind, Origin, Reason, Record, Text, Thinking, ToolResult, Unknown
from importer_kit import ImporterPromises

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "pi"
FIXTURES = HERE.parent.parent / "shared" / "fixtures"
INPUTS = sorted(GOLDEN.glob("*.jsonl"))
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")
MEMORY = "sqlite:///:memory:"

KEYS = ["type", "message", "content", "id", "parentId", "timestamp", "usage", "role", "summary"]
KEYS += ["version", "cwd", "firstKeptEntryId", "firstKeptEntryIndex", "name", "cost", "total"]

importers.register_decoders()


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with clew.open(MEMORY, search=False) as ledger:
        yield ledger
        report = ledger.verify()
        assert report.ok, report.problems


# --- histories to read ---------------------------------------------------------------------


def read(path: Path) -> tuple[list[Record], Origin, int]:
    reader = pi.open(path)
    records = reader.feed(path.read_bytes(), 0, last=True)
    return records, reader.origin, reader.consumed


def read_bytes(data: bytes) -> list[Record]:
    return pi.open(Path("nowhere.jsonl")).feed(data, 0, last=True)


def body(data: bytes, record: Record) -> bytes:
    return data[record.start : record.start + record.length]


def stamp(number: int) -> str:
    return f"2026-04-01T10:{number // 60:02d}:{number % 60:02d}.000Z"


def header(session: str = "s", number: int = 0, **more: Any) -> dict[str, Any]:
    head = {"type": "session", "version": 3, "id": session, "timestamp": stamp(number)}
    return {**head, "cwd": "/srv/orchard", **more}


def said(
    id: str, parent: str | None, number: int, text: str, role: str = "user", **more: Any
) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    entry = {"type": "message", "id": id, "parentId": parent, "timestamp": stamp(number)}
    return {**entry, "message": {"role": role, "content": content, **more}}


def chat(*ids: str) -> list[dict[str, Any]]:
    """Messages that follow one another; every second one is the model's."""
    usage = {"input": 7, "output": 3, "cacheRead": 0, "cacheWrite": 0, "cost": {"total": 0.5}}
    found: list[dict[str, Any]] = []
    for number, id in enumerate(ids):
        parent = ids[number - 1] if number else None
        more = {"model": "m", "provider": "p", "usage": usage} if number % 2 else {}
        role = "assistant" if number % 2 else "user"
        found.append(said(id, parent, number + 1, f"says {id}", role, **more))
    return found


def lines(records: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def write(file: Path, records: Sequence[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(lines(records))
    return file


def session_of(ledger: clew.Ledger, name: str) -> clew.Session:
    found = [i for i in ledger.sessions(spawned=True, limit=1000) if i.imported_from == name]
    assert len(found) == 1, f"{len(found)} sessions of {name}"
    return ledger.get(found[0].id)


def texts(messages: Sequence[clew.Message]) -> list[str]:
    return [message.text for message in messages]


# --- golden files --------------------------------------------------------------------------


class TestPromises(ImporterPromises):
    importer = pi
    files = INPUTS
    wreck = (lines([said("a1", None, 1, "x")])[:-1], lines([said("a2", "a1", 2, "y")]))


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_the_golden_files_on_both_databases(ledger: clew.Ledger) -> None:
    report = ledger.import_from(GOLDEN, importer="pi")
    assert report.sessions_new == report.files == len(INPUTS)
    for info in ledger.sessions():
        ((path, held),) = ledger.source_bytes(info.id).items()
        assert held == Path(path).read_bytes()
        for provider in PROVIDERS:
            assert rules.check(provider, ledger.get(info.id).view(provider).request) == [], path
    again = ledger.import_from(GOLDEN)
    assert (again.unchanged, again.added) == (report.files, 0)
    found = ledger.search('"One and two were said"')
    assert [hit.kind for hit in found.hits] == ["system"], "a summary can be searched for"


# --- the tree ------------------------------------------------------------------------------


def test_a_branch_is_a_moved_head_and_the_last_entry_is_where_the_session_stands(
    store: clew.Ledger,
) -> None:
    store.import_from(GOLDEN / "tree.jsonl")
    (info,) = store.sessions()
    session = store.get(info.id)
    assert info.title == "The orchard"
    told = texts(session.history())
    assert "Fell them all" not in told, "that branch was left"
    assert told[0] == "Count the apple trees in plan.md 🌳"
    assert told[4] == "Two apple trees."
    assert told[5].endswith("It was asked to fell the trees, and stopped.")
    assert told[6:] == ["It rains.", told[7], "Then water them", "Watered."]
    assert "ls" in told[7]
    assert "plan.md" in told[7]
    assert "code 2" in told[7]
    assert not any("env" in each for each in told), "`!!` is not for the model"
    (move,) = session.moves()
    assert (move.action, move.from_ != move.to) == ("rewind", True)
    assert any(b"Fell them all" in (entry.body or b"") for entry in session.entries())
    (label,) = session.checkpoints()
    assert (label.label, label.reason) == ("counted", "label")
    assert texts(session.branch(label).history())[-1] == "Two apple trees."


def test_a_new_root_leaves_all_that_was_said_before(store: clew.Ledger) -> None:
    store.import_from(GOLDEN / "root.jsonl")
    (info,) = store.sessions()
    session = store.get(info.id)
    assert texts(session.history()) == ["first try", "first answer", "first try, again"]
    back, anew = session.moves()
    assert anew.to is None
    assert back.from_ is not None
    assert texts(session.branch(back.from_).history()) == ["second try", "second answer"]


def test_a_compaction_keeps_what_it_names_and_its_summary_leads(store: clew.Ledger) -> None:
    store.import_from(GOLDEN / "compaction.jsonl")
    (info,) = store.sessions()
    session = store.get(info.id)
    newest, second, first = session.checkpoints()
    assert [made.tokens_before for made in (first, second, newest)] == [900, 1200, 1300]
    assert first.summary == "One was said."
    assert texts(session.history())[:3] == ["say one", "one", "say two"]
    assert texts(session.context()) == ["All was said.", "four"], "what it kept is not there"
    assert second.post is not None
    assert first.post is not None
    early = session.branch(first.post).context()
    assert texts(early) == ["One was said.", "say two", "two"]
    assert early[0].summary
    assert texts(session.branch(second.post).context()) == [
        *("One and two were said.", "say three", "three")
    ]
    assert texts(session.branch(first).context()) == ["say one", "one", "say two", "two"]
    assert store.usage()[0].calls == 5, "a summary is a call too"


def test_an_old_file_reads_in_its_order_and_keeps_by_number(store: clew.Ledger) -> None:
    store.import_from(GOLDEN / "linear.jsonl")
    (info,) = store.sessions()
    session = store.get(info.id)
    assert texts(session.context()) == ["One was asked.", "old two", "answer two"]
    assert len(session.history()) == 5
    assert session.moves() == []


def migrated(old: bytes) -> list[dict[str, Any]]:
    """An old file as pi writes it anew when it is opened."""
    records = [json.loads(line) for line in old.splitlines()]
    records[0]["version"] = 3
    for number, record in enumerate(records[1:], 1):
        record["id"] = f"e000000{number}"
        record["parentId"] = f"e000000{number - 1}" if number > 1 else None
        if "firstKeptEntryIndex" in record:
            record["firstKeptEntryId"] = f"e000000{record.pop('firstKeptEntryIndex')}"
        if record.get("message", {}).get("role") == "hookMessage":
            record["message"]["role"] = "custom"
    return records


def test_an_old_file_that_pi_wrote_anew_doubles_nothing(store: clew.Ledger, tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    file.write_bytes((GOLDEN / "linear.jsonl").read_bytes())
    store.import_from(file)
    (info,) = store.sessions()
    session = store.get(info.id)
    before, cost = texts(session.history()), store.usage()
    records = migrated(file.read_bytes())
    write(file, [*records, said("e0000008", "e0000007", 30, "new")])
    report = store.import_from(file)
    assert texts(session.history()) == [*before, "new"]
    assert report.added == 2, "the new entry, and the header with its version"
    assert store.usage() == cost
    write(file, [*records, said("e0000008", "e0000007", 30, "new"), said("f", "e0000002", 31, "b")])
    store.import_from(file)
    assert texts(session.history()) == ["old one", "answer one", "b"]


def test_parents_that_lead_nowhere_leave_the_order_of_the_file(store: clew.Ledger) -> None:
    report = store.import_from(GOLDEN / "damage.jsonl")
    (info,) = store.sessions()
    told = texts(store.get(info.id).history())
    for words in ("its own parent", "a cycle, one", "a repeated id", "no time", "no end"):
        assert words in told
    noted = Counter(note.text.split(" (")[0] for note in report.notes)
    assert noted["what it follows is not in the file before it: read in the file's order"] == 3
    assert noted["a message of 'oracle', who is not known"] == 1
    assert noted["a record of type 'from_the_future', which is not known"] == 1
    for provider in PROVIDERS:
        assert rules.check(provider, store.get(info.id).view(provider).request) == []


# --- forks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["original first", "fork first"])
def test_a_fork_shares_what_it_copied(store: clew.Ledger, order: str, tmp_path: Path) -> None:
    original = [header("origin"), *chat("a1", "a2", "a3", "a4")]
    own = said("b1", "a2", 40, "says b1")
    fork = [header("fork", 30, parentSession="/x/origin.jsonl"), *original[1:3], own]
    files = [write(tmp_path / "1_origin.jsonl", original), write(tmp_path / "2_fork.jsonl", fork)]
    for file in files if order == "original first" else files[::-1]:
        store.import_from(file)
    assert texts(session_of(store, "pi:origin").history()) == [f"says a{n}" for n in range(1, 5)]
    assert texts(session_of(store, "pi:fork").history()) == ["says a1", "says a2", "says b1"]
    assert sum(info.forked_from is not None for info in store.sessions()) == 1
    (row,) = store.usage()
    assert (row.calls, row.cost) == (2, 1.0), "an answer that was copied was paid once"
    for file in files:
        name = f"pi:{file.stem[2:]}"
        assert store.source_bytes(session_of(store, name).id) == {str(file): file.read_bytes()}


def test_a_fork_of_a_whole_tree_goes_on_from_any_branch_of_it(
    store: clew.Ledger, tmp_path: Path
) -> None:
    tree = [*chat("a1", "a2", "a3"), said("b1", "a2", 20, "says b1")]
    write(tmp_path / "1.jsonl", [header("origin"), *tree])
    own = said("c1", "a3", 41, "says c1")
    write(tmp_path / "2.jsonl", [header("fork", 40, parentSession="/x/1.jsonl"), *tree, own])
    store.import_from(tmp_path)
    assert texts(session_of(store, "pi:fork").history()) == [
        *("says a1", "says a2", "says a3", "says c1")
    ]
    assert texts(session_of(store, "pi:origin").history()) == ["says a1", "says a2", "says b1"]


def test_a_branch_that_lost_its_labels_reads_in_its_order(
    store: clew.Ledger, tmp_path: Path
) -> None:
    """pi leaves labels out of a path that it takes into a file of its own, and what followed
    them still names them; the file's order is that path.
    """
    taken = [*chat("a1", "a2"), said("a3", "label", 3, "says a3")]
    write(tmp_path / "s.jsonl", [header(parentSession="/x/gone.jsonl"), *taken])
    (note,) = store.import_from(tmp_path).notes
    assert "file's order" in note.text
    (info,) = store.sessions()
    assert texts(store.get(info.id).history()) == ["says a1", "says a2", "says a3"]


def test_a_copy_behind_a_record_of_its_own_costs_nothing_again(
    store: clew.Ledger, tmp_path: Path
) -> None:
    copied = chat("a1", "a2", "a3", "a4")
    write(tmp_path / "1.jsonl", [header("origin"), *copied])
    own = said("b1", None, 60, "put before")
    write(
        tmp_path / "2.jsonl",
        [header("other", 59), own, copied[0] | {"parentId": "b1"}, *copied[1:]],
    )
    store.import_from(tmp_path)
    assert len(session_of(store, "pi:other").history()) == 5
    (row,) = store.usage()
    assert (row.calls, row.cost) == (2, 1.0)


@pytest.mark.parametrize(
    "damage",
    [
        lines(chat("a1", "a2")[1:]).replace(b"says a2", b"says \xff"),
        lines(chat("a1", "a2")[1:]).replace(b'"total":0.5', b'"total":NaN'),
    ],
)
def test_a_damaged_answer_is_kept_with_what_it_used(
    store: clew.Ledger, tmp_path: Path, damage: bytes
) -> None:
    file = tmp_path / "s.jsonl"
    file.write_bytes(lines([header(), *chat("a1")]) + damage + lines([said("a3", "a2", 9, "on")]))
    store.import_from(file)
    (info,) = store.sessions()
    session = store.get(info.id)
    assert texts(session.history()) == ["says a1", "on"]
    assert store.source_bytes(info.id) == {str(file): file.read_bytes()}
    assert [entry.format for entry in session.entries()] == ["pi", "pi", "raw", "pi"]
    (row,) = store.usage()
    assert (row.calls, row.input, row.output) == (1, 7, 3)


def test_equal_ids_in_two_files_are_no_copies(store: clew.Ledger, tmp_path: Path) -> None:
    """Eight digits are drawn, so in many files some are drawn twice."""
    write(tmp_path / "1.jsonl", [header("one"), *chat("a1", "a2")])
    other = [said("a1", None, 50, "other"), said("b1", "a1", 51, "more")]
    write(tmp_path / "2.jsonl", [header("two", 49), *other, said("b2", "a1", 52, "again")])
    store.import_from(tmp_path)
    assert texts(session_of(store, "pi:two").history()) == ["other", "again"]
    assert texts(session_of(store, "pi:one").history()) == ["says a1", "says a2"]
    assert all(info.forked_from is None for info in store.sessions())


# --- what records say ----------------------------------------------------------------------


def test_signed_thinking_goes_back_only_where_the_notation_is_the_providers() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "thinkingSignature": "sig"}

    def answer(api: str, **more: Any) -> clew.Message:
        entry = said("a1", None, 1, "", "assistant", api=api)
        entry["message"]["content"] = [thinking | more]
        return decode(entry)

    assert answer("anthropic-messages").parts == (Thinking("hm", signature="sig"),)
    assert answer("anthropic-messages").format == "anthropic"
    assert answer("anthropic-messages", redacted=True).parts == (Thinking(data="sig"),)
    assert answer("openai-completions").parts == (Thinking("hm"),)
    assert answer("openai-completions").format is None


def test_an_answer_that_no_model_gave_used_nothing() -> None:
    usage = {"input": 1, "output": 1}
    for model, used in (("delivery-mirror", False), ("gateway-injected", False), ("m", True)):
        (record,) = read_bytes(
            lines([said("a", None, 1, "x", "assistant", model=model, usage=usage)])
        )
        assert (record.usage is not None) is used


def test_counts_that_are_all_zero_are_no_call(store: clew.Ledger, tmp_path: Path) -> None:
    """pi's format asks for them in every answer: one that was written elsewhere has none."""
    none = dict.fromkeys(("input", "output", "cacheRead", "cacheWrite", "totalTokens"), 0)
    usage = {**none, "cost": {**none, "total": 0}}
    answer = said("a2", "a1", 2, "says a2", "assistant", model="m-2", provider="p", usage=usage)
    store.import_from(write(tmp_path / "s.jsonl", [header(), *chat("a1"), answer]))
    assert store.usage() == []
    (info,) = store.sessions()
    assert store.get(info.id).history()[1].usage is None
    reader = pi.open(tmp_path / "s.jsonl")
    reader.feed((tmp_path / "s.jsonl").read_bytes(), 0, last=True)
    assert reader.origin.model == "m-2", "which model spoke is known all the same"
    free = {**usage, "input": 4}
    (record,) = read_bytes(lines([said("b", None, 1, "x", "assistant", usage=free)]))
    assert record.usage is not None
    assert (record.usage.input, record.usage.cost) == (4, 0.0)


def test_what_is_used_beside_messages_is_counted_whatever_its_type(
    store: clew.Ledger, tmp_path: Path
) -> None:
    usage = {"input": 5, "output": 2, "cacheRead": 1, "cacheWrite": 0, "cost": {"total": 0.25}}
    warm = {"type": "warming", "id": "w1", "parentId": "a1", "timestamp": stamp(9), "usage": usage}
    store.import_from(write(tmp_path / "s.jsonl", [header(), *chat("a1"), warm]))
    (row,) = store.usage()
    assert (row.calls, row.input, row.cost) == (1, 5, 0.25)


def test_results_carry_pictures_and_details_stay_in_the_record() -> None:
    tree = (GOLDEN / "tree.jsonl").read_bytes().splitlines()
    result = decode(json.loads(tree[6])).parts[0]
    assert isinstance(result, ToolResult)
    assert [type(part) for part in result.parts] == [Text, Image]
    assert decode(json.loads(tree[5])).parts[0].name == "read"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        "text",
        {},
        {"type": []},
        {"type": "message", "message": None},
        {"type": "message", "timestamp": "yesterday", "message": {"role": "user", "content": {}}},
        {"type": "message", "message": {"role": "assistant", "content": [1, None, {}]}},
        {"type": "message", "message": {"role": "toolResult", "content": "x"}},
        {"type": "message", "message": {"role": "branchSummary"}},
        {"type": "compaction", "summary": 3, "firstKeptEntryId": [], "tokensBefore": "many"},
        {"type": "custom_message", "content": [None]},
        {"type": "branch_summary"},
    ],
)
def test_an_odd_record_reads_as_unknown_and_never_fails(value: Any) -> None:
    message = shapes.decode("pi", value)
    assert message.parts
    assert all(isinstance(part, Unknown) for part in message.parts)
    read_bytes(msgspec.json.encode(value) + b"\n")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(KEYS) | st.text(max_size=3),
                inner
                | st.sampled_from(["message", "session", "compaction", "user", "assistant"])
                | st.sampled_from(["toolResult", "bashExecution", "hookMessage", stamp(1)]),
                max_size=6,
            )
        ),
        max_leaves=30,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_object_stops_the_reader(value: Any) -> None:
    data = msgspec.json.encode(value) + b"\n"
    for record in read_bytes(data):
        if record.format == "pi":
            assert decode(parse(body(data, record))).parts


# --- where pi's files are ------------------------------------------------------------------


def test_pis_roots_follow_the_environment(tmp_path: Path) -> None:
    for folder in (".pi/agent/sessions", ".omp/agent/sessions", "else/sessions", "mine"):
        (tmp_path / folder).mkdir(parents=True)
    old, fork = tmp_path / ".pi/agent/sessions", tmp_path / ".omp/agent/sessions"
    assert pi.roots(tmp_path, {}) == [old, fork]
    told = {"PI_CODING_AGENT_DIR": f"{tmp_path}/else"}
    assert pi.roots(tmp_path, told) == [tmp_path / "else/sessions", fork]
    told = {"PI_CODING_AGENT_SESSION_DIR": f"{tmp_path}/mine"}
    assert pi.roots(tmp_path, told) == [tmp_path / "mine", old, fork]
    assert pi.roots(tmp_path / "nobody", {}) == []


@pytest.mark.parametrize(
    ("name", "content", "whose"),
    [
        ("a.jsonl", lines([header()]), pi),
        ("a.json", lines([header()]), None),
        ("a.jsonl", b"", None),
        ("a.jsonl", lines([said("a", "b", 1, "its header is lost")]), pi),
        ("a.jsonl", b'{"type":"session","version":0,"id":"x","createdAt":1,"cwd":"/"}', None),
        ("a.jsonl", b'{"type":"session_start","id":"x","cwd":"/"}\n' + lines(chat("a")), droid),
        ("a.jsonl", lines([header(cwd="/home/me/.openclaw/workspace")]), openclaw),
        ("a.jsonl", lines([header(cwd="/home/me/src/openclaw")]), pi),
        ("sessions/a.jsonl", lines([header()]), pi),
        ("agents/main/sessions/a.jsonl", lines([header()]), openclaw),
        ("agents/main/sessions/a.jsonl.deleted.2026-01-01T00-00-00.000Z", b"words", None),
        (
            "agents/main/sessions/a.jsonl.deleted.2026-01-01T00-00-00.000Z",
            lines([header()]),
            openclaw,
        ),
        ("agents/main/sessions/a.trajectory.jsonl", lines([header()]), None),
        ("agents/main/sessions/a.jsonl.lock", lines([header()]), None),
    ],
)
def test_identify_looks_at_the_name_and_the_first_records(
    tmp_path: Path, name: str, content: bytes, whose: Any
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert importers.identify(path) is whose


def test_originals_come_before_forks(tmp_path: Path) -> None:
    write(tmp_path / "z.jsonl", [header("one", 1)])
    write(tmp_path / "deep" / "a.jsonl", [header("three", 3)])
    write(tmp_path / "b.jsonl", [header("two", 2)])
    write(tmp_path / "other.jsonl", [{"a": 1}])
    assert [path.name for path in pi.discover(tmp_path)] == ["z.jsonl", "b.jsonl", "a.jsonl"]


# --- OpenClaw ------------------------------------------------------------------------------

UUID = "11111111-2222-4333-8444-555555555555"


def folder_of(home: Path, rows: dict[str, Any] | None = None) -> Path:
    """A folder of OpenClaw with its store."""
    folder = home / "agents" / "main" / "sessions"
    folder.mkdir(parents=True)
    if rows is not None:
        (folder / "sessions.json").write_text(json.dumps(rows, indent=2))
    return folder


def compacted(parent: str = "a2") -> list[dict[str, Any]]:
    entry: dict[str, Any] = {"type": "compaction", "id": "c1", "parentId": parent}
    entry["timestamp"] = stamp(20)
    entry |= {"summary": "so far", "firstKeptEntryId": "a2", "tokensBefore": 500}
    return [entry, said("a9", "c1", 21, "says a9")]


def test_openclaws_roots_follow_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".openclaw" / "agents").mkdir(parents=True)
    (tmp_path / ".clawdbot").symlink_to(tmp_path / ".openclaw")
    (tmp_path / "state" / "agents").mkdir(parents=True)
    assert openclaw.roots(tmp_path, {}) == [tmp_path / ".openclaw" / "agents"]
    told = {"OPENCLAW_STATE_DIR": str(tmp_path / "state")}
    assert openclaw.roots(tmp_path, told) == [tmp_path / "state" / "agents"]
    assert openclaw.roots(tmp_path / "nobody", {}) == []


def test_the_store_gives_titles_addresses_spawners_and_models(
    store: clew.Ledger, tmp_path: Path
) -> None:
    rows = {
        "agent:main:telegram:group:-7": {"sessionId": "s1", "displayName": "The gardeners"},
        "agent:main:main": {"sessionId": "s2", "model": "claude-x", "authProfileOverride": "key"},
        "agent:main:subagent:x": {"sessionId": "s3", "spawnedBy": "agent:main:main"},
        "agent:main:subagent:y": {"sessionId": "s4", "spawnedBy": "agent:main:gone"},
        "odd": 7,
    }
    folder = folder_of(tmp_path, rows)
    for number in range(1, 5):
        ids = [f"{number}a", f"{number}b"]
        write(folder / f"s{number}.jsonl", [header(f"s{number}", number), *chat(*ids)])
    silent = [header("s5"), {"type": "custom", "customType": "x", "id": "q", "timestamp": stamp(1)}]
    write(folder / "s5.jsonl", silent)
    rows["agent:main:cron:z"] = {"sessionId": "s5"}
    (folder / "sessions.json").write_text(json.dumps(rows))
    store.import_from(tmp_path)
    titles = {i.imported_from: i.title for i in store.sessions(spawned=True)}
    assert titles["openclaw:s1"] == "The gardeners"
    assert titles["openclaw:s2"] == "says 2a"
    assert titles["openclaw:s5"] == "agent:main:cron:z", "nothing else names it"
    assert openclaw.open(folder / "s2.jsonl").origin.model == "claude-x"
    spawner = session_of(store, "openclaw:s2").id
    assert session_of(store, "openclaw:s3").info.spawned_by == spawner
    assert session_of(store, "openclaw:s4").info.spawned_by == "unknown"
    held = b"".join(
        b for i in store.sessions(spawned=True) for b in store.source_bytes(i.id).values()
    )
    assert b"authProfileOverride" not in held


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": {"sessionId": 7}}', b"\xff"])
def test_a_store_that_cannot_be_read_costs_nothing(
    store: clew.Ledger, tmp_path: Path, content: bytes
) -> None:
    folder = folder_of(tmp_path)
    (folder / "sessions.json").write_bytes(content)
    write(folder / "s.jsonl", [header("s"), *chat("a1", "a2")])
    assert store.import_from(tmp_path).added == 3


def test_a_copy_made_before_a_compaction_is_a_checkpoint_and_not_read(
    store: clew.Ledger, tmp_path: Path
) -> None:
    made: dict[str, Any] = {"checkpointId": UUID, "reason": "overflow-retry", "tokensAfter": 90}
    made["preCompaction"] = {"sessionId": "s", "leafId": "a2"}
    made["postCompaction"] = {"sessionId": "s", "entryId": "c1"}
    row = {"sessionId": "s", "compactionCheckpoints": [None, {"reason": "odd"}, made]}
    folder = folder_of(tmp_path, {"agent:main:main": row})
    begin = [header("s"), *chat("a1", "a2")]
    write(folder / "s.jsonl", [*begin, *compacted()])
    write(folder / f"s.checkpoint.{UUID}.jsonl", begin)
    write(folder / "s.jsonl.bak.2026-04-01T11-00-00.000Z", begin[:2])
    report = store.import_from(tmp_path)
    assert (report.files, report.sessions_new, report.known) == (1, 1, 0)
    assert [(Path(note.path).name, note.text) for note in report.notes] == [
        (f"s.checkpoint.{UUID}.jsonl", "left alone: s.jsonl begins with all of it"),
        ("s.jsonl.bak.2026-04-01T11-00-00.000Z", "left alone: s.jsonl begins with all of it"),
    ]
    session = session_of(store, "openclaw:s")
    (checkpoint,) = session.checkpoints()
    assert (checkpoint.reason, checkpoint.tokens_after) == (str(Reason.OVERFLOW), 90)
    assert texts(session.branch(checkpoint).history()) == ["says a1", "says a2"]
    assert texts(session.context()) == ["so far", "says a2", "says a9"]
    assert list(store.source_bytes(session.id)) == [str(folder / "s.jsonl")]


def test_a_copy_is_told_of_once(store: clew.Ledger, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    records = [header("s"), *chat("a1", "a2", "a3", "a4")]
    moment = 1_700_000_000

    def put(name: str, count: int, later: int) -> None:
        os.utime(write(folder / name, records[:count]), (moment + later, moment + later))

    put(f"s.checkpoint.{UUID}.jsonl", 2, 0)
    put("s.jsonl", 3, 1)
    assert len(store.import_from(tmp_path).notes) == 1
    assert store.import_from(tmp_path).notes == [], "nothing changed"
    put("s.jsonl", 4, 2)
    assert store.import_from(tmp_path).notes == [], "it was told"
    put(f"s.checkpoint.{UUID[::-1]}.jsonl", 3, 3)
    put("s.jsonl", 5, 4)
    (note,) = store.import_from(tmp_path).notes
    assert UUID[::-1] in note.path, "another one"


def test_a_copy_that_holds_what_the_file_lost_is_read_before_it(
    store: clew.Ledger, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, {})
    begin = [header("s"), *chat("a1", "a2", "a3")]
    write(folder / f"s.checkpoint.{UUID}.jsonl", begin)
    write(folder / f"s.checkpoint.{UUID[::-1]}.jsonl", begin[:3])
    write(
        folder / "s.jsonl", [*begin[2:], said("a4", "a3", 30, "says a4")]
    )  # cut, as `compact` did
    report = store.import_from(tmp_path)
    assert (report.files, report.sessions_new) == (2, 1)
    session = session_of(store, "openclaw:s")
    assert texts(session.history()) == [f"says a{n}" for n in range(1, 5)]
    assert store.import_from(tmp_path).added == 0
    (row,) = store.usage()
    assert row.calls == 1


def test_what_was_reset_or_deleted_is_read_by_its_suffix_packed_or_not(
    store: clew.Ledger, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, {})
    write(folder / "one.jsonl.reset.2026-04-02T00-00-00.000Z", [header("one"), *chat("a1")])
    packed = folder / "two.jsonl.deleted.2026-04-02T00-00-00.000Z.zst"
    plain = lines([header("two", 1), *chat("b1")])
    packed.write_bytes(zstandard.compress(plain))
    write(folder / "now-topic-5.jsonl", [header("now", 2), *chat("c1")])
    store.import_from(tmp_path)
    names = {info.imported_from for info in store.sessions()}
    assert names == {"openclaw:one", "openclaw:two", "openclaw:now-topic-5"}
    ((_, held),) = store.source_bytes(session_of(store, "openclaw:two").id).items()
    assert held == plain
    assert store.import_from(tmp_path).added == 0


def test_a_session_file_under_another_name_is_the_session_of_its_header(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {})
    for name in ("2026-04-01T10-00-00-000Z_s.jsonl", "s.jsonl"):
        write(folder / name, [header("s")])
        assert openclaw.open(folder / name).origin.native_id == "s"
    write(folder / "lost.jsonl", chat("a1"))
    assert openclaw.open(folder / "lost.jsonl").origin.native_id == "lost"


# --- an independent reader's facts ---------------------------------------------------------


def facts(session: clew.Session) -> dict[str, Any]:
    """What the ledger says that a file held, as the other reader counts it."""
    types: Counter[str] = Counter()
    calls, results, bad, version = 0, 0, 0, None
    for entry in session.entries():
        if entry.format == "raw":
            bad += 1
            continue
        value = parse(entry.body or b"")
        types[value["type"]] += 1
        version = value.get("version") if value["type"] == "session" else version
        if entry.kind is Kind.MESSAGE:
            message = shapes.decode(entry.format, value)
            calls += len(message.tool_calls)
            results += len(message.tool_results)
    counted = {"tool_calls": calls, "tool_results": results, "version": version}
    return {"bad_lines": bad, "records": sum(types.values()), "types": dict(types), **counted}


@pytest.mark.parametrize("agent", ["pi", "openclaw"])
def test_the_shared_fixtures_are_read_whole(store: clew.Ledger, agent: str) -> None:
    table = FIXTURES / "EXPECTED.json"
    if not table.exists():
        pytest.skip("the shared fixtures are not here: their facts cannot be compared")
    expected = {
        str(FIXTURES / name): row
        for name, row in json.loads(table.read_text()).items()
        if name.startswith(f"{agent}/")
    }
    report = store.import_from(FIXTURES / agent)
    assert report.files == report.sessions_new == len(expected) > 3
    assert report.added == report.records
    for info in store.sessions(spawned=True, limit=100):
        assert info.agent == agent
        session = store.get(info.id)
        ((path, held),) = store.source_bytes(info.id).items()
        assert held == Path(path).read_bytes()
        assert facts(session) == expected.pop(path)
        for provider in PROVIDERS:
            assert rules.check(provider, session.view(provider).request) == [], path
            assert rules.check(provider, _whole_view(session, provider)) == [], path
    assert expected == {}
    again = store.import_from(FIXTURES / agent)
    assert (again.unchanged, again.added) == (report.files, 0)


def _whole_view(session: clew.Session, provider: str) -> Any:
    """The view of all that was ever said on the path, whatever was compacted."""
    from clew import tokens, view

    made = view.build(
        session.history(), provider=provider, max_tokens=None, count=tokens.count_message
    )
    return made.request


def test_no_other_fixture_is_taken_for_pis() -> None:
    if not FIXTURES.exists():
        pytest.skip("the shared fixtures are not here: what is not pi's cannot be looked at")
    found = {path.relative_to(FIXTURES).parts[0] for path in pi.discover(FIXTURES)}
    found |= {path.relative_to(FIXTURES).parts[0] for path in openclaw.discover(FIXTURES)}
    assert found == {"pi", "openclaw"}


# --- any tree ------------------------------------------------------------------------------


class Drawn:
    """A file of pi's with a drawn tree, and what pi itself would show of it."""

    def __init__(self, draws: Sequence[tuple[str, int, int]]) -> None:
        self.entries: list[dict[str, Any]] = []
        for number, (kind, parent, kept) in enumerate(draws):
            before = [entry["id"] for entry in self.entries]
            follows: str | None = before[-1] if before else None
            if before and parent >= 0:
                follows = [None, *before][parent % (len(before) + 1)]
            entry = said(f"{number:08x}", follows, number, f"words {number}")
            if kind == "assistant":
                entry["message"]["role"] = kind
            elif kind != "user":
                del entry["message"]
                entry |= {"type": kind, "summary": f"summary {number}"}
                entry |= {"targetId": before[kept % len(before)] if before else "", "label": "x"}
                entry |= {"firstKeptEntryId": before[kept % len(before)] if before else "none"}
            self.entries.append(entry)

    def path(self) -> list[dict[str, Any]]:
        """From the root to the last entry, by the parents alone."""
        by_id = {entry["id"]: entry for entry in self.entries}
        found = [self.entries[-1]]
        while (parent := found[-1]["parentId"]) is not None:
            found.append(by_id[parent])
        return found[::-1]

    def seen(self) -> list[str]:
        """What a model sees: the newest summary, what it kept, what came behind it."""
        path = self.path()
        cuts = [at for at, entry in enumerate(path) if entry["type"] == "compaction"]
        if not cuts:
            return spoken(path)
        ids = [entry["id"] for entry in path[: cuts[-1]]]
        first = path[cuts[-1]]["firstKeptEntryId"]
        kept = path[ids.index(first) : cuts[-1]] if first in ids else []
        return [path[cuts[-1]]["summary"], *spoken(kept), *spoken(path[cuts[-1] + 1 :])]


def spoken(entries: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    for entry in entries:
        if entry["type"] == "message":
            found.append(entry["message"]["content"][0]["text"])
        elif entry["type"] == "branch_summary":
            found.append(entry["summary"])
    return found


KINDS = ["user", "user", "assistant", "compaction", "branch_summary", "label", "custom"]


@given(
    draws=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(-3, 30), st.integers(0, 30)),
        min_size=1,
        max_size=25,
    ),
    cut=st.integers(1, 25),
    forked=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_tree_reads_as_pi_would_show_it(
    draws: list[tuple[str, int, int]], cut: int, forked: bool, tmp_path_factory: Any
) -> None:
    tree = Drawn(draws)
    folder: Path = tmp_path_factory.mktemp("tree")
    with clew.open(MEMORY, search=False) as ledger:
        if forked:  # the first part of it stands in another file
            write(folder / "origin.jsonl", [header("origin"), *tree.entries[:cut]])
            ledger.import_from(folder)
        file = write(folder / "s.jsonl", [header("s"), *tree.entries[:cut]])
        ledger.import_from(file)
        write(file, [header("s"), *tree.entries])
        ledger.import_from(file)
        session = session_of(ledger, "pi:s")
        told = [message.text.split(":\n\n")[-1] for message in session.history()]
        assert told == spoken(tree.path())
        seen = [message.text.split(":\n\n")[-1] for message in session.context()]
        assert seen == tree.seen()
        assert ledger.verify().ok
