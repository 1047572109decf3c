"""Watching: what grows comes in, whatever happens to the files, the ledger or the watcher."""

from __future__ import annotations

import json
import os
import plistlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest
from click.testing import CliRunner, Result

import clew
from clew import gather, importers, source, watching
from clew.cli import main, services
from clew.cli.options import Setup
from clew.db import Settings
from clew.watching import Round, Watcher, watch

MEMORY = "sqlite:///:memory:"
RUN = [sys.executable, "-c", "from clew.cli import main; main(prog_name='clew')"]


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    """A ledger in memory, verified when the test is over."""
    with clew.open(MEMORY, search=False) as ledger:
        yield ledger
        report = ledger.verify()
        assert report.ok, report.problems


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that gave nothing is not tried again while a test runs."""
    monkeypatch.setattr(watching, "RETRY_SECONDS", 3600.0)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that gave nothing is tried again in the next round."""
    monkeypatch.setattr(watching, "RETRY_SECONDS", 0.0)


def _chat(*names: str, session: str = "s") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    before = None
    for number, name in enumerate(names):
        role = "assistant" if number % 2 else "user"
        said: Any = [{"type": "text", "text": f"says {name}"}] if number % 2 else f"says {name}"
        found.append(
            {
                "type": role,
                "uuid": f"{session}-{name}",
                "parentUuid": before,
                "timestamp": f"2026-01-01T00:00:{number % 60:02d}.000Z",
                "cwd": "/home/me/garden",
                "sessionId": session,
                "message": {"role": role, "content": said},
            }
        )
        before = f"{session}-{name}"
    return found


