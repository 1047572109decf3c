"""Checkpoints, compactions, branches: units that add pointers. None costs more than a few
rows, whatever the size of the session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from clew import audit, canonical, compaction, events, reading
from clew import names as clean
from clew.db import Tx
from clew.drafts import own_draft
from clew.errors import Conflict, Invalid, NotFound
from clew.log import (
    Head,
    Names,
    Place,
    Range,
    append,
    last_of_kind,
    new_head,
    on_path,
    path,
    read_head,
    save_head,
)
from clew.model import JSON, Checkpoint, Entry, Kind, Message, Position, Reason, Text
from clew.moves import place_of

COMPACTED = {str(reason) for reason in Reason}


class Diff(msgspec.Struct, frozen=True):
    """Two paths compared. `common` is the last entry they share, `None` when only the root."""

    common: Position | None
    only_a: tuple[Message, ...]
    only_b: tuple[Message, ...]
    config_a: dict[str, JSON]
    config_b: dict[str, JSON]

    @property
    def config_changed(self) -> tuple[str, ...]:
        """The settings that differ."""
        a, b = self.config_a, self.config_b
        gone = a.keys() ^ b.keys()
        return tuple(sorted(gone | {key for key in a.keys() & b.keys() if a[key] != b[key]}))


# --- naming places -----------------------------------------------------------------------


def resolve(tx: Tx, project: int, session: int, at: Any) -> Place | None:
    """A checkpoint, entry, message or text as a place. Raises `NotFound`, `Invalid`."""
    if at is None:
        return None
    if isinstance(at, str):
        return _resolve_text(tx, project, session, at)
    if isinstance(at, Checkpoint):
        at = find(tx, project, session, at.id).pre
        return None if at is None else place_of(tx, project, at)
    if isinstance(at, Entry):
        at = at.position
    elif isinstance(at, Message):
        at = at.at[-1] if at.at else None
    if not isinstance(at, Position):
        raise Invalid(f"{at!r} names no place: give a checkpoint, an entry, or 'session:seq'")
    return place_of(tx, project, at)


def _resolve_text(tx: Tx, project: int, session: int, text: str) -> Place | None:
    if text == "root":
        return None
    head, colon, seq = text.rpartition(":")
    if colon and seq.isdecimal():
        return place_of(tx, project, Position(head, int(seq)))
    if text.isdecimal() and len(text) < MIN_PREFIX:
        name = Names(tx).id(session)
        return place_of(tx, project, Position(name, int(text)))
    return resolve(tx, project, session, find(tx, project, session, text))


MIN_PREFIX = 8
"""Fewer digits than this are an entry's number, not the beginning of a checkpoint's id."""


def find(tx: Tx, project: int, session: int, id: str) -> Checkpoint:
    """A checkpoint of a session by its id or unique prefix. Raises `NotFound`, `Invalid`."""
    row = tx.one("checkpoint_get", session=session, id=id)
    if row is None:
        ids = []
        if id.isalnum():  # no wildcard
            rows = tx.all("checkpoint_prefix", session=session, pattern=f"{id}%")
            ids = [found for (found,) in rows]
        name = Names(tx).id(session)
        if not ids:
            raise NotFound(f"session {name} has no checkpoint {id!r}: list them with checkpoints()")
        if len(ids) > 1:
            raise Invalid(f"checkpoint {id!r} is ambiguous in session {name}: {', '.join(ids)}")
        row = tx.one("checkpoint_get", session=session, id=ids[0])
    assert row is not None  # noqa: S101 - just listed
    return checkpoint_of(tx, Names(tx), row)


def listed(tx: Tx, session: int, limit: int, after: str | None = None) -> list[Checkpoint]:
    """A session's checkpoints, newest first; those made before `after`."""
    names = Names(tx)
    rows = tx.all("checkpoint_list", session=session, after=after, limit=limit)
    return [checkpoint_of(tx, names, row) for row in rows]


def checkpoint_of(tx: Tx, names: Names, row: Any) -> Checkpoint:
    """A row of the checkpoint queries as a record."""
    pre = Place(row[2], row[3]) if row[2] is not None else None
    post = Place(row[4], row[5]) if row[4] is not None else None
    facts = reading.compaction_of(reading.entry(tx, post)) if post else None
    return Checkpoint(
        id=row[0],
        session=names.id(row[1]),
        pre=names.position(pre),
        label=row[6],
        reason=row[7],
        created_ms=row[10],
        post=names.position(post),
        first_kept=facts.first_kept if facts else None,
        summary=facts.summary if facts else None,
        tokens_before=row[8],
        tokens_after=row[9],
    )


