"""A browser for tests: where it is, and what it must never do while a test looks elsewhere.

`Watch` holds a context to the promises of the page: no error in the console (a refusal by the
content security policy is one), no exception, no dialog that nobody expects, and nothing asked
of any address but the server's own.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Dialog, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = (
    "no Chromium is on this machine: `scripts/setup.sh dev` installs Debian's as root; elsewhere "
    "install one, or say where it is in CLEW_TEST_BROWSER"
)
GRAVE = ("serious", "critical")
AXE = files("axe_playwright_python") / "axe.min.js"
"""axe-core, as its package carries it."""


def executable() -> str | None:
    """The browser on this machine; `CLEW_TEST_BROWSER` names one."""
    given = os.environ.get("CLEW_TEST_BROWSER")
    return next(filter(None, map(shutil.which, (given,) if given else NAMES)), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser with a profile of its own that is gone afterwards."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """Everything wrong that happened in a context. `allow` takes a pattern of what a test brings
    about on purpose, `answers` says yes to the next dialogs.
    """

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.requests: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        self._answers = 0
        self._host = urlsplit(origin).netloc
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self._note(f"exception: {error.error}"))
        context.on("dialog", self._on_dialog)
        context.on("request", self._on_request)

    def allow(self, pattern: str) -> None:
        """What matches is expected."""
        self._allowed.append(re.compile(pattern))

    def answers(self, count: int = 1) -> None:
        """The next dialogs are expected, and answered with yes."""
        self._answers += count

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(
                f"console {message.type}: {message.text} ({message.page and message.page.url})"
            )

    def _on_dialog(self, dialog: Dialog) -> None:
        self.asked.append(dialog.message)
        if self._answers:
            self._answers -= 1
        else:
            self._note(f"dialog: {dialog.message}")
        dialog.accept()

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self._host:
            self._note(f"asks elsewhere: {request.url}")

    def _note(self, problem: str) -> None:
        self.problems.append(problem)

    def check(self) -> None:
        """Fail where something happened that nobody expected."""
        left = [each for each in self.problems if not any(p.search(each) for p in self._allowed)]
        assert not left, "the browser tells of problems:\n" + "\n".join(left)


def sign_in(context: BrowserContext, url: str, token: str) -> None:
    """Come in without the form: the cookie is the server's own."""
    answer = context.request.post(
        f"{url}/login", headers={"Authorization": f"Bearer {token}", "Origin": url}
    )
    assert answer.status == 204, answer.text()


def settle(page: Page) -> None:
    """Wait until the parts that a page loads by itself are there."""
    page.wait_for_function(
        """() => document.readyState === "complete"
        && !document.querySelector(".htmx-request, [hx-trigger^=load] > p.soft:only-child")
        && new Promise((done) => setTimeout(() => done(true), 60))"""
    )


def unfold(page: Page) -> None:
    """Open all that folds, and ask for every long text."""
    page.evaluate(
        """() => {
          document.querySelectorAll("details").forEach((each) => { each.open = true; });
          document.querySelectorAll(".long button").forEach((each) => each.click());
        }"""
    )


def barriers(page: Page, *rules: str) -> list[str]:
    """What axe-core finds on a page that is serious or critical: rule, element, why. Looks for
    everything, or for some `rules`.
    """
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = rules
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "async (options) => (await axe.run(document, options)).violations", options
    )
    return [
        f"{each['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for each in found
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]
