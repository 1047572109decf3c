"""How full the context was, call by call, as points of a small picture."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

import msgspec

WIDTH: Final = 240
HEIGHT: Final = 56
POINTS_MAX: Final = 240


class Curve(msgspec.Struct, frozen=True):
    """`points` as an SVG polyline has them, `folds` the x of each compaction, `peak` the tokens
    at the top, `last` those of the newest call.
    """

    points: str
    folds: list[float]
    peak: int
    last: int
    calls: int
    width: int = WIDTH
    height: int = HEIGHT


def of(series: Sequence[tuple[Any, ...]], compactions: Sequence[int]) -> Curve | None:
    """The curve of `(entry, tokens in, tokens out)`; `None` where no call told its tokens."""
    rows = [(seq, context + said) for seq, context, said in series if context + said > 0]
    if not rows:
        return None
    peak = max(tokens for _, tokens in rows)
    step = max(len(rows) // POINTS_MAX, 1)
    kept = [max(rows[at : at + step], key=lambda row: row[1]) for at in range(0, len(rows), step)]
    across = WIDTH / max(len(kept) - 1, 1)
    points = " ".join(
        f"{number * across:.1f},{HEIGHT - tokens / peak * (HEIGHT - 4):.1f}"
        for number, (_, tokens) in enumerate(kept)
    )
    places = [seq for seq, _ in kept]
    folds = [round(bisect_left(places, seq) * across, 1) for seq in compactions]
    return Curve(points, folds, peak, rows[-1][1], len(rows))
