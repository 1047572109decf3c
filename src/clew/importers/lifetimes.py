"""What agents delete by themselves, and when: read from their settings, never guessed.

Sources: Claude Code's settings (`cleanupPeriodDays`, 30 by default, by a file's last change);
Gemini CLI's (`general.sessionRetention`: `enabled`, `maxAge`, 30 days by default); OpenClaw's
(`session.maintenance`: `mode`, `pruneAfter`, 30 days). Codex, llm, pi and OpenCode keep their
histories. Of the others no rule is known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from clew.canonical import parse
from clew.importers import packed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clew.model import JSON

KEEPS: Final = frozenset({"codex", "llm", "pi", "opencode"})
"""Agents that delete no history by themselves."""

DAYS_BY_DEFAULT: Final = 30.0
_UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 30.0}
_AGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([hdwm])\s*\Z")


class Lifetime(msgspec.Struct, frozen=True):
    """How long an agent keeps a history after its last change. `days` is `None` where it keeps
    all of them; `told_by` is the settings file that says so, `None` where it is the default.
    """

    days: float | None
    told_by: str | None = None


def lifetime(agent: str, root: Path) -> Lifetime | None:
    """The rule for the histories below one of an agent's roots; `None` where none is known."""
    if agent in KEEPS:
        return Lifetime(None)
    rule = _RULES.get(agent)
    return rule(root) if rule is not None else None


def _claude_code(root: Path) -> Lifetime:
    path, settings = _settings(root.parent / "settings.json")
    days = settings.get("cleanupPeriodDays")
    if isinstance(days, int | float) and not isinstance(days, bool) and days >= 0:
        return Lifetime(float(days), path)
    return Lifetime(DAYS_BY_DEFAULT)


def _gemini_cli(root: Path) -> Lifetime:
    path, settings = _settings(root.parent / "settings.json")
    rule = _under(_under(settings, "general"), "sessionRetention")
    if rule.get("enabled") is False:
        return Lifetime(None, path)
    days = _age(rule.get("maxAge"))
    return Lifetime(DAYS_BY_DEFAULT) if days is None else Lifetime(days, path)


def _openclaw(root: Path) -> Lifetime:
    path, settings = _settings(root.parent / "openclaw.json")
    rule = _under(_under(settings, "session"), "maintenance")
    if rule.get("mode") == "warn":
        return Lifetime(None, path)
    days = _age(rule.get("pruneAfter"))
    return Lifetime(DAYS_BY_DEFAULT) if days is None else Lifetime(days, path)


_RULES: Final[dict[str, Callable[[Path], Lifetime]]] = {
    "claude-code": _claude_code,
    "gemini-cli": _gemini_cli,
    "openclaw": _openclaw,
}


def _settings(path: Path) -> tuple[str, dict[str, JSON]]:
    """An agent's settings; none where the file is not there or is no plain JSON."""
    try:
        value = parse(packed.whole(path))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return str(path), {}
    return str(path), value if isinstance(value, dict) else {}


def _under(value: dict[str, JSON], key: str) -> dict[str, JSON]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _age(value: JSON) -> float | None:
    """An age such as `30d` or `24h`, in days."""
    found = _AGE.match(value) if isinstance(value, str) else None
    return float(found[1]) * _UNITS[found[2]] if found else None
