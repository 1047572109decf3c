"""JSON Lines as agents leave them: grown in any pieces, and now and then damaged.

A line is read as it should be: one JSON object. When that fails it is taken apart from the
left into whole objects (two may be glued together where a line end was lost) and the stretches
between them, so that damage never costs a good neighbour and no byte goes unaccounted.
Whether an object is whole is told by its closing brace alone, which later bytes cannot change;
so a line that grows gives the same pieces as one that was there at once.
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from clew.canonical import parse
from clew.errors import Invalid
from clew.model import JSON, Kind, Origin, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEPTH_MAX = 200
"""Levels of nesting beyond which a record is kept but not read."""

LINE_BYTES_MAX = 64 << 20
"""A longer line is kept in pieces of this size."""

RAW = "raw"
"""The format of a body that is no JSON text."""

_BLANK = re.compile(rb"(?:[ \t\r]|\xef\xbb\xbf)*+")
_HOLE = re.compile(rb"\x00++")
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)
_OPENING = re.compile(rb'\{[ \t]*+"')
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\t]")
_DIGITS_MAX = 400
_SEARCH_FACTOR = 16

_STRIPPED_BYTES_MAX = 1 << 20
_SHAPE = bytes.maketrans(b"[]", b"{}")
_NO_BRACES = bytes(set(range(256)) - set(b"{}[]"))

_decode = msgspec.json.Decoder().decode
_new_piece = tuple.__new__


class Piece(NamedTuple):
    """One object of a line, or a stretch that is none.

    `value` is what was read, `None` if nothing could be. `note` says what is wrong with the
    bytes; with a value beside it, the bytes are no strict JSON and were read leniently.
    """

    start: int
    body: bytes
    value: dict[str, JSON] | None
    note: str | None = None


class JsonlReader(ABC):
    """A `Reader` of JSON Lines; a format says in `record` what one piece means.

    A `document` is one object over many lines: nothing of it is read before all of it is there.
    """

    origin: Origin

    def __init__(self, consumed: int = 0, *, document: bool = False) -> None:
        self._consumed = consumed
        self._pending = b""
        self._document = document

    @property
    def consumed(self) -> int:
        """See `Reader.consumed`."""
        return self._consumed

    @abstractmethod
    def record(self, piece: Piece) -> Record:
        """What a piece says."""

    @abstractmethod
    def is_record(self, value: dict[str, JSON]) -> bool:
        """True when an object found behind garbage is a record and not a part of one."""

    @abstractmethod
    def state(self) -> bytes:
        """See `Reader.state`."""

    def feed(self, chunk: bytes, at: int, *, last: bool = False) -> list[Record]:
        """See `Reader.feed`."""
        expected = self._consumed + len(self._pending)
        if at != expected:
            raise Invalid(f"a chunk at byte {at} was given where {expected} comes next: feed it")
        data = self._pending + chunk if self._pending else chunk
        self._pending = b""  # a long line is held often enough
        records: list[Record] = []
        taken = self._lines(data, records)
        if last:
            taken += self._tail(data[taken:], self._consumed + taken, records)
        self._consumed += taken
        self._pending = data[taken:]
        return records

    def _lines(self, data: bytes, records: list[Record]) -> int:
        """Read the lines that end in `data`; gives how many bytes they take."""
        if self._document:
            return self._lead(data, records)
        at, position = self._consumed, 0
        while True:
            end = data.find(b"\n", position)
            stop = end if end >= 0 else len(data)
            if stop - position > LINE_BYTES_MAX:
                body = data[position : position + LINE_BYTES_MAX]
                note = f"a line longer than {LINE_BYTES_MAX} bytes: a piece of it"
                records.append(self.record(Piece(at + position, body, None, note)))
                position += LINE_BYTES_MAX
                continue
            if end < 0:
                return position
            line = data[position:end]
            whole = _whole(line, at + position)
            if whole is not None:
                records.append(self.record(whole))
            else:
                for piece in _pieces(line, at + position, self.is_record, ended=True):
                    records.append(self.record(piece))  # noqa: PERF401 (`record` has an order)
            position = end + 1

    def _lead(self, data: bytes, records: list[Record]) -> int:
        """What is taken of a document that is not there yet: pieces of one that is too large."""
        taken = 0
        while len(data) - taken > LINE_BYTES_MAX:
            body = data[taken : taken + LINE_BYTES_MAX]
            note = f"a document larger than {LINE_BYTES_MAX} bytes: a piece of it"
            records.append(self.record(Piece(self._consumed + taken, body, None, note)))
            taken += LINE_BYTES_MAX
        return taken

    def _tail(self, line: bytes, at: int, records: list[Record]) -> int:
        """Read the whole objects of a line that has no end yet. White space around a whole
        document belongs to it.
        """
        lead = len(line) - len(line.lstrip()) if self._document else 0
        taken = lead
        for piece in _pieces(line[lead:], at + lead, self.is_record, ended=False):
            records.append(self.record(piece))
            taken = piece.start - at + len(piece.body)
        if not self._document:
            return taken
        read = taken > lead or lead == len(line)
        return len(line) - len(line[taken:].lstrip()) if read else 0


def raw_record(piece: Piece) -> Record:
    """A piece that could not be read: kept as it is, with the reason."""
    return Record(piece.start, len(piece.body), Kind.UNKNOWN, RAW, note=piece.note)


def read_line(
    line: bytes, at: int, is_record: Callable[[dict[str, JSON]], bool]
) -> Iterator[Piece]:
    """The pieces of one line, without its line end, that stands at offset `at`."""
    whole = _whole(line, at)
    if whole is not None:
        return iter((whole,))
    return _pieces(line, at, is_record, ended=True)


def _whole(line: bytes, at: int) -> Piece | None:
    """A line that is one object and nothing else, as nearly all are."""
    if line.count(b"{") + line.count(b"[") > DEPTH_MAX and _may_be_deep(line):
        return None
    try:
        value = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if type(value) is not dict:
        return None
    body = line.strip(b" \t\r")
    start = at if body is line else at + line.index(b"{")
    # Half the time of making it by its name, once a record.
    return _new_piece(Piece, (start, body, value, None))


def _may_be_deep(line: bytes) -> bool:
    """False where a line, if it is JSON, nests no deeper than `DEPTH_MAX`: program text has many
    braces, and they stand in strings. Taking a line apart token by token is ten times as slow.
    """
    if len(line) > _STRIPPED_BYTES_MAX:
        return True
    said = line.replace(rb"\\", b"").replace(rb"\"", b"")
    braces = b"".join(said.split(b'"')[::2]).translate(_SHAPE, _NO_BRACES)
    for _level in range(DEPTH_MAX):
        if not braces:
            return False
        braces = braces.replace(b"{}", b"")
    return bool(braces)


def _pieces(
    line: bytes, at: int, is_record: Callable[[dict[str, JSON]], bool], *, ended: bool
) -> Iterator[Piece]:
    """Take a line apart from the left. One that has not `ended` stops at the first doubt."""
    position = _skip_blank(line, 0)
    while position < len(line):
        if hole := _HOLE.match(line, position):
            if not ended and hole.end() == len(line):
                return
            note = f"a hole of {len(hole[0])} NUL bytes, as a crash leaves it"
            piece = Piece(at + position, hole[0], None, note)
        else:
            found = _object(line, position)
            if found is None:
                if not ended:
                    return
                found = _garbage(line, position, is_record)
            piece = found._replace(start=at + position)
        yield piece
        position = _skip_blank(line, position + len(piece.body))


def _skip_blank(line: bytes, position: int) -> int:
    blank = _BLANK.match(line, position)
    return blank.end() if blank else position


def _object(line: bytes, position: int) -> Piece | None:
    """The whole object at a position, if there is one."""
    if line[position] != ord("{"):
        return None
    end, depth = _close(line, position)
    if end is None:
        return None
    body = line[position:end]
    if depth > DEPTH_MAX:
        return Piece(0, body, None, f"nested {depth} levels deep, more than {DEPTH_MAX}: not read")
    try:
        return Piece(0, body, parse(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _lenient(body)
        return None if value is None else Piece(0, body, value, _fault(body))


def _close(line: bytes, position: int) -> tuple[int | None, int]:
    """Behind the brace that closes the one at a position, and how deep it nests."""
    depth = deepest = 0
    for token in _TOKEN.finditer(line, position):
        first = line[token.start()]
        if first in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"}]":
            depth -= 1
            if not depth:
                return token.end(), deepest
        elif token.end() - token.start() == 1:
            break  # a string that does not end
    return None, deepest


def _lenient(body: bytes) -> dict[str, JSON] | None:
    """An object that is no strict JSON, read as well as it can be."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(
            text,
            strict=False,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_no_number,
        )
        value = parse(json.dumps(value).encode())
    except (ValueError, msgspec.DecodeError):
        return None
    return value if type(value) is dict else None


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < _DIGITS_MAX else digits


