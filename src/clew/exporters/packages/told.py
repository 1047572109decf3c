"""A native row as a person reads it: a head of facts, and what was said in its order, each call
with its result. What Markdown and HTML show is drawn from this; nothing here is escaped yet.

Rows may have been shaped: what is missing is left out, and what is not known is not shown.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from clew.clean import plain
from clew.exporters.base import Row
from clew.words import about_call, cost, count, duration, exact, moment, plural, size

BLOCK_LINES_MIN: Final = 2
"""An argument of so many lines is shown as a text of its own, not as a JSON string."""

WHO: Final = {
    "user": "User",
    "assistant": "Agent",
    "system": "System",
    "context": "Context",
    "summary": "Summary",
    "result": "Result",
    "elided": "Left out",
}
"""Who speaks, by `Said.kind`."""
_KINDS: Final = {"compaction": "summary", "elided": "elided"}
STATES: Final = {
    "ok": "",
    "failed": "failed",
    "lost": "its result never came",
    "late": "its result came late",
    "synthetic": "a repair: no tool said this",
    "open": "no result here",
}
"""What is said of a call, by `Called.state`."""


class Piece(msgspec.Struct, frozen=True):
    """A text, or the words for something attached that is not in the row."""

    text: str
    attached: bool = False


class Called(msgspec.Struct):
    """A call and its result. `arguments` is JSON with an indent where it is JSON (`is_json`),
    else what the model wrote; `texts` are arguments of several lines, which are not in it.
    """

    name: str
    about: str
    arguments: str
    is_json: bool
    texts: list[tuple[str, str]]
    anchor: str
    agents: list[str]
    time_ms: int | None
    state: str = "open"
    pieces: list[Piece] = []
    result_anchor: str = ""
    took_ms: int | None = None


class Said(msgspec.Struct):
    """A message. `kind` is a key of `WHO`; `facts` are words for a line below its head, `notes`
    what is out of the ordinary; times in Unix milliseconds.
    """

    kind: str
    anchor: str
    time_ms: int | None
    model: str | None
    tokens: str
    facts: list[str]
    notes: list[str]
    reasoning: str
    sealed: bool
    pieces: list[Piece]
    calls: list[Called]


class Cut(msgspec.Struct, frozen=True):
    """A compaction: here begins another segment."""

    number: int
    facts: list[str]


class Session(msgspec.Struct, frozen=True):
    """A row, read. `facts` are names and values."""

    title: str
    facts: list[tuple[str, str]]
    items: list[Said | Cut]


def told(row: Row) -> Session:
    """A native row, read."""
    return Session(_title(row), _facts(row), _items(row))


def _title(row: Row) -> str:
    return plain(row.get("title") or "").strip() or "A session without a title"


# --- the head ------------------------------------------------------------------------------


def _facts(row: Row) -> list[tuple[str, str]]:
    messages, calls = row.get("messages") or [], row.get("tool_calls") or []
    facts = [
        ("Agent", row.get("agent")),
        ("Model", _by(row.get("model_used"), row.get("provider_used"))),
        ("Began", _moment(row.get("started_at"))),
        ("Took", _between(row.get("started_at"), row.get("ended_at"))),
        ("Outcome", _outcome(row)),
        ("Tier", _tier(row)),
        ("Messages", f"{exact(len(messages))}, {plural(len(calls), 'tool call')}"),
        ("Tokens", _sums(row)),
        ("Cost", None if row.get("cost_usd") is None else cost(row["cost_usd"])),
        ("Session", row.get("session_id")),
        ("Branch", row.get("branch_id") if row.get("branch") == "left" else None),
        ("Part", _part_of(row)),
        ("Branched from", row.get("forked_from")),
        ("Sub-agent of", row.get("spawned_by")),
        ("Sub-agents", _agents(row)),
        ("Split", row.get("split")),
        ("Notes", _notes(row)),
        ("Redaction", _redaction(row)),
    ]
    return [(name, plain(str(value))) for name, value in facts if value]


def _by(model: Any, provider: Any) -> str | None:
    return f"{model} ({provider})" if model and provider else model


def _outcome(row: Row) -> str | None:
    because = ", ".join(str(row[key]) for key in ("outcome_rule", "outcome_source") if row.get(key))
    outcome = row.get("outcome")
    return f"{outcome} ({because})" if outcome and because else outcome


def _tier(row: Row) -> str | None:
    score = row.get("complexity_score")
    return _by(row.get("tier"), None if score is None else f"complexity {score}")


def _sums(row: Row) -> str:
    names = {
        "tokens_in": "in",
        "tokens_cache_read": "from the cache",
        "tokens_cache_write": "into the cache",
        "tokens_out": "out",
        "tokens_reasoning": "of them reasoning",
    }
    return ", ".join(
        f"{exact(row[key])} {words}"
        for key, words in names.items()
        if row.get(key) or (row.get(key) == 0 and key in ("tokens_in", "tokens_out"))
    )


def _part_of(row: Row) -> str:
    """Which part of a session that was cut into several rows."""
    return ", ".join(f"{key} {row[key]}" for key in ("segment", "turn", "step") if key in row)


def _agents(row: Row) -> str:
    return ", ".join(str(each["session_id"]) for each in row.get("subagents") or ())


def _notes(row: Row) -> str:
    notes = row.get("notes") or {}
    return ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in notes.items() if n)


def _redaction(row: Row) -> str | None:
    done = row.get("redaction")
    return None if done is None else f"{plural(done['n'], 'replacement')}, rules {done['ruleset']}"


# --- the messages --------------------------------------------------------------------------


def _items(row: Row) -> list[Said | Cut]:
    items: list[Said | Cut] = []
    compactions = {each["segment"]: each["compaction"] for each in row.get("segments") or ()}
    agents = _by_call(row)
    waiting: dict[str, Called] = {}
    segment = 0
    for index, message in enumerate(row.get("messages") or ()):
        number = message.get("segment") or 0
        if number != segment:
            segment = number
            items.append(Cut(number, _cut(compactions.get(number))))
        anchor = f"m{index + 1}"
        asked = waiting.pop(message.get("tool_call_id") or "", None)
        if message.get("role") == "tool" and asked is not None:
            _answer(asked, message, anchor)
            continue
        said = _said(message, anchor, agents)
        items.append(said)
        calls = message.get("tool_calls") or ()
        waiting.update({call["id"]: each for call, each in zip(calls, said.calls, strict=True)})
    return items


def _by_call(row: Row) -> dict[str | None, list[str]]:
    """The sub-agents' sessions by the call that began them."""
    found: dict[str | None, list[str]] = {}
    for each in row.get("subagents") or ():
        found.setdefault(each["call_id"], []).append(str(each["session_id"]))
    return found


