"""Pairs of branches: where they part, which way is preferred, and what is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clew.exporters import line
from clew.exporters.base import Unfit
from clew.exporters.formats import named
from clew.exporters.projections.functions import united
from projections_kit import BASH, History, Row, branches, call

if TYPE_CHECKING:
    from collections.abc import Sequence

OUTCOMES = ("success", "recovered", "incomplete", "unknown", "aborted", "error")


def family(format: str, rows: Sequence[Row]) -> list[Any]:
    """What a format makes of a family; for what it cannot say, the reason."""
    made = named(format)
    assert made.family is not None
    assert made.check is not None
    out = [told.made for told in made.family(rows)]
    assert [made.check(one) for one in out if not isinstance(one, Unfit)] == [[]] * sum(
        not isinstance(one, Unfit) for one in out
    )
    return [one.reason if isinstance(one, Unfit) else one for one in out]


def words(messages: Sequence[Row]) -> list[str]:
    return [message["content"] for message in messages]


def preferred(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What each pair says first."""
    pairs = family("dpo", rows)
    return [(words(one["chosen"])[0], words(one["rejected"])[0]) for one in pairs]


def two_ways(first: str = "yes", second: str = "no", **more: Any) -> list[Row]:
    """One question, two answers: of the head, and of a branch that was left."""
    asked = History().user("may I?")
    left = History(after=asked).says(second).row("left")
    return [History(after=asked).says(first).row(**more), left]


# --- which way -----------------------------------------------------------------------------


RANKS = {"success": 0, "recovered": 1, "incomplete": 2, "unknown": 2, "aborted": 3, "error": 4}


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("other", OUTCOMES)
def test_of_two_heads_the_one_that_ended_better_is_preferred(outcome: str, other: str) -> None:
    first, second = two_ways()
    first["outcome"], second["outcome"] = outcome, other
    second["branch"] = "head"
    wanted = [("yes", "no")] if RANKS[outcome] < RANKS[other] else [("no", "yes")]
    if RANKS[outcome] == RANKS[other]:
        wanted = []
    assert preferred([first, second]) == preferred([second, first]) == wanted


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("other", OUTCOMES)
def test_what_was_left_is_worth_less_whatever_its_end_looks_like(outcome: str, other: str) -> None:
    head, left = two_ways()
    head["outcome"], left["outcome"] = outcome, other
    assert preferred([head, left]) == preferred([left, head]) == [("yes", "no")]
    for one, label in zip(family("kto", [head, left]), (True, False), strict=True):
        assert one == "no label" or one["label"] is label


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_of_two_that_were_left_the_later_took_the_place_of_the_first(outcome: str) -> None:
    later, first = two_ways()
    rows = [later | {"branch": "left"}, first | {"outcome": outcome}]
    assert preferred(rows) == preferred(rows[::-1]) == [("yes", "no")]
    good, bad = family("kto", rows)
    assert good == "left", "it was left itself"
    assert (words(bad["completion"]), bad["label"]) == (["no"], False)


def test_what_was_left_in_other_sessions_is_told_apart_by_its_end() -> None:
    asked, copied = History().user("which?"), History("s2").user("which?")
    rows = [asked.says("a").row("left"), copied.says("b").row("left")]
    assert family("dpo", rows) == []
    rows[1]["outcome"] = "success"
    assert preferred(rows) == [("b", "a")]


def test_a_verifier_knows_better() -> None:
    head, left = two_ways()
    head |= {"outcome": "error", "outcome_source": "verifier"}
    left |= {"outcome": "success", "outcome_source": "verifier"}
    assert preferred([head, left]) == [("no", "yes")]
    good, bad = family("kto", [head, left])
    assert (words(good["completion"]), good["label"]) == (["no"], True)
    assert (words(bad["completion"]), bad["label"]) == (["yes"], False)
    head["outcome"] = "success"
    assert preferred([head, left]) == [("yes", "no")]
    assert family("kto", [head, left])[1] == "no label"
    head["outcome_source"] = "heuristic"  # it did not know of this one
    head["outcome"] = "error"
    assert preferred([head, left]) == [("yes", "no")]


def test_two_heads_that_ended_alike_are_no_pair() -> None:
    head, other = two_ways()
    assert family("dpo", [head, other | {"branch": "head"}]) == []
    assert preferred([head | {"outcome": "success"}, other | {"branch": "head"}]) == [("yes", "no")]


def test_the_best_is_preferred_to_each_worse_one_once() -> None:
    asked = History().user("which?")
    rows = [History(after=asked).says(answer).row() for answer in ("a", "b", "c", "d")]
    for row, outcome in zip(rows, ("error", "success", "aborted", "success"), strict=True):
        row["outcome"] = outcome
    assert preferred(rows) == [("b", "a"), ("b", "c")]


