"""The same verbs under `await`.

Not a second implementation: a verb that writes builds the same unit as its synchronous twin
and queues it for the writer thread, where many tasks share one commit (and one fsync); a verb
that reads runs in a thread. A cancelled task waits until the outcome of its write is known.

    async with await clew.aio.open("sqlite:///agent.db") as ledger:
        session = await ledger.session(frontend="cli", user="42")
        await session.append({"role": "user", "content": "hello"})
"""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from clew import ledger as sync
from clew import opening
from clew.compaction import KEEP_TOKENS, Summarize, checked_reason
from clew.errors import Invalid
from clew.model import JSON, Checkpoint, Entry, Move, Position, Reason, SessionInfo
from clew.moves import ANY, Anywhere
from clew.session import At, RawMessage, Session
from clew.tracing import Turn

if TYPE_CHECKING:
    from clew.frames import AnyFrame

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


def _in_thread(
    verb: Callable[Concatenate[sync.Ledger, P], T],
) -> Callable[Concatenate[AsyncLedger, P], Coroutine[Any, Any, T]]:
    """A verb of `clew.Ledger`, run in a thread. The ledger is asked by name: it may be one
    behind a server.
    """
    name = verb.__name__

    @functools.wraps(verb)
    async def run(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(getattr(self.sync, name), *args, **kwargs)

    return run


def _of_session(
    verb: Callable[Concatenate[Session, P], T],
) -> Callable[Concatenate[AsyncSession, P], Coroutine[Any, Any, T]]:
    """A verb of `clew.Session`, run in a thread."""
    name = verb.__name__

    @functools.wraps(verb)
    async def run(self: AsyncSession, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(getattr(self.sync, name), *args, **kwargs)

    return run


def _queued(
    verb: Callable[Concatenate[Session, P], T],
) -> Callable[Concatenate[AsyncSession, P], Coroutine[Any, Any, T]]:
    """A writing verb of `clew.Session`, whose unit is queued."""
    name = verb.__name__

    @functools.wraps(verb)
    async def run(self: AsyncSession, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._later(getattr(self._queue(), name)(*args, **kwargs))

    return run


async def open(url: str | None = None, **options: Any) -> AsyncLedger:
    """Open a ledger; the options are those of `clew.open`."""
    return AsyncLedger(await asyncio.to_thread(opening.open, url, **options))


class AsyncLedger:
    """A ledger whose verbs are awaited. `sync` is the ledger underneath."""

    def __init__(self, ledger: sync.Ledger) -> None:
        self.sync = ledger

    async def session(self, *, frontend: str, user: str, **options: Any) -> AsyncSession:
        """See `Ledger.session`."""
        found = await asyncio.to_thread(self.sync.session, frontend=frontend, user=user, **options)
        return AsyncSession(found)

    async def create(self, **options: Any) -> AsyncSession:
        """See `Ledger.create`."""
        return AsyncSession(await asyncio.to_thread(self.sync.create, **options))

    async def get(self, id: str) -> AsyncSession:
        """See `Ledger.get`."""
        return AsyncSession(await asyncio.to_thread(self.sync.get, id))

    sessions = _in_thread(sync.Ledger.sessions)
    projects = _in_thread(sync.Ledger.projects)
    search = _in_thread(sync.Ledger.search)
    reindex = _in_thread(sync.Ledger.reindex)
    index_now = _in_thread(sync.Ledger.index_now)
    import_from = _in_thread(sync.Ledger.import_from)
    source_bytes = _in_thread(sync.Ledger.source_bytes)
    restore_file = _in_thread(sync.Ledger.restore_file)
    handoff = _in_thread(sync.Ledger.handoff)
    trajectory = _in_thread(sync.Ledger.trajectory)
    export = _in_thread(sync.Ledger.export)
    export_count = _in_thread(sync.Ledger.export_count)
    audit = _in_thread(sync.Ledger.audit)
    verify = _in_thread(sync.Ledger.verify)
    stats = _in_thread(sync.Ledger.stats)
    usage = _in_thread(sync.Ledger.usage)
    erase = _in_thread(sync.Ledger.erase)
    backup = _in_thread(sync.Ledger.backup)
    gc = _in_thread(sync.Ledger.gc)
    retain = _in_thread(sync.Ledger.retain)
    pin = _in_thread(sync.Ledger.pin)
    archive = _in_thread(sync.Ledger.archive)
    sweep = _in_thread(sync.Ledger.sweep)
    create_token = _in_thread(sync.Ledger.create_token)
    tokens = _in_thread(sync.Ledger.tokens)
    revoke_token = _in_thread(sync.Ledger.revoke_token)
    sync_to_disk = _in_thread(sync.Ledger.sync)

    def confined(self, project: str | None = None, *, actor: str | None = None) -> AsyncLedger:
        """See `Ledger.confined`."""
        return AsyncLedger(self.sync.confined(project, actor=actor))

    async def follow(
        self, after: Mapping[str, int] | None = None, *, idle: float | None = None
    ) -> AsyncIterator[AnyFrame]:
        """See `Ledger.follow`: `async for frame in ledger.follow()`."""
        stream = self.sync._afollow(after, idle)
        try:
            async for frame in stream:
                yield frame
        finally:
            await stream.aclose()

    def evict(self, ids: Iterable[str]) -> int:
        """See `Ledger.evict`."""
        return self.sync.evict(ids)

    async def close(self) -> None:
        """See `Ledger.close`."""
        await asyncio.to_thread(self.sync.close)

    async def __aenter__(self) -> AsyncLedger:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncSession:
    """A session whose verbs are awaited. `sync` is the handle underneath."""

    def __init__(self, session: Session) -> None:
        self.sync = session
        self._deferred = copy.copy(session)
        self._deferred._awaited = True
        self.id = session.id

    async def _later(self, result: T) -> T:
        return await cast("Awaitable[T]", result)

    def _queue(self) -> Session:
        self.sync._check_open()
        self._deferred._lease = self.sync._lease
        return self._deferred

    # --- writing ---

    async def append(
        self,
        message: RawMessage,
        *,
        format: str | None = None,
        time_ms: int | None = None,
        expected_head: At | Anywhere = ANY,
        idempotency_key: str | None = None,
    ) -> Entry:
        """See `Session.append`."""
        return await self._later(
            self._queue().append(
                message,
                format=format,
                time_ms=time_ms,
                expected_head=expected_head,
                idempotency_key=idempotency_key,
            )
        )

    async def extend(
        self,
        messages: Iterable[RawMessage],
        *,
        format: str | None = None,
        expected_head: At | Anywhere = ANY,
        idempotency_key: str | None = None,
    ) -> list[Entry]:
        """See `Session.extend`."""
        return await self._later(
            self._queue().extend(
                messages,
                format=format,
                expected_head=expected_head,
                idempotency_key=idempotency_key,
            )
        )

    async def checkpoint(self, label: str = "") -> Checkpoint:
        """See `Session.checkpoint`."""
        return await self._later(self._queue().checkpoint(label))

    async def restore(self, at: At) -> Move:
        """See `Session.restore`."""
        return await self._later(self._queue().restore(at))

    async def undo(self) -> Move:
        """See `Session.undo`."""
        return await self._later(self._queue().undo())

    async def branch(self, at: At | Anywhere = ANY, **options: Any) -> AsyncSession:
        """See `Session.branch`."""
        return AsyncSession(await self._later(self._queue().branch(at, **options)))

    clear = _of_session(Session.clear)

    reset = _of_session(Session.reset)

    replace_history = _of_session(Session.replace_history)

    async def transfer_to(self, *, frontend: str, user: str, **options: Any) -> AsyncSession:
        """See `Session.transfer_to`."""
        found = await self._later(
            self._queue().transfer_to(frontend=frontend, user=user, **options)
        )
        return self if found is self._deferred else AsyncSession(found)

    repair = _of_session(Session.repair)

    async def set_config(self, key: str, value: Any) -> None:
        """`session.config[key] = value`."""
        await asyncio.to_thread(self.sync.config.__setitem__, key, value)

    async def compact(
        self,
        *,
        summary: str | None = None,
        summarize: Summarize | Callable[..., Awaitable[str]] | None = None,
        keep_from: At = None,
        keep_tokens: int = KEEP_TOKENS,
        reason: Reason | str = Reason.MANUAL,
        model: str | None = None,
    ) -> Checkpoint:
        """See `Session.compact`; `summarize` may be a coroutine function."""
        why = checked_reason(reason)
        if (summary is None) == (summarize is None):
            raise Invalid("give either summary= or summarize=")
        planned, base = await asyncio.to_thread(self.sync._plan, keep_from, keep_tokens)
        text: Any = summary
        if summarize is not None:
            text = summarize(planned.covered)
            if isinstance(text, Awaitable):
                text = await text
        unit = self.sync._compact_unit(planned, base, text, why, model)
        return await self._later(self._queue()._write(unit))

    # --- reading ---

    async def head(self) -> Position | None:
        """See `Session.head`."""
        return await asyncio.to_thread(lambda: self.sync.head)

    async def sequence(self) -> int:
        """See `Session.sequence`."""
        return await asyncio.to_thread(lambda: self.sync.sequence)

    async def info(self) -> SessionInfo:
        """See `Session.info`."""
        return await asyncio.to_thread(lambda: self.sync.info)

    async def config(self) -> dict[str, JSON]:
        """The settings in force; change them with `set_config`."""
        return await asyncio.to_thread(lambda: dict(self.sync.config))

    history = _of_session(Session.history)
    tail = _of_session(Session.tail)
    entries = _of_session(Session.entries)
    entry = _of_session(Session.entry)
    view = _of_session(Session.view)
    context = _of_session(Session.context)
    checkpoints = _of_session(Session.checkpoints)
    get_checkpoint = _of_session(Session.get_checkpoint)
    moves = _of_session(Session.moves)
    diff = _of_session(Session.diff)
    label = _of_session(Session.label)
    lease = _of_session(Session.lease)

    # --- what runs ---

    start_span = _queued(Session.start_span)
    update_span = _queued(Session.update_span)
    record_spans = _queued(Session.record_spans)
    span = _of_session(Session.span)
    spans = _of_session(Session.spans)
    snapshot = _queued(Session.snapshot)
    load_snapshot = _of_session(Session.load_snapshot)
    delete_snapshot = _queued(Session.delete_snapshot)
    snapshots = _of_session(Session.snapshots)
    resume = _of_session(Session.resume)

    def turn(self, prompt: RawMessage | None = None, **facts: Any) -> Turn:
        """See `Session.turn`: `async with session.turn(prompt) as turn`."""
        return self.sync.turn(prompt, **facts)

    def traced(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """See `Session.traced`."""
        return (
            self.sync.traced(**options)
            if function is None
            else self.sync.traced(function, **options)
        )

    def close(self) -> None:
        """See `Session.close`."""
        self.sync.close()
