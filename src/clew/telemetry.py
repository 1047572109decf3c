"""Spans that other programs report, and the sessions that they make.

A conversation becomes the session at the address `("otlp", its name)`; a trace that names none
becomes one at `("otlp-trace", its id)`. A conversation that bears the id of a session of ours
is that session: it gets the spans and no messages, which its owner writes.

The messages that a model call carries are appended as far as the session does not hold them
yet (see `clew.otlp.align`); the turn that its spans belong to follows from them. Of the input of
a call, which repeats the conversation, the span keeps what is stored as an entry by its place:
`{"entries": "<session>:<first>-<last>"}` stands for those messages (`resolved` puts them back).
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec

from clew import canonical, checkpoints, events, log, reading, spans
from clew.db import Tx
from clew.drafts import message_draft
from clew.errors import Invalid, Stale
from clew.log import Head, Place, read_head, save_head
from clew.model import JSON, Kind, Position
from clew.otlp import align
from clew.otlp.mapping import NAME_CHARS_MAX, Mapped
from clew.otlp.messages import Chat
from clew.spans import SpanDraft, Values

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.session import Session

Address = tuple[str, str]
"""Frontend and user of a session."""

K = TypeVar("K")
V = TypeVar("V")

FRONTEND = "otlp"
TRACE_FRONTEND = "otlp-trace"
PARENTS_MAX = 8
"""So many spans are looked for to find where a trace without a name went before."""

MARKS_MAX = 50_000
"""Messages whose fingerprint is kept, so that no call pays for its whole history again."""
KNOWN_MAX = 512
"""Sessions whose history is kept as fingerprints."""

_ENTRIES = re.compile(r"([0-9a-f]{32}):(\d{1,18})-(\d{1,18})")
_SESSION_ID = re.compile(r"[0-9a-f]{32}")
_BEHIND_HEX = "g"
_encode = msgspec.json.Encoder().encode


class Recent(OrderedDict[K, V]):
    """A dict that forgets what was not used for longest."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def use(self, key: K) -> V | None:
        """What is kept under a key, now the newest; `None` when nothing is."""
        found = self.get(key)
        if found is not None:
            with suppress(KeyError):  # another thread may just have pushed it out
                self.move_to_end(key)
        return found

    def keep(self, key: K, value: V) -> None:
        """Keep a value, and forget the oldest beyond the limit."""
        self.pop(key, None)
        self[key] = value
        while len(self) > self._limit:
            self.popitem(last=False)


class Spoken(msgspec.Struct):
    """A message of a call: its shape, a digest of its JSON, and its fingerprint."""

    chat: Chat
    digest: bytes
    mark: bytes


class Report(msgspec.Struct):
    """One span on its way in."""

    told: Mapped
    draft: SpanDraft
    values: Values
    """The draft's own values: a unit that runs twice begins from them twice."""
    given: list[Spoken] = []
    said: list[Spoken] = []


class Known(msgspec.Struct):
    """What a session's history says, oldest first: fingerprints without system messages and
    the places of these; and of its own entries the digests of their bodies, both ways (the
    first number where several say the same). Holds for one end of the log.
    """

    place: Place | None
    chain: bytes
    marks: list[bytes] = []
    places: list[Position] = []
    bodies: dict[bytes, int] = {}
    digests: dict[int, bytes] = {}

    def stored(self, seq: int, digest: bytes) -> None:
        """Remember what one of its own entries says."""
        self.bodies.setdefault(digest, seq)
        self.digests[seq] = digest


# --- before the unit -----------------------------------------------------------------------


class Reports:
    """Makes reports of spans; keeps the fingerprints of messages that come again and again."""

    def __init__(self) -> None:
        self._marks: Recent[bytes, bytes] = Recent(MARKS_MAX)

    def of(self, told: Mapped) -> Report:
        """Raises `Invalid` for a span that no session can hold."""
        name = told.conversation or ""
        if len(name) > NAME_CHARS_MAX:
            raise Invalid(
                f"the conversation's name has {len(name):,} characters: "
                f"{NAME_CHARS_MAX} are the most"
            )
        draft = SpanDraft(told.kind, told.name, told.values, told.id)
        report = Report(told, draft, draft.values)
        if told.given or told.said:
            report.given = [*map(self._spoken, told.given)]
            report.said = [*map(self._spoken, told.said)]
        return report

    def _spoken(self, chat: Chat) -> Spoken:
        digest = _digest(_encode(chat))
        mark = self._marks.use(digest)
        if mark is None:
            mark = align.fingerprint_of(chat)
            self._marks.keep(digest, mark)
        return Spoken(chat, digest, mark)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


