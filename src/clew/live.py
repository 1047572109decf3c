"""Following sessions: a wake-up says that something happened, the tables say what.

A follower holds a cursor per session and pulls: nothing is buffered for a reader that does not
read, and nothing that the tables hold can be missed or told twice. What is new is read once per
session and kept encoded for a while, so that a hundred followers cost one read. Wake-ups come
from this process's own commits and, through the database, from everybody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from clew import events, frames
from clew.errors import ClewError
from clew.frames import AnyFrame
from clew.log import look_head

if TYPE_CHECKING:
    from clew.ledger import Ledger

KEPT_FRAMES = 512
"""Frames of a session that are kept for those who follow closely."""
KEPT_BYTES = 4 * 1024 * 1024
PAGE = 256
"""Frames that one read of the tables gives at most."""
LOOK_SECONDS = 1.0
"""How often followed sessions are looked at whether or not a wake-up came."""


class Told(msgspec.Struct, frozen=True):
    """A frame as it is sent."""

    sequence: int
    type: str
    data: bytes


class _Feed:
    """What is newest in one session, read once for all who follow it closely."""

    def __init__(self, live: Live, key: int, sequence: int) -> None:
        self._live, self._key = live, key
        self._lock = threading.Lock()
        self._kept: deque[Told] = deque()
        self._bytes = 0
        self._top = sequence

    def advance(self) -> None:
        """Read what is new."""
        while True:
            with self._lock:
                found = self._live.read(self._key, self._top, PAGE)
                for told in found:
                    self._kept.append(told)
                    self._bytes += len(told.data)
                    self._top = told.sequence
                while len(self._kept) > KEPT_FRAMES or self._bytes > KEPT_BYTES:
                    self._bytes -= len(self._kept.popleft().data)
            if len(found) < PAGE:
                return

    def after(self, sequence: int) -> list[Told] | None:
        """What is kept behind a sequence; `None` when it does not reach back so far."""
        with self._lock:
            if sequence >= self._top:
                return []
            if not self._kept or sequence < self._kept[0].sequence - 1:
                return None
            return [told for told in self._kept if told.sequence > sequence]

    def forget(self) -> None:
        """Keep nothing of what was read: some of it was erased."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0


class Follower:
    """One reader's place in the sessions that it follows. `pull` is for one thread at a time.

    `ready` is called, from any thread, when there may be something to pull.
    """

    def __init__(
        self,
        live: Live,
        ledger: Ledger,
        cursors: dict[int, int],
        *,
        everything: bool,
        types: Callable[[str], bool],
    ) -> None:
        self._live, self._ledger = live, ledger
        self._cursors, self._everything, self._types = cursors, everything, types
        self._lock = threading.Lock()
        self._dirty: set[int] = set()
        self._far: dict[int, bool] = {}
        """Sessions that are read from the tables, and whether the reader has to be told so."""
        self.ready: Callable[[], None] = _nobody

    def start(self, ready: Callable[[], None]) -> None:
        """Begin; `ready` is called at once for what is there already."""
        self.ready = ready
        with self._lock:
            self._far = dict.fromkeys(self._cursors, False)
            self._dirty = set(self._cursors)
        ready()

    def touch(self, keys: Iterable[int]) -> None:
        """Something may have happened in these sessions."""
        wanted = [key for key in keys if self._everything or key in self._cursors]
        if wanted:
            with self._lock:
                self._dirty.update(wanted)
            self.ready()

    @property
    def waiting(self) -> bool:
        """True when there is something to pull."""
        return bool(self._dirty)

    @property
    def blocking(self) -> bool:
        """True when the next pull reads the tables: not for an event loop's own thread."""
        with self._lock:
            return any(key in self._far or key not in self._cursors for key in self._dirty)

    def pull(self) -> list[bytes]:
        """What is new, as frames in JSON, a page of each session at most."""
        with self._lock:
            keys = sorted(self._dirty)
            self._dirty.clear()
        return [data for key in keys for data in self._pull_one(key)]

    def _pull_one(self, key: int) -> Iterator[bytes]:
        if key not in self._cursors:
            if not self._live.belongs(self._ledger, key):
                return
            self._cursors[key], self._far[key] = 0, False
        if key not in self._far:
            told = self._live.newest(key, self._cursors[key])
            if told is not None:
                yield from self._pass_on(key, told)
                return
            self._far[key] = True
            yield self._behind(key)
        told = self._live.read(key, self._cursors[key], PAGE)
        yield from self._pass_on(key, told)
        if len(told) < PAGE and self._live.draw_near(key, self._cursors[key]):
            del self._far[key]
            yield frames.encode(
                frames.CaughtUp(session=self._live.name(key), sequence=self._cursors[key])
            )
        else:
            with self._lock:
                self._dirty.add(key)

    def _pass_on(self, key: int, told: Sequence[Told]) -> Iterator[bytes]:
        yield from (one.data for one in told if self._types(one.type))
        if told:
            self._cursors[key] = told[-1].sequence

    def _behind(self, key: int) -> bytes:
        after, top = self._cursors[key], self._live.sequence(key)
        name = self._live.name(key)
        return frames.encode(frames.Behind(session=name, after=after, sequence=top))

    def close(self) -> None:
        """Follow no more. Idempotent."""
        self._live.leave(self)


