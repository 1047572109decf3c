"""Watching: keep the histories of this machine's agents coming in.

Looking again is the truth: names, sizes and times of what lies below the roots, and what the
ledger says it has read. Nothing is kept outside the ledger, so that a watcher which was stopped,
or killed, goes on where it was. A round is bounded in files and bytes: what grows first, newest
first, then histories that were never read, in their importer's order, since a fork finds what it
was forked from only when that came in before. A file that cannot be read is told once and tried
again later; while the ledger cannot be written, everything waits. Nothing is ever taken out.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Container, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew import gather, importers
from clew.errors import Invalid, NotFound, Unavailable
from clew.importers.base import Store
from clew.importers.sight import looking
from clew.intake import link_spawned
from clew.looking import Held, Mark, unjudged, walk, without_aliases
from clew.names import mended
from clew.source import EMPTY, NOT_ALL_READ, TORN, UNSAID, Imported, Note, Taken, Work, source_name

if TYPE_CHECKING:
    from clew.importers.base import Importer
    from clew.ledger import Ledger

EVERY_SECONDS = 1.0
"""Between two looks while histories grow."""
IDLE_SECONDS = 15.0
"""Between two looks when nothing grew for a while."""
AWAY_SECONDS_MAX = 60.0
"""Between two tries while the ledger cannot be written."""
RETRY_SECONDS = 15.0
RETRY_SECONDS_MAX = 600.0
"""Between two tries of a file that gave nothing and did not change since: twice as long each."""
SURVEY_SECONDS = 300.0
"""So often the first bytes of every file are looked at again, whatever changed."""
ROUND_FILES = 500
ROUND_BYTES = 64 * 1024 * 1024
"""A round takes no other file when it has taken so much."""
EASE = 4
"""So many times as long as a round took is waited behind it."""

Key = tuple[str, str]
"""A source: its importer's name, and the name under which the ledger knows it."""


class Change(msgspec.Struct, frozen=True):
    """A session that a round made or added to; `added` entries came from the file at `path`."""

    session: str
    agent: str | None
    project: str
    title: str | None
    path: str
    added: int
    new: bool


class Round(msgspec.Struct):
    """What a round did: `files` histories were there, `left` of those that changed are for the
    next one, `bytes` were read. `waiting` says why the ledger could not be written.
    """

    files: int = 0
    left: int = 0
    bytes: int = 0
    changes: list[Change] = []
    notes: list[Note] = []
    waiting: str | None = None


class _Tried(msgspec.Struct, frozen=True):
    """A file that was tried as it was at `mark` and is not in the ledger so."""

    mark: Mark
    until: float
    delay: float


class _Wanted(msgspec.Struct):
    """A file that the ledger does not have as it is. `bytes` is what to expect of it."""

    key: Key
    work: Work
    grows: bool
    bytes: int


class _Place:
    """One root of one importer, and which of the files there are histories."""

    def __init__(self, importer: Importer | Store, root: Path) -> None:
        self.importer = importer
        self.root = root
        self._store = isinstance(importer, Store)
        self.found: list[str] = []
        """Its histories, in the importer's order."""
        self.marks: dict[str, Mark] = {}
        """Every file below, as it was at the last look."""
        self._known: set[str] = set()
        self._left_out: set[str] = set()
        """Look like histories, and the importer leaves them out."""
        self._surveyed: float | None = None

    def mark(self, name: str) -> Mark | None:
        """How a history is now; `None` when it is gone. Of a store all that belongs to it counts:
        a database's log, the files of a folder.
        """
        if not self._store:
            return self.marks.get(name)
        inside = os.path.join(name, "")  # noqa: PTH118
        parts = [self.marks[each] for each in (name, f"{name}-wal") if each in self.marks]
        if not parts:
            parts = [mark for each, mark in self.marks.items() if each.startswith(inside)]
        return (sum(p[0] for p in parts), max(p[1] for p in parts)) if parts else None

    def look(
        self, files: Sequence[tuple[str, str, Mark]], now: float, held: Callable[[], Held]
    ) -> None:
        """See what is there. First bytes are read only of files that are new or have changed,
        and of all when one of them turns out to be a history. Where the ledger `held` all of them
        when this watcher began, there is nothing to ask.
        """
        before, self.marks = self.marks, {name: mark for name, _source, mark in files}
        if self._surveyed is None:
            known = held().all_of(self.importer, files)
            if known is not None:
                self.found, self._known, self._surveyed = known, set(known), now
                return
        due = self._surveyed is None or now - self._surveyed >= SURVEY_SECONDS
        if due:
            self._left_out = set()
        judged = self._known | self._left_out
        fresh = {
            name
            for name, mark in self.marks.items()
            if not due
            and name not in judged
            and before.get(name) != mark
            and self.importer.identify(Path(name))
        }
        if due or fresh or any(self.mark(name) is None for name in self._known):
            there = map(str, without_aliases(self.importer.discover(self.root)))
            self.found = [name for name in there if self.mark(name) is not None]
            self._known = set(self.found)
            self._left_out |= fresh - self._known
            self._surveyed = now


