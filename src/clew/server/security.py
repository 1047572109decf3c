"""The guard in front of everything: no request and no WebSocket reaches the application around it.

It asks, in this order: does this address ask too much; does the request name this server (a
page whose name was re-bound to this address does not) and, when a browser tells it, does it
come from this server's own pages; is the path one; does it bring a valid token, unless the path
is open to all; does this token ask too much. Then the application runs, with
`scope["clew.token"]` (a `clew.access.Access`, or `None` on an open path) and
`scope["clew.request"]`, without having seen the token. Its body is limited, its answer gets the
security headers, and what it keeps open is ended when the token is.

There is no CORS: no other origin's page may read anything.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
import time
from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, unquote_to_bytes

from clew import access, canonical
from clew.access import Access, require
from clew.errors import ClewError, Invalid, Unauthorized
from clew.server import logs
from clew.server.answer import Receive, Scope, Send
from clew.server.limits import Failures, Rates
from clew.server.passage import CLOSED_TOKEN_ENDED, App, Headers, Passage, too_large
from clew.server.problems import Refused
from clew.server.settings import ServerSettings
from clew.server.tokens import Tokens, Watches

if TYPE_CHECKING:
    from clew.ledger import Ledger

__all__ = ["CLOSED_TOKEN_ENDED", "PROTOCOL", "Guard", "check_bind", "require"]

PROTOCOL = "clew.v1"
"""The WebSocket subprotocol. A page that can set no header offers `clew.token.<token>` too."""
COOKIE = b"clew_token="
"""Where a browser keeps the token: no script reads it, and no other site's page sends it."""
COOKIE_SECONDS = 30 * 86_400
LOGIN = "/login"
TOKEN_PROTOCOL = "clew.token."  # noqa: S105 - what stands before a token
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_ONCE = frozenset([b"host", b"origin", b"authorization", b"content-length"])
"""Headers that decide here: a second one of a kind is an attempt to be read in two ways."""
_PATH = re.compile(rb"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+")
_REQUEST = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_QUERY_TOKEN = re.compile(rb"(?:^|&)(?:access_)?token=|clew_[0-9a-f]{16}_", re.IGNORECASE)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_WEB = {"ws": "http", "wss": "https"}


def check_bind(host: str, tls: bool, allowed: bool) -> None:
    """Raise `Invalid` for an address that others can reach, unless what goes over the wire is
    encrypted (`tls`) or it was `allowed` by name (`--insecure-public`).
    """
    if tls or allowed or (host and all(ip.is_loopback for ip in _addresses(host))):
        return
    raise Invalid(
        f"{host or 'every address'} can be reached from other machines, and tokens would cross "
        "the network in clear: bind to 127.0.0.1, give a certificate (--tls-cert, --tls-key), or "
        "say --insecure-public when something in front of it encrypts"
    )


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Every address that a name stands for. Raises `Invalid` when it stands for none."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Invalid(f"{host!r} is no address to listen at: {error}") from None
    return [_unmapped(ipaddress.ip_address(str(entry[4][0]).partition("%")[0])) for entry in found]


