"""Intake: the records of one source become entries of one session.

Identity is the source's own record id. A file that begins with records which another session
holds already (a fork or resume that copied its prefix) becomes a branch of that session. A
record that says it follows an earlier one than the last (a rewind) moves the head there first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from clew import audit, canonical, checkpoints
from clew.db import Tx
from clew.erase import was_erased
from clew.errors import Conflict
from clew.log import (
    Draft,
    Head,
    Names,
    Place,
    Range,
    append,
    lock_head,
    look_head,
    on_path,
    path,
    save_head,
    usage_row,
)
from clew.model import Kind, Origin, Reason, Record, Usage
from clew.moves import move_head
from clew.names import mended
from clew.renamed import Renamed
from clew.versions import Versions

if TYPE_CHECKING:
    from clew.ledger import Ledger

NATIVE_BYTES = 16
LATER = "changed since: kept beside the conversation as a later version"
"""The note of a record that the session holds with other words."""


class Overtaken(Conflict):
    """Somebody else reads this source too, and is further on."""


class Piece(msgspec.Struct, gc=False):
    """A record with its bytes."""

    record: Record
    body: bytes


class _Item(msgspec.Struct, gc=False):
    """A record ready to be stored."""

    record: Record
    draft: Draft
    native: bytes
    named: bool
    """True when the source itself gave the record an id."""


class Intake:
    """Takes one source into one session, batch by batch."""

    def __init__(
        self,
        ledger: Ledger,
        importer: str,
        path: str,
        source: int | None = None,
        session: int | None = None,
        project: int | None = None,
        *,
        generation: int = 1,
        read_to: int = 0,
    ) -> None:
        self._ledger = ledger
        self._importer = importer
        self._path = path
        self._generation = generation
        self._given = project
        """The project of the generation before: one that a lost unit made must not stay."""
        self._project = project
        self._items: list[_Item] = []
        self._resumed = source is not None
        self.source = source
        self.session = session
        self.created = False
        self.added = 0
        self.known = 0
        self.notes: list[tuple[int, str]] = []
        self._counted = (0, 0)
        self._noted = 0
        self._read_to = read_to
        self._renamed: Renamed | None = None
        self._replaces = False
        """True when so far the session was known from what remains of it."""

    @property
    def placed(self) -> bool:
        """True when the project does not have to come from the records."""
        return self._project is not None or self._ledger._scope is not None

    def refused(self, origin: Origin) -> bool:
        """True when this session was erased here: it does not come back by itself."""
        with self._ledger._database.read() as tx:
            return was_erased(tx, self._imported_from(origin))

    def _imported_from(self, origin: Origin) -> str:
        # What remains of a session is another source of the same one.
        agent = origin.agent if origin.remains else self._importer
        return f"{agent}:{mended(origin.native_id)}"

    # --- before the transaction ---

    def prepare(self, pieces: Sequence[Piece], origin: Origin, fallback_ms: int) -> None:
        """Make drafts: nonces and digests are computed once, outside the unit."""
        time_ms = self._time_before(fallback_ms)
        self._items = []
        for piece in pieces:
            record = piece.record
            time_ms = time_ms if record.time_ms is None else record.time_ms
            if record.note:
                self.notes.append((record.start, record.note))
            self._items.append(self._item(record, piece.body, origin.native_id, time_ms))
        self._noted = len(self.notes)

    def _time_before(self, fallback_ms: int) -> int:
        """When the record before these was made: a record without a time takes it over."""
        if self._items:
            return self._items[-1].draft.time_ms
        if self.session is None:
            return fallback_ms
        with self._ledger._database.read() as tx:
            head = look_head(tx, self.session)
            row = tx.one("entry_time", project=head.project, session=head.key, seq=head.last_seq)
        return row[0] if row else fallback_ms

    def _item(self, record: Record, body: bytes, session: str, time_ms: int) -> _Item:
        name = record.native_id
        # Without an id of its own a record is known, within its session, by what it says.
        text = name if name is not None else f"{session}\0{canonical.content_id(body).hex()}"
        draft = Draft(
            kind=record.kind,
            role=record.role,
            time_ms=time_ms,
            format=record.format,
            body=body,
            meta=_meta(record),
            start=record.start,
        )
        native = canonical.content_id(f"{self._importer}\0{text}".encode())[:NATIVE_BYTES]
        return _Item(record, draft, native, name is not None)

    # --- in the transaction ---

    def take(self, tx: Tx, origin: Origin) -> None:
        """Store the prepared records. May run again after a lost lock."""
        self.reset()
        if self.session is not None:
            lock_head(tx, self.session)
        self._check_alone(tx)
        opened = self._open(tx, origin) if self.session is None else self._go_on(tx, origin)
        items, fork = opened
        assert self.session is not None  # noqa: S101 - opened above
        head = lock_head(tx, self.session)
        if fork is not None and head.place != fork:
            self._move(tx, head, "import", fork)
        elif self._replaces and head.place is not None:
            self._move(tx, head, "import", None)
        self._replaces = False
        before = self.added
        self._append_all(tx, head, items)
        audit.record(
            tx,
            head,
            self._ledger.actor,
            "import",
            importer=self._importer,
            records=self.added - before,
        )
        save_head(tx, head, touch=False)

    def reset(self) -> None:
        """Forget what a unit did that was not committed."""
        self.added, self.known = self._counted
        del self.notes[self._noted :]
        if not self._resumed:
            self.session = self.source = None
            self.created = False
            self._project = self._given
        if self._renamed is not None:
            self._renamed.reset()

    def stored(self, read_to: int) -> None:
        """The transaction was committed: the source is read up to `read_to`."""
        self._counted = (self.added, self.known)
        self._noted = len(self.notes)
        self._read_to = read_to
        self._resumed = True
        if self._renamed is not None:
            self._renamed.stored()

    def _check_alone(self, tx: Tx) -> None:
        """Raise `Overtaken` when another import took what this one is about to."""
        row = tx.one("source_get", importer=self._importer, path=self._path)
        if self.source is None:
            lost = row is not None and row[3] >= self._generation
        else:
            lost = row is None or (row[0], row[5]) != (self.source, self._read_to)
        if lost:
            raise Overtaken("another import is reading it")

    def _open(self, tx: Tx, origin: Origin) -> tuple[list[_Item], Place | None]:
        """Find or make the session; gives the records to add and the fork point, if any."""
        name = self._imported_from(origin)
        project = self._project_before(tx, name, origin) or self._project_of(tx, origin)
        self._project = project
        row = tx.one("session_by_import", project=project, imported_from=name)
        fork: Place | None = None
        if row is not None:
            self.session = row[0]
            elsewhere = self._told_elsewhere(tx, row[0], origin)
            self._replaces = elsewhere and not origin.remains and bool(self._items)
            if elsewhere and origin.remains:
                items = self._all_known()
            else:
                items = self._renamed_or_unknown(tx, row[0], origin)
        else:
            items, fork = self._shared_prefix(tx, project)
            self.session = self._create(tx, origin, project, name, fork)
            self.created = True
        found = tx.one(
            "source_add",
            project=project,
            session=self.session,
            importer=self._importer,
            path=self._path,
            generation=self._generation,
            empty=b"",
            updated_ms=canonical.now_ms(),
        )
        assert found is not None  # noqa: S101 - an insert that returns
        self.source = found[0]
        return items, fork

    def _project_before(self, tx: Tx, name: str, origin: Origin) -> int | None:
        """The project of the same session, made when less was known of it. The name alone does
        not tell: files that a person named may be called the same in two projects.
        """
        if self.placed:
            return None
        for session, project in tx.all("sessions_by_import", imported_from=name):
            if self._told_elsewhere(tx, session, origin):
                return int(project)
            for item in self._items:
                row = tx.one("record_get", project=project, native=item.native)
                if item.named and row is not None and row[0] == session:
                    return int(project)
        return None

    def _project_of(self, tx: Tx, origin: Origin) -> int:
        if self._project is not None:
            return self._project  # that of the generation before
        if self._ledger._scope is not None:
            return self._ledger._scope
        name = mended(origin.project or "default")
        row = tx.one("project_get", name=name)
        if row is None:
            tx.run("project_add", name=name, chain=canonical.genesis("project", name))
            row = tx.one("project_get", name=name)
        assert row is not None  # noqa: S101 - just added
        key: int = row[0]
        return key

    def _create(self, tx: Tx, origin: Origin, project: int, name: str, fork: Place | None) -> int:
        forked = None
        if fork is not None:
            row = tx.one("session_by_key", session=fork.session)
            forked = (row[2], fork.seq) if row else None
        return checkpoints.new_session(
            tx,
            project,
            self._ledger.actor,
            id=canonical.new_id(),
            agent=origin.agent,
            place=fork,
            forked_from=forked,
            spawned_by=self._spawned_by(tx, origin, project),
            imported_from=name,
            created_ms=self._first_time(),
        )

    def _first_time(self) -> int | None:
        """When the session began: the first time that a record tells."""
        told = (item.record.time_ms for item in self._items if item.record.time_ms is not None)
        return next(told, self._items[0].draft.time_ms if self._items else None)

    def _spawned_by(self, tx: Tx, origin: Origin, project: int) -> str | None:
        if origin.parent is None:
            return "unknown" if origin.kind == "subagent" else None
        imported = f"{self._importer}:{mended(origin.parent)}"
        row = tx.one("session_by_import", project=project, imported_from=imported)
        parent = row[2] if row else imported
        return f"{parent}#{mended(origin.parent_call)}" if origin.parent_call else parent

    def _shared_prefix(self, tx: Tx, project: int) -> tuple[list[_Item], Place | None]:
        """Leave out the leading records that another session holds; the last is the fork. A
        first record that says which one it follows forks there without a copy. What has no name
        (what is known of the session itself) may stand before it.
        """
        base = next((item.record.after for item in self._items if item.named), None)
        fork = self._place_of(tx, project, base) if base else None
        own: list[_Item] = []
        for number, item in enumerate(self._items):
            row = tx.one("record_get", project=project, native=item.native) if item.named else None
            if row is not None:
                fork = Place(*row)
                self.known += 1
                continue
            if item.named:
                return own + self._items[number:], fork
            own.append(item)
        return own, fork

    def _told_elsewhere(self, tx: Tx, session: int, origin: Origin) -> bool:
        """For what remains of a session: whether its own history told it. For that: whether it
        is known from what remains of it alone.
        """
        rows = tx.all("source_list", session=session)
        others = [importer != self._importer for _key, importer, *_ in rows]
        return any(others) if origin.remains else bool(others) and all(others)

    def _all_known(self) -> list[_Item]:
        """Nothing to add: the session's own history tells it."""
        self.known += len(self._items)
        return []

    def _go_on(self, tx: Tx, origin: Origin) -> tuple[list[_Item], Place | None]:
        """The records to add to a session that was opened before, and its new fork point."""
        assert self.session is not None  # noqa: S101 - opened before
        if origin.remains and self._told_elsewhere(tx, self.session, origin):
            return self._all_known(), None
        head = look_head(tx, self.session)
        if self._generation > 1 or tx.all("source_list", session=self.session)[0][0] != self.source:
            return self._unknown(tx, self.session), None
        if head.place is not None and not head.appended:
            # So far all of it was a copy of another session, and the copy may go on.
            return self._shared_prefix(tx, head.project)
        return self._items, None

    def _renamed_or_unknown(self, tx: Tx, session: int, origin: Origin) -> list[_Item]:
        """The records to add to a session that another source has begun."""
        assert self._project is not None  # noqa: S101 - a session has one
        known = (tx.one("record_get", project=self._project, native=i.native) for i in self._items)
        anew = origin.renamed and all(row is None for row in known)
        self._renamed = Renamed(tx, self._project, session) if anew else None
        return self._unknown(tx, session)

    def _same_renamed(self, tx: Tx, item: _Item) -> bool:
        """Whether the session holds a record under another name; it then has both."""
        place = self._renamed.place(item.draft) if self._renamed is not None else None
        if place is not None:
            row = {"project": self._project, "native": item.native}
            tx.run("record_add", **row, session=place.session, seq=place.seq)
        return place is not None

    def _unknown(self, tx: Tx, session: int) -> list[_Item]:
        """The records that the session does not hold yet, on its own or from where it hangs."""
        pieces: list[Range] | None = None
        assert self._project is not None  # noqa: S101 - a session has one
        versions = Versions(tx, self._project, session)
        seen: dict[bytes, set[bytes]] = {}
        fresh = []
        for item in self._items:
            row = tx.one("record_get", project=self._project, native=item.native)
            bodies = seen.setdefault(item.native, set())
            body = canonical.content_id(item.draft.body)
            known, later = body in bodies, False
            if not known and row is not None and row[0] == session:
                sure = item.record.says_all or not item.named
                known = sure or versions.holds(row[1], item.draft)
                later = not known
            elif not known and row is not None:
                if pieces is None:
                    pieces = path(tx, look_head(tx, session).place)
                known = any(p.session == row[0] and p.low <= row[1] <= p.high for p in pieces)
            elif not known:
                known = self._same_renamed(tx, item)
            bodies.add(body)
            if later:
                self.notes.append((item.record.start, LATER))
            if not known:
                fresh.append(_later(item) if later else item)
        self.known += len(self._items) - len(fresh)
        return fresh

    def _append_all(self, tx: Tx, head: Head, items: list[_Item]) -> None:
        run: list[_Item] = []
        for item in items:
            if item.record.after is not None and self._rewinds(tx, head, run, item):
                run = []
            if item.record.compaction is not None:
                self._append(tx, head, run)
                run = []
                self._compaction(tx, head, item)
            elif item.record.bookmark is not None:
                self._append(tx, head, [*run, item])
                run = []
                self._bookmark(tx, head, item.record)
            else:
                run.append(item)
        self._append(tx, head, run)

    def _rewinds(self, tx: Tx, head: Head, run: list[_Item], item: _Item) -> bool:
        """Move the head to the record that this one says it follows."""
        self._append(tx, head, run)
        after = item.record.after
        place = self._place_of(tx, head.project, after) if after else None
        if after and place is None:
            self.notes.append((item.record.start, f"it follows {after}, not found"))
        elif place != head.place:
            self._move(tx, head, "rewind", place)
        return True

    def _place_of(self, tx: Tx, project: int, name: str) -> Place | None:
        """Where the record stands that the source calls so."""
        native = canonical.content_id(f"{self._importer}\0{name}".encode())[:NATIVE_BYTES]
        row = tx.one("record_get", project=project, native=native)
        return Place(*row) if row is not None else None

    def _move(self, tx: Tx, head: Head, action: str, to: Place | None) -> None:
        move = move_head(tx, head, action, to, undoable=False)
        origin = str(move.from_ or "root")
        audit.record(
            tx,
            head,
            self._ledger.actor,
            action,
            move=move.number,
            to=str(move.to or "root"),
            **{"from": origin},
        )

    def _compaction(self, tx: Tx, head: Head, item: _Item) -> None:
        """A foreign compaction: what it kept begins behind it, unless it names a record; what
        was before is a checkpoint.
        """
        pre = head.place
        record = item.record
        kept = self._place_of(tx, head.project, record.kept_from) if record.kept_from else None
        if kept is not None and on_path(tx, pre, kept):
            first = [Names(tx, head).id(kept.session), kept.seq]
        else:
            first = [head.id, head.last_seq + 1]
        meta = item.draft.facts() | {
            "first_kept": first,
            "reason": str(record.compaction or Reason.AUTO),
        }
        item.draft.meta = msgspec.json.encode(meta)
        self._append(tx, head, [item])
        checkpoints.add(
            tx,
            head,
            self._ledger.actor,
            label=f"before compaction ({record.compaction})",
            reason=str(record.compaction),
            pre=pre,
            post=head.place,
            tokens=(record.tokens_before, record.tokens_after),
        )

    def _bookmark(self, tx: Tx, head: Head, record: Record) -> None:
        """A label on a record is a checkpoint there."""
        place = self._place_of(tx, head.project, record.bookmarked or "")
        if place is not None:
            label = mended(record.bookmark or "")
            checkpoints.add(tx, head, self._ledger.actor, label=label, reason="label", pre=place)

    def _append(self, tx: Tx, head: Head, items: Sequence[_Item]) -> None:
        if not items:
            return
        source, drafts = self.source, []
        for item in items:
            draft = item.draft
            draft.source = source
            drafts.append(draft)
        numbers = append(tx, head, drafts, save=False)
        project, session = head.project, head.key
        rows = [
            (project, item.native, session, seq) for seq, item in zip(numbers, items, strict=True)
        ]
        tx.fill("record_add", rows)
        self._keep_usage(tx, head, numbers, items)
        for item in items:
            if item.record.title:
                tx.run(
                    "session_retitle",
                    session=head.key,
                    title=mended(item.record.title),
                    rank=item.record.title_rank,
                )
        self.added += len(items)

    def _keep_usage(self, tx: Tx, head: Head, numbers: range, items: Sequence[_Item]) -> None:
        """One row a model call: records that repeat a call are joined before they are sent."""
        rows: dict[bytes, dict[str, Any]] = {}
        for seq, item in zip(numbers, items, strict=True):
            usage: Usage | None = item.record.usage
            if usage is None:
                continue
            row = usage_row(head.project, head.key, head.id, seq, item.draft.time_ms, usage)
            known = rows.get(row["call"])
            if known is not None:
                for field in ("input", "output", "cache_read", "cache_write", "reasoning"):
                    row[field] = max(row[field], known[field])
                costs = [each["cost"] for each in (row, known) if each["cost"] is not None]
                row["cost"] = max(costs, default=None)
                row["model"] = row["model"] or known["model"]
                row["provider"] = known["provider"]
            rows[row["call"]] = row
        if rows:
            tx.fill("usage_set", [tuple(row.values()) for row in rows.values()])