def _said(message: Row, anchor: str, agents: dict[str | None, list[str]]) -> Said:
    known = message.get("telemetry") or {}
    time_ms = _ms(message.get("time"))
    return Said(
        kind=_kind(message),
        anchor=anchor,
        time_ms=time_ms,
        model=known.get("model"),
        tokens=_tokens(known),
        facts=_message_facts(known),
        notes=_message_notes(message, known),
        reasoning=plain(message.get("reasoning_content") or ""),
        sealed=bool(message.get("reasoning_opaque")),
        pieces=_pieces(message.get("content")) + _pieces(message.get("parts")),
        calls=[
            _called(call, f"{anchor}-c{number}", time_ms, agents.get(call["id"], []))
            for number, call in enumerate(message.get("tool_calls") or (), 1)
        ],
    )


def _kind(message: Row) -> str:
    if message.get("kind") in _KINDS:
        return _KINDS[message["kind"]]
    role = message.get("role")
    if message.get("meta") and role != "system":
        return "context"
    return "result" if role == "tool" else role if role in WHO else "context"


def _tokens(known: Row) -> str:
    given = [known[key] for key in ("tokens_in", "cached") if known.get(key) is not None]
    if not given or known.get("tokens_out") is None:
        return ""
    return f"{count(sum(given))} → {count(known['tokens_out'])} tokens"


