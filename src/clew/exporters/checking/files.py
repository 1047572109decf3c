"""Files of rows: read a row at a time, each held against its format, and their lines, too.

Memory is that of one row (of a trace or a document: one file), whatever the length of the file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from clew.exporters.base import Problem
from clew.exporters.checking import sts
from clew.exporters.checking.guess import candidates
from clew.exporters.checking.rules import called

if TYPE_CHECKING:
    from clew.exporters.base import Row
    from clew.exporters.formats import Format
    from clew.model import JSON

LINE_BYTES_MAX: Final = 256 << 20
"""A longer line, or a longer file that is one document, is not looked into."""
_BLOCK = 1 << 20
_REPEATED_MAX = 20
"""So many keys that stand twice are told of a line."""
_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = (b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xc2\x85")

Read = Callable[[int], bytes]
"""Gives up to so many bytes of a file, none at its end."""


class Found(NamedTuple):
    """A problem and where it is: the number of the line (of a Parquet file: of the row)."""

    line: int
    problem: Problem


class Tally:
    """What was looked at: rows, how many are not fit, and problems by rule."""

    def __init__(self) -> None:
        self.rows = 0
        self.unfit = 0
        self.by_rule: Counter[str] = Counter()

    @property
    def problems(self) -> int:
        """All problems."""
        return sum(self.by_rule.values())


class Reader:
    """Holds files against a format, and counts what it finds in `tally`."""

    def __init__(self, format: Format) -> None:
        if format.check is None:
            raise ValueError(f"{format.name} has no rules")
        self._name = format.name
        self._check = format.check
        self.tally = Tally()

    # --- kinds of files --------------------------------------------------------------------

    def lines(self, read: Read) -> Iterator[Found]:
        """A file of JSON lines."""
        trace = self._name == "sts"
        before = self.tally.rows
        held: list[tuple[int, JSON]] = []
        for number, data in _lines(read):
            problems, value = _decoded(data, first=number == 1)
            yield from self._told(number, problems)
            if value is None:
                self._unread(data)
            elif trace and "lines" not in value:
                if value.get("type") == "session":
                    yield from self._trace(held)
                    held = []
                held.append((number, value))
            else:
                yield from self._row(number, value)
        yield from self._trace(held)
        yield from self._none(before)

    def document(self, read: Read) -> Iterator[Found]:
        """A file that is one JSON document, on however many lines."""
        data = _all(read)
        before = self.tally.rows
        problems, value = _decoded(data, first=True, whole=True)
        yield from self._told(1, problems)
        if value is not None:
            yield from self._row(1, value)
        else:
            self._unread(data)
        yield from self._none(before)

    def rows(self, rows: Iterable[Row]) -> Iterator[Found]:
        """Rows that were read already."""
        before = self.tally.rows
        for number, row in enumerate(rows, 1):
            yield from self._row(number, row)
        yield from self._none(before)

    # --- rows ------------------------------------------------------------------------------

    def _row(self, number: int, row: Row) -> Iterator[Found]:
        self.tally.rows += 1
        problems = self._check(row)
        if problems:
            self.tally.unfit += 1
            likely = candidates(row)
            if likely and self._name not in likely:
                names = " or ".join(sorted(likely))
                text = f"is no {self._name} row; it looks like {names}: say --as {names}"
                problems = [Problem("other-format", "", text)]
        yield from self._told(number, problems)

    def _unread(self, data: bytes | None) -> None:
        """Count a line that holds no object, unless it is empty."""
        if data is None or data.strip():
            self.tally.rows += 1
            self.tally.unfit += 1

    def _trace(self, held: list[tuple[int, JSON]]) -> Iterator[Found]:
        """The lines of one session: a row, each problem in the line where it is."""
        if not held:
            return
        self.tally.rows += 1
        problems = sts.check_lines([value for _, value in held])
        likely = candidates(held[0][1])
        if problems and likely and "sts" not in likely:
            text = f"is no trace; it looks like {' or '.join(sorted(likely))}: say that"
            problems = [Problem("other-format", "", text)]
        self.tally.unfit += bool(problems)
        for problem in problems:
            parts = problem.where.split("/")
            place = int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() else 0
            number = held[min(place, len(held) - 1)][0]
            yield from self._told(number, [problem._replace(where="/".join(parts[2:]))])

    def _none(self, before: int) -> Iterator[Found]:
        if self.tally.rows == before and not self.tally.problems:
            yield from self._told(1, [Problem("no-rows", "", "holds no row: nothing was exported")])

    def _told(self, number: int, problems: Iterable[Problem]) -> Iterator[Found]:
        for problem in problems:
            self.tally.by_rule[problem.rule] += 1
            yield Found(number, problem)


# --- lines ---------------------------------------------------------------------------------


def _all(read: Read) -> bytes | None:
    """A whole file; `None` when it is too long."""
    pieces: list[bytes] = []
    size = 0
    while size <= LINE_BYTES_MAX and (block := read(_BLOCK)):
        pieces.append(block)
        size += len(block)
    return b"".join(pieces) if size <= LINE_BYTES_MAX else None


def _lines(read: Read) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers, without their newlines; `None` for one that is too long."""
    number = 1
    pieces: list[bytes] = []
    size = 0
    while block := read(_BLOCK):
        *whole, rest = block.split(b"\n")
        for piece in whole:
            yield number, _joined(pieces, piece, size)
            number += 1
            pieces, size = [], 0
        size += len(rest)
        if size > LINE_BYTES_MAX:
            pieces = []
        elif rest:
            pieces.append(rest)
    if size:
        yield number, _joined(pieces, b"", size)


