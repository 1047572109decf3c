"""The conversation that a span carries, in whichever vocabulary, as OpenAI chat messages.

Read are the messages of the GenAI conventions (`parts`), those of OpenAI, Anthropic, Bedrock,
LangChain and the Vercel AI SDK where senders put them as they are, the indexed attributes of
older conventions and of OpenInference, and the events of Strands. What comes out are dicts
with `role`, `content`, `tool_calls`, `tool_call_id` and `reasoning_content`; tool results are
messages of their own. A conversation in which anything cannot be read gives `None`: then it
stays where it was, in the attributes of the span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from clew.canonical import parse
from clew.otlp.model import Event, Value

Chat = dict[str, Any]
"""One message in OpenAI's shape."""

DEPTH_MAX = 100
"""JSON in a string that is nested deeper is left a string."""

MESSAGES_MAX = 10_000
_PATH_MAX = 8

ROLES: dict[str, str] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "ai", "model", "agent"), "assistant"),
    **dict.fromkeys(("tool", "function"), "tool"),
}

_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CHOICE_EVENT = "gen_ai.choice"

EVENTS = frozenset({*_EVENT_ROLES, _CHOICE_EVENT})
"""Events that carry a message."""

_READ_STEPS = frozenset(
    {
        *("role", "content", "tool_call_id", "name", "id", "arguments", "type", "text", "url"),
        *("function_call_name", "function_call_arguments_json"),
    }
)


class _Unreadable(Exception):
    """Something in a conversation that we have no reading for."""


