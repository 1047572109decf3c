"""Keeping a ledger: back-ups, retention, and what goes for good."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.erase import Erased
    from clew.retention import Collected


@click.command()
@setup
@click.argument("path", type=click.Path(path_type=Path))
def backup(setup: Setup, path: Path) -> None:
    """Copy the ledger into a new file at PATH.

    Others may go on writing meanwhile.
    """
    with setup.open(write=True) as ledger:
        made = ledger.backup(path)
    if setup.json:
        output.document({"path": str(made), "bytes": made.stat().st_size})
    else:
        output.text(output.clean(f"{made}: {output.size(made.stat().st_size)}"))


@click.command()
@setup
@click.argument("session")
@click.option("--with-branches", is_flag=True, help="Also every session that shares its entries.")
@click.option("--yes", is_flag=True, help="Do it. Without: only say what would go.")
def erase(setup: Setup, session: str, with_branches: bool, yes: bool) -> None:
    """Remove what a session said, for good: text, index, raw source.

    Without --yes it only says what would go. The proof that it was said stays, and the next
    import does not bring it back.
    """
    from clew.cli import find

    with setup.open(write=True) as ledger:
        owner = find.session(ledger, session)
        done = ledger.erase(owner.id, with_branches=with_branches, dry_run=not yes)
    if setup.json:
        output.document(done)
    else:
        _tell_erased(done)


def _tell_erased(done: Erased) -> None:
    verb = "would go" if done.dry_run else "are gone"
    count = output.plural(len(done.sessions), "session")
    output.text(
        f"{count}, {output.plural(done.entries, 'entry')}, {output.size(done.bytes)} {verb}"
    )
    if done.kept_shared:
        sharers = ", ".join(map(output.short, done.shared_with))
        output.text(
            f"{output.plural(done.kept_shared, 'entry')} stay: shared with {sharers} "
            "(--with-branches takes those too)"
        )
    for name in done.backups:
        output.text(output.one_line(f"still in the back-up {name}: delete it yourself"))
    if done.dry_run:
        output.hint("nothing was changed: --yes does it")


@click.command()
@setup
@click.argument("project_name", metavar="PROJECT")
@click.option("--max-age", metavar="DURATION", help="Sessions older than this may go: 90d, 52w.")
@click.option("--max-bytes", metavar="SIZE", help="The newest that fit into this stay: 1GB.")
@click.option("--checkpoints", metavar="DURATION", help="Checkpoints older than this may go.")
def retain(
    setup: Setup,
    project_name: str,
    max_age: str | None,
    max_bytes: str | None,
    checkpoints: str | None,
) -> None:
    """Set what a project keeps; without options, everything.

    A rule removes nothing by itself: `clew gc` applies it. Pinned sessions always stay.
    """
    from clew.cli import find, units
    from clew.retention import Rule

    rule = Rule(
        max_age_days=None if max_age is None else units.days(max_age),
        max_bytes=None if max_bytes is None else units.bytes_of(max_bytes),
        checkpoint_days=None if checkpoints is None else units.days(checkpoints),
    )
    with setup.open(write=True) as ledger:
        ledger.retain(find.project(ledger, project_name), rule)
    if setup.json:
        output.document({"project": project_name, **{f: getattr(rule, f) for f in _fields(rule)}})
    else:
        output.say("the rule is set: clew gc says what it would remove")


def _fields(rule: object) -> tuple[str, ...]:
    return tuple(getattr(rule, "__struct_fields__", ()))


@click.command()
@setup
@click.option("--yes", is_flag=True, help="Do it. Without: only say what would go.")
def gc(setup: Setup, yes: bool) -> None:
    """Remove what the projects' rules let go (see `clew retain`).

    Without --yes it only says what would go.
    """
    with setup.open(write=True) as ledger:
        done = ledger.gc(dry_run=not yes)
    if setup.json:
        output.document(done)
    else:
        _tell_collected(done)


def _tell_collected(done: Collected) -> None:
    if done.sessions:
        rows = [
            (output.short(g.session), output.size(g.bytes), g.project, g.why) for g in done.sessions
        ]
        output.table(("session", "size", "project", "why"), rows)
    verb = "would go" if done.dry_run else "are gone"
    count = output.plural(len(done.sessions), "session")
    output.text(f"{count} and {output.plural(done.checkpoints, 'checkpoint')} {verb}")
    if done.dry_run and (done.sessions or done.checkpoints):
        output.hint("nothing was changed: --yes does it")


@click.command()
@setup
@click.argument("session")
@click.option("--off", is_flag=True, help="Take it into use again.")
def archive(setup: Setup, session: str, off: bool) -> None:
    """Take a session out of use.

    It can be read and searched, and not written.
    """
    from clew.cli import find

    with setup.open(write=True) as ledger:
        id = find.session(ledger, session).id
        ledger.archive(id, not off)
    _tell_mark(setup, id, "archived", not off)


@click.command()
@setup
@click.argument("session")
@click.option("--off", is_flag=True, help="Let it go like any other.")
def pin(setup: Setup, session: str, off: bool) -> None:
    """Keep a session whatever the retention rule says."""
    from clew.cli import find

    with setup.open(write=True) as ledger:
        id = find.session(ledger, session).id
        ledger.pin(id, not off)
    _tell_mark(setup, id, "pinned", not off)


def _tell_mark(setup: Setup, id: str, mark: str, on: bool) -> None:
    if setup.json:
        output.document({"session": id, mark: on})
    else:
        output.text(f"session {output.short(id)} is {'' if on else 'not '}{mark}")
