"""`clew validate`: what it prints, how it ends, and exports that pass it."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from click.testing import CliRunner, Result

import recorded
from checking_rows import GOOD, changed
from clew.cli import main
from clew.exporters import formats
from clew.exporters.base import line
from clew.exporters.packages import parquet

if TYPE_CHECKING:
    from collections.abc import Sequence

FIXTURES = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
CHECKED = [name for name, one in formats.FORMATS.items() if one.check]
FOLDERS = {"atif", "sts"}


def run(*words: str, **more: Any) -> Result:
    return CliRunner().invoke(main, ["validate", *words], **more)


def facts(*words: str) -> Any:
    return json.loads(run(*words, "--json").stdout)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Three rows of TRL: a good one, one with two problems, one with one."""
    rows = [
        GOOD["trl"](),
        changed(GOOD["trl"](), "messages/1/content", None, "messages/3/name", "Read"),
        changed(GOOD["trl"](), "messages/1/content", None),
    ]
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"".join(map(line, rows)))
    return path


def test_good_rows_end_with_zero(tmp_path: Path) -> None:
    path = tmp_path / "good.jsonl"
    path.write_bytes(line(GOOD["trl"]()) * 2)
    result = run(str(path), "--as", "trl")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "2 rows in 1 file: all fit for trl.\n"


def test_problems_tell_line_path_rule_and_are_counted(bad: Path) -> None:
    result = run(str(bad), "--as", "trl")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{bad}:2: messages/1/content: is null: write a string, an empty one for no words "
        "[content]",
        f"{bad}:2: messages/3/name: is not the name of the tool that was called, 'Bash' "
        "[result-name]",
        f"{bad}:3: messages/1/content: is null: write a string, an empty one for no words "
        "[content]",
        "rule         problems",
        "content             2",
        "result-name         1",
        "3 rows in 1 file: 2 not fit for trl, 3 problems.",
    ]


def test_max_limits_what_is_shown_and_not_what_is_counted(bad: Path) -> None:
    result = run(str(bad), "--as", "trl", "--max", "1")
    assert result.stdout.count(f"{bad}:") == 1
    assert "3 problems." in result.stdout
    assert result.stderr == "2 problems more: --max shows them\n"
    assert run(str(bad), "--as", "trl", "--max", "0").stdout.startswith("rule ")


def test_json_is_one_document(bad: Path) -> None:
    result = run(str(bad), "--as", "trl", "--max", "1", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "format": "trl",
        "files": 1,
        "rows": 3,
        "unfit": 2,
        "problems": 3,
        "by_rule": {"content": 2, "result-name": 1},
        "shown": [
            {
                "file": str(bad),
                "line": 2,
                "rule": "content",
                "where": "messages/1/content",
                "text": "is null: write a string, an empty one for no words",
            }
        ],
    }


def test_another_format_is_named(bad: Path) -> None:
    told = facts(str(bad), "--as", "openai")
    assert told["by_rule"] == {"other-format": 3}
    assert told["shown"][0]["text"] == "is no openai row; it looks like trl: say --as trl"


def test_standard_input_and_packed_files_are_read(bad: Path, tmp_path: Path) -> None:
    data = bad.read_bytes()
    packed = {".gz": gzip.compress(data), ".zst": zstandard.compress(data)}
    for suffix, bytes_ in packed.items():
        path = tmp_path / f"x.jsonl{suffix}"
        path.write_bytes(bytes_)
        told = facts(str(path), "--as", "trl")
        assert (told["rows"], told["problems"]) == (3, 3)
    result = run("-", "--as", "trl", "--json", input=data)
    assert json.loads(result.stdout)["shown"][0]["file"] == "-"
    assert result.exit_code == 1


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_packing_is_never_taken_for_a_whole_file(
    tmp_path: Path, suffix: str, cut: bool
) -> None:
    data = line(GOOD["trl"]()) * 3
    packed = gzip.compress(data) if suffix == ".gz" else zstandard.compress(data)
    path = tmp_path / f"x.jsonl{suffix}"
    path.write_bytes(packed[: len(packed) // 2] if cut else b"\x00" + packed)
    result = run(str(path), "--as", "trl")
    assert result.exit_code in (1, 2)
    assert "all fit" not in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.jsonl", "--as", "trl"), "none.jsonl: there is no such file"),
        (("none.jsonl", "--as", "chatml"), "there is no format 'chatml': choose from"),
        (("none.jsonl",), "Missing option '--as'"),
        (("--as", "trl"), "Missing argument 'FILE…'"),
        ((".", "--as", "trl"), "there is no file of the format trl in this folder"),
    ],
)
def test_what_cannot_be_looked_at_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Sequence[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_formats_for_people_have_no_rules(bad: Path) -> None:
    names = [name for name, one in formats.FORMATS.items() if not one.check]
    for name in names:
        result = run(str(bad), "--as", name)
        assert result.exit_code == 2
        assert "for people to read" in result.stderr


def test_a_terminal_is_not_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    row = changed(
        GOOD["trl"](), "messages/1/role", "\x1b[2Jred", "tools/0/function/name", "\u202ex"
    )
    path.write_bytes(line(row))
    result = run(str(path), "--as", "trl")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "a.json").write_bytes(line(GOOD["atif"]()))
    (folder / "b.json").write_bytes(line(changed(GOOD["atif"](), "steps/1/step_id", 9)))
    (folder / "manifest.json").write_bytes(b"{}")
    (folder / "README.md").write_bytes(b"hello")
    told = facts(str(folder), "--as", "atif")
    assert (told["files"], told["rows"], told["by_rule"]) == (2, 2, {"steps": 1})
    assert told["shown"][0]["file"] == str(folder / "b.json")


