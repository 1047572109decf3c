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


def _many(ledger: clew.Ledger) -> None:
    for number in range(150):
        session = ledger.create(
            title=f"Garden {number}",
            agent="gardener" if number % 3 else "beekeeper",
            project="orchard" if number % 2 else "meadow",
        )
        session.append(prompt(f"Look after garden {number}"))
