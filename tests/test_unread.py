"""What is there and cannot be read is told, with the right cause; nothing waits, and no file stays.

Each database here is one that Goose left: damaged, locked, denied, half written.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

import clew
from clew import log
from clew.cli import main
from clew.doctor import diagnose
from clew.importers import flynn, goose, private, rows
from clew.source import Imported
from clew.watching import Watcher
from importer_kit import memory_ledger
from store_kit import made, run

GOLDEN = Path(__file__).resolve().parent / "golden"
SOURCE = GOLDEN / "goose" / "sessions.sql"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, with Goose in it."""
    folder = tmp_path / "home"
    (folder / ".local" / "share" / "goose" / "sessions").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_DATA_HOME", "GOOSE_PATH_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def path(home: Path) -> Path:
    """Goose's database, where Goose keeps it."""
    return made(SOURCE, home / ".local" / "share" / "goose" / "sessions", name="sessions.sql")


def wal(path: Path, **more: object) -> apsw.Connection:
    """A connection that keeps a database in WAL mode, with something in the log."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute("update sessions set name = 'In the log', user_set_name = 1")
    return connection


def damaged(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def overwritten(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def viewed(path: Path) -> None:
    run(path, "alter table messages rename to messages_of_old")
    run(path, "create view messages as select * from messages_of_old")


def without_column(path: Path) -> None:
    run(path, "alter table messages rename column content_json to content")


def left_out(report: Imported) -> list[str]:
    """The files that an import told were there and not read."""
    return [note.path for note in report.notes if "it is there but" in note.text]


CASES: list[tuple[Callable[[Path], None], str]] = [
    (damaged, "it is damaged .*recover"),
    (overwritten, "no SQLite database: damaged, encrypted"),
    (viewed, "'messages' is no table but a view"),
    (without_column, "has no column 'content_json'"),
]


@pytest.mark.parametrize(
    ("spoil", "cause"), CASES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_database_that_cannot_be_read_is_told_of(
    path: Path, spoil: Callable[[Path], None], cause: str
) -> None:
    spoil(path)
    with memory_ledger() as ledger:
        report = ledger.import_from(path.parent)
        assert [note.path for note in report.notes] == [str(path)]
        match = pytest.raises(clew.Invalid, match=f"cannot be read.*: .*{cause}")
        with match:
            ledger.import_from(path)
        with match:
            raise clew.Invalid(report.notes[0].text)
        watcher = Watcher(ledger, names=["goose"])
        assert [note.text for note in watcher.round().notes] == [report.notes[0].text]
        assert watcher.round().notes == []
        (found,) = diagnose(ledger, agents=["goose"])
        assert found.unread == 1
        assert report.notes[0].text in found.notes[0]


def test_doctor_gives_no_all_clear_then(path: Path, tmp_path: Path) -> None:
    damaged(path)
    result = CliRunner().invoke(main, ["--db", str(tmp_path / "l.db"), "doctor"])
    assert "there, but cannot be read: 1" in result.output
    assert "all of it is in the ledger" not in result.output
    assert "every call has its result" not in result.output


def test_a_locked_database_is_waited_for_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    real = apsw.Connection.set_busy_timeout

    class Counted(apsw.Connection):
        def set_busy_timeout(self, milliseconds: int) -> None:
            waits.append(milliseconds)
            real(self, min(milliseconds, 10))

    other = apsw.Connection(str(path))
    other.execute("begin exclusive")
    monkeypatch.setattr(apsw, "Connection", Counted)
    with memory_ledger() as ledger:
        waits.clear()
        report = ledger.import_from(path.parent)
        assert [note.text for note in report.notes] == [
            "it is there but cannot be read: another program has locked it: try again when that "
            "one has let go of it"
        ]
        assert len([each for each in waits if each == 2_000]) == 1
        other.execute("rollback")
        assert ledger.import_from(path.parent).sessions_new
    other.close()


def test_a_database_of_another_program_is_no_news_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    run(folder / "other.db", "create table sessions (id, name)")
    run(folder / "other.db", "create table messages (id, text)")
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" * 300)
    made(SOURCE, folder, name="kept.sql")
    with memory_ledger() as ledger:
        assert left_out(ledger.import_from(folder)) == []
        damaged(folder / "kept.db")
        assert left_out(ledger.import_from(folder)) == [str(folder / "kept.db")]


def test_an_importer_that_may_not_look_somewhere_costs_only_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(root: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(root / "within"))

    monkeypatch.setattr(flynn, "discover", denied)
    monkeypatch.setattr(flynn, "roots", lambda _home, _env: [path.parent])
    with memory_ledger() as ledger:
        report = ledger.import_from(path.parent)
        assert report.sessions_new
        assert any("not looked at: Permission denied" in note.text for note in report.notes)
        (found,) = diagnose(ledger, agents=["flynn"])
        assert (found.histories, found.unread) == (0, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_is_denied_is_told_of(path: Path) -> None:
    folder = path.parent / "more"
    folder.mkdir(mode=0)
    path.chmod(0)
    try:
        with memory_ledger() as ledger:
            notes = {n.path: n.text for n in ledger.import_from(path.parent).notes}
    finally:
        folder.chmod(0o700)
        path.chmod(0o600)
    assert "may not read it" in notes[str(path)]
    assert "Permission denied" in notes[str(folder)]


# --- no lock, no file left -------------------------------------------------------------------


def beside(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()}


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where private copies go; nothing of them is left behind the test."""
    folder = tmp_path / "copies"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("copies")
