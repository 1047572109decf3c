"""Copilot CLI's events: what each says, in the ledger's words.

One object a line, `{type, data, id, timestamp, parentId, agentId?}`; `parentId` is the event
before it, so nothing is a tree. The types are those that the SDK declares
(`generated/session-events` of `@github/copilot-sdk` 1.0).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from clew.canonical import canonical, content_id
from clew.importers.facts import TITLE_CHARS_MAX, count, text, time_ms
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

FORMAT: Final = "copilot-cli"
NAME_BYTES: Final = 8

_CONVERSATION: Final = {
    "assistant": "fusion_phase_activity fusion_phase_completed fusion_phase_failed "
    "fusion_phase_started idle intent message message_delta message_start reasoning "
    "reasoning_delta server_tool_progress streaming_delta tool_call_delta turn_end turn_retry "
    "turn_start usage",
    "instruction": "update",
    "session": "auto_mode_resolved auto_tier_recommendation auto_tier_switch_failed "
    "autopilot_objective_changed autopilot_stopped background_tasks_changed binary_asset "
    "canvas.closed canvas.opened canvas.recorded canvas.registry_changed canvas.removed "
    "canvas.unavailable compaction_complete compaction_start completion_receipt "
    "context_changed context_cleared custom_agents_updated custom_notification error "
    "extensions.attachments_pushed extensions_loaded fusion_completed fusion_resolved "
    "fusion_route_failed fusion_route_started handoff idle indexed_search info "
    "managed_plugin_progress managed_settings_enforced managed_settings_resolved "
    "mcp_server_needs_reconnect mcp_server_removed mcp_server_status_changed "
    "mcp_server_tools_loaded mcp_servers_loaded mode_changed mode_notice_delivered "
    "model_change model_deselected permission_recovery permissions_changed plan_changed "
    "quota_observation remote_steerable_changed resume schedule_cancelled schedule_created "
    "schedule_rearmed session_limits_changed shutdown skills_loaded snapshot_rewind start "
    "task_complete title_changed todos_changed tools_updated truncation usage_checkpoint "
    "usage_info warning workspace_file_changed",
    "system": "message notification",
    "tool": "execution_complete execution_partial_result execution_progress execution_start "
    "shell_output user_requested",
    "user": "message",
}
"""The names of those families whose next new name may say something."""
_KNOWN: Final = frozenset(
    f"{family}.{each}" for family, names in _CONVERSATION.items() for each in names.split()
)
_FAMILIES: Final = frozenset(
    [
        "abort",
        "agent",
        "auto_mode_switch",
        "capabilities",
        "command",
        "commands",
        "elicitation",
        "exit_plan_mode",
        "external_tool",
        "hook",
        "human_response",
        "mcp",
        "mcp_app",
        "model",
        "pending_messages",
        "permission",
        "prompt_cache_break",
        "sampling",
        "sandbox",
        "session_limits_exhausted",
        "skill",
        "subagent",
        "tool_search",
        "ui",
        "user_input",
        "workflow",
    ]
)
"""Families of bookkeeping."""

_TRUSTED: Final = re.compile(r"Folder (.+) has been added to trusted folders")

Counters = dict[str, dict[str, int]]
"""Tokens by model: `input` without the cache, `output`, `cache_read` and so on, as in `Usage`."""


def is_record(value: dict[str, JSON]) -> bool:
    """True for an object with Copilot CLI's envelope."""
    family = (text(value, "type") or "").partition(".")[0]
    if family not in _FAMILIES and family not in _CONVERSATION:
        return False
    enveloped = {"id", "parentId", "timestamp"} <= value.keys()
    return enveloped and isinstance(value.get("data"), dict)


def data_of(value: dict[str, JSON]) -> dict[str, JSON]:
    """What an event tells beside its envelope."""
    found = value.get("data")
    return found if isinstance(found, dict) else {}


