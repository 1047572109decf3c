"""The real server, attacked over a real socket: what a client library would never send."""

from __future__ import annotations

import ast
import contextlib
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

import clew
from clew import frames
from clew.access import Scope
from clew.server import protocol
from clew.server.security import CLOSED_TOKEN_ENDED
from server import serving
from test_security import ATTACKS, CLIMBING, LOOK_ALIKES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server import There

pytestmark = pytest.mark.inside
GET = "GET /api/v1/sessions HTTP/1.1\r\n"


class Answered(NamedTuple):
    """What came back on a connection until it was closed."""

    raw: bytes

    @property
    def status(self) -> int:
        """0 when nothing came."""
        return int(self.raw.split(b" ", 2)[1]) if self.raw else 0


@pytest.fixture(scope="module")
def there() -> Iterator[There]:
    with clew.open("sqlite:///:memory:") as ledger, serving(ledger) as running:
        yield running


def _address(there: There) -> tuple[str, int]:
    parts = urlsplit(there.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def raw(there: There, data: bytes, *, more: Any = ()) -> Answered:
    """Send bytes as they are, then read until the server closes the connection."""
    with socket.create_connection(_address(there), timeout=20) as connection:
        try:
            connection.sendall(data)
            for piece in more:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        got = bytearray()
        try:
            while piece := connection.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
    return Answered(bytes(got))


def request(there: There, line: str, **headers: str) -> bytes:
    host, port = _address(there)
    given = {
        "host": f"{host}:{port}",
        "authorization": f"Bearer {there.token}",
        "connection": "close",
        **headers,
    }
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"{line}{head}\r\n".encode("latin-1")


def upgrade(there: There, **headers: str) -> bytes:
    """A WebSocket's handshake."""
    return request(
        there,
        "GET /api/v1/live HTTP/1.1\r\n",
        connection="Upgrade",
        upgrade="websocket",
        sec_websocket_version="13",
        sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
        sec_websocket_protocol="clew.v1",
        **headers,
    )


def test_an_honest_request_is_answered(there: There) -> None:
    answered = raw(there, request(there, GET))
    assert answered.status == 200
    head = answered.raw.split(b"\r\n\r\n")[0].lower()
    assert b"x-content-type-options: nosniff" in head
    assert b"\r\nserver:" not in head


def _aimed(there: There, headers: dict[str, str]) -> dict[str, str]:
    """The attack, against the port that this server has."""
    return {k: v.replace("8765", str(_address(there)[1])) for k, v in headers.items()}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_foreign_page_gets_through(there: There, attack: str) -> None:
    """0 of 4 on HTTP and WebSocket, with a valid token."""
    headers = _aimed(there, ATTACKS[attack])
    assert raw(there, request(there, GET, **headers)).status == 403
    assert raw(there, upgrade(there, **headers)).status == 403


def test_no_look_alike_gets_through(there: There) -> None:
    for origin in LOOK_ALIKES:
        headers = _aimed(there, {"origin": origin})
        assert raw(there, request(there, GET, **headers)).status == 403, origin
        assert raw(there, upgrade(there, **headers)).status == 403, origin


def test_a_handshake_without_a_token_is_refused(there: There) -> None:
    assert raw(there, upgrade(there, authorization="Bearer x")).status == 401


@pytest.mark.parametrize("target", CLIMBING)
def test_no_path_climbs(there: There, target: str) -> None:
    """By the guard, or by the parser before it; nothing is answered with anything but a no."""
    if target.startswith("http://"):
        pytest.skip("a target with a scheme is a path to this parser; the next test has it")
    line = f"GET {target} HTTP/1.1\r\n"
    assert raw(there, request(there, line)).status in (400, 404)


def test_a_target_with_another_host_does_not_change_the_host(there: There) -> None:
    line = "GET http://attacker.example/api/v1/sessions HTTP/1.1\r\n"
    assert raw(there, request(there, line, host="attacker.example")).status == 403


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT attacker.example:80 HTTP/1.1\r\nhost: attacker.example\r\n\r\n",
    ],
)
def test_what_is_no_request_to_us_gets_nothing(there: There, data: bytes) -> None:
    with socket.create_connection(_address(there), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        got = bytearray()
        while piece := connection.recv(65536):
            got += piece
    answered = Answered(bytes(got))
    assert answered.status in (0, 400, 403, 405)
    if answered.status == 400:
        assert b"content-type: application/problem+json" in answered.raw


def test_a_body_in_two_readings_is_refused(there: There) -> None:
    """Content-Length and Transfer-Encoding at once: whoever stands in front may read the other."""
    data = request(
        there, "POST /api/v1/sessions HTTP/1.1\r\n", content_length="4", transfer_encoding="chunked"
    )
    assert raw(there, data + b"0\r\n\r\n").status == 400


# --- bombs ---------------------------------------------------------------------------------


def _pieces(piece: bytes, count: int) -> Iterator[bytes]:
    return iter([piece] * count)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\nx-a: ", b"a" * 10_000),
        (b"GET / HTTP/1.1\r\n", b"x-a: b\r\n" * 1_000),
        (b"", b"\r\n" * 5_000),
    ],
    ids=["target", "header", "headers", "nothing"],
)
def test_headers_have_an_end(
    there: There, monkeypatch: pytest.MonkeyPatch, start: bytes, piece: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100_000):
            sent += len(piece)
            yield piece

    assert raw(there, start, more=endless()).status in (0, 400)
    assert sent < 64_000_000, "the server took as much as it was sent"


