"""What the tests of giving sessions back share: a folder of Claude Code's, and looking at trees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import clew

MAIN = "5a5a5a5a-0000-4000-8000-000000000001"
CLAUDE_LINE = {
    "parentUuid": None,
    "isSidechain": False,
    "type": "user",
    "message": {"role": "user", "content": "Tidy up."},
    "uuid": "aaaaaaaa-0000-4000-8000-000000000001",
    "timestamp": "2026-05-01T10:00:00.000Z",
    "cwd": "/home/mo/work.d",
    "sessionId": MAIN,
}


def line(**changes: Any) -> bytes:
    return json.dumps({**CLAUDE_LINE, **changes}).encode() + b"\n"


def imported(ledger: clew.Ledger, name: str) -> str:
    """The session with that name in its agent's terms."""
    found = [i.id for i in ledger.sessions(spawned=True) if i.imported_from == name]
    assert len(found) == 1, (name, [i.imported_from for i in ledger.sessions(spawned=True)])
    return found[0]


def tree(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def claude_home(home: Path) -> Path:
    """Claude Code's folder with a main session, a sub-agent and a big output."""
    folder = home / "projects" / "-home-mo-work-d"
    agents, outputs = folder / MAIN / "subagents", folder / MAIN / "tool-results"
    agents.mkdir(parents=True)
    outputs.mkdir()
    call = {"type": "tool_use", "id": "toolu_01", "name": "Task", "input": {}}
    call["input"] = {"subagent_type": "Explore", "description": "look around", "prompt": "Look."}
    answer = {"id": "msg_01", "role": "assistant", "model": "claude-x", "content": [call]}
    result = {"type": "tool_result", "tool_use_id": "toolu_01", "content": "Three files."}
    (folder / f"{MAIN}.jsonl").write_bytes(
        line()
        + line(type="assistant", uuid="a2", parentUuid=CLAUDE_LINE["uuid"], message=answer)
        + line(
            uuid="a3",
            parentUuid="a2",
            message={"role": "user", "content": [result]},
            toolUseResult={"agentId": "0f0f0f0f"},
        )
    )
    (agents / "agent-0f0f0f0f.jsonl").write_bytes(
        line(isSidechain=True, agentId="0f0f0f0f", uuid="s1")
    )
    meta = {"agentType": "Explore", "description": "look around", "toolUseId": "toolu_01"}
    (agents / "agent-0f0f0f0f.meta.json").write_text(json.dumps(meta))
    (outputs / "toolu_01.txt").write_bytes(b"big\nand without a line's end")
    return home
