"""The page at the end of `make demo`: for a person at a terminal, until Ctrl-C; for nobody else."""

from __future__ import annotations

import os
import pty
import re
import runpy
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

import clew

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "scripts" / "demo.py"
LINK = re.compile(rb"(http://127\.0\.0\.1:\d+)/login#(clew_[0-9a-f]{16}_[A-Za-z0-9_-]{43})")
RUN = """
import runpy
demo = runpy.run_path("scripts/demo.py")
assert demo["watched"]()
demo["DEMO"].mkdir()
demo["page"](False)
print("ended well")
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder as the repository is, with a ledger of its own."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "demo.py").write_bytes(DEMO.read_bytes())
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "src").symlink_to(ROOT / "src")
    return tmp_path


class Terminal:
    """A program that believes a person sits in front of it."""

    def __init__(self, folder: Path, code: str) -> None:
        hidden = {"CI", "DISPLAY", "WAYLAND_DISPLAY"}
        env = {name: value for name, value in os.environ.items() if name not in hidden}
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            words = [sys.executable, "-c", code]
            os.execve(sys.executable, words, {**env, "PYTHONPATH": "src"})
        self.told = b""

    def read(self, pattern: re.Pattern[bytes] | None) -> re.Match[bytes] | None:
        """The first match in what it says, or, without a pattern, all it says until it ends."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if pattern is not None and (found := pattern.search(self.told)):
                return found
            if not select.select([self._end], [], [], 1)[0]:
                continue
            try:
                self.told += os.read(self._end, 65536)
            except OSError:  # the other end is closed
                return None
        raise AssertionError(self.told.decode())

    def interrupt(self) -> int:
        """Ctrl-C; gives the exit code."""
        os.write(self._end, b"\x03")
        self.read(None)
        os.close(self._end)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_person_gets_the_page_with_an_agent_at_work_until_ctrl_c(copy: Path) -> None:
    terminal = Terminal(copy, RUN)
    found = terminal.read(LINK)
    assert found is not None, terminal.told.decode()
    url, token = found[1].decode(), found[2].decode()
    with httpx.Client(base_url=url, headers={"accept": "text/html"}, timeout=30) as web:
        assert web.post("/login", headers={"authorization": f"Bearer {token}"}).status_code == 204
        for _ in range(600):
            page = web.get("/").text
            if "Watching the print queue" in page and ">running<" in page:
                break
            time.sleep(0.05)
        assert 'class="runs"' in page
    code = terminal.interrupt()
    assert (code, b"ended well" in terminal.told) == (0, True), terminal.told.decode()
    with clew.open(copy / "demo" / "clew.db") as ledger:
        (session,) = ledger.sessions()
        outcomes = {span.outcome for span in ledger.get(session.id).spans()}
        assert outcomes == {"ok"}, "told to stop, the agent ends its turn itself"
        assert ledger.verify().ok


def test_nobody_is_kept_waiting_where_nobody_sits(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo: dict[str, Any] = runpy.run_path(str(copy / "scripts" / "demo.py"))
    assert not demo["watched"](), "tests have no terminal"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("CI", "true")
    assert not demo["watched"]()


def test_the_workshop_shows_what_it_is_for(tmp_path: Path) -> None:
    file = tmp_path / "clew.db"
    env = {**os.environ, "CLEW_DB": str(file), "PYTHONPATH": str(ROOT / "src")}
    script = str(ROOT / "samples" / "workshop.py")
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    with clew.open(file) as ledger:
        found = {info.agent: ledger.get(info.id) for info in ledger.sessions(spawned=True)}
        session = found["workshop"]
        assert found["reviewer"].info.spawned_by == f"{session.id}#w5"
        assert found[None].info.forked_from is not None, "the branch"
        assert len(session.checkpoints()) == 2, "one of its own, one before the compaction"
        assert [span.name for span in session.spans() if span.outcome == "error"] == ["bash"]
        parts = [part for message in session.history() for part in message.parts]
        assert sum(type(part).__name__ == "Image" for part in parts) == 2
        assert ledger.verify().ok
