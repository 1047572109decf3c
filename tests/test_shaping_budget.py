"""Making rows fit: what is left out, what never is, and what is said in its place."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew import tokens
from clew.errors import Invalid, NotFound
from clew.exporters.base import Unfit, line
from clew.exporters.shaping import Shaping, Summarise, shape, tokens_of
from clew.exporters.shaping.budget import cut
from clew.model import Image
from shaping_kit import Row, Talk, check_row, talks, words

LONG = "It is the same line again and again.\n" * 40


def shaped(row: Row, summarise: Summarise | None = None, **options: Any) -> Row:
    (made,) = shape(row, Shaping(**options), summarise)
    check_row(made)
    return made


def work(steps: int, text: str = "look around, then look again " * 4) -> Row:
    talk = Talk().system("Be brief.").user("Fix the build.")
    for number in range(steps):
        talk.says(f"{number} {text}", f"c{number}").gives(f"c{number}", text)
    return talk.user("And?").says("It builds.").row()


# --- what is counted ----------------------------------------------------------------------


def test_a_row_is_counted_like_its_messages() -> None:
    talk = Talk().system("s").user("a b c").says("so", "c1", thinks="hm").gives("c1", "out", "err")
    talk.gives("c1", Image("image/png", "aGk=")).says("done")
    row = talk.row()
    assert row["tools"]
    alone = row | {"tools": []}
    # The second result of the call is dropped, and two parts of words are one with a line break.
    counted = sum(map(tokens.count_message, (*talk.messages[:4], talk.messages[5])))
    assert abs(tokens_of(alone) - counted) <= 1
    assert tokens_of(row) > tokens_of(alone)


def test_pictures_and_files_count() -> None:
    row = Talk().user("a").says("", "c1").gives("c1", "see", Image("image/png", "aGk=")).row()
    without = Talk().user("a").says("", "c1").gives("c1", "see").row()
    assert tokens_of(row) - tokens_of(without) == tokens.IMAGE_TOKENS


# --- the middle ---------------------------------------------------------------------------


def test_a_row_within_its_budget_stays() -> None:
    row = work(6)
    assert shaped(row, max_tokens=tokens_of(row)) == row


def test_the_oldest_of_the_middle_go_first() -> None:
    row = work(6)
    made = shaped(row, max_tokens=tokens_of(row) - 100)
    assert tokens_of(made) <= tokens_of(row) - 100
    left = words(made)
    assert left[:2] == words(row)[:2]
    assert left[3:] == words(row)[2 + (len(row["messages"]) - len(left)) + 1 :]
    marker = made["messages"][2]
    gone = len(row["messages"]) - len(left) + 1
    assert gone % 2 == 0, "calls go with their results"
    assert marker["kind"] == "elided"
    assert not marker["sampled"]
    assert not marker["train"]
    assert marker["elided"]["messages"] == made["notes"]["elided_messages"] == gone
    assert marker["elided"]["tokens"] == made["notes"]["elided_tokens"] > 100
    assert marker["content"] == (
        f"[{gone} messages of about {marker['elided']['tokens']} tokens are left out here]"
    )
    assert len(made["tool_calls"]) == 6 - gone // 2
    assert made["tokens_in"] == row["tokens_in"]


def test_no_more_is_left_out_than_must_be() -> None:
    row = work(10)
    for budget in range(tokens_of(row) - 1, 600, -37):
        made = shaped(row, max_tokens=budget)
        step = tokens_of(work(2)) - tokens_of(work(1))
        assert budget - step - 60 < tokens_of(made) <= budget


def test_head_and_tail_stay() -> None:
    row = work(8)
    tail = words(row)[-6:]
    made = shaped(row, max_tokens=700, keep_steps=3)
    assert words(made)[:2] == ["system Be brief.", "user Fix the build."]
    assert words(made)[-6:] == tail
    with pytest.raises(Unfit) as caught:
        shaped(row, max_tokens=700, keep_steps=8)
    assert caught.value.reason == "over budget"
    assert "max_tokens" in str(caught.value)


def test_injected_text_is_not_the_first_word_of_a_person() -> None:
    talk = Talk().user("Rules.", meta=True).user("Go.")
    for number in range(5):
        talk.says(LONG[:400] + str(number))
    made = shaped(talk.row(), max_tokens=300)
    assert [text[:9] for text in words(made)[:3]] == ["user Rule", "user Go.", "user [3 m"]


def test_a_summary_is_the_head_of_its_segment() -> None:
    talk = Talk().user("Go.").says("1").compacts(1, "All so far.").user("on")
    for number in range(5):
        talk.says(LONG[:400] + str(number))
    row = list(shape(talk.row(), Shaping(segments="split")))[1]
    made = shaped(row, max_tokens=300)
    assert words(made)[0] == "user All so far."
    assert made["messages"][1]["kind"] == "elided"
    assert made["segment"] == made["messages"][1]["segment"] == 1


def test_an_answer_before_any_question_is_no_head() -> None:
    talk = Talk().system("s")
    for number in range(4):
        talk.says(LONG[:400] + str(number))
    assert [text[:6] for text in words(shaped(talk.row(), max_tokens=300))] == [
        "system", "user [", "assist", "assist",
    ]  # fmt: skip


def test_a_turn_keeps_its_own_words_longest() -> None:
    talk = Talk().user("first")
    for number in range(4):
        talk.says(LONG[:600]).user(f"then {number}")
    row = talk.says("last").row()
    made = list(shape(row, Shaping(explode="turn", max_tokens=250)))
    assert [one["turn"] for one in made] == [0, 1, 2, 3, 4]
    assert all(tokens_of(one) <= 250 for one in made)
    assert words(made[-1])[-1] == "assistant last*"
    assert made[-1]["notes"]["elided_messages"] >= 5
    for one in made:
        assert shaped(one, explode="turn", max_tokens=250) == one


def test_a_row_that_would_not_train_any_more_is_left_out() -> None:
    talk = Talk().user("a").says(LONG, model="m-2").says("b")
    told: list[Unfit] = []
    made = list(shape(talk.row(), Shaping(max_tokens=100, models=("m-2",)), on_unfit=told.append))
    assert made == []
    assert [error.reason for error in told] == ["over budget"]


def test_segments_that_are_left_out_are_empty() -> None:
    talk = Talk().user("a").says(LONG).compacts(0, LONG).user("b").says(LONG)
    row = talk.compacts(0, None).user("c").says("d").row()
    made = shaped(row, max_tokens=100)
    assert [one["count"] for one in made["segments"]] == [2, 0, 2]


def test_what_was_left_out_before_is_counted_once() -> None:
    row = work(12)
    once = shaped(row, max_tokens=900)
    twice = shaped(once, max_tokens=600)
    at_once = shaped(row, max_tokens=600)
    assert twice["messages"][3:] == at_once["messages"][3:]
    for made in (twice, at_once):
        assert made["notes"]["elided_messages"] == made["messages"][2]["elided"]["messages"]
    for field in ("elided_messages", "elided_tokens"):
        assert twice["notes"][field] == at_once["notes"][field]


def test_tools_take_their_part_of_the_budget() -> None:
    row = work(3)
    big = {"type": "function", "function": {"name": "x", "description": LONG, "parameters": {}}}
    row["tools"] = [*row["tools"], big]
    with pytest.raises(Unfit, match="without its middle"):
        shaped(row, max_tokens=400)


# --- a summary in its place ---------------------------------------------------------------


def test_a_summary_stands_in_the_place_of_the_middle() -> None:
    seen: list[list[Row]] = []

    def summarise(messages: list[Row]) -> str:
        seen.append(messages)
        return "It was looked at."

    row = work(8)
    made = shaped(row, summarise, max_tokens=800)
    assert len(seen) == 1
    assert seen[0] == row["messages"][2 : 2 + len(seen[0])]
    assert words(made)[2] == "user It was looked at."
    assert made["messages"][2]["elided"]["summarised"] is True
    assert tokens_of(made) <= 800


def test_there_is_room_for_a_summary_of_a_tenth() -> None:
    row = work(12)
    assert 60 < tokens.estimate(LONG[:300]) < 80
    for budget in range(tokens_of(row) - 1, 830, -31):
        calls: list[int] = []

        def summarise(messages: list[Row], calls: list[int] = calls) -> str:
            calls.append(len(messages))
            return LONG[:300]

        assert tokens_of(shaped(row, summarise, max_tokens=budget)) <= budget
        assert len(calls) == 1


def test_a_long_summary_takes_the_whole_middle() -> None:
    lengths: list[int] = []

    def summarise(messages: list[Row]) -> str:
        lengths.append(len(messages))
        return LONG[:1000]

    row = work(8)
    made = shaped(row, summarise, max_tokens=700)
    assert lengths == [lengths[0], 16]
    assert words(made)[3:] == ["user And?", "assistant It builds.*"]
    assert tokens_of(made) <= 700


def test_a_summary_that_does_not_fit_leaves_the_row_out() -> None:
    calls: list[int] = []

    def summarise(messages: list[Row]) -> str:
        calls.append(len(messages))
        return LONG * 3

    with pytest.raises(Unfit) as caught:
        shaped(work(8), summarise, max_tokens=700)
    assert caught.value.reason == "over budget"
    assert len(calls) == 2


def test_nobody_is_asked_for_a_summary_that_cannot_help() -> None:
    def summarise(messages: list[Row]) -> str:
        raise AssertionError("asked")

    with pytest.raises(Unfit):
        shaped(work(8), summarise, max_tokens=100)
    row = work(2)
    assert shaped(row, summarise, max_tokens=tokens_of(row)) == row


@pytest.mark.parametrize("given", ["", "  \n", None, 7])
def test_a_summary_must_say_something(given: Any) -> None:
    with pytest.raises(Invalid, match="summariser gave"):
        shaped(work(8), lambda messages: given, max_tokens=800)


def test_a_summariser_that_fails_is_named() -> None:
    def fails(messages: list[Row]) -> str:
        raise TimeoutError("no answer")

    with pytest.raises(Invalid, match=r"messages, m3 to m\d+: TimeoutError\('no answer'\)"):
        shaped(work(8), fails, max_tokens=800)


def test_a_summariser_may_leave_a_row_out() -> None:
    def refuses(messages: list[Row]) -> str:
        raise Unfit("not to be summarised")

    told: list[Unfit] = []
    assert not list(shape(work(8), Shaping(max_tokens=800), refuses, told.append))
    assert [error.reason for error in told] == ["not to be summarised"]

    def lost(messages: list[Row]) -> str:
        raise NotFound("no such model")

    with pytest.raises(NotFound):
        shaped(work(8), lost, max_tokens=800)


# --- long results -------------------------------------------------------------------------


def test_a_long_result_keeps_its_ends() -> None:
    text = "first line\n" + LONG + "last line"
    row = Talk().user("a").says("", "c1", "c2").gives("c1", text).gives("c2").says("b").row()
    made = shaped(row, result_tokens=100)
    result = made["messages"][2]
    assert result["truncated"] is True
    assert result["content"].startswith("first line\n")
    assert result["content"].endswith("last line")
    assert "tokens left out …]" in result["content"]
    assert tokens.estimate(result["content"]) <= 100
    assert "truncated" not in made["messages"][3]
    assert made["notes"]["truncated_results"] == 1
    assert "truncated_results" not in row["notes"]


def test_words_beside_a_picture_are_cut_too() -> None:
    row = Talk().user("a").says("", "c1").gives("c1", LONG, Image("image/png", "aGk="), LONG).row()
    content = shaped(row, result_tokens=60)["messages"][2]["content"]
    assert [part["type"] for part in content] == ["text", "image"]
    assert tokens.estimate(content[0]["text"]) <= 60


def test_with_a_budget_results_are_cut_only_where_it_helps() -> None:
    row = work(3, LONG)
    whole = tokens_of(row)
    assert shaped(row, max_tokens=whole, result_tokens=50) == row
    made = shaped(row, max_tokens=whole - 1, result_tokens=50)
    assert made["notes"]["truncated_results"] == 3
    assert "elided_messages" not in made["notes"]
    both = shaped(row, max_tokens=900, result_tokens=50)
    assert both["notes"]["truncated_results"] == 3
    assert both["notes"]["elided_messages"] > 0


def test_a_placeholder_is_not_cut_in_two() -> None:
    text = " ".join(f"TOKEN=<SECRET_{n:08x}>" for n in range(200))
    for limit in range(50, 120):
        left = re.sub(r"<SECRET_[0-9a-f]{8}>", "", cut(text, limit))
        assert not re.search(r"SECRET|[<>]", left)


@given(st.text(max_size=400), st.integers(50, 200))
def test_a_cut_text_fits_and_stays(text: str, limit: int) -> None:
    made = cut(text * 10, limit)
    assert tokens.estimate(made) <= limit
    assert cut(made, limit) == made


# --- any row ------------------------------------------------------------------------------


@given(talks(), st.integers(50, 1500), st.integers(1, 4), st.booleans())
def test_any_row_fits_or_is_left_out(row: Row, limit: int, keep: int, summed: bool) -> None:
    shaping = Shaping(max_tokens=limit, keep_steps=keep)
    summarise = (lambda messages: "In short.") if summed else None
    before = line(row)
    told: list[Unfit] = []
    for made in shape(row, shaping, summarise, told.append):
        _check_fitted(row, made, limit, keep)
    assert line(row) == before
    assert tokens_of(row) > limit or not told
    assert {error.reason for error in told} <= {"over budget"}


def _check_fitted(row: Row, made: Row, limit: int, keep: int) -> None:
    check_row(made)
    assert tokens_of(made) <= limit
    answers = [m["at"] for m in row["messages"] if m["role"] == "assistant"]
    left = [m["at"] for m in made["messages"] if m["role"] == "assistant"]
    assert left[-keep:] == answers[-keep:]
    gone = len(row["messages"]) - len(made["messages"])
    assert made["notes"].get("elided_messages", 0) == (gone + 1 if gone or made != row else 0)


def test_a_call_that_is_left_out_leaves_no_trace() -> None:
    row = work(6)
    row["subagents"] = [
        {"session_id": "x", "call_id": "c0"},
        {"session_id": "y", "call_id": None},
        {"session_id": "z", "call_id": "c5"},
    ]
    made = shaped(row, max_tokens=700)
    assert [one["session_id"] for one in made["subagents"]] == ["y", "z"]
