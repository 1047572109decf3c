"""Moves of the head: nothing is lost, each can be undone, and the log keeps everything."""

from __future__ import annotations

import pytest

import clew

from .talk import bot, call, inner, result, said, turns, user


def test_a_restore_goes_back_and_an_append_goes_on_from_there(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    there = session.checkpoint("good")
    session.extend(turns(1, 3))
    move = session.restore(there)
    assert (move.action, move.from_, move.to) == (
        "restore",
        clew.Position(session.id, 6),
        clew.Position(session.id, 4),
    )
    session.append(user("instead"))
    assert said(session) == ["ask 1", "say 1", "ask 2", "say 2", "instead"]
    assert [entry.seq for entry in session.entries()] == list(range(1, 8))
    session.restore(clew.Position(session.id, 6))
    assert said(session)[-1] == "say 3"


def test_undo_takes_back_one_move_after_another(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(3))
    session.restore(session.entry(4))
    session.restore(session.entry(2))
    session.clear()
    for length in (2, 4, 6):
        session.undo()
        assert len(said(session)) == length
    session.undo()
    assert said(session) == ["ask 1", "say 1", "ask 2", "say 2"]
    assert [move.action for move in session.moves()] == ["undo"] * 4 + ["clear"] + ["restore"] * 2


def test_undo_takes_back_whole_turns_with_their_tools(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend([user("a"), bot("b"), user("c"), call("1"), result("1"), bot("d")])
    assert session.undo().to == clew.Position(session.id, 2)
    assert session.undo().to is None
    with pytest.raises(clew.Invalid, match="nothing to undo"):
        session.undo()
    assert session.history() == []


def test_an_undone_turn_can_be_redone(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    move = session.undo()
    assert said(session) == ["ask 1", "say 1"]
    session.restore(move.from_ and str(move.from_))
    assert said(session)[-1] == "say 2"


def test_undo_behind_a_move_and_an_append_takes_the_turn_then_the_move(
    ledger: clew.Ledger,
) -> None:
    session = ledger.create()
    session.extend(turns(3))
    session.restore(session.entry(2))
    session.extend(turns(1, 9))
    session.undo()
    assert said(session) == ["ask 1", "say 1"]
    session.undo()
    assert said(session)[-1] == "say 3"


def test_clear_keeps_the_log_and_the_config(ledger: clew.Ledger) -> None:
    session = ledger.create(config={"model": "m"})
    session.extend(turns(2))
    move = session.clear()
    assert session.history() == session.context() == []
    assert dict(session.config) == {"model": "m"}
    assert len([e for e in session.entries() if e.kind == clew.Kind.MESSAGE]) == 4
    session.append(user("anew"))
    assert said(session) == ["anew"]
    session.restore(move.from_ and str(move.from_))
    assert len(said(session)) == 4


def test_reset_drops_the_config_when_told(ledger: clew.Ledger) -> None:
    session = ledger.create(config={"model": "m"})
    session.append(user("a"))
    session.reset()
    assert dict(session.config) == {"model": "m"}
    session.reset(keep_config=False)
    assert dict(session.config) == {}
    session.undo()
    assert dict(session.config) == {"model": "m"}
    session.undo()
    assert said(session) == ["a"]


def test_replace_stands_on_new_messages_and_can_be_undone(ledger: clew.Ledger) -> None:
    session = ledger.create(config={"model": "m"})
    session.extend(turns(3))
    session.replace_history([user("short"), bot("story")])
    assert said(session) == ["short", "story"]
    assert dict(session.config) == {"model": "m"}
    session.append(user("on"))
    assert said(session) == ["short", "story", "on"]
    session.undo()
    session.undo()
    assert len(said(session)) == 6


def test_replace_with_wrong_input_changes_nothing(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    before = session.head
    with pytest.raises(clew.Invalid):
        session.replace_history([user("x"), {"role": "nobody"}])
    assert session.head == before


def test_clearing_an_empty_session_is_harmless(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.clear()
    session.replace_history([])
    assert session.head is None
    session.undo()
    session.undo()
    with pytest.raises(clew.Invalid):
        session.undo()


def test_restore_of_the_root_and_by_text(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    session.restore("root")
    assert session.head is None
    session.restore("3")
    assert said(session)[-1] == "ask 2"
    session.restore(f"{session.id}:1")
    assert said(session) == ["ask 1"]


def test_restore_to_where_the_session_never_was_is_refused(ledger: clew.Ledger) -> None:
    one, two = ledger.create(), ledger.create()
    foreign = one.append(user("a"))
    two.append(user("b"))
    with pytest.raises(clew.Invalid, match="branch"):
        two.restore(foreign)
    branch = one.branch()
    one.append(user("later"))
    with pytest.raises(clew.Invalid, match="branch"):
        branch.restore(one.head and str(one.head))
    assert said(two) == ["b"]


def test_a_branch_goes_back_to_its_origin_after_a_clear(ledger: clew.Ledger) -> None:
    """`restore` once knew only places on the present path and in the session's own log."""
    origin = ledger.create()
    origin.extend(turns(3))
    branch = origin.branch()
    there = branch.checkpoint("fork")
    branch.clear()
    branch.restore(there)
    assert len(said(branch)) == 6
    assert branch.undo().to is None
    branch.append(user("own"))
    branch.restore(there)
    undone = branch.undo()
    branch.restore(undone.from_ and str(undone.from_))
    branch.restore(clew.Position(origin.id, 2))
    assert said(branch) == ["ask 1", "say 1"]


def test_an_undone_turn_of_a_branch_is_redone_in_its_origin(ledger: clew.Ledger) -> None:
    origin = ledger.create()
    origin.extend(turns(2))
    branch = origin.branch()
    move = branch.undo()
    branch.restore(str(move.from_))
    assert len(said(branch)) == 4


def test_undo_of_a_config_change_and_a_label(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("a"))
    session.config["x"] = 1
    session.config["x"] = 2
    session.undo()
    assert session.config["x"] == 1
    session.undo()
    assert dict(session.config) == {}
    session.label("named")
    session.undo()
    assert said(session) == ["a"]


def test_a_thousand_restores(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    anchor = session.entry(2)
    near = inner(ledger) is ledger and inner(ledger)._database.dialect == "sqlite"
    for number in range(1000 if near else 200):
        session.restore(anchor)
        session.append(user(f"try {number}"))
    assert said(session) == ["ask 1", "say 1", session.tail(1)[0].text]
    assert len(session.moves(limit=10_000)) == session.info.entries - 4


# --- labels and repair ---------------------------------------------------------------------


def test_a_label_names_the_session(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert not ledger.create().info.title
    entry = session.label("Fix the pump")
    assert entry.kind == clew.Kind.LABEL
    assert session.info.title == "Fix the pump"
    session.label("Fix the other pump")
    assert session.info.title == "Fix the other pump"
    assert ledger.create(title="from birth").info.title == "from birth"
    assert session.history() == []


def test_repair_answers_every_open_call_once(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert session.repair() is None
    session.extend([user("a"), call("1"), call("2"), result("2")])
    entry = session.repair()
    assert entry is not None
    assert entry.kind == clew.Kind.REPAIR
    assert session.repair() is None
    (answer,) = session.history()[-1].tool_results
    assert (answer.call_id, answer.is_error, answer.synthetic) == ("1", True, True)
    session.append(user("go on"))
    assert session.view("openai-chat").repaired == ("1",)


def test_a_late_result_beside_a_repair_is_kept(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend([user("a"), call("1")])
    session.repair()
    session.append(result("1", "late but true"))
    assert session.history()[-1].tool_results[0].text == "late but true"
    assert session.view("openai-chat").duplicates == 1
