"""Entries and messages on the wire: byte for byte, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from clew import drafts, model
from clew.errors import Invalid
from clew.model import JSON, Kind, Message, Position
from clew.wire.base import JSON_DEPTH_MAX, MESSAGES_MAX, Limit, Name, Place, Request


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One record of a session's log. It has a `body`, the JSON that was recorded, or
    `body_base64`, its bytes; neither once it was erased, and neither in the answer to an append.
    """

    session: str
    seq: int
    kind: Kind
    role: str | None
    time_ms: int
    format: str
    meta: dict[str, JSON] = {}
    body: Raw | UnsetType = UNSET
    body_base64: bytes | UnsetType = UNSET


def entry(record: model.Entry, *, body: bool = True) -> Entry:
    """An entry as it goes out; without `body` only what stands around it."""
    sent = Entry(
        session=record.session,
        seq=record.seq,
        kind=record.kind,
        role=record.role,
        time_ms=record.time_ms,
        format=record.format,
        meta=record.meta,
    )
    if body and record.body is not None:
        if embeddable(record.body):
            sent.body = Raw(record.body)
        else:
            sent.body_base64 = record.body
    return sent


def from_entry(sent: Entry, body: bytes | None = None) -> model.Entry:
    """The entry that was sent; `body` is what the caller knows of it when it has none."""
    if not isinstance(sent.body, UnsetType):
        body = bytes(sent.body)
    elif not isinstance(sent.body_base64, UnsetType):
        body = sent.body_base64
    return model.Entry(
        sent.session,
        sent.seq,
        sent.kind,
        sent.role,
        sent.time_ms,
        sent.format,
        body,
        sent.meta,
    )


def embeddable(body: bytes) -> bool:
    """True when the bytes can stand inside another JSON text and come out as they went in."""
    try:
        whole = memoryview(msgspec.json.decode(body, type=Raw)).nbytes == len(body)
        if not body.isascii():
            body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return whole and not deeper(body, JSON_DEPTH_MAX)


_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_PAIR = re.compile(rb"\[\]|\{\}")
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def deeper(text: bytes, limit: int) -> bool:
    """True when the JSON text is nested deeper than `limit`. Costs little where it is not."""
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKET)
    for _ in range(limit):
        # Innermost pairs of both kinds at once: one level a round, and no more.
        inner = _PAIR.sub(b"", brackets)
        if len(inner) == len(brackets):
            break
        brackets = inner
    return bool(brackets)


RawMessage = Annotated[
    Raw,
    Meta(
        description="A message in the shape of Anthropic, OpenAI or Gemini.",
        extra_json_schema={"type": "object"},
    ),
]


class Append(Request):
    """Messages to add at the head, all or none. Each is taken in the shape of its provider and
    kept byte for byte: in `messages` as JSON, or in `messages_base64` as the bytes of its JSON
    text where these cannot stand inside another text.
    """

    messages: Annotated[list[RawMessage], Meta(max_length=MESSAGES_MAX)] = []
    messages_base64: Annotated[list[bytes], Meta(max_length=MESSAGES_MAX)] = []
    format: Name | None = None
    """The wire format, where the message alone does not tell."""
    time_ms: Annotated[int, Meta(ge=0)] | None = None
    """For a single message: when it was said."""
    expected_head: Place | Position | UnsetType | None = UNSET
    """Where the session must stand (`null`: at its root), or nothing is added."""
    idempotency_key: Name | None = None

    def bodies(self) -> list[bytes]:
        """The messages' bytes. Raises `Invalid` when both lists, or neither, have any."""
        if bool(self.messages) == bool(self.messages_base64):
            raise Invalid("give the messages in `messages`, or in `messages_base64`")
        return [bytes(raw) for raw in self.messages] or self.messages_base64


def append(
    messages: Iterable[Mapping[str, JSON] | str | bytes],
    *,
    format: str | None = None,
    time_ms: int | None = None,
    expected_head: str | Position | UnsetType | None = UNSET,
    idempotency_key: str | None = None,
) -> Append:
    """A request that adds messages as they are. Raises `Invalid` for what is no JSON."""
    bodies = [drafts._read(message)[0] for message in messages]
    plain = all(map(embeddable, bodies))
    return Append(
        messages=[Raw(body) for body in bodies] if plain else [],
        messages_base64=[] if plain else bodies,
        format=format,
        time_ms=time_ms,
        expected_head=expected_head,
        idempotency_key=idempotency_key,
    )


class Appended(msgspec.Struct):
    """What was added, without the bodies that were sent, and where the session now stands."""

    entries: list[Entry]
    head: Position | None


class Tail(Request):
    """How much of the end."""

    count: Limit = 20


class Messages(msgspec.Struct):
    """Messages, oldest first."""

    messages: list[Message]


class ViewQuery(Request):
    """For whom, and how much."""

    provider: Name = "anthropic"
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
