"""What goes over the wire: requests, and the JSON forms of answers, for server and client alike.

Most answers are the records of `clew.model` as they are. An entry differs: its body is JSON
already and goes out byte for byte as part of the answer, or as base64 where it is no JSON that
a reader of the answer could take (half a character, white space around it, nested too deep).
Messages come in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from clew import drafts, errors, model
from clew.access import Scope
from clew.errors import ClewError, Conflict, Invalid, Unavailable
from clew.model import JSON, Kind, Message, Position, Reason
from clew.stats import UsageRow

T = TypeVar("T")

JSON_DEPTH_MAX = 200
"""Deeper nesting is refused in a request, and goes out as base64 in an answer."""
LIMIT = 100
LIMIT_MAX = 1000
MESSAGES_MAX = 10_000

Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="How many to give at most.")]
Cursor = Annotated[str, Meta(max_length=1000, description="`next` of the page before.")]
Name = Annotated[str, Meta(min_length=1, max_length=1000)]
Place = Annotated[
    str,
    Meta(
        max_length=200,
        description="An entry (`12`, `session:12`), a checkpoint's id, or `root`.",
    ),
]
Since = Annotated[
    str, Meta(max_length=60, description="A duration before now (`7d`), a date, or Unix time.")
]


class Page(msgspec.Struct, Generic[T]):
    """A piece of a list. `next` is the cursor of the piece behind it; `null`: there is none."""

    items: list[T]
    next: str | None = None


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a caller sends: a field that is not known is an error, not a shrug."""


# --- entries and messages ----------------------------------------------------------------


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One record of a session's log. It has a `body`, the JSON that was recorded, or
    `body_base64`, its bytes; neither once it was erased, and neither in the answer to an append.
    """

    session: str
    seq: int
    kind: Kind
    role: str | None
    time_ms: int
    format: str
    meta: dict[str, JSON] = {}
    body: Raw | UnsetType = UNSET
    body_base64: bytes | UnsetType = UNSET


def entry(record: model.Entry, *, body: bool = True) -> Entry:
    """An entry as it goes out; without `body` only what stands around it."""
    sent = Entry(
        session=record.session,
        seq=record.seq,
        kind=record.kind,
        role=record.role,
        time_ms=record.time_ms,
        format=record.format,
        meta=record.meta,
    )
    if body and record.body is not None:
        if embeddable(record.body):
            sent.body = Raw(record.body)
        else:
            sent.body_base64 = record.body
    return sent


def from_entry(sent: Entry, body: bytes | None = None) -> model.Entry:
    """The entry that was sent; `body` is what the caller knows of it when it has none."""
    if not isinstance(sent.body, UnsetType):
        body = bytes(sent.body)
    elif not isinstance(sent.body_base64, UnsetType):
        body = sent.body_base64
    return model.Entry(
        sent.session,
        sent.seq,
        sent.kind,
        sent.role,
        sent.time_ms,
        sent.format,
        body,
        sent.meta,
    )


def embeddable(body: bytes) -> bool:
    """True when the bytes can stand inside another JSON text and come out as they went in."""
    try:
        whole = memoryview(msgspec.json.decode(body, type=Raw)).nbytes == len(body)
        if not body.isascii():
            body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return whole and not deeper(body, JSON_DEPTH_MAX)


_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def deeper(text: bytes, limit: int) -> bool:
    """True when the JSON text is nested deeper than `limit`. Costs little where it is not."""
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKET)
    for _ in range(limit):
        inner = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(inner) == len(brackets):
            break
        brackets = inner
    return bool(brackets)


RawMessage = Annotated[
    Raw,
    Meta(
        description="A message in the shape of Anthropic, OpenAI or Gemini.",
        extra_json_schema={"type": "object"},
    ),
]


class Append(Request):
    """Messages to add at the head, all or none. Each is taken in the shape of its provider and
    kept byte for byte: in `messages` as JSON, or in `messages_base64` as the bytes of its JSON
    text where these cannot stand inside another text.
    """

    messages: Annotated[list[RawMessage], Meta(max_length=MESSAGES_MAX)] = []
    messages_base64: Annotated[list[bytes], Meta(max_length=MESSAGES_MAX)] = []
    format: Name | None = None
    """The wire format, where the message alone does not tell."""
    time_ms: Annotated[int, Meta(ge=0)] | None = None
    """For a single message: when it was said."""
    expected_head: Place | Position | UnsetType | None = UNSET
    """Where the session must stand (`null`: at its root), or nothing is added."""
    idempotency_key: Name | None = None

    def bodies(self) -> list[bytes]:
        """The messages' bytes. Raises `Invalid` when both lists, or neither, have any."""
        if bool(self.messages) == bool(self.messages_base64):
            raise Invalid("give the messages in `messages`, or in `messages_base64`")
        return [bytes(raw) for raw in self.messages] or self.messages_base64


