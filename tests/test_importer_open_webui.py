"""Reading Open WebUI: trees of messages, calls in HTML and in items, clones, rows, summaries."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.importers import open_webui
from clew.model import Text, Thinking
from importer_kit import memory_ledger
from store_kit import StorePromises, everything, made, run, statements

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "open_webui"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "open-webui"


class TestPromises(StorePromises):
    store = open_webui
    files = sorted(GOLDEN.glob("*.sql"))


def chat(ledger: clew.Ledger, native: str) -> clew.Session:
    (found,) = [i for i in ledger.sessions(limit=100) if i.imported_from == f"open-webui:{native}"]
    return ledger.get(found.id)


def said(ledger: clew.Ledger, native: str) -> list[str]:
    return [message.text for message in chat(ledger, native).context()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database without a chat."""
    path = tmp_path / "webui.db"
    for statement in statements(GOLDEN / "clones.sql"):
        if statement.startswith("create table"):
            run(path, statement)
    return path


def keep(path: Path, current: str, *messages: dict[str, Any], updated: int = 5) -> None:
    """Write the whole chat, as the program does with each message."""
    body = {"history": {"messages": {each["id"]: each for each in messages}, "currentId": current}}
    query = (
        "insert into chat (id, title, chat, created_at, updated_at) "
        "values ('c', 'New Chat', ?, 1, ?) "
        "on conflict (id) do update set chat = excluded.chat, updated_at = excluded.updated_at"
    )
    run(path, query, json.dumps(body), updated)


def ask(id: str, parent: str | None, words: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "parentId": parent, "role": "user", "content": words, "timestamp": 2} | more


def answer(id: str, parent: str, words: str, **more: Any) -> dict[str, Any]:
    return ask(id, parent, words) | {"role": "assistant", "model": "m", "done": True} | more


def test_no_word_comes_from_a_table_with_secrets_nor_the_link_of_a_share(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "tree.sql", tmp_path))
        for info in ledger.sessions(limit=10):
            assert all(b"SECRET" not in raw for raw in ledger.source_bytes(info.id).values())


def test_the_current_branch_is_what_a_model_sees_and_the_others_are_kept(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "tree.sql", tmp_path))
        found = chat(ledger, "c-tree")
        assert found.info.title == "Pears"
        assert said(ledger, "c-tree")[:2] == ["How do I cut a pear? ☂", "In half."]
        bodies = b"".join(entry.body or b"" for entry in found.entries())
        assert b"With a knife." in bodies
        assert b"Made anew" in bodies
        assert [m.text for m in chat(ledger, "c-flat").history()] == ["Hello.", "Hello, Ada."]
        for provider in ("anthropic", "openai-chat", "gemini"):
            assert found.view(provider=provider).request


def test_calls_and_reasoning_in_html_are_calls_and_reasoning(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "tree.sql", tmp_path))
        context = chat(ledger, "c-tree").context()
        assert context[1].parts == (Thinking("A pear & a knife.\nCut it."), Text("In half."))
        asked, given, rest = context[3:6]
        assert asked.text == "Let me see."
        assert [(c.id, c.name, c.arguments) for c in asked.tool_calls] == [
            ("call_1", "weigh", '{"what": "pear"}'),
            ("call_2", "smell", "{}"),
        ]
        results = [(r.call_id, r.text) for r in given.tool_results]
        assert results == [("call_1", '{"grams": 180}'), ("call_2", 'sweet "and" <ripe>')]
        assert rest.text.endswith("180 grams.")
        assert "1+1" in rest.text


def test_items_of_the_output_come_before_the_content(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "tree.sql", tmp_path))
        asked, given, rest = chat(ledger, "c-tree").context()[7:10]
        assert (asked.text, [c.id for c in asked.tool_calls]) == ("One moment.", ["call_3"])
        assert [r.text for r in given.tool_results] == ["90"]
        assert rest.text == "90 grams."


def test_usage_is_counted_once_for_an_answer_and_its_copies(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "clones.sql", tmp_path))
        (total,) = ledger.usage()
        lost = 2  # of a clone whose original is gone
        assert total.calls == 2 + 1 + 1 + lost + 1
        assert total.input == 10 + 14 + 16 + 17 + 10 + 14 + 30
        one, two = chat(ledger, "c-one"), chat(ledger, "c-two")
        assert two.info.forked_from is not None
        assert two.info.forked_from.session == one.id
        three = chat(ledger, "c-three").info
        assert three.forked_from is not None
        assert three.forked_from.session == two.id
        assert said(ledger, "c-three")[-3:] == ["Five.", "And plums?", "Eight."]


