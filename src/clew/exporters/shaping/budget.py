"""Making a row fit a number of tokens: results are cut short, the middle is left out.

Its head (system messages, the first words of the user or a summary) and its tail (the last
answers of the model) stay. Of the middle the oldest go first, no more than needed, calls
together with their results; a message in their place says what they were.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from clew import tokens
from clew.errors import ClewError, Invalid
from clew.exporters.base import Row, Unfit
from clew.exporters.shaping.messages import blocks, changed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clew.exporters.shaping.options import Shaping
    from clew.model import JSON

Summarise = Callable[[list[Row]], str]
"""Given the messages that are to be left out, oldest first, gives what is to be said instead."""

ELIDED = "elided"
MARK_TOKENS = 40
"""What the message in the place of the middle takes at most, when it is no summary."""
SUMMARY_SHARE = 10
"""One part in so many of the budget is kept free for a summary that is not written yet."""
_OPEN_PLACEHOLDER = re.compile(r"<[A-Z_0-9a-f]{0,40}\Z")
_CLOSED_PLACEHOLDER = re.compile(r"\A[A-Z_0-9a-f]{0,40}>")


class Counter:
    """Counts the tokens of messages; each text is looked at once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def text(self, text: str) -> int:
        """The tokens of a text."""
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = tokens.estimate(text)
        return found

    def message(self, message: Row) -> int:
        """The tokens of a message, as `clew.tokens.count_message` counts them."""
        total = tokens.MESSAGE_TOKENS + self._content(message["content"])
        total += self.text(message.get("reasoning_content") or "")
        total += sum(map(_part, message.get("parts") or ()))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            total += tokens.CALL_TOKENS + self.text(function["name"])
            total += self.text(function["arguments"])
        return total + (tokens.RESULT_TOKENS if message["role"] == "tool" else 0)

    def _content(self, content: JSON) -> int:
        if isinstance(content, str):
            return self.text(content)
        return sum(
            self.text(part["text"]) if part["type"] == "text" else _part(part) for part in content
        )

    def tools(self, tools: JSON) -> int:
        """The tokens of the tools' schemas."""
        return self.text(msgspec.json.encode(tools).decode()) if tools else 0


def _part(part: Row) -> int:
    if part["type"] == "image":
        return tokens.IMAGE_TOKENS
    return tokens.FILE_TOKENS if part["type"] == "file" else 0


def tokens_of(row: Row) -> int:
    """About how many tokens a row takes, with its tools."""
    count = Counter()
    return count.tools(row["tools"]) + sum(map(count.message, row["messages"]))


# --- results -------------------------------------------------------------------------------


def shorten(messages: Sequence[Row], limit: int, count: Counter) -> tuple[list[Row], int]:
    """The messages with the words of each result cut to `limit` tokens, and how many were."""
    out = [_shortened(message, limit, count) for message in messages]
    return out, sum(old is not new for old, new in zip(messages, out, strict=True))


def _shortened(message: Row, limit: int, count: Counter) -> Row:
    if message["role"] != "tool":
        return message
    content = message["content"]
    if isinstance(content, str):
        if count.text(content) <= limit:
            return message
        return changed(message, content=cut(content, limit), truncated=True)
    words = [part["text"] for part in content if part["type"] == "text"]
    if sum(map(count.text, words)) <= limit:
        return message
    first = {"type": "text", "text": cut("\n".join(words), limit)}
    others = [part for part in content if part["type"] != "text"]
    return changed(message, content=[first, *others], truncated=True)


