"""Running the server: uvicorn, told once what it must be told, until a signal ends it.

A signal stops the server from taking more; what was accepted is answered, and streams are told
to end. The ledger stays the caller's to close.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import uvicorn

from clew.errors import ClewError, Invalid
from clew.server import logs
from clew.server.app import Server, guarded
from clew.server.protocol import uvicorn_options
from clew.server.settings import ServerSettings

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.server.security import Guard

GRACE_SECONDS = 30
"""What was accepted has so long to be answered."""
KEEP_ALIVE_SECONDS = 30
THREADS = 16
SWEEP_SECONDS = 30
"""How often what nobody runs any more is given up."""


class Running(uvicorn.Server):
    """One server. `serve` or `run` it; `stop` it from any thread."""

    def __init__(
        self,
        ledger: Ledger,
        settings: ServerSettings,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: tuple[str, str] | None = None,
        on_start: Callable[[str], None] | None = None,
    ) -> None:
        self.server = Server(ledger, settings)
        self.app: Guard = guarded(self.server)
        cert, key = certificate or (None, None)
        config = uvicorn.Config(
            self.app,
            host=host.strip("[]"),
            port=port,
            loop="auto",
            ws_per_message_deflate=False,
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_certfile=cert,
            ssl_keyfile=key,
            **uvicorn_options(),
        )
        super().__init__(config)
        self._on_start = on_start
        self._sweeping: asyncio.Task[None] | None = None
        self.url = ""
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        # A few long answers must not keep the short ones waiting for a thread.
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="clew-read")
        asyncio.get_running_loop().set_default_executor(threads)
        await super().startup(sockets)
        if not self.started:
            return
        name = self.servers[0].sockets[0].getsockname()
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        if self.server.ledger._database.writable:
            self._sweeping = asyncio.create_task(self._sweep())
        self.url = f"{'https' if self.config.ssl else 'http'}://{host}:{name[1]}"
        if self._on_start is not None:
            self._on_start(self.url)
        self.ready.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            with contextlib.suppress(ClewError):
                await asyncio.to_thread(self.server.ledger.sweep)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell streams to end, answer what was accepted, and go."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self.server.stopping.set()
        await self.server.streams.end()
        await super().shutdown(sockets)
        self.app.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal ends the server, and then not the process too, as uvicorn would have it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kinds = (signal.SIGINT, signal.SIGTERM)
        before = {kind: signal.signal(kind, self.handle_exit) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def stop(self) -> None:
        """End it as a signal would."""
        self.should_exit = True


def serve(running: Running, host: str, port: int) -> None:
    """Run until a signal comes. Raises `Invalid` when the address cannot be had."""
    running.config.load()
    heard = _NoAddress()
    logging.getLogger("uvicorn.error").addFilter(heard)
    try:
        running.run()
    except SystemExit:
        raise Invalid(
            f"{host}:{port} cannot be listened at ({heard.why}): another server may be there; "
            "--port 0 takes any that is free"
        ) from None
    finally:
        logging.getLogger("uvicorn.error").removeFilter(heard)


class _NoAddress(logging.Filter):
    """Keeps out of the log what uvicorn says when it cannot listen: it is told in our words."""

    why = "the server did not start"

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the log gets it."""
        error = record.msg
        if not isinstance(error, OSError):
            return True
        self.why = os.strerror(error.errno) if error.errno else str(error)
        return False


class _Encrypted(Exception):
    """The key asks for a password."""


def check_certificate(cert: Path, key: Path) -> None:
    """Raise `Invalid` for files that cannot be served with, and say which and why."""

    def asked() -> str:
        raise _Encrypted

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, asked)
    except _Encrypted:
        raise Invalid(
            f"{key} is encrypted, and a server has nobody to ask for the password: write it in "
            f"clear with `openssl pkey -in {key} -out NEW`, readable by the server alone"
        ) from None
    except (ssl.SSLError, OSError) as error:
        raise Invalid(_why_not(cert, key, error)) from error


def _why_not(cert: Path, key: Path, error: OSError) -> str:
    for path, what, begin in (
        (cert, "certificate", b"-----BEGIN CERTIFICATE-----"),
        (key, "private key", b"PRIVATE KEY-----"),
    ):
        try:
            if begin not in path.read_bytes():
                return (
                    f"{path} holds no {what} in PEM, the form with -----BEGIN …: give such a file"
                )
        except OSError as unread:
            return f"{path} cannot be read ({unread.strerror})"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {key} is not that of the certificate in {cert}: give the two of a pair"
    return (
        f"the certificate in {cert} and the key in {key} cannot be used ({error}): are they whole?"
    )


def log_to(stream: TextIO | None, level: str) -> None:
    """JSON lines to a stream, from `level` on, of this server and of what it stands on."""
    handler = logs.Lines(stream or sys.stderr)
    for name in ("clew", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        # What uvicorn says of its own start and end is said here in other words.
        logger.setLevel(max(_level(level), logging.WARNING) if name == "uvicorn" else _level(level))


def _level(name: str) -> int:
    return int(logging.getLevelNamesMapping()[name.upper()])
