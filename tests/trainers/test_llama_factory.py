"""LLaMA-Factory takes every row: its converter skips none, its formatters read calls and tools."""

from __future__ import annotations

import importlib.machinery
import json
import os
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from exported import WHY, read

pytest.importorskip("torch", reason=WHY)
os.environ.setdefault("DISABLE_VERSION_CHECK", "1")
if "torchaudio" not in sys.modules:
    # It is imported for sounds, of which there are none here.
    sounds = types.ModuleType("torchaudio")
    sounds.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = sounds
converter = pytest.importorskip("llamafactory.data.converter", reason=WHY)
parser = pytest.importorskip("llamafactory.data.parser", reason=WHY)
formatter = pytest.importorskip("llamafactory.data.formatter", reason=WHY)
tool_utils = pytest.importorskip("llamafactory.data.tool_utils", reason=WHY)

NAMES = re.compile(r'"name":"(\w+)"')
THOUGHT = ("<think>\n", "\n</think>\n\n")
CALL = ("<tool_call>", "</tool_call>")
"""The words that its templates look for, unless they name others."""


@pytest.fixture
def rows(exports: Path) -> list[dict[str, Any]]:
    return read(exports / "llama-factory.jsonl")


def _converted(row: dict[str, Any]) -> dict[str, Any]:
    columns = parser.DatasetAttr("file", "clew", "sharegpt", system="system", tools="tools")
    about = types.SimpleNamespace(image_dir="", media_dir="")
    made: dict[str, Any] = converter.SharegptDatasetConverter(columns, about)(row)
    return made


def test_no_row_is_skipped(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        made = _converted(row)
        said = made["_prompt"] + made["_response"]
        assert [one["content"] for one in said] == [one["value"] for one in row["conversations"]]
        assert made["_response"][0]["role"] in ("assistant", "function")
        assert (made["_system"], made["_tools"]) == (row["system"], row["tools"])


def test_a_row_that_breaks_its_rules_would_be_skipped(rows: list[dict[str, Any]]) -> None:
    """What `clew validate` refuses is what is lost here."""
    broken = rows[0] | {"conversations": rows[0]["conversations"][1:]}
    assert _converted(broken)["_response"] == []


@pytest.mark.parametrize("name", sorted(tool_utils.TOOLS))
def test_calls_and_tools_are_read(rows: list[dict[str, Any]], name: str) -> None:
    calls = formatter.FunctionFormatter(slots=["{{content}}"], tool_format=name)
    tools = formatter.ToolFormatter(tool_format=name)
    seen = 0
    for row in rows:
        known = [tool["name"] for tool in json.loads(row["tools"] or "[]")]
        if known:
            (told,) = tools.apply(content=row["tools"])
            assert all(one in told for one in known)
        for turn in row["conversations"]:
            if turn["from"] != "function_call":
                continue
            called = NAMES.findall(turn["value"])
            assert called
            if name == "glm4" and len(called) > 1:
                continue  # it raises: its models call one tool at a time
            (text,) = calls.apply(
                content=turn["value"], thought_words=THOUGHT, tool_call_words=CALL
            )
            assert all(one in text for one in called)
            assert '"arguments": "' not in text, "arguments became text"
            seen += 1
    assert seen >= 4
