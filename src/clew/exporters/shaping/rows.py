"""The order in which a row is shaped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from clew.exporters.base import Row, Unfit
from clew.exporters.shaping.budget import Counter, Summarise, fit, shorten
from clew.exporters.shaping.figures import Assembly
from clew.exporters.shaping.messages import parallel, select, serialise, without_reasoning
from clew.exporters.shaping.pieces import Piece, explode, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clew.exporters.shaping.options import Shaping

NOTHING: Final = "nothing to train"
OnUnfit = Callable[[Unfit], None]
"""Told of each part of a row that cannot be made."""


def shape(
    row: Row,
    shaping: Shaping,
    summarise: Summarise | None = None,
    on_unfit: OnUnfit | None = None,
) -> Iterator[Row]:
    """The rows that a native row becomes, one at a time. The row is not changed; what comes out
    shares values with it.

    What cannot be made is told to `on_unfit`; without it the first such `Unfit` is raised when
    everything else has been given. Raises `Invalid` when `summarise` fails.
    """
    if shaping.plain:
        yield row
        return
    unfit: list[Unfit] = []
    report = on_unfit or unfit.append
    count, assembly = Counter(), Assembly(row)
    found = False
    try:
        for piece in _pieces(row, shaping):
            found = True
            try:
                _fitted(row, piece, shaping, summarise, count)
            except Unfit as error:
                report(error)
            else:
                yield assembly.row(piece)
        if not found:
            report(Unfit(NOTHING))
    except Unfit as error:
        report(error)
    if unfit:
        raise unfit[0]


def _pieces(row: Row, shaping: Shaping) -> Iterator[Piece]:
    if shaping.recorded_tools_only and row["tools_source"] in ("inferred", "mixed"):
        raise Unfit("tool schemas are inferred")
    messages = select(row["messages"], shaping)
    if shaping.parallel == "serialise":
        messages = serialise(messages)
    pieces = iter([Piece(messages, {})])
    if shaping.segments == "split":
        pieces = (one for one in split(row, messages) if _speaks(one))
    for piece in pieces:
        # Turns of a row that is one already are not numbered anew: some may be left out of it.
        if shaping.exploded != "none" and shaping.exploded not in row:
            yield from explode(piece, shaping.exploded)
        elif not shaping.selects or _trains(piece.messages):
            yield piece


def _trains(messages: Sequence[Row]) -> bool:
    return any(message["train"] for message in messages)


def _speaks(piece: Piece) -> bool:
    """Whether a model says something in a piece that is not said in another one."""
    return not piece.cut or any(
        message["sampled"] and not message.get("context") for message in piece.messages
    )


def _fitted(
    row: Row, piece: Piece, shaping: Shaping, summarise: Summarise | None, count: Counter
) -> None:
    """Change the messages of a piece as far as it takes. Raises `Unfit`."""
    if shaping.parallel == "drop" and any(map(parallel, piece.messages)):
        raise Unfit("parallel calls")
    notes: dict[str, int] = {}
    if shaping.reasoning != "keep":
        kept, dropped = without_reasoning(piece.messages, keep_last=shaping.reasoning != "drop")
        if _trains(piece.messages) and not _trains(kept):
            raise Unfit(NOTHING, "what would train is nothing but reasoning, which is dropped")
        piece.messages = kept
        notes["dropped_reasoning"] = dropped
    if shaping.max_tokens is not None or shaping.result_tokens is not None:
        notes |= _within_budget(row, piece, shaping, summarise, count)
    piece.notes = {name: number for name, number in notes.items() if number}


def _within_budget(
    row: Row, piece: Piece, shaping: Shaping, summarise: Summarise | None, count: Counter
) -> dict[str, int]:
    fixed = count.tools(row["tools"])
    notes: dict[str, int] = {}
    over = shaping.max_tokens is None or (
        fixed + sum(map(count.message, piece.messages)) > shaping.max_tokens
    )
    if shaping.result_tokens is not None and over:
        piece.messages, notes["truncated_results"] = shorten(
            piece.messages, shaping.result_tokens, count
        )
    piece.messages, elided = fit(piece.messages, fixed, shaping, count, summarise)
    return notes | elided
