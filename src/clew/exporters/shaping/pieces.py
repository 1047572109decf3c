"""Cutting a row into several: one for each segment, each turn, or each answer of the model.

What is repeated in a later row is context there: `context` is set on it, and it does not train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from clew.exporters.base import Row
from clew.exporters.shaping.messages import blocks, changed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clew.model import JSON

KEPT = "kept-context"
EARLIER_TURN = "earlier-turn"
EARLIER_STEP = "earlier-step"


class Piece(msgspec.Struct):
    """A part of a row's messages that becomes a row. `labels` are fields that say which it is;
    `cut` tells that the session has more. `notes` are figures to be added to the row's own.
    """

    messages: list[Row]
    labels: Row
    cut: bool = False
    notes: dict[str, int] = {}


def as_context(message: Row, rule: str) -> Row:
    """A message that is only repeated: it does not train; if it would have, `rule` says why."""
    if message.get("train"):
        return changed(message, train=False, train_rule=rule, context=True)
    return changed(message, context=True)


# --- segments ------------------------------------------------------------------------------


def split(row: Row, messages: list[Row]) -> Iterator[Piece]:
    """One piece for each segment: what a model saw after a compaction. System messages come
    first, then the summary, then what was kept, then what was said.
    """
    cuts = row["segments"]
    by_segment: dict[JSON, list[Row]] = {}
    for message in messages:
        by_segment.setdefault(message["segment"], []).append(message)
    before: list[Row] = []
    for cut in cuts:
        number = cut["segment"]
        own = by_segment.get(number, [])
        labels = {"segment": number, "parent": cut["parent"]}
        if before:
            yield Piece(_seen(before, own, cut), labels, cut=True)
        else:
            yield Piece(own, labels, cut=len(cuts) > 1)
        before += own


def _seen(before: Sequence[Row], own: Sequence[Row], cut: Row) -> list[Row]:
    """What a model saw of a history and of the segment that follows on it."""
    system = next((n for n, each in enumerate(before) if each["role"] != "system"), len(before))
    kept = before[_kept_from(before, cut["compaction"], system) :]
    summaries = next((n for n, each in enumerate(own) if not _overlay(each)), len(own))
    lead, rest = (
        [changed(as_context(message, KEPT), segment=cut["segment"]) for message in some]
        for some in (before[:system], [each for each in kept if not _overlay(each)])
    )
    return [*lead, *own[:summaries], *rest, *own[summaries:]]


def _overlay(message: Row) -> bool:
    """A compaction's own summary: it comes first, and a later one takes its place. One that an
    agent wrote as a message has entries and stands where it was said.
    """
    return message.get("kind") == "compaction" and not message.get("at")


def _kept_from(before: Sequence[Row], compaction: Row | None, system: int) -> int:
    """The index of the first message that a compaction kept; `len(before)` when it kept none.

    The place that it names may be that of an entry that is no message, so what counts is the
    order of entries in a session; the entries of one session stand together on a path. Results
    stand where their calls do.
    """
    if compaction is None:
        return len(before)
    session, seq = _place(compaction["first_kept"])
    found, later = None, len(before)
    for index in range(len(before) - 1, -1, -1):
        message = before[index]
        if message["role"] == "tool" or not message.get("at"):
            continue
        numbers = [number for id, number in map(_place, message["at"]) if id == session]
        if numbers and max(numbers) >= seq:
            found = index
        elif found is not None:
            break
        elif numbers:
            # The place is behind the last message of its session: what branched off was kept.
            found = later
            break
        else:
            later = index
    return len(before) if found is None else max(found, system)


def _place(position: JSON) -> tuple[str, int]:
    session, _, number = str(position).rpartition(":")
    return session, int(number) if number.isdecimal() else -1


# --- turns and answers ---------------------------------------------------------------------


def explode(piece: Piece, how: str) -> Iterator[Piece]:
    """One piece for each turn, or each answer, that has something to train; all before it is
    context. What is written grows with the square of the number of turns.
    """
    messages = piece.messages
    earlier: list[Row] = []
    rule = EARLIER_TURN if how == "turn" else EARLIER_STEP
    parts = list(turns(messages) if how == "turn" else steps(messages))
    for number, (start, stop) in enumerate(parts):
        own = messages[start:stop]
        if any(message["train"] for message in own):
            cut = piece.cut or len(parts) > 1
            yield Piece([*earlier, *own], {**piece.labels, how: number}, cut)
        earlier += [as_context(message, rule) for message in own]


def turns(messages: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Where each turn begins and ends: at words of the user that follow on something else, as a
    chat template sees it. What stands before the first belongs to the first.
    """
    start = 0
    spoken = False
    for index, message in enumerate(messages):
        if message["role"] == "user" and spoken:
            yield start, index
            start, spoken = index, False
        spoken = spoken or message["role"] in ("assistant", "tool")
    if messages:
        yield start, len(messages)


def steps(messages: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Where each answer of the model ends, with the results of its calls, and where what led to
    it begins.
    """
    start = 0
    for first, stop in blocks(messages):
        if messages[first]["role"] == "assistant":
            yield start, stop
            start = stop
    if start < len(messages):
        yield start, len(messages)
