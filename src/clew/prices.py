"""What a model call cost, in USD, from one data file of list prices (`prices.json`).

A row of that file names a model of a provider, its prices per million tokens, where and when
they were read, and, where a price depends on them, since when it holds (`since`), how long the
whole prompt must be (`above_input`) and in which hours of the day (`hours`). What the file does
not say costs `None`, never 0: an unknown model, a provider that sells it at a price of its own,
a kind of token without a price.

Model ids come with prefixes and versions (`us.anthropic.claude-sonnet-4-5-20250929-v1:0`,
`models/gemini-2.5-pro`). An id is looked up as it is; then without what stands before it; then
without dates and version numbers behind it, one after the other. Nothing else is taken off, so
that `gpt-4o-mini` never gets the price of `gpt-4o`.

Own prices stand in a file of the same form (`CLEW_PRICES`, or `Prices.load`) and win over ours:
for a model that both know, only the own rows count.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec

from clew.errors import Invalid

_Price = Annotated[float, msgspec.Meta(ge=0)]

SELLERS: Final = {
    "anthropic": "anthropic",
    "openai": "openai",
    "google": "google",
    "gemini": "google",
    "gcp.gemini": "google",
    "google_genai": "google",
    "gcp.vertex_ai": "vertex",
    "vertex_ai": "vertex",
    "vertexai": "vertex",
    "vertex": "vertex",
    "aws.bedrock": "bedrock",
    "bedrock": "bedrock",
    "amazon-bedrock": "bedrock",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "qwen": "qwen",
    "dashscope": "qwen",
    "alibaba": "qwen",
    "xai": "xai",
    "x_ai": "xai",
    "x-ai": "xai",
}
"""The names that providers go by, and the one that the rows use."""

_LISTS = {"vertex": ("google", "anthropic")}
"""Whose list prices a seller takes who has no rows of its own: Vertex on its global endpoint."""
_APART = frozenset({"bedrock"})
"""Rows that are looked at only where the call names that seller."""

_BEDROCK = re.compile(r"(?:([a-z-]+)\.)?anthropic\.(claude-.+?)(?:-v\d+)?(?::\d+)?")
_VERSION = re.compile(r"(?:[-@](?:\d{8}|\d{4}-\d\d-\d\d|0\d\d|default)|\[1m\])$")
_CACHED = 4096
"""So many answers are remembered; ids come from outside, so there is an end to it."""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Prices of one model in USD per million tokens; `None` is unknown. `output` includes
    reasoning. `cache_write` is the provider's usual lifetime (five minutes at Anthropic).
    """

    model: str
    input: _Price | None = None
    output: _Price | None = None
    cache_read: _Price | None = None
    cache_write: _Price | None = None
    cache_write_1h: _Price | None = None
    provider: str | None = None
    """`None`: whoever sells it (own rows)."""
    also: tuple[str, ...] = ()
    """Other ids of the same model; said once is enough."""
    above_input: int = 0
    """Holds for prompts of more tokens than this, those from the cache included."""
    since: str | None = None
    """Holds from this date (UTC) or time on, until the next row's."""
    hours: tuple[tuple[int, int], ...] = ()
    """Holds from the first hour to before the second one, UTC; none: the whole day."""
    source: str | None = None
    """The address that the figures were read from."""
    date: str | None = None
    """The day on which they were read."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    rows: tuple[Row, ...]
    date: str | None = None
    unit: str | None = None
    sources: dict[str, str] = {}


class _Period(msgspec.Struct, frozen=True):
    """The rows of a model that hold from `since_ms` on, the longest prompts first."""

    since_ms: int
    rows: tuple[Row, ...]
    plain: Row | None
    """The only row, where neither hour nor length matters."""


_Periods = tuple[_Period, ...]
_Table = dict[str | None, dict[str, _Periods]]


class Prices:
    """A price list: `own` rows over those of `under`. Safe to share among threads."""

    def __init__(self, own: Iterable[Row], under: Prices | None = None) -> None:
        """Raises `Invalid` for a date that is none and for two prices where one would do."""
        self._table = _table(own)
        self._under = under
        self._found: dict[tuple[str | None, str | None], _Periods] = {}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Prices:
        """The prices of a file over ours. Raises `Invalid` for one that cannot be read."""
        return cls(_read(Path(path)).rows, shipped())

    def cost(
        self,
        provider: str | None,
        model: str | None,
        tokens_in: int | None,
        tokens_out: int | None,
        *,
        cache_read: int | None = 0,
        cache_write: int | None = 0,
        cache_write_1h: int | None = 0,
        at_ms: int | None = None,
    ) -> float | None:
        """What a call cost in USD; `None` when that is not known.

        `tokens_in` excludes what was read from or written to the cache; `tokens_out` includes
        reasoning. `cache_write_1h` is the part of `cache_write` that is kept for an hour.
        No number for the cache means that none was used. `at_ms` is when (default: now).
        """
        periods = self._found.get((provider, model))
        if periods is None:
            periods = self._look_up(provider, model)
        if not periods or tokens_in is None or tokens_out is None:
            return None
        read, hour = cache_read or 0, cache_write_1h or 0
        written = max(cache_write or 0, hour)
        row = _row_at(periods, at_ms, tokens_in + read + written)
        if row is None:
            return None
        return _sum(
            (tokens_in, row.input),
            (tokens_out, row.output),
            (read, row.cache_read),
            (written - hour, row.cache_write),
            (hour, row.cache_write_1h),
        )

    def rows(self, provider: str | None, model: str | None) -> tuple[Row, ...]:
        """Every row that a call of this model could be priced by; empty when unknown."""
        periods = self._look_up(provider, model)
        return tuple(row for period in periods for row in period.rows)

    def _look_up(self, provider: str | None, model: str | None) -> _Periods:
        key = (provider, model)
        periods = self._found.get(key)
        if periods is None:
            if len(self._found) >= _CACHED:
                self._found.clear()
            periods = self._found[key] = self._search(provider, model) if model else ()
        return periods

    def _search(self, provider: str | None, model: str) -> _Periods:
        lists, id = _place(provider, model.strip().lower())
        names = [model.strip().lower(), *_shortened(id)]
        return self._first(lists, names)

    def _first(self, lists: tuple[str, ...] | None, names: list[str]) -> _Periods:
        wanted = [name for name in self._table if name not in _APART] if lists is None else lists
        for name in names:
            for sold_by in (*wanted, None):
                if periods := self._table.get(sold_by, {}).get(name):
                    return periods
        return self._under._first(lists, names) if self._under else ()


# --- which model is meant ----------------------------------------------------------------


def _place(provider: str | None, model: str) -> tuple[tuple[str, ...] | None, str]:
    """Whose lists may hold a model (`None`: anyone's), and its id without a prefix."""
    *path, id = model.split("/")
    seller = SELLERS.get(provider.lower(), provider.lower()) if provider else None
    if found := _BEDROCK.fullmatch(id):
        id = found[2]
        named: str | None = "anthropic" if found[1] == "global" else "bedrock"
        if seller in ("anthropic", "bedrock"):
            seller = named
    else:
        named = _named(path)
    if seller is None or (seller in SELLERS.values() and named is not None):
        seller = named
    return (None if seller is None else _LISTS.get(seller, (seller,))), id


def _named(path: list[str]) -> str | None:
    """The seller that stands before the last slash of an id."""
    if path and path[-1] == "models":
        path = path[:-1]
    if not path:
        return None
    if path[-1].startswith("arn:aws:bedrock:"):
        return "bedrock"
    return SELLERS.get(path[-1], path[-1])


def _shortened(id: str) -> list[str]:
    """An id, then without its version, one piece less each time."""
    names = [id]
    while found := _VERSION.search(names[-1]):
        names.append(names[-1][: found.start()])
    return names


# --- which of its rows holds ---------------------------------------------------------------


def _row_at(periods: _Periods, at_ms: int | None, prompt: int) -> Row | None:
    period = periods[-1]
    if len(periods) > 1 or period.since_ms or period.plain is None:
        at_ms = int(time.time() * 1000) if at_ms is None else at_ms
        held = [one for one in periods if one.since_ms <= at_ms]
        if not held:
            return None
        period = held[-1]
    if period.plain is not None:
        return period.plain
    hour = (at_ms or 0) // 3_600_000 % 24
    for row in period.rows:
        long_enough = not row.above_input or prompt > row.above_input
        if long_enough and (not row.hours or any(a <= hour < b for a, b in row.hours)):
            return row
    return None


def _sum(*used: tuple[int, float | None]) -> float | None:
    total = 0.0
    for tokens, price in used:
        if tokens:
            if price is None:
                return None
            total += tokens * price
    return total / 1_000_000


# --- reading them ------------------------------------------------------------------------


def _table(rows: Iterable[Row]) -> _Table:
    grouped: dict[tuple[str | None, str], list[Row]] = {}
    for row in rows:
        seller = row.provider and SELLERS.get(row.provider.lower(), row.provider.lower())
        grouped.setdefault((seller, row.model.lower()), []).append(row)
    table: _Table = {}
    for (seller, model), alike in grouped.items():
        periods = _periods(alike)
        names = table.setdefault(seller, {})
        names[model] = periods
        for row in alike:
            names.update({other.lower(): periods for other in row.also})
    return table


def _periods(rows: list[Row]) -> _Periods:
    starts: dict[int, list[Row]] = {}
    for row in rows:
        starts.setdefault(_start(row), []).append(row)
    return tuple(_period(since, starts[since]) for since in sorted(starts))


def _period(since_ms: int, rows: list[Row]) -> _Period:
    ordered = tuple(sorted(rows, key=lambda row: -row.above_input))
    if len({(row.above_input, row.hours) for row in rows}) < len(rows):
        raise Invalid(f"prices: {rows[0].model!r} has two rows for the same calls: keep one")
    only = ordered[0] if len(ordered) == 1 else None
    plain = only if only is not None and not only.above_input and not only.hours else None
    return _Period(since_ms, ordered, plain)


def _start(row: Row) -> int:
    if row.since is None:
        return 0
    try:
        moment = datetime.fromisoformat(row.since)
    except ValueError:
        raise Invalid(
            f"prices: since={row.since!r} of {row.model!r} is no date: write 2026-08-31"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _read(path: Path) -> _File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise Invalid(f"prices {str(path)!r} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise Invalid(f"prices {str(path)!r}: {error}") from error


_shipped: Prices | None = None
_named_file: tuple[str, Prices] | None = None


def shipped() -> Prices:
    """The prices that come with Clew."""
    global _shipped
    if _shipped is None:
        _shipped = Prices(_read(Path(__file__).with_name("prices.json")).rows)
    return _shipped


def usual() -> Prices:
    """The prices of the file that `CLEW_PRICES` names over ours; else ours."""
    global _named_file
    path = os.environ.get("CLEW_PRICES")
    if not path:
        return shipped()
    if _named_file is None or _named_file[0] != path:
        _named_file = (path, Prices.load(path))
    return _named_file[1]


def chosen(prices: Prices | str | os.PathLike[str] | None) -> Prices:
    """What `clew.open(prices=…)` means: a list, a file of own prices, or the usual ones."""
    if prices is None:
        return usual()
    return prices if isinstance(prices, Prices) else Prices.load(prices)