def test_headers_that_come_at_once_are_bounded_too(there: There) -> None:
    for length, status in ((30_000, 200), (120_000, 400)):
        start = request(there, GET, x_long="x" * length)
        answer = raw(there, start)
        assert answer.status == status
    assert b"The headers are longer than 65536 bytes." in answer.raw
    assert (
        raw(there, request(there, GET.replace(" HTTP", "?" + "x" * 66_000 + " HTTP"))).status == 400
    )


def test_whoever_says_nothing_is_let_go(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    for start in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: a"):
        assert raw(there, start).raw == b""


def test_the_bounds_hold_for_the_second_request_of_a_connection_too(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = request(there, GET, connection="keep-alive")
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    assert raw(there, first + b"GET / HT").raw.count(b"HTTP/1.1 ") == 1
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 20.0)
    with socket.create_connection(_address(there), timeout=20) as connection:
        connection.sendall(first)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(20_000):
                connection.sendall(b"\r\n" * 5_000)
            pytest.fail("the server took as much as it was sent")


def test_many_requests_on_one_connection_are_answered(there: There) -> None:
    with there.client() as client:
        for _ in range(50):
            reply = client.post("/api/v1/sessions", json={"title": "x" * 3000, "config": {}})
            assert reply.status_code in (201, 422)


def test_a_large_body_is_no_large_header(there: There) -> None:
    message = {"role": "user", "content": "x" * 1_000_000}
    with there.client() as client:
        made = client.post("/api/v1/sessions", json={}).json()["id"]
        reply = client.post(f"/api/v1/sessions/{made}/entries", json={"messages": [message]})
    assert reply.status_code == 201


def test_a_body_that_never_ends_is_cut_off() -> None:
    with (
        clew.open("sqlite:///:memory:") as ledger,
        serving(ledger, body_bytes_max=100_000) as there,
    ):
        head = request(there, "POST /api/v1/sessions HTTP/1.1\r\n", transfer_encoding="chunked")
        chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
        assert raw(there, head, more=_pieces(chunk, 200)).status == 413
        head = request(there, "POST /api/v1/sessions HTTP/1.1\r\n", content_length="100001")
        assert raw(there, head).status == 413


def test_json_nested_without_end_is_refused(there: There) -> None:
    """`json` fails at a depth of 1,001, SQLite above 1,000: nothing deeper than 200 comes in."""
    for depth, status in ((150, 201), (201, 422), (100_000, 422)):
        text = '{"title":"x","config":{"a":' + "[" * depth + "]" * depth + "}}"
        headers = {"content-type": "application/json"}
        with there.client() as client:
            reply = client.post("/api/v1/sessions", content=text, headers=headers)
        assert reply.status_code == status, depth


# --- names that are no paths ---------------------------------------------------------------

HOSTILE_NAMES = [
    "../x",
    "..",
    ".hidden",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "C:\\x",
    "\\\\host\\share",
    "x\0",
    "x\n",
    "%2e%2e%2fx",
    "",
    "x" * 200,
]


def test_a_backup_goes_into_its_folder_only(tmp_path: Any) -> None:
    """CVE-2023-1177 (MLflow), GHSA-qrm5-r67f-6692 (LibreChat): a caller's name as a path."""
    folder = tmp_path / "backups"
    folder.mkdir()
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with clew.open(url) as ledger, serving(ledger, backups=folder) as there:
        with there.client() as client:
            for name in HOSTILE_NAMES:
                reply = client.post("/api/v1/backups", json={"name": name})
                assert reply.status_code == 422, name
            assert client.post("/api/v1/backups", json={"name": "copy.db"}).status_code == 201
        made = [path for path in tmp_path.rglob("*") if not path.name.startswith("ledger.db")]
        assert sorted(made) == [folder, folder / "copy.db"]


HOSTILE_KEYS = ["__proto__", "__class__", "constructor.prototype", "a" * 900, "." * 900, "$where"]


def test_hostile_keys_are_just_keys(there: There) -> None:
    """CVE-2025-67644 (LangGraph): SQL by the name of a filter; Langfuse: keys as object paths."""
    keys = [*HOSTILE_KEYS, "x' or 1=1 --", 'x"; drop table entry; --', "a/b", "%25", "ключ"]
    with there.client() as client:
        made = client.post("/api/v1/sessions", json={}).json()["id"]
        base = f"/api/v1/sessions/{made}/config"
        for key in keys:
            value = {"value": {key: key}}
            assert client.put(f"{base}/{quote(key, safe='')}", json=value).status_code == 200, key
        assert client.get(base).json()["config"] == {key: {key: key} for key in keys}
        for query in ("agent=' or 1=1 --", "frontend=%27"):
            assert client.get(f"/api/v1/sessions?{query}").json()["items"] == []
        status = "status=x' or '1'='1"
        for query in (status, "order=1", "where=1", "limit=1%3Bdrop", "limit=0", "limit=99999"):
            assert client.get(f"/api/v1/sessions?{query}").status_code == 422, query


HOSTILE_SEARCHES = [
    "x' or '1'='1",
    "session:*",
    'a"b',
    "*",
    "NEAR(a b, 99999)",
    "{a b}: x",
    "a AND NOT",
    "((((((((((",
    "col:val",
    "-",
    "\x00",
    "%" * 100,
    "a" * 4000,
    "NOT " * 500 + "a",
]


@pytest.mark.parametrize("text", HOSTILE_SEARCHES)
def test_a_search_finds_or_is_refused(there: There, text: str) -> None:
    """Datasette 0.65.3: SQL identifiers in a search."""
    with there.client() as client:
        assert client.get("/api/v1/search", params={"q": text}).status_code in (200, 422)


HOSTILE_IDS = ["..", "*", "%", "0" * 4, "' or ''='", "f" * 10_000, "0" * 32, "null", "-1", "{}"]


def test_a_hostile_id_is_found_nowhere(there: There) -> None:
    """entireio/cli #1365: an id from the data became a path."""
    with there.client() as client:
        for id in HOSTILE_IDS:
            for path in ("/api/v1/sessions/{}", "/api/v1/sessions/{}/history", "/api/v1/tokens/{}"):
                method = "DELETE" if "tokens" in path else "GET"
                line = f"{method} {path.format(quote(id, safe=''))} HTTP/1.1\r\n"
                answered = raw(there, request(there, line))
                assert answered.status in (400, 404, 422), (id, path)
        assert client.get("/health").status_code == 200


def test_what_a_model_said_never_leaves_as_a_page(there: There) -> None:
    """Jupyter (nbconvert), CVE-2026-27740 (Discourse AI): stored text came back as HTML."""
    text = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    with there.client() as client:
        made = client.post("/api/v1/sessions", json={"title": text}).json()["id"]
        message = {"role": "assistant", "content": text}
        client.post(f"/api/v1/sessions/{made}/entries", json={"messages": [message]})
        for path in ("", "/history", "/entries", "/view", "/trajectory", "/x" + text):
            reply = client.get(f"/api/v1/sessions/{made}{path}")
            kind = reply.headers["content-type"].partition(";")[0]
            assert kind in ("application/json", "application/problem+json"), path
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert "script-src 'self'" in reply.headers["content-security-policy"]


def test_nobody_learns_from_an_error_what_is_stored(there: There) -> None:
    """A fault of ours is told by an id; a refusal never quotes the token."""
    with there.client(token="clew_0123456789abcdef_" + "s" * 43) as client:
        reply = client.get("/api/v1/sessions")
    assert reply.status_code == 401
    assert "sssss" not in reply.text
    assert json.loads(reply.text)["type"] == "urn:clew:problem:unauthorized"


def test_the_scope_of_a_token_is_asked_at_the_socket_too(there: There) -> None:
    ledger = there.running.server.ledger
    blind = ledger.create_token("blind", [Scope.IMPORT_RUN]).token
    with there.client(token=blind) as client:
        assert client.get("/api/v1/sessions").status_code == 403
    assert raw(there, upgrade(there, authorization=f"Bearer {blind}")).status == 403


def _attribute(key: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": key}}


def test_hostile_attributes_of_a_span_are_just_attributes(there: There) -> None:
    """Langfuse's OTLP receiver took the keys of attributes for paths into objects."""
    keys = [*HOSTILE_KEYS, "a." * 10_000 + "a", "__init__.__globals__", "0.1.2", ""]
    span = {
        "traceId": "6b8efff798038103d269b633813fc60c",
        "spanId": "fee19b7ec3c1b174",
        "name": "__proto__",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
        "attributes": [_attribute(key) for key in keys],
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    with there.client() as client:
        assert client.post("/v1/traces", json=body).status_code == 200
        (talk,) = client.get("/api/v1/sessions").json()["items"][:1]
        (kept,) = client.get(f"/api/v1/sessions/{talk['id']}/traces").json()["items"]
        path = f"/api/v1/sessions/{talk['id']}/traces/{kept['id']}"
        attributes = client.get(path).json()["attributes"]
    assert kept["name"] == "__proto__"
    assert {key: attributes[key] for key in HOSTILE_KEYS} == {key: key for key in HOSTILE_KEYS}


def test_a_place_to_go_back_to_is_no_path(there: There) -> None:
    """entireio/cli #1365: what a checkpoint said was where its files went."""
    places = ["../../.bashrc", "/etc/passwd", "..", "root/..", ":1", "1:", "a:1", "-1", "1e9", "\n"]
    with there.client() as client:
        made = client.post("/api/v1/sessions", json={}).json()["id"]
        for place in places:
            for path in ("restore", "branch"):
                reply = client.post(f"/api/v1/sessions/{made}/{path}", json={"at": place})
                assert reply.status_code in (404, 422), (path, place)


OWN_PIPES = {"worker.py", "ray.py", "ray_driver.py"}
"""An export hands its recipe, with the user's own functions, to processes that it started itself,
over pipes that nobody else has. What is stored never goes that way.
"""
REBUILDERS = {"pickle", "marshal", "shelve", "dill", "jsonpickle", "yaml", "eval", "exec"}


def test_nothing_here_rebuilds_objects_from_data() -> None:
    """CVE-2026-28277, CVE-2026-48775 (LangGraph): code ran when a checkpoint was read."""
    source = Path(clew.__file__).parent
    found = []
    pipes = {source / "exporting" / name for name in OWN_PIPES}
    assert all(file.exists() for file in pipes)
    for file in set(source.rglob("*.py")) - pipes:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0]}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = {node.func.id}
            else:
                continue
            found += [f"{file.name}:{node.lineno}" for name in names & REBUILDERS]
    assert found == []


# --- streams -------------------------------------------------------------------------------


def _live(there: There, token: str) -> ClientConnection:
    host, port = _address(there)
    return connect(
        f"ws://{host}:{port}/api/v1/live",
        subprotocols=[Subprotocol("clew.v1"), Subprotocol(f"clew.token.{token}")],
        proxy=None,
    )


def _subscribe(socket: ClientConnection, session: str) -> None:
    socket.send(json.dumps({"subscribe": {"session": session, "after": 0}}))


def _code(socket: ClientConnection) -> int:
    """What the server closes with, once it does."""
    try:
        while True:
            socket.recv(timeout=20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0


def test_a_revoked_token_loses_its_stream(there: There) -> None:
    """CVE-2026-40934 (Jupyter), on a socket that follows a session, and on its events."""
    ledger = there.running.server.ledger
    made = ledger.create_token("follower", [Scope.SESSION_READ, Scope.TRACE_READ])
    session = ledger.create()
    session.append({"role": "user", "content": "hello"})
    with _live(there, made.token) as socket, there.client(token=made.token) as client:
        assert socket.subprotocol == "clew.v1"
        _subscribe(socket, session.id)
        assert "following" in str(socket.recv(timeout=20))
        target = f"/api/v1/live/events?session={session.id}"
        with client.stream("GET", target) as events:
            assert events.status_code == 200
            ledger.revoke_token(made.info.id)
            assert _code(socket) == CLOSED_TOKEN_ENDED
            for _ in events.iter_bytes():  # comes to its end
                pass
    with pytest.raises(InvalidStatus) as refused, _live(there, made.token):
        pass
    assert refused.value.response.status_code == 401


def test_no_stream_shows_another_project(there: There) -> None:
    """CVE-2026-31950 (LibreChat): another's stream, by its id."""
    ledger = there.running.server.ledger
    theirs = ledger.create(project="theirs")
    theirs.append({"role": "user", "content": "quicksilver"})
    mine = ledger.create_token("mine", [Scope.SESSION_READ, Scope.TRACE_READ], project="mine")
    with _live(there, mine.token) as socket:
        _subscribe(socket, theirs.id)
        assert _code(socket) == 4404
    with _live(there, mine.token) as socket:
        socket.send(json.dumps({"subscribe": "all"}))
        assert theirs.id not in str(socket.recv(timeout=20))
        theirs.append({"role": "user", "content": "quicksilver"})
        own = ledger.create(project="mine")
        own.append({"role": "user", "content": "mine"})
        told = ""
        while own.id not in told:
            told = str(socket.recv(timeout=20))
            assert "quicksilver" not in told
    with there.client(token=mine.token) as client:
        reply = client.get(f"/api/v1/live/events?session={theirs.id}")
        assert reply.status_code == 404


def test_what_runs_is_told_only_to_whoever_may_read_traces(there: There) -> None:
    """Every frame needs `session:read`, a frame of a span `trace:read` too."""
    ledger = there.running.server.ledger
    session = ledger.create()
    kinds: dict[bool, set[str]] = {}
    for traces in (True, False):
        scopes = [Scope.SESSION_READ, *([Scope.TRACE_READ] if traces else [])]
        token = ledger.create_token("reader", scopes).token
        with _live(there, token) as socket:
            _subscribe(socket, session.id)
            span = session.start_span("tool", "look", input={})
            session.update_span(span.id, outcome="ok")
            last = session.append({"role": "user", "content": "done"})
            kinds[traces] = set()
            while True:
                frame = json.loads(socket.recv(timeout=20))
                kinds[traces].add(frame["type"])
                if frame["type"] == "entry" and frame["entry"]["seq"] == last.seq:
                    break
    assert {"tool_trace_start", "tool_trace_finish", "entry"} <= kinds[True]
    assert kinds[False] == {"following", "entry"}
    spans = {kind.__struct_config__.tag for kind in _below(frames.SpanFrame)}
    assert spans == frames.TRACES


def _below(kind: type[Any]) -> set[type[Any]]:
    return {each for one in kind.__subclasses__() for each in ({one} | _below(one))}


def test_a_stream_hears_so_much_and_no_more(there: There) -> None:
    with _live(there, there.token) as socket:
        with contextlib.suppress(ConnectionClosed):
            socket.send("x" * 2_000_000)
        assert _code(socket) == 1009
    with _live(there, there.token) as socket:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(1000):
                socket.send('{"unsubscribe":"all"}')
        assert _code(socket) == 4429
