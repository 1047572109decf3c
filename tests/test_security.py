"""The guard in front of the server: who gets through, what becomes of the others.

Attacks that other servers fell for are named by their CVE.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clew
from asgi_caller import HOST, Reply, Socket, ask, bearer
from clew import access
from clew.access import Scope
from clew.server import tokens
from clew.server.limits import FORGET_S, KEYS_MAX, Failures, Rates
from clew.server.protocol import HEAD_BYTES_MAX, HEAD_SECONDS
from clew.server.security import CLOSED_TOKEN_ENDED, Guard, check_bind
from clew.server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

OPEN_PATHS = ("/health",)


class Tiny:
    """The smallest application: says what it saw, streams, and talks on a WebSocket."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.read = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope)
        if scope["type"] == "websocket":
            await self._talk(receive, send)
        elif scope["path"] in ("/stream", "/rows"):
            kind = b"text/event-stream" if scope["path"] == "/stream" else b"application/jsonl"
            await self._stream(send, kind)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            self.read += len(message["body"])
            more = message["more_body"]
        token = scope["clew.token"]
        body = json.dumps({"who": token and token.name, "read": self.read}).encode()
        headers = [(b"content-type", b"application/json"), (b"server", b"tiny/1.0")]
        if scope["path"] == "/static/app.js":
            headers.append((b"cache-control", b"public, max-age=60"))
        if scope["path"] == "/cors":
            headers.append((b"Access-Control-Allow-Origin", b"*"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, send: Any, kind: bytes) -> None:
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one\n", "more_body": True})
        await asyncio.sleep(3600)

    async def _talk(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "clew.v1"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": message["text"]})


class Fort:
    """A guard around a tiny application, on a ledger in memory."""

    def __init__(self, ledger: clew.Ledger, **settings: Any) -> None:
        self.ledger = ledger
        self.tiny = Tiny()
        self.guard = Guard(self.tiny, ledger, ServerSettings(**settings), open_paths=OPEN_PATHS)
        self.made = ledger.create_token("ci", [Scope.SESSION_READ])
        self.token = self.made.token

    def run(self, task: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine with the guard, and put the guard away."""

        async def whole() -> Any:
            try:
                return await asyncio.wait_for(task(), 30)
            finally:
                self.guard.close()

        return asyncio.run(whole())

    def ask(self, target: str = "/x", method: str = "GET", **more: Any) -> Reply:
        """One request with the token."""
        headers = more.pop("headers", {})
        pairs = [*headers.items()] if isinstance(headers, dict) else [*headers]
        pairs += bearer(self.token).items()
        reply: Reply = self.run(lambda: ask(self.guard, target, method, pairs, **more))
        return reply


@pytest.fixture
def small() -> Iterator[clew.Ledger]:
    """A ledger in memory: what is tested here does not depend on the database."""
    with clew.open("sqlite:///:memory:") as ledger:
        yield ledger


@pytest.fixture
def fort(small: clew.Ledger) -> Fort:
    return Fort(small)


async def _handshake(app: Any, headers: dict[str, str], token: str) -> int:
    """The status that a WebSocket's handshake gets."""
    socket = Socket(app, "/live", {**headers, **bearer(token)}, ["clew.v1"])
    first = await socket.said()
    if first["type"] == "websocket.accept":
        await socket.leave()
        return 101
    await asyncio.wait_for(socket.task, 20)
    return int(first["status"])


# --- who may come in -----------------------------------------------------------------------


def test_a_valid_token_gets_through(fort: Fort) -> None:
    reply = fort.ask()
    assert (reply.status, reply.json["who"]) == (200, "ci")


def test_nothing_works_without_a_token_on_loopback_either(fort: Fort) -> None:
    """CVE-2026-22812 (opencode): a loopback server without authentication."""

    async def all_of_them() -> None:
        for target in ("/x", "/", "/api/v1/sessions", "/static/app.js", "/no/such/route"):
            reply = await ask(fort.guard, target)
            assert reply.status == 401, target
            assert reply.headers["www-authenticate"] == 'Bearer realm="clew"'
        assert (await ask(fort.guard, "/health")).json["who"] is None

    fort.run(all_of_them)
    assert [scope["path"] for scope in fort.tiny.seen] == ["/health"]


def test_a_path_is_open_as_it_stands_only(fort: Fort) -> None:
    """CVE-2026-0545 (MLflow): routes that the middleware did not think of."""

    async def all_of_them() -> None:
        for target in ("/health/", "/Health", "/health/x", "/healthz", "/x/health"):
            assert (await ask(fort.guard, target)).status == 401, target

    fort.run(all_of_them)


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic Y2xldzpjbGV3", "clew", "Bearer x", "Bearer clew_1_2"],
)
def test_what_is_no_token_is_refused(fort: Fort, value: str) -> None:
    headers = {"authorization": value}
    assert fort.run(lambda: ask(fort.guard, "/x", headers=headers)).status == 401
    assert fort.tiny.seen == []


def test_the_open_path_too_refuses_a_wrong_token(fort: Fort) -> None:
    headers = bearer("clew_0123456789abcdef_" + "a" * 43)
    assert fort.run(lambda: ask(fort.guard, "/health", headers=headers)).status == 401


def test_a_websocket_needs_a_token_as_http_does(fort: Fort) -> None:
    """CVE-2024-28179 (jupyter-server-proxy): HTTP was checked, the WebSocket was not."""

    async def tell() -> None:
        none = Socket(fort.guard, "/live", offered=["clew.v1"])
        assert (await none.said())["status"] == 401
        assert await _handshake(fort.guard, {}, fort.token[:-43] + "a" * 43) == 401
        assert await _handshake(fort.guard, {}, fort.token) == 101

    fort.run(tell)


def test_a_websocket_that_cannot_be_told_why_is_closed(fort: Fort) -> None:
    async def tell() -> None:
        socket = Socket(fort.guard, "/live", extensions={})
        assert (await socket.said())["type"] == "websocket.close"

    fort.run(tell)
    assert fort.tiny.seen == []


def test_a_page_brings_its_token_as_a_subprotocol(fort: Fort) -> None:
    async def tell() -> None:
        offered = ["clew.v1", f"clew.token.{fort.token}"]
        socket = Socket(fort.guard, "/live", {"origin": f"http://{HOST}"}, offered)
        accepted = await socket.said()
        assert (accepted["type"], accepted["subprotocol"]) == ("websocket.accept", "clew.v1")
        await socket.tell("hello")
        assert (await socket.said())["text"] == "hello"
        await socket.leave()
        alone = Socket(fort.guard, "/live", offered=offered[1:])
        assert (await alone.said())["status"] == 400

    fort.run(tell)


def test_what_runs_behind_the_guard_never_sees_the_token(fort: Fort) -> None:
    async def tell() -> None:
        await ask(fort.guard, "/x", headers=bearer(fort.token))
        header = f"clew.v1, clew.token.{fort.token}"
        socket = Socket(
            fort.guard,
            "/live",
            {"sec-websocket-protocol": header},
            ["clew.v1", f"clew.token.{fort.token}"],
        )
        await socket.said()
        await socket.leave()

    fort.run(tell)
    secret = fort.token.split("_", 2)[2]
    assert len(fort.tiny.seen) == 2
    assert secret not in str(fort.tiny.seen)
    assert fort.tiny.seen[1]["subprotocols"] == ["clew.v1"]


@pytest.mark.parametrize(
    "query",
    [
        "token={}",
        "a=b&token={}",
        "access_token={}",
        "q={}",
        "q=%63lew_{}",
        "TOKEN=x",
    ],
)
def test_a_token_in_the_address_is_refused_with_a_word(fort: Fort, query: str) -> None:
    given = fort.token.removeprefix("clew_") if "%63" in query else fort.token
    reply = fort.run(lambda: ask(fort.guard, "/x?" + query.format(given)))
    assert (reply.status, reply.problem) == (400, "malformed")
    assert "Authorization: Bearer" in reply.json["detail"]
    assert fort.token not in str(reply)


def test_two_tokens_in_one_request_are_refused(fort: Fort) -> None:
    other = fort.ledger.create_token("other", [Scope.ADMIN]).token

    async def tell() -> None:
        twice = [*bearer(fort.token).items(), *bearer(other).items()]
        assert (await ask(fort.guard, "/x", headers=twice)).status == 400
        socket = Socket(fort.guard, "/live", bearer(fort.token), ["clew.v1", f"clew.token.{other}"])
        assert (await socket.said())["status"] == 400

    fort.run(tell)
    assert fort.tiny.seen == []


# --- where a request comes from ------------------------------------------------------------

REBOUND = {"host": "attacker.example:8765"}
ATTACKS: dict[str, dict[str, str]] = {
    "cross-origin": {"origin": "https://attacker.example"},
    "rebinding": {**REBOUND, "origin": "http://attacker.example:8765"},
    "null": {"origin": "null"},
    "look-alike": {"origin": "http://127.0.0.1:8765.attacker.example"},
}
LOOK_ALIKES = [
    "http://127.0.0.1:87650",
    "http://127.0.0.1:876",
    "http://127.0.0.1",
    "https://127.0.0.1:8765",
    "http://127.0.0.1:8765/",
    "http://127.0.0.1:8765@attacker.example",
    "http://user@127.0.0.1:8765",
    "http://x127.0.0.1:8765",
    "http://localhost:8765.attacker.example",
    "http://attacker.example/http://127.0.0.1:8765",
    "http://127.0.0.1:8765 http://attacker.example",
    "http://127。0。0。1:8765".encode().decode("latin-1"),
    "http://127.1:8765",
    "http://0.0.0.0:8765",
    "http://2130706433:8765",
    "ws://127.0.0.1:8765",
    "file://",
    "",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_foreign_page_gets_through(fort: Fort, attack: str) -> None:
    """0 of 4, on HTTP and WebSocket, with a valid token. CVE-2026-25253 (OpenClaw): a WebSocket
    without an Origin check; CVE-2025-14279 (MLflow), CVE-2025-66416 (MCP SDK): rebinding.
    """
    headers = ATTACKS[attack]
    assert fort.ask(headers=headers).status == 403

    async def upgrade() -> None:
        assert await _handshake(fort.guard, headers, fort.token) == 403

    fort.guard = Guard(fort.tiny, fort.ledger, ServerSettings())
    fort.run(upgrade)
    assert fort.tiny.seen == []


@pytest.mark.parametrize("origin", LOOK_ALIKES)
def test_no_look_alike_gets_through(fort: Fort, origin: str) -> None:
    """CVE-2026-40110 (Jupyter): the origin was matched from its beginning only."""
    assert fort.ask(headers={"origin": origin}).status == 403


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "127.0.0.1",
        "127.0.0.1:8766",
        "127.0.0.1:8765.attacker.example",
        "127.0.0.1:8765@attacker.example",
        "localhost.:8765",
        "",
        " 127.0.0.1:8765",
        "127.0.0.1:8765, attacker.example",
        "0.0.0.0:8765",
        "192.0.2.1:8765",
    ],
)
def test_only_our_own_names_are_answered(fort: Fort, host: str) -> None:
    assert fort.ask(headers={"host": host}).status == 403
    assert fort.tiny.seen == []


def test_the_open_paths_check_the_name_too(fort: Fort) -> None:
    assert fort.run(lambda: ask(fort.guard, "/health", headers=REBOUND)).status == 403


def test_two_hosts_or_two_origins_are_refused(fort: Fort) -> None:
    own = f"http://{HOST}"
    for name, values in (("host", [HOST, HOST]), ("origin", [own, own])):
        guarded = Fort(fort.ledger)
        assert guarded.ask(headers=[(name, value) for value in values]).status == 400


def test_a_request_without_a_host_is_refused(fort: Fort) -> None:
    async def bare() -> Reply:
        async def stripped(scope: Any, receive: Any, send: Any) -> None:
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"host"]
            await fort.guard(scope, receive, send)

        return await ask(stripped, "/x", headers=bearer(fort.token))

    assert fort.run(bare).status == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_this_machine_goes_by_its_own_names(small: clew.Ledger, name: str) -> None:
    headers = {"host": f"{name}:8765", "origin": f"http://{name.lower()}:8765"}
    assert Fort(small).ask(headers=headers).status == 200


