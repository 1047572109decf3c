"""The rules of the house, checked on the code itself: sizes, names of queries, what papers say."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import clew
from clew.db.database import queries

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "clew"
SQL = SOURCE / "db" / "sql"
DIALECTS = ("sqlite", "postgres")

FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 70
QUERY_VERBS = {"one", "all", "run", "many", "fill"}
PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


class Use(NamedTuple):
    """One place in the code that runs a named query."""

    where: str
    query: str
    parameters: frozenset[str] | None
    """`None` when they are not written out at the call."""


def _modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- sizes ---------------------------------------------------------------------------------


def test_no_file_is_too_long() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in _modules()}
    assert lengths, "no module found: the test looks in the wrong place"
    too_long = {name: length for name, length in lengths.items() if length > FILE_LINES_MAX}
    assert not too_long, f"more than {FILE_LINES_MAX} lines: split by concern"


def test_no_function_is_too_long() -> None:
    too_long = []
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    too_long.append(f"{_name(path)}:{node.lineno} {node.name}: {length} lines")
    assert not too_long, f"more than {FUNCTION_LINES_MAX} lines: give its steps names"


def test_every_module_says_what_it_is() -> None:
    silent = [
        _name(path)
        for path in _modules()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, "a module's docstring states its model and invariant"


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError")
    left = [
        f"{_name(path)}:{number}"
        for path in _modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert not left


# --- named queries -------------------------------------------------------------------------


def _blocks(path: Path) -> list[str]:
    return re.findall(r"^-- name: (\S+)", path.read_text(), flags=re.MULTILINE)


def _literals(node: ast.expr) -> Iterator[str]:
    """The query names that the first argument may stand for: `"a"`, `"a" if x else "b"`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


def _written_out(call: ast.Call) -> frozenset[str] | None:
    names = [keyword.arg for keyword in call.keywords]
    if len(call.args) > 1 or None in names:
        return None
    return frozenset(name for name in names if name)


def _calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Every call of a query verb: where, the call, and on what (`tx`, `self._tx`, …)."""
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in QUERY_VERBS
                and node.args
            ):
                yield f"{_name(path)}:{node.lineno}", node, ast.unparse(node.func.value)


def _uses() -> list[Use]:
    return [
        Use(where, name, _written_out(call))
        for where, call, _target in _calls()
        for name in _literals(call.args[0])
    ]


def _dialects_of(use: Use) -> tuple[str, ...]:
    """A dialect's own module runs its own queries; all others have to work on both."""
    own = tuple(name for name in DIALECTS if use.where.startswith(f"src/clew/db/{name}.py"))
    return own or DIALECTS


def test_the_name_of_a_query_is_written_out_at_the_call() -> None:
    hidden = [
        where
        for where, call, target in _calls()
        if target.endswith("tx") and not list(_literals(call.args[0]))
    ]
    assert not hidden, "the other checks here see only names that are written out"


def test_every_query_that_is_run_exists() -> None:
    missing = [
        f"{use.where}: {use.query} ({dialect})"
        for use in _uses()
        for dialect in _dialects_of(use)
        if use.query not in queries(dialect)
    ]
    assert not missing


def test_every_query_that_exists_is_run() -> None:
    used = {use.query for use in _uses()}
    unused = [
        f"{path.name}: {name}"
        for path in sorted(SQL.glob("*.sql"))
        for name in _blocks(path)
        if name not in used
    ]
    assert not unused


def test_no_query_is_named_twice() -> None:
    for path in sorted(SQL.glob("*.sql")):
        names = _blocks(path)
        assert len(names) == len(set(names)), f"{path.name} names a query twice"


def test_every_call_gives_the_parameters_of_its_query() -> None:
    wrong = []
    for use in _uses():
        for dialect in _dialects_of(use):
            wanted = frozenset(PARAMETER.findall(queries(dialect).get(use.query, "")))
            if use.parameters is not None and use.parameters != wanted:
                wrong.append(f"{use.where}: {use.query} takes {sorted(wanted)} on {dialect}")
    assert not wrong


def test_a_query_that_is_filled_in_order_names_each_value_once_and_in_one_order() -> None:
    filled = {
        name
        for _where, call, _target in _calls()
        if isinstance(call.func, ast.Attribute) and call.func.attr == "fill"
        for name in _literals(call.args[0])
    }
    orders = {
        name: {dialect: PARAMETER.findall(queries(dialect)[name]) for dialect in DIALECTS}
        for name in filled
    }
    assert {"entry_add", "record_add", "usage_set"} <= filled
    for name, order in orders.items():
        assert len({tuple(names) for names in order.values()}) == 1, name
        assert all(len(names) == len(set(names)) for names in order.values()), name


# --- papers --------------------------------------------------------------------------------


def _project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project: dict[str, Any] = tomllib.load(file)["project"]
        return project


def test_the_version_is_the_same_everywhere() -> None:
    version = _project()["version"]
    assert clew.__version__ == version
    assert importlib.metadata.version("clew") == version, "run make again: .venv holds another"
    newest = re.search(r"^## \[?v?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None, "CHANGELOG.md has no version heading (## 1.2.3)"
    assert newest[1] == version


def _make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


@pytest.mark.parametrize("paper", ["README.md", "CONTRIBUTING.md"])
def test_a_paper_names_only_commands_that_exist(paper: str) -> None:
    text = (ROOT / paper).read_text()
    named = set(re.findall(r"(?:^(?:\$ | {4})?|`)make ([a-z]+)", text, flags=re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= _make_targets()


@pytest.mark.parametrize("paper", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_a_paper_links_only_to_files_that_exist(paper: str) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", (ROOT / paper).read_text())
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_reference_pages_say_what_the_code_says() -> None:
    pages: dict[str, str] = runpy.run_path(str(ROOT / "scripts" / "make_docs.py"))["pages"]()
    stale = [
        name
        for name, text in pages.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text() != text
    ]
    assert not stale, "write them anew: make docs"


# --- addresses -----------------------------------------------------------------------------


def test_no_file_names_an_address_that_only_one_machine_knows() -> None:
    check = runpy.run_path(str(ROOT / "scripts" / "check_hosts.py"))
    assert check["findings"](ROOT) == []


@pytest.mark.parametrize(
    "bad", ["https://files.pythonhosted" + ".org/x", "file:" + "///tmp/x", "cd /" + "work/main"]
)
def test_the_address_check_finds_them(tmp_path: Path, bad: str) -> None:
    check = runpy.run_path(str(ROOT / "scripts" / "check_hosts.py"))
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "notes.txt").write_text(f"fine\n{bad}\nsqlite:///ledger.db src/work/x\n")
    assert [line.split(": ")[0] for line in check["findings"](tmp_path)] == ["notes.txt:2"]
