"""Take a session up again after a crash: what was interrupted, what each open call needs.

A call whose tool ended but whose result never reached the log is answered with what the tool
said. A call that was given up is answered with "it may or may not have run", and classified by
its effect: to be run again, to be asked about, or unknown. What waits for a person, or still
runs elsewhere, stays open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from clew import owners, reading, spans, view
from clew.db import Tx
from clew.drafts import as_json, own_draft
from clew.log import Head, append, look_head, turn_now
from clew.model import (
    JSON,
    Entry,
    Kind,
    Message,
    OpenCall,
    Outcome,
    Position,
    Resumption,
    Span,
    Text,
    ToolCall,
    ToolResult,
)
from clew.tracing import LOST

if TYPE_CHECKING:
    from clew.session import Session

ADVICE = {"none": "re-run", "idempotent": "re-run", "external": "ask"}
LEFT_OPEN = frozenset({"waiting", "running"})


def resume(session: Session) -> Resumption:
    """See `Session.resume`."""
    owners.sweep(session._ledger, session._key)
    with session._read() as tx:
        head = look_head(tx, session._key)
        context = reading.context(tx, head.place)
        calls = view.open_calls(context)
        found = [_open_call(tx, head, call, _asked_behind(context, call)) for call in calls]
        turn = _spans_of_turn(tx, head)
        asked = {call.id for message in context for call in message.tool_calls}
        unasked = _unasked(turn, asked)
    answers = [
        (call, known)
        for call, known in zip(calls, found, strict=True)
        if known.advice not in LEFT_OPEN
    ]
    repair = session._write(_repair_unit(session, head, answers)) if answers else None
    return Resumption(
        interrupted=tuple(
            span
            for span in turn
            if span.kind in ("turn", "agent") and span.status == Outcome.ABANDONED
        ),
        calls=(*found, *unasked),
        repair=repair,
        late=tuple(span for span in turn if span.late is not None),
    )


def _spans_of_turn(tx: Tx, head: Head) -> list[Span]:
    turn = turn_now(tx, head)
    return [spans.span_of(head.id, row) for row in spans.rows_of(tx, head, turn=turn)]


def _asked_behind(context: Sequence[Message], call: ToolCall) -> Position | None:
    """Behind what an open call was made: the newest prompt, or an earlier call of the same id
    that was answered. Ids repeat (some agents number their calls): older spans tell of others.
    """
    place: Position | None = None
    found: Position | None = None
    for message in context:
        answered = any(result.call_id == call.id for result in message.tool_results)
        if message.at and (answered or view.is_turn_start(message)):
            place = message.at[-1]
        if call in message.tool_calls:
            found = place
    return found


def _unasked(turn: Sequence[Span], asked: Collection[str]) -> list[OpenCall]:
    """What was given up and that no message asked for: nothing has to be answered, but it may
    have to be run again, or looked after.
    """
    return [
        OpenCall(span.call_id or span.id, span.name, ADVICE.get(span.effect or "", "unknown"), span)
        for span in turn
        if span.kind in ("tool", "command")
        and span.status == Outcome.ABANDONED
        and span.late is None
        and span.call_id not in asked
    ]


def _open_call(tx: Tx, head: Head, call: ToolCall, behind: Position | None) -> OpenCall:
    low = behind.seq if behind is not None and behind.session == head.id else 0
    attempts = [
        spans.span_of(head.id, row)
        for row in spans.rows_of(tx, head, call_id=call.id)
        if _newest_entry(tx, head, row["sequence"]) >= low
    ]
    if not attempts:
        return OpenCall(call.id, call.name, "unknown")
    span = attempts[-1]
    if span.status in spans.OPEN:
        # No owner that could be gone: whoever started it says when it ends.
        return OpenCall(call.id, call.name, span.status, span)
    if span.status != Outcome.ABANDONED or span.late is not None:
        told = spans.whole(tx, head, span.id)
        if "output" not in told.attributes.get(LOST, ()):
            return OpenCall(call.id, call.name, "answered", told)
        # It ended, and what it said could not be stored: that is not known any more.
    return OpenCall(call.id, call.name, ADVICE.get(span.effect or "", "unknown"), span)


def _newest_entry(tx: Tx, head: Head, sequence: int) -> int:
    """The seq of the newest entry when the event at a sequence was recorded."""
    row = tx.one("event_at", session=head.key, sequence=sequence)
    return sequence - (row[1] if row else 0)


def _repair_unit(
    session: Session, seen: Head, answers: list[tuple[ToolCall, OpenCall]]
) -> Callable[[Tx], Entry]:
    results = [_result(call, known) for call, known in answers]
    body = {"role": "tool", "parts": msgspec.to_builtins(results)}
    draft = own_draft(Kind.REPAIR, body, role="tool")

    def unit(tx: Tx) -> Entry:
        head = session._lock(tx)
        session._expect(tx, head, seen.place)
        return session._as_entries(append(tx, head, [draft]), [draft])[0]

    return unit


def _result(call: ToolCall, known: OpenCall) -> ToolResult:
    span = known.span
    if known.advice != "answered" or span is None:
        return ToolResult(call.id, (view.LOST,), True, call.name, True)
    ended = span.late or span.status
    text = _text(span.output) or span.error or f"the call ended as {ended} and said nothing"
    return ToolResult(call.id, (Text(text),), ended != Outcome.OK, call.name)


def _text(output: JSON) -> str:
    if output is None or isinstance(output, str):
        return output or ""
    return as_json(output).decode()
