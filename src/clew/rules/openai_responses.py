"""What OpenAI's Responses API demands of `input`."""

from __future__ import annotations

from collections import Counter as Tally
from typing import TYPE_CHECKING

from clew.rules.base import Findings, fits, objects, plain, rule

if TYPE_CHECKING:
    from clew.model import JSON

_CALLING = "https://platform.openai.com/docs/guides/function-calling"
_RESPONSES = "https://platform.openai.com/docs/api-reference/responses/create"
_REASONING = "https://platform.openai.com/docs/guides/reasoning"


_CALL_TYPES = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "local_shell_call": "local_shell_call_output",
    "computer_call": "computer_call_output",
}
_ITEM_TYPES = {
    *_CALL_TYPES,
    *_CALL_TYPES.values(),
    *("message", "reasoning", "web_search_call", "compaction", "item_reference"),
    *("file_search_call", "code_interpreter_call", "image_generation_call"),
    *("mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
}


def _items(request: JSON) -> list[tuple[str, dict[str, JSON]]]:
    return list(objects(request.get("input"), "input"))


def _kind(item: dict[str, JSON]) -> str:
    return plain(item.get("type", "message" if "role" in item else ""))


@rule("openai-responses/item-types", "Every item is of a known type.", _RESPONSES)
def _responses_item_types(request: JSON) -> Findings:
    for path, item in _items(request):
        if _kind(item) not in _ITEM_TYPES:
            yield path, f"type {_kind(item)!r}"


@rule("openai-responses/roles", "A message is the user's, assistant's or system's.", _RESPONSES)
def _responses_roles(request: JSON) -> Findings:
    for path, item in _items(request):
        known = ("user", "assistant", "system", "developer")
        if _kind(item) == "message" and item.get("role") not in known:
            yield path, f"role {item.get('role')!r}"


@rule("openai-responses/content", "A message has content of its role's types.", _RESPONSES)
def _responses_content(request: JSON) -> Findings:
    for path, item in _items(request):
        if _kind(item) != "message":
            continue
        if not item.get("content"):
            yield f"{path}.content", "is missing or empty"
        assistant = item.get("role") == "assistant"
        known = {"output_text", "refusal"} if assistant else {"input_text", "input_image",
                                                              "input_file"}  # fmt: skip
        for place, part in objects(item.get("content"), f"{path}.content"):
            if plain(part.get("type")) not in known:
                yield place, f"a {part.get('type')!r} part in a {item.get('role')!r} message"


@rule("openai-responses/call-id", "A call id has 1 to 64 characters.", _RESPONSES)
def _responses_call_id(request: JSON) -> Findings:
    for path, item in _items(request):
        if _kind(item) in _CALL_TYPES and not fits(item.get("call_id"), r"(?s).{1,64}"):
            yield f"{path}.call_id", f"{item.get('call_id')!r}"


@rule("openai-responses/unique-ids", "The call ids of calls are unique.", _CALLING)
def _responses_unique_ids(request: JSON) -> Findings:
    tally = Tally(str(i.get("call_id")) for _, i in _items(request) if _kind(i) in _CALL_TYPES)
    for call, times in tally.items():
        if times > 1:
            yield "input", f"call id {call!r} is used {times} times"


@rule("openai-responses/answered", "Every call has an output behind it.", _CALLING)
def _responses_answered(request: JSON) -> Findings:
    answers: set[tuple[str, str]] = set()
    for path, item in reversed(_items(request)):
        kind = _kind(item)
        if kind in _CALL_TYPES.values():
            answers.add((kind, plain(item.get("call_id"))))
        elif kind in _CALL_TYPES and (_CALL_TYPES[kind], plain(item.get("call_id"))) not in answers:
            yield path, f"no output of its type for call {item.get('call_id')!r}"


@rule("openai-responses/result-has-call", "An output stands behind its call.", _CALLING)
def _responses_result_has_call(request: JSON) -> Findings:
    called: set[tuple[str, str]] = set()
    for path, item in _items(request):
        kind = _kind(item)
        if kind in _CALL_TYPES:
            called.add((_CALL_TYPES[kind], plain(item.get("call_id"))))
        elif kind in _CALL_TYPES.values() and (kind, plain(item.get("call_id"))) not in called:
            yield path, f"output for {item.get('call_id')!r}, which nothing called before"


@rule("openai-responses/one-result", "A call has one output.", _CALLING)
def _responses_one_result(request: JSON) -> Findings:
    outputs = [i for _, i in _items(request) if _kind(i) in _CALL_TYPES.values()]
    for call, times in Tally(str(item.get("call_id")) for item in outputs).items():
        if times > 1:
            yield "input", f"{times} outputs for {call!r}"


@rule("openai-responses/call-name", "A tool's name is ^[a-zA-Z0-9_-]{1,128}$.", _RESPONSES)
def _responses_call_name(request: JSON) -> Findings:
    for path, item in _items(request):
        named = _kind(item) in ("function_call", "custom_tool_call")
        if named and not fits(item.get("name"), r"[a-zA-Z0-9_-]{1,128}"):
            yield f"{path}.name", f"{item.get('name')!r}"


@rule("openai-responses/arguments", "Arguments, or a custom input, are a string.", _RESPONSES)
def _responses_arguments(request: JSON) -> Findings:
    keys = {"function_call": "arguments", "custom_tool_call": "input"}
    for path, item in _items(request):
        key = keys.get(_kind(item))
        if key is not None and not isinstance(item.get(key), str):
            yield f"{path}.{key}", "is no string"


@rule("openai-responses/output", "An output is a string or a list of input parts.", _RESPONSES)
def _responses_output(request: JSON) -> Findings:
    known = {"input_text", "input_image", "input_file"}
    for path, item in _items(request):
        if _kind(item) not in ("function_call_output", "custom_tool_call_output"):
            continue
        output = item.get("output")
        if not isinstance(output, str | list):
            yield f"{path}.output", "is neither"
        for place, part in objects(output, f"{path}.output"):
            if plain(part.get("type")) not in known:
                yield place, f"a {part.get('type')!r} part"


@rule("openai-responses/reasoning", "Reasoning is followed by what it produced.", _REASONING)
def _responses_reasoning(request: JSON) -> Findings:
    items = _items(request)
    for index, (path, item) in enumerate(items):
        if _kind(item) != "reasoning":
            continue
        following = items[index + 1][1] if index + 1 < len(items) else {}
        spoken = _kind(following) == "message" and following.get("role") == "assistant"
        produced = _kind(following) == "reasoning" or _kind(following).endswith("_call")
        if not spoken and not produced:
            yield path, f"followed by {_kind(following) or 'nothing'!r}"


@rule("openai-responses/stateless", "Reasoning sent back holds its content.", _REASONING)
def _responses_stateless(request: JSON) -> Findings:
    for path, item in _items(request):
        if _kind(item) == "reasoning":
            if not item.get("id") and not item.get("encrypted_content"):
                yield path, "neither an id nor encrypted content"
            if not isinstance(item.get("summary"), list):
                yield f"{path}.summary", "is no list"
