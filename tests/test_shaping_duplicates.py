"""What is in an export twice: prefixes that branches share, sessions that repeat another."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.exporters.base import line
from clew.exporters.shaping import Shaping, duplicates, shape
from clew.exporters.shaping.duplicates import near_duplicates, signature, trained_once
from shaping_kit import Row, Talk, check_row, places, rules, talks, usage, words

if TYPE_CHECKING:
    from clew.exporters.base import Unfit

WORDS = [hashlib.sha256(bytes([n % 256, n // 256])).hexdigest()[:5] for n in range(2000)]


# --- what branches have in common ---------------------------------------------------------


def test_what_branches_share_trains_once(ledger: Any) -> None:
    first = ledger.session(frontend="f", user="u")
    call = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
    entries = first.extend(
        [
            {"role": "user", "content": "look"},
            {"role": "assistant", "content": "so", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "a.txt"},
            {"role": "assistant", "content": "there"},
            {"role": "user", "content": "more"},
            {"role": "assistant", "content": "this"},
        ]
    )
    second = first.branch(entries[3].position)
    second.extend([{"role": "user", "content": "else"}, {"role": "assistant", "content": "that"}])
    third = second.branch()
    rows = [ledger.trajectory(session.id) for session in (first, second, third)]
    told: list[Unfit] = []
    made = list(trained_once(rows, told.append))
    assert [error.reason for error in told] == ["shared prefix"]
    assert words(made[0]) == words(rows[0])
    assert words(made[1]) == [
        "user look", "assistant so c1", "tool a.txt", "assistant there",
        "user else", "assistant that*",
    ]  # fmt: skip
    assert rules(made[1]) == ["shared-prefix"] * 2
    assert [m.get("context", False) for m in made[1]["messages"]] == [True] * 4 + [False] * 2
    for one in made:
        check_row(one)


def in_pieces(*entries: int) -> Row:
    """An answer that was written down in several entries, as far as a branch took it."""
    row = Talk().user("a").says("1").user("b").says("2").row()
    row["messages"][1] |= {"at": [f"s:{n}" for n in entries], "content": f"as of {entries}"}
    return row


def test_an_answer_in_pieces_of_which_some_trained_before_trains_no_more() -> None:
    rows = [in_pieces(2, 3), in_pieces(2), in_pieces(2, 3, 4)]
    for number, row in enumerate(rows):
        row["messages"][3]["at"] = [f"own:{number}"]
    for order in (rows, rows[::-1], [rows[1], rows[0], rows[2]]):
        made = list(trained_once(order))
        trains = [[m["train"] for m in one["messages"] if m["sampled"]] for one in made]
        assert trains == [[True, True], [False, True], [False, True]]
        for one in made:
            check_row(one)


def test_what_nobody_learns_is_repeated_when_all_of_it_was_there() -> None:
    rows = [in_pieces(2), in_pieces(2, 3), in_pieces(3)]
    for number, row in enumerate(rows):
        row["messages"][1] |= {"train": False, "train_rule": "cut-short"}
        row["messages"][3]["at"] = [f"own:{number}"]
    made = list(trained_once(rows))
    assert [one["messages"][1].get("context", False) for one in made] == [False, False, True]


def family() -> list[Row]:
    """Three branches as rows; all share the first turn, the last two the second as well."""
    rows = []
    for end in ("x", "y", "z"):
        talk = Talk().user("a").says("1", "c1", usage=usage("r1", 5, 1)).gives("c1")
        talk.user("b").says("2" if end != "x" else "two", usage=usage("r2", 7, 1))
        row = talk.user(end).says(end, usage=usage(f"r{end}", 9, 1)).row()
        for number, message in enumerate(row["messages"]):
            message["at"] = [f"{end}:{number}"]
            if number < 3:
                message["at"] = [f"root:{number}"]
            elif end != "x" and number < 5:
                message["at"] = [f"yz:{number}"]
        rows.append(row)
    return rows


def test_shared_tokens_count_once() -> None:
    made = list(trained_once(family()))
    assert [one["tokens_in"] for one in made] == [21, 16, 9]
    assert [one["cost_usd"] for one in made] == [1.5, None, None]
    assert [len(rules(one)) for one in made] == [0, 1, 2]
    assert [call["id"] for call in made[2]["tool_calls"]] == ["c1"]


@pytest.mark.parametrize("explode", ["turn", "step"])
def test_it_is_the_same_before_and_after_shaping(explode: str) -> None:
    shaping = Shaping(explode=explode)
    before = [one for row in trained_once(family()) for one in shape(row, shaping)]
    after = list(trained_once(one for row in family() for one in shape(row, shaping)))
    trained = [[m["content"] for m in one["messages"] if m["train"]] for one in before]
    assert trained == [[m["content"] for m in one["messages"] if m["train"]] for one in after]
    assert trained == [["1"], ["two"], ["x"], ["2"], ["y"], ["z"]]


def test_what_did_not_train_before_may_train_later() -> None:
    lost = Talk().user("a").says("", "c1").user("b").says("2").row()
    mended = Talk().user("a").says("", "c1").gives("c1").says("2").row()
    mended["messages"][3]["at"] = lost["messages"][4]["at"]
    made = list(trained_once([lost, mended]))
    assert rules(made[0]) == ["after-lost-result"]
    assert words(made[1]) == ["user a", "assistant c1", "tool ok", "assistant 2*"]


def test_calls_one_by_one_are_told_apart() -> None:
    row = Talk().user("a").says("", "c1", "c2").gives("c1").gives("c2").row()
    (made,) = shape(row, Shaping(parallel="serialise"))
    assert list(trained_once([made])) == [made]
    assert list(trained_once([made, made])) == [made]


def test_a_call_that_did_not_train_may_train_in_a_later_row() -> None:
    rows: list[Row] = []
    for answered in (["c2"], ["c1", "c2"]):
        talk = Talk().user("a").says("", "c1", "c2")
        for id in answered:
            talk.gives(id)
        rows += shape(talk.row(), Shaping(parallel="serialise"))
    made = list(trained_once(rows))
    assert words(made[0])[1::2] == ["assistant c1*", "assistant c2"]
    assert words(made[1])[1::2] == ["assistant c1", "assistant c2*"]


def test_parts_of_one_row_share_nothing_new() -> None:
    row = Talk().user("a").says("b").compacts(2).user("c").says("d").row()
    parts = list(shape(row, Shaping(segments="split")))
    assert all(one is part for one, part in zip(trained_once(parts), parts, strict=True))


def test_what_has_no_place_is_never_shared() -> None:
    row = Talk().user("a").says("b").row()
    for message in row["messages"]:
        message["at"] = []
    assert list(trained_once([row, row])) == [row, row]


@given(st.lists(talks(), max_size=4))
def test_every_place_trains_once(rows: list[Row]) -> None:
    before = list(map(line, rows))
    told: list[Unfit] = []
    made = list(trained_once(rows, told.append))
    trained = [str(at) for one in made for at in places(one["messages"], "train")]
    assert len(trained) == len(set(trained))
    assert set(trained) == {str(at) for row in rows for at in places(row["messages"], "train")}
    assert len(made) + len(told) == len(rows)
    for one in made:
        check_row(one)
    assert list(map(line, trained_once(made))) == list(map(line, made))
    assert list(map(line, rows)) == before


# --- sessions that repeat another ---------------------------------------------------------


def said(*texts: str) -> Row:
    talk = Talk()
    for number, text in enumerate(texts):
        talk = talk.says(text) if number % 2 else talk.user(text)
    return talk.row()


def random_text(seed: int, words: int = 400) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def test_a_signature_is_of_what_was_said() -> None:
    base = Talk().user("please fix the build").says("on it now", "c1").gives("c1", "out").row()
    same = Talk().system("s").user("PLEASE  fix the\nbuild").user("x y", meta=True)
    same.says("on it now", "call_9", thinks="hm", model="m-2").gives("call_9", "another result")
    assert signature(base) == signature(same.row())
    other = Talk().user("please fix the build").says("on it now", 'c1={"command":"pwd"}').row()
    assert signature(base) != signature(other)
    assert signature(Talk().system("s").user("x y z", meta=True).row()) == b""


def test_a_signature_is_the_same_everywhere() -> None:
    made = signature(said("one two three four five six", "seven"))
    assert hashlib.sha256(made).hexdigest()[:16] == "445c5b6d7750a613"


@pytest.mark.parametrize("length", [3, 30, 250, 4000])
def test_equal_sessions_are_found_whatever_their_length(length: int) -> None:
    text = " ".join(random_text(length, length))
    marks = [signature(said(text)), signature(said("something else")), signature(said(text))]
    for threshold in (0.1, 0.5, 0.9, 1.0):
        assert near_duplicates(marks, threshold) == {2: 0}


@pytest.mark.parametrize("length", [40, 250, 600, 4000])
def test_one_changed_word_in_a_hundred_is_a_near_duplicate(length: int) -> None:
    text = random_text(length, length)
    changed = [word if n % 100 else "other" for n, word in enumerate(text)]
    marks = [signature(said(" ".join(some))) for some in (text, changed, random_text(1, length))]
    assert near_duplicates(marks, 0.75) == {1: 0}
    assert near_duplicates(marks, 1.0) == {}


def test_the_first_stays_and_what_comes_after_names_it() -> None:
    text = random_text(1)
    steps = [text, text[:-4] + ["new"] * 4, text[:-8] + ["new"] * 8, random_text(2), text]
    marks = [signature(said(" ".join(some))) for some in steps]
    assert near_duplicates(marks, 0.9) == {1: 0, 2: 0, 4: 0}
    assert near_duplicates([b"", *marks, b""], 0.9) == {2: 1, 3: 1, 5: 1}


def test_a_session_names_the_one_it_repeats_most() -> None:
    text = random_text(1)
    steps = [text[:-60] + ["x"] * 60, text[:-20] + ["y"] * 20, text]
    marks = [signature(said(" ".join(some))) for some in steps]
    assert near_duplicates(marks, 0.9) == {2: 1}
    assert near_duplicates(marks, 0.5) == {1: 0, 2: 0}


def test_short_sessions_are_compared_exactly() -> None:
    marks = [signature(said(f"please read the file {name} now")) for name in ("a", "b", "c")]
    assert near_duplicates(marks, 0.3) == {}
    assert near_duplicates(marks, 0.2) == {1: 0, 2: 0}


def test_words_of_scripts_without_spaces_count_one_by_one() -> None:
    text = "".join(chr(0x4E00 + n) for n in range(300))
    marks = [signature(said(some)) for some in (text, text[:290] + "改行改行改", text[::-1])]
    assert near_duplicates(marks, 0.9) == {1: 0}


def test_members_of_a_family_are_not_compared() -> None:
    marks = [signature(said("the same words in all"))] * 3
    assert near_duplicates(marks, 0.9, ["a", "a", "b"]) == {2: 0}
    assert near_duplicates(marks, 0.9, ["a", "a", "a"]) == {}


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_a_threshold_is_a_share(threshold: float) -> None:
    with pytest.raises(Invalid, match="threshold"):
        near_duplicates([], threshold)


def test_branches_are_compared_by_what_they_do_not_share() -> None:
    def branch(end: str) -> Row:
        talk = Talk().user(" ".join(random_text(5))).says(" ".join(random_text(6)))
        row = talk.user(end).says(f"that is {end}").row()
        for message in row["messages"][2:]:
            message["at"] = [f"{end}:{message['id']}"]
        return row

    rows = [branch(end) for end in ("this", "that one here", "that one here")]
    assert near_duplicates(list(map(signature, rows)), 0.9) == {1: 0, 2: 0}
    once = map(signature, trained_once(rows[:2]))
    assert near_duplicates(list(once), 0.9) == {}


def test_there_is_a_family_for_each() -> None:
    with pytest.raises(Invalid, match="families"):
        near_duplicates([b""], 0.9, [])


def test_many_alike_are_compared_with_few() -> None:
    """Sessions that begin alike share bands without being near: the work stays bounded."""
    common = random_text(0, 300)
    marks = [signature(said(" ".join(common + random_text(n, 300)))) for n in range(1, 300)]
    assert near_duplicates(marks, 0.9) == {}
    assert near_duplicates([*marks, marks[5], marks[-1]], 0.9)[299] == 5


def test_of_a_long_session_the_beginning_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "SAID_CHARS_MAX", 60)
    said = [
        Talk().user("one two three four five").says(answer).row() for answer in ("a b c d", "e")
    ]
    first, second = map(signature, said)
    assert first != second
    longer = [Talk().user("x y " * 15).says(answer).row() for answer in ("a b c d", "e")]
    first, second = map(signature, longer)
    assert first == second != b""


@pytest.mark.parametrize("step", [1, 7, 64])
def test_pieces_change_no_signature(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "  ".join(WORDS[:300]) + "\n\n" + " ".join(WORDS[200:210])
    row = Talk().user(words).says("\u85e4\u3042 " + words).row()
    whole = signature(row)
    monkeypatch.setattr(duplicates, "_STEP_CHARS", step)
    assert signature(row) == whole
