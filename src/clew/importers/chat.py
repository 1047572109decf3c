"""Chats that an application keeps: one file a session, one message a line.

The messages are those of OpenAI (Chat, or items of Responses) and of Anthropic. No program has a
place for such files: they are read where they are named.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from clew.canonical import canonical, content_id
from clew.importers import jsonl, packed
from clew.importers.chat_records import (
    FORMAT,
    classify,
    decode,
    is_message,
    is_text_of_lines,
    told_at,
)
from clew.importers.facts import set_title
from clew.importers.jsonl import JsonlReader, Piece, raw_record
from clew.importers.state import State, load
from clew.model import JSON, Kind, Origin, Record
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "chat"
formats: tuple[str, ...] = (FORMAT,)

HEAD_BYTES: Final = 64 << 10
HEAD_RECORDS: Final = 8
BLANK: Final = b" \t\r\xef\xbb\xbf"
LINE_BYTES_MAX: Final = 8 << 20
"""A longer first line is not waited for."""
STATE_VERSION: Final = 1
NAME_BYTES: Final = 12
RANK_PROMPT: Final = 1


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """None: such files have no place of their own. Name the file."""
    del home, env
    return []


def identify(path: Path) -> bool:
    """True for JSON Lines that begin with messages and nothing else."""
    if not is_text_of_lines(path):
        return False
    values = [value for value in head(path) if value is not None]
    return bool(values) and all(map(is_message, values))


def discover(root: Path) -> Iterator[Path]:
    """See `Importer.discover`."""
    files = [root] if root.is_file() else sorted(walk(root))
    yield from (path for path in files if identify(path))


def open(path: Path, state: bytes | None = None) -> ChatReader:
    """See `Importer.open`. Nothing in the file names the session: it is called after the file,
    and told from others of that name by the folder.
    """
    if state is not None:
        return ChatReader.resume(state)
    folder = hashlib.sha256(os.fsencode(path.absolute().parent)).hexdigest()
    return ChatReader(Origin(mended(f"{path.stem}~{folder[:8]}"), name))


class _State(State):
    origin: Origin
    titled: bool
    chain: str


class ChatReader(JsonlReader):
    """Reads one file of messages. See `clew.importers.base.Reader`."""

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        self.origin = origin
        self._titled = False
        self._chain = ""
        """What the newest record's name is made of: all that was said so far."""

    @classmethod
    def resume(cls, state: bytes) -> Self:
        """A reader that goes on where `state` stopped. Raises `Invalid` for a foreign one."""
        known = load(state, _State, STATE_VERSION, "chat")
        reader = cls(known.origin)
        reader._consumed = known.consumed
        reader._titled, reader._chain = known.titled, known.chain
        return reader

    def state(self) -> bytes:
        """See `Reader.state`."""
        known = _State(STATE_VERSION, self._consumed, self.origin, self._titled, self._chain)
        return msgspec.json.encode(known)

    def is_record(self, value: dict[str, JSON]) -> bool:
        """See `JsonlReader.is_record`."""
        return is_message(value)

    def record(self, piece: Piece) -> Record:
        """What one line says. Its name is made from that and from all before it: in a file that
        was written anew, what changed follows what did not.
        """
        said = piece.body if piece.value is None else canonical(piece.value)
        before = self._chain
        self._chain = content_id(before.encode() + b"\0" + said)[:NAME_BYTES].hex()
        if piece.value is None or piece.note is not None:
            record = raw_record(piece)
        else:
            record = self._said(piece, piece.value)
        record.native_id, record.says_all = f"{self.origin.native_id}/{self._chain}", True
        record.after = f"{self.origin.native_id}/{before}" if before else ""
        return record

    def _said(self, piece: Piece, value: dict[str, JSON]) -> Record:
        kind, role, note = classify(value)
        record = Record(piece.start, len(piece.body), kind, FORMAT, role, told_at(value), note=note)
        if kind is Kind.UNKNOWN:
            return record
        message = decode(value)
        record.usage = message.usage
        record.message_id = message.id
        self.origin.model = message.model or self.origin.model
        if role == "user" and not self._titled:
            set_title(record, message.text, RANK_PROMPT)
            self._titled = record.title is not None
        return record


def head(path: Path) -> list[dict[str, JSON] | None]:
    """The first lines of a file; `None` for one that is no object. Those that begin as none
    are left out.
    """
    try:
        with packed.plain(path) as file:
            data = file.read(HEAD_BYTES)
            if b"\n" not in data:  # a first line with a long prompt in it
                data += file.readline(LINE_BYTES_MAX)
    except OSError:
        return []
    lines = data.split(b"\n")
    if len(data) == HEAD_BYTES:
        lines.pop()
    return [
        piece.value
        for line in lines[:HEAD_RECORDS]
        if line.lstrip(BLANK)[:1] == b"{"
        for piece in jsonl.read_line(line, 0, lambda _value: True)
    ]


def walk(root: Path) -> Iterator[Path]:
    """The files at or below `root` that are named as JSON Lines are."""
    for folder, _folders, files in os.walk(root):
        yield from (path for file in files if is_text_of_lines(path := Path(folder, file)))
