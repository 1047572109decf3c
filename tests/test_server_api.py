"""The JSON API, asked over real HTTP."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import clew
from clew.server.routes import ROUTES, Router
from server import There, serving

ROOT = "/api/v1"


def user(text: str) -> dict[str, Any]:
    """Somebody asks."""
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, Any]:
    """The model answers."""
    return {"role": "assistant", "content": text}


class Asker:
    """Asks a server, expects a status, gives the JSON; remembers which routes answered."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.answered: set[str] = set()
        self._router = Router(ROUTES)

    def __call__(
        self, method: str, path: str, body: Any = None, *, status: Any = 200, **query: Any
    ) -> Any:
        where = path if path.startswith(("/health", "/ready")) else ROOT + path
        answer = self.client.request(
            method, where, params=query or None, **({} if body is None else {"json": body})
        )
        assert answer.status_code == status, answer.text
        routes, _values = self._router.find(where)
        self.answered.add(routes[method][0].name)
        kind = answer.headers["content-type"]
        if kind == "application/json":
            return answer.json()
        if kind == "application/jsonl":
            return [json.loads(line) for line in answer.text.splitlines()]
        return answer.content

    def refused(self, method: str, path: str, status: int, name: str, **options: Any) -> str:
        """Expect a problem; gives its detail."""
        answer = self.client.request(method, ROOT + path, **options)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (status, f"urn:clew:problem:{name}")
        assert problem["status"] == status
        assert problem["request"] == answer.headers["x-request-id"]
        detail: str = problem["detail"]
        return detail

    def pages(self, path: str, limit: int, **query: Any) -> list[Any]:
        """Every item of a list, page by page."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = self("GET", path, limit=limit, **query, **cursor)
            assert len(page["items"]) <= limit
            found += page["items"]
            if page["next"] is None:
                return found
            assert page["items"], "a page that is empty has none behind it"
            cursor = {"cursor": page["next"]}

    def session(self, *messages: dict[str, Any]) -> str:
        """The path of a new session that holds these messages."""
        path = f"/sessions/{self('POST', '/sessions', {}, status=201)['id']}"
        if messages:
            self("POST", f"{path}/entries", {"messages": messages}, status=201)
        return path


@pytest.fixture
def there(ledger: clew.Ledger, tmp_path: Path) -> Iterator[There]:
    """A server over a ledger on each database."""
    with serving(ledger, backups=tmp_path) as there:
        yield there


@pytest.fixture
def ask(there: There) -> Iterator[Asker]:
    """On each database."""
    with there.client() as client:
        yield Asker(client)


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """One for all tests that need no other."""
    path = tmp_path_factory.mktemp("api") / "ledger.db"
    with clew.open(f"sqlite:///{path}", durability="normal") as ledger, serving(ledger) as there:
        yield there
        report = ledger.verify()
        assert report.ok, report.problems


@pytest.fixture
def one(one_server: There) -> Iterator[Asker]:
    """On SQLite, shared with the other tests."""
    with one_server.client() as client:
        yield Asker(client)


# --- every route -------------------------------------------------------------------------


ELSEWHERE = frozenset({"live", "otlp"})
"""What is no JSON API has tests of its own."""


@pytest.mark.inside
def test_every_route_answers(ask: Asker, ledger: clew.Ledger, tmp_path: Path) -> None:
    _about_and_sessions(ask)
    _what_was_said(ask)
    _pointers(ask)
    _what_runs(ask)
    _figures_and_care(ask, tmp_path)
    _imported(ask, ledger, tmp_path)
    names = {route.name for route in ROUTES}
    assert ask.answered == {name for name in names if name.partition(".")[0] not in ELSEWHERE}


def _about_and_sessions(ask: Asker) -> None:
    assert ask("GET", "/health") == {"status": "ok"}
    assert ask("GET", "/ready") == {"status": "ok"}
    assert ask("GET", "/openapi.json")["openapi"] == "3.1.0"
    assert ask("GET", "/me")["name"] == "test"
    made = ask("POST", "/sessions", {"title": "t", "config": {"a": 1}, "agent": "x"}, status=201)
    assert (made["title"], made["config"], made["agent"]) == ("t", {"a": 1}, "x")
    path = f"/sessions/{made['id']}"
    at = ask("POST", "/sessions/at", {"frontend": "cli", "user": "42"})
    assert ask("POST", "/sessions/at", {"frontend": "cli", "user": "42"})["id"] == at["id"]
    assert [s["id"] for s in ask("GET", "/sessions", frontend="cli")["items"]] == [at["id"]]
    assert ask("GET", path)["id"] == made["id"]
    assert ask("GET", f"{path}/head")["head"]["seq"] == 1
    assert ask("PUT", f"{path}/title", {"title": "new"})["kind"] == "label"
    assert ask("GET", path)["title"] == "new"
    assert ask("PUT", f"{path}/pinned", {"on": True})["pinned"]
    assert ask("PUT", f"{path}/archived", {"on": True})["status"] == "archived"
    ask.refused("POST", f"{path}/entries", 410, "stale", json={"messages": [user("x")]})
    assert ask("PUT", f"{path}/archived", {"on": False})["status"] == "open"
    assert ask("DELETE", path, dry_run="true")["dry_run"]
    assert ask("DELETE", path)["sessions"] == [made["id"]]
    ask.refused("POST", f"{path}/entries", 410, "stale", json={"messages": [user("x")]})


def _what_was_said(ask: Asker) -> None:
    path = ask.session(user("a"), bot("b"))
    log = ask("GET", f"{path}/entries")
    assert [entry["body"]["content"] for entry in log["items"]] == ["a", "b"]
    assert ask("GET", f"{path}/entries/2")["body"] == bot("b")
    texts = [message["parts"][0]["text"] for message in ask("GET", f"{path}/history")["items"]]
    assert texts == ["a", "b"]
    assert [entry["seq"] for entry in ask("GET", f"{path}/path")["items"]] == [1, 2]
    assert len(ask("GET", f"{path}/tail", count=1)["messages"]) == 1
    assert len(ask("GET", f"{path}/context")["messages"]) == 2
    view = ask("GET", f"{path}/view", provider="openai-chat")
    assert view["request"]["messages"] == [user("a"), bot("b")]
    call = {"type": "tool_use", "id": "t1", "name": "bash", "input": {}}
    lost = {"role": "assistant", "content": [call]}
    ask("POST", f"{path}/entries", {"messages": [lost]}, status=201)
    assert ask("POST", f"{path}/repair")["entry"]["kind"] == "repair"
    assert ask("POST", f"{path}/repair") == {"entry": None}
    assert ask("PUT", f"{path}/config/a%2Fb", {"value": [1]}) == {"config": {"a/b": [1]}}
    assert ask("GET", f"{path}/config/a%2Fb") == {"value": [1]}
    assert ask("GET", f"{path}/config") == {"config": {"a/b": [1]}}
    assert ask("DELETE", f"{path}/config/a%2Fb") == {"config": {}}
    ask.refused("GET", f"{path}/config/a%2Fb", 404, "not-found")
    ask.refused("DELETE", f"{path}/config/a%2Fb", 404, "not-found")


def _pointers(ask: Asker) -> None:
    path = ask.session(*(user(f"question {n}") if n % 2 else bot(f"answer {n}") for n in range(9)))
    plan = ask("POST", f"{path}/compaction/plan", {"keep_tokens": 10})
    assert plan["kept"] + len(plan["covered"]) == 9
    commit = {"summary": "so far", "keep_from": plan["first_kept"], "base": plan["base"]}
    made = ask("POST", f"{path}/compaction", commit, status=201)
    assert made["summary"] == "so far"
    here = ask("POST", f"{path}/checkpoints", {"label": "here"}, status=201)
    listed = ask("GET", f"{path}/checkpoints")["items"]
    assert [each["id"] for each in listed] == [here["id"], made["id"]]
    assert ask("GET", f"{path}/checkpoints/{here['id']}") == here
    diff = ask("GET", f"{path}/diff", a=made["id"], b=here["id"])
    assert diff["only_a"] == []
    assert ask("POST", f"{path}/undo")["action"] == "undo"
    assert ask("POST", f"{path}/restore", {"at": here["id"]})["action"] == "restore"
    assert ask("POST", f"{path}/branch", {"at": "3"}, status=201)["head"]["seq"] == 3
    assert ask("POST", f"{path}/branch", {}, status=201)["head"] == here["pre"]
    assert ask("POST", f"{path}/clear")["to"] is None
    assert ask("POST", f"{path}/reset", {"keep_config": False})["action"] == "reset"
    replaced = ask("POST", f"{path}/replace", {"messages": [user("anew")]})
    assert replaced["action"] == "replace"
    moves = [move["action"] for move in ask("GET", f"{path}/moves")["items"]]
    assert moves == ["replace", "reset", "clear", "restore", "undo"]
    there = ask("POST", f"{path}/transfer", {"frontend": "web", "user": "7"})
    assert (there["frontend"], there["user"]) == ("web", "7")


def _what_runs(ask: Asker) -> None:
    process = {"host": "elsewhere", "boot": "1", "pid": 7, "started": "1"}
    assert ask("PUT", "/owners/me", process)["id"] == "me"
    assert ask("DELETE", "/owners/me")["deleted"]
    ask.refused("DELETE", "/owners/nobody", 404, "not-found")
    path = ask.session(user("go"))
    started = {"kind": "tool", "name": "bash", "id": "s1", "input": {"a": 1}, "call_id": "c1"}
    (span,) = ask("POST", f"{path}/traces", {"spans": [started]}, status=201)["spans"]
    assert (span["status"], span["outcome"], span["turn"]) == ("running", None, 1)
    ended = ask("PATCH", f"{path}/traces/s1", {"outcome": "ok", "output": "done"})
    assert (ended["outcome"], ended["output"]) == ("ok", None)
    assert ask("GET", f"{path}/traces/s1")["output"] == "done"
    assert ask("GET", f"{path}/traces/@{span['sequence']}")["input"] == {"a": 1}
    assert [each["id"] for each in ask("GET", f"{path}/traces")["items"]] == ["s1"]
    assert ask("GET", f"{path}/traces/tree")["count"] == 1
    kept = ask("PUT", f"{path}/snapshot", {"state": {"n": 1}, "expected_version": None})
    assert ask("GET", f"{path}/snapshot") == {"snapshot": kept}
    again = {"state": {"n": 2}, "expected_version": None}
    ask.refused("PUT", f"{path}/snapshot", 409, "conflict", json=again)
    assert ask("GET", f"{path}/snapshots")["items"] == [kept]
    assert ask("DELETE", f"{path}/snapshot") == {"deleted": True}
    assert ask("DELETE", f"{path}/snapshot") == {"deleted": False}
    assert ask("GET", f"{path}/snapshot") == {"snapshot": None}
    assert ask("POST", f"{path}/resume")["calls"] == []
    lease = ask("POST", f"{path}/lease", {"holder": "me", "seconds": 60})
    said = {"messages": [user("x")]}
    ask.refused("POST", f"{path}/entries", 409, "leased", json=said)
    held = {"clew-lease": str(lease["token"])}
    ask.client.headers.update(held)
    ask("POST", f"{path}/entries", said, status=201)
    longer = {"holder": "me", "seconds": 60, "token": lease["token"]}
    assert ask("POST", f"{path}/lease", longer) == lease
    ask("DELETE", f"{path}/lease")
    del ask.client.headers["clew-lease"]
    ask("POST", f"{path}/entries", said, status=201)


def _figures_and_care(ask: Asker, folder: Path) -> None:
    ask.session(user("a zebra in the room"))
    found = ask("GET", "/search", q="zebra")
    assert [hit["snippet"] for hit in found["items"]] == ["a zebra in the room"]
    assert found["index"] == "current"
    assert ask("GET", "/audit", action="create", limit=1)["items"][0]["actor"] == "test"
    assert ask("GET", "/stats")["entries"] > 0
    assert ask("GET", "/usage") == {"items": [], "next": None}
    assert "default" in ask("GET", "/projects")["items"]
    assert any(row["messages"] for row in ask("GET", "/trajectories"))
    assert ask("GET", "/trajectories/count")["counts"]["rows"] > 0
    path = ask.session(user("row"))
    assert ask("GET", f"{path}/trajectory")["messages"][0]["content"] == "row"
    assert ask("GET", f"{path}/sources") == {"items": [], "next": None}
    assert ask("PUT", "/projects/default/retention", {"max_age_days": 9.5})["max_age_days"] == 9.5
    assert ask("POST", "/gc", {})["dry_run"]
    assert ask("POST", "/reindex")["count"] > 0
    assert ask("POST", "/index") == {"count": 0}
    assert ask("POST", "/sweep") == {"count": 0}
    assert ask("POST", "/sync") == {"status": "ok"}
    made = ask("POST", "/tokens", {"name": "t", "scopes": ["session:read"]}, status=201)
    assert [t["id"] for t in ask("GET", "/tokens")["items"]].count(made["info"]["id"]) == 1
    assert ask("DELETE", f"/tokens/{made['info']['id']}")["revoked_ms"] is not None
    kept = ask("POST", "/backups", {"name": "copy.db"}, status=201)
    assert (folder / "copy.db").stat().st_size == kept["bytes"]
    ask.refused("POST", "/backups", 422, "invalid", json={"name": "../copy.db"})
    assert ask("POST", "/verify", {})["problems"] == []


def _imported(ask: Asker, ledger: clew.Ledger, folder: Path) -> None:
    line = {
        "type": "user",
        "uuid": "u1",
        "parentUuid": None,
        "sessionId": "s1",
        "timestamp": "2026-01-01T00:00:00Z",
        "message": user("an old one"),
    }
    file = folder / "projects" / "-p" / "s1.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(line) + "\n")
    ledger.import_from(folder / "projects")
    (info,) = [s for s in ask("GET", "/sessions")["items"] if s["imported_from"]]
    path = f"/sessions/{info['id']}"
    (source,) = ask("GET", f"{path}/sources")["items"]
    assert ask("GET", f"{path}/sources/{source['number']}") == file.read_bytes()
    ask.refused("GET", f"{path}/sources/2", 404, "not-found")


# --- lists -------------------------------------------------------------------------------


def test_lists_come_in_pages(one: Asker) -> None:
    path = one.session(*(user(f"m{n}") for n in range(7)))
    entries = one.pages(f"{path}/entries", 3)
    assert [entry["seq"] for entry in entries] == list(range(1, 8))
    assert one("GET", f"{path}/entries", after=5, limit=1)["items"] == entries[5:6]
    marks = [
        one("POST", f"{path}/checkpoints", {"label": str(n)}, status=201)["id"] for n in range(5)
    ]
    assert [each["id"] for each in one.pages(f"{path}/checkpoints", 2)] == marks[::-1]
    for n in (3, 2, 4, 1):
        one("POST", f"{path}/restore", {"at": str(n)})
    assert [move["number"] for move in one.pages(f"{path}/moves", 2)] == [4, 3, 2, 1]
    spans = [{"kind": "tool", "name": "bash", "id": f"{path}{n}"} for n in range(5)]
    one("POST", f"{path}/traces", {"spans": spans}, status=201)
    ids = [span["id"] for span in one.pages(f"{path}/traces", 2)]
    assert ids == [span["id"] for span in spans]
    states = [one("PUT", f"{path}/snapshot", {"state": n + 1})["version"] for n in range(5)]
    assert [each["version"] for each in one.pages(f"{path}/snapshots", 2)] == states[::-1]


def test_sessions_come_in_pages(one: Asker) -> None:
    made = {one("POST", "/sessions", {"agent": "paged"}, status=201)["id"] for _ in range(7)}
    found = one.pages("/sessions", 3, agent="paged")
    assert {info["id"] for info in found} == made
    times = [info["updated_ms"] for info in found]
    assert len(found) == 7
    assert times == sorted(times, reverse=True)


@pytest.mark.inside
def test_the_audit_log_comes_in_pages(ask: Asker) -> None:
    paths = [ask.session() for _ in range(4)]
    for path in paths:
        ask("PUT", f"{path}/config/a", {"value": 1})
    once = ask("GET", "/audit", limit=1000)["items"]
    places = [(record["session"], record["project"], record["number"]) for record in once]
    assert len(once) >= 9
    for limit in (1, 2, 5):
        paged = ask.pages("/audit", limit)
        assert [(r["session"], r["project"], r["number"]) for r in paged] == places
    id = paths[0].rpartition("/")[2]
    assert [r["number"] for r in ask.pages("/audit", 1, session=id)] == [2, 1]


@pytest.mark.inside
def test_history_comes_in_pages(ask: Asker) -> None:
    """Along a path over branches, each message once, pieces of one message in one."""
    path = ask.session(*(user(f"m{n}") for n in range(10)))
    branch = ask("POST", f"{path}/branch", {"at": "6"}, status=201)["id"]
    path = f"/sessions/{branch}"
    piece = {"role": "assistant", "id": "msg_1", "type": "message", "model": "m"}
    for n in range(3):
        said = {**piece, "content": [{"type": "text", "text": f"piece {n}"}]}
        ask("POST", f"{path}/entries", {"messages": [said]}, status=201)
    ask("POST", f"{path}/entries", {"messages": [user("end")]}, status=201)
    whole = ask("GET", f"{path}/history", limit=1000)["items"]
    assert [len(message["at"]) for message in whole] == [1] * 6 + [3, 1]
    for limit in (1, 2, 3, 7):
        assert ask.pages(f"{path}/history", limit) == whole
    first = ask("GET", f"{path}/history", limit=5)
    ask("POST", f"{path}/clear")
    rest = ask("GET", f"{path}/history", limit=50, cursor=first["next"])["items"]
    assert first["items"] + rest == whole, "a page goes on along the path of the first"
    assert ask("GET", f"{path}/history")["items"] == []


def test_history_far_apart(one: Asker) -> None:
    path = one.session(*(user(f"m{n}") for n in range(500)))
    found = one.pages(f"{path}/history", 99)
    assert [message["at"][0]["seq"] for message in found] == list(range(1, 501))
    for list_ in ("entries", "path"):
        for limit in (99, 100, 500, 1000):
            log = one.pages(f"{path}/{list_}", limit)
            assert [entry["seq"] for entry in log] == list(range(1, 501))


def test_big_entries_make_a_page_end_early(one: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.server.api.entries.PAGE_BYTES", 5000)
    path = one.session(*(user("x" * 2000) for _ in range(4)), user("y" * 9000), user("z"))
    for list_ in ("entries", "path"):
        page = one("GET", f"{path}/{list_}", limit=1000)
        assert [entry["seq"] for entry in page["items"]] == [1, 2]
        assert [entry["seq"] for entry in one.pages(f"{path}/{list_}", 1000)] == [1, 2, 3, 4, 5, 6]


def test_a_search_comes_in_pages(one: Asker) -> None:
    one.session(*(user(f"okapi number {n}") for n in range(7)))
    whole = one("GET", "/search", q="okapi", limit=100)["items"]
    assert len(whole) == 7
    assert one.pages("/search", 3, q="okapi") == whole


def test_a_foreign_cursor_is_refused(one: Asker) -> None:
    path = one.session(user("a"))
    for list_ in ("/sessions", f"{path}/entries", f"{path}/history", "/audit", f"{path}/traces"):
        for cursor in ("x", "bnVsbA", "WyJhIl0", "%C3%A9", "a" * 999):
            detail = one.refused("GET", f"{list_}?cursor={cursor}", 422, "invalid")
            assert "query.cursor" in detail
        one.refused("GET", f"{list_}?limit=0", 422, "invalid")
        one.refused("GET", f"{list_}?limit=1001", 422, "invalid")


def test_a_cursor_stays_in_its_project(one_server: There, one: Asker) -> None:
    """A history's cursor names places: it opens none that the token does not see."""
    theirs = one("POST", "/sessions", {"project": "theirs"}, status=201)["id"]
    said = {"messages": [user("secret"), user("more")]}
    one("POST", f"/sessions/{theirs}/entries", said, status=201)
    cursor = one("GET", f"/sessions/{theirs}/history", limit=1)["next"]
    ours = {"name": "ours", "scopes": ["session:read", "session:append"], "project": "ours"}
    token = one("POST", "/tokens", ours, status=201)["token"]
    with one_server.client(token) as client:
        ask = Asker(client)
        mine = ask.session(user("a"))
        ask.refused("GET", f"{mine}/history?cursor={cursor}", 404, "not-found")
        ask.refused("GET", f"/sessions/{theirs}/history", 404, "not-found")


