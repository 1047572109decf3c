"""Where restored files go: over nothing, to nowhere else, whole, and for their owner alone."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import clew
from clew.cli import main
from clew.restoring import Restored
from restore_kit import MAIN, claude_home, imported, line, tree

pytestmark = pytest.mark.inside  # files are imported and written where the ledger is


@pytest.fixture
def claude(tmp_path: Path) -> Path:
    """Claude Code's folder with a main session, a sub-agent and a big output."""
    return claude_home(tmp_path / "claude")


@pytest.mark.parametrize(
    ("there", "told"),
    [(b"something else\n", "something else"), (line()[:20], "only the beginning")],
)
def test_nothing_is_overwritten_and_nothing_half_done(
    ledger: clew.Ledger, claude: Path, tmp_path: Path, there: bytes, told: str
) -> None:
    ledger.import_from(claude)
    session = imported(ledger, f"claude-code:{MAIN}")
    taken = tmp_path / "new" / "projects" / "-home-mo-work-d" / f"{MAIN}.jsonl"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(there)
    with pytest.raises(clew.Conflict, match=told):
        ledger.restore_file(session, "claude-code", root=tmp_path / "new")
    assert tree(tmp_path / "new") == {str(taken.relative_to(tmp_path / "new")): there}


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_left_alone(
    ledger: clew.Ledger, claude: Path, tmp_path: Path, kind: str
) -> None:
    ledger.import_from(claude)
    session = imported(ledger, f"claude-code:{MAIN}")
    taken = tmp_path / "new" / "projects" / "-home-mo-work-d" / f"{MAIN}.jsonl"
    taken.parent.mkdir(parents=True)
    outside = tmp_path / "outside"
    if kind == "link":
        taken.symlink_to(outside)
    elif kind == "folder":
        taken.mkdir()
    else:
        os.mkfifo(taken)
    with pytest.raises(clew.Conflict):
        ledger.restore_file(session, "claude-code", root=tmp_path / "new")
    assert not outside.exists()


