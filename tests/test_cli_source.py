"""`clew source`: an imported file is given back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from clew.cli import main

GOLDEN = Path(__file__).parent / "golden" / "claude_code"


def test_a_source_is_given_back_byte_for_byte_and_never_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEW_DB", str(tmp_path / "clew.db"))
    original = GOLDEN / "compaction.jsonl"
    run = CliRunner().invoke(main, ["import", str(original)])
    assert run.exit_code == 0, run.output
    back = tmp_path / "back"
    run = CliRunner().invoke(main, ["source", "latest", "-o", str(back)])
    assert run.exit_code == 0, run.output
    assert (back / original.name).read_bytes() == original.read_bytes()
    run = CliRunner().invoke(main, ["source", "latest", "-o", str(back)])
    assert run.exit_code == 2
    assert "is there already" in run.output


def test_a_session_without_a_source_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import clew

    monkeypatch.setenv("CLEW_DB", str(tmp_path / "clew.db"))
    with clew.open() as ledger:
        ledger.create().append({"role": "user", "content": "hello"})
    run = CliRunner().invoke(main, ["source", "latest", "-o", str(tmp_path / "back")])
    assert run.exit_code == 2
    assert "was not imported from a file" in run.output
