"""The page while an agent runs, and when its server goes and comes back."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import expect

import clew
import remote_server
from browser import made
from browser.conftest import Browse, There
from clew.server.run import Running
from clew.server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_what_an_agent_does_is_shown_as_it_happens(there: There, browse: Browse) -> None:
    session = there.ledger.create(title="Running")
    session.append(made.prompt("water all beds"))
    page = browse(there, f"/sessions/{session.id}")
    expect(page.locator("[data-live-state=live]")).to_be_visible()
    go_on = threading.Event()

    def work() -> None:
        session.append(made.asks("c1", "valve", command="open"))
        go_on.wait(30)
        session.append(made.answers("c1", "the valve is open"))
        for number in range(30):
            session.append(made.says(f"bed {number} done"))

    agent = threading.Thread(target=work)
    agent.start()
    expect(page.locator("details.call.open")).to_have_count(1)
    page.locator("details.call summary").click()
    expect(page.get_by_text("No result is recorded here.")).to_be_visible()
    go_on.set()
    expect(page.locator("details.call.ok")).to_have_count(1)
    expect(page.get_by_text("the valve is open")).to_be_visible()
    agent.join()
    expect(page.get_by_text("bed 29 done")).to_be_visible()
    assert page.locator("li.entry").count() == 32
    ids = page.locator("li.entry").evaluate_all("all => all.map(each => each.id)")
    assert len(set(ids)) == 32


def test_the_end_is_followed_only_by_who_is_there(there: There, browse: Browse) -> None:
    session = there.ledger.create()
    session.extend(made.says(f"line {number}\n\n" * 5) for number in range(30))
    page = browse(there, f"/sessions/{session.id}")
    expect(page.locator("[data-live-state=live]")).to_be_visible()
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    session.append(made.says("comes unseen"))
    expect(page.get_by_text("comes unseen")).to_be_attached()
    assert page.evaluate("scrollY") == 0
    page.evaluate("scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    session.append(made.says("comes in sight"))
    expect(page.get_by_text("comes in sight")).to_be_in_viewport()


@contextmanager
def _running(database: Path, port: int = 0) -> Iterator[tuple[Running, clew.Ledger]]:
    with clew.open(database) as ledger:
        running = Running(ledger, ServerSettings(), port=port)
        thread = threading.Thread(target=running.run, daemon=True)
        thread.start()
        assert running.ready.wait(30)
        try:
            yield running, ledger
        finally:
            running.stop()
            thread.join(30)
            assert not thread.is_alive()


def test_a_page_finds_its_server_again_and_what_happened_meanwhile(
    tmp_path: Path, browse: Browse
) -> None:
    database = tmp_path / "restarted.db"
    with _running(database) as (running, ledger):
        token = remote_server.let_in(ledger)
        session = ledger.create()
        session.append(made.prompt("before"))
        url = running.url
        page = browse(There(url, token), f"/sessions/{session.id}")
        browse.watch.allow("ERR_|Failed to load")
        expect(page.locator("[data-live-state=live]")).to_be_visible()
    expect(page.locator("[data-live-state=away]")).to_be_visible()
    with clew.open(database) as ledger:
        ledger.get(session.id).append(made.says("while the server was away"))
    with _running(database, int(url.rpartition(":")[2])) as (running, ledger):
        assert running.url == url
        expect(page.locator("[data-live-state=live]")).to_be_visible(timeout=20_000)
        expect(page.get_by_text("while the server was away")).to_be_visible()
        ledger.get(session.id).append(made.says("and after"))
        expect(page.get_by_text("and after")).to_be_visible()
        page.close()
