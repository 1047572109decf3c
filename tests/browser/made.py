"""Ledgers of our own invention for the browser: a garden's agent, long and short."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import clew

if TYPE_CHECKING:
    from collections.abc import Callable

Message = dict[str, Any]
LONG = 10_000
START_MS = 1_780_000_000_000
STEP_MS = 2_000


def asks(id: str, name: str, **arguments: Any) -> Message:
    """The model asks for a tool."""
    call = {"type": "tool_use", "id": id, "name": name, "input": arguments}
    return {"role": "assistant", "model": "claude-sonnet-4-5", "content": [call]}


def answers(id: str, text: str, *, error: bool = False) -> Message:
    """The tool's answer."""
    block = {"type": "tool_result", "tool_use_id": id, "content": text, "is_error": error}
    return {"role": "user", "content": [block]}


def says(text: str, *, thinking: str = "") -> Message:
    """The model speaks, after it thought."""
    parts: list[Message] = [{"type": "thinking", "thinking": thinking, "signature": "s"}]
    parts = parts if thinking else []
    return {"role": "assistant", "content": [*parts, {"type": "text", "text": text}]}


def prompt(text: str) -> Message:
    """A person speaks."""
    return {"role": "user", "content": text}


def turn(number: int) -> list[Message]:
    """Four entries: a prompt, a call, its result, an answer."""
    id = f"t{number}"
    return [
        prompt(f"Turn {number}: is bed {number % 7} watered?"),
        asks(id, "read_sensor", bed=number % 7, description=f"moisture of bed {number % 7}"),
        answers(id, f"moisture {number % 100} %\n" * 3, error=number % 50 == 49),
        says(
            f"Bed {number % 7} has **{number % 100} %**.\n\n- dry: no\n\n`valve --off`",
            thinking="The sensor tells, so nothing has to be guessed.",
        ),
    ]


def long_session(ledger: clew.Ledger, entries: int = LONG) -> clew.Session:
    """A session of so many entries; a compaction, checkpoints on the way."""
    session = ledger.create(title="A whole summer of watering", agent="gardener")
    number = 0
    while session_length(number) < entries - 1:
        batch = [message for each in range(number, number + 50) for message in turn(each)]
        session.extend(batch[: entries - 1 - session_length(number)])
        number += 50
    session.checkpoint("before the frost")
    session.extend([says("The last word of the summer.")])
    return session


def session_length(turns: int) -> int:
    """Entries of so many turns."""
    return turns * 4


class Ledgers:
    """Files of ledgers, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def long(self) -> Path:
        """One session of 10,000 entries."""
        return self._once("long", long_session)

    def many(self) -> Path:
        """150 sessions of two projects."""
        return self._once("many", _many)

    def _once(self, name: str, fill: Callable[[clew.Ledger], object]) -> Path:
        path = self._folder / f"{name}.db"
        if not path.exists():
            with clew.open(path) as ledger:
                fill(ledger)
        return path


def garden(ledger: clew.Ledger) -> clew.Session:
    """A little of everything: calls that went well, failed and are open, a sub-agent, a picture, a
    compaction, checkpoints, a branch, spans, a snapshot. Gives the session with most of it.
    """
    session = ledger.create(title="Watering the orchard", agent="gardener", project="orchard")
    usage = {"input_tokens": 900, "cache_read_input_tokens": 4_000, "output_tokens": 60}
    for number in range(5):
        prompt_, call, result, said = turn(number)
        session.extend([prompt_, call, result, {**said, "id": f"m{number}", "usage": usage}])
    session.extend(
        [
            asks("e", "edit", file_path="beds.txt", old_string="dry\nday", new_string="wet\nday"),
            answers("e", "no such file", error=True),
            says(
                "| bed | wet |\n|---|---|\n| 1 | yes |\n\n```python\nopen('beds.txt')\n```\n\n> so"
            ),
        ]
    )
    session.checkpoint("l" * 120)
    wide = ledger.create(title="t" * 200, agent="a" * 80, project="p" * 80)
    wide.append({**says("x"), "model": "m" * 90, "usage": usage})
    mark = session.checkpoint("before the pump")
    session.branch(mark, title="with the other pump").append(prompt("take the other pump"))
    session.compact(summary="Five beds are watered.", keep_tokens=20)
    session.append(asks("sub", "task", prompt="look at the pump"))
    child = ledger.create(title="The pump", agent="helper", spawned_by=f"{session.id}#sub")
    child.extend([prompt("look at the pump"), says("It runs.")])
    with session.turn(prompt("Is the pump on?")) as running:
        with running.model("claude-sonnet-4-5", provider="anthropic", tier="fast") as model:
            model.usage(input=900, output=40, cache_read=5_000)
        with running.tool("pump", {"on": True}, call_id="p1", effect="external") as call_:
            call_.output = "running"
        with running.tool("valve", {"on": True}, call_id="p2") as call_:
            call_.outcome, call_.error = "error", "stuck"
    session.snapshot({"mode": "plan", "beds": [1, 2]})
    session.append(asks("open", "weather", place="orchard"))
    return session


def _many(ledger: clew.Ledger) -> None:
    for number in range(150):
        session = ledger.create(
            title=f"Garden {number}",
            agent="gardener" if number % 3 else "beekeeper",
            project="orchard" if number % 2 else "meadow",
        )
        session.append(prompt(f"Look after garden {number}"))
