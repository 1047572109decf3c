"""A session of OpenCode as `opencode export` gives it: put together from what was read of it.

    {"info": session, "messages": [{"info": message, "parts": [...]}]}

A message was kept in these words, value by value. The session was kept as its row in the
database, whose columns the program itself gives other names (`fromRow` in
`packages/opencode/src/session/`, 1.18.33), or as the object that a file or an export has.
The link of a shared session was never kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from clew.canonical import parse
from clew.importers.opencode_held import is_counter
from clew.model import JSON
from clew.writers.base import line

NEEDED: Final = ("id", "slug", "projectID", "directory", "title", "version", "time")
"""What the program asks of a session that it takes in."""
_NAMES: Final = {
    "id": "id",
    "slug": "slug",
    "projectID": "project_id",
    "workspaceID": "workspace_id",
    "directory": "directory",
    "path": "path",
    "parentID": "parent_id",
    "title": "title",
    "agent": "agent",
    "model": "model",
    "version": "version",
    "summary": None,
    "cost": "cost",
    "tokens": None,
    "metadata": "metadata",
    "revert": "revert",
    "permission": "permission",
    "time": None,
}
"""The program's names, in its order, each with its column; none for what several tell."""
_COUNTS: Final = ("additions", "deletions", "files")
_TOKENS: Final = ("input", "output", "reasoning")


class Export(msgspec.Struct, frozen=True):
    """A session, exported: the file's bytes, the folder it was held in, when it was last touched
    (Unix milliseconds), and each message as one line of JSON.
    """

    raw: bytes
    directory: str
    updated_ms: int
    messages: tuple[bytes, ...]


def export(stream: bytes, standing: Sequence[str], counters: Mapping[str, JSON]) -> Export | str:
    """The export of a session, or why there is none.

    `stream` is what was read of it, a line an item, later versions behind earlier ones;
    `standing` the ids of the messages that the store had last, in their order; `counters` those
    facts of the session that change with every message, as they were last.
    """
    session: dict[str, JSON] = {}
    bodies: dict[str, bytes] = {}
    for body in stream.split(b"\n"):
        value = _object(body)
        info, about = value.get("info"), value.get("session")
        if isinstance(about, dict):
            session = about
        elif isinstance(info, dict) and _is_whole(value):
            bodies[str(info.get("id"))] = body
    lost = next((id for id in standing if id not in bodies), None)
    if lost is not None:
        return f"OpenCode would not take message {lost} back: it is damaged"
    facts = _counted(session, counters)
    info = _of_row(facts) if "time_created" in facts else facts
    missing = [key for key in NEEDED if info.get(key) is None]
    if missing:
        return f"OpenCode would not take it back: the session's {missing[0]} was not kept"
    messages = tuple(bodies[id] for id in standing)
    head = b'{"info":' + line(info).rstrip(b"\n") + b',"messages":[\n'
    times = info["time"]
    updated = times.get("updated") if isinstance(times, dict) else None
    return Export(
        head + b",\n".join(messages) + b"\n]}\n",
        str(info["directory"]),
        updated if isinstance(updated, int) else 0,
        messages,
    )


def _counted(session: dict[str, JSON], counters: Mapping[str, JSON]) -> dict[str, JSON]:
    """A session's facts with its counters as they were last."""
    if not counters:
        return session
    kept = {
        key: counters.get(key, value)
        for key, value in session.items()
        if key in counters or not is_counter(key)
    }
    return kept | {key: value for key, value in counters.items() if key not in kept}


def _of_row(row: dict[str, JSON]) -> dict[str, JSON]:
    """A row of the database in the program's words: what is empty is left out."""
    found: dict[str, JSON] = {}
    for name, column in _NAMES.items():
        value = row.get(column) if column is not None else _several(name, row)
        if value is not None:
            found[name] = _number(value)
    return found


def _several(name: str, row: dict[str, JSON]) -> JSON:
    if name == "time":
        times = {key: row.get(f"time_{key}") for key in _TIMES}
        return {key: value for key, value in times.items() if value is not None}
    if name == "tokens":
        if not any(f"tokens_{key}" in row for key in _TOKENS):
            return None
        cache = {key: row.get(f"tokens_cache_{key}") or 0 for key in ("read", "write")}
        return {key: row.get(f"tokens_{key}") or 0 for key in _TOKENS} | {"cache": cache}
    counts = {key: row.get(f"summary_{key}") for key in _COUNTS}
    if all(value is None for value in counts.values()):
        return None
    diffs = row.get("summary_diffs")
    return {key: value or 0 for key, value in counts.items()} | (
        {} if diffs is None else {"diffs": diffs}
    )


_TIMES: Final = ("created", "updated", "compacting", "archived")


def _number(value: JSON) -> JSON:
    """A column of the type real holds whole numbers with a point; the program writes none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_whole(value: dict[str, JSON]) -> bool:
    """True for a message of which everything could be read when it was kept."""
    info, parts = value.get("info"), value.get("parts")
    if not isinstance(info, dict) or not isinstance(info.get("role"), str):
        return False
    return isinstance(parts, list) and all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts
    )


def _object(body: bytes) -> dict[str, JSON]:
    try:
        value = parse(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
