"""What an importer is: where an agent keeps its histories, which files are its own, and how
their records are read.

An importer never touches storage and never writes. It sees a source as bytes that only grow;
whatever the pieces they arrive in, it gives the same records. Every byte that is not white
space belongs to a record, understood or not, or to the tail that is not complete yet.
A caller that finds a source shrunk or rewritten opens it afresh, without a state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
