"""What every wire format shares: the protocol of a shape and the small tools of its readers.

A reader never fails on a block that it cannot place: the block becomes `Unknown` and keeps
its raw value. It raises `Invalid` only when the whole is no message. A writer leaves out what
the target has no place for, and says so in words where a person or a model would miss it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import msgspec

from clew.errors import Invalid
from clew.model import JSON, File, Image, Message, ToolCall, ToolResult, Unknown, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTINUED = "(continued)"
EARLIER = "(The earlier part of this conversation is not shown.)"
"""Words put where a provider demands a user's turn and the history has none."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Shape(Protocol):
    """A wire format: one module with these three names."""

    NAME: str

    def decode(self, data: JSON, /) -> Message:
        """Read one message; raise `Invalid` when it is none."""

    def encode(self, messages: Sequence[Message], /, *, model: str | None = None) -> JSON:
        """Write messages (as `clew.view.build` settles them) as a provider's request body.

        With `model`, reasoning that another model signed is left out.
        """


def compact(value: JSON) -> str:
    """JSON text without spaces, keys in their order."""
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:  # a lone surrogate: legal in JSON, impossible in UTF-8
        return json.dumps(value, separators=(",", ":"))


def as_object(arguments: str) -> dict[str, JSON]:
    """Tool arguments as the JSON object that most providers demand.

    What is no object (a custom tool's free text, a truncated stream) goes under `input`.
    """
    if not arguments.strip():
        return {}
    try:
        value = _decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        value = arguments
    return value if isinstance(value, dict) else {"input": value}


def free_text(arguments: str) -> str | None:
    """The input of a custom tool (its arguments are one JSON string); `None` for a function."""
    if not arguments.startswith('"'):
        return None
    try:
        value = _decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return value if isinstance(value, str) else None


def require(data: JSON, key: str, what: str) -> JSON:
    """`data[key]`; raises `Invalid` when `data` is no object or has no such key."""
    if not isinstance(data, dict):
        raise Invalid(f"{what} is a {type(data).__name__}, not an object: give a dict")
    if key not in data:
        raise Invalid(f"{what} has no {key!r}: its keys are {', '.join(map(repr, data)) or 'none'}")
    return data[key]


def role_of(data: JSON, roles: dict[str, str], what: str) -> str:
    """The neutral role of a message; raises `Invalid` for one that the shape does not know."""
    role = require(data, "role", what)
    try:
        return roles[role]
    except (KeyError, TypeError):
        raise Invalid(f"{what} has the unknown role {role!r}: use {', '.join(roles)}") from None


def as_list(value: JSON) -> list[JSON]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text_or_none(value: JSON) -> str | None:
    """The value when it is a string."""
    return value if isinstance(value, str) else None


def unknown(raw: JSON, kind: JSON = None) -> Unknown:
    """A block that no reader has a name for."""
    if kind is None and isinstance(raw, dict):
        kind = raw.get("type")
    return Unknown(kind if isinstance(kind, str) else type(raw).__name__, raw)


def number(source: JSON, *keys: str) -> int:
    """A token count down a path of keys; 0 when it is absent."""
    for key in keys:
        if not isinstance(source, dict):
            return 0
        source = source.get(key)
    return count(source)


def count(value: JSON) -> int:
    """A token count; 0 for what is none."""
    return value if isinstance(value, int) and value > 0 else 0


def openai_usage(raw: JSON, *, key: str | None, model: str | None) -> Usage | None:
    """OpenAI's usage block, of Chat or Responses. Its input counts cached tokens: they are
    subtracted here (https://platform.openai.com/docs/guides/prompt-caching).
    """
    if not isinstance(raw, dict):
        return None
    cached = number(raw, "prompt_tokens_details", "cached_tokens") or number(
        raw, "input_tokens_details", "cached_tokens"
    )
    asked = number(raw, "prompt_tokens") or number(raw, "input_tokens")
    return Usage(
        key=key,
        model=model,
        provider="openai",
        input=max(asked - cached, 0),
        output=number(raw, "completion_tokens") or number(raw, "output_tokens"),
        cache_read=cached,
        reasoning=number(raw, "completion_tokens_details", "reasoning_tokens")
        or number(raw, "output_tokens_details", "reasoning_tokens"),
    )


def read_data_url(url: str) -> tuple[str, str] | None:
    """`(media type, base64)` of a `data:` URL; `None` for any other."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    return head[len("data:") : -len(";base64")], data


def data_url(media_type: str, data: str) -> str:
    """A `data:` URL of base64 text."""
    return f"data:{media_type};base64,{data}"


def image_from_url(url: str) -> Image:
    """An image by URL, taken apart when it is a `data:` URL."""
    inline = read_data_url(url)
    return Image(url=url) if inline is None else Image(media_type=inline[0], data=inline[1])


def image_url(image: Image) -> str | None:
    """A URL for an image, `data:` when it is inline."""
    if image.data:
        return data_url(image.media_type or "image/png", image.data)
    return image.url


def left_out(part: Image | File | Unknown) -> str:
    """Words in place of a part that the target cannot carry."""
    if isinstance(part, Unknown):
        return f"[{part.type} block, not shown]"
    kind = "image" if isinstance(part, Image) else "file"
    name = part.name if isinstance(part, File) else None
    details = " ".join(filter(None, (name, part.media_type)))
    return f"[{kind} {details}, not shown]" if details else f"[{kind}, not shown]"


def may_replay(message: Message, shape: str, model: str | None) -> bool:
    """True when reasoning in the message may go back: same format, and same model if told."""
    if message.format != shape:
        return False
    return model is None or message.model is None or message.model == model


def call_names(messages: Sequence[Message]) -> dict[str, ToolCall]:
    """The calls of messages whose ids `unique_ids` made unique."""
    return {part.id: part for message in messages for part in message.tool_calls}


def entry_role(message: Message) -> str:
    """The role that the log files a message under: results are `tool`, whoever carries them,
    and text that no person typed is `context`.
    """
    if message.parts and all(type(part) is ToolResult for part in message.parts):
        return "tool"
    if message.meta and message.role == "user":
        return "context"
    return message.role
