"""A ledger whose file is deleted or replaced while it is open says so, and can be rescued."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import clew
import clew.db.standing
import clew.db.wal
from server import serving

NAME = "agent.db"


@pytest.fixture(autouse=True)
def _always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clew.db.standing, "LOOK_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "here" / NAME


@pytest.fixture
def ledger(path: Path) -> Iterator[clew.Ledger]:
    with clew.open(f"sqlite:///{path}") as opened:
        yield opened


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def filled(ledger: clew.Ledger, count: int = 3) -> clew.Session:
    session = ledger.session(frontend="cli", user="1")
    for number in range(count):
        session.append(user(f"word {number}"))
    return session


def deleted(path: Path) -> None:
    for file in path.parent.glob(f"{NAME}*"):
        file.unlink()


def by_another_ledger(path: Path) -> None:
    other = path.parent.parent / "other" / NAME
    with clew.open(f"sqlite:///{other}") as ledger:
        ledger.session(frontend="cli", user="other").append(user("another ledger"))
    deleted(path)
    other.rename(path)


def by_a_copy_of_itself(path: Path) -> None:
    copy = path.parent / "copy"
    shutil.copy(path, copy)
    copy.rename(path)


def without_its_wal(path: Path) -> None:
    path.with_name(f"{NAME}-wal").unlink()


def without_its_locks(path: Path) -> None:
    path.with_name(f"{NAME}-shm").unlink()


def with_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def under_another_name(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


LOSSES = [
    *(deleted, by_another_ledger, by_a_copy_of_itself, without_its_wal, without_its_locks),
    *(with_its_folder, under_another_name),
]
Loss = Callable[[Path], None]


@pytest.mark.parametrize("lose", LOSSES)
def test_nothing_is_acknowledged_any_more(ledger: clew.Ledger, path: Path, lose: Loss) -> None:
    session = filled(ledger)
    lose(path)
    with pytest.raises(clew.ReadOnly, match=r"deleted or replaced.*ledger\.backup\(path\)"):
        session.append(user("into nowhere"))
    assert [message.text for message in session.history()] == ["word 0", "word 1", "word 2"]


@pytest.mark.parametrize("lose", LOSSES)
def test_all_of_it_can_be_rescued(
    ledger: clew.Ledger, path: Path, tmp_path: Path, lose: Loss
) -> None:
    session = filled(ledger, 40)
    lose(path)
    rescued = ledger.backup(tmp_path / "rescued.db")
    with clew.open(rescued) as copy:
        report = copy.verify()
        assert report.ok, report.problems
        assert copy.get(session.id).entries() == session.entries()


@pytest.mark.parametrize("lose", LOSSES)
def test_verify_names_it(ledger: clew.Ledger, path: Path, lose: Loss) -> None:
    filled(ledger)
    assert ledger.verify().ok
    lose(path)
    report = ledger.verify()
    assert not report.ok
    assert "deleted or replaced" in report.problems[0]


def test_what_came_in_its_place_is_left_alone(ledger: clew.Ledger, path: Path) -> None:
    filled(ledger)
    by_another_ledger(path)
    before = path.read_bytes()
    assert [info.user for info in ledger.sessions()] == ["1"], "it answers from its own file"
    ledger.close()
    assert path.read_bytes() == before
    assert not path.with_name(f"{NAME}-wal").exists()
    with clew.open(f"sqlite:///{path}") as other:
        assert [info.user for info in other.sessions()] == ["other"]
        assert other.verify().ok


def test_many_threads_read_on(ledger: clew.Ledger, path: Path) -> None:
    session = filled(ledger)
    deleted(path)
    start = threading.Barrier(8)
    found: list[int] = []

    def read() -> None:
        start.wait()
        found.extend(len(session.history()) for _ in range(20))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3] * 160


def test_it_is_told_where_nobody_asks(
    ledger: clew.Ledger, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(ledger)
    deleted(path)
    ledger.close()
    (record,) = [record for record in caplog.records if record.name == "clew.db"]
    assert "deleted or replaced" in record.getMessage()


def test_a_tool_runs_on_and_the_loss_is_counted(ledger: clew.Ledger, path: Path) -> None:
    session = filled(ledger)
    deleted(path)
    with session.turn() as turn, turn.tool("bash", "make") as call:
        call.output = "ok"
    assert ledger.stats().spans_lost > 0


def test_the_thread_that_moves_the_wal_leaves_another_file_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clew.db.wal, "WAL_PAGES", 1)
    monkeypatch.setattr(clew.db.standing, "LOOK_SECONDS", 3600.0)
    with clew.open(f"sqlite:///{path}") as ledger:
        session = filled(ledger)
        by_another_ledger(path)
        before = path.read_bytes()
        # No commit is due to look: the thread that each of them wakes is.
        for number in range(10_000):
            try:
                session.append(user(f"late {number}"))
            except clew.ReadOnly as error:
                assert "deleted or replaced" in str(error)  # noqa: PT017
                break
        else:
            pytest.fail("nobody noticed")
        assert path.read_bytes() == before


def test_a_link_is_followed(tmp_path: Path) -> None:
    real, other = tmp_path / "real", tmp_path / "other"
    real.mkdir()
    other.mkdir()
    link = tmp_path / NAME
    link.symlink_to(real / NAME)
    with clew.open(f"sqlite:///{link}") as ledger:
        session = filled(ledger)
        assert ledger.verify().ok
    with clew.open(f"sqlite:///{link}") as ledger:
        session = ledger.get(session.id)
        session.append(user("through the link"))
        (tmp_path / "aside").symlink_to(other / NAME)
        (tmp_path / "aside").rename(link)
        with pytest.raises(clew.ReadOnly, match="deleted or replaced"):
            session.append(user("where to?"))
        assert ledger.verify().problems
    with clew.open(f"sqlite:///{real / NAME}") as ledger:
        assert len(ledger.get(session.id).history()) == 4
        assert ledger.verify().ok


def test_the_journals_of_a_link_are_where_it_leads(tmp_path: Path, path: Path) -> None:
    path.parent.mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with clew.open(f"sqlite:///{link}") as ledger:
        session = filled(ledger)
        without_its_wal(path)
        with pytest.raises(clew.ReadOnly, match=r"agent\.db-wal was deleted or replaced"):
            session.append(user("into nowhere"))


def test_another_folder_is_no_other_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    monkeypatch.chdir(path.parent)
    with clew.open(f"sqlite:///{NAME}") as ledger:
        session = filled(ledger)
        monkeypatch.chdir("/")
        session.append(user("from elsewhere"))
        with ledger._database.read(), ledger._database.read():
            assert len(session.history()) == 4
        assert ledger.verify().ok
    assert not os.path.lexists(f"/{NAME}")


def test_a_reader_does_not_mix_two_ledgers(ledger: clew.Ledger, path: Path) -> None:
    filled(ledger)
    with clew.open(f"sqlite:///{path}", read_only=True) as reader:
        assert len(reader.sessions()) == 1
        deleted(path)
        with pytest.raises(clew.Unavailable, match=r"deleted or replaced.*open it again"):
            reader.sessions()


def test_a_server_says_that_it_cannot_write(ledger: clew.Ledger, path: Path) -> None:
    session = filled(ledger)
    with serving(ledger) as there, there.client() as client:
        assert client.get("/ready").status_code == 200
        deleted(path)
        where = f"/api/v1/sessions/{session.id}/entries"
        assert client.post(where, json={"message": user("into nowhere")}).status_code >= 400
        assert client.get("/ready").status_code == 503
        assert client.get(where).status_code == 200, "what is held open can still be read"
