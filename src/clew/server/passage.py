"""One request behind the guard: its body is bounded, its answer gets the security headers, and
what it keeps open ends when its token does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from typing import Any

from clew import frames, wire
from clew.access import Access
from clew.errors import Unauthorized
from clew.server import logs, problems
from clew.server.answer import Answer, Receive, Scope, Send
from clew.server.problems import Refused
from clew.server.tokens import Watch, Watches

App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

CLOSED_TOKEN_ENDED = 4401
"""The close code of a WebSocket whose token was revoked or has expired."""
CLOSE_S = 1.0
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'; trusted-types clew"
)
SECURITY_HEADERS: Headers = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
UNCACHED = (b"cache-control", b"private, no-store")


class _TooLarge(Exception):
    """Ends an application that reads on behind the limit; its own answer is not sent."""


class Passage:
    """One request on its way to the application and back."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limit = limit
        self._request: str = scope["clew.request"]
        self._size = 0
        self._too_large = False
        self._started = False
        self._connected = self._accepted = False
        self._stream = False
        self.also: Headers = []
        """Headers that the guard adds to the answer."""
        self._stack = ExitStack()
        self._watch: Watch | None = None
        self._begin_watch: Callable[[], None] = lambda: None

    async def run(self, app: App, watches: Watches, found: Access | None) -> None:
        """Run the application; end it when the token ends while it keeps something open."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we run in one

        def begin_watch() -> None:
            if found is not None and self._watch is None:
                self._watch = self._stack.enter_context(watches.watch(found.id, task.cancel))

        self._begin_watch = begin_watch
        with self._stack:
            if self._scope["type"] == "websocket":
                begin_watch()
            try:
                await app(self._scope, self.receive, self.send)
            except asyncio.CancelledError:
                if self._watch is None or self._watch.why is None or task.uncancel() > 0:
                    raise
                await self._end(self._watch.why)
            except Exception:
                if not self._too_large:
                    raise
        if self._too_large and not self._started:
            self._too_large = False  # from here on we speak ourselves
            await self.refuse(too_large(self._limit))

    async def receive(self) -> MutableMapping[str, Any]:
        """The next message, as long as the body is within the limit."""
        message = await self._receive()
        self._connected = True
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._size > self._limit:
                self._too_large = True
                raise _TooLarge
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send what the application says, with the headers that every answer has."""
        if self._too_large and not self._started:
            return
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._started = True
            message = {**message, "headers": self._headers(message.get("headers", ()))}
        elif kind == "http.response.body" and message.get("more_body"):
            self._begin_watch()
        elif kind == "websocket.accept":
            self._accepted = True
            own = [*message.get("headers", ()), (b"x-request-id", self._request.encode())]
            message = {**message, "headers": own}
        await self._send(message)

    def _headers(self, given: Any) -> Headers:
        """The application's headers and ours; where both say something, ours hold."""
        kept, cached = [], False
        for name, value in given:
            low = bytes(name).lower()
            if low in _OURS or low.startswith(b"access-control-"):
                continue
            cached = cached or low == b"cache-control"
            self._stream = self._stream or value.startswith(b"text/event-stream")
            kept.append((low, value))
        if not cached:
            kept.append(UNCACHED)
        own = [*SECURITY_HEADERS, *self.also, (b"x-request-id", self._request.encode())]
        return [*kept, *own]

    async def refuse(self, error: BaseException, instead: str | None = None) -> None:
        """Answer with a problem, or lead a browser elsewhere; on a WebSocket as the answer to
        its handshake.
        """
        answer = problems.answer(error, self._request)
        if instead is not None:
            answer = Answer(b"", status=303, headers=((b"location", instead.encode()),))
        if self._scope["type"] == "http":
            await answer.send(self.send)
            return
        if not self._connected:
            await self._receive()
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": 1008})
            return

        async def denied(message: MutableMapping[str, Any]) -> None:
            await self.send({**message, "type": f"websocket.{message['type']}"})

        await answer.send(denied)

    async def _end(self, why: str) -> None:
        """Close what was open. A stream of events ends; any other answer breaks off, so that
        nobody takes the part for the whole.
        """
        logs.fact(logging.INFO, "closed", request=self._request, token=why)
        if self._scope["type"] == "http":
            if self._stream:
                await self._send({"type": "http.response.body", "body": b""})
            return
        if not self._accepted:
            await self.refuse(Unauthorized(f"the access token is {why}"))
            return
        reason = f"the access token is {why}"
        problem = wire.PROBLEM + wire.name_of(Unauthorized)
        last = frames.Problem(code=CLOSED_TOKEN_ENDED, problem=problem, detail=reason)
        try:
            # Whoever reads nothing is not waited for; the server drops the connection.
            async with asyncio.timeout(CLOSE_S):
                await self._send({"type": "websocket.send", "text": frames.encode(last).decode()})
                close = {"type": "websocket.close", "code": CLOSED_TOKEN_ENDED, "reason": reason}
                await self._send(close)
        except (TimeoutError, OSError, RuntimeError):
            return


_OURS = frozenset([*(name for name, _ in SECURITY_HEADERS), b"server", b"x-request-id"])


def too_large(limit: int) -> Refused:
    """What is told to whoever sends more."""
    return Refused(
        "too-large",
        f"a body has at most {limit:,} bytes here: send less at once",
        ((b"connection", b"close"),),
    )
