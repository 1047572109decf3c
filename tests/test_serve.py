"""`clew serve` as a process: start, the token, signals, logs, addresses."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import clew
from clew.server.settings import ServerSettings, check_names

ROOT = Path(__file__).resolve().parent.parent
RUN = [sys.executable, "-c", "from clew.cli import main; main(prog_name='clew')"]
URL = re.compile(r"https?://\S+")
TOKEN = re.compile(r"clew_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")


class Served:
    """A server that runs as a process, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._told:
                self.lines.append(line)
                self._told.notify_all()

    def said(self, pattern: re.Pattern[str]) -> str:
        """The first match in what it says; waits for it."""

        def found() -> str | None:
            return next((match[0] for line in self.lines if (match := pattern.search(line))), None)

        with self._told:
            assert self._told.wait_for(found, 30), self.lines
            return str(found())

    def stop(self) -> int:
        """End it politely; gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._reader.join(30)
        return code

    @property
    def facts(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]


@contextmanager
def serve(db: Path, *words: str) -> Iterator[Served]:
    """`clew serve` on any free port, as long as the block lasts."""
    command = [*RUN, "--db", str(db), "serve", "--port", "0", *words]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), text=True
    )
    served = Served(process)
    try:
        yield served
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        assert process.stdout is not None
        assert process.stdout.read() == "", "standard output is for data"
        process.stdout.close()
        served._reader.join()
        assert process.stderr is not None
        process.stderr.close()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def _fails(db: Path, *words: str) -> str:
    """Start a server that cannot be; gives what it says."""
    command = [*RUN, "--db", str(db), "serve", *words]
    done = subprocess.run(
        command, env=_environment(), capture_output=True, check=False, timeout=60, text=True
    )
    assert done.returncode == 2, done.stderr
    return done.stderr


def _client(served: Served, token: str) -> httpx.Client:
    url = served.said(URL)
    headers = {"authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=30)


def test_the_token_is_shown_once_and_goes_on_opening(tmp_path: Path) -> None:
    db = tmp_path / "new" / "ledger.db"
    with serve(db) as served:
        token = served.said(TOKEN)
        with _client(served, token) as client:
            made = client.post("/api/v1/sessions", json={"title": "kept"})
            assert made.status_code == 201
        assert served.stop() == 0
    assert sum(token in line for line in served.lines) == 1
    assert token.encode() not in db.read_bytes(), "only its digest is kept"
    with serve(db) as served:
        with _client(served, token) as client:
            (info,) = client.get("/api/v1/sessions").json()["items"]
            assert info["title"] == "kept"
        assert served.stop() == 0
    assert not [line for line in served.lines if TOKEN.search(line)]
    with clew.open(db) as ledger:
        assert ledger.verify().ok


def test_who_has_no_token_is_told_how_to_get_one(tmp_path: Path) -> None:
    db = tmp_path / "ledger.db"
    with serve(db) as served:
        token = served.said(TOKEN)
        served.stop()
    with clew.open(db) as ledger:
        ledger.revoke_token(token.split("_")[1])
    with serve(db) as served:
        assert served.said(re.compile("clew token create"))
        with _client(served, token) as client:
            assert client.get("/api/v1/sessions").status_code == 401
        assert served.stop() == 0


PAGE = re.compile(r"https?://\S+/login#clew_\S+")
BROWSER = """#!{python}
import http.client, sys, urllib.parse
asked = urllib.parse.urlsplit(sys.argv[1])
for path in ("/elsewhere", asked.path, asked.path):
    line = http.client.HTTPConnection(asked.netloc, timeout=30)
    line.request("GET", path)
    answer = line.getresponse()
    told = answer.status, answer.getheader("location")
    with open({log!r}, "a") as log:
        print(*told, file=log)
    if told[1]:
        break
with open({log!r}, "a") as log:
    print("asked", sys.argv[1], file=log)
