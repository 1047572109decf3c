"""How far the token estimate is off, measured on recorded Claude Code sessions.

Usage: python bench/token_error.py [FOLDER]. For every model message without thinking, the
estimate of its visible content is compared with the output tokens that the provider recorded:
records of one (message id, request id) are one message, its output the maximum over them.
Prints the median, the p10 and the p90 of estimate / recorded.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from clew import shapes, tokens
from clew.errors import Invalid
from clew.model import Message, Thinking
from clew.view import merge_pieces

FIXTURES = Path(__file__).resolve().parent.parent.parent / "shared" / "fixtures" / "claude-code"
SMALLEST = 20
"""Below that many recorded tokens a ratio says more about rounding than about the estimate."""
KNOWN_MIN = 5


def main() -> int:
    """Measure and print; 0 also when there is nothing to measure."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FIXTURES
    if not folder.is_dir():
        print(f"skipped: no recorded sessions at {folder}", file=sys.stderr)
        return 0
    pairs = measure(folder)
    if len(pairs) < KNOWN_MIN:
        print(f"skipped: only {len(pairs)} messages with recorded output", file=sys.stderr)
        return 0
    ratios = sorted(guess / recorded for guess, recorded in pairs)
    whole = sum(guess for guess, _ in pairs) / sum(recorded for _, recorded in pairs)
    print(f"messages {len(pairs)}")
    for name, share in (("p10", 0.1), ("median", 0.5), ("p90", 0.9)):
        print(f"{name:7} {ratios[int(share * (len(ratios) - 1))]:.2f}")
    print(f"total   {whole:.2f}")
    return 0


def measure(folder: Path) -> list[tuple[int, int]]:
    """`(estimate, recorded)` of every finished message without thinking."""
    found: dict[tuple[str, str], list[Message]] = defaultdict(list)
    finished: set[tuple[str, str]] = set()
    seen: set[str] = set()
    for file in sorted(folder.rglob("*.jsonl")):
        for record in records(file):
            uuid, body = record.get("uuid"), record.get("message")
            if record.get("type") != "assistant" or not isinstance(body, dict) or uuid in seen:
                continue
            seen.add(str(uuid))
            key = (str(body.get("id")), str(record.get("requestId")))
            if body.get("stop_reason"):
                finished.add(key)
            try:
                found[key].append(shapes.decode("anthropic", body))
            except Invalid:
                continue
    return [pair for key in sorted(finished) for pair in compared(found[key])]


def compared(pieces: list[Message]) -> list[tuple[int, int]]:
    """The pair of one message; none if it thinks or its output was never recorded."""
    whole = merge_pieces(pieces)[0]
    recorded = whole.usage.output if whole.usage else 0
    if recorded < SMALLEST or any(isinstance(part, Thinking) for part in whole.parts):
        return []
    return [(tokens.count_message(whole), recorded)]


def records(file: Path) -> list[dict[str, Any]]:
    """The lines of a file that are JSON objects."""
    found = []
    for line in file.read_bytes().splitlines():
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


if __name__ == "__main__":
    sys.exit(main())
