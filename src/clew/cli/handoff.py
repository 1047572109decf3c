"""`clew handoff`: another agent goes on with a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.handoff import HandedOff

TARGETS = ("claude-code", "codex", "gemini-cli", "opencode", "pi", "markdown")
"""The names in `clew.writers.WRITERS`, which is slow to load, and `markdown`."""

_STATES = {"new": "written", "there": "is there already", "longer": "is there, and goes on"}
_SUMMARIES = {
    "compaction": "the session's own summary",
    "briefing": "a briefing made of facts",
}
_TOOLS_SHOWN_MAX = 8


@click.command()
@setup
@click.argument("session")
@click.option("--to", "agent", required=True, type=click.Choice(TARGETS), help="Who goes on.")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Only the last N turns.")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), metavar="N", help="About so much, and no more."
)
@click.option(
    "-o", "--output", "folder", metavar="FOLDER", help="Instead of the agent's own folder."
)
@click.option("--cwd", metavar="FOLDER", help="Work there instead of in the session's folder.")
@click.option("--dry-run", is_flag=True, help="Only say what is kept, and what is lost.")
def handoff(
    setup: Setup,
    session: str,
    agent: str,
    keep: int | None,
    max_tokens: int | None,
    folder: str | None,
    cwd: str | None,
    dry_run: bool,
) -> None:
    """Let another agent go on with SESSION: write it where that agent looks, with its tools.

    What the model saw goes over. With --keep or --max-tokens only the end of it does, and the
    rest stands in a briefing made without a model. What is kept and lost is told first; not
    redacted; no file is ever overwritten. `--to markdown` prints a briefing for any agent.
    """
    from clew.cli import find

    setup.expect_here("sessions are handed over")
    with setup.open(write=not dry_run) as ledger:
        id = find.session(ledger, session).id

        def run(*, dry: bool) -> HandedOff:
            return ledger.handoff(
                id, agent, root=folder, cwd=cwd, keep=keep, max_tokens=max_tokens, dry_run=dry
            )

        told = run(dry=True)
        if not setup.json:
            _preview(told, tell_command=dry_run)
        done = told if dry_run else run(dry=False)
    if setup.json:
        output.document(done)
    elif not dry_run:
        _finish(done)


def _preview(told: HandedOff, *, tell_command: bool) -> None:
    """What is kept and what is lost, before anything is written."""
    output.say(
        f"for {told.to}: {output.plural(told.turns, 'turn')} in "
        f"{output.plural(told.messages, 'message')}, about {told.tokens:,} tokens "
        f"(the model before saw {told.tokens_before:,})"
    )
    if told.summary is not None:
        older = f", in the place of {output.plural(told.older, 'message')}" if told.older else ""
        output.say(f"  before them {_SUMMARIES[told.summary]}{older}")
    _tell_calls(told)
    if told.images:
        output.say(f"  {output.plural(told.images, 'picture')} kept")
    for loss in told.losses:
        output.say(f"  lost: {loss.what}: {loss.count:,}")
    for text in (*told.notes, "not redacted: what is secret in it goes along"):
        output.say(f"  {text}")
    for file in told.files:
        output.say(f"  to {file.path} ({output.size(file.bytes)})")
    if tell_command and told.command:
        output.say(f"  to be taken up with: {told.command}")


def _tell_calls(told: HandedOff) -> None:
    words = {
        "kept": "kept as they are",
        "mapped": f"said with the tools of {told.to}",
        "quoted": "quoted as text",
    }
    for what, count in told.calls.items():
        names = list(told.quoted.items()) if what == "quoted" else []
        tools = ", ".join(f"{output.one_line(name)} {n}" for name, n in names[:_TOOLS_SHOWN_MAX])
        more = "…" if len(names) > _TOOLS_SHOWN_MAX else ""
        listed = f" ({tools}{more})" if tools else ""
        output.say(f"  {output.plural(count, 'call')} {words[what]}{listed}")


def _finish(done: HandedOff) -> None:
    """What was written; the command or the document alone on standard output."""
    for file in done.files:
        output.say(f"{file.path}: {_STATES[file.state]}")
    if done.text is not None and not done.files:
        output.text(output.clean(done.text))
    elif done.command:
        output.text(output.clean(done.command))
