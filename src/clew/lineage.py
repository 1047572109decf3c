"""The files that make up an imported session, and those of the sessions that it needs.

A Claude Code session has its sub-agents, a Codex fork the rollout that it goes on from, a pi fork
its parent. What is not in the ledger is named, so that nobody takes a part for the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import msgspec

from clew.canonical import parse
from clew.errors import Invalid, NotFound
from clew.gather import frames
from clew.importers.opencode_reader import SessionReader
from clew.log import look_head
from clew.model import Origin, Status
from clew.names import mended
from clew.source import NOT_ALL_READ
from clew.writers import opencode_export, places
from clew.writers.opencode_export import Export

if TYPE_CHECKING:
    from clew.db import Tx

IMPORTED_MOVE = "rewind"
"""The only move of a head that an import makes."""
LINE_END = b"\n"
STORE = ".jsonl#"
"""What the name of a source holds that is one session's part of a file of many."""


class Kept(msgspec.Struct):
    """A file as it was last read, whole, ending in a line's end."""

    source: str
    raw: bytes
    cwd: str | None = None
    """The folder in which it is to be taken in, where that is said."""


class Member(msgspec.Struct):
    """One session of a lineage, with its files. `native` is its id in its agent's terms, `call`
    the tool call of `parent` that spawned it.
    """

    key: int
    id: str
    native: str
    parent: str | None = None
    call: str | None = None
    files: list[Kept] = []


class Lineage(msgspec.Struct):
    """A session, first, and all that it needs. `missing` and `notes` are for a person."""

    members: list[Member] = []
    missing: list[str] = []
    notes: list[str] = []


def altered(tx: Tx, key: int) -> str | None:
    """Why a session is no longer what its files say; `None` while it is."""
    head = look_head(tx, key)
    row = tx.one("entries_of_no_source", project=head.project, session=key)
    added = row[0] if row else 0
    if added:
        return f"{added} {'entry was' if added == 1 else 'entries were'} added here"
    moves = tx.all("move_list", session=key, before=None, limit=1)
    if moves and moves[0][1] != IMPORTED_MOVE and not head.at_end:
        return "it was taken back to an earlier place here"
    return None


def unexported(tx: Tx, key: int) -> str | None:
    """Why a session of OpenCode cannot be given back as it would export it; `None` if it can."""
    found, why = _exports(tx, key)
    return None if found else why


def _exports(tx: Tx, key: int) -> tuple[list[tuple[str, Export]], str]:
    """A session of OpenCode as each store has it that it was read from, with that store's name,
    the one that was touched, or else read, last first; and what is wrong with the others.
    """
    found: list[tuple[str, Export]] = []
    why = "it was not read from a store of OpenCode"
    for path in dict.fromkeys(
        row[2] for row in tx.all("source_list", session=key) if row[1] == places.OPENCODE
    ):
        row = tx.one("source_get", importer=places.OPENCODE, path=path)
        if row is None or row[6] == NOT_ALL_READ:
            why = "it was being written when it was last read: import it again"
            continue
        try:
            reader = SessionReader(Origin("", places.OPENCODE)).resumed(bytes(row[9]))
        except Invalid:
            why = "an earlier version of Clew read it: import it again"
            continue
        stream = b"".join(frames(tx, row[0]))
        told = opencode_export.export(stream, reader.standing(), reader.counters)
        if isinstance(told, str):
            why = told
        else:
            found.append((path, told))
    found.reverse()
    return sorted(found, key=lambda each: -each[1].updated_ms), why


def lineage(tx: Tx, agent: str, key: int, scope: int | None) -> Lineage:
    """The files of a session of `agent` and of the ones that belong to it, in the project `scope`
    or, when that is none, in all: an agent may work in another folder than who spawned it.

    Raises `NotFound` when the session or its files are gone, `Invalid` when one was not read to
    its end, and `Damaged`.
    """
    return _Walk(tx, agent, key, scope).found


