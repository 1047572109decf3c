"""The types of the OpenAI and Anthropic SDKs take our messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from exported import WHY, read

pydantic = pytest.importorskip("pydantic", reason=WHY)
openai_types: Any = pytest.importorskip("openai.types.chat", reason=WHY)
anthropic_types: Any = pytest.importorskip("anthropic.types", reason=WHY)


def _whole(value: Any) -> Any:
    """Their types give iterables that are read late: read them now."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return [_whole(item) for item in value]


def test_openai_takes_messages_and_tools(exports: Path) -> None:
    messages = pydantic.TypeAdapter(list[openai_types.ChatCompletionMessageParam])
    tools = pydantic.TypeAdapter(list[openai_types.ChatCompletionToolParam])
    rows = read(exports / "openai.jsonl")
    pairs = read(exports / "openai-preference.jsonl")
    assert rows
    assert pairs
    asked = [*rows, *(pair["input"] for pair in pairs)]
    for row in asked:
        plain = [{k: v for k, v in one.items() if k != "weight"} for one in row["messages"]]
        assert _whole(messages.validate_python(plain)) == plain
        assert _whole(tools.validate_python(row.get("tools", []))) == row.get("tools", [])
    for pair in pairs:
        for side in ("preferred_output", "non_preferred_output"):
            assert _whole(messages.validate_python(pair[side])) == pair[side]


def test_anthropic_takes_messages_and_tools(exports: Path) -> None:
    messages = pydantic.TypeAdapter(list[anthropic_types.MessageParam])
    tools = pydantic.TypeAdapter(list[anthropic_types.ToolParam])
    rows = read(exports / "anthropic.jsonl")
    assert rows
    for row in rows:
        sent = [_without_thinking(message) for message in row["messages"]]
        assert _whole(messages.validate_python(sent)) == sent
        assert _whole(tools.validate_python(row.get("tools", []))) == row.get("tools", [])


def _without_thinking(message: dict[str, Any]) -> dict[str, Any]:
    """Reasoning without its signature is to learn from, not to be sent."""
    content = message["content"]
    if isinstance(content, str):
        return message
    return message | {"content": [one for one in content if one["type"] != "thinking"]}
