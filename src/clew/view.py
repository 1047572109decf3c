"""What a model is to see: a history made valid for one provider, cut to a size if need be.

Whatever the history went through (truncation, branches, compaction, a crash), in a view every
tool call has exactly one result, right behind the run of assistant messages that made the
call, in the order of the calls. The first result wins; what answers nothing is left out and
counted. A call without a result gets one that says so. Windows are cut only where no
obligation is open: not inside a batch, not between a call and its result, not inside a tool
loop whose signed thinking would be lost.

The neutral part (pairing, cutting) is here; the words of each provider are in `clew.shapes`.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from clew.errors import Invalid
from clew.model import (
    JSON,
    File,
    Image,
    Message,
    Part,
    Position,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from clew.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

LOST: Final = Text("No result was recorded: the call may or may not have run.")
"""What a repair tells the model."""

_ENOUGH = 0.5
"""A turn start is preferred to an earlier legal cut if it keeps at least this share of it."""


class View(msgspec.Struct, frozen=True):
    """A history as one provider takes it.

    `request` is the body's part that holds the conversation; `messages` is the same in the
    neutral vocabulary, `tokens` its size by the given counter. `dropped` messages were cut
    off at the head; `repaired` are the ids of calls whose result is synthetic; `duplicates`
    and `orphans` count results that were left out: second ones, and those without a call.
    """

    provider: str
    request: JSON
    messages: tuple[Message, ...]
    tokens: int
    dropped: int = 0
    repaired: tuple[str, ...] = ()
    duplicates: int = 0
    orphans: int = 0


def build(
    messages: Sequence[Message],
    *,
    provider: str,
    max_tokens: int | None,
    count: Callable[[Message], int],
    model: str | None = None,
) -> View:
    """Make the view of a history (oldest first, overlays applied).

    `provider` is a name in `clew.shapes.SHAPES`. `max_tokens` keeps the newest messages that
    fit, and always system messages and a leading summary. With `model`, reasoning signed by
    another model is left out. The view of nothing is empty. Raises `Invalid` for an unknown
    provider, and when not even the smallest legal window fits.
    """
    shape = SHAPES.get(provider)
    if shape is None:
        raise Invalid(f"unknown provider {provider!r}: use one of {', '.join(SHAPES)}")
    settled, pairs = _settle(merge_pieces(messages))
    kept = settled if max_tokens is None else _window(settled, max_tokens, count)
    repaired = tuple(
        part.call_id for message in kept for part in message.tool_results if part.synthetic
    )
    return View(
        provider=provider,
        request=shape.encode(kept, model=model),
        messages=tuple(kept),
        tokens=sum(map(count, kept)),
        dropped=len(settled) - len(kept),
        repaired=repaired,
        duplicates=pairs.duplicates,
        orphans=pairs.orphans,
    )


def open_calls(messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """The calls that no result answers, oldest first."""
    merged = merge_pieces(messages)
    answers = _pair(merged).answers
    return tuple(
        part
        for index, message in enumerate(merged)
        for place, part in enumerate(message.parts)
        if isinstance(part, ToolCall) and (index, place) not in answers
    )


# --- pieces of one message ---------------------------------------------------------------


def merge_pieces(messages: Sequence[Message]) -> list[Message]:
    """Join assistant messages that share an id into one, at the place of the first.

    `at` holds the positions of all; usage is the maximum of each field, since every piece
    repeats the growing count of the whole. A piece that was recorded twice counts once.
    """
    named = [one for one in messages if one.id is not None and one.role == "assistant"]
    groups: dict[str | None, list[Message]] = {one.id: [] for one in named}
    if len(groups) == len(named):
        return list(messages)
    for message in named:
        groups[message.id].append(message)
    merged: list[Message] = []
    for message in messages:
        if message.id is None or message.role != "assistant":
            merged.append(message)
        elif (group := groups.pop(message.id, None)) is not None:
            merged.append(message if len(group) == 1 else _join(group))
    return merged


def _join(pieces: list[Message]) -> Message:
    parts: list[Part] = []
    for piece in pieces:
        parts.extend([part for part in piece.parts if not _is_copy(part, parts, piece.format)])
    usage: Usage | None = None
    for piece in pieces:
        usage = _greater(usage, piece.usage)
    first = pieces[0]
    return msgspec.structs.replace(
        first,
        parts=tuple(parts),
        usage=usage,
        model=next((piece.model for piece in pieces if piece.model), None),
        at=tuple(position for piece in pieces for position in piece.at),
    )


def _is_copy(part: Part, before: list[Part], form: str | None) -> bool:
    # Anthropic blocks are recorded whole, so an equal one is a copy. Elsewhere pieces may be
    # chunks of a stream, where equal texts are common and only an id tells a copy.
    told_apart = form == "anthropic" or isinstance(part, ToolCall)
    if isinstance(part, ToolCall) and not part.id:
        return False
    return told_apart and part in before


def _greater(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return one or other
    costs = [cost for cost in (one.cost, other.cost) if cost is not None]
    return Usage(
        key=one.key or other.key,
        model=one.model or other.model,
        provider=one.provider or other.provider,
        input=max(one.input, other.input),
        output=max(one.output, other.output),
        cache_read=max(one.cache_read, other.cache_read),
        cache_write=max(one.cache_write, other.cache_write),
        reasoning=max(one.reasoning, other.reasoning),
        cost=max(costs, default=None),
    )


# --- pairing -----------------------------------------------------------------------------

Spot = tuple[int, int]
"""A part's place: the message's index and the part's index in it."""


