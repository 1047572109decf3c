"""What went into a span and what came out: bodies, and the messages of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clew.otlp import messages, semconv
from clew.otlp.attributes import Reading, plain
from clew.otlp.messages import Chat, structured
from clew.otlp.model import Event, OtlpSpan, Value

_FINISH_REASONS = semconv.written("finish_reasons")


class Talk(msgspec.Struct):
    """What a model or agent was given, and what it said. `continues`: it builds on an answer
    that the provider keeps.
    """

    given: list[Chat] = []
    said: list[Chat] = []
    continues: bool = False


def read(reading: Reading, span: OtlpSpan, kind: str, values: dict[str, Any]) -> Talk:
    """Put input, output and finish reasons where they belong; gives the conversation."""
    talk = Talk([], [])
    if kind == "tool":
        given = reading.take("tool_input", _body)
        said = reading.take("tool_output", _body)
        if given is None and said is None:
            given, said = _from_tool_messages(reading) or _from_tool_events(span.events)
    else:
        _talk(reading, span, talk)
        given, said = talk.given or None, talk.said or None
    if given is None:
        given = reading.take("input", _body)
    if given is None:
        given = reading.take("messages_in", _body)
    if said is None:
        said = reading.take("output", _body)
    if said is None:
        said = reading.take("messages_out", _body)
    if given is not None:
        values["input"] = given
    if said is not None:
        values["output"] = said
    reasons = reading.take("finish_reasons", _reasons) or _reasons_told(reading, span)
    if reasons:
        reading.attributes = {**reading.attributes, _FINISH_REASONS: reasons}
        reading.used.discard(_FINISH_REASONS)
    return talk


def _body(value: Value) -> Any:
    return structured(value) if isinstance(value, str) else plain(value)


def _reasons(value: Value) -> list[Value] | None:
    data = structured(value)
    return data if isinstance(data, list) else [data] if isinstance(data, str) else None


def _reasons_told(reading: Reading, span: OtlpSpan) -> list[Value]:
    """Why an answer ended, where only its messages or events say so."""
    said = structured(reading.peek("messages_out", lambda value: value))
    items = said if isinstance(said, list) else []
    told = [item.get("finish_reason") for item in items if isinstance(item, dict)]
    told += [event.attributes.get("finish_reason") for event in span.events]
    return [reason for reason in told if isinstance(reason, str)]


def _from_tool_messages(reading: Reading) -> tuple[Any, Any] | None:
    """Strands tells a tool's run as a message with the call and one with its result."""
    given = reading.take("messages_in", _called)
    said = reading.take("messages_out", _returned)
    return None if given is None and said is None else (given, said)


def _called(value: Value) -> Any:
    calls = [call for chat in messages.read(value) or [] for call in chat.get("tool_calls", [])]
    return structured(calls[0]["function"]["arguments"]) if len(calls) == 1 else None


def _returned(value: Value) -> Any:
    results = [chat for chat in messages.read(value) or [] if chat["role"] == "tool"]
    return structured(results[0]["content"]) if len(results) == 1 else None


def _from_tool_events(events: Sequence[Event]) -> tuple[Any, Any]:
    given = said = None
    for event in events:
        if event.name == "gen_ai.tool.message" and given is None:
            given = _body(event.attributes.get("content"))
        elif event.name == "gen_ai.choice":
            said = _body(event.attributes.get("message"))
    return given, said


def _talk(reading: Reading, span: OtlpSpan, talk: Talk) -> None:
    """The messages of a model's or an agent's span; what cannot be read stays an attribute."""
    talk.given = reading.take("messages_in", _questions) or _indexed(reading, "in")
    talk.said = reading.take("messages_out", _answers) or _indexed(reading, "out")
    if not talk.said:
        talk.said = _told_answer(reading)
    if not talk.given and not talk.said and span.events:
        events = [Event(0, event.name, plain(event.attributes)) for event in span.events]
        told = messages.from_events(events)
        if told is not None:
            talk.given, talk.said = told
            reading.read_events |= messages.EVENTS
    if talk.given:
        system = reading.take("instructions", lambda value: messages.instructions(plain(value)))
        if system and talk.given[0]["role"] != "system":
            talk.given = [*system, *talk.given]
    talk.continues = "gen_ai.request.previous_response.id" in span.attributes


def _questions(value: Value) -> list[Chat] | None:
    return messages.read(plain(value))


def _answers(value: Value) -> list[Chat] | None:
    return messages.read(plain(value), "assistant")


def _told_answer(reading: Reading) -> list[Chat]:
    text = reading.peek("text_out", lambda value: value)
    calls = reading.peek("calls_out", lambda value: value)
    if text is None and calls is None:
        return []
    said = messages.answer(plain(text), plain(calls))
    if said:
        reading.used.update(filter(None, map(reading.name_of, ("text_out", "calls_out"))))
    return said or []


def _indexed(reading: Reading, side: str) -> list[Chat]:
    if not reading.indexed:
        return []
    for prefix, prefix_side in semconv.PREFIXES.items():
        names = [name for name in reading.indexed if name.startswith(prefix)]
        if prefix_side == side and names:
            values = {name: plain(reading.attributes[name]) for name in names}
            told = messages.indexed(values, names, prefix)
            if told:
                reading.used.update(filter(messages.is_read, names))
                return told
    return []
