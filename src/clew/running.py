"""The verbs of a session for what runs: turns and spans, the agent's state, taking up again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from clew import events, names, snapshots, spans
from clew.canonical import now_ms
from clew.db import Tx
from clew.errors import Invalid, Stale
from clew.log import Head, look_head, read_head, turn_now
from clew.model import JSON, Entry, Snapshot, Span
from clew.moves import ANY, SEQ_MAX, Anywhere
from clew.names import bounded
from clew.spans import SpanDraft, Values
from clew.tracing import Turn, traced

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.session import RawMessage

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Running:
    """What `Session` offers for what takes time."""

    _ledger: Ledger
    _key: int
    id: str

    if TYPE_CHECKING:  # what `Session` gives it
        _read: Callable[[], Any]
        _lock: Callable[[Tx], Head]
        _check_open: Callable[[], None]
        append: Callable[..., Entry]
        _append_unit: Callable[..., Callable[[Tx], list[Entry]]]

        def _write(self, unit: Callable[[Tx], T]) -> T: ...

    # --- around a block ---

    def turn(
        self,
        prompt: RawMessage | None = None,
        *,
        name: str = "turn",
        chat: str | None = None,
        **facts: Any,
    ) -> Turn:
        """A block in which one request is answered: `with session.turn(prompt) as turn`.

        Appends `prompt`, and records the turn as a span over its tool and model calls; see
        `clew.tracing`. `chat` names the conversation where a session serves several.
        """
        self._check_open()
        values = {"chat": chat, **facts} if chat else dict(facts)
        return Turn(self, "turn", name, values, prompt)

    @overload
    def traced(
        self, function: Callable[P, R], /, *, name: str | None = None, effect: str | None = None
    ) -> Callable[P, R]: ...

    @overload
    def traced(
        self, function: None = None, /, *, name: str | None = None, effect: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def traced(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        effect: str | None = None,
    ) -> Any:
        """A decorator: every call of the function, plain or async, is recorded as a tool span
        of this session. `@session.traced` or `@session.traced(effect="external")`.
        """
        if function is None:
            return partial(traced, self, name=name, effect=effect)
        return traced(self, function, name=name, effect=effect)

    # --- one by one ---

    def start_span(self, kind: str, name: str, /, *, id: str = "", **facts: Any) -> Span:
        """Record that something begins (or, with `outcome`, that it is over); see `clew.Span`
        for what `facts` may hold. Raises `Invalid`. An `id` that is known gives that span.
        """
        return self._write(self._start_unit(SpanDraft(kind, name, facts, id)))

    def update_span(self, id: str, /, **changes: Any) -> Span:
        """Record what changed; an `outcome` ends the span. No changes: the span as it is.

        The same outcome again gives the span; another is a `Conflict`, but after `abandoned`,
        where it is kept as a late result. Raises `NotFound`, `Invalid`.
        """
        return self._write(self._update_unit(id, changes))

    def record_spans(self, drafts: Iterable[SpanDraft]) -> list[Span]:
        """Record many in one transaction. What is stored under an id already is not stored
        again; a span that still runs is ended by one that tells its outcome.
        """
        return self._write(self._insert_unit(list(drafts), None))

    def span(self, id: str) -> Span:
        """One span with its input, output and attributes. Raises `NotFound`."""
        names.checked(id, "a span's id", empty=False)
        with self._read() as tx:
            return spans.whole(tx, look_head(tx, self._key), id)

    def spans(
        self,
        *,
        kind: str | None = None,
        tool: str | None = None,
        outcome: str | None = None,
        turn: int | None = None,
        chat: str | None = None,
        call_id: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Span]:
        """Spans in the order in which they began, without bodies; `after` the `sequence` of
        the last one seen. `outcome` may be `running` or `waiting` too.
        """
        texts = {
            "kind": "tool" if tool is not None else kind,
            "name": tool,
            "status": outcome,
            "chat": chat,
            "call_id": call_id,
        }
        for what, text in texts.items():
            names.checked(text, what)
        for what, number in (("turn", turn), ("after", after)):
            if number is not None and (type(number) is not int or not 0 <= number <= SEQ_MAX):
                raise Invalid(f"{what}={number!r}: give a whole number from 0 on")
        names.one_of(kind, spans.KINDS, "kind")
        names.one_of(outcome, spans.OUTCOMES | spans.OPEN, "outcome")
        filters = {**texts, "turn": turn}
        with self._read() as tx:
            return spans.listed(tx, look_head(tx, self._key), filters, after, bounded(limit))

    # --- the agent's own state ---

    def snapshot(self, state: JSON, *, expected_version: int | Anywhere | None = ANY) -> Snapshot:
        """Make `state` the session's current one. What equals it is not stored again.

        With `expected_version` (`None`: there is none yet) raises `Conflict` when another
        state is current, so that two writers do not overwrite each other.
        """
        draft = snapshots.draft_of(state)
        check = not isinstance(expected_version, Anywhere)
        expected = None if isinstance(expected_version, Anywhere) else expected_version

        def unit(tx: Tx) -> Snapshot:
            return snapshots.put(tx, self._lock(tx), draft, expected, check=check)

        return self._write(unit)

    def load_snapshot(self) -> Snapshot | None:
        """The state in force where the session stands; `None` when there is none."""
        with self._read() as tx:
            return snapshots.load(tx, look_head(tx, self._key).place)

    def delete_snapshot(self) -> bool:
        """Have no state from here on; False when there was none. Older ones stay restorable."""
        return self._write(lambda tx: snapshots.drop(tx, self._lock(tx)))

    def snapshots(self, *, limit: int = 100) -> list[Snapshot]:
        """The states on the session's path, newest first."""
        with self._read() as tx:
            return snapshots.listed(tx, look_head(tx, self._key).place, bounded(limit))

    # --- inside ---

    def _turn_of_head(self, tx: Tx) -> int | None:
        """The turn in force, for a unit that has just begun one."""
        return turn_now(tx, look_head(tx, self._key))

    def _start_unit(self, draft: SpanDraft) -> Callable[[Tx], Span]:
        runs = self._ledger._runs
        owner = None if "outcome" in draft.values else runs.key()
        insert = self._insert_unit([draft], owner)

        def unit(tx: Tx) -> Span:
            span = insert(tx)[0]
            if owner is not None:
                runs.began(span.id)
            return span

        return unit

    def _insert_unit(
        self, drafts: Sequence[SpanDraft], owner: int | None
    ) -> Callable[[Tx], list[Span]]:
        def unit(tx: Tx) -> list[Span]:
            if not drafts:
                return []
            head = self._traced_head(tx)
            before = head.events
            found = spans.insert(tx, head, drafts, owner, self._cost)
            if head.events > before:
                events.save(tx, head, now_ms())
            return found

        return unit

    def _update_unit(self, id: str, changes: dict[str, Any]) -> Callable[[Tx], Span]:
        names.checked(id, "a span's id", empty=False)
        said = spans.checked_changes(changes)
        runs = self._ledger._runs

        def unit(tx: Tx) -> Span:
            head = self._traced_head(tx)
            before = head.events
            found = spans.update(tx, head, id, dict(said), self._cost)
            if "outcome" in said:
                runs.ended(id)
            if head.events > before:
                events.save(tx, head, now_ms())
            return found

        return unit

    def _cost(self, told: Values) -> float | None:
        return self._ledger.prices.cost(
            told["provider"],
            told["model"] or told["name"],
            told["tokens_in"],
            told["tokens_out"],
            cache_read=told["cache_read"],
            cache_write=told["cache_write"],
            at_ms=told["started_us"] // 1000,
        )

    def _traced_head(self, tx: Tx) -> Head:
        # Neither a lease nor an archive forbids to say what ran: it did.
        head = read_head(tx, self._key)
        if head.status == "erased":
            raise Stale(f"session {self.id} is erased: what runs belongs in another one")
        return head
