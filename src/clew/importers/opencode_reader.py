"""Reads one session of OpenCode: what a message says needs what stood before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from clew.canonical import parse
from clew.importers import rows
from clew.importers.facts import count, set_title, text
from clew.importers.opencode_held import is_counter
from clew.importers.opencode_records import (
    FORMAT,
    RESULTS,
    TIME_MS_MAX,
    answered,
    classify,
    compaction_asked,
    completed,
    created,
    decode,
    info_of,
    parts_of,
    placed,
    runs,
    typed,
    usage_of,
)
from clew.model import JSON, Kind, Reason, Record, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clew.importers.base import Item

ABOUT: Final = ":session"
"""How the key of a session's own facts begins: a row says them in other words than a file."""
REVERT: Final = ":revert:"
"""How the key of a taken back message begins."""
RANK_PROMPT, RANK_TITLE = 1, 2

_UNTITLED: Final = re.compile(r"(?:New|Child) session - \d{4}-\d\d-\d\dT")
"""The title before there is one."""


class SessionReader(rows.ItemReader):
    """Reads one session."""

    format = FORMAT

    def take(self, items: Iterable[Item]) -> Iterator[tuple[bytes, list[Record]]]:
        """See `rows.ItemReader.take`. What the session counts is no reason to keep it anew, and
        is remembered: see `counters`.
        """
        return super().take(self._counting(items))

    def _counting(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            if item.key.startswith(ABOUT) and not item.open:
                told = parse(item.body)["session"]
                self.facts["counters"] = {k: v for k, v in told.items() if is_counter(k)}
            yield item

    @property
    def counters(self) -> dict[str, JSON]:
        """Of the session's facts those that change all the time, as they were last."""
        found = self.facts.get("counters")
        return found if isinstance(found, dict) else {}

    def standing(self) -> list[str]:
        """The messages that the store had when it was last read, in their order. One that was
        taken back is there until something else is said.
        """
        known = {key: each for key, each in self._known.items() if not key.startswith(":")}
        key = max(known, key=lambda key: known[key].placed, default=rows.ROOT)
        found: list[str] = []
        while key in known:
            found.append(key)
            key = known.pop(key).after
        return found[::-1]

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`. What the tools gave back is said behind the answer."""
        if item.key.startswith(ABOUT):
            self._about(value, record)
            return []
        if item.key.startswith(REVERT):
            return []
        info = info_of(value)
        record.time_ms = created(info)
        record.kind, record.role, record.note = classify(value)
        record.usage = usage_of(info)
        self._note_unfinished(item.key, value)
        asked = compaction_asked(value)
        if asked is not None:
            self.facts["compaction"] = [item.key, str(asked[0]), asked[1]]
        if record.kind is Kind.COMPACTION:
            self._compacted(record, info)
        if record.kind is not Kind.MESSAGE:
            return []
        words = typed(value)
        if words and "titled" not in self.facts:
            self.facts["titled"] = True
            set_title(record, words, RANK_PROMPT)
        if record.role == "assistant" and any(answered(part) for part in parts_of(value)):
            return [rows.beside(record, RESULTS, "results")]
        return []

    def mend(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.mend`. What came to an answer that was being written when others
        followed it already (a call ended, say) is said as a piece of it.
        """
        held = self._unfinished().get(item.key)
        self.say(item, value, record)
        joins = held is not None and record.kind is Kind.MESSAGE and record.role == "assistant"
        if record.kind is not Kind.UNKNOWN:
            record.kind, record.role, record.compaction = Kind.NOTICE, None, None
            record.kept_from = None
        return self._joined(item, record, held) if held is not None and joins else []

    def _joined(self, item: Item, record: Record, held: dict[str, list[str]]) -> list[Record]:
        found: list[Record] = []
        for start, length, part in placed(item.body):
            id, call = text(part, "id") or "", text(part, "callID")
            new = id not in held["parts"]
            place = (record.start + start, length)
            if new and not isinstance(decode(part).parts[0], Unknown):
                found.append(self._piece(record, place, FORMAT, f"{record.native_id}/{id}"))
            if answered(part) and (new or call in held["open"]):
                name = f"{record.native_id}/{id}/results"
                found.append(self._piece(record, place, RESULTS, name))
        return found

    def _piece(self, record: Record, place: tuple[int, int], form: str, name: str) -> Record:
        role = "tool" if form == RESULTS else "assistant"
        return Record(*place, Kind.MESSAGE, form, role, record.time_ms, name)

    def _unfinished(self) -> dict[str, dict[str, list[str]]]:
        """Of each answer to which something may come, its parts and the calls that run."""
        found: dict[str, dict[str, list[str]]] = self.facts.setdefault("unfinished", {})
        return found

    def _note_unfinished(self, key: str, value: dict[str, JSON]) -> None:
        parts = parts_of(value)
        open_ = [text(part, "callID") or "" for part in parts if runs(part)]
        info = info_of(value)
        if info.get("role") == "assistant" and (open_ or not completed(info)):
            ids = [text(part, "id") or "" for part in parts]
            self._unfinished()[key] = {"parts": ids, "open": open_}
        else:
            self._unfinished().pop(key, None)

    def _compacted(self, record: Record, info: dict[str, JSON]) -> None:
        """A summary takes the place of what stands before its request, or before the tail that
        the request names.
        """
        asked, why, tail = self.facts.get("compaction") or ("", "", None)
        same = asked == text(info, "parentID")
        record.compaction = Reason(why) if same else Reason.AUTO
        if same and tail in self._known:
            record.kept_from = self._last(tail).removesuffix("/results")

    def _about(self, value: dict[str, JSON], record: Record) -> None:
        found = value.get("session")
        told: dict[str, Any] = found if isinstance(found, dict) else {}
        times = told.get("time")
        made = count(told, "time_created") or count(times, "created")
        updated = count(told, "time_updated") or count(times, "updated")
        stamp = updated if "about" in self.facts else made
        record.time_ms = stamp if 0 < stamp < TIME_MS_MAX else None
        self.facts["about"] = True
        title = text(told, "title")
        if title is not None and not _UNTITLED.match(title):
            set_title(record, title, RANK_TITLE)
