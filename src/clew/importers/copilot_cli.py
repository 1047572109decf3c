"""GitHub Copilot CLI: where its histories are, and which files are its own.

    <home>/session-state/<session>/events.jsonl     with workspace.yaml beside it
    <home>/session-state/<session>.jsonl            earlier versions

The program is closed; its SDK (`@github/copilot-sdk`, `generated/session-events`) declares the
events. What is known of its files stands in `docs/formats/`.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clew.importers import copilot_store, jsonl, packed
from clew.importers.copilot_reader import CopilotReader
from clew.importers.copilot_records import FORMAT, is_record
from clew.importers.facts import TITLE_CHARS_MAX, time_ms
from clew.model import JSON, Origin
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "copilot-cli"
formats: tuple[str, ...] = (FORMAT,)

HEAD_BYTES = 64 << 10
HEAD_RECORDS = 8
FOLDER = "session-state"
EVENTS = "events.jsonl"
WORKSPACE = "workspace.yaml"
WORKSPACE_BYTES_MAX = 64 << 10


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """The folder of sessions under `$COPILOT_HOME` or `~/.copilot`, if it exists."""
    folder = copilot_store.home_of(home, env) / FOLDER
    return [folder] if folder.is_dir() else []


def identify(path: Path) -> bool:
    """True for a `.jsonl` file that begins with events of Copilot CLI."""
    return path.suffix == ".jsonl" and bool(_values(path))


def discover(root: Path) -> Iterator[Path]:
    """See `Importer.discover`. What began earlier comes first: a fork copies what it left."""
    files = [root] if root.is_file() else list(_walk(root))
    found = [(values, path) for path in files if identify(path) and (values := _values(path))]
    found.sort(key=lambda row: (time_ms(row[0][0].get("timestamp")) or 0, str(row[1])))
    yield from (path for _values, path in found)


def open(path: Path, state: bytes | None = None) -> CopilotReader:
    """See `Importer.open`. The session's id is told by its first event, else by where the file
    lies; the name that a person gave it stands beside the file.
    """
    below = path.absolute().parent
    base = below.parent.parent if path.name == EVENTS else below.parent
    metered = partial(copilot_store.has_rows, base / copilot_store.FILE)
    if state is not None:
        return CopilotReader.resume(state, metered)
    identity = path.parent.name if path.name == EVENTS else path.stem
    origin = Origin(mended(identity or path.stem), name)
    return CopilotReader(origin, metered, title=_title(path))


def _title(path: Path) -> str | None:
    """The session's name in the file beside it: flat lines of `key: value`."""
    if path.name != EVENTS:
        return None
    try:
        with packed.plain(path.parent / WORKSPACE) as file:
            lines = file.read(WORKSPACE_BYTES_MAX).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    told = dict(line.split(":", 1) for line in lines if ":" in line and line[0].isalpha())
    for key in ("name", "summary"):
        words = told.get(key, "").strip().strip("\"'")
        if words and words != "|-":
            return words[: 8 * TITLE_CHARS_MAX]
    return None


def _walk(root: Path) -> Iterator[Path]:
    for folder, _folders, files in os.walk(root):
        yield from (Path(folder, file) for file in files if file.endswith(".jsonl"))


def _values(path: Path) -> list[dict[str, JSON]]:
    """The first events of a file; none when they are another's, or it is not there."""
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
        if piece.value is not None and is_record(piece.value)
    ]