def test_the_address_that_was_reached_is_a_name_too(small: clew.Ledger) -> None:
    more: dict[str, Any] = {"server": ("192.0.2.5", 8765)}
    assert Fort(small).ask(headers={"host": "192.0.2.5:8765"}, **more).status == 200
    assert Fort(small).ask(headers={"host": "192.0.2.6:8765"}, **more).status == 403
    more = {"server": ("2001:db8::5", 8765)}
    assert Fort(small).ask(headers={"host": "[2001:db8::5]:8765"}, **more).status == 200


def test_the_usual_port_may_be_left_out(small: clew.Ledger) -> None:
    more: dict[str, Any] = {"server": ("127.0.0.1", 443), "scheme": "https"}
    headers = {"host": "localhost", "origin": "https://localhost"}
    assert Fort(small).ask(headers=headers, **more).status == 200
    assert Fort(small).ask(headers={**headers, "origin": "http://localhost"}, **more).status == 403


def test_more_names_and_pages_can_be_allowed(small: clew.Ledger) -> None:
    given: dict[str, Any] = {"hosts": ["Clew.example"], "origins": ["https://app.example"]}

    def status(host: str, origin: str) -> int:
        return Fort(small, **given).ask(headers={"host": host, "origin": origin}).status

    assert status("clew.example", "https://clew.example") == 200
    assert status("clew.example", "https://app.example") == 200
    assert status("clew.example", "https://clew.example.evil") == 403
    assert status("clew.example:8765", "https://clew.example") == 403