# --- appending ---------------------------------------------------------------------------


@pytest.mark.inside
def test_bytes_are_kept(ask: Asker) -> None:
    path = ask.session()
    text = '{ "role":"user",  "content":"\\u00e9 \u00e9", "n": 1e5, "n": 2 }'
    body = '{"messages": [ ' + text + " ]}"
    headers = {"content-type": "application/json; charset=utf-8"}
    url = f"{ROOT}{path}/entries"
    assert ask.client.post(url, content=body.encode(), headers=headers).status_code == 201
    half = b' {"role":"user","content":"\\ud83d"}\n'
    encoded = {"messages_base64": [base64.b64encode(half).decode()]}
    ask("POST", f"{path}/entries", encoded, status=201)
    answer = ask.client.get(f"{url}/1")
    assert text.encode() in answer.content
    odd = ask("GET", f"{path}/entries/2")
    assert base64.b64decode(odd["body_base64"]) == half
    assert "body" not in odd


def test_head_says_what_get_would_without_the_body(one: Asker) -> None:
    path = one.session(user("a"))
    for at in ("/health", ROOT + path, f"{ROOT}{path}/entries", f"{ROOT}{path}/traces/nope"):
        got, head = one.client.get(at), one.client.head(at)
        assert (head.status_code, head.content) == (got.status_code, b"")
        for name in ("content-type", "content-length", "cache-control"):
            assert head.headers[name] == got.headers[name]
    for at in ("/live/events", "/trajectories"):
        head = one.client.head(ROOT + at)
        assert (head.status_code, head.content) == (200, b"")
        assert "content-length" not in head.headers
    assert one.client.head(f"{ROOT}{path}/undo").status_code == 405


