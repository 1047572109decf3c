"""Claude Code: where its histories are, and which files are its own.

    <root>/projects/<slug>/<session>.jsonl                          a main session
    <root>/projects/<slug>/<session>/subagents/agent-<id>.jsonl     a sub-agent, with .meta.json
    <root>/projects/<slug>/agent-<id>.jsonl                         a sub-agent before 2.1
    <root>/projects/<slug>/<session>/workflows/<run>.json           a workflow's run
    <root>/projects/<slug>/<session>/subagents/workflows/<run>/     its journal and its agents
    <root>/projects/<slug>/<session>/tool-results/                  outputs too big for a record
    <root>/teams/<team>/config.json                                 who leads a teammate's session

The slug is made from the working folder and is lossy, so the project comes from the records.
The format is undocumented; what is known of it stands in `docs/formats/`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew.importers import claude_kin, jsonl, packed
from clew.importers.claude_records import FORMAT, TYPES, ClaudeReader, is_record, is_run
from clew.importers.facts import text, time_ms
from clew.importers.kept import KeptReader
from clew.model import JSON, Origin
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clew.importers.base import Reader

name = "claude-code"
formats: tuple[str, ...] = (FORMAT,)

HEAD_BYTES = 64 << 10
TAIL_BYTES = 64 << 10
HEAD_RECORDS = 24

MAIN, RUN, AGENT, KEPT = range(4)
"""What a file is, in the order in which they are read."""

_OUTPUTS = "tool-results"
_RUNS = "workflows"
_JOURNAL = "journal.jsonl"
_META = ".meta.json"
_AGENT = "agent-"
_LEAD = "team-lead"
_SESSION = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IMPLICIT_TEAM = re.compile(r"session-([0-9a-f]{8})")
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
    cannot be read: whoever opens it then hears why. True for what stands beside a session.
    """
    kind = _kind(path)
    if kind is None or not path.is_file():
        return False
    if kind in (KEPT, RUN):
        return True
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
        alone = len(equals) == 1 or rows[index][0] == KEPT
        yield from equals if alone else sorted(equals, key=_originality)
        index = stop


def open(path: Path, state: bytes | None = None) -> Reader:
    """See `Importer.open`. What stands beside a session is read now: a sub-agent's `.meta.json`,
    and the file in which the call is that spawned it.
    """
    kind = _kind(path)
    if kind == KEPT:
        return KeptReader.resume(state) if state is not None else KeptReader(_owner(path))
    if state is not None:
        return ClaudeReader.resume(state)
    if kind == RUN:
        return ClaudeReader(_run_of(path), document=path.suffix == ".json")
    if kind != AGENT:
        return ClaudeReader(_main_of(path))
    meta = _meta(path)
    return ClaudeReader(_agent_of(path, meta), title=text(meta, "description"))


# --- whose a file is ---------------------------------------------------------------------


def _kind(path: Path) -> int | None:
    """What a file is, by its name and folders; `None` for what is never read."""
    folder = path.parent
    if folder.name == _OUTPUTS:
        return KEPT if _SESSION.fullmatch(folder.parent.name) else None
    if path.name.startswith(_AGENT) and path.name.endswith(_META):
        return KEPT
    if folder.name == _RUNS and path.suffix == ".json":
        return RUN if _SESSION.fullmatch(folder.parent.name) else None
    if folder.parent.name == _RUNS and path.name == _JOURNAL:
        return RUN
    if path.suffix != ".jsonl":
        return None
    return AGENT if path.name.startswith(_AGENT) else MAIN


def _main_of(path: Path) -> Origin:
    """A main session; a teammate's that runs in a session of its own hangs on its lead's."""
    origin = Origin(mended(path.stem), name)
    lead = _lead_of(path)
    if lead is not None:
        member, team, file = lead
        found = claude_kin.call_of([file], f"{member}@{team}", None)
        origin.kind, origin.parent = "subagent", mended(file.stem)
        origin.parent_call = found and found[1]
    return origin


def _lead_of(path: Path) -> tuple[str, str, Path] | None:
    """The name and team of a teammate, and the file of who leads it."""
    try:
        head = _head(path)
    except OSError:
        return None
    if b'"agentName"' not in head:
        return None
    for value in _values(head):
        member, team = text(value, "agentName"), text(value, "teamName")
        if member in (None, _LEAD) or team is None or value.get("type") not in TYPES:
            continue
        config = path.parents[2] / "teams" / team / "config.json" if len(path.parents) > 2 else None
        lead = text(_document(config), "leadSessionId") if config and _is_name(team) else None
        implicit = _IMPLICIT_TEAM.fullmatch(team)
        files = [path.with_name(f"{lead}.jsonl")] if lead and _is_name(lead) else []
        files += sorted(path.parent.glob(f"{implicit[1]}-*.jsonl")) if implicit else []
        file = next((each for each in files if each != path), None)
        return (str(member), team, file) if file is not None else None
    return None


