"""Lynkr: a proxy that keeps its clients' sessions in one SQLite file, and its routing in another.

    data/sessions.db       sessions(id, created_at, updated_at, metadata)
                           session_history(id, session_id, role, type, status, content, metadata, …)
    .lynkr/telemetry.db    routing_telemetry(request_id, session_id, timestamp, tier, provider, …)

The program is open source (https://github.com/Fast-Editor/Lynkr, src/db, src/sessions and
src/routing/telemetry.js); what is known of its tables stands in `docs/formats/lynkr.md`.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import content_id, parse
from clew.importers import database, lynkr_routing, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title
from clew.importers.lynkr_records import (
    FORMAT,
    decode,
    fingerprint,
    routed_usage,
)
from clew.model import JSON, Kind, Message, Origin, Record, Text, Unknown
from clew.names import mended
from clew.shapes import base

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

name = "lynkr"
formats: tuple[str, ...] = (FORMAT,)

NEEDED: Final = {
    "sessions": ("id", "created_at", "metadata"),
    "session_history": [
        "id",
        "session_id",
        "role",
        "type",
        "status",
        "content",
        "metadata",
        "timestamp",
    ],
}
_TOLD_APART: Final = 16
"""A session's id of so many characters is no word of a person's."""
_KEY_HEX: Final = 24


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """The file that the environment names. By itself it lies where the program was started."""
    named = env.get("SESSION_DB_PATH")
    path = type(home)(named) if named else None
    return [path] if path is not None and path.is_file() else []


def identify(path: Path) -> bool:
    """True for a database with the program's two tables."""
    return database.has_tables(path, NEEDED)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    return database.found_below(root, NEEDED)


@contextmanager
def look(path: Path) -> Iterator[Sessions]:
    """See `Store.look`."""
    with ExitStack() as held:
        found = held.enter_context(database.opened(path, tuple(NEEDED)))
        yield Sessions(found, lynkr_routing.beside(path, held))


def open(path: Path, thread: str, state: bytes | None = None) -> ItemReader:
    """See `Store.open`."""
    return ItemReader(Origin(mended(thread), name)).resumed(state)


class _Request(msgspec.Struct):
    """The content of a request's row; what the program made of it is not looked at."""

    raw: list[msgspec.Raw]


