"""Every command through click's runner: what it prints, as text and as JSON, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import pytest
from click.testing import CliRunner, Result

import clew
from clew.cli import main
from clew.cli.app import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = Path(__file__).resolve().parent.parent / "samples" / "claude-code"
HOSTILE = "\x1b]0;owned\x07\x1b[2Jred\x9b31m \u202egnp.exe\u202c \u200btail\r\nnext"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]")


class Stage(NamedTuple):
    """A ledger with one long session, one with hostile text, and one of another project."""

    path: Path
    long: str
    hostile: str
    other: str

    def run(self, *words: str, **more: Any) -> Result:
        return CliRunner().invoke(main, ["--db", str(self.path), *words], **more)

    def ok(self, *words: str) -> Result:
        result = self.run(*words)
        assert result.exit_code == 0, result.stderr
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json").stdout)

    def lines(self, *words: str) -> list[Any]:
        return [json.loads(line) for line in self.ok(*words, "--json").stdout.splitlines()]


def _call(id: str, **arguments: object) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "run_tests", "input": arguments}


def _result(id: str, text: str) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": id, "content": text}
    return {"role": "user", "content": [block]}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    path = tmp_path / "ledger.db"
    with clew.open(path) as ledger:
        other = ledger.create(project="other", title="Elsewhere")
        other.append({"role": "user", "content": "a word in another project"})
        hostile = ledger.create(title=f"title {HOSTILE}")
        hostile.append({"role": "user", "content": HOSTILE})
        hostile.append({"role": "assistant", "content": [_call("c1", command=HOSTILE)]})
        hostile.append(_result("c1", HOSTILE))
        hostile.config["key"] = HOSTILE
        long = ledger.create(title="Fix the parser")
        for turn in range(6):
            long.append({"role": "user", "content": f"question {turn} about the parser"})
            say = {"type": "text", "text": f"looking, {turn}"}
            long.append({"role": "assistant", "content": [say, _call(f"t{turn}", file="x.py")]})
            long.append(_result(f"t{turn}", "line\n" * 400))
            long.append({"role": "assistant", "content": f"answer {turn}"})
    yield Stage(path, long.id, hostile.id, other.id)
    if path.exists():
        with clew.open(path) as ledger:
            assert ledger.verify().problems == []


# --- the face of the whole ---------------------------------------------------------------


def test_help_lists_every_command_and_the_exit_codes() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in result.stdout] == []
    assert "130  interrupted" in result.stdout
    assert CliRunner().invoke(main, []).stdout == result.stdout


def _commands(group: click.Group, *names: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, *names, name)
        else:
            yield (*names, name)


@pytest.mark.parametrize("names", list(_commands(main)), ids=" ".join)
def test_every_command_has_help_and_takes_json(names: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*names, "--json", "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: clew {' '.join(names)}")


def test_the_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"clew {clew.__version__}\n"


# --- import, sessions, show --------------------------------------------------------------


def test_import_tells_what_it_found_and_adds_nothing_twice(tmp_path: Path) -> None:
    db = str(tmp_path / "new.db")
    first = CliRunner().invoke(main, ["--db", db, "import", str(SAMPLES), "--json"])
    facts = json.loads(first.stdout)
    assert first.exit_code == 0
    assert facts["files"] > facts["sessions_new"] > 0, "one file tells of an agent"
    assert facts["added"] > 0
    again = CliRunner().invoke(main, ["--db", db, "import", str(SAMPLES)])
    assert f"{facts['files']} unchanged since the last time" in again.stdout
    assert "0 new sessions" in again.stdout
    found = CliRunner().invoke(main, ["--db", db, "search", "copyOrders", "--json"])
    assert json.loads(found.stdout)["index"] == "current"


def test_import_tells_what_the_indexing_took(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(clew.Ledger, "index_now", lambda _self, on_progress: 1200)
    words = ["--db", str(tmp_path / "x.db"), "import", str(SAMPLES)]
    assert re.search(r"indexed 1,200 entries in \d+\.\d s", CliRunner().invoke(main, words).stdout)
    facts = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert (facts["indexed"], facts["index_seconds"] >= 0) == (1200, True)


def test_latest_is_the_newest_in_which_something_was_said(tmp_path: Path) -> None:
    db = str(tmp_path / "x.db")
    with clew.open(f"sqlite:///{db}") as ledger:
        silent = ledger.create()
        assert _latest(db) == silent.id
        spoken = ledger.create()
        spoken.append({"role": "user", "content": "hello"})
        ledger.create()
        assert _latest(db) == spoken.id


def _latest(db: str) -> str:
    result = CliRunner().invoke(main, ["--db", db, "show", "latest", "--json"])
    assert result.exit_code == 0, result.stderr
    return re.search(r'"(?:session|id)":"([0-9a-f]{32})"', result.stdout)[1]  # type: ignore[index]


def test_import_cuts_the_notes_unless_asked(tmp_path: Path) -> None:
    for number in range(12):
        folder = tmp_path / "projects" / "p"
        folder.mkdir(parents=True, exist_ok=True)
        record = {"type": "user", "uuid": f"u{number}", "sessionId": f"s{number}"}
        record |= {"message": {"role": "user", "content": "hello"}}  # type: ignore[dict-item]
        torn = json.dumps(record) + "\n" + json.dumps(record)[:40]
        (folder / f"s{number}.jsonl").write_text(torn)
    words = ["--db", str(tmp_path / "x.db"), "import", str(tmp_path / "projects")]
    short = CliRunner().invoke(main, words)
    assert short.stdout.count("note: ") == 10
    assert "2 more notes" in short.stderr
    full = CliRunner().invoke(main, ["--db", str(tmp_path / "y.db"), *words[2:], "--notes"])
    assert full.stdout.count("note: ") == 12


def test_import_without_a_path_reads_the_agents_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(SAMPLES))
    result = CliRunner().invoke(main, ["--db", str(tmp_path / "x.db"), "import", "--json"])
    assert json.loads(result.stdout)["roots"] == [str(SAMPLES / "projects")]


def test_import_says_so_when_there_is_nothing_to_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "none"))
    result = CliRunner().invoke(
        main, ["--db", str(tmp_path / "x.db"), "import", "--agent", "claude-code"]
    )
    assert result.exit_code == 0
    assert "clew import PATH" in result.stderr
    assert not (tmp_path / "x.db").exists()


def test_a_ledger_of_sub_agents_alone_says_so(tmp_path: Path) -> None:
    path = tmp_path / "s" / "subagents" / "agent-a1.jsonl"
    path.parent.mkdir(parents=True)
    message = {"role": "user", "content": "count the pears"}
    record = {"type": "user", "uuid": "u", "sessionId": "s", "isSidechain": True, "cwd": "/x"}
    path.write_text(json.dumps({**record, "message": message}) + "\n")
    db = str(tmp_path / "x.db")
    assert CliRunner().invoke(main, ["--db", db, "import", str(path)]).exit_code == 0
    listed = CliRunner().invoke(main, ["--db", db, "sessions"])
    assert "see --subagents" in listed.stderr
    assert "count the pears" in CliRunner().invoke(main, ["--db", db, "show", "latest"]).stdout


def test_sessions_newest_first_confined_and_limited(stage: Stage) -> None:
    assert [row["id"] for row in stage.lines("sessions")] == [
        stage.long,
        stage.hostile,
        stage.other,
    ]
    assert [row["id"] for row in stage.lines("--project", "other", "sessions")] == [stage.other]
    short = stage.ok("sessions", "--limit", "1")
    assert "Fix the parser" in short.stdout
    assert "more than 1" in short.stderr
    assert stage.run("sessions", "--status", "archived").exit_code == 1


def test_show_pairs_calls_with_results_and_cuts_them(stage: Stage) -> None:
    shown = stage.ok("show", stage.long).stdout
    assert "6. user" in shown
    assert shown.count("→ run_tests") == shown.count("    ← line") == 6
    assert re.search(r"… 1,9\d\d more bytes", shown)
    full = stage.ok("show", "latest", "--full").stdout
    assert "more bytes" not in full
    assert full.count("line\n") == 6 * 400


def test_show_tail_keeps_the_number_of_the_turn(stage: Stage) -> None:
    shown = stage.ok("show", "latest", "--tail", "4").stdout
    assert "6. user" in shown
    assert "question 4" not in shown
    assert len(stage.json("show", "latest", "--tail", "4")["messages"]) == 4


def test_show_flags_open_calls_branches_compactions_and_checkpoints(stage: Stage) -> None:
    stage.ok("checkpoint", "create", stage.long, "--label", "here")
    stage.ok("compact", stage.long, "--summary", "the gist", "--keep-tokens", "100")
    branch = stage.json("checkpoint", "branch", stage.long, "2", "--title", "another")
    shown = stage.ok("show", stage.long).stdout
    assert "◆ checkpoint" in shown
    assert "here" in shown
    assert "── compacted (manual): " in shown
    assert "the gist" in shown
    assert f"{branch['id'][:16]} from #2" in shown
    cut = stage.ok("show", branch["id"]).stdout
    assert "← no result was recorded" in cut
    assert "1 tool call without a result" in cut
    facts = stage.json("show", branch["id"])
    assert facts["open_calls"] == ["t0"]
    assert facts["session"]["forked_from"] == {"session": stage.long, "seq": 2}


def test_show_around_an_entry_pairs_a_call_with_its_result(stage: Stage) -> None:
    shown = stage.ok("show", f"{stage.long}:6").stdout
    assert "▶ " in shown
    assert "← line" in shown
    assert "answers no call" not in shown
    found = stage.json("show", f"{stage.long}:6")
    assert [m["at"][0]["seq"] for m in found["messages"]] == [4, 5, 6, 7, 8]


def test_show_an_entry_that_the_head_left(stage: Stage) -> None:
    stage.ok("checkpoint", "restore", stage.long, "4")
    result = stage.ok("show", f"{stage.long}:9")
    assert "question 2" in result.stdout
    assert "not on the path" in result.stderr


def test_show_the_raw_log(stage: Stage) -> None:
    rows = stage.lines("show", stage.hostile, "--entries")
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["data"] == {"role": "user", "content": HOSTILE}
    assert "config" in stage.ok("show", stage.hostile, "--entries", "--tail", "1").stdout


def test_show_a_view_is_the_request(stage: Stage) -> None:
    with clew.open(stage.path) as ledger:
        wanted = ledger.get(stage.long).view("openai-chat", max_tokens=2000).request
    shown = stage.run("show", stage.long, "--view", "openai-chat", "--max-tokens", "2000")
    assert json.loads(shown.stdout) == wanted
    assert "left out" in shown.stderr


# --- search ------------------------------------------------------------------------------


def test_search_groups_by_session_and_filters(stage: Stage) -> None:
    everything = stage.json("search", "parser", "--limit", "50")
    assert everything["index"] == "current"
    assert {hit["session"] for hit in everything["hits"]} == {stage.long}
    shown = stage.ok("search", "word OR question", "--limit", "50").stdout
    assert shown.count("Fix the parser") == 1
    assert shown.count("Elsewhere") == 1
    assert stage.json("search", "word", "--project", "other")["hits"]
    newest = stage.json("search", "question", "--newest", "--session", "latest")["hits"]
    assert [hit["seq"] for hit in newest] == [21, 17, 13, 9, 5, 1]
    assert stage.json("search", "file", "--kind", "tool_call", "--tool", "run_tests")["hits"]


def test_search_that_finds_nothing_ends_with_1(stage: Stage) -> None:
    result = stage.run("search", "nowhere", "--role", "user")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing found" in result.stderr


def test_search_says_when_it_is_off(stage: Stage) -> None:
    stage.ok("reindex", "--off")
    assert "clew reindex --on" in stage.run("search", "parser").stderr
    assert stage.json("reindex", "--on")["indexed"] > 0
    assert stage.json("search", "parser")["hits"]


# --- going back --------------------------------------------------------------------------


def test_checkpoint_list_diff_branch_restore_undo(stage: Stage) -> None:
    assert stage.run("checkpoint", "list", stage.long).exit_code == 1
    made = stage.json("checkpoint", "create", stage.long, "--label", "before")
    with clew.open(stage.path) as ledger:
        ledger.get(stage.long).append({"role": "user", "content": "one more"})
    assert [c["id"] for c in stage.lines("checkpoint", "list", stage.long)] == [made["id"]]
    diff = stage.json("checkpoint", "diff", stage.long, made["id"][:16], f"{stage.long}:25")
    assert [m["parts"][0]["text"] for m in diff["only_b"]] == ["one more"]
    assert "+ #25 user: one more" in stage.ok("checkpoint", "diff", "latest", "24", "25").stdout
    branch = stage.json("checkpoint", "branch", stage.long, made["id"])
    assert branch["head"] == made["pre"]
    moved = stage.json("checkpoint", "restore", stage.long, made["id"])
    assert moved["to"] == made["pre"]
    assert stage.json("undo", stage.long)["to"] == {"session": stage.long, "seq": 25}


def test_a_plain_number_in_a_branch_may_be_its_origins(stage: Stage) -> None:
    branch = stage.json("checkpoint", "branch", stage.long, f"{stage.long[:16]}:8")["id"]
    assert stage.json("checkpoint", "restore", branch, "4")["to"]["session"] == stage.long
    assert stage.json("show", f"{branch}:3")["messages"][0]["at"][0]["session"] == stage.long


def test_diff_of_a_place_with_itself_ends_with_1(stage: Stage) -> None:
    assert stage.run("checkpoint", "diff", stage.long, "4", "4").exit_code == 1


def test_compact_and_back(stage: Stage, tmp_path: Path) -> None:
    summary = tmp_path / "summary.txt"
    summary.write_text("what happened so far")
    made = stage.json("compact", stage.long, "--summary-file", str(summary), "--keep-from", "21")
    assert made["first_kept"] == {"session": stage.long, "seq": 21}
    assert "what happened so far" in stage.ok("show", stage.long, "--view", "anthropic").stdout
    stage.ok("undo", stage.long)
    assert "what happened" not in stage.ok("show", stage.long, "--view", "anthropic").stdout


# --- settings, export, checks, care ------------------------------------------------------


def test_config_set_get_list_unset(stage: Stage) -> None:
    assert stage.json("config", "set", stage.long, "limit", "3") == {"limit": 3}
    stage.ok("config", "set", stage.long, "model", "some-model")
    assert stage.json("config", "list", stage.long) == {"limit": 3, "model": "some-model"}
    assert stage.ok("config", "get", stage.long, "model").stdout == "some-model\n"
    assert stage.json("config", "get", stage.long, "model") == "some-model"
    assert stage.json("config", "unset", stage.long, "limit") == {"removed": True}
    assert stage.run("config", "get", stage.long, "limit").exit_code == 1
    assert stage.run("config", "unset", stage.long, "limit").exit_code == 1


def test_transfer(stage: Stage) -> None:
    made = stage.json("transfer", stage.long, "--frontend", "chat", "--user", "ada")
    assert (made["frontend"], made["user"]) == ("chat", "ada")
    assert made["head"] == {"session": stage.long, "seq": 24}


def test_export_is_redacted_unless_raw(stage: Stage, tmp_path: Path) -> None:
    secret = "sk-ant-api03-" + "q7Rk2Wd9Zx4T" * 4
    with clew.open(stage.path) as ledger:
        ledger.get(stage.long).append({"role": "user", "content": f"the key is {secret}"})
    out = tmp_path / "out.jsonl"
    words = ["export", "--since", "1d", "--session", stage.long]
    done = stage.json(*words, "-o", str(out))
    assert (done["rows"], done["redacted"]) == (1, True)
    assert secret not in out.read_text()
    raw = stage.ok(*words, "--raw", "-o", "-")
    assert secret in raw.stdout
    assert len(raw.stdout.splitlines()) == 1
    assert "as they are" in raw.stderr
    assert stage.json(*words, "--agent", "nobody", "-o", str(tmp_path / "none"))["rows"] == 0
    assert stage.run(*words, "-o", str(out)).exit_code == 2
    assert stage.ok(*words, "-o", str(out), "--overwrite").stdout == ""


def test_audit_verify_stats_usage(stage: Stage) -> None:
    records = stage.lines("audit", "list", stage.long, "--action", "create")
    assert [record["action"] for record in records] == ["create"]
    assert stage.run("audit", "list", "--action", "nothing").exit_code == 1
    assert stage.json("audit", "verify")["problems"] == []
    report = stage.json("verify")
    assert set(report["roots"]) == {stage.long, stage.hostile, stage.other}
    assert "All of it agrees." in stage.ok("verify").stdout
    assert stage.json("stats")["sessions"] == 3
    assert "on disk" in stage.ok("stats").stdout
    assert stage.run("usage", "--by", "model").exit_code == 1


def test_usage_sums_what_was_imported(tmp_path: Path) -> None:
    db = str(tmp_path / "x.db")
    CliRunner().invoke(main, ["--db", db, "import", str(SAMPLES)])
    result = CliRunner().invoke(main, ["--db", db, "usage", "--by", "model", "--json"])
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(row["calls"] > 0 and row["output"] > 0 for row in rows)
    shown = CliRunner().invoke(main, ["--db", db, "usage", "--by", "model"])
    assert rows[0]["key"] in shown.stdout


@pytest.mark.damaged
def test_verify_ends_with_1_when_something_was_changed(stage: Stage) -> None:
    import apsw

    connection = apsw.Connection(str(stage.path))
    connection.execute("update entry set time_ms = time_ms + 1 where seq = 2")
    result = stage.run("verify")
    assert result.exit_code == 1
    assert "was changed" in result.stdout
    connection.execute("update entry set time_ms = time_ms - 1 where seq = 2")
    connection.close()


def test_backup_and_erase_need_a_yes(stage: Stage, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert stage.json("backup", str(copy))["path"] == str(copy)
    dry = stage.ok("erase", stage.hostile)
    assert "would go" in dry.stdout
    assert str(copy) in dry.stdout
    assert stage.json("show", stage.hostile)["messages"]
    assert stage.json("erase", stage.hostile, "--yes")["dry_run"] is False
    assert stage.hostile not in stage.ok("sessions", "--json").stdout


def test_retain_gc_pin_archive(stage: Stage) -> None:
    rule = stage.json("retain", "other", "--max-bytes", "1", "--checkpoints", "30d")
    assert (rule["max_bytes"], rule["checkpoint_days"]) == (1, 30.0)
    stage.json("pin", stage.other)
    assert stage.json("gc")["sessions"] == []
    stage.ok("pin", stage.other, "--off")
    assert "1 session and 0 checkpoints would go" in stage.ok("gc").stdout
    assert stage.json("archive", stage.other)["archived"] is True
    assert stage.run("undo", stage.other).exit_code == 2
    assert "not archived" in stage.ok("archive", stage.other, "--off").stdout
    assert len(stage.json("gc", "--yes")["sessions"]) == 1
    assert stage.other not in stage.ok("sessions", "--json").stdout


# --- hostile text ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("sessions",),
        ("show", "{id}"),
        ("show", "{id}", "--full"),
        ("show", "{id}:1"),
        ("show", "{id}", "--entries"),
        ("show", "{id}", "--json"),
        ("show", "{id}", "--view", "anthropic"),
        ("search", "owned"),
        ("search", "owned", "--json"),
        ("checkpoint", "diff", "{id}", "root", "3"),
        ("config", "list", "{id}"),
        ("config", "get", "{id}", "key"),
        ("audit", "list"),
    ],
    ids=" ".join,
)
def test_no_stored_control_character_reaches_the_terminal(
    stage: Stage, words: tuple[str, ...]
) -> None:
    result = stage.ok(*(word.format(id=stage.hostile) for word in words))
    assert result.stdout
    assert CONTROL.findall(result.stdout + result.stderr) == []


def test_reordering_marks_are_shown(stage: Stage) -> None:
    assert "⟨U+202E⟩gnp.exe⟨U+202C⟩" in stage.ok("show", stage.hostile).stdout


def test_json_keeps_every_character(stage: Stage) -> None:
    found = stage.json("show", stage.hostile)
    assert found["messages"][0]["parts"][0]["text"] == HOSTILE


def test_a_name_that_is_no_utf8_is_told(stage: Stage) -> None:
    facts = json.loads(stage.run("import", "no\udcffsuch", "--json").stderr)
    assert "no\ufffdsuch does not exist" in facts["message"]
    assert "no⟨U+DCFF⟩such does not exist" in stage.run("import", "no\udcffsuch").stderr


# --- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", "ffffffff"), 2),
        (("show", "f"), 2),
        (("show", "latest:x"), 2),
        (("show", "latest:999"), 2),
        (("show", "latest", "--max-tokens", "5"), 2),
        (("show", "latest", "--view", "anthropic", "--max-tokens", "1"), 2),
        (("frobnicate",), 2),
        (("checkpoint",), 2),
        (("show",), 2),
        (("sessions", "--limit", "0"), 2),
        (("sessions", "--since", "tomorrow"), 2),
        (("search", '"unclosed'), 2),
        (("search", "word", "--kind", "shout"), 2),
        (("checkpoint", "restore", "latest", "ffffffffffff"), 2),
        (("checkpoint", "restore", "latest", "latest:x"), 2),
        (("checkpoint", "diff", "latest", "1", "999"), 2),
        (("compact", "latest"), 2),
        (("compact", "latest", "--summary", " "), 2),
        (("compact", "latest", "--summary", "x", "--keep-from", "1", "--keep-tokens", "1"), 2),
        (("compact", "latest", "--summary-file", "no-such-file"), 2),
        (("export", "-o", "-", "--since", "yesterday"), 2),
        (("export"), 2),
        (("import", "no-such-folder"), 2),
        (("import", "--agent", "nobody"), 2),
        (("retain", "nobody"), 2),
        (("retain", "other", "--max-age", "old"), 2),
        (("retain", "other", "--max-bytes", "much"), 2),
        (("--project", "nobody", "sessions"), 2),
        (("transfer", "latest", "--frontend", "x"), 2),
        (("--db", "mysql://host/x", "sessions"), 2),
        (("--db", "nowhere/at/all.db", "sessions"), 2),
        (("--db", "postgresql://u:hidden@127.0.0.1:1/x", "sessions"), 4),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_an_error_is_one_line_and_a_code(stage: Stage, words: tuple[str, ...], code: int) -> None:
    result = stage.run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert re.fullmatch(r"clew: [^\n]+\n", result.stderr)
    assert "hidden" not in result.stderr
    facts = json.loads(stage.run(*words, "--json").stderr)
    assert facts["exit_code"] == code
    assert facts["message"]


def test_a_lease_ends_with_3(stage: Stage) -> None:
    with clew.open(stage.path) as ledger, ledger.get(stage.long).lease("somebody"):
        result = stage.run("undo", stage.long, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stderr)["error"] == "Leased"


def test_every_kind_of_error_has_its_code() -> None:
    from clew.cli.errors import _explained

    codes = {
        clew.NotFound: 2,
        clew.Invalid: 2,
        clew.Stale: 2,
        clew.Conflict: 3,
        clew.Leased: 3,
        clew.ReadOnly: 4,
        clew.Unavailable: 4,
        clew.Damaged: 5,
        clew.RedactionFailed: 6,
        OSError: 4,
        KeyboardInterrupt: 130,
        BrokenPipeError: 141,
        ZeroDivisionError: 70,
    }
    assert {kind: _explained(kind("x"))[0] for kind in codes} == codes


def test_a_damaged_file_is_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "junk.db"
    path.write_bytes(b"this is no ledger" * 1000)
    result = CliRunner().invoke(main, ["--db", str(path), "sessions"])
    assert result.exit_code == 5
    assert re.fullmatch(r"clew: [^\n]+\n", result.stderr)


def test_a_wrong_name_makes_no_ledger_and_no_project(stage: Stage, tmp_path: Path) -> None:
    missing = tmp_path / "typo.db"
    for words in (["sessions"], ["undo", "latest"], ["gc"]):
        assert CliRunner().invoke(main, ["--db", str(missing), *words]).exit_code == 2
    assert not missing.exists()
    stage.run("--project", "typo", "undo", "latest")
    with clew.open(stage.path) as ledger:
        assert "typo" not in ledger.projects()


def test_a_fault_tells_itself_in_one_line(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody expected this")

    monkeypatch.delenv("CLEW_DEBUG", raising=False)
    monkeypatch.setattr(clew.Ledger, "stats", broken)
    result = stage.run("stats")
    assert result.exit_code == 70
    assert re.fullmatch(r"clew: a fault in Clew: [^\n]+\n", result.stderr)


def test_an_interrupt_ends_with_130(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clew.Ledger, "stats", interrupted)
    result = stage.run("stats")
    assert result.exit_code == 130
    assert result.stderr.strip() == "clew: interrupted"


# --- PostgreSQL --------------------------------------------------------------------------


def test_a_ledger_on_postgresql(postgres_database: str) -> None:
    def run(*words: str) -> Result:
        result = CliRunner().invoke(main, ["--db", postgres_database, *words])
        assert result.exit_code == 0, result.stderr
        return result

    run("import", str(SAMPLES))
    longest = max(
        map(json.loads, run("sessions", "--json").stdout.splitlines()),
        key=lambda row: int(row["messages"]),
    )
    assert "── compacted" in run("show", longest["id"]).stdout
    assert "备份订单表" in run("search", "备份订单表").stdout
    made = json.loads(run("checkpoint", "list", longest["id"], "--json").stdout)
    run("checkpoint", "branch", longest["id"], made["id"][:16])
    assert json.loads(run("verify", "--json").stdout)["problems"] == []
    assert json.loads(run("stats", "--json").stdout)["sessions"] > 1
