"""The service that runs `clew watch`: a systemd user unit, or a launchd agent.

Only a file that says it is ours is ever replaced or removed, and nothing is started or stopped
here: the commands for that are told.
"""

from __future__ import annotations

import os
import plistlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from clew.errors import Conflict, Invalid, NotFound
from clew.importers import IMPORTERS

MARK = "Written by clew watch, which replaces and removes this file: do not edit it."
"""What makes a file ours. No two hyphens: it stands in a comment of XML, too."""
UNIT = "clew-watch.service"
LABEL = "dev.clew.watch"
RESTART_SECONDS = 30


class Service(NamedTuple):
    """Where the file goes, what is in it (of a program and its arguments), and the commands
    that start and stop what it describes.
    """

    path: Path
    text: Callable[[Path, Sequence[str]], str]
    start: list[str]
    stop: list[str]


def here() -> Service:
    """What this machine has. Raises `Invalid` where it is neither of the two."""
    platform: str = sys.platform
    if platform == "linux":
        return systemd()
    if platform == "darwin":
        return launchd()
    raise Invalid(
        "there is no systemd and no launchd here: have your system start `clew watch` at login"
    )


def systemd() -> Service:
    """A user unit, below `$XDG_CONFIG_HOME` or `~/.config`."""
    told = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(told) if Path(told).is_absolute() else Path.home() / ".config"
    return Service(
        base / "systemd" / "user" / UNIT,
        _unit,
        [
            "systemctl --user daemon-reload",
            *(f"systemctl --user {verb} {UNIT}" for verb in ("enable", "restart")),
        ],
        [f"systemctl --user stop {UNIT}", "systemctl --user daemon-reload"],
    )


def launchd() -> Service:
    """An agent of the user's, below `~/Library/LaunchAgents`."""
    path = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    domain = f"gui/{os.getuid()}"
    return Service(
        path,
        _plist,
        [f"launchctl bootstrap {domain} '{path}'"],
        [f"launchctl bootout {domain}/{LABEL}"],
    )


def program() -> Path:
    """The installed `clew`, by its absolute path. Raises `NotFound`."""
    beside = Path(sys.executable).with_name("clew")
    found = str(beside) if beside.is_file() else shutil.which("clew")
    if found is None:
        raise NotFound("no installed `clew` was found: install the package, then try again")
    return Path(_plain(str(Path(found).absolute())))


def checked(words: Sequence[str], url: str) -> Sequence[str]:
    """The arguments, when a file may hold them. Raises `Invalid`."""
    parts = urlsplit(url)
    if parts.password is not None or "password" in parse_qs(parts.query):
        raise Invalid(
            "the ledger's URL holds a password, which would stand in a file and in the list of "
            "processes: put it into ~/.pgpass and name the ledger without it"
        )
    if url == "sqlite:///:memory:":
        raise Invalid("a ledger in memory ends with its process: name a file with --db")
    return [_plain(word) for word in words]


def _plain(word: str) -> str:
    if not word.isprintable():
        raise Invalid(f"{word!r} cannot stand in a service's file: it holds control characters")
    return word


def write(service: Service, text: str) -> bool:
    """Write the file, whole or not at all. Raises `Conflict` when there is one not ours."""
    _expect_ours(service.path)
    service.path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=service.path.parent, prefix=".clew-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(service.path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True


def remove(service: Service) -> bool:
    """Remove the file, and the link that systemd made to it; false when it is not there.
    Raises `Conflict` when it is not ours.
    """
    _expect_ours(service.path)
    if not is_ours(service.path):
        return False
    link = service.path.parent / "default.target.wants" / service.path.name
    if link.is_symlink():
        link.unlink()
    service.path.unlink()
    return True


def is_ours(path: Path) -> bool:
    """True for a file that `write` wrote. Raises `OSError` when it cannot be read."""
    if path.is_symlink() or not path.is_file():
        return False
    return MARK.encode() in path.read_bytes()


def _expect_ours(path: Path) -> None:
    if os.path.lexists(path) and not is_ours(path):
        raise Conflict(f"{path} is there and is not ours: move it away, then try again")


# --- what is in it -----------------------------------------------------------------------


def _unit(command: Path, words: Sequence[str]) -> str:
    settings = [f"Environment={_quoted(f'{n}={v}', '%')}" for n, v in _told().items()]
    line = " ".join([_quoted(str(command), "%"), *(_quoted(word, "%$") for word in words)])
    return "\n".join(
        [
            f"# {MARK}",
            "[Unit]",
            "Description=Clew: keep the histories of this machine's agents coming in",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            *settings,
            f"ExecStart={line}",
            "Restart=on-failure",
            f"RestartSec={RESTART_SECONDS}",
            "Nice=10",
            "",
            "[Install]",
            "WantedBy=default.target",
            "",
        ]
    )


def _quoted(word: str, doubled: str) -> str:
    """A word as systemd reads it: in quotes, with its own signs doubled."""
    word = word.replace("\\", "\\\\").replace('"', '\\"')
    for sign in doubled:
        word = word.replace(sign, sign * 2)
    return f'"{word}"'


def _plist(command: Path, words: Sequence[str]) -> str:
    log = str(Path.home() / "Library" / "Logs" / "clew-watch.log")
    facts: dict[str, object] = {
        "Label": LABEL,
        "ProgramArguments": [str(command), *words],
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": RESTART_SECONDS,
        "ProcessType": "Background",
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    if _told():
        facts["EnvironmentVariables"] = _told()
    text = plistlib.dumps(facts, sort_keys=False).decode()
    return text.replace("<plist ", f"<!-- {MARK} -->\n<plist ", 1)


class _Asked(Mapping[str, str]):
    """The environment, and which of its names were asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        value = os.environ[name]
        self.names.add(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)


def _told() -> dict[str, str]:
    """What the environment says about where agents keep their histories: a service has another
    environment than the shell that it was installed from.
    """
    asked = _Asked()
    for importer in IMPORTERS.values():
        importer.roots(Path.home(), asked)
    return {name: _plain(os.environ[name]) for name in sorted(asked.names)}
