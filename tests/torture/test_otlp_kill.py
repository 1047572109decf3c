"""A server is killed after it acknowledged spans: every one of them is there."""

from __future__ import annotations

import gzip
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

import clew
from clew.otlp import protobuf
from clew.otlp.model import OtlpSpan

if TYPE_CHECKING:
    from pathlib import Path

SPANS = 5000
BATCH = 100
CLIENTS = 4
TOKEN = re.compile(r"clew_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")
URL = re.compile(r"http://127\.0\.0\.1:\d+")
T0_NS = 1_790_000_000_000_000_000


def _body(first: int) -> bytes:
    spans = [
        OtlpSpan(
            f"{number // 50 + 1:032x}",
            f"{number + 1:016x}",
            f"n{number}",
            start_ns=T0_NS + number,
            end_ns=T0_NS + number + 1,
            attributes={"session.id": f"c{number % 7}", "note": "x" * 200},
        )
        for number in range(first, first + BATCH)
    ]
    return gzip.compress(protobuf.encode_request(spans))


def _serve(where: Path) -> tuple[subprocess.Popen[str], str, str]:
    command = "from clew.cli import main; main()"
    words = ["--db", str(where), "serve", "--port", "0", "--log-level", "error"]
    process = subprocess.Popen(
        [sys.executable, "-c", command, *words], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = ""
    while not (TOKEN.search(said) and URL.search(said)):
        line = process.stderr.readline()
        assert line, f"the server did not start: {said}"
        said += line
    url, token = URL.search(said), TOKEN.search(said)
    assert url is not None
    assert token is not None
    return process, url[0], token[0]


def _stored(where: Path) -> set[str]:
    with clew.open(f"sqlite:///{where}") as ledger:
        report = ledger.verify()
        assert report.ok, report.problems
        sessions = [ledger.get(info.id) for info in ledger.sessions()]
        return {span.name for one in sessions for span in one.spans(limit=SPANS)}


@pytest.mark.parametrize("stop", [SPANS, SPANS // 3])
def test_no_acknowledged_span_is_lost(tmp_path: Path, stop: int) -> None:
    """Killed as soon as so many were acknowledged, be it in the middle of others."""
    where = tmp_path / "ledger.db"
    process, url, token = _serve(where)
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": protobuf.CONTENT_TYPE,
        "content-encoding": "gzip",
    }
    acknowledged: list[int] = []
    waiting = iter(range(0, SPANS, BATCH))
    lock = threading.Lock()

    def work() -> None:
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            while True:
                with lock:
                    first = next(waiting, None)
                if first is None:
                    return
                try:
                    reply = client.post("/v1/traces", content=_body(first))
                except httpx.TransportError:
                    return
                if reply.status_code == 200 and reply.content == b"":
                    with lock:
                        acknowledged.append(first)
                        if len(acknowledged) * BATCH >= stop:
                            process.send_signal(signal.SIGKILL)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.wait(60)
    assert process.stderr is not None
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL
    assert len(acknowledged) * BATCH >= stop
    promised = {f"n{number}" for first in acknowledged for number in range(first, first + BATCH)}
    assert promised <= _stored(where)
