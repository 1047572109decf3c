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
from collections import OrderedDict, deque
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
KEPT_BYTES = 1024 * 1024
FEEDS_MAX = 128
"""Sessions of which frames are kept; the one that was quiet longest is given up first."""
PAGE = 256
"""Frames of a session that one read of the tables gives at most."""
PAGE_BYTES = 1024 * 1024
"""One pull gives little more than this."""
STEP = 16
"""Frames that are read before their size is looked at: a frame may have stood for 64 MiB."""
LOOK_SECONDS = 1.0
"""How often followed sessions are looked at whether or not a wake-up came."""
LOOKED_AT_MAX = 100
"""Above this all heads are asked for in one query instead of one by one."""


class Told(msgspec.Struct, frozen=True):
    """A frame as it is sent."""

    session: str
    sequence: int
    type: str
    data: bytes

    @property
    def talk(self) -> bool:
        """True for what is said beside the frames; see `frames.TALK`."""
        return self.type in frames.TALK_TYPES


class Page(msgspec.Struct, frozen=True):
    """Frames of a session as they stand in the tables."""

    told: list[Told]
    end: int
    """The sequence behind which to read on."""
    more: bool


class _Feed:
    """What is newest in one session, read once for all who follow it closely."""

    def __init__(self, live: Live, key: int, sequence: int) -> None:
        self._live, self._key = live, key
        self._reading = threading.Lock()
        self._lock = threading.Lock()
        self._kept: deque[Told] = deque()
        self._bytes = 0
        self.top = sequence

    def advance(self) -> int:
        """Read what is new; gives the newest sequence."""
        with self._reading:
            more = True
            while more:
                page = self._live.read(self._key, self.top)
                self._keep(page)
                more = page.more
        return self.top

    def _keep(self, page: Page) -> None:
        # An event loop waits for this lock, so nobody reads tables while holding it.
        with self._lock:
            self._kept.extend(page.told)
            self._bytes += sum(len(told.data) for told in page.told)
            self.top = page.end
            while len(self._kept) > KEPT_FRAMES or self._bytes > KEPT_BYTES:
                self._bytes -= len(self._kept.popleft().data)

    def after(self, sequence: int) -> list[Told] | None:
        """What is kept behind a sequence; `None` when it does not reach back so far."""
        with self._lock:
            if sequence >= self.top:
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
    """One reader's place in the sessions that it follows.

    `follow`, `drop` and `pull` are for one thread at a time. `ready` is called, from any
    thread, when there may be something to pull.
    """

    def __init__(self, live: Live, ledger: Ledger, types: Callable[[str], bool]) -> None:
        self._live, self._ledger, self._types = live, ledger, types
        self._cursors: dict[int, int] = {}
        self._everything = False
        self._foreign: set[int] = set()
        """Sessions that the handle does not see, and those that were dropped from all."""
        self._lock = threading.Lock()
        self._dirty: dict[int, None] = {}
        """Where there may be something new, who waits longest first."""
        self._far: dict[int, bool] = {}
        """Sessions that are read from the tables; true: the reader is told when that ends."""
        self.ready: Callable[[], None] = _nobody

    # --- what is followed ---

    def follow(
        self, after: Mapping[str, int] | None = None, *, everything: bool = False
    ) -> dict[str, int]:
        """Follow sessions too, each behind the sequence in `after` (by id); with `everything`
        all that the handle sees, those that `after` does not name from their beginning, or, if
        it is `None`, from now on. Gives from where each is followed. Reads the tables.

        Raises `NotFound`; `Invalid` for a sequence that a session has not reached.
        """
        cursors, stands, late = (
            self._all(after) if everything else self._named({} if after is None else after)
        )
        self._cursors.update(cursors)
        self._foreign.difference_update(cursors)
        with self._lock:
            for key in cursors:
                self._far.pop(key, None)
            self._far.update(dict.fromkeys(late, True))
            self._dirty.update(dict.fromkeys(late))
        self.ready()
        return stands

    def _named(self, after: Mapping[str, int]) -> tuple[dict[int, int], dict[str, int], list[int]]:
        keys = {id: self._ledger.get(id)._key for id in after}
        stands = {}
        with self._ledger._database.read() as tx:
            for id, key in keys.items():
                head = look_head(tx, key)
                events.check_reached(head, after[id])
                stands[head.id] = after[id]
        return {key: after[id] for id, key in keys.items()}, stands, list(keys.values())

    def _all(
        self, after: Mapping[str, int] | None
    ) -> tuple[dict[int, int], dict[str, int], list[int]]:
        # First, so that a session that begins while we read is heard of.
        self._everything = True
        cursors, stands, late = {}, {}, []
        with self._ledger._database.read() as tx:
            for key, id, top in tx.all("head_sequences", project=self._ledger._scope):
                if key in self._cursors and id not in (after or ()):
                    stands[id] = self._cursors[key]  # it is told on from where it is
                    continue
                cursors[key] = stands[id] = at = top if after is None else after.get(id, 0)
                if at < top:
                    late.append(key)
                elif at > top:
                    events.check_reached(look_head(tx, key), at)
        return cursors, stands, late

    def drop(self, ids: Iterable[str] | None = None) -> None:
        """Follow these sessions no more; `None`: none at all. Reads the tables.

        Raises `NotFound`.
        """
        keys = None if ids is None else [self._ledger.get(id)._key for id in ids]
        if keys is None:
            self._everything = False
            self._foreign.clear()
        with self._lock:
            for key in list(self._cursors) if keys is None else keys:
                self._cursors.pop(key, None)
                self._far.pop(key, None)
                self._dirty.pop(key, None)
                if self._everything:
                    self._foreign.add(key)

    def follows(self, key: int) -> bool:
        """True when frames of this session are wanted, as far as is known without asking."""
        return key in self._cursors or (self._everything and key not in self._foreign)

    @property
    def size(self) -> int:
        """How many sessions are followed."""
        return len(self._cursors)

    # --- being woken ---

    def start(self, ready: Callable[[], None]) -> None:
        """Begin; `ready` is called at once for what is there already."""
        self.ready = ready
        ready()

    def touch(self, keys: Iterable[int], tops: Mapping[int, int]) -> None:
        """Something may have happened in these sessions; `tops` says where some stand."""
        wanted = [
            key
            for key in keys
            if self.follows(key) and (key not in tops or self._cursors.get(key, 0) < tops[key])
        ]
        if wanted:
            with self._lock:
                self._dirty.update(dict.fromkeys(wanted))
            self.ready()

    @property
    def waiting(self) -> bool:
        """True when there is something to pull."""
        return bool(self._dirty)

    @property
    def blocking(self) -> bool:
        """True when the next pull reads the tables: not for an event loop's own thread."""
        with self._lock:
            return any(
                key in self._far or key not in self._cursors or not self._live.keeps(key)
                for key in self._dirty
            )

    # --- reading on ---

    def pull(self) -> list[Told]:
        """What is new: a page of each session at most, and little more than `PAGE_BYTES`."""
        found: list[Told] = []
        size = 0
        with self._lock:
            keys = list(self._dirty)
        for key in keys:
            with self._lock:
                self._dirty.pop(key, None)
            for told in self._pull_one(key):
                found.append(told)
                size += len(told.data)
            if size > PAGE_BYTES:
                break
        return found

    def _pull_one(self, key: int) -> Iterator[Told]:
        if key not in self._cursors:
            if not self.follows(key):
                return
            if not self._live.belongs(self._ledger, key):
                self._foreign.add(key)
                return
            self._cursors[key], self._far[key] = 0, False
        if key in self._far:
            yield from self._pull_far(key)
        elif self._live.keeps(key):
            yield from self._pull_near(key)
        else:
            self._go_far(key, tell=False)

    def _pull_near(self, key: int) -> Iterator[Told]:
        told = self._live.newest(key, self._cursors[key])
        if told is not None:
            yield from self._pass_on(key, told, told[-1].sequence if told else None)
            return
        after, top = self._cursors[key], self._live.top(key)
        self._go_far(key, tell=True)
        if top is not None:
            name = self._live.name(key)
            behind = frames.Behind(session=name, after=after, sequence=top)
            yield Told(name, after, "behind", frames.encode(behind))

    def _pull_far(self, key: int) -> Iterator[Told]:
        page = self._live.read(key, self._cursors[key])
        yield from self._pass_on(key, page.told, page.end)
        if page.more or not self._live.draw_near(key, self._cursors[key]):
            self._go_far(key, tell=self._far[key])
        elif self._far.pop(key):
            name, sequence = self._live.name(key), self._cursors[key]
            end = frames.CaughtUp(session=name, sequence=sequence)
            yield Told(name, sequence, "caught_up", frames.encode(end))

    def _go_far(self, key: int, *, tell: bool) -> None:
        with self._lock:
            self._far[key] = tell
            self._dirty[key] = None

    def _pass_on(self, key: int, told: Sequence[Told], end: int | None) -> Iterator[Told]:
        yield from (one for one in told if self._types(one.type))
        if end is not None:
            self._cursors[key] = end

    def lagging(self, tops: Mapping[int, int]) -> set[int]:
        """Which of these sessions stand further than this reader."""
        return {
            key
            for key, top in tops.items()
            if self.follows(key) and self._cursors.get(key, 0) < top
        }

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
        self._feeds: OrderedDict[int, _Feed] = OrderedDict()
        self._followers: set[Follower] = set()
        self._names: dict[int, str] = {}
        self._dirty: set[int] = set()
        self._look = False
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._unwatch: Callable[[], None] = _nobody

    # --- who follows ---

    def follower(self, ledger: Ledger, types: Callable[[str], bool]) -> Follower:
        """Somebody who follows nothing yet."""
        made = Follower(self, ledger, types)
        self._join(made)
        return made

    def _join(self, follower: Follower) -> None:
        with self._lock:
            self._followers.add(follower)
            if self._thread is None and not self._closing:
                self._unwatch = self._database.watch(self._woken)
                self._thread = threading.Thread(target=self._loop, name="clew-live", daemon=True)
                self._thread.start()
        # The thread may wait for ever, and what was written before it knew has woken nobody.
        self._woken(None)

    def follow(
        self,
        ledger: Ledger,
        after: Mapping[str, int] | None,
        types: Callable[[str], bool],
    ) -> tuple[Follower, dict[str, int]]:
        """A follower of the sessions in `after`, or of all from now on; see `Follower.follow`."""
        made = Follower(self, ledger, types)
        stands = made.follow(after, everything=after is None)
        self._join(made)
        return made, stands

    def leave(self, follower: Follower) -> None:
        """Somebody follows no more."""
        with self._lock:
            self._followers.discard(follower)
            for key in [key for key in self._feeds if follower.follows(key)]:
                if not any(other.follows(key) for other in self._followers):
                    del self._feeds[key]

    # --- waking ---

    def wrote(self, key: int) -> None:
        """A unit that touched this session was committed here."""
        if self._followers:
            self._dirty.add(key)
            if not self._wake.is_set():
                self._wake.set()

    def _woken(self, keys: Iterable[int] | None) -> None:
        """Somebody wrote to these sessions (`None`: to some)."""
        if keys is None:
            self._look = True
        else:
            self._dirty.update(keys)
        self._wake.set()

    def _loop(self) -> None:
        while True:
            woken = self._wake.wait(LOOK_SECONDS if self._followers else None)
            self._wake.clear()
            if self._closing:
                return
            look, self._look = self._look or not woken, False
            keys = set(self._dirty)
            self._dirty -= keys
            keys.discard(0)
            try:
                self._tell(keys | self._moved() if look else keys)
            except ClewError:
                # The database does not answer: what it holds is told when it does again.
                self._look = True
                time.sleep(LOOK_SECONDS)

    def _moved(self) -> set[int]:
        """Sessions that stand further than somebody who follows them."""
        with self._lock:
            followers = list(self._followers)
        keys = {key for follower in followers for key in list(follower._cursors)}
        with self._database.read() as tx:
            if len(keys) > LOOKED_AT_MAX or any(follower._everything for follower in followers):
                tops = {key: top for key, _id, top in tx.all("head_sequences", project=None)}
            else:
                tops = {key: look_head(tx, key).sequence for key in keys}
        return set().union(*(follower.lagging(tops) for follower in followers))

    def _tell(self, keys: set[int]) -> None:
        with self._lock:
            feeds = {key: self._feeds[key] for key in keys if key in self._feeds}
            for key in feeds:
                self._feeds.move_to_end(key)
            followers = list(self._followers)
        tops = {key: top for key, feed in feeds.items() if (top := self._advance(key, feed))}
        for follower in followers:
            follower.touch(keys, tops)

    def _advance(self, key: int, feed: _Feed) -> int | None:
        try:
            return feed.advance()
        except ClewError:
            raise
        except Exception:  # noqa: BLE001 - one session must not silence the others
            # Who follows this one reads it from the tables, and is told there what is wrong.
            with self._lock:
                self._feeds.pop(key, None)
            return None

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

    def keeps(self, key: int) -> bool:
        """True when the newest frames of a session are at hand."""
        return key in self._feeds

    def newest(self, key: int, after: int) -> list[Told] | None:
        """What is kept behind a sequence; `None` when it has to be read from the tables."""
        feed = self._feeds.get(key)
        return None if feed is None else feed.after(after)

    def top(self, key: int) -> int | None:
        """The newest sequence of a session that is at hand."""
        feed = self._feeds.get(key)
        return None if feed is None else feed.top

    def draw_near(self, key: int, sequence: int) -> bool:
        """Follow closely from here on, if nothing has happened behind it meanwhile."""
        with self._lock:
            feed = self._feeds.get(key)
            if feed is None:
                feed = self._feeds[key] = _Feed(self, key, sequence)
            self._feeds.move_to_end(key)
            while len(self._feeds) > FEEDS_MAX:
                self._feeds.popitem(last=False)
        feed.advance()
        return feed.after(sequence) is not None

    def read(self, key: int, after: int) -> Page:
        """A page of a session's frames behind a sequence, from the tables."""
        found: list[Told] = []
        size, step = 0, STEP
        with self._database.read() as tx:
            head = look_head(tx, key)
            events.check_reached(head, after)
            self._names[key] = head.id
            while after < head.sequence and len(found) < PAGE and size < PAGE_BYTES:
                items = events.since(tx, head, after, min(step, PAGE - len(found)))
                for frame in frames.of(tx, head, items):
                    told = Told(head.id, frame.sequence, _type(frame), frames.encode(frame))
                    found.append(told)
                    size += len(told.data)
                    after = told.sequence
                if not items:  # a branch has nothing of its own before its fork
                    after = head.sequence
                step *= 2
        return Page(found, after, after < head.sequence)

    def name(self, key: int) -> str:
        """The id of a session that was read."""
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


def no_traces(kind: str) -> bool:
    """Frames that tell of no span."""
    return kind not in frames.TRACES


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
    follower.start(lambda: wake(loop, ready))
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


def wake(loop: asyncio.AbstractEventLoop, ready: asyncio.Event) -> None:
    """Set an event of a loop from any thread."""
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


def _frames(found: Iterable[Told]) -> Iterator[AnyFrame]:
    for told in found:
        if not told.talk:
            yield frames.decode_frame(told.data)
