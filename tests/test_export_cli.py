"""`clew export`: every option for real, what it says and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

import clew
from clew.cli import main
from clew.exporters.formats import FORMATS
from contract.talk import turns, user
from export_kit import SECRET, assistant, gave, ids, lines, names

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "from clew.cli import main; main(prog_name='clew')"
JUDGE = """
def judge(row):
    return "success" if "spade" in str(row["messages"]) else None
def shorter(messages):
    return f"{len(messages)} messages"
WORD = 7
"""


class Stage:
    """A ledger of a few sessions, and a folder to export to."""

    def __init__(self, folder: Path) -> None:
        self.db, self.out = folder / "ledger.db", folder / "out"
        self.out.mkdir()
        with clew.open(self.db) as ledger:
            self.plain = ledger.create(agent="walker", title="plain").id
            ledger.get(self.plain).extend(turns(3))
            digs = ledger.create(agent="gardener")
            digs.append(user(f"the spade of ann@corp.com, token {SECRET}"))
            spent: dict[str, Any] = {
                "complexity": 60,
                "tokens_in": 900,
                "tokens_out": 100,
                "outcome": "ok",
            }
            digs.start_span("model", "chat", model="m-1", provider="acme", **spent)
            digs.extend([assistant(None, ("c1", "dig", "{}")), gave("c1", "a stone " * 200)])
            digs.append(assistant("dug", model="m-1"))
            digs.checkpoint("kept")
            self.digs = digs.id
            ledger.create()

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["--db", str(self.db), "export", *words])

    def ok(self, *words: str) -> Result:
        done = self.run(*words)
        assert done.exit_code == 0, done.output
        return done

    def rows(self, *words: str) -> list[dict[str, Any]]:
        return lines(self.ok(*words, "-o", "-").stdout.encode())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    with clew.open(made.db) as ledger:
        assert ledger.verify().ok


# --- where to ----------------------------------------------------------------------------


def test_a_file_and_what_is_said_of_it(stage: Stage) -> None:
    done = stage.ok("-o", str(stage.out / "a.jsonl"))
    assert done.stdout == ""
    assert "2 rows" in done.stderr
    assert "1 left out: no messages" in done.stderr
    assert "replacements" in done.stderr
    assert "a.jsonl.manifest.json" in done.stderr
    assert "as they are" not in done.stderr
    text = (stage.out / "a.jsonl").read_text()
    assert SECRET not in text
    assert "ann@corp.com" not in text
    assert names(stage.out) == ["a.jsonl", "a.jsonl.manifest.json"]


def test_standard_output_holds_rows_and_nothing_else(stage: Stage) -> None:
    done = stage.ok("--raw", "-o", "-")
    assert ids(lines(done.stdout.encode())) == [stage.plain, stage.digs]
    assert SECRET in done.stdout
    assert "secrets and names are written as they are" in done.stderr
    assert len(lines(stage.ok("-o", "-", "--json").stdout.encode())) == 2


def test_as_json(stage: Stage) -> None:
    done = json.loads(stage.ok("-o", str(stage.out / "a.jsonl"), "--json").stdout)
    assert (done["rows"], done["redacted"], done["dropped"]) == (2, True, {"no messages": 1})
    assert done["files"][0]["sha256"] == done["sha256"]
    counted = json.loads(stage.ok("--count", "--json").stdout)
    assert counted == {"sessions": 3, "rows": 2, "no messages": 1}
    formats = [json.loads(line) for line in stage.ok("--formats", "--json").stdout.splitlines()]
    assert [one["format"] for one in formats] == list(FORMATS)


def test_a_count_writes_nothing(stage: Stage) -> None:
    done = stage.ok("--count", "--agent", "gardener")
    assert done.stdout.split() == ["1", "sessions", "1", "rows"]
    assert names(stage.out) == []
    with clew.open(stage.db) as ledger:
        assert ledger.audit(action="export") == []


def test_formats_are_listed(stage: Stage) -> None:
    told = stage.ok("--formats").stdout
    assert [line.split()[0] for line in told.splitlines()] == list(FORMATS)


def test_overwrite_and_resume(stage: Stage) -> None:
    target = str(stage.out / "a.jsonl")
    stage.ok("-o", target)
    refused = stage.run("-o", target)
    assert (refused.exit_code, "exists" in refused.stderr) == (2, True)
    stage.ok("-o", target, "--overwrite")
    nothing = stage.run("-o", str(stage.out / "b.jsonl"), "--resume")
    assert (nothing.exit_code, "leave --resume out" in nothing.stderr) == (2, True)


# --- every option ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        (("--since", "1d"), "both"),
        (("--until", "1d"), "none"),
        (("--agent", "gardener"), "digs"),
        (("--label", "kept"), "digs"),
        (("--query", "spade"), "digs"),
        (("--tier", "complex"), "digs"),
        (("--tier", "SIMPLE", "--tier", "COMPLEX"), "digs"),
        (("--complexity", "40-80"), "digs"),
        (("--complexity", "61-"), "none"),
        (("--complexity", "60"), "digs"),
        (("--outcome", "Success"), "digs"),
        (("--model", "m-1", "--model", "m-2"), "digs"),
        (("--provider", "acme"), "digs"),
        (("--tool", "dig"), "digs"),
        (("--tokens", "1000-"), "digs"),
        (("--tokens", "0-999"), "none"),
        (("--near", "0.9"), "both"),
        (("--train-shared", "--branches"), "both"),
        (("--segments", "split", "--reasoning", "drop", "--parallel", "serialise"), "both"),
        (("--policy", "EMAIL=warn"), "both"),
        (("--policy", "EMAIL=block"), "plain"),
    ],
)
def test_an_option_takes_what_it_says(stage: Stage, words: tuple[str, ...], taken: str) -> None:
    wanted = {
        "both": [stage.plain, stage.digs],
        "digs": [stage.digs],
        "plain": [stage.plain],
        "none": [],
    }
    assert ids(stage.rows(*words)) == wanted[taken]


def test_sessions_by_name(stage: Stage) -> None:
    assert ids(stage.rows("--session", stage.digs)) == [stage.digs]
    both = stage.rows("--session", stage.digs, "--session", stage.plain)
    assert ids(both) == [stage.plain, stage.digs]


def test_options_of_shape(stage: Stage) -> None:
    assert len(stage.rows("--explode", "turn", "--agent", "walker")) == 3
    (whole,) = stage.rows("--agent", "gardener")
    (cut,) = stage.rows("--result-tokens", "50", "--agent", "gardener")
    stones = [json.dumps(row["messages"]).count("a stone") for row in (whole, cut)]
    assert stones[0] == 200 > stones[1] > 0
    assert stage.rows("--recorded-tools", "--agent", "gardener") == []
    (learned,) = stage.rows("--turn-tier", "complex", "--agent", "gardener")
    assert any(message["train"] for message in learned["messages"])
    for option, value in (("--turn-model", "m-9"), ("--turn-provider", "none")):
        rows = stage.rows(option, value)
        assert not any(message["train"] for row in rows for message in row["messages"])


def test_lists_of_names_and_secrets(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    (stage.out.parent / "names").write_text("spade\n")
    (stage.out.parent / "known").write_text("a stone-cold\nquestion-1\n")
    with clew.open(stage.db) as ledger:
        ledger.create(agent="third").append(user("spade question-1 h7Tq9xZ2mWv4Kp"))
    monkeypatch.setenv("GARDEN_PASSWORD", "h7Tq9xZ2mWv4Kp")
    folder = stage.out.parent
    words = ("--names", str(folder / "names"), "--known", str(folder / "known"))
    (row,) = stage.rows(*words, "--known-from-env", "--agent", "third")
    text = json.dumps(row["messages"])
    assert not [word for word in ("spade", "question-1", "h7Tq9xZ2mWv4Kp") if word in text]


@pytest.mark.parametrize("form", [name for name in FORMATS if name != "native"])
def test_every_format_by_its_name(stage: Stage, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    done = json.loads(stage.ok("--as", form, "-o", str(stage.out / "x"), "--json").stdout)
    assert (stage.out / "x").exists()
    assert done["rows"] + sum(done["dropped"].values()) >= 1


def test_splits_a_licence_and_a_card(stage: Stage) -> None:
    words = ("--split", "train=1", "--split", "test=1", "--seed", "x")
    stage.ok("-o", str(stage.out / "a.jsonl"), *words, "--license", "MIT", "--card")
    assert names(stage.out) == [
        *("README.md", "a.jsonl.manifest.json", "a.test.jsonl", "a.train.jsonl"),
    ]
    assert "mit" in (stage.out / "README.md").read_text().lower()
    assert SECRET not in (stage.out / "README.md").read_text()


def test_what_changed_since_an_export(stage: Stage) -> None:
    stage.ok("-o", str(stage.out / "a.jsonl"))
    assert stage.rows("--since-export", str(stage.out / "a.jsonl")) == []
    with clew.open(stage.db) as ledger:
        ledger.get(stage.plain).append(user("more"))
    assert ids(stage.rows("--since-export", str(stage.out / "a.jsonl"))) == [stage.plain]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_functions_of_ones_own_from_here(stage: Stage, workers: str) -> None:
    """As a program of its own: its folder is where the module is looked for."""
    (stage.out / "mine.py").write_text(JUDGE)
    target = stage.out / "a.jsonl"
    words = ["--verifier", "mine:judge", "--summarise", "mine:shorter", "--max-tokens", "100000"]
    done = _program(stage, "-o", str(target), *words, "--workers", workers)
    assert done.returncode == 0, done.stderr
    assert "exporting" not in done.stderr, "a bar is for a terminal"
    assert [row["outcome_source"] for row in lines(target.read_bytes())] == ["none", "verifier"]


def _program(stage: Stage, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, "--db", str(stage.db), "export", *words]
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        command,
        cwd=stage.out,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
        **more,
    )


def test_a_pipe_that_is_closed_early_is_no_fault(stage: Stage) -> None:
    with clew.open(stage.db) as ledger:
        for _ in range(40):
            ledger.create().append(user("words " * 2000))
    command = [sys.executable, "-c", RUN, "--db", str(stage.db), "export", "--raw", "-o", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"schema"')
        process.stdout.close()
        said = process.stderr.read().decode()
        code = process.wait(60)
    assert "Traceback" not in said
    assert "fault" not in said
    assert code in (0, 141, -13, 1)


# --- what means nothing ------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--since", "yesterday"),
        ("--since", ""),
        ("--until", "never"),
        ("--agent", ""),
        ("--tier", "HUGE"),
        ("--outcome", "good"),
        ("--complexity", "much"),
        ("--complexity", "80-40"),
        ("--complexity", "0-101"),
        ("--tokens", "x-y"),
        ("--tokens", "9-1"),
        ("--session", "0" * 32),
        ("--as", "nativ"),
        ("--segments", "some"),
        ("--reasoning", "none"),
        ("--parallel", "no"),
        ("--explode", "all"),
        ("--max-tokens", "-1"),
        ("--result-tokens", "0"),
        ("--near", "2"),
        ("--split", "train"),
        ("--split", "train=0"),
        ("--split", "Train=1"),
        ("--policy", "EMAIL"),
        ("--policy", "EMAIL=shred"),
        ("--policy", "EMAILS=warn"),
        ("--workers", "0"),
        ("--engine", "cloud"),
        ("--verifier", "nowhere:judge"),
        ("--verifier", "json:nothing"),
        ("--verifier", "json:__name__"),
        ("--verifier", ":"),
        ("--names", "/nowhere/names"),
        ("--since-export", "/nowhere/a.jsonl"),
    ],
)
def test_a_value_that_means_nothing_ends_with_2(stage: Stage, words: tuple[str, ...]) -> None:
    target = ("-o", str(stage.out / "a.jsonl")) if words else ()
    done = stage.run(*words, *target)
    assert done.exit_code in (2, 3) if words[:1] == ("--session",) else done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr
    assert names(stage.out) == []
    assert list(stage.out.iterdir()) == []
