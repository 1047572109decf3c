"""Following over a WebSocket: frames as they come, across connections that break.

Where each session has got to is kept here. A new connection goes on behind that, so nothing is
missed and nothing told twice. A stream that the server refuses ends with the server's error.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
)
from websockets.sync.client import ClientConnection, connect

from clew import frames, wire
from clew.errors import ClewError, Unavailable
from clew.frames import AnyFrame
from clew.remote.client import API, CONNECT_SECONDS, TRIES, Client, pause

PROTOCOL: Final = "clew.v1"
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
CATCH_UP_SECONDS = 30.0
"""While what was missed is still being told, silence is no idleness before this."""
CLOSE_SECONDS = 1.0
AHEAD = 64
"""So many frames are fetched ahead of whoever awaits them."""
_BROKEN: Final = (ConnectionClosed, InvalidMessage, OSError)


class _Again(OSError):
    """The server ends, or is busy, and says so: ask again."""


class Stream:
    """One reader. `read` is for one thread; `stop` may be called from any."""

    def __init__(self, client: Client, after: Mapping[str, int] | None, idle: float | None) -> None:
        self._client = client
        self._asked = None if after is None else dict(after)
        self._idle = idle
        self._heard = time.monotonic()
        self._places: dict[str, int] = {}
        """By session: the sequence behind which to go on."""
        self._known = False
        """True once the server has said where everything is followed from."""
        self._unanswered = 0
        self._catching_up: set[str] = set()
        """Sessions of which something that was missed is still to be told."""
        self._stopped = threading.Event()
        self._connection: ClientConnection | None = None

    def read(self) -> Iterator[AnyFrame]:
        """Frames, until nothing came for `idle` seconds. Raises what the server raises, and
        `Unavailable` when it cannot be reached again.
        """
        failed = 0
        while not self._stopped.is_set():
            try:
                for frame in self._once():
                    failed = 0
                    yield frame
                return
            except _BROKEN as error:
                if self._stopped.is_set():
                    return
                failed += 1
                if failed == TRIES:
                    raise Unavailable(
                        f"{self._client.url} cannot be followed ({error}): go on later behind "
                        "the last frame's sequence"
                    ) from error
            self._stopped.wait(pause(failed))

    def stop(self) -> None:
        """Follow no more: what waits for a frame ends at once. Idempotent."""
        self._stopped.set()
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.socket.shutdown(socket.SHUT_RDWR)

    # --- one connection ---

    def _once(self) -> Iterator[AnyFrame]:
        with _opened(self._client) as connection:
            self._connection = connection
            asks = list(self._asks())
            self._unanswered = len(asks)
            self._catching_up.clear()
            for ask in asks:
                connection.send(frames.encode(ask), text=True)
            while not self._stopped.is_set():
                try:
                    said = frames.decode(connection.recv(timeout=self._patience()))
                except TimeoutError:
                    return
                if not isinstance(said, frames.TALK):
                    self._heard = time.monotonic()
                    self._places[said.session] = said.sequence
                    yield said
                else:
                    self._note(said)

    def _asks(self) -> Iterator[frames.Ask]:
        """What to say first: what was asked for, or where everything has got to."""
        if not self._known:
            self._places.clear()
        if self._asked is None and not self._known:
            yield frames.Ask(subscribe="all")
        elif self._asked is None:
            yield frames.Ask(subscribe=frames.Which(all=self._places))
        else:
            places = iter((self._places if self._known else self._asked).items())
            while piece := dict(islice(places, frames.SESSIONS_MAX)):
                yield frames.Ask(subscribe=frames.Which(sessions=piece))

    def _note(self, said: frames.AnyTalk) -> None:
        if isinstance(said, frames.Problem):
            told = wire.Problem(type=said.problem, title="", status=422, detail=said.detail)
            error = wire.error_of(told)
            raise _Again(said.detail) if isinstance(error, Unavailable) else error
        if isinstance(said, frames.Following):
            for session, sequence in said.sessions.items():
                self._places.setdefault(session, sequence)
            if self._asked is not None:
                self._catching_up |= said.sessions.keys()
            self._unanswered -= not said.more
            self._known = self._known or not self._unanswered
        elif isinstance(said, frames.CaughtUp):
            self._catching_up.discard(said.session)

    def _patience(self) -> float | None:
        """How long to wait for the next word."""
        if self._idle is None:
            return None
        if self._unanswered or self._catching_up:
            return max(self._idle, CATCH_UP_SECONDS)
        return max(0.0, self._heard + self._idle - time.monotonic())


def _opened(client: Client) -> ClientConnection:
    """A connection. Raises the error that the server refuses it with, or one of `_BROKEN`."""
    client.check_open()
    parts = urlsplit(client.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    # On a socket of our own no redirect is followed, which would take the token along.
    link = socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS)
    try:
        link.settimeout(None)
        return connect(
            f"{client.url.replace('http', 'ws', 1)}{API}/live",
            sock=link,
            compression=None,
            subprotocols=[PROTOCOL],  # type: ignore[list-item]
            additional_headers=client.headers,
            open_timeout=CONNECT_SECONDS * 2,
            close_timeout=CLOSE_SECONDS,
            max_size=MESSAGE_BYTES_MAX,
        )
    except InvalidStatus as refused:
        link.close()
        raise _refusal(client, refused) from None
    except (InvalidHandshake, ValueError) as error:
        link.close()
        raise Unavailable(f"{client.url} serves no live frames ({error})") from error
    except BaseException:
        link.close()
        raise


def _refusal(client: Client, refused: InvalidStatus) -> ClewError:
    answer = refused.response
    return client.error_of(answer.status_code, bytes(answer.body or b""), answer.headers)


# --- under await -----------------------------------------------------------------------------


class _Pump:
    """A thread that reads a stream for an event loop, a few frames ahead of it."""

    def __init__(self, stream: Stream) -> None:
        self.items: asyncio.Queue[AnyFrame | BaseException | None] = asyncio.Queue()
        self.room = threading.Semaphore(AHEAD)
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="clew-follow", daemon=True).start()

    def _read(self) -> None:
        try:
            for frame in self._stream.read():
                self.room.acquire()
                self._put(frame)
            self._put(None)
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            self._put(error)

    def _put(self, item: AnyFrame | BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            self._loop.call_soon_threadsafe(self.items.put_nowait, item)


async def astream(stream: Stream) -> AsyncGenerator[AnyFrame]:
    """The same under `async for`."""
    pump = _Pump(stream)
    try:
        while (item := await pump.items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            pump.room.release()
    finally:
        stream.stop()
        pump.room.release()
