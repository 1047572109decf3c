"""`clew config …` and `clew transfer`: a session's settings, and its address."""

from __future__ import annotations

from typing import Any, Literal

import click

from clew.cli import output
from clew.cli.errors import NOTHING_FOUND
from clew.cli.options import Setup, setup


@click.group(no_args_is_help=False)
def config() -> None:
    """Read and change a session's settings. They go back with a restore."""


@config.command("list")
@setup
@click.argument("session")
def list_(setup: Setup, session: str) -> int:
    """List all settings. Exit code 1 when there is none."""
    values = _values(setup, session)
    if setup.json:
        output.document(values)
    else:
        for key, value in sorted(values.items()):
            output.text(f"{output.one_line(key)} = {output.as_json(value)}")
    if not values:
        output.say("this session has no settings")
    return 0 if values else NOTHING_FOUND


@config.command()
@setup
@click.argument("session")
@click.argument("key")
def get(setup: Setup, session: str, key: str) -> int:
    """Print one setting: a text as it is, anything else as JSON. Exit code 1 when unset."""
    values = _values(setup, session)
    if key not in values:
        output.say(f"{key} is not set")
        return NOTHING_FOUND
    value = values[key]
    if setup.json:
        output.document(value)
    else:
        output.text(output.clean(value) if isinstance(value, str) else output.as_json(value))
    return 0


@config.command("set")
@setup
@click.argument("session")
@click.argument("key")
@click.argument("value")
def set_(setup: Setup, session: str, key: str, value: str) -> None:
    """Change one setting. VALUE is JSON (`true`, `3`, `{…}`); anything else is a text."""
    from clew.cli import find

    parsed = _parsed(value)
    with setup.open(write=True) as ledger:
        find.session(ledger, session).config[key] = parsed
    if setup.json:
        output.document({key: parsed})
    else:
        output.say(f"{key} = {output.as_json(parsed)}")


@config.command()
@setup
@click.argument("session")
@click.argument("key")
def unset(setup: Setup, session: str, key: str) -> int:
    """Remove one setting. Exit code 1 when it is not set."""
    from clew.cli import find

    with setup.open(write=True) as ledger:
        settings = find.session(ledger, session).config
        found = key in settings
        if found:
            del settings[key]
    if setup.json:
        output.document({"removed": found})
    output.say(f"{key} was removed" if found else f"{key} is not set")
    return 0 if found else NOTHING_FOUND


def _values(setup: Setup, session: str) -> dict[str, Any]:
    from clew.cli import find

    with setup.open() as ledger:
        return dict(find.session(ledger, session).config)


def _parsed(text: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


@click.command()
@setup
@click.argument("session")
@click.option("--frontend", required=True, metavar="NAME", help="Where it goes on.")
@click.option("--user", required=True, metavar="NAME", help="Whose it is there.")
@click.option("--move", is_flag=True, help="Move this session itself, not what it holds.")
@click.option(
    "--config",
    "whose",
    type=click.Choice(["source", "target"]),
    default="source",
    show_default=True,
    help="Whose settings hold.",
)
def transfer(
    setup: Setup,
    session: str,
    frontend: str,
    user: str,
    move: bool,
    whose: Literal["source", "target"],
) -> None:
    """Hand a conversation to another frontend or user, in one step.

    The session there then stands where this one stands; what it held stays as a branch.
    """
    from clew.cli import find

    with setup.open(write=True) as ledger:
        owner = find.session(ledger, session)
        info = owner.transfer_to(frontend=frontend, user=user, move=move, config=whose).info
    if setup.json:
        output.document(info)
    else:
        name = output.one_line(f"{user} at {frontend}")
        output.text(f"{name}: session {output.short(info.id)} at {info.head or 'the root'}")