def test_a_websocket_asked_for_as_a_page_says_what_it_is(one: Asker) -> None:
    answer = one.client.get(f"{ROOT}/live")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert "wss://" in answer.json()["detail"]


def test_a_scope_that_lacks_is_named_as_one_writes_it(one: Asker) -> None:
    made = one("POST", "/tokens", {"name": "few", "scopes": ["session:read"]}, status=201)
    headers = {"authorization": f"Bearer {made['token']}"}
    told = one.refused("GET", "/usage", 403, "forbidden", headers=headers)
    assert "lacks the scope 'trace:read'" in told


@pytest.mark.inside
def test_a_key_may_stand_in_the_header(ask: Asker) -> None:
    path = ask.session()
    url = f"{path}/entries"
    said, key = {"messages": [user("a")]}, {"idempotency-key": "k1"}
    first, again = (ask.client.post(ROOT + url, json=said, headers=key) for _ in range(2))
    assert (first.status_code, first.json()) == (201, again.json())
    in_body = {**said, "idempotency_key": "k1"}
    assert ask("POST", url, in_body, status=201) == first.json()
    assert ask.client.post(ROOT + url, json=in_body, headers=key).json() == first.json()
    for wrong in ("k2", "", "x" * 1001):
        headers = {"idempotency-key": wrong}
        told = ask.refused("POST", url, 422, "invalid", json=in_body, headers=headers)
        assert told.startswith("Idempotency-Key: ")


