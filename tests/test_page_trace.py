"""Traces of sessions that recorded none, and the panel that shows them, without a browser."""

from __future__ import annotations

import html
import os
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import clew
from clew import derived

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000
START_MS = 1_760_000_000_000


@pytest.fixture
def web(server_url: str) -> Iterator[httpx.Client]:
    """A browser's requests, signed in."""
    headers = {"accept": "text/html"}
    with httpx.Client(base_url=server_url, headers=headers) as client:
        token = {"authorization": f"Bearer {os.environ['CLEW_TOKEN']}"}
        assert client.post("/login", headers=token).status_code == 204
        yield client


@pytest.fixture
def session(server_url: str) -> Iterator[clew.Session]:
    """An empty session on that server."""
    with clew.open(server_url) as ledger:
        yield ledger.create(agent="gardener")


def _say(session: clew.Session, second: float, role: str, content: Any, **more: Any) -> None:
    message = {"role": role, "content": content, **more}
    session.append(message, format="anthropic", time_ms=START_MS + int(second * 1000))


def _calls(*names: str) -> list[dict[str, Any]]:
    return [{"type": "tool_use", "id": f"c{n}", "name": n, "input": {"of": n}} for n in names]


def _result(name: str, text: str = "done", **more: Any) -> list[dict[str, Any]]:
    return [{"type": "tool_result", "tool_use_id": f"c{name}", "content": text, **more}]


