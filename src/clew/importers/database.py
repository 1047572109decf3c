"""Foreign SQLite databases: read-only, by an allow-list of tables, without a lock held.

They hold credentials too, so a table that is not named cannot be read, whatever a query or a
view in the file says. The file may be in use: nothing is changed in it or beside it, and where
reading would be in a writer's way a copy is read (`private`). Schemas are hostile: functions,
triggers and virtual tables that a file brings along do not run.
"""

from __future__ import annotations

import base64
import os
import re
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import apsw
import msgspec

from clew.canonical import content_id, parse
from clew.errors import Invalid
from clew.importers import private, sight
from clew.importers.facts import without_credentials

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from clew.model import JSON

SUFFIXES: Final = (".db", ".sqlite", ".sqlite3", ".db3")
BUSY_MS: Final = 2_000
VALUE_BYTES_MAX: Final = 256 << 20
"""A larger value is refused by the database itself."""

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_WAL = 2
_PLAIN, _QUIET, _WHOLE, _STEPS = "in place", "as it lies", "a copy of its files", "a copy"
_COPIES = (_WHOLE, _STEPS)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_KINDS: Final = ("table", "view")
_SCHEMA = frozenset({"sqlite_master", "sqlite_schema"})
_ALLOWED_ACTIONS = frozenset(
    {apsw.SQLITE_SELECT, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE, apsw.SQLITE_TRANSACTION}
)
_FUNCTIONS = frozenset(
    [
        "abs",
        "cast",
        "coalesce",
        "count",
        "current_date",
        "current_time",
        "current_timestamp",
        "date",
        "datetime",
        "group_concat",
        "hex",
        "ifnull",
        "iif",
        "instr",
        "json",
        "json_array_length",
        "json_extract",
        "json_type",
        "json_valid",
        "julianday",
        "length",
        "like",
        "lower",
        "max",
        "min",
        "nullif",
        "quote",
        "round",
        "row_number",
        "strftime",
        "substr",
        "sum",
        "time",
        "total",
        "trim",
        "typeof",
        "unixepoch",
        "upper",
    ]
)
"""Functions that only compute. A file's own schema uses them too (defaults, generated columns)."""


