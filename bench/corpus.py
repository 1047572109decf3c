"""Made-up messages: the same ones in every run.

Words are made of syllables and drawn with Zipf-like frequencies, as in real text, so that an
index sees common and rare words; a seed fixes them all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from itertools import accumulate

from clew.model import JSON

SYLLABLES = "ka to ri ne mo sa lu pe di vo an er is un ol tra ble ster qui fen"
WORDS = 20_000
COMMON = "the file test error return function value"


@cache
def vocabulary() -> tuple[list[str], list[float]]:
    """Words, the most frequent first, with the running sums of their weights."""
    rng = random.Random(7)
    words, syllables = dict.fromkeys(COMMON.split()), SYLLABLES.split()
    while len(words) < WORDS:
        words.setdefault("".join(rng.choices(syllables, k=rng.randint(2, 5))))
    return list(words), list(accumulate(1 / (rank + 2) for rank in range(WORDS)))


@cache
def pool(seed: int = 1, count: int = 200_000) -> list[str]:
    """A long run of words to cut texts from: drawing each word anew would cost more than what
    is measured."""
    words, weights = vocabulary()
    return random.Random(seed).choices(words, cum_weights=weights, k=count)


def text(rng: random.Random, size: int) -> str:
    """A text of about `size` characters."""
    words = pool()
    start = rng.randrange(len(words) - size // 4 - 1)
    return " ".join(words[start : start + size // 4 + 1])[:size]


def message(rng: random.Random, number: int, size: int = 1250) -> dict[str, JSON]:
    """One chat message; with `size` 1250 its JSON has about 1.3 KB."""
    role = "assistant" if number % 2 else "user"
    return {"role": role, "content": [{"type": "text", "text": text(rng, size)}]}


def messages(count: int, *, seed: int = 1, size: int = 1250) -> Iterator[dict[str, JSON]]:
    """A conversation, turn by turn."""
    rng = random.Random(seed)
    for number in range(count):
        yield message(rng, number, size)
