"""Hermes' rows: which are in the conversation, and what a session has from another.

`parent_session_id` has four meanings: the session goes on behind a compaction, is a branch, was
spawned as a sub-agent, or follows a reset. The first two begin with messages of the parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import content_id
from clew.importers import database

if TYPE_CHECKING:
    from clew.model import JSON

JSON_MARK: Final = "\x00json:"
"""Before content that is a list of parts."""
MARKED_SINCE: Final = 16
"""From this version of the schema on, every branch and sub-agent is marked as one."""
ORPHAN: Final = "__orphaned__"
RESETS: Final = (
    *("session_reset", "session_switch", "idle", "daily", "suspended"),
    "resume_pending_expired",
)
"""How a session ended that was reset."""

_CORE: Final = ("role", "content", "tool_call_id", "tool_calls", "tool_name")
_UNSAID: Final = ("id", "timestamp", "active", "compacted", "token_count")
"""What differs when a row is written anew, or flagged."""
_PARTS: Final = (
    "tool_calls",
    "reasoning_details",
    "codex_reasoning_items",
    "codex_message_items",
)
KEY_BYTES: Final = 12


class Row(msgspec.Struct):
    """A message. `key` is made of what it says, and so stays when a transcript is written anew;
    `core` is the same for all that say the same.
    """

    key: str
    core: str
    body: dict[str, Any]
    said: bytes
    timestamp: float
    active: bool
    compacted: bool

    @property
    def live(self) -> bool:
        """False when it was taken back."""
        return self.active or self.compacted


class Family:
    """The sessions of a database and how they hang together. What was read is kept for as long
    as the next few sessions need it.
    """

    def __init__(self, found: database.Database) -> None:
        self._database = found
        self._rows: dict[str, list[Row]] = {}
        self._names: dict[str, dict[str, str | None]] = {}
        versions: list[Any] = [0]
        if "schema_version" in found.tables:
            versions += [row["version"] for row in found.rows("select * from schema_version")]
        self._marked = max((v for v in versions if isinstance(v, int)), default=0) >= MARKED_SINCE

    def session(self, id: str | None) -> dict[str, Any] | None:
        """A session's row; `None` when it is not there (any more)."""
        found = self._database.rows("select * from sessions where id = ?", id)
        return found[0] if found else None

    def prompt(self, session: dict[str, Any]) -> str | None:
        """A session's system prompt: its own, or where many share it, the shared one."""
        own, shared = session.get("system_prompt"), session.get("system_prompt_hash")
        if not own and shared and "system_prompts" in self._database.tables:
            query = "select prompt from system_prompts where hash = ?"
            own = next((row["prompt"] for row in self._database.rows(query, shared)), None)
        return own if isinstance(own, str) and own else None

    # --- rows ---

    def rows(self, id: str) -> list[Row]:
        """All messages of a session, oldest first."""
        if id not in self._rows:
            if len(self._rows) >= 4:
                self._rows.pop(next(iter(self._rows)))
            query = "select * from messages where session_id = ? order by id"
            seen: dict[str, int] = {}
            self._rows[id] = [_row(row, seen) for row in self._database.rows(query, id)]
        return self._rows[id]

    def names(self, id: str) -> dict[str, str | None]:
        """For each message of a session by its key: the name of the record that it is a copy
        of. A branch begins with copies.
        """
        if id not in self._names:
            self._names[id] = dict.fromkeys((row.key for row in self.rows(id)), None)
            self._names[id].update(self._copies(id))
        return self._names[id]

    def _copies(self, id: str) -> dict[str, str | None]:
        session = self.session(id)
        parent = session and self._related(session, "branch")
        if not session or not parent:
            return {}
        rows = [row for row in self.rows(id) if row.live]
        for there in (
            [row for row in self._before(parent, session) if row.active],
            [row for row in self._before(parent, session) if row.live],
        ):
            same = 0
            while same < min(len(rows), len(there)) and rows[same].core == there[same].core:
                same += 1
            if same:
                return {rows[i].key: self.name(parent, there[i].key) for i in range(same)}
        return {}

    def name(self, id: str, key: str) -> str:
        """What the record is called that a message of a session became first."""
        return self.names(id).get(key) or f"{id}/{key}"

    def _before(self, parent: str, child: dict[str, Any]) -> list[Row]:
        """The messages of a parent from before the child began."""
        rows = self.rows(parent)
        return [row for row in rows if row.timestamp <= _number(child["started_at"])] or rows

    # --- relations ---

    def begun(self, id: str) -> dict[str, Any] | None:
        """For a session that goes on behind a compaction: after which record of its parent."""
        session = self.session(id)
        parent = session and self._related(session, "compression")
        if not session or not parent:
            return None
        found: dict[str, Any] = {"compaction": "of", "parent_session_id": parent}
        found["time"] = session["started_at"]
        live = [row for row in self._before(parent, session) if row.live]
        if live:
            found["follows"] = self.name(parent, live[-1].key)
        return found

    def _related(self, session: dict[str, Any], kind: str) -> str | None:
        """The parent, if it is there and this is how the session has come from it."""
        kin = self.kin(session)
        parent = kin.get(kind)
        return parent if self.session(parent) is not None else None

    def kin(self, session: dict[str, Any]) -> dict[str, Any]:
        """What `parent_session_id` means: `compression`, `branch`, `reset`, `spawned_by`, each
        with the other session's id. A sub-agent that was compacted is two of them. A session
        that goes on has its parent's marks, too: those that name another session are not its own.
        """
        parent, marks = session["parent_session_id"], _config(session)
        found: dict[str, Any] = {}
        spawned = marks.get("_delegate_from")
        if isinstance(spawned, str):
            found["spawned_by"] = None if spawned == ORPHAN else spawned
        if not parent:
            return found
        above = self.session(parent) or {}
        if marks.get("_branched_from") == parent or _branched(session, above):
            found["branch"] = parent
        elif spawned == parent:
            pass
        elif marks.get("_reset_from") == parent or _reset(session, above):
            found["reset"] = parent
        elif self._goes_on(session, above):
            found["compression"] = parent
        elif "spawned_by" not in found:
            found["spawned_by"] = parent
        return found

    def _goes_on(self, session: dict[str, Any], above: dict[str, Any]) -> bool:
        if above.get("end_reason") == "compression":
            return True
        return self._marked and session["source"] not in ("tool", "subagent")

    def project(self, session: dict[str, Any]) -> str | None:
        """The folder that a session works in; one that came from another works in the same."""
        passed: set[str] = set()
        at: dict[str, Any] | None = session
        while at is not None and at["id"] not in passed:
            passed.add(at["id"])
            if at.get("cwd"):
                return str(at["cwd"])
            at = self.session(at["parent_session_id"]) if at["parent_session_id"] else None
        return None


