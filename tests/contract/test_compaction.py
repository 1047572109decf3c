"""Compaction is an overlay: views begin at the summary, and nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import clew
from clew import rules
from clew.compaction import reason_for

from .talk import bot, call, result, said, seen, turns, user

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize("reason", list(clew.Reason))
def test_a_compaction_of_each_reason(ledger: clew.Ledger, reason: clew.Reason) -> None:
    session = ledger.create()
    session.extend(turns(5))
    head = session.head
    made = session.compact(
        summary="in short", keep_from=session.entry(9), reason=str(reason), model="tiny"
    )
    assert seen(session) == ["in short", "ask 5", "say 5"]
    assert len(said(session)) == 10
    assert made.reason == reason
    assert made.pre == head
    assert made.post == session.head
    assert made.summary == "in short"
    assert made.first_kept == clew.Position(session.id, 9)
    assert made.tokens_before is not None
    assert made.tokens_after is not None
    assert made.tokens_before > made.tokens_after > 0
    assert session.checkpoints() == [made]
    overlay = session.entry(11)
    assert overlay.kind == clew.Kind.COMPACTION
    assert overlay.meta["covered"] == 8
    assert overlay.meta["model"] == "tiny"
    lead = session.context()[0]
    assert lead.summary
    assert lead.role == "user"


def test_an_unknown_reason_is_refused(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(5))
    with pytest.raises(clew.Invalid, match="whim"):
        session.compact(summary="s", keep_tokens=1, reason="whim")
    assert session.checkpoints() == []


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, clew.Reason.AUTO),
        ({"overflow": True}, clew.Reason.OVERFLOW),
        ({"timed_out": True, "overflow": True}, clew.Reason.TIMEOUT),
        ({"manual": True, "timed_out": True, "overflow": True}, clew.Reason.MANUAL),
    ],
)
def test_why_a_compaction_happens(facts: dict[str, bool], reason: clew.Reason) -> None:
    assert reason_for(**facts) is reason


def test_a_cut_between_call_and_result_names_the_nearest(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend([*turns(2), user("go"), call("1"), result("1"), bot("done"), *turns(1, 3)])
    with pytest.raises(clew.Invalid, match=f"nearest legal: {session.id}:\\d+") as caught:
        session.compact(summary="s", keep_from=session.entry(7))
    nearest = str(caught.value).rsplit(" ", 1)[1]
    session.compact(summary="s", keep_from=nearest)
    assert seen(session)[0] == "s"


def test_what_cannot_be_compacted(ledger: clew.Ledger) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid, match="nothing"):
        session.compact(summary="s")
    session.extend(turns(2))
    with pytest.raises(clew.Invalid, match="nothing to compact"):
        session.compact(summary="s")
    with pytest.raises(clew.Invalid, match="nothing to compact"):
        session.compact(summary="s", keep_from=session.entry(1))
    with pytest.raises(clew.Invalid, match="either"):
        session.compact(keep_tokens=1)
    with pytest.raises(clew.Invalid, match="either"):
        session.compact(summary="s", summarize=lambda _messages: "s", keep_tokens=1)
    foreign = ledger.create().append(user("x"))
    with pytest.raises(clew.Invalid, match="no message of the current view"):
        session.compact(summary="s", keep_from=foreign)
    assert session.info.entries == 4
    assert session.checkpoints() == []


def test_the_summarizer_is_given_what_goes(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(3))
    given: list[str] = []

    def summarize(messages: Sequence[clew.Message]) -> str:
        given.extend(message.text for message in messages)
        return "short"

    session.compact(summarize=summarize, keep_from=session.entry(5))
    assert given == ["ask 1", "say 1", "ask 2", "say 2"]


def test_what_is_appended_meanwhile_is_carried_over(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(3))

    def summarize(_messages: Sequence[clew.Message]) -> str:
        ledger.get(session.id).extend(turns(1, 9))
        return "short"

    made = session.compact(summarize=summarize, keep_from=session.entry(5))
    assert seen(session) == ["short", "ask 3", "say 3", "ask 9", "say 9"]
    assert made.pre == clew.Position(session.id, 8)


def test_a_failing_summarizer_changes_nothing(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(3))
    before = (session.head, session.info.entries, session.checkpoints(), len(ledger.audit()))

    def fail(_messages: Sequence[clew.Message]) -> str:
        raise TimeoutError("the model did not answer")

    with pytest.raises(TimeoutError):
        session.compact(summarize=fail, keep_tokens=1)
    for nothing in ("", "  \n", None, 5):
        with pytest.raises(clew.Invalid, match="empty"):
            session.compact(
                summarize=lambda _messages, text=nothing: text,  # type: ignore[misc]
                keep_tokens=1,
            )
    after = (session.head, session.info.entries, session.checkpoints(), len(ledger.audit()))
    assert after == before


@pytest.mark.parametrize("what", ["rewound", "cleared", "compacted"])
def test_a_rewind_or_a_second_compaction_meanwhile_is_a_conflict(
    ledger: clew.Ledger, what: str
) -> None:
    session = ledger.create()
    session.extend(turns(4))

    def summarize(_messages: Sequence[clew.Message]) -> str:
        other = ledger.get(session.id)
        if what == "rewound":
            other.undo()
        elif what == "cleared":
            other.clear()
        else:
            other.compact(summary="quicker", keep_from=other.entry(5))
        return "short"

    with pytest.raises(clew.Conflict, match="nothing was compacted") as caught:
        session.compact(summarize=summarize, keep_from=session.entry(7))
    assert caught.value.head == session.head
    assert "short" not in seen(session)


def test_undo_and_restore_take_a_compaction_back(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(3))
    made = session.compact(summary="s", keep_from=session.entry(5))
    session.undo()
    assert len(seen(session)) == 6
    session.restore(made.post and str(made.post))
    assert seen(session)[0] == "s"
    session.restore(made)
    assert len(seen(session)) == 6
    branch = session.branch(made)
    assert len(seen(branch)) == 6


def test_compactions_in_a_chain(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(4))
    session.compact(summary="one", keep_from=session.entry(5))
    session.extend(turns(2, 5))
    given: list[str] = []

    def summarize(messages: Sequence[clew.Message]) -> str:
        given.extend(message.text for message in messages)
        return "two"

    session.compact(summarize=summarize, keep_from=session.entry(10))
    assert given == ["one", "ask 3", "say 3", "ask 4", "say 4"]
    assert seen(session) == ["two", "ask 5", "say 5", "ask 6", "say 6"]
    assert len(said(session)) == 12
    session.undo()
    assert seen(session)[0] == "one"


def test_a_second_compaction_may_keep_from_before_the_first(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(4))
    session.compact(summary="one", keep_from=session.entry(5))
    session.append(user("last"))
    session.compact(summary="two", keep_from=session.entry(7))
    assert seen(session) == ["two", "ask 4", "say 4", "last"]


def test_a_compacted_session_is_valid_for_every_provider(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend([*turns(3), user("go"), call("1"), call("2"), result("2"), result("1")])
    session.extend([bot("done"), *turns(2, 7)])
    session.compact(summary="s", keep_tokens=20)
    for provider in ("anthropic", "openai-chat", "openai-responses", "gemini"):
        assert rules.check(provider, session.view(provider).request) == []
        assert session.view(provider, max_tokens=15).tokens <= 15
