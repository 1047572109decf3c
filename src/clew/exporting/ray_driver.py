"""The two ends of an export on Ray that are not the exporting process: the driver, and a task.

The driver connects, has every machine looked at, and gives out tasks; it answers over its standard
output, in the order of what it was asked. A task says that a unit is done, or why it is not, as a
value: so its errors are what they were, and Ray logs nothing of them. A task that was lost with its
process or machine is begun again by Ray, perhaps while the lost one is still at work elsewhere:
each attempt writes files of its own and gives them the unit's names when they are whole.
"""

from __future__ import annotations

import importlib
import os
import pickle
import platform
import queue
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple
from uuid import uuid4

from clew import __version__
from clew.errors import ClewError, Invalid, Unavailable
from clew.exporting import unit, worker
from clew.exporting.folder import Folder
from clew.redaction.rules import ruleset

if TYPE_CHECKING:
    from clew.exporting.recipe import Recipe

RETRIES: Final = 5
"""So often a task is given to another process when its own is lost."""
STORE_BYTES: Final = 80 << 20
"""Ray's least, and far more than what goes through it here."""
STAGES: Final = {"first": "first", "second": "last"}


class Begin(NamedTuple):
    """What a process has to know before it does a task. `release` says of which code the rows are;
    `token` is a file of the folder.
    """

    release: tuple[str, str]
    machine: str
    url: str
    recipe: Recipe
    folder: Folder
    token: str


class Setup(NamedTuple):
    """What the driver is told first. `begin` is a `Begin`, pickled."""

    address: str
    workers: int
    temporary: str
    begin: bytes


def record(number: int, task: str) -> str:
    """The name of what `unit.first` or `unit.second` leaves of a unit."""
    return f"{number:06d}.{STAGES[task]}"


def release() -> tuple[str, str]:
    """The version of Clew and its rules: two that differ make other rows."""
    return __version__, ruleset()


def machine() -> str:
    """The same for all processes of a running machine, and for no others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


# --- the driver ----------------------------------------------------------------------------


def run() -> None:
    """Answer until nobody asks any more; then leave the cluster, or end our own."""
    signal.signal(signal.SIGTERM, _end)
    asks, answers = _streams()
    setup: Setup = pickle.load(asks)  # noqa: S301 - from the process that began this one
    ray: Any = None
    try:
        asked = _listening(asks)
        try:
            ray = importlib.import_module("ray")
            _connect(ray, setup)
            tasks = _Tasks(ray, setup)
            tasks.look()
        except Exception as error:  # noqa: BLE001 - raised again where it was asked for
            _send(answers, worker._plain(error))
            return
        _send(answers, None)
        while True:
            task, inputs = asked.get()
            for answer in tasks.done(task, inputs):
                _send(answers, answer)
    except BrokenPipeError:
        return
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if ray is not None:
            ray.shutdown()
        shutil.rmtree(Path(setup.temporary).parent, ignore_errors=True)  # nobody else may be left


def _end(_number: int, _frame: object) -> None:
    raise SystemExit


def _streams() -> tuple[BinaryIO, BinaryIO]:
    """Where it is asked and answers. Whatever else writes to the standard output, in this process
    or in those that Ray begins, is not read as an answer.
    """
    asks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
    return asks, answers


def _listening(asks: BinaryIO) -> queue.SimpleQueue[tuple[str, list[Any]]]:
    """What is asked. When nobody can ask any more, this process is ended, whatever it does."""
    asked: queue.SimpleQueue[tuple[str, list[Any]]] = queue.SimpleQueue()

    def listen() -> None:
        with suppress(EOFError, OSError):
            while True:
                asked.put(pickle.load(asks))  # noqa: S301
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    return asked


def _send(answers: BinaryIO, value: BaseException | None) -> None:
    pickle.dump(value, answers)
    answers.flush()


def _connect(ray: Any, setup: Setup) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if setup.address:
            ray.init(address=setup.address, **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=setup.workers,
                include_dashboard=False,
                object_store_memory=max(STORE_BYTES, 4 * len(setup.begin)),
                _node_ip_address="127.0.0.1",
                _temp_dir=setup.temporary,
                **quiet,
            )
    except Exception as error:
        where = f"the cluster at {setup.address}" if setup.address else "a cluster of its own"
        raise Unavailable(f"Ray has not come to {where}: {error}") from error
    signal.signal(signal.SIGTERM, _end)  # Ray has set its own


class _Tasks:
    """Tasks on a cluster, at most so many at once as there are to be workers."""

    def __init__(self, ray: Any, setup: Setup) -> None:
        self._ray = ray
        self._workers = setup.workers
        self._local = not setup.address
        self._begin = ray.put(setup.begin)
        self._work = ray.remote(num_cpus=1, max_retries=RETRIES)(work)

    def look(self) -> None:
        """Have every machine that is to work looked at. Raises what is wrong with one."""
        affinity = importlib.import_module("ray.util.scheduling_strategies")
        asked = []
        for node in self._ray.nodes():
            if node["Alive"] and node["Resources"].get("CPU", 0) >= 1:
                there = affinity.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                task = self._work.options(num_cpus=0, scheduling_strategy=there, name="clew look")
                asked.append((node["NodeManagerAddress"], task.remote(self._begin, "look", None)))
        for address, reference in asked:
            error = self._got(reference)
            if error is not None and not self._local:
                told = error if isinstance(error, ClewError) else f"{type(error).__name__}: {error}"
                raise Invalid(f"the cluster's machine {address}: {told}")
            if error is not None:
                raise error

    def done(self, task: str, inputs: Sequence[Any]) -> Iterator[BaseException | None]:
        """Of each input, in order: nothing when it is done, or why it is not."""
        todo = iter(enumerate(inputs))
        running: dict[Any, int] = {}
        answers: dict[int, BaseException | None] = {}
        given = self._work.options(name=f"clew {task}")
        for place in range(len(inputs)):
            while place not in answers:
                for number, value in todo:
                    running[given.remote(self._begin, task, value)] = number
                    if len(running) >= self._workers:
                        break
                ready, _ = self._ray.wait(list(running), num_returns=1)
                for reference in ready:
                    answers[running.pop(reference)] = self._got(reference)
            yield answers.pop(place)

    def _got(self, reference: Any) -> BaseException | None:
        try:
            answer: BaseException | None = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Unavailable(_told(error))
        return answer


def _told(error: BaseException) -> str:
    cause = getattr(error, "cause", None)
    if cause is not None:  # before our own code ran
        text = str(cause).strip().splitlines()[-1:] or [""]
        return (
            f"a Ray task could not begin ({type(cause).__name__}: {text[0]}): is this version of "
            "Clew installed on every machine?"
        )
    return (
        f"Ray lost a unit {RETRIES + 1} times ({type(error).__name__}; out of memory?): use fewer "
        "workers, then go on with --resume"
    )


# --- a task --------------------------------------------------------------------------------


class _Ready:
    """A process's database and recipe. Raises `Invalid` when this machine cannot do the work."""

    def __init__(self, begin: Begin) -> None:
        if begin.release != release():
            raise Invalid(f"has another Clew than {begin.release[0]} here: install the same")
        if begin.url.startswith("sqlite:") and begin.machine != machine():
            raise Invalid("cannot open a SQLite file of another machine: use PostgreSQL for both")
        _shared(begin.folder.path, begin.token)
        self.database = worker.reading(begin.url)
        self.recipe = begin.recipe
        self.path = begin.folder.path


