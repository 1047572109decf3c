"""Reads a file of Gemini CLI: which messages stand, and what each record does to them."""

from __future__ import annotations

from typing import Final, Self

import msgspec

from clew.canonical import content_id
from clew.importers.facts import TITLE_CHARS_MAX, set_title, text, time_ms
from clew.importers.gemini_records import (
    CALLS,
    FORMAT,
    RESULTS,
    Nested,
    chained,
    classify,
    folder_told,
    has_list,
    has_results,
    is_header,
    is_message,
    is_record,
    is_snapshot,
    nested,
    speaker,
    told_at,
    typed,
    usage_of,
)
from clew.importers.jsonl import RAW, JsonlReader, Piece, raw_record
from clew.importers.state import State, load
from clew.model import JSON, Kind, Origin, Reason, Record
from clew.names import mended

STATE_VERSION: Final = 1
ROOT: Final = ""
RANK_PROMPT, RANK_SUMMARY = 1, 2


class _State(State):
    origin: Origin
    document: bool
    identified: bool
    titled: bool
    base: str
    seed: str
    overlaid: bool
    live: list[tuple[str, str, str]]


class GeminiReader(JsonlReader):
    """Reads one file of Gemini CLI: a log of patches, or one document. See `base.Reader`."""

    def __init__(self, origin: Origin, *, document: bool = False) -> None:
        super().__init__(document=document)
        self.origin = origin
        self._identified = False
        """Whether the session's id was told by a record; later ones do not change it."""
        self._titled = False
        self._base = ROOT
        """The name of the entry that the first standing message follows."""
        self._seed = ""
        """What the first standing message's name is made from beside its words."""
        self._overlaid = False
        """Whether the first standing message is the summary of a compression."""
        self._live: list[tuple[str, str, str]] = []
        """The messages that stand: id, name, and the name of their last entry."""
        self._index: dict[str, int] = {}
        """Where a message stands, by its id."""
        self._inner: dict[int, list[Record]] = {}
        """What stands inside a record, by where that one begins."""

    @classmethod
    def resume(cls, state: bytes) -> Self:
        """A reader that goes on where `state` stopped. Raises `Invalid` for a foreign one."""
        known = load(state, _State, STATE_VERSION, "Gemini CLI")
        reader = cls(known.origin, document=known.document)
        reader._consumed = known.consumed
        reader._identified, reader._titled = known.identified, known.titled
        reader._base, reader._seed = known.base, known.seed
        reader._overlaid = known.overlaid
        reader._keep(known.live)
        return reader

    def state(self) -> bytes:
        """See `Reader.state`. Every standing message is in it: any may be gone back to."""
        return msgspec.json.encode(
            _State(
                STATE_VERSION,
                self._consumed,
                self.origin,
                self._document,
                self._identified,
                self._titled,
                self._base,
                self._seed,
                self._overlaid,
                self._live,
            )
        )

    def is_record(self, value: dict[str, JSON]) -> bool:
        """See `JsonlReader.is_record`."""
        return is_record(value) or has_list(value)

    def feed(self, chunk: bytes, at: int, *, last: bool = False) -> list[Record]:
        """See `Reader.feed`. Behind a record come those whose bytes lie in it."""
        self._inner = {}
        found: list[Record] = []
        for record in super().feed(chunk, at, last=last):
            found.append(record)
            found += self._inner.pop(record.start, [])
        return found

    def record(self, piece: Piece) -> Record:
        """What one piece of the file says."""
        self.origin.settled = True
        value = piece.value
        if value is None:
            return raw_record(piece)
        record = Record(piece.start, len(piece.body), Kind.NOTICE, FORMAT, time_ms=told_at(value))
        if piece.note is not None:
            # It is kept as it is, and what was used is counted; nothing is built on it.
            record.kind, record.format, record.note = Kind.UNKNOWN, RAW, piece.note
            record.usage = usage_of(value)
            return record
        patch = value.get("$set")
        target = value.get("$rewindTo")
        if isinstance(target, str):
            self._rewind(record, target)
        elif isinstance(patch, dict):
            self._learn(record, patch)
            if "messages" in patch:
                self._replace(record, piece)
        elif has_list(value) and not is_message(value):
            self._learn(record, value)
            self._open_document(record, piece)
        elif is_header(value):
            self._learn(record, value)
        elif is_message(value):
            self._inner[piece.start] = self._say(record, value)
        else:
            kind = text(value, "type")
            named = f"of type {kind[:TITLE_CHARS_MAX]!r}" if kind else "without a type"
            record.kind, record.note = Kind.UNKNOWN, f"a record {named}, which is not known"
        return record

    def _learn(self, record: Record, value: dict[str, JSON]) -> None:
        """A header, or what a patch changes in it."""
        origin = self.origin
        told = text(value, "sessionId")
        if told is not None and not self._identified and not self._live:
            origin.native_id = mended(told)
        self._identified = self._identified or told is not None
        if record.time_ms is None:
            record.time_ms = time_ms(value.get("lastUpdated")) or time_ms(value.get("startTime"))
        folders = value.get("directories")
        if origin.project is None and isinstance(folders, list) and folders:
            origin.project = folders[0] if isinstance(folders[0], str) else None
        if text(value, "kind") == "subagent":
            origin.kind = "subagent"
        set_title(record, text(value, "summary"), RANK_SUMMARY)

    # --- what stands ---

    def _tip(self) -> tuple[str, str]:
        """The name of the last standing message, and that of its last entry."""
        return (self._live[-1][1], self._live[-1][2]) if self._live else (self._seed, self._base)

    def _keep(self, live: list[tuple[str, str, str]]) -> None:
        """Let but these messages stand."""
        self._live = live
        self._index = {id: at for at, (id, _name, _last) in enumerate(live) if id}

    def _stand(self, id: str, name: str, last: str) -> None:
        """Let one more message stand, behind the others."""
        if id:
            self._index[id] = len(self._live)
        self._live.append((id, name, last))

    def _rewind(self, record: Record, target: str) -> None:
        """Take a message and all behind it away; all of them when it is not there."""
        index = self._index.get(target)
        if index is not None:
            self._keep(self._live[:index])
        elif self._overlaid:
            self._base = self._seed = ROOT  # the summary goes too
            self._overlaid = False
            self._keep([])
        elif self._live:
            self._keep([])
        else:
            return
        record.after = self._tip()[1]

    def _replace(self, record: Record, piece: Piece) -> None:
        """A list in place of all messages. When it begins with the summary of a compression,
        it is an overlay; else the session goes back to its beginning.
        """
        inner = self._inside(record, piece)
        if inner is None:
            return
        name = chained(
            self.origin.native_id, self._tip()[0], {"$set": content_id(piece.body).hex()}
        )
        summary = next((each for each in inner if is_snapshot(each.value)), None)
        if summary is not None:
            inner.remove(summary)
            record.kind, record.role, record.compaction = Kind.COMPACTION, "system", Reason.AUTO
        elif self._live or self._base != ROOT:
            record.after = ROOT
        record.native_id, record.says_all = name, True
        self._base = self._seed = name
        self._overlaid = summary is not None
        self._keep([])
        self._say_all(piece, inner)

    def _open_document(self, record: Record, piece: Piece) -> None:
        """A whole document. It was written anew for each message, so each message says which
        one it follows: one that took another's place goes back to where that one stood.
        """
        inner = self._inside(record, piece)
        if inner is None:
            return
        record.native_id = f"{self.origin.native_id}/document"
        self._base, self._seed = record.native_id, ""
        self._keep([])
        self._say_all(piece, inner, each_follows=True)

    def _inside(self, record: Record, piece: Piece) -> list[Nested] | None:
        try:
            return nested(piece.body)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            record.kind, record.note = Kind.UNKNOWN, "its list of messages cannot be taken apart"
            return None

    def _say_all(self, piece: Piece, inner: list[Nested], *, each_follows: bool = False) -> None:
        found = self._inner.setdefault(piece.start, [])
        for start, length, value in inner:
            before = self._tip()[1]
            record = Record(
                piece.start + start, length, Kind.NOTICE, FORMAT, time_ms=told_at(value)
            )
            behind = self._say(record, value)
            if each_follows and record.native_id is not None and record.after is None:
                record.after = before
            found += [record, *behind]

    def _say(self, record: Record, value: dict[str, JSON]) -> list[Record]:
        """A message, or a later version of one. Gives the entry that its results make."""
        record.kind, record.role, record.note = classify(value)
        record.usage = usage_of(value)
        if record.kind is not Kind.MESSAGE:
            return []
        id = text(value, "id") or ""
        again = self._index.get(id)
        if again is not None and again < len(self._live) - 1:
            return self._mend(record, value, again)
        held = self._live.pop() if again is not None else None
        before, place = self._tip()
        name = chained(self.origin.native_id, before, value)
        if held is not None and held[1] == name:
            self._stand(*held)
            record.kind, record.role = Kind.NOTICE, None
            return []
        record.native_id, record.says_all = name, True
        if held is not None:
            record.after = place
        self._add_facts(record, value)
        behind = self._results(record, value)
        self._stand(id, name, f"{name}/results" if behind else name)
        return behind

    def _mend(self, record: Record, value: dict[str, JSON], index: int) -> list[Record]:
        """A later version of a message that others follow already. What follows stays; the
        calls and results that it adds are said here, as pieces of that message.
        """
        name = chained(self.origin.native_id, self._live[index][1], value)
        if speaker(value) == "user" or not value.get("toolCalls"):
            record.kind, record.role = Kind.NOTICE, None
            record.note = "it changes a message that others follow: not in the view"
            return []
        record.format, record.native_id, record.says_all = CALLS, name, True
        behind = self._results(record, value)
        id, before, _last = self._live[-1]
        self._live[-1] = (id, before, f"{name}/results" if behind else name)
        return behind

    def _results(self, record: Record, value: dict[str, JSON]) -> list[Record]:
        if not has_results(value):
            return []
        return [
            Record(
                record.start,
                record.length,
                Kind.MESSAGE,
                RESULTS,
                "tool",
                record.time_ms,
                f"{record.native_id}/results",
                says_all=True,
            )
        ]

    def _add_facts(self, record: Record, value: dict[str, JSON]) -> None:
        origin = self.origin
        if origin.project is None:
            origin.project = folder_told(value)
        origin.model = text(value, "model") or origin.model
        words = None if self._titled else typed(value)
        if words is not None and words.strip():
            set_title(record, words, RANK_PROMPT)
            self._titled = True
