"""Reads one rollout of Codex: what its records say needs what stood before them.

A record's name is its `ordinal` in its rollout, which forks and reverts by reference go by.
Older records have none. Their name is a chain over all of the turn so far: a fork that copied
its parent's records, with new times, gives the copies the names of their originals, and never
gives two records that say something else the same name.
"""

from __future__ import annotations

import hashlib
from typing import Final, Self

import msgspec

from clew.importers.codex_records import (
    FORMAT,
    classify,
    counts,
    folder_told,
    is_record,
    typed,
    unwrap,
    usage_of,
)
from clew.importers.facts import set_title, text, time_ms
from clew.importers.jsonl import RAW, JsonlReader, Piece, raw_record
from clew.importers.state import State, load
from clew.model import JSON, Kind, Origin, Reason, Record, Usage

STATE_VERSION: Final = 1
RANK_PROMPT, RANK_INDEX, RANK_NAMED = 1, 3, 4
PROMPTS_MAX = 4096
"""So many turns can be rolled back."""
COPY_MS = 1000
"""A copy is written within this time, where nothing else tells its end."""

_STARTS: Final = frozenset({"task_started", "turn_started"})


class _State(State):
    """All that a reader knows beside its place."""

    origin: Origin
    rollout: str
    """The id of this file: that of its thread, or its own behind a revert."""
    index_title: str | None = None
    begun: bool = False
    section: str | None = None
    """The thread whose records follow: the parent's, in a copy."""
    chain: str = ""
    copying: bool = False
    copied: bool = False
    dated: bool = False
    """Whether the ids of turns tell when they were made."""
    bare: bool = False
    begun_ms: int | None = None
    titled: bool = False
    tip: str | None = None
    before_turn: str | None = None
    prompts: list[str | None] = msgspec.field(default_factory=list)
    """For each prompt that still counts, the record that its turn follows."""
    provider: str | None = None
    total: dict[str, int] = msgspec.field(default_factory=dict)
    exact: bool = False
    context: int = 0