class _Open(NamedTuple):
    spot: Spot
    call: ToolCall
    run: int


class _Pairs(msgspec.Struct):
    """Which result answers which call, and how many answer none."""

    answers: dict[Spot, Spot]
    runs: list[int]
    """For each message the number of its run of assistant messages; -1 for all others."""
    duplicates: int = 0
    orphans: int = 0


def _speaks_as_model(message: Message) -> bool:
    return message.role == "assistant" or any(type(p) is ToolCall for p in message.parts)


def _signed(message: Message) -> bool:
    return any(type(p) is Thinking and (p.signature or p.data) for p in message.parts)


def _number_runs(messages: Sequence[Message]) -> list[int]:
    """Consecutive assistant messages are one run, and its calls one batch.

    A signed message behind unsigned ones, or one of another format, begins a run of its own:
    it is another response, and a provider wants its thinking first.
    """
    runs: list[int] = []
    run, inside, sealed = -1, False, False
    form: str | None = None
    for message in messages:
        if not message.parts:
            runs.append(run if inside else -1)
        elif not _speaks_as_model(message):
            inside = False
            runs.append(-1)
        else:
            signed = _signed(message)
            if not inside or (signed and not sealed) or message.format != form:
                run, sealed = run + 1, False
            inside, sealed, form = True, sealed or signed, message.format
            runs.append(run)
    return runs


def _pair(messages: Sequence[Message]) -> _Pairs:
    """Walk the history once. A result answers the oldest open call of its id in the newest
    run that has one: ids repeat over turns, and within a batch.
    """
    pairs = _Pairs({}, _number_runs(messages))
    waiting: dict[str, list[_Open]] = {}
    answered: set[str] = set()
    for index, message in enumerate(messages):
        # Results before calls: within one message a call cannot have been answered yet.
        for place, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                found = _take(waiting, part)
                if found is not None:
                    pairs.answers[found.spot] = (index, place)
                    answered |= {part.call_id, found.call.id}
                elif part.call_id in answered:
                    pairs.duplicates += 1
                else:
                    pairs.orphans += 1
        for place, part in enumerate(message.parts):
            if isinstance(part, ToolCall):
                entry = _Open((index, place), part, pairs.runs[index])
                waiting.setdefault(part.id, []).append(entry)
    return pairs


