"""Every tool, on one screen. One without a scope cannot be written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.access import Scope
from clew.mcp import reading, requests, writing

if TYPE_CHECKING:
    from clew.ledger import Ledger


class Tool(msgspec.Struct, frozen=True):
    """One tool: its name, the scope that it needs, what it takes and what it does."""

    name: str
    scope: Scope
    takes: type[requests.Request]
    run: Callable[[Ledger, Any], dict[str, Any]]
    does: str
    changes: bool = False
    destroys: bool = False
    """What it leaves is not what the session stood on before."""


READS: Final = frozenset({Scope.SESSION_READ, Scope.TRACE_READ})
WRITES: Final = frozenset({Scope.SESSION_APPEND, Scope.SESSION_BRANCH, Scope.SESSION_RESTORE})

TOOLS: Final = (
    Tool(
        "search_history",
        Scope.SESSION_READ,
        requests.SearchHistory,
        reading.search_history,
        "Search everything that was said, thought, called and answered in recorded sessions, on "
        "every branch and also before a compaction. Read on around a hit with read_entries.",
    ),
    Tool(
        "list_sessions",
        Scope.SESSION_READ,
        requests.ListSessions,
        reading.list_sessions,
        "List recorded sessions, newest first.",
    ),
    Tool(
        "read_entries",
        Scope.SESSION_READ,
        requests.ReadEntries,
        reading.read_entries,
        "Read a session's own entries from `start` to `end`, also those that a compaction "
        "replaced and those that a rewind left.",
    ),
    Tool(
        "read_context",
        Scope.SESSION_READ,
        requests.ReadContext,
        reading.read_context,
        "Read what a model is shown of a session now: the newest summary and what came after.",
    ),
    Tool(
        "list_checkpoints",
        Scope.SESSION_READ,
        requests.ListCheckpoints,
        reading.list_checkpoints,
        "List a session's checkpoints, newest first; one was made before every compaction.",
    ),
    Tool(
        "diff_checkpoints",
        Scope.SESSION_READ,
        requests.DiffCheckpoints,
        reading.diff_checkpoints,
        "Say what the path to place `b` holds that the path to place `a` does not, and the "
        "other way round.",
    ),
    Tool(
        "read_trace",
        Scope.TRACE_READ,
        requests.ReadTrace,
        reading.read_trace,
        "List a session's turns, tool calls and model calls with their times and outcomes; with "
        "`span` read one with its input and output.",
    ),
    Tool(
        "append_note",
        Scope.SESSION_APPEND,
        requests.AppendNote,
        writing.append_note,
        "Add a note to a session, marked as not typed by a person. Its model sees it from then on.",
        changes=True,
    ),
    Tool(
        "create_checkpoint",
        Scope.SESSION_APPEND,
        requests.CreateCheckpoint,
        writing.create_checkpoint,
        "Name the place where a session stands, to come back to it.",
        changes=True,
    ),
    Tool(
        "branch",
        Scope.SESSION_BRANCH,
        requests.Branch,
        writing.branch,
        "Begin a new session that shares a session's history up to a place.",
        changes=True,
    ),
    Tool(
        "restore",
        Scope.SESSION_RESTORE,
        requests.Restore,
        writing.restore,
        "Put a session back to a place. Nothing is lost: restoring `from` takes it back.",
        changes=True,
        destroys=True,
    ),
)


def offered(scopes: frozenset[Scope]) -> dict[str, Tool]:
    """The tools that these scopes allow, by name."""
    return {tool.name: tool for tool in TOOLS if tool.scope in scopes}
