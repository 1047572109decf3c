"""Write the reference pages from the code: the command line, the errors, the tables.

A test compares the committed pages with what this gives, so they cannot drift.
"""

from __future__ import annotations

import inspect
import json
import re
import runpy
import textwrap
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import click

import clew
from clew import errors, frames
from clew.cli import main as command_line
from clew.server.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
MIGRATIONS = ROOT / "src" / "clew" / "db" / "sql" / "migrations"
NOTICE = "Made by `make docs` from the code; not edited by hand."
RECORDS: tuple[type, ...] = (
    clew.Message,
    clew.Entry,
    clew.Position,
    clew.SessionInfo,
    clew.Checkpoint,
    clew.Move,
    clew.Results,
    clew.Hit,
    clew.Usage,
    clew.AuditRecord,
    clew.Kind,
    clew.Reason,
    clew.Status,
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
    for kind in (clew.Ledger, clew.Session):
        yield f"## {kind.__name__}"
        yield inspect.getdoc(kind) or ""
        for name, member in vars(kind).items():
            if name.startswith("_") and name not in ("__enter__",):
                continue
            if isinstance(member, property):
                yield f"### {kind.__name__}.{name}"
                yield inspect.getdoc(member) or ""
            elif inspect.isfunction(member) and inspect.getdoc(member):
                yield from _callable(f"{kind.__name__}.{name}", member)
    for record in RECORDS:
        yield f"## {record.__name__}"
        yield inspect.getdoc(record) or ""
        if issubclass(record, Enum):
            yield ", ".join(f"`{one.value}`" for one in record)
        else:
            fields = inspect.get_annotations(record)
            yield ", ".join(f"`{name}: {kind}`" for name, kind in fields.items())


def _callable(name: str, verb: Callable[..., object]) -> Iterator[str]:
    signature = str(inspect.signature(verb))
    signature = re.sub(r"\(self(, /)?(, )?", "(", signature)
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)
    signature = re.sub(r"<function (\w+) at 0x\w+>", r"\1", signature)
    signature = re.sub(r"At \| Anywhere = <\S+ object at 0x\w+>", "At = (anywhere)", signature)
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
