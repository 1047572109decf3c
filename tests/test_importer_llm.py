"""Reading llm's log: both generations of its tables, forks, fragments, attachments, usage."""

from __future__ import annotations

from pathlib import Path

import pytest

import clew
from clew.importers import llm
from clew.model import File, Image, Message, Thinking
from importer_kit import memory_ledger
from store_kit import StorePromises, made, run

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "llm"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "llm" / "generated"


class TestPromises(StorePromises):
    store = llm
    files = sorted(GOLDEN.glob("*.sql"))
    name = "logs.sql"


def sessions(ledger: clew.Ledger) -> dict[str, clew.Session]:
    """The sessions by the end of the conversation's id."""
    found = ledger.sessions(spawned=True, limit=100)
    return {str(info.imported_from)[-2:]: ledger.get(info.id) for info in found}


def said(session: clew.Session) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in session.context()]


def imported(ledger: clew.Ledger, name: str, folder: Path) -> dict[str, clew.Session]:
    report = ledger.import_from(made(GOLDEN / f"{name}.sql", folder))
    assert report.notes == []
    return sessions(ledger)


def totals(ledger: clew.Ledger) -> tuple[int, ...]:
    rows = ledger.usage()
    fields = ("calls", "input", "output", "cache_read", "cache_write", "reasoning")
    return tuple(sum(getattr(row, field) for row in rows) for field in fields)


def test_an_old_response_says_its_system_its_results_its_prompt_and_its_answer(
    tmp_path: Path,
) -> None:
    with memory_ledger() as ledger:
        found = imported(ledger, "old", tmp_path)
        system, prompt, call, results, answer = found["01"].context()
        assert system.text == "You know lamps.\nAnswer in one line."
        assert prompt.text == "All lamps are numbered.\nWhich lamp is this?"
        assert prompt.parts[2:] == (
            Image("image/png", "iVBORw0KGgo="),
            File("/home/maja/lamp.pdf", "application/pdf"),
        )
        assert call.parts[0] == Thinking("The number tells.")
        assert [each.id for each in call.tool_calls] == ["tc_1", "tc_2"]
        assert [each.call_id for each in results.tool_results] == ["tc_1", "tc_2"]
        assert [each.is_error for each in results.tool_results] == [False, True]
        assert results.tool_results[0].parts[1] == Image(
            "image/jpeg", url="https://lamps.example/3.jpg"
        )
        assert answer.text == "A desk lamp. 💡"
        assert (call.model, answer.model) == ("lamp-4-0501", "lamp-4")
        assert said(found["r3"]) == [
            ("user", "Alone"),
            ("assistant", "Outside any conversation."),
        ]


def test_the_counts_are_those_of_the_log(tmp_path: Path) -> None:
    """OpenAI's input holds what the cache gave, Anthropic's does not."""
    with memory_ledger() as ledger:
        imported(ledger, "old", tmp_path)
        assert totals(ledger) == (2, 120 - 20 + 150, 18, 20 + 30, 10, 4)


