"""Open WebUI's messages: what each says, in the ledger's words.

    {id, parentId, childrenIds, role, content, timestamp, model, done, usage, files, output, error}

An answer with tools is one message. Newer ones have `output`, items of the Responses API; all have
`content`, in which calls and reasoning are HTML:

    <details type="reasoning" done="true" …><summary>…</summary>> words</details>
    <details type="tool_calls" done="true" id="…" name="…" arguments="…" result="…">…</details>

So up to three entries have an answer's bytes: what was said up to the last call, what the calls
gave back, and what was said behind it. A `contextSummary` on a message is what the model sees in
place of all before it, and makes one more. Beside the message a record says which one it is, or
is a copy of: `{"of": "<chat>/<message>", "message": {…}}`.
Source: `backend/open_webui/utils/middleware.py`, `context_compaction.py` and
`models/chat_messages.py` of Open WebUI.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import parse
from clew.errors import Invalid
from clew.importers.facts import count, text
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
    Unknown,
    Usage,
)
from clew.shapes import openai_chat, openai_responses
from clew.shapes.base import as_list, compact, image_from_url, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = "open-webui"
RESULTS: Final = "open-webui.results"
"""What the calls in an answer gave back."""
REST: Final = "open-webui.rest"
"""What an answer says behind its last call."""
SUMMARY: Final = "open-webui.summary"
"""The summary that a message carries of what stands before it."""

_OPEN: Final = '<details type="'
_CLOSE: Final = "</details>"
_ATTRIBUTE: Final = re.compile(r'([A-Za-z_-]{1,40})="([^"]*)"')
_ABOUT: Final = re.compile(r"\s*<summary>[^<]*</summary>\s*")
_QUOTED: Final = re.compile(r"^> ?", re.MULTILINE)
_HEADS_MAX: Final = 10_000
"""So many marks are looked for in a message; what follows is words."""

_MS_FROM: Final = 10**11


def told_at(value: dict[str, JSON]) -> int | None:
    """When a message was said, in Unix milliseconds. The program counts seconds; some of its
    clients count milliseconds.
    """
    stamp = value.get("timestamp")
    if isinstance(stamp, float):
        stamp = int(stamp)
    if type(stamp) is not int or not 0 < stamp < 10**14:
        return None
    return stamp if stamp >= _MS_FROM else stamp * 1000


def classify(value: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    """Kind, role and note of a message."""
    role = text(value, "role")
    if role not in ("user", "assistant", "system"):
        return Kind.UNKNOWN, None, f"a message of role {str(role)[:40]!r}, which is not known"
    if not any(True for _ in _said(value)):
        return Kind.NOTICE, None, None
    return Kind.MESSAGE, role, None


def is_written(value: dict[str, JSON]) -> bool:
    """True for an answer to which more may come."""
    ended = value.get("done") is True or bool(value.get("error"))
    return text(value, "role") == "assistant" and not ended


def has_results(value: dict[str, JSON]) -> bool:
    """True for an answer that holds what its calls gave back."""
    return any(isinstance(part, ToolResult) for part in _said(value))


def has_rest(value: dict[str, JSON]) -> bool:
    """True for an answer that says something behind its calls."""
    return bool(_split(value)[1])


def typed(value: dict[str, JSON]) -> str:
    """The words of a prompt."""
    return "\n".join(part.text for part in _said(value) if isinstance(part, Text))


def summary_of(value: dict[str, JSON]) -> str | None:
    """What the model sees in place of all that stands before this message."""
    return text(value, "contextSummary") or text(value, "context_summary")


def usage_of(record: dict[str, JSON]) -> Usage | None:
    """What an answer used, in OpenAI's words, Ollama's or the program's own; all calls of one
    answer together. A clone's copy of it is the same.
    """
    value = message_of(record)
    info = value.get("info")
    if text(value, "role") != "assistant":
        return None
    raw = value.get("usage") or (info.get("usage") if isinstance(info, dict) else None)
    if not isinstance(raw, dict):
        return None
    asked = count(raw, "input_tokens", "prompt_tokens", "prompt_eval_count")
    details = raw.get("input_tokens_details") or raw.get("prompt_tokens_details")
    cached = min(count(details, "cached_tokens"), asked)
    given = count(raw, "output_tokens", "completion_tokens", "eval_count")
    thought = raw.get("output_tokens_details") or raw.get("completion_tokens_details")
    if not asked and not given:
        return None
    return Usage(
        key=f"open-webui:{text(record, 'of')}",
        model=text(value, "model"),
        input=asked - cached,
        output=given,
        cache_read=cached,
        reasoning=min(count(thought, "reasoning_tokens"), given),
    )


# --- reading a stored record -------------------------------------------------------------


def decode(record: JSON) -> Message:
    """What a message says: all of a prompt, and of an answer what stands up to its last call.
    Never fails: what cannot be placed is `Unknown`.
    """
    value = message_of(record)
    kind, role, _note = classify(value)
    if kind is not Kind.MESSAGE:
        return Message("system", (unknown(record, "message"),), meta=True)
    answer = role == "assistant"
    parts = _split(value)[0] if answer else tuple(_said(value))
    return Message(
        role or "user",
        parts,
        id=text(value, "id") if answer else None,
        model=text(value, "model") if answer else None,
        usage=usage_of(record) if isinstance(record, dict) else None,
        time_ms=told_at(value) or 0,
        format=FORMAT,
    )


def decode_results(record: JSON) -> Message:
    """What the calls in an answer gave back."""
    value = message_of(record)
    results = tuple(part for part in _said(value) if isinstance(part, ToolResult))
    return Message("tool", results, time_ms=told_at(value) or 0, format=FORMAT)


def decode_rest(record: JSON) -> Message:
    """What an answer says behind its last call: a message of its own."""
    value = message_of(record)
    return Message(
        "assistant",
        _split(value)[1],
        id=f"{text(value, 'id') or ''}/rest",
        model=text(value, "model"),
        time_ms=told_at(value) or 0,
        format=FORMAT,
    )


def decode_summary(record: JSON) -> Message:
    """The summary that a message carries."""
    value = message_of(record)
    words = (Text(summary_of(value) or ""),)
    return Message("user", words, time_ms=told_at(value) or 0, summary=True)


def message_of(record: JSON) -> dict[str, JSON]:
    """The message in a record."""
    found = record.get("message") if isinstance(record, dict) else None
    return found if isinstance(found, dict) else {}


def _split(value: dict[str, JSON]) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """What an answer says up to its last call, and behind it; without what they gave back."""
    parts = list(_said(value))
    calls = [at for at, part in enumerate(parts) if isinstance(part, ToolCall)]
    end = calls[-1] + 1 if calls else len(parts)
    first, rest = (
        tuple(part for part in some if not isinstance(part, ToolResult))
        for some in (parts[:end], parts[end:])
    )
    return first, rest


def _said(value: dict[str, JSON]) -> Iterator[Part]:
    """All that a message says, in its order."""
    answer = text(value, "role") == "assistant"
    if answer:
        parts = [part for item in as_list(value.get("output")) for part in _item(item)]
        if any(not isinstance(part, Unknown) for part in parts):
            yield from parts
            return
    content = value.get("content")
    if isinstance(content, str):
        yield from _marked(content) if answer else _words(content)
    elif isinstance(content, list):
        yield from _blocks(content)
    for each in as_list(value.get("files")):
        if isinstance(each, dict):
            yield _file(each)


def _item(item: JSON) -> tuple[Part, ...]:
    """An item of the Responses API; other programs' items (`open_webui:…`) stay raw."""
    try:
        named = isinstance(item, dict) and text(item, "type") is not None
        parts = openai_responses.decode(item).parts if named else (unknown(item),)
    except Invalid:
        parts = (unknown(item),)
    return tuple(part for part in parts if part not in (Text(""), Thinking()))


