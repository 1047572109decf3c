"""Spans: units that record what took time, when it starts and when it ends.

The facts are events (`start`, `update`, `finish`, or `span` for one that is told all at once);
the row of a span is what they add up to. `folded` is the only place that adds them up: the
units use it when they write, `verify` when it derives the rows again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from clew import canonical, events, names, reading
from clew.db import Tx
from clew.drafts import as_json, holds_no_number
from clew.errors import Conflict, Invalid, NotFound
from clew.log import TOKENS_MAX, Bodies, Head, Place, turn_now, usage_row
from clew.model import JSON, Entry, Event, Message, Outcome, Position, Span, Usage

KINDS: Final = frozenset({"turn", "tool", "model", "agent", "command", "other"})
EFFECTS: Final = frozenset({"none", "idempotent", "external"})
OUTCOMES: Final = frozenset(str(outcome) for outcome in Outcome)
OPEN: Final = frozenset({"running", "waiting"})
TIERS: Final = ((19, "SIMPLE"), (50, "MEDIUM"), (75, "COMPLEX"), (100, "REASONING"))
"""The highest complexity score of each tier."""

TEXTS: Final = frozenset(
    {
        *("name", "chat", "call_id", "parent", "batch", "error_type", "provider"),
        *("model", "tier", "request_type", "response_id"),
    }
)
ID_CHARS_MAX: Final = 200
"""An id is a key of an index, and PostgreSQL takes no longer ones there."""
COUNTS: Final = frozenset(
    {
        *("attempt", "started_us", "finished_us", "tokens_used", "cache_tokens"),
        *("reasoning_tokens", "complexity", "retries", "tokens_in", "tokens_out", "cache_read"),
        *("cache_write", "reasoning", "status_code", "turn"),
    }
)
MILLISECONDS: Final = {"latency_ms": "latency_us", "first_token_ms": "first_token_us"}
BODIES: Final = frozenset({"input", "output", "attributes"})

PAGE = 1000

COLUMNS: Final = (
    *("project", "session", "id", "kind", "name", "turn", "ordinal", "sequence"),
    *("finish_sequence", "status", "late", "owner", "chat", "message", "call_id", "parent"),
    *("batch", "attempt", "effect", "started_us", "finished_us", "latency_us", "created_ms"),
    *("error", "error_type", "input_bytes", "output_bytes", "tokens_used", "cache_tokens"),
    *("reasoning_tokens", "provider", "model", "tier", "complexity", "request_type", "fallback"),
    *("retries", "tokens_in", "tokens_out", "cache_read", "cache_write", "reasoning"),
    *("first_token_us", "cost", "status_code", "response_id"),
)
"""The columns of the table, in the order in which the queries give them."""
EVENTS: Final = frozenset({"start", "update", "finish", "span"})
"""The kinds of events that spans are made of."""
DERIVED: Final = tuple(name for name in COLUMNS if name not in ("owner", "ordinal"))
"""The columns that follow from the events of a span alone."""
_FIXED: Final = frozenset({"project", "id", "kind", "turn", "ordinal", "created_ms"})
_EMPTY: Final[dict[str, Any]] = dict.fromkeys(COLUMNS)

Values = dict[str, Any]
"""What an event says, by column; `input`, `output` and `attributes` beside them."""
Priced = Callable[[Values], float | None]
"""The cost in USD of a model call that did not tell its own; `None` when it is not known."""


class SpanDraft(msgspec.Struct):
    """A span on its way in. `values` may hold everything that a span has."""

    kind: str
    name: str
    values: Values = {}
    id: str = ""
    fresh: bool = False
    """The id was made here: nothing can be stored under it yet."""
    made_us: int = 0
    """When it began, where it does not say so itself."""

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise Invalid(f"a span of kind {self.kind!r}: say one of {', '.join(sorted(KINDS))}")
        self.values = checked({**self.values, "name": self.name})
        if "name" not in self.values:
            raise Invalid("a span has no name: say what runs")
        if "started_us" not in self.values:
            self.made_us = canonical.now_us()
        if self.id:
            _id("id", self.id)
        else:
            self.id, self.fresh = canonical.new_id(), True


# --- what may be said ---------------------------------------------------------------------


def checked(changes: Mapping[str, Any]) -> Values:
    """What a caller says about a span, by column; `None` says nothing. Bodies are encoded.
    Raises `Invalid` for what no span has.
    """
    values: Values = {}
    for name, value in changes.items():
        check = _CHECKS.get(name)
        if check is None:
            raise Invalid(f"a span has no {name!r}: it has {', '.join(sorted(_CHECKS))}")
        if value is not None:
            values[MILLISECONDS.get(name, name)] = check(name, value)
    if "complexity" in values:
        values.setdefault("tier", _tier(values["complexity"]))
    return values


def checked_changes(changes: Mapping[str, Any]) -> Values:
    """The same for a span that is there: it stays in its turn."""
    if changes.get("turn") is not None:
        raise Invalid("a span's turn is that of its start: record another span")
    return checked(changes)


def _text(name: str, value: Any) -> str:
    names.checked(value, f"a span's {name}")
    return str(value)


def _id(name: str, value: Any) -> str:
    names.checked(value, f"a span's {name}", empty=False)
    if len(value) > ID_CHARS_MAX:
        raise Invalid(f"a span's {name} of {len(value):,} characters: {ID_CHARS_MAX} are the most")
    return str(value)


def _words(name: str, value: Any) -> str:
    """Content, whatever is in it."""
    if not isinstance(value, str):
        raise Invalid(f"a span's {name} is a {type(value).__name__}: give a text")
    return names.mended(value)


def _count(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        raise Invalid(f"a span's {name}={_shown(value)}: give a whole number from 0 on")
    return int(value)


def _milliseconds(name: str, value: Any) -> int:
    number = type(value) in (int, float)
    if not number or not 0 <= value < TOKENS_MAX / 1000:
        raise Invalid(f"a span's {name}={_shown(value)}: give milliseconds from 0 on")
    microseconds: int = round(value * 1000)
    return microseconds


def _one_of(allowed: frozenset[str]) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            some = ", ".join(sorted(allowed))
            raise Invalid(f"a span's {name}={_shown(value)}: say one of {some}")
        return str(value)

    return check


def _flag(name: str, value: Any) -> int:
    if type(value) is not bool:
        raise Invalid(f"a span's {name}={_shown(value)}: say True or False")
    return int(value)


def _dollars(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1e12:
        raise Invalid(f"a span's {name}={_shown(value)}: give USD from 0 on")
    return float(value)


def _place(name: str, value: Any) -> str:
    if isinstance(value, Message):
        value = value.at[-1] if value.at else None
    if isinstance(value, Entry):
        value = value.position
    if not isinstance(value, Position | str) or position(str(value)) is None:
        raise Invalid(f"a span's {name}={_shown(value)}: give an entry, a message or 'session:seq'")
    names.checked(str(value), f"a span's {name}")
    return str(value)


def _body(name: str, value: JSON) -> msgspec.Raw:
    """A value as the JSON text that is kept of it."""
    try:
        if isinstance(value, msgspec.Raw):
            canonical.parse(bytes(value))
            return value
        text = _encode(value)
    except UnicodeEncodeError:
        # Half a character, as a cut-off answer holds it: JSON can say it, by its escape.
        text = json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Invalid(
            f"a span's {name} cannot be written as JSON ({error}): use plain dicts, lists, "
            "strings, numbers, booleans and None"
        ) from error
    if b"null" in text and holds_no_number(value):
        raise Invalid(
            f"a span's {name} holds a number that is NaN or infinite, which JSON does not have: "
            "leave it out"
        )
    return msgspec.Raw(text)


def _attributes(name: str, value: Any) -> msgspec.Raw:
    if not isinstance(value, Mapping):
        raise Invalid(f"a span's {name} is a {type(value).__name__}: give a dict")
    return _body(name, value)


def _shown(value: Any) -> str:
    """A value in a message: never much of it."""
    if type(value) is int and abs(value) > TOKENS_MAX:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


SHOWN_CHARS: Final = 80
_encode = msgspec.json.Encoder().encode
_CHECKS: Final[dict[str, Callable[[str, Any], Any]]] = {
    **dict.fromkeys(TEXTS, _text),
    **dict.fromkeys(COUNTS, _count),
    **dict.fromkeys(("call_id", "parent"), _id),
    "error": _words,
    "input": _body,
    "output": _body,
    "attributes": _attributes,
    "outcome": _one_of(OUTCOMES),
    "effect": _one_of(EFFECTS),
    "waiting": _flag,
    "fallback": _flag,
    "cost": _dollars,
    "message": _place,
    "latency_ms": _milliseconds,
    "first_token_ms": _milliseconds,
}


def _tier(complexity: int) -> str:
    return next((tier for top, tier in TIERS if complexity <= top), TIERS[-1][1])


# --- adding up ----------------------------------------------------------------------------


def folded(row: Values, values: Values, sequence: int) -> Values:
    """A span's row after one more event that stands at `sequence`."""
    said = dict(values)
    outcome, waiting = said.pop("outcome", None), said.pop("waiting", None)
    for body in ("input", "output"):
        if body in said:
            row[f"{body}_bytes"] = _size(said.pop(body))
    said.pop("attributes", None)
    row.update(said)
    if outcome is not None:
        row["finish_sequence"] = sequence
        if row["status"] == Outcome.ABANDONED:
            row["late"] = outcome
        else:
            row["status"] = outcome
        _timed(row, said, outcome)
    elif waiting is not None and row["status"] in OPEN:
        row["status"] = "waiting" if waiting else "running"
    return row