"""
"""A browser that writes down where it is led."""


def test_the_first_start_says_where_to_come_in(tmp_path: Path) -> None:
    with serve(tmp_path / "ledger.db") as served:
        url, token = served.said(URL), served.said(TOKEN)
        page = served.said(PAGE)
        assert page == f"{url}/login#{token}"
        with httpx.Client(base_url=url, timeout=30) as browser:
            assert "Access token" in browser.get("/login").text
            header = {"authorization": f"Bearer {page.partition('#')[2]}"}
            assert browser.post("/login", headers=header).status_code == 204
            assert browser.get("/", headers={"accept": "text/html"}).status_code == 200
        assert served.stop() == 0
    with serve(tmp_path / "ledger.db") as served:
        assert served.said(re.compile(r"page at http://127\.0\.0\.1:\d+/$"))
        assert served.stop() == 0


def test_the_browser_is_led_to_the_page_and_no_process_list_shows_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, browser = tmp_path / "log", tmp_path / "browser"
    browser.write_text(BROWSER.format(python=sys.executable, log=str(log)))
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with serve(tmp_path / "ledger.db", "--open") as served:
        page = served.said(PAGE)
        for _ in range(600):
            if log.exists() and "asked" in log.read_text():
                break
            threading.Event().wait(0.05)
        assert served.stop() == 0
    refused, led, asked = log.read_text().splitlines()
    assert refused == "404 None"
    assert led == f"303 {page}"
    assert "clew_" not in asked


def test_what_was_accepted_is_finished(tmp_path: Path) -> None:
    """A request whose head was taken before the signal is answered after it."""
    db = tmp_path / "ledger.db"
    with serve(db) as served:
        token = served.said(TOKEN)
        with _client(served, token) as client:
            id = client.post("/api/v1/sessions", json={}).json()["id"]
        body = json.dumps({"messages": [{"role": "user", "content": "the last word"}]}).encode()
        url = httpx.URL(served.said(URL))
        head = (
            f"POST /api/v1/sessions/{id}/entries HTTP/1.1\r\n"
            f"Host: {url.host}:{url.port}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        with socket.create_connection((url.host, url.port or 0), 30) as line:
            line.sendall(head.encode())
            assert line.recv(1000).startswith(b"HTTP/1.1 100 "), "it waits for the body"
            served.process.send_signal(signal.SIGTERM)
            assert _closes(url), "nobody else is taken"
            assert served.process.poll() is None
            line.sendall(body)
            answer = b""
            while piece := line.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert served.process.wait(30) == 0
    with clew.open(db) as ledger:
        assert [message.text for message in ledger.get(id).history()] == ["the last word"]


def _closes(url: httpx.URL) -> bool:
    """Wait until nobody listens there."""
    for _ in range(600):
        try:
            socket.create_connection((url.host, url.port or 0), 30).close()
        except ConnectionError:
            return True
        threading.Event().wait(0.05)
    return False


def test_acknowledged_is_stored_when_a_signal_comes(tmp_path: Path) -> None:
    """Many write while the server ends: what was answered is there, whatever else is."""
    db = tmp_path / "ledger.db"
    answered: list[str] = []
    with serve(db, "--log-level", "warning") as served:
        token = served.said(TOKEN)
        with _client(served, token) as client:
            ids = [client.post("/api/v1/sessions", json={}).json()["id"] for _ in range(4)]
        enough = threading.Event()

        def write(number: int) -> None:
            path = f"/api/v1/sessions/{ids[number % 4]}/entries"
            with _client(served, token) as client:
                for count in range(10_000):
                    said = f"{number}.{count}"
                    messages = {"messages": [{"role": "user", "content": said}]}
                    try:
                        answer = client.post(path, json=messages)
                    except httpx.TransportError:
                        return
                    assert answer.status_code == 201, answer.text
                    answered.append(said)
                    if len(answered) > 100:
                        enough.set()

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        assert served.stop() == 0
        for thread in threads:
            thread.join(60)
    with clew.open(db) as ledger:
        stored = {message.text for id in ids for message in ledger.get(id).history()}
        assert set(answered) <= stored
        assert ledger.verify().ok


def test_the_log_says_what_was_asked_and_nothing_of_what_was_said(tmp_path: Path) -> None:
    with serve(tmp_path / "ledger.db") as served:
        token = served.said(TOKEN)
        with _client(served, token) as client:
            made = client.post("/api/v1/sessions", json={"title": "quicksilver"})
            id = made.json()["id"]
            said = {"messages": [{"role": "user", "content": "quicksilver"}]}
            assert client.post(f"/api/v1/sessions/{id}/entries", json=said).status_code == 201
            client.get("/api/v1/search?q=quicksilver")
            client.get("/api/v1/quicksilver")
            client.get("/api/v1/sessions?quicksilver=1")
            client.get("/health")
            wrong = {"authorization": "Bearer clew_quicksilver"}
            client.get("/api/v1/sessions", headers=wrong)
        served.stop()
    log = [line for line in served.lines if line.startswith("{")]
    assert "quicksilver" not in "".join(log)
    assert id not in "".join(log)
    assert token not in "".join(log)
    requests = [fact for fact in served.facts if fact["event"] == "request"]
    append = next(fact for fact in requests if fact["route"].endswith("/entries"))
    assert append["route"] == "/api/v1/sessions/{session}/entries"
    assert (append["method"], append["status"]) == ("POST", 201)
    assert append["ms"] > 0
    assert append["bytes"] > 0
    assert append["token"] in token
    assert append["request"]
    assert [fact["status"] for fact in requests] == [201, 201, 200, 404, 422, 200]


def test_an_address_that_others_reach_needs_encryption(tmp_path: Path) -> None:
    db = tmp_path / "ledger.db"
    for host in ("0.0.0.0", "::", ""):
        told = _fails(db, "--port", "0", "--host", host)
        assert "--insecure-public" in told
    assert not db.exists(), "nothing was made before"
    with serve(db, "--host", "0.0.0.0", "--insecure-public") as served:
        assert served.said(URL).startswith("http://0.0.0.0:")
        assert served.stop() == 0


CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUGvsj5nyVmVk0O4m2ux8l8JcNOfswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTEyNDUwOVoYDzIxMjYxMDI4
MTI0NTA5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATeNw0rkT9mwnUn2oX7XG4tudT03MPpoLdxCZ3DKS/Rm1EyBT14nf8O
LcLi8UpWRZAd538J6iwAwD5BwdOvVdk1o28wbTAdBgNVHQ4EFgQUFe7UBePNzskR
aL/Vqfa3g082jGswHwYDVR0jBBgwFoAUFe7UBePNzskRaL/Vqfa3g082jGswDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhANMs+4/4gH6XjdyQoNPaikpueKjM/KlHKTiyER9cBMkRAiAY
K4p/ruB4TzyUW1W4fZ3aHfRwdrEjO/OOA9ZDc+QDKw==
-----END CERTIFICATE-----
"""
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgE+6YkEJ+tvsGFSzF
5JDT9Mk9JTFvSfJLFnSEFqbrQEChRANCAATeNw0rkT9mwnUn2oX7XG4tudT03MPp
oLdxCZ3DKS/Rm1EyBT14nf8OLcLi8UpWRZAd538J6iwAwD5BwdOvVdk1
-----END PRIVATE KEY-----
"""
"""Of nobody and nothing: made for this test, good for a hundred years."""
OTHER_KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKQKuKnix9QY81ks6
bbSvglygasX4ENgDKxiZDgXjee2hRANCAAS8sfKBLt8u8pDqts3EdLKMRVXjhz6F
lNy2iUZZCSYfmtbRWbRiHk+swFmoWJvWPkvR9a64ivqh4CtHOuB8dr6s
-----END PRIVATE KEY-----
"""
ENCRYPTED_KEY = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAj8I3ICZXUaOAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEC9sMmubHYg9aQ6DHyT17HYEgZAt
HqYgbkY8z5/ABqa/43oEMGzSRkh3qsRbV+yg+PhYQfN1asoaBDMx0AmDuGumhIaR
B8KhxPb4pauy149VomEW8NgwrsRvgOYcOO7FG86XqukhXZKLffVDTXnF1BCI/DPE
zMCTqywfwPvUl40x6KPzg4Y3ebBD7N245WUPOjJvZ3JLRbCb+iSyuk6R4fk+nkM=
-----END ENCRYPTED PRIVATE KEY-----
"""
"""The other key, with a password."""


def test_it_speaks_https(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text(CERTIFICATE)
    key.write_text(KEY)
    words = ("--tls-cert", str(cert), "--tls-key", str(key))
    with serve(tmp_path / "ledger.db", *words) as served:
        url = served.said(URL)
        assert url.startswith("https://")
        trusted = ssl.create_default_context(cadata=CERTIFICATE)
        headers = {"authorization": f"Bearer {served.said(TOKEN)}"}
        with httpx.Client(base_url=url, headers=headers, verify=trusted) as client:
            assert client.get("/api/v1/sessions").json()["items"] == []
        assert served.stop() == 0


@pytest.mark.parametrize(
    ("option", "wrong", "right"),
    [
        *(
            ("host", wrong, "ledger.example:8787")
            for wrong in ("http://x/", "*", "*.x", "x/", "a,b", "", "x:y", "a b")
        ),
        *(
            ("origin", wrong, "https://name")
            for wrong in (
                "foo",
                "*",
                "https://x/",
                "https://x/y",
                "https://x:443",
                "http://X:80",
                "",
            )
        ),
    ],
)
def test_names_that_nobody_can_bear_are_refused(option: str, wrong: str, right: str) -> None:
    given: dict[str, Any] = {f"{option}s": ("ok.example",) if option == "host" else ()}
    check_names(ServerSettings(**given))
    given[f"{option}s"] += (wrong,)
    with pytest.raises(clew.Invalid, match=re.escape(right)):
        check_names(ServerSettings(**given))


def test_names_that_can_be_asked_for_are_taken() -> None:
    check_names(
        ServerSettings(
            hosts=("x", "a_b.example:1", "10.0.0.5:8787", "[::1]:8787", "Ledger.Example"),
            origins=("https://x", "http://localhost:3000", "HTTPS://[::1]:8443"),
        )
    )


def test_words_that_do_not_go_together(tmp_path: Path) -> None:
    db = tmp_path / "ledger.db"
    assert "--allow-host '*'" in _fails(db, "--allow-host", "*")
    assert "--allow-origin 'foo'" in _fails(db, "--allow-origin", "foo")
    assert not db.exists(), "nothing was made before"
    file = tmp_path / "file.pem"
    file.write_text("no certificate")
    assert "--tls-key" in _fails(db, "--tls-cert", str(file))
    pair = ("--tls-cert", str(file), "--tls-key", str(file))
    assert f"{file} holds no certificate in PEM" in _fails(db, *pair)
    cert = tmp_path / "cert.pem"
    cert.write_text(CERTIFICATE)
    assert f"{file} holds no private key in PEM" in _fails(db, "--tls-cert", str(cert), *pair[2:])
    file.write_text(ENCRYPTED_KEY)
    told = _fails(db, "--tls-cert", str(cert), *pair[2:])
    assert f"{file} is encrypted" in told
    assert "pass phrase" not in told
    file.write_text(OTHER_KEY)
    assert "is not that of the certificate" in _fails(db, "--tls-cert", str(cert), *pair[2:])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = _fails(db, "--port", str(port))
        assert f"127.0.0.1:{port} cannot be listened at (Address already in use)" in told
        assert "{" not in told, "uvicorn's own words are kept out"
        assert "Traceback" not in told
