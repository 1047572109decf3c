"""Which of the messages that a model was given does a session not have yet.

Every call of a model repeats the conversation so far. Messages are compared by a fingerprint
of what they say, not of how it is written: reasoning, which many senders leave out of the next
call, and the system prompt, which many write anew each time, do not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from clew.canonical import canonical, parse
from clew.model import Message, Part, Text, Thinking, ToolCall, ToolResult
from clew.otlp.messages import Chat
from clew.shapes import openai_chat

FORMAT = openai_chat.NAME
"""The format in which messages that came by OTLP are appended."""


def fingerprint(message: Message) -> bytes:
    """What a message says, as 16 bytes."""
    words = "\n".join(part.text for part in message.parts if isinstance(part, Text)).strip()
    others = [_said(part) for part in message.parts if not isinstance(part, Text | Thinking)]
    told = canonical([message.role, words, others])
    return hashlib.blake2b(told, digest_size=16).digest()


def fingerprint_of(chat: Chat) -> bytes:
    """The same of a message in OpenAI's shape. Raises `Invalid` for what is none."""
    return fingerprint(openai_chat.decode(chat))


def _said(part: Part) -> object:
    if isinstance(part, ToolCall):
        return ["call", part.id, part.name, _arguments(part.arguments)]
    if isinstance(part, ToolResult):
        return ["result", part.call_id, part.text.strip()]
    return msgspec.to_builtins(part)


def _arguments(text: str) -> object:
    try:
        return parse(text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return text


def fresh(history: Sequence[bytes], told: Sequence[bytes]) -> int | None:
    """Where in `told` begins what comes after `history`: `len(told)` when nothing does, `None`
    when the two are different conversations. Both are fingerprints without system messages.
    """
    if not history:
        return 0
    if len(told) >= len(history) and list(told[: len(history)]) == list(history):
        return len(history)
    if _contains(history, told):
        return len(told)
    best, begin = 0, None
    for index, mark in enumerate(told):
        if mark == history[-1]:
            length = _run(history, told, index)
            if length >= best:
                best, begin = length, index + 1
    return begin


def _run(history: Sequence[bytes], told: Sequence[bytes], index: int) -> int:
    """How many messages before and with `told[index]` are the last of the history."""
    length = 0
    while length <= index and length < len(history):
        if told[index - length] != history[-1 - length]:
            break
        length += 1
    return length


def _contains(history: Sequence[bytes], told: Sequence[bytes]) -> bool:
    """True when everything told is in the history already, in this order."""
    rest = iter(history)
    return all(mark in rest for mark in told)


def spoken(chats: Sequence[Chat]) -> list[Chat]:
    """Without the system messages."""
    return [chat for chat in chats if chat["role"] != "system"]
