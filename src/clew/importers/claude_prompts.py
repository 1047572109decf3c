"""Claude Code: the prompts that were typed, which outlive the sessions (`cleanupPeriodDays`).

    <root>/history.jsonl    {"display", "timestamp", "project", "sessionId", "pastedContents"}

`sessionId` came later: older lines name no session, and are kept by project. A long paste stands
in `display` as `[Pasted text #1 …]`, and under its number in `pastedContents`: its words, or in
newer versions the hash of a file that is deleted too.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clew.importers import claude_code
from clew.importers.facts import text
from clew.importers.prompts import Prompts, PromptsReader, Told, first_value, origin_of
from clew.model import JSON, Message, Part, Text, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "claude-code-prompts"
FORMAT: Final = "claude-code-prompts"
formats: tuple[str, ...] = (FORMAT,)

_FILE = "history.jsonl"


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`history.jsonl` beside each of Claude Code's `projects`, where a prompt is in one."""
    folders = {projects.parent: None for projects in claude_code.roots(home, env)}
    return [folder / _FILE for folder in folders if identify(folder / _FILE)]


def identify(path: Path) -> bool:
    """True for a file of that name whose first line is a prompt."""
    if path.name != _FILE or not path.is_file():
        return False
    try:
        value = first_value(path)
    except OSError:
        return True
    return isinstance(value.get("display"), str) and "timestamp" in value


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`. It lies in the config folder and nowhere else."""
    places = [root] if root.is_file() else [root / _FILE, root / ".claude" / _FILE]
    yield from (path for path in places if identify(path))


@contextmanager
def look(path: Path) -> Iterator[Prompts]:
    """See `Store.look`. Sessions whose file is there are left to it."""
    there = (each.stem for each in (path.parent / "projects").glob("*/*.jsonl"))
    yield Prompts(path, _told, there)


def open(path: Path, thread: str, state: bytes | None = None) -> PromptsReader:
    """See `Store.open`."""
    origin = origin_of(thread, claude_code.name)
    return PromptsReader(origin, FORMAT, _told, "display").resumed(state)


def _told(value: dict[str, JSON]) -> Told:
    stamp = value.get("timestamp")
    time_ms = int(stamp) if type(stamp) is int and stamp > 0 else None
    return Told(text(value, "sessionId"), time_ms, text(value, "project"))


def decode(record: JSON) -> Message:
    """What a line says as a message, each paste behind it. Never fails."""
    if not isinstance(record, dict) or not isinstance(record.get("display"), str):
        return Message("user", (Unknown("prompt", record),))
    parts: list[Part] = [Text(record["display"])]
    pasted = record.get("pastedContents")
    for each in pasted.values() if isinstance(pasted, dict) else ():
        words = (
            each.get("content") if isinstance(each, dict) and each.get("type") == "text" else None
        )
        parts.append(Text(words) if isinstance(words, str) else Unknown("paste", each))
    return Message("user", tuple(parts), time_ms=_told(record).time_ms or 0)
