"""OpenAI Agents SDK: sessions in an SQLite file, wherever its developer put it.

    agent_sessions(session_id, created_at, updated_at)
    agent_messages(id, session_id, message_data, created_at)      items of the Responses API
    message_structure, turn_usage                                 AdvancedSQLiteSession: branches

The SDK is open source; what is known of its tables stands in `docs/formats/openai-agents.md`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from clew.errors import Invalid
from clew.importers import database, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title, time_ms
from clew.model import JSON, Kind, Message, Origin, Record, Unknown, Usage
from clew.names import mended
from clew.shapes import base, openai_responses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

name = "openai-agents"
FORMAT: Final = "openai-agents"
formats: tuple[str, ...] = (FORMAT,)

NEEDED: Final = {
    "agent_sessions": ("session_id", "created_at"),
    "agent_messages": ("id", "session_id", "message_data", "created_at"),
}
_TABLES = (*NEEDED, "message_structure", "turn_usage")
_MAIN = "main"


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """None: the SDK has no place of its own. Name the file."""
    return []


def identify(path: Path) -> bool:
    """True for a database with the SDK's two tables."""
    return database.has_tables(path, NEEDED)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    return database.found_below(root, NEEDED)


@contextmanager
def look(path: Path) -> Iterator[AgentSessions]:
    """See `Store.look`."""
    with database.opened(path, _TABLES) as found:
        yield AgentSessions(found)


def open(path: Path, thread: str, state: bytes | None = None) -> ItemReader:
    """See `Store.open`."""
    return ItemReader(Origin(mended(thread), name)).resumed(state)


class AgentSessions:
    """See `base.Look`. A session's branches are one thread: they share what came before them."""

    def __init__(self, found: database.Database) -> None:
        self._database = found

    def threads(self) -> list[Thread]:
        """See `Look.threads`. The developer's own names ("1", "default") are told apart by when
        the session was made.
        """
        counts = self._database.rows(
            "select s.session_id, s.created_at, count(m.id) as items, max(m.id) as newest, "
            "sum(length(m.message_data)) as size "
            "from agent_sessions s left join agent_messages m on m.session_id = s.session_id "
            "group by s.session_id order by s.created_at, s.session_id"
        )
        used = self._by_session("turn_usage", "count(*), max(id), sum(total_tokens)")
        placed = self._by_session("message_structure", "count(*), max(id)")
        return [
            Thread(
                f"{row['session_id']}@{row['created_at']}",
                database.mark(
                    *row.values(), used.get(row["session_id"]), placed.get(row["session_id"])
                ),
            )
            for row in counts
        ]

    def _by_session(self, table: str, what: str) -> dict[str, str]:
        if table not in self._database.tables:
            return {}
        query = f"select session_id, {what} from {table} group by session_id"
        return {row["session_id"]: str(list(row.values())) for row in self._database.rows(query)}

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`. Branches stand one behind the other, each from where it leaves the
        one before; what the SDK calls the current branch is not in the file.
        """
        session = thread.rpartition("@")[0]
        messages = self._database.rows(
            "select * from agent_messages where session_id = ? order by id", session
        )
        placed = self._branches(session)
        for row in messages:
            row["message_data"] = database.embedded(row["message_data"])
            yield Item(str(row["id"]), database.line(row), after=placed.get(row["id"]))
        yield from self._usage(session)

    def _branches(self, session: str) -> dict[int, str]:
        """Which message each follows, where the branches tell it."""
        if "message_structure" not in self._database.tables:
            return {}
        placed = self._database.rows(
            "select message_id, branch_id from message_structure where session_id = ? "
            "order by sequence_number, id",
            session,
        )
        after: dict[int, str] = {}
        newest: dict[str, str] = {}
        for row in placed:
            # A branch begins with the messages that it shares: they keep their first place.
            after.setdefault(row["message_id"], newest.get(row["branch_id"], rows.ROOT))
            newest[row["branch_id"]] = str(row["message_id"])
        return after

    def _usage(self, session: str) -> Iterator[Item]:
        if "turn_usage" not in self._database.tables:
            return
        query = "select * from turn_usage where session_id = ? order by id"
        for row in self._database.rows(query, session):
            for key in ("input_tokens_details", "output_tokens_details"):
                row[key] = database.embedded(row.get(key))
            yield Item(f"usage/{row['id']}", database.line(row), aside=True)


class ItemReader(rows.ItemReader):
    """Reads one session of the SDK."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`. No model is told, so that usage has none."""
        record.time_ms = time_ms(value.get("created_at"))
        if "user_turn_number" in value:
            record.usage = _usage(f"{self.origin.native_id}/{item.key}", value)
            return []
        data = value.get("message_data")
        if not isinstance(data, dict):
            record.kind, record.note = Kind.UNKNOWN, "a message that is no JSON object"
            return []
        message = decode(value)
        record.kind, record.role = Kind.MESSAGE, base.entry_role(message)
        if record.role == "user" and "titled" not in self.facts:
            self.facts["titled"] = True
            set_title(record, message.text, 1)
        return []


def _usage(key: str, value: dict[str, JSON]) -> Usage:
    """The calls of one turn, together: the SDK keeps no more."""
    cached = base.number(value.get("input_tokens_details"), "cached_tokens")
    return Usage(
        key=key,
        input=max(base.number(value, "input_tokens") - cached, 0),
        output=base.number(value, "output_tokens"),
        cache_read=cached,
        reasoning=base.number(value.get("output_tokens_details"), "reasoning_tokens"),
    )


def decode(row: JSON) -> Message:
    """What a row says as a message. Never fails: what cannot be placed is `Unknown`. Items that
    `EncryptedSession` sealed stay sealed.
    """
    data = row.get("message_data") if isinstance(row, dict) else None
    stamp = time_ms(row.get("created_at")) if isinstance(row, dict) else None
    try:
        message = openai_responses.decode(data)
    except Invalid:
        message = Message("system", (Unknown("item", data),), meta=True)
    # An item's id names the item: no two items are pieces of one message.
    return msgspec.structs.replace(
        message, id=None, time_ms=stamp or 0, format=openai_responses.NAME
    )