def test_each_parting_is_one_of_its_own() -> None:
    asked = History().user("one?")
    agreed = History(after=asked).says("first").user("two?")
    rows = [
        History(after=agreed).says("x").row(),
        History(after=agreed).says("y").row("left"),
        History(after=asked).says("other").row("left"),
        History(after=agreed).user("three?").says("z").row("left"),
    ]
    assert preferred(rows) == [("first", "other"), ("x", "y")]
    assert words(family("dpo", rows)[1]["prompt"]) == ["one?", "first", "two?"]


def test_no_pair_where_the_user_or_a_tool_says_something_else() -> None:
    asked = History().user("go").says("", call("c1"))
    rows = [
        History(after=asked).gives("c1", "here").says("Good.").row(),
        History(after=asked).gives("c1", "gone").says("Bad.").row("left"),
        History(after=asked).user("stop").says("Yes.").row("left"),
        History().user("come").says("No.").row("left"),
    ]
    assert family("dpo", rows) == []
    assert family("openai-preference", rows) == []


def test_a_history_that_was_copied_is_the_same() -> None:
    def said(session: str, answer: str, *, shift: int) -> History:
        history = History(session)
        for number in range(shift):
            history.user(f"{number}")
        history._messages.clear()
        return history.system("Be brief.").user("which?").says(answer)

    rows = [said("s1", "a", shift=0).row(), said("s2", "b", shift=4).row()]
    rows[1]["outcome"] = "error"
    assert preferred(rows) == [("a", "b")]
    assert words(family("dpo", rows)[0]["prompt"]) == ["Be brief.", "which?"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("Let me", "Let me look."), ("Let me look.", "Let me")],
)
def test_an_answer_and_how_it_begins_are_no_pair(first: str, second: str) -> None:
    assert family("dpo", two_ways(first, second)) == ["same answer"]
    assert family("openai-preference", two_ways(first, second)) == ["same answer"]


def test_equal_answers_are_no_pair_whatever_their_calls_are_called() -> None:
    assert family("dpo", two_ways("same", "same")) == []
    asked = History().user("go")
    rows = [
        History(after=asked).says("", call(id)).gives(id, "ok").says("Done.").row(branch)
        for id, branch in (("c1", "head"), ("toolu_9", "left"))
    ]
    assert family("dpo", rows) == []
    assert len(family("kto", rows)) == 2
    assert family("kto", rows)[1] == "left"
    rows[1]["branch"] = "head"
    assert family("kto", rows)[1:] == ["same answer"]


# --- what is made of it --------------------------------------------------------------------


def test_an_answer_ends_with_its_turn() -> None:
    first, second = family("dpo", branches())
    assert words(first["prompt"]) == words(second["prompt"]) == ["Be brief.", "list files"]
    assert [message["role"] for message in first["chosen"]] == ["assistant", "tool", "assistant"]
    assert words(first["chosen"]) == ["", "a.txt", "a.txt"]
    assert words(first["rejected"]) == ["", "sl: not found", "I cannot."]
    assert words(second["rejected"]) == ["I do not know."]


def test_openai_takes_one_message_of_either_side() -> None:
    first, second = family("openai-preference", branches())
    assert words(first["input"]["messages"]) == ["Be brief.", "list files"]
    assert first["input"]["parallel_tool_calls"] is False
    asked = first["preferred_output"], first["non_preferred_output"]
    assert [side[0]["tool_calls"][0]["function"]["arguments"] for (side) in asked] == [
        '{"command": "ls"}',
        '{"command":"sl"}',
    ]
    assert second["non_preferred_output"] == [{"role": "assistant", "content": "I do not know."}]


def test_a_lost_result_may_stand_in_a_prompt_and_not_in_an_answer() -> None:
    asked = History().user("go").says("", call("c1")).user("so?")
    for message in (
        rows := [
            History(after=asked).says("a").row(),
            History(after=asked).says("b").row("left"),
        ]
    )[0]["messages"] + rows[1]["messages"]:
        message["train"] = message["sampled"]  # as when its segment ends there
    (pair,) = family("dpo", rows)
    assert words(pair["prompt"]) == ["go", "", '{"status":"lost"}', "so?"]
    lost = History().user("go")
    rows = [
        History(after=lost).says("Yes.", call("c2")).row(),
        History(after=lost).says("No.").row("left"),
    ]
    assert family("dpo", rows) == ["lost result"]
    (pair,) = family("openai-preference", rows)
    assert pair["preferred_output"][0]["content"] == "Yes."


def test_an_answer_that_only_thinks_is_none() -> None:
    asked = History().user("go")
    rows = [
        History(after=asked).says("Done.").row(),
        History(after=asked).says(thinks="hm").row("left"),
    ]
    assert family("dpo", rows) == ["no answer"]
    assert family("openai-preference", rows) == ["no answer"]


def test_reasoning_stays_with_its_answer() -> None:
    asked = History().user("go")
    rows = [
        History(after=asked).says("Done.", thinks="easy").row(),
        History(after=asked).says("Never.").row("left"),
    ]
    (pair,) = family("dpo", rows)
    assert pair["chosen"][0]["reasoning_content"] == "easy"
    assert "train" not in line(pair).decode()


