"""`clew import` and `clew reindex`: histories in, and the index over them."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clew.cli import output
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.gather import Progress
    from clew.ledger import Ledger
    from clew.source import Imported

NOTES_SHOWN = 10


@click.command("import")
@setup
@click.argument("path", required=False)
@click.option("--agent", metavar="NAME", help="Read as this agent's (default: find out).")
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="NAME=OWN",
    help="What a table or column is called in a database, e.g. tool_traces.chat_id=thread.",
)
@click.option("--notes", "all_notes", is_flag=True, help="Show every note, not the first ten.")
def import_(
    setup: Setup, path: str | None, agent: str | None, maps: tuple[str, ...], all_notes: bool
) -> None:
    """Bring in the histories below PATH, a file or a folder.

    Without PATH: from wherever the agents on this machine keep theirs. What is there already
    is not added again, so run it as often as you like. Sources are never changed. A
    postgresql:// URL names the database of a chat application with tool_traces and
    agent_snapshots, or what --map says they are called.
    """
    roots = [path] if path is not None else _own_roots(agent)
    tables = _tables(maps, path)
    if not roots:
        _nothing_found(setup)
        return
    with setup.open(write=True, create=True, durability="normal") as ledger:
        begun = time.monotonic()
        total = _gather(ledger, roots, agent, tables)
        ledger.sync()
        seconds = time.monotonic() - begun
        indexed = _index(ledger)
    if setup.json:
        output.document(_facts(total, roots, seconds, indexed))
    else:
        _tell(total, roots, seconds, indexed, all_notes)


def _tables(maps: tuple[str, ...], path: str | None) -> dict[str, str]:
    from clew.errors import Invalid
    from clew.tables import SCHEMES

    if maps and not (path or "").startswith(SCHEMES):
        raise Invalid("--map names the tables of a database: give its postgresql:// URL as PATH")

    for each in maps:
        if not all(each.partition("=")):
            raise Invalid(f"--map {each}: write NAME=OWN, such as tool_traces=app.calls")
    return {name: own for name, _, own in (each.partition("=") for each in maps)}


def _own_roots(agent: str | None) -> list[str]:
    from clew.errors import Invalid
    from clew.importers import IMPORTERS

    if agent is not None and agent not in IMPORTERS:
        raise Invalid(f"no importer {agent!r}: there are {', '.join(sorted(IMPORTERS))}")
    chosen = IMPORTERS.values() if agent is None else [IMPORTERS[agent]]
    return [str(root) for each in chosen for root in each.roots(Path.home(), os.environ)]


def _nothing_found(setup: Setup) -> None:
    from clew.importers import IMPORTERS
    from clew.source import Imported

    output.say(
        f"No histories were found where {', '.join(sorted(IMPORTERS))} keeps them. "
        "Name a file or folder: clew import PATH"
    )
    if setup.json:
        output.document(_facts(Imported(), [], 0.0, (0, 0.0)))


def _gather(
    ledger: Ledger, roots: list[str], agent: str | None, tables: dict[str, str]
) -> Imported:
    from clew.errors import NotFound
    from clew.source import Imported

    total = Imported()
    for root in roots:
        with output.progress("reading", in_bytes=True) as advance:
            on_bytes = partial(_on_bytes, advance)
            try:
                found = ledger.import_from(
                    root, importer=agent, tables=tables or None, on_progress=on_bytes
                )
            except NotFound:
                if len(roots) == 1:
                    raise
                continue  # an agent's folder may be empty
        _add(total, found)
    return total


def _on_bytes(advance: output.Advance, at: Progress) -> None:
    advance(at.bytes, at.bytes_total)


def _add(total: Imported, found: Imported) -> None:
    for name in found.__struct_fields__:
        setattr(total, name, getattr(total, name) + getattr(found, name))


def _index(ledger: Ledger) -> tuple[int, float]:
    """Finish what the indexer began while the import ran: the entries, and the seconds."""
    begun = time.monotonic()
    with output.progress("indexing") as advance:
        entries = ledger.index_now(on_progress=advance)
    return entries, time.monotonic() - begun


def _shown(root: str) -> str:
    """A place without the password in it."""
    scheme, sign, rest = root.partition("://")
    return f"{scheme}{sign}{rest.rpartition('@')[2]}" if sign else root


def _facts(
    total: Imported, roots: list[str], seconds: float, indexed: tuple[int, float]
) -> dict[str, Any]:
    import msgspec

    facts: dict[str, Any] = msgspec.to_builtins(total)
    facts |= {"seconds": seconds, "indexed": indexed[0], "index_seconds": indexed[1]}
    return {"roots": [_shown(root) for root in roots], **facts}


def _tell(
    total: Imported, roots: list[str], seconds: float, indexed: tuple[int, float], all_notes: bool
) -> None:
    rate = total.bytes / max(seconds, 1e-6) / 1e6
    plural = output.plural
    output.text(output.clean(f"From {', '.join(map(_shown, roots))}:"))
    unchanged = f", {total.unchanged:,} unchanged since the last time" if total.unchanged else ""
    output.text(f"  {plural(total.files, 'file')}{unchanged}")
    output.text(f"  {plural(total.sessions_new, 'new session')}, {total.sessions_grown:,} grown")
    output.text(
        f"  {plural(total.records, 'record')} read, {total.added:,} added, "
        f"{total.known:,} already known"
    )
    output.text(f"  {output.size(total.bytes)} in {seconds:.1f} s ({rate:.1f} MB/s)")
    if indexed[0]:
        output.text(f"  then indexed {plural(indexed[0], 'entry')} in {indexed[1]:.1f} s")
    shown = total.notes if all_notes else total.notes[:NOTES_SHOWN]
    for note in shown:
        at = "" if note.offset is None else f" at byte {note.offset:,}"
        line = output.one_line(f"note: {note.path}{at}: {note.text}")
        output.text(output.paint(f"  {line}", "dim"))
    if len(shown) < len(total.notes):
        output.hint(f"{len(total.notes) - len(shown):,} more notes: run it with --notes")
    output.hint("next: clew sessions, clew search WORDS")


@click.command()
@setup
@click.option("--on/--off", "search", default=None, help="Turn the index on or off for good.")
def reindex(setup: Setup, search: bool | None) -> None:
    """Build the full-text index anew. It is made from the ledger and may be lost safely."""
    with setup.open(write=True, search=search) as ledger:
        if search is False:
            indexed = 0
        else:
            with output.progress("indexing") as advance:
                indexed = ledger.reindex(on_progress=advance)
    if setup.json:
        output.document({"indexed": indexed, "search": search is not False})
    elif search is False:
        output.text("Search is turned off: clew reindex --on brings it back.")
    else:
        output.text(f"{output.plural(indexed, 'entry')} indexed.")
