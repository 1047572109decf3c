r"""Goose: sessions in one SQLite file.

    $GOOSE_PATH_ROOT/data, else $XDG_DATA_HOME/goose or ~/.local/share/goose
    (%APPDATA%\Block\goose\data on Windows)
      sessions/sessions.db
        sessions, messages, usage_ledger

The program is open source; what is known of its tables stands in `docs/formats/goose.md`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import content_id, parse
from clew.importers import database, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import count, set_title, text, time_ms
from clew.importers.goose_records import (
    CARRIED,
    FORMAT,
    counted,
    decode,
    is_spoken,
    millis,
    shown,
    usage_of,
)
from clew.model import JSON, Kind, Origin, Reason, Record
from clew.names import mended
from clew.shapes.base import entry_role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

name = "goose"
formats: tuple[str, ...] = (FORMAT,)

NEEDED: Final = {
    "sessions": ("id", "working_dir", "created_at", "updated_at"),
    "messages": ("id", "session_id", "role", "content_json", "created_timestamp", "metadata_json"),
}
_TABLES = (*NEEDED, "usage_ledger")
_COUNTED = tuple(
    f"{prefix}{kind}_tokens"
    for prefix in ("", "accumulated_")
    for kind in ("total", "input", "output", "cache_read", "cache_write")
)
_LEFT_OUT = ("extension_data", "user_recipe_values_json")
"""Settings of extensions, and what a person filled in for a recipe: keys may be among them."""
_UNNAMED = ("New session", "New Chat", "CLI Session")
"""What a session is called before it has a name."""
KEY_BYTES: Final = 12
RANK_PROMPT, RANK_NAMED, RANK_TYPED = 1, 2, 3


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """The folder with `sessions.db`, where each system has it; only what exists."""
    if told := env.get("GOOSE_PATH_ROOT"):
        places = [type(home)(told).expanduser() / "data" / "sessions"]
    else:
        data = env.get("XDG_DATA_HOME")
        places = [
            (type(home)(data) if data else home / ".local" / "share") / "goose" / "sessions",
            home / "AppData" / "Roaming" / "Block" / "goose" / "data" / "sessions",
        ]
    return [place for place in places if place.is_dir()]


def identify(path: Path) -> bool:
    """True for a database with Goose's two main tables."""
    return database.has_tables(path, NEEDED)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    return database.found_below(root, NEEDED)


@contextmanager
def look(path: Path) -> Iterator[Sessions]:
    """See `Store.look`."""
    with database.opened(path, _TABLES) as found:
        yield Sessions(found)


def open(path: Path, thread: str, state: bytes | None = None) -> ItemReader:
    """See `Store.open`."""
    return ItemReader(Origin(mended(thread), name)).resumed(state)