class _Walk:
    """Goes from a session to what spawned it, what it spawned, and what it goes on from."""

    def __init__(self, tx: Tx, agent: str, key: int, scope: int | None) -> None:
        self._tx = tx
        self._agent = agent
        self._seen: set[int] = set()
        self.found = Lineage()
        row = tx.one("session_by_key", session=key)
        if row is None or row[3] == Status.ERASED:
            raise NotFound(f"session {row[2] if row else key} was erased: its files are gone")
        self._scope = scope
        spawned = tx.all("sessions_spawned", project=scope)
        self._spawned = {row[1]: row for row in spawned}
        self._children: dict[str, list[tuple[Any, ...]]] = {}
        for each in spawned:
            self._children.setdefault(each[2].partition("#")[0], []).append(each)
        self._take(key)
        self._descend(self._ancestors(row[2]))
        self._bases()

    def _take(self, key: int) -> str | None:
        """Add a session and give its id; `None` for one that is there or not the agent's."""
        info = self._tx.one("session_info", session=key)
        id, imported = (info[0], info[16]) if info else ("", None)
        agent, _, native = (imported or "").partition(":")
        if key in self._seen or agent != self._agent:
            return None
        self._seen.add(key)
        spawned = self._spawned.get(id)
        parent, _, call = spawned[2].partition("#") if spawned else ("", "", "")
        parent = self._id_of(parent) or parent
        exported = agent == places.OPENCODE
        files = self._exported(key, native) if exported else self._files(key, id)
        self.found.members.append(Member(key, id, native, parent or None, call or None, files))
        reason = altered(self._tx, key)
        if reason is not None and len(self.found.members) > 1:
            self.found.notes.append(f"{native}: as its files say; {reason}")
        return id

    def _key_of(self, name: str) -> int | None:
        """A session by its id, or by its name in its agent's terms."""
        row = self._tx.one("session_by_id", id=name, project=self._scope)
        if row is not None:
            return int(row[0])
        found = self._tx.all("sessions_by_import", imported_from=name)
        return next((int(key) for key, project in found if self._scope in (None, project)), None)

    def _id_of(self, name: str) -> str | None:
        key = self._key_of(name) if name else None
        row = self._tx.one("session_by_key", session=key) if key is not None else None
        return row[2] if row else None

    def _ancestors(self, id: str) -> str:
        """Take in who spawned it, up to the session that nobody spawned; gives the last one."""
        while (spawned := self._spawned.get(id)) is not None:
            parent = spawned[2].partition("#")[0]
            key = self._key_of(parent)
            if key is None:
                named = "which it does not name" if parent == "unknown" else parent
                self.found.missing.append(f"the session that spawned it ({named})")
                return id
            above = self._take(key)
            if above is None:
                return id
            id = above
        return id

    def _descend(self, id: str) -> None:
        """Whom it spawned, and whom they did."""
        waiting = [(id, f"{self._agent}:{self._native(id)}")]
        while waiting:
            # Taken out: sessions that spawned one another are gone through once.
            children = [row for name in waiting.pop() for row in self._children.pop(name, [])]
            for key, child, _by, imported in children:
                if key in self._seen or self._take(key) is not None:
                    waiting.append((child, imported or child))

    def _native(self, id: str) -> str:
        return next(member.native for member in self.found.members if member.id == id)

    def _bases(self) -> None:
        """What files go on from without holding it: each is one step back, and may have its own."""
        done = 0
        while done < len(self.found.members):
            member = self.found.members[done]
            done += 1
            for kept in member.files:
                base = places.base_of(self._agent, kept.raw)
                if base is None or base == member.native:
                    continue
                key = self._key_of(f"{self._agent}:{mended(base)}")
                if key is None:
                    self.found.missing.append(f"session {base}, which {member.native} goes on from")
                else:
                    self._take(key)

    def _exported(self, key: int, native: str) -> list[Kept]:
        """The file that OpenCode would make of a session."""
        found, why = _exports(self._tx, key)
        if not found:
            self.found.missing.append(f"session {native}: {why}")
            return []
        (path, first), *others = found
        said = [parse(body) for body in first.messages]
        if any([parse(body) for body in other.messages] != said for _path, other in others):
            stores = f"{native} was read from {len(found)} stores that differ"
            self.found.notes.append(f"{stores}: given back as {PurePath(path).name} has it")
        return [Kept(path, first.raw, first.directory)]

    def _files(self, key: int, id: str) -> list[Kept]:
        """Each file of a session as it was last read. One that was found under another path, and
        goes on as it did here, is the same file; one that shrank to a beginning of what it was
        is what it was.
        """
        chosen: dict[str, Kept] = {}
        for source, path, tail in self._sources(key):
            kept = Kept(path, b"".join([*frames(self._tx, source), tail]))
            name = PurePath(path).name
            chosen[name] = self._newer(chosen[name], kept) if name in chosen else kept
        if not chosen:
            raise NotFound(f"session {id} was not imported from a file")
        for name, kept in chosen.items():
            if name.endswith(".jsonl") and kept.raw and not kept.raw.endswith(LINE_END):
                # An agent that goes on in it would glue its next record to the last one.
                kept.raw += LINE_END
                self.found.notes.append(f"{name} ended within a line: a line's end was added")
        return list(chosen.values())

    def _newer(self, before: Kept, now: Kept) -> Kept:
        """Which of two files of one name to give back. `now` was read later."""
        name = PurePath(now.source).name
        if now.raw.startswith(before.raw):
            return now
        if before.raw.startswith(now.raw):
            if now.source == before.source:
                self.found.notes.append(f"{name} was cut short since: given back as it was")
            return before
        if now.source == before.source:
            self.found.notes.append(
                f"{name} was rewritten since it was first read: given back as it stood last; "
                "what it held before stays in the ledger"
            )
        else:
            self.found.missing.append(f"{before.source}, another file of the same name")
        return now

    def _sources(self, key: int) -> Iterator[tuple[int, str, bytes]]:
        for source, importer, path, *_facts, tail, _note, _session in self._tx.all(
            "source_list", session=key
        ):
            if importer != self._agent or STORE in PurePath(path).name:
                continue
            newest = self._tx.one("source_get", importer=importer, path=path)
            if newest is not None and newest[0] == source and newest[6] == NOT_ALL_READ:
                raise Invalid(
                    f"{path} was not read to its end when its import was cut off: import it again"
                )
            yield source, path, bytes(tail)
