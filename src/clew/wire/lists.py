"""Which piece of which list."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from clew import model
from clew.stats import UsageRow
from clew.wire.base import LIMIT, Cursor, Limit, Name, Request, Since


class PageQuery(Request):
    """Which piece of a list."""

    limit: Limit = LIMIT
    cursor: Cursor | None = None


class EntriesQuery(PageQuery):
    """Which entries: behind number `after`, or behind a cursor."""

    after: Annotated[int, Meta(ge=0)] = 0


class SessionsQuery(PageQuery):
    """Which sessions. Sub-agents' sessions are left out unless `spawned`."""

    project: Name | None = None
    status: Name | None = None
    agent: Name | None = None
    frontend: Name | None = None
    user: Name | None = None
    since_ms: Annotated[int, Meta(ge=0)] | None = None
    until_ms: Annotated[int, Meta(ge=0)] | None = None
    spawned: bool = False


class SearchQuery(Request):
    """What to look for; see the grammar of `clew search`."""

    q: Annotated[str, Meta(min_length=1, max_length=4000)]
    kind: list[Name] = []
    role: Name | None = None
    tool: Name | None = None
    session: Name | None = None
    project: Name | None = None
    since: Since | None = None
    until: Since | None = None
    order: Literal["rank", "newest"] = "rank"
    limit: Limit = 20
    cursor: Cursor | None = None
    min_score: float | None = None


class Found(msgspec.Struct):
    """A piece of what a search found. `index` is `current`, `behind`, `empty` or `disabled`."""

    items: list[model.Hit]
    index: str
    behind: int = 0
    unseen: int = 0
    next: str | None = None


class AuditQuery(PageQuery):
    """Which records."""

    session: Name | None = None
    project: Name | None = None
    action: Name | None = None
    since_ms: Annotated[int, Meta(ge=0)] | None = None


class UsageQuery(Request):
    """Of what, summed by what."""

    by: Literal["day", "model", "project"] = "day"
    since: Since | None = None
    until: Since | None = None
    project: Name | None = None


class UsageRows(msgspec.Struct):
    """The sums, by key."""

    items: list[UsageRow]
    next: str | None = None
