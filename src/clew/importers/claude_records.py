"""Claude Code's records: what each says, in the ledger's words.

One object a line, in the order in which they were written; that order counts, never the time.
`parentUuid` makes a tree whose many forks are nearly all artefacts (parallel tools, progress,
attachments). A real one is a typed prompt beside another typed prompt of the same parent: the
person went back. Each line of a model's answer carries one block and repeats the answer's
usage, so usage has a key and the greatest value counts.
"""

from __future__ import annotations

import re
from typing import Final, Self

import msgspec

from clew.canonical import canonical
from clew.errors import Invalid
from clew.importers.facts import TITLE_CHARS_MAX, set_title, text, time_ms
from clew.importers.jsonl import RAW, JsonlReader, Piece, raw_record
from clew.importers.state import State, load
from clew.model import (
    JSON,
    Kind,
    Message,
    Origin,
    Part,
    Reason,
    Record,
    Text,
    Unknown,
    Usage,
)
from clew.shapes import anthropic

FORMAT: Final = "claude-code"
STATE_VERSION: Final = 1

RANK_PROMPT, RANK_SUMMARY, RANK_AI, RANK_CUSTOM = 1, 2, 3, 4
ROOT: Final = ""

_TITLES: Final = {
    "agent-name": ("agentName", RANK_SUMMARY),
    "summary": ("summary", RANK_SUMMARY),
    "ai-title": ("aiTitle", RANK_AI),
    "custom-title": ("customTitle", RANK_CUSTOM),
}
_BOOKKEEPING: Final = frozenset(
    {
        "agent-setting",
        "atis-latch",
        "attachment",
        "bridge-session",
        "file-history-delta",
        "file-history-snapshot",
        "frame-link",
        "last-prompt",
        "mode",
        "permission-mode",
        "pr-link",
        "progress",
        "queue-operation",
        "relocated",
        "result",
        "started",
        "system",
        "worktree-state",
    }
)
_SPOKEN: Final = frozenset({"user", "assistant"})
TYPES: Final = _SPOKEN | _BOOKKEEPING | frozenset(_TITLES)
"""Every record type known."""

_WRAPPED = re.compile(r"\s*(?:<[a-z][a-z-]*>|<teammate-message\s|\[Request interrupted)")
"""How text begins that the program wrote in the person's name."""
_TAG = re.compile(r"</?teammate-message\b[^>]*>")


class _State(State):
    origin: Origin
    placed: bool
    title: str | None
    titled: bool
    tip: str | None
    prompts: dict[str, list[str]]
    document: bool = False
    linked: bool = False
    spoke_in: str | None = None


def is_record(value: dict[str, JSON]) -> bool:
    """True for an object with Claude Code's envelope, a line of a workflow's journal, or its
    whole run.
    """
    if text(value, "type") is None:
        return is_run(value)
    return "sessionId" in value or "uuid" in value or _is_step(value)


def is_run(value: dict[str, JSON]) -> bool:
    """True for the document of a workflow's run."""
    return text(value, "runId") is not None and "workflowName" in value


def _is_step(value: dict[str, JSON]) -> bool:
    """True for a line of a workflow's journal: an agent began, or gave its result."""
    return value.get("type") in ("started", "result") and "agentId" in value


