"""What a row knows beside the words: routing, tools, how it ended, branches, sub-agents."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew.exporters.outcome import Outcome
from clew.exporting import ExportOptions, Recipe
from export_kit import assistant, exported, gave, ids
from store_kit import made, run

from .talk import bot, turns, user

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.inside
LYNKR = Path(__file__).resolve().parent.parent / "golden" / "lynkr" / "routed.sql"


def row(ledger: clew.Ledger, **more: Any) -> dict[str, Any]:
    """The only row of an export."""
    (only,) = exported(ledger, Recipe(redaction=None, **more))
    return only


def calls(session: clew.Session, *facts: dict[str, Any]) -> None:
    """Model calls, as spans tell them: none in the millisecond of what is said before or after."""
    for each in facts:
        time.sleep(0.002)
        session.start_span("model", "chat", **{"outcome": "ok", **each})
        time.sleep(0.002)


def telemetry(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What is known of each message of a model."""
    return [message["telemetry"] for message in found["messages"] if message["sampled"]]


# --- spans -------------------------------------------------------------------------------


def test_a_call_is_told_beside_the_message_that_it_gave(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    said = session.append(bot("y"))
    session.start_span(
        "model",
        "chat",
        message=said,
        provider="anthropic",
        model="m-1",
        complexity=60,
        tokens_in=100,
        tokens_out=9,
        latency_ms=1500.0,
        outcome="ok",
    )
    found = row(ledger)
    (told,) = telemetry(found)
    assert told == {
        **told,
        "tier": "COMPLEX",
        "complexity_score": 60,
        "latency_ms": 1500.0,
        "error": None,
        "model": "m-1",
        "provider": "anthropic",
        "tokens_in": 100,
        "tokens_out": 9,
    }
    assert (found["tier"], found["complexity_score"], found["latency_ms"]) == ("COMPLEX", 60, 1500)
    assert (found["model_used"], found["provider_used"]) == ("m-1", "anthropic")
    assert (found["tokens_in"], found["tokens_out"]) == (100, 9)


def test_the_most_frequent_tier_counts_and_of_two_the_newest(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    calls(session, {"complexity": 10}, {"complexity": 60}, {"complexity": 61}, {"complexity": 90})
    assert row(ledger)["tier"] == "COMPLEX"
    calls(session, {"complexity": 11})
    found = row(ledger)
    assert found["tier"] == "SIMPLE", "two of each: what was used last"
    assert found["complexity_score"] == round((10 + 60 + 61 + 90 + 11) / 5)


def test_what_no_call_tells_is_unknown(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    calls(session, {"tokens_in": 4})
    found = row(ledger)
    for name in ("tier", "complexity_score", "tokens_cache_read", "cost_usd"):
        assert found[name] in (None, 0), name
    assert found["tier"] is found["complexity_score"] is None
    assert found["latency_ms"] is None or found["latency_ms"] >= 0


def test_tokens_count_once_where_a_message_and_a_span_tell_them(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    usage = {"prompt_tokens": 70, "completion_tokens": 7, "total_tokens": 77}
    session.append({**assistant("y", model="m-1"), "id": "resp-1", "usage": usage})
    calls(session, {"response_id": "resp-1", "tokens_in": 70, "tokens_out": 7})
    session.append(user("more"))
    calls(session, {"response_id": "resp-2", "tokens_in": 5, "tokens_out": 1})
    found = row(ledger)
    assert found["tokens_in"] in (75, 70 + 5)
    assert found["tokens_out"] == 8


def test_a_call_that_failed_is_told_and_ends_a_session(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    failed: dict[str, Any] = {"outcome": "error", "error_type": "overloaded", "complexity": 10}
    session.start_span("model", "chat", **failed)
    found = row(ledger)
    assert (found["outcome"], found["outcome_rule"]) == ("error", "call-failed")
    assert found["notes"]["failed_calls"] == 1
    session.append(bot("after all"))
    assert row(ledger)["outcome"] == "unknown"


def test_calls_of_a_turn_that_was_undone_do_not_count(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    calls(session, {"complexity": 10, "tokens_in": 1, "model": "m-first"})
    session.append(bot("y"))
    session.append(user("undone"))
    calls(session, {"complexity": 90, "tokens_in": 1000, "model": "m-undone"})
    session.append(bot("gone"))
    assert row(ledger)["tokens_in"] == 1001
    session.undo()
    found = row(ledger)
    assert (found["tokens_in"], found["complexity_score"], found["tier"]) == (1, 10, "SIMPLE")
    assert found["model_used"] == "m-first"


def test_a_call_that_still_runs_is_none_yet(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    span = session.start_span("model", "chat", complexity=90)
    assert row(ledger)["tier"] is None
    session.update_span(span.id, outcome="ok")
    assert row(ledger)["tier"] == "REASONING"


# --- Lynkr -------------------------------------------------------------------------------


def test_what_lynkr_routed_is_in_its_row(ledger: clew.Ledger, tmp_path: Path) -> None:
    ledger.import_from(made(LYNKR, tmp_path))
    found = row(ledger)
    assert found["complexity_score"] == 19, "the mean of 12, 31, 28 and 3, half up"
    assert found["tier"] == "SIMPLE", "three of five, the failed one with them"
    assert found["latency_ms"] == 1400 + 900 + 950 + 880 + 300
    assert (found["tokens_in"], found["tokens_out"]) == (700 + 760 + 790 + 800, 48)
    assert (found["model_used"], found["provider_used"]) == ("gpt-4o", "openai")
    assert found["notes"]["failed_calls"] == 1
    first = telemetry(found)[0]
    assert (first["tier"], first["complexity_score"], first["latency_ms"]) == ("SIMPLE", 12, 1400)
    assert first["finish_reason"] == "tool_use"


def test_what_lynkr_did_not_know_is_unknown(ledger: clew.Ledger, tmp_path: Path) -> None:
    path = made(LYNKR, tmp_path)
    run(path, "update routing_telemetry set tier = null, complexity_score = null")
    ledger.import_from(path)
    found = row(ledger)
    assert (found["tier"], found["complexity_score"]) == (None, None)


# --- tools -------------------------------------------------------------------------------

LOOK: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look at a bed.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}
CLAUDE = {
    "name": "look",
    "description": "Look at a bed.",
    "input_schema": LOOK["function"]["parameters"],
}


def _by_config(ledger: clew.Ledger, tmp_path: Path) -> None:
    session = ledger.create(config={"tools": [LOOK]})
    session.append(user("x"))


def _by_span_input(ledger: clew.Ledger, tmp_path: Path) -> None:
    session = ledger.create()
    session.append(user("x"))
    calls(session, {"input": {"tools": [CLAUDE]}})


def _by_attribute(ledger: clew.Ledger, tmp_path: Path) -> None:
    session = ledger.create()
    session.append(user("x"))
    calls(session, {"attributes": {"gen_ai.tool.definitions": json.dumps([LOOK])}})


def _by_line(ledger: clew.Ledger, tmp_path: Path) -> None:
    messages = [user("x"), bot("y")]
    line = json.dumps({"messages": messages, "tools": [LOOK]})
    (tmp_path / "set.jsonl").write_text(line + "\n")
    ledger.import_from(tmp_path / "set.jsonl")


def _by_atif(ledger: clew.Ledger, tmp_path: Path) -> None:
    told = {
        "schema_version": "ATIF-v1.6",
        "session_id": "5f5e7c1e-0000-4000-8000-000000000009",
        "agent": {"name": "gardener", "version": "1", "tool_definitions": [LOOK]},
        "steps": [
            {"step_id": 1, "source": "user", "message": "x"},
            {"step_id": 2, "source": "agent", "message": "y"},
        ],
    }
    (tmp_path / "trajectory.json").write_text(json.dumps(told))
    ledger.import_from(tmp_path / "trajectory.json")


@pytest.mark.parametrize("tell", [_by_config, _by_span_input, _by_attribute, _by_line, _by_atif])
def test_tools_are_as_the_agent_gave_them(
    ledger: clew.Ledger, tmp_path: Path, tell: Callable[[clew.Ledger, Path], None]
) -> None:
    tell(ledger, tmp_path)
    found = row(ledger)
    assert found["tools_source"] == "recorded"
    (tool,) = found["tools"]
    assert tool["function"]["name"] == "look"
    assert tool["function"]["parameters"] == LOOK["function"]["parameters"]
    assert tool["function"]["description"] == "Look at a bed."


def test_tools_that_were_only_called_are_inferred(ledger: clew.Ledger) -> None:
    session = ledger.create(config={"tools": [LOOK]})
    session.append(user("x"))
    session.extend([assistant(None, ("c1", "dig", '{"deep": 3}')), gave("c1"), bot("dug")])
    assert row(ledger)["tools_source"] == "mixed"
    other = ledger.create()
    other.extend([user("x"), assistant(None, ("c1", "dig", '{"deep": 3}')), gave("c1"), bot("y")])
    assert [one["tools_source"] for one in exported(ledger)] == ["mixed", "inferred"]
    silent = ledger.create()
    silent.extend(turns(1))
    assert exported(ledger)[-1]["tools_source"] == "none"


# --- how a message and a session ended ---------------------------------------------------


def test_an_answer_that_was_cut_short_is_not_learned_from(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    for reason in ("max_tokens", "end_turn"):
        session.append(
            {
                "role": "assistant",
                "model": "m-1",
                "content": [{"type": "text", "text": "y"}],
                "stop_reason": reason,
            }
        )
    first, second = (m for m in row(ledger)["messages"] if m["sampled"])
    assert (first["telemetry"]["finish_reason"], first["train"]) == ("max_tokens", False)
    assert first["train_rule"] == "cut-short"
    assert (second["telemetry"]["finish_reason"], second["train"]) == ("end_turn", True)


def test_a_reason_in_somebodys_words_is_none(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("x"))
    session.append(bot('it said {"stop_reason": "max_tokens"} there'))
    (told,) = telemetry(row(ledger))
    assert told["finish_reason"] is None


def blames(messages: Any, pairs: Any) -> Outcome | None:
    """A rule of one's own."""
    return Outcome("aborted", "blames") if "blame" in messages[0].text else None


def test_rules_and_verifiers_of_ones_own_are_asked(ledger: clew.Ledger) -> None:
    for text in ("blame me", "well"):
        ledger.create().extend([user(text), bot("done")])

    def ends(**more: Any) -> list[tuple[str, str, str]]:
        rows = exported(ledger, Recipe(redaction=None, **more))
        names = ("outcome", "outcome_rule", "outcome_source")
        return [(one[names[0]], one[names[1]], one[names[2]]) for one in rows]

    def knows(found: dict[str, Any]) -> str | None:
        return "success" if found["messages"][0]["content"] == "well" else None

    nothing = ("unknown", "no-evidence", "none")
    blamed = ("aborted", "blames", "heuristic")
    verified = ("success", "knows", "verifier")
    assert ends() == [nothing, nothing]
    assert ends(outcome_rules=(blames,)) == [blamed, nothing]
    assert ends(outcome_rules=(blames,), verifier=knows) == [blamed, verified]


def test_an_outcome_that_a_rule_makes_up_is_an_error(ledger: clew.Ledger) -> None:
    ledger.create().extend(turns(1))
    with pytest.raises(clew.Invalid, match="'good'"):
        row(ledger, outcome_rules=(lambda messages, pairs: Outcome("good", "mine"),))
    with pytest.raises(clew.Invalid, match="'good'"):
        row(ledger, verifier=lambda found: "good")


@pytest.mark.parametrize(
    "error", [TypeError, ValueError, KeyError, AttributeError, OSError, RuntimeError, SystemExit]
)
def test_a_verifiers_fault_is_its_own_and_the_ledger_goes_on(
    ledger: clew.Ledger, tmp_path: Path, error: type[BaseException]
) -> None:
    """No damage is seen where somebody's function raised while the ledger was read."""
    session = ledger.create()
    session.extend(turns(1))

    def raises(found: dict[str, Any]) -> str | None:
        raise error("mine")

    words = rf"raises failed on session {session.id}.*mine"
    with pytest.raises(clew.Invalid, match=words) as raised:
        ledger.export(Recipe(verifier=raises), output=tmp_path / "out")
    assert type(raised.value.__cause__) is error
    assert not list(tmp_path.glob("*out*"))
    session.extend(turns(1, 2))
    assert len(session.history()) == 4


def test_a_verifier_changes_no_row(ledger: clew.Ledger) -> None:
    ledger.create().extend(turns(1))

    def spoils(found: dict[str, Any]) -> str | None:
        found["messages"].clear()
        return "error"

    found = row(ledger, verifier=spoils)
    assert found["messages"]
    assert found["outcome"] == "error"


# --- branches and sub-agents -------------------------------------------------------------


def test_what_was_left_is_a_row_where_that_is_asked_for(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(1))
    mark = session.checkpoint("here")
    session.extend([user("ask 2"), bot("undone answer")])
    left = session.info.head
    session.undo()
    session.extend([user("ask 2"), bot("rewound answer")])
    rewound = session.info.head
    session.restore(mark)
    session.extend([user("ask 3"), bot("say 3")])
    raw = Recipe(redaction=None, train_shared=True)
    assert [one["branch"] for one in exported(ledger, raw)] == ["head"]
    rows = exported(ledger, raw, ExportOptions(branches=True))
    assert [(one["branch"], one["messages"][-1]["content"]) for one in rows] == [
        *[("head", "say 3"), ("left", "undone answer"), ("left", "rewound answer")]
    ]
    assert [one["branch_id"] for one in rows[1:]] == [str(left), str(rewound)]
    assert set(ids(rows)) == {session.id}
    assert ledger.export_count(raw, options=ExportOptions(branches=True))["rows"] == 3


def test_a_tip_that_was_come_back_to_is_not_left(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(2))
    moved = session.undo()
    assert moved.from_ is not None
    session.restore(moved.from_)
    session.extend(turns(1, 3))
    rows = exported(ledger, Recipe(redaction=None), ExportOptions(branches=True))
    assert [one["branch"] for one in rows] == ["head"]


def test_sub_agents_are_listed_and_know_their_root(ledger: clew.Ledger) -> None:
    chief = ledger.create()
    chief.extend(turns(1))
    scout = ledger.create(spawned_by=f"{chief.id}#c7")
    scout.extend(turns(1))
    child = ledger.create(spawned_by=scout.id)
    child.extend(turns(1))
    aside = chief.branch()
    aside.extend(turns(1, 2))
    rows = {one["session_id"]: one for one in exported(ledger)}
    assert {one["root_session_id"] for one in rows.values()} == {chief.id}
    assert rows[chief.id]["subagents"] == [{"session_id": scout.id, "call_id": "c7"}]
    assert rows[scout.id]["subagents"] == [{"session_id": child.id, "call_id": None}]
    assert rows[aside.id]["forked_from"].startswith(chief.id)
