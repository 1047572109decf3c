"""Logs as JSON lines, without content: what was asked is told by its route's template, who asked
by the id of the token.
"""

from __future__ import annotations

import logging
import time
import traceback
from typing import Any

import msgspec

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

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, what happened, and its facts."""
        facts: dict[str, Any] = getattr(record, "facts", {})
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **facts,
        }
        return _encode(line).decode()
