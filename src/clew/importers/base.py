"""What an importer is: where an agent keeps its histories, which files are its own, and how
their records are read.

An importer never touches storage and never writes. It sees a source as bytes that only grow;
whatever the pieces they arrive in, it gives the same records. Every byte that is not white
space belongs to a record, understood or not, or to the tail that is not complete yet.
A caller that finds a source shrunk or rewritten opens it afresh, without a state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from clew.model import Origin, Record


class Reader(Protocol):
    """Reads one source, from a byte offset on."""

    origin: Origin
    """What is known about the session so far."""

    @property
    def consumed(self) -> int:
        """The offset up to which every byte was read for good. A torn tail lies behind it."""

    def feed(self, chunk: bytes, at: int, *, last: bool = False) -> list[Record]:
        """The records that `chunk`, which stands at offset `at`, completes.

        Chunks follow one another without a gap; the first stands at `consumed`. `last` says
        that the source ends here for now: a whole record without a line end is then taken,
        an incomplete one is left as the tail. Raises `Invalid` when `at` leaves a gap.
        """

    def state(self) -> bytes:
        """Everything that `Importer.open` needs to go on at `consumed`, as JSON."""


class Importer(Protocol):
    """One agent's histories. A module with these names is one."""

    name: str
    """The name of the agent, as it stands in `Origin.agent` and in `--agent`."""

    formats: tuple[str, ...]
    """The wire formats of its records; each has a decoder in `clew.shapes`."""

    def roots(self, home: Path, env: Mapping[str, str]) -> list[Path]:
        """The existing folders in which the agent keeps its histories."""

    def identify(self, path: Path) -> bool:
        """True when the file is one of this agent's. Cheap: its name and first bytes."""

    def discover(self, root: Path) -> Iterator[Path]:
        """This agent's files at or below `root`, in an order that depends on nothing but the
        files: mains before sub-agents, originals before copies.
        """

    def open(self, path: Path, state: bytes | None = None) -> Reader:
        """A reader from the start, or from where `state` stopped. Raises `Invalid` for a
        state that another version wrote: the source is then read again from its start.
        """


@runtime_checkable
class LeavesOut(Protocol):
    """An importer that does not read copies of which the originals are there tells of them."""

    def copies(self, root: Path) -> Iterator[tuple[Path, Path]]:
        """Each file below `root` that is left out, and the one that begins with all of it."""


class Thread(msgspec.Struct, frozen=True):
    """One session in a store. `name` is unique in it and stays; `mark` are two numbers of which
    one changes whenever anything of the session does (a count and a newest time, say).
    """

    name: str
    mark: tuple[int, int]


class Item(msgspec.Struct, frozen=True):
    """One thing that a thread holds now, in the order of the conversation.

    `key` is the source's own id of it, unique in the thread and stable. `body` is a JSON object
    on one line: what the source says, all of it. `after` is the key of the item that it follows,
    `""` the root; `None` is the item before it in the list. An `open` item is still being
    written: it and what is behind it wait. One that stands `aside` is not in the conversation
    (what is known of the session itself, its usage). `note` says why it was not understood: it is
    kept and not read. `said` is by what a change is told where not all of the body counts for
    that (a row's number, a counter). What is `past` (taken back, or summed up) is read when it is
    new; once seen, neither its words nor its place are looked at again. `copy_of` names the record
    of another thread whose copy it is (`<thread>/<key>`): a thread that begins with copies becomes
    a branch of the other.
    """

    key: str
    body: bytes
    after: str | None = None
    open: bool = False
    aside: bool = False
    note: str | None = None
    said: bytes | None = None
    past: bool = False
    copy_of: str | None = None


class ThreadReader(Protocol):
    """Reads one thread; what it gives is appended to what it gave before."""

    origin: Origin
    """What is known about the session so far."""

    waits: bool
    """True when an item that is still being written ended the last reading."""

    @property
    def consumed(self) -> int:
        """How many bytes it gave so far: those are the thread's raw stream."""

    def take(self, items: Iterable[Item]) -> Iterator[tuple[bytes, list[Record]]]:
        """Of all that the thread holds now, what is new or changed: the bytes that are appended
        to the stream, and the records whose ranges lie in them.
        """

    def state(self) -> bytes:
        """Everything that `Store.open` needs to go on, between two pairs that `take` gives."""


class Look(Protocol):
    """A store, opened for reading. Nothing of it is held between two calls: whoever writes it is
    never kept waiting by a slow reader.
    """

    def threads(self) -> Iterable[Thread]:
        """Its sessions: parents before what they spawned, originals before copies."""

    def items(self, thread: str) -> Iterable[Item]:
        """All that a thread holds now."""


@runtime_checkable
class Store(Protocol):
    """Histories of one agent of which a file, or a folder, holds many: a database, a document.

    Things in it may change in place or go away; the ledger keeps what it saw.
    """

    name: str
    """See `Importer.name`."""

    formats: tuple[str, ...]
    """See `Importer.formats`."""

    def roots(self, home: Path, env: Mapping[str, str]) -> list[Path]:
        """See `Importer.roots`."""

    def identify(self, path: Path) -> bool:
        """See `Importer.identify`. A folder may be a store too."""

    def discover(self, root: Path) -> Iterator[Path]:
        """See `Importer.discover`."""

    def look(self, path: Path) -> AbstractContextManager[Look]:
        """Open a store for reading. Raises `Invalid` for one that cannot be read."""

    def open(self, path: Path, thread: str, state: bytes | None = None) -> ThreadReader:
        """A reader of one thread, from nothing or from where `state` stopped. Raises `Invalid`
        for a state that another version wrote: the thread is then read again from nothing.
        """
