"""Pairs of answers to the same words: for DPO and KTO as TRL reads them, and for OpenAI's
preference tuning.

An answer is what the model does until its turn ends, with its calls and their results; OpenAI
takes its first message only (`preferred_output` has one item). Source: `trl.DPOTrainer`,
`trl.KTOTrainer`; `FineTunePreferenceRequestInput` of OpenAI's OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from clew.exporters.base import Row, Told, Unfit, line
from clew.exporters.projections import openai, trl, turns
from clew.exporters.projections.functions import schemas, united
from clew.exporters.projections.partings import Pair, left, pairs, verified
from clew.exporters.projections.turns import ASSISTANT, Chat, Turn

LABELS: Final = {"success": True, "recovered": True, "error": False, "aborted": False}
"""What an outcome says of a session's last turn. Of the others nothing is known."""


_Made = Callable[[], Row]


def dpo(rows: Sequence[Row]) -> Iterator[Told]:
    """`{prompt, chosen, rejected, tools?}` for each pair of branches."""
    for pair in pairs(rows):
        yield Told(_tried(partial(_dpo, pair)), (pair.chosen, pair.rejected))


def kto(rows: Sequence[Row]) -> Iterator[Told]:
    """`{prompt, completion, label, tools?}`: both answers of each pair, and the last turn of each
    session that is in no pair and whose outcome tells good from bad. Nothing stands twice.
    """
    found = list(pairs(rows))
    used = {id(row) for pair in found for row in (pair.chosen, pair.rejected)}
    makers: list[tuple[Row, _Made]] = []
    for pair in found:
        makers.append((pair.chosen, partial(_kto, pair, "chosen", True)))
        makers.append((pair.rejected, partial(_kto, pair, "rejected", False)))
    makers += [(row, partial(_last_turn, row)) for row in rows if id(row) not in used]
    seen: set[bytes] = set()
    gave: set[int] = set()
    for row, make in makers:
        made = _tried(make)
        key = None if isinstance(made, Unfit) else _said(made["prompt"] + made["completion"])
        if key is not None and key in seen:
            if id(row) in gave:
                continue
            made = Unfit("same answer", "another branch says the same")
        elif key is not None:
            seen.add(key)
            gave.add(id(row))
        yield Told(made, (row,))


def openai_preference(rows: Sequence[Row]) -> Iterator[Told]:
    """`{input, preferred_output, non_preferred_output}` for each pair of branches."""
    for pair in pairs(rows):
        yield Told(_tried(partial(_openai, pair)), (pair.chosen, pair.rejected))


def _tried(make: _Made) -> Row | Unfit:
    try:
        return make()
    except Unfit as unfit:
        return unfit


# --- one row -------------------------------------------------------------------------------


def _dpo(pair: Pair) -> Row:
    out: Row = {"prompt": trl.messages(_prompt(pair.chosen, pair.at), marked=False)}
    for side, row in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        out[side] = trl.messages(_answer(row, pair.at), marked=False)
    _differ(out["chosen"], out["rejected"])
    tools = united(pair.chosen["tools"], pair.rejected["tools"])
    return out | ({"tools": schemas(tools)} if tools else {})


def _kto(pair: Pair, side: str, label: bool) -> Row:
    """One side of a pair. Raises `Unfit` when the other cannot be said (then it is no pair), or
    when it was the better (the worse) of two and ended badly (well) all the same. That a branch
    which was left seemed to end well says nothing for it: something took its place.
    """
    both = _dpo(pair)
    row = pair.chosen if label else pair.rejected
    outcome = row["outcome"]
    replaced = left(row) and not label and not verified(row)
    if not replaced and LABELS.get(outcome, label) != label:
        raise Unfit("no label", f"{side} of a pair, and {outcome} all the same")
    if label:
        _good(row, both[side])
    out = {"prompt": both["prompt"], "completion": both[side], "label": label}
    return out | ({"tools": both["tools"]} if "tools" in both else {})


def _last_turn(row: Row) -> Row:
    label = LABELS.get(row["outcome"])
    if label is None:
        raise Unfit("no label", f"{row['outcome']} tells neither good nor bad")
    messages = row["messages"]
    at = len(messages)
    while at and _is_answer(messages[at - 1]):
        at -= 1
    out: Row = {
        "prompt": trl.messages(_prompt(row, at), marked=False),
        "completion": trl.messages(_answer(row, at), marked=False),
        "label": label,
    }
    if label:
        _good(row, out["completion"])
    return out | ({"tools": schemas(row["tools"])} if row["tools"] else {})


