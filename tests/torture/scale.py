"""How much to do: a short form in every run, a long one under `CLEW_TORTURE=1`."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

LONG = bool(os.environ.get("CLEW_TORTURE"))


def scaled(short: T, long: T) -> T:
    """One of two sizes, depending on the form of this run."""
    return long if LONG else short
