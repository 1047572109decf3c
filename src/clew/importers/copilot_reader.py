"""Reads one file of Copilot CLI: what an event says needs what stood before it.

Tokens. Where the session store has a row for each call (`clew.importers.copilot_store`), those
count and nothing here does. Else an answer tells what it put out, if anything; what it read stands
in `session.shutdown` alone, as totals by model that go on when a session is resumed and begin anew
at a compaction. So an answer counts its output, and a shutdown what its totals grew by beside
these answers. What is counted stands in notices of its own, since it depends on what is elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec

from clew.canonical import content_id
from clew.importers.copilot_records import (
    FORMAT,
    Counters,
    classify,
    counters,
    data_of,
    folder_told,
    is_record,
    name_of,
    of_subagent,
    usage_of,
)
from clew.importers.facts import count, set_title, text, time_ms
from clew.importers.jsonl import RAW, JsonlReader, Piece, raw_record
from clew.importers.state import State, load
from clew.model import JSON, Kind, Origin, Reason, Record, Usage
from clew.names import mended

if TYPE_CHECKING:
    from collections.abc import Callable

STATE_VERSION: Final = 1
RANK_PROMPT, RANK_BESIDE, RANK_TOLD = 1, 2, 3
PROMPTS_MAX: Final = 4096
"""So many prompts can be gone back to."""
UNNAMED: Final = ""
"""The model of an answer that tells none."""

_REASONS: Final = {"manual": Reason.MANUAL, "context_limit_retry": Reason.OVERFLOW}


class _State(State):
    """All that a reader knows beside its place."""

    origin: Origin
    beside: str | None
    """The name that the session has beside its file."""
    prompts: dict[str, str]
    """The name of the record before each prompt, by the prompt's event."""
    outputs: dict[str, int]
    """Tokens that answers put out since the last totals, by model."""
    totals: Counters
    identified: bool = False
    titled: bool = False
    tip: str | None = None
    """The newest record's name; `None` where it has none."""
    system: str = ""
    """What the newest system message said, as a digest: it is written again at each resume."""
    metered: bool | None = None
    """Whether the session store counts the calls; `None` as long as nothing was to be counted."""
    answer: tuple[str, int] = ("", 0)
    """The newest answer: the key of its usage, and its output so far."""


