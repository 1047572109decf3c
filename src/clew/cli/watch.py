"""`clew watch`: the histories of this machine's agents, as they grow."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.ledger import Ledger
    from clew.watching import Change, Round

AWAY_SECONDS = 15.0
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How an address begins; in a path two slashes are one."""


@click.command()
@setup
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.option("--agent", "agents", multiple=True, metavar="NAME", help="This agent's only.")
@click.option(
    "--every",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.1, 3600),
    metavar="SECONDS",
    help="Between two looks while something grows; up to 15 s when nothing does.",
)
@click.option("--once", is_flag=True, help="End when all that is there was looked at.")
@click.option("--install", is_flag=True, help="Have it run from every login on.")
@click.option("--uninstall", is_flag=True, help="Take that back.")
@click.option("--dry-run", is_flag=True, help="Show what that would write or remove.")
def watch(
    setup: Setup,
    paths: tuple[Path, ...],
    agents: tuple[str, ...],
    every: float,
    once: bool,
    install: bool,
    uninstall: bool,
    dry_run: bool,
) -> None:
    """Keep the histories below PATH coming in, as `clew import` does once.

    Without PATH: from wherever the agents on this machine keep theirs. A line tells each session
    that grew. Ends on Ctrl-C or SIGTERM behind the file in hand; the next start goes on there.
    --install writes a systemd user unit or a launchd agent that does this with the ledger,
    project, paths and agents named here. Sources are never changed.
    """
    from clew.errors import Invalid, NotFound

    setup.expect_here("histories are watched")
    if any(_URL.match(str(path)) for path in paths):
        # Not said again: there may be a password in it.
        raise Invalid(
            "watch takes files and folders, no URL: `clew import URL` reads a database's tables"
        )
    if install + uninstall + once > 1 or (dry_run and not install and not uninstall):
        raise Invalid("--install, --uninstall and --once go alone; --dry-run is for the first two")
    gone = [path for path in paths if not path.exists()]
    if gone and not uninstall:
        raise NotFound(f"{gone[0]} does not exist: name files or folders with histories")
    if install or uninstall:
        _service(setup, paths, agents, every, remove=uninstall, dry_run=dry_run)
        return
    stop = threading.Event()
    with _ends(stop), ThreadPoolExecutor(1) as pool:
        # In a thread of its own: a signal's handler may set an event that another one waits for.
        pool.submit(_run, setup, paths, agents, every, once, stop).result()


@contextmanager
def _ends(stop: threading.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `stop`."""
    chosen = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda *_: stop.set()) for each in chosen]
    try:
        yield
    finally:
        for each, handler in zip(chosen, before, strict=True):
            signal.signal(each, handler)


def _run(
    setup: Setup,
    paths: tuple[Path, ...],
    agents: tuple[str, ...],
    every: float,
    once: bool,
    stop: threading.Event,
) -> None:
    from clew import watching

    ledger = _opened(setup, once, stop)
    if ledger is None:
        return
    with ledger:
        if sys.stderr.isatty() and not setup.json and not once:
            output.hint("watching; Ctrl-C ends it")
        watching.watch(
            ledger,
            paths or None,
            agents or None,
            every=every,
            once=once,
            on_round=output.document if setup.json else partial(_tell, once),
            stop=stop,
        )
        if once and not stop.is_set():
            ledger.index_now()


def _opened(setup: Setup, once: bool, stop: threading.Event) -> Ledger | None:
    """The ledger, waited for as long as it cannot be reached; `None` when told to stop."""
    from clew.errors import Unavailable

    told = None
    while not stop.is_set():
        try:
            return setup.open(write=True, create=True, durability="normal")
        except Unavailable as error:
            if once:
                raise
            if str(error) != told:
                told = str(error)
                output.say(f"clew: waiting: {output.one_line(told)}")
        stop.wait(AWAY_SECONDS)
    return None


def _tell(once: bool, found: Round) -> None:
    for change in found.changes:
        output.text(_line(change))
    for note in found.notes:
        at = "" if note.offset is None else f" at byte {note.offset:,}"
        output.text(output.paint(output.one_line(f"note: {note.path}{at}: {note.text}"), "dim"))
    if found.waiting and not once:
        output.say(f"clew: waiting: {output.one_line(found.waiting)}")
    sys.stdout.flush()


def _line(change: Change) -> str:
    said = output.plural(change.added, "record")
    what = f"new, {said}" if change.new else f"{said} more"
    title = f": {change.title}" if change.title else ""
    words = f"{output.short(change.session)} {change.agent or 'unknown'}: {what}{title}"
    return output.one_line(words)


def _service(
    setup: Setup,
    paths: tuple[Path, ...],
    agents: tuple[str, ...],
    every: float,
    *,
    remove: bool,
    dry_run: bool,
) -> None:
    from clew.cli import services

    words = ["--db", setup.url, *(["--project", setup.project] if setup.project else []), "watch"]
    words += [word for agent in agents for word in ("--agent", agent)]
    words += ["--every", f"{every:g}"] if every != 1.0 else []
    words += ["--", *(str(path.absolute()) for path in paths)] if paths else []
    service = services.here()
    text = "" if remove else service.text(services.program(), services.checked(words, setup.url))
    done = False
    if not dry_run:
        done = services.remove(service) if remove else services.write(service, text)
    commands = service.stop if remove else service.start
    if setup.json:
        facts = {"path": str(service.path), "text": text, "done": done, "commands": commands}
        output.document(facts)
        return
    for line in _plan(service, text, remove=remove, dry_run=dry_run, done=done):
        output.text(output.clean(line))


def _plan(service: object, text: str, *, remove: bool, dry_run: bool, done: bool) -> Iterator[str]:
    """What to tell the person, line by line."""
    from clew.cli.services import Service, is_ours

    assert isinstance(service, Service)  # noqa: S101 - for the checker; loaded when needed
    if remove:
        there = is_ours(service.path) if dry_run else done
        verb = "would be removed" if dry_run else "was removed"
        yield f"{service.path} {verb}." if there else f"{service.path} is not there."
        yield "To end what runs:"
        yield from (f"  {command}" for command in service.stop)
        return
    yield f"{service.path} {'would be' if dry_run else 'was'} written:"
    yield ""
    yield from (f"  {line}" for line in text.splitlines())
    yield ""
    yield "To start it, now and from every login on:"
    yield from (f"  {command}" for command in service.start)
    yield "To take it back:"
    yield "  clew watch --uninstall"
    yield from (f"  {command}" for command in service.stop)