def structured(value: Value) -> Value:
    """The value of a string that holds a JSON object or list; everything else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        data = parse(value.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return value
    brackets = value.count("{") + value.count("[")
    return data if brackets <= DEPTH_MAX or _shallow(data, DEPTH_MAX) else value


def _shallow(value: Value, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_shallow(item, depth - 1) for item in inner)


def read(value: Value, role: str = "user") -> list[Chat] | None:
    """The messages in one attribute; `role` speaks where a message does not say who does."""
    data = structured(value)
    try:
        return [chat for item in _items(data) for chat in _message(item, role)]
    except _Unreadable:
        return None


def instructions(value: Value) -> list[Chat] | None:
    """System instructions: a text, or a list of parts."""
    data = structured(value)
    parts = data if isinstance(data, list) else [{"type": "text", "content": data}]
    try:
        return _gathered("system", parts)
    except _Unreadable:
        return None


def answer(text: Value, calls: Value) -> list[Chat] | None:
    """An answer that is told as a text and a list of tool calls."""
    said = structured(text)
    message: Chat = {"role": "assistant", "content": said if isinstance(said, list) else text}
    if calls is not None:
        message["tool_calls"] = structured(calls)
    return read([message], "assistant")


def _items(data: Value) -> list[Value]:
    if isinstance(data, dict):
        data = _first(data, "messages", "generations", "choices") or [data]
    if isinstance(data, str):
        data = [{"content": data}]
    if isinstance(data, list) and len(data) == 1 and isinstance(data[0], list):
        data = data[0]
    if not isinstance(data, list) or not data or len(data) > MESSAGES_MAX:
        raise _Unreadable
    return data


# --- one message -------------------------------------------------------------------------


def _message(item: Value, role: str) -> list[Chat]:
    if isinstance(item, str):
        return _gathered(role, [item])
    if not isinstance(item, dict):
        raise _Unreadable
    if isinstance(item.get("message"), dict) and "role" not in item:
        item = item["message"]
    if isinstance(item.get("kwargs"), dict) and "lc" in item:
        item = {"role": item["kwargs"].get("type"), **item["kwargs"]}
    if not any(name in item for name in ("content", "parts", "tool_calls")):
        raise _Unreadable
    speaker = ROLES.get(str(item.get("role") or role).lower())
    if speaker is None:
        raise _Unreadable
    if speaker == "tool" and "parts" not in item and isinstance(item.get("content"), str):
        call = item.get("tool_call_id") or item.get("id") or ""
        return [_result(call, item["content"], item.get("name"))]
    return _gathered(speaker, _parts_of(item), item)


def _parts_of(item: Chat) -> list[Value]:
    parts = item.get("parts", item.get("content"))
    if parts is None:
        parts = []
    parts = list(parts) if isinstance(parts, list) else [parts]
    calls = item.get("tool_calls") or []
    if not isinstance(calls, list):
        raise _Unreadable
    return parts + [{"type": "tool_call", **_called(call)} for call in calls]


def _called(call: Value) -> Chat:
    """A tool call in OpenAI's or another's shape as the fields of a part."""
    if not isinstance(call, dict):
        raise _Unreadable
    function = call.get("function")
    if isinstance(function, dict):
        return {"id": call.get("id"), **function}
    return {name: value for name, value in call.items() if name != "type"}


class _Gathered:
    """The parts of one message, sorted by where they go."""

    def __init__(self) -> None:
        self.blocks: list[Chat] = []
        self.reasoning: list[str] = []
        self.calls: list[Chat] = []
        self.results: list[Chat] = []

    def text(self, text: Value) -> None:
        if text is None or text == "":
            return
        if not isinstance(text, str):
            text = _compact(text)
        self.blocks.append({"type": "text", "text": text})

    def messages(self, role: str) -> list[Chat]:
        out = list(self.results)
        message: Chat = {"role": role}
        if self.reasoning:
            message["reasoning_content"] = "\n".join(self.reasoning)
        if self.blocks or self.calls:
            message["content"] = self._content()
        if self.calls:
            message["tool_calls"] = self.calls
        if len(message) > 1:
            message.setdefault("content", None)
            out.append(message)
        return out

    def _content(self) -> Value:
        if not self.blocks:
            return None
        if len(self.blocks) == 1 and self.blocks[0]["type"] == "text":
            return self.blocks[0]["text"]
        return self.blocks


def _gathered(role: str, parts: Iterable[Value], item: Chat | None = None) -> list[Chat]:
    gathered = _Gathered()
    for part in parts:
        if isinstance(part, str):
            gathered.text(part)
        elif isinstance(part, dict):
            _place(part, gathered)
        elif part is not None:
            raise _Unreadable
    reasoning = (item or {}).get("reasoning_content")
    if isinstance(reasoning, str) and reasoning:
        gathered.reasoning.append(reasoning)
    if role == "tool":
        role = "user"  # results went their own way; what else a tool says is shown to the model
    return gathered.messages(role)


def _place(part: Chat, gathered: _Gathered) -> None:
    kind = part.get("type")
    if kind is None:
        _place_untyped(part, gathered)
        return
    handler = _PARTS.get(str(kind))
    if handler is not None:
        handler(part, gathered)
    else:
        gathered.blocks.append(part)


def _first(part: Mapping[str, Value], *names: str) -> Value:
    return next((part[name] for name in names if part.get(name) is not None), None)


def _text_part(part: Chat, gathered: _Gathered) -> None:
    gathered.text(_first(part, "content", "text", "refusal"))


def _reasoning_part(part: Chat, gathered: _Gathered) -> None:
    text = _first(part, "content", "thinking", "text")
    if isinstance(text, str) and text:
        gathered.reasoning.append(text)


def _call_part(part: Chat, gathered: _Gathered) -> None:
    name = _first(part, "name", "toolName")
    arguments = _first(part, "arguments", "args", "input")
    if not isinstance(name, str):
        raise _Unreadable
    text = arguments if isinstance(arguments, str) else _compact(arguments or {})
    function = {"name": name, "arguments": text}
    identity = _first(part, "id", "call_id", "toolCallId", "tool_call_id")
    gathered.calls.append({"id": str(identity or ""), "type": "function", "function": function})


def _result_part(part: Chat, gathered: _Gathered) -> None:
    content = _first(part, "response", "result", "content", "output")
    call = _first(part, "id", "tool_use_id", "toolCallId", "call_id", "tool_call_id")
    name = _first(part, "name", "toolName")
    gathered.results.append(_result(call, content, name))


def _result(call: Value, content: Value, name: Value = None) -> Chat:
    message: Chat = {"role": "tool", "tool_call_id": str(call or ""), "content": _words(content)}
    if isinstance(name, str) and name:
        message["name"] = name
    return message


def _words(content: Value) -> str:
    """A tool's result as text: lists of texts joined, anything else as compact JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        texts = [_words_of(block) for block in content]
        if None not in texts:
            return "\n".join(filter(None, texts))
    return _compact(content)


