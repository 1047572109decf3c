"""Restore: a session as files in the place where an agent looks for its own.

Byte for byte where it came from that agent and nothing was added here, with the sessions that
it needs. Otherwise it is written in that agent's format, as a new session, with a list of what
could not be said.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

import msgspec

from clew.conversing import conversation_of
from clew.errors import Invalid, NotFound
from clew.lineage import Kept, Lineage, Member, altered, lineage, unexported
from clew.model import SessionInfo, Status
from clew.reading import info as info_of
from clew.writers import WRITERS, places
from clew.writers.base import Conversation, Loss, line
from clew.writers.places import elsewhere
from clew.writers.placing import LONGER, Placed, put

if TYPE_CHECKING:
    from clew.db import Tx
    from clew.ledger import Ledger
    from clew.session import Session

OWN = frozenset({*places.VARIABLES, places.OPENCODE})
"""The agents whose sessions can be given back as they were."""


SUBAGENTS = "/subagents/"
NAMED_MAX = 5
"""So many missing files are named."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore wrote, or with `dry_run` would write.

    `exact` says that the files are those that the agent itself wrote, byte for byte (for
    OpenCode, which has no files: that they say what it exports, value by value); `why` says why
    not. `native` is the session's id in the agent's own terms, `command` the line of shell
    that takes it up there. `missing` names what belongs to it and is not in the ledger, `losses`
    what the format has no place for.
    """

    session: str
    to: str
    exact: bool
    why: str | None
    native: str
    root: Path
    files: tuple[Placed, ...]
    command: str
    losses: tuple[Loss, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    dry_run: bool = False


class _Plan(msgspec.Struct):
    """What is to be put where."""

    exact: bool
    why: str | None
    native: str
    files: dict[str, bytes]
    command: str
    made: frozenset[str] = frozenset()
    """Files that give way to whatever stands in their place."""
    losses: tuple[Loss, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def restore_file(
    ledger: Ledger,
    session: Session,
    to: str,
    *,
    root: Path | None,
    dry_run: bool,
) -> Restored:
    """See `Ledger.restore_file`."""
    if to not in WRITERS:
        raise Invalid(f"to={to!r} is no agent that can be restored to: {', '.join(WRITERS)}")
    target = absolute(root) if root is not None else WRITERS[to].home(Path.home(), os.environ)
    with ledger._database.read() as tx:
        info = info_of(tx, session._key)
        if info.status is Status.ERASED:
            raise NotFound(f"session {info.id} was erased: nothing of it is left to restore")
        plan = _plan(tx, session, info, to, target)
    placed = put(target, plan.files, giving_way=plan.made, dry_run=dry_run)
    if not dry_run:
        record(ledger, "restore-file", session, to, plan.files, exact=plan.exact)
    longer = [
        f"{file.path} is there already, and goes on" for file in placed if file.state == LONGER
    ]
    return Restored(
        session=session.id,
        to=to,
        exact=plan.exact,
        why=plan.why,
        native=plan.native,
        root=target,
        files=placed,
        command=plan.command if root is None else elsewhere(plan.command, to, target),
        losses=plan.losses,
        missing=plan.missing,
        notes=(*plan.notes, *longer),
        dry_run=dry_run,
    )


def absolute(root: Path) -> Path:
    """A folder as its files are named in reports and commands."""
    return Path(os.path.abspath(root.expanduser()))  # noqa: PTH100 - links stay as named


def record(
    ledger: Ledger,
    action: str,
    session: Session,
    to: str,
    files: Mapping[str, bytes],
    *,
    exact: bool,
) -> None:
    """Put it on record that a session was given out, where the ledger can be written."""
    size = sum(map(len, files.values()))
    facts = {"of": session.id, "to": to, "exact": exact, "files": len(files), "bytes": size}
    if ledger._database.writable:
        ledger._run(lambda tx: ledger._record(tx, action, **facts), 0)


def _plan(tx: Tx, session: Session, info: SessionInfo, to: str, target: Path) -> _Plan:
    why = _why_not_exact(tx, session, info, to)
    if why is None:
        found = lineage(tx, to, session._key, session._ledger._scope)
        return _given_back(found, to, target)
    conversation, losses = conversation_of(tx, session._key, info)
    conversation, notes = in_a_folder(conversation)
    written = WRITERS[to].write(conversation, target)
    return _Plan(
        exact=False,
        why=why,
        native=written.session,
        files=written.files,
        command=written.command,
        losses=(*losses, *written.losses),
        missing=_left_behind(tx, session, info),
        notes=notes,
    )


def _why_not_exact(tx: Tx, session: Session, info: SessionInfo, to: str) -> str | None:
    agent = (info.imported_from or "").partition(":")[0]
    if not agent:
        return "it was not imported from an agent's file"
    if agent != to:
        return f"it came from {agent}"
    if to not in OWN:
        return f"sessions of {to} are written only, not given back"
    reason = altered(tx, session._key)
    if reason is None and to == places.OPENCODE:
        return unexported(tx, session._key)
    return reason


def in_a_folder(conversation: Conversation) -> tuple[Conversation, tuple[str, ...]]:
    """The same with a folder: agents file sessions by it. The one at hand where none is known."""
    if conversation.cwd is not None:
        return conversation, ()
    cwd = str(Path.cwd())
    note = f"it does not say in which folder it was held: written for {cwd}"
    return msgspec.structs.replace(conversation, cwd=cwd), (note,)


def _left_behind(tx: Tx, session: Session, info: SessionInfo) -> tuple[str, ...]:
    """What belongs to a session and is not in what is written anew."""
    rows = tx.all("sessions_spawned", project=session._ledger._scope)
    names = {session.id, info.imported_from}
    count = sum(row[2].partition("#")[0] in names for row in rows)
    which = "the session of 1 sub-agent" if count == 1 else f"the sessions of {count} sub-agents"
    return (f"{which}: to be restored by itself",) if count else ()


def _given_back(found: Lineage, to: str, target: Path) -> _Plan:
    """The files of a lineage as they were, where they belong."""
    if to == places.OPENCODE:
        return _exported(found, target)
    main = found.members[0]
    laid = _LaidClaude(found) if to == places.CLAUDE else _Laid(found, to)
    native, first = laid.taken_up(main)
    if to == places.CLAUDE:
        _name_missing(found)
    cwd = places.cwd_of(main.files[0].raw)
    return _Plan(
        exact=True,
        why=None,
        native=native,
        files=laid.files,
        command=places.resumes(to, native, cwd, target / first) if first in laid.files else "",
        made=frozenset(laid.made),
        missing=tuple(dict.fromkeys(found.missing)),
        notes=tuple(dict.fromkeys(found.notes)),
    )


def _exported(found: Lineage, target: Path) -> _Plan:
    """The exports of a lineage: what spawned others is taken in last."""
    laid = {
        places.export_path(member.native, kept.raw): kept
        for member in found.members
        for kept in member.files
    }
    native = found.members[0].native
    takes = [(kept.cwd or "", target / path) for path, kept in reversed(laid.items())]
    return _Plan(
        exact=True,
        why=None,
        native=native,
        files={path: kept.raw for path, kept in laid.items()},
        command=places.takes_in(takes, native),
        missing=tuple(dict.fromkeys(found.missing)),
        notes=tuple(dict.fromkeys(found.notes)),
    )


class _Laid:
    """Where each file of a lineage belongs."""

    def __init__(self, found: Lineage, to: str) -> None:
        self.files: dict[str, bytes] = {}
        self.made: set[str] = set()
        """Files that are not the agent's own bytes."""
        self._to = to
        self._by_id = {member.id: member for member in found.members}
        for member in found.members:
            for kept in member.files:
                self._lay(self._path(member, kept), kept, found)

    def taken_up(self, member: Member) -> tuple[str, str]:
        """The agent's own id of what is taken up again, and its file."""
        return member.native, self._path(member, member.files[-1])

    def _path(self, _member: Member, kept: Kept) -> str:
        return places.path_of(self._to, kept.source, kept.raw)

    def _lay(self, path: str, kept: Kept, found: Lineage) -> None:
        there = self.files.get(path, b"")
        if kept.raw.startswith(there):
            self.files[path] = kept.raw
        elif not there.startswith(kept.raw):
            found.missing.append(f"{kept.source}: another file has its place, {path}")


