"""Reading Claude Code's histories: what records say, damage, growth, discovery, speed of it all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew import importers, shapes
from clew.canonical import parse
from clew.importers import claude_code, jsonl
from clew.importers.claude_records import decode
from clew.model import Kind, Origin, Record, Text, ToolResult, Unknown
from importer_kit import ImporterPromises

REPO = Path(__file__).parent.parent
GOLDEN = REPO / "tests" / "golden" / "claude_code"
FIXTURES = REPO.parent / "shared" / "fixtures"
SAMPLES = REPO / "samples" / "claude-code" / "projects"
INPUTS = sorted(GOLDEN.rglob("*.jsonl"))

KEYS = ["type", "message", "content", "uuid", "parentUuid", "timestamp", "usage", "text"]
KEYS += ["attachment", "prompt", "subtype", "compactMetadata", "role"]

importers.register_decoders()


def read(path: Path) -> tuple[list[Record], Origin, int]:
    reader = claude_code.open(path)
    records = reader.feed(path.read_bytes(), 0, last=True)
    return records, reader.origin, reader.consumed


def read_bytes(data: bytes) -> list[Record]:
    return claude_code.open(Path("nowhere.jsonl")).feed(data, 0, last=True)


def body(data: bytes, record: Record) -> bytes:
    return data[record.start : record.start + record.length]


def line(number: int = 1, **more: Any) -> bytes:
    value = {
        "type": "user",
        "uuid": f"u{number}",
        "sessionId": "s",
        "message": {"role": "user", "content": f"prompt {number}"},
    }
    return json.dumps(value | more).encode()


class TestPromises(ImporterPromises):
    importer = claude_code
    files = INPUTS
    wreck = (line(1), line(2))


# --- damage ------------------------------------------------------------------------------


def test_a_whole_record_without_a_line_end_is_taken_and_a_torn_one_is_left() -> None:
    data = line(1) + b"\n" + line(2)
    reader = claude_code.open(Path("x.jsonl"))
    assert [record.native_id for record in reader.feed(data[:-1], 0, last=True)] == ["u1"]
    assert reader.consumed == len(line(1)) + 1
    assert [record.native_id for record in reader.feed(data[-1:], len(data) - 1, last=True)] == [
        "u2"
    ]
    assert reader.consumed == len(data)


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (line(2).replace(b"prompt", b"\xff"), "invalid UTF-8"),
        (line(2).replace(b"prompt", b"a\x00b"), "control character 0x00"),
        (line(2)[:-1] + b', "x": NaN}', "a number that JSON does not have"),
        (line(2)[:-1] + b', "x": 1e999}', "a number that JSON does not have"),
    ],
)
def test_a_record_that_is_no_json_keeps_its_bytes_and_its_facts(damage: bytes, note: str) -> None:
    data = line(1) + b"\n" + damage + b"\n" + line(3) + b"\n"
    first, second, third = read_bytes(data)
    assert (second.kind, second.format, second.native_id) == (Kind.UNKNOWN, "raw", "u2")
    assert note in (second.note or "")
    assert body(data, second) == damage
    assert [first.kind, third.kind] == [Kind.MESSAGE] * 2


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (line(2)[:40], "torn"),
        (b"\x00" * 4096, "hole of 4096 NUL bytes"),
        (b"[1, 2]", "JSON, but not an object"),
        (b"Segmentation fault", "not JSON"),
        (line(2)[:-1] + b', "x": ' + b"[" * 300 + b"]" * 300 + b"}", "nested 301 levels"),
        (line(2)[:-1] + b', "x": ' + b"[" * 99999 + b"]" * 99999 + b"}", "nested 100000 levels"),
        (b"[" * 99999, "not JSON"),
    ],
)
def test_what_cannot_be_read_is_kept_between_its_neighbours(damage: bytes, note: str) -> None:
    data = line(1) + b"\n" + damage + b"\n" + line(3) + b"\n"
    first, second, third = read_bytes(data)
    assert (second.kind, second.format) == (Kind.UNKNOWN, "raw")
    assert note in (second.note or "")
    assert body(data, second) == damage
    assert [first.native_id, third.native_id] == ["u1", "u3"]


def test_glued_records_are_two_and_one_glued_to_a_torn_one_is_saved() -> None:
    data = line(1) + line(2) + line(3)[:50] + line(4) + b"\n"
    records = read_bytes(data)
    assert [record.native_id for record in records] == ["u1", "u2", None, "u4"]
    assert body(data, records[3]) == line(4)
    assert body(data, records[2]) == line(3)[:50]


def test_a_part_of_a_torn_record_is_not_taken_for_a_record() -> None:
    torn = line(1, toolUseResult={"type": "text", "file": {"name": "a"}})[:-1]
    (record,) = read_bytes(torn + b"\n")
    assert "torn" in (record.note or "")


def test_half_a_surrogate_pair_is_still_a_message() -> None:
    data = line(1).replace(b"prompt", rb"cut \ud83d")
    (record,) = read_bytes(data)
    assert (record.kind, record.format) == (Kind.MESSAGE, "claude-code")
    assert decode(parse(body(data, record))).text == "cut � 1"


def test_the_last_of_two_equal_keys_counts() -> None:
    data = line(1)[:-1] + b', "uuid": "u1b"}'
    assert read_bytes(data)[0].native_id == "u1b"


def test_a_line_longer_than_the_limit_is_kept_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LINE_BYTES_MAX", 1000)
    data = b'{"type": "' + b"x" * 2500 + b'"}\n' + line(2) + b"\n"
    records = read_bytes(data)
    assert [record.length for record in records[:2]] == [1000, 1000]
    assert records[-1].native_id == "u2"
    assert sum(record.length for record in records) == len(data) - 2


def test_a_hostile_line_costs_linear_time() -> None:
    data = b'{"a":' * 40_000 + b"\n" + line(2)
    assert [record.native_id for record in read_bytes(data)] == [None, "u2"]


# --- what records say --------------------------------------------------------------------


def test_usage_of_one_call_has_one_key_and_an_unnamed_one_its_record() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2}
    said = {"role": "assistant", "content": [], "model": "claude-x", "usage": usage}
    named = line(1, type="assistant", requestId="r", message={"id": "m", **said})
    lone = line(2, type="assistant", message={"id": "m", **said})
    unnamed = line(3, type="assistant", message=said)
    records = read_bytes(b"\n".join([named, lone, unnamed]))
    keys = [record.usage.key for record in records if record.usage]
    assert keys == ["m/r", "m/", "u3"]
    assert [record.message_id for record in records] == ["m", "m", None]


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        "text",
        {},
        {"type": []},
        {"type": "user", "message": None},
        {"type": "user", "message": {"content": {"a": 1}}},
        {"type": "assistant", "message": {"role": "goblin", "content": [1, None, {}]}},
        {"type": "attachment", "attachment": 3},
        {"type": "attachment", "attachment": {"type": "queued_command", "prompt": [None]}},
        {"type": "system", "content": ["x"], "timestamp": "yesterday"},
        {"type": "user", "timestamp": "0001-01-01T00:00:00+23:59"},
    ],
)
def test_an_odd_record_reads_as_unknown_and_never_fails(value: Any) -> None:
    message = shapes.decode("claude-code", value)
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
                | st.sampled_from(["user", "assistant", "system", "attachment", "summary"])
                | st.sampled_from(["queued_command", "compact_boundary", "text", "tool_use"]),
                max_size=6,
            )
        ),
        max_leaves=30,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_object_stops_the_reader(value: Any) -> None:
    data = msgspec.json.encode(value) + b"\n"
    for record in read_bytes(data):
        if record.format == "claude-code":
            assert decode(parse(body(data, record))).parts is not None


def test_the_record_keeps_both_results_and_the_message_the_models() -> None:
    content = [{"type": "tool_result", "tool_use_id": "t", "content": "short"}]
    value = json.loads(line(1, message={"role": "user", "content": content}, toolUseResult={}))
    message = decode(value)
    assert message.parts == (ToolResult("t", (Text("short"),)),)
    assert message.format == "anthropic"


# --- where the files are -----------------------------------------------------------------


def test_roots_follow_the_environment(tmp_path: Path) -> None:
    for folder in (".claude", ".config/claude", "one", "two"):
        (tmp_path / folder / "projects").mkdir(parents=True)
    old, older = tmp_path / ".claude/projects", tmp_path / ".config/claude/projects"
    assert claude_code.roots(tmp_path, {}) == [old, older]
    told = {"CLAUDE_CONFIG_DIR": f"{tmp_path}/one, {tmp_path}/two,{tmp_path}/none"}
    assert claude_code.roots(tmp_path, told) == [
        tmp_path / "one/projects",
        tmp_path / "two/projects",
    ]
    assert claude_code.roots(tmp_path / "nobody", {"CLAUDE_CONFIG_DIR": ""}) == []


@pytest.mark.parametrize(
    ("name", "content", "ours"),
    [
        ("a.jsonl", line(1), True),
        ("a.json", line(1), False),
        ("a.jsonl", b"", False),
        ("a.jsonl", b"\n\n" + line(1), True),
        ("a.jsonl", b'{"type":"summary","summary":"x","leafUuid":"y"}\n', True),
        ("a.jsonl", b'{"type":"file-history-snapshot","messageId":"m"}\n', True),
        ("a.jsonl", b'{"type":"permission-mode","sessionId":"s"}\n', True),
        ("a.jsonl", b'{"type":"session_meta","payload":{"id":"x"},"sessionId":"s"}', False),
        ("a.jsonl", b'{"type":"session","version":3,"id":"x"}', False),
        ("a.jsonl", b'{"type":"system","subtype":"init","sessionId":"s","id":"x"}', False),
        ("a.jsonl", line(1, message={"role": "user", "parts": [{"text": "qwen"}]}), False),
        ("a.jsonl", b'{"sessionId":"s","projectHash":"h","startTime":"t","kind":"main"}', False),
        ("history.jsonl", b'{"display":"x","timestamp":1,"project":"/p","sessionId":"s"}', False),
        ("a.jsonl", b'{"type":"user","sessionId":"s","x":"' + b"x" * 100_000 + b'"}', True),
        ("a.jsonl", b"\x00\xff not text", False),
    ],
)
def test_identify_looks_at_the_name_and_the_first_records(
    tmp_path: Path, name: str, content: bytes, ours: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert claude_code.identify(path) is ours
    assert (importers.identify(path) is claude_code) is ours


def test_discover_puts_mains_first_and_originals_before_copies(tmp_path: Path) -> None:
    project = tmp_path / "-srv-orchard"
    (project / "old" / "subagents").mkdir(parents=True)
    (project / "old" / "tool-results").mkdir()

    def write(name: str, session: str, *stamps: str, **more: Any) -> None:
        lines = [line(1, sessionId=session, timestamp=stamp, **more) for stamp in stamps]
        (project / name).write_bytes(b"\n".join(lines) + b"\n")

    write("agent-0.jsonl", "old", "2026-01-01T00:00:00.000Z")
    write("old/subagents/agent-9.jsonl", "old", "2026-01-02T00:00:00.000Z")
    write("old/tool-results/x.jsonl", "old", "2026-01-02T00:00:00.000Z")
    write("a-resumed.jsonl", "old", "2026-01-03T00:00:00.000Z", "2026-01-09T00:00:00.000Z")
    write("b-fork.jsonl", "b-fork", "2026-01-03T00:00:00.000Z", sessionKind="bg")
    write("c-later.jsonl", "c-later", "2026-01-03T00:00:00.000Z", "2026-01-08T00:00:00.000Z")
    write("old.jsonl", "old", "2026-01-03T00:00:00.000Z", "2026-01-04T00:00:00.000Z")
    write("new.jsonl", "new", "2026-02-01T00:00:00.000Z")
    (project / "notes.jsonl").write_bytes(b'{"a": 1}\n')
    names = [path.name for path in claude_code.discover(tmp_path)]
    assert names == [
        *["old.jsonl", "c-later.jsonl", "b-fork.jsonl", "a-resumed.jsonl", "new.jsonl"],
        *["agent-0.jsonl", "agent-9.jsonl"],
    ]
    assert list(claude_code.discover(project / "new.jsonl")) == [project / "new.jsonl"]


def test_a_sub_agent_without_its_meta_or_with_a_torn_one_still_has_its_parent(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "parent-id" / "subagents"
    folder.mkdir(parents=True)
    path = folder / "agent-7.jsonl"
    path.write_bytes(line(1))
    path.with_suffix(".meta.json").write_bytes(b'{"toolUseId": "t')
    origin = claude_code.open(path).origin
    assert (origin.kind, origin.parent, origin.parent_call) == ("subagent", "parent-id", None)
    assert origin.native_id == "parent-id/agent-7"


# --- an independent reader's facts -------------------------------------------------------

FACTS = ["records", "bad_lines", "glued_lines", "calls", "results", "compactions", "dup_uuids"]
FACTS += ["calls_without_result", "results_without_call", "sidechain"]
TOKENS = frozenset(
    ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
)

# Where the other reader and this one differ, and why this one is right:
#   agent-sessions/…           their tool_use blocks were trimmed of `id`: a call that nothing
#                              can answer is kept as an unknown block here
#   ccusage/…                  records without `type`: their usage is counted here
DIFFER = {
    "claude-code/agent-sessions/large.jsonl": {"calls", "results"},
    "claude-code/agent-sessions/small.jsonl": {"calls", "results"},
    "claude-code/agent-sessions/subagent/0a1b2c3d-4e5f-4061-8071-2a3b4c5d6e7f.jsonl": {
        *("calls", "calls_without_result")
    },
    "claude-code/agent-sessions/subagent/0a1b2c3d-4e5f-4061-8071-2a3b4c5d6e7f/subagents/"
    "agent-a0ad4f44468bdf20d.jsonl": {"calls", "results"},
    "claude-code/ccusage/projects/project-alpha/session-alpha/chat.jsonl": {"usage"},
    "claude-code/ccusage/projects/project-beta/session-beta/chat.jsonl": {"usage"},
}


def facts(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    records, _, consumed = read(path)
    count: Counter[str] = Counter()
    ids: Counter[str] = Counter()
    calls: list[str] = []
    results: list[str] = []
    models: set[str] = set()
    usage: dict[str | None, Counter[str]] = {}
    before = 0
    for record in records:
        understood = record.format != "raw" or record.native_id is not None
        if not understood:
            # Holes and JSON that is no object are neither records nor bad lines there.
            count["bad_lines"] += "torn" in str(record.note) or record.note == "not JSON"
            continue
        count["records"] += 1
        count["glued_lines"] += before > 0 and b"\n" not in data[before : record.start]
        before = record.start + record.length
        count["compactions"] += record.kind is Kind.COMPACTION
        ids.update([record.native_id] if record.native_id else [])
        if record.usage:
            usage[record.usage.key] = usage.get(record.usage.key, Counter()) | Counter(
                input_tokens=record.usage.input,
                output_tokens=record.usage.output,
                cache_read_input_tokens=record.usage.cache_read,
                cache_creation_input_tokens=record.usage.cache_write,
            )
        if record.format == "raw":
            continue
        value = parse(body(data, record))
        count["sidechain"] += value.get("isSidechain") is True
        message = decode(value)
        models.update([message.model] if message.model and record.role == "assistant" else [])
        calls += [call.id for call in message.tool_calls]
        results += [result.call_id for result in message.tool_results]
    return {
        **{name: count[name] for name in FACTS},
        "bad_lines": count["bad_lines"] + bool(data[consumed:].strip()),
        "calls": len(calls),
        "results": len(results),
        "calls_without_result": len(set(calls) - set(results)),
        "results_without_call": len(set(results) - set(calls)),
        "dup_uuids": sum(times > 1 for times in ids.values()),
        "models": sorted(models),
        "usage": dict(sum(usage.values(), Counter())),
    }


def test_the_facts_of_all_fixtures_are_those_of_an_independent_reader() -> None:
    table = FIXTURES / "EXPECTED.json"
    if not table.exists():
        pytest.skip("the shared fixtures are not here: their facts cannot be compared")
    expected = {
        name: row
        for name, row in json.loads(table.read_text()).items()
        if name.startswith("claude-code/")
    }
    assert len(expected) > 200
    for name, row in expected.items():
        found = facts(FIXTURES / name)
        usage = {key: value for key, value in row["usage"].items() if value and key in TOKENS}
        wanted = {key: row[key] for key in (*FACTS, "models")} | {"usage": usage}
        wrong = {key for key in wanted if found[key] != wanted[key]}
        assert wrong == DIFFER.get(name, set()), (name, found, wanted)


# --- the bundled samples -----------------------------------------------------------------


def test_the_bundled_samples_are_what_their_script_writes(tmp_path: Path) -> None:
    script = REPO / "scripts" / "make_samples.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    folder = SAMPLES.parent
    kept = {path.relative_to(folder.parent) for path in folder.rglob("*") if path.is_file()}
    assert written == kept
    for path in written:
        assert (tmp_path / path).read_bytes() == (folder.parent / path).read_bytes(), path


def test_the_bundled_samples_show_what_they_are_for() -> None:
    files = list(claude_code.discover(SAMPLES))
    assert len(files) == 7, "with what stands beside the agent"
    long, forked, *_, agent, beside = (read(path)[0] for path in files)
    words = [body(files[0].read_bytes(), record).decode() for record in long]
    cut = next(at for at, record in enumerate(long) if record.kind is Kind.COMPACTION)
    assert any("must keep column `legacy_ref`" in each for each in words[:cut])
    assert decode(json.loads(words[cut + 1])).summary
    assert "legacy_ref" not in words[cut + 1]
    shared = {record.native_id for record in long} & {record.native_id for record in forked}
    assert len(shared) > 8
    origin = read(files[-2])[1]
    assert origin.parent == files[0].stem
    assert f'"id":"{origin.parent_call}"' in "".join(words)
    assert agent
    assert beside == [], "no history: its bytes are kept"
    torn = [path for path in files if read(path)[2] < path.stat().st_size]
    assert len(torn) == 1
