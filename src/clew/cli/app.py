"""The group of all commands: where each is found, and how each ends."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from clew.cli import errors
from clew.cli.options import Setup, global_options

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = {
    "import": "imports:import_",
    "watch": "watch:watch",
    "doctor": "doctor:doctor",
    "sessions": "sessions:sessions",
    "show": "show:show",
    "search": "search:search",
    "trace": "traces:trace",
    "follow": "traces:follow",
    "resume": "traces:resume",
    "checkpoint": "checkpoint:checkpoint",
    "undo": "checkpoint:undo",
    "compact": "checkpoint:compact",
    "config": "settings:config",
    "transfer": "settings:transfer",
    "export": "export:export",
    "redact": "redact:redact",
    "validate": "validate:validate",
    "source": "export:source",
    "restore-file": "restore:restore_file",
    "handoff": "handoff:handoff",
    "audit": "checks:audit",
    "verify": "checks:verify",
    "stats": "figures:stats",
    "usage": "figures:usage",
    "backup": "care:backup",
    "erase": "care:erase",
    "retain": "care:retain",
    "gc": "care:gc",
    "archive": "care:archive",
    "pin": "care:pin",
    "serve": "serve:serve",
    "token": "tokens:token",
    "mcp": "mcp:mcp",
    "reindex": "imports:reindex",
}
"""Each command's module in this package, and its name there."""

EPILOG = (
    "\b\nSESSION is an id, the unique beginning of one, or `latest`."
    "\nAT is an entry (`12`, `SESSION:12`), a checkpoint's id or the unique beginning"
    "\nof one, or `root`."
    "\n--db, --project and --json may also stand behind the command."
    "\n\n\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {what}" for code, what in errors.EXIT_CODES)
)


class App(click.Group):
    """A group that loads a command when it is asked for and maps every error to one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which they are shown."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command's module; `None` for an unknown name."""
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        module, _, name = found.partition(":")
        command: click.Command = getattr(importlib.import_module(f"clew.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A closed pipe is told apart here, before click hides it."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            ctx.exit(errors.report(error, as_json=False))
        return result

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Read the arguments and run; see `click.Group.main`."""
        if not standalone_mode:
            return super().main(args, prog_name, standalone_mode=False, **extra)
        for stream in (sys.stdout, sys.stderr):
            # An old terminal's encoding must not stop a listing half-way.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        words = sys.argv[1:] if args is None else args
        # A polite kill ends like Ctrl-C: what is half-written is taken away.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except Exception as error:  # noqa: BLE001 - the end of the line: it is told, once
            code = errors.report(error, as_json="--json" in words)
        sys.exit(code if isinstance(code, int) else 0)


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from clew import __version__

        click.echo(f"clew {__version__}")
        context.exit()


@click.command(
    cls=App,
    name="clew",
    epilog=EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version.",
)
@global_options(hidden=False)
@click.pass_context
def main(context: click.Context) -> None:
    """The durable session ledger for LLM agents: record, retrace, search, export.

    Begin with `clew import`: it finds the histories of the agents on this machine.
    """
    context.ensure_object(Setup)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
