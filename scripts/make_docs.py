"""Write the reference pages from the code: the command line, the errors, the tables.

A test compares the committed pages with what this gives, so they cannot drift.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import runpy
import textwrap
from enum import Enum
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

import clew
from clew import access, errors, frames, prices, stats, tracing, verify
from clew.cli import main as command_line
from clew.exporting.manifest import Manifest, Written
from clew.server.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
MIGRATIONS = ROOT / "src" / "clew" / "db" / "sql" / "migrations"
NOTICE = "Made by `make docs` from the code; not edited by hand."
CLASSES: tuple[type, ...] = (
    clew.Ledger,
    clew.Session,
    tracing.Turn,
    tracing.Call,
    tracing.ModelCall,
    prices.Prices,
)
"""Those that have verbs; what they take over from a class of ours is told with them."""
RECORDS: tuple[type, ...] = (
    clew.Message,
    clew.Entry,
    clew.Event,
    clew.Position,
    clew.SessionInfo,
    clew.Checkpoint,
    clew.Compaction,
    clew.Move,
    clew.Results,
    clew.Hit,
    clew.Usage,
    clew.Span,
    clew.SpanDraft,
    clew.Snapshot,
    clew.Resumption,
    clew.OpenCall,
    clew.Denied,
    clew.Recipe,
    clew.Selection,
    clew.Shaping,
    clew.Redaction,
    clew.ExportOptions,
    clew.Splits,
    clew.Exported,
    Manifest,
    Written,
    clew.AuditRecord,
    verify.Report,
    stats.Stats,
    access.NewToken,
    access.TokenInfo,
    prices.Row,
    clew.Kind,
    clew.Reason,
    clew.Status,
    clew.Outcome,
)
WIDTH = 88  # columns, so that a page does not depend on the terminal it was made in


def pages() -> dict[str, str]:
    """Every reference page as `path from the root of the repository: text`."""
    return {
        "docs/reference/cli.md": _page("The command line", _command_line()),
        "docs/reference/library.md": _page("The library", _library()),
        "docs/reference/http.md": _page("The server's routes", _http()),
        "docs/reference/errors.md": _page("Errors", _errors()),
        "docs/reference/schema.md": _page("Tables", _schema()),
        "docs/reference/frames.schema.json": _json(frames.schema()),
        "docs/reference/frames.ts": _typescript(),
    }


def _page(title: str, sections: Iterator[str]) -> str:
    return "\n\n".join([f"# {title}", NOTICE, *sections]) + "\n"


def _code(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.strip()}\n```"


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _typescript() -> str:
    written = runpy.run_path(str(ROOT / "scripts" / "typescript.py"))["types"]
    text: str = written(frames.schema()["$defs"], NOTICE)
    return text


def _command_line() -> Iterator[str]:
    context = click.Context(
        command_line,
        info_name="clew",
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],  # as the program has them
    )
    yield from _command(context)


def _command(context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}"
    yield _code(context.command.get_help(context))
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _command(click.Context(command, parent=context, info_name=name))


def _library() -> Iterator[str]:
    """Public functions and classes with their signatures and docstrings."""
    yield "Under `clew.aio` the same verbs are awaited: `ledger = await clew.aio.open(…)`."
    yield from _callable("clew.open", clew.open)
    for kind in CLASSES:
        yield from _class(kind)
    for record in RECORDS:
        yield from _record(record)
    yield "## Frames"
    yield (
        "What `Ledger.follow` gives, and the server tells (`clew.frames`; "
        "[as JSON](frames.schema.json), [following live](../live.md))."
    )
    for frame in get_args(frames.AnyFrame):
        yield from _record(frame, level=3)


def _class(kind: type) -> Iterator[str]:
    """A class and its verbs, with those of our own classes that it stands on."""
    yield f"## {kind.__name__}"
    yield inspect.getdoc(kind) or ""
    told: set[str] = set()
    for base in kind.__mro__:
        if base in CLASSES and base is not kind:
            yield f"And everything that `{base.__name__}` has."
            return
        for name, member in vars(base).items() if base.__module__.startswith("clew") else ():
            if name in told or (name.startswith("_") and name != "__enter__"):
                continue
            told.add(name)
            yield from _member(f"{kind.__name__}.{name}", member)


def _member(name: str, member: object) -> Iterator[str]:
    verb = member.__func__ if isinstance(member, classmethod) else member
    if isinstance(member, property | cached_property):
        yield f"### {name}"
        yield inspect.getdoc(member) or ""
    elif inspect.isfunction(verb) and inspect.getdoc(verb):
        yield from _callable(name, verb)


def _record(record: type, level: int = 2) -> Iterator[str]:
    yield f"{'#' * level} {record.__name__}"
    yield inspect.getdoc(record) or ""
    if issubclass(record, Enum):
        yield ", ".join(f"`{one.value}`" for one in record)
        return
    bases = [base for base in reversed(record.__mro__) if base.__module__.startswith("clew")]
    fields = {k: v for base in bases for k, v in inspect.get_annotations(base).items()}
    if fields:
        yield ", ".join(f"`{name}: {kind}`" for name, kind in fields.items())
    words = {name: text for base in bases for name, text in _said_of_fields(base)}
    if words:
        yield "\n".join(f"- `{name}`: {text}" for name, text in words.items())


def _said_of_fields(record: type) -> Iterator[tuple[str, str]]:
    """What stands below the fields and properties of a class in its source, as one line each."""
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(record))).body
    assert isinstance(found, ast.ClassDef)
    for this, after in pairwise([*found.body, ast.Pass()]):
        match this, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(text))):
                yield name, " ".join(text.split())
            case ast.FunctionDef(name=name, decorator_list=[ast.Name("property")]), _:
                yield name, " ".join((ast.get_docstring(this) or "").split())


def _callable(name: str, verb: Callable[..., object]) -> Iterator[str]:
    signature = str(inspect.signature(verb))
    signature = re.sub(r"\((?:self|cls)(, /)?(, )?", "(", signature)
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)
    signature = re.sub(r"<function (\w+) at 0x\w+>", r"\1", signature)
    signature = re.sub(r"(: |-> )\"([^\"]*)\"", r"\1\2", signature)
    signature = re.sub(r"\bAnywhere = <\S+ object at 0x\w+>", "Anywhere = ANY", signature)
    signature = re.sub(r"= <\S+\.Anywhere object at 0x\w+>", "= ANY", signature)
    yield f"### {name}"
    yield _code("\n    ".join(textwrap.wrap(name.rpartition(".")[2] + signature, WIDTH)), "python")
    yield inspect.getdoc(verb) or ""


def _http() -> Iterator[str]:
    """The routes of the server by tag; what each takes and gives is in its own document."""
    yield (
        "Fields, limits and types are in the OpenAPI document that the server gives at "
        "`/api/v1/openapi.json`. `S` stands for `/api/v1/sessions/{session}`."
    )
    rows: dict[str, list[str]] = {}
    for route in ROUTES:
        path = route.path.replace("/api/v1/sessions/{session}", "S", 1)
        row = f"| `{route.method} {path}` | {route.scope} | {route.summary} |"
        rows.setdefault(route.name.partition(".")[0], []).append(row)
    for tag, lines in rows.items():
        yield f"## {tag}"
        yield "\n".join(["| route | scope | |", "|---|---|---|", *lines])


def _errors() -> Iterator[str]:
    yield _code(inspect.getdoc(errors) or "")
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, errors.ClewError):
            yield f"## {name}"
            yield inspect.getdoc(error) or ""


def _schema() -> Iterator[str]:
    yield (
        "One text serves both databases. `$id` is a numbered key and `$bytes` a column of bytes"
        " in the words of each."
    )
    for migration in sorted(MIGRATIONS.glob("*.sql")):
        yield f"## {migration.stem}"
        sql = re.sub(r"\n{3,}", "\n\n", migration.read_text(encoding="utf-8"))
        yield _code(textwrap.dedent(sql), "sql")


def main() -> None:
    for name, text in pages().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
