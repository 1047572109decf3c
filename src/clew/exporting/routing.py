"""How model calls were routed, as the ledger tells it: by spans, and by what a router recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew import spans
from clew.exporters.calls import Call
from clew.importers.lynkr_records import FORMAT as LYNKR
from clew.importers.lynkr_records import routed_usage
from clew.log import Place, Range, look_head
from clew.model import Kind, Position, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clew.db import Tx
    from clew.model import JSON, Entry

TOOLS: Final = "gen_ai.tool.definitions"
"""OpenTelemetry's attribute of a model call that names its tools."""
MOVES_MAX: Final = 10_000
"""So many of the newest moves of a head are looked at."""
_FAILED: Final = frozenset({"error", "timeout", "abandoned"})


def spans_of(tx: Tx, key: int) -> list[spans.Values]:
    """The rows of a session's model calls."""
    if tx.one("span_any", session=key) is None:
        return []
    head = look_head(tx, key)
    return [row for row in spans.rows_of(tx, head) if row["kind"] == "model"]


def of_spans(tx: Tx, key: int, path: Sequence[Range], rows: Sequence[spans.Values]) -> list[Call]:
    """What spans tell of the model calls that were made on a path; one that runs still is none
    yet.
    """
    return [call for row, call in _told(rows) if _made_on(tx, key, path, row, call)]


def _made_on(tx: Tx, key: int, path: Sequence[Range], row: spans.Values, call: Call) -> bool:
    """Whether the head stood on a path when a call began, or its message lies on it."""
    moves = tx.all("move_list", session=key, before=None, limit=MOVES_MAX)
    if not moves:
        return True
    if call.at is not None:
        found = tx.one("session_by_id", id=call.at.session, project=None)
        return found is not None and _within(path, Place(found[0], call.at.seq))
    last = tx.one("entry_by_time", project=row["project"], session=key, time_ms=call.started_ms)
    moved = next((move for move in moves if move[7] <= call.started_ms), None)
    if moved is not None and (last is None or last[1] <= moved[7]):
        return moved[4] is not None and _within(path, Place(moved[4], moved[5]))
    return last is None or _within(path, Place(key, last[0]))


def _within(path: Sequence[Range], place: Place) -> bool:
    return any(one.session == place.session and one.low <= place.seq <= one.high for one in path)


def _told(rows: Sequence[spans.Values]) -> Iterator[tuple[spans.Values, Call]]:
    for row in rows:
        if row["finish_sequence"] is None:
            continue
        failed = row["status"] in _FAILED
        latency = row["latency_us"]
        yield (
            row,
            Call(
                at=spans.position(row["message"]),
                request_id=row["response_id"] or f"span:{row['id']}",
                started_ms=row["started_us"] // 1000,
                tier=row["tier"],
                complexity=row["complexity"],
                model=row["model"] or row["name"],
                provider=row["provider"],
                latency_ms=None if latency is None else latency / 1000,
                error=(row["error_type"] or row["status"]) if failed else None,
                usage=_usage(row) if spans.counts(row) else None,
            ),
        )


def _usage(row: spans.Values) -> Usage:
    return Usage(
        key=row["response_id"] or f"span:{row['id']}",
        model=row["model"] or row["name"],
        provider=row["provider"],
        input=row["tokens_in"],
        output=row["tokens_out"] or 0,
        cache_read=row["cache_read"] or 0,
        cache_write=row["cache_write"] or 0,
        reasoning=row["reasoning"] or 0,
        cost=row["cost"],
    )


def tools_of(tx: Tx, key: int, rows: Sequence[spans.Values]) -> list[JSON]:
    """The tools that the newest model call of a session that tells them was given."""
    if not rows:
        return []
    head = look_head(tx, key)
    for row in reversed(rows):
        span = spans.whole(tx, head, row["id"])
        told: Any = span.input.get("tools") if isinstance(span.input, dict) else None
        told = told or span.attributes.get(TOOLS)
        if isinstance(told, str):
            try:
                told = msgspec.json.decode(told)
            except (msgspec.DecodeError, UnicodeEncodeError):
                told = None
        if isinstance(told, list):
            return told
    return []


# --- Lynkr ---------------------------------------------------------------------------------


def of_entries(entries: Sequence[Entry]) -> list[Call]:
    """What Lynkr's router told of each call: beside the answer, or in a row of its own that names
    the answer's (`answered_by`) where it came later, or where no answer was kept.
    """
    if LYNKR not in {entry.format for entry in entries}:
        return []
    answers: dict[JSON, Position] = {}
    told: dict[JSON, Call] = {}
    for entry in entries:
        value = entry.data if entry.format == LYNKR and entry.body is not None else None
        if not isinstance(value, dict):
            continue
        if entry.kind is Kind.MESSAGE:
            answers[value.get("id")] = entry.position
        routed = value.get("telemetry", value if "request_id" in value else None)
        if isinstance(routed, dict) and "request_id" in routed:
            own = entry.position if entry.kind is Kind.MESSAGE else None
            at = own or answers.get(value.get("answered_by"))
            key = (routed.get("request_id"), routed.get("timestamp"))
            if key not in told or told[key].at is None:
                told[key] = _routed(routed, at)
    return list(told.values())


def _routed(row: dict[str, Any], at: Position | None) -> Call:
    score, latency = row.get("complexity_score"), row.get("latency_ms")
    stamp = row.get("timestamp")
    failed = row.get("error_type")
    return Call(
        at=at,
        request_id=_text(row.get("request_id")),
        started_ms=stamp if type(stamp) is int else 0,
        tier=_text(row.get("tier")),
        complexity=round(score) if isinstance(score, int | float) else None,
        model=_text(row.get("model")),
        provider=_text(row.get("provider")),
        latency_ms=float(latency) if isinstance(latency, int | float) else None,
        error=_text(failed),
        # Where an answer stands for the call, its tokens are the answer's.
        usage=None if at is not None else routed_usage(row),
    )


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) and value else None
