"""The page without a browser: who gets in, what is escaped, what is cached, what is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

import clew
from clew import markdown, words
from clew.server.pages import assets
from clew.server.pages.table import PAGES
from clew.server.routes import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def web(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A browser's requests, signed in, on a server with one session."""
    import os

    with clew.open(server_url) as ledger:
        ledger.create(agent="gardener").append({"role": "user", "content": HOSTILE})
    headers = {"accept": "text/html"}
    with httpx.Client(base_url=server_url, headers=headers) as client:
        token = {"authorization": f"Bearer {os.environ['CLEW_TOKEN']}"}
        assert client.post("/login", headers=token).status_code == 204
        yield client


@pytest.fixture
def session(web: httpx.Client, server_url: str) -> Iterator[clew.Session]:
    """The session that the browser sees."""
    with clew.open(server_url) as ledger:
        yield ledger.get(ledger.sessions()[0].id)


def test_whoever_is_not_signed_in_is_led_to_the_way_in(server_url: str) -> None:
    with httpx.Client(base_url=server_url, headers={"accept": "text/html"}) as client:
        answer = client.get("/?status=active")
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/login?next=/%3Fstatus%3Dactive",
        )
        assert client.get(answer.headers["location"]).status_code == 200
        assert client.get("/", headers={"accept": "application/json"}).status_code == 401
        assert client.post("/login").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    header = {"authorization": f"Bearer {os.environ['CLEW_TOKEN']}"}
    cookie = httpx.post(f"{server_url}/login", headers=header).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_a_cookie_changes_nothing_for_a_page_that_does_not_say_who_it_is(
    web: httpx.Client, server_url: str
) -> None:
    assert web.post("/api/v1/sessions", json={}).status_code == 403
    own = web.post("/api/v1/sessions", json={}, headers={"origin": server_url})
    assert own.status_code == 201
    other = web.post("/api/v1/sessions", json={}, headers={"origin": "http://evil.example"})
    assert other.status_code == 403


def test_signing_out_forgets_the_cookie(web: httpx.Client, server_url: str) -> None:
    assert web.get("/").status_code == 200
    web.post("/logout", headers={"origin": server_url})
    assert web.get("/").status_code == 303


def test_a_way_on_that_leads_elsewhere_leads_home(server_url: str) -> None:
    for elsewhere in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r\\evil.example",
    ):
        page = httpx.get(f"{server_url}/login", params={"next": elsewhere}).text
        assert 'data-next="/"' in page


def test_the_list_shows_sessions_and_escapes_what_they_say(web: httpx.Client) -> None:
    page = web.get("/").text
    assert "gardener" in page
    assert HOSTILE not in page
    assert "No session is like that" in web.get("/", params={"agent": "nobody"}).text


def test_what_reorders_text_is_made_visible(web: httpx.Client, session: clew.Session) -> None:
    session.label("pay \u202etxt.exe\x1b[31m now")
    for path in ("/", f"/sessions/{session.id}"):
        page = web.get(path).text
        assert "pay ⟨U+202E⟩txt.exe now" in page
        assert "\u202e" not in page


def test_a_wrong_filter_is_a_page_that_says_so(web: httpx.Client) -> None:
    answer = web.get("/", params={"status": "asleep"})
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/html")
    assert "asleep" in answer.text


def test_every_file_is_there_and_kept_by_the_browser(server_url: str) -> None:
    for name in assets.contents():
        answer = httpx.get(server_url + assets.url(name))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert httpx.get(f"{server_url}/static/0/clew.css").status_code in (401, 404)


def test_a_page_asks_for_nothing_from_elsewhere_and_holds_no_script(web: httpx.Client) -> None:
    page = web.get("/").text
    assert not re.findall(r"(?:src|href)=.https?:", page)
    assert not re.findall(r"<script(?![^>]*src=)", page)
    assert not re.findall(r"\sstyle=|\son[a-z]+=", page)