def cut(text: str, limit: int) -> str:
    """The beginning and the end of a text, with a mark between, in at most `limit` tokens."""
    whole = tokens.estimate(text)
    keep = len(text)
    while whole > limit:
        keep = min(keep * 9 // 10, len(text) * limit // whole)
        head = _OPEN_PLACEHOLDER.sub("", text[: keep * 2 // 3])
        tail = _CLOSED_PLACEHOLDER.sub("", text[len(text) - keep // 3 :])
        left_out = whole - tokens.estimate(head) - tokens.estimate(tail)
        made = f"{head}\n[… about {left_out} tokens left out …]\n{tail}"
        if tokens.estimate(made) <= limit:
            return made
    return text


# --- the middle ----------------------------------------------------------------------------


def fit(
    messages: Sequence[Row],
    fixed: int,
    shaping: Shaping,
    count: Counter,
    summarise: Summarise | None,
) -> tuple[list[Row], dict[str, int]]:
    """The messages with as much of the middle left out as `max_tokens` asks for, and notes of
    that. `fixed` is what the row takes beside them. Raises `Unfit`, and `Invalid` for a
    summariser that fails.
    """
    limit = shaping.max_tokens
    costs = list(map(count.message, messages))
    if limit is None or fixed + sum(costs) <= limit:
        return list(messages), {}
    head, tail = _head(messages), _tail(messages, shaping.keep_steps)
    room = limit - fixed - sum(costs)
    """What is free; less than nothing, until something is left out."""
    ends = [stop for _, stop in blocks(messages) if head < stop <= tail]
    reserve = limit // SUMMARY_SHARE if summarise else 0
    for end in _ends(costs, head, ends, room - reserve - MARK_TOKENS):
        gone = sum(costs[head:end])
        if room + gone >= MARK_TOKENS:
            made = _instead(messages[head:end], costs[head:end], summarise)
            if room + gone >= count.message(made):
                kept = [*messages[:head], made, *messages[end:]]
                _check_trains(messages, kept)
                return kept, _notes(messages[head:end], made)
    needed = fixed + sum(costs) - sum(costs[head:tail])
    raise Unfit(
        "over budget",
        f"the row takes about {fixed + sum(costs)} tokens and {needed} without its middle: "
        f"more than {limit}. Give a larger max_tokens, or a smaller result_tokens",
    )


def _check_trains(messages: Sequence[Row], kept: Sequence[Row]) -> None:
    trains = [any(message["train"] for message in some) for some in (messages, kept)]
    if trains == [True, False]:
        raise Unfit("over budget", "what is left of the row within max_tokens does not train")


def _notes(gone: Sequence[Row], made: Row) -> dict[str, int]:
    """What is left out now; what was before is in the row's notes already."""
    before = [message["elided"] for message in gone if message.get("kind") == ELIDED]
    return {
        f"elided_{field}": made["elided"][field] - sum(one[field] for one in before)
        for field in ("messages", "tokens")
    }


def _ends(costs: Sequence[int], head: int, ends: list[int], room: int) -> list[int]:
    """Where the part that is left out may end: where there is room enough, then at the tail."""
    spent = room
    begin = head
    for end in ends:
        spent += sum(costs[begin:end])
        begin = end
        if spent >= 0:
            return [end, ends[-1]]
    return ends[-1:]


def _head(messages: Sequence[Row]) -> int:
    """Where the head ends: behind the summary that the row begins with, else behind the first
    words of a person, if nothing was answered before; else behind the system messages.
    """
    index = 0
    while index < len(messages) and messages[index]["role"] == "system":
        index += 1
    system = index
    while index < len(messages) and messages[index].get("kind") == "compaction":
        index += 1
    if index > system:
        return index
    while index < len(messages) and messages[index]["role"] in ("system", "user"):
        index += 1
        message = messages[index - 1]
        if message["role"] == "user" and not message.get("meta") and "kind" not in message:
            return index
    return system


def _tail(messages: Sequence[Row], keep: int) -> int:
    """Where the tail begins: at what led to the first of the last `keep` answers."""
    start = len(messages)
    for first, _ in reversed(list(blocks(messages))):
        answer = messages[first]["role"] == "assistant"
        if answer and not keep:
            break
        keep -= answer
        start = first
    return start


def _instead(messages: Sequence[Row], costs: Sequence[int], summarise: Summarise | None) -> Row:
    """The message that stands in the place of those that are left out."""
    number, size = 0, 0
    for message, cost in zip(messages, costs, strict=True):
        told = message.get("elided")
        number += told["messages"] if told else 1
        size += told["tokens"] if told else cost
    text = f"[{number} messages of about {size} tokens are left out here]"
    if summarise is not None:
        text = _summary(messages, summarise)
    return {
        "id": "",
        "role": "user",
        "content": text,
        "kind": ELIDED,
        "elided": {"messages": number, "tokens": size, "summarised": summarise is not None},
        "segment": messages[0]["segment"],
        "sampled": False,
        "train": False,
    }


def _summary(messages: Sequence[Row], summarise: Summarise) -> str:
    where = f"{len(messages)} messages, {messages[0]['id']} to {messages[-1]['id']}"
    try:
        text: object = summarise(list(messages))
    except ClewError:
        raise
    except Exception as error:
        raise Invalid(f"the summariser failed for {where}: {error!r}") from error
    if isinstance(text, str) and text.strip():
        return text
    raise Invalid(
        f"the summariser gave {text!r} for {where}: it must give a text that is not empty"
    )