def test_tables_are_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    rows = [GOOD["native"](), changed(GOOD["native"](), "messages/1/id", "m9")]
    parquet.write(map(line, rows), path)
    for name in ("native", "parquet"):
        told = facts(str(path), "--as", name)
        assert (told["rows"], told["by_rule"]) == (2, {"message-id": 1})
        assert told["shown"][0]["line"] == 2
    assert run(str(path), "--as", "trl").exit_code == 2
    path.write_bytes(path.read_bytes()[:-40])
    result = run(str(path), "--as", "native")
    assert result.exit_code == 2
    assert "no Parquet file of native rows" in result.stderr


# --- exports -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "ledger.db"
    recorded.record(path)
    return path


def _exported(ledger: Path, folder: Path, name: str) -> Path:
    suffix = "" if name in FOLDERS else ".parquet" if name == "parquet" else ".jsonl"
    target = folder / f"out{suffix}"
    words = ["--db", str(ledger), "export", "--as", name, "-o", str(target)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    return target


@pytest.mark.parametrize("name", CHECKED)
def test_what_is_exported_is_valid(ledger: Path, tmp_path: Path, name: str) -> None:
    target = _exported(ledger, tmp_path, name)
    told = facts(str(target), "--as", name)
    assert told["problems"] == 0, told
    assert told["rows"] >= 1


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the recorded sessions of other agents are away")
def test_what_is_exported_of_real_sessions_is_valid(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    for agent in ("codex", "opencode"):
        words = ["--db", str(ledger), "import", str(FIXTURES / agent)]
        assert CliRunner().invoke(main, words).exit_code == 0
    for name in ("native", "trl", "anthropic"):
        (tmp_path / name).mkdir()
        told = facts(str(_exported(ledger, tmp_path / name, name)), "--as", name)
        assert told["problems"] == 0, told
        assert told["rows"] > 10


# --- readers of tables ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """An export as Parquet, and its rows as written as lines."""
    folder = tmp_path_factory.mktemp("table")
    lines = _exported(ledger, folder, "native").read_bytes().splitlines()
    return _exported(ledger, folder, "parquet"), [json.loads(one) for one in lines]


def test_duckdb_filters_and_gives_documents_back(table: tuple[Path, list[Any]]) -> None:
    import duckdb

    path, rows = table
    found = duckdb.execute(
        "select session_id, messages, tools, typeof(started_at) from read_parquet(?) "
        "where agent = 'demo' and n_tool_calls > 1 order by session_id",
        [str(path)],
    ).fetchall()
    wanted = [row for row in rows if len(row["tool_calls"]) > 1]
    assert len(wanted) == 3
    assert [(id, json.loads(messages), json.loads(tools)) for id, messages, tools, _ in found] == [
        (row["session_id"], row["messages"], row["tools"])
        for row in sorted(wanted, key=lambda row: row["session_id"])
    ]
    assert {kind for *_, kind in found} == {"TIMESTAMP WITH TIME ZONE"}
    path_in = "$[2].tool_calls[0].function.arguments"
    query = f"select json_extract_string(messages, '{path_in}') from read_parquet(?)"
    texts = {text for (text,) in duckdb.execute(query, [str(path)]).fetchall() if text}
    assert {"command", "timeout"} <= set().union(*(json.loads(text) for text in texts))


def test_polars_filters_and_gives_documents_back(table: tuple[Path, list[Any]]) -> None:
    import polars

    path, rows = table
    found = (
        polars.scan_parquet(path)
        .filter(polars.col("n_tool_calls") > 1)
        .select("session_id", "messages", "started_at", "tokens_in")
        .sort("session_id")
        .collect()
    )
    assert found.schema["started_at"] == polars.Datetime("us", "UTC")
    assert found.schema["tokens_in"] == polars.Int64
    wanted = {row["session_id"]: row["messages"] for row in rows}
    assert found.height == 3
    for id, messages, *_ in found.rows():
        assert json.loads(messages) == wanted[id]


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    rows = line(GOOD["trl"]()) * 3000
    writer = threading.Thread(target=pipe.write_bytes, args=(rows,))
    writer.start()
    result = run(str(pipe), "--as", "trl")
    writer.join()
    assert result.stdout == "3,000 rows in 1 file: all fit for trl.\n"


def test_one_damaged_file_of_a_folder_does_not_end_the_run(tmp_path: Path) -> None:
    good = line(GOOD["trl"]())
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(good * 50)[:-20])
    (tmp_path / "b.jsonl").write_bytes(good)
    (tmp_path / "c.jsonl.gz").write_bytes(b"nothing")
    (tmp_path / "d.jsonl").write_bytes(good)
    result = run(str(tmp_path), "--as", "trl")
    assert result.exit_code == 2
    assert "in 4 files" in result.stdout
    assert "a.jsonl.gz: it cannot be unpacked" in result.stderr
    assert "c.jsonl.gz: it cannot be unpacked" in result.stderr
    told = json.loads(run(str(tmp_path), "--as", "trl", "--json").stdout)
    assert told["files"] == 4
    assert told["rows"] >= 2
