"""pi (pi-coding-agent, also oh-my-pi): where its histories are, and which files are its own.

    <root>/--<cwd, with - for />--/<time>_<session>.jsonl

A fork is a file of its own that begins with a copy of what it was forked from. OpenClaw writes
the same records; its files are told by where they lie or by what it says in them, and belong
to `clew.importers.openclaw`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clew.errors import Invalid
from clew.importers import jsonl, packed
from clew.importers.facts import text, time_ms
from clew.importers.pi_records import FORMAT, TYPES, PiReader, is_record
from clew.model import JSON, Origin
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

name = "pi"
formats: tuple[str, ...] = (FORMAT,)

HEAD_BYTES = 64 << 10
HEAD_RECORDS = 24

OPENCLAW_HOMES = (".openclaw", ".clawdbot", ".moltbot", ".moldbot")
OPENCLAW_STORE = "sessions.json"
_OPENCLAW_CUSTOM = "model-snapshot"


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`$PI_CODING_AGENT_SESSION_DIR` and `sessions` under `$PI_CODING_AGENT_DIR`, else under
    `~/.pi/agent`, and that of oh-my-pi; only those that exist.
    """
    named, told = env.get("PI_CODING_AGENT_SESSION_DIR"), env.get("PI_CODING_AGENT_DIR")
    agent = Path(told).expanduser() if told else home / ".pi" / "agent"
    found = [Path(named).expanduser()] if named else []
    found += [agent / "sessions", home / ".omp" / "agent" / "sessions"]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def identify(path: Path) -> bool:
    """True for a `.jsonl` file whose first records are pi's and not OpenClaw's."""
    return _begun(path) is not None


def discover(root: Path) -> Iterator[Path]:
    """See `Importer.discover`. The header's time is when the file was begun: a fork's is later
    than that of what it copies.
    """
    files = [root] if root.is_file() else _walk(root)
    found = [(_begun(path), str(path), path) for path in files]
    yield from (path for begun, _, path in sorted(each for each in found if each[0] is not None))


def open(path: Path, state: bytes | None = None) -> PiReader:
    """See `Importer.open`. The header tells the session's id; a file without one has it in
    its name.
    """
    if state is not None:
        return PiReader.resume(state)
    identity = header_id(first_records(path)) or path.stem.rpartition("_")[2]
    return PiReader(Origin(mended(identity), name))


def _begun(path: Path) -> int | None:
    """When a file of pi's was begun; `None` for any other file."""
    values = first_records(path) if path.suffix == ".jsonl" else []
    return begun(values) if is_family(values) and not is_openclaw(path, values) else None


# --- shared with OpenClaw ----------------------------------------------------------------


def first_records(path: Path) -> list[dict[str, JSON]]:
    """The first records of a file that can be read; none when it is not there, is damaged or
    is no file of records, one alone when that is not of pi's kind. A line that the head cuts
    off is left out.
    """
    try:
        if not path.is_file():
            return []
        with packed.opened(path) as file:
            head = file.read(HEAD_BYTES)
    except (OSError, Invalid):
        return []
    lines = head.split(b"\n")
    if len(head) == HEAD_BYTES:
        lines.pop()
    found: list[dict[str, JSON]] = []
    for line in lines[:HEAD_RECORDS]:
        pieces = jsonl.read_line(line, 0, is_record)
        found += [piece.value for piece in pieces if piece.value is not None]
        if found and not is_family(found):
            break  # most files are another agent's, and each importer looks at all
    return found


def is_family(values: Sequence[dict[str, JSON]]) -> bool:
    """True when the first record is of pi's kind: a header, or an entry of a tree, with which
    a file begins that lost its header.
    """
    first = values[0] if values else {}
    kind = first.get("type")
    return is_record(first) and kind in TYPES and (kind == "session" or "parentId" in first)


def is_openclaw(path: Path, values: Sequence[dict[str, JSON]]) -> bool:
    """True when OpenClaw wrote a file of pi's kind: it lies where OpenClaw keeps sessions, or
    its first records say so.
    """
    folder = path.parent
    if folder.name == "sessions" and folder.parent.parent.name == "agents":
        return True
    return (folder / OPENCLAW_STORE).is_file() or any(map(_speaks_of_openclaw, values))


def _speaks_of_openclaw(value: dict[str, JSON]) -> bool:
    kind = value.get("type")
    if kind == "session":
        home = any(part in OPENCLAW_HOMES for part in Path(text(value, "cwd") or "").parts)
        return home or (text(value, "id") or "").startswith("openclaw")
    if kind == "model_change":
        return (text(value, "provider") or "").startswith("openclaw")
    custom = text(value, "customType") or ""
    return custom == _OPENCLAW_CUSTOM or custom.startswith("openclaw.")


def header_id(values: Sequence[dict[str, JSON]]) -> str | None:
    """The session's id, as the header tells it."""
    found = (text(value, "id") for value in values if value.get("type") == "session")
    return next(found, None)


def begun(values: Sequence[dict[str, JSON]]) -> int:
    """When a file was begun, in Unix milliseconds; 0 when it does not say."""
    times = (time_ms(value.get("timestamp")) for value in values)
    return next((time for time in times if time is not None), 0)


def _walk(root: Path) -> Iterator[Path]:
    for folder, _folders, files in os.walk(root):
        yield from (Path(folder, file) for file in files if file.endswith(".jsonl"))
