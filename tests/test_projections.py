"""Projections: what each format is given of the same rows, and what it cannot say.

`CLEW_REGENERATE=1 pytest tests/test_projections.py` writes the golden rows anew.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clew.errors import Invalid
from clew.exporters import line
from clew.exporters.base import Unfit
from clew.exporters.formats import FORMATS, named
from clew.exporters.projections import atif_back
from projections_kit import BASH, CASES, History, Row, branches, call, listing

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = Path(__file__).parent / "golden" / "projections"
EACH = [name for name, one in FORMATS.items() if one.each is not None]
FAMILY = [name for name, one in FORMATS.items() if one.family is not None]
WORDS_ONLY = ["trl", "sharegpt", "llama-factory"]
TRAINING = [*WORDS_ONLY, "openai", "anthropic"]


def project(format: str, row: Row) -> Row:
    made = named(format)
    assert made.each is not None
    return made.each(row)


def told(format: str) -> Iterator[tuple[str, Any]]:
    """What a format makes of each case: the row, or why there is none."""
    made = named(format)
    for name, case in CASES.items():
        if made.each is not None:
            try:
                yield name, made.each(case())
            except Unfit as unfit:
                yield name, {"unfit": unfit.reason, "text": str(unfit)}
    if made.family is not None:
        for number, one in enumerate(made.family(branches())):
            yield f"pair {number}", one.made


@pytest.mark.parametrize("format", [*EACH, *FAMILY])
def test_golden_rows(format: str) -> None:
    text = json.dumps(dict(told(format)), indent=1) + "\n"
    path = GOLDEN / f"{format}.json"
    if os.environ.get("CLEW_REGENERATE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("format", [*EACH, *FAMILY])
def test_what_is_written_is_valid(format: str) -> None:
    check = named(format).check
    assert check is not None
    rows = {name: row for name, row in told(format) if "unfit" not in row}
    assert rows
    assert {name: check(row) for name, row in rows.items()} == {name: [] for name in rows}


@pytest.mark.parametrize("format", EACH)
def test_a_row_is_not_changed_by_projecting_it(format: str) -> None:
    for case in CASES.values():
        row = case()
        before = line(row)
        try:
            first = line(project(format, row))
        except Unfit:
            continue
        assert line(row) == before
        assert line(project(format, row)) == first


def reason(format: str, row: Row) -> str:
    with pytest.raises(Unfit) as caught:
        project(format, row)
    return caught.value.reason


# --- what cannot be said -------------------------------------------------------------------


@pytest.mark.parametrize("format", TRAINING)
@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("unanswered", "no answer"),
        ("unasked", "no prompt"),
        ("bodies", "images"),
        ("broken_arguments", "invalid arguments"),
    ],
)
def test_rows_that_nothing_can_be_learned_from(format: str, case: str, why: str) -> None:
    assert reason(format, CASES[case]()) == why


@pytest.mark.parametrize("format", WORDS_ONLY)
def test_pictures_are_not_lost_silently(format: str) -> None:
    assert reason(format, CASES["picture"]()) == "images"


@pytest.mark.parametrize("format", [*WORDS_ONLY, "anthropic"])
def test_without_a_mask_a_row_ends_before_a_lost_result(format: str) -> None:
    made = project(format, CASES["lost_at_the_end"]())
    text = line(made).decode()
    assert "Hi." in text
    assert "Yes." not in text
    assert "lost" not in text
    assert reason(format, CASES["lost_in_the_middle"]()) == "lost result"


def test_with_a_mask_what_follows_a_lost_result_is_kept_out_of_the_loss() -> None:
    made = project("openai", CASES["lost_in_the_middle"]())
    weights = [m["weight"] for m in made["messages"] if m["role"] == "assistant"]
    assert weights == [1, 0]
    assert made["messages"][2]["content"] == '{"status":"lost"}'


@pytest.mark.parametrize("format", TRAINING)
def test_a_row_with_nothing_fit_to_learn_from_is_left_out(format: str) -> None:
    row = History().user("hi").says("Hello.").row()
    for message in row["messages"]:
        message["train"] = False
    assert reason(format, row) == "nothing to train"


@pytest.mark.parametrize("depth", [499, 501, 990, 998, 1100])
def test_arguments_may_not_be_nested_without_end(depth: int) -> None:
    arguments = '{"a":' * depth + "1" + "}" * depth
    row = History().user("go").says("", call("c1", "Bash", arguments)).gives("c1").says("x").row()
    for format in TRAINING:
        if depth > 500:
            assert reason(format, row) == "invalid arguments"
        else:
            assert line(project(format, row))
    assert line(atif_back.row_of(json.loads(line(project("atif", row))))) == line(row)


def test_much_is_not_deep() -> None:
    arguments = json.dumps({"all": [{"n": n} for n in range(600)]})
    row = History().user("go").says("", call("c1", "Bash", arguments)).gives("c1").says("x").row()
    assert len(project("trl", row)["messages"]) == 4


@pytest.mark.parametrize("format", ["openai", "anthropic"])
@pytest.mark.parametrize("name", ["shell.exec", "x" * 129, "ünicode", ""])
def test_names_of_functions_that_a_provider_refuses(format: str, name: str) -> None:
    row = History().user("go").says("", call("c1", name)).gives("c1").says("Done.").row()
    assert reason(format, row) == "function name"


def test_openai_takes_128_functions() -> None:
    row = History().user("go").says("Gone.").row(
        tools=[{"name": f"tool_{n}", "description": "does it"} for n in range(129)]
    )  # fmt: skip
    assert reason("openai", row) == "too many functions"
    row["tools"].pop()
    assert len(project("openai", row)["tools"]) == 128


@pytest.mark.parametrize("format", ["sharegpt", "llama-factory"])
def test_words_that_would_be_read_as_a_call(format: str) -> None:
    assert reason(format, CASES["spoken_tags"]()) == "tags in text"
    value = project(format, CASES["tags"]())["conversations"]
    call = next(one["value"] for one in value if "Bash" in one["value"] and one["from"] != "system")
    inside = re.search(r"<tool_call>\n(.*?)\n</tool_call>", call)
    assert json.loads(inside[1] if inside else call) == {
        "name": "Bash",
        "arguments": {"command": "</tool_call><think>"},
    }


def test_sharegpt_reads_results_back_as_they_were() -> None:
    said = project("sharegpt", CASES["tags"]())["conversations"]
    value = next(one["value"] for one in said if one["from"] == "tool")
    inside = re.findall(r"<tool_response>\n(.*?)\n</tool_response>", value, re.DOTALL)
    assert [json.loads(one)["content"] for one in inside] == ["</tool_response> & <tool_response>"]


# --- what is said how ----------------------------------------------------------------------


def test_trl_has_objects_strings_and_names() -> None:
    made = project("trl", listing())
    roles = [message["role"] for message in made["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool", "user", "assistant"]
    asked = made["messages"][2]
    assert asked["reasoning_content"] == "need ls"
    assert [one["function"]["arguments"] for one in asked["tool_calls"]] == [
        {"command": "ls"},
        {"path": "a.txt"},
    ]
    assert [m["tool_call_id"] for m in made["messages"] if m["role"] == "tool"] == ["c1", "c2"]
    assert all(isinstance(message["content"], str) for message in made["messages"])
    assert made["session_id"] == "s1"


def test_trl_marks_what_axolotl_leaves_out_of_the_loss() -> None:
    said = project("trl", CASES["late"]())["messages"]
    spoken = [(m["content"], m.get("train")) for m in said if m["role"] == "assistant"]
    assert spoken == [("", None), ("Waiting.", False), ("It is a.txt.", None)]
    assert {key for message in said for key in message} <= {
        "role", "content", "tool_calls", "tool_call_id", "name", "train",
    }  # fmt: skip


@pytest.mark.parametrize("label", ["turn", "step"])
def test_trl_learns_the_end_of_an_exploded_row_only(label: str) -> None:
    row = listing() | {label: 1}
    for message in row["messages"][:5]:
        message |= {"train": False, "context": True}
    made = project("trl", row)
    assert list(made) == ["prompt", "completion", "tools", "session_id"]
    assert made["completion"] == [{"role": "assistant", "content": "b.txt and c.txt."}]
    assert [message["role"] for message in made["prompt"]] == [
        "system", "user", "assistant", "tool", "tool", "user",
    ]  # fmt: skip
    assert made["prompt"][2]["tool_calls"]


def test_trl_learns_an_answer_in_pieces_whole() -> None:
    row = History().user("hi").says("One.").says("Two.").row() | {"step": 1}
    row["messages"][1] |= {"train": False, "context": True}
    made = project("trl", row)
    assert made["prompt"] == [{"role": "user", "content": "hi"}]
    assert [message["content"] for message in made["completion"]] == ["One.", "Two."]
    row["messages"] = [*row["messages"][1:], row["messages"][0]]
    assert reason("trl", row) == "no prompt"


SPEAKERS = {"user": "U", "human": "U", "assistant": "A", "gpt": "A", "function_call": "A"}


def sides(format: str, case: str) -> str:
    """Who speaks, in one letter each: the user, the model, or tools."""
    made = project(format, CASES[case]())
    said = made.get("messages") or made["conversations"]
    return "".join(SPEAKERS.get(one.get("role") or one["from"], "T") for one in said)


@pytest.mark.parametrize("format", TRAINING)
@pytest.mark.parametrize("case", ["listing", "in_pieces", "compacted", "late"])
def test_sides_take_turns(format: str, case: str) -> None:
    said = sides(format, case)
    assert "UU" not in said
    # Where a message can be kept out of the loss, it stays apart from one that is learned.
    apart = {("trl", "late"), ("openai", "late")}
    assert ("AA" in said) == ((format, case) in apart)


def test_pieces_are_put_together_and_notices_left_out() -> None:
    said = project("trl", CASES["in_pieces"]())["messages"]
    assert [message["content"] for message in said] == [
        "one\n\ntwo",
        "First.",
        "done",
        "go on\n\n<system-message>\nPlan mode is on.\n</system-message>",
        "Second.",
        "thanks",
    ]
    noticed = project("openai", CASES["in_pieces"]())["messages"]
    assert {"role": "assistant", "content": "API Error: 529", "weight": 0} in noticed


def test_a_summary_is_the_users() -> None:
    said = project("trl", CASES["compacted"]())["messages"]
    assert said[3] == {"role": "user", "content": "All went well.\n\nand now?"}


def test_openai_ends_with_the_model_and_has_only_its_own_keys() -> None:
    made = project("openai", CASES["in_pieces"]())
    assert made["messages"][-1]["content"] == "Second."
    assert list(made) == ["messages", "tools", "parallel_tool_calls"]
    assert made["parallel_tool_calls"] is False
    assert project("openai", listing())["parallel_tool_calls"] is True
    assert isinstance(made["messages"][1]["tool_calls"][0]["function"]["arguments"], str), (
        "OpenAI wants text"
    )
    cut = project("openai", History().user("go").says("", call("c1")).gives("c1").row())
    assert [message["role"] for message in cut["messages"]] == ["user", "assistant"]


def test_openai_and_anthropic_take_pictures_with_an_address() -> None:
    url = "https://example.org/a.png"
    assert project("openai", CASES["picture"]())["messages"][0]["content"] == [
        {"type": "text", "text": "what"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "is this?"},
    ]
    content = project("anthropic", CASES["picture"]())["messages"][0]["content"]
    assert content[1] == {"type": "image", "source": {"type": "url", "url": url}}


def test_anthropic_puts_results_and_words_in_one_message() -> None:
    made = project("anthropic", listing())
    kinds = [[block["type"] for block in message["content"]] for message in made["messages"]]
    assert kinds == [
        ["text"],
        ["thinking", "text", "tool_use", "tool_use"],
        ["tool_result", "tool_result", "text"],
        ["text"],
    ]
    assert made["system"] == "You are terse."
    assert made["messages"][2]["content"][1]["is_error"] is True
    assert "opaque" not in line(made).decode()
    assert made["tools"][0]["input_schema"]["required"] == ["command"]


def test_anthropic_ids_are_mended_and_stay_apart() -> None:
    history = History().user("go").says("", call("a/1"), call("a:1"), call("a_1"), call(""))
    for id in ("a/1", "a:1", "a_1"):
        history.gives(id)
    said = project("anthropic", history.gives("").says("Done.").row())["messages"]
    ids = [block["id"] for block in said[1]["content"]]
    assert ids == ["a_1", "a_1_2", "a_1_3", "call"]
    assert [block["tool_use_id"] for block in said[2]["content"]] == ids


def test_llama_factory_comes_in_pairs_and_keeps_what_is_said_beside_calls() -> None:
    made = project("llama-factory", listing())
    assert [one["from"] for one in made["conversations"]] == [
        "human", "function_call", "observation", "gpt",
    ]  # fmt: skip
    value = made["conversations"][1]["value"]
    thought, _, rest = value.partition("<tool_call>")
    assert thought == "<think>\nneed ls\n</think>\n\nLooking."
    assert [one["name"] for one in json.loads(rest.removesuffix("</tool_call>"))] == [
        "Bash", "Read",
    ]  # fmt: skip
    assert made["conversations"][2]["value"].endswith("no such file\n\nReminder")
    assert made["system"] == "You are terse."
    assert [tool["name"] for tool in json.loads(made["tools"])] == ["Bash", "Read"]
    plain = project("llama-factory", History().user("hi").says("Hello.").user("bye").row())
    assert plain["tools"] == ""
    assert len(plain["conversations"]) == 2


# --- traces and documents ------------------------------------------------------------------


def test_a_session_trace_is_a_file_of_lines() -> None:
    file = named("sts").file
    assert file is not None
    name, data = file(project("sts", CASES["bodies"]()))
    head, *said = [json.loads(one) for one in data.splitlines()]
    assert name == "s1.jsonl"
    assert (head["type"], head["harness"], head["id"]) == ("session", "claude-code", "s1")
    messages = [one["message"] for one in said]
    assert messages[0]["content"].startswith("see\n[image image/png sha256:")
    assert messages[0]["timestamp"] == 1_777_803_073_000
    assert messages[1]["model"] == "m-1"
    assert messages[2]["toolCallId"] == messages[1]["toolCalls"][0]["id"]
    assert reason("sts", History().row()) == "no messages"


@pytest.mark.parametrize("case", CASES)
def test_an_atif_document_gives_the_row_again(case: str) -> None:
    row = CASES[case]()
    document = json.loads(line(project("atif", row)))
    assert line(atif_back.row_of(document)) == line(row)


def test_atif_says_what_it_has_words_for() -> None:
    row = listing()
    row["messages"][0]["at"] = ["s0:1"]
    made = project("atif", row)
    first, user, agent, *_ = made["steps"]
    assert first["is_copied_context"] is True
    assert "is_copied_context" not in user
    assert agent["reasoning_content"] == "need ls"
    assert agent["tool_calls"][0]["arguments"] == {"command": "ls"}
    assert agent["tool_calls"][0]["extra"] == {"arguments": '{"command": "ls"}'}
    assert "extra" not in agent["tool_calls"][1]
    results = agent["observation"]["results"]
    assert [one["source_call_id"] for one in results] == ["c1", "c2"]
    assert results[0]["subagent_trajectory_ref"] == [
        {"trajectory_id": "s7", "session_id": "s7", "trajectory_path": "s7.json"}
    ]
    assert agent["metrics"] == {
        "prompt_tokens": 140,
        "completion_tokens": 9,
        "cached_tokens": 40,
        "extra": {"provider": "anthropic", "request_id": "r1"},
    }
    assert made["agent"]["tool_definitions"] == row["tools"]
    assert made["final_metrics"]["total_steps"] == len(made["steps"]) == 5


def test_atif_totals_leave_out_what_was_said_elsewhere() -> None:
    row = listing()
    whole = project("atif", row)["final_metrics"]
    assert whole["total_prompt_tokens"] == 170
    row["messages"][2]["context"] = True
    made = project("atif", row)
    assert made["steps"][2]["is_copied_context"] is True
    assert "metrics" not in made["steps"][2]
    assert made["final_metrics"] == {
        "total_prompt_tokens": 30, "total_completion_tokens": 5, "total_cached_tokens": 0,
        "total_steps": 5,
    }  # fmt: skip


def test_atif_names_what_is_not_there() -> None:
    said = project("atif", CASES["bodies"]())["steps"][0]["message"]
    assert said[1] == {
        "type": "image",
        "source": {
            "media_type": "image/png",
            "path": "ni:///sha-256;j0NDRmSPa5bfid2pAcUXaxCm2Dlh3TwayItZstwyeqQ",
        },
    }
    assert said[2]["text"].startswith("[file x.pdf application/pdf")
    row = CASES["bodies"]()
    row["messages"][0]["content"][1]["sha256"] = "<SECRET_3fa9c1d2>"
    said = project("atif", row)["steps"][0]["message"]
    assert said[1]["text"] == "[image image/png sha256:<SECRET_3fa9c1d2>, 2 bytes]"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"schema_version": "ATIF-v1.7", "steps": [], "agent": {"name": "x"}},
        {"extra": {"clew": 0, "clew_fields": [["messages"]]}, "agent": {}, "steps": [{}]},
        {"extra": []},
    ],
)
def test_a_document_of_others_is_not_read_back(document: Row) -> None:
    with pytest.raises(Invalid, match="clew import"):
        atif_back.row_of(document)


def test_documents_of_one_session_have_names_of_their_own() -> None:
    file = named("atif").file
    assert file is not None
    row = listing()
    left = row | {"branch": "left", "branch_id": "s1:4"}
    names = [file(project("atif", one))[0] for one in (row, left, row | {"segment": 2}, row)]
    assert len(set(names)) == 3
    assert names[0] == "s1.json"


# --- the page about it ---------------------------------------------------------------------

PAGE = ROOT / "docs" / "training-formats.md"


@pytest.mark.parametrize("format", [*EACH, *FAMILY])
def test_the_examples_on_the_page_are_what_is_written(format: str) -> None:
    text = PAGE.read_text()
    section = re.compile(rf"(?ms)^(## `{format}`\n\n```json\n)(.*?)(^```$)")
    found = section.search(text)
    assert found is not None, f"docs/training-formats.md has no example of {format}"
    made = named(format)
    if made.each is not None:
        shown = made.each(example())
    else:
        assert made.family is not None
        first = next(iter(made.family(branches()))).made
        assert not isinstance(first, Unfit)
        shown = first
    if os.environ.get("CLEW_REGENERATE"):
        PAGE.write_text(section.sub(lambda old: old[1] + laid_out(shown) + old[3], text))
        found = section.search(PAGE.read_text())
        assert found is not None
    assert json.loads(found[2]) == shown


def test_every_reason_is_on_the_page() -> None:
    text = PAGE.read_text()
    source = ROOT / "src" / "clew" / "exporters" / "projections"
    reasons = {
        reason
        for path in source.glob("*.py")
        for reason in re.findall(r'Unfit\(\s*"([^"]+)"', path.read_text())
    }
    assert len(reasons) > 8
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in text] == []


def example() -> Row:
    """The row that the page shows in each format."""
    history = History().user("list files").says("", call("c1"), thinks="need ls")
    return history.gives("c1", "a.txt").says("a.txt").row(tools=[BASH])


def laid_out(row: Row) -> str:
    """A row for readers: a line for each field, and for each element of a list of objects."""
    fields = []
    for name, value in row.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            each = ",\n  ".join(json.dumps(one, ensure_ascii=False) for one in value)
            text = f"[\n  {each}]"
        elif isinstance(value, dict) and len(text) > 100:
            each = ",\n  ".join(
                f"{json.dumps(key)}: {json.dumps(one, ensure_ascii=False)}"
                for key, one in value.items()
            )
            text = f"{{\n  {each}}}"
        fields.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}\n"
