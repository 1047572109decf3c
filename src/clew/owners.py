"""Who runs spans, and whether they still do.

Each open ledger that starts spans is an *owner*: a process of a host, known by the host's
boot, the process id and the time at which it started. On the same host a look tells whether
the process is there; elsewhere its heartbeat does. What a gone owner ran is abandoned.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import deque
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from clew import canonical, events, names, spans
from clew.db import Tx
from clew.errors import ClewError, NotFound, Unavailable
from clew.log import Head, read_head
from clew.model import Outcome

if TYPE_CHECKING:
    from clew.db.database import Unit
    from clew.ledger import Ledger
    from clew.running import Running

BEAT_SECONDS = 15.0
SLOW_SECONDS = 0.5
REST_SECONDS = 30.0
"""So long spans do not wait for a ledger that did not answer one of them."""
UNSAID_MAX = 10_000
"""Ends that could not be stored are kept to be tried again, so many."""
SILENT_MS = 90_000
"""An owner on another host that was not heard of for so long is gone."""
LEFT = "left"
"""The boot of an owner that closed its ledger."""


class Process(msgspec.Struct, frozen=True):
    """A process as others can look for it. `host` includes the PID namespace."""

    host: str
    boot: str
    pid: int
    started: str


def here() -> Process:
    """This process."""
    pid = os.getpid()
    return Process(_host(), _boot(), pid, _started(pid) or "")


@cache
def _host() -> str:
    space = ""
    with contextlib.suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()}/{space}"


@cache
def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _started(pid: int) -> str | None:
    """When a process of this host started, in ticks since boot; `None` when it is not there,
    empty where only its existence can be seen.
    """
    if Path("/proc/self/stat").exists():
        try:
            # The name in the second field may hold spaces and brackets.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # A zombie's parent has not asked how it ended. It runs nothing any more.
            return None if fields[0] in "ZX" else fields[19]
        except (OSError, IndexError):
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return ""
    return ""


def is_gone(owner: Process, seen_ms: int) -> bool:
    """True when nobody will finish what this owner started."""
    if owner.boot == LEFT:
        return True
    if owner.host != _host():
        return canonical.now_ms() - seen_ms > SILENT_MS
    if owner.boot != _boot():
        return True
    started = _started(owner.pid)
    return started is None or (started != "" and owner.started != "" and started != owner.started)


class Desk(Protocol):
    """Where owners are known: a ledger, or a server's."""

    def sign_on(self, id: str, process: Process) -> int:
        """Make an owner known, or say that it still is there; gives the key of its row."""

    def sign_off(self, id: str) -> None:
        """Say that it runs nothing any more."""


