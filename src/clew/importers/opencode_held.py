"""Where OpenCode keeps its sessions: rows of a database, a tree of JSON files, an export.

    opencode.db     session, message, part: a row an object, its facts as JSON under `data`
    storage/        session/<project>/<session>.json, message/<session>/<message>.json,
                    part/<message>/<part>.json: before 1.2, left in place when a newer version
                    took them over into the database
    <any>.json      {"info": session, "messages": [{"info": …, "parts": […]}]}: `opencode export`

All give a message in the words of the export: what its object says, then its ids. So a message
is the same bytes wherever it is found. The order is the program's own: of messages by when they
were begun and their ids, of parts by their ids.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from clew.canonical import parse
from clew.errors import Invalid
from clew.importers import database, packed
from clew.importers.facts import count, text
from clew.shapes.base import as_list, compact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from clew.model import JSON

NEEDED: Final = {
    "session": ("id", "project_id", "directory", "title", "time_created", "time_updated"),
    "message": ("id", "session_id", "time_created", "time_updated", "data"),
    "part": ("id", "message_id", "session_id", "time_updated", "data"),
}
TABLES: Final = (*NEEDED, "event_sequence")
"""All that is read. The database also holds tokens, keys and secrets of shares."""

RECENT_MS: Final = 2 * 86_400_000
"""A session without a count of its events, that was last begun so much earlier than the newest,
changes no more in place."""
EXPORT_BYTES_MAX: Final = 1 << 30

_LAST: Final = 1 << 62
_LINK: Final = "share_url"
"""Whoever knows it sees the session: it is not kept."""
_COUNTERS: Final = ("cost", "time_updated", "time_compacting")
"""What changes with every message: no reason to keep the session's own facts anew."""


class Session(msgspec.Struct, frozen=True):
    """A session as its store tells it. Times are Unix milliseconds. `facts` is its own object,
    `said` what of it is worth keeping anew when it changes.
    """

    id: str
    created: int
    facts: dict[str, Any]
    mark: tuple[int, int]

    def told(self, key: str) -> str | None:
        """A text among its facts."""
        return text(self.facts, key)

    @property
    def revert(self) -> dict[str, JSON] | None:
        """Which message it was taken back to, as long as nothing new was said."""
        found = self.facts.get("revert")
        if isinstance(found, msgspec.Raw):
            found = parse(bytes(found))
        return found if isinstance(found, dict) else None

    @property
    def said(self) -> bytes:
        """Its facts without what counts up all the time."""
        kept = {
            key: value
            for key, value in self.facts.items()
            if key not in _COUNTERS and not key.startswith("tokens")
        }
        if isinstance(kept.get("time"), dict):
            kept["time"] = {k: v for k, v in kept["time"].items() if k == "archived"}
        return msgspec.json.encode(kept)


class Stored(msgspec.Struct, frozen=True):
    """A message as its store holds it: JSON of its facts and of each part, and when any of it
    was last written (`None`: for good).
    """

    id: str
    info: bytes
    parts: list[bytes]
    changed_ms: int | None = None

    @property
    def body(self) -> bytes:
        """The message in the words of the export, on one line."""
        return b'{"info":' + self.info + b',"parts":[' + b",".join(self.parts) + b"]}"


class Held(Protocol):
    """One store."""

    def sessions(self) -> list[Session]:
        """Its sessions, by when they were made."""

    def messages(self, session: str) -> Iterator[Stored]:
        """A session's messages in their order."""

    def find(self, session: str) -> Session | None:
        """One session; `None` when it is gone. Its mark is none."""

    def begun(self) -> dict[str, tuple[int, int]]:
        """When each session was made that has a message, and when its first was begun."""

    def calls(self, session: str, about: str) -> Iterator[bytes]:
        """The parts of a session that name another session."""


def is_counter(key: str) -> bool:
    """True for a fact of a session that changes with every message, or holds one that does."""
    return key in (*_COUNTERS, "time") or key.startswith("tokens")


def named(data: JSON, ids: dict[str, str]) -> bytes:
    """An object as the export has it: what it says, then its ids. What is no JSON object goes
    under `data` as it is.
    """
    tail = msgspec.json.encode(ids)[1:]
    found = database.embedded(data)
    raw = bytes(found).strip() if isinstance(found, msgspec.Raw) else b""
    if not raw.startswith(b"{"):
        return database.line({"data": found, **ids})
    inner = raw[:-1].rstrip()
    return inner + (b"" if inner == b"{" or not ids else b",") + tail


