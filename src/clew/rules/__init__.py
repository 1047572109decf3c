"""What providers demand of a conversation, as a table of small checks.

Each rule states one sentence and the page it comes from, and looks at the request alone. It
shares no code with the writers in `clew.shapes` or with `clew.view`: what those produce is
checked against this. An empty list of violations means that no rule here is broken, not that
a provider accepts the request: models, sizes and media are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.errors import Invalid
from clew.rules import anthropic, gemini, openai_chat, openai_responses  # noqa: F401
from clew.rules.base import RULES, Rule, Violation

if TYPE_CHECKING:
    from clew.model import JSON

__all__ = ["RULES", "Rule", "Violation", "check"]


def check(provider: str, request: JSON) -> list[Violation]:
    """Every rule of the provider that the request breaks.

    Raises `Invalid` for a provider without rules and for a request that is no object.
    """
    rules = [rule for rule in RULES.values() if rule.provider == provider]
    if not rules:
        known = ", ".join(sorted({rule.provider for rule in RULES.values()}))
        raise Invalid(f"no rules for provider {provider!r}: use one of {known}")
    if not isinstance(request, dict):
        raise Invalid(f"a request is a dict, this is a {type(request).__name__}")
    return [
        Violation(rule.id, path, message) for rule in rules for path, message in rule.check(request)
    ]
