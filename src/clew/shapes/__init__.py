"""The wire formats of a message: recognise one, read it, write a request in it.

A body is stored as it came, with the name of its format beside it; reading it gives a
`clew.model.Message`. `sniff` looks only as far as it must, since every append pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from clew.errors import Invalid
from clew.shapes import anthropic, base, gemini, native, openai_chat, openai_responses
from clew.shapes.base import Shape

if TYPE_CHECKING:
    from clew.model import JSON, Message, Usage

__all__ = ["SHAPES", "Shape", "decode", "register_decoder", "sniff", "usage_of"]

SHAPES: Final[dict[str, Shape]] = {
    "anthropic": anthropic,
    "openai-chat": openai_chat,
    "openai-responses": openai_responses,
    "gemini": gemini,
    "clew": native,
}
"""Formats that can be both read and written."""

_decoders: dict[str, Callable[[JSON], Message]] = {
    name: shape.decode for name, shape in SHAPES.items()
}

_CHAT_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_BLOCKS = {
    **dict.fromkeys(("image_url", "input_audio", "file", "refusal"), "openai-chat"),
    **dict.fromkeys(("input_text", "output_text", "input_image", "input_file"), "openai-responses"),
}
_ITEM_SUFFIXES = ("_call", "_call_output", "_output")
_ITEMS = frozenset(
    {"reasoning", "compaction", "context_compaction", "item_reference", "mcp_list_tools"}
    | {"mcp_approval_request", "mcp_approval_response", "agent_message"}
)


def register_decoder(name: str, fn: Callable[[JSON], Message]) -> None:
    """Teach `decode` a format that is only read, such as the record of an agent's log.

    Raises `Invalid` when the name is already taken by another reader.
    """
    if _decoders.setdefault(name, fn) is not fn:
        raise Invalid(f"the format {name!r} already has a reader: choose another name")


def usage_of(answer: Mapping[str, JSON]) -> Usage | None:
    """The tokens that a provider's answer tells: a whole one, a message of one, or the last
    piece of a stream. `None` where it tells none.
    """
    key = base.text_or_none(answer.get("id")) or base.text_or_none(answer.get("responseId"))
    model = base.text_or_none(answer.get("model")) or base.text_or_none(answer.get("modelVersion"))
    if "usageMetadata" in answer:
        return gemini.usage_of(answer["usageMetadata"], key, model)
    raw = answer.get("usage")
    if not isinstance(raw, dict):
        return None
    if answer.get("type") in ("message", "message_delta") or "cache_read_input_tokens" in raw:
        return anthropic.usage_of(raw, key, model)
    return base.openai_usage(raw, key=key, model=model)


def decode(format: str, data: JSON) -> Message:
    """Read one message of the named format.

    Raises `Invalid` for an unknown format and for data that is no message of it.
    """
    try:
        reader = _decoders[format]
    except KeyError:
        known = ", ".join(sorted(_decoders))
        raise Invalid(f"unknown message format {format!r}: use one of {known}") from None
    return reader(data)


def sniff(data: JSON) -> str:
    """Name the format of a message.

    A message that reads the same in several formats goes to the first of OpenAI Chat and
    Anthropic. Raises `Invalid` that says what is missing and how to mend it.
    """
    if type(data) is not dict:
        data = _as_dict(data)
    if "type" not in data and type(data.get("content")) is str and "tool_call_id" not in data:
        role = data.get("role")
        if role in ("user", "assistant", "system", "developer") and "parts" not in data:
            return "openai-chat"
    if "clew" in data:
        return "clew"
    if "parts" in data:
        return _contents(data)
    kind = data.get("type")
    if kind is None:
        return _by_role(data)
    if kind == "message":
        return _typed_message(data)
    if isinstance(kind, str) and (kind.endswith(_ITEM_SUFFIXES) or kind in _ITEMS):
        return "openai-responses"
    if "role" in data:
        return _by_role(data)
    raise Invalid(_foreign(data, kind))


def _as_dict(data: JSON) -> dict[str, JSON]:
    if isinstance(data, Mapping):
        return dict(data)
    if isinstance(data, list):
        raise Invalid("a message is one object, this is a list: append its messages one by one")
    raise Invalid(f"a message is a dict, this is a {type(data).__name__}: give role and content")


def _contents(data: dict[str, JSON]) -> str:
    role, parts = data.get("role"), data["parts"]
    if isinstance(parts, list) and parts and isinstance(parts[0], dict) and "type" in parts[0]:
        return "clew"  # a Gemini part names itself by its key, never by a type
    if role is not None and role not in ("user", "model", "function", "system"):
        raise Invalid(f"unknown role {role!r} beside 'parts': Gemini has 'user' and 'model'")
    if not isinstance(parts, list):
        raise Invalid("'parts' is no list: a Gemini content holds a list of parts")
    return "gemini"


def _by_role(data: dict[str, JSON]) -> str:
    role = data.get("role")
    if role is None:
        raise Invalid(_foreign(data, None))
    if not isinstance(role, str) or role not in _CHAT_ROLES:
        hint = "with 'parts' (Gemini)" if role == "model" else "'user', 'assistant', 'system'"
        raise Invalid(f"unknown role {role!r}: use {hint} or 'tool'")
    if role == "tool" and not isinstance(data.get("tool_call_id"), str):
        raise Invalid("a 'tool' message has no 'tool_call_id': name the call that it answers")
    content = data.get("content")
    if isinstance(content, list):
        return _by_blocks(role, content)
    if content is not None and not isinstance(content, str):
        raise Invalid(f"'content' is a {type(content).__name__}: give a string or a list of blocks")
    if content is None and role != "assistant":
        raise Invalid(f"a {role!r} message has no 'content': give a string or a list of blocks")
    return "openai-chat"


def _by_blocks(role: str, content: list[JSON]) -> str:
    for index, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise Invalid(f"content[{index}] has no 'type': every block says what it is")
        name = _BLOCKS.get(block["type"])
        if name is not None:
            return name
        if block["type"] != "text":
            return "anthropic"
    return "anthropic" if role in ("user", "assistant") else "openai-chat"


def _typed_message(data: dict[str, JSON]) -> str:
    """Anthropic's response and OpenAI's message item both say `"type": "message"`."""
    role, content = data.get("role"), data.get("content")
    if not isinstance(role, str) or role not in _CHAT_ROLES:
        raise Invalid(f"unknown role {role!r}: use 'user', 'assistant', 'system' or 'developer'")
    if "stop_reason" in data or "stop_sequence" in data:
        return "anthropic"
    if isinstance(content, list):
        found = _by_blocks(role, content)
        if found == "anthropic" and ("model" in data or "usage" in data):
            return found
        plain = all(block["type"] in ("text", "refusal") for block in content)
        return "openai-responses" if plain else found
    if isinstance(content, str):
        return "openai-responses"
    raise Invalid("a message has no 'content': give a string or a list of blocks")


def _foreign(data: dict[str, JSON], kind: JSON) -> str:
    """What to say about an object that is no message, naming the usual mix-ups."""
    if "choices" in data:
        return "this is a whole completion, not a message: append choices[0].message"
    if "candidates" in data:
        return "this is a whole Gemini response: append candidates[0].content"
    if "output" in data and data.get("object") == "response":
        return "this is a whole response: append each item of its 'output'"
    if isinstance(data.get("message"), dict):
        return "the message stands under 'message': append that, or import the file it is from"
    keys = ", ".join(map(repr, list(data)[:8])) or "none"
    known = "" if kind is None else f" and the unknown type {kind!r}"
    return f"no 'role'{known} (keys: {keys}): a message says who speaks"
