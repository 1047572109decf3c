"""What every request and answer is made of, and how it is read and written."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

JSON_DEPTH_MAX = 200
"""Deeper nesting is refused in a request, and goes out as base64 in an answer."""
LIMIT = 100
LIMIT_MAX = 1000
MESSAGES_MAX = 10_000
TREE_MAX = 100_000

Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="How many to give at most.")]
Cursor = Annotated[str, Meta(max_length=1000, description="`next` of the page before.")]
NAME_CHARS_MAX = 1000
Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
Place = Annotated[
    str,
    Meta(
        max_length=200,
        description="An entry (`12`, `session:12`), a checkpoint's id, or `root`.",
    ),
]
Since = Annotated[
    str, Meta(max_length=60, description="A duration before now (`7d`), a date, or Unix time.")
]


class Page(msgspec.Struct, Generic[T]):
    """A piece of a list. `next` is the cursor of the piece behind it; `null`: there is none."""

    items: list[T]
    next: str | None = None


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a caller sends: a field that is not known is an error, not a shrug."""


_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """JSON, numbers that have none as null."""
    return _encoder.encode(value)


def cursor(*place: Any) -> str:
    """A cursor that stands for a place in a list."""
    return base64.urlsafe_b64encode(encode(place)).decode().rstrip("=")


def decode(data: bytes, kind: type[T]) -> T:
    """A value of that type. Raises `msgspec.DecodeError`, `msgspec.ValidationError`."""
    found: T = _decoder(kind).decode(data)
    return found


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    known = _decoders.get(kind)
    if known is None:
        known = _decoders[kind] = msgspec.json.Decoder(kind)
    return known
