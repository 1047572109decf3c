"""The second opinion: what the scanner says is read, and silence is never taken for a yes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from clew.errors import Invalid, RedactionFailed
from clew.redaction import independent

FOUND = {
    "rule": {"id": "example.rule"},
    "finding": {"snippet": "[hash]", "line": 3, "column_start": 16, "column_end": 41},
}
WHOLE = {"scan_succeeded": 1, "scan_failed": 0, "scan_partial": 0}


def report(*found: dict[str, Any], **summary: int) -> str:
    return json.dumps({"findings": found, "audit": {"summary": WHOLE | summary}})


@pytest.fixture
def scanner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a program that says something into the place of the scanner."""

    def install(says: str, code: int = 0) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "answer").write_text(says)
        program = folder / "kingfisher"
        program.write_text(f'#!/bin/sh\ncat "{folder}/answer"\nexit {code}\n')
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(folder / "python"))

    return install


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "-rows.jsonl"
    path.write_text('{"x": "nothing"}\n')
    return path


def test_that_it_is_not_there_is_not_that_it_found_nothing(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(independent.NotInstalled, match="kingfisher-bin"):
        independent.findings(written)


def test_places_and_rules_are_read_and_values_are_not(scanner: Any, written: Path) -> None:
    scanner(report(FOUND), 200)
    (doubt,) = independent.findings(written)
    assert str(doubt) == "example.rule in line 3, columns 16 to 42"
    scanner(report())
    assert independent.findings(written) == []


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (report(), 1),
        ("", 0),
        ("{}", 0),
        (report(scan_failed=1), 0),
        (report(scan_partial=1), 0),
        (report(scan_succeeded=0), 0),
        (report({"rule": {}}), 200),
    ],
)
def test_an_answer_that_is_no_yes_is_a_failure(
    says: str, code: int, scanner: Any, written: Path
) -> None:
    scanner(says, code)
    with pytest.raises(RedactionFailed):
        independent.findings(written)


def test_a_missing_file_is_told(scanner: Any, tmp_path: Path) -> None:
    scanner(report())
    with pytest.raises(Invalid, match="no file"):
        independent.findings(tmp_path / "nothing")


def test_the_real_scanner_finds_a_token_and_nothing_in_clean_text(
    written: Path, tmp_path: Path
) -> None:
    if independent.program() is None:
        pytest.skip("kingfisher is not installed: pip install kingfisher-bin")
    assert independent.findings(written) == []
    dirty = tmp_path / "dirty.jsonl"
    token = "glpat-" + "x7Kd93mQpZ_vB2nLt4Rw"
    dirty.write_text(json.dumps({"a": 1}) + os.linesep + json.dumps({"x": token}) + os.linesep)
    found = independent.findings(dirty)
    assert [one.line for one in found] == [2]
    assert token not in repr(found)
