"""Anthropic Messages: `{"role", "content"}` with a string or blocks; also whole responses.

Source: https://docs.anthropic.com/en/api/messages. Results of tools come inside user
messages; one that carries nothing else reads as role `tool`. Server tools run at Anthropic
and carry their result in the same message: they stay raw blocks, no call is open for them.
"""

from __future__ import annotations

import base64
import binascii
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
    Usage,
)
from clew.shapes import base
from clew.shapes.ids import tool_name, unique_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NAME = "anthropic"
ID_CHARS_MAX = 64
NAME_CHARS_MAX = 128
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})

_ROLES = {"user": "user", "assistant": "assistant", "system": "system"}
_DEFAULT_INPUT = "{}"


def decode(data: JSON) -> Message:
    """Read a message or a whole API response. Raises `Invalid` when it is neither."""
    role = base.role_of(data, _ROLES, "an Anthropic message")
    content = data.get("content")
    parts: tuple[Part, ...]
    if isinstance(content, str):
        parts = (Text(content),)
    else:
        parts = tuple(map(_part, base.as_list(content)))
    if role == "user" and parts and type(parts[0]) is ToolResult:
        role = "tool" if all(type(part) is ToolResult for part in parts) else role
    identity, model = base.text_or_none(data.get("id")), base.text_or_none(data.get("model"))
    usage = usage_of(data.get("usage"), identity, model) if "usage" in data else None
    return Message(role, parts, id=identity, model=model, usage=usage, format=NAME)


def _part(block: JSON) -> Part:
    # By hand: nearly all blocks are these, and a mapping pattern costs ten times as much.
    if type(block) is dict:
        get, kind = block.get, block.get("type")
        if kind == "text" and type(text := get("text")) is str:
            return Text(text)
        if kind == "tool_use" and type(call := get("id")) is type(name := get("name")) is str:
            return ToolCall(call, name, _arguments(block))
        if kind == "tool_result" and type(call := get("tool_use_id")) is str:
            return ToolResult(call, _result_parts(get("content")), bool(get("is_error")))
    return _seldom(block)


def _seldom(block: JSON) -> Part:
    match block:
        case {"type": "thinking", "thinking": str(text)}:
            return Thinking(text, signature=base.text_or_none(block.get("signature")))
        case {"type": "redacted_thinking", "data": str(sealed)}:
            return Thinking(data=sealed)
        case {"type": "image" | "document", "source": dict()}:
            return _medium(block)
        case _:
            return base.unknown(block)


def _arguments(block: dict[str, JSON]) -> str:
    value = block.get("input")
    return _DEFAULT_INPUT if value is None else base.compact(value)


def _result_parts(content: JSON) -> tuple[Text | Image | File | Unknown, ...]:
    if isinstance(content, str):
        return (Text(content),)
    parts = []
    for block in base.as_list(content):
        part = _part(block)
        parts.append(part if isinstance(part, Text | Image | File) else base.unknown(block))
    return tuple(parts)


def _medium(block: dict[str, JSON]) -> Image | File | Unknown:
    name = base.text_or_none(block.get("title"))
    image = block["type"] == "image"
    match block["source"]:
        case {"type": "base64", "data": str(data), **rest}:
            kind = base.text_or_none(rest.get("media_type"))
            return Image(kind, data) if image else File(name, kind, data)
        case {"type": "url", "url": str(url)}:
            return Image(url=url) if image else File(name, url=url)
        case {"type": "text", "data": str(data)} if not image:
            return File(name, "text/plain", base64.b64encode(data.encode()).decode())
        case {"type": "file", "file_id": str(file)} if not image:
            return File(name, file_id=file)
        case _:
            return base.unknown(block)


def usage_of(raw: JSON, key: str | None, model: str | None) -> Usage | None:
    """The provider's usage block; `None` for what is none."""
    if not isinstance(raw, dict):
        return None
    return Usage(
        key=key,
        model=model,
        provider="anthropic",
        input=base.count(raw.get("input_tokens")),
        output=base.count(raw.get("output_tokens")),
        cache_read=base.count(raw.get("cache_read_input_tokens")),
        cache_write=base.count(raw.get("cache_creation_input_tokens")),
    )


# --- writing -----------------------------------------------------------------------------


def encode(messages: Sequence[Message], *, model: str | None = None) -> dict[str, JSON]:
    """`{"system"?, "messages"}`. Leading system messages become `system`, later ones user
    text; neighbours of one role are merged; a user's turn is put first when there is none.
    """
    settled = unique_ids(messages, limit=ID_CHARS_MAX)
    system, rest = _split_system(settled)
    turns: list[dict[str, JSON]] = []
    for message in rest:
        if message.role == "assistant":
            _add_assistant(turns, list(_assistant_blocks(message, model)))
        else:
            _add(turns, "user", list(_user_blocks(message)))
    turns = _finished(turns)
    return {"system": system, "messages": turns} if system else {"messages": turns}


def _split_system(messages: list[Message]) -> tuple[str, list[Message]]:
    end = 0
    while end < len(messages) and messages[end].role == "system":
        end += 1
    words = [message.text for message in messages[:end] if message.text.strip()]
    return "\n\n".join(words), messages[end:]


def _add(turns: list[dict[str, JSON]], role: str, blocks: list[JSON]) -> None:
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"].extend(blocks)
    else:
        turns.append({"role": role, "content": blocks})


