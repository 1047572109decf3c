"""Calls that do not fit the schema that their tool was recorded with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import clew
from clew import ExportOptions, Recipe

READ = {
    "type": "function",
    "function": {
        "name": "read",
        "description": "Read a file.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
        },
    },
}


def call(id: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": id, "name": "read", "input": arguments}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": id, "content": "words"}],
        },
    ]


def exported(tmp_path: Path, tools: list[Any], form: str = "native") -> list[dict[str, Any]]:
    with clew.open(tmp_path / "a.db") as ledger:
        if not ledger.sessions():
            session = ledger.create(config={"tools": tools})
            session.append({"role": "user", "content": "look"})
            session.extend([*call("one", {"file": 3}), *call("two", {"path": "a.txt"})])
            session.append({"role": "assistant", "content": "done"})
        out = tmp_path / "out.jsonl"
        options = ExportOptions(overwrite=True)
        ledger.export(Recipe(format=form), output=out, options=options)
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_a_call_that_does_not_fit_its_schema_costs_only_itself(tmp_path: Path) -> None:
    (row,) = exported(tmp_path, [READ])
    assert row["tools_source"] == "recorded"
    said = [one for one in row["messages"] if one["role"] == "assistant"]
    assert [one["train"] for one in said] == [False, True, True]
    assert said[0]["train_rule"] == "arguments-schema"
    (line,) = exported(tmp_path, [READ], "trl")
    assert next(one.get("train") for one in line["messages"] if one["role"] == "assistant") is False


def test_a_schema_that_is_none_costs_only_itself(tmp_path: Path) -> None:
    bad = {"type": "function", "function": {"name": "read", "parameters": {"type": "nonsense"}}}
    (row,) = exported(tmp_path, [bad])
    assert row["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert row["tools_source"] == "mixed"
    assert row["notes"]["bad_schemas"] == 1
    assert all(one["train"] for one in row["messages"] if one["role"] == "assistant")