def _float(digits: str) -> float | str:
    value = float(digits)
    return value if math.isfinite(value) else digits


def _no_number(_name: str) -> None:
    """NaN and the infinities read as null."""


def _fault(body: bytes) -> str:
    """What keeps a body from being JSON."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at its byte {error.start}: read with a replacement"
    if control := _CONTROL.search(body):
        return f"a raw control character 0x{control[0][0]:02x} in it: read leniently"
    return "a number that JSON does not have (NaN, Infinity or out of range): read leniently"


def _garbage(line: bytes, position: int, is_record: Callable[[dict[str, JSON]], bool]) -> Piece:
    """What stands between a position and the next whole record of the line, or its end."""
    end = _next_record(line, position + 1, is_record)
    body = line[position:end].rstrip(b" \t\r")
    if line[position] == ord("{"):
        return Piece(0, body, None, "a torn record, cut before its end")
    return Piece(0, body, None, "JSON, but not an object" if _is_json(body) else "not JSON")


def _is_json(body: bytes) -> bool:
    if body.count(b"[") > DEPTH_MAX:
        return False
    try:
        parse(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _next_record(line: bytes, position: int, is_record: Callable[[dict[str, JSON]], bool]) -> int:
    # Every candidate is read to its closing brace; the bound keeps a hostile line linear.
    budget = _SEARCH_FACTOR * (len(line) - position)
    for opening in _OPENING.finditer(line, position):
        start = opening.start()
        found = _object(line, start)
        if found is not None and found.value is not None and is_record(found.value):
            return start
        budget -= len(found.body) if found is not None else len(line) - start
        if budget < 0:
            break
    return len(line)
