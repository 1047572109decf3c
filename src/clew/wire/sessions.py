"""What is asked of a session, and how it answers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from clew.errors import Invalid
from clew.model import JSON, Message, Position, Reason
from clew.wire.base import MESSAGES_MAX, Name, Place, Request
from clew.wire.entries import Entry, RawMessage


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
    """Where a session stands: at an entry, or (`null`) at its root. `sequence` is the newest
    place in its one order of entries and events.
    """

    head: Position | None
    sequence: int


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

    label: str = ""


class DiffQuery(Request):
    """Two places."""

    a: Place
    b: Place
