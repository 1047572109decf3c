"""What shaping does to rows: segments, turns, reasoning, parallel calls, which turns train."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.exporters.base import Unfit, line
from clew.exporters.shaping import Shaping, shape, tokens_of
from clew.exporters.shaping.options import EXPLODE, PARALLEL, REASONING, SEGMENTS
from shaping_kit import Row, Talk, check_row, places, rules, talks, usage, words


def shaped(row: Row, **options: Any) -> list[Row]:
    made = list(shape(row, Shaping(**options)))
    for one in made:
        check_row(one)
    return made


def only(row: Row, **options: Any) -> Row:
    (made,) = shaped(row, **options)
    return made


# --- options ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"segments": "cut"}, {"reasoning": "Keep"}, {"parallel": None}, {"explode": "turns"},
        {"max_tokens": 0}, {"max_tokens": True}, {"max_tokens": "9"}, {"max_tokens": 1.5},
        {"keep_steps": 0}, {"keep_steps": None}, {"result_tokens": 49},
        {"tiers": "SIMPLE"}, {"models": ("",)}, {"providers": (1,)}, {"models": None},
    ],
)  # fmt: skip
def test_a_wrong_value_is_an_error_that_names_it(options: dict[str, Any]) -> None:
    (field,) = options
    with pytest.raises(Invalid, match=field):
        Shaping(**options)


def test_by_default_nothing_is_done() -> None:
    row = Talk().user("hi").says("yes", "c1").row()
    assert next(shape(row, Shaping())) is row
    assert Shaping(tiers=[]).plain  # type: ignore[arg-type]
    assert not Shaping(tiers=["SIMPLE"]).plain  # type: ignore[arg-type]


# --- segments -----------------------------------------------------------------------------


def compacted() -> Talk:
    talk = Talk().system("Be brief.").user("fix it").says("on it", "c1").gives("c1", "a")
    talk.says("found", "c2", usage=usage("r1", 100, 9)).gives("c2", "b")
    talk.compacts(5, "You looked.").user("and now?")
    return talk.says("done", usage=usage("r2", 30, 5))


def test_a_segment_becomes_what_the_model_saw() -> None:
    first, second = shaped(compacted().row(), segments="split")
    assert words(first) == [
        "system Be brief.", "user fix it", "assistant on it c1*", "tool a",
        "assistant found c2*", "tool b",
    ]  # fmt: skip
    assert words(second) == [
        "system Be brief.", "user You looked.", "assistant found c2", "tool b",
        "user and now?", "assistant done*",
    ]  # fmt: skip
    assert [(one["segment"], one["parent"]) for one in (first, second)] == [(0, None), (1, 0)]
    assert [one["segment"] for one in second["segments"]] == [1]
    assert rules(second) == ["kept-context"]
    repeated = [message["content"] for message in second["messages"] if message.get("context")]
    assert repeated == ["Be brief.", "found", "b"]


def test_a_figure_counts_in_one_part_only() -> None:
    row = compacted().row()
    first, second = shaped(row, segments="split")
    assert [(one["tokens_in"], one["tokens_out"]) for one in (first, second)] == [(100, 9), (30, 5)]
    assert row["cost_usd"] == 1.0
    assert first["cost_usd"] is second["cost_usd"] is None
    assert [call["id"] for call in first["tool_calls"]] == ["c1", "c2"]
    assert [call["id"] for call in second["tool_calls"]] == ["c2"]
    assert first["started_at"] == row["started_at"]
    assert first["ended_at"] < second["started_at"] < second["ended_at"] == row["ended_at"]


def test_figures_of_a_part_are_those_of_its_calls() -> None:
    row = Talk().user("a").says("1").says("2").says("3").user("b").says("4").row()
    told: list[dict[str, Any]] = [
        {"tier": "SIMPLE", "complexity_score": 10, "latency_ms": 1.5, "model": "a"},
        {"tier": "SIMPLE", "complexity_score": 11, "latency_ms": 2.0, "provider": "p"},
        {"tier": "COMPLEX", "complexity_score": None, "latency_ms": None, "model": "b"},
        {"tier": "COMPLEX", "complexity_score": 90, "latency_ms": 7.0, "model": "c"},
    ]
    answers = [message for message in row["messages"] if message["sampled"]]
    for message, more in zip(answers, told, strict=True):
        message["telemetry"] |= more
    first, second = shaped(row, explode="turn")
    names = ("tier", "complexity_score", "latency_ms", "model_used", "provider_used")
    assert [first[name] for name in names] == ["SIMPLE", 11, 3.5, "b", "p"]
    assert [second[name] for name in names] == ["COMPLEX", 90, 7.0, "c", None]


def test_notes_count_what_is_in_a_part() -> None:
    talk = Talk().user("a").gives("nobody").says("", "c1", "c2={").gives("c2")
    talk.compacts(0).user("b").says("", "c3").gives("c3")
    row = talk.row()
    first, second = shaped(row, segments="split")
    assert row["notes"]["orphan_results"] == row["notes"]["lost_results"] == 1
    assert first["notes"] == row["notes"]
    assert set(second["notes"].values()) == {0}


def test_a_session_without_a_compaction_is_one_segment() -> None:
    row = Talk().user("a").says("b", usage=usage("r1", 1, 1)).row()
    assert only(row, segments="split") == row | {"segment": 0, "parent": None}


def test_a_segment_in_which_no_model_speaks_is_no_row() -> None:
    made = only(Talk().user("a").says("b").compacts(2).user("c").row(), segments="split")
    assert words(made) == ["user a", "assistant b*"]


def test_nothing_is_kept_where_a_compaction_kept_nothing() -> None:
    row = Talk().user("a").says("b").compacts(0).user("c").says("d").row()
    assert words(shaped(row, segments="split")[1]) == [
        "user What went before.", "user c", "assistant d*",
    ]  # fmt: skip


def test_an_earlier_summary_is_not_kept() -> None:
    talk = Talk().user("a").says("b").compacts(2, "One.").user("c").says("d")
    row = talk.compacts(1, "Two.").user("e").says("f").row()
    assert words(shaped(row, segments="split")[2]) == [
        "user Two.", "user a", "assistant b", "user c", "assistant d", "user e", "assistant f*",
    ]  # fmt: skip


def test_what_branched_off_behind_what_was_kept_was_kept() -> None:
    """What a compaction keeps may begin at an entry that is no message, the last of its session."""
    row = Talk().user("a").says("b").user("c").says("d").compacts(1).user("e").says("f").row()
    for message, at in zip(row["messages"], ("p:1", "p:2", "q:1", "q:2", None), strict=False):
        message["at"] = [at] if at else []
    for kept, expected in {
        "p:1": "abcd", "p:2": "bcd", "p:3": "cd", "q:1": "cd", "q:2": "d", "q:3": "", "r:1": "",
    }.items():  # fmt: skip
        row["segments"][1]["compaction"]["first_kept"] = kept
        second = shaped(row, segments="split")[1]
        context = [m["content"] for m in second["messages"] if m.get("context")]
        assert "".join(context) == expected, kept


def test_system_messages_stand_once() -> None:
    row = Talk().system("s").user("a").says("b").compacts(1, "Short.").user("c").says("d").row()
    assert words(shaped(row, segments="split")[1]) == [
        "system s", "user Short.", "user a", "assistant b", "user c", "assistant d*",
    ]  # fmt: skip


def test_a_summary_that_an_agent_wrote_as_a_message_stays_in_its_place() -> None:
    talk = Talk().user("a").says("b").compacts(2, None).user("In short: a.", summary=True)
    row = talk.user("c").says("d").row()
    assert words(shaped(row, segments="split")[1]) == [
        "assistant b", "user In short: a.", "user c", "assistant d*",
    ]  # fmt: skip


def test_the_last_segment_is_the_context_of_the_session(ledger: Any) -> None:
    talk = ledger.session(frontend="f", user="u")
    said = [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": "so",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a.txt"},
        {"role": "assistant", "content": "there"},
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": "that is all"},
    ]
    entries = talk.extend(said)
    talk.compact(summary="Once.", keep_from=entries[1].position)
    talk.extend([{"role": "user", "content": "more"}, {"role": "assistant", "content": "no"}])
    other = talk.branch()
    later = other.extend(
        [{"role": "user", "content": "else"}, {"role": "assistant", "content": "this"}]
    )
    other.compact(summary="Twice.", keep_from=entries[4].position)
    other.extend([{"role": "user", "content": "then"}, {"role": "assistant", "content": "that"}])
    assert later
    for session in (talk, other):
        seen = shaped(ledger.trajectory(session.id), segments="split")[-1]
        spoken = [message["content"] for message in seen["messages"] if message["role"] != "tool"]
        assert spoken == [each.text for each in session.context() if each.role != "tool"]


# --- turns and steps ----------------------------------------------------------------------


def long_talk() -> Row:
    talk = Talk().system("s").user("one").says("", "c1", thinks="t1").gives("c1").says("1")
    talk.user("unanswered").user("two").says("2", thinks="t2")
    return talk.user("three").says("3", "c2", thinks="t3").gives("c2").row()


def test_each_turn_is_a_row_with_what_led_to_it() -> None:
    first, second, third = shaped(long_talk(), explode="turn")
    assert words(first) == ["system s", "user one", "assistant c1*", "tool ok", "assistant 1*"]
    assert words(second) == [
        "system s", "user one", "assistant c1", "tool ok", "assistant 1",
        "user unanswered", "user two", "assistant 2*",
    ]  # fmt: skip
    assert words(third)[-3:] == ["user three", "assistant 3 c2*", "tool ok"]
    assert rules(third) == ["earlier-turn"] * 3
    assert [one["turn"] for one in (first, second, third)] == [0, 1, 2]
    assert [one["tool_calls"][-1]["id"] for one in (first, second, third)] == ["c1", "c1", "c2"]


def test_each_answer_is_a_row_with_what_led_to_it() -> None:
    made = shaped(long_talk(), explode="step")
    assert [one["step"] for one in made] == [0, 1, 2, 3]
    assert [words(one)[-1] for one in made] == [
        "tool ok", "assistant 1*", "assistant 2*", "tool ok",
    ]  # fmt: skip
    assert [sum(m["train"] for m in one["messages"]) for one in made] == [1, 1, 1, 1]
    assert rules(made[-1]) == ["earlier-step"] * 3


def test_a_turn_knows_the_segments_up_to_it() -> None:
    row = Talk().user("a").says("b").compacts(0).user("c").says("d").row()
    made = shaped(row, explode="turn")
    assert [[one["segment"] for one in each["segments"]] for each in made] == [[0], [0, 1]]


def test_a_turn_that_does_not_train_is_no_row() -> None:
    talk = Talk().user("a").says("", "c1").user("b").says("c").compacts(0).user("d").says("e")
    made = shaped(talk.row(), explode="turn")
    assert [one["turn"] for one in made] == [0, 2]
    assert rules(made[1]) == ["earlier-turn", "after-lost-result"]


def test_a_row_of_which_nothing_trains_cannot_be_exploded() -> None:
    with pytest.raises(Unfit, match="nothing to train"):
        list(shape(Talk().user("a").row(), Shaping(explode="turn")))


# --- reasoning ----------------------------------------------------------------------------


def thoughts(row: Row) -> list[str]:
    return [m["reasoning_content"] for m in row["messages"] if "reasoning_content" in m]


def test_reasoning_is_kept_dropped_or_the_last() -> None:
    row = long_talk()
    assert thoughts(only(row, reasoning="keep", keep_steps=2)) == ["t1", "t2", "t3"]
    last = only(row, reasoning="last")
    assert (thoughts(last), last["notes"]["dropped_reasoning"]) == (["t3"], 2)
    assert thoughts(only(row, reasoning="drop")) == []


def test_exploded_reasoning_is_the_last_of_its_row() -> None:
    made = shaped(long_talk(), reasoning="explode")
    assert [thoughts(one) for one in made] == [["t1"], ["t2"], ["t3"]]
    assert made == shaped(long_talk(), reasoning="last", explode="turn")
    made = shaped(long_talk(), reasoning="explode", explode="step")
    assert [thoughts(one) for one in made] == [["t1"], ["t1"], ["t2"], ["t3"]]


def test_an_answer_that_was_only_reasoning_is_empty_without_it() -> None:
    row = Talk().user("a").says(thinks="hm").says("", "c1", thinks="so").gives("c1").row()
    assert rules(only(row, reasoning="drop")) == ["empty"]
    assert rules(row) == []


def test_a_row_that_trained_reasoning_only_is_left_out_without_it() -> None:
    row = Talk().user("a").says(thinks="hm").row()
    with pytest.raises(Unfit, match="nothing but reasoning") as caught:
        list(shape(row, Shaping(reasoning="drop")))
    assert caught.value.reason == "nothing to train"


def test_the_mark_of_hidden_reasoning_stays() -> None:
    row = Talk().user("a").says("b", thinks="t").row()
    row["messages"][1]["reasoning_opaque"] = True
    assert only(row, reasoning="drop")["messages"][1]["reasoning_opaque"]


# --- parallel calls -----------------------------------------------------------------------


def test_parallel_calls_one_by_one() -> None:
    talk = Talk().user("a").says("both", "c1", "c2", thinks="t", usage=usage("r1", 7, 3))
    row = talk.gives("c2", "two").gives("c1", "one").says("done").row()
    made = only(row, parallel="serialise")
    assert words(made) == [
        "user a", "assistant both c1*", "tool one", "assistant c2*", "tool two", "assistant done*",
    ]  # fmt: skip
    first, second = made["messages"][1], made["messages"][3]
    assert first["telemetry"]["tokens_in"] == 7
    assert second["telemetry"]["model"] == "m-1"
    assert second["telemetry"]["tokens_in"] is None
    assert "reasoning_content" not in second
    assert second["serialised"]
    assert second["at"] == first["at"]
    assert made["tokens_in"] == row["tokens_in"]


def test_one_by_one_nothing_trains_after_a_lost_result() -> None:
    talk = Talk().user("a").says("", "c1", "c2", "c3", "c4").gives("c1")
    made = only(talk.gives("c3").gives("c4").row(), parallel="serialise")
    assert words(made)[1::2] == ["assistant c1*", "assistant c2*", "assistant c3", "assistant c4"]
    assert rules(made) == ["after-lost-result"] * 2


def test_one_by_one_a_call_counts_once() -> None:
    row = Talk().user("a").says("", "c1", "c2", "c3").says("x").says("y").user("b").says("z").row()
    answers = [message for message in row["messages"] if message["sampled"]]
    for message, tier in zip(answers, ["COMPLEX", "SIMPLE", "SIMPLE", "SIMPLE"], strict=True):
        message["telemetry"]["tier"] = tier
        message["train"] = True
        message.pop("train_rule", None)
    answers[0]["parts"] = [{"type": "image"}]
    made = next(shape(row, Shaping(parallel="serialise", explode="turn")))
    assert made["tier"] == "SIMPLE"
    assert ["parts" in m for m in made["messages"] if m.get("tool_calls")] == [True, False, False]


def test_parallel_calls_may_be_ruled_out() -> None:
    row = Talk().user("a").says("", "c1", "c2").row()
    with pytest.raises(Unfit) as caught:
        list(shape(row, Shaping(parallel="drop")))
    assert caught.value.reason == "parallel calls"
    assert only(Talk().user("a").says("", "c1").says("", "c2").row(), parallel="drop")


def test_a_part_that_cannot_be_made_costs_only_itself() -> None:
    talk = Talk().user("a").says("1").compacts(0).user("b").says("", "c1", "c2")
    row = talk.compacts(0).user("c").says("3").row()
    shaping = Shaping(parallel="drop", segments="split")
    told: list[Unfit] = []
    made = list(shape(row, shaping, on_unfit=told.append))
    assert [one["segment"] for one in made] == [0, 2]
    assert [error.reason for error in told] == ["parallel calls"]
    kept: list[Row] = []
    with pytest.raises(Unfit, match="parallel calls"):
        kept.extend(shape(row, shaping))
    assert kept == made


# --- which turns train --------------------------------------------------------------------


def routed() -> Row:
    row = Talk().user("a").says("1").says("2", model="m-2").user("b").says("3").says("4").row()
    answers = [message for message in row["messages"] if message["sampled"]]
    for message, tier in zip(answers, ["SIMPLE", "COMPLEX", "COMPLEX", None], strict=True):
        message["telemetry"]["tier"] = tier
    return row


def test_only_turns_of_a_tier_train() -> None:
    made = only(routed(), tiers=("COMPLEX",))
    assert words(made) == [
        "user a", "assistant 1", "assistant 2*", "user b", "assistant 3*", "assistant 4",
    ]  # fmt: skip
    assert rules(made) == ["other-tier", "unknown-tier"]


def test_selections_add_up() -> None:
    made = only(routed(), tiers=("COMPLEX", "REASONING"), models=("m-1",))
    assert words(made)[4] == "assistant 3*"
    assert rules(made) == ["other-tier", "other-model", "unknown-tier"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tiers": ("REASONING",)}, "no turn of that tier"),
        ({"models": ("m",)}, "no turn of that model"),
        ({"providers": ("p-1",)}, "no turn of that provider"),
        ({"tiers": ("SIMPLE",), "models": ("m-2",)}, "no turn of that model"),
    ],
)
def test_a_row_without_such_a_turn_is_left_out(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unfit) as caught:
        list(shape(routed(), Shaping(**options)))
    assert caught.value.reason == reason


def test_only_selected_turns_are_exploded() -> None:
    made = only(routed(), explode="turn", tiers=("SIMPLE",))
    assert made["turn"] == 0
    assert words(made) == ["user a", "assistant 1*", "assistant 2"]


def test_only_segments_with_a_selected_turn_are_rows() -> None:
    talk = Talk().user("a").says("1").compacts(0).user("b").says("2", model="m-2")
    made = only(talk.row(), segments="split", models=("m-2",))
    assert (made["segment"], words(made)[-1]) == (1, "assistant 2*")


@pytest.mark.parametrize("source", ["inferred", "mixed", "recorded", "none"])
def test_inferred_tools_may_be_ruled_out(source: str) -> None:
    row = Talk().user("a").says("", "c1").row() | {"tools_source": source}
    shaping = Shaping(recorded_tools_only=True)
    if source in ("recorded", "none"):
        assert len(list(shape(row, shaping))) == 1
        return
    with pytest.raises(Unfit) as caught:
        list(shape(row, shaping))
    assert caught.value.reason == "tool schemas are inferred"


# --- whatever the row, whatever the options -----------------------------------------------

OPTIONS = st.fixed_dictionaries(
    {
        "segments": st.sampled_from(SEGMENTS),
        "reasoning": st.sampled_from(REASONING),
        "parallel": st.sampled_from(PARALLEL),
        "explode": st.sampled_from(EXPLODE),
        "max_tokens": st.sampled_from([None, None, 100, 300, 800]),
        "keep_steps": st.integers(1, 3),
        "result_tokens": st.sampled_from([None, 50, 120]),
        "models": st.sampled_from([(), (), ("m-2",)]),
    }
)


@given(talks(), OPTIONS)
def test_rows_stay_native_and_whole(row: Row, options: dict[str, Any]) -> None:
    before = line(row)
    shaping = Shaping(**options)
    told: list[Unfit] = []
    made = list(shape(row, shaping, on_unfit=told.append))
    trained: list[Any] = []
    for one in made:
        check_row(one)
        assert set(row) <= set(one)
        assert shaping.max_tokens is None or tokens_of(one) <= shaping.max_tokens
        own = [m for m in one["messages"] if not m.get("context")]
        assert places(own, "sampled") == sorted(places(own, "sampled"), key=_seq)
        trained += places(one["messages"], "train")
    assert [line(again) for one in made for again in shape(one, shaping)] == list(map(line, made))
    assert line(row) == before
    assert made or told or not row["messages"]
    if shaping.parallel != "serialise":
        assert len(trained) == len(set(map(str, trained)))


def _seq(at: list[str]) -> int:
    return int(at[0].rpartition(":")[2])


@given(talks(), st.sampled_from(SEGMENTS), st.sampled_from(EXPLODE))
def test_nothing_that_trains_is_lost(row: Row, segments: str, explode: str) -> None:
    told: list[Unfit] = []
    made = list(shape(row, Shaping(segments=segments, explode=explode), on_unfit=told.append))
    trained = [m for one in made for m in one["messages"] if m["train"]]
    assert places(trained, "train") == places(row["messages"], "train")
    if explode == "none" and made:
        own = [m for one in made for m in one["messages"] if not m.get("context")]
        assert places(own, "sampled") == places(row["messages"], "sampled")
    sums = [one["tokens_in"] for one in made if one["tokens_in"] is not None]
    if len(made) > 1 and explode == "none":
        assert sum(sums) == (row["tokens_in"] or 0)


@given(talks())
def test_one_by_one_the_same_is_called_and_said(row: Row) -> None:
    made = only(row, parallel="serialise")
    both = [
        [call for message in one["messages"] for call in message.get("tool_calls", ())]
        for one in (row, made)
    ]
    assert both[0] == both[1]
    results = [
        [json.dumps(m["content"]) for m in one["messages"] if m["role"] == "tool"]
        for one in (row, made)
    ]
    assert results[0] == results[1]
    assert all(len(m.get("tool_calls", ())) <= 1 for m in made["messages"])
