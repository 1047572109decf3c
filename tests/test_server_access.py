"""What the server's routes let whom do: a scope for each, one project a token, one record a change.

The tests walk the table of routes. A route without an example here fails them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pytest

import clew
from asgi_caller import Reply, ask, bearer
from clew import owners
from clew.access import Scope
from clew.mcp.table import READS, TOOLS, WRITES
from clew.owners import LedgerDesk
from clew.retention import Rule
from clew.server import routes
from clew.server.app import build
from clew.server.paging import cursor
from clew.server.routes import OPEN, ROUTES, Route
from clew.server.settings import ServerSettings
from contract.talk import behind, call, turns, user

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from clew.server.security import Guard

pytestmark = pytest.mark.inside

MARK = "quicksilver"
"""What only the other project's sessions say."""


class Example(NamedTuple):
    """How a route is asked, `{…}` standing for what belongs to the caller's project."""

    query: str = ""
    body: Any = None
    setup: Callable[[clew.Ledger, Ids], dict[str, str] | None] = lambda ledger, ids: None
    """What is done before; gives headers to send."""


class Ids(NamedTuple):
    """What a project holds, by the names that routes give to parts of their paths."""

    project: str
    session: str
    at: str
    key: str
    checkpoint: str
    span: str
    token: str
    owner: str
    number: str = "1"


def _rule(ledger: clew.Ledger, ids: Ids) -> None:
    """Let a checkpoint go: the newest of a session stays."""
    ledger.retain(ids.project, Rule(checkpoint_days=0))


def _target(ledger: clew.Ledger, ids: Ids) -> None:
    """The address is somebody's: a session that has to be made is a second thing to record."""
    ledger.session(frontend="web", user="target", project=ids.project)


def _lease(ledger: clew.Ledger, ids: Ids) -> dict[str, str]:
    return {"clew-lease": str(ledger.get(ids.session).lease("me").token)}


def _owner(ledger: clew.Ledger, ids: Ids) -> None:
    LedgerDesk(ledger.confined(ids.project)).sign_on(ids.owner, owners.here())


