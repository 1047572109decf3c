"""One server for all tests of a process; each test has a ledger of its own behind it.

Starting and stopping a server takes longer than most tests. So it stays, and what it serves is
changed: `with host.serving(url) as token:` opens a ledger and serves it as long as the block
lasts.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

import clew
from clew import access
from clew.access import Scope
from clew.server.app import build
from clew.server.protocol import uvicorn_options
from clew.server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clew.server.security import Guard


SERVED: dict[str, clew.Ledger] = {}
"""The ledgers with the databases, by the address at which they are served."""


class Host:
    """A server on a port of its own, in a thread."""

    def __init__(self) -> None:
        self.app: Guard | None = None
        self._ready = threading.Event()
        config = uvicorn.Config(
            self._serve,
            port=0,
            log_config=None,
            ws_per_message_deflate=False,
            timeout_keep_alive=30,
            interface="asgi3",
            **{**uvicorn_options(), "lifespan": "off"},
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="test-server", daemon=True)
        self._thread.start()
        assert self._ready.wait(30), "the server did not start"

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.001)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._ready.set()
        await serving

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.app is not None, "nothing is served at this moment"
        await self.app(scope, receive, send)

    @contextmanager
    def serving(self, url: str, **settings: Any) -> Iterator[str]:
        """Serve the ledger at `url`; gives a token that may do everything."""
        with clew.open(url) as ledger:
            token = let_in(ledger)
            app = self.app = build(ledger, ServerSettings(**settings))
            SERVED[self.url] = ledger
            try:
                yield token
            finally:
                self.app = None
                del SERVED[self.url]
                asyncio.run_coroutine_threadsafe(_closed(app), self.loop).result(30)

    def close(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join(30)


async def _closed(app: Guard) -> None:
    app.close()


def let_in(ledger: clew.Ledger, name: str = "remote") -> str:
    """A token that may do everything, of which no record tells: tests count the records."""
    text, id = access._new_text()
    values = {
        "id": id,
        "secret": access.digest(text),
        "name": name,
        "scopes": "[" + ",".join(f'"{scope}"' for scope in Scope) + "]",
        "project": None,
        "created_ms": 1,
        "created_by": "test",
        "expires_ms": None,
    }
    ledger._run(lambda tx: tx.run("token_add", **values), 0)
    return text
