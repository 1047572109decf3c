"""Rules of training formats: each has rows that keep it and rows that break it."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checking_rows import GONE, GOOD, TOOLS, Row, changed, native
from clew.exporters import formats
from clew.exporters.base import Problem, line
from clew.exporters.checking import files
from clew.exporters.checking import native as native_rules
from clew.exporters.checking.guess import candidates
from clew.exporters.checking.quick import fine
from clew.exporters.checking.rules import PROBLEMS_MAX, RULES

PAPER = Path(__file__).resolve().parent.parent / "docs" / "validation.md"


def rules_of(name: str, row: Row) -> list[str]:
    check = formats.named(name).check
    assert check is not None
    return [problem.rule for problem in check(row)]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_row_has_no_problem(name: str) -> None:
    check = formats.named(name).check
    assert check is not None
    assert check(GOOD[name]()) == []


def test_every_format_with_rules_has_a_good_row() -> None:
    lines = {name for name, one in formats.FORMATS.items() if one.check and not one.table}
    assert set(GOOD) == lines


_MANY = [{"type": "function", "function": {"name": f"t{i}"}} for i in range(128)]
_DOUBLE = "messages/2/tool_calls/1/id"
_ARGS = "messages/2/tool_calls/0/function/arguments"
_TELL = "messages/1/telemetry"
_BOMB: Row = {
    "$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    | {"d40": {}},
    "$ref": "#/$defs/d0",
}
_RESULT: Row = {"type": "tool_result", "tool_use_id": "c1", "content": "a.txt"}
_IMAGE: Row = {"type": "image", "source": {"media_type": "image/png", "path": "a.png"}}

AGAIN = object()
BROKEN: list[tuple[str, str, list[Any], str]] = [
    # rule, format, changes, where
    ("other-format", "native", ["schema", "other/1"], "schema"),
    ("key-missing", "trl", ["messages", GONE], "messages"),
    ("key-missing", "openai", ["messages", GONE], "messages"),
    ("key-missing", "native", ["outcome", GONE], "outcome"),
    ("key-missing", "native", ["messages/2/is_error", GONE], "messages/2/is_error"),
    ("key-missing", "native", ["messages/0/segment", GONE], "messages/0/segment"),
    ("key-missing", "native", [f"{_TELL}/cached", GONE], f"{_TELL}/cached"),
    ("key-missing", "anthropic", ["messages", GONE], "messages"),
    ("key-missing", "sharegpt", ["conversations", GONE], "conversations"),
    ("key-missing", "atif", ["agent/version", GONE], "agent/version"),
    ("key-missing", "dpo", ["chosen", GONE], "chosen"),
    ("key-missing", "kto", ["label", GONE], "label"),
    ("key-missing", "openai-preference", ["input", GONE], "input"),
    ("key-missing", "sts", ["lines/0/harness", GONE], "lines/0/harness"),
    ("key-missing", "sts", ["lines/0", GONE], "lines/0"),
    ("key-unknown", "openai", ["session_id", "s1"], "session_id"),
    ("key-unknown", "openai", ["messages/1/train", True], "messages/1/train"),
    ("key-unknown", "openai-preference", ["input/session_id", "s1"], "input/session_id"),
    ("key-unknown", "atif", ["steps/0/tier", "SIMPLE"], "steps/0/tier"),
    ("type", "trl", ["tools", "[]"], "tools"),
    ("type", "trl", ["messages", {}], "messages"),
    ("type", "trl", ["messages/1", "hello"], "messages/1"),
    ("type", "openai", ["parallel_tool_calls", "no"], "parallel_tool_calls"),
    ("type", "kto", ["label", 1], "label"),
    ("type", "native", ["tokens_in", "250"], "tokens_in"),
    ("type", "native", ["messages/1/reasoning_content", None], "messages/1/reasoning_content"),
    ("type", "native", ["notes/lost_results", True], "notes/lost_results"),
    ("type", "native", ["subagents/0", "s2"], "subagents/0"),
    ("type", "llama-factory", ["tools", TOOLS], "tools"),
    ("type", "atif", ["steps/1/observation", []], "steps/1/observation"),
    ("type", "sharegpt", ["conversations", {}], "conversations"),
    ("type", "sts", ["lines/2/message/timestamp", "x"], "lines/2/message/timestamp"),
    ("value", "native", ["outcome", "great"], "outcome"),
    ("value", "native", ["tokens_in", -1], "tokens_in"),
    ("value", "native", ["tools_source", "guessed"], "tools_source"),
    ("value", "native", ["tools_source", "none"], "tools_source"),
    ("value", "native", ["messages/2/status", "gone"], "messages/2/status"),
    ("value", "atif", ["schema_version", "ATIF-v2.0"], "schema_version"),
    ("no-messages", "trl", ["messages", []], "messages"),
    ("no-messages", "anthropic", ["messages", []], "messages"),
    ("no-messages", "atif", ["steps", []], "steps"),
    ("no-messages", "llama-factory", ["conversations", []], "conversations"),
    ("role", "trl", ["messages/1/role", "developer"], "messages/1/role"),
    ("role", "trl", ["messages/1/role", None], "messages/1/role"),
    ("role", "anthropic", ["messages/0/role", "system"], "messages/0/role"),
    ("role", "sharegpt", ["conversations/1/from", "user"], "conversations/1/from"),
    ("role", "atif", ["steps/0/source", "tool"], "steps/0/source"),
    ("role", "sts", ["lines/1/message/role", "human"], "lines/1/message/role"),
    (
        "role",
        "openai-preference",
        ["preferred_output/1", {"role": "user", "content": "and?"}],
        "preferred_output/1/role",
    ),
    ("role-order", "anthropic", ["messages/0", GONE], "messages/0/role"),
    ("role-order", "anthropic", ["messages/3/role", "user"], "messages/3/role"),
    ("role-order", "llama-factory", ["conversations/2/from", "human"], "conversations/2/from"),
    ("role-order", "llama-factory", ["conversations/3", GONE], "conversations"),
    ("role-order", "sharegpt", ["conversations/3/from", "gpt"], "conversations/3/from"),
    ("system-first", "trl", ["messages/1/role", "system"], "messages/1"),
    ("system-first", "sharegpt", ["conversations/1/from", "system"], "conversations/1/from"),
    ("content", "trl", ["messages/1/content", None], "messages/1/content"),
    ("content", "trl", ["messages/2/content", GONE], "messages/2/content"),
    ("content", "trl", ["messages/1/content", [{"type": "text"}]], "messages/1/content"),
    ("content", "openai", ["messages/5/content", GONE], "messages/5/content"),
    ("content", "openai", ["messages/1/content", [{"type": "audio"}]], "messages/1/content/0"),
    ("content", "openai", ["messages/1/content", [{"type": "text"}]], "messages/1/content/0/text"),
    ("key-unknown", "native", ["mood", "good"], "mood"),
    ("key-unknown", "native", ["messages/0/mood", "good"], "messages/0/mood"),
    ("key-missing", "native", ["notes", {}], "notes/lost_results"),
    ("value", "native", ["branch", "x"], "branch"),
    ("value", "native", ["branch_id", "zz"], "branch_id"),
    ("value", "native", ["forked_from", "nonsense"], "forked_from"),
    ("value", "native", ["outcome_source", "me"], "outcome_source"),
    ("value", "native", ["redaction/n", -1], "redaction/n"),
    ("time", "native", ["messages/0/time", "2026-05-03T10:11:11.999Z"], "messages/0/time"),
    ("time", "native", ["messages/0/time", "2026-05-03T10:11:14.001Z"], "messages/0/time"),
    ("totals", "native", ["notes/lost_results", 3], "notes/lost_results"),
    ("content", "native", ["messages/5/content/1/type", "video"], "messages/5/content/1"),
    ("content", "native", ["messages/3/content", []], "messages/3/content"),
    ("content", "anthropic", ["system", 1], "system"),
    ("content", "anthropic", ["messages/0/content", None], "messages/0/content"),
    ("content", "anthropic", ["messages/0/content/0/text", None], "messages/0/content/0/text"),
    ("content", "anthropic", ["messages/1/content/0/type", "image"], "messages/1/content/0"),
    ("content", "anthropic", ["messages/2/content/0/content", 1], "messages/2/content/0/content"),
    ("content", "atif", ["steps/2/message/0/type", "video"], "steps/2/message/0"),
    ("content", "atif", ["steps/2/message/0", _IMAGE | {"text": ""}], "steps/2/message/0"),
    ("content", "sharegpt", ["conversations/1/value", None], "conversations/1/value"),
    ("content", "sts", ["lines/1/message/content", None], "lines/1/message/content"),
    ("content-empty", "anthropic", ["messages/3/content", " "], "messages/3/content"),
    ("content-empty", "anthropic", ["messages/0/content/0/text", ""], "messages/0/content/0/text"),
    ("no-answer", "trl", ["messages/2/train", False, "messages/5/train", False], "messages"),
    ("no-answer", "openai", ["messages/2/weight", 0, "messages/5/weight", 0], "messages"),
    ("no-answer", "dpo", ["chosen", [{"role": "user", "content": "and?"}]], "chosen"),
    (
        "no-answer",
        "openai-preference",
        ["preferred_output", [{"role": "tool", "content": "", "tool_call_id": "c1"}]],
        "preferred_output",
    ),
    ("no-answer", "llama-factory", ["conversations", [{"from": "human", "value": "a"}]], ""),
    ("no-answer", "anthropic", ["messages", [{"role": "user", "content": "a"}]], "messages"),
    ("last-answer", "openai", ["messages/5", GONE], "messages"),
    ("weight", "openai", ["messages/2/weight", 0.5], "messages/2/weight"),
    ("weight", "openai", ["messages/1/weight", 1], "messages/1/weight"),
    ("call", "trl", ["messages/2/tool_calls", []], "messages/2/tool_calls"),
    ("call", "trl", ["messages/5/tool_calls", "c1"], "messages/5/tool_calls"),
    ("call", "trl", ["messages/2/tool_calls/0", "c1"], "messages/2/tool_calls/0"),
    ("call", "trl", ["messages/1/tool_calls", []], "messages/1/tool_calls"),
    ("call", "trl", ["messages/2/tool_calls/0/function/name", ""], ""),
    ("call", "atif", ["steps/1/tool_calls/0", "c1"], "steps/1/tool_calls/0"),
    ("call-id", "trl", ["messages/2/tool_calls/0/id", None], "messages/2/tool_calls/0/id"),
    ("call-id", "anthropic", ["messages/1/content/1/id", "c 1"], "messages/1/content/1/id"),
    ("call-id-repeated", "trl", [_DOUBLE, "c1"], _DOUBLE),
    ("call-id-repeated", "atif", ["steps/1/tool_calls/1", AGAIN], ""),
    ("call-id-repeated", "anthropic", ["messages/1/content/2", AGAIN], ""),
    ("call-name", "openai", ["tools/0/function/name", "a.b"], "tools/0"),
    ("call-name", "openai", ["messages/2/tool_calls/0/function/name", "a b"], ""),
    ("call-name", "anthropic", ["messages/1/content/1/name", "a b"], "messages/1/content/1/name"),
    ("arguments-type", "trl", [_ARGS, '{"command":"ls"}'], _ARGS),
    ("arguments-type", "openai", [_ARGS, {"command": "ls"}], _ARGS),
    ("arguments-type", "native", ["messages/1/tool_calls/0/function/arguments", None], ""),
    ("arguments-type", "anthropic", ["messages/1/content/1/input", "{}"], ""),
    ("arguments-json", "openai", [_ARGS, '{"command"'], _ARGS),
    ("arguments-json", "openai", [_ARGS, "[1]"], _ARGS),
    ("arguments-json", "native", ["messages/1/tool_calls/0/function/arguments", "ls"], ""),
    ("arguments-schema", "trl", [f"{_ARGS}/command", 3], _ARGS),
    ("arguments-schema", "openai", [_ARGS, '{"cmd":"ls"}'], _ARGS),
    ("arguments-schema", "native", ["messages/1/tool_calls/0/function/arguments", "{}"], ""),
    ("arguments-schema", "anthropic", ["messages/1/content/1/input/timeout", 1], ""),
    ("arguments-schema", "atif", ["steps/1/tool_calls/0/arguments", {}], ""),
    (
        "arguments-schema",
        "llama-factory",
        ["conversations/1/value", '{"name":"Bash","arguments":{"command":1}}'],
        "conversations/1/value",
    ),
    ("arguments-cost", "trl", ["tools/0/function/parameters", _BOMB], _ARGS),
    ("result-missing", "trl", ["messages/4", GONE], "messages/2/tool_calls/1"),
    ("result-missing", "trl", ["messages/5", GONE, "messages/4", GONE], "messages/2/tool_calls/1"),
    ("result-missing", "openai", ["messages/4", GONE], "messages/2/tool_calls/1"),
    ("result-missing", "native", ["messages/2/role", "user"], "messages/1/tool_calls/0"),
    ("result-missing", "anthropic", ["messages/2/content/0", GONE], "messages/2"),
    ("result-missing", "atif", ["steps/1/observation", None], "steps/1/tool_calls/0"),
    ("result-missing", "sharegpt", ["conversations/3/value", "a"], "conversations/3/value"),
    ("result-missing", "sts", ["lines/3/message/role", "user"], "lines/2/message/toolCalls/0"),
    ("result-missing", "dpo", ["chosen/2", GONE], "chosen/0/tool_calls/1"),
    ("result-orphan", "trl", ["messages/3/tool_call_id", "c9"], "messages/3/tool_call_id"),
    ("result-orphan", "trl", ["messages/3/tool_call_id", None], "messages/3/tool_call_id"),
    ("result-orphan", "anthropic", ["messages/2/content/0/tool_use_id", "c9"], ""),
    ("result-orphan", "atif", ["steps/1/observation/results/0/source_call_id", "c9"], ""),
    ("result-orphan", "sharegpt", ["conversations/2/value", "ls"], "conversations/3/value"),
    ("result-repeated", "trl", ["messages/4/tool_call_id", "c1"], "messages/4/tool_call_id"),
    ("result-repeated", "anthropic", ["messages/2/content/1", AGAIN], ""),
    ("result-repeated", "atif", ["steps/1/observation/results/1", AGAIN], ""),
    (
        "result-order",
        "trl",
        ["messages/3/tool_call_id", "c2", "messages/4/tool_call_id", "c1"],
        "messages/3/tool_call_id",
    ),
    (
        "result-order",
        "anthropic",
        ["messages/2/content/2", _RESULT, "messages/2/content/0", GONE],
        "messages/2/content/1",
    ),
    ("result-name", "trl", ["messages/3/name", "Read"], "messages/3/name"),
    ("result-name", "trl", ["messages/3/name", GONE], "messages/3/name"),
    ("parallel", "openai", ["parallel_tool_calls", False], "messages/2/tool_calls"),
    ("tools-missing", "trl", ["tools", GONE], "tools"),
    ("tools-missing", "openai", ["tools", []], "tools"),
    ("tools-missing", "anthropic", ["tools", GONE], "tools"),
    ("tools-missing", "atif", ["agent/tool_definitions", None], "agent/tool_definitions"),
    ("tools-missing", "llama-factory", ["tools", ""], "tools"),
    ("tools-missing", "sharegpt", ["conversations/0/value", "Be brief."], "tools"),
    ("tool", "trl", ["tools/0", {"name": "Bash"}], "tools/0"),
    ("tool", "trl", ["tools/0/function/name", None], "tools/0"),
    ("tool", "trl", ["tools/0/function/description", None], "tools/0"),
    ("tool-repeated", "trl", ["tools/1", TOOLS[0]], "tools/1"),
    ("tool-schema", "trl", ["tools/0/function/parameters", "{}"], "tools/0"),
    ("tool-schema", "trl", ["tools/0/function/parameters/type", "string"], "tools/0"),
    ("tool-schema", "trl", ["tools/0/function/parameters/required", "command"], "tools/0"),
    ("tool-schema", "native", ["tools/0/function/parameters/properties", []], "tools/0"),
    ("tool-schema", "anthropic", ["tools/0/input_schema", GONE], "tools/0"),
    ("tool-schema", "llama-factory", ["tools", '[{"name":"Bash","description":""}]'], "tools/0"),
    ("tool-unknown", "trl", ["messages/2/tool_calls/0/function/name", "Read"], ""),
    ("tool-unknown", "native", ["tools/0/function/name", "Read"], ""),
    ("tool-unknown", "atif", ["steps/1/tool_calls/0/function_name", "Read"], ""),
    ("tools-many", "openai", ["tools", [*_MANY, TOOLS[0]]], "tools"),
    ("message-id", "native", ["messages/1/id", "m3"], "messages/1/id"),
    ("train", "native", ["messages/0/train", True], "messages/0/train"),
    ("train", "native", ["messages/0/sampled", True], "messages/0/sampled"),
    ("train", "native", ["messages/3/meta", True], "messages/3/sampled"),
    ("train", "native", ["messages/6/train_rule", GONE], "messages/6/train_rule"),
    ("train", "native", ["messages/3/train_rule", "empty"], "messages/3/train_rule"),
    ("train", "native", ["messages/0/telemetry", {}], "messages/0/telemetry"),
    ("lost-result", "native", ["messages/2/status", "lost"], "messages/2/content"),
    (
        "lost-result",
        "native",
        ["messages/2/status", "lost", "messages/2/content", '{"status":"lost"}'],
        "messages/3/train",
    ),
    ("segments", "native", ["segments/1/first", 3], "segments/1/first"),
    ("segments", "native", ["segments/1/count", 2], "segments"),
    ("segments", "native", ["segments/1/segment", 0], "segments/1/segment"),
    ("segments", "native", ["segments/0", None], "segments/0"),
    ("segments", "native", ["messages/3/segment", 1], "messages/3/segment"),
    ("time", "native", ["started_at", "2026-05-03T10:11:12Z"], "started_at"),
    ("time", "native", ["ended_at", "2026-05-03T10:11:11.000Z"], "ended_at"),
    ("time", "native", ["messages/0/time", "2026-05-03T10:11:12.000+02:00"], "messages/0/time"),
    ("time", "atif", ["steps/1/timestamp", "yesterday"], "steps/1/timestamp"),
    ("summary", "native", ["tool_calls", []], "tool_calls"),
    ("summary", "native", ["tool_calls/0/id", "c2"], "tool_calls/0"),
    ("summary", "native", ["tool_calls/0/status", "error"], "tool_calls/0/status"),
    ("totals", "native", ["tokens_in", 199], "tokens_in"),
    ("totals", "native", ["tokens_cache_read", None], "tokens_cache_read"),
    ("totals", "atif", ["final_metrics/total_steps", 4], "final_metrics/total_steps"),
    ("totals", "atif", ["final_metrics/total_cost_usd", 0.2], "final_metrics/total_cost_usd"),
    ("pair", "dpo", ["rejected/0", {"role": "user", "content": "a"}], "rejected/0/role"),
    ("pair", "kto", ["prompt/2", {"role": "assistant", "content": "a"}], "prompt"),
    (
        "pair",
        "openai-preference",
        ["non_preferred_output/0/content", "There is a.txt."],
        "non_preferred_output",
    ),
    (
        "pair",
        "openai-preference",
        ["input/messages", [{"role": "assistant", "content": "a"}]],
        "input/messages",
    ),
    ("steps", "atif", ["steps/1/step_id", 3], "steps/1/step_id"),
    ("agent-only", "atif", ["steps/0/reasoning_content", "a"], "steps/0/reasoning_content"),
    ("agent-only", "atif", ["steps/1/llm_call_count", 0], "steps/1/metrics"),
    ("subagent", "atif", ["subagent_trajectories", [GOOD["atif"]() | {"trajectory_id": None}]], ""),
    (
        "subagent",
        "atif",
        ["steps/1/observation/results/0/subagent_trajectory_ref", [{"trajectory_id": "s2"}]],
        "steps/1/observation/results/0/subagent_trajectory_ref/0",
    ),
    ("markup", "sharegpt", ["conversations/2/value", "<tool_call>{"], "conversations/2/value"),
    ("markup", "sharegpt", ["conversations/2/value", "<tool_call>1</tool_call>"], ""),
    ("markup", "sharegpt", ["conversations/4/value", "so </think> yes"], ""),
    ("markup", "sharegpt", ["conversations/0/value", "<tools>{x</tools>"], "conversations/0/value"),
    ("markup", "llama-factory", ["conversations/1/value", "ls"], "conversations/1/value"),
    ("markup", "llama-factory", ["tools", "Bash"], "tools"),
]


def _broken(name: str, changes: list[Any]) -> Row:
    """The row with the changes; `AGAIN` stands for a copy of the item before."""
    row = GOOD[name]()
    for path, value in zip(changes[::2], changes[1::2], strict=True):
        if value is AGAIN:
            above, _, number = path.rpartition("/")
            before: Any = row
            for step in (*above.split("/"), int(number) - 1):
                before = before[int(step) if isinstance(before, list) else step]
            value = copy.deepcopy(before)
        row = changed(row, path, value)
    return row


@pytest.mark.parametrize(("rule", "name", "changes", "where"), BROKEN)
def test_a_broken_row_is_told(rule: str, name: str, changes: list[Any], where: str) -> None:
    check = formats.named(name).check
    assert check is not None
    found = check(_broken(name, changes))
    places = [problem.where for problem in found if problem.rule == rule]
    assert places, found
    assert where == "" or where in places
    assert all(problem.text and problem.rule in RULES for problem in found)


# --- what is allowed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        # What is not to be learned may be wrong.
        ("trl", ["messages/2/train", False, f"{_ARGS}/command", 3]),
        ("openai", ["messages/2/weight", 0, _ARGS, "ls"]),
        ("atif", ["steps/1/is_copied_context", True, "steps/1/tool_calls/0/arguments", {}]),
        ("atif", ["steps/1/extra", {"train": False}, "steps/1/tool_calls/0/arguments", {}]),
        # Inferred schemas describe the calls of the row.
        (
            "native",
            ["tools_source", "inferred", "messages/1/tool_calls/0/function/arguments", "{}"],
        ),
        # Calls at the end are what is learned.
        ("openai", ["messages/5", GONE, "messages/4", GONE, "messages/3", GONE]),
        ("dpo", ["chosen/3", GONE, "chosen/2", GONE, "chosen/1", GONE]),
        ("anthropic", ["messages/3", GONE, "messages/2", GONE]),
        ("llama-factory", ["conversations/3", GONE, "conversations/2", GONE]),
        # The API matches results by id.
        ("openai", ["messages/3/tool_call_id", "c2", "messages/4/tool_call_id", "c1"]),
        ("openai", ["messages/1/content", [{"type": "image_url", "image_url": {"url": "a"}}]]),
        ("trl", ["messages", [{"role": "assistant", "content": "hi"}], "tools", GONE]),
        ("atif", ["steps/2/message/0", _IMAGE]),
        ("atif", ["final_metrics/total_steps", 9, "notes", "six were dropped"]),
        ("native", ["tokens_in", 900]),
        ("native", ["messages/3/time", "2026-05-03T10:11:12.345Z"]),
        ("llama-factory", ["conversations/1/value", '[{"name":"Bash","arguments":{}}]']),
        (
            "llama-factory",
            ["conversations/1/value", 'so: <tool_call>{"name":"Bash","arguments":{}}</tool_call>'],
        ),
        ("sts", ["lines/0/tools", [], "lines/2/message/toolCalls/0/function/name", "Read"]),
    ],
)
def test_a_row_that_is_only_unusual_is_fit(name: str, changes: list[Any]) -> None:
    assert rules_of(name, _broken(name, changes)) == []


def test_a_prompt_and_its_completion_are_a_row_of_trl() -> None:
    row = GOOD["dpo"]()
    row["completion"] = row.pop("chosen")
    assert rules_of("trl", row) == []
    assert rules_of("trl", changed(row, "completion/1", GONE)) == ["result-orphan"] * 0 + [
        "result-order",
        "result-missing",
    ]
    assert rules_of("trl", changed(row, "prompt", "list files")) == ["type"]


def test_what_is_wrong_with_what_was_asked_is_told_once() -> None:
    row = changed(GOOD["dpo"](), "prompt/1/content", None)
    assert rules_of("dpo", row) == ["content"]
    row = changed(GOOD["openai-preference"](), "input/messages/1/content", None)
    assert rules_of("openai-preference", row) == ["content"]


def test_trajectories_inside_one_another_are_looked_at_to_a_depth() -> None:
    row = GOOD["atif"]()
    for _ in range(20):
        row = GOOD["atif"]() | {"subagent_trajectories": [row]}
    assert rules_of("atif", row) == ["subagent"]
    inside = changed(GOOD["atif"](), "steps/0/message", None)
    assert [
        str(problem)
        for problem in _check("atif", GOOD["atif"]() | {"subagent_trajectories": [inside]})
    ] == ["subagent_trajectories/0/steps/0/message: is null: write a string or a list [type]"]


def test_of_many_problems_the_last_tells_how_many_more() -> None:
    row = GOOD["trl"]() | {"messages": [{"role": "user"}] * (PROBLEMS_MAX + 10)}
    found = _check("trl", row)
    assert len(found) == PROBLEMS_MAX
    assert "11 more problems" in found[-1].text


def _check(name: str, row: Row) -> list[Problem]:
    check = formats.named(name).check
    assert check is not None
    return check(row)


# --- hostile rows --------------------------------------------------------------------------

_WORDS = st.text(st.characters(exclude_characters="/"), max_size=3)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_WORDS, inner, max_size=2),
    max_leaves=3,
)


def _paths(value: Any, at: str = "") -> list[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    out = []
    for key, item in items:
        path = f"{at}/{key}" if at else str(key)
        out.append(path)
        out += _paths(item, path) if isinstance(item, dict | list) else []
    return out


@given(st.data())
def test_no_row_makes_a_check_fail(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(GOOD)))
    row = GOOD[name]()
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_paths(row)))
        row = changed(row, path, data.draw(st.just(GONE) | _JSON))
        if not _paths(row):
            break
    _check(name, row)
    candidates(row)


_LIKELY = st.sampled_from([GONE, None, True, False, 0, 1, 7, 2.5, "", "c1", "m2", "lost", "tool"])


@given(st.data())
def test_the_quick_look_takes_nothing_that_the_full_one_refuses(data: st.DataObject) -> None:
    row = native()
    row["messages"][5]["content"] = "now?"
    assert fine(row)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_paths(row)))
        row = changed(row, path, data.draw(_LIKELY | _JSON))
    assert not fine(row) or native_rules.check_fully(row) == []


@pytest.mark.parametrize("changes", [one[2] for one in BROKEN if one[1] == "native"])
def test_the_quick_look_refuses_what_is_broken(changes: list[Any]) -> None:
    assert not fine(_broken("native", changes))


# --- files ---------------------------------------------------------------------------------


def _lines(name: str, *data: bytes) -> tuple[list[tuple[int, str, str]], files.Tally]:
    reader = files.Reader(formats.named(name))
    stream = io.BytesIO(b"".join(data))
    found = [(one.line, one.problem.rule, one.problem.where) for one in reader.lines(stream.read)]
    return found, reader.tally


_GOOD_LINE = line(GOOD["trl"]())
IN_FILES: list[tuple[str, list[bytes], int]] = [
    ("key-repeated", [_GOOD_LINE.replace(b'{"messages":', b'{"messages":[],"messages":')], 1),
    ("encoding", [b"\xef\xbb\xbf", _GOOD_LINE], 1),
    ("encoding", [_GOOD_LINE, b'{"messages": "\xff"}\n'], 2),
    ("encoding", ['{"a": 1}'.encode("utf-16")], 1),
    ("json", [_GOOD_LINE, _GOOD_LINE[:-20]], 2),
    ("json", [b"{'messages': []}\n"], 1),
    ("json", [b'{"a":' * 5000], 1),
    ("json", [b'{"a": NaN}\n'], 1),
    ("object", [_GOOD_LINE, b"[]\n"], 2),
    ("object", [b"null\n"], 1),
    ("line-end", [_GOOD_LINE[:-1] + b"\r\n"], 1),
    ("line-end", [_GOOD_LINE.replace(b"brief", "brief\u2028".encode())], 1),
    ("blank-line", [_GOOD_LINE, b"\n", _GOOD_LINE], 2),
    ("no-rows", [b""], 1),
    ("other-format", [line(GOOD["openai"]())], 1),
    ("other-format", [line(GOOD["anthropic"]())], 1),
]


@pytest.mark.parametrize(("rule", "data", "number"), IN_FILES)
def test_a_broken_line_is_told_with_its_number(rule: str, data: list[bytes], number: int) -> None:
    found, tally = _lines("trl", *data)
    assert [(at, name) for at, name, _ in found] == [(number, rule)]
    assert tally.by_rule == {rule: 1}


def test_good_lines_have_no_problem_and_are_counted() -> None:
    found, tally = _lines("trl", _GOOD_LINE * 3, _GOOD_LINE[:-1])
    assert (found, tally.rows, tally.unfit) == ([], 4, 0)


def test_a_line_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LINE_BYTES_MAX", 3 << 20)
    for size in (3 << 20, 5 << 20):
        found, tally = _lines("trl", _GOOD_LINE, b"x" * size, b"y\n", _GOOD_LINE)
        assert [one[:2] for one in found] == [(2, "line-length")]
        assert (tally.rows, tally.unfit) == (3, 1)
    reader = files.Reader(formats.named("atif"))
    stream = io.BytesIO(b" " * (4 << 20))
    assert [one.problem.rule for one in reader.document(stream.read)] == ["line-length"]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_lines_are_the_same_however_they_are_read(size: int) -> None:
    reader = files.Reader(formats.named("trl"))
    stream = io.BytesIO(_GOOD_LINE + b"\n[]\n" + _GOOD_LINE)
    found = list(reader.lines(lambda most: stream.read(min(most, size))))
    assert [(one.line, one.problem.rule) for one in found] == [(2, "blank-line"), (3, "object")]


def test_a_trace_is_told_by_its_lines() -> None:
    good = GOOD["sts"]()["lines"]
    bad = changed({"lines": good}, "lines/3/message/toolCallId", "c9")["lines"]
    found, tally = _lines("sts", *map(line, good), *map(line, bad))
    assert found == [
        (8, "result-orphan", "message/toolCallId"),
        (7, "result-missing", "message/toolCalls/0"),
    ]
    assert (tally.rows, tally.unfit) == (2, 1)
    found, _ = _lines("sts", *map(line, good[1:]))
    assert found == [(1, "key-missing", "")]
    found, _ = _lines("sts", line(GOOD["sts"]()))
    assert found == []
    found, _ = _lines("sts", _GOOD_LINE)
    assert found == [(1, "other-format", "")]


def test_a_document_may_have_many_lines() -> None:
    reader = files.Reader(formats.named("atif"))
    text = msgspec.json.format(msgspec.json.encode(GOOD["atif"]()))
    assert list(reader.document(io.BytesIO(text).read)) == []
    assert (reader.tally.rows, reader.tally.unfit) == (1, 0)
    found = list(reader.document(io.BytesIO(b"{").read))
    assert [one.problem.rule for one in found] == ["json"]
    assert (reader.tally.rows, reader.tally.unfit) == (2, 1)


@pytest.mark.parametrize("name", GOOD)
def test_the_format_of_a_row_is_guessed(name: str) -> None:
    row = GOOD[name]()
    assert candidates(row) == {name}
    other = "native" if name != "native" else "trl"
    reader = files.Reader(formats.named(other))
    told = [one.problem.text for one in reader.rows([row])]
    if other == "native" or told:
        assert told == [f"is no {other} row; it looks like {name}: say --as {name}"]


def test_a_row_that_may_be_of_several_formats_is_not_held_to_be_another() -> None:
    row = {"messages": [{"role": "user", "content": "a"}]}
    assert candidates(row) == {"trl", "openai", "anthropic"}
    assert _lines("trl", line(row))[0] == [(1, "no-answer", "messages")]
    assert candidates({"a": 1}) == frozenset()
    assert candidates({"conversations": []}) == {"sharegpt", "llama-factory"}


# --- the paper -----------------------------------------------------------------------------


def test_every_rule_has_a_row_that_breaks_it() -> None:
    assert {one[0] for one in BROKEN} | {one[0] for one in IN_FILES} | {"line-length"} == set(RULES)


def test_the_paper_tells_every_rule() -> None:
    told = dict(re.findall(r"^\| `([a-z-]+)` \| (.+?) \|$", PAPER.read_text(), re.MULTILINE))
    assert told == RULES


@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("messages", '{"messages":', '{"messages":[],"messages":'),
        ("role", '{"role":"user",', '{"role":"assistant","role":"user",'),
    ],
)
def test_a_key_that_stands_twice_is_told(name: str, before: str, after: str, space: str) -> None:
    text = line(GOOD["trl"]()).decode().replace(before, after, 1).replace('":', f'":{space}')
    found, tally = _lines("trl", text.encode())
    assert found == [(1, "key-repeated", name)]
    assert tally.problems == 1


def test_what_stands_twice_in_different_objects_is_no_matter() -> None:
    row = changed(GOOD["trl"](), "messages/1/content", "\u00e9", "number", 1.5e300)
    data = json.dumps(row, indent=None).encode() + b"\n"
    assert b"\\u00e9" in data
    assert _lines("trl", data)[0] == []
