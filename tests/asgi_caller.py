"""A caller of ASGI applications that sends exactly what a test says, however malformed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    App = Callable[[Any, Any, Any], Awaitable[None]]

HOST = "127.0.0.1:8765"
SERVER = ("127.0.0.1", 8765)
CLIENT = ("127.0.0.1", 50000)


class Reply(NamedTuple):
    """An answer. `whole` is false when the application broke off."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The name of the problem that this is; empty when it is none."""
        if self.headers.get("content-type") != "application/problem+json":
            return ""
        return str(self.json["type"]).removeprefix("urn:clew:problem:")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _scope(kind: str, target: str, headers: Any, **more: Any) -> dict[str, Any]:
    path, _, query = target.partition("?")
    pairs = headers.items() if isinstance(headers, dict) else headers
    given = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    if not any(name == b"host" for name, _ in given):
        given.insert(0, (b"host", HOST.encode()))
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "server": SERVER,
        "client": CLIENT,
        "scheme": "ws" if kind == "websocket" else "http",
        "root_path": "",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": given,
        "state": {},
        **more,
    }


async def ask(
    app: App,
    target: str,
    method: str = "GET",
    headers: Any = (),
    body: bytes | Iterable[bytes] = b"",
    *,
    leave: bool = False,
    **more: Any,
) -> Reply:
    """One request. `body` may come in pieces; `more` overrides what the scope says. With
    `leave` the caller is gone once the answer has begun.
    """
    pieces = iter([body] if isinstance(body, bytes) else body)
    status, answered, out, whole = 0, {}, bytearray(), False

    ended, answered_whole = False, asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal ended
        if ended:
            # As a server does: whoever asks again learns when the caller is gone.
            await answered_whole.wait()
            return {"type": "http.disconnect"}
        piece = next(pieces, None)
        ended = piece is None or isinstance(body, bytes)
        return {"type": "http.request", "body": piece or b"", "more_body": not ended}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status, answered, whole
        if message["type"] == "http.response.start":
            assert status == 0, "two answers to one request"
            status = message["status"]
            pairs = [(name.decode(), value.decode()) for name, value in message["headers"]]
            answered = dict(pairs)
            assert len(answered) == len(pairs), f"a header is there twice: {pairs}"
        else:
            out.extend(message.get("body", b""))
            whole = not message.get("more_body", False)
            if whole or leave:
                answered_whole.set()

    await app(_scope("http", target, headers, method=method, **more), receive, send)
    return Reply(status, answered, bytes(out), whole)


class Socket:
    """A WebSocket whose application runs in a task; `sent` is what it said."""

    def __init__(
        self, app: App, target: str, headers: Any = (), offered: Iterable[str] = (), **more: Any
    ) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_app.put_nowait({"type": "websocket.connect"})
        extensions = more.pop("extensions", {"websocket.http.response": {}})
        self.scope = _scope(
            "websocket",
            target,
            headers,
            subprotocols=list(offered),
            extensions=extensions,
            **more,
        )
        self.task = asyncio.ensure_future(app(self.scope, self._to_app.get, self.sent.put))

    async def said(self) -> dict[str, Any]:
        """The next thing that the application says; fails when it ends without a word."""
        waiting = asyncio.ensure_future(self.sent.get())
        await asyncio.wait([waiting, self.task], return_when=asyncio.FIRST_COMPLETED, timeout=20)
        if not waiting.done():
            await asyncio.sleep(0)
        if not waiting.done():
            waiting.cancel()
            if self.task.done():
                self.task.result()
            raise AssertionError("the application says nothing")
        return waiting.result()

    async def tell(self, text: str) -> None:
        await self._to_app.put({"type": "websocket.receive", "text": text})

    async def leave(self) -> None:
        await self._to_app.put({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(self.task, 20)
