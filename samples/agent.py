"""A small agent that records what it does, and dies in the middle of a tool call.

Its model is a script: the point is the record. Run it as the demo does:

    CLEW_DB=demo/clew.db python samples/agent.py
"""

from __future__ import annotations

import os
import signal
import time

import clew


def main() -> None:
    """One turn that ends well, and one that does not."""
    session = clew.open().session(frontend="demo", user="you", agent="sample agent")
    with session.turn({"role": "user", "content": "What is in notes.txt?"}) as turn:
        with turn.model("claude-sonnet-4-5", provider="anthropic", complexity=18) as call:
            time.sleep(0.08)
            call.usage(input=900, output=40, cache_read=5000)
        session.append(asks("t1", "read_file", {"path": "notes.txt"}))
        with turn.tool("read_file", {"path": "notes.txt"}, call_id="t1", effect="none") as tool:
            time.sleep(0.02)
            tool.output = "ship on Friday"
        session.append(answers("t1", "ship on Friday"))
        with turn.model("claude-sonnet-4-5", provider="anthropic", complexity=18) as call:
            time.sleep(0.05)
            call.usage(input=80, output=25, cache_read=5900)
        session.append({"role": "assistant", "content": "It says: ship on Friday."})
    session.snapshot({"mode": "act", "notes": ["ship on Friday"]})

    with session.turn({"role": "user", "content": "Then ship it."}) as turn:
        with turn.model("claude-opus-4-1", provider="anthropic", complexity=80) as call:
            time.sleep(0.06)
            call.usage(input=120, output=60, cache_read=6000, reasoning=30)
        session.append(asks("t2", "deploy", {"env": "production"}))
        with turn.tool("deploy", {"env": "production"}, call_id="t2", effect="external"):
            time.sleep(0.04)
            os.kill(os.getpid(), signal.SIGKILL)  # the power cut of the story


def asks(id: str, name: str, arguments: dict[str, str]) -> dict[str, object]:
    """The model asks for a tool, in Anthropic's words."""
    call = {"type": "tool_use", "id": id, "name": name, "input": arguments}
    return {"role": "assistant", "content": [call]}


def answers(id: str, text: str) -> dict[str, object]:
    """The tool's answer."""
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": id, "content": text}],
    }


if __name__ == "__main__":
    main()