def _take(waiting: dict[str, list[_Open]], result: ToolResult) -> _Open | None:
    """Take out the open call that a result answers. One without an id answers by name."""
    if result.call_id:
        candidates = waiting.get(result.call_id, [])
    else:
        everything = [entry for group in waiting.values() for entry in group]
        named = [entry for entry in everything if entry.call.name == result.name]
        candidates = named or [entry for entry in everything if not entry.call.id]
        candidates.sort()
    if not candidates:
        return None
    newest = max(entry.run for entry in candidates)
    found = next(entry for entry in candidates if entry.run == newest)
    group = waiting[found.call.id]
    group.remove(found)
    if not group:
        del waiting[found.call.id]
    return found


# --- settling ----------------------------------------------------------------------------


def _settle(messages: list[Message]) -> tuple[list[Message], _Pairs]:
    """Put every result right behind the run that asked for it, in the order of the calls."""
    pairs = _pair(messages)
    out: list[Message] = []
    run: list[int] = []
    for index, message in enumerate(messages):
        if not message.parts:
            continue
        if run and pairs.runs[index] != pairs.runs[run[-1]]:
            out.extend(_results(messages, run, pairs))
            run = []
        if pairs.runs[index] >= 0:
            run.append(index)
        rest = tuple(part for part in message.parts if not isinstance(part, ToolResult))
        if rest:
            out.append(_spoken(message, rest))
    out.extend(_results(messages, run, pairs))
    return out, pairs


def _spoken(message: Message, parts: tuple[Part, ...]) -> Message:
    role = message.role
    if any(type(part) is ToolCall for part in parts):
        role = "assistant"
    elif role not in ("system", "assistant"):
        role = "user"
    if role == message.role and len(parts) == len(message.parts):
        return message
    return msgspec.structs.replace(message, role=role, parts=parts)


def _results(messages: list[Message], run: list[int], pairs: _Pairs) -> Iterable[Message]:
    """The one message with all results of a run, if it made calls."""
    parts: list[Part] = []
    carriers: dict[int, None] = {}
    for index in run:
        for place, call in enumerate(messages[index].parts):
            if not isinstance(call, ToolCall):
                continue
            spot = pairs.answers.get((index, place))
            if spot is None:
                parts.append(ToolResult(call.id, (LOST,), True, call.name, True))
                continue
            carriers[spot[0]] = None
            parts.append(_named(messages[spot[0]].parts[spot[1]], call))
    if parts:
        yield _carrier([messages[index] for index in sorted(carriers)], tuple(parts))


def _named(result: Part, call: ToolCall) -> Part:
    if isinstance(result, ToolResult) and result.call_id != call.id:
        return msgspec.structs.replace(result, call_id=call.id)
    return result


def _carrier(sources: list[Message], parts: tuple[Part, ...]) -> Message:
    if not sources:
        return Message("tool", parts)
    if len(sources) == 1 and sources[0].role == "tool" and sources[0].parts == parts:
        return sources[0]
    positions: dict[Position, None] = {at: None for source in sources for at in source.at}
    forms = {source.format for source in sources}
    return Message(
        "tool",
        parts,
        at=tuple(positions),
        time_ms=sources[0].time_ms,
        format=forms.pop() if len(forms) == 1 else None,
    )


# --- cutting -----------------------------------------------------------------------------


def legal_cuts(messages: Sequence[Message]) -> list[int]:
    """The indexes where a history may be cut: what stays is `messages[index:]`.

    The first is always 0. A call that nothing answers blocks nothing, or one crash would
    forbid compaction for ever.
    """
    pairs = _pair(messages)
    steps = [0] * (len(messages) + 1)
    for (asked, _), (answered, _) in pairs.answers.items():
        _block(steps, asked, answered)
    for first, last in _piece_spans(messages):
        _block(steps, first, last)
    sealed = _inside_sealed_loops(messages)
    depth = list(accumulate(steps))
    return [
        index
        for index in range(len(messages))
        if index == 0
        or not (
            depth[index]
            or sealed[index]
            or (pairs.runs[index] >= 0 and pairs.runs[index] == pairs.runs[index - 1])
        )
    ]


