"""Where an export may go, and what it never touches. Every path here is within `tmp_path`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import clew
from clew import ExportOptions, Recipe, Splits
from clew.exporting.folder import MARK

OVER = ExportOptions(overwrite=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[clew.Ledger]:
    with clew.open(tmp_path / "of" / "mine.db") as made:
        for number in range(3):
            session = made.create(title=f"number {number}")
            session.append({"role": "user", "content": f"question {number}"})
            session.append({"role": "assistant", "content": f"answer {number}"})
        yield made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def refused(ledger: clew.Ledger, target: Path, words: str, form: str = "native") -> None:
    for options in (ExportOptions(), OVER):
        with pytest.raises(clew.Invalid, match=words):
            ledger.export(Recipe(format=form), output=target, options=options)


def test_a_link_in_the_parts_place_is_not_followed(ledger: clew.Ledger, out: Path) -> None:
    victim = out.parent / "victim"
    (victim / "deep").mkdir(parents=True)
    (victim / "deep" / "dear.txt").write_text("dear")
    (out / ".a.jsonl.partial").symlink_to(victim)
    refused(ledger, out / "a.jsonl", "cannot be made")
    assert (victim / "deep" / "dear.txt").read_text() == "dear"
    assert (out / ".a.jsonl.partial").is_symlink()


def test_a_folder_with_files_of_others_is_not_taken_for_parts(
    ledger: clew.Ledger, out: Path
) -> None:
    parts = out / ".a.jsonl.partial"
    parts.mkdir()
    (parts / "mine.txt").write_text("mine")
    refused(ledger, out / "a.jsonl", "no export left")
    assert [one.name for one in parts.iterdir()] == ["mine.txt"]


def test_an_empty_folder_for_parts_becomes_private(ledger: clew.Ledger, out: Path) -> None:
    parts = out / ".a.jsonl.partial"
    parts.mkdir(mode=0o777)
    parts.chmod(0o777)
    seen: list[int] = []

    def looks(now: object) -> None:
        seen.append(parts.stat().st_mode & 0o777)
        assert (parts / MARK).exists()

    ledger.export(output=out / "a.jsonl", on_progress=looks)
    assert set(seen) == {0o700}
    assert not parts.exists()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-search", "-journal"])
def test_the_ledger_itself_is_no_target(ledger: clew.Ledger, out: Path, suffix: str) -> None:
    target = out.parent / "of" / f"mine.db{suffix}"
    refused(ledger, target, "of the ledger")
    assert len(ledger.sessions()) == 3
    link = out / "link.jsonl"
    link.symlink_to(out.parent / "of" / "mine.db")
    refused(ledger, link, "of the ledger")


@pytest.mark.parametrize("form", ["markdown", "html", "sts", "native"])
def test_a_folder_is_never_replaced(ledger: clew.Ledger, out: Path, form: str) -> None:
    target = out / "pages"
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    (out / "pages.manifest.json").write_text('{"files": []}')
    refused(ledger, target, "folder", form)
    assert (target / "notes.txt").read_text() == "mine"


def test_an_export_of_files_is_not_replaced_either(ledger: clew.Ledger, out: Path) -> None:
    first = ledger.export(Recipe(format="markdown"), output=out / "pages")
    assert first.rows == 3
    with pytest.raises(clew.Invalid, match="with files in it"):
        ledger.export(Recipe(format="markdown"), output=out / "pages", options=OVER)
    assert len(list((out / "pages").iterdir())) == 3


def test_an_empty_folder_may_become_the_target(ledger: clew.Ledger, out: Path) -> None:
    (out / "pages").mkdir()
    assert ledger.export(Recipe(format="markdown"), output=out / "pages").rows == 3


def test_a_readme_of_others_is_no_card(ledger: clew.Ledger, out: Path) -> None:
    (out / "README.md").write_text("# My project")
    options = ExportOptions(overwrite=True, card=True)
    with pytest.raises(clew.Invalid, match="no card"):
        ledger.export(output=out / "a.jsonl", options=options)
    assert (out / "README.md").read_text() == "# My project"
    assert not (out / "a.jsonl").exists()
    (out / "README.md").unlink()
    for _ in range(2):
        ledger.export(output=out / "a.jsonl", options=options)


def test_splits_of_the_export_that_is_replaced_go(ledger: clew.Ledger, out: Path) -> None:
    def split(*names: str) -> set[str]:
        options = ExportOptions(overwrite=True, splits=Splits(dict.fromkeys(names, 1.0)))
        ledger.export(output=out / "s.jsonl", options=options)
        return {one.name for one in out.iterdir()} - {"s.jsonl.manifest.json"}

    assert split("a", "b") == {"s.a.jsonl", "s.b.jsonl"}
    assert split("a", "c") == {"s.a.jsonl", "s.c.jsonl"}
    (out / "s.c.jsonl").write_text("changed by hand\n")
    assert split("a", "d") == {"s.a.jsonl", "s.c.jsonl", "s.d.jsonl"}


def test_pipes_and_devices_are_not_replaced(ledger: clew.Ledger, out: Path) -> None:
    os.mkfifo(out / "pipe")
    refused(ledger, out / "pipe", "-o -")
    assert (out / "pipe").is_fifo()


def test_names_that_promise_something_else(ledger: clew.Ledger, out: Path) -> None:
    refused(ledger, out / "a.jsonl.gz", "not packed")
    odd = Path(os.fsdecode(os.fsencode(out) + b"/odd\xff.jsonl"))
    assert ledger.export(output=odd).rows == 3
    assert odd.exists()


def test_what_was_erased_meanwhile_is_not_exported(ledger: clew.Ledger, out: Path) -> None:
    def stops(now: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.export(output=out / "a.jsonl", on_progress=stops)
    parts = out / ".a.jsonl.partial"
    assert parts.exists()
    ledger.erase(ledger.sessions()[0].id)
    with pytest.raises(clew.Invalid, match="erased since"):
        ledger.export(output=out / "a.jsonl", options=ExportOptions(resume=True))
    assert not parts.exists()
    assert ledger.export(output=out / "a.jsonl").rows == 2
