"""What took time in a session that recorded no spans, as its messages tell it.

An imported history holds no spans, but times: a model call lasts from what it answers to its
last piece, a tool call from the piece that makes it to its result, a turn from its prompt to the
last of these. Rows are derived when somebody looks, a window of the path at a time, and are
never stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from clew import reading
from clew.canonical import parse
from clew.clean import one_line
from clew.db import Tx
from clew.log import Place, begins_turn, turn_at
from clew.model import JSON, Entry, Message, Position, Text, ToolCall, ToolResult, Usage
from clew.moves import place_of

WINDOW: Final = 4_000
"""Entries of the path that one window holds."""
MARGIN: Final = 500
"""So many behind it are read too, for the results of its last calls; a result that lies further
is not found.
"""
NAME_CHARS: Final = 80

Priced = Callable[[Usage, int], float | None]
"""The cost in USD of a call of which only the tokens are known, at a time in Unix
milliseconds; `None` when it is not known.
"""


class Row(msgspec.Struct):
    """Something that took time. Times are Unix and latencies plain microseconds.

    `number` is its entry's place on the path, from 1; `part` says which part of that entry's
    message a call is. `status` is `ok`, `error`, `abandoned` (a repair stands for the result) or
    `open` (no result is recorded, so nothing says how long it took). `parent` is another row's
    place in the list, and `child` the session that a call began.
    """

    kind: str
    name: str
    turn: int
    number: int
    at: Position
    started_us: int
    parent: int | None = None
    latency_us: int | None = None
    status: str = "ok"
    part: int | None = None
    batch: str | None = None
    model: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    child: str | None = None

    def reach(self, end_us: int) -> None:
        """Last until a moment, if it did not last longer."""
        self.latency_us = max(self.latency_us or 0, end_us - self.started_us)


class Window(msgspec.Struct):
    """Rows in the order in which their entries stand, from the path's entry number `first` (0 is
    the oldest) up to `last`, exclusive, of `total`.
    """

    rows: list[Row]
    first: int
    last: int
    total: int


def window(
    tx: Tx,
    project: int,
    place: Place | None,
    *,
    start: int | None = None,
    around: Place | None = None,
    limit: int = WINDOW,
    priced: Priced,
    children: Mapping[str, str],
) -> Window:
    """The rows of a window of the path to `place`: from entry number `start` on, else with the
    entry `around` in the middle, else the newest. `children` are the sessions that calls began,
    by the calls' ids. Raises `Invalid` when `around` is not on the path.
    """
    if start is None:
        _, start, _ = reading.path_window(tx, place, around, None, limit)
    entries, first, total = reading.path_window(tx, place, None, start, limit + MARGIN)
    maker = _Maker(first, limit, priced, children)
    if entries:
        oldest = entries[0]
        turn = turn_at(tx, project, place_of(tx, project, oldest.position))
        maker.turn = turn - begins_turn(oldest.kind, oldest.role)
    for number, entry in enumerate(entries):
        maker.take(entry, number)
    maker.part_single_calls()
    return Window(maker.rows, first, min(first + limit, total), total)


class _Maker:
    """Makes rows of entries, one after the other."""

    def __init__(self, first: int, limit: int, priced: Priced, children: Mapping[str, str]) -> None:
        self.rows: list[Row] = []
        self._first, self._limit = first, limit
        self._priced, self._children = priced, children
        self.turn = 0
        """That of what was taken last; 0 before the first prompt."""
        self._turn_row: int | None = None
        self._model: int | None = None
        self._answers: dict[str, int] = {}
        self._asked_us: int | None = None
        self._calls: dict[str, list[int]] = {}
        self._number = 0
        self._making = True

    def take(self, entry: Entry, number: int) -> None:
        """One more entry, `number` of the window; behind the window's end only results count."""
        self._number, self._making = self._first + number + 1, number < self._limit
        if entry.kind not in reading.SPOKEN:
            self._take_usage(entry)
            return
        message = reading.decode(entry)
        moment = entry.time_ms * 1000
        if self._making:
            self._take_turn(entry, message)
        results = message.tool_results
        for result in results:
            self._end_call(result, moment)
        if message.role == "assistant":
            if self._making:
                self._take_answer(entry, message, moment)
        elif not message.meta or results:
            self._asked_us, self._model = moment, None

    def part_single_calls(self) -> None:
        """Calls that were made alone are no batch."""
        sizes = Counter(row.batch for row in self.rows)
        for row in self.rows:
            if sizes[row.batch] == 1:
                row.batch = None

    def _take_turn(self, entry: Entry, message: Message) -> None:
        if begins_turn(entry.kind, entry.role):
            self.turn += 1
            self._begin_turn(one_line(message.text, NAME_CHARS) or "turn", entry)
        elif self._turn_row is None and self.turn:
            self._begin_turn(f"turn {self.turn}, from here on", entry)

    def _begin_turn(self, name: str, entry: Entry) -> None:
        turn_row, self._turn_row, self._model = len(self.rows), None, None
        row = self._row("turn", name, entry, entry.time_ms * 1000)
        self._turn_row, row.latency_us = turn_row, 0

    def _row(self, kind: str, name: str, entry: Entry, started_us: int) -> Row:
        row = Row(kind, name, self.turn, self._number, entry.position, started_us)
        row.parent = self._turn_row
        self.rows.append(row)
        return row

    def _reach(self, row: Row, end_us: int) -> None:
        row.reach(end_us)
        if row.parent is not None:
            self.rows[row.parent].reach(end_us)

    # --- model calls ---

    def _take_answer(self, entry: Entry, message: Message, moment: int) -> None:
        row = self._answering(entry, message, moment)
        self._reach(row, moment)
        if message.model and not row.model:
            row.model = row.name = message.model
        if message.usage is not None:
            self._use(row, message.usage)
        for number, part in enumerate(message.parts):
            if isinstance(part, ToolCall):
                self._begin_call(part, number, entry, row)

    def _answering(self, entry: Entry, message: Message, moment: int) -> Row:
        """The model call that an answer is a piece of: that with its id, else the one that
        answers already and has not been counted.
        """
        at = self._model if message.id is None else self._answers.get(message.id)
        if at is not None and (message.id is not None or self.rows[at].usage is None):
            return self.rows[at]
        asked = moment if self._asked_us is None else min(self._asked_us, moment)
        self._model = len(self.rows)
        if message.id is not None:
            self._answers[message.id] = self._model
        return self._row("model", message.model or "model", entry, asked)

    def _take_usage(self, entry: Entry) -> None:
        """What a record beside the messages tells of the tokens of the newest model call."""
        told = entry.meta.get("usage") if entry.meta else None
        row = next((row for row in reversed(self.rows) if row.kind == "model"), None)
        if isinstance(told, dict) and row is not None and row.usage is None and self._making:
            self._use(row, msgspec.convert(told, Usage))
            self._asked_us = max(self._asked_us or 0, entry.time_ms * 1000)

    def _use(self, row: Row, usage: Usage) -> None:
        row.usage = usage if row.usage is None else _greatest(row.usage, usage)
        row.model = row.model or usage.model
        row.name = row.model or row.name
        row.cost = self._priced(row.usage, (row.started_us + (row.latency_us or 0)) // 1000)

    # --- tool calls ---

    def _begin_call(self, call: ToolCall, part: int, entry: Entry, model: Row) -> None:
        child = self._children.get(call.id)
        row = self._row("agent" if child else "tool", call.name, entry, entry.time_ms * 1000)
        row.part, row.child = part, child
        row.status, row.batch = "open", str(model.number)
        self._calls.setdefault(call.id, []).append(len(self.rows) - 1)

    def _end_call(self, result: ToolResult, moment: int) -> None:
        waiting = self._calls.get(result.call_id)
        if not waiting:
            return
        row = self.rows[waiting.pop(0)]
        self._reach(row, moment)
        row.status = "error" if result.is_error else "ok"
        if result.synthetic:
            row.status = "abandoned"


def _greatest(one: Usage, other: Usage) -> Usage:
    """Pieces of an answer repeat the growing count of the whole."""
    numbers = ("input", "output", "cache_read", "cache_write", "reasoning")
    most = {name: max(getattr(one, name), getattr(other, name)) for name in numbers}
    cost = max((each.cost for each in (one, other) if each.cost is not None), default=None)
    return msgspec.structs.replace(one, **most, cost=cost)


# --- one call ----------------------------------------------------------------------------


class Called(msgspec.Struct):
    """A tool call and where it stands; its result, when it is found."""

    call: ToolCall
    entry: Entry
    part: int
    result: ToolResult | None = None
    result_entry: Entry | None = None
    result_part: int = 0

    @property
    def arguments(self) -> JSON:
        """What it was called with; the text itself where that is no JSON."""
        try:
            return parse(self.call.arguments.encode("utf-8", "surrogatepass"))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self.call.arguments


def called(entries: Sequence[Entry], part: int) -> Called | None:
    """The call that is part number `part` of the first entry, with its result in those behind
    it; `None` when that is no call.
    """
    spoken = [entry for entry in entries if entry.kind in reading.SPOKEN]
    parts = reading.decode(entries[0]).parts if spoken[:1] == list(entries[:1]) else ()
    if not 0 <= part < len(parts):
        return None
    call = parts[part]
    if not isinstance(call, ToolCall):
        return None
    found = Called(call, entries[0], part)
    for entry in spoken:
        for number, each in enumerate(reading.decode(entry).parts):
            if isinstance(each, ToolResult) and each.call_id == call.id:
                found.result, found.result_entry, found.result_part = each, entry, number
                return found
    return found


def said(entry: Entry) -> list[str]:
    """The words of an entry, for whoever looks at a model call."""
    if entry.kind not in reading.SPOKEN:
        return []
    return [part.text for part in reading.decode(entry).parts if isinstance(part, Text)]