def test_a_file_that_its_agent_went_on_in_is_left_as_it_is(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    ledger.import_from(claude)
    session = imported(ledger, f"claude-code:{MAIN}")
    ledger.restore_file(session, "claude-code", root=tmp_path / "new")
    grown = tmp_path / "new" / "projects" / "-home-mo-work-d" / f"{MAIN}.jsonl"
    with grown.open("ab") as stream:
        stream.write(line(uuid="a9"))
    before = tree(tmp_path / "new")
    done = ledger.restore_file(session, "claude-code", root=tmp_path / "new")
    assert tree(tmp_path / "new") == before
    assert sorted(file.state for file in done.files) == ["longer", "there", "there", "there"]
    assert done.notes == (f"{grown} is there already, and goes on",)


def test_files_are_for_their_owner_alone_and_a_dry_run_writes_none(
    ledger: clew.Ledger, claude: Path, tmp_path: Path
) -> None:
    ledger.import_from(claude)
    session = imported(ledger, f"claude-code:{MAIN}")
    root = tmp_path / "a" / "b"
    told = ledger.restore_file(session, "claude-code", root=root, dry_run=True)
    assert told.dry_run
    assert not root.parent.exists()
    assert ledger.audit(action="restore-file") == []
    done = ledger.restore_file(session, "claude-code", root=root)
    assert [file.path for file in done.files] == [file.path for file in told.files]
    for file in done.files:
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    records = ledger.audit(action="restore-file")
    assert [record.facts for record in records] == [
        {
            "of": session,
            "to": "claude-code",
            "exact": True,
            "files": 4,
            "bytes": sum(file.bytes for file in done.files),
        }
    ]


def test_without_hard_links_a_file_is_not_replaced_either(
    ledger: clew.Ledger, claude: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_given: Any, **_named: Any) -> None:
        raise PermissionError(1, "this file system has no links")

    monkeypatch.setattr(os, "link", none)
    ledger.import_from(claude)
    session = imported(ledger, f"claude-code:{MAIN}")
    ledger.restore_file(session, "claude-code", root=tmp_path / "new")
    assert tree(tmp_path / "new") == tree(claude)


@pytest.mark.parametrize("faster", ["the same", "another"])
def test_whoever_is_faster_keeps_the_name(
    ledger: clew.Ledger,
    claude: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    faster: str,
) -> None:
    link = os.link

    def late(aside: Path, path: Path) -> None:
        if path.name == f"{MAIN}.jsonl":
            path.write_bytes(aside.read_bytes() if faster == "the same" else b"theirs\n")
        link(aside, path)

    monkeypatch.setattr(os, "link", late)
    ledger.import_from(claude)
    session = imported(ledger, f"claude-code:{MAIN}")
    if faster == "the same":
        done = ledger.restore_file(session, "claude-code", root=tmp_path / "new")
        assert sorted(file.state for file in done.files) == ["new", "new", "new", "there"]
    else:
        with pytest.raises(clew.Conflict, match="something else"):
            ledger.restore_file(session, "claude-code", root=tmp_path / "new")
        assert next((tmp_path / "new").rglob(f"{MAIN}.jsonl")).read_bytes() == b"theirs\n"
    assert not list((tmp_path / "new").rglob("*.partial"))


def test_two_at_once_give_one_whole_file(ledger: clew.Ledger, claude: Path, tmp_path: Path) -> None:
    ledger.import_from(claude)
    session = imported(ledger, f"claude-code:{MAIN}")
    for turn in range(5):
        root, results = tmp_path / str(turn), list[Restored]()
        start = threading.Barrier(4)

        def run(root: Path = root, results: list[Restored] = results, start: Any = start) -> None:
            start.wait()
            results.append(ledger.restore_file(session, "claude-code", root=root))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 4
        assert tree(root) == tree(claude), "whole, and nothing left beside it"


@pytest.mark.parametrize(
    "cwd", ["/../../outside", "..", "/a\0b", "/a\nb", "C:\\Users\\x", "/" + "x" * 900, "/ü" * 120]
)
def test_a_hostile_folder_leads_nowhere_else(ledger: clew.Ledger, tmp_path: Path, cwd: str) -> None:
    file = tmp_path / "in" / f"{MAIN}.jsonl"
    file.parent.mkdir()
    file.write_bytes(line(cwd=cwd))
    ledger.import_from(file)
    session = ledger.sessions()[0].id
    root = tmp_path / "deep" / "root"
    for to in ("claude-code", "pi", "codex"):
        done = ledger.restore_file(session, to, root=root / to)
        assert all(root / to in each.path.resolve().parents for each in done.files)
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["root"]
    assert sorted(path.name for path in root.iterdir()) == ["claude-code", "codex", "pi"]


def test_a_hostile_id_leads_nowhere_else(ledger: clew.Ledger, tmp_path: Path) -> None:
    for number, id in enumerate(["../../../x", "a/b", "\0", "..", ""]):
        header = {"type": "session", "version": 3, "id": id or None, "cwd": "/w"}
        entry = {"type": "message", "id": f"{number:08x}", "parentId": None}
        said_ = {"role": "user", "content": f"Hello {number}"}
        stamp = {"timestamp": f"2026-05-01T10:00:0{number}.000Z"}
        file = tmp_path / "in" / f"file{number}.jsonl"
        file.parent.mkdir(exist_ok=True)
        lines = [{**header, **stamp}, {**entry, **stamp, "message": said_}]
        file.write_text("".join(json.dumps(each) + "\n" for each in lines))
        ledger.import_from(file, importer="pi")
    root = tmp_path / "deep" / "root"
    for info in ledger.sessions():
        done = ledger.restore_file(info.id, "pi", root=root)
        assert done.exact
        assert all(root in each.path.resolve().parents for each in done.files)
    assert len(tree(tmp_path / "deep")) == 5


@pytest.mark.parametrize("id", ["--dangerously", "a b; rm x", "-"])
def test_no_id_passes_for_an_option(ledger: clew.Ledger, tmp_path: Path, id: str) -> None:
    file = tmp_path / "in" / f"{id}.jsonl"
    file.parent.mkdir()
    file.write_bytes(line(cwd="-P $(x)"))
    ledger.import_from(file, importer="claude-code")
    session = ledger.sessions()[0].id
    done = ledger.restore_file(session, "claude-code", root=tmp_path / "new")
    assert (done.exact, done.command) == (True, "")
    there = tmp_path / "a && b"
    written = ledger.restore_file(session, "pi", root=there)
    assert written.command.startswith(f"cd {tmp_path.cwd()} && PI_CODING_AGENT_DIR='{there}' pi ")


@pytest.mark.parametrize("verb", ["restore-file", "handoff"])
@pytest.mark.parametrize("where", ["a full disk", "no folder can be made", "below a file"])
def test_what_the_system_refuses_is_no_fault_of_the_input(
    claude: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, where: str
) -> None:
    db, target = f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "new"
    with clew.open(db) as ledger:
        ledger.import_from(claude)
        session = imported(ledger, f"claude-code:{MAIN}")

    def full(*_given: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "a full disk":
        monkeypatch.setattr("clew.writers.placing.os.fsync", full)
    elif where == "no folder can be made":
        monkeypatch.setattr("clew.writers.placing.Path.mkdir", full)
    else:
        target.write_bytes(b"a file")
    done = CliRunner().invoke(main, ["--db", db, verb, session, "--to", "pi", "-o", str(target)])
    assert done.exit_code == (2 if where == "below a file" else 4), done.stderr
    assert "Traceback" not in done.stderr
    assert not target.is_dir() or tree(target) == {}
