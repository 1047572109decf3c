"""How much anybody may ask, and how long whoever guesses has to wait.

Times are seconds of a monotonic clock. What is kept is bounded: of more than `KEYS_MAX` callers
the one that was quiet longest is forgotten.
"""

from __future__ import annotations

from typing import NamedTuple

KEYS_MAX = 10_000
FORGET_S = 900.0
"""An address that sent no wrong token for so long begins anew."""


class Rates:
    """A token bucket a caller: `burst` requests at once, `rate` a second from then on.

    Kept as one number each, the time at which the bucket would be full again.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._gap = 1 / rate
        self._slack = (burst - 1) / rate
        self._full_at: dict[str, float] = {}

    def take(self, key: str, now: float) -> float:
        """0 when the request may pass; otherwise the seconds until one may."""
        full_at = max(self._full_at.pop(key, now), now)
        wait = full_at - now - self._slack
        self._full_at[key] = full_at if wait > 0 else full_at + self._gap
        if len(self._full_at) > KEYS_MAX:
            del self._full_at[next(iter(self._full_at))]
        return max(wait, 0.0)


class _Record(NamedTuple):
    times: int
    last: float
    until: float


class Failures:
    """Wrong tokens by who sent them: after `allowed` in a row each doubles the wait, from one
    second to `longest`. What is refused meanwhile counts for nothing.
    """

    def __init__(self, allowed: int, longest: float) -> None:
        self._allowed = allowed
        self._longest = longest
        self._records: dict[object, _Record] = {}

    def wait(self, key: object, now: float) -> float:
        """Seconds until this caller may try again; 0 when at once."""
        record = self._records.get(key)
        return 0.0 if record is None else max(record.until - now, 0.0)

    def failed(self, key: object, now: float) -> int:
        """Count a wrong token; gives how many there were."""
        record = self._records.pop(key, None)
        count = 1 if record is None or now - record.last > FORGET_S else record.times + 1
        over = count - self._allowed
        delay = min(2.0 ** min(over, 30), self._longest) if over >= 0 else 0.0
        self._records[key] = _Record(count, now, now + delay)
        if len(self._records) > KEYS_MAX:
            del self._records[next(iter(self._records))]
        return count
