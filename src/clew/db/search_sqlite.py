"""The full-text index on SQLite: FTS5 in a file of its own beside the ledger.

The file is a projection: it may be deleted at any time, with or without its `-wal`, and is
built again. FTS5 keeps no text here, only where words stand; it is given words that are
already tokenised, joined by spaces, one column a kind and one for what filters ask (`s12 p3
t…`), so that a filter is a term of the query and not a join.

Row ids go by time: seconds times 1,024 plus a number within the second. So newest-first is
the order of the row ids, and `since`/`until` are a range of them. A second that is full flows
over into the next ones; `overflow` remembers how far that ever went.
"""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from clew.db.files import make_private
from clew.db.fts5 import Rendered, rendered, scope_of
from clew.errors import ClewError, Unavailable
from clew.search import words
from clew.search.documents import KINDS, passages
from clew.search.index import (
    RANK_WINDOW,
    Doc,
    Filters,
    IndexUnavailable,
    Match,
    Order,
    Witness,
)
from clew.search.query import Node, Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

LAYOUT = 2
"""Of the tables below; together with `words.VERSION` it says whether a file can be used."""
APPLICATION_ID = 0x636C6578
SLOT_BITS = 10
SECOND_MAX = 1 << 45
TIME_MIN, TIME_MAX = -(1 << 63), (1 << 63) - 1
BUSY_MS = 5_000
LIVE_DOCS = 100
"""A batch of so few comes from somebody who is writing now. Giving way costs 90 µs each time,
too much for the big batches of a rebuild.
"""
CACHE_KIB = 16_384
FREQUENCY_MAX = 2_000
"""Words in more passages than this are all equally common; counting them all takes too long."""
WEIGHTS = {"user": 2.0, "assistant": 2.0, "tool_result": 0.7}
_SATURATION, _LENGTH = 1.2, 0.75

COLUMNS = ("tool_result", *(kind for kind in KINDS if kind != "tool_result"))
"""The kinds as FTS5 has them: a word in the first column takes two bytes less, and half of all
words are results of tools.
"""
SETTLED_DOCS = 100_000
"""An index of more passages is left as FTS5's own merging leaves it."""
SETTLED_SHARE = 4
"""All of an index is merged behind a process that added more than one passage in so many."""
_TABLES = f"""
CREATE VIRTUAL TABLE words USING fts5(
    {", ".join(COLUMNS)}, scope, content='', contentless_delete=1, tokenize='ascii'
);
CREATE TABLE doc(
    rowid INTEGER PRIMARY KEY, entry INTEGER, session INTEGER, seq INTEGER, time_ms INTEGER
);
CREATE INDEX doc_entry ON doc(entry);
CREATE TABLE mark(session INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE state(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO state VALUES ('entries', 0), ('overflow', 0);
"""
_INSERT = (
    f"INSERT INTO words(rowid, {', '.join(COLUMNS)}, scope) VALUES (?{', ?' * len(COLUMNS)}, ?)"
)
_NEWEST = """
SELECT doc.entry, doc.session, doc.seq, doc.time_ms
FROM words CROSS JOIN doc ON doc.rowid = words.rowid
WHERE words MATCH :query AND words.rowid BETWEEN :low AND :high
    AND doc.time_ms >= :since AND doc.time_ms < :until
ORDER BY words.rowid DESC
"""
_RANKED = """
SELECT relevance(words), rowid FROM words
WHERE words MATCH :query AND rowid BETWEEN :low AND :high
ORDER BY rowid DESC LIMIT :window
"""
FREE_SHARE = 8
"""A file is made smaller when more than one page in so many is free."""
GIVEN_BACK_PAGES = 20_000
"""So many at once: at most a second or so."""
_DOC = """
SELECT entry, session, seq, time_ms FROM doc
WHERE rowid = ? AND time_ms >= ? AND time_ms < ?
"""


