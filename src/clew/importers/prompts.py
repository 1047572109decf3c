"""Prompts that outlive their sessions: a file with a line for each one that was typed.

An agent that deletes old sessions may keep what its user typed, for the arrow keys. Of a session
whose own history is gone that is all there is: it becomes a session of prompts. What such a
session is told by its own history counts for more (`Origin.remains`): where that is on the disk
the prompts are not read, and where the ledger has it already nothing is added to it.

A format says how it names session, time and project (`Told`), and which sessions are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec

from clew.canonical import content_id
from clew.importers import packed
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title
from clew.importers.jsonl import LINE_BYTES_MAX, RAW, read_line
from clew.importers.state import State, load
from clew.model import JSON, Kind, Origin, Record
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

STATE_VERSION: Final = 1
KEY_BYTES: Final = 6
UNNAMED: Final = "no-session/"
"""What the threads of prompts begin with that name no session; behind it the project."""
HEAD_BYTES: Final = 64 << 10


class Told(NamedTuple):
    """What a line tells beside its words: which session, when (Unix milliseconds) and where."""

    session: str | None
    time_ms: int | None
    project: str | None = None


class _State(State):
    format: str
    origin: Origin
    titled: bool
    seen: list[str]


class Prompts:
    """See `base.Look`. Only where the lines lie is held, not what they say."""

    def __init__(
        self, path: Path, tell: Callable[[dict[str, JSON]], Told], there: Iterable[str]
    ) -> None:
        self._path = path
        self._lines: dict[str, list[tuple[int, int]]] = {}
        known = frozenset(there)
        with packed.plain(path) as file:
            at = 0
            for line in iter(lambda: file.readline(LINE_BYTES_MAX), b""):
                value = _value(line.strip())[0]
                thread = _thread(tell(value))
                # What is neither whole nor ended may still be written.
                ended = value or line.endswith(b"\n") or len(line) == LINE_BYTES_MAX
                if ended and line.strip() and thread not in known:
                    self._lines.setdefault(thread, []).append((at, len(line)))
                at += len(line)

    def threads(self) -> list[Thread]:
        """See `Look.threads`."""
        return [
            Thread(thread, (len(lines), sum(size for _, size in lines)))
            for thread, lines in self._lines.items()
        ]

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`. A line's key is what it says: lines have no ids, and files are cut
        at their heads.
        """
        times: dict[str, int] = {}
        with packed.plain(self._path) as file:
            for at, size in self._lines.get(thread, []):
                file.seek(at)
                body = file.read(size).strip()
                key = content_id(body)[:KEY_BYTES].hex()
                times[key] = times.get(key, 0) + 1
                yield Item(f"{key}.{times[key]}" if times[key] > 1 else key, body)


class PromptsReader:
    """Reads one session's prompts. See `base.ThreadReader`."""

    waits = False

    def __init__(
        self, origin: Origin, form: str, tell: Callable[[dict[str, JSON]], Told], words: str
    ) -> None:
        self.origin = origin
        self._format = form
        self._tell = tell
        self._words = words
        """Under which key a line has what was typed."""
        self._consumed = 0
        self._titled = False
        self._seen: dict[str, None] = {}

    def resumed(self, packed: bytes | None) -> Self:
        """This reader, going on where a state stopped. Raises `Invalid` for a foreign one."""
        if packed is None:
            return self
        known = load(packed, _State, STATE_VERSION, self._format)
        self._consumed, self.origin = known.consumed, known.origin
        self._titled, self._seen = known.titled, dict.fromkeys(known.seen)
        return self

    def state(self) -> bytes:
        """See `ThreadReader.state`."""
        return msgspec.json.encode(
            _State(
                STATE_VERSION,
                self._consumed,
                self._format,
                self.origin,
                self._titled,
                list(self._seen),
            )
        )

    @property
    def consumed(self) -> int:
        """See `ThreadReader.consumed`."""
        return self._consumed

    def take(self, items: Iterable[Item]) -> Iterator[tuple[bytes, list[Record]]]:
        """See `ThreadReader.take`."""
        for item in items:
            if item.key not in self._seen:
                self._seen[item.key] = None
                record = self._record(item)
                self._consumed += len(item.body) + 1
                yield item.body + b"\n", [record]

    def _record(self, item: Item) -> Record:
        name = f"{self.origin.native_id}/{item.key}"
        record = Record(
            self._consumed, len(item.body), Kind.MESSAGE, self._format, "user", native_id=name
        )
        value, note = _value(item.body)
        words = value.get(self._words)
        if note is None and not isinstance(words, str):
            note = "a line of prompts without one"
        if note is not None:
            record.kind, record.format, record.role, record.note = Kind.UNKNOWN, RAW, None, note
            return record
        told = self._tell(value)
        record.time_ms = told.time_ms
        self.origin.project = self.origin.project or told.project
        if not self._titled and isinstance(words, str) and not words.startswith("/"):
            self._titled = True
            set_title(record, words, 1)
        return record


def origin_of(thread: str, agent: str) -> Origin:
    """The session that a thread of prompts is what is left of."""
    return Origin(mended(thread), agent, remains=True)


def first_value(path: Path) -> dict[str, JSON]:
    """The first line of a file that can be read; nothing when there is none."""
    with packed.plain(path) as file:
        lines = file.read(HEAD_BYTES).split(b"\n")
    return next(filter(None, (_value(line.strip())[0] for line in lines)), {})


def _thread(told: Told) -> str:
    return told.session or f"{UNNAMED}{told.project or ''}"


def _value(body: bytes) -> tuple[dict[str, JSON], str | None]:
    """What a line says, and what is wrong with it."""
    pieces = list(read_line(body, 0, lambda _value: True))
    if len(pieces) == 1:
        return pieces[0].value or {}, pieces[0].note
    return {}, "more than one JSON object in a line" if pieces else "an empty line"
