"""Codex CLI: where its histories are, and which files are its own.

    <home>/sessions/YYYY/MM/DD/rollout-<time>-<thread>.jsonl              a thread
    <home>/sessions/YYYY/MM/DD/rollout-<time>-<thread>_<rollout>.jsonl    the same, reverted
    <home>/archived_sessions/rollout-….jsonl                              an archived one
    <home>/session_index.jsonl                                            names given to threads

Any of them may be compressed (`.jsonl.zst`). The program is open source; what is known of its
files stands in `docs/formats/`.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew.errors import Invalid
from clew.importers import jsonl, packed
from clew.importers.codex_reader import CodexReader
from clew.importers.codex_records import ENVELOPES, FORMAT, is_bare_head, is_record
from clew.importers.facts import text, time_ms
from clew.importers.packed import SUFFIX, opened, plain_name
from clew.model import JSON, Origin
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "codex"
formats: tuple[str, ...] = (FORMAT,)

HEAD_BYTES = 64 << 10
HEAD_RECORDS = 8
INDEX_BYTES_MAX = 16 << 20

_FOLDERS = ("sessions", "archived_sessions")
_INDEX = "session_index.jsonl"
_ENDINGS = (".jsonl", f".jsonl{SUFFIX}")
_FILE = re.compile(
    r"rollout-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-([0-9a-fA-F-]{36})(?:_([0-9a-fA-F-]{36}))?\.jsonl"
)
_HEAD = re.compile(
    rb'\s*\{"timestamp":"([^"]{10,40})",(?:"ordinal":\d{1,18},)?"type":"session_meta","payload":\{'
)
_MADE = re.compile(rb'"timestamp":\s?"([^"]{10,40})"')
_SPAWNED = re.compile(rb'"source":\s?\{"subagent"|"parent_thread_id":\s?"')


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`$CODEX_HOME`, else `~/.codex`, if it has sessions. It is one root, since a thread and
    what was forked from it may lie in different folders below it.
    """
    told = env.get("CODEX_HOME", "").strip()
    folder = Path(told).expanduser() if told else home / ".codex"
    return [folder] if any((folder / each).is_dir() for each in _FOLDERS) else []


def identify(path: Path) -> bool:
    """True for a `.jsonl` or `.jsonl.zst` file whose first bytes hold a record of Codex, and
    for a rollout that cannot be read: whoever opens it then hears why.
    """
    if not path.name.endswith(_ENDINGS) or not path.is_file():
        return False
    try:
        return _is_ours(_head(path))
    except (OSError, Invalid):
        return _FILE.match(path.name) is not None


def discover(root: Path) -> Iterator[Path]:
    """See `Importer.discover`. A root may be Codex's home, a folder of sessions or one file.

    A thread is older than what was forked, copied or reverted from it.
    """
    files = [root] if root.is_file() else list(_walk(root))
    rows = sorted((*_place(path), path.name, str(path)) for path in files if identify(path))
    yield from (Path(row[-1]) for row in rows)


def open(path: Path, state: bytes | None = None) -> CodexReader:
    """See `Importer.open`. The names that were given to threads are read now."""
    if state is not None:
        return CodexReader.resume(state)
    found = _FILE.match(path.name)
    thread = mended(found[1] if found else plain_name(path.name).removesuffix(".jsonl"))
    rollout = (found[2] if found else None) or thread
    return CodexReader(Origin(thread, name), rollout, title=_names(path).get(thread))


def _walk(root: Path) -> Iterator[Path]:
    inside = [root / each for each in _FOLDERS if (root / each).is_dir()]
    for start in inside or [root]:
        for folder, _folders, files in os.walk(start):
            present = set(files)
            for file in files:
                # While Codex compresses a file, both are there for a moment.
                if file.endswith(_ENDINGS) and not (
                    file.endswith(SUFFIX) and plain_name(file) in present
                ):
                    yield Path(folder, file)


def _head(path: Path) -> bytes:
    with opened(path) as file:
        return file.read(HEAD_BYTES)


def _is_ours(head: bytes) -> bool:
    if _HEAD.match(head):
        return True
    lines = head.split(b"\n")
    if len(head) == HEAD_BYTES:
        lines.pop()
    return any(
        _speaks_codex(piece.value)
        for line in lines[:HEAD_RECORDS]
        for piece in jsonl.read_line(line, 0, is_record)
        if piece.value is not None
    )


def _speaks_codex(value: dict[str, JSON]) -> bool:
    return is_bare_head(value) or (is_record(value) and value["type"] in ENVELOPES)


def _place(path: Path) -> tuple[bool, int]:
    """Whether a file is a sub-agent's, and when its thread or its revert was made."""
    try:
        first = _head(path).partition(b"\n")[0]
    except (OSError, Invalid):
        return False, 0
    # The head's own time, in the payload, is when the thread was made, even in a copy.
    begin = first.find(b'"payload"')
    stamp = (begin >= 0 and _MADE.search(first, begin)) or _MADE.search(first)
    made = time_ms(stamp[1].decode("ascii", "replace")) if stamp else None
    return _SPAWNED.search(first) is not None, made or 0


def _names(path: Path) -> dict[str, str]:
    """The names of threads in the index of the home that a file lies in."""
    for folder in path.parents:
        if folder.name in _FOLDERS:
            index = folder.parent / _INDEX
            try:
                status = index.stat()
            except OSError:
                return {}
            return _index(index, status.st_size, status.st_mtime_ns)
    return {}


@lru_cache(maxsize=4)
def _index(path: Path, _size: int, _mtime_ns: int) -> dict[str, str]:
    """An index as it was at a size and time. The last name of a thread counts."""
    try:
        with packed.plain(path) as file:
            lines = file.read(INDEX_BYTES_MAX).split(b"\n")
    except OSError:
        return {}
    names: dict[str, str] = {}
    for line in lines:
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        thread = text(value, "id") if isinstance(value, dict) else None
        title = text(value, "thread_name") if isinstance(value, dict) else None
        if thread and title:
            names[thread] = title
    return names
