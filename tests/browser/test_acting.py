"""Going back and aside, comparing, searching and usage, in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

import clew
from browser import made
from browser.conftest import Browse, There


@pytest.fixture
def session(there: There) -> clew.Session:
    """Three turns with a checkpoint behind the first."""
    session = there.ledger.create(title="Going")
    session.extend(made.turn(0))
    session.checkpoint("after the first")
    session.extend([*made.turn(1), *made.turn(2)])
    return session


def _from(page: Page, number: int) -> None:
    """Open the dialog at the entry of that number."""
    page.get_by_role("button", name=f"Go from entry {number}", exact=True).click()
    expect(page.locator("dialog.going")).to_be_visible()


def test_a_branch_begins_at_an_entry(there: There, session: clew.Session, browse: Browse) -> None:
    page = browse(there, f"/sessions/{session.id}")
    _from(page, 4)
    page.get_by_role("button", name="Branch here").click()
    page.wait_for_url(lambda url: "/sessions/" in url and session.id not in url)
    expect(page.locator("li.entry.user")).to_have_count(1)
    expect(page.get_by_role("link", name="branched from another")).to_be_visible()
    assert len(session.history()) == 12


def test_a_restore_says_what_it_changes_and_is_undone(
    there: There, session: clew.Session, browse: Browse
) -> None:
    page = browse(there, f"/sessions/{session.id}")
    _from(page, 4)
    dialog = page.locator("dialog.going")
    expect(dialog).to_contain_text("leave the path")
    expect(dialog).to_contain_text("not undone")
    expect(dialog).to_contain_text("read_sensor")
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    assert len(session.history()) == 12
    _from(page, 4)
    dialog.get_by_role("button", name="Restore here").click()
    expect(page.locator("li.entry.user")).to_have_count(1)
    assert len(session.history()) == 4
    browse.watch.answers()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("li.entry.user")).to_have_count(3)
    assert len(session.history()) == 12


def test_what_the_server_refuses_is_told_in_the_dialog(
    there: There, session: clew.Session, browse: Browse
) -> None:
    page = browse(there, f"/sessions/{session.id}")
    browse.watch.allow("status of 4")
    _from(page, 4)
    with session.lease("somebody else"):
        page.get_by_role("button", name="Restore here").click()
        expect(page.locator("dialog.going").get_by_role("alert")).to_contain_text("somebody else")
    assert len(session.history()) == 12


def test_two_marks_are_compared(there: There, session: clew.Session, browse: Browse) -> None:
    page = browse(there, f"/sessions/{session.id}")
    marks = page.locator("[data-timeline]")
    marks.get_by_label("Compare after the first").check()
    expect(page.get_by_role("button", name="Compare two")).to_be_disabled()
    marks.get_by_label(re.compile("Compare Turn 2")).check()
    page.get_by_role("button", name="Compare two").click()
    page.wait_for_url("**/diff?**")
    expect(page.get_by_role("heading", name=re.compile("Only in"))).to_have_count(2)
    expect(page.locator("main")).to_contain_text("Turn 1: is bed 1 watered?")


def test_timeline_and_transcript_lead_to_one_another(there: There, browse: Browse) -> None:
    session = there.ledger.create()
    session.extend(message for number in range(15) for message in made.turn(number))
    page = browse(there, f"/sessions/{session.id}")
    timeline = page.locator("[data-timeline]")
    timeline.get_by_role("link", name=re.compile("Turn 3:")).click()
    prompt = page.locator("li.entry.user", has_text="Turn 3:")
    expect(prompt).to_be_in_viewport()
    expect(prompt).to_be_focused()
    assert f"at={session.id}" in page.url.replace("%3A", ":")
    page.locator("li.entry.user", has_text="Turn 9:").scroll_into_view_if_needed()
    page.mouse.move(400, 400)
    page.mouse.wheel(0, 250)
    expect(timeline.locator("[aria-current]")).to_contain_text(re.compile("Turn (9|10):"))


def test_a_turn_that_is_not_on_the_page_is_opened(there: There, browse: Browse) -> None:
    session = there.ledger.create()
    session.extend(message for number in range(60) for message in made.turn(number))
    page = browse(there, f"/sessions/{session.id}")
    expect(page.locator("li.entry.user", has_text="Turn 2:")).to_have_count(0)
    page.locator("[data-timeline]").get_by_role("link", name=re.compile("Turn 2:")).click()
    expect(page.locator("li.entry.chosen")).to_contain_text("Turn 2:")
    expect(page.locator("li.entry.chosen")).to_be_in_viewport()


def test_search_marks_leads_to_the_entry_and_keeps_its_filters(
    there: There, browse: Browse
) -> None:
    session = there.ledger.create(title="Orchard")
    session.extend(message for number in range(60) for message in made.turn(number))
    session.append(made.prompt("where is the quince marmalade?"))
    session.extend(message for number in range(60) for message in made.turn(number))
    there.ledger.index_now()
    page = browse(there, "/search")
    page.locator("input[name=q]").fill("quince")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"q=quince"))
    expect(page.locator("mark")).to_have_text(["quince"])
    page.locator("a.hit").click()
    expect(page.locator("li.entry.chosen")).to_contain_text("quince marmalade")
    expect(page.locator("li.entry.chosen")).to_be_in_viewport()
    page.go_back()
    expect(page.locator("input[name=q]")).to_have_value("quince")


def test_usage_draws_and_tells(there: There, browse: Browse) -> None:
    session = there.ledger.create()
    usage = {"input_tokens": 1200, "cache_read_input_tokens": 30, "output_tokens": 40}
    session.append({**made.says("hello"), "id": "m", "model": "claude-sonnet-4-5", "usage": usage})
    page = browse(there, "/usage")
    expect(page.get_by_role("img", name="Tokens by model")).to_be_visible()
    figures = page.get_by_role("cell", name="1,200").first
    expect(figures).not_to_be_visible()
    page.get_by_text("Figures").first.click()
    expect(figures).to_be_visible()
