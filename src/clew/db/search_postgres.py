"""The full-text index on PostgreSQL: a `tsvector` a passage, made from our own words.

PostgreSQL's text search configurations are not used: every vector and every query is written
out word by word from the same tokens that the other database gets. What a filter asks for
(`§s12` the session, `§p3` the project, `§t…` a tool, `§k…` the role that speaks) is a lexeme
too; no query of a user can hold one, since `§` is never part of a word. Weights tell the
kinds apart: A for what is spoken, B thinking, C tool calls, D tool results.

The tables are a projection; they carry a version and are made anew when it is another one.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg_pool import PoolTimeout

from clew.db.vacuum import write_anew
from clew.errors import ClewError, Unavailable
from clew.search import words
from clew.search.documents import KINDS, SPOKEN, passages
from clew.search.index import (
    RANK_WINDOW,
    Doc,
    Filters,
    IndexUnavailable,
    Match,
    Order,
    Witness,
    tool_word,
)
from clew.search.query import All, Either, Node, Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    Connect = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]

LAYOUT = 1
VERSION = LAYOUT * 1000 + words.VERSION
LOCK = 0x636C6578
"""The key of the advisory lock that those who feed the index take turns under ("clex")."""
FEW = 10_000
"""Up to this many matches are gathered and sorted; beyond, matches are so frequent that going
back in time finds the newest soon. The planner cannot tell the two apart: for a rare word it
walked a million rows backwards (1 s instead of 1 ms)."""
WEIGHTS = {"thinking": "B", "tool_call": "C", "tool_result": "D"} | dict.fromkeys(SPOKEN, "A")
TIME_MIN, TIME_MAX = -(1 << 63), (1 << 63) - 1

_TABLES: LiteralString = """
DROP TABLE IF EXISTS search_doc, search_mark, search_state;
CREATE TABLE search_doc(
    entry bigint NOT NULL,
    passage integer NOT NULL,
    project bigint NOT NULL,
    session bigint NOT NULL,
    seq bigint NOT NULL,
    time_ms bigint NOT NULL,
    words tsvector NOT NULL,
    PRIMARY KEY (entry, passage)
);
CREATE INDEX search_doc_words ON search_doc USING gin(words);
CREATE INDEX search_doc_time ON search_doc(time_ms, entry, passage);
CREATE INDEX search_doc_project ON search_doc(project, time_ms, entry, passage);
CREATE TABLE search_mark(session bigint PRIMARY KEY, seq bigint NOT NULL);
CREATE TABLE search_state(name text PRIMARY KEY, value bigint NOT NULL);
"""
_INSERT: LiteralString = """
INSERT INTO search_doc(entry, passage, project, session, seq, time_ms, words)
VALUES (%s, %s, %s, %s, %s, %s, %s::tsvector)
"""
_MARK: LiteralString = """
INSERT INTO search_mark VALUES (%s, %s)
ON CONFLICT (session) DO UPDATE SET seq = greatest(search_mark.seq, excluded.seq)
"""
_WHERE: LiteralString = """
FROM search_doc
WHERE words @@ %(query)s::tsquery AND time_ms >= %(since)s AND time_ms < %(until)s
    AND (%(project)s::bigint IS NULL OR project = %(project)s)
