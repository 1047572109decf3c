"""The embedded database: SQLite through apsw, one writer connection and a few readers.

WAL; `BEGIN IMMEDIATE` with an own jittered wait (SQLite's is unfair: some wait 180 ms where
this one gives 50); at durability `full` one fsync a commit. WAL checkpoints run on a thread of
their own, beside the append path. After an I/O error at a commit nothing more is written:
what the kernel did with the pages is then unknown.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import apsw

from clew import canonical
from clew.db import migrate
from clew.db.database import Job, Row, Settings, Tx, Unit, Writer, queries, raise_first, run_jobs
from clew.db.files import (
    DAMAGE,
    NETWORK_FILE_SYSTEMS,
    ODD,
    file_system,
    make_private,
    meaning,
    moment,
    parse_url,
    translated,
    wrong_pages,
)
from clew.db.standing import Standing
from clew.db.wal import Checkpointer
from clew.db.watching import Wake, watch_sqlite
from clew.errors import ClewError, Damaged, Invalid, NotFound, ReadOnly, Unavailable

T = TypeVar("T")
log = logging.getLogger("clew.db")

CACHE_KIB = 16_384
READER_CACHE_KIB = 4_096
"""Readers mostly go through what they read once; the system keeps the file's pages, too."""
BACKUP_PAGES = 1024
"""So many at once, before the next thread may run."""
HEADER_BYTES = 100
"""What every SQLite file begins with."""


class Transaction:
    """A `Tx` on one apsw connection. `damaged` is told of what cannot be right, and gives the
    error to raise: a unit may go on after it, but nothing may be committed any more.
    """

    def __init__(
        self, connection: apsw.Connection, damaged: Callable[[Exception], ClewError]
    ) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._sql = queries("sqlite")
        self._damaged = damaged

    def one(self, name: str, /, **values: Any) -> Row | None:
        """See `Tx`."""
        try:
            cursor = self._execute(self._sql[name], values)
            row: Row | None = cursor.fetchone()
            cursor.close()
        except DAMAGE as error:
            raise self._damaged(error) from error
        return row

    def all(self, name: str, /, **values: Any) -> list[Row]:
        """See `Tx`."""
        try:
            found: list[Row] = self._execute(self._sql[name], values).fetchall()
        except DAMAGE as error:
            raise self._damaged(error) from error
        return found

    def run(self, name: str, /, **values: Any) -> int:
        """See `Tx`."""
        try:
            self._execute(self._sql[name], values)
        except DAMAGE as error:
            raise self._damaged(error) from error
        return self._connection.changes()

    def many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """See `Tx`."""
        try:
            self._connection.executemany(self._sql[name], rows)
        except DAMAGE as error:
            raise self._damaged(error) from error

    def fill(self, name: str, rows: Sequence[Row]) -> None:
        """See `Tx`."""
        try:
            self._connection.executemany(self._sql[name], rows)
        except DAMAGE as error:
            raise self._damaged(error) from error


