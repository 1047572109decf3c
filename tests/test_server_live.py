"""Live streams over a real server: every frame as it happens, once, to whoever may see it, however
often the connection breaks and however slowly it is read.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema_rs
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import clew
from clew import frames, live
from clew.access import Scope
from contract.talk import call, turns, user
from server import There, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

pytestmark = pytest.mark.inside

HARD = bool(os.environ.get("CLEW_TORTURE"))
CUTS, TOTAL = (100, 10_000) if HARD else (25, 800)
PATIENCE = 20
ROOT = Path(__file__).resolve().parent.parent
TYPES = {kind.__struct_config__.tag for kind in frames.AnyFrame.__args__}


@contextmanager
def opened(
    there: There, *asks: Any, token: str | None = None, **options: Any
) -> Iterator[ClientConnection]:
    """A socket that has said these things."""
    with connect(
        there.url.replace("http", "ws", 1) + "/api/v1/live",
        additional_headers={"authorization": f"Bearer {token or there.token}"},
        compression=None,
        max_size=None,
        close_timeout=1,
        **{"max_queue": None, **options},
    ) as link:
        with suppress(ConnectionClosed):  # the last word says why
            for ask in asks:
                link.send(json.dumps({"subscribe": ask}))
        yield link


def word(link: ClientConnection) -> dict[str, Any]:
    """The next thing that the server says."""
    said: dict[str, Any] = json.loads(link.recv(timeout=PATIENCE))
    return said


def heard(link: ClientConnection, count: int) -> list[dict[str, Any]]:
    """The next frames, without the talk beside them."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        said = word(link)
        assert said["type"] != "problem", said
        if said["type"] not in frames.TALK_TYPES:
            found.append(said)
    return found


def until(link: ClientConnection, kind: str) -> dict[str, Any]:
    """What is said of this type, and nothing before it."""
    while (said := word(link))["type"] != kind:
        assert said["type"] != "problem", said
    return said


def last_word(link: ClientConnection) -> tuple[int, str]:
    """How the server closes: its code and the name of the problem."""
    said: dict[str, Any] = {}
    with suppress(ConnectionClosed):
        while True:
            said = word(link)
    assert link.close_code is not None
    code = link.close_code
    if said.get("type") != "problem":
        return code, ""
    assert said["code"] == code
    return code, said["problem"].removeprefix("urn:clew:problem:")


def everything(session: clew.Session) -> None:
    """Whatever there are frames for."""
    with session.turn(user("go")) as turn:
        with turn.model("m"):
            pass
        with turn.tool("ls", {"path": "."}, call_id="c1") as tool:
            tool.output = "a.txt"
    span = session.start_span("agent", "helper")
    session.update_span(span.id, attempt=2)
    session.update_span(span.id, outcome="ok")
    session.extend(turns(3))
    session.snapshot({"step": 1})
    kept = session.checkpoint("here")
    session.compact(summary="short", keep_from=session.entry(4))
    session.restore(kept)


# --- frames --------------------------------------------------------------------------------


def test_every_type_of_frame_comes_as_it_happens_and_as_the_schema_says(
    ledger: clew.Ledger,
) -> None:
    session = ledger.create()
    with serving(ledger) as there:
        with there.client() as client:
            schema = client.get("/api/v1/live/schema.json").json()
        valid = jsonschema_rs.validator_for(schema)
        with opened(there, {"session": session.id}) as link:
            valid.validate(word(link))
            valid.validate(until(link, "caught_up"))
            everything(session)
            top = session.sequence
            found = heard(link, top)
        assert [frame["sequence"] for frame in found] == list(range(1, top + 1))
        told = [json.loads(frames.encode(f)) for f in ledger.follow({session.id: 0}, idle=0.2)]
        # A span's row goes on: what is read later tells of its finish what is known by then.
        assert [frame["type"] for frame in told] == [frame["type"] for frame in found]
        ledger.erase(session.id)
        with opened(there, {"session": session.id}) as link:
            found += heard(link, 1)
    for frame in found:
        valid.validate(frame)
    assert {frame["type"] for frame in found} == TYPES