# --- good and bad --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "label"),
    [("success", True), ("recovered", True), ("error", False), ("aborted", False)],
)
def test_the_last_turn_of_a_session_is_good_or_bad(outcome: str, label: bool) -> None:
    row = History().user("one").says("1").user("two").says("", call("c1")).gives("c1").says("2")
    (made,) = family("kto", [row.row() | {"outcome": outcome}])
    assert made["label"] is label
    assert words(made["prompt"]) == ["one", "1", "two"]
    assert words(made["completion"]) == ["", "ok", "2"]


@pytest.mark.parametrize(
    ("outcome", "made"),
    [("success", "left"), ("recovered", "left"), ("error", False), ("aborted", False)],
)
def test_what_was_left_is_never_good(outcome: str, made: str | bool) -> None:
    row = History().user("one").says("1").row("left") | {"outcome": outcome}
    (one,) = family("kto", [row])
    assert (one if isinstance(one, str) else one["label"]) == made


def test_what_a_verifier_calls_good_is_good() -> None:
    row = History().user("one").says("", call("c1")).gives("c1").row("left")
    row |= {"outcome": "success", "outcome_source": "verifier"}
    assert family("kto", [row])[0]["label"] is True


@pytest.mark.parametrize("thinks", ["", "so it is"])
def test_an_answer_that_ends_in_a_result_is_not_good(thinks: str) -> None:
    row = History().user("go").says("", call("c1")).gives("c1").says(thinks=thinks).row()
    assert row["outcome_rule"] == "no-answer"
    assert family("kto", [row]) == ["no label"]
    assert family("kto", [row | {"outcome": "success"}]) == ["no answer"]


@pytest.mark.parametrize("outcome", ["unknown", "incomplete"])
def test_of_other_outcomes_nothing_is_known(outcome: str) -> None:
    row = History().user("one").says("1").row() | {"outcome": outcome}
    assert family("kto", [row]) == ["no label"]


def test_nobody_answered() -> None:
    row = History().user("one").says("1").user("two").row() | {"outcome": "aborted"}
    assert family("kto", [row]) == ["no answer"]
    row = History().says("1").row() | {"outcome": "success"}
    assert family("kto", [row]) == ["no prompt"]


def test_both_answers_of_a_pair_stand_once() -> None:
    asked = History().user("which?")
    rows = [History(after=asked).says(answer).row() for answer in ("a", "b", "c")]
    for row, outcome in zip(rows, ("success", "error", "unknown"), strict=True):
        row["outcome"] = outcome
    made = family("kto", rows)
    assert [(words(one["completion"]), one["label"]) for one in made] == [
        (["a"], True), (["b"], False), (["c"], False),
    ]  # fmt: skip


def test_an_outcome_that_says_the_contrary_gives_no_label() -> None:
    head, left = two_ways()
    head["outcome"] = left["outcome"] = "error"
    assert family("kto", [head, left])[0] == "no label"
    assert family("kto", [head, left])[1]["label"] is False
    left |= {"branch": "head", "outcome": "recovered"}
    head["outcome"] = "success"
    assert family("kto", [head, left])[0]["label"] is True
    assert family("kto", [head, left])[1] == "no label"


# --- tools ---------------------------------------------------------------------------------


def test_tools_of_both_branches_are_told() -> None:
    asked = History().user("go")
    rows = [
        History(after=asked).says("", call("c1", "Edit", '{"path":"x","all":true}')).gives("c1")
        .says("Done.").row(tools=[BASH]),
        History(after=asked).says("", call("c2", "Edit", '{"path":["x"]}')).gives("c2")
        .says("Hm.").says("", call("c3", "Read", "{}")).gives("c3").says("No.").row("left"),
    ]  # fmt: skip
    (pair,) = family("dpo", rows)
    tools = {tool["function"]["name"]: tool["function"] for tool in pair["tools"]}
    assert list(tools) == ["Bash", "Edit", "Read"]
    edit = tools["Edit"]["parameters"]
    assert edit["required"] == ["path"]
    assert edit["properties"] == {
        "all": {"type": "boolean"},
        "path": {"anyOf": [{"type": "string"}, {"type": "array"}]},
    }
    assert tools["Bash"]["description"] == "Run a command"


def test_tools_that_agree_stay_as_they_are() -> None:
    tools = branches()[0]["tools"]
    assert united(tools, tools) == tools
    assert united([], tools) == united(tools, []) == tools


@pytest.mark.parametrize("schema", [{"properties": ["x"]}, {"required": True}])
def test_schemas_of_another_shape_are_taken_as_the_first_has_them(schema: Row) -> None:
    tools = branches()[0]["tools"]
    odd = [{"type": "function", "function": {"name": "Bash", "parameters": schema}}]
    assert united(odd, tools) == odd
    assert united(tools, odd) == tools
