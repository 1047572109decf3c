"""A second opinion on a written file: the scanner Kingfisher, when it is installed.

Its rules have other authors than ours, so what both overlook is less. It is a program of its
own (PyPI `kingfisher-bin`); it runs offline, asks no provider about a find, and what it prints
holds hashes in the place of values. That it is not there is another answer than that it found
nothing. https://github.com/mongodb/kingfisher
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from clew.errors import Invalid, RedactionFailed

PROGRAM = "kingfisher"
SECONDS_MAX = 3600.0
_OPTIONS = (
    "scan",
    "--no-validate",
    "--no-update-check",
    "--no-ignore",  # a word in the text cannot switch the scanner off
    "--no-limits",
    "--no-dedup",
    "--no-extract-archives",
    "--git-history=none",
    "--redact",
    "--format=json",
    "--quiet",
)
_CLEAN, _FOUND, _FOUND_ACTIVE = 0, 200, 205


class NotInstalled(Invalid):
    """The scanner is not on this machine."""


class Doubt(msgspec.Struct, frozen=True):
    """Something that the scanner takes for a secret. Never the value.

    `rule` is the scanner's name for it; `line` (from 1) and `column` (bytes, from 0) are where
    it begins, `end` the column behind it.
    """

    rule: str
    line: int
    column: int
    end: int

    def __str__(self) -> str:
        return f"{self.rule} in line {self.line}, columns {self.column} to {self.end}"


def program() -> str | None:
    """Where the scanner is: beside this interpreter or on the path."""
    beside = shutil.which(PROGRAM, path=str(Path(sys.executable).parent))
    return beside or shutil.which(PROGRAM)


def findings(path: str | os.PathLike[str], *, seconds: float = SECONDS_MAX) -> list[Doubt]:
    """What Kingfisher finds in the file at `path`, in order of place; empty when nothing.

    Raises `NotInstalled` when it is not there, `Invalid` for a missing file and `RedactionFailed`
    when it does not finish, or does not say that it read the file.
    """
    scanner = program()
    if scanner is None:
        raise NotInstalled(
            f"the scanner {PROGRAM} is not installed, so nothing was checked with it: "
            "pip install kingfisher-bin"
        )
    if not Path(path).is_file():
        raise Invalid(f"{path} is no file: nothing to check")
    return _doubts(_run([scanner, *_OPTIONS, "--", os.fspath(path)], seconds))


def _run(command: list[str], seconds: float) -> dict[str, Any]:
    try:
        done = subprocess.run(  # noqa: S603 - a program the user installed, words of ours
            command, capture_output=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RedactionFailed(f"{PROGRAM} did not finish: {type(error).__name__}") from error
    if done.returncode not in (_CLEAN, _FOUND, _FOUND_ACTIVE):
        raise RedactionFailed(f"{PROGRAM} ended with code {done.returncode}: nothing was checked")
    try:
        report: dict[str, Any] = json.loads(done.stdout)
        summary = report["audit"]["summary"]
        whole = summary["scan_succeeded"] >= 1 and not (
            summary["scan_failed"] or summary["scan_partial"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RedactionFailed(f"{PROGRAM} answered something unknown") from error
    if not whole:
        raise RedactionFailed(f"{PROGRAM} did not read the whole file")
    return report


def _doubts(report: dict[str, Any]) -> list[Doubt]:
    try:
        return sorted(
            (
                Doubt(
                    rule=one["rule"]["id"],
                    line=one["finding"]["line"],
                    column=one["finding"]["column_start"],
                    end=one["finding"]["column_end"] + 1,
                )
                for one in report["findings"]
            ),
            key=lambda doubt: (doubt.line, doubt.column, doubt.rule),
        )
    except (KeyError, TypeError) as error:
        raise RedactionFailed(f"{PROGRAM} answered something unknown") from error
