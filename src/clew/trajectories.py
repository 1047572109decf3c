"""Export: which sessions, in what order, through which redaction, to where.

The rows are made one session at a time, so an export of any size runs in bounded memory. The
order is that of the sessions' first appearance in the ledger: the same ledger gives the same
bytes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from clew import reading
from clew.canonical import now_ms
from clew.db import Tx
from clew.errors import Invalid
from clew.exporters import files
from clew.exporters.base import Row, segments
from clew.exporters.trajectory import trajectory
from clew.log import look_head, path
from clew.model import Compaction, Entry, Kind, Message, SessionInfo, Usage
from clew.redaction import Redactor
from clew.window import parse_since

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.session import Session

TIERS = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")
EVERY = 1_000_000_000
PLACEHOLDERS = "pseudonym_key"
"""The ledger's own secret for placeholders: equal values stay equal over its exports."""


class Exported(msgspec.Struct, frozen=True):
    """What an export wrote. `dropped` counts sessions that gave no row, by reason; `path` is
    `None` for a stream; `redactions` counts replacements by rule.
    """

    rows: int
    bytes: int
    sha256: str
    path: Path | None
    dropped: dict[str, int]
    redacted: bool
    redactions: dict[str, int]


def rows_of(ledger: Ledger, session: Session) -> Row:
    """See `Ledger.trajectory`."""
    with ledger._database.read() as tx:
        return _row(tx, session._key)


def handed_out(ledger: Ledger, session: Session) -> Row:
    """A session's row, not redacted, for somebody elsewhere: put on record where the ledger can
    be written.
    """
    row = rows_of(ledger, session)
    facts = {"format": "trajectory", "of": session.id, "rows": 1, "redacted": False}
    if ledger._database.writable:
        ledger._run(lambda tx: ledger._record(tx, "export", **facts), 0)
    return row


def _row(tx: Tx, key: int) -> Row:
    place = look_head(tx, key).place
    return row_of(tx, key, reading.entries_of(tx, path(tx, place)))


def row_of(tx: Tx, key: int, entries: list[Entry]) -> Row:
    """The row of a session as these entries of its path tell it."""
    messages, beside = _metered(entries, reading.messages_of(entries))
    cut = segments(messages, _cuts(entries, messages))
    return trajectory(reading.info(tx, key), cut, beside)


def _metered(entries: list[Entry], messages: list[Message]) -> tuple[list[Message], list[Usage]]:
    """Some agents meter a call in a record of its own, behind what the model said: its usage
    goes to the message that ended the call. Gives the calls that ended with none beside.
    """
    order = {entry.position: number for number, entry in enumerate(entries)}
    metered, beside = list(messages), list[Usage]()
    ends = [order[message.at[-1]] for message in messages]
    index = 0
    open_call: int | None = None
    for number, entry in enumerate(entries):
        while index < len(ends) and ends[index] <= number:
            said = metered[index]
            if said.role == "assistant" and not said.meta:
                open_call = index if said.usage is None else None
            index += 1
        usage = _usage_of(entry)
        if usage is None:
            continue
        if open_call is None:
            beside.append(usage)
        else:
            metered[open_call] = msgspec.structs.replace(metered[open_call], usage=usage)
            open_call = None
    return metered, beside


def _usage_of(entry: Entry) -> Usage | None:
    """What a call used, as a record tells it that is no message."""
    told = entry.meta.get("usage") if entry.kind is not Kind.MESSAGE else None
    try:
        return msgspec.convert(told, Usage) if isinstance(told, dict) else None
    except msgspec.ValidationError:
        return None  # somebody's own meta under that name


def _cuts(entries: list[Entry], messages: list[Message]) -> list[tuple[int, Compaction]]:
    """Each compaction on the path with the index of the first message behind it."""
    order = {entry.position: number for number, entry in enumerate(entries)}
    begins = [order[message.at[0]] for message in messages]
    cuts = []
    for number, entry in enumerate(entries):
        if entry.kind == Kind.COMPACTION:
            behind = sum(begin < number for begin in begins)
            cuts.append((behind, reading.compaction_of(entry)))
    return cuts


def export(
    ledger: Ledger,
    *,
    output: str | os.PathLike[str] | BinaryIO,
    since: str | int | None,
    until: str | int | None,
    project: str | None,
    agent: str | None,
    sessions: Iterable[str] | None,
    tier: str | None,
    redact: bool,
    overwrite: bool,
    on_progress: Callable[[int, int], None] | None,
) -> Exported:
    """See `Ledger.export`."""
    if tier is not None and tier not in TIERS:
        raise Invalid(f"tier={tier!r} is not one of {', '.join(TIERS)}")
    keys = chosen(ledger, since, until, project, agent, sessions)
    dropped: Counter[str] = Counter()
    target = Path(output) if isinstance(output, (str, os.PathLike)) else output
    redactor = Redactor(ledger._secret(PLACEHOLDERS)) if redact else None
    rows = _rows(ledger, list(keys), tier, dropped, on_progress)
    written = files.write(rows, target, redactor=redactor, overwrite=overwrite)
    ledger._run(
        lambda tx: ledger._record(
            tx,
            "export",
            format="trajectory",
            rows=written.rows,
            redacted=redact,
            bytes=written.bytes,
            sha256=written.sha256,
        ),
        0,
    )
    return Exported(
        rows=written.rows,
        bytes=written.bytes,
        sha256=written.sha256,
        path=written.path,
        dropped=dict(dropped),
        redacted=redact,
        redactions=written.redactions,
    )


def chosen(
    ledger: Ledger,
    since: str | int | None,
    until: str | int | None,
    project: str | None,
    agent: str | None,
    sessions: Iterable[str] | None,
) -> dict[int, SessionInfo]:
    """The sessions in the window by their keys, in the order in which the ledger got them; their
    settings are left out. Raises `Invalid` for a time that is none, `NotFound`.
    """
    now = now_ms()
    named = None if sessions is None else {ledger.get(id)._key for id in sessions}
    with ledger._database.read() as tx:
        rows = tx.all(
            "session_list",
            project=ledger._known_project(project),
            status=None,
            agent=agent,
            frontend=None,
            user_id=None,
            since_ms=parse_since(str(since), now) if since is not None else None,
            until_ms=parse_since(str(until), now) if until is not None else None,
            spawned=1,
            before_ms=None,
            before_key=None,
            limit=EVERY,
        )
    rows.sort(key=lambda row: row[-1])
    return {row[-1]: reading.info_row(row) for row in rows if named is None or row[-1] in named}


def speaks(info: SessionInfo) -> bool:
    """Whether a session has something to give a row of: messages of its own, or of the one that it
    was branched from, and a head that stands behind them.
    """
    return info.head is not None and (info.messages > 0 or info.forked_from is not None)


def _rows(
    ledger: Ledger,
    keys: list[int],
    tier: str | None,
    dropped: Counter[str],
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[Row]:
    for done, key in enumerate(keys):
        with ledger._database.read() as tx:
            row = _row(tx, key)
        if not row["messages"]:
            dropped["no messages"] += 1
        elif tier is not None and row["tier"] != tier:
            dropped["tier unknown" if row["tier"] is None else "other tier"] += 1
        else:
            yield row
        if on_progress:
            on_progress(done + 1, len(keys))
