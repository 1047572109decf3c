"""`clew export …`: files for others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.trajectories import Exported

TIERS = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")


@click.group(no_args_is_help=False)
def export() -> None:
    """Write sessions as files for training and for other tools."""


@export.command()
@setup
@click.option("-o", "--output", "target", required=True, metavar="FILE", help="Or - for stdout.")
@click.option("--since", metavar="WHEN", help="Sessions changed since 30d, 12h or a date.")
@click.option("--until", metavar="WHEN", help="Sessions changed before.")
@click.option("--session", "names", multiple=True, metavar="SESSION", help="Only this one; repeat.")
@click.option("--agent", metavar="NAME", help="Only what this agent did.")
@click.option("--tier", type=click.Choice(TIERS, case_sensitive=False), help="Only this tier.")
@click.option("--redact/--raw", default=True, help="Replace secrets and names (the default).")
@click.option("--overwrite", is_flag=True, help="Replace FILE when it is there.")
def trajectory(
    setup: Setup,
    target: str,
    since: str | None,
    until: str | None,
    names: tuple[str, ...],
    agent: str | None,
    tier: str | None,
    redact: bool,
    overwrite: bool,
) -> None:
    """Write training trajectories, one session a line (clew-traj/1).

    Redacted unless --raw. A redacted file is scanned once more before it gets its name; when
    anything is found there, exit code 6 and no file.
    """
    from clew.cli import find

    if not redact:
        output.say("--raw: secrets and names are written as they are")
    with setup.open(write=True) as ledger, output.progress("exporting") as advance:
        ids = [find.session(ledger, name).id for name in names]
        done = ledger.export(
            output=sys.stdout.buffer if target == "-" else target,
            since=since,
            until=until,
            agent=agent,
            sessions=ids or None,
            tier=tier.upper() if tier else None,
            redact=redact,
            overwrite=overwrite,
            on_progress=advance,
        )
    if setup.json and target != "-":
        output.document(done)
    _tell(done)


def _tell(done: Exported) -> None:
    output.say(
        f"{output.plural(done.rows, 'trajectory')}, {output.size(done.bytes)} "
        f"to {done.path or 'standard output'}"
    )
    for reason, count in done.dropped.items():
        output.say(f"  {output.plural(count, 'session')} left out: {reason}")
    if done.redacted:
        total = sum(done.redactions.values())
        rules = ", ".join(f"{rule} {count:,}" for rule, count in done.redactions.items())
        output.say(f"  {output.plural(total, 'replacement')}{f': {rules}' if rules else ''}")


@export.command()
@setup
@click.argument("session")
@click.option("-o", "--output", "folder", required=True, metavar="FOLDER", help="Made anew.")
def source(setup: Setup, session: str, folder: str) -> None:
    """Give back the files that SESSION was imported from, byte for byte, not redacted.

    They go into FOLDER under their own names; no file there is ever replaced.
    """
    from clew.cli import find

    target = Path(folder)
    with setup.open() as ledger:
        files = ledger.source_bytes(find.session(ledger, session).id)
    target.mkdir(parents=True, exist_ok=True)
    written = [
        (name, _give_back(target / Path(name).name, raw), raw) for name, raw in files.items()
    ]
    if setup.json:
        output.documents(
            [{"from": name, "to": str(file), "bytes": len(raw)} for name, file, raw in written]
        )
    for name, file, raw in written:
        output.say(f"{file}: {output.size(len(raw))} as they stood in {name}")


def _give_back(file: Path, raw: bytes) -> Path:
    from clew.errors import Invalid

    try:
        with file.open("xb") as stream:
            stream.write(raw)
    except FileExistsError:
        raise Invalid(f"{file} is there already: name another folder") from None
    file.chmod(0o600)
    return file