def _nobody() -> None:
    """The `ready` of a follower that has not begun."""


class Live:
    """All who follow a ledger from this process, and the thread that wakes them."""

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger._database
        self._lock = threading.Lock()
        self._feeds: dict[int, _Feed] = {}
        self._followers: set[Follower] = set()
        self._names: dict[int, str] = {}
        self._dirty: set[int] = set()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._unwatch: Callable[[], None] = _nobody

    # --- who follows ---

    def follow(
        self,
        ledger: Ledger,
        after: Mapping[str, int] | None,
        types: Callable[[str], bool],
    ) -> tuple[Follower, dict[str, int]]:
        """A follower of the sessions in `after` (by id, each with the sequence it has), or of
        all that the handle sees, from now on; and from where each is followed.

        Raises `NotFound`; `Invalid` for a sequence that a session has not reached.
        """
        with ledger._database.read() as tx:
            if after is None:
                rows = tx.all("head_sequences", project=ledger._scope)
                cursors = {key: sequence for key, _id, sequence in rows}
                stands = {id: sequence for _key, id, sequence in rows}
            else:
                keys = {id: ledger.get(id)._key for id in after}
                cursors = {key: after[id] for id, key in keys.items()}
                stands = {}
                for id, key in keys.items():
                    head = look_head(tx, key)
                    events.check_reached(head, after[id])
                    stands[head.id] = after[id]
        follower = Follower(self, ledger, cursors, everything=after is None, types=types)
        with self._lock:
            self._followers.add(follower)
        self._begin()
        return follower, stands

    def leave(self, follower: Follower) -> None:
        """Somebody follows no more."""
        with self._lock:
            self._followers.discard(follower)
            if not self._followers:
                self._feeds.clear()

    # --- waking ---

    def wrote(self, key: int) -> None:
        """A unit that touched this session was committed here."""
        if self._followers:
            self._dirty.add(key)
            if not self._wake.is_set():
                self._wake.set()

    def _woken(self, keys: Iterable[int] | None) -> None:
        """Somebody wrote to these sessions (`None`: to some)."""
        self._dirty.update(self._followed() if keys is None else keys)
        self._wake.set()

    def _followed(self) -> set[int]:
        with self._lock:
            return {key for follower in self._followers for key in list(follower._cursors)}

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing:
                self._unwatch = self._database.watch(self._woken)
                self._thread = threading.Thread(target=self._loop, name="clew-live", daemon=True)
                self._thread.start()

    def _loop(self) -> None:
        while True:
            woken = self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            if self._closing:
                return
            keys = set(self._dirty) if woken else self._followed()
            self._dirty -= keys
            keys.discard(0)
            try:
                self._tell(keys)
            except ClewError:
                # The database does not answer: what it holds is told when it does again.
                self._dirty |= keys
                time.sleep(LOOK_SECONDS)

    def _tell(self, keys: set[int]) -> None:
        with self._lock:
            feeds = [self._feeds[key] for key in keys if key in self._feeds]
            followers = list(self._followers)
        for feed in feeds:
            feed.advance()
        for follower in followers:
            follower.touch(keys)

    def forget(self, keys: Iterable[int]) -> None:
        """What was read of these sessions may have been erased."""
        with self._lock:
            for key in keys:
                if key in self._feeds:
                    self._feeds[key].forget()

    def close(self) -> None:
        """Wake nobody any more."""
        self._closing = True
        self._wake.set()
        self._unwatch()
        if self._thread is not None:
            self._thread.join()
        for follower in list(self._followers):
            follower.ready()

    @property
    def closed(self) -> bool:
        """True when nothing more will come."""
        return self._closing

    # --- reading ---

    def newest(self, key: int, after: int) -> list[Told] | None:
        """What is kept behind a sequence; `None` when it has to be read from the tables."""
        feed = self._feeds.get(key)
        return None if feed is None else feed.after(after)

    def draw_near(self, key: int, sequence: int) -> bool:
        """Follow closely from here on, if nothing has happened behind it meanwhile."""
        with self._lock:
            feed = self._feeds.get(key)
            if feed is None:
                feed = self._feeds[key] = _Feed(self, key, sequence)
        feed.advance()
        return feed.after(sequence) is not None

    def read(self, key: int, after: int, limit: int) -> list[Told]:
        """Up to `limit` frames of a session behind a sequence, from the tables."""
        with self._database.read() as tx:
            head = look_head(tx, key)
            found = frames.of(tx, head, events.since(tx, head, after, limit))
        return [Told(frame.sequence, _type(frame), frames.encode(frame)) for frame in found]

    def sequence(self, key: int) -> int:
        """Where a session stands."""
        with self._database.read() as tx:
            return look_head(tx, key).sequence

    def name(self, key: int) -> str:
        """A session's id."""
        if key not in self._names:
            with self._database.read() as tx:
                self._names[key] = look_head(tx, key).id
        return self._names[key]

    def belongs(self, ledger: Ledger, key: int) -> bool:
        """True when a handle sees this session."""
        if ledger._scope is None:
            return True
        with self._database.read() as tx:
            return look_head(tx, key).project == ledger._scope


