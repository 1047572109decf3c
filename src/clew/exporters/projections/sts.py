"""Session traces for the viewer of the Hugging Face Hub: one file a session, a line a message.

Source: "Session Traces Format" in the Hub's documentation. A trace is read by people: pictures
and files become words that name them, and a result that never came says so.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from clew.exporters.base import Row, Unfit, line
from clew.exporters.packages.naming import file_name
from clew.exporters.projections.turns import described

if TYPE_CHECKING:
    from clew.model import JSON

HARNESS = "clew"
"""Where the ledger does not know which agent it was."""


def project(row: Row) -> Row:
    """`{"name", "lines"}`: the name of a file and the objects that are its lines. Raises `Unfit`
    when nothing was said.
    """
    if not row["messages"]:
        raise Unfit("no messages", "the session says nothing")
    id = file_name(row, "")
    head: Row = {"type": "session", "harness": row["agent"] or HARNESS, "id": id}
    if row["title"]:
        head["name"] = row["title"]
    head |= {"outcome": row["outcome"], "tools": row["tools"]}
    said = [{"type": "message", "message": _message(message)} for message in row["messages"]]
    return {"name": f"{id}.jsonl", "lines": [head, *said]}


def file(row: Row) -> tuple[str, bytes]:
    """The name and the bytes of the file that a projected row is."""
    return row["name"], b"".join(line(one) for one in row["lines"])


def _message(message: Row) -> Row:
    out: Row = {"role": message["role"], "content": _words(message)}
    if message.get("reasoning_content"):
        out["reasoningContent"] = message["reasoning_content"]
    if message.get("tool_calls"):
        out["toolCalls"] = [
            {"id": call["id"], "function": dict(call["function"])} for call in message["tool_calls"]
        ]
    if message["role"] == "tool":
        out["toolCallId"] = message["tool_call_id"]
    if message.get("time"):
        out["timestamp"] = round(datetime.fromisoformat(message["time"]).timestamp() * 1000)
    model = (message.get("telemetry") or {}).get("model")
    if model:
        out["model"] = model
    return out


def _words(message: Row) -> str:
    content: JSON = message["content"]
    parts = [content] if isinstance(content, str) else content
    told = [part if isinstance(part, str) else _shown(part) for part in parts]
    told += [described(part) for part in message.get("parts") or ()]
    return "\n".join(filter(None, told))


def _shown(part: Row) -> str:
    words: str = part["text"] if part["type"] == "text" else described(part)
    return words
