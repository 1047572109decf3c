"""The export page: what is chosen, what redaction would replace, and that nothing else is shown."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import httpx
import pytest

import clew
from clew import previewing
from clew.access import Scope
from clew.redaction import Redactor, replacements

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "ghp_" + "x7Kq2mVb9TzR4wLc8NfJ3sHd6YpA1gEu5oQi"
MAIL = "mira.holt@kumo-gardens.org"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def web(server_url: str) -> Iterator[httpx.Client]:
    """A browser's requests, signed in, on a server with two sessions that hold secrets."""
    with clew.open(server_url) as ledger:
        told = ledger.create(agent="gardener", title="Deploy")
        told.append({"role": "user", "content": f"{HOSTILE} use {TOKEN} to push, then stop"})
        told.append({"role": "assistant", "content": f"Pushed; I told {MAIL} about it."})
        ledger.create(agent="walker").append({"role": "user", "content": f"who is {MAIL}?"})
        ledger.create(agent="walker")
    yield from _browser(server_url, os.environ["CLEW_TOKEN"])


def _browser(url: str, token: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"accept": "text/html"}) as client:
        header = {"authorization": f"Bearer {token}"}
        assert client.post("/login", headers=header).status_code == 204
        yield client


def _words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_page_says_how_much_is_chosen(web: httpx.Client) -> None:
    page = _words(web.get("/export").text)
    assert "2 sessions" in page
    assert "3 messages" in page
    assert "1 session more with an empty history: it gives no row." in page
    assert "Download 2 sessions" in page
    page = _words(web.get("/export", params={"agent": "gardener"}).text)
    assert "Download 1 session" in page
    assert "Deploy" in page


def test_what_is_chosen_goes_into_preview_and_file_alike(
    web: httpx.Client, server_url: str
) -> None:
    with clew.open(server_url) as ledger:
        id = ledger.sessions(agent="gardener")[0].id
    page = web.get("/export", params={"session": id, "agent": "gardener"}).text
    same = f"agent=gardener&amp;session={id}"
    assert f'hx-get="/export/preview?{same}"' in page
    assert f'href="/api/v1/trajectories?{same}"' in page
    assert page.count("checked") == 2, "the session, and that it is redacted"
    rows = web.get("/api/v1/trajectories", params={"session": id, "agent": "gardener"}).text
    assert rows.count("\n") == 1
    other = web.get("/api/v1/trajectories", params={"session": id, "agent": "walker"})
    assert (other.status_code, other.text) == (200, "")
    assert f'href="/export?session={id}"' in web.get(f"/sessions/{id}").text


def test_a_branch_gives_a_row_before_anything_is_said_in_it(
    web: httpx.Client, server_url: str
) -> None:
    with clew.open(server_url) as ledger:
        told = ledger.get(ledger.sessions(agent="gardener")[0].id)
        told.branch(told.checkpoint("here"), title="Aside")
        left = ledger.create(agent="forgetful")
        left.append({"role": "user", "content": "forget it"})
        left.clear()
    page = _words(web.get("/export").text)
    assert "Download 3 sessions" in page
    assert "2 sessions more with an empty history" in page
    assert "counted once" in page
    assert "3 of 3 sessions looked at" in _words(web.get("/export/preview").text)
    assert web.get("/api/v1/trajectories").text.count("\n") == 3


def test_nothing_chosen_is_said_and_offers_no_file(web: httpx.Client) -> None:
    page = web.get("/export", params={"agent": "nobody"}).text
    assert "nothing would be written" in page
    assert "data-take" not in page
    page = web.get("/export", params={"agent": "walker", "until": "2001-01-01"}).text
    assert "nothing would be written" in page


@pytest.mark.parametrize(
    ("query", "told"),
    [("since=soon", "soon"), ("session=0000", "0000"), ("project=none", "no project")],
)
def test_a_choice_that_cannot_be_is_told(web: httpx.Client, query: str, told: str) -> None:
    for path in ("/export", "/export/preview"):
        answer = web.get(f"{path}?{query}")
        assert answer.status_code == 422
        assert told in answer.text
        assert "data-take" not in answer.text


def test_the_preview_shows_places_and_never_what_was_there(web: httpx.Client) -> None:
    html = web.get("/export/preview").text
    assert TOKEN not in html
    assert MAIL not in html
    assert HOSTILE not in html
    words = _words(html)
    assert "All that is chosen was looked at." in words
    assert re.search(r"email 2 2", words), "two placeholders in two sessions"
    assert re.search(r"github[^ ]* 1 1", words)
    assert re.search(r'use <mark title="github[^"]*">&lt;SECRET_[0-9a-f]{8}&gt;</mark> to', html)
    assert len(set(re.findall(r"&lt;EMAIL_[0-9a-f]{8}&gt;", html))) == 1, "equal values stay equal"
    assert re.search(
        r'href="/sessions/[0-9a-f]{32}\?at=[0-9a-f]{32}:\d+">/messages/0/content', html
    )