def _shared(folder: Path, token: str) -> None:
    """Raises `Invalid` unless the folder is the exporting process's, and can be written."""
    try:
        same = (folder / token).read_text(encoding="ascii") == token
        mine = folder / f"{token}.{uuid4().hex}"
        mine.touch(mode=0o600)
        mine.unlink()
    except OSError as error:
        raise Invalid(
            f"cannot work in {folder} ({error.strerror}): export to a folder that all machines "
            "share, as the same account on each"
        ) from error
    if not same:
        raise Invalid(f"{folder} is another folder here: export to one that all machines share")


_READY: list[tuple[bytes, _Ready]] = []
"""One connection for all tasks of a process, and one recipe (its rules are made ready once)."""


def work(begin: bytes, task: str, value: Any) -> BaseException | None:
    """Do a unit, in a process of Ray's: what went wrong, or nothing when its record stands in the
    folder. `value` is the unit, its number for the second pass, or nothing for `look`.
    """
    try:
        if not _READY or _READY[0][0] != begin:
            _READY[:] = [(begin, _Ready(pickle.loads(begin)))]  # noqa: S301 - from the exporter
        ready = _READY[0][1]
        if task == "first":
            unit.first(ready.database, value, ready.recipe, Attempt(ready.path, "first"))
        elif task == "second":
            _second(ready, value)
    except Exception as error:  # noqa: BLE001 - raised again where it was asked for
        return worker._plain(error)
    return None


def _second(ready: _Ready, number: int) -> None:
    folder = Attempt(ready.path, "last")
    made = folder.kept(record(number, "first"), unit.Made)
    if made is None:
        raise Unavailable(f"unit {number} is not in {ready.path}: export again")
    try:
        unit.second(made, ready.recipe, folder)
    except FileNotFoundError:
        # The attempt that was taken for lost has ended, and removed what it had read.
        if folder.kept(record(number, "second"), unit.Made) is None:
            raise


class Attempt(Folder):
    """The export's folder as one attempt at a task sees it: the files of `stage` that it writes are
    its own until all are whole. Then they get their names, and the record comes last.
    """

    def __init__(self, path: Path, stage: str) -> None:
        super().__init__(path)
        self._stage = stage
        self._mark = uuid4().hex
        self._written: dict[Path, Path] = {}

    def part(self, number: int, split: str, stage: str) -> Path:
        """See `Folder`."""
        whole = super().part(number, split, stage)
        if stage != self._stage:
            return whole
        aside = whole.with_name(f".{whole.name}.{self._mark}")
        self._written[aside] = whole
        return aside

    def keep(self, name: str, value: Any) -> None:
        """See `Folder`. What is named is on the disk: a machine may be lost right after."""
        for aside, whole in self._written.items():
            handle = os.open(aside, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            aside.replace(whole)
        super().keep(f".{name}.{self._mark}", value)
        (self.path / f".{name}.{self._mark}").replace(self.path / name)
