"""What Anthropic's Messages API demands of `system` and `messages`."""

from __future__ import annotations

from collections import Counter as Tally
from itertools import pairwise
from typing import TYPE_CHECKING

from clew.rules.base import Findings, blank, blocks, fits, ids, objects, of_type, plain, rule, turns

if TYPE_CHECKING:
    from clew.model import JSON

_MESSAGES = "https://docs.anthropic.com/en/api/messages"
_TOOLS = "https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use"
_THINKING = "https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking"
_VISION = "https://docs.anthropic.com/en/docs/build-with-claude/vision"
_SEARCH = "https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/web-search-tool"


@rule("anthropic/roles", "Turns are the user's or the assistant's.", _MESSAGES)
def _anthropic_roles(request: JSON) -> Findings:
    for path, turn in turns(request):
        if turn.get("role") not in ("user", "assistant"):
            yield path, f"role {turn.get('role')!r}"


@rule("anthropic/user-first", "The first turn is the user's.", _MESSAGES)
def _anthropic_user_first(request: JSON) -> Findings:
    for path, turn in turns(request)[:1]:
        if turn.get("role") != "user":
            yield path, f"begins with {turn.get('role')!r}"


@rule("anthropic/alternate", "User and assistant turns alternate.", _MESSAGES)
def _anthropic_alternate(request: JSON) -> Findings:
    all_turns = turns(request)
    for (_, before), (path, turn) in pairwise(all_turns):
        if before.get("role") == turn.get("role"):
            yield path, f"a second {turn.get('role')!r} turn in a row"


@rule("anthropic/content", "Every turn has content.", _MESSAGES)
def _anthropic_content(request: JSON) -> Findings:
    for path, turn in turns(request):
        if not turn.get("content") or not isinstance(turn["content"], str | list):
            yield f"{path}.content", "is empty"


@rule("anthropic/text", "Text blocks hold more than white space.", _MESSAGES)
def _anthropic_text(request: JSON) -> Findings:
    for path, block in of_type(blocks(request), "text"):
        if blank(block.get("text")):
            yield f"{path}.text", "is blank"
    for path, turn in turns(request):
        if isinstance(turn.get("content"), str) and blank(turn["content"]):
            yield f"{path}.content", "is blank"


@rule("anthropic/system", "The system prompt is words.", _MESSAGES)
def _anthropic_system(request: JSON) -> Findings:
    system = request.get("system", "-")
    texts = [b.get("text") for _, b in objects(system, "")] if isinstance(system, list) else None
    if any(map(blank, [system] if texts is None else texts)):
        yield "system", "is blank or no text"


