"""The seam: run a named query inside a unit. Everything above speaks only this.

A *unit* is a function of a `Tx`; it is atomic. Units that wait at the same moment share one
physical transaction, each under a savepoint of its own, in sorted order of what they touch;
none returns before the commit. A unit may be run again after a lost lock or a serialisation
failure, so it computes nothing that must not be computed twice: nonces and ids are made
before it.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import msgspec

T = TypeVar("T")
Row = tuple[Any, ...]
Unit = Callable[["Tx"], T]
Durability = Literal["full", "normal"]

BATCH_UNITS_MAX = 512


class Settings(msgspec.Struct, frozen=True):
    """How a database is opened. Every limit has a name and a default."""

    durability: Durability = "full"
    """`full`: acknowledged means on disk. `normal`: a power cut may take the newest commits."""
    read_only: bool = False
    busy_ms: int = 30_000
    """How long a write waits for another process's lock."""
    pool_size: int = 8
    """PostgreSQL connections; SQLite readers."""


class Tx(Protocol):
    """A transaction in which named queries run. Parameters go by name."""

    def one(self, name: str, /, **values: Any) -> Row | None:
        """The first row, or `None`."""

    def all(self, name: str, /, **values: Any) -> list[Row]:
        """Every row."""

    def run(self, name: str, /, **values: Any) -> int:
        """Run for effect; gives the number of rows changed."""

    def many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Run for effect once a row."""

    def fill(self, name: str, rows: Sequence[Row]) -> None:
        """The same at half the price, for what is stored a thousandfold: a row has its values in
        the order in which the query names them, each once.
        """


class Database(Protocol):
    """One open database."""

    dialect: str
    url: str
    """What another process opens it by; empty for one in memory."""
    file: Path | None
    """The file that it is in, where there is one."""
    settings: Settings
    writable: bool
    why_read_only: str

    def read(self) -> AbstractContextManager[Tx]:
        """A consistent view for reading."""

    def write(self, unit: Unit[T], order: int = 0) -> T:
        """Run a unit and return once it is committed. `order` is the session it touches."""

    def submit(self, unit: Unit[T], order: int, done: Callable[[Job], None]) -> None:
        """Queue a unit for the writer thread; `done` is called there after the commit."""

    def stop(self, why: str) -> None:
        """Take no further writes until it is opened again: what is stored is not known."""

    def sync(self) -> None:
        """Make everything acknowledged so far durable."""

    def backup(self, path: str) -> None:
        """Copy the whole ledger into a new SQLite file while others write."""

    def changed_sessions(self, cursor: int) -> tuple[int, list[int]]:
        """Keys of sessions that may have grown since `cursor`, and the next cursor."""

    def watch(self, wake: Callable[[Iterable[int] | None], None]) -> Callable[[], None]:
        """Call `wake`, from a thread, when other processes wrote to sessions (their keys;
        `None`: some may have). Gives a function that ends it.
        """

    def health(self) -> list[str]:
        """What the engine's own check finds wrong; empty when nothing."""

    def size(self) -> dict[str, int]:
        """Bytes on disk, by part."""

    def scrub(self) -> None:
        """After an erase: leave no trace of removed rows in the files."""

    def search_index(self) -> Any:
        """The full-text index that belongs to this database."""

    def close(self) -> None:
        """Give everything back. Idempotent."""


# --- named queries -----------------------------------------------------------------------

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


@cache
def queries(dialect: str) -> dict[str, str]:
    """Every named query of a dialect: the shared file, then its overrides. Raises `ValueError`
    for a name that stands twice in one file.
    """
    folder = Path(__file__).parent / "sql"
    found: dict[str, str] = {}
    for file in ("queries.sql", f"queries.{dialect}.sql"):
        text = (folder / file).read_text(encoding="utf-8")
        own: dict[str, str] = {}
        for block in text.split("-- name: ")[1:]:
            head, _, sql = block.partition("\n")
            name = head.split()[0]
            if name in own:
                raise ValueError(f"{file} has two queries called {name}")
            own[name] = sql.strip().rstrip(";")
        found |= own
    return found


def pyformat(sql: str) -> str:
    """`:name` parameters as psycopg writes them."""
    return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))


def positional(sql: str) -> str:
    """The same for values that come in order. Raises `ValueError` when a name stands twice."""
    names = _PARAMETER.findall(sql)
    if len(names) != len(set(names)):
        raise ValueError(f"a parameter stands twice, so its values have no order: {sql}")
    return _PARAMETER.sub("%s", sql.replace("%", "%%"))


# --- group commit ------------------------------------------------------------------------


class Job(msgspec.Struct):
    """A unit on its way through the writer."""

    unit: Callable[[Tx], Any]
    order: int
    done: Callable[[Any], None] | None = None
    value: Any = None
    error: BaseException | None = None
    finished: bool = False

    def result(self) -> Any:
        """What the unit returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.value


class Writer:
    """Commits what is queued, one batch at a time.

    A caller's thread that gets the lock commits everybody's units that wait behind it; the
    others find theirs finished. No unit waits for company: the batch is what is there.
    """

    def __init__(self, commit: Callable[[list[Job]], None]) -> None:
        self._commit = commit
        self._queue: deque[Job] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._closing = False

    def run(self, unit: Unit[T], order: int) -> T:
        """Commit a unit from the caller's thread."""
        job = Job(unit, order)
        self._queue.append(job)
        with self._lock:
            while not job.finished:
                self._drain()
        result: T = job.result()
        return result

    def submit(self, job: Job) -> None:
        """Queue a unit for the writer's own thread, which is started on first use."""
        with self._wake:
            self._queue.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="clew-writer", daemon=True)
                self._thread.start()
            self._wake.notify()

    def close(self) -> None:
        """Commit what is queued and stop the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                if not self._queue:
                    return
            with self._lock:
                self._drain()

    def _drain(self) -> None:
        batch: list[Job] = []
        while self._queue and len(batch) < BATCH_UNITS_MAX:
            batch.append(self._queue.popleft())
        if not batch:
            return
        if len(batch) > 1:
            batch.sort(key=_order)
        try:
            self._commit(batch)
        except BaseException as error:
            for job in batch:
                job.error = job.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for job in batch:
                job.finished = True
                if job.done is not None:
                    # Who waits may be gone, its event loop closed: that is not the others' loss.
                    with contextlib.suppress(Exception):
                        job.done(job)


def _order(job: Job) -> int:
    return job.order


def run_jobs(tx: Tx, jobs: Iterable[Job], savepoint: Callable[[str], None]) -> None:
    """Run each unit under a savepoint of its own: one's failure leaves the others alone."""
    for job in jobs:
        savepoint("savepoint unit")
        try:
            job.value, job.error = job.unit(tx), None
        except Exception as error:  # noqa: BLE001 - it is raised again in the caller's thread
            savepoint("rollback to unit")
            job.error = error
        savepoint("release unit")


def raise_first(jobs: Iterable[Job], kind: type[BaseException]) -> None:
    """Raise what a driver said inside a unit: it speaks of the transaction, not of the unit.

    The job does not keep it, so that it gets the translated error as all the others do.
    """
    for job in jobs:
        if isinstance(job.error, kind):
            error, job.error = job.error, None
            raise error
