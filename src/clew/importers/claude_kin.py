"""Claude Code: which session spawned which, and in which folder a session began.

    toolUseResult.agentId, or `agentId: <id>` in a result's text    a sub-agent, running or done
    toolUseResult.runId                                             a workflow's run
    toolUseResult.agent_id: `<name>@<team>`                         a teammate in its own session
    agent-<id>.meta.json: toolUseId                                 the call, told by the child

Agents that agents spawn lie in the same flat folder as all others: the file that holds the call
is the parent. A file is read for this once, and again only when it has changed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from clew.importers import jsonl, packed
from clew.importers.claude_records import is_record
from clew.importers.facts import text
from clew.model import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FILES_MAX = 1024
"""So many agents of one session are looked through for a parent."""

_SPAWNERS: Final = frozenset({"Task", "Agent", "Workflow"})
_RESULT_KEYS: Final = ("agentId", "runId", "agent_id")
_CALLED = re.compile(rb'"name":\s?"(?:Task|Agent|Workflow)"')
_NAMED: Final = (b'"agentId"', b'"runId"', b'"agent_id"')
_TOLD = re.compile(r"^agentId: ([\w-]+)", re.MULTILINE)
_FOLDER = re.compile(rb'"cwd":\s?("(?:[^"\\]|\\.)*")')
_HEAD_BYTES = 64 << 10


class Calls(NamedTuple):
    """What one file says of agents: the calls that it made, and what came of them, by the name
    of what was spawned.
    """

    made: frozenset[str]
    spawned: dict[str, str]


def call_of(files: Iterable[Path], child: str, call: str | None) -> tuple[Path, str] | None:
    """The first of the files that spawned `child`, and its call there; `call` when the child
    itself names it.
    """
    for path in files:
        calls = calls_in(path)
        if call is not None and call in calls.made:
            return path, call
        if child in calls.spawned and call in (None, calls.spawned[child]):
            return path, calls.spawned[child]
    return None


def calls_in(path: Path) -> Calls:
    """See `Calls`. Nothing for a file that is not there."""
    try:
        status = path.stat()
    except OSError:
        return Calls(frozenset(), {})
    return _read(path, status.st_size, status.st_mtime_ns)


def siblings(path: Path) -> Iterator[Path]:
    """The other agents in an agent's folder."""
    found = sorted(path.parent.glob("agent-*.jsonl"))
    yield from (each for each in found[:FILES_MAX] if each != path)


def folder_of(paths: Iterable[Path]) -> str | None:
    """The first working folder that one of the files tells."""
    for path in paths:
        try:
            with packed.plain(path) as file:
                found = _FOLDER.search(file.read(_HEAD_BYTES))
            folder = msgspec.json.decode(found[1]) if found else None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            continue
        if folder:
            return str(folder)
    return None


@lru_cache(maxsize=4 * FILES_MAX)
def _read(path: Path, _size: int, _changed: int) -> Calls:
    made: set[str] = set()
    spawned: dict[str, str] = {}
    try:
        with packed.plain(path) as file:
            for line in iter(lambda: file.readline(jsonl.LINE_BYTES_MAX), b""):
                if _may_tell(line):
                    for piece in jsonl.read_line(line.rstrip(b"\r\n"), 0, is_record):
                        _learn(piece.value or {}, made, spawned)
    except OSError:
        pass  # gone, or not ours to read: whoever imports it is told
    return Calls(frozenset(made), spawned)


def _may_tell(line: bytes) -> bool:
    """Whether a line is worth to be read: most are not, and all are looked at."""
    if b'"tool_use"' in line and _CALLED.search(line):
        return True
    told = line.find(b'"toolUseResult"')
    if told >= 0 and any(line.find(name, told) >= 0 for name in _NAMED):
        return True
    return b'"tool_result"' in line and b"agentId: " in line


def _learn(value: dict[str, JSON], made: set[str], spawned: dict[str, str]) -> None:
    message = value.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    blocks = (
        [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
    )
    for block in blocks:
        id = text(block, "id")
        if block.get("type") == "tool_use" and id and text(block, "name") in _SPAWNERS:
            made.add(id)
    answered = [text(each, "tool_use_id") for each in blocks if each.get("type") == "tool_result"]
    told = value.get("toolUseResult")
    if isinstance(told, dict) and len(answered) == 1 and answered[0]:
        for key in _RESULT_KEYS:
            if name := text(told, key):
                spawned.setdefault(name, answered[0])
    for block in blocks:
        call = text(block, "tool_use_id")
        if call in made:  # any other tool may have printed the same words
            for name in _TOLD.findall(_words(block)):
                spawned.setdefault(name, call)


def _words(block: dict[str, JSON]) -> str:
    content = block.get("content")
    if isinstance(content, list):
        parts = [text(each, "text") for each in content if isinstance(each, dict)]
        return "\n".join(filter(None, parts))
    return content if isinstance(content, str) else ""
