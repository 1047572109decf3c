"""Since when, until when: times read from what a person types.

A window that cannot be understood is an error. It never silently means "everything".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from clew.errors import Invalid

_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"([0-9]{1,12})([mhdw])", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)
_DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
SECONDS_MIN = 100_000_000
"""The smallest number taken for epoch seconds: March 1973."""
MILLISECONDS_MIN = 100_000_000_000
"""From here on a number is epoch milliseconds."""
_EXAMPLES = (
    "write for example 30d, 12h, 90m, 2w, 2026-05-03, 2026-05-03T10:00:00+02:00 or 1777800000"
)
_SHOWN_MAX = 60


def parse_since(text: str, now_ms: int) -> int:
    """The beginning of the window in Unix milliseconds.

    `text` is a duration before `now_ms` (`30d`, `12h`, `90m`, `2w`), an ISO 8601 date or date
    and time (without a zone: UTC), or Unix time in seconds or milliseconds. Raises `Invalid`
    for anything else, for zero, and for a time before 1970 or in the future.
    """
    text = text.strip()
    shown = repr(text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…")
    duration = _DURATION.fullmatch(text)
    if duration:
        since = now_ms - _duration_ms(duration, shown)
    elif _DIGITS.fullmatch(text):
        since = _epoch_ms(int(text), shown)
    elif _DATED.fullmatch(text):
        since = _dated_ms(text, shown)
    else:
        raise Invalid(f"{shown} is no time that an export can begin at: {_EXAMPLES}")
    if since > now_ms:
        raise Invalid(f"{shown} is in the future: {_EXAMPLES}")
    if since < 0:
        raise Invalid(f"{shown} is before 1970: {_EXAMPLES}")
    return since


def parse_until(text: str, now_ms: int) -> int:
    """The end of a time that begins now, in Unix milliseconds.

    `text` is a duration from `now_ms` on (`30d`, `12h`), or a time as in `parse_since`. Raises
    `Invalid` for anything else, for what is over already, and for what no calendar holds.
    """
    text = text.strip()
    shown = repr(text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…")
    duration = _DURATION.fullmatch(text)
    if duration:
        until = now_ms + _duration_ms(duration, shown)
    elif _DIGITS.fullmatch(text):
        until = _epoch_ms(int(text), shown)
    elif _DATED.fullmatch(text):
        until = _dated_ms(text, shown)
    else:
        raise Invalid(f"{shown} is no time that something can end at: {_EXAMPLES}")
    if until <= now_ms:
        raise Invalid(f"{shown} is over already: {_EXAMPLES}")
    if until > _LAST_MS:
        raise Invalid(f"{shown} is after the year 9999: {_EXAMPLES}")
    return until


def _duration_ms(match: re.Match[str], shown: str) -> int:
    number = int(match[1])
    if number == 0:
        raise Invalid(f"{shown} is an empty window: {_EXAMPLES}")
    return number * _UNITS_MS[match[2]]


def _epoch_ms(number: int, shown: str) -> int:
    if number < SECONDS_MIN:
        raise Invalid(f"{shown} has no unit and is too small for a Unix time: {_EXAMPLES}")
    return number if number >= MILLISECONDS_MIN else number * 1000


def _dated_ms(text: str, shown: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{shown} is no date ({error}): {_EXAMPLES}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)