def test_null_cannot_be_allowed(small: clew.Ledger) -> None:
    fort = Fort(small, origins=("null",))
    assert fort.ask(headers={"origin": "null"}).status == 403


def test_no_answer_lets_another_origin_read(fort: Fort) -> None:
    preflight = {
        "origin": "https://attacker.example",
        "access-control-request-method": "POST",
    }

    async def all_of_them() -> list[Reply]:
        return [
            await ask(fort.guard, "/cors", headers=bearer(fort.token)),
            await ask(fort.guard, "/cors", "OPTIONS", preflight),
        ]

    answered, refused = fort.run(all_of_them)
    assert (answered.status, refused.status) == (200, 403)
    for reply in (answered, refused):
        assert not [name for name in reply.headers if name.startswith("access-control")]


# --- paths ---------------------------------------------------------------------------------

CLIMBING = [
    "/../etc/passwd",
    "/static/../../etc/passwd",
    "/%2e%2e/etc/passwd",
    "/%2E%2e/x",
    "/.%2e/x",
    "/%2e/x",
    "/./x",
    "/x/..",
    "/..",
    "/\\..\\..\\x",
    "\\\\host\\share",
    "/\\\\host\\share",
    "http://attacker.example/x",
    "C:\\Windows\\win.ini",
    "x",
    "*",
    "",
    "/x%00.json",
    "/%00",
    "/x\x00",
    "/x y",
    "/x\x7f",
    "/x\r\nset-cookie:a=b",
    "/%",
    "/%2",
    "/%zz",
    "/%ff",
    "/%c0%ae%c0%ae/x",
    "/%ed%a0%80",
    "/\xe4",
    "/x#y",
    "/<script>",
    "/x%u002e",
]


