"""Reading Hermes' sessions: undo, compactions of both kinds, branches, delegates, counters."""

from __future__ import annotations

from pathlib import Path

import pytest

import clew
from clew.importers import hermes
from clew.model import Image, Kind, Text, Thinking
from importer_kit import memory_ledger
from store_kit import StorePromises, made, run

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "hermes"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "hermes" / "generated"
SUMMARY = "[CONTEXT COMPACTION — REFERENCE ONLY] "


class TestPromises(StorePromises):
    store = hermes
    files = sorted(GOLDEN.glob("*.sql"))
    name = "state.sql"


def sessions(ledger: clew.Ledger) -> dict[str, clew.Session]:
    """The sessions by the end of their id."""
    found = ledger.sessions(spawned=True, limit=100)
    return {str(info.imported_from)[-6:]: ledger.get(info.id) for info in found}


def said(session: clew.Session) -> list[str]:
    return [message.text for message in session.context()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made(GOLDEN / "state.sql", tmp_path, name="state.sql")


@pytest.fixture
def empty(path: Path) -> Path:
    for table in ("messages", "sessions", "session_model_usage"):
        run(path, f"delete from {table}")
    run(path, "insert into sessions (id, source, started_at) values ('s', 'cli', 1)")
    return path


def add(path: Path, role: str, words: str, session: str = "s", at: float = 2) -> None:
    query = "insert into messages (session_id, role, content, timestamp) values (?, ?, ?, ?)"
    run(path, query, session, role, words, at)


def only(ledger: clew.Ledger, path: Path) -> clew.Session:
    report = ledger.import_from(path)
    assert report.notes == []
    (session,) = sessions(ledger).values()
    return session


def test_a_message_with_an_image_its_calls_their_results_and_reasoning(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        user, call, one, two, answer = sessions(ledger)["aaaa01"].history()[:5]
        assert user.parts == (
            Text("Which moth is this? ☂"),
            Image("image/png", "iVBORw0KGgo="),
        )
        assert call.parts[:2] == (
            Thinking("Count the wings", signature="c2ln"),
            Thinking(data="c2VhbGVk"),
        )
        results = [*one.tool_results, *two.tool_results]
        assert [each.id for each in call.tool_calls] == [each.call_id for each in results]
        assert answer.parts[0] == Thinking("Sure of it", data="ZW5j", id="rs_1")
        assert user.time_ms == 1_777_629_601_250


def test_what_was_taken_back_stays_in_the_ledger_and_out_of_the_conversation(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        found = sessions(ledger)
        assert said(found["eeee01"]) == ["Hello", "Hello!"]
        assert "Adn?" not in [message.text for message in found["aaaa01"].history()]
        for id, words in (("eeee01", b"Forget this"), ("aaaa01", b"Adn?")):
            assert any(words in (entry.body or b"") for entry in found[id].entries())


def test_a_compaction_in_place_leaves_what_the_program_left(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        session = sessions(ledger)["aaaa01"]
        assert said(session) == [
            f"{SUMMARY}A hawk moth was found.",
            "Nectar.",
            "From which flowers?",
            "Honeysuckle.",
        ]
        assert session.context()[0].summary
        assert [message.text for message in session.history()][5:7] == [
            "And what does it eat?",
            "Nectar.",
        ]
        (checkpoint,) = session.checkpoints()
        assert checkpoint.reason == "auto-threshold"


def test_the_second_compaction_of_a_session_that_is_watched(empty: Path) -> None:
    with memory_ledger() as ledger:
        for at, (role, words) in enumerate((("user", "one"), ("assistant", "two")), 2):
            add(empty, role, words, at=at)
        only(ledger, empty)
        for number in (1, 2):
            run(empty, "update messages set active = 0, compacted = 1 where active = 1")
            add(empty, "user", f"{SUMMARY}{number}", at=10 * number)
            add(empty, "assistant", "two", at=10 * number + 1)
            session = only(ledger, empty)
            assert said(session) == [f"{SUMMARY}{number}", "two"]
        kinds = [entry.kind for entry in session.entries()]
        assert (kinds.count(Kind.COMPACTION), kinds.count(Kind.MESSAGE)) == (2, 6)
    with memory_ledger() as ledger:
        assert said(only(ledger, empty)) == [f"{SUMMARY}2", "two"]


def test_undo_and_its_undoing_while_it_is_watched(empty: Path) -> None:
    with memory_ledger() as ledger:
        for words in ("one", "two", "three"):
            add(empty, "user", words)
        assert said(only(ledger, empty)) == ["one", "two", "three"]
        run(empty, "update messages set active = 0 where content <> 'one'")
        run(empty, "update sessions set rewind_count = rewind_count + 1")
        assert said(only(ledger, empty)) == ["one"]
        add(empty, "user", "four")
        assert said(only(ledger, empty)) == ["one", "four"]
        run(empty, "update messages set active = 0 where content = 'four'")
        add(empty, "user", "five")
        assert said(only(ledger, empty)) == ["one", "five"]


def test_a_transcript_that_is_written_anew_adds_only_what_is_new(empty: Path) -> None:
    with memory_ledger() as ledger:
        for words in ("one", "ok", "two", "ok"):
            add(empty, "user", words)
        before = only(ledger, empty).info.messages
        run(empty, "delete from messages")
        for words in ("one", "ok", "three"):
            add(empty, "user", words, at=99)
        session = only(ledger, empty)
        assert said(session) == ["one", "ok", "three"]
        kinds = [entry.kind for entry in session.entries()]
        assert kinds.count(Kind.MESSAGE) == before + 1


def test_a_branch_shares_what_it_copied(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        found = sessions(ledger)
        one, branch = found["aaaa01"], found["bbbb01"]
        assert branch.info.forked_from is not None
        assert branch.info.forked_from.session == one.id
        assert said(branch) == [*said(one), "At night?", "At dusk."]
        own = [e for e in branch.entries() if e.kind is Kind.MESSAGE and e.session == branch.id]
        assert len(own) == 2


def test_a_session_goes_on_behind_a_compaction_in_another(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        found = sessions(ledger)
        child = found["cccc01"]
        assert child.info.forked_from is not None
        assert child.info.forked_from.session == found["aaaa01"].id
        assert said(child) == [
            f"{SUMMARY}Hawk moths drink from honeysuckle.",
            "Count those in the garden.",
        ]
        assert "Honeysuckle." in [message.text for message in child.history()]


def test_a_delegate_was_spawned_by_its_parent(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        found = sessions(ledger)
        assert found["dddd01"].info.spawned_by == found["cccc01"].id
        assert found["dddd01"].info.forked_from is None
        assert {each.info.project for each in found.values()} == {"/home/maja/garden", "default"}
        assert "ffff01" not in found, "an empty session is none"


def test_old_databases_tell_branches_and_delegates_by_how_the_parent_ended(
    tmp_path: Path,
) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "old.sql", tmp_path))
        found = sessions(ledger)
        assert found["bbbb02"].info.forked_from is not None
        assert said(found["bbbb02"]) == ["Be kind.", "Plan a pond", "Dig.", "How deep?"]
        assert found["cccc02"].info.spawned_by == found["bbbb02"].id
        (total,) = ledger.usage()
        assert (total.input, total.output, total.calls) == (30, 4, 1)


def test_the_counts_are_those_of_the_database(path: Path) -> None:
    """The session counts 100 and 10 beyond its model; auxiliary work counts by itself."""
    with memory_ledger() as ledger:
        ledger.import_from(path)
        rows = {row.key: row for row in ledger.usage(by="model")}
        main, small = rows["moth-4"], rows["small-1"]
        assert (main.input, main.output, main.cache_read) == (1000, 70, 300)
        assert (main.cache_write, main.reasoning, main.calls) == (20, 15, 1)
        assert main.cost == pytest.approx(0.025)
        assert (small.input, small.output, small.cost) == (90, 6, 0.0)


def test_counters_that_grow_are_counted_once(path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(path)
        run(path, "update session_model_usage set input_tokens = 1000 where task = ''")
        run(path, "update sessions set input_tokens = 1100 where id like '%aaaa01'")
        ledger.import_from(path)
        rows = {row.key: row for row in ledger.usage(by="model")}
        assert (rows["moth-4"].input, rows["moth-4"].calls) == (1100, 1)


def test_a_cost_that_only_one_counter_tells_stays(path: Path) -> None:
    run(path, "update sessions set estimated_cost_usd = null, cost_status = null")
    with memory_ledger() as ledger:
        ledger.import_from(path)
        rows = {row.key: row for row in ledger.usage(by="model")}
        assert rows["moth-4"].cost == pytest.approx(0.02)


def test_a_compacted_delegate_is_spawned_and_goes_on(empty: Path) -> None:
    config = '{"_delegate_from": "s"}'
    query = (
        "insert into sessions (id, source, started_at, parent_session_id, model_config, end_reason)"
        " values (?, 'cli', ?, ?, ?, ?)"
    )
    run(empty, query, "d1", 3, "s", config, "compression")
    run(empty, query, "d2", 5, "d1", config, None)
    for session, words, at in (("s", "go", 2), ("d1", "task", 4), ("d2", f"{SUMMARY}task", 6)):
        add(empty, "user", words, session, at)
    with memory_ledger() as ledger:
        ledger.import_from(empty)
        found = {str(i.imported_from): i for i in ledger.sessions(spawned=True, limit=9)}
        main, one, two = (found[f"hermes:{id}"] for id in ("s", "d1", "d2"))
        assert (one.spawned_by, one.forked_from) == (main.id, None)
        assert two.spawned_by == main.id
        assert two.forked_from is not None
        assert two.forked_from.session == one.id


def test_a_session_after_a_reset_stands_for_itself(empty: Path) -> None:
    run(
        empty,
        "insert into sessions (id, source, started_at, parent_session_id, model_config)"
        """ values ('r', 'telegram', 3, 's', '{"_reset_from": "s"}')""",
    )
    add(empty, "user", "before")
    add(empty, "user", "after", "r", 4)
    with memory_ledger() as ledger:
        ledger.import_from(empty)
        infos = ledger.sessions(spawned=True, limit=9)
        assert [(info.forked_from, info.spawned_by) for info in infos] == [(None, None)] * 2


def test_newer_databases_share_prompts_mark_summaries_and_reset_chats(tmp_path: Path) -> None:
    path = made(GOLDEN / "newer.sql", tmp_path)
    with memory_ledger() as ledger:
        ledger.import_from(path)
        one, other = (sessions(ledger)[id] for id in ("aaaa03", "bbbb03"))
        assert [(message.text, message.summary) for message in one.context()] == [
            ("Earlier: newts.", True)
        ]
        assert any(b"You are Hermes, newer." in (entry.body or b"") for entry in one.entries())
        assert (other.info.forked_from, other.info.spawned_by) == (None, None)
        assert other.info.project == "/home/maja/pond"
        before = len(one.entries())
        run(path, "update sessions set last_activity_at = 1788270000, title = null")
        ledger.import_from(path)
        assert len(one.entries()) == before, "what the program is at tells nothing"


def test_sessions_whose_parents_run_in_a_circle_are_read(empty: Path) -> None:
    run(empty, "update sessions set parent_session_id = 's'")
    for id, parent in (("x", "y"), ("y", "x")):
        run(
            empty,
            "insert into sessions (id, source, started_at, parent_session_id, model_config)"
            " values (?, 'cli', 1, ?, ?)",
            *(id, parent, f'{{"_branched_from": "{parent}"}}'),
        )
        add(empty, "user", "same", id)
    add(empty, "user", "one")
    with memory_ledger() as ledger:
        assert ledger.import_from(empty).sessions_new == 3


def test_the_databases_of_all_profiles_are_found_and_nothing_below_is_searched(
    tmp_path: Path,
) -> None:
    home = tmp_path / ".hermes"
    places = [home, home / "profiles" / "work", home / "hermes-agent" / "backup"]
    files = [made(GOLDEN / "old.sql", place, name="state.sql") for place in places]
    assert hermes.roots(tmp_path, {}) == [home]
    assert hermes.roots(tmp_path, {"HERMES_HOME": str(places[1])}) == [places[1]]
    assert hermes.roots(tmp_path, {"HERMES_HOME": str(tmp_path / "none")}) == []
    assert list(hermes.discover(home)) == files[:2]
    assert list(hermes.discover(tmp_path / ".hermes" / "hermes-agent")) == files[2:]


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")
def test_the_database_of_the_real_program_reads_whole() -> None:
    with memory_ledger() as ledger:
        report = ledger.import_from(FIXTURES / "hermes_state_v22.db")
        assert (report.sessions_new, report.notes) == (4, [])
        found = sessions(ledger)
        assert said(found["aaaa02"]) == ["[summary] compacted in place", "ok"]
        assert found["aaaa02"].history()[0].text == "list the files"
        assert len(found["tg0001"].context()) == 8
        assert found["sub001"].info.spawned_by == found["aaaa02"].id
        (total,) = ledger.usage()
        assert (total.input, total.output, total.cache_read) == (1000, 200, 500)
        assert (total.reasoning, total.cost) == (50, 0.01)


def test_settings_that_open_a_door_are_left_out(path: Path) -> None:
    config = (
        '{"model": "m", "api_key": "SECRET-1", "max_tokens": 9, "url": "https://u:SECRET-2@h/v1"}'
    )
    run(path, "update sessions set model_config = ?", config)
    run(path, "update sessions set billing_base_url = 'https://u:SECRET-3@host/v1'")
    with memory_ledger() as ledger:
        ledger.import_from(path)
        kept = b"".join(
            entry.body or b""
            for info in ledger.sessions(spawned=True, limit=100)
            for entry in ledger.get(info.id).entries()
        )
        assert b"SECRET" not in kept
        assert b'"max_tokens":9' in kept
        assert b"https://[left out]@host/v1" in kept
