"""The page for everybody: no barriers, the keyboard alone, a phone, little motion, the dark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import clew
from browser import kit, made
from clew.server.pages.table import PAGES

if TYPE_CHECKING:
    from browser.conftest import Browse, There

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 700}
CONTRAST = ("color-contrast",)
"""What a theme changes."""
PARTS = {"/palette", "/export/preview", "/ledger/sizes", "/ledger/verify", "/login", "/logout"}
"""Pages of the table that are parts of others, or looked at while nobody is signed in."""


@pytest.fixture
def garden(there: There) -> clew.Session:
    """A session with a little of everything."""
    return made.garden(there.ledger)


def _pages(garden: clew.Session) -> dict[str, str]:
    """The path of each whole page."""
    home = f"/sessions/{garden.id}"
    branch = next(info.id for info in garden._ledger.sessions() if info.forked_from)
    found = {
        route.path: route.path.replace("{session}", garden.id)
        for route in PAGES
        if route.path.count("/") < 4 and not route.path.startswith("/static/")
    }
    found = {path: at for path, at in found.items() if path not in PARTS}
    for part in ("whole", "timeline", "going"):
        del found["/sessions/{session}/" + part]
    found["/sessions/{session}/diff"] = f"{home}/diff?a={garden.id}:3&b={branch}"
    found["/search"] = "/search?q=bed"
    return found | {"trace": f"{home}?trace=1", "404": "/sessions/none", "422": "/?status=odd"}


@pytest.mark.parametrize(
    ("theme", "size", "rules"),
    [
        ("light", WIDE, ()),
        ("dark", WIDE, CONTRAST),
        ("light", PHONE, ()),
        ("dark", PHONE, CONTRAST),
    ],
    ids=["wide-light", "wide-dark", "phone-light", "phone-dark"],
)
def test_axe_finds_no_barrier_and_nothing_is_too_wide(
    there: There,
    garden: clew.Session,
    browse: Browse,
    theme: str,
    size: dict[str, int],
    rules: tuple[str, ...],
) -> None:
    page = browse(there, "/login", color_scheme=theme, viewport=size, signed_in=False)
    browse.watch.allow("status of 4")

    def wrong() -> list[str]:
        return [*kit.barriers(page, *rules), *_too_wide(page)]

    found = {"/login": wrong()}
    kit.sign_in(page.context, there.url, there.token)
    for path, address in _pages(garden).items():
        page.goto(address)
        kit.unfold(page)
        kit.settle(page)
        found[path] = wrong()
    page.goto(f"/sessions/{garden.id}")
    page.locator("[data-from]").first.click()
    expect(page.locator("dialog.going")).to_be_visible()
    found["going"] = wrong()
    assert {path: told for path, told in found.items() if told} == {}


def _too_wide(page: Page) -> list[str]:
    wide: list[str] = page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
        [...document.querySelectorAll("body *")]
          .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
          .slice(0, 4).map((each) => `too wide: ${each.outerHTML.slice(0, 120)}`)"""
    )
    return wide


# --- the keyboard --------------------------------------------------------------------------


def _tab_to(page: Page, name: str, *, most: int = 80) -> None:
    """Press Tab until what has the focus is called so."""
    for _ in range(most):
        page.keyboard.press("Tab")
        held = page.evaluate(
            """() => { const at = document.activeElement;
            return at.getAttribute("aria-label") ?? at.innerText ?? ""; }"""
        )
        if name in held:
            return
    pytest.fail(f"Tab never came to {name!r}")


def test_the_keyboard_alone_comes_to_a_call_and_back_in_time(
    there: There, garden: clew.Session, browse: Browse
) -> None:
    page = browse(there)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    _tab_to(page, "Watering the orchard")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/sessions/{garden.id}")
    _tab_to(page, "read_sensor")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "the focus is not seen"
    page.keyboard.press("Enter")
    expect(page.locator("details.call[open]")).to_have_count(1)
    _tab_to(page, "Go from entry")
    page.keyboard.press("Enter")
    expect(page.locator("dialog.going")).to_be_visible()
    _tab_to(page, "Branch here", most=6)
    page.keyboard.press("Escape")
    expect(page.locator("dialog.going")).not_to_be_visible()
    assert "Go from entry" in page.evaluate("document.activeElement.ariaLabel")


def test_letters_walk_fold_search_and_explain(
    there: There, garden: clew.Session, browse: Browse
) -> None:
    page = browse(there)
    page.keyboard.press("j")
    first = page.locator("a.session").first
    expect(first).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("dialog.keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.keys")).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(page.locator("dialog.palette input")).to_be_focused()
    page.keyboard.type("orchard")
    expect(page.locator("dialog.palette a")).to_have_text(
        [re.compile("Watering the orchard"), re.compile("Search for")]
    )
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/sessions/{garden.id}")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert f"at={garden.id}" in page.url.replace("%3A", ":")
    page.keyboard.press("g")
    page.keyboard.press("u")
    page.wait_for_url("**/usage")


def test_the_theme_follows_the_system_until_it_is_chosen(there: There, browse: Browse) -> None:
    page = browse(there, color_scheme="dark")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(paper)
    page.get_by_role("button", name="Light or dark").click()
    light = page.evaluate(paper)
    assert light != dark
    page.goto("/usage")
    assert page.evaluate(paper) == light
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(paper) == dark


def test_nothing_moves_for_who_wants_little_motion(
    there: There, garden: clew.Session, browse: Browse
) -> None:
    page = browse(there, f"/sessions/{garden.id}", reduced_motion="reduce")
    moving = page.evaluate("document.getAnimations().length")
    assert moving == 0
    page.locator("[data-timeline] a[data-goto]").first.click()
    before, after = page.evaluate(
        "new Promise((done) => { const at = scrollY; setTimeout(() => done([at, scrollY]), 300); })"
    )
    assert before == after, "the page scrolls by itself"
