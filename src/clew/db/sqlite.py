"""The embedded database: SQLite through apsw, one writer connection and a few readers.

WAL; `BEGIN IMMEDIATE` with an own jittered wait (SQLite's is unfair: some wait 180 ms where
this one gives 50); at durability `full` one fsync a commit. WAL checkpoints run on a thread of
their own, beside the append path. After an I/O error at a commit nothing more is written:
what the kernel did with the pages is then unknown.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import apsw

from clew.db import migrate
from clew.db.database import Job, Row, Settings, Tx, Unit, Writer, queries, run_jobs
from clew.errors import ClewError, Damaged, Invalid, NotFound, ReadOnly, Unavailable

T = TypeVar("T")

WAL_PAGES = 1000
"""From here on the checkpointer is woken (4 MB)."""
WAL_PAGES_MAX = 16_000
"""From here on the writer checkpoints itself: the thread does not keep up."""
CACHE_KIB = 16_384
NETWORK_FILE_SYSTEMS = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "afs",
        "ncpfs",
        "lustre",
        "glusterfs",
        "fuse.sshfs",
        "fuse.glusterfs",
    ]
)


def parse_url(url: str) -> tuple[str, str | None]:
    """`sqlite:///relative.db`, `sqlite:////absolute.db` or `sqlite:///:memory:` as a path,
    and the VFS that `?vfs=` names.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or path == "/":
        raise Invalid(f"{url!r}: write sqlite:///relative.db or sqlite:////absolute/path.db")
    vfs = parse_qs(parts.query).get("vfs", [None])[0]
    return path[1:], vfs


class Transaction:
    """A `Tx` on one apsw connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._sql = queries("sqlite")

    def one(self, name: str, /, **values: Any) -> Row | None:
        """See `Tx`."""
        cursor = self._execute(self._sql[name], values)
        row: Row | None = cursor.fetchone()
        cursor.close()
        return row

    def all(self, name: str, /, **values: Any) -> list[Row]:
        """See `Tx`."""
        found: list[Row] = self._execute(self._sql[name], values).fetchall()
        return found

    def run(self, name: str, /, **values: Any) -> int:
        """See `Tx`."""
        self._execute(self._sql[name], values)
        return self._connection.changes()

    def many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """See `Tx`."""
        self._connection.executemany(self._sql[name], rows)


class SQLite:
    """A `Database` in one file."""

    dialect = "sqlite"

    def __init__(self, url: str, settings: Settings) -> None:
        self.path, self._vfs = parse_url(url)
        self.settings = settings
        self.memory = self.path == ":memory:"
        self.writable = not settings.read_only
        self.why_read_only = "it was opened read-only" if settings.read_only else ""
        self._pid = os.getpid()
        self._closed = False
        self._readers: list[apsw.Connection] = []
        self._reader_lock = threading.Lock()
        self._checkpointer: Checkpointer | None = None
        with translated(self.path):
            self._prepare_file()
            self._connection = self._connect(writer=True)
            self._tx = Transaction(self._connection)
            self._check_version()
        self._writer = Writer(self._commit)
        self._memory_lock = threading.RLock()
        if not self.memory and self.writable:
            self._checkpointer = Checkpointer(self)

    # --- opening ---

    def _prepare_file(self) -> None:
        if self.memory:
            return
        file = Path(self.path)
        if not file.exists():
            if not self.writable:
                raise NotFound(f"{self.path}: there is no ledger here")
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made here and not by SQLite, so that nobody else can ever read it.
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        if file.is_dir():
            raise Invalid(f"{self.path} is a folder: name a file in it")
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
        connection = apsw.Connection(self.path, flags=flags, vfs=self._vfs, statementcachesize=256)
        connection.set_busy_timeout(0 if writer else 5_000)
        pragmas = [f"cache_size=-{CACHE_KIB}", "foreign_keys=on", "temp_store=memory"]
        if writer and self.writable:
            level = "full" if self.settings.durability == "full" else "normal"
            pragmas += [f"synchronous={level}", "secure_delete=on", "wal_autocheckpoint=0"]
        if not writer:
            pragmas.append("query_only=on")
        for pragma in pragmas:
            connection.pragma(*pragma.split("="))
        if writer and self.writable and not self.memory:
            self._wait(lambda: connection.pragma("journal_mode", "wal"))
        return connection

    def _check_version(self) -> None:
        with self._locked(self._connection) if self.writable else _nothing():
            state = migrate.state(self._tx, self._script, "sqlite", write=self.writable)
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
        if self.memory:
            with self._memory_lock, translated(self.path):
                yield self._tx
            return
        connection = self._reader()
        try:
            with translated(self.path):
                connection.execute("begin")
                yield Transaction(connection)
        finally:
            if connection.in_transaction:
                connection.execute("rollback")
            self._readers.append(connection)

    def _reader(self) -> apsw.Connection:
        with self._reader_lock:
            if self._readers:
                return self._readers.pop()
        with translated(self.path):
            return self._connect(writer=False)

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
        connection = self._connection
        with self._memory_lock, translated(self.path, self._stop), self._locked(connection):
            if len(jobs) == 1:
                jobs[0].value, jobs[0].error = jobs[0].unit(self._tx), None
            else:
                run_jobs(self._tx, jobs, self._script)

    @contextmanager
    def _locked(self, connection: apsw.Connection) -> Iterator[None]:
        self._wait(lambda: connection.execute("begin immediate"))
        try:
            yield
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
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

    def _stop(self, why: str) -> None:
        """No further writes: what the disk holds is not known any more."""
        self.writable = False
        self.why_read_only = why

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
        """See `Database`: checkpointing fsyncs the WAL and the file."""
        if self.memory or not self.writable:
            return
        with self._memory_lock, translated(self.path, self._stop):
            self._wait(lambda: self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE))

    def backup(self, path: str) -> None:
        """See `Database`. SQLite's own backup: a page copy that restarts where others write."""
        with translated(path), self.read():
            target = apsw.Connection(path)
            try:
                source = self._connection if self.memory else self._reader()
                with target.backup("main", source, "main") as copy:
                    while not copy.done:
                        copy.step(1024)
                target.pragma("journal_mode", "delete")
            finally:
                target.close()
        Path(path).chmod(0o600)

    def changed_sessions(self, cursor: int) -> tuple[int, list[int]]:
        """See `Database`: there is one writer at a time, so row ids commit in order."""
        with self.read() as tx:
            newest = tx.one("entry_newest")
            top = newest[0] if newest and newest[0] else 0
            if top <= cursor:
                return cursor, []
            return top, [key for (key,) in tx.all("entry_sessions_after", cursor=cursor)]

    def health(self) -> list[str]:
        """See `Database`."""
        connection = self._connection if self.memory else self._reader()
        try:
            found = [row[0] for row in connection.execute("pragma integrity_check(20)")]
        except apsw.Error as error:
            found = [str(error)]
        return [] if found == ["ok"] else [str(line) for line in found]

    def size(self) -> dict[str, int]:
        """See `Database`."""
        if self.memory:
            pages = self._connection.pragma("page_count") * self._connection.pragma("page_size")
            return {"database": int(pages)}
        parts = {"database": "", "wal": "-wal", "search": "-search", "search-wal": "-search-wal"}
        sizes = {name: Path(self.path + suffix) for name, suffix in parts.items()}
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

        return SQLiteIndex(":memory:" if self.memory else self.path + "-search")

    def close(self) -> None:
        """See `Database`."""
        if self._closed or os.getpid() != self._pid:
            return
        self._writer.close()
        if self._checkpointer is not None:
            self._checkpointer.close()
        self._closed = True
        with self._reader_lock:
            for reader in self._readers:
                reader.close()
        self._connection.close()


