"""What `clew doctor` finds: agents, what they delete, what is not in the ledger, broken pairs."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import clew
from clew.cli import main
from clew.doctor import Checkup, diagnose
from clew.errors import Invalid
from clew.importers.lifetimes import Lifetime, lifetime
from store_kit import made

HERE = Path(__file__).resolve().parent
DAY = 86_400


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, with no agent in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME", "OPENCLAW_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def claude(home: Path, name: str, *records: dict[str, Any], days_old: float = 0) -> Path:
    path = home / ".claude" / "projects" / "-srv-orchard" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"sessionId": name, "cwd": "/srv/orchard", **each}) for each in records]
    path.write_text("".join(f"{line}\n" for line in lines))
    stamp = time.time() - days_old * DAY
    os.utime(path, (stamp, stamp))
    return path


def prompt(number: int, content: Any = "Water the pears") -> dict[str, Any]:
    message = {"role": "user", "content": content}
    return {"type": "user", "uuid": f"u{number}", "message": message}


def call(number: int, id: str) -> dict[str, Any]:
    block = {"type": "tool_use", "id": id, "name": "water", "input": {}}
    message = {"role": "assistant", "id": f"m{number}", "content": [block]}
    return {"type": "assistant", "uuid": f"a{number}", "message": message}


def result(number: int, id: str) -> dict[str, Any]:
    return prompt(number, [{"type": "tool_result", "tool_use_id": id, "content": "done"}])


def only(found: list[Checkup]) -> Checkup:
    assert len(found) == 1, [one.agent for one in found]
    return found[0]


def test_a_machine_without_agents_has_nothing_to_tell(home: Path) -> None:
    assert diagnose(None) == []


@pytest.mark.inside
def test_what_is_new_and_what_has_grown_is_told_from_what_is_whole(
    ledger: clew.Ledger, home: Path
) -> None:
    claude(home, "whole", prompt(1))
    grown = claude(home, "grown", prompt(1))
    ledger.import_from(home)
    grown_from = grown.stat().st_size
    claude(home, "grown", prompt(1), prompt(2))
    new = claude(home, "new", prompt(1))
    found = only(diagnose(ledger))
    assert (found.agent, found.histories, found.new, found.grown) == ("claude-code", 3, 1, 1)
    assert found.bytes_left == new.stat().st_size + grown.stat().st_size - grown_from
    ledger.import_from(home)
    again = only(diagnose(ledger))
    assert (again.new, again.grown, again.bytes_left) == (0, 0, 0)


@pytest.mark.inside
def test_what_will_be_deleted_is_counted_by_the_agents_own_rule(
    ledger: clew.Ledger, home: Path
) -> None:
    claude(home, "old", prompt(1), days_old=28)
    ledger.import_from(home)
    claude(home, "older", prompt(1), days_old=29)
    claude(home, "young", prompt(1), days_old=2)
    found = only(diagnose(ledger, deep=False))
    assert found.lifetimes == [Lifetime(30.0)]
    assert (found.going, found.lost) == (2, 1)
    assert found.next_ms is not None
    assert abs(found.next_ms / 1000 - (time.time() + DAY)) < 60
    settings = home / ".claude" / "settings.json"
    settings.write_text('{"cleanupPeriodDays": 365}')
    longer = only(diagnose(ledger, deep=False))
    assert longer.lifetimes == [Lifetime(365.0, str(settings))]
    assert (longer.going, longer.next_ms) == (0, None)


def test_calls_and_results_without_a_partner_are_found(home: Path) -> None:
    claude(home, "fine", prompt(1), call(2, "x"), result(3, "x"))
    claude(home, "cut", prompt(1), call(2, "x"), call(3, "y"), result(4, "y"), result(5, "z"))
    with claude(home, "torn", prompt(1)).open("ab") as file:
        file.write(b'no JSON\n{"type": "unfinished')
    found = only(diagnose(None))
    told = {Path(b.path).stem: (b.open_calls, b.orphan_results, b.unread) for b in found.broken}
    assert told == {"cut": (1, 1, 0), "torn": (0, 0, 1)}
    assert only(diagnose(None, deep=False)).broken == []


@pytest.mark.inside
def test_the_sessions_of_a_store_are_told_one_by_one(
    ledger: clew.Ledger, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(HERE / "golden" / "openai_agents" / "plain.sql", home / "agents")
    monkeypatch.setattr(clew.importers.openai_agents, "roots", lambda home, env: [home / "agents"])
    before = only(diagnose(ledger))
    assert (before.histories, before.new, before.bytes) == (2, 2, path.stat().st_size)
    assert [b.unread for b in before.broken] == [1]
    ledger.import_from(path)
    assert only(diagnose(ledger)).new == 1  # the empty one has nothing to bring in


def test_an_unknown_agent_is_refused(home: Path) -> None:
    with pytest.raises(Invalid, match=r"no importer 'nobody': there are .*claude-code"):
        diagnose(None, agents=["nobody"])


def test_a_store_that_cannot_be_read_is_a_note(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(HERE / "golden" / "openai_agents" / "plain.sql", home / "agents")
    agents = clew.importers.openai_agents
    monkeypatch.setattr(agents, "roots", lambda home, env: [home / "agents"])
    monkeypatch.setattr(agents, "discover", lambda root: [path])
    path.write_bytes(path.read_bytes()[:700])
    found = only(diagnose(None))
    assert found.histories == 0
    assert len(found.notes) == 1
    assert "not read" in found.notes[0]


@pytest.mark.parametrize(
    ("agent", "file", "text", "expected"),
    [
        ("claude-code", "settings.json", '{"cleanupPeriodDays": 7}', 7.0),
        ("claude-code", "settings.json", '{"cleanupPeriodDays": "7"}', 30.0),
        ("claude-code", "settings.json", "no JSON", 30.0),
        (
            "gemini-cli",
            "settings.json",
            '{"general": {"sessionRetention": {"maxAge": "48h"}}}',
            2.0,
        ),
        (
            "gemini-cli",
            "settings.json",
            '{"general": {"sessionRetention": {"enabled": false}}}',
            None,
        ),
        ("gemini-cli", "settings.json", '{"general": 1}', 30.0),
        (
            "openclaw",
            "openclaw.json",
            '{"session": {"maintenance": {"pruneAfter": "2w"}}}',
            14.0,
        ),
        ("openclaw", "openclaw.json", '{"session": {"maintenance": {"mode": "warn"}}}', None),
        ("codex", "config.toml", "", None),
    ],
)
def test_the_rules_come_from_the_settings(
    tmp_path: Path, agent: str, file: str, text: str, expected: float | None
) -> None:
    (tmp_path / file).write_text(text)
    rule = lifetime(agent, tmp_path / "histories")
    assert rule is not None
    assert rule.days == expected


def test_where_no_rule_is_known_none_is_told(tmp_path: Path) -> None:
    assert lifetime("qwen", tmp_path) is None


# --- the command ---------------------------------------------------------------------------


def doctor(db: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--db", str(db), "doctor", *words])


def test_the_command_works_before_there_is_a_ledger_and_makes_none(
    home: Path, tmp_path: Path
) -> None:
    claude(home, "old", prompt(1), call(2, "x"), days_old=28)
    done = doctor(tmp_path / "none.db")
    assert done.exit_code == 0, done.stderr
    assert "1 new" in done.stdout
    assert "1 of them not in the ledger" in done.stdout
    assert "1 call without a result" in done.stdout
    assert "deletes what did not change for 30 days (its default)" in done.stdout
    assert not (tmp_path / "none.db").exists()


def test_the_command_tells_programs_the_same(home: Path, tmp_path: Path) -> None:
    claude(home, "a", prompt(1))
    done = doctor(tmp_path / "none.db", "--quick", "--json")
    (one,) = json.loads(done.stdout)["agents"]
    assert (one["agent"], one["new"], one["deep"]) == ("claude-code", 1, False)


def test_the_command_says_when_there_is_no_agent(home: Path, tmp_path: Path) -> None:
    assert "No agent" in doctor(tmp_path / "none.db").stdout