class CodexReader(JsonlReader):
    """Reads one file of Codex. See `clew.importers.base.Reader`."""

    def __init__(self, origin: Origin, rollout: str, *, title: str | None = None) -> None:
        super().__init__()
        self.origin = origin
        self._s = _State(STATE_VERSION, 0, origin, rollout, title)

    @classmethod
    def resume(cls, state: bytes) -> Self:
        """A reader that goes on where `state` stopped. Raises `Invalid` for a foreign one."""
        known = load(state, _State, STATE_VERSION, "Codex")
        reader = cls(known.origin, known.rollout)
        reader._s = known
        reader._consumed = known.consumed
        return reader

    def state(self) -> bytes:
        """See `Reader.state`."""
        self._s.consumed = self._consumed
        return msgspec.json.encode(self._s)

    def is_record(self, value: dict[str, JSON]) -> bool:
        """See `JsonlReader.is_record`."""
        if self._s.bare:
            return unwrap(value)[0] is not None
        return is_record(value)

    def record(self, piece: Piece) -> Record:
        """What one piece of the file says."""
        value = piece.value
        if value is None:
            return raw_record(piece)
        kind, payload = unwrap(value)
        first = not self._s.begun
        self._s.bare = self._s.bare or (first and payload is value)
        if kind == "session_meta":
            self._meet(payload, value)
        elif self._s.copying:
            self._end_copy(kind, payload, value)
        self._s.begun = True
        told, role, note = classify(kind, payload)
        record = Record(
            piece.start,
            len(piece.body),
            told,
            FORMAT,
            role,
            time_ms(value.get("timestamp")),
            self._name(kind, payload, value, piece.body),
            note=note,
        )
        record.says_all = record.native_id == self._s.chain
        if first:
            record.after = _base(payload)
        self._learn(kind, payload)
        self._add_facts(record, kind, payload)
        self._s.tip = record.native_id or self._s.tip
        if piece.note is not None:
            record.kind, record.format, record.note = Kind.UNKNOWN, RAW, piece.note
        return record

    # --- whose records these are ---

    def _meet(self, meta: dict[str, JSON], value: dict[str, JSON]) -> None:
        """A session's head: the first is this thread's own, others were copied with theirs."""
        s = self._s
        thread = text(meta, "id") or text(meta, "session_id")
        if s.begun:
            if thread != s.section and (s.copying or s.tip is None):
                s.copying = s.copied = True
                self.origin.settled = False
        elif thread is not None:
            if s.rollout == self.origin.native_id:
                s.rollout = thread
            self.origin.native_id = thread
            self._descend(meta)
            s.begun_ms = time_ms(value.get("timestamp"))
            whole = not isinstance(meta.get("history_base"), dict)
            # An older rollout may have been written anew, with ordinals.
            self.origin.renamed = whole and type(value.get("ordinal")) is int
            s.copying = whole and _has_parent(meta)
            self.origin.settled = not s.copying
        if thread != s.section:
            s.section, s.chain = thread, _link("thread", (thread or "").encode())

    def _descend(self, meta: dict[str, JSON]) -> None:
        origin = self.origin
        origin.project = text(meta, "cwd")
        origin.version = text(meta, "cli_version")
        self._s.provider = text(meta, "model_provider")
        source = meta.get("source")
        spawned = source.get("subagent") if isinstance(source, dict) else None
        spawn = spawned.get("thread_spawn") if isinstance(spawned, dict) else None
        parent = text(spawn, "parent_thread_id") if isinstance(spawn, dict) else None
        parent = parent or text(meta, "parent_thread_id")
        if spawned is not None or parent is not None:
            origin.kind = "subagent"
            origin.parent = parent if parent != origin.native_id else None
        elif text(meta, "forked_from_id"):
            origin.kind = "fork"

    def _end_copy(self, kind: str | None, payload: dict[str, JSON], value: JSON) -> None:
        """Find the first record that a child wrote itself: its first turn is younger than it
        is. Where ids tell no time, a copy is told by its parent's head and being made at once.
        """
        s = self._s
        turn = _turn(kind, payload)
        born, made = _made_ms(self.origin.native_id), _made_ms(turn)
        if born is not None and made is not None:
            s.dated = True
            over = made >= born
        else:
            alone = turn is not None and not s.copied
            over = not s.dated and (alone or self._late(value))
        if over:
            s.copying = False
            self.origin.settled = True

    def _late(self, value: JSON) -> bool:
        now, begun = time_ms(value.get("timestamp")), self._s.begun_ms
        return now is None or begun is None or now - begun > COPY_MS

    def _name(
        self, kind: str | None, payload: dict[str, JSON], value: dict[str, JSON], body: bytes
    ) -> str | None:
        s = self._s
        ordinal = value.get("ordinal")
        if type(ordinal) is int:
            return f"{s.rollout}:{ordinal}"
        if kind == "session_meta" and s.chain == _link("thread", (s.section or "").encode()):
            # A child's own head has no name: it stands before what it copied.
            return None if _has_parent(payload) else f"{s.section}:head"
        turn = _turn(kind, payload)
        if turn is not None and kind == "event_msg":
            s.chain = _link("turn", turn.encode())
        stamp = text(value, "timestamp")
        said = body.replace(stamp.encode(), b"", 1) if stamp else body
        s.chain = _link(s.chain, said)
        return s.chain

    # --- what they tell ---

    def _learn(self, kind: str | None, payload: dict[str, JSON]) -> None:
        s, origin = self._s, self.origin
        if kind == "event_msg" and text(payload, "type") == "thread_settings_applied":
            settings = payload.get("thread_settings")
            kind, payload = "turn_context", settings if isinstance(settings, dict) else {}
        if kind == "turn_context":
            origin.model = text(payload, "model") or origin.model
            origin.project = origin.project or text(payload, "cwd")
            provider = text(payload, "model_provider") or text(payload, "model_provider_id")
            s.provider = provider or s.provider
        elif kind == "response_item" and origin.project is None:
            origin.project = folder_told(payload)

    def _add_facts(self, record: Record, kind: str | None, payload: dict[str, JSON]) -> None:
        if kind == "event_msg":
            self._add_event(record, payload)
        elif kind == "token_usage_record":
            record.usage = self._recorded(payload)
        elif kind == "compacted":
            record.compaction = Reason.AUTO
            record.tokens_before = self._s.context or None
        elif record.kind is Kind.MESSAGE and record.role == "user":
            self._add_prompt(record, typed(payload) or "")

    def _add_event(self, record: Record, event: dict[str, JSON]) -> None:
        name = text(event, "type")
        if name == "token_count":
            record.usage = self._counted(event.get("info"))
        elif name in _STARTS:
            self._s.before_turn = self._s.tip
        elif name == "thread_rolled_back":
            self._roll_back(record, event.get("num_turns"))
        elif name == "thread_name_updated" and not self._s.copying:
            set_title(record, text(event, "thread_name"), RANK_NAMED)

    def _add_prompt(self, record: Record, words: str) -> None:
        s = self._s
        s.prompts.append(s.before_turn or s.tip)
        del s.prompts[:-PROMPTS_MAX]
        s.before_turn = None
        if s.titled or s.copying or not words.strip():
            return
        s.titled = True
        if s.index_title:
            set_title(record, s.index_title, RANK_INDEX)
        else:
            set_title(record, words, RANK_PROMPT)

    def _roll_back(self, record: Record, turns: JSON) -> None:
        """The newest prompts, with all that followed them, do not count any more."""
        prompts = self._s.prompts
        if type(turns) is not int or turns < 1 or not prompts:
            return
        at = max(len(prompts) - turns, 0)
        record.after = prompts[at] or ""
        del prompts[at:]

    def _recorded(self, payload: dict[str, JSON]) -> Usage | None:
        """The exact record of a call. Counts beside it say the same again."""
        found = counts(payload.get("usage"))
        thread = text(payload, "thread_id") or self.origin.native_id
        if self._s.copying or thread != self.origin.native_id:
            return None
        self._s.exact = True
        self._s.context = found.get("total_tokens", 0)
        call = f"{thread}/{text(payload, 'turn_id') or ''}/{text(payload, 'response_id') or ''}"
        return usage_of(found, call, self.origin.model, self._s.provider)

    def _counted(self, info: JSON) -> Usage | None:
        """The last call's count, if the running total changed: counts are written repeatedly.
        A total that falls was begun anew, and counts as any other change.
        """
        if not isinstance(info, dict):
            return None
        total, last = counts(info.get("total_token_usage")), counts(info.get("last_token_usage"))
        before, self._s.total = self._s.total, total or self._s.total
        if total and total == before:
            return None
        if not last:
            falls = total.get("total_tokens", 0) < before.get("total_tokens", 0)
            last = {k: max(n - (0 if falls else before.get(k, 0)), 0) for k, n in total.items()}
        if self._s.copying or self._s.exact or not any(last.values()):
            return None
        self._s.context = last.get("total_tokens", 0)
        model = text(info, "model") or self.origin.model
        return usage_of(last, None, model, self._s.provider)