def append(
    messages: Iterable[Mapping[str, JSON] | str | bytes],
    *,
    format: str | None = None,
    time_ms: int | None = None,
    expected_head: str | Position | UnsetType | None = UNSET,
    idempotency_key: str | None = None,
) -> Append:
    """A request that adds messages as they are. Raises `Invalid` for what is no JSON."""
    bodies = [drafts._read(message)[0] for message in messages]
    plain = all(map(embeddable, bodies))
    return Append(
        messages=[Raw(body) for body in bodies] if plain else [],
        messages_base64=[] if plain else bodies,
        format=format,
        time_ms=time_ms,
        expected_head=expected_head,
        idempotency_key=idempotency_key,
    )


class Appended(msgspec.Struct):
    """What was added, without the bodies that were sent, and where the session now stands."""

    entries: list[Entry]
    head: Position | None


class Tail(Request):
    """How much of the end."""

    count: Limit = 20


class Messages(msgspec.Struct):
    """Messages, oldest first."""

    messages: list[Message]


class ViewQuery(Request):
    """For whom, and how much."""

    provider: Name = "anthropic"
    max_tokens: Annotated[int, Meta(ge=1)] | None = None


# --- lists -------------------------------------------------------------------------------


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


# --- sessions ----------------------------------------------------------------------------


class Create(Request):
    """A new session without an address."""

    project: Name | None = None
    title: Name | None = None
    agent: Name | None = None
    config: dict[str, JSON] = {}
    spawned_by: Name | None = None


class Address(Request):
    """The session of a user at a frontend, made when there is none."""

    frontend: Name
    user: Name
    project: Name | None = None
    agent: Name | None = None


class Title(Request):
    """A title."""

    title: str


class Flag(Request):
    """On or off."""

    on: bool


class EraseQuery(Request):
    """What goes with it, and whether to do it or only to say what would go."""

    with_branches: bool = False
    dry_run: bool = False


class Branch(Request):
    """A session that shares the history up to `at` (default: the head)."""

    at: Place | Position | UnsetType | None = UNSET
    title: Name | None = None
    frontend: Name | None = None
    user: Name | None = None


class Transfer(Request):
    """Where the conversation goes on, and whose settings hold."""

    frontend: Name
    user: Name
    move: bool = False
    config: Literal["source", "target"] = "source"


class At(Request):
    """A place to go back to; `null` is the root."""

    at: Place | Position | None


class Reset(Request):
    """Whether the settings stay."""

    keep_config: bool = True


class Replace(Request):
    """Messages to stand on instead of the history; see `Append` for the two lists."""

    messages: Annotated[list[RawMessage], Meta(max_length=MESSAGES_MAX)] = []
    messages_base64: Annotated[list[bytes], Meta(max_length=MESSAGES_MAX)] = []

    def bodies(self) -> list[bytes]:
        """The messages' bytes, none of either list meaning none at all."""
        if self.messages and self.messages_base64:
            raise Invalid("give the messages in `messages`, or in `messages_base64`")
        return [bytes(raw) for raw in self.messages] or self.messages_base64


class Settings(msgspec.Struct):
    """A session's settings."""

    config: dict[str, JSON]