class Sessions:
    """See `base.Look`."""

    def __init__(self, found: database.Database) -> None:
        self._database = found
        self._ledger = "usage_ledger" in found.tables

    def threads(self) -> list[Thread]:
        """See `Look.threads`. An id is a day and a number, and free again when its session is
        deleted: sessions are told apart by when they were made, too.
        """
        there = self._database.tables["sessions"]
        wanted = ("name", "description", "provider_name", "model_config_json", *_COUNTED)
        columns = ["id", "created_at", "updated_at", *(each for each in wanted if each in there)]
        query = f"select {', '.join(columns)} from sessions order by created_at, id"
        marks = {str(row["id"]): row for row in self._database.rows(query)}
        told: dict[str, list[Any]] = {}
        for row in self._database.rows(
            "select session_id, count(*), max(id), sum(length(content_json)), "
            "sum(length(metadata_json)) from messages group by session_id"
        ):
            told.setdefault(str(row["session_id"]), []).extend(row.values())
        if self._ledger:
            query = "select session_id, count(*), max(id) from usage_ledger group by session_id"
            for row in self._database.rows(query):
                told.setdefault(str(row["session_id"]), []).extend(row.values())
        return [
            Thread(_named(row), database.mark(*row.values(), *told[id]))
            for id, row in marks.items()
            if id in told
        ]

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`."""
        id = thread.rpartition("@")[0]
        found = self._database.rows("select * from sessions where id = ?", id)
        session = next((row for row in found if _named(row) == thread), None)
        if session is None:
            return
        for key in _LEFT_OUT:
            session.pop(key, None)
        session["model"] = _object(session.get("model_config_json")).get("model_name")
        for key in ("model_config_json", "recipe_json"):
            session[key] = database.settings(session.get(key))
        yield from self._told(session)
        yield from self._said(id)
        yield from self._counts(session)

    def _told(self, session: dict[str, Any]) -> Iterator[Item]:
        kept = ("updated_at", "accumulated_cost", *_COUNTED)
        row = {key: value for key, value in session.items() if key not in kept}
        if above := session.get("parent_session_id"):
            query = "select id, created_at from sessions where id = ?"
            found = self._database.rows(query, above)
            row["parent"] = _named(found[0]) if found else above
        yield Item("session", database.line(row), aside=True)

    # --- what was said ---

    def _said(self, id: str) -> Iterator[Item]:
        """Messages in the order in which Goose reads them. A compaction hides what was said
        from the model, and adds a summary that it hides from the person; what it left in the
        model's sight stands between the two.
        """
        said = self._database.rows("select * from messages where session_id = ?", id)
        said.sort(key=lambda row: (millis(row["created_timestamp"]) or 0, row["id"]))
        told = [_object(row["metadata_json"]) for row in said]
        seen: dict[str, int] = {}
        keys = [_key(row, id, seen) for row in said]
        kept, summary = _window(told)
        before = rows.ROOT
        for number, (key, row) in enumerate(zip(keys, said, strict=True)):
            if number == summary:
                body = {"compaction": before, "time": row["created_timestamp"]}
                if kept < summary:
                    body["kept"] = keys[kept]
                after, before = before, f"compaction/{before}"
                yield Item(before, database.line(body), after=after, said=b"")
            yield Item(
                key,
                _body(row),
                after=before,
                said=database.line({"said": [row["role"], row["content_json"]]}),
                past=not shown(told[number], "agentVisible"),
            )
            before = key

    # --- what was counted ---

    def _counts(self, session: dict[str, Any]) -> Iterator[Item]:
        """The ledger, and what the session counts beyond it: since before there was one."""
        facts = {key: session.get(key) for key in ("provider_name", "model")}
        sums = dict.fromkeys(("input", "output", "cache_read", "cache_write"), 0)
        cost = 0.0
        query = "select * from usage_ledger where session_id = ? order by id"
        for row in self._database.rows(query, session["id"]) if self._ledger else ():
            row["provider_name"] = facts["provider_name"]
            yield Item(f"ledger/{row['id']}", database.line(row), aside=True)
            if row.get("cost_source") != CARRIED:
                sums = {key: sums[key] + value for key, value in counted(row).items()}
                told = row.get("cost")
                cost += told if isinstance(told, int | float) else 0
        row = {key: session.get(key) for key in ("id", "created_at", "accumulated_cost", *_COUNTED)}
        yield Item(
            "counters",
            database.line({**row, **facts, "ledger": {**sums, "cost": cost}}),
            aside=True,
        )


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['id']}@{row['created_at']}"


def _window(told: list[dict[str, JSON]]) -> tuple[int, int]:
    """Of the messages' metadata: the first that the model sees, and the summary of the last
    compaction, which stands at it or behind it; -1 where there was none.
    """
    seen = [i for i, meta in enumerate(told) if shown(meta, "agentVisible")]
    if not seen or seen[0] == 0:
        return 0, -1
    return seen[0], next((i for i in seen if not shown(told[i], "userVisible")), -1)


def _body(row: dict[str, Any]) -> bytes:
    """A message without its row's number and time, which change when it is written anew."""
    body = {key: value for key, value in row.items() if key not in ("id", "timestamp")}
    for key in ("content_json", "metadata_json"):
        body[key] = database.embedded(body[key])
    return database.line(body)


def _object(words: JSON) -> dict[str, JSON]:
    """JSON text that holds an object; any other is an empty one."""
    try:
        found = parse((words or "{}").encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(row: dict[str, Any], session: str, seen: dict[str, int]) -> str:
    """What a message is known by: its id, which pieces of one message share. An id that was made
    up from the row's number or place (by a migration, or for want of one) says nothing; then it
    is what the message says, and when.
    """
    id = row.get("message_id")
    prefix = f"msg_{session}_"
    made_up = isinstance(id, str) and id.startswith(prefix) and id[len(prefix) :].isdecimal()
    if not isinstance(id, str) or made_up:
        told = [row["role"], row["created_timestamp"], row["content_json"]]
        id = content_id(database.line({"told": told}))[:KEY_BYTES].hex()
    seen[id] = seen.get(id, 0) + 1
    return id if seen[id] == 1 else f"{id}.{seen[id]}"


class ItemReader(rows.ItemReader):
    """Reads one session."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`."""
        if item.aside:
            record.native_id = None
            self._note(item, value, record)
        elif item.key.startswith("compaction/"):
            record.time_ms = millis(value.get("time"))
            record.kind, record.role, record.compaction = Kind.COMPACTION, "system", Reason.AUTO
            if kept := text(value, "kept"):
                record.kept_from = self._last(kept)
        else:
            self._message(value, record)
        return []

    def _note(self, item: Item, value: dict[str, JSON], record: Record) -> None:
        record.time_ms = time_ms(value.get("created_at")) or millis(value.get("created_timestamp"))
        if item.key == "session":
            self._know(value)
            title = text(value, "name") or text(value, "description")
            if title and not title.startswith(_UNNAMED):
                set_title(record, title, RANK_TYPED if value.get("user_set_name") else RANK_NAMED)
        elif item.key == "counters":
            self._beyond(value, record)
        elif value.get("cost_source") != CARRIED:
            key = f"{name}:{self.origin.native_id}/{item.key}"
            record.usage = usage_of(key, value, counted(value), value.get("cost"))

    def _know(self, value: dict[str, JSON]) -> None:
        origin = self.origin
        origin.project = text(value, "working_dir") or origin.project
        origin.model = text(value, "model") or origin.model
        if value.get("session_type") == "sub_agent":
            parent = text(value, "parent")
            origin.kind, origin.parent = "subagent", parent and mended(parent)

    def _beyond(self, value: dict[str, JSON], record: Record) -> None:
        """What the session counts in all, less what the ledger has of it."""
        prefix = "accumulated_" if count(value, "accumulated_total_tokens") else ""
        told, ledger = counted(value, prefix), value.get("ledger")
        left = {key: max(told[key] - count(ledger, key), 0) for key in told}
        cost, known = value.get("accumulated_cost"), ledger.get("cost") if ledger else None
        if isinstance(cost, int | float) and isinstance(known, int | float):
            cost -= known
        key = f"{name}:{self.origin.native_id}/counters"
        record.usage = usage_of(key, value, left, cost)

    def _message(self, value: dict[str, JSON], record: Record) -> None:
        record.time_ms = millis(value.get("created_timestamp"))
        if text(value, "role") not in ("user", "assistant"):
            record.kind, record.note = Kind.UNKNOWN, "a message of an unknown role"
        elif not isinstance(value.get("content_json"), list):
            record.kind, record.note = Kind.UNKNOWN, "its content is no list"
        elif is_spoken(value):
            message = decode(value)
            record.kind, record.role = Kind.MESSAGE, entry_role(message)
            record.message_id = message.id
            if record.role == "user" and message.text and "titled" not in self.facts:
                self.facts["titled"] = True
                set_title(record, message.text, RANK_PROMPT)
