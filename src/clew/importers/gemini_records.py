"""Gemini CLI's records: what each says, in the ledger's words.

A file is a log of patches: a message that comes again replaces the one with its id, `$rewindTo`
takes messages away, `$set.messages` replaces all of them. An older file is one document with a
list of messages, written anew each time. Either way a message is an entry whose body is the
byte range of its own object. A `gemini` record holds its calls and their results; so two
entries have its bytes: one says the answer, one the results.
Source: `chatRecordingService.ts` and `chatRecordingTypes.ts` of Gemini CLI.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from clew.canonical import canonical, content_id, parse
from clew.errors import Invalid
from clew.importers.facts import TITLE_CHARS_MAX, text, time_ms
from clew.model import (
    JSON,
    File,
    Image,
    Kind,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from clew.shapes import gemini
from clew.shapes.base import as_list, compact, unknown

FORMAT: Final = "gemini-cli"
CALLS: Final = "gemini-cli.calls"
"""The calls alone that a later version of an earlier answer adds."""
RESULTS: Final = "gemini-cli.results"
"""The results alone that stand in an answer's record."""

NAME_BYTES: Final = 12
_UNIQUE_CHARS: Final = 32

_ANSWERS: Final = frozenset({"gemini", "model", "assistant"})
_NOTICES: Final = frozenset({"info", "error", "warning"})
_FAILED: Final = frozenset({"error", "cancelled"})
_LISTS: Final = ("messages", "history")

SNAPSHOT: Final = "<state_snapshot>"
"""How the summary begins that a compression puts in place of what was said before."""
_WRAPPED: Final = ("<session_context>", "<hook_context>", "<system-reminder>", SNAPSHOT)
_FOLDER = re.compile(r"\*\*Workspace Directories:\*\*\s*\n\s*- ([^\n]+)")


class Nested(NamedTuple):
    """A message in a list: where its object begins in the body around it, its size, itself."""

    start: int
    length: int
    value: dict[str, JSON]


class _Patch(msgspec.Struct):
    messages: msgspec.Raw = msgspec.Raw(b"[]")


class _Holder(msgspec.Struct):
    """The one place of each generation where a list of messages may stand."""

    messages: msgspec.Raw = msgspec.Raw(b"[]")
    history: msgspec.Raw = msgspec.Raw(b"[]")
    set: _Patch | None = msgspec.field(default=None, name="$set")


def is_header(value: dict[str, JSON]) -> bool:
    """True for the record with which a file, and each resumption, begins."""
    return text(value, "sessionId") is not None and (
        text(value, "projectHash") is not None or "startTime" in value or has_list(value)
    )


def has_list(value: dict[str, JSON]) -> bool:
    """True for a whole document."""
    return any(isinstance(value.get(key), list) for key in _LISTS)


def is_message(value: dict[str, JSON]) -> bool:
    """True for a message, as it stands on a line of its own."""
    return (
        text(value, "id") is not None
        and text(value, "type") is not None
        and not {"parentId", "uuid", "payload", "message"} & value.keys()
        and bool({"content", "toolCalls", "parts"} & value.keys())
    )


def is_record(value: dict[str, JSON]) -> bool:
    """True for an object as Gemini CLI writes it."""
    patch = isinstance(value.get("$set"), dict) or isinstance(value.get("$rewindTo"), str)
    return patch or is_header(value) or is_message(value)


def nested(body: bytes) -> list[Nested]:
    """The messages in the list that a record holds, in their order.

    Raises `msgspec.DecodeError` for a list that cannot be taken apart.
    """
    holder = msgspec.json.decode(body, type=_Holder)
    patched = holder.set.messages if holder.set is not None else msgspec.Raw(b"[]")
    lists = (bytes(each) for each in (patched, holder.messages, holder.history))
    raw = next((each for each in lists if each.strip() not in (b"[]", b"null")), b"[]")
    at = max(body.find(raw), 0)
    found: list[Nested] = []
    for each in msgspec.json.decode(raw, type=list[msgspec.Raw]):
        item = bytes(each).strip()
        # Between two elements stand but a comma and white space: the next find is this one.
        at = body.index(item, at)
        value = parse(item)
        if isinstance(value, dict):
            found.append(Nested(at, len(item), value))
        at += len(item)
    return found