def _later(item: _Item) -> _Item:
    """A later version of a record that is there: it is kept aside, as a notice with its role,
    which search finds. Said again it would be the last thing that was said.
    """
    record = msgspec.structs.replace(
        item.record, after=None, kind=Kind.NOTICE, compaction=None, bookmark=None
    )
    item.draft.kind = Kind.NOTICE
    return msgspec.structs.replace(item, record=record)


def link_spawned(tx: Tx) -> None:
    """Name the parents that came in later than what they spawned."""
    for key, project, spawned_by in tx.all("session_orphans"):
        parent, sign, call = spawned_by.partition("#")
        row = tx.one("session_by_import", project=project, imported_from=parent)
        if row is not None:
            tx.run("session_spawned_by", session=key, spawned_by=f"{row[2]}{sign}{call}")


def _meta(record: Record) -> bytes | None:
    meta: dict[str, Any] = {}
    if record.message_id is not None:
        meta["message_id"] = record.message_id
    if record.note is not None:
        meta["note"] = record.note
    if record.tokens_before is not None:
        meta["tokens_before"] = record.tokens_before
    if record.tokens_after is not None:
        meta["tokens_after"] = record.tokens_after
    if record.usage is not None and record.role is None:
        # No message says it: what it counts depends on what stood before it in the source.
        meta["usage"] = record.usage
    return msgspec.json.encode(meta) if meta else None
