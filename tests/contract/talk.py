"""Messages to put into a ledger, in four wire formats, and ways to look at what is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew.db.postgres import Postgres
from clew.db.sqlite import SQLite
from clew.remote.ledger import RemoteLedger
from remote_server import SERVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    import clew


def user(text: str) -> dict[str, Any]:
    """Somebody asks."""
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, Any]:
    """The model answers."""
    return {"role": "assistant", "content": text}


def call(id: str, name: str = "look") -> dict[str, Any]:
    """The model calls a tool."""
    function = {"name": name, "arguments": "{}"}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": id, "type": "function", "function": function}],
    }


def result(id: str, text: str = "seen") -> dict[str, Any]:
    """The tool answers."""
    return {"role": "tool", "tool_call_id": id, "content": text}


def turns(count: int, start: int = 1) -> list[dict[str, Any]]:
    """`count` questions with an answer each: `ask 1`, `say 1`, `ask 2`, …"""
    numbers = range(start, start + count)
    return [make(number) for number in numbers for make in (_ask, _say)]


def _ask(number: int) -> dict[str, Any]:
    return user(f"ask {number}")


def _say(number: int) -> dict[str, Any]:
    return bot(f"say {number}")


def said(session: clew.Session) -> list[str]:
    """The words of a session's history."""
    return [message.text for message in session.history()]


def seen(session: clew.Session) -> list[str]:
    """The words that a model still sees."""
    return [message.text for message in session.context()]


def inner(ledger: clew.Ledger) -> clew.Ledger:
    """The ledger with the database: this one, or the one that is served to it."""
    return SERVED[ledger._client.url] if isinstance(ledger, RemoteLedger) else ledger


def behind(ledger: clew.Ledger, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """Run a statement behind the ledger's back; `?` stands for a value."""
    database = inner(ledger)._database
    if isinstance(database, SQLite):
        return list(database._connection.execute(statement, tuple(values)))
    assert isinstance(database, Postgres)
    with database._pool.connection() as connection:
        cursor = connection.execute(statement.replace("?", "%s").encode(), tuple(values))
        return cursor.fetchall() if cursor.description else []


def file_of(url: str) -> Path | None:
    """The file that a URL names; `None` when it names none."""
    if ":memory:" in url or not url.startswith("sqlite"):
        return None
    return Path(url.removeprefix("sqlite:///"))
