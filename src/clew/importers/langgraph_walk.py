"""What is new from one step of a graph to the next, though each step repeats the whole state.

A message is known by what it follows and what it says, so a conversation has the same names from
whichever of its steps it is read, and forks share what came before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import content_id
from clew.importers.base import Item
from clew.importers.langgraph_packed import DELTA, Plain, digest_of
from clew.importers.langgraph_records import REMOVE, id_of, message_of
from clew.importers.rows import ROOT
from clew.model import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MESSAGES: Final = "messages"
REMOVE_ALL: Final = "__remove_all__"
OVERWRITE: Final = "__overwrite__"
CONTROL: Final = ("__start__", "__pregel_", "branch:", "__no_writes__")
"""Channels of the graph itself begin so."""

RETOLD_MAX: Final = 32
"""When an earlier message is changed, so many with it are told once more on a branch."""

_KEY_HEX: Final = 24
_TEXT_CHARS: Final = 256
_encode = msgspec.json.Encoder().encode


class Said(msgspec.Struct, frozen=True, gc=False):
    """A message in its place: the graph's id of it, what it says, and its name."""

    ident: str
    digest: bytes
    key: str


class Path(msgspec.Struct, frozen=True):
    """What a step holds, oldest first, and behind which item the next one comes. The first `held`
    messages are what a compaction left in sight, the item `base`: they stand before it.
    """

    said: tuple[Said, ...] = ()
    tail: str = ROOT
    held: int = 0
    base: str = ROOT

    def up_to(self, count: int) -> Path:
        """The path back to its first messages; to none where these cannot be shown alone."""
        if count < self.held:
            return Path()
        tail = self.said[count - 1].key if count > self.held else self.base
        return Path(self.said[:count], tail, self.held, self.base)


class Walk:
    """Follows a thread's steps, and makes an item of each message that it did not see."""

    def __init__(self) -> None:
        self.keys: dict[str, None] = {}
        """The names of all messages, in the order in which they were found."""
        self.last = ROOT
        """The newest item of the conversation."""

    def follow(self, path: Path, told: Sequence[JSON], about: Mapping[str, JSON]) -> list[Item]:
        """The items that lead from a path to one that says this; `self.path` is that path."""
        self._about, self._items = about, list[Item]()
        marks = [_mark(value) for value in told]
        same, changed = _shared(path, marks)
        whole = same == len(path.said)
        if changed and whole and len(path.said) - changed[0] > RETOLD_MAX:
            path = self._changed(path, changed, marks, told)
        elif changed:
            same, whole = changed[0], False
        if not whole:
            path, same = self._left(path, same, marks, told)
        said, tail = list(path.said), path.tail
        for mark, value in zip(marks[same:], told[same:], strict=True):
            key = _key(tail, *mark)
            self._emit(key, tail, {"message": value})
            said.append(Said(*mark, key))
            tail = key
        self.path = Path(tuple(said), tail, path.held, path.base)
        return self._items

    def _changed(
        self,
        path: Path,
        changed: Sequence[int],
        marks: Sequence[tuple[str, bytes]],
        told: Sequence[JSON],
    ) -> Path:
        """Messages that very many follow say something else: kept beside them."""
        said = list(path.said)
        for at in changed:
            old = said[at]
            key = _key(old.key, "changed", marks[at][1])
            body = _encode({**self._about, "changed": old.key, "message": told[at]})
            self._items.append(Item(key, body, aside=True))
            said[at] = Said(*marks[at], old.key)
        return Path(tuple(said), path.tail, path.held, path.base)

    def _left(
        self, path: Path, same: int, marks: Sequence[tuple[str, bytes]], told: Sequence[JSON]
    ) -> tuple[Path, int]:
        """What stood there is not all there any more: what is left of it, and how much of what is
        told that accounts for. The older part may have been dropped, or summed up in one message;
        else it was left for another branch.
        """
        places = {said.ident: at for at, said in enumerate(path.said)}
        for first in (0, 1):
            kept = places.get(marks[first][0]) if first < len(marks) else None
            if kept is None or (first and marks[0][0] in places) or kept + first == 0:
                continue
            if kept == 0 and path.held and path.said[0].key == path.base:
                continue  # a summary cannot be left in sight by the next one
            rest = path.said[kept:]
            stands = [(said.ident, said.digest) for said in rest]
            if list(marks[first : first + len(rest)]) == stands:
                path = self._summed(path, kept, told[0] if first else None, marks)
                return path, first + len(rest)
        path = path.up_to(same)
        return path, len(path.said)

    def _summed(
        self, path: Path, kept: int, summary: JSON, marks: Sequence[tuple[str, bytes]]
    ) -> Path:
        oldest = path.said[kept].key
        ident, digest = marks[0] if summary is not None else ("", b"")
        key = _key(path.tail, f"compaction {oldest} {ident}", digest)
        self._emit(key, path.tail, {"compaction": True, "kept_from": oldest, "message": summary})
        lead = (Said(ident, digest, key),) if summary is not None else ()
        said = (*lead, *path.said[kept:])
        return Path(said, key, len(said), key)

    def back(self, path: Path, about: Mapping[str, JSON]) -> Iterable[Item]:
        """An item that takes the conversation back to where the newest step stands."""
        if path.tail != self.last:
            body = _encode({**about, "back": True})
            key = f"back/{about['checkpoint_id']}/{path.tail}"
            yield Item(key, body, after=path.tail, past=True)

    def _emit(self, key: str, after: str, told: dict[str, JSON]) -> None:
        if key not in self.keys:
            self.keys[key] = None
            self.last = key
            body = _encode({**self._about, **told})
            self._items.append(Item(key, body, after=after, past=True))