# --- which session -------------------------------------------------------------------------


class Wanted(msgspec.Struct):
    """A session to find or to make. `parents` are spans above those that belong to it."""

    address: Address
    agent: str | None
    parents: list[str]


class Target(msgspec.Struct):
    """Where spans go. `talk`: whether their messages are appended there too. `made`: whether
    it was made for them.
    """

    session: Session
    talk: bool
    made: bool = False


def address(told: Mapped) -> Address:
    """The address of the session that a span belongs to."""
    if told.conversation is not None:
        return FRONTEND, told.conversation
    return TRACE_FRONTEND, told.trace


def wanted(address: Address, group: Iterable[Report]) -> Wanted:
    """The session of spans that have an address in common."""
    agent: str | None = None
    parents: list[str] = []
    for report in group:
        agent = agent or report.told.agent
        parent = report.told.values.get("parent")
        if address[0] == TRACE_FRONTEND and parent is not None and len(parents) < PARENTS_MAX:
            parents.append(parent)
    return Wanted(address, agent, parents)


def located(ledger: Ledger, wanted: Sequence[Wanted]) -> list[Target]:
    """The sessions of addresses, in their order: one look, and one commit for the new ones."""
    owner = ledger._project_key(ledger._named(None))
    with ledger._database.read() as tx:
        found = [_look(tx, ledger, owner, one) for one in wanted]
    missing = [one for one, target in zip(wanted, found, strict=True) if target is None]
    made = iter(ledger._run(_opener(ledger, owner, missing), 0) if missing else ())
    return [target or next(made) for target in found]


def located_by_key(ledger: Ledger, key: int) -> Target | None:
    """The session of that key; `None` when it is gone."""
    with ledger._database.read() as tx:
        return _by_key(tx, ledger, key)


def _look(tx: Tx, ledger: Ledger, owner: int, one: Wanted) -> Target | None:
    frontend, user = one.address
    for parent in one.parents:
        row = tx.one("span_get", project=owner, id=parent)
        if row is not None:
            return _by_key(tx, ledger, row[1])
    if frontend == FRONTEND and _SESSION_ID.fullmatch(user):
        row = tx.one("session_by_id", id=user, project=ledger._scope)
        if row is not None:
            return _by_key(tx, ledger, row[0])
    row = tx.one("session_by_address", project=owner, frontend=frontend, user_id=user)
    return None if row is None else Target(ledger._handle(row[0], owner, row[2]), talk=True)


def _by_key(tx: Tx, ledger: Ledger, key: int) -> Target | None:
    row = tx.one("session_by_key", session=key)
    if row is None:
        return None
    talk = reading.info(tx, key).frontend in (FRONTEND, TRACE_FRONTEND)
    return Target(ledger._handle(key, row[1], row[2]), talk)


def _opener(ledger: Ledger, owner: int, wanted: Sequence[Wanted]) -> Callable[[Tx], list[Target]]:
    ids = [canonical.new_id() for _ in wanted]

    def unit(tx: Tx) -> list[Target]:
        made = []
        for one, id in zip(wanted, ids, strict=True):
            frontend, user = one.address
            row = tx.one("session_by_address", project=owner, frontend=frontend, user_id=user)
            if row is not None:  # somebody else was faster
                made.append(Target(ledger._handle(row[0], owner, row[2]), talk=True))
                continue
            key = checkpoints.new_session(
                tx, owner, ledger.actor, id=id, agent=one.agent, address=one.address
            )
            made.append(Target(ledger._handle(key, owner, id), talk=True, made=True))
        return made

    return unit


# --- the unit ------------------------------------------------------------------------------


class Kept(msgspec.Struct):
    """What a unit did. `elsewhere` are spans that another session has already, by its key."""

    elsewhere: list[tuple[int, Report]] = []