def chained(session: str, before: str, value: dict[str, JSON]) -> str:
    """By what a message is known: all that it says, and what it follows. A document that was
    written anew as a log of patches has the same names.
    """
    said = content_id(before.encode() + b"\0" + canonical(value))[:NAME_BYTES].hex()
    return f"{session}/{said}"


def classify(value: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    """Kind, role and note of a message."""
    kind = speaker(value)
    if kind == "user":
        return Kind.MESSAGE, _user_role(value), None
    if kind in _ANSWERS:
        return Kind.MESSAGE, "assistant", None
    if kind in _NOTICES:
        return Kind.NOTICE, None, None
    if kind is None:
        return Kind.UNKNOWN, None, "a record without a type"
    return Kind.UNKNOWN, None, f"a message of type {kind[:TITLE_CHARS_MAX]!r}, which is not known"


def speaker(value: dict[str, JSON]) -> str | None:
    """Who speaks in a message; the first documents call the type a role."""
    return text(value, "type") or text(value, "role")


def _user_role(value: dict[str, JSON]) -> str:
    parts = _parts(value)
    if parts and all(type(part) is ToolResult for part in parts):
        return "tool"
    return "user" if typed(value) is not None else "context"


def typed(value: dict[str, JSON]) -> str | None:
    """The words of a prompt that a person typed; `None` for any other message."""
    if speaker(value) != "user":
        return None
    words = _words(value)
    return None if not words or words.lstrip().startswith(_WRAPPED) else words


def _words(value: dict[str, JSON]) -> str:
    return "\n".join(part.text for part in _parts(value) if isinstance(part, Text))


def folder_told(value: dict[str, JSON]) -> str | None:
    """The working folder that the program told the model in a message."""
    words = _words(value) if speaker(value) == "user" else ""
    found = _FOLDER.search(words) if words.startswith("<session_context>") else None
    return found[1].strip() if found else None


def is_snapshot(value: dict[str, JSON]) -> bool:
    """True for the summary that a compression made."""
    return speaker(value) == "user" and _words(value).lstrip().startswith(SNAPSHOT)


def told_at(value: dict[str, JSON]) -> int | None:
    """When a message was said, in Unix milliseconds."""
    found = time_ms(value.get("timestamp"))
    stamp = value.get("ts")
    if found is None and type(stamp) is int and stamp > 0:
        return stamp * 1000 if stamp < 10**11 else stamp
    return found


def has_results(value: dict[str, JSON]) -> bool:
    """True for an answer whose record holds what its tools gave back."""
    return bool(_results(value))


def usage_of(value: dict[str, JSON]) -> Usage | None:
    """What an answer's call used. Each version of an answer repeats it, under the same key.

    Gemini's `input` includes what the cache gave and leaves out what tools added to the
    prompt; its `output` leaves out thoughts. The ledger's are the other way round.
    """
    raw = value.get("tokens")
    if not isinstance(raw, dict):
        return None
    count = {key: n for key, n in raw.items() if type(n) is int and n > 0}
    cached, thoughts = count.get("cached", 0), count.get("thoughts", 0)
    return Usage(
        key=_usage_key(value),
        model=text(value, "model"),
        provider="google",
        input=max(count.get("input", 0) - cached, 0) + count.get("tool", 0),
        output=count.get("output", 0) + thoughts,
        cache_read=cached,
        reasoning=thoughts,
    )


def _usage_key(value: dict[str, JSON]) -> str | None:
    """The message's id. One too short to be unique everywhere is told apart by its time."""
    id = text(value, "id")
    if id is None or len(id) >= _UNIQUE_CHARS:
        return id and f"gemini-cli:{id}"
    return f"gemini-cli:{id}@{told_at(value) or 0}"


# --- reading a stored record -------------------------------------------------------------


def decode(record: JSON) -> Message:
    """What a record says as a message, without the results in it. Never fails: what cannot
    be placed is `Unknown`.
    """
    if not isinstance(record, dict):
        return Message("system", (unknown(record),), meta=True)
    summary = _summary(record)
    if summary is not None:
        return summary
    kind, role, _note = classify(record)
    parts: tuple[Part, ...] = ()
    if kind is Kind.MESSAGE and role == "assistant":
        parts = (*_thoughts(record), *_parts(record), *_calls(record))
    elif kind is Kind.MESSAGE:
        parts = _parts(record)
    if not parts:
        parts = (unknown(record, speaker(record) or "record"),)
    said = "user" if role == "context" else role or "system"
    meta = role == "context" or role is None
    return Message(
        said,
        parts,
        id=text(record, "id") if role == "assistant" else None,
        model=text(record, "model"),
        usage=usage_of(record),
        time_ms=told_at(record) or 0,
        meta=meta,
        format=gemini.NAME,
    )


def decode_calls(record: JSON) -> Message:
    """The calls alone of an answer: a piece of the message with its id."""
    whole = decode(record)
    calls = tuple(part for part in whole.parts if isinstance(part, ToolCall))
    return msgspec.structs.replace(whole, role="assistant", parts=calls)


def decode_results(record: JSON) -> Message:
    """The results alone that stand in an answer's record."""
    value = record if isinstance(record, dict) else {}
    return Message("tool", _results(value), time_ms=told_at(value) or 0, format=gemini.NAME)


def _summary(record: dict[str, JSON]) -> Message | None:
    """What a compression put in place of all messages."""
    patch = record.get("$set")
    messages = as_list(patch.get("messages")) if isinstance(patch, dict) else []
    first = next((m for m in messages if isinstance(m, dict) and is_snapshot(m)), None)
    if first is None:
        return None
    return Message("user", (Text(_words(first)),), time_ms=told_at(first) or 0, summary=True)


def _parts(value: dict[str, JSON]) -> tuple[Part, ...]:
    """The content of a message: words, one part, or a list of both."""
    content = value.get("content", value.get("parts"))
    if isinstance(content, str):
        return (Text(content),) if content else ()
    raw = content if isinstance(content, list) else [content] if content else []
    parts: list[JSON] = [{"text": each} if isinstance(each, str) else each for each in raw]
    try:
        return gemini.decode({"parts": parts}).parts
    except Invalid:
        return (unknown(content),)


def _thoughts(value: dict[str, JSON]) -> list[Part]:
    found: list[Part] = []
    for each in as_list(value.get("thoughts")):
        thought = each if isinstance(each, dict) else {}
        words = ": ".join(filter(None, (text(thought, "subject"), text(thought, "description"))))
        if words:
            found.append(Thinking(words))
    return found


def _calls(value: dict[str, JSON]) -> list[Part]:
    """The calls beside the content. A call that the content has too stands there."""
    known = {part.id for part in _parts(value) if isinstance(part, ToolCall)}
    found: list[Part] = []
    for call in as_list(value.get("toolCalls")):
        id = text(call, "id") if isinstance(call, dict) else None
        if id is not None and id not in known:
            arguments = call.get("args")
            found.append(
                ToolCall(
                    id, text(call, "name") or "", compact({} if arguments is None else arguments)
                )
            )
    return found


def _results(value: dict[str, JSON]) -> tuple[Part, ...]:
    if speaker(value) not in _ANSWERS:
        return ()
    found: list[Part] = []
    for call in as_list(value.get("toolCalls")):
        if isinstance(call, dict) and text(call, "id") is not None:
            found += _results_of(call)
    return tuple(found)


def _results_of(call: dict[str, JSON]) -> list[Part]:
    """What one call gave back: function responses, words, or but what was shown."""
    id, failed = text(call, "id") or "", text(call, "status") in _FAILED
    parts = _parts({"content": call.get("result")})
    given = [part for part in parts if isinstance(part, ToolResult)]
    if given:
        # A result that was masked later holds those of all calls of its step.
        own = next((part for part in given if part.call_id == id), given[0])
        bad = own.is_error or failed
        # Pictures and files that a tool gave stand behind its response.
        media = tuple(part for part in parts if isinstance(part, Image | File))
        said = own.parts + (media if len(given) == 1 else ())
        return [msgspec.structs.replace(own, call_id=own.call_id or id, parts=said, is_error=bad)]
    words = tuple(part for part in parts if isinstance(part, Text))
    shown = call.get("resultDisplay")
    if not words and isinstance(shown, str) and shown:
        words = (Text(shown),)
    return [ToolResult(id, words, failed, text(call, "name"))] if words else []
