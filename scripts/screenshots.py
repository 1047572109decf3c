"""Take the pictures of the page that the documentation shows: `python scripts/screenshots.py`.

Everything in them is invented: the bundled samples, and an agent that records what it does. With
a folder named, every page is taken at three widths and in both themes, to be looked at:
`python scripts/screenshots.py FOLDER`. Needs the tools of `make test`, a Chromium, and a
font with Chinese characters (Debian: fonts-wqy-microhei), which one of the samples is written in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import clew
from clew.access import Scope
from clew.server.run import Running
from clew.server.settings import ServerSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
SIZES = {"wide": (1200, 700), "middle": (900, 900), "phone": (390, 800)}
KEPT = {
    "sessions": ("wide", "light"),
    "session": ("wide", "light"),
    "trace": ("wide", "dark"),
    "search": ("wide", "light"),
    "usage": ("wide", "light"),
    "phone": ("phone", "dark"),
}
"""What the documentation shows: at which size, in which theme."""
BYTES_MAX = 150_000


def fill(ledger: clew.Ledger, database: Path) -> clew.Session:
    """Bring in the samples, let the sample agent run, make a session that goes on."""
    ledger.import_from(ROOT / "samples" / "claude-code")
    environment = dict(os.environ, CLEW_DB=str(database))
    # It kills itself in the middle of a call: that is what it shows.
    subprocess.run([sys.executable, ROOT / "samples" / "agent.py"], env=environment, check=False)
    session = longest(ledger)
    session.checkpoint("before the review")
    session.branch(session.checkpoints()[0], title="the other way")
    session = running(ledger)
    ledger.index_now()
    return session


def longest(ledger: clew.Ledger) -> clew.Session:
    """The imported session with the most messages."""
    infos = [each for each in ledger.sessions() if each.agent == "claude-code"]
    return ledger.get(max(infos, key=lambda info: info.messages).id)


def running(ledger: clew.Ledger) -> clew.Session:
    """A session with nested, parallel and failing calls, one of which runs on."""
    session = ledger.create(title="Find out why the nightly backup is slow", agent="keeper")
    with session.turn({"role": "user", "content": "Why is the nightly backup slow?"}) as turn:
        for number, (tool, pause) in enumerate(
            [("list_jobs", 0.05), ("read_log", 0.12), ("disk_usage", 0.2), ("ssh", 0.1)]
        ):
            with turn.model("claude-sonnet-4-5", provider="anthropic", tier="fast") as model:
                time.sleep(0.06)
                model.usage(input=400, output=80 + number, cache_read=4_000 * number)
            call = {"type": "tool_use", "id": f"k{number}", "name": tool, "input": {"host": "nas"}}
            said = {"type": "text", "text": "One more place to look."}
            session.append({"role": "assistant", "content": [said, call]})
            with turn.tool(tool, {"host": "nas"}, call_id=f"k{number}", effect="none") as work:
                time.sleep(pause)
                work.output = "2 jobs, one waits for the disk"
                if tool == "ssh":
                    work.outcome, work.error = "error", "connection refused"
            block = {
                "type": "tool_result",
                "tool_use_id": f"k{number}",
                "content": "connection refused" if tool == "ssh" else work.output,
                "is_error": tool == "ssh",
            }
            session.append({"role": "user", "content": [block]})
        with turn.agent("log reader", {"days": 7}) as inner:
            for _ in range(3):
                with inner.tool("read_log", {"day": "Monday"}) as work:
                    time.sleep(0.05)
                    work.output = "02:00 to 05:40"
        session.append(
            {
                "role": "assistant",
                "content": "The second job **waits for the first**: both write to one disk.\n\n"
                "| job | starts | ends |\n|---|---|---|\n| photos | 02:00 | 05:40 |\n"
                "| mail | 02:05 | 06:10 |\n\nMove `mail` to 06:00.",
            }
        )
    return session


def pages(ledger: clew.Ledger, session: clew.Session) -> dict[str, str]:
    """Every page's path, by its name."""
    story = f"/sessions/{longest(ledger).id}"
    return {
        "sessions": "/",
        "session": story,
        "phone": story,
        "trace": f"/sessions/{session.id}?trace=1",
        "going": f"{story}/going?at={longest(ledger).head}",
        "search": "/search?q=test",
        "usage": "/usage?since=2020-01-01",
        "ledger": "/ledger",
        "audit": "/audit",
        "export": "/export",
        "erase": f"/sessions/{session.id}/erase",
        "login": "/login",
        "404": "/sessions/none",
    }


@contextmanager
def serving(ledger: clew.Ledger) -> Iterator[tuple[str, str]]:
    """A server; its address and a token."""
    running = Running(ledger, ServerSettings())
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    running.ready.wait(30)
    try:
        yield running.url, ledger.create_token("screenshots", map(str, Scope)).token
    finally:
        running.stop()
        thread.join(30)


def opened(browser: Browser, url: str, token: str, size: str, theme: str) -> Page:
    """A page that is signed in."""
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    headers = {"Authorization": f"Bearer {token}", "Origin": url}
    assert context.request.post("/login", headers=headers).status == 204
    return context.new_page()


def take(page: Page, path: str, file: Path) -> None:
    """One picture, when all of the page is there."""
    page.goto(path)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=file)


def main() -> int:
    """Take the pictures."""
    from playwright.sync_api import sync_playwright

    given = os.environ.get("CLEW_TEST_BROWSER")
    chromium = next(filter(None, map(shutil.which, (given,) if given else NAMES)), None)
    if chromium is None:
        print("screenshots: needs a Chromium (scripts/setup.sh dev installs one)", file=sys.stderr)
        return 1
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    wanted = KEPT if folder == IMAGES else None
    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch) / "shown.db"
        with clew.open(database) as ledger, sync_playwright() as driver:
            session = fill(ledger, database)
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            with serving(ledger) as (url, token):
                for name, path in pages(ledger, session).items():
                    looks = (
                        ([wanted[name]] if name in wanted else [])
                        if wanted
                        else [(size, theme) for size in SIZES for theme in ("light", "dark")]
                    )
                    for size, theme in looks:
                        page = opened(browser, url, token, size, theme)
                        file = folder / (f"{name}.png" if wanted else f"{name}-{size}-{theme}.png")
                        take(page, path, file)
                        page.context.close()
                        if wanted and file.stat().st_size > BYTES_MAX:
                            print(f"screenshots: {file.name} is large", file=sys.stderr)
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
