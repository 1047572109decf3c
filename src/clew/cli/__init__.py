"""The command line. Thin: it reads arguments, calls a verb of the ledger and prints.

Standard output is data, standard error is talk. Everything is printed through `output`, every
error ends in `errors`; a command's module is loaded when the command is used, and a command
imports the ledger only when it runs, so that `clew --help` answers at once.
"""

from __future__ import annotations

from clew.cli.app import main

__all__ = ["main"]
