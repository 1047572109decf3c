"""Calls that change a file, as a diff."""

from __future__ import annotations

import difflib
from typing import Any, Final

CHARS_MAX: Final = 40_000
"""Longer texts are shown as they are."""
CONTEXT: Final = 3

_BEFORE: Final = ("old_string", "old_str", "oldText", "old_text", "oldString")
_AFTER: Final = ("new_string", "new_str", "newText", "new_text", "newString")

Line = tuple[str, str]
"""How a line is meant (`add`, `del`, `at` or `same`), and the line."""


def of(arguments: Any) -> list[Line]:
    """The lines of a diff; none for a call that does not tell what it replaces."""
    if not isinstance(arguments, dict):
        return _patch(arguments) if isinstance(arguments, str) else []
    edits = arguments.get("edits")
    pieces = edits if isinstance(edits, list) else [arguments]
    found: list[Line] = []
    for piece in pieces:
        if isinstance(piece, dict):
            found += _replaced(_first(piece, _BEFORE), _first(piece, _AFTER))
    if found:
        return found
    told = arguments.get("input", arguments.get("patch"))
    return _patch(told) if isinstance(told, str) else []


def _first(piece: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    found = next((piece[key] for key in keys if key in piece), None)
    return found if isinstance(found, str) else None


def _replaced(before: str | None, after: str | None) -> list[Line]:
    if before is None or after is None or len(before) + len(after) > CHARS_MAX:
        return []
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=CONTEXT)
    return [_line(line) for line in lines if not line.startswith(("---", "+++"))]


def _patch(text: str) -> list[Line]:
    """A patch as Codex and git write them."""
    if not text.startswith(("*** Begin Patch", "diff --git", "--- ")) or len(text) > CHARS_MAX:
        return []
    return [_line(line) for line in text.splitlines()]


def _line(line: str) -> Line:
    kinds = {"+": "add", "-": "del", "@": "at", "*": "at"}
    return kinds.get(line[:1], "same"), line
