"""Clew's own messages: summaries, repairs, hand-offs. `{"clew": 1, "role", "parts", …}`.

The parts are those of `clew.model` under their tags, so nothing is lost either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from clew.errors import Invalid
from clew.model import JSON, Message
from clew.shapes import base

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "clew"
VERSION = 1
ROLES = ("system", "user", "assistant", "tool")


def decode(data: JSON) -> Message:
    """Read one message. Raises `Invalid` when a field or part is not as `clew.model` says."""
    base.require(data, "parts", "a Clew message")
    version = data.get("clew", VERSION)
    if version != VERSION:
        raise Invalid(f"a Clew message of version {version!r}: this Clew reads version {VERSION}")
    try:
        message = msgspec.convert(data, Message)
    except msgspec.ValidationError as error:
        raise Invalid(f"not a Clew message: {error}") from error
    if message.role not in ROLES:
        known = ", ".join(ROLES)
        raise Invalid(f"a Clew message has the unknown role {message.role!r}: use {known}")
    return message


def encode(messages: Sequence[Message], *, model: str | None = None) -> dict[str, JSON]:
    """`{"messages"}`, every message in full."""
    del model  # nothing is left out
    return {"messages": [write(message) for message in messages]}


def write(message: Message) -> dict[str, JSON]:
    """One message as JSON; `decode` gives back an equal one."""
    fields = msgspec.to_builtins(message)
    defaults = {"id": None, "model": None, "usage": None, "at": (), "time_ms": 0, "format": None,
                "meta": False, "summary": False}  # fmt: skip
    lean = {k: v for k, v in fields.items() if k not in defaults or v != defaults[k]}
    return {"clew": VERSION, **lean}