def _blocks(content: list[JSON]) -> tuple[Part, ...]:
    try:
        return openai_chat.decode({"role": "user", "content": content}).parts
    except Invalid:
        return tuple(unknown(block) for block in content)


def _words(words: str) -> Iterator[Part]:
    if words.strip():
        yield Text(words)


def _marked(content: str) -> Iterator[Part]:
    """The words of an answer, and the calls and reasoning between them."""
    at = 0
    for number in range(_HEADS_MAX):
        start = content.find(_OPEN, at)
        head = content.find(">", start) if start >= 0 else -1
        end = content.find(_CLOSE, head) if head >= 0 else -1
        if end < 0:
            break
        attributes = dict(_ATTRIBUTE.findall(content[start:head]))
        about = _ABOUT.match(content, head + 1, end)
        inside = content[about.end() if about else head + 1 : end]
        parts = _details(attributes, inside, number)
        if parts is None:  # of another kind, a code that ran: words
            yield from _words(content[at : end + len(_CLOSE)])
        else:
            yield from _words(content[at:start].strip("\n"))
            yield from parts
        at = end + len(_CLOSE)
    yield from _words(content[at:].strip("\n"))


def _details(attributes: dict[str, str], inside: str, number: int) -> list[Part] | None:
    kind = attributes.get("type")
    if kind == "reasoning":
        return [Thinking(html.unescape(_QUOTED.sub("", inside)).strip())]
    if kind != "tool_calls":
        return None
    told = {key: html.unescape(value) for key, value in attributes.items()}
    call = told.get("id") or f"call-{number}"
    parts: list[Part] = [ToolCall(call, told.get("name") or "tool", _json(told.get("arguments")))]
    result = told.get("result") or html.unescape(inside).strip()
    if told.get("done") == "true" and (result or "result" in told):
        words = _value(result)
        shown = words if isinstance(words, str) else compact(words)
        parts.append(ToolResult(call, (Text(shown),) if shown else (), name=told.get("name")))
    return parts


def _json(told: str | None) -> str:
    """Arguments: JSON, or JSON in a JSON text."""
    value = _value(told or "")
    if isinstance(value, str):
        return value or "{}"
    return compact(value)


def _value(told: str) -> Any:
    try:
        return parse(told.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return told


def _file(raw: dict[str, JSON]) -> Part:
    url, media = text(raw, "url"), text(raw, "content_type")
    if raw.get("type") == "image" and url is not None:
        return image_from_url(url) if ":" in url else Image(media, url=url)
    return File(text(raw, "name"), media, url=url, file_id=text(raw, "id"))
