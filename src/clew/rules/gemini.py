"""What the Gemini API demands of `contents` and `systemInstruction`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clew.rules.base import Findings, blank, fits, objects, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clew.model import JSON

_CONTENTS = "https://ai.google.dev/api/caching#Content"
_GEMINI_CALLS = "https://ai.google.dev/gemini-api/docs/function-calling"
_SIGNATURES = "https://ai.google.dev/gemini-api/docs/thought-signatures"


_DATA_KEYS = (
    *("text", "inlineData", "fileData", "functionCall", "functionResponse"),
    *("executableCode", "codeExecutionResult"),
)


def _contents(request: JSON) -> list[tuple[str, dict[str, JSON]]]:
    return list(objects(request.get("contents"), "contents"))


def _parts(request: JSON) -> Iterator[tuple[str, dict[str, JSON], dict[str, JSON]]]:
    for path, content in _contents(request):
        for place, part in objects(content.get("parts"), f"{path}.parts"):
            yield place, part, content


def _held(content: JSON, key: str) -> list[dict[str, JSON]]:
    found = (part.get(key) for _, part in objects(content.get("parts"), ""))
    return [value for value in found if isinstance(value, dict)]


@rule("gemini/roles", "Contents are the user's or the model's.", _CONTENTS)
def _gemini_roles(request: JSON) -> Findings:
    for path, content in _contents(request):
        if content.get("role") not in ("user", "model"):
            yield path, f"role {content.get('role')!r}"


@rule("gemini/user-first", "The first content is the user's.", _GEMINI_CALLS)
def _gemini_user_first(request: JSON) -> Findings:
    for path, content in _contents(request)[:1]:
        if content.get("role") != "user":
            yield path, f"begins with {content.get('role')!r}"


@rule("gemini/parts", "Every content has parts.", _CONTENTS)
def _gemini_parts(request: JSON) -> Findings:
    for path, content in _contents(request):
        if not isinstance(content.get("parts"), list) or not content["parts"]:
            yield f"{path}.parts", "is missing or empty"


@rule("gemini/one-datum", "Every part holds exactly one datum.", _CONTENTS)
def _gemini_one_datum(request: JSON) -> Findings:
    for path, part, _ in _parts(request):
        held = [key for key in _DATA_KEYS if key in part]
        if len(held) != 1:
            yield path, f"holds {', '.join(held) or 'nothing'}"
        elif held == ["text"] and not part["text"] and not part.get("thoughtSignature"):
            yield path, "an empty text"


@rule("gemini/sides", "The model calls functions, the user's side answers.", _GEMINI_CALLS)
def _gemini_sides(request: JSON) -> Findings:
    for path, part, content in _parts(request):
        if "functionCall" in part and content.get("role") != "model":
            yield path, "a function call that is not the model's"
        if "functionResponse" in part and content.get("role") != "user":
            yield path, "a function response that is the model's"


@rule("gemini/call-after-user", "A call comes right behind a user's content.", _GEMINI_CALLS)
def _gemini_call_after_user(request: JSON) -> Findings:
    before: JSON = {}
    for path, content in _contents(request):
        if _held(content, "functionCall") and before.get("role") != "user":
            yield path, "function calls that do not follow a user's content"
        before = content


@rule("gemini/answered", "Responses match the calls before in number and order.", _GEMINI_CALLS)
def _gemini_answered(request: JSON) -> Findings:
    contents = _contents(request)
    calls: list[JSON] = []
    for path, content in [*contents, ("contents", {})]:
        answers = [answer.get("name") for answer in _held(content, "functionResponse")]
        if answers != calls:
            yield path, f"calls {calls!r} are answered by {answers!r}"
        calls = [call.get("name") for call in _held(content, "functionCall")]


@rule("gemini/ids", "A response has the id of its call.", _GEMINI_CALLS)
def _gemini_ids(request: JSON) -> Findings:
    calls: list[JSON] = []
    for path, content in _contents(request):
        answers = [answer.get("id") for answer in _held(content, "functionResponse")]
        if answers and answers != calls:
            yield path, f"ids {calls!r} are answered by {answers!r}"
        calls = [call.get("id") for call in _held(content, "functionCall")]


@rule("gemini/name", "A function's name is a letter or _ and at most 63 more.", _GEMINI_CALLS)
def _gemini_name(request: JSON) -> Findings:
    for path, part, _ in _parts(request):
        for key in ("functionCall", "functionResponse"):
            inner = part.get(key)
            if key in part and not (
                isinstance(inner, dict)
                and fits(inner.get("name"), r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
            ):
                yield f"{path}.{key}", "has no valid name"


@rule("gemini/objects", "Arguments and responses are objects.", _GEMINI_CALLS)
def _gemini_objects(request: JSON) -> Findings:
    for path, part, _ in _parts(request):
        call, answer = part.get("functionCall"), part.get("functionResponse")
        if isinstance(call, dict) and not isinstance(call.get("args", {}), dict):
            yield f"{path}.functionCall.args", "is no object"
        if isinstance(answer, dict) and not isinstance(answer.get("response"), dict):
            yield f"{path}.functionResponse.response", "is no object"


@rule("gemini/signature", "The first call of a step carries a signature.", _SIGNATURES)
def _gemini_signature(request: JSON) -> Findings:
    contents = _contents(request)
    typed = [i for i, (_, c) in enumerate(contents)
             if c.get("role") == "user" and not _held(c, "functionResponse")]  # fmt: skip
    for path, content in contents[typed[-1] if typed else 0 :]:
        calls = [part for _, part in objects(content.get("parts"), "") if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            yield path, "the first function call of the current turn has no thoughtSignature"


@rule("gemini/media", "Inline data has a type and bytes, file data an address.", _CONTENTS)
def _gemini_media(request: JSON) -> Findings:
    for path, part, _ in _parts(request):
        blob, file = part.get("inlineData"), part.get("fileData")
        if isinstance(blob, dict) and not (blob.get("mimeType") and blob.get("data")):
            yield f"{path}.inlineData", "lacks mimeType or data"
        if isinstance(file, dict) and not file.get("fileUri"):
            yield f"{path}.fileData", "lacks fileUri"


@rule("gemini/system", "The system instruction is text.", _CONTENTS)
def _gemini_system(request: JSON) -> Findings:
    system = request.get("systemInstruction", {"parts": [{"text": "-"}]})
    parts = list(objects(system.get("parts") if isinstance(system, dict) else None, ""))
    if not parts or any(blank(part.get("text")) for _, part in parts):
        yield "systemInstruction", "is blank or no text"
