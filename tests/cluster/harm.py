"""Verifiers for rows, each of which harms the process that does the unit. Named functions of a
module, since they go to other processes. They say nothing of the row.

`CLEW_TEST_HARM` is a folder; a harm that is done once leaves a file there before.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew.errors import RedactionFailed
from clew.exporting.folder import Folder

if TYPE_CHECKING:
    from clew.exporters.base import Row

DEADLY = "the process ends here: "
SLOW_SECONDS = 0.02


def done() -> set[str]:
    """The names of the harms that were done."""
    return {path.name for path in Path(os.environ["CLEW_TEST_HARM"]).iterdir()}


def _once(name: str) -> bool:
    try:
        (Path(os.environ["CLEW_TEST_HARM"]) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def dies_at_words(row: Row) -> None:
    """Killed in the middle of a unit, once for each session that says so."""
    words = str(row["messages"][0]["content"])
    if words.startswith(DEADLY) and _once(words.removeprefix(DEADLY)):
        os.kill(os.getpid(), signal.SIGKILL)


def dies_always(row: Row) -> None:
    """Killed at each attempt."""
    if str(row["messages"][0]["content"]).startswith(DEADLY):
        os.kill(os.getpid(), signal.SIGKILL)


def slow(_row: Row) -> None:
    """Takes its time."""
    time.sleep(SLOW_SECONDS)


def is_wrong(_row: Row) -> str:
    """Says what no verifier may say."""
    return "splendid"


def has_an_error(_row: Row) -> None:
    """An error that is not Clew's."""
    raise ZeroDivisionError("somebody's own")


def finds_a_secret(_row: Row) -> None:
    """As if the second look had found something."""
    raise RedactionFailed("the scan of the written export found 1 secrets")


def dies_in_the_second_pass(_row: Row) -> None:
    """Has the process killed in the second pass of every other unit, once each: its part is there
    and its record is not.
    """
    setattr(Folder, "keep", _keep)  # noqa: B010 - a type checker has its own idea of `self`


_whole = Folder.keep


def _keep(folder: Folder, name: str, value: Any) -> None:
    number, _, rest = name.lstrip(".").partition(".")
    if rest.startswith("last") and int(number) % 2 == 0 and _once(f"second {number}"):
        os.kill(os.getpid(), signal.SIGKILL)
    _whole(folder, name, value)