class SQLiteIndex:
    """An `Index` in the file `path`, opened when first used; `:memory:` lives in memory."""

    def __init__(self, path: str, vfs: str | None = None) -> None:
        self.path = path
        self._vfs = vfs
        self._memory = path == ":memory:"
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.RLock()
        self._writer: apsw.Connection | None = None
        self._readers: list[_Reader] = []
        self._inode = 0
        self._added = 0

    # --- opening ---

    def _open(self) -> apsw.Connection:
        """The writer's connection. Opens the file, or opens it anew when it was replaced."""
        if self._closed:
            raise ClewError(f"{self.path}: this search index was closed: open the ledger again")
        if os.getpid() != self._pid:
            raise ClewError(
                f"{self.path}: this search index was opened before a fork; open the ledger again "
                "in the child process"
            )
        if self._writer is not None and (self._memory or self._inode == _inode(self.path)):
            return self._writer
        self._release()
        if not self._memory:
            make_private(self.path)
        writer = self._connect()
        try:
            self._prepare(writer)
        except BaseException:
            writer.close()
            raise
        self._writer, self._inode = writer, _inode(self.path)
        return writer

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(self.path, vfs=self._vfs)
        connection.set_busy_timeout(BUSY_MS)
        # It can be built again, so a power cut may cost the newest commits but not an fsync each.
        for pragma in ("synchronous=normal", "secure_delete=on", f"cache_size=-{CACHE_KIB}"):
            connection.pragma(*pragma.split("="))
        return connection

    def _settle(self) -> None:
        """Merge the parts of an index of which a good share is new: every part repeats the words
        that it shares with others, up to a sixth of the file. At most some 700 ms, and no more
        than a third of what it took to add them.
        """
        writer = self._writer
        if writer is None or self._memory or not self._added:
            return
        with suppress(apsw.Error):  # it is no smaller then, and nothing else
            writer.set_busy_timeout(0)
            ((total,),) = _rows(writer, "SELECT count(*) FROM doc")
            if self._added * SETTLED_SHARE > total and total <= SETTLED_DOCS:
                writer.execute("INSERT INTO words(words) VALUES ('optimize')")

    def _give_back(self) -> None:
        """Give back to the disk what merging has left free, a part of it at a time."""
        writer = self._writer
        if writer is None or self._memory:
            return
        with suppress(apsw.Error):  # another process may write: its own close comes
            writer.set_busy_timeout(0)
            free = writer.pragma("freelist_count")
            if free * FREE_SHARE > writer.pragma("page_count"):
                writer.execute(f"PRAGMA incremental_vacuum({GIVEN_BACK_PAGES})").fetchall()

    def _prepare(self, connection: apsw.Connection) -> None:
        version = LAYOUT * 1000 + words.VERSION
        if not self._memory:
            connection.pragma("auto_vacuum", "incremental")  # of a new file only
            connection.pragma("journal_mode", "wal")
        found = connection.pragma("user_version")
        if found == version and connection.pragma("application_id") == APPLICATION_ID:
            return
        if found > version:
            raise IndexUnavailable(f"{self.path} was made by a newer Clew: use that one to search")
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.pragma("user_version") != version:
                for (name,) in connection.execute(
                    "SELECT name FROM sqlite_schema WHERE type = 'table' AND "
                    "name IN ('words', 'doc', 'mark', 'state')"
                ).fetchall():
                    connection.execute(f"DROP TABLE {name}")
                connection.execute(_TABLES)
                connection.pragma("user_version", version)
                connection.pragma("application_id", APPLICATION_ID)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _release(self) -> None:
        for reader in self._readers:
            reader.connection.close()
        self._readers.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def close(self) -> None:
        """See `Index`."""
        with self._lock:
            if not self._closed and os.getpid() == self._pid:
                self._settle()
                self._give_back()
                self._release()
            self._closed = True

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        with self._lock, translated(self.path):
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[_Reader]:
        with translated(self.path):
            with self._lock:
                writer = self._open()
                if not self._memory:
                    reader = self._readers.pop() if self._readers else _Reader(self._connect())
                    inode = self._inode
            if self._memory:
                with self._lock:
                    yield _Reader(writer)
                return
            try:
                # One view for all statements: passages get other row ids when added again.
                reader.connection.execute("BEGIN")
                yield reader
            finally:
                if reader.connection.in_transaction:
                    reader.connection.execute("ROLLBACK")
                with self._lock:
                    if inode == self._inode and not self._closed and self._writer is not None:
                        self._readers.append(reader)
                    else:
                        reader.connection.close()

    # --- feeding ---

    def add(
        self, docs: Sequence[Doc], marks: Mapping[int, int], witness: Witness | None = None
    ) -> None:
        """See `Index`."""
        newest = {doc.entry: doc for doc in docs}
        made = []
        for doc in newest.values():
            made.append((doc, passages(doc.texts)))
            if len(newest) <= LIVE_DOCS:
                time.sleep(0)  # a writer that waits for the interpreter gets it here
        with self._writing() as connection:
            gone = _remove(connection, newest)
            fresh = _insert(connection, made)
            _shift(connection, "entries", fresh - gone)
            self._added += fresh
            connection.executemany(
                "INSERT INTO mark VALUES (?, ?) "
                "ON CONFLICT(session) DO UPDATE SET seq = max(seq, excluded.seq)",
                list(marks.items()),
            )
            if witness is not None:
                _bear(connection, witness)

    def witness(self) -> Witness | None:
        """See `Index`: this file and the ledger's are put back, and lost, one by one."""
        with self._reading() as reader:
            rows = dict(_rows(reader.connection, "SELECT name, value FROM state"))
        return Witness(rows["witness"], rows["print"]) if "witness" in rows else None

    def marks(self) -> dict[int, int]:
        """See `Index`."""
        with self._reading() as reader:
            return dict(_rows(reader.connection, "SELECT session, seq FROM mark"))

    def count(self) -> int:
        """See `Index`."""
        with self._reading() as reader:
            return _state(reader.connection, "entries")

    def forget(self, entries: Sequence[int]) -> None:
        """See `Index`. FTS5 only notes which rows are gone until their part of the index is
        merged, so all of it is merged: some 7 s for a million documents, whatever the number
        of entries. Raises `Unavailable` while a reader holds the WAL; call it again then.
        """
        with self._writing() as connection:
            gone = _remove(connection, entries)
            _shift(connection, "entries", -gone)
            if gone:
                connection.execute("INSERT INTO words(words) VALUES ('optimize')")
        self._truncate()

    def clear(self) -> None:
        """See `Index`. Locks are honoured: other processes may have the file open."""
        with self._lock, translated(self.path):
            self._release()
            if not self._memory:
                self._reset()
            self._open()
        self._truncate()

    def _reset(self) -> None:
        """Empty the file whatever it holds, by SQLite's own means for damaged files."""
        make_private(self.path)
        connection = apsw.Connection(self.path, vfs=self._vfs)
        try:
            connection.set_busy_timeout(BUSY_MS)
            with suppress(apsw.Error):  # reads the schema, if it can be read: keeps WAL mode
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 1)
            connection.execute("VACUUM")
            connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 0)
        finally:
            connection.close()

    def _truncate(self) -> None:
        if self._memory:
            return
        with self._lock, translated(self.path):
            self._open().wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    # --- finding ---

    def find(self, query: Node, filters: Filters, *, order: Order, limit: int) -> list[Match]:
        """See `Index`. Newest-first is exact to the second; ties go by arrival."""
        asked = rendered(query, filters)
        if asked is None:
            return []
        since = TIME_MIN if filters.since_ms is None else filters.since_ms
        until = TIME_MAX if filters.until_ms is None else filters.until_ms
        with self._reading() as reader:
            values = {"query": asked.text, "since": since, "until": until}
            values["low"] = _second(since) << SLOT_BITS
            last = _second(until) + _state(reader.connection, "overflow") + 1
            values["high"] = last << SLOT_BITS
            if order == "newest":
                return _newest(reader.connection.execute(_NEWEST, values), limit)
            reader.prepare(asked)
            values["window"] = RANK_WINDOW
            return _best(reader.connection, values, limit)


