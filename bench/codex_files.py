"""Made-up rollouts of Codex: the kinds of records, their sizes and mix as recorded ones have them.

Records of 1.1 KB on average, most of them smaller: a call, the event that tells of its end with
the same output again, its result, and a count of tokens. As the versions of spring 2026 wrote
them, without ordinals, so that every record's name is a digest of what was said.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from bench import corpus

START = datetime(2026, 4, 20, 9, 0, tzinfo=UTC)
HEAD_CHARS = 9_000
CONTEXT_CHARS = 5_000


def write(folder: Path, *, files: int, file_bytes: int, seed: int = 1) -> int:
    """Write threads below `folder`, a home of Codex; gives the bytes of all."""
    rng = random.Random(seed)
    place = folder / "sessions" / "2026" / "04" / "20"
    place.mkdir(parents=True)
    written = 0
    for number in range(files):
        teller = _Teller(rng, START + timedelta(minutes=number))
        stamp = teller.time.strftime("%Y-%m-%dT%H-%M-%S")
        with (place / f"rollout-{stamp}-{teller.thread}.jsonl").open("wb") as file:
            for record in teller.records():
                line = msgspec.json.encode(record) + b"\n"
                file.write(line)
                written += len(line)
                if file.tell() >= file_bytes:
                    break
    return written


class _Teller:
    """One thread, without an end."""

    def __init__(self, rng: random.Random, time: datetime) -> None:
        self._rng = rng
        self.time = time
        self.thread = self._id()
        self._total = 0

    def records(self) -> Iterator[dict[str, Any]]:
        """All its records."""
        yield self._record(
            "session_meta",
            {
                "id": self.thread,
                "timestamp": _stamp(self.time),
                "cwd": "/srv/orchard",
                "originator": "codex_cli_rs",
                "cli_version": "0.128.0",
                "source": "cli",
                "model_provider": "openai",
                "base_instructions": {"text": self._words(HEAD_CHARS, HEAD_CHARS)},
            },
        )
        while True:
            yield from self._turn()

    def _turn(self) -> Iterator[dict[str, Any]]:
        turn = self._id()
        context = {
            "turn_id": turn,
            "cwd": "/srv/orchard",
            "approval_policy": "never",
            "model": "gpt-5.4",
            "effort": "medium",
            "user_instructions": self._words(CONTEXT_CHARS, CONTEXT_CHARS),
        }
        asked = self._words(40, 600)
        yield self._event("task_started", turn_id=turn, model_context_window=258_400)
        yield self._record("turn_context", context)
        yield self._message("user", "input_text", asked)
        yield self._event("user_message", message=asked, images=[], text_elements=[])
        for _ in range(self._rng.randint(2, 12)):
            yield from self._round(turn)
        told = self._words(200, 2_500)
        yield self._event("agent_message", message=told, phase="final_answer")
        yield self._message("assistant", "output_text", told)
        yield self._event("task_complete", turn_id=turn, last_agent_message=told)

    def _round(self, turn: str) -> Iterator[dict[str, Any]]:
        call = f"call_{self._rng.getrandbits(96):024x}"
        if self._rng.random() < 0.4:
            told = self._words(100, 500)
            sealed = {"type": "reasoning", "summary": [], "encrypted_content": "sealed"}
            yield self._record("response_item", sealed)
            yield self._event("agent_message", message=told, phase="commentary")
            yield self._message("assistant", "output_text", told)
        asked = {"cmd": self._words(20, 200), "workdir": "/srv/orchard", "yield_time_ms": 1000}
        shown = self._shown()
        yield self._record(
            "response_item",
            {
                "type": "function_call",
                "name": "exec_command",
                "arguments": msgspec.json.encode(asked).decode(),
                "call_id": call,
            },
        )
        yield self._event(
            "exec_command_end",
            call_id=call,
            turn_id=turn,
            command=["/bin/sh", "-lc", asked["cmd"]],
            cwd="/srv/orchard",
            parsed_cmd=[{"type": "unknown", "cmd": asked["cmd"]}],
            aggregated_output=shown,
            exit_code=0,
            duration={"secs": 0, "nanos": self._rng.randrange(10**9)},
            status="completed",
        )
        result = f"Wall time: 0.1 seconds\nProcess exited with code 0\nOutput:\n{shown}"
        output = {"type": "function_call_output", "call_id": call, "output": result}
        yield self._record("response_item", output)
        yield self._count()

    def _count(self) -> dict[str, Any]:
        used = {
            "input_tokens": self._rng.randint(2_000, 90_000),
            "cached_input_tokens": 1_000,
            "output_tokens": self._rng.randint(20, 900),
            "reasoning_output_tokens": 10,
        }
        last = used | {"total_tokens": used["input_tokens"] + used["output_tokens"]}
        self._total += last["total_tokens"]
        info = {
            "total_token_usage": last | {"total_tokens": self._total},
            "last_token_usage": last,
            "model_context_window": 258_400,
        }
        limits = {"limit_id": "codex", "limit_name": None, "primary": None, "secondary": None}
        return self._event("token_count", info=info, rate_limits=limits)

    def _shown(self) -> str:
        """What a command printed: lines of words."""
        size = min(int(self._rng.lognormvariate(6.7, 1.1)), 20_000)
        words = corpus.text(self._rng, size + 8).split(" ")
        return "\n".join(" ".join(words[at : at + 9]) for at in range(0, len(words), 9))

    def _message(self, role: str, kind: str, words: str) -> dict[str, Any]:
        content = [{"type": kind, "text": words}]
        return self._record("response_item", {"type": "message", "role": role, "content": content})

    def _event(self, kind: str, **told: Any) -> dict[str, Any]:
        return self._record("event_msg", {"type": kind, **told})

    def _record(self, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.time += timedelta(milliseconds=self._rng.randint(20, 3000))
        return {"timestamp": _stamp(self.time), "type": kind, "payload": payload}

    def _words(self, least: int, most: int) -> str:
        return corpus.text(self._rng, self._rng.randint(least, most))

    def _id(self) -> str:
        """A UUIDv7 of the time."""
        made = int(self.time.timestamp() * 1000)
        digits = (
            f"{made:012x}7{self._rng.getrandbits(12):03x}{0x8:x}{self._rng.getrandbits(60):015x}"
        )
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _stamp(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