class Rows:
    """The database."""

    def __init__(self, found: database.Database) -> None:
        self._database = found

    def sessions(self) -> list[Session]:
        """See `Held.sessions`. What changed is told by the program's own count of a session's
        events; an older database has none.
        """
        rows = self._database.rows("select * from session")
        marks: dict[str, list[str]] = {str(row["id"]): [] for row in rows}
        for query in (
            "select session_id, count(*), max(id) from message group by session_id",
            "select session_id, count(*) from part group by session_id",
        ):
            self._add(marks, query)
        counted: set[str] = set()
        if "event_sequence" in self._database.tables:
            counted = self._add(marks, "select aggregate_id, seq from event_sequence")
        newest = max((_number(row["time_updated"]) for row in rows), default=0)
        for row in rows:
            id = str(row["id"])
            if id not in counted and _number(row["time_updated"]) > newest - RECENT_MS:
                marks[id] += map(str, self._written(id))
        found = [self._session(row, marks[str(row["id"])]) for row in rows]
        return sorted(found, key=lambda session: (session.created, session.id))

    def _add(self, marks: dict[str, list[str]], query: str) -> set[str]:
        """Add what a query tells of each session to its mark; gives the sessions."""
        told = set()
        for row in self._database.rows(query):
            id, *rest = row.values()
            told.add(str(id))
            marks.setdefault(str(id), []).append(str(rest))
        return told

    def _written(self, session: str) -> list[object]:
        """When anything of a session was last written."""
        times: list[object] = []
        for query in (
            "select max(time_updated) from message where session_id = ?",
            "select max(time_updated) from part where session_id = ?",
        ):
            times += self._database.rows(query, session)[0].values()
        return times

    def _session(self, row: dict[str, Any], mark: list[str]) -> Session:
        facts = {
            key: database.embedded(value) if key in _JSON_COLUMNS else value
            for key, value in row.items()
            if value is not None and key != _LINK
        }
        return Session(
            str(row["id"]),
            _number(row["time_created"]),
            facts,
            database.mark(*map(str, row.values()), *mark),
        )

    def messages(self, session: str) -> Iterator[Stored]:
        """See `Held.messages`. One is read at a time: a session may be larger than memory."""
        rows = self._database.rows(
            "select id, time_updated from message where session_id = ? order by time_created, id",
            session,
        )
        for row in rows:
            id = row["id"]
            told = self._database.rows("select data from message where id = ?", id)
            parts = self._database.rows(
                "select id, data, time_updated from part where message_id = ? order by id", id
            )
            written = max(_number(each["time_updated"]) for each in (row, *parts))
            ids = {"sessionID": session, "messageID": str(id)}
            for one in told:  # none, when it went away meanwhile
                yield Stored(
                    str(id),
                    named(one["data"], {"id": str(id), "sessionID": session}),
                    [named(part["data"], {"id": str(part["id"]), **ids}) for part in parts],
                    written,
                )

    def find(self, session: str) -> Session | None:
        """See `Held.find`."""
        for row in self._database.rows("select * from session where id = ?", session):
            return self._session(row, [])
        return None

    def begun(self) -> dict[str, tuple[int, int]]:
        """See `Held.begun`."""
        rows = self._database.rows(
            "select s.id, s.time_created as made, min(m.time_created) as first from session s "
            "join message m on m.session_id = s.id group by s.id"
        )
        return {str(row["id"]): (_number(row["made"]), _number(row["first"])) for row in rows}

    def calls(self, session: str, about: str) -> Iterator[bytes]:
        """See `Held.calls`."""
        rows = self._database.rows(
            "select data from part where session_id = ? and instr(data, ?) > 0 order by id",
            session,
            about,
        )
        for row in rows:
            yield named(row["data"], {})


_JSON_COLUMNS: Final = frozenset(
    {"summary_diffs", "metadata", "revert", "permission", "model", "tags"}
)


class Tree:
    """The files of a `storage` folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._flat: dict[str, list[Path]] | None = None
        self._read: dict[str, tuple[dict[str, Any], str]] | None = None

    def sessions(self) -> list[Session]:
        """See `Held.sessions`. A session that has messages alone is one too."""
        found = [
            Session(id, count(value.get("time"), "created"), value, self._mark(id, written))
            for id, (value, written) in self._facts().items()
        ]
        return sorted(found, key=lambda session: (session.created, session.id))

    def _facts(self) -> dict[str, tuple[dict[str, Any], str]]:
        """Of each session its object, and when that was written."""
        if self._read is None:
            self._read = {}
            for folder in _entries(self._root / "session"):
                for file in _entries(folder, ".json"):
                    value = _object(file) or {"data": _bytes(file).decode("utf-8", "replace")}
                    value.pop("share", None)  # whoever knows the link sees the session
                    # The file may be called otherwise than the session.
                    self._read[text(value, "id") or file.stem] = (value, _written(file))
            for folder in _entries(self._root / "message"):
                if folder.is_dir():
                    self._read.setdefault(folder.name, ({}, ""))
        return self._read

    def _mark(self, session: str, written: str) -> tuple[int, int]:
        each = [written]
        for file in _entries(self._root / "message" / session, ".json"):
            each += [_written(file), *(_written(part) for part in self._parts(file.stem))]
        return database.mark(*each)

    def messages(self, session: str) -> Iterator[Stored]:
        """See `Held.messages`."""
        found = []
        for file in _entries(self._root / "message" / session, ".json"):
            value = _object(file)
            id = text(value, "id") or file.stem
            # One that tells no time (it is being written, or torn) comes last.
            found.append((count(value.get("time"), "created") or _LAST, id, file))
        for _created, id, file in sorted(found, key=lambda each: each[:2]):
            parts = {part.stem: part for stem in {id, file.stem} for part in self._parts(stem)}
            written = [_time_ms(each) for each in (file, *parts.values())]
            ids = {"sessionID": session, "messageID": id}
            # Parts are called by their ids, or were numbered.
            yield Stored(
                id,
                _named_file(file, {"id": id, "sessionID": session}),
                [_named_file(parts[stem], {"id": stem, **ids}) for stem in sorted(parts)],
                max(written),
            )

    def _parts(self, message: str) -> list[Path]:
        """The files of a message's parts; some lay in one folder for all messages."""
        if self._flat is None:
            self._flat = {}
            for file in _entries(self._root / "part", ".json"):
                owner = text(_object(file), "messageID")
                self._flat.setdefault(owner or "", []).append(file)
        own = self._flat.get(message, [])
        return own + _entries(self._root / "part" / message, ".json")

    def find(self, session: str) -> Session | None:
        """See `Held.find`."""
        value, _written_at = self._facts().get(session, (None, ""))
        if value is None:
            return None
        return Session(session, count(value.get("time"), "created"), value, (0, 0))

    def begun(self) -> dict[str, tuple[int, int]]:
        """See `Held.begun`. A message's file is called by its id, which tells the time."""
        found = {}
        for id, (value, _written_at) in self._facts().items():
            first = next(iter(_entries(self._root / "message" / id, ".json")), None)
            if first is not None:
                times = _object(first).get("time")
                found[id] = (count(value.get("time"), "created"), count(times, "created"))
        return found

    def calls(self, session: str, about: str) -> Iterator[bytes]:
        """See `Held.calls`."""
        for stored in self.messages(session):
            yield from (part for part in stored.parts if about.encode() in part)


