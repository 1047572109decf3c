"""Views: valid for every provider whatever the history went through, cut on legal points."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from clew import rules, shapes, view
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
from clew.tokens import count_message

PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")


def user(text: str = "Hello", **more: Any) -> Message:
    return Message("user", (Text(text),), **more)


def says(*parts: Part | str, **more: Any) -> Message:
    made = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Message("assistant", made, **more)


def call(call_id: str, name: str = "read", arguments: str = "{}") -> ToolCall:
    return ToolCall(call_id, name, arguments)


def result(call_id: str, text: str = "ok", **more: Any) -> Message:
    return Message("tool", (ToolResult(call_id, (Text(text),), **more),))


def build(messages: list[Message], provider: str = "anthropic", **more: Any) -> view.View:
    more.setdefault("max_tokens", None)
    return view.build(messages, provider=provider, count=count_message, **more)


# --- any history gives a valid view ------------------------------------------------------

IDS = st.sampled_from(["", "c1", "c2", "toolu_01", "fc.bad/id", "x" * 90, "c1-2", "ж"])
NAMES = st.sampled_from(["read", "mcp__srv__tool", "fs/read.v2", "9lives", "", "n" * 130])
ARGUMENTS = st.sampled_from(["{}", '{"a":1}', "", '"free text"', "[1]", '{"cut', "null"])
WORDS = st.sampled_from(["", " ", "\n", "word", "two words ", "中文", "a" * 200])
TEXTS = st.builds(Text, WORDS)
MEDIA = st.sampled_from(
    [
        Image("image/png", "iVBORw0KGgo="),
        Image("image/svg+xml", "PHN2Zz4="),
        Image(url="https://example.com/a.png"),
        Image(),
        File("a.pdf", "application/pdf", "JVBERi0="),
        File("a.txt", "text/plain", "aGVsbG8="),
        File("a.bin", "application/zip", "UEsDBA=="),
        File("a.txt", "text/plain", "!"),
        File(url="https://example.com/a.pdf"),
        File(file_id="file-1"),
        File("a.wav", "audio/wav", "UklGRg=="),
    ]
)
THINKING = st.sampled_from(
    [
        Thinking("hm", signature="c2ln"),
        Thinking("", signature="c2ln"),
        Thinking("hm"),
        Thinking(data="eA=="),
        Thinking("sum", data="eA==", id="rs_1"),
        Thinking(id="rs_2"),
    ]
)
USE = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
UNKNOWNS = st.sampled_from(
    [
        Unknown("server_tool_use", USE),
        Unknown("web_search_tool_result", FOUND),
        Unknown(
            "web_search_call", {"type": "web_search_call", "id": "ws_1", "status": "completed"}
        ),
        Unknown("executableCode", {"executableCode": {"language": "PYTHON", "code": "1"}}),
        Unknown("odd", {"type": "odd"}),
        Unknown("int", 7),
    ]
)
CALLS = st.builds(ToolCall, IDS, NAMES, ARGUMENTS)
RESULTS = st.builds(
    ToolResult,
    IDS,
    st.lists(st.one_of(TEXTS, MEDIA, UNKNOWNS), max_size=2).map(tuple),
    st.booleans(),
    st.one_of(st.none(), NAMES),
)
FORMATS = st.sampled_from([None, *PROVIDERS])
SPOKEN = st.one_of(TEXTS, THINKING, CALLS, CALLS, UNKNOWNS, MEDIA)
LOOSE = st.one_of(
    st.builds(
        Message,
        st.just("assistant"),
        st.lists(SPOKEN, max_size=4).map(tuple),
        id=st.sampled_from([None, None, None, "m1", "m2"]),
        format=FORMATS,
    ),
    st.builds(
        Message,
        st.sampled_from(["user", "tool", "system", "assistant"]),
        st.lists(st.one_of(TEXTS, RESULTS, RESULTS, MEDIA, SPOKEN), max_size=4).map(tuple),
        format=FORMATS,
        meta=st.booleans(),
        summary=st.booleans(),
    ),
)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """An orderly turn: a prompt, then steps of thinking, parallel calls and their results."""
    form = draw(FORMATS)
    made = [user(draw(WORDS), format=form)]
    for step in range(draw(st.integers(0, 3))):
        head: list[Part] = [draw(THINKING)] if draw(st.booleans()) else []
        ids = draw(st.lists(st.one_of(IDS, st.just(f"s{step}")), min_size=1, max_size=3))
        calls = [ToolCall(one, draw(NAMES), draw(ARGUMENTS)) for one in ids]
        if draw(st.booleans()):
            made.append(Message("assistant", (*head, *calls), format=form))
        else:
            pieces: list[Part] = [*head, *calls]
            made.extend(Message("assistant", (piece,), format=form) for piece in pieces)
        answers = draw(st.permutations(calls))
        made.extend(
            Message("tool", (ToolResult(c.id, (Text("ok"),), name=c.name),), format=form)
            for c in answers
        )
    made.append(says(draw(WORDS), format=form))
    return made


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """Turns and loose messages, then damage: cuts, lost, doubled and moved messages."""
    groups = draw(st.lists(st.one_of(turns(), st.lists(LOOSE, max_size=4)), max_size=4))
    made = [message for group in groups for message in group]
    for _ in range(draw(st.integers(0, 3))):
        if not made:
            break
        at = draw(st.integers(0, len(made) - 1))
        match draw(st.sampled_from(["head", "tail", "lose", "double", "move", "compact"])):
            case "head":
                made = made[at:]
            case "tail":
                made = made[: at + 1]
            case "lose":
                made = made[:at] + made[at + 1 :]
            case "double":
                made = [*made, made[at]]
            case "move":
                made = [*made[:at], *made[at + 1 :], made[at]]
            case _:
                made = [user("What came before.", summary=True), *made[at:]]
    return made


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=200)
@given(history=histories(), model=st.sampled_from([None, "m"]))
def test_a_view_of_any_history_is_valid(
    provider: str, history: list[Message], model: str | None
) -> None:
    made = build(history, provider, model=model)
    event(f"repaired: {bool(made.repaired)}, orphans: {bool(made.orphans)}")
    assert rules.check(provider, made.request) == []
    asked = [part for message in made.messages for part in message.tool_calls]
    answers = [part for message in made.messages for part in message.tool_results]
    assert [c.id for c in asked] == [a.call_id for a in answers]
    assert len(made.repaired) == sum(answer.synthetic for answer in answers)
    assert made.tokens == sum(map(count_message, made.messages))
    again = build(list(made.messages), provider, model=model)
    assert again.request == made.request, "settling twice changes nothing"


@settings(max_examples=200)
@given(history=histories(), cut=st.integers(0, 40))
def test_every_legal_cut_of_a_history_gives_valid_views(history: list[Message], cut: int) -> None:
    legal = view.legal_cuts(history)
    assert legal[:1] == ([0] if history else [])
    assume(legal)
    start = legal[cut % len(legal)]
    whole, kept = build(history), build(history[start:])
    assert len(kept.repaired) <= len(whole.repaired), "a legal cut parts no call from its result"
    assert kept.duplicates + kept.orphans <= whole.duplicates + whole.orphans
    for provider in PROVIDERS:
        assert rules.check(provider, build(history[start:], provider).request) == []


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=200)
@given(history=histories(), limit=st.integers(0, 600))
def test_a_window_fits_or_says_why_not(provider: str, history: list[Message], limit: int) -> None:
    whole = build(history, provider)
    made = None
    with contextlib.suppress(Invalid):
        made = build(history, provider, max_tokens=limit)
    event(f"fits: {made is not None}")
    if made is None:
        assert whole.tokens > limit
        return
    assert made.tokens <= limit
    assert rules.check(provider, made.request) == []
    assert made.dropped == len(whole.messages) - len(made.messages)
    system = [message for message in whole.messages if message.role == "system"]
    assert [message for message in made.messages if message.role == "system"] == system
    if whole.tokens <= limit:
        assert made.messages == whole.messages
    if whole.messages and whole.messages[0].summary and whole.messages[0].role == "user":
        assert made.messages[0] == whole.messages[0]


# --- the control: what this is good for --------------------------------------------------


def tool_history() -> list[Message]:
    made: list[Message] = []
    for turn in range(4):
        made.append(user(f"task {turn}"))
        made.append(says("I look.", call(f"a{turn}"), call(f"b{turn}"), format="anthropic"))
        made += [result(f"b{turn}"), result(f"a{turn}"), says("Done.")]
    return made


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_positional_cut_breaks_the_rules_and_a_window_does_not(provider: str) -> None:
    history = tool_history()
    naive = [
        shapes.SHAPES[provider].encode(history[-count:]) for count in range(1, len(history) + 1)
    ]
    broken = [request for request in naive if rules.check(provider, request)]
    assert len(broken) >= 4, "the control must fail: cutting by position is what breaks"
    for limit in range(20, build(history).tokens):
        assert rules.check(provider, build(history, provider, max_tokens=limit).request) == []


# --- pairing -----------------------------------------------------------------------------


def test_results_stand_behind_their_run_in_call_order() -> None:
    history = [user(), says(call("a"), call("b")), user("wait"), result("b", "B"), result("a", "A")]
    made = build(history)
    assert [message.role for message in made.messages] == ["user", "assistant", "tool", "user"]
    assert [answer.text for answer in made.messages[2].tool_results] == ["A", "B"]
    assert (made.repaired, made.duplicates, made.orphans) == ((), 0, 0)


def test_the_first_result_wins_and_the_rest_is_counted() -> None:
    lost = Message("tool", (ToolResult("a", (view.LOST,), True, synthetic=True),))
    history = [user(), says(call("a")), lost, result("a", "late"), result("nobody")]
    made = build(history)
    assert made.messages[2].tool_results[0].parts == (view.LOST,)
    assert (made.repaired, made.duplicates, made.orphans) == (("a",), 1, 1)


def test_a_call_without_result_gets_one_that_says_so() -> None:
    history = [user(), says(call("a"), call("b")), result("a"), user("go on")]
    made = build(history)
    first, second = made.messages[2].tool_results
    assert (first.is_error, second.is_error) == (False, True)
    assert "may or may not have run" in second.text
    assert made.repaired == ("b",)
    assert view.open_calls(history) == (call("b"),)
    assert view.open_calls([*history, result("b")]) == ()


def test_an_id_used_again_belongs_to_the_newest_call() -> None:
    history = [user(), says(call("c")), result("c", "1"), says(call("c")), result("c", "2")]
    made = build(history)
    assert [m.tool_results[0].text for m in made.messages if m.role == "tool"] == ["1", "2"]
    content = [block for turn in made.request["messages"] for block in turn["content"]]
    ids = [block["id"] for block in content if block["type"] == "tool_use"]
    answered = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
    assert ids == answered == ["c", "c-2"]


def test_results_without_ids_answer_by_name_then_in_order() -> None:
    calls = says(call("", "one"), call("", "two"), call("", "one"))
    answers = [
        Message("tool", (ToolResult("", (Text(text),), name=name),))
        for text, name in (("2", "two"), ("1a", "one"), ("1b", "one"))
    ]
    made = build([user(), calls, *answers], "gemini")
    assert [answer.text for answer in made.messages[2].tool_results] == ["1a", "2", "1b"]
    assert made.repaired == ()


# --- thinking ----------------------------------------------------------------------------

SIGNED = Thinking("hm", signature="c2ln")


def thinking_in(request: Any) -> int:
    return str(request).count("c2ln")


def test_signed_thinking_goes_back_only_where_it_came_from() -> None:
    history = [user(), says(SIGNED, call("a"), format="anthropic", model="m"), result("a")]
    assert thinking_in(build(history).request) == 1
    assert thinking_in(build(history, model="m").request) == 1
    assert thinking_in(build(history, model="other").request) == 0
    for provider in PROVIDERS[1:]:
        assert thinking_in(build(history, provider).request) == 0


def test_no_cut_falls_between_thinking_and_the_loop_it_leads() -> None:
    loop = [user(), says(SIGNED, call("a")), result("a"), says(call("b")), result("b"), says("end")]
    assert view.legal_cuts([*loop, user(), says("x")]) == [0, 1, 6, 7]
    led = [user(), says(SIGNED, call("a")), result("a"), says(SIGNED, call("b")), result("b")]
    assert view.legal_cuts(led) == [0, 1, 3], "a response with thinking of its own leads the rest"


# --- cutting -----------------------------------------------------------------------------


def test_a_cut_never_parts_a_batch_or_a_piece() -> None:
    batch = [user(), says(call("a")), says(call("b")), result("a"), user("wait"), result("b")]
    assert view.legal_cuts([*batch, says("end")]) == [0, 1, 6]
    pieces = [user(), says("one", id="m"), user("note", meta=True), says("two", id="m"), user()]
    assert view.legal_cuts(pieces) == [0, 1, 4]
    assert view.legal_cuts([]) == []


def test_an_unanswered_call_blocks_no_cut() -> None:
    assert view.legal_cuts([user(), says(call("a")), user(), says("x")]) == [0, 1, 2, 3]


def test_a_turn_start_is_preferred_unless_it_keeps_too_little() -> None:
    def size(message: Message) -> int:
        return len(message.text)

    even = [user("x" * 10), says("y" * 10), user("x" * 10), says("y" * 10)]
    assert view.choose_cut(even, 40, size) == 0
    assert view.choose_cut(even, 30, size) == 2
    late = [user("x" * 10), says(call("a"), "y" * 90), result("a"), says("z" * 90), user("hm")]
    assert view.choose_cut(late, 100, size) == 3
    assert view.choose_cut(late, 1, size) == 4
    assert view.choose_cut([], 10, size) == 0
    assert view.is_turn_start(even[0])
    assert not view.is_turn_start(user(meta=True))
    assert not view.is_turn_start(user(summary=True))


def test_a_window_keeps_system_and_summary_and_names_the_size_it_needs() -> None:
    system = Message("system", (Text("Be brief."),))
    history = [system, user("Before.", summary=True), *tool_history()]
    made = build(history, max_tokens=200)
    assert made.messages[:2] == (history[0], history[1])
    assert made.messages[2] == user("task 3")
    assert made.dropped == len(build(history).messages) - len(made.messages)
    with pytest.raises(Invalid, match="max_tokens=5 is too small") as caught:
        build(history, max_tokens=5)
    needed = int(str(caught.value).split("allow ")[1].split(",")[0])
    assert build(history, max_tokens=needed).tokens == needed


# --- pieces ------------------------------------------------------------------------------


def test_pieces_of_one_message_are_joined_where_the_first_stands() -> None:
    def at(seq: int) -> tuple[Position, ...]:
        return (Position("s", seq),)

    first = says(
        SIGNED, id="m", at=at(1), usage=Usage(key="m", input=3, output=1), format="anthropic"
    )
    note = user("note", meta=True, at=at(2))
    second = says(call("a"), id="m", at=at(3), usage=Usage(output=9, cost=0.5), model="x")
    copy = says(call("a"), id="m", at=at(5))
    merged = view.merge_pieces([user(), first, note, second, result("a"), copy])
    assert [message.role for message in merged] == ["user", "assistant", "user", "tool"]
    assert merged[1].parts == (SIGNED, call("a"))
    assert [position.seq for position in merged[1].at] == [1, 3, 5]
    assert merged[1].usage == Usage(key="m", input=3, output=9, cost=0.5)
    assert merged[1].model == "x"
    assert view.merge_pieces(merged) == merged


def test_equal_chunks_of_a_stream_are_not_copies() -> None:
    chunks = [says("ha", id="m", format="gemini"), says("ha", id="m", format="gemini")]
    assert view.merge_pieces(chunks)[0].parts == (Text("ha"), Text("ha"))
    empty = [says(call(""), id="m"), says(call(""), id="m")]
    assert len(view.merge_pieces(empty)[0].tool_calls) == 2


def test_the_view_of_nothing_is_empty_and_an_unknown_provider_is_named() -> None:
    assert build([]).request == {"messages": []}
    assert build([], "gemini", max_tokens=0).tokens == 0
    with pytest.raises(Invalid, match="openai-chat"):
        build([], "nobody")
