"""A first look at a whole value: which of its containers hold something to replace.

The strings of a value are collected in one quick walk, documents within strings opened, and
looked at in runs, so that an engine reads long stretches instead of many short ones. What is
found decides only where `clew.redaction.walk` goes: that walk does the replacing, and it would
find nothing elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from clew.redaction.walk import (
    DOCUMENTS_DEPTH_MAX,
    NUMBER_MAX,
    VALUES,
    bracketed,
    deeper,
    name_of,
    parsed,
    shallow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from clew.model import JSON

RUN_CHARACTERS = 256 * 1024
"""A run is looked at when it has so many characters."""
TEXT_CHARACTERS_MIN = 2
"""Nothing is found in a shorter text."""
KEYS_MAX: Final = 16_384
KEY_CHARACTERS_MAX: Final = 200
_OPENERS = frozenset('{["\t\r\n ')
_EXACT_MAX = 2.0**53
"""Beyond it a number may have been whole before it was read."""


class Run:
    """Texts to look at. `telling` has those that stand under a key that may say that they are
    secret, with that key; `keys` those that are keys themselves.
    """

    __slots__ = ("keys", "owners", "telling", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.owners: list[int] = []
        self.telling: list[tuple[int, str]] = []
        self.keys: list[int] = []


class Keys:
    """Keys come again and again: whether one says something of its value, for those in which
    nothing was found. To be cleared when more may be found.
    """

    def __init__(self, tells: Callable[[str], bool]) -> None:
        self._tells = tells
        self.known: dict[str, bool] = {}

    def tells(self, key: str) -> bool:
        """Does the key say something about what stands below it?"""
        told = self.known.get(key)
        return bool(key) and self._tells(key) if told is None else told


class Collector:
    """Looks at values through `look`, which tells the numbers of the texts of a run in which
    something is found.
    """

    def __init__(self, look: Callable[[Run], Iterable[int]], keys: Keys) -> None:
        self._look = look
        self._keys = keys
        self._run = Run()
        self._size = 0
        self._parents: list[int] = []
        self._ids: list[int] = []
        self._touched: set[int] = set()
        self._whole = False

    def touched(self, value: JSON) -> frozenset[int] | None:
        """The containers (by `id`) on the way to something that is found; none at all when
        nothing is. `None` for everything: then nothing may be left out. Raises `Invalid` when
        the value is nested too deep.
        """
        if len(self._keys.known) > KEYS_MAX:
            self._keys.known.clear()
        if isinstance(value, str):
            self._text(value, "", -1, 0, 0)
        else:
            self._value(value, "", -1, 0)
        self._flush()
        if self._whole:
            return None
        out: set[int] = set()
        for number in self._touched:
            while number >= 0 and self._ids[number] not in out:
                out.add(self._ids[number])
                number = self._parents[number]  # noqa: PLW2901 - up to the top
        return frozenset(out)

    # --- the value itself -------------------------------------------------------------------

    def _value(self, value: JSON, key: str, parent: int, depth: int) -> None:
        if isinstance(value, dict):
            self._object(value, parent, deeper(depth))
        elif isinstance(value, (list, tuple)):
            self._list(value, key, self._container(value, parent), deeper(depth))
        elif isinstance(value, str):
            self._text(value, key, parent, depth, 0)
        else:
            self._number(value, key, parent)

    def _container(self, value: object, parent: int) -> int:
        self._parents.append(parent)
        self._ids.append(id(value))
        return len(self._ids) - 1

    def _list(self, value: Iterable[JSON], key: str, owner: int, depth: int) -> None:
        for item in value:
            if type(item) is str:
                self._text(item, key, owner, depth, 0)
            else:
                self._value(item, key, owner, depth)
        if self._size > RUN_CHARACTERS:
            self._flush()

    def _object(self, value: dict[str, JSON], parent: int, depth: int) -> None:
        owner = self._container(value, parent)
        known = self._keys.known
        pair = "value" in value or "Value" in value or "VALUE" in value
        named = self._pair(value, owner) if pair else ""
        run, size = self._run, 0
        for key, item in value.items():
            under, tells = key, known.get(key)
            if tells is None:
                tells = self._key(key, owner)
            if named and key in VALUES:
                under, tells = named, True
            if tells or type(item) is not str or item[:1] in _OPENERS:
                self._value(item, under, owner, depth)
                run = self._run
            elif len(item) >= TEXT_CHARACTERS_MIN:
                run.texts.append(item)
                run.owners.append(owner)
                size += len(item)
        self._size += size
        if self._size > RUN_CHARACTERS:
            self._flush()

    def _pair(self, value: dict[str, JSON], owner: int) -> str:
        """The name in a pair of name and value, if it is one."""
        name = name_of(value)
        if name is None:
            return ""
        # What stands under it is judged by what becomes of it, as with a key.
        named = str(value[name])
        self._run.keys.append(len(self._run.texts))
        self._add(named, owner)
        return named

    def _key(self, key: str, owner: int) -> bool:
        self._run.keys.append(len(self._run.texts))
        self._add(key, owner)
        tells = self._keys.tells(key)
        if len(key) <= KEY_CHARACTERS_MAX:
            self._keys.known[key] = tells
        return tells

    def _add(self, text: str, owner: int) -> None:
        self._run.texts.append(text)
        self._run.owners.append(owner)
        self._size += len(text)

    def _number(self, value: JSON, key: str, owner: int) -> None:
        if type(value) is int and key and abs(value) > NUMBER_MAX:
            self._under(str(value), key, owner)

    def _under(self, text: str, key: str, owner: int) -> None:
        if self._keys.tells(key):
            self._run.telling.append((len(self._run.texts), key))
        self._add(text, owner)

    # --- documents --------------------------------------------------------------------------

    def _text(self, text: str, key: str, owner: int, depth: int, documents: int) -> None:
        """`depth` is that of the container in the value as a whole."""
        if len(text) < TEXT_CHARACTERS_MIN:
            return
        if documents < DOCUMENTS_DEPTH_MAX and bracketed(text):
            try:
                document = msgspec.json.decode(text)
            except (ValueError, RecursionError):
                self._odd(text, key, owner)
                return
            if shallow(document, text, depth):
                strings = self._opened(document, key, owner, depth, documents + 1)
                plain = text.replace("\\\\", "") if "\\" in text else text
                if 2 * strings != plain.count('"') - plain.count('\\"'):
                    self._found_at(owner)  # a key stands there twice
                return
        self._under(text, key, owner)

    def _odd(self, text: str, key: str, owner: int) -> None:
        """No document, or one that only a lenient reader reads."""
        try:
            parsed(text)
        except (ValueError, RecursionError):
            self._under(text, key, owner)
        else:
            self._found_at(owner)

    def _found_at(self, owner: int) -> None:
        if owner < 0:
            self._whole = True
        else:
            self._touched.add(owner)

    def _opened(self, value: JSON, key: str, owner: int, depth: int, documents: int) -> int:
        """The number of strings in a document, keys included."""
        if isinstance(value, str):
            self._text(value, key, owner, depth, documents)
            return 1
        if isinstance(value, list):
            depth += 1
            return sum(self._opened(item, key, owner, depth, documents) for item in value)
        if isinstance(value, dict):
            return self._opened_object(value, owner, depth + 1, documents)
        if type(value) is float and abs(value) > _EXACT_MAX:
            self._found_at(owner)
        self._number(value, key, owner)
        return 0

    def _opened_object(self, value: dict[str, JSON], owner: int, depth: int, documents: int) -> int:
        name = name_of(value)
        named = "" if name is None else str(value[name])
        count = len(value)
        for key, item in value.items():
            if key not in self._keys.known:
                self._key(key, owner)
            under = named if named and key in VALUES else key
            count += self._opened(item, under, owner, depth, documents)
        return count

    # --- looking ----------------------------------------------------------------------------

    def _flush(self) -> None:
        run, self._run, self._size = self._run, Run(), 0
        if not run.texts:
            return
        keys = set(run.keys)
        for number in self._look(run):
            if number in keys:
                # What stands under a key that changes is judged by what becomes of the key.
                self._keys.known.pop(run.texts[number], None)
                self._whole = True
            self._found_at(run.owners[number])
