"""OpenClaw (before: clawdbot, moltbot): where its histories are, and which files are its own.

    <root>/agents/<agent>/sessions/sessions.json                         who speaks in which session
    <root>/agents/<agent>/sessions/<session>.jsonl                       the session
    <root>/agents/<agent>/sessions/<session>-topic-<thread>.jsonl        a thread of a chat
    <root>/agents/<agent>/sessions/<session>.checkpoint.<uuid>.jsonl     a copy before a compaction
    <root>/agents/<agent>/sessions/<session>.jsonl.<why>.<time>[.zst]    `reset`, `deleted`, `bak`

The records are pi's. A copy that the session's file begins with is left alone: its moment is
the checkpoint that the ledger makes before the compaction. Of `sessions.json`, which is not a
history and holds more, only titles, addresses, models, spawners and the causes of compactions
are read. Since 2026.7.2 OpenClaw keeps sessions in SQLite, which is not read here. Sources: its
documentation of the session store, and readers of its files.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew.importers import packed, pi
from clew.importers.facts import text
from clew.importers.pi_records import FORMAT, Cause, PiReader, Told
from clew.model import JSON, Origin, Reason
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

name = "openclaw"
formats: tuple[str, ...] = (FORMAT,)

STORE_BYTES_MAX = 64 << 20
COMPARED_BYTES = 64 << 10

_FILE = re.compile(
    r"(?P<session>.+?)(?P<copy>\.checkpoint\.[0-9a-fA-F-]{36})?\.jsonl"
    r"(?P<archive>\.(?:reset|deleted|bak)[.-].+)?"
)
_SIDECARS = (".trajectory",)
_COMPACTED = (
    ("preCompaction", "leafId"),
    ("preCompaction", "entryId"),
    ("postCompaction", "entryId"),
)
"""Where a checkpoint names the entry before a compaction, and the compaction."""
_REASONS = {str(reason): reason for reason in Reason}


class _Known(msgspec.Struct):
    """What `sessions.json` says of one session."""

    told: Told
    spawned_by: str | None


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """`agents` under `$OPENCLAW_STATE_DIR`, else under `~/.openclaw` and its older names; only
    those that exist, and one that links to another once.
    """
    told = env.get("OPENCLAW_STATE_DIR") or env.get("CLAWDBOT_STATE_DIR")
    folders = [Path(told).expanduser()] if told else [home / each for each in pi.OPENCLAW_HOMES]
    found = [folder / "agents" for folder in folders if (folder / "agents").is_dir()]
    return list({folder.resolve(): folder for folder in reversed(found)}.values())[::-1]


def identify(path: Path) -> bool:
    """True for a session's file, a copy or an archive of one, by its name and first records."""
    return _begun(path) is not None


def discover(root: Path) -> Iterator[Path]:
    """See `Importer.discover`. Of one session, what was put aside stands before its file, which
    may have been cut since; what another file of it begins with is left out.
    """
    if root.is_file():
        yield from [root] if identify(root) else []
        return
    sessions: dict[tuple[str, str], list[Path]] = {}
    first: dict[tuple[str, str], int] = {}
    for path in _walk(root):
        begun = _begun(path)
        if begun is not None:
            session = (str(path.parent), _session_of(path) or path.name)
            sessions.setdefault(session, []).append(path)
            first[session] = min(begun, first.get(session, begun))
    for session in sorted(sessions, key=lambda session: (first[session], session)):
        yield from _without_copies(sessions[session])


def copies(root: Path) -> Iterator[tuple[Path, Path]]:
    """See `LeavesOut.copies`."""
    named: dict[tuple[str, str], list[Path]] = {}
    for path in _walk(root):
        if (session := _session_of(path)) is not None:
            named.setdefault((str(path.parent), session), []).append(path)
    for files in named.values():
        ours = [path for path in files if len(files) > 1 and _begun(path) is not None]
        kept = _without_copies(ours)
        for copy in ours:
            if copy not in kept:
                yield copy, next(path for path in kept if _begins_with(path, copy))


def open(path: Path, state: bytes | None = None) -> PiReader:
    """See `Importer.open`. `sessions.json` beside the file is read now."""
    values = pi.first_records(path)
    header, session = pi.header_id(values), _session_of(path) or path.stem
    # The name tells threads of one session apart; a file of another name has the header's id.
    identity = header if header is not None and not session.startswith(header) else session
    known = _store(path.with_name(pi.OPENCLAW_STORE))
    facts = known.get(identity) or known.get(header or "")
    told = facts.told if facts else None
    if state is not None:
        return PiReader.resume(state, told)
    origin = Origin(mended(identity), name)
    if facts is not None and facts.spawned_by is not None:
        origin.kind = "subagent"
        origin.parent = facts.spawned_by or None
    return PiReader(origin, told)


