"""Derive everything again and compare: chains, pointers, projections, frames, blobs, audit.

Nothing is trusted that can be computed. Each problem names the session and the entry, record
or checkpoint that is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from clew import audit, canonical, events, reading, spans
from clew.db import Tx
from clew.errors import ClewError, Damaged
from clew.log import (
    Bodies,
    Head,
    Names,
    Place,
    begins_turn,
    entry_facts,
    parent_name,
    turn_at,
    unpack,
    usage_row,
)
from clew.model import Entry, Usage

if TYPE_CHECKING:
    from clew.ledger import Ledger

PAGE = 2000


class Report(msgspec.Struct):
    """What a verification looked at, and what it found wrong. `roots` are the ends of all
    chains, by session: keep them elsewhere, and a cut-off tail shows too.
    """

    sessions: int = 0
    entries: int = 0
    events: int = 0
    audit_records: int = 0
    frames: int = 0
    blobs: int = 0
    problems: list[str] = []
    roots: dict[str, str] = {}

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems


def verify(
    ledger: Ledger, *, audit_only: bool, on_progress: Callable[[int, int], None] | None
) -> Report:
    """See `Ledger.verify`."""
    report = Report()
    database = ledger._database
    if not audit_only:
        report.problems += [f"database: {line}" for line in database.health()]
    with database.read() as tx:
        sessions = partial(_sessions, tx, report, ledger._scope, audit_only, on_progress)
        report.problems += _guarded(sessions)
        report.problems += _guarded(partial(_projects, tx, ledger._scope))
        if not audit_only:
            report.problems += _guarded(partial(_bodies, tx, report))
    return report


def _sessions(
    tx: Tx,
    report: Report,
    scope: int | None,
    audit_only: bool,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[str]:
    sessions = tx.all("session_keys", project=scope)
    for done, (key, project, name) in enumerate(sessions, 1):
        for problem in _guarded(partial(_session, tx, report, key, project, name, audit_only)):
            yield f"session {name}: {problem}"
        if on_progress:
            on_progress(done, len(sessions))


def _projects(tx: Tx, scope: int | None) -> Iterator[str]:
    for key, name, _settings in tx.all("project_list"):
        if scope in (None, key):
            for problem in _guarded(partial(_project, tx, key, name)):
                yield f"project {name}: {problem}"


def _guarded(check: Callable[[], Iterable[str]]) -> list[str]:
    """Run a check to its end; damage that stops it is one more problem."""
    found: list[str] = []
    try:
        found.extend(check())
    except (ClewError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        found.append(f"cannot be read ({error})")
    return found


def _session(
    tx: Tx, report: Report, key: int, project: int, name: str, audit_only: bool
) -> Iterator[str]:
    report.sessions += 1
    row = tx.one("head_look", session=key)
    if row is None:
        yield "its head is missing"
        return
    head = Head(*row)
    if not audit_only:
        # Each by itself: what stops one check must not hide what the others see.
        yield from _guarded(partial(_listed, tx, key))
        yield from _guarded(partial(_entries, tx, report, head))
        yield from _guarded(partial(_events, tx, report, head))
        yield from _guarded(partial(_pointers, tx, head))
        yield from _guarded(partial(_projections, tx, head))
        yield from _guarded(partial(_usage, tx, head))
        yield from _guarded(partial(_keys, tx, head))
    yield from audit.check_chain(
        tx,
        project,
        key,
        canonical.genesis("audit", name),
        (head.audit_number, bytes(head.audit_chain)),
    )
    report.audit_records += head.audit_number
    report.roots[name] = bytes(head.audit_chain).hex()


def _listed(tx: Tx, key: int) -> Iterable[str]:
    """Nothing, when its status, its settings and the path to them read as what they are."""
    reading.info(tx, key)
    return ()


def _entries(tx: Tx, report: Report, head: Head) -> Iterator[str]:
    lines = {start: _place(a, b) for start, a, b in tx.all("line_list", session=head.key)}
    names, bodies = Names(tx), Bodies(tx)
    chain = canonical.genesis("entries", head.id)
    expected, messages, turns = head.first_seq, 0, _Turns(tx, head, lines)
    while True:
        rows = tx.all(
            "entry_verify", project=head.project, session=head.key, low=expected, limit=PAGE
        )
        for row in rows:
            if row[0] != expected:
                yield f"entries {expected} to {row[0] - 1} are missing"
            derived = canonical.link(chain, *_committed(names, bodies, head.id, row, lines))
            if derived != bytes(row[13]):
                yield f"entry {row[0]} was changed, moved or follows a changed one"
            chain, expected = bytes(row[13]), row[0] + 1
            messages += row[1] == "message"
            if row[14] != turns.of(row[0], row[1], row[2]):
                yield f"entry {row[0]} is filed under turn {row[14]}; it belongs to {turns.now}"
        report.entries += len(rows)
        if len(rows) < PAGE:
            break
    if expected - 1 != head.last_seq or (head.appended and chain != bytes(head.chain)):
        yield f"the log ends at entry {expected - 1}; its head says {head.last_seq}"
    if head.appended and turns.now != head.turn:
        yield f"the log ends in turn {turns.now}; its head says {head.turn}"
    if messages != head.messages:
        yield f"it holds {messages} messages; its head says {head.messages}"
    yield from _stray(head, lines)


def _stray(head: Head, lines: Iterable[int]) -> Iterator[str]:
    for start in lines:
        if not head.first_seq <= start <= head.last_seq:
            yield f"a line begins at entry {start}, which is not there"


class _Turns:
    """Counts the prompts of each path while the log is read."""

    def __init__(self, tx: Tx, head: Head, lines: dict[int, Place | None]) -> None:
        self._tx, self._head, self._lines = tx, head, lines
        self.now = 0

    def of(self, seq: int, kind: str, role: str | None) -> int:
        if seq in self._lines:
            self.now = turn_at(self._tx, self._head.project, self._lines[seq])
        self.now += begins_turn(kind, role)
        return self.now


def _committed(
    names: Names, bodies: Bodies, id: str, row: Any, lines: dict[int, Place | None]
) -> tuple[bytes, bytes]:
    """The header and body digest that an entry's link commits to, from what is stored."""
    seq, kind, role, time_ms, form, body, blob, source, start, size, meta, nonce, digest = row[:13]
    parent = parent_name(names, lines[seq]) if seq in lines else ""
    header = entry_facts(id, seq, kind, role, time_ms, form, parent, meta)
    if nonce is None:
        return header, bytes(digest)
    try:
        text = bodies.get(body, blob, source, start, size)
    except Damaged:
        text = None
    if text is None or len(text) != size:
        return header, b""
    return header, canonical.digest(bytes(nonce), text)


