"""The ledger of a server: what the contract suite cannot see of it. What is sent again and what
is not, where a token goes and where not, and that no verb is missing.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

import clew
import clew.aio
import remote_server
from clew import remote
from clew.access import Scope
from clew.cli import main
from clew.config import Config
from clew.exporting import ExportOptions, Recipe, Selection
from clew.leases import Lease
from clew.remote import address, exporting
from clew.remote.client import Client
from clew.remote.config import RemoteConfig
from clew.remote.leases import RemoteLease
from clew.remote.ledger import RemoteLedger
from clew.remote.session import RemoteSession
from clew.server.run import Running
from clew.server.settings import ServerSettings
from contract.talk import bot, call, inner, result, said, turns, user
from lossy_proxy import LossyProxy, once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INHERITED = {
    # What is the same wherever the ledger is, because it is built of the verbs below it.
    clew.Session: {
        *("turn", "traced", "start_span", "update_span", "record_spans"),
        *("compact", "clear", "reset", "replace_history", "close"),
    },
    clew.Ledger: {"evict", "prices", "trace_failures"},
    Config: set(dir(Config)) - {"__setitem__", "__delitem__"},
    Lease: {"renew", "held"},
}


@pytest.fixture
def ledger(server_url: str) -> Iterator[clew.Ledger]:
    """A ledger over a server; verified when the test is over."""
    with clew.open(server_url) as opened:
        yield opened
        report = opened.verify()
        assert report.ok, report.problems


@pytest.fixture
def proxy(server_url: str) -> Iterator[LossyProxy]:
    """A way to the server that loses what it is told to lose."""
    with LossyProxy(server_url) as between:
        yield between


@pytest.fixture
def served(server_url: str) -> clew.Ledger:
    """The ledger with the database."""
    return remote_server.SERVED[server_url]


# --- nothing is missing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (clew.Ledger, RemoteLedger),
        (clew.Session, RemoteSession),
        (Config, RemoteConfig),
        (Lease, RemoteLease),
    ],
)
def test_every_verb_is_there_with_the_same_arguments(near: type, far: type) -> None:
    own = {
        name
        for kind in far.__mro__
        if kind.__module__.startswith("clew.remote")
        for name in vars(kind)
    }
    for name in dir(near):
        if name.startswith("_") and name not in ("__setitem__", "__delitem__"):
            continue
        assert name in own | INHERITED[near], f"{far.__name__} has no {name} of its own"
        ours, theirs = getattr(near, name), getattr(far, name)
        if not name.startswith("_"):
            assert inspect.getdoc(theirs), name
        if callable(ours):
            assert _arguments(theirs) == _arguments(ours), name
        else:
            assert type(theirs) is type(ours), name


def _arguments(verb: Any) -> list[tuple[str, Any, Any]]:
    return [
        (each.name, each.kind, each.default) for each in inspect.signature(verb).parameters.values()
    ]


def test_a_remote_ledger_is_a_ledger(ledger: clew.Ledger) -> None:
    assert isinstance(ledger, clew.Ledger)
    assert isinstance(ledger.create(), clew.Session)


# --- where a token goes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://ledger.example",
        "http://192.0.2.7:8765",
        "http://127.0.0.1.example",
        "http://localhost.example:80",
        "http://[2001:db8::1]:1",
        "http://0.0.0.0:1",
    ],
)
def test_a_token_does_not_cross_the_network_in_clear(url: str) -> None:
    with pytest.raises(clew.Invalid, match="clear"):
        clew.open(url, token="clew_x")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_this_machine_may_be_asked_without_encryption(url: str) -> None:
    assert address.checked(url, insecure=False) == url


def test_what_else_encrypts_may_be_vouched_for() -> None:
    assert address.checked("http://ledger.example/", insecure=True) == "http://ledger.example"


@pytest.mark.parametrize(
    "url",
    [
        "https://clew_secret@host",
        "https://me:clew_secret@host/x",
        "https://host?token=clew_secret",
        "https://host/#clew_secret",
        "https://",
        "https://host:port",
        "https://[half",
    ],
)
def test_an_address_says_where_and_nothing_else(url: str) -> None:
    with pytest.raises(clew.Invalid) as caught:
        clew.open(url, token="clew_x")
    assert "clew_secret" not in str(caught.value)


def test_without_a_token_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEW_TOKEN", raising=False)
    with pytest.raises(clew.Unauthorized, match="CLEW_TOKEN"):
        clew.open("https://ledger.example")


@pytest.mark.parametrize("token", ["two words", "a\r\nx-injected: yes", "ü", "a\0"])
def test_what_is_no_token_is_not_sent(token: str) -> None:
    with pytest.raises(clew.Invalid, match="no access token"):
        clew.open("http://127.0.0.1:1", token=token)


def test_a_wrong_token_is_not_taken(server_url: str) -> None:
    wrong = os.environ["CLEW_TOKEN"][:-43] + "a" * 43
    with pytest.raises(clew.Unauthorized):
        clew.open(server_url, token=wrong)


def test_the_token_goes_before_the_environments(
    server_url: str, served: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = served.create_token("by hand", ["session:read"])
    with clew.open(server_url, token=made.token) as ledger:
        assert ledger.actor == "by hand"
        with pytest.raises(clew.Forbidden, match="session:append"):
            ledger.create()


def test_a_redirect_is_not_followed(proxy: LossyProxy, server_url: str) -> None:
    with LossyProxy(server_url) as elsewhere, clew.open(proxy.url) as ledger:
        moved = (
            f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere.url}/api/v1/projects\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        proxy.refuse = lambda line: moved.encode()
        for verb in (ledger.projects, ledger.create):
            with pytest.raises(clew.Unavailable, match="goes nowhere but where it was given for"):
                verb()
        assert elsewhere.seen == []


def test_a_proxy_of_the_environment_is_not_shown_the_token(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LossyProxy(server_url) as spy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, spy.url)
        with clew.open(server_url) as ledger:
            ledger.create()
        assert spy.seen == []


def test_no_question_is_logged(ledger: clew.Ledger, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "httpx"):
        ledger.search("quicksilver")
    assert "/api/v1/search" in caplog.text
    assert "quicksilver" not in caplog.text


def test_no_text_of_a_token_is_in_an_address_or_a_repr(server_url: str, proxy: LossyProxy) -> None:
    with clew.open(proxy.url) as ledger:
        made = ledger.create_token("ci", ["session:read"])
        assert ledger.revoke_token(made.token).revoked_ms is not None
        assert [line for line in proxy.seen if made.token.split("_")[2] in line] == []
        assert os.environ["CLEW_TOKEN"] not in f"{ledger!r} {ledger.__dict__!r}"


# --- what is the server's --------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        {"durability": "normal"},
        {"search": False},
        {"actor": "robot"},
        {"count_tokens": len},
        {"max_checkpoints": 3},
        {"prices": "prices.json"},
    ],
)
def test_how_a_ledger_is_kept_is_not_chosen_from_afar(server_url: str, option: Any) -> None:
    with pytest.raises(clew.Invalid, match=next(iter(option))):
        clew.open(server_url, **option)


def test_a_token_is_for_a_server(tmp_path: Path) -> None:
    with pytest.raises(clew.Invalid, match="token="):
        clew.open(tmp_path / "a.db", token="clew_x")
    assert not (tmp_path / "a.db").exists()


def test_files_are_imported_where_the_ledger_is(ledger: clew.Ledger, tmp_path: Path) -> None:
    with pytest.raises(clew.Invalid, match=r"clew import .* on the server's machine"):
        ledger.import_from(tmp_path)


def test_nobody_acts_in_another_name(ledger: clew.Ledger) -> None:
    assert ledger.actor == "remote"
    with pytest.raises(clew.Invalid, match="in the name of the access token"):
        ledger.confined(actor="somebody")
    ledger.create()
    assert ledger.audit()[0].actor == "remote"


def test_a_token_that_may_not_read_opens_and_appends(server_url: str, served: clew.Ledger) -> None:
    made = served.create_token("writer", ["session:append"])
    with clew.open(server_url, token=made.token) as ledger:
        assert ledger.actor == made.info.id
        session = ledger.session(frontend="cli", user="1")
        session.append(user("a"))
        with pytest.raises(clew.Forbidden, match="session:read"):
            session.history()


def test_a_token_of_a_project_confines_the_ledger(server_url: str, served: clew.Ledger) -> None:
    theirs = served.create(project="theirs")
    made = served.create_token("ours", list(Scope), project="ours")
    with clew.open(server_url, token=made.token) as ledger:
        assert ledger.projects() == ["ours"]
        assert ledger.create().info.project == "ours"
        with pytest.raises(clew.NotFound):
            ledger.get(theirs.id)
        with pytest.raises(clew.Invalid, match="confined"):
            ledger.create(project="theirs")
    with pytest.raises(clew.Invalid, match="confined"):
        clew.open(server_url, token=made.token, project="theirs")


def test_a_reader_makes_no_project(server_url: str, served: clew.Ledger) -> None:
    made = served.create_token("reader", ["session:read"])
    with pytest.raises(clew.NotFound, match="no project 'new'"):
        clew.open(server_url, token=made.token, project="new")
    assert "new" not in served.projects()


@pytest.mark.parametrize("name", ["ü 漢", "a/b", "a?b&c=d", "%41", "x" * 200])
def test_a_project_of_any_name(server_url: str, name: str) -> None:
    with clew.open(server_url, project=name) as ledger:
        assert ledger.create().info.project == name
        assert ledger.projects() == [name]


# --- what is sent again ----------------------------------------------------------------------


def test_an_append_whose_answer_is_lost_is_stored_once(
    proxy: LossyProxy, ledger: clew.Ledger
) -> None:
    with clew.open(proxy.url) as far:
        session = far.create()
        proxy.lose = once("/entries", 3)
        entry = session.append(user("a"))
        assert proxy.count("POST /api/v1/sessions/" + session.id + "/entries") == 4
        proxy.lose = once("/entries")
        more = session.extend(turns(2), expected_head=entry)
        assert [each.seq for each in more] == [2, 3, 4, 5]
    assert said(ledger.get(session.id)) == ["a", "ask 1", "say 1", "ask 2", "say 2"]


def test_appends_of_many_tasks_are_stored_once(proxy: LossyProxy, ledger: clew.Ledger) -> None:
    numbers = iter(range(10**6))
    lock = threading.Lock()

    def every_third(line: str) -> bool:
        with lock:
            return "/entries" in line and next(numbers) % 3 == 0

    async def go() -> str:
        async with await clew.aio.open(proxy.url) as far:
            session = await far.create()
            proxy.lose = every_third
            await asyncio.gather(*(session.append(user(str(n))) for n in range(30)))
            return session.id

    id = asyncio.run(go())
    assert sorted(said(ledger.get(id)), key=int) == [str(n) for n in range(30)]


def test_reads_are_asked_again(proxy: LossyProxy) -> None:
    with clew.open(proxy.url) as far:
        session = far.create()
        session.extend(turns(3))
        proxy.lose = once("GET", 2)
        assert len(session.history()) == 6
        proxy.lose = once("/search")
        assert far.search("ask").hits
        proxy.lose = once("/plan")
        session.compact(summary="s", keep_tokens=1)


def test_spans_are_recorded_once(proxy: LossyProxy) -> None:
    with clew.open(proxy.url) as far:
        session = far.create()
        proxy.lose = once("/traces", 2)
        with session.turn() as turn, turn.tool("ls", {"a": 1}) as tool:
            proxy.lose = once("/traces", 2)
            tool.output = "x"
        assert [(span.kind, span.outcome) for span in session.spans()] == [
            ("turn", "ok"),
            ("tool", "ok"),
        ]
        assert far.trace_failures == 0


KILLED = """
import os, sys, clew
session = clew.open(sys.argv[1]).get(sys.argv[2])
with session.turn({"role": "user", "content": "go"}) as turn:
    with turn.tool("deploy", call_id="c1"):
        os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_ran_over_the_network_is_given_up(
    server_url: str, ledger: clew.Ledger
) -> None:
    session = ledger.create()
    mine = session.start_span("tool", "mine")
    killed = subprocess.run([sys.executable, "-c", KILLED, server_url, session.id], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [span.status for span in session.spans()] == ["running"] * 3
    found = session.resume()
    assert [span.kind for span in found.interrupted] == ["turn"]
    assert [span.status for span in session.spans()] == ["running", "abandoned", "abandoned"]
    session.update_span(mine.id, outcome="ok")


def test_a_closed_handle_gives_up_what_it_ran(server_url: str, ledger: clew.Ledger) -> None:
    session = ledger.create()
    with clew.open(server_url) as other:
        other.get(session.id).start_span("tool", "left behind")
        assert ledger.sweep() == 0
    (left,) = ledger.get(session.id).resume().calls
    assert (left.name, left.advice) == ("left behind", "unknown")
    assert [span.status for span in session.spans()] == ["abandoned"]


def test_an_owner_that_did_not_sign_on_runs_nothing(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert isinstance(ledger, RemoteLedger)
    body = {"spans": [{"kind": "tool", "name": "x"}], "owner": "nobody"}
    with pytest.raises(clew.NotFound, match="sign"):
        ledger._client.send("POST", f"/sessions/{session.id}/traces", dict, body)
    assert session.spans() == []


def test_a_turn_is_recorded_under_await(proxy: LossyProxy) -> None:
    async def go() -> list[Any]:
        async with await clew.aio.open(proxy.url) as far:
            session = await far.create()
            proxy.lose = once("/traces")
            async with session.turn(user("go")) as turn, turn.tool("ls", {"a": 1}) as tool:
                proxy.lose = once("/entries")
                await session.append(bot("looking"))
                tool.output = "x"
            assert [entry.seq for entry in await session.entries()] == [1, 2]
            assert await session.snapshot({"step": 1}) == await session.load_snapshot()
            return [(span.kind, span.outcome) for span in await session.spans()]

    assert asyncio.run(go()) == [("turn", "ok"), ("tool", "ok")]


KILLED_IN_A_CALL = """
import os, signal, sys
import clew
session = clew.open(sys.argv[1]).session(frontend="cli", user="1")
with session.turn({"role": "user", "content": "go"}) as turn:
    function = {"name": "send", "arguments": "{}"}
    calls = [{"id": "c1", "type": "function", "function": function}]
    session.append({"role": "assistant", "content": None, "tool_calls": calls})
    with turn.tool("send", call_id="c1", effect="external"):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_session_is_taken_up_again_after_a_caller_was_killed(
    server_url: str, ledger: clew.Ledger
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_A_CALL, server_url], check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    session = ledger.session(frontend="cli", user="1")
    found = session.resume()
    assert [span.kind for span in found.interrupted] == ["turn"]
    assert [(each.call_id, each.advice) for each in found.calls] == [("c1", "ask")]
    assert found.repair is not None
    assert "may or may not have run" in str(found.repair.data)
    assert {span.outcome for span in session.spans()} == {"abandoned"}
    assert session.repair() is None


def test_what_cannot_be_recognised_is_sent_once(proxy: LossyProxy, ledger: clew.Ledger) -> None:
    verbs: dict[str, Callable[[clew.Session], Any]] = {
        "/undo": lambda session: session.undo(),
        "/checkpoints": lambda session: session.checkpoint("x"),
        "/branch": lambda session: session.branch(),
        "/title": lambda session: session.label("x"),
        "/config/x": lambda session: session.config.update(x=1),
    }
    with clew.open(proxy.url) as far:
        for path, verb in verbs.items():
            session = far.create()
            session.extend(turns(3))
            proxy.lose = once(path)
            before = len(proxy.seen)
            with pytest.raises(clew.Unavailable, match="whether it was done is not known"):
                verb(session)
            assert len(proxy.seen) == before + 1, path
        assert len(ledger.audit(action="undo")) == 1


def test_who_asks_too_much_waits(proxy: LossyProxy) -> None:
    with clew.open(proxy.url) as far:
        session = far.create()
        busy = once("/undo")
        session.extend(turns(2))
        proxy.refuse = lambda line: (
            b"HTTP/1.1 429 Wait\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
            if busy(line)
            else None
        )
        session.undo()
        assert proxy.count("/undo") == 2
        assert len(said(session)) == 2


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(clew.Unavailable, match="cannot be reached"):
        clew.open("http://127.0.0.1:1", token="clew_x")


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\nno", clew.Unavailable, "502"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", clew.Invalid, "no server of Clew"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", clew.Forbidden, "403"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", clew.Unavailable, "another version"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xff", clew.Unavailable, "version"),
    ],
)
def test_what_is_no_answer_of_ours_is_said(
    proxy: LossyProxy, answer: bytes, error: type[clew.ClewError], words: str
) -> None:
    with clew.open(proxy.url) as far:
        session = far.create()
        proxy.refuse = lambda line: answer
        with pytest.raises(error, match=words):
            session.undo()


def test_a_tool_runs_whether_or_not_the_server_does(
    proxy: LossyProxy, caplog: pytest.LogCaptureFixture
) -> None:
    with clew.open(proxy.url) as far:
        session = far.create()
        proxy.refuse = lambda line: b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        with caplog.at_level(logging.CRITICAL, "clew.trace"):
            assert session.traced(lambda: 7, name="seven")() == 7
        proxy.refuse = lambda line: None
        assert far.trace_failures == 2
        assert far.stats().spans_lost == 2


# --- following -------------------------------------------------------------------------------


def test_a_follower_whose_connection_is_cut_misses_nothing(
    proxy: LossyProxy, ledger: clew.Ledger
) -> None:
    session = ledger.create()
    total, chance = 1200, random.Random(7)

    def write() -> None:
        for number in range(total // 4):
            session.append(user(str(number)))
            span = session.start_span("tool", "t")
            session.update_span(span.id, outcome="ok")
            session.checkpoint()

    with clew.open(proxy.url) as far:
        writer = threading.Thread(target=write)
        writer.start()
        seen, cuts = [], 0
        for frame in far.follow({session.id[:20]: 0}, idle=5):
            seen.append(frame.sequence)
            if chance.random() < 0.04:
                cuts += proxy.cut()
            if len(seen) == total:
                break
        writer.join()
    assert seen == list(range(1, total + 1))
    assert cuts > 5


def test_a_follower_of_all_goes_on_after_a_cut(proxy: LossyProxy, ledger: clew.Ledger) -> None:
    old = ledger.create()
    old.extend(turns(3))
    heard: list[str] = []
    with clew.open(proxy.url) as far:
        stream = far.follow(idle=5)
        thread = threading.Thread(
            target=lambda: heard.extend(
                f"{frame.session}:{frame.sequence}" for frame in islice(stream, 6)
            )
        )
        thread.start()
        live = inner(ledger)._live()
        while not any(each._everything for each in live._followers):
            time.sleep(0.001)
        old.append(user("a"))
        while not heard and thread.is_alive():
            thread.join(0.01)
        proxy.cut()
        new = ledger.create()
        new.extend(turns(1))
        old.extend(turns(1, 9))
        proxy.cut()
        last = ledger.create()
        last.append(user("b"))
        thread.join(20)
    assert sorted(heard) == sorted(
        [*(f"{old.id}:{n}" for n in (7, 8, 9)), f"{new.id}:1", f"{new.id}:2", f"{last.id}:1"]
    )


def test_what_cannot_be_followed_is_said(
    proxy: LossyProxy, served: clew.Ledger, ledger: clew.Ledger
) -> None:
    session = ledger.create()
    with pytest.raises(clew.NotFound):
        next(ledger.follow({"f" * 32: 0}))
    with pytest.raises(clew.Invalid, match="begin again"):
        next(ledger.follow({session.id: 5}))
    made = served.create_token("writer", ["session:append"])
    with clew.open(proxy.url, token=made.token) as far:
        with pytest.raises(clew.Forbidden, match="session:read"):
            next(far.follow())
        proxy.refuse = lambda line: (
            b"HTTP/1.1 302 Go\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        )
        with pytest.raises(clew.Unavailable):
            next(far.follow())
        assert proxy.count("/live") == 2, "a refusal is not asked for again"


def test_a_follower_outlives_its_server(tmp_path: Path) -> None:
    with clew.open(f"sqlite:///{tmp_path / 'a.db'}") as near:
        session, token = near.create(), remote_server.let_in(near)
        session.append(user("a"))
        port, heard, far = 0, [], None
        for number in range(3):
            running = Running(near, ServerSettings(), port=port)
            thread = threading.Thread(target=running.run)
            thread.start()
            assert running.ready.wait(20)
            if far is None:
                port = int(running.url.rpartition(":")[2])
                far = clew.open(running.url, token=token)
                stream = far.follow({session.id: 0})
            heard.append(next(stream).sequence)
            running.stop()
            thread.join(20)
            session.append(user(str(number)))
        assert heard == [1, 2, 3]
        assert far is not None
        far.close()


def test_a_closed_ledger_follows_no_more(server_url: str, ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("a"))
    heard: list[int] = []
    with clew.open(server_url) as far:
        stream = far.follow({session.id: 0})
        thread = threading.Thread(target=lambda: heard.extend(f.sequence for f in stream))
        thread.start()
        while not heard:
            time.sleep(0.001)
    thread.join(10)
    assert not thread.is_alive()
    assert heard == [1]


def test_a_revoked_token_follows_no_more(server_url: str, served: clew.Ledger) -> None:
    made = served.create_token("reader", ["session:read", "trace:read"])
    session = served.create()
    session.append(user("a"))
    with clew.open(server_url, token=made.token) as far:
        stream = far.follow({session.id: 0})
        assert next(stream).sequence == 1
        served.revoke_token(made.info.id)
        with pytest.raises(clew.Unauthorized, match="revoked"):
            next(stream)


def test_a_follower_that_is_cancelled_is_gone(ledger: clew.Ledger, server_url: str) -> None:
    async def go() -> None:
        async with await clew.aio.open(server_url) as far:
            session = await far.create()

            async def listen() -> None:
                async for _ in far.follow({session.id: 0}):
                    pass

            task = asyncio.create_task(listen())
            while not inner(ledger)._live()._followers:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(go())
    deadline = time.monotonic() + 20
    while inner(ledger)._live()._followers:
        assert time.monotonic() < deadline, "the server still tells somebody"
        time.sleep(0.01)


# --- exports and files -----------------------------------------------------------------------


def test_an_export_is_the_servers_own(
    ledger: clew.Ledger, served: clew.Ledger, tmp_path: Path
) -> None:
    session = ledger.create()
    session.extend([user("mail me at someone@example.com"), bot("done")])
    ledger.create()
    done = ledger.export(output=tmp_path / "new" / "far.jsonl")
    near = served.export(output=tmp_path / "near.jsonl")
    assert (tmp_path / "new" / "far.jsonl").read_bytes() == (tmp_path / "near.jsonl").read_bytes()
    assert done.path == tmp_path / "new" / "far.jsonl"
    assert (done.rows, done.bytes, done.sha256) == (near.rows, near.bytes, near.sha256)
    assert (done.dropped, done.redactions) == (near.dropped, near.redactions)
    assert done.redacted
    stream = io.BytesIO()
    chosen = Recipe(redaction=None, selection=Selection(sessions=(session.id[:12],)))
    raw = ledger.export(chosen, output=stream)
    assert raw.path is None
    assert json.loads(stream.getvalue()) == json.loads(json.dumps(ledger.trajectory(session.id)))
    with pytest.raises(clew.Invalid, match="exists"):
        ledger.export(output=tmp_path / "near.jsonl")
    over = ExportOptions(overwrite=True)
    assert ledger.export(output=tmp_path / "near.jsonl", options=over).rows == 1
    nobody = Recipe(selection=Selection(agent="nobody"))
    assert ledger.export(nobody, output=io.BytesIO()).rows == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "near.jsonl",
        "near.jsonl.manifest.json",
        "new",
        "served.db",
        *_beside(tmp_path),
    ]


def _beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("served.db-"))


@pytest.mark.parametrize("kept", [b"", b'{"a":1}\n', b'{"a":1}\n{"exported":{"rows":1}}\n'])
def test_an_export_that_breaks_off_leaves_no_file(tmp_path: Path, kept: bytes) -> None:
    target = tmp_path / "out.jsonl"
    with pytest.raises(clew.Unavailable, match="broke off"):
        exporting.save([kept], target, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_was_changed_on_its_way_is_refused(tmp_path: Path) -> None:
    told = {
        "rows": 1,
        "bytes": 8,
        "sha256": "0" * 64,
        "dropped": {},
        "redacted": True,
        "redactions": {},
    }
    sent = b'{"a":1}\n' + json.dumps({"exported": told}).encode() + b"\n"
    with pytest.raises(clew.Unavailable, match="otherwise than it was sent"):
        exporting.save([sent[:5], sent[5:]], tmp_path / "out.jsonl", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_imported_files_come_back_over_the_server(
    ledger: clew.Ledger, served: clew.Ledger, tmp_path: Path
) -> None:
    folder = tmp_path / "h"
    folder.mkdir()
    record = {
        "type": "user",
        "uuid": "u1",
        "parentUuid": None,
        "sessionId": "s1",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "cwd": "/home/me",
        "message": {"role": "user", "content": "hello"},
    }
    file = folder / "s1.jsonl"
    file.write_text(json.dumps(record) + "\n")
    served.import_from(folder)
    (info,) = ledger.sessions()
    assert ledger.source_bytes(info.id) == {str(file): file.read_bytes()}
    with pytest.raises(clew.NotFound, match="not imported"):
        ledger.source_bytes(ledger.create().id)


def test_backups_stay_on_the_server(server_host: remote_server.Host, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    with (
        server_host.serving(f"sqlite:///{tmp_path / 'a.db'}", backups=folder) as token,
        clew.open(server_host.url, token=token) as ledger,
    ):
        ledger.create().append(user("a"))
        assert str(ledger.backup("copy.db")) == "copy.db"
        for name in ("../copy.db", str(tmp_path / "x.db"), ".hidden"):
            with pytest.raises(clew.Invalid):
                ledger.backup(name)
        with pytest.raises(clew.Invalid, match="exists"):
            ledger.backup("copy.db")
    with clew.open(folder / "copy.db") as copy:
        assert copy.verify().ok
        assert copy.stats().entries == 1


# --- long lists ------------------------------------------------------------------------------


def test_lists_longer_than_a_page_are_whole(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clew.remote.client.PAGE", 7)
    session = ledger.create()
    session.extend([*turns(10), call("c"), result("c")])
    for number in range(16):
        session.checkpoint(str(number))
        session.restore(session.entry(20))
    assert len(session.history()) == 20
    assert len(session.entries()) == 22
    assert [entry.seq for entry in session.entries(after=3, limit=9)] == list(range(4, 13))
    assert len(session.checkpoints()) == len(session.moves()) == 16
    made = session.checkpoints(limit=9)
    assert session.checkpoints(after=made[-1].id) == session.checkpoints()[9:]
    assert session.moves(before=10) == session.moves()[7:]
    assert [entry.seq for entry in session._on_path()] == list(range(1, 21))
    for _ in range(16):
        ledger.create()
    whole = ledger.sessions()
    assert len(whole) == 17
    assert ledger.sessions(after=whole[8], limit=5) == whole[9:14]
    records = ledger.audit(limit=1000)
    assert ledger.audit(after=records[10], limit=12) == records[11:23]
    assert len(ledger.search("ask OR say", limit=19).hits) == 19


# --- the command line ------------------------------------------------------------------------


def _clew(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_the_command_line_works_over_a_server(
    server_url: str, ledger: clew.Ledger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    session = ledger.create(title="the pump")
    session.extend(turns(4))
    made = session.compact(summary="in short", keep_from=session.entry(7))
    id = session.id[:16]

    def run(*words: str) -> str:
        code, out, err = _clew("--db", server_url, *words, capsys=capsys)
        assert code == 0, f"{words}: {err}"
        return out

    assert "the pump" in run("sessions")
    shown = run("show", id)
    assert "ask 1" in shown
    assert "in short" in shown
    assert "ask 3" in run("search", "ask", "--session", id)
    assert made.id[:8] in run("checkpoint", "list", id)
    run("config", "set", id, "model", '"m"')
    assert run("config", "get", id, "model").strip() == "m"
    run("undo", id)
    run("export", "-o", str(tmp_path / "out.jsonl"))
    assert (tmp_path / "out.jsonl").stat().st_size > 100
    run("verify")
    run("stats")
    assert _clew("--db", server_url, "usage", capsys=capsys)[0] == 1
    run("audit", "list")
    run("audit", "verify")
    assert _clew("--db", server_url, "trace", id, capsys=capsys)[0] == 1
    run("token", "list")
    assert "compaction" in run("follow", id, "--after", "0", "--idle", "0.2", "--json")
    run("archive", id)
    code, _, err = _clew("--db", server_url, "--project", "typo", "stats", capsys=capsys)
    assert (code, ledger.projects()) == (2, ["default"])
    assert "no project 'typo'" in err
    code, _, err = _clew("--db", server_url, "import", str(tmp_path), capsys=capsys)
    assert code == 2
    assert "server's machine" in err


def test_the_command_line_says_what_a_server_refuses(
    server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CLEW_TOKEN")
    code, _, err = _clew("--db", server_url, "sessions", capsys=capsys)
    assert code == 4
    assert "CLEW_TOKEN" in err
    code, _, err = _clew("--db", server_url, "serve", "--port", "0", capsys=capsys)
    assert code == 2
    assert "a ledger is served where the ledger is" in err


# --- inside ----------------------------------------------------------------------------------


def test_names_that_no_path_can_hold_are_refused(ledger: clew.Ledger) -> None:
    session = ledger.create()
    for name in ("", ".", ".."):
        with pytest.raises(clew.Invalid, match="no part of a path"):
            session.config[name] = 1
        with pytest.raises(clew.NotFound):
            session.get_checkpoint(name)
    for name in ("a/b", "a b", "%2e%2e", "?", "#", "ü", "a\\b", ";x=1"):
        session.config[name] = name
        assert session.config[name] == name
        del session.config[name]
    assert dict(session.config) == {}


def test_a_client_closes_its_connections_when_opening_fails(
    monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    closed: list[Client] = []
    original = Client.close

    def close(client: Client) -> None:
        closed.append(client)
        original(client)

    monkeypatch.setattr(Client, "close", close)
    with pytest.raises(clew.Unauthorized):
        remote.connect(server_url, token="clew_0123456789abcdef_" + "a" * 43)
    assert len(closed) == 1


def test_a_confined_handle_shares_the_connections(ledger: clew.Ledger) -> None:
    ours = ledger.confined("ours")
    session = ours.create()
    ledger.create()
    assert [info.id for info in ours.sessions()] == [session.id]
    ours.close()
    assert len(ledger.sessions()) == 2
