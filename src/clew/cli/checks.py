"""`clew audit …` and `clew verify`: who did what, and whether it all still agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.errors import NOTHING_FOUND
from clew.cli.options import Setup, setup
from clew.cli.sessions import time_ms

if TYPE_CHECKING:
    from clew.model import AuditRecord
    from clew.verify import Report


@click.group(no_args_is_help=False)
def audit() -> None:
    """Read and check the log of who did what, when."""


@audit.command("list")
@setup
@click.argument("session", required=False)
@click.option("--action", metavar="NAME", help="Only this action, for example compaction.")
@click.option("--since", metavar="WHEN", help="Since 7d, 12h or a date.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
def list_(
    setup: Setup, session: str | None, action: str | None, since: str | None, limit: int
) -> int:
    """List audit records, newest first, of SESSION or of all. Exit code 1 when there is none.

    They hold who, what and when, and never what was said.
    """
    from clew.cli import find

    with setup.open() as ledger:
        found = ledger.audit(
            session=find.session(ledger, session).id if session else None,
            action=action,
            since_ms=time_ms(since),
            limit=limit,
        )
    if setup.json:
        output.documents(found)
    elif found:
        output.table(("time", "session", "#", "actor", "action", "facts"), [*map(_row, found)])
    if not found:
        output.say("no audit record found")
    return 0 if found else NOTHING_FOUND


def _row(record: AuditRecord) -> tuple[object, ...]:
    facts = " ".join(f"{key}={output.as_json(value)}" for key, value in record.facts.items())
    where = output.short(record.session) if record.session else f"({record.project})"
    when = output.moment(record.time_ms)
    return when, where, record.number, record.actor, record.action, facts


@audit.command("verify")
@setup
def verify_audit(setup: Setup) -> int:
    """Follow every audit chain from its beginning. Exit code 1 when one does not fit."""
    return _verify(setup, audit_only=True)


@click.command()
@setup
def verify(setup: Setup) -> int:
    """Derive every hash, pointer and projection again and compare. Exit code 1 on a problem.

    With --json also the ends of all chains: keep them elsewhere, and a cut-off log shows too.
    """
    return _verify(setup, audit_only=False)


def _verify(setup: Setup, *, audit_only: bool) -> int:
    with setup.open() as ledger, output.progress("verifying") as advance:
        report = ledger.verify(audit_only=audit_only, on_progress=advance)
    if setup.json:
        output.document(report)
    else:
        _show(report, audit_only)
    return 0 if report.ok else NOTHING_FOUND


def _show(report: Report, audit_only: bool) -> None:
    plural = output.plural
    counts = [plural(report.sessions, "session"), plural(report.audit_records, "audit record")]
    if not audit_only:
        counts += [
            plural(report.entries, "entry"),
            plural(report.events, "event"),
            plural(report.frames, "frame"),
            plural(report.blobs, "blob"),
        ]
    output.text(f"Looked at {', '.join(counts)}.")
    for problem in report.problems:
        output.text(output.paint(output.one_line(problem), "bad"))
    if report.ok:
        output.text(output.paint("All of it agrees.", "good"))
    else:
        output.text(output.paint(f"{plural(len(report.problems), 'problem')} found.", "bad"))