@pytest.mark.parametrize("target", CLIMBING)
def test_what_is_no_plain_path_is_refused(fort: Fort, target: str) -> None:
    """CVE-2023-1177, CVE-2024-1560, CVE-2026-2614 (MLflow): `..` in disguise was decoded late."""
    reply = fort.ask(target)
    assert (reply.status, reply.problem) == (400, "malformed")
    assert fort.tiny.seen == []


@pytest.mark.parametrize(
    "target", ["/x/%252e%252e/y", "/...", "/.x", "/x%20y", "/c%C3%A4t", "/a:b"]
)
def test_a_path_is_decoded_once(fort: Fort, target: str) -> None:
    assert fort.ask(target).status == 200
    assert fort.tiny.seen[0]["raw_path"] == target.encode()


# --- how much ------------------------------------------------------------------------------


def test_a_body_is_read_up_to_the_limit_and_no_further(small: clew.Ledger) -> None:
    fort = Fort(small, body_bytes_max=1000)
    assert fort.ask(method="POST", body=[b"x" * 500, b"x" * 500]).json["read"] == 1000
    fort = Fort(small, body_bytes_max=1000)
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        for _ in range(10_000):
            given += 400
            yield b"x" * 400

    reply = fort.ask(method="POST", body=endless())
    assert (reply.status, reply.problem) == (413, "too-large")
    assert reply.headers["connection"] == "close"
    assert "1,000 bytes" in reply.json["detail"]
    assert given == 1200, "nothing is read once the limit is passed"
    assert fort.tiny.read == 800


