"""What a writer is: a conversation as the files that one agent keeps of its sessions.

A writer never touches storage and writes nothing: it gives the bytes of new files, where they
belong, and a list of what that format has no place for. The same conversation always gives the
same bytes, ids included, so that writing it twice finds it there the second time.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from clew.canonical import parse
from clew.errors import Invalid
from clew.exporters.base import line
from clew.model import JSON, Message
from clew.shapes.base import as_object

if TYPE_CHECKING:
    from clew.model import Position

__all__ = ["Conversation", "Loss", "Losses", "Writer", "Written", "line"]

PLACES_SHOWN: Final = 5
"""So many places of a loss are named; all are counted."""
NAME_BYTES_MAX: Final = 240
"""No file system takes a name of more than 255 bytes, and some add to it."""
_V7_TIME_BITS: Final = 48


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A session in neutral words, ready to be written.

    `messages` is what a model sees, oldest first: pairs settled (every call is answered once, in
    the `tool` message right behind the message that made it), call ids unique and filled, pieces
    of one message joined; a summary that stands for what came before leads, with
    `summary=True`. `earlier` is what that summary stands for, settled by itself: a format that
    knows compactions writes it before one, another one leaves it out and says so.
    """

    session: str
    """Its id in the ledger."""
    at: str
    """Where it stood, `session:seq` or `root`: another place is another conversation."""
    messages: tuple[Message, ...]
    earlier: tuple[Message, ...] = ()
    title: str | None = None
    cwd: str | None = None
    """The folder in which it was held, absolute; `None` when that is not known."""
    model: str | None = None
    provider: str | None = None
    agent: str | None = None
    """Whose session it was: a name in `clew.importers.IMPORTERS`, or any other."""
    created_ms: int = 0


class Loss(msgspec.Struct, frozen=True):
    """Something that could not be said in the target's format: what, how often, and the first
    few places (`session:seq`) where it stands in the ledger.
    """

    what: str
    count: int
    where: tuple[str, ...] = ()


class Written(msgspec.Struct, frozen=True):
    """What a writer made. `files` are bytes by their path below the agent's folder, with `/`
    between names; `session` is the agent's own id of the new session; `command` is the line of
    shell with which the agent takes it up (empty when it has none).
    """

    files: dict[str, bytes]
    session: str
    command: str
    losses: tuple[Loss, ...] = ()


class Writer(Protocol):
    """One agent's sessions, written. A module with these names is one."""

    name: str
    """The agent, by the name that its importer has."""

    def home(self, home: Path, env: Mapping[str, str]) -> Path:
        """The folder below which the agent keeps all its files, there or not: the paths in
        `Written.files` begin there.
        """

    def write(self, conversation: Conversation, target: Path) -> Written:
        """The files of a new session. `target` is the agent's folder as `home` tells it or
        another one; it may be looked into (an agent's register of its projects), and is never
        written. Raises `Invalid` for a conversation without a message.
        """


class Losses:
    """Counts what could not be said while a writer goes through a conversation."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, list[str]]] = {}

    def add(self, what: str, at: Iterable[Position] = (), count: int = 1) -> None:
        """Count something lost, and where: the positions of the message (`Message.at`)."""
        known, places = self._found.get(what, (0, []))
        for position in at:
            place = str(position)
            if len(places) < PLACES_SHOWN and place not in places:
                places.append(place)
        self._found[what] = known + count, places

    def listed(self) -> tuple[Loss, ...]:
        """All that was counted, in the order in which it was first seen."""
        return tuple(Loss(what, n, tuple(places)) for what, (n, places) in self._found.items())


def spoken(conversation: Conversation) -> tuple[Message, ...]:
    """The messages to write. Raises `Invalid` when there are none."""
    if not conversation.messages:
        raise says_nothing(conversation)
    return conversation.messages


def says_nothing(conversation: Conversation) -> Invalid:
    """The error for a conversation of which nothing can be written."""
    return Invalid(
        f"session {conversation.session} says nothing that can be written: it has no message, or "
        "only a system prompt"
    )


def call_input(arguments: str) -> tuple[dict[str, JSON], bool]:
    """The arguments of a call as the object that most formats demand, and whether they were
    one; what is none stands under `input`.
    """
    value = as_object(arguments)
    try:
        whole = not arguments.strip() or parse(arguments.encode("utf-8", "surrogatepass")) == value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole = False
    return value, whole


def digest(conversation: Conversation, *names: str) -> bytes:
    """32 bytes that belong to this conversation, and to `names` within it, alone."""
    told = (conversation.session, conversation.at, conversation.cwd or "", *names)
    return hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass")).digest()


def uuid4_of(conversation: Conversation, *names: str) -> str:
    """A UUID in the form of version 4, always the same for the same conversation and names."""
    return str(uuid.UUID(bytes=digest(conversation, *names)[:16], version=4))


def uuid7_of(conversation: Conversation, time_ms: int, *names: str) -> str:
    """A UUID in the form of version 7 with that time in it, always the same."""
    stamp = max(time_ms, 0) & ((1 << _V7_TIME_BITS) - 1)
    raw = stamp.to_bytes(6, "big") + digest(conversation, *names)[:10]
    value = int.from_bytes(raw, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def command(cwd: str | None, *words: str) -> str:
    """A line of shell that runs a program in a folder; in the one at hand when `cwd` is none."""
    runs = shlex.join(words)
    if not cwd:
        return runs
    # The folder comes from a session: it must not be taken for an option.
    return f"cd {'-- ' if cwd.startswith('-') else ''}{shlex.quote(cwd)} && {runs}"


def checked_path(path: str) -> PurePosixPath:
    """A path below a target. Raises `Invalid` for one that leads anywhere else, or that some
    file system cannot hold: names come from sessions, which anybody may have written.
    """
    names = path.split("/")
    for name in names:
        if not fits(name):
            raise Invalid(
                f"{name[:80]!r} in {path[:80]!r} can be no file's name: nothing was written"
            )
    return PurePosixPath(*names)


def fits(name: str) -> bool:
    """True for what can be the name of a file everywhere, and leads nowhere else."""
    if name in ("", ".", "..") or "/" in name or _UNFIT.search(name):
        return False
    return len(name.encode("utf-8", "surrogatepass")) <= NAME_BYTES_MAX


_UNFIT = re.compile("[\x00-\x1f\x7f\\\\\ud800-\udfff]")
"""What no name of a file that we write may hold."""