def _type(frame: AnyFrame) -> str:
    return str(frame.__struct_config__.tag)


def everything(_type: str) -> bool:
    """Frames of all types."""
    return True


class _Idle:
    """How long a reader still waits: the clock begins anew with each frame."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self.heard()

    def heard(self) -> None:
        """A frame came."""
        self._until = None if self._seconds is None else time.monotonic() + self._seconds

    @property
    def left(self) -> float | None:
        """Seconds, not below 0; `None`: for ever."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())


async def astream(
    ledger: Ledger, after: Mapping[str, int] | None, idle: float | None
) -> AsyncGenerator[AnyFrame]:
    """The same under `async for`: what reads the tables does so in a thread."""
    loop, ready, patience = asyncio.get_running_loop(), asyncio.Event(), _Idle(idle)
    live = ledger._live()
    follower, _ = await asyncio.to_thread(live.follow, ledger, after, everything)
    follower.start(lambda: _wake(loop, ready))
    try:
        while not live.closed:
            await asyncio.wait_for(ready.wait(), patience.left)
            ready.clear()
            while follower.waiting:
                blocking = follower.blocking
                found = await asyncio.to_thread(follower.pull) if blocking else follower.pull()
                for frame in _frames(found):
                    patience.heard()
                    yield frame
    except TimeoutError:
        return
    finally:
        follower.close()


def _wake(loop: asyncio.AbstractEventLoop, ready: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed: nobody reads any more
        loop.call_soon_threadsafe(ready.set)


def follow(
    ledger: Ledger, after: Mapping[str, int] | None, idle: float | None
) -> Iterator[AnyFrame]:
    """See `Ledger.follow`."""
    live, ready, patience = ledger._live(), threading.Event(), _Idle(idle)
    follower, _ = live.follow(ledger, after, everything)
    follower.start(ready.set)
    try:
        while ready.wait(patience.left) and not live.closed:
            ready.clear()
            while follower.waiting:
                for frame in _frames(follower.pull()):
                    patience.heard()
                    yield frame
    finally:
        follower.close()


def _frames(found: Iterable[bytes]) -> Iterator[AnyFrame]:
    for frame in map(frames.decode, found):
        if not isinstance(frame, frames.TALK):
            yield frame