def test_a_body_that_says_it_is_too_large_is_not_read(small: clew.Ledger) -> None:
    fort = Fort(small, body_bytes_max=1000)

    def bomb() -> Iterator[bytes]:
        yield from [pytest.fail("the body was read")]

    for told in ("1001", "9" * 40):
        fort = Fort(small, body_bytes_max=1000)
        reply = fort.ask(method="POST", headers={"content-length": told}, body=bomb())
        assert reply.status == 413
    assert fort.tiny.seen == []


def test_an_application_that_takes_the_limit_for_a_fault_cannot_hide_it(
    small: clew.Ledger,
) -> None:
    """Frameworks answer 500 to whatever is raised while they read."""
    fort = Fort(small, body_bytes_max=10)

    async def careless(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Exception):
            await receive()
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"oops"})

    fort.guard = Guard(careless, small, ServerSettings(body_bytes_max=10))
    assert fort.ask(method="POST", body=b"x" * 11).problem == "too-large"


def test_a_token_may_ask_so_much_and_then_waits(small: clew.Ledger) -> None:
    fort = Fort(small, token_rate=0.5, token_burst=3)
    other = bearer(small.create_token("other", [Scope.ADMIN]).token)

    async def many() -> tuple[list[Reply], Reply]:
        own = [await ask(fort.guard, "/x", headers=bearer(fort.token)) for _ in range(5)]
        return own, await ask(fort.guard, "/x", headers=other)

    own, of_another = fort.run(many)
    assert [reply.status for reply in own] == [200, 200, 200, 429, 429]
    assert own[3].problem == "too-many"
    assert 1 <= int(own[3].headers["retry-after"]) <= 2
    assert of_another.status == 200


def test_an_address_may_ask_so_much_with_or_without_a_token(small: clew.Ledger) -> None:
    fort = Fort(small, address_rate=0.5, address_burst=2)

    async def many() -> list[int]:
        replies = [await ask(fort.guard, "/health") for _ in range(3)]
        elsewhere = await ask(fort.guard, "/health", client=("192.0.2.9", 1))
        return [reply.status for reply in (*replies, elsewhere)]

    assert fort.run(many) == [200, 200, 429, 200]


def test_the_defaults_let_two_thousand_appends_a_second_through() -> None:
    settings = ServerSettings()
    for rate, burst in (
        (settings.token_rate, settings.token_burst),
        (settings.address_rate, settings.address_burst),
    ):
        rates = Rates(rate, burst)
        waits = [rates.take("one", number / 2000) for number in range(60_000)]
        assert max(waits) == 0


def test_a_bucket_fills_again_at_its_rate() -> None:
    rates = Rates(rate=10, burst=5)
    assert [rates.take("a", 100.0) > 0 for _ in range(7)] == [False] * 5 + [True] * 2
    assert rates.take("a", 100.0) == pytest.approx(0.1)
    assert rates.take("a", 100.1) == 0
    assert rates.take("a", 100.1) > 0
    assert [rates.take("a", 200.0) > 0 for _ in range(6)] == [False] * 5 + [True]


def test_what_is_remembered_of_callers_is_bounded() -> None:
    rates, failures = Rates(1, 1), Failures(5, 60)
    for number in range(KEYS_MAX + 100):
        rates.take(str(number), 0.0)
        failures.failed(number, 0.0)
    assert len(rates._full_at) == len(failures._records) == KEYS_MAX