def _message_facts(known: Row) -> list[str]:
    facts = []
    if known.get("latency_ms") is not None:
        facts.append(duration(known["latency_ms"]))
    if known.get("tier"):
        facts.append(f"tier {plain(str(known['tier']))}")
    return facts


def _message_notes(message: Row, known: Row) -> list[str]:
    notes = []
    if known.get("error"):
        notes.append(f"error: {known['error']}")
    if known.get("finish_reason") in ("length", "max_tokens"):
        notes.append("cut short")
    if message.get("context"):
        notes.append("repeated as context")
    elif message.get("train_rule"):
        notes.append(f"not to be learned from: {message['train_rule']}")
    return [plain(note) for note in notes]


def _called(call: Row, anchor: str, time_ms: int | None, agents: list[str]) -> Called:
    function = call["function"]
    written = function["arguments"]
    try:
        value = msgspec.json.decode(written)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        about = about_call(written)
        return Called(function["name"], about, plain(written), False, [], anchor, agents, time_ms)
    about = about_call(value)
    texts = []
    if isinstance(value, dict):
        texts = [(name, plain(text)) for name, text in value.items() if _is_block(text)]
        written = _without(written, {name for name, _ in texts}) if texts else written
    shown = plain(msgspec.json.format(written, indent=2)) if written else ""
    return Called(function["name"], about, shown, True, texts, anchor, agents, time_ms)


def _without(written: str, names: set[str]) -> str:
    """A JSON object without some of its fields, the others as they were written."""
    fields = msgspec.json.decode(written, type=dict[str, msgspec.Raw])
    rest = [
        msgspec.json.encode(name) + b":" + bytes(raw)
        for name, raw in fields.items()
        if name not in names
    ]
    return (b"{%b}" % b",".join(rest)).decode() if rest else ""


def _is_block(value: Any) -> bool:
    return isinstance(value, str) and value.strip().count("\n") >= BLOCK_LINES_MIN - 1


def _answer(asked: Called, message: Row, anchor: str) -> None:
    """Put a result with its call."""
    asked.state = message.get("status") or ("failed" if message.get("is_error") else "ok")
    asked.result_anchor = anchor
    came = _ms(message.get("time"))
    if asked.time_ms is not None and came is not None and asked.state != "lost":
        asked.took_ms = max(0, came - asked.time_ms)
    # What stands for a result that never came is no tool's word.
    asked.pieces = [] if asked.state == "lost" else _pieces(message.get("content"))


def _cut(made: Row | None) -> list[str]:
    if made is None:
        return []
    facts = [f"reason: {made['reason']}"] if made.get("reason") else []
    if made.get("tokens_before") is not None:
        after = made.get("tokens_after")
        to = "" if after is None else f" → {exact(after)}"
        facts.append(f"{exact(made['tokens_before'])}{to} tokens")
    if made.get("model"):
        facts.append(f"summary by {made['model']}")
    return [plain(fact) for fact in facts]


# --- pieces --------------------------------------------------------------------------------


def _pieces(content: Any) -> list[Piece]:
    if isinstance(content, str):
        return [Piece(plain(content))] if content else []
    return [_piece(part) for part in content or ()]


def _piece(part: Row) -> Piece:
    kind = part.get("type")
    if kind == "text":
        return Piece(plain(part["text"]))
    if kind not in ("image", "file"):
        return Piece(plain(f"a part of type {part.get('of', kind)}, not exported"), attached=True)
    facts = [part.get("name"), part.get("media_type"), part.get("file_id")]
    if part.get("bytes") is not None:
        facts.append(size(part["bytes"]))
    if part.get("sha256"):
        facts.append(f"sha256 {part['sha256']}")
    facts.append(part.get("url"))
    return Piece(plain(f"{kind}: {', '.join(str(fact) for fact in facts if fact)}"), attached=True)


# --- times ---------------------------------------------------------------------------------


def _ms(text: Any) -> int | None:
    try:
        return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        return None


def _moment(text: Any) -> str | None:
    time_ms = _ms(text)
    return None if time_ms is None else moment(time_ms)


def _between(first: Any, last: Any) -> str | None:
    begin, end = _ms(first), _ms(last)
    return None if begin is None or end is None else duration(max(0, end - begin))