def _write(file: Path, records: Sequence[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def _history(folder: Path, session: str, *names: str) -> Path:
    return _write(folder / f"{session}.jsonl", _chat(*names, session=session))


def _native(ledger: clew.Ledger) -> dict[str, clew.Session]:
    found = ledger.sessions(spawned=True, limit=1000)
    return {(info.imported_from or "").partition(":")[2]: ledger.get(info.id) for info in found}


def _said(ledger: clew.Ledger, native: str = "s") -> list[str]:
    return [message.text for message in _native(ledger)[native].history()]


def _is_root() -> bool:
    return os.geteuid() == 0


# --- what comes in -------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["memory", "sqlite", "postgres"], indirect=True)
def test_what_grows_comes_in_and_nothing_twice(ledger: clew.Ledger, tmp_path: Path) -> None:
    home = tmp_path / "h"
    _history(home, "s", "a", "b")
    watcher = Watcher(ledger, [home])
    first = watcher.round()
    assert [(c.new, c.added, c.agent) for c in first.changes] == [(True, 2, "claude-code")]
    assert (first.files, first.left, first.waiting, first.notes) == (1, 0, None, [])
    assert watcher.round() == Round(files=1)
    _history(home, "s", "a", "b", "c", "d")
    second = watcher.round()
    assert [(c.new, c.added, c.title) for c in second.changes] == [(False, 2, "says a")]
    _history(home, "t", "x")
    assert [c.new for c in watcher.round().changes] == [True]
    assert watcher.round().changes == []
    assert _said(ledger) == ["says a", "says b", "says c", "says d"]
    assert _said(ledger, "t") == ["says x"]


def test_a_look_at_what_did_not_change_reads_no_file(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        _history(tmp_path, f"s{number}", "a", "b")
    watcher = Watcher(store, [tmp_path])
    assert len(watcher.round().changes) == 5
    opened: list[Path] = []
    plain = Path.open

    def spy(path: Path, *args: Any, **more: Any) -> Any:
        opened.append(path)
        return plain(path, *args, **more)

    monkeypatch.setattr(Path, "open", spy)
    watcher.round()
    assert opened == []
    _history(tmp_path, "s3", "a", "b", "c")
    opened.clear()
    assert len(watcher.round().changes) == 1
    assert {path.name for path in opened} == {"s3.jsonl"}


def test_a_torn_record_is_no_news_until_it_is_whole(store: clew.Ledger, tmp_path: Path) -> None:
    file = _history(tmp_path, "s", "a", "b")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    watcher = Watcher(store, [tmp_path])
    assert [c.added for c in watcher.round().changes] == [1]
    file.write_bytes(whole[:-10])
    assert watcher.round() == Round(files=1)
    file.write_bytes(whole)
    found = watcher.round()
    assert ([c.added for c in found.changes], found.notes) == ([1], [])
    assert store.source_bytes(_native(store)["s"].id) == {str(file): whole}


def test_a_file_that_says_nothing_yet_comes_in_when_it_does(
    store: clew.Ledger, tmp_path: Path, slow: None
) -> None:
    file = tmp_path / "s.jsonl"
    file.write_bytes(b"")
    watcher = Watcher(store, [tmp_path])
    assert watcher.round() == Round()
    _write(file, [{"type": "mode", "mode": "plan", "sessionId": "s"}])
    assert watcher.round() == Round(files=1)
    _history(tmp_path, "s", "a")
    assert [c.new for c in watcher.round().changes] == [True]


def test_a_renamed_folder_doubles_nothing_and_goes_on(store: clew.Ledger, tmp_path: Path) -> None:
    _history(tmp_path / "old", "s", "a", "b")
    watcher = Watcher(store, [tmp_path])
    watcher.round()
    (tmp_path / "old").rename(tmp_path / "new")
    assert watcher.round().changes == []
    _history(tmp_path / "new", "s", "a", "b", "c")
    assert [(c.new, c.added) for c in watcher.round().changes] == [(False, 1)]
    assert list(_native(store)) == ["s"]
    assert _said(store) == ["says a", "says b", "says c"]


def test_a_rotated_file_goes_on_under_its_name(store: clew.Ledger, tmp_path: Path) -> None:
    file = _history(tmp_path, "s", "a", "b")
    watcher = Watcher(store, [tmp_path])
    watcher.round()
    file.rename(tmp_path / "s.jsonl.1")
    _write(file, _chat("a", "b", "c", "d")[2:])
    found = watcher.round()
    assert [c.added for c in found.changes] == [2]
    assert ["rewritten" in note.text for note in found.notes] == [True]
    assert _said(store) == ["says a", "says b", "says c", "says d"]


def test_a_rewritten_file_adds_what_is_new_and_says_so_once(
    store: clew.Ledger, tmp_path: Path
) -> None:
    file = _history(tmp_path, "s", "a", "b")
    watcher = Watcher(store, [tmp_path])
    watcher.round()
    mode = {"type": "mode", "mode": "plan", "sessionId": "s"}
    _write(file, [mode, *_chat("a", "b", "c")])
    found = watcher.round()
    assert [c.added for c in found.changes] == [2]
    assert any("rewritten" in note.text for note in found.notes)
    assert watcher.round() == Round(files=1)


def test_a_vanished_file_stays_in_the_ledger(store: clew.Ledger, tmp_path: Path) -> None:
    file = _history(tmp_path, "s", "a", "b")
    _history(tmp_path, "t", "x")
    watcher = Watcher(store, [tmp_path])
    watcher.round()
    file.unlink()
    assert watcher.round() == Round(files=1)
    shutil.rmtree(tmp_path)
    assert watcher.round() == Round()
    assert _said(store) == ["says a", "says b"]
    _history(tmp_path, "s", "a", "b", "c")
    assert [c.added for c in watcher.round().changes] == [1]


def test_a_file_that_vanishes_while_it_is_looked_at_is_no_news(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _history(tmp_path, "s", "a")
    gone = _history(tmp_path, "t", "x")
    take = gather.take_file

    def late(ledger: clew.Ledger, work: source.Work, report: source.Imported) -> list[source.Taken]:
        if work.path == gone:
            gone.unlink()
        return take(ledger, work, report)

    monkeypatch.setattr(gather, "take_file", late)
    found = Watcher(store, [tmp_path]).round()
    assert (len(found.changes), found.notes) == (1, [])


def test_a_folder_that_is_a_store_is_not_looked_for_again_each_round(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = Path(__file__).resolve().parent / "golden" / "opencode"
    folder = next(path for path in golden.rglob("storage") if path.is_dir())
    shutil.copytree(folder, tmp_path / "opencode" / "storage")
    watcher = Watcher(store, [tmp_path / "opencode"], ["opencode"])
    assert watcher.round().changes
    asked: list[Path] = []
    opencode = importers.IMPORTERS["opencode"]
    discover = opencode.discover

    def counted(root: Path) -> Iterator[Path]:
        asked.append(root)
        return discover(root)

    monkeypatch.setattr(opencode, "discover", counted)
    assert watcher.round() == Round(files=1)
    assert asked == []


# --- what cannot be read -------------------------------------------------------------------


@pytest.mark.skipif(_is_root(), reason="nothing is unreadable for root")
def test_an_unreadable_file_is_told_once_and_read_later(
    store: clew.Ledger, tmp_path: Path, eager: None
) -> None:
    bad = _history(tmp_path, "s", "a")
    _history(tmp_path, "t", "x")
    bad.chmod(0)
    watcher = Watcher(store, [tmp_path])
    found = watcher.round()
    assert len(found.changes) == 1
    assert [("s.jsonl" in n.path, "not read" in n.text) for n in found.notes] == [(True, True)]
    assert watcher.round() == Round(files=2)
    bad.chmod(0o600)
    assert [c.new for c in watcher.round().changes] == [True]


def _failing(monkeypatch: pytest.MonkeyPatch, bad: Path, tries: list[Path]) -> None:
    begin = gather._begin

    def broken(ledger: Any, work: source.Work, file: Any, report: Any) -> Any:
        if work.path == bad:
            tries.append(bad)
            raise PermissionError(13, "Permission denied", str(bad))
        return begin(ledger, work, file, report)

    monkeypatch.setattr(gather, "_begin", broken)


def test_a_broken_file_costs_only_itself_and_is_let_rest(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: None
) -> None:
    bad = _history(tmp_path, "s", "a")
    _history(tmp_path, "t", "x")
    tries: list[Path] = []
    with monkeypatch.context() as patch:
        _failing(patch, bad, tries)
        watcher = Watcher(store, [tmp_path])
        found = watcher.round()
        assert ([c.new for c in found.changes], len(found.notes)) == ([True], 1)
        assert watcher.round() == Round(files=2)
        assert tries == [bad], "it rests"
        _history(tmp_path, "s", "a", "b")
        assert watcher.round() == Round(files=2), "the same trouble is told once"
        assert tries == [bad, bad], "a change wakes it"
    _history(tmp_path, "s", "a", "b", "c")
    assert [c.added for c in watcher.round().changes] == [3]


def test_a_folder_that_cannot_be_looked_at_costs_only_itself(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _history(tmp_path, "s", "a")

    def broken(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(clew.importers.IMPORTERS["codex"], "identify", broken)
    watcher = Watcher(store, [tmp_path])
    found = watcher.round()
    assert len(found.changes) == 1
    assert [note.text for note in found.notes] == ["not looked at: Permission denied"]
    assert watcher.round() == Round(files=1)


# --- rounds --------------------------------------------------------------------------------


def test_a_round_is_bounded_and_what_grows_goes_first(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _history(tmp_path, "live", "a")
    watcher = Watcher(store, [tmp_path])
    watcher.round()
    for number in range(5):
        _history(tmp_path, f"s{number}", "a", "b")
    monkeypatch.setattr(watching, "ROUND_FILES", 2)
    grown: list[list[str]] = []
    left = []
    for number in range(4):
        if number < 2:
            _history(tmp_path, "live", *"abc"[: number + 2])
        found = watcher.round()
        left.append(found.left)
        grown.append([Path(c.path).stem for c in found.changes])
    assert grown == [["live", "s0"], ["live", "s1"], ["s2", "s3"], ["s4"]]
    assert left == [4, 3, 1, 0]
    assert len(_native(store)) == 6


def test_a_round_ends_behind_so_many_bytes(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        _history(tmp_path, f"s{number}", "a", "b")
    monkeypatch.setattr(watching, "ROUND_BYTES", 1)
    watcher = Watcher(store, [tmp_path])
    assert [(len(r.changes), r.left) for r in (watcher.round() for _ in range(3))] == [
        (1, 2),
        (1, 1),
        (1, 0),
    ]


def test_a_stopped_watcher_goes_on_where_it_was(store: clew.Ledger, tmp_path: Path) -> None:
    for number in range(4):
        _history(tmp_path, f"s{number}", "a", "b")
    stop = threading.Event()
    taken = 0

    class Stopping(Watcher):
        def _take(self, want: Any, found: Round) -> None:
            nonlocal taken
            taken += 1
            super()._take(want, found)
            if taken == 2:
                stop.set()

    first = Stopping(store, [tmp_path]).round(stop)
    assert (len(first.changes), first.left, len(_native(store))) == (2, 2, 2)
    second = Watcher(store, [tmp_path]).round()
    assert (len(second.changes), second.left, len(_native(store))) == (2, 0, 4)
    assert Watcher(store, [tmp_path]).round() == Round(files=4)


def test_the_default_roots_are_asked_anew(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_agents(monkeypatch, tmp_path)
    watcher = Watcher(store)
    assert watcher.round() == Round()
    _history(tmp_path / ".claude" / "projects" / "-home-me-garden", "s", "a")
    assert [c.new for c in watcher.round().changes] == [True]


def test_an_importer_that_is_not_there(store: clew.Ledger) -> None:
    with pytest.raises(clew.Invalid, match="no importer 'parrot'"):
        Watcher(store, names=["parrot"])


# --- the loop ------------------------------------------------------------------------------


def _until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not found():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def test_watching_until_it_is_told_to_stop(store: clew.Ledger, tmp_path: Path) -> None:
    _history(tmp_path, "s", "a")
    rounds: list[Round] = []
    stop = threading.Event()
    thread = threading.Thread(
        target=watch,
        args=(store, [tmp_path]),
        kwargs={"every": 0.01, "idle": 0.02, "on_round": rounds.append, "stop": stop},
    )
    thread.start()
    try:
        _until(lambda: len(rounds) == 1)
        _history(tmp_path, "s", "a", "b", "c")
        _until(lambda: sum(c.added for r in rounds for c in r.changes) == 3)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    assert len(rounds) == 2, "a round without news is not told"


def test_once_takes_all_rounds(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        _history(tmp_path, f"s{number}", "a")
    monkeypatch.setattr(watching, "ROUND_FILES", 2)
    rounds: list[Round] = []
    watch(store, [tmp_path], once=True, on_round=rounds.append)
    assert [len(r.changes) for r in rounds] == [2, 2, 1]


def test_a_ledger_that_is_away_is_waited_for(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _history(tmp_path, "s", "a", "b")
    _history(tmp_path, "t", "x")
    run, calls = store._run, 0

    def away(unit: Any, order: int) -> Any:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            raise clew.Unavailable("the ledger is busy: try again")
        return run(unit, order)

    monkeypatch.setattr(store, "_run", away)
    monkeypatch.setattr(watching, "AWAY_SECONDS_MAX", 0.01)
    rounds: list[Round] = []
    stop = threading.Event()

    def told(found: Round) -> None:
        rounds.append(found)
        if len(_native(store)) == 2:
            stop.set()

    watch(store, [tmp_path], every=0.001, idle=0.01, on_round=told, stop=stop)
    assert [bool(found.waiting) for found in rounds] == [True, False]
    assert _said(store) == ["says a", "says b"]
    assert _said(store, "t") == ["says x"]


def test_once_does_not_wait_for_a_ledger(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _history(tmp_path, "s", "a")

    def away(unit: Any, order: int) -> Any:
        raise clew.Unavailable("busy")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_run", away)
        with pytest.raises(clew.Unavailable, match="busy"):
            watch(store, [tmp_path], once=True)
    watch(store, [tmp_path], once=True)
    assert _said(store) == ["says a"]


def test_a_damaged_ledger_ends_it(
    store: clew.Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _history(tmp_path, "s", "a")

    def damaged(unit: Any, order: int) -> Any:
        raise clew.Damaged("stored bytes are damaged")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_run", damaged)
        with pytest.raises(clew.Damaged):
            watch(store, [tmp_path])


def test_a_busy_ledger_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.opening.Settings", partial(Settings, busy_ms=50))
    db = tmp_path / "ledger.db"
    _history(tmp_path / "h", "s", "a", "b")
    with clew.open(db, search=False) as ledger:
        watcher = Watcher(ledger, [tmp_path / "h"])
        with closing(apsw.Connection(str(db))) as other:
            other.execute("begin immediate")
            found = watcher.round()
            assert (found.changes, found.notes, found.left) == ([], [], 1)
            assert "try again" in (found.waiting or "")
            other.execute("rollback")
        assert [c.added for c in watcher.round().changes] == [2]
        assert ledger.verify().ok


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_connections_that_break_cost_nothing(ledger: clew.Ledger, url: str, tmp_path: Path) -> None:
    home = tmp_path / "h"
    names = [f"n{number}" for number in range(6)]
    _history(home, "s", names[0])
    watcher = Watcher(ledger, [home])
    watcher.round()
    for end in range(2, len(names) + 1):
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        _history(home, "s", *names[:end])
        rounds = [watcher.round()]
        while not rounds[-1].changes:
            assert rounds[-1].waiting, "it neither came in nor is waited for"
            assert len(rounds) < 20
            time.sleep(0.05)
            rounds.append(watcher.round())
    assert _said(ledger) == [f"says {name}" for name in names]


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
def test_two_watchers_at_once(ledger: clew.Ledger, url: str, tmp_path: Path) -> None:
    home = tmp_path / "h"
    stop = threading.Event()
    failed: list[BaseException] = []
    told: list[Round] = []

    def run(own: clew.Ledger) -> None:
        try:
            watch(own, [home], every=0.005, idle=0.01, stop=stop, on_round=told.append)
        except BaseException as error:
            failed.append(error)

    names = [f"n{number}" for number in range(12)]
    with clew.open(url) as other:
        threads = [threading.Thread(target=run, args=(each,)) for each in (ledger, other)]
        for thread in threads:
            thread.start()
        try:
            for end in range(1, len(names) + 1):
                for session in ("s", "t"):
                    _history(home, session, *names[:end])
                time.sleep(0.02)
            wanted = [f"says {name}" for name in names]
            sources = {"s", "t"}
            _until(
                lambda: (
                    bool(failed)
                    or (
                        _native(ledger).keys() == sources
                        and all(_said(ledger, each) == wanted for each in sources)
                    )
                )
            )
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
    assert failed == []
    for session in ("s", "t"):
        assert _native(ledger)[session].info.entries == len(names)
    assert sum(change.added for found in told for change in found.changes) <= 2 * len(names)


# --- the command ---------------------------------------------------------------------------


def _no_agents(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """A home of its own, where no agent was ever used."""
    for name in list(os.environ):
        if name.startswith(("CLAUDE_", "CODEX_", "PI_", "OPENCLAW_", "CLAWDBOT_", "XDG_", "CLEW")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))


def _clew(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == code, result.output
    return result


def test_once_tells_each_session_and_then_nothing(tmp_path: Path) -> None:
    db, home = str(tmp_path / "ledger.db"), tmp_path / "h"
    _history(home, "s", "a", "b")
    _history(home, "t", "\x1b[2Jx")
    lines = _clew("--db", db, "watch", "--once", str(home)).stdout.splitlines()
    assert sorted(line.partition(" ")[2] for line in lines) == [
        "claude-code: new, 1 record: says [2Jx",
        "claude-code: new, 2 records: says a",
    ]
    assert _clew("--db", db, "watch", "--once", str(home)).output == ""
    _history(home, "s", "a", "b", "c")
    (facts,) = _clew("--db", db, "--json", "watch", "--once", str(home)).stdout.splitlines()
    found = json.loads(facts)
    assert [change["added"] for change in found["changes"]] == [1]
    assert (found["files"], found["left"], found["waiting"]) == (2, 0, None)
    assert json.loads(_clew("--db", db, "--json", "search", "says").stdout.splitlines()[0])


def test_what_watch_refuses(tmp_path: Path) -> None:
    db = str(tmp_path / "ledger.db")
    gone = _clew("--db", db, "watch", str(tmp_path / "none"), code=2)
    assert "does not exist" in gone.stderr
    for url in ("postgresql://me:PASSWORD@a.example/chats", "mysql://me:PASSWORD@a.example/x"):
        said = _clew("--db", db, "watch", url, code=2)
        assert "`clew import URL`" in said.stderr
        assert "PASSWORD" not in said.output
    assert "where the ledger is" in _clew("--db", "https://a.example", "watch", code=2).stderr
    assert "go alone" in _clew("--db", db, "watch", "--install", "--once", code=2).stderr
    assert "go alone" in _clew("--db", db, "watch", "--dry-run", code=2).stderr
    assert not Path(db).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_and_the_next_goes_on(tmp_path: Path, number: int) -> None:
    db, home = str(tmp_path / "ledger.db"), tmp_path / "h"
    words = ["--db", db, "--json", "watch", "--every", "0.1", str(home)]
    for names in (["a"], ["a", "b", "c"]):
        _history(home, "s", *names)
        with subprocess.Popen(
            [*RUN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            assert len(first["changes"]) == 1
            _history(home, "s", *names, "b" if len(names) == 1 else "d")
            second = json.loads(process.stdout.readline())
            assert [change["new"] for change in second["changes"]] == [False]
            process.send_signal(number)
            rest, talk = process.communicate(timeout=60)
        assert (process.returncode, rest, talk) == (0, "", "")
    with clew.open(db) as ledger:
        assert ledger.verify().ok
        assert _said(ledger) == ["says a", "says b", "says c", "says d"]


def test_a_database_that_does_not_answer_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def away(setup: Setup, **more: Any) -> clew.Ledger:
        tries.append(setup.url)
        if len(tries) >= 3:
            os.kill(os.getpid(), signal.SIGTERM)
        raise clew.Unavailable("no PostgreSQL answers there")

    monkeypatch.setattr(Setup, "open", away)
    monkeypatch.setattr("clew.cli.watch.AWAY_SECONDS", 0.01)
    words = ["--db", "postgresql://db.example/clew", "watch"]
    result = _clew(*words)
    assert result.stderr.splitlines() == ["clew: waiting: no PostgreSQL answers there"]
    assert len(tries) >= 3
    tries.clear()
    assert "no PostgreSQL answers" in _clew(*words, "--once", code=4).stderr
    assert len(tries) == 1


def test_a_killed_watcher_loses_nothing(tmp_path: Path) -> None:
    db, home = str(tmp_path / "ledger.db"), tmp_path / "h"
    names = [f"n{number}" for number in range(3000)]
    for number in range(8):
        _history(home, f"s{number}", *names)
    with subprocess.Popen(
        [*RUN, "--db", db, "watch", str(home)], stdout=subprocess.DEVNULL
    ) as process:
        _until(Path(db).exists)
        time.sleep(0.5)
        process.kill()
    _clew("--db", db, "watch", "--once", str(home))
    with clew.open(db) as ledger:
        assert ledger.verify().ok
        assert {s.info.entries for s in _native(ledger).values()} == {len(names)}
        assert len(_native(ledger)) == 8


# --- the service ---------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the unit goes, in a home of its own."""
    _no_agents(monkeypatch, tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path / ".config" / "systemd" / "user" / "clew-watch.service"


def test_a_dry_run_shows_the_unit_and_writes_nothing(service: Path, tmp_path: Path) -> None:
    db = tmp_path / "my ledger.db"
    told = _clew("--db", str(db), "watch", "--install", "--dry-run").stdout
    assert str(service) in told
    assert f'"--db" "sqlite:///{tmp_path}/my%%20ledger.db" "watch"' in told
    assert "systemctl --user enable clew-watch.service" in told
    assert "clew watch --uninstall" in told
    assert not (tmp_path / ".config").exists()
    assert not db.exists()


def test_the_unit_is_written_replaced_and_removed(
    service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / '50% "odd"'))
    odd = tmp_path / 'a $HOME "b" %h'
    odd.mkdir()
    _clew("--db", "a.db", "--project", "x", "watch", "--agent", "codex", "--install", str(odd))
    text = service.read_text()
    (line,) = [each for each in text.splitlines() if each.startswith("ExecStart=")]
    program = line.removeprefix("ExecStart=").split('"')[1]
    assert Path(program).is_absolute()
    assert Path(program).name == "clew"
    assert f'"sqlite:///{Path.cwd()}/a.db" "--project" "x" "watch" "--agent" "codex"' in line
    assert line.endswith(f'"--" "{tmp_path}/a $$HOME \\"b\\" %%h"')
    assert f'Environment="CODEX_HOME={tmp_path}/50%% \\"odd\\""' in text
    facts = json.loads(_clew("--json", "--db", "b.db", "watch", "--install").stdout)
    assert (facts["path"], facts["done"]) == (str(service), True)
    assert service.read_text() == facts["text"] != text
    assert [each.name for each in service.parent.iterdir()] == [service.name]
    wants = service.parent / "default.target.wants"
    wants.mkdir()
    (wants / service.name).symlink_to(service)
    assert "would be removed" in _clew("watch", "--uninstall", "--dry-run").stdout
    assert service.exists()
    told = _clew("watch", "--uninstall").stdout
    assert "was removed" in told
    assert "systemctl --user stop clew-watch.service" in told
    assert not service.exists()
    assert list(wants.iterdir()) == []
    assert "is not there" in _clew("watch", "--uninstall").stdout


@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_is_not_ours_is_left_alone(service: Path, tmp_path: Path, link: bool) -> None:
    service.parent.mkdir(parents=True)
    other = tmp_path / "other.service"
    other.write_text("[Unit]\n")
    if link:
        service.symlink_to(other)
    else:
        service.write_text("[Unit]\n")
    for word in ("--install", "--uninstall"):
        assert "not ours" in _clew("--db", "a.db", "watch", word, code=3).stderr
        assert service.read_text() == other.read_text() == "[Unit]\n"
        assert service.is_symlink() == link


def test_what_cannot_stand_in_a_service(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "postgresql://me:secret@db.example/clew"
    refused = _clew("--db", secret, "watch", "--install", code=2)
    assert "password" in refused.stderr
    assert "secret" not in refused.output
    assert "in memory" in _clew("--db", ":memory:", "watch", "--install", code=2).stderr
    monkeypatch.setenv("CODEX_HOME", "a\nExecStart=b")
    assert "control characters" in _clew("--db", "a.db", "watch", "--install", code=2).stderr
    monkeypatch.setattr(sys, "platform", "win32")
    assert "at login" in _clew("--db", "a.db", "watch", "--install", code=2).stderr
    assert not service.exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_unit(service: Path, tmp_path: Path) -> None:
    _clew("--db", str(tmp_path / 'odd $x "y" %z.db'), "watch", "--install")
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(service)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "clew-watch" not in done.stdout + done.stderr, done.stderr


def test_a_launchd_agent_is_a_property_list(
    service: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("CODEX_HOME", "/a & <b>")
    path = tmp_path / "Library" / "LaunchAgents" / "dev.clew.watch.plist"
    told = _clew("--db", "a.db", "watch", "--install").stdout
    assert f"launchctl bootstrap gui/{os.getuid()} '{path}'" in told
    facts = plistlib.loads(path.read_bytes())
    assert facts["ProgramArguments"][1:] == ["--db", f"sqlite:///{Path.cwd()}/a.db", "watch"]
    assert Path(facts["ProgramArguments"][0]).is_absolute()
    told_where = {"CODEX_HOME": "/a & <b>", "XDG_CONFIG_HOME": os.environ["XDG_CONFIG_HOME"]}
    assert facts["EnvironmentVariables"] == told_where
    assert facts["KeepAlive"] == {"SuccessfulExit": False}
    assert services.is_ours(path)
    assert "was removed" in _clew("watch", "--uninstall").stdout
    assert not path.exists()