def _unmapped(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return ip if mapped is None else mapped


class Guard:
    """An ASGI application around another. `open_paths` need no token; everything else does."""

    def __init__(
        self,
        app: App,
        ledger: Ledger,
        settings: ServerSettings,
        *,
        open_paths: Collection[str] = (),
    ) -> None:
        self._app = app
        self._settings = settings
        self._open_paths = frozenset(open_paths)
        self._addresses = Rates(settings.address_rate, settings.address_burst)
        self._callers = Rates(settings.token_rate, settings.token_burst)
        self._failures = Failures(settings.failures_max, settings.failure_delay_max_s)
        self._noted_at = -float("inf")
        self._tokens = Tokens(ledger)
        self.watches = Watches(self._tokens)
        self._names: dict[tuple[object, str], tuple[frozenset[str], frozenset[str]]] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            try:
                await self._app(scope, receive, send)
            finally:
                self.close()
            return
        given: Headers = scope["headers"]
        request = _request_id(given)
        scope["clew.request"] = request
        passage = Passage(scope, receive, send, self._settings.body_bytes_max)
        try:
            found = await self._admit(scope, _deciding(given))
        except (Refused, ClewError) as error:
            _log_refusal(scope, error)
            await passage.refuse(error, _way_in(scope, error))
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours lets nobody in
            logs.fault(request, "guard", error)
            await passage.refuse(error)
            return
        if found is not None and found.may(access.Scope.SESSION_READ) and _comes_in(scope):
            passage.also.append((b"set-cookie", _cookie(scope)))
        scope["clew.token"] = found
        _take_token_out(scope)
        await passage.run(self._app, self.watches, found)

    def close(self) -> None:
        """Give threads and tasks back, when the server ends."""
        self.watches.close()
        self._tokens.close()

    async def _admit(self, scope: Scope, given: dict[bytes, str]) -> Access | None:
        """Who asks; `None` on an open path. Raises `Refused` or a `ClewError`."""
        now = time.monotonic()
        address = _address(scope)
        _within(self._addresses.take(address, now), "this address asks")
        self._check_names(scope, given)
        _check_path(scope)
        _check_query(scope["query_string"])
        told = given.get(b"content-length", "")
        if told.isdigit() and int(told[:18]) > self._settings.body_bytes_max:
            raise too_large(self._settings.body_bytes_max)
        token = _token(scope, given)
        if token is None:
            if scope["path"] in self._open_paths:
                return None
            return require(None, "")
        found = await self._authenticate(token, address, now)
        _within(self._callers.take(found.id, now), f"token {found.name!r} asks")
        return found

    def _check_names(self, scope: Scope, given: dict[bytes, str]) -> None:
        """The host that was asked for, and the page that asks, are exactly on a list."""
        hosts, origins = self._allowed(scope)
        host = given.get(b"host", "")
        if host.lower() not in hosts:
            raise Refused(
                "forbidden",
                f"this server is not called {host[:100]!r}: ask it under its own address, or "
                "start it with --allow-host for another name",
            )
        origin = given.get(b"origin")
        if origin is not None and origin.lower() not in origins:
            raise Refused("forbidden", f"pages of {origin[:100]!r} may not ask this server")

    def _allowed(self, scope: Scope) -> tuple[frozenset[str], frozenset[str]]:
        """Hosts and origins for the socket at which a request came in. Its own address counts:
        a re-bound name reaches that address, but asks for the name.
        """
        server, scheme = scope.get("server"), scope["scheme"]
        key = (tuple(server) if server else None, scheme)
        found = self._names.get(key)
        if found is None:
            found = self._names[key] = _names_of(server, scheme, self._settings)
        return found

    async def _authenticate(self, token: str, address: str, now: float) -> Access:
        """The access of a token. Raises `Unauthorized`, or `Refused` for whoever guesses.

        A missing token is no guess, and neither is one that was right once: else any page could
        lock a person out of their own machine. A token that was good here before is not kept
        waiting by others at its address, nor is a new one by somebody who repeats a stale one.
        """
        digest = access.digest(token)
        if not self._tokens.known(digest):
            wait = max(
                self._failures.wait(address, now), self._failures.wait((address, digest), now)
            )
            _within(wait, "wrong tokens came from this address: it asks")
        try:
            return await self._tokens.check(token, digest)
        except Unauthorized as error:
            if not error.genuine:
                self._count_failure(address, digest)
            raise

    def _count_failure(self, address: str, digest: bytes) -> None:
        now = time.monotonic()
        repeated = self._failures.failed((address, digest), now)
        count = self._failures.failed(address, now) if repeated == 1 else repeated
        allowed, every = self._settings.failures_max, self._settings.failure_note_s
        if count >= allowed and now - self._noted_at >= every:
            self._noted_at = now
            note = asyncio.create_task(self._tokens.note_refused(address, count))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)


# --- what a request says -----------------------------------------------------------------


def _deciding(given: Headers) -> dict[bytes, str]:
    """The headers that decide here; `!` names one that is there twice."""
    found: dict[bytes, str] = {}
    for name, value in given:
        if name in _ONCE:
            if name in found:
                found[b"!"] = name.decode("ascii")
            found[name] = value.decode("latin-1")
    return found


def _request_id(given: Headers) -> str:
    """The caller's own id of the request when it is one, else a new one."""
    for name, value in given:
        if name == b"x-request-id" and _REQUEST.fullmatch(value):
            return value.decode("ascii")
    return canonical.nonce().hex()[:16]


def _address(scope: Scope) -> str:
    """Who is asked to wait: an IPv4 address, an IPv6 network of one site, or a local socket."""
    client = scope.get("client")
    return _site(client[0]) if client else "local"


@lru_cache(maxsize=4096)
def _site(host: str) -> str:
    if ":" not in host:
        return host
    try:
        ip = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = ip.ipv4_mapped
    return str(mapped or ipaddress.IPv6Network((ip, 64), strict=False))


def _names_of(
    server: Any, scheme: str, settings: ServerSettings
) -> tuple[frozenset[str], frozenset[str]]:
    web, port = _WEB.get(scheme, scheme), server[1] if server else None
    own = [*LOOPBACK_NAMES]
    if server and port is not None:
        own.append(f"[{server[0]}]" if ":" in server[0] else str(server[0]))
    hosts = {f"{name}:{port}".lower() for name in own if port is not None}
    if port in (None, _PORTS[scheme]):
        hosts |= {name.lower() for name in own}
    origins = {f"{web}://{host}" for host in hosts}
    named = {host.lower() for host in settings.hosts}
    # What encrypts may stand in front of us: then we see http, and the browser https.
    origins |= {f"{kind}://{host}" for host in named for kind in (web, "https")}
    origins |= {origin.lower() for origin in settings.origins}
    return frozenset(hosts | named), frozenset(origins) - {"null", ""}


