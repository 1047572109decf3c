"""Compaction: which messages a summary is to stand for, and the overlay that says so.

The overlay is one entry behind the head; nothing before it is touched. What it covers runs
from the root (or the previous compaction's first kept entry) to `first_kept`, exclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from clew import tokens, view
from clew.errors import Invalid
from clew.model import Message, Position, Reason

Summarize = Callable[[Sequence[Message]], str]
"""Given the messages to be replaced, oldest first, gives their summary."""

KEEP_TOKENS = 20_000


class Plan(msgspec.Struct):
    """A cut that may be made: what goes, what stays, and what each costs."""

    covered: list[Message]
    kept: list[Message]
    first_kept: Position
    tokens_before: int
    tokens_kept: int


def reason_for(*, manual: bool = False, timed_out: bool = False, overflow: bool = False) -> Reason:
    """Why a compaction happens: asked for by hand, else after a timeout, else after an
    overflow, else because a threshold was passed.
    """
    if manual:
        return Reason.MANUAL
    if timed_out:
        return Reason.TIMEOUT
    return Reason.OVERFLOW if overflow else Reason.AUTO


def plan(
    messages: Sequence[Message],
    *,
    keep_from: Position | None,
    keep_tokens: int,
    count: tokens.Counter,
) -> Plan:
    """Choose where to cut.

    Raises `Invalid` when there is nothing to compact, or when `keep_from` would part a tool
    call from its result (the message names the nearest legal place).
    """
    cut = (
        view.choose_cut(messages, keep_tokens, count)
        if keep_from is None
        else _cut_at(messages, keep_from)
    )
    if cut <= 0:
        raise Invalid(
            "there is nothing to compact: what is to be kept is already all there is "
            "(give keep_from=, or a smaller keep_tokens=)"
        )
    if cut >= len(messages):
        raise Invalid("nothing would be kept: name an entry on the session's path in keep_from=")
    counts = list(map(count, messages))
    return Plan(
        covered=list(messages[:cut]),
        kept=list(messages[cut:]),
        first_kept=messages[cut].at[0],
        tokens_before=sum(counts),
        tokens_kept=sum(counts[cut:]),
    )


def _cut_at(messages: Sequence[Message], keep_from: Position) -> int:
    index = next((n for n, each in enumerate(messages) if keep_from in each.at), None)
    if index is None:
        raise Invalid(
            f"keep_from={keep_from} is no message of the current view: it may lie before an "
            "earlier compaction or on another branch"
        )
    legal = view.legal_cuts(messages)
    if index in legal:
        return index
    nearest = min(legal, key=lambda cut: abs(cut - index), default=0)
    hint = messages[nearest].at[0] if 0 < nearest < len(messages) else "none"
    raise Invalid(
        f"keep_from={keep_from} would part a tool call from its result; nearest legal: {hint}"
    )


def checked_reason(reason: Reason | str) -> Reason:
    """The reason, or `Invalid` when there is none of that name."""
    try:
        return Reason(reason)
    except ValueError:
        known = ", ".join(Reason)
        raise Invalid(f"reason={reason!r}: say one of {known}") from None


def checked_summary(text: object) -> str:
    """The summary, or `Invalid` when it says nothing."""
    if not isinstance(text, str) or not text.strip():
        raise Invalid(f"the summary is empty ({text!r}): nothing was compacted")
    return text
