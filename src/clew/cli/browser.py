"""Opening the page in the person's own browser, without telling a secret to the whole machine.

Whoever works on this machine sees the words that a program was started with, so the browser gets
an address that is good for one visit: it leads on to the real one, which a process list never
shows.
"""

from __future__ import annotations

import secrets
import threading
import time
import webbrowser
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Final

PATIENCE_SECONDS: Final = 60.0
"""A browser that has not come by then does not come any more."""
_POLL_SECONDS: Final = 1.0


class _Once(HTTPServer):
    """Leads whoever asks for a path that nobody can guess to `link`, once."""

    def __init__(self, link: str) -> None:
        super().__init__(("127.0.0.1", 0), _Lead)
        self.link = link
        self.path = f"/{secrets.token_urlsafe(24)}"
        self.done = False
        self.timeout = _POLL_SECONDS

    @property
    def url(self) -> str:
        """Where it waits."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.path}"

    def wait(self) -> None:
        """Until the browser came, or does not come any more."""
        until = time.monotonic() + PATIENCE_SECONDS
        with self:
            while not self.done and time.monotonic() < until:
                self.handle_request()


class _Lead(BaseHTTPRequestHandler):
    server: _Once
    timeout = 5  # a connection on which nobody asks for anything keeps nobody waiting

    def do_GET(self) -> None:
        """The one visit."""
        asked = self.path.encode()
        if self.server.done or not secrets.compare_digest(asked, self.server.path.encode()):
            self.send_error(404)
            return
        self.server.done = True
        self.send_response(303)
        self.send_header("Location", self.server.link)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Standard error is for what the server has to say."""


def show(link: str, on_none: Callable[[], None]) -> None:
    """Open `link` in a browser, from a thread of its own: some browsers stay until they are left.
    `on_none` is called where there is none.
    """
    waiting = _Once(link)

    def opened() -> None:
        if not webbrowser.open(waiting.url):
            on_none()

    for work, name in ((waiting.wait, "clew-lead"), (opened, "clew-browser")):
        threading.Thread(target=work, name=name, daemon=True).start()
