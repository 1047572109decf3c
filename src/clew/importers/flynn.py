"""flynn: one SQLite file with an append-only log of events, in which a stream is a session.

    events(stream, seq, time, type, actor, payload, …, payload_blob)
    blobs(content_id, body, …)                       large payloads, by their SHA-256; those of
                                                     sealed runs in flynn.db.warm, compressed
    sessions(id, title, model, …), turns(session_id, seq, role, content, …)

The program is open source (https://github.com/ionalpha/flynn, session/event.go and
storage/sqlite/migrations); what is known of its tables stands in `docs/formats/flynn.md`.
"""

from __future__ import annotations

import io
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
import zstandard

from clew.canonical import content_id as content_hash
from clew.errors import Invalid
from clew.importers import database, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title, text, time_ms
from clew.importers.flynn_records import FORMAT, decode, event_of, usage_of
from clew.importers.jsonl import LINE_BYTES_MAX
from clew.model import JSON, Kind, Origin, Record
from clew.names import mended
from clew.shapes import base

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

name = "flynn"
formats: tuple[str, ...] = (FORMAT,)

NEEDED: Final = {
    "events": ("stream", "seq", "time", "type", "actor", "payload", "causation_id"),
}
_WARM: Final = "warm_blobs"
_WINDOW_BYTES_MAX: Final = 1 << 27
_TABLES = (*NEEDED, "blobs", "sessions", "turns")
_SPEAKS = "('session.started', 'turn.started', 'assistant.message', 'session.converged')"
"""A stream with one of these is a session. The log has others: `state`, resources, jobs."""

_COUNTED = re.compile(r"sess-\d+\Z")
"""The name that a program gives which names its sessions by counting: each has a `sess-1`."""

RANK_PROMPT, RANK_TITLE = 1, 2
MOVED = "its payload is not there: neither in this file nor in the one for sealed runs"


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """The folder of the program's settings, where its database lies too."""
    settings = env.get("XDG_CONFIG_HOME")
    places = [
        type(home)(settings) / "flynn" if settings else home / ".config" / "flynn",
        home / "Library" / "Application Support" / "flynn",
        home / "AppData" / "Roaming" / "flynn",
        home / ".flynn",
    ]
    return [place for place in places if place.is_dir()]


def identify(path: Path) -> bool:
    """True for a database with the program's log."""
    return database.has_tables(path, NEEDED)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    return database.found_below(root, NEEDED)


@contextmanager
def look(path: Path) -> Iterator[Streams]:
    """See `Store.look`."""
    with ExitStack() as held:
        found = held.enter_context(database.opened(path, _TABLES))
        yield Streams(found, _warm(path, held))


def open(path: Path, thread: str, state: bytes | None = None) -> ItemReader:
    """See `Store.open`. The thread of a delegated goal is called by its parent's and the goal."""
    parent, _, child = thread.rpartition(" ")
    origin = Origin(mended(thread), name)
    if child and parent:
        origin.parent, origin.kind = mended(parent), "subagent"
    return ItemReader(origin).resumed(state)


def _warm(path: Path, held: ExitStack) -> database.Database | None:
    """The database beside it to which payloads of sealed runs are moved, where there is one."""
    place = path.with_name(path.name + ".warm")
    if not place.is_file():
        return None
    try:
        found = held.enter_context(database.opened(place, (_WARM,)))
    except Invalid:
        return None  # each event that needs it says that its payload is not there
    return found if {"content_id", "body"} <= found.tables.get(_WARM, set()) else None


