"""`clew checkpoint …`, `clew undo` and `clew compact`: going back, and making room."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.errors import NOTHING_FOUND
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.checkpoints import Diff
    from clew.model import Checkpoint, Message, Move

PREVIEW_CHARS = 100


@click.group(no_args_is_help=False)
def checkpoint() -> None:
    """Name a place, compare two, branch from one, go back to one."""


@checkpoint.command("list")
@setup
@click.argument("session")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
def list_(setup: Setup, session: str, limit: int) -> int:
    """List a session's checkpoints, newest first. Exit code 1 when there is none.

    One is made before every compaction: its entry is where the session stood then.
    """
    from clew.cli import find

    with setup.open() as ledger:
        found = find.session(ledger, session).checkpoints(limit=limit)
    if setup.json:
        output.documents(found)
    elif found:
        output.table(("id", "made", "at", "tokens", "label"), [_row(each) for each in found])
    if not found:
        output.say("this session has no checkpoint: clew checkpoint create makes one")
    return 0 if found else NOTHING_FOUND


def _row(made: Checkpoint) -> tuple[object, ...]:
    tokens = ""
    if made.tokens_before is not None:
        after = "?" if made.tokens_after is None else f"{made.tokens_after:,}"
        tokens = f"{made.tokens_before:,} → {after}"
    at = "root" if made.pre is None else f"{output.short(made.pre.session)}:{made.pre.seq}"
    return output.short(made.id), output.moment(made.created_ms), at, tokens, made.label


@checkpoint.command()
@setup
@click.argument("session")
@click.option("--label", default="", help="What to call it.")
def create(setup: Setup, session: str, label: str) -> None:
    """Name where a session stands now."""
    from clew.cli import find

    with setup.open(write=True) as ledger:
        made = find.session(ledger, session).checkpoint(label)
    if setup.json:
        output.document(made)
    else:
        at = made.pre or "the root"
        output.text(f"checkpoint {output.short(made.id)} at {at}")


@checkpoint.command()
@setup
@click.argument("session")
@click.argument("a")
@click.argument("b")
def diff(setup: Setup, session: str, a: str, b: str) -> int:
    """Show what the path to B holds that the path to A does not, and the other way round.

    A and B are each a place (AT). Exit code 1 when they do not differ.
    """
    from clew.cli import find

    with setup.open() as ledger:
        owner = find.session(ledger, session)
        result = owner.diff(find.place(ledger, owner, a), find.place(ledger, owner, b))
    changed = result.config_changed
    if setup.json:
        output.document(result)
    else:
        _show_diff(result)
    return 0 if result.only_a or result.only_b or changed else NOTHING_FOUND


def _show_diff(result: Diff) -> None:
    output.text(f"common up to {result.common or 'the root'}")
    for sign, style, messages in (("-", "bad", result.only_a), ("+", "good", result.only_b)):
        for message in messages:
            output.text(output.paint(f"{sign} {gist(message)}", style))
    for key in result.config_changed:
        before, after = result.config_a.get(key), result.config_b.get(key)
        output.text(
            f"config {output.one_line(key)}: {output.as_json(before)} → {output.as_json(after)}"
        )
    if not (result.only_a or result.only_b or result.config_changed):
        output.say("they do not differ")


def gist(message: Message) -> str:
    """A message in one line: place, role, words, tools."""
    words = message.text or " ".join(result.text for result in message.tool_results)
    calls = " ".join(f"→ {call.name}" for call in message.tool_calls)
    at = message.at[0].seq if message.at else "-"
    return output.one_line(f"#{at} {message.role}: {words} {calls}", PREVIEW_CHARS)


@checkpoint.command()
@setup
@click.argument("session")
@click.argument("at")
@click.option("--title", help="What to call the branch.")
def branch(setup: Setup, session: str, at: str, title: str | None) -> None:
    """Begin a new session that shares SESSION's history up to AT. Nothing is copied."""
    from clew.cli import find

    with setup.open(write=True) as ledger:
        owner = find.session(ledger, session)
        made = owner.branch(find.place(ledger, owner, at), title=title)
        info = made.info
    if setup.json:
        output.document(info)
    else:
        output.text(f"branch {output.short(info.id)} stands at {info.head or 'the root'}")
        output.hint(f"read it: clew show {output.short(info.id)}")


@checkpoint.command()
@setup
@click.argument("session")
@click.argument("at")
def restore(setup: Setup, session: str, at: str) -> None:
    """Put SESSION back to AT. Nothing is lost: `clew undo` takes it back."""
    from clew.cli import find

    with setup.open(write=True) as ledger:
        owner = find.session(ledger, session)
        _tell(setup, owner.restore(find.place(ledger, owner, at)))


@click.command()
@setup
@click.argument("session")
def undo(setup: Setup, session: str) -> None:
    """Take back the last move, else the last turn.

    A move is a restore, a compaction or a change of settings.
    """
    from clew.cli import find

    with setup.open(write=True) as ledger:
        _tell(setup, find.session(ledger, session).undo())


def _tell(setup: Setup, move: Move) -> None:
    if setup.json:
        output.document(move)
    else:
        origin, target = move.from_ or "the root", move.to or "the root"
        output.text(f"{move.action}: from {origin} to {target}")


@click.command()
@setup
@click.argument("session")
@click.option("--summary", metavar="TEXT", help="What stands for the messages that go.")
@click.option(
    "--summary-file",
    type=click.File("r", encoding="utf-8"),
    help="The same from a file, or from - (standard input).",
)
@click.option("--keep-from", metavar="AT", help="The oldest entry that stays as it is.")
@click.option("--keep-tokens", type=click.IntRange(0), help="Or: about so many tokens stay.")
def compact(
    setup: Setup,
    session: str,
    summary: str | None,
    summary_file: IO[str] | None,
    keep_from: str | None,
    keep_tokens: int | None,
) -> None:
    """Let a summary stand for the older messages.

    Only what a model sees changes. Nothing is deleted: a checkpoint is made first, and
    `clew undo` takes it back.
    """
    from clew.cli import find
    from clew.compaction import KEEP_TOKENS
    from clew.errors import Invalid

    if (summary is None) == (summary_file is None):
        raise Invalid("give either --summary TEXT or --summary-file FILE")
    if keep_from is not None and keep_tokens is not None:
        raise Invalid("give either --keep-from AT or --keep-tokens N")
    words = summary if summary_file is None else _read(summary_file)
    with setup.open(write=True) as ledger:
        owner = find.session(ledger, session)
        made = owner.compact(
            summary=words,
            keep_from=None if keep_from is None else find.place(ledger, owner, keep_from),
            keep_tokens=KEEP_TOKENS if keep_tokens is None else keep_tokens,
        )
    if setup.json:
        output.document(made)
        return
    output.text(
        f"compacted: {made.tokens_before:,} → {made.tokens_after:,} tokens, "
        f"kept from {made.first_kept} on"
    )
    output.hint(f"the way back: checkpoint {output.short(made.id)}, or clew undo {session}")


def _read(file: IO[str]) -> str:
    from clew.errors import Invalid

    try:
        return str(file.read())
    except UnicodeDecodeError as error:
        name = Path(str(file.name)).name
        raise Invalid(f"{name} is no UTF-8 text ({error.reason} at byte {error.start})") from error
