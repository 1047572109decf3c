"""What a disk holds after the power fails, or after the process dies.

A `Log` is the ordered record of what a database did to its files: opened, written, truncated,
synced, deleted; and of what it promised meanwhile (`Ack`). From any prefix of it two images
can be made. `killed` keeps every write: a process died, the page cache did not. `power_cut`
keeps what was synced and, of the rest, whatever a seed decides: each write may be dropped,
kept, overtaken by later ones or torn at 512-byte sectors, file lengths likewise.

The model is harsher than a disk in one way (a sector may miss an older write and have a newer
one) and kinder in none: a file that was never synced may not exist at all.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class Open:
    """A file seen for the first time, with the bytes it already had (`None`: it is new)."""

    file: str
    before: bytes | None


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes handed to the operating system."""

    file: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A new length."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Delete:
    """A file removed; `durable` when its directory was synced with it."""

    file: str
    durable: bool


@dataclass(frozen=True, slots=True)
class Sync:
    """A sync that returned. It covers the events numbered below `upto`."""

    file: str
    upto: int


@dataclass(frozen=True, slots=True)
class SyncNames:
    """The directory itself synced: deletions numbered below `upto` stay deleted."""

    upto: int


@dataclass(frozen=True, slots=True)
class Ack:
    """Something was promised to the user here."""

    value: object


Change = Write | Truncate | Delete
Event = Open | Change | Sync | SyncNames | Ack
Image = dict[str, bytes]
"""File name to content: a directory after the event."""


class Log:
    """Events in the order in which they happened, from any number of threads."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._lock = threading.Lock()

    def add(self, event: Event, do: Callable[[], None] | None = None) -> None:
        """Record `event`; `do`, the real operation, runs at the same place in the order."""
        with self._lock:
            if do is not None:
                do()
            self.events.append(event)

    def ack(self, value: object) -> None:
        """Record that `value` has been acknowledged."""
        self.add(Ack(value))

    def acked(self, upto: int | None = None) -> list[object]:
        """What was acknowledged before event number `upto`."""
        return [event.value for event in self.events[:upto] if isinstance(event, Ack)]

    def mark(self) -> int:
        """The number of the next event."""
        return len(self.events)


@dataclass(slots=True)
class _File:
    durable: bytearray | None
    pending: list[tuple[int, Change]] = field(default_factory=list)

    def sync(self, upto: int) -> None:
        covered = [change for number, change in self.pending if number < upto]
        self.pending = [item for item in self.pending if item[0] >= upto]
        self.durable = _apply(self.durable, covered)
        if self.durable is None and not any(isinstance(change, Delete) for change in covered):
            self.durable = bytearray()

    def sync_names(self, upto: int) -> None:
        for at in reversed(range(len(self.pending))):
            number, change = self.pending[at]
            if number < upto and isinstance(change, Delete):
                self.durable, self.pending = None, self.pending[at + 1 :]
                return


def killed(log: Log, upto: int | None = None) -> Image:
    """The directory after the process died before event number `upto`."""
    image = {}
    for name, file in _replay(log, upto):
        content = _apply(file.durable, [change for _, change in file.pending])
        if content is not None:
            image[name] = bytes(content)
    return image


def power_cut(log: Log, seed: int, upto: int | None = None) -> Image:
    """The directory after the power failed before event number `upto`, as `seed` has it."""
    rng = random.Random(seed)
    survive = rng.choice((_none, _prefix, _some, _torn, _torn))
    share = rng.choice((0.1, 0.5, 0.9, 0.99))
    image = {}
    for name, file in _replay(log, upto):
        pending = [change for _, change in file.pending]
        content = _apply(file.durable, survive(rng, share, pending))
        if content is not None:
            image[name] = bytes(content)
    return image


def write_image(image: Image, directory: Path) -> None:
    """Put `image` into a new directory."""
    directory.mkdir(parents=True)
    for name, content in image.items():
        (directory / name).write_bytes(content)


def _replay(log: Log, upto: int | None) -> Iterator[tuple[str, _File]]:
    # What was there before anybody looked is there at every moment before that, too.
    opened = [event for event in log.events if isinstance(event, Open)]
    files = {event.file: _File(bytearray(event.before)) for event in opened if event.before}
    for number, event in enumerate(log.events[:upto]):
        match event:
            case Open(file, before):
                files.setdefault(file, _File(None if before is None else bytearray(before)))
            case Sync(file, covered):
                files[file].sync(covered)
            case SyncNames(covered):
                for known in files.values():
                    known.sync_names(covered)
            case Delete(file, True):
                files[file] = _File(None)
            case Write(file) | Truncate(file) | Delete(file):
                files[file].pending.append((number, event))
            case Ack():
                pass
    yield from files.items()


def _apply(base: bytearray | None, changes: list[Change]) -> bytearray | None:
    content = None if base is None else bytearray(base)
    for change in changes:
        if isinstance(change, Delete):
            content = None
            continue
        content = bytearray() if content is None else content
        if isinstance(change, Truncate):
            del content[change.size :]
            content.extend(bytes(change.size - len(content)))
        else:
            content.extend(bytes(max(0, change.offset - len(content))))
            content[change.offset : change.offset + len(change.data)] = change.data
    return content


def _none(rng: random.Random, share: float, pending: list[Change]) -> list[Change]:
    return []


def _prefix(rng: random.Random, share: float, pending: list[Change]) -> list[Change]:
    return pending[: rng.randint(0, len(pending))]


def _some(rng: random.Random, share: float, pending: list[Change]) -> list[Change]:
    return [change for change in pending if rng.random() < share]


def _torn(rng: random.Random, share: float, pending: list[Change]) -> list[Change]:
    pieces: list[Change] = []
    for change in pending:
        pieces.extend(_sectors(change) if isinstance(change, Write) else (change,))
    return _some(rng, share, pieces)


def _sectors(write: Write) -> Iterator[Write]:
    at, end = write.offset, write.offset + len(write.data)
    while at < end:
        stop = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        yield Write(write.file, at, write.data[at - write.offset : stop - write.offset])
        at = stop