def test_a_log_whose_program_was_killed_is_read_and_nothing_stays(
    path: Path, tmp_path: Path
) -> None:
    connection = wal(path)
    left = tmp_path / "left"
    left.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        shutil.copyfile(path.parent / name, left / name)
    connection.close()
    before = beside(left / path.name)
    with memory_ledger() as ledger:
        assert left_out(ledger.import_from(left)) == []
        assert "In the log" in {info.title for info in ledger.sessions()}
    assert beside(left / path.name) == before
    # The log is not taken over: what the program left is as it was.
    assert (left / f"{path.name}-wal").stat().st_size > 0


def test_where_a_program_writes_its_own_files_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = wal(path)
    before = beside(path)

    def refused(*_args: object, **_more: object) -> None:
        raise AssertionError("a copy was made")

    monkeypatch.setattr(private, "copied", refused)
    with memory_ledger() as ledger:
        assert left_out(ledger.import_from(path.parent)) == []
        assert "In the log" in {info.title for info in ledger.sessions()}
    connection.execute("update sessions set description = 'Still there'")
    assert beside(path) == before
    connection.close()


@pytest.mark.usefixtures("copies")
def test_a_journal_that_was_not_rolled_back_is_not_read_as_if_it_were(
    path: Path, tmp_path: Path
) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("cache_size", 1)
    connection.execute("begin immediate")
    connection.execute("update sessions set name = 'Half written', user_set_name = 1")
    connection.execute("create table filler as select randomblob(50000) from sessions")
    connection.cache_flush()
    left = tmp_path / "left"
    left.mkdir()
    for name in (path.name, f"{path.name}-journal"):
        shutil.copyfile(path.parent / name, left / name)
    connection.execute("rollback")
    connection.close()
    before = {name: (left / name).read_bytes() for name in beside(left / path.name)}
    assert len(before) == 2
    with memory_ledger() as ledger:
        assert left_out(ledger.import_from(left)) == []
        titles = {info.title for info in ledger.sessions()}
    assert titles
    assert "Half written" not in titles
    assert {name: (left / name).read_bytes() for name in beside(left / path.name)} == before


@pytest.mark.usefixtures("copies")
def test_a_writer_commits_while_a_slow_reader_reads(path: Path) -> None:
    writer = apsw.Connection(str(path))
    writer.set_busy_timeout(0)
    with goose.look(path) as inside:
        for number, thread in enumerate(inside.threads()):
            for _item in inside.items(thread.name):
                writer.execute("update sessions set description = ?", (f"step {number}",))
    writer.close()


@pytest.mark.usefixtures("copies")
def test_a_copy_goes_on_while_the_file_changes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "STEP_BYTES", 1)
    writer = apsw.Connection(str(path))
    writer.set_busy_timeout(0)
    pauses = []

    def written(_seconds: float) -> None:
        pauses.append(1)
        writer.execute("update sessions set description = ?", (f"pause {len(pauses)}",))

    monkeypatch.setattr("time.sleep", written)
    with goose.look(path) as inside:
        assert list(inside.threads())
    assert len(pauses) > private.STARTS_MAX
    writer.close()


# --- what is no file -------------------------------------------------------------------------


def test_a_pipe_called_like_a_history_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / ".claude" / "projects" / "-srv-orchard"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.jsonl")
    os.mkfifo(folder / "pipe.db")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(folder)  # a socket's address may not be long
        server.bind("s.json")
    with memory_ledger() as ledger:
        report = ledger.import_from(home / ".claude")
        names = {Path(note.path).name: note.text for note in report.notes}
        assert names.keys() == {"pipe.jsonl", "pipe.db", "s.json"}
        assert all("left alone: it is a pipe, a socket or a device" in t for t in names.values())
        watcher = Watcher(ledger, [home / ".claude"])
        assert len(watcher.round().notes) == 3
        assert watcher.round().notes == []
        with pytest.raises(clew.Invalid, match="a pipe, a socket"):
            ledger.import_from(folder / "pipe.jsonl")
        (found,) = diagnose(ledger, agents=["claude-code"])
        assert found.histories == 0
        assert stat.S_ISFIFO((folder / "pipe.jsonl").stat().st_mode)


def test_no_importer_opens_a_pipe(tmp_path: Path) -> None:
    from clew import importers

    for name in ("a.jsonl", "rollout-2026-01-01T00-00-00-x.jsonl", "a.json", "logs.json", "a.db"):
        os.mkfifo(tmp_path / name)
        for each in importers.IMPORTERS.values():
            each.identify(tmp_path / name)
    for each in importers.IMPORTERS.values():
        list(each.discover(tmp_path))