# --- making them -------------------------------------------------------------------------


def add(
    tx: Tx,
    head: Head,
    actor: str,
    *,
    label: str,
    reason: str,
    pre: Place | None,
    post: Place | None = None,
    tokens: tuple[int | None, int | None] = (None, None),
    audited: bool = True,
) -> Checkpoint:
    """Add a checkpoint; the caller saves the head. Not `audited`: the caller's own record,
    which follows, tells of it.
    """
    clean.checked(label, "label")
    id = canonical.new_id()
    now = canonical.now_ms()
    tx.run(
        "checkpoint_add",
        id=id,
        project=head.project,
        session=head.key,
        pre_session=pre.session if pre else None,
        pre_seq=pre.seq if pre else None,
        post_session=post.session if post else None,
        post_seq=post.seq if post else None,
        label=label,
        reason=reason,
        tokens_before=tokens[0],
        tokens_after=tokens[1],
        number=head.audit_number + 1,
        created_ms=now,
    )
    events.add(tx, head, [events.EventDraft("checkpoint", id, b"{}")])
    names = Names(tx, head)
    at = names.position(pre)
    if audited:
        facts = {"id": id, "at": str(at or "root"), "reason": reason, "label_chars": len(label)}
        audit.record(tx, head, actor, "checkpoint", **facts)
    return Checkpoint(
        id, head.id, at, label, reason, now, names.position(post), None, None, *tokens
    )


def compact(
    tx: Tx,
    head: Head,
    actor: str,
    planned: compaction.Plan,
    base: Place | None,
    summary: str,
    reason: Reason,
    model: str | None,
    count: Callable[[Message], int],
) -> Checkpoint:
    """Append the overlay and the checkpoint before it. What was appended since the plan was
    made is carried over; a rewind or another compaction meanwhile is a `Conflict`.
    """
    pre = head.place
    carried = _carried(tx, head, base)
    carried_tokens = sum(map(count, carried))
    summary_tokens = count(Message("user", (Text(summary),)))
    after = summary_tokens + planned.tokens_kept + carried_tokens
    before = planned.tokens_before + carried_tokens
    kept = planned.first_kept
    draft = own_draft(
        Kind.COMPACTION,
        {"summary": summary},
        first_kept=[kept.session, kept.seq],
        reason=str(reason),
        tokens_before=before,
        tokens_after=after,
        covered=len(planned.covered),
        **({"model": model} if model else {}),
    )
    append(tx, head, [draft], save=False)
    made = add(
        tx,
        head,
        actor,
        label=f"before compaction ({reason})",
        reason=str(reason),
        pre=pre,
        post=head.place,
        tokens=(before, after),
        audited=False,
    )
    audit.record(
        tx,
        head,
        actor,
        "compaction",
        checkpoint=made.id,
        at=str(made.pre or "root"),
        reason=str(reason),
        covered=len(planned.covered),
        kept=len(planned.kept),
        carried=len(carried),
        summary_chars=len(summary),
        tokens_before=before,
        tokens_after=after,
    )
    return msgspec.structs.replace(made, summary=summary, first_kept=kept)


def _carried(tx: Tx, head: Head, base: Place | None) -> list[Message]:
    if head.place == base:
        return []
    if base is None or not on_path(tx, head.place, base):
        raise _moved_on(tx, head, "was rewound")
    entries = reading.entries_of(tx, path(tx, head.place, since=base))[1:]
    if any(entry.kind == Kind.COMPACTION for entry in entries):
        raise _moved_on(tx, head, "was compacted")
    return reading.messages_of(entries)


def _moved_on(tx: Tx, head: Head, what: str) -> Conflict:
    return Conflict(
        f"session {head.id} {what} while its summary was being written: nothing was compacted",
        head=Names(tx, head).position(head.place),
    )


def keep_limit(tx: Tx, head: Head, limit: int | None) -> int:
    """Hide the oldest checkpoints above `limit`; the newest always stays."""
    if limit is None:
        return 0
    rows = tx.all("checkpoint_list", session=head.key, after=None, limit=1_000_000)
    now = canonical.now_ms()
    return sum(
        tx.run("checkpoint_hide", session=head.key, id=row[0], now=now)
        for row in rows[max(limit, 1) :]
    )