"""
_GATHER: LiteralString = f"""
WITH hit AS MATERIALIZED (
    SELECT entry, passage, session, seq, time_ms {_WHERE} LIMIT %(few)s
)
SELECT entry, passage, session, seq, time_ms, count(*) OVER () FROM hit
ORDER BY time_ms DESC, entry DESC, passage DESC LIMIT %(window)s
"""
_WALK: LiteralString = f"""
SELECT entry, passage, session, seq, time_ms {_WHERE}
ORDER BY time_ms DESC, entry DESC, passage DESC LIMIT %(window)s
"""
_RANK: LiteralString = """
SELECT ts_rank('{0.35, 0.5, 0.5, 1.0}', doc.words, %(words)s::tsquery, 1)
FROM unnest(%(entries)s::bigint[], %(passages)s::integer[]) WITH ORDINALITY AS hit(e, p, n)
JOIN search_doc doc ON doc.entry = hit.e AND doc.passage = hit.p
ORDER BY hit.n
"""


class PostgresIndex:
    """An `Index` in the ledger's own database. `connect` gives a connection in autocommit
    mode for the length of a `with` block, as a pool does.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._ready = False
        self._closed = False
        self._lock = threading.Lock()

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        if self._closed:
            raise ClewError("this search index was closed: open the ledger again")
        with translated(), self._connect() as connection:
            if not self._ready:
                with self._lock:
                    _prepare(connection)
                    self._ready = True
            yield connection

    def close(self) -> None:
        """See `Index`. The connections belong to the caller."""
        self._closed = True

    # --- feeding ---

    def add(
        self, docs: Sequence[Doc], marks: Mapping[int, int], witness: Witness | None = None
    ) -> None:
        """See `Index`."""
        newest = {doc.entry: doc for doc in docs}
        rows, fresh = [], 0
        for doc in newest.values():
            parts = passages(doc.texts)
            scope = _scope(doc)
            place = (doc.project, doc.session, doc.seq, doc.time_ms)
            rows += [(doc.entry, at, *place, vector(part, scope)) for at, part in enumerate(parts)]
            fresh += bool(parts)
        with self._connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            gone = _remove(connection, list(newest))
            with connection.cursor() as cursor:
                cursor.executemany(_INSERT, rows)
                cursor.executemany(_MARK, sorted(marks.items()))
            _shift(connection, fresh - gone)

    def witness(self) -> Witness | None:
        """See `Index`: it is part of the same database."""
        return None

    def marks(self) -> dict[int, int]:
        """See `Index`."""
        with self._connection() as connection:
            return dict(connection.execute("SELECT session, seq FROM search_mark").fetchall())

    def count(self) -> int:
        """See `Index`."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT value FROM search_state WHERE name = 'entries'"
            ).fetchone()
            return int(row[0]) if row else 0

    def forget(self, entries: Sequence[int]) -> None:
        """See `Index`. The table is written anew, which takes minutes for a million documents
        and keeps searches waiting: only so no dead row stays in its pages. What the server's
        own log and its back-ups hold is beyond reach from here.
        """
        with self._connection() as connection:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                gone = _remove(connection, list(entries))
                _shift(connection, -gone)
            if gone:
                write_anew(connection, ["search_doc"])

    def clear(self) -> None:
        """See `Index`. The files of dropped tables go at once."""
        with self._connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            _make(connection)

    # --- finding ---

    def find(self, query: Node, filters: Filters, *, order: Order, limit: int) -> list[Match]:
        """See `Index`."""
        asked = rendered(query, filters)
        if asked is None:
            return []
        values: dict[str, Any] = {
            "query": asked,
            "project": filters.project,
            "since": TIME_MIN if filters.since_ms is None else filters.since_ms,
            "until": TIME_MAX if filters.until_ms is None else filters.until_ms,
        }
        with self._connection() as connection, connection.transaction():
            # One view for all statements: passages may be removed meanwhile.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if order == "newest":
                return _newest(connection, values, limit)
            found = _window(connection, values, RANK_WINDOW)
            return _best(connection, found, expression(query, _weights(filters.kinds)), limit)


def _newest(connection: psycopg.Connection[Any], values: dict[str, Any], limit: int) -> list[Match]:
    """Widen the window until it holds enough entries: a long one has many passages."""
    window = limit * 2
    while True:
        rows = _window(connection, values, window)
        found = {row[0]: Match(row[0], row[2], row[3], row[4]) for row in reversed(rows)}
        if len(found) >= limit or len(rows) < window:
            return sorted(found.values(), key=lambda match: (-match.time_ms, -match.entry))[:limit]
        window *= 4


def _window(
    connection: psycopg.Connection[Any], values: dict[str, Any], window: int
) -> list[tuple[int, ...]]:
    """The newest `window` passages that match: `(entry, passage, session, seq, time_ms)`."""
    values = values | {"window": window, "few": FEW + 1}
    connection.execute("SET LOCAL enable_seqscan = off")
    # Not prepared: a plan that fits one word does not fit another.
    rows = connection.execute(_GATHER, values, prepare=False).fetchall()
    if not rows or rows[0][5] <= FEW:
        return [row[:5] for row in rows]
    connection.execute("SET LOCAL enable_bitmapscan = off")
    rows = connection.execute(_WALK, values, prepare=False).fetchall()
    connection.execute("SET LOCAL enable_bitmapscan = on")
    return rows


def _best(
    connection: psycopg.Connection[Any], rows: Sequence[tuple[int, ...]], asked: str, limit: int
) -> list[Match]:
    values = {
        "words": asked,
        "entries": [row[0] for row in rows],
        "passages": [row[1] for row in rows],
    }
    scores = connection.execute(_RANK, values, prepare=False).fetchall()
    found: dict[int, Match] = {}
    for (entry, _, session, seq, time_ms), (score,) in zip(rows, scores, strict=True):
        if entry not in found or found[entry].score < score:
            found[entry] = Match(entry, session, seq, time_ms, None, score)
    return sorted(found.values(), key=lambda match: (-match.score, -match.time_ms))[:limit]


# --- rows ----------------------------------------------------------------------------------


def _prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the tables where there are none of this version."""
    if _version(connection) == VERSION:
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        found = _version(connection)
        if found > VERSION:
            raise IndexUnavailable(
                "the search tables were made by a newer Clew: use that one to search"
            )
        if found < VERSION:
            _make(connection)


