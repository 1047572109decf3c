"""Entries and messages in words, as a model reads them back."""

from __future__ import annotations

from clew import reading
from clew.errors import ClewError
from clew.model import (
    Entry,
    File,
    Image,
    Kind,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from clew.shapes.base import compact


def of_entry(entry: Entry) -> str:
    """What an entry says; for one that says nothing to a model, or is torn, its bytes."""
    if entry.body is None:
        return "[erased]"
    if entry.kind in reading.SPOKEN or (entry.kind is Kind.NOTICE and entry.role):
        try:
            return of_message(reading.decode(entry))
        except (ClewError, ValueError):
            pass  # its bytes are still true
    return entry.body.decode("utf-8", "replace")


def of_message(message: Message) -> str:
    """A message's parts, one below the other; pictures and files by name only."""
    return "\n".join(map(_of_part, message.parts))


def _of_part(part: Part) -> str:
    match part:
        case Text(text):
            return text
        case Thinking(text):
            return f"[thinking] {text}" if text else "[thinking, sealed]"
        case ToolCall(id, name, arguments):
            return f"[tool call {name} {id}] {arguments}"
        case ToolResult():
            failed = ", an error" if part.is_error else ""
            words = "\n".join(map(_of_part, part.parts))
            return f"[result of {part.call_id}{failed}] {words}"
        case Image():
            return f"[image {part.media_type or part.url or ''}]"
        case File():
            return f"[file {part.name or part.media_type or ''}]"
        case _:
            return f"[{part.type}] {compact(part.raw)}"
