"""What a handler gives back: bytes that are there, or bytes that are still to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = b"application/json"


class Answer(msgspec.Struct):
    """A whole answer."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Headers = ()

    async def send(self, send: Send) -> int:
        """Send it; gives the number of bytes of the body."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": [
                    (b"content-type", self.content_type),
                    (b"content-length", b"%d" % len(self.body)),
                    *self.headers,
                ],
            }
        )
        await send({"type": "http.response.body", "body": self.body})
        return len(self.body)


class Stream(msgspec.Struct):
    """An answer in pieces. When making them fails the connection breaks off, so that nobody
    takes the part for the whole.
    """

    pieces: AsyncGenerator[bytes]
    content_type: bytes
    status: int = 200
    headers: Headers = ()

    async def send(self, send: Send, receive: Receive) -> int:
        """Send the pieces as they come; gives the number of bytes. Ends when the reader does:
        uvicorn takes what is sent to nobody without a word.
        """
        sending = asyncio.create_task(self._pieces(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            return sending.result() if sending.done() else 0
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _pieces(self, send: Send) -> int:
        size = 0
        async with aclosing(self.pieces):
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status,
                    "headers": [(b"content-type", self.content_type), *self.headers],
                }
            )
            async for piece in self.pieces:
                size += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        return size


class Head(msgspec.Struct):
    """What an answer says before its body, and no body: the answer to HEAD."""

    given: Answer | Stream

    @property
    def status(self) -> int:
        """That of the answer."""
        return self.given.status

    async def send(self, send: Send) -> int:
        """Send it, without the length of what is made while it is sent."""
        given = self.given
        headers = [(b"content-type", given.content_type), *given.headers]
        if isinstance(given, Answer):
            headers.append((b"content-length", b"%d" % len(given.body)))
        else:
            await given.pieces.aclose()
        start = {"type": "http.response.start", "status": given.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": b""})
        return 0


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
