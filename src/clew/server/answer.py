"""What a handler gives back: bytes that are there, or bytes that are still to come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
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

    pieces: AsyncIterator[bytes]
    content_type: bytes
    status: int = 200
    headers: Headers = ()

    async def send(self, send: Send) -> int:
        """Send the pieces as they come; gives the number of bytes."""
        size = 0
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