def _events(tx: Tx, report: Report, head: Head) -> Iterator[str]:
    """The chain of events, and the spans that they add up to."""
    bodies, after = Bodies(tx), 0
    chain, number = canonical.genesis("events", head.id), 0
    derived: dict[str, spans.Values] = {}
    opaque: set[str] = set()
    while True:
        rows = tx.all("event_verify", session=head.key, after=after, limit=PAGE)
        for row in rows:
            number, after = number + 1, row[0]
            if row[1] != number:
                yield f"events {number} to {row[1] - 1} are missing"
                number = row[1]
            text, digest = _event_body(bodies, row)
            if canonical.link(chain, events.header(head.id, *row[:6]), digest) != bytes(row[11]):
                yield f"event {row[1]} was changed, moved or follows a changed one"
            chain = bytes(row[11])
            if text is None:
                opaque.add(row[3])
            elif row[2] in spans.EVENTS:
                _fold(derived, head, row, spans.told_in(text))
        report.events += len(rows)
        if len(rows) < PAGE:
            break
    if (number, chain) != (head.events, events.start_of(head)):
        yield f"the events end at {number}; its head says {head.events}"
    yield from _spans(tx, head, derived, opaque)


def _event_body(bodies: Bodies, row: Any) -> tuple[bytes | None, bytes]:
    """An event's text (`None` once erased, or not to be read) and its digest."""
    body, blob, size, nonce, digest = row[6:11]
    if nonce is None:
        return None, bytes(digest)
    try:
        text = bodies.get(body, blob, None, 0, size)
    except Damaged:
        return None, b""
    if text is None or len(text) != size:
        return None, b""
    return text, canonical.digest(bytes(nonce), text)


def _fold(derived: dict[str, spans.Values], head: Head, row: Any, said: spans.Values) -> None:
    sequence, _number, kind, ref, turn, time_ms = row[:6]
    if kind in ("start", "span"):
        where = {
            "project": head.project,
            "session": head.key,
            "id": ref,
            "turn": said.get("turn", turn),
            "sequence": sequence,
            "created_ms": time_ms,
        }
        derived[ref] = spans.first_row(said.pop("kind"), said, where)
    elif ref in derived:
        spans.folded(derived[ref], said, sequence)


def _spans(tx: Tx, head: Head, derived: dict[str, spans.Values], opaque: set[str]) -> Iterator[str]:
    """Each span's row against what its events add up to; an erased one cannot be derived."""
    left, ordinals = dict(derived), Counter[int]()
    for row in spans.rows_of(tx, head):
        told = left.pop(row["id"], None)
        ordinals[row["turn"]] += 1
        if row["ordinal"] != ordinals[row["turn"]]:
            yield f"span {row['id']} is numbered {row['ordinal']} in its turn"
        if row["id"] in opaque:
            continue
        if told is None:
            yield f"span {row['id']} is listed and no event tells of it"
            continue
        wrong = [name for name in spans.DERIVED if row[name] != told[name]]
        if wrong:
            yield f"span {row['id']} is not as its events have it ({', '.join(wrong)})"
    for id in left.keys() - opaque:
        yield f"span {id} is missing"


