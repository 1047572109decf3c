"""What each tool takes. The JSON Schemas that clients see come from these."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Session = Annotated[
    str,
    Meta(
        max_length=100,
        description="A session's id, the unique beginning of one, or `latest`.",
    ),
]
Name = Annotated[str, Meta(max_length=200)]
When = Annotated[
    str,
    Meta(
        max_length=100,
        description="`7d`, `12h`, a date (2026-08-31) or Unix milliseconds.",
    ),
]
Seq = Annotated[int, Meta(ge=1, le=10**15)]
Place = Annotated[
    str,
    Meta(
        max_length=100, description="A checkpoint's id, an entry (`12` or `SESSION:12`), or `root`."
    ),
]
Cursor = Annotated[
    str, Meta(max_length=100, description="`next` of the answer before, to go on from there.")
]
Kind = Literal["user", "assistant", "system", "thinking", "tool_call", "tool_result"]


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a tool is called with."""


class SearchHistory(Request):
    """Arguments of `search_history`."""

    query: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1000,
            description='All words are to be found; "a phrase", prefix*, OR, NOT and '
            "parentheses work.",
        ),
    ]
    kind: Annotated[list[Kind], Meta(description="Only these kinds of text.")] | None = None
    role: Literal["user", "assistant", "tool", "system"] | None = None
    tool: Annotated[Name, Meta(description="Only calls and results of this tool.")] | None = None
    session: Session | None = None
    project: Name | None = None
    since: When | None = None
    until: When | None = None
    order: Literal["rank", "newest"] = "rank"
    limit: Annotated[int, Meta(ge=1, le=50)] = 10


class ListSessions(Request):
    """Arguments of `list_sessions`."""

    project: Name | None = None
    agent: Name | None = None
    status: Literal["open", "closed", "archived"] | None = None
    since: When | None = None
    until: When | None = None
    spawned: Annotated[bool, Meta(description="Those of sub-agents too.")] = False
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Cursor | None = None


class ReadEntries(Request):
    """Arguments of `read_entries`."""

    session: Session
    start: Annotated[Seq, Meta(description="The first entry's number.")] = 1
    end: Annotated[Seq, Meta(description="The last one's.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Cursor | None = None


class ReadContext(Request):
    """Arguments of `read_context`."""

    session: Session
    last: Annotated[Seq, Meta(description="Only the newest so many messages.")] | None = None
    cursor: Cursor | None = None


class ListCheckpoints(Request):
    """Arguments of `list_checkpoints`."""

    session: Session
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Cursor | None = None


class DiffCheckpoints(Request):
    """Arguments of `diff_checkpoints`."""

    session: Session
    a: Place
    b: Place


class ReadTrace(Request):
    """Arguments of `read_trace`."""

    session: Session
    span: (
        Annotated[Name, Meta(description="The id of one span, to read its input and output.")]
        | None
    ) = None
    kind: Literal["turn", "tool", "model", "agent", "command", "other"] | None = None
    tool: Name | None = None
    outcome: (
        Literal["running", "waiting", "ok", "error", "denied", "cancelled", "timeout", "abandoned"]
        | None
    ) = None
    turn: Annotated[int, Meta(ge=0, le=10**9)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Cursor | None = None


class AppendNote(Request):
    """Arguments of `append_note`."""

    session: Session
    text: Annotated[str, Meta(min_length=1, max_length=20_000)]


class CreateCheckpoint(Request):
    """Arguments of `create_checkpoint`."""

    session: Session
    label: Name = ""


class Branch(Request):
    """Arguments of `branch`."""

    session: Session
    at: Place | None = None
    title: Name | None = None


class Restore(Request):
    """Arguments of `restore`."""

    session: Session
    at: Place
