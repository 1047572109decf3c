"""Spans: what took time is written when it starts and when it ends, and told exactly once."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

import clew
from clew import events
from clew.log import look_head

from .talk import behind, bot, file_of, inner, result, turns, user

UNKNOWN: dict[str, Any] = {"input": None, "output": None, "attributes": {}}

TOOL: dict[str, Any] = {
    "input": {"path": "a.txt", "lines": [1, 2]},
    "chat": "planning",
    "call_id": "call_1",
    "parent": "p" * 32,
    "batch": "b1",
    "attempt": 2,
    "effect": "external",
    "started_us": 1_700_000_000_000_000,
    "attributes": {"region": "eu", "nested": {"a": [None, 1.5]}},
}
ENDED: dict[str, Any] = {
    "outcome": "error",
    "output": "no such file",
    "error": "it is not there",
    "error_type": "FileNotFoundError",
    "latency_ms": 12.345,
    "tokens_used": 10,
    "cache_tokens": 4,
    "reasoning_tokens": 3,
}
MODEL: dict[str, Any] = {
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "tier": "COMPLEX",
    "complexity": 60,
    "request_type": "chat",
    "fallback": True,
    "retries": 2,
    "tokens_in": 1000,
    "tokens_out": 200,
    "cache_read": 30,
    "cache_write": 40,
    "reasoning": 50,
    "first_token_ms": 250.5,
    "latency_ms": 1500.0,
    "cost": 0.25,
    "status_code": 200,
    "response_id": "msg_1",
    "outcome": "ok",
}


def facts(span: clew.Span) -> dict[str, Any]:
    """A span as a dict."""
    return msgspec.structs.asdict(span)


def items(ledger: clew.Ledger, session: clew.Session) -> list[events.Item]:
    """The session's entries and events in their one order."""
    near = inner(ledger)
    with near._database.read() as tx:
        return events.since(tx, look_head(tx, near.get(session.id)._key), 0, 10_000)


# --- every field -------------------------------------------------------------------------


def test_a_tool_trace_has_every_field(ledger: clew.Ledger) -> None:
    session = ledger.create()
    asked = session.append(user("read it"))
    begun = session.start_span("tool", "read_file", message=asked, **TOOL)
    assert (begun.status, begun.outcome, begun.finished_us) == ("running", None, None)
    assert begun.input_bytes == len(b'{"path":"a.txt","lines":[1,2]}')
    ended = session.update_span(begun.id, **ENDED)
    whole = session.span(begun.id)
    assert facts(ended) == {**facts(whole), **UNKNOWN}
    wanted = {**TOOL, **ENDED, "message": asked.position, "kind": "tool", "name": "read_file"}
    del wanted["outcome"]
    told = facts(whole)
    assert {name: told[name] for name in wanted} == wanted
    assert whole.outcome == whole.status == "error"
    assert whole.finished_us == TOOL["started_us"] + 12_345
    assert (whole.session, whole.turn, whole.ordinal) == (session.id, 1, 1)
    assert (whole.sequence, whole.output_bytes) == (2, len(b'"no such file"'))
    assert abs(whole.created_ms - begun.created_ms) == 0
    assert whole.late is None


