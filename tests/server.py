"""A real server in a thread, on a port of its own, and a token that may do everything.

`with serving(ledger) as there:` gives its `url` and `token`; `there.client()` is an HTTP client
that brings the token.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from clew import access
from clew.access import Scope
from clew.server.run import Running
from clew.server.settings import ServerSettings

if TYPE_CHECKING:
    import clew

ALL_SCOPES = tuple(map(str, Scope))


class There(NamedTuple):
    """A server that runs."""

    url: str
    token: str
    running: Running

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        """An HTTP client that brings a token, by default the one that may do everything."""
        headers = {"authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)


@contextmanager
def serving(ledger: clew.Ledger, **settings: Any) -> Iterator[There]:
    """Serve a ledger as long as the block lasts."""
    running = Running(ledger, ServerSettings(**settings))
    thread = threading.Thread(target=running.run, name="test-server", daemon=True)
    thread.start()
    try:
        assert running.ready.wait(30), "the server did not start"
        token = access.create(ledger, "test", ALL_SCOPES).token
        yield There(running.url, token, running)
    finally:
        running.stop()
        thread.join(30)
    assert not thread.is_alive(), "the server did not end"
