"""From an ATIF document that `atif` wrote to the native row that it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clew.errors import Invalid
from clew.exporters.base import Row
from clew.exporters.projections.atif import SOURCES, encoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clew.model import JSON

_Shapes = list[list[str]]
_ROLES: Final = {source: role for role, source in SOURCES.items()}


def row_of(document: Row) -> Row:
    """The native row, field by field as it was. Raises `Invalid` for a document that was not
    written by Clew: another agent's is imported instead.
    """
    try:
        shapes = document["extra"]["clew_fields"]
        return _ordered(shapes, _known(document, shapes), document["extra"])
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        text = f"the document is none that Clew wrote ({error!r}): bring it in with clew import"
        raise Invalid(text) from None


def _known(document: Row, shapes: _Shapes) -> Row:
    agent = document["agent"]
    return {
        "session_id": document["session_id"],
        "agent": agent["name"],
        "model_used": agent.get("model_name"),
        "tools": agent["tool_definitions"],
        "messages": [one for step in document["steps"] for one in _messages(step, shapes)],
    }


def _ordered(shapes: _Shapes, known: Mapping[str, JSON], extra: Mapping[str, JSON]) -> Row:
    """The fields in their order: as `extra` has them, else as ATIF tells them, else null."""
    out: Row = {}
    for name in shapes[extra["clew"]]:
        out[name] = extra[name] if name in extra else known.get(name)
        if name == "telemetry" and out[name] is not None:
            out[name] = _ordered(shapes, {}, out[name])
    return out


def _messages(step: Row, shapes: _Shapes) -> Iterator[Row]:
    """What a step says, and what its calls gave back."""
    extra = step["extra"]
    names = {call["tool_call_id"]: call["function_name"] for call in step.get("tool_calls", ())}
    known: Row = {
        "role": _ROLES[step["source"]],
        "time": step.get("timestamp"),
        "content": _content(step["message"], extra),
        "reasoning_content": step.get("reasoning_content"),
        "tool_calls": [_call(call) for call in step.get("tool_calls", ())],
    }
    yield _ordered(shapes, known, extra)
    for result in step.get("observation", {}).get("results", ()):
        more = result["extra"]
        id = result["source_call_id"]
        told = {
            "role": "tool",
            "tool_call_id": id,
            "name": names[id],
            "content": _content(result["content"], more),
        }
        yield _ordered(shapes, told, more)


def _content(said: str | list[Row], extra: Row) -> str | list[Row]:
    if isinstance(said, str):
        return said
    odd = extra.get("parts_in_content", {})
    return [odd.get(str(number), part) for number, part in enumerate(said)]


def _call(call: Row) -> Row:
    extra = call.get("extra", {})
    if "call" in extra:
        whole: Row = extra["call"]
        return whole
    text = extra["arguments"] if "arguments" in extra else encoded(call["arguments"])
    return {
        "id": call["tool_call_id"],
        "type": "function",
        "function": {"name": call["function_name"], "arguments": text},
    }
