"""What belongs to Claude Code's sessions: agents, teammates, workflows, outputs; and rewinds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clew.errors import Invalid
from clew.importers import claude_code
from clew.importers.claude_records import decode
from clew.importers.kept import KeptReader
from clew.model import Kind, Origin
from importer_kit import ImporterPromises, memory_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import clew

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden" / "claude_workflow"
FIXTURES = HERE.parent.parent / "shared" / "fixtures" / "claude-code" / "claude-code-log"
SESSION = "5a5a5a5a-0000-4000-8000-000000000001"
RUN = "wf_prune"
MEMBER = "77777777-0000-4000-8000-000000000002"


class TestPromises(ImporterPromises):
    """A workflow's run is told by two files, each by itself."""

    importer = claude_code
    files = tuple(
        path
        for path in claude_code.discover(GOLDEN)
        if path.name == "journal.jsonl" or path.suffix == ".json"
    )

    def expected(self, path: Path) -> Path:
        return GOLDEN / f"{path.stem}.expected.txt"

    def placed(self, path: Path, folder: Path) -> Path:
        shutil.copytree(GOLDEN, folder, dirs_exist_ok=True)
        return folder / path.relative_to(GOLDEN)


@pytest.fixture
def store() -> Iterator[clew.Ledger]:
    with memory_ledger() as ledger:
        yield ledger


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / ".claude" / "projects" / "-srv-orchard"
    folder.mkdir(parents=True)
    return folder


def record(number: int, kind: str, content: Any, **more: Any) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": kind,
        "uuid": f"u{number}",
        "parentUuid": f"u{number - 1}" if number > 1 else None,
        "sessionId": SESSION,
        "cwd": "/srv/orchard",
        "timestamp": f"2026-10-05T09:00:{number:02d}.000Z",
        "message": {"role": kind, "content": content},
    }
    return value | more


def call(number: int, id: str, name: str = "Task", **more: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": id, "name": name, "input": {}}
    return record(number, "assistant", [block], **more)


def result(number: int, id: str, words: str, **more: Any) -> dict[str, Any]:
    return record(
        number, "user", [{"type": "tool_result", "tool_use_id": id, "content": words}], **more
    )


def write(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in records))
    return path


def agent(folder: Path, id: str, prompt: str = "look", meta: dict[str, Any] | None = None) -> Path:
    path = folder / f"agent-{id}.jsonl"
    more: dict[str, Any] = {"isSidechain": True, "agentId": id, "uuid": f"{id}-1"}
    write(path, [record(1, "user", prompt, **more)])
    if meta is not None:
        path.with_suffix(".meta.json").write_text(json.dumps(meta))
    return path


def session_of(ledger: clew.Ledger, name: str) -> clew.Session:
    found = [i for i in ledger.sessions(spawned=True, limit=1000) if i.imported_from == name]
    assert len(found) == 1, f"{len(found)} sessions of {name}"
    return ledger.get(found[0].id)


def spawned_by(ledger: clew.Ledger, name: str) -> str | None:
    return session_of(ledger, f"claude-code:{name}").info.spawned_by


# --- who spawned whom --------------------------------------------------------------------


def test_an_agent_without_meta_is_linked_by_the_result_of_its_call(project: Path) -> None:
    spawned = {"status": "completed", "agentId": "a11"}
    launched = {"isAsync": True, "status": "async_launched", "agentId": "a22"}
    write(
        project / f"{SESSION}.jsonl",
        [
            record(1, "user", "go"),
            call(2, "t1"),
            result(3, "t1", "done", toolUseResult=spawned),
            call(4, "t2", "Agent"),
            result(5, "t2", "Async agent launched", toolUseResult=launched),
            call(6, "t3"),
            result(7, "t3", "It is done.\nagentId: a33 (use SendMessage to go on)"),
            call(8, "t4", "Bash"),
            result(9, "t4", "agentId: a44", toolUseResult={"stdout": "agentId: a44"}),
        ],
    )
    folder = project / SESSION / "subagents"
    calls = {id: claude_code.open(agent(folder, id)).origin for id in ("a11", "a22", "a33", "a44")}
    assert {id: origin.parent_call for id, origin in calls.items()} == {
        "a11": "t1",
        "a22": "t2",
        "a33": "t3",
        "a44": None,  # words that a shell printed are no spawn
    }
    assert {origin.parent for origin in calls.values()} == {SESSION}
    old = agent(project, "a11")
    assert claude_code.open(old).origin.parent_call == "t1", "beside the mains, before 2.1"


