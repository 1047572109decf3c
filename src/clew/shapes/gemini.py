"""Gemini contents: `{"role": "user" | "model" | "function", "parts": […]}`.

Source: https://ai.google.dev/api/caching#Content. A thought signature belongs to the part
that carries it; here it is a `Thinking` right before that part, and goes back onto it. Keys
are read in camelCase (the REST API) and snake_case (the Python SDK).
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
    Usage,
)
from clew.shapes import base
from clew.shapes.ids import tool_name, unique_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "gemini"
ID_CHARS_MAX = 64

NO_SIGNATURE = "skip_thought_signature_validator"
"""What Google's documentation tells to send for calls that another model made:
https://ai.google.dev/gemini-api/docs/thought-signatures"""

_ROLES = {"user": "user", "model": "assistant", "function": "tool", "system": "system"}
_RAW_KEYS = frozenset({"executableCode", "codeExecutionResult"})


def decode(data: JSON) -> Message:
    """Read one content. Raises `Invalid` when it is none; without a role it is the user's."""
    base.require(data, "parts", "a Gemini content")
    role = "user" if data.get("role") is None else base.role_of(data, _ROLES, "a Gemini content")
    parts = tuple(part for raw in base.as_list(data["parts"]) for part in _parts(raw))
    if role == "user" and parts and all(type(part) is ToolResult for part in parts):
        role = "tool"
    identity = base.text_or_none(data.get("responseId")) or base.text_or_none(data.get("id"))
    model = base.text_or_none(data.get("modelVersion")) or base.text_or_none(data.get("model"))
    usage = None
    if "usageMetadata" in data:
        usage = usage_of(data["usageMetadata"], identity, model)
    return Message(role, parts, id=identity, model=model, usage=usage, format=NAME)


def _parts(raw: JSON) -> Iterator[Part]:
    if not isinstance(raw, dict):
        yield base.unknown(raw)
        return
    signature = base.text_or_none(raw.get("thoughtSignature") or raw.get("thought_signature"))
    text = raw.get("text")
    if isinstance(text, str) and (raw.get("thought") is True or (signature and not text)):
        yield Thinking(text, signature=signature)
        return
    if signature:
        yield Thinking(signature=signature)
    yield Text(text) if isinstance(text, str) else _part(raw)


def _part(raw: dict[str, JSON]) -> Part:
    match raw:
        case {"functionCall": dict(call)} | {"function_call": dict(call)}:
            arguments = call.get("args")
            return ToolCall(
                base.text_or_none(call.get("id")) or "",
                base.text_or_none(call.get("name")) or "",
                "{}" if arguments is None else base.compact(arguments),
            )
        case {"functionResponse": dict(response)} | {"function_response": dict(response)}:
            return _result(response)
        case {"inlineData": dict(blob)} | {"inline_data": dict(blob)}:
            kind = _media_type(blob)
            data = base.text_or_none(blob.get("data"))
            return Image(kind, data) if _pictured(kind) else File(media_type=kind, data=data)
        case {"fileData": dict(file)} | {"file_data": dict(file)}:
            kind = _media_type(file)
            url = base.text_or_none(file.get("fileUri") or file.get("file_uri"))
            return Image(kind, url=url) if _pictured(kind) else File(media_type=kind, url=url)
        case _:
            return base.unknown(raw, next(iter(raw), "empty"))


def _media_type(raw: dict[str, JSON]) -> str | None:
    return base.text_or_none(raw.get("mimeType") or raw.get("mime_type"))


def _pictured(media_type: str | None) -> bool:
    return media_type is not None and media_type.startswith("image/")


def _result(response: dict[str, JSON]) -> ToolResult:
    match response.get("response"):
        case {"output": str(text), **rest} | {"error": str(text), **rest} if not rest:
            words: tuple[Text, ...] = (Text(text),)
        case None:
            words = ()
        case value:
            words = (Text(base.compact(value)),)
    said = response.get("response")
    media = [_part(raw) for raw in base.as_list(response.get("parts")) if isinstance(raw, dict)]
    return ToolResult(
        base.text_or_none(response.get("id")) or "",
        (*words, *(part for part in media if isinstance(part, Image | File | Unknown))),
        is_error=isinstance(said, dict) and "error" in said and len(said) == 1,
        name=base.text_or_none(response.get("name")),
    )


def usage_of(raw: JSON, key: str | None, model: str | None) -> Usage | None:
    """The provider's usage block; `None` for what is none."""
    if not isinstance(raw, dict):
        return None
    cached, thoughts = (
        base.number(raw, "cachedContentTokenCount"),
        base.number(raw, "thoughtsTokenCount"),
    )
    return Usage(
        key=key,
        model=model,
        provider="google",
        input=max(base.number(raw, "promptTokenCount") - cached, 0)
        + base.number(raw, "toolUsePromptTokenCount"),
        output=base.number(raw, "candidatesTokenCount") + thoughts,
        cache_read=cached,
        reasoning=thoughts,
    )


