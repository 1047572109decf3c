"""Which sessions an export takes: what the ledger's lists tell, and what only a row tells.

A value that means nothing is an error: it never silently means "everything".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from clew import reading
from clew.canonical import now_ms
from clew.errors import Invalid
from clew.exporters.outcome import OUTCOMES
from clew.window import parse_since

if TYPE_CHECKING:
    from clew.exporters.base import Row
    from clew.ledger import Ledger
    from clew.model import Hit, SessionInfo

TIERS: Final = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")
EVERY: Final = 1_000_000_000
COMPLEXITY_MAX: Final = 100
FIRST_HITS: Final = 1_000


class Selection(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which sessions; empty means all. Several values of one field mean any of them, several
    fields all of them.

    `since` and `until` say when a session changed last (`7d`, `12h`, ISO 8601, Unix time). `tiers`,
    `complexity` (from, to), `outcomes`, `models`, `providers`, `tools` (called at least once) and
    `tokens` (from, to; input and output together) are judged on the session's row: what is not
    known is not taken. `label` is the name of a checkpoint, `query` a search that the session
    answers. Raises `Invalid` for values that mean nothing.
    """

    since: str | int | None = None
    until: str | int | None = None
    project: str | None = None
    agent: str | None = None
    sessions: tuple[str, ...] = ()
    label: str | None = None
    query: str | None = None
    tiers: tuple[str, ...] = ()
    complexity: tuple[int, int] | None = None
    outcomes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    tokens: tuple[int, int | None] | None = None

    def __post_init__(self) -> None:
        _known("tier", self.tiers, TIERS)
        _known("outcome", self.outcomes, OUTCOMES)
        if self.complexity is not None:
            low, high = self.complexity
            if not 0 <= low <= high <= COMPLEXITY_MAX:
                raise Invalid(f"complexity {low}-{high}: give two scores of 0 to 100, like 40-80")
        if self.tokens is not None:
            least, most = self.tokens
            if least < 0 or (most is not None and most < least):
                raise Invalid(f"tokens {least}-{most}: give a least and a most, like 1000-50000")
        for name in ("since", "until", "project", "agent", "label", "query"):
            if getattr(self, name) == "":
                raise Invalid(f"{name} is empty: leave it out")
        for name in ("models", "providers", "tools", "sessions"):
            if not all(getattr(self, name)):
                raise Invalid(f"{name} holds an empty name: leave it out")

    def window(self, now: int) -> tuple[int | None, int | None]:
        """Since when and until when, in Unix milliseconds. Raises `Invalid`."""
        since, until = (
            parse_since(str(when), now) if when is not None else None
            for when in (self.since, self.until)
        )
        if since is not None and until is not None and until <= since:
            raise Invalid(
                f"the window from {self.since} until {self.until} is empty: `until` is the later"
            )
        return since, until

    @property
    def by_row(self) -> bool:
        """Whether rows have to be made to know what is taken."""
        judged = ("tiers", "complexity", "outcomes", "models", "providers", "tools", "tokens")
        return any(getattr(self, name) for name in judged)


def _known(what: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    for value in values:
        if value not in allowed:
            raise Invalid(f"{what}={value!r} is not one of {', '.join(allowed)}")


def chosen(ledger: Ledger, selection: Selection) -> dict[int, SessionInfo]:
    """The sessions that the ledger's lists select, by their keys, in the order in which the ledger
    got them; their settings are left out. Raises as `keys` does.
    """
    wanted = keys(ledger, selection)
    nothing = ("status", "frontend", "user_id", "since_ms", "until_ms", "before_ms", "before_key")
    with ledger._database.read() as tx:
        rows = tx.all(
            "session_list",
            **dict.fromkeys(nothing),
            project=ledger._known_project(selection.project),
            agent=selection.agent,
            spawned=1,
            limit=EVERY,
        )
    rows.sort(key=lambda row: row[-1])
    return {row[-1]: reading.info_row(row) for row in rows if row[-1] in wanted}


def keys(ledger: Ledger, selection: Selection) -> dict[int, str]:
    """The keys and ids of these sessions. Raises `Invalid`, and `NotFound` for a session or a
    project that is not there.
    """
    since, until = selection.window(now_ms())
    named = {ledger.get(id)._key for id in selection.sessions} if selection.sessions else None
    with ledger._database.read() as tx:
        rows = tx.all(
            "session_choice",
            project=ledger._known_project(selection.project),
            agent=selection.agent,
            since_ms=since,
            until_ms=until,
        )
        if selection.label is not None:
            labelled = {row[0] for row in tx.all("session_labelled", label=selection.label)}
            named = labelled if named is None else named & labelled
    found = {key: id for key, id in rows if named is None or key in named}
    return found if selection.query is None else _answering(ledger, selection.query, found)


def _answering(ledger: Ledger, query: str, candidates: dict[int, str]) -> dict[int, str]:
    """Those that answer a search: the sessions of its first hits, and where there may be more,
    each other one is asked, so that none is lost behind a limit.
    """
    first = _asked(ledger, query, None, FIRST_HITS)
    found = {hit.session for hit in first}
    if len(first) == FIRST_HITS:
        rest = [id for id in candidates.values() if id not in found]
        found |= {id for id in rest if _asked(ledger, query, id, 1)}
    return {key: id for key, id in candidates.items() if id in found}


def _asked(ledger: Ledger, query: str, session: str | None, limit: int) -> tuple[Hit, ...]:
    answer = ledger.search(query, session=session, limit=limit)
    if answer.index == "disabled":
        raise Invalid("the search index is disabled, so `query` finds nothing: leave it out")
    if answer.unseen:
        raise Invalid("the search index is too far behind: run `clew reindex`, then again")
    return answer.hits


def refused(row: Row, selection: Selection) -> str | None:
    """Why a row is not taken, in words that are the same for all such rows; `None` if it is."""
    if not selection.by_row:
        return None
    checks = (
        _one_of("tier", row["tier"], selection.tiers),
        _between("complexity", row["complexity_score"], selection.complexity),
        _one_of("outcome", row["outcome"], selection.outcomes),
        _one_of("model", row["model_used"], selection.models),
        _one_of("provider", row["provider_used"], selection.providers),
        _any_of("tool", {call["name"] for call in row["tool_calls"]}, selection.tools),
        _between("tokens", _tokens(row), selection.tokens),
    )
    return next((reason for reason in checks if reason is not None), None)


def _tokens(row: Row) -> int | None:
    known = [row[name] for name in ("tokens_in", "tokens_out") if row[name] is not None]
    return sum(known) if known else None


def _one_of(what: str, value: str | None, wanted: tuple[str, ...]) -> str | None:
    if not wanted or value in wanted:
        return None
    return f"{what} unknown" if value is None else f"other {what}"


def _any_of(what: str, values: set[str], wanted: tuple[str, ...]) -> str | None:
    return f"other {what}" if wanted and values.isdisjoint(wanted) else None


def _between(what: str, value: int | None, bounds: tuple[int, int | None] | None) -> str | None:
    if bounds is None:
        return None
    if value is None:
        return f"{what} unknown"
    low, high = bounds
    return None if low <= value and (high is None or value <= high) else f"other {what}"
