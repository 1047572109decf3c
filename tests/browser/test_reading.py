"""The list of sessions and a session's transcript, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser import made
from browser.conftest import Browse, There
from browser.made import Ledgers

Serve = Callable[[Path], There]


def test_the_list_grows_where_it_is_scrolled(
    ledgers: Ledgers, serve: Serve, browse: Browse
) -> None:
    page = browse(serve(ledgers.many()))
    rows = page.locator("a.session")
    first = rows.count()
    assert 0 < first < 150
    while page.locator(".loading").count():
        before = rows.count()
        page.locator(".loading").scroll_into_view_if_needed()
        page.wait_for_function(
            "before => document.querySelectorAll('a.session').length > before", arg=before
        )
    assert rows.count() == 150
    assert len(set(rows.evaluate_all("all => all.map(each => each.href)"))) == 150


def test_filters_stand_in_the_address(ledgers: Ledgers, serve: Serve, browse: Browse) -> None:
    page = browse(serve(ledgers.many()))
    page.get_by_label("Project").select_option("orchard")
    page.get_by_label("Agent", exact=True).fill("beekeeper")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("project=orchard"))
    assert "agent=beekeeper" in page.url
    expect(page.get_by_role("link", name="Garden 147")).to_be_visible()
    expect(page.get_by_role("link", name="Garden 149")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("Agent", exact=True)).to_have_value("beekeeper")
    page.get_by_role("link", name="Garden 147").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Garden 147")


# --- a long session ------------------------------------------------------------------------


@pytest.fixture
def long(ledgers: Ledgers, serve: Serve) -> tuple[There, str]:
    """A server with a session of 10,000 entries, and the path of its page."""
    there = serve(ledgers.long())
    return there, f"/sessions/{there.ledger.sessions()[0].id}"


def _shown(page: Page) -> list[int]:
    """The numbers of the entries that are on the page."""
    ats = page.locator("li.entry").evaluate_all("all => all.map(each => each.dataset.at)")
    return [int(at.rpartition(":")[2]) for at in ats]


@pytest.mark.parametrize("seq", [1, 4_997, 9_993])
def test_a_link_leads_to_any_entry(long: tuple[There, str], browse: Browse, seq: int) -> None:
    there, path = long
    page = browse(there, f"{path}?at={seq}")
    chosen = page.locator("li.entry.chosen")
    expect(chosen).to_have_count(1)
    expect(chosen).to_contain_text(f"Turn {seq // 4}:")
    expect(chosen).to_be_in_viewport()
    assert len(_shown(page)) <= 60


def test_the_transcript_grows_both_ways_without_a_gap(
    long: tuple[There, str], browse: Browse
) -> None:
    there, path = long
    page = browse(there, f"{path}?start=5000")
    first = _shown(page)
    oldest = page.locator("li.entry").first
    stands = f"li.entry[data-at='{oldest.get_attribute('data-at')}']"
    oldest.scroll_into_view_if_needed()
    top = page.locator(stands).bounding_box()
    page.get_by_role("button", name="earlier entries").click()
    page.wait_for_function(
        "seq => +document.querySelector('li.entry').dataset.at.split(':')[1] < seq", arg=first[0]
    )
    assert page.locator(stands).bounding_box() == pytest.approx(top, abs=2), "it moved away"
    page.locator("[data-later]").scroll_into_view_if_needed()
    page.wait_for_function(
        "seq => +[...document.querySelectorAll('li.entry')].at(-1).dataset.at.split(':')[1] > seq",
        arg=first[-1],
    )
    seqs = _shown(page)
    assert seqs == sorted(set(seqs))
    assert page.locator("details.call.open").count() == 0, "a call was parted from its result"
    assert {(after - before) for before, after in pairwise(seqs)} <= {1, 2}


def test_of_a_long_session_only_a_part_stays_on_the_page(
    long: tuple[There, str], browse: Browse
) -> None:
    """Scroll down through many windows and up again: nothing is missing, twice, or too much."""
    there, path = long
    page = browse(there, f"{path}?start=0")
    met: set[int] = set()
    for edge in ["[data-later]"] * 9 + ["[data-earlier]"] * 9:
        shown = _shown(page)
        assert shown == sorted(set(shown))
        assert len(shown) <= 360
        met.update(shown)
        if not page.locator(edge).count():
            continue
        before = shown[-1] if edge == "[data-later]" else shown[0]
        page.locator(edge).scroll_into_view_if_needed()
        page.wait_for_function(
            """([edge, before]) => {
              const all = [...document.querySelectorAll("li.entry")];
              const at = (each) => +each.dataset.at.split(":")[1];
              return edge === "[data-later]" ? at(all.at(-1)) > before : at(all[0]) < before;
            }""",
            arg=[edge, before],
        )
    assert _shown(page)[0] == 1
    assert {seq for seq in range(1, max(met)) if seq % 4 != 3} <= met, "results stand with calls"
    assert max(met) > 500


def test_a_call_opens_to_its_input_and_output(long: tuple[There, str], browse: Browse) -> None:
    there, path = long
    page = browse(there, f"{path}?at=1")
    call = page.locator("details.call").first
    expect(call.get_by_text("moisture 0 %")).not_to_be_visible()
    call.locator("summary").click()
    expect(call.get_by_text("moisture 0 %")).to_be_visible()
    expect(page.get_by_text("The sensor tells").first).not_to_be_visible()
    page.get_by_text("Thinking").first.click()
    expect(page.get_by_text("The sensor tells").first).to_be_visible()


def test_a_long_text_is_shown_whole_when_asked(there: There, browse: Browse) -> None:
    session = there.ledger.create(title="Long")
    session.extend([made.asks("c", "cat"), made.answers("c", "x" * 20_000 + "the very end")])
    page = browse(there, f"/sessions/{session.id}")
    page.locator("details.call summary").click()
    expect(page.get_by_text("the very end")).to_have_count(0)
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_text("the very end")).to_have_count(1)


@pytest.mark.parametrize("whole", [False, True])
def test_what_a_page_loads_first_is_small(
    long: tuple[There, str], browse: Browse, whole: bool
) -> None:
    """Bytes on the wire of everything that a page asks for, scripts and sheets too."""
    there, path = long
    page = browse(there, path if whole else "/")
    page.wait_for_load_state("load")
    sizes = page.evaluate(
        """() => ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
        .map((each) => [each.name, each.transferSize])"""
    )
    assert len(sizes) > 3
    assert sum(size for _, size in sizes) < 300_000
