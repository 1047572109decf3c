"""OpenCode's messages: what each says, in the ledger's words.

A message stands with its parts, as `opencode export` gives it:

    {"info": {role, time{created, completed}, tokens, cost, modelID, …, id, sessionID},
     "parts": [{type: text | reasoning | tool | file | …, id, sessionID, messageID}]}

A call and what it gave back are one part: `tool`, whose `state` goes from `pending` over `running`
to `completed` or `error`. So two entries have an answer's bytes: one says the answer, one the
results. What comes to an answer that others follow already is an entry of that part alone.
Source: `packages/opencode/src/session/message-v2.ts` of OpenCode; tried with 1.18.33.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from clew.canonical import mark_halves
from clew.importers.facts import count, text
from clew.model import (
    JSON,
    File,
    Image,
    Kind,
    Message,
    Part,
    Reason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from clew.shapes import anthropic, openai_responses
from clew.shapes.base import as_list, compact, read_data_url, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = "opencode"
RESULTS: Final = "opencode.results"
"""The results alone that stand in an answer's record, or in a part of one."""

TIME_MS_MAX: Final = 10**14
"""No message is so late: it is another kind of number."""

_ENDED: Final = frozenset({"completed", "error", "success"})
_RUNNING: Final = frozenset({"pending", "running"})
_INLINED: Final = frozenset({"text/plain", "application/x-directory"})
"""Files whose content OpenCode gives the model as text parts beside them."""
_SILENT: Final = frozenset(
    {"step-start", "step-finish", "snapshot", "patch", "agent", "retry", "compaction"}
)
"""Parts that say nothing to the model."""
_SUBTASK: Final = "The following tool was executed by the user"
"""What OpenCode tells the model in place of a `subtask` part."""


class Placed(NamedTuple):
    """A part: where its object begins in the body around it, its size, itself."""

    start: int
    length: int
    value: dict[str, JSON]


class _Holder(msgspec.Struct):
    parts: list[msgspec.Raw] = []


def placed(body: bytes) -> list[Placed]:
    """The parts of a message with their places. Raises `msgspec.DecodeError`."""
    try:
        parts = msgspec.json.decode(body, type=_Holder).parts
    except msgspec.DecodeError:
        # Half a surrogate pair is in it: as long with a letter in the place of the backslash.
        body = mark_halves(body, b"_")
        parts = msgspec.json.decode(body, type=_Holder).parts
    found: list[Placed] = []
    at = max(body.find(b'"parts":'), 0)
    for raw in parts:
        part = bytes(raw).strip()
        at = body.index(part, at)
        value = msgspec.json.decode(part)
        if isinstance(value, dict):
            found.append(Placed(at, len(part), value))
        at += len(part)
    return found


def info_of(value: dict[str, JSON]) -> dict[str, JSON]:
    """The message's own facts."""
    found = value.get("info")
    return found if isinstance(found, dict) else {}


def parts_of(value: dict[str, JSON]) -> list[dict[str, JSON]]:
    """The message's parts; what is no object is left out."""
    return [part for part in as_list(value.get("parts")) if isinstance(part, dict)]


def role_of(info: dict[str, JSON]) -> str | None:
    """`user` or `assistant`. Early versions of a message may not tell it."""
    role = text(info, "role")
    return "assistant" if role is None and text(info, "modelID") else role


def created(info: dict[str, JSON]) -> int | None:
    """When the message was begun, in Unix milliseconds."""
    found = count(info.get("time"), "created")
    return found if 0 < found < TIME_MS_MAX else None


def completed(info: dict[str, JSON]) -> bool:
    """True when nothing comes to an answer any more."""
    return bool(count(info.get("time"), "completed")) or isinstance(info.get("error"), dict)


def runs(part: dict[str, JSON]) -> bool:
    """True for a call that has not ended."""
    return part.get("type") == "tool" and text(_state(part), "status") in _RUNNING


def answered(part: dict[str, JSON]) -> bool:
    """True for a call with its result."""
    return part.get("type") == "tool" and text(_state(part), "status") in _ENDED


def _state(part: dict[str, JSON]) -> dict[str, JSON]:
    found = part.get("state")
    return found if isinstance(found, dict) else {}


def spawned(part: dict[str, JSON]) -> str | None:
    """The session that a call started as a sub-agent."""
    metadata = _state(part).get("metadata")
    return text(metadata, "sessionId") if isinstance(metadata, dict) else None