def test_rows_of_messages_say_what_the_json_lacks_and_a_summary_what_was_before(
    tmp_path: Path,
) -> None:
    with memory_ledger() as ledger:
        ledger.import_from(made(GOLDEN / "clones.sql", tmp_path))
        assert said(ledger, "c-rows") == [
            "The mill was reached.",
            "And to the brook.",
            "Wet feet.",
            "Home.",
        ]
        first = next(iter(chat(ledger, "c-rows").history()))
        assert first.text == "Walk to the mill."


def test_a_summary_that_comes_to_an_earlier_message_is_said_once(path: Path) -> None:
    with memory_ledger() as ledger:
        talk = [ask("1", None, "one"), answer("2", "1", "two"), ask("3", "2", "three")]
        keep(path, "3", *talk)
        ledger.import_from(path)
        talk[2]["contextSummary"] = "So far one and two."
        talk.append(answer("4", "3", "four"))
        keep(path, "4", *talk, updated=6)
        ledger.import_from(path)
        assert said(ledger, "c") == ["So far one and two.", "three", "four"]
        talk.append(ask("5", "4", "five"))
        talk[2]["childrenIds"] = ["4"]
        keep(path, "5", *talk, updated=7)
        ledger.import_from(path)
        assert said(ledger, "c") == ["So far one and two.", "three", "four", "five"]
        assert len(chat(ledger, "c").checkpoints()) == 1
        talk[0]["contextSummary"] = "Nothing."
        talk[1]["contextSummary"] = "Said: one."
        talk.append(answer("6", "5", "six"))
        keep(path, "6", *talk, updated=8)
        ledger.import_from(path)
        assert said(ledger, "c")[-2:] == ["five", "six"]


def test_an_answer_made_anew_stands_where_the_first_one_stood(path: Path) -> None:
    with memory_ledger() as ledger:
        talk = [ask("1", None, "one"), answer("2", "1", "two")]
        keep(path, "2", *talk)
        ledger.import_from(path)
        talk.append(answer("3", "1", "TWO"))
        keep(path, "3", *talk, updated=6)
        ledger.import_from(path)
        assert said(ledger, "c") == ["one", "TWO"]
        talk.append(ask("4", "2", "back to the first"))
        keep(path, "4", *talk, updated=7)
        ledger.import_from(path)
        assert said(ledger, "c") == ["one", "two", "back to the first"]


def test_an_answer_is_awaited_while_it_is_written_and_taken_when_it_was_left_so(
    path: Path,
) -> None:
    with memory_ledger() as ledger:
        talk = [ask("1", None, "one"), answer("2", "1", "tw", done=False)]
        keep(path, "2", *talk, updated=int(time.time()))
        ledger.import_from(path)
        assert said(ledger, "c") == ["one"]
        keep(path, "2", *talk, updated=6)
        ledger.import_from(path)
        assert said(ledger, "c") == ["one", "tw"]
        talk[1] |= {"content": "two", "done": True}
        keep(path, "2", *talk, updated=7)
        ledger.import_from(path)
        assert said(ledger, "c") == ["one", "two"]


def test_a_row_does_not_end_an_answer_that_the_json_says_is_written(path: Path) -> None:
    talk = [ask("1", None, "one"), answer("2", "1", "", done=None)]
    keep(path, "2", *talk, updated=int(time.time()))
    row = "insert into chat_message (id, chat_id, role, parent_id, content, done, created_at) "
    run(path, row + "values ('c-2', 'c', 'assistant', '1', '\"t\"', 1, 2)")
    with memory_ledger() as ledger:
        ledger.import_from(path)
        assert said(ledger, "c") == ["one"]


def test_a_message_keeps_its_bytes_with_half_a_smile(path: Path) -> None:
    keep(path, "1", ask("1", None, "one \ud83d", timestamp=3.0))
    ((_thread, items),) = everything(open_webui, path).items()
    (body,) = [item.body for item in items if item.key == "1"]
    assert b'"one \\ud83d"' in body
    assert b'"timestamp": 3.0' in body


