"""What Lynkr's rows say: messages of a request, answers with their routing, failures.

A row of `session_history` stands as it is, but for a request: that repeats the whole conversation
each time, so each of its messages is a row of its own, as `message`. What the router knew of a call
stands in `telemetry` beside the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from clew.canonical import content_id
from clew.errors import Invalid
from clew.importers.facts import count
from clew.model import JSON, Message, Text, Thinking, Unknown, Usage
from clew.shapes import base, sniff
from clew.shapes import decode as decode_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = "lynkr"
NOTICE_MODEL: Final = "<synthetic>"
"""Under this name an agent's own notices stand in a conversation; no model said them."""

OWN_ID_CHARS: Final = 16
"""An answer's id of so many characters is its provider's own, and no counter of a local one's."""

_encode = msgspec.json.Encoder(order="sorted").encode


def read(message: JSON) -> Message:
    """A message as a client sent it, in the shape of Anthropic or OpenAI; blocks without an
    envelope are an answer. Raises `Invalid` when it is none.
    """
    if isinstance(message, list | str):
        message = {"role": "assistant", "content": message}
    if isinstance(message, dict) and isinstance(message.get("choices"), list):
        chosen = next(iter(message["choices"]), None)
        said = chosen.get("message") if isinstance(chosen, dict) else None
        if isinstance(said, dict):
            kept = {key: message[key] for key in ("id", "model", "usage") if key in message}
            return decode_shape("openai-chat", {**kept, **said})
    return decode_shape(sniff(message), message)


def fingerprint(message: JSON) -> bytes:
    """What tells a message from others, whichever of two programs wrote it: not its caching
    marks, its thinking or the blanks around its words; of an answer with calls only their ids.
    """
    try:
        said = read(message)
    except Invalid:
        return content_id(_encode(message))
    calls = [call.id for call in said.tool_calls]
    if calls and all(calls):
        return content_id(_encode(["calls", calls]))
    parts = [
        part.text.strip() if isinstance(part, Text) else msgspec.to_builtins(part)
        for part in said.parts
        if not isinstance(part, Thinking)
    ]
    return content_id(_encode([said.role, [part for part in parts if part]]))


def usage_of(row: Mapping[str, Any], said: Message) -> Usage | None:
    """The tokens of an answer; none for one that a cache gave. Provider and cost are the
    router's: what it does not know stays unknown.
    """
    about, routed = row.get("metadata"), row.get("telemetry")
    if isinstance(about, dict) and (about.get("cacheHit") or about.get("semanticCacheHit")):
        return None
    told = said.usage or Usage(model=said.model)
    if isinstance(routed, dict):
        known = routed_usage(routed)
        if said.usage is None:
            told = known or told
        told = msgspec.structs.replace(
            told,
            model=told.model or base.text_or_none(routed.get("model")),
            provider=base.text_or_none(routed.get("provider")) or told.provider,
            cost=known.cost if known else None,
        )
    if said.usage is None and not (told.input or told.output):
        return None
    key = said.id or f"{row.get('timestamp')}/{row.get('id')}"
    if said.id is None or len(said.id) < OWN_ID_CHARS:
        key = f"lynkr:{row.get('session_id')}/{key}"
    return msgspec.structs.replace(told, key=key)


def routed_usage(routed: Mapping[str, Any]) -> Usage | None:
    """The tokens and the cost that the router counted; `None` where it knows neither."""
    cost = routed.get("cost_usd")
    cost = float(cost) if isinstance(cost, int | float) and cost >= 0 else None
    told = {
        name: count(dict(routed), column)
        for name, column in {
            "input": "input_tokens",
            "output": "output_tokens",
            "cache_read": "cache_read_tokens",
            "cache_write": "cache_creation_tokens",
        }.items()
    }
    if cost is None and not any(told.values()):
        return None
    return Usage(
        key=f"lynkr:{routed.get('request_id')}@{routed.get('timestamp')}",
        model=base.text_or_none(routed.get("model")),
        provider=base.text_or_none(routed.get("provider")),
        cost=cost,
        **told,
    )


def decode(row: JSON) -> Message:
    """What a row says as a message. Never fails: what cannot be placed is `Unknown`."""
    if not isinstance(row, dict):
        return Message("system", (Unknown("row", row),), meta=True)
    if row.get("type") == "error":
        return Message("assistant", (Text(_failure(row)),), model=NOTICE_MODEL, format=FORMAT)
    content = row["message"] if "message" in row else row.get("content")
    try:
        said = read(content)
    except Invalid:
        return Message("system", (Unknown("message", content),), meta=True)
    if "message" in row:
        return msgspec.structs.replace(said, id=None, usage=None)
    return msgspec.structs.replace(said, usage=usage_of(row, said))


def _failure(row: dict[str, JSON]) -> str:
    """A failed call in words: its status and what the provider said."""
    content = row.get("content")
    error = content.get("error") if isinstance(content, dict) else content
    if isinstance(error, dict):
        error = error.get("message") or error.get("type")
    words = [str(row.get("status") or ""), error if isinstance(error, str) else ""]
    return "API Error: " + (" ".join(filter(None, words)) or "unknown")
