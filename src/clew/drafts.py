"""From what a caller hands in to drafts of entries: nothing here touches the database.

A message is taken in the shape of its provider (see `clew.shapes`), as a `dict` or as JSON
text, and kept byte for byte: text as it came, a dict as its compact JSON with the key order
kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from clew import canonical, shapes
from clew.errors import Invalid
from clew.log import Draft
from clew.model import JSON, Kind, Message, ToolResult

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


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
        time_ms=canonical.now_ms() if time_ms is None else time_ms,
        format=form,
        body=body,
        usage=decoded.usage,
    )


def entry_role(message: Message) -> str:
    """The role that the log files a message under: results are `tool`, whoever carries them,
    and text that no person typed is `context`.
    """
    if message.parts and all(type(part) is ToolResult for part in message.parts):
        return "tool"
    if message.meta and message.role == "user":
        return "context"
    return message.role


def own_draft(kind: Kind, body: JSON, *, role: str | None = None, **meta: JSON) -> Draft:
    """Make an entry in Clew's own words."""
    return Draft(
        kind=kind,
        role=role,
        time_ms=canonical.now_ms(),
        format="clew",
        body=_encode(body),
        meta=_encode(meta) if meta else None,
    )


def _read(message: Mapping[str, JSON] | str | bytes) -> tuple[bytes, JSON]:
    if isinstance(message, Mapping):
        return _encode_message(message), message
    body = message.encode() if isinstance(message, str) else bytes(message)
    try:
        return body, _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid(
            f"the message is no JSON ({error}): give a dict, or the JSON text of one message"
        ) from error


def _encode_message(message: Mapping[str, JSON]) -> bytes:
    try:
        return _encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise Invalid(
            f"the message cannot be written as JSON ({error}): use plain dicts, lists, strings, "
            "numbers, booleans and None"
        ) from error
