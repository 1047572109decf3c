"""A stored session in neutral words, as writers take it.

What a model sees goes in whole; what a compaction hid goes in beside it, since most formats can
say both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

import msgspec

from clew import reading
from clew.errors import Invalid, NotFound
from clew.log import Head, Names, look_head, path
from clew.model import JSON, Entry, Kind, Message, SessionInfo, Status, Usage
from clew.writers.base import Conversation, Loss, Losses
from clew.writers.settling import settled

if TYPE_CHECKING:
    from clew.db import Tx
    from clew.ledger import Ledger
    from clew.session import Session

HEAD_ENTRIES = 24
"""So many entries are asked for the folder in which the session was held."""


def conversation(ledger: Ledger, session: Session) -> tuple[Conversation, tuple[Loss, ...]]:
    """What a session says where it stands, and what settling it took. Raises `NotFound` for an
    erased session and `Invalid` for one without a message.
    """
    with ledger._database.read() as tx:
        info = reading.info(tx, session._key)
        if info.status is Status.ERASED:
            raise NotFound(f"session {info.id} was erased: nothing of it is left to write")
        return conversation_of(tx, session._key, info)


def conversation_of(tx: Tx, key: int, info: SessionInfo) -> tuple[Conversation, tuple[Loss, ...]]:
    """The same inside a transaction."""
    head = look_head(tx, key)
    place = head.place
    entries = reading.entries_of(tx, path(tx, place))
    seen = reading.context(tx, place)
    if not seen:
        raise Invalid(f"session {info.id} says nothing: there is no message to write")
    losses = Losses()
    messages = settled(seen, losses)
    earlier = settled(_hidden(entries, seen), losses)
    model, provider = _model(messages) or _model(earlier) or (None, None)
    _count_marks(entries, losses)
    _count_branches(head, entries, losses)
    return (
        Conversation(
            session=info.id,
            at=str(Names(tx).position(place) or "root"),
            messages=messages,
            earlier=earlier,
            title=info.title,
            cwd=_cwd(entries) or (info.project if is_folder(info.project) else None),
            model=model,
            provider=provider,
            agent=info.agent,
            created_ms=info.created_ms,
        ),
        losses.listed(),
    )


def is_folder(text: str) -> bool:
    """True for an absolute path, of this system or of another."""
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def _hidden(entries: Sequence[Entry], seen: Sequence[Message]) -> list[Message]:
    """The messages of a path that a model sees no more."""
    shown = {position for message in seen for position in message.at}
    return [
        message for message in reading.messages_of(entries) if not shown.intersection(message.at)
    ]


_BESIDE: Final = {
    Kind.SNAPSHOT: "snapshots of the agent's state",
    Kind.CONFIG: "settings kept in the ledger",
    Kind.NOTICE: "notices beside the talk: progress, hooks, state",
    Kind.UNKNOWN: "records that are not understood",
}
_DETAILS: Final = {"claude-code": b'"toolUseResult"', "pi": b'"details"'}
"""What a record holds, by its format, whose result is told a second time for the program."""


def _count_marks(entries: Sequence[Entry], losses: Losses) -> None:
    """What a source holds beside the messages: no other format has a place for it."""
    overlays = [entry for entry in entries if entry.kind is Kind.COMPACTION]
    for entry in overlays[:-1]:
        losses.add("earlier compactions: only the newest is written", [entry.position])
    for entry in entries:
        if entry.body is None:
            losses.add("erased entries, which say only that", [entry.position])
        elif entry.kind in _BESIDE:
            losses.add(_BESIDE[entry.kind], [entry.position])
        elif entry.kind is Kind.MESSAGE and _detailed(entry.format, entry.body):
            losses.add("details of results that no model sees", [entry.position])


def _detailed(form: str, body: bytes) -> bool:
    mark = _DETAILS.get(form)
    return mark is not None and mark in body


def _count_branches(head: Head, entries: Sequence[Entry], losses: Losses) -> None:
    """Entries of the session's own that do not lead to where it stands."""
    own = head.last_seq - head.first_seq + 1 if head.appended else 0
    left = own - sum(entry.session == head.id for entry in entries)
    if left > 0:
        losses.add("entries on branches that were left", count=left)


def _model(messages: Sequence[Message]) -> tuple[str | None, str | None] | None:
    """The model that spoke last, and whose it is."""
    for message in reversed(messages):
        if message.role == "assistant" and (message.model or message.usage):
            usage = message.usage or Usage()
            return message.model or usage.model, usage.provider
    return None


def _cwd(entries: Sequence[Entry]) -> str | None:
    """The folder that a source's first records name: of themselves, or in their `payload`."""
    for entry in entries[:HEAD_ENTRIES]:
        try:
            data = entry.data
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        told = _folder(data) or _folder(data.get("payload") if isinstance(data, dict) else None)
        if told is not None:
            return told
    return None


def _folder(data: JSON) -> str | None:
    found = data.get("cwd") if isinstance(data, dict) else None
    return found if isinstance(found, str) and is_folder(found) else None
