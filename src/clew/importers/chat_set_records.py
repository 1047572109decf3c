"""Lines that hold a whole conversation each: where in a line it stands, and what its parts say.

Known layouts: `messages` (OpenAI's and Anthropic's fine-tuning and batches, with `system`),
`conversations` (ShareGPT), `input` with `instructions` (OpenAI Responses), `prompt` with
`completion`, `response` or `chosen` (lists of messages, or plain words), and `instruction` with
`output` (Alpaca). A batch has it one level down, in `body`, `params` or `request`, and a log has
the provider's `response` beside that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from clew import shapes
from clew.canonical import mark_halves, parse
from clew.importers import chat_records
from clew.importers.facts import text
from clew.importers.jsonl import read_line
from clew.model import JSON, Message, Part, Text, Usage
from clew.shapes.base import as_list, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE: Final = "chat-set"
"""The format of a whole line."""
SHARED: Final = "sharegpt"
USER, ANSWER, SYSTEM = "chat-user", "chat-answer", "chat-system"
"""Formats of plain words: a JSON string, or blocks of text."""

_HOLDERS: Final = ("body", "params", "request")
_LISTS: Final = ("messages", "conversations", "conversation")
_PLACES: Final = (
    ("system", SYSTEM),
    ("instructions", SYSTEM),
    *((key, chat_records.FORMAT) for key in _LISTS),
    ("instruction", USER),
    ("prompt", USER),
    ("input", USER),
    ("completion", ANSWER),
    ("response", ANSWER),
    ("chosen", ANSWER),
    ("output", ANSWER),
)
"""Where messages stand in a line, in the order in which they were said."""
_ANSWERS: Final = {"prompt": ("completion", "response", "chosen"), "instruction": ("output",)}

_SPEAKERS: Final = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "function_call"), "assistant"),
    "system": "system",
}


Place = tuple[int, int, str]
"""Where a message begins in a line, how long it is, and its format."""

NESTED_MAX: Final = 4
"""Levels of a provider's response that are looked into."""


class Said(NamedTuple):
    """A message in a line: its byte range there, its format, and what it is."""

    start: int
    length: int
    format: str
    value: JSON


def read(line: bytes) -> tuple[dict[str, JSON] | None, str | None]:
    """The object that a line is, or why it is none."""
    pieces = list(read_line(line, 0, lambda _value: True))
    if len(pieces) != 1:
        return None, "more than one JSON object" if pieces else "nothing is in it"
    return (None, pieces[0].note) if pieces[0].note else (pieces[0].value, None)


def is_ours(value: dict[str, JSON]) -> bool:
    """Whether a line holds a conversation and its messages nothing of another program's."""
    held = holder(value)
    messages = (each for key in _LISTS for each in as_list(held.get(key)))
    own = (_is_shared(each) or chat_records.is_message(each) for each in messages if each)
    return is_conversation(value) and all(own)


def is_conversation(value: dict[str, JSON]) -> bool:
    """Whether a line holds a conversation."""
    held = holder(value)
    if any(_are_messages(held.get(key)) for key in (*_LISTS, "input")):
        return True
    return any(
        _is_said(held.get(asked)) and any(_is_said(held.get(key)) for key in answers)
        for asked, answers in _ANSWERS.items()
    )


def holder(value: dict[str, JSON]) -> dict[str, JSON]:
    """The object that holds the conversation: the line, or what a batch wraps in it."""
    if not any(key in value for key, _form in _PLACES if key != "response"):
        for key in _HOLDERS:
            inner = value.get(key)
            if isinstance(inner, dict):
                return inner
    return value


def _are_messages(value: JSON) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_said_by, value))


def _is_said_by(value: JSON) -> bool:
    if not isinstance(value, dict):
        return False
    return _is_shared(value) or chat_records.format_of(value) is not None


def _is_said(value: JSON) -> bool:
    return (isinstance(value, str) and bool(value)) or _are_messages(value)


def _is_shared(value: dict[str, JSON]) -> bool:
    return isinstance(value.get("from"), str) and "value" in value and "role" not in value


def said(line: bytes) -> list[Said]:
    """The messages of a line that is a conversation, in the order in which they were said.

    Raises `msgspec.DecodeError` for a line that cannot be taken apart.
    """
    try:
        places = _places(line)
    except msgspec.DecodeError:
        places = _places(mark_halves(line, b"x"))  # the same text, but for half an emoji
    found: list[Said] = []
    for at, length, form in places:
        value = parse(line[at : at + length])
        if value:
            shared = isinstance(value, dict) and _is_shared(value)
            found.append(Said(at, length, SHARED if shared else form, value))
    return found