class ClaudeReader(JsonlReader):
    """Reads one file of Claude Code. See `clew.importers.base.Reader`."""

    def __init__(self, origin: Origin, *, title: str | None = None, document: bool = False) -> None:
        super().__init__(document=document)
        self.origin = origin
        self._title = title
        self._placed = origin.kind != "main"
        """Whether it is known if the file is a sub-agent's."""
        self._titled = False
        self._tip: str | None = None
        """The newest record's id."""
        self._prompts: dict[str, list[str]] = {}
        """When each typed prompt that follows a record was typed."""
        self._linked = False
        """Whether a record follows another one since the last that follows none."""
        self._spoke_in: str | None = None
        """The session that the newest typed prompt names."""

    @classmethod
    def resume(cls, state: bytes) -> Self:
        """A reader that goes on where `state` stopped. Raises `Invalid` for a foreign one."""
        known = load(state, _State, STATE_VERSION, "Claude Code")
        reader = cls(known.origin, title=known.title, document=known.document)
        reader._consumed = known.consumed
        reader._placed, reader._titled = known.placed, known.titled
        reader._tip, reader._prompts = known.tip, known.prompts
        reader._linked, reader._spoke_in = known.linked, known.spoke_in
        return reader

    def state(self) -> bytes:
        """See `Reader.state`."""
        return msgspec.json.encode(
            _State(
                STATE_VERSION,
                self._consumed,
                self.origin,
                self._placed,
                self._title,
                self._titled,
                self._tip,
                self._prompts,
                self._document,
                self._linked,
                self._spoke_in,
            )
        )

    def is_record(self, value: dict[str, JSON]) -> bool:
        """See `JsonlReader.is_record`."""
        return is_record(value)

    def record(self, piece: Piece) -> Record:
        """What one piece of the file says."""
        value = piece.value
        if value is None:
            return raw_record(piece)
        identity = text(value, "uuid")
        self._learn(value, identity)
        kind, role, note = _classify(value)
        if kind is Kind.MESSAGE and self.origin.kind == "main" and value.get("isSidechain") is True:
            kind = Kind.NOTICE  # before 2.0 sub-agents wrote into their parent's file
        record = Record(
            piece.start,
            len(piece.body),
            kind,
            FORMAT,
            role,
            time_ms(value.get("timestamp")),
            identity,
            note=note,
        )
        self._add_facts(record, value)
        if piece.note is not None:
            record.kind, record.format, record.note = Kind.UNKNOWN, RAW, piece.note
        self._tip = identity or self._tip
        self._linked = self._linked or text(value, "parentUuid") is not None
        return record

    def _learn(self, value: dict[str, JSON], identity: str | None) -> None:
        origin = self.origin
        if origin.project is None:
            origin.project = text(value, "cwd")
        origin.version = text(value, "version") or origin.version
        if origin.kind == "subagent" and origin.parent is None:
            parent = text(value, "sessionId")
            origin.parent = parent if parent != origin.native_id else None
        if not self._placed and identity is not None:
            self._placed = True
            if value.get("isSidechain") is True:
                origin.kind = "subagent"

    def _add_facts(self, record: Record, value: dict[str, JSON]) -> None:
        kind = text(value, "type") or record.role
        if kind == "assistant":
            record.message_id, record.usage = _usage(value)
            if record.usage and record.usage.model:
                self.origin.model = record.usage.model
        elif kind == "user":
            self._add_prompt(record, value)
        elif kind == "system" and record.kind is Kind.COMPACTION:
            _add_compaction(record, value)
        elif kind in _TITLES:
            self._add_title(record, value, kind)
        elif is_run(value):
            set_title(record, text(value, "workflowName"), RANK_AI)

    def _add_title(self, record: Record, value: dict[str, JSON], kind: str) -> None:
        # A summary names a record, often one of another file: it titles that session.
        if kind == "summary" and value.get("leafUuid") != self._tip:
            return
        field, rank = _TITLES[kind]
        set_title(record, text(value, field), rank)

    def _add_prompt(self, record: Record, value: dict[str, JSON]) -> None:
        words = _typed(value)
        title = words if words is not None or self.origin.kind == "main" else _given(value)
        if title is not None and not self._titled:
            self._titled = True
            set_title(record, self._title or title, RANK_PROMPT)
        if words is None or value.get("isSidechain") is True:
            return
        parent = text(value, "parentUuid") or ROOT
        beside = self._prompts.setdefault(parent, [])
        stamp = text(value, "timestamp") or record.native_id or ""
        # After a compaction some records are written again, under new ids, at the same time.
        if stamp not in beside:
            went_back = bool(beside) if parent != ROOT else self._begins_again(value)
            record.after = parent if went_back else None
            beside.append(stamp)
        self._spoke_in = text(value, "sessionId")

    def _begins_again(self, value: dict[str, JSON]) -> bool:
        """Whether a prompt that follows nothing went back to before the first one: others of
        its session were typed before, and what came behind them was linked. Old files link
        nothing, and some hold two sessions.
        """
        linked, self._linked = self._linked, False
        return linked and self._spoke_in == text(value, "sessionId")


def _classify(value: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    """Kind, role and note of a record, by its type."""
    kind = value.get("type")
    message = value.get("message")
    if kind is None and isinstance(message, dict) and text(message, "role") in _SPOKEN:
        return Kind.MESSAGE, message["role"], None
    if kind == "assistant":
        return Kind.MESSAGE, kind, None
    if kind == "user":
        return Kind.MESSAGE, _filed_under(value), None
    if kind == "system":
        compacted = value.get("subtype") == "compact_boundary"
        return (Kind.COMPACTION if compacted else Kind.NOTICE), "system", None
    if kind == "attachment" and _queued(value) is not None:
        return Kind.MESSAGE, "user", None
    if kind == "result" and _is_step(value):
        return Kind.MESSAGE, "assistant", None
    return _classify_rest(value, kind)


def _classify_rest(value: dict[str, JSON], kind: JSON) -> tuple[Kind, str | None, str | None]:
    """What is no part of the conversation."""
    if not isinstance(kind, str):
        run = kind is None and is_run(value)
        return (Kind.NOTICE, None, None) if run else (Kind.UNKNOWN, None, "a record without a type")
    if kind in _TITLES:
        return Kind.LABEL, None, None
    if kind in _BOOKKEEPING:
        return Kind.NOTICE, None, None
    return Kind.UNKNOWN, None, f"a record of type {kind[:TITLE_CHARS_MAX]!r}, which is not known"


def _filed_under(value: dict[str, JSON]) -> str:
    """Who a user record is from: a person, a tool, or the program that put words in."""
    message = value.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list) and content and all(map(_is_result, content)):
        return "tool"
    return "context" if _typed(value) is None else "user"