def _size(body: JSON) -> int | None:
    if isinstance(body, msgspec.Raw):
        return len(bytes(body))
    return None if body is None else len(as_json(body))


def _timed(row: Values, said: Values, outcome: str) -> None:
    """A duration and an end belong together: what was not said follows from the other."""
    started, latency = row["started_us"], said.get("latency_us")
    if said.get("finished_us") is None and latency is not None:
        row["finished_us"] = started + latency
    elif latency is None and said.get("finished_us") is not None and outcome != "abandoned":
        row["latency_us"] = max(0, said["finished_us"] - started)


def first_row(draft_kind: str, values: Values, where: Values) -> Values:
    """The row of a span as its first event leaves it."""
    row = {**_EMPTY, "kind": draft_kind, "status": "running", "attempt": 1, **where}
    return folded(row, values, where["sequence"])


# --- units --------------------------------------------------------------------------------


def insert(
    tx: Tx, head: Head, drafts: Sequence[SpanDraft], owner: int | None, priced: Priced
) -> list[Span]:
    """Record spans that start, or that are told whole. What is stored under an id already is
    finished by what is new about it, or given back as it is. The caller saves the head.
    """
    ordinals: dict[int, int] = {}
    turn = turn_now(tx, head)
    fresh: dict[str, tuple[SpanDraft, Values]] = {}
    again: list[SpanDraft] = []
    for draft in drafts:
        known = draft.id in fresh or (
            not draft.fresh and tx.one("span_get", project=head.project, id=draft.id) is not None
        )
        if known:
            again.append(draft)
        else:
            fresh[draft.id] = (draft, _first_values(draft, priced))
    starts = [_first_event(draft, values) for draft, values in fresh.values()]
    sequences = events.add(tx, head, starts) if starts else range(0)
    rows: list[Values] = []
    for (draft, values), event, sequence in zip(fresh.values(), starts, sequences, strict=True):
        number = values.get("turn", turn)
        where = {
            "project": head.project,
            "session": head.key,
            "id": draft.id,
            "turn": number,
            "ordinal": _ordinal(tx, head.key, number, ordinals),
            "sequence": sequence,
            "owner": None if "outcome" in values else owner,
            "created_ms": event.time_ms,
        }
        rows.append(first_row(draft.kind, values, where))
    if rows:
        tx.many("span_add", rows)
        _keep_usage(tx, head, rows)
    found = {row["id"]: span_of(head.id, row) for row in rows}
    for draft in again:
        found[draft.id] = _told_again(tx, head, draft, priced)
    return [found[draft.id] for draft in drafts]


