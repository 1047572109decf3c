"""A ledger with sessions of every kind that a training format has trouble with, made through the
public face, for tests that hold exports against those who read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import clew

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = ("ls -la", 'echo "zwei  Wörter" && exit 1', "printf '\\u2028'")
ARGUMENTS: tuple[dict[str, Any], ...] = (
    {"command": COMMANDS[0], "timeout": 1690},
    {"command": COMMANDS[1], "env": {"LANG": "C", "N": None}},
    {"command": COMMANDS[2], "paths": ["a", 1, True], "ratio": 0.5},
)
"""Arguments with keys and types that differ from call to call."""
TOOLS = [
    {
        "name": "Bash",
        "description": "Run a command",
        "input_schema": {
            "type": "object",
            "properties": {"command": {"type": "string"}},
            "required": ["command"],
        },
    },
    {"name": "Read", "description": "Read a file", "input_schema": {"type": "object"}},
]


def record(path: Path) -> None:
    """Write the ledger."""
    with clew.open(path) as ledger:
        for number in range(3):
            _worked(ledger.create(title=f"Session {number}", agent="demo"), number)
        _parted(ledger.create(title="Two answers", agent="demo"))
        _plain(ledger.create(title="Only words", agent="demo"))


def _use(id: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def _result(*results: tuple[str, str]) -> dict[str, Any]:
    blocks = [{"type": "tool_result", "tool_use_id": id, "content": text} for id, text in results]
    return {"role": "user", "content": blocks}


def _worked(session: clew.Session, number: int) -> None:
    """Parallel calls, reasoning, arguments that differ, tools that the request named."""
    session.config["tools"] = TOOLS
    session.append({"role": "system", "content": "You are a careful engineer."})
    session.append({"role": "user", "content": f"What is in folder {number}? 123 true {{}}"})
    said = [
        {"type": "thinking", "thinking": f"Look first, then read. {number}"},
        {"type": "text", "text": "I look."},
        _use(f"a{number}", "Bash", ARGUMENTS[number]),
        _use(f"b{number}", "Read", {"path": "a.txt", "lines": [1, 2]}),
    ]
    session.append({"role": "assistant", "content": said})
    session.append(_result((f"a{number}", "a.txt\nb.txt"), (f"b{number}", '{"status": "fine"}')))
    session.append({"role": "assistant", "content": "There are a.txt and b.txt."})
    session.append({"role": "user", "content": "And now?"})
    session.append({"role": "assistant", "content": [_use(f"c{number}", "Read", {"path": "b"})]})
    session.append(_result((f"c{number}", "")))
    session.append({"role": "assistant", "content": "It is empty."})


def _parted(session: clew.Session) -> None:
    """The same words answered twice: what was undone, and what stayed."""
    session.append({"role": "user", "content": "Is it done?"})
    point = session.checkpoint("before")
    session.append({"role": "assistant", "content": [_use("x1", "Bash", {"command": "false"})]})
    session.append(
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "x1", "content": "1", "is_error": True}
            ],
        }
    )
    session.append({"role": "assistant", "content": "I do not know."})
    session.restore(point.id)
    session.append({"role": "assistant", "content": [_use("y1", "Bash", {"command": "true"})]})
    session.append(_result(("y1", "0")))
    session.append({"role": "assistant", "content": "It is done."})


def _plain(session: clew.Session) -> None:
    session.append({"role": "user", "content": "Good morning"})
    session.append({"role": "assistant", "content": "How are you?"})