def test_a_result_that_comes_later_is_found(project: Path) -> None:
    main = write(project / f"{SESSION}.jsonl", [record(1, "user", "go"), call(2, "t1")])
    path = agent(project / SESSION / "subagents", "a11")
    assert claude_code.open(path).origin.parent_call is None
    with main.open("ab") as file:
        done = result(3, "t1", "done", toolUseResult={"agentId": "a11"})
        file.write(json.dumps(done).encode() + b"\n")
    assert claude_code.open(path).origin.parent_call == "t1"


def test_an_agent_of_an_agent_hangs_on_that_one(store: clew.Ledger, project: Path) -> None:
    write(project / f"{SESSION}.jsonl", [record(1, "user", "go"), call(2, "t1")])
    folder = project / SESSION / "subagents"
    more: dict[str, Any] = {"isSidechain": True, "agentId": "a11"}
    agent(folder, "a11", meta={"toolUseId": "t1"})
    with (folder / "agent-a11.jsonl").open("ab") as file:
        for each in (call(2, "t2", **more), call(3, "t3", **more)):
            file.write(json.dumps({**each, "uuid": f"a{each['uuid']}"}).encode() + b"\n")
        told = result(4, "t3", "done", toolUseResult={"agentId": "a33"}, **more)
        file.write(json.dumps({**told, "uuid": "a4"}).encode() + b"\n")
    agent(folder, "a22", meta={"toolUseId": "t2", "spawnDepth": 2})
    agent(folder, "a33")
    store.import_from(project)
    main = session_of(store, f"claude-code:{SESSION}")
    child = session_of(store, f"claude-code:{SESSION}/agent-a11")
    assert child.info.spawned_by == f"{main.id}#t1"
    assert spawned_by(store, f"{SESSION}/agent-a22") == f"{child.id}#t2"
    assert spawned_by(store, f"{SESSION}/agent-a33") == f"{child.id}#t3"


def test_a_teammates_words_are_no_prompt_and_its_task_is_its_title(
    store: clew.Ledger, project: Path
) -> None:
    opening = '<teammate-message teammate_id="bob" color="green" summary="done">\n'
    write(
        project / f"{SESSION}.jsonl",
        [
            record(1, "user", f"{opening}All pass.\n</teammate-message>", teamName="orchard"),
            record(2, "user", "Thank you, bob", teamName="orchard"),
        ],
    )
    task = '<teammate-message teammate_id="team-lead">\nCount the pears.\n</teammate-message>'
    agent(project / SESSION / "subagents", "a11", task)
    store.import_from(project)
    main = session_of(store, f"claude-code:{SESSION}")
    assert main.info.title == "Thank you, bob"
    assert [entry.role for entry in main.entries()] == ["context", "user"]
    assert main.history()[0].text.startswith(opening), "as the model saw it"
    child = session_of(store, f"claude-code:{SESSION}/agent-a11")
    assert child.info.title == "Count the pears."


@pytest.mark.parametrize("team", ["orchard", "session-5a5a5a5a"])
def test_a_teammate_in_a_session_of_its_own_hangs_on_its_lead(
    store: clew.Ledger, project: Path, team: str
) -> None:
    if team == "orchard":
        config = project.parents[1] / "teams" / team / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"name": team, "leadSessionId": SESSION, "members": []}))
    told = {"status": "teammate_spawned", "agent_id": f"bob@{team}", "team_name": team}
    lead = {"teamName": team, "agentName": "team-lead"}
    write(
        project / f"{SESSION}.jsonl",
        [
            record(1, "user", "go", **lead),
            call(2, "t1", "Agent"),
            result(3, "t1", "Spawned successfully.", toolUseResult=told),
        ],
    )
    more = {"sessionId": MEMBER, "teamName": team, "agentName": "bob", "uuid": "m1"}
    write(project / f"{MEMBER}.jsonl", [record(1, "user", "Count the pears.", **more)])
    store.import_from(project)
    main = session_of(store, f"claude-code:{SESSION}")
    assert main.info.spawned_by is None
    assert spawned_by(store, MEMBER) == f"{main.id}#t1"


@pytest.mark.parametrize("team", ["../../elsewhere", "nobody", "session-00000000", "a/b", ".."])
def test_a_teammate_whose_lead_is_not_there_stands_alone(project: Path, team: str) -> None:
    more = {"sessionId": MEMBER, "teamName": team, "agentName": "bob"}
    path = write(project / f"{MEMBER}.jsonl", [record(1, "user", "hello", **more)])
    origin = claude_code.open(path).origin
    assert (origin.kind, origin.parent) == ("main", None)