def test_a_model_call_has_every_field(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("model", "chat", **MODEL)
    told = facts(session.span(span.id))
    wanted = {name: value for name, value in MODEL.items() if name != "outcome"}
    assert {name: told[name] for name in wanted} == wanted
    assert (span.outcome, span.kind, span.turn) == ("ok", "model", 0)
    assert told["finished_us"] == told["started_us"] + 1_500_000


@pytest.mark.parametrize(
    ("score", "tier"),
    [
        *((0, "SIMPLE"), (19, "SIMPLE"), (20, "MEDIUM"), (50, "MEDIUM"), (51, "COMPLEX")),
        *((75, "COMPLEX"), (76, "REASONING"), (100, "REASONING"), (400, "REASONING")),
    ],
)
def test_the_tier_follows_from_the_score(ledger: clew.Ledger, score: int, tier: str) -> None:
    session = ledger.create()
    assert session.start_span("model", "m", complexity=score).tier == tier
    assert session.start_span("model", "m", complexity=score, tier="own").tier == "own"


def test_what_nobody_told_stays_unknown(ledger: clew.Ledger) -> None:
    told = facts(ledger.create().start_span("other", "x"))
    known = {"id", "session", "kind", "name", "turn", "ordinal", "sequence", "status"}
    known |= {"started_us", "created_ms", "attempt", "attributes"}
    assert {name for name, value in told.items() if value is not None} == known


# --- start and finish --------------------------------------------------------------------


def test_an_unknown_id_is_not_found(ledger: clew.Ledger) -> None:
    one, other = ledger.create(), ledger.create()
    span = one.start_span("tool", "x")
    for session, id in ((one, "nobody"), (other, span.id)):
        with pytest.raises(clew.NotFound, match=id):
            session.span(id)
        with pytest.raises(clew.NotFound, match=id):
            session.update_span(id, outcome="ok")
        with pytest.raises(clew.NotFound, match=id):
            session.update_span(id)


def test_an_empty_update_gives_the_row_and_records_nothing(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x", chat="c")
    before = len(items(ledger, session))
    assert session.update_span(span.id) == span
    assert session.update_span(span.id, chat=None, outcome=None) == span
    assert len(items(ledger, session)) == before


def test_the_same_outcome_again_changes_nothing_and_another_is_a_conflict(
    ledger: clew.Ledger,
) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x")
    first = session.update_span(span.id, outcome="ok", output=1)
    count = len(items(ledger, session))
    assert session.update_span(span.id, outcome="ok", output=2) == first
    for other in ("error", "timeout", "abandoned"):
        with pytest.raises(clew.Conflict, match="ended as 'ok'"):
            session.update_span(span.id, outcome=other)
    assert session.span(span.id).output == 1
    assert len(items(ledger, session)) == count


def test_what_comes_after_giving_up_is_kept_as_late(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x")
    gone = session.update_span(span.id, outcome="abandoned")
    assert (gone.status, gone.late, gone.latency_ms) == ("abandoned", None, None)
    late = session.update_span(span.id, outcome="ok", output="came", latency_ms=7)
    assert (late.status, late.late, late.latency_ms) == ("abandoned", "ok", 7)
    assert session.span(span.id).output == "came"
    count = len(items(ledger, session))
    assert session.update_span(span.id, outcome="ok") == late
    assert session.update_span(span.id, outcome="abandoned") == late
    with pytest.raises(clew.Conflict, match="ended as 'ok'"):
        session.update_span(span.id, outcome="error")
    assert len(items(ledger, session)) == count


def test_waiting_for_a_person_and_going_on(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x", waiting=True)
    assert (span.status, span.outcome) == ("waiting", None)
    assert session.update_span(span.id, waiting=False).status == "running"
    assert session.update_span(span.id, waiting=True).status == "waiting"
    assert [s.id for s in session.spans(outcome="waiting")] == [span.id]
    assert session.update_span(span.id, outcome="denied").status == "denied"
    assert session.update_span(span.id, waiting=True).status == "denied"


def test_an_outcome_may_be_given_at_the_start(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("command", "make", outcome="ok", output="done")
    assert (span.outcome, span.status) == ("ok", "ok")
    assert span.finished_us is not None
    assert span.latency_ms is not None
    assert len(items(ledger, session)) == 1
    with pytest.raises(clew.Conflict):
        session.update_span(span.id, outcome="error")


def test_a_duration_follows_from_the_end_and_the_end_from_a_duration(ledger: clew.Ledger) -> None:
    session = ledger.create()
    by_end = session.start_span("tool", "x", started_us=1000, finished_us=3500, outcome="ok")
    by_length = session.start_span("tool", "x", started_us=1000, latency_ms=2.5, outcome="ok")
    assert (by_end.latency_ms, by_length.finished_us) == (2.5, 3500)
    both: dict[str, Any] = {"started_us": 1000, "finished_us": 9000, "latency_ms": 1}
    clocks = session.start_span("tool", "x", outcome="ok", **both)
    assert (clocks.finished_us, clocks.latency_ms) == (9000, 1)
    back = session.start_span("tool", "x", started_us=5000, finished_us=1000, outcome="ok")
    assert back.latency_ms == 0  # the clock was put back


def test_a_span_stays_in_the_turn_of_its_start(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x", turn=7)
    assert span.turn == 7
    with pytest.raises(clew.Invalid, match="turn"):
        session.update_span(span.id, turn=8)
    assert session.update_span(span.id, outcome="ok").turn == 7


def test_what_is_told_later_joins_what_was_told(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x", input=1, attributes={"a": 1, "b": 1})
    session.update_span(span.id, attributes={"b": 2, "c": 3})
    session.update_span(span.id, outcome="ok", output=2, attributes={"d": 4})
    session.update_span(span.id, tokens_used=5)  # known only after the end
    whole = session.span(span.id)
    assert whole.attributes == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert (whole.input, whole.output, whole.tokens_used) == (1, 2, 5)


# --- many at once ------------------------------------------------------------------------


def draft(id: str, kind: str = "tool", **values: Any) -> clew.SpanDraft:
    """A span on its way in."""
    return clew.SpanDraft(kind, "x", values, id)


def test_recording_again_records_nothing(ledger: clew.Ledger) -> None:
    session = ledger.create()
    made = [draft(f"s{n}", outcome="ok", latency_ms=n) for n in range(5)]
    first = session.record_spans(made)
    assert [span.id for span in first] == ["s0", "s1", "s2", "s3", "s4"]
    assert [span.ordinal for span in first] == [1, 2, 3, 4, 5]
    assert session.record_spans([draft("s2", outcome="error"), *made[::-1]]) == [
        first[2],
        *first[::-1],
    ]
    assert len(items(ledger, session)) == 5
    assert session.record_spans([]) == []


def test_recording_ends_one_that_runs_and_keeps_its_start(ledger: clew.Ledger) -> None:
    session = ledger.create()
    begun = session.start_span("tool", "x", id="s", started_us=1000)
    assert session.record_spans([draft("s")]) == [begun]
    (ended,) = session.record_spans([draft("s", outcome="ok", output=1, turn=9)])
    assert (ended.outcome, ended.started_us, ended.turn) == ("ok", 1000, 0)
    assert session.record_spans([draft("s", outcome="error")]) == [ended]


def test_start_and_end_may_come_in_one_batch(ledger: clew.Ledger) -> None:
    session = ledger.create()
    start, end = draft("s", started_us=5), draft("s", outcome="ok", output=3)
    both = session.record_spans([start, end, draft("t", outcome="ok"), end])
    assert [(span.id, span.outcome) for span in both] == [
        ("s", "ok"),
        ("s", "ok"),
        ("t", "ok"),
        ("s", "ok"),
    ]
    assert (both[0].started_us, session.span("s").output) == (5, 3)


def test_recording_keeps_a_late_end(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.start_span("tool", "x", id="s")
    session.update_span("s", outcome="abandoned")
    (late,) = session.record_spans([draft("s", outcome="ok")])
    assert (late.status, late.late) == ("abandoned", "ok")
    assert session.record_spans([draft("s", outcome="error")]) == [late]


def test_an_id_belongs_to_one_session_of_a_project(ledger: clew.Ledger) -> None:
    one, other = ledger.create(), ledger.create()
    elsewhere = ledger.create(project="elsewhere")
    one.start_span("tool", "x", id="s")
    assert elsewhere.start_span("tool", "x", id="s").session == elsewhere.id
    with pytest.raises(clew.Conflict, match="another session"):
        other.record_spans([draft("t"), draft("s", outcome="ok")])
    assert other.spans() == []
    assert one.span("s").outcome is None


def test_starting_again_gives_the_span_that_is_there(ledger: clew.Ledger) -> None:
    session = ledger.create()
    first = session.start_span("tool", "x", id="s", call_id="c")
    assert session.start_span("tool", "y", id="s", call_id="d") == first


# --- where it stands ---------------------------------------------------------------------


def test_turns_and_ordinals_follow_the_path(ledger: clew.Ledger) -> None:
    session = ledger.create()

    def at() -> tuple[int, int]:
        span = session.start_span("tool", "x", outcome="ok")
        return span.turn, span.ordinal

    assert at() == (0, 1)
    session.extend(turns(2))
    assert [at(), at()] == [(2, 1), (2, 2)]
    mark = session.checkpoint("two")
    session.extend(turns(2, 3))
    assert at() == (4, 1)
    session.restore(mark)
    assert at() == (2, 3)
    session.append(user("another third"))
    assert at() == (3, 1)
    session.undo()
    assert at() == (2, 4)
    session.clear()
    assert at() == (0, 2)
    session.append(user("anew"))
    assert at() == (1, 1)


def test_turns_go_on_in_branches_and_transfers(ledger: clew.Ledger) -> None:
    session = ledger.session(frontend="a", user="u")
    session.extend(turns(3))
    fork = session.branch(session.entry(4))
    assert fork.start_span("tool", "x").turn == 2
    fork.append(user("here"))
    assert fork.start_span("tool", "x").turn == 3
    deeper = fork.branch()
    assert deeper.start_span("tool", "x").turn == 3
    taken = session.transfer_to(frontend="b", user="u")
    assert taken.start_span("tool", "x").turn == 3
    taken.append(user("there"))
    assert taken.start_span("tool", "x").turn == 4
    assert session.start_span("tool", "x").turn == 3
    assert ledger.verify().ok


def test_a_compaction_keeps_the_turn(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.extend(turns(3))
    session.compact(summary="s", keep_from=session.entry(5))
    assert session.start_span("tool", "x").turn == 3


def test_results_and_context_begin_no_turn(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("go"))
    session.append(result("c1"))
    session.append(bot("done"))
    assert session.start_span("tool", "x").turn == 1


GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "claude_code"


@pytest.mark.inside
@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.jsonl")))
def test_imported_entries_have_turns_and_a_place_in_the_order(
    ledger: clew.Ledger, name: str
) -> None:
    ledger.import_from(GOLDEN / name)
    for info in ledger.sessions(spawned=True):
        session = ledger.get(info.id)
        found = items(ledger, session)
        assert [item.sequence for item in found] == list(
            range(found[0].sequence, found[0].sequence + len(found))
        )
        moves = [item for item in found if item.event is not None and item.event.kind == "head"]
        assert len(moves) == len(session.moves())
        on_path = {at for message in session.history() for at in message.at}
        prompts = sum(
            item.entry.position in on_path and item.entry.role == "user"
            for item in found
            if item.entry is not None and item.entry.kind == "message"
        )
        span = session.start_span("tool", "x", outcome="ok")
        if info.forked_from is None:
            assert span.turn == prompts
        session.append(user("and on"))
        assert session.start_span("tool", "x").turn == span.turn + 1


def test_entries_and_events_share_one_order(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("1"))
    span = session.start_span("tool", "x")
    session.append(bot("2"))
    session.checkpoint()
    session.update_span(span.id, tokens_used=1)
    session.append(user("3"))
    session.update_span(span.id, outcome="ok")
    told = [
        (item.sequence, item.entry.seq if item.entry else item.event.kind if item.event else None)
        for item in items(ledger, session)
    ]
    assert told == [
        (1, 1),
        (2, "start"),
        (3, 2),
        (4, "checkpoint"),
        (5, "update"),
        (6, 3),
        (7, "finish"),
    ]
    near = inner(ledger)
    place = near.get(session.id)._key
    with near._database.read() as tx, pytest.raises(clew.Invalid, match="begin again from 0"):
        events.since(tx, look_head(tx, place), 8, 10)


# --- listing -----------------------------------------------------------------------------


def test_filters_and_pages(ledger: clew.Ledger) -> None:
    session = ledger.create()
    made = []
    for number in range(12):
        session.append(user(f"ask {number}"))
        kind, name = ("tool", "ls") if number % 3 else ("model", "m")
        outcome = ("ok", "error", None)[number % 3]
        made.append(
            session.start_span(
                kind, name, chat=f"c{number % 2}", call_id=f"i{number}", outcome=outcome
            )
        )
    assert session.spans() == made
    assert session.spans(kind="model") == made[::3]
    assert session.spans(tool="ls") == [s for s in made if s.kind == "tool"]
    assert session.spans(outcome="error") == made[1::3]
    assert session.spans(outcome="running") == made[2::3]
    assert session.spans(turn=5) == [made[4]]
    assert session.spans(chat="c1", tool="ls", outcome="error") == [made[1], made[7]]
    assert session.spans(call_id="i3") == [made[3]]
    assert session.spans(tool="none") == []
    paged: list[clew.Span] = []
    while page := session.spans(after=paged[-1].sequence if paged else 0, limit=5):
        paged += page
    assert paged == made


@pytest.mark.parametrize(
    "odd",
    [
        *({"limit": 0}, {"limit": "1"}, {"after": -1}, {"after": 2**70}, {"after": "x"}),
        {"turn": -1},
        {"turn": "1"},
        {"turn": True},
        {"kind": "a\0"},
        {"chat": 5},
        {"tool": "\ud800"},
    ],
)
def test_odd_filters_are_refused(ledger: clew.Ledger, odd: dict[str, Any]) -> None:
    with pytest.raises(clew.Invalid):
        ledger.create().spans(**odd)


def test_many_threads_and_handles_keep_one_order(ledger: clew.Ledger) -> None:
    session = ledger.create()

    def work(name: str) -> None:
        handle = ledger.get(session.id)
        for number in range(8):
            with handle.turn(name=name) as turn, turn.tool(f"{name}{number}") as call:
                handle.append(user(f"{name} {number}"))
                call.output = number

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = items(ledger, session)
    assert [item.sequence for item in found] == list(range(1, 4 * 8 * 5 + 1))
    assert {span.outcome for span in session.spans()} == {"ok"}
    assert len(session.spans()) == 64
    assert ledger.trace_failures == 0


# --- what it cost ------------------------------------------------------------------------


def total(ledger: clew.Ledger) -> tuple[int, int, int, int]:
    """Calls, tokens in and out, calls of unknown cost; of all days."""
    rows = ledger.usage(by="project")
    return (
        sum(row.calls for row in rows),
        sum(row.input for row in rows),
        sum(row.output for row in rows),
        sum(row.cost_unknown for row in rows),
    )


def test_a_price_gives_the_cost_and_without_one_it_stays_unknown(ledger: clew.Ledger) -> None:
    session = ledger.create()
    tokens: dict[str, Any] = {"tokens_in": 1_000_000, "tokens_out": 0, "outcome": "ok"}
    known = session.start_span("model", "m", model="claude-sonnet-4-5", **tokens)
    price = ledger.prices.cost(None, "claude-sonnet-4-5", 1_000_000, 0)
    assert price is not None
    assert known.cost == price > 0
    own = session.start_span("model", "m", model="claude-sonnet-4-5", cost=0.0, **tokens)
    assert own.cost == 0.0
    assert session.start_span("model", "m", model="nobody-1", **tokens).cost is None
    silent = session.start_span("model", "claude-sonnet-4-5", outcome="ok")
    assert silent.cost is None
    assert session.update_span(silent.id, tokens_in=1_000_000, tokens_out=0).cost == price
    tool = session.start_span("tool", "claude-sonnet-4-5", **tokens)
    assert tool.cost is None
    assert total(ledger) == (4, 4_000_000, 0, 1)


def answer(id: str = "msg_7", tokens: int = 100) -> dict[str, Any]:
    """A model's message that tells what it used."""
    usage = {"input_tokens": tokens, "output_tokens": 5}
    content = [{"type": "text", "text": "hi"}]
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": content,
        "usage": usage,
    }


USED: dict[str, Any] = {"tokens_in": 100, "tokens_out": 5, "model": "m-1"}


def test_a_call_counts_once_whoever_tells_of_it(ledger: clew.Ledger) -> None:
    session = ledger.create()
    by_span = session.start_span("model", "m", outcome="ok", **USED)
    assert total(ledger)[:3] == (1, 100, 5)
    session.append(answer("msg_message"))
    assert total(ledger)[:3] == (2, 200, 10)
    session.start_span("model", "m", response_id="msg_both", outcome="ok", **USED)
    session.append(answer("msg_both"))
    assert total(ledger)[:3] == (3, 300, 15)
    session.append(answer("msg_later"))
    session.start_span("model", "m", response_id="msg_later", outcome="ok", **USED)
    assert total(ledger)[:3] == (4, 400, 20)
    linked = session.append(answer("msg_linked"))
    session.start_span("model", "m", message=linked, outcome="ok", **USED)
    assert total(ledger)[:3] == (5, 500, 25)
    assert by_span.response_id is None
    assert ledger.verify().ok


def test_a_call_counts_once_when_its_message_becomes_known_later(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("model", "m", outcome="ok", **USED)
    entry = session.append(answer())
    assert total(ledger)[0] == 2  # nobody said that they are one
    session.update_span(span.id, message=entry)
    assert total(ledger)[:3] == (1, 100, 5)
    other = session.start_span("model", "m", outcome="ok", **USED)
    session.update_span(other.id, response_id="r1")
    third = session.start_span("model", "m", response_id="r1", outcome="ok", **USED)
    assert total(ledger)[:3] == (2, 200, 10)
    session.update_span(third.id, message=entry)
    assert total(ledger)[:3] == (2, 200, 10)
    assert ledger.verify().ok


def test_two_attempts_for_one_message_are_two_calls(ledger: clew.Ledger) -> None:
    session = ledger.create()
    entry = session.append(bot("at last"))
    for outcome in ("error", "ok"):
        session.start_span("model", "m", message=entry, outcome=outcome, **USED)
    assert total(ledger)[:3] == (2, 200, 10)


def test_only_what_ended_counts_and_what_ends_late_counts_too(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("model", "m", **USED)
    assert total(ledger)[0] == 0
    session.update_span(span.id, outcome="abandoned")
    assert total(ledger)[0] == 0
    session.update_span(span.id, outcome="ok", tokens_in=150)
    assert total(ledger)[:3] == (1, 150, 5)


# --- bodies ------------------------------------------------------------------------------


def test_big_bodies_go_by_blob_and_come_back_as_they_are(ledger: clew.Ledger) -> None:
    session = ledger.create()
    big = {"text": "häßlich \u2028 \x00 '\"\\ " * 1000, "n": [1.5, -0.0, 2**53]}
    text = msgspec.json.encode(big)
    span = session.start_span("tool", "x", input=big)
    session.update_span(span.id, outcome="ok", output=big)
    whole = session.span(span.id)
    assert (whole.input, whole.output) == (big, big)
    assert (whole.input_bytes, whole.output_bytes) == (len(text), len(text))
    for item in items(ledger, session):
        assert item.event is not None
        assert item.event.body is not None
        assert text in item.event.body
    assert behind(ledger, "select count(*) from event where blob is not null") == [(2,)]
    assert behind(ledger, "select count(*) from event where body is not null") == [(0,)]


ODD_CONTENT = [
    "nul \0 in it",
    "half \ud83d an emoji",
    {"deep \udc00": ["\ud800"]},
    2**70,
    -(2**70),
    {"1": 1, 1: 2},
    "",
    [],
    {},
    False,
    0,
    "\u2028\u2029\x7f",
]


@pytest.mark.parametrize("content", ODD_CONTENT, ids=repr)
def test_odd_content_is_kept(ledger: clew.Ledger, content: Any) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x", input=content, attributes={"a": content})
    session.update_span(span.id, outcome="ok", output=content)
    whole = session.span(span.id)
    assert whole.input == whole.output == whole.attributes["a"]
    if not isinstance(content, str | dict | list) or content in ("", [], {}):
        assert whole.input == content
    assert whole.input_bytes == whole.output_bytes
    assert ledger.verify().ok


def test_odd_words_of_an_error_are_kept(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x", outcome="error", error="no \0 file \udcff")
    assert span.error == "no \ufffd file \\udcff"


HUGE = 10**4400
ODD = [
    ("input", math.nan),
    ("output", [math.inf]),
    ("attributes", {"a": {"b": -math.inf}}),
    ("input", object()),
    ("output", HUGE),
    ("attributes", [1]),
    ("attributes", "text"),
    ("name", "a\0b"),
    ("name", 5),
    ("chat", "\ud800"),
    ("call_id", "x" * 600),
    ("parent", ""),
    ("batch", b"bytes"),
    ("error", 5),
    ("error_type", "a\0"),
    ("provider", "\udfff"),
    ("effect", "sometimes"),
    ("effect", ["none"]),
    ("outcome", "fine"),
    ("outcome", {}),
    ("outcome", "running"),
    ("waiting", 1),
    ("fallback", "yes"),
    ("attempt", -1),
    ("attempt", 1.5),
    ("retries", True),
    ("tokens_in", 2**63),
    ("tokens_out", HUGE),
    ("started_us", -5),
    ("finished_us", "now"),
    ("latency_ms", -0.1),
    ("latency_ms", math.nan),
    ("latency_ms", math.inf),
    ("latency_ms", True),
    ("first_token_ms", "5"),
    ("cost", -1),
    ("cost", math.nan),
    ("cost", False),
    ("status_code", -1),
    ("message", "somewhere"),
    ("message", "abc:" + "9" * 30),
    ("message", 7),
    ("nonsense", 1),
    ("owner", 1),
    ("sequence", 1),
    ("latency_us", 1),
]


@pytest.mark.parametrize(
    ("name", "value"), ODD, ids=lambda value: repr(value)[:20] if value is not HUGE else "huge"
)
def test_odd_values_are_refused_by_name(ledger: clew.Ledger, name: str, value: Any) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x")
    told = {name: value}
    title = told.pop("name", "y")
    for verb in (
        lambda: session.start_span("tool", title, **told),
        lambda: session.update_span(span.id, **{name: value}),
        lambda: session.record_spans([clew.SpanDraft("tool", title, told)]),
    ):
        with pytest.raises(clew.Invalid, match=name) as caught:
            verb()
        assert len(str(caught.value)) < 1000
    assert session.spans() == [span]


@pytest.mark.parametrize("kind", ["", "tools", None, 5, []])
def test_an_unknown_kind_is_refused(ledger: clew.Ledger, kind: Any) -> None:
    with pytest.raises(clew.Invalid, match="kind"):
        ledger.create().start_span(kind, "x")


@pytest.mark.parametrize("id", ["a\0b", "\ud800", "x" * 600, 5])
def test_an_odd_id_is_refused(ledger: clew.Ledger, id: Any) -> None:
    session = ledger.create()
    with pytest.raises(clew.Invalid):
        session.start_span("tool", "x", id=id)
    if not isinstance(id, str) or len(id) < 10:
        with pytest.raises(clew.Invalid):
            session.span(id)
        with pytest.raises(clew.Invalid):
            session.update_span(id, outcome="ok")


def test_long_random_names_are_kept(ledger: clew.Ledger) -> None:
    session = ledger.create()
    text = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(200))
    span = session.start_span("tool", text * 20, id=text, call_id=text, chat=text * 20)
    session.update_span(text, tokens_used=1)
    assert session.spans(call_id=text)[0].id == span.id == text


# --- sessions that are closed to others --------------------------------------------------


def test_an_archive_and_a_lease_do_not_forbid_to_say_what_ran(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x")
    ledger.archive(session.id)
    session.update_span(span.id, outcome="ok")
    ledger.archive(session.id, archived=False)
    other = ledger.get(session.id)
    with session.lease("me"):
        begun = other.start_span("tool", "y")
        assert other.update_span(begun.id, outcome="ok").outcome == "ok"


def test_an_erased_session_takes_none(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x")
    ledger.erase(session.id)
    again = ledger.get(session.id)
    with pytest.raises(clew.Stale, match="erased"):
        again.update_span(span.id, outcome="ok")
    with pytest.raises(clew.Stale, match="erased"):
        again.record_spans([draft("s", outcome="ok")])


WORDS = ("zebraname", "zebrainput", "zebraoutput", "zebraerror", "zebrachat", "zebrabatch")


def test_erase_leaves_no_word_of_a_span(ledger: clew.Ledger, url: str) -> None:
    kept, gone = ledger.create(), ledger.create()
    kept.start_span("tool", "keptname", input="keptinput", outcome="ok")
    gone.append(user("x"))
    for size in (1, 2000):
        span = gone.start_span(
            "tool",
            "zebraname",
            input="zebrainput" * size,
            chat="zebrachat",
            batch="zebrabatch",
            call_id="zebracall",
            request_type="zebratype",
        )
        gone.update_span(span.id, output="zebraoutput" * size, error="zebraerror")
        gone.update_span(span.id, outcome="error", attributes={"zebrakey": "zebravalue"})
    entry = gone.append(answer("zebraresponse"))
    gone.start_span("model", "m", message=entry, outcome="ok", **USED)
    gone.start_span("model", "m", response_id="zebraid", outcome="ok", **USED)
    counted = total(ledger)
    branch = gone.branch()
    branch.start_span("model", "m", message=entry, outcome="ok", **USED)
    ledger.erase(gone.id, with_branches=True)
    assert total(ledger) == counted
    (blank, *_rest) = ledger.get(gone.id).spans()
    assert (blank.name, blank.error, blank.call_id, blank.status) == ("", None, None, "error")
    assert ledger.get(gone.id).span(blank.id).input is None
    assert ledger.verify().ok
    assert kept.spans()[0].name == "keptname"
    dumped = repr([behind(ledger, f"select * from {table}") for table in ("event", "span", "blob")])
    assert "zebra" not in dumped
    file = file_of(url)
    if file is not None:
        for path in (file, file.with_name(file.name + "-wal")):
            data = path.read_bytes() if path.exists() else b""
            assert b"zebra" not in data
        assert b"keptinput" in file.read_bytes()


def test_a_branch_tells_nothing_of_the_message_that_was_erased(ledger: clew.Ledger) -> None:
    session, other = ledger.create(), ledger.create()
    entry = session.append(answer())
    other.start_span("model", "m", message=entry, outcome="ok", **USED)
    ledger.erase(session.id)
    assert ledger.verify().ok
    other.start_span("model", "m", message=entry, outcome="ok", **USED)
    assert ledger.verify().ok


# --- copies and figures ------------------------------------------------------------------


@pytest.mark.inside
def test_a_backup_carries_spans_events_owners_and_tokens(
    ledger: clew.Ledger, tmp_path: Path
) -> None:
    session = ledger.create()
    session.extend(turns(2))
    begun = session.start_span("tool", "x", input="i" * 9000, attributes={"a": 1})
    session.update_span(begun.id, outcome="ok", output="o" * 9000)
    open_one = session.start_span("tool", "still")
    session.start_span("model", "m", outcome="ok", **USED)
    session.checkpoint()
    session.snapshot({"step": 1})
    token = ledger.create_token("me", ["session:read"])
    path = ledger.backup(tmp_path / "copy.db")
    with clew.open(path) as copy:
        same = copy.get(session.id)
        assert same.spans() == session.spans()
        assert same.span(begun.id) == session.span(begun.id)
        assert items(copy, same) == items(ledger, session)
        assert copy.tokens() == ledger.tokens()
        assert behind(copy, "select pid, started from owner order by key") == behind(
            ledger, "select pid, started from owner order by key"
        )
        assert copy.usage(by="model") == ledger.usage(by="model")
        assert same.update_span(open_one.id, outcome="ok").outcome == "ok"
        assert same.start_span("tool", "after").ordinal == 4
        assert copy.verify().ok
        assert token.info.id == copy.tokens()[0].id


def test_stats_count_spans(ledger: clew.Ledger) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x")
    session.start_span("tool", "y", outcome="ok")
    session.start_span("tool", "z", waiting=True)
    told = ledger.stats()
    assert (told.spans, told.spans_running, told.spans_lost) == (3, 2, 0)
    session.update_span(span.id, outcome="ok")
    assert ledger.stats().spans_running == 1


@pytest.mark.damaged
@pytest.mark.parametrize(
    "statement",
    [
        "update span set name = 'other'",
        "update span set status = 'ok'",
        "update span set ordinal = 9",
        "update span set turn = 9",
        "update span set input_bytes = 1",
        "update span set cost = 1",
        "delete from span",
        "delete from event where kind = 'finish'",
        "update event set ref = 'x'",
        "update event set turn = 4",
        "update usage set input = 1",
        "delete from usage",
        "update head set events = events + 1",
    ],
)
def test_verify_names_a_change_behind_the_back(ledger: clew.Ledger, statement: str) -> None:
    session = ledger.create()
    span = session.start_span("model", "m", input="in", **USED)
    session.update_span(span.id, outcome="error")
    assert ledger.verify().ok
    behind(ledger, statement)
    assert not ledger.verify().ok