def test_a_fork_is_a_branch_of_what_it_was_forked_from(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        found = imported(ledger, "new", tmp_path)
        one, fork, other = found["01"], found["02"], found["03"]
        assert said(one)[-1] == ("assistant", "At 14:10.")
        assert said(fork) == [*said(one), ("user", "And low tide?"), ("assistant", "At 20:20.")]
        assert fork.info.forked_from is not None
        assert fork.info.forked_from.session == one.id
        assert other.info.forked_from is None, "to begin with the same words is no fork"
        assert totals(ledger) == (5, 80 - 16 + 95 + 110 + 20 + 21, 22, 16, 0, 0)


def test_the_newer_parts_are_what_was_said(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        _system, user, call, result, answer = imported(ledger, "new", tmp_path)["01"].context()
        assert user.text == "Tides come twice a day.\nWhen is high tide?"
        assert user.parts[1] == Image("image/png", "iVBORw==")
        assert call.parts[0] == Thinking("Ask the gauge.", signature="c2ln")
        assert call.tool_calls[0].id == result.tool_results[0].call_id
        assert answer.text == "At 14:10."


def test_a_turn_that_begins_again_leaves_the_one_before_it_in_the_ledger(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        other = imported(ledger, "new", tmp_path)["03"]
        assert said(other)[1:] == [("user", "Good morning"), ("assistant", "Morning!")]
        assert any(b"Hello" in (entry.body or b"") for entry in other.entries())


def test_a_conversation_of_the_older_tables_goes_on_in_the_newer_ones(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        (session,) = imported(ledger, "both", tmp_path).values()
        assert [text for _role, text in said(session)] == [
            "Name a moth",
            "Hawk moth.",
            "Another",
            "Death's-head.",
            "A third",
            "Emperor moth.",
        ]
        assert totals(ledger)[:3] == (3, 55, 10)


def test_what_was_written_to_both_generations_comes_in_once(tmp_path: Path) -> None:
    path = made(GOLDEN / "both.sql", tmp_path)
    run(path, "update responses set id = '01k000000000000000000000t3' where id like '%r2'")
    run(path, "update turns set tip_message_hash = 'b2:24', parent_message_hash = 'b2:23'")
    run(path, "update threads set tip_message_hash = 'b2:24'")
    with memory_ledger() as ledger:
        ledger.import_from(path)
        (session,) = sessions(ledger).values()
        assert len(said(session)) == 4
        assert totals(ledger)[:3] == (2, 28, 7)


def test_a_call_that_is_logged_behind_its_answer_joins_it(tmp_path: Path) -> None:
    """Older versions wrote row after row, each of them seen at once."""
    path = made(GOLDEN / "both.sql", tmp_path)
    run(path, "delete from turns")
    run(path, "delete from threads")
    run(path, "create table tool_calls (id integer, response_id, name, arguments, tool_call_id)")
    with memory_ledger() as ledger:
        ledger.import_from(path)
        run(path, "insert into tool_calls values (1, '01k000000000000000000000r2', 'f', '{}', 'c')")
        ledger.import_from(path)
        (session,) = sessions(ledger).values()
        last: Message = session.context()[-1]
        assert (last.text, [call.id for call in last.tool_calls]) == ("Death's-head.", ["c"])
        assert len(session.context()) == 4
        assert totals(ledger)[:3] == (2, 28, 7)


def test_messages_whose_rows_run_in_a_circle_are_read_once(tmp_path: Path) -> None:
    path = made(GOLDEN / "new.sql", tmp_path)
    run(path, "update messages set parent_hash = 'b2:05' where hash = 'b2:01'")
    with memory_ledger() as ledger:
        report = ledger.import_from(path)
        assert report.sessions_new == 3


def test_the_folder_is_where_the_variable_says(tmp_path: Path) -> None:
    assert llm.roots(tmp_path, {"LLM_USER_PATH": str(tmp_path)}) == [tmp_path]
    assert llm.roots(tmp_path, {}) == []
    places = (".config", "Library/Application Support", "AppData/Roaming")
    found = [tmp_path / place / "io.datasette.llm" for place in places]
    for place in found:
        place.mkdir(parents=True)
    assert llm.roots(tmp_path, {}) == found
    assert llm.roots(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / ".config")}) == found


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")
def test_the_files_of_the_real_program_read_whole() -> None:
    with memory_ledger() as ledger:
        report = ledger.import_from(FIXTURES / "llm_logs.db")
        assert (report.sessions_new, report.notes) == (2, [])
        assert totals(ledger)[:3] == (4, 48, 20)
        branches = [info for info in ledger.sessions(limit=9) if info.forked_from is not None]
        assert [message.text for message in ledger.get(branches[0].id).context()] == [
            "be brief",
            "Suggest a name for a pet pelican",
            "Percy",
            "Now a seagull",
            "Steven Seagull",
        ]
    with memory_ledger() as ledger:
        first = ledger.import_from(FIXTURES / "llm_logs_v026.db")
        assert (first.sessions_new, first.notes) == (3, [])
        assert totals(ledger)[:3] == (3, 30, 9)
        again = ledger.import_from(FIXTURES / "llm_logs_v026_migrated_to_036.db")
        assert (again.sessions_new, again.added) == (0, 0)
