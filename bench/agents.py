"""Sessions as agents leave them: prompts, calls, results that are mostly source code, and, as in
life, now and then a secret or somebody's name among them.
"""

from __future__ import annotations

import random
import string
import sysconfig
from functools import cache
from pathlib import Path

import clew
from bench import corpus
from clew.model import JSON

MESSAGES = 40
RESULT_CHARS = 2_600
WORDS_CHARS = 700
LEAKS = 0.012
"""Of so many results and prompts each one holds something that is nobody's business."""


@cache
def sources() -> str:
    """Source code of the interpreter's library: what agents read all day."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(folder.glob("*.py"))[:150]
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def _leak(rng: random.Random) -> str:
    def drawn(alphabet: str, count: int) -> str:
        return "".join(rng.choices(alphabet, k=count))

    word = string.ascii_letters + string.digits
    kinds = (
        lambda: "ghp_" + drawn(word, 36),
        lambda: "AKIA" + drawn(string.ascii_uppercase + string.digits, 16),
        lambda: "sk-ant-api03-" + drawn(word + "-_", 80),
        lambda: f"DB_PASSWORD={drawn(word, 18)}",
        lambda: f"{drawn(string.ascii_lowercase, 6)}.{drawn(string.ascii_lowercase, 7)}@firma.com",
        lambda: f"/home/{drawn(string.ascii_lowercase, 7)}/project/main.py",
        lambda: f"postgresql://app:{drawn(word, 20)}@db.internal/main",
    )
    return rng.choice(kinds)()


def _with_leak(rng: random.Random, text: str) -> str:
    if rng.random() >= LEAKS:
        return text
    at = rng.randrange(len(text))
    return f"{text[:at]}\n{_leak(rng)}\n{text[at:]}"


def conversation(rng: random.Random, messages: int = MESSAGES) -> list[JSON]:
    """One session in Anthropic's words: a prompt, calls with their results, an answer."""
    code, out = sources(), list[JSON]()
    for turn in range(0, messages, 4):
        out.append({"role": "user", "content": _with_leak(rng, corpus.text(rng, WORDS_CHARS))})
        call = f"toolu_{rng.getrandbits(64):016x}"
        path = f"/srv/app/{corpus.text(rng, 12).replace(' ', '_')}.py"
        block = {"type": "tool_use", "id": call, "name": "Read", "input": {"path": path}}
        out.append(_answer(rng, [{"type": "text", "text": corpus.text(rng, 200)}, block]))
        start = rng.randrange(len(code) - RESULT_CHARS)
        text = _with_leak(rng, code[start : start + RESULT_CHARS])
        result = {"type": "tool_result", "tool_use_id": call, "content": text}
        out.append({"role": "user", "content": [result]})
        out.append(_answer(rng, [{"type": "text", "text": corpus.text(rng, WORDS_CHARS)}]))
        del turn
    return out


def _answer(rng: random.Random, content: list[JSON]) -> JSON:
    usage = {"input_tokens": rng.randrange(9_000), "output_tokens": rng.randrange(900)}
    return {
        "type": "message",
        "id": f"msg_{rng.getrandbits(64):016x}",
        "role": "assistant",
        "model": rng.choice(("claude-opus-4-6", "claude-sonnet-4-6")),
        "content": content,
        "stop_reason": "end_turn",
        "usage": {**usage, "cache_read_input_tokens": 12_000, "cache_creation_input_tokens": 0},
    }


def fill(ledger: clew.Ledger, sessions: int, *, seed: int = 3) -> None:
    """Add sessions to a ledger; every second answer tells how it was routed."""
    rng = random.Random(seed)
    for number in range(sessions):
        session = ledger.create(agent="bench", title=f"session {number}")
        session.extend(conversation(rng))
