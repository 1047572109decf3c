"""Logs as JSON lines, without content: what was asked is told by its route's template, who asked
by the id of the token.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import traceback
from typing import Any, TextIO

import msgspec

BATCH_SECONDS = 0.1

logger = logging.getLogger("clew.server")

_encode = msgspec.json.Encoder(enc_hook=str).encode


def fact(level: int, event: str, **facts: Any) -> None:
    """Log something that happened."""
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"facts": facts})


def fault(request: str, route: str, error: BaseException) -> None:
    """Log a fault of ours: its type and where it arose. Its message may quote content."""
    places = [
        f"{frame.filename.rpartition('clew/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-8:]
    ]
    fact(
        logging.ERROR, "fault", request=request, route=route, error=type(error).__name__, at=places
    )


class JSONLines(logging.Formatter):
    """One JSON object a record."""

    _second = -1
    _stamp = ""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, what happened, and its facts."""
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        line = {
            "time": f"{self._stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        return _encode(line).decode()


class Lines(logging.Handler):
    """Writes records in batches, ten times a second: a write for each request would give up the
    interpreter's lock in the middle of it. Warnings, and what came before them, go out at once.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.setFormatter(JSONLines())
        self._stream = stream
        self._waiting: list[str] = []
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it for the next batch. The caller holds the handler's lock."""
        self._waiting.append(self.format(record))
        if record.levelno >= logging.WARNING:
            self.flush()
        elif self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._loop, name="clew-log", daemon=True)
            self._thread.start()

    def _loop(self) -> None:
        while not self._closing.wait(BATCH_SECONDS):
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or threading.RLock():
            lines, self._waiting = self._waiting, []
            if lines:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._closing.set()
        with contextlib.suppress(ValueError):  # the stream may be closed already
            self.flush()
        super().close()
