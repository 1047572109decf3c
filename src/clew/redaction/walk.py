"""Every string of a JSON value, its keys included, with the key that it stands under.

A string that is itself a JSON document (tool arguments, a JSON tool result) is opened,
walked and written again only when something in it changed: it parses afterwards if it did
before. A pair like `{"name": "DB_PASSWORD", "value": "…"}` counts as key and value.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from clew.errors import Invalid

if TYPE_CHECKING:
    from clew.model import JSON

DEPTH_MAX = 200
"""Nesting beyond this is refused; nothing that an agent writes comes near."""
NUMBER_MAX = 99_999
"""A larger whole number under a key is looked at as text."""
DOCUMENTS_DEPTH_MAX = 6
"""JSON inside a JSON string inside a JSON string …; deeper text is searched as text."""

OnText = Callable[[str, str, str], str]
"""`(text, key it stands under, path) -> replacement`. A key is passed under the key ""."""
NAMES = ("name", "key", "Name", "Key", "NAME", "KEY")
VALUES = ("value", "Value", "VALUE")


class Walker:
    """Rebuilds a JSON value, asking `on_text` for each string.

    `documents`: open documents within strings. `only`: the containers (by `id`) in which
    something may change; others are kept as they are, with all that is in them. `on_number` is
    asked for large whole numbers, written as text.
    """

    def __init__(
        self,
        on_text: OnText,
        *,
        paths: bool,
        documents: bool = True,
        on_number: OnText | None = None,
    ) -> None:
        self._on_text = on_text
        self._on_number = on_number or on_text
        self._paths = paths
        self._documents_max = DOCUMENTS_DEPTH_MAX if documents else 0
        self._only: frozenset[int] | None = None

    def walk(self, value: JSON, only: frozenset[int] | None = None) -> JSON:
        """The value with its strings replaced. Raises `Invalid` when it is nested too deep."""
        self._only = only
        return self._value(value, "", "", 0, 0)

    def _value(self, value: JSON, key: str, path: str, depth: int, documents: int) -> JSON:
        if isinstance(value, str):
            return self._text(value, key, path, depth, documents)
        if isinstance(value, (dict, list, tuple)):
            if self._only is not None and not documents and id(value) not in self._only:
                return value
            if isinstance(value, dict):
                return self._object(value, path, deeper(depth), documents)
            depth = deeper(depth)
            return [
                self._value(item, key, f"{path}/{n}" if self._paths else "", depth, documents)
                for n, item in enumerate(value)
            ]
        if type(value) is int and key and abs(value) > NUMBER_MAX:
            text = self._on_number(str(value), key, path)
            return value if text == str(value) else text
        return value

    def _object(
        self, value: dict[str, JSON], path: str, depth: int, documents: int
    ) -> dict[str, JSON]:
        out: dict[str, JSON] = {}
        name = name_of(value)
        made: dict[str, JSON] = {}
        if name is not None:
            below = f"{path}/{name}" if self._paths else ""
            made[name] = self._value(value[name], name, below, depth, documents)
        named = "" if name is None else str(made[name])
        for number, (key, item) in enumerate(value.items()):
            new_key = self._on_text(key, "", f"{path}/#{number}" if self._paths else "")
            # Judged by what is written, so that a second look judges alike.
            under = named if named and key in VALUES else new_key or key
            below = ""
            if self._paths:
                shown = key if new_key == key and key.isidentifier() else f"#{number}"
                below = f"{path}/{shown}"
            if key not in made:
                made[key] = self._value(item, under, below, depth, documents)
            out[_free(out, new_key)] = made[key]
        return out

    def _text(self, text: str, key: str, path: str, depth: int, documents: int) -> str:
        if documents < self._documents_max and bracketed(text):
            try:
                document, repeated = parsed(text)
            except (ValueError, RecursionError):
                return self._on_text(text, key, path)
            if shallow(document, text, depth):
                where = f"{path}/(json)" if self._paths else ""
                new = self._value(document, key, where, depth, documents + 1)
                return text if new == document and not repeated else _written(new, text)
        return self._on_text(text, key, path)


def deeper(depth: int) -> int:
    """One level down. Raises `Invalid` when that is too deep."""
    if depth >= DEPTH_MAX:
        raise Invalid(
            f"the value is nested deeper than {DEPTH_MAX} levels and cannot be searched for "
            "secrets; leave this session out of the export"
        )
    return depth + 1


def shallow(document: JSON, text: str, depth: int) -> bool:
    """Can a document that was found at this depth be walked? Otherwise it is searched as text."""
    left = DEPTH_MAX - depth
    if text.count("[") + text.count("{") <= left:
        return True
    level: list[JSON] = [document]
    while level and left >= 0:
        left -= 1
        level = [
            item
            for one in level
            if isinstance(one, (dict, list))
            for item in (one.values() if isinstance(one, dict) else one)
        ]
    return not level


def name_of(value: dict[str, JSON]) -> str | None:
    """Which member of a pair like `{"name": …, "value": …}` holds the name."""
    if len(value) > 1 and any(name in value for name in VALUES):
        return next((name for name in NAMES if isinstance(value.get(name), str)), None)
    return None


def _free(taken: dict[str, JSON], key: str) -> str:
    """Two keys may get one placeholder; neither value may be lost."""
    if key not in taken:
        return key
    number = 2
    while f"{key}_{number}" in taken:
        number += 1
    return f"{key}_{number}"


_SPACE = " \t\r\n"
_PAIRS = frozenset(("{}", "[]", '""'))


def bracketed(text: str) -> bool:
    """Could this be a JSON document that holds a text?"""
    if len(text) < 3:
        return False
    first, last = text[0], text[-1]
    if first in _SPACE:
        first = text[:64].lstrip(_SPACE)[:1]
    if last in _SPACE:
        last = text[-64:].rstrip(_SPACE)[-1:]
    return first + last in _PAIRS


def parsed(text: str) -> tuple[JSON, bool]:
    """The document, and whether an object repeats a key (the earlier value is not seen)."""
    repeated = False

    def pairs(items: list[tuple[str, JSON]]) -> dict[str, JSON]:
        nonlocal repeated
        made = dict(items)
        repeated = repeated or len(made) != len(items)
        return made

    return json.loads(text, object_pairs_hook=pairs), repeated


def _written(document: JSON, like: str) -> str:
    """JSON in the manner of the text that it replaces."""
    spaced = '": ' in like or '", ' in like
    multiline = "\n" in like.strip()
    return json.dumps(
        document,
        ensure_ascii=like.isascii(),
        indent=2 if multiline else None,
        separators=(",", ": ") if multiline else (", ", ": ") if spaced else (",", ":"),
    )