def test_only_the_way_in_is_open() -> None:
    open_ = {route.path for route in PAGES if route.scope == OPEN}
    assert {path for path in open_ if not path.startswith("/static/")} == {"/login", "/logout"}


def test_the_list_is_filtered_and_goes_on(web: httpx.Client, server_url: str) -> None:
    with clew.open(server_url) as ledger:
        for number in range(45):
            ledger.create(agent="walker").append({"role": "user", "content": f"walk {number}"})
        wrong = ledger.create(agent="faller")
        with (
            pytest.raises(OSError, match="slip"),
            wrong.turn({"role": "user", "content": "jump"}) as turn,
            turn.tool("leg", {}),
        ):
            raise OSError("slip")
        full = ledger.create(agent="packer")
        for text in ("pack", "shirts", "shoes"):
            full.append({"role": "user", "content": text})
        full.compact(summary="packed", keep_tokens=0)
        full.label("The big trunk")
    first = web.get("/", params={"agent": "walker"}).text
    assert first.count('class="session"') == 40
    rest = re.search(r'hx-get="(/\?[^"]+)"', first)
    assert rest is not None
    assert web.get(rest[1].replace("&amp;", "&")).text.count('class="session"') == 5
    for query, found in (
        ({"failed": "true"}, "faller"),
        ({"compacted": "true"}, "packer"),
        ({"q": "big TRUNK"}, "packer"),
    ):
        page = web.get("/", params=query).text
        assert page.count('class="session"') == 1, query
        assert found in page
    assert "1 error" in web.get("/", params={"failed": "true"}).text
    for sort in ("created", "messages", "duration", "tokens"):
        page = web.get("/", params={"sort": sort}).text
        assert f"<option selected>{sort}" in page
        if sort == "messages":
            assert page.index("packer") < page.index("walker")
    assert web.get("/", params={"sort": "luck"}).status_code == 422
    assert "No session" in web.get("/", params={"model": "none-such"}).text
    palette = web.get("/palette", params={"q": "trunk"}).text
    assert "The big trunk" in palette
    assert "/search?q=trunk" in palette


def test_a_token_of_one_project_sees_nothing_of_another(server_url: str) -> None:
    with clew.open(server_url, project="orchard") as ledger:
        mine = ledger.create(agent="gardener")
        mine.append({"role": "user", "content": "my pears"})
    with clew.open(server_url, project="vault") as ledger:
        other = ledger.create(agent="banker")
        entry = other.append({"role": "user", "content": "their gold"})
        mark = other.checkpoint("their mark")
        other.label("their title")
        ledger.index_now()
    with clew.open(server_url) as ledger:
        scopes = ["session:read", "trace:read", "audit:read", "session:delete", "admin"]
        token = ledger.create_token("gardener", scopes=scopes, project="orchard").token
    headers = {"accept": "text/html", "authorization": f"Bearer {token}"}
    paths = ["/", "/search?q=gold", "/palette?q=their", "/usage", "/ledger/sizes", "/audit"]
    paths += [f"/audit?session={other.id}", f"/search?q=gold&session={other.id}"]
    for way in ("", "/timeline", "/erase", f"/going?at={entry.seq}", "/trace/detail?span=x"):
        paths.append(f"/sessions/{other.id}{way}")
    for query in (f"at={entry.position}", f"to={entry.position}"):
        paths.append(f"/sessions/{mine.id}?{query}")
    paths += [f"/sessions/{mine.id}/whole?at={entry.position}&part=0"]
    paths += [f"/sessions/{mine.id}/going?at={entry.position}"]
    for name in (str(entry.position), mark.id, other.id):
        paths.append(f"/sessions/{mine.id}/diff?a=1&b={name}")
    with httpx.Client(base_url=server_url, headers=headers) as client:
        assert "<td>database</td>" not in client.get("/ledger").text
        assert "my pears" in client.get(f"/sessions/{mine.id}").text
        for path in paths:
            answer = client.get(path)
            told = answer.text.replace("their+", "").replace("“their”", "").replace("=their", "")
            assert answer.status_code in (200, 403, 404, 422), path
            for secret in ("their gold", "their title", "their mark", "banker", "vault"):
                assert secret not in told, path


