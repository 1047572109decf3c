"""A polite kill in the middle of an export leaves nothing half-written, and a way to go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import clew

RUN = "from clew.cli import main; main(prog_name='clew')"


def test_sigterm_leaves_what_resume_goes_on_with(tmp_path: Path) -> None:
    db = tmp_path / "clew.db"
    with clew.open(db, durability="normal", search=False) as ledger:
        for _ in range(40):
            session = ledger.create()
            session.extend([{"role": "user", "content": "some words " * 2000}] * 20)
    target = tmp_path / "out" / "a.jsonl"
    command = [
        sys.executable,
        "-c",
        RUN,
        "--db",
        str(db),
        "export",
        "-o",
        str(target),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            if (target.parent / ".a.jsonl.partial" / "plan").exists():
                process.send_signal(signal.SIGTERM)
                break
            time.sleep(0.002)
        process.wait(30)
    assert process.returncode == 130
    assert [path.name for path in target.parent.iterdir()] == [".a.jsonl.partial"]
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert "40 rows" in done.stderr
    assert sorted(path.name for path in target.parent.iterdir()) == [
        *("a.jsonl", "a.jsonl.manifest.json"),
    ]
