"""What of a message is searched, by kind, and how long texts fall into passages.

The unit that matches is the *passage*: `a b` finds a passage that holds both. Nearly every
entry is one passage. One that is too long for an index is several, cut at the same words on
both databases, so that both find the same: at most `PASSAGE_TOKENS` words, none of them more
than `REPEATS` times (PostgreSQL keeps 255 positions of a word and 16,383 in all). A passage
begins with the last `OVERLAP` words of the one before, so that a phrase is found across a cut.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from clew.errors import Invalid
from clew.model import (
    JSON,
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
)
from clew.search import words
from clew.search.query import Node, matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SPOKEN = ("user", "assistant", "system")
KINDS = (*SPOKEN, "thinking", "tool_call", "tool_result")

PASSAGE_TOKENS = 12_000
PASSAGE_CHARS = 200_000
"""Characters of its distinct words: PostgreSQL takes 1 MB in all, up to 4 bytes each."""
REPEATS = 255
OVERLAP = 16
OPAQUE_CHARS = 4_096
"""A string this long without a space is encoded data, not text."""

_INNER_JSON_DEPTH = 3


def kind_of(message: Message) -> str:
    """The kind of a message's own words."""
    if message.role == "tool":
        return "tool_result"
    return message.role if message.role in SPOKEN else "system"


def document(message: Message) -> dict[str, str]:
    r"""The searchable text of a message, by kind; kinds without text are left out.

    JSON is told as `key: value` lines: inside JSON a line break is written `\\n`, which would
    glue an `n` to the word that follows. Images and other encoded data are not searched.
    """
    found: dict[str, list[str]] = {}
    spoken = kind_of(message)
    for part in message.parts:
        kind, text = _told(part, spoken)
        if text:
            found.setdefault(kind, []).append(text)
    return {kind: "\n".join(texts) for kind, texts in found.items()}


def tools_of(message: Message) -> tuple[str, ...]:
    """The names of the tools that a message calls or answers for, each once."""
    names = [call.name for call in message.tool_calls]
    names += [result.name for result in message.tool_results if result.name]
    return tuple(dict.fromkeys(names))


def _told(part: object, spoken: str) -> tuple[str, str]:
    """The kind and the text of one part."""
    match part:
        case Text():
            return spoken, readable_json(part.text) if spoken == "tool_result" else part.text
        case Thinking():
            return "thinking", part.text
        case ToolCall():
            return "tool_call", f"{part.name}\n{readable_json(part.arguments)}"
        case ToolResult():
            inner = [_told(piece, "tool_result")[1] for piece in part.parts]
            return "tool_result", "\n".join(text for text in inner if text)
        case Image():
            return spoken, _link(part.url)
        case File():
            return spoken, "\n".join(text for text in (part.name, _link(part.url)) if text)
        case Unknown():
            return spoken, readable(part.raw)
        case _:
            raise TypeError(f"{type(part).__name__} is no part of a message")


def _link(url: str | None) -> str:
    return url if url and not url.startswith("data:") else ""


def readable_json(text: str) -> str:
    """JSON text as people read it; anything else as it is."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text
    return readable(value)


def readable(value: JSON) -> str:
    """A JSON value as lines of text: keys and values, strings without their escapes."""
    return "\n".join(_lines(value, "", 0))


def _lines(value: JSON, key: str, depth: int) -> Iterator[str]:
    if isinstance(value, dict):
        if key:
            yield f"{key}:"
        for name, inner in value.items():
            yield from _lines(inner, str(name), depth)
    elif isinstance(value, list):
        if key:
            yield f"{key}:"
        for inner in value:
            yield from _lines(inner, "", depth)
    else:
        text = _scalar(value, depth)
        yield f"{key}: {text}" if key else text


def _scalar(value: JSON, depth: int) -> str:
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if len(value) > OPAQUE_CHARS and " " not in value and "\n" not in value:
        return ""
    if depth < _INNER_JSON_DEPTH and value.lstrip()[:1] in ("{", "["):
        try:
            inner = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return value
        return "\n".join(_lines(inner, "", depth + 1))
    return value


# --- passages ------------------------------------------------------------------------------


def passages(texts: Mapping[str, str]) -> list[dict[str, list[str]]]:
    """The tokens of a document by kind, cut into passages. No text, no passage.

    Raises `Invalid` for a document with two voices: an entry has one role.
    """
    if sum(kind in SPOKEN for kind in texts) > 1 or not texts.keys() <= set(KINDS):
        raise Invalid(
            f"a document holds the kinds {', '.join(texts)}: at most one of {', '.join(SPOKEN)} "
            f"is allowed, and besides only {', '.join(KINDS[len(SPOKEN) :])}"
        )
    found = {kind: words.tokens(text) for kind, text in texts.items()}
    found = {kind: tokens for kind, tokens in found.items() if tokens}
    if not found:
        return []
    return [found] if _fits(found) else list(_cut(found))


def _fits(found: Mapping[str, list[str]]) -> bool:
    total = sum(map(len, found.values()))
    if total <= REPEATS:
        return True
    if total > PASSAGE_TOKENS:
        return False
    counts: Counter[str] = Counter()
    for tokens in found.values():
        counts.update(tokens)
    del counts[words.GAP]
    if not counts or max(counts.values()) > REPEATS:
        return False
    return sum(map(len, counts)) <= PASSAGE_CHARS


def _cut(found: Mapping[str, list[str]]) -> Iterator[dict[str, list[str]]]:
    """Fill one passage after another, kind by kind."""
    passage: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    size = chars = 0
    for kind, tokens in found.items():
        start = 0
        for at, token in enumerate(tokens):
            if token != words.GAP and counts[token] == REPEATS:
                full = True
            else:
                full = size >= PASSAGE_TOKENS or chars >= PASSAGE_CHARS - words.WORD_CHARS
            if full:
                passage[kind] = tokens[start:at]
                yield {name: part for name, part in passage.items() if part}
                # A run of one word would fill the next passage with its overlap at once.
                start = max(start, at - OVERLAP)
                passage, counts = {}, Counter(tokens[start:at])
                size, chars = at - start, sum(map(len, counts))
            counts[token] += 1
            size += 1
            chars += len(token) if counts[token] == 1 else 0
        passage[kind] = tokens[start:]
    yield passage


def answers(node: Node, texts: Mapping[str, str], kinds: Iterable[str] | None = None) -> bool:
    """Whether a document that no index covers yet answers the query: what an index would say."""
    wanted = set(KINDS if kinds is None else kinds)
    return any(
        matches(node, *(tokens for kind, tokens in passage.items() if kind in wanted))
        for passage in passages(texts)
    )
