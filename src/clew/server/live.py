"""Live streams: frames of sessions over a WebSocket and as server-sent events.

A stream holds no frames: it pulls them when its reader took the last ones (see `clew.live`), so
a slow reader costs its place and no more. `Streams` knows what is open, and ends it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from clew import frames, wire
from clew.access import Access
from clew.access import Scope as Allowed
from clew.errors import ClewError, Invalid, NotFound, Unavailable
from clew.live import Told, everything, no_traces, wake
from clew.model import Snapshot
from clew.server import logs, problems
from clew.server.answer import Answer, Receive, Scope, Send, Stream
from clew.server.limits import Rates
from clew.server.problems import Refused

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.server.app import Server
    from clew.server.call import Call, Handles

PROTOCOL = "clew.v1"
EVENT_STREAM = b"text/event-stream"
GOING_AWAY = 1001
FAULT = 1011
TRY_AGAIN = 1013
MALFORMED, NOT_FOUND, NOT_REACHED, TOO_MANY = 4400, 4404, 4409, 4429
MESSAGES_PER_SECOND = 100
"""What a client may say on one socket."""
TOLD_AT_ONCE = 1000
"""Sessions that one `following` names."""
HEARTBEAT_SECONDS = 15.0
CLOSE_SECONDS = 1.0


class Closed(Exception):
    """Why the server ends a stream. `code` is the WebSocket's."""

    def __init__(self, code: int, name: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.name = code, name


class Streams:
    """What is open, by token."""

    def __init__(self, each_max: int) -> None:
        self._each_max = each_max
        self._count: Counter[str] = Counter()
        self._wakes: set[Callable[[], None]] = set()
        self._none = asyncio.Event()
        self._none.set()
        self.ending = False

    @contextmanager
    def open(self, token: str, wake: Callable[[], None]) -> Iterator[None]:
        """Have `wake` called when the server ends. Raises `Refused` for one too many."""
        if self._count[token] >= self._each_max:
            raise Refused("too-many", f"this token has {self._each_max} streams open: close some")
        self._count[token] += 1
        self._wakes.add(wake)
        self._none.clear()
        try:
            yield
        finally:
            self._wakes.discard(wake)
            self._count[token] -= 1
            if not self._count[token]:
                del self._count[token]
            if not self._wakes:
                self._none.set()

    async def end(self, seconds: float = CLOSE_SECONDS) -> None:
        """Tell every stream to end, and wait a little until they did."""
        self.ending = True
        for each in list(self._wakes):
            each()
        try:
            await asyncio.wait_for(self._none.wait(), seconds)
        except TimeoutError:
            return


class Reader:
    """A follower for an event loop: it wakes the loop, and reads tables in a thread."""

    def __init__(self, server: Server, handles: Handles, token: Access) -> None:
        self._streams, self._handles = server.streams, handles
        self.traces = token.may(Allowed.TRACE_READ)
        ledger: Ledger = handles.ledger.sync
        self._live = ledger._live()
        self.follower = self._live.follower(ledger, everything if self.traces else no_traces)
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._told = False
        self.follower.start(self.wake)

    def wake(self) -> None:
        """There may be something to do. From any thread; once until `wait` has seen it."""
        if not self._told:
            self._told = True
            wake(self._loop, self._ready)

    async def wait(self, seconds: float | None = None) -> bool:
        """Until there may be frames; false when none came for so long. Raises `Closed` when
        the server ends.
        """
        try:
            if not self._ready.is_set():
                await asyncio.wait_for(self._ready.wait(), seconds)
        except TimeoutError:
            return False
        self._ready.clear()
        self._told = False
        if self._streams.ending or self._live.closed:
            raise Closed(GOING_AWAY, "unavailable", "the server ends: connect again")
        return True

    @property
    def waiting(self) -> bool:
        """True when there is something to pull."""
        return self.follower.waiting

    async def pull(self) -> list[Told]:
        """The next frames."""
        if self.follower.blocking:
            return await asyncio.to_thread(self.follower.pull)
        return self.follower.pull()

    async def follow(self, which: frames.Which | str) -> list[frames.Following]:
        """Follow more; gives what the reader is told of it. Raises `Closed`."""
        after, whole, snapshot = _wanted(which)
        known = [await self._handles.get(id) for id in (() if whole else after or ())]
        kept = await known[0].load_snapshot() if snapshot else None
        try:
            stands = await asyncio.to_thread(self.follower.follow, after, everything=whole)
        except Invalid as error:
            raise Closed(NOT_REACHED, "invalid", str(error)) from None
        return list(_following(stands, whole, self.traces, kept))

    async def drop(self, ids: list[str] | str) -> None:
        """Follow these sessions no more, or none. Raises `NotFound`."""
        await asyncio.to_thread(self.follower.drop, None if isinstance(ids, str) else ids)

    def close(self) -> None:
        """Follow nothing."""
        self.follower.close()


def _wanted(which: frames.Which | str) -> tuple[Mapping[str, int] | None, bool, bool]:
    """By session the sequence it is followed behind, whether all are, and whether the newest
    snapshot is told. Raises `Refused`.
    """
    if isinstance(which, str):
        return None, True, False
    given = [which.session is not None, which.sessions is not None, which.all is not None]
    if sum(given) != 1 or (which.after and which.session is None):
        raise Refused("invalid", "subscribe: give `session` (and `after`), `sessions` or `all`")
    if which.session is not None:
        return {which.session: which.after}, False, True
    if which.sessions is not None:
        return which.sessions, False, len(which.sessions) == 1
    return which.all, True, False


def _following(
    stands: Mapping[str, int], whole: bool, traces: bool, kept: Snapshot | None
) -> Iterator[frames.Following]:
    big = kept is not None and kept.bytes > frames.BODY_BYTES_MAX
    pairs = list(stands.items())
    for start in range(0, max(len(pairs), 1), TOLD_AT_ONCE):
        yield frames.Following(
            sessions=dict(pairs[start : start + TOLD_AT_ONCE]),
            everything=whole,
            traces=traces,
            snapshot=None if big else kept,
            truncated=big,
            more=start + TOLD_AT_ONCE < len(pairs),
        )


# --- WebSocket ---------------------------------------------------------------------------


async def live(
    server: Server, handles: Handles, scope: Scope, receive: Receive, send: Send
) -> None:
    """`/api/v1/live`: what happens, for whoever asked for it, until they leave."""
    await receive()
    chosen = PROTOCOL if PROTOCOL in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen})
    token: Access = scope["clew.token"]
    reader = Reader(server, handles, token)
    request: str = scope["clew.request"]
    try:
        with server.streams.open(token.id, reader.wake):
            socket = _Socket(reader, receive, send, server.settings.subscriptions_max)
            await _until_over(socket, send, request)
    except Refused as error:
        await _close(send, _why(error, request))
    finally:
        reader.close()


