"""A history made ready for a writer: every call answered once, every call id its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from clew import view
from clew.model import Message
from clew.shapes.ids import unique_ids
from clew.writers.base import Losses

ID_CHARS_MAX = 64
"""What the strictest provider takes."""


def settled(messages: Sequence[Message], losses: Losses) -> tuple[Message, ...]:
    """The messages as `Conversation` wants them, oldest first; what that took is counted in
    `losses`. Messages without a part say nothing and are left out.
    """
    built = view.build(messages, provider="clew", max_tokens=None, count=_nothing)
    for what, count in (
        ("results of a call that already had one", built.duplicates),
        ("results without their call", built.orphans),
    ):
        if count:
            losses.add(what, count=count)
    before: Message | None = None
    for message in built.messages:
        for part in message.tool_results:
            if part.synthetic:
                asked = (*message.at, *(before.at if before else ()))
                losses.add("calls without a result, answered in the tool's place", asked)
        before = message
    ready = unique_ids(built.messages, limit=ID_CHARS_MAX)
    for old, new in zip(built.messages, ready, strict=True):
        for one, other in zip(old.tool_calls, new.tool_calls, strict=True):
            if one.id != other.id:
                losses.add("ids of calls, replaced by ones that are unique", old.at)
    return tuple(_answered(ready))


def _answered(messages: Sequence[Message]) -> Iterator[Message]:
    """Every result right behind the message that asked for it, not behind the run of which that
    is one: agents take a call that is not answered at once for one that never was.
    """
    run: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            run.append(message)
            continue
        results = {part.call_id: part for part in message.tool_results}
        for asking in run:
            yield asking
            own = tuple(results[call.id] for call in asking.tool_calls if call.id in results)
            if own:
                yield msgspec.structs.replace(message, parts=own)
        if not run or not results:
            yield message
        run = []
    yield from run


def _nothing(_message: Message) -> int:
    return 0
