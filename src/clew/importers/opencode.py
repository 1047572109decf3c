"""OpenCode: sessions in a database, in the files of earlier versions, and in its exports.

    $XDG_DATA_HOME/opencode, ~/.local/share/opencode, $OPENCODE_DATA_DIR
      opencode.db, opencode-<channel>.db      rows that change in place
      storage/                                a file an object, before 1.2
    $OPENCODE_DB                              another name or place of the database

A session has the same name and its messages the same bytes wherever they are found, so one that
was taken over from the files into the database is one session. What stands where is told in
`opencode_held`, what a message says in `opencode_records`; the format is described in
`docs/formats/opencode.md`.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from clew.canonical import parse
from clew.errors import Invalid
from clew.importers import database, packed, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import text
from clew.importers.opencode_forks import Forks
from clew.importers.opencode_held import (
    NEEDED,
    TABLES,
    Export,
    Held,
    Rows,
    Session,
    Stored,
    Tree,
    files_below,
)
from clew.importers.opencode_reader import ABOUT, REVERT, SessionReader
from clew.importers.opencode_records import (
    FORMAT,
    RESULTS,
    completed,
    info_of,
    parts_of,
    role_of,
    runs,
    spawned,
)
from clew.model import Origin
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

name = "opencode"
formats: tuple[str, ...] = (FORMAT, RESULTS)

QUIET_MS: Final = 60_000
"""A message that was not ended, and not touched for so long, never will be."""
FORK_MS: Final = 10_000
"""So long after a fork was made its copies are complete. At first it is empty."""

_EXPORT_NAME: Final = re.compile(r"ses_|opencode|export", re.IGNORECASE)
"""Other JSON files are not opened: some hold keys."""
_EXPORT: Final = re.compile(rb'\s*\{\s*"info"\s*:\s*\{\s*"id"\s*:\s*"ses_')
_EXPORT_BYTES: Final = 256
_FOREIGN: Final = (".git", "node_modules", "snapshot", "tool-output", "log", "bin", "repos")
"""Folders beside the sessions, with many files that are none."""


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """See `Importer.roots`. The program itself knows no OPENCODE_DATA_DIR; its users do."""
    kind = type(home)
    data = kind(env["XDG_DATA_HOME"]) if env.get("XDG_DATA_HOME") else home / ".local" / "share"
    found = [data / "opencode"]
    for each in ("OPENCODE_DATA_DIR", "OPENCODE_DB"):
        told = env.get(each)
        if told and kind(told).is_absolute():
            found.append(kind(told))
    there = [place for place in dict.fromkeys(found) if place.exists()]
    return [place for place in there if not any(each in there for each in place.parents)]


def identify(path: Path) -> bool:
    """True for a database with the program's tables, a folder of its files, or an export."""
    if path.is_dir():
        return _is_tree(path)
    if path.suffix == ".json":
        return _is_export(path)
    return database.has_tables(path, NEEDED)


def _is_tree(path: Path) -> bool:
    if not path.name.startswith("storage"):
        return False
    try:
        if not (path / "message").is_dir():
            return False
        return path.name == "storage" or any((path / each).is_dir() for each in ("session", "part"))
    except PermissionError:  # who walks there tells
        return False


