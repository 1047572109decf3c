"""How many tokens a text or a message takes: an estimate, and the type of a better counter.

No tokeniser is asked. The bytes of the text are counted by class (letters, digits, spaces,
punctuation, and the leading bytes of longer UTF-8 sequences), each class with its own weight;
the counting runs in C, so a megabyte takes about ten milliseconds. The weights were fitted to
the output tokens that providers recorded for code and prose; `bench/token_error.py` prints
how far they are off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from clew.model import File, Image, Message, Part, Text, Thinking, ToolCall, ToolResult, Unknown
from clew.shapes.base import compact

Counter = Callable[[Message], int]
"""What counts a message: give your own where a tokeniser is at hand."""

MESSAGE_TOKENS: Final = 4
"""What a role and its delimiters cost."""
CALL_TOKENS: Final = 50
"""What the frame of a tool call costs: models write it in more words than JSON shows."""
RESULT_TOKENS: Final = 12
"""What the frame of a tool's result costs."""
IMAGE_TOKENS: Final = 1_500
"""A picture of about one megapixel, whatever its bytes."""
FILE_TOKENS: Final = 3_000
"""A document whose words cannot be read here."""
SEALED_BYTES_PER_TOKEN: Final = 4

_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = b"0123456789"
_BLANKS = b" \t\r"
_TWO_BYTE = bytes(range(0xC2, 0xE0))
_THREE_BYTE = bytes(range(0xE0, 0xF0))
_FOUR_BYTE = bytes(range(0xF0, 0xF5))
_CONTINUATION = bytes(range(0x80, 0xC0))

_LETTER_WEIGHT = 0.245
_DIGIT_WEIGHT = 0.65
_BLANK_WEIGHT = 0.08
_MARK_WEIGHT = 0.68
_TWO_BYTE_WEIGHT = 0.5
_THREE_BYTE_WEIGHT = 1.0
_FOUR_BYTE_WEIGHT = 2.0


def estimate(text: str) -> int:
    """About how many tokens a model reads in `text`; 0 for an empty one."""
    if not text:
        return 0
    data = text.encode("utf-8", "surrogatepass")
    size = len(data)
    letters = size - len(data.translate(None, _LETTERS))
    digits = size - len(data.translate(None, _DIGITS))
    blanks = size - len(data.translate(None, _BLANKS))
    total = letters * _LETTER_WEIGHT + digits * _DIGIT_WEIGHT + blanks * _BLANK_WEIGHT
    marks = size - letters - digits - blanks
    if not data.isascii():
        two = size - len(data.translate(None, _TWO_BYTE))
        three = size - len(data.translate(None, _THREE_BYTE))
        four = size - len(data.translate(None, _FOUR_BYTE))
        marks -= two + three + four + size - len(data.translate(None, _CONTINUATION))
        total += two * _TWO_BYTE_WEIGHT + three * _THREE_BYTE_WEIGHT + four * _FOUR_BYTE_WEIGHT
    return max(1, round(total + marks * _MARK_WEIGHT))


def count_message(message: Message) -> int:
    """About how many tokens a message takes in a request; the default `Counter`."""
    return MESSAGE_TOKENS + sum(map(_count_part, message.parts))


def _count_part(part: Part) -> int:
    match part:
        case Text(text):
            return estimate(text)
        case ToolCall(_, name, arguments):
            return CALL_TOKENS + estimate(name) + estimate(arguments)
        case ToolResult():
            return RESULT_TOKENS + sum(map(_count_part, part.parts))
        case Thinking():
            return _count_thinking(part)
        case Image():
            return IMAGE_TOKENS
        case File():
            return _count_file(part)
        case Unknown():
            return estimate(compact(part.raw))


def _count_thinking(part: Thinking) -> int:
    """Reasoning that is sealed still counts; base64 holds three bytes in four characters."""
    if part.text:
        return estimate(part.text)
    sealed = len(part.data or part.signature or "")
    return sealed * 3 // 4 // SEALED_BYTES_PER_TOKEN


def _count_file(part: File) -> int:
    if part.data and (part.media_type or "").startswith("text/"):
        return len(part.data) * 3 // 4 // SEALED_BYTES_PER_TOKEN
    return FILE_TOKENS
