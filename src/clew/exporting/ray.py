"""Units done by a Ray cluster: one of this machine's own for the time of an export, or the one that
`RAY_ADDRESS` names (docs/scale.md).

    Cluster -> pipe -> a driver process (`ray_driver.run`) -> Ray -> tasks (`ray_driver.work`)

Plain Ray tasks and not Ray Data: what a unit gives are files in the export's folder, so there is no
stream of rows to plan. Numbers and units cross Ray; rows, records and what redaction found do not:
they stand in the folder, which all machines share, and are read there. The driver is a process of
its own because Ray takes signals, output and environment of the process that it is used in.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pickle
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from clew.errors import Invalid, Unavailable
from clew.exporting import ray_driver, unit
from clew.exporting.folder import Folder, private
from clew.exporting.ray_driver import Begin, Setup, machine, record, release

if TYPE_CHECKING:
    from clew.exporting.plan import Unit
    from clew.exporting.recipe import Recipe

VERSION: Final = (2, 52)
"""The first Ray that asks for a token."""
CONNECT_SECONDS: Final = 10.0
END_SECONDS: Final = 30.0
TEMPORARY_LENGTH_MAX: Final = 30
"""Ray puts sockets there, whose whole name may have 107 bytes."""
_SECRETS: Final = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE")


class Cluster:
    """An engine (see `engines.Engine`). At most `workers` tasks run at once.

    Raises `Invalid` where Ray is missing or too old, where a cluster lets in everybody, or where a
    machine has not what it needs; `Unavailable` where the cluster is not reached or loses a unit
    too often.
    """

    def __init__(self, url: str, recipe: Recipe, folder: Folder, workers: int) -> None:
        if not url:
            raise Invalid("a ledger in memory is this process's alone: export with one worker")
        _installed()
        self._address = _address()
        self._workers = workers
        self._folder = Folder(folder.path.absolute())
        self._token = self._folder.path / f".token.{secrets.token_hex(8)}"
        self._begin = _pickled(
            Begin(release(), machine(), url, recipe, self._folder, self._token.name)
        )
        self._driver: _Driver | None = None

    def first(self, units: Sequence[Unit]) -> Iterator[unit.Made]:
        """See `Engine`."""
        return self._map("first", units, [one.number for one in units])

    def second(self, parts: Sequence[unit.Made]) -> Iterator[unit.Made]:
        """See `Engine`."""
        numbers = [one.number for one in parts]
        return self._map("second", numbers, numbers)

    def _map(self, task: str, inputs: Sequence[Any], numbers: Sequence[int]) -> Iterator[unit.Made]:
        if not inputs:
            return
        if self._driver is None:
            self._driver = self._started()
        for number in self._driver.done(task, inputs, numbers):
            made = self._folder.kept(record(number, task), unit.Made)
            if made is None:
                raise Unavailable(
                    f"a worker did unit {number}, but {self._folder.path} does not hold it: that "
                    "has to be the same folder on all machines"
                )
            yield made

    def _started(self) -> _Driver:
        with private(self._token) as stream:
            stream.write(self._token.name.encode())
        if self._address:
            _closed_to_strangers(self._address)
        return _Driver(self._address, self._workers, self._begin)

    def close(self) -> None:
        """See `Engine`. A cluster that was there stays."""
        if self._driver is not None:
            self._driver.end()
        self._token.unlink(missing_ok=True)


class _Driver:
    """The process that speaks with Ray. Its errors, and those of the tasks, are raised here."""

    def __init__(self, address: str, workers: int, begin: bytes) -> None:
        self._temporary = _temporary()
        environment = _of_a_guest() if address else _of_an_owner()
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", f"from {ray_driver.__name__} import run; run()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for whoever asked; and Ray ends its whole group
        )
        try:
            self._ask(Setup(address, workers, str(self._temporary / "r"), begin))
            self._answer()
        except BaseException:
            self.end()
            raise

    def done(self, task: str, inputs: Sequence[Any], numbers: Sequence[int]) -> Iterator[int]:
        """The numbers of the units, in order, each when it is done."""
        self._ask((task, list(inputs)))
        for number in numbers:
            self._answer()
            yield number

    def _ask(self, value: Any) -> None:
        stream: BinaryIO = self._process.stdin  # type: ignore[assignment]
        with suppress(BrokenPipeError):  # the answer tells that it is gone
            pickle.dump(value, stream)
            stream.flush()

    def _answer(self) -> None:
        stream: BinaryIO = self._process.stdout  # type: ignore[assignment]
        try:
            answer = pickle.load(stream)  # noqa: S301 - from our own process
        except (EOFError, pickle.UnpicklingError):
            raise Unavailable(
                "the process that speaks with Ray has ended (what it said is above): export "
                "again, with --resume"
            ) from None
        if isinstance(answer, BaseException):
            raise answer

    def end(self) -> None:
        """Have it end, with the cluster that it began, and wait for that."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        if self._process.returncode != 0:  # it could not end what it began, in its group
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(END_SECONDS)
        shutil.rmtree(self._temporary, ignore_errors=True)