def recorder(
    session: Session, reports: Sequence[Report], histories: Recent[int, Known], *, talk: bool
) -> Callable[[Tx], Kept]:
    """The unit that records spans in a session and, with `talk`, the messages that they carry.

    Raises `Stale` when the session was erased.
    """

    def unit(tx: Tx) -> Kept:
        head = read_head(tx, session._key)
        if head.status == "erased":
            raise Stale(f"session {session.id} is erased: its spans have nowhere to go")
        kept = Kept([])
        known = _known_traces(tx, head, reports)
        ours = [report for report in reports if _is_ours(tx, head, report, known, kept)]
        before, length = head.events, head.last_seq
        if talk and _writable(head) and any(report.given or report.said for report in ours):
            _Talk(tx, head, histories).tell(ours)
        spans.insert(tx, head, [report.draft for report in ours], None, session._cost)
        if head.last_seq > length:
            save_head(tx, head)
        elif head.events > before:
            events.save(tx, head, canonical.now_ms())
        return kept

    return unit


def _known_traces(tx: Tx, head: Head, reports: Sequence[Report]) -> set[str]:
    """The traces of which there are spans already: in all others none has to be looked for."""
    return {
        trace
        for trace in {report.told.trace for report in reports}
        if tx.one("span_between", project=head.project, low=trace, high=trace + _BEHIND_HEX)
    }


def _is_ours(tx: Tx, head: Head, report: Report, known: set[str], kept: Kept) -> bool:
    """Look up a span once, for the routing and for `spans.insert`."""
    draft = report.draft
    draft.values = report.values
    row = None
    if report.told.trace in known:
        row = tx.one("span_get", project=head.project, id=draft.id)
    draft.fresh = row is None
    if row is not None and row[1] != head.key:
        kept.elsewhere.append((row[1], report))
        return False
    return True


def _writable(head: Head) -> bool:
    """Others' leases and closed sessions are respected: the span keeps its messages itself."""
    until = head.lease_until_ms
    return head.status == "open" and (until is None or until <= canonical.now_ms())


class _Talk:
    """Appends what the spans of one request tell of a conversation, in the order of time."""

    def __init__(self, tx: Tx, head: Head, histories: Recent[int, Known]) -> None:
        self._tx = tx
        self._head = head
        self._known = _history(tx, head, histories)
        self._histories = histories
        self._turns: dict[str, list[tuple[int, int]]] = {}

    def tell(self, reports: Sequence[Report]) -> None:
        """Append, and say in each draft in which turn it is and which message it made."""
        ordered = sorted(reports, key=_started)
        talking = [report for report in ordered if report.given or report.said]
        for report in talking:
            if report.draft.kind == "model":
                self._model(report)
        for report in talking:
            if report.draft.kind == "agent" and report.told.values.get("parent") is None:
                self._agent(report)
        for report in ordered:
            self._place(report)
        self._histories.keep(self._head.key, self._known)

    def _model(self, report: Report) -> None:
        told = _without_system(report)
        begin = align.fresh(self._known.marks, [spoken.mark for spoken in told])
        if begin is None and report.told.continues:
            begin = 0
        if begin is not None:
            self._append(report, told[begin:])
            turn = (_started(report), self._head.turn)
            self._turns.setdefault(report.told.trace, []).append(turn)

    def _agent(self, report: Report) -> None:
        """An agent's run tells what its calls tell: only where these were silent is it heard."""
        told = _without_system(report)
        seen = set(self._known.marks)
        if not any(spoken.mark in seen for spoken in told):
            self._append(report, told)

    def _append(self, report: Report, told: Sequence[Spoken]) -> None:
        if not told:
            return
        if not self._known.marks:
            system = [spoken for spoken in report.given if spoken.chat["role"] == "system"]
            told = [*system, *told]
        begun, ended = report.values["started_us"], report.values.get("finished_us")
        said = {id(spoken) for spoken in report.said}
        drafts = [
            message_draft(
                spoken.chat,
                format=align.FORMAT,
                time_ms=((ended or begun) if id(spoken) in said else begun) // 1000,
            )
            for spoken in told
        ]
        known, head = self._known, self._head
        for seq, spoken in zip(log.append(self._tx, head, drafts, save=False), told, strict=True):
            known.stored(seq, spoken.digest)
            if spoken.chat["role"] != "system":
                known.marks.append(spoken.mark)
                known.places.append(Position(head.id, seq))
        known.place, known.chain = head.place, head.chain

    def _place(self, report: Report) -> None:
        turns = self._turns.get(report.told.trace)
        values = dict(report.values)
        if turns:
            begun = _started(report)
            before = [turn for start, turn in turns if start <= begun]
            values["turn"] = before[-1] if before else turns[0][1]
        if report.said:
            place = self._place_of(report.said[-1].mark)
            if place is not None:
                values["message"] = str(place)
        if report.given:
            values["input"] = msgspec.Raw(_encode(self._shortened(report.given)))
        report.draft.values = values

    def _place_of(self, mark: bytes) -> Position | None:
        known = self._known
        for index in range(len(known.marks) - 1, -1, -1):
            if known.marks[index] == mark:
                return known.places[index]
        return None

    def _shortened(self, given: Iterable[Spoken]) -> list[JSON]:
        """The messages, with those that are stored byte for byte named by their place."""
        out: list[JSON] = []
        run: tuple[int, int] | None = None
        for spoken in given:
            if run is not None and self._known.digests.get(run[1] + 1) == spoken.digest:
                run = (run[0], run[1] + 1)
                out[-1] = self._entries(run)
                continue
            seq = self._known.bodies.get(spoken.digest)
            if seq is not None:
                run = (seq, seq)
                out.append(self._entries(run))
            else:
                run = None
                out.append(spoken.chat)
        return out

    def _entries(self, run: tuple[int, int]) -> JSON:
        return {"entries": f"{self._head.id}:{run[0]}-{run[1]}"}