class Watcher:
    """Looks at the agents' histories, a round at a time.

    `roots` are files or folders (default: where each importer's agent keeps its histories, asked
    anew each round); `names` are the importers to read with (default: all). Raises `Invalid` for
    an importer that is not there.
    """

    def __init__(
        self,
        ledger: Ledger,
        roots: Sequence[str | os.PathLike[str]] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        unknown = sorted(set(names or ()) - importers.IMPORTERS.keys())
        if unknown:
            there = ", ".join(sorted(importers.IMPORTERS))
            raise Invalid(f"no importer {unknown[0]!r}: there are {there}")
        self._ledger = ledger
        self._roots = None if roots is None else [Path(root).absolute() for root in roots]
        self._importers = [importers.IMPORTERS[n] for n in names or importers.IMPORTERS]
        self._places: dict[tuple[str, str], _Place] = {}
        self._done: dict[Key, Mark] = {}
        self._tried: dict[Key, _Tried] = {}
        self._told: dict[Key, set[str]] = {}
        self._unlinked = True

    def round(self, stop: threading.Event | None = None) -> Round:
        """Look, and bring in what changed, as far as a round goes; `stop` ends it behind the
        file in hand. While the ledger cannot be reached the round says so. Raises what cannot be
        waited for: `Damaged`, `ReadOnly`.
        """
        found = Round()
        try:
            wanted = self._wanted(self._look(found), found)
            chosen = _chosen(wanted)
            found.left = len(wanted)
            for want in chosen:
                if stop is not None and stop.is_set():
                    break
                self._take(want, found)
                found.left -= 1
            if self._unlinked:
                self._ledger._run(link_spawned, 0)
                self._unlinked = False
            if found.bytes:
                # What is in the ledger may be deleted at its source the next moment.
                self._ledger.sync()
        except Unavailable as error:
            found.waiting = str(error)
        return found

    def _look(self, found: Round) -> list[_Place]:
        now, places = time.monotonic(), {}
        held = cache(lambda: Held(self._ledger, importers.IMPORTERS))
        left: dict[str, str] = {}

        @cache
        def below(root: Path) -> list[tuple[str, str, Mark]]:
            return [(n, source_name(n), mark) for n, mark in walk(root, left.setdefault)]

        with looking() as sight:
            for importer in self._importers:
                sight.asks = importer.name
                try:
                    roots = self._roots
                    if roots is None:
                        roots = importer.roots(Path.home(), os.environ)
                    for root in roots:
                        # Two importers may read the sessions of one agent: events, a database.
                        key = (f"{importer.name} {id(importer)}", str(root))
                        place = places[key] = self._places.get(key) or _Place(importer, root)
                        place.look(below(root), now, held)
                except OSError as error:
                    left[str(error.filename or importer.name)] = (
                        f"not looked at: {error.strerror or error}"
                    )
        self._places = places
        mine = {name for place in places.values() for name in place.found}
        for root in dict.fromkeys(place.root for place in places.values()):
            left |= unjudged(sight, root, mine, importers.IMPORTERS)
        self._tell_left(left, found)
        return list(places.values())

    def _tell_left(self, left: dict[str, str], found: Round) -> None:
        """Tell once of each file and folder that is there and was not looked into."""
        for name, why in left.items():
            note = Note(source_name(name), None, mended(why))
            found.notes += self._news((note.path, ""), [note])

    def _wanted(self, places: Sequence[_Place], found: Round) -> list[_Wanted]:
        """What is not known to be in the ledger as it is, once each."""
        now = time.monotonic()
        present: dict[Key, tuple[_Place, str, Mark]] = {}
        for place in places:
            for name in place.found:
                mark = place.mark(name)
                if mark is not None:
                    key = (place.importer.name, source_name(name))
                    present.setdefault(key, (place, name, mark))
        found.files = len(present)
        self._forget(present.keys())
        open_ = [
            (key, place.importer, name, mark)
            for key, (place, name, mark) in present.items()
            if self._done.get(key) != mark and not self._rests(key, mark, now)
        ]
        seen = self._seen({key[0] for key, *_rest in open_})
        wanted = []
        for key, importer, name, mark in open_:
            read = seen.get(key)
            if read == mark:
                self._done[key] = mark
                continue
            halfway = read is None or read[0] > mark[0] or read[1] == NOT_ALL_READ
            size = mark[0] if halfway or read is None else mark[0] - read[0]
            work = Work(importer, Path(name), *mark)
            wanted.append(_Wanted(key, work, read is not None, size))
        return wanted

    def _forget(self, present: Container[Key]) -> None:
        """Keep nothing about files that are gone."""
        self._done = {key: mark for key, mark in self._done.items() if key in present}
        self._tried = {key: tried for key, tried in self._tried.items() if key in present}
        self._told = {k: told for k, told in self._told.items() if k in present or not k[1]}

    def _rests(self, key: Key, mark: Mark, now: float) -> bool:
        tried = self._tried.get(key)
        return tried is not None and tried.mark == mark and now < tried.until

    def _seen(self, names: set[str]) -> dict[Key, Mark]:
        """How the sources of these importers were when the ledger read them."""
        seen: dict[Key, Mark] = {}
        for name in names:
            with self._ledger._database.read() as tx:
                rows = tx.all("source_seen", importer=name)
            seen |= {(name, row[0]): (row[1], row[2]) for row in rows}
        return seen

    def _take(self, want: _Wanted, found: Round) -> None:
        report = Imported()
        taken = gather.take_file(self._ledger, want.work, report)
        self._unlinked |= report.sessions_new > 0
        found.bytes += report.bytes
        mark = (want.work.size, want.work.mtime_ns)
        if all(each.settled for each in taken):
            self._done[want.key] = mark
            self._tried.pop(want.key, None)
            self._told.pop(want.key, None)
        else:
            self._try_later(want.key, mark)
        for each in taken:
            if each.added and each.session is not None:
                with contextlib.suppress(NotFound):  # erased already
                    found.changes.append(self._change(each))
        overtaken = report.unchanged > 0
        if not overtaken and want.work.path.exists():
            found.notes += self._news(want.key, report.notes)

    def _try_later(self, key: Key, mark: Mark) -> None:
        before = self._tried.get(key)
        delay = RETRY_SECONDS
        if before is not None and before.mark == mark:
            delay = min(before.delay * 2, RETRY_SECONDS_MAX)
        self._tried[key] = _Tried(mark, time.monotonic() + delay, delay)

    def _change(self, taken: Taken) -> Change:
        with self._ledger._database.read() as tx:
            row = tx.one("session_by_key", session=taken.session)
        info = self._ledger.get(str(row[2]) if row else "").info
        return Change(
            info.id, info.agent, info.project, info.title, taken.name, taken.added, taken.new
        )

    def _news(self, key: Key, notes: Sequence[Note]) -> list[Note]:
        """The notes that were not told before, without what is usual while an agent writes."""
        told = self._told.setdefault(key, set())
        news = []
        for note in notes:
            usual = note.text.endswith((TORN, UNSAID, EMPTY))
            if not usual and note.text not in told:
                told.add(note.text)
                news.append(note)
        return news


def _chosen(wanted: Sequence[_Wanted]) -> list[_Wanted]:
    """As many as a round takes, at least one."""
    grown = sorted((w for w in wanted if w.grows), key=lambda w: -w.work.mtime_ns)
    chosen: list[_Wanted] = []
    size = 0
    for want in [*grown, *(w for w in wanted if not w.grows)]:
        if len(chosen) >= ROUND_FILES or (chosen and size + want.bytes > ROUND_BYTES):
            break
        chosen.append(want)
        size += want.bytes
    return chosen


def watch(
    ledger: Ledger,
    roots: Sequence[str | os.PathLike[str]] | None = None,
    importers: Sequence[str] | None = None,
    *,
    every: float = EVERY_SECONDS,
    idle: float = IDLE_SECONDS,
    once: bool = False,
    on_round: Callable[[Round], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Bring in what is there, then what comes, until `stop` is set (behind the file in hand).

    `roots` and `importers` as in `Watcher`. `every` and `idle` are seconds between two looks,
    while something grows and when nothing does. `once` ends when all that is there was looked
    at. `on_round` is called with each round that has something to tell.

    Raises `Invalid` for an importer that is not there, what the ledger cannot recover from
    (`Damaged`, `ReadOnly`), and with `once` also `Unavailable`, which is waited for otherwise.
    """
    ends = stop or threading.Event()
    watcher = Watcher(ledger, roots, importers)
    pause, waiting = every, None
    while not ends.is_set():
        begun = time.monotonic()
        found = watcher.round(ends)
        news = found.changes or found.notes or found.waiting != waiting
        waiting = found.waiting
        if on_round is not None and news:
            on_round(found)
        if once:
            if found.waiting:
                raise Unavailable(found.waiting)
            if not found.left:
                return
            continue
        pause = _pause(found, pause, every, idle)
        ease = EASE * (time.monotonic() - begun)
        ends.wait(0 if found.left and not found.waiting else max(pause, min(ease, idle)))


def _pause(found: Round, before: float, every: float, idle: float) -> float:
    """Seconds to the next look: short while something comes, longer and longer when not."""
    if found.waiting:
        return min(max(before, every) * 2, AWAY_SECONDS_MAX)
    if found.changes or found.left:
        return every
    return min(max(before, every) * 1.5, max(idle, every))
