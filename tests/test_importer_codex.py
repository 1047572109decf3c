"""Reading Codex's histories: every generation, forks, reverts, tokens, damage, growth."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import clew
from clew import gather, importers, rules, shapes
from clew.canonical import parse
from clew.errors import Invalid
from clew.importers import codex, codex_records, packed
from clew.importers.codex_records import decode
from clew.model import Kind, Origin, Record, Text, Thinking, ToolResult, Unknown
from importer_kit import ImporterPromises, read_in_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "codex"
INPUTS = sorted(GOLDEN.glob("*.jsonl"))
PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")

THREAD = "019df26e-2d00-7000-8000-000000000001"
COPY = "019df726-ac00-7000-8000-000000000005"
AGENT = "019df26e-c940-7000-8000-000000000007"
COMPACTED = "019e8269-4e80-7000-8000-000000000009"
PAGED = "01a19656-4a80-7000-8000-00000000000a"
FORK = "01a1965a-de60-7000-8000-00000000000b"
REVERT = "01a1965f-7240-7000-8000-00000000000c"
BARE = "5973b6c0-94b8-487b-a530-2aeb6098ae0e"
DAMAGED = "019f1ce8-1680-7000-8000-000000000011"

importers.register_decoders()


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with clew.open("sqlite:///:memory:", search=False) as ledger:
        yield ledger
        report = ledger.verify()
        assert report.ok, report.problems


def file_of(name: str) -> Path:
    return next(path for path in INPUTS if path.stem.endswith(name))


def read(path: Path) -> tuple[list[Record], Origin, int]:
    reader = codex.open(path)
    records = reader.feed(path.read_bytes(), 0, last=True)
    return records, reader.origin, reader.consumed


def read_bytes(data: bytes, name: str = "nowhere.jsonl") -> list[Record]:
    return codex.open(Path(name)).feed(data, 0, last=True)


def body(data: bytes, record: Record) -> bytes:
    return data[record.start : record.start + record.length]


def line(kind: str, second: int = 0, **payload: Any) -> bytes:
    stamp = f"2026-05-04T10:00:{second:02d}.000Z"
    return json.dumps({"timestamp": stamp, "type": kind, "payload": payload}).encode()


def said(role: str, text: str, second: int = 0) -> bytes:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return line("response_item", second, type="message", role=role, content=content)


def event(name: str, second: int = 0, **more: Any) -> bytes:
    return line("event_msg", second, type=name, **more)


def counted(total: int, last: int | None, second: int = 0) -> bytes:
    info: dict[str, Any] = {"total_token_usage": {"input_tokens": total, "total_tokens": total}}
    if last is not None:
        info["last_token_usage"] = {"input_tokens": last, "total_tokens": last}
    return event("token_count", second, info=info)


def lines(*records: bytes) -> bytes:
    return b"".join(record + b"\n" for record in records)


def inputs(records: list[Record]) -> list[int]:
    return [record.usage.input for record in records if record.usage]


def session(ledger: clew.Ledger, native: str) -> clew.Session:
    found = [
        info
        for info in ledger.sessions(spawned=True, limit=1000)
        if info.imported_from == f"codex:{native}"
    ]
    assert len(found) == 1, f"{len(found)} sessions of {native}"
    return ledger.get(found[0].id)


def words(messages: Any) -> list[str]:
    """What a person and the model said, without what was injected."""
    return [each.text for each in messages if each.text and not each.meta and each.role != "tool"]


# --- golden files ------------------------------------------------------------------------


class TestPromises(ImporterPromises):
    importer = codex
    files = INPUTS
    wreck = (said("user", "x"), event("task_started", 1, turn_id="t"))


def test_every_kind_of_call_has_its_result() -> None:
    path = file_of(THREAD)
    data = path.read_bytes()
    spoken = [record for record in read(path)[0] if record.kind is Kind.MESSAGE]
    messages = [decode(parse(body(data, record))) for record in spoken]
    calls = [call for message in messages for call in message.tool_calls]
    results = [result for message in messages for result in message.tool_results]
    assert {call.id: call.name for call in calls} == {
        "call_trees": "exec_command",
        "call_weather": "mcp__weather__read",
        "call_patch": "apply_patch",
        "call_tap": "local_shell",
        "call_find": "tool_search",
    }
    assert {result.call_id for result in results} == {call.id for call in calls}
    failed = next(result for result in results if result.call_id == "call_tap")
    assert (failed.is_error, failed.text) == (True, "no such tap")
    thoughts = [part for m in messages for part in m.parts if isinstance(part, Thinking)]
    assert [(part.text, part.data) for part in thoughts] == [("Look at both files.", "gAAAAsealed")]


def test_what_the_program_injects_is_told_from_what_a_person_typed() -> None:
    path = file_of(THREAD)
    records = read(path)[0]
    roles = [record.role for record in records if record.kind is Kind.MESSAGE]
    assert Counter(roles) == Counter(user=3, assistant=10, tool=5, system=1, context=2)
    assert [record.title for record in records if record.title] == [
        "Which trees need water today?",
        "Water the orchard",
    ]


def test_what_is_not_known_is_kept_with_a_note() -> None:
    notes = [record.note for record in read(file_of(THREAD))[0] if record.kind is Kind.UNKNOWN]
    assert notes == [
        "an event of type 'brand_new_event', which is not known",
        "an item of type 'brand_new_item', which is not known",
        "a record of type 'brand_new_record', which is not known",
    ]


# --- tokens ------------------------------------------------------------------------------


def test_a_count_counts_when_the_total_changed() -> None:
    data = lines(counted(100, 100), counted(100, 100), counted(150, 50), event("token_count"))
    assert inputs(read_bytes(data)) == [100, 50]


def test_a_total_that_falls_was_begun_anew() -> None:
    assert inputs(read_bytes(lines(counted(100, 100), counted(30, 30), counted(45, 15)))) == [
        *(100, 30, 15)
    ]
    assert inputs(read_bytes(lines(counted(100, None), counted(130, None), counted(7, None)))) == [
        *(100, 30, 7)
    ]


def test_the_exact_record_of_a_call_silences_the_counts() -> None:
    used = {"input_tokens": 10, "cached_input_tokens": 4, "cache_write_input_tokens": 1}
    record = line("token_usage_record", thread_id="t", turn_id="u", response_id="r", usage=used)
    head = line("session_meta", id="t", cwd="/x")
    records = read_bytes(lines(head, record, counted(10, 10), counted(12, 2)))
    (usage,) = [each.usage for each in records if each.usage]
    assert (usage.key, usage.input, usage.cache_read, usage.cache_write) == ("t/u/r", 5, 4, 1)


def used(ledger: clew.Ledger) -> tuple[int, int]:
    """The tokens and the calls that a ledger counts."""
    rows = ledger.usage(by="model")
    tokens = sum(row.input + row.cache_read + row.cache_write + row.output for row in rows)
    return tokens, sum(row.calls for row in rows)


def test_the_ledger_counts_what_the_threads_own_totals_say(store: clew.Ledger) -> None:
    """A copy's first turn is its parent's; a fork and its revert each made one call."""
    told = []
    for name in (THREAD, COPY, AGENT, PAGED, FORK, REVERT):
        before = used(store)
        store.import_from(file_of(name))
        after = used(store)
        told.append((after[0] - before[0], after[1] - before[1]))
    assert told == [
        (13_620 + 2_050, 4),  # the total fell to 2,050 behind the rollback
        (4_440, 1),
        (905, 1),
        (2 * 1_040 + 13 + 14, 2),
        (1_055, 1),
        (1_056, 1),
    ]


@pytest.mark.parametrize("name", [AGENT, PAGED, COMPACTED, BARE])
def test_a_training_row_counts_what_the_ledger_counts(store: clew.Ledger, name: str) -> None:
    """Codex meters a call in a record of its own, behind what the model said."""
    store.import_from(file_of(name))
    row = store.trajectory(session(store, name).id)
    sums = [row[f"tokens_{field}"] for field in ("in", "out", "cache_read", "cache_write")]
    tokens, calls = used(store)
    assert sum(filter(None, sums)) == tokens
    assert (row["tokens_in"] is None) == (calls == 0)
    told = [m["telemetry"] for m in row["messages"] if m["sampled"]]
    metered = [each for each in told if each["tokens_in"] is not None]
    assert len(metered) <= calls
    assert bool(metered) == bool(calls)
    assert all(each["model"] for each in metered)


# --- forks, copies, reverts, rollbacks ---------------------------------------------------


def test_a_fork_by_copy_hangs_on_its_original(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    original, copy = session(store, THREAD), session(store, COPY)
    assert copy.info.forked_from is not None
    assert copy.info.forked_from.session == original.id
    assert words(copy.history()) == [
        *("Which trees need water today?", "The quince and the medlar."),
        *("And tomorrow?", "Only the quince."),
    ]
    assert copy.info.title == "And tomorrow?"
    assert copy.info.entries == 6  # its own head and turn


def test_a_copy_without_its_original_is_whole_but_not_counted(store: clew.Ledger) -> None:
    store.import_from(file_of(COPY))
    copy = session(store, COPY)
    assert copy.info.forked_from is None
    assert len(words(copy.history())) == 4
    assert used(store) == (4_440, 1)


def test_a_copy_that_has_nothing_of_its_own_yet_waits(store: clew.Ledger, tmp_path: Path) -> None:
    whole = file_of(COPY).read_bytes()
    path = tmp_path / file_of(COPY).name
    path.write_bytes(b"\n".join(whole.split(b"\n")[:8]) + b"\n")
    report = store.import_from(path)
    assert report.sessions_new == 0
    assert [note.text for note in report.notes] == ["nothing is said in it yet: read when there is"]
    path.write_bytes(whole)
    assert store.import_from(path).sessions_new == 1


@pytest.mark.parametrize("ids", ["turn-1", None])
def test_a_copy_is_told_by_its_time_where_ids_tell_none(ids: str | None) -> None:
    turn = event("task_started", 0, turn_id=ids) if ids else line("turn_context", 0, cwd="/x")
    later = event("task_started", 9, turn_id="turn-2")
    head = line("session_meta", id="child", forked_from_id="parent", cwd="/x")
    parent = line("session_meta", id="parent", cwd="/x")
    copied = [turn, said("user", "old"), counted(70, 70)]
    own = [later, said("user", "new", 9), counted(90, 20, 9)]
    records = read_bytes(lines(head, parent, *copied, *own))
    assert inputs(records) == [20]
    assert [record.title for record in records if record.title] == ["new"]
    original = read_bytes(lines(parent, *copied))
    assert [r.native_id for r in records[1:5]] == [r.native_id for r in original]


def test_a_fork_by_reference_hangs_on_its_base(store: clew.Ledger) -> None:
    store.import_from(file_of(PAGED))
    store.import_from(file_of(FORK))
    fork = session(store, FORK)
    assert fork.info.forked_from is not None
    assert fork.info.forked_from.session == session(store, PAGED).id
    assert words(fork.history()) == ["Sow the beans.", "Sown.", "Sow kale.", "Kale is sown."]


def test_a_revert_goes_on_from_where_it_went_back_to(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    fork = session(store, FORK)
    assert words(fork.history()) == ["Sow the beans.", "Sown.", "Sow leeks.", "Leeks are sown."]
    assert "Kale is sown." in [clew_text(entry) for entry in fork.entries()]
    assert len(store.source_bytes(fork.id)) == 2


def clew_text(entry: clew.Entry) -> str:
    return decode(entry.data).text if entry.kind is Kind.MESSAGE else ""


def test_a_base_that_is_not_there_is_a_note(store: clew.Ledger) -> None:
    report = store.import_from(file_of(FORK))
    assert [note.text for note in report.notes] == [f"it follows {PAGED}:9, not found"]
    assert words(session(store, FORK).history()) == ["Sow kale.", "Kale is sown."]


def test_a_rollback_takes_turns_out_of_sight_and_keeps_them(store: clew.Ledger) -> None:
    store.import_from(file_of(THREAD))
    thread = session(store, THREAD)
    assert not any("felled" in text for text in words(thread.history()))
    assert any(clew_text(entry) == "It is felled." for entry in thread.entries())
    assert thread.history()[-1].text == "There is no tap."


@pytest.mark.parametrize(("turns", "left"), [(1, ["one"]), (2, []), (9, []), (0, ["one", "two"])])
def test_a_rollback_of_any_depth(
    store: clew.Ledger, tmp_path: Path, turns: int, left: list[str]
) -> None:
    path = tmp_path / "rollout-x.jsonl"
    path.write_bytes(
        lines(
            line("session_meta", id="t", cwd="/x"),
            *(event("task_started", 1, turn_id="a"), said("user", "one", 1)),
            *(event("task_started", 2, turn_id="b"), said("user", "two", 2)),
            *(event("thread_rolled_back", 3, num_turns=turns), said("user", "three", 4)),
        )
    )
    store.import_from(path)
    assert words(session(store, "t").history()) == [*left, "three"]


def test_a_sub_agent_that_was_given_part_of_its_parents_history(
    store: clew.Ledger, tmp_path: Path
) -> None:
    """What was dropped from the copy is not shown, what was kept is, and none of it counts."""
    store.import_from(file_of(THREAD))
    before = used(store)
    data = file_of(COPY).read_bytes().replace(b'"forked_from_id"', b'"parent_thread_id"')
    dropped = (b'"reasoning"', b'"function_call', b"agent_reasoning")
    kept = [row for row in data.splitlines() if not any(each in row for each in dropped)]
    path = tmp_path / file_of(COPY).name
    path.write_bytes(lines(*kept))
    store.import_from(path)
    agent = session(store, COPY)
    assert agent.info.spawned_by == session(store, THREAD).id
    assert words(agent.history()) == [
        *("Which trees need water today?", "The quince and the medlar."),
        *("And tomorrow?", "Only the quince."),
    ]
    assert not any(message.tool_calls for message in agent.history())
    assert used(store) == (before[0] + 4_440, before[1] + 1)


def test_a_prompt_beside_injected_text_is_a_prompt() -> None:
    blocks = [{"type": "input_text", "text": t} for t in ("<environment_context>x", "Water!")]
    both, alone = (
        line("response_item", type="message", role="user", content=content)
        for content in (blocks, blocks[:1])
    )
    records = read_bytes(lines(alone, both))
    assert [(each.role, each.title) for each in records] == [("context", None), ("user", "Water!")]


def migrated(data: bytes) -> list[dict[str, Any]]:
    """What Codex makes of a rollout without ordinals: the rolled back turns and copied heads
    gone, events in today's shape, items with today's fields, times as they were.
    """
    rows: list[dict[str, Any]] = []
    for row in map(json.loads, data.splitlines()):
        kind, payload = row["type"], row["payload"]
        name = payload.get("type")
        if name == "thread_rolled_back":
            start = max(n for n, r in enumerate(rows) if r["payload"].get("type") == "task_started")
            del rows[start:]
            continue
        if kind == "session_meta":
            if rows:
                continue
            payload["history_mode"] = "paginated"
        elif name == "user_message":
            item = {"type": "UserMessage", "id": "item-1", "content": []}
            row["payload"] = {"type": "item_completed", "turn_id": "t", "item": item}
        elif kind == "response_item":
            payload["internal_chat_message_metadata_passthrough"] = None
        rows.append(row)
    return [{"ordinal": number, **row} for number, row in enumerate(rows)]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


def new_turn(ordinal: int, *records: bytes) -> list[dict[str, Any]]:
    rows = [json.loads(each.replace(b"2026-05-04", b"2026-09-09")) for each in records]
    return [{"ordinal": ordinal + number, **row} for number, row in enumerate(rows)]


@pytest.mark.inside
@pytest.mark.parametrize("moved", [False, True])
def test_a_rollout_that_codex_wrote_anew_with_ordinals_says_nothing_twice(
    ledger: clew.Ledger, tmp_path: Path, moved: bool
) -> None:
    day, archive = tmp_path / "sessions", tmp_path / "archived_sessions"
    day.mkdir()
    archive.mkdir()
    for name in (THREAD, COPY, COMPACTED):
        shutil.copy(file_of(name), day)
    ledger.import_from(tmp_path)
    before = {n: words(session(ledger, n).history()) for n in (THREAD, COPY, COMPACTED)}
    context = [each.text for each in session(ledger, COMPACTED).context()]
    counted_before = used(ledger)
    turn = (event("task_started", turn_id="n"), said("user", "Go on."), counted(9_000, 500))
    for name in before:
        old = next(day.glob(f"*{name}.jsonl"))
        rows = migrated(old.read_bytes())
        rows += new_turn(len(rows), *turn) if name != COMPACTED else []
        old.unlink()
        written((archive if moved else day) / old.name, rows)
    ledger.import_from(tmp_path)
    for name in (THREAD, COPY):
        assert words(session(ledger, name).history()) == [*before[name], "Go on."]
    assert words(session(ledger, COMPACTED).history()) == before[COMPACTED]
    assert [each.text for each in session(ledger, COMPACTED).context()] == context
    assert used(ledger) == (counted_before[0] + 1_000, counted_before[1] + 2)
    again = ledger.import_from(tmp_path)
    assert (again.added, again.sessions_new) == (0, 0)


def test_a_fork_finds_a_record_under_the_name_that_it_was_given_later(
    store: clew.Ledger, tmp_path: Path
) -> None:
    path = Path(shutil.copy(file_of(THREAD), tmp_path))
    store.import_from(tmp_path)
    rows = migrated(path.read_bytes())
    written(path, rows)
    answer = next(r["ordinal"] for r in rows if "quince and the medlar" in json.dumps(r))
    base = {"thread_id": THREAD, "end_ordinal_exclusive": answer + 1, "end_byte_offset": 0}
    head = line("session_meta", id="fork", forked_from_id=THREAD, cwd="/x", history_base=base)
    fork = new_turn(answer + 1, head, said("user", "Elsewhere?"))
    fork[0]["payload"]["cwd"] = "/home/ada/orchard"
    written(tmp_path / "rollout-fork.jsonl", fork)
    store.import_from(tmp_path)
    assert words(session(store, "fork").history()) == [
        *("Which trees need water today?", "The quince and the medlar.", "Elsewhere?"),
    ]


def test_a_sub_agents_only_turn_can_be_rolled_back(store: clew.Ledger, tmp_path: Path) -> None:
    path = tmp_path / file_of(AGENT).name
    again = (event("thread_rolled_back", 50, num_turns=1), said("user", "Count the figs.", 51))
    path.write_bytes(file_of(AGENT).read_bytes() + lines(*again))
    store.import_from(path)
    assert words(session(store, AGENT).history()) == ["Count the figs."]


def test_a_sub_agent_names_its_parent(store: clew.Ledger) -> None:
    store.import_from(GOLDEN)
    agent = session(store, AGENT)
    assert agent.info.spawned_by == session(store, THREAD).id
    assert words(agent.history()) == ["Count the quinces.", "Nine."]


# --- compaction --------------------------------------------------------------------------


def test_a_compaction_is_what_the_model_sees_from_then_on(store: clew.Ledger) -> None:
    store.import_from(file_of(COMPACTED))
    thread = session(store, COMPACTED)
    assert len(words(thread.history())) == 6
    lead, *rest = thread.context()
    assert (lead.summary, lead.text) == (True, f"Go on.\n\n{codex_records.SEALED}")
    assert [each.text for each in rest] == ["And now?", "Nothing is left."]
    first, second = sorted(thread.checkpoints(), key=lambda each: each.created_ms)[:2]
    assert {first.tokens_before, second.tokens_before} == {90_100, 5_020}
    summaries = {first.summary, second.summary}
    assert any("legacy_ref. Then prune." in str(each) for each in summaries)
    assert any("Pruned; legacy_ref stays." in str(each) for each in summaries)


def test_a_summary_holds_no_injected_context_and_nothing_twice() -> None:
    data = file_of(COMPACTED).read_bytes()
    record = next(each for each in read(file_of(COMPACTED))[0] if each.kind is Kind.COMPACTION)
    text = decode(parse(body(data, record))).text
    assert "permissions" not in text
    assert text.count("legacy_ref stays") == 1


# --- growth ------------------------------------------------------------------------------


def facts(found: clew.Session) -> list[tuple[Any, ...]]:
    """What a session holds, whatever its id."""
    rows = []
    for entry in found.entries():
        meta = json.dumps(entry.meta, sort_keys=True).replace(found.id, "self")
        rows.append((entry.kind, entry.role, entry.time_ms, entry.body, meta))
    return rows


@pytest.mark.parametrize("name", [THREAD, COPY, COMPACTED, FORK, BARE, DAMAGED])
def test_a_ledger_that_grows_with_a_file_is_that_of_the_whole_file(
    tmp_path: Path, name: str
) -> None:
    path = file_of(name)
    data = path.read_bytes()
    first = [each for each in INPUTS if each.name < path.name]
    with clew.open("sqlite:///:memory:", search=False) as whole:
        for each in [*first, path]:
            whole.import_from(each)
        expected = facts(session(whole, name))
        shape = [str(m.text) for m in session(whole, name).history()]
    for step in (997, 4001):
        grown_file = tmp_path / f"{step}" / path.name
        grown_file.parent.mkdir()
        with clew.open("sqlite:///:memory:", search=False) as grown:
            for each in first:
                grown.import_from(each)
            for cut in range(step, len(data) + step, step):
                grown_file.write_bytes(data[:cut])
                grown.import_from(grown_file, importer="codex")
            found = session(grown, name)
            assert facts(found) == expected
            assert [str(m.text) for m in found.history()] == shape
            assert grown.source_bytes(found.id)[str(grown_file)] == data
            assert grown.verify().ok


# --- damage ------------------------------------------------------------------------------


def test_damage_costs_no_neighbour() -> None:
    path = file_of(DAMAGED)
    data = path.read_bytes()
    records, _, consumed = read(path)
    good = [decode(parse(body(data, r))).text for r in records if r.kind is Kind.MESSAGE]
    assert good == ["words 1", "words 2", "words 4", "half � 7"]
    assert [str(r.note).split(":")[0].split(",")[0] for r in records if r.format == "raw"] == [
        "a torn record",
        "a hole of 16 NUL bytes",
        "invalid UTF-8 at its byte 146",
        "a number that JSON does not have (NaN",
        "JSON",
        "not JSON",
    ]
    assert data[consumed:].startswith(b'{"timestamp"')
    covered = {at for each in records for at in range(each.start, each.start + each.length)}
    missing = {data[at : at + 1] for at in range(consumed) if at not in covered}
    assert missing <= {b"\n", b"\r"}


def test_a_bare_record_behind_a_torn_one_is_saved() -> None:
    head = b'{"id":"s","timestamp":"2025-05-07T17:24:21.123Z","instructions":null}'
    item = b'{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}'
    records = read_bytes(lines(head, item[:40] + item))
    assert [(r.kind, r.format) for r in records][1:] == [
        (Kind.UNKNOWN, "raw"),
        (Kind.MESSAGE, "codex"),
    ]


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        {},
        {"type": []},
        {"type": "response_item", "payload": None},
        {"type": "response_item", "payload": {"type": "message", "role": "goblin"}},
        {"type": "response_item", "payload": {"type": "function_call", "name": 3}},
        {"type": "response_item", "payload": {"type": "reasoning_of_tomorrow"}},
        {"type": "inter_agent_communication", "payload": {"content": {"a": 1}}},
        {"type": "event_msg", "payload": {"type": ["x"]}, "timestamp": "yesterday"},
        {"type": "session_meta", "payload": {"id": 5, "source": {"subagent": {"thread_spawn": 3}}}},
    ],
)
def test_an_odd_record_reads_as_unknown_and_never_fails(value: Any) -> None:
    message = shapes.decode("codex", value)
    assert message.parts
    assert all(isinstance(part, Unknown) for part in message.parts)
    read_bytes(msgspec.json.encode(value) + b"\n")


KEYS = ["type", "payload", "role", "content", "id", "call_id", "output", "info", "source", "text"]
KEYS += ["turn_id", "ordinal", "history_base", "num_turns", "replacement_history", "timestamp"]
KEYS += ["total_token_usage", "last_token_usage", "usage", "arguments", "action", "namespace"]
WORDS = ["response_item", "event_msg", "compacted", "session_meta", "message", "user", "assistant"]
WORDS += ["function_call", "function_call_output", "token_count", "thread_rolled_back", "reasoning"]
WORDS += ["task_started", "turn_context", "token_usage_record", "tool_search_output", "2026-05-04"]


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(WORDS),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(KEYS) | st.text(max_size=3),
                    inner | st.sampled_from(WORDS),
                    max_size=6,
                )
            ),
            max_leaves=30,
        ),
        max_size=4,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_object_stops_the_reader(values: list[Any]) -> None:
    data = b"".join(msgspec.json.encode(value) + b"\n" for value in values)
    for record in read_bytes(data):
        if record.format == "codex":
            assert decode(parse(body(data, record))).parts is not None


def test_a_result_that_is_an_object_gives_its_words() -> None:
    for output, text in [({"body": "a"}, "a"), ({"text": "b"}, "b"), ({"x": 1}, '{"x":1}')]:
        value = {"type": "function_call_output", "call_id": "c", "output": output}
        message = decode({"type": "response_item", "payload": value})
        assert message.parts == (ToolResult("c", (Text(text),)),)


# --- compressed files --------------------------------------------------------------------


def compress(path: Path) -> Path:
    """What Codex does with a file that it has not written for long."""
    target = path.with_name(path.name + ".zst")
    target.write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
    path.unlink()
    return target


def test_a_compressed_file_is_the_same_session(store: clew.Ledger, tmp_path: Path) -> None:
    path = Path(shutil.copy(file_of(THREAD), tmp_path))
    data = path.read_bytes()
    path.write_bytes(data[:5000])
    store.import_from(tmp_path)
    path.write_bytes(data)
    compress(path)
    report = store.import_from(tmp_path)
    assert (report.sessions_new, report.sessions_grown) == (0, 1)
    assert store.import_from(tmp_path).unchanged == 1
    found = session(store, THREAD)
    assert store.source_bytes(found.id) == {str(path): data}
    with clew.open("sqlite:///:memory:", search=False) as other:
        other.import_from(file_of(THREAD))
        assert facts(session(other, THREAD)) == facts(found)


def test_a_compressed_file_that_is_longer_than_a_batch(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "BATCH_BYTES", 2000)
    monkeypatch.setattr(gather, "CHUNK_BYTES", 1000)
    path = Path(shutil.copy(file_of(THREAD), tmp_path))
    data = path.read_bytes()
    compress(path)
    report = store.import_from(tmp_path)
    assert [note for note in report.notes if "incomplete" in note.text] == []
    assert store.source_bytes(session(store, THREAD).id) == {str(path): data}


def test_a_rewritten_compressed_file_is_read_anew(store: clew.Ledger, tmp_path: Path) -> None:
    path = Path(shutil.copy(file_of(BARE), tmp_path))
    data = path.read_bytes()
    packed_file = compress(path)
    store.import_from(tmp_path)
    changed = data.replace(b"List the trees", b"Name the trees")
    packed_file.write_bytes(zstandard.ZstdCompressor().compress(changed))
    report = store.import_from(tmp_path)
    assert any("rewritten" in note.text for note in report.notes)
    assert store.source_bytes(session(store, BARE).id)[str(path)] == changed


def test_a_damaged_compressed_file_costs_only_itself(store: clew.Ledger, tmp_path: Path) -> None:
    good = Path(shutil.copy(file_of(BARE), tmp_path))
    bad = tmp_path / file_of(THREAD).name
    bad.with_name(bad.name + ".zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"\xff" * 50)
    report = store.import_from(tmp_path)
    assert report.sessions_new == 1
    assert [Path(note.path) for note in report.notes] == [bad]
    assert "cannot be unpacked" in report.notes[0].text
    assert good.exists()


def test_a_file_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "UNPACKED_BYTES_MAX", 1 << 20)
    path = tmp_path / "bomb.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(b"\x00" * (4 << 20)))
    with packed.opened(path) as file, pytest.raises(Invalid, match="unpacks to more"):
        file.seek(4 << 20)


def test_a_packed_file_goes_back_as_well_as_on(tmp_path: Path) -> None:
    path = tmp_path / "x.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(range(200))))
    with packed.opened(path) as file:
        assert file.seek(50) == 50
        assert file.read(3) == bytes([50, 51, 52])
        file.seek(10)
        assert file.read(2) == bytes([10, 11])
        assert file.seek(999) == 200


# --- where the files are -----------------------------------------------------------------


def test_roots_follow_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".codex" / "sessions").mkdir(parents=True)
    (tmp_path / "other" / "archived_sessions").mkdir(parents=True)
    assert codex.roots(tmp_path, {}) == [tmp_path / ".codex"]
    assert codex.roots(tmp_path, {"CODEX_HOME": f"{tmp_path}/other"}) == [tmp_path / "other"]
    assert codex.roots(tmp_path / "nobody", {"CODEX_HOME": " "}) == []


@pytest.mark.parametrize(
    ("name", "content", "ours"),
    [
        ("a.jsonl", line("session_meta", id="x"), True),
        ("a.json", line("session_meta", id="x"), False),
        ("a.jsonl", b"", False),
        ("a.jsonl", b"\n" + said("user", "x"), True),
        ("a.jsonl", line("turn_context", model="m"), True),
        ("a.jsonl", line("something_else", model="m"), False),
        ("a.jsonl", b'{"id":"s","timestamp":"2025-05-07T17:24:21Z","instructions":null}\n', True),
        ("history.jsonl", b'{"session_id":"s","ts":1,"text":"x"}\n', False),
        ("session_index.jsonl", b'{"id":"s","thread_name":"n","updated_at":"t"}\n', False),
        ("a.jsonl", b'{"type":"user","uuid":"u","sessionId":"s","timestamp":"t"}\n', False),
        ("a.jsonl", b"\x00\xff not text", False),
    ],
)
def test_identify_looks_at_the_name_and_the_first_records(
    tmp_path: Path, name: str, content: bytes, ours: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert codex.identify(path) is ours
    assert (importers.identify(path) is codex) is ours
    squeezed = path.with_name(name + ".zst")
    squeezed.write_bytes(zstandard.ZstdCompressor().compress(content))
    assert codex.identify(squeezed) is (ours and name.endswith(".jsonl"))


def test_a_head_longer_than_what_is_looked_at_is_still_known(tmp_path: Path) -> None:
    value = {"timestamp": "2026-05-04T10:00:00.000Z", "type": "session_meta"}
    value["payload"] = {"id": "x", "base_instructions": {"text": "x" * 100_000}}  # type: ignore[assignment]
    path = tmp_path / "a.jsonl"
    path.write_bytes(msgspec.json.encode(value) + b"\n")
    assert codex.identify(path)


def test_discover_puts_originals_first_and_plain_files_before_packed(tmp_path: Path) -> None:
    day, archive = tmp_path / "sessions/2026/05/04", tmp_path / "archived_sessions"
    for folder in (day, archive):
        folder.mkdir(parents=True)
    for number, path in enumerate(reversed(INPUTS)):
        shutil.copy(path, archive if number % 2 else day)
    shutil.copy(file_of(THREAD), tmp_path / "history.jsonl")
    both = next(archive.glob("*.jsonl"))
    both.with_name(both.name + ".zst").write_bytes(b"half written")
    compress(next(day.glob("*.jsonl")))
    found = [path.name.removesuffix(".zst") for path in codex.discover(tmp_path)]
    wanted = [path.name for path in INPUTS if not path.stem.endswith(AGENT)]
    assert found == [*wanted, file_of(AGENT).name]


def test_a_name_given_to_a_thread_is_its_title(store: clew.Ledger, tmp_path: Path) -> None:
    day = tmp_path / "sessions"
    day.mkdir()
    for name in (BARE, COMPACTED):
        shutil.copy(file_of(name), day)
    rows = [{"id": BARE, "thread_name": "first"}, {"id": BARE, "thread_name": "Old trees"}]
    index = b"torn {\n" + b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    (tmp_path / "session_index.jsonl").write_bytes(index)
    store.import_from(tmp_path)
    assert session(store, BARE).info.title == "Old trees"
    assert session(store, COMPACTED).info.title == "Keep column legacy_ref. Then prune."


def test_the_oldest_rollouts_have_a_project_and_pairs(store: clew.Ledger) -> None:
    store.import_from(file_of(BARE))
    found = session(store, BARE)
    assert (found.info.project, found.info.title) == ("/home/ada/orchard", "List the trees.")
    calls = [call for message in found.history() for call in message.tool_calls]
    assert [(call.id, call.name) for call in calls] == [
        ("lsh_old", "local_shell"),
        ("call_1", "shell"),
    ]


# --- whole folders in a ledger -----------------------------------------------------------


def check_all(ledger: clew.Ledger) -> int:
    """Byte round trip and valid views for every provider; how many sessions there are."""
    found = ledger.sessions(spawned=True, limit=1000)
    for info in found:
        for name, data in ledger.source_bytes(info.id).items():
            assert data == Path(name).read_bytes(), name
        for provider in PROVIDERS:
            view = ledger.get(info.id).view(provider)
            assert rules.check(provider, view.request) == [], (info.imported_from, provider)
    return len(found)


@pytest.mark.inside
def test_the_golden_files_in_every_ledger(ledger: clew.Ledger) -> None:
    report = ledger.import_from(GOLDEN)
    assert report.sessions_new == len(INPUTS) - 1  # a revert is a file, not a session
    assert check_all(ledger) == report.sessions_new
    again = ledger.import_from(GOLDEN)
    assert (again.unchanged, again.added) == (len(INPUTS), 0)
    assert ledger.verify().ok


def test_a_file_that_was_moved_to_the_archive_adds_nothing(
    store: clew.Ledger, tmp_path: Path
) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / "archived_sessions").mkdir()
    moved = [THREAD, COPY, COMPACTED, BARE, PAGED, f"{FORK}"]
    for name in moved:
        shutil.copy(file_of(name), tmp_path / "sessions")
    store.import_from(tmp_path)
    for path in (tmp_path / "sessions").iterdir():
        path.rename(tmp_path / "archived_sessions" / path.name)
    report = store.import_from(tmp_path)
    assert (report.added, report.sessions_new) == (0, 0)
    assert words(session(store, THREAD).history())[-1] == "There is no tap."


# --- an independent reader's facts -------------------------------------------------------

TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")


def facts_of(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    records, _, consumed = read(path)
    types: Counter[str] = Counter()
    items: Counter[str] = Counter()
    usage: Counter[str] = Counter()
    calls: set[str] = set()
    results: set[str] = set()
    threads: list[str] = []
    for record in records:
        if record.usage:
            used = record.usage
            whole = used.input + used.cache_read + used.cache_write
            usage.update(
                dict(
                    zip(TOKENS, (whole, used.cache_read, used.output, used.reasoning), strict=True)
                )
            )
        if record.format == "raw":
            continue
        value = parse(body(data, record))
        payload = value.get("payload") or {}
        types[str(value.get("type"))] += 1
        items.update([str(payload.get("type"))] if value.get("type") == "response_item" else [])
        threads += [payload["id"]] if value.get("type") == "session_meta" else []
        if record.kind is Kind.MESSAGE:
            message = decode(value)
            calls.update(call.id for call in message.tool_calls)
            results.update(result.call_id for result in message.tool_results)
    return {
        "records": sum(types.values()),
        "types": dict(types),
        "items": dict(items),
        "bad_lines": sum(r.format == "raw" for r in records) + bool(data[consumed:].strip()),
        "calls": len(calls),
        "results": len(results),
        "calls_without_result": len(calls - results),
        "results_without_call": len(results - calls),
        "compactions": sum(record.kind is Kind.COMPACTION for record in records),
        "n_session_meta": len(threads),
        "session_meta_ids": threads[:5],
        "usage_sum_of_changed_last": {key: n for key, n in usage.items() if n},
    }


def test_the_facts_of_all_fixtures_are_those_of_an_independent_reader(fixtures_dir: Path) -> None:
    rows = json.loads((fixtures_dir / "EXPECTED.json").read_text()).items()
    expected = {name: row for name, row in rows if name.startswith("codex/")}
    assert len(expected) > 40
    for name, row in expected.items():
        found = facts_of(fixtures_dir / name)
        wanted = {key: row[key] for key in found}
        told = row["usage_sum_of_changed_last"].items()
        wanted["usage_sum_of_changed_last"] = {k: n for k, n in told if n and k in TOKENS}
        assert found == wanted, name


def test_all_fixtures_go_in_and_come_out_again(fixtures_dir: Path, store: clew.Ledger) -> None:
    root = fixtures_dir / "codex"
    report = store.import_from(root)
    assert report.sessions_new >= 39
    assert check_all(store) == report.sessions_new
    for info in store.sessions(spawned=True, limit=1000):
        assert str(info.imported_from).startswith("codex:")
    again = store.import_from(root)
    assert (again.added, again.sessions_new) == (0, 0)


def test_recorded_files_that_grow_give_the_same_records(fixtures_dir: Path) -> None:
    chance = random.Random(5)
    for path in codex.discover(fixtures_dir / "codex"):
        size = path.stat().st_size
        cuts = sorted(chance.randrange(size) for _ in range(7))
        whole = read(path)
        assert read_in_pieces(codex, path, cuts, resume=True, last=True) == whole, path
        assert read_in_pieces(codex, path, cuts, resume=False, last=False) == whole, path


def test_the_threads_that_codex_wrote_are_those_of_its_own_index(
    fixtures_dir: Path, store: clew.Ledger
) -> None:
    """`tokens_used` in Codex's `threads` table; a fork there counts its base's tokens too."""
    root = fixtures_dir / "codex" / "generated"
    store.import_from(root)
    base = session(store, "01a1f9aa-3daa-7aa3-8b93-58f674da7240")
    fork = session(store, "01a1f9aa-40df-7d33-8d62-9994caf11d89")
    # Of the fork's calls, those of the turn that was reverted were paid too.
    assert used(store)[0] == 5180 + 2086 + 12_524 + 4252 + 2138 + 2106 + 2066
    assert [base.info.title, fork.info.title] == ["My named thread"] * 2
    assert words(fork.history())[-1].endswith("after revert turn")
    assert not any("in the fork" in text for text in words(fork.history()))
