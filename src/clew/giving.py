"""The verbs of a ledger that put sessions into the hands of other agents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from clew.handoff import HandedOff
    from clew.ledger import Ledger
    from clew.restoring import Restored


class Giving:
    """What `clew.Ledger` inherits: its own state is all that is used here."""

    def restore_file(
        self,
        session: str,
        to: str,
        *,
        root: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
    ) -> Restored:
        """Put a session where an agent (a name in `clew.writers.WRITERS`) looks for its
        own: byte for byte, with the sessions it needs, where it came from there and nothing was
        added here; else written in that agent's format, with a list of what could not be said.

        `root` is the agent's folder if not the usual one. Nothing there is ever overwritten:
        raises `Conflict` when something else stands in a file's place; `NotFound` for what was
        erased, `Invalid` for what cannot be written.
        """
        from clew.restoring import restore_file

        folder = None if root is None else Path(root)
        ledger = cast("Ledger", self)
        return restore_file(ledger, ledger.get(session), to, root=folder, dry_run=dry_run)

    def handoff(
        self,
        session: str,
        to: str,
        *,
        root: str | os.PathLike[str] | None = None,
        cwd: str | None = None,
        keep: int | None = None,
        max_tokens: int | None = None,
        dry_run: bool = False,
    ) -> HandedOff:
        """Write a session that another agent (`claude-code`, `codex`, `gemini-cli`, `opencode`,
        `pi`) can take up, with its own tools; or a briefing (`markdown`).

        All that the model saw goes over, or with `keep` its last turns and with `max_tokens`
        about as much as that; the rest stands in a briefing made of facts. `root` is the
        agent's folder if not the usual one, `cwd` the folder to work in if not the session's.
        Nothing is ever overwritten: raises `Conflict`; `NotFound` for what was erased,
        `Invalid` for what says nothing.
        """
        from clew.handoff import handoff

        ledger = cast("Ledger", self)
        return handoff(
            ledger,
            ledger.get(session),
            to,
            root=None if root is None else Path(root),
            cwd=cwd,
            keep=keep,
            max_tokens=max_tokens,
            dry_run=dry_run,
        )