def _started(report: Report) -> int:
    started: int = report.values.get("started_us", 0)
    return started


def _without_system(report: Report) -> list[Spoken]:
    return [s for s in (*report.given, *report.said) if s.chat["role"] != "system"]


def _history(tx: Tx, head: Head, histories: Recent[int, Known]) -> Known:
    """What the session holds, read again only when it is not what was kept of it."""
    known = histories.use(head.key)
    if known is not None and (known.place, known.chain) == (head.place, head.chain):
        # A copy: when this unit is rolled back, what was kept still holds.
        return msgspec.structs.replace(
            known,
            marks=[*known.marks],
            places=[*known.places],
            bodies={**known.bodies},
            digests={**known.digests},
        )
    known = Known(head.place, head.chain, [], [], {}, {})
    for entry in reading.entries_of(tx, log.path(tx, head.place)):
        if entry.body is None or entry.kind is not Kind.MESSAGE:
            continue
        if entry.format == align.FORMAT and entry.session == head.id:
            known.stored(entry.seq, _digest(entry.body))
        message = reading.decode(entry)
        if message.role != "system":
            known.marks.append(align.fingerprint(message))
            known.places.append(entry.position)
    return known


# --- giving it back ------------------------------------------------------------------------


def resolved(session: Session, body: JSON) -> JSON:
    """The input of a span with its messages in the place of the entries that it names. What
    cannot be read, since it was erased or is another session's, stays named.
    """
    if not isinstance(body, list) or not any(map(_named, body)):
        return body
    out: list[JSON] = []
    for item in body:
        named = _named(item)
        found = _messages(session, *named) if named is not None else None
        out.extend([item] if found is None else found)
    return out


def _named(item: JSON) -> tuple[str, int, int] | None:
    text = item.get("entries") if isinstance(item, Mapping) and len(item) == 1 else None
    match = _ENTRIES.fullmatch(text) if isinstance(text, str) else None
    return (match[1], int(match[2]), int(match[3])) if match else None


def _messages(session: Session, id: str, first: int, last: int) -> list[JSON] | None:
    if id != session.id or last < first:
        return None
    entries = session.entries(after=first - 1, limit=last - first + 1)
    found = [entry.data for entry in entries if entry.body is not None and entry.seq <= last]
    return found if len(found) == last - first + 1 else None
