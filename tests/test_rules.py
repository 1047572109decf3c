"""The table of provider rules: each trips on what it forbids, and on nothing that is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clew import rules
from clew.errors import Invalid

CORPUS = Path(__file__).parent / "corpus"


def corpus(name: str) -> list[dict[str, Any]]:
    lines = (CORPUS / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


INVALID = corpus("invalid_requests.jsonl")
VALID = corpus("valid_requests.jsonl")


def title(case: dict[str, Any]) -> str:
    return f"{case.get('rule', case['provider'])}: {case['why']}"


@pytest.mark.parametrize("case", INVALID, ids=title)
def test_trips_the_rule_it_names(case: dict[str, Any]) -> None:
    found = rules.check(case["provider"], case["request"])
    assert case["rule"] in {violation.rule for violation in found}
    assert all(violation.path and violation.message for violation in found)


@pytest.mark.parametrize("case", VALID, ids=title)
def test_lets_valid_requests_pass(case: dict[str, Any]) -> None:
    assert rules.check(case["provider"], case["request"]) == []


def test_the_corpus_is_large_enough_and_trips_every_rule() -> None:
    assert len(INVALID) >= 40
    assert len(VALID) >= 20
    assert {case["rule"] for case in INVALID} == set(rules.RULES)


def test_a_rule_states_itself_and_its_source() -> None:
    for name, rule in rules.RULES.items():
        assert name == rule.id
        assert name.startswith(f"{rule.provider}/")
        assert rule.sentence.endswith(".")
        assert rule.source.startswith("https://")


BLOCKS: list[Any] = [
    {"type": [], "text": []},
    {"type": "tool_use", "id": [], "name": {}},
    {"type": "tool_result", "tool_use_id": [], "content": [{"type": []}]},
    {"type": "server_tool_use", "id": []},
    {"type": "image", "source": {"type": "base64", "media_type": []}},
]
KINDS: list[Any] = ["function_call", "function_call_output", "message", "reasoning", []]
VALUES: list[Any] = [[], {}, {"name": [], "id": [], "mimeType": []}]
DATA = ("text", "functionCall", "functionResponse", "inlineData", "fileData")
JUNK: list[Any] = [
    {},
    {"messages": None, "input": 3, "contents": "x"},
    {"messages": [None, 1, {}], "input": [[], {}], "contents": [{}, {"parts": [1, {}]}]},
    {"messages": [{"role": [], "content": 5, "tool_calls": 7, "tool_call_id": {}}]},
    {
        "messages": [
            {"role": role, "tool_call_id": [], "tool_calls": [{"id": []}], "content": [block]}
            for role in ("user", "assistant", "tool")
            for block in BLOCKS
        ],
        "input": [
            {"type": kind, "role": [], "call_id": [], "content": [{"type": []}], "output": [{}]}
            for kind in KINDS
        ],
        "contents": [{"role": [], "parts": [{key: value}]} for key in DATA for value in VALUES],
    },
]


@pytest.mark.parametrize("provider", ["anthropic", "openai-chat", "openai-responses", "gemini"])
@pytest.mark.parametrize("junk", JUNK)
def test_never_breaks_on_junk(provider: str, junk: Any) -> None:
    assert isinstance(rules.check(provider, junk), list)


def test_says_what_it_cannot_check() -> None:
    with pytest.raises(Invalid, match="anthropic, gemini"):
        rules.check("nobody", {})
    with pytest.raises(Invalid, match="list"):
        rules.check("gemini", [])
