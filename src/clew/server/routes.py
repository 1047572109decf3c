"""The one table of what can be asked over HTTP. From it come the router, the OpenAPI document,
and the tests of scopes and audit records. A route that names no scope cannot be built.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from clew import access, checkpoints, erase, frames, model, retention, stats, verify, view, wire
from clew.access import Scope
from clew.model import Checkpoint, Move, SessionInfo
from clew.server import live, otlp
from clew.server.api import (
    about,
    care,
    entries,
    exports,
    finding,
    leases,
    owners,
    pointers,
    sessions,
    state,
    tokens,
    traces,
)
from clew.server.api import compaction as compacting
from clew.server.api import config as settings
from clew.wire import Page

OPEN = "open"
"""The scope of the few routes that need no token; they tell nothing private."""
PAGE = "text/html"
"""What a route gives that is for a person to look at."""
API = "/api/v1"
_S = f"{API}/sessions/{{session}}"

Handler = Callable[..., Awaitable[Any]]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Route(msgspec.Struct, frozen=True):
    """One thing that can be asked. `takes` is the body's struct, `query` the query's, `gives`
    the answer's type: bytes that are no JSON say their media type. Media types in a tuple
    leave body and answer, errors too, to the handler.
    """

    method: Method
    path: str
    scope: str
    handler: Handler
    gives: Any
    summary: str
    takes: Any = None
    query: Any = None
    status: int = 200
    mutates: bool = False

    def __post_init__(self) -> None:
        if self.scope != OPEN and self.scope not in set(Scope):
            raise ValueError(f"{self.method} {self.path}: no scope is called {self.scope!r}")

    @property
    def name(self) -> str:
        """The handler's module and name: one of a kind."""
        return f"{self.handler.__module__.rpartition('.')[2]}.{self.handler.__name__}"


READ, APPEND, BRANCH = Scope.SESSION_READ, Scope.SESSION_APPEND, Scope.SESSION_BRANCH
RESTORE, DELETE = Scope.SESSION_RESTORE, Scope.SESSION_DELETE


def _get(
    path: str,
    scope: str,
    handler: Handler,
    gives: Any,
    summary: str,
    query: Any = None,
) -> Route:
    return Route("GET", path, scope, handler, gives, summary, None, query)


def _do(
    method: Method,
    path: str,
    scope: str,
    handler: Handler,
    gives: Any,
    summary: str,
    takes: Any = None,
    query: Any = None,
    *,
    status: int = 200,
    mutates: bool = True,
) -> Route:
    return Route(method, path, scope, handler, gives, summary, takes, query, status, mutates)