def test_the_name_of_an_agent_is_a_title_below_what_the_model_and_the_person_gave(
    project: Path,
) -> None:
    name = {"type": "agent-name", "agentName": "orchard-7", "sessionId": SESSION}
    title = {"type": "ai-title", "aiTitle": "Pears are counted", "sessionId": SESSION}
    path = write(project / f"{SESSION}.jsonl", [record(1, "user", "count"), name, title])
    found = claude_code.open(path).feed(path.read_bytes(), 0, last=True)
    ranked = [(each.title, each.title_rank) for each in found]
    assert [title for title, _ in ranked] == ["count", "orchard-7", "Pears are counted"]
    assert sorted(rank for _, rank in ranked) == [rank for _, rank in ranked]


# --- workflows ---------------------------------------------------------------------------


def test_a_workflows_run_is_a_session_between_its_call_and_its_agents(store: clew.Ledger) -> None:
    report = store.import_from(GOLDEN)
    assert not report.notes
    main = session_of(store, f"claude-code:{SESSION}")
    run = session_of(store, f"claude-code:{SESSION}/{RUN}")
    first = session_of(store, f"claude-code:{SESSION}/{RUN}/agent-b1")
    assert run.info.spawned_by == f"{main.id}#toolu_run"
    assert first.info.spawned_by == run.id
    assert run.info.project == main.info.project == first.info.project == "/srv/orchard"
    assert run.info.title == "prune-plan"
    assert [(m.role, m.text) for m in run.history()] == [
        ("assistant", '{"rows":3,"trees":["quince","medlar"]}'),
        ("assistant", "Prune the quince first."),
    ]
    held = {Path(path).name: data for path, data in store.source_bytes(run.id).items()}
    assert set(held) == {"journal.jsonl", f"{RUN}.json"}
    assert all(next(GOLDEN.rglob(name)).read_bytes() == data for name, data in held.items())


def test_a_run_that_is_written_anew_keeps_each_version(store: clew.Ledger, project: Path) -> None:
    write(project / f"{SESSION}.jsonl", [record(1, "user", "go")])
    path = project / SESSION / "workflows" / f"{RUN}.json"
    path.parent.mkdir(parents=True)
    for status in ("running", "completed"):
        value: dict[str, Any] = {
            "runId": RUN,
            "workflowName": "prune",
            "status": status,
            "workflowProgress": [],
        }
        path.write_text(json.dumps(value, indent=2))
        store.import_from(project)
    run = session_of(store, f"claude-code:{SESSION}/{RUN}")
    assert [entry.data["status"] for entry in run.entries()] == ["running", "completed"]
    assert {entry.kind for entry in run.entries()} == {Kind.NOTICE}


def test_an_agents_answer_may_be_anything() -> None:
    for answer, words in [("so", "so"), ({"b": 1, "a": [None]}, '{"a":[null],"b":1}'), (7, "7")]:
        message = decode({"type": "result", "key": "k", "agentId": "a", "result": answer})
        assert (message.role, message.text) == ("assistant", words)


# --- what is kept as it is ---------------------------------------------------------------

OUTPUT = b"\x00\xff line one\nline two without an end"


def test_big_outputs_and_facts_beside_an_agent_are_kept_byte_for_byte(
    store: clew.Ledger, project: Path
) -> None:
    saved = project / SESSION / "tool-results" / "b7.txt"
    words = f"<persisted-output>\nFull output saved to: {saved}\n</persisted-output>"
    write(
        project / f"{SESSION}.jsonl",
        [record(1, "user", "go"), call(2, "t1", "Bash"), result(3, "t1", words)],
    )
    saved.parent.mkdir(parents=True)
    saved.write_bytes(OUTPUT)
    child = agent(project / SESSION / "subagents", "a11", meta={"agentType": "Explore"})
    report = store.import_from(project)
    assert (report.files, report.sessions_new, report.notes) == (4, 2, [])
    main = session_of(store, f"claude-code:{SESSION}")
    assert store.source_bytes(main.id)[str(saved)] == OUTPUT
    assert len(main.entries()) == 3, "nothing is said twice"
    beside = child.with_suffix(".meta.json")
    inner = session_of(store, f"claude-code:{SESSION}/agent-a11")
    assert store.source_bytes(inner.id) == {
        str(child): child.read_bytes(),
        str(beside): beside.read_bytes(),
    }
    assert store.import_from(project).unchanged == 4


