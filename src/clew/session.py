"""One conversation: its verbs.

A handle is cheap and holds no messages; every verb asks the ledger. Verbs that write build
one atomic unit and run it; verbs that read see one consistent state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec

from clew import (
    audit,
    canonical,
    checkpoints,
    compaction,
    moves,
    names,
    reading,
    tokens,
    view,
)
from clew.checkpoints import Diff
from clew.config import Config
from clew.db import Tx
from clew.drafts import message_draft, message_drafts, own_draft
from clew.errors import Conflict, Invalid, Stale
from clew.leases import Lease
from clew.log import Draft, Head, Names, Place, append, lock_head, look_head, path, save_head
from clew.model import (
    JSON,
    Checkpoint,
    Entry,
    Kind,
    Message,
    Move,
    Position,
    Reason,
    Resumption,
    SessionInfo,
    ToolResult,
)
from clew.moves import ANY, Anywhere
from clew.names import bounded
from clew.running import Running

if TYPE_CHECKING:
    from clew.ledger import Ledger

T = TypeVar("T")
At = Checkpoint | Entry | Message | Position | str | None
"""Anything that names a place: a checkpoint (or its id), an entry, a message, `session:seq`;
`None` is the root."""


RawMessage = Mapping[str, JSON] | str | bytes


class Session(Running):
    """A handle on one session of a ledger. Get one from `Ledger.session`, `create` or `get`."""

    _awaited = False
    """Verbs that write give an awaitable: their unit is queued. For `clew.aio`."""

    def __init__(self, ledger: Ledger, key: int, project: int, id: str) -> None:
        self._ledger = ledger
        self._key = key
        self._project = project
        self.id = id
        self._closed = ""
        self._lease: Lease | None = None

    def __repr__(self) -> str:
        return f"<Session {self.id}>"

    # --- reading ---

    @property
    def head(self) -> Position | None:
        """Where the session stands; `None` at its root."""
        with self._read() as tx:
            return Names(tx).position(look_head(tx, self._key).place)

    @property
    def sequence(self) -> int:
        """The newest place in the session's one order of entries and events: `Ledger.follow`
        goes on behind it.
        """
        with self._read() as tx:
            return look_head(tx, self._key).sequence

    @property
    def info(self) -> SessionInfo:
        """The session as it is listed, with its config."""
        with self._read() as tx:
            return reading.info(tx, self._key)

    @property
    def config(self) -> Config:
        """The session's settings: a mapping whose changes are recorded."""
        return Config(self)

    def history(self) -> list[Message]:
        """Every message on the path to the head, oldest first, compacted or not."""
        with self._read() as tx:
            return reading.history(tx, look_head(tx, self._key).place)

    def tail(self, count: int) -> list[Message]:
        """The newest `count` messages, oldest first. Reads no more than these.
        Raises `Invalid` for a `count` below 1.
        """
        count = names.bounded(count, "count")
        with self._read() as tx:
            return reading.tail(tx, look_head(tx, self._key).place, count)

    def entries(self, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        """The session's own log from `after` on, oldest first: all kinds, all branches."""
        with self._read() as tx:
            return reading.own_log(tx, look_head(tx, self._key), after, limit)

    def entry(self, at: Position | int) -> Entry:
        """One entry: of this session by number, or of any by position. Raises `NotFound`."""
        position = Position(self.id, at) if isinstance(at, int) else at
        with self._read() as tx:
            return reading.entry(tx, moves.place_of(tx, self._project, position))

    def view(self, provider: str = "anthropic", *, max_tokens: int | None = None) -> view.View:
        """What a model is to see: the history with its compactions applied, valid for
        `provider` (`anthropic`, `openai-chat`, `openai-responses`, `gemini`).

        `max_tokens` keeps the newest messages that fit, cut on a legal point. Raises
        `Invalid` when not even the smallest legal window fits.
        """
        return view.build(
            self.context(), provider=provider, max_tokens=max_tokens, count=self._count
        )

    def context(self) -> list[Message]:
        """The messages that a model still sees, before they are put in a provider's words."""
        with self._read() as tx:
            return reading.context(tx, look_head(tx, self._key).place)

    def checkpoints(self, *, limit: int = 1000, after: str | None = None) -> list[Checkpoint]:
        """The session's checkpoints, newest first; `after` the id of the last one of the page
        before.
        """
        with self._read() as tx:
            return checkpoints.listed(tx, self._key, bounded(limit), after)

    def get_checkpoint(self, id: str) -> Checkpoint:
        """One checkpoint by its id or a prefix that is unique in the session."""
        with self._read() as tx:
            return checkpoints.find(tx, self._project, self._key, id)

    def moves(self, *, limit: int = 1000, before: int | None = None) -> list[Move]:
        """Where the head went other than forward, newest first; those before number `before`."""
        with self._read() as tx:
            return reading.move_list(tx, self._key, bounded(limit), before)

    def diff(self, a: At, b: At) -> Diff:
        """What the path to `b` holds that the path to `a` does not, and the other way round."""
        with self._read() as tx:
            return checkpoints.diff(tx, self._resolve(tx, a), self._resolve(tx, b))

    # --- writing ---

    def append(
        self,
        message: RawMessage,
        *,
        format: str | None = None,
        time_ms: int | None = None,
        expected_head: At | Anywhere = ANY,
        idempotency_key: str | None = None,
    ) -> Entry:
        """Add one message at the head and move the head to it; see `extend`."""
        draft = message_draft(message, format=format, time_ms=time_ms)
        return self._write(self._one(self._append_unit([draft], expected_head, idempotency_key)))

    def extend(
        self,
        messages: Iterable[RawMessage],
        *,
        format: str | None = None,
        expected_head: At | Anywhere = ANY,
        idempotency_key: str | None = None,
    ) -> list[Entry]:
        """Add messages at the head in one transaction: all or none, nothing in between.

        They are taken in the shape of Anthropic, OpenAI Chat, OpenAI Responses or Gemini and
        kept as they are. Raises `Conflict` (with the new head and what was missed) when the
        head is not `expected_head`, or when `idempotency_key` was used for other bytes; the
        same key with the same bytes gives the entries of the first time.
        """
        drafts = message_drafts(messages, format=format)
        return self._write(self._append_unit(drafts, expected_head, idempotency_key))

    def checkpoint(self, label: str = "") -> Checkpoint:
        """Name where the session stands now. Costs one row, whatever the session's size."""

        def unit(tx: Tx) -> Checkpoint:
            head = self._lock(tx)
            made = checkpoints.add(
                tx, head, self._actor, label=label, reason="manual", pre=head.place
            )
            checkpoints.keep_limit(tx, head, self._ledger.max_checkpoints)
            save_head(tx, head)
            return made

        return self._write(unit)

    def compact(
        self,
        *,
        summary: str | None = None,
        summarize: compaction.Summarize | None = None,
        keep_from: At = None,
        keep_tokens: int = compaction.KEEP_TOKENS,
        reason: Reason | str = Reason.MANUAL,
        model: str | None = None,
    ) -> Checkpoint:
        """Put a summary in the place of everything before a legal cut, for views only.

        Give `summary`, or `summarize`, which is called with the messages to be replaced while
        others may go on appending: what they append is carried over. The cut is at `keep_from`
        or where about `keep_tokens` remain. Gives the checkpoint made before it, which is
        the way back. When anything fails nothing has changed. Raises `Invalid` when there is
        nothing to compact, `Conflict` when the session was rewound or compacted meanwhile.
        """
        why = compaction.checked_reason(reason)
        if (summary is None) == (summarize is None):
            raise Invalid("give either summary= or summarize=")
        planned, base = self._plan(keep_from, keep_tokens)
        text = summary if summarize is None else summarize(planned.covered)
        return self._write(self._compact_unit(planned, base, text, why, model))

    def restore(self, at: At) -> Move:
        """Go back to a checkpoint (or entry) in this session. Recorded; `undo` takes it back.

        Raises `Leased` while somebody else holds the session, `NotFound` for an unknown
        checkpoint.
        """

        def unit(tx: Tx) -> Move:
            head = self._lock(tx)
            label = at.label if isinstance(at, Checkpoint) else ""
            return moves.restore(tx, head, self._actor, self._resolve(tx, at), label)

        return self._write(unit)

    def undo(self) -> Move:
        """Take back the last restore, clear, reset, compaction or config change; else the
        last turn. Nothing is removed: `restore(move.from_)` is the way forward again.
        """
        return self._write(lambda tx: moves.undo(tx, self._lock(tx), self._actor))

    def branch(
        self,
        at: At | Anywhere = ANY,
        *,
        title: str | None = None,
        frontend: str | None = None,
        user: str | None = None,
    ) -> Session:
        """A new session that shares this one's history up to `at` (default: the head).

        Nothing is copied; the branch's numbers go on after its fork point.
        """
        id = canonical.new_id()

        def unit(tx: Tx) -> Session:
            source = look_head(tx, self._key)
            place = source.place if isinstance(at, Anywhere) else self._resolve(tx, at)
            key = checkpoints.branch(
                tx, source, place, self._actor, id=id, title=title, address=(frontend, user)
            )
            return self._ledger._handle(key, self._project, id)

        return self._write(unit)

    def clear(self) -> Move:
        """Begin again at the root and keep the config. The history stays, searchable and
        restorable.
        """
        return self._start_over("clear", [], keep_config=True)[0]

    def reset(self, *, keep_config: bool = True) -> Move:
        """Begin again at the root; the config goes too unless it is kept."""
        return self._start_over("reset", [], keep_config=keep_config)[0]

    def replace_history(self, messages: Iterable[RawMessage]) -> Move:
        """Stand on `messages` instead of the history, which stays: an overlay, not a rewrite."""
        drafts = message_drafts(messages)
        return self._start_over("replace", drafts, keep_config=True)[0]

    def label(self, title: str) -> Entry:
        """Give the session a title."""
        names.checked(title, "title")
        draft = own_draft(Kind.LABEL, {"title": title})

        def unit(tx: Tx) -> Entry:
            head = self._lock(tx)
            tx.run("session_retitle", session=self._key, title=title, rank=TITLE_RANK_OWN)
            return self._appended(tx, head, [draft])[0]

        return self._write(unit)

    def repair(self) -> Entry | None:
        """Append one entry that answers every call which has no result ("it may or may not
        have run"), so that the record says what is known. `None` when none is open.
        """
        with self._read() as tx:
            base = look_head(tx, self._key).place
            messages = reading.context(tx, base)
        calls = view.open_calls(messages)
        if not calls:
            return None
        results = [ToolResult(call.id, (view.LOST,), True, call.name, True) for call in calls]
        body = {"role": "tool", "parts": msgspec.to_builtins(results)}
        draft = own_draft(Kind.REPAIR, body, role="tool")

        def unit(tx: Tx) -> Entry:
            head = self._lock(tx)
            self._expect(tx, head, base)
            return self._appended(tx, head, [draft])[0]

        return self._write(unit)

    def resume(self) -> Resumption:
        """Take the session up again after a crash: give up what nobody runs any more, say which
        turns were interrupted and what each open call needs, and answer the calls with one
        entry. Raises `Conflict` when somebody appends meanwhile.
        """
        from clew.resuming import resume

        return resume(self)

    def transfer_to(
        self,
        *,
        frontend: str,
        user: str,
        move: bool = False,
        config: Literal["source", "target"] = "source",
    ) -> Session:
        """Hand the conversation to another address, in one transaction.

        The session there stands where this one stands, with the same entries and times; what
        it held before stays as a branch. With `move` this session itself takes the address
        and whoever had it is left without one. `config` says whose settings hold.
        """
        from clew.transfer import transfer_unit

        unit = transfer_unit(self, (frontend, user), move=move, config=config)
        return self._write(unit)

    def lease(self, holder: str, *, seconds: float = 60.0) -> Lease:
        """Be the only writer until the lease expires or is released (a context manager).

        Raises `Leased` while another holder's lease lasts.
        """
        self._check_open()
        self._lease = Lease(self, holder, seconds)
        return self._lease

    def close(self) -> None:
        """Give the handle up; using it afterwards raises `Stale`."""
        self._closed = "this handle was closed"

    # --- inside ---

    @property
    def _actor(self) -> str:
        return self._ledger.actor

    @property
    def _count(self) -> tokens.Counter:
        return self._ledger.count_tokens

    def _check_open(self) -> None:
        if self._closed:
            raise Stale(f"session {self.id}: {self._closed}: open it again with ledger.get()")

    def _read(self) -> Any:
        self._check_open()
        return self._ledger._database.read()

    def _write(self, unit: Callable[[Tx], T]) -> T:
        self._check_open()
        if self._awaited:
            return cast("T", self._ledger._arun(unit, self._key))
        return self._ledger._run(unit, self._key)

    def _on_path(self) -> list[Entry]:
        """Every entry on the path to the head, of all kinds, oldest first."""
        with self._read() as tx:
            return reading.entries_of(tx, path(tx, look_head(tx, self._key).place))

    def _lock(self, tx: Tx) -> Head:
        token = self._lease.token if self._lease else None
        return lock_head(tx, self._key, lease=token)

    def _resolve(self, tx: Tx, at: At) -> Place | None:
        return checkpoints.resolve(tx, self._project, self._key, at)

    def _expect(self, tx: Tx, head: Head, expected: Place | None) -> None:
        missed = moves.check_expected(tx, head, expected)
        if head.place != expected:
            entries = tuple(reading.entry(tx, place) for place in missed)
            position = Names(tx).position(head.place)
            raise Conflict(
                f"session {self.id} stands at {position or 'its root'}, not where you expected: "
                f"{len(entries)} entries were missed",
                head=position,
                missed=entries,
            )

    def _append_unit(
        self, drafts: Sequence[Draft], expected: At | Anywhere, key: str | None
    ) -> Callable[[Tx], list[Entry]]:
        names.checked(key, "idempotency_key", empty=False)

        def unit(tx: Tx) -> list[Entry]:
            head = self._lock(tx)
            if key is not None:
                known = reading.known_append(tx, head, key, drafts)
                if known is not None:
                    return known
            if not isinstance(expected, Anywhere):
                self._expect(tx, head, self._resolve(tx, expected))
            if not drafts:
                return []
            numbers = append(tx, head, drafts)
            if key is not None:
                reading.remember_append(tx, head, key, numbers, drafts)
            return self._as_entries(numbers, drafts)

        return unit

    @staticmethod
    def _one(unit: Callable[[Tx], list[T]]) -> Callable[[Tx], T]:
        return lambda tx: unit(tx)[0]

    def _appended(self, tx: Tx, head: Head, drafts: Sequence[Draft]) -> list[Entry]:
        return self._as_entries(append(tx, head, drafts), drafts)

    def _as_entries(self, numbers: range, drafts: Sequence[Draft]) -> list[Entry]:
        return [
            Entry(self.id, seq, d.kind, d.role, d.time_ms, d.format, d.body, d.facts())
            for seq, d in zip(numbers, drafts, strict=True)
        ]

    def _plan(self, keep_from: At, keep_tokens: int) -> tuple[compaction.Plan, Place | None]:
        with self._read() as tx:
            base = look_head(tx, self._key).place
            place = self._resolve(tx, keep_from)
            position = Names(tx).position(place)
            messages = reading.context(tx, base)
        return (
            compaction.plan(
                messages, keep_from=position, keep_tokens=keep_tokens, count=self._count
            ),
            base,
        )

    def _compact_unit(
        self,
        planned: compaction.Plan,
        base: Place | None,
        summary: object,
        reason: Reason,
        model: str | None,
    ) -> Callable[[Tx], Checkpoint]:
        text = compaction.checked_summary(summary)

        def unit(tx: Tx) -> Checkpoint:
            head = self._lock(tx)
            made = checkpoints.compact(
                tx, head, self._actor, planned, base, text, reason, model, self._count
            )
            checkpoints.keep_limit(tx, head, self._ledger.max_checkpoints)
            save_head(tx, head)
            return made

        return unit

    def _start_over(
        self, action: str, drafts: Sequence[Draft], *, keep_config: bool
    ) -> tuple[Move, range]:
        def unit(tx: Tx) -> tuple[Move, range]:
            head = self._lock(tx)
            config = reading.config(tx, head.place) if keep_config else None
            return moves.start_over(tx, head, self._actor, action, drafts, config)

        return self._write(unit)

    def _change_config(self, change: Callable[[dict[str, JSON]], dict[str, JSON]]) -> None:
        """Run `change` on the current config and record the keys that it reports."""

        def unit(tx: Tx) -> None:
            head = self._lock(tx)
            config = reading.config(tx, head.place)
            facts = change(config)
            draft = own_draft(Kind.CONFIG, {"config": config, **facts})
            append(tx, head, [draft], save=False)
            audit.record(tx, head, self._actor, "config", **facts, bytes=len(draft.body))
            save_head(tx, head)

        self._write(unit)


TITLE_RANK_OWN = 100
"""A title that somebody gave here outranks any that was imported."""
