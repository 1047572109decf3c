"""What OpenAI's Chat Completions API demands of `messages`."""

from __future__ import annotations

from collections import Counter as Tally
from typing import TYPE_CHECKING

from clew.rules.base import Findings, fits, objects, plain, rule, turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clew.model import JSON

_CHAT = "https://platform.openai.com/docs/api-reference/chat/create"
_CALLING = "https://platform.openai.com/docs/guides/function-calling"


def _chat_calls(message: JSON, path: str = "") -> Iterator[tuple[str, dict[str, JSON]]]:
    return objects(message.get("tool_calls"), f"{path}.tool_calls")


@rule("openai-chat/roles", "A message is of one of five roles.", _CHAT)
def _chat_roles(request: JSON) -> Findings:
    for path, message in turns(request):
        if message.get("role") not in ("system", "developer", "user", "assistant", "tool"):
            yield path, f"role {message.get('role')!r}"


@rule("openai-chat/content", "A message has content, unless it calls tools.", _CHAT)
def _chat_content(request: JSON) -> Findings:
    for path, message in turns(request):
        content = message.get("content")
        if message.get("role") == "assistant":
            if content is None and not message.get("tool_calls") and not message.get("refusal"):
                yield path, "neither content nor tool calls"
        elif not isinstance(content, str) and not (isinstance(content, list) and content):
            yield f"{path}.content", "is missing or empty"


_CHAT_PARTS: dict[str, set[str]] = {
    "user": {"text", "image_url", "input_audio", "file"},
    "assistant": {"text", "refusal"},
    "tool": {"text"},
    "system": {"text"},
    "developer": {"text"},
}


@rule("openai-chat/part-types", "Each role has its own types of parts.", _CHAT)
def _chat_part_types(request: JSON) -> Findings:
    for path, message in turns(request):
        known = _CHAT_PARTS.get(plain(message.get("role")), set())
        for place, part in objects(message.get("content"), f"{path}.content"):
            if plain(part.get("type")) not in known:
                yield place, f"a {part.get('type')!r} part in a {message.get('role')!r} message"


@rule("openai-chat/answered", "Tool messages for every call follow at once.", _CALLING)
def _chat_answered(request: JSON) -> Findings:
    all_turns = turns(request)
    for index, (path, message) in enumerate(all_turns):
        answers = []
        for _, following in all_turns[index + 1 :]:
            if following.get("role") != "tool":
                break
            answers.append(following.get("tool_call_id"))
        for _, call in _chat_calls(message):
            if call.get("id") not in answers:
                yield path, f"no tool message for call {call.get('id')!r} follows"


@rule("openai-chat/result-has-call", "A tool message follows the call it answers.", _CALLING)
def _chat_result_has_call(request: JSON) -> Findings:
    calls: set[str] = set()
    for path, message in turns(request):
        if message.get("role") != "tool":
            calls = {plain(call.get("id")) for _, call in _chat_calls(message)}
        elif plain(message.get("tool_call_id")) not in calls:
            yield path, f"answers {message.get('tool_call_id')!r}, which was not just called"


@rule("openai-chat/one-result", "A call has one result.", _CALLING)
def _chat_one_result(request: JSON) -> Findings:
    seen: set[str] = set()
    for path, message in turns(request):
        if message.get("role") != "tool":
            seen = set()
        elif plain(message.get("tool_call_id")) in seen:
            yield path, f"a second result for {message.get('tool_call_id')!r}"
        else:
            seen.add(plain(message.get("tool_call_id")))


@rule("openai-chat/call-id", "The id of a call has 1 to 40 characters.", _CHAT)
def _chat_call_id(request: JSON) -> Findings:
    for path, message in turns(request):
        for place, call in _chat_calls(message, path):
            if not fits(call.get("id"), r"(?s).{1,40}"):
                yield f"{place}.id", f"{call.get('id')!r}"


@rule("openai-chat/unique-ids", "The ids of one message's calls are unique.", _CHAT)
def _chat_unique_ids(request: JSON) -> Findings:
    for path, message in turns(request):
        tally = Tally(str(call.get("id")) for _, call in _chat_calls(message))
        for call_id, times in tally.items():
            if times > 1:
                yield path, f"id {call_id!r} is used {times} times"


@rule("openai-chat/call-name", "A function's name is ^[a-zA-Z0-9_-]{1,64}$.", _CHAT)
def _chat_call_name(request: JSON) -> Findings:
    for path, message in turns(request):
        for place, call in _chat_calls(message, path):
            inner = call.get("custom" if call.get("type") == "custom" else "function")
            name = inner.get("name") if isinstance(inner, dict) else None
            if not fits(name, r"[a-zA-Z0-9_-]{1,64}"):
                yield place, f"name {name!r}"


@rule("openai-chat/arguments", "Arguments, or a custom tool's input, are a string.", _CHAT)
def _chat_arguments(request: JSON) -> Findings:
    for path, message in turns(request):
        for place, call in _chat_calls(message, path):
            custom = call.get("type") == "custom"
            inner = call.get("custom" if custom else "function")
            value = inner.get("input" if custom else "arguments") if isinstance(inner, dict) else 0
            if not isinstance(value, str):
                yield place, "arguments are no string"


@rule("openai-chat/calls", "A list of tool calls is not empty and is the assistant's.", _CHAT)
def _chat_calls_present(request: JSON) -> Findings:
    for path, message in turns(request):
        if "tool_calls" in message:
            if message.get("role") != "assistant":
                yield path, f"tool calls in a {message.get('role')!r} message"
            if not message["tool_calls"]:
                yield path, "an empty list of tool calls"