def _branched(session: dict[str, Any], above: dict[str, Any]) -> bool:
    """How branches were told before they were marked."""
    ended, began = _number(above.get("ended_at")), _number(session["started_at"])
    return above.get("end_reason") == "branched" and 0 < ended <= began


def _reset(session: dict[str, Any], above: dict[str, Any]) -> bool:
    """How resets were told before they were marked: the same chat goes on in a new session."""
    same = session.get("session_key") or None
    return (
        above.get("end_reason") in RESETS and same is not None and above.get("session_key") == same
    )


def _config(session: dict[str, Any]) -> dict[str, JSON]:
    try:
        found = msgspec.json.decode(session.get("model_config") or "{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: JSON) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _row(row: dict[str, Any], seen: dict[str, int]) -> Row:
    """A message's row; `seen` counts those that say the same."""
    said = {key: row.get(key) for key in _CORE}
    content = said["content"]
    said["content"] = content.strip() if isinstance(content, str) else content
    core = content_id(database.line(said))[:KEY_BYTES].hex()
    seen[core] = seen.get(core, 0) + 1
    active, compacted = row.pop("active", 1), row.pop("compacted", 0)
    body = dict(row)
    if isinstance(content, str) and content.startswith(JSON_MARK):
        body["content"] = database.embedded(content.removeprefix(JSON_MARK))
    for key in _PARTS:
        if key in body:
            body[key] = database.embedded(body[key])
    kept = {key: value for key, value in row.items() if key not in _UNSAID}
    return Row(
        core if seen[core] == 1 else f"{core}.{seen[core]}",
        core,
        body,
        database.line(kept),
        _number(row.get("timestamp")),
        active is None or bool(active),
        bool(compacted),
    )
