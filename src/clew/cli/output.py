"""The one place that prints.

Stored text is hostile: it may hold escape sequences that move the cursor, change the title or
type for the person, and marks that reorder what is read. Whatever goes to a terminal passes
`clean`, which takes control characters out and makes reordering marks visible. JSON keeps every
character, the dangerous ones as escapes.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

from clew.clean import CONTROL, MARKS
from clew.clean import clean as clean
from clew.clean import one_line as one_line

if TYPE_CHECKING:
    from clew.exporting import Progress

_JSON_ESCAPED = re.compile(f"{CONTROL.pattern[:-1]}{MARKS.pattern[1:]}")
SHORT_ID = 16
"""So many characters of an id are shown: its time in milliseconds and twelve random bits."""


# --- talk --------------------------------------------------------------------------------


def say(text: str) -> None:
    """A line for the person, on standard error."""
    click.echo(clean(text), err=True)


def hint(text: str) -> None:
    """A dim line for the person, on standard error."""
    click.echo(paint(clean(text), "hint", stream=sys.stderr), err=True)


# --- data --------------------------------------------------------------------------------


def document(value: Any) -> None:
    """One JSON document."""
    click.echo(as_json(value))


def documents(values: Iterable[Any]) -> None:
    """JSON lines: one document a line."""
    for value in values:
        click.echo(as_json(value))


def as_json(value: Any) -> str:
    """A value as JSON on one line. Characters that a terminal might obey are escaped."""
    import msgspec

    try:
        text = msgspec.json.encode(value, enc_hook=str).decode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8 form.
        text = msgspec.json.encode(_whole(msgspec.to_builtins(value, enc_hook=str))).decode()
    return _JSON_ESCAPED.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value


def text(line: str = "") -> None:
    """A line of text that was cleaned and painted already."""
    click.echo(line)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns; numbers to the right. On a terminal the last column is cut to fit."""
    cells = [[one_line(_cell(value)) for value in row] for row in rows]
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(heads))]
    widths = [
        max([_width(head), *(_width(row[i]) for row in cells)]) for i, head in enumerate(heads)
    ]
    room = _room(widths)
    text(paint(_aligned(heads, widths, right, room), "head"))
    for row in cells:
        text(_aligned(row, widths, right, room))


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "yes" if value else ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _room(widths: Sequence[int]) -> int:
    """Columns left for the last cell; 0 where nothing has to fit."""
    if not sys.stdout.isatty():
        return 0
    columns = shutil.get_terminal_size().columns
    return max(columns - sum(widths[:-1]) - 2 * (len(widths) - 1), 20)


def _aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], room: int) -> str:
    out = []
    for i, cell in enumerate(cells):
        last = i == len(cells) - 1
        shown = _cut(cell, room) if last and room else cell
        gap = " " * (widths[i] - _width(shown))
        out.append(gap + shown if right[i] else shown if last else shown + gap)
    return "  ".join(out)


def _width(cell: str) -> int:
    """Columns that a text takes: wide East Asian characters take two."""
    if cell.isascii():
        return len(cell)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in cell)
    return len(cell) + wide - sum(map(bool, map(unicodedata.combining, cell)))


def _cut(cell: str, room: int) -> str:
    if _width(cell) <= room:
        return cell
    while cell and _width(cell) > room - 1:
        cell = cell[:-1]
    return cell + "…"


# --- colours -----------------------------------------------------------------------------

_STYLES: dict[str, dict[str, Any]] = {
    "head": {"bold": True},
    "user": {"fg": "green", "bold": True},
    "assistant": {"fg": "blue", "bold": True},
    "system": {"fg": "magenta", "bold": True},
    "tool": {"fg": "cyan"},
    "call": {"fg": "cyan"},
    "dim": {"dim": True},
    "hint": {"dim": True},
    "rule": {"fg": "yellow"},
    "mark": {"fg": "black", "bg": "yellow"},
    "bad": {"fg": "red", "bold": True},
    "good": {"fg": "green"},
}


def paint(words: str, style: str, *, stream: TextIO | None = None) -> str:
    """Words in a style, where the stream takes colours."""
    return click.style(words, **_STYLES[style]) if _colours(stream or sys.stdout) else words


def _colours(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


# --- figures -----------------------------------------------------------------------------


def short(id: str | None) -> str:
    """As much of an id as tells it from others."""
    return one_line(id or "")[:SHORT_ID]


def moment(time_ms: int) -> str:
    """A time in the local zone, to the minute."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_ms / 1000))
    except (OverflowError, ValueError, OSError):
        return "?"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def plural(count: int, noun: str) -> str:
    """`1 session`, `2,000 sessions`, `2 branches`."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{count:,} {noun[:-1]}ies"
    return f"{count:,} {noun}{'es' if noun.endswith(('ch', 's', 'sh', 'x')) else 's'}"


# --- progress ----------------------------------------------------------------------------

Advance = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


@contextmanager
def progress(label: str, *, in_bytes: bool = False) -> Iterator[Advance]:
    """A bar on standard error while it is a terminal; otherwise nothing is shown."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich import progress as bars
    from rich.console import Console

    amount = bars.DownloadColumn() if in_bytes else bars.MofNCompleteColumn()
    columns = [bars.TextColumn("{task.description}"), bars.BarColumn(), amount]
    if in_bytes:
        columns.append(bars.TransferSpeedColumn())
    columns.append(bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def export_progress() -> Iterator[Callable[[Progress], None]]:
    """A bar with how fast an export goes, on standard error while it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda now: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("exporting"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[speed]}"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, began = bar.add_task("", total=None, speed=""), time.monotonic()

        def advance(now: Progress) -> None:
            seconds = max(time.monotonic() - began, 1e-3)
            speed = f"{now.done / seconds:,.0f} sessions/s, {size(now.bytes / seconds)}/s"
            bar.update(task, completed=now.done, total=now.total, speed=speed)

        yield advance
