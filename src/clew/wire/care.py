"""Keeping a ledger: figures, tokens, retention, back-ups, exports."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from clew.access import Scope
from clew.wire.base import Name, Request, Since


class Health(msgspec.Struct):
    """`ok`, or a word for what is wrong."""

    status: str


class Projects(msgspec.Struct):
    """The names of projects."""

    items: list[str]
    next: str | None = None


class SourceFile(msgspec.Struct):
    """A file that a session was imported from. `number` fetches it."""

    number: int
    path: str
    bytes: int
    sha256: str


class DryRun(Request):
    """Whether only to say what would happen."""

    dry_run: bool = True


class Retention(Request):
    """What a project keeps; `null` is no limit. See `clew retain`."""

    max_age_days: Annotated[float, Meta(ge=0)] | None = None
    max_bytes: Annotated[int, Meta(ge=0)] | None = None
    checkpoint_days: Annotated[float, Meta(ge=0)] | None = None


class VerifyRequest(Request):
    """How much to look at."""

    audit_only: bool = False


class TokenRequest(Request):
    """An access token for a project (`null`: all that the caller's token sees)."""

    name: Name
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=100)]
    project: Name | None = None
    expires: Since | None = None
    """A duration from now (`30d`), a date, or Unix time."""


class BackupRequest(Request):
    """The name of a new file in the server's folder for back-ups."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")]


class BackupMade(msgspec.Struct):
    """A back-up in the server's folder."""

    name: str
    bytes: int


class Count(msgspec.Struct):
    """How many."""

    count: int


class TrajectoryQuery(Request):
    """Which sessions become rows. `raw` leaves the redaction out and needs `export:raw`."""

    since: Since | None = None
    until: Since | None = None
    project: Name | None = None
    session: list[Name] = []
    tier: Name | None = None
    raw: bool = False
