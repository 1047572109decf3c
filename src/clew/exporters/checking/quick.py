"""A quick look at native rows: true only for rows in which `native.check` finds nothing.

Every row of an export is checked and nearly all are fine; this takes less than half of the time.
It finds nothing itself: of a row for which it gives false the full check tells what, if anything.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from clew.exporters.checking.chat import object_of
from clew.exporters.checking.rules import Findings
from clew.exporters.checking.tools import Tools

Time = Annotated[
    str, Meta(pattern=r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{3}Z\Z", max_length=24)
]
Place = Annotated[str, Meta(pattern=r"(?s)^.+:\d+\Z")]
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]
_ENDLESS = "~"
"""Behind every time."""
LOST = '{"status":"lost"}'


class _Function(msgspec.Struct, gc=False):
    name: Annotated[str, Meta(min_length=1)]
    arguments: str


class _Call(msgspec.Struct, gc=False):
    id: Annotated[str, Meta(min_length=1)]
    type: Literal["function"]
    function: _Function


class _Telemetry(msgspec.Struct, gc=False):
    request_id: str | None
    model: str | None
    provider: str | None
    tokens_in: int | None
    tokens_out: int | None
    cached: int | None
    tier: str | None
    complexity_score: int | float | None
    latency_ms: int | float | None


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: str
    role: Literal["system", "user", "assistant", "tool"]
    content: str
    segment: int
    sampled: bool
    train: bool
    at: list[Any] = []
    time: Time | None = None
    meta: bool = False
    kind: str = ""
    train_rule: str | UnsetType = UNSET
    reasoning_content: str = ""
    reasoning_opaque: bool = False
    parts: list[Any] = []
    telemetry: _Telemetry | UnsetType = UNSET
    tool_calls: list[_Call] = []
    tool_call_id: str = ""
    name: str = ""
    status: Literal["lost", "late", "synthetic"] | UnsetType = UNSET
    is_error: bool | UnsetType = UNSET
    context: bool = False
    truncated: bool = False
    serialised: bool = False
    elided: dict[str, Any] = {}


class _Segment(msgspec.Struct, gc=False):
    segment: int
    parent: int | None
    first: int
    count: Count
    compaction: dict[str, Any] | None


class _Listed(msgspec.Struct, gc=False):
    id: str
    name: str
    status: str


class _Redaction(msgspec.Struct, gc=False):
    ruleset: str
    n: Count


class _Notes(msgspec.Struct, gc=False):
    lost_results: Count
    late_results: Count
    orphan_results: Count
    duplicate_results: Count
    renamed_calls: Count
    invalid_arguments: Count
    failed_calls: Count


class _Subagent(msgspec.Struct, gc=False):
    session_id: str
    call_id: str | None


class _Row(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    schema: Literal["clew-traj/1"]
    session_id: str
    branch_id: Place | None
    title: str | None
    agent: str | None
    forked_from: Place | None
    spawned_by: str | None
    messages: Annotated[list[_Message], Meta(min_length=1)]
    segments: list[_Segment]
    tools: list[dict[str, Any]]
    tools_source: Literal["recorded", "inferred", "mixed", "none"]
    tool_calls: list[_Listed]
    outcome: Literal["success", "recovered", "error", "aborted", "incomplete", "unknown"]
    outcome_rule: str | None
    outcome_source: Literal["heuristic", "verifier", "none"]
    tier: str | None
    complexity_score: int | float | None
    model_used: str | None
    provider_used: str | None
    tokens_in: Count | None
    tokens_out: Count | None
    tokens_cache_read: int | None
    tokens_cache_write: int | None
    tokens_reasoning: int | None
    cost_usd: Amount | None
    latency_ms: Amount | None
    started_at: Time | None
    ended_at: Time | None
    notes: dict[str, Count]
    redaction: _Redaction | None
    root_session_id: str = ""
    branch: Literal["head", "left"] = "head"
    subagents: list[_Subagent] = []
    split: str | None = None
    segment: int = 0
    parent: int | None = None
    turn: int = 0
    step: int = 0


def fine(row: Any) -> bool:
    """True: nothing is wrong. False: look closer."""
    try:
        one = msgspec.convert(row, _Row)
        msgspec.convert(one.notes, _Notes)
    except (msgspec.ValidationError, RecursionError):
        return False
    findings = Findings()
    tools = Tools(findings, names_only=one.tools_source in ("inferred", "none"))
    tools.read(one.tools)
    return (
        _calls_fine(one, tools)
        and not findings.problems
        and all(map(_said_fine, one.messages))
        and _numbered_fine(one.messages)
        and _segments_fine(one)
        and _totals_fine(one)
        and _rest_fine(one)
    )


def _calls_fine(row: _Row, tools: Tools) -> bool:
    """Each call has an id of its own, is listed, and is followed by its result, in order."""
    waiting: list[_Call] = []
    ids: set[str] = set()
    count = 0
    for message in row.messages:
        if message.role == "tool":
            if not waiting or count >= len(row.tool_calls) or message.tool_calls:
                return False
            if not _answered(waiting.pop(0), message, row.tool_calls[count]):
                return False
            count += 1
        elif waiting or (message.tool_calls and message.role != "assistant"):
            return False
        elif message.tool_calls:
            waiting = list(message.tool_calls)
            ids.update([call.id for call in waiting])
            if not all(_called(call, message.train, tools) for call in waiting):
                return False
    return not waiting and count == len(row.tool_calls) == len(ids)


def _answered(call: _Call, result: _Message, listed: _Listed) -> bool:
    name = call.function.name
    return (
        call.id == result.tool_call_id == listed.id
        and name == result.name == listed.name
        and listed.status == _status(result)
    )


def _called(call: _Call, trained: bool, tools: Tools) -> bool:
    """Whether its tool is known and takes the arguments; of the latter `tools` is told."""
    if trained:
        value = object_of(call.function.arguments)
        if value is None:
            return False
        tools.hold(call.function.name, value, "")
    return tools.knows(call.function.name, "")


def _status(message: _Message) -> str:
    if message.status in ("lost", "synthetic"):
        return str(message.status)
    return "error" if message.is_error is True else "ok"


def _said_fine(message: _Message) -> bool:
    if message.role == "tool":
        known = message.is_error is not UNSET and not message.sampled and not message.train
        return known and (message.status != "lost" or message.content == LOST)
    if message.status is not UNSET:
        return False
    if not message.sampled:
        return not message.train and message.telemetry is UNSET
    if message.role != "assistant" or message.meta or message.kind:
        return False
    return message.train == (message.train_rule is UNSET)


def _numbered_fine(messages: list[_Message]) -> bool:
    """Ids count the messages, and nothing behind a lost result of its segment is trained."""
    spoiled = None
    for number, message in enumerate(messages, 1):
        if message.id != f"m{number}" or (message.train and message.segment == spoiled):
            return False
        if message.status == "lost" and not message.context:
            spoiled = message.segment
    return True


def _segments_fine(row: _Row) -> bool:
    begin, before = 0, None
    for one in row.segments:
        if one.first != begin:
            return False
        if before is not None and (one.segment <= before or one.parent is None):
            return False
        before = one.segment
        begin += one.count
        for message in row.messages[one.first : begin]:
            if message.segment != one.segment:
                return False
    return begin == len(row.messages)


def _totals_fine(row: _Row) -> bool:
    told = [one.telemetry for one in row.messages if one.telemetry and not one.context]
    sums = (
        (row.tokens_in, [one.tokens_in for one in told if one.tokens_in is not None]),
        (row.tokens_out, [one.tokens_out for one in told if one.tokens_out is not None]),
        (row.tokens_cache_read, [one.cached for one in told if one.cached is not None]),
    )
    return all(whole is not None and whole >= sum(known) for whole, known in sums if known)


def _rest_fine(row: _Row) -> bool:
    if row.tools_source == "none" and row.tools:
        return False
    if sum(one.status == "lost" for one in row.messages) != row.notes["lost_results"]:
        return False
    first, last = row.started_at or "", row.ended_at or _ENDLESS
    times = [one.time for one in row.messages if one.time is not None and not one.context]
    return first <= last and all(first <= time <= last for time in times)