def name_of(value: dict[str, JSON]) -> str | None:
    """By what an event is known, here and in a copy that belongs to another session."""
    id = text(value, "id")
    if id is None:
        return None
    said = value
    if value.get("type") == "session.start":
        said = {
            **value,
            "data": {k: each for k, each in data_of(value).items() if k != "sessionId"},
        }
    return f"{id}~{content_id(canonical(said))[:NAME_BYTES].hex()}"


def of_subagent(value: dict[str, JSON]) -> bool:
    """Whether a sub-agent says this: it writes into its parent's file."""
    return bool(text(value, "agentId") or text(data_of(value), "parentToolCallId"))


def classify(value: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    """Kind, role and note of an event, by its type."""
    kind = text(value, "type") or ""
    if kind not in _KNOWN and kind.partition(".")[0] not in _FAMILIES:
        named = f"of type {kind[:TITLE_CHARS_MAX]!r}" if kind else "without a type"
        return Kind.UNKNOWN, None, f"an event {named}, which is not known"
    data = data_of(value)
    if of_subagent(value):
        return Kind.NOTICE, None, None
    if kind == "session.compaction_complete":
        if data.get("success") is True and text(data, "summaryContent"):
            return Kind.COMPACTION, "system", None
        return Kind.NOTICE, None, None
    role = _role(kind, data)
    if role is None:
        return Kind.NOTICE, None, None
    if not parts_of(value):
        return Kind.NOTICE, None, "a message that says nothing" if role == "user" else None
    return Kind.MESSAGE, role, None


def _role(kind: str, data: dict[str, JSON]) -> str | None:
    if kind == "user.message":
        return "user" if typed(data) else "context"
    if kind == "assistant.message":
        return "assistant"
    if kind == "tool.execution_complete":
        # What a person ran answers no call of the model.
        return None if data.get("isUserRequested") is True else "tool"
    if kind in ("system.message", "instruction.update"):
        return "system"
    return "context" if kind == "system.notification" else None


def folder_told(kind: str | None, data: dict[str, JSON]) -> str | None:
    """The working folder that an event tells; in earlier versions a question about it does."""
    if kind == "session.info" and data.get("infoType") == "folder_trust":
        asked = _TRUSTED.match(text(data, "message") or "")
        return asked[1] if asked else None
    if kind == "session.context_changed":
        return text(data, "cwd")
    context = data.get("context")
    if kind not in ("session.start", "session.resume") or not isinstance(context, dict):
        return None
    return text(context, "cwd")


def typed(data: dict[str, JSON]) -> bool:
    """Whether a person typed this message; others tell what put it in their place."""
    source = text(data, "source")
    if data.get("isAutopilotContinuation") is True:
        return False
    return source is None or source in ("user", "command")


# --- tokens ------------------------------------------------------------------------------


def usage_of(value: dict[str, JSON]) -> Usage | None:
    """What an answer put out: all that it tells itself. Pieces of an answer repeat it."""
    data = data_of(value)
    output = count(data, "outputTokens")
    if value.get("type") != "assistant.message" or not output:
        return None
    ids = [text(data, key) or "" for key in ("messageId", "apiCallId", "interactionId", "turnId")]
    call = ":".join(ids) if ids[0] else name_of(value)
    return Usage(key=call and f"copilot-cli:{call}", model=text(data, "model"), output=output)


def counters(data: dict[str, JSON]) -> Counters:
    """What a `session.shutdown` counts by model. Copilot's input includes what the cache gave
    and took; where no model tells its tokens, the session's own details stand for its model.
    """
    metrics = data.get("modelMetrics")
    found: Counters = {}
    for model, told in metrics.items() if isinstance(metrics, dict) else ():
        usage = told.get("usage") if isinstance(told, dict) else None
        if not isinstance(usage, dict):
            continue
        read, written = count(usage, "cacheReadTokens"), count(usage, "cacheWriteTokens")
        found[model] = {
            "input": max(count(usage, "inputTokens") - read - written, 0),
            "output": count(usage, "outputTokens"),
            "cache_read": read,
            "cache_write": written,
            "reasoning": count(usage, "reasoningTokens"),
        }
    details, model = data.get("tokenDetails"), text(data, "currentModel")
    if not found and model and isinstance(details, dict):
        kinds = ("input", "output", "cache_read", "cache_write")
        found[model] = {kind: count(details.get(kind), "tokenCount") for kind in kinds}
    return found


# --- reading a stored event --------------------------------------------------------------


def decode(record: JSON) -> Message:
    """What an event says as a message. Never fails: what cannot be placed is `Unknown`."""
    if not isinstance(record, dict):
        return Message("system", (unknown(record),), meta=True)
    kind, role, _note = classify(record)
    data, when = data_of(record), time_ms(record.get("timestamp")) or 0
    if kind is Kind.COMPACTION:
        words = text(data, "summaryContent") or ""
        return Message("user", (Text(words),), time_ms=when, summary=True)
    if kind is not Kind.MESSAGE:
        return Message("system", (unknown(record),), time_ms=when, meta=True)
    said = role == "assistant"
    return Message(
        "user" if role == "context" else role or "user",
        parts_of(record),
        id=text(data, "messageId") if said else None,
        model=text(data, "model") if said else None,
        time_ms=when,
        meta=role in ("context", "system"),
        format=FORMAT,
    )


def parts_of(value: dict[str, JSON]) -> tuple[Part, ...]:
    """The parts of an event's message."""
    kind, data = value.get("type"), data_of(value)
    if kind == "assistant.message":
        return tuple(_answer(data))
    if kind == "tool.execution_complete":
        return (_result(data),)
    words = text(data, "content")
    files = map(_attachment, as_list(data.get("attachments"))) if kind == "user.message" else ()
    return (*((Text(words),) if words else ()), *files)


def _answer(data: dict[str, JSON]) -> Iterator[Part]:
    thought, opaque = text(data, "reasoningText"), text(data, "reasoningOpaque")
    sealed = text(data, "encryptedContent")
    if thought or opaque or sealed:
        yield Thinking(thought or "", signature=opaque, data=sealed)
    if words := text(data, "content"):
        yield Text(words)
    for request in as_list(data.get("toolRequests")):
        id = text(request, "toolCallId") if isinstance(request, dict) else None
        if id is None:
            yield unknown(request)
            continue
        given = request.get("arguments")
        plain = isinstance(given, str) and request.get("type") != "custom"
        arguments = given if plain else compact({} if given is None else given)
        yield ToolCall(id, text(request, "name") or "tool", arguments)


def _result(data: dict[str, JSON]) -> ToolResult:
    found, error = data.get("result"), data.get("error")
    result = found if isinstance(found, dict) else {"content": found}
    words = text(result, "content") or text(result, "detailedContent")
    if words is None and isinstance(error, dict):
        words = text(error, "message")
    parts: list[Text | Image] = [Text(words)] if words else []
    parts += [
        Image(text(each, "mimeType"), text(each, "data"))
        for each in as_list(result.get("binaryResultsForLlm"))
        if isinstance(each, dict) and each.get("type") == "image" and text(each, "data")
    ]
    failed = data.get("success") is False
    return ToolResult(text(data, "toolCallId") or "", tuple(parts), is_error=failed)


def _attachment(raw: JSON) -> Part:
    if not isinstance(raw, dict):
        return unknown(raw)
    kind, media = raw.get("type"), text(raw, "mimeType")
    shown = text(raw, "path") or text(raw, "displayName")
    if kind == "blob" and media and media.startswith("image/") and text(raw, "data"):
        return Image(media, text(raw, "data"))
    if kind == "selection" and text(raw, "text"):
        return Text(raw["text"])
    if kind in ("file", "directory", "blob") and shown:
        return File(shown, media, text(raw, "data"))
    return unknown(raw)
