"""Native rows: pairing, types, outcomes, tokens, and when a window begins.

`CLEW_REGENERATE=1 pytest tests/test_trajectory.py` writes the golden rows anew.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.exporters import Segment, line, segments, trajectory
from clew.exporters.base import iso
from clew.model import (
    Compaction,
    File,
    Image,
    Message,
    Position,
    Reason,
    SessionInfo,
    Status,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Unknown,
    Usage,
)
from clew.redaction import Redactor
from clew.window import parse_since

if TYPE_CHECKING:
    from collections.abc import Sequence

GOLDEN = Path(__file__).parent / "golden" / "trajectory"
KEY = b"0123456789abcdef-test-key"
T0 = 1_777_803_072_000
SESSION = SessionInfo(
    id="s1", project="demo", title="List files", status=Status.OPEN, frontend=None,
    user=None, agent="claude-code", head=Position("s1", 9), entries=9, messages=9,
    created_ms=T0, updated_ms=T0 + 9000, forked_from=Position("s0", 3), spawned_by="s0#c7",
)  # fmt: skip


def user(text: str, **more: Any) -> Message:
    return Message("user", (Text(text),), **more)


def says(text: str = "", *calls: ToolCall, **more: Any) -> Message:
    parts = ((Text(text),) if text else ()) + calls
    return Message("assistant", parts, **{"model": "m-1", **more})


def gives(call_id: str, text: str = "ok", **more: Any) -> Message:
    return Message("tool", (ToolResult(call_id, (Text(text),), **more),))


def call(call_id: str, name: str = "Bash", arguments: str = '{"command":"ls"}') -> ToolCall:
    return ToolCall(call_id, name, arguments)


def row(*messages: Message) -> dict[str, Any]:
    return trajectory(SESSION, segments(messages))


def roles(made: dict[str, Any]) -> list[str]:
    return [message["role"] for message in made["messages"]]


# --- golden rows --------------------------------------------------------------------------


def at(seq: int) -> dict[str, Any]:
    return {"at": (Position("s1", seq),), "time_ms": T0 + 1000 * seq}


def tools_and_pictures() -> tuple[Segment, ...]:
    picture = base64.b64encode(b"not really a picture").decode()
    return segments(
        [
            Message("system", (Text("You are terse."),), **at(1)),
            Message("user", (Text("list files"), Image("image/png", picture)), **at(2)),
            Message(
                "assistant",
                (
                    Thinking("need ls", signature="opaque"),
                    Thinking(data="encrypted"),
                    call("c1"),
                    call("c2", "Read", '{"path":"a.txt","limit":3}'),
                ),
                id="msg_1",
                model="m-1",
                usage=Usage("r1", "m-1", "anthropic", 100, 9, 40, 7, 3, 0.25),
                **at(3),
            ),
            Message(
                "user",
                (
                    ToolResult("c2", (Text("one\u2028two"), File("x.pdf", url="https://h/x.pdf"))),
                    ToolResult("c1", (Text("a.txt"),)),
                ),
                **at(4),
            ),
            user("Reminder", meta=True, **at(5)),
            says("It holds one line.", usage=Usage("r2", "m-1", "anthropic", 30, 5), **at(6)),
        ]
    )


def compacted_and_cut_off() -> tuple[Segment, ...]:
    history = [
        user("fix it", **at(1)),
        says("on it", call("c1"), **at(2)),
        gives("c1", "boom", is_error=True),
        says("once more", call("c1", "Edit", '{"path":"x","force":true}'), **at(3)),
        user("and now?", **at(6)),
        says("", call("c3"), call("c4", "Edit", '{"path":'), **at(7)),
        gives("c3", "repaired", synthetic=True),
    ]
    made = Compaction(
        Position("s1", 3), Reason.AUTO, "What went before.", tokens_before=900, tokens_after=90
    )
    return segments(history, [(4, made)])


CASES = {"tools": tools_and_pictures, "compacted": compacted_and_cut_off}


@pytest.mark.parametrize("name", CASES)
def test_golden_rows(name: str) -> None:
    made = trajectory(SESSION, CASES[name]())
    text = json.dumps(made, indent=1, ensure_ascii=True) + "\n"
    path = GOLDEN / f"{name}.json"
    if os.environ.get("CLEW_REGENERATE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
    assert line(made) == line(trajectory(SESSION, CASES[name]()))


@pytest.mark.parametrize("name", CASES)
def test_rows_have_the_columns_that_others_read(name: str) -> None:
    wanted = {
        "session_id", "messages", "tool_calls", "outcome", "tier", "complexity_score",
        "model_used", "provider_used", "tokens_in", "tokens_out", "latency_ms", "started_at",
        "ended_at",
    }  # fmt: skip
    assert wanted <= set(trajectory(SESSION, CASES[name]()))


# --- messages -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["123", "true", "null", '{"a":1}', "", "1.0", '"x"', "[]"])
def test_words_stay_words(text: str) -> None:
    made = row(user(text), says(text, call("c")), gives("c", text))
    decoded = json.loads(line(made))
    assert [message["content"] for message in decoded["messages"]] == [text] * 3


@given(st.text(), st.text(alphabet="\u2028\u2029\x85\n\r\t\0 x\ud800é😀"))
def test_a_row_is_one_line_and_reads_back(first: str, second: str) -> None:
    data = line(row(user(first + second)))
    text = data.decode()
    assert text.splitlines() == [text[:-1]]
    expected = (first + second).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert json.loads(data)["messages"][0]["content"] == expected


def test_bodies_are_named_not_included() -> None:
    raw = b"\x89PNG picture"
    data = base64.b64encode(raw).decode()
    pictures = (Image("image/png", data), Image(url=f"data:image/png;base64,{data}"))
    made = row(
        Message(
            "user", (*pictures, File("a.bin", None, "not base64!"), Unknown("audio", {"x": data}))
        ),
        Message("assistant", (Text("see"), pictures[0])),
    )
    text = line(made).decode()
    assert data not in text
    first, second, file, unknown = made["messages"][0]["content"]
    assert first == second
    assert first["sha256"] == hashlib.sha256(raw).hexdigest()
    assert (first["bytes"], first["media_type"], first["url"]) == (len(raw), "image/png", None)
    assert (file["name"], file["bytes"]) == ("a.bin", 11)
    assert unknown == {"type": "unknown", "of": "audio"}
    assert made["messages"][1]["content"] == "see"
    assert made["messages"][1]["parts"] == [first]


def test_reasoning_is_text_and_opaque_reasoning_a_mark() -> None:
    made = row(Message("assistant", (Thinking("why", "SIG"), Thinking(data="ENC"), Text("so"))))
    message = made["messages"][0]
    assert message["reasoning_content"] == "why"
    assert message["reasoning_opaque"] is True
    assert "SIG" not in line(made).decode()
    assert "ENC" not in line(made).decode()
    assert "reasoning_content" not in row(says("x"))["messages"][0]


def test_only_what_a_model_said_is_sampled() -> None:
    made = row(
        says("mine"),
        says("injected", meta=True),
        says("summary", summary=True),
        says("API Error", model="<synthetic>"),
        user("hello"),
    )
    assert [m["sampled"] for m in made["messages"]] == [True, False, False, False, False]
    assert [m["train"] for m in made["messages"]] == [True, False, False, False, False]
    assert made["messages"][2]["kind"] == "compaction"


def test_pieces_of_one_message_are_one() -> None:
    made = row(
        says("a", call("c1"), id="msg_1"),
        says("b", call("c2"), id="msg_1"),
        gives("c1"),
        gives("c2"),
        says("c", id="msg_2"),
    )
    assert roles(made) == ["assistant", "tool", "tool", "assistant"]
    assert made["messages"][0]["content"] == "a\nb"


# --- calls and results --------------------------------------------------------------------

_ids = st.sampled_from(["a", "b", "", "a_2"])
_parts = st.one_of(
    st.builds(Text, st.sampled_from(["x", "123"])),
    st.builds(
        ToolCall, _ids, st.sampled_from(["Bash", "Read"]), st.sampled_from(['{"a":1}', "", "{"])
    ),
    st.builds(ToolResult, _ids, st.just((Text("r"),)), st.booleans(), st.none(), st.booleans()),
)
_messages = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "tool", "system"]),
    st.lists(_parts, max_size=4).map(tuple),
    id=st.sampled_from([None, "m1", "m2"]),
    meta=st.booleans(),
    summary=st.booleans(),
)


def assert_paired(messages: Sequence[dict[str, Any]]) -> None:
    """Every call has one result, in order, before anything else is said."""
    seen: set[str] = set()
    waiting: list[str] = []
    for message in messages:
        if waiting:
            assert message["role"] == "tool"
            assert message["tool_call_id"] == waiting.pop(0)
            continue
        assert message["role"] != "tool"
        waiting = [one["id"] for one in message.get("tool_calls", [])]
        assert not seen.intersection(waiting)
        assert len(set(waiting)) == len(waiting)
        seen.update(waiting)
    assert not waiting


@given(st.lists(_messages, max_size=8), st.integers(0, 8))
def test_every_call_has_exactly_one_result(messages: list[Message], cut: int) -> None:
    points = [(min(cut, len(messages)), Compaction(Position("s1", 1), summary="so far"))]
    made = trajectory(SESSION, segments(messages, points))
    out = json.loads(line(made))["messages"]
    assert_paired(out)
    calls = [part for m in messages for part in m.parts if isinstance(part, ToolCall)]
    results = [part for m in messages for part in m.parts if isinstance(part, ToolResult)]
    notes = made["notes"]
    assert len(made["tool_calls"]) == len(calls)
    answered = len(calls) - notes["lost_results"]
    assert answered + notes["orphan_results"] + notes["duplicate_results"] == len(results)
    assert all(isinstance(m["content"], str) for m in out if m["role"] == "assistant")
    assert [m["id"] for m in out] == [f"m{n + 1}" for n in range(len(out))]
    for one, after in pairwise(made["segments"]):
        assert one["first"] + one["count"] == after["first"]
    assert sum(one["count"] for one in made["segments"]) == len(out)


def test_a_lost_result_spoils_what_follows_in_its_segment() -> None:
    history = [says("", call("c1")), says("went on"), user("?"), says("after"), says("later")]
    cut = trajectory(SESSION, segments(history, [(4, Compaction(Position("s1", 1)))]))
    lost = cut["messages"][1]
    assert (lost["content"], lost["status"]) == ('{"status":"lost"}', "lost")
    assert [m["train"] for m in cut["messages"] if m["role"] == "assistant"] == [
        True, False, False, True,
    ]  # fmt: skip
    assert cut["messages"][2]["train_rule"] == "after-lost-result"
    assert cut["notes"]["lost_results"] == 1


def test_a_late_result_is_moved_and_said_so() -> None:
    made = row(says("", call("c1")), says("waiting"), user("x"), gives("c1"), says("done"))
    assert roles(made) == ["assistant", "tool", "assistant", "user", "assistant"]
    assert made["messages"][1]["status"] == "late"
    assert [m["train"] for m in made["messages"]] == [True, False, False, False, True]


def test_an_id_used_again_means_the_newer_call() -> None:
    made = row(says("", call("c")), user("again"), says("", call("c"), call("c")), gives("c", "1"))
    assert [one["status"] for one in made["tool_calls"]] == ["lost", "ok", "lost"]
    assert [one["id"] for one in made["tool_calls"]] == ["c", "c_2", "c_3"]


def test_a_real_result_replaces_a_repair() -> None:
    made = row(says("", call("c1")), gives("c1", "lost?", synthetic=True), gives("c1", "real"))
    assert made["messages"][1]["content"] == "real"
    assert made["notes"]["duplicate_results"] == 1


def test_arguments_stay_as_the_model_wrote_them() -> None:
    made = row(says("", call("c1", "T", '{ "b":1,"a" :2}'), call("c2", "T", '{"a":')), gives("c1"))
    first, second = made["messages"][0]["tool_calls"]
    assert first["function"]["arguments"] == '{ "b":1,"a" :2}'
    assert second["function"]["arguments"] == '{"a":'
    assert made["messages"][0]["train_rule"] == "invalid-arguments"
    assert made["notes"]["invalid_arguments"] == 1


def test_schemas_are_what_was_seen() -> None:
    made = row(
        says(
            "",
            call("1", "B", '{"n":1,"s":"x","deep":{"a":[]}}'),
            call("2", "B", '{"n":1.5,"s":null}'),
            call("3", "A", "[]"),
        )
    )
    assert made["tools_source"] == "inferred"
    assert [tool["function"]["name"] for tool in made["tools"]] == ["A", "B"]
    assert made["tools"][0]["function"]["parameters"]["properties"] == {}
    assert made["tools"][1]["function"]["parameters"] == {
        "type": "object",
        "properties": {
            "deep": {"type": "object"},
            "n": {"type": "number"},
            "s": {"type": ["null", "string"]},
        },
        "required": ["n", "s"],
    }


def test_compactions_out_of_order_are_refused() -> None:
    made = Compaction(Position("s1", 1))
    with pytest.raises(Invalid, match="in order"):
        segments([user("x")], [(1, made), (0, made)])
    with pytest.raises(Invalid, match="has 1 messages"):
        segments([user("x")], [(2, made)])


# --- sums ---------------------------------------------------------------------------------


def test_nothing_metered_is_unknown_not_zero() -> None:
    made = row(user("x"), says("y", model=None))
    for field in ("tokens_in", "tokens_out", "cost_usd", "latency_ms", "tier", "model_used"):
        assert made[field] is None


def test_a_call_counts_once_with_its_largest_figures() -> None:
    made = row(
        says("a", usage=Usage("r1", input=10, output=1, cost=0.1)),
        says("b", usage=Usage("r1", input=10, output=7, cache_read=5, provider="p", cost=0.2)),
        says("c", usage=Usage("r2", input=1, output=1, model="m-9", cost=0.1), model=None),
    )
    assert (made["tokens_in"], made["tokens_out"], made["tokens_cache_read"]) == (11, 8, 5)
    assert made["cost_usd"] == pytest.approx(0.3)
    assert [m["telemetry"]["tokens_out"] for m in made["messages"]] == [None, 7, 1]
    assert (made["model_used"], made["provider_used"]) == ("m-9", "p")


def test_a_call_that_no_message_stands_for_counts_in_the_sums() -> None:
    cut = segments([says("a", usage=Usage("r1", input=10, output=1, cost=0.1))])
    beside = [Usage(None, input=5, cost=0.2), Usage("r1", output=3), Usage(None, input=2, cost=0.1)]
    made = trajectory(SESSION, cut, beside)
    assert (made["tokens_in"], made["tokens_out"]) == (17, 3)
    assert made["cost_usd"] == pytest.approx(0.4)
    assert [m["telemetry"]["tokens_in"] for m in made["messages"]] == [10]
    only = trajectory(SESSION, segments([says("a")]), beside[:1])
    assert (only["tokens_in"], only["messages"][0]["telemetry"]["tokens_in"]) == (5, None)


def test_a_cost_that_is_partly_unknown_is_unknown() -> None:
    made = row(says("a", usage=Usage("r1", cost=0.1)), says("b", usage=Usage("r2", input=1)))
    assert made["cost_usd"] is None


@given(st.lists(st.tuples(st.sampled_from(["k1", "k2", None]), st.integers(0, 10**12)), max_size=8))
def test_sums_are_exact(calls: list[tuple[str | None, int]]) -> None:
    made = row(*(says("x", usage=Usage(key, input=n)) for key, n in calls))
    keyed: dict[str, int] = {}
    for key, n in calls:
        if key is not None:
            keyed[key] = max(n, keyed.get(key, 0))
    expected = sum(keyed.values()) + sum(n for key, n in calls if key is None)
    assert made["tokens_in"] == (expected if calls else None)


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (T0, "2026-05-03T10:11:12.000Z"),
        (T0 + 7, "2026-05-03T10:11:12.007Z"),
        (0, None),
        (-5, None),
        (10**18, None),
    ],
)
def test_times_have_milliseconds(time_ms: int, text: str | None) -> None:
    assert iso(time_ms) == text


def test_the_span_of_a_session_is_that_of_its_messages() -> None:
    made = row(user("x", time_ms=T0 + 5), says("y"), user("z", time_ms=T0 + 2))
    assert made["started_at"].endswith(":12.002Z")
    assert made["ended_at"].endswith(":12.005Z")
    assert row(user("x"))["ended_at"].endswith(":21.000Z")


# --- outcome ------------------------------------------------------------------------------

C1, C2 = says("", call("c1")), says("", call("c2"))
NOTICE = says("API Error: 500", model="<synthetic>")
DONE = says("done")
ASK, OK, BAD = user("do it"), gives("c1"), gives("c1", "boom", is_error=True)
REFUSED = gives("c1", "The user doesn't want to proceed with this tool use. Stop.", is_error=True)
OUTCOMES: tuple[tuple[str, str, tuple[Message, ...]], ...] = (
    ("unknown", "no-evidence", ()),
    ("unknown", "no-evidence", (Message("system", (Text("x"),)),)),
    ("unknown", "no-evidence", (ASK, says("hello"))),
    ("incomplete", "no-answer", (ASK,)),
    ("incomplete", "no-answer", (ASK, C1, OK)),
    ("incomplete", "no-answer", (ASK, says("hello"), user("more"))),
    ("incomplete", "no-answer", (ASK, C1, OK, says(""))),
    ("incomplete", "no-answer", (ASK, C1, OK, says(" \n"), Message("assistant", ()))),
    ("incomplete", "no-answer", (ASK, C1, OK, Message("assistant", (Thinking("hm"),)))),
    ("incomplete", "unanswered-call", (ASK, C1)),
    ("incomplete", "unanswered-call", (ASK, C1, gives("c1", synthetic=True))),
    ("incomplete", "unanswered-call", (ASK, C1, user("hello?"))),
    ("aborted", "interrupted", (ASK, says("x"), user("[Request interrupted by user]"))),
    ("aborted", "interrupted", (ASK, C1, user("[Request interrupted by user for x]"))),
    ("aborted", "call-refused", (ASK, C1, REFUSED)),
    ("error", "provider-error", (ASK, NOTICE)),
    ("error", "provider-error", (ASK, C1, OK, NOTICE)),
    ("error", "last-result-error", (ASK, C1, BAD, says("it failed"))),
    ("error", "last-result-error", (ASK, C1, OK, C2, gives("c2", is_error=True), DONE)),
    ("recovered", "error-then-ok", (ASK, C1, BAD, C2, gives("c2"), DONE)),
    ("success", "all-results-ok", (ASK, C1, OK, DONE)),
    ("success", "all-results-ok", (ASK, C1, OK, DONE, says(""))),
    ("success", "all-results-ok", (ASK, C1, OK, DONE, user("hint", meta=True))),
)  # fmt: skip


@pytest.mark.parametrize(("outcome", "rule", "messages"), OUTCOMES)
def test_outcomes(outcome: str, rule: str, messages: tuple[Message, ...]) -> None:
    made = row(*messages)
    assert (made["outcome"], made["outcome_rule"]) == (outcome, rule)
    assert made["outcome_source"] == ("none" if outcome == "unknown" else "heuristic")


def test_the_documented_outcomes_are_those_of_the_code() -> None:
    text = (Path(__file__).parent.parent / "docs" / "trajectory.md").read_text()
    for outcome, rule, _ in OUTCOMES:
        assert f"| `{rule}` | {outcome} |" in text


# --- redaction ----------------------------------------------------------------------------


def test_redaction_keeps_calls_paired() -> None:
    secret = "q8Zx71bbTr-ann@corp.com"
    arguments = json.dumps({"password": secret, "ann@corp.com": [1, "123"]})
    history = [says("", call("ann@corp.com", "T", arguments)), gives("ann@corp.com", secret)]
    text = line(Redactor(KEY).redact(row(*history))).decode()
    made = json.loads(text)
    assert_paired(made["messages"])
    decoded = json.loads(made["messages"][0]["tool_calls"][0]["function"]["arguments"])
    assert list(decoded.values())[1] == [1, "123"]
    assert decoded["password"] == made["messages"][1]["content"]
    assert "corp.com" not in text


# --- since --------------------------------------------------------------------------------

NOW = 1_795_200_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", NOW - 30 * 86_400_000),
        (" 12h ", NOW - 12 * 3_600_000),
        ("90m", NOW - 90 * 60_000),
        ("2w", NOW - 14 * 86_400_000),
        ("1970-01-01", 0),
        ("2026-05-03", 1_777_766_400_000),
        ("2026-05-03T10:11:12", T0),
        ("2026-05-03 10:11:12.007Z", T0 + 7),
        ("2026-05-03T12:11:12+02:00", T0),
        ("1777803072", T0),
        ("1777803072007", T0 + 7),
        (str(NOW), NOW),
    ],
)
def test_since(text: str, expected: int) -> None:
    assert parse_since(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "all", "30", "0", "0d", "-5d", "-1", "+3d", "1.5d", "d", "30D", "30M", "30 d",
        "30s", "30y", "1e9", "1e400", "nan", "NaN", "inf", "٣d", "３０d", "999999999999w",
        "99999999999999999999", "9" * 5000, "yesterday", "2026-13-01", "2026-02-30",
        "2026-05-03T25:00", "2026-05", "05/03/2026", "9999-01-01", "2027-01-01", "1969-12-31",
        str(NOW + 1), "2026-05-03T10:00:00+99:00", "2026-05-03; drop", "None", "0001-01-01",
        "0001-01-01T00:00+23:59", "2026-05-03T10:11:12Z\n30d",
    ],
)  # fmt: skip
def test_since_refuses_everything_else(text: str) -> None:
    with pytest.raises(Invalid, match="30d") as raised:
        parse_since(text, NOW)
    assert len(str(raised.value)) < 400


@given(st.text(max_size=20))
def test_since_never_means_everything(text: str) -> None:
    try:
        since = parse_since(text, NOW)
    except Invalid:
        return
    assert 0 <= since <= NOW
