"""Reading LangGraph's checkpoints: steps that repeat the state, forks, sub-graphs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import clew
from clew.importers import langgraph
from clew.importers.langgraph_packed import Unpacker, Unread
from clew.model import Entry, Image, Kind, Text, Thinking, Unknown, Usage
from importer_kit import memory_ledger
from store_kit import StorePromises, conversations, everything, made, run, statements

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "langgraph"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "langgraph" / "generated"


class TestPromises(StorePromises):
    store = langgraph
    files = sorted(GOLDEN.glob("*.sql"))


@pytest.fixture
def ledger() -> Iterator[clew.Ledger]:
    with memory_ledger() as ledger:
        yield ledger


def of(ledger: clew.Ledger, part: str) -> clew.Session:
    (info,) = [
        info
        for info in ledger.sessions(spawned=True, limit=50)
        if str(info.imported_from).startswith(f"langgraph:{part}")
    ]
    return ledger.get(info.id)


def texts(session: clew.Session) -> list[str]:
    return [message.text for message in session.context()]


def steps(session: clew.Session) -> list[dict[str, Any]]:
    return [e.data for e in session.entries() if "state" in e.data]


def writes(session: clew.Session) -> dict[str, Entry]:
    return {e.data["channel"]: e for e in session.entries() if "task_id" in (e.data or {})}


# --- the conversation ----------------------------------------------------------------------


def test_a_forked_thread_stands_where_it_went_last(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(made(GOLDEN / "steps.sql", tmp_path))
    session = of(ledger, "pond@")
    assert texts(session) == [
        *("How deep is the pond? ☂", "I measure.", "", "Two metres.", "Thank you."),
        "With pleasure.",
    ]
    assert session.info.title == "How deep is the pond? ☂"
    bodies = b"".join(e.body or b"" for e in session.entries() if e.role == "assistant")
    assert b"I do not know." in bodies, "the other branch stays"
    assert b"You are welcome." in bodies, "and what was replaced"


def test_calls_results_and_tokens_are_told(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(made(GOLDEN / "steps.sql", tmp_path))
    _asked, called, result, *_rest = of(ledger, "pond@").context()
    assert [(c.id, c.name, c.arguments) for c in called.tool_calls] == [
        ("call_1", "measure", '{"pond":"north"}'),
        ("call_2", "weigh", "{half"),
    ]
    assert (result.tool_results[0].call_id, result.tool_results[0].text) == ("call_1", "two metres")
    assert called.usage == Usage(
        key="00000000-0000-4000-8000-000000000002",
        model="model-x",
        provider="acme",
        input=30,
        output=20,
        cache_read=60,
        cache_write=10,
        reasoning=5,
    )
    (total,) = ledger.usage(by="model")
    assert (total.key, total.calls, total.input, total.output) == ("model-x", 2, 160, 26)


def test_the_other_channels_are_told_where_they_change(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(made(GOLDEN / "steps.sql", tmp_path))
    assert [step["state"] for step in steps(of(ledger, "pond@"))] == [
        {},
        {"log": []},
        {"log": ["model"], "plan": {"pond": "north"}},
        {"log": {"$added": ["tools"], "after": 1}},
        {"log": {"$added": ["model"], "after": 2}, "plan": None},
        {},
        {"log": {"$added": ["model"], "after": 3}},
        {},
        {"log": {"$added": ["model"], "after": 3}},
        {},
    ]


def test_interrupts_answers_and_errors_are_kept_beside(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(made(GOLDEN / "steps.sql", tmp_path))
    found = writes(of(ledger, "pond@"))
    assert set(found) == {"__interrupt__", "__resume__", "__error__"}, "the rest is in the steps"
    (asked,) = found["__interrupt__"].data["value"]
    assert asked["$new"] == "langgraph.types.Interrupt"
    assert asked["kwargs"] == {"value": {"approve": "measure"}, "id": "i1"}
    assert found["__error__"].data["value"] == "ValueError('dry')"
    assert found["__error__"].kind is Kind.NOTICE


def test_what_is_dropped_or_summed_up_is_a_compaction_and_not_told_again(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "shortened.db"
    seen = []
    for statement in statements(GOLDEN / "shortened.sql"):
        run(path, statement)
        if "into checkpoints" in statement:
            ledger.import_from(path)
            session = of(ledger, "0f0f0f0f")
            seen.append([("summary " if m.summary else "") + m.text for m in session.context()])
    summed = "summary Here is a summary: words."
    words = [f"word {n}" for n in range(8)]
    assert seen[:6] == [
        *(words[:1], words[:4], words[2:5], words[2:6]),
        *([summed, *words[4:6]], [summed, *words[4:7]]),
    ]
    changed = ["Here is a summary: words.", "word four", "word 5", "word 6"]
    assert seen[6:] == [changed, [*changed, "word 7"], changed], "and taken back in the end"
    entries = list(session.entries())
    assert [entry.kind for entry in entries].count(Kind.COMPACTION) == 2
    assert sum(b'"content":"word 0"' in (entry.body or b"") for entry in entries) == 1


def test_a_change_far_back_is_kept_beside_what_follows(ledger: clew.Ledger, tmp_path: Path) -> None:
    path = tmp_path / "long.db"
    _grown(path, 40)
    ledger.import_from(path)
    before = texts(of(ledger, "long@"))
    _grown(path, 41, first="another word")
    report = ledger.import_from(path)
    assert report.added == 3, "a step, its message, and the one that changed"
    assert texts(of(ledger, "long@"))[:40] == before
    bodies = [entry.body or b"" for entry in of(ledger, "long@").entries()]
    assert any(b"another word" in body for body in bodies)


def test_a_delta_channel_is_put_together_from_what_was_written(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "grows.db"
    told = statements(GOLDEN / "delta.sql")
    seen = []
    for statement in told:
        run(path, statement)
        if "into checkpoints" in statement:
            ledger.import_from(path)
            seen.append(texts(of(ledger, "delta@")))
    lines = [[0], [0, 1], [0, 2], [0, 2, 3], [2, 4]]
    assert seen == [[], *([f"line {n}" for n in step] for step in lines)]
    states = [step["state"] for step in steps(of(ledger, "delta@"))]
    assert {"seen": ["x"]} in states
    assert {"seen": {"$added": ["y"], "after": 1}} in states


def test_a_sub_graph_is_a_session_that_begins_with_what_it_was_given(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    ledger.import_from(made(GOLDEN / "nested.sql", tmp_path))
    (root,) = (i for i in ledger.sessions(spawned=True, limit=9) if not i.spawned_by)
    (gardener, helper) = sorted(
        (i for i in ledger.sessions(spawned=True, limit=9) if i.spawned_by),
        key=lambda info: str(info.imported_from),
    )
    assert (gardener.title, helper.title) == ("gardener", "helper")
    assert gardener.spawned_by == root.id
    assert helper.spawned_by == gardener.id
    assert gardener.forked_from is not None
    inner = ["Ask the gardener.", "When, he asks.", "Roses in May."]
    assert texts(ledger.get(gardener.id)) == inner
    assert texts(ledger.get(helper.id)) == inner
    (total,) = ledger.usage()
    assert (total.calls, total.input) == (1, 30), "three threads hold the answer"
    stored = [e for i in ledger.sessions(spawned=True, limit=9) for e in ledger.get(i.id).entries()]
    assert sum(e.kind is Kind.MESSAGE and e.role == "user" for e in stored) == 1


# --- what is read, and what never is -------------------------------------------------------


def test_nothing_that_a_value_names_is_called(ledger: clew.Ledger, tmp_path: Path) -> None:
    report = ledger.import_from(made(GOLDEN / "odd.sql", tmp_path))
    notes = [note.text for note in report.notes]
    assert sum("pickled: a program, and never read" in note for note in notes) == 2
    assert any("the unknown type 'msgpack+aes'" in note for note in notes)
    assert any("its msgpack cannot be read" in note for note in notes)
    session = of(ledger, "odd@")
    more = next(step["state"]["more"] for step in steps(session) if "more" in step["state"])
    assert more["call"] == {"$new": "os.system", "args": ["touch /tmp/never"]}
    assert more["when"]["method"] == "fromisoformat"
    assert more["array"]["data"][0] == "C" or more["array"]["order"] == "C"
    assert (more["nan"], more["1"], more["bytes"]) == ("nan", "one", {"$bytes": "AP8="})
    assert more["other"] == {"$ext": 99, "$bytes": "Pz8="}
    assert not Path("/tmp/never").exists()


def test_messages_of_other_shapes_are_read_and_the_rest_is_kept(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    ledger.import_from(made(GOLDEN / "odd.sql", tmp_path))
    session = of(ledger, "odd@")
    assert texts(session)[0] == "plain"
    parts = session.context()[1].parts
    assert [type(part) for part in parts] == [Text, Image, Image, Unknown, Thinking]
    unread = [e.data for e in session.entries() if e.kind is Kind.UNKNOWN]
    assert ["user", "a pair"] in [data.get("message") for data in unread]
    first = [e for e in session.entries() if b"From JSON" in (e.body or b"")]
    assert first[0].role == "user"
    pending = writes(session)["messages"].data
    assert pending["value"][0]["kwargs"]["content"] == "never put in"


def test_a_ring_of_steps_ends(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(made(GOLDEN / "odd.sql", tmp_path))
    assert texts(of(ledger, "loop-1@")) == ["Ask the gardener."]


def test_an_object_in_an_object_has_an_end() -> None:
    deep = msgspec.msgpack.encode("core")
    for _ in range(500):
        deep = msgspec.msgpack.encode(msgspec.msgpack.Ext(7, deep))
    found = Unpacker().value("msgpack", deep)
    depth = 0
    while "$delta" in found:
        found, depth = found["$delta"], depth + 1
    assert (depth, found["$ext"]) == (64, 7)


def test_lists_nested_without_end_are_refused() -> None:
    with pytest.raises(Unread):
        Unpacker().value("msgpack", b"\x91" * 100_000 + b"\xc0")


# --- growth --------------------------------------------------------------------------------


def _grown(path: Path, turns: int, first: str = "word 0") -> None:
    """A thread as the library writes it: every step holds all messages, and all that was noted."""
    for statement in statements(GOLDEN / "steps.sql")[:2]:
        run(path, statement.replace("create table", "create table if not exists"))
    messages: list[Any] = []
    noted: list[str] = []
    parent = None
    for turn in range(turns):
        said = (f"word {turn}" if turn or turns < 41 else first) + " " + "x" * 200
        fields = {"content": said, "type": "human", "id": f"m{turn}"}
        told = msgspec.msgpack.encode(["langchain_core.messages.human", "HumanMessage", fields, ""])
        messages.append(msgspec.msgpack.Ext(5, told))
        noted.append(f"note {turn}")
        step = f"1f0b{turn:04x}-0000-6000-8000-000000000000"
        state = {"channel_values": {"messages": messages, "noted": noted}, "ts": None}
        run(
            path,
            "insert or ignore into checkpoints values ('long', '', ?, ?, 'msgpack', ?, '{}')",
            step,
            parent,
            msgspec.msgpack.encode(state),
        )
        parent = step


def _change(chance: random.Random, held: list[dict[str, Any]], step: int) -> list[dict[str, Any]]:
    """What a node, or a person, makes of the messages of a step."""
    fresh = {"content": f"word {step}", "type": "human", "id": f"m{step}"}
    match chance.choice(["say", "say", "say", "edit", "drop", "shift", "sum", "pop", "clear"]):
        case "edit" if held:
            at = chance.randrange(len(held))
            return [*held[:at], {**held[at], "content": f"edited {step}"}, *held[at + 1 :]]
        case "drop" if held:
            at = chance.randrange(len(held))
            return [*held[:at], *held[at + 1 :]]
        case "shift":
            return [*held[chance.randint(0, len(held)) :], fresh]
        case "sum" if held:
            return [fresh, *held[-chance.randint(1, 3) :]]
        case "pop":
            return held[: chance.randint(0, len(held))]
        case "clear" if chance.random() < 0.3:
            return []
        case _:
            return [*held, fresh]


@pytest.mark.parametrize("seed", range(16))
def test_in_whatever_steps_a_thread_says_what_its_newest_step_holds(
    ledger: clew.Ledger, tmp_path: Path, seed: int
) -> None:
    """Said, edited, dropped, summed up, taken back, forked: at every look, and at once."""
    path, chance = tmp_path / "steps.db", random.Random(seed)
    for statement in statements(GOLDEN / "steps.sql")[:2]:
        run(path, statement)
    states: dict[str | None, list[dict[str, Any]]] = {None: []}
    parent: str | None = None
    for step in range(16):
        held = _change(chance, states[parent], step)
        name = f"1f0b{step:04x}-0000-6000-8000-000000000000"
        told = [
            msgspec.msgpack.Ext(5, msgspec.msgpack.encode(["langchain_core", "Message", one, ""]))
            for one in held
        ]
        run(
            path,
            "insert into checkpoints values ('any', '', ?, ?, 'msgpack', ?, '{}')",
            name,
            parent,
            msgspec.msgpack.encode({"channel_values": {"messages": told}}),
        )
        states[name] = held
        parent = name if chance.random() < 0.8 else chance.choice([*states])
        ledger.import_from(path)
        assert texts(of(ledger, "any@")) == [one["content"] for one in held], step
    with memory_ledger() as once:
        once.import_from(path)
        assert texts(of(once, "any@")) == [one["content"] for one in held]


def test_what_is_kept_grows_with_the_words_and_not_with_the_steps_before(tmp_path: Path) -> None:
    path = tmp_path / "long.db"
    _grown(path, 60)
    (items,) = everything(langgraph, path).values()
    assert len(items) == 120
    assert sum(len(item.body) for item in items) < 60 * 1200


def test_the_later_half_adds_only_itself(ledger: clew.Ledger, tmp_path: Path) -> None:
    path = tmp_path / "long.db"
    _grown(path, 20)
    run(path, "create table kept as select * from checkpoints where checkpoint_id > '1f0b0009'")
    run(path, "delete from checkpoints where checkpoint_id > '1f0b0009-1'")
    ledger.import_from(path)
    run(path, "insert or ignore into checkpoints select * from kept")
    report = ledger.import_from(path)
    assert report.added == 20
    assert len(texts(of(ledger, "long@"))) == 20


def test_what_is_left_of_a_pruned_thread_comes_once_more_as_a_branch(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    path = made(GOLDEN / "shortened.sql", tmp_path)
    ledger.import_from(path)
    run(path, "delete from checkpoints where checkpoint_id < '1f0a0007'")
    report = ledger.import_from(path)
    assert report.sessions_new == 0
    assert texts(of(ledger, "0f0f0f0f")) == [
        *("Here is a summary: words.", "word four", "word 5", "word 6"),
    ]
    again = ledger.import_from(path)
    assert again.added == 0


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")
def test_the_file_of_the_real_library_reads_whole(ledger: clew.Ledger) -> None:
    report = ledger.import_from(FIXTURES)
    assert (report.sessions_new, report.notes) == (3, [])
    assert texts(of(ledger, "thread-1@")) == [
        *("weather in Oslo?", "", "", "It is 3 degrees.", "forked!"),
    ]
    assert texts(of(ledger, "thread-2@")) == ["hello", "Hi!"]
    waiting = of(ledger, "thread-3-pending-interrupt")
    assert waiting.context()[-1].tool_calls[0].name == "get_weather"
    assert "__interrupt__" in writes(waiting)
    (total,) = ledger.usage()
    assert (total.calls, total.input, total.output) == (5, 82, 26)


@pytest.mark.inside
def test_every_database_holds_the_same(url: str, tmp_path: Path) -> None:
    for source in sorted(GOLDEN.glob("*.sql")):
        made(source, tmp_path / source.stem)
    with clew.open(url) as kept, memory_ledger() as known:
        kept.import_from(tmp_path, importer="langgraph")
        known.import_from(tmp_path, importer="langgraph")
        assert conversations(kept) == conversations(known)
        assert kept.verify().ok
