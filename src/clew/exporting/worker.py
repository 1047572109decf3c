"""A process of its own that does units, asked over its standard input.

Not `multiprocessing`: its new processes run the caller's script once more, which a library may not
do to those who use it. What goes over the pipe is pickled by this program for itself.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from clew.db import Settings, connect
from clew.errors import Invalid

if TYPE_CHECKING:
    from clew.db import Database
    from clew.exporting import unit
    from clew.exporting.folder import Folder
    from clew.exporting.recipe import Recipe

END_SECONDS: Final = 10.0
IN_A_MODULE: Final = "with several workers, give functions that stand in a module by a name"


class Gone(Exception):
    """A process does not answer any more."""


class Begin(NamedTuple):
    """What a process has to know before it is asked anything. `path` is where modules are found."""

    path: tuple[str, ...]
    url: str
    recipe: Recipe
    folder: Folder


class Worker:
    """The other end: one process. Its errors are raised here."""

    def __init__(self, begin: Begin) -> None:
        try:
            said = pickle.dumps(begin[1:])
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise Invalid(f"{error}: {IN_A_MODULE}") from error
        held = begin.folder.handle
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", f"from {__name__} import run; run()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for whoever asked; this one is told to end
            # If that one is killed, the folder stays held until this one is done with it.
            pass_fds=() if held is None else (held,),
        )
        with suppress(OSError):  # told when it is asked
            _send(self._in, list(begin.path))
            _send(self._in, said)

    @property
    def _in(self) -> BinaryIO:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        return self._process.stdin  # type: ignore[return-value]

    def ask(self, task: str, value: Any) -> unit.Made:
        """Have a unit done. Raises `Gone`, and what the work itself raises."""
        try:
            _send(self._in, (task, value))
            answer = pickle.load(self._process.stdout)  # type: ignore[arg-type]  # noqa: S301 - ours
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise Gone("a process of the export was killed") from error
        if isinstance(answer, BaseException):
            raise answer
        made: unit.Made = answer
        return made

    def end(self) -> None:
        """Have it end, and wait for that."""
        with suppress(OSError):
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)


def _send(stream: BinaryIO, value: Any) -> None:
    pickle.dump(value, stream)
    stream.flush()


# --- in the process ------------------------------------------------------------------------


def run() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asks, answers = _pipes()
    sys.path[:] = pickle.load(asks)  # noqa: S301 - from the process that began this one
    said = pickle.load(asks)  # noqa: S301
    ready: _Ready | BaseException
    try:
        ready = _Ready(*_understood(said))
    except Exception as error:  # noqa: BLE001 - told with the first answer
        ready = _plain(error)
    with suppress(EOFError, BrokenPipeError):
        while True:
            task, value = pickle.load(asks)  # noqa: S301
            _send(answers, _answer(ready, task, value))


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Where questions come from and answers go. What a verifier prints or reads, and what
    programs that it starts do, has neither.
    """
    asks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return asks, answers


def _understood(said: bytes) -> Any:
    try:
        return pickle.loads(said)  # noqa: S301 - from the process that began this one
    except (AttributeError, ImportError) as error:
        raise Invalid(f"{error}: {IN_A_MODULE}") from error


class _Ready:
    """A process's database and recipe."""

    def __init__(self, url: str, recipe: Recipe, folder: Folder) -> None:
        self.database = reading(url)
        self.recipe = recipe
        self.folder = folder


def _answer(ready: _Ready | BaseException, task: str, value: Any) -> Any:
    from clew.exporting import unit

    if isinstance(ready, BaseException):
        return ready
    try:
        if task == "first":
            return unit.first(ready.database, value, ready.recipe, ready.folder)
        return unit.second(value, ready.recipe, ready.folder)
    except Exception as error:  # noqa: BLE001 - raised again where it was asked for
        return _plain(error)


def _plain(error: BaseException) -> BaseException:
    """An error that another process can have; one that cannot be sent is told in words."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception:  # noqa: BLE001 - somebody's own kind of error
        return Invalid(f"{type(error).__name__}: {error}")
    return error


def reading(url: str) -> Database:
    """A ledger's database for reading alone."""
    return connect(url, Settings(read_only=True, pool_size=1))
