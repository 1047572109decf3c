"""One conversation behind a server: the verbs of `clew.Session`, a request each.

A unit, which on a local ledger runs inside a transaction, is here the request that has the
server run it. So whatever builds on units (the asyncio face, turns and traced tools) works on
both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from clew import canonical, compaction, drafts, names, snapshots, spans, view, wire
from clew.checkpoints import Diff
from clew.db import Tx
from clew.errors import Invalid, NotFound
from clew.log import Draft
from clew.model import (
    JSON,
    Checkpoint,
    Entry,
    Message,
    Move,
    OpenCall,
    Position,
    Reason,
    Resumption,
    SessionInfo,
    Snapshot,
    Span,
)
from clew.moves import ANY, Anywhere
from clew.names import bounded
from clew.remote.address import segment
from clew.remote.client import PAGED_MAX, Client, cursor
from clew.remote.config import RemoteConfig, exact
from clew.remote.leases import RemoteLease
from clew.session import At, RawMessage, Session
from clew.spans import SpanDraft

if TYPE_CHECKING:
    from clew.remote.ledger import RemoteLedger

T = TypeVar("T")
Unit = Callable[[Tx], T]

TAIL_MAX = wire.LIMIT_MAX
_MICROSECONDS = {column: name for name, column in spans.MILLISECONDS.items()}
_FLAGS = frozenset({"fallback", "waiting"})


class _Resumed(msgspec.Struct):
    """`wire.Resumed`, with the records of the model."""

    interrupted: tuple[Span, ...]
    calls: tuple[OpenCall, ...]
    repair: wire.Entry | None
    late: tuple[Span, ...]


class _Recorded(msgspec.Struct):
    spans: list[Span]


class RemoteSession(Session):
    """A handle on one session of a server's ledger; see `clew.Session`."""

    _ledger: RemoteLedger

    def __init__(self, ledger: RemoteLedger, id: str) -> None:
        super().__init__(ledger, 0, 0, id)
        self._client: Client = ledger._client
        self._path = f"/sessions/{segment(id, 'a session called')}"

    # --- reading ---

    @property
    def head(self) -> Position | None:
        """Where the session stands; `None` at its root."""
        return self._get("/head", wire.Head).head

    @property
    def sequence(self) -> int:
        """The newest place in the session's one order of entries and events."""
        return self._get("/head", wire.Head).sequence

    @property
    def info(self) -> SessionInfo:
        """The session as it is listed, with its config."""
        return self._get("", SessionInfo)

    @property
    def config(self) -> RemoteConfig:
        """The session's settings: a mapping whose changes are recorded."""
        return RemoteConfig(self)

    def history(self) -> list[Message]:
        """See `Session.history`."""
        return self._pages("/history", Message)

    def tail(self, count: int) -> list[Message]:
        """See `Session.tail`."""
        count = bounded(count, "count")
        if count > TAIL_MAX:
            return self.history()[-count:]
        return self._get("/tail", wire.Messages, {"count": count}).messages

    def entries(self, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        """See `Session.entries`."""
        found = self._pages("/entries", wire.Entry, {"after": max(after, 0)}, limit=limit)
        return list(map(wire.from_entry, found))

    def entry(self, at: Position | int) -> Entry:
        """See `Session.entry`."""
        return wire.from_entry(self._get(f"/entries/{segment(str(at), 'an entry')}", wire.Entry))

    def view(self, provider: str = "anthropic", *, max_tokens: int | None = None) -> view.View:
        """See `Session.view`."""
        return self._get("/view", view.View, {"provider": provider, "max_tokens": max_tokens})

    def context(self) -> list[Message]:
        """See `Session.context`."""
        return self._get("/context", wire.Messages).messages

    def checkpoints(self, *, limit: int = 1000, after: str | None = None) -> list[Checkpoint]:
        """See `Session.checkpoints`."""
        start = None if after is None else cursor(after)
        return self._pages("/checkpoints", Checkpoint, limit=bounded(limit), start=start)

    def get_checkpoint(self, id: str) -> Checkpoint:
        """See `Session.get_checkpoint`."""
        if id in ("", ".", ".."):
            raise NotFound(
                f"session {self.id} has no checkpoint {id!r}: list them with checkpoints()"
            )
        return self._get(f"/checkpoints/{segment(id, 'a checkpoint')}", Checkpoint)

    def moves(self, *, limit: int = 1000, before: int | None = None) -> list[Move]:
        """See `Session.moves`."""
        start = None if before is None else cursor(before)
        return self._pages("/moves", Move, limit=bounded(limit), start=start)

    def diff(self, a: At, b: At) -> Diff:
        """See `Session.diff`."""
        return self._get("/diff", Diff, {"a": place(a) or "root", "b": place(b) or "root"})

    # --- writing ---

    def append(
        self,
        message: RawMessage,
        *,
        format: str | None = None,
        time_ms: int | None = None,
        expected_head: At | Anywhere = ANY,
        idempotency_key: str | None = None,
    ) -> Entry:
        """See `Session.append`. Safe when the connection breaks: it is never added twice."""
        if time_ms is not None:
            drafts._checked_time(time_ms)
        unit = self._add_unit([message], format, expected_head, idempotency_key, time_ms)
        return self._write(self._one(unit))

    def extend(
        self,
        messages: Iterable[RawMessage],
        *,
        format: str | None = None,
        expected_head: At | Anywhere = ANY,
        idempotency_key: str | None = None,
    ) -> list[Entry]:
        """See `Session.extend`; so safe as `append`. At most 10,000 messages at once."""
        return self._write(self._add_unit(messages, format, expected_head, idempotency_key))

    def checkpoint(self, label: str = "") -> Checkpoint:
        """See `Session.checkpoint`."""
        names.checked(label, "a checkpoint's label")
        body = wire.CheckpointRequest(label=label)
        return self._write(self._unit("POST", "/checkpoints", Checkpoint, body))

    def restore(self, at: At) -> Move:
        """See `Session.restore`."""
        return self._write(self._unit("POST", "/restore", Move, wire.At(at=place(at))))

    def undo(self) -> Move:
        """See `Session.undo`."""
        return self._write(self._unit("POST", "/undo", Move))

    def branch(
        self,
        at: At | Anywhere = ANY,
        *,
        title: str | None = None,
        frontend: str | None = None,
        user: str | None = None,
    ) -> Session:
        """See `Session.branch`."""
        body = wire.Branch(at=_place_or_unset(at), title=title, frontend=frontend, user=user)
        ask = self._unit("POST", "/branch", SessionInfo, body)
        return self._write(lambda tx: self._ledger._opened(ask(tx).id))

    def label(self, title: str) -> Entry:
        """See `Session.label`."""
        names.checked(title, "title")
        ask = self._unit("PUT", "/title", wire.Entry, wire.Title(title=title))
        return self._write(lambda tx: wire.from_entry(ask(tx)))

    def repair(self) -> Entry | None:
        """See `Session.repair`."""
        ask = self._unit("POST", "/repair", wire.Repaired)
        return self._write(lambda tx: _entry_or_none(ask(tx).entry))

    def resume(self) -> Resumption:
        """See `Session.resume`."""
        found = self._write(self._unit("POST", "/resume", _Resumed))
        repair = _entry_or_none(found.repair)
        return Resumption(found.interrupted, found.calls, repair, found.late)

    def transfer_to(
        self,
        *,
        frontend: str,
        user: str,
        move: bool = False,
        config: Literal["source", "target"] = "source",
    ) -> Session:
        """See `Session.transfer_to`."""
        if config not in ("source", "target"):
            raise Invalid(f"config={config!r}: say whose settings hold, 'source' or 'target'")
        body = wire.Transfer(frontend=frontend, user=user, move=move, config=config)
        ask = self._unit("POST", "/transfer", SessionInfo, body)

        def unit(tx: Tx) -> Session:
            id = ask(tx).id
            return self if id == self.id else self._ledger._opened(id)

        return self._write(unit)

    def lease(self, holder: str, *, seconds: float = 60.0) -> RemoteLease:
        """See `Session.lease`."""
        self._check_open()
        held = RemoteLease(self, holder, seconds)
        self._lease = held
        return held

    # --- what runs ---

    def span(self, id: str) -> Span:
        """See `Session.span`."""
        return self._get(f"/traces/{segment(id, 'a span')}", Span)

    def spans(
        self,
        *,
        kind: str | None = None,
        tool: str | None = None,
        outcome: str | None = None,
        turn: int | None = None,
        chat: str | None = None,
        call_id: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Span]:
        """See `Session.spans`."""
        query = {
            "kind": kind,
            "tool": tool,
            "outcome": outcome,
            "turn": turn,
            "chat": chat,
            "call_id": call_id,
        }
        names.checked(chat, "chat")
        _whole(turn, "turn")
        _whole(after, "after")
        start = cursor(after) if after else None
        return self._pages("/traces", Span, query, limit=bounded(limit), start=start)

    def snapshot(self, state: JSON, *, expected_version: int | Anywhere | None = ANY) -> Snapshot:
        """See `Session.snapshot`."""
        snapshots.draft_of(state)
        body: dict[str, Any] = {"state": exact(state)}
        if not isinstance(expected_version, Anywhere):
            body["expected_version"] = expected_version
        return self._write(self._unit("PUT", "/snapshot", Snapshot, body))

    def load_snapshot(self) -> Snapshot | None:
        """See `Session.load_snapshot`."""
        return self._get("/snapshot", wire.SnapshotHeld).snapshot

    def delete_snapshot(self) -> bool:
        """See `Session.delete_snapshot`."""
        ask = self._unit("DELETE", "/snapshot", wire.Deleted)
        return self._write(lambda tx: ask(tx).deleted)

    def snapshots(self, *, limit: int = 100) -> list[Snapshot]:
        """See `Session.snapshots`."""
        return self._pages("/snapshots", Snapshot, limit=min(bounded(limit), PAGED_MAX))

    # --- inside ---

    def _get(self, path: str, kind: type[T], query: dict[str, Any] | None = None) -> T:
        self._check_open()
        return self._client.get(self._path + path, kind, query)

    def _pages(
        self,
        path: str,
        kind: type[T],
        query: dict[str, Any] | None = None,
        *,
        limit: int | None = None,
        start: str | None = None,
    ) -> list[T]:
        self._check_open()
        return self._client.pages(self._path + path, kind, query, limit=limit, cursor=start)

    def _unit(
        self, method: str, path: str, kind: type[T], body: Any = None, *, again: bool = False
    ) -> Unit[T]:
        """A request, with the lease that is held when it is sent."""
        lease = self._lease.token if self._lease else None
        return lambda _tx: self._client.send(
            method, self._path + path, kind, body, again=again, lease=lease
        )

    def _on_path(self) -> list[Entry]:
        return list(map(wire.from_entry, self._pages("/path", wire.Entry)))

    def _add_unit(
        self,
        messages: Iterable[RawMessage],
        format: str | None,
        expected: At | Anywhere,
        key: str | None,
        time_ms: int | None = None,
    ) -> Unit[list[Entry]]:
        names.checked(key, "idempotency_key", empty=False)
        body = wire.append(
            messages,
            format=format,
            time_ms=time_ms,
            expected_head=_place_or_unset(expected),
            # With a key of its own a lost answer can be asked for again.
            idempotency_key=key or canonical.new_id(),
        )
        if not (body.messages or body.messages_base64):
            return lambda _tx: []
        ask = self._unit("POST", "/entries", wire.Appended, body, again=True)

        def unit(tx: Tx) -> list[Entry]:
            added = ask(tx).entries
            return list(map(wire.from_entry, added, body.bodies()))

        return unit

    def _append_unit(
        self, drafts: Sequence[Draft], expected: At | Anywhere, key: str | None
    ) -> Unit[list[Entry]]:
        formats = {draft.format for draft in drafts}
        form = formats.pop() if len(formats) == 1 else None
        return self._add_unit([draft.body for draft in drafts], form, expected, key)

    def _plan(  # type: ignore[override]  # what stays is not sent, and nobody looks at it
        self, keep_from: At, keep_tokens: int
    ) -> tuple[wire.Planned, Position | None]:
        self._check_open()
        asked = wire.PlanRequest(keep_from=place(keep_from), keep_tokens=keep_tokens)
        found = self._client.send(
            "POST", f"{self._path}/compaction/plan", wire.Planned, asked, reads=True
        )
        return found, found.base

    def _compact_unit(  # type: ignore[override]
        self,
        planned: wire.Planned,
        base: Position | None,
        summary: object,
        reason: Reason,
        model: str | None,
    ) -> Unit[Checkpoint]:
        body = wire.Compact(
            summary=compaction.checked_summary(summary),
            keep_from=str(planned.first_kept),
            base=place(base),
            reason=reason,
            model=model,
        )
        return self._unit("POST", "/compaction", Checkpoint, body)

    def _start_over(
        self, action: str, drafts: Sequence[Draft], *, keep_config: bool
    ) -> tuple[Move, range]:
        body: Any = None
        if action == "reset":
            body = wire.Reset(keep_config=keep_config)
        elif action == "replace":
            sent = wire.append([draft.body for draft in drafts])
            body = wire.Replace(messages=sent.messages, messages_base64=sent.messages_base64)
        return self._write(self._unit("POST", f"/{action}", Move, body)), range(0)

    def _turn_of_head(self, tx: Tx) -> int | None:
        return None  # the server says it with the span

    def _insert_unit(self, drafts: Sequence[SpanDraft], owner: int | None) -> Unit[list[Span]]:
        if not drafts:
            return lambda _tx: []
        told = [
            {**_told(draft.values), "kind": draft.kind, "name": draft.name, "id": draft.id}
            for draft in drafts
        ]
        # An owner is known to the server by the id under which it signed on.
        runs = None if owner is None else self._ledger._runs.id
        body = {"spans": told, "owner": runs}
        ask = self._unit("POST", "/traces", _Recorded, body, again=True)
        return lambda tx: ask(tx).spans

    def _update_unit(self, id: str, changes: dict[str, Any]) -> Unit[Span]:
        told = _told(spans.checked(changes))
        path = f"/traces/{segment(id, 'a span')}"
        # Ending a span a second time in the same way is nothing.
        ask = self._unit("PATCH", path, Span, told, again="outcome" in told)

        def unit(tx: Tx) -> Span:
            span = ask(tx)
            if "outcome" in told:
                self._ledger._runs.ended(id)
            return span

        return unit


def place(at: At) -> str | None:
    """A place as the server takes it: `session:seq`, a checkpoint's id, `None` for the root.

    Raises `Invalid` for what names none.
    """
    if at is None or isinstance(at, str):
        return at
    if isinstance(at, Checkpoint):
        return at.id
    if isinstance(at, Entry):
        return str(at.position)
    found = (at.at[-1] if at.at else None) if isinstance(at, Message) else at
    if not isinstance(found, Position):
        raise Invalid(f"{at!r} names no place: give a checkpoint, an entry, or 'session:seq'")
    return str(found)


def _place_or_unset(at: At | Anywhere) -> str | UnsetType | None:
    return UNSET if isinstance(at, Anywhere) else place(at)


def _whole(number: int | None, what: str) -> None:
    if number is not None and (type(number) is not int or number < 0):
        raise Invalid(f"{what}={number!r}: give a whole number from 0 on")


def _entry_or_none(sent: wire.Entry | None) -> Entry | None:
    return None if sent is None else wire.from_entry(sent)


def _told(values: spans.Values) -> dict[str, Any]:
    """What a caller said about a span, by the names under which it was said."""
    told: dict[str, Any] = {}
    for column, value in values.items():
        if value is None:
            continue
        if column in _MICROSECONDS:
            told[_MICROSECONDS[column]] = value / 1000
        elif column in spans.BODIES:
            told[column] = _body(value)
        else:
            told[column] = bool(value) if column in _FLAGS else value
    return told


def _body(value: JSON) -> JSON:
    """A body as a request can hold it: half characters as the ledger would read them."""
    if isinstance(value, msgspec.Raw) and not wire.embeddable(bytes(value)):
        return canonical.parse(bytes(value))
    return value
