"""The server: a process, its start and size, appends from many clients, a big tree of spans.

What asks stands in a process of its own and reads no more of an answer than where it ends: on
two cores the load would else be half of what is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

import clew
from bench import corpus
from bench.harness import Figure, Options, percentile
from clew.aio import AsyncSession

TITLE = "serving: clew serve as a process, durability full"
CLIENTS = 32
SECONDS = 5.0
SPANS = 10_000
ROUNDS = 11
TOKEN = re.compile(r"clew_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")
URL = re.compile(r"http://127\.0\.0\.1:(\d+)")


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    db = options.scratch / "served.db"
    with served(db) as (process, client, took):
        yield Figure(name="start to first answer", value=took * 1e3, unit="ms", at_most=1000.0)
        yield Figure(
            name="resident, idle", value=resident(process.pid) / 1e6, unit="MB", at_most=120.0
        )
        yield from appends(options, client)
        yield Figure(name="resident, after that", value=resident(process.pid) / 1e6, unit="MB")
        yield from tree(client)


@contextmanager
def served(db: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client, float]]:
    """A server, a client that brings its token, and the seconds until it answered."""
    command = "from clew.cli import main; main()"
    words = ["--db", str(db), "serve", "--port", "0", "--log-level", "warning"]
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", command, *words], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        while not (TOKEN.search(said) and URL.search(said)):
            said += process.stderr.readline()
        url, token = URL.search(said), TOKEN.search(said)
        assert url is not None
        assert token is not None
        headers = {"authorization": f"Bearer {token[0]}"}
        with httpx.Client(base_url=url[0], headers=headers, timeout=60) as client:
            client.get("/health").raise_for_status()
            yield process, client, time.perf_counter() - started
        process.terminate()


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# --- appends -----------------------------------------------------------------------------


def appends(options: Options, client: httpx.Client) -> Iterator[Figure]:
    """32 clients that wait for each answer, against as many tasks in one process without HTTP."""
    ids = [client.post("/api/v1/sessions", json={}).json()["id"] for _ in range(CLIENTS)]
    url, token = client.base_url, client.headers["authorization"]
    request = {"port": url.port, "token": token, "sessions": ids, "seconds": SECONDS}
    rates, ratios, slow = [], [], 0.0
    for number in range(3):
        done = subprocess.run(
            [sys.executable, "-m", "bench.serving", json.dumps(request)],
            capture_output=True,
            check=True,
            text=True,
        )
        told = json.loads(done.stdout)
        plain = asyncio.run(_library(options.scratch / f"plain{number}.db"))
        rates.append(told["answered"] / SECONDS)
        ratios.append(rates[-1] / plain)
        slow = max(slow, told["p99_ms"])
    middle = sorted(range(3), key=rates.__getitem__)[1]
    yield Figure(
        name=f"acknowledged appends, {CLIENTS} clients",
        value=rates[middle],
        unit="/s",
        at_least=2000.0,
        ratio=ratios[middle],
        note="of what the library does without HTTP",
    )
    yield Figure(name="an append, p99 of the worst run", value=slow, unit="ms")


async def _library(db: Path) -> float:
    """Appends a second of 32 tasks that share commits."""
    message = _message()
    with clew.open(db) as ledger:
        sessions = [AsyncSession(ledger.create()) for _ in range(CLIENTS)]
        end, count = time.perf_counter() + SECONDS, 0

        async def work(session: AsyncSession) -> None:
            nonlocal count
            while time.perf_counter() < end:
                await session.append(message)
                count += 1

        await asyncio.gather(*map(work, sessions))
    return count / SECONDS


def _message() -> bytes:
    return json.dumps(corpus.message(random.Random(5), 0)).encode()


class _Client(asyncio.Protocol):
    """Sends one request again and again, each when the answer before it is there."""

    def __init__(self, request: bytes, end: float, took: list[float]) -> None:
        self._request = request
        self._end = end
        self._took = took
        self._seen = b""
        self._sent = 0.0
        self._line: Any = None

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._line = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._line.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count an answer that is whole."""
        self._seen += data
        head, found, body = self._seen.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < size:
            return
        assert head.startswith(b"HTTP/1.1 201"), head
        self._seen = b""
        now = time.perf_counter()
        self._took.append(now - self._sent)
        if now < self._end:
            self._send()
        else:
            self._line.close()


async def _load(port: int, token: str, sessions: list[str], seconds: float) -> dict[str, float]:
    import uvloop

    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    body = b'{"messages":[' + _message() + b"]}"
    took: list[float] = []
    end = time.perf_counter() + seconds
    for id in sessions:
        head = (
            f"POST /api/v1/sessions/{id}/entries HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        request = head + body
        await asyncio.get_running_loop().create_connection(
            lambda request=request: _Client(request, end, took),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
    await asyncio.sleep(seconds + 0.5)
    return {"answered": len(took), "p99_ms": percentile(took, 0.99) * 1e3}


# --- spans -------------------------------------------------------------------------------


def tree(client: httpx.Client) -> Iterator[Figure]:
    """All spans of a session at once, packed."""
    id = client.post("/api/v1/sessions", json={}).json()["id"]
    rng = random.Random(6)
    for first in range(0, SPANS, 1000):
        spans = [_span(rng, number) for number in range(first, first + 1000)]
        sent = client.post(f"/api/v1/sessions/{id}/traces", json={"spans": spans})
        sent.raise_for_status()
    # What the appends left for the indexer to do is not what is measured.
    client.post("/api/v1/index").raise_for_status()
    url = f"/api/v1/sessions/{id}/traces/tree"
    times, size, tag = [], 0, ""
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with client.stream("GET", url) as answer:
            size = sum(map(len, answer.iter_raw()))
        times.append(time.perf_counter() - started)
        tag = answer.headers["etag"]
    started = time.perf_counter()
    assert client.get(url, headers={"if-none-match": tag}).status_code == 304
    unchanged = time.perf_counter() - started
    middle = percentile(times, 0.5)
    yield Figure(
        name=f"tree of {SPANS:,} spans", value=middle * 1e3, unit="ms", at_most=100.0, wall=middle
    )
    yield Figure(name="its size, gzipped", value=size / 1e3, unit="KB", at_most=150.0)
    yield Figure(name="the same, unchanged", value=unchanged * 1e3, unit="ms")


def _span(rng: random.Random, number: int) -> dict[str, Any]:
    """A turn every twenty spans, model and tool calls below it."""
    turn = number // 20
    started = 1_790_000_000_000_000 + number * 2_000_000 + rng.randrange(1_500_000)
    common = {
        "id": f"span-{number}",
        "started_us": started,
        "latency_ms": rng.randrange(2_000_000) / 1000,
        "outcome": "error" if rng.random() < 0.05 else "ok",
        "turn": turn + 1,
    }
    if number % 20 == 0:
        return {**common, "kind": "turn", "name": "turn"}
    below = {**common, "parent": f"span-{turn * 20}"}
    if number % 2:
        tool = rng.choice(["bash", "read_file", "grep", "edit", "web_search"])
        return {**below, "kind": "tool", "name": tool, "call_id": f"call_{rng.randrange(2**40)}"}
    return {
        **below,
        "kind": "model",
        "name": "model-a",
        "model": rng.choice(["model-a", "model-b"]),
        "tokens_in": rng.randrange(20_000),
        "tokens_out": rng.randrange(3_000),
        "cache_read": rng.randrange(200_000),
        "cost": rng.randrange(100_000) / 1e6,
    }


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(_load(**json.loads(sys.argv[1])))))
