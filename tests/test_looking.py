"""A look at what did not change opens nothing; a look at what did finds it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import clew
from clew.importers import IMPORTERS
from clew.watching import Round, Watcher
from importer_kit import memory_ledger

NAMES = ("a", "b", "c")


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    with memory_ledger() as ledger:
        yield ledger


@pytest.fixture
def folder(tmp_path: Path, store: clew.Ledger) -> Path:
    """Three histories that the ledger has, beside a file that is none."""
    for name in NAMES:
        _write(tmp_path, name, 2)
    (tmp_path / "notes.txt").write_text("no history")
    assert store.import_from(tmp_path).added == 2 * len(NAMES)
    return tmp_path


def _write(folder: Path, session: str, count: int) -> Path:
    path = folder / f"{session}.jsonl"
    records = [
        {
            "type": "user",
            "sessionId": session,
            "uuid": f"{session}{number}",
            "cwd": "/srv",
            "timestamp": f"2026-10-05T09:00:0{number}Z",
            "message": {"role": "user", "content": f"words {number}"},
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files of which an importer was asked whether they are its own."""
    found: list[str] = []
    for importer in IMPORTERS.values():
        monkeypatch.setattr(importer, "identify", _noting(importer.identify, found))
    return found


def _noting(identify: object, found: list[str]) -> object:
    def noted(path: Path) -> bool:
        if path.suffix == ".jsonl":
            found.append(path.stem)
        return identify(path)  # type: ignore[operator, no-any-return]

    return noted


@pytest.mark.parametrize("agent", ["claude-code", "codex", "pi"])
def test_what_did_not_change_is_not_opened(
    store: clew.Ledger, folder: Path, asked: list[str], agent: str
) -> None:
    before = asked[:]
    if agent == "claude-code":
        report = store.import_from(folder, importer=agent)
        assert (report.files, report.unchanged, report.records) == (3, 3, 0)
    else:
        with pytest.raises(clew.NotFound, match="no history"):
            store.import_from(folder, importer=agent)
    assert asked == before, "those are another importer's"


def test_a_relative_folder_is_the_same_one(
    store: clew.Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    report = store.import_from(f"./{folder.name}/../{folder.name}")
    assert (report.files, report.unchanged, report.notes) == (3, 3, [])


def test_what_is_new_or_changed_is_found_beside_what_is_known(
    store: clew.Ledger, folder: Path
) -> None:
    _write(folder, "d", 1)
    _write(folder, "b", 5)
    os.utime(folder / "b.jsonl", (1, 1))
    report = store.import_from(folder)
    assert (report.files, report.unchanged, report.added) == (4, 2, 4)
    (folder / "a.jsonl").unlink()
    report = store.import_from(folder)
    assert (report.files, report.unchanged, report.added) == (3, 3, 0)


def test_a_watcher_that_begins_opens_nothing_that_the_ledger_has(
    store: clew.Ledger, folder: Path, asked: list[str]
) -> None:
    watcher = Watcher(store, [folder], ["claude-code"])
    assert watcher.round() == Round(files=3)
    assert asked == []
    _write(folder, "d", 1)
    found = watcher.round()
    assert [(change.added, change.new) for change in found.changes] == [(1, True)]
    assert "d" in asked
    assert watcher.round() == Round(files=4)