def test_the_published_types_name_every_frame_and_every_field() -> None:
    text = (ROOT / "docs" / "reference" / "frames.ts").read_text()
    for name, told in frames.schema()["$defs"].items():
        if "properties" not in told:
            assert f"export type {name} = " in text
            continue
        body = text.partition(f"export interface {name} {{\n")[2].partition("\n}")[0]
        for field in told["properties"]:
            mark = "" if field in told.get("required", ()) else "?"
            assert f"  {field}{mark}: " in body, f"{name}.{field}"


def test_the_newest_state_comes_first_then_what_was_missed_then_what_happens(
    ledger: clew.Ledger,
) -> None:
    session = ledger.create()
    session.extend(turns(2))
    session.snapshot({"step": 7})
    with serving(ledger) as there, opened(there, {"session": session.id, "after": 3}) as link:
        first = word(link)
        assert (first["type"], first["sessions"]) == ("following", {session.id: 3})
        assert first["snapshot"]["state"] == {"step": 7}
        assert [frame["sequence"] for frame in heard(link, 2)] == [4, 5]
        assert word(link) == {"type": "caught_up", "session": session.id, "sequence": 5}
        session.append(user("more"))
        (frame,) = heard(link, 1)
        assert frame["entry"]["body"] == user("more")
        session.snapshot({"big": "x" * frames.BODY_BYTES_MAX})
        (frame,) = heard(link, 1)
        assert (frame["snapshot"], frame["truncated"]) == (None, True)
        with opened(there, {"session": session.id, "after": 7}) as late:
            first = word(late)
            assert (first["snapshot"], first["truncated"]) == (None, True)


def test_all_sessions_are_followed_from_now_on_and_new_ones_from_their_beginning(
    ledger: clew.Ledger,
) -> None:
    old, busy = ledger.create(), ledger.create()
    old.extend(turns(3))
    busy.append(user("a"))
    with serving(ledger) as there:
        with opened(there, "all") as link:
            assert word(link)["sessions"] == {old.id: old.sequence, busy.id: 1}
            busy.append(user("b"))
            new = ledger.create()
            new.append(user("c"))
            told = {frame["session"]: frame["sequence"] for frame in heard(link, 2)}
            assert told == {busy.id: 2, new.id: 1}
        busy.append(user("d"))
        newest = ledger.create()
        newest.append(user("e"))
        known = {old.id: old.sequence, busy.id: 2, new.id: 1}
        with opened(there, {"all": known}) as link:
            told = {frame["session"]: frame["sequence"] for frame in heard(link, 2)}
            assert told == {busy.id: 3, newest.id: 1}


def test_what_is_followed_can_be_changed(ledger: clew.Ledger) -> None:
    one, two = ledger.create(), ledger.create()
    with serving(ledger) as there, opened(there, {"sessions": {one.id: 0, two.id: 0}}) as link:
        until(link, "caught_up")
        until(link, "caught_up")
        link.send(json.dumps({"unsubscribe": [one.id]}))
        link.send(json.dumps({"subscribe": {"session": two.id}}))
        until(link, "caught_up")
        one.append(user("unheard"))
        two.append(user("heard"))
        (frame,) = heard(link, 1)
        assert frame["session"] == two.id
        link.send(json.dumps({"subscribe": {"session": one.id, "after": 0}}))
        assert heard(link, 1)[0]["session"] == one.id
        link.send(json.dumps({"unsubscribe": "all"}))
        link.send(json.dumps({"subscribe": {"sessions": {two.id: 0}}}))
        # What it asked for was taken once it hears this.
        assert [(f["session"], f["sequence"]) for f in heard(link, 1)] == [(two.id, 1)]
        one.append(user("unheard again"))
        two.append(user("heard again"))
        assert [(f["session"], f["sequence"]) for f in heard(link, 1)] == [(two.id, 2)]


# --- cut off -------------------------------------------------------------------------------


