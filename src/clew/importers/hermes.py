r"""Hermes: sessions in an SQLite file, one a profile.

    $HERMES_HOME, or ~/.hermes (%LOCALAPPDATA%\hermes on Windows)
      state.db
      profiles/<profile>/state.db
        sessions, messages, session_model_usage

The program is open source; what is known of its tables stands in `docs/formats/hermes.md`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from clew.importers import database, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title, text, without_credentials
from clew.importers.hermes_records import (
    FORMAT,
    decode,
    is_spoken,
    millis,
    usage_of,
)
from clew.importers.hermes_rows import Family, Row
from clew.model import JSON, Kind, Origin, Reason, Record
from clew.names import mended
from clew.shapes.base import entry_role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

name = "hermes"
formats: tuple[str, ...] = (FORMAT,)

NEEDED: Final = {
    "sessions": ("id", "source", "started_at", "parent_session_id"),
    "messages": ("id", "session_id", "role", "content", "tool_call_id", "tool_calls", "timestamp"),
}
_TABLES = (*NEEDED, "session_model_usage", "schema_version", "system_prompts")
_FILE = "state.db"
_COUNTED = (
    "message_count",
    "tool_call_count",
    "api_call_count",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "estimated_cost_usd",
    "actual_cost_usd",
    "cost_status",
    "cost_source",
    "pricing_version",
)
"""What of a session's row changes with every message."""
_LISTED = (
    *("title", "model", "cwd", "ended_at", "end_reason", "rewind_count"),
    "system_prompt_hash",
)
_PASSING = ("last_", "handoff_", "compression_", "git_metadata_")
"""How columns begin that tell what the program is at just now."""
_ROUTE = ("model", "billing_provider", "billing_base_url", "billing_mode", "task")
_SUMMED = (*_COUNTED[3:8], "estimated_cost_usd", "actual_cost_usd")
RANK_PROMPT, RANK_NAMED = 1, 2


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`$HERMES_HOME`, else where each system has it; only what exists."""
    if told := env.get("HERMES_HOME"):
        places = [type(home)(told).expanduser()]
    else:
        places = [home / ".hermes", home / "AppData" / "Local" / "hermes"]
    return [place for place in places if place.is_dir()]


def identify(path: Path) -> bool:
    """True for a database with Hermes' two main tables."""
    return database.has_tables(path, NEEDED)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`. Hermes' own folder holds its program, too: there only the places
    of its databases are looked at.
    """
    if not (root / _FILE).is_file():
        yield from database.found_below(root, NEEDED)
        return
    found = [root / _FILE, *sorted(root.glob(f"profiles/*/{_FILE}"))]
    yield from (path for path in found if identify(path))


@contextmanager
def look(path: Path) -> Iterator[Sessions]:
    """See `Store.look`."""
    with database.opened(path, _TABLES) as found:
        yield Sessions(found)


def open(path: Path, thread: str, state: bytes | None = None) -> ItemReader:
    """See `Store.open`. A session's id is made of its time and six random figures."""
    return ItemReader(Origin(mended(thread), name)).resumed(state)


class Sessions:
    """See `base.Look`."""

    def __init__(self, found: database.Database) -> None:
        self._database = found
        self._family = Family(found)

    def threads(self) -> list[Thread]:
        """See `Look.threads`. A session in which nothing was said or counted is left out: the
        program makes such and takes them away again.
        """
        marks = {str(row["id"]): list(row.values()) for row in self._listed()}
        empty = set(marks)
        for table in ("messages", "session_model_usage"):
            if table in self._database.tables:
                for row in self._database.rows(self._summed(table)):
                    id = str(row["session_id"])
                    empty.discard(id)
                    marks.setdefault(id, []).extend([table, *row.values()])
        return [
            Thread(id, database.mark(*values)) for id, values in marks.items() if id not in empty
        ]

    def _listed(self) -> list[dict[str, Any]]:
        there = self._database.tables["sessions"]
        wanted = (*_LISTED, *_COUNTED)
        columns = ["id", "started_at", *(column for column in wanted if column in there)]
        if "system_prompt" in there:
            columns.append("length(system_prompt)")
        query = f"select {', '.join(columns)} from sessions order by started_at, id"
        return self._database.rows(query)

    def _summed(self, table: str) -> str:
        there = self._database.tables[table]
        wanted = ("active", "compacted") if table == "messages" else _SUMMED
        sums = "".join(f", sum({column})" for column in wanted if column in there)
        newest = ", max(id)" if table == "messages" else ""
        if "api_content" in there:
            sums += ", sum(length(api_content))"
        return f"select session_id, count(*){newest}{sums} from {table} group by session_id"

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`. What was taken back, or summed up, stays where it was."""
        session = self._family.session(thread)
        if session is None:
            return
        yield from self._told(session)
        yield from self._said(thread)
        yield from self._counted(session)

    # --- the session itself ---

    def _told(self, session: dict[str, Any]) -> Iterator[Item]:
        row = {key: value for key, value in session.items() if key not in _COUNTED}
        row.pop("system_prompt", None)
        for key in ("model_config", "origin_json"):
            row[key] = database.settings(row.get(key))
        if "billing_base_url" in row:
            row["billing_base_url"] = without_credentials(row["billing_base_url"])
        row["kin"] = self._family.kin(session)
        row["project"] = self._family.project(session)
        kept = {key: value for key, value in row.items() if not key.startswith(_PASSING)}
        yield Item("session", database.line(row), aside=True, said=database.line(kept))
        if prompt := self._family.prompt(session):
            body = database.line({"system_prompt": prompt, "started_at": row["started_at"]})
            yield Item("system_prompt", body, aside=True)

    # --- what was said ---

    def _said(self, thread: str) -> Iterator[Item]:
        said = self._family.rows(thread)
        names = self._family.names(thread)
        live = rows.ROOT
        before = live
        if (begun := self._family.begun(thread)) is not None:
            yield Item("compaction", database.line(begun), after=rows.ROOT, said=b"")
            live = before = "compaction"
        summed = ""
        for row in said:
            if row.compacted:
                summed = row.key
            elif row.live and summed:
                body = {"compaction": "in place", "session_id": thread, "time": row.timestamp}
                live = before = f"compaction/{summed}"
                yield Item(live, database.line(body), after=summed, said=b"")
                summed = ""
            copied = names.get(row.key)
            body = row.body if copied is None else {**row.body, "copy_of": copied}
            yield Item(
                row.key,
                database.line(body),
                after=live if row.live else before,
                said=row.said,
                past=not row.active,
            )
            before = row.key
            live = row.key if row.live else live
        if said and not said[-1].live:
            yield self._taken_back(said, live)

    def _taken_back(self, said: list[Row], live: str) -> Item:
        """A note behind what is left, when the newest messages were taken back."""
        body = {"taken_back_to": live, "newest": said[-1].key, "time": said[-1].timestamp}
        return Item(f"undo/{said[-1].key}", database.line(body), after=live, said=b"")

    # --- what was counted ---

    def _counted(self, session: dict[str, Any]) -> Iterator[Item]:
        """Counters of the session, and of each model, provider and task. Both only grow. The
        session's leave out auxiliary work (`task`); what they hold beyond the others' belongs to
        the model that the session names.
        """
        counted = []
        if "session_model_usage" in self._database.tables:
            query = "select * from session_model_usage where session_id = ? order by rowid"
            counted = self._database.rows(query, session["id"])
        own = _route(session)
        others = [row for row in counted if _route(row) != own and not row.get("task")]
        for row in counted:
            yield Item(f"usage/{_route(row)}", _line(row), aside=True)
        body = {key: session.get(key) for key in (*_COUNTED, "id", "started_at", *_ROUTE[:4])}
        body["elsewhere"] = {key: sum(row.get(key) or 0 for row in others) for key in _SUMMED}
        body["last_seen"] = max(
            (row.timestamp for row in self._family.rows(session["id"])), default=0
        )
        yield Item(f"counters/{own}", _line(body), aside=True)


def _route(row: Mapping[str, Any]) -> str:
    return "/".join(str(without_credentials(row.get(key) or "")) for key in _ROUTE)


def _line(row: Mapping[str, Any]) -> bytes:
    """A row of counters, whose addresses may hold a password."""
    return database.line({key: without_credentials(value) for key, value in row.items()})


class ItemReader(rows.ItemReader):
    """Reads one session."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`."""
        if item.aside:
            # No name: what is known of a branch must not part it from the messages it shares.
            record.native_id = None
            self._note(item, value, record)
        elif item.key.startswith("undo/"):
            record.time_ms = millis(value.get("time"))
        elif item.key.partition("/")[0] == "compaction":
            record.time_ms = millis(value.get("time"))
            record.kind, record.role, record.compaction = Kind.COMPACTION, "system", Reason.AUTO
            if follows := text(value, "follows"):
                record.after = follows
        else:
            self._message(value, record)
        return []

    def _note(self, item: Item, value: dict[str, JSON], record: Record) -> None:
        record.time_ms = millis(value.get("started_at")) or millis(value.get("first_seen"))
        kind, _, route = item.key.partition("/")
        if kind == "session":
            set_title(record, text(value, "title"), RANK_NAMED)
            self._know(value)
        elif kind in ("usage", "counters"):
            record.time_ms = millis(value.get("last_seen")) or record.time_ms
            key = f"{name}:{self.origin.native_id}/{route}"
            record.usage = usage_of(key, value, value.get("elsewhere"))

    def _know(self, value: dict[str, JSON]) -> None:
        origin, kin = self.origin, value.get("kin")
        origin.model = text(value, "model") or origin.model
        origin.project = text(value, "project") or origin.project
        if isinstance(kin, dict) and "spawned_by" in kin:
            origin.kind, origin.parent = "subagent", text(kin, "spawned_by")

    def _message(self, value: dict[str, JSON], record: Record) -> None:
        record.time_ms = millis(value.get("timestamp"))
        if not is_spoken(value):
            if value.get("role") != "session_meta":
                record.kind, record.note = Kind.UNKNOWN, "a message of an unknown role"
            return
        message = decode(value)
        record.kind, record.role = Kind.MESSAGE, entry_role(message)
        if copied := text(value, "copy_of"):
            record.native_id = copied
        if record.role == "user" and message.text and "titled" not in self.facts:
            self.facts["titled"] = True
            set_title(record, message.text, RANK_PROMPT)