def _first_values(draft: SpanDraft, priced: Priced) -> Values:
    values = {"started_us": draft.made_us, **draft.values}
    if "outcome" in values:
        if "finished_us" not in values and "latency_us" not in values:
            values["finished_us"] = max(canonical.now_us(), values["started_us"])
        _price({**_EMPTY, **values, "kind": draft.kind}, values, priced)
    return values


def _first_event(draft: SpanDraft, values: Values) -> events.EventDraft:
    kind = "span" if "outcome" in values else "start"
    return events.EventDraft(kind, draft.id, as_json({"kind": draft.kind, **values}))


def _ordinal(tx: Tx, session: int, turn: int, known: dict[int, int]) -> int:
    if turn not in known:
        row = tx.one("span_last_ordinal", session=session, turn=turn)
        known[turn] = row[0] if row else 0
    known[turn] += 1
    return known[turn]


def _told_again(tx: Tx, head: Head, draft: SpanDraft, priced: Priced) -> Span:
    row = _row(tx.one("span_get", project=head.project, id=draft.id) or ())
    if row["session"] != head.key:
        raise Conflict(f"span {draft.id} belongs to another session: give this one its own id")
    given_up = row["status"] == Outcome.ABANDONED and row["late"] is None
    outcome = draft.values.get("outcome")
    if outcome is None or outcome == row["status"] or not (given_up or row["status"] in OPEN):
        return span_of(head.id, row)
    values = {name: value for name, value in draft.values.items() if name != "turn"}
    return _changed(tx, head, row, values, priced)


