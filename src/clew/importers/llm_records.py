"""llm's records: what a message, a turn and an old response say, in the ledger's words.

Of an old response one row says several messages, so it has several formats: the system prompt,
what the tools gave back, the prompt, the answer.
"""

from __future__ import annotations

from typing import Final

from clew.importers.facts import text, time_ms
from clew.model import (
    JSON,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)
from clew.shapes import base

FORMAT: Final = "llm"
SYSTEM: Final = "llm.system"
RESULTS: Final = "llm.results"
PROMPT: Final = "llm.prompt"
ANSWER: Final = "llm.answer"
BYTES: Final = "$bytes"
"""Under this key stands base64, see `database.line`."""

_ROLES = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


# --- messages of the newer tables --------------------------------------------------------


def decode(value: JSON) -> Message:
    """A row of `messages` with its parts. Never fails: what cannot be placed is `Unknown`."""
    if not isinstance(value, dict):
        return Message("system", (base.unknown(value),), meta=True)
    role = _ROLES.get(text(value, "role") or "")
    parts = tuple(_part(each) for each in base.as_list(value.get("parts")))
    if role is None:
        parts = parts or (base.unknown(value, "message"),)
    turn = value.get("turn")
    told = turn if isinstance(turn, dict) else {}
    return Message(
        role or "system",
        parts,
        model=_model(told) if role == "assistant" else None,
        time_ms=time_ms(told.get("datetime_utc")) or 0,
        meta=role is None,
        format=FORMAT,
    )


def _part(value: JSON) -> Part:
    match value:
        case {"type": "text", "text": str(words)}:
            return Text(words)
        case {"type": "reasoning"}:
            return _thinking(value)
        case {"type": "tool_call", "name": str(name)}:
            arguments = base.compact(value.get("arguments", {}))
            return ToolCall(text(value, "tool_call_id") or "", name, arguments)
        case {"type": "tool_result"}:
            return _result(value)
        case {"type": "attachment", "attachment": dict(attachment)}:
            return attached(attachment)
        case _:
            return base.unknown(value)


def _thinking(value: dict[str, JSON]) -> Thinking:
    """Reasoning; what the provider wants back lies under the provider's name."""
    told = value.get("provider_metadata")
    keys: dict[str, JSON] = {}
    for each in told.values() if isinstance(told, dict) else ():
        keys |= each if isinstance(each, dict) else {}
    return Thinking(
        text(value, "text") or "",
        signature=text(keys, "signature") or text(keys, "thoughtSignature"),
        data=text(keys, "encrypted_content") or text(keys, "data"),
        id=text(keys, "id"),
    )


def _result(value: dict[str, JSON]) -> ToolResult:
    parts: list[Text | Image | File | Unknown] = [Text(text(value, "output") or "")]
    told = base.as_list(value.get("attachments"))
    parts += (attached(each) if isinstance(each, dict) else base.unknown(each) for each in told)
    return ToolResult(
        text(value, "tool_call_id") or "",
        tuple(parts),
        is_error=value.get("exception") is not None,
        name=text(value, "name"),
    )


def attached(value: dict[str, JSON]) -> Image | File:
    """An attachment. A file that is only named is not read: it may have changed since."""
    kind, url, path = text(value, "type"), text(value, "url"), text(value, "path")
    content = value.get("content")
    data = text(content, BYTES) if isinstance(content, dict) else None
    if kind is not None and kind.startswith("image/") and (data or url):
        return Image(kind, data, url)
    return File(path, kind, data, url)


# --- responses of the older tables -------------------------------------------------------


def decode_system(value: JSON) -> Message:
    """The system prompt of an old response."""
    parts = _with_fragments(value, "system_fragments", "system")
    return Message("system", parts, time_ms=_when(value), format=FORMAT)