async def _until_over(socket: _Socket, send: Send, request: str) -> None:
    try:
        await socket.run()
    except OSError:
        return  # whoever was to be told is gone
    except Exception as error:  # noqa: BLE001 - each becomes a last word
        await _close(send, _why(error, request))


class _Socket:
    """One connection: a task that hears, and one that tells."""

    def __init__(
        self, reader: Reader, receive: Receive, send: Send, subscriptions_max: int
    ) -> None:
        self._reader, self._receive, self._send = reader, receive, send
        self._subscriptions_max = subscriptions_max
        self._rate = Rates(MESSAGES_PER_SECOND, MESSAGES_PER_SECOND)
        self._turn = asyncio.Lock()
        """What is followed changes between pulls, not during one."""

    async def run(self) -> None:
        """Until the client leaves. Raises what ends it otherwise."""
        tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._tell())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self) -> None:
        loop = asyncio.get_running_loop()
        while (message := await self._receive())["type"] != "websocket.disconnect":
            if self._rate.take("", loop.time()):
                raise Refused("too-many", f"say at most {MESSAGES_PER_SECOND} things a second")
            asked = _asked(message.get("text"))
            async with self._turn:
                if asked.subscribe is not None:
                    await self._follow(asked.subscribe)
                elif asked.unsubscribe is not None:
                    await self._reader.drop(asked.unsubscribe)

    async def _follow(self, which: frames.Which | str) -> None:
        if isinstance(which, frames.Which) and which.sessions is not None:
            size = self._reader.follower.size + len(which.sessions)
            if size > self._subscriptions_max:
                raise Refused(
                    "too-many",
                    f"one socket follows at most {self._subscriptions_max} sessions by name: "
                    "follow all, or open another",
                )
        for told in await self._reader.follow(which):
            await self._say(frames.encode(told))

    async def _tell(self) -> None:
        while True:
            await self._reader.wait()
            while self._reader.waiting:
                async with self._turn:
                    for told in await self._reader.pull():
                        await self._say(told.data)
                await asyncio.sleep(0)  # nothing above need have let others run

    async def _say(self, data: bytes) -> None:
        # Waits while the client has not taken what was sent before.
        await self._send({"type": "websocket.send", "text": data.decode()})


def _asked(text: str | None) -> frames.Ask:
    """What a client says. Raises `Refused`."""
    if text is None:
        raise Refused("malformed", "messages are JSON in text, not bytes")
    try:
        asked = wire.decode(text.encode(), frames.Ask)
    except msgspec.ValidationError as error:
        raise Refused("malformed", problems.where(error, "message")) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused("malformed", f"the message is no JSON ({error})") from None
    if (asked.subscribe is None) == (asked.unsubscribe is None):
        raise Refused("malformed", "message: say `subscribe` or `unsubscribe`")
    return asked