def test_one_site_of_ipv6_addresses_is_one_caller(small: clew.Ledger) -> None:
    fort = Fort(small, address_rate=0.5, address_burst=1)

    async def many() -> list[int]:
        clients = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1", "::ffff:192.0.2.1"]
        clients += ["192.0.2.1"]
        replies = [await ask(fort.guard, "/health", client=(ip, 1)) for ip in clients]
        return [reply.status for reply in replies]

    assert fort.run(many) == [200, 429, 200, 200, 429]


# --- guessing ------------------------------------------------------------------------------


def _guess(number: int) -> str:
    return f"clew_{number:016x}_" + "a" * 43


def test_whoever_guesses_has_to_wait(small: clew.Ledger) -> None:
    """CVE-2026-25253 (OpenClaw), second part: tokens could be guessed from loopback at will."""
    fort = Fort(small)
    newcomer = small.create_token("new", [Scope.ADMIN]).token

    async def tell() -> None:
        assert (await ask(fort.guard, "/x", headers=bearer(fort.token))).status == 200
        guesses = [await ask(fort.guard, "/x", headers=bearer(_guess(n))) for n in range(8)]
        assert [reply.status for reply in guesses] == [401] * 5 + [429] * 3
        assert guesses[5].headers["retry-after"] == "1"
        # A token that nobody has seen here waits as well; one that was good goes on.
        assert (await ask(fort.guard, "/x", headers=bearer(newcomer))).status == 429
        assert (await ask(fort.guard, "/x", headers=bearer(fort.token))).status == 200
        # So does the same on a WebSocket; other addresses and open paths are left alone.
        assert await _handshake(fort.guard, {}, newcomer) == 429
        elsewhere = await ask(fort.guard, "/x", headers=bearer(newcomer), client=("192.0.2.9", 1))
        assert elsewhere.status == 200
        assert (await ask(fort.guard, "/health")).status == 200

    fort.run(tell)


def test_the_wait_doubles_up_to_the_longest() -> None:
    failures, now, waits = Failures(allowed=5, longest=60), 0.0, []
    for _ in range(14):
        failures.failed("a", now)
        waits.append(failures.wait("a", now))
        now += waits[-1]
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    now += FORGET_S + 1
    assert failures.failed("a", now) == 1
    assert failures.wait("a", now) == 0


def test_one_wrong_token_again_and_again_keeps_nobody_else_out(small: clew.Ledger) -> None:
    """A forgotten client with a stale token must not lock a person out of their machine."""
    fort = Fort(small)

    async def tell() -> None:
        stale = [await ask(fort.guard, "/x", headers=bearer(_guess(1))) for _ in range(8)]
        assert [reply.status for reply in stale] == [401] * 5 + [429] * 3
        assert (await ask(fort.guard, "/x", headers=bearer(fort.token))).status == 200

    fort.run(tell)


def test_a_missing_or_revoked_token_is_no_guess(small: clew.Ledger) -> None:
    fort = Fort(small)
    gone = small.create_token("gone", [Scope.ADMIN])
    small.revoke_token(gone.info.id)

    async def tell() -> None:
        for headers in ({}, bearer(gone.token)):
            for _ in range(8):
                assert (await ask(fort.guard, "/x", headers=headers)).status == 401
        assert (await ask(fort.guard, "/x", headers=bearer(fort.token))).status == 200

    fort.run(tell)


def test_guessing_is_put_on_record_once_in_a_while(small: clew.Ledger) -> None:
    fort = Fort(small)

    async def tell() -> None:
        for host in range(3):
            for number in range(7):
                client = (f"192.0.2.{host}", 1)
                await ask(fort.guard, "/x", headers=bearer(_guess(number)), client=client)
        while fort.guard._notes:
            await asyncio.gather(*fort.guard._notes)

    fort.run(tell)
    (record,) = small.audit(action="token refused")
    assert record.facts == {"address": "192.0.2.0", "attempts": 5}


# --- what a token keeps open ---------------------------------------------------------------


