"""Search as the ledger offers it: an index that follows behind, and answers that say so.

The index is a projection fed in batches, on a thread of its own, from each session's log; how
far it has come is kept per session, with the index. A write never waits for it and never
fails because of it. What it does not cover yet is searched entry by entry, newest first, up to
a limit; an answer tells what it could not see.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec

from clew import reading
from clew.canonical import now_ms
from clew.db import Tx
from clew.db.database import Row
from clew.erase import finish
from clew.errors import ClewError, Invalid
from clew.log import Bodies, make_entry
from clew.model import Entry, Hit, Kind, Message, Results
from clew.names import bounded
from clew.search.documents import KINDS, answers, document, tools_of
from clew.search.index import Doc, Filters, Index, IndexUnavailable, Match, Witness
from clew.search.query import Node, parse
from clew.search.snippet import pick, snippet
from clew.window import parse_since

if TYPE_CHECKING:
    from clew.ledger import Ledger

BATCH = 500
"""Entries a round of the indexer."""
PAUSE_SECONDS = 0.01
"""How long the indexer gathers before it works: bounds the lag, makes batches."""
POLL_SECONDS = 1.0
"""How often it looks for what other processes wrote."""
INLINE_MAX = 2_000
"""Up to this many entries behind, a search first brings the index up to date."""
HEADS_MAX = 50
"""More sessions than this are asked for all at once."""
LOOK_BACK = 64
"""Entries before a batch in which the calls of its results are looked for."""
TAIL_MAX = 2_000
"""Beyond that, so many of the newest unindexed entries are searched one by one."""
ROLES = {
    "user": ("user",),
    "assistant": ("assistant", "thinking", "tool_call"),
    "tool": ("tool_result",),
    "system": ("system",),
}


class Question(msgspec.Struct, kw_only=True):
    """A search as it was asked."""

    text: str
    kinds: tuple[str, ...] = ()
    role: str | None = None
    tool: str | None = None
    session: str | None = None
    project: str | None = None
    since: str | int | None = None
    until: str | int | None = None
    order: Literal["rank", "newest"] = "rank"
    limit: int = 20
    min_score: float | None = None


class Searcher:
    """The index of one ledger, its thread, and the answers."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._database = ledger._database
        self._index: Index | None = None
        self._lock = threading.RLock()
        self._adding = threading.Lock()
        self._erasures = 0
        """Counted, so that nothing that was read before one is added behind it."""
        self._dirty: set[int] = set()
        self._cursor = -1
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._enabled: bool | None = None

    # --- the thread ---

    def start(self) -> None:
        """Be ready to follow; the thread itself starts with the first write."""
        self._enabled = None

    def wrote(self, session: int) -> None:
        """A unit that touched this session was committed."""
        if self._enabled is False:
            return
        if session:
            self._dirty.add(session)
        if self._thread is None and not self._closing:
            self._begin()
        if not self._wake.is_set():  # setting it takes a lock and wakes, looking does not
            self._wake.set()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and self.enabled:
                self._thread = threading.Thread(target=self._loop, name="clew-index", daemon=True)
                self._thread.start()

    def _loop(self) -> None:
        while True:
            self._wake.wait(POLL_SECONDS)
            time.sleep(PAUSE_SECONDS)
            self._wake.clear()
            # Asked behind the clear, which may have swallowed the wake-up of a close.
            if self._closing:
                return
            # A failing index must never reach a writer; it is told by the next search.
            with contextlib.suppress(ClewError):
                self.catch_up(polite=True)

    def close(self) -> None:
        """Stop after the batch in hand."""
        self._closing = True
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None

    # --- keeping up ---

    @property
    def enabled(self) -> bool:
        """False when search was turned off for this ledger."""
        if self._enabled is None:
            with self._database.read() as tx:
                row = tx.one("meta_get", name="search")
            self._enabled = row is None or row[0] != "off"
        return self._enabled

    def index(self) -> Index:
        """The open index. Raises `Unavailable` when it cannot be used."""
        if self._index is None:
            with self._lock:
                self._index = self._index or self._database.search_index()
        index: Index = self._index
        return index

    def behind(self) -> dict[int, tuple[int, int]]:
        """Sessions that the index does not cover: `key -> (indexed up to, last entry)`."""
        with self._lock:
            first = self._cursor < 0
            if first and self._database.writable:
                finish(self._ledger)
            marks = self.index().marks()
            dirty = set(self._dirty)
            cursor, changed = self._database.changed_sessions(max(self._cursor, 0))
            dirty.update(changed)
            with self._database.read() as tx:
                many = first or len(dirty) > HEADS_MAX
                heads = tx.all("head_list") if many else _heads(tx, dirty)
                known = not first or self._knows(tx, self.index().witness())
            if not known or any(marks.get(key, 0) > last for key, last, _first in heads):
                # The ledger was put back to an earlier state beside a newer index.
                self.index().clear()
                marks, cursor = {}, -1
            late = {
                key: (max(marks.get(key, 0), first_seq - 1), last)
                for key, last, first_seq in heads
                if last > max(marks.get(key, 0), first_seq - 1)
            }
            # Only now: whatever failed above is looked at again the next time.
            self._cursor = cursor
            self._dirty.difference_update(dirty)
            self._dirty.update(late)
            return late

    def _knows(self, tx: Tx, witness: Witness | None) -> bool:
        return witness is None or _print(tx, witness.entry) == witness.print

    def catch_up(
        self, *, polite: bool = False, on_progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Index everything that is behind, newest sessions first; gives the number of entries.

        Two that do it at once only do the same work twice: marks never go back.
        """
        if not self.enabled:
            return 0
        late = self.behind()
        total, added = sum(last - done for done, last in late.values()), 0
        for key in sorted(late, reverse=True):
            for count in self._follow(key, late[key][0], polite):
                added += count
                if on_progress:
                    on_progress(added, total)
                if self._closing:
                    return added
        return added

    def _follow(self, key: int, done: int, polite: bool) -> Iterator[int]:
        while True:
            erasures = self._erasures
            with self._database.read() as tx:
                session = tx.one("session_by_key", session=key)
                if session is None:
                    return
                docs, newest, reached, count = self._documents(tx, session, done, polite)
                if count == 0:
                    return
                witness = Witness(newest, _print(tx, newest))
            index = self.index()  # takes a lock of its own: never inside this one
            with self._adding:
                if self._erasures != erasures:
                    continue  # some of what was read may be erased by now: it is read again
                index.add(docs, {key: reached}, witness)
            done = reached
            self._forget_late(key, docs)
            yield count
            if count < BATCH:
                return

    def _documents(
        self, tx: Tx, session: tuple[int, ...], done: int, polite: bool
    ) -> tuple[list[Doc], int, int, int]:
        """The documents, the id and number of the last entry looked at, and how many were."""
        key, project, name = session[0], session[1], str(session[2])
        bodies = Bodies(tx)
        rows = tx.all("entry_for_index", project=project, session=key, after=done, limit=BATCH)
        docs = []
        calls = Calls(tx, session, done)
        for row in rows:
            entry = make_entry(name, bodies, row[1:])
            texts, tools = texts_of(entry, calls)
            if texts:
                docs.append(Doc(row[0], project, key, entry.seq, entry.time_ms, tools, texts))
            if polite:
                time.sleep(0)  # lets a writer have the interpreter between two documents
        newest, last = rows[-1][:2] if rows else (0, done)
        return docs, newest, last, len(rows)

    def rebuild(self, on_progress: Callable[[int, int], None] | None) -> int:
        """Forget the index and build it anew."""
        if not self.enabled:
            raise Invalid("search is turned off for this ledger: open it with search=True first")
        with self._lock:
            self.index().clear()
            self._cursor = -1
        return self.catch_up(on_progress=on_progress)

    def forget(self, entries: Iterable[int]) -> None:
        """Remove what was erased; leaves no residue. A damaged index is emptied instead."""
        index = self.index()
        with self._adding:
            self._erasures += 1
            try:
                index.forget(list(entries))
            except IndexUnavailable:
                index.clear()

    def _forget_late(self, key: int, docs: list[Doc]) -> None:
        """What another process erased between the reading of a batch and its adding."""
        with self._database.read() as tx:
            session = tx.one("session_by_key", session=key)
            if session is None or session[3] != "erased":
                return
            erased = {id for (id,) in tx.all("entry_erased", session=key)}
        late = [doc.entry for doc in docs if doc.entry in erased]
        if late:
            self.forget(late)

    # --- answering ---

    def answer(self, question: Question, asker: Ledger) -> Results:
        """See `Ledger.search`. `asker` is the handle that asks: one index serves them all, and
        each sees its own project only.
        """
        node = parse(question.text)
        filters = self._filters(question, asker)
        if not self.enabled:
            return Results((), "disabled")
        try:
            late = self.behind()
            waiting = sum(last - done for done, last in late.values())
            if 0 < waiting <= INLINE_MAX and self._database.writable:
                self.catch_up()
                late, waiting = {}, 0
            found = self.index().find(
                node, filters, order=question.order, limit=bounded(question.limit)
            )
            empty = not found and self.index().count() == 0
        except IndexUnavailable:
            if self._database.writable:
                raise
            # Who only reads cannot make an index: the log itself is searched, from its end.
            late, found, empty = self._everything(), [], False
            waiting = sum(last - done for done, last in late.values())
        tail, unseen = self._tail(node, filters, late) if waiting else ([], 0)
        hits = self._hits(node, filters, _merge(found, tail, question))
        state = "behind" if waiting else "empty" if empty else "current"
        return Results(tuple(hits), state, waiting, unseen)

    def _everything(self) -> dict[int, tuple[int, int]]:
        with self._database.read() as tx:
            return {key: (first - 1, last) for key, last, first in tx.all("head_list")}

    def _filters(self, question: Question, asker: Ledger) -> Filters:
        kinds = question.kinds
        for kind in kinds:
            if kind not in KINDS:
                raise Invalid(f"kind={kind!r} is not one of {', '.join(KINDS)}")
        if question.role is not None:
            if question.role not in ROLES:
                raise Invalid(f"role={question.role!r} is not one of {', '.join(ROLES)}")
            of_role = ROLES[question.role]
            kinds = tuple(k for k in kinds if k in of_role) if kinds else of_role
        bounded(question.limit)
        now = now_ms()
        return Filters(
            project=asker._known_project(question.project),
            session=(asker.get(question.session)._key,) if question.session else None,
            kinds=kinds or None,
            tool=question.tool,
            since_ms=parse_since(str(question.since), now) if question.since is not None else None,
            until_ms=parse_since(str(question.until), now) if question.until is not None else None,
        )

    def _tail(
        self, node: Node, filters: Filters, late: dict[int, tuple[int, int]]
    ) -> tuple[list[Match], int]:
        """Search what the index does not cover, newest sessions first, up to the limit."""
        left, unseen = TAIL_MAX, 0
        found: list[Match] = []
        with self._database.read() as tx:
            for key in sorted(late, reverse=True):
                done, last = late[key]
                session = tx.one("session_by_key", session=key)
                if session is None or not _wanted(session, filters):
                    continue
                start = max(done, last - left)
                unseen += start - done
                left -= last - start
                found += self._scan(tx, session, start, node, filters)
        return found, unseen

    def _scan(
        self, tx: Tx, session: tuple[int, ...], after: int, node: Node, filters: Filters
    ) -> Iterator[Match]:
        bodies = Bodies(tx)
        rows = tx.all(
            "entry_for_index", project=session[1], session=session[0], after=after, limit=TAIL_MAX
        )
        calls = Calls(tx, session, after)
        for row in rows:
            entry = make_entry(str(session[2]), bodies, row[1:])
            texts, tools = texts_of(entry, calls)
            if filters.tool is not None and filters.tool not in tools:
                continue
            if _in_time(entry, filters) and answers(node, texts, filters.kinds):
                yield Match(row[0], session[0], entry.seq, entry.time_ms, None, 0.0)

    def _hits(self, node: Node, filters: Filters, found: list[Match]) -> list[Hit]:
        with self._database.read() as tx:
            # Once a session: it is a join, and hits often share one.
            keys = {match.session for match in found}
            sessions = {key: tx.one("session_info", session=key) for key in keys}
            made = [self._hit(tx, node, filters, match, sessions[match.session]) for match in found]
        return [hit for hit in made if hit is not None]

    def _hit(
        self, tx: Tx, node: Node, filters: Filters, match: Match, session: Row | None
    ) -> Hit | None:
        row = tx.one("entry_by_id", id=match.entry)
        if row is None or session is None:
            return None
        entry = make_entry(session[0], Bodies(tx), row[2:])
        texts, tools = texts_of(entry)
        wanted = [kind for kind in KINDS if kind in texts and kind in (filters.kinds or KINDS)]
        if not wanted:
            return None
        kind = match.kind or pick({kind: texts[kind] for kind in wanted}, node) or wanted[0]
        words, marks = snippet(texts[kind], node)
        return Hit(
            session=session[0],
            seq=entry.seq,
            project=session[1],
            title=session[2],
            kind=kind,
            tool=tools[0] if tools else None,
            time_ms=entry.time_ms,
            snippet=words,
            marks=marks,
            score=match.score,
        )


class Calls:
    """The tools of a session's calls by id, for results that name their call only so. Calls
    before `done` are looked up once, and only when a result asks for one.
    """

    def __init__(self, tx: Tx, session: tuple[int, ...], done: int) -> None:
        self._known: dict[str, str] = {}
        self._before: Callable[[], Iterator[Entry]] | None = partial(_before, tx, session, done)

    def tools(self, message: Message) -> tuple[str, ...]:
        """The tools that a message calls or answers for; learns its calls."""
        self._learn(message)
        named = [*tools_of(message)]
        for result in message.tool_results:
            if result.name is None:
                if result.call_id not in self._known and self._before is not None:
                    look, self._before = self._before, None
                    for entry in look():
                        self._learn(reading.decode(entry))
                tool = self._known.get(result.call_id)
                named += [tool] if tool else []
        return tuple(dict.fromkeys(named))

    def _learn(self, message: Message) -> None:
        self._known.update({call.id: call.name for call in message.tool_calls})


def _before(tx: Tx, session: tuple[int, ...], done: int) -> Iterator[Entry]:
    bodies, start = Bodies(tx), max(done - LOOK_BACK, 0)
    rows = tx.all(
        "entry_for_index", project=session[1], session=session[0], after=start, limit=LOOK_BACK
    )
    for row in rows:
        entry = make_entry(str(session[2]), bodies, row[1:])
        if row[1] <= done and entry.role == "assistant" and entry.body is not None:
            yield entry


def texts_of(entry: Entry, calls: Calls | None = None) -> tuple[dict[str, str], tuple[str, ...]]:
    """What an entry holds for search, by kind, and the tools that it names."""
    if entry.body is None:
        return {}, ()
    if entry.kind in reading.SPOKEN or (entry.kind == Kind.NOTICE and entry.role is not None):
        # A notice with a role is what somebody said beside the path: an inline sub-agent.
        message = reading.decode(entry)
        return document(message), calls.tools(message) if calls else tools_of(message)
    if entry.kind == Kind.COMPACTION:
        summary = reading.summary_of(entry)
        return ({"system": summary} if summary else {}), ()
    if entry.format == "clew" and entry.kind == Kind.LABEL:
        return {"system": entry.data["title"]}, ()
    return {}, ()


def _print(tx: Tx, entry: int) -> int:
    """Some of an entry's chain as a number; -1 when there is no such entry."""
    row = tx.one("entry_print", id=entry)
    return int.from_bytes(bytes(row[0])[:7]) if row else -1


def _heads(tx: Tx, keys: set[int]) -> list[tuple[int, int, int]]:
    rows = (tx.one("head_look", session=key) for key in keys)
    return [(row[0], row[6], row[17]) for row in rows if row is not None]


def _wanted(session: tuple[int, ...], filters: Filters) -> bool:
    return filters.project in (None, session[1]) and (
        filters.session is None or session[0] in filters.session
    )


def _in_time(entry: Entry, filters: Filters) -> bool:
    since, until = filters.since_ms, filters.until_ms
    return (since is None or entry.time_ms >= since) and (until is None or entry.time_ms < until)


def _merge(found: list[Match], tail: list[Match], question: Question) -> list[Match]:
    both = {match.entry: match for match in (*found, *tail)}.values()
    if question.order == "newest":
        ordered = sorted(both, key=lambda match: (-match.time_ms, -match.entry))
    else:
        ordered = sorted(both, key=lambda match: (-match.score, -match.time_ms, -match.entry))
    if question.min_score is not None:
        ordered = [match for match in ordered if match.score >= question.min_score]
    return ordered[: question.limit]