class Export:
    """A file that `opencode export` wrote: one session."""

    def __init__(self, path: Path) -> None:
        if path.stat().st_size > EXPORT_BYTES_MAX:
            raise Invalid(f"{path} has more than {EXPORT_BYTES_MAX:,} bytes: no export is so long")
        value = _object(path)
        info = value.get("info")
        if not isinstance(info, dict) or text(info, "id") is None:
            raise Invalid(f"{path} is no export of OpenCode: it has no session's id")
        self._info = info
        self._messages = as_list(value.get("messages"))
        self._mark = database.mark(_written(path))

    def sessions(self) -> list[Session]:
        """See `Held.sessions`."""
        facts = {key: value for key, value in self._info.items() if key != "share"}
        made = count(self._info.get("time"), "created")
        return [Session(str(self._info["id"]), made, facts, self._mark)]

    def messages(self, session: str) -> Iterator[Stored]:
        """See `Held.messages`."""
        for number, message in enumerate(self._messages):
            value = message if isinstance(message, dict) else {"info": {"data": message}}
            info = value.get("info")
            id = (text(info, "id") if isinstance(info, dict) else None) or f"message-{number}"
            ids = {"sessionID": session, "messageID": id}
            parts = [part for part in as_list(value.get("parts")) if isinstance(part, dict)]
            yield Stored(
                id,
                _renamed(info, {"id": id, "sessionID": session}),
                [
                    _renamed(part, {"id": text(part, "id") or f"part-{at}", **ids})
                    for at, part in enumerate(parts)
                ],
            )

    def find(self, session: str) -> Session | None:
        """See `Held.find`."""
        return next((each for each in self.sessions() if each.id == session), None)

    def begun(self) -> dict[str, tuple[int, int]]:
        """See `Held.begun`: a fork's original is not here."""
        return {}

    def calls(self, session: str, about: str) -> Iterator[bytes]:
        """See `Held.calls`: the parent is not here."""
        return iter(())


def _renamed(value: JSON, ids: dict[str, str]) -> bytes:
    """A decoded object as `named` gives it."""
    if not isinstance(value, dict):
        return named(compact(value), ids)
    return named(compact({k: v for k, v in value.items() if k not in ids}), ids)


def _named_file(path: Path, ids: dict[str, str]) -> bytes:
    raw = _bytes(path)
    try:
        value = parse(raw)
    except (msgspec.DecodeError, RecursionError):
        return named(raw.decode("utf-8", "replace"), ids)
    own = text(value, "id") if isinstance(value, dict) else None
    return _renamed(value, ids | ({"id": own} if own else {}))


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one when there is none."""
    try:
        value = parse(_bytes(path))
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _bytes(path: Path) -> bytes:
    """A file's bytes; none when it went away meanwhile, or cannot be read: it costs no other."""
    try:
        return packed.whole(path)
    except OSError:
        return b""


def _entries(folder: Path, suffix: str = "") -> list[Path]:
    """What lies in a folder, by name; nothing when it is none."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a third of the time
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names) if name.endswith(suffix)]


def _written(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ""
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"


def _time_ms(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return 0


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def files_below(
    root: Path, leave_out: Iterable[str]
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """The folders below, each with its folders and files; those named so are left out."""
    skipped = frozenset(leave_out)
    for at, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in skipped)
        yield type(root)(at), folders, sorted(files)
