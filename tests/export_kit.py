"""Exports in memory or to a file, decoded; and sessions of many kinds to be exported."""

from __future__ import annotations

import io
import json
import random
from typing import TYPE_CHECKING, Any

from clew.exporting import ExportOptions, Recipe

if TYPE_CHECKING:
    from pathlib import Path

    import clew

RAW = Recipe(redaction=None)
SECRET = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"


def lines(data: bytes) -> list[dict[str, Any]]:
    """The rows of a file of lines."""
    return [json.loads(line) for line in data.splitlines()]


def exported(
    ledger: clew.Ledger, recipe: Recipe = RAW, options: ExportOptions | None = None
) -> list[dict[str, Any]]:
    """The rows of an export to a stream."""
    stream = io.BytesIO()
    ledger.export(recipe, output=stream, options=options)
    return lines(stream.getvalue())


def ids(rows: list[dict[str, Any]]) -> list[str]:
    """Of which session each row is."""
    return [row["session_id"] for row in rows]


def names(folder: Path) -> list[str]:
    """All files below a folder that an export may leave, hidden ones included."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(("ledger.db", "served.db"))
    )


def assistant(
    text: str | None, *calls: tuple[str, str, str], model: str | None = None, **usage: Any
) -> dict[str, Any]:
    """An answer in Chat Completions' words; calls are `(id, name, arguments)`."""
    said: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        said["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id, name, arguments in calls
        ]
    if model is not None:
        said["model"] = model
    if usage:
        said["usage"] = usage
    return said


def gave(id: str, text: str = "seen") -> dict[str, Any]:
    """A tool's result."""
    return {"role": "tool", "tool_call_id": id, "content": text}


def uses(id: str, name: str = "look") -> dict[str, Any]:
    """A call in Anthropic's words."""
    return {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": id, "name": name, "input": {"at": "shelf"}}],
    }


def used(id: str, *, failed: bool = False) -> dict[str, Any]:
    """Its result."""
    block = {"type": "tool_result", "tool_use_id": id, "content": "seen", "is_error": failed}
    return {"role": "user", "content": [block]}


WORDS = [
    "apple",
    "bread",
    "cedar",
    "dune",
    "ember",
    "fjord",
    "grove",
    "heron",
    "inlet",
    "jetty",
    "knoll",
    "larch",
]
TOOLS = ("look", "dig", "plant")
MODELS = ("m-small", "m-large")


def grown(session: clew.Session, chance: random.Random, turns: int) -> None:
    """Let a session go on for so many turns, with tools, models and routing at random."""
    for _ in range(turns):
        words = " ".join(chance.choices(WORDS, k=6))
        session.append({"role": "user", "content": f"please {words}"})
        name, id = chance.choice(TOOLS), f"c{chance.randrange(10**9)}"
        if chance.random() < 0.6:
            routed(session, chance)
        if chance.random() < 0.7:
            session.append(assistant(None, (id, name, '{"at": "bed"}')))
            if chance.random() < 0.9:
                session.append(gave(id, f"{words} done"))
        if chance.random() < 0.8:
            session.append(assistant(f"it is {words}", model=chance.choice(MODELS)))


def routed(session: clew.Session, chance: random.Random) -> None:
    """A model call as its span tells it."""
    facts: dict[str, Any] = {
        "provider": chance.choice(["anthropic", "openai"]),
        "model": chance.choice(MODELS),
        "tokens_in": chance.randrange(5000),
        "tokens_out": chance.randrange(500),
        "latency_ms": 10.0,
        "outcome": "ok",
    }
    if chance.random() < 0.8:
        facts["complexity"] = chance.randrange(101)
    session.start_span("model", "chat", **facts)


def garden(ledger: clew.Ledger, seed: int, sessions: int = 20) -> list[clew.Session]:
    """Sessions of every kind: short, long, empty, branched, spawned, undone, labelled."""
    chance = random.Random(seed)
    made: list[clew.Session] = []
    for number in range(sessions):
        kind = chance.randrange(8)
        agent = chance.choice(["gardener", "walker", None])
        if kind == 0 and made and made[-1].history():
            session = chance.choice([one for one in made if one.history()]).branch()
        elif kind == 1 and made:
            session = ledger.create(spawned_by=f"{chance.choice(made).id}#c1", agent=agent)
        else:
            session = ledger.create(agent=agent, title=f"session {number}")
        made.append(session)
        if kind == 2:
            continue
        grown(session, chance, chance.randrange(1, 4))
        if kind == 3:
            session.undo()
            grown(session, chance, 1)
        if kind == 4:
            session.checkpoint("kept")
    return made
