"""`clew token …`: who may ask the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.errors import NOTHING_FOUND
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.access import TokenInfo


@click.group(no_args_is_help=False)
def token() -> None:
    """Make, list and revoke the access tokens of the server."""


@token.command()
@setup
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="May do this; repeatable.")
@click.option("--expires", metavar="WHEN", help="Valid for 90d, 12h, or until a date.")
def create(setup: Setup, name: str, scopes: tuple[str, ...], expires: str | None) -> None:
    """Make an access token. Its text is printed now and never again.

    With --project it sees that project only, which need not be there yet.

    \b
    Scopes; without --scope those of an agent, marked *:
      session:read    *  sessions, history, search, checkpoints
      session:append  *  new sessions, messages, settings, compactions, checkpoints
      session:branch  *  branches and transfers
      session:restore *  restore, undo, clear
      session:delete     erase
      trace:read      *  spans
      trace:write     *  spans, also by OTLP
      export:run         redacted exports
      export:raw         exports that are not redacted
      audit:read         the audit log
      import:run         imports
      admin              tokens, retention, back-ups, verification
      tool:run           commands on the server's machine
    """  # noqa: D301 - \b is for click: leave the lines as they are
    from clew.access import AGENT_SCOPES

    project, setup.project = setup.project, None
    with setup.open(write=True) as ledger:
        fresh = project is not None and project not in ledger.projects()
        made = ledger.create_token(name, scopes or AGENT_SCOPES, project=project, expires=expires)
    if fresh:
        output.hint(f"there was no project {project!r}: now there is an empty one")
    if setup.json:
        output.document({"token": made.token, "info": made.info})
    else:
        output.text(made.token)
        output.hint(
            f"token {made.info.id} is shown this once: keep it where only its user can read"
        )


@token.command("list")
@setup
@click.option("--all", "everything", is_flag=True, help="Revoked and expired ones too.")
def list_(setup: Setup, everything: bool) -> int:
    """List the access tokens, newest first. Exit code 1 when there is none."""
    from clew.canonical import now_ms

    now = now_ms()
    with setup.open() as ledger:
        found = [info for info in ledger.tokens() if everything or info.state(now) == "valid"]
    if setup.json:
        output.documents(found)
    elif found:
        heads = ("id", "name", "state", "used", "expires", "project", "scopes")
        output.table(heads, [_row(info, now) for info in found])
    else:
        output.say("no token found" if everything else "no valid token found: --all lists others")
    return 0 if found else NOTHING_FOUND


def _row(info: TokenInfo, now: int) -> tuple[object, ...]:
    return (
        info.id,
        info.name,
        info.state(now),
        "never" if info.used_ms is None else output.moment(info.used_ms),
        "never" if info.expires_ms is None else output.moment(info.expires_ms),
        info.project or "(all)",
        " ".join(info.scopes),
    )


@token.command()
@setup
@click.argument("id")
def revoke(setup: Setup, id: str) -> None:
    """End a token for good. ID is its id, or its whole text.

    A running server refuses it, and closes what it opened, within a second.
    """
    with setup.open(write=True) as ledger:
        info = ledger.revoke_token(id)
    if setup.json:
        output.document(info)
    else:
        output.text(output.one_line(f"token {info.id} ({info.name}) is revoked"))