def test_a_token_that_cannot_read_is_not_kept(server_url: str) -> None:
    with clew.open(server_url) as ledger:
        token = ledger.create_token("blind", scopes=["trace:read"]).token
    answer = httpx.post(f"{server_url}/login", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_very_long_words_and_titles_are_cut(web: httpx.Client, session: clew.Session) -> None:
    session.append({"role": "assistant", "content": "w" * 500_000})
    session.label("T" * 50_000)
    page = web.get(f"/sessions/{session.id}").text
    assert len(page) < 60_000
    assert "496,000 more characters" in page
    assert len(web.get("/").text) < 30_000


# --- a session and search ------------------------------------------------------------------


def _call(id: str, **arguments: object) -> dict[str, object]:
    block = {"type": "tool_use", "id": id, "name": "Edit", "input": arguments}
    return {"role": "assistant", "content": [block]}


def _result(id: str, text: str) -> dict[str, object]:
    block = {"type": "tool_result", "tool_use_id": id, "content": text}
    return {"role": "user", "content": [block]}


def test_a_call_stands_with_its_result_and_its_change(
    web: httpx.Client, session: clew.Session
) -> None:
    session.append(_call("c1", file_path="/pears.txt", old_string="one\ntwo", new_string="two"))
    session.append(_result("c1", "\x1b[31mdone\x1b[0m"))
    page = web.get(f"/sessions/{session.id}").text
    assert page.count('<details class="call ok">') == 1
    assert "of a call that is not here" not in page
    assert '<span class="del">-one' in page
    assert "/pears.txt" in page
    assert '<pre class="body">done</pre>' in page
    assert HOSTILE not in page


def test_a_window_s_edge_parts_no_call_from_its_result(
    web: httpx.Client, session: clew.Session
) -> None:
    for number in range(70):
        session.append(_call(f"c{number}"))
        session.append(_result(f"c{number}", f"gave {number}"))
    total, seen, calls = 141, 0, 0
    while seen < total:
        part = web.get(
            f"/sessions/{session.id}", params={"start": seen}, headers={"hx-request": "true"}
        ).text
        calls += part.count('<details class="call ok">')
        assert "of a call that is not here" not in part
        assert "No result is recorded" not in part
        seen += 60
    assert calls == 70


def test_a_long_text_is_cut_and_shown_whole_when_asked(
    web: httpx.Client, session: clew.Session
) -> None:
    session.append(_call("c1"))
    entry = session.append(_result("c1", "x" * 9_000))
    page = web.get(f"/sessions/{session.id}").text
    assert "5,000 more characters" in page
    whole = web.get(f"/sessions/{session.id}/whole", params={"at": str(entry.seq), "part": 0}).text
    assert "x" * 9_000 in whole
    none = web.get(f"/sessions/{session.id}/whole", params={"at": str(entry.seq), "part": 7})
    assert none.status_code == 404


def test_an_entry_that_the_session_left_is_shown_where_it_stood(
    web: httpx.Client, session: clew.Session
) -> None:
    keep = session.append({"role": "user", "content": "stays"})
    left = session.append({"role": "user", "content": "goes away"})
    session.restore(keep.position)
    session.append({"role": "user", "content": "comes instead"})
    page = web.get(f"/sessions/{session.id}", params={"at": str(left.seq)}).text
    assert "goes away" in page
    assert "comes instead" not in page
    assert "a path that the session has left" in page
    assert web.get(f"/sessions/{session.id}", params={"at": "1e9"}).status_code == 422
    assert web.get(f"/sessions/{session.id}", params={"at": "99999"}).status_code == 404
    assert web.get("/sessions/nothing").status_code == 404


def test_the_timeline_tells_turns_compactions_checkpoints_branches_and_pauses(
    web: httpx.Client, session: clew.Session
) -> None:
    for number in range(3):
        session.append({"role": "user", "content": f"prompt {number} {HOSTILE}"})
        session.append({"role": "assistant", "content": f"answer {number}"})
    mark = session.checkpoint("before the frost")
    session.compact(summary="all about pears", keep_tokens=0)
    session.append({"role": "user", "content": "go on"}, time_ms=4_102_444_800_000)
    branch = session.branch(mark)
    session.restore(mark)
    told = web.get(f"/sessions/{session.id}/timeline").text
    assert HOSTILE not in told
    assert "prompt 2" in told
    assert "before the frost" in told
    assert "Compacted" not in told  # the session went back to before it
    assert f'href="/sessions/{branch.id}"' in told
    assert "restore, away from" in told
    session.undo()
    told = web.get(f"/sessions/{session.id}/timeline").text
    assert "Compacted" in told
    assert " idle<" in told


def test_what_going_back_would_bring_about_is_said_before(
    web: httpx.Client, session: clew.Session
) -> None:
    keep = session.append({"role": "user", "content": "stay"})
    session.append(_call("c1"))
    session.append(_result("c1", "done"))
    told = web.get(f"/sessions/{session.id}/going", params={"at": str(keep.position)}).text
    assert "2 entries behind it would leave the path" in told
    assert '<span class="badge">Edit</span>' in told
    last = web.get(f"/sessions/{session.id}/going", params={"at": str(session.head)}).text
    assert "stands here already" in last
    assert web.get(f"/sessions/{session.id}/going", params={"at": "x"}).status_code == 422


def test_two_places_stand_side_by_side(web: httpx.Client, session: clew.Session) -> None:
    keep = session.append({"role": "user", "content": "shared"})
    session.append({"role": "user", "content": "on the one side"})
    branch = session.branch(keep.position)
    branch.append({"role": "user", "content": "on the other"})
    query = {"a": str(session.head), "b": branch.id}
    told = web.get(f"/sessions/{session.id}/diff", params=query).text
    assert "on the one side" in told
    assert "on the other" in told
    assert "shared" not in told.partition("<main")[2].partition("sides")[2]
    none = web.get(f"/sessions/{session.id}/diff", params={"a": "1", "b": "nothing"})
    assert none.status_code == 404


def test_usage_draws_what_was_used_and_tells_the_figures(
    web: httpx.Client, session: clew.Session
) -> None:
    usage = {"input_tokens": 1200, "cache_read_input_tokens": 30, "output_tokens": 40}
    answer = {"role": "assistant", "id": "m1", "model": "claude-<b>", "usage": usage}
    session.append({**answer, "content": [{"type": "text", "text": "x"}]})
    with session.turn({"role": "user", "content": "prune"}) as turn:
        with turn.tool("saw", {"branch": 1}) as call:
            call.output = "cut"
        with pytest.raises(OSError, match="blunt"), turn.tool("saw", {"branch": 2}):
            raise OSError("blunt")
    told = web.get("/usage").text
    assert "claude-&lt;b&gt;" in told
    assert "<td>1,200</td>" in told
    assert told.count("<rect") >= 3
    assert "saw</td><td>2</td><td>1 " in told
    assert web.get("/usage", params={"since": "soon"}).status_code == 422
    assert web.get("/usage", params={"project": "nowhere"}).status_code == 404


def test_the_ledger_s_health_is_shown_and_verified(
    web: httpx.Client, session: clew.Session, server_url: str
) -> None:
    told = web.get("/ledger").text
    assert "<b>1</b> sessions" in told
    assert session.id in web.get("/ledger/sizes").text
    done = web.post("/ledger/verify", headers={"origin": server_url})
    assert "Whole: 1 session, 1 entry" in done.text
    assert web.post("/ledger/verify").status_code == 403


def test_the_audit_log_is_paged_and_filtered(web: httpx.Client, session: clew.Session) -> None:
    for _ in range(120):
        session.append({"role": "user", "content": "x"})
        session.undo()
    told = web.get("/audit", params={"session": session.id, "action": "undo"}).text
    assert told.count("<tr><td><time") == 100
    older = re.search(r'href="(/audit\?[^"]*cursor=[^"]*)">Older', told)
    assert older is not None
    rest = web.get(older[1].replace("&amp;", "&")).text
    assert rest.count("<tr><td><time") == 20
    assert web.get("/audit", params={"since": "soon"}).status_code == 422
    assert web.get("/audit", params={"session": "nothing"}).status_code == 404


def test_what_an_erasure_would_remove_is_said_and_nothing_is_removed(
    web: httpx.Client, session: clew.Session
) -> None:
    session.branch()
    told = web.get(f"/sessions/{session.id}/erase").text
    assert "1 entry would stay: shared with 1 other session" in told
    both = web.get(f"/sessions/{session.id}/erase", params={"with_branches": "true"}).text
    assert "2 sessions" in both
    assert session.history()


def test_search_marks_what_it_found_and_escapes_the_rest(
    web: httpx.Client, session: clew.Session
) -> None:
    session.append({"role": "user", "content": "<img src=x onerror=alert(1)> pears & plums"})
    session._ledger.index_now()
    page = web.get("/search", params={"q": "pears"}).text
    assert "<mark>pears</mark> &amp; plums" in page
    assert "<img src=x" not in page
    assert f"/sessions/{session.id}?at={session.id}:2" in page
    assert "Nothing found" in web.get("/search", params={"q": "cherries"}).text
    wrong = web.get("/search", params={"q": '"open'})
    assert wrong.status_code in (200, 422)
    assert web.get("/search", params={"q": "a", "order": "worst"}).status_code == 422


@pytest.mark.parametrize(
    ("source", "shown", "never"),
    [
        ("<b onclick=x>hi</b>", "&lt;b onclick=x&gt;hi", "<b"),
        ("[go](javascript:alert(1))", "[go](javascript:alert(1))", "<a"),
        ("[go](data:text/html,x)", "[go](data:text/html,x)", "<a"),
        ("[go](/etc/passwd)", 'title="/etc/passwd"', "href"),
        ("[go](https://example.org)", 'rel="noopener noreferrer nofollow"', "<script"),
        ("![cat](https://evil.example/x.png)", "[cat: https://evil.example/x.png]", "<img"),
        ("```\n</code><script>\n```", "&lt;/code&gt;&lt;script&gt;", "<script"),
        ("| a |\n|---|\n| <i> |", "<td>&lt;i&gt;</td>", "<i>"),
        ("| a |\n|--:|\n| 1 |", '<td class="right">1</td>', "style="),
        ("a\u202eb", "⟨U+202E⟩", "\u202e"),
    ],
)
def test_markdown_of_strangers_does_nothing(source: str, shown: str, never: str) -> None:
    html = markdown.rendered(source)
    assert shown in html
    assert never not in html


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (words.count(950), "950"),
        (words.count(12_400), "12.4k"),
        (words.count(3_000_000), "3M"),
        (words.duration(340), "340 ms"),
        (words.duration(2_100), "2.1 s"),
        (words.duration(190_000), "3 min 10 s"),
        (words.duration(None), "–"),
        (words.cost(0.00421), "$0.0042"),
        (words.cost(1.267), "$1.27"),
        (words.cost(None), "–"),
        (words.ago(0, 30_000), "just now"),
        (words.ago(0, 300_000), "5 min ago"),
        (words.ago(0, 3 * 86_400_000), "3 d ago"),
        (words.ago(0, 400 * 86_400_000), "1970-01-01"),
        (words.size(1_234_567), "1.2 MB"),
    ],
)
def test_figures_read_as_a_person_says_them(told: str, expected: str) -> None:
    assert told == expected
