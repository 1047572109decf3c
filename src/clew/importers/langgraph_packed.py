"""LangGraph's serialised values, as plain data: nothing that they name is imported or called.

    msgpack    ext 0-3: [module, name, argument(s), method]    4, 5: pydantic    6: numpy
               7: the snapshot of a delta channel          (langgraph.checkpoint.serde.jsonplus)
    json       the same of older versions                  null, bytes, bytearray
    pickle     a program: never read

An object becomes `{"$new": "<module>.<name>", "args" | "kwargs": …}`, bytes `{"$bytes": BASE64}`.
"""

from __future__ import annotations

import base64
import math
from typing import Any, Final

import msgspec

from clew.canonical import canonical, content_id, parse
from clew.model import JSON

DEPTH_MAX: Final = 64
"""Objects within objects beyond this stay bytes."""
KEPT_BYTES_MAX: Final = 64 << 10
"""A larger value that is not read is kept by its digest alone: each step repeats it whole."""
_CACHE_MAX: Final = 20_000

_SINGLE, _MANY, _NAMED, _METHOD, _PYDANTIC_1, _PYDANTIC_2, _NUMPY, _DELTA = range(8)
NEW: Final = "$new"
DELTA: Final = "$delta"


class Unread(Exception):
    """A value that is not read; says why."""


class Plain(dict[str, JSON]):
    """An object that is plain data already, so that it is gone through once."""

    digest: bytes | None = None
    """What tells it from others, once somebody asked."""
    ident: str | None = None
    """The id that it has as a message, empty without one, once somebody asked."""


def digest_of(value: JSON) -> bytes:
    """What tells a plain value from others."""
    if isinstance(value, Plain):
        if value.digest is None:
            value.digest = content_id(canonical(value))
        return value.digest
    return content_id(canonical(value))


class Unpacker:
    """Reads values; objects that come again and again, as each step repeats them, only once."""

    def __init__(self) -> None:
        self._cache: dict[bytes, Plain] = {}
        self._depth = 0

    def value(self, kind: JSON, blob: JSON) -> JSON:
        """A stored value of a type as plain data. Raises `Unread` for one that is not read."""
        raw = blob.encode("utf-8", "surrogatepass") if isinstance(blob, str) else blob
        if kind == "null" or raw is None:
            return None
        if not isinstance(raw, bytes):
            raise Unread(f"a value of type {kind!r} that is no bytes")
        try:
            if kind == "msgpack":
                return plain(self._unpacked(raw))
            if kind == "json":
                return parse(raw)
        except (msgspec.DecodeError, UnicodeError, TypeError, ValueError) as error:
            raise Unread(f"its {kind} cannot be read ({error})") from None
        except RecursionError:
            raise Unread(f"its {kind} is nested too deep") from None
        if kind in ("bytes", "bytearray"):
            return held(raw)
        if kind == "pickle":
            raise Unread("pickled: a program, and never read")
        raise Unread(f"a value of the unknown type {str(kind)[:40]!r}: sealed, or newer than this")

    def _unpacked(self, raw: bytes) -> Any:
        return msgspec.msgpack.decode(raw, ext_hook=self._object)

    def _object(self, code: int, data: memoryview) -> Plain:
        raw = bytes(data)
        known = self._cache.get(raw)
        if known is not None:
            return known
        if self._depth >= DEPTH_MAX:
            return Plain({"$ext": code, **held(raw)})
        self._depth += 1
        try:
            made = Plain(plain(_tagged(code, self._unpacked(raw))))
        except (msgspec.DecodeError, UnicodeError, TypeError, ValueError):
            made = Plain({"$ext": code, **held(raw)})
        finally:
            self._depth -= 1
        if len(self._cache) >= _CACHE_MAX:
            self._cache.clear()
        self._cache[raw] = made
        return made


def held(raw: bytes) -> dict[str, JSON]:
    """Bytes that are not read: themselves, or what tells them from others."""
    if len(raw) <= KEPT_BYTES_MAX:
        return {"$bytes": base64.b64encode(raw).decode()}
    return {"$sha256": content_id(raw).hex(), "bytes": len(raw)}


def _tagged(code: int, told: Any) -> dict[str, Any]:
    """What an extension says, by its code. Raises `ValueError` for what it should not say."""
    if code == _DELTA:
        return {DELTA: told}
    if not isinstance(told, list) or len(told) < 3:
        raise ValueError("no object")
    if code == _NUMPY:
        return {"$numpy": told[0], "shape": told[1], "order": told[2], "data": told[3:]}
    made: dict[str, Any] = {NEW: f"{told[0]}.{told[1]}"}
    if code in (_NAMED, _PYDANTIC_1, _PYDANTIC_2):
        return {**made, "kwargs": told[2]}
    if code == _MANY:
        return {**made, "args": told[2]}
    if code in (_SINGLE, _METHOD):
        method = {"method": told[3]} if code == _METHOD and len(told) > 3 else {}
        return {**made, "args": [told[2]], **method}
    raise ValueError("an unknown extension")


def plain(value: Any) -> JSON:
    """A value of msgpack as JSON can hold it."""
    if isinstance(value, Plain):
        return value
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, bytes | memoryview):
        return held(bytes(value))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
