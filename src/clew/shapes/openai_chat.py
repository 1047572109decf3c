"""OpenAI Chat Completions messages, and what compatible servers add to them.

Source: https://platform.openai.com/docs/api-reference/chat/create. A custom tool's input is
free text: it is kept as one JSON string in `ToolCall.arguments`, which tells it from a
function's JSON object on the way back.
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

NAME = "openai-chat"
ID_CHARS_MAX = 40

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def decode(data: JSON) -> Message:
    """Read one message. Raises `Invalid` when it is none."""
    role = base.role_of(data, _ROLES, "an OpenAI Chat message")
    content = data.get("content")
    if role == "tool":
        return Message(role, (_result(data, content),), format=NAME)
    identity, model = base.text_or_none(data.get("id")), base.text_or_none(data.get("model"))
    parts = (*_reasoning(data), *_content(content), *_calls(data))
    usage = None
    if "usage" in data:
        usage = base.openai_usage(data["usage"], key=identity, model=model)
    return Message(role, parts, id=identity, model=model, usage=usage, format=NAME)


def _reasoning(data: dict[str, JSON]) -> Iterator[Part]:
    text = data.get("reasoning_content") or data.get("reasoning")
    if isinstance(text, str) and text:
        yield Thinking(text)


def _content(content: JSON) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(map(_part, base.as_list(content)))


def _part(block: JSON) -> Text | Image | File | Unknown:
    match block:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return Text(text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return base.image_from_url(url)
        case {"type": "file", "file": dict(file)}:
            return _file(file)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(kind)}}:
            return File(media_type=f"audio/{kind}", data=data)
        case _:
            return base.unknown(block)


def _file(file: dict[str, JSON]) -> File:
    name = base.text_or_none(file.get("filename"))
    data = base.text_or_none(file.get("file_data"))
    inline = base.read_data_url(data) if data else None
    if inline is not None:
        return File(name, inline[0], inline[1])
    return File(name, data=data, file_id=base.text_or_none(file.get("file_id")))


def _calls(data: dict[str, JSON]) -> Iterator[Part]:
    refusal = data.get("refusal")
    if isinstance(refusal, str) and refusal:
        yield Text(refusal)
    if isinstance(data.get("audio"), dict):
        yield base.unknown(data["audio"], "audio")
    for call in base.as_list(data.get("tool_calls")):
        yield _call(call)
    match data.get("function_call"):
        case {"name": str(name), "arguments": str(arguments)}:
            yield ToolCall("", name, arguments)
        case _:
            pass


def _call(call: JSON) -> ToolCall | Unknown:
    match call:
        case {"function": {"name": str(name), **rest}}:
            arguments = rest.get("arguments", "{}")
            text = arguments if isinstance(arguments, str) else base.compact(arguments)
            return ToolCall(base.text_or_none(call.get("id")) or "", name, text)
        case {"type": "custom", "custom": {"name": str(name), "input": str(text)}}:
            return ToolCall(base.text_or_none(call.get("id")) or "", name, base.compact(text))
        case _:
            return base.unknown(call)


def _result(data: dict[str, JSON], content: JSON) -> ToolResult:
    parts = (Text(content),) if isinstance(content, str) else map(_part, base.as_list(content))
    call = base.text_or_none(data.get("tool_call_id")) or ""
    return ToolResult(call, tuple(parts), name=base.text_or_none(data.get("name")))


# --- writing -----------------------------------------------------------------------------


def encode(messages: Sequence[Message], *, model: str | None = None) -> dict[str, JSON]:
    """`{"messages"}`. A run of assistant messages that calls tools becomes one message, so
    that the results stand right behind it; pictures from tools follow as a user message.
    """
    del model  # no reasoning goes back in this format
    out: list[dict[str, JSON]] = []
    run: list[Message] = []
    for message in unique_ids(messages, limit=ID_CHARS_MAX):
        if message.role == "assistant":
            run.append(message)
            continue
        out.extend(_assistant(run))
        run = []
        out.extend(_other(message))
    out.extend(_assistant(run))
    return {"messages": out}


def _assistant(run: list[Message]) -> Iterator[dict[str, JSON]]:
    if not any(message.tool_calls for message in run):
        for message in run:
            text = _words(message.parts)
            if text:
                yield {"role": "assistant", "content": text}
        return
    words = [text for message in run if (text := _words(message.parts))]
    calls = [_write_call(call) for message in run for call in message.tool_calls]
    yield {"role": "assistant", "content": "\n\n".join(words) or None, "tool_calls": calls}


def _words(parts: Sequence[Part]) -> str:
    words = []
    for part in parts:
        match part:
            case Text(text) if text.strip():
                words.append(text)
            case Image() | File():
                words.append(base.left_out(part))
            case _:
                pass
    return "\n\n".join(words)


def _write_call(call: ToolCall) -> JSON:
    name, text = tool_name(call.name), base.free_text(call.arguments)
    if text is not None:
        return {"id": call.id, "type": "custom", "custom": {"name": name, "input": text}}
    arguments = call.arguments if call.arguments.strip() else "{}"
    return {"id": call.id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _other(message: Message) -> Iterator[dict[str, JSON]]:
    media: list[JSON] = []
    for result in message.tool_results:
        words = [part.text for part in result.parts if isinstance(part, Text)]
        pictures = [_write_part(p) for p in result.parts if isinstance(p, Image | File)]
        if pictures and not words:
            words = ["[see the next message]"]
        media.extend(pictures)
        yield {"role": "tool", "tool_call_id": result.call_id, "content": "\n".join(words)}
    if message.role == "system":
        if message.text.strip():
            yield {"role": "system", "content": message.text}
        return
    content = media + [
        _write_part(part)
        for part in message.parts
        if isinstance(part, Image | File) or (isinstance(part, Text) and part.text.strip())
    ]
    if len(content) == 1 and content[0]["type"] == "text":
        yield {"role": "user", "content": content[0]["text"]}
    elif content:
        yield {"role": "user", "content": content}


def _write_part(part: Text | Image | File) -> dict[str, JSON]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image():
            url = base.image_url(part)
            if url:
                return {"type": "image_url", "image_url": {"url": url}}
        case File(data=str(data), media_type="audio/wav" | "audio/mp3" as kind) if data:
            audio = {"data": data, "format": kind.removeprefix("audio/")}
            return {"type": "input_audio", "input_audio": audio}
        case File(data=str(data)) if data:
            url = base.data_url(part.media_type or "application/octet-stream", data)
            return {"type": "file", "file": {"filename": part.name or "file", "file_data": url}}
    return {"type": "text", "text": base.left_out(part)}
