"""Coming in and going out, in a browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browser.conftest import Browse, There


def test_a_token_in_the_form_lets_in_and_signing_out_forgets_it(
    there: There, browse: Browse
) -> None:
    page = browse(there, "/usage", signed_in=False)
    expect(page.get_by_role("heading", name="Come in")).to_be_visible()
    expect(page.get_by_label("Access token")).to_be_focused()
    page.keyboard.type(there.token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/usage")
    expect(page.get_by_role("heading", name="Usage")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto("/")
    expect(page).to_have_url(re.compile("/login"))


def test_a_token_behind_the_sign_lets_in_and_leaves_no_trace(there: There, browse: Browse) -> None:
    page = browse(there, f"/login#{there.token}", signed_in=False)
    page.wait_for_url(f"{there.url}/")
    assert not [url for url in browse.watch.requests if there.token in url.partition("#")[0]]
    assert page.evaluate("document.cookie") == ""
    assert there.token not in page.evaluate("JSON.stringify([history.length, {...localStorage}])")
    page.go_back()
    assert page.url == "about:blank"


def test_a_wrong_token_is_told_and_lets_nobody_in(there: There, browse: Browse) -> None:
    page = browse(there, "/login", signed_in=False)
    browse.watch.allow("401")
    page.get_by_label("Access token").fill("clew_0000")
    page.get_by_role("button", name="Come in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert page.url.endswith("/login")
    page.get_by_label("Access token").fill(there.token)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{there.url}/")