def _words_of(block: Value) -> str | None:
    if isinstance(block, str):
        return block
    if isinstance(block, dict) and block.get("type", "text") == "text":
        text = _first(block, "text", "content")
        return text if isinstance(text, str) else None
    return None


def _blob_part(part: Chat, gathered: _Gathered) -> None:
    data, media = part.get("content"), str(part.get("mime_type") or "")
    if not isinstance(data, str):
        raise _Unreadable
    url = f"data:{media or 'application/octet-stream'};base64,{data}"
    if part.get("modality") == "image" or media.startswith("image/"):
        gathered.blocks.append({"type": "image_url", "image_url": {"url": url}})
    elif media in ("audio/wav", "audio/mp3"):
        sound = {"data": data, "format": media.removeprefix("audio/")}
        gathered.blocks.append({"type": "input_audio", "input_audio": sound})
    else:
        gathered.blocks.append({"type": "file", "file": {"filename": "file", "file_data": url}})


def _uri_part(part: Chat, gathered: _Gathered) -> None:
    if part.get("modality") == "image" and isinstance(part.get("uri"), str):
        gathered.blocks.append({"type": "image_url", "image_url": {"url": part["uri"]}})
    else:
        gathered.blocks.append(part)


def _file_part(part: Chat, gathered: _Gathered) -> None:
    if isinstance(part.get("file_id"), str):
        part = {"type": "file", "file": {"file_id": part["file_id"]}}
    gathered.blocks.append(part)


_PARTS: dict[str, Callable[[Chat, _Gathered], None]] = {
    **dict.fromkeys(("text", "input_text", "output_text", "refusal"), _text_part),
    **dict.fromkeys(("reasoning", "thinking"), _reasoning_part),
    **dict.fromkeys(("tool_call", "tool_use", "tool-call", "function_call"), _call_part),
    **dict.fromkeys(("tool_call_response", "tool_result", "tool-result"), _result_part),
    "blob": _blob_part,
    "uri": _uri_part,
    "file": _file_part,
}


def _place_untyped(part: Chat, gathered: _Gathered) -> None:
    """Bedrock's blocks name themselves by their key."""
    match part:
        case {"text": str(text)}:
            gathered.text(text)
        case {"toolUse": dict(use)}:
            _call_part({**use, "id": use.get("toolUseId")}, gathered)
        case {"toolResult": dict(result)}:
            _result_part({**result, "id": result.get("toolUseId")}, gathered)
        case {"reasoningContent": {"reasoningText": {"text": str(text)}}}:
            gathered.reasoning.append(text)
        case _:
            gathered.blocks.append({"type": "unknown", **part})


def _compact(value: Value) -> str:
    return msgspec.json.encode(value).decode()


# --- indexed attributes ------------------------------------------------------------------


def indexed(
    attributes: Mapping[str, Value], names: Sequence[str], prefix: str
) -> list[Chat] | None:
    """Messages whose pieces are attributes with a number in their name, as
    `gen_ai.prompt.0.role` or `llm.input_messages.0.message.tool_calls.0.tool_call.id`.
    """
    tree: dict[str, Any] = {}
    for name in names:
        if name.startswith(prefix):
            _grow(tree, name[len(prefix) :].split(".", _PATH_MAX), attributes[name])
    try:
        items = [_unfolded(tree[key]) for key in sorted(tree, key=_number)]
        role = "assistant" if prefix.endswith(("completion.", "output_messages.")) else "user"
        return [chat for item in items for chat in _message(item, role)] or None
    except _Unreadable:
        return None