def _good(row: Row, completion: Sequence[Row]) -> None:
    """Raises `Unfit` for what must not be taught as good, unless a verifier says that it is: what
    was left, and what ends before the model has said anything.
    """
    if verified(row) and row["outcome"] in ("success", "recovered"):
        return
    if left(row):
        raise Unfit("left", "it was undone, or left for something else: that is no sign of good")
    last = completion[-1]
    if last["role"] != ASSISTANT or not (last.get("content") or last.get("tool_calls")):
        raise Unfit("no answer", "it ends with the result of a call, and the model says nothing")


def _openai(pair: Pair) -> Row:
    prompt = _prompt(pair.chosen, pair.at, reasoning=False)
    first = [_first(row, pair.at) for row in (pair.chosen, pair.rejected)]
    chosen, rejected = (openai.messages(Chat("", [turn]), weighted=False) for turn in first)
    _differ(chosen, rejected)
    tools = united(pair.chosen["tools"], pair.rejected["tools"])
    whole = Chat(prompt.system, [*prompt.turns, *first])
    asked = {"messages": openai.messages(prompt, weighted=False), **openai.tools(whole, tools)}
    return {"input": asked, "preferred_output": chosen, "non_preferred_output": rejected}


# --- its parts -----------------------------------------------------------------------------


def _prompt(row: Row, at: int, *, reasoning: bool = True) -> Chat:
    """What the model was asked with. There is no loss on it, so lost results may stay. Raises
    `Unfit` unless it ends with words or results.
    """
    chat = turns.read(row["messages"][:at], masked=False, reasoning=reasoning)
    last = chat.turns[-1] if chat.turns else None
    if last is None or (last.role == ASSISTANT and not last.results):
        raise Unfit("no prompt", "the answer follows on no words or results")
    if not all(turn.answered for turn in chat.turns):
        raise Unfit("unanswered call", "the conversation goes on without the result of a call")
    return chat


def _answer(row: Row, at: int) -> Chat:
    """What the model does from there until its turn ends. Raises `Unfit`."""
    end = at
    while end < len(row["messages"]) and _is_answer(row["messages"][end]):
        end += 1
    chat = turns.of_messages(row["messages"][at:end], masked=False)
    if not any(turn.parts or turn.calls for turn in chat.turns):
        raise Unfit("no answer", "the model thinks, and says nothing")
    return chat


def _is_answer(message: Row) -> bool:
    return message["role"] in (ASSISTANT, "tool") and message.get("kind") != "compaction"


def _first(row: Row, at: int) -> Turn:
    """What the model says first, its calls included. Raises `Unfit`."""
    chat = turns.read(row["messages"][at:], masked=False, reasoning=False)
    first = chat.turns[0] if chat.turns else None
    if first is None or first.role != ASSISTANT:
        raise Unfit("no answer", "the model says nothing")
    if not first.train:
        raise Unfit("nothing to train", "the answer is not fit to learn from")
    first.results = []
    return first


def _differ(one: Sequence[Row], other: Sequence[Row]) -> None:
    """Raises `Unfit` when they say the same, as far as the shorter goes: an answer that was broken
    off and the one that it became tell nothing of which way is better.
    """
    short, long = sorted((one, other), key=len)
    *whole, last = short
    if _said(whole) == _said(long[: len(whole)]) and _begins(last, long[len(whole)]):
        raise Unfit("same answer", "one answer is how the other begins")


def _begins(last: Row, message: Row) -> bool:
    """Whether either is how the other begins."""
    return any(
        all(
            (there.get(key) or "").startswith(here.get(key) or "")
            for key in ("content", "reasoning_content")
        )
        and _functions(there)[: len(_functions(here))] == _functions(here)
        for here, there in ((last, message), (message, last))
    )


def _functions(message: Row) -> list[Row]:
    return [call["function"] for call in message.get("tool_calls") or ()]


def _said(messages: Sequence[Row]) -> bytes:
    """What messages say, by whatever ids their calls are known."""
    told = []
    for message in messages:
        words = message.get("content"), message.get("reasoning_content")
        told.append([message["role"], *words, _functions(message)])
    return line({"said": told})
