"""Half a character in a request: the escape `ud800` without its other half, as an agent that cuts a
text in the middle of an emoji writes it. JSON may hold one and UTF-8 may not, so that no decoder
takes it; the library does, and keeps a message with it byte for byte. So does the server.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Raw

from clew import canonical
from clew.errors import Invalid
from clew.wire import base

T = TypeVar("T")

_PRIVATE = range(0xE000, 0xF900)
"""Characters that nobody's text needs: one that is not there stands for the backslash."""


def decode(data: bytes, kind: type[T]) -> T:
    """A value of that type; what is `Raw` in it keeps its halves. Raises `Invalid` for one
    elsewhere, `msgspec.DecodeError` and `msgspec.ValidationError`.
    """
    try:
        return base.decode(data, kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        marker = next((mark for code in _PRIVATE if (mark := chr(code).encode()) not in data), b"")
        marked = canonical.mark_halves(data, marker) if marker else data
        if marked == data:
            raise
    return _restored(base.decode(marked, kind), marker, "body")


def _restored(value: T, marker: bytes, where: str) -> T:
    """With the backslashes back where the marker stands."""
    if isinstance(value, Raw):
        return Raw(bytes(value).replace(marker, b"\\"))  # type: ignore[return-value]
    if isinstance(value, str) and marker.decode() in value:
        raise Invalid(
            f"`{where}` holds half a character, a \\ud8… without its other half: only messages "
            "may, write it whole or leave it out"
        )
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            msgspec.structs.force_setattr(
                value, name, _restored(getattr(value, name), marker, f"{where}.{name}")
            )
    elif isinstance(value, dict):
        for name, item in value.items():
            _restored(name, marker, where)
            value[name] = _restored(item, marker, f"{where}.{name}")
    elif isinstance(value, list):
        value[:] = [_restored(item, marker, f"{where}[{n}]") for n, item in enumerate(value)]
    return value
