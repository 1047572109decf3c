"""The table of rules, and how they read a request.

Deliberately nothing here is shared with the writers in `clew.shapes`: a mistake made there
must not be able to hide here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from clew.model import JSON

Findings = Iterator[tuple[str, str]]
"""`(path in the request, what is wrong there)`."""

Blocks = Iterator[tuple[str, dict[str, JSON]]]
"""`(path, object)` of the objects in a list."""


class Violation(msgspec.Struct, frozen=True):
    """A rule that a request breaks, and where."""

    rule: str
    path: str
    message: str


class Rule(msgspec.Struct, frozen=True):
    """One demand of one provider, with the page that states it."""

    id: str
    provider: str
    sentence: str
    source: str
    check: Callable[[JSON], Findings]


RULES: Final[dict[str, Rule]] = {}
"""Every rule by its id."""


def rule(
    name: str, sentence: str, source: str
) -> Callable[[Callable[[JSON], Findings]], Callable[[JSON], Findings]]:
    """Enter a check in the table under `provider/name`."""

    def add(function: Callable[[JSON], Findings]) -> Callable[[JSON], Findings]:
        RULES[name] = Rule(name, name.partition("/")[0], sentence, source, function)
        return function

    return add


def objects(value: JSON, path: str) -> Iterator[tuple[str, dict[str, JSON]]]:
    """The objects in a list, with their paths; what is no object is passed over."""
    for index, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, dict):
            yield f"{path}[{index}]", item


def turns(request: JSON) -> list[tuple[str, dict[str, JSON]]]:
    """The messages of an Anthropic or OpenAI Chat request."""
    return list(objects(request.get("messages"), "messages"))


def blocks(request: JSON, role: str | None = None) -> Iterator[tuple[str, dict[str, JSON]]]:
    """The blocks of every message, or of those of one role."""
    for path, turn in turns(request):
        if role is None or turn.get("role") == role:
            yield from objects(turn.get("content"), f"{path}.content")


def of_type(blocks: Iterable[tuple[str, dict[str, JSON]]], *kinds: str) -> Blocks:
    """Those blocks that are of one of the types."""
    return ((path, block) for path, block in blocks if block.get("type") in kinds)


def blank(value: JSON) -> bool:
    """True for what is no string or only white space."""
    return not isinstance(value, str) or not value.strip()


def fits(value: JSON, pattern: str) -> bool:
    """True for a string that the whole pattern matches."""
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def ids(turn: JSON, kind: str, key: str) -> list[JSON]:
    """The ids that a turn's blocks of one type carry."""
    return [block.get(key) for _, block in of_type(objects(turn.get("content"), ""), kind)]


def plain(value: JSON) -> str:
    """A value that can be looked up: itself when it is a string, else how it is written."""
    return value if isinstance(value, str) else repr(value)
