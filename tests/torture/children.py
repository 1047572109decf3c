"""Processes to be killed: writers that report every promise through a pipe.

They are started from a fork server that has the imports ready and no thread running, so that
a start costs milliseconds and no child inherits an open ledger.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext

PATIENCE_SECONDS = 60.0


def context() -> ForkServerContext:
    """Where children come from."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["clew", "clew.ledger", "clew.exporting", "apsw", __name__])
    return made


class Child:
    """A process that runs `target(report, *args)`; what it reports is kept in `reports`."""

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        self._reader, writer = multiprocessing.Pipe(duplex=False)
        self.reports: list[Any] = []
        self._process = context().Process(target=_run, args=(target, writer, *args), daemon=True)
        self._process.start()
        writer.close()

    def wait_for_report(self) -> None:
        """Block until there is one more; fail when the child ended without any."""
        if not self._reader.poll(PATIENCE_SECONDS):
            raise TimeoutError("the child said nothing")
        try:
            self.reports.append(self._reader.recv())
        except EOFError:
            self._process.join(PATIENCE_SECONDS)
            raise AssertionError(f"the child ended with {self._process.exitcode}") from None

    def kill(self) -> list[Any]:
        """SIGKILL it; gives everything it reported, also what it had just sent."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)
        return self.finish()

    def finish(self) -> list[Any]:
        """Wait for its end; gives everything it reported."""
        # Read first: a child whose pipe is full would never end.
        while True:
            try:
                self.reports.append(self._reader.recv())
            except (EOFError, ConnectionResetError):
                break
        self._process.join(PATIENCE_SECONDS)
        self.exitcode = self._process.exitcode
        self._reader.close()
        self._process.close()
        return self.reports


def _run(target: Callable[..., None], writer: Connection, *args: Any) -> None:
    target(writer.send, *args)
    writer.close()
