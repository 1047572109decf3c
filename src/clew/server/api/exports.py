"""What leaves the ledger whole: trajectories, and the files that were imported.

An export is made by a thread of its own and handed over piece by piece, never more than a few
ahead of its reader. A redacted one is made, and scanned, before its first byte goes out.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, BinaryIO, cast

import msgspec

from clew import wire
from clew.access import Scope
from clew.errors import NotFound
from clew.exporting import asked, handed_out
from clew.redaction.policy import Action
from clew.server.answer import Answer, Stream
from clew.server.call import Call

JSON_LINES = b"application/jsonl"
PIECE_BYTES = 64 * 1024
PIECES_AHEAD = 8
POLL_SECONDS = 0.5


async def trajectories(call: Call) -> Stream:
    """Training rows. Raises `RedactionFailed` before anything went out."""
    query: wire.TrajectoryQuery = call.query
    if query.raw:
        call.require(Scope.EXPORT_RAW)
    export, recipe = call.ledger.sync.export, asked.recipe(_asked(query))
    if recipe.redaction is not None and Action.WARN in recipe.redaction.policy.actions.values():
        call.require(Scope.EXPORT_RAW)  # what is warned of goes out as it is

    def run(output: BinaryIO) -> None:
        done = export(recipe, output=output)
        if query.summary:
            told = {name: getattr(done, name) for name in wire.ExportSummary.__struct_fields__}
            output.write(wire.encode({"exported": told}) + b"\n")

    return await stream(run, JSON_LINES)


async def count(call: Call) -> wire.ExportCounts:
    """What an export would give. It makes the rows, and keeps none."""
    recipe = asked.recipe(_asked(call.query))
    return wire.ExportCounts(await asyncio.to_thread(call.ledger.sync.export_count, recipe))


def _asked(query: wire.TrajectoryQuery) -> asked.Asked:
    told = msgspec.structs.asdict(query)
    del told["summary"]
    return asked.Asked(**told)


async def stream(run: Callable[[BinaryIO], object], content_type: bytes) -> Stream:
    """What `run` writes, as it writes it. Raises what it raises before its first byte."""
    pieces = _pieces(run)
    first = await anext(pieces, b"")

    async def all_of() -> AsyncGenerator[bytes]:
        async with aclosing(pieces):
            if first:
                yield first
            async for piece in pieces:
                yield piece

    return Stream(all_of(), content_type)


async def _pieces(run: Callable[[BinaryIO], object]) -> AsyncGenerator[bytes]:
    pipe = _Pipe(asyncio.get_running_loop())
    threading.Thread(target=pipe.fill, args=(run,), name="clew-export", daemon=True).start()
    try:
        while (piece := await pipe.next()) is not None:
            yield piece
    finally:
        pipe.gone = True


class _Pipe(io.RawIOBase):
    """A file whose bytes come out in the event loop. Writing waits for the reader."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(PIECES_AHEAD)
        self.gone = False

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        data = bytes(piece)
        self._put(data)
        return len(data)

    def _put(self, item: bytes | BaseException | None) -> None:
        while not self._room.acquire(timeout=POLL_SECONDS):
            if self.gone:
                break
        if self.gone:
            raise BrokenPipeError("whoever asked for this went away")
        self._loop.call_soon_threadsafe(self._ready.put_nowait, item)

    def fill(self, run: Callable[[BinaryIO], object]) -> None:
        """Write it all, in the thread."""
        try:
            try:
                buffered = io.BufferedWriter(self, PIECE_BYTES)
                run(cast("BinaryIO", buffered))
                buffered.flush()
                self._put(None)
            except Exception as error:  # noqa: BLE001 - it is raised again in the event loop
                self._put(error)
        except (BrokenPipeError, RuntimeError):
            return  # nobody listens, or the loop is closed

    async def next(self) -> bytes | None:
        """The next piece; `None` at the end. Raises what the writing raised."""
        item = await self._ready.get()
        self._room.release()
        if isinstance(item, BaseException):
            raise item
        return item


async def trajectory(call: Call) -> dict[str, Any]:
    """One row, as it is. On record, as every export."""
    session = await call.session()
    return await asyncio.to_thread(handed_out, call.ledger.sync, session.sync)


async def sources(call: Call) -> wire.Page[wire.SourceFile]:
    """The files; none for a session that was not imported."""
    session = await call.session()

    def look() -> list[wire.SourceFile]:
        return [
            wire.SourceFile(number, path, len(data), hashlib.sha256(data).hexdigest())
            for number, (path, data) in enumerate(_files(call, session.id).items(), 1)
        ]

    return wire.Page(await asyncio.to_thread(look))


async def source(call: Call) -> Answer:
    """One of them."""
    session, number = await call.session(), call.number("number")
    files = await asyncio.to_thread(_files, call, session.id)
    if not 1 <= number <= len(files):
        raise NotFound(f"session {session.id} has no source file {number}: list them")
    data = list(files.values())[number - 1]
    save = (b"content-disposition", b"attachment")
    return Answer(data, content_type=b"application/octet-stream", headers=(save,))


def _files(call: Call, id: str) -> dict[str, bytes]:
    try:
        return call.ledger.sync.source_bytes(id)
    except NotFound:
        return {}
