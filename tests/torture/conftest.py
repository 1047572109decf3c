"""`CLEW_TORTURE=1` turns every test of this folder into its long form, run by `-m torture`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scale import LONG

if TYPE_CHECKING:
    import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    if LONG:
        item.add_marker("torture")
