"""Which result answers which call. Every call gets exactly one, whatever the history holds.

Results are matched by call id; among open calls that share one, the newest message's come
first, in their order. Ids are unique in the output: a repeated or empty one is renamed, in
order, so that the same history always gives the same names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clew.exporters.schemas import given
from clew.model import Message, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Paired:
    """One call and what became of it. `asked` and `answered` are message indexes."""

    id: str
    call: ToolCall
    asked: int
    given: dict[str, str] | None
    """The JSON type of each argument; `None` when they are no JSON object."""
    result: ToolResult | None = None
    answered: int = -1
    late: bool = False
    """The model went on before the result came."""


@dataclass(slots=True)
class Pairs:
    """All calls of a history, and what did not fit."""

    calls: list[Paired] = field(default_factory=list)
    by_message: dict[int, list[Paired]] = field(default_factory=dict)
    orphans: int = 0
    """Results that no call asked for."""
    duplicates: int = 0
    """Further results of a call that had one."""
    renamed: int = 0


def merged(messages: Sequence[Message]) -> list[Message]:
    """Neighbouring pieces of one assistant message, put together."""
    out: list[Message] = []
    for message in messages:
        last = out[-1] if out else None
        if last is None or not _pieces(last, message):
            out.append(message)
            continue
        out[-1] = Message(
            role=last.role,
            parts=last.parts + message.parts,
            id=last.id,
            model=message.model or last.model,
            usage=message.usage or last.usage,
            at=last.at + message.at,
            time_ms=last.time_ms or message.time_ms,
            meta=last.meta and message.meta,
            summary=last.summary and message.summary,
        )
    return out


def _pieces(first: Message, second: Message) -> bool:
    return (
        second.id is not None
        and second.id == first.id
        and (first.role == second.role == "assistant")
    )


def pair(messages: Sequence[Message]) -> Pairs:
    """Match results to calls over the whole history."""
    pairs = Pairs()
    used: set[str] = set()
    same_id: dict[str, list[Paired]] = {}
    for index, message in enumerate(messages):
        for part in message.parts:
            if isinstance(part, ToolCall):
                made = Paired(_unique(part.id, used), part, index, given(part))
                pairs.renamed += made.id != part.id
                pairs.calls.append(made)
                pairs.by_message.setdefault(index, []).append(made)
                same_id.setdefault(part.id, []).append(made)
            elif isinstance(part, ToolResult):
                _answer(pairs, same_id.get(part.call_id, []), part, index)
    _mark_late(pairs, messages)
    return pairs


def _unique(wanted: str, used: set[str]) -> str:
    name, number = wanted or "call", 1
    while name in used:
        number += 1
        name = f"{wanted or 'call'}_{number}"
    used.add(name)
    return name


def _answer(pairs: Pairs, candidates: list[Paired], result: ToolResult, index: int) -> None:
    if not candidates:
        pairs.orphans += 1
        return
    open_ = [one for one in candidates if one.result is None]
    if open_:
        # An id that is used again means the newer call.
        newest = open_[-1].asked
        one = next(one for one in open_ if one.asked == newest)
        one.result, one.answered = result, index
        return
    pairs.duplicates += 1
    for one in candidates:
        # A tool's own words are worth more than a repair that was made without them.
        if one.result is not None and one.result.synthetic and not result.synthetic:
            one.result, one.answered = result, index
            return


def _mark_late(pairs: Pairs, messages: Sequence[Message]) -> None:
    speaks = [index for index, message in enumerate(messages) if message.role == "assistant"]
    following = dict(zip(speaks, [*speaks, len(messages)][1:], strict=True))
    for one in pairs.calls:
        one.late = one.answered > following.get(one.asked, len(messages))