def _places(line: bytes) -> list[Place]:
    """Where the messages stand in a line."""
    top = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    if any(key in top for key, _form in _PLACES if key != "response"):
        return _held(line, top, 0)
    inner = next(raw for k in _HOLDERS if (raw := bytes(top.get(k, b""))).startswith(b"{"))
    at = line.index(inner)
    found = _held(line, msgspec.json.decode(inner, type=dict[str, msgspec.Raw]), at)
    answer = bytes(top.get("response", b"")).strip()
    return [*found, *_answered(answer, line.index(answer))]


def _held(line: bytes, within: dict[str, msgspec.Raw], at: int) -> list[Place]:
    """Where they stand in the object that holds them, which begins at an offset."""
    found: list[Place] = []
    for key, form in _PLACES:
        raw = bytes(within.get(key, b"")).strip()
        if not raw:
            continue
        # Where the same bytes stand before as another value, they say the same.
        start = line.index(raw, at)
        if raw.startswith(b"[") and form != SYSTEM:
            found += _elements(raw, start)
        elif raw.startswith(b"{"):
            found += _answered(raw, start)
        elif raw.startswith((b'"', b"[")) and form != chat_records.FORMAT:
            found.append((start, len(raw), form))
    return found


def _answered(raw: bytes, at: int, depth: int = 0) -> list[Place]:
    """Where the messages stand in an answer: a message, or a provider's response around some."""
    if not raw.startswith(b"{"):
        return []
    answer = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    if "role" in answer:
        return [(at, len(raw), chat_records.FORMAT)]
    for key in ("choices", "output", "message", "body"):
        inner = bytes(answer.get(key, b"")).strip()
        start = at + raw.index(inner)
        if inner.startswith(b"[") and key == "output":
            return list(_elements(inner, start))
        if inner.startswith(b"[") and depth < NESTED_MAX:
            for place, length, _form in _elements(inner, start):
                return _answered(raw[place - at :][:length], place, depth + 1)
        if inner.startswith(b"{") and depth < NESTED_MAX:
            return _answered(inner, start, depth + 1)
    return []


def _elements(raw: bytes, at: int) -> Iterator[Place]:
    behind = 0
    for each in msgspec.json.decode(raw, type=list[msgspec.Raw]):
        item = bytes(each).strip()
        # Between two elements stand but a comma and white space: the next find is this one.
        start = raw.index(item, behind)
        behind = start + len(item)
        yield at + start, len(item), chat_records.FORMAT


# --- reading a stored message ------------------------------------------------------------


def decode(record: JSON) -> Message:
    """A whole line: what it says beside its messages is none."""
    return Message("system", (unknown(record),), meta=True)


def decode_shared(record: JSON) -> Message:
    """ShareGPT's `{from, value}`. What a tool gave back has no call that it could answer."""
    if not isinstance(record, dict):
        return decode(record)
    speaker = text(record, "from") or ""
    role = _SPEAKERS.get(speaker.lower())
    return Message(role or "user", _words(record.get("value")), meta=role is None)


def decode_user(record: JSON) -> Message:
    """Plain words of a person."""
    return Message("user", _words(record))


def decode_answer(record: JSON) -> Message:
    """Plain words of a model."""
    return Message("assistant", _words(record))


def decode_system(record: JSON) -> Message:
    """A system prompt: words, or blocks of text."""
    return Message("system", _words(record))


def _words(value: JSON) -> tuple[Part, ...]:
    if isinstance(value, str):
        return (Text(value),) if value else ()
    if isinstance(value, list):
        texts = [text(block, "text") for block in value if isinstance(block, dict)]
        return tuple(Text(each) for each in texts if each) or (unknown(value),)
    return () if value is None else (unknown(value),)


DECODERS: Final = {
    LINE: decode,
    chat_records.FORMAT: chat_records.decode,
    SHARED: decode_shared,
    USER: decode_user,
    ANSWER: decode_answer,
    SYSTEM: decode_system,
}
"""How each of the formats is read."""


def usage_of(value: dict[str, JSON]) -> Usage | None:
    """The tokens that a line tells: in itself, in what a batch wraps, or in the response."""
    response = value.get("response")
    answer = response if isinstance(response, dict) else {}
    body = answer.get("body")
    for told in (value, holder(value), answer, body if isinstance(body, dict) else {}):
        if "usage" in told and (usage := shapes.usage_of(told)) is not None:
            return usage
    return None


def model_of(value: dict[str, JSON]) -> str | None:
    """The model that a line names."""
    return text(value, "model") or text(holder(value), "model")
