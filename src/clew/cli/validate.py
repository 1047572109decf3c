"""`clew validate`: is a file what its trainer takes?"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clew.cli import output
from clew.cli.errors import NOTHING_FOUND
from clew.cli.options import Setup, setup

if TYPE_CHECKING:
    from clew.exporters.base import Row
    from clew.exporters.checking.files import Found, Read, Reader

SHOWN = 20
_PACKED = (".gz", ".zst")
_BESIDE = ("manifest.json", ".manifest.json")
"""What an export writes beside its rows."""
_SAME_SHAPE = {"parquet": "native"}


@click.command()
@setup
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--as", "name", required=True, metavar="FORMAT", help="trl, openai, atif, native, …")
@click.option(
    "--max",
    "most",
    type=click.IntRange(0),
    default=SHOWN,
    show_default=True,
    help="Show so many problems; all are counted.",
)
def validate(setup: Setup, files: tuple[str, ...], name: str, most: int) -> int:
    """Hold every row of FILE against the rules of FORMAT. Exit code 1 when one breaks a rule.

    FILE is what `clew export` wrote, or anybody: JSON lines, plain, .gz or .zst; a Parquet file of
    native rows; a document of ATIF; a folder of these; or - for standard input. The rules go
    beyond what the formats' own validators check; docs/validation.md tells them all.
    """
    from clew.errors import Invalid
    from clew.exporters import formats
    from clew.exporters.checking.files import Reader

    chosen = formats.named(_SAME_SHAPE.get(name, name))
    if chosen.check is None:
        known = ", ".join(one.name for one in formats.FORMATS.values() if one.check)
        raise Invalid(f"{name} is for people to read and has no rules: choose from {known}")
    reader = Reader(chosen)
    shown: list[tuple[str, Found]] = []
    unread: list[Exception] = []
    looked = 0
    for file in _files(files, chosen.name):
        looked += 1
        for found in _read(file, reader, chosen.name, unread):
            if len(shown) < most:
                shown.append((file, found))
                if not setup.json:
                    _show(file, found)
    if unread and looked == 1:
        raise unread[0]
    if setup.json:
        output.document(_facts(reader, name, looked, shown))
    else:
        _summarise(reader, name, looked, len(shown))
    _say(unread)
    return NOTHING_FOUND if reader.tally.problems else 0


# --- files ---------------------------------------------------------------------------------


def _files(given: tuple[str, ...], name: str) -> Iterator[str]:
    """Each file that was named or stands in a folder that was. Raises `NotFound`."""
    from clew.errors import NotFound

    for one in given:
        path = Path(one)
        if one == "-" or (path.exists() and not path.is_dir()):
            yield one
        elif not path.is_dir():
            raise NotFound(f"{one}: there is no such file")
        else:
            inside = sorted(str(file) for file in path.rglob("*") if _takes(file, name))
            if not inside:
                raise NotFound(f"{one}: there is no file of the format {name} in this folder")
            yield from inside


def _read(file: str, reader: Reader, name: str, unread: list[Exception]) -> Iterator[Found]:
    """What is found in a file. One that is damaged says nothing of the others, so why it cannot be
    read is put to `unread`.
    """
    from clew.errors import ClewError

    try:
        yield from _found(file, reader, name)
    except (ClewError, OSError) as error:
        unread.append(error)


def _say(unread: list[Exception]) -> None:
    """Tell of files that cannot be read; the first decides how the program ends."""
    for error in unread[1:]:
        output.hint(str(error))
    if unread:
        raise unread[0]


def _takes(file: Path, name: str) -> bool:
    """Whether a file in a folder may hold rows of the format."""
    if not file.is_file() or file.name.startswith(".") or file.name.endswith(_BESIDE):
        return False
    suffix = _plain(file).suffix
    return suffix == ".jsonl" or suffix == {"atif": ".json", "native": ".parquet"}.get(name)


def _plain(file: Path) -> Path:
    return file.with_suffix("") if file.suffix in _PACKED else file


def _found(file: str, reader: Reader, name: str) -> Iterator[Found]:
    from clew.errors import Invalid

    path = Path(file)
    if file != "-" and path.suffix == ".parquet":
        if name != "native":
            raise Invalid(f"{file}: a Parquet file holds native rows: say --as native")
        yield from reader.rows(_table(path))
        return
    whole = name == "atif" and file != "-" and _plain(path).suffix == ".json"
    with _opened(file) as read:
        yield from reader.document(read) if whole else reader.lines(read)


def _table(path: Path) -> Iterator[Row]:
    from clew.errors import Invalid
    from clew.exporters.packages import parquet

    try:
        yield from parquet.rows(path)
    except (OSError, ValueError, KeyError) as error:
        # What pyarrow raises for a damaged file are kinds of these; so is msgspec's.
        raise Invalid(f"{path}: it is no Parquet file of native rows ({error})") from error


@contextmanager
def _opened(file: str) -> Iterator[Read]:
    """What reads a file, unpacked. Raises `Invalid` for a damaged packing."""
    from clew.errors import Invalid
    from clew.importers import packed

    if file == "-":
        yield sys.stdin.buffer.read
        return
    path = Path(file)
    if not path.is_file():  # a pipe, named by whoever runs this: read as it comes
        with path.open("rb") as stream:
            yield stream.read
        return
    try:
        with packed.opened(path) as stream:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=stream) as inside:
                    yield inside.read
            else:
                yield stream.read
    except (gzip.BadGzipFile, EOFError) as error:
        raise Invalid(f"{file}: it cannot be unpacked ({error})") from error
    except Invalid as error:
        raise Invalid(f"{file}: {error}") from error


# --- what is told --------------------------------------------------------------------------


def _show(file: str, found: Found) -> None:
    problem = found.problem
    where = f"{problem.where}: " if problem.where else ""
    rule = output.paint(f"[{problem.rule}]", "rule")
    output.text(f"{output.one_line(f'{file}:{found.line}: {where}{problem.text}')} {rule}")


def _summarise(reader: Reader, name: str, files: int, shown: int) -> None:
    tally = reader.tally
    left = tally.problems - shown
    if left:
        output.hint(f"{output.plural(left, 'problem')} more: --max shows them")
    if tally.problems:
        output.table(("rule", "problems"), tally.by_rule.most_common())
    looked = f"{output.plural(tally.rows, 'row')} in {output.plural(files, 'file')}"
    if tally.problems:
        verdict = f"{looked}: {tally.unfit:,} not fit for {name}, {tally.problems:,} problems."
        output.text(output.paint(verdict, "bad"))
    else:
        output.text(output.paint(f"{looked}: all fit for {name}.", "good"))


def _facts(
    reader: Reader, name: str, files: int, shown: list[tuple[str, Found]]
) -> dict[str, object]:
    tally = reader.tally
    return {
        "format": name,
        "files": files,
        "rows": tally.rows,
        "unfit": tally.unfit,
        "problems": tally.problems,
        "by_rule": dict(tally.by_rule.most_common()),
        "shown": [
            {
                "file": file,
                "line": found.line,
                "rule": found.problem.rule,
                "where": found.problem.where,
                "text": found.problem.text,
            }
            for file, found in shown
        ],
    }
