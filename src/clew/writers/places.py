"""Where a file of an agent's own belongs below the agent's folder, and what it says of others.

The path that it was read from tells, when it lies as its agent lays files; else its records do.
Of those only names and folders are taken, and every path is checked before it is used.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

import msgspec

from clew.writers import claude_code, pi
from clew.writers.base import command, fits

if TYPE_CHECKING:
    from clew.model import JSON

CLAUDE, CODEX, OPENCODE, PI = "claude-code", "codex", "opencode", "pi"

RECORDS_READ: Final = 200
"""So many records are asked for a folder."""

VARIABLES: Final = {CLAUDE: claude_code.VARIABLE, CODEX: "CODEX_HOME", PI: pi.VARIABLE}
"""What tells an agent that its folder is another one."""
_RESUMES: Final = {CLAUDE: ("claude", "--resume"), CODEX: ("codex", "resume")}

AGENT: Final = "agent-"
"""How the name of a Claude Code sub-agent's file begins."""
_FOLDERS: Final = frozenset({"subagents", "workflows", "tool-results"})

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.:-]*")
_CD = re.compile(r"""cd (?:-- )?(?:[\w@%+=:,./-]+|(?:'[^']*'|"'")+) && """, re.ASCII)
"""How a command begins that runs in a folder, which `shlex` has quoted."""
_ROLLOUT = re.compile(r"rollout-(\d{4})-(\d\d)-(\d\d)T\d\d-\d\d-\d\d-[0-9a-zA-Z_-]+\.jsonl")
_AGENT_ID = re.compile(rb'"agentId":\s?"([0-9a-zA-Z_-]{1,64})"')
_OUTPUT = re.compile(rb'Full output saved to: ([^\\"\r\n]{1,1000})')


def resumes(agent: str, session: str, cwd: str | None, file: Path) -> str:
    """The line of shell with which an agent takes a session of its own up again; empty for an id
    that it would take for an option.
    """
    if agent not in _RESUMES:
        return command(cwd, agent, "--session", str(file))
    return command(cwd, *_RESUMES[agent], session) if _ID.fullmatch(session) else ""


def takes_in(files: Iterable[tuple[str, Path]], session: str) -> str:
    """The line of shell with which OpenCode takes files in, each in its folder, and goes on with
    a session, that of the last one. The folder becomes the session's.
    """
    if not _ID.fullmatch(session):
        return ""
    runs, at = [], None
    for cwd, file in files:
        runs.append(command(cwd if cwd != at else None, OPENCODE, "import", str(file)))
        at = cwd
    return " && ".join([*runs, command(None, OPENCODE, "--session", session)])


def export_path(session: str, raw: bytes) -> str:
    """Where an export is put below OpenCode's folder: what is said later goes elsewhere."""
    return f"clew/{session}-{hashlib.sha256(raw).hexdigest()[:8]}.json"


def elsewhere(command: str, agent: str, root: Path) -> str:
    """The same command for an agent whose folder is `root` and not its usual one."""
    variable = VARIABLES.get(agent)
    if variable is None or not command:
        return command
    folder = _CD.match(command)
    at = folder.end() if folder else 0
    return f"{command[:at]}{variable}={shlex.quote(str(root))} {command[at:]}"


def path_of(agent: str, source: str, raw: bytes) -> str:
    """Where a session's file belongs, below the agent's folder."""
    parts = PurePath(source).parts
    if agent == CLAUDE:
        return _claude(parts, raw)
    return _pi(parts, raw) if agent == PI else _codex(parts, raw)


def is_transcript(source: str) -> bool:
    """True for the file of a Claude Code session by itself, which holds what others hang on."""
    name = PurePath(source).name
    return name.endswith(".jsonl") and not name.startswith(AGENT) and not _inside(source)


def beside(main: str, source: str) -> str:
    """Where a file of Claude Code's belongs that hangs on the transcript at `main`: in that
    session's own folder, or beside it as before 2.1.
    """
    inside = _inside(source)
    if inside:
        return "/".join([main.removesuffix(".jsonl"), *inside])
    return f"{main.rpartition('/')[0]}/{PurePath(source).name}"


def lost_main(native: str, source: str, raw: bytes) -> str:
    """Where the transcript would be that a sub-agent's file hangs on, when that is not there."""
    known = _behind(PurePath(source).parts, "projects")
    folder = known[0] if len(known) > 1 else claude_code.slug(cwd_of(raw) or "/")
    return f"projects/{folder}/{native.partition('/')[0]}.jsonl"


def _inside(source: str) -> tuple[str, ...]:
    """What of a path stands in a session's own folder."""
    parts = PurePath(source).parts
    first = next((at for at, part in enumerate(parts[:-1]) if part in _FOLDERS), None)
    return () if first is None else parts[first:]


