"""The attributes of one span on the way to fields: which was found where, what was used, and
what a value is worth as text, count or number.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from clew.canonical import parse
from clew.names import mended
from clew.otlp import semconv
from clew.otlp.messages import structured
from clew.otlp.model import Value

COUNT_MAX = 2**53

_PREFIXES = tuple(semconv.PREFIXES)
_DETAILS = frozenset({semconv.DETAILS_EVENT})


class Reading:
    """The attributes of one span on the way to fields: what was found, and what was used."""

    __slots__ = ("attributes", "found", "indexed", "read_events", "used")

    def __init__(self, attributes: dict[str, Value]) -> None:
        self.attributes = attributes
        self.used: set[str] = set()
        self.read_events: frozenset[str] = _DETAILS
        self.indexed: list[str] = []
        self.found: dict[str, tuple[int, str]] = {}
        found, fields = self.found, semconv.FIELDS
        for name in attributes:
            hit = fields.get(name)
            if hit is None:
                if name.startswith(_PREFIXES):
                    self.indexed.append(name)
                continue
            field, rank = hit
            known = found.get(field)
            if known is None or rank < known[0]:
                found[field] = (rank, name)

    def take(self, field: str, convert: Callable[[Value], Any]) -> Any:
        """A field's value; `None` when it is not told or cannot be read."""
        hit = self.found.get(field)
        if hit is None:
            return None
        value = convert(self._raw(hit[1]))
        if value is not None:
            self.used.add(hit[1])
        return value

    def peek(self, field: str, convert: Callable[[Value], Any]) -> Any:
        """The same, but the attribute stays among the others."""
        hit = self.found.get(field)
        return None if hit is None else convert(self._raw(hit[1]))

    def _raw(self, name: str) -> Value:
        """A value as it was meant: MLflow writes every one as JSON, strings in quotes too."""
        value = self.attributes[name]
        if name.startswith("mlflow.") and isinstance(value, str) and value[:1] == '"':
            with suppress(msgspec.DecodeError):
                return parse(value.encode())
        return value

    def name_of(self, field: str) -> str:
        """The attribute that tells the field."""
        hit = self.found.get(field)
        return hit[1] if hit else ""


# --- what a value is worth -----------------------------------------------------------------


def as_text(value: Value) -> str | None:
    """A name: no empty one, and nothing that a database cannot hold."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        return None
    return value if value.isascii() and "\0" not in value else mended(value)


def as_count(value: Value) -> int | None:
    """A whole number from 0 on, also where it came as a string or a float."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 17:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        return None
    return value


def as_number(value: Value) -> float | None:
    """A number from 0 on, also where it came as a string."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and 0 <= value < 1e9 else None


def as_flag(value: Value) -> bool | None:
    """True or False."""
    return value if isinstance(value, bool) else None


def as_cost(value: Value) -> float | None:
    """USD, alone or as the total in MLflow's object."""
    data = structured(value)
    return as_number(data.get("total_cost") if isinstance(data, dict) else data)


def as_effect(value: Value) -> str | None:
    """One of the three effects that a call can have."""
    return value if value in ("none", "idempotent", "external") else None


def as_attempt(value: Value) -> int | None:
    """The number of an attempt, from 1."""
    return as_count(value) or None


def plain(value: Value) -> Any:
    """A value as JSON can hold it: bytes in base64, numbers that are none as their names."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value]
