"""Chat applications on PostgreSQL: `tool_traces` and `agent_snapshots`, or what they are called.

    tool_traces(id, chat_id, session_id, turn_number, tool_name, tool_input, tool_output, error,
                outcome, started_at, finished_at, latency_ms, tokens_used, ...)
    agent_snapshots(chat_id, ...)            a row a chat, written over and over

A chat is a session. A trace is a call and, once it is finished, its result; a snapshot is kept in
each version that was seen. Whatever else a row holds stays in its record. Tables and columns that
have other names are named by whoever imports; see `docs/formats/chat-tables.md`.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from clew.canonical import parse
from clew.errors import Invalid, NotFound
from clew.importers import database, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import text, time_ms
from clew.model import JSON, Kind, Message, Origin, Record, Text, ToolCall, ToolResult
from clew.names import mended
from clew.shapes.base import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

NAME: Final = "chat-tables"
FORMAT: Final = "chat-tables"
RESULTS: Final = "chat-tables.results"

TRACES: Final = "tool_traces"
SNAPSHOTS: Final = "agent_snapshots"
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    TRACES: (
        "id",
        "chat_id",
        "tool_name",
        "tool_input",
        "tool_output",
        "error",
        "outcome",
        "started_at",
        "finished_at",
    ),
    SNAPSHOTS: ("chat_id",),
}
"""The columns that mean something here, of each table; a row's others are kept with it."""

REQUIRED: Final = {TRACES: ("id", "chat_id", "tool_name"), SNAPSHOTS: ("chat_id",)}
RUNNING_SECONDS: Final = 120
"""A call that began later than this and has no end is taken for one that still runs."""


class Names:
    """What tables and columns are called: `{"tool_traces": "app.calls", "tool_traces.chat_id":
    "conversation"}`. Raises `Invalid` for a name that means nothing here.
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._given = dict(given or {})
        known = {*COLUMNS, *(f"{table}.{c}" for table, all_ in COLUMNS.items() for c in all_)}
        wrong = sorted(self._given.keys() - known)
        if wrong:
            raise Invalid(f"nothing is called {wrong[0]!r} here: map {', '.join(sorted(known))}")

    def table(self, table: str) -> str:
        """A table's own name, with its schema where one was given."""
        return self._given.get(table, table)

    def given(self, table: str) -> bool:
        """Whether somebody said what this table is called: then it must be there."""
        return table in self._given

    def column(self, table: str, column: str) -> str:
        """A column's own name."""
        return self._given.get(f"{table}.{column}", column)


class ChatTables:
    """See `base.Store`; `rows` runs a query in the database at hand."""

    name = NAME
    formats: tuple[str, ...] = (FORMAT, RESULTS)

    def __init__(
        self, run: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]], names: Names
    ) -> None:
        self._run = run
        self._names = names

    def roots(self, home: Path, env: Mapping[str, str]) -> list[Path]:
        """None: a database is named by whoever imports it."""
        return []

    def identify(self, path: Path) -> bool:
        """No file is a table."""
        return False

    def discover(self, root: Path) -> Iterator[Path]:
        """Nothing: see `identify`."""
        return iter(())

    @contextmanager
    def look(self, path: Path) -> Iterator[Tables]:
        """See `Store.look`. Raises `NotFound` when neither table is there."""
        yield Tables(self._run, self._names)

    def open(self, path: Path, thread: str, state: bytes | None = None) -> ItemReader:
        """See `Store.open`."""
        return ItemReader(Origin(mended(thread), NAME)).resumed(state)


