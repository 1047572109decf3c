"""Who does the units of an export: this process, several, or a cluster (`clew.exporting.ray`).

An engine is given a task and its inputs and yields what came of each, in the order of the inputs.
A task that was lost with its process is done again: it finds what it had done, or does it anew
under the same name, so nothing is there twice.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol

from clew.errors import Invalid, Unavailable
from clew.exporting import unit
from clew.exporting.worker import Begin, Gone, Worker

if TYPE_CHECKING:
    from clew.db import Database
    from clew.exporting.folder import Folder
    from clew.exporting.plan import Unit
    from clew.exporting.recipe import Recipe

TRIES: Final = 3
"""So often a task is given to a new process when its own was killed."""
AHEAD: Final = 4
"""Tasks a worker that wait for it."""


class Engine(Protocol):
    """See the module."""

    def first(self, units: Sequence[Unit]) -> Iterator[unit.Made]:
        """`unit.first` of each."""

    def second(self, parts: Sequence[unit.Made]) -> Iterator[unit.Made]:
        """`unit.second` of each."""

    def close(self) -> None:
        """Give back what it holds."""


class Here:
    """This process does it all."""

    def __init__(self, database: Database, recipe: Recipe, folder: Folder) -> None:
        self._database = database
        self._recipe = recipe
        self._folder = folder

    def first(self, units: Sequence[Unit]) -> Iterator[unit.Made]:
        """See `Engine`."""
        for one in units:
            yield unit.first(self._database, one, self._recipe, self._folder)

    def second(self, parts: Sequence[unit.Made]) -> Iterator[unit.Made]:
        """See `Engine`."""
        for one in parts:
            yield unit.second(one, self._recipe, self._folder)

    def close(self) -> None:
        """See `Engine`."""


class Processes:
    """Several processes of this machine, each fed by a thread. Raises `Invalid` for a ledger in
    memory, and `Unavailable` when processes are killed again and again.
    """

    def __init__(self, url: str, recipe: Recipe, folder: Folder, workers: int) -> None:
        if not url:
            raise Invalid("a ledger in memory is this process's alone: export with one worker")
        self._begin = Begin(tuple(sys.path), url, recipe, folder)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="clew-export")
        self._workers = workers
        self._own = threading.local()
        self._all: list[Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def first(self, units: Sequence[Unit]) -> Iterator[unit.Made]:
        """See `Engine`."""
        return self._map("first", units)

    def second(self, parts: Sequence[unit.Made]) -> Iterator[unit.Made]:
        """See `Engine`."""
        return self._map("second", parts)

    def _map(self, task: str, inputs: Sequence[Any]) -> Iterator[unit.Made]:
        """Results in order, with so many tasks given out that nobody waits, and no more."""
        window = self._workers * AHEAD
        waiting = deque(self._pool.submit(self._do, task, one) for one in inputs[:window])
        for number in range(len(inputs)):
            result = waiting.popleft().result()
            if number + window < len(inputs):
                waiting.append(self._pool.submit(self._do, task, inputs[number + window]))
            yield result

    def _do(self, task: str, value: Any) -> unit.Made:
        for _ in range(TRIES):
            worker = self._worker()
            try:
                return worker.ask(task, value)
            except Gone:
                worker.end()
                self._own.worker = None
        raise Unavailable(
            f"the export's processes were killed {TRIES} times (out of memory?): use fewer "
            "workers, then go on with --resume"
        )

    def _worker(self) -> Worker:
        """This thread's process. Raises `Gone` once all of them were ended."""
        worker: Worker | None = getattr(self._own, "worker", None)
        if worker is None:
            with self._lock:
                if self._closed:
                    raise Gone("the export is over")
                worker = self._own.worker = Worker(self._begin)
                self._all.append(worker)
        return worker

    def close(self) -> None:
        """See `Engine`. Behind this nothing is written any more."""
        with self._lock:
            self._closed = True
        for worker in self._all:
            worker.end()
        self._pool.shutdown(cancel_futures=True)