_users = itertools.count()
OTLP = {
    "resourceSpans": [
        {
            "resource": {"attributes": []},
            "scopeSpans": [
                {
                    "scope": {"name": "test"},
                    "spans": [
                        {
                            "traceId": "5b8efff798038103d269b633813fc60c",
                            "spanId": "eee19b7ec3c1b174",
                            "name": "execute_tool look",
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": "1544712661000000000",
                            "attributes": [
                                {"key": name, "value": {"stringValue": value}}
                                for name, value in (
                                    ("gen_ai.operation.name", "execute_tool"),
                                    ("gen_ai.tool.name", "look"),
                                    ("gen_ai.conversation.id", "talk"),
                                )
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}
SAY = {"role": "user", "content": "hello"}


def _told(ledger: clew.Ledger, ids: Ids) -> None:
    ledger.session(frontend="otlp", user="told")


SPAN = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "spanId": "b7ad6b7169203331",
    "startTimeUnixNano": "1",
    "attributes": [{"key": "session.id", "value": {"stringValue": "told"}}],
}
SPANS = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}
EXAMPLES: dict[str, Example] = {
    "about.health": Example(),
    "about.ready": Example(),
    "about.document": Example(),
    "about.me": Example(),
    "sessions.listed": Example(),
    "sessions.create": Example(body={"title": "new"}),
    "sessions.at_address": Example(body={"frontend": "web", "user": "{user}"}),
    "sessions.get": Example(),
    "sessions.erase": Example(),
    "sessions.head": Example(),
    "sessions.title": Example(body={"title": "another"}),
    "sessions.archived": Example(body={"on": True}),
    "sessions.pinned": Example(body={"on": True}),
    "entries.listed": Example(),
    "entries.append": Example(body={"messages": [SAY]}),
    "entries.get": Example(),
    "entries.on_path": Example(),
    "entries.history": Example(),
    "entries.tail": Example(),
    "entries.context": Example(),
    "entries.view": Example("provider=anthropic"),
    "entries.repair": Example(),
    "config.all_of": Example(),
    "config.get": Example(),
    "config.put": Example(body={"value": 2}),
    "config.delete": Example(),
    "compaction.plan": Example(body={"keep_from": "3"}),
    "compaction.commit": Example(body={"summary": "short", "keep_from": "3"}),
    "pointers.checkpoints": Example(),
    "pointers.checkpoint": Example(body={"label": "here"}),
    "pointers.get_checkpoint": Example(),
    "pointers.diff": Example("a=1&b=2"),
    "pointers.moves": Example(),
    "pointers.branch": Example(body={}),
    "pointers.restore": Example(body={"at": "2"}),
    "pointers.undo": Example(),
    "pointers.clear": Example(),
    "pointers.reset": Example(body={}),
    "pointers.replace": Example(body={"messages": [SAY]}),
    "pointers.transfer": Example(body={"frontend": "web", "user": "target"}, setup=_target),
    "traces.listed": Example(),
    "traces.record": Example(body={"spans": [{"kind": "tool", "name": "look"}]}),
    "owners.put": Example(body={"host": "h", "boot": "b", "pid": 1, "started": "1"}),
    "owners.delete": Example(setup=_owner),
    "traces.as_tree": Example(),
    "traces.get": Example(),
    "traces.update": Example(body={"outcome": "ok"}),
    "otlp.traces": Example(body=SPANS, setup=_told),
    "otlp.logs_ignored": Example(body={"resourceLogs": []}),
    "otlp.metrics_ignored": Example(body={"resourceMetrics": []}),
    "otlp.exported": Example(),
    "state.load": Example(),
    "state.put": Example(body={"state": {"step": 2}}),
    "state.delete": Example(),
    "state.listed": Example(),
    "state.resume": Example(),
    "live.events": Example("idle=0.01"),
    "live.schema": Example(),
    "leases.take": Example(body={"holder": "me"}),
    "leases.release": Example(setup=_lease),
    "finding.search": Example("q=hello"),
    "finding.audit": Example(),
    "finding.figures": Example(),
    "finding.usage": Example(),
    "finding.projects": Example(),
    "exports.trajectories": Example(),
    "exports.count": Example(),
    "exports.trajectory": Example(),
    "exports.sources": Example(),
    "exports.source": Example(),
    "care.check": Example(body={}),
    "care.collect": Example(body={"dry_run": False}, setup=_rule),
    "care.retain": Example(body={"max_age_days": 400}),
    "care.reindex": Example(),
    "care.index": Example(),
    "care.sweep": Example(),
    "care.sync": Example(),
    "care.backup": Example(body={"name": "copy-{user}.db"}),
    "tokens.listed": Example(),
    "tokens.create": Example(body={"name": "new", "scopes": ["admin"]}),
    "tokens.revoke": Example(),
}
STREAMS = {"live.events"}
"""What goes on until the caller leaves."""
WELL = {"exports.source": (404,)}
"""Statuses of what goes well otherwise: a session that was not imported has no source."""


def furnish(ledger: clew.Ledger, project: str, word: str = "hello") -> Ids:
    """A session with something of everything, and a token, in a project."""
    session = ledger.create(project=project, title=f"about {word}")
    session.extend([*turns(3), user(word)])
    session.config["key"] = word
    session.checkpoint("old")
    session.append(user(f"{word} again"))
    made = session.checkpoint(word)
    session.snapshot({"step": 1, "word": word})
    session.append(call("c1"))
    span = session.start_span("tool", word, input={"word": word})
    token = ledger.create_token(f"{word} token", [Scope.ADMIN], project=project)
    return Ids(
        project, session.id, "1", "key", made.id, span.id, token.info.id, f"owner-of-{project}"
    )


def _token(ledger: clew.Ledger, *scopes: str, project: str | None = None) -> str:
    return ledger.create_token("caller", scopes, project=project).token


def _filled(text: str, ids: Ids) -> str:
    return text.format(**{name: quote(value, safe="") for name, value in ids._asdict().items()})


async def call_route(
    guard: Guard, route: Route, ids: Ids, token: str | None, extra: dict[str, str] | None = None
) -> Reply:
    """Ask a route as its example says."""
    example = EXAMPLES[route.name]
    target = _filled(route.path + (f"?{example.query}" if example.query else ""), ids)
    headers = {**(bearer(token) if token else {}), **(extra or {})}
    body = b""
    if example.body is not None:
        headers["content-type"] = "application/json"
        text = json.dumps(example.body).replace("{user}", f"user-{next(_users)}")
        body = text.encode()
    return await ask(guard, target, route.method, headers, body, leave=route.name in STREAMS)


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    folder = tmp_path / "backups"
    folder.mkdir()
    return ServerSettings(backups=folder)


def serve(
    ledger: clew.Ledger,
    settings: ServerSettings,
    task: Callable[[Guard], Coroutine[Any, Any, None]],
) -> None:
    """Run a coroutine with the server, and put the server away."""

    async def whole() -> None:
        guard = build(ledger, settings)
        try:
            await asyncio.wait_for(task(guard), 120)
        finally:
            guard.close()

    asyncio.run(whole())


# --- scopes --------------------------------------------------------------------------------


def test_every_route_has_an_example_here() -> None:
    assert [route.name for route in ROUTES if route.name not in EXAMPLES] == []


def test_every_route_and_frame_names_a_scope() -> None:
    """CVE-2026-0545 (MLflow): new routes that nobody had put behind the login."""
    scopes = {route.path: route.scope for route in ROUTES}
    scopes |= {socket.path: socket.scope for socket in routes.SOCKETS}
    assert set(scopes.values()) <= {OPEN, *Scope}
    opened = {route.path for route in ROUTES if route.scope == OPEN}
    assert opened == {"/health", "/ready", "/api/v1/openapi.json"}
    assert OPEN not in {socket.scope for socket in routes.SOCKETS}


def test_every_tool_of_the_mcp_server_names_a_scope() -> None:
    """And those that only read are the only ones without being asked for."""
    assert len(TOOLS) > 3
    for tool in TOOLS:
        assert tool.scope in set(Scope), tool.name
        assert tool.changes == (tool.scope in WRITES), tool.name
        assert tool.changes != (tool.scope in READS), tool.name


def test_a_route_without_a_scope_cannot_be_built() -> None:
    known = ROUTES[-1]
    for scope in ("", "everything", "SESSION:READ"):
        with pytest.raises(ValueError, match="no scope"):
            Route("GET", "/x", scope, known.handler, None, "")


def test_a_changing_route_is_never_asked_by_get() -> None:
    assert [route.path for route in ROUTES if route.mutates and route.method == "GET"] == []


def test_each_route_asks_for_its_scope_and_for_no_other(
    ledger: clew.Ledger, settings: ServerSettings
) -> None:
    """CVE-2025-59305 (Langfuse): a job for administrators, open to any user. CVE-2024-28179:
    and without a token nothing is told, not even what is there.
    """
    alone = {scope: _token(ledger, scope) for scope in Scope}
    others = {scope: _token(ledger, *(set(Scope) - {scope})) for scope in Scope}

    async def tell(guard: Guard) -> None:
        for route in ROUTES:
            ids = furnish(ledger, "ours")
            extra = EXAMPLES[route.name].setup(ledger, ids)
            if route.scope == OPEN:
                assert (await call_route(guard, route, ids, None)).status == 200
                continue
            name = f"{route.method} {route.path}"
            assert (await call_route(guard, route, ids, None)).status == 401, name
            reply = await call_route(guard, route, ids, others[Scope(route.scope)])
            assert (reply.status, reply.problem) == (403, "forbidden"), name
            assert route.scope in reply.json["detail"]
            reply = await call_route(guard, route, ids, alone[Scope(route.scope)], extra)
            assert reply.status in WELL.get(route.name, (200, 201)), f"{name}: {reply}"

    serve(ledger, settings, tell)


# --- projects ------------------------------------------------------------------------------


def test_nothing_of_another_project_is_found(ledger: clew.Ledger, settings: ServerSettings) -> None:
    """CVE-2026-45349 (Open WebUI), CVE-2026-31950 (LibreChat): by its id, another's chat could
    be read. Every route, with the other project's ids in its path: 404.
    """
    ours, theirs = furnish(ledger, "ours"), furnish(ledger, "theirs", MARK)
    token = _token(ledger, *Scope, project="ours")
    before = _state(ledger)

    async def tell(guard: Guard) -> None:
        for route in ROUTES:
            if "{" not in route.path or route.name == "owners.put":
                continue  # under a name of its own everybody may sign on
            for ids in _mixtures(route, ours, theirs):
                reply = await call_route(guard, route, ids, token)
                assert reply.status == 404, f"{route.method} {route.path}: {ids}: {reply}"
                assert MARK not in reply.body.decode()

    serve(ledger, settings, tell)
    assert _state(ledger) == before


def _mixtures(route: Route, ours: Ids, theirs: Ids) -> list[Ids]:
    """Theirs alone; and, below a session of ours, what is theirs."""
    found = [theirs]
    if "{session}" in route.path:
        names = [name for name in ("checkpoint", "span") if f"{{{name}}}" in route.path]
        found += [ours._replace(**{name: getattr(theirs, name)}) for name in names]
        if "{at}" in route.path:
            found.append(ours._replace(at=f"{theirs.session}:1"))
    return found


def _state(ledger: clew.Ledger) -> list[Any]:
    return [
        behind(ledger, f"select count(*) from {table}")
        for table in ("session", "entry", "event", "audit", "checkpoint", "token")
    ]


def test_no_list_shows_another_project(ledger: clew.Ledger, settings: ServerSettings) -> None:
    ours, theirs = furnish(ledger, "ours"), furnish(ledger, "theirs", MARK)
    ledger.index_now()
    token = _token(ledger, *Scope, project="ours")
    asked = []

    async def tell(guard: Guard) -> None:
        for route in ROUTES:
            if "{" in route.path or route.method != "GET":
                continue
            reply = await call_route(guard, route, ours, token)
            assert reply.status == 200, f"{route.path}: {reply}"
            told = reply.body.decode()
            for secret in (MARK, theirs.session, theirs.token, '"theirs"'):
                assert secret not in told, f"{route.path} tells {secret}"
            asked.append(route.path)

    serve(ledger, settings, tell)
    assert len(asked) > 8


FOREIGN: tuple[tuple[str, str, Any], ...] = (
    ("sessions.listed", "project=theirs", None),
    ("finding.search", "q=hello&project=theirs", None),
    ("finding.search", f"q={MARK}&session={{session}}", None),
    ("finding.audit", "project=theirs", None),
    ("finding.audit", "session={session}", None),
    ("finding.usage", "project=theirs", None),
    ("exports.trajectories", "project=theirs", None),
    ("exports.trajectories", "session={session}", None),
    ("exports.count", "project=theirs", None),
    ("exports.count", "session={session}", None),
    ("live.events", "session={session}", None),
    ("sessions.create", "", {"project": "theirs"}),
    ("sessions.at_address", "", {"frontend": "a", "user": "b", "project": "theirs"}),
    ("tokens.create", "", {"name": "x", "scopes": ["admin"], "project": "theirs"}),
    ("pointers.restore", "", {"at": "{session}:1"}),
    ("pointers.branch", "", {"at": "{session}:1"}),
    ("pointers.restore", "", {"at": "{checkpoint}"}),
    ("pointers.diff", "a=1&b={session}:2", None),
    ("pointers.diff", "a={checkpoint}&b=1", None),
    ("entries.append", "", {"messages": [SAY], "expected_head": "{session}:1"}),
    ("compaction.plan", "", {"keep_from": "{session}:2"}),
    ("compaction.commit", "", {"summary": "x", "keep_from": "{session}:2"}),
)


@pytest.mark.parametrize("example", FOREIGN, ids=lambda one: f"{one[0]} {one[1] or one[2]}")
def test_no_body_or_query_reaches_another_project(
    ledger: clew.Ledger, settings: ServerSettings, example: tuple[str, str, Any]
) -> None:
    ours, theirs = furnish(ledger, "ours"), furnish(ledger, "theirs", MARK)
    ledger.index_now()
    token = _token(ledger, *Scope, project="ours")
    name, query, body = example
    (route,) = [route for route in ROUTES if route.name == name]
    before = _state(ledger)

    def filled(text: str, ids: Ids) -> str:
        for field, value in ids._asdict().items():
            text = text.replace(f"{{{field}}}", value)
        return text

    async def tell(guard: Guard) -> None:
        target = _filled(route.path, ours) + "?" + filled(query, theirs)
        headers = {**bearer(token), "content-type": "application/json"}
        sent = b"" if body is None else filled(json.dumps(body), theirs).encode()
        reply = await ask(guard, target.rstrip("?"), route.method, headers, sent)
        assert reply.status in (404, 409, 422), reply
        assert MARK not in reply.body.decode()

    serve(ledger, settings, tell)
    assert _state(ledger) == before


def test_a_header_cannot_widen_a_token(ledger: clew.Ledger, settings: ServerSettings) -> None:
    """`Clew-Project` narrows what a token sees."""
    ours, theirs = furnish(ledger, "ours"), furnish(ledger, "theirs", MARK)
    confined = _token(ledger, *Scope, project="ours")
    free = _token(ledger, *Scope)

    async def tell(guard: Guard) -> None:
        async def status(token: str, session: str, project: str) -> int:
            headers = {**bearer(token), "clew-project": project}
            reply = await ask(guard, f"/api/v1/sessions/{session}", headers=headers)
            assert reply.status == 200 or MARK not in reply.body.decode()
            return reply.status

        assert await status(confined, ours.session, "ours") == 200
        for project in ("theirs", "%74heirs", "ours,theirs", "", "none"):
            assert await status(confined, theirs.session, project) in (400, 404, 422), project
        assert await status(free, theirs.session, "theirs") == 200
        assert await status(free, theirs.session, "ours") == 404

    serve(ledger, settings, tell)


def test_spans_that_name_a_session_of_another_project_go_elsewhere(
    ledger: clew.Ledger, settings: ServerSettings
) -> None:
    """CVE-2026-2651 (MLflow), Langfuse's OTLP: what a sender writes in its data is no address."""
    furnish(ledger, "ours")
    theirs = furnish(ledger, "theirs", MARK)
    token = _token(ledger, *Scope, project="ours")
    key = behind(ledger, "select key from session where id = ?", [theirs.session])[0][0]
    before = _rows(ledger)
    text = json.dumps(OTLP).replace('"talk"', json.dumps(theirs.session))

    async def tell(guard: Guard) -> None:
        headers = {**bearer(token), "content-type": "application/json"}
        reply = await ask(guard, "/v1/traces", "POST", headers, text.encode())
        assert reply.status in (200, 400), reply
        assert MARK not in reply.body.decode()

    serve(ledger, settings, tell)
    after = _rows(ledger)
    for table in ("entry", "event"):
        assert after[table][(key,)] == before[table][(key,)]
    assert {info.id for info in ledger.sessions(project="theirs")} == {theirs.session}


def test_a_forged_cursor_reaches_no_other_project(
    ledger: clew.Ledger, settings: ServerSettings
) -> None:
    ours, theirs = furnish(ledger, "ours"), furnish(ledger, "theirs", MARK)
    token = _token(ledger, *Scope, project="ours")
    end, start = clew.Position(theirs.session, 7), clew.Position(theirs.session, 1)
    forged = cursor(end, start)

    async def tell(guard: Guard) -> None:
        for name in ("history", "path"):
            target = f"/api/v1/sessions/{ours.session}/{name}?cursor={forged}"
            reply = await ask(guard, target, headers=bearer(token))
            assert (reply.status, reply.problem) == (404, "not-found"), reply
        target = f"/api/v1/sessions?cursor={cursor(2**60, theirs.session)}"
        assert MARK not in (await ask(guard, target, headers=bearer(token))).body.decode()

    serve(ledger, settings, tell)


def test_a_token_gives_no_more_than_it_has_over_the_server(
    ledger: clew.Ledger, settings: ServerSettings
) -> None:
    token = _token(ledger, Scope.ADMIN, project="ours")

    async def tell(guard: Guard) -> None:
        headers = {**bearer(token), "content-type": "application/json"}
        for scopes, status in ((["admin"], 201), (["admin", "tool:run"], 403)):
            body = json.dumps({"name": "x", "scopes": scopes}).encode()
            reply = await ask(guard, "/api/v1/tokens", "POST", headers, body)
            assert reply.status == status
            if status == 201:
                assert reply.json["info"]["project"] == "ours"

    serve(ledger, settings, tell)


# --- records -------------------------------------------------------------------------------

EXPORTS = {"exports.trajectories", "exports.trajectory"}
"""What carries everything away is put on record though it changes nothing."""


def _rows(ledger: clew.Ledger) -> dict[str, Counter[Any]]:
    """How many entries, events and audit records there are, by the chain that they are in."""
    return {
        table: Counter(tuple(row) for row in behind(ledger, f"select {chain} from {table}"))
        for table, chain in (
            ("entry", "session"),
            ("event", "session"),
            ("audit", "project, session"),
        )
    }


def test_every_changing_route_leaves_exactly_one_record(
    ledger: clew.Ledger, settings: ServerSettings
) -> None:
    """An audit record in each chain that is concerned; what is told by an entry (a message, a
    snapshot, a title) or an event (a span) is told by that one alone. Exports leave one too,
    and what only reads leaves nothing.
    """
    token = _token(ledger, *Scope)

    async def tell(guard: Guard) -> None:
        for route in ROUTES:
            ids = furnish(ledger, "ours")
            extra = EXAMPLES[route.name].setup(ledger, ids)
            before = _rows(ledger)
            reply = await call_route(guard, route, ids, token, extra)
            assert reply.status in WELL.get(route.name, (200, 201)), reply
            after = _rows(ledger)
            added = {table: after[table] - before[table] for table in before}
            told = f"{route.method} {route.path} leaves {added}"
            if not route.mutates and route.name not in EXPORTS:
                assert not any(added.values()), told
            elif added["audit"]:
                assert set(added["audit"].values()) == {1}, told
            else:
                assert (added["entry"] + added["event"]).total() == 1, told

    serve(ledger, settings, tell)


def test_a_refused_change_changes_nothing(ledger: clew.Ledger, settings: ServerSettings) -> None:
    token = _token(ledger, Scope.SESSION_READ, Scope.AUDIT_READ)
    ids = furnish(ledger, "ours")
    before = _rows(ledger)

    async def tell(guard: Guard) -> None:
        for route in ROUTES:
            if route.mutates:
                assert (await call_route(guard, route, ids, token)).status == 403, route.path

    serve(ledger, settings, tell)
    assert _rows(ledger) == before


def test_what_is_done_is_done_in_the_name_of_the_token(
    ledger: clew.Ledger, settings: ServerSettings
) -> None:
    token = ledger.create_token("robot", list(Scope)).token
    ids = furnish(ledger, "ours")

    async def tell(guard: Guard) -> None:
        for route in ROUTES:
            if route.name in ("config.put", "pointers.undo", "tokens.create", "care.retain"):
                assert (await call_route(guard, route, ids, token)).status in (200, 201)

    serve(ledger, settings, tell)
    actions = {record.action for record in ledger.audit() if record.actor == "robot"}
    assert actions == {"config", "undo", "token", "retention"}
