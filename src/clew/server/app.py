"""The application: a request, its route, its handler, its answer.

`build` puts it behind the guard, which has asked who calls before anything here runs. What a
route's scope is, is asked here, for every route there is: a request for which no route is found
is refused, and a route without a scope cannot be built.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from clew import access, wire
from clew.access import Access, require
from clew.aio import AsyncLedger
from clew.errors import ClewError, Invalid, NotFound
from clew.server import call, logs, openapi, problems, routes
from clew.server.answer import Answer, Head, Receive, Scope, Send, Stream
from clew.server.call import Call, Handles
from clew.server.live import Streams
from clew.server.pages import render
from clew.server.pages.table import PAGES
from clew.server.problems import Refused
from clew.server.routes import OPEN, Route
from clew.server.security import Guard
from clew.server.settings import ServerSettings

if TYPE_CHECKING:
    from clew.ledger import Ledger

CALLERS_MAX = 1000


class Server:
    """The ASGI application behind the guard. `stopping` is set when it is about to end."""

    def __init__(self, ledger: Ledger, settings: ServerSettings) -> None:
        self.ledger = ledger
        self.settings = settings
        self.stopping = asyncio.Event()
        self.streams = Streams(settings.streams_per_token_max)
        self._router = routes.Router((*routes.ROUTES, *PAGES))
        self._sockets = {socket.path: socket for socket in routes.SOCKETS}
        self._callers: dict[tuple[str | None, str], Handles] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await _lifespan(receive, send)

    async def handles_for(self, token: Access | None, narrowed: bytes | None) -> Handles:
        """The same, for one project (`Clew-Project`, percent-encoded) where the caller asks for
        that. Raises `Invalid` for a project that the token does not see, `NotFound` for one
        that is not there when the token may not make it.
        """
        if narrowed is None or token is None:
            return self.handles(token)
        try:
            name = unquote(narrowed.decode("ascii"), errors="strict")
        except UnicodeDecodeError:
            raise Refused("malformed", "the header Clew-Project is no text in UTF-8") from None
        if token.project not in (None, name):
            raise Invalid(
                f"token {token.name!r} is confined to project {token.project!r}: use another for "
                f"{name!r}"
            )
        if (name, token.name) in self._callers:
            return self.handles(token, name)
        if not token.may(access.Scope.SESSION_APPEND):
            known = await asyncio.to_thread(self.ledger.projects)
            if name not in known:
                raise NotFound(f"no project {name!r} in this ledger")
        return await asyncio.to_thread(self.handles, token, name)

    def handles(self, token: Access | None, project: str | None = None) -> Handles:
        """The ledger as this token may see it, acting in its name."""
        who = (None, "nobody") if token is None else (project or token.project, token.name)
        known = self._callers.get(who)
        if known is None:
            if len(self._callers) >= CALLERS_MAX:
                del self._callers[next(iter(self._callers))]
            project, actor = who
            seen = self.ledger.confined(project, actor=actor)
            known = self._callers[who] = Handles(AsyncLedger(seen))
        return known

    def document(self) -> bytes:
        """The OpenAPI document, as JSON."""
        return openapi.encoded()

    # --- HTTP ---

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        token: Access | None = scope["clew.token"]
        request: str = scope["clew.request"]
        route: Route | None = None
        given: Answer | Stream | Head
        try:
            route, path = self._find(scope)
            if route.scope != OPEN:
                require(token, route.scope)
            headers = dict(scope["headers"])
            handles = await self.handles_for(token, headers.get(b"clew-project"))
            one = Call(self, token, handles, request, path, headers)
            given = await self._answer(route, one, scope["query_string"], receive)
        except (Refused, ClewError) as error:
            given = _told(route, error, request)
        if scope["method"] == "HEAD":
            given = Head(given)
        size = await self._send(given, (send, receive), request, route)
        if self.settings.log_requests and logs.logger.isEnabledFor(logging.INFO):
            logs.fact(
                logging.INFO,
                "request",
                method=scope["method"],
                route=route.path if route else None,
                status=given.status,
                ms=round((time.perf_counter() - begun) * 1000, 3),
                bytes=size,
                token=token.id if token else None,
                request=request,
            )

    def _find(self, scope: Scope) -> tuple[Route, Mapping[str, str]]:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        try:
            methods, values = self._router.find(raw.decode("ascii"))
        except UnicodeDecodeError:
            raise Refused("malformed", "the path is no text in UTF-8") from None
        if not methods and scope["path"] in self._sockets:
            raise Refused(
                "upgrade-required",
                "this is a WebSocket: connect to it as ws:// or wss://, or ask "
                f"{scope['path']}/events for server-sent events",
                ((b"upgrade", b"websocket"), (b"connection", b"upgrade")),
            )
        if not methods:
            raise Refused("not-found", "there is nothing at this path: see /api/v1/openapi.json")
        found = methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if found is None:
            allowed = ", ".join(sorted([*methods, "HEAD"] if "GET" in methods else methods))
            raise Refused(
                "method-not-allowed",
                f"at this path there is {allowed} only",
                ((b"allow", allowed.encode()),),
            )
        route, names = found
        return route, dict(zip(names, values, strict=True))

    async def _answer(
        self, route: Route, one: Call, query: bytes, receive: Receive
    ) -> Answer | Stream:
        if route.query is not None:
            one.query = call.query_of(query, route.query)
        elif query:
            raise Refused("invalid", "query: nothing can be said there")
        limit = self.settings.body_bytes_max
        body = await call.body_of(receive, one.headers, limit) if route.method != "GET" else b""
        try:
            if route.takes is None:
                if body:
                    raise Refused("invalid", "body: nothing can be said there")
                value = await route.handler(one)
            elif isinstance(route.takes, tuple):
                value = await route.handler(one, body)
            else:
                value = await route.handler(one, call.decoded(body, one.headers, route.takes))
            if isinstance(value, Answer | Stream):
                return value
            return Answer(wire.encode(value), status=route.status)
        except (Refused, ClewError) as error:
            return _told(route, error, one.request)
        except Exception as error:  # noqa: BLE001 - a fault of ours: told to the log, by its place
            logs.fault(one.request, route.path, error)
            return _told(route, error, one.request)

    async def _send(
        self,
        given: Answer | Stream | Head,
        way: tuple[Send, Receive],
        request: str,
        route: Route | None,
    ) -> int:
        try:
            send, receive = way
            if isinstance(given, Answer | Head):
                return await given.send(send)
            return await given.send(send, receive)
        except (OSError, asyncio.CancelledError):
            raise
        except Exception as error:
            # The answer has begun: breaking off is the only way left to say that it failed.
            logs.fault(request, route.path if route else "", error)
            raise

    # --- WebSocket ---

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = self._sockets.get(scope["path"])
        token: Access | None = scope["clew.token"]
        try:
            if socket is None:
                raise Refused("not-found", "there is no WebSocket at this path")
            require(token, socket.scope)
            narrowed = dict(scope["headers"]).get(b"clew-project")
            handles = await self.handles_for(token, narrowed)
        except (Refused, ClewError) as error:
            await receive()
            await _deny(error, scope, send)
            return
        handler: Callable[..., Awaitable[None]] = socket.handler
        await handler(self, handles, scope, receive, send)


def _told(route: Route | None, error: BaseException, request: str) -> Answer:
    """What went wrong, for a program; on a page, for a person."""
    answer = problems.answer(error, request)
    if route is None or route.gives != routes.PAGE:
        return answer
    return render.problem(answer)


async def _deny(error: Exception, scope: Scope, send: Send) -> None:
    """Answer a WebSocket's handshake with a problem."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return

    async def told(message: MutableMapping[str, Any]) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await problems.answer(error, scope["clew.request"]).send(told)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message: Mapping[str, Any] = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def build(ledger: Ledger, settings: ServerSettings) -> Guard:
    """The application, guarded. The ledger stays the caller's to close."""
    return guarded(Server(ledger, settings))


def guarded(server: Server) -> Guard:
    """The guard in front of a server. Close it when the server ends."""
    return Guard(
        server,
        server.ledger,
        server.settings,
        open_paths=[route.path for route in (*routes.ROUTES, *PAGES) if route.scope == OPEN],
    )