class CopilotReader(JsonlReader):
    """Reads one file of Copilot CLI. See `clew.importers.base.Reader`."""

    def __init__(
        self, origin: Origin, metered: Callable[[str], bool], *, title: str | None = None
    ) -> None:
        super().__init__()
        self.origin = origin
        self._has_rows = metered
        self._s = _State(STATE_VERSION, 0, origin, title, {}, {}, {})
        self._inner: dict[int, list[Record]] = {}
        """What a record counts beside its own model, by where it begins."""

    @classmethod
    def resume(cls, state: bytes, metered: Callable[[str], bool]) -> Self:
        """A reader that goes on where `state` stopped. Raises `Invalid` for a foreign one."""
        known = load(state, _State, STATE_VERSION, "Copilot CLI")
        reader = cls(known.origin, metered)
        reader._s = known
        reader._consumed = known.consumed
        return reader

    def state(self) -> bytes:
        """See `Reader.state`."""
        self._s.consumed = self._consumed
        return msgspec.json.encode(self._s)

    def is_record(self, value: dict[str, JSON]) -> bool:
        """See `JsonlReader.is_record`."""
        return is_record(value)

    def feed(self, chunk: bytes, at: int, *, last: bool = False) -> list[Record]:
        """See `Reader.feed`. Behind a record come those that count the same bytes."""
        self._inner = {}
        found: list[Record] = []
        for record in super().feed(chunk, at, last=last):
            found.append(record)
            found += self._inner.pop(record.start, [])
        return found

    def record(self, piece: Piece) -> Record:
        """What one piece of the file says."""
        value = piece.value
        if value is None:
            self._s.tip = None
            return raw_record(piece)
        kind, role, note = classify(value)
        record = Record(
            piece.start,
            len(piece.body),
            kind,
            FORMAT,
            role,
            time_ms(value.get("timestamp")),
            name_of(value),
            note=note,
            says_all=True,
        )
        if piece.note is not None:
            record.kind, record.format, record.note = Kind.UNKNOWN, RAW, piece.note
            record.role = record.native_id = None
        else:
            self._learn(value)
            self._add_facts(record, value)
        behind = self._inner.get(piece.start)
        self._s.tip = behind[-1].native_id if behind else record.native_id
        return record

    def _learn(self, value: dict[str, JSON]) -> None:
        """What an event tells of the session."""
        kind, data, origin = text(value, "type"), data_of(value), self.origin
        if kind == "session.start":
            told = text(data, "sessionId")
            if told is not None and not self._s.identified:
                self._s.identified = True
                origin.native_id = mended(told)
                origin.parent = text(data, "detachedFromSpawningParentSessionId")
            origin.version = text(data, "copilotVersion") or origin.version
        origin.project = origin.project or folder_told(kind, data)
        model = text(data, "newModel") or text(data, "selectedModel")
        if kind == "assistant.message" and not of_subagent(value):
            model = text(data, "model")
        if model is not None and model != "auto":
            origin.model = model

    def _add_facts(self, record: Record, value: dict[str, JSON]) -> None:
        kind, data = text(value, "type"), data_of(value)
        if kind == "user.message" and record.kind is Kind.MESSAGE:
            self._prompt(record, value)
        elif kind == "assistant.message":
            self._answered(record, value)
        elif kind == "system.message" and record.kind is Kind.MESSAGE:
            self._told_again(record, data)
        elif kind == "session.shutdown":
            self._closed(record, data)
        elif kind == "session.title_changed":
            set_title(record, text(data, "title"), RANK_TOLD)
        elif record.kind is Kind.COMPACTION:
            self._compacted(record, data)
        elif not of_subagent(value):
            self._go_back(record, kind, data)

    # --- what is said ---

    def _prompt(self, record: Record, value: dict[str, JSON]) -> None:
        """A prompt says what it follows: a file that was cut back to an earlier one and went on
        from there is read as going back.
        """
        s = self._s
        record.after = s.tip
        id = text(value, "id")
        if id is not None:
            s.prompts[id] = s.tip or ""
            if len(s.prompts) > PROMPTS_MAX:
                del s.prompts[next(iter(s.prompts))]
        if not s.titled and record.role == "user":
            rank = RANK_BESIDE if s.beside else RANK_PROMPT
            set_title(record, s.beside or text(data_of(value), "content"), rank)
            s.titled = record.title is not None

    def _told_again(self, record: Record, data: dict[str, JSON]) -> None:
        digest = content_id((text(data, "content") or "").encode("utf-8", "replace")).hex()
        if digest == self._s.system:
            record.kind, record.role = Kind.NOTICE, None
        self._s.system = digest

    def _compacted(self, record: Record, data: dict[str, JSON]) -> None:
        record.compaction = _REASONS.get(text(data, "trigger") or "", Reason.AUTO)
        record.tokens_before = count(data, "preCompactionTokens") or None
        record.tokens_after = count(data, "postCompactionTokens") or None
        self._s.totals, self._s.outputs = {}, {}

    def _go_back(self, record: Record, kind: str | None, data: dict[str, JSON]) -> None:
        """A rewind takes a prompt and all behind it away; a cleared context takes everything."""
        if kind == "session.snapshot_rewind":
            before = self._s.prompts.get(text(data, "upToEventId") or "")
            record.after = before or record.after
        elif kind == "session.context_cleared":
            record.after = ""
        elif kind == "session.compaction_complete" and data.get("success") is True:
            self._s.totals, self._s.outputs = {}, {}

    # --- what is counted ---

    def _metered(self) -> bool:
        """Asked once: a session's calls are counted here or there."""
        if self._s.metered is None:
            self._s.metered = self._has_rows(self.origin.native_id)
        return self._s.metered

    def _answered(self, record: Record, value: dict[str, JSON]) -> None:
        s = self._s
        if record.kind is Kind.MESSAGE:
            record.message_id = text(data_of(value), "messageId")
        usage = usage_of(value)
        if usage is None or self._metered():
            return
        if record.role is None:
            record.usage = usage
        else:
            self._inner[record.start] = [_beside(record, usage)]
        before = s.answer[1] if usage.key is not None and usage.key == s.answer[0] else 0
        s.answer = (usage.key or "", max(usage.output, before))
        model = usage.model or UNNAMED
        s.outputs[model] = s.outputs.get(model, 0) + s.answer[1] - before

    def _closed(self, record: Record, data: dict[str, JSON]) -> None:
        """Count what the totals grew by, without what answers told. Totals that fell were begun
        anew.
        """
        s = self._s
        found = counters(data)
        if not found or self._metered():
            return
        loose = sum(tokens for model, tokens in s.outputs.items() if model not in found)
        rows: list[Usage] = []
        for model, total in found.items():
            base = s.totals.get(model, {})
            fell = any(tokens < base.get(kind, 0) for kind, tokens in total.items())
            grown = {k: tokens - (0 if fell else base.get(k, 0)) for k, tokens in total.items()}
            rest = max(grown["output"] - s.outputs.get(model, 0), 0)
            used = min(rest, loose)
            loose -= used
            grown["output"] = rest - used
            if any(grown.values()):
                key = f"copilot-cli:{record.native_id or self.origin.native_id}:{model}"
                rows.append(msgspec.convert({"key": key, "model": model, **grown}, Usage))
        s.totals, s.outputs = found, {}
        if rows:
            record.usage = rows.pop(0)
        if rows:
            self._inner[record.start] = [_beside(record, usage) for usage in rows]


def _beside(record: Record, usage: Usage) -> Record:
    """Tokens that the same bytes tell of."""
    name = record.native_id and f"{record.native_id}/{usage.model or 'tokens'}"
    return Record(
        record.start,
        record.length,
        Kind.NOTICE,
        FORMAT,
        time_ms=record.time_ms,
        native_id=name,
        usage=usage,
        says_all=True,
    )
