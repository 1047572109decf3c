"""Clew's own rows: every promise of `docs/trajectory.md`, held against a row.

Rows that were shaped keep them: a message that is only repeated there has `context` and counts
neither for totals nor for what a lost result spoils.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clew.exporters.checking import quick
from clew.exporters.checking.chat import Dialect, Talk
from clew.exporters.checking.rules import Findings, Shape, called
from clew.exporters.checking.tools import Tools
from clew.exporters.outcome import OUTCOMES

if TYPE_CHECKING:
    from clew.exporters.base import Problem, Row
    from clew.model import JSON

SCHEMA = "clew-traj/1"
_TEXT, _FLAG, _COUNT, _LIST, _OBJECT = (str,), (bool,), (int,), (list,), (dict,)
_NONE = type(None)
_TEXT0, _COUNT0, _NUMBER0 = (str, _NONE), (int, _NONE), (int, float, _NONE)
_TIME = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{3}Z")
_PARTS = frozenset({"text", "image", "file", "unknown"})
_PLACE = re.compile(r".+:\d+", re.DOTALL)
_BRANCHES = ("head", "left")
_SOURCES = ("heuristic", "verifier", "none")
_STATUS = frozenset({"lost", "late", "synthetic"})
_TOOLS_SOURCES = ("recorded", "inferred", "mixed", "none")
_LOST = '{"status":"lost"}'
_SUMS = (("tokens_in", "tokens_in"), ("tokens_out", "tokens_out"), ("tokens_cache_read", "cached"))

_ROW: Shape = {
    "schema": _TEXT,
    "session_id": _TEXT,
    "branch_id": _TEXT0,
    "title": _TEXT0,
    "agent": _TEXT0,
    "forked_from": _TEXT0,
    "spawned_by": _TEXT0,
    "messages": _LIST,
    "segments": _LIST,
    "tools": _LIST,
    "tools_source": _TEXT,
    "tool_calls": _LIST,
    "outcome": _TEXT,
    "outcome_rule": _TEXT0,
    "outcome_source": _TEXT,
    "tier": _TEXT0,
    "complexity_score": _NUMBER0,
    "model_used": _TEXT0,
    "provider_used": _TEXT0,
    "tokens_in": _COUNT0,
    "tokens_out": _COUNT0,
    "tokens_cache_read": _COUNT0,
    "tokens_cache_write": _COUNT0,
    "tokens_reasoning": _COUNT0,
    "cost_usd": _NUMBER0,
    "latency_ms": _NUMBER0,
    "started_at": _TEXT0,
    "ended_at": _TEXT0,
    "notes": _OBJECT,
    "redaction": (dict, _NONE),
}
_MAY: Shape = {
    "root_session_id": _TEXT,
    "branch": _TEXT,
    "subagents": _LIST,
    "split": _TEXT0,
    "segment": _COUNT,
    "parent": _COUNT0,
    "turn": _COUNT,
    "step": _COUNT,
}
_MESSAGE: Shape = {"id": _TEXT, "role": _TEXT, "segment": _COUNT, "sampled": _FLAG, "train": _FLAG}
_MESSAGE_MAY: Shape = {
    "at": _LIST,
    "time": _TEXT0,
    "meta": _FLAG,
    "kind": _TEXT,
    "train_rule": _TEXT,
    "reasoning_content": _TEXT,
    "reasoning_opaque": _FLAG,
    "parts": _LIST,
    "telemetry": _OBJECT,
    "status": _TEXT,
    "is_error": _FLAG,
    "context": _FLAG,
    "truncated": _FLAG,
}
_MESSAGE_SHAPED: Shape = {"serialised": _FLAG, "elided": _OBJECT}
_OF_CALLS = frozenset({"content", "tool_calls", "tool_call_id", "name"})
"""Looked at where the conversation is read."""
_ROW_KEYS = frozenset({*_ROW, *_MAY})
_MESSAGE_KEYS = frozenset({*_MESSAGE, *_MESSAGE_MAY, *_MESSAGE_SHAPED, *_OF_CALLS})
_TELEMETRY: Shape = {
    "request_id": _TEXT0,
    "model": _TEXT0,
    "provider": _TEXT0,
    "tokens_in": _COUNT0,
    "tokens_out": _COUNT0,
    "cached": _COUNT0,
    "tier": _TEXT0,
    "complexity_score": _NUMBER0,
    "latency_ms": _NUMBER0,
}
_SEGMENT: Shape = {
    "segment": _COUNT,
    "parent": _COUNT0,
    "first": _COUNT,
    "count": _COUNT,
    "compaction": (dict, _NONE),
}
_NOTES: Shape = dict.fromkeys(
    (
        "lost_results",
        "late_results",
        "orphan_results",
        "duplicate_results",
        "renamed_calls",
        "invalid_arguments",
        "failed_calls",
    ),
    _COUNT,
)
_REDACTION: Shape = {"ruleset": _TEXT, "n": _COUNT}
_SUBAGENT: Shape = {"session_id": _TEXT, "call_id": _TEXT0}

DIALECT = Dialect(
    roles=frozenset({"system", "user", "assistant", "tool"}),
    text_arguments=True,
    named_results=True,
    parts={"user": _PARTS, "tool": _PARTS, "system": _PARTS},
    one_system=False,
)


def check(row: Row) -> list[Problem]:
    """Which promises a row breaks. Empty when it keeps them all."""
    return [] if quick.fine(row) else check_fully(row)


def check_fully(row: Row) -> list[Problem]:
    """The same, without a quick look first."""
    findings = Findings()
    findings.needs(row, _ROW, "")
    findings.allows(row, _MAY, "")
    findings.only(row, _ROW_KEYS, "")
    if findings.problems:
        return findings.all()
    if row["schema"] != SCHEMA:
        text = f"is {row['schema']!r:.40}: this reads {SCHEMA}"
        findings.add("other-format", "schema", text)
        return findings.all()
    # Schemas that were inferred describe these very calls, so there is nothing to hold them to.
    described = row["tools_source"] in ("inferred", "none")
    tools = Tools(findings, names_only=described).read(row["tools"])
    talk = Talk(DIALECT, tools, findings)
    talk.read(row["messages"], "messages")
    talk.end()
    messages = [one if type(one) is dict else {} for one in row["messages"]]
    for index, message in enumerate(messages):
        _message(message, index, f"messages/{index}", findings)
    if not findings.problems:
        _segments(row["segments"], messages, findings)
        _lost(messages, findings)
        _summary(row["tool_calls"], messages, findings)
        _totals(row, messages, findings)
        _within(row, messages, findings)
        _noted(row["notes"], messages, findings)
    _facts(row, findings)
    return findings.all()


# --- messages ------------------------------------------------------------------------------


def _message(message: Row, index: int, at: str, findings: Findings) -> None:
    findings.needs(message, _MESSAGE, at)
    for key in message:
        if key in _MESSAGE_MAY and type(message[key]) not in _MESSAGE_MAY[key]:
            findings.allows(message, _MESSAGE_MAY, at)
            break
    findings.allows(message, _MESSAGE_SHAPED, at)
    if not message.keys() <= _MESSAGE_KEYS:
        findings.only(message, _MESSAGE_KEYS, at)
    if message.get("id") != f"m{index + 1}":
        findings.add("message-id", f"{at}/id", f"is {message.get('id')!r:.40}: write m{index + 1}")
    _trained(message, at, findings)
    time = message.get("time")
    if type(time) is str and not _TIME.fullmatch(time):
        findings.add("time", f"{at}/time", "is not UTC with milliseconds: 2026-05-03T10:11:12.000Z")
    if message.get("role") == "tool":
        _result(message, at, findings)
    elif "telemetry" in message:
        _telemetry(message, at, findings)


def _trained(message: Row, at: str, findings: Findings) -> None:
    sampled, train = message.get("sampled"), message.get("train")
    if train is True and sampled is not True:
        findings.add("train", f"{at}/train", "is true, but no model said this: write false")
    elif sampled is True:
        if message.get("role") != "assistant":
            text = "is true, but a model says only assistant messages: write false"
            findings.add("train", f"{at}/sampled", text)
        elif message.get("meta") or message.get("kind"):
            text = "is true for an injected text or a summary: write false"
            findings.add("train", f"{at}/sampled", text)
        elif train is False and type(message.get("train_rule")) is not str:
            text = "is missing: say why this message is not trained"
            findings.add("train", f"{at}/train_rule", text)
    if train is True and "train_rule" in message:
        findings.add("train", f"{at}/train_rule", "says why it is not trained, but it is")


def _result(message: Row, at: str, findings: Findings) -> None:
    status = message.get("status")
    if status is not None and (type(status) is not str or status not in _STATUS):
        text = f"is {status!r:.40}: one of {', '.join(sorted(_STATUS))}, or leave it out"
        findings.add("value", f"{at}/status", text)
    if status == "lost" and message.get("content") != _LOST:
        findings.add("lost-result", f"{at}/content", f"is not {_LOST}, as a lost result says")
    if type(message.get("is_error")) is not bool:
        findings.add("key-missing", f"{at}/is_error", "is missing: write true or false")


def _telemetry(message: Row, at: str, findings: Findings) -> None:
    told = message["telemetry"]
    if type(told) is not dict:
        return
    if message.get("sampled") is not True:
        text = "stands on a message that no model said: leave it out"
        findings.add("train", f"{at}/telemetry", text)
    for key, types in _TELEMETRY.items():
        if key not in told or type(told[key]) not in types:
            findings.needs(told, _TELEMETRY, f"{at}/telemetry")
            break


# --- what the row says of its messages -----------------------------------------------------


def _segments(segments: list[JSON], messages: list[Row], findings: Findings) -> None:
    begin = 0
    before: JSON = None
    for index, one in enumerate(segments):
        at = f"segments/{index}"
        if type(one) is not dict:
            findings.add("segments", at, f"is {called(one)}: write a segment")
            return
        known = len(findings.problems)
        findings.needs(one, _SEGMENT, at)
        if len(findings.problems) > known:
            return
        if one["first"] != begin or one["count"] < 0:
            text = f"begins at {one['first']} with {one['count']} messages; {begin} were covered"
            findings.add("segments", f"{at}/first", text)
            return
        if before is not None and not (one["segment"] > before and one["parent"] is not None):
            text = "numbers rise, and each segment behind the first names its parent"
            findings.add("segments", f"{at}/segment", text)
        before = one["segment"]
        for offset, message in enumerate(messages[begin : begin + one["count"]]):
            if message["segment"] != one["segment"]:
                text = f"is {message['segment']}, but it stands in segment {one['segment']}"
                findings.add("segments", f"messages/{begin + offset}/segment", text)
        begin += one["count"]
    if begin != len(messages):
        text = f"cover {begin} of {len(messages)} messages: cover all"
        findings.add("segments", "segments", text)


def _lost(messages: list[Row], findings: Findings) -> None:
    spoiled: JSON = None
    for index, message in enumerate(messages):
        if message.get("status") == "lost" and not message.get("context"):
            spoiled = message["segment"]
        elif message["train"] and message["segment"] == spoiled:
            text = "is true behind a lost result of the same segment: write false"
            findings.add("lost-result", f"messages/{index}/train", text)


def _summary(listed: list[JSON], messages: list[Row], findings: Findings) -> None:
    results = {one["tool_call_id"]: one for one in messages if "tool_call_id" in one}
    calls = [
        call for message in messages if "tool_calls" in message for call in message["tool_calls"]
    ]
    if len(calls) != len(listed):
        text = f"lists {len(listed)} calls; the messages have {len(calls)}"
        findings.add("summary", "tool_calls", text)
        return
    for index, (one, call) in enumerate(zip(listed, calls, strict=True)):
        expected = {"id": call["id"], "name": call["function"]["name"]}
        result = results.get(call["id"]) or {}
        status = one.get("status") if type(one) is dict else None
        if type(one) is not dict or {"id": one.get("id"), "name": one.get("name")} != expected:
            text = f"is not the call that the messages have there ({call['id']!r:.90})"
            findings.add("summary", f"tool_calls/{index}", text)
        elif status != _status(result):
            text = f"is {status!r:.40}; the result says {_status(result)!r}"
            findings.add("summary", f"tool_calls/{index}/status", text)


def _status(result: Row) -> str:
    told = result.get("status")
    if told in ("lost", "synthetic"):
        return str(told)
    return "error" if result.get("is_error") else "ok"


def _totals(row: Row, messages: list[Row], findings: Findings) -> None:
    told = [
        message["telemetry"]
        for message in messages
        if "telemetry" in message and not message.get("context")
    ]
    for total, field in _SUMS:
        known = [one[field] for one in told if one[field] is not None]
        whole = row[total]
        if known and (whole is None or whole < sum(known)):
            text = f"is {whole}; the messages alone sum up to {sum(known)}"
            findings.add("totals", total, text)


def _within(row: Row, messages: list[Row], findings: Findings) -> None:
    """What is only repeated in a row was said before it begins."""
    first, last = row["started_at"], row["ended_at"]
    for index, message in enumerate(messages):
        time = message.get("time")
        if time is None or message.get("context"):
            continue
        if (first is not None and time < first) or (last is not None and time > last):
            text = "is before `started_at` or behind `ended_at`: mend whichever is wrong"
            findings.add("time", f"messages/{index}/time", text)


def _noted(notes: Row, messages: list[Row], findings: Findings) -> None:
    lost = sum(message.get("status") == "lost" for message in messages)
    if "lost_results" in notes and notes["lost_results"] != lost:
        text = f"is {notes['lost_results']!r:.40}; the messages have {lost}"
        findings.add("totals", "notes/lost_results", text)


# --- facts of the row ----------------------------------------------------------------------


def _facts(row: Row, findings: Findings) -> None:
    for key in ("tokens_in", "tokens_out", "cost_usd", "latency_ms"):
        if row[key] is not None and row[key] < 0:
            findings.add("value", key, "is less than zero: write null for what is not known")
    if row["outcome"] not in OUTCOMES:
        text = f"is {row['outcome']!r:.40}: one of {', '.join(OUTCOMES)}"
        findings.add("value", "outcome", text)
    if row["tools_source"] not in _TOOLS_SOURCES:
        text = f"is {row['tools_source']!r:.40}: one of {', '.join(_TOOLS_SOURCES)}"
        findings.add("value", "tools_source", text)
    elif row["tools_source"] == "none" and row["tools"]:
        findings.add("value", "tools_source", "is none, but there are tools: say whence they are")
    for key, words in (("branch", _BRANCHES), ("outcome_source", _SOURCES)):
        if row.get(key, words[0]) not in words:
            text = f"is {row[key]!r:.40}: one of {', '.join(words)}"
            findings.add("value", key, text)
    for key in ("branch_id", "forked_from"):
        if row[key] is not None and not _PLACE.fullmatch(row[key]):
            findings.add("value", key, f"is {row[key]!r:.90}: write an entry, session:number")
    _times(row, findings)
    _objects(row, findings)


def _objects(row: Row, findings: Findings) -> None:
    findings.needs(row["notes"], _NOTES, "notes")
    for name, number in row["notes"].items():
        if name in _NOTES and type(number) is not int:
            continue  # told already
        if type(number) is not int or number < 0:
            findings.add("type", f"notes/{name:.80}", f"is {called(number)}: write a count")
    if row["redaction"] is not None:
        findings.needs(row["redaction"], _REDACTION, "redaction")
        number = row["redaction"].get("n")
        if type(number) is int and number < 0:
            findings.add("value", "redaction/n", "is less than zero: write how many there are")
    for index, one in enumerate(row.get("subagents", ())):
        if type(one) is dict:
            findings.needs(one, _SUBAGENT, f"subagents/{index}")
        else:
            findings.add("type", f"subagents/{index}", f"is {called(one)}: write an object")


def _times(row: Row, findings: Findings) -> None:
    times = [row[key] for key in ("started_at", "ended_at")]
    for key, time in zip(("started_at", "ended_at"), times, strict=True):
        if time is not None and not _TIME.fullmatch(time):
            text = "is not UTC with milliseconds: 2026-05-03T10:11:12.000Z"
            findings.add("time", key, text)
            return
    if None not in times and times[0] > times[1]:
        findings.add("time", "ended_at", "is before `started_at`")
