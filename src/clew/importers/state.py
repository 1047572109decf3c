"""What a reader remembers between two looks at its source: JSON with a version in it.

A state is only ever read by the version of the reader that wrote it. Whatever else it turns
out to be is `Invalid`, and the source is read again from its start.
"""

from __future__ import annotations

import zlib
from typing import TypeVar

import msgspec

from clew.errors import Invalid


class State(msgspec.Struct):
    """What every reader's state begins with."""

    version: int
    consumed: int


S = TypeVar("S", bound=State)


def load(state: bytes, kind: type[S], version: int, whose: str) -> S:
    """A state of `kind`, written by a reader that is called `whose` (for the error). Raises
    `Invalid` when it is none, or was written by another version of the reader.
    """
    try:
        known = msgspec.json.decode(state, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"this is no state of a {whose} reader ({error})") from None
    if known.version != version:
        raise Invalid(
            f"the reader's state is of version {known.version}, this one writes "
            f"{version}: read the source from its start"
        )
    return known


def pack(names: dict[str, str]) -> bytes:
    """Many names, small: a state is written with every batch."""
    return zlib.compress(msgspec.json.encode(names), 1)


def unpack(packed: bytes, whose: str) -> dict[str, str]:
    """What `pack` made. Raises `Invalid` when it did not."""
    try:
        return msgspec.json.decode(zlib.decompress(packed), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError, zlib.error) as error:
        raise Invalid(f"this is no state of a {whose} reader ({error})") from None
