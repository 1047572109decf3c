"""The tools that change something. None removes anything: a restore is undone by another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clew.mcp import requests
from clew.mcp.quoting import Budget
from clew.mcp.reading import Facts, checkpoint, session_of

if TYPE_CHECKING:
    from clew.ledger import Ledger

NOTE: Final = "[A note, recorded by an agent through MCP; no person typed it.]\n"


def append_note(ledger: Ledger, asked: requests.AppendNote) -> Facts:
    """Add a note at the head, marked as what no person typed."""
    session = session_of(ledger, asked.session)
    part = {"type": "text", "text": NOTE + asked.text}
    made = session.append({"clew": 1, "role": "user", "meta": True, "parts": [part]})
    return {"session": made.session, "seq": made.seq}


def create_checkpoint(ledger: Ledger, asked: requests.CreateCheckpoint) -> Facts:
    """Name the place where a session stands."""
    session = session_of(ledger, asked.session)
    return {"session": session.id, **checkpoint(session.checkpoint(asked.label), Budget())}


def branch(ledger: Ledger, asked: requests.Branch) -> Facts:
    """A new session that shares the history up to a place."""
    session = session_of(ledger, asked.session)
    if asked.at is None:
        made = session.branch(title=asked.title)
    else:
        made = session.branch(asked.at, title=asked.title)
    return {"session": made.id, "head": str(made.head or "root"), "forked_from": session.id}


def restore(ledger: Ledger, asked: requests.Restore) -> Facts:
    """Put a session back to a place."""
    session = session_of(ledger, asked.session)
    move = session.restore(asked.at)
    origin, target = str(move.from_ or "root"), str(move.to or "root")
    return {"session": session.id, "from": origin, "to": target}
