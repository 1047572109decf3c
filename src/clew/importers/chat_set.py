"""Sets of conversations: JSON Lines of which each line holds a whole one.

Fine-tuning files, batches and logs of requests. A line is a session; what a line says is what it
is known by, so that one which is in two files, or twice in one, is one session, and one that was
changed is another.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from clew.canonical import content_id
from clew.importers import chat, chat_records, packed, rows
from clew.importers import chat_set_records as records
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title
from clew.importers.jsonl import LINE_BYTES_MAX
from clew.model import JSON, Kind, Origin, Record
from clew.names import mended
from clew.shapes.base import entry_role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

name = "chat-set"
formats: tuple[str, ...] = tuple(records.DECODERS)

HEAD_RECORDS: Final = 4
NAME_BYTES: Final = 16
RANK_PROMPT: Final = 1
DAMAGED: Final = "damaged lines of "
"""What the session is called that keeps the lines which are no conversation."""


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """None: such files have no place of their own. Name the file."""
    del home, env
    return []


def identify(path: Path) -> bool:
    """True for JSON Lines that begin with conversations and nothing else."""
    if not chat_records.is_text_of_lines(path):
        return False
    values = [value for value in chat.head(path)[:HEAD_RECORDS] if value is not None]
    return bool(values) and all(map(records.is_ours, values))


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    files = [root] if root.is_file() else sorted(chat.walk(root))
    yield from (path for path in files if identify(path))


@contextmanager
def look(path: Path) -> Iterator[ChatSet]:
    """See `Store.look`."""
    with packed.plain(path) as file:
        yield ChatSet(path, file)


def open(path: Path, thread: str, state: bytes | None = None) -> ChatSetReader:
    """See `Store.open`."""
    del path
    return ChatSetReader(Origin(mended(thread), name)).resumed(state)


class ChatSet:
    """See `base.Look`: the lines of one file."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._file = file
        self._lines: dict[str, tuple[int, int]] = {}
        self._damaged: list[tuple[int, int, str | None]] = []
        folder = hashlib.sha256(os.fsencode(path.absolute().parent)).hexdigest()
        self._name = mended(path.name)
        self._rest = f"{DAMAGED}{self._name}~{folder[:8]}"

    def threads(self) -> Iterator[Thread]:
        """See `Look.threads`. Lines that are no conversation come last, together."""
        digest = hashlib.sha256()
        for at, line in self._read():
            value, note = records.read(line)
            if value is not None and records.is_conversation(value):
                thread = content_id(line)[:NAME_BYTES].hex()
                if thread not in self._lines:
                    self._lines[thread] = (at, len(line))
                    yield Thread(thread, (len(line), 0))
                continue
            if value is not None:
                note = "no conversation that is known"
            elif not self._ended(at, line):
                note = None
            self._damaged.append((at, len(line), note))
            digest.update(line)
        if self._damaged:
            seen = int.from_bytes(digest.digest()[:7], "big")
            yield Thread(self._rest, (len(self._damaged), seen))

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`. A last line that is not complete yet waits."""
        if thread != self._rest:
            yield Item("line", self._bytes(*self._lines[thread]))
            return
        if any(reason for _at, _length, reason in self._damaged):
            yield Item("file", msgspec.json.encode({"file": self._name}), aside=True)
        for at, length, reason in self._damaged:
            line = self._bytes(at, length)
            note = reason and f"at byte {at} of the file: {reason}"
            key = f"{at}~{content_id(line)[:4].hex()}"
            yield Item(key, _wrapped(at, line), open=note is None, note=note)

    def _read(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are not blank, without what is blank around them, and where they stand.
        One that is too long is given in pieces.
        """
        at = 0
        while True:
            self._file.seek(at)
            whole = self._file.readline(LINE_BYTES_MAX)
            if not whole:
                return
            line = whole.strip(chat.BLANK + b"\n")
            if line:
                yield at + whole.index(line), line
            at += len(whole)

    def _ended(self, at: int, line: bytes) -> bool:
        """Whether anything stands behind a line, be it its end."""
        self._file.seek(at + len(line))
        return bool(self._file.read(1))

    def _bytes(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(length)


class ChatSetReader(rows.ItemReader):
    """Reads one line: all of it, and in it the messages."""

    format = records.LINE

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`."""
        if item.aside:
            set_title(record, f"{DAMAGED}{value.get('file')}", RANK_PROMPT)
            return []
        record.time_ms = chat_records.told_at(value)
        self.origin.model = records.model_of(value)
        usage = records.usage_of(value)
        if usage is not None:
            key = usage.key or f"{name}:{self.origin.native_id}"
            record.usage = msgspec.structs.replace(usage, key=key)
        found: list[Record] = []
        try:
            messages = records.said(item.body)
        except msgspec.DecodeError:
            record.kind, record.note = Kind.UNKNOWN, "it cannot be taken apart into messages"
            return found
        for number, said in enumerate(messages):
            inner = Record(
                record.start + said.start,
                said.length,
                Kind.MESSAGE,
                said.format,
                time_ms=record.time_ms,
                native_id=f"{record.native_id}/{number}",
                says_all=True,
            )
            self._fill(inner, said)
            found.append(inner)
        return found

    def _fill(self, record: Record, said: records.Said) -> None:
        if said.format == chat_records.FORMAT:
            record.kind, record.role, record.note = chat_records.classify(said.value)
            if record.kind is not Kind.MESSAGE:
                return
        message = records.DECODERS[said.format](said.value)
        record.role = entry_role(message)
        record.time_ms = message.time_ms or record.time_ms
        record.usage, record.message_id = message.usage, message.id
        if record.role == "user" and "titled" not in self.facts:
            set_title(record, message.text, RANK_PROMPT)
            self.facts["titled"] = record.title is not None


def _wrapped(at: int, line: bytes) -> bytes:
    """A line that may be no JSON, as an object: its text, or its bytes where it is none."""
    try:
        told: JSON = line.decode()
    except UnicodeDecodeError:
        told = {"$bytes": line}
    return msgspec.json.encode({"at": at, "line": told})
