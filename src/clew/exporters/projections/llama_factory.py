"""`conversations` for LLaMA-Factory's `sharegpt` datasets with tools.

Source: `SharegptDatasetConverter` and `FunctionFormatter` of LLaMA-Factory 0.9.4 and 0.9.5: human
or observation, then gpt or function_call, by turns and in pairs, else the row is skipped. Calls
made at once are one list. What the model thinks and says beside them stands before
`<tool_call>`; the results of a turn are joined as its own converter joins them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clew.exporters.base import Row
from clew.exporters.projections import turns
from clew.exporters.projections.functions import functions
from clew.exporters.projections.inside import compact, without_tags
from clew.exporters.projections.turns import USER, Turn, text

if TYPE_CHECKING:
    from collections.abc import Iterator

BETWEEN_RESULTS: Final = "\n</tool_response>\n<tool_response>\n"
_ASKS = ("human", "observation")


def project(row: Row) -> Row:
    """`{conversations, system, tools}`; `tools` is JSON text, empty when there are none. Raises
    `Unfit`.
    """
    chat = turns.of_row(row, masked=False, strict=True)
    said: list[Row] = []
    for turn in chat.turns:
        for one in _told(turn):
            if said and said[-1]["from"] in _ASKS and one["from"] in _ASKS:
                said[-1]["value"] += "\n\n" + one["value"]
            else:
                said.append(one)
    while said[-1]["from"] in _ASKS:
        said.pop()
    tools = compact(functions(row["tools"])) if row["tools"] else ""
    return {"conversations": said, "system": chat.system, "tools": tools}


def _told(turn: Turn) -> Iterator[Row]:
    if turn.role == USER:
        yield {"from": "human", "value": text(turn.parts)}
        return
    thought = f"<think>\n{turn.reasoning}\n</think>\n\n" if turn.reasoning else ""
    words = text(turn.parts)
    if not turn.calls:
        yield {"from": "gpt", "value": thought + words}
        return
    calls: list[Row] = [{"name": call.name, "arguments": call.object()} for call in turn.calls]
    value = compact(calls if len(calls) > 1 else calls[0])
    if words or thought:
        before = without_tags(turn.reasoning, "what the model thinks") and thought
        value = f"{before}{without_tags(words, 'what it says')}<tool_call>{value}</tool_call>"
    yield {"from": "function_call", "value": value}
    if turn.results:
        results = (text(one.parts) for one in turn.results)
        yield {"from": "observation", "value": BETWEEN_RESULTS.join(results)}
