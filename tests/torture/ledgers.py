"""Small ledgers to torture: numbered messages, and what must hold of them afterwards.

Every message carries the name of its writer and a number that the writer counts up. So a
session is whole when each writer's numbers are `0, 1, 2, …` without a gap, a double or a swap,
and nothing acknowledged is lost when the count reaches at least as far as the promises did.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

import clew

from .disk import write_image
from .vfs import TortureVFS

if TYPE_CHECKING:
    from pathlib import Path

    from .disk import Image

NAME = "ledger.db"


def url(directory: Path, vfs: TortureVFS | None = None) -> str:
    """The URL of the ledger in a folder."""
    return f"sqlite:///{directory / NAME}" + (f"?vfs={vfs.name}" if vfs else "")


def say(writer: str, number: int, *, chars: int = 0) -> dict[str, Any]:
    """A user's message that says who wrote it and the how-manieth it is."""
    return {"role": "user", "content": f"{writer} {number} " + "x" * chars}


def said(session: clew.Session) -> dict[str, list[int]]:
    """The numbers in a session's history, in its order, by writer."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for message in session.history():
        writer, number, *_ = message.text.split(" ")
        numbers[writer].append(int(number))
    return numbers


def assert_whole(session: clew.Session) -> dict[str, int]:
    """Fail on a gap, a double or a swap; give how many messages each writer has."""
    found = said(session)
    for writer, numbers in found.items():
        assert numbers == list(range(len(numbers))), f"{writer} in {session.id}: {numbers}"
    return {writer: len(numbers) for writer, numbers in found.items()}


def assert_sound(ledger: clew.Ledger) -> None:
    """The engine's own check, every chain, every body."""
    report = ledger.verify()
    assert report.ok, report.problems


@cache
def _hurried() -> TortureVFS:
    """The ordinary file system, without waiting for the disk at each sync."""
    return TortureVFS(recording=False)


def reopen(image: Image, directory: Path) -> clew.Ledger:
    """The ledger as it is found after a crash."""
    write_image(image, directory)
    return clew.open(url(directory, _hurried()))