# fmt: off
ROUTES: tuple[Route, ...] = (
    _get("/health", OPEN, about.health, wire.Health, "Whether the server runs."),
    _get("/ready", OPEN, about.ready, wire.Health, "Whether the ledger answers and can be written."),
    _get(f"{API}/openapi.json", OPEN, about.document, dict[str, Any], "This document."),
    _get(f"{API}/me", READ, about.me, wire.Me, "Who asks, and what the token may."),
    # --- sessions
    _get(f"{API}/sessions", READ, sessions.listed, Page[SessionInfo], "Sessions, newest first.", wire.SessionsQuery),
    _do("POST", f"{API}/sessions", APPEND, sessions.create, SessionInfo, "A new session.", wire.Create, status=201),
    _do("POST", f"{API}/sessions/at", APPEND, sessions.at_address, SessionInfo, "The session at an address, made when there is none.", wire.Address),
    _get(_S, READ, sessions.get, SessionInfo, "A session, with its settings."),
    _do("DELETE", _S, DELETE, sessions.erase, erase.Erased, "Remove what a session said, for good.", query=wire.EraseQuery),
    _get(f"{_S}/head", READ, sessions.head, wire.Head, "Where a session stands."),
    _do("PUT", f"{_S}/title", APPEND, sessions.title, wire.Entry, "Give it a title.", wire.Title),
    _do("PUT", f"{_S}/archived", DELETE, sessions.archived, SessionInfo, "Take it out of use, or into use again.", wire.Flag),
    _do("PUT", f"{_S}/pinned", APPEND, sessions.pinned, SessionInfo, "Keep it whatever the retention rule says.", wire.Flag),
    # --- what was said
    _get(f"{_S}/entries", READ, entries.listed, Page[wire.Entry], "Its own log, oldest first: all kinds, all branches.", wire.EntriesQuery),
    _do("POST", f"{_S}/entries", APPEND, entries.append, wire.Appended, "Add messages at the head, all or none.", wire.Append, status=201),
    _get(f"{_S}/entries/{{at}}", READ, entries.get, wire.Entry, "One entry, by number or `session:seq`."),
    _get(f"{_S}/path", READ, entries.on_path, Page[wire.Entry], "Every entry on the path to the head, of all kinds, oldest first.", wire.PageQuery),
    _get(f"{_S}/history", READ, entries.history, Page[model.Message], "Every message on the path to the head, oldest first.", wire.PageQuery),
    _get(f"{_S}/tail", READ, entries.tail, wire.Messages, "The newest messages, oldest first.", wire.Tail),
    _get(f"{_S}/context", READ, entries.context, wire.Messages, "The messages that a model still sees."),
    _get(f"{_S}/view", READ, entries.view, view.View, "What a model is to see, in its provider's words.", wire.ViewQuery),
    _do("POST", f"{_S}/repair", APPEND, entries.repair, wire.Repaired, "Answer every call that has no result."),
    # --- settings
    _get(f"{_S}/config", READ, settings.all_of, wire.Settings, "Its settings."),
    _get(f"{_S}/config/{{key}}", READ, settings.get, wire.Value, "One setting."),
    _do("PUT", f"{_S}/config/{{key}}", APPEND, settings.put, wire.Settings, "Change one setting.", wire.Value),
    _do("DELETE", f"{_S}/config/{{key}}", APPEND, settings.delete, wire.Settings, "Remove one setting."),
    # --- going back, and aside
    _do("POST", f"{_S}/compaction/plan", READ, compacting.plan, wire.Planned, "Where a compaction would cut, and what it would cover.", wire.PlanRequest, mutates=False),
    _do("POST", f"{_S}/compaction", APPEND, compacting.commit, Checkpoint, "Put a summary in the place of everything before a cut.", wire.Compact, status=201),
    _get(f"{_S}/checkpoints", READ, pointers.checkpoints, Page[Checkpoint], "Its checkpoints, newest first.", wire.PageQuery),
    _do("POST", f"{_S}/checkpoints", APPEND, pointers.checkpoint, Checkpoint, "Name where it stands now.", wire.CheckpointRequest, status=201),
    _get(f"{_S}/checkpoints/{{checkpoint}}", READ, pointers.get_checkpoint, Checkpoint, "One checkpoint, by its id or the unique beginning of it."),
    _get(f"{_S}/diff", READ, pointers.diff, checkpoints.Diff, "What two places' paths hold that the other does not.", wire.DiffQuery),
    _get(f"{_S}/moves", READ, pointers.moves, Page[Move], "Where its head went other than forward, newest first.", wire.PageQuery),
    _do("POST", f"{_S}/branch", BRANCH, pointers.branch, SessionInfo, "A new session that shares its history.", wire.Branch, status=201),
    _do("POST", f"{_S}/restore", RESTORE, pointers.restore, Move, "Go back to a place.", wire.At),
    _do("POST", f"{_S}/undo", RESTORE, pointers.undo, Move, "Take back the last thing."),
    _do("POST", f"{_S}/clear", RESTORE, pointers.clear, Move, "Begin again at the root; the settings stay."),
    _do("POST", f"{_S}/reset", RESTORE, pointers.reset, Move, "Begin again at the root.", wire.Reset),
    _do("POST", f"{_S}/replace", RESTORE, pointers.replace, Move, "Stand on other messages instead of the history.", wire.Replace),
    _do("POST", f"{_S}/transfer", BRANCH, pointers.transfer, SessionInfo, "Hand the conversation to another address.", wire.Transfer),
    # --- what runs
    _get(f"{_S}/traces", Scope.TRACE_READ, traces.listed, Page[wire.Span], "Its spans, in the order in which they began.", wire.TracesQuery),
    _do("POST", f"{_S}/traces", Scope.TRACE_WRITE, traces.record, wire.Spans, "Record spans that start, or that are told whole.", wire.SpanStarts, status=201),
    _do("PUT", f"{API}/owners/{{owner}}", Scope.TRACE_WRITE, owners.put, wire.OwnerHeld, "Sign on as the process that runs spans, or give a sign of life.", wire.OwnerPut, mutates=False),
    _do("DELETE", f"{API}/owners/{{owner}}", Scope.TRACE_WRITE, owners.delete, wire.Deleted, "Sign off: what still runs is given up.", mutates=False),
    _get(f"{_S}/traces/tree", Scope.TRACE_READ, traces.as_tree, wire.Tree, "All of its spans as columns, without bodies.", wire.TreeQuery),
    _get(f"{_S}/traces/otlp", Scope.TRACE_READ, otlp.exported, dict[str, Any], "Its spans with their bodies, as OpenTelemetry has them.", wire.PageQuery),
    _get(f"{_S}/traces/{{span}}", Scope.TRACE_READ, traces.get, wire.Span, "One span with its bodies, by id or `@sequence`."),
    _do("PATCH", f"{_S}/traces/{{span}}", Scope.TRACE_WRITE, traces.update, wire.Span, "Record what changed about a span, or how it ended.", wire.SpanChanges),
    _get(f"{_S}/snapshot", READ, state.load, wire.SnapshotHeld, "The agent's own state."),
    _do("PUT", f"{_S}/snapshot", APPEND, state.put, model.Snapshot, "Change the agent's own state.", wire.SnapshotPut),
    _do("DELETE", f"{_S}/snapshot", APPEND, state.delete, wire.Deleted, "Have no state from here on."),
    _get(f"{_S}/snapshots", READ, state.listed, Page[model.Snapshot], "The states on its path, newest first.", wire.PageQuery),
    _do("POST", f"{_S}/resume", APPEND, state.resume, wire.Resumed, "Take it up again after a crash."),
    _get(f"{API}/live/events", READ, live.events, "text/event-stream", "What happens, as it happens, as server-sent events.", frames.EventsQuery),
    _get(f"{API}/live/schema.json", READ, live.schema, dict[str, Any], "What is said on the live stream, as JSON Schema."),
    # --- what OpenTelemetry sends
    _do("POST", "/v1/traces", Scope.TRACE_WRITE, otlp.traces, otlp.MEDIA_TYPES, "Record spans of any OpenTelemetry exporter.", otlp.MEDIA_TYPES),
    _do("POST", "/v1/logs", Scope.TRACE_WRITE, otlp.logs_ignored, otlp.MEDIA_TYPES, "Taken and not kept.", otlp.MEDIA_TYPES, mutates=False),
    _do("POST", "/v1/metrics", Scope.TRACE_WRITE, otlp.metrics_ignored, otlp.MEDIA_TYPES, "Taken and not kept.", otlp.MEDIA_TYPES, mutates=False),
    # --- one writer
    _do("POST", f"{_S}/lease", APPEND, leases.take, wire.LeaseHeld, "Be the only writer, or stay it.", wire.LeaseRequest, mutates=False),
    _do("DELETE", f"{_S}/lease", APPEND, leases.release, wire.Head, "Let others write.", mutates=False),
    # --- finding and figures
    _get(f"{API}/search", READ, finding.search, wire.Found, "Full-text search over everything said, thought, called and answered.", wire.SearchQuery),
    _get(f"{API}/audit", Scope.AUDIT_READ, finding.audit, Page[model.AuditRecord], "Who did what, newest first.", wire.AuditQuery),
    _get(f"{API}/stats", Scope.TRACE_READ, finding.figures, stats.Stats, "How much there is, and how much room it takes."),
    _get(f"{API}/usage", Scope.TRACE_READ, finding.usage, wire.UsageRows, "Tokens and cost, once per model call.", wire.UsageQuery),
    _get(f"{API}/projects", READ, finding.projects, wire.Projects, "The names of the projects."),
    # --- out
    _get(f"{API}/trajectories", Scope.EXPORT_RUN, exports.trajectories, "application/jsonl", "Sessions as training rows, one JSON object a line, redacted.", wire.TrajectoryQuery),
    _get(f"{API}/trajectories/count", Scope.EXPORT_RUN, exports.count, wire.ExportCounts, "How many rows an export would have, and what it would leave out, by reason.", wire.TrajectoryQuery),
    _get(f"{_S}/trajectory", Scope.EXPORT_RAW, exports.trajectory, dict[str, Any], "One session as a training row, not redacted."),
    _get(f"{_S}/sources", READ, exports.sources, Page[wire.SourceFile], "The files that it was imported from."),
    _get(f"{_S}/sources/{{number}}", READ, exports.source, "application/octet-stream", "Such a file, byte for byte."),
    # --- care
    _do("POST", f"{API}/verify", Scope.ADMIN, care.check, verify.Report, "Derive everything again and name what does not agree.", wire.VerifyRequest, mutates=False),
    _do("POST", f"{API}/gc", Scope.ADMIN, care.collect, retention.Collected, "Apply the projects' retention rules.", wire.DryRun),
    _do("PUT", f"{API}/projects/{{project}}/retention", Scope.ADMIN, care.retain, wire.Retention, "Set what a project keeps.", wire.Retention),
    _do("POST", f"{API}/reindex", Scope.ADMIN, care.reindex, wire.Count, "Build the full-text index anew.", mutates=False),
    _do("POST", f"{API}/index", READ, care.index, wire.Count, "Bring the full-text index up to date.", mutates=False),
    _do("POST", f"{API}/sweep", Scope.ADMIN, care.sweep, wire.Count, "Give up the spans whose process is gone.", mutates=False),
    _do("POST", f"{API}/sync", APPEND, care.sync, wire.Health, "Make everything acknowledged so far durable.", mutates=False),
    _get(f"{API}/tokens", Scope.ADMIN, tokens.listed, Page[access.TokenInfo], "Access tokens, without their secrets.", wire.PageQuery),
    _do("POST", f"{API}/tokens", Scope.ADMIN, tokens.create, access.NewToken, "A new access token. Its text is shown once.", wire.TokenRequest, status=201),
    _do("DELETE", f"{API}/tokens/{{token}}", Scope.ADMIN, tokens.revoke, access.TokenInfo, "Revoke an access token."),
    _do("POST", f"{API}/backups", Scope.ADMIN, care.backup, wire.BackupMade, "Copy the ledger into the server's folder for back-ups.", wire.BackupRequest, status=201),
)
# fmt: on


