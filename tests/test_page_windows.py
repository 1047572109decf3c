"""A transcript's windows join without a gap or a repetition; pages are packed for the wire."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import httpx
import pytest

import clew
from clew.server.pages import assets

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES = 150
PART = {"hx-request": "true"}


@pytest.fixture
def web(server_url: str) -> Iterator[httpx.Client]:
    """A browser's requests, signed in."""
    with httpx.Client(base_url=server_url, headers={"accept": "text/html"}) as client:
        token = {"authorization": f"Bearer {os.environ['CLEW_TOKEN']}"}
        assert client.post("/login", headers=token).status_code == 204
        yield client


@pytest.fixture
def path(server_url: str) -> str:
    """The page of a session of 150 entries."""
    with clew.open(server_url) as ledger:
        session = ledger.create()
        session.extend({"role": "user", "content": f"pear {each}"} for each in range(ENTRIES))
        return f"/sessions/{session.id}"


def _seqs(html: str) -> list[int]:
    return [int(at) for at in re.findall(r'data-at="\w+:(\d+)"', html)]


def _next(html: str, mark: str) -> str | None:
    found = re.search(rf'<li class="more" data-{mark} hx-get="([^"]+)"', html)
    return found and found[1].replace("&amp;", "&")


@pytest.mark.parametrize("begin", [{"start": 20}, {"start": 130}, {"at": "75"}, {}])
def test_windows_join_in_both_directions(
    web: httpx.Client, path: str, begin: dict[str, str]
) -> None:
    page = web.get(path, params=begin).text
    seqs = _seqs(page)
    up, down = _next(page, "earlier"), _next(page, "later")
    while up:
        part = web.get(up, headers=PART).text
        assert _next(part, "later") is None
        seqs, up = _seqs(part) + seqs, _next(part, "earlier")
    while down:
        part = web.get(down, headers=PART).text
        assert _next(part, "earlier") is None
        seqs, down = seqs + _seqs(part), _next(part, "later")
    assert seqs == list(range(1, ENTRIES + 1))


def test_a_window_before_the_beginning_is_empty_or_refused(web: httpx.Client, path: str) -> None:
    for before in (0, -5):
        assert _seqs(web.get(path, params={"before": before}, headers=PART).text) == []
    assert web.get(path, params={"before": "x"}).status_code == 422


def test_pages_and_files_are_packed_for_who_takes_it(web: httpx.Client, path: str) -> None:
    for url in (path, assets.url("clew.css")):
        small = web.get(url, headers={"accept-encoding": "gzip"})
        plain = web.get(url, headers={"accept-encoding": "identity"})
        assert small.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert small.headers["vary"] == plain.headers["vary"] == "accept-encoding"
        assert 3 * int(small.headers["content-length"]) < int(plain.headers["content-length"])
        assert small.text[:500] == plain.text[:500]
    tiny = web.get(assets.url("theme.js"))
    assert "content-encoding" not in tiny.headers
