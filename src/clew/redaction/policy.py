"""What happens to a find: replaced, told, held back, or the whole session left out.

A policy names actions for rules (`email`, `github`) and for types (`SECRET`, `EMAIL`); the
rule's own action goes before that of its type, and what is not named is replaced. Pure data.

    Policy.of({"EMAIL": "warn", "private-key": "block"})
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from clew.errors import Invalid
from clew.redaction.rules import ENGINE_RULES, RULES, TYPES


class Action(StrEnum):
    """What to do with a find. Ordered by `rank`: the stricter wins where finds overlap."""

    WARN = "warn"
    """It stays as it is, and is counted."""
    REDACT = "redact"
    """A placeholder takes its place."""
    REVIEW = "review"
    """A placeholder takes its place, and the row is held back until a person has seen it."""
    BLOCK = "block"
    """The whole session is left out."""

    @property
    def rank(self) -> int:
        """0 for the mildest."""
        return _RANKS[self]


_RANKS = {action: rank for rank, action in enumerate(Action)}


def strictest(actions: Iterable[Action]) -> Action:
    """The strictest of them; `REDACT` for none."""
    return max(actions, key=lambda action: action.rank, default=Action.REDACT)


@dataclass(frozen=True, slots=True)
class Policy:
    """Actions by the name of a rule or a type. `Policy()` replaces everything."""

    actions: Mapping[str, Action] = field(default_factory=dict)

    @classmethod
    def of(cls, actions: Mapping[str, str]) -> Policy:
        """A policy from names to words, as a configuration file has them.

        Raises `Invalid` for a name that is neither a rule nor a type, and for an unknown action.
        """
        made = {_name(name): _action(name, word) for name, word in sorted(actions.items())}
        return cls(made)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Policy:
        """A policy from `RULE=ACTION` as on a command line; of two for one name the later holds.

        Raises `Invalid` as `of` does, and for a text without `=`.
        """
        named = dict[str, str]()
        for text in texts:
            name, sign, word = text.partition("=")
            if not sign:
                raise Invalid(f"{text!r} is no policy: write RULE=ACTION, such as EMAIL=warn")
            named[name.strip()] = word.strip()
        return cls.of(named)

    def action(self, rule: str, type_: str) -> Action:
        """What to do with what `rule` found of this type."""
        return self.actions.get(rule) or self.actions.get(type_) or Action.REDACT

    @property
    def plain(self) -> bool:
        """True when everything that is found is replaced and nothing more happens."""
        return all(action is Action.REDACT for action in self.actions.values())

    def named(self) -> dict[str, str]:
        """What was chosen, sorted by name, for a manifest. `of` reads it back."""
        return {name: str(action) for name, action in sorted(self.actions.items())}


_RULE_NAMES = frozenset(rule.name for rule in RULES) | frozenset(ENGINE_RULES)


def _name(name: str) -> str:
    if name in _RULE_NAMES or name in TYPES:
        return name
    near = difflib.get_close_matches(name, [*_RULE_NAMES, *TYPES], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"types are {', '.join(TYPES)}"
    raise Invalid(f"{name!r} is no rule and no type of redaction: {hint}")


def _action(name: str, word: str) -> Action:
    try:
        return Action(word)
    except ValueError:
        known = ", ".join(Action)
        raise Invalid(f"{name}={word}: {word!r} is no action; take one of {known}") from None