class Socket(msgspec.Struct, frozen=True):
    """A WebSocket. The handler gets the server, the token's ledger, and the ASGI three."""

    path: str
    scope: str
    handler: Callable[..., Awaitable[None]]
    summary: str

    def __post_init__(self) -> None:
        if self.scope not in set(Scope):
            raise ValueError(f"{self.path}: no scope is called {self.scope!r}")


SOCKETS = (Socket(f"{API}/live", READ, live.live, "What happens, as it happens."),)


class Router:
    """Finds the route of a path by its segments: a literal first, then a name."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root: _Node = _Node()
        for route in routes:
            node, names = self._root, []
            for segment in route.path.split("/")[1:]:
                if segment.startswith("{"):
                    names.append(segment[1:-1])
                    node.any = node.any or _Node()
                    node = node.any
                else:
                    node = node.literal.setdefault(segment, _Node())
            if route.method in node.routes:
                raise ValueError(f"{route.method} {route.path} is there twice")
            node.routes[route.method] = (route, tuple(names))

    def find(self, path: str) -> tuple[dict[str, tuple[Route, tuple[str, ...]]], list[str]]:
        """What can be asked at a path, by method, and the parts that are names' values."""
        node, values = self._root, []
        for segment in path.split("/")[1:]:
            below = node.literal.get(segment)
            if below is None:
                if node.any is None or not segment:
                    return {}, []
                values.append(unquote(segment, errors="strict") if "%" in segment else segment)
                below = node.any
            node = below
        return node.routes, values


class _Node(msgspec.Struct):
    literal: dict[str, _Node] = {}
    any: _Node | None = None
    routes: dict[str, tuple[Route, tuple[str, ...]]] = {}