def _mark(value: JSON) -> tuple[str, bytes]:
    """The graph's id of a message and a digest of what it says; without an id that is its name."""
    digest = digest_of(value)
    return _ident(value) or f"#{digest.hex()}", digest


def _shared(path: Path, marks: Sequence[tuple[str, bytes]]) -> tuple[int, list[int]]:
    """How many messages are the same by their ids, and which of these say something else."""
    same, changed = 0, []
    for said, (ident, digest) in zip(path.said, marks, strict=False):
        if said.ident != ident:
            break
        if said.digest != digest:
            changed.append(same)
        same += 1
    return same, changed


def _key(after: str, ident: str, digest: bytes) -> str:
    return content_id(f"{after}\0{ident}\0".encode("utf-8", "replace") + digest).hex()[:_KEY_HEX]


# --- the rest of the state -----------------------------------------------------------------


def changes(before: Mapping[str, JSON], now: Mapping[str, JSON]) -> dict[str, JSON]:
    """What a step changed. A list or text that only grew is told by what was added; a channel
    that is empty now by `null`.
    """
    found: dict[str, JSON] = {name: None for name in before if name not in now}
    for name, value in now.items():
        if name not in before:
            found[name] = value
        elif value != before[name]:
            found[name] = _grown(before[name], value)
    return found


def _grown(before: JSON, now: JSON) -> JSON:
    if isinstance(before, list) and isinstance(now, list) and before:
        size = len(before)
        if len(now) > size and now[:size] == before:
            return {"$added": now[size:], "after": size}
    texts = isinstance(before, str) and isinstance(now, str) and len(before) >= _TEXT_CHARS
    if texts and now.startswith(before):
        return {"$added": now[len(before) :], "after": len(before)}
    return now


def holds_messages(value: JSON) -> bool:
    """True for a list of messages."""
    return isinstance(value, list) and any(message_of(each) is not None for each in value[:8])


# --- delta channels ------------------------------------------------------------------------


def folded(value: JSON, writes: Iterable[JSON]) -> JSON:
    """A delta channel's value after some writes: messages as the graph's own reducer puts them
    in, other lists one behind the other; of anything else the last write.
    """
    held = value
    for write in writes:
        replaced, fresh = _overwritten(write)
        if replaced:
            held = fresh
        elif isinstance(held, list) or held is None:
            told = write if isinstance(write, list) else [write]
            held = _put_in(list(held or []), told)
        else:
            held = write
    return held


def snapshot(value: JSON) -> tuple[bool, JSON]:
    """Whether a channel's value is a snapshot, and of what."""
    if isinstance(value, dict) and set(value) == {DELTA}:
        return True, value[DELTA]
    return False, value


def _overwritten(write: JSON) -> tuple[bool, JSON]:
    if isinstance(write, dict):
        if set(write) == {OVERWRITE}:
            return True, write[OVERWRITE]
        if write.get("type") == OVERWRITE and "value" in write:
            return True, write["value"]
        if str(write.get("$new")).endswith(".Overwrite") and isinstance(write.get("kwargs"), dict):
            return True, write["kwargs"].get("value")
    return False, None


def _put_in(held: list[Any], told: Sequence[JSON]) -> list[Any]:
    known = {_ident(each) for each in held}
    for value in told:
        message, ident = message_of(value), _ident(value)
        removed = message is not None and message.get("type") == REMOVE
        if removed and ident == REMOVE_ALL:
            held, known = [], set()
        elif ident is not None and ident in known:
            at = next(at for at, each in enumerate(held) if _ident(each) == ident)
            held[at : at + 1] = [] if removed else [value]
            known -= {ident} if removed else set()
        elif not removed:
            held.append(value)
            known.add(ident)
    return held


def _ident(value: JSON) -> str | None:
    """The graph's id of a message. One that was read once is not looked through again."""
    if isinstance(value, Plain):
        if value.ident is None:
            message = message_of(value)
            value.ident = (id_of(message) if message is not None else None) or ""
        return value.ident or None
    message = message_of(value)
    return id_of(message) if message is not None else None
