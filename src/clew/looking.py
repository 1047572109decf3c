"""Looking: what lies below a folder, and whether the ledger has all of it already.

Most looks find nothing new. Names, sizes and times tell so without opening a file; only where
they do not is an importer asked what is there, and in which order.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clew.importers import database, packed
from clew.importers.base import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from clew.importers.base import Importer
    from clew.importers.sight import Sight
    from clew.ledger import Ledger

Mark = tuple[int, int]
"""A file's size in bytes, and when it was changed, in nanoseconds."""

THERE: Final = "it is there but cannot be read"
SUFFIXES: Final = (*database.SUFFIXES, ".jsonl", ".json", packed.SUFFIX)
"""How the names of histories end."""


def walk(
    root: Path, on_left_out: Callable[[str, str], object] | None = None
) -> Iterator[tuple[str, Mark]]:
    """Every regular file at or below `root`. What goes away meanwhile is not there. Told to
    `on_left_out`, with the reason: folders that cannot be looked into, and what is called as
    histories are and is no file (to open a pipe is to wait for whoever writes it).
    """

    def denied(error: OSError) -> None:
        if on_left_out is not None and not isinstance(error, FileNotFoundError):
            on_left_out(str(error.filename), f"{THERE}: {error.strerror or error}")

    if root.is_file():
        names: Iterator[str] = iter([str(root)])
    else:
        folders = os.walk(root, onerror=denied)
        names = (os.path.join(at, file) for at, _, files in folders for file in files)  # noqa: PTH118
    for name in names:
        try:
            status = os.stat(name)  # noqa: PTH116 - half the time of a Path's
        except PermissionError as error:
            denied(error)
            continue
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield name, (status.st_size, status.st_mtime_ns)
        elif on_left_out is not None and name.endswith(SUFFIXES):
            on_left_out(name, f"left alone: it is {packed.NO_FILE}")


def without_aliases(found: Iterable[Path]) -> list[Path]:
    """Histories without the links to others of them: those are read under their own names."""
    paths = list(found)
    links = {path for path in paths if path.is_symlink()}
    if not links:
        return paths
    there = {os.path.realpath(path) for path in paths if path not in links}
    kept = []
    for path in paths:
        real = os.path.realpath(path)
        if path in links and real in there:
            continue
        there.add(real)
        kept.append(path)
    return kept


def unjudged(
    sight: Sight,
    root: Path,
    found: Container[str],
    importers: Mapping[str, Importer | Store],
) -> dict[str, str]:
    """What could not be told to be a history or none, and why, by name. A database that can be
    opened and is not as expected is told of where an agent keeps its own, or when named by hand.
    """
    causes = {name: f"{THERE}: {cause}" for name, cause in sight.unread.items()}
    for name, told in sight.doubtful.items():
        here = (each for each in told if _is_at_home(importers[each], Path(name)))
        owner = next(here, next(iter(told)) if root.is_file() else None)
        if owner is not None:
            causes[name] = f"{THERE} as {owner}'s: {told[owner]}"
    return {name: cause for name, cause in causes.items() if name not in found}


def _is_at_home(importer: Importer | Store, path: Path) -> bool:
    """Whether a file lies where this importer's agent keeps its histories."""
    return any(path.is_relative_to(root) for root in importer.roots(Path.home(), os.environ))


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
