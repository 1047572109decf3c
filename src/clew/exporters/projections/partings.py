"""Where branches of one history part ways, and which way was the better one.

A branch is a row; rows of one family share what was said before they parted. Where they do, the
model was asked the same and answered differently. One answer is preferred to the other by what a
verifier says of both; else the one that was gone on with to one that was left, and of two that
were left the later one; else by how their branches seem to have ended (`RANKS`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from clew.exporters.base import Row, line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RANKS: Final = {
    "success": 4,
    "recovered": 3,
    "incomplete": 2,
    "unknown": 2,
    "aborted": 1,
    "error": 0,
}


class Pair(NamedTuple):
    """Two rows that part at message `at`, which in either is the model's."""

    chosen: Row
    rejected: Row
    at: int


def pairs(rows: Sequence[Row]) -> Iterator[Pair]:
    """At each parting the best way is preferred to each other one that is worse, once."""
    if len(rows) < 2:
        return
    kinds = _Kinds()
    paths = [[kinds.of(message) for message in row["messages"]] for row in rows]
    for at, ways in _partings(paths):
        best = [_best([rows[n] for n in way], at) for way in ways]
        answers = [row for row in best if _answers(row, at)]
        if len(answers) < 2:
            continue
        chosen = _best(answers, at)
        yield from (Pair(chosen, row, at) for row in answers if _better(chosen, row, at))


def verified(row: Row) -> bool:
    """Whether somebody who knows better said how it ended."""
    return row.get("outcome_source") == "verifier"


def left(row: Row) -> bool:
    """Whether the head was taken away from it: by an undo, a restore, or other words in place."""
    return row.get("branch") == "left"


def _best(rows: Sequence[Row], at: int) -> Row:
    """Of equals the first counts."""
    best = rows[0]
    for row in rows[1:]:
        if _better(row, best, at):
            best = row
    return best


def _better(one: Row, other: Row, at: int) -> bool:
    """Whether one way is worth more than another that parts from it. What a verifier says of both
    goes before what was done with them: whatever was left is worth less than what took its place.
    Only then a guess at how they ended counts.
    """
    ranks = [RANKS.get(row["outcome"], RANKS["unknown"]) for row in (one, other)]
    if verified(one) and verified(other) and ranks[0] != ranks[1]:
        return ranks[0] > ranks[1]
    if left(one) != left(other):
        return left(other)
    if left(one):
        (session, mine), (another, theirs) = _entry(one, at), _entry(other, at)
        if session is not None and session == another and mine != theirs:
            return mine > theirs
    return ranks[0] > ranks[1]


def _entry(row: Row, at: int) -> tuple[str | None, int]:
    """In which session a message was written, and as which entry: later ones have more."""
    place = row["messages"][at].get("at") if at < len(row["messages"]) else None
    session, _, number = str(place[0] if place else "").rpartition(":")
    return (session, int(number)) if number.isdecimal() else (None, 0)


def _answers(row: Row, at: int) -> bool:
    """Whether the model itself answers there."""
    message, before = row["messages"][at], row["messages"][at - 1]
    asked: bool = before["role"] != "assistant" and message["sampled"]
    return asked and message["role"] == "assistant"


def _partings(paths: Sequence[list[int]]) -> Iterator[tuple[int, list[list[int]]]]:
    """Each index at which paths that agree so far go several ways, with the paths of each way."""
    waiting = [(0, list(range(len(paths))))]
    while waiting:
        at, group = waiting.pop()
        while len(group) > 1:
            ways: dict[int, list[int]] = {}
            for number in group:
                if at < len(paths[number]):
                    ways.setdefault(paths[number][at], []).append(number)
            if len(ways) > 1:
                if at > 0:
                    yield at, list(ways.values())
                waiting += [(at + 1, way) for way in reversed(ways.values())]
                break
            group = next(iter(ways.values()), [])
            at += 1


class _Kinds:
    """Numbers for messages: equal ones, in different rows, have the same number. They are equal
    when they stand at the same entries, or else say the same (a history that was copied).
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def of(self, message: Row) -> int:
        place, words = _place(message), _words(message)
        found = self._numbers.get(place) if place else None
        if found is None:
            found = self._numbers.get(words, len(self._numbers))
        self._numbers.setdefault(words, found)
        if place:
            self._numbers.setdefault(place, found)
        return found


def _place(message: Row) -> bytes | None:
    at = message.get("at")
    return line({"at": [message["role"], message.get("tool_call_id"), at]}) if at else None


def _words(message: Row) -> bytes:
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    said = message["role"], message["content"], message.get("reasoning_content")
    return line({"words": [*said, message.get("parts"), calls]})