class Checkpointer:
    """Moves WAL pages into the file on a thread of its own, so that no append pays for it."""

    def __init__(self, database: SQLite) -> None:
        self._database = database
        self._wake = threading.Event()
        self._closing = False
        self._pages = 0
        self._thread: threading.Thread | None = None
        database._connection.set_wal_hook(self._hook)

    def _hook(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return 0

    def after_commit(self, connection: apsw.Connection) -> None:
        """Called by the writer behind every commit; costs a comparison."""
        if self._pages < WAL_PAGES:
            return
        if self._pages >= WAL_PAGES_MAX:
            self._checkpoint(connection)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="clew-wal", daemon=True)
            self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def _loop(self) -> None:
        connection = self._database._connect(writer=True)
        # `close` sets `_closing` first: a wake-up that is cleared below is not needed then.
        while not self._closing:
            self._wake.wait()
            if self._closing:
                break
            # First the bulk, beside the writer; then, while the writer waits for a moment, the
            # few pages that came meanwhile: only a WAL moved as a whole is begun anew.
            self._checkpoint(connection)
            with self._database._memory_lock:
                self._checkpoint(connection)
                self._pages = 0
                self._wake.clear()
        connection.close()

    def _checkpoint(self, connection: apsw.Connection) -> None:
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.BusyError, apsw.LockedError):
            return  # another process is at it: that one's work is as good
        except apsw.Error as error:
            self._database._stop(f"a WAL checkpoint failed ({error}): reopen and verify")

    def close(self) -> None:
        """Stop the thread."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def translated(path: str, stop: Callable[[str], None] | None = None) -> Iterator[None]:
    """Every apsw error as one of ours; `stop` is called when nothing more may be written."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError) as error:
        why = f"{path} is damaged or no ledger ({error}): writing stopped; run `clew verify`"
        if stop:
            stop(why)
        raise Damaged(why) from error
    except apsw.IOError as error:
        why = (
            f"{path}: the disk failed ({error}); the last write may or may not be stored: reopen "
            "the ledger and repeat it with the same idempotency key"
        )
        if stop:
            stop(why)
        raise Unavailable(why) from error
    except apsw.FullError as error:
        raise Unavailable(f"{path}: the disk is full; nothing was written: free space") from error
    except apsw.ReadOnlyError as error:
        raise ReadOnly(f"{path} cannot be written ({error})") from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise Unavailable(f"{path} is busy ({error}): try again") from error
    except (apsw.CantOpenError, PermissionError) as error:
        raise Unavailable(f"{path} cannot be opened ({error}): check its folder and rights") from (
            error
        )


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`, or "" where the kernel does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    resolved = str(path.resolve())
    best, kind = -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) > best:
            best, kind = len(point), right.split()[0]
    return kind
