"""The steps of one thread of a graph: each holds the whole state, and hangs off the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import parse
from clew.importers import database
from clew.importers.base import Item
from clew.importers.langgraph_packed import Unpacker, Unread, held
from clew.importers.langgraph_walk import (
    CONTROL,
    MESSAGES,
    Path,
    Walk,
    changes,
    folded,
    holds_messages,
    snapshot,
)
from clew.model import JSON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_INPUT: Final = "__start__"


class _State:
    """What a step holds: the conversation so far, the other channels, and those that are kept as
    what was written to them (delta channels).
    """

    __slots__ = ("channels", "deltas", "path")

    def __init__(
        self, path: Path, channels: Mapping[str, JSON], deltas: Mapping[str, JSON]
    ) -> None:
        self.path = path
        self.channels = channels
        self.deltas = deltas


_EMPTY: Final = _State(Path(), {}, {})


class Steps:
    """Reads a thread step by step, parents first."""

    def __init__(self, found: database.Database, thread: str, space: str) -> None:
        self._database = found
        self._where = (thread, space)
        self._unpack = Unpacker()
        self._walk = Walk()
        self._spoken: str | None = None
        """The channel that holds the conversation."""
        self._states: dict[str, _State] = {}
        self._children: dict[str, int] = {}
        """Of each step how many of those that hang off it were not read yet."""

    @property
    def keys(self) -> Mapping[str, None]:
        """The names of the messages that were found, in their order."""
        return self._walk.keys

    def items(self) -> Iterator[Item]:
        """All that the thread holds now."""
        found = self._database.rows(
            "select checkpoint_id, parent_checkpoint_id from checkpoints "
            "where thread_id = ? and checkpoint_ns = ? order by checkpoint_id",
            *self._where,
        )
        parents = {row["checkpoint_id"]: row["parent_checkpoint_id"] for row in found}
        for parent in parents.values():
            self._children[parent] = self._children.get(parent, 0) + 1
        writes = self._written()
        newest: tuple[Path, dict[str, JSON]] | None = None
        for step in _parents_first(parents):
            state, about, items = self._step(step, parents[step], writes)
            yield from items
            if newest is None or step >= newest[1]["checkpoint_id"]:
                newest = (state.path, about)
        if newest is not None:
            yield from self._walk.back(*newest)

    def _written(self) -> dict[str, list[dict[str, Any]]]:
        """What tasks wrote at each step, without the values."""
        placed = "task_path" if "task_path" in self._database.tables["writes"] else "''"
        found = self._database.rows(
            f"select checkpoint_id, task_id, {placed} as task_path, idx, channel from writes "
            "where thread_id = ? and checkpoint_ns = ? order by task_path, task_id, idx",
            *self._where,
        )
        writes: dict[str, list[dict[str, Any]]] = {}
        for row in found:
            writes.setdefault(row["checkpoint_id"], []).append(row)
        return writes

    def _step(
        self, step: str, parent: str | None, writes: Mapping[str, list[dict[str, Any]]]
    ) -> tuple[_State, dict[str, JSON], list[Item]]:
        (row,) = self._database.rows(
            "select type, checkpoint, metadata from checkpoints "
            "where thread_id = ? and checkpoint_ns = ? and checkpoint_id = ?",
            *self._where,
            step,
        )
        before = self._states.get(parent or "", _EMPTY)
        about: dict[str, JSON] = {
            "thread_id": self._where[0],
            "checkpoint_ns": self._where[1],
            "checkpoint_id": step,
            "parent_checkpoint_id": parent,
        }
        metadata = _metadata(row["metadata"])
        try:
            value = self._unpack.value(row["type"], row["checkpoint"])
            if not isinstance(value, dict):
                raise Unread("a step that is no object")
        except Unread as error:
            raw = row["checkpoint"]
            kept = held(raw) if isinstance(raw, bytes) else raw
            body = {**about, "type": row["type"], "metadata": metadata, "checkpoint": kept}
            item = Item(f"checkpoint/{step}", database.line(body), aside=True, note=str(error))
            return self._keep(step, parent, before), about, [item]
        about["ts"] = value.get("ts")
        told = self._told(value, metadata, before, writes.get(parent or "", []), parent)
        items = self._walk.follow(before.path, told.pop(MESSAGES, []), about)
        state = self._keep(step, parent, _State(self._walk.path, told["state"], told["deltas"]))
        body = {**about, "metadata": metadata, "state": changes(before.channels, told["state"])}
        items.append(Item(f"checkpoint/{step}", database.line(body), aside=True))
        items += self._kept_writes(about, writes.get(step, []))
        return state, about, items

    def _keep(self, step: str, parent: str | None, state: _State) -> _State:
        """Remember a state as long as another step hangs off it."""
        if self._children.get(step):
            self._states[step] = state
        if parent is not None:
            self._children[parent] -= 1
            if self._children[parent] == 0:
                self._states.pop(parent, None)
        return state

    def _told(
        self,
        value: dict[str, JSON],
        metadata: JSON,
        before: _State,
        written: Sequence[dict[str, Any]],
        parent: str | None,
    ) -> dict[str, Any]:
        """The conversation, the other channels and the delta channels of a step."""
        channels = value.get("channel_values")
        channels = channels if isinstance(channels, dict) else {}
        about = metadata if isinstance(metadata, dict) else {}
        counted = about.get("counters_since_delta_snapshot")
        deltas = {**dict.fromkeys(counted if isinstance(counted, dict) else ()), **before.deltas}
        state: dict[str, JSON] = {}
        for name, each in channels.items():
            taken, whole = snapshot(each)
            if taken:
                deltas[name] = whole
            elif not name.startswith(CONTROL):
                state[name] = each
        for name in set(deltas) - set(channels):
            values = self._values(parent, [row for row in written if row["channel"] == name])
            deltas[name] = folded(deltas[name], values)
        whole_state = {**state, **{name: each for name, each in deltas.items() if each is not None}}
        spoken = self._conversation(whole_state)
        told = whole_state.pop(spoken, []) if spoken else []
        if spoken and not isinstance(told, list):
            whole_state[spoken], told = told, []
        return {MESSAGES: told, "state": whole_state, "deltas": deltas}

    def _conversation(self, state: Mapping[str, JSON]) -> str | None:
        """The channel of the conversation: `messages`, else the first that holds some."""
        if self._spoken is None:
            spoken = [name for name in sorted(state) if holds_messages(state[name])]
            if spoken:
                self._spoken = MESSAGES if MESSAGES in spoken else spoken[0]
        return self._spoken

    def _values(self, step: str | None, written: Sequence[dict[str, Any]]) -> list[JSON]:
        found = []
        for row in written:
            value, note = self._value(step, row)
            if note is None:
                found.append(value)
        return found

    def _value(self, step: str | None, write: dict[str, Any]) -> tuple[JSON, str | None]:
        (row,) = self._database.rows(
            "select type, value from writes where thread_id = ? and checkpoint_ns = ? "
            "and checkpoint_id = ? and task_id = ? and idx = ?",
            *self._where,
            step,
            write["task_id"],
            write["idx"],
        )
        try:
            return self._unpack.value(row["type"], row["value"]), None
        except Unread as error:
            raw = row["value"]
            return (held(raw) if isinstance(raw, bytes) else raw), str(error)

    def _kept_writes(
        self, about: Mapping[str, JSON], written: Sequence[dict[str, Any]]
    ) -> Iterator[Item]:
        """What no later step holds: interrupts, what was answered to them, errors; and where the
        graph stopped, what its tasks had done.
        """
        step = str(about["checkpoint_id"])
        pending = step not in self._children
        for row in written:
            special = isinstance(row["idx"], int) and row["idx"] < 0
            if special or (pending and not str(row["channel"]).startswith(CONTROL)):
                value, note = self._value(step, row)
                body = {**about, **row, "value": value}
                key = f"write/{step}/{row['task_id']}/{row['idx']}"
                yield Item(key, database.line(body), aside=True, note=note)


def _metadata(text: JSON) -> Any:
    """A step's metadata. Earlier versions repeat what its tasks wrote: their names are enough."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if not isinstance(raw, bytes):
        return text
    try:
        value = parse(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return held(raw)
    if isinstance(value, dict) and isinstance(value.get("writes"), dict):
        value["writes"] = sorted(value["writes"])
    return value


def _parents_first(parents: Mapping[str, str | None]) -> Iterator[str]:
    """All steps by their ids, but none before the one that it hangs off; a ring is cut."""
    seen: set[str] = set()
    for step in parents:
        line: list[str] = []
        at: str | None = step
        while at is not None and at in parents and at not in seen:
            seen.add(at)
            line.append(at)
            at = parents[at]
        yield from reversed(line)
