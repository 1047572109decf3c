"""A session as a native row: its messages with everything that the ledger knows of them.

Pure making is `clew.exporters.trajectory`; here is what is read for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from clew import reading
from clew.exporters.base import Row, segments
from clew.exporters.trajectory import NOTHING, Known, trajectory
from clew.exporting import routing
from clew.log import Place, Range, look_head, on_path, path
from clew.model import Compaction, Entry, Kind, Message, Position, Usage

if TYPE_CHECKING:
    from clew.db import Tx
    from clew.ledger import Ledger
    from clew.model import JSON, SessionInfo
    from clew.session import Session

_END = re.compile(rb'"(?:stop_reason|finish_reason|stopReason|finishReason)"\s*:\s*"(\w{1,40})"')
"""In the text of a message a quote stands behind a backslash, so this is a field of its own."""
_BEFORE_MAX: Final = len('"finish_r')
_MESSAGE: Final = Kind.MESSAGE
"""To look up a member of an enum takes longer than to compare with it, and entries are many."""


def rows_of(ledger: Ledger, session: Session) -> Row:
    """See `Ledger.trajectory`."""
    with ledger._database.read() as tx:
        return row_at(tx, session._key, look_head(tx, session._key).place)


def handed_out(ledger: Ledger, session: Session) -> Row:
    """A session's row, not redacted, for somebody elsewhere: put on record where the ledger can
    be written.
    """
    row = rows_of(ledger, session)
    facts = {"format": "native", "of": session.id, "rows": 1, "redacted": False}
    if ledger._database.writable:
        ledger._run(lambda tx: ledger._record(tx, "export", **facts), 0)
    return row


def row_at(tx: Tx, key: int, place: Place | None, known: Known = NOTHING) -> Row:
    """The row of a session as the path to `place` tells it."""
    pieces = path(tx, place)
    entries = reading.entries_of(tx, pieces)
    head = entries[-1].position if entries else None
    settings = _settings(_beside_messages(entries))
    info = msgspec.structs.replace(reading.info(tx, key, settings), head=head)
    return row_of(tx, info, key, pieces, entries, known)


def row_of(
    tx: Tx,
    info: SessionInfo,
    key: int,
    pieces: Sequence[Range],
    entries: list[Entry],
    known: Known = NOTHING,
) -> Row:
    """The row of a session as these entries of a path (`pieces`) tell it."""
    records = _beside_messages(entries)
    messages, beside = _metered(entries, records, reading.messages_of(entries))
    spans = routing.spans_of(tx, key)
    known = msgspec.structs.replace(
        known,
        calls=[*routing.of_spans(tx, key, pieces, spans), *routing.of_entries(entries)],
        tools=[*_tools_in(info.config), *_recorded(records), *routing.tools_of(tx, key, spans)],
        ends=_ends(entries),
    )
    cut = segments(messages, _cuts(entries, records, messages))
    return trajectory(info, cut, beside, known)


# --- what the entries say beside the messages ----------------------------------------------


def _beside_messages(entries: list[Entry]) -> list[Entry]:
    """The few records, often none, that are no messages."""
    return [entry for entry in entries if entry.kind is not _MESSAGE]


def _metered(
    entries: list[Entry], records: list[Entry], messages: list[Message]
) -> tuple[list[Message], list[Usage]]:
    """Some agents meter a call in a record of its own, behind what the model said: its usage
    goes to the message that ended the call. Gives the calls that ended with none beside.
    """
    if all("usage" not in record.meta for record in records):
        return messages, []
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
    told = entry.meta.get("usage") if entry.kind is not _MESSAGE else None
    try:
        return msgspec.convert(told, Usage) if isinstance(told, dict) else None
    except msgspec.ValidationError:
        return None  # somebody's own meta under that name


def _cuts(
    entries: list[Entry], records: list[Entry], messages: list[Message]
) -> list[tuple[int, Compaction]]:
    """Each compaction on the path with the index of the first message behind it."""
    if all(record.kind is not Kind.COMPACTION for record in records):
        return []
    order = {entry.position: number for number, entry in enumerate(entries)}
    begins = [order[message.at[0]] for message in messages]
    cuts = []
    for number, entry in enumerate(entries):
        if entry.kind is Kind.COMPACTION:
            behind = sum(begin < number for begin in begins)
            cuts.append((behind, reading.compaction_of(entry)))
    return cuts


def _ends(entries: list[Entry]) -> dict[Position, str]:
    """Why the model stopped, where a message says so."""
    found = {}
    for entry in entries:
        if entry.role != "assistant" or entry.body is None:
            continue
        # A plain search is there at once where a regular expression takes its time.
        near = entry.body.find(b'eason"')
        told = _END.search(entry.body, max(near - _BEFORE_MAX, 0)) if near >= 0 else None
        if told is not None:
            found[entry.position] = told[1].decode()
    return found


def _settings(records: list[Entry]) -> dict[str, JSON]:
    """The settings in force at the end of a path."""
    for record in reversed(records):
        if record.kind is Kind.CONFIG:
            return dict(record.data["config"]) if record.body is not None else {}
    return {}


# --- tools ---------------------------------------------------------------------------------

_HOLDERS: Final = ("tools", "functions", "tool_definitions")
_WITHIN: Final = ("agent", "body", "params", "request", "trajectory")
"""A record may have its definitions further down."""


def _recorded(records: list[Entry]) -> list[JSON]:
    """The definitions in records that are no messages: of a request, of a whole conversation."""
    found: list[JSON] = []
    for record in records:
        body = record.body
        if body is not None and any(name.encode() in body for name in _HOLDERS):
            found += _tools_in(record.data)
    return found


def _tools_in(value: JSON) -> list[JSON]:
    if not isinstance(value, dict):
        return []
    for name in _HOLDERS:
        tools = value.get(name)
        if isinstance(tools, str):
            tools = _decoded(tools)
        if isinstance(tools, list):
            return tools
    for name in _WITHIN:
        tools = _tools_in(value[name]) if name in value else []
        if tools:
            return tools
    return []


def _decoded(text: str) -> JSON:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


# --- branches ------------------------------------------------------------------------------


def tips(tx: Tx, key: int, head: Place | None) -> list[Place]:
    """Where the head of a session stood before it was rewound or undone, oldest first: the ends
    of what it left, none of which lies before another or on its path.
    """
    rows = tx.all("move_list", session=key, before=None, limit=routing.MOVES_MAX)
    seen: list[Place] = []
    for row in reversed(rows):
        if row[2] is not None and (place := Place(row[2], row[3])) not in seen:
            seen.append(place)
    return [
        place
        for place in seen
        if not on_path(tx, head, place)
        and not any(other != place and on_path(tx, other, place) for other in seen)
    ]


def speaks(info: SessionInfo) -> bool:
    """Whether a session has something to give a row of: messages of its own, or of the one that it
    was branched from, and a head that stands behind them.
    """
    return info.head is not None and (info.messages > 0 or info.forked_from is not None)
