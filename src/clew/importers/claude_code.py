"""Claude Code: where its histories are, and which files are its own.

    <root>/projects/<slug>/<session>.jsonl                          a main session
    <root>/projects/<slug>/<session>/subagents/agent-<id>.jsonl     a sub-agent, with .meta.json
    <root>/projects/<slug>/agent-<id>.jsonl                         a sub-agent before 2.1

The slug is made from the working folder and is lossy, so the project comes from the records.
The format is undocumented; what is known of it stands in `docs/formats/`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew.importers import jsonl
from clew.importers.claude_records import (
    FORMAT,
    TYPES,
    ClaudeReader,
    is_record,
    text,
    time_ms,
)
from clew.model import JSON, Origin
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "claude-code"
formats: tuple[str, ...] = (FORMAT,)

HEAD_BYTES = 64 << 10
TAIL_BYTES = 64 << 10
HEAD_RECORDS = 24

_OTHER_FOLDERS = frozenset({"tool-results", "workflows"})
_AGENT = "agent-"
_STAMP = re.compile(rb'"timestamp":\s?"([^"]{10,40})"')
_ENVELOPE = re.compile(rb'^\{"(?:parentUuid|sessionId|type|uuid|isSidechain|message)":')


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`projects` under `$CLAUDE_CONFIG_DIR` (a comma-separated list), else under `~/.claude`
    and the older `~/.config/claude`; only those that exist.
    """
    told = [Path(part.strip()) for part in env.get("CLAUDE_CONFIG_DIR", "").split(",")]
    told = [folder.expanduser() for folder in told if folder != Path()]
    folders = told or [home / ".claude", home / ".config" / "claude"]
    return [folder / "projects" for folder in folders if (folder / "projects").is_dir()]


def identify(path: Path) -> bool:
    """True for a `.jsonl` file whose first bytes hold a record of Claude Code, and for one that
    cannot be read: whoever opens it then hears why.
    """
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    try:
        head = _head(path)
    except OSError:
        return True
    values = _values(head)
    if any(map(_is_ours, values)):
        return True
    # The first record may be longer than the head, for instance with a picture in it.
    return not values and b'"sessionId"' in head and _ENVELOPE.match(head) is not None


def discover(root: Path) -> Iterator[Path]:
    """See `Importer.discover`. A root may be a config folder, a project's or one file.

    A copied prefix carries the original's times, so among equals the original is the one
    whose records name its own session, that no background run wrote, and that ended first.
    """
    files = [root] if root.is_file() else list(_walk(root))
    rows = [(*_place(path), path) for path in files if identify(path)]
    rows.sort(key=lambda row: (row[0], row[1], str(row[2])))
    index = 0
    while index < len(rows):
        stop = index + 1
        while stop < len(rows) and rows[stop][:2] == rows[index][:2]:
            stop += 1
        equals = [path for _, _, path in rows[index:stop]]
        yield from equals if len(equals) == 1 else sorted(equals, key=_originality)
        index = stop


def open(path: Path, state: bytes | None = None) -> ClaudeReader:
    """See `Importer.open`. A sub-agent's `.meta.json` is read now."""
    if state is not None:
        return ClaudeReader.resume(state)
    if not path.name.startswith(_AGENT):
        return ClaudeReader(Origin(mended(path.stem), name))
    parent = _parent(path)
    meta = _meta(path)
    origin = Origin(
        mended(f"{parent}/{path.stem}" if parent else path.stem),
        name,
        parent=parent and mended(parent),
        parent_call=text(meta, "toolUseId"),
        kind="subagent",
    )
    return ClaudeReader(origin, title=text(meta, "description"))


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [each for each in folders if each not in _OTHER_FOLDERS]
        yield from (Path(folder, file) for file in files if file.endswith(".jsonl"))


def _place(path: Path) -> tuple[bool, int]:
    try:
        stamp = _STAMP.search(_head(path))
    except OSError:
        stamp = None
    begun = time_ms(stamp[1].decode("ascii", "replace")) if stamp else None
    return path.name.startswith(_AGENT), begun or 0


def _originality(path: Path) -> tuple[bool, bool, int, str]:
    try:
        head, tail = _head(path), _tail(path)
    except OSError:
        head = tail = b""
    named = {text(value, "sessionId") for value in _values(head)} - {None}
    stamps = _STAMP.findall(tail)
    ended = time_ms(stamps[-1].decode("ascii", "replace")) if stamps else None
    return bool(named) and path.stem not in named, b'"sessionKind"' in head, ended or 0, str(path)


def _parent(path: Path) -> str | None:
    """The session that a sub-agent's file belongs to: by its folder, else by its records."""
    if path.parent.name == "subagents":
        return path.parent.parent.name
    if not path.is_file():
        return None
    found = (text(value, "sessionId") for value in _values(_head(path)))
    return next((parent for parent in found if parent), None)


def _meta(path: Path) -> dict[str, JSON]:
    """What stands beside a sub-agent's file; nothing when it is absent or torn."""
    try:
        value = msgspec.json.decode(path.with_suffix(".meta.json").read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read()


def _values(head: bytes) -> list[dict[str, JSON]]:
    """The first records that can be read, without one that the head cuts off."""
    lines = head.split(b"\n")
    if len(head) == HEAD_BYTES:
        lines.pop()
    pieces = (
        piece.value
        for line in lines[:HEAD_RECORDS]
        for piece in jsonl.read_line(line, 0, is_record)
        if piece.value is not None
    )
    return list(pieces)


def _is_ours(value: dict[str, JSON]) -> bool:
    kind = value.get("type")
    if kind == "summary":
        return "leafUuid" in value
    if kind == "file-history-snapshot":
        return "messageId" in value
    # Qwen Code has the same envelope, around Gemini's parts and payloads of its own.
    if "sessionId" not in value or {"payload", "systemPayload"} & value.keys():
        return False
    message = value.get("message")
    if isinstance(message, dict):
        return "parts" not in message and message.get("role") in ("user", "assistant")
    return isinstance(kind, str) and kind in TYPES
