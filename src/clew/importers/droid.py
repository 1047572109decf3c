"""Droid (Factory): where its histories are, and which files are its own.

    ~/.factory/sessions/<slug>/<session>.jsonl             a session
    ~/.factory/sessions/<slug>/<session>.settings.json     its model, and what it used in all

The format is undocumented; what is known of it was read from recorded files and from other
readers of them. What `droid exec` streams is another format, and is not kept by Droid.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clew.importers import claude_kin, jsonl, packed
from clew.importers.droid_records import FORMAT, SETTINGS, DroidReader, is_record
from clew.model import JSON, Origin
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

name = "droid"
formats: tuple[str, ...] = (FORMAT,)

HEAD_BYTES = 64 << 10
_SETTINGS = ".settings.json"
_SESSION = ".jsonl"


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`~/.factory/sessions`, if it exists. Droid documents no variable for another place."""
    root = home / ".factory" / "sessions"
    return [root] if root.is_dir() else []


def identify(path: Path) -> bool:
    """True for a file that begins with a session's start, and for the settings beside one."""
    if path.name.endswith(_SETTINGS):
        beside = path.with_name(path.name.removesuffix(_SETTINGS) + _SESSION)
        return path.is_file() and _is_session(beside) and bool(_told(path) & SETTINGS)
    return path.suffix == _SESSION and _is_session(path)


def discover(root: Path) -> Iterator[Path]:
    """See `Importer.discover`. A session's settings come behind all sessions."""
    if root.is_file():
        yield from [root] if identify(root) else []
        return
    files = sorted(Path(folder, file) for folder, _, names in os.walk(root) for file in names)
    ours = [path for path in files if identify(path)]
    yield from sorted(ours, key=lambda path: path.name.endswith(_SETTINGS))


def open(path: Path, state: bytes | None = None) -> DroidReader:
    """See `Importer.open`."""
    if state is not None:
        return DroidReader.resume(state)
    if not path.name.endswith(_SETTINGS):
        return DroidReader(Origin(mended(path.stem), name))
    session = path.name.removesuffix(_SETTINGS)
    project = claude_kin.folder_of([path.with_name(session + _SESSION)])
    return DroidReader(Origin(mended(session), name, project=project), document=True)


def _is_session(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        head = _head(path)
    except OSError:
        return True
    value = _first(head.split(b"\n")[0])
    # Messages of a first line that is longer than the head cannot be told from others'.
    return value is not None and value.get("type") == "session_start" and is_record(value)


def _told(path: Path) -> frozenset[str]:
    """The keys of a document; none when it is none."""
    try:
        value = _first(_head(path).strip())
    except OSError:
        return SETTINGS
    return frozenset(value or ())


def _head(path: Path) -> bytes:
    with packed.plain(path) as file:
        return file.read(HEAD_BYTES)


def _first(text: bytes) -> dict[str, JSON] | None:
    pieces = jsonl.read_line(text, 0, lambda _value: True)
    return next((piece.value for piece in pieces), None)
