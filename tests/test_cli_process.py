"""The command line as a process: streams, pipes, start-up, signals, old terminals, the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import clew

ROOT = Path(__file__).resolve().parent.parent
RUN = [sys.executable, "-c", "from clew.cli import main; main(prog_name='clew')"]


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), **more}


def _clew(*words: str, code: int = 0, **more: str) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [*RUN, *words], env=_environment(**more), capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    return done


@pytest.fixture
def db(tmp_path: Path) -> str:
    path = tmp_path / "ledger.db"
    with clew.open(path) as ledger:
        session = ledger.create(title="雲")
        session.extend([{"role": "user", "content": f"雲 number {i}"} for i in range(2000)])
    return str(path)


def test_help_loads_neither_the_bars_nor_a_database() -> None:
    code = (
        "import sys, clew; before = set(sys.modules); from clew.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "new = set(sys.modules) - before\n"
        "heavy = {n for n in new if n.startswith('clew.') and not n.startswith('clew.cli')}\n"
        "print(sorted(heavy | {'rich', 'apsw', 'psycopg'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment(), capture_output=True, check=True
    )
    # The names of the errors are what the exit codes stand for, `clean` is what every word to a
    # terminal goes through; they load nothing themselves.
    assert done.stderr.strip() == b"['clew.clean', 'clew.errors']"


def test_piped_output_has_no_colours_and_talk_goes_to_stderr(db: str) -> None:
    done = _clew("show", "latest", "--tail", "1", CLEW_DB=db)
    assert b"\x1b" not in done.stdout + done.stderr
    assert "雲 number 1999".encode() in done.stdout
    listed = _clew("--json", "sessions", CLEW_DB=db)
    assert json.loads(listed.stdout)["title"] == "雲"
    assert listed.stderr == b""


def test_a_terminal_that_knows_few_characters(db: str) -> None:
    done = _clew("show", "latest", "--tail", "1", CLEW_DB=db, PYTHONIOENCODING="latin-1")
    assert rb"\u96f2 number 1999" in done.stdout


def test_a_reader_that_goes_away_is_no_error(db: str) -> None:
    with subprocess.Popen(
        [*RUN, "--db", db, "show", "latest", "--entries", "--json"],
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_an_interrupt_ends_with_one_line(tmp_path: Path) -> None:
    # A named pipe keeps the command waiting for its summary for as long as the test wants.
    path, pipe = tmp_path / "ledger.db", tmp_path / "summary"
    with clew.open(path) as ledger:
        ledger.create().append({"role": "user", "content": "x"})
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*RUN, "--db", str(path), "compact", "latest", "--summary-file", str(pipe)],
        env=_environment(),
        stderr=subprocess.PIPE,
    )
    writer = os.open(pipe, os.O_WRONLY)  # returns once the command opened its end
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=30)
    os.close(writer)
    assert (process.returncode, talk.decode().strip()) == (130, "clew: interrupted")


def test_an_error_in_json(tmp_path: Path) -> None:
    done = _clew("sessions", "--json", code=2, CLEW_DB=str(tmp_path / "none.db"))
    assert done.stdout == b""
    assert json.loads(done.stderr)["error"] == "NotFound"


def test_a_fault_shows_its_place_when_asked(db: str) -> None:
    code = (
        "import clew; from clew.cli import main\n"
        "clew.Ledger.stats = lambda ledger: 1 / 0\n"
        "main(['stats'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(CLEW_DB=db, CLEW_DEBUG="1"),
        capture_output=True,
        check=False,
    )
    assert b"Traceback" in done.stderr
    assert b"ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("own", [False, True], ids=["samples", "own"])
def test_the_demo_runs(tmp_path: Path, own: bool) -> None:
    source = ROOT / "samples" / "claude-code" / "projects"
    plain = next(p for p in sorted(source.iterdir()) if "kumo" in p.name)
    words = ["--from", str(plain)] if own else []
    copy = tmp_path / "repo"
    (copy / "scripts").mkdir(parents=True)
    (copy / "scripts" / "demo.py").write_bytes((ROOT / "scripts" / "demo.py").read_bytes())
    (copy / "samples").symlink_to(ROOT / "samples")
    (copy / "src").symlink_to(ROOT / "src")
    done = subprocess.run(
        [sys.executable, str(copy / "scripts" / "demo.py"), *words],
        env=_environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "All of it agrees." in done.stdout
    assert "What happened" in done.stdout
    assert ("None of these sessions was compacted" if own else "and there it is") in done.stdout
    assert (copy / "demo" / "trajectories.jsonl").stat().st_size > 0


def test_the_demo_says_why_it_stops(tmp_path: Path) -> None:
    copy = tmp_path / "scripts" / "demo.py"
    copy.parent.mkdir()
    copy.write_bytes((ROOT / "scripts" / "demo.py").read_bytes())
    done = subprocess.run(
        [sys.executable, str(copy), "--from", str(tmp_path / "none")],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "The demo stopped" in done.stderr
    assert "Traceback" not in done.stderr
