"""Clew: the durable session ledger for LLM agents.

import clew

ledger = clew.open("sqlite:///agent.db")
session = ledger.session(frontend="cli", user="42")
session.append({"role": "user", "content": "hello"})
session.view(provider="anthropic").request
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clew.errors import (
        ClewError,
        Conflict,
        Damaged,
        Forbidden,
        Invalid,
        Leased,
        NotFound,
        ReadOnly,
        RedactionFailed,
        Stale,
        Unauthorized,
        Unavailable,
    )
    from clew.exporters.shaping import Shaping
    from clew.exporting import Exported, ExportOptions, Recipe, Redaction, Selection, Splits
    from clew.ledger import Ledger
    from clew.model import (
        AuditRecord,
        Checkpoint,
        Compaction,
        Entry,
        Event,
        Hit,
        Kind,
        Message,
        Move,
        OpenCall,
        Outcome,
        Position,
        Reason,
        Results,
        Resumption,
        SessionInfo,
        Snapshot,
        Span,
        Status,
        Usage,
    )
    from clew.opening import open
    from clew.session import Session
    from clew.spans import SpanDraft
    from clew.tracing import Denied

__version__ = "0.4.0"

__all__ = [
    "AuditRecord",
    "Checkpoint",
    "ClewError",
    "Compaction",
    "Conflict",
    "Damaged",
    "Denied",
    "Entry",
    "Event",
    "ExportOptions",
    "Exported",
    "Forbidden",
    "Hit",
    "Invalid",
    "Kind",
    "Leased",
    "Ledger",
    "Message",
    "Move",
    "NotFound",
    "OpenCall",
    "Outcome",
    "Position",
    "ReadOnly",
    "Reason",
    "Recipe",
    "Redaction",
    "RedactionFailed",
    "Results",
    "Resumption",
    "Selection",
    "Session",
    "SessionInfo",
    "Shaping",
    "Snapshot",
    "Span",
    "SpanDraft",
    "Splits",
    "Stale",
    "Status",
    "Unauthorized",
    "Unavailable",
    "Usage",
    "open",
]

_HOMES = {
    "Denied": "tracing",
    "ExportOptions": "exporting",
    "Exported": "exporting",
    "Ledger": "ledger",
    "Recipe": "exporting",
    "Redaction": "exporting",
    "Selection": "exporting",
    "Session": "session",
    "Shaping": "exporters.shaping",
    "SpanDraft": "spans",
    "Splits": "exporting",
    "open": "opening",
}
_ERRORS = frozenset(
    [
        "ClewError",
        "Conflict",
        "Damaged",
        "Forbidden",
        "Invalid",
        "Leased",
        "NotFound",
        "ReadOnly",
        "RedactionFailed",
        "Stale",
        "Unauthorized",
        "Unavailable",
    ]
)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: the command line's help needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, "errors" if name in _ERRORS else "model")
    value = globals()[name] = getattr(import_module(f"clew.{home}"), name)
    return value
