"""OpenAI Responses items: each item of `input` or `output` is one message here.

Source: https://platform.openai.com/docs/api-reference/responses/create. Ids of items
(`rs_…`, `fc_…`, `msg_…`) hold only where they were stored, so nothing is replayed by id:
reasoning goes back as its encrypted content or not at all. A local shell call is a tool call
named `local_shell`; tools that run at OpenAI stay raw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
)
from clew.shapes import base
from clew.shapes.ids import tool_name, unique_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "openai-responses"
ID_CHARS_MAX = 64
LOCAL_SHELL = "local_shell"
REPLAYED = frozenset({"web_search_call", "compaction"})
"""Raw items that go back as they were, without their server id."""

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_OUTPUTS = frozenset(
    {"function_call_output", "custom_tool_call_output", "local_shell_call_output"}
)  # fmt: skip


def decode(data: JSON) -> Message:
    """Read one item. Raises `Invalid` for what is no item; unknown items stay raw."""
    kind = data.get("type", "message") if isinstance(data, dict) else "message"
    if kind == "message":
        return _message(data)
    base.require(data, "type", "an OpenAI Responses item")
    identity = base.text_or_none(data.get("id"))
    if kind in _OUTPUTS:
        return Message("tool", (_output(data),), id=identity, format=NAME)
    return Message("assistant", (_item(data),), id=identity, format=NAME)


def _message(data: JSON) -> Message:
    role = base.role_of(data, _ROLES, "an OpenAI Responses message")
    content = data.get("content")
    parts = (Text(content),) if isinstance(content, str) else map(_part, base.as_list(content))
    identity, model = base.text_or_none(data.get("id")), base.text_or_none(data.get("model"))
    usage = None
    if "usage" in data:
        usage = base.openai_usage(data["usage"], key=identity, model=model)
    return Message(role, tuple(parts), id=identity, model=model, usage=usage, format=NAME)


def _part(block: JSON) -> Text | Image | File | Unknown:
    match block:
        case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
            return Text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return Text(text)
        case {"type": "input_image", "image_url": str(url)}:
            return base.image_from_url(url)
        case {"type": "input_file"}:
            return _file(block)
        case _:
            return base.unknown(block)


def _file(block: dict[str, JSON]) -> File:
    name = base.text_or_none(block.get("filename"))
    data = base.text_or_none(block.get("file_data"))
    inline = base.read_data_url(data) if data else None
    if inline is not None:
        return File(name, inline[0], inline[1])
    url, file = base.text_or_none(block.get("file_url")), base.text_or_none(block.get("file_id"))
    return File(name, data=data, url=url, file_id=file)


def _item(data: dict[str, JSON]) -> Part:
    match data:
        case {"type": "function_call", "call_id": str(call), "name": str(name)}:
            arguments = data.get("arguments", "{}")
            text = arguments if isinstance(arguments, str) else base.compact(arguments)
            return ToolCall(call, name, text)
        case {"type": "custom_tool_call", "call_id": str(call), "name": str(name)}:
            return ToolCall(call, name, base.compact(data.get("input", "")))
        case {"type": "local_shell_call", "call_id": str(call), "action": action}:
            return ToolCall(call, LOCAL_SHELL, base.compact(action))
        case {"type": "reasoning"}:
            return Thinking(
                _summary(data),
                data=base.text_or_none(data.get("encrypted_content")),
                id=base.text_or_none(data.get("id")),
            )
        case _:
            return base.unknown(data)


def _summary(data: dict[str, JSON]) -> str:
    for key in ("summary", "content"):
        texts = [b["text"] for b in base.as_list(data.get(key)) if _has_text(b)]
        if texts:
            return "\n\n".join(texts)
    return ""


def _has_text(block: JSON) -> bool:
    return isinstance(block, dict) and isinstance(block.get("text"), str)


def _output(data: dict[str, JSON]) -> ToolResult:
    output = data.get("output")
    call = base.text_or_none(data.get("call_id")) or base.text_or_none(data.get("id")) or ""
    if isinstance(output, str):
        return ToolResult(call, (Text(output),))
    if isinstance(output, list):
        return ToolResult(call, tuple(map(_part, output)))
    return ToolResult(call, () if output is None else (Text(base.compact(output)),))


# --- writing -----------------------------------------------------------------------------


def encode(messages: Sequence[Message], *, model: str | None = None) -> dict[str, JSON]:
    """`{"instructions"?, "input"}`. Leading system messages become `instructions`, later
    ones `developer` messages where they stand.
    """
    settled = unique_ids(messages, limit=ID_CHARS_MAX)
    calls = base.call_names(settled)
    start = 0
    while start < len(settled) and settled[start].role == "system":
        start += 1
    words = [message.text for message in settled[:start] if message.text.strip()]
    items: list[JSON | None] = []
    for message in settled[start:]:
        if message.role == "assistant":
            items.extend(_assistant_items(message, model))
        else:
            items.extend(_user_items(message, calls))
    request: dict[str, JSON] = {"input": _with_followers(items)}
    return {"instructions": "\n\n".join(words), **request} if words else request


def _with_followers(items: list[JSON | None]) -> list[JSON]:
    """Leave out reasoning whose product is gone: the two stand or fall together."""
    kept: list[JSON] = []
    follower: JSON | None = None
    for item in reversed(items):
        if item is None or item.get("type") != "reasoning" or _is_product(follower):
            follower = item
            if item is not None:
                kept.append(item)
    return kept[::-1]


def _is_product(item: JSON | None) -> bool:
    if item is None or item.get("role") in ("user", "developer"):
        return False
    return item.get("type") not in _OUTPUTS


def _assistant_items(message: Message, model: str | None) -> Iterator[JSON | None]:
    """The items of a message; `None` where one was left out."""
    replay = base.may_replay(message, NAME, model)
    for part in message.parts:
        match part:
            case Text(text) if text.strip():
                yield _say("assistant", [{"type": "output_text", "text": text}])
            case ToolCall():
                yield _write_call(part)
            case Thinking(text, data=str(sealed)) if replay and sealed:
                summary = [{"type": "summary_text", "text": text}] if text else []
                yield {"type": "reasoning", "summary": summary, "encrypted_content": sealed}
            case Unknown(kind, dict(raw)) if message.format == NAME and kind in REPLAYED:
                yield {key: value for key, value in raw.items() if key != "id"}
            case Image() | File():
                text = base.left_out(part)
                yield _say("assistant", [{"type": "output_text", "text": text}])
            case Unknown():
                yield None
            case _:
                pass


def _say(role: str, content: list[JSON]) -> JSON:
    return {"type": "message", "role": role, "content": content}


def _write_call(call: ToolCall) -> JSON:
    name, text = tool_name(call.name), base.free_text(call.arguments)
    if text is not None:
        return {"type": "custom_tool_call", "call_id": call.id, "name": name, "input": text}
    arguments = call.arguments if call.arguments.strip() else "{}"
    return {"type": "function_call", "call_id": call.id, "name": name, "arguments": arguments}


def _user_items(message: Message, calls: dict[str, ToolCall]) -> Iterator[JSON]:
    for result in message.tool_results:
        call = calls.get(result.call_id)
        custom = call is not None and base.free_text(call.arguments) is not None
        kind = "custom_tool_call_output" if custom else "function_call_output"
        yield {"type": kind, "call_id": result.call_id, "output": _write_output(result)}
    if message.role == "system":
        if message.text.strip():
            yield _say("developer", [{"type": "input_text", "text": message.text}])
        return
    content = [
        _write_part(part)
        for part in message.parts
        if isinstance(part, Image | File) or (isinstance(part, Text) and part.text.strip())
    ]
    if content:
        yield _say("user", content)


def _write_output(result: ToolResult) -> JSON:
    if not any(isinstance(part, Image | File) for part in result.parts):
        return result.text
    return [_write_part(p) for p in result.parts if isinstance(p, Text | Image | File)]


def _write_part(part: Text | Image | File) -> JSON:
    match part:
        case Text(text):
            return {"type": "input_text", "text": text}
        case Image():
            url = base.image_url(part)
            if url:
                return {"type": "input_image", "image_url": url, "detail": "auto"}
        case File(data=str(data)) if data:
            url = base.data_url(part.media_type or "application/octet-stream", data)
            return {"type": "input_file", "filename": part.name or "file", "file_data": url}
        case File(url=str(url)) if url:
            return {"type": "input_file", "file_url": url}
    return {"type": "input_text", "text": base.left_out(part)}