def decode_results(value: JSON) -> Message:
    """What the tools gave back for the response before."""
    told = base.as_list(value.get("tool_results")) if isinstance(value, dict) else []
    parts = tuple(_result(each) for each in told if isinstance(each, dict))
    return Message("tool", parts, time_ms=_when(value), format=FORMAT)


def decode_prompt(value: JSON) -> Message:
    """The prompt of an old response, its fragments before it, its attachments behind it."""
    parts: tuple[Part, ...] = _with_fragments(value, "prompt_fragments", "prompt")
    told = base.as_list(value.get("attachments")) if isinstance(value, dict) else []
    parts += tuple(attached(each) for each in told if isinstance(each, dict))
    return Message("user", parts, time_ms=_when(value), format=FORMAT)


def decode_answer(value: JSON) -> Message:
    """The answer of an old response: reasoning, words, calls."""
    if not isinstance(value, dict):
        return Message("system", (base.unknown(value),), meta=True)
    parts: list[Part] = []
    if reasoning := text(value, "reasoning"):
        parts.append(Thinking(reasoning))
    if words := text(value, "response"):
        parts.append(Text(words))
    for call in base.as_list(value.get("tool_calls")):
        match call:
            case {"name": str(name)}:
                arguments = call.get("arguments")
                told = arguments if isinstance(arguments, str) else base.compact(arguments or {})
                parts.append(ToolCall(text(call, "tool_call_id") or "", name, told))
            case _:
                parts.append(base.unknown(call, "tool_call"))
    return Message(
        "assistant",
        tuple(parts),
        id=text(value, "id"),
        model=_model(value),
        usage=usage_of(value),
        time_ms=_when(value),
        format=FORMAT,
    )


def _with_fragments(value: JSON, fragments: str, words: str) -> tuple[Text, ...]:
    if not isinstance(value, dict):
        return ()
    told = base.as_list(value.get(fragments))
    texts = [text(each, "content") for each in told if isinstance(each, dict)]
    return tuple(Text(each) for each in (*texts, text(value, words)) if each)


def said_by(value: dict[str, JSON]) -> list[tuple[str, str]]:
    """The formats and roles of the messages that an old response says, in order."""
    found = []
    if decode_system(value).parts and value.get("system_again") is not True:
        found.append((SYSTEM, "system"))
    if decode_results(value).parts:
        found.append((RESULTS, "tool"))
    if decode_prompt(value).parts:
        found.append((PROMPT, "user"))
    return [*found, (ANSWER, "assistant")]


# --- both --------------------------------------------------------------------------------


def _when(value: JSON) -> int:
    return (time_ms(value.get("datetime_utc")) or 0) if isinstance(value, dict) else 0


def _model(value: dict[str, JSON]) -> str | None:
    return text(value, "resolved_model") or text(value, "model")


def usage_of(value: dict[str, JSON]) -> Usage | None:
    """The tokens of a turn or an old response; `None` where none are told.

    `token_details` is what the provider said beside the two counts. OpenAI and Gemini count what
    the cache gave as input, Anthropic does not.
    """
    if value.get("input_tokens") is None and value.get("output_tokens") is None:
        return None
    details = value.get("token_details")
    inside = (
        base.number(details, "prompt_tokens_details", "cached_tokens")
        or base.number(details, "input_tokens_details", "cached_tokens")
        or base.number(details, "cachedContentTokenCount")
    )
    output = base.number(value, "output_tokens")
    reasoning = (
        base.number(details, "completion_tokens_details", "reasoning_tokens")
        or base.number(details, "output_tokens_details", "reasoning_tokens")
        or base.number(details, "thoughtsTokenCount")
    )
    return Usage(
        key=text(value, "id"),
        model=_model(value),
        input=max(base.number(value, "input_tokens") - inside, 0),
        output=output,
        cache_read=inside or base.number(details, "cache_read_input_tokens"),
        cache_write=base.number(details, "cache_creation_input_tokens"),
        reasoning=min(reasoning, output),
    )