def _block(steps: list[int], first: int, last: int) -> None:
    """Forbid the cuts behind message `first` up to the one before message `last`."""
    if last > first:
        steps[first + 1] += 1
        steps[last + 1] -= 1


def _piece_spans(messages: Sequence[Message]) -> Iterable[tuple[int, int]]:
    spans: dict[str, tuple[int, int]] = {}
    for index, message in enumerate(messages):
        if message.id is not None and message.role == "assistant":
            spans[message.id] = (spans.get(message.id, (index,))[0], index)
    return spans.values()


def _inside_sealed_loops(messages: Sequence[Message]) -> list[bool]:
    """True where a cut would part a tool loop from the signed thinking that leads it.

    A response with thinking of its own leads the rest of the loop.
    """
    inside: list[bool] = []
    sealed = False
    for message in messages:
        if _speaks_as_model(message):
            signed = _signed(message)
            inside.append(sealed and not signed)
            sealed = sealed or signed
        else:
            inside.append(False)
            if any(type(part) is not ToolResult for part in message.parts):
                sealed = False
    return inside


def is_turn_start(message: Message) -> bool:
    """True for what a person typed: a user's message that is no context, summary or result."""
    return (
        message.role == "user"
        and not message.meta
        and not message.summary
        and not message.tool_results
        and any(isinstance(part, Text | Image | File) for part in message.parts)
    )


def choose_cut(
    messages: Sequence[Message], keep_tokens: int, count: Callable[[Message], int]
) -> int:
    """The legal cut that keeps as much as `keep_tokens` allows; 0 keeps all.

    A turn's start is preferred where it keeps at least half of what an earlier cut would.
    When nothing fits it is the last legal cut, which keeps the least.
    """
    return _cut(messages, keep_tokens, list(map(count, messages)))


def _cut(messages: Sequence[Message], keep_tokens: int, costs: list[int]) -> int:
    sizes = list(accumulate(reversed(costs), initial=0))[::-1]
    legal = legal_cuts(messages)
    fitting = [index for index in legal if sizes[index] <= keep_tokens]
    if not fitting:
        return legal[-1] if legal else 0
    earliest = fitting[0]
    if earliest == 0:
        return 0
    start = next((index for index in fitting if is_turn_start(messages[index])), earliest)
    return start if sizes[start] >= sizes[earliest] * _ENOUGH else earliest


def _window(
    messages: list[Message], max_tokens: int, count: Callable[[Message], int]
) -> list[Message]:
    """The newest messages that fit, behind everything that always stays."""
    stays = _always_kept(messages)
    sizes = list(map(count, messages))
    fixed = sum(size for size, kept in zip(sizes, stays, strict=True) if kept)
    costs = [0 if kept else size for size, kept in zip(sizes, stays, strict=True)]
    cut = _cut(messages, max_tokens - fixed, costs)
    rest = sum(costs[cut:])
    if fixed + rest > max_tokens:
        raise Invalid(
            f"max_tokens={max_tokens} is too small: system messages and summary take {fixed}, "
            f"the smallest legal window {rest} more; allow {fixed + rest}, or compact first"
        )
    return [message for index, message in enumerate(messages) if index >= cut or stays[index]]


def _always_kept(messages: Sequence[Message]) -> list[bool]:
    """System messages wherever they stand, and the summary that leads the history."""
    stays: list[bool] = []
    leading = True
    for message in messages:
        system = message.role == "system"
        leading = leading and (system or (message.summary and not _speaks_as_model(message)))
        stays.append(system or leading)
    return stays