def _why(error: Exception, request: str) -> Closed:
    """The last word that an error becomes."""
    if isinstance(error, Closed):
        return error
    if isinstance(error, Refused):
        return Closed(TOO_MANY if error.name == "too-many" else MALFORMED, error.name, str(error))
    if isinstance(error, NotFound | Invalid):
        code = NOT_FOUND if isinstance(error, NotFound) else MALFORMED
        return Closed(code, wire.name_of(type(error)), str(error))
    if isinstance(error, Unavailable):
        return Closed(TRY_AGAIN, "unavailable", str(error))
    logs.fault(request, "live", error)
    detail = f"the server's log says more under the request's id, {request}"
    name = wire.name_of(type(error)) if isinstance(error, ClewError) else "internal"
    return Closed(FAULT, name, detail)


async def _close(send: Send, why: Closed) -> None:
    detail = str(why).encode("utf-8", "replace").decode()
    last = frames.Problem(code=why.code, problem=wire.PROBLEM + why.name, detail=detail)
    reason = detail.encode()[:120].decode("utf-8", "ignore")
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await send({"type": "websocket.send", "text": frames.encode(last).decode()})
            await send({"type": "websocket.close", "code": why.code, "reason": reason})
    except (TimeoutError, OSError, RuntimeError):
        return  # whoever reads nothing is not waited for


# --- server-sent events ------------------------------------------------------------------


async def events(call: Call) -> Stream:
    """`/api/v1/live/events`: the same frames for whoever can only read."""
    assert call.token is not None  # noqa: S101 - the route names a scope
    query: frames.EventsQuery = call.query
    after = _positions(query, call.headers.get(b"last-event-id", b"").decode("latin-1"))
    reader = Reader(call.server, call.handles, call.token)
    pieces = _Events(reader, query.idle).pieces(call, after)
    try:
        # What is wrong is said before the answer begins.
        first = await anext(pieces)
    except Closed as error:
        raise Invalid(str(error)) from None
    return Stream(
        _with(first, pieces),
        EVENT_STREAM,
        headers=((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")),
    )


def _positions(query: frames.EventsQuery, last: str) -> dict[str, int]:
    """By session the sequence that the reader has. Raises `Refused`."""
    if len(query.after) not in (0, len(query.session)):
        raise Refused("invalid", "query: give `after` once for each `session`, or not at all")
    after = dict(zip(query.session, query.after or [0] * len(query.session), strict=True))
    for part in last.split(",") if last else ():
        id, _, text = part.strip().rpartition(":")
        if not id or not text.isascii() or not text.isdigit() or len(text) > 16:
            raise Refused("invalid", "Last-Event-ID: this is no id of an event here")
        if id in after:
            after[id] = int(text)
    return after


async def _with(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    try:
        yield first
        async for piece in rest:
            yield piece
    finally:
        await rest.aclose()


class _Events:
    """One answer that does not end."""

    def __init__(self, reader: Reader, idle: float | None) -> None:
        self._reader, self._idle = reader, idle
        self._positions: dict[str, int] = {}
        """Where the reader stands in each session, to be told in every id."""
        self._whole = False

    async def pieces(self, call: Call, after: Mapping[str, int]) -> AsyncGenerator[bytes]:
        """The events, as they are sent. Raises `Closed`, `NotFound`, `Refused` at once."""
        assert call.token is not None  # noqa: S101 - the route names a scope
        reader = self._reader
        try:
            with call.server.streams.open(call.token.id, reader.wake):
                which = frames.Which(sessions=dict(after)) if after else "all"
                self._whole = not after
                following = await reader.follow(which)
                for told in following:
                    self._positions.update({} if self._whole else told.sessions)
                yield b"".join(self._event("following", frames.encode(t)) for t in following)
                async for piece in self._live():
                    yield piece
        finally:
            reader.close()

    async def _live(self) -> AsyncGenerator[bytes]:
        quiet = 0.0
        while True:
            pause = HEARTBEAT_SECONDS if self._idle is None else min(self._idle, HEARTBEAT_SECONDS)
            try:
                woken = await self._reader.wait(pause)
            except Closed:
                return
            if not woken:
                quiet += pause
                if self._idle is not None and quiet >= self._idle:
                    return
                yield b":\n\n"
            while self._reader.waiting:
                quiet = 0.0
                if found := b"".join(map(self._frame, await self._reader.pull())):
                    yield found

    def _frame(self, told: Told) -> bytes:
        if not told.talk:
            if self._whole:
                self._positions = {}
            self._positions[told.session] = told.sequence
        return self._event(told.type, told.data)

    def _event(self, kind: str, data: bytes) -> bytes:
        id = ",".join(f"{session}:{sequence}" for session, sequence in self._positions.items())
        # A body is kept as it was written: its JSON may go over lines.
        text = b"\ndata: ".join(data.splitlines())
        named = b"id: %s\n" % id.encode() if id else b""
        return b"%sevent: %s\ndata: %s\n\n" % (named, kind.encode(), text)


_SCHEMA = json.dumps(frames.schema(), ensure_ascii=False).encode()


async def schema(call: Call) -> Answer:
    """`/api/v1/live/schema.json`: what the server and its clients say, as JSON Schema."""
    del call
    return Answer(_SCHEMA)
