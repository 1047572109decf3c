"""Canonical JSON, ids, digests and the hash chain. Pure functions.

A session's chain is `chain[n] = SHA-256(chain[n-1] ‖ header[n] ‖ digest[n])`, where `header`
is the canonical JSON of what is public about the entry and `digest = SHA-256(nonce ‖ body)`.
The nonce is stored beside the body and erased with it, so that an erased text leaves a chain
that still verifies and a digest from which nothing can be guessed.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from typing import Any

import msgspec

GENESIS = bytes(32)
NONCE_BYTES = 16

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return _encode(value)


def parse(body: bytes, into: Any = Any) -> Any:
    """The value of a JSON text, as msgspec reads it into a type. A lone surrogate, which JSON
    may hold and UTF-8 may not (half an emoji, cut by an agent), reads as U+FFFD. Raises
    `msgspec.DecodeError`.
    """
    try:
        return msgspec.json.decode(body, type=into)
    except msgspec.DecodeError:
        return msgspec.json.decode(_ESCAPES.sub(_escape, body), type=into)


_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def mark_halves(body: bytes, marker: bytes) -> bytes:
    """A JSON text with `marker` in the place of every backslash that begins a lone surrogate."""
    return _ESCAPES.sub(lambda found: marker + found["lone"] if found["lone"] else found[0], body)


def _escape(match: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if match["lone"] else match[0]


def nonce() -> bytes:
    """Sixteen random bytes to salt one body's digest. Drawn from a stock: asking the system for
    them one by one gives up the interpreter's lock, and another thread takes it.
    """
    try:
        return _stock.pop()
    except IndexError:
        drawn = os.urandom(NONCE_BYTES * STOCK)
        fresh = [drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)]
        found = fresh.pop()
        _stock.extend(fresh)
        return found


STOCK = 256
_stock: list[bytes] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_stock.clear)


def digest(salt: bytes, body: bytes) -> bytes:
    """What the chain commits to in place of the body."""
    return hashlib.sha256(salt + body).digest()


def link(previous: bytes, header: bytes, body_digest: bytes) -> bytes:
    """The next value of a chain."""
    return hashlib.sha256(previous + header + body_digest).digest()


def genesis(*names: str) -> bytes:
    """Where a chain begins: bound to what it belongs to, so that two cannot be swapped."""
    return hashlib.sha256("\0".join(names).encode()).digest()


def content_id(data: bytes) -> bytes:
    """The address of a blob: SHA-256 of its bytes."""
    return hashlib.sha256(data).digest()


def now_ms() -> int:
    """The wall clock in Unix milliseconds. Shown to people; it never decides an order."""
    return time.time_ns() // 1_000_000


def now_us() -> int:
    """The same in microseconds."""
    return time.time_ns() // 1_000


_last_id = 0


def new_id() -> str:
    """A UUIDv7 (RFC 9562) as 32 hex digits: sorts by time, increasing within a process."""
    global _last_id
    stamp = (time.time_ns() // 1_000_000) << 80
    value = stamp | 0x7 << 76 | 0x2 << 62
    drawn = int.from_bytes(nonce(), "big")
    value |= (drawn >> 62 & ((1 << 12) - 1)) << 64
    value |= drawn & ((1 << 62) - 1)
    if value <= _last_id:
        value = _last_id + 1
    _last_id = value
    return f"{value:032x}"
