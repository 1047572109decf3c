"""Search as the ledger offers it, beyond what its index finds."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import clew
from clew import Ledger


def test_results_are_found_by_the_tool_of_their_call(ledger: Ledger) -> None:
    session = ledger.create()
    call = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
    session.append({"role": "assistant", "content": [call]})
    ledger.index_now()  # the call is indexed in another batch than its result
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "wombat.txt"}
    session.append({"role": "user", "content": [result]})
    other = {"type": "tool_result", "tool_use_id": "t9", "content": "wombat of nobody"}
    session.append({"role": "user", "content": [other]})
    found = ledger.search("wombat", tool="Bash", kind="tool_result")
    assert [hit.seq for hit in found.hits] == [2]
    assert ledger.search("wombat", tool="Read").hits == ()


def test_undo_takes_the_whole_turn_and_not_the_last_result(ledger: Ledger) -> None:
    session = ledger.create()
    session.append({"role": "user", "content": "list the files"})
    call = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
    session.append({"role": "assistant", "content": [call]})
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "a.txt"}
    session.append({"role": "user", "content": [result]})
    session.undo()
    assert session.head is None


@pytest.mark.inside
def test_a_reader_without_an_index_searches_the_log(url: str) -> None:
    if ":memory:" in url:
        pytest.skip("a ledger in memory cannot be opened twice")
    with clew.open(url, search=False) as ledger:
        ledger.create().append({"role": "user", "content": "zebra crossing"})
    with clew.open(url, search=True):
        pass
    with clew.open(url, read_only=True) as ledger:
        found = ledger.search("zebra")
    assert [hit.seq for hit in found.hits] == [1]
    assert (found.index, found.behind, found.unseen) == ("behind", 1, 0)


@pytest.mark.inside
def test_what_is_erased_while_it_is_read_for_the_index_is_not_added_behind_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clew.open(url) as ledger:
        searcher = ledger._search
        session = ledger.create()
        session.append({"role": "user", "content": "zq9secret"})
        read, erased = type(searcher)._documents, threading.Event()
        added: list[int] = []

        def slow(self: Any, *arguments: Any) -> Any:
            found = read(self, *arguments)
            if not erased.is_set():
                erased.set()
                eraser = threading.Thread(target=searcher.forget, args=([],))
                eraser.start()
                eraser.join(5)
            added.append(found[3])
            return found

        monkeypatch.setattr(type(searcher), "_documents", slow)
        ledger.reindex()
        assert len(added) >= 2, "the batch that was read before the erasure was read again"
        assert [hit.session for hit in ledger.search("zq9secret").hits] == [session.id]
        ledger.erase(session.id)
        assert ledger.search("zq9secret").hits == ()