def update(tx: Tx, head: Head, id: str, changes: Values, priced: Priced) -> Span:
    """Record what changed about a span; with an outcome it ends. The caller saves the head.

    Raises `NotFound`; `Conflict` when it ended otherwise already.
    """
    row = find(tx, head, id)
    outcome = changes.get("outcome")
    if not changes or (outcome is not None and _ended_so(head, row, outcome)):
        return span_of(head.id, row)
    return _changed(tx, head, row, changes, priced)


def _ended_so(head: Head, row: Values, outcome: str) -> bool:
    """True when it ended like this before. Raises `Conflict` when it ended otherwise."""
    if row["status"] in OPEN or (row["status"] == Outcome.ABANDONED and row["late"] is None):
        return bool(row["status"] == outcome)
    ended = row["late"] or row["status"]
    if outcome not in (ended, row["status"]):
        raise Conflict(
            f"span {row['id']} of session {head.id} ended as {ended!r} and cannot end as "
            f"{outcome!r} too: start another attempt"
        )
    return True


def _changed(tx: Tx, head: Head, row: Values, changes: Values, priced: Priced) -> Span:
    ends = "outcome" in changes
    if ends and "finished_us" not in changes and "latency_us" not in changes:
        changes["finished_us"] = max(canonical.now_us(), row["started_us"])
    if ends or row["finish_sequence"] is not None:
        _price(row, changes, priced)
    draft = events.EventDraft("finish" if ends else "update", row["id"], as_json(changes))
    sequence = events.add(tx, head, [draft])[0]
    before = usage_of(tx, head, row)["call"] if counts(row) else None
    named = row["response_id"]
    folded(row, changes, sequence)
    tx.run("span_put", **{name: row[name] for name in COLUMNS if name not in _FIXED})
    _keep_usage(tx, head, [row])
    if before is not None and usage_of(tx, head, row)["call"] != before:
        # Now it is known which call it was: the one that this span alone told of was no other.
        where = {"project": head.project, "session": head.key}
        tx.run("usage_moved", **where, call=before, id=row["id"], response_id=named)
    return span_of(head.id, row)


def _price(row: Values, values: Values, priced: Priced) -> None:
    """Fill in the cost of a model call that told its tokens and not what they cost."""
    told = {**row, **values}
    if row["kind"] == "model" and told["cost"] is None and told["tokens_in"] is not None:
        cost = priced(told)
        if cost is not None:
            values["cost"] = cost


# --- tokens -------------------------------------------------------------------------------


def _keep_usage(tx: Tx, head: Head, rows: Iterable[Values]) -> None:
    counted = [usage_of(tx, head, row) for row in rows if counts(row)]
    if counted:
        tx.many("usage_set", counted)


def counts(row: Values) -> bool:
    """True for a model call that ended and told its tokens."""
    given_up = row["status"] == Outcome.ABANDONED and row["late"] is None
    ended = row["finish_sequence"] is not None and not given_up
    return row["kind"] == "model" and row["tokens_in"] is not None and ended


