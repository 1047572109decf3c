"""What a row says of itself, made to agree with messages that are only a part of the session.

Figures that stand on messages are added up anew, each message counting where it is not context.
What is known of the session only (its cost, say) is `null` in a part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from clew.exporters.base import Row
from clew.exporters.calls import Call, complexity, latency_ms, tier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clew.exporters.shaping.pieces import Piece
    from clew.model import JSON

_SUMS = (("tokens_in", "tokens_in"), ("tokens_out", "tokens_out"), ("tokens_cache_read", "cached"))
_OF_THE_SESSION = ("tokens_cache_write", "tokens_reasoning", "cost_usd")
_NOTES_OF_THE_SESSION = ("orphan_results", "duplicate_results", "renamed_calls")


class Assembly:
    """Makes native rows of the pieces of one. The first carries the notes that belong to no
    message.
    """

    def __init__(self, row: Row) -> None:
        self._row = row
        self._calls = {call["id"]: call for call in row["tool_calls"]}
        self._first = True

    def row(self, piece: Piece) -> Row:
        """The row of a piece."""
        messages = [_numbered(message, index) for index, message in enumerate(piece.messages)]
        out = {**self._row, "messages": messages, **piece.labels}
        out["segments"] = _segments(self._row["segments"], messages, piece)
        notes = dict(self._row["notes"])
        calls = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
        if len(calls) != len(self._calls):
            out["tool_calls"] = [self._calls[id] for id in calls]
            notes |= _counted(messages)
            if "subagents" in out:
                known = {None, *calls}
                out["subagents"] = [one for one in out["subagents"] if one["call_id"] in known]
        if piece.cut:
            out |= _figures([message for message in messages if not message.get("context")])
            if not self._first:
                notes |= dict.fromkeys(_NOTES_OF_THE_SESSION, 0)
        for name, number in piece.notes.items():
            notes[name] = notes.get(name, 0) + number
        out["notes"] = notes
        self._first = False
        return out


def _numbered(message: Row, index: int) -> Row:
    id = f"m{index + 1}"
    return message if message["id"] == id else {**message, "id": id}


def _segments(segments: Sequence[Row], messages: Sequence[Row], piece: Piece) -> list[Row]:
    """Where the segments are: all of a whole row, one of a row for a segment, otherwise those up
    to the last message.
    """
    if "segment" in piece.labels:
        wanted = [one for one in segments if one["segment"] == piece.labels["segment"]]
    elif piece.cut:
        last = max((message["segment"] for message in messages), default=0)
        wanted = [one for one in segments if one["segment"] <= last]
    else:
        wanted = list(segments)
    out = []
    first = 0
    for one in wanted:
        stop = first
        while stop < len(messages) and messages[stop]["segment"] <= one["segment"]:
            stop += 1
        out.append({**one, "first": first, "count": stop - first})
        first = stop
    return out


def _counted(messages: Sequence[Row]) -> dict[str, int]:
    """The notes that can be counted on messages."""
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    return {
        "lost_results": sum(message.get("status") == "lost" for message in messages),
        "late_results": sum(message.get("status") == "late" for message in messages),
        "invalid_arguments": sum(not _object(call["function"]["arguments"]) for call in calls),
    }


def _object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False


def _figures(own: Sequence[Row]) -> Row:
    told = [
        message["telemetry"]
        for message in own
        if message.get("telemetry") and not message.get("serialised")
    ]
    calls = [
        Call(
            tier=one.get("tier"),
            complexity=one.get("complexity_score"),
            latency_ms=one.get("latency_ms"),
        )
        for one in told
    ]
    times = [message["time"] for message in own if message.get("time")]
    return {
        "tier": tier(calls),
        "complexity_score": complexity(calls),
        "model_used": _newest(told, "model"),
        "provider_used": _newest(told, "provider"),
        **{name: _sum(told, field) for name, field in _SUMS},
        **dict.fromkeys(_OF_THE_SESSION),
        "latency_ms": latency_ms(calls),
        "started_at": min(times, default=None),
        "ended_at": max(times, default=None),
    }


def _newest(told: Sequence[Row], field: str) -> JSON:
    return next((one[field] for one in reversed(told) if one.get(field)), None)


def _sum(told: Sequence[Row], field: str) -> int | None:
    known = [one[field] for one in told if one.get(field) is not None]
    return sum(known) if known else None
