"""Whatever a session went through, what a format is given of it is whole and in order.

Sessions are made in a real ledger: with calls at once, results in any order or never, broken
arguments, system messages, compactions and rewinds. Every word in them is unlike all others, so
that it can be found again.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clew
from clew.exporters import line
from clew.exporters.base import Unfit
from clew.exporters.formats import FORMATS, named
from clew.exporters.projections import atif_back
from clew.exporting import ExportOptions, Recipe, Selection

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = dict[str, Any]
EACH = [name for name, one in FORMATS.items() if one.each is not None]
CUT_AT_THE_END = ("openai", "llama-factory")
WITHOUT_MASK = ("trl", "sharegpt", "llama-factory", "anthropic")
WORD = re.compile(r"\b(?:user|system|bot|call|gave|summary)[0-9]+\b")

CALLS = st.tuples(
    st.sampled_from(["", "bot"]),
    st.permutations([0, 1, 2]).map(lambda order: order[: len(order)]),
    st.integers(1, 3),
    st.sampled_from(["all", "all", "all", "all", "one lost", "broken"]),
)
STEP = st.one_of(
    st.sampled_from(["user", "user", "bot", "bot", "system", "compact"]),
    CALLS,
    st.tuples(st.just("rewind"), st.integers(0, 50)),
)


@pytest.fixture(scope="module")
def ledger() -> Iterator[clew.Ledger]:
    with clew.open("sqlite:///:memory:", search=False, durability="normal") as opened:
        yield opened


class Storyteller:
    """Says things in a session, each with a number of its own."""

    def __init__(self, ledger: clew.Ledger) -> None:
        self.session = ledger.create()
        self.count = 0

    def word(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def tell(self, steps: list[Any]) -> None:
        for step in steps:
            if step == "compact":
                self.compact()
            elif isinstance(step, str):
                role = "assistant" if step == "bot" else step
                self.session.append({"role": role, "content": self.word(step)})
            elif step[0] == "rewind":
                self.rewind(step[1])
            else:
                self.call(*step)

    def compact(self) -> None:
        context = self.session.context()
        if context:
            try:
                self.session.compact(summary=self.word("summary"), keep_from=context[-1].at[0])
            except clew.Invalid:
                return  # nothing lies before it, or calls would be cut from their results

    def rewind(self, to: int) -> None:
        entries = self.session.entries()
        if entries:
            self.session.restore(str(entries[to % len(entries)].position))

    def call(self, words: str, order: list[int], number: int, how: str) -> None:
        words = self.word(words) if words else ""
        ids = [self.word("id") for _ in range(number)]
        calls = []
        for id in ids:
            arguments = json.dumps({"what": self.word("call")})
            cut = arguments[:-1] if how == "broken" else arguments
            function = {"name": "look", "arguments": cut}
            calls.append({"id": id, "type": "function", "function": function})
        self.session.append({"role": "assistant", "content": words, "tool_calls": calls})
        answered = [ids[n] for n in order if n < number]
        for id in answered[1:] if how == "one lost" else answered:
            told = self.word("gave")
            self.session.append({"role": "tool", "tool_call_id": id, "content": told})


def words(value: Any) -> list[str]:
    if isinstance(value, str):
        return WORD.findall(value)
    inside = value.values() if isinstance(value, dict) else value
    return [one for each in inside for one in words(each)] if isinstance(value, dict | list) else []


def said(format: str, made: Row) -> list[str]:
    """The words of a projected row in the order in which a model reads them."""
    if format in ("sharegpt", "llama-factory"):
        return words([made.get("system", ""), *(one["value"] for one in made["conversations"])])
    if format == "atif":
        return words([
            [step["message"], [call["arguments"] for call in step.get("tool_calls", [])],
             [one["content"] for one in step.get("observation", {}).get("results", [])]]
            for step in made["steps"]
        ])  # fmt: skip
    return words(
        [made.get("system", ""), made["messages"] if "messages" in made else made["lines"]]
    )


def expected(row: Row) -> list[str]:
    return words([[m["content"], m.get("tool_calls", [])] for m in row["messages"]])


def whole(row: Row) -> bool:
    """Whether every format has to take the row: somebody asks, somebody answers, and nothing that
    is needed is lost or broken.
    """
    messages = row["messages"]
    notes = row["notes"]
    first = next((m["role"] for m in messages if m["role"] != "system"), "")
    return (
        first == "user"
        and any(message["train"] for message in messages)
        and not notes["lost_results"]
        and not notes["invalid_arguments"]
    )


@pytest.mark.parametrize("format", EACH)
@given(steps=st.lists(STEP, max_size=14))
def test_what_a_format_is_given_is_whole_and_in_order(
    ledger: clew.Ledger, format: str, steps: list[Any]
) -> None:
    teller = Storyteller(ledger)
    teller.tell(steps)
    row = ledger.trajectory(teller.session.id)
    made = named(format)
    assert made.each is not None
    assert made.check is not None
    try:
        projected = json.loads(line(made.each(row)))
    except Unfit:
        assert not whole(row) or not row["messages"]
        return
    assert made.check(projected) == []
    found, wanted = said(format, projected), expected(row)
    assert found == wanted[: len(found)]
    left = [word for word in wanted[len(found) :] if word.startswith(("bot", "call"))]
    if format in ("atif", "sts"):
        assert found == wanted
    elif not (format in WITHOUT_MASK and row["notes"]["lost_results"]):
        assert left == []
    if format not in CUT_AT_THE_END and whole(row):
        assert found == wanted


@given(steps=st.lists(STEP, max_size=14))
def test_an_atif_document_gives_the_row_again(ledger: clew.Ledger, steps: list[Any]) -> None:
    teller = Storyteller(ledger)
    teller.tell(["user", *steps])
    row = ledger.trajectory(teller.session.id)
    made = named("atif").each
    assert made is not None
    if row["messages"]:
        assert line(atif_back.row_of(json.loads(line(made(row))))) == line(row)


# --- pairs ---------------------------------------------------------------------------------

ANSWER = st.lists(st.sampled_from(["fine", "failed"]), max_size=3)


@pytest.mark.parametrize("format", ["dpo", "openai-preference", "kto"])
@given(before=st.integers(0, 3), answers=st.lists(ANSWER, min_size=1, max_size=4))
def test_pairs_answer_the_same_words(
    ledger: clew.Ledger, format: str, before: int, answers: list[list[str]]
) -> None:
    teller = Storyteller(ledger)
    teller.tell(["user", "bot"] * before + ["user"])
    asked = teller.session.head
    assert asked is not None
    prompt = [word for message in teller.session.history() for word in words(message.text)]
    ways = []
    for number, answer in enumerate(answers):
        if number:
            teller.session.restore(str(asked))
        ways.append(tell_answer(teller, answer))
    rows = exported(ledger, teller.session.id, format)
    for row in rows:
        side = [words(row.get(key, [])) for key in ("chosen", "rejected", "completion")]
        asks = row.get("prompt") or row["input"]["messages"]
        assert words(asks) == prompt
        assert [one for one in side if one and one not in ways] == []
    if format == "dpo":
        check_pairs(rows, ways)


def tell_answer(teller: Storyteller, answer: list[str]) -> list[str]:
    """The model calls tools and then answers; gives its words, those of the results included."""
    for how in answer:
        id, asks, gave = (teller.word(kind) for kind in ("id", "call", "gave"))
        call = {"type": "tool_use", "id": id, "name": "look", "input": {"what": asks}}
        told: Row = {"type": "tool_result", "tool_use_id": id, "content": gave}
        told |= {"is_error": True} if how == "failed" else {}
        teller.session.append({"role": "assistant", "content": [call]})
        teller.session.append({"role": "user", "content": [told]})
    teller.tell(["bot"])
    found: list[str] = []
    for message in teller.session.history()[-2 * len(answer) - 1 :]:
        found += words([part.arguments for part in message.tool_calls])
        found += words([part.text for part in message.tool_results])
        found += words(message.text)
    return found


def exported(ledger: clew.Ledger, session: str, format: str) -> list[Row]:
    out = io.BytesIO()
    recipe = Recipe(format=format, redaction=None, selection=Selection(sessions=(session,)))
    ledger.export(recipe, output=out, options=ExportOptions(branches=True))
    return [json.loads(one) for one in out.getvalue().splitlines()]


def check_pairs(rows: list[Row], ways: list[list[str]]) -> None:
    """The head took the place of all others, however they seemed to end."""
    last = len(ways) - 1
    pairs = {(ways.index(words(r["chosen"])), ways.index(words(r["rejected"]))) for r in rows}
    assert pairs == {(last, n) for n in range(last)}
    assert len(pairs) == len(rows)
