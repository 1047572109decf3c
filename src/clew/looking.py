"""Looking: what lies below a folder, and whether the ledger has all of it already.

Most looks find nothing new. Names, sizes and times tell so without opening a file; only where
they do not is an importer asked what is there, and in which order.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clew.importers.base import Store

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from clew.importers.base import Importer
    from clew.ledger import Ledger

Mark = tuple[int, int]
"""A file's size in bytes, and when it was changed, in nanoseconds."""


def walk(root: Path) -> Iterator[tuple[str, Mark]]:
    """Every file at or below `root`. What goes away meanwhile, or cannot be seen, is not there."""
    if root.is_file():
        names: Iterator[str] = iter([str(root)])
    else:
        folders = os.walk(root)
        names = (os.path.join(at, file) for at, _, files in folders for file in files)  # noqa: PTH118
    for name in names:
        try:
            status = os.stat(name)  # noqa: PTH116 - half the time of a Path's
        except OSError:
            continue
        yield name, (status.st_size, status.st_mtime_ns)


class Held:
    """What the ledger has of the sources: how each one was when an importer read it."""

    def __init__(self, ledger: Ledger, importers: Iterable[str]) -> None:
        with ledger._database.read() as tx:
            self._by = {
                name: {row[0]: (row[1], row[2]) for row in tx.all("source_seen", importer=name)}
                for name in importers
            }
        self._all: dict[str, Mark] = {}
        for known in self._by.values():
            self._all |= known

    def mark(self, importer: str, source: str) -> Mark | None:
        """How a source was when an importer read it; `None` when it never did."""
        return self._by[importer].get(source)

    def by_others(self, importer: str, source: str) -> bool:
        """Whether another importer has read a file of this name, as one history."""
        if source not in self._all:
            return False
        return any(source in known for name, known in self._by.items() if name != importer)

    def all_of(
        self,
        importer: Importer | Store,
        files: Iterable[tuple[str, str, Mark]],
        others: Container[str] = (),
    ) -> list[str] | None:
        """Which of some files (their names, those in the ledger, their marks) are histories of an
        importer, when the ledger has them all as they are and no other file is one. `None` where
        only `discover` tells. What another importer has read is not this one's, nor what is
        named in `others`.
        """
        if isinstance(importer, Store):
            return None
        known, found = self._by[importer.name], []
        for name, source, mark in files:
            read = known.get(source)
            if read == mark:
                found.append(name)
            elif read is not None or (
                self._all.get(source) != mark
                and name not in others
                and importer.identify(Path(name))
            ):
                return None
        return found
