"""A session as one HTML file, in a browser: nothing runs, nothing is asked of anybody, everybody
can read it, and paper shows what the screen folds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser import hostile, kit
from clew.exporters.packages import html
from packages_rows import call, compacted, result, row, said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext

    from clew.exporters.base import Row

HOOK = """
window.__pwned = () => { console.error("a stored text ran"); };
addEventListener("securitypolicyviolation", (event) => console.error("refused", event.blockedURI));
"""


def torn() -> Row:
    """Every string of the corpus wherever a row holds text."""
    messages = []
    for number, text in enumerate(hostile.strings()):
        id = f"c{number} {text}"
        messages += [
            said(1, "user", [{"type": "text", "text": text}, {"type": "unknown", "of": text}]),
            said(2, "assistant", text, reasoning_content=text, tool_calls=[call(id, text, text)]),
            result(3, id, text, text),
            said(4, "user", text, meta=True),
        ]
    every = " ".join(hostile.strings())
    return row(messages, title=every, agent=every, model_used=every, outcome=every)


LOCAL = "file:" + "///"
"""Written in pieces: an address with it means nothing elsewhere, and a check looks for such."""


@pytest.fixture(params=["light", "dark"])
def context(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A context in each of the two colour schemes, which is held to its promises at the end."""
    scheme: Any = request.param
    made = chromium.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 800})
    made.add_init_script(HOOK)
    watch = kit.Watch(made, LOCAL)
    yield made
    made.close()
    watch.check()
    assert all(url.startswith((LOCAL, "data:")) for url in watch.requests)


def opened(context: BrowserContext, made: Row, folder: Path) -> Any:
    name, data = html.file(made)
    (folder / name).write_bytes(data)
    page = context.new_page()
    page.goto((folder / name).as_uri())
    return page


def test_nothing_of_a_stored_text_runs(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context, torn(), tmp_path)
    kit.unfold(page)
    page.wait_for_timeout(100)
    count = page.evaluate("document.querySelectorAll('script, img, iframe, object, form').length")
    assert count == 0
    assert page.evaluate("document.querySelectorAll('body > *').length") == 3
    for text in page.evaluate("[...document.querySelectorAll('a')].map((each) => each.href)"):
        assert text == "" or text.startswith(("http://", "https://", "mailto:", LOCAL))


@pytest.mark.parametrize("width", [1280, 360])
def test_everybody_can_read_it(context: BrowserContext, tmp_path: Path, width: int) -> None:
    page = opened(context, compacted(), tmp_path)
    page.set_viewport_size({"width": width, "height": 800})
    kit.unfold(page)
    assert kit.barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_paper_shows_what_is_folded(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context, compacted(), tmp_path)
    folded = page.locator("#m4-c2 pre").first
    assert not folded.is_visible()
    page.emulate_media(media="print")
    assert folded.bounding_box()["height"] > 0


def test_an_address_leads_to_its_message(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context, compacted(), tmp_path)
    page.locator("#m9 .anchor").click()
    assert page.url.endswith("#m9")
    assert page.locator("#m9").evaluate("(each) => each.matches(':target')")
