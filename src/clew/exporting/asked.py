"""An export as it is asked for in words: on a command line, in a URL, in a form of the page.

Flat fields of texts and numbers, the same everywhere; `recipe` makes of them what an export takes
and `asked` goes the other way, for a server elsewhere.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from clew.errors import Invalid
from clew.exporters.shaping import Shaping
from clew.exporting.recipe import Recipe, Redaction
from clew.exporting.selection import COMPLEXITY_MAX, TIERS, Selection
from clew.redaction.policy import Policy

_SAME: Final = ("since", "until", "project", "agent", "label", "query")
_LISTS: Final = {
    "session": "sessions",
    "outcome": "outcomes",
    "model": "models",
    "provider": "providers",
    "tool": "tools",
    "tier": "tiers",
}
_SHAPES: Final = (
    *("segments", "reasoning", "parallel", "explode", "max_tokens", "keep_steps", "result_tokens"),
)
_TURNS: Final = {"turn_tier": "tiers", "turn_model": "models", "turn_provider": "providers"}


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """See `Selection`, `Shaping` and `Recipe` for what the fields mean. Ranges are written
    `40-80`, `40-` or `40`; a policy `EMAIL=warn`.
    """

    since: str | None = None
    until: str | None = None
    project: str | None = None
    agent: str | None = None
    label: str | None = None
    query: str | None = None
    session: list[str] = []
    tier: list[str] = []
    outcome: list[str] = []
    model: list[str] = []
    provider: list[str] = []
    tool: list[str] = []
    complexity: str | None = None
    tokens: str | None = None
    format: str = "native"
    segments: str | None = None
    reasoning: str | None = None
    parallel: str | None = None
    explode: str | None = None
    max_tokens: int | None = None
    keep_steps: int | None = None
    result_tokens: int | None = None
    turn_tier: list[str] = []
    turn_model: list[str] = []
    turn_provider: list[str] = []
    recorded_tools: bool = False
    near: float | None = None
    train_shared: bool = False
    policy: list[str] = []
    raw: bool = False


def recipe(asked: Asked) -> Recipe:
    """What it asks for. Raises `Invalid`."""
    return Recipe(
        format=asked.format,
        selection=selection(asked),
        shaping=_shaping(asked),
        redaction=None if asked.raw else Redaction(policy=Policy.parse(asked.policy)),
        near=asked.near,
        train_shared=asked.train_shared,
    )


def selection(asked: Asked) -> Selection:
    """Which sessions it asks for. Raises `Invalid`."""
    told: dict[str, Any] = {name: getattr(asked, name) for name in _SAME}
    told |= {name: tuple(getattr(asked, field)) for field, name in _LISTS.items()}
    told["tiers"] = tuple(tier.upper() for tier in asked.tier)
    told["outcomes"] = tuple(outcome.lower() for outcome in asked.outcome)
    if asked.complexity is not None:
        low, high = _between("complexity", asked.complexity)
        told["complexity"] = (low, COMPLEXITY_MAX if high is None else high)
    if asked.tokens is not None:
        told["tokens"] = _between("tokens", asked.tokens)
    return Selection(**told)


def _between(what: str, text: str) -> tuple[int, int | None]:
    low, dash, high = text.partition("-")
    try:
        least = int(low)
        most = int(high) if high else (None if dash else least)
    except ValueError:
        raise Invalid(f"{what} {text!r}: write LOW-HIGH, such as 40-80") from None
    return least, most


def _shaping(asked: Asked) -> Shaping:
    told: dict[str, Any] = {
        name: value for name in _SHAPES if (value := getattr(asked, name)) is not None
    }
    told |= {name: tuple(getattr(asked, field)) for field, name in _TURNS.items()}
    told["tiers"] = tuple(
        tier.upper() if tier.upper() in TIERS else tier for tier in asked.turn_tier
    )
    return Shaping(**told, recorded_tools_only=asked.recorded_tools)


def asked(recipe: Recipe) -> Asked:
    """A recipe in words. Raises `Invalid` for one that holds what is not said to others: functions,
    and lists of names and secrets.
    """
    chosen, shaping, redaction = recipe.selection, recipe.shaping, recipe.redaction
    told: dict[str, Any] = {name: getattr(chosen, name) for name in _SAME}
    told |= {field: list(getattr(chosen, name)) for field, name in _LISTS.items()}
    told |= {name: getattr(shaping, name) for name in _SHAPES}
    told |= {field: list(getattr(shaping, name)) for field, name in _TURNS.items()}
    for name in ("since", "until"):
        told[name] = None if told[name] is None else str(told[name])
    for name in ("complexity", "tokens"):
        bounds = getattr(chosen, name)
        told[name] = bounds and "-".join("" if one is None else str(one) for one in bounds)
    said = Asked(
        **told,
        format=recipe.format,
        recorded_tools=shaping.recorded_tools_only,
        near=recipe.near,
        train_shared=recipe.train_shared,
        policy=[f"{rule}={action}" for rule, action in redaction.policy.named().items()]
        if redaction
        else [],
        raw=redaction is None,
    )
    if _recipe_alike(recipe, said):
        return said
    raise Invalid(
        "functions and lists of names or secrets are not sent to a server: run clew export on "
        "the machine of the ledger"
    )


def _recipe_alike(one: Recipe, said: Asked) -> bool:
    plain = recipe(said)
    names = ("verifier", "summarise", "outcome_rules", "redaction", "shaping")
    return all(getattr(one, name) == getattr(plain, name) for name in names)