@pytest.mark.inside
def test_a_filter_by_what_there_is_not_is_refused(ask: Asker) -> None:
    path = ask.session()
    for at in ("/sessions?status=bad", f"{path}/traces?kind=zz", f"{path}/traces?outcome=zz"):
        assert at.rpartition("=")[2] in ask.refused("GET", at, 422, "invalid")


@pytest.mark.inside
def test_half_a_character_is_kept_as_it_came(ask: Asker) -> None:
    path = ask.session()
    half = '{"role":"user",  "content":"\\uD83d \\\\ud800 \\ud83d\\ude00 \ue000 \\n"}'
    for verb, url in (("POST", f"{path}/entries"), ("POST", f"{path}/replace")):
        body = '{"messages": [{"role":"user","content":"a"}, ' + half + "]}"
        answer = ask.client.request(verb, ROOT + url, content=body.encode(), headers=JSON_TYPE)
        assert answer.status_code in (200, 201), answer.text
        kept = ask("GET", f"{path}/path")["items"][-1]
        assert base64.b64decode(kept["body_base64"]) == half.encode()


@pytest.mark.inside
def test_half_a_character_elsewhere_is_named(ask: Asker) -> None:
    path = ask.session()
    for verb, url, body, where in (
        ("PUT", "/title", '{"title": "a\\ud800"}', "body.title"),
        ("PUT", "/config/k", '{"value": {"a": ["\\udc00"]}}', "body.value.a[0]"),
        ("PUT", "/config/k", '{"value": {"\\udc00": 1}}', "body.value"),
    ):
        sent = {"content": body.encode(), "headers": JSON_TYPE}
        told = ask.refused(verb, path + url, 422, "invalid", **sent)
        assert f"`{where}` holds half a character" in told
    cut = {"content": b'{"messages": [{"role":"user","content":"\\ud800', "headers": JSON_TYPE}
    assert "no JSON" in ask.refused("POST", f"{path}/entries", 400, "malformed", **cut)