def test_an_output_that_grows_or_is_written_anew_is_kept_whole(
    store: clew.Ledger, project: Path
) -> None:
    write(project / f"{SESSION}.jsonl", [record(1, "user", "go")])
    saved = project / SESSION / "tool-results" / "b7.txt"
    saved.parent.mkdir(parents=True)
    for content in (OUTPUT, OUTPUT * 2, b"something else"):
        saved.write_bytes(content)
        store.import_from(project)
        main = session_of(store, f"claude-code:{SESSION}")
        assert store.source_bytes(main.id)[str(saved)] == content


def test_an_output_whose_session_is_nowhere_waits_for_it(store: clew.Ledger, project: Path) -> None:
    saved = project / SESSION / "tool-results" / "b7.txt"
    saved.parent.mkdir(parents=True)
    saved.write_bytes(OUTPUT)
    report = store.import_from(project)
    assert (report.sessions_new, len(report.notes)) == (0, 1)
    write(project / f"{SESSION}.jsonl", [record(1, "user", "go")])
    store.import_from(project)
    main = session_of(store, f"claude-code:{SESSION}")
    assert store.source_bytes(main.id)[str(saved)] == OUTPUT


def test_only_what_stands_in_a_sessions_folder_is_kept(project: Path) -> None:
    for name in ("notes/tool-results/x.txt", f"{SESSION}/other/x.txt", f"{SESSION}/x.meta.json"):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        assert not claude_code.identify(path), name
    alone = project / SESSION / "subagents" / "agent-a1.meta.json"
    alone.parent.mkdir(parents=True)
    alone.write_text("{}")
    assert list(claude_code.discover(project)) == [], "an agent that never said anything"


def test_a_kept_files_reader_goes_on_where_it_stopped_and_refuses_the_rest() -> None:
    reader = KeptReader(Origin("s", "claude-code"))
    assert reader.feed(b"abc", 0) == []
    again = KeptReader.resume(reader.state())
    assert (again.consumed, again.origin) == (3, reader.origin)
    with pytest.raises(Invalid, match=r"byte 9 .* 3 comes next"):
        again.feed(b"x", 9)
    with pytest.raises(Invalid, match="no state"):
        KeptReader.resume(b"{}")


# --- going back to the beginning ---------------------------------------------------------


def begun(number: int, words: str, **more: Any) -> dict[str, Any]:
    return record(number, "user", words, parentUuid=None, **more)


def test_a_rewind_to_before_the_first_prompt_leaves_all_that_was_said(
    store: clew.Ledger, project: Path
) -> None:
    write(
        project / f"{SESSION}.jsonl",
        [
            begun(1, "first try"),
            record(2, "assistant", "an answer"),
            record(3, "user", "and more"),
            begun(4, "second try"),
            record(5, "assistant", "another answer"),
        ],
    )
    store.import_from(project)
    main = session_of(store, f"claude-code:{SESSION}")
    assert [m.text for m in main.history()] == ["second try", "another answer"]
    assert len(main.entries()) == 5
    (move,) = main.moves()
    assert (move.action, move.to) == ("rewind", None)


@pytest.mark.parametrize(
    "records",
    [
        # The oldest files, and ones that were cut out of others, link nothing.
        [begun(1, "one"), record(2, "assistant", "a", parentUuid=None), begun(3, "two")],
        # Two sessions in one file.
        [begun(1, "one"), record(2, "assistant", "a"), begun(3, "two", sessionId=MEMBER)],
        # Written again behind a compaction, at the same time.
        [
            *(begun(1, "one"), record(2, "assistant", "a")),
            begun(3, "one", timestamp="2026-10-05T09:00:01.000Z"),
        ],
    ],
)
def test_a_prompt_that_follows_nothing_may_still_go_on(
    store: clew.Ledger, project: Path, records: list[dict[str, Any]]
) -> None:
    write(project / f"{SESSION}.jsonl", records)
    store.import_from(project)
    main = session_of(store, f"claude-code:{SESSION}")
    assert len(main.history()) == 3
    assert main.moves() == []


# --- recorded files ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "linked"),
    [("teammates", 2), ("async_agents", 1), ("workflow_basic", 1)],
)
def test_recorded_agents_hang_on_the_calls_that_spawned_them(
    store: clew.Ledger, folder: str, linked: int
) -> None:
    if not FIXTURES.is_dir():
        pytest.skip("the shared fixtures are not here: recorded agents cannot be read")
    report = store.import_from(FIXTURES / folder)
    assert not report.notes
    infos = store.sessions(spawned=True)
    by_call = [info for info in infos if "#" in str(info.spawned_by)]
    assert len(by_call) == linked
    assert sum(info.spawned_by is None for info in infos) == 1
    for info in infos:
        for path, data in store.source_bytes(info.id).items():
            assert Path(path).read_bytes() == data