def _joined(pieces: list[bytes], last: bytes, size: int) -> bytes | None:
    if size + len(last) > LINE_BYTES_MAX:
        return None
    return b"".join([*pieces, last]) if pieces else last


def _decoded(
    data: bytes | None, *, first: bool, whole: bool = False
) -> tuple[list[Problem], Row | None]:
    """The object of a line, and what is wrong with the line."""
    if data is None:
        text = f"is longer than {LINE_BYTES_MAX >> 20} MiB: not looked into"
        return [Problem("line-length", "", text)], None
    problems: list[Problem] = []
    if first and data.startswith(_BOM):
        text = "begins with a byte order mark: write UTF-8 without one"
        problems.append(Problem("encoding", "", text))
        data = data[len(_BOM) :]
    if not whole:
        data = _stripped(data, problems)
    if not data.strip():
        if not whole:
            text = "is empty: leave it out; some readers stop there"
            problems.append(Problem("blank-line", "", text))
        return problems, None
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problems.append(_undecoded(data, error))
        return problems, None
    except RecursionError:
        problems.append(Problem("json", "", "is nested too deep to be read"))
        return problems, None
    if type(value) is not dict:
        problems.append(Problem("object", "", f"is {called(value)}: write a JSON object"))
        return problems, None
    problems += _repeated(data, value)
    return problems, value


def _repeated(data: bytes, value: JSON) -> list[Problem]:
    """Keys that an object of a line has twice: of those one reader takes the first, another the
    last. What is written the shortest way has none, which is seen at once.
    """
    with suppress(ValueError, OverflowError, RecursionError):
        if msgspec.json.encode(value) == data:
            return []
    again: dict[str, None] = {}

    def look(pairs: list[tuple[str, JSON]]) -> None:
        if len({key for key, _ in pairs}) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            again.update((key, None) for key, count in counts.items() if count > 1)

    try:
        # Numbers are not looked at: one of many digits would be refused.
        json.loads(data, object_pairs_hook=look, parse_int=len, parse_float=len)
    except RecursionError:
        return [Problem("json", "", "is nested too deep to be read by others")]
    text = "stands twice in one object: leave one of them out"
    return [Problem("key-repeated", f"{key:.80}", text) for key in list(again)[:_REPEATED_MAX]]


def _stripped(data: bytes, problems: list[Problem]) -> bytes:
    if data.endswith(b"\r"):
        text = "ends in CR LF: end lines in LF alone"
        problems.append(Problem("line-end", "", text))
        data = data[:-1]
    if any(end in data for end in _LINE_ENDS):
        text = "holds U+2028, U+2029 or U+0085, where some readers end a line: write its escape"
        problems.append(Problem("line-end", "", text))
    return data


def _undecoded(data: bytes, error: Exception) -> Problem:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in data[:4]:
        return Problem("encoding", "", "looks like UTF-16 or UTF-32: write UTF-8")
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        return Problem("encoding", "", f"is no UTF-8 at byte {wrong.start + 1}: write UTF-8")
    return Problem("json", "", f"is no JSON ({error}): write one JSON object on a line")