def _newest(rows: Iterable[tuple[Any, ...]], limit: int) -> list[Match]:
    """The first `limit` entries; the rest of the rows is never computed."""
    found: dict[int, Match] = {}
    for row in rows:
        if row[0] not in found:
            if len(found) == limit:
                break
            found[row[0]] = Match(*row)
    return sorted(found.values(), key=lambda match: -match.time_ms)


def _best(connection: apsw.Connection, values: dict[str, Any], limit: int) -> list[Match]:
    """The best of the window. What a passage belongs to is looked up for these only."""
    found: dict[int, Match] = {}
    for score, rowid in sorted(_rows(connection, _RANKED, values), reverse=True):
        if len(found) == limit:
            break
        for row in _rows(connection, _DOC, (rowid, values["since"], values["until"])):
            if row[0] not in found:
                found[row[0]] = msgspec.structs.replace(Match(*row), score=score)
    return list(found.values())


# --- rows ----------------------------------------------------------------------------------


def _insert(
    connection: apsw.Connection, made: Sequence[tuple[Doc, list[dict[str, list[str]]]]]
) -> int:
    """Write the passages, in the order of their row ids: FTS5 flushes when one goes back."""
    place = _Places(connection)
    rows: list[tuple[Any, ...]] = []
    docs: list[tuple[int, ...]] = []
    for doc, parts in made:
        scope = scope_of(doc)
        for part in parts:
            rowid = place.next(_second(doc.time_ms))
            texts = [" ".join(part[kind]) if kind in part else None for kind in COLUMNS]
            rows.append((rowid, *texts, scope))
            docs.append((rowid, doc.entry, doc.session, doc.seq, doc.time_ms))
    rows.sort(key=lambda row: row[0])
    docs.sort()
    connection.executemany(_INSERT, rows)
    connection.executemany("INSERT INTO doc VALUES (?, ?, ?, ?, ?)", docs)
    place.remember()
    return sum(1 for _, parts in made if parts)


def _remove(connection: apsw.Connection, entries: Iterable[int]) -> int:
    """Delete the passages of the entries; gives how many entries were there."""
    gone = 0
    for entry in entries:
        found = _rows(connection, "SELECT rowid FROM doc WHERE entry = ?", (entry,))
        if found:
            connection.executemany("DELETE FROM words WHERE rowid = ?", found)
            connection.executemany("DELETE FROM doc WHERE rowid = ?", found)
            gone += 1
    return gone