class Sessions:
    """See `base.Look`."""

    def __init__(self, found: database.Database, routing: lynkr_routing.Routing) -> None:
        self._database = found
        self._routing = routing
        self._places: dict[str, str] = {}

    def threads(self) -> list[Thread]:
        """See `Look.threads`. A client's own names ("test") are told apart by their time."""
        counts = self._database.rows(
            "select h.session_id, s.created_at, count(*) as items, max(h.id) as newest, "
            "sum(length(h.content)) as size from session_history h "
            "left join sessions s on s.id = h.session_id "
            "group by h.session_id order by min(h.timestamp), h.session_id"
        )
        routed = self._routing.marks()
        found = []
        for row in counts:
            session = str(row["session_id"])
            short = len(session) < _TOLD_APART
            thread = f"{session}@{row['created_at'] or 0}" if short else session
            self._places[thread] = row["session_id"]
            mark = database.mark(*row.values(), routed.get(session))
            found.append(Thread(thread, mark))
        return found

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`."""
        if not self._places:
            self.threads()
        session = self._places.get(thread, thread)
        about = "select id, created_at, metadata from sessions where id = ?"
        for row in self._database.rows(about, session):
            yield Item("session", _line(row), aside=True)
        spoken = self._database.rows(
            "select id, role, type, timestamp from session_history where session_id = ? "
            "order by timestamp, id",
            session,
        )
        answers = self._database.rows(
            "select id, type, status, content, timestamp from session_history "
            "where session_id = ? and role = 'assistant' order by timestamp, id",
            session,
        )
        routed = self._routing.of(session, answers, self._newest(session))
        walk = _Walk()
        for at, row in enumerate(spoken):
            whole = self._database.rows("select * from session_history where id = ?", row["id"])
            for each in whole:
                last = at == len(spoken) - 1
                yield from walk.take(each, routed.by_answer.get(row["id"]), newest=last)
        yield from walk.rest(session)
        yield from routed.items()

    def _newest(self, session: str) -> str:
        """What the newest request holds: all that was said before it."""
        found = self._database.rows(
            "select content from session_history where session_id = ? and role = 'user' "
            "order by timestamp desc, id desc limit 1",
            session,
        )
        return str(found[0]["content"]) if found else ""


class _Walk:
    """Finds what is new in requests that each repeat the whole conversation.

    Messages are known by what they say and what they follow, so the same conversation has the
    same names whichever of its requests are still there; one that begins otherwise (it was
    compacted, or it is another agent's under the same id) is another branch.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._prints: dict[bytes, bytes] = {}
        self._tail = rows.ROOT
        """Behind this item an answer comes."""
        self._stands = self._newest = rows.ROOT
        """Where the conversation stands, and the last item of it that was found."""
        self._asking = False
        self._early: dict[bytes, Item] = {}
        """Answers to requests that were deleted, by what they say."""

    def take(
        self, row: dict[str, Any], routed: dict[str, Any] | None, *, newest: bool
    ) -> Iterator[Item]:
        """The items of one row of the history."""
        if row["role"] == "user" and (request := _request(row["content"])) is not None:
            yield from self._asked(row, request)
            return
        told = {**row}
        if routed is not None:
            told["telemetry"] = lynkr_routing.numbers(routed)
        item = Item(f"row/{row['id']}", _line(told), aside=True)
        if row["role"] not in ("assistant", "user"):
            yield item
        elif row["role"] == "assistant" and row["type"] == "error":
            item = msgspec.structs.replace(item, key=f"error/{row['id']}")
            if self._asking:
                item = msgspec.structs.replace(item, aside=False, after=self._tail)
                self._stands = self._newest = item.key
            yield item
        elif row["role"] == "assistant" and not self._asking:
            self._early[_print(row["content"])] = item
        else:
            yield self._said(item, _print(row["content"]), past=not newest)

    def rest(self, session: str) -> Iterator[Item]:
        """What no request has: answers whose requests are all gone. And where the newest request
        was only sent again, the way back to it.
        """
        for print_, item in self._early.items():
            yield self._said(item, print_, past=False)
        if self._stands != self._newest:
            body = database.line({"session_id": session, "back": True})
            yield Item(f"back/{self._newest}", body, after=self._stands, past=True)

    def _said(self, item: Item, print_: bytes, *, past: bool) -> Item:
        """An answer behind what was said last; one that stands there already is kept aside."""
        key = self._key(print_)
        if key in self._known:
            return item
        after, self._tail = self._tail, key
        self._stands = self._newest = key
        self._known.add(key)
        return msgspec.structs.replace(item, key=key, aside=False, after=after, past=past)

    def _asked(self, row: dict[str, Any], request: list[msgspec.Raw]) -> Iterator[Item]:
        self._tail, self._asking = rows.ROOT, True
        for index, message in enumerate(request):
            raw = bytes(message)
            digest, text = content_id(raw), raw.decode("utf-8", "replace")
            if digest not in self._prints:
                self._prints[digest] = _print(text)
            print_ = self._prints[digest]
            early = self._early.pop(print_, None)
            key = self._key(print_)
            if key in self._known:
                self._tail = key
                continue
            told = {name: row[name] for name in row if name != "content"}
            one = {**told, "index": index, "message": database.embedded(text)}
            yield self._said(early or Item(key, _line(one)), print_, past=True)
        self._stands = self._tail

    def _key(self, print_: bytes) -> str:
        return content_id(self._tail.encode() + b"\0" + print_).hex()[:_KEY_HEX]


def _request(content: JSON) -> list[msgspec.Raw] | None:
    if not isinstance(content, str):
        return None
    try:
        found: _Request = parse(content.encode("utf-8", "surrogatepass"), _Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found.raw


def _print(text: JSON) -> bytes:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else repr(text).encode()
    try:
        return fingerprint(parse(raw))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return content_id(raw)


def _line(row: dict[str, Any]) -> bytes:
    told = {**row}
    for column in ("content", "metadata"):
        if column in told:
            told[column] = database.embedded(told[column])
    return database.line(told)


class ItemReader(rows.ItemReader):
    """Reads one session of Lynkr."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`."""
        stamp = value.get("timestamp", value.get("created_at"))
        record.time_ms = stamp if type(stamp) is int and stamp > 0 else None
        if item.aside:
            if "request_id" in value and value.get("answered_by") is None:
                record.usage = routed_usage(value)
            return []
        if value.get("back") is True:
            return []
        message = decode(value)
        if any(isinstance(part, Unknown) and part.type == "message" for part in message.parts):
            record.kind, record.note = Kind.UNKNOWN, "a message of no known shape"
            return []
        record.kind, record.role = Kind.MESSAGE, base.entry_role(message)
        record.message_id, record.usage = message.id, message.usage
        if record.role == "user" and "titled" not in self.facts:
            self._title(record, message)
        return []

    def _title(self, record: Record, message: Message) -> None:
        """The first words that a person typed: what a client puts around them is in tags."""
        words = (part.text for part in message.parts if isinstance(part, Text))
        typed = next((text for text in words if not text.lstrip().startswith("<")), None)
        if typed:
            self.facts["titled"] = True
            set_title(record, typed, 1)