# --- writing -----------------------------------------------------------------------------


def encode(messages: Sequence[Message], *, model: str | None = None) -> dict[str, JSON]:
    """`{"systemInstruction"?, "contents"}`. Results follow their calls in number and order;
    the first call of a step always carries a signature, its own or the documented stand-in.
    """
    settled = unique_ids(messages, limit=ID_CHARS_MAX, fill=False)
    start = 0
    while start < len(settled) and settled[start].role == "system":
        start += 1
    words = [message.text for message in settled[:start] if message.text.strip()]
    contents: list[dict[str, JSON]] = []
    names: list[str] = []
    for message in settled[start:]:
        if message.role == "assistant":
            names.extend(_name(call.name) for call in message.tool_calls)
            _add(contents, "model", list(_model_parts(message, model)))
        else:
            answered = len(message.tool_results)
            _add(contents, "user", list(_user_parts(message, names)))
            del names[:answered]
    for content in contents:
        _sign_first_call(content["parts"])
    request: dict[str, JSON] = {"contents": contents}
    if words:
        return {"systemInstruction": {"parts": [{"text": "\n\n".join(words)}]}, **request}
    return request


def _add(contents: list[dict[str, JSON]], role: str, parts: list[JSON]) -> None:
    if not parts:
        return
    if not contents and role == "model":
        contents.append({"role": "user", "parts": [{"text": base.EARLIER}]})
    if contents and contents[-1]["role"] == role:
        contents[-1]["parts"].extend(parts)
    else:
        contents.append({"role": role, "parts": parts})


def _sign_first_call(parts: list[JSON]) -> None:
    for part in parts:
        if "functionCall" in part:
            part.setdefault("thoughtSignature", NO_SIGNATURE)
            return


def _model_parts(message: Message, model: str | None) -> Iterator[JSON]:
    signature: str | None = None
    replay = base.may_replay(message, NAME, model)
    for part in message.parts:
        written: JSON | None = None
        match part:
            case Thinking(signature=str(new)) if replay and new:
                signature = new
            case Text(text) if text.strip():
                written = {"text": text}
            case ToolCall():
                written = {"functionCall": _write_call(part)}
            case Image() | File():
                written = _medium(part)
            case Unknown(kind, dict(raw)) if message.format == NAME and kind in _RAW_KEYS:
                written = dict(raw)
            case _:
                pass
        if written is not None:
            if signature:
                written["thoughtSignature"] = signature
            signature = None
            yield written
    if signature:
        yield {"text": "", "thoughtSignature": signature}


def _name(name: str) -> str:
    """A name as Gemini takes it: it begins with a letter or an underscore."""
    plain = tool_name(name)
    return plain if plain[0].isalpha() or plain[0] == "_" else tool_name(f"_{plain}")


def _write_call(call: ToolCall) -> JSON:
    written: dict[str, JSON] = {"name": _name(call.name)}
    written["args"] = base.as_object(call.arguments)
    return {"id": call.id, **written} if call.id else written


def _user_parts(message: Message, names: list[str]) -> Iterator[JSON]:
    media: list[JSON] = []
    for index, result in enumerate(message.tool_results):
        name = names[index] if index < len(names) else _name(result.name or "")
        yield {"functionResponse": _write_result(result, name, message.format)}
        media.extend(_medium(p) for p in result.parts if isinstance(p, Image | File))
    yield from media
    if message.role == "system":
        if message.text.strip():
            yield {"text": f"<system>\n{message.text}\n</system>"}
        return
    for part in message.parts:
        if isinstance(part, Text) and part.text.strip():
            yield {"text": part.text}
        elif isinstance(part, Image | File):
            yield _medium(part)


def _write_result(result: ToolResult, name: str, origin: str | None) -> JSON:
    response: JSON = {"error" if result.is_error else "output": result.text}
    if origin == NAME and not result.is_error and result.text.startswith("{"):
        value = base.as_object(result.text)
        response = response if list(value) == ["input"] else value
    written = {"name": name, "response": response}
    return {"id": result.call_id, **written} if result.call_id else written


def _medium(part: Image | File) -> dict[str, JSON]:
    fallback = "image/png" if isinstance(part, Image) else "application/octet-stream"
    kind = part.media_type or fallback
    if part.data:
        return {"inlineData": {"mimeType": kind, "data": part.data}}
    if part.url:
        return {"fileData": {"mimeType": kind, "fileUri": part.url}}
    return {"text": base.left_out(part)}
