"""A proxy that loses answers: the server did what it was asked, and the caller never hears it."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class LossyProxy:
    """Stands before a server at `http://127.0.0.1:port`. `lose` says which requests' answers
    are lost, `refuse` which requests are not passed on; `seen` are the request lines that came.
    """

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.removeprefix("http://").partition(":")
        self._upstream = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.host = upstream.removeprefix("http://")
        self.seen: list[str] = []
        self._open: list[socket.socket] = []
        self.lose: Callable[[str], bool] = lambda line: False
        self.refuse: Callable[[str], bytes | None] = lambda line: None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._upstream) as up:
            while (request := _message(client)) is not None:
                line = request.partition(b"\r\n")[0].decode()
                self.seen.append(line.rpartition(" ")[0])
                refusal = self.refuse(line)
                if refusal is not None:
                    client.sendall(refusal)
                    continue
                if b"upgrade: websocket" in request.lower():
                    up.sendall(_for_host(request, self.host))
                    self._pass_on(client, up)
                    return
                up.sendall(_for_host(request, self.host))
                answer = _message(up)
                if answer is None or self.lose(line):
                    return
                client.sendall(answer)

    def _pass_on(self, client: socket.socket, up: socket.socket) -> None:
        """A connection that is no longer HTTP: bytes both ways, until it is cut."""
        self._open += [client, up]
        back = threading.Thread(target=_copy, args=(up, client), daemon=True)
        back.start()
        _copy(client, up)
        back.join()

    def cut(self) -> int:
        """Cut every WebSocket; gives how many there were."""
        cut, self._open = self._open, []
        for each in cut:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        return len(cut) // 2

    def count(self, what: str) -> int:
        """How many requests had this in their line."""
        return sum(what in line for line in self.seen)

    def __enter__(self) -> LossyProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


def once(what: str, times: int = 1) -> Callable[[str], bool]:
    """True for the first requests that have `what` in their line."""
    left = [times]

    def matches(line: str) -> bool:
        if what not in line or not left[0]:
            return False
        left[0] -= 1
        return True

    return matches


def _for_host(request: bytes, host: str) -> bytes:
    head, end, body = request.partition(b"\r\n\r\n")
    lines = [
        b"Host: " + host.encode() if line.lower().startswith(b"host:") else line
        for line in head.split(b"\r\n")
    ]
    return b"\r\n".join(lines) + end + body


def _message(source: socket.socket) -> bytes | None:
    """A whole request or answer; `None` when the other side has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = source.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        piece = source.recv(65536)
        if not piece:
            return None
        data += piece
        body += piece
    return data