def test_what_is_no_message_and_what_is_no_chat_is_kept(tmp_path: Path) -> None:
    with memory_ledger() as ledger:
        report = ledger.import_from(made(GOLDEN / "tree.sql", tmp_path))
        assert sorted(note.path.rpartition("#")[2] for note in report.notes) == [
            "c-bad",
            "c-circle",
            "c-flat",
        ]
        raw = {
            path.rpartition("#")[2]: body
            for info in ledger.sessions(limit=9)
            for path, body in ledger.source_bytes(info.id).items()
        }
        assert b'{\\"history\\": {' in raw["c-bad"]
        assert b'"message":5}' in raw["c-circle"]
        assert said(ledger, "c-circle") == ["three"]


def test_the_copy_of_a_shared_chat_is_read_when_the_chat_is_gone(path: Path) -> None:
    keep(path, "2", ask("1", None, "one"), answer("2", "1", "two", usage={"prompt_tokens": 7}))
    copy = "insert into chat (id, user_id, title, chat, created_at, updated_at) "
    run(path, copy + "select 's', 'shared-c', title, chat, 9, 9 from chat")
    with memory_ledger() as ledger:
        ledger.import_from(path)
        assert len(ledger.sessions(limit=9)) == 1
        run(path, "delete from chat where id = 'c'")
        ledger.import_from(path)
        assert said(ledger, "s") == ["one", "two"]
        assert [row.calls for row in ledger.usage()] == [1]


def test_clones_that_name_each_other_are_read(path: Path) -> None:
    keep(path, "1", ask("1", None, "one"))
    run(
        path,
        "insert into chat (id, title, chat, created_at, updated_at) "
        "select 'd', title, chat, 2, updated_at from chat",
    )
    for id, other in (("c", "d"), ("d", "c")):
        query = "update chat set chat = json_set(chat, '$.originalChatId', ?) where id = ?"
        run(path, query, other, id)
    with memory_ledger() as ledger:
        report = ledger.import_from(path)
        assert report.sessions_new == 2


def test_many_marks_in_an_answer_cost_no_time(path: Path) -> None:
    words = '<details type="' * 200_000
    keep(path, "2", ask("1", None, "one"), answer("2", "1", words + "</details>"))
    with memory_ledger() as ledger:
        ledger.import_from(path)
        assert said(ledger, "c")[1].startswith('<details type="')


def test_roots_are_where_the_settings_and_the_manual_say(tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    for folder in (home / ".open-webui", data):
        folder.mkdir(parents=True)
        (folder / "webui.db").touch()
    plain, told = home / ".open-webui" / "webui.db", data / "webui.db"
    assert open_webui.roots(home, {}) == [plain]
    assert open_webui.roots(home, {"DATA_DIR": str(data)}) == [told, plain]
    assert open_webui.roots(home, {"DATABASE_URL": f"sqlite:///{told}"}) == [told, plain]
    assert open_webui.roots(home, {"DATABASE_URL": "postgresql://ada@localhost/x"}) == [plain]


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared fixtures are not here")
def test_the_shared_database_reads_whole() -> None:
    with memory_ledger() as ledger:
        report = ledger.import_from(FIXTURES)
        assert (report.sessions_new, report.notes) == (1, [])
        texts = [(m.role, m.text) for m in chat(ledger, "c1").context()]
        assert texts == [
            ("user", "Name a prime above 10."),
            ("assistant", "13"),
            ("user", "Use the tool to check.\0"),
            ("assistant", ""),
            ("tool", ""),
            ("assistant", "Yes."),
        ]


def test_odd_types_and_numbers_cost_only_themselves(path: Path) -> None:
    odd = [{"type": ["message"]}, 5, {"type": "function_call", "call_id": 5, "name": []}]
    files = [{"type": "image", "url": 5}, "x", {"type": [1]}]
    keep(
        path,
        "3",
        ask("1", None, "one", files=files, timestamp=2**70),
        answer("2", "1", "two", output=odd, usage={"prompt_tokens": 2**70, "eval_count": 3}),
        ask("3", "2", "three", parentId="2", contextSummary=[1]),
    )
    run(path, "update chat set created_at = ?", 2**63 - 1)
    with memory_ledger() as ledger:
        assert ledger.import_from(path).notes == []
        assert said(ledger, "c") == ["one", "two", "three"]
        assert [(row.input, row.output) for row in ledger.usage()] == [(0, 3)]
