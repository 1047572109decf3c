"""Keeping a ledger: figures, tokens, retention, back-ups, exports."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from clew.access import Scope
from clew.drafts import TIME_MS_MAX
from clew.wire.base import Name, Request, Since

Bounds = Annotated[str, Meta(max_length=40, description="From and to: `40-80`, `40-` or `40`.")]
TokenLimit = Annotated[int, Meta(ge=1)]


class Health(msgspec.Struct):
    """`ok`, or a word for what is wrong."""

    status: str


class Me(msgspec.Struct):
    """Who asks: the access token's name, what it may, and the only project it sees here."""

    name: str
    scopes: list[str]
    project: str | None = None
    expires_ms: int | None = None


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
    """Whether only to say what would happen, and as if it were which time (default: now)."""

    dry_run: bool = True
    now_ms: Annotated[int, Meta(ge=0, le=TIME_MS_MAX)] | None = None


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

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$(?!\n)")]


class BackupMade(msgspec.Struct):
    """A back-up in the server's folder."""

    name: str
    bytes: int


class Count(msgspec.Struct):
    """How many."""

    count: int


class TrajectoryQuery(Request):
    """Which sessions become rows, and rows of which format (`native`, `trl`, …). Ranges are written
    `40-80`, a policy of redaction `EMAIL=warn`. `raw` leaves the redaction out and needs
    `export:raw`. With `summary` a last line `{"exported": …}` says what was sent, and that it is
    whole.
    """

    since: Since | None = None
    until: Since | None = None
    project: Name | None = None
    agent: Name | None = None
    label: Name | None = None
    query: Name | None = None
    session: list[Name] = []
    tier: list[Name] = []
    outcome: list[Name] = []
    model: list[Name] = []
    provider: list[Name] = []
    tool: list[Name] = []
    complexity: Bounds | None = None
    tokens: Bounds | None = None
    format: Name = "native"
    segments: Name | None = None
    reasoning: Name | None = None
    parallel: Name | None = None
    explode: Name | None = None
    max_tokens: TokenLimit | None = None
    keep_steps: TokenLimit | None = None
    result_tokens: TokenLimit | None = None
    turn_tier: list[Name] = []
    turn_model: list[Name] = []
    turn_provider: list[Name] = []
    recorded_tools: bool = False
    near: Annotated[float, Meta(gt=0, le=1)] | None = None
    train_shared: bool = False
    policy: list[Name] = []
    raw: bool = False
    summary: bool = False


class ExportSummary(msgspec.Struct):
    """What an export held; `dropped` counts sessions that gave no row, by reason."""

    rows: int
    bytes: int
    sha256: str
    dropped: dict[str, int]
    redacted: bool
    redactions: dict[str, int]


class ExportCounts(msgspec.Struct):
    """`sessions` selected, `rows` that they would give, and what is left out, by reason."""

    counts: dict[str, int]


class ExportEnd(msgspec.Struct):
    """The last line of an export that was asked for with `summary`."""

    exported: ExportSummary
