"""What every command takes: which ledger, which project, and whether to print JSON.

The three may stand before or behind the command's name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

if TYPE_CHECKING:
    from clew.ledger import Ledger

F = TypeVar("F", bound=Callable[..., Any])


class Setup:
    """What was said about the ledger, filled in while the arguments are read."""

    def __init__(self) -> None:
        self.db: str | None = None
        self.project: str | None = None
        self.json = False

    @property
    def url(self) -> str:
        """The ledger's URL."""
        from clew.opening import as_url, default_url

        return as_url(self.db) if self.db else default_url()

    def expect_here(self, what: str) -> None:
        """Raise `Invalid` for a server's ledger, of which only the verbs can be had."""
        from clew.errors import Invalid
        from clew.opening import is_remote

        if is_remote(self.url):
            raise Invalid(f"{what} where the ledger is: --db names a server's, not a database")

    def open(
        self,
        *,
        write: bool = False,
        create: bool = False,
        durability: Literal["full", "normal"] = "full",
        search: bool | None = None,
    ) -> Ledger:
        """Open the ledger. Only with `create` is one made where there is none, and only then
        may the project be a new one: a mistyped name must not leave an empty one behind.

        Raises `NotFound`, and all that `clew.open` raises.
        """
        import clew
        from clew.opening import is_remote

        url = self.url
        if not create:
            self._expect(url)
        if is_remote(url):
            return clew.open(url, project=self.project, read_only=not write)
        return clew.open(
            url,
            project=self.project,
            durability=durability,
            read_only=not write,
            search=search,
        )

    def _expect(self, url: str) -> None:
        import clew

        path = url.removeprefix("sqlite:///").partition("?")[0]
        if url.startswith("sqlite:///") and path != ":memory:" and not Path(path).exists():
            raise clew.NotFound(
                f"{path}: there is no ledger here: `clew import` and `clew serve` make one, "
                "--db names another"
            )
        if self.project is not None:
            with clew.open(url, read_only=True) as ledger:
                known = ledger.projects()
            if self.project not in known:
                some = ", ".join(known[:10]) or "none"
                raise clew.NotFound(f"no project {self.project!r} in this ledger: there are {some}")


pass_setup = click.make_pass_decorator(Setup, ensure=True)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value == "":
        raise click.BadParameter("is empty: leave it out, or name one", context, parameter)
    if value:
        setattr(context.ensure_object(Setup), str(parameter.name), value)


def global_options(*, hidden: bool = True) -> Callable[[F], F]:
    """Add `--db`, `--project` and `--json`; shown in the help of `clew` alone."""

    def decorate(function: F) -> F:
        options = (
            click.option(
                "--db",
                metavar="URL|PATH",
                help="The ledger: a file, sqlite:///path, postgresql://…, or a server's https://… "
                "with its token in CLEW_TOKEN (default: CLEW_DB, else a file in your data folder).",
                expose_value=False,
                callback=_keep,
                hidden=hidden,
            ),
            click.option(
                "--project",
                metavar="NAME",
                help="See and change this project only.",
                expose_value=False,
                callback=_keep,
                hidden=hidden,
            ),
            click.option(
                "--json",
                is_flag=True,
                help="Print JSON: one document, or one a line for a list.",
                expose_value=False,
                callback=_keep,
                hidden=hidden,
            ),
        )
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def setup(function: F) -> F:
    """Give a command the global options, and the `Setup` they fill as its first argument."""
    return cast("F", pass_setup(global_options()(function)))