def _add_assistant(turns: list[dict[str, JSON]], blocks: list[JSON]) -> None:
    # A turn that holds thinking must begin with it, so a response that thinks is not glued
    # behind one that did not: the user says a word between. Where calls wait for their
    # results nothing may stand between, and the thinking is given up.
    held = turns[-1]["content"] if turns and turns[-1]["role"] == "assistant" else []
    if held and blocks and _is_thinking(blocks[0]) and not _is_thinking(held[0]):
        if any(block["type"] == "tool_use" for block in held):
            blocks = [block for block in blocks if not _is_thinking(block)]
        else:
            _add(turns, "user", [{"type": "text", "text": base.CONTINUED}])
    _add(turns, "assistant", blocks)


def _is_thinking(block: JSON) -> bool:
    return block["type"] in ("thinking", "redacted_thinking")


def _finished(turns: list[dict[str, JSON]]) -> list[dict[str, JSON]]:
    out: list[dict[str, JSON]] = []
    for turn in turns:
        blocks = turn["content"]
        if turn["role"] == "assistant":
            # A response that ends in thinking was cut off; the provider refuses it.
            while blocks and _is_thinking(blocks[-1]):
                blocks.pop()
        if blocks and not out and turn["role"] == "assistant":
            _add(out, "user", [{"type": "text", "text": base.EARLIER}])
        _add(out, turn["role"], blocks)
    if out and out[-1]["role"] == "assistant" and out[-1]["content"][-1]["type"] == "text":
        last = out[-1]["content"][-1]
        last["text"] = last["text"].rstrip()  # a trailing space in a prefill is refused
    return out


def _assistant_blocks(message: Message, model: str | None) -> Iterator[JSON]:
    replay = base.may_replay(message, NAME, model)
    raw = server_blocks(message) if message.format == NAME else frozenset()
    for index, part in enumerate(message.parts):
        match part:
            case Text(text) if text.strip():
                yield {"type": "text", "text": text}
            case ToolCall(call, name, arguments):
                block = {"type": "tool_use", "id": call, "name": tool_name(name, NAME_CHARS_MAX)}
                yield {**block, "input": base.as_object(arguments)}
            case Thinking() if replay:
                yield from _thinking(part)
            case Unknown() if index in raw:
                yield part.raw
            case Image() | File():
                yield {"type": "text", "text": base.left_out(part)}
            case _:
                pass


def _thinking(part: Thinking) -> Iterator[JSON]:
    if part.signature:
        yield {"type": "thinking", "thinking": part.text, "signature": part.signature}
    elif part.data:
        yield {"type": "redacted_thinking", "data": part.data}


def server_blocks(message: Message) -> frozenset[int]:
    """Where server tool uses and their results stand that can go back: in pairs only."""
    uses: dict[str, int] = {}
    keep: set[int] = set()
    for index, part in enumerate(message.parts):
        if not isinstance(part, Unknown):
            continue
        match part.raw:
            case {"type": "server_tool_use", "id": str(use), "name": str(), "input": dict()}:
                uses.setdefault(use, index)
            case {"type": str(kind), "tool_use_id": str(use), "content": _} if kind.endswith(
                "_tool_result"
            ):
                if use in uses:
                    keep |= {uses.pop(use), index}
            case _:
                pass
    return frozenset(keep)


def _user_blocks(message: Message) -> Iterator[JSON]:
    after: list[JSON] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            block, media = _result(part)
            yield block
            after.extend(media)
    yield from after
    if message.role == "system":
        if message.text.strip():
            yield {"type": "text", "text": f"<system>\n{message.text}\n</system>"}
        return
    yield from _content(message.parts)


def _content(parts: Iterable[Part]) -> Iterator[JSON]:
    for part in parts:
        match part:
            case Text(text) if text.strip():
                yield {"type": "text", "text": text}
            case Image():
                yield image_block(part)
            case File():
                yield document_block(part)
            case _:
                pass


def _result(part: ToolResult) -> tuple[JSON, list[JSON]]:
    """A result block, and the media that may not stand in it: an error holds words only."""
    content = list(_content(part.parts))
    media: list[JSON] = []
    if part.is_error:
        media = [block for block in content if block["type"] != "text"]
        content = [block for block in content if block["type"] == "text"]
    block: dict[str, JSON] = {"type": "tool_result", "tool_use_id": part.call_id}
    if content:
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    return block, media


def image_block(image: Image) -> JSON:
    """A picture as a block; words in its place when it can be none."""
    kind = image.media_type or "image/png"
    if image.data and kind in IMAGE_TYPES:
        source = {"type": "base64", "media_type": kind, "data": image.data}
        return {"type": "image", "source": source}
    if image.url and image.url.startswith(("http://", "https://")):
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    return {"type": "text", "text": base.left_out(image)}


def document_block(file: File) -> JSON:
    """A document as a block; words in its place when it can be none."""
    source = _document_source(file)
    if source is None:
        return {"type": "text", "text": base.left_out(file)}
    block = {"type": "document", "source": source}
    return {**block, "title": file.name} if file.name else block


def _document_source(file: File) -> JSON | None:
    kind = file.media_type or ""
    if file.data and kind == "application/pdf":
        return {"type": "base64", "media_type": kind, "data": file.data}
    if file.data and kind.startswith("text/"):
        try:
            words = base64.b64decode(file.data).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        return {"type": "text", "media_type": "text/plain", "data": words}
    if file.url and file.url.startswith(("http://", "https://")):
        return {"type": "url", "url": file.url}
    return None