def is_read(name: str) -> bool:
    """True for an indexed attribute of which `indexed` leaves nothing out."""
    return name.rpartition(".")[2] in _READ_STEPS


def _grow(tree: dict[str, Any], path: list[str], value: Value) -> None:
    node: Any = tree
    for step in path[:-1]:
        node = node.setdefault(step, {})
        if not isinstance(node, dict):
            return
    node.setdefault(path[-1], value)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MESSAGES_MAX))):
        raise _Unreadable
    return int(text)


def _unfolded(tree: Value) -> Chat:
    """One message of the indexed form as one of the plain form."""
    if not isinstance(tree, dict):
        raise _Unreadable
    if isinstance(tree.get("message"), dict):
        tree = tree["message"]
    item = {
        name: tree[name] for name in ("role", "content", "tool_call_id", "name") if name in tree
    }
    contents = [_content(_inner(part, "message_content")) for part in _listed(tree, "contents")]
    if contents:
        item["content"] = contents
    elif isinstance(item.get("content"), str):
        item["content"] = _blocks(item["content"])
    calls = [_inner(call, "tool_call") for call in _listed(tree, "tool_calls")]
    if isinstance(tree.get("function_call_name"), str):
        arguments = tree.get("function_call_arguments_json")
        calls.append({"name": tree["function_call_name"], "arguments": arguments})
    if calls:
        item["tool_calls"] = calls
    return item


def _blocks(text: str) -> Value:
    """OpenLLMetry writes a list of blocks as JSON; a text that happens to look so stays one."""
    data = structured(text)
    listed = isinstance(data, list) and data and all(isinstance(block, dict) for block in data)
    return data if listed and all("type" in block for block in data) else text


def _listed(tree: Chat, name: str) -> list[Value]:
    inner = tree.get(name)
    if inner is None:
        return []
    if not isinstance(inner, dict):
        raise _Unreadable
    return [inner[key] for key in sorted(inner, key=_number)]


def _inner(tree: Value, name: str) -> Chat:
    if not isinstance(tree, dict):
        raise _Unreadable
    inner = tree.get(name, tree)
    if not isinstance(inner, dict):
        raise _Unreadable
    return inner


def _content(part: Chat) -> Chat:
    image = part.get("image")
    if isinstance(image, dict):
        image = image.get("image", image)
        if isinstance(image, dict) and isinstance(image.get("url"), str):
            return {"type": "image_url", "image_url": {"url": image["url"]}}
    return {"type": "text", **part}


# --- events ------------------------------------------------------------------------------


def from_events(events: Sequence[Event]) -> tuple[list[Chat], list[Chat]] | None:
    """What a model was given and what it said, as the events of older conventions tell it."""
    given: list[Chat] = []
    said: list[Chat] = []
    for event in events:
        role = _EVENT_ROLES.get(event.name)
        if role is None and event.name != _CHOICE_EVENT:
            continue
        item = _event_item(event.attributes, role)
        read_ = read([item], role or "assistant")
        if read_ is None:
            return None
        (given if role else said).extend(read_)
    return (given, said) if given or said else None


def _event_item(attributes: Mapping[str, Value], role: str | None) -> Chat:
    content = structured(_first(attributes, "content", "message"))
    if isinstance(content, dict) and ("content" in content or "tool_calls" in content):
        return {"role": role or "assistant", **content}
    item: Chat = {"role": role or "assistant", "content": content}
    if role == "tool" and not isinstance(content, list):
        item["content"] = _words(content)
        item["tool_call_id"] = attributes.get("id")
    if attributes.get("tool_calls") is not None:
        item["tool_calls"] = structured(attributes["tool_calls"])
    return item
