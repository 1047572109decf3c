"""Codex's records: what each says, in the ledger's words.

One object a line: `{"timestamp", "ordinal"?, "type", "payload"}`. `response_item` is the
conversation as the model sees it; `event_msg` tells the same to the screen, and how many tokens
were used. The first rollouts have no envelope: their lines are the bare items.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from clew.errors import Invalid
from clew.importers.facts import text, time_ms
from clew.model import JSON, Kind, Message, Part, Text, ToolCall, ToolResult, Unknown, Usage
from clew.shapes import base, openai_responses

FORMAT: Final = "codex"
NAME_CHARS_MAX = 100
SEALED = "(The provider keeps the summary of what was before sealed.)"

ENVELOPES: Final = frozenset(
    {
        "compacted",
        "event_msg",
        "inter_agent_communication",
        "inter_agent_communication_metadata",
        "realtime_item",
        "response_item",
        "retained_context",
        "rollout_reference",
        "security_risk_score",
        "session_meta",
        "token_usage_record",
        "turn_context",
        "world_state",
    }
)
"""Every record type known."""

_OUTPUTS: Final = frozenset(
    {
        "custom_tool_call_output",
        "function_call_output",
        "local_shell_call_output",
        "tool_search_output",
    }
)
_CALLS: Final = frozenset(
    {
        "custom_tool_call",
        "function_call",
        "image_generation_call",
        "local_shell_call",
        "tool_search_call",
        "web_search_call",
    }
)
ITEMS: Final = (
    _OUTPUTS
    | _CALLS
    | frozenset({"agent_message", "compaction", "context_compaction", "message", "reasoning"})
)
"""Items of the conversation."""
_SILENT_ITEMS: Final = frozenset({"additional_tools", "configuration_update", "ghost_snapshot"})

_SPANS = (
    "collab_agent_interaction",
    "collab_agent_spawn",
    "collab_close",
    "collab_resume",
    "collab_waiting",
    "exec_command",
    "image_generation",
    "mcp_tool_call",
    "patch_apply",
    "web_search",
)
_EVENTS: Final = frozenset(
    {
        "account/rateLimits/updated",
        "agent_message",
        "agent_reasoning",
        "agent_reasoning_raw_content",
        "agent_reasoning_section_break",
        "apply_patch_approval_request",
        "background_event",
        "codex/event/raw_item",
        "context_compacted",
        "deprecation_notice",
        "dynamic_tool_call_request",
        "dynamic_tool_call_response",
        "elicitation_request",
        "entered_review_mode",
        "error",
        "exec_approval_request",
        "exited_review_mode",
        "guardian_assessment",
        "guardian_warning",
        "hook_completed",
        "hook_started",
        "item_completed",
        "item_started",
        "mcp_startup_complete",
        "mcp_startup_update",
        "model_reroute",
        "model_verification",
        "patch_apply_updated",
        "plan_update",
        "raw_response_item",
        "request_permissions",
        "request_user_input",
        "session_configured",
        "shutdown_complete",
        "stream_error",
        "sub_agent_activity",
        "task_complete",
        "task_started",
        "terminal_interaction",
        "thread_goal_updated",
        "thread_name_updated",
        "thread_rolled_back",
        "thread_settings_applied",
        "token_count",
        "turn.completed",
        "turn_aborted",
        "turn_complete",
        "turn_diff",
        "turn_started",
        "undo_completed",
        "undo_started",
        "user_message",
        "view_image_tool_call",
        "warning",
    }
) | {f"{name}_{end}" for name in _SPANS for end in ("begin", "end")}

_WRAPPED = re.compile(
    r"\s*(?:<(?:apps_instructions|environment_context|goal_context|hook_prompt|legacy_\w+"
    r"|permissions instructions|plugins_instructions|recommended_plugins|skill"
    r"|skills_instructions|subagent_notification|turn_aborted|user_action"
    r"|user_instructions|user_shell_command)>|# AGENTS\.md instructions)"
)
"""How text begins that the program wrote in the person's name."""
_REQUEST = re.compile(r"^## My request for Codex:\s*", re.MULTILINE)
"""An editor puts its own state before what the person asked."""
_FOLDER = re.compile(
    r"<environment_context>.*?(?:<cwd>([^<\n]+)</cwd>|working directory: ([^\n<]+))", re.DOTALL
)


