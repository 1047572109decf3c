"""Durations and sizes as people write them."""

from __future__ import annotations

import re

from clew.errors import Invalid

_DAYS = {"m": 1 / 1440, "h": 1 / 24, "d": 1.0, "w": 7.0}
_BYTES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]+)?)([mhdw])", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]+)?) *([kmgt]?)(i?)b?", re.ASCII | re.IGNORECASE)


def days(text: str) -> float:
    """`30d`, `12h`, `2w` or `90m` in days. Raises `Invalid`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise Invalid(f"{text!r} is no duration: write for example 30d, 12h, 90m or 2w")
    return float(match[1]) * _DAYS[match[2]]


def bytes_of(text: str) -> int:
    """`500MB`, `1GB`, `2GiB` or a plain number in bytes. Raises `Invalid`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Invalid(f"{text!r} is no size: write for example 500MB, 1GB or 2GiB")
    unit = match[2].lower()
    factor = 1024 ** "kmgt".index(unit) * 1024 if match[3] and unit else _BYTES[unit]
    return round(float(match[1]) * factor)