class Value(Request):
    """A setting's value."""

    value: JSON


class Head(msgspec.Struct):
    """Where a session stands: at an entry, or (`null`) at its root."""

    head: Position | None


class Repaired(msgspec.Struct):
    """The entry that answers the open calls; `null` when none is open."""

    entry: Entry | None


class LeaseRequest(Request):
    """Be the only writer for so many seconds; with `token`, hold on longer."""

    holder: Name
    seconds: Annotated[float, Meta(gt=0)] = 60.0
    token: int | None = None


class LeaseHeld(msgspec.Struct):
    """A lease. Send `token` in the header `Clew-Lease` with every write."""

    holder: str
    token: int


# --- compaction and checkpoints ----------------------------------------------------------


class PlanRequest(Request):
    """Where to cut: at `keep_from`, or where about `keep_tokens` remain."""

    keep_from: Place | Position | None = None
    keep_tokens: Annotated[int, Meta(ge=0)] = 20_000


class Planned(msgspec.Struct):
    """A cut that may be made. Summarise `covered`, then commit with `first_kept` and `base`."""

    covered: list[Message]
    kept: int
    first_kept: Position
    tokens_before: int
    tokens_kept: int
    base: Position | None


class Compact(Request):
    """A summary in the place of everything before a cut, for views only.

    `base` is where the session stood when the summary was begun: what was appended since is
    carried over, a rewind or another compaction since is a conflict.
    """

    summary: str
    keep_from: Place | Position | None = None
    keep_tokens: Annotated[int, Meta(ge=0)] = 20_000
    base: Place | Position | UnsetType | None = UNSET
    reason: Reason = Reason.MANUAL
    model: Name | None = None


class CheckpointRequest(Request):
    """A name for where the session stands now."""

    label: Annotated[str, Meta(max_length=1000)] = ""


class DiffQuery(Request):
    """Two places."""

    a: Place
    b: Place


# --- care --------------------------------------------------------------------------------


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


# --- errors ------------------------------------------------------------------------------

PROBLEM = "urn:clew:problem:"


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a request failed (RFC 9457). `type` is `urn:clew:problem:<name>`; a conflict carries
    where the session stands and what was missed.
    """

    type: str
    title: str
    status: int
    detail: str
    request: str = ""
    """The id under which the server's log has it."""
    head: Position | UnsetType | None = UNSET
    missed: list[Entry] | UnsetType = UNSET

    @property
    def name(self) -> str:
        """The name of the problem, which is that of a clew error in lower case and dashes."""
        return self.type.removeprefix(PROBLEM)


def name_of(kind: type[ClewError]) -> str:
    """The name of the problem that an error becomes: `NotFound` is `not-found`."""
    return _HUMP.sub("-", kind.__name__).lower()


_HUMP = re.compile(r"(?<!^)(?=[A-Z])")
_ERRORS = {
    name_of(kind): kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ClewError)
}


def error_of(problem: Problem) -> ClewError:
    """The error that a problem stands for, ready to be raised; `Unavailable` for a fault of
    the server that no error of Clew has a name for, `Invalid` for one of the request.
    """
    kind = _ERRORS.get(problem.name, Invalid if problem.status < 500 else Unavailable)
    if not issubclass(kind, Conflict):
        return kind(problem.detail)
    head = None if isinstance(problem.head, UnsetType) else problem.head
    missed = [] if isinstance(problem.missed, UnsetType) else problem.missed
    return kind(problem.detail, head=head, missed=tuple(map(from_entry, missed)))


# --- both ways ---------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """JSON, numbers that have none as null."""
    return _encoder.encode(value)


def decode(data: bytes, kind: type[T]) -> T:
    """A value of that type. Raises `msgspec.DecodeError`, `msgspec.ValidationError`."""
    found: T = _decoder(kind).decode(data)
    return found


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    known = _decoders.get(kind)
    if known is None:
        known = _decoders[kind] = msgspec.json.Decoder(kind)
    return known
