"""`clew redact`: a filter that takes secrets and personal data out of what passes through."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.options import Setup, setup
from clew.errors import Unavailable

if TYPE_CHECKING:
    from clew.redaction.engine import Redactor
    from clew.redaction.stream import Filtered

_FILE = click.Path(exists=True, dir_okay=False)


@click.command()
@setup
@click.option(
    "--as",
    "form",
    type=click.Choice(["auto", "text", "jsonl", "json"]),
    default="auto",
    help="What the input is; auto looks at each line.",
)
@click.option("--key-file", type=_FILE, metavar="FILE", help="Of placeholders; else a random key.")
@click.option("--policy", multiple=True, metavar="RULE=ACTION", help="warn, redact, review, block.")
@click.option(
    "--names",
    "name_lists",
    multiple=True,
    type=_FILE,
    metavar="FILE",
    help="Names to replace, one a line.",
)
@click.option(
    "--known",
    "known_lists",
    multiple=True,
    type=_FILE,
    metavar="FILE",
    help="Secrets to replace, one a line.",
)
@click.option("--known-from-env", is_flag=True, help="Secrets in this environment, too.")
@click.option("--report", is_flag=True, help="Tell how often each rule found something.")
def redact(
    setup: Setup,
    form: str,
    key_file: str | None,
    policy: tuple[str, ...],
    name_lists: tuple[str, ...],
    known_lists: tuple[str, ...],
    known_from_env: bool,
    report: bool,
) -> None:
    """Replace secrets and personal data in standard input; what is left goes to standard output.

    JSON stays JSON. A value found once is replaced everywhere, so nothing is written before all
    was read; it waits in a temporary file. What was made is looked at once more, and when
    anything is found there, exit code 6 and no output. Needs no ledger. With --json the report
    is a JSON document on standard error.
    """
    from clew.redaction import known
    from clew.redaction.stream import Form, redact_stream

    if sys.stdin is None or sys.stdout is None:
        raise Unavailable("standard input or output is closed: there is nowhere to read or write")
    secrets = [one for path in known_lists for one in known.from_file(path)]
    if known_from_env:
        secrets += known.from_environment()
    names = [one for path in name_lists for one in known.names_from_file(path)]
    done = redact_stream(
        sys.stdin.buffer,
        sys.stdout.buffer,
        _redactor(key_file, policy, names, secrets),
        Form(form),
    )
    if setup.json:
        facts = {
            "finds": dict(sorted(done.rules.items())),
            "left": dict(sorted(done.left.items())),
            "not_spread": done.not_spread,
            "records": done.records,
            "review": done.review,
            "no_json": done.bad_lines,
        }
        click.echo(output.as_json(facts), err=True)
    elif report:
        _tell(done)
    else:
        _warn(done)


def _redactor(
    key_file: str | None, policy: tuple[str, ...], names: list[str], secrets: list[str]
) -> Redactor:
    from clew.redaction.engine import Redactor
    from clew.redaction.policy import Policy

    if key_file is None:
        output.say("a random key: the same value gets another placeholder in the next run")
        key = os.urandom(32)
    else:
        key = Path(key_file).read_bytes().strip()
    return Redactor(
        key,
        known=dict.fromkeys(secrets),
        names=dict.fromkeys(names),
        policy=Policy.parse(policy),
    )


def _tell(done: Filtered) -> None:
    total = sum(done.rules.values())
    what, where = output.plural(total, "replacement"), output.plural(done.records, "record")
    output.say(f"{what} in {where}")
    for rule, count in sorted(done.rules.items()):
        output.say(f"  {rule} {count:,}")
    for rule, count in sorted(done.left.items()):
        output.say(f"  {rule} {count:,} left as they are, as the policy says")
    _warn(done)


def _warn(done: Filtered) -> None:
    if done.not_spread:
        output.say(
            f"{output.plural(done.not_spread, 'value')} were too many to be remembered: they were "
            "replaced where a rule found them, and not wherever else they stand"
        )
    if done.bad_lines:
        output.say(f"{output.plural(done.bad_lines, 'line')} were no JSON and were taken for text")
    if done.review:
        output.say(f"{output.plural(done.review, 'record')} to be looked at by a person")
