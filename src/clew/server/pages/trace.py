"""What the trace shows of one span beside its bar: what went in, what came out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from clew import derived, reading
from clew.errors import NotFound
from clew.log import look_head, on_path
from clew.server import tree
from clew.server.pages import render
from clew.server.pages.text import pretty

if TYPE_CHECKING:
    from clew.model import JSON, Entry
    from clew.server.answer import Answer
    from clew.server.call import Call
    from clew.session import Session

NEAR: Final = derived.MARGIN
"""So many entries are read to find a call's result."""


class Query(msgspec.Struct, frozen=True):
    """The recorded span that began at the sequence `span`; else what the entry `at` tells: the
    call that is its part number `part`, or its words.
    """

    span: str = ""
    at: str = ""
    part: int | None = None


class Body(msgspec.Struct, frozen=True):
    """A text to show under a name; `whole` is where all of it can be asked for."""

    name: str
    text: str
    whole: str = ""


async def shown(call: Call) -> Answer:
    """The part of the page with a span's bodies."""
    query: Query = call.query
    session = (await call.session()).sync
    if query.span:
        bodies, facts = await asyncio.to_thread(_recorded, session, query.span)
    else:
        call.require("session:read")
        bodies, facts = await asyncio.to_thread(_derived, session, query), {}
    return render.page(call, "trace_detail.html", bodies=bodies, facts=facts)


def _recorded(session: Session, sequence: str) -> tuple[list[Body], dict[str, str]]:
    span = session.span(tree.id_at(session, sequence))
    told = (("Error", span.error), ("Input", span.input), ("Output", span.output))
    bodies = [Body(name, _text(value)) for name, value in told if value is not None]
    if span.attributes:
        bodies.append(Body("Attributes", pretty(span.attributes)))
    names = ("provider", "tier", "effect", "error_type", "call_id", "response_id", "late")
    facts = {name: str(getattr(span, name)) for name in names if getattr(span, name) is not None}
    return bodies, facts


def _derived(session: Session, query: Query) -> list[Body]:
    with session._read() as tx:
        place = tree.entry_at(tx, session, query.at)
        head = look_head(tx, session._key).place
        end = head if on_path(tx, head, place) else place
        _, start, _ = reading.path_window(tx, end, place, None, 1)
        entries = reading.path_window(tx, end, None, start, NEAR)[0]
    if query.part is None:
        return [Body("Said", text) for text in derived.said(entries[0])]
    found = derived.called(entries, query.part)
    if found is None:
        raise NotFound(f"entry {query.at} makes no call {query.part}: open the session again")
    return _bodies(session, found)


def _bodies(session: Session, found: derived.Called) -> list[Body]:
    whole = f"/sessions/{session.id}/whole?at="
    asked = Body("Input", _text(found.arguments), f"{whole}{_where(found.entry, found.part)}")
    if found.result is None or found.result_entry is None:
        return [asked]
    name = "Error" if found.result.is_error else "Output"
    at = f"{whole}{_where(found.result_entry, found.result_part)}"
    told = [
        Body(name, part.text, f"{at}&inner={number}")
        for number, part in enumerate(found.result.parts)
        if hasattr(part, "text")
    ]
    return [asked, *told]


def _where(entry: Entry, part: int) -> str:
    return f"{entry.position}&part={part}"


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else pretty(value)