def _link(before: str, said: bytes) -> str:
    return hashlib.sha256(before.encode() + b"\0" + said).hexdigest()[:32]


def _has_parent(meta: dict[str, JSON]) -> bool:
    source = meta.get("source")
    return bool(
        text(meta, "forked_from_id")
        or text(meta, "parent_thread_id")
        or (isinstance(source, dict) and source.get("subagent") is not None)
    )


def _base(meta: dict[str, JSON]) -> str | None:
    """The record behind which a file goes on that has its beginning in another."""
    found = meta.get("history_base")
    if not isinstance(found, dict):
        return None
    end, rollout = found.get("end_ordinal_exclusive"), text(found, "thread_id")
    return f"{rollout}:{end - 1}" if rollout and type(end) is int and end > 0 else None


def _turn(kind: str | None, payload: dict[str, JSON]) -> str | None:
    """The id of the turn that a record begins."""
    if kind == "turn_context" or (kind == "event_msg" and text(payload, "type") in _STARTS):
        return text(payload, "turn_id")
    return None


def _made_ms(identity: str | None) -> int | None:
    """When an id was made, in Unix milliseconds; `None` when it does not tell (no UUIDv7)."""
    digits = (identity or "").replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return int(digits[:12], 16)
    except ValueError:
        return None