def test_a_bad_message_among_others_is_numbered(one: Asker) -> None:
    path = one.session()
    said = {"messages": [user("a"), user("b"), {"role": "zzz", "content": "c"}]}
    for url in ("/entries", "/replace"):
        told = one.refused("POST", path + url, 422, "invalid", json=said)
        assert told.startswith("messages[2]: unknown role 'zzz'")


@pytest.mark.inside
def test_expectations_and_keys(ask: Asker) -> None:
    path = ask.session()
    id = path.rpartition("/")[2]
    first = {"messages": [user("a")], "expected_head": None, "idempotency_key": "k"}
    added = ask("POST", f"{path}/entries", first, status=201)
    assert ask("POST", f"{path}/entries", first, status=201) == added
    again = ask.client.post(f"{ROOT}{path}/entries", json={**first, "idempotency_key": None})
    problem = again.json()
    assert problem["type"] == "urn:clew:problem:conflict"
    assert problem["head"] == {"session": id, "seq": 1}
    assert [entry["body"] for entry in problem["missed"]] == [user("a")]
    for head in (added["head"], f"{id}:1", "1"):
        said = {"messages": [user("b")], "expected_head": head}
        ask("POST", f"{path}/entries", said, status=201)
        ask("POST", f"{path}/undo")
    other = {"messages": [user("b")], "idempotency_key": "k"}
    ask.refused("POST", f"{path}/entries", 409, "conflict", json=other)


