"""What may be done to a row, and what of it makes sense. Defaults leave everything as it is."""

from __future__ import annotations

from typing import Final

import msgspec

from clew.errors import Invalid

SEGMENTS: Final = ("whole", "split")
REASONING: Final = ("keep", "last", "drop", "explode")
PARALLEL: Final = ("keep", "serialise", "drop")
EXPLODE: Final = ("none", "turn", "step")
RESULT_TOKENS_MIN: Final = 50
"""A shorter result would hold little but the mark that says what is left out."""


class Shaping(msgspec.Struct, frozen=True, kw_only=True):
    """How rows are shaped; `docs/shaping.md` tells what each choice does.

    `max_tokens` is the most that a row may take, its tools included; `keep_steps` how many of the
    model's last answers are never left out for it; `result_tokens` the most that the words of one
    tool result may take: in every row, or with `max_tokens` only in rows that are over it. Token
    figures are estimates (`clew.tokens`).
    `tiers`, `models` and `providers` select by name the turns that train. Raises `Invalid`.
    """

    segments: str = "whole"
    reasoning: str = "keep"
    parallel: str = "keep"
    explode: str = "none"
    max_tokens: int | None = None
    keep_steps: int = 1
    result_tokens: int | None = None
    tiers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    recorded_tools_only: bool = False

    def __post_init__(self) -> None:
        _one_of("segments", self.segments, SEGMENTS)
        _one_of("reasoning", self.reasoning, REASONING)
        _one_of("parallel", self.parallel, PARALLEL)
        _one_of("explode", self.explode, EXPLODE)
        _at_least("max_tokens", self.max_tokens, 1)
        _at_least("keep_steps", self.keep_steps, 1)
        _at_least("result_tokens", self.result_tokens, RESULT_TOKENS_MIN)
        for field in ("tiers", "models", "providers"):
            names = _names(field, getattr(self, field))
            msgspec.structs.force_setattr(self, field, names)

    @property
    def exploded(self) -> str:
        """`none`, `turn` or `step`: reasoning that is to be the last of its row asks for turns."""
        return "turn" if self.reasoning == "explode" and self.explode == "none" else self.explode

    @property
    def selects(self) -> bool:
        """Whether only some turns train."""
        return bool(self.tiers or self.models or self.providers)

    @property
    def plain(self) -> bool:
        """Whether rows stay as they are."""
        return self == PLAIN


def _one_of(field: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise Invalid(f"{field}={value!r}: say one of {', '.join(known)}")


def _at_least(field: str, value: object, least: int) -> None:
    if value is None and field != "keep_steps":
        return
    if type(value) is not int or value < least:
        raise Invalid(f"{field}={value!r}: give a whole number, {least} or more")


def _names(field: str, value: object) -> tuple[str, ...]:
    if isinstance(value, tuple | list) and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    raise Invalid(f"{field}={value!r}: give names, such as {field}=('…', '…')")


PLAIN: Final = Shaping()
