"""`conversations` in ShareGPT's shape as Hermes writes and trains on them.

Source: `convert_to_trajectory_format` of hermes-agent: the tools stand in a system prompt that
says how to call them, every turn of the model begins with `<think>`, calls and results are JSON
between tags, and the results of a turn are one message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.exporters.base import Row, Unfit
from clew.exporters.projections import turns
from clew.exporters.projections.functions import functions
from clew.exporters.projections.inside import compact, without_tags
from clew.exporters.projections.turns import ASSISTANT, Turn, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOOLS = """\
You can call functions to help the user. Their signatures stand between <tools> and </tools>:
<tools>
{tools}
</tools>
To call one, write a JSON object with its name and its arguments between tags:
<tool_call>
{{"name": <name>, "arguments": <object>}}
</tool_call>
What it gives back follows between <tool_response> and </tool_response>."""


def project(row: Row) -> Row:
    """`{conversations, session_id}`. Raises `Unfit`."""
    chat = turns.of_row(row, masked=False, strict=True)
    said = [{"from": "system", "value": value} for value in _system(chat.system, row["tools"])]
    for turn in chat.turns:
        if turn.role == ASSISTANT:
            said += _assistant(turn)
        else:
            said.append({"from": "human", "value": text(turn.parts)})
    return {"conversations": said, "session_id": row["session_id"]}


def _system(words: str, tools: Sequence[Row]) -> Iterator[str]:
    """At most one prompt: the session's own, then what tools there are."""
    told = TOOLS.format(tools=compact(functions(tools))) if tools else ""
    both = "\n\n".join(filter(None, (words, told)))
    if both:
        yield both


def _assistant(turn: Turn) -> Iterator[Row]:
    if "</think>" in turn.reasoning:
        raise Unfit("tags in text", "reasoning holds </think>, which ends it here")
    thought = f"<think>\n{turn.reasoning}\n</think>" if turn.reasoning else "<think>\n</think>"
    value = [thought, _words(turn)]
    for call in turn.calls:
        told = compact({"name": call.name, "arguments": call.object()})
        value.append(f"<tool_call>\n{told}\n</tool_call>")
    yield {"from": "gpt", "value": "\n".join(filter(None, value))}
    if turn.results:
        yield {"from": "tool", "value": "\n".join(_response(one) for one in turn.results)}


def _words(turn: Turn) -> str:
    return without_tags(text(turn.parts), "what the model says")


def _response(result: turns.Result) -> str:
    content = text(result.parts)
    told = {"tool_call_id": result.call_id, "name": result.name, "content": content}
    return f"<tool_response>\n{compact(told)}\n</tool_response>"
