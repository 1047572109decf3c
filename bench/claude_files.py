"""Made-up Claude Code histories: the record kinds, sizes and repetition of real ones.

A turn is a request, some rounds of a tool call and its result, and an answer: records of about
3 KB, of which tool results, which stand twice in a record, make up most.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from bench import corpus

START = datetime(2026, 10, 5, 9, 0, tzinfo=UTC)
TOOLS = ("Read", "Bash", "Grep", "Edit")


def write(folder: Path, *, files: int, file_bytes: int, seed: int = 1) -> int:
    """Write sessions below `folder`; gives the bytes of all."""
    rng = random.Random(seed)
    place = folder / "projects" / "-srv-orchard"
    place.mkdir(parents=True)
    written = 0
    for _ in range(files):
        session = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        with (place / f"{session}.jsonl").open("wb") as file:
            for record in records(rng, session):
                line = msgspec.json.encode(record) + b"\n"
                file.write(line)
                written += len(line)
                if file.tell() >= file_bytes:
                    break
    return written


def records(rng: random.Random, session: str) -> Iterator[dict[str, Any]]:
    """One session, without an end."""
    teller = _Teller(rng, session)
    while True:
        yield teller.user(corpus.text(rng, rng.randint(40, 600)))
        for _ in range(rng.randint(1, 12)):
            call = f"toolu_{rng.getrandbits(64):016x}"
            message, request = f"msg_{rng.getrandbits(64):016x}", f"req_{rng.getrandbits(64):016x}"
            if rng.random() < 0.5:
                part = {"type": "text", "text": corpus.text(rng, rng.randint(60, 700))}
                yield teller.assistant(message, request, part)
            yield teller.assistant(message, request, teller.call(call))
            yield teller.result(call)
        final = {"type": "text", "text": corpus.text(rng, rng.randint(200, 2500))}
        yield teller.assistant(f"msg_{rng.getrandbits(64):016x}", None, final)


class _Teller:
    """Knows who spoke last, and when."""

    def __init__(self, rng: random.Random, session: str) -> None:
        self._rng = rng
        self._session = session
        self._last: str | None = None
        self._time = START

    def _record(self, kind: str, message: dict[str, Any], **more: Any) -> dict[str, Any]:
        own = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        self._time += timedelta(milliseconds=self._rng.randint(200, 9000))
        parent, self._last = self._last, own
        return {
            "parentUuid": parent,
            "isSidechain": False,
            "userType": "external",
            "cwd": "/srv/orchard",
            "sessionId": self._session,
            "version": "2.1.90",
            "gitBranch": "main",
            "type": kind,
            "message": message,
            **more,
            "uuid": own,
            "timestamp": self._time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }

    def user(self, text: str) -> dict[str, Any]:
        """What a person typed."""
        return self._record("user", {"role": "user", "content": text})

    def assistant(self, message: str, request: str | None, part: dict[str, Any]) -> dict[str, Any]:
        """A piece of a model's message: each part stands in a record of its own."""
        body = {
            "id": message,
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-6",
            "content": [part],
            "stop_reason": "tool_use" if part["type"] == "tool_use" else "end_turn",
            "usage": {
                "input_tokens": 3,
                "output_tokens": self._rng.randint(20, 900),
                "cache_creation_input_tokens": self._rng.randint(0, 4000),
                "cache_read_input_tokens": self._rng.randint(0, 150_000),
            },
        }
        return self._record("assistant", body, requestId=request or f"req_{message[4:]}")

    def call(self, call: str) -> dict[str, Any]:
        """A tool call."""
        arguments = {
            "file_path": f"/srv/orchard/{corpus.text(self._rng, 12).replace(' ', '_')}.py",
            "description": corpus.text(self._rng, self._rng.randint(20, 300)),
        }
        return {
            "type": "tool_use",
            "id": call,
            "name": self._rng.choice(TOOLS),
            "input": arguments,
        }

    def result(self, call: str) -> dict[str, Any]:
        """Its result: numbered lines, as a file that was read."""
        size = int(self._rng.lognormvariate(7.6, 0.9))
        text = corpus.text(self._rng, min(size, 40_000)).split(" ")
        lines = [
            f"{number:6}\t" + " ".join(text[at : at + 9])
            for number, at in enumerate(range(0, len(text), 9), 1)
        ]
        shown = "\n".join(lines)
        content = [{"type": "tool_result", "tool_use_id": call, "content": shown}]
        raw = {"type": "text", "file": {"content": " ".join(text), "numLines": len(lines)}}
        return self._record("user", {"role": "user", "content": content}, toolUseResult=raw)
