"""One request on its way to a handler: who asks, for what, with which query and body."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec

from clew import wire
from clew.access import Access, require
from clew.aio import AsyncLedger, AsyncSession
from clew.errors import NotFound
from clew.leases import Lease
from clew.server import problems
from clew.server.answer import Receive
from clew.server.problems import Refused
from clew.wire import halves

if TYPE_CHECKING:
    from clew.server.app import Server

T = TypeVar("T")

FIELDS_MAX = 100
"""Fields of a query."""
HANDLES_MAX = 4096
PIECE_SECONDS = 60.0
"""A body of which nothing comes for so long is not waited for."""
ID_CHARS = 32


class Handles:
    """Sessions that were asked for lately, so that the next request needs no look-up.

    A handle says which row a session is, and that never changes; whether the session may be
    written is asked inside every unit.
    """

    def __init__(self, ledger: AsyncLedger) -> None:
        self.ledger = ledger
        self._known: dict[str, AsyncSession] = {}

    async def get(self, id: str) -> AsyncSession:
        """A session by its id or a unique prefix. Raises `NotFound`, `Invalid`."""
        known = self._known.get(id)
        if known is not None and not known.sync._closed:
            return known
        found = await self.ledger.get(id)
        if len(id) == ID_CHARS:
            if len(self._known) >= HANDLES_MAX:
                del self._known[next(iter(self._known))]
            self._known[id] = found
        return found


class Call:
    """What a handler gets. `ledger` sees the projects of the token, and acts in its name."""

    __slots__ = ("_handles", "headers", "path", "query", "request", "server", "token")

    def __init__(
        self,
        server: Server,
        token: Access | None,
        handles: Handles,
        request: str,
        path: Mapping[str, str],
        headers: Mapping[bytes, bytes],
    ) -> None:
        self.server = server
        self.token = token
        self._handles = handles
        self.request = request
        self.path = path
        self.headers = headers
        self.query: Any = None

    @property
    def handles(self) -> Handles:
        """The same, with the sessions that were asked for lately."""
        return self._handles

    @property
    def ledger(self) -> AsyncLedger:
        """The ledger as this token may see it."""
        return self._handles.ledger

    async def session(self) -> AsyncSession:
        """The session that the path names, with the lease that the caller holds.

        Raises `NotFound` for one that this token does not see.
        """
        found = await self._handles.get(self.path["session"])
        lease = self.headers.get(b"clew-lease")
        if lease is None:
            return found
        if not lease.isdigit() or len(lease) > 18:
            raise Refused("malformed", "the header Clew-Lease is no lease's token: a number")
        return leased(found, int(lease))

    def require(self, scope: str) -> None:
        """Ask for one scope more than the route's. Raises `Forbidden`."""
        require(self.token, scope)

    def number(self, name: str) -> int:
        """A part of the path that is a number. Raises `NotFound` for anything else."""
        text = self.path[name]
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise NotFound(f"{name} {text!r} is no number")
        return int(text)


def leased(session: AsyncSession, token: int) -> AsyncSession:
    """Another handle on the session, for whoever holds that lease."""
    plain = session.sync
    handle = type(plain)(plain._ledger, plain._key, plain._project, plain.id)
    handle._lease = Lease.held(handle, token)
    return AsyncSession(handle)


# --- reading a request -------------------------------------------------------------------


def query_of(raw: bytes, kind: type[T]) -> T:
    """The query as its struct. Raises `Refused`; the message names the field."""
    lists, numbers = _fields(cast("Any", kind))
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise Refused("malformed", f"the query cannot be read ({error})") from None
    for name, value in pairs:
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise Refused("invalid", f"query: `query.{name}` is given twice")
        elif name in numbers and value.lower() == "null":
            raise Refused("invalid", f"query: `query.{name}` is no null: leave it out")
        else:
            found[name] = value
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused("invalid", problems.where(error, "query")) from None


@cache
def _fields(kind: type) -> tuple[frozenset[str], frozenset[str]]:
    """The fields of a query that may be given again and again, and those that are no text."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101 - a query's struct
    lists, numbers = set(), set()
    for field in info.fields:
        if isinstance(field.type, msgspec.inspect.ListType):
            lists.add(field.encode_name)
        elif isinstance(field.type, msgspec.inspect.UnionType) and not any(
            isinstance(each, msgspec.inspect.StrType) for each in field.type.types
        ):
            numbers.add(field.encode_name)
    return frozenset(lists), frozenset(numbers)


async def body_of(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The whole body. Raises `Refused` for one that is larger than `limit` bytes, as soon as
    that is known, and for one that breaks off.
    """
    told = headers.get(b"content-length", b"")
    if told.isdigit() and int(told[:18]) > limit:
        raise _too_large(limit)
    pieces: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(PIECE_SECONDS) as patience:
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise Refused("malformed", "the body broke off")
                piece = message.get("body", b"")
                size += len(piece)
                if size > limit:
                    raise _too_large(limit)
                pieces.append(piece)
                more = message.get("more_body", False)
                if more:
                    patience.reschedule(asyncio.get_running_loop().time() + PIECE_SECONDS)
    except TimeoutError:
        raise Refused(
            "malformed", f"nothing of the body came for {PIECE_SECONDS:.0f} s", _CLOSE
        ) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


_CLOSE = ((b"connection", b"close"),)


def _too_large(limit: int) -> Refused:
    return Refused(
        "too-large",
        f"a body has at most {limit:,} bytes here: send less at once",
        _CLOSE,
    )


def decoded(body: bytes, headers: Mapping[bytes, bytes], kind: type[T]) -> T:
    """The body as its struct; none at all is `{}`. Raises `Refused`, naming the field."""
    if body:
        told = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if told != b"application/json":
            raise Refused("unsupported-media-type", "send the body as application/json")
    try:
        found = halves.decode(body or b"{}", kind)
    except msgspec.ValidationError as error:
        raise Refused("invalid", problems.where(error, "body")) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("malformed", f"the body is no JSON ({error})") from None
    except RecursionError:
        raise _too_deep() from None
    if wire.deeper(body, wire.JSON_DEPTH_MAX):
        raise _too_deep()
    return found


def _too_deep() -> Refused:
    return Refused(
        "invalid", f"the body is nested deeper than {wire.JSON_DEPTH_MAX} levels: flatten it"
    )