def _place(session: int | None, seq: int | None) -> Place | None:
    return None if session is None or seq is None else Place(session, seq)


def _pointers(tx: Tx, head: Head) -> Iterator[str]:
    for what, place in _places(tx, head):
        if place is None:
            continue
        owner = tx.one("session_by_key", session=place.session)
        there = owner and tx.one(
            "entry_exists", project=owner[1], session=place.session, seq=place.seq
        )
        if not there:
            yield f"{what} points to entry {place.seq}, which is not there"


def _places(tx: Tx, head: Head) -> Iterator[tuple[str, Place | None]]:
    yield "its head", head.place
    for start, session, seq in tx.all("line_list", session=head.key):
        yield f"the line from entry {start}", _place(session, seq)
    for row in tx.all("checkpoint_all", session=head.key):
        yield f"checkpoint {row[0]}", _place(row[2], row[3])
        yield f"checkpoint {row[0]}", _place(row[4], row[5])
    for row in tx.all("move_list", session=head.key, before=None, limit=1_000_000):
        yield f"move {row[0]}", _place(row[2], row[3])
        yield f"move {row[0]}", _place(row[4], row[5])


class _Told(msgspec.Struct):
    """What a session's audit chain says of what else is stored in rows."""

    checkpoints: dict[str, dict[str, Any]] = {}
    moves: dict[int, dict[str, Any]] = {}
    begins: str | None = None
    """Where a branch hangs."""


def _projections(tx: Tx, head: Head) -> Iterator[str]:
    """What the audit chain says of checkpoints, moves and the head against the rows."""
    told, names = _told(tx, head), Names(tx)
    rows = {row[0]: row for row in tx.all("checkpoint_all", session=head.key)}
    for id, row in rows.items():
        at = str(names.position(_place(row[2], row[3])) or "root")
        facts = told.checkpoints.get(id)
        if facts is None or facts["at"] != at or facts["reason"] != row[7]:
            yield f"checkpoint {id} is not as the audit log has it"
    for id in told.checkpoints.keys() - rows.keys():
        yield f"checkpoint {id} is missing"
    moves = tx.all("move_list", session=head.key, before=None, limit=1_000_000)
    if len(moves) != head.moves:
        yield f"{len(moves)} moves are stored; its head says {head.moves}"
    for row in moves:
        to = str(names.position(_place(row[4], row[5])) or "root")
        facts = told.moves.get(row[0])
        if facts is None or facts["to"] != to:
            yield f"move {row[0]} is not as the audit log has it"
    stands, belongs = str(names.position(head.place) or "root"), _belongs(head, told)
    if stands != belongs:
        yield f"its head is at {stands}; the log puts it at {belongs}"


def _belongs(head: Head, told: _Told) -> str:
    """Where the last thing that happened left the head: a move, an append or the fork."""
    last = told.moves[max(told.moves)] if told.moves else None
    if last is not None and last["seq"] == head.last_seq:
        return str(last["to"])
    if head.appended:
        return f"{head.id}:{head.last_seq}"
    return "root" if told.begins is None or told.begins.endswith(":0") else told.begins


USAGE = (
    *("call", "seq", "time_ms", "model", "provider"),
    *("input", "output", "cache_read", "cache_write", "reasoning", "cost"),
)
COUNTS = range(USAGE.index("input"), USAGE.index("cost"))
MODEL, PROVIDER, COST = USAGE.index("model"), USAGE.index("provider"), USAGE.index("cost")


def _usage(tx: Tx, head: Head) -> Iterator[str]:
    """Tokens, from the messages again. A call that another session repeats may stand higher
    here; one whose text was erased or damaged at its source cannot be derived.
    """
    derived, unread = _derived_usage(tx, head)
    traced, untold = _traced_usage(tx, head)
    opaque = unread or untold
    for call, facts in traced.items():
        known = derived.setdefault(call, facts)
        for at in COUNTS:
            known[at] = max(known[at], facts[at])
    stored = {bytes(row[0]): row for row in tx.all("usage_list", session=head.key)}
    for call, facts in derived.items():
        row = stored.pop(call, None) or tx.one("usage_get", project=head.project, call=call)
        if row is None:
            yield f"the tokens of call {call.hex()} are missing"
        elif any(row[at] < facts[at] for at in COUNTS):
            yield f"the tokens of entry {row[1]} are fewer than its message says"
        elif call in traced:
            continue  # a span and a message tell of it: whichever came first named the model
        elif row[11] == head.key and not row[12] and list(row[1:11]) != facts[1:] and not opaque:
            yield f"the tokens of entry {row[1]} are not those of its message"
    if stored and not opaque:
        yield f"{len(stored)} calls are counted that no message tells of"


