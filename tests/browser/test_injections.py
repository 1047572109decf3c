"""Stored text is text: a hundred hostile strings in every field, and nothing runs, nothing is made
of them, nothing is asked of anybody else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

import clew
from browser import hostile, kit
from clew.server.pages.table import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from browser.conftest import Browse, There

HOOK = """
window.__pwned = () => { console.error("a stored text ran"); };
addEventListener("securitypolicyviolation", (event) => console.error("refused", event.blockedURI));
"""
FOREIGN = Path(__file__).with_name("foreign.js").read_text(encoding="utf-8").partition("\n")[2]
ELSEWHERE = ("/login", "/ledger/verify")
"""Pages of the table that are tried in other ways here."""


@pytest.fixture(scope="module")
def every() -> list[str]:
    """The corpus."""
    found = hostile.strings()
    assert len(found) == len(set(found)) == 100
    return found


@pytest.fixture
def torn(there: There, tmp_path: Path) -> clew.Session:
    """The session with the most hostile text."""
    return hostile.fill(there.ledger, tmp_path / "history")


def _visits(torn: clew.Session, every: list[str]) -> Iterator[tuple[str, str]]:
    """Every page: its place in the table, and addresses that show as much as there is."""
    home = f"/sessions/{torn.id}"
    head = str(torn.head)
    branch = torn._ledger.sessions(limit=2)[1].id
    for after in range(0, len(torn.history()) + 60, 60):
        yield "/sessions/{session}", f"{home}?start={after}"
    yield "/sessions/{session}", home
    yield "/sessions/{session}", f"{home}?trace=1"
    others = torn._ledger.sessions(limit=200)
    branches = [each for each in others if each.forked_from]
    imported = [each for each in others if each.agent == "claude-code"]
    assert branches
    assert imported
    for session in (*branches[:2], *imported):
        yield "/sessions/{session}", f"/sessions/{session.id}"
    yield "/sessions/{session}/timeline", f"{home}/timeline"
    yield "/sessions/{session}/whole", f"{home}/whole?at=1&part=0"
    yield "/sessions/{session}/going", f"{home}/going?at={torn.id}:5"
    yield "/sessions/{session}/diff", f"{home}/diff?a={head}&b={branch}"
    yield "/sessions/{session}/diff", f"{home}/diff?a={torn.id}:1&b={head}"
    yield "/sessions/{session}/erase", f"{home}/erase"
    yield "/sessions/{session}/trace/detail", f"{home}/trace/detail?at={torn.id}:2"
    for span in list(torn.spans())[:4]:
        yield "/sessions/{session}/trace/detail", f"{home}/trace/detail?span={span.sequence}"
    yield "/", "/"
    yield "/palette", "/palette?q=script"
    for path in ("/usage", "/ledger", "/ledger/sizes", "/audit", "/export", "/export/preview"):
        yield path, path
    for words in ("script", "pwned", "evil", every[0], every[17]):
        yield "/search", f"/search?q={quote(words)}"


def _quiet(page: Page, address: str) -> None:
    """Open a page, unfold all of it, and look for what a stored text made."""
    page.goto(address)
    kit.unfold(page)
    if "trace=1" in address:
        page.wait_for_load_state("networkidle")
    kit.settle(page)
    assert page.evaluate(FOREIGN) == [], address


def test_nothing_stored_runs_or_becomes_an_element(
    there: There, torn: clew.Session, every: list[str], browse: Browse
) -> None:
    page = browse(there, "/login")
    page.add_init_script(HOOK)
    browse.watch.allow("status of 4")
    seen = set(ELSEWHERE)
    for path, address in _visits(torn, every):
        _quiet(page, address)
        seen.add(path)
    pages = {route.path for route in PAGES if not route.path.startswith("/static/")}
    assert pages - seen <= {"/logout"}, "a page that this test does not open: add it to _visits"


def test_nothing_asked_for_runs_or_becomes_an_element(
    there: There, every: list[str], browse: Browse
) -> None:
    session = there.ledger.create()
    session.append({"role": "user", "content": "x"})
    page = browse(there, "/login")
    page.add_init_script(HOOK)
    browse.watch.allow("status of 4")
    for number, text in enumerate(every[::3]):
        words = quote(text, safe="")
        addresses = (
            f"/search?q={words}&kind={words}",
            f"/?agent={words}&q={words}",
            f"/audit?action={words}",
            f"/sessions/{session.id}?at={words}",
            f"/login?next={words}",
        )
        page.goto(addresses[number % len(addresses)])
        assert page.evaluate(FOREIGN) == [], page.url


def test_hostile_text_is_shown_as_it_is(
    there: There, torn: clew.Session, every: list[str], browse: Browse
) -> None:
    """The test above would pass on an empty page: here is the text."""
    page = browse(there, f"/sessions/{torn.id}?start=0")
    kit.unfold(page)
    page.wait_for_load_state("networkidle")
    told = page.locator("main").text_content() or ""
    for text in every[:18]:
        assert text in told
    names = page.locator("details.call .tool").all_text_contents()
    assert names[:15] == every[:15]


def test_the_corpus_runs_where_text_is_not_escaped(
    every: list[str], browse: Browse, there: There
) -> None:
    """What the tests above look for is found on a page that does not escape."""
    page = browse(there, "/login")
    browse.watch.allow(".")
    page.add_init_script(HOOK)
    page.route(
        "**/careless",
        lambda route: route.fulfill(
            content_type="text/html", body="<!doctype html><body>" + "<p>".join(every[18:40])
        ),
    )
    page.goto("/careless")
    assert page.evaluate(FOREIGN)
    page.wait_for_load_state("load")
    assert any("a stored text ran" in each for each in browse.watch.problems)
    assert any("asks elsewhere" in each for each in browse.watch.problems)