def _make(connection: psycopg.Connection[Any]) -> None:
    connection.execute(_TABLES)
    connection.execute(
        "INSERT INTO search_state VALUES ('version', %s), ('entries', 0)", (VERSION,)
    )


def _version(connection: psycopg.Connection[Any]) -> int:
    there = connection.execute("SELECT to_regclass('search_state') IS NOT NULL").fetchone()
    if not there or not there[0]:
        return 0
    row = connection.execute("SELECT value FROM search_state WHERE name = 'version'").fetchone()
    return int(row[0]) if row else 0


def _remove(connection: psycopg.Connection[Any], entries: list[int]) -> int:
    row = connection.execute(
        "WITH gone AS (DELETE FROM search_doc WHERE entry = ANY(%s) RETURNING entry) "
        "SELECT count(DISTINCT entry) FROM gone",
        (entries,),
    ).fetchone()
    return int(row[0]) if row else 0


def _shift(connection: psycopg.Connection[Any], by: int) -> None:
    if by:
        connection.execute(
            "UPDATE search_state SET value = value + %s WHERE name = 'entries'", (by,)
        )


def _scope(doc: Doc) -> str:
    roles = [f"§k{kind}" for kind in SPOKEN if doc.texts.get(kind)]
    names = [f"§s{doc.session}", f"§p{doc.project}", *roles]
    return " ".join(f"'{name}'" for name in [*names, *(f"§{tool_word(t)}" for t in doc.tools)])


def vector(part: Mapping[str, Sequence[str]], scope: str) -> str:
    """A passage as the text of a `tsvector`. A place is left free where a phrase must end:
    between two kinds, and where a `GAP` stands.
    """
    places: dict[str, list[str]] = {}
    at = 1
    for kind in KINDS:
        if kind not in part:
            continue
        weight = WEIGHTS[kind]
        for token in part[kind]:
            if token != words.GAP:
                places.setdefault(token, []).append(f"{at}{weight}")
            at += 1
        at += 1
    lexemes = [f"'{token}':{','.join(found)}" for token, found in places.items()]
    return f"{scope} {' '.join(lexemes)}"


# --- queries -------------------------------------------------------------------------------


def rendered(query: Node, filters: Filters) -> str | None:
    """The text of a `tsquery`; `None` when no document can match."""
    if filters.kinds == () or filters.session == ():
        return None
    parts = [_kinds(query, filters.kinds)]
    if filters.session is not None:
        parts.append(" | ".join(f"'§s{session}'" for session in filters.session))
    if filters.project is not None:
        parts.append(f"'§p{filters.project}'")
    if filters.tool is not None:
        parts.append(f"'§{tool_word(filters.tool)}'")
    return " & ".join(f"({part})" for part in parts)


def _weights(kinds: tuple[str, ...] | None) -> str:
    return "" if kinds is None else "".join(sorted({WEIGHTS[kind] for kind in kinds}))


def _kinds(query: Node, kinds: tuple[str, ...] | None) -> str:
    """The query within these kinds. The roles share weight A: where only some are wanted, what
    others say is looked at without it.
    """
    if kinds is None:
        return expression(query, "")
    spoken = set(SPOKEN) & set(kinds)
    if len(spoken) in (0, len(SPOKEN)):
        return expression(query, _weights(kinds))
    roles = " | ".join(f"'§k{kind}'" for kind in sorted(spoken))
    said = f"({roles}) & ({expression(query, _weights(kinds))})"
    others = tuple(kind for kind in kinds if kind not in spoken)
    if not others:
        return said
    return f"({said}) | (!({roles}) & ({expression(query, _weights(others))}))"


def expression(node: Node, weights: str) -> str:
    """The query alone, in the syntax of `tsquery`, over lexemes of these weights (all: "")."""
    if isinstance(node, Words):
        return _phrase(node, weights)
    if isinstance(node, Either):
        return "(" + " | ".join(expression(each, weights) for each in node.options) + ")"
    return _all(node, weights)


def _phrase(node: Words, weights: str) -> str:
    last = len(node.tokens) - 1
    lexemes = []
    for at, token in enumerate(node.tokens):
        label = ("*" if node.prefix and at == last else "") + weights
        lexemes.append(f"'{token}'" + (f":{label}" if label else ""))
    return "(" + " <-> ".join(lexemes) + ")"


def _all(node: All, weights: str) -> str:
    must = [expression(each, weights) for each in node.must]
    no = [f"!{expression(each, weights)}" for each in node.no]
    return "(" + " & ".join([*must, *no]) + ")"


@contextmanager
def translated() -> Iterator[None]:
    """Every psycopg error as one of ours."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise Unavailable(f"the search index cannot be reached ({error}): try again") from error
    except psycopg.Error as error:
        raise IndexUnavailable(
            f"the search tables cannot be used ({error}); the ledger itself is not touched: "
            "rebuild the index"
        ) from error
