"""A native row's messages as the turns that a model was given and took: what most training
formats are written from.

The turns alternate as chat templates and providers demand it. Neighbouring pieces of one side are
put together, a system message in the middle becomes words of the user with a marker around them,
a summary of what was compacted is the user's, and a turn holds the results of its calls. What
says nothing is left out. `docs/training-formats.md` tells it to people.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from clew.exporters.base import Row, Unfit
from clew.exporters.projections.inside import object_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clew.model import JSON

USER: Final = "user"
ASSISTANT: Final = "assistant"
SYSTEM_BEGIN, SYSTEM_END = "<system-message>\n", "\n</system-message>"
"""Stand around a system message that was given in the middle of a session."""
_BETWEEN_TURNS = "\n\n"
_REASONS = {"image": "images", "file": "files"}


class Call(NamedTuple):
    """A tool call. `arguments` is the text that the model wrote."""

    id: str
    name: str
    arguments: str

    def object(self) -> dict[str, JSON]:
        """The decoded arguments. Raises `Unfit` when they are no JSON object."""
        value = object_of(self.arguments)
        if value is None:
            raise Unfit("invalid arguments", f"the arguments of call {self.id} are no JSON object")
        return value


class Result(NamedTuple):
    """What a call gave back, as parts of the native row. `lost`: it never came."""

    call_id: str
    name: str
    parts: list[Row]
    is_error: bool
    lost: bool


@dataclass(slots=True)
class Turn:
    """What one side said, and for the model's side what its calls gave back.

    `parts` are native parts (`text`, `image`, `file`, `unknown`). `train` tells whether it is fit
    to learn from.
    """

    role: str
    parts: list[Row]
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    train: bool = False

    @property
    def answered(self) -> bool:
        """Whether every call has its result."""
        return len(self.results) == len(self.calls)


@dataclass(slots=True)
class Chat:
    """The system prompt (empty when there is none) and the turns after it."""

    system: str
    turns: list[Turn]


def of_row(row: Row, *, masked: bool, strict: bool = False, reasoning: bool = True) -> Chat:
    """The turns of a row that is to be learned from, as `of_messages` has them. Raises `Unfit`,
    also when nobody asks the model anything: chat templates look for it.
    """
    chat = of_messages(row["messages"], masked=masked, strict=strict, reasoning=reasoning)
    first = next((turn.role for turn in chat.turns), None)
    if not any(turn.role == USER for turn in chat.turns) or (strict and first != USER):
        raise Unfit("no prompt", "the conversation does not begin with words of the user")
    return chat


def of_messages(
    messages: Sequence[Row], *, masked: bool, strict: bool = False, reasoning: bool = True
) -> Chat:
    """The turns of messages that are to be learned from.

    `masked` tells that the format can keep a message out of the loss. Where it cannot, notices
    that an agent wrote in the model's name are left out, and a row with a lost result ends before
    the call. For `strict` see `read`. With `reasoning` off the format has no place for it.
    Raises `Unfit`.
    """
    chat = read(messages, masked=masked, strict=strict, reasoning=reasoning)
    if not masked:
        _end_before_lost(chat)
    return learnable(chat)


def learnable(chat: Chat) -> Chat:
    """The same. Raises `Unfit` when the model says nothing, or nothing fit to learn from, or a
    call has no result though the conversation went on.
    """
    said = [turn for turn in chat.turns if turn.role == ASSISTANT]
    if not said:
        raise Unfit("no answer", "the model says nothing")
    if not any(turn.train for turn in said):
        raise Unfit("nothing to train", "nothing that the model says is fit to learn from")
    whole = [turn for turn in chat.turns if turn is not chat.turns[-1] or turn.results]
    if not all(turn.answered for turn in whole):
        raise Unfit("unanswered call", "the conversation goes on without the result of a call")
    return chat


def read(
    messages: Sequence[Row], *, masked: bool, strict: bool = False, reasoning: bool = True
) -> Chat:
    """The turns of native messages, whatever they are good for. Two of the model's that meet stay
    apart when only one of them is fit to learn from, unless the format is `strict` about turns.
    Raises `Unfit` for a result that stands without its call.
    """
    system: list[str] = []
    turns: list[Turn] = []
    for message in messages:
        if message["role"] == "tool":
            _answer(turns, message)
        elif message["role"] == "system" and not turns:
            system.append(text(_parts(message["content"])))
        else:
            turn = _turn(message, masked, reasoning)
            if turn is not None:
                _append(turns, turn, strict)
    return Chat(_BETWEEN_TURNS.join(filter(None, system)), turns)


def text(parts: Sequence[Row]) -> str:
    """The words. Raises `Unfit` for what has none: a format of text alone would lose it."""
    for part in parts:
        if part["type"] != "text":
            reason = _REASONS.get(part["type"], "unknown parts")
            raise Unfit(reason, f"the format has words only, and there is {described(part)}")
    return "\n".join(part["text"] for part in parts)


def described(part: Row) -> str:
    """Words for a part that cannot be shown: `[image image/png sha256:3fa9…, 1234 bytes]`."""
    kind = part["type"]
    if kind not in _REASONS:
        return f"[{part.get('of') or kind}: a part of a kind that is not known]"
    told = [kind, *(str(part[key]) for key in ("name", "media_type", "url") if part.get(key))]
    if part.get("sha256"):
        told.append(f"sha256:{part['sha256']}")
    size = part.get("bytes")
    return f"[{' '.join(told)}, {size} bytes]" if size is not None else f"[{' '.join(told)}]"


def parallel(chat: Chat) -> bool:
    """Whether the model asks for several tools at once."""
    return any(len(turn.calls) > 1 for turn in chat.turns)


# --- one message ---------------------------------------------------------------------------


def _parts(content: JSON) -> list[Row]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [part for part in content if part["type"] != "text" or part["text"]]


def _turn(message: Row, masked: bool, reasoning: bool) -> Turn | None:
    """What a message says; `None` when that is nothing."""
    parts = _parts(message["content"])
    if message["role"] == "system":
        words = text(parts)
        marked = f"{SYSTEM_BEGIN}{words}{SYSTEM_END}"
        return Turn(USER, [{"type": "text", "text": marked}]) if words else None
    if message["role"] == "user" or message.get("kind") == "compaction":
        return Turn(USER, parts) if parts else None
    calls = [_call(each) for each in message.get("tool_calls") or ()]
    if not message["sampled"] and not calls and not masked:
        return None
    turn = Turn(ASSISTANT, [*parts, *(message.get("parts") or ())], calls=calls)
    turn.train = message["train"]
    turn.reasoning = message.get("reasoning_content") or "" if reasoning else ""
    return turn if turn.parts or turn.calls or turn.reasoning else None


def _call(call: Row) -> Call:
    return Call(call["id"], call["function"]["name"], call["function"]["arguments"])


def _answer(turns: list[Turn], message: Row) -> None:
    id = message["tool_call_id"]
    turn = turns[-1] if turns else Turn(USER, [])
    open_ = {call.id for call in turn.calls} - {result.call_id for result in turn.results}
    if id not in open_:
        raise Unfit("result without its call", f"the result for {id} stands behind no such call")
    result = Result(
        id,
        message["name"],
        _parts(message["content"]),
        bool(message["is_error"]),
        message.get("status") == "lost",
    )
    turn.results.append(result)


# --- the order of turns --------------------------------------------------------------------


def _append(turns: list[Turn], turn: Turn, strict: bool) -> None:
    last = turns[-1] if turns else None
    if last is None or last.role != turn.role or last.calls:
        turns.append(turn)
        return
    if last.train != turn.train and not strict:
        turns.append(turn)
        return
    last.parts = _joined(last.parts, turn.parts)
    last.reasoning = _BETWEEN_TURNS.join(filter(None, (last.reasoning, turn.reasoning)))
    last.calls = turn.calls
    last.train = last.train or turn.train


def _joined(first: list[Row], second: list[Row]) -> list[Row]:
    """Parts of two turns as those of one: words that meet stand a line apart."""
    if not first or not second or first[-1]["type"] != "text" or second[0]["type"] != "text":
        return [*first, *second]
    words = first[-1]["text"] + _BETWEEN_TURNS + second[0]["text"]
    return [*first[:-1], {"type": "text", "text": words}, *second[1:]]


def _end_before_lost(chat: Chat) -> None:
    lost = (n for n, turn in enumerate(chat.turns) if any(one.lost for one in turn.results))
    first = next(lost, None)
    if first is None:
        return
    if any(turn.role == ASSISTANT for turn in chat.turns[first + 1 :]):
        raise Unfit("lost result", "the model went on without a result that never came")
    del chat.turns[first:]
    if not any(turn.role == ASSISTANT for turn in chat.turns):
        raise Unfit("lost result", "nothing stands before the call whose result never came")
