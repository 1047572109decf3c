"""An agent that works until it is told to stop: what the page shows live.

CLEW_DB=demo/clew.db python samples/running.py
"""

from __future__ import annotations

import itertools
import signal
import threading

import clew

PACE_SECONDS = 1.5
ROUNDS = 400
"""It ends by itself after half an hour at the latest."""


def main() -> None:
    """Watch a queue, one look after the other."""
    stopped = threading.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *_: stopped.set())
    with clew.open() as ledger:
        session = ledger.create(title="Watching the print queue", agent="watchman")
        with session.turn({"role": "user", "content": "Watch the print queue for me."}) as turn:
            for number in itertools.count(1):
                if stopped.is_set() or number > ROUNDS:
                    break
                look(session, turn, number, stopped)
            session.append({"role": "assistant", "content": "I stop watching."})


def look(session: clew.Session, turn: clew.Turn, number: int, stopped: threading.Event) -> None:
    """One look, recorded as it happens."""
    with turn.model("claude-haiku-4-5", provider="anthropic", complexity=5) as call:
        stopped.wait(PACE_SECONDS)
        call.usage(input=60, output=20, cache_read=800 + 90 * number)
    id, jobs = f"q{number}", {"jobs": number * 7 % 5}
    asked = {"type": "tool_use", "id": id, "name": "print_queue", "input": {"printer": "hall"}}
    session.append({"role": "assistant", "content": [asked]})
    with turn.tool("print_queue", {"printer": "hall"}, call_id=id, effect="none") as tool:
        stopped.wait(PACE_SECONDS)
        tool.output = jobs
    told = {"type": "tool_result", "tool_use_id": id, "content": f"{jobs['jobs']} jobs wait"}
    session.append({"role": "user", "content": [told]})


if __name__ == "__main__":
    main()
