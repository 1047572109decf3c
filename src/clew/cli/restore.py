"""`clew restore-file`: a session back where its agent, or another one, looks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.restoring import Restored
    from clew.writers import Loss

AGENTS = ("claude-code", "codex", "gemini-cli", "opencode", "pi")
"""The names in `clew.writers.WRITERS`, which is slow to load."""

PLACES_SHOWN = 3

_STATES = {
    "new": ("written", "would be written"),
    "there": ("is there already", "is there already"),
    "longer": ("is there already, and goes on", "is there already, and goes on"),
}


@click.command("restore-file")
@setup
@click.argument("session")
@click.option("--to", "agent", required=True, type=click.Choice(AGENTS), help="Who shall have it.")
@click.option(
    "-o", "--output", "folder", metavar="FOLDER", help="Instead of the agent's own folder."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be written, and what is lost.")
def restore_file(setup: Setup, session: str, agent: str, folder: str | None, dry_run: bool) -> None:
    """Put SESSION where an agent looks for its own, and say how to take it up there.

    Byte for byte, with the sessions it needs, where it came from that agent and nothing was
    added here; else written in that agent's format, as a new session, with a list of what could
    not be said. Not redacted. No file is ever overwritten.
    """
    from clew.cli import find

    setup.expect_here("files are restored")
    with setup.open(write=not dry_run) as ledger:
        id = find.session(ledger, session).id
        done = ledger.restore_file(id, agent, root=folder, dry_run=dry_run)
    if setup.json:
        output.document(done)
    else:
        _tell(done)


def _tell(done: Restored) -> None:
    for file in done.files:
        state = _STATES[file.state][done.dry_run]
        output.say(f"{file.path}: {output.size(file.bytes)}, {state}")
    if done.exact:
        same = "exports it, value by value" if done.to == "opencode" else "wrote it, byte for byte"
        output.say(f"  as {done.to} {same}")
    else:
        output.say(f"  written for {done.to} as session {done.native}, because {done.why}")
    for loss in done.losses:
        output.say(f"  not said ({loss.count:,}): {loss.what}{_places(done.session, loss)}")
    for text in done.missing:
        output.say(f"  missing: {text}")
    for text in done.notes:
        output.say(f"  {text}")
    if done.command:
        output.text(output.clean(done.command))


def _places(session: str, loss: Loss) -> str:
    """Where something was lost: entries of the session by their number."""
    if not loss.where:
        return ""
    shown = ", ".join(place.removeprefix(f"{session}:") for place in loss.where[:PLACES_SHOWN])
    return f", at {shown}{'…' if loss.count > PLACES_SHOWN else ''}"
