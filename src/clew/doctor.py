"""Doctor: what agents are on this machine, and what of their histories is in danger.

It reads what the agents keep and what the ledger has of it, and changes neither. In danger is
what an agent will delete by its own rule; lost is what is then not in the ledger. With `deep`
every history is read as an import would, and calls and results that have no partner are counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew import importers, shapes
from clew.canonical import parse
from clew.errors import Invalid
from clew.importers import packed
from clew.importers.base import Store
from clew.importers.lifetimes import Lifetime, lifetime
from clew.importers.sight import looking
from clew.looking import unjudged, walk, without_aliases
from clew.model import Kind, ToolCall, ToolResult
from clew.names import mended
from clew.reading import formats_ready
from clew.source import source_name

if TYPE_CHECKING:
    from clew.importers.base import Importer, Reader
    from clew.ledger import Ledger
    from clew.model import Record

CHUNK_BYTES = 1024 * 1024
DAY_SECONDS = 86_400
SOON_DAYS = 7


class Broken(msgspec.Struct, frozen=True):
    """A history with calls and results that have no partner in it, or with records that cannot
    be read. A result's call may stand in the session that this one was forked from.
    """

    path: str
    open_calls: int
    orphan_results: int
    unread: int


class Checkup(msgspec.Struct):
    """One agent's histories. Sizes in bytes, times in Unix milliseconds.

    `new` are histories that were never read, `grown` those that have changed since; `bytes_left`
    is what is to be read of both. `unread` are files and folders that are there and cannot be
    read: what is in them is in the ledger or not. Of histories in which nothing is said yet
    (`unsaid`; known with `deep` only) there is nothing to read. `going` will be deleted within
    seven days, the first at `next_ms`; `lost` of them are not, or not whole, in the ledger.
    `lifetimes` has a rule for each root, `None` where none is known. `broken` is empty unless all
    was read (`deep`).
    """

    agent: str
    roots: list[str]
    lifetimes: list[Lifetime | None]
    histories: int = 0
    bytes: int = 0
    new: int = 0
    grown: int = 0
    bytes_left: int = 0
    unread: int = 0
    unsaid: int = 0
    going: int = 0
    lost: int = 0
    next_ms: int | None = None
    deep: bool = False
    broken: list[Broken] = []
    notes: list[str] = []


class _History(msgspec.Struct):
    """One file of an agent, or one session in a store."""

    name: str
    path: Path
    mark: tuple[int, int]
    mtime: float
    size: int
    thread: str | None = None


def diagnose(
    ledger: Ledger | None,
    *,
    agents: Sequence[str] | None = None,
    deep: bool = True,
    on_history: Callable[[str], None] | None = None,
) -> list[Checkup]:
    """Look at every agent that keeps histories on this machine, or at the named ones.

    `ledger` is `None` where there is none yet: then nothing is in it. `on_history` is told the
    path of each history that is about to be read. Raises `Invalid` for an agent that no importer
    reads.
    """
    known = importers.IMPORTERS
    unknown = sorted(set(agents or ()) - known.keys())
    if unknown:
        raise Invalid(f"no importer {unknown[0]!r}: there are {', '.join(sorted(known))}")
    found = []
    for name in agents or known:
        roots = known[name].roots(Path.home(), os.environ)
        if roots:
            found.append(_examine(ledger, known[name], roots, deep=deep, on_history=on_history))
    return found


def _examine(
    ledger: Ledger | None,
    importer: Importer | Store,
    roots: Sequence[Path],
    *,
    deep: bool,
    on_history: Callable[[str], None] | None,
) -> Checkup:
    rules = [lifetime(importer.name, root) for root in roots]
    found = Checkup(importer.name, [mended(str(root)) for root in roots], rules, deep=deep)
    seen = _seen(ledger, importer.name)
    names: set[str] = set()
    for root, rule in zip(roots, rules, strict=True):
        for history in _histories(importer, root, found):
            if history.name in names:
                continue  # two roots, one inside the other
            names.add(history.name)
            read = seen.get(history.name)
            said = True
            if deep:
                if on_history is not None:
                    on_history(mended(str(history.path)))
                said = _look_inside(importer, history, found)
            if said or read is not None:
                _count(found, history, read, rule)
            else:
                found.histories += 1
                found.bytes += history.size
                found.unsaid += 1
    return found


def _paths(importer: Importer | Store, root: Path, found: Checkup) -> list[Path]:
    """An importer's histories below a root; what cannot be judged is told of. What another agent
    keeps there is not this one's.
    """
    left: dict[str, str] = {}
    for _file in walk(root, left.setdefault):
        pass
    with looking() as sight:
        sight.asks = importer.name
        try:
            paths = without_aliases(importer.discover(root))
        except OSError as error:
            paths = []
            left[str(error.filename or root)] = f"not looked at: {error.strerror or error}"
        left |= unjudged(sight, root, set(map(str, paths)), importers.IMPORTERS)
        left = {name: why for name, why in left.items() if not _anothers(importer, Path(name))}
    notes = [mended(f"{name}: {why}") for name, why in left.items()]
    found.notes += [note for note in notes if note not in found.notes]
    found.unread += len(left)
    return [path for path in paths if path.is_dir() or path.is_file()]


def _anothers(importer: Importer | Store, path: Path) -> bool:
    """Whether another importer knows this file for its own."""
    if not path.is_file():
        return False
    others = (each for each in importers.IMPORTERS.values() if each is not importer)
    return any(each.identify(path) for each in others)


def _seen(ledger: Ledger | None, importer: str) -> dict[str, tuple[int, int]]:
    """The marks of the histories that the ledger has read."""
    if ledger is None:
        return {}
    with ledger._database.read() as tx:
        rows = tx.all("source_seen", importer=importer)
    return {row[0]: (row[1], row[2]) for row in rows}


def _histories(importer: Importer | Store, root: Path, found: Checkup) -> Iterator[_History]:
    for path in _paths(importer, root, found):
        name = source_name(path)
        try:
            status = path.stat()
            if not isinstance(importer, Store):
                mark = (status.st_size, status.st_mtime_ns)
                yield _History(name, path, mark, status.st_mtime, status.st_size)
                continue
            found.bytes += status.st_size
            with importer.look(path) as inside:
                for thread in inside.threads():
                    one = f"{name}#{mended(thread.name)}"
                    yield _History(one, path, thread.mark, status.st_mtime, 0, thread.name)
        except (OSError, Invalid) as error:
            found.unread += 1
            found.notes.append(mended(f"{path}: not read: {error}"))


def _count(
    found: Checkup, history: _History, read: tuple[int, int] | None, rule: Lifetime | None
) -> None:
    found.histories += 1
    found.bytes += history.size
    whole = read == history.mark
    if not whole:
        found.new += read is None
        found.grown += read is not None
        grows = read is not None and read[0] <= history.size
        found.bytes_left += history.size - (read[0] if read is not None and grows else 0)
    if rule is None or rule.days is None:
        return
    end = history.mtime + rule.days * DAY_SECONDS
    if end <= time.time() + SOON_DAYS * DAY_SECONDS:
        found.going += 1
        found.lost += not whole
        end_ms = int(end * 1000)
        found.next_ms = end_ms if found.next_ms is None else min(found.next_ms, end_ms)


def _look_inside(importer: Importer | Store, history: _History, found: Checkup) -> bool:
    """Count what is broken in a history; gives whether an import finds anything said in it."""
    calls: set[str] = set()
    results: set[str] = set()
    unread, spoken, said = 0, False, True
    try:
        if isinstance(importer, Store):
            reader, records = None, _in_store(importer, history)
        else:
            reader = importer.open(history.path)
            records = _in_file(history.path, reader)
        for record, body in records:
            unread += record.note is not None and record.kind is Kind.UNKNOWN
            if record.kind is Kind.MESSAGE:
                spoken = True
                _pair(record, body, calls, results)
        if reader is not None:
            origin = reader.origin
            said = origin.settled and (spoken or origin.project is not None)
    except Exception as error:  # noqa: BLE001 - whatever a hostile file brings about
        found.unread += 1
        found.notes.append(mended(f"{history.name}: not read: {type(error).__name__}: {error}"))
    broken = Broken(history.name, len(calls - results), len(results - calls), unread)
    if broken.open_calls or broken.orphan_results or broken.unread:
        found.broken.append(broken)
    return said


def _pair(record: Record, body: bytes, calls: set[str], results: set[str]) -> None:
    formats_ready()
    try:
        message = shapes.decode(record.format, parse(body))
    except (Invalid, msgspec.DecodeError, UnicodeDecodeError):
        return
    for part in message.parts:
        if isinstance(part, ToolCall):
            calls.add(part.id)
        elif isinstance(part, ToolResult):
            results.add(part.call_id)


def _in_store(importer: Store, history: _History) -> Iterator[tuple[Record, bytes]]:
    """Every record of a session in a store, with its bytes."""
    assert history.thread is not None  # noqa: S101 - a store's history is a thread
    thread = importer.open(history.path, history.thread)
    with importer.look(history.path) as inside:
        for raw, records in thread.take(inside.items(history.thread)):
            base = thread.consumed - len(raw)
            for each in records:
                yield each, raw[each.start - base :][: each.length]


def _in_file(path: Path, reader: Reader) -> Iterator[tuple[Record, bytes]]:
    """Every record of a file, with its bytes."""
    at, pending = 0, b""
    with packed.opened(path) as file:
        while True:
            chunk = file.read(CHUNK_BYTES)
            before = reader.consumed
            records = reader.feed(chunk, at, last=not chunk)
            at += len(chunk)
            window = pending + chunk
            pending = window[reader.consumed - before :]
            for each in records:
                yield each, window[each.start - before :][: each.length]
            if not chunk:
                return
