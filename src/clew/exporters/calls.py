"""What is known of each model call beside its words: how it was routed, how long it took.

Agents tell it in different places (a span, a router's own table). A call belongs to the message
that it gave: the one that it names, else the one that has its id, else the first that was said
after it began and before the next call did.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from clew.exporters.outcome import sampled
from clew.model import Position, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clew.model import Message


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One model call. Latency in milliseconds, times in Unix milliseconds; `None` is unknown.
    `error` is the type of what went wrong.
    """

    at: Position | None = None
    request_id: str | None = None
    started_ms: int = 0
    tier: str | None = None
    complexity: int | None = None
    model: str | None = None
    provider: str | None = None
    latency_ms: float | None = None
    error: str | None = None
    usage: Usage | None = None


def placed(
    messages: Sequence[Message], calls: Sequence[Call]
) -> tuple[dict[int, Call], list[Call]]:
    """The call of each message, by message index; and the calls that no message came of."""
    found: dict[int, Call] = {}
    if not calls:
        return found, []
    spoken = [index for index, message in enumerate(messages) if sampled(message)]
    by_place = {place: index for index in spoken for place in messages[index].at}
    by_id: dict[str, int] = {}
    for index in spoken:
        for id in _ids(messages[index]):
            by_id[id] = index
    left = []
    for call in calls:
        at = by_place.get(call.at) if call.at is not None else None
        if at is None and call.request_id is not None:
            at = by_id.get(call.request_id)
        if at is None or at in found:
            left.append(call)
        else:
            found[at] = call
    return found, _by_time(messages, [index for index in spoken if index not in found], found, left)


def _ids(message: Message) -> list[str]:
    key = message.usage.key if message.usage else None
    return [id for id in (message.id, key) if id]


def _by_time(
    messages: Sequence[Message], open_: list[int], found: dict[int, Call], calls: list[Call]
) -> list[Call]:
    """Give calls without a message to those without a call; returns what is left."""
    left = []
    waiting = [call for call in calls if call.at is None and call.error is None and call.started_ms]
    others = [call for call in calls if call not in waiting]
    waiting.sort(key=lambda call: call.started_ms)
    for number, call in enumerate(waiting):
        until = waiting[number + 1].started_ms if number + 1 < len(waiting) else None
        index = next((at for at in open_ if messages[at].time_ms >= call.started_ms), None)
        if index is None or (until is not None and messages[index].time_ms > until):
            left.append(call)
        else:
            found[index] = call
            open_ = open_[open_.index(index) + 1 :]
    return others + left


def tier(calls: Sequence[Call]) -> str | None:
    """The most frequent tier; of several the one that was used last."""
    tiers = [call.tier for call in calls if call.tier]
    counts = Counter(tiers)
    best = max(counts.values(), default=0)
    return next((name for name in reversed(tiers) if counts[name] == best), None)


def complexity(calls: Sequence[Call]) -> int | None:
    """The mean of the scores that are known, rounded half up."""
    scores = [call.complexity for call in calls if call.complexity is not None]
    return (2 * sum(scores) + len(scores)) // (2 * len(scores)) if scores else None


def latency_ms(calls: Sequence[Call]) -> float | None:
    """The sum of the latencies that are known."""
    known = [call.latency_ms for call in calls if call.latency_ms is not None]
    return round(sum(known), 3) if known else None