def branch(
    tx: Tx,
    source: Head,
    place: Place | None,
    actor: str,
    *,
    id: str,
    title: str | None,
    address: tuple[str | None, str | None],
) -> int:
    """Add a session that stands at `place` of another; gives its key."""
    names = Names(tx, source)
    at = names.position(place)
    if place is not None and names.project(place.session) != source.project:
        raise Invalid("a branch stays in its project: export and import to copy between projects")
    _check_free(tx, source.project, address)
    key = new_session(
        tx,
        source.project,
        actor,
        id=id,
        title=title,
        address=address,
        place=place,
        forked_from=(source.id if at is None else at.session, 0 if at is None else at.seq),
    )
    # The source's chain records the branch too; a lease there does not forbid being read.
    locked = read_head(tx, source.key)
    audit.record(tx, locked, actor, "branch", to=id, at=str(at or "root"))
    save_head(tx, locked, touch=False)
    return key


def _check_free(tx: Tx, project: int, address: tuple[str | None, str | None]) -> None:
    frontend, user = address
    if (frontend is None) != (user is None):
        raise Invalid("an address is both a frontend and a user: give both, or neither")
    if frontend is None:
        return
    row = tx.one("session_by_address", project=project, frontend=frontend, user_id=user)
    if row is not None:
        raise Invalid(
            f"session {row[2]} has the address {frontend!r}, {user!r}: branch without one, or hand "
            "the conversation over with transfer_to()"
        )


def new_session(
    tx: Tx,
    project: int,
    actor: str,
    *,
    id: str,
    title: str | None = None,
    title_rank: int = 0,
    agent: str | None = None,
    address: tuple[str | None, str | None] = (None, None),
    place: Place | None = None,
    forked_from: tuple[str, int] | None = None,
    spawned_by: str | None = None,
    imported_from: str | None = None,
    created_ms: int | None = None,
) -> int:
    """Add a session with its head and the first record of its audit chain; gives its key."""
    for what, text in (("title", title), ("agent", agent), ("spawned_by", spawned_by)):
        clean.checked(text, what)
    clean.checked(address[0], "frontend", empty=False)
    clean.checked(address[1], "user", empty=False)
    now = canonical.now_ms() if created_ms is None else created_ms
    row = tx.one(
        "session_add",
        project=project,
        id=id,
        frontend=address[0],
        user_id=address[1],
        title=title,
        title_rank=100 if title and not title_rank else title_rank,
        agent=agent,
        created_ms=now,
        forked_session=forked_from[0] if forked_from else None,
        forked_seq=forked_from[1] if forked_from else None,
        spawned_by=spawned_by,
        imported_from=imported_from,
    )
    assert row is not None  # noqa: S101 - an insert that returns
    key: int = row[0]
    head = new_head(key, project, id, place)
    audit.record(
        tx,
        head,
        actor,
        "create",
        id=id,
        frontend=address[0],
        agent=agent,
        forked_from=f"{forked_from[0]}:{forked_from[1]}" if forked_from else None,
        imported=imported_from is not None,
    )
    tx.run(
        "head_add",
        session=key,
        at_session=head.at_session,
        at_seq=head.at_seq,
        last_seq=head.last_seq,
        chain=head.chain,
        messages=0,
        updated_ms=now,
        audit_number=head.audit_number,
        audit_chain=head.audit_chain,
    )
    return key


# --- comparing ---------------------------------------------------------------------------


def diff(tx: Tx, a: Place | None, b: Place | None) -> Diff:
    """What each path holds that the other does not. Reads only what differs."""
    path_a, path_b = path(tx, a), path(tx, b)
    common: Place | None = None
    while path_a and path_b and path_a[0] == path_b[0]:
        common = Place(path_a[0].session, path_a[0].high)
        path_a, path_b = path_a[1:], path_b[1:]
    if (
        path_a
        and path_b
        and (path_a[0].session, path_a[0].low) == (path_b[0].session, path_b[0].low)
    ):
        first_a, first_b = path_a[0], path_b[0]
        split = min(first_a.high, first_b.high)
        common = Place(first_a.session, split)
        path_a = _from(path_a, split + 1)
        path_b = _from(path_b, split + 1)
    return Diff(
        common=Names(tx).position(common),
        only_a=tuple(reading.messages_of(reading.entries_of(tx, path_a))),
        only_b=tuple(reading.messages_of(reading.entries_of(tx, path_b))),
        config_a=reading.config(tx, a),
        config_b=reading.config(tx, b),
    )


def _from(pieces: list[Range], low: int) -> list[Range]:
    first = pieces[0]
    rest = pieces[1:]
    return rest if low > first.high else [Range(first.session, low, first.high), *rest]


def overlay_before(tx: Tx, place: Place | None) -> Place | None:
    """The newest compaction on the path to a place."""
    found = last_of_kind(tx, place, Kind.COMPACTION)
    return found[0] if found else None