def _is_name(told: str) -> bool:
    """True for what can stand in a path and leads nowhere else."""
    return Path(told).name == told


def _agent_of(path: Path, meta: dict[str, JSON]) -> Origin:
    """A sub-agent. One that another agent spawned hangs on that one."""
    session, call = _parent(path), text(meta, "toolUseId")
    run = path.parent.name if path.parent.parent.name == _RUNS else None
    prefix = session if run is None else f"{session}/{run}"
    parent = prefix
    child = path.stem.removeprefix(_AGENT)
    if session is not None and path.is_file():
        main = _session_file(path, session)
        files = [main, *claude_kin.siblings(path)] if run is None else claude_kin.siblings(path)
        found = claude_kin.call_of(files, child, call)
        if found is not None:
            call = found[1]
            parent = prefix if found[0] == main else f"{prefix}/{found[0].stem}"
    return Origin(
        mended(f"{prefix}/{path.stem}" if prefix else path.stem),
        name,
        parent=parent and mended(parent),
        parent_call=call,
        kind="subagent",
    )


def _run_of(path: Path) -> Origin:
    """A workflow's run, told by its journal and by its document."""
    folder = _session_folder(path)
    run = path.parent.name if path.name == _JOURNAL else path.stem
    main = folder.with_name(f"{folder.name}.jsonl")
    found = claude_kin.call_of([main], run, None)
    agents = folder / "subagents" / _RUNS / run
    return Origin(
        mended(f"{folder.name}/{run}"),
        name,
        project=claude_kin.folder_of([main, *sorted(agents.glob("agent-*.jsonl"))]),
        parent=mended(folder.name),
        parent_call=found and found[1],
        kind="subagent",
    )


def _owner(path: Path) -> Origin:
    """The session whose a file is that is kept as it is."""
    if path.name.endswith(_META):
        agent = path.with_name(path.name.removesuffix(_META) + ".jsonl")
        origin = _agent_of(agent, _meta(agent))
        origin.project = claude_kin.folder_of([agent])
        return origin
    folder = path.parent.parent
    main = folder.with_name(f"{folder.name}.jsonl")
    agents = sorted((folder / "subagents").glob("agent-*.jsonl"))
    return Origin(mended(folder.name), name, project=claude_kin.folder_of([main, *agents]))


def _session_folder(path: Path) -> Path:
    """The folder of the session that a run's file stands in."""
    parents = path.parents
    return parents[3] if path.name == _JOURNAL and len(parents) > 3 else parents[1]


def _session_file(path: Path, session: str) -> Path:
    """The main session's file that belongs to an agent's."""
    beside = path.with_name(f"{session}.jsonl")
    return beside if path.parent.name != "subagents" else path.parents[2] / beside.name


# --- files -------------------------------------------------------------------------------


def _walk(root: Path) -> Iterator[Path]:
    for folder, _folders, files in os.walk(root):
        for file in files:
            # What stands beside an agent that never said anything tells nothing.
            if not file.endswith(_META) or file.replace(_META, ".jsonl") in files:
                yield Path(folder, file)


def _place(path: Path) -> tuple[int, int]:
    kind = _kind(path)
    assert kind is not None  # noqa: S101 - it was identified
    if kind == KEPT:
        return kind, 0
    try:
        stamp = _STAMP.search(_head(path))
    except OSError:
        stamp = None
    begun = time_ms(stamp[1].decode("ascii", "replace")) if stamp else None
    return kind, begun or 0


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
    if path.parent.parent.name == _RUNS and len(path.parents) > 3:
        return path.parents[3].name
    if not path.is_file():
        return None
    found = (text(value, "sessionId") for value in _values(_head(path)))
    return next((parent for parent in found if parent), None)


def _meta(path: Path) -> dict[str, JSON]:
    """What stands beside a sub-agent's file; nothing when it is absent or torn."""
    return _document(path.with_suffix(_META))


def _document(path: Path) -> dict[str, JSON]:
    """A small object in a file of its own; nothing when it is absent, torn or no such thing."""
    try:
        value = msgspec.json.decode(packed.whole(path))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _head(path: Path) -> bytes:
    with packed.plain(path) as file:
        return file.read(HEAD_BYTES)


def _tail(path: Path) -> bytes:
    with packed.plain(path) as file:
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
    if is_run(value):
        return True
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
    # Others call lines `system` too; Claude Code's have an id.
    return isinstance(kind, str) and kind in TYPES and (kind != "system" or "uuid" in value)