# --- what is too large ------------------------------------------------------------------------


def test_a_message_too_large_for_a_record_is_kept_in_pieces(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LINE_BYTES_MAX", 5000)
    monkeypatch.setattr(log, "BODY_BYTES_MAX", 5000)
    long = "apple " * 3000
    content = json.dumps([{"type": "text", "text": long}])
    run(
        path,
        "update messages set content_json = ? where message_id = 'm10'",
        content,
    )
    with memory_ledger() as ledger:
        first = ledger.import_from(path.parent)
        assert any("kept in pieces" in note for note in noted(ledger))
        assert not any(note.text.startswith("not read") for note in first.notes)
        kept = b"".join(
            raw
            for info in ledger.sessions(limit=100)
            for raw in ledger.source_bytes(info.id).values()
        )
        assert long.encode() in kept
        spoken = {info.title: len(ledger.get(info.id).context()) for info in ledger.sessions()}
        assert all(spoken.values())
        again = ledger.import_from(path.parent)
        assert (again.added, again.unchanged) == (0, 1)
        # Changed, it is another version in pieces of its own; its neighbours stay as they are.
        run(
            path,
            "update messages set content_json = ? where message_id = 'm10'",
            content.replace("apple", "banana"),
        )
        assert ledger.import_from(path.parent).added >= 4
        assert spoken == {i.title: len(ledger.get(i.id).context()) for i in ledger.sessions()}


def noted(ledger: clew.Ledger) -> list[str]:
    """What the entries of all sessions say is wrong with them."""
    sessions = [ledger.get(info.id) for info in ledger.sessions(limit=100)]
    return [str((e.meta or {}).get("note")) for each in sessions for e in each.entries()]


# --- what is said wrong -----------------------------------------------------------------------


def clew_says(tmp_path: Path, *words: str) -> str:
    result = CliRunner().invoke(main, ["--db", str(tmp_path / "ledger.db"), *words])
    assert result.exit_code == 2
    return result.output


def test_maps_are_for_databases(tmp_path: Path) -> None:
    said = clew_says(tmp_path, "import", str(tmp_path), "--map", "tool_traces=calls")
    assert "--map names the tables of a database: give its postgresql:// URL" in said


def test_no_password_is_said_again(tmp_path: Path) -> None:
    said = clew_says(tmp_path, "import", "mysql://me:PASSWORD@a.example/chats")
    assert "a.example/chats does not exist" in said
    assert "PASSWORD" not in said


def test_a_file_that_is_nobodys_may_be_said_to_be_somebodys(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "say whose with --agent NAME" in clew_says(
        tmp_path, "import", str(tmp_path / "notes.txt")
    )


# --- what is no history of its own ------------------------------------------------------------


def claude(folder: Path, name: str, *records: Mapping[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"sessionId": name, **each}) + "\n" for each in records))
    return path


PROMPT = {
    "type": "user",
    "uuid": "u1",
    "cwd": "/srv/orchard",
    "message": {"role": "user", "content": "Water the pears"},
}


def test_a_link_to_a_neighbour_is_no_session(home: Path) -> None:
    folder = home / ".claude" / "projects" / "-srv-orchard"
    original = claude(folder, "s", PROMPT)
    (folder / "alias.jsonl").symlink_to(original)
    (folder / "elsewhere.jsonl").symlink_to(claude(home / "kept", "other", PROMPT))
    with memory_ledger() as ledger:
        report = ledger.import_from(home / ".claude")
        assert (report.files, report.sessions_new) == (2, 2)
        assert ledger.import_from(home / ".claude").unchanged == 2
        assert Watcher(ledger, [home / ".claude"]).round().files == 2
        (found,) = diagnose(ledger, agents=["claude-code"])
        assert (found.histories, found.new) == (2, 0)


def test_doctor_tells_what_says_nothing_from_what_is_not_in(home: Path) -> None:
    folder = home / ".claude" / "projects" / "-srv-orchard"
    claude(folder, "said", PROMPT)
    claude(folder, "silent", {"type": "summary", "summary": "Pears", "leafUuid": "u9"})
    with memory_ledger() as ledger:
        (found,) = diagnose(ledger, agents=["claude-code"])
        assert (found.histories, found.new, found.unsaid) == (2, 1, 1)
        assert ledger.import_from(home / ".claude").sessions_new == 1
        (found,) = diagnose(ledger, agents=["claude-code"])
        assert (found.histories, found.new, found.unsaid, found.bytes_left) == (2, 0, 1, 0)
        silent = folder / "silent.jsonl"
        silent.write_text(silent.read_text() + json.dumps({"sessionId": "silent", **PROMPT}) + "\n")
        (found,) = diagnose(ledger, agents=["claude-code"])
        assert (found.new, found.unsaid) == (1, 0)
