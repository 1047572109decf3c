"""Redaction: a megabyte of agents' text, by either engine, and the usual way beside it.

The usual way is one `re` pattern after the other over every string: it is what most tools do, and
here it has the patterns of our own secret rules without their checks, so it does less.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from typing import Any

from bench.corpus import text
from bench.harness import Figure, Options, interleave
from clew.exporters.base import line
from clew.redaction import SECRET_RULES, Redactor
from clew.redaction.gate import HYPERSCAN

TITLE = "redacting"
KEY = b"a key for a bench, not a secret"
ROWS = 24
MESSAGES = 40
SECRET_EVERY = 6
"""Of so many sessions one shows a new secret."""
LOOKALIKES = 0.01
FEW = 40
"""Strings that the usual way is measured on; it takes seconds for a megabyte."""
ROUNDS = 3
VALUES = (1_000, 20_000)


def code(rng: random.Random, lines: int) -> str:
    """Something like a program, with a few hundred places in a megabyte that look like a find."""
    names = text(rng, 400).split()
    out = []
    for number in range(lines):
        one, two, three = rng.choices(names, k=3)
        if rng.random() < LOOKALIKES:
            out.append(f"    token_count = {one}({two}) + max_tokens")
            continue
        out.append(
            rng.choice(
                (
                    f"def {one}_{two}({three}: str, key: int = {number}) -> None:",
                    f'    {one} = {two}.get("{three}", {number * 17})',
                    f"    # {text(rng, 60)}",
                    f"    return self.{one}[{two}.{three}]",
                    f"src/{one}/{two}.py:{number}: error: {three} is no version 1.{number}.0",
                )
            )
        )
    return "\n".join(out)


def rows() -> list[dict[str, Any]]:
    """Sessions: prose, programs, calls of tools and what came back, here and there a find."""
    rng = random.Random(5)
    out = []
    for session in range(ROWS):
        messages: list[dict[str, Any]] = []
        for number in range(MESSAGES):
            shown = code(rng, rng.randint(10, 60))
            if number % 10 == 3:
                shown += f"\n/home/annlee/src/{session}: done"
            if number == MESSAGES // 2 and session % SECRET_EVERY == 0:
                shown += f"\nAPI_KEY={secret(rng)}"
            arguments = line({"path": f"src/{number}.py", "text": code(rng, 8)}).decode()
            call = {
                "id": f"call_{session}_{number}",
                "type": "function",
                "function": {"name": "write", "arguments": arguments[:-1]},
            }
            messages += [
                {"role": "user", "content": text(rng, 600), "id": number, "time": 1_700_000_000},
                {"role": "assistant", "content": text(rng, 900), "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call["id"], "content": shown},
            ]
        out.append({"session_id": f"s{session}", "messages": messages})
    return out


def secret(rng: random.Random) -> str:
    """A random value."""
    return "".join(rng.choices(string.ascii_letters + string.digits, k=24))


def strings(value: Any) -> Iterator[str]:
    """Every string of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def usual(texts: list[str], patterns: list[re.Pattern[str]]) -> None:
    """One pattern after the other."""
    for one in texts:
        left = one
        for pattern in patterns:
            left = pattern.sub("<SECRET>", left)


def run(options: Options) -> Iterator[Figure]:
    """Megabytes of JSON for each CPU second."""
    data = rows()
    size = sum(len(line(row)) for row in data) / 1e6
    few = random.Random(2).sample([one for one in strings(data) if len(one) > 200], FEW)
    few_size = sum(map(len, few)) / 1e6
    patterns = [re.compile(rule.pattern.decode("latin-1")) for rule in SECRET_RULES]
    work: dict[str, Any] = {"usual": lambda: usual(few, patterns)}
    engines = {"re2": False} | ({"hyperscan": True} if HYPERSCAN is not None else {})
    for name, use in engines.items():
        redactor = Redactor(KEY, hyperscan=use)
        clean = [redactor.redact(redactor.redact(row)) for row in data]
        lines = [line(row) for row in clean]
        more = {count: learned(redactor, count) for count in VALUES}
        work |= {
            f"redact {name}": lambda r=redactor: redacted(r.fresh(), data),
            f"scan {name}": lambda r=redactor, rows=clean: [r.scan(row) for row in rows],
            f"suspects {name}": lambda r=redactor, ls=lines: [r.suspects(one) for one in ls],
            f"mentions {name}": lambda r=redactor, ls=lines: [r.mentions(one) for one in ls],
        } | {
            f"{count} values {name}": lambda r=other, rows=clean: [r.scan(row) for row in rows]
            for count, other in more.items()
        }
    series = interleave(work, rounds=ROUNDS)
    usual_rate = few_size / series.median("usual")
    yield Figure(name="`re`, rule by rule", value=usual_rate, unit="MB/s")
    goals = {"redact re2": 20.0, "redact hyperscan": 100.0, "suspects hyperscan": 300.0}
    for name in work:
        if name != "usual":
            rate = size / series.median(name)
            yield Figure(
                name=name,
                value=rate,
                unit="MB/s",
                at_least=goals.get(name),
                ratio=rate / usual_rate,
            )


def redacted(redactor: Redactor, data: list[dict[str, Any]]) -> None:
    """As an export does it: rows one after the other."""
    for row in data:
        redactor.redact(row)


def learned(redactor: Redactor, count: int) -> Redactor:
    """Another one that knows so many values."""
    rng = random.Random(count)
    other = redactor.fresh()
    state = redactor.learned_state()
    values = frozenset(("SECRET", secret(rng)) for _ in range(count - len(state.values)))
    other.learn(type(state)(state.values | values, state.issued))
    return other
