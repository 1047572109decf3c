"""Changes to messages, one by one. Nothing is changed in place: what differs is a new message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.exporters.base import Row, Unfit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clew.exporters.shaping.options import Shaping
    from clew.model import JSON

AFTER_LOST = "after-lost-result"
EMPTY = "empty"
_SELECTED = (("tiers", "tier"), ("models", "model"), ("providers", "provider"))
_KEPT_OF_TELEMETRY = ("request_id", "tier", "model", "provider")


def changed(message: Row, **fields: JSON) -> Row:
    """A copy with other values in some fields."""
    return {**message, **fields}


def blocks(messages: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Where each message begins and ends together with the results of its calls."""
    start = 0
    for index in range(1, len(messages) + 1):
        if index == len(messages) or messages[index]["role"] != "tool":
            yield start, index
            start = index


# --- which turns train ---------------------------------------------------------------------


def select(messages: Sequence[Row], shaping: Shaping) -> list[Row]:
    """The messages of which only those train whose telemetry names what is asked for.

    Raises `Unfit` when there are none.
    """
    out = list(messages)
    for option, field in _SELECTED:
        wanted = frozenset(getattr(shaping, option))
        if wanted and any(message["train"] for message in out):
            out = [_selected(message, field, wanted) for message in out]
            if not any(message["train"] for message in out):
                raise Unfit(f"no turn of that {field}")
    return out


def _selected(message: Row, field: str, wanted: frozenset[str]) -> Row:
    if not message["train"]:
        return message
    name = (message.get("telemetry") or {}).get(field)
    if name in wanted:
        return message
    rule = f"{'unknown' if name is None else 'other'}-{field}"
    return changed(message, train=False, train_rule=rule)


# --- reasoning -----------------------------------------------------------------------------


def without_reasoning(messages: Sequence[Row], *, keep_last: bool) -> tuple[list[Row], int]:
    """The messages without their reasoning, and of how many it was dropped. With `keep_last` it
    stays behind the last words of the user, as chat templates keep it.
    """
    last = len(messages)
    if keep_last:
        last = max((n for n, each in enumerate(messages) if each["role"] == "user"), default=-1)
    out: list[Row] = []
    for index, message in enumerate(messages):
        out.append(_silent(message) if index < last and "reasoning_content" in message else message)
    return out, sum(old is not new for old, new in zip(messages, out, strict=True))


def _silent(message: Row) -> Row:
    out = {key: value for key, value in message.items() if key != "reasoning_content"}
    if out["train"] and not (out["content"] or out.get("tool_calls") or out.get("parts")):
        out |= {"train": False, "train_rule": EMPTY}
    return out


# --- parallel calls ------------------------------------------------------------------------


def parallel(message: Row) -> bool:
    """Whether a message asks for several things at once."""
    return len(message.get("tool_calls") or ()) > 1


def serialise(messages: Sequence[Row]) -> list[Row]:
    """One message for each call, followed by its result. Words, reasoning and figures stay with
    the first; the others are marked `serialised`.
    """
    out: list[Row] = []
    for start, stop in blocks(messages):
        if parallel(messages[start]):
            out += _one_by_one(messages[start], messages[start + 1 : stop])
        else:
            out += messages[start:stop]
    return out


def _one_by_one(message: Row, results: Sequence[Row]) -> Iterator[Row]:
    by_call: dict[JSON, list[Row]] = {}
    for result in results:
        by_call.setdefault(result["tool_call_id"], []).append(result)
    lost = False
    for number, call in enumerate(message["tool_calls"]):
        one = changed(message, tool_calls=[call]) if number == 0 else _further(message, call)
        if lost and one["train"]:
            one |= {"train": False, "train_rule": AFTER_LOST}
        yield one
        answers = by_call.get(call["id"], [])
        yield from answers
        lost = lost or any(answer.get("status") == "lost" for answer in answers)


def _further(message: Row, call: JSON) -> Row:
    left_out = ("reasoning_content", "reasoning_opaque", "parts")
    one = {key: value for key, value in message.items() if key not in left_out}
    one |= {"content": "", "tool_calls": [call], "serialised": True}
    if "telemetry" in one:
        told = one["telemetry"]
        one["telemetry"] = {
            key: value if key in _KEPT_OF_TELEMETRY else None for key, value in told.items()
        }
    return one