def _tree(web: httpx.Client, session: clew.Session, **query: Any) -> dict[str, Any]:
    url = f"/api/v1/sessions/{session.id}/traces/tree"
    answer = web.get(url, params={"derive": "true", **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _rows(tree: dict[str, Any]) -> list[dict[str, Any]]:
    columns = dict(tree["columns"])
    for name in tree["deltas"]:
        total, values = 0, []
        for step in columns[name]:
            total += step
            values.append(total)
        columns[name] = values
    for name, texts in tree["texts"].items():
        columns[name] = [texts[place] for place in columns[name]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _short(row: dict[str, Any]) -> tuple[Any, ...]:
    """Kind, name, and from when to when in seconds after the start."""
    begun = row["started_us"] - START_MS * 1000
    took = row.get("latency_us")
    end = None if took is None else (begun + took) / SECOND
    return row["kind"], row["name"], begun / SECOND, end


def _work(session: clew.Session) -> None:
    """A turn with two calls at once, one of which fails, and a turn with one that never ends."""
    usage = {"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 700}
    model = {"model": "claude-sonnet-4-5", "usage": usage}
    _say(session, 0, "user", "Prune the trees.")
    _say(session, 4, "assistant", _calls("look", "cut"), id="m1", **model)
    _say(session, 5, "user", _result("look"))
    _say(session, 9, "user", _result("cut", "no saw", is_error=True))
    _say(session, 12, "assistant", "There is no saw.", id="m2", **model)
    _say(session, 100, "user", "Buy one.")
    _say(session, 103, "assistant", _calls("buy"), id="m3", **model)


def test_messages_tell_what_took_time(web: httpx.Client, session: clew.Session) -> None:
    _work(session)
    tree = _tree(web, session)
    rows = _rows(tree)
    name = "claude-sonnet-4-5"
    assert [_short(row) for row in rows] == [
        ("turn", "Prune the trees.", 0, 12),
        ("model", name, 0, 4),
        ("tool", "look", 4, 5),
        ("tool", "cut", 4, 9),
        ("model", name, 9, 12),
        ("turn", "Buy one.", 100, 103),
        ("model", name, 100, 103),
        ("tool", "buy", 103, None),
    ]
    assert [row["status"] for row in rows[2:4]] == ["ok", "error"]
    assert rows[-1]["status"] == "open"
    assert [row["parent"] for row in rows] == [0, 1, 2, 3, 4, 0, 1, 2]
    assert [row["turn"] for row in rows] == [1] * 5 + [2] * 3
    assert rows[2]["batch"] == rows[3]["batch"]
    assert rows[-1]["batch"] is None
    told = {key: rows[1][key] for key in ("tokens_in", "tokens_out", "cache_read", "cost")}
    assert told == {
        "tokens_in": 100,
        "tokens_out": 20,
        "cache_read": 700,
        "cost": pytest.approx(100 * 3e-6 + 20 * 15e-6 + 700 * 0.3e-6),
    }
    assert tree["derived"] == {"first": 0, "last": 7, "total": 7}
    assert [row["at"] for row in rows] == [1, 2, 2, 2, 5, 6, 7, 7]


def test_pieces_of_one_answer_are_one_call_of_a_model(
    web: httpx.Client, session: clew.Session
) -> None:
    _say(session, 0, "user", "Look.")
    for second, tokens, content in ((2, 5, "I look."), (3, 9, _calls("look"))):
        usage = {"input_tokens": 50, "output_tokens": tokens}
        _say(session, second, "assistant", content, id="m1", model="claude-x", usage=usage)
        if second == 2:
            _say(session, 2.5, "user", _result("elsewhere"))
    rows = _rows(_tree(web, session))
    assert [_short(row)[0] for row in rows] == ["turn", "model", "tool"]
    assert _short(rows[1])[2:] == (0, 3)
    assert rows[1]["tokens_out"] == 9


def test_a_repair_is_no_result(web: httpx.Client, session: clew.Session) -> None:
    _work(session)
    session.repair()
    assert _rows(_tree(web, session))[-1]["status"] == "abandoned"


def test_a_call_that_began_a_session_names_it(
    web: httpx.Client, session: clew.Session, server_url: str
) -> None:
    _work(session)
    with clew.open(server_url) as ledger:
        child = ledger.create(agent="helper", spawned_by=f"{session.id}#clook")
    row = _rows(_tree(web, session))[2]
    assert (row["kind"], row["child"]) == ("agent", child.id)


def test_what_was_recorded_is_never_derived(web: httpx.Client, session: clew.Session) -> None:
    _work(session)
    session.start_span("tool", "saw")
    tree = _tree(web, session)
    assert "derived" not in tree
    assert [row["name"] for row in _rows(tree)] == ["saw"]
    assert _rows(tree)[0]["at"] == 7


def test_nothing_is_derived_unasked_or_without_leave_to_read(
    web: httpx.Client, session: clew.Session, server_url: str
) -> None:
    _work(session)
    url = f"{server_url}/api/v1/sessions/{session.id}/traces/tree"
    assert web.get(url).json()["count"] == 0
    with clew.open(server_url) as ledger:
        token = ledger.create_token("spans only", ["trace:read"]).token
    header = {"authorization": f"Bearer {token}"}
    assert httpx.get(url, headers=header).json()["count"] == 0
    assert httpx.get(url, params={"derive": "true"}, headers=header).status_code == 403


def test_what_has_not_changed_is_not_sent_again(web: httpx.Client, session: clew.Session) -> None:
    _work(session)
    url = f"/api/v1/sessions/{session.id}/traces/tree?derive=true"
    known = {"if-none-match": web.get(url).headers["etag"]}
    assert web.get(url, headers=known).status_code == 304
    _say(session, 110, "user", _result("buy"))
    assert web.get(url, headers=known).status_code == 200


def test_a_window_at_a_time(web: httpx.Client, session: clew.Session) -> None:
    _work(session)
    newest = _tree(web, session, limit=3)
    assert newest["derived"] == {"first": 4, "last": 7, "total": 7}
    assert "next" not in newest
    assert [_short(row)[1] for row in _rows(newest)] == [
        "turn 1, from here on",
        *("claude-sonnet-4-5", "Buy one.", "claude-sonnet-4-5", "buy"),
    ]
    before = _tree(web, session, limit=3, cursor=newest["previous"])
    assert before["derived"] == {"first": 1, "last": 4, "total": 7}
    # The results of its calls are found, though they may lie behind it.
    assert [row["status"] for row in _rows(before)][-2:] == ["ok", "error"]
    assert _tree(web, session, limit=3, cursor=before["next"])["derived"]["first"] == 4
    around = _tree(web, session, limit=3, at=f"{session.id}:3")["derived"]
    assert around["first"] <= 2 < around["last"]
    assert _tree(web, session, limit=3, at="3")["derived"] == around
    url = f"/api/v1/sessions/{session.id}/traces/tree?derive=true"
    assert web.get(f"{url}&at=x").status_code == 422
    assert web.get(f"{url}&at=99").status_code == 404


def test_a_branch_shows_the_history_that_it_shares(
    web: httpx.Client, session: clew.Session
) -> None:
    _work(session)
    branch = session.branch(at=f"{session.id}:5")
    _say(branch, 20, "user", "Sharpen one.")
    rows = _rows(_tree(web, branch))
    assert rows[0]["of"] == session.id
    assert (rows[-1]["name"], rows[-1]["of"]) == ("Sharpen one.", None)


def test_only_so_much_of_a_long_session_is_read(
    web: httpx.Client, session: clew.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    _work(session)
    monkeypatch.setattr(derived, "WINDOW", 4)
    tree = _tree(web, session)
    assert tree["derived"] == {"first": 3, "last": 7, "total": 7}


# --- the panel -----------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>"


def _detail(web: httpx.Client, session: clew.Session, **query: Any) -> str:
    answer = web.get(f"/sessions/{session.id}/trace/detail", params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_panel_is_there_for_whoever_may_read_traces(
    web: httpx.Client, session: clew.Session, server_url: str
) -> None:
    page = web.get(f"/sessions/{session.id}?trace=1").text
    assert f'data-trace data-session="{session.id}"' in page
    assert 'role="treegrid"' in page
    with clew.open(server_url) as ledger:
        token = ledger.create_token("reader", ["session:read"]).token
    web.cookies.clear()
    assert web.post("/login", headers={"authorization": f"Bearer {token}"}).status_code == 204
    page = web.get(f"/sessions/{session.id}?trace=1").text
    assert page.count("data-trace") == 0
    assert "trace.js" not in page
    assert web.get(f"/sessions/{session.id}/trace/detail?at=1").status_code == 403


def test_a_call_s_bodies_are_shown_as_text(web: httpx.Client, session: clew.Session) -> None:
    _say(session, 0, "user", "Look.")
    _say(session, 1, "assistant", [{"type": "text", "text": "I look."}, *_calls("look", HOSTILE)])
    _say(session, 2, "user", _result("look", f"\x1b[31m{HOSTILE}\x1b[0m"))
    shown = _detail(web, session, at=f"{session.id}:2", part=1)
    assert "&#34;of&#34;: &#34;look&#34;" in shown
    assert "<h4>Output</h4>" in shown
    assert "&lt;script&gt;" in shown
    assert HOSTILE not in shown
    assert "\x1b" not in shown
    other = _detail(web, session, at=f"{session.id}:2", part=2)
    assert "<h4>Output</h4>" not in other
    assert HOSTILE not in other
    assert "I look." in _detail(web, session, at="2")


def test_a_long_output_is_cut_and_all_of_it_can_be_asked_for(
    web: httpx.Client, session: clew.Session
) -> None:
    _say(session, 0, "user", "Look.")
    _say(session, 1, "assistant", _calls("look"))
    _say(session, 2, "user", _result("look", "pear " * 4000 + "end"))
    shown = _detail(web, session, at="2", part=0)
    assert "end" not in shown.partition("<h4>Output</h4>")[2].partition("</pre>")[0]
    found = re.search(r'hx-get="([^"]+)"', shown.partition("<h4>Output</h4>")[2])
    assert found is not None
    assert web.get(html.unescape(found[1])).text.count("pear") == 4000


def test_what_is_no_call_has_no_bodies(web: httpx.Client, session: clew.Session) -> None:
    _work(session)
    url = f"/sessions/{session.id}/trace/detail"
    for query, status in (
        ("at=1&part=0", 404),
        ("at=2&part=7", 404),
        ("at=99&part=0", 404),
        ("at=x", 422),
        ("span=@3", 404),
        ("span=1", 404),
    ):
        assert web.get(f"{url}?{query}").status_code == status, query


def test_a_recorded_span_shows_what_was_recorded(web: httpx.Client, session: clew.Session) -> None:
    _work(session)
    span = session.start_span("tool", "saw", input={"tree": HOSTILE}, effect="external")
    session.update_span(span.id, outcome="error", error="it broke", attributes={"blade": 3})
    shown = _detail(web, session, span=str(span.sequence))
    assert "<h4>Error</h4>" in shown
    assert "it broke" in shown
    assert "blade" in shown
    assert "<dt>effect</dt><dd>external</dd>" in shown
    assert "&lt;script&gt;" in shown
    assert HOSTILE not in shown


def test_no_other_project_s_spans_are_shown(
    web: httpx.Client, session: clew.Session, server_url: str
) -> None:
    _work(session)
    with clew.open(server_url) as ledger:
        own = ledger.create(project="elsewhere")
        token = ledger.create_token("there", ["trace:read", "session:read"], project="elsewhere")
    header = {"authorization": f"Bearer {token.token}", "accept": "text/html"}
    url = f"{server_url}/sessions/{own.id}/trace/detail"
    assert httpx.get(f"{url}?at={session.id}:2&part=0", headers=header).status_code == 404
    tree = f"{server_url}/api/v1/sessions/{own.id}/traces/tree?derive=true&at={session.id}:2"
    assert httpx.get(tree, headers=header).status_code == 404
