"""`clew token`: made once, listed without secrets, revoked; and what an old server sees of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

import clew
from clew import access
from clew.access import AGENT_SCOPES, Scope
from clew.cli import main
from clew.cli.tokens import create

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def db(tmp_path: Path) -> str:
    path = tmp_path / "ledger.db"
    with clew.open(path) as ledger:
        ledger.create(project="web")
    return str(path)


def run(db: str, *words: str) -> Result:
    return CliRunner().invoke(main, ["--db", db, *words])


def made(db: str, *words: str) -> str:
    result = run(db, "token", "create", *words)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout.strip())


def _check(db: str, token: str) -> access.Access:
    with clew.open(db) as ledger:
        return access.check(ledger, token)


def test_a_token_is_printed_once_and_alone(db: str) -> None:
    result = run(db, "token", "create", "agent")
    token = result.stdout.strip()
    assert _check(db, token).scopes == set(AGENT_SCOPES)
    assert "this once" in result.stderr
    assert token not in result.stderr
    listing = run(db, "token", "list")
    assert "agent" in listing.stdout
    assert token.split("_", 2)[2] not in listing.stdout


def test_a_token_gets_what_is_asked_for(db: str) -> None:
    scopes = ["--scope", "audit:read", "--scope", "admin"]
    token = made(db, "ops", *scopes, "--expires", "30d", "--project", "web")
    found = _check(db, token)
    assert found.scopes == {"audit:read", "admin"}
    assert found.project == "web"
    assert found.expires_ms is not None


@pytest.mark.parametrize(
    "words",
    [["x", "--scope", "everything"], ["x", "--expires", "yesterday"], ["x", "--project", "a\0b"]],
)
def test_what_cannot_be_is_refused(db: str, words: list[str]) -> None:
    result = run(db, "token", "create", *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert run(db, "token", "list", "--all").exit_code == 1


def test_a_project_need_not_be_there_yet(db: str) -> None:
    result = run(db, "--project", "shop", "token", "create", "shop agents")
    assert result.exit_code == 0
    assert "no project 'shop'" in result.stderr
    found = _check(db, result.stdout.strip())
    assert found.project == "shop"
    with clew.open(db) as ledger:
        assert "shop" in ledger.projects()
    again = run(db, "--project", "shop", "token", "create", "more")
    assert (again.exit_code, "no project" in again.stderr) == (0, False)


def test_where_no_ledger_is_it_says_what_makes_one(tmp_path: Path) -> None:
    result = run(str(tmp_path / "new.db"), "token", "create", "x")
    assert result.exit_code != 0
    assert "`clew import` and `clew serve` make one" in result.stderr


def test_a_revoked_token_opens_nothing(db: str) -> None:
    token = made(db, "agent")
    id = token.split("_")[1]
    assert run(db, "token", "revoke", id).exit_code == 0
    with pytest.raises(clew.Unauthorized):
        _check(db, token)
    assert run(db, "token", "list").exit_code == 1
    assert "revoked" in run(db, "token", "list", "--all").stdout
    assert run(db, "token", "revoke", "0" * 16).exit_code == 2


def test_a_token_that_leaked_is_revoked_by_its_text(db: str) -> None:
    token = made(db, "agent")
    result = run(db, "token", "revoke", token)
    assert result.exit_code == 0
    assert token not in result.stdout


def test_as_json(db: str) -> None:
    def documents(*words: str) -> list[Any]:
        return [json.loads(line) for line in run(db, *words, "--json").stdout.splitlines()]

    (told,) = documents("token", "create", "agent")
    assert told["token"].startswith(f"clew_{told['info']['id']}_")
    (listed,) = documents("token", "list")
    assert listed == told["info"]
    (revoked,) = documents("token", "revoke", listed["id"])
    assert revoked["revoked_ms"] is not None


def test_a_hostile_name_cannot_move_the_cursor(db: str) -> None:
    with clew.open(db) as ledger:
        ledger.create_token("\x1b[2Jred \u202egnp", [Scope.ADMIN])
    assert "\x1b" not in run(db, "token", "list").stdout


def test_the_help_names_every_scope_and_marks_the_usual_ones() -> None:
    told = {}
    for line in (create.help or "").splitlines():
        words = line.split()
        if (words and ":" in words[0]) or words[:1] == ["admin"]:
            told[words[0]] = words[1:2] == ["*"]
    told.pop("Scopes;", None)
    assert {name for name in told if name in set(Scope)} == set(Scope)
    assert {name for name, usual in told.items() if usual} == set(AGENT_SCOPES)
