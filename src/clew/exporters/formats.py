"""The formats that an export can be written in, by name.

Each is made from native rows (`clew.exporters.trajectory`) that were shaped and redacted:
`each` turns one row into one of the format, `family` turns the rows of sessions with a common
root into as many as it likes (pairs of branches), and gives an `Unfit` for each that it cannot
say; with neither the native row is the format's.
What comes out is a JSON object, written as a line. `file` says how such an object becomes a file
of its own (its name and its bytes); `table` how lines become a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from clew.errors import Invalid
from clew.exporters.packages import parquet

if TYPE_CHECKING:
    from clew.exporters.base import Row, Unfit
    from clew.model import JSON


class Problem(NamedTuple):
    """Why a row is not fit for its format. `where` is a path in the row (`messages/3/content`),
    `rule` a stable name, `text` says what is wrong and how to mend it.
    """

    rule: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where or 'the row'}: {self.text} [{self.rule}]"


class Table(Protocol):
    """A module that writes native lines as a table, and reads their values back."""

    suffix: str

    def write(self, lines: Iterable[bytes], target: Path) -> None:
        """Write a file from lines of native rows."""

    def values(self, path: Path) -> Iterator[JSON]:
        """Everything that stands in the file, decoded, to be scanned."""


class Format(msgspec.Struct, frozen=True):
    """A format. See the module."""

    name: str
    about: str
    each: Callable[[Row], Row] | None = None
    family: Callable[[Sequence[Row]], Iterator[Row | Unfit]] | None = None
    check: Callable[[Row], list[Problem]] | None = None
    file: Callable[[Row], tuple[str, bytes]] | None = None
    lines: bool = True
    """Whether it can be written as JSON lines; otherwise only as files or as a table."""
    table: Table | None = None


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format("native", "Clew's own row: everything that is known"),
        Format(
            "parquet",
            "native rows as a table, with columns to filter by",
            lines=False,
            table=parquet,
        ),
    )
}


def named(name: str) -> Format:
    """The format of a name. Raises `Invalid`."""
    try:
        return FORMATS[name]
    except KeyError:
        raise Invalid(f"there is no format {name!r}: choose from {', '.join(FORMATS)}") from None
