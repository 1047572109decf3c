"""A ledger to export, clusters to export it on, and a look at processes."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clew
from cluster import harm
from contract.talk import turns, user

if TYPE_CHECKING:
    from collections.abc import Callable

SESSIONS = 420  # seven units
DEADLY = (70, 150, 151, 300)
WAIT_SECONDS = 90

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed here (300 MB): `make cluster` runs these",
)


def fill(url: str, sessions: int = SESSIONS) -> None:
    """Sessions that differ; at some of them `harm` may do its work."""
    with clew.open(url) as ledger:
        for number in range(sessions):
            session = ledger.create(title=f"session {number}")
            first = f"{harm.DEADLY}{number}" if number in DEADLY else f"begin {number}"
            session.extend([user(first), *turns(number % 5 + 1)[1:]])


def manifest(path: Path) -> dict[str, Any]:
    """What stands beside an export, but for when it was made, the file's name and the verifier's:
    those of `harm` are not to change anything.
    """
    found: dict[str, Any] = json.loads(Path(f"{path}.manifest.json").read_text())
    del found["created"], found["options"]["verifier"]
    for one in found["files"]:
        assert one.pop("file") == path.name
    return found


def ids(path: Path) -> list[str]:
    """The session of each row."""
    return [json.loads(line)["session_id"] for line in path.read_text().splitlines()]


def until(true: Callable[[], Any]) -> Any:
    """What it gives, as soon as that is anything; fails after a long while."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"{true} did not come true within {WAIT_SECONDS} s")


# --- processes -----------------------------------------------------------------------------


def of_session(leader: int) -> dict[int, str]:
    """The command lines of all processes of the session that `leader` began."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[3]) == leader and after_name[0] != "Z":
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(entry.name)] = words.decode(errors="replace")
    return found


def children(parent: int) -> list[int]:
    """The processes that a process began."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[1]) == parent and after_name[0] != "Z":
                found.append(int(entry.name))
    return found


def listening(pids: list[int]) -> set[str]:
    """The addresses at which these processes take connections."""
    inodes = set()
    for pid in pids:
        with suppress(OSError):
            for handle in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    inodes.add(str(handle.readlink()))
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                found.add(_address(words[1].partition(":")[0]))
    return found


def _address(told: str) -> str:
    """As the kernel tells it: words of four bytes, each in the machine's order."""
    words = [told[at : at + 8] for at in range(0, len(told), 8)]
    data = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    text = socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)
    return text.removeprefix("::ffff:")


# --- clusters ------------------------------------------------------------------------------


class Node:
    """A machine of a cluster, as far as Ray knows: `ray start`, which stays in the foreground."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        program = Path(sys.executable).with_name("ray")
        self.process = subprocess.Popen(
            [program, "start", "--block", "--num-cpus=1", "--disable-usage-stats", *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def works(self) -> bool:
        """Whether a task of an export runs there now."""
        return any("ray::clew first" in line for line in of_session(self.process.pid).values())

    def lose(self) -> None:
        """All of it is gone at once."""
        while found := of_session(self.process.pid):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.05)
        self.process.wait(WAIT_SECONDS)


class Cluster:
    """Machines with one head. `token` none: it takes commands from everybody."""

    def __init__(self, folder: Path, token: str | None, harm_folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "CLEW_TEST_HARM": str(harm_folder),
            "RAY_AUTH_MODE": "token" if token else "disabled",
            "RAY_AUTH_TOKEN": token or "",
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_failure_threshold": "3",
        }
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.nodes = [
            Node(
                self.environment,
                "--head",
                f"--port={port}",
                f"--temp-dir={folder}",
                "--include-dashboard=false",
            )
        ]
        until(self._answers)

    def _answers(self) -> bool:
        host, _, port = self.address.partition(":")
        with socket.socket() as asks:
            return asks.connect_ex((host, int(port))) == 0

    def join(self) -> Node:
        """One machine more."""
        self.nodes.append(Node(self.environment, f"--address={self.address}"))
        return self.nodes[-1]

    def alive(self) -> int:
        """How many machines it says it has."""
        code = (
            "import sys; from ray._raylet import GcsClient;"
            "found = GcsClient(address=sys.argv[1]).get_all_node_info(timeout=20);"
            "print(sum(one.state == 0 for one in found.values()))"
        )
        return int(self.asked(code) or 0)

    def asked(self, code: str) -> str:
        """What a program says that has the token."""
        done = subprocess.run(
            [sys.executable, "-c", code, self.address],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    def close(self) -> None:
        """All of it ends."""
        for node in reversed(self.nodes):
            node.lose()


def new_token() -> str:
    """A token like Ray's own."""
    return secrets.token_hex(32)
