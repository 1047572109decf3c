"""The page in Chromium: a session of 10,000 entries, and scrolling through it.

The server is a process of its own. Each round opens the long session and, beside it, a session of
ten entries and an empty page, each in a fresh context (an empty cache): what a machine does
meanwhile disturbs all three. Paints and long tasks are told by the browser itself.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import corpus
from bench.harness import Figure, Options
from bench.serving import served

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import Browser, Page

TITLE = "page: a session of 10,000 entries in Chromium"
ENTRIES = 10_000
BATCH = 1_000
ROUNDS = 7
WHEELS = 150
"""Turns of the wheel in each direction, 400 pixels each."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
WATCH = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.tasks.push(each.duration);
}).observe({ type: "longtask", buffered: true });
"""
PAINTED = """() => new Promise((done) => {
  const told = () => performance.getEntriesByName("first-contentful-paint")[0];
  if (told()) done(told().startTime);
  else new PerformanceObserver(() => { if (told()) done(told().startTime); })
    .observe({ type: "paint", buffered: true });
})"""
LOADED = """() => ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
  .reduce((sum, each) => sum + each.transferSize, 0)"""


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    given = os.environ.get("CLEW_TEST_BROWSER")
    path = next(filter(None, map(shutil.which, (given,) if given else NAMES)), None)
    if path is None:
        yield Figure(name="first paint", note="no Chromium on this machine")
        return
    from playwright.sync_api import sync_playwright

    with served(options.scratch / "page.db") as (_, client, _), sync_playwright() as driver:
        pages = {
            "long": _session(client, ENTRIES),
            "short": _session(client, 10),
            "empty": "/login",
        }
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        browser = driver.chromium.launch(executable_path=path, args=flags)
        yield from _paints(browser, client, pages)
        yield from _scrolling(browser, client, pages["long"])
        browser.close()


def _session(client: httpx.Client, entries: int) -> str:
    """A session: a prompt, a call, its result, an answer, again and again. Gives its path."""
    rng = random.Random(8)
    id = client.post("/api/v1/sessions", json={"title": "A long one"}).json()["id"]
    messages = [_message(rng, number) for number in range(entries)]
    for first in range(0, entries, BATCH):
        body = {"messages": messages[first : first + BATCH]}
        client.post(f"/api/v1/sessions/{id}/entries", json=body).raise_for_status()
    return f"/sessions/{id}"


def _message(rng: random.Random, number: int) -> dict[str, Any]:
    id, words = f"t{number // 4}", corpus.text(rng, 600)
    block: dict[str, Any] = {"type": "text", "text": f"{words}\n\n- one\n- two\n\n`code`"}
    if number % 4 == 1:
        block = {"type": "tool_use", "id": id, "name": "bash", "input": {"command": words}}
    elif number % 4 == 2:
        block = {"type": "tool_result", "tool_use_id": id, "content": words * 3}
    return {"role": "assistant" if number % 2 else "user", "content": [block]}


def _open(browser: Browser, client: httpx.Client, path: str) -> Page:
    """A page in a context of its own, with an empty cache, signed in."""
    base = str(client.base_url).rstrip("/")
    context = browser.new_context(base_url=base, viewport={"width": 1280, "height": 800})
    headers = {"Authorization": client.headers["authorization"], "Origin": base}
    assert context.request.post("/login", headers=headers).status == 204
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(path)
    return page


def _paints(browser: Browser, client: httpx.Client, pages: dict[str, str]) -> Iterator[Figure]:
    """Until something is seen, and how much came over the wire for it."""
    found: dict[str, list[float]] = {name: [] for name in pages}
    size = 0
    for number in range(ROUNDS + 1):
        for name, path in pages.items():
            page = _open(browser, client, path)
            paint = page.evaluate(PAINTED)
            if number:
                found[name].append(paint)
            if name == "long":
                page.wait_for_load_state("networkidle")
                size = page.evaluate(LOADED)
            page.context.close()
    middle = median(found["long"])
    empty = median(a / b for a, b in zip(found["long"], found["empty"], strict=True))
    short = median(a / b for a, b in zip(found["long"], found["short"], strict=True))
    yield Figure(
        name=f"first paint of {ENTRIES:,} entries",
        value=middle,
        unit="ms",
        at_most=500.0,
        ratio=empty,
        wall=middle / 1e3,
        note=f"of an empty page; {min(found['long']):.0f} ms at best",
    )
    yield Figure(name="the same / a session of 10 entries", value=short, unit="x", at_most=2.0)
    yield Figure(name="all that is loaded", value=size / 1e3, unit="KB", at_most=300.0)


def _scrolling(browser: Browser, client: httpx.Client, path: str) -> Iterator[Figure]:
    """Down from the middle, with windows that load on the way, and up again."""
    page = _open(browser, client, f"{path}?start={ENTRIES // 2}")
    page.wait_for_load_state("networkidle")
    page.evaluate("window.tasks.length = 0")
    page.mouse.move(400, 400)
    before = page.locator("li.entry").count()
    for by in (400, -400):
        for _ in range(WHEELS):
            page.mouse.wheel(0, by)
            page.wait_for_timeout(16)
    tasks: list[float] = page.evaluate("window.tasks")
    after = page.locator("li.entry").count()
    page.context.close()
    yield Figure(
        name="longest task while scrolling",
        value=max(tasks, default=0.0),
        unit="ms",
        at_most=100.0,
        note=f"{len(tasks)} over 50 ms; {after - before} more cards came",
    )