# --- files -------------------------------------------------------------------------------


def _walk(root: Path) -> Iterator[Path]:
    for folder, _folders, files in os.walk(root):
        yield from (Path(folder, file) for file in sorted(files) if ".jsonl" in file)


def _begun(path: Path) -> int | None:
    """When a file of OpenClaw's was begun; `None` for any other file."""
    values = pi.first_records(path) if _session_of(path) is not None else []
    return pi.begun(values) if pi.is_family(values) and pi.is_openclaw(path, values) else None


def _session_of(path: Path) -> str | None:
    """The session that a file is of, by its name; `None` for another kind of file."""
    match = _FILE.fullmatch(packed.plain_name(path.name))
    if match is None or match["session"].endswith(_SIDECARS):
        return None
    return match["session"]


def _is_live(path: Path) -> bool:
    match = _FILE.fullmatch(path.name)
    return match is not None and not match["copy"] and not match["archive"]


def _without_copies(files: Sequence[Path]) -> list[Path]:
    """The files of one session, those put aside first, without those that another begins with."""
    if len(files) == 1:
        return list(files)
    kept = [path for path in files if _is_live(path)]
    rest = [path for path in files if path not in kept]
    for path in sorted(rest, key=lambda path: (-_size(path), str(path))):
        if not any(_begins_with(other, path) for other in kept):
            kept.append(path)
    return sorted(kept, key=lambda path: (_is_live(path), _changed(path), str(path)))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _begins_with(path: Path, copy: Path) -> bool:
    """True when `path` begins with all of `copy`. Only their ends are compared: a session's
    file grows at its end, and every record has an id that was drawn.
    """
    size = _size(copy)
    if packed.SUFFIX in (path.suffix, copy.suffix) or size > _size(path):
        return False
    span = min(size, COMPARED_BYTES)
    try:
        return all(_part(path, at, span) == _part(copy, at, span) for at in (0, size - span))
    except OSError:
        return False


def _part(path: Path, at: int, size: int) -> bytes:
    with packed.plain(path) as file:
        file.seek(at)
        return file.read(size)


# --- sessions.json -----------------------------------------------------------------------


def _store(path: Path) -> dict[str, _Known]:
    """What the store says, by the session's id; nothing when it is absent, torn or too big."""
    try:
        status = path.stat()
    except OSError:
        return {}
    if status.st_size > STORE_BYTES_MAX:
        return {}
    return _read_store(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _read_store(path: Path, _size: int, _changed: int) -> dict[str, _Known]:
    try:
        rows = msgspec.json.decode(packed.whole(path))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(rows, dict):
        return {}
    ids = {key: text(row, "sessionId") for key, row in rows.items() if isinstance(row, dict)}
    found: dict[str, _Known] = {}
    for key, session in ids.items():
        if session is None:
            continue
        known = found.setdefault(session, _Known(Told(address=key), None))
        _learn(known, rows[key], ids)
        for other, causes in _causes(rows[key], session).items():
            found.setdefault(other, _Known(Told(), None)).told.causes |= causes
    return found


def _learn(known: _Known, row: dict[str, JSON], ids: dict[str, str | None]) -> None:
    origin = row.get("origin")
    titles = [text(row, field) for field in ("label", "displayName", "subject")]
    titles.append(text(origin, "label") if isinstance(origin, dict) else None)
    known.told.title = known.told.title or next(filter(None, titles), None)
    known.told.model = known.told.model or text(row, "model")
    spawner = text(row, "spawnedBy")
    if spawner is not None:
        known.spawned_by = ids.get(spawner) or known.spawned_by or ""


def _causes(row: dict[str, JSON], session: str) -> dict[str, dict[str, Cause]]:
    """Why the compactions of a chat were made, by session and by entry: a compaction may have
    been the end of one session's file and the beginning of the next one's.
    """
    found: dict[str, dict[str, Cause]] = {}
    made = row.get("compactionCheckpoints")
    for each in made if isinstance(made, list) else []:
        reason = _REASONS.get(text(each, "reason") or "") if isinstance(each, dict) else None
        if reason is None:
            continue
        after = each.get("tokensAfter")
        cause = Cause(reason, after if type(after) is int and after > 0 else None)
        for side, field in _COMPACTED:
            place = each.get(side)
            entry = text(place, field) if isinstance(place, dict) else None
            if entry is not None:
                found.setdefault(text(place, "sessionId") or session, {})[entry] = cause
    return found