def _usage_told(entry: Entry) -> Usage | None:
    """The tokens that a message says, or an importer found out beside one."""
    if entry.role is not None:
        return reading.decode(entry).usage
    told = entry.meta.get("usage")
    try:
        return None if told is None else msgspec.convert(told, Usage)
    except msgspec.ValidationError:
        return None


def _derived_usage(tx: Tx, head: Head) -> tuple[dict[bytes, list[Any]], bool]:
    """Each call's row as its messages tell it, and whether some of them cannot be read."""
    found: dict[bytes, list[Any]] = {}
    opaque, after = False, head.first_seq - 1
    while after < head.last_seq:
        for entry in reading.own_log(tx, head, after, PAGE):
            if entry.body is None or entry.format == "raw":
                opaque = True
                continue
            usage = _usage_told(entry)
            if usage is None:
                continue
            told = usage_row(head.project, head.key, head.id, entry.seq, entry.time_ms, usage)
            row = [told[name] for name in USAGE]
            known = found.get(row[0], row)
            for at in COUNTS:
                row[at] = max(row[at], known[at])
            row[MODEL] = row[MODEL] or known[MODEL]
            row[PROVIDER] = known[PROVIDER]
            row[COST] = max((c for c in (row[COST], known[COST]) if c is not None), default=None)
            found[row[0]] = row
        after += PAGE
    return found, opaque


def _traced_usage(tx: Tx, head: Head) -> tuple[dict[bytes, list[Any]], bool]:
    """Each model call's row as the spans tell it, and whether some do not say which it was."""
    found: dict[bytes, list[Any]] = {}
    opaque = False
    for row in spans.rows_of(tx, head):
        if not spans.counts(row):
            continue
        if head.status == "erased" or spans.tells_of_erased(tx, head.project, row):
            opaque = True
            continue
        told = spans.usage_of(tx, head, row)
        values = [told[name] for name in USAGE]
        known = found.setdefault(told["call"], values)
        for at in COUNTS:
            known[at] = max(known[at], values[at])
    return found, opaque


def _keys(tx: Tx, head: Head) -> Iterator[str]:
    """What an idempotency key remembers, from the entries that it stored."""
    for key, first, last, digest in tx.all("idempotency_list", session=head.key):
        stored = reading.own_log(tx, head, first - 1, last - first + 1)
        bodies = [entry.body for entry in stored if entry.body is not None]
        if [entry.seq for entry in stored] != list(range(first, last + 1)):
            yield f"idempotency key {key!r} stands for entries that are not there"
        elif len(bodies) == len(stored) and reading.bytes_digest(bodies) != bytes(digest):
            yield f"idempotency key {key!r} does not fit the entries that it stored"


def _told(tx: Tx, head: Head) -> _Told:
    told, after = _Told(), 0
    while True:
        rows = tx.all(
            "audit_chain", project=head.project, session=head.key, after=after, limit=PAGE
        )
        for number, _time, _actor, action, text, _chain in rows:
            facts = msgspec.json.decode(text)
            if action == "checkpoint":
                told.checkpoints[facts["id"]] = facts
            if action == "compaction" and "checkpoint" in facts:
                told.checkpoints[facts["checkpoint"]] = facts
            if action == "create":
                told.begins = facts["forked_from"]
            if "move" in facts:
                told.moves[facts["move"]] = facts
            after = number
        if len(rows) < PAGE:
            return told


def _project(tx: Tx, key: int, name: str) -> Iterator[str]:
    row = tx.one("project_get", name=name)
    if row is None:
        yield "it is missing"
        return
    end = (row[3], bytes(row[4]))
    yield from audit.check_chain(tx, key, 0, canonical.genesis("project", name), end)


def _bodies(tx: Tx, report: Report) -> Iterator[str]:
    for (source,) in tx.all("source_keys"):
        for start, size in tx.all("frame_spans", source=source):
            report.frames += 1
            row = tx.one("frame_check", source=source, start=start)
            if row is None or not _frame_ok(size, row):
                yield f"source {source}: the frame at byte {start} was changed"
    for (id,) in tx.all("blob_ids"):
        report.blobs += 1
        row = tx.one("blob_get", id=id)
        if row is None or not _blob_ok(bytes(id), row):
            yield f"blob {bytes(id).hex()} was changed"


def _frame_ok(size: int, row: Any) -> bool:
    try:
        raw = unpack(1, size, row[1])
    except ClewError:
        return False
    return canonical.content_id(raw) == bytes(row[0]) and len(raw) == size


def _blob_ok(id: bytes, row: Any) -> bool:
    try:
        raw = unpack(*row)
    except ClewError:
        return False
    return canonical.content_id(raw) == id and len(raw) == row[1]