class Unreadable(Invalid):
    """A database that is there and cannot be read; `cause` says why, and how to mend it."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(f"{path} cannot be read: {cause}")
        self.cause = cause


class Database:
    """A foreign database, of which some tables may be read. `briefly` is for a look at what
    tables there are, which waits so many milliseconds for a lock.
    """

    def __init__(self, path: Path, tables: Collection[str], *, briefly: int | None = None) -> None:
        self._path = path
        self._tables = frozenset(tables)
        with ExitStack() as held:
            self._connection = _connected(path, held, briefly)
            self._connection.authorizer = self._may
            self.tables: Final = self._columns()
            """The allowed tables that are there, each with the names of its columns."""
            self._held = held.pop_all()

    def close(self) -> None:
        """Let go of the file."""
        self._held.close()

    def schema(self) -> sight.Schema:
        """All tables and views that are there, with the columns of those that are tables."""
        found = self.rows("select name, type, sql from sqlite_master where type in (?, ?)", *_KINDS)
        return {
            str(row["name"]): frozenset(self._names(str(row["name"])))
            if row["type"] == "table" and not _is_virtual(row["sql"])
            else None
            for row in found
        }

    def rows(self, query: str, *values: int | str | bytes | None) -> list[dict[str, Any]]:
        """All rows of a query, by the names of its columns; values are those of SQLite. Text
        that is no UTF-8 reads with replacements. Raises `Invalid` when it cannot be read.
        """
        with _told(self._path):
            cursor = self._connection.execute(query, values)
            names: list[str] = []
            found: list[dict[str, Any]] = []
            try:
                for row in cursor:
                    names = names or [column[0] for column in cursor.get_description()]
                    found.append(dict(zip(names, row, strict=True)))
            except UnicodeDecodeError:
                return self._mended(query, values)
            return found

    def _mended(
        self, query: str, values: tuple[int | str | bytes | None, ...]
    ) -> list[dict[str, Any]]:
        """The same where some text is no UTF-8: all of it read as bytes."""
        names = [c[0] for c in self._connection.execute(query, values).get_description()]
        each = ", ".join(
            f"""case typeof("{name}") when 'text' then 't' else '' end, """
            f"""case typeof("{name}") when 'text' then cast("{name}" as blob) else "{name}" end"""
            for name in names
        )
        rows = self._connection.execute(f"select {each} from ({query})", values)
        return [
            {
                name: bytes(value).decode("utf-8", "replace") if kind else value
                for name, kind, value in zip(names, row[::2], row[1::2], strict=True)
            }
            for row in rows
        ]

    def _columns(self) -> dict[str, frozenset[str]]:
        found = self.rows("select name, sql from sqlite_master where type = 'table'")
        there = [
            str(row["name"])
            for row in found
            if row["name"] in self._tables and not _is_virtual(row["sql"])
        ]
        return {name: frozenset(self._names(name)) for name in there if _NAME.match(name)}

    def _names(self, table: str) -> list[str]:
        return [row["name"] for row in self.rows("select name from pragma_table_info(?)", table)]

    def _may(self, action: int, one: str | None, two: str | None, *_rest: str | None) -> int:
        """What a statement may do: SQLite asks for each table and function when it is prepared."""
        if action == apsw.SQLITE_READ:
            allowed = one in self._tables or one in _SCHEMA or one == "pragma_table_info"
        elif action == apsw.SQLITE_PRAGMA:
            allowed = one == "table_info"
        elif action == apsw.SQLITE_FUNCTION:
            allowed = two is not None and two.lower() in _FUNCTIONS
        else:
            allowed = action in _ALLOWED_ACTIONS
        return apsw.SQLITE_OK if allowed else apsw.SQLITE_DENY


@contextmanager
def opened(path: Path, tables: Collection[str]) -> Iterator[Database]:
    """A foreign database for reading but these tables. Raises `Invalid` when it is none."""
    database = Database(path, tables)
    try:
        yield database
    finally:
        database.close()


def has_tables(path: Path, needed: Mapping[str, Collection[str]]) -> bool:
    """True for a database that has all these tables with these columns. Cheap for other files.
    One that cannot be judged is told to the look that is on (`sight.looking`).
    """
    if path.suffix not in SUFFIXES or not _is_file(path):
        return False
    look = sight.current()
    schema = _seen(path, look)
    if schema is not None:
        return look.judge(str(path), needed, schema)
    if str(path) not in look.unread and path.stat().st_size:
        look.doubt(str(path), "it is no SQLite database: damaged, encrypted, or something else")
    return False


def _seen(path: Path, look: sight.Sight) -> sight.Schema | None:
    """What tables a database has, found out once a look; `None` when it cannot be told."""
    name = str(path)
    if name not in look.schemas:
        look.schemas[name] = None
        begun = time.monotonic()
        try:
            if _header(path).startswith(_MAGIC):
                database = Database(path, (), briefly=look.patience_ms)
                try:
                    look.schemas[name] = database.schema()
                finally:
                    database.close()
        except Unreadable as error:
            look.unread[name] = error.cause
            spent = int((time.monotonic() - begun) * 1000)
            look.patience_ms = max(0, look.patience_ms - spent)
    return look.schemas[name]


def found_below(root: Path, needed: Mapping[str, Collection[str]]) -> Iterator[Path]:
    """The databases at or below `root` that have all these tables, by their names."""
    if root.is_file():
        paths = [root]
    else:
        names = (os.path.join(at, n) for at, _, files in os.walk(root) for n in files)  # noqa: PTH118
        paths = [type(root)(name) for name in sorted(n for n in names if n.endswith(SUFFIXES))]
    yield from (path for path in paths if has_tables(path, needed))


def mark(*values: int | float | str | bytes | None) -> tuple[int, int]:
    """Two numbers that change with the values: a thread's mark (`base.Thread`)."""
    digest = content_id(repr(values).encode("utf-8", "surrogatepass"))
    return int.from_bytes(digest[:7]), int.from_bytes(digest[7:14])


def line(row: Mapping[str, Any]) -> bytes:
    """A row as JSON on one line, nothing left out. Bytes are `{"$bytes": BASE64}`; a value that
    is `embedded` stands as what it is.
    """
    return msgspec.json.encode({name: _plain(value) for name, value in row.items()})