def test_the_file_has_the_placeholders_that_the_preview_showed(web: httpx.Client) -> None:
    html = web.get("/export/preview").text
    shown = set(re.findall(r"&lt;([A-Z]+_[0-9a-f]{8})&gt;", html))
    written = web.get("/api/v1/trajectories").text
    assert shown == set(re.findall(r"<([A-Z]+_[0-9a-f]{8})>", written)) != set()
    actions = web.get("/audit", params={"action": "export"}).text
    assert actions.count('action=export">') == 1, "the file is on record, the look at it not"


def test_a_preview_says_what_it_did_not_look_at(
    web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewing, "SESSIONS_MAX", 1)
    words = _words(web.get("/export/preview").text)
    assert "1 of 2 sessions looked at" in words
    assert "The rest was not looked at" in words
    monkeypatch.setattr(previewing, "SESSIONS_MAX", 9)
    monkeypatch.setattr(previewing, "ENTRIES_MAX", 1)
    words = _words(web.get("/export/preview").text)
    assert "1 of 2 entries" in words
    assert "The rest was not looked at" in words
    monkeypatch.setattr(previewing, "ENTRIES_MAX", 9)
    monkeypatch.setattr(previewing, "TEXT_MAX", 60)
    words = _words(web.get("/export/preview").text)
    assert "1 very long text in them left out" in words
    assert "github" not in words


def test_raw_needs_its_own_scope_and_says_so(server_url: str, web: httpx.Client) -> None:
    page = web.get("/export", params={"raw": "true"}).text
    assert "raw=true" in page
    with clew.open(server_url) as ledger:
        lesser = ledger.create_token("lesser", scopes=[Scope.SESSION_READ, Scope.EXPORT_RUN])
        more = ledger.create_token("more", scopes=[*lesser.info.scopes, Scope.EXPORT_RAW])
    for browser in _browser(server_url, lesser.token):
        assert "needs the scope" in browser.get("/export").text
        page = browser.get("/export", params={"raw": "true"}).text
        assert "may not export without redaction" in page
        assert "data-take" not in page
        assert browser.get("/api/v1/trajectories?raw=true").status_code == 403
    for browser in _browser(server_url, more.token):
        page = browser.get("/export", params={"raw": "true"}).text
        assert "Nothing will be replaced" in page
        assert "clew-trajectories-raw.jsonl" in page
        assert TOKEN in browser.get("/api/v1/trajectories?raw=true").text


def test_whoever_may_not_read_gets_figures_only(server_url: str, web: httpx.Client) -> None:
    with clew.open(server_url) as ledger:
        blind = ledger.create_token("blind", scopes=[Scope.EXPORT_RUN, Scope.SESSION_READ])
        seeing = ledger.create_token("audit", scopes=[Scope.AUDIT_READ, Scope.SESSION_READ])
        blind_only = ledger.create_token("only", scopes=[Scope.EXPORT_RUN])
    for browser in _browser(server_url, blind.token):
        assert "to push" in browser.get("/export/preview").text
    for browser in _browser(server_url, seeing.token):
        assert browser.get("/export").status_code == 403
    header = {"authorization": f"Bearer {blind_only.token}", "accept": "text/html"}
    page = httpx.get(f"{server_url}/export", headers=header).text
    assert "Download 2 sessions" in _words(page)
    assert "Deploy" not in page
    page = httpx.get(f"{server_url}/export/preview", headers=header).text
    assert "email" in page
    assert "to push" not in page


def test_placeholders_of_others_are_not_taken_for_ours() -> None:
    redactor = Redactor(b"k" * 32)
    redacted = redactor.redact({"a": f"<EMAIL_0123abcd> wrote to {MAIL}", "b": ["nothing here"]})
    (found,) = replacements(redactor, redacted)
    assert found.path == "/a"
    assert [bool(piece.rule) for piece in found.pieces] == [False, True]
    assert found.cut == (False, False)
    assert found.count == 1


def test_contexts_are_bounded_and_near_ones_stand_together() -> None:
    redactor = Redactor(b"k" * 32)
    text = f"{'雲' * 300} {MAIL} and {MAIL} {'雲' * 300} {MAIL}"
    first, second = replacements(redactor, redactor.redact({"text": text}))
    assert (first.count, second.count) == (2, 1)
    assert first.cut == (True, True)
    assert second.cut == (True, False)
    assert sum(len(piece.text) for piece in first.pieces) < 200
    assert all("\ufffd" not in piece.text for piece in first.pieces)
