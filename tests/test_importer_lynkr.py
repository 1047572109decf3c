"""Reading Lynkr's sessions: requests that repeat all that was said, answers, and their routing."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.importers import lynkr
from clew.model import Entry, Kind
from importer_kit import memory_ledger
from store_kit import StorePromises, conversations, everything, made, run, statements

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "lynkr"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "lynkr" / "synthetic"


class TestPromises(StorePromises):
    store = lynkr
    files = sorted(GOLDEN.glob("*.sql"))


def only(ledger: clew.Ledger) -> clew.Session:
    (info,) = ledger.sessions(limit=9)
    return ledger.get(info.id)


@pytest.fixture
def routed(tmp_path: Path) -> Iterator[clew.Session]:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "routed.sql", tmp_path))
        yield only(ledger)


def answers(session: clew.Session) -> list[Entry]:
    return [entry for entry in session.entries() if entry.role == "assistant"]


def test_each_message_of_a_conversation_that_is_sent_again_and_again_is_there_once(
    routed: clew.Session,
) -> None:
    assert [(m.role, m.text) for m in routed.context()] == [
        ("user", "<system-reminder>Be brief.</system-reminder>\nWhich jars are open? ☂"),
        ("assistant", "I look."),
        ("tool", ""),
        ("assistant", "Plum and quince."),
        ("user", "Close them."),
        ("assistant", "Closed."),
        ("user", "Thanks"),
        ("assistant", "You are welcome."),
    ]
    assert routed.context()[2].tool_results[0].text == "plum, quince"
    assert routed.info.title == "Which jars are open? ☂"


def test_what_the_router_knew_stands_beside_each_answer(routed: clew.Session) -> None:
    known = {e.data.get("telemetry", {}).get("request_id"): e.data for e in answers(routed)}
    assert set(known) == {"req_1", "req_2", "req_3", "req_5", None}
    first = known["req_1"]["telemetry"]
    assert (first["tier"], first["complexity_score"], first["latency_ms"]) == ("SIMPLE", 12.4, 1400)
    assert first["candidates"] == [{"provider": "ollama"}]
    assert not any(b"request_text" in (e.body or b"") for e in routed.entries()), "said already"
    assert known["req_2"]["type"] == "error"
    assert known["req_2"]["telemetry"]["complexity_score"] is None, "not known is not zero"
    rows = {e.data["request_id"]: e for e in routed.entries() if "request_id" in e.data}
    assert [rows[f"req_{n}"].kind for n in range(1, 6)] == [Kind.NOTICE] * 5
    streamed = rows["req_4"].data
    assert (streamed["tier"], streamed["latency_ms"], streamed["answered_by"]) == (
        *("MEDIUM", 880, None),
    )


def test_a_row_without_tokens_goes_with_the_answer_that_comes_in_its_time(tmp_path: Path) -> None:
    path = made(GOLDEN / "routed.sql", tmp_path)
    run(path, "update routing_telemetry set input_tokens = null, output_tokens = null")
    with memory_ledger() as ledger:
        ledger.import_from(path)
        told = [e.data.get("telemetry", {}).get("request_id") for e in answers(only(ledger))]
        assert told == ["req_1", "req_2", "req_3", None, "req_5"]


def test_provider_and_cost_are_the_routers_and_a_failure_costs_nothing(
    routed: clew.Session,
) -> None:
    used = [m.usage for m in routed.context() if m.usage]
    assert [(u.provider, u.cost) for u in used] == [
        ("azure-anthropic", 0.0021),
        ("azure-anthropic", None),
        ("openai", 0.0004),
    ]
    assert (used[0].input, used[0].output, used[0].cache_read) == (700, 30, 500)


def test_every_call_is_counted_once(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "routed.sql", tmp_path))
        (total,) = ledger.usage()
        assert (total.calls, total.input, total.output) == (4, 700 + 760 + 790 + 800, 48)
        assert (total.cost, total.cost_unknown) == (0.0025, 2)
        row = ledger.trajectory(only(ledger).id)
        assert (row["model_used"], row["provider_used"]) == ("gpt-4o", "openai")


def test_a_failure_ends_a_session_until_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    told = statements(GOLDEN / "routed.sql")
    end = next(n for n, each in enumerate(told) if "overloaded_error" in each) + 1
    with memory_ledger() as ledger:
        for statement in told[:end]:
            run(path, statement)
        ledger.import_from(path)
        session = only(ledger)
        assert session.context()[-1].text == "API Error: 529 overloaded_error"
        assert ledger.trajectory(session.id)["outcome"] == "error"
        for statement in told[end : end + 2]:
            run(path, statement)
        ledger.import_from(path)
        assert [m.role for m in session.context()] == ["user", "assistant", "tool"], "sent again"
        for statement in told[end + 2 :]:
            run(path, statement)
        ledger.import_from(path)
        assert not any("529" in message.text for message in session.context())


def test_branches_of_a_conversation_begin_where_it_was_left(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "branches.sql", tmp_path))
        session = only(ledger)
        asked = [e for e in session.entries() if b'"Count the pears."' in (e.body or b"")]
        assert len(asked) == 1, "gone back to, not told again"
        (total,) = ledger.usage()
        assert (total.calls, total.input) == (3, 30), "what a cache gave cost no tokens"


def test_a_request_that_follows_another_branch_goes_back_there(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    told = statements(GOLDEN / "branches.sql")
    end = next(n for n, each in enumerate(told) if "None." in each) + 1
    for statement in told[:end]:
        run(path, statement)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        said = [m.text for m in only(ledger).context()]
        assert said == ["Count the pears.", "Seven.", "And the plums?", "None."]


def test_what_the_clean_up_takes_away_stays_and_does_not_come_again(tmp_path: Path) -> None:
    path = made(GOLDEN / "routed.sql", tmp_path)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        session = only(ledger)
        before = [(m.role, m.text) for m in session.context()]
        run(path, "delete from session_history where id < 6")
        with closing(sqlite3.connect(path)) as known:
            ((content,),) = known.execute(
                "select content from session_history where role = 'user' order by id desc limit 1"
            )
        request = json.loads(content)
        asked = [*request["raw"], {"role": "assistant", "content": "You are welcome."}]
        asked.append({"role": "user", "content": "One more?"})
        run(
            path,
            "insert into session_history (session_id, role, type, content, timestamp) "
            "values (?, 'user', 'message', ?, 1784100020000)",
            "5f5e7c1e-0000-4000-8000-000000000001",
            json.dumps({"raw": asked, "normalized": asked}),
        )
        report = ledger.import_from(path)
        assert report.added == 1
        assert [(m.role, m.text) for m in session.context()] == [*before, ("user", "One more?")]


def test_the_ledger_grows_with_what_is_said_and_not_with_its_square(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    for statement in statements(GOLDEN / "branches.sql")[:3]:
        run(path, statement)
    said: list[dict[str, str]] = []
    for turn in range(40):
        said.append({"role": "user", "content": f"question {turn} " + "x" * 500})
        said.append({"role": "assistant", "content": f"answer {turn}"})
        run(
            path,
            "insert into session_history (session_id, role, type, content, timestamp) "
            "values ('long', 'user', 'message', ?, ?)",
            json.dumps({"raw": said[:-1], "normalized": said[:-1]}),
            turn,
        )
    (items,) = everything(lynkr, path).values()
    assert len(items) == 79
    assert sum(len(item.body) for item in items) < 4 * len(json.dumps(said))


def ask(path: Path, said: list[dict[str, Any]], at: int) -> None:
    _tell(path, "user", "message", {"raw": said, "normalized": said}, at)


def _tell(path: Path, role: str, kind: str, content: Any, at: int) -> None:
    run(
        path,
        "insert into session_history (session_id, role, type, content, timestamp) "
        "values ('5f5e7c1e-0000-4000-8000-00000000beef', ?, ?, ?, ?)",
        role,
        kind,
        json.dumps(content),
        at,
    )


@pytest.mark.parametrize("seed", range(12))
def test_in_whatever_turns_a_session_says_what_its_newest_request_held(
    tmp_path: Path, seed: int
) -> None:
    """Asked, answered or streamed, failed and sent again, taken back, summed up, and another
    agent's requests between: at every look, and at once.
    """
    path, chance = tmp_path / "sessions.db", random.Random(seed)
    for statement in statements(GOLDEN / "branches.sql")[:2]:
        run(path, statement)
    said: list[dict[str, Any]] = []
    with memory_ledger() as steps, memory_ledger() as once:
        for turn in range(12):
            at = 1784100000000 + 10_000 * turn
            change = chance.choice(["none", "none", "fail", "back", "sum", "other"])
            if change == "back":
                said = said[: 2 * chance.randint(0, len(said) // 2)]
            if change == "sum":
                said = [{"role": "user", "content": f"summary {turn}"}, _answer("ok")]
            if change == "other":
                ask(path, [{"role": "user", "content": f"title {turn}"}], at)
                _tell(path, "assistant", "message", _answer(f"Title {turn}"), at + 1)
            said = [*said, {"role": "user", "content": f"question {turn}"}]
            if change == "fail":
                ask(path, said, at + 2)
                _tell(path, "assistant", "error", {"error": "no"}, at + 3)
            ask(path, said, at + 4)
            expected = said
            said = [*said, _answer(f"answer {turn}")]
            if chance.random() < 0.7:
                _tell(path, "assistant", "message", said[-1], at + 5)
                expected = said
            steps.import_from(path)
            assert [m.text for m in only(steps).context()] == [m["content"] for m in expected]
        once.import_from(path)
        assert [m.text for m in only(once).context()] == [m["content"] for m in expected]


def _answer(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize("place", [".lynkr/telemetry.db", "data/.lynkr/telemetry.db"])
def test_the_routing_is_found_where_the_program_ran(tmp_path: Path, place: str) -> None:
    (tmp_path / "data").mkdir()
    target = tmp_path / place
    target.parent.mkdir(exist_ok=True)
    for statement in statements(GOLDEN / "routed.sql"):
        routing = "routing_telemetry" in statement or "savings_events" in statement
        run(target if routing else tmp_path / "data" / "sessions.db", statement)
    with memory_ledger() as ledger:
        ledger.import_from(tmp_path)
        assert sum("telemetry" in e.data for e in answers(only(ledger))) == 4


def test_routing_that_cannot_be_read_is_told_and_costs_nothing_else(tmp_path: Path) -> None:
    path = made(GOLDEN / "branches.sql", tmp_path)
    (tmp_path / "telemetry.db").write_bytes(b"no database")
    with memory_ledger() as ledger:
        report = ledger.import_from(path)
        assert any("telemetry.db is no SQLite database" in note.text for note in report.notes)
        assert only(ledger).context()


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")
def test_the_shared_files_read_whole() -> None:
    with memory_ledger() as ledger:
        report = ledger.import_from(FIXTURES)
        assert (report.sessions_new, report.notes) == (1, [])
        session = only(ledger)
        assert [m.role for m in session.context()] == [
            *("user", "assistant", "tool", "assistant", "assistant"),
        ]
        told = [e.data["telemetry"]["request_id"] for e in answers(session)]
        assert told == ["req_1", "req_2", "req_3"]
        (total,) = ledger.usage()
        assert (total.calls, total.input, total.output) == (2, 1672, 45)
        assert ledger.trajectory(session.id)["provider_used"] == "azure-anthropic"


@pytest.mark.inside
def test_every_database_holds_the_same(url: str, tmp_path: Path) -> None:
    for source in sorted(GOLDEN.glob("*.sql")):
        made(source, tmp_path / source.stem)
    with clew.open(url) as kept, memory_ledger() as known:
        kept.import_from(tmp_path, importer="lynkr")
        known.import_from(tmp_path, importer="lynkr")
        assert conversations(kept) == conversations(known)
        assert kept.verify().ok
