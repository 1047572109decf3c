"""What LangGraph's messages say: LangChain's `human`, `ai`, `tool` and `system`, as the state of a
graph holds them, or plain objects in the shape of a provider.

Sources: langchain_core.messages and its `usage_metadata`, whose input counts what was read from and
written to the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.errors import Invalid
from clew.importers.facts import count
from clew.importers.langgraph_packed import NEW
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
from clew.shapes import base, sniff
from clew.shapes import decode as decode_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT: Final = "langgraph"
REMOVE: Final = "remove"
_ROLES: Final = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
    "chat": "user",
}
_CLASSES: Final = {
    "HumanMessage": "human",
    "AIMessage": "ai",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "function",
    "ChatMessage": "chat",
    "RemoveMessage": REMOVE,
}
_OWN_ID_CHARS: Final = 16
"""A message's id of so many characters is no counter of a developer's."""
_CALLS = frozenset(
    {"tool_use", "tool_call", "function_call", "input_json_delta", "tool_call_chunk"}
)


def message_of(value: JSON) -> dict[str, JSON] | None:
    """The fields of a message, whatever it is wrapped in; `None` for another value."""
    if not isinstance(value, dict):
        return None
    kind: JSON = None
    fields = value
    if NEW in value and isinstance(value.get("kwargs"), dict):
        fields, kind = value["kwargs"], str(value[NEW]).rpartition(".")[2]
    elif value.get("type") == "constructor" and isinstance(value.get("kwargs"), dict):
        name = value.get("id")
        fields, kind = value["kwargs"], name[-1] if isinstance(name, list) and name else None
    elif "type" not in value and "role" in value and "content" in value:
        return value
    named = _CLASSES.get(str(kind).removesuffix("Chunk"))
    kind = str(fields.get("type") or "").removesuffix("MessageChunk").lower() or named
    if (kind not in _ROLES and kind != REMOVE) or "content" not in fields:
        return None
    return {**fields, "type": kind}


def id_of(message: Mapping[str, Any]) -> str | None:
    """The id that the graph knows a message by."""
    found = message.get("id")
    return found if isinstance(found, str) and found else None


def decode(row: JSON) -> Message:
    """What a row says as a message. Never fails: what cannot be placed is `Unknown`."""
    message = message_of(row.get("message")) if isinstance(row, dict) else None
    if message is None:
        return Message("system", (Unknown("message", row),), meta=True)
    if "type" not in message:
        try:
            said = decode_shape(sniff(message), message)
        except Invalid:
            return Message("system", (Unknown("message", message),), meta=True)
        return msgspec.structs.replace(said, id=None)
    role = _ROLES.get(str(message["type"]), "system")
    about = message.get("response_metadata")
    about = about if isinstance(about, dict) else {}
    model = base.text_or_none(about.get("model_name")) or base.text_or_none(about.get("model"))
    if role == "tool":
        parts: tuple[Part, ...] = (_result(message),)
    else:
        parts = tuple(_parts(message))
    return Message(
        role,
        parts,
        model=model if role == "assistant" else None,
        usage=_usage(row, message, model, about) if role == "assistant" else None,
        summary=row.get("compaction") is True,
        format=FORMAT,
    )


def _usage(
    row: Mapping[str, Any], message: Mapping[str, Any], model: str | None, about: dict[str, JSON]
) -> Usage | None:
    told = message.get("usage_metadata")
    if not isinstance(told, dict):
        return None
    read, made = told.get("input_token_details"), told.get("output_token_details")
    cached, written = count(read, "cache_read"), count(read, "cache_creation")
    key = id_of(message)
    if key is None or len(key) < _OWN_ID_CHARS:
        key = f"langgraph:{row.get('thread_id')}/{row.get('checkpoint_id')}/{key}"
    return Usage(
        key=key,
        model=model,
        provider=base.text_or_none(about.get("model_provider")),
        input=max(count(told, "input_tokens") - cached - written, 0),
        output=count(told, "output_tokens"),
        cache_read=cached,
        cache_write=written,
        reasoning=count(made, "reasoning"),
    )


def _parts(message: Mapping[str, Any]) -> Iterator[Part]:
    more = message.get("additional_kwargs")
    thought = more.get("reasoning_content") if isinstance(more, dict) else None
    if isinstance(thought, str) and thought:
        yield Thinking(thought)
    calls = [call for call in base.as_list(message.get("tool_calls")) if isinstance(call, dict)]
    failed = base.as_list(message.get("invalid_tool_calls"))
    for part in _content(message.get("content")):
        if not (isinstance(part, Unknown) and part.type in _CALLS and calls):
            yield part
    for call in [*calls, *(call for call in failed if isinstance(call, dict))]:
        given = call.get("args")
        arguments = given if isinstance(given, str) else base.compact(given or {})
        name, id = base.text_or_none(call.get("name")), base.text_or_none(call.get("id"))
        yield ToolCall(id or "", name or "", arguments)


def _result(message: Mapping[str, Any]) -> ToolResult:
    parts = tuple(
        part if isinstance(part, Text | Image | File | Unknown) else base.unknown(None, "part")
        for part in _content(message.get("content"))
    )
    call = base.text_or_none(message.get("tool_call_id")) or ""
    name = base.text_or_none(message.get("name"))
    return ToolResult(call, parts, message.get("status") == "error", name)


def _content(content: JSON) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Text(content)
        return
    for block in base.as_list(content):
        yield _block(block)


def _block(block: JSON) -> Part:
    """A block of a message's content: LangChain's own kinds, and those of providers."""
    match block:
        case str():
            return Text(block)
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "reasoning", "reasoning": str(text)}:
            return Thinking(text)
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            return base.image_from_url(url)
        case {"type": "image", "base64": str(data)} | {"type": "image", "data": str(data)}:
            return Image(base.text_or_none(block.get("mime_type")), data)
        case {"type": "image", "url": str(url)}:
            return base.image_from_url(url)
        case {"type": "file", "base64": str(data)} | {"type": "file", "data": str(data)}:
            kind = base.text_or_none(block.get("mime_type"))
            return File(base.text_or_none(block.get("filename")), kind, data)
        case {"type": "thinking" | "redacted_thinking" | "image" | "document"}:
            try:
                read = decode_shape("anthropic", {"role": "assistant", "content": [block]})
            except Invalid:
                return base.unknown(block)
            return read.parts[0]
        case _:
            return base.unknown(block)