_ANTHROPIC_BLOCKS = {
    "user": {"text", "image", "document", "tool_result", "search_result", "container_upload"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"},
}


@rule("anthropic/block-types", "Each role has its own types of blocks.", _MESSAGES)
def _anthropic_block_types(request: JSON) -> Findings:
    for role, known in _ANTHROPIC_BLOCKS.items():
        for path, block in blocks(request, role):
            kind = plain(block.get("type"))
            served = role == "assistant" and str(kind).endswith("_tool_result")
            if kind not in known and not served:
                yield path, f"a {kind!r} block in a turn of role {role!r}"


@rule("anthropic/call-id", "The id of a tool use is ^[a-zA-Z0-9_-]+$.", _TOOLS)
def _anthropic_call_id(request: JSON) -> Findings:
    for path, block in of_type(blocks(request), "tool_use"):
        if not fits(block.get("id"), r"[a-zA-Z0-9_-]+"):
            yield f"{path}.id", f"{block.get('id')!r}"


@rule("anthropic/unique-ids", "The ids of tool uses are unique.", _TOOLS)
def _anthropic_unique_ids(request: JSON) -> Findings:
    tally = Tally(str(b.get("id")) for _, b in of_type(blocks(request), "tool_use"))
    for call, times in tally.items():
        if times > 1:
            yield "messages", f"id {call!r} is used {times} times"


@rule("anthropic/call-name", "A tool's name is ^[a-zA-Z0-9_-]{1,128}$.", _TOOLS)
def _anthropic_call_name(request: JSON) -> Findings:
    for path, block in of_type(blocks(request), "tool_use"):
        if not fits(block.get("name"), r"[a-zA-Z0-9_-]{1,128}"):
            yield f"{path}.name", f"{block.get('name')!r}"


@rule("anthropic/call-input", "The input of a tool use is an object.", _TOOLS)
def _anthropic_call_input(request: JSON) -> Findings:
    for path, block in of_type(blocks(request), "tool_use"):
        if not isinstance(block.get("input"), dict):
            yield f"{path}.input", "is no object"


@rule("anthropic/answered", "The next turn answers every tool use.", _TOOLS)
def _anthropic_answered(request: JSON) -> Findings:
    all_turns = turns(request)
    for index, (path, turn) in enumerate(all_turns):
        following = all_turns[index + 1][1] if index + 1 < len(all_turns) else {}
        answers = ids(following, "tool_result", "tool_use_id")
        for call in ids(turn, "tool_use", "id"):
            if call not in answers:
                yield path, f"tool use {call!r} has no result in the next turn"


@rule("anthropic/result-has-call", "A result answers a tool use of the turn before.", _TOOLS)
def _anthropic_result_has_call(request: JSON) -> Findings:
    before: JSON = {}
    for path, turn in turns(request):
        calls = ids(before, "tool_use", "id")
        for call in ids(turn, "tool_result", "tool_use_id"):
            if call not in calls:
                yield path, f"result for {call!r}, which the turn before did not call"
        before = turn


@rule("anthropic/one-result", "A tool use has one result.", _TOOLS)
def _anthropic_one_result(request: JSON) -> Findings:
    for path, turn in turns(request):
        tally = Tally(map(str, ids(turn, "tool_result", "tool_use_id")))
        for call, times in tally.items():
            if times > 1:
                yield path, f"{times} results for {call!r}"


@rule("anthropic/results-first", "Results come before anything else in their turn.", _TOOLS)
def _anthropic_results_first(request: JSON) -> Findings:
    for path, turn in turns(request):
        other = False
        for place, block in objects(turn.get("content"), f"{path}.content"):
            if block.get("type") != "tool_result":
                other = True
            elif other:
                yield place, "a result behind other content"


@rule("anthropic/error-text", "The result of a failed tool holds text only.", _TOOLS)
def _anthropic_error_text(request: JSON) -> Findings:
    for path, block in of_type(blocks(request), "tool_result"):
        inside = objects(block.get("content"), f"{path}.content")
        if block.get("is_error") and any(b.get("type") != "text" for _, b in inside):
            yield path, "an error with other content than text"


@rule("anthropic/result-content", "A result holds text, images or documents.", _TOOLS)
def _anthropic_result_content(request: JSON) -> Findings:
    known = {"text", "image", "document", "search_result", "tool_reference"}
    for path, block in of_type(blocks(request), "tool_result"):
        for place, inside in objects(block.get("content"), f"{path}.content"):
            if plain(inside.get("type")) not in known:
                yield place, f"a {inside.get('type')!r} block in a result"
            elif inside["type"] == "text" and blank(inside.get("text")):
                yield place, "is blank"


@rule("anthropic/signature", "Thinking goes back with its signature.", _THINKING)
def _anthropic_signature(request: JSON) -> Findings:
    keys = {"thinking": "signature", "redacted_thinking": "data"}
    for path, block in of_type(blocks(request), *keys):
        if not block.get(keys[str(block["type"])]):
            yield path, f"has no {keys[str(block['type'])]}"


@rule("anthropic/thinking-not-last", "A turn does not end in thinking.", _THINKING)
def _anthropic_thinking_not_last(request: JSON) -> Findings:
    for path, turn in turns(request):
        blocks = list(objects(turn.get("content"), f"{path}.content"))
        if blocks and blocks[-1][1].get("type") in ("thinking", "redacted_thinking"):
            yield blocks[-1][0], "the final block is thinking"


@rule("anthropic/prefill", "A final assistant turn does not end in white space.", _MESSAGES)
def _anthropic_prefill(request: JSON) -> Findings:
    for path, turn in turns(request)[-1:]:
        content = turn.get("content")
        blocks = list(objects(content, ""))
        last = blocks[-1][1].get("text") if blocks else content
        if turn.get("role") == "assistant" and isinstance(last, str) and last != last.rstrip():
            yield path, "trailing white space"


@rule("anthropic/image-type", "Inline images are JPEG, PNG, GIF or WebP.", _VISION)
def _anthropic_image_type(request: JSON) -> Findings:
    allowed = {"image/jpeg", "image/png", "image/gif", "image/webp"}
    for path, block in of_type(blocks(request), "image"):
        source = block.get("source")
        if not isinstance(source, dict) or source.get("type") not in ("base64", "url", "file"):
            yield f"{path}.source", "is no image source"
        elif source["type"] == "base64" and plain(source.get("media_type")) not in allowed:
            yield f"{path}.source.media_type", f"{source.get('media_type')!r}"


@rule("anthropic/server-tools", "A server tool use stands with its result.", _SEARCH)
def _anthropic_server_tools(request: JSON) -> Findings:
    for path, turn in turns(request):
        if turn.get("role") != "assistant":
            continue
        blocks = [block for _, block in objects(turn.get("content"), "")]
        uses = {plain(b.get("id")) for b in blocks if b.get("type") == "server_tool_use"}
        results = {
            plain(b.get("tool_use_id"))
            for b in blocks
            if str(b.get("type")).endswith("_tool_result")
        }
        for use in uses ^ results:
            yield path, f"server tool use {use!r} and its result are not both here"
