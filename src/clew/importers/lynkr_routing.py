"""Lynkr's routing: what its router knew of each call, in a database of its own.

The two databases have no id in common. A row goes with the answer that has its tokens, else
with the failure that has its status, else with the nearest answer that comes when the row says and
does not tell another number of tokens. One that goes with none (its answer was streamed, which the
program does not keep) counts for itself.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import parse
from clew.errors import Invalid
from clew.importers import database
from clew.importers.base import Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import ExitStack
    from pathlib import Path

TABLE: Final = "routing_telemetry"
_NEEDED: Final = frozenset({"id", "request_id", "session_id", "timestamp", "provider"})
_TEXTS: Final = ("request_text", "response_text")
_JSON: Final = ("candidates", "cache_decision")
LATE_MS: Final = 10 * 60_000
"""A row this much older than an answer is not of it: the router waits no longer for one."""
SLACK_MS: Final = 1_000
"""The program is done with an answer so much later, at most, than its provider."""
NEAR: Final = 64
"""So many answers before and behind a row are looked at."""


def beside(path: Path, held: ExitStack) -> Routing:
    """The routing of a database of sessions: in `.lynkr` of the folder where the program ran, or
    in the same folder.
    """
    places = [
        path.parent.parent / ".lynkr" / "telemetry.db",
        path.parent / ".lynkr" / "telemetry.db",
        path.parent / "telemetry.db",
        path,
    ]
    for place in places:
        if place.is_file():
            try:
                found = held.enter_context(database.opened(place, (TABLE,)))
            except Invalid as error:
                return Routing(None, str(error))
            if found.tables.get(TABLE, frozenset()) >= _NEEDED:
                return Routing(found)
    return Routing(None)


class Routed:
    """What the router knew of one session's calls."""

    def __init__(self, note: str | None) -> None:
        self.by_answer: dict[int, dict[str, Any]] = {}
        """By the id of the answer's or failure's row."""
        self.rows: list[dict[str, Any]] = []
        self._note = note

    def items(self) -> Iterator[Item]:
        """Each row once, whatever becomes of the answer that it was found to be of: answers are
        deleted sooner. Or why there are none at all.
        """
        answered = {row["id"]: answer for answer, row in self.by_answer.items()}
        for row in self.rows:
            said = database.line(numbers(row))
            told = {**row, "answered_by": answered.get(row["id"])}
            key = f"telemetry/{row['id']}@{row['timestamp']}"
            yield Item(key, database.line(told), aside=True, said=said)
        if self._note is not None:
            body = database.line({"telemetry": None})
            yield Item("telemetry", body, aside=True, note=self._note)


class Routing:
    """The router's database, where there is one."""

    def __init__(self, found: database.Database | None, note: str | None = None) -> None:
        self._database = found
        self._note = note

    def marks(self) -> dict[str, str]:
        """What changes when more is known of a session."""
        if self._database is None:
            return {}
        query = (
            "select session_id, count(*), max(id) from routing_telemetry "
            "where session_id is not null group by session_id"
        )
        return {str(row["session_id"]): str(row) for row in self._database.rows(query)}

    def of(self, session: str, answers: Sequence[dict[str, Any]], conversation: str) -> Routed:
        """What is known of a session's answers. Words that the conversation has too are left
        out of it.
        """
        routed = Routed(self._note)
        if self._database is None:
            return routed
        query = "select * from routing_telemetry where session_id = ? order by timestamp, id"
        left = [_slim(row, conversation) for row in self._database.rows(query, session)]
        routed.rows = left
        for rule in (_same_tokens, _same_failure, _behind):
            left = _join(left, answers, routed.by_answer, rule)
        for row in routed.by_answer.values():
            row.pop("response_text", None)  # it is the answer's
        return routed


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the texts in it, which may be left out later."""
    return {name: value for name, value in row.items() if name not in _TEXTS}


def _slim(row: dict[str, Any], conversation: str) -> dict[str, Any]:
    for column in _TEXTS:
        text = row.get(column)
        if text is None or (isinstance(text, str) and _escaped(text) in conversation):
            row.pop(column, None)
    for column in _JSON:
        if column in row:
            row[column] = database.embedded(row[column])
    return row


def _escaped(text: str) -> str:
    """A text as it stands within JSON."""
    raw = text.encode("utf-8", "replace").decode()
    return msgspec.json.encode(raw)[1:-1].decode()


def _join(
    left: list[dict[str, Any]],
    answers: Sequence[dict[str, Any]],
    joined: dict[int, dict[str, Any]],
    rule: Callable[[dict[str, Any], dict[str, Any]], bool],
) -> list[dict[str, Any]]:
    """Give each row to the nearest answer that is still free and to which the rule gives it.
    `answers` stand in the order of time; some of them before and behind the row are looked at.
    """
    alone = []
    times = [_stamp(each) for each in answers]
    for row in left:
        at = bisect_left(times, _stamp(row))
        near = answers[max(at - NEAR, 0) : at + NEAR]
        free = [each for each in near if each["id"] not in joined and rule(row, each)]
        if free:
            nearest = min(free, key=lambda each: abs(_gap(row, each)))
            joined[nearest["id"]] = row
        else:
            alone.append(row)
    return alone


def _stamp(row: dict[str, Any]) -> int:
    stamp = row["timestamp"]
    return stamp if type(stamp) is int else 0


def _gap(row: dict[str, Any], answer: dict[str, Any]) -> int:
    return _stamp(answer) - _stamp(row)


def _same_tokens(row: dict[str, Any], answer: dict[str, Any]) -> bool:
    told = (row.get("input_tokens"), row.get("output_tokens"))
    return None not in told and abs(_gap(row, answer)) <= LATE_MS and told == _tokens(answer)


def _same_failure(row: dict[str, Any], answer: dict[str, Any]) -> bool:
    failed = answer["type"] == "error" and row.get("status_code") == answer["status"]
    return failed and 0 <= _gap(row, answer) <= LATE_MS


def _behind(row: dict[str, Any], answer: dict[str, Any]) -> bool:
    """An answer that comes when the row says it does, and says nothing against it."""
    failed = row.get("error_type") is not None
    if (answer["type"] == "error") != failed:
        return False
    told, took = (row.get("output_tokens"), _tokens(answer)[1]), row.get("latency_ms")
    fits = None in told or told[0] == told[1]
    wait = took + SLACK_MS if type(took) is int and took >= 0 else LATE_MS
    return fits and 0 <= _gap(row, answer) <= min(wait, LATE_MS)


def _tokens(answer: dict[str, Any]) -> tuple[Any, Any]:
    """Input and output as an answer tells them, in Anthropic's words or OpenAI's."""
    if "tokens" not in answer:
        content = answer["content"]
        try:
            value = parse(content.encode()) if isinstance(content, str) else None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            value = None
        usage = value.get("usage") if isinstance(value, dict) else None
        usage = usage if isinstance(usage, dict) else {}
        answer["tokens"] = (
            usage.get("input_tokens", usage.get("prompt_tokens")),
            usage.get("output_tokens", usage.get("completion_tokens")),
        )
    found: tuple[Any, Any] = answer["tokens"]
    return found
