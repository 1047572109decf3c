"""Qwen Code: where its histories are, and which files are its own.

    <home>/projects/<slug>/chats/<session>.jsonl
    <home>/projects/<slug>/subagents/<session>/agent-<id>.jsonl
    <home>/tmp/<hash>/chats/<session>.jsonl          earlier versions

The program is open source; what is known of its files stands in `docs/formats/`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clew.importers import jsonl, packed
from clew.importers.facts import text, time_ms
from clew.importers.qwen_records import FORMAT, QwenReader, is_record
from clew.model import JSON, Origin
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "qwen"
formats: tuple[str, ...] = (FORMAT,)

HEAD_BYTES = 64 << 10
HEAD_RECORDS = 24


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`projects` and `tmp` under `$QWEN_RUNTIME_DIR`, `$QWEN_HOME` or `~/.qwen`; only those
    that exist.
    """
    told = env.get("QWEN_RUNTIME_DIR") or env.get("QWEN_HOME")
    base = Path(told).expanduser() if told else home / ".qwen"
    return [folder for folder in (base / "projects", base / "tmp") if folder.is_dir()]


def identify(path: Path) -> bool:
    """True for a `.jsonl` file that begins with a record of Qwen Code."""
    return path.suffix == ".jsonl" and bool(_values(path))


def discover(root: Path) -> Iterator[Path]:
    """See `Importer.discover`. What began earlier comes first: a branch copies what it left."""
    files = [root] if root.is_file() else list(_walk(root))
    found = [(values, path) for path in files if (values := _values(path))]
    found.sort(key=lambda row: (_parent(row[1]) is not None, _begun(row[0]), str(row[1])))
    yield from (path for _values, path in found)


def open(path: Path, state: bytes | None = None) -> QwenReader:
    """See `Importer.open`. The session's id is told by the records, else by the file's name; a
    sub-agent's records tell that of its parent.
    """
    if state is not None:
        return QwenReader.resume(state)
    parent = _parent(path)
    if parent is None:
        return QwenReader(Origin(mended(path.stem), name, settled=False))
    identity = mended(f"{parent}/{path.stem}")
    origin = Origin(identity, name, parent=mended(parent), kind="subagent", settled=False)
    return QwenReader(origin)


def _parent(path: Path) -> str | None:
    """The session in whose folder a sub-agent's file lies."""
    return path.parent.name if path.parent.parent.name == "subagents" else None


def _begun(values: list[dict[str, JSON]]) -> int:
    return time_ms(values[0].get("timestamp")) or 0


def _walk(root: Path) -> Iterator[Path]:
    for folder, _folders, files in os.walk(root):
        yield from (Path(folder, file) for file in files if file.endswith(".jsonl"))


def _values(path: Path) -> list[dict[str, JSON]]:
    """The first records of a file that are Qwen Code's; none when it is not there."""
    try:
        with packed.plain(path) as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return []
    lines = head.split(b"\n")
    if len(head) == HEAD_BYTES:
        lines.pop()
    return [
        piece.value
        for line in lines[:HEAD_RECORDS]
        for piece in jsonl.read_line(line, 0, is_record)
        if piece.value is not None and is_record(piece.value) and text(piece.value, "uuid")
    ]
