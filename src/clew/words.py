"""Figures and times in words, the same on every page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from clew.clean import one_line

if TYPE_CHECKING:
    from clew.stats import UsageRow

SECOND_MS: Final = 1000
LINE_CHARS = 140
TELLING = (
    "command",
    "cmd",
    "file_path",
    "path",
    "pattern",
    "query",
    "url",
    "description",
    "prompt",
    "name",
)
"""Arguments that say in one line what a call is about, the most telling first."""
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"))


def count(number: float) -> str:
    """`950`, `12.4k`, `3.1M`: for a narrow place; the exact figure stands in a title."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            short = number / (1e3 if unit == "k" else size)
            return f"{short:.1f}".removesuffix(".0") + unit
    return f"{number:,.0f}"


def exact(number: float) -> str:
    """`12,400`."""
    return f"{number:,.0f}"


def plural(number: int, noun: str) -> str:
    """`1 branch`, `2 branches`, `1,200 entries`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('ch', 's', 'sh', 'x')) else 's'}"


def cost(dollars: float | None) -> str:
    """`$0.0042`, `$1.27`; nothing where the price is not known."""
    if dollars is None:
        return "–"
    return f"${dollars:,.2f}" if dollars >= 0.1 or dollars == 0 else f"${dollars:.4f}"


def spent(row: UsageRow | None) -> str:
    """`$1.27`; `≈ $0.40 at list prices` beside it, or alone, for calls that told no cost."""
    if row is None or not (row.told_calls or row.estimated_calls):
        return "–"
    told = [cost(row.cost)] if row.told_calls else []
    if row.estimated_calls:
        told.append(f"≈ {cost(row.estimated)} at list prices")
    return " + ".join(told)


def duration(ms: float | None) -> str:
    """`340 ms`, `2.1 s`, `3 min 10 s`, `2 d 4 h`."""
    if ms is None:
        return "–"
    if ms < SECOND_MS:
        return f"{ms:.0f} ms"
    if ms < 60 * SECOND_MS:
        return f"{ms / SECOND_MS:.1f} s"
    parts, left = [], ms
    for size, unit in (*_UNITS, (SECOND_MS, "s")):
        if left >= size:
            parts.append(f"{left // size:.0f} {unit}")
            left %= size
    return " ".join(parts[:2])


def ago(time_ms: int, now_ms: int) -> str:
    """`just now`, `5 min ago`, `3 d ago`, and a date for what is older than a month."""
    age = now_ms - time_ms
    if age < 60_000:
        return "just now"
    for size, unit in _UNITS:
        if age >= size:
            return date(time_ms) if age > 30 * 86_400_000 else f"{age // size} {unit} ago"
    return date(time_ms)


def date(time_ms: int) -> str:
    """`2026-11-21`, in UTC."""
    return _moment(time_ms).strftime("%Y-%m-%d")


def moment(time_ms: int) -> str:
    """`2026-11-21 14:03:09 UTC`."""
    return _moment(time_ms).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(time_ms: int) -> str:
    """`14:03:09`."""
    return _moment(time_ms).strftime("%H:%M:%S")


def iso(time_ms: int) -> str:
    """The same for a machine: the browser shows it in the reader's own time."""
    return _moment(time_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def size(number: float) -> str:
    """`950 B`, `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def about_call(arguments: Any) -> str:
    """What a call is about, in one line."""
    if isinstance(arguments, dict):
        told = next((arguments[key] for key in TELLING if arguments.get(key)), None)
        told = next(iter(arguments.values()), "") if told is None else told
    else:
        told = arguments
    if isinstance(told, list):
        told = " ".join(map(str, told))
    return one_line(str(told) if isinstance(told, str | int | float) else "", LINE_CHARS)


def _moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


FILTERS: Final = {
    each.__name__: each
    for each in (count, exact, plural, cost, spent, duration, ago, date, moment, clock, iso, size)
}
"""All of them, under their names, for the templates."""
