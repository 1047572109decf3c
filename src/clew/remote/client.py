"""Asking a server: one connection pool, one token for one host, and retries where they are safe.

A request that only reads is asked again when the connection breaks; so is one that the server
recognises when it comes a second time (an append with its key, a span with its id). Any other
is sent once: when its answer is lost, whether it was done is not known, and the error says so.
What never left this machine, or was refused before it was looked at, is always tried again.

The token goes to the address it was given for and nowhere else: no redirect is followed.
"""

from __future__ import annotations

import copy
import logging
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec

from clew import wire
from clew.errors import ClewError, Forbidden, Invalid, ReadOnly, Unavailable
from clew.remote import address

T = TypeVar("T")

API = "/api/v1"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
"""An answer to a usual request begins within this; no attempt is begun later either."""
TRIES = 5
PAUSE_SECONDS = 0.1
"""Before the second attempt, on average; doubled for each one after it."""
PAUSE_SECONDS_MAX = 5.0
KEPT_SECONDS = 20.0
"""An idle connection is given up before the server gives it up."""
CONNECTIONS_MAX = 100
PAGE = 1000
PAGED_MAX = 10_000
"""So far a list can be paged through that has no place of its own to go on behind."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BUSY = frozenset({502, 503, 504})
Query = Mapping[str, Any]


class Client:
    """A server's address and a token for it. Safe to share among threads, not over a fork."""

    def __init__(
        self, url: str, *, token: str, project: str | None, read_only: bool, insecure: bool
    ) -> None:
        self.url = address.checked(url, insecure=insecure)
        self.read_only = read_only
        self._pid = os.getpid()
        self.token = _checked_token(token)
        self.project = project
        self._headers = {"authorization": f"Bearer {self.token}"}
        if project is not None:
            self._headers["clew-project"] = address.segment(project, "a project's name")
        _Discreet.keep(self.url)
        encrypted = self.url.startswith("https:")
        self._http = httpx.Client(
            follow_redirects=False,
            # A proxy that the environment names would read what is not encrypted.
            trust_env=encrypted,
            verify=encrypted,  # to load the certificates takes a while, and nothing asks for them
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, keepalive_expiry=KEPT_SECONDS),
        )

    def __repr__(self) -> str:
        return f"<Client {self.url}>"

    def confined(self, project: str) -> Client:
        """The same connections, for one project."""
        other = copy.copy(self)
        other.project = project
        name = address.segment(project, "a project's name")
        other._headers = {**self._headers, "clew-project": name}
        return other

    @property
    def headers(self) -> dict[str, str]:
        """What every request to this server brings: the token, and the project."""
        return dict(self._headers)

    # --- asking ---

    def get(self, path: str, kind: type[T], query: Query | None = None) -> T:
        """What is at a path below the API. Raises what the server raised."""
        return self._decoded(self._ask("GET", path + _query(query), again=True), kind)

    def get_bytes(self, path: str) -> bytes:
        """The bytes at a path."""
        return self._ask("GET", path, again=True).content

    def pages(
        self,
        path: str,
        kind: type[T],
        query: Query | None = None,
        *,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> list[T]:
        """Up to `limit` items of a list (`None`: all), from behind a cursor."""
        found: list[T] = []
        while limit is None or len(found) < limit:
            size = PAGE if limit is None else min(limit - len(found), PAGE)
            page = self.get(
                path,
                wire.Page[kind],  # type: ignore[valid-type]
                {**(query or {}), "limit": size, "cursor": cursor},
            )
            found += page.items
            cursor = page.next
            if cursor is None:
                break
        return found

    def send(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: Any = None,
        *,
        again: bool = False,
        reads: bool = False,
        lease: int | None = None,
        seconds: float | None = ANSWER_SECONDS,
    ) -> T:
        """Ask for something to be done. `again` says that the server takes it once however
        often it comes, `reads` that it changes nothing; `seconds` is how long the answer may
        take (`None`: as long as it takes).
        """
        if self.read_only and not reads:
            raise ReadOnly(f"{self.url} was opened read-only: open it without read_only to write")
        content = b"" if body is None else encoded(body)
        headers = {} if lease is None else {"clew-lease": str(lease)}
        answer = self._ask(method, path, content, headers, again=again or reads, seconds=seconds)
        return self._decoded(answer, kind)

    @contextmanager
    def stream(self, path: str, query: Query | None = None) -> Iterator[Iterator[bytes]]:
        """The pieces of a long answer, as they come. Raises `Unavailable` when it breaks off."""
        request = self._request("GET", path + _query(query), b"", {}, None)
        try:
            answer = self._http.send(request, stream=True)
            try:
                if not answer.is_success:
                    answer.read()
                    raise self._error(answer)
                yield answer.iter_bytes()
            finally:
                answer.close()
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.url} broke off ({_words(error)}): ask again") from error

    # --- one request ---

    def _ask(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        again: bool,
        seconds: float | None = ANSWER_SECONDS,
    ) -> httpx.Response:
        until = time.monotonic() + ANSWER_SECONDS
        attempt = 0
        while True:
            attempt += 1
            error: Exception | None = None
            try:
                answer = self._http.send(
                    self._request(method, path, content, headers or {}, seconds)
                )
                if answer.is_success:
                    return answer
                safe = answer.status_code == 429 or (again and answer.status_code in _BUSY)
                wait = _told_to_wait(answer)
            except httpx.HTTPError as failed:
                error, wait = failed, 0.0
                safe = again or isinstance(failed, _NOT_SENT)
            seconds_off = max(wait, pause(attempt))
            if not safe or attempt == TRIES or time.monotonic() + seconds_off > until:
                raise self._lost(error, again) if error else self._error(answer)
            time.sleep(seconds_off)

    def _request(
        self,
        method: str,
        path: str,
        content: bytes,
        headers: Mapping[str, str],
        seconds: float | None,
    ) -> httpx.Request:
        self.check_open()
        given = {**self._headers, **headers}
        if content:
            given["content-type"] = "application/json"
        return self._http.build_request(
            method,
            f"{self.url}{API}{path}",
            content=content,
            headers=given,
            timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
        )

    def check_open(self) -> None:
        """Raise `ClewError` when these connections are closed, or another process's."""
        if self._http.is_closed:
            raise ClewError(f"{self.url}: this ledger was closed: open it again")
        if os.getpid() != self._pid:
            raise ClewError(
                f"{self.url}: this ledger was opened before a fork; its connections belong to "
                "the parent: open it again in this process"
            )

    def _decoded(self, answer: httpx.Response, kind: type[T]) -> T:
        try:
            return wire.decode(answer.content, kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unavailable(
                f"{self.url} answers in other words than agreed on ({error}): is it a server of "
                "another version of Clew?"
            ) from None

    def _error(self, answer: httpx.Response) -> ClewError:
        return self.error_of(answer.status_code, answer.content, answer.headers)

    def error_of(self, status: int, content: bytes, headers: Mapping[str, str]) -> ClewError:
        """The error that an answer stands for."""
        try:
            problem = wire.decode(content, wire.Problem)
            return Unavailable(problem.detail) if status == 429 else wire.error_of(problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        if 300 <= status < 400:
            there = urlsplit(headers.get("location", ""))
            name = f"{there.scheme}://{there.netloc}" if there.netloc else "another path"
            return Unavailable(
                f"{self.url} sends on to {name}: a token goes nowhere but where it was given for, "
                "so open that address itself"
            )
        if status in (401, 403):
            return Forbidden(f"something before the server at {self.url} refuses us ({status})")
        if status < 500:
            return Invalid(f"{self.url} answers {status}: no server of Clew seems to be there")
        return Unavailable(f"{self.url} answers {status}: the server behind it is not there")

    def _lost(self, error: Exception, again: bool) -> ClewError:
        told = f"{self.url} cannot be reached ({_words(error)})"
        if again or isinstance(error, _NOT_SENT):
            return Unavailable(told)
        return Unavailable(f"{told}: whether it was done is not known, so look before you retry")

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        if os.getpid() == self._pid:
            self._http.close()


# --- what is sent ------------------------------------------------------------------------


def encoded(body: Any) -> bytes:
    """A request's body. Raises `Invalid` for what is no JSON."""
    try:
        return wire.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Invalid(f"this cannot be written as JSON ({error}): leave it out") from None


def cursor(*place: Any) -> str:
    """A cursor for a place in a list that is known from elsewhere than the page before."""
    try:
        return wire.cursor(*place)
    except (TypeError, ValueError) as error:
        raise Invalid(f"this is no place in a list ({error})") from None


def _query(query: Query | None) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in (query or {}).items():
        values = value if isinstance(value, list | tuple) else [value]
        pairs += [(name, _text(each)) for each in values if each is not None]
    if not pairs:
        return ""
    try:
        return "?" + urlencode(pairs, quote_via=quote)
    except UnicodeEncodeError:
        raise Invalid("a word of the question holds half a character: leave that out") from None


def _text(value: Any) -> str:
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def _checked_token(token: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Invalid("this is no access token: one reads clew_<id>_<secret>")
    return token


class _Discreet(logging.Filter):
    """Keeps questions, which may quote anything, out of the log of the HTTP library."""

    _servers: ClassVar[set[str]] = set()

    @classmethod
    def keep(cls, url: str) -> None:
        """Log no questions to this server."""
        if not cls._servers:
            logging.getLogger("httpx").addFilter(cls())
        cls._servers.add(url)

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the question off; every record passes."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(self._cut, record.args))
        return True

    def _cut(self, value: object) -> object:
        if isinstance(value, httpx.URL) and str(value).startswith(tuple(self._servers)):
            return value.copy_with(query=None)
        return value


# --- trying again ------------------------------------------------------------------------


def pause(attempt: int) -> float:
    """Seconds to wait after so many attempts."""
    usual: float = min(PAUSE_SECONDS * 2 ** (attempt - 1), PAUSE_SECONDS_MAX)
    return usual * random.uniform(0.5, 1.5)  # noqa: S311 - many clients must not come at once


def _told_to_wait(answer: httpx.Response) -> float:
    told = answer.headers.get("retry-after", "")
    return float(told) if told.isdigit() and len(told) < 6 else 0.0


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
