"""How a command ends: its exit code, and one line on standard error.

A traceback is for whoever mends Clew, so it is shown only when `CLEW_DEBUG` is set.
"""

from __future__ import annotations

import os
import sys

import click

from clew import errors
from clew.cli import output

EXIT_CODES = (
    (0, "done; so ends `clew import` without PATH that finds no history, too"),
    (1, "nothing was found, or a verification found problems"),
    (2, "the input is wrong, or names something that is not there"),
    (3, "somebody else wrote first, or holds the lease"),
    (4, "the ledger cannot be reached, or takes no writes"),
    (5, "stored bytes are damaged"),
    (6, "redaction failed; nothing was exported"),
    (70, "a fault in Clew itself (CLEW_DEBUG=1 shows where)"),
    (130, "interrupted"),
    (141, "whoever read the output went away"),
)
NOTHING_FOUND = 1
WRONG_INPUT = 2
UNAVAILABLE = 4
FAULT = 70
INTERRUPTED = 130
READER_GONE = 141

_OF_KIND: tuple[tuple[type[errors.ClewError], int], ...] = (
    (errors.NotFound, WRONG_INPUT),
    (errors.Invalid, WRONG_INPUT),
    (errors.Stale, WRONG_INPUT),
    (errors.Conflict, 3),
    (errors.ReadOnly, UNAVAILABLE),
    (errors.Unavailable, UNAVAILABLE),
    (errors.Damaged, 5),
    (errors.RedactionFailed, 6),
)


def report(error: BaseException, *, as_json: bool) -> int:
    """Tell the error and give the exit code."""
    code, message = _explained(error)
    if isinstance(error, BrokenPipeError):
        _close_output()
        return code
    if code == FAULT and os.environ.get("CLEW_DEBUG"):
        raise error
    if as_json:
        facts = {"error": type(error).__name__, "message": message, "exit_code": code}
        click.echo(output.as_json(facts), err=True)
    else:
        click.echo(f"clew: {output.one_line(message)}", err=True)
    return code


def _explained(error: BaseException) -> tuple[int, str]:
    if isinstance(error, errors.ClewError):
        code = next((c for kind, c in _OF_KIND if isinstance(error, kind)), UNAVAILABLE)
        return code, str(error)
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "clew"
        return WRONG_INPUT, f"{error.format_message()} (try {where} --help)"
    if isinstance(error, click.ClickException):
        return WRONG_INPUT, error.format_message()
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED, "interrupted"
    if isinstance(error, BrokenPipeError):
        return READER_GONE, "the output was closed"
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return UNAVAILABLE, f"{name}{error.strerror or error}"
    kind = type(error).__name__
    return FAULT, f"a fault in Clew: {kind}: {error} (CLEW_DEBUG=1 shows where)"


def _close_output() -> None:
    """Nobody reads on: keep the interpreter from complaining when it flushes at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return
