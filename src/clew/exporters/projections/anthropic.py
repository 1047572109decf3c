"""Requests in the words of Anthropic's Messages API: content blocks, all results of a turn in one
message of the user, sides that alternate.

Source: the Messages API's reference and `anthropic.types`. Reasoning stands in `thinking` blocks
without a signature: to learn from, not to be sent. What was redacted is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from clew.exporters.base import Row
from clew.exporters.projections import turns
from clew.exporters.projections.functions import check_names, functions
from clew.exporters.projections.turns import ASSISTANT, USER, Turn, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME_CHARS: Final = 128
_ID_OF: Final = {"tool_use": "id", "tool_result": "tool_use_id"}
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def project(row: Row) -> Row:
    """`{system?, messages, tools?}`. Raises `Unfit`."""
    chat = turns.of_row(row, masked=False, strict=True)
    check_names(chat, row["tools"], NAME_CHARS)
    out: Row = {"system": chat.system} if chat.system else {}
    out["messages"] = _Writer().messages(chat.turns)
    if row["tools"]:
        out["tools"] = [
            {**{key: value for key, value in function.items() if key != "parameters"},
             "input_schema": function["parameters"]}
            for function in functions(row["tools"], described=False)
        ]  # fmt: skip
    return out


def mended(row: Row) -> Row:
    """The same row with ids that the API takes: a placeholder in one has signs that it refuses."""
    ids = _Ids()
    for message in row["messages"]:
        for block in message["content"] if type(message["content"]) is list else ():
            name = _ID_OF.get(block["type"])
            if name is not None:
                block[name] = ids.of(block[name])
    return row


class _Writer:
    """Writes turns, each call under an id that the API takes."""

    def __init__(self) -> None:
        self._id = _Ids().of

    def messages(self, said: Sequence[Turn]) -> list[Row]:
        out: list[Row] = []
        for turn in said:
            if turn.role == ASSISTANT:
                self._add(out, ASSISTANT, list(self._assistant(turn)))
                self._add(out, USER, [self._result(one) for one in turn.results])
            else:
                self._add(out, USER, _blocks(turn.parts))
        return out

    def _add(self, out: list[Row], role: str, blocks: list[Row]) -> None:
        """Results and what the user says behind them are one message."""
        if blocks and out and out[-1]["role"] == role:
            out[-1]["content"] += blocks
        elif blocks:
            out.append({"role": role, "content": blocks})

    def _assistant(self, turn: Turn) -> Iterator[Row]:
        if turn.reasoning:
            yield {"type": "thinking", "thinking": turn.reasoning}
        words = text(turn.parts)
        if words.strip():
            yield {"type": "text", "text": words}
        for call in turn.calls:
            yield {
                "type": "tool_use",
                "id": self._id(call.id),
                "name": call.name,
                "input": call.object(),
            }

    def _result(self, result: turns.Result) -> Row:
        out: Row = {"type": "tool_result", "tool_use_id": self._id(result.call_id)}
        words = all(part["type"] == "text" for part in result.parts)
        out["content"] = text(result.parts) if words else _blocks(result.parts)
        if result.is_error:
            out["is_error"] = True
        return out


class _Ids:
    """Ids that the API takes. Those that differ stay different; what is fit stays as it is."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._used: set[str] = set()

    def of(self, id: str) -> str:
        """The same for the same."""
        if id not in self._ids:
            plain = _NOT_IN_ID.sub("_", id) or "call"
            name, number = plain, 1
            while name in self._used:
                number += 1
                name = f"{plain}_{number}"
            self._used.add(name)
            self._ids[id] = name
        return self._ids[id]


def _blocks(parts: Sequence[Row]) -> list[Row]:
    """Words, and pictures that have an address on the web. The API takes no block of spaces."""
    out: list[Row] = []
    for part in parts:
        url = str(part.get("url"))
        if part["type"] == "image" and url.startswith("https://"):
            out.append({"type": "image", "source": {"type": "url", "url": url}})
        elif text([part]).strip():
            out.append({"type": "text", "text": part["text"]})
    return out
