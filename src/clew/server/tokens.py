"""Which tokens are valid now: asked of the table, remembered for less than a second.

So a revocation, made by this process or another, holds within a second: for the next request
because what is remembered runs out, and for what is open because the table is asked again and
whoever uses a token that ended is told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clew import access
from clew.access import Access
from clew.errors import ClewError
from clew.server import logs

if TYPE_CHECKING:
    from clew.ledger import Ledger

FRESH_S = 0.4
"""What was found out about a token holds so long; open connections are looked at as often."""
KNOWN_MAX = 10_000


class Tokens:
    """The valid tokens among those that were shown lately."""

    def __init__(self, ledger: Ledger, fresh_s: float = FRESH_S) -> None:
        self._ledger = ledger
        self._fresh_s = fresh_s
        self._known: dict[bytes, tuple[float, Access]] = {}
        self._asking: dict[bytes, asyncio.Task[Access]] = {}
        # Threads of our own: a long export must not keep a revocation waiting.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="clew-token")

    def known(self, digest: bytes) -> bool:
        """Whether the token with this digest was valid when it was last asked for."""
        return digest in self._known

    async def check(self, text: str, digest: bytes) -> Access:
        """See `access.check`. Requests that come at once with one token ask once."""
        known = self._known.get(digest)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.create_task(self._ask(text, digest))
            self._asking[digest] = asking
            asking.add_done_callback(lambda task: self._answered(digest, task))
        return await asyncio.shield(asking)

    async def _ask(self, text: str, digest: bytes) -> Access:
        asked_at = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, access.check, self._ledger, text)
        except ClewError:
            self._known.pop(digest, None)
            raise
        self._known.pop(digest, None)
        self._known[digest] = (asked_at + self._fresh_s, found)
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return found

    def _answered(self, digest: bytes, task: asyncio.Task[Access]) -> None:
        del self._asking[digest]
        if not task.cancelled():
            task.exception()  # whoever asked may be gone

    async def ended(self, ids: list[str]) -> dict[str, str]:
        """See `access.ended`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, access.ended, self._ledger, ids)

    async def note_refused(self, address: str, attempts: int) -> None:
        """See `access.note_refused`. A failure is logged: the caller is refused all the same."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(
                self._threads, access.note_refused, self._ledger, address, attempts
            )
        except ClewError as error:
            logs.fact(logging.WARNING, "refusal not on record", error=type(error).__name__)

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown(wait=False)


class Watch:
    """Something open in a token's name. `why` is set before `tell` is called."""

    def __init__(self, tell: Callable[[], object]) -> None:
        self.why: str | None = None
        self._tell = tell

    def end(self, why: str) -> None:
        """Tell that the token is `revoked` or `expired`; once."""
        if self.why is None:
            self.why = why
            self._tell()


class Watches:
    """What is open, by token; whoever stands here is told when the token ends."""

    def __init__(self, tokens: Tokens, every_s: float = FRESH_S) -> None:
        self._tokens = tokens
        self._every_s = every_s
        self._open: dict[str, set[Watch]] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def watch(self, token: str, tell: Callable[[], object]) -> Iterator[Watch]:
        """Have `tell` called in the event loop, once, when the token with this id ends."""
        watch = Watch(tell)
        self._open.setdefault(token, set()).add(watch)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield watch
        finally:
            self._open[token].discard(watch)
            if not self._open[token]:
                del self._open[token]

    async def _look(self) -> None:
        """Ask the table while anything is open."""
        try:
            while self._open:
                await asyncio.sleep(self._every_s)
                try:
                    over = await self._tokens.ended(list(self._open))
                except ClewError as error:
                    # The database is away; it will say when it is back.
                    logs.fact(logging.WARNING, "tokens not checked", error=type(error).__name__)
                    continue
                for token, why in over.items():
                    for watch in list(self._open.get(token, ())):
                        watch.end(why)
        finally:
            self._looking = None

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
