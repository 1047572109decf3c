"""Training rows: one JSON object per session, in Clew's own `clew-traj/1` shape.

Chat messages with real tool calls and results in their places, what the model itself said
marked (`sampled`) and what is fit to learn from marked (`train`), tool schemas, how it ended,
and the telemetry that the ledger has. What is not known is `null`: never zero, never success.
The other training formats are projections of this one. Described in `docs/trajectory.md`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from clew.errors import Invalid
from clew.exporters.base import Row, Segment, iso
from clew.exporters.calls import Call, complexity, latency_ms, placed, tier
from clew.exporters.outcome import OUTCOMES, Rule, judge, sampled
from clew.exporters.pairing import Paired, Pairs, merged, pair
from clew.exporters.schemas import tools_of
from clew.exporters.tally import Tally
from clew.model import (
    JSON,
    File,
    Image,
    Message,
    Part,
    Position,
    SessionInfo,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)

SCHEMA = "clew-traj/1"
LOST = '{"status":"lost"}'
"""The content of a result that never came."""

Verifier = Callable[[Row], "str | None"]
"""Says of a row how it ended, or `None` when it does not know."""


class Known(msgspec.Struct, frozen=True):
    """What is known of a session beside its messages. `tools` are definitions as the agent gave
    them to the model; `ends` says why the model stopped, by the place of a message; `subagents`
    are the sessions that its calls began, with the call; `branch` is `head`, or `left` for a tip
    that was rewound or undone.
    """

    calls: Sequence[Call] = ()
    tools: Sequence[JSON] = ()
    ends: Mapping[Position, str] = {}
    subagents: Sequence[tuple[str, str | None]] = ()
    root: str | None = None
    branch: str = "head"
    rules: Sequence[Rule] = ()
    verifier: Verifier | None = None


NOTHING = Known()
CUT_SHORT = frozenset({"length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded"})
"""What providers call the end of an answer that was longer than it may be."""


def trajectory(
    session: SessionInfo,
    segments: Sequence[Segment],
    beside: Sequence[Usage] = (),
    known: Known = NOTHING,
) -> Row:
    """The row of one session. `segments` hold its full history, oldest first; `beside` are the
    model calls that no message stands for, `known` what else is known. Raises `Invalid` for an
    outcome that a rule or the verifier makes up.
    """
    history, starts = _joined(segments)
    pairs = pair(history)
    calls, others = placed(history, known.calls)
    tally = Tally(_metered(history, calls), [*beside, *(c.usage for c in others if c.usage)])
    messages, firsts = _Writer(history, pairs, tally, starts, known, calls).messages()
    row = _row(session, history, known, pairs, tally, [*others, *calls.values()])
    row |= {
        "messages": messages,
        "segments": _segments(segments, firsts, len(messages)),
        "notes": _notes(pairs) | {"failed_calls": sum(c.error is not None for c in known.calls)},
    }
    if known.verifier is not None:
        _verified(row, known.verifier)
    return row


def _metered(history: list[Message], calls: dict[int, Call]) -> list[Message]:
    """The history, with the tokens of calls whose message tells none."""
    if not any(call.usage for call in calls.values()):
        return history
    out = list(history)
    for index, call in calls.items():
        if call.usage is not None and out[index].usage is None:
            out[index] = msgspec.structs.replace(out[index], usage=call.usage)
    return out


def _verified(row: Row, verifier: Verifier) -> None:
    said = verifier(row)
    if said is None:
        return
    if said not in OUTCOMES:
        raise Invalid(f"the verifier says {said!r}: give one of {', '.join(OUTCOMES)}, or None")
    name = getattr(verifier, "__name__", type(verifier).__name__)
    row |= {"outcome": said, "outcome_rule": name, "outcome_source": "verifier"}


def _row(
    session: SessionInfo,
    history: list[Message],
    known: Known,
    pairs: Pairs,
    tally: Tally,
    calls: list[Call],
) -> Row:
    """Everything but the messages, in the order in which the fields are written."""
    calls.sort(key=lambda call: call.started_ms)
    times = [message.time_ms for message in history if message.time_ms > 0]
    last_failed = calls[-1].started_ms if calls and calls[-1].error is not None else 0
    # A call may begin in the millisecond in which it was asked for.
    newest, answered = max(times, default=0), not history or sampled(history[-1])
    end = judge(
        history,
        pairs,
        failed_last=last_failed > newest or (0 < last_failed == newest and not answered),
        rules=known.rules,
    )
    tools, source = tools_of(((one.call.name, one.given) for one in pairs.calls), known.tools)
    return {
        "schema": SCHEMA,
        "session_id": session.id,
        "branch_id": None if session.head is None else str(session.head),
        "branch": known.branch,
        "root_session_id": known.root or session.id,
        "title": session.title,
        "agent": session.agent,
        "forked_from": None if session.forked_from is None else str(session.forked_from),
        "spawned_by": session.spawned_by,
        "subagents": [{"session_id": id, "call_id": call} for id, call in known.subagents],
        "messages": [],
        "segments": [],
        "tools": tools,
        "tools_source": source,
        "tool_calls": [_summary(one) for one in pairs.calls],
        "outcome": end.outcome,
        "outcome_rule": end.rule,
        "outcome_source": end.source,
        "tier": tier(calls),
        "complexity_score": complexity(calls),
        "model_used": _first(call.model for call in reversed(calls) if call.error is None)
        or _first(_model(message) for message in reversed(history) if sampled(message)),
        "provider_used": _first(call.provider for call in reversed(calls))
        or _first(message.usage.provider for message in reversed(history) if message.usage),
        "tokens_in": tally.total("input"),
        "tokens_out": tally.total("output"),
        "tokens_cache_read": tally.total("cache_read"),
        "tokens_cache_write": tally.total("cache_write"),
        "tokens_reasoning": tally.total("reasoning"),
        "cost_usd": tally.cost,
        "latency_ms": latency_ms(calls),
        "started_at": iso(min(times, default=session.created_ms)),
        "ended_at": iso(max(times, default=session.updated_ms)),
        "split": None,
        "notes": {},
        "redaction": None,
    }


def _joined(segments: Sequence[Segment]) -> tuple[list[Message], list[int]]:
    """One history, and the index at which each segment begins."""
    history: list[Message] = []
    starts: list[int] = []
    for segment in segments:
        starts.append(len(history))
        made = segment.compaction
        if made is not None and made.summary and not any(m.summary for m in segment.messages):
            history.append(Message("user", (Text(made.summary),), summary=True))
        history += merged(segment.messages)
    return history, starts


def _first(names: Iterable[str | None]) -> str | None:
    return next((name for name in names if name), None)


def _model(message: Message) -> str | None:
    return message.model or (message.usage.model if message.usage else None)


class _Writer:
    """Writes the messages of a history, each call followed by its result."""

    def __init__(
        self,
        history: list[Message],
        pairs: Pairs,
        tally: Tally,
        starts: list[int],
        known: Known,
        calls: dict[int, Call],
    ) -> None:
        self._ends = known.ends
        self._calls = calls
        self._history = history
        self._pairs = pairs
        self._tally = tally
        self._starts = starts
        self._out: list[Row] = []
        self._segment = 0
        self._unfit: str | None = None
        """Why what follows in this segment is not fit to learn from."""
        self._waiting_until = -1
        """Up to this message the model worked without a result that is shown earlier."""

    def messages(self) -> tuple[list[Row], list[int]]:
        """The messages, and the index at which each segment begins among them."""
        firsts: list[int] = []
        ends = [*self._starts[1:], len(self._history)]
        for number, (start, end) in enumerate(zip(self._starts, ends, strict=False)):
            self._segment, self._unfit = number, None
            firsts.append(len(self._out))
            for index in range(start, end):
                message = self._history[index]
                if message.role == "assistant":
                    self._assistant(index, message)
                else:
                    self._other(message)
        return self._out, firsts

    def _begin(self, role: str, message: Message | None, content: JSON) -> Row:
        row: Row = {"id": f"m{len(self._out) + 1}", "role": role, "content": content}
        if message is not None:
            row["at"] = list(map(str, message.at))
            row["time"] = iso(message.time_ms)
            if message.meta:
                row["meta"] = True
            if message.summary:
                row["kind"] = "compaction"
        row["segment"] = self._segment
        row["sampled"] = row["train"] = False
        self._out.append(row)
        return row

    def _other(self, message: Message) -> None:
        """What a person or the agent said. Results stand with their calls, not here."""
        parts = [part for part in message.parts if not isinstance(part, ToolResult)]
        if parts:
            role = "system" if message.role == "system" else "user"
            self._begin(role, message, _content(parts))

    def _assistant(self, index: int, message: Message) -> None:
        calls = self._pairs.by_message.get(index, ())
        words, thinking, attached = _told_apart(message.parts)
        row = self._begin("assistant", message, "\n".join(words))
        said, end = sampled(message), self._end(message)
        if said:
            reason = self._why_not(index, message, calls, end)
            row["sampled"], row["train"] = True, reason is None
            if reason is not None:
                row["train_rule"] = reason
        if thinking:
            _reasoning(row, thinking)
        if attached:
            row["parts"] = attached
        if calls:
            row["tool_calls"] = [_call(one) for one in calls]
        if said:
            row["telemetry"] = self._telemetry(index, message, end)
        for one in calls:
            self._result(one)

    def _why_not(
        self, index: int, message: Message, calls: Sequence[Paired], end: str | None
    ) -> str | None:
        if self._unfit is not None:
            return self._unfit
        if index < self._waiting_until:
            return "before-late-result"
        if any(one.given is None for one in calls):
            return "invalid-arguments"
        if end in CUT_SHORT:
            return "cut-short"
        return None if message.parts else "empty"

    def _result(self, one: Paired) -> None:
        row = self._begin("tool", None, LOST)
        row["tool_call_id"], row["name"], row["is_error"] = one.id, one.call.name, False
        if one.result is None:
            row["status"] = "lost"
            self._unfit = "after-lost-result"
            return
        source = self._history[one.answered]
        row["content"] = _content(one.result.parts)
        row["is_error"] = one.result.is_error
        row["at"] = list(map(str, source.at))
        row["time"] = iso(source.time_ms)
        if one.result.synthetic:
            row["status"] = "synthetic"
        elif one.late:
            row["status"] = "late"
            self._waiting_until = max(self._waiting_until, one.answered)

    def _end(self, message: Message) -> str | None:
        """Why the model stopped; pieces of a message tell it last."""
        for place in reversed(message.at):
            if place in self._ends:
                return self._ends[place]
        return None

    def _telemetry(self, index: int, message: Message, end: str | None) -> Row:
        usage = self._tally.by_message.get(index)
        call = self._calls.get(index, _UNKNOWN)
        own = message.usage
        return {
            "request_id": own.key if own else call.request_id,
            "tier": call.tier,
            "complexity_score": call.complexity,
            "model": _model(message) or call.model,
            "provider": (own.provider if own else None) or call.provider,
            "tokens_in": usage.input if usage else None,
            "tokens_out": usage.output if usage else None,
            "cached": usage.cache_read if usage else None,
            "latency_ms": call.latency_ms,
            "finish_reason": end,
            "error": call.error,
        }


_UNKNOWN = Call()


def _told_apart(parts: Sequence[Part]) -> tuple[list[str], list[Thinking], list[Row]]:
    """The words of an answer, its reasoning, and what is attached. Its calls are paired."""
    words: list[str] = []
    thinking: list[Thinking] = []
    attached: list[Row] = []
    for part in parts:
        if isinstance(part, Text):
            words.append(part.text)
        elif isinstance(part, Thinking):
            thinking.append(part)
        elif not isinstance(part, ToolCall | ToolResult):
            attached.append(_part(part))
    return words, thinking, attached


def _reasoning(row: Row, thinking: Sequence[Thinking]) -> None:
    text = "\n".join(part.text for part in thinking if part.text)
    if text:
        row["reasoning_content"] = text
    if any(not part.text and (part.data or part.signature or part.id) for part in thinking):
        # Signatures and encrypted reasoning are bound to their provider: a mark, never text.
        row["reasoning_opaque"] = True


def _call(one: Paired) -> Row:
    text = one.call.arguments or "{}"
    return {
        "id": one.id,
        "type": "function",
        "function": {"name": one.call.name, "arguments": text},
    }


def _content(parts: Sequence[JSON]) -> str | list[Row]:
    """A string when there are only words; otherwise the parts in their order."""
    words = [part.text for part in parts if isinstance(part, Text)]
    if len(words) == len(parts):
        return "\n".join(words)
    return [_part(part) for part in parts if not isinstance(part, ToolCall | Thinking)]


def _part(part: JSON) -> Row:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        return {"type": "image", **_body(part.media_type, part.data, part.url)}
    if isinstance(part, File):
        about = _body(part.media_type, part.data, part.url)
        return {"type": "file", "name": part.name, "file_id": part.file_id, **about}
    return {"type": "unknown", "of": part.type}


def _body(media_type: str | None, data: str | None, url: str | None) -> Row:
    """What identifies a body that is not in the row."""
    if data is None and url is not None and url.startswith("data:"):
        head, _, data = url.partition(",")
        media_type = media_type or head[len("data:") :].partition(";")[0] or None
        url = None
    if data is None:
        return {"media_type": media_type, "sha256": None, "bytes": None, "url": url}
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raw = data.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(raw).hexdigest()
    return {"media_type": media_type, "sha256": digest, "bytes": len(raw), "url": url}


def _segments(segments: Sequence[Segment], firsts: list[int], count: int) -> list[Row]:
    out: list[Row] = []
    for number, segment in enumerate(segments):
        end = firsts[number + 1] if number + 1 < len(firsts) else count
        made = segment.compaction
        out.append(
            {
                "segment": number,
                "parent": number - 1 if number else None,
                "first": firsts[number],
                "count": end - firsts[number],
                "compaction": None
                if made is None
                else {
                    "reason": str(made.reason),
                    "first_kept": str(made.first_kept),
                    "tokens_before": made.tokens_before,
                    "tokens_after": made.tokens_after,
                    "model": made.model,
                },
            }
        )
    return out


def _summary(one: Paired) -> Row:
    if one.result is None:
        status = "lost"
    elif one.result.synthetic:
        status = "synthetic"
    else:
        status = "error" if one.result.is_error else "ok"
    return {"id": one.id, "name": one.call.name, "status": status}


def _notes(pairs: Pairs) -> dict[str, int]:
    """How often the history did not fit the format, and was made to."""
    return {
        "lost_results": sum(one.result is None for one in pairs.calls),
        "late_results": sum(one.late for one in pairs.calls),
        "orphan_results": pairs.orphans,
        "duplicate_results": pairs.duplicates,
        "renamed_calls": pairs.renamed,
        "invalid_arguments": sum(one.given is None for one in pairs.calls),
    }
