"""`messages` and `tools` for TRL, Unsloth and Axolotl.

Arguments are objects (of 20 chat templates 18 want them so), `content` is always a string, a
tool's message has its name. Read by `trl.SFTTrainer` (columns `messages` or `prompt` and
`completion`, and `tools`) and by Axolotl's `chat_template` datasets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.exporters.base import Row, Unfit
from clew.exporters.projections import turns
from clew.exporters.projections.functions import schemas
from clew.exporters.projections.turns import ASSISTANT, Chat, Turn, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_EXPLODED = ("turn", "step")
"""Labels of rows in which only what follows the repeated context is to be learned."""


def project(row: Row) -> Row:
    """`{messages, tools?, session_id}`; of an exploded row `{prompt, completion, tools?,
    session_id}`, so that the loss is on its last turn only. Raises `Unfit`.
    """
    chat = turns.of_row(row, masked=False)
    out: Row = {"messages": messages(chat)}
    if any(label in row for label in _EXPLODED):
        prompt, completion = _parted(chat)
        out = {"prompt": messages(prompt), "completion": messages(completion)}
    if row["tools"]:
        out["tools"] = schemas(row["tools"])
    out["session_id"] = row["session_id"]
    return out


def _parted(chat: Chat) -> tuple[Chat, Chat]:
    """What is context, and what is to be learned: from the first turn that trains on, with what
    the model said right before it. Raises `Unfit` when that answers nothing.
    """
    first = next(n for n, turn in enumerate(chat.turns) if turn.train)
    while first and chat.turns[first - 1].role == ASSISTANT and not chat.turns[first - 1].results:
        first -= 1
    if first == 0:
        raise Unfit("no prompt", "what is to be learned follows on no words or results")
    return Chat(chat.system, chat.turns[:first]), Chat("", chat.turns[first:])


def messages(chat: Chat, *, marked: bool = True) -> list[Row]:
    """Messages as chat templates read them. With `marked`, one that is not to be learned has
    `train: false`: Axolotl leaves it out of the loss (`message_field_training`).
    """
    out: list[Row] = []
    if chat.system:
        out.append({"role": "system", "content": chat.system})
    for turn in chat.turns:
        if turn.role == ASSISTANT:
            out += _assistant(turn, marked)
        else:
            out.append({"role": "user", "content": text(turn.parts)})
    return out


def _assistant(turn: Turn, marked: bool) -> Iterator[Row]:
    said: Row = {"role": ASSISTANT, "content": text(turn.parts)}
    if turn.reasoning:
        said["reasoning_content"] = turn.reasoning
    if turn.calls:
        said["tool_calls"] = _calls(turn.calls)
    if marked and not turn.train:
        said["train"] = False
    yield said
    for result in turn.results:
        yield {
            "role": "tool",
            "tool_call_id": result.call_id,
            "name": result.name,
            "content": text(result.parts),
        }


def _calls(calls: Sequence[turns.Call]) -> list[Row]:
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.object()},
        }
        for call in calls
    ]