def is_record(value: dict[str, JSON]) -> bool:
    """True for an object with Codex's envelope."""
    return (
        text(value, "timestamp") is not None
        and text(value, "type") is not None
        and isinstance(value.get("payload"), dict)
    )


def is_bare_head(value: dict[str, JSON]) -> bool:
    """True for the first line of a rollout without envelopes."""
    return (
        text(value, "id") is not None
        and text(value, "timestamp") is not None
        and "instructions" in value
        and not {"type", "payload", "message"} & value.keys()
    )


def unwrap(value: dict[str, JSON]) -> tuple[str | None, dict[str, JSON]]:
    """The record's type and what it carries. A bare item is a `response_item`."""
    payload = value.get("payload")
    if isinstance(payload, dict):
        return text(value, "type"), payload
    kind = text(value, "type")
    if kind in ITEMS or kind in _SILENT_ITEMS:
        return "response_item", value
    if is_bare_head(value):
        return "session_meta", value
    if text(value, "record_type") == "state":
        return "turn_context", {}
    return kind, {}


def classify(kind: str | None, payload: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    """Kind, role and note of a record."""
    if kind == "response_item":
        return _classify_item(payload)
    if kind == "event_msg":
        name = text(payload, "type")
        if name == "thread_name_updated":
            return Kind.LABEL, None, None
        if name in _EVENTS:
            return Kind.NOTICE, None, None
        return Kind.UNKNOWN, None, f"an event of type {_short(name)}, which is not known"
    if kind == "compacted":
        return Kind.COMPACTION, "system", None
    if kind == "inter_agent_communication":
        return Kind.MESSAGE, "context", None
    if kind in ENVELOPES:
        return Kind.NOTICE, None, None
    if kind is None:
        return Kind.UNKNOWN, None, "a record without a type"
    return Kind.UNKNOWN, None, f"a record of type {_short(kind)}, which is not known"


def _classify_item(item: dict[str, JSON]) -> tuple[Kind, str | None, str | None]:
    kind = text(item, "type")
    if kind in _OUTPUTS:
        return Kind.MESSAGE, "tool", None
    if kind == "agent_message":
        return Kind.MESSAGE, "context", None
    if kind == "message" or (kind is None and text(item, "role")):
        return Kind.MESSAGE, _role(item), None
    if kind in ITEMS:
        return Kind.MESSAGE, "assistant", None
    if kind in _SILENT_ITEMS:
        return Kind.NOTICE, None, None
    return Kind.UNKNOWN, None, f"an item of type {_short(kind)}, which is not known"


def _short(name: str | None) -> str:
    return repr(name[:NAME_CHARS_MAX]) if name else "none"


def _role(item: dict[str, JSON]) -> str:
    role = text(item, "role")
    if role == "user":
        return "context" if typed(item) is None else "user"
    return "assistant" if role == "assistant" else "system"


def typed(item: dict[str, JSON]) -> str | None:
    """The words of a prompt that a person typed; `None` for any other item."""
    if item.get("role") != "user" or item.get("type", "message") != "message":
        return None
    texts = _texts(item.get("content"))
    own = [each for each in texts if not _WRAPPED.match(each)]
    if texts and not own:
        return None
    words = "\n".join(own)
    asked = _REQUEST.search(words)
    return words[asked.end() :] if asked else words


def _texts(content: JSON) -> list[str]:
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else []
    texts = (text(block, "text") for block in blocks if isinstance(block, dict))
    return [each for each in texts if each]


def _words(content: JSON) -> str:
    return "\n".join(_texts(content))


def folder_told(item: dict[str, JSON]) -> str | None:
    """The working folder that the program told the model in an item."""
    if item.get("role") != "user":
        return None
    found = _FOLDER.search(_words(item.get("content")))
    return (found[1] or found[2]).strip() if found else None


# --- tokens ------------------------------------------------------------------------------


def counts(value: JSON) -> dict[str, int]:
    """The token counts of one of Codex's usage objects."""
    if not isinstance(value, dict):
        return {}
    return {
        key: count
        for key, count in value.items()
        if isinstance(key, str) and type(count) is int and count >= 0
    }


def usage_of(
    found: dict[str, int], key: str | None, model: str | None, provider: str | None
) -> Usage:
    """Codex's `input_tokens` include what the cache gave; the ledger's do not."""
    read = found.get("cached_input_tokens", 0)
    written = found.get("cache_write_input_tokens", 0)
    return Usage(
        key=key,
        model=model,
        provider=provider,
        input=max(found.get("input_tokens", 0) - read - written, 0),
        output=found.get("output_tokens", 0),
        cache_read=read,
        cache_write=written,
        reasoning=found.get("reasoning_output_tokens", 0),
    )


# --- reading a stored record -------------------------------------------------------------


def decode(record: JSON) -> Message:
    """What a record says as a message. Never fails: what cannot be placed is `Unknown`.

    Item ids are left out: they name items, and no two items are pieces of one message.
    """
    if not isinstance(record, dict):
        return Message("system", (Unknown(type(record).__name__, record),), meta=True)
    kind, payload = unwrap(record)
    return msgspec.structs.replace(
        _said(kind, payload, record),
        id=None,
        time_ms=time_ms(record.get("timestamp")) or 0,
        format=openai_responses.NAME,
    )


def _said(kind: str | None, payload: dict[str, JSON], record: dict[str, JSON]) -> Message:
    if kind == "compacted":
        return Message("user", (Text(summary(payload)),), summary=True)
    if kind == "inter_agent_communication":
        return _heard(payload)
    if kind == "response_item":
        try:
            return _item(payload)
        except Invalid:
            pass
    return Message("system", (Unknown(kind or "record", record),), meta=True)


def _item(item: dict[str, JSON]) -> Message:
    kind = text(item, "type")
    if kind == "agent_message":
        return _heard(item)
    if kind is None or kind == "message":
        message = openai_responses.decode(item)
        return msgspec.structs.replace(message, meta=_role(item) in ("context", "system"))
    if kind in _OUTPUTS:
        return Message("tool", (_result(item),))
    if kind == "tool_search_call" and text(item, "call_id"):
        call = ToolCall(item["call_id"], "tool_search", base.compact(item.get("arguments") or {}))
        return Message("assistant", (call,))
    if kind == "function_call" and text(item, "namespace") and text(item, "name"):
        item = item | {"name": f"{item['namespace'].rstrip('_')}__{item['name']}"}
    if kind == "local_shell_call" and not text(item, "call_id"):
        item = item | {"call_id": item.get("id")}
    if item.get("arguments", "") is None:
        item = item | {"arguments": "{}"}
    return openai_responses.decode(item)


def _result(item: dict[str, JSON]) -> ToolResult:
    """What a tool gave back: words, a list of content, or one of them in an object."""
    output = item.get("tools") if item["type"] == "tool_search_output" else item.get("output")
    failed = isinstance(output, dict) and output.get("success") is False
    if isinstance(output, dict):
        inner = (output.get(key) for key in ("body", "content", "text"))
        output = next((each for each in inner if isinstance(each, str | list)), output)
    elif item["type"] == "tool_search_output":
        output = base.compact(output)
    as_output = {
        "type": "function_call_output",
        "call_id": item.get("call_id") or item.get("id"),
        "output": output,
    }
    part = openai_responses.decode(as_output).parts[0]
    if not isinstance(part, ToolResult):
        raise Invalid("this is no result of a tool")
    return msgspec.structs.replace(part, is_error=failed)


def _heard(payload: dict[str, JSON]) -> Message:
    """What another agent said to this one."""
    words = _words(payload.get("content"))
    part: Part = Text(words) if words else Unknown(text(payload, "type") or "message", payload)
    return Message("user", (part,), meta=True)


def summary(payload: dict[str, JSON]) -> str:
    """What a compaction puts in place of everything before it, as words: the prompts that it
    keeps, then its summary. What the program injects, and pictures, stay in the record. Nothing
    where it puts nothing there: what follows stands for itself.
    """
    told = (text(payload, "message") or "").strip()
    kept: list[str] = []
    sealed = False
    for item in base.as_list(payload.get("replacement_history")):
        if not isinstance(item, dict):
            continue
        sealed = sealed or text(item, "encrypted_content") is not None
        words = (typed(item) or "").strip()
        if item.get("role") == "assistant":
            words = _words(item.get("content")).strip()
        if words:
            kept.append(words)
    if told and kept and kept[-1].endswith(told):
        kept.pop()
    emptied = payload.get("replacement_history") == []
    last = told or (SEALED if sealed or not (kept or emptied) else "")
    return "\n\n".join([*kept, last] if last else kept)
