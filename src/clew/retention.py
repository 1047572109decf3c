"""Retention per project, and `gc`, which applies it. Nothing goes without being asked:
a rule only says what *may* go, and `gc` is explicit, dry run first, and audited.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from clew import audit, canonical
from clew.db import Tx
from clew.errors import Invalid

if TYPE_CHECKING:
    from clew.ledger import Ledger

DAY_MS = 86_400_000


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a project keeps: sessions younger than `max_age_days`, the newest that fit into
    `max_bytes` of what was handed in, and checkpoints younger than `checkpoint_days` (each
    session's newest always stays). `None` is no limit. Pinned sessions are never touched.
    """

    max_age_days: float | None = None
    max_bytes: int | None = None
    checkpoint_days: float | None = None


class Going(msgspec.Struct, frozen=True):
    """A session that a rule lets go, and why."""

    session: str
    project: str
    bytes: int
    why: str


class Collected(msgspec.Struct, frozen=True):
    """What `gc` removed, or would remove."""

    sessions: tuple[Going, ...]
    checkpoints: int
    dry_run: bool


def set_rule(ledger: Ledger, project: int, rule: Rule) -> None:
    """See `Ledger.retain`."""
    checked_rule(rule)

    def unit(tx: Tx) -> None:
        settings = _settings(tx, project)
        settings["retention"] = msgspec.to_builtins(rule)
        tx.run("project_settings", project=project, settings=msgspec.json.encode(settings).decode())
        audit.record_project(tx, project, ledger.actor, "retention", **settings["retention"])

    ledger._run(unit, 0)


def _settings(tx: Tx, project: int) -> dict[str, dict[str, float | int | None]]:
    row = tx.one("project_by_key", project=project)
    found: dict[str, dict[str, float | int | None]] = msgspec.json.decode(row[2]) if row else {}
    return found


def checked_rule(rule: Rule) -> None:
    """Raise `Invalid` for a rule that makes no sense."""
    for name, value in msgspec.structs.asdict(rule).items():
        if value is not None and not value >= 0:
            raise Invalid(f"{name}={value}: give a number that is not negative, or None")


def collect(ledger: Ledger, *, dry_run: bool, now_ms: int | None) -> Collected:
    """See `Ledger.gc`."""
    now = canonical.now_ms() if now_ms is None else now_ms
    with ledger._database.read() as tx:
        going: list[Going] = []
        old: dict[str, list[tuple[int, str]]] = {}
        for key, name, text in tx.all("project_list"):
            if ledger._scope not in (None, key):
                continue
            rule = msgspec.convert(msgspec.json.decode(text).get("retention", {}), Rule)
            going += _sessions(tx, key, name, rule, now)
            if found := _checkpoints(tx, key, rule, now):
                old[name] = found
    if not dry_run:
        for gone in going:
            ledger.erase(gone.session)
        for project in sorted(old.keys() | {gone.project for gone in going}):
            count = sum(gone.project == project for gone in going)
            ledger._run(partial(_hide, ledger, project, old.get(project, []), count, now), 0)
    return Collected(tuple(going), sum(map(len, old.values())), dry_run)


def _hide(
    ledger: Ledger, project: str, old: list[tuple[int, str]], sessions: int, now: int, tx: Tx
) -> None:
    """Hide old checkpoints and record what went of a project."""
    hidden = sum(tx.run("checkpoint_hide", session=key, id=id, now=now) for key, id in old)
    row = tx.one("project_get", name=project)
    assert row is not None  # noqa: S101 - it was listed
    audit.record_project(tx, row[0], ledger.actor, "gc", sessions=sessions, checkpoints=hidden)


def _sessions(tx: Tx, project: int, name: str, rule: Rule, now: int) -> list[Going]:
    if rule.max_age_days is None and rule.max_bytes is None:
        return []
    going, kept = [], 0
    for id, updated_ms, size in tx.all("session_sizes", project=project):
        age = (now - updated_ms) / DAY_MS
        if rule.max_age_days is not None and age > rule.max_age_days:
            going.append(Going(id, name, int(size), f"{age:.0f} days old"))
        elif rule.max_bytes is not None and kept + size > rule.max_bytes:
            going.append(Going(id, name, int(size), f"over the budget of {rule.max_bytes:,} bytes"))
        else:
            kept += int(size)
    return going


def _checkpoints(tx: Tx, project: int, rule: Rule, now: int) -> list[tuple[int, str]]:
    if rule.checkpoint_days is None:
        return []
    limit = now - int(rule.checkpoint_days * DAY_MS)
    rows = tx.all("checkpoint_old", project=project, before_ms=limit)
    return [(session, id) for session, id in rows]
