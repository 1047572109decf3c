"""After a crash: what ran is given up, what waits goes on waiting, every open call is answered
once, and what a model sees is valid."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import clew
from clew import owners, rules
from clew.view import open_calls
from torture.children import Child

from .talk import behind, bot, call, result, user

if TYPE_CHECKING:
    from collections.abc import Callable

PROVIDERS = ("anthropic", "openai-chat", "openai-responses", "gemini")


@pytest.fixture
def durable(url: str) -> str:
    """The URL of a ledger that outlives its process."""
    if ":memory:" in url:
        pytest.skip("what is in memory goes with its process")
    return url


def asks(*ids: str, name: str = "look") -> dict[str, Any]:
    """A model's message that makes some calls at once."""
    function = {"name": name, "arguments": "{}"}
    calls = [{"id": id, "type": "function", "function": function} for id in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def crashed(target: Callable[..., None], *args: Any) -> Any:
    """Kill a process at its first report; gives the report."""
    child = Child(target, *args)
    child.wait_for_report()
    return child.kill()[0]


def valid(session: clew.Session) -> None:
    """Fail unless every provider takes what a model would see."""
    for provider in PROVIDERS:
        assert rules.check(provider, session.view(provider).request) == []
    assert open_calls(session.context()) == ()


def advice(found: clew.Resumption) -> dict[str, str]:
    """What is said of each open call."""
    return {known.call_id: known.advice for known in found.calls}


def answers(entry: clew.Entry | None) -> dict[str, str]:
    """What a repair says, by call."""
    assert entry is not None
    return {
        part["call_id"]: "".join(piece["text"] for piece in part["parts"])
        for part in entry.data["parts"]
    }


# --- killed ------------------------------------------------------------------------------


def _killed_in_a_tool(report: Callable[[Any], None], where: str) -> None:
    ledger = clew.open(where, search=False)
    session = ledger.session(frontend="f", user="u")
    with session.turn(user("go")) as turn:
        session.append(asks("read", "write", "send", "odd", "asked", "done"))
        with turn.tool("done", call_id="done") as done:
            done.output = {"lines": 3}
        waits = session.start_span("tool", "ask", call_id="asked", waiting=True)
        with (
            turn.tool("read", call_id="read", effect="none"),
            turn.tool("write", call_id="write", effect="idempotent"),
            turn.tool("send", call_id="send", effect="external"),
            turn.agent("scout") as scout,
            turn.tool("odd", call_id="odd"),
        ):
            report((session.id, turn.id, scout.id, waits.id, time.time_ns() // 1000))
            time.sleep(600)


@pytest.mark.inside
def test_a_kill_in_the_middle_of_tools(durable: str) -> None:
    id, turn_id, scout_id, waits_id, alive_us = crashed(_killed_in_a_tool, durable)
    with clew.open(durable, search=False) as ledger:  # opening sweeps
        session = ledger.get(id)
        spans = {span.name: span for span in session.spans()}
        assert spans["ask"].status == "waiting"
        assert spans["done"].status == "ok"
        for name in ("turn", "read", "write", "send", "odd", "scout"):
            assert spans[name].status == "abandoned"
            assert spans[name].latency_ms is None
            assert spans[name].started_us <= (spans[name].finished_us or 0) <= alive_us
        found = session.resume()
        assert [span.id for span in found.interrupted] == [turn_id, scout_id]
        assert advice(found) == {
            "read": "re-run",
            "write": "re-run",
            "send": "ask",
            "odd": "unknown",
            "asked": "waiting",
            "done": "answered",
        }
        said = answers(found.repair)
        assert said.keys() == {"read", "write", "send", "odd", "done"}
        assert said["done"] == '{"lines":3}'
        assert "may or may not have run" in said["send"]
        assert found.late == ()
        for provider in PROVIDERS:
            assert rules.check(provider, session.view(provider).request) == []
        entries = session.info.entries
        again = session.resume()
        assert (again.repair, session.info.entries) == (None, entries)
        assert advice(again) == {"asked": "waiting"}
        session.update_span(waits_id, outcome="ok", output="yes, do")
        answered = session.resume()
        assert answers(answered.repair) == {"asked": "yes, do"}
        valid(session)
        assert session.resume().repair is None
        assert ledger.verify().ok


def _killed_before_the_result(report: Callable[[Any], None], where: str) -> None:
    ledger = clew.open(where, search=False)
    session = ledger.create()
    with session.turn(user("go")) as turn:
        session.append(asks("ok", "bad", "mute"))
        with turn.tool("ok", call_id="ok") as ran:
            ran.output = "the answer"
        with turn.tool("bad", call_id="bad") as failed:
            failed.error = "exit status 2"
        with turn.tool("mute", call_id="mute"):
            pass
        report(session.id)
        time.sleep(600)


@pytest.mark.inside
def test_what_ended_and_never_reached_the_log_answers(durable: str) -> None:
    id = crashed(_killed_before_the_result, durable)
    with clew.open(durable, search=False) as ledger:
        session = ledger.get(id)
        found = session.resume()
        assert set(advice(found).values()) == {"answered"}
        said = answers(found.repair)
        assert (said["ok"], said["bad"]) == ("the answer", "exit status 2")
        assert "ended as ok" in said["mute"]
        assert found.repair is not None
        wrong = {part["call_id"]: part["is_error"] for part in found.repair.data["parts"]}
        assert wrong == {"ok": False, "bad": True, "mute": False}
        assert [known.span.output for known in found.calls if known.span] == [
            "the answer",
            None,
            None,
        ]
        valid(session)
        assert ledger.verify().ok


@pytest.mark.inside
def test_a_result_that_comes_late_is_reported(durable: str) -> None:
    id, *_rest = crashed(_killed_in_a_tool, durable)
    with clew.open(durable, search=False) as ledger:
        session = ledger.get(id)
        (send,) = session.spans(call_id="send")
        late = session.update_span(send.id, outcome="ok", output="was sent")
        assert (late.status, late.late) == ("abandoned", "ok")
        found = session.resume()
        assert [span.id for span in found.late] == [send.id]
        assert advice(found)["send"] == "answered"
        assert answers(found.repair)["send"] == "was sent"
        assert ledger.verify().ok


def _holds_a_span(report: Callable[[Any], None], where: str) -> None:
    ledger = clew.open(where, search=False)
    session = ledger.create()
    span = session.start_span("tool", "x")
    report((session.id, span.id))
    time.sleep(600)


@pytest.mark.inside
def test_what_a_living_process_runs_is_left_alone(durable: str) -> None:
    child = Child(_holds_a_span, durable)
    child.wait_for_report()
    id, span_id = child.reports[0]
    with clew.open(durable, search=False) as ledger:
        assert ledger.sweep() == 0
        assert ledger.get(id).span(span_id).status == "running"
        assert ledger.get(id).resume().interrupted == ()
        child.kill()
        assert ledger.sweep() == 1
        assert ledger.sweep() == 0
        assert ledger.get(id).span(span_id).status == "abandoned"


def test_a_process_that_nobody_buried_runs_nothing() -> None:
    """Its parent has not asked how it ended: the system still lists it."""
    with subprocess.Popen(["sleep", "600"]) as process:
        assert owners._started(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{process.pid}").exists() == Path("/proc/self").exists()
        assert owners._started(process.pid) is None or not Path("/proc/self").exists()


# --- whose it was ------------------------------------------------------------------------


def _pretend(ledger: clew.Ledger, **columns: Any) -> None:
    """Make the owner somebody else."""
    for name, value in columns.items():
        behind(ledger, f"update owner set {name} = ?", [value])


LONG_AGO = {"seen_ms": 1_000}
OTHERS: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"boot": "before the restart"}, True),
    ({"started": "1"}, True),  # the number of a process was given again
    ({"pid": 2**22 + 1}, True),
    ({"host": "elsewhere", "pid": 1, "boot": "another"}, False),
    ({"host": "elsewhere", **LONG_AGO}, True),
    (LONG_AGO, False),  # on this host a look is better than a heartbeat
    ({"boot": "left"}, True),
]


@pytest.mark.parametrize(("columns", "gone"), OTHERS, ids=[str(n) for n in range(len(OTHERS))])
def test_who_is_gone(ledger: clew.Ledger, columns: dict[str, Any], gone: bool) -> None:
    session = ledger.create()
    span = session.start_span("tool", "x", started_us=500)
    waiting = session.start_span("tool", "y", waiting=True, started_us=600)
    alone = session.record_spans([clew.SpanDraft("tool", "z")])[0]
    _pretend(ledger, **columns)
    assert ledger.sweep() == gone
    ended = session.span(span.id)
    assert ended.status == ("abandoned" if gone else "running")
    if gone and "seen_ms" in columns:
        assert ended.finished_us == 1_000_000  # the last sign of life
    assert session.span(waiting.id).status == "waiting"
    assert session.span(alone.id).status == "running"  # nobody here runs it


@pytest.mark.inside
def test_closing_a_ledger_gives_up_what_it_ran(durable: str) -> None:
    with clew.open(durable, search=False) as ledger:
        session = ledger.create()
        span = session.start_span("tool", "x")
        done = session.start_span("tool", "y")
        session.update_span(done.id, outcome="ok")
    with clew.open(durable, search=False) as ledger:
        assert ledger.get(session.id).span(span.id).status == "abandoned"


@pytest.mark.inside
def test_a_confined_handle_sweeps_its_own_project(durable: str) -> None:
    with clew.open(durable, search=False) as ledger:
        for project in ("a", "b"):
            ledger.create(project=project).start_span("tool", "x")
    with clew.open(durable, search=False, project="a") as ledger:
        (info,) = ledger.sessions()
        assert [span.status for span in ledger.get(info.id).spans()] == ["abandoned"]
    with clew.open(durable, read_only=True) as ledger:
        (info,) = ledger.sessions(project="b")
        assert [span.status for span in ledger.get(info.id).spans()] == ["running"]


def test_the_heart_beats_while_something_runs(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "BEAT_SECONDS", 0.01)
    session = ledger.create()
    span = session.start_span("tool", "x")

    def beats() -> bool:
        _pretend(ledger, **LONG_AGO)
        for _ in range(300):
            if behind(ledger, "select seen_ms from owner") != [(1_000,)]:
                return True
            time.sleep(0.01)
        return False

    assert beats()
    session.update_span(span.id, outcome="ok")
    time.sleep(0.1)
    _pretend(ledger, **LONG_AGO)
    time.sleep(0.1)
    assert behind(ledger, "select seen_ms from owner") == [(1_000,)]


def _forks(report: Callable[[Any], None], where: str) -> None:
    ledger = clew.open(where, search=False)
    session = ledger.create()
    with session.turn() as turn:
        pid = os.fork()
        if pid == 0:
            with turn.tool("in the child") as call:
                call.output = 1
            os._exit(3 if ledger.trace_failures == 2 else 4)
        _pid, status = os.waitpid(pid, 0)
        with turn.tool("in the parent"):
            pass
    report((session.id, os.waitstatus_to_exitcode(status)))
    ledger.close()


@pytest.mark.inside
def test_a_fork_never_harms_the_parent(durable: str) -> None:
    child = Child(_forks, durable)
    child.wait_for_report()
    ((id, status),) = child.finish()
    assert status == 3
    with clew.open(durable, search=False) as ledger:
        assert [(s.name, s.status) for s in ledger.get(id).spans()] == [
            ("turn", "ok"),
            ("in the parent", "ok"),
        ]
        assert ledger.verify().ok


def test_sweeping_an_erased_session_does_no_harm(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.start_span("tool", "x")
    _pretend(ledger, boot="left")
    ledger.erase(session.id)
    assert ledger.sweep() == 1
    assert ledger.get(session.id).spans()[0].status == "abandoned"


# --- which call was it -------------------------------------------------------------------


def test_nothing_open_needs_nothing(ledger: clew.Ledger) -> None:
    session = ledger.create()
    assert session.resume() == clew.Resumption((), (), None, ())
    session.append(user("go"))
    session.append(call("c"))
    session.append(result("c"))
    assert session.resume().repair is None


def test_a_call_without_a_span_is_unknown(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("go"))
    session.append(call("c"))
    found = session.resume()
    assert advice(found) == {"c": "unknown"}
    assert found.calls[0].span is None
    valid(session)


def test_a_span_of_an_earlier_call_with_the_same_id_does_not_answer(ledger: clew.Ledger) -> None:
    session = ledger.create()
    for turn in (1, 2):
        session.append(user(f"ask {turn}"))
        session.append(call("c0"))
        if turn == 1:
            session.start_span("tool", "look", call_id="c0", outcome="ok", output="old")
            session.append(result("c0", "old"))
    assert advice(session.resume()) == {"c0": "unknown"}
    valid(session)


def test_nor_does_one_of_the_same_turn_that_was_answered(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("ask"))
    session.append(call("c0"))
    session.start_span("tool", "look", call_id="c0", outcome="ok", output="old")
    session.append(result("c0", "old"))
    session.append(call("c0"))
    found = session.resume()
    assert advice(found) == {"c0": "unknown"}


def test_nor_one_of_a_turn_that_was_taken_back(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("ask"))
    session.append(call("c0"))
    session.start_span("tool", "look", call_id="c0", outcome="ok", output="old")
    session.undo()
    session.append(user("ask"))
    session.append(call("c0"))
    assert advice(session.resume()) == {"c0": "unknown"}


def test_the_newest_attempt_counts(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("ask"))
    session.append(call("c"))
    session.start_span("tool", "look", call_id="c", outcome="error", error="first")
    session.start_span("tool", "look", call_id="c", outcome="ok", output="second", attempt=2)
    found = session.resume()
    assert answers(found.repair) == {"c": "second"}


def test_a_span_that_began_before_its_call_was_appended_counts(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("ask"))
    session.start_span("tool", "look", call_id="c", outcome="ok", output="early")
    session.append(call("c"))
    assert answers(session.resume().repair) == {"c": "early"}


def test_a_call_in_a_branch(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("ask"))
    session.append(call("c"))
    fork = session.branch()
    fork.start_span("tool", "look", call_id="c", outcome="ok", output="there")
    assert answers(fork.resume().repair) == {"c": "there"}
    assert advice(session.resume()) == {"c": "unknown"}
    valid(fork)
    valid(session)


def test_a_call_behind_a_compaction(ledger: clew.Ledger) -> None:
    session = ledger.create()
    for text in ("one", "two"):
        session.append(user(text))
        session.append(bot(text))
    session.compact(summary="so far", keep_from=session.entry(3))
    session.append(call("c"))
    session.start_span("tool", "look", call_id="c", outcome="denied", error="no")
    found = session.resume()
    assert answers(found.repair) == {"c": "no"}
    valid(session)


def test_what_runs_elsewhere_stays_open(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("ask"))
    session.append(asks("here", "there"))
    session.start_span("tool", "look", call_id="here")
    session.record_spans([clew.SpanDraft("tool", "look", {"call_id": "there"})])
    found = session.resume()
    assert advice(found) == {"here": "running", "there": "running"}
    assert found.repair is None


def test_somebody_who_appends_meanwhile_gets_his_word(
    ledger: clew.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clew import resuming

    session = ledger.create()
    session.append(user("ask"))
    session.append(call("c"))
    make = resuming._repair_unit

    def late(*args: Any) -> Any:
        ledger.get(session.id).append(result("c", "from the other"))
        return make(*args)

    monkeypatch.setattr(resuming, "_repair_unit", late)
    with pytest.raises(clew.Conflict):
        session.resume()
    assert session.resume().repair is None
    valid(session)


def test_more_spans_than_a_page_are_looked_through(ledger: clew.Ledger) -> None:
    session = ledger.create()
    session.append(user("ask"))
    session.append(call("c"))
    many = [clew.SpanDraft("tool", "x", {"outcome": "ok", "call_id": "c"}) for _ in range(1200)]
    session.record_spans([*many, clew.SpanDraft("agent", "a", {"outcome": "abandoned"})])
    session.start_span("tool", "x", call_id="c", outcome="ok", output="newest")
    found = session.resume()
    assert [span.name for span in found.interrupted] == ["a"]
    assert answers(found.repair) == {"c": "newest"}