def test_a_revocation_holds_within_a_second(small: clew.Ledger) -> None:
    """CVE-2026-40934 (Jupyter): what was open lived on. How late a request may still pass, and
    how often open connections are looked at, is far less than a second.
    """
    assert tokens.FRESH_S <= 0.5
    fort = Fort(small)

    async def tell() -> None:
        socket = Socket(fort.guard, "/live", bearer(fort.token), ["clew.v1"])
        await socket.said()
        streams = [
            asyncio.create_task(ask(fort.guard, target, headers=bearer(fort.token)))
            for target in ("/stream", "/rows")
        ]
        await asyncio.sleep(0.05)
        assert not any(stream.done() for stream in streams)
        await asyncio.to_thread(small.revoke_token, fort.made.info.id)
        last = json.loads((await socket.said())["text"])
        assert (last["type"], last["problem"]) == ("problem", "urn:clew:problem:unauthorized")
        closed = await socket.said()
        assert (closed["type"], closed["code"]) == ("websocket.close", 4401)
        assert "revoked" in closed["reason"]
        events, rows = await asyncio.gather(*streams)
        assert (events.body, events.whole) == (b"one\n", True)
        assert (rows.body, rows.whole) == (b"one\n", False)
        await socket.task
        assert (await ask(fort.guard, "/x", headers=bearer(fort.token))).status == 401
        assert await _handshake(fort.guard, {}, fort.token) == 401

    fort.run(tell)


def test_a_token_that_expires_closes_what_it_opened(small: clew.Ledger) -> None:
    soon = small.create_token("soon", [Scope.ADMIN], expires=int(time.time() * 1000) + 1500)
    fort = Fort(small)

    async def tell() -> None:
        socket = Socket(fort.guard, "/live", bearer(soon.token), ["clew.v1"])
        assert (await socket.said())["type"] == "websocket.accept"
        assert "4401" in (await socket.said())["text"]
        assert "expired" in (await socket.said())["reason"]

    fort.run(tell)


def test_a_revocation_leaves_other_tokens_alone(small: clew.Ledger) -> None:
    fort = Fort(small)
    other = small.create_token("other", [Scope.ADMIN])

    async def tell() -> None:
        mine, theirs = (
            Socket(fort.guard, "/live", bearer(token), ["clew.v1"])
            for token in (fort.token, other.token)
        )
        await mine.said()
        await theirs.said()
        await asyncio.to_thread(small.revoke_token, other.info.id)
        assert "4401" in (await theirs.said())["text"]
        assert (await theirs.said())["type"] == "websocket.close"
        await mine.tell("still here")
        assert (await mine.said())["text"] == "still here"
        await mine.leave()
        assert fort.guard.watches._open == {}

    fort.run(tell)