def cwd_of(raw: bytes) -> str | None:
    """The folder that the first records name, of themselves or in their payload."""
    for value in _records(raw):
        payload = value.get("payload")
        for told in (value, payload if isinstance(payload, dict) else {}):
            if isinstance(told.get("cwd"), str) and told["cwd"]:
                return str(told["cwd"])
    return None


def base_of(agent: str, raw: bytes) -> str | None:
    """The session that a file goes on from without holding what stands there: the thread of a
    Codex fork by reference, or the id of pi's parent session. `None` for a file by itself.
    """
    first = next(_records(raw), {})
    if agent == CODEX:
        payload = first.get("payload")
        base = payload.get("history_base") if isinstance(payload, dict) else None
        told = base.get("thread_id") if isinstance(base, dict) else None
        return told if isinstance(told, str) else None
    parent = first.get("parentSession") if agent == PI else None
    if not isinstance(parent, str) or not parent:
        return None
    return PurePath(parent.replace("\\", "/")).stem.rpartition("_")[2] or None


def agents_named(raw: bytes) -> set[str]:
    """The ids of the sub-agents that a Claude Code transcript speaks of."""
    return {found.decode() for found in _AGENT_ID.findall(raw)}


def outputs_named(raw: bytes) -> set[str]:
    """The files with big outputs that a Claude Code transcript refers to."""
    return {found.decode("utf-8", "replace") for found in _OUTPUT.findall(raw)}


def meta(call: str | None, parent: bytes, raw: bytes) -> dict[str, JSON]:
    """What stands beside a sub-agent's file, as far as its parent's call and itself tell."""
    made = _call_input(call, parent) if call else {}
    kind = made.get("subagent_type")
    if not isinstance(kind, str):
        values = _records(raw)
        kind = next((v["attributionAgent"] for v in values if v.get("attributionAgent")), None)
    told = {"agentType": kind, "description": made.get("description"), "toolUseId": call}
    return {key: value for key, value in told.items() if isinstance(value, str) and value}


def _call_input(call: str, parent: bytes) -> dict[str, JSON]:
    """The arguments of one call in a transcript."""
    for line in parent.split(b"\n"):
        if call.encode() not in line or b'"tool_use"' not in line:
            continue
        message = (_object(line) or {}).get("message")
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else []:
            if isinstance(block, dict) and block.get("id") == call:
                made = block.get("input")
                return made if isinstance(made, dict) else {}
    return {}


def _claude(parts: tuple[str, ...], raw: bytes) -> str:
    known = _behind(parts, "projects")
    if len(known) == 2:
        return "/".join(["projects", *known])
    return f"projects/{claude_code.slug(cwd_of(raw) or '/')}/{parts[-1]}"


def _codex(parts: tuple[str, ...], raw: bytes) -> str:
    name = parts[-1]
    if parts[-2:-1] == ("archived_sessions",):
        return f"archived_sessions/{name}"
    found = _ROLLOUT.fullmatch(name)
    if found is None:
        payload = next(_records(raw), {}).get("payload")
        told = payload if isinstance(payload, dict) else {}
        stamp = str(told.get("timestamp") or "1970-01-01T00:00:00")[:19].replace(":", "-")
        made = f"rollout-{stamp}-{told.get('id') or PurePath(name).stem}.jsonl"
        found = _ROLLOUT.fullmatch(made)
        name = made if found and fits(made) else name
    known = _behind(parts, "sessions")
    folder = known[:-1] if len(known) == 4 else (found.groups() if found else ())
    return "/".join(["sessions", *folder, name])


def _pi(parts: tuple[str, ...], raw: bytes) -> str:
    known = _behind(parts, "sessions")
    if len(known) == 2:
        return "/".join(["sessions", *known])
    header = next(_records(raw), {})
    session, stamp, name = header.get("id"), header.get("timestamp"), parts[-1]
    if isinstance(session, str) and isinstance(stamp, str) and session not in name:
        made = pi.file_name(stamp, session)
        name = made if fits(made) else name
    return f"sessions/{pi.slug(cwd_of(raw) or '/')}/{name}"


def _behind(parts: tuple[str, ...], folder: str) -> tuple[str, ...]:
    """What of a path stands behind the last folder of that name."""
    if folder not in parts[:-1]:
        return ()
    return parts[len(parts) - parts[::-1].index(folder) :]


def _records(raw: bytes) -> Iterator[dict[str, JSON]]:
    """The first records of a file that can be read."""
    start = 0
    for _ in range(RECORDS_READ):
        end = raw.find(b"\n", start)
        value = _object(raw[start : end if end >= 0 else len(raw)])
        if value is not None:
            yield value
        if end < 0:
            return
        start = end + 1


def _object(line: bytes) -> dict[str, JSON] | None:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
