"""A browser for each test: its own context, signed in, watched, on a ledger of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

import clew
import remote_server
from browser import kit, made

WAIT_MS = 15_000
"""For what comes by itself: machines that run tests are slow at any moment."""


class There:
    """A server with a ledger, and the ledger from inside."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token

    @property
    def ledger(self) -> clew.Ledger:
        """The ledger in this process that is served."""
        return remote_server.SERVED[self.url]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for the folder; gone before the next tests, since its driver keeps an event
    loop in the thread.
    """
    if kit.executable() is None:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(kit.MISSING, pytrace=False)
        pytest.skip(kit.MISSING)
    with kit.launched() as browser:
        yield browser


@pytest.fixture(scope="package")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> made.Ledgers:
    """Ledgers that take long to make, made once."""
    return made.Ledgers(tmp_path_factory.mktemp("ledgers"))


@pytest.fixture
def there(server_url: str) -> There:
    """A server with an empty ledger."""
    return There(server_url, os.environ["CLEW_TOKEN"])


@pytest.fixture
def serve(server_host: remote_server.Host, tmp_path: Path) -> Iterator[Callable[[Path], There]]:
    """Serve a copy of a made ledger."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def served(database: Path) -> There:
            copy = tmp_path / "copy.db"
            shutil.copyfile(database, copy)
            token = stack.enter_context(server_host.serving(f"sqlite:///{copy}"))
            return There(server_host.url, token)

        yield served


class Browse:
    """Opens pages, each in a context of its own. `watch` holds the newest one to its promises."""

    watch: kit.Watch

    def __init__(self, chromium: Browser) -> None:
        self._chromium = chromium
        self._opened: list[tuple[BrowserContext, kit.Watch]] = []

    def __call__(
        self, there: There, path: str = "/", *, signed_in: bool = True, **options: Any
    ) -> Page:
        """A page of the server, 1280 by 800 unless `options` (Playwright's) say otherwise."""
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = self._chromium.new_context(base_url=there.url, **options)
        context.set_default_timeout(WAIT_MS)
        self.watch = kit.Watch(context, there.url)
        self._opened.append((context, self.watch))
        if signed_in:
            kit.sign_in(context, there.url, there.token)
        page = context.new_page()
        page.goto(path)
        return page

    def close(self) -> None:
        """End all, then fail where one of them told of a problem."""
        for context, _ in self._opened:
            context.close()
        for _, watch in self._opened:
            watch.check()


@pytest.fixture
def browse(chromium: Browser) -> Iterator[Browse]:
    """Opens pages, in contexts that end with the test."""
    opened = Browse(chromium)
    yield opened
    opened.close()