class Streams:
    """See `base.Look`. A goal that was delegated speaks in its parent's stream, and is a thread
    of its own.
    """

    def __init__(self, found: database.Database, warm: database.Database | None) -> None:
        self._database = found
        self._warm = warm
        self._places: dict[str, tuple[str, str]] = {}
        """Of each thread the stream and, for a delegated one, the goal."""

    def threads(self) -> list[Thread]:
        """See `Look.threads`."""
        counts = self._database.rows(
            "select stream, count(*) as items, max(seq) as newest, sum(length(payload)) as size, "
            "(select time from events b where b.stream = e.stream order by seq limit 1) as first "
            f"from events e where stream in (select stream from events where type in {_SPEAKS}) "
            "group by stream order by first, stream"
        )
        children = self._children()
        about = {row["id"]: str(row) for row in self._abouts()}
        found: list[Thread] = []
        for row in counts:
            stream = row["stream"]
            mark = database.mark(*row.values(), about.get(stream))
            named = str(stream)
            if _COUNTED.match(named):
                named = f"{stream}@{time_ms(row['first']) or 0}"
            threads = {"": named}
            for child, parent in children.get(stream, {}).items():
                threads[child] = f"{threads.get(parent, named)} {child}"
            self._places.update({thread: (stream, goal) for goal, thread in threads.items()})
            found += [Thread(thread, mark) for thread in threads.values()]
        return [*found, *self._spoken()]

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`."""
        if not self._places:
            self.threads()
        stream, child = self._places.get(thread, (thread, ""))
        for row in self._abouts(stream):
            yield Item("session", database.line(row), aside=True)
        others = self._children().get(stream, {})
        found = False
        for row in self._events(stream):
            found = True
            event = event_of(row)
            goal, spawned = base.text_or_none(event.get("goal")), event.get("child")
            if child:
                ours = goal == child or (row["type"] == "child.spawned" and spawned == child)
            else:
                ours = goal not in others
            if ours:
                note = MOVED if row.get("payload_blob") and row["payload"] is None else None
                # The log is only added to: what is seen once stays as it was.
                yield Item(str(row["seq"]), database.line(row), note=note, past=True)
        if not found:
            yield from self._turns(stream)

    def _events(self, stream: str) -> list[dict[str, Any]]:
        return [
            self._placed(row)
            for row in self._database.rows(self._query("e.stream = ?") + " order by e.seq", stream)
        ]

    def _query(self, where: str) -> str:
        columns, joins, tables = "e.*", "", self._database.tables
        if "payload_blob" in tables["events"] and {"content_id", "body"} <= tables.get(
            "blobs", set()
        ):
            columns += ", b.body as blob_body"
            joins += " left join blobs b on b.content_id = nullif(e.payload_blob, '')"
        if self._has_abouts():
            columns += ", s.model as session_model"
            joins += " left join sessions s on s.id = e.stream and e.type = 'turn.completed'"
        return f"select {columns} from events e{joins} where {where}"

    def _placed(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row with its payload in place, and what the payload says as text as a part of it."""
        body = row.pop("blob_body", None)
        if row.get("session_model") is None:
            row.pop("session_model", None)
        if row.get("payload_blob"):
            row["payload"] = self._moved(row["payload_blob"]) if body is None else body
        payload = row["payload"]
        try:
            value = msgspec.json.decode(payload) if isinstance(payload, str) else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return row
        if isinstance(value, dict) and set(value) == {"event"}:
            row["payload"] = {"event": database.embedded(value["event"])}
        elif payload is not None:
            row["payload"] = database.embedded(payload)
        return row

    def _moved(self, content_id: str) -> str | None:
        """A payload that was moved out of the way; `None` where it is not."""
        if self._warm is None:
            return None
        found = self._warm.rows("select body from warm_blobs where content_id = ?", content_id)
        raw = found[0]["body"] if found else None
        if not isinstance(raw, bytes):
            return None
        try:
            packer = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
            body = packer.stream_reader(io.BytesIO(raw)).read(LINE_BYTES_MAX)
            text = bytes(body).decode()
        except (zstandard.ZstdError, UnicodeDecodeError):
            return None
        return text if content_hash(body).hex() == content_id else None

    def _children(self) -> dict[str, dict[str, str]]:
        """The goals that were delegated in each stream, in that order, with who did it."""
        found: dict[str, dict[str, str]] = {}
        query = self._query("e.type = 'child.spawned'") + " order by e.stream, e.seq"
        for row in map(self._placed, self._database.rows(query)):
            event = event_of(row)
            child, goal = text(event, "child"), text(event, "goal") or ""
            if child:
                found.setdefault(row["stream"], {}).setdefault(child, goal)
        return found

    def _abouts(self, stream: str | None = None) -> list[dict[str, Any]]:
        if not self._has_abouts():
            return []
        query = "select id, title, model, created_at from sessions"
        if stream is None:
            return self._database.rows(query)
        return self._database.rows(f"{query} where id = ?", stream)

    def _spoken(self) -> list[Thread]:
        """Sessions that a host keeps in the tables alone."""
        if not self._has_turns():
            return []
        counts = self._database.rows(
            "select session_id, count(*) as items, max(seq) as newest, "
            "sum(length(content)) as size from turns "
            f"where session_id not in (select stream from events where type in {_SPEAKS}) "
            "group by session_id order by min(created_at), session_id"
        )
        return [Thread(str(row["session_id"]), database.mark(*row.values())) for row in counts]

    def _turns(self, session: str) -> Iterator[Item]:
        if self._has_turns():
            query = (
                "select id, session_id, seq, role, content, created_at, deleted from turns "
                "where session_id = ? and deleted = 0 order by seq"
            )
            for row in self._database.rows(query, session):
                yield Item(f"turn/{row['seq']}", database.line(row))

    def _has_abouts(self) -> bool:
        return {"id", "title", "model", "created_at"} <= self._database.tables.get(
            "sessions", set()
        )

    def _has_turns(self) -> bool:
        wanted = {"session_id", "seq", "role", "content", "created_at", "deleted"}
        return wanted <= self._database.tables.get("turns", set())


class ItemReader(rows.ItemReader):
    """Reads one session of flynn."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`."""
        record.time_ms = time_ms(value.get("time") or value.get("created_at"))
        if item.aside:
            set_title(record, text(value, "title"), RANK_TITLE)
            return []
        if "role" in value:
            record.kind, record.role = Kind.MESSAGE, base.entry_role(decode(value))
            self._title(record, text(value, "content"))
            return []
        event = event_of(value)
        handler = _HANDLERS.get(text(value, "type") or "")
        if handler is not None and not event:
            record.kind, record.note = Kind.UNKNOWN, "its payload is no event"
        elif handler is not None:
            handler(self, event, record)
            record.usage = usage_of(value)
        return []

    def _title(self, record: Record, prompt: str | None) -> None:
        if record.role == "user" and "titled" not in self.facts:
            self.facts["titled"] = True
            set_title(record, prompt, RANK_PROMPT)

    def _message(self, record: Record, role: str, event: dict[str, JSON]) -> None:
        record.kind, record.role = Kind.MESSAGE, role
        if role == "assistant":
            record.message_id = self._turn(event)
            self.facts["spoke"] = record.message_id

    def _turn(self, event: dict[str, JSON]) -> str:
        """The name of a model's turn: what it says in one are pieces of one message."""
        run, turn = self.facts.get("run", 0), event.get("turn") or 0
        return f"{self.origin.native_id}/{run}.{turn}"

    def _started(self, event: dict[str, JSON], record: Record) -> None:
        self.facts["run"] = self.facts.get("run", 0) + 1
        self._message(record, "user", event)
        self._title(record, text(event, "text"))

    def _spawned(self, event: dict[str, JSON], record: Record) -> None:
        """In the parent's thread a notice; in the child's own what it was asked to do."""
        if self.origin.kind == "subagent" and event.get("goal") != self._goal():
            self.origin.parent_call = text(event, "toolUseID")
            self._started(event, record)

    def _goal(self) -> str:
        return self.origin.native_id.rpartition(" ")[2]

    def _spoke(self, event: dict[str, JSON], record: Record) -> None:
        self.facts["said"] = text(event, "text")
        self._message(record, "assistant", event)

    def _called(self, event: dict[str, JSON], record: Record) -> None:
        self._message(record, "assistant", event)
        call = text(event, "toolUseID")
        self.facts["open"] = [*self.facts.get("open", []), call]

    def _answered(self, event: dict[str, JSON], record: Record) -> None:
        """A result, also one that a delegated goal folds back: the first for its call counts."""
        call, waiting = text(event, "toolUseID"), list(self.facts.get("open", []))
        if call in waiting:
            waiting.remove(call)
            self.facts["open"] = waiting
            record.kind, record.role = Kind.MESSAGE, "tool"

    def _completed(self, event: dict[str, JSON], record: Record) -> None:
        """The end of a turn: its tokens. A turn that said nothing has no message to hold them."""
        turn = self._turn(event)
        if self.facts.get("spoke") == turn:
            record.kind, record.role, record.message_id = Kind.MESSAGE, "assistant", turn

    def _converged(self, event: dict[str, JSON], record: Record) -> None:
        """The final answer, which is what was said last in most cases."""
        if text(event, "text") and text(event, "text") != self.facts.get("said"):
            record.kind, record.role = Kind.MESSAGE, "assistant"


_HANDLERS = {
    "session.started": ItemReader._started,
    "child.spawned": ItemReader._spawned,
    "assistant.message": ItemReader._spoke,
    "tool.call": ItemReader._called,
    "tool.result": ItemReader._answered,
    "child.completed": ItemReader._answered,
    "turn.completed": ItemReader._completed,
    "session.converged": ItemReader._converged,
}