def embedded(text: JSON) -> Any:
    """JSON that a column holds as text, as a part of the row's own JSON; any other text, and
    text that is no JSON, stays text.
    """
    if not isinstance(text, str):
        return text
    raw = text.encode("utf-8", "surrogatepass")
    try:
        parse(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    return msgspec.Raw(raw.replace(b"\r", b" ").replace(b"\n", b" "))


def settings(text: JSON) -> Any:
    """The same for a program's settings: without credentials (`facts.without_credentials`), byte
    for byte where there are none.
    """
    whole = embedded(text)
    if isinstance(whole, msgspec.Raw):
        value = parse(bytes(whole))
        kept = without_credentials(value)
        return whole if kept == value else kept
    return without_credentials(whole)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its folder is denied: who walks it tells
        return False


def _is_virtual(sql: object) -> bool:
    return not isinstance(sql, str) or "virtual" in sql[:40].lower().split()


def _connected(path: Path, held: ExitStack, briefly: int | None) -> apsw.Connection:
    """A connection to a database, or to a copy of it; `held` lets go of both."""
    if not _header(path).startswith(_MAGIC):
        raise Unreadable(path, f"{path.name} is no SQLite database: name another file")
    with _told(path):
        place, mode = path, "mode=ro"
        way = _way(path, briefly)
        if way in _COPIES:
            place = held.enter_context(private.copied(path, whole=way == _WHOLE))
            mode = "immutable=1"
        elif way == _QUIET:
            mode = "immutable=1"
        connection = apsw.Connection(
            f"{_uri(place)}?{mode}", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        held.callback(connection.close)
    connection.set_busy_timeout(BUSY_MS if briefly is None else briefly)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
    return connection


def _way(path: Path, briefly: int | None) -> str:
    """How to read a database so that nobody is in anybody's way and nothing is left beside it."""
    if _header(path)[18] == _WAL:
        # A read-only connection leaves two files beside it. Where the log is not there nobody
        # writes, and the file alone is all of it. Where its index is not there, nobody reads it.
        if not _has(path, "-wal"):
            return _QUIET
        return _PLAIN if _has(path, "-shm") else _WHOLE
    if _has(path, "-journal") and _is_unended(path):
        return _WHOLE
    return _PLAIN if briefly is not None or not private.has_room(path) else _STEPS


def _is_unended(path: Path) -> bool:
    """True when the journal beside a database is that of a program that ended while it wrote."""
    connection = apsw.Connection(
        f"{_uri(path)}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    try:
        connection.execute("select count(*) from sqlite_master").fetchall()
    except (apsw.ReadOnlyError, apsw.CantOpenError):
        return True
    except apsw.Error:
        return False
    finally:
        connection.close()
    return False


def _has(path: Path, suffix: str) -> bool:
    return path.with_name(path.name + suffix).exists()


def _header(path: Path) -> bytes:
    """The first bytes of a database; none of a shorter file. Raises `Unreadable` when it cannot
    be opened.

    They are read by SQLite's own means: a plain `open` and `close` would take away the locks that
    this process may hold on the file (https://sqlite.org/howtocorrupt.html, section 2.2).
    """
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    with _told(path):
        file = apsw.VFSFile("", str(path.absolute()), flags)
        try:
            if file.xFileSize() < _HEADER_BYTES:
                return b""
            header: bytes = file.xRead(_HEADER_BYTES, 0)
        finally:
            file.xClose()
    return header


def _uri(path: Path) -> str:
    return "file:" + quote(os.fsencode(path.absolute()))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise Unreadable(path, _cause(path, error)) from None


def _cause(path: Path, error: Exception) -> str:
    """Why a database could not be read, and what to do about it."""
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return "another program has locked it: try again when that one has let go of it"
    if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.FormatError):
        return (
            f"it is damaged ({error}): let `sqlite3 {path.name} .recover` make a new file of what "
            "is left, and import that"
        )
    if not os.access(path, os.R_OK):
        return "this user may not read it: permit it, or run as its owner"
    if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError):
        return f"what stands beside it (-wal, -journal) cannot be read ({error}): start its program"
    return str(error)
