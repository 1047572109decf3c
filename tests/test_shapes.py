"""The wire formats: recognised, read without loss, written as each provider wants them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew import shapes
from clew.errors import Invalid
from clew.model import (
    File,
    Image,
    Message,
    Part,
    Position,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)
from clew.shapes import ids, native

PNG = "iVBORw0KGgo="


def text(words: str = "x", kind: str = "text") -> dict[str, Any]:
    return {"type": kind, "text": words}


def chat_call(arguments: Any = "{}") -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}


def parts(form: str, data: Any) -> tuple[Part, ...]:
    return shapes.decode(form, data).parts


# --- recognising -------------------------------------------------------------------------

KNOWN: list[tuple[str, dict[str, Any]]] = [
    ("openai-chat", {"role": "user", "content": "Hello"}),
    ("openai-chat", {"role": "developer", "content": "Be brief."}),
    ("openai-chat", {"role": "system", "content": [text()]}),
    ("openai-chat", {"role": "assistant", "content": None, "tool_calls": [chat_call()]}),
    ("openai-chat", {"role": "tool", "tool_call_id": "c1", "content": "ok"}),
    ("openai-chat", {"role": "function", "name": "f", "content": "ok"}),
    ("openai-chat", {"role": "user", "content": [text(), {"type": "image_url"}]}),
    ("anthropic", {"role": "user", "content": [text()]}),
    ("anthropic", {"role": "user", "content": [text(), {"type": "tool_result"}]}),
    ("anthropic", {"role": "assistant", "content": [{"type": "thinking", "thinking": ""}]}),
    (
        "anthropic",
        {"type": "message", "role": "assistant", "content": [text()], "stop_reason": None},
    ),
    (
        "anthropic",
        {"type": "message", "role": "assistant", "model": "m", "content": [text()], "usage": {}},
    ),
    ("openai-responses", {"role": "user", "content": [text(kind="input_text")]}),
    ("openai-responses", {"type": "message", "role": "user", "content": "Hello"}),
    ("openai-responses", {"type": "message", "role": "assistant", "content": [text()]}),
    (
        "openai-responses",
        {"type": "message", "role": "assistant", "content": [text(kind="output_text")]},
    ),
    ("openai-responses", {"type": "function_call", "call_id": "c", "name": "f"}),
    ("openai-responses", {"type": "function_call_output", "call_id": "c", "output": "ok"}),
    ("openai-responses", {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"}),
    ("openai-responses", {"type": "reasoning", "summary": []}),
    ("openai-responses", {"type": "web_search_call", "status": "completed"}),
    ("gemini", {"role": "model", "parts": [{"text": "x"}]}),
    ("gemini", {"parts": [{"text": "x"}]}),
    ("clew", {"clew": 1, "role": "tool", "parts": []}),
    ("clew", {"role": "tool", "parts": [{"type": "text", "text": "x"}]}),
]


@pytest.mark.parametrize(("name", "data"), KNOWN)
def test_sniff_names_the_format_and_decode_reads_it(name: str, data: dict[str, Any]) -> None:
    assert shapes.sniff(data) == name
    assert shapes.decode(name, data).format in (name, None)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ("Hello", "is a str: give role and content"),
        ([{"role": "user"}], "one by one"),
        ({}, "no 'role'"),
        ({"text": "x"}, "keys: 'text'"),
        ({"type": "odd"}, "unknown type 'odd'"),
        ({"role": "human", "content": "x"}, "unknown role 'human'"),
        ({"role": "model", "content": "x"}, "with 'parts'"),
        ({"role": ["user"], "content": "x"}, "unknown role"),
        ({"role": "user"}, "no 'content'"),
        ({"role": "user", "content": 5}, "'content' is a int"),
        ({"role": "user", "content": [{"text": "x"}]}, r"content\[0\] has no 'type'"),
        ({"role": "tool", "content": "ok"}, "tool_call_id"),
        ({"role": "robot", "parts": []}, "Gemini has 'user' and 'model'"),
        ({"role": "user", "parts": "x"}, "no list"),
        ({"type": "message", "role": "robot", "content": "x"}, "unknown role 'robot'"),
        ({"type": "message", "role": "user"}, "no 'content'"),
        ({"choices": []}, r"choices\[0\].message"),
        ({"candidates": []}, r"candidates\[0\].content"),
        ({"object": "response", "output": []}, "each item of its 'output'"),
        ({"type": "user", "message": {}}, "stands under 'message'"),
    ],
)
def test_sniff_says_what_is_wrong_and_how_to_mend_it(data: Any, hint: str) -> None:
    with pytest.raises(Invalid, match=hint):
        shapes.sniff(data)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("type", "role", "content", "parts", "text", "id", "name", "input", "source"),
                    *("tool_calls", "function", "arguments", "functionCall", "functionResponse"),
                    *("response", "call_id", "output", "usage", "data", "thoughtSignature", "clew"),
                    *("inlineData", "summary", "tool_use_id", "image_url", "url", "custom", "args"),
                ]
            ),
            inner
            | st.sampled_from(
                [
                    *(
                        "text",
                        "tool_use",
                        "tool_result",
                        "thinking",
                        "image",
                        "document",
                        "message",
                    ),
                    *("function_call", "function_call_output", "reasoning", "user", "assistant"),
                    *("tool", "model", "input_file", "image_url", "file", "base64", "custom"),
                ]
            ),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(data=JSON_VALUES, form=st.sampled_from(sorted(shapes.SHAPES)))
def test_decode_gives_a_message_or_says_why_not(data: Any, form: str) -> None:
    try:
        form = shapes.sniff(data)
    except Invalid as error:
        assert str(error)  # noqa: PT017 - any input may or may not be a message
    try:
        message = shapes.decode(form, data)
    except Invalid as error:
        assert str(error)  # noqa: PT017
        return
    assert message.role in ("system", "user", "assistant", "tool")
    for shape in shapes.SHAPES.values():
        assert isinstance(shape.encode([message]), dict)


def test_an_unknown_format_and_a_taken_name_are_refused() -> None:
    with pytest.raises(Invalid, match="anthropic"):
        shapes.decode("morse", {})

    def read(data: Any) -> Message:
        return Message("user", (Text(data["say"]),))

    shapes.register_decoder("test-only", read)
    shapes.register_decoder("test-only", read)
    assert shapes.decode("test-only", {"say": "hi"}).text == "hi"
    with pytest.raises(Invalid, match="already has a reader"):
        shapes.register_decoder("anthropic", read)


# --- reading -----------------------------------------------------------------------------


def test_anthropic_blocks_are_read() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    assert parts(
        "anthropic",
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "eA=="},
                text("words"),
                {"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1, "a": [2]}},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "image", "source": source},
                {"type": "document", "source": {"type": "file", "file_id": "file-1"}},
                {"type": "document", "source": {"type": "text", "data": "hello"}, "title": "a"},
                {"type": "text"},
                "loose",
            ],
        },
    ) == (
        Thinking("hm", signature="c2ln"),
        Thinking(data="eA=="),
        Text("words"),
        ToolCall("t", "f", '{"b":1,"a":[2]}'),
        Unknown(
            "server_tool_use",
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        ),
        Image("image/png", PNG),
        File(file_id="file-1"),
        File("a", "text/plain", "aGVsbG8="),
        Unknown("text", {"type": "text"}),
        Unknown("str", "loose"),
    )


def test_anthropic_results_read_as_the_tools_role() -> None:
    reference = {"type": "tool_reference", "tool_name": "f"}
    block = {"type": "tool_result", "tool_use_id": "t", "content": [text("a"), reference]}
    message = shapes.decode("anthropic", {"role": "user", "content": [block]})
    assert message.role == "tool"
    unknown = Unknown("tool_reference", reference)
    assert message.tool_results == (ToolResult("t", (Text("a"), unknown)),)
    failed = {"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True}
    mixed = shapes.decode("anthropic", {"role": "user", "content": [failed, text("also")]})
    assert mixed.role == "user"
    assert mixed.parts == (ToolResult("t", (Text("no"),), True), Text("also"))


def test_an_anthropic_response_carries_its_id_model_and_usage() -> None:
    usage = {
        "input_tokens": 3,
        "output_tokens": 5,
        "cache_read_input_tokens": 7,
        "cache_creation_input_tokens": 11,
    }
    message = shapes.decode(
        "anthropic",
        {"id": "msg_1", "model": "m", "role": "assistant", "content": "x", "usage": usage},
    )
    assert (message.id, message.model, message.text) == ("msg_1", "m", "x")
    assert message.usage == Usage("msg_1", "m", "anthropic", 3, 5, 7, 11)


def test_openai_chat_messages_are_read() -> None:
    calls = [
        chat_call('{"a": 1}'),
        {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "***"}},
        {"id": "c3", "type": "odd"},
    ]
    data = {
        "role": "assistant",
        "content": "words",
        "reasoning_content": "hm",
        "refusal": "No.",
        "tool_calls": calls,
        "function_call": {"name": "old", "arguments": "{}"},
    }
    assert parts("openai-chat", data) == (
        Thinking("hm"),
        Text("words"),
        Text("No."),
        ToolCall("c1", "f", '{"a": 1}'),
        ToolCall("c2", "patch", '"***"'),
        Unknown("odd", calls[2]),
        ToolCall("", "old", "{}"),
    )
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"filename": "a", "file_data": "data:text/plain;base64,eA=="}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "odd"},
    ]
    assert parts("openai-chat", {"role": "user", "content": content}) == (
        Image("image/png", PNG),
        Image(url="https://example.com/a.png"),
        File(file_id="file-1"),
        File("a", "text/plain", "eA=="),
        File(media_type="audio/wav", data="UklGRg=="),
        Unknown("odd", {"type": "odd"}),
    )
    old = shapes.decode("openai-chat", {"role": "function", "name": "old", "content": "ok"})
    assert (old.role, old.parts) == ("tool", (ToolResult("", (Text("ok"),), name="old"),))


def test_openai_usage_counts_cached_tokens_once() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    data = {"role": "assistant", "content": "x", "id": "r1", "model": "m", "usage": usage}
    assert shapes.decode("openai-chat", data).usage == Usage(
        "r1", "m", "openai", input=40, output=20, cache_read=60, reasoning=15
    )


def test_openai_responses_items_are_read() -> None:
    def one(data: dict[str, Any]) -> Part:
        (part,) = parts("openai-responses", data)
        return part

    assert one({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{ }"}) == (
        ToolCall("c", "f", "{ }")
    )
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "***"}
    assert one(custom) == ToolCall("c", "patch", '"***"')
    shell = {"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"]}}
    assert one(shell) == ToolCall("c", "local_shell", '{"command":["ls"]}')
    for kind in ("function_call_output", "custom_tool_call_output"):
        assert one({"type": kind, "call_id": "c", "output": "ok"}) == ToolResult("c", (Text("ok"),))
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
    several = {"type": "function_call_output", "call_id": "c", "output": [image, {"type": "odd"}]}
    assert one(several) == ToolResult(
        "c", (Image("image/png", PNG), Unknown("odd", {"type": "odd"}))
    )
    reasoning = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [text("a"), text("b")],
        "encrypted_content": "eA==",
    }
    assert one(reasoning) == Thinking("a\n\nb", data="eA==", id="rs_1")
    search = {"type": "web_search_call", "status": "completed"}
    assert one(search) == Unknown("web_search_call", search)
    file = {"type": "input_file", "filename": "a", "file_url": "https://example.com/a"}
    message = {"role": "user", "content": [file, {"type": "refusal", "refusal": "No."}]}
    assert parts("openai-responses", message) == (
        File("a", url="https://example.com/a"),
        Text("No."),
    )


@pytest.mark.parametrize("snake", [False, True])
def test_gemini_parts_are_read_in_both_spellings(snake: bool) -> None:
    def key(camel: str, other: str) -> str:
        return other if snake else camel

    call = {"name": "f", "args": {"b": 1, "a": 2}}
    signature = key("thoughtSignature", "thought_signature")
    blob = {key("mimeType", "mime_type"): "image/png", "data": PNG}
    file = {key("mimeType", "mime_type"): "text/plain", key("fileUri", "file_uri"): "gs://a"}
    code = {key("executableCode", "executable_code"): {"code": "1"}}
    assert parts(
        "gemini",
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True},
                {"text": "words"},
                {key("functionCall", "function_call"): call, signature: "c2ln"},
                {key("inlineData", "inline_data"): blob},
                {key("fileData", "file_data"): file},
                {"text": "", signature: "ZW5k"},
                code,
            ],
        },
    ) == (
        Thinking("hm"),
        Text("words"),
        Thinking(signature="c2ln"),
        ToolCall("", "f", '{"b":1,"a":2}'),
        Image("image/png", PNG),
        File(media_type="text/plain", url="gs://a"),
        Thinking(signature="ZW5k"),
        Unknown(next(iter(code)), code),
    )


@pytest.mark.parametrize(
    ("response", "words", "failed"),
    [
        ({"output": "ok"}, "ok", False),
        ({"error": "no"}, "no", True),
        ({"result": [1]}, '{"result":[1]}', False),
        ({"output": "ok", "more": 1}, '{"output":"ok","more":1}', False),
    ],
)
def test_gemini_responses_are_read(response: dict[str, Any], words: str, failed: bool) -> None:
    raw = {"functionResponse": {"name": "f", "id": "x", "response": response}}
    message = shapes.decode("gemini", {"role": "user", "parts": [raw]})
    assert message.role == "tool"
    assert message.parts == (ToolResult("x", (Text(words),), failed, "f"),)


def test_gemini_usage_adds_thoughts_and_subtracts_the_cache() -> None:
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 30,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 7,
    }
    data = {"role": "model", "parts": [{"text": "x"}], "usageMetadata": usage}
    assert shapes.decode("gemini", data).usage == Usage(
        provider="google", input=70, output=12, cache_read=30, reasoning=7
    )


ANY_PART = st.one_of(
    st.builds(Text, st.text(max_size=9)),
    st.builds(Thinking, st.text(max_size=9), st.none() | st.just("s")),
    st.builds(ToolCall, st.text(max_size=5), st.text(max_size=5)),
    st.builds(ToolResult, st.text(max_size=5), st.just((Text("a"), Image(url="u")))),
    st.builds(Unknown, st.text(max_size=5), st.dictionaries(st.text(max_size=2), st.integers(0))),
)
MESSAGES = st.builds(
    Message,
    st.sampled_from(native.ROLES),
    st.lists(ANY_PART, max_size=3).map(tuple),
    id=st.none() | st.text(max_size=3),
    usage=st.none() | st.just(Usage(input=3)),
    at=st.just((Position("s", 1),)) | st.just(()),
    meta=st.booleans(),
    summary=st.booleans(),
)


@given(MESSAGES)
def test_clews_own_messages_come_back_equal(message: Message) -> None:
    written = msgspec.json.decode(msgspec.json.encode(native.write(message)))
    assert shapes.sniff(written) == "clew"
    assert shapes.decode("clew", written) == message
    assert shapes.SHAPES["clew"].encode([message]) == {"messages": [native.write(message)]}


def test_clews_own_messages_are_checked() -> None:
    with pytest.raises(Invalid, match="version 9"):
        shapes.decode("clew", {"clew": 9, "role": "user", "parts": []})
    with pytest.raises(Invalid, match="unknown role"):
        shapes.decode("clew", {"clew": 1, "role": "robot", "parts": []})
    with pytest.raises(Invalid, match="not a Clew message"):
        shapes.decode("clew", {"clew": 1, "role": "user", "parts": [{"type": "text"}]})


# --- writing -----------------------------------------------------------------------------

ROUND_TRIPS: list[tuple[str, str, list[dict[str, Any]]]] = [
    (
        "anthropic",
        "messages",
        [
            {"role": "user", "content": [text("Hello")]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    text("I look."),
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1, "a": 2}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": [text("ok")]}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "redacted_thinking", "data": "eA=="},
                    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                    {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                    text("Done."),
                ],
            },
        ],
    ),
    (
        "openai-chat",
        "messages",
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": None, "tool_calls": [chat_call('{ "a": 1 }')]},
            {"role": "tool", "tool_call_id": "c1", "content": "ok"},
            {"role": "assistant", "content": "Done."},
        ],
    ),
    (
        "openai-responses",
        "input",
        [
            {"type": "message", "role": "user", "content": [text("Hello", "input_text")]},
            {"type": "reasoning", "summary": [], "encrypted_content": "eA=="},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{ }"},
            {"type": "custom_tool_call", "call_id": "d", "name": "patch", "input": "***"},
            {"type": "function_call_output", "call_id": "c", "output": "ok"},
            {"type": "custom_tool_call_output", "call_id": "d", "output": "ok"},
            {"type": "web_search_call", "status": "completed"},
            {"type": "message", "role": "assistant", "content": [text("Done.", "output_text")]},
            {"type": "message", "role": "developer", "content": [text("Note.", "input_text")]},
        ],
    ),
    (
        "gemini",
        "contents",
        [
            {"role": "user", "parts": [{"text": "Hello"}]},
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "g", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "f", "response": {"result": [1]}}},
                    {"functionResponse": {"name": "g", "response": {"error": "no"}}},
                ],
            },
            {"role": "model", "parts": [{"text": "x"}, {"text": "", "thoughtSignature": "ZQ=="}]},
        ],
    ),
]


@pytest.mark.parametrize(("name", "key", "request_"), ROUND_TRIPS)
def test_what_a_provider_wrote_goes_back_to_it_unchanged(
    name: str, key: str, request_: list[dict[str, Any]]
) -> None:
    messages = [shapes.decode(name, data) for data in request_]
    assert shapes.SHAPES[name].encode(messages) == {key: request_}


def encode(name: str, *messages: Message) -> Any:
    return shapes.SHAPES[name].encode(messages)


SYSTEM = Message("system", (Text("Be brief."),))
USER = Message("user", (Text("Hello"),))
NOTE = Message("system", (Text("Note."),))


def test_system_messages_go_where_each_provider_has_them() -> None:
    noted = "<system>\nNote.\n</system>"
    history = (SYSTEM, SYSTEM, USER, NOTE)
    words = "Be brief.\n\nBe brief."
    anthropic = encode("anthropic", *history)
    assert anthropic["system"] == words
    assert anthropic["messages"] == [{"role": "user", "content": [text("Hello"), text(noted)]}]
    chat = encode("openai-chat", *history)["messages"]
    assert [message["role"] for message in chat] == ["system", "system", "user", "system"]
    responses = encode("openai-responses", *history)
    assert responses["instructions"] == words
    assert responses["input"][1]["role"] == "developer"
    gemini = encode("gemini", *history)
    assert gemini["systemInstruction"] == {"parts": [{"text": words}]}
    assert gemini["contents"] == [{"role": "user", "parts": [{"text": "Hello"}, {"text": noted}]}]


def test_a_conversation_that_begins_with_the_model_is_given_a_user_turn() -> None:
    said = Message("assistant", (Text("Hi. "),))
    assert [m["role"] for m in encode("anthropic", said)["messages"]] == ["user", "assistant"]
    assert encode("anthropic", said)["messages"][1]["content"] == [text("Hi.")]
    assert [c["role"] for c in encode("gemini", said)["contents"]] == ["user", "model"]


def test_a_response_that_thinks_is_not_glued_behind_one_that_does_not() -> None:
    said = Message("assistant", (Text("Hi."),), format="anthropic")
    thought = Message("assistant", (Thinking("hm", "c2ln"), Text("x")), format="anthropic")
    turns = encode("anthropic", USER, said, thought)["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant"]
    asked = Message("assistant", (ToolCall("c", "f"),), format="anthropic")
    (_, turn) = encode("anthropic", USER, asked, thought)["messages"]
    assert [block["type"] for block in turn["content"]] == ["tool_use", "text"]
    cut_off = Message("assistant", (Thinking("hm", "c2ln"),), format="anthropic")
    assert encode("anthropic", USER, cut_off, USER)["messages"] == [
        {"role": "user", "content": [text("Hello"), text("Hello")]}
    ]


def test_pictures_from_tools_reach_every_provider() -> None:
    call = Message("assistant", (ToolCall("c", "f"),))
    seen = Message("tool", (ToolResult("c", (Image("image/png", PNG),)),))
    for name in ("anthropic", "openai-chat", "openai-responses", "gemini"):
        request = encode(name, USER, call, seen)
        assert PNG in msgspec.json.encode(request).decode()
    chat = encode("openai-chat", USER, call, seen)["messages"]
    assert [message["role"] for message in chat] == ["user", "assistant", "tool", "user"]
    failed = Message("tool", (ToolResult("c", (Text("no"), Image("image/png", PNG)), True),))
    blocks = encode("anthropic", USER, call, failed)["messages"][2]["content"]
    assert [block["type"] for block in blocks] == ["tool_result", "image"]


def test_free_text_of_custom_tools_survives_every_provider() -> None:
    history = (
        USER,
        Message("assistant", (ToolCall("c", "patch", '"***"'),)),
        Message("tool", (ToolResult("c", (Text("ok"),)),)),
    )
    assert encode("openai-chat", *history)["messages"][1]["tool_calls"][0]["custom"] == {
        "name": "patch",
        "input": "***",
    }
    assert encode("openai-responses", *history)["input"][2]["type"] == "custom_tool_call_output"
    assert encode("anthropic", *history)["messages"][1]["content"][0]["input"] == {"input": "***"}
    call = encode("gemini", *history)["contents"][1]["parts"][0]
    assert call["functionCall"]["args"] == {"input": "***"}
    assert call["thoughtSignature"] == "skip_thought_signature_validator"


def test_reasoning_and_its_product_stand_or_fall_together() -> None:
    thought = Message("assistant", (Thinking(data="eA==", id="rs"),), format="openai-responses")
    odd = Message(
        "assistant",
        (Unknown("computer_call", {"type": "computer_call"}),),
        format="openai-responses",
    )
    said = Message("assistant", (Text("x"),), format="openai-responses")

    def kinds(*messages: Message) -> list[str]:
        return [item["type"] for item in encode("openai-responses", *messages)["input"]]

    assert kinds(USER, thought, said) == ["message", "reasoning", "message"]
    assert kinds(USER, thought) == ["message"]
    assert kinds(USER, thought, USER) == ["message", "message"]
    assert kinds(USER, thought, odd, said) == ["message", "message"]
    assert kinds(USER, thought, thought, said) == ["message", "reasoning", "reasoning", "message"]


# --- ids and names -----------------------------------------------------------------------


def pair(call_id: str) -> list[Message]:
    return [
        Message("assistant", (ToolCall(call_id, "f"),)),
        Message("tool", (ToolResult(call_id),)),
    ]


@given(st.lists(st.sampled_from(["", "a", "a-2", "fc|1", "ж", "x" * 50, "x" * 49 + "y"])))
def test_ids_are_valid_unique_and_the_same_on_both_sides(wanted: list[str]) -> None:
    history = [message for one in wanted for message in pair(one)]
    written = ids.unique_ids(history, limit=40)
    asked = [call.id for message in written for call in message.tool_calls]
    answered = [result.call_id for message in written for result in message.tool_results]
    assert asked == answered
    assert len(set(asked)) == len(asked)
    assert all(0 < len(one) <= 40 and one.replace("_", "a").replace("-", "a").isalnum()
               and one.isascii() for one in asked)  # fmt: skip
    assert ids.unique_ids(written, limit=40) == written


def test_ids_that_are_fine_stay_and_empty_ones_may() -> None:
    history = [*pair("toolu_01"), *pair("")]
    assert ids.unique_ids(history, limit=64)[:2] == history[:2]
    assert ids.unique_ids(history, limit=64, fill=False) == history


@given(st.text(max_size=200))
def test_a_tool_name_is_never_refused(name: str) -> None:
    plain = ids.tool_name(name)
    assert 1 <= len(plain) <= 64
    assert plain.isascii()
    assert ids.tool_name(plain) == plain