class _Places:
    """Gives out free row ids by second."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._free: dict[int, int] = {}
        self._later: dict[int, int] = {}
        self._overflow = 0

    def next(self, second: int) -> int:
        at = second
        while True:
            at = self._later.get(at, at)
            rowid = self._first_free(at)
            if rowid >> SLOT_BITS == at:
                break
            self._later[at] = at + 1
            at += 1
        self._free[at] = rowid + 1
        if at > second:
            self._later[second] = at
            self._overflow = max(self._overflow, at - second)
        return rowid

    def _first_free(self, second: int) -> int:
        if second not in self._free:
            begin = second << SLOT_BITS
            ((last,),) = _rows(
                self._connection,
                "SELECT max(rowid) FROM doc WHERE rowid >= ? AND rowid < ?",
                (begin, begin + (1 << SLOT_BITS)),
            )
            self._free[second] = begin if last is None else last + 1
        return self._free[second]

    def remember(self) -> None:
        if self._overflow:
            self._connection.execute(
                "UPDATE state SET value = max(value, ?) WHERE name = 'overflow'",
                (self._overflow,),
            )


def _rows(connection: apsw.Connection, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
    return connection.execute(sql, values).fetchall()


def _second(time_ms: int) -> int:
    return min(max(time_ms, 0) // 1000, SECOND_MAX)


def _state(connection: apsw.Connection, name: str) -> int:
    ((value,),) = _rows(connection, "SELECT value FROM state WHERE name = ?", (name,))
    return int(value)


def _bear(connection: apsw.Connection, witness: Witness) -> None:
    known = _rows(connection, "SELECT value FROM state WHERE name = 'witness'")
    if not known or known[0][0] < witness.entry:
        rows = [("witness", witness.entry), ("print", witness.print)]
        connection.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", rows)


def _shift(connection: apsw.Connection, name: str, by: int) -> None:
    if by:
        connection.execute("UPDATE state SET value = value + ? WHERE name = ?", (by, name))


def _inode(path: str) -> int:
    try:
        return Path(path).stat().st_ino
    except OSError:
        return 0


# --- relevance -----------------------------------------------------------------------------


class _Reader:
    """A connection with the ranking function. FTS5's own `bm25` counts every phrase in the
    whole index before the first row (200 ms for a common word in a million documents); this
    one counts words up to a limit, and looks only at the rows that it is called for.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._frequency: list[tuple[int, int]] = []
        self._rarity: list[tuple[int, float]] | None = None
        self._length = 1.0
        connection.register_fts5_function("relevance", self._relevance)

    def prepare(self, asked: Rendered) -> None:
        """Count how common the words of a query are."""
        counted = [(at, phrase) for at, phrase in enumerate(asked.phrases) if phrase]
        self._rarity = None
        if len(counted) == 1:
            self._frequency = [(counted[0][0], 1)]
        else:
            self._frequency = [(at, self._passages_with(phrase)) for at, phrase in counted]

    def _passages_with(self, phrase: Words) -> int:
        """At most `FREQUENCY_MAX`; of a phrase, its rarest word counts."""
        last = len(phrase.tokens) - phrase.prefix
        return min(map(self._frequency_of, phrase.tokens[:last]), default=FREQUENCY_MAX)

    def _frequency_of(self, token: str) -> int:
        ((number,),) = _rows(
            self.connection,
            "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)",
            (f'- scope : "{token}"', FREQUENCY_MAX),
        )
        return int(number)

    def _relevance(self, row: apsw.FTS5ExtensionApi, *_: apsw.SQLiteValue) -> float:
        """Okapi BM25 (k1 = 1.2, b = 0.75), with the kinds weighted."""
        if self._rarity is None:
            total = row.row_count
            self._rarity = [
                (at, math.log1p((max(total - n, 0) + 0.5) / (n + 0.5))) for at, n in self._frequency
            ]
            self._length = max(row.column_total_size(-1) / max(total, 1), 1.0)
        damping = _SATURATION * (1 - _LENGTH + _LENGTH * row.column_size(-1) / self._length)
        score = 0.0
        for at, rarity in self._rarity:
            times = 0.0
            for kind, places in zip(COLUMNS, row.phrase_locations(at), strict=False):
                if places:
                    times += len(places) * WEIGHTS.get(kind, 1.0)
            score += rarity * times * (_SATURATION + 1) / (times + damping)
        return score


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Every apsw error as one of ours."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise Unavailable(f"{path}: another process holds it ({error}): try again") from error
    except (apsw.Error, OSError) as error:
        raise IndexUnavailable(
            f"{path}: the search index cannot be used ({error}); the ledger itself is not "
            "touched: rebuild the index"
        ) from error