def _is_result(block: JSON) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_result"


def _queued(value: dict[str, JSON]) -> JSON:
    """A prompt that was typed while the model worked, and given to it in the same turn."""
    attachment = value.get("attachment")
    if not isinstance(attachment, dict) or attachment.get("type") != "queued_command":
        return None
    prompt = attachment.get("prompt")
    return prompt if isinstance(prompt, str | list) else None


def _typed(value: dict[str, JSON]) -> str | None:
    """The words of a prompt that a person typed; `None` for any other user record."""
    if value.get("isMeta") or value.get("isCompactSummary") or "toolUseResult" in value:
        return None
    message = value.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        blocks = [block for block in content if isinstance(block, dict)]
        if any(block.get("type") == "tool_result" for block in blocks):
            return None
        content = " ".join(filter(None, (text(block, "text") for block in blocks)))
    if not isinstance(content, str) or _WRAPPED.match(content):
        return None
    return content


def _given(value: dict[str, JSON]) -> str | None:
    """The task that an agent was given by a teammate, without its wrapping."""
    message = value.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        content = " ".join(text(b, "text") or "" for b in content if isinstance(b, dict))
    return _TAG.sub(" ", content) if isinstance(content, str) and _TAG.search(content) else None


def _add_compaction(record: Record, value: dict[str, JSON]) -> None:
    facts = value.get("compactMetadata")
    facts = facts if isinstance(facts, dict) else {}
    record.compaction = Reason.MANUAL if facts.get("trigger") == "manual" else Reason.AUTO
    record.tokens_before = _count(facts, "preTokens") or None
    record.tokens_after = _count(facts, "postTokens") or None


def _usage(value: dict[str, JSON]) -> tuple[str | None, Usage | None]:
    """The id of the provider's message, and what the call used. Its key is the message with
    the request; where a back end gives no ids, the record itself.
    """
    message = value.get("message")
    if not isinstance(message, dict):
        return None, None
    identity, model = text(message, "id"), text(message, "model")
    raw = message.get("usage")
    if not isinstance(raw, dict) or model == "<synthetic>":
        return identity, None
    request = text(value, "requestId")
    cost = value.get("costUSD")
    usage = Usage(
        key=f"{identity}/{request or ''}" if identity else text(value, "uuid"),
        model=model,
        provider="anthropic" if model and model.startswith("claude") else None,
        input=_count(raw, "input_tokens"),
        output=_count(raw, "output_tokens"),
        cache_read=_count(raw, "cache_read_input_tokens"),
        cache_write=_count(raw, "cache_creation_input_tokens"),
        cost=float(cost) if isinstance(cost, int | float) else None,
    )
    return identity, usage


def _count(raw: dict[str, JSON], key: str) -> int:
    found = raw.get(key)
    return found if type(found) is int and found > 0 else 0


# --- reading a stored record -------------------------------------------------------------


def decode(record: JSON) -> Message:
    """What a record says as a message. Never fails: what cannot be placed is `Unknown`.

    `toolUseResult` (the result as the program, not the model, sees it) stays in the record.
    """
    if not isinstance(record, dict):
        return Message("system", (Unknown(type(record).__name__, record),), meta=True)
    return msgspec.structs.replace(
        _said(record),
        usage=_usage(record)[1],
        time_ms=time_ms(record.get("timestamp")) or 0,
        meta=_is_meta(record),
        summary=record.get("isCompactSummary") is True,
        format=anthropic.NAME,
    )


def _is_meta(record: dict[str, JSON]) -> bool:
    """True for text that no person typed and no model said."""
    if record.get("type") == "attachment":
        attachment = record["attachment"] if _queued(record) is not None else {}
        return attachment.get("commandMode", "prompt" if attachment else None) != "prompt"
    if record.get("type") == "system":
        return True
    return record.get("isMeta") is True or record.get("isApiErrorMessage") is True


def _said(record: dict[str, JSON]) -> Message:
    kind = text(record, "type")
    message = record.get("message")
    if isinstance(message, dict) and isinstance(message.get("content"), str | list):
        role = message.get("role", kind)
        try:
            return anthropic.decode({**message, "role": role})
        except Invalid:
            pass
    if _is_step(record) and "result" in record:
        return Message("assistant", (Text(_answer(record["result"])),))
    queued = _queued(record)
    if queued is not None:
        return anthropic.decode({"role": "user", "content": queued})
    told = kind or (message.get("role") if isinstance(message, dict) else None)
    role = told if isinstance(told, str) and told in _SPOKEN else "system"
    content = text(record, "content") if kind == "system" else None
    part: Part = Text(content) if content else Unknown(kind or "record", record)
    return Message(role, (part,))


def _answer(result: JSON) -> str:
    """What an agent of a workflow gave back: its words, or an object as JSON."""
    return result if isinstance(result, str) else canonical(result).decode()
