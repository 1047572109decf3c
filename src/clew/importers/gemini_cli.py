"""Gemini CLI: where its histories are, and which files are its own.

    <home>/tmp/<slug, or SHA-256 of the project's path>/chats/session-<time>-<id>.jsonl
    <home>/tmp/<slug>/chats/<parent>/<session>.jsonl       a sub-agent
    <home>/tmp/<slug>/chats/session-<time>-<id>.json       one document, before 0.39
    <home>/tmp/<slug>/.project_root, <home>/projects.json  which project a slug is

The program is open source; what is known of its files stands in `docs/formats/`.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew.importers import jsonl, packed
from clew.importers.facts import text, time_ms
from clew.importers.gemini_reader import GeminiReader
from clew.importers.gemini_records import CALLS, FORMAT, RESULTS, is_message, is_record
from clew.model import JSON, Origin
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "gemini-cli"
formats: tuple[str, ...] = (FORMAT, CALLS, RESULTS)

HEAD_BYTES = 64 << 10
TAIL_BYTES = 4 << 10
HEAD_RECORDS = 24

_CHATS = "chats"
_TYPES = frozenset({"user", "gemini", "info", "error", "warning"})
_LIST = re.compile(rb'"(?:messages|history)"\s*:\s*\[')
_OURS = re.compile(rb'"(?:type|role)"\s*:\s*"gemini"|"projectHash"\s*:\s*"')
_UPDATED = re.compile(rb'"lastUpdated"\s*:\s*"([^"]{10,40})"')
_BRACE = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`.gemini/tmp` under `$GEMINI_CLI_HOME`, else under the home folder, if it exists."""
    told = env.get("GEMINI_CLI_HOME")
    base = Path(told).expanduser() if told else home
    folder = base / ".gemini" / "tmp"
    return [folder] if folder.is_dir() else []


def identify(path: Path) -> bool:
    """True for a log of patches or a document of Gemini CLI, by its first and last bytes."""
    if path.suffix not in (".json", ".jsonl") or not path.is_file():
        return False
    try:
        head, tail = _ends(path)
    except OSError:
        return False
    if path.suffix == ".json":
        some = head + tail
        return bool(_BRACE.match(head) and _LIST.search(some) and _OURS.search(some))
    return any(map(_is_ours, _values(head)))


def discover(root: Path) -> Iterator[Path]:
    """See `Importer.discover`. Of two files of one session the older state comes first: that of
    a document before the log that it was turned into.
    """
    files = [root] if root.is_file() else list(_walk(root))
    found = [path for path in files if identify(path)]
    yield from sorted(
        found, key=lambda path: (_parent(path) is not None, _updated(path), str(path))
    )


def open(path: Path, state: bytes | None = None) -> GeminiReader:
    """See `Importer.open`. The session's id is told by the file's header; one without a
    header has it in its name. The project is looked up beside the file.
    """
    if state is not None:
        return GeminiReader.resume(state)
    parent = _parent(path)
    origin = Origin(
        mended(path.stem),
        name,
        project=_project(path),
        parent=parent and mended(parent),
        kind="subagent" if parent else "main",
        settled=False,  # the first record tells whose file it is
    )
    return GeminiReader(origin, document=path.suffix == ".json")


def _walk(root: Path) -> Iterator[Path]:
    for folder, _folders, files in os.walk(root):
        yield from (Path(folder, file) for file in files if file.endswith((".json", ".jsonl")))


def _parent(path: Path) -> str | None:
    """The session in whose folder a sub-agent's file lies."""
    return path.parent.name if path.parent.parent.name == _CHATS else None


def _project(path: Path) -> str | None:
    """The project's folder, as the files around the chats tell it."""
    chats = next((each for each in path.parents if each.name == _CHATS), None)
    if chats is None:
        return None
    folder = chats.parent
    try:
        told = packed.whole(folder / ".project_root").decode("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        told = ""
    return told or _registered(folder)


def _registered(folder: Path) -> str | None:
    """The project whose slug, or the hash of whose path, a folder's name is."""
    try:
        value = msgspec.json.decode(packed.whole(folder.parent.parent / "projects.json"))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    projects = value.get("projects") if isinstance(value, dict) else None
    for path, slug in projects.items() if isinstance(projects, dict) else ():
        if folder.name in (slug, hashlib.sha256(path.encode()).hexdigest()):
            return str(path)
    return None


def _updated(path: Path) -> int:
    """When a file was last written, as it tells; in Unix milliseconds."""
    try:
        head, tail = _ends(path)
    except OSError:
        return 0
    stamps = (time_ms(each.decode("ascii", "replace")) for each in _UPDATED.findall(head + tail))
    return max((stamp for stamp in stamps if stamp is not None), default=0)


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first bytes of a file, and its last ones where those are others."""
    with packed.plain(path) as file:
        head = file.read(HEAD_BYTES)
        size = path.stat().st_size
        if size <= HEAD_BYTES:
            return head, b""
        file.seek(max(HEAD_BYTES, size - TAIL_BYTES))
        return head, file.read()


def _values(head: bytes) -> list[dict[str, JSON]]:
    """The first records that can be read, without one that the head cuts off."""
    lines = head.split(b"\n")
    if len(head) == HEAD_BYTES:
        lines.pop()
    return [
        piece.value
        for line in lines[:HEAD_RECORDS]
        for piece in jsonl.read_line(line, 0, is_record)
        if piece.value is not None
    ]


def _is_ours(value: dict[str, JSON]) -> bool:
    if text(value, "sessionId") is not None:
        return text(value, "projectHash") is not None and "uuid" not in value
    if isinstance(value.get("$set"), dict) or isinstance(value.get("$rewindTo"), str):
        return True
    return is_message(value) and value.get("type") in _TYPES and "timestamp" in value