class Tables:
    """See `base.Look`."""

    def __init__(
        self, run: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]], names: Names
    ) -> None:
        self._run = run
        self._names = names
        self._columns = {table: self._there(table) for table in COLUMNS}
        if not any(self._columns.values()):
            told = ", ".join(names.table(table) for table in COLUMNS)
            raise NotFound(f"none of the tables {told} is there: name them with --map TABLE=NAME")

    def _there(self, table: str) -> frozenset[str]:
        """The columns of a table; none when it is not there under its usual name. Raises
        `Invalid` for a table without one that is needed, `NotFound` for a name that was given.
        """
        name = _quoted(self._names.table(table))
        ((found,),) = self._run("select to_regclass(%s)::text", [name])
        if found is None:
            if self._names.given(table):
                own = self._names.table(table)
                raise NotFound(f"there is no table {own}: say with --map {table}=NAME what it is")
            return frozenset()
        there = self._run(
            "select attname::text from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            [name],
        )
        columns = frozenset(row[0] for row in there)
        for column in REQUIRED[table]:
            own = self._names.column(table, column)
            if own not in columns:
                raise Invalid(
                    f"{self._names.table(table)} has no column {own!r}: name the one that holds "
                    f"it with --map {table}.{column}=NAME (there are {', '.join(sorted(columns))})"
                )
        return columns

    def _row(self, table: str) -> str:
        """SQL for a row as JSON, under the names that are used here."""
        named = [
            f"'{column}', t.{_quoted(own)}"
            for column in COLUMNS[table]
            if (own := self._names.column(table, column)) != column and own in self._columns[table]
        ]
        also = f" || jsonb_build_object({', '.join(named)})" if named else ""
        return f"(to_jsonb(t){also})"

    def _of(self, table: str) -> str:
        return f"from {_quoted(self._names.table(table))} t"

    def _chat(self, table: str) -> str:
        return f"t.{_quoted(self._names.column(table, 'chat_id'))}::text"

    def threads(self) -> Iterable[Thread]:
        """See `Look.threads`. A chat's mark is made from all its rows."""
        marks: dict[str, list[Any]] = {}
        for table, columns in self._columns.items():
            if not columns:
                continue
            chat = self._chat(table)
            found = self._run(
                f"select {chat}, count(*), sum(hashtextextended(t::text, 0))::text "
                f"{self._of(table)} where {chat} is not null group by 1 order by 1",
                (),
            )
            for name, *facts in found:
                marks.setdefault(name, []).append((table, *facts))
        return [Thread(name, database.mark(str(facts))) for name, facts in marks.items()]

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`. Calls in the order in which they began."""
        if self._columns[TRACES]:
            order = [
                f"t.{_quoted(own)}"
                for column in ("started_at", "id")
                if (own := self._names.column(TRACES, column)) in self._columns[TRACES]
            ]
            for (body,) in self._read(TRACES, thread, ", ".join(order)):
                yield _trace(body)
        if self._columns[SNAPSHOTS]:
            for number, (body,) in enumerate(self._read(SNAPSHOTS, thread, "1")):
                line = f'{{"{SNAPSHOTS}":{body}}}'.encode()
                yield Item(f"snapshot/{number}", line, aside=True)

    def _read(self, table: str, chat: str, order: str) -> list[tuple[Any, ...]]:
        return self._run(
            f"select {self._row(table)}::text {self._of(table)} "
            f"where {self._chat(table)} = %s order by {order}",
            [chat],
        )


class ItemReader(rows.ItemReader):
    """Reads one chat."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`. The tokens on a trace are not told to be input or output,
        so they are kept and not counted.
        """
        trace = value.get(TRACES)
        if not isinstance(trace, dict):
            snapshot = value.get(SNAPSHOTS)
            if isinstance(snapshot, dict):
                record.time_ms = time_ms(snapshot.get("updated_at") or snapshot.get("created_at"))
            return []
        record.kind, record.role = Kind.MESSAGE, "assistant"
        record.time_ms = time_ms(trace.get("started_at") or trace.get("created_at"))
        return self._result(trace, record)

    def mend(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """A call that ended behind later ones: its result is told now. See `rows.ItemReader`."""
        trace = value.get(TRACES)
        answered = self.facts.get("answered")
        if isinstance(trace, dict) and isinstance(answered, dict) and item.key not in answered:
            return self._result(trace, record)
        return []

    def _result(self, trace: dict[str, JSON], record: Record) -> list[Record]:
        answered = self.facts.setdefault("answered", {})
        key = str(trace.get("id"))
        if not _finished(trace) or not isinstance(answered, dict):
            return []
        answered[key] = True
        result = rows.beside(record, RESULTS, "result")
        result.time_ms = time_ms(trace.get("finished_at")) or record.time_ms
        return [result]


def decode(record: JSON) -> Message:
    """The call that a trace tells; of any other row, nothing to a model."""
    trace = record.get(TRACES) if isinstance(record, dict) else None
    if not isinstance(trace, dict):
        return Message("system", (Text(""),), meta=True)
    asked = trace.get("tool_input")
    arguments = asked if isinstance(asked, str) else compact(asked if asked is not None else {})
    name = text(trace, "tool_name") or "unknown"
    call = ToolCall(str(trace.get("id")), name, arguments)
    stamp = time_ms(trace.get("started_at") or trace.get("created_at"))
    return Message("assistant", (call,), time_ms=stamp or 0)


def decode_results(record: JSON) -> Message:
    """What a trace's call gave back."""
    trace = record.get(TRACES) if isinstance(record, dict) else None
    trace = trace if isinstance(trace, dict) else {}
    failed = trace.get("error")
    output = failed if failed not in (None, "") else trace.get("tool_output")
    words = output if isinstance(output, str) else "" if output is None else compact(output)
    name = text(trace, "tool_name") or "unknown"
    result = ToolResult(str(trace.get("id")), (Text(words),), failed not in (None, ""), name)
    return Message("tool", (result,), time_ms=time_ms(trace.get("finished_at")) or 0)


def _trace(body: str) -> Item:
    line = f'{{"{TRACES}":{body}}}'.encode()
    trace = parse(line).get(TRACES)
    trace = trace if isinstance(trace, dict) else {}
    begun = time_ms(trace.get("started_at") or trace.get("created_at"))
    young = begun is not None and begun > (time.time() - RUNNING_SECONDS) * 1000
    return Item(str(trace.get("id")), line, open=young and not _finished(trace))


def _finished(trace: dict[str, JSON]) -> bool:
    return any(trace.get(key) not in (None, "") for key in ("finished_at", "tool_output", "error"))


def _quoted(name: str) -> str:
    """A name as SQL takes it: `schema.table` is two names."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
