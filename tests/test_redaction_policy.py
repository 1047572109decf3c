"""Policies by name, and secrets that somebody knows: what is taken, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from clew.errors import Invalid, NotFound
from clew.redaction import Action, Policy
from clew.redaction.known import from_environment, from_file, names_from_file
from clew.redaction.policy import strictest


def test_a_rule_goes_before_its_type_and_the_rest_is_replaced() -> None:
    policy = Policy.parse(["SECRET=block", "github = warn", "EMAIL=warn", "EMAIL=review"])
    assert policy.action("github", "SECRET") is Action.WARN
    assert policy.action("gitlab", "SECRET") is Action.BLOCK
    assert policy.action("email", "EMAIL") is Action.REVIEW
    assert policy.action("ipv4", "IP") is Action.REDACT
    assert policy.named() == {"EMAIL": "review", "SECRET": "block", "github": "warn"}
    assert Policy.of(policy.named()) == policy == pickle.loads(pickle.dumps(policy))
    assert not policy.plain
    assert Policy().plain
    assert Policy.of({"EMAIL": "redact"}).plain


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("github", "RULE=ACTION"),
        ("githb=warn", "did you mean github"),
        ("github=hide", "warn, redact, review, block"),
        ("qqqqqqqq=warn", "types are SECRET"),
    ],
)
def test_what_no_policy_is_says_what_would_be_one(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        Policy.parse([text])


def test_the_stricter_action_holds() -> None:
    assert strictest([Action.WARN, Action.REVIEW, Action.REDACT]) is Action.REVIEW
    assert strictest([Action.BLOCK, Action.REVIEW]) is Action.BLOCK
    assert strictest([]) is Action.REDACT


def test_variables_whose_names_tell_are_known() -> None:
    environ = {
        "OPENAI_API_KEY": "plainly7known4value",
        "DB_PASSWORD": "Vq8-zx71bbTr",
        "GITHUB_TOKEN": "w9Kq3vTz81LmXs",
        "AGAIN_TOKEN": "w9Kq3vTz81LmXs",
        "PGPASSWORD": "postgres",
        "PWD": "/home/x/src",
        "SECRET_FILE_PATH": "/etc/x9y8z7w6",
        "API_KEY": "${OTHER_KEY}",
        "SHORT_PASSWORD": "a1b2",
        "HOME": "/home/x9y8z7w6v5",
    }
    assert from_environment(environ) == sorted(
        ["plainly7known4value", "Vq8-zx71bbTr", "w9Kq3vTz81LmXs"]
    )


def test_lists_have_one_value_a_line(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("\ufeff# mine\n\n  kitchen sink \nkitchen sink\nžluťoučký\n", encoding="utf-8")
    assert from_file(path) == ["kitchen sink", "žluťoučký"]
    path.write_text("Bo\n")
    assert names_from_file(path) == ["Bo"]
    with pytest.raises(Invalid, match="line 1"):
        from_file(path)
    with pytest.raises(NotFound):
        from_file(tmp_path / "none")
