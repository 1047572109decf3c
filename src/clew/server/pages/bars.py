"""Bars as SVG: where each piece of a stacked bar lies. Numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

WIDTH: Final = 960
HEIGHT: Final = 180
ROW: Final = 26
LABEL: Final = 260
BAR_MAX: Final = 36

Values = Sequence[tuple[str, tuple[int, ...]]]
"""What each bar is called, and its pieces."""


class Piece(msgspec.Struct, frozen=True):
    """One rectangle; `series` is its number in the stack."""

    x: float
    y: float
    width: float
    height: float
    series: int


class Bar(msgspec.Struct, frozen=True):
    """One bar; `x` and `y` are where its name stands."""

    name: str
    total: int
    x: float
    y: float
    pieces: list[Piece]


class Chart(msgspec.Struct, frozen=True):
    """All bars, and the size of the picture; `peak` is what the longest bar stands for."""

    width: float
    height: float
    peak: int
    bars: list[Bar]


def columns(values: Values) -> Chart | None:
    """Standing bars, in their order; `None` where there is nothing to draw."""
    peak = max((sum(pieces) for _, pieces in values), default=0)
    if not peak:
        return None
    step = WIDTH / len(values)
    width = min(step * 0.8, BAR_MAX)
    found = []
    for number, (name, pieces) in enumerate(values):
        x, y, drawn = number * step + (step - width) / 2, float(HEIGHT), []
        for series, value in enumerate(pieces):
            height = value / peak * (HEIGHT - 10)
            y -= height
            if value:
                drawn.append(Piece(_r(x), _r(y), _r(width), _r(max(height, 0.5)), series))
        found.append(Bar(name, sum(pieces), _r(x + width / 2), HEIGHT + 14, drawn))
    return Chart(WIDTH, HEIGHT + 20, peak, found)


def rows(values: Values) -> Chart | None:
    """Lying bars with their names beside them."""
    peak = max((sum(pieces) for _, pieces in values), default=0)
    if not peak:
        return None
    found = []
    for number, (name, pieces) in enumerate(values):
        x, y, drawn = float(LABEL), number * ROW + 4.0, []
        for series, value in enumerate(pieces):
            width = value / peak * (WIDTH - LABEL - 90)
            if value:
                drawn.append(Piece(_r(x), y, _r(max(width, 0.5)), ROW - 10, series))
            x += width
        found.append(Bar(name, sum(pieces), _r(x + 6), y + ROW - 14, drawn))
    return Chart(WIDTH, len(values) * ROW + 4, peak, found)


def _r(number: float) -> float:
    return round(number, 2)
