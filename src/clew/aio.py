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
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from clew import ledger as sync
from clew.compaction import KEEP_TOKENS, Summarize, checked_reason
from clew.db import Tx
from clew.errors import Invalid
from clew.model import Checkpoint, Entry, Message, Move, Position, Reason, Results, SessionInfo
from clew.session import ANY, At, RawMessage, Session, _Any
from clew.view import View

T = TypeVar("T")
P = ParamSpec("P")


async def open(url: str | None = None, **options: Any) -> AsyncLedger:
    """Open a ledger; the options are those of `clew.open`."""
    return AsyncLedger(await asyncio.to_thread(sync.open, url, **options))


class AsyncLedger:
    """A ledger whose verbs are awaited. `sync` is the ledger underneath."""

    def __init__(self, ledger: sync.Ledger) -> None:
        self.sync = ledger

    async def call(
        self,
        verb: Callable[Concatenate[sync.Ledger, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Any verb of `clew.Ledger` in a thread: `await ledger.call(clew.Ledger.verify)`."""
        return await asyncio.to_thread(verb, self.sync, *args, **kwargs)

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

    async def sessions(self, **filters: Any) -> list[SessionInfo]:
        """See `Ledger.sessions`."""
        return await asyncio.to_thread(self.sync.sessions, **filters)

    async def search(self, query: str, **filters: Any) -> Results:
        """See `Ledger.search`."""
        return await asyncio.to_thread(self.sync.search, query, **filters)

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


class _Deferred(Session):
    """A session whose writing verbs give an awaitable of their result: the unit is queued
    instead of run.
    """

    def _write(self, unit: Callable[[Tx], T]) -> T:
        self._check_open()
        return cast("T", self._ledger._arun(unit, self._key))


class AsyncSession:
    """A session whose verbs are awaited. `sync` is the handle underneath."""

    def __init__(self, session: Session) -> None:
        self.sync = session
        self._deferred = _Deferred(session._ledger, session._key, session._project, session.id)
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
        expected_head: At | _Any = ANY,
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
        expected_head: At | _Any = ANY,
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

    async def branch(self, at: At | _Any = ANY, **options: Any) -> AsyncSession:
        """See `Session.branch`."""
        return AsyncSession(await self._later(self._queue().branch(at, **options)))

    async def clear(self) -> Move:
        """See `Session.clear`."""
        return await asyncio.to_thread(self.sync.clear)

    async def reset(self, *, keep_config: bool = True) -> Move:
        """See `Session.reset`."""
        return await asyncio.to_thread(self.sync.reset, keep_config=keep_config)

    async def replace_history(self, messages: Iterable[Mapping[str, Any]]) -> Move:
        """See `Session.replace_history`."""
        return await asyncio.to_thread(self.sync.replace_history, messages)

    async def transfer_to(self, *, frontend: str, user: str, **options: Any) -> AsyncSession:
        """See `Session.transfer_to`."""
        found = await self._later(
            self._queue().transfer_to(frontend=frontend, user=user, **options)
        )
        return self if found is self._deferred else AsyncSession(found)

    async def repair(self) -> Entry | None:
        """See `Session.repair`."""
        return await asyncio.to_thread(self.sync.repair)

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

    async def history(self) -> list[Message]:
        """See `Session.history`."""
        return await asyncio.to_thread(self.sync.history)

    async def tail(self, count: int) -> list[Message]:
        """See `Session.tail`."""
        return await asyncio.to_thread(self.sync.tail, count)

    async def view(self, provider: str = "anthropic", *, max_tokens: int | None = None) -> View:
        """See `Session.view`."""
        return await asyncio.to_thread(self.sync.view, provider, max_tokens=max_tokens)

    async def checkpoints(self) -> list[Checkpoint]:
        """See `Session.checkpoints`."""
        return await asyncio.to_thread(self.sync.checkpoints)

    def close(self) -> None:
        """See `Session.close`."""
        self.sync.close()