def usage_of(tx: Tx, head: Head, row: Values) -> dict[str, Any]:
    """A model call's tokens as the table `usage` holds them: once, whether the span, the
    message or both tell of it.
    """
    message = position(row["message"])
    said = None if message is None else _usage_in(tx, head.project, message)
    key, at = row["response_id"] or f"span:{row['id']}", 0
    if said is not None and message is not None:
        key, at = said.key or str(message), message.seq if message.session == head.id else 0
    usage = Usage(
        key=key,
        model=row["model"] or row["name"],
        provider=row["provider"],
        input=row["tokens_in"],
        output=row["tokens_out"] or 0,
        cache_read=row["cache_read"] or 0,
        cache_write=row["cache_write"] or 0,
        reasoning=row["reasoning"] or 0,
        cost=row["cost"],
    )
    return usage_row(head.project, head.key, head.id, at, row["finished_us"] // 1000, usage)


def _usage_in(tx: Tx, project: int, at: Position) -> Usage | None:
    """The tokens that the message at a place tells of."""
    row = tx.one("session_by_id", id=at.session, project=project)
    if row is None or tx.one("entry_exists", project=project, session=row[0], seq=at.seq) is None:
        return None
    entry = reading.entry(tx, Place(row[0], at.seq))
    if entry.body is None or entry.role is None:
        return None
    return reading.decode(entry).usage


def tells_of_erased(tx: Tx, project: int, row: Values) -> bool:
    """True when the message that a span names was erased: which call it was is not known."""
    at = position(row["message"])
    owner = None if at is None else tx.one("session_by_id", id=at.session, project=project)
    return owner is not None and owner[3] == "erased"


# --- reading ------------------------------------------------------------------------------


def find(tx: Tx, head: Head, id: str) -> Values:
    """The row of a span of this session. Raises `NotFound`."""
    row = tx.one("span_get", project=head.project, id=id)
    if row is None or row[1] != head.key:
        raise NotFound(f"session {head.id} has no span {id!r}: list them with spans()")
    return _row(row)


def listed(tx: Tx, head: Head, filters: Mapping[str, Any], after: int, limit: int) -> list[Span]:
    """Spans in the order in which they began, without bodies, behind the sequence `after`."""
    rows = tx.all("span_page", session=head.key, after=after, limit=limit, **filters)
    return [span_of(head.id, _row(row)) for row in rows]


def rows_of(
    tx: Tx, head: Head, *, turn: int | None = None, call_id: str | None = None
) -> Iterator[Values]:
    """The rows of all spans of a session, or of a turn or a tool call, in order."""
    filters = {**dict.fromkeys(("kind", "name", "status", "chat")), "turn": turn}
    filters["call_id"] = call_id
    after = 0
    while True:
        rows = tx.all("span_page", session=head.key, after=after, limit=PAGE, **filters)
        for row in map(_row, rows):
            yield row
            after = row["sequence"]
        if len(rows) < PAGE:
            return


def whole(tx: Tx, head: Head, id: str) -> Span:
    """One span with its bodies. Raises `NotFound`."""
    row = find(tx, head, id)
    said: Values = {}
    for event in _events(tx, head, row):
        more = said_in(event)
        attributes = {**said.get("attributes", {}), **more.get("attributes", {})}
        said.update(more, attributes=attributes)
    return span_of(head.id, row, said)


def _events(tx: Tx, head: Head, row: Values) -> list[Event]:
    bodies = Bodies(tx)
    rows = [
        tx.one("event_get", session=head.key, sequence=row["sequence"]),
        *tx.all("event_updates", session=head.key, ref=row["id"]),
    ]
    if row["finish_sequence"] not in (None, row["sequence"]):
        rows.append(tx.one("event_get", session=head.key, sequence=row["finish_sequence"]))
    found = [events.event_of(head.id, bodies, row) for row in rows if row is not None]
    return sorted(found, key=lambda event: event.sequence)


def told_in(text: bytes) -> Values:
    """What an event's body says, with the bodies in it as the text that is kept."""
    said: Values = canonical.parse(text)
    kept = canonical.parse(text, dict[str, msgspec.Raw])
    said.update({name: kept[name] for name in ("input", "output") if name in kept})
    return said


def said_in(event: Event) -> Values:
    """What an event of a span says; nothing once it was erased."""
    return {} if event.body is None else canonical.parse(event.body)


def span_of(session: str, row: Values, said: Values | None = None) -> Span:
    """A row as it is shown; `said` holds the bodies where they were asked for."""
    said = said or {}
    latency, first = row["latency_us"], row["first_token_us"]
    shown = {name: row[name] for name in _SHOWN}
    return Span(
        session=session,
        message=position(row["message"]),
        latency_ms=None if latency is None else latency / 1000,
        first_token_ms=None if first is None else first / 1000,
        fallback=None if row["fallback"] is None else bool(row["fallback"]),
        input=said.get("input"),
        output=said.get("output"),
        attributes=said.get("attributes") or {},
        **shown,
    )


_DERIVED = {"session", "message", "latency_ms", "first_token_ms", "fallback", *BODIES}
_SHOWN = tuple(name for name in Span.__struct_fields__ if name not in _DERIVED)


def position(text: str | None) -> Position | None:
    """A place as a row names it; `None` for none, and for what is no place."""
    session, _, seq = (text or "").rpartition(":")
    known = session and seq.isascii() and seq.isdecimal() and len(seq) < SEQ_DIGITS
    return Position(session, int(seq)) if known else None


SEQ_DIGITS: Final = 19
"""A number with fewer is one that the databases hold."""


def _row(row: Sequence[Any]) -> Values:
    return dict(zip(COLUMNS, row, strict=True))
