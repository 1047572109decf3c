"""Lines for OpenAI's fine-tuning, supervised.

Source: `FineTuneChatRequestInput` of OpenAI's OpenAPI document: `messages`, `tools` and
`parallel_tool_calls` and nothing else, arguments as text, `weight` 0 or 1 on what the model said.
The last message is the model's: as in OpenAI's own examples its calls have no results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clew.exporters.base import Row, Unfit
from clew.exporters.projections import turns
from clew.exporters.projections.functions import NAME_CHARS, check_names, schemas
from clew.exporters.projections.turns import ASSISTANT, Chat, Turn, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FUNCTIONS_MAX: Final = 128


def project(row: Row) -> Row:
    """`{messages, tools?, parallel_tool_calls?}`. Raises `Unfit`."""
    chat = turns.of_row(row, masked=True, reasoning=False)
    while chat.turns[-1].role != ASSISTANT:
        chat.turns.pop()
    chat.turns[-1].results = []
    return {"messages": messages(chat, weighted=True), **tools(chat, row["tools"])}


def tools(chat: Chat, given: Sequence[Row]) -> Row:
    """The fields that tell of tools; none without tools. Raises `Unfit`."""
    check_names(chat, given, NAME_CHARS)
    if len(given) > FUNCTIONS_MAX:
        raise Unfit("too many functions", f"{len(given)} functions: {FUNCTIONS_MAX} are allowed")
    if not given:
        return {}
    return {"tools": schemas(given, described=False), "parallel_tool_calls": turns.parallel(chat)}


def messages(chat: Chat, *, weighted: bool) -> list[Row]:
    """Messages in OpenAI's words. Raises `Unfit` for what they have no place for."""
    out: list[Row] = []
    if chat.system:
        out.append({"role": "system", "content": chat.system})
    for turn in chat.turns:
        if turn.role == ASSISTANT:
            out += _assistant(turn, weighted)
        else:
            out.append({"role": "user", "content": _user(turn.parts)})
    return out


def _user(parts: Sequence[Row]) -> str | list[Row]:
    """Words; with pictures that have an address on the web, parts."""
    if not any(_shown(part) for part in parts):
        return text(parts)
    return [
        {"type": "image_url", "image_url": {"url": part["url"]}}
        if _shown(part)
        else {"type": "text", "text": text([part])}
        for part in parts
    ]


def _shown(part: Row) -> bool:
    return part["type"] == "image" and str(part.get("url")).startswith(("https://", "http://"))


def _assistant(turn: Turn, weighted: bool) -> Iterator[Row]:
    said: Row = {"role": ASSISTANT}
    words = text(turn.parts)
    if words or not turn.calls:
        said["content"] = words
    if weighted:
        said["weight"] = int(turn.train)
    if turn.calls:
        for call in turn.calls:
            call.object()  # text, but that of an object
        said["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in turn.calls
        ]
    yield said
    for result in turn.results:
        yield {"role": "tool", "tool_call_id": result.call_id, "content": text(result.parts)}