def test_what_is_no_message_is_refused(one: Asker) -> None:
    path = one.session()
    url = f"{path}/entries"
    both = {"messages": [user("a")], "messages_base64": ["e30="]}
    nothing: tuple[dict[str, Any], ...] = ({}, {"messages": []}, both)
    for body in nothing:
        one.refused("POST", url, 422, "invalid", json=body)
    two = {"messages": [user("a"), user("b")], "time_ms": 1}
    assert "time_ms" in one.refused("POST", url, 422, "invalid", json=two)
    for wrong in ([1], ["x"], [{"no": "role"}], [None]):
        one.refused("POST", url, 422, "invalid", json={"messages": wrong})
    detail = one.refused("POST", url, 422, "invalid", json={"messages": "x"})
    assert "body.messages" in detail
    assert "typo" in one.refused("POST", url, 422, "invalid", json={"typo": 1})
    assert one("GET", f"{path}/head") == {"head": None, "sequence": 0}, "nothing was added"


# --- what is no request ------------------------------------------------------------------

JSON_TYPE = {"content-type": "application/json"}


def test_bodies_that_are_none(one: Asker) -> None:
    path = one.session()
    url = f"{path}/entries"
    for content in (b"{", b"\xff", b'{"messages": [}', b"{} 2"):
        one.refused("POST", url, 400, "malformed", content=content, headers=JSON_TYPE)
    deep = b'{"messages": [' + b"[" * 300 + b"]" * 300 + b"]}"
    detail = one.refused("POST", url, 422, "invalid", content=deep, headers=JSON_TYPE)
    assert "deeper than 200" in detail
    deeper = deep.replace(b"[" * 300, b"[" * 100_000)
    one.refused("POST", url, 422, "invalid", content=deeper, headers=JSON_TYPE)
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"content-type": kind}
        one.refused("POST", url, 415, "unsupported-media-type", content=b"{}", headers=headers)
    one.refused("POST", f"{path}/undo", 422, "invalid", json={"a": 1})
    one.refused("GET", f"{path}/head?a=1", 422, "invalid")


def test_queries_that_are_none(one: Asker) -> None:
    for query, field in (
        ("limit=x", "query.limit"),
        ("limit=1&limit=2", "query.limit"),
        ("since_ms=null", "query.since_ms"),
        ("spawned=maybe", "query.spawned"),
        ("typo=1", "typo"),
    ):
        assert field in one.refused("GET", f"/sessions?{query}", 422, "invalid")
    one.refused("GET", "/search", 422, "invalid")
    one.refused("GET", "/sessions?" + "a&" * 200, 400, "malformed")
    kinds = one("GET", "/search", q="okapi", kind=["user", "assistant"])
    assert kinds["items"] is not None


def test_paths_and_methods_that_are_none(one: Asker) -> None:
    one.refused("GET", "/nothing", 404, "not-found")
    one.refused("GET", "/sessions/", 404, "not-found")
    one.refused("GET", "/sessions/zz", 422, "invalid")
    one.refused("GET", "/sessions/" + "0" * 32, 404, "not-found")
    path = one.session(user("a"))
    for at in ("0", "2", "x", "9" * 30, "zz:1", f"{'0' * 32}:1"):
        one.refused("GET", f"{path}/entries/{at}", 404, "not-found")
    one.refused("GET", f"{path}/traces/@99", 404, "not-found")
    one.refused("GET", f"{path}/traces/@x", 404, "not-found")
    one.refused("GET", f"{path}/traces/nope", 404, "not-found")
    one.refused("PATCH", f"{path}/traces/nope", 404, "not-found", json={"outcome": "ok"})
    answer = one.client.put(f"{ROOT}/sessions")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"
    held = {"clew-lease": "x"}
    one.refused("POST", f"{path}/undo", 400, "malformed", headers=held)
    one.refused("DELETE", f"{path}/lease", 422, "invalid")


@pytest.mark.inside
def test_a_body_over_the_limit(ledger: clew.Ledger) -> None:
    with serving(ledger, body_bytes_max=1000) as there, there.client() as client:
        ask = Asker(client)
        path = ask.session()
        big = {"messages": [user("x" * 1000)]}
        ask.refused("POST", f"{path}/entries", 413, "too-large", json=big)

        def pieces() -> Iterator[bytes]:
            yield b'{"messages": ["'
            for _ in range(20):
                yield b"x" * 100

        url = f"{path}/entries"
        ask.refused("POST", url, 413, "too-large", content=pieces(), headers=JSON_TYPE)
        ask("POST", url, {"messages": [user("x")]}, status=201)


