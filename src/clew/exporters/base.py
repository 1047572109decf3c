"""What every exporter shares: the shape of its input and the bytes of its output.

An export is a sequence of rows, each a JSON object on a line of its own. Equal rows give
equal bytes: keys stand in the order in which the exporter puts them, there are no spaces, and
the three characters that some readers take for the end of a line are escaped.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from clew.errors import ClewError, Invalid
from clew.model import JSON, Compaction, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = dict[str, JSON]
_EPOCH = datetime(1970, 1, 1)
_MINUTE_MS = 60_000
_TIME_MS_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_LINE_ENDS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
)


class Segment(msgspec.Struct, frozen=True):
    """The messages from one compaction to the next, oldest first.

    `compaction` is the one that it begins with; the first segment has none.
    """

    messages: tuple[Message, ...]
    compaction: Compaction | None = None


class Redacts(Protocol):
    """What writing needs of a redactor (see `clew.redaction.Redactor`)."""

    ruleset: str

    @property
    def learned(self) -> int:
        """Grows when a value was found that may stand elsewhere too."""

    @property
    def counts(self) -> dict[str, int]:
        """Replacements so far, by rule."""

    def redact(self, value: JSON) -> JSON:
        """A copy with everything found replaced."""

    def scan(self, value: JSON) -> Sequence[object]:
        """What is still found; each prints as rule and place, never as the value."""


def segments(
    messages: Sequence[Message], compactions: Sequence[tuple[int, Compaction]] = ()
) -> tuple[Segment, ...]:
    """Cut a history at its compactions.

    Each compaction comes with the index of the first message after it. Raises `Invalid` when
    the indexes do not rise or point outside the history.
    """
    out: list[Segment] = []
    begin, opened = 0, None
    for index, compaction in compactions:
        if not begin <= index <= len(messages):
            raise Invalid(
                f"a compaction at message {index} does not fit: the previous one is at {begin} "
                f"and the history has {len(messages)} messages. Give them in order"
            )
        out.append(Segment(tuple(messages[begin:index]), opened))
        begin, opened = index, compaction
    out.append(Segment(tuple(messages[begin:]), opened))
    return tuple(out)


def iso(time_ms: int) -> str | None:
    """`2026-05-03T10:11:12.000Z`, always with milliseconds; `None` for an unknown time."""
    if not 0 < time_ms <= _TIME_MS_MAX:
        return None
    minutes, rest = divmod(time_ms, _MINUTE_MS)
    return f"{_minute(minutes)}:{rest // 1000:02d}.{rest % 1000:03d}Z"


@lru_cache(maxsize=1024)
def _minute(minutes: int) -> str:
    return (_EPOCH + timedelta(minutes=minutes)).isoformat(timespec="minutes")


def line(row: Row) -> bytes:
    """One line of JSONL, its newline included.

    Half of a surrogate pair has no UTF-8 form; it becomes U+FFFD, as in every browser.
    """
    try:
        data = msgspec.json.encode(row)
    except UnicodeEncodeError:
        data = msgspec.json.encode(_whole_characters(row))
    if not data.isascii():
        for character, escape in _LINE_ENDS:
            data = data.replace(character, escape)
    return data + b"\n"


def _whole_characters(value: JSON) -> JSON:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    return value


class Unfit(ClewError):
    """A row cannot be said in a format. `reason` is a few words that are the same for all such
    rows (`"images"`): drops are counted by it. The text says what, where.
    """

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(text or reason)
        self.reason = reason


class Told(NamedTuple):
    """What was made of some rows of a family, and of which: a row, or why there is none."""

    made: Row | Unfit
    of: tuple[Row, ...]


class Problem(NamedTuple):
    """Why a row is not fit for its format. `where` is a path in the row (`messages/3/content`),
    `rule` a stable name, `text` says what is wrong and how to mend it.
    """

    rule: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where or 'the row'}: {self.text} [{self.rule}]"
