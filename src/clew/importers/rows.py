"""Threads of stores: what of a session that can change in place is new, and where it belongs.

A store tells all that a session holds now. Each item of it is known by its key, what it said
(a digest), and the item that it followed. An item that is new, changed or stands elsewhere is
appended to the thread's stream; whatever else was seen before stays in the ledger.

- New, and behind the newest: it goes on. New, and behind an earlier one (what followed that was
  taken back, or is another branch): the session goes back there first.
- The newest item says something else: it takes its place.
- An item stands behind another than before (what was between them is gone): the session goes back
  there, and what follows it goes along.
- An earlier item says something else: what follows it stays where it is. The later version is
  kept, and stands in the conversation only where the format knows how (`ItemReader.mend`).
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

import msgspec

from clew.canonical import content_id
from clew.errors import Invalid
from clew.importers import state
from clew.importers.jsonl import LINE_BYTES_MAX, RAW, read_line
from clew.model import JSON, Kind, Origin, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clew.importers.base import Item

STATE_VERSION = 1
DIGEST_BYTES = 9
ROOT = ""


class _Known(msgspec.Struct, array_like=True, omit_defaults=True):
    """An item that was seen: the digest of what it said last, the item it followed, how many
    versions of it there are, the name of the last entry that stands for it, and where in the
    stream it took its place in the conversation.
    """

    digest: str
    after: str
    version: int = 1
    last: str | None = None
    placed: int = 0


class _State(state.State):
    format: str
    origin: Origin
    tip: str
    known: dict[str, _Known]
    facts: dict[str, JSON]


class ItemReader(ABC):
    """A `base.ThreadReader`; a format says in `say` what one item means."""

    format: str
    """The wire format of its records, and whose state it is."""

    origin: Origin

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.waits = False
        self._consumed = 0
        self._tip = ROOT
        """The item behind which the next entry comes, if it does not say otherwise."""
        self._known: dict[str, _Known] = {}
        self.facts: dict[str, JSON] = {}
        """What a format keeps between two readings beside the items."""

    @abstractmethod
    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """Fill in what an item says: kind, role, time, usage, title. `record` has its place, its
        bytes and its name, and is a notice. Gives the records that the same bytes make behind it
        (what a call gave back, say), made with `beside`. A usage's key must not depend on the
        record's name: the same call comes again with each version.
        """

    def mend(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """The same for a later version of an item that others follow already. By default it is
        kept as a notice, with its usage and title, out of the conversation.
        """
        self.say(item, value, record)
        if record.kind is not Kind.UNKNOWN:
            record.kind, record.role, record.compaction = Kind.NOTICE, None, None
        return []

    @property
    def consumed(self) -> int:
        """See `ThreadReader.consumed`."""
        return self._consumed

    def resumed(self, packed: bytes | None) -> Self:
        """This reader, going on where a state stopped. Raises `Invalid` for a foreign one."""
        if packed is None:
            return self
        known = state.load(packed, _State, STATE_VERSION, f"{self.format} thread's")
        if known.format != self.format:
            raise Invalid(f"the state is of {known.format}: read the thread from nothing")
        self._consumed, self.origin = known.consumed, known.origin
        self._tip, self._known, self.facts = known.tip, known.known, known.facts
        return self

    def state(self) -> bytes:
        """See `ThreadReader.state`. Every item is in it: any may have changed."""
        return msgspec.json.encode(
            _State(
                STATE_VERSION,
                self._consumed,
                self.format,
                self.origin,
                self._tip,
                self._known,
                self.facts,
            )
        )

    def take(self, items: Iterable[Item]) -> Iterator[tuple[bytes, list[Record]]]:
        """See `ThreadReader.take`."""
        self.waits = False
        before = ROOT
        for item in items:
            if item.open:
                self.waits = True
                return
            after = ROOT if item.aside else before if item.after is None else item.after
            before = before if item.aside else item.key
            digest = _digest(item.body if item.said is None else item.said)
            known = self._known.get(item.key)
            stands = known is not None and self._stands(known, after)
            if known is not None and (item.past or (stands and known.digest == digest)):
                continue
            records = self._read(item, after, digest, known, stands=stands)
            raw = item.body + b"\n"
            self._consumed += len(raw)
            yield raw, records

    def _stands(self, known: _Known, after: str) -> bool:
        """True for an item that follows what it followed. One that followed an item which stands
        elsewhere now goes along with it.
        """
        before = self._known.get(after)
        return known.after == after and (before is None or before.placed <= known.placed)

    def _read(
        self, item: Item, after: str, digest: str, known: _Known | None, *, stands: bool
    ) -> list[Record]:
        """The records of an item that is new, changed, or stands elsewhere now."""
        version = 1 if known is None else known.version + 1
        name = item.copy_of if known is None else None
        record = Record(
            self._consumed,
            len(item.body),
            Kind.NOTICE,
            self.format,
            native_id=name or self._name(item.key, version),
        )
        value = _value(item, record)
        rest = _cut(record)
        if item.aside:
            self._known[item.key] = _Known(digest, after, version)
            return [*self._said(item, value, record), *rest]
        if known is not None and stands and self._tip != item.key:
            held = self._last(item.key)
            self._known[item.key] = _Known(digest, after, version, held, known.placed)
            found = [record] if value is None else [record, *self.mend(item, value, record)]
            if record.kind is Kind.MESSAGE or len(found) > 1:
                self._known[self._tip].last = found[-1].native_id
            return [*found, *rest]
        if after != self._tip:
            record.after = self._last(after)
        found = [*self._said(item, value, record), *rest]
        last = found[-1].native_id
        self._known[item.key] = _Known(digest, after, version, last, self._consumed)
        self._tip = item.key
        return found

    def _said(self, item: Item, value: dict[str, JSON] | None, record: Record) -> list[Record]:
        return [record] if value is None else [record, *self.say(item, value, record)]

    def _name(self, key: str, version: int) -> str:
        """The name of an item's entry: the same in every ledger for what was seen first."""
        name = f"{self.origin.native_id}/{key}"
        return name if version == 1 else f"{name}#{version}"

    def _last(self, key: str) -> str:
        """The name of the last entry of the item with this key; of none for the root."""
        if key == ROOT:
            return ROOT
        known = self._known.get(key)
        return (known and known.last) or self._name(key, 1)