def test_a_body_that_does_not_come(
    one_server: There, one: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clew.server.call.PIECE_SECONDS", 0.2)
    path = one.session()

    def pieces() -> Iterator[bytes]:
        yield b"{"
        threading.Event().wait(5)

    url = f"{path}/entries"
    detail = one.refused("POST", url, 400, "malformed", content=pieces(), headers=JSON_TYPE)
    assert "nothing of the body came" in detail


# --- spans as columns --------------------------------------------------------------------


def _rows(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that a tree's columns hold, as its docstring says."""
    columns: dict[str, list[Any]] = dict(tree["columns"])
    for name in tree["deltas"]:
        if name in columns:
            total = 0
            values = []
            for step in columns[name]:
                total += step
                values.append(total)
            columns[name] = values
    for name, texts in tree["texts"].items():
        columns[name] = [texts[place] for place in columns[name]]
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    for number, row in enumerate(rows):
        row["parent"] = rows[number - row["parent"]]["id"] if row["parent"] else None
    return rows


@pytest.mark.inside
def test_the_tree_holds_what_the_list_holds(ask: Asker) -> None:
    path = ask.session(user("go"))
    spans = [
        {"kind": "tool", "name": "late child", "id": "c0", "parent": "t"},
        {"kind": "turn", "name": "turn", "id": "t"},
        *(
            {"kind": "tool", "name": f"tool {n % 3}", "id": f"c{n}", "parent": "t", "batch": "b"}
            for n in range(1, 9)
        ),
        {
            "kind": "model",
            "name": "m",
            "id": "m",
            "model": "m",
            "tokens_in": 5,
            "tokens_out": 7,
            "outcome": "ok",
            "latency_ms": 12.5,
            "cost": 0.25,
            "parent": "elsewhere",
        },
    ]
    ask("POST", f"{path}/traces", {"spans": spans}, status=201)
    ask("PATCH", f"{path}/traces/c3", {"outcome": "error", "latency_ms": 2.5})
    listed = ask("GET", f"{path}/traces", limit=100)["items"]
    rows = _rows(ask("GET", f"{path}/traces/tree", ids="true"))
    assert len(rows) == len(listed) == 11
    for row, span in zip(rows, listed, strict=True):
        told = {name: row.get(name) for name in ("id", "kind", "name", "status", "turn", "batch")}
        assert told == {name: span[name] for name in told}
        assert row["sequence"] == span["sequence"]
        assert row["started_us"] == span["started_us"]
        assert row["parent"] == (span["parent"] if span["parent"] != "elsewhere" else None)
        latency = row["latency_us"]
        assert latency == (None if span["latency_ms"] is None else span["latency_ms"] * 1000)
        assert (row["tokens_in"], row["cost"]) == (span["tokens_in"], span["cost"])
    paged: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        tree = ask("GET", f"{path}/traces/tree", ids="true", limit=4, **cursor)
        paged += tree["columns"]["id"]
        if "next" not in tree:
            break
        cursor = {"cursor": tree["next"]}
    assert paged == [span["id"] for span in listed]


def test_a_tree_of_none(one: Asker) -> None:
    tree = one("GET", f"{one.session()}/traces/tree")
    assert (tree["count"], tree["columns"]) == (0, {})


def test_the_tree_is_not_sent_twice(one: Asker) -> None:
    path = one.session(user("go"))
    one("POST", f"{path}/traces", {"spans": [{"kind": "tool", "name": "bash"}]}, status=201)
    url = f"{ROOT}{path}/traces/tree"
    first = one.client.get(url)
    assert first.headers["content-encoding"] == "gzip"
    known = {"if-none-match": f'"other", {first.headers["etag"]}'}
    again = one.client.get(url, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    plain = one.client.get(url, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == first.json()
    one("POST", f"{path}/entries", {"messages": [user("more")]}, status=201)
    assert one.client.get(url, headers=known).status_code == 304
    one("POST", f"{path}/traces", {"spans": [{"kind": "tool", "name": "bash"}]}, status=201)
    newer = one.client.get(url, headers=known)
    assert newer.status_code == 200
    assert newer.json()["count"] == 2
    assert one.client.get(f"{url}?ids=true", headers=known).status_code == 200


def test_spans_are_found_by_what_they_are(one: Asker) -> None:
    path = one.session(user("one"))
    spans = [
        {"kind": "tool", "name": "bash", "id": "f1", "outcome": "ok"},
        {"kind": "tool", "name": "grep", "id": "f2", "chat": "c"},
    ]
    one("POST", f"{path}/traces", {"spans": spans}, status=201)
    one("POST", f"{path}/entries", {"messages": [user("two")]}, status=201)
    more = [
        {"kind": "model", "name": "m", "id": "f3", "outcome": "error", "error_type": "Timeout"},
        {"kind": "tool", "name": "bash", "id": "f4", "call_id": "c9"},
    ]
    one("POST", f"{path}/traces", {"spans": more}, status=201)

    def ids(**query: Any) -> list[str]:
        return [span["id"] for span in one.pages(f"{path}/traces", 1, **query)]

    assert ids(tool="bash") == ["f1", "f4"]
    assert ids(outcome="running") == ["f2", "f4"]
    assert ids(outcome="error") == ["f3"]
    assert ids(turn=1) == ["f1", "f2"]
    assert ids(kind="model") == ["f3"]
    assert ids(chat="c") == ["f2"]
    assert ids(call_id="c9") == ["f4"]
    assert ids(tool="nothing") == []


# --- exports -----------------------------------------------------------------------------

SECRET = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"


@pytest.mark.inside
def test_trajectories_are_redacted_unless_the_token_may(there: There, ask: Asker) -> None:
    ask.session(user(f"my token is {SECRET}"), bot("keep it to yourself"))
    rows = ask("GET", "/trajectories")
    assert len(rows) == 1
    assert SECRET not in json.dumps(rows)
    assert SECRET in json.dumps(ask("GET", "/trajectories", raw="true"))
    assert ask("GET", "/trajectories", tier="REASONING") == []
    ask.refused("GET", "/trajectories?since=soon", 422, "invalid")
    less = {"name": "less", "scopes": ["export:run"]}
    token = ask("POST", "/tokens", less, status=201)["token"]
    with there.client(token) as client:
        lesser = Asker(client)
        assert SECRET not in json.dumps(lesser("GET", "/trajectories"))
        lesser.refused("GET", "/trajectories?raw=true", 403, "forbidden")
        lesser.refused("GET", "/trajectories?policy=SECRET%3Dwarn", 403, "forbidden")
    exports = ask("GET", "/audit", action="export")["items"]
    assert len(exports) == 4


def test_an_export_that_fails_says_so(
    one_server: There, one: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its first byte as a problem, behind it by breaking off."""
    one.session(user("something to export"))

    def failing(*args: Any, **options: Any) -> None:
        raise clew.RedactionFailed("a second scan found something")

    monkeypatch.setattr("clew.exporting.export", failing)
    one.refused("GET", "/trajectories", 500, "redaction-failed")

    def breaking(ledger: clew.Ledger, output: Any, *options: Any) -> None:
        for _ in range(40):
            output.write(b"x" * 10_000)
        raise clew.Unavailable("the database went away")

    monkeypatch.setattr("clew.exporting.export", breaking)
    with pytest.raises(httpx.RemoteProtocolError):
        one.client.get(f"{ROOT}/trajectories")
    assert one("GET", "/health") == {"status": "ok"}


def test_an_export_stops_when_its_reader_goes(
    one_server: There, one: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    def endless(ledger: clew.Ledger, output: Any, *options: Any) -> None:
        try:
            while True:
                output.write(b"x" * 100_000)
        finally:
            stopped.set()

    monkeypatch.setattr("clew.exporting.export", endless)
    with one.client.stream("GET", f"{ROOT}/trajectories") as answer:
        pieces = answer.iter_raw(1000)
        assert next(pieces)
        assert not stopped.wait(0.2), "it waits for its reader"
    assert stopped.wait(30)


# --- tokens ------------------------------------------------------------------------------


def test_no_token_gives_what_it_lacks(one_server: There, one: Asker) -> None:
    lesser = {"name": "care", "scopes": ["admin", "session:read"]}
    token = one("POST", "/tokens", lesser, status=201)["token"]
    with one_server.client(token) as client:
        ask = Asker(client)
        assert ask("POST", "/tokens", {**lesser, "name": "next"}, status=201)["token"]
        more = {"name": "more", "scopes": ["admin", "export:raw"]}
        assert "export:raw" in ask.refused("POST", "/tokens", 403, "forbidden", json=more)
    one.refused("POST", "/tokens", 422, "invalid", json={"name": "x", "scopes": []})
    one.refused("POST", "/tokens", 422, "invalid", json={"name": "x", "scopes": ["all"]})
    one.refused("DELETE", "/tokens/ffffffffffffffff", 404, "not-found")


def test_back_ups_go_only_where_the_server_says(one: Asker) -> None:
    one.refused("POST", "/backups", 403, "forbidden", json={"name": "a.db"})


# --- the database ------------------------------------------------------------------------


@pytest.mark.inside
@pytest.mark.damaged
def test_a_ledger_that_takes_no_writes_is_not_ready(there: There, ask: Asker) -> None:
    path = ask.session(user("a"))
    there.running.server.ledger._database.stop("a test stopped it")
    answer = ask.client.get("/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "read-only"})
    assert ask("GET", "/health") == {"status": "ok"}
    said = {"messages": [user("b")]}
    answer = ask.client.post(f"{ROOT}{path}/entries", json=said)
    assert answer.status_code in (403, 500)
    assert len(ask("GET", f"{path}/entries")["items"]) == 1


def test_a_fault_of_ours_tells_the_caller_nothing(
    one: Asker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("the secret of the session")

    monkeypatch.setattr("clew.reading.info", broken)
    detail = one.refused("POST", "/sessions", 500, "internal", json={})
    assert "secret" not in detail
    (fault,) = [record for record in caplog.records if record.getMessage() == "fault"]
    facts = getattr(fault, "facts", {})
    assert facts["error"] == "RuntimeError"
    assert facts["route"] == f"{ROOT}/sessions"
    assert "secret" not in json.dumps(facts)