# --- before it begins ----------------------------------------------------------------------


def _installed() -> None:
    if importlib.util.find_spec("ray") is None:
        raise Invalid("--engine ray needs Ray: pip install 'clew[ray]'")
    version = importlib.metadata.version("ray")
    if tuple(int(part) for part in version.split(".")[:2]) < VERSION:
        wanted = ".".join(map(str, VERSION))
        raise Invalid(f"Ray {version} asks nobody for a token: install {wanted} or newer")


def _address() -> str:
    """Of the cluster to work on; `""` for one of our own. Raises `Invalid`."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address in ("", "local"):
        return ""
    if "://" in address or ":" not in address:
        raise Invalid(
            f"RAY_ADDRESS={address}: name the cluster's head as host:port (like 10.0.0.1:6379), "
            "and export on a machine of the cluster"
        )
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        raise Invalid(
            f"the Ray cluster at {address} would be given what opens the ledger: start it with "
            "RAY_AUTH_MODE=token, and set that and the token here, too (docs/scale.md)"
        )
    return address


_KNOCK: Final = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1]).internal_kv_keys(b"", b"session", timeout=10)
except AuthenticationError:
    sys.exit(3)
"""
_REFUSED: Final = 3


def _closed_to_strangers(address: str) -> None:
    """Raises `Invalid` when the cluster takes somebody without a token, or does not take ours.

    Ray sends its token to a cluster that does not look at it, and says nothing. So one without a
    token knocks first.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise Unavailable(f"no Ray cluster answers at {address} ({error})") from error
    ours = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    stranger = {name: value for name, value in ours.items() if name not in _SECRETS}
    if _let_in(address, {**stranger, "RAY_AUTH_MODE": "disabled"}):
        raise Invalid(
            f"the Ray cluster at {address} takes commands from everybody who reaches it: start it "
            "with RAY_AUTH_MODE=token on every machine (docs/scale.md)"
        )
    if not _let_in(address, ours):
        raise Invalid(f"the Ray cluster at {address} does not take the token that is set here")


def _let_in(address: str, environment: dict[str, str]) -> bool:
    knock = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", _KNOCK, address],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if knock.returncode not in (0, _REFUSED):
        last = (knock.stderr.strip().splitlines() or ["no answer"])[-1]
        raise Unavailable(f"no Ray cluster answers at {address} ({last})")
    return knock.returncode == 0


def _pickled(begin: Begin) -> bytes:
    try:
        return pickle.dumps(begin)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise Invalid(
            f"{error}: with several workers, give functions that stand in a module by a name"
        ) from error


# --- the driver's surroundings -------------------------------------------------------------


def _of_a_guest() -> dict[str, str]:
    """The environment for work on a cluster that is there."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_task_oom_retries": str(ray_driver.RETRIES),  # else it tries for ever
    }


def _of_an_owner() -> dict[str, str]:
    """The environment for a cluster of our own: closed to all others, and on this machine alone.

    Ray takes `127.0.0.1` for "the address that others reach", and listens everywhere; the variable
    that is named for other systems is what makes it stay at home.
    """
    kept = {name: v for name, v in _of_a_guest().items() if name not in _SECRETS}
    kept.pop("RAY_ADDRESS", None)
    return {
        **kept,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def _temporary() -> Path:
    """A folder for us alone. Ray opens the one it is given to everybody: it gets one inside."""
    made = Path(tempfile.mkdtemp(prefix="clew-ray-"))
    if len(os.fsencode(made)) > TEMPORARY_LENGTH_MAX:
        made.rmdir()
        made = Path(tempfile.mkdtemp(prefix="clew-ray-", dir="/tmp"))
    return made