def beside(record: Record, form: str, suffix: str, role: str = "tool") -> Record:
    """A message that the same bytes say behind `record`, read as another format."""
    return Record(
        record.start,
        record.length,
        Kind.MESSAGE,
        form,
        role,
        record.time_ms,
        f"{record.native_id}/{suffix}",
    )


def _cut(record: Record) -> list[Record]:
    """Leave of a record that is too large for one its first piece; gives the others."""
    rest = []
    end = record.start + record.length
    for number, at in enumerate(range(record.start + LINE_BYTES_MAX, end, LINE_BYTES_MAX), 2):
        length = min(LINE_BYTES_MAX, end - at)
        name = f"{record.native_id}/piece/{number}"
        rest.append(Record(at, length, Kind.UNKNOWN, RAW, native_id=name, note=record.note))
    record.length = min(record.length, LINE_BYTES_MAX)
    return rest


def _digest(body: bytes) -> str:
    return base64.b64encode(content_id(body)[:DIGEST_BYTES]).decode()


def _value(item: Item, record: Record) -> dict[str, JSON] | None:
    """What an item's body says; one that cannot be read is kept, with the reason."""
    record.note, value = item.note, None
    if record.note is None and len(item.body) > LINE_BYTES_MAX:
        record.note = f"more than {LINE_BYTES_MAX} bytes: kept in pieces, not read"
    if record.note is None:
        pieces = list(read_line(item.body, 0, lambda _value: True))
        value = pieces[0].value if len(pieces) == 1 else None
        record.note = pieces[0].note if pieces else "nothing is in it"
    if value is None or record.note is not None:
        record.kind, record.format = Kind.UNKNOWN, RAW
        record.note = record.note or "more than one JSON object"
        return None
    return value