def test_many_requests_at_once_ask_the_table_once(
    small: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = access.check

    def counted(ledger: clew.Ledger, text: str) -> access.Access:
        asked.append(text)
        return original(ledger, text)

    monkeypatch.setattr(access, "check", counted)
    fort = Fort(small)

    async def many() -> None:
        requests = [ask(fort.guard, "/x", headers=bearer(fort.token)) for _ in range(200)]
        assert {reply.status for reply in await asyncio.gather(*requests)} == {200}

    fort.run(many)
    assert len(asked) == 1


def test_a_table_that_cannot_be_asked_lets_nobody_in(
    small: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(ledger: clew.Ledger, text: str) -> access.Access:
        raise clew.Unavailable("the database is away")

    def broken(ledger: clew.Ledger, text: str) -> access.Access:
        raise ZeroDivisionError

    for failing, status in ((away, 503), (broken, 500)):
        fort = Fort(small)
        monkeypatch.setattr(access, "check", failing)
        assert fort.ask().status == status
        assert fort.tiny.seen == []


def test_a_table_that_is_away_for_a_while_closes_nothing(
    small: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    fort = Fort(small)
    original, calls = access.ended, []

    def flaky(ledger: clew.Ledger, ids: list[str]) -> dict[str, str]:
        calls.append(ids)
        if len(calls) == 1:
            raise clew.Unavailable("the database is away")
        return original(ledger, ids)

    monkeypatch.setattr(access, "ended", flaky)

    async def tell() -> None:
        socket = Socket(fort.guard, "/live", bearer(fort.token), ["clew.v1"])
        await socket.said()
        while not calls:
            await asyncio.sleep(0.01)
        await socket.tell("still here")
        assert (await socket.said())["text"] == "still here"
        await asyncio.to_thread(small.revoke_token, fort.made.info.id)
        assert "4401" in (await socket.said())["text"]
        assert (await socket.said())["type"] == "websocket.close"

    fort.run(tell)


# --- headers -------------------------------------------------------------------------------


def _assert_secure(reply: Reply) -> None:
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in reply.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in str(policy)
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["x-request-id"]
    assert "server" not in reply.headers


def test_every_answer_has_the_security_headers(fort: Fort) -> None:
    async def all_of_them() -> list[Reply]:
        known = bearer(fort.token)
        return [
            await ask(fort.guard, "/x", headers=known),
            await ask(fort.guard, "/health"),
            await ask(fort.guard, "/x"),
            await ask(fort.guard, "/x", headers=REBOUND),
            await ask(fort.guard, "/../x", headers=known),
            await ask(fort.guard, "/x?token=1"),
        ]

    replies = fort.run(all_of_them)
    assert [reply.status for reply in replies] == [200, 200, 401, 403, 400, 400]
    for reply in replies:
        _assert_secure(reply)
        assert reply.headers["cache-control"] == "private, no-store"


def test_what_is_no_data_may_say_how_long_it_lasts(fort: Fort) -> None:
    reply = fort.ask("/static/app.js")
    _assert_secure(reply)
    assert reply.headers["cache-control"] == "public, max-age=60"


def test_a_request_has_an_id_that_the_caller_may_give(fort: Fort) -> None:
    async def tell() -> list[Reply]:
        given = ["abc-1.2_3", "x" * 65, "a b", "é", 'x"\\', ""]
        return [
            await ask(fort.guard, "/x", headers={**bearer(fort.token), "x-request-id": text})
            for text in given
        ]

    first, *others = [reply.headers["x-request-id"] for reply in fort.run(tell)]
    assert first == "abc-1.2_3"
    assert all(len(id) == 16 for id in others)
    assert len(set(others)) == len(others)
    assert fort.tiny.seen[0]["clew.request"] == first


def test_a_problem_names_the_request(fort: Fort) -> None:
    reply = fort.run(lambda: ask(fort.guard, "/x", headers={"x-request-id": "mine"}))
    assert reply.json["request"] == reply.headers["x-request-id"] == "mine"


# --- where to listen -----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost", "127.1"])
def test_this_machine_alone_needs_nothing(host: str) -> None:
    check_bind(host, tls=False, allowed=False)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "", "::", "0", "192.168.1.5", "10.0.0.1", "::ffff:192.0.2.1", "8.8.8.8"]
)
def test_a_public_address_needs_encryption_or_a_word(host: str) -> None:
    with pytest.raises(clew.Invalid, match="--insecure-public"):
        check_bind(host, tls=False, allowed=False)
    check_bind(host, tls=True, allowed=False)
    check_bind(host, tls=False, allowed=True)


def test_a_name_that_stands_for_nothing_is_no_place_to_listen() -> None:
    with pytest.raises(clew.Invalid, match="no address"):
        check_bind("no-such-host.invalid", tls=False, allowed=False)


# --- the page ------------------------------------------------------------------------------


def test_the_page_on_security_says_what_is_so() -> None:
    tests = Path(__file__).parent
    page = (tests.parent / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(test_[a-z_]+)`", page))
    there = {
        name
        for file in tests.rglob("*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 15
    assert named <= there
    told = ServerSettings()
    for figure in (
        f"{told.address_rate:,}/s, {told.address_burst:,} at once",
        f"{told.token_rate:,}/s, {told.token_burst:,} at once",
        f"{HEAD_BYTES_MAX // 1024} KiB of headers, {HEAD_SECONDS:.0f} seconds",
        f"{told.failure_delay_max_s} s\n   at most",
        f"code {CLOSED_TOKEN_ENDED}",
    ):
        assert figure in page, figure