class _LaidClaude(_Laid):
    """The same for Claude Code, most of whose files belong where their main transcript is."""

    def __init__(self, found: Lineage) -> None:
        super().__init__(found, places.CLAUDE)
        for member in found.members:
            self._add_meta(member)
        if self.made:
            found.notes.append("what stands beside sub-agents (.meta.json) was made anew")

    def taken_up(self, member: Member) -> tuple[str, str]:
        """See `_Laid.taken_up`. A sub-agent is taken up with the session that it belongs to."""
        path = self._main(member)
        return Path(path).stem, path

    def _path(self, member: Member, kept: Kept) -> str:
        main = self._main(member)
        if places.is_transcript(kept.source):
            return places.path_of(self._to, kept.source, kept.raw)
        return places.beside(main, kept.source)

    def _main(self, member: Member) -> str:
        """Where the transcript is that a session's files hang on: its own, or the nearest above."""
        above: Member | None = member
        seen: list[Member] = []
        while above is not None and above not in seen:
            for kept in above.files:
                if places.is_transcript(kept.source):
                    return places.path_of(self._to, kept.source, kept.raw)
            seen.append(above)
            above = self._by_id.get(above.parent or "")
        kept = member.files[0]
        return places.lost_main(member.native, kept.source, kept.raw)

    def _add_meta(self, member: Member) -> None:
        """Make what should stand beside a sub-agent's file and was not imported with it."""
        for kept in member.files:
            path = self._path(member, kept)
            name = f"{path.removesuffix('.jsonl')}.meta.json"
            agent = Path(path).name.startswith(places.AGENT) and path.endswith(".jsonl")
            if not agent or SUBAGENTS not in path or name in self.files:
                continue
            parent = self._by_id.get(member.parent or "")
            said = b"\n".join(each.raw for each in parent.files) if parent else b""
            told = places.meta(member.call, said, kept.raw)
            if told:
                self.made.add(name)
                self.files[name] = line(told).rstrip()


def _name_missing(found: Lineage) -> None:
    """What Claude Code's transcripts speak of and the ledger does not have."""
    there = {Path(kept.source).stem for member in found.members for kept in member.files}
    kept_names = {Path(kept.source).name for member in found.members for kept in member.files}
    agents: set[str] = set()
    outputs: set[str] = set()
    for member in found.members:
        for kept in member.files:
            agents |= {f"{places.AGENT}{id}" for id in places.agents_named(kept.raw)}
            outputs |= {
                path
                for path in places.outputs_named(kept.raw)
                if PureWindowsPath(path).name not in kept_names
            }
    for what, names in (
        ("sub-agents' transcripts that the ledger does not have", agents - there),
        ("files with big outputs that the ledger does not have", outputs),
    ):
        if names:
            some = sorted(names)[:NAMED_MAX]
            more = f" and {len(names) - len(some)} more" if len(names) > len(some) else ""
            found.missing.append(f"{what}: {', '.join(some)}{more}")
