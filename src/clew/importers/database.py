"""Foreign SQLite databases: read-only, by an allow-list of tables, without a lock held.

They hold credentials too, so a table that is not named cannot be read, whatever a query or a
view in the file says. The file may be in use: nothing is changed in it or beside it, and what is
asked for is read whole and at once, so that no writer waits for a slow reader. Schemas are
hostile: functions, triggers and virtual tables that a file brings along do not run.
"""

from __future__ import annotations

import base64
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import apsw
import msgspec

from clew.canonical import content_id, parse
from clew.errors import Invalid

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
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SCHEMA = frozenset({"sqlite_master", "sqlite_schema"})
_ALLOWED_ACTIONS = frozenset(
    {apsw.SQLITE_SELECT, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE, apsw.SQLITE_TRANSACTION}
)
_FUNCTIONS = frozenset(
    "abs cast coalesce count current_date current_time current_timestamp date datetime group_concat "
    "hex ifnull iif instr json json_array_length json_extract json_type json_valid julianday length "
    "like lower max min nullif quote round row_number strftime substr sum time total trim typeof "
    "unixepoch upper".split()
)
"""Functions that only compute. A file's own schema uses them too (defaults, generated columns)."""


class Database:
    """A foreign database, of which some tables may be read."""

    def __init__(self, path: Path, tables: Collection[str]) -> None:
        self._path = path
        self._tables = frozenset(tables)
        self._connection = _connected(path)
        try:
            self._connection.authorizer = self._may
            self.tables: Final = self._columns()
            """The allowed tables that are there, each with the names of its columns."""
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

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
    """True for a database that has all these tables with these columns. Cheap for other files."""
    if path.suffix not in SUFFIXES or not path.is_file():
        return False
    try:
        if _header(path) is None:
            return False
        with opened(path, needed) as database:
            there = database.tables
    except (Invalid, OSError):
        return False
    return all(name in there and there[name] >= set(columns) for name, columns in needed.items())


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


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value


def _is_virtual(sql: object) -> bool:
    return not isinstance(sql, str) or "virtual" in sql[:40].lower().split()


def _connected(path: Path) -> apsw.Connection:
    header = _header(path)
    if header is None:
        raise Invalid(f"{path} is no SQLite database: name another file")
    # A read-only connection to a file in WAL mode leaves two files beside it. Where the log is
    # not there nobody writes, and the file alone is all of it.
    quiet = header[18] == _WAL and not path.with_name(path.name + "-wal").exists()
    mode = "immutable=1" if quiet else "mode=ro"
    with _told(path):
        connection = apsw.Connection(
            f"{_uri(path)}?{mode}", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
    connection.set_busy_timeout(BUSY_MS)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
    return connection


def _header(path: Path) -> bytes | None:
    """The first bytes of a database; `None` for another file.

    They are read by SQLite's own means: a plain `open` and `close` would take away the locks that
    this process may hold on the file (https://sqlite.org/howtocorrupt.html, section 2.2).
    """
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    try:
        file = apsw.VFSFile("", str(path.absolute()), flags)
    except apsw.Error:
        return None
    try:
        header: bytes = file.xRead(_HEADER_BYTES, 0)
    except apsw.Error:
        return None
    finally:
        file.xClose()
    return header if header.startswith(_MAGIC) else None


def _uri(path: Path) -> str:
    return "file:" + quote(os.fsencode(path.absolute()))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise Invalid(f"{path} cannot be read as a database ({error})") from None
