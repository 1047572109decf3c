"""LangGraph: the steps of a graph's threads in an SQLite file, wherever its developer put it.

    checkpoints(thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    writes(thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, value)

The library is open source (langgraph, langgraph-checkpoint-sqlite); what is known of its tables
stands in `docs/formats/langgraph.md`.
"""  # noqa: E501 - a table

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from clew.importers import database, rows
from clew.importers.base import Item, Thread
from clew.importers.facts import set_title, time_ms
from clew.importers.langgraph_records import FORMAT, decode, message_of
from clew.importers.langgraph_steps import Steps
from clew.model import JSON, Kind, Message, Origin, Reason, Record, Unknown
from clew.names import mended
from clew.shapes import base

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

name = "langgraph"
formats: tuple[str, ...] = (FORMAT,)

NEEDED: Final = {
    "checkpoints": [
        *("thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id"),
        *("type", "checkpoint", "metadata"),
    ],
    "writes": ["thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel", "value"],
}
BETWEEN: Final = "|"
"""Between a thread's name and the sub-graphs' in it."""
_TOLD_APART: Final = 16
"""A thread's id of so many characters is no word of a person's."""
_FIRST_CHARS: Final = 13


def roots(home: Path, env: Mapping[str, str]) -> list[Path]:
    """None: the library has no place of its own. Name the file."""
    return []


def identify(path: Path) -> bool:
    """True for a database with the library's two tables."""
    return database.has_tables(path, NEEDED)


def discover(root: Path) -> Iterator[Path]:
    """See `Store.discover`."""
    return database.found_below(root, NEEDED)


@contextmanager
def look(path: Path) -> Iterator[Checkpoints]:
    """See `Store.look`."""
    with database.opened(path, tuple(NEEDED)) as found:
        yield Checkpoints(found)


def open(path: Path, thread: str, state: bytes | None = None) -> ItemReader:
    """See `Store.open`. A sub-graph's run is called by what it ran in and its own name."""
    parent, _, below = thread.rpartition(BETWEEN)
    origin = Origin(mended(thread), name)
    if parent and below:
        origin.parent, origin.kind = mended(parent), "subagent"
    return ItemReader(origin).resumed(state)


class Checkpoints:
    """See `base.Look`."""

    def __init__(self, found: database.Database) -> None:
        self._database = found
        self._places: dict[str, tuple[str, str]] = {}
        self._above: set[str] = set()
        """The threads in which sub-graphs ran."""
        self._names: dict[str, dict[str, str]] = {}
        """By thread the names of its messages' records, and of those that it shares."""

    def threads(self) -> list[Thread]:
        """See `Look.threads`. A developer's own names ("1") are told apart by the first step."""
        counts = self._database.rows(
            "select thread_id, checkpoint_ns, count(*) as items, min(checkpoint_id) as first, "
            "max(checkpoint_id) as newest, sum(length(checkpoint)) as size from checkpoints "
            "group by thread_id, checkpoint_ns order by thread_id, length(checkpoint_ns), "
            "checkpoint_ns"
        )
        wrote = self._database.rows(
            "select thread_id, checkpoint_ns, count(*), max(checkpoint_id), sum(length(value)) "
            "from writes group by thread_id, checkpoint_ns"
        )
        written = {(row["thread_id"], row["checkpoint_ns"]): str(row) for row in wrote}
        named: dict[str, str] = {}
        found: list[tuple[str, Thread]] = []
        for row in counts:
            thread, space = row["thread_id"], row["checkpoint_ns"]
            if thread not in named:
                told = str(thread).replace(BETWEEN, "/")
                first = str(row["first"])[:_FIRST_CHARS]
                named[thread] = told if len(told) >= _TOLD_APART else f"{told}@{first}"
            if space and row["items"] == 1:
                continue  # it was entered and said nothing yet
            full = f"{named[thread]}{BETWEEN}{space}" if space else named[thread]
            self._places[full] = (thread, space)
            self._above.add(full.rpartition(BETWEEN)[0])
            mark = database.mark(*row.values(), written.get((thread, space)))
            found.append((str(row["first"]), Thread(full, mark)))
        return [thread for _, thread in sorted(found, key=lambda each: each[0])]

    def items(self, thread: str) -> Iterator[Item]:
        """See `Look.items`."""
        if not self._places:
            self.threads()
        shared = self._shared(thread)
        steps = Steps(self._database, *self._places[thread])
        if not shared:
            yield from steps.items()
            self._keep(thread, steps, shared)
            return
        # What a sub-graph was given is its parent's, and comes first.
        found = list(steps.items())
        self._keep(thread, steps, shared)
        lead: list[Item] = []
        for key in steps.keys:
            if key not in shared:
                break
            item = next(item for item in found if item.key == key)
            lead.append(msgspec.structs.replace(item, copy_of=shared[key]))
        taken = {item.key for item in lead}
        yield from lead
        yield from (item for item in found if item.key not in taken)

    def _keep(self, thread: str, steps: Steps, shared: Mapping[str, str]) -> None:
        """Remember the names of a thread in which others ran."""
        if thread not in self._above:
            return
        own = {key: f"{mended(thread)}/{key}" for key in steps.keys}
        self._names[thread] = {**own, **shared}

    def _shared(self, thread: str) -> dict[str, str]:
        """The records of what this thread runs in, by the names of their messages."""
        parent = thread.rpartition(BETWEEN)[0]
        if not parent or parent not in self._places:
            return {}
        if parent not in self._names:
            above = self._shared(parent)
            steps = Steps(self._database, *self._places[parent])
            for _item in steps.items():
                pass
            self._keep(parent, steps, above)
        return self._names[parent]


class ItemReader(rows.ItemReader):
    """Reads one thread of a graph."""

    format = FORMAT

    def say(self, item: Item, value: dict[str, JSON], record: Record) -> list[Record]:
        """See `rows.ItemReader.say`."""
        record.time_ms = time_ms(value.get("ts"))
        if item.aside or "message" not in value:
            self._name_it(value, record)
            return []
        if value.get("compaction") is True:
            record.kind, record.compaction = Kind.COMPACTION, Reason.AUTO
            record.kept_from = self._last(str(value.get("kept_from")))
            return []
        message = decode(value)
        if message_of(value["message"]) is None or _is_opaque(message):
            record.kind, record.note = Kind.UNKNOWN, "a message of no known shape"
            return []
        record.kind, record.role = Kind.MESSAGE, base.entry_role(message)
        record.usage = message.usage
        asked = record.role == "user" and self.origin.kind != "subagent"
        if asked and "titled" not in self.facts:
            self.facts["titled"] = True
            set_title(record, message.text, 1)
        return []

    def _name_it(self, value: dict[str, JSON], record: Record) -> None:
        """What a sub-graph was asked is its parent's: it is called by its node."""
        if self.origin.kind == "subagent" and "titled" not in self.facts:
            self.facts["titled"] = True
            space = str(value.get("checkpoint_ns"))
            set_title(record, space.rpartition(BETWEEN)[2].partition(":")[0], 1)


def _is_opaque(message: Message) -> bool:
    return message.meta and all(isinstance(part, Unknown) for part in message.parts)
