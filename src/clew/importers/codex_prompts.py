"""Codex CLI: the prompts that were typed, which outlive the threads.

    <root>/history.jsonl    {"session_id", "ts" (seconds), "text"}

Codex may write the file anew without its oldest lines. It tells no project.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clew.importers import codex
from clew.importers.facts import text
from clew.importers.prompts import Prompts, PromptsReader, Told, first_value, origin_of
from clew.model import JSON, Message, Text, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "codex-prompts"
FORMAT: Final = "codex-prompts"
formats: tuple[str, ...] = (FORMAT,)

_FILE = "history.jsonl"
_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ROLLOUT = re.compile(rf"rollout-.+?-({_ID})(?:_{_ID})?\.jsonl(?:\.zst)?")


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`history.jsonl` under `$CODEX_HOME`, else under `~/.codex`, if a prompt is in it."""
    told = env.get("CODEX_HOME")
    path = (Path(told).expanduser() if told else home / ".codex") / _FILE
    return [path] if identify(path) else []


def identify(path: Path) -> bool:
    """True for a file of that name whose first line is a prompt."""
    if path.name != _FILE or not path.is_file():
        return False
    try:
        value = first_value(path)
    except OSError:
        return True
    return isinstance(value.get("text"), str) and {"session_id", "ts"} <= value.keys()


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`. It lies in Codex's home and nowhere else."""
    places = [root] if root.is_file() else [root / _FILE, root / ".codex" / _FILE]
    yield from (path for path in places if identify(path))


@contextmanager
def look(path: Path) -> Iterator[Prompts]:
    """See `Store.look`. Threads of which a rollout is there are left to it."""
    yield Prompts(path, _told, _threads(path.parent))


def open(path: Path, thread: str, state: bytes | None = None) -> PromptsReader:
    """See `Store.open`."""
    return PromptsReader(origin_of(thread, codex.name), FORMAT, _told, "text").resumed(state)


def _threads(home: Path) -> Iterator[str]:
    for place in ("sessions", "archived_sessions"):
        for _folder, _folders, files in os.walk(home / place):
            found = (_ROLLOUT.fullmatch(file) for file in files)
            yield from (match[1] for match in found if match)


def _told(value: dict[str, JSON]) -> Told:
    stamp = value.get("ts")
    time_ms = stamp * 1000 if type(stamp) is int and stamp > 0 else None
    return Told(text(value, "session_id"), time_ms)


def decode(record: JSON) -> Message:
    """What a line says as a message. Never fails."""
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        return Message("user", (Unknown("prompt", record),))
    return Message("user", (Text(record["text"]),), time_ms=_told(record).time_ms or 0)
