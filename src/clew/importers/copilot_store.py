"""Copilot CLI's session store: what each call of a model used.

    <home>/session-store.db
      assistant_usage_events(id, session_id, model, input_tokens, output_tokens, …)   a row a call
      sessions(id, cwd, …)

The events of a session (`clew.importers.copilot_cli`) tell but totals when it ends. Where the store
has rows of it, those count and the events do not. The rows become notices of the same session, once
it is at rest: beside a conversation in hand they would part what follows from what it follows.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clew.errors import Invalid
from clew.importers import database, packed, rows
from clew.importers.base import Item, Thread
from clew.importers.copilot_records import data_of, folder_told, is_record
from clew.importers.facts import count, text, time_ms
from clew.importers.jsonl import read_line
from clew.model import JSON, Message, Origin, Record, Usage
from clew.names import mended
from clew.shapes.base import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "copilot-cli"
"""The sessions are those of the events: both importers speak of the same ones."""
FORMAT: Final = "copilot-usage"
formats: tuple[str, ...] = (FORMAT,)

FILE: Final = "session-store.db"
NEEDED: Final = {
    "assistant_usage_events": ("id", "session_id", "model", "input_tokens", "output_tokens")
}
REST_SECONDS: Final = 600
"""A session whose events end otherwise than by closing it, and are older, is at rest too."""
TAIL_BYTES: Final = 64 << 10
_TABLES: Final = (*NEEDED, "sessions")
_FACTS: Final = ("id", "cwd", "repository", "branch")
"""Of a session; its other columns change with every call."""


def home_of(home: Path, env: Mapping[str, str]) -> Path:
    """Where Copilot CLI keeps everything."""
    told = env.get("COPILOT_HOME")
    return Path(told).expanduser() if told else home / ".copilot"


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`session-store.db` under `$COPILOT_HOME` or `~/.copilot`, if it exists."""
    path = home_of(home, env) / FILE
    return [path] if path.is_file() else []


def identify(path: Path) -> bool:
    """True for a database of that name with a row for each call."""
    return path.name == FILE and database.has_tables(path, NEEDED)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    if root.is_file():
        paths = [root]
    else:
        paths = [Path(at, FILE) for at, _, files in os.walk(root) if FILE in files]
    yield from (path for path in sorted(paths) if identify(path))


@contextmanager
def look(path: Path) -> Iterator[CallStore]:
    """See `Store.look`."""
    with database.opened(path, _TABLES) as found:
        yield CallStore(path, found)


def open(path: Path, thread: str, state: bytes | None = None) -> CallReader:
    """See `Store.open`."""
    del path
    return CallReader(Origin(mended(thread), name)).resumed(state)


def has_rows(path: Path, session: str) -> bool:
    """Whether the store counts the calls of a session. One that is there and cannot be read is
    taken to: what it counts must not be counted twice.
    """
    if not path.is_file():
        return False
    try:
        with database.opened(path, NEEDED) as found:
            if "assistant_usage_events" not in found.tables:
                return False
            query = "select 1 from assistant_usage_events where session_id = ? limit 1"
            return bool(found.rows(query, session))
    except Invalid:
        return True


class CallStore:
    """See `base.Look`."""

    def __init__(self, path: Path, found: database.Database) -> None:
        self._home = path.parent
        self._database = found

    def threads(self) -> list[Thread]:
        """See `Look.threads`."""
        counts = self._database.rows(
            "select session_id, count(*) as calls, max(id) as newest from assistant_usage_events "
            "where session_id is not null group by session_id order by min(id)"
        )
        return [Thread(str(row["session_id"]), database.mark(*row.values())) for row in counts]

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`. Those of a session that is not at rest wait."""
        if not self._rests(thread):
            yield Item("session", b"{}", aside=True, open=True)
            return
        facts = {"id": thread, **self._facts(thread)}
        folder = _folder(self._events(thread)) or facts.get("cwd")
        yield Item("session", database.line({**facts, "project": folder}), aside=True)
        query = "select * from assistant_usage_events where session_id = ? order by id"
        for row in self._database.rows(query, thread):
            yield Item(f"call/{row['id']}", database.line(row), aside=True)

    def _facts(self, session: str) -> dict[str, Any]:
        there = self._database.tables.get("sessions", frozenset())
        columns = [column for column in _FACTS if column in there]
        if "id" not in columns:
            return {}
        query = f"select {', '.join(columns)} from sessions where id = ?"
        found = self._database.rows(query, session)
        return found[0] if found else {}

    def _events(self, session: str) -> Path | None:
        """The file of a session's events, if it is there."""
        if Path(session).name != session:
            return None
        below = self._home / "session-state"
        paths = (below / session / "events.jsonl", below / f"{session}.jsonl")
        return next((path for path in paths if path.is_file()), None)

    def _rests(self, session: str) -> bool:
        """Whether a session's events end for now; true where there are none."""
        path = self._events(session)
        if path is None:
            return True
        try:
            with packed.plain(path) as file:
                file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
                newest = file.read().rstrip().rpartition(b"\n")[2]
            quiet = time.time() - path.stat().st_mtime > REST_SECONDS
        except OSError:
            return False
        return quiet or b'"session.shutdown"' in newest


def _folder(events: Path | None) -> str | None:
    """The folder that a session's events tell: both importers file it under the same project."""
    if events is None:
        return None
    try:
        with packed.plain(events) as file:
            lines = file.read(TAIL_BYTES).split(b"\n")
    except OSError:
        return None
    pieces = (piece.value for line in lines for piece in read_line(line, 0, is_record))
    told = (folder_told(text(v, "type"), data_of(v)) for v in pieces if v is not None)
    return next(filter(None, told), None)


class CallReader(rows.ItemReader):
    """Reads what the calls of one session used."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`."""
        if item.key == "session":
            self.origin.project = text(value, "project")
            return []
        record.time_ms = time_ms(value.get("created_at"))
        record.usage = usage_of(value)
        return []


def usage_of(row: dict[str, JSON]) -> Usage:
    """The tokens of one call. Copilot's input includes what the cache gave and took."""
    read, written = count(row, "cache_read_tokens"), count(row, "cache_write_tokens")
    return Usage(
        key=f"copilot-cli:{row.get('session_id')}:{row.get('id')}",
        model=text(row, "copilot_usage_model") or text(row, "model"),
        input=max(count(row, "input_tokens") - read - written, 0),
        output=count(row, "output_tokens"),
        cache_read=read,
        cache_write=written,
        reasoning=count(row, "reasoning_tokens"),
    )


def decode(record: JSON) -> Message:
    """A row: it says nothing."""
    return Message("system", (unknown(record),), meta=True)
