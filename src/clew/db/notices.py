"""PostgreSQL's notifications as wake-ups: which sessions were written to, told after the commit.

Inside the transaction a NOTIFY takes a lock of the whole server (4,173 commits a second became
731); so one thread a process tells, every few milliseconds, what has gathered. Whoever does
not hear it looks at the tables a little later.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

CHANNEL = "clew"
GATHER_SECONDS = 0.01
"""How long what is written gathers before it is told."""
KEYS_MAX = 500
"""Above this (a notification holds 8,000 bytes) only that something was written is told."""
LISTEN_SECONDS = 1.0
"""How often a listener looks whether it is to end."""

Wake = Callable[[Iterable[int] | None], None]


class Notifier:
    """Tells other processes which sessions this one wrote to."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._keys: set[int] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def wrote(self, keys: Iterable[int]) -> None:
        """These sessions were written to, and committed."""
        with self._lock:
            self._keys.update(keys)
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._loop, name="clew-notify", daemon=True)
                self._thread.start()
        self._wake.set()

    def _loop(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(GATHER_SECONDS)
            self._tell()

    def _tell(self) -> None:
        self._wake.clear()
        with self._lock:
            keys, self._keys = self._keys, set()
        if not keys:
            return
        text = "" if len(keys) > KEYS_MAX else ",".join(map(str, keys))
        # A lost notification costs a listener a second, not a frame.
        with contextlib.suppress(psycopg.Error, PoolTimeout), self._pool.connection() as connection:
            connection.execute("select pg_notify(%s, %s)", (CHANNEL, text))

    def close(self) -> None:
        """Tell what is left and stop."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._tell()


def listen(url: str, wake: Wake) -> Callable[[], None]:
    """Call `wake` for what others tell; gives a function that ends it."""
    closing = threading.Event()

    def loop() -> None:
        while not closing.is_set():
            with contextlib.suppress(psycopg.Error):
                _listen(url, wake, closing)
            wake(None)  # what was told while nobody listened
            closing.wait(LISTEN_SECONDS)

    thread = threading.Thread(target=loop, name="clew-listen", daemon=True)
    thread.start()

    def end() -> None:
        closing.set()
        thread.join()

    return end


def _listen(url: str, wake: Wake, closing: threading.Event) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"listen {CHANNEL}")
        wake(None)
        while not closing.is_set():
            for notice in connection.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                wake([int(key) for key in notice.payload.split(",")] if notice.payload else None)