def _write(sessions: list[clew.Session], total: int) -> None:
    """`total` frames in turn, of entries and events."""
    for number in range(total // 4):
        session = sessions[number % len(sessions)]
        session.append(user(str(number)))
        span = session.start_span("tool", "t")
        session.update_span(span.id, outcome="ok")
        session.checkpoint()


def _cut(link: ClientConnection) -> None:
    """As a network does it: without a word."""
    link.socket.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("whole", [False, True])
def test_cut_off_again_and_again_nothing_is_missed_and_nothing_told_twice(
    tmp_path: Path, whole: bool
) -> None:
    chance = random.Random(11)
    with clew.open(f"sqlite:///{tmp_path / 'l.db'}", durability="normal") as ledger:
        sessions = [ledger.create() for _ in range(3 if whole else 1)]
        places = {session.id: 0 for session in sessions}
        seen: dict[str, list[int]] = {session.id: [] for session in sessions}
        writer = threading.Thread(target=_write, args=(sessions, TOTAL))
        with serving(ledger) as there:
            writer.start()
            cuts = count = 0
            while count < TOTAL:
                asked = {"all": places} if whole else {"sessions": places}
                some = TOTAL if cuts >= CUTS else chance.randrange(2 * TOTAL // CUTS)
                with opened(there, asked) as link:
                    for _ in range(min(some, TOTAL - count)):
                        (frame,) = heard(link, 1)
                        places[frame["session"]] = frame["sequence"]
                        seen[frame["session"]].append(frame["sequence"])
                        count += 1
                    _cut(link)
                cuts += 1
            writer.join()
        assert cuts >= CUTS // 2
        assert not ledger._live()._followers, "who is gone is not followed for"
        for session in sessions:
            assert seen[session.id] == list(range(1, session.sequence + 1))
        assert count == TOTAL


def test_a_slow_reader_is_told_so_and_nothing_is_heaped_up_for_it(tmp_path: Path) -> None:
    size, count = 32 * 1024, 1500
    with clew.open(f"sqlite:///{tmp_path / 'l.db'}", durability="normal") as ledger:
        session = ledger.create()
        with (
            serving(ledger) as there,
            opened(there, {"session": session.id}, max_queue=1, ping_interval=None) as link,
        ):
            until(link, "caught_up")
            for start in range(0, count, 50):
                session.extend([user("x" * size)] * 50)
                (protocol,) = there.running.server_state.connections
                assert protocol.transport.get_write_buffer_size() < 4 * size, start
                kept = ledger._live()._feeds[session._key]._bytes
                assert kept <= live.KEPT_BYTES + size
            found: list[int] = []
            behind = None
            while len(found) < count:
                said = word(link)
                if said["type"] == "behind":
                    behind = said
                elif said["type"] == "entry":
                    found.append(said["sequence"])
            assert behind is not None
            assert found == list(range(1, count + 1))
            assert until(link, "caught_up")["sequence"] == count


def test_the_server_ends_with_a_word(ledger: clew.Ledger) -> None:
    with serving(ledger) as there, opened(there, "all") as link, opened(there) as idle:
        until(link, "following")
        there.running.stop()
        assert last_word(link) == (1001, "unavailable")
        assert last_word(idle) == (1001, "unavailable")


# --- several processes ---------------------------------------------------------------------


def test_two_servers_on_one_database_hear_each_other(postgres_database: str) -> None:
    with (
        clew.open(postgres_database) as one,
        clew.open(postgres_database) as two,
        serving(one) as here,
        serving(two) as there,
        opened(here, "all") as near,
        opened(there, "all") as far,
    ):
        until(near, "following")
        until(far, "following")
        a, b = one.create(), two.create()
        for number in range(20):
            a.append(user(str(number)))
            b.append(user(str(number)))
        expected = [(id, n) for id in sorted((a.id, b.id)) for n in range(1, 21)]
        for link in (near, far):
            assert sorted((f["session"], f["sequence"]) for f in heard(link, 40)) == expected


def test_what_another_process_writes_into_the_file_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with clew.open(f"sqlite:///{path}") as ledger:
        session = ledger.create()
        with serving(ledger) as there, opened(there, {"session": session.id}) as link:
            until(link, "caught_up")
            code = (
                "import sys, clew\n"
                "with clew.open(sys.argv[1]) as ledger:\n"
                "    session = ledger.get(sys.argv[2])\n"
                "    session.append({'role': 'user', 'content': 'from afar'})\n"
                "    session.checkpoint('there')\n"
            )
            subprocess.run([sys.executable, "-c", code, path, session.id], check=True, timeout=60)
            entry, checkpoint = heard(link, 2)
            assert entry["entry"]["body"]["content"] == "from afar"
            assert checkpoint["checkpoint"]["label"] == "there"


# --- who may -------------------------------------------------------------------------------


def test_frames_of_spans_are_for_those_who_may_read_traces(ledger: clew.Ledger) -> None:
    session = ledger.create()
    token = ledger.create_token("reader", [Scope.SESSION_READ]).token
    with serving(ledger) as there, opened(there, {"session": session.id}, token=token) as link:
        assert word(link)["traces"] is False
        until(link, "caught_up")
        everything(session)
        session.append(user("the end"))
        found: list[dict[str, Any]] = []
        while not found or found[-1]["sequence"] < session.sequence:
            found += heard(link, 1)
        assert {frame["type"] for frame in found} == TYPES - frames.TRACES - {"erased"}
        with there.client(token=token) as client:
            text = client.get(
                "/api/v1/live/events", params={"session": session.id, "idle": 0.1}
            ).text
        assert "event: checkpoint\n" in text
        assert "event: tool_trace_start\n" not in text


def test_a_token_without_the_scope_gets_no_socket(ledger: clew.Ledger) -> None:
    blind = ledger.create_token("blind", [Scope.TRACE_READ]).token
    with (
        serving(ledger) as there,
        pytest.raises(InvalidStatus) as refused,
        opened(there, token=blind),
    ):
        raise AssertionError("let in")
    assert refused.value.response.status_code == 403


def test_a_token_of_one_project_hears_of_no_other(ledger: clew.Ledger) -> None:
    theirs = ledger.create(project="theirs")
    theirs.append(user("secret"))
    scopes = [Scope.SESSION_READ, Scope.TRACE_READ]
    token = ledger.create_token("ours", scopes, project="ours").token
    with serving(ledger) as there:
        for ask in ({"session": theirs.id}, {"sessions": {theirs.id: 0}}):
            with opened(there, ask, token=token) as link:
                assert last_word(link) == (4404, "not-found")
        with there.client(token=token) as client:
            path = f"/api/v1/live/events?session={theirs.id}&idle=0.1"
            assert client.get(path).status_code == 404
        with opened(there, {"all": {theirs.id: 0}}, token=token) as link:
            assert word(link)["sessions"] == {}
            theirs.append(user("another secret"))
            theirs.start_span("tool", "x")
            ours = ledger.create(project="ours")
            ours.append(user("hello"))
            (frame,) = heard(link, 1)
            assert frame["session"] == ours.id


def test_a_socket_ends_with_its_token(ledger: clew.Ledger) -> None:
    made = ledger.create_token("short", [Scope.SESSION_READ])
    brief = ledger.create_token("brief", [Scope.SESSION_READ], expires=int(time.time()) + 2).token
    with (
        serving(ledger) as there,
        there.client(token=made.token) as client,
        opened(there, "all", token=made.token) as link,
        opened(there, "all", token=brief) as other,
        client.stream("GET", "/api/v1/live/events") as events,
    ):
        until(link, "following")
        lines = events.iter_lines()
        assert next(lines) == "event: following"
        ledger.revoke_token(made.info.id)
        assert last_word(link) == (4401, "unauthorized")
        assert [line for line in lines if line.startswith("event")] == []
        assert last_word(other) == (4401, "unauthorized")


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '"all"',
        '{"subscribe": "some"}',
        '{"subscribe": {}}',
        '{"subscribe": {"session": 5}}',
        '{"subscribe": {"session": ""}}',
        '{"subscribe": {"sessions": {"x": -1}}}',
        '{"subscribe": {"sessions": {"x": 1.5}}}',
        '{"subscribe": {"session": "x", "all": {}}}',
        '{"subscribe": {"all": {}, "after": 3}}',
        '{"subscribe": "all", "unsubscribe": "all"}',
        '{"subscribe": "all", "more": 1}',
        '{"unsubscribe": {}}',
        '{"subscribe": ' + "[" * 100_000,
        b'{"subscribe": "all"}',
    ],
)
def test_what_no_client_should_say_closes_the_socket(said: str | bytes, small: There) -> None:
    with opened(small) as link:
        link.send(said)
        assert last_word(link) in ((4400, "malformed"), (4400, "invalid"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """A server that allows little, with one session in it."""
    path = tmp_path_factory.mktemp("small") / "ledger.db"
    with clew.open(f"sqlite:///{path}") as ledger:
        ledger.create().append(user("hello"))
        with serving(ledger, subscriptions_max=2, streams_per_token_max=3) as there:
            yield there


def test_what_is_not_there_and_what_was_not_reached(small: There) -> None:
    (info,) = small.running.server.ledger.sessions()
    with opened(small, {"session": "0" * 32}) as link:
        assert last_word(link) == (4404, "not-found")
    for ask in ({"session": info.id, "after": 9}, {"all": {info.id: 9}}):
        with opened(small, ask) as link:
            assert last_word(link) == (4409, "invalid")
    with small.client() as client:
        for query, status in (
            (f"session={info.id}&after=9", 422),
            (f"session={info.id}&after=0&after=1", 422),
            ("after=1", 422),
            (f"session={'0' * 32}", 404),
        ):
            assert client.get(f"/api/v1/live/events?{query}").status_code == status, query
        bad = {"last-event-id": "nonsense"}
        assert client.get(f"/api/v1/live/events?session={info.id}", headers=bad).status_code == 422


def test_there_is_an_end_to_what_one_client_may_ask(small: There) -> None:
    (info,) = small.running.server.ledger.sessions()
    with opened(small) as link:
        link.send(" " * (1024 * 1024 + 1))
        assert last_word(link)[0] == 1009
    with opened(small, {"sessions": {info.id: 0, "x": 0, "y": 0}}) as link:
        assert last_word(link) == (4429, "too-many")
    with opened(small) as link:
        with suppress(ConnectionClosed):
            for _ in range(1000):
                link.send('{"unsubscribe": "all"}')
        assert last_word(link) == (4429, "too-many")
    with opened(small, "all") as one, opened(small, "all") as two, opened(small, "all") as three:
        for link in (one, two, three):
            until(link, "following")
        with opened(small, "all") as link:
            assert last_word(link) == (4429, "too-many")
        with small.client() as client:
            assert client.get("/api/v1/live/events").status_code == 429
    with opened(small, "all") as link:
        until(link, "following")


# --- server-sent events --------------------------------------------------------------------


def _events(reply: httpx.Response) -> Iterator[tuple[str, str, Any]]:
    """Id, type and data, read as the standard says."""
    id, kind, data = "", "", []
    for line in reply.iter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            id = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif not line and data:
            yield id, kind, json.loads("\n".join(data))
            data = []


def test_events_are_the_same_frames_and_go_on_behind_the_last(ledger: clew.Ledger) -> None:
    session, other = ledger.create(), ledger.create()
    everything(session)
    session.append('{"role": "user",\r\n "content":\n\r "over\\nlines"}')
    expected = list(range(1, session.sequence + 1))
    query: dict[str, Any] = {"session": [session.id, other.id], "after": [0, 0], "idle": 0.3}
    last, seen = "", []
    with serving(ledger) as there, there.client() as client:
        for part in range(len(expected) // 3 + 2):
            headers = {"last-event-id": last} if last else {}
            with client.stream(
                "GET", "/api/v1/live/events", params=query, headers=headers
            ) as reply:
                assert reply.headers["content-type"] == "text/event-stream"
                fresh = 0
                for id, kind, data in _events(reply):
                    last = id
                    assert data["type"] == kind
                    if kind in frames.TALK_TYPES:
                        continue
                    seen.append(data)
                    fresh += 1
                    if fresh == 3:
                        break
            if part == 1:
                other.append(user("beside"))
    assert not ledger._live()._followers, "who is gone is not followed for"
    ours = [frame["sequence"] for frame in seen if frame["session"] == session.id]
    assert ours == expected
    assert [frame["sequence"] for frame in seen if frame["session"] == other.id] == [1]
    bodies = [frame["entry"]["body"] for frame in seen if "entry" in frame]
    assert {"role": "user", "content": "over\nlines"} in bodies


def test_events_come_as_they_happen_and_end_with_the_server(ledger: clew.Ledger) -> None:
    session = ledger.create()
    with (
        serving(ledger) as there,
        there.client() as client,
        client.stream("GET", "/api/v1/live/events") as reply,
    ):
        events = _events(reply)
        assert next(events)[1] == "following"
        session.append(call("c1"))
        id, kind, data = next(events)
        assert (kind, id) == ("entry", f"{session.id}:1")
        assert data["entry"]["role"] == "assistant"
        there.running.stop()
        assert list(events) == []