def classify(value: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    """Kind, role and note of a message."""
    info = info_of(value)
    role = role_of(info)
    if role == "user":
        if not any(True for _ in _asked(value)):
            return Kind.NOTICE, None, None
        return Kind.MESSAGE, "user" if _typed(value) is not None else "context", None
    if role is None and "data" in info:
        return Kind.UNKNOWN, None, "a message that is no JSON object"
    if role != "assistant":
        return Kind.UNKNOWN, None, f"a message of role {str(role)[:40]!r}, which is not known"
    if info.get("summary") is True:
        if is_summary(value):
            return Kind.COMPACTION, "system", None
        return Kind.NOTICE, None, "a compaction that did not end"
    said = any(True for part in parts_of(value) for _ in _answer(part))
    return (Kind.MESSAGE, "assistant", None) if said else (Kind.NOTICE, None, None)


def is_summary(value: dict[str, JSON]) -> bool:
    """True for the answer behind which a model sees nothing older, as OpenCode tells it."""
    info = info_of(value)
    ended = bool(text(info, "finish")) and not isinstance(info.get("error"), dict)
    return info.get("summary") is True and ended and bool(_words(value))


def compaction_asked(value: dict[str, JSON]) -> tuple[Reason, str | None] | None:
    """Why a compaction was asked for, and the oldest message that it leaves in sight."""
    if role_of(info_of(value)) != "user":
        return None
    for part in parts_of(value):
        if part.get("type") == "compaction":
            if part.get("overflow") is True:
                return Reason.OVERFLOW, text(part, "tail_start_id")
            auto = part.get("auto") is True
            return Reason.AUTO if auto else Reason.MANUAL, text(part, "tail_start_id")
    return None


def usage_of(info: dict[str, JSON]) -> Usage | None:
    """What the call used that an answer is. OpenCode's input leaves out the cache, its output
    the reasoning. A fork copies its messages under other ids: the call is known by when it was
    made, by its model and by what it counts.
    """
    tokens = info.get("tokens")
    if role_of(info) != "assistant" or not isinstance(tokens, dict):
        return None
    cache = tokens.get("cache")
    reasoning = count(tokens, "reasoning")
    known = (count(tokens, "input"), count(tokens, "output"), reasoning)
    read, written = count(cache, "read"), count(cache, "write")
    if not any((*known, read, written)):
        return None
    model, provider = text(info, "modelID"), text(info, "providerID")
    cost = info.get("cost")
    known_cost = isinstance(cost, int | float) and cost > 0
    counts = "/".join(map(str, (*known, read, written)))
    return Usage(
        key=f"opencode:{created(info) or 0}:{provider}:{model}:{counts}",
        model=model,
        provider=provider,
        input=known[0],
        output=known[1] + reasoning,
        cache_read=read,
        cache_write=written,
        reasoning=reasoning,
        # OpenCode writes 0 where it knows no price.
        cost=float(cost or 0) if known_cost else None,
    )


def typed(value: dict[str, JSON]) -> str | None:
    """The words of a prompt that a person typed; `None` for any other message."""
    return _typed(value) if role_of(info_of(value)) == "user" else None


def _typed(value: dict[str, JSON]) -> str | None:
    said = [
        part
        for part in parts_of(value)
        if part.get("type") in ("text", "file", "subtask") and part.get("synthetic") is not True
    ]
    if not said:
        return None
    return "\n".join(text(part, "text") or text(part, "prompt") or "" for part in said)


def _words(value: dict[str, JSON]) -> str:
    texts = [text(part, "text") for part in parts_of(value) if part.get("type") == "text"]
    return "\n".join(filter(None, texts))


# --- reading a stored record -------------------------------------------------------------


def decode(record: JSON) -> Message:
    """What a message says, without the results in it; or what one part of an answer says.
    Never fails: what cannot be placed is `Unknown`.
    """
    if not isinstance(record, dict):
        return Message("system", (unknown(record),), meta=True)
    if "info" not in record and "type" in record:
        parts = tuple(_answer(record)) or (unknown(record),)
        return _answered(parts, text(record, "messageID"))
    info = info_of(record)
    kind, role, _note = classify(record)
    when = created(info) or 0
    if kind is Kind.COMPACTION:
        words = (Text(_words(record)),)
        return Message("user", words, usage=usage_of(info), time_ms=when, summary=True)
    if kind is not Kind.MESSAGE:
        return Message("system", (unknown(record, role_of(info)),), time_ms=when, meta=True)
    if role != "assistant":
        parts = tuple(_asked(record))
        return Message("user", parts, time_ms=when, meta=role == "context", format=FORMAT)
    parts = tuple(each for part in parts_of(record) for each in _answer(part))
    return msgspec.structs.replace(
        _answered(parts, text(info, "id")),
        model=text(info, "modelID"),
        usage=usage_of(info),
        time_ms=when,
    )


def _answered(parts: tuple[Part, ...], id: str | None) -> Message:
    """An answer, under the format in which its reasoning was signed."""
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    form = FORMAT
    if any(thought.signature for thought in thoughts):
        form = anthropic.NAME
    elif any(thought.data for thought in thoughts):
        form = openai_responses.NAME
    return Message("assistant", parts, id=id, format=form)


def decode_results(record: JSON) -> Message:
    """The results alone that stand in an answer, or in one part of it."""
    value = record if isinstance(record, dict) else {}
    parts = parts_of(value) if "parts" in value else [value]
    when = created(info_of(value)) or 0
    results = tuple(_result(part) for part in parts if answered(part))
    return Message("tool", results, time_ms=when, format=FORMAT)


def _asked(value: dict[str, JSON]) -> Iterator[Part]:
    """What a prompt tells the model."""
    for part in parts_of(value):
        kind = text(part, "type")
        if kind == "text":
            words = text(part, "text")
            if words is not None and part.get("ignored") is not True:
                yield Text(words)
        elif kind == "file":
            if text(part, "mime") not in _INLINED:
                yield _file(part)
        elif kind == "subtask":
            yield Text(_SUBTASK)
        elif kind not in _SILENT:
            yield unknown(part)


def _answer(part: dict[str, JSON]) -> Iterator[Part]:
    """What one part of an answer says."""
    kind = text(part, "type")
    if kind == "text":
        words = text(part, "text")
        if words is not None:
            yield Text(words)
    elif kind == "reasoning":
        yield from _thought(part)
    elif kind == "tool":
        yield _call(part)
    elif kind == "file":
        yield _file(part)
    elif kind not in _SILENT:
        yield unknown(part)


def _call(part: dict[str, JSON]) -> ToolCall:
    state = _state(part)
    given = state.get("input")
    raw = text(state, "raw")
    arguments = raw if not given and raw is not None else compact({} if given is None else given)
    return ToolCall(text(part, "callID") or "", text(part, "tool") or "tool", arguments)


def _thought(part: dict[str, JSON]) -> Iterator[Thinking]:
    signed = part.get("metadata")
    by: dict[str, Any] = signed if isinstance(signed, dict) else {}
    claude, openai = (
        found if isinstance(found := by.get(key), dict) else {} for key in ("anthropic", "openai")
    )
    thinking = Thinking(
        text(part, "text") or "",
        signature=text(claude, "signature"),
        data=text(openai, "reasoningEncryptedContent"),
        id=text(openai, "itemId"),
    )
    if thinking != Thinking():
        yield thinking


def _result(part: dict[str, JSON]) -> ToolResult:
    """What a call gave back. One whose output OpenCode cleared from the model's sight later
    (`time.compacted`) still has it.
    """
    state = _state(part)
    failed = text(state, "status") == "error"
    metadata = state.get("metadata")
    if failed and isinstance(metadata, dict) and metadata.get("interrupted") is True:
        words = text(metadata, "output") or text(state, "error")
    else:
        words = text(state, "error" if failed else "output")
    said: list[Text | Image | File] = [Text(words)] if words is not None else []
    said += [_file(each) for each in as_list(state.get("attachments")) if isinstance(each, dict)]
    return ToolResult(text(part, "callID") or "", tuple(said), failed, text(part, "tool"))


def _file(part: dict[str, JSON]) -> Image | File:
    media, url = text(part, "mime"), text(part, "url")
    inline = read_data_url(url) if url is not None else None
    if (media or "").startswith("image/"):
        if inline is not None:
            return Image(media, inline[1])
        return Image(media, url=url)
    name = text(part, "filename")
    if inline is not None:
        return File(name, media, inline[1])
    return File(name, media, url=url)
