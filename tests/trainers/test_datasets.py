"""`datasets.load_dataset` gives rows back as they were written, arguments and all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from exported import WHY, read

datasets = pytest.importorskip("datasets", reason=WHY)

TEXT_FORMATS = ("openai", "sharegpt", "llama-factory")
OBJECT_FORMATS = ("trl", "trl-turns", "anthropic", "dpo", "kto")


def _loaded(kind: str, path: Path, cache: Path) -> Any:
    return datasets.load_dataset(
        kind, data_files=str(path), split="train", cache_dir=str(cache / "cache")
    )


def _without_nulls(value: Any) -> Any:
    """Arrow gives every message the keys of all others, as nulls; templates skip those."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", [*TEXT_FORMATS, *OBJECT_FORMATS])
def test_rows_come_back_from_lines(exports: Path, tmp_path: Path, name: str) -> None:
    path = exports / f"{name}.jsonl"
    wanted = read(path)
    found = [dict(row) for row in _loaded("json", path, tmp_path)]
    assert [_without_nulls(row) for row in found] == [_without_nulls(row) for row in wanted]


def test_arguments_are_exactly_those_of_the_model(exports: Path, tmp_path: Path) -> None:
    """No call gets the keys of another tool's, no number becomes text."""
    path = exports / "trl.jsonl"

    def arguments(rows: Any) -> list[Any]:
        return [
            call["function"]["arguments"]
            for row in rows
            for message in row["messages"]
            for call in message.get("tool_calls") or ()
        ]

    wanted = arguments(read(path))
    assert {"command": "ls -la", "timeout": 1690} in wanted
    assert arguments(_loaded("json", path, tmp_path)) == wanted


def test_tables_come_back(exports: Path, tmp_path: Path) -> None:
    wanted = read(exports / "native.jsonl")
    found = _loaded("parquet", exports / "parquet.parquet", tmp_path)
    assert [row["session_id"] for row in found] == [row["session_id"] for row in wanted]
    assert [json.loads(row["messages"]) for row in found] == [row["messages"] for row in wanted]
    assert [json.loads(row["tools"]) for row in found] == [row["tools"] for row in wanted]
    assert "timestamp[us, tz=UTC]" in str(found.features["started_at"])