def _check_path(scope: Scope) -> None:
    """A path is a path in one reading only. Raises `Refused`."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    if _PATH.fullmatch(raw):
        if b"%" not in raw and b"/." not in raw:
            return
        try:
            parts = [unquote(part, errors="strict") for part in raw.decode("ascii").split("/")]
        except UnicodeDecodeError:
            parts = [".."]
        if not any(part in (".", "..") or "\0" in part for part in parts):
            return
    raise Refused("malformed", "this is no path: it is not encoded, or climbs")


def _check_query(query: bytes) -> None:
    if query and (_QUERY_TOKEN.search(query) or _QUERY_TOKEN.search(unquote_to_bytes(query))):
        raise Refused(
            "malformed",
            "a token does not belong into an address, which is logged and remembered: send "
            "`Authorization: Bearer`, and revoke the token that stood here",
        )


def _token(scope: Scope, given: dict[bytes, str]) -> str | None:
    """The token that a request brings. Raises `Refused` where it brings two."""
    if b"!" in given:
        raise Refused("malformed", f"the header {given[b'!']} is there twice")
    found = []
    header = given.get(b"authorization")
    if header is not None:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer":
            raise Unauthorized("send the access token as `Authorization: Bearer clew_…`")
        found.append(token.strip())
    offered: list[str] = scope.get("subprotocols", [])
    tokens = [text[len(TOKEN_PROTOCOL) :] for text in offered if text.startswith(TOKEN_PROTOCOL)]
    if tokens and PROTOCOL not in offered:
        raise Refused("malformed", f"offer the subprotocol {PROTOCOL} beside the token")
    found += tokens
    if len(set(found)) > 1:
        raise Refused("malformed", "the request brings two tokens: send one")
    return found[0] if found else _kept_token(scope, given)


def _kept_token(scope: Scope, given: dict[bytes, str]) -> str | None:
    """The token in a browser's cookie. What changes something, and a WebSocket, has to say which
    page asks; `_check_names` has seen to it that it is one of ours. Raises `Refused`.
    """
    cookies = (value for name, value in scope["headers"] if name == b"cookie")
    parts = (part.strip() for value in cookies for part in value.split(b";"))
    token = next((part[len(COOKIE) :] for part in parts if part.startswith(COOKIE)), None)
    if token is None:
        return None
    reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
    if not reads and b"origin" not in given:
        raise Refused("forbidden", "a browser that changes something says which page asks")
    return str(token.decode("latin-1"))


def _comes_in(scope: Scope) -> bool:
    there = any(name == b"authorization" for name, _ in scope["headers"])
    return there and scope["path"] == LOGIN and scope.get("method") == "POST"


def _cookie(scope: Scope) -> bytes:
    """The cookie that keeps the token which has just been found good."""
    header = next(value for name, value in scope["headers"] if name == b"authorization")
    token = header.partition(b" ")[2].strip()
    secure = b"; Secure" if scope["scheme"] == "https" else b""
    kept = b"%s%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict"
    return kept % (COOKIE, token, COOKIE_SECONDS) + secure


def _way_in(scope: Scope, error: Exception) -> str | None:
    """Where a browser that shows a page is led when nobody is signed in."""
    if scope["type"] != "http" or scope["method"] != "GET" or not isinstance(error, Unauthorized):
        return None
    asks = (value for name, value in scope["headers"] if name == b"accept")
    if not any(b"text/html" in value for value in asks):
        return None
    query = scope["query_string"].decode("latin-1")
    return f"{LOGIN}?next={quote(scope['path'] + ('?' + query if query else ''), safe='/')}"


def _take_token_out(scope: Scope) -> None:
    """What runs behind the guard has no use for the token, and can so log none."""
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if name not in (b"authorization", b"cookie", b"sec-websocket-protocol")
    ]
    if "subprotocols" in scope:
        offered = [text for text in scope["subprotocols"] if not text.startswith(TOKEN_PROTOCOL)]
        scope["subprotocols"] = offered
        if offered:
            kept.append((b"sec-websocket-protocol", ", ".join(offered).encode("latin-1")))
    scope["headers"] = kept


def _within(wait: float, who: str) -> None:
    """Raise `Refused` when there is something to wait for."""
    if wait > 0:
        seconds = max(1, -int(-wait // 1))
        raise Refused(
            "too-many",
            f"{who} too much: try again in {seconds} s",
            ((b"retry-after", b"%d" % seconds),),
        )


def _log_refusal(scope: Scope, error: Exception) -> None:
    name = error.name if isinstance(error, Refused) else type(error).__name__
    logs.fact(
        logging.INFO,
        "refused",
        request=scope["clew.request"],
        kind=scope["type"],
        problem=name,
        address=_address(scope),
    )
