"""What somebody wrote into one session does not rename tools, formats or numbers in others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clew.exporters.base import line
from clew.redaction import Redactor
from test_redaction import KEY, SECRETS

STEERING = (
    "password=clew-traj/1 password=read_file_v2 password=file_path2 password=utf8_text9 "
    "API_KEY=12345678901234567890 DB_PASSWORD=q8Zx71bbTrK9"
)


def learned() -> Redactor:
    made = Redactor(KEY)
    assert "read_file_v2" not in str(made.redact(STEERING))
    other = made.fresh()
    other.learn(made.learned_state())
    assert other.learned == 6
    return other


PARAMETERS = {
    "type": "object",
    "properties": {"file_path2": {"type": "string"}, "as": {"enum": ["utf8_text9"]}},
    "required": ["file_path2"],
}
OPENAI = {
    "messages": [
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {
                        "name": "read_file_v2",
                        "arguments": '{"file_path2": "read_file_v2", "n": 12345678901234567890}',
                    },
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "name": "read_file_v2", "content": "ok"},
    ],
    "tools": [{"type": "function", "function": {"name": "read_file_v2", "parameters": PARAMETERS}}],
}
NATIVE = {
    "schema": "clew-traj/1",
    "tokens_in": 12345678901234567890,
    "messages": [
        {"role": "assistant", "tool_calls": [{"name": "read_file_v2", "arguments": {"as": 1}}]}
    ],
}
ANTHROPIC = {
    "messages": [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "name": "read_file_v2", "input": {"file_path2": "x"}}],
        }
    ],
    "tools": [{"name": "read_file_v2", "input_schema": PARAMETERS}],
}


@pytest.mark.parametrize("row", [OPENAI, NATIVE, ANTHROPIC])
def test_what_a_row_is_made_of_stays(row: dict[str, Any]) -> None:
    one = learned()
    assert one.redact(row) == row
    assert one.scan(row) == []
    lines = line(row)
    assert one.redact(json.loads(lines)) == json.loads(lines)


def test_what_was_learned_goes_from_everything_else() -> None:
    one = learned()
    row = OPENAI | {"title": "q8Zx71bbTrK9 12345678901234567890", "q8Zx71bbTrK9": 1}
    out = one.redact(row)
    assert "q8Zx71bbTrK9" not in json.dumps(out)
    assert "12345678901234567890" not in out["title"]
    assert one.scan(out) == []
    assert one.redact("see read_file_v2") != "see read_file_v2"


@pytest.mark.parametrize(
    "row",
    [
        {"kind": "q8Zx71bbTrK9"},
        {"input": {"type": "read_file_v2"}},
        {"arguments": {"name": "read_file_v2", "input": "x"}},
        {"name": "read_file_v2"},
        {"content": {"role": "tool", "name": "read_file_v2"}},
    ],
)
def test_what_only_looks_like_a_frame_is_none(row: dict[str, Any]) -> None:
    one = learned()
    assert one.redact(row) != row


def test_what_a_rule_finds_goes_from_the_frame_too() -> None:
    token = SECRETS["github"][0]
    one = learned()
    row = {"role": "tool", "name": token, "type": token, "content": f"see {token}"}
    out = one.redact(row)
    assert token not in json.dumps(out)
    assert one.scan(out) == []


def test_numbers_go_where_their_key_tells_or_they_are_known() -> None:
    one = Redactor(KEY, known=["98765432101234567890"])
    out = one.redact({"pin_password": 12345678, "n": 98765432101234567890})
    assert not any(isinstance(item, int) for item in out.values())


def test_a_text_that_was_replaced_in_one_row_stays_in_the_row_of_the_tool() -> None:
    one = learned()
    other = {"text": "read_file_v2"}
    assert one.redact(other) != other
    assert one.redact(OPENAI) == OPENAI
    assert one.redact(other) != other