class LedgerDesk:
    """The desk of a ledger that is open here. Each project has owners of its own: nobody
    speaks for another's.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def sign_on(self, id: str, process: Process) -> int:
        """See `Desk`. Raises `Invalid` for names that no database holds."""
        names.checked(id, "an owner's id", empty=False)
        for what in ("host", "boot", "started"):
            names.checked(getattr(process, what), f"an owner's {what}")
        now = canonical.now_ms()
        facts = msgspec.structs.asdict(process) | {"actor": self._ledger.actor, "now": now}

        def unit(tx: Tx) -> int:
            row = tx.one("owner_add", id=self._name(id), **facts)
            assert row is not None  # noqa: S101 - an insert that returns
            return int(row[0])

        return self._ledger._database.write(unit)

    def sign_off(self, id: str) -> None:
        """See `Desk`. Raises `NotFound`."""
        facts = {"id": self._name(id), "boot": LEFT, "now": canonical.now_ms()}
        if not self._ledger._database.write(lambda tx: tx.run("owner_left", **facts)):
            raise NotFound(f"no owner {id!r} signed on here")

    def key_of(self, id: str) -> int:
        """The key of an owner that signed on. Raises `NotFound`."""
        with self._ledger._database.read() as tx:
            row = tx.one("owner_key", id=self._name(id))
        if row is None:
            raise NotFound(f"no owner {id!r} signed on here: do that before it runs anything")
        return int(row[0])

    def _name(self, id: str) -> str:
        scope = self._ledger._scope
        return id if scope is None else f"{scope}:{id}"


class Owner:
    """This ledger handle as an owner: known from its first span on, and its heart beats while
    spans run.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.id = canonical.new_id()
        self._key: int | None = None
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self.failures = 0
        """Spans that could not be recorded."""
        self._rests_until = 0.0
        self._unsaid: deque[tuple[Running, Unit[Any]]] = deque(maxlen=UNSAID_MAX)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def key(self) -> int:
        """The key of its row."""
        if self._key is None:
            with self._lock:
                if self._key is None:
                    self._key = self._begin()
        return self._key

    def ready(self) -> None:
        """Sign on, if that was not done: it cannot be done inside a unit."""
        if self._key is None:
            self.key()

    def _begin(self) -> int:
        key = self._desk.sign_on(self.id, here())
        self._start_beating()
        return key

    def _start_beating(self) -> None:
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._beat, name="clew-heartbeat", daemon=True)
            self._thread.start()

    def began(self, id: str) -> None:
        """A span runs here; called in the unit that stores its start."""
        self._running.add(id)

    def ended(self, id: str) -> None:
        """It does not any more. Where its end could not be stored it stays: closing gives it up."""
        self._running.discard(id)

    def check(self) -> None:
        """Raise `Unavailable` at once for a while after the ledger did not answer: a tool waits
        for it once, not at each of its edges.
        """
        if self._rests_until and time.monotonic() < self._rests_until:
            raise Unavailable("the ledger did not answer a moment ago")

    def did_not_answer(self, waited: float) -> None:
        """The ledger was waited for, so many seconds."""
        if waited > SLOW_SECONDS:
            self._rests_until = time.monotonic() + REST_SECONDS

    def later(self, session: Running, unit: Unit[Any]) -> None:
        """An end that could not be stored: it is tried again while the ledger is open."""
        self._unsaid.append((session, unit))
        with self._lock:
            self._start_beating()

    def _say(self) -> None:
        """What could not be stored before."""
        for _ in range(len(self._unsaid)):
            session, unit = self._unsaid.popleft()
            # What is refused for good was counted and logged when it was.
            with contextlib.suppress(Exception):
                try:
                    session._write(unit)
                except Unavailable:
                    self._unsaid.appendleft((session, unit))
                    return

    def _beat(self) -> None:
        while not self._closing.wait(BEAT_SECONDS):
            self._say()
            if self._running:
                with contextlib.suppress(ClewError):
                    self._desk.sign_on(self.id, here())

    def close(self) -> None:
        """Nothing runs here any more."""
        self._closing.set()
        if self._thread is None:
            return
        self._thread.join()
        self._say()
        if self._running:
            with contextlib.suppress(ClewError):
                self._desk.sign_off(self.id)


def sweep(ledger: Ledger, session: int | None = None) -> int:
    """Give up the running spans whose owner is gone; gives how many. What waits for a person
    goes on waiting.
    """
    with ledger._database.read() as tx:
        rows = tx.all("span_running", project=ledger._scope)
    gone: dict[int, list[tuple[str, int]]] = {}
    known: dict[int, bool] = {}
    for key, id, owner, host, boot, pid, started, seen_ms in rows:
        if owner not in known:
            known[owner] = is_gone(Process(host, boot, pid, started), seen_ms)
        if known[owner] and session in (None, key):
            gone.setdefault(key, []).append((id, seen_ms))
    return sum(_abandon(ledger, key, found) for key, found in gone.items())


def _abandon(ledger: Ledger, session: int, found: list[tuple[str, int]]) -> int:
    def unit(tx: Tx) -> int:
        head = read_head(tx, session)
        count = sum(_abandon_one(tx, head, id, seen_ms) for id, seen_ms in found)
        if count:
            events.save(tx, head, 0)
        return count

    try:
        return ledger._run(unit, session)
    except NotFound:
        return 0  # the session was erased since


def _abandon_one(tx: Tx, head: Head, id: str, seen_ms: int) -> bool:
    row: dict[str, Any] = spans.find(tx, head, id)
    if row["status"] != "running":
        return False
    sign = tx.one("span_last_sign", session=head.key, owner=row["owner"])
    last = max(seen_ms * 1000, sign[0] if sign else 0, row["started_us"])
    changes = {"outcome": str(Outcome.ABANDONED), "finished_us": last}
    spans.update(tx, head, id, changes, lambda values: None)
    return True
