"""A first look at a whole value: which of its containers hold something to replace.

The strings of a value are collected in one quick walk, documents within strings opened, and
looked at in runs, so that an engine reads long stretches instead of many short ones. What is
found decides only where `clew.redaction.walk` goes: that walk does the replacing, and it would
find nothing elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING, Any, Final

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

_Open = tuple[Any, str, int, int]
"""A container to look into, the key it stands under, the number of its own, its depth."""
_CONTAINERS = (dict, list, tuple)
_NESTED = frozenset((dict, list))

RUN_TEXTS = 2048
"""So many texts are looked at together."""
KEYS_MAX: Final = 16_384
KEY_CHARACTERS_MAX: Final = 200
_OPENERS = frozenset('{["\t\r\n ')
_EXACT_MAX = 2.0**53
"""Beyond it a number may have been whole before it was read."""


class Run:
    """Texts to look at. `telling` has those that stand under a key that may say that they are
    secret, with that key; `keys` those that are keys themselves.
    """

    __slots__ = ("keys", "telling", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.telling: list[tuple[int, str]] = []
        self.keys: list[int] = []

    def clear(self) -> None:
        """Empty it for the next ones."""
        for one in (self.texts, self.telling, self.keys):
            one.clear()

    def encoded(self) -> tuple[bytes, list[int]]:
        """All texts, one behind the other with a byte between, and where each begins; last
        comes where one more would.
        """
        joined = "\n".join(self.texts)
        if joined.isascii():
            return joined.encode(), _starts(map(len, self.texts))
        texts = [text.encode("utf-8", "surrogatepass") for text in self.texts]
        return b"\n".join(texts), _starts(map(len, texts))


def _starts(lengths: Iterable[int]) -> list[int]:
    starts = [0, *accumulate(lengths)]
    return list(map(add, starts, range(len(starts))))


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
        # A container's texts stand together: where they begin, counted from the first run on.
        self._begins: list[int] = []
        self._before = 0
        self._containers: list[object] = []
        self._parents: list[int] = []
        self._touched: set[int] = set()
        self._whole = False
        self._unsure = False
        self._hits: set[str] = set()

    def touched(self, value: JSON) -> frozenset[int] | None:
        """The containers (by `id`) on the way to something that is found; none at all when
        nothing is. `None` for everything: then nothing may be left out. Raises `Invalid` when
        the value is nested too deep.
        """
        if len(self._keys.known) > KEYS_MAX:
            self._keys.known.clear()
        if isinstance(value, str):
            self._whole = True
            self._begins, self._containers, self._parents = [0], [value], [-1]
            self._text(value, "", 0, 0, 0)
        self._walk(value)
        self._flush()
        if self._whole:
            return None if self._touched else frozenset()
        out: set[int] = set()
        for number in self._touched:
            while number >= 0 and id(self._containers[number]) not in out:
                out.add(id(self._containers[number]))
                number = self._parents[number]  # noqa: PLW2901 - up to the top
        return frozenset(out)

    @property
    def texts(self) -> frozenset[str] | None:
        """The texts that something was found in; others need no look where `touched` leads.
        `None` when that cannot be said.
        """
        return None if self._whole or self._unsure else frozenset(self._hits)

    # --- the value itself -------------------------------------------------------------------

    def _walk(self, value: JSON) -> None:
        stack: list[_Open] = [(value, "", -1, 0)] if isinstance(value, _CONTAINERS) else []
        texts = self._run.texts
        while stack:
            one, key, parent, depth = stack.pop()
            depth = deeper(depth)
            owner = len(self._begins)
            self._begins.append(self._before + len(texts))
            self._containers.append(one)
            self._parents.append(parent)
            if isinstance(one, dict):
                self._object(one, owner, depth, 0, stack)
            else:
                self._list(one, key, owner, depth, 0, stack)
            if len(texts) > RUN_TEXTS:
                self._flush()

    def _object(
        self, value: dict[str, JSON], owner: int, depth: int, documents: int, stack: list[_Open]
    ) -> int:
        """Take its texts, and put its containers on the stack. Gives the number of strings,
        keys included.
        """
        known, add, push = self._keys.known, self._run.texts.append, stack.append
        pair = "value" in value or "Value" in value or "VALUE" in value
        named = self._pair(value) if pair else ""
        count = len(value)
        for key, item in value.items():
            tells = known.get(key)
            if tells is None:
                tells = self._key(key)
            kind = type(item)
            if kind is str and not tells and not named:
                count += 1
                if item[:1] in _OPENERS:
                    self._text(item, key, owner, depth, documents)
                else:
                    add(item)
            elif kind in _NESTED and not named:
                push((item, key, owner, depth))
            elif kind is int and -NUMBER_MAX <= item <= NUMBER_MAX:
                continue
            elif item is not None and kind is not bool:
                under = named if named and key in VALUES else key
                count += self._other(item, under, owner, depth, documents, stack)
        return count

    def _list(
        self,
        value: Iterable[JSON],
        key: str,
        owner: int,
        depth: int,
        documents: int,
        stack: list[_Open],
    ) -> int:
        """The same for a list under a key."""
        add, tells = self._run.texts.append, bool(key) and self._keys.tells(key)
        count = 0
        for item in value:
            if type(item) is str and not tells:
                count += 1
                if item[:1] in _OPENERS:
                    self._text(item, key, owner, depth, documents)
                else:
                    add(item)
            elif type(item) in _NESTED:
                stack.append((item, key, owner, depth))
            elif item is not None:
                count += self._other(item, key, owner, depth, documents, stack)
        return count

    def _other(
        self, item: JSON, key: str, owner: int, depth: int, documents: int, stack: list[_Open]
    ) -> int:
        if isinstance(item, _CONTAINERS):
            stack.append((item, key, owner, depth))
        elif isinstance(item, str):
            self._text(item, key, owner, depth, documents)
            return 1
        elif type(item) is int and key and not -NUMBER_MAX <= item <= NUMBER_MAX:
            self._under(str(item), key)
        elif documents and type(item) is float and abs(item) > _EXACT_MAX:
            self._odd_one(owner)
        return 0

    def _pair(self, value: dict[str, JSON]) -> str:
        """The name in a pair of name and value, if it is one."""
        name = name_of(value)
        if name is None:
            return ""
        # What stands under it is judged by what becomes of it, as with a key.
        named = str(value[name])
        self._run.keys.append(len(self._run.texts))
        self._run.texts.append(named)
        return named

    def _key(self, key: str) -> bool:
        self._run.keys.append(len(self._run.texts))
        self._run.texts.append(key)
        tells = self._keys.tells(key)
        if len(key) <= KEY_CHARACTERS_MAX:
            self._keys.known[key] = tells
        return tells

    def _under(self, text: str, key: str) -> None:
        if key and self._keys.tells(key):
            self._run.telling.append((len(self._run.texts), key))
        self._run.texts.append(text)

    # --- documents --------------------------------------------------------------------------

    def _text(self, text: str, key: str, owner: int, depth: int, documents: int) -> None:
        """`depth` is that of the container in the value as a whole."""
        if documents >= DOCUMENTS_DEPTH_MAX or not bracketed(text):
            self._under(text, key)
            return
        try:
            document = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            self._odd(text, key, owner)
            return
        if not shallow(document, text, depth):
            self._under(text, key)
            return
        stack: list[_Open] = []
        strings = self._other(document, key, owner, depth, documents + 1, stack)
        while stack:
            one, under, _, _ = stack.pop()
            if isinstance(one, dict):
                strings += self._object(one, owner, depth, documents + 1, stack)
            else:
                strings += self._list(one, under, owner, depth, documents + 1, stack)
        plain = text.replace("\\\\", "") if "\\" in text else text
        if 2 * strings != plain.count('"') - plain.count('\\"'):
            self._odd_one(owner)  # a key stands there twice

    def _odd(self, text: str, key: str, owner: int) -> None:
        """No document, or one that only a lenient reader reads."""
        try:
            parsed(text)
        except (ValueError, RecursionError):
            self._under(text, key)
        else:
            self._odd_one(owner)

    def _odd_one(self, owner: int) -> None:
        """It has to be read in another way to say what is in it."""
        self._touched.add(owner)
        self._unsure = True

    # --- looking ----------------------------------------------------------------------------

    def _flush(self) -> None:
        run = self._run
        if not run.texts:
            return
        keys = set(run.keys)
        for number in self._look(run):
            self._hits.add(run.texts[number])
            if number in keys:
                # What stands under a key that changes is judged by what becomes of the key.
                self._keys.known.pop(run.texts[number], None)
                self._whole = True
            self._touched.add(bisect_right(self._begins, self._before + number) - 1)
        self._before += len(run.texts)
        run.clear()
