"""Tokens of a history, each model call counted once.

Agents write the same call several times (a line per block, a copy in a fork). Records that
share a usage key are one call: field by field the maximum counts, and it is shown on the last
message that carries the key. Without a key the provider's message id serves. Calls that no
message stands for (one that wrote a summary, say) count in the sums.
"""

from __future__ import annotations

import math
from operator import attrgetter
from typing import TYPE_CHECKING

from clew.model import Message, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIELDS = ("input", "output", "cache_read", "cache_write", "reasoning")


class Tally:
    """The usage of each message that stands for a call, by message index; `beside` are the calls
    that no message stands for.
    """

    def __init__(self, messages: Sequence[Message], beside: Sequence[Usage] = ()) -> None:
        merged: dict[str, Usage] = {}
        last: dict[str, int] = {}
        for index, message in enumerate(messages):
            if message.usage is None:
                continue
            key = message.usage.key or message.id or f"#{index}"
            known = merged.get(key)
            merged[key] = message.usage if known is None else _maximum(known, message.usage)
            last[key] = index
        for number, usage in enumerate(beside):
            key = usage.key or f"+{number}"
            merged[key] = usage if key not in merged else _maximum(merged[key], usage)
        self._calls = list(merged.values())
        self.by_message: dict[int, Usage] = {index: merged[key] for key, index in last.items()}

    def total(self, field: str) -> int | None:
        """The sum over all calls; `None` when no call was metered."""
        if not self._calls:
            return None
        return int(sum(map(attrgetter(field), self._calls)))

    @property
    def cost(self) -> float | None:
        """USD over all calls; `None` when the cost of one of them is unknown."""
        costs = [usage.cost for usage in self._calls]
        known = [cost for cost in costs if cost is not None]
        return math.fsum(known) if known and len(known) == len(costs) else None


def _maximum(first: Usage, second: Usage) -> Usage:
    costs = [cost for cost in (first.cost, second.cost) if cost is not None]
    return Usage(
        key=second.key or first.key,
        model=second.model or first.model,
        provider=second.provider or first.provider,
        cost=max(costs) if costs else None,
        **{name: max(getattr(first, name), getattr(second, name)) for name in _FIELDS},
    )
