"""ATIF's steps: what each says, in the ledger's words.

The format is Harbor's Agent Trajectory Interchange Format, 1.0 to 1.8, as the models of the
packages `atif` and `harbor` declare it; what others leave out or add is read as well as it can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clew.importers.facts import count, text, time_ms
from clew.model import (
    JSON,
    File,
    Image,
    Kind,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from clew.shapes.base import as_list, compact, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = "atif"
RESULTS: Final = "atif-results"
"""The same step, read for what its calls gave back."""
OBSERVED: Final = "atif-observed"
"""The same step, read for what was observed and answers no call."""

_ROLES: Final = {"system": "system", "user": "user", "agent": "assistant", "assistant": "assistant"}


def step_of(record: JSON) -> dict[str, JSON]:
    """The step in a stored record: `{trajectory, model, number, step}`."""
    step = record.get("step") if isinstance(record, dict) else None
    return step if isinstance(step, dict) else {}


def is_copied(step: dict[str, JSON]) -> bool:
    """Whether a step was copied from an earlier trajectory, for its context."""
    return step.get("is_copied_context") is True


def classify(record: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    """Kind, role and note of a step."""
    step = step_of(record)
    role = _ROLES.get(text(step, "source") or "")
    if role is None:
        return Kind.UNKNOWN, None, "a step of no source that is known"
    if not _said(step):
        return Kind.NOTICE, None, None
    copied = role == "user" and is_copied(step)
    return Kind.MESSAGE, "context" if copied else role, None


def results(step: dict[str, JSON]) -> tuple[list[dict[str, JSON]], list[dict[str, JSON]]]:
    """What a step's calls gave back, and what else was observed. The one result of the one call
    belongs to it, named or not.
    """
    held = step.get("observation")
    found = as_list(held.get("results")) if isinstance(held, dict) else []
    each = [result for result in found if isinstance(result, dict)]
    calls = as_list(step.get("tool_calls"))
    if len(calls) == len(each) == 1 and isinstance(calls[0], dict):
        named = text(each[0], "source_call_id") or text(calls[0], "tool_call_id")
        each = [{**each[0], "source_call_id": named}] if named else each
    answers = [result for result in each if text(result, "source_call_id")]
    others = [result for result in each if result not in answers and result.get("content")]
    return answers, others


def usage_of(record: JSON) -> Usage | None:
    """The tokens of a step's calls. ATIF's prompt includes what the cache gave. A copied step
    was counted where it was made.
    """
    step = step_of(record)
    metrics = step.get("metrics")
    if not isinstance(metrics, dict) or is_copied(step):
        return None
    key = f"atif:{record.get('trajectory')}/{record.get('number')}"
    return _counted(metrics, key, text(step, "model_name") or text(record, "model"), "")


def total_of(document: dict[str, JSON], key: str) -> Usage | None:
    """The tokens of a whole trajectory, where its steps tell none."""
    metrics = document.get("final_metrics")
    if not isinstance(metrics, dict):
        return None
    return _counted(metrics, key, model_of(document), "total_")


def _counted(metrics: dict[str, JSON], key: str, model: str | None, prefix: str) -> Usage:
    cached = count(metrics, f"{prefix}cached_tokens")
    cost = metrics.get(f"{prefix}cost_usd", metrics.get("cost"))
    known = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1e9
    return Usage(
        key=key,
        model=model,
        input=max(count(metrics, f"{prefix}prompt_tokens") - cached, 0),
        output=count(metrics, f"{prefix}completion_tokens"),
        cache_read=cached,
        reasoning=count(metrics.get("extra"), "reasoning_tokens"),
        cost=float(cost) if known and cost is not None else None,
    )


def model_of(document: dict[str, JSON]) -> str | None:
    """The model that a trajectory names for its agent."""
    agent = document.get("agent")
    if not isinstance(agent, dict):
        return None
    return text(agent, "model_name") or text(agent, "model")


# --- reading a stored step ---------------------------------------------------------------


def decode(record: JSON) -> Message:
    """What a step says as a message. Never fails: what cannot be placed is `Unknown`."""
    step = step_of(record)
    kind, role, _note = classify(record) if step else (Kind.UNKNOWN, None, None)
    when = time_ms(step.get("timestamp")) or 0
    if kind is not Kind.MESSAGE:
        return Message("system", (unknown(record),), time_ms=when, meta=True)
    return Message(
        "user" if role == "context" else role or "user",
        _said(step),
        model=(text(step, "model_name") or text(record, "model")) if role == "assistant" else None,
        usage=usage_of(record),
        time_ms=when,
        meta=is_copied(step),
    )


def decode_results(record: JSON) -> Message:
    """What a step's calls gave back."""
    step = step_of(record)
    parts = tuple(
        ToolResult(text(each, "source_call_id") or "", _content(each.get("content")))
        for each in results(step)[0]
    )
    return Message("tool", parts, time_ms=time_ms(step.get("timestamp")) or 0)


def decode_observed(record: JSON) -> Message:
    """What was observed behind a step: the agent's program told it to the model."""
    step = step_of(record)
    parts = tuple(part for each in results(step)[1] for part in _content(each.get("content")))
    return Message("user", parts, time_ms=time_ms(step.get("timestamp")) or 0, meta=True)


def _said(step: dict[str, JSON]) -> tuple[Part, ...]:
    return tuple(_parts(step))


def _parts(step: dict[str, JSON]) -> Iterator[Part]:
    if thought := text(step, "reasoning_content"):
        yield Thinking(thought)
    yield from _content(step.get("message"))
    for call in as_list(step.get("tool_calls")):
        if not isinstance(call, dict) or not text(call, "function_name"):
            yield unknown(call)
            continue
        given = call.get("arguments")
        arguments = given if isinstance(given, str) else compact({} if given is None else given)
        yield ToolCall(text(call, "tool_call_id") or "", call["function_name"], arguments)


def _content(content: JSON) -> tuple[Text | Image | File, ...]:
    """Words, or parts: pictures and sound stand in files beside the trajectory."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    found: list[Text | Image | File] = []
    for part in as_list(content):
        if not isinstance(part, dict):
            continue
        source = part.get("source")
        if words := text(part, "text"):
            found.append(Text(words))
        elif isinstance(source, dict) and (path := text(source, "path")):
            media, image = text(source, "media_type"), part.get("type") == "image"
            found.append(Image(media, url=path) if image else File(path, media, url=path))
    return tuple(found) if found or content is None else _otherwise(content)


def _otherwise(content: JSON) -> tuple[Text, ...]:
    """What is no content that ATIF knows, as its JSON."""
    return (Text(compact(content)),) if content else ()
