"""A tool's results are found by its name although they carry only the id of the call."""

from __future__ import annotations

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
