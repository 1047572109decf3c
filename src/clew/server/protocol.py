"""HTTP as uvicorn speaks it, with bounds on what comes before a request is one.

Its parser takes a request line and headers of any length, for any time, from anybody: nothing
that looks at requests is asked until they end.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from clew.server import problems
from clew.server.problems import Refused

HEAD_BYTES_MAX = 64 * 1024
HEAD_SECONDS = 20.0
"""A connection that has not said by then what it wants is closed."""


class BoundedHTTP(HttpToolsProtocol):
    """To be given to `uvicorn.Config` as `http`."""

    _in_head = True
    _ended = False
    _head_bytes = 0
    _head_too_long = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, for so long."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what has come while the headers have not ended."""
        if self._in_head and self._deadline is None:
            self._arm()
        self._ended = False
        super().data_received(data)
        if self._in_head and not self._ended and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._head_too_long = True
                self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read as HTTP as everything else is refused, and hang up."""
        if self._head_too_long:
            msg = f"The headers are longer than {HEAD_BYTES_MAX} bytes."
        refused = problems.answer(Refused("malformed", msg), "")
        head = [STATUS_LINE[400]]
        head += [b"%s: %s\r\n" % pair for pair in self.server_state.default_headers]
        head += [
            b"content-type: " + problems.PROBLEM_JSON + b"\r\n",
            b"content-length: %d\r\n" % len(refused.body),
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join(head) + refused.body)
        self.transport.close()

    def on_message_begin(self) -> None:
        """Something begins: it may be the next request, behind one that is being answered."""
        self._arm()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The guard takes over, unless all came at once and was too long. Raises `ValueError`,
        which the parser makes a 400.
        """
        self._in_head = False
        self._disarm()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_BYTES_MAX:
            self._head_too_long = True
            raise ValueError("the headers are too long")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another request; its time runs from its first byte."""
        self._in_head = self._ended = True
        self._head_bytes = 0
        super().on_message_complete()

    def _arm(self) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def uvicorn_options() -> dict[str, Any]:
    """What a server must be told so that the guard sees what there is, and nothing leaks: no
    address is taken from a header, no path with its query is logged, no name of the software
    is told, and a frame has at most a mebibyte.
    """
    return {
        "http": BoundedHTTP,
        "ws": "websockets-sansio",
        "ws_max_size": 1024 * 1024,
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "lifespan": "on",
    }