class SQLite:
    """A `Database` in one file."""

    dialect = "sqlite"

    def __init__(self, url: str, settings: Settings) -> None:
        self.path, self._vfs = parse_url(url)
        self.settings = settings
        self.memory = self.path == ":memory:"
        # A relative name would mean another file once the process changes its folder.
        self._file = self.path if self.memory else str(Path(self.path).absolute())
        self.file = None if self.memory else Path(self._file)
        self.url = "" if self.memory or self._vfs else f"sqlite:///{quote(self._file)}"
        self.writable = not settings.read_only
        self.why_read_only = "it was opened read-only" if settings.read_only else ""
        self._pid = os.getpid()
        self._closed = False
        self._readers: list[apsw.Connection] = []
        self._reader_lock = threading.Lock()
        self._checkpointer: Checkpointer | None = None
        self._standing: Standing | None = None
        self._lost = ""
        with translated(self.path):
            self._prepare_file()
            self._connection = self._connect(writer=True)
            if not self.memory:
                self._standing = Standing(self._file)
            self._tx = Transaction(self._connection, self._damaged)
            self._check_version()
            self._use_wal()
        self._writer = Writer(self._commit)
        self._memory_lock = threading.RLock()
        if self._standing is not None and self.writable:
            self._standing.with_journals()
            self._checkpointer = Checkpointer(self)

    # --- opening ---

    def _prepare_file(self) -> None:
        if self.memory:
            return
        file = Path(self._file).resolve()  # a link to where there is nothing yet, too
        if not file.exists():
            if not self.writable:
                raise NotFound(f"{self.path}: there is no ledger here")
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            make_private(file)
        if file.is_dir():
            raise Invalid(f"{self.path} is a folder: name a file in it")
        if 0 < file.stat().st_size < HEADER_BYTES:
            # SQLite would take it for an empty database.
            raise Damaged(f"{self.path} is too short to be a ledger: name another file")
        kind = file_system(file)
        if kind in NETWORK_FILE_SYSTEMS:
            raise Invalid(
                f"{self.path} lies on a network file system ({kind}), where SQLite's locks do not "
                "hold: put the ledger on a local disk, or use postgresql://"
            )

    def _connect(self, *, writer: bool) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        if not self.writable and not self.memory:
            flags = apsw.SQLITE_OPEN_READONLY
        connection = apsw.Connection(self._file, flags=flags, vfs=self._vfs, statementcachesize=256)
        connection.set_busy_timeout(0 if writer else 5_000)
        # One plan for a statement, whatever is bound to it. Else SQLite (with STAT4) makes another
        # for each new value, and a look at one row that way takes twenty times as long.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        cache = CACHE_KIB if writer else READER_CACHE_KIB
        pragmas = [f"cache_size=-{cache}", "foreign_keys=on", "temp_store=memory"]
        if writer and self.writable:
            level = "full" if self.settings.durability == "full" else "normal"
            pragmas += [f"synchronous={level}", "secure_delete=on", "wal_autocheckpoint=0"]
        if not writer:
            pragmas.append("query_only=on")
        for pragma in pragmas:
            connection.pragma(*pragma.split("="))
        return connection

    def _use_wal(self) -> None:
        # Only once the file is known to be ours: the mode is written into it.
        if self.writable and not self.memory:
            self._wait(lambda: self._connection.pragma("journal_mode", "wal"))

    def _check_version(self) -> None:
        if self.writable:
            self._wait(lambda: self._connection.execute("begin immediate"))
        try:
            state = migrate.state(self._tx, self._script, "sqlite", write=self.writable)
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            raise
        if self.writable:
            self._connection.execute("commit")
        if state.newer:
            self.writable = False
            self.why_read_only = state.newer

    def _script(self, sql: str) -> None:
        self._connection.execute(sql)

    # --- reading ---

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """See `Database`."""
        self._check_use()
        if self._look() and self.settings.read_only:
            raise Unavailable(f"{self.path}: {self._lost}: open it again")
        if self.memory:
            with self._memory_lock, translated(self.path):
                yield self._tx
            return
        with self._borrowed() as connection:
            inside = connection.in_transaction
            try:
                with translated(self.path):
                    if not inside:
                        connection.execute("begin")
                    yield Transaction(connection, self._damaged)
            except Damaged as error:
                self.stop(str(error))
                raise
            except ODD as error:
                wrong = wrong_pages(connection)
                if not wrong:
                    raise
                self.stop(f"{self.path} is damaged ({wrong}): writing stopped; run `clew verify`")
                raise Damaged(self.why_read_only) from error
            finally:
                if connection.in_transaction and not inside:
                    connection.execute("rollback")

    @contextmanager
    def _borrowed(self) -> Iterator[apsw.Connection]:
        """A connection for reading. The writer's own where no further one can be opened: in
        memory, and when the file that it has open stands under no name any more.
        """
        if not self.memory and not self._lost:
            with self._reader_lock:
                reader = self._readers.pop() if self._readers else None
            with translated(self.path):
                reader = reader or self._another(writer=False)
            if reader is not None:
                try:
                    yield reader
                finally:
                    self._readers.append(reader)
                return
        with self._memory_lock:
            yield self._connection

    def _another(self, *, writer: bool) -> apsw.Connection | None:
        """One more connection to the file that is open; `None` when its name no longer leads
        there.
        """
        if self._look(now=True):
            return None
        connection = self._connect(writer=writer)
        if self._look(now=True):
            connection.close()
            return None
        return connection

    # --- does the file still stand under its name ---

    def _look(self, *, now: bool = False) -> str:
        """Notice when a file of this database was deleted or replaced, and stop writing then.
        Looks when it is time to, or `now`. Gives what is wrong; "" when nothing.
        """
        standing = self._standing
        if standing is None or self._lost or not (now or time.monotonic() >= standing.due):
            return self._lost
        name = standing.look()
        if name:
            self._lost = f"{name} was deleted or replaced while it was open"
            self.stop(
                f"{self._lost}; what was written since is not on disk under this name: rescue all "
                "of it with `ledger.backup(path)` before this process ends, and open that copy"
            )
            if not self.settings.read_only:
                log.error("clew: %s takes no writes: %s", self.path, self.why_read_only)
        return self._lost

    # --- writing ---

    def write(self, unit: Unit[T], order: int = 0) -> T:
        """See `Database`."""
        self._check_write()
        return self._writer.run(unit, order)

    def submit(self, unit: Unit[T], order: int, done: Callable[[Job], None]) -> None:
        """See `Database`."""
        self._check_write()
        self._writer.submit(Job(unit, order, done))

    def _commit(self, jobs: list[Job]) -> None:
        self._check_write()
        with self._memory_lock:
            try:
                self._transact(jobs)
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                if isinstance(error, (apsw.Error, *DAMAGE)):
                    raise meaning(self.path, error, self.stop) from error
                raise

    def _transact(self, jobs: list[Job]) -> None:
        connection = self._connection
        try:
            connection.execute("begin immediate")
        except apsw.BusyError:
            self._wait(lambda: connection.execute("begin immediate"))
        if len(jobs) == 1:
            jobs[0].value, jobs[0].error = jobs[0].unit(self._tx), None
        else:
            run_jobs(self._tx, jobs, self._script)
            raise_first(jobs, apsw.Error)
        self._look()
        self._check_write()
        connection.execute("commit")
        if self._checkpointer is not None:
            self._checkpointer.after_commit(connection)

    def _wait(self, attempt: Callable[[], Any]) -> None:
        """Try again while another process holds the lock: short, jittered sleeps are fairer
        than SQLite's own growing ones.
        """
        deadline = 0.0
        while True:
            try:
                attempt()
                return
            except apsw.BusyError as error:
                now = time.monotonic()
                deadline = deadline or now + self.settings.busy_ms / 1000
                if now > deadline:
                    raise Unavailable(
                        f"{self.path}: another process held the write lock for "
                        f"{self.settings.busy_ms / 1000:g} s; nothing was written: try again"
                    ) from error
                time.sleep(random.random() * 0.002)  # noqa: S311 - no secret, only jitter

    def stop(self, why: str) -> None:
        """See `Database`."""
        self.writable = False
        self.why_read_only = why

    def _damaged(self, error: Exception) -> ClewError:
        return meaning(self.path, error, self.stop)

    def _check_use(self) -> None:
        if self._closed:
            raise ClewError(f"{self.path}: this ledger was closed: open it again")
        if os.getpid() != self._pid:
            raise ClewError(
                f"{self.path}: this ledger was opened before a fork; SQLite files do not survive "
                "that: open it again in the child process"
            )

    def _check_write(self) -> None:
        self._check_use()
        if not self.writable:
            raise ReadOnly(f"{self.path} takes no writes: {self.why_read_only}")

    # --- care ---

    def sync(self) -> None:
        """See `Database`. One commit at `full` syncs the whole WAL; a checkpoint does not where
        a reader holds it back.
        """
        if self.memory or not self.writable or self.settings.durability == "full":
            return
        with self._memory_lock, translated(self.path, self.stop):
            self._connection.pragma("synchronous", "full")
            try:
                # Never the same value twice: SQLite would find nothing to commit.
                mark = canonical.new_id()
                self._commit([Job(lambda tx: tx.run("meta_set", name="synced", value=mark), 0)])
            finally:
                self._connection.pragma("synchronous", "normal")

    def backup(self, path: str) -> None:
        """See `Database`. SQLite's own page copy, of one moment: without a view that is held, it
        begins anew whenever somebody writes, and comes to no end while somebody always does.
        """
        make_private(path)
        self._look(now=True)
        target = apsw.Connection(path)
        try:
            with self._borrowed() as source, translated(path):
                with moment(source), target.backup("main", source, "main") as copy:
                    while not copy.done:
                        copy.step(BACKUP_PAGES)
                target.pragma("journal_mode", "delete")
        finally:
            target.close()

    def changed_sessions(self, cursor: int) -> tuple[int, list[int]]:
        """See `Database`: there is one writer at a time, so row ids commit in order."""
        with self.read() as tx:
            newest = tx.one("entry_newest")
            top = newest[0] if newest and newest[0] else 0
            if top <= cursor:
                return cursor, []
            return top, [key for (key,) in tx.all("entry_sessions_after", cursor=cursor)]

    def watch(self, wake: Wake) -> Callable[[], None]:
        """See `Database`: what is in memory nobody else writes to."""
        return (lambda: None) if self.memory else watch_sqlite(self, wake)

    @contextmanager
    def counter(self) -> Iterator[Callable[[], int]]:
        """A function that gives another number after any other connection's commit."""
        connection = self._another(writer=False)
        if connection is None:
            yield lambda: 0  # nobody else writes to a file that has no name
            return
        try:
            yield lambda: int(connection.pragma("data_version"))
        finally:
            connection.close()

    def health(self) -> list[str]:
        """See `Database`."""
        lost = self._look(now=True)
        with self._borrowed() as connection:
            try:
                found = [str(row[0]) for row in connection.execute("pragma integrity_check(20)")]
            except apsw.Error as error:
                found = [str(error)]
        wrong = [self.why_read_only] if lost else []
        return wrong + ([] if found == ["ok"] else found)

    def size(self) -> dict[str, int]:
        """See `Database`."""
        if self.memory:
            pages = self._connection.pragma("page_count") * self._connection.pragma("page_size")
            return {"database": int(pages)}
        parts = {"database": "", "wal": "-wal", "search": "-search", "search-wal": "-search-wal"}
        sizes = {name: Path(self._file + suffix) for name, suffix in parts.items()}
        return {name: file.stat().st_size for name, file in sizes.items() if file.exists()}

    def scrub(self) -> None:
        """See `Database`: `secure_delete` zeroed the pages; a truncated WAL holds no old ones."""
        if not self.memory:
            with self._memory_lock, translated(self.path):
                mode = apsw.SQLITE_CHECKPOINT_TRUNCATE
                self._wait(lambda: self._connection.wal_checkpoint(mode=mode))

    def search_index(self) -> Any:
        """See `Database`: a file of its own beside the ledger, which may go at any time."""
        from clew.db.search_sqlite import SQLiteIndex

        return SQLiteIndex(":memory:" if self.memory else self._file + "-search", self._vfs)

    def close(self) -> None:
        """See `Database`."""
        if self._closed or os.getpid() != self._pid:
            return
        self._writer.close()
        if self._checkpointer is not None:
            self._checkpointer.close()
        self._look(now=True)
        self._closed = True
        with self._reader_lock, translated(self.path):
            for reader in self._readers:
                reader.close()
            self._connection.close()
