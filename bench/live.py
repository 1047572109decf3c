"""From the commit of an entry to its frame at a hundred subscribers.

A server in a process of its own writes at a steady pace and serves the stream over WebSockets; this
process has a hundred of them open. Beside it, in turns, a bare server that broadcasts the same
bytes to as many sockets, without a ledger. All clocks are the machine's one monotonic clock.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

import clew
from bench.harness import Figure, Options, percentile
from clew import access, frames
from clew.access import Scope
from clew.server.run import Running
from clew.server.settings import ServerSettings

TITLE = "live: from commit to frame, 100 subscribers"
SUBSCRIBERS = 100
FRAMES = 300
PACE_SECONDS = 0.02
ROUNDS = 3
PATIENCE = 60

Times = list[float]


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    rounds: dict[str, list[Times]] = {"clew": [], "raw": []}
    for number in range(ROUNDS):
        sides: list[tuple[str, Callable[[Path, Connection], None]]] = [
            ("clew", _ledger),
            ("raw", _bare),
        ]
        for name, server in sides if number % 2 else sides[::-1]:
            path = options.scratch / f"{name}-{number}.db"
            rounds[name].append(_latencies(server, path))
    for part, goal in ((0.5, None), (0.99, 50.0)):
        ours = [percentile(times, part) for times in rounds["clew"]]
        base = [percentile(times, part) for times in rounds["raw"]]
        yield Figure(
            name=f"commit to frame, p{part * 100:.0f}",
            value=median(ours) * 1e3,
            unit="ms",
            at_most=goal,
            ratio=median(one / two for one, two in zip(ours, base, strict=True)),
            wall=median(ours),
            note=f"raw broadcast: {median(base) * 1e3:.2f} ms; ratio to it",
        )
    yield Figure(
        name="frames that came",
        value=float(sum(len(times) for times in rounds["clew"])),
        at_least=float(ROUNDS * FRAMES * SUBSCRIBERS),
    )


def _latencies(server: Callable[[Path, Connection], None], path: Path) -> Times:
    """Seconds from each commit to each subscriber's frame."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=server, args=(path, there))
    process.start()
    try:
        url, token, session = here.recv()
        came = asyncio.run(_subscribed(url, token, session, lambda: here.send("go")))
        sent: Times = here.recv()
    finally:
        here.send("end")
        process.join(PATIENCE)
    return [at - sent[number] for times in came for number, at in enumerate(times)]


async def _subscribed(url: str, token: str, session: str, ready: Callable[[], None]) -> list[Times]:
    """When each frame came to each subscriber."""
    headers = {"authorization": f"Bearer {token}"}
    links = [
        await connect(url, additional_headers=headers, compression=None, max_queue=None)
        for _ in range(SUBSCRIBERS)
    ]
    ask = frames.encode(frames.Ask(subscribe=frames.Which(session=session))).decode()
    for link in links:
        await link.send(ask)
    for link in links:
        while b"caught_up" not in await link.recv(decode=False):
            pass
    ready()
    found = await asyncio.wait_for(asyncio.gather(*map(_received, links)), PATIENCE)
    for link in links:
        await link.close()
    return found


async def _received(link: ClientConnection) -> Times:
    times = []
    for _ in range(FRAMES):
        await link.recv(decode=False)
        times.append(time.perf_counter())
    return times


def _ledger(path: Path, told: Connection) -> None:
    """Serve a ledger, and append to a session."""
    with clew.open(f"sqlite:///{path}", search=False) as ledger:
        session = ledger.create()
        token = access.create(ledger, "bench", map(str, Scope)).token
        running = Running(ledger, ServerSettings(log_requests=False))
        thread = threading.Thread(target=running.run)
        thread.start()
        running.ready.wait(PATIENCE)
        told.send((running.url.replace("http", "ws", 1) + "/api/v1/live", token, session.id))
        told.recv()
        told.send([_paced(partial(session.append, _said(number))) for number in _all()])
        told.recv()
        running.stop()
        thread.join(PATIENCE)


def _all() -> range:
    return range(FRAMES)


def _said(number: int) -> dict[str, str]:
    return {"role": "assistant", "content": f"{number}: " + "what a model says " * 30}


def _paced(work: Callable[[], object]) -> float:
    """Do something; when it was done."""
    time.sleep(PACE_SECONDS)
    work()
    return time.perf_counter()


def _bare(path: Path, told: Connection) -> None:
    """Broadcast the bytes of such frames."""
    with clew.open(f"sqlite:///{path}", search=False) as ledger:
        session = ledger.create()
        for number in _all():
            session.append(_said(number))
        texts = [frames.encode(frame).decode() for frame in ledger.follow({session.id: 0}, idle=0)]
    asyncio.run(_broadcasting(texts, told))


async def _broadcasting(texts: list[str], told: Connection) -> None:
    links: set[ServerConnection] = set()
    gone = asyncio.Event()

    async def greet(link: ServerConnection) -> None:
        await link.recv()
        await link.send('{"type":"caught_up"}')
        links.add(link)
        await gone.wait()

    async with serve(greet, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        told.send((f"ws://127.0.0.1:{port}", "none", "x"))
        await asyncio.to_thread(told.recv)
        sent = []
        for text in texts:
            await asyncio.sleep(PACE_SECONDS)
            sent.append(time.perf_counter())
            broadcast(links, text)
        told.send(sent)
        await asyncio.to_thread(told.recv)
        gone.set()
