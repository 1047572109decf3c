"""From what a caller hands in to drafts of entries: nothing here touches the database.

A message is taken in the shape of its provider (see `clew.shapes`), as a `dict` or as JSON
text, and kept byte for byte: text as it came, a dict as its compact JSON with the key order
kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

import msgspec

from clew import canonical, shapes
from clew.errors import Invalid
from clew.log import Draft
from clew.model import JSON, Kind
from clew.shapes.base import entry_role

TIME_MS_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_encode = msgspec.json.Encoder().encode


def message_draft(
    message: Mapping[str, JSON] | str | bytes,
    *,
    format: str | None = None,
    time_ms: int | None = None,
) -> Draft:
    """Make an entry of a provider's message.

    Raises `Invalid` when it is no JSON object or of no known shape; `format` names the shape
    where the message alone does not tell.
    """
    body, data = _read(message)
    form = format or shapes.sniff(data)
    decoded = shapes.decode(form, data)
    return Draft(
        kind=Kind.MESSAGE,
        role=entry_role(decoded),
        time_ms=canonical.now_ms() if time_ms is None else _checked_time(time_ms),
        format=form,
        body=body,
        usage=decoded.usage,
    )


def message_drafts(
    messages: Iterable[Mapping[str, JSON] | str | bytes], *, format: str | None = None
) -> list[Draft]:
    """The same for many; `Invalid` says which of them it is."""
    drafts: list[Draft] = []
    for message in messages:
        try:
            drafts.append(message_draft(message, format=format))
        except Invalid as error:
            raise Invalid(f"messages[{len(drafts)}]: {error}") from error
    return drafts


def _checked_time(time_ms: object) -> int:
    if type(time_ms) is not int or not 0 <= time_ms <= TIME_MS_MAX:
        raise Invalid(
            f"time_ms={time_ms!r}: give whole milliseconds since 1970 (UTC), "
            "as int(datetime.timestamp() * 1000) does"
        )
    return time_ms


def own_draft(kind: Kind, body: JSON, *, role: str | None = None, **meta: JSON) -> Draft:
    """Make an entry in Clew's own words. Raises `Invalid` for what is no JSON."""
    return Draft(
        kind=kind,
        role=role,
        time_ms=canonical.now_ms(),
        format="clew",
        body=_whole_numbers(body, as_json(body)),
        meta=_encode(meta) if meta else None,
    )


def _read(message: Mapping[str, JSON] | str | bytes) -> tuple[bytes, JSON]:
    if isinstance(message, Mapping):
        return _encode_message(message), message
    if not isinstance(message, str | bytes):
        raise Invalid(
            f"a message is a dict or its JSON text, this is a {type(message).__name__}: "
            "append a list's messages one by one"
        )
    try:
        body = message.encode() if isinstance(message, str) else message
        return body, canonical.parse(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid(
            f"the message is no JSON ({error}): give a dict, or the JSON text of one message"
        ) from error


def _encode_message(message: Mapping[str, JSON]) -> bytes:
    try:
        body = _encode(message)
    except UnicodeEncodeError:
        # Half a character, as a cut-off answer holds it: JSON can say it, by its escape.
        body = json.dumps(message, separators=(",", ":")).encode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        body = as_json(message)
    return _whole_numbers(message, body)


def _whole_numbers(value: JSON, body: bytes) -> bytes:
    # The encoder writes what JSON has no number for as null: only then is it worth a look.
    if b"null" in body and holds_no_number(value):
        raise Invalid("a number in it is NaN or infinite, which JSON does not have: leave it out")
    return body


def as_json(value: JSON) -> bytes:
    """A value as compact JSON. Raises `Invalid` for what is no JSON."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise Invalid(
            f"this cannot be written as JSON ({error}): use plain dicts, lists, strings, "
            "numbers, booleans and None"
        ) from error


def holds_no_number(value: JSON) -> bool:
    """True when a number in it is NaN or infinite."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(holds_no_number, value.values()))
    return isinstance(value, list | tuple) and any(map(holds_no_number, value))