def _is_export(path: Path) -> bool:
    if not _EXPORT_NAME.search(path.name):
        return False
    try:
        with packed.plain(path) as file:
            return _EXPORT.match(file.read(_EXPORT_BYTES)) is not None
    except OSError:
        return False


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`. Files come before the database that took them over."""
    if root.is_file() or _is_tree(root):
        if identify(root):
            yield root
        return
    for at, folders, files in files_below(root, _FOREIGN):
        trees = [folder for folder in folders if _is_tree(at / folder)]
        folders[:] = [folder for folder in folders if folder not in trees]
        yield from (at / folder for folder in trees)
        yield from (at / file for file in files if _is_file(at / file))


def _is_file(path: Path) -> bool:
    return path.suffix in (*database.SUFFIXES, ".json") and identify(path)


@contextmanager
def look(path: Path) -> Iterator[Sessions]:
    """See `Store.look`."""
    if path.is_dir():
        yield Sessions(Tree(path))
    elif path.suffix == ".json":
        yield Sessions(Export(path))
    else:
        with database.opened(path, TABLES) as found:
            missing = [table for table in NEEDED if table not in found.tables]
            if missing:
                raise Invalid(f"{path} has no table {missing[0]}: it is no database of OpenCode")
            yield Sessions(Rows(found))


def open(path: Path, thread: str, state: bytes | None = None) -> SessionReader:
    """See `Store.open`."""
    reader = SessionReader(Origin(mended(thread), name))
    if state is not None:
        return reader.resumed(state)
    with look(path) as found:
        found.tell(thread, reader.origin)
    return reader


class Sessions:
    """See `base.Look`."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._forks = Forks(held)

    def threads(self) -> list[Thread]:
        """See `Look.threads`. A sub-agent, and a fork, is made later than what it comes from."""
        return [Thread(session.id, session.mark) for session in self._held.sessions()]

    def tell(self, thread: str, origin: Origin) -> None:
        """Say what is known of a session before any message of it is read."""
        session = self._held.find(thread)
        if session is None:
            return
        folder = session.told("directory")
        origin.project = None if folder is None else mended(folder)
        origin.version = session.told("version")
        parent = session.told("parent_id") or session.told("parentID")
        if parent is not None:
            origin.parent, origin.kind = mended(parent), "subagent"
            origin.parent_call = self._call(parent, session.id)

    def _call(self, parent: str, child: str) -> str | None:
        """The call that started a sub-agent."""
        for body in self._held.calls(parent, child):
            part = parse(body)
            if spawned(part) == child:
                return text(part, "callID")
        return None

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`. What the session says of itself stands behind what it copied."""
        session = self._held.find(thread)
        if session is None:
            return
        now = time.time_ns() // 1_000_000
        empty = thread not in self._forks.begun()
        if (empty or self._forks.is_fork(thread)) and 0 <= now - session.created < FORK_MS:
            yield Item(ABOUT, b"{}", open=True)
            return
        copies, keys, told = self._forks.copied(thread), [rows.ROOT], False
        for stored in self._held.messages(thread):
            copy = copies.get(stored.id)
            if copy is None and not told:
                yield _about(session)
                told = True
            yield Item(stored.id, stored.body, open=_is_open(stored, now), copy_of=copy)
            keys.append(stored.id)
        if not told:
            yield _about(session)
        yield from _reverted(session, keys)


def _about(session: Session) -> Item:
    body = database.line({"session": msgspec.Raw(database.line(session.facts))})
    key = ABOUT if "time_created" in session.facts else f"{ABOUT}:file"
    return Item(key, body, aside=True, said=session.said)


def _reverted(session: Session, keys: list[str]) -> Iterator[Item]:
    """A message that was taken back stays in the store until something else is said: the
    session stands before it. One that was taken back in part stands.
    """
    revert = session.revert
    back = text(revert, "messageID") if revert is not None else None
    if revert is None or back not in keys:
        return
    part = text(revert, "partID")
    after = back if part is not None else keys[keys.index(back) - 1]
    yield Item(f"{REVERT}{part or back}", database.line({"revert": revert}), after=after)


def _is_open(stored: Stored, now: int) -> bool:
    """True while a message is being written: one that was left so by a crash is not."""
    changed = stored.changed_ms
    if changed is None or abs(now - changed) >= QUIET_MS:
        return False
    try:
        value = parse(stored.body)
    except (msgspec.DecodeError, RecursionError):
        return False
    info, parts = info_of(value), parts_of(value)
    if role_of(info) == "assistant":
        return not completed(info) or any(runs(part) for part in parts)
    return not parts
